"""Config dict -> specs of the stages around the network: sizes, normalisation, thresholds, the decoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, TypeVar

import numpy as np

from .. import decode
from ..errors import ConfigError, said, suggest
from . import limits
from .datasets import test_dataset

Size = tuple[int, int]  # (width, height)
Arrays = Sequence[np.ndarray]
_Reader = TypeVar("_Reader", bound=Callable[..., Any])


@dataclass(frozen=True)
class Normalisation:
    """Mean, standard deviation and channel order that a network's input is normalised with."""

    mean: tuple[float, ...] = (0.0, 0.0, 0.0)  # in the network's channel order, of 0..255
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    to_rgb: bool = False  # the network takes RGB, not BGR


@dataclass(frozen=True)
class FlipTest:
    """How the outputs for an image and for its flipped copy are merged."""

    mode: str = "heatmap"
    shift_heatmap: bool = False
    shift_coords: bool = True


@dataclass(frozen=True)
class PoseSpec:
    """What a pose network's config says about its input and output."""

    size: Size  # (width, height) of the input
    padding: float  # factor by which a box is widened
    udp: bool  # distances count between pixel centres
    normalisation: Normalisation
    codec: Mapping[str, Any]  # the config's decoder
    flip: FlipTest | None  # None: no flip test
    keypoints: int  # how many are returned, after `selected`
    selected: tuple[int, ...] | None  # outputs that are kept; None keeps all
    output_heatmaps: bool
    bounded_scores: bool = False  # scores are brought into 0..1, see `limner.decode.bounded`
    outputs: int | None = None  # of the network, before `selected`; None: as many as `keypoints`

    def flip_order(self, flip_indices: Sequence[int]) -> list[int]:
        """Return which output each one becomes in a mirrored image, from the same of the K keypoints."""
        if self.selected is None:
            return list(flip_indices)
        order = list(range(self.outputs or 1 + max(self.selected, default=-1)))  # what is dropped may stay
        for own, other in zip(self.selected, flip_indices, strict=True):
            order[own] = self.selected[other]
        return order


@dataclass(frozen=True)
class DetectorSpec:
    """What a detector's config says about its input and output."""

    head: str  # "RTMDetHead", "RTMDetSepBNHead", "YOLOXHead"; of ONNX files also "boxes" and "rows": `decode.lists`
    size: Size  # (width, height) that an image is fitted into
    pad_value: tuple[int, int, int]
    square: bool  # pad to a square instead of to `size`
    stride: int | None  # pad to multiples of it only, as far as `size` has room; None pads to `size`
    divisor: int  # the padded sides are multiples of it; more is filled with 0
    normalisation: Normalisation
    strides: tuple[int, ...]
    score_thr: float
    iou_threshold: float
    nms_pre: int | None
    max_per_img: int | None
    min_size: float | None  # boxes that are not larger are left out
    classes: tuple[str, ...] | None


@dataclass(frozen=True)
class Decoder:
    """Raw outputs -> keypoints, in two steps: merging with the outputs of the flip test, then decoding."""

    _merge: Callable[[Arrays, Arrays | None, Sequence[int] | None], list[np.ndarray]]
    _points: Callable[..., tuple[np.ndarray, np.ndarray]]
    _heatmaps: Callable[..., np.ndarray] | None

    def merge(
        self, outputs: Arrays, flipped: Arrays | None = None, flip_indices: Sequence[int] | None = None
    ) -> list[np.ndarray]:
        """Return a network's outputs, averaged with those of the flipped image where they are given."""
        return self._merge(outputs, flipped, flip_indices)

    def points(self, merged: Arrays) -> tuple[np.ndarray, np.ndarray]:
        """Return keypoints ``[N, K, 2]`` in input pixels and scores ``[N, K]`` of what `merge` returned."""
        return self._points(*merged)

    def heatmaps(self, merged: Arrays) -> np.ndarray | None:
        """Return heatmaps ``[N, K, h, w]``, None where the network predicts coordinates."""
        return self._heatmaps(*merged) if self._heatmaps is not None else None


