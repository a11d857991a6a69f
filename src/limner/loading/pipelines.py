"""MMDeploy's ``pipeline.json``: how an image becomes the input of an ONNX file, and what its outputs mean.

The network itself is trusted more: published files state the affine transform of another input size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import build
from ..errors import CheckpointError

CODECS = ("SimCCLabel", "MSRAHeatmap", "UDPHeatmap", "MegviiHeatmap", "RegressionLabel", "IntegralRegressionLabel")
_TEST = ("flip_test", "flip_mode", "shift_heatmap", "shift_coords")


@dataclass(frozen=True)
class Preprocessing:
    """What such a file says; None and empty where it says nothing."""

    normalisation: build.Normalisation | None = None
    size: tuple[int, int] | None = None  # (width, height)
    coded_size: tuple[int, int] | None = None  # the same, as the codec states it, which is of the network itself
    padding: float = 1.25  # of boxes around an object
    udp: bool = False
    pad_value: tuple[int, int, int] | None = None  # of a detector's letterbox
    codec: Mapping[str, Any] = field(default_factory=dict)
    test_cfg: Mapping[str, Any] = field(default_factory=dict)


def read(pipeline: Mapping[str, Any] | None, label: str) -> Preprocessing:
    """Read the content of a ``pipeline.json``.

    Args:
        pipeline: its content; None where there is none.
        label: of the model, for messages.

    Raises:
        CheckpointError: it says nothing, or has a value that cannot be used.
    """
    if pipeline is None:
        return Preprocessing()
    try:
        steps = _by_type(pipeline)
        if not steps:
            raise ValueError("it says nothing of how images become input; give a config, or remove it")
        affine = steps.get("topdownaffine", {})
        around = steps.get("topdowngetbboxcenterscale") or steps.get("getbboxcenterscale") or {}
        size = affine.get("image_size") or affine.get("input_size") or _resized(steps.get("resize", {}))
        params = _parameters(pipeline)
        return Preprocessing(
            normalisation=_normalisation(steps.get("normalize")),
            size=None if size is None else (int(size[0]), int(size[1])),
            coded_size=_coded_size(params),
            padding=float(around.get("padding", 1.25)),
            udp=bool(affine.get("use_udp", False)),
            pad_value=_pad_value(steps.get("pad", {}).get("pad_val")),
            codec=_codec(params),
            test_cfg={key: params[key] for key in _TEST if key in params},
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"pipeline.json of '{label}' cannot be used: {error}") from error


def _tasks(pipeline: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list((pipeline.get("pipeline") or {}).get("tasks") or [])


def _steps(pipeline: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for task in _tasks(pipeline):
        yield from task.get("transforms") or []


def _by_type(pipeline: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the transforms by their type; of two, as a detector's paddings are, the first one's values count."""
    steps: dict[str, dict[str, Any]] = {}
    for step in _steps(pipeline):
        kind = str(step.get("type", "")).lower()
        steps[kind] = {**step, **steps.get(kind, {})}
    return steps


def _parameters(pipeline: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the parameters of the step after the network: the codec's, with those of the config's test_cfg."""
    found = [task["params"] for task in _tasks(pipeline) if isinstance(task.get("params"), dict)]
    return found[-1] if found else {}


def _coded_size(params: Mapping[str, Any]) -> tuple[int, int] | None:
    size = params.get("input_size")
    return None if size is None or params.get("type") not in CODECS else (int(size[0]), int(size[1]))


def _codec(params: Mapping[str, Any]) -> dict[str, Any]:
    if params.get("type") not in CODECS:
        return {}
    left_out = {*_TEST, "export_postprocess", "post_process", "modulate_kernel"}
    codec = {key: value for key, value in params.items() if key not in left_out}
    # MMDeploy names the kernel of MSPN's heatmaps otherwise
    return codec | ({"kernel_size": params["modulate_kernel"]} if "modulate_kernel" in params else {})


def _normalisation(step: Mapping[str, Any] | None) -> build.Normalisation | None:
    if step is None:
        return None
    mean, std = (tuple(map(float, step[key])) for key in ("mean", "std"))
    if len(mean) != 3 or len(std) != 3 or not np.isfinite([*mean, *std]).all() or not min(std) > 0:
        raise ValueError(f"the mean {mean} and std {std} are not three numbers each")
    return build.Normalisation(mean, std, bool(step.get("to_rgb", False)))


def _resized(step: Mapping[str, Any]) -> Any:
    size = step.get("size") or step.get("scale")
    return (size, size) if isinstance(size, int) else size


def _pad_value(value: Any) -> tuple[int, int, int] | None:
    value = value.get("img") if isinstance(value, Mapping) else value
    if value is None:
        return None
    values = [int(v) for v in (value if isinstance(value, (list, tuple)) else [value] * 3)]
    if len(values) != 3 or not 0 <= min(values) <= max(values) <= 255:
        raise ValueError(f"pad_val is {value}, not three numbers from 0 to 255")
    return values[0], values[1], values[2]
