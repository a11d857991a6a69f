"""The whole story: a frame goes in, a Result comes out.

    source -> detect -> crop -> pose network -> decode -> Result

`load` makes a `Pipeline` from a model's name; `open_detector` and `open_pose` make its stages from
MMDetection's and MMPose's own config files and checkpoints. Each stage is a small callable that can be
used alone; stages take one picture, or with `many` several, whose crops then share the calls of the network.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from . import build, bundled, checkpoint, config, decode, heatmap, keypoints, suppress, zoo
from .crop import Crop, letterbox
from .errors import ArgumentError, ConfigError, ModelError
from .keypoints import KeypointSet
from .runtimes import Runtime
from .runtimes.cache import Cache
from .runtimes.engines import CPU as CPU
from .runtimes.engines import Engine as Engine
from .runtimes.engines import Source, check_name, open_file, open_network
from .runtimes.engines import choose_engine as choose_engine
from .runtimes.hardware import int8_dot_products
from .types import Boxes, Frame, Poses, Result
from .zoo import store

BATCH = 8  # crops in one call of the pose network; on a CPU more are slower, as they leave its caches
DETECTOR_BATCH = 4  # pictures in one call of the detector, likewise
BBOX_THR = NMS_THR = 0.3  # of MMPose, for models that have no threshold of their own

PRECISIONS = ("auto", "float32", "float16", "bfloat16", "int8")

Heat = Literal["", "all", "strongest"]  # no heatmaps, those of each keypoint, or one of the strongest to look at
_log = logging.getLogger(__name__)


def _batch(runtime: Runtime, size: int) -> int:
    """Return how many pictures go into one call of a network for which a CPU would take ``size``."""
    return 4 * size if runtime.device.startswith("cuda") else size


class Detector:
    """Finds boxes in a picture.

    Args:
        runtime: the network.
        spec: what its config says.
        bbox_thr: boxes must score above it.
        nms_thr: boxes that overlap a better one by more than this IoU are dropped, whatever their
            class, after the config's own suppression, as MMPose does; None leaves that out.
        labels: classes to keep; None keeps all.
    """

    def __init__(
        self,
        runtime: Runtime,
        spec: build.DetectorSpec,
        *,
        bbox_thr: float = 0.0,
        nms_thr: float | None = None,
        labels: Sequence[int] | None = None,
    ) -> None:
        self.runtime, self.spec = runtime, spec
        self.bbox_thr, self.nms_thr, self.labels = bbox_thr, nms_thr, labels

    def __call__(self, image: np.ndarray) -> Boxes:
        """Return the boxes of a BGR picture ``[H, W, 3]``, best first."""
        return self.many([image])[0]

    def many(self, images: Sequence[np.ndarray]) -> list[Boxes]:
        """Return the boxes of each of several BGR pictures; those of one shape share the calls of the network."""
        spec = self.spec
        fitted = [letterbox(i, spec.size, spec.pad_value, spec.stride, spec.square, spec.divisor) for i in images]
        found = [Boxes.empty()] * len(images)
        for shape in dict.fromkeys(canvas.shape for canvas, _ in fitted):
            alike = [i for i, (canvas, _) in enumerate(fitted) if canvas.shape == shape]
            step = _batch(self.runtime, DETECTOR_BATCH)
            for start in range(0, len(alike), step):
                rows = alike[start : start + step]
                outputs = self.runtime(np.stack([fitted[i][0] for i in rows]))
                for row, i in enumerate(rows):
                    found[i] = self._boxes([o[row] for o in outputs], shape, fitted[i][1])
        return found

    def _boxes(self, outputs: list[np.ndarray], shape: tuple[int, ...], factor: tuple[float, float]) -> Boxes:
        """Return the boxes that the network's outputs for one picture mean."""
        spec, n = self.spec, len(self.spec.strides)
        levels = [outputs[i : i + n] for i in range(0, len(outputs), n)]
        settings: dict[str, Any] = {
            "strides": spec.strides,
            "factor": factor,
            # a box below the threshold cannot suppress one above it, so it may go first
            "score_thr": max(spec.score_thr, self.bbox_thr),
            "iou_threshold": spec.iou_threshold,
            "max_per_img": spec.max_per_img,
        }
        if spec.head == "YOLOXHead":
            boxes = decode.grid_offsets(*levels, **settings)
        else:
            limit = (shape[1], shape[0])
            pre = 1000 if spec.nms_pre is None else spec.nms_pre
            boxes = decode.grid_distances(*levels, **settings, limit=limit, nms_pre=pre, min_size=spec.min_size)
        boxes = boxes[boxes.scores > self.bbox_thr]
        if self.labels is not None:
            boxes = boxes[np.isin(boxes.labels, self.labels)]
        if self.nms_thr is not None:
            boxes = boxes[suppress.overlapping_boxes(boxes.xyxy, boxes.scores, self.nms_thr)]
        return boxes


