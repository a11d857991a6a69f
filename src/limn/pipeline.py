"""The whole story: a frame goes in, a Result comes out.

    source -> detect -> crop -> pose network -> decode -> Result

`load` makes a `Pipeline` from a model's name; `open_detector` and `open_pose` make its stages from
MMDetection's and MMPose's own config files and checkpoints. Each stage is a small callable that can be
used alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from . import build, bundled, checkpoint, config, decode, keypoints
from .crop import Crop, letterbox
from .errors import ArgumentError, ConfigError
from .keypoints import KeypointSet
from .runtimes import Runtime
from .types import Boxes, Frame, Poses, Result

BATCH = 16  # crops in one call of the pose network; more gains nothing on a CPU and costs memory


class Detector:
    """Finds boxes in a picture.

    Args:
        runtime: the network.
        spec: what its config says.
        bbox_thr: boxes must score above it.
        nms_thr: boxes that overlap a better one by more than this IoU are dropped, whatever their
            class, after the config's own suppression; None leaves that out.
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
        spec = self.spec
        canvas, factor = letterbox(image, spec.size, spec.pad_value, spec.stride, spec.square)
        outputs = [o[0] for o in self.runtime(canvas[None])]
        n = len(spec.strides)
        levels = [outputs[i : i + n] for i in range(0, len(outputs), n)]
        settings: dict[str, Any] = {
            "strides": spec.strides,
            "factor": factor,
            # a box below the threshold cannot suppress one above it, so it may go before the suppression
            "score_thr": max(spec.score_thr, self.bbox_thr),
            "iou_threshold": spec.iou_threshold,
            "max_per_img": spec.max_per_img,
        }
        if spec.head == "YOLOXHead":
            boxes = decode.grid_offsets(*levels, **settings)
        else:
            limit = (canvas.shape[1], canvas.shape[0])
            pre = 1000 if spec.nms_pre is None else spec.nms_pre
            boxes = decode.grid_distances(*levels, **settings, limit=limit, nms_pre=pre, min_size=spec.min_size)
        if self.labels is not None:
            boxes = boxes[np.isin(boxes.labels, self.labels)]
        if self.nms_thr is not None:
            boxes = boxes[decode.nms(boxes.xyxy, boxes.scores, self.nms_thr)]
        return boxes


