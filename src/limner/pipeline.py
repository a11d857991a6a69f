"""The pipeline from a frame to its Result.

    source -> detect -> crop -> pose network -> decode -> Result

Each stage is a small callable that can be used alone; stages take one image, or with `many` several, whose crops
then share the calls of the network. `loading` opens the stages from a model's name, or from configs and checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np

from . import build, decode
from .crop import Crop
from .detection import DETECTOR_BATCH as DETECTOR_BATCH
from .detection import Detector as Detector
from .detection import DetectorOptions as DetectorOptions
from .detection import NoDetector as NoDetector
from .detection import WholeImage as WholeImage
from .draw import heatmap
from .errors import ArgumentError, ConfigError
from .keypoints import KeypointSet
from .runtimes import Runtime, batch_size
from .types import Boxes, Frame, HeatmapMode, MessageCallback, Poses, Result

BATCH = 8  # crops in one call of the pose network; more are slower on a CPU, as they do not fit its caches


class PoseEstimator:
    """Finds the keypoints inside given boxes.

    Args:
        runtime: the network.
        spec: the settings from its config.
        keypoint_set: names, skeleton and colours of its keypoints.
        dataset_meta: the checkpoint's description of its data set, in MMPose's form.
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
        self.weights: Path | None = None  # the file of its network, where that is known

    def __call__(self, image: np.ndarray, boxes: np.ndarray, *, heatmaps: HeatmapMode = "") -> Poses:
        """Return the poses of boxes ``[N, 4]`` in a BGR image, all crops of it in few calls."""
        return self.many([image], [boxes], heatmaps=heatmaps)[0]

    def many(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray], *, heatmaps: HeatmapMode = ""
    ) -> list[Poses]:
        """Return the poses of boxes ``[N, 4]`` in each of several BGR images."""
        crops = [self.crop(image_boxes) for image_boxes in boxes]
        positions = [(i, j) for i, crop in enumerate(crops) for j in range(len(crop))]
        k = len(self.keypoint_set)
        parts = [(np.zeros((0, k, 2), np.float32), np.zeros((0, k), np.float32), np.zeros((0, 1, 1, 1), np.float32))]
        step = batch_size(self.runtime, BATCH)
        for start in range(0, len(positions), step):
            chunk = positions[start : start + step]
            # the crops of an image are neighbours, so each image is warped in one go
            rows = {i: [j for n, j in chunk if n == i] for i, _ in chunk}
            warped = [self.crop(boxes[i][js]).cut(images[i], self.spec.udp) for i, js in rows.items()]
            parts.append(self._run_network(np.concatenate(warped), heatmaps))
        points, scores, maps = (np.concatenate(p) for p in zip(*(parts[1:] or parts), strict=True))
        poses, start = [], 0
        for crop in crops:
            rows_of_image = slice(start, start + len(crop))
            keypoints = crop.to_image(points[rows_of_image])
            poses.append(Poses(keypoints, scores[rows_of_image], maps[rows_of_image] if heatmaps else None))
            start += len(crop)
        return poses

    def crop(self, boxes: np.ndarray) -> Crop:
        """Return the regions of an image that the network gets for boxes ``[N, 4]``."""
        return Crop.around(np.asarray(boxes, np.float32).reshape(-1, 4), self.spec.size, self.spec.padding)

    def _run_network(self, images: np.ndarray, heatmaps: HeatmapMode) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return keypoints in input pixels, scores and heatmaps of crops ``[N, h, w, 3]``."""
        spec = self.spec
        if spec.flip is None:
            merged = self.decoder.merge(self.runtime(images))
        else:
            both = self.runtime(np.concatenate([images, images[:, :, ::-1]]))
            n = len(images)
            order = spec.flip_order(self.keypoint_set.flip_indices.tolist())
            merged = self.decoder.merge([o[:n] for o in both], [o[n:] for o in both], order)
        points, scores = self.decoder.points(merged)
        if spec.bounded_scores:
            scores = decode.bounded(scores)
        maps = self._heatmaps(merged, heatmaps, points.shape[1])
        if spec.selected is not None:
            points, scores = points[:, spec.selected], scores[:, spec.selected]
        return points, scores, maps

    def _heatmaps(self, merged: Sequence[np.ndarray], heatmaps: HeatmapMode, outputs: int) -> np.ndarray:
        """Return heatmaps ``[N, any, h, w]`` of the requested kind."""
        if not heatmaps:
            return np.zeros((len(merged[0]), 1, 1, 1), np.float32)
        if self.spec.selected is not None and merged[0].shape[1] == outputs:
            merged = [values[:, self.spec.selected] for values in merged]
        if heatmaps == "strongest" and len(merged) == 2:  # SimCC, whose own peaks are too narrow to see
            return heatmap.wide_simcc_heatmaps(merged[0], merged[1], merged=True)
        maps = self.decoder.heatmaps(merged)
        if maps is None:
            raise ArgumentError(
                "this model predicts coordinates and no heatmaps, so none can be drawn: leave draw_heatmap out"
            )
        return maps.max(axis=1, keepdims=True) if heatmaps == "strongest" else maps


class Pipeline:
    """Detector and pose estimator, one after the other.

    Calling it with a BGR array gives the `Result` of that image; `run` takes any number of frames.

    Args:
        detector: finds the boxes.
        pose: finds the keypoints in them.
        pose_nms: drop poses that share too many keypoints with a better one (see `decode.nms.nearby_joints_nms`).
    """

    def __init__(
        self, detector: Detector | WholeImage | NoDetector, pose: PoseEstimator, *, pose_nms: bool = False
    ) -> None:
        self.detector, self.pose, self.pose_nms = detector, pose, pose_nms

    @property
    def keypoint_set(self) -> KeypointSet:
        return self.pose.keypoint_set

    @property
    def devices(self) -> list[str]:
        """The devices that run the networks, such as "cpu (torch)", without repetition."""
        runtimes = [self.pose.runtime, *([self.detector.runtime] if isinstance(self.detector, Detector) else [])]
        return list(dict.fromkeys(runtime.device for runtime in runtimes))

    def with_detector_options(self, options: DetectorOptions, info: MessageCallback | None = None) -> Pipeline:
        """Return a pipeline with the same networks whose detector looks at images in another way.

        Args:
            options: the size of the detector's input, tiles, and how many boxes it returns.
            info: see `Detector`.

        Raises:
            ArgumentError: the options need a detector, or another one.
        """
        pipeline = copy(self)
        if isinstance(self.detector, Detector):
            pipeline.detector = self.detector.with_options(options, info)
        else:
            options.check_unused()
        return pipeline

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
            boxes: the boxes of each frame, kept in their order; None runs the detector.
            heatmaps: which heatmaps the poses have.
        """
        images = [frame.image for frame in frames]
        boxes = self.detect(frames, still=True) if boxes is None else boxes
        poses = self.pose.many(images, [image_boxes.xyxy for image_boxes in boxes], heatmaps=heatmaps)
        return [self.result(*parts) for parts in zip(frames, boxes, poses, strict=True)]

    def detect(self, frames: Sequence[Frame], *, still: bool = False) -> list[Boxes]:
        """Return the boxes of each of several frames, which may be still images."""
        images = [frame.image for frame in frames]
        if still and isinstance(self.detector, Detector):
            return self.detector.many(images, still=True)
        return self.detector.many(images)

    def result(self, frame: Frame, boxes: Boxes, poses: Poses) -> Result:
        """Return the result of a frame whose boxes and poses were found."""
        if self.pose_nms and len(poses):
            kept = decode.nearby_joints_nms(poses, boxes.scores)
            boxes, poses = boxes[kept], poses[kept]
        height, width = frame.image.shape[:2]
        return Result(
            boxes,
            poses,
            self.keypoint_set,
            (width, height),
            source=frame.source,
            index=frame.index,
            timestamp=frame.timestamp,
        )