class WholeImage:
    """Stands in for a detector where each picture shows one subject: its box is the picture."""

    def __call__(self, image: np.ndarray) -> Boxes:
        height, width = image.shape[:2]
        return Boxes(np.array([[0, 0, width, height]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64))

    def many(self, images: Sequence[np.ndarray]) -> list[Boxes]:
        """Return the box of each of several pictures."""
        return [self(image) for image in images]


class PoseEstimator:
    """Finds the keypoints inside given boxes.

    Args:
        runtime: the network.
        spec: what its config says.
        keypoint_set: what its keypoints are.
        dataset_meta: what the checkpoint says of its data set, in MMPose's form.
    """

    def __init__(
        self,
        runtime: Runtime,
        spec: build.PoseSpec,
        keypoint_set: KeypointSet,
        dataset_meta: Mapping[str, Any] | None = None,
    ) -> None:
        if spec.keypoints != len(keypoint_set):
            raise ConfigError(
                f"the network gives {spec.keypoints} keypoints, but '{keypoint_set.name}' has {len(keypoint_set)}"
            )
        self.runtime, self.spec, self.keypoint_set = runtime, spec, keypoint_set
        self.dataset_meta = dataset_meta or {}
        self.decoder = build.decoder(spec.codec, spec.flip)

    def __call__(self, image: np.ndarray, boxes: np.ndarray, *, heat: Heat = "") -> Poses:
        """Return the poses of boxes ``[N, 4]`` in a BGR picture, all crops of it in few calls."""
        return self.many([image], [boxes], heat=heat)[0]

    def many(self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray], *, heat: Heat = "") -> list[Poses]:
        """Return the poses of boxes ``[N, 4]`` in each of several BGR pictures."""
        crops = [self.crop(of_one) for of_one in boxes]
        places = [(i, j) for i, crop in enumerate(crops) for j in range(len(crop))]
        k = len(self.keypoint_set)
        parts = [(np.zeros((0, k, 2), np.float32), np.zeros((0, k), np.float32), np.zeros((0, 1, 1, 1), np.float32))]
        step = _batch(self.runtime, BATCH)
        for start in range(0, len(places), step):
            chunk = places[start : start + step]
            # the crops of a picture stand together: each picture is cut once
            rows = {i: [j for n, j in chunk if n == i] for i, _ in chunk}
            cuts = [self.crop(boxes[i][js]).cut(images[i], self.spec.udp) for i, js in rows.items()]
            parts.append(self._look(np.concatenate(cuts), heat))
        points, scores, maps = (np.concatenate(p) for p in zip(*(parts[1:] or parts), strict=True))
        poses, start = [], 0
        for crop in crops:
            own = slice(start, start + len(crop))
            poses.append(Poses(crop.to_picture(points[own]), scores[own], maps[own] if heat else None))
            start += len(crop)
        return poses

    def crop(self, boxes: np.ndarray) -> Crop:
        """Return the regions of a picture that are looked at for boxes ``[N, 4]``."""
        return Crop.around(np.asarray(boxes, np.float32).reshape(-1, 4), self.spec.size, self.spec.padding)

    def _look(self, pictures: np.ndarray, heat: Heat) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return points in input pixels, scores and heatmaps of crops ``[N, h, w, 3]``."""
        spec = self.spec
        if spec.flip is None:
            merged = self.decoder.merge(self.runtime(pictures))
        else:
            both = self.runtime(np.concatenate([pictures, pictures[:, :, ::-1]]))
            n = len(pictures)
            order = self.keypoint_set.flip_indices.tolist()
            merged = self.decoder.merge([o[:n] for o in both], [o[n:] for o in both], order)
        points, scores = self.decoder.points(merged)
        maps = self._heatmaps(merged, heat, points.shape[1])
        if spec.selected is not None:
            points, scores = points[:, spec.selected], scores[:, spec.selected]
        return points, scores, maps

    def _heatmaps(self, merged: Sequence[np.ndarray], heat: Heat, outputs: int) -> np.ndarray:
        """Return heatmaps ``[N, any, h, w]`` of the kind that is asked for."""
        if not heat:
            return np.zeros((len(merged[0]), 1, 1, 1), np.float32)
        if self.spec.selected is not None and merged[0].shape[1] == outputs:
            merged = [values[:, self.spec.selected] for values in merged]
        if heat == "strongest" and len(merged) == 2:  # SimCC, whose own product is too thin to be seen
            return heatmap.simcc_heat(merged[0], merged[1], merged=True)
        maps = self.decoder.heatmaps(merged)
        if maps is None:
            raise ArgumentError("this network gives coordinates, so there is no heat to draw: leave the heatmap out")
        return maps.max(axis=1, keepdims=True) if heat == "strongest" else maps


class Pipeline:
    """Detector and pose estimator, one after the other.

    Calling it with a BGR array gives the `Result` of that picture; `run` takes any number of frames.

    Args:
        detector: finds the boxes.
        pose: finds the keypoints in them.
        pose_nms: drop poses that share too many points with a better one (see `suppress.near_poses`).
    """

    def __init__(self, detector: Detector | WholeImage, pose: PoseEstimator, *, pose_nms: bool = False) -> None:
        self.detector, self.pose, self.pose_nms = detector, pose, pose_nms

    @property
    def keypoint_set(self) -> KeypointSet:
        return self.pose.keypoint_set

    @property
    def devices(self) -> list[str]:
        """What runs the networks, such as "cpu (torch)", each named once."""
        runtimes = [self.pose.runtime, *([self.detector.runtime] if isinstance(self.detector, Detector) else [])]
        return list(dict.fromkeys(runtime.device for runtime in runtimes))

    def __call__(self, image: np.ndarray) -> Result:
        """Return what is found in one BGR picture, uint8 ``[H, W, 3]``."""
        return self.one(Frame(image))

    def run(self, frames: Iterable[Frame]) -> Iterator[Result]:
        """Yield the result of each frame, in order."""
        for frame in frames:
            yield self.one(frame)

    def one(self, frame: Frame, *, heat: Heat = "") -> Result:
        """Return what is found in one frame; instances in order of box score."""
        return self.many([frame], heat=heat)[0]

    def many(self, frames: Sequence[Frame], boxes: Sequence[Boxes] | None = None, *, heat: Heat = "") -> list[Result]:
        """Return what is found in several frames whose crops share the calls of the pose network.

        Args:
            frames: the pictures.
            boxes: take these boxes of each frame, in their order, in place of detected ones.
            heat: heatmaps that the poses shall have.
        """
        images = [frame.image for frame in frames]
        found = self.detector.many(images) if boxes is None else boxes
        poses = self.pose.many(images, [of_one.xyxy for of_one in found], heat=heat)
        return [self._result(*parts) for parts in zip(frames, found, poses, strict=True)]

    def _result(self, frame: Frame, boxes: Boxes, poses: Poses) -> Result:
        if self.pose_nms and len(poses):
            kept = suppress.near_poses(poses, boxes.scores)
            boxes, poses = boxes[kept], poses[kept]
        height, width = frame.image.shape[:2]
        return Result(
            boxes,
            poses,
            self.keypoint_set.name,
            (width, height),
            source=frame.source,
            index=frame.index,
            timestamp=frame.timestamp,
        )


def load(
    model: str = bundled.DEFAULT,
    *,
    bbox_thr: float | None = None,
    device: str | None = None,
    backend: str = "auto",
    precision: str = "auto",
    flip: bool = True,
    progress: zoo.Progress | None = None,
) -> Pipeline:
    """Load a model and its default detector by name; fetch what is not here yet.

    Args:
        model: a name that `limn models list` shows.
        bbox_thr: boxes must score above it; None takes the model's own threshold.
        device: "cpu", "cuda:0" ...; None takes the first CUDA device that an engine can use, else the CPU.
        backend: "auto", "onnxruntime", "openvino", "torch" or "tensorrt".
        precision: "int8" takes the int8 form of a bundled model's networks, where they have one; "auto" does so on
            a CPU with int8 dot products, and is "float32" elsewhere. "float16" is for CUDA devices, "bfloat16" for
            OpenVINO on a CPU that has it (AMX).
        flip: False leaves out the mirrored second look that OpenMMLab's models take, for nearly twice the speed.
        progress: called while weights are fetched.

    Raises:
        ModelError: there is no such model, or it is no pose model.
        DownloadError: its weights cannot be had.
        ArgumentError: the threshold is not in 0..1, there is no such backend or precision, or no int8 form.
        DeviceError, MissingExtraError: the device or engine is not there.
    """
    _check_precision(precision, backend)
    found = zoo.get(model)
    if found.kind != "pose":
        raise ModelError(f"'{model}' is a detector, which finds boxes and no keypoints: name a pose model")
    if found.bundled is not None:
        return _load_bundled(bundled.find(found.name), bbox_thr, device, backend, precision)
    if precision == "int8":
        raise ArgumentError(f"'{model}' has no int8 form: leave the precision out, or take {bundled.DEFAULT}")
    engine = choose_engine(device, backend, half=precision.endswith("float16"))
    detector = zoo.detector_for(found)
    boxes = open_detector(
        detector.config,
        zoo.ensure(detector, progress=progress),
        engine=engine,
        bbox_thr=_threshold(BBOX_THR if bbox_thr is None else bbox_thr),
        nms_thr=NMS_THR,
        labels=found.detector_classes,
        tight=True,
    )
    weights = zoo.ensure(found, progress=progress)
    return Pipeline(boxes, open_pose(found.config, weights, engine=engine, flip=flip))


def _check_precision(precision: str, backend: str) -> None:
    check_name("precision", precision, PRECISIONS)
    if (precision == "bfloat16") != (backend == "openvino") and precision.endswith("float16"):
        which = "openvino" if precision == "bfloat16" else "torch or tensorrt"
        raise ArgumentError(f"the backend {backend} does not compute in {precision}: take {which}, or float32")


def _load_bundled(
    files: bundled.BundledModel, bbox_thr: float | None, device: str | None, backend: str, precision: str
) -> Pipeline:
    # it ships as ONNX, which torch does not run: a GPU counts only where ONNX Runtime can use it
    engine = choose_engine(device, "onnxruntime" if backend == "auto" else backend, half=precision.endswith("float16"))
    threshold = _threshold(files.bbox_thr if bbox_thr is None else bbox_thr)
    detector = build.detector_spec(config.load(files.detector_config))
    pose = build.pose_spec(config.load(files.pose_config))
    if precision == "int8" and engine.kind != "cpu":
        raise ArgumentError(f"int8 runs on the CPU, not on '{engine.device}': use --device cpu, or leave it out")
    int8 = precision == "int8" or (precision == "auto" and engine.kind == "cpu" and int8_dot_products())
    detector_file, pose_file = files.networks(int8=int8)
    return Pipeline(
        Detector(open_file(detector_file, engine), detector, bbox_thr=threshold),
        PoseEstimator(open_file(pose_file, engine), pose, keypoints.load(files.keypoint_set)),
    )


def _threshold(value: float) -> float:
    if not 0 <= value <= 1:
        raise ArgumentError(f"the box threshold must lie in 0..1, not {value}")
    return value


def open_detector(
    config_file: str | Path | Mapping[str, Any],
    weights: str | Path | None,
    *,
    engine: Engine = CPU,
    bbox_thr: float = 0.0,
    nms_thr: float | None = None,
    labels: Sequence[int] | None = None,
    options: Mapping[str, object] | None = None,
    tight: bool = False,
) -> Detector:
    """Open a detector of MMDetection's RTMDet or YOLOX family.

    Args:
        config_file: a path, one of limn's own configs, or what `load_config` returned.
        weights: a ``.pth`` file; None leaves the network as torch begins it, at random, and says so.
        engine: what runs it, on which device: see `choose_engine`.
        bbox_thr, nms_thr, labels: see `Detector`.
        options: overrides of the config by dotted names, as ``--cfg-options`` takes them.
        tight: where YOLOX's config pads a picture to a square, leave out what holds no picture: a wide one takes
            half the time, and boxes beside that edge move a little. RTMDet weighs the whole input, so it keeps it.

    Raises:
        ConfigError, CheckpointError, DeviceError, MissingExtraError: see their texts.
    """
    cfg = load_config(config_file, options)
    spec = build.detector_spec(cfg)
    if tight and spec.head == "YOLOXHead" and spec.stride is None:
        spec = replace(spec, stride=max(spec.strides), square=False)
    runtime, _ = _open(cfg, spec, weights, engine)
    return Detector(runtime, spec, bbox_thr=bbox_thr, nms_thr=nms_thr, labels=labels)


def open_pose(
    config_file: str | Path | Mapping[str, Any],
    weights: str | Path | None,
    *,
    engine: Engine = CPU,
    flip: bool = True,
    options: Mapping[str, object] | None = None,
) -> PoseEstimator:
    """Open a top-down 2D pose model of MMPose.

    Args:
        config_file, weights, engine, options: see `open_detector`.
        flip: False leaves out the mirrored second look that the config may ask for.

    Raises:
        ConfigError, CheckpointError, DeviceError, MissingExtraError: see their texts.
    """
    cfg = load_config(config_file, options)
    spec = build.pose_spec(cfg)
    runtime, meta = _open(cfg, spec, weights, engine)
    return PoseEstimator(runtime, spec if flip else replace(spec, flip=None), _keypoint_set(cfg, meta), meta)


def load_config(source: str | Path | Mapping[str, Any], options: Mapping[str, object] | None) -> dict[str, Any]:
    """Return a config by its path, or one that is loaded already, with the options applied."""
    if isinstance(source, Mapping):
        return config.apply_options(dict(source), options or {})
    return config.load(source, options=options)


def _open(
    cfg: Mapping[str, Any], spec: build.DetectorSpec | build.PoseSpec, weights: str | Path | None, engine: Engine
) -> tuple[Runtime, Mapping[str, Any]]:
    """Open a config's network with a checkpoint's weights; return it with the checkpoint's dataset_meta."""
    file = None if weights is None else Path(weights)
    if file is None:
        _log.warning("no checkpoint is given: the network has random weights, and what it finds means nothing")

    def make() -> tuple[Any, Mapping[str, Any]]:
        network = build.network(cfg["model"], empty=file is not None)
        if file is None:
            return network, {}
        loaded = checkpoint.load(file)
        build.load_weights(network, loaded.state_dict, name=str(file))
        return network, loaded.dataset_meta

    moving = isinstance(spec, build.DetectorSpec)  # the letterbox may follow the picture's shape
    source = Source(cfg["model"], file, spec.normalisation, spec.size, moving, make)
    return open_network(source, engine, networks())


def networks() -> Cache:
    """Return the cache of networks that were prepared for engines other than torch."""
    return Cache(store.home() / "networks", store.locked)


def _keypoint_set(cfg: Mapping[str, Any], meta: Mapping[str, Any]) -> KeypointSet:
    """Return the keypoint set that the checkpoint names, else the one of the config's data set."""
    if "keypoint_id2name" in meta or "keypoint_info" in meta:
        return keypoints.from_dataset_meta(meta)
    name = meta.get("dataset_name") or build.dataset_name(cfg)
    if not name:
        raise ConfigError("neither the checkpoint nor the config says what the keypoints are (dataset_meta, metainfo)")
    return keypoints.by_mmpose_name(str(name))