class WholeImage:
    """Stands in for a detector where each picture shows one subject: its box is the picture."""

    def __call__(self, image: np.ndarray) -> Boxes:
        height, width = image.shape[:2]
        return Boxes(np.array([[0, 0, width, height]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64))


class PoseEstimator:
    """Finds the keypoints inside given boxes."""

    def __init__(self, runtime: Runtime, spec: build.PoseSpec, keypoint_set: KeypointSet) -> None:
        if spec.keypoints != len(keypoint_set):
            raise ConfigError(
                f"the network gives {spec.keypoints} keypoints, but '{keypoint_set.name}' has {len(keypoint_set)}"
            )
        self.runtime, self.spec, self.keypoint_set = runtime, spec, keypoint_set
        self.decoder = build.decoder(spec.codec, spec.flip)

    def __call__(self, image: np.ndarray, boxes: np.ndarray) -> Poses:
        """Return the poses of boxes ``[N, 4]`` in a BGR picture, all crops of it in few calls."""
        if not len(boxes):
            k = len(self.keypoint_set)
            return Poses(np.zeros((0, k, 2), np.float32), np.zeros((0, k), np.float32))
        parts = [self._batch(image, boxes[i : i + BATCH]) for i in range(0, len(boxes), BATCH)]
        points, scores = zip(*parts, strict=True)
        return Poses(np.concatenate(points), np.concatenate(scores))

    def _batch(self, image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        spec = self.spec
        crop = Crop.around(boxes, spec.size, spec.padding)
        pictures = crop.cut(image, spec.udp)
        if spec.flip is None:
            merged = self.decoder.merge(self.runtime(pictures))
        else:
            both = self.runtime(np.concatenate([pictures, pictures[:, :, ::-1]]))
            n = len(pictures)
            order = self.keypoint_set.flip_indices.tolist()
            merged = self.decoder.merge([o[:n] for o in both], [o[n:] for o in both], order)
        points, scores = self.decoder.points(merged)
        if spec.selected is not None:
            points, scores = points[:, spec.selected], scores[:, spec.selected]
        return crop.to_picture(points), scores


class Pipeline:
    """Detector and pose estimator, one after the other.

    Calling it with a BGR array gives the `Result` of that picture; `run` takes any number of frames.
    """

    def __init__(self, detector: Detector | WholeImage, pose: PoseEstimator) -> None:
        self.detector, self.pose = detector, pose

    @property
    def keypoint_set(self) -> KeypointSet:
        return self.pose.keypoint_set

    def __call__(self, image: np.ndarray) -> Result:
        """Return what is found in one BGR picture, uint8 ``[H, W, 3]``."""
        return self.one(Frame(image))

    def run(self, frames: Iterable[Frame]) -> Iterator[Result]:
        """Yield the result of each frame, in order."""
        for frame in frames:
            yield self.one(frame)

    def one(self, frame: Frame) -> Result:
        """Return what is found in one frame; instances in order of box score."""
        boxes = self.detector(frame.image)
        poses = self.pose(frame.image, boxes.xyxy)
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


def load(model: str = bundled.DEFAULT, *, bbox_thr: float | None = None) -> Pipeline:
    """Load a model by name.

    Args:
        model: a name that `limn models list` shows.
        bbox_thr: boxes must score above it; None takes the model's own threshold.

    Raises:
        ModelError: there is no such model.
        ArgumentError: the threshold is not in 0..1.
    """
    from .runtimes.onnx import OnnxRuntime

    files = bundled.find(model)
    threshold = files.bbox_thr if bbox_thr is None else bbox_thr
    if not 0 <= threshold <= 1:
        raise ArgumentError(f"the box threshold must lie in 0..1, not {threshold}")
    detector = build.detector_spec(config.load(files.detector_config))
    pose = build.pose_spec(config.load(files.pose_config))
    return Pipeline(
        Detector(OnnxRuntime(files.detector), detector, bbox_thr=threshold),
        PoseEstimator(OnnxRuntime(files.pose), pose, keypoints.load(files.keypoint_set)),
    )


def open_detector(
    config_file: str | Path,
    weights: str | Path,
    *,
    device: str = "cpu",
    bbox_thr: float = 0.0,
    nms_thr: float | None = None,
    labels: Sequence[int] | None = None,
    options: Mapping[str, object] | None = None,
) -> Detector:
    """Open a detector of MMDetection's RTMDet or YOLOX family.

    Args:
        config_file: a path, or one of limn's own configs.
        weights: a ``.pth`` file.
        device: "cpu", "cuda:0" ...
        bbox_thr, nms_thr, labels: see `Detector`.
        options: overrides of the config by dotted names, as ``--cfg-options`` takes them.

    Raises:
        ConfigError, CheckpointError, DeviceError, MissingExtraError: see their texts.
    """
    cfg = config.load(config_file, options=options)
    spec = build.detector_spec(cfg)
    runtime, _ = _open(cfg, spec.normalisation, weights, device)
    return Detector(runtime, spec, bbox_thr=bbox_thr, nms_thr=nms_thr, labels=labels)


def open_pose(
    config_file: str | Path,
    weights: str | Path,
    *,
    device: str = "cpu",
    flip: bool = True,
    options: Mapping[str, object] | None = None,
) -> PoseEstimator:
    """Open a top-down 2D pose model of MMPose.

    Args:
        config_file, weights, device, options: see `open_detector`.
        flip: False leaves out the mirrored second look that the config may ask for.

    Raises:
        ConfigError, CheckpointError, DeviceError, MissingExtraError: see their texts.
    """
    cfg = config.load(config_file, options=options)
    spec = build.pose_spec(cfg)
    runtime, meta = _open(cfg, spec.normalisation, weights, device)
    return PoseEstimator(runtime, spec if flip else replace(spec, flip=None), _keypoint_set(cfg, meta))


def _open(
    cfg: Mapping[str, Any], colours: build.Normalisation, weights: str | Path, device: str
) -> tuple[Runtime, Mapping[str, Any]]:
    """Build a config's network with a checkpoint's weights; return it with the checkpoint's dataset_meta."""
    from .runtimes.torch import TorchRuntime, find_device

    find_device(device)
    network = build.network(cfg["model"])
    loaded = checkpoint.load(weights)
    build.load_weights(network, loaded.state_dict, name=str(weights))
    return TorchRuntime(network, colours.mean, colours.std, colours.to_rgb, device), loaded.dataset_meta


def _keypoint_set(cfg: Mapping[str, Any], meta: Mapping[str, Any]) -> KeypointSet:
    """Return the keypoint set that the checkpoint names, else the one of the config's data set."""
    if "keypoint_id2name" in meta or "keypoint_info" in meta:
        return keypoints.from_dataset_meta(meta)
    name = meta.get("dataset_name") or build.dataset_name(cfg)
    if not name:
        raise ConfigError("neither the checkpoint nor the config says what the keypoints are (dataset_meta, metainfo)")
    return keypoints.by_mmpose_name(str(name))
