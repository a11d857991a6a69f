"""Opens models by MMPose's arguments: an alias, a config's name or path, weights by path or URL."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .. import build, loading, zoo
from ..errors import ArgumentError, MissingExtraError, ModelError, expanded
from ..pipeline import Detector, Pipeline, PoseEstimator, WholeImage
from . import opening
from .data_samples import dataset_meta

_log = logging.getLogger(__name__)

WHOLE_IMAGE = ("whole_image", "whole-image")
# kinds of objects that `det_model` accepts -> the alias whose default detector is used
OBJECTS = {name: name for name in ("human", "body", "wholebody", "face", "hand", "animal")}
# part of a keypoint set's name -> the kind of object, for models that the zoo does not know; the first match counts
_KINDS = {
    **dict.fromkeys(("face", "lapa", "wflw", "300w", "cofw", "aflw"), "face"),
    **dict.fromkeys(("hand", "rhd"), "hand"),
    **dict.fromkeys(("ap10k", "animal", "horse", "macaque", "atrw", "zebra"), "animal"),
    **dict.fromkeys(("wholebody", "ubody"), "wholebody"),
    **dict.fromkeys(
        ("coco", "halpe", "mpii", "crowdpose", "aic", "posetrack", "jhmdb", "exlpose", "mhp", "h36m", "human"), "human"
    ),
}


@dataclass(frozen=True, eq=False)
class OpenedModels:
    """A pipeline, and the description of its keypoints in MMPose's form."""

    pipeline: Pipeline
    dataset_meta: dict[str, Any]


@dataclass(frozen=True)
class ModelArguments:
    """A pose model and a detector, in the arguments of MMPose's Inferencer."""

    pose2d: str
    pose2d_weights: str | None = None
    det_model: str | None = None
    det_weights: str | None = None
    det_cat_ids: tuple[int, ...] | None = None
    device: str | None = None
    backend: str | None = None  # None: torch, for the same numbers as MMPose; for a bundled model "auto"
    flip: bool = True
    cfg_options: Mapping[str, object] | None = None  # of the pose model, by dotted keys or nested


def open_models(arguments: ModelArguments, progress: zoo.Progress | None = None) -> OpenedModels:
    """Open the chosen models, with the thresholds that MMPose's Inferencer has by default.

    Raises:
        ModelError, ConfigError, CheckpointError, DownloadError, DeviceError, MissingExtraError: see their texts.
        ArgumentError: a config without weights, or arguments that contradict each other.
    """
    known = _zoo_model(arguments.pose2d)
    if known is not None and known.kind != "pose":
        raise ModelError(f"'{arguments.pose2d}' is a detector: give it as det_model, and a pose model as pose2d")
    if known is not None and known.bundled and arguments.pose2d_weights is None:
        return _open_bundled(arguments, known, progress)
    source = known.config if known else arguments.pose2d
    weights = _weights("pose2d_weights", arguments.pose2d, arguments.pose2d_weights, known, progress)
    prepared = _prepare_pose(arguments, source, weights)
    chosen = _choose_detector(arguments, known, progress)
    pose, meta = _open_pose(arguments, prepared)
    if chosen is None:
        chosen = _usual_detector(arguments, pose.keypoint_set.name, progress)
    return OpenedModels(Pipeline(_open_detector(arguments, chosen), pose), meta)


def open_detector_and_pose(
    det_config: str,
    det_checkpoint: str,
    pose: ModelArguments,
    *,
    bbox_thr: float,
    nms_thr: float,
    progress: zoo.Progress | None = None,
) -> OpenedModels:
    """Open a detector and a pose model by their configs and checkpoints, as MMPose's top-down demo does.

    Raises:
        ModelError, ConfigError, CheckpointError, DownloadError, DeviceError, MissingExtraError: see their texts.
    """
    det_weights = opening.Weights(det_checkpoint, progress=progress)
    found = opening.prepare("detector", det_config, det_weights, device=pose.device, backend=pose.backend)
    weights = _weights("checkpoint", pose.pose2d, pose.pose2d_weights, None, progress)
    prepared = _prepare_pose(pose, pose.pose2d, weights)
    detector = opening.open_detector(found, bbox_thr=bbox_thr, nms_thr=nms_thr, labels=pose.det_cat_ids)
    estimator, meta = _open_pose(pose, prepared)
    return OpenedModels(Pipeline(_with_checked_classes(detector), estimator), meta)


