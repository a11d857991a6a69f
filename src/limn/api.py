"""Functions to import from limn: `load`, limn's own, and those of MMPose and MMDetection that scripts call.

limn's own:

    find = limn.load("face-lite")
    found = find("portrait.jpg")
    found.keypoints, found.scores, found.boxes.xyxy, found.names
    found.save("drawn.jpg")
    for found in find.watch("webcam"): ...

MMPose's: `init_model`, `inference_topdown`, `init_detector`, `inference_detector`, `visualize`, and the
helpers that its demo scripts use between them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from . import build, pipeline, sources, suppress, zoo
from . import keypoints as keypoint_sets
from .draw import draw
from .errors import ArgumentError
from .keypoints import KeypointSet
from .motion import Motion
from .names import check_names, named
from .render import Look, render
from .samples import Instances, Sample, dataset_meta, pose_instances
from .sinks import JsonSink, PictureSink
from .types import Boxes, Frame, Poses, Result

Picture = str | Path | np.ndarray
Config = str | Path | Mapping[str, Any]


def read(picture: Picture) -> Frame:
    """Return one picture that is given as a path or as an array, uint8 ``[H, W, 3]`` BGR or ``[H, W]`` grey.

    Raises:
        InputError: it cannot be read.
        ArgumentError: it is a folder or a pattern of several pictures.
    """
    items, errors, _ = sources.expand(picture)
    if errors:
        raise errors[0]
    if len(items) != 1:
        raise ArgumentError(f"'{picture}' is {len(items)} pictures, and this function takes one")
    return sources.read(items[0])


# -- limn's own


@dataclass(frozen=True, eq=False, kw_only=True)
class Found(Result):
    """A `Result` that knows its picture and its keypoint set."""

    image: np.ndarray = field(repr=False)  # uint8 [H, W, 3], BGR
    pose: pipeline.PoseEstimator = field(repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """What the K keypoints are called."""
        return self.pose.keypoint_set.names

    def plot(self, **look: Any) -> np.ndarray:
        """Return the picture with the keypoints drawn on it, uint8 ``[H, W, 3]`` BGR.

        Args:
            look: fields of `limn.render.Look`: ``radius``, ``thickness``, ``boxes``, ``style``, ...
        """
        known = [f.name for f in fields(Look) if f.name != "heatmap"]
        check_names("plot", look, known)
        return render(self.image, self, self.pose, Look(**look))

    def save(self, path: str | Path, **look: Any) -> Path:
        """Write the drawn picture, or the instances where the path ends with ``.json``; return its path.

        Raises:
            OutputError: it cannot be written.
        """
        path = Path(path).expanduser()
        if path.suffix.lower() == ".json":
            return JsonSink(path.parent).write(path.stem, self)
        return PictureSink(path.parent).write(path.stem, self.plot(**look), path.suffix or ".jpg")

    def to_json(self) -> str:
        """Return the instances in the form of MMPose's Inferencer."""
        return json.dumps(self.instances(), indent=2)


class Finder:
    """Finds keypoints in pictures: what `load` returns."""

    def __init__(self, stages: pipeline.Pipeline) -> None:
        self.pipeline = stages

    def __call__(self, picture: Picture) -> Found:
        """Return what is found in one picture, given as a path or as an array in BGR order.

        Raises:
            InputError: the picture cannot be read.
        """
        frame = read(picture)
        return self._found(frame, self.pipeline.one(frame))

    def watch(self, source: str | Path, **motion: Any) -> Iterator[Found]:
        """Yield what is found in each frame of a video, or in the newest frames of a stream or camera.

        The same person has the same number in ``track_ids`` from frame to frame. Reading and finding overlap
        with what the caller does; leaving the loop closes the source.

        Args:
            source: a path, an address, "webcam" or "webcam:1".
            motion: fields of `limn.motion.Motion`: ``det_interval``, ``smooth``, ``follow``, ``max_persons``,
                ``batch``, ...

        Raises:
            ArgumentError: an unknown field, or a picture.
            InputError: the source cannot be opened, or is lost.
        """
        check_names("watch", motion, [f.name for f in fields(Motion)])
        wanted = Motion(**{"det_interval": None, "smooth": None, **motion})
        items, errors, _ = sources.expand(source)
        if errors:
            raise errors[0]
        if len(items) != 1 or not items[0].moving:
            raise ArgumentError(f"'{source}' is not one video or camera: call the finder itself with a picture")
        return self._watch(items[0], wanted)

    def _watch(self, item: sources.Item, motion: Motion) -> Iterator[Found]:
        from .moving import Film, View  # loads PyAV, which pictures do without

        with Film(sources.open_moving(item), self.pipeline, motion, View(), draws=False) as film:
            for shot in film.shots():
                yield self._found(shot.frame, shot.result)

    def _found(self, frame: Frame, result: Result) -> Found:
        inherited = {f.name: getattr(result, f.name) for f in fields(Result)}
        return Found(**inherited, image=frame.image, pose=self.pipeline.pose)

    def __repr__(self) -> str:
        return f"Finder({self.pipeline.keypoint_set.name}, {', '.join(self.pipeline.devices)})"


