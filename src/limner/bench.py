"""The speed of this machine: each stage alone, the whole pipeline, memory, and a cold start.

Each stage is timed on the same frames, one frame in a call, as for a camera. The whole pipeline is then run
as `limner run` does: reading, estimating and drawing overlap, and every frame is drawn and encoded.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np

from .draw import DrawStyle, render
from .errors import InputError
from .pipeline import Detector, Pipeline
from .runtimes import Runtime
from .types import Boxes, Frame, MessageCallback, Result
from .video.options import TrackingOptions
from .video.pipeline import CurrentStyle, VideoPipeline
from .video.reader import VideoSource
from .video.writer import VideoWriter

MAX_LOADED_FRAMES = 60  # frames of a video that are kept in memory to time the stages
SYNTHETIC_SIZE = (1280, 720)  # (width, height) of the synthetic frames that are used where no video is given


@dataclass(frozen=True)
class Row:
    """The time of one stage for one frame."""

    stage: str
    median: float  # milliseconds
    p95: float  # milliseconds


@dataclass(frozen=True)
class Report:
    """The measurements."""

    model: str
    devices: list[str]
    frames: int
    size: tuple[int, int]  # (width, height) in pixels
    people: float  # instances a frame, on average
    stages: list[Row]
    fps: float  # of the whole pipeline, overlapped, drawn and encoded
    det_interval: int
    cold_start: float | None  # seconds of a new process from its start to a drawn image
    megabytes: float | None  # peak resident memory of this process
    machine: str

    def json(self) -> str:
        """Return the report as JSON."""
        return json.dumps(asdict(self), indent=2)

    def table(self) -> str:
        """Return the report as a text with a table."""
        width, height = self.size
        lines = [
            f"{self.model} on {' and '.join(self.devices)}, {self.machine}",
            f"{self.frames} frames of {width} x {height}, {self.people:.1f} instances a frame",
            "",
            f"{'stage':<12}{'median':>10}{'p95':>10}",
        ]
        lines += [f"{row.stage:<12}{row.median:>7.2f} ms{row.p95:>7.2f} ms" for row in self.stages]
        every = "every frame" if self.det_interval == 1 else f"every {self.det_interval}th frame"
        lines += ["", f"overlapped, drawn, encoded, detection at {every}: {self.fps:.1f} frames/s"]
        if self.cold_start is not None:
            lines.append(f"cold start, one image: {self.cold_start:.2f} s")
        if self.megabytes is not None:
            lines.append(f"peak memory: {self.megabytes:.0f} MB")
        return "\n".join(lines)


class _StageTimes:
    """Collects the times of each stage, milliseconds."""

    def __init__(self) -> None:
        self.spent: dict[str, list[float]] = {}

    def add(self, stage: str, seconds: float) -> None:
        self.spent.setdefault(stage, []).append(1e3 * seconds)

    def rows(self) -> list[Row]:
        return [
            Row(stage, statistics.median(times), float(np.percentile(times, 95))) for stage, times in self.spent.items()
        ]


class _TimedRuntime:
    """A network whose calls are timed."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime, self.device, self.seconds = runtime, runtime.device, 0.0

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        start = time.perf_counter()
        outputs = self.runtime(batch)
        self.seconds += time.perf_counter() - start
        return outputs

    def close(self) -> None:
        self.runtime.close()


class _FixedBoxes(Detector):
    """Runs a detector, and returns fixed boxes side by side in place of its results."""

    def __init__(self, detector: Detector, people: int) -> None:
        super().__init__(detector.runtime, detector.spec)
        self.detector, self.people = detector, people

    def many(self, images: Sequence[np.ndarray], *, still: bool = False) -> list[Boxes]:
        self.detector.many(images, still=still)
        return [self._side_by_side(*image.shape[:2]) for image in images]

    def _side_by_side(self, height: int, width: int) -> Boxes:
        left = np.linspace(0, width * 0.8, self.people, dtype=np.float32)
        top, bottom = np.full_like(left, height * 0.2), np.full_like(left, height * 0.8)
        xyxy = np.stack([left, top, left + np.float32(width * 0.15), bottom], axis=1)
        return Boxes(xyxy, np.ones(self.people, np.float32), np.zeros(self.people, np.int64))


