"""`load`: a model by name, as Python users open it."""

from __future__ import annotations

import os
from numbers import Integral
from pathlib import Path
from typing import Any

from .. import loading
from ..errors import ArgumentError, check_flags, check_number, check_texts, checks_call, plain, said
from ..keypoints import KeypointSet
from ..video.limits import check_max_pixels
from .elsewhere import LOAD_ARGUMENTS
from .model import Model


@checks_call("load", LOAD_ARGUMENTS)
def load(
    model: str | Path = "face-lite",
    *,
    weights: str | Path | None = None,
    keypoints: str | Path | KeypointSet | None = None,
    det: str | Path | None = None,
    det_weights: str | Path | None = None,
    bbox_thr: float | None = None,
    device: str | int | None = None,
    backend: str = "auto",
    precision: str = "auto",
    flip: bool = True,
    det_size: int | str | tuple[int, int] | None = None,
    tile: int | str | tuple[int, int] = "off",
    max_boxes: int | None = None,
    max_pixels: int | None = None,
) -> Model:
    """Load a model by name, such as "face-lite", "face", "human", "wholebody", "hand", or from files.

    Args:
        model: a name that ``limner models list`` shows, whose weights are fetched once unless they are bundled; a
            config's path, with ``weights``; or a file or URL of weights alone: a ``.pth`` whose config can be told, an
            ``.onnx`` of limner, MMDeploy or OpenMMLab's SDK, or the ``.zip`` or folder that it came in.
        weights: a file or URL, for a config or in place of those of a name.
        keypoints: the keypoint set of a model that does not say it: "coco-17", "halpe-26" ..., the path of a data
            set's ``.py``, or "numbered".
        det: the detector, as ``model``; "whole-image" where each image shows one object; "none" where you always
            give the boxes. None takes the model's own, or the usual one for its keypoints.
        det_weights: as ``weights``, of the detector.
        bbox_thr: boxes must score above it; None takes the model's own threshold.
        device: "cpu", "cuda:0" or 0 ...; None takes the first CUDA device if there is one, else the CPU.
        backend: what runs the networks: "auto", "onnxruntime", "openvino", "torch" or "tensorrt".
        precision: "int8" takes int8 networks where the model has them, "auto" only where they are faster;
            "float16" is for CUDA devices, "bfloat16" for OpenVINO on a CPU that has it.
        flip: False leaves out the flip test, the second run on the mirrored crop that OpenMMLab's models take,
            for nearly twice the speed.
        det_size: size of the detector's input, such as 640 or (1280, 736); "auto" adds a look with a larger one at
            large images. A large input finds smaller objects, takes more time, and may miss very large ones.
        tile: "auto" lets the detector look at large images in overlapping tiles too, and at smaller images where it
            found small objects; 3 or (3, 2) are columns and rows. It finds small objects and takes more time.
        max_boxes: how many boxes an image has at most, the best ones; None takes the detector's own cap, often 100.
        max_pixels: how many pixels an image or a frame of a video may have that is decoded; None takes 268 million of
            an image, less where its file is small, and 36 million of a frame.

    Raises:
        ModelError: there is no such model or file, or it is a detector.
        ArgumentError: arguments are impossible or contradict each other.
        DownloadError: weights cannot be fetched; everything else is checked before.
        ConfigError, CheckpointError: a config or a file of weights cannot be used.
        DeviceError, MissingExtraError: the device, or what the model needs, is not available.
    """
    names = {"det": det, "weights": weights, "det_weights": det_weights}
    check_texts({"model": model, **names}, "the name of a model, or a path,")
    for name, text in {"backend": backend, "precision": precision}.items():
        if not isinstance(text, str):
            raise ArgumentError(f"{name} is {said(text)} where a text such as 'auto' is needed")
    if bbox_thr is not None:
        check_number("bbox_thr", bbox_thr, 0, 1)
    check_flags({"flip": flip})
    bbox_thr, det_size, tile, max_boxes = plain(bbox_thr), plain(det_size), plain(tile), plain(max_boxes)
    if not isinstance(keypoints, KeypointSet):
        check_texts({"keypoints": keypoints}, "the name of a keypoint set, a path or a KeypointSet")
    max_pixels = check_max_pixels(max_pixels)
    options: dict[str, Any] = {
        "bbox_thr": bbox_thr,
        "device": _device_name(device),
        "backend": backend,
        "precision": precision,
        "flip": flip,
        "det_size": det_size,
        "tile": tile,
        "max_boxes": max_boxes,
    }
    files: dict[str, Any] = {"weights": weights, "keypoints": keypoints, "det": det, "det_weights": det_weights}
    pipeline = loading.load(model, **files, **options)
    fixed = {name: _fixed(file) for name, file in files.items()}
    return Model(pipeline, max_pixels, {"model": _fixed(model), "max_pixels": max_pixels, **fixed, **options})


def _fixed(given: Any) -> Any:
    """Return the path of a file from the root on, so that it leads there from other folders too."""
    if not isinstance(given, (str, os.PathLike)) or not os.path.isfile(os.path.expanduser(given)):
        return given
    return os.path.abspath(os.path.expanduser(given))


def _device_name(device: object) -> str | None:
    """Return the name of a device that is given as a text, as the number of a CUDA device, or as torch's own object."""
    if device is None or isinstance(device, str):
        return device
    if isinstance(device, Integral) and not isinstance(device, bool) and int(device) >= 0:
        return f"cuda:{int(device)}"
    if type(device).__module__ == "torch" and type(device).__name__ == "device":
        return str(device)
    raise ArgumentError(
        f"device is {said(device)} where a text such as 'cpu' or 'cuda:0', or the number of a CUDA device, is needed"
    )