def _config_errors(function: _Reader) -> _Reader:
    """Turn the errors that a value of the wrong type causes into ConfigErrors."""

    @wraps(function)
    def read(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except KeyError as error:
            raise ConfigError(f"the config lacks {error}") from error
        except (ArithmeticError, AttributeError, IndexError, TypeError, ValueError) as error:
            raise ConfigError(f"the config has a value of the wrong type: {str(error)[:300]}") from error

    return read  # type: ignore[return-value]


@_config_errors
def pose_spec(cfg: Mapping[str, Any]) -> PoseSpec:
    """Read the config of a top-down pose model.

    Raises:
        ConfigError: it lacks something that is needed.
    """
    model = _model(cfg)
    head = model.get("head") or {}
    codec = head.get("decoder") or cfg.get("codec")
    if not codec:
        raise ConfigError("the config's model.head has no 'decoder'")
    steps = _steps(cfg)
    if "TopdownAffine" not in steps:
        raise ConfigError(
            "the config's test pipeline has no TopdownAffine: it is not the config of a top-down 2D pose model"
        )
    test = model.get("test_cfg") or {}
    flip = FlipTest(test.get("flip_mode", "heatmap"), test.get("shift_heatmap", False), test.get("shift_coords", True))
    outputs = head.get("out_channels", head.get("num_joints"))
    if not isinstance(outputs, int) or not 0 < outputs <= limits.LARGEST:
        raise ConfigError("the config's model.head has neither 'out_channels' nor 'num_joints' that numbers keypoints")
    selected = test.get("output_keypoint_indices")
    each = 3 if codec.get("heatmap_type") == "combined" else 1
    if selected is not None and not all(type(i) is int and 0 <= i < outputs // each for i in selected):
        raise ConfigError(f"the config's output_keypoint_indices are {said(selected)}, where it has {outputs // each}")
    return PoseSpec(
        size=_pair(steps["TopdownAffine"], "input_size"),
        padding=limits.positive("padding", steps.get("GetBBoxCenterScale", {}).get("padding", 1.25), 100),
        udp=bool(steps["TopdownAffine"].get("use_udp", False)),
        normalisation=_normalisation(model),
        codec=codec,
        flip=flip if test.get("flip_test") else None,
        keypoints=outputs // each if selected is None else len(selected),
        selected=None if selected is None else tuple(selected),
        output_heatmaps=bool(test.get("output_heatmaps", False)),
        bounded_scores=bool(test.get("bounded_scores", False)),
        outputs=outputs // each,
    )


@_config_errors
def detector_spec(cfg: Mapping[str, Any]) -> DetectorSpec:
    """Read the config of a detector of the RTMDet or YOLOX family.

    Raises:
        ConfigError: it is another family, or lacks something that is needed.
    """
    model = _model(cfg)
    head = model.get("bbox_head") or {}
    kind = str(head.get("type", "")).rpartition(".")[2]
    if kind not in (known := ("RTMDetHead", "RTMDetSepBNHead", "YOLOXHead")):
        raise ConfigError(f"the config's model.bbox_head is '{kind}', and limner supports only {', '.join(known)}")
    steps = _steps(cfg)
    pad = steps.get("Pad", {})
    value = pad.get("pad_val", 0)
    value = value.get("img", 0) if isinstance(value, Mapping) else value
    values = (value,) * 3 if isinstance(value, (int, float)) else tuple(value)
    test = model.get("test_cfg") or {}
    nms = test.get("nms") or {}
    if nms.get("type", "nms") != "nms":
        raise ConfigError(f"the config's test_cfg.nms is '{nms['type']}', and limner supports 'nms' only")
    min_size = test.get("min_bbox_size", -1)
    yolox = kind == "YOLOXHead"
    return DetectorSpec(
        head=kind,
        size=_pair(steps.get("Resize", {}), "scale"),
        pad_value=(_pad_value(values[0]), _pad_value(values[1]), _pad_value(values[2])),
        square=bool(pad.get("pad_to_square", False)),
        stride=_count(pad, "size_divisor"),
        divisor=_count(model.get("data_preprocessor") or {}, "pad_size_divisor") or 1,
        normalisation=_normalisation(model),
        strides=limits.strides(head.get("strides", (8, 16, 32)) if yolox else head["anchor_generator"]["strides"]),
        score_thr=limits.finite("score_thr", test.get("score_thr", 0.0)),
        iou_threshold=limits.finite("iou_threshold", nms.get("iou_threshold", 0.5)),
        nms_pre=None if yolox else _count(test, "nms_pre"),
        max_per_img=None if yolox else _count(test, "max_per_img"),
        min_size=None if yolox or min_size < 0 else limits.finite("min_bbox_size", min_size),
        classes=_classes(cfg),
    )


@_config_errors
def decoder(codec: Mapping[str, Any], flip: FlipTest | None = None) -> Decoder:
    """Return the decoder of a config's codec.

    Args:
        flip: how to merge with the outputs for the flipped image; None: the codec's defaults.

    Raises:
        ConfigError: the codec is unknown, or lacks a parameter.
    """
    flip = flip or FlipTest()
    name = str(codec.get("type", "")).rpartition(".")[2]
    known: dict[str, Callable[[Mapping[str, Any], FlipTest], Decoder]] = {
        "SimCCLabel": _simcc,
        "MSRAHeatmap": _msra,
        "UDPHeatmap": _udp,
        "MegviiHeatmap": _megvii,
        "RegressionLabel": _regression,
        "IntegralRegressionLabel": _regression,
    }
    if name not in known:
        raise ConfigError(
            f"the config names the codec {said(name)}, which limner does not support.{suggest(name, known)}"
        )
    try:
        return known[name](codec, flip)
    except KeyError as error:
        raise ConfigError(f"the config's codec {name} lacks {error}") from error


def _simcc(codec: Mapping[str, Any], flip: FlipTest) -> Decoder:
    sigma = codec.get("sigma", 6.0)
    pair = (sigma,) * 2 if isinstance(sigma, (int, float)) else (sigma[0], sigma[1])
    sigmas = (limits.positive("sigma", pair[0], 1000), limits.positive("sigma", pair[1], 1000))

    def flipped(outputs: Arrays, order: Sequence[int]) -> Arrays:
        return decode.flip_vectors(outputs[0], outputs[1], order)

    points = partial(
        decode.simcc,
        split_ratio=limits.positive("simcc_split_ratio", codec.get("simcc_split_ratio", 2.0), 100),
        dark_sigma=sigmas if codec.get("use_dark") else None,
    )
    heatmaps = partial(decode.simcc_heatmaps, sigma=sigmas if codec.get("normalize", True) else None)
    return Decoder(partial(_average, flipped), points, heatmaps)


def _heatmaps(flip: FlipTest, points: Callable[..., tuple[np.ndarray, np.ndarray]]) -> Decoder:
    if not isinstance(flip.mode, str) or flip.mode not in decode.FLIP_MODES:
        raise ConfigError(
            f"the config's flip_mode is {said(flip.mode)}, which is none of {', '.join(decode.FLIP_MODES)}"
        )

    def flipped(outputs: Arrays, order: Sequence[int]) -> Arrays:
        return [decode.flip_heatmaps(outputs[0], order, flip.mode, flip.shift_heatmap)]

    return Decoder(partial(_average, flipped), points, lambda maps: maps)


def _msra(codec: Mapping[str, Any], flip: FlipTest) -> Decoder:
    sizes: dict[str, Any] = {key: _codec_size(codec, key) for key in ("input_size", "heatmap_size")}
    if codec.get("unbiased"):
        kernel = limits.kernel("blur_kernel_size", codec.get("blur_kernel_size", 11))
        return _heatmaps(flip, partial(decode.msra_dark, **sizes, blur_kernel_size=kernel))
    return _heatmaps(flip, partial(decode.msra, **sizes))


def _udp(codec: Mapping[str, Any], flip: FlipTest) -> Decoder:
    size, kernel = (
        _codec_size(codec, "input_size"),
        limits.kernel("blur_kernel_size", codec.get("blur_kernel_size", 11)),
    )
    settings: dict[str, Any] = {"input_size": size, "blur_kernel_size": kernel}
    kind = codec.get("heatmap_type", "gaussian")
    if kind == "combined":
        radius = limits.positive("radius_factor", codec.get("radius_factor", 0.0546875), 1000)
        return _heatmaps(flip, partial(decode.combined, **settings, radius_factor=radius))
    if kind != "gaussian":
        raise ConfigError(f"the config's codec has the heatmap_type '{kind}', which is neither gaussian nor combined")
    return _heatmaps(flip, partial(decode.udp, **settings))


def _megvii(codec: Mapping[str, Any], flip: FlipTest) -> Decoder:
    sizes: dict[str, Any] = {key: _codec_size(codec, key) for key in ("input_size", "heatmap_size")}
    return _heatmaps(
        flip, partial(decode.megvii, **sizes, kernel_size=limits.kernel("kernel_size", codec["kernel_size"]))
    )


def _regression(codec: Mapping[str, Any], flip: FlipTest) -> Decoder:
    size = _codec_size(codec, "input_size")

    def flipped(outputs: Arrays, order: Sequence[int]) -> Arrays:
        return [decode.flip_coordinates(outputs[0], order, size[0], flip.shift_coords)]

    def merge(outputs: Arrays, flipped_outputs: Arrays | None, order: Sequence[int] | None) -> list[np.ndarray]:
        flipped_outputs = None if flipped_outputs is None else [decode.deviations(flipped_outputs[0])]
        return _average(flipped, [decode.deviations(outputs[0])], flipped_outputs, order)

    return Decoder(merge, partial(decode.regression, input_size=size), None)


def _average(
    flipped: Callable[[Arrays, Sequence[int]], Arrays],
    outputs: Arrays,
    flipped_outputs: Arrays | None,
    order: Sequence[int] | None,
) -> list[np.ndarray]:
    if flipped_outputs is None:
        return list(outputs)
    if order is None:
        raise ConfigError("a flip test needs a keypoint set with flip_indices")
    back = flipped(flipped_outputs, order)
    return [(a + b) * np.float32(0.5) for a, b in zip(outputs, back, strict=True)]


# -- parts of a config


def _model(cfg: Mapping[str, Any]) -> Mapping[str, Any]:
    model = cfg.get("model")
    if not isinstance(model, Mapping):
        raise ConfigError("the config has no 'model': it is not the config of a model")
    return model


def _steps(cfg: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the steps of the test pipeline by their type."""
    places = (test_dataset(cfg).get("pipeline"), cfg.get("val_pipeline"), cfg.get("test_pipeline"))
    for pipeline in places:
        if pipeline:
            return {str(step["type"]).rpartition(".")[2]: step for step in pipeline}
    raise ConfigError(
        "the config has no test pipeline: test_dataloader.dataset.pipeline, val_pipeline or test_pipeline"
    )


def _pair(step: Mapping[str, Any], key: str, place: str = "test pipeline") -> Size:
    value = step.get(key)
    if not isinstance(value, (list, tuple)) or len(value) != 2 or not min(value) >= 1:
        raise ConfigError(f"the config's {place} has no size: '{key}' is {said(value)} where (width, height) is needed")
    return limits.check_size((value[0], value[1]), place, key)


def _codec_size(codec: Mapping[str, Any], key: str) -> Size:
    return _pair({key: codec[key]}, key, "codec")


def _count(settings: Mapping[str, Any], name: str) -> int | None:
    value = settings.get(name)
    if value is not None and (type(value) is not int or not 1 <= value < 2**31):
        raise ConfigError(f"the config's {name} is {said(value)} where a whole number from 1 on is needed")
    return value


def _pad_value(value: Any) -> int:
    if not 0 <= value <= 255:
        raise ConfigError(f"the config's pad_val has {said(value)} where a number from 0 to 255 is needed")
    return int(value)


def _normalisation(model: Mapping[str, Any]) -> Normalisation:
    prep = model.get("data_preprocessor") or {}
    to_rgb = bool(prep.get("bgr_to_rgb") or prep.get("rgb_to_bgr"))
    if prep.get("mean") is None:
        return Normalisation(to_rgb=to_rgb)
    mean, std = tuple(map(float, prep["mean"])), tuple(map(float, prep["std"]))
    if len(mean) != 3 or len(std) != 3 or not np.isfinite(mean).all() or not min(std) > 0:
        raise ConfigError(f"the config's data_preprocessor has the mean {mean} and std {std}: three numbers are needed")
    return Normalisation(mean, std, to_rgb)


def _classes(cfg: Mapping[str, Any]) -> tuple[str, ...] | None:
    meta = test_dataset(cfg).get("metainfo") or {}
    found = meta.get("classes") or meta.get("CLASSES")
    return (found,) if isinstance(found, str) else tuple(found) if found else None
