"""Which models a user means by MMPose's arguments: an alias, a config's name or path, weights by path or address."""

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
# what `det_model` may call by the kind of object -> the alias whose default detector that is
OBJECTS = {name: name for name in ("human", "body", "wholebody", "face", "hand", "animal")}
# part of a keypoint set's name -> the kind of object, for models that the zoo does not know; the first that fits counts
_KINDS = {
    **dict.fromkeys(("face", "lapa", "wflw", "300w", "cofw", "aflw"), "face"),
    **dict.fromkeys(("hand", "rhd"), "hand"),
    **dict.fromkeys(("ap10k", "animal", "horse"), "animal"),
    **dict.fromkeys(("wholebody", "ubody"), "wholebody"),
    **dict.fromkeys(("coco", "halpe", "mpii", "crowdpose", "aic", "posetrack", "jhmdb", "exlpose", "human"), "human"),
}


@dataclass(frozen=True, eq=False)
class OpenedModels:
    """A pipeline, and what its pose model says of its keypoints in MMPose's form."""

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
    backend: str | None = None  # None: MMPose's own, torch, for the same numbers; a bundled model's where one ships
    flip: bool = True
    cfg_options: Mapping[str, object] | None = None  # of the pose model, by dotted keys or nested


def open_models(wanted: ModelArguments, progress: zoo.Progress | None = None) -> OpenedModels:
    """Open the chosen models, with the thresholds that MMPose's Inferencer has by default.

    Raises:
        ModelError, ConfigError, CheckpointError, DownloadError, DeviceError, MissingExtraError: see their texts.
        ArgumentError: a config without weights, or arguments that contradict each other.
    """
    known = _known(wanted.pose2d)
    if known is not None and known.kind != "pose":
        raise ModelError(f"'{wanted.pose2d}' is a detector: give it as det_model, and a pose model as pose2d")
    if known is not None and known.bundled and wanted.pose2d_weights is None:
        return _open_bundled(wanted, known, progress)
    engine = _engine(wanted)
    cfg = loading.load_config(known.config if known else wanted.pose2d, wanted.cfg_options)
    weights = _weights("pose2d_weights", wanted.pose2d, wanted.pose2d_weights, known, progress)
    pose = loading.open_pose_estimator(cfg, weights, engine=engine, flip=wanted.flip)
    meta = dataset_meta(pose.dataset_meta, pose.keypoint_set, build.dataset_name(cfg))
    return OpenedModels(Pipeline(_detector(wanted, known, pose, engine, progress), pose), meta)


def open_detector_and_pose(
    det_config: str,
    det_checkpoint: str,
    pose: ModelArguments,
    *,
    bbox_thr: float,
    nms_thr: float,
    progress: zoo.Progress | None = None,
) -> OpenedModels:
    """Open a detector and a pose model by their configs and checkpoints, as MMPose's top-down demo names them.

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
    found = open_whole_image(pose, progress)
    return OpenedModels(Pipeline(_checked(detector), found.pipeline.pose), found.dataset_meta)


def open_whole_image(wanted: ModelArguments, progress: zoo.Progress | None = None) -> OpenedModels:
    """Open a pose model by its config and checkpoint; each whole image is one of its objects.

    Raises:
        ModelError, ConfigError, CheckpointError, DownloadError, DeviceError, MissingExtraError: see their texts.
    """
    cfg = loading.load_config(wanted.pose2d, wanted.cfg_options)
    weights = _weights("checkpoint", wanted.pose2d, wanted.pose2d_weights, None, progress)
    pose = loading.open_pose_estimator(cfg, weights, engine=_engine(wanted), flip=wanted.flip)
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
            raise ArgumentError(f"{name} must lie in 0..1, not {value}")
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


def _open_bundled(wanted: ModelArguments, known: zoo.ModelInfo, progress: zoo.Progress | None) -> OpenedModels:
    if wanted.cfg_options:
        raise ArgumentError(f"'{known.name}' ships as it is, and its config cannot be changed: leave cfg_options out")
    stages = loading.load(known.name, device=wanted.device, backend=wanted.backend or "auto")
    if wanted.det_model is not None:
        engine = loading.CPU if wanted.det_model in WHOLE_IMAGE else _engine(wanted)
        stages = Pipeline(_detector(wanted, known, stages.pose, engine, progress), stages.pose)
    elif wanted.det_weights or wanted.det_cat_ids:
        raise ArgumentError(f"'{known.name}' ships with its detector: name a det_model to take another one")
    return OpenedModels(stages, dataset_meta({}, stages.keypoint_set, None))


def _engine(wanted: ModelArguments) -> loading.Engine:
    return loading.choose_engine(wanted.device, wanted.backend or MMPOSE_BACKEND)


def _known(name: str) -> zoo.ModelInfo | None:
    """Return the model of that name, None for the path of a config that the zoo does not know.

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
        raise ArgumentError(
            f"no published weights belong to the config '{name}': give {argument}, a path or an address"
        )
    return zoo.ensure(known, progress=progress)


def _detector(
    arguments: ModelArguments,
    known: zoo.ModelInfo | None,
    pose: PoseEstimator,
    engine: loading.Engine,
    progress: zoo.Progress | None,
) -> Detector | WholeImage:
    """Open the detector that is asked for, or the default one of the pose model."""
    wanted = arguments.det_model
    if wanted in WHOLE_IMAGE:
        return WholeImage()
    classes: tuple[int, ...] = (0,)
    found: zoo.ModelInfo | None
    if wanted is None or wanted in OBJECTS:
        # what ships with a bundled model runs in another engine, and only with the pose model that ships with it
        default = known if known is not None and not known.bundled else _alike(pose.keypoint_set.name)
        model = zoo.get(OBJECTS[wanted]) if wanted else default
        if model is None:
            _log.warning(
                "it is not known what '%s' points show, so each whole image is taken for one object: "
                "name a detector with det_model to find several",
                pose.keypoint_set.name,
            )
            return WholeImage()
        found = zoo.detector_for(model)
        config, classes = found.config, model.detector_classes
    else:
        found = _known(wanted)
        config = found.config if found else wanted
        if found is not None and found.kind == "pose":
            raise ModelError(f"'{wanted}' is a pose model: give it as pose2d, and a detector as det_model")
        if found is not None and known is not None and known.detector == found.name:
            classes = known.detector_classes
    return _checked(
        loading.open_detector(
            config,
            _weights("det_weights", str(wanted), arguments.det_weights, found, progress),
            engine=engine,
            bbox_thr=loading.BBOX_THR,
            nms_thr=loading.NMS_THR,
            labels=arguments.det_cat_ids or classes,
        )
    )


def _checked(detector: Detector) -> Detector:
    """Refuse classes that a detector does not have, as far as its config tells them."""
    classes = detector.spec.classes
    missing = [i for i in detector.labels or () if classes and not 0 <= i < len(classes)]
    if classes and missing:
        known = ", ".join(f"{i} {name}" for i, name in enumerate(classes[:20]))
        raise ArgumentError(f"the detector has no class {missing[0]}: it knows {known}")
    return detector


def _alike(keypoint_set: str) -> zoo.ModelInfo | None:
    """Return a model of the same kind of object, by the name of a keypoint set."""
    kind = next((kind for part, kind in _KINDS.items() if part in keypoint_set), None)
    return zoo.get(kind) if kind else None
