"""What this machine reaches: each stage alone, all of them overlapped, memory, and a cold start.

Each stage is timed in turn on the same frames, one frame a call, as a camera's frames come. The whole is then run
as `limner run` would: reading, finding and drawing overlap, and every frame is drawn and encoded.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
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
from .types import Boxes, Frame, Result
from .video.options import TrackingOptions
from .video.pipeline import CurrentStyle, VideoPipeline
from .video.reader import VideoSource
from .video.writer import VideoWriter

HELD = 60  # frames of a video that are held in memory for the stages
MADE = (1280, 720)  # size of the frames that are made up where no video is given


@dataclass(frozen=True)
class Row:
    """How long one stage takes for one frame."""

    stage: str
    median: float  # milliseconds
    p95: float  # milliseconds


@dataclass(frozen=True)
class Report:
    """What was measured."""

    model: str
    devices: list[str]
    frames: int
    size: tuple[int, int]  # (width, height) in pixels
    people: float  # instances a frame, on average
    stages: list[Row]
    fps: float  # of the whole, overlapped, drawn and encoded
    det_interval: int
    cold_start: float | None  # seconds from nothing to a drawn image, in a fresh process
    megabytes: float | None  # peak resident memory of this process
    machine: str

    def json(self) -> str:
        """Return the report as JSON."""
        return json.dumps(asdict(self), indent=2)

    def table(self) -> str:
        """Return the report as a table for people."""
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


class _Clock:
    """Collects the times of each stage."""

    def __init__(self) -> None:
        self.spent: dict[str, list[float]] = {}

    def add(self, stage: str, seconds: float) -> None:
        self.spent.setdefault(stage, []).append(1e3 * seconds)

    def rows(self) -> list[Row]:
        return [
            Row(stage, statistics.median(times), float(np.percentile(times, 95))) for stage, times in self.spent.items()
        ]


class _Timed:
    """A network that notes how long each call takes."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime, self.device, self.seconds = runtime, runtime.device, 0.0

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        began = time.perf_counter()
        outputs = self.runtime(batch)
        self.seconds += time.perf_counter() - began
        return outputs

    def close(self) -> None:
        self.runtime.close()


class _StandIns(Detector):
    """Runs a detector, and gives boxes side by side in place of what it finds."""

    def __init__(self, detector: Detector, people: int) -> None:
        super().__init__(detector.runtime, detector.spec)
        self.detector, self.people = detector, people

    def many(self, images: Sequence[np.ndarray]) -> list[Boxes]:
        self.detector.many(images)
        return [self._side_by_side(*image.shape[:2]) for image in images]

    def _side_by_side(self, height: int, width: int) -> Boxes:
        left = np.linspace(0, width * 0.8, self.people, dtype=np.float32)
        top, bottom = np.full_like(left, height * 0.2), np.full_like(left, height * 0.8)
        xyxy = np.stack([left, top, left + np.float32(width * 0.15), bottom], axis=1)
        return Boxes(xyxy, np.ones(self.people, np.float32), np.zeros(self.people, np.int64))


