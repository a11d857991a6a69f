"""Shared by the comparisons: weights, a clip, recorded results in place of random networks', and rounds in turn."""

from __future__ import annotations

import importlib.util
import logging
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from limner import bench, build, config, loading
from limner.errors import InputError
from limner.loading import Engine
from limner.pipeline import Detector, Pipeline, PoseEstimator
from limner.runtimes.hardware import usable_cores
from limner.types import Boxes, Poses
from limner.video.options import TrackingOptions
from limner.video.pipeline import CurrentStyle, VideoPipeline
from limner.video.reader import VideoSource
from limner.video.writer import VideoWriter
from recorded_results import RecordedFrame, iou

PARITY = Path(__file__).resolve().parents[2] / "shared" / "parity"
BOX_THR = 0.3  # threshold of MMPose's demo for boxes
MISSED_FRAMES = 10  # frames for which a person whom the detector misses is kept in the recorded results

Numbers = dict[str, Any]  # what a benchmark measured, as it is kept in JSON


@dataclass(frozen=True)
class Model:
    """A network: its config, and the name of its weights in the parity data, where they can be made again."""

    config: str
    case: str


DETECTOR = Model("demo/mmdetection_cfg/yolox-s_8xb8-300e_coco-face.py", "det-yolox-s-face")
FACE = Model("configs/face_2d_keypoint/rtmpose/face6/rtmpose-m_8xb256-120e_face6-256x256.py", "face-rtmpose-m")
BODY = Model("configs/body_2d_keypoint/rtmpose/body8/rtmpose-m_8xb256-420e_body8-256x192.py", "human-rtmpose-m")


# -- weights and clips ------------------------------------------------------------------------------------------


def checkpoint(model: Model, folder: Path) -> Path:
    """Return the ``.pth`` of a network, written once: the random weights of the parity data, else torch's own."""
    path = folder / f"{model.case}.pth"
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    if (PARITY / f"{model.case}.npz").is_file():
        spec = importlib.util.spec_from_file_location("parity_weights", PARITY / "weights.py")
        if spec is not None and spec.loader is not None:
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return Path(module.write_checkpoint(model.case, path))
    import torch

    torch.manual_seed(0)
    torch.save({"state_dict": build.network(config.load(model.config)["model"]).state_dict()}, path)
    return path


def prepare_clip(video: Path | None, frames: int, folder: Path) -> Path:
    """Return a clip of the first frames of a video, or a synthetic one where none is given.

    Raises:
        InputError: the video cannot be read, or is shorter.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{video.stem if video else 'synthetic'}-{frames}.mp4"
    if video is None:
        return bench.synthetic_video(path, frames)
    with VideoSource(video) as source, VideoWriter(path, source.fps, crf=16) as writer:
        for frame in islice(source, frames):
            writer.write(frame.image)
        if writer.frames < frames:
            raise InputError(f"'{video}' has {writer.frames} frames where {frames} are requested: give fewer --frames")
    return path


# -- recorded results -------------------------------------------------------------------------------------------


class RecordedResults:
    """The results of the bundled model in each frame of a clip, by the frame's pixels."""

    def __init__(self, path: Path) -> None:
        self.frames: list[RecordedFrame] = []
        self._indices: dict[bytes, int] = {}
        pipeline = loading.load("face-lite")
        with VideoSource(path) as source:
            for frame in source:
                result = pipeline.one(frame)
                parts = (result.boxes.xyxy, result.boxes.scores, result.keypoints, result.scores)
                self._indices[_fingerprint(frame.image)] = len(self.frames)
                self.frames.append(self._with_missed_people(pipeline.pose, frame.image, RecordedFrame(*parts)))
        reader = cv2.VideoCapture(str(path))  # its colours may differ
        for i in range(len(self.frames)):
            self._indices[_fingerprint(reader.read()[1])] = i
        reader.release()
        if not any(len(recorded.boxes) for recorded in self.frames):  # a synthetic clip shows nobody
            self.frames = [_three_boxes(*source.size)] * len(self.frames)

    def _with_missed_people(self, pose: PoseEstimator, image: np.ndarray, found: RecordedFrame) -> RecordedFrame:
        """Add the poses of people detected in the last frames but not in this one, so that tracked boxes find them."""
        previous = self.frames[-1].boxes if self.frames else found.boxes[:0]
        recent = [f.detected for f in self.frames[-MISSED_FRAMES:]]
        seen = np.concatenate([found.boxes[:0], *recent])
        missed = previous[(iou(previous, found.boxes) < 0.3).all(axis=1) & (iou(previous, seen) > 0.3).any(axis=1)]
        poses = pose(image, missed)
        return RecordedFrame(
            np.concatenate([found.boxes, missed]),
            np.concatenate([found.box_scores, np.zeros(len(missed), np.float32)]),
            np.concatenate([found.points, poses.keypoints]),
            np.concatenate([found.scores, poses.scores]),
        )

    def of(self, image: np.ndarray) -> RecordedFrame:
        """Return the recorded results of a frame of the clip."""
        return self.frames[self._indices[_fingerprint(image)]]


