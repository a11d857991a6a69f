"""Config dict -> network: the lookup tables of layers by their config names, and the loading of weights.

torch is imported inside the functions, so that reading a config needs none.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import checkpoint
from ..errors import CheckpointError, ConfigError, MissingExtraError, said, suggest
from . import limits
from .mmpose0 import rename_old_keys, rename_vit

if TYPE_CHECKING:
    from torch import nn

# keys of OpenMMLab's configs that matter in training only
TRAINING_ONLY = frozenset(
    [
        "_scope_",
        "attn_drop_rate",
        "bbox_coder",
        "conv_cfg",
        "convert_weights",
        "data_preprocessor",
        "decoder",
        "drop_path_rate",
        "drop_rate",
        "frozen_stages",
        "init_cfg",
        "lambda_t",
        "loss",
        "loss_bbox",
        "loss_centerness",
        "loss_cls",
        "loss_l1",
        "loss_obj",
        "norm_eval",
        "pretrained",
        "test_cfg",
        "train_cfg",
        "upsample_cfg",
        "with_cp",
        "zero_init_residual",
    ]
)


def _keywords(cfg: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in cfg.items() if k != "type" and k not in TRAINING_ONLY}


def _rtmdet_head(cfg: Mapping[str, Any]) -> dict[str, Any]:
    kwargs = _keywords(cfg)
    kwargs["strides"] = kwargs.pop("anchor_generator")["strides"]
    return kwargs


def _gau_head(cfg: Mapping[str, Any]) -> dict[str, Any]:
    kwargs = _keywords(cfg)
    gau = dict(kwargs.pop("gau_cfg", {"act_fn": "ReLU"}))
    for key in ("use_rel_bias", "pos_enc"):
        if gau.get(key):
            raise ConfigError(f"gau_cfg.{key} of {cfg['type']} is not supported: only gau_cfg.{key}=False is")
    return kwargs | {key: gau[key] for key in ("hidden_dims", "s", "expansion_factor", "act_fn") if key in gau}


def _vipnas_head(cfg: Mapping[str, Any]) -> dict[str, Any]:
    return {"deconv_out_channels": (144, 144, 144), "deconv_num_groups": (16, 16, 16)} | _keywords(cfg)


def _vit(cfg: Mapping[str, Any]) -> dict[str, Any]:
    kwargs = _keywords(cfg)
    # mmcls wrote output_cls_token=False where mmpretrain writes out_type='featmap'
    token = kwargs.pop("with_cls_token", True)
    kind = kwargs.pop("out_type", "cls_token" if kwargs.pop("output_cls_token", True) else "featmap")
    kwargs.pop("output_cls_token", None)
    if token or kind != "featmap":
        raise ConfigError(
            f"VisionTransformer with with_cls_token={token} and out_type='{kind}' is not supported: a pose network "
            "needs with_cls_token=False and out_type='featmap'"
        )
    return kwargs


def _table() -> dict[str, tuple[Callable[..., nn.Module], Callable[[Mapping[str, Any]], dict[str, Any]]]]:
    from ..models import (
        cpm,
        cspnext,
        heads,
        hourglass,
        hrnet,
        litehrnet,
        mobilenet,
        mspn,
        necks,
        resnet,
        rtmcc,
        rtmdet,
        scnet,
        vipnas,
        vit,
        yolox,
    )

    return {
        "CPM": (cpm.CPM, _keywords),
        "CSPDarknet": (yolox.CSPDarknet, _keywords),
        "CSPNeXt": (cspnext.CSPNeXt, _keywords),
        "HRNet": (hrnet.HRNet, _keywords),
        "HourglassNet": (hourglass.HourglassNet, _keywords),
        "LiteHRNet": (litehrnet.LiteHRNet, _keywords),
        "MSPN": (mspn.mspn, _keywords),
        "MobileNetV2": (mobilenet.MobileNetV2, _keywords),
        "RSN": (mspn.rsn, _keywords),
        "ResNeXt": (resnet.resnext, _keywords),
        "ResNet": (resnet.ResNet, _keywords),
        "ResNetV1d": (resnet.resnet_v1d, _keywords),
        "SCNet": (scnet.scnet, _keywords),
        "SEResNet": (resnet.se_resnet, _keywords),
        "ViPNAS_MobileNetV3": (vipnas.ViPNASMobileNetV3, _keywords),
        "ViPNAS_ResNet": (vipnas.ViPNASResNet, _keywords),
        "VisionTransformer": (vit.VisionTransformer, _vit),
        "CSPNeXtPAFPN": (cspnext.CSPNeXtPAFPN, _keywords),
        "FeatureMapProcessor": (necks.FeatureMapProcessor, _keywords),
        "GlobalAveragePooling": (necks.GlobalAveragePooling, _keywords),
        "YOLOXPAFPN": (yolox.yolox_pafpn, _keywords),
        "CPMHead": (heads.CPMHead, _keywords),
        "DSNTHead": (heads.IntegralRegressionHead, _keywords),
        "HeatmapHead": (heads.HeatmapHead, _keywords),
        "IntegralRegressionHead": (heads.IntegralRegressionHead, _keywords),
        "MSPNHead": (mspn.MSPNHead, _keywords),
        "RLEHead": (heads.RLEHead, _keywords),
        "RTMCCHead": (rtmcc.RTMCCHead, _gau_head),
        "RTMWHead": (rtmcc.RTMWHead, _gau_head),
        "RTMDetHead": (rtmdet.RTMDetHead, _rtmdet_head),
        "RTMDetSepBNHead": (rtmdet.RTMDetSepBNHead, _rtmdet_head),
        "RegressionHead": (heads.RegressionHead, _keywords),
        "SimCCHead": (heads.SimCCHead, _keywords),
        "ViPNASHead": (heads.HeatmapHead, _vipnas_head),
        "YOLOXHead": (yolox.YOLOXHead, _keywords),
    }


# what a config that does not fit its network makes it raise
MISFITS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    IndexError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    UserWarning,
    ValueError,
)


def layer(cfg: Mapping[str, Any]) -> nn.Module:
    """Build one backbone, neck or head from its config ``dict(type=..., ...)``.

    Raises:
        ConfigError: the type is unknown, or an argument does not fit it.
        MissingExtraError: torch is not installed.
    """
    try:
        table = _table()
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError("Building a network from a config", "torch") from error
    if not isinstance(cfg, Mapping):
        raise ConfigError(f"the config's model has {cfg!r} where dict(type=...) is needed")
    kind_name = cfg.get("type", "")
    name = kind_name.rpartition(".")[2] if isinstance(kind_name, str) else said(kind_name)
    if name not in table:
        hint = suggest(name, table, cutoff=0.85)
        raise ConfigError(f"the config names the layer {said(name)}, which limner does not support.{hint}")
    kind, arguments = table[name]
    limits.check_part(cfg, name)
    try:
        with warnings.catch_warnings(), limits.counted(name):
            warnings.filterwarnings("error", message="Initializing zero-element tensors")
            part = kind(**arguments(cfg))
    except KeyError as error:
        raise ConfigError(
            f"the config of {name} lacks {said(error.args[0])}, or has a value that limner does not support"
        ) from error
    except MISFITS as error:
        raise ConfigError(f"the config of {name} does not fit it: {str(error)[:300]}") from error
    limits.check_outputs(part, name)
    return part


def network(model: Mapping[str, Any], *, empty: bool = False) -> nn.Module:
    """Build the network of a config's ``model``: backbone, optional neck, head.

    The attribute names equal OpenMMLab's (``backbone``, ``neck``, ``head`` or ``bbox_head``), so a
    checkpoint loads strictly. Input is float ``[N, 3, H, W]``, normalised; output is the head's.
    """
    import torch

    from ..models.network import Network

    if not isinstance(model, Mapping):
        raise ConfigError(f"the config's model is {said(model)} where a dict is needed")
    head = "bbox_head" if "bbox_head" in model else "head"
    for part in ("backbone", head):
        if not model.get(part):
            raise ConfigError(f"the config's model has no '{part}'")
    parts = {part: model[part] for part in ("backbone", "neck", head) if model.get(part)}
    with torch.device("meta"):  # how large it is, is known before memory is taken
        network = Network({name: layer(part) for name, part in parts.items()})
    return network if empty else Network({name: layer(part) for name, part in parts.items()})


def load_weights(network: nn.Module, state_dict: Mapping[str, np.ndarray], *, name: str = "the checkpoint") -> None:
    """Load the weights of a checkpoint into a network; keys and shapes must be the same.

    The keys of checkpoints that MMPose wrote before its version 1 are renamed as MMPose itself does, and those of
    ViTPose's own repository as MMPose did for the ones that it publishes.

    Args:
        state_dict: arrays by key.
        name: of the checkpoint, for messages.

    Raises:
        CheckpointError: the keys or shapes differ, or a weight is NaN or infinite.
    """
    import torch

    own = network.state_dict()
    weights = rename_old_keys(rename_vit(state_dict, name), own)
    checkpoint.check_fit(weights, {key: tuple(value.shape) for key, value in own.items()}, name=name)
    _check_finite(weights, name)
    try:
        tensors = {
            # torch wants writable arrays
            key: torch.from_numpy(value if value.flags.writeable and value.flags.c_contiguous else np.array(value))
            for key, value in weights.items()
            if key in own or not key.endswith("num_batches_tracked")
        }
    except TypeError as error:
        raise CheckpointError(f"{name} has weights of a type that torch does not have: {error}") from None
    for key, tensor in tensors.items():
        if tensor.is_complex() and not own[key].is_complex():
            raise CheckpointError(f"{name} does not fit its config: '{key}' has complex numbers")
    # the arrays become the weights, so that a large model is in memory once
    tensors = {key: value.to(own[key].dtype) if key in own else value for key, value in tensors.items()}
    missing, unexpected = network.load_state_dict(tensors, strict=False, assign=True)
    for part in network.modules():  # old checkpoints have no counters of batch norms
        for key, value in part.named_buffers(recurse=False):
            if value.is_meta and key == "num_batches_tracked":
                part.register_buffer(key, torch.zeros_like(value, device="cpu"))
    unloaded = [key for key in (*missing, *unexpected) if not key.endswith("num_batches_tracked")]
    unloaded += [name for name, value in network.state_dict().items() if value.is_meta]
    if unloaded:  # `check_fit` has raised before; this guards against the two disagreeing
        raise RuntimeError(f"{name}: {unloaded[:5]}")


def _check_finite(weights: Mapping[str, np.ndarray], name: str) -> None:
    """Raise CheckpointError where a weight is NaN or infinite: all results would be, or would look like numbers."""
    # the extremes of NaN are NaN, and need no copy of a large array
    broken = [
        key
        for key, value in weights.items()
        if value.dtype.kind == "f" and value.size and not np.isfinite([value.min(), value.max()]).all()
    ]
    if broken:
        first = ", ".join(broken[:3]) + (", ..." if len(broken) > 3 else "")
        weights_are = "1 weight is" if len(broken) == 1 else f"{len(broken)} weights are"
        raise CheckpointError(
            f"{name} cannot be used: {weights_are} NaN or infinite ({first}), as where a training diverges; "
            "give an earlier checkpoint"
        )