@named
def load(
    model: str = "face-lite",
    *,
    bbox_thr: float | None = None,
    device: str | None = None,
    backend: str = "auto",
    precision: str = "auto",
    flip: bool = True,
) -> Finder:
    """Load a model by name, such as "face-lite", "face", "human", "wholebody", "hand".

    Args:
        model: a name that ``limn models list`` shows; its weights are fetched once where they do not ship.
        bbox_thr: boxes must score above it; None takes the model's own threshold.
        device: "cpu", "cuda:0" ...; None takes the first CUDA device if there is one, else the CPU.
        backend: what runs the networks: "auto", "onnxruntime", "openvino", "torch" or "tensorrt".
        precision: "int8" takes int8 networks where the model has such, "auto" only where they are faster;
            "float16" is for CUDA devices, "bfloat16" for OpenVINO on a CPU that has it.
        flip: False leaves out the mirrored second look that OpenMMLab's models take, for nearly twice the speed.

    Raises:
        ModelError: there is no such model.
        DownloadError: its weights cannot be had.
        DeviceError: the device is not there.
    """
    return Finder(
        pipeline.load(model, bbox_thr=bbox_thr, device=device, backend=backend, precision=precision, flip=flip)
    )


# -- MMPose's and MMDetection's


@dataclass(eq=False)
class PoseModel:
    """A pose estimator with the attributes that scripts for MMPose touch."""

    estimator: pipeline.PoseEstimator
    cfg: dict[str, Any]
    dataset_meta: dict[str, Any]

    def eval(self) -> PoseModel:
        return self


@dataclass(eq=False)
class DetectorModel:
    """A detector with the attributes that scripts for MMDetection touch."""

    detector: pipeline.Detector
    cfg: dict[str, Any]
    dataset_meta: dict[str, Any]

    def eval(self) -> DetectorModel:
        return self


@named
def init_model(
    config: Config,
    checkpoint: str | Path | None = None,
    device: str | None = "cpu",
    cfg_options: Mapping[str, object] | None = None,
    *,
    backend: str = "torch",
) -> PoseModel:
    """Open a top-down 2D pose model, as ``mmpose.apis.init_model`` does.

    Args:
        config: a path, one of MMPose's own below ``configs/``, or a loaded config.
        checkpoint: a path or an address; None leaves the weights at random, and says so.
        device: "cpu", "cuda:0" ...; None takes the first CUDA device if there is one, else the CPU.
        cfg_options: changes of the config, nested or by dotted keys.
        backend: what runs it: "torch", as in MMPose, or faster "auto", "onnxruntime", "openvino", "tensorrt".

    Raises:
        ConfigError, CheckpointError, DownloadError, DeviceError, MissingExtraError: see their texts.
    """
    cfg = pipeline.load_config(config, cfg_options)
    estimator = pipeline.open_pose(cfg, _weights(checkpoint), engine=pipeline.choose_engine(device, backend))
    meta = dataset_meta(estimator.dataset_meta, estimator.keypoint_set, build.dataset_name(cfg))
    return PoseModel(estimator, cfg, meta)


@named
def init_detector(
    config: Config,
    checkpoint: str | Path | None = None,
    device: str | None = "cpu",
    cfg_options: Mapping[str, object] | None = None,
    *,
    backend: str = "torch",
) -> DetectorModel:
    """Open a detector of the RTMDet or YOLOX family, as ``mmdet.apis.init_detector`` does.

    Args:
        config, checkpoint, device, cfg_options, backend: see `init_model`.

    Raises:
        ConfigError, CheckpointError, DownloadError, DeviceError, MissingExtraError: see their texts.
    """
    cfg = pipeline.load_config(config, cfg_options)
    detector = pipeline.open_detector(cfg, _weights(checkpoint), engine=pipeline.choose_engine(device, backend))
    return DetectorModel(detector, cfg, {"classes": detector.spec.classes})