def _fingerprint(image: np.ndarray) -> bytes:
    return image[3::41, 5::37].tobytes()


def _three_boxes(width: int, height: int) -> RecordedFrame:
    left = np.array([0.1, 0.4, 0.7], np.float32) * width
    boxes = np.stack([left, 0 * left + 0.3 * height, left + 0.2 * width, 0 * left + 0.7 * height], axis=1)
    grid = np.stack(np.meshgrid(np.linspace(0.1, 0.9, 9), np.linspace(0.1, 0.9, 9)), axis=-1).reshape(-1, 2)
    points = boxes[:, None, :2] + grid * (boxes[:, None, 2:] - boxes[:, None, :2])
    return RecordedFrame(boxes, np.ones(3, np.float32), points.astype(np.float32), np.ones((3, 81), np.float32))


class RecordedBoxes(Detector):
    """Runs a detector, and returns the recorded boxes in place of its own."""

    def __init__(self, detector: Detector, recorded: RecordedResults) -> None:
        super().__init__(
            detector.runtime,
            detector.spec,
            bbox_thr=detector.bbox_thr,
            nms_thr=detector.nms_thr,
            labels=detector.labels,
        )
        self.recorded = recorded

    def many(self, images: Sequence[np.ndarray], *, still: bool = False) -> list[Boxes]:
        super().many(images, still=still)
        frames = [self.recorded.of(image) for image in images]
        return [Boxes(f.detected, f.box_scores[f.box_scores > 0], np.zeros(len(f.detected), np.int64)) for f in frames]


class RecordedPoses(PoseEstimator):
    """Runs a pose network, and returns the recorded keypoints in place of its own."""

    def __init__(self, pose: PoseEstimator, recorded: RecordedResults) -> None:
        super().__init__(pose.runtime, pose.spec, pose.keypoint_set, pose.dataset_meta)
        self.recorded = recorded

    def many(self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray], **more: Any) -> list[Poses]:
        estimated = super().many(images, boxes, **more)
        replaced = [
            self.recorded.of(image).substitute(image_boxes, poses.keypoints, poses.scores)
            for image, image_boxes, poses in zip(images, boxes, estimated, strict=True)
        ]
        return [
            replace(poses, keypoints=points, scores=scores)
            for poses, (points, scores) in zip(estimated, replaced, strict=True)
        ]