def measure(
    pipeline: Pipeline,
    name: str,
    video: Path | None = None,
    *,
    frames: int = 100,
    people: int = 1,
    det_interval: int = 1,
    cold_start_arguments: Sequence[str] | None = None,
    info: MessageCallback = lambda _: None,
) -> Report:
    """Measure a pipeline.

    Args:
        pipeline: the pipeline to measure.
        name: of the model, for the report.
        video: a file; None uses synthetic frames, with ``people`` fixed boxes in place of detected ones.
        frames: how many go through each stage, and through the whole pipeline.
        people: boxes in a synthetic frame.
        det_interval: that of the whole pipeline.
        cold_start_arguments: arguments of `limner run` with which a new process opens the same model; None leaves
            the cold start out.
        info: called with the part that is being measured.

    Raises:
        InputError: the video cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="limner-bench-") as scratch:
        folder = Path(scratch)
        clip = video or synthetic_video(folder / "synthetic.mp4", min(frames, MAX_LOADED_FRAMES))
        if video is None and isinstance(pipeline.detector, Detector):
            pipeline = Pipeline(_FixedBoxes(pipeline.detector, people), pipeline.pose)
        times = _StageTimes()
        info("the stages, one by one")
        results = _time_stages(pipeline, clip, frames, times, folder)
        info("the whole pipeline")
        fps = _time_pipeline(pipeline, clip, frames, det_interval, folder / "pipeline.mp4")
        seconds = None
        if cold_start_arguments is not None:
            info("a cold start")
            seconds = _cold_start(cold_start_arguments, clip, folder)
    return Report(
        name,
        pipeline.devices,
        len(results),
        results[0].size,
        sum(map(len, results)) / len(results),
        times.rows(),
        fps,
        det_interval,
        seconds,
        _peak_megabytes(),
        f"{platform.machine()}, Python {platform.python_version()}, {platform.system()}",
    )


def synthetic_video(path: Path, frames: int) -> Path:
    """Write a video of a moving disc on a gradient; return its path."""
    width, height = SYNTHETIC_SIZE
    slope = np.linspace(0, 255, 2 * width).astype(np.uint8)
    with VideoWriter(path, 30) as writer:
        for i in range(frames):
            row = np.roll(slope, 7 * i)[:width]
            image = np.broadcast_to(row[None, :, None], (height, width, 3)).copy()
            cv2.circle(image, (100 + 9 * i % (width - 200), height // 2), 90, (60, 140, 220), -1)
            writer.write(image)
    return path


def _load_frames(clip: Path, frames: int, times: _StageTimes) -> list[Frame]:
    loaded: list[Frame] = []
    with VideoSource(clip) as source:
        start = time.perf_counter()
        for frame in islice(source, min(frames, MAX_LOADED_FRAMES)):
            times.add("read", time.perf_counter() - start)
            loaded.append(frame)
            start = time.perf_counter()
    if not loaded:
        raise InputError(f"'{clip}' has no frames")
    return loaded


def _time_stages(pipeline: Pipeline, clip: Path, frames: int, times: _StageTimes, folder: Path) -> list[Result]:
    """Time each stage alone; return the results."""
    loaded = _load_frames(clip, frames, times)
    pose, runtime = pipeline.pose, pipeline.pose.runtime
    timed = _TimedRuntime(runtime)
    results: list[Result] = []
    pose.runtime = timed
    try:
        pipeline(loaded[0].image)  # the first call of a network is slower
        with VideoWriter(folder / "stages.mp4", 30) as writer:
            for frame in islice(cycle(loaded), frames):
                start = time.perf_counter()
                boxes = pipeline.detector(frame.image)
                times.add("detect", time.perf_counter() - start)
                start = time.perf_counter()
                for first in range(0, len(boxes), 16):
                    pose.crop(boxes.xyxy[first : first + 16]).cut(frame.image, pose.spec.udp)
                crop = time.perf_counter() - start
                timed.seconds, start = 0.0, time.perf_counter()
                poses = pose(frame.image, boxes.xyxy)
                total = time.perf_counter() - start
                times.add("crop", crop)
                times.add("pose", timed.seconds)
                times.add("decode", max(0.0, total - timed.seconds - crop))
                height, width = frame.image.shape[:2]
                result = Result(boxes, poses, pipeline.keypoint_set, (width, height))
                start = time.perf_counter()
                drawn = render(frame.image, result, DrawStyle())
                times.add("draw", time.perf_counter() - start)
                start = time.perf_counter()
                writer.write(drawn)
                times.add("encode", time.perf_counter() - start)
                results.append(result)
    finally:
        pose.runtime = runtime
    return results


def _time_pipeline(pipeline: Pipeline, clip: Path, frames: int, det_interval: int, target: Path) -> float:
    """Return the frames per second of the whole pipeline."""
    count = 0
    start = time.perf_counter()
    with VideoWriter(target, Fraction(30)) as writer:
        while count < frames:
            for image in _drawn_frames(pipeline, clip, det_interval):
                if image is not None:
                    writer.write(image)
                count += 1
                if count >= frames:
                    break
        writer.close()
    return count / (time.perf_counter() - start)


def _drawn_frames(pipeline: Pipeline, clip: Path, det_interval: int) -> Iterator[np.ndarray | None]:
    with VideoPipeline(
        VideoSource(clip), pipeline, TrackingOptions(det_interval), CurrentStyle(), overwrite_frames=True
    ) as video:
        for frame_result in video.frame_results():
            yield frame_result.drawn


def _cold_start(arguments: Sequence[str], clip: Path, folder: Path) -> float | None:
    """Return the seconds that a new process takes for one image, the best of three."""
    with VideoSource(clip) as source:
        image = folder / "cold.png"
        cv2.imwrite(str(image), next(iter(source)).image)
    code = "from limner.cli import main; main()"
    command = [sys.executable, "-c", code, "run", str(image), "--out", str(folder / "cold"), "--overwrite", *arguments]
    times = []
    for _ in range(3):
        start = time.perf_counter()
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return None
        times.append(time.perf_counter() - start)
    return min(times)


def _peak_megabytes() -> float | None:
    """Return the peak resident memory of this process in megabytes, None where the system does not report it."""
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1024)
