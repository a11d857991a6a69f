"""The whole story: a frame goes in, a Result comes out.

    source -> detect -> crop -> pose network -> decode -> Result

Each stage is a small callable that can be used alone; stages take one image, or with `many` several, whose crops
then share the calls of the network. `loading` opens the stages from a model's name, or from configs and checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from . import build, decode
from .crop import Crop, letterbox
from .draw import heatmap
from .errors import ArgumentError, ConfigError
from .keypoints import KeypointSet
from .runtimes import Runtime
from .types import Boxes, Frame, HeatmapMode, Poses, Result

BATCH = 8  # crops in one call of the pose network; on a CPU more are slower, as they leave its caches
DETECTOR_BATCH = 4  # images in one call of the detector, likewise


def _batch(runtime: Runtime, size: int) -> int:
    """Return how many images go into one call of a network for which a CPU would take ``size``."""
    return 4 * size if runtime.device.startswith("cuda") else size


class Detector:
    """Finds boxes in an image.

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
        """Return the boxes of a BGR image ``[H, W, 3]``, best first."""
        return self.many([image])[0]

    def many(self, images: Sequence[np.ndarray]) -> list[Boxes]:
        """Return the boxes of each of several BGR images; those of one shape share the calls of the network."""
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
        """Return the boxes that the network's outputs for one image mean."""
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
            boxes = boxes[decode.bbox_nms(boxes.xyxy, boxes.scores, self.nms_thr)]
        return boxes


class WholeImage:
    """Stands in for a detector where each image shows one subject: its box is the image."""

    def __call__(self, image: np.ndarray) -> Boxes:
        height, width = image.shape[:2]
        return Boxes(np.array([[0, 0, width, height]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64))

    def many(self, images: Sequence[np.ndarray]) -> list[Boxes]:
        """Return the box of each of several images."""
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

    def __call__(self, image: np.ndarray, boxes: np.ndarray, *, heatmaps: HeatmapMode = "") -> Poses:
        """Return the poses of boxes ``[N, 4]`` in a BGR image, all crops of it in few calls."""
        return self.many([image], [boxes], heatmaps=heatmaps)[0]

    def many(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray], *, heatmaps: HeatmapMode = ""
    ) -> list[Poses]:
        """Return the poses of boxes ``[N, 4]`` in each of several BGR images."""
        crops = [self.crop(of_one) for of_one in boxes]
        places = [(i, j) for i, crop in enumerate(crops) for j in range(len(crop))]
        k = len(self.keypoint_set)
        parts = [(np.zeros((0, k, 2), np.float32), np.zeros((0, k), np.float32), np.zeros((0, 1, 1, 1), np.float32))]
        step = _batch(self.runtime, BATCH)
        for start in range(0, len(places), step):
            chunk = places[start : start + step]
            # the crops of an image stand together: each image is cut once
            rows = {i: [j for n, j in chunk if n == i] for i, _ in chunk}
            cuts = [self.crop(boxes[i][js]).cut(images[i], self.spec.udp) for i, js in rows.items()]
            parts.append(self._run_network(np.concatenate(cuts), heatmaps))
        points, scores, maps = (np.concatenate(p) for p in zip(*(parts[1:] or parts), strict=True))
        poses, start = [], 0
        for crop in crops:
            own = slice(start, start + len(crop))
            poses.append(Poses(crop.to_image(points[own]), scores[own], maps[own] if heatmaps else None))
            start += len(crop)
        return poses

    def crop(self, boxes: np.ndarray) -> Crop:
        """Return the regions of an image that are looked at for boxes ``[N, 4]``."""
        return Crop.around(np.asarray(boxes, np.float32).reshape(-1, 4), self.spec.size, self.spec.padding)

    def _run_network(self, images: np.ndarray, heatmaps: HeatmapMode) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return points in input pixels, scores and heatmaps of crops ``[N, h, w, 3]``."""
        spec = self.spec
        if spec.flip is None:
            merged = self.decoder.merge(self.runtime(images))
        else:
            both = self.runtime(np.concatenate([images, images[:, :, ::-1]]))
            n = len(images)
            order = self.keypoint_set.flip_indices.tolist()
            merged = self.decoder.merge([o[:n] for o in both], [o[n:] for o in both], order)
        points, scores = self.decoder.points(merged)
        maps = self._heatmaps(merged, heatmaps, points.shape[1])
        if spec.selected is not None:
            points, scores = points[:, spec.selected], scores[:, spec.selected]
        return points, scores, maps

    def _heatmaps(self, merged: Sequence[np.ndarray], heatmaps: HeatmapMode, outputs: int) -> np.ndarray:
        """Return heatmaps ``[N, any, h, w]`` of the kind that is asked for."""
        if not heatmaps:
            return np.zeros((len(merged[0]), 1, 1, 1), np.float32)
        if self.spec.selected is not None and merged[0].shape[1] == outputs:
            merged = [values[:, self.spec.selected] for values in merged]
        if heatmaps == "strongest" and len(merged) == 2:  # SimCC, whose own product is too thin to be seen
            return heatmap.simcc_heat(merged[0], merged[1], merged=True)
        maps = self.decoder.heatmaps(merged)
        if maps is None:
            raise ArgumentError("this network gives coordinates, so there is no heat to draw: leave the heatmap out")
        return maps.max(axis=1, keepdims=True) if heatmaps == "strongest" else maps


class Pipeline:
    """Detector and pose estimator, one after the other.

    Calling it with a BGR array gives the `Result` of that image; `run` takes any number of frames.

    Args:
        detector: finds the boxes.
        pose: finds the keypoints in them.
        pose_nms: drop poses that share too many points with a better one (see `decode.nms.nearby_joints_nms`).
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
        """Return what is found in one BGR image, uint8 ``[H, W, 3]``."""
        return self.one(Frame(image))

    def run(self, frames: Iterable[Frame]) -> Iterator[Result]:
        """Yield the result of each frame, in order."""
        for frame in frames:
            yield self.one(frame)

    def one(self, frame: Frame, *, heatmaps: HeatmapMode = "") -> Result:
        """Return what is found in one frame; instances in order of box score."""
        return self.many([frame], heatmaps=heatmaps)[0]

    def many(
        self, frames: Sequence[Frame], boxes: Sequence[Boxes] | None = None, *, heatmaps: HeatmapMode = ""
    ) -> list[Result]:
        """Return what is found in several frames whose crops share the calls of the pose network.

        Args:
            frames: the images.
            boxes: take these boxes of each frame, in their order, in place of detected ones.
            heat: heatmaps that the poses shall have.
        """
        images = [frame.image for frame in frames]
        found = self.detector.many(images) if boxes is None else boxes
        poses = self.pose.many(images, [of_one.xyxy for of_one in found], heatmaps=heatmaps)
        return [self._result(*parts) for parts in zip(frames, found, poses, strict=True)]

    def _result(self, frame: Frame, boxes: Boxes, poses: Poses) -> Result:
        if self.pose_nms and len(poses):
            kept = decode.nearby_joints_nms(poses, boxes.scores)
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