def open_whole_image(arguments: ModelArguments, progress: zoo.Progress | None = None) -> OpenedModels:
    """Open a pose model by its config and checkpoint; each whole image is taken for one object.

    Raises:
        ModelError, ConfigError, CheckpointError, DownloadError, DeviceError, MissingExtraError: see their texts.
    """
    weights = _weights("checkpoint", arguments.pose2d, arguments.pose2d_weights, None, progress)
    pose, meta = _open_pose(arguments, _prepare_pose(arguments, arguments.pose2d, weights))
    return OpenedModels(Pipeline(WholeImage(), pose), meta)


def _prepare_pose(arguments: ModelArguments, source: str, weights: opening.Weights) -> opening.Prepared:
    device, backend, options = arguments.device, arguments.backend, arguments.cfg_options
    return opening.prepare("pose", source, weights, device=device, backend=backend, options=options)


def _open_pose(arguments: ModelArguments, prepared: opening.Prepared) -> tuple[PoseEstimator, dict[str, Any]]:
    """Open a pose model; return it with the description of its keypoints."""
    pose = opening.open_pose(prepared, flip=arguments.flip)
    return pose, dataset_meta(pose.dataset_meta, pose.keypoint_set, build.dataset_name(prepared.config))


def with_thresholds(
    pipeline: Pipeline, *, bbox_thr: float | None = None, nms_thr: float | None = None, pose_nms: bool = False
) -> Pipeline:
    """Return a pipeline with the same networks and other thresholds; None keeps one as it is.

    Raises:
        ArgumentError: a threshold is not in 0..1.
    """
    for name, value in (("bbox_thr", bbox_thr), ("nms_thr", nms_thr)):
        if value is not None and not 0 <= value <= 1:
            raise ArgumentError(f"{name} is {value} where a number from 0 to 1 is needed")
    detector = pipeline.detector
    if isinstance(detector, Detector):
        detector = Detector(
            detector.runtime,
            detector.spec,
            bbox_thr=detector.bbox_thr if bbox_thr is None else bbox_thr,
            nms_thr=detector.nms_thr if nms_thr is None else nms_thr,
            labels=detector.labels,
        )
    return Pipeline(detector, pipeline.pose, pose_nms=pose_nms)


def _open_bundled(arguments: ModelArguments, known: zoo.ModelInfo, progress: zoo.Progress | None) -> OpenedModels:
    if arguments.cfg_options:
        raise ArgumentError(f"'{known.name}' is bundled, and its config cannot be changed: leave cfg_options out")
    pipeline = loading.load(known.name, device=arguments.device, backend=arguments.backend or "auto")
    if arguments.det_model is not None:
        chosen = _choose_detector(arguments, known, progress)
        if chosen is None:
            chosen = _usual_detector(arguments, pipeline.keypoint_set.name, progress)
        pipeline = Pipeline(_open_detector(arguments, chosen), pipeline.pose)
    elif arguments.det_weights or arguments.det_cat_ids:
        raise ArgumentError(f"'{known.name}' is bundled with its detector: give a det_model to use another one")
    return OpenedModels(pipeline, dataset_meta({}, pipeline.keypoint_set, None))


def _zoo_model(name: str) -> zoo.ModelInfo | None:
    """Return the model of that name in the zoo, None for the path of a config that is not in it.

    Raises:
        ModelError: it is neither.
    """
    try:
        return zoo.get(name)
    except ModelError:
        if name.endswith(".py") or expanded(name).is_file() or opening.is_onnx(name):
            return None
        raise


def _weights(
    argument: str, name: str, given: str | None, known: zoo.ModelInfo | None, progress: zoo.Progress | None
) -> opening.Weights:
    """Return the weights of a config: those that are given, else the published ones."""
    missing = f"there are no published weights for the config '{name}': give {argument}, a path or URL"
    return opening.Weights(given, known, missing, progress)


@dataclass(frozen=True)
class _ChosenDetector:
    """A detector that can be opened; nothing of it is fetched yet."""

    prepared: opening.Prepared | None  # None: the one of faces that ships with limner
    classes: tuple[int, ...]  # to keep