def _weights(checkpoint: str | Path | None) -> Path | None:
    if checkpoint is None:
        return None
    return zoo.ensure(str(checkpoint)) if "://" in str(checkpoint) else Path(checkpoint).expanduser()


@named
def inference_topdown(
    model: PoseModel,
    img: Picture,
    bboxes: Sequence[Any] | np.ndarray | None = None,
    bbox_format: str = "xyxy",
) -> list[Sample]:
    """Return the pose in each box of a picture, as ``mmpose.apis.inference_topdown`` does.

    Args:
        model: what `init_model` returned.
        img: a path, or uint8 ``[H, W, 3]`` in BGR order.
        bboxes: ``[N, 4]``; None takes the whole picture, and no box gives no result.
        bbox_format: "xyxy" or "xywh".

    Returns:
        N samples in the order of the boxes: ``.pred_instances.keypoints`` float32 ``[1, K, 2]`` in pixels of
        the picture, ``.keypoint_scores`` ``[1, K]``, ``.bboxes`` ``[1, 4]``.

    Raises:
        ArgumentError: boxes of another shape or format.
        InputError: the picture cannot be read.
    """
    if not isinstance(model, PoseModel):
        raise ArgumentError(f"inference_topdown needs what init_model returns, not {type(model).__name__}")
    if bbox_format not in ("xyxy", "xywh"):
        raise ArgumentError(f"bbox_format is '{bbox_format}' where xyxy or xywh is needed")
    frame = read(img)
    if bboxes is None:
        boxes = pipeline.WholeImage()(frame.image)
    else:
        boxes = given_boxes(bboxes)
        if bbox_format == "xywh":
            corners = np.concatenate([boxes.xyxy[:, :2], boxes.xyxy[:, :2] + boxes.xyxy[:, 2:]], axis=1)
            boxes = Boxes(corners, boxes.scores, boxes.labels)
    wanted: pipeline.Heat = "all" if model.estimator.spec.output_heatmaps else ""
    poses = model.estimator(frame.image, boxes.xyxy, heat=wanted)
    height, width = frame.image.shape[:2]
    about = {"img_path": frame.source, "ori_shape": (height, width), "img_shape": (height, width)}
    samples = []
    for i in range(len(boxes)):
        one = slice(i, i + 1)
        heat = None if poses.heatmaps is None else Instances(heatmaps=poses.heatmaps[i])
        samples.append(Sample(pose_instances(boxes[one], poses[one]), dict(about), heat))
    return samples


def given_boxes(boxes: Any) -> Boxes:
    """Return boxes that a user gives, ``[N, 4]``, ``[N, 5]`` with scores, or one of them alone.

    Raises:
        ArgumentError: they have another shape, or are no numbers.
    """
    try:
        array = np.asarray(boxes, np.float32)
    except (TypeError, ValueError):
        raise ArgumentError("bboxes are not an array of numbers: give [[x1, y1, x2, y2], ...]") from None
    array = array.reshape(-1, 4) if not array.size else array[None] if array.ndim == 1 else array
    if array.ndim != 2 or array.shape[1] not in (4, 5) or not np.isfinite(array).all():
        what = "has numbers that are not finite" if array.ndim == 2 and array.shape[1] in (4, 5) else "is not that"
        raise ArgumentError(f"bboxes need the shape [N, 4]: an array of shape {list(array.shape)} {what}")
    scores = array[:, 4] if array.shape[1] == 5 else np.ones(len(array), np.float32)
    return Boxes(array[:, :4], scores, np.zeros(len(array), np.int64))


@named
def inference_detector(model: DetectorModel, imgs: Picture | Sequence[Picture]) -> Sample | list[Sample]:
    """Return the boxes in a picture, as ``mmdet.apis.inference_detector`` does, at the config's own threshold.

    Args:
        model: what `init_detector` returned.
        imgs: a path, or uint8 ``[H, W, 3]`` in BGR order; or a list of them, which gives a list.

    Returns:
        ``.pred_instances.bboxes`` float32 ``[N, 4]``, x1, y1, x2, y2, best first; ``.scores``, ``.labels`` ``[N]``.

    Raises:
        InputError: a picture cannot be read.
    """
    if not isinstance(model, DetectorModel):
        raise ArgumentError(f"inference_detector needs what init_detector returns, not {type(model).__name__}")
    if isinstance(imgs, (list, tuple)):
        return [_detected(model, img) for img in imgs]
    return _detected(model, imgs)  # type: ignore[arg-type]