def measure(
    stages: Pipeline,
    name: str,
    video: Path | None = None,
    *,
    frames: int = 100,
    people: int = 1,
    det_interval: int = 1,
    cold: Sequence[str] | None = None,
    info: Callable[[str], None] = lambda _: None,
) -> Report:
    """Measure a pipeline.

    Args:
        stages: what is measured.
        name: of the model, for the report.
        video: a file; None makes up frames, in which ``people`` boxes stand in for what would be found.
        frames: how many go through each stage, and through the whole.
        people: boxes a made-up frame has.
        det_interval: the detector's, in the whole.
        cold: arguments of `limner run` that make a fresh process open the same model; None leaves that out.
        say: called with what is being measured.

    Raises:
        InputError: the video cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="limner-bench-") as scratch:
        folder = Path(scratch)
        clip = video or _made_up(folder / "made.mp4", min(frames, HELD))
        if video is None and isinstance(stages.detector, Detector):
            stages = Pipeline(_StandIns(stages.detector, people), stages.pose)
        clock = _Clock()
        info("the stages, one by one")
        results = _stages(stages, clip, frames, clock, folder)
        info("the whole")
        fps = _whole(stages, clip, frames, det_interval, folder / "whole.mp4")
        seconds = None
        if cold is not None:
            info("a cold start")
            seconds = _cold(cold, clip, folder)
    return Report(
        name,
        stages.devices,
        len(results),
        results[0].size,
        sum(map(len, results)) / len(results),
        clock.rows(),
        fps,
        det_interval,
        seconds,
        _peak(),
        f"{platform.machine()}, Python {platform.python_version()}, {platform.system()}",
    )


def _made_up(path: Path, frames: int) -> Path:
    """Write a video of something that moves."""
    width, height = MADE
    slope = np.linspace(0, 255, 2 * width).astype(np.uint8)
    with VideoWriter(path, 30) as sink:
        for i in range(frames):
            row = np.roll(slope, 7 * i)[:width]
            image = np.broadcast_to(row[None, :, None], (height, width, 3)).copy()
            cv2.circle(image, (100 + 9 * i % (width - 200), height // 2), 90, (60, 140, 220), -1)
            sink.write(image)
    return path


def _read(clip: Path, frames: int, clock: _Clock) -> list[Frame]:
    held: list[Frame] = []
    with VideoSource(clip) as source:
        began = time.perf_counter()
        for frame in islice(source, min(frames, HELD)):
            clock.add("read", time.perf_counter() - began)
            held.append(frame)
            began = time.perf_counter()
    if not held:
        raise InputError(f"'{clip}' has no frames")
    return held


def _stages(stages: Pipeline, clip: Path, frames: int, clock: _Clock, folder: Path) -> list[Result]:
    """Time each stage alone; return what was found."""
    held = _read(clip, frames, clock)
    pose, runtime = stages.pose, stages.pose.runtime
    timed = _Timed(runtime)
    results: list[Result] = []
    pose.runtime = timed
    try:
        stages(held[0].image)  # the first call of a network is slower
        with VideoWriter(folder / "stages.mp4", 30) as sink:
            for frame in islice(cycle(held), frames):
                began = time.perf_counter()
                boxes = stages.detector(frame.image)
                clock.add("detect", time.perf_counter() - began)
                began = time.perf_counter()
                for start in range(0, len(boxes), 16):
                    pose.crop(boxes.xyxy[start : start + 16]).cut(frame.image, pose.spec.udp)
                crop = time.perf_counter() - began
                timed.seconds, began = 0.0, time.perf_counter()
                poses = pose(frame.image, boxes.xyxy)
                whole = time.perf_counter() - began
                clock.add("crop", crop)
                clock.add("pose", timed.seconds)
                clock.add("decode", max(0.0, whole - timed.seconds - crop))
                height, width = frame.image.shape[:2]
                result = Result(boxes, poses, stages.keypoint_set.name, (width, height))
                began = time.perf_counter()
                drawn = render(frame.image, result, pose, DrawStyle())
                clock.add("draw", time.perf_counter() - began)
                began = time.perf_counter()
                sink.write(drawn)
                clock.add("encode", time.perf_counter() - began)
                results.append(result)
    finally:
        pose.runtime = runtime
    return results


def _whole(stages: Pipeline, clip: Path, frames: int, det_interval: int, target: Path) -> float:
    """Return the frames a second of everything at once."""
    done = 0
    began = time.perf_counter()
    with VideoWriter(target, Fraction(30)) as sink:
        while done < frames:
            for frame_result in _shots(stages, clip, det_interval):
                if frame_result is not None:
                    sink.write(frame_result)
                done += 1
                if done >= frames:
                    break
        sink.close()
    return done / (time.perf_counter() - began)


def _shots(stages: Pipeline, clip: Path, det_interval: int) -> Iterator[np.ndarray | None]:
    with VideoPipeline(
        VideoSource(clip), stages, TrackingOptions(det_interval), CurrentStyle(), overwrite_frames=True
    ) as video:
        for frame_result in video.frame_results():
            yield frame_result.drawn


def _cold(arguments: Sequence[str], clip: Path, folder: Path) -> float | None:
    """Return the seconds that a fresh process takes for one image, the best of three."""
    with VideoSource(clip) as source:
        image = folder / "cold.png"
        cv2.imwrite(str(image), next(iter(source)).image)
    code = "from limner.cli import main; main()"
    command = [sys.executable, "-c", code, "run", str(image), "--out", str(folder / "cold"), *arguments]
    times = []
    for _ in range(3):
        began = time.perf_counter()
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return None
        times.append(time.perf_counter() - began)
    return min(times)


def _peak() -> float | None:
    """Return the peak resident memory of this process in megabytes, where the system tells."""
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1024)
