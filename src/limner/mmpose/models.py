"""Opens models by MMPose's arguments: an alias, a config's name or path, weights by path or URL."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import build, loading, zoo
from ..errors import ArgumentError, ModelError
from ..pipeline import Detector, Pipeline, PoseEstimator, WholeImage
from .data_samples import dataset_meta

_log = logging.getLogger(__name__)

# Another engine rounds differently: boxes move by 1e-5 pixels, and crops by a level in some places.
MMPOSE_BACKEND = "torch"
WHOLE_IMAGE = ("whole_image", "whole-image")
# kinds of objects that `det_model` accepts -> the alias whose default detector is used
OBJECTS = {name: name for name in ("human", "body", "wholebody", "face", "hand", "animal")}
# part of a keypoint set's name -> the kind of object, for models that the zoo does not know; the first match counts
_KINDS = {
    **dict.fromkeys(("face", "lapa", "wflw", "300w", "cofw", "aflw"), "face"),
    **dict.fromkeys(("hand", "rhd"), "hand"),
    **dict.fromkeys(("ap10k", "animal", "horse"), "animal"),
    **dict.fromkeys(("wholebody", "ubody"), "wholebody"),
    **dict.fromkeys(("coco", "halpe", "mpii", "crowdpose", "aic", "posetrack", "jhmdb", "exlpose", "human"), "human"),
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
    engine = _engine(arguments)
    cfg = loading.load_config(known.config if known else arguments.pose2d, arguments.cfg_options)
    weights = _weights("pose2d_weights", arguments.pose2d, arguments.pose2d_weights, known, progress)
    pose = loading.open_pose_estimator(cfg, weights, engine=engine, flip=arguments.flip)
    meta = dataset_meta(pose.dataset_meta, pose.keypoint_set, build.dataset_name(cfg))
    return OpenedModels(Pipeline(_detector(arguments, known, pose, engine, progress), pose), meta)


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
    engine = _engine(pose)
    detector = loading.open_detector(
        det_config,
        zoo.ensure(det_checkpoint, progress=progress),
        engine=engine,
        bbox_thr=bbox_thr,
        nms_thr=nms_thr,
        labels=pose.det_cat_ids,
    )
    opened = open_whole_image(pose, progress)
    return OpenedModels(Pipeline(_with_checked_classes(detector), opened.pipeline.pose), opened.dataset_meta)


def open_whole_image(arguments: ModelArguments, progress: zoo.Progress | None = None) -> OpenedModels:
    """Open a pose model by its config and checkpoint; each whole image is taken for one object.

    Raises:
        ModelError, ConfigError, CheckpointError, DownloadError, DeviceError, MissingExtraError: see their texts.
    """
    cfg = loading.load_config(arguments.pose2d, arguments.cfg_options)
    weights = _weights("checkpoint", arguments.pose2d, arguments.pose2d_weights, None, progress)
    pose = loading.open_pose_estimator(cfg, weights, engine=_engine(arguments), flip=arguments.flip)
    meta = dataset_meta(pose.dataset_meta, pose.keypoint_set, build.dataset_name(cfg))
    return OpenedModels(Pipeline(WholeImage(), pose), meta)


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
        engine = loading.CPU if arguments.det_model in WHOLE_IMAGE else _engine(arguments)
        pipeline = Pipeline(_detector(arguments, known, pipeline.pose, engine, progress), pipeline.pose)
    elif arguments.det_weights or arguments.det_cat_ids:
        raise ArgumentError(f"'{known.name}' is bundled with its detector: give a det_model to use another one")
    return OpenedModels(pipeline, dataset_meta({}, pipeline.keypoint_set, None))


def _engine(arguments: ModelArguments) -> loading.Engine:
    return loading.choose_engine(arguments.device, arguments.backend or MMPOSE_BACKEND)


def _zoo_model(name: str) -> zoo.ModelInfo | None:
    """Return the model of that name in the zoo, None for the path of a config that is not in it.

    Raises:
        ModelError: it is neither.
    """
    try:
        return zoo.get(name)
    except ModelError:
        if name.endswith(".py") or Path(name).expanduser().is_file():
            return None
        raise


def _weights(
    argument: str, name: str, given: str | None, known: zoo.ModelInfo | None, progress: zoo.Progress | None
) -> Path:
    if given is not None:
        return zoo.ensure(given, progress=progress)
    if known is None:
        raise ArgumentError(f"there are no published weights for the config '{name}': give {argument}, a path or URL")
    return zoo.ensure(known, progress=progress)


def _detector(
    arguments: ModelArguments,
    known: zoo.ModelInfo | None,
    pose: PoseEstimator,
    engine: loading.Engine,
    progress: zoo.Progress | None,
) -> Detector | WholeImage:
    """Open the requested detector, or the default one of the pose model."""
    det_model = arguments.det_model
    if det_model in WHOLE_IMAGE:
        return WholeImage()
    classes: tuple[int, ...] = (0,)
    info: zoo.ModelInfo | None
    if det_model is None or det_model in OBJECTS:
        # a bundled detector runs in another engine, and only with the pose model of its bundle
        default = known if known is not None and not known.bundled else _model_of_same_kind(pose.keypoint_set.name)
        model = zoo.get(OBJECTS[det_model]) if det_model else default
        if model is None:
            _log.warning(
                "no default detector is known for the keypoint set '%s', so each whole image is taken for one object: "
                "give a detector as det_model to find several",
                pose.keypoint_set.name,
            )
            return WholeImage()
        info = zoo.detector_for(model)
        config, classes = info.config, model.detector_classes
    else:
        info = _zoo_model(det_model)
        config = info.config if info else det_model
        if info is not None and info.kind == "pose":
            raise ModelError(f"'{det_model}' is a pose model: give it as pose2d, and a detector as det_model")
        if info is not None and known is not None and known.detector == info.name:
            classes = known.detector_classes
    return _with_checked_classes(
        loading.open_detector(
            config,
            _weights("det_weights", str(det_model), arguments.det_weights, info, progress),
            engine=engine,
            bbox_thr=loading.BBOX_THR,
            nms_thr=loading.NMS_THR,
            labels=arguments.det_cat_ids or classes,
        )
    )


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