class CountingRuntime:
    """A network whose input batches are counted.

    Args:
        runtime: the network.
        around: context manager that is entered for each call.
    """

    def __init__(self, runtime: Any, around: Callable[[], AbstractContextManager[Any]] = nullcontext) -> None:
        self.runtime, self.around = runtime, around
        self.shapes: list[tuple[int, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.runtime, name)

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        self.shapes.append(batch.shape)
        with self.around():
            return self.runtime(batch)

    @property
    def images(self) -> int:
        """Number of input images."""
        return sum(shape[0] for shape in self.shapes)


def open_pipeline(
    pose: Model,
    recorded: RecordedResults | None,
    work: Path,
    *,
    flip: bool,
    backend: str = "auto",
    half: bool = False,
    tight: bool = False,
    points: str = "recorded",
    around: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Pipeline:
    """Open YOLOX-s and a pose network, with counted inputs and recorded results.

    Args:
        pose: the pose network.
        recorded: the results to return; None returns the networks' own.
        work: folder of the weights.
        flip: use the flip test.
        backend, half: see `loading.choose_engine`.
        tight: see `loading.open_detector`.
        points: "recorded" returns the recorded keypoints, "network" the network's own.
        around: context manager that is entered for each call of a network.
    """
    engine = Engine(backend, half=half)  # as in `limner run`
    weights = checkpoint(DETECTOR, work)
    detector = loading.open_detector(
        DETECTOR.config, weights, engine=engine, bbox_thr=BOX_THR, nms_thr=BOX_THR, labels=(0,), tight=tight
    )
    estimator = loading.open_pose_estimator(pose.config, checkpoint(pose, work), engine=engine, flip=flip)
    detector.runtime, estimator.runtime = (
        CountingRuntime(detector.runtime, around),
        CountingRuntime(estimator.runtime, around),
    )
    if recorded is not None:
        detector = RecordedBoxes(detector, recorded)
        estimator = RecordedPoses(estimator, recorded) if points == "recorded" else estimator
    return Pipeline(detector, estimator)


def run_limner(pipeline: Pipeline, path: Path, interval: int, target: Path | None) -> int:
    """Run a clip as `limner run` does, drawn and encoded into ``target`` if given; return the number of frames."""
    count = 0
    source = VideoSource(path)
    fps = source.fps
    video = VideoPipeline(
        source, pipeline, TrackingOptions(interval), CurrentStyle(), draws=target is not None, overwrite_frames=True
    )
    with video, VideoWriter(target, fps) if target is not None else nullcontext() as writer:
        for frame_result in video.frame_results():
            if writer is not None and frame_result.drawn is not None:
                writer.write(frame_result.drawn, frame_result.frame.timestamp)
            count += 1
    return count


# -- rounds -----------------------------------------------------------------------------------------------------


def run_in_turns(
    systems: Mapping[str, Callable[[], object]], rounds: int, info: Callable[[str], None] = print
) -> dict[str, list[float]]:
    """Run systems one after the other, round by round; return the seconds of each, without those of the first round."""
    spent: dict[str, list[float]] = {name: [] for name in systems}
    for i in range(rounds + 1):
        for name, run in systems.items():
            start = time.perf_counter()
            run()
            seconds = time.perf_counter() - start
            if i:
                spent[name].append(seconds)
        info(f"round {i} of {rounds}" if i else "warm-up done")
    return spent


def medians(spent: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return the median of each list."""
    return {name: statistics.median(values) for name, values in spent.items()}


def time_ratio(spent: Mapping[str, Sequence[float]], a: str, b: str) -> float:
    """Return the time of ``a`` divided by that of ``b``: the median over the rounds of their ratio in one round."""
    return statistics.median(x / y for x, y in zip(spent[a], spent[b], strict=True))


def machine() -> str:
    """Return a description of this machine."""
    return f"{_processor()}, {usable_cores()} cores, {platform.system()}, Python {platform.python_version()}"


def _processor() -> str:
    for line in _lines(Path("/proc/cpuinfo")):
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def _lines(path: Path) -> Iterator[str]:
    if path.is_file():
        yield from path.read_text(encoding="utf-8", errors="replace").splitlines()


@contextmanager
def quiet() -> Iterator[None]:
    """Hide limner's log messages about random weights and exports."""
    log = logging.getLogger("limner")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
