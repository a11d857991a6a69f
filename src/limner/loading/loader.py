"""`load`: a whole pipeline from what a user names."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from .. import bundled, zoo
from ..detection import DetectorOptions
from ..errors import ArgumentError
from ..keypoints import KeypointSet
from ..pipeline import Detector, NoDetector, Pipeline, WholeImage
from ..runtimes.engines import check_name
from ..types import MessageCallback
from . import keypoint_sets
from .choices import DETECTOR, POSE, Choice, by_info, choose, is_url
from .opening import Opener

PRECISIONS = ("auto", "float32", "float16", "bfloat16", "int8")
WHOLE_IMAGE = ("whole-image", "whole_image")
NONE = "none"
FACE_DETECTOR, BUNDLED_FACE_DETECTOR = "yolox-s-face", "face-lite-detector"
INSTEAD_FOR_FACES = (
    f"without torch, {BUNDLED_FACE_DETECTOR} takes the place of {FACE_DETECTOR}, which is published as .pth only: "
    "boxes differ a little"
)
# kind of what a keypoint set is on -> the model whose default detector finds it
KINDS = {"face": "face", "hand": "hand", "person": "human", "body": "human", "animal": "animal"}

_log = logging.getLogger(__name__)


def load(
    model: str | Path = bundled.DEFAULT,
    *,
    weights: str | Path | None = None,
    keypoints: str | Path | KeypointSet | None = None,
    det: str | Path | None = None,
    det_weights: str | Path | None = None,
    bbox_thr: float | None = None,
    det_size: int | str | tuple[int, int] | None = None,
    tile: int | str | tuple[int, int] = "off",
    max_boxes: int | None = None,
    device: str | None = None,
    backend: str = "auto",
    precision: str = "auto",
    flip: bool = True,
    progress: zoo.Progress | None = None,
    info: MessageCallback | None = None,
) -> Pipeline:
    """Load a model and a detector; fetch the weights that are missing, after everything else was checked.

    Args:
        model: a name that `limner models list` shows; a config's path, with ``weights``; or weights alone, a file or
            URL: a ``.pth`` whose config can be told, an ``.onnx``, a ``.zip`` or folder with one.
        weights: a file or URL, in place of the published ones of a name, or for a config.
        keypoints: the keypoint set where the model does not say it, or says another one: see
            `keypoint_sets.named`.
        det: a detector, named as the model is; "whole-image" where each image shows one object; "none" where the
            caller gives all boxes. None takes the model's own, or the usual one of its kind.
        det_weights: as ``weights``, of the detector.
        bbox_thr: boxes must score above it; None takes the model's own threshold.
        det_size, tile, max_boxes: see `DetectorOptions.parse`.
        device: "cpu", "cuda:0" ...; None takes the first CUDA device that an engine can use, else the CPU.
        backend: "auto", "onnxruntime", "openvino", "torch" or "tensorrt".
        precision: "int8" takes the int8 networks of a bundled model, where it has them; "auto" does so on
            a CPU with int8 dot products, and is "float32" elsewhere. "float16" is for CUDA devices, "bfloat16" for
            OpenVINO on a CPU that has it (AMX).
        flip: False leaves out the flip test, the second run on the mirrored crop that OpenMMLab's models take, for
            nearly twice the speed.
        progress: called while weights are fetched.
        info: called with a sentence that a user should know, such as that a network is prepared; None logs it as a
            warning.

    Raises:
        ModelError: there is no such model or file, or it is one of the other kind.
        DownloadError: its weights cannot be fetched.
        ConfigError, CheckpointError: a config or file cannot be used, or they do not fit each other.
        ArgumentError: a value is impossible, or two contradict each other.
        DeviceError, MissingExtraError: the device or engine is not available.
    """
    options = DetectorOptions.parse(det_size, tile, max_boxes)
    _check_precision(precision, backend)
    _check_threshold(bbox_thr)
    if keypoints is not None:
        keypoint_sets.named(keypoints)
    chosen = choose(model, weights, POSE)
    if precision == "int8" and chosen.weights is not None:
        raise ArgumentError(f"'{model}' has no int8 networks: leave the precision out, or use {bundled.DEFAULT}")
    opener = Opener(device, backend, precision, flip, keypoints, progress, info or _warn)
    return _open(opener, chosen, _choose_detector(det, det_weights, chosen), bbox_thr, options, info)


def _open(
    opener: Opener,
    pose: Choice,
    detector: Choice | WholeImage | NoDetector | None,
    bbox_thr: float | None,
    options: DetectorOptions,
    info: MessageCallback | None,
) -> Pipeline:
    """Open what was chosen; a detector that is None is the usual one for the keypoints of the pose model."""
    if isinstance(detector, (WholeImage, NoDetector)):
        options.check_unused(bbox_thr)
    pose = opener.check(pose)
    if isinstance(detector, Choice):
        detector = _checked(detector, opener, options)
    if pose.config is None and not pose.is_onnx:  # only its weights say what it is, and so what fits it
        pose = opener.identify(opener.fetch(pose))
    estimator = None
    if detector is None:
        points = opener.points_of(pose)
        if points is None:
            pose = opener.fetch(pose)
            estimator = opener.pose(pose)
            points = estimator.keypoint_set
        detector = _checked(_usual_detector(pose, points), opener, options)
    # what lies on this machine is opened first: a damaged file is found before others are fetched
    if estimator is None and not is_url(pose.weights):
        estimator = opener.pose(pose)
    found: Detector | WholeImage | NoDetector
    if isinstance(detector, Choice):
        if is_url(detector.weights):
            pose = opener.fetch(pose)
        detector = opener.identify(opener.fetch(detector))
        found = opener.detector(detector, bbox_thr, _labels(pose, detector)).with_options(options, info)
    else:
        found = detector
    return Pipeline(found, estimator or opener.pose(opener.fetch(pose)))


def _choose_detector(
    det: str | Path | None, det_weights: str | Path | None, pose: Choice
) -> Choice | WholeImage | NoDetector | None:
    """Return the detector that the arguments mean, None for the usual one of keypoints that are not known yet."""
    if det is None:
        if pose.info is not None and pose.info.detector:
            own = by_info(zoo.detector_for(pose.info), DETECTOR)
            return own if det_weights is None else choose(own.label, det_weights, DETECTOR)
        if det_weights is not None:
            return choose(det_weights, None, DETECTOR)
        return None
    name = str(det).strip().lower()
    if name not in (*WHOLE_IMAGE, NONE):
        return choose(det, det_weights, DETECTOR)
    if det_weights is not None:
        raise ArgumentError(f"det is '{det}', which has no weights: leave det_weights out")
    return NoDetector() if name == NONE else WholeImage()


def _usual_detector(pose: Choice, points: KeypointSet) -> Choice:
    kind = KINDS.get(points.kind)
    if kind is None:
        raise ArgumentError(
            f"no detector is known for '{pose.label}', whose keypoints are {points.name}: give det, a detector; "
            "'whole-image' where each image shows one object; or 'none' where you give the boxes"
        )
    return by_info(zoo.detector_for(kind), DETECTOR)


def _checked(detector: Choice, opener: Opener, options: DetectorOptions) -> Choice:
    """Return a detector that this installation can run, after all checks that need no weights."""
    detector = opener.check(_runnable(detector, opener))
    if isinstance(options.det_size, tuple):
        opener.check_det_size(detector, options.det_size)
    return detector


def _runnable(detector: Choice, opener: Opener) -> Choice:
    """Return a detector, or the bundled one of faces for that of OpenMMLab, which is published for torch only."""
    if detector.own_weights or detector.is_onnx or detector.label != FACE_DETECTOR or opener.runs_checkpoint(detector):
        return detector
    opener.info(INSTEAD_FOR_FACES)
    return choose(BUNDLED_FACE_DETECTOR, None, DETECTOR)


def _labels(pose: Choice, detector: Choice) -> Sequence[int] | None:
    """Return the classes of a detector that are of use for a pose model; None keeps all."""
    wanted = (0,) if pose.info is None else pose.info.detector_classes
    own = pose.info is not None and detector.info is not None and pose.info.detector == detector.info.name
    if wanted != (0,) and not own and detector.config is None:
        return None  # how many classes it has may show nowhere, and those of another data set mean other things
    return wanted


def _warn(message: str) -> None:
    _log.warning("%s", message)


def _check_precision(precision: str, backend: str) -> None:
    check_name("precision", precision, PRECISIONS)
    if (precision == "bfloat16") != (backend == "openvino") and precision.endswith("float16"):
        capable = "openvino" if precision == "bfloat16" else "torch or tensorrt"
        raise ArgumentError(f"the backend {backend} does not compute in {precision}: use {capable}, or float32")


def _check_threshold(value: float | None) -> None:
    if value is not None and not 0 <= value <= 1:
        raise ArgumentError(f"the box threshold must lie in 0..1, not {value}")
