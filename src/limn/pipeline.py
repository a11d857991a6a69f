"""The whole story: a frame goes in, a Result comes out.

    source -> detect -> crop -> pose network -> decode -> Result

`load` makes a `Pipeline` from a model's name. Each stage is a small callable that can be used alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import bundled, config, decode, keypoints
from .crop import Crop, Size, letterbox
from .errors import ArgumentError
from .keypoints import KeypointSet
from .runtimes import Runtime
from .runtimes.onnx import OnnxRuntime
from .types import Boxes, Frame, Poses, Result

BATCH = 16  # crops in one call of the pose network; more gains nothing on a CPU and costs memory


@dataclass(frozen=True)
class DetectorSpec:
    """What a detector's config says about its input and output."""

    size: Size  # (width, height) of the input
    pad_value: tuple[int, int, int]
    divisor: int | None  # pad to multiples of it; None pads to ``size``
    strides: tuple[int, ...]
    score_thr: float
    iou_threshold: float
    nms_pre: int
    max_per_img: int

    @classmethod
    def of(cls, cfg: Mapping[str, Any]) -> DetectorSpec:
        """Read an RTMDet config."""
        steps = {step["type"]: step for step in cfg["test_pipeline"]}
        test = cfg["model"]["test_cfg"]
        return cls(
            size=tuple(steps["Resize"]["scale"]),
            pad_value=tuple(steps["Pad"]["pad_val"]["img"]),
            divisor=steps["Pad"].get("size_divisor"),
            strides=tuple(cfg["model"]["bbox_head"]["anchor_generator"]["strides"]),
            score_thr=test["score_thr"],
            iou_threshold=test["nms"]["iou_threshold"],
            nms_pre=test["nms_pre"],
            max_per_img=test["max_per_img"],
        )


class Detector:
    """Finds boxes in a picture."""

    def __init__(self, runtime: Runtime, spec: DetectorSpec, min_score: float) -> None:
        self.runtime, self.spec, self.min_score = runtime, spec, min_score

    def __call__(self, image: np.ndarray) -> Boxes:
        """Return the boxes of a BGR picture ``[H, W, 3]``, best first."""
        spec = self.spec
        canvas, factor = letterbox(image, spec.size, spec.pad_value, spec.divisor)
        outputs = self.runtime(canvas[None])
        levels = len(spec.strides)
        height, width = image.shape[:2]
        return decode.grid_distances(
            [o[0] for o in outputs[:levels]],
            [o[0] for o in outputs[levels:]],
            strides=spec.strides,
            factor=factor,
            limit=(round(width * factor[0]), round(height * factor[1])),
            score_thr=max(spec.score_thr, self.min_score),
            iou_threshold=spec.iou_threshold,
            nms_pre=spec.nms_pre,
            max_per_img=spec.max_per_img,
        )


@dataclass(frozen=True)
class PoseSpec:
    """What a pose network's config says about its input and output."""

    size: Size  # (width, height) of the input
    padding: float  # a box is widened by it
    split_ratio: float  # SimCC bins a pixel

    @classmethod
    def of(cls, cfg: Mapping[str, Any]) -> PoseSpec:
        """Read an RTMPose config."""
        steps = {step["type"]: step for step in cfg["val_pipeline"]}
        return cls(
            size=tuple(cfg["codec"]["input_size"]),
            padding=steps["GetBBoxCenterScale"].get("padding", 1.25),
            split_ratio=cfg["codec"]["simcc_split_ratio"],
        )


class PoseEstimator:
    """Finds the keypoints inside given boxes."""

    def __init__(self, runtime: Runtime, spec: PoseSpec, keypoint_set: KeypointSet) -> None:
        self.runtime, self.spec, self.keypoint_set = runtime, spec, keypoint_set

    def __call__(self, image: np.ndarray, boxes: np.ndarray) -> Poses:
        """Return the poses of boxes ``[N, 4]`` in a BGR picture, all crops of it in few calls."""
        if not len(boxes):
            k = len(self.keypoint_set)
            return Poses(np.zeros((0, k, 2), np.float32), np.zeros((0, k), np.float32))
        parts = [self._batch(image, boxes[i : i + BATCH]) for i in range(0, len(boxes), BATCH)]
        points, scores = zip(*parts, strict=True)
        return Poses(np.concatenate(points), np.concatenate(scores))

    def _batch(self, image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        crop = Crop.around(boxes, self.spec.size, self.spec.padding)
        simcc_x, simcc_y = self.runtime(crop.cut(image))
        points, scores = decode.simcc(simcc_x, simcc_y, self.spec.split_ratio)
        return crop.to_picture(points), scores


class Pipeline:
    """Detector and pose estimator, one after the other.

    Calling it with a BGR array gives the `Result` of that picture; `run` takes any number of frames.
    """

    def __init__(self, detector: Detector, pose: PoseEstimator) -> None:
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
    files = bundled.find(model)
    threshold = files.bbox_thr if bbox_thr is None else bbox_thr
    if not 0 <= threshold <= 1:
        raise ArgumentError(f"the box threshold must lie in 0..1, not {threshold}")
    det, pose = (config.load(Path(c)) for c in (files.detector_config, files.pose_config))
    return Pipeline(
        Detector(OnnxRuntime(files.detector), DetectorSpec.of(det), threshold),
        PoseEstimator(OnnxRuntime(files.pose), PoseSpec.of(pose), keypoints.load(files.keypoint_set)),
    )
