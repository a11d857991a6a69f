"""Config dict -> network: the one lookup table of each family.

torch is imported inside the functions, so that reading a config needs none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .errors import ConfigError, suggest

if TYPE_CHECKING:
    from torch import nn

# keys of OpenMMLab's configs that matter in training only
TRAINING_ONLY = frozenset(
    ["init_cfg", "pretrained", "frozen_stages", "norm_eval", "conv_cfg", "loss", "loss_cls", "loss_bbox", "loss_obj", "loss_centerness", "train_cfg", "data_preprocessor", "test_cfg", "decoder", "bbox_coder", "upsample_cfg"]
)


def _keywords(cfg: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in cfg.items() if k != "type" and k not in TRAINING_ONLY}


def _rtmdet_head(cfg: Mapping[str, Any]) -> dict[str, Any]:
    kwargs = _keywords(cfg)
    kwargs["strides"] = kwargs.pop("anchor_generator")["strides"]
    return kwargs


def _rtmcc_head(cfg: Mapping[str, Any]) -> dict[str, Any]:
    kwargs = _keywords(cfg)
    gau = dict(kwargs.pop("gau_cfg", {}))
    for key in ("hidden_dims", "s", "expansion_factor"):
        if key in gau:
            kwargs[key] = gau[key]
    return kwargs


def layer(cfg: Mapping[str, Any]) -> nn.Module:
    """Build one backbone, neck or head from its config ``dict(type=..., ...)``.

    Raises:
        ConfigError: the type is unknown, or an argument does not fit it.
    """
    from .models import cspnext, rtmcc, rtmdet

    table: dict[str, tuple[type[nn.Module], Any]] = {
        "CSPNeXt": (cspnext.CSPNeXt, _keywords),
        "CSPNeXtPAFPN": (cspnext.CSPNeXtPAFPN, _keywords),
        "RTMDetHead": (rtmdet.RTMDetHead, _rtmdet_head),
        "RTMDetSepBNHead": (rtmdet.RTMDetSepBNHead, _rtmdet_head),
        "RTMCCHead": (rtmcc.RTMCCHead, _rtmcc_head),
    }
    name = str(cfg.get("type", "")).rpartition(".")[2]
    if name not in table:
        raise ConfigError(f"the config names the layer '{name}', which limn does not know.{suggest(name, table)}")
    kind, arguments = table[name]
    try:
        return kind(**arguments(cfg))
    except TypeError as error:
        raise ConfigError(f"the config of {name} does not fit it: {error}") from error


def network(model: Mapping[str, Any]) -> nn.Module:
    """Build the network of a config's ``model``: backbone, optional neck, head.

    The attribute names equal OpenMMLab's (``backbone``, ``neck``, ``head`` or ``bbox_head``), so a
    checkpoint loads strictly. Input is float ``[N, 3, H, W]``, normalised; output is the head's.
    """
    from .models.network import Network

    head = "bbox_head" if "bbox_head" in model else "head"
    for part in ("backbone", head):
        if part not in model:
            raise ConfigError(f"the config's model has no '{part}'")
    parts = {part: layer(model[part]) for part in ("backbone", "neck", head) if model.get(part)}
    return Network(parts)
