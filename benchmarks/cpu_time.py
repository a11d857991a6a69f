"""The CPU time of a run by stage; the sum is the CPU time that the system counts for the process. Linux only.

A stage's time is that of the thread it runs in, without that of the stages inside it. Threads that limner did not
start are distinguished by when they appear: with the networks, with OpenCV, or with the video, which are FFmpeg's and
x264's. Their clocks are read every few milliseconds, since they end with the video.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import FunctionType
from typing import Any

import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from limner.crop import Crop
from limner.detection import detector
from limner.pipeline import Detector, PoseEstimator
from limner.tracking import LagSmoother, Tracker
from limner.video import colours, encoders
from limner.video import pipeline as video_pipeline
from limner.video.reader import VideoSource
from limner.video.writer import VideoWriter

# functions and the stages they belong to; the time of a stage inside another is not counted for the outer one
FUNCTIONS: tuple[tuple[Any, str, str], ...] = (
    (VideoSource, "__init__", "decode"),
    (VideoSource, "_image", "colours"),
    (detector, "letterbox", "letterbox"),
    (Crop, "cut", "crops"),
    (video_pipeline, "render", "drawing"),
    (VideoWriter, "write", "encode"),
    (VideoWriter, "close", "encode"),
)
CLASSES: tuple[tuple[type, str], ...] = (  # with all their public methods
    (Detector, "boxes, NMS"),
    (PoseEstimator, "keypoints"),
    (Tracker, "tracking"),
    (LagSmoother, "smoothing"),
)
CODECS = ("decode", "encode", "codec threads")
NETWORKS = ("networks", "network threads")
OWN = ("letterbox", "boxes, NMS", "crops", "keypoints", "tracking", "smoothing", "drawing", "OpenCV threads")
PAUSE = 0.01  # seconds between two readings of the clocks of all threads


class StageTimer:
    """Adds up the CPU time of stages over all threads."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}  # seconds
        self._here = threading.local()
        self._lock = threading.Lock()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count this thread's CPU time until the end of the ``with``, without that of the stages inside it."""
        inside: list[float] = self._here.__dict__.setdefault("inside", [])
        inside.append(0.0)
        start = time.thread_time()
        try:
            yield
        finally:
            total = time.thread_time() - start
            own = total - inside.pop()
            if inside:
                inside[-1] += total
            with self._lock:
                self.spent[name] = self.spent.get(name, 0.0) + own

    def timed(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """Return a function whose CPU time is counted."""

        @wraps(function)
        def call(*args: Any, **more: Any) -> Any:
            with self.stage(name):
                return function(*args, **more)

        return call


@contextmanager
def instrumented(timer: StageTimer) -> Iterator[None]:
    """Count the CPU time of limner's stages inside the ``with`` block."""
    originals: list[tuple[Any, str, Any]] = []

    class Reformatter:
        def __init__(self) -> None:
            self.inner = VideoReformatter()

        def reformat(self, *args: Any, **more: Any) -> Any:
            with timer.stage("colours"):
                return self.inner.reformat(*args, **more)

    def iterate(source: VideoSource) -> Iterator[Any]:
        frames = original(source)
        while True:
            with timer.stage("decode"):
                frame = next(frames, None)
            if frame is None:
                return
            yield frame

    original = VideoSource.__iter__
    changes = [(owner, name, timer.timed(vars(owner)[name], stage)) for owner, name, stage in _timed_methods()]
    changes += [(encoders, "VideoReformatter", Reformatter), (colours, "VideoReformatter", Reformatter)]
    changes += [(VideoSource, "__iter__", iterate)]
    try:
        for owner, name, new in changes:
            originals.append((owner, name, vars(owner)[name]))
            setattr(owner, name, new)
        yield
    finally:
        for owner, name, old in reversed(originals):
            setattr(owner, name, old)


def _timed_methods() -> list[tuple[Any, str, str]]:
    methods = [
        (owner, name, stage)
        for owner, stage in CLASSES
        for name, value in vars(owner).items()
        if isinstance(value, FunctionType) and (name == "__call__" or not name.startswith("_"))
    ]
    return [*FUNCTIONS, *methods]


def threads() -> set[int]:
    """Return the ids of all threads of this process."""
    return {int(name) for name in os.listdir("/proc/self/task")}


def started_by(action: Callable[[], object]) -> set[int]:
    """Return the threads that an action starts and that still run after it."""
    before = threads()
    action()
    return threads() - before


def opencv_threads() -> set[int]:
    """Make OpenCV start its threads; return their ids."""
    image = np.zeros((1080, 1920, 3), np.uint8)
    return started_by(lambda: (cv2.resize(image, (640, 360)), cv2.GaussianBlur(image, (5, 5), 2)))


class _ThreadClocks:
    """Reads the CPU clocks of all threads until it is stopped."""

    def __init__(self) -> None:
        self.last: dict[int, float] = {}
        self.python: set[int] = set()
        self.own = 0.0  # CPU seconds of reading them
        self._read()
        self.first = dict(self.last)  # threads that start later begin at 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clocks", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        self.python |= {thread.native_id for thread in threading.enumerate() if thread.native_id is not None}
        for thread in threads():
            try:
                # the clock id of a thread is its inverted thread id, followed by three bits for the kind
                self.last[thread] = time.clock_gettime((~thread << 3) | 6)
            except OSError:  # it has ended
                continue

    def _run(self) -> None:
        while not self._stopped.wait(PAUSE):
            self._read()
        self.own = time.thread_time()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        self._read()
        self.python.discard(self._thread.native_id or -1)
        self.last.pop(self._thread.native_id or -1, None)

    def spent(self, chosen: set[int]) -> float:
        return sum(self.last[t] - self.first.get(t, 0.0) for t in chosen & set(self.last))


def measure(run: Callable[[], object], timer: StageTimer, networks: set[int], opencv: set[int]) -> dict[str, float]:
    """Run something and return the CPU seconds of each stage; with "rest" the sum is that of the process.

    Args:
        run: the function to measure, with the networks' calls counted in ``timer`` as "networks".
        timer: counts the stages.
        networks, opencv: the ids of their threads, which are started before.
    """
    timer.spent.clear()
    with instrumented(timer):
        clocks = _ThreadClocks()
        start = time.process_time()
        try:
            run()
        finally:
            clocks.stop()
    total = time.process_time() - start - clocks.own
    known = set(clocks.first)
    parts = dict(timer.spent)
    parts["network threads"] = clocks.spent(networks)
    parts["OpenCV threads"] = clocks.spent(opencv)
    parts["codec threads"] = clocks.spent(set(clocks.last) - clocks.python - known)
    parts["rest"] = total - sum(parts.values())
    return parts


def shares(parts: dict[str, float]) -> dict[str, float]:
    """Return the share of each group of stages in the total."""
    total = sum(parts.values())
    groups = {"networks": NETWORKS, "codecs": CODECS, "colours": ("colours",), "limner's own": OWN, "rest": ("rest",)}
    return {group: sum(parts.get(name, 0.0) for name in names) / total for group, names in groups.items()}