def _choose_detector(
    arguments: ModelArguments, known: zoo.ModelInfo | None, progress: zoo.Progress | None
) -> _ChosenDetector | WholeImage | None:
    """Return the requested detector, or the default one of the pose model; None where only its keypoints say it.

    Raises:
        LimnerError: it cannot be opened, as far as that shows before anything is fetched.
    """
    det_model = arguments.det_model
    if det_model in WHOLE_IMAGE:
        return WholeImage()
    if det_model is None or det_model in OBJECTS:
        # a bundled detector runs in another engine, and only with the pose model of its bundle
        default = known if known is not None and not known.bundled else None
        model = zoo.get(OBJECTS[det_model]) if det_model else default
        return None if model is None else _detector_of(arguments, model, progress)
    info = _zoo_model(det_model)
    if info is not None and info.kind == "pose":
        raise ModelError(f"'{det_model}' is a pose model: give it as pose2d, and a detector as det_model")
    own = info is not None and known is not None and known.detector == info.name
    classes = known.detector_classes if own and known is not None else (0,)
    return _prepare_detector(arguments, info.config if info else det_model, info, classes, progress)


def _usual_detector(
    arguments: ModelArguments, keypoint_set: str, progress: zoo.Progress | None
) -> _ChosenDetector | WholeImage:
    """Return the default detector for a keypoint set, by its name."""
    model = _model_of_same_kind(keypoint_set)
    if model is not None:
        return _detector_of(arguments, model, progress)
    _log.warning(
        "no default detector is known for the keypoint set '%s', so each whole image is taken for one object: "
        "give a detector as det_model to find several",
        keypoint_set,
    )
    return WholeImage()


def _detector_of(arguments: ModelArguments, model: zoo.ModelInfo, progress: zoo.Progress | None) -> _ChosenDetector:
    """Return the default detector of a pose model; without torch, the bundled one in place of that of faces."""
    info = zoo.detector_for(model)
    try:
        return _prepare_detector(arguments, info.config, info, model.detector_classes, progress)
    except MissingExtraError:
        named = arguments.backend == opening.MMPOSE_BACKEND or arguments.det_weights
        if named or info.short_name != loading.FACE_DETECTOR:
            raise
    _log.warning("%s", loading.INSTEAD_FOR_FACES)
    return _ChosenDetector(None, (0,))


def _prepare_detector(
    arguments: ModelArguments,
    config: str,
    info: zoo.ModelInfo | None,
    classes: tuple[int, ...],
    progress: zoo.Progress | None,
) -> _ChosenDetector:
    weights = _weights("det_weights", str(arguments.det_model), arguments.det_weights, info, progress)
    prepared = opening.prepare("detector", config, weights, device=arguments.device, backend=arguments.backend)
    return _ChosenDetector(prepared, arguments.det_cat_ids or classes)


def _open_detector(arguments: ModelArguments, chosen: _ChosenDetector | WholeImage) -> Detector | WholeImage:
    if isinstance(chosen, WholeImage):
        return chosen
    if chosen.prepared is None:
        bundled = loading.load(device=arguments.device, backend=arguments.backend or "auto")
        return bundled.detector if isinstance(bundled.detector, Detector) else WholeImage()
    bbox_thr, nms_thr = loading.BBOX_THR, loading.NMS_THR
    found = opening.open_detector(chosen.prepared, bbox_thr=bbox_thr, nms_thr=nms_thr, labels=chosen.classes)
    return _with_checked_classes(found)


def _with_checked_classes(detector: Detector) -> Detector:
    """Return the detector; raise ArgumentError for classes that it does not have, if its config lists them."""
    classes = detector.spec.classes
    missing = [i for i in detector.labels or () if classes and not 0 <= i < len(classes)]
    if classes and missing:
        listed = ", ".join(f"{i} {name}" for i, name in enumerate(classes[:20]))
        raise ArgumentError(f"the detector has no class {missing[0]}; its classes are {listed}")
    return detector


def _model_of_same_kind(keypoint_set: str) -> zoo.ModelInfo | None:
    """Return a model for the same kind of object as a keypoint set, by its name."""
    kind = next((kind for part, kind in _KINDS.items() if part in keypoint_set), None)
    return zoo.get(kind) if kind else None