def _detected(model: DetectorModel, img: Picture) -> Sample:
    frame = read(img)
    boxes = model.detector(frame.image)
    return Sample(
        Instances(bboxes=boxes.xyxy, scores=boxes.scores, labels=boxes.labels),
        {"img_path": frame.source, "ori_shape": frame.image.shape[:2]},
    )


def nms(dets: np.ndarray, thr: float) -> list[int]:
    """Return which of ``[N, 5]`` boxes with scores stay, best first, as ``mmpose.evaluation.functional.nms`` does."""
    dets = np.asarray(dets, np.float32).reshape(-1, 5)
    kept: list[int] = suppress.overlapping_boxes(dets[:, :4], dets[:, 4], thr).tolist()
    return kept


def register_all_modules(init_default_scope: bool = True) -> None:
    """Do nothing, as there is no registry: scripts for MMPose call ``mmpose.utils.register_all_modules``."""


def adapt_mmdet_pipeline(cfg: dict[str, Any]) -> dict[str, Any]:
    """Return a detector's config as it is: limn's detectors take paths and arrays alike."""
    return cfg


@named
def visualize(
    img: Picture,
    keypoints: np.ndarray,
    keypoint_score: np.ndarray | None = None,
    metainfo: str | Mapping[str, Any] | None = None,
    visualizer: object = None,
    show_kpt_idx: bool = False,
    skeleton_style: str = "mmpose",
    show: bool = False,
    kpt_thr: float = 0.3,
) -> np.ndarray:
    """Return a picture with keypoints drawn on it, in RGB order, as ``mmpose.apis.visualize`` does.

    Args:
        img: a path, or uint8 ``[H, W, 3]`` in BGR order.
        keypoints: ``[N, K, 2]`` in pixels, or ``[K, 2]`` of one instance.
        keypoint_score: ``[N, K]`` or ``[K]``; None draws every point.
        metainfo: the data set that says how the points connect: ``configs/_base_/datasets/coco.py``, a name
            such as ``coco``, or a ``dataset_meta``; None draws the points alone.
        visualizer: only None, as limn draws without one.
        show_kpt_idx: write the number of each keypoint.
        skeleton_style: "mmpose" or "openpose".
        show: open a window until a key is pressed.
        kpt_thr: points that score less are not drawn.

    Raises:
        ArgumentError: arrays that do not fit each other, or an unknown data set.
        OutputError: there is no display for the window.
    """
    if visualizer is not None:
        raise ArgumentError("visualize takes no visualizer: limn draws without one; leave it out")
    frame = read(img)
    points = np.asarray(keypoints, np.float32)
    points = points[None] if points.ndim == 2 else points
    if points.ndim != 3 or points.shape[2] != 2:
        raise ArgumentError(f"keypoints have shape {list(points.shape)} where [N, K, 2] is needed")
    scores = np.ones(points.shape[:2]) if keypoint_score is None else np.asarray(keypoint_score, np.float32)
    poses = Poses(points, scores.reshape(points.shape[:2]) if scores.size == points[..., 0].size else scores)
    known = _points_of(metainfo, points.shape[1])
    whole = pipeline.WholeImage()(frame.image)[np.zeros(len(points), np.int64)]
    size = (frame.image.shape[1], frame.image.shape[0])
    result = Result(whole, poses, known.name, size)
    drawn = draw(frame.image, result, known, kpt_thr=kpt_thr, indices=show_kpt_idx, style=skeleton_style)
    if show:
        from .window import Window

        with Window("visualization") as window:
            window.show(drawn)
    return np.ascontiguousarray(drawn[..., ::-1])


def _points_of(metainfo: str | Mapping[str, Any] | None, count: int) -> KeypointSet:
    if isinstance(metainfo, str):
        return keypoint_sets.by_mmpose_name(metainfo)
    if metainfo is None:
        points = {i: {"name": str(i), "color": [255, 128, 0]} for i in range(count)}
        metainfo = {"dataset_name": "points", "keypoint_info": points, "skeleton_info": {}}
    return keypoint_sets.from_dataset_meta(metainfo)
