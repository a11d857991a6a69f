"""Where the processor time of a run goes, to the last second that the system counts for the process. Linux only.

Each stage's time is that of the thread it runs in, less that of the stages inside it. Threads that limner did not
start are told apart by when they appear: with the networks, with OpenCV, or with the film, which are FFmpeg's and
x264's. Their clocks are read every few milliseconds, since they end with the film.
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

from limner import pipeline
from limner.crop import Crop
from limner.pipeline import Detector, PoseEstimator
from limner.tracking import LagSmoother, Tracker
from limner.video import pipeline as video_pipeline
from limner.video import reader, writer
from limner.video.reader import VideoSource
from limner.video.writer import VideoWriter

# whose time is what; a stage that is entered inside another takes its time from that one
FUNCTIONS: tuple[tuple[Any, str, str], ...] = (
    (VideoSource, "__init__", "decode"),
    (VideoSource, "_image", "colours"),
    (pipeline, "letterbox", "letterbox"),
    (Crop, "cut", "crops"),
    (video_pipeline, "render", "drawing"),
    (VideoWriter, "write", "encode"),
    (VideoWriter, "close", "encode"),
)
CLASSES: tuple[tuple[type, str], ...] = (  # all that they do
    (Detector, "boxes, NMS"),
    (PoseEstimator, "keypoints"),
    (Tracker, "tracking"),
    (LagSmoother, "smoothing"),
)
CODECS = ("decode", "encode", "codec threads")
NETWORKS = ("networks", "network threads")
OWN = ("letterbox", "boxes, NMS", "crops", "keypoints", "tracking", "smoothing", "drawing", "OpenCV threads")
PAUSE = 0.01  # seconds between two looks at the clocks of all threads


class Ledger:
    """Adds up the processor time of stages, in whatever threads they run."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}  # seconds
        self._here = threading.local()
        self._lock = threading.Lock()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Book what this thread spends until the end of the ``with``, less what stages inside it book."""
        inside: list[float] = self._here.__dict__.setdefault("inside", [])
        inside.append(0.0)
        began = time.thread_time()
        try:
            yield
        finally:
            whole = time.thread_time() - began
            own = whole - inside.pop()
            if inside:
                inside[-1] += whole
            with self._lock:
                self.spent[name] = self.spent.get(name, 0.0) + own

    def booked(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """Return a function whose time is booked."""

        @wraps(function)
        def call(*args: Any, **more: Any) -> Any:
            with self.stage(name):
                return function(*args, **more)

        return call


@contextmanager
def watched(ledger: Ledger) -> Iterator[None]:
    """Book the time of limner's stages while the ``with`` lasts."""
    before: list[tuple[Any, str, Any]] = []

    class Reformatter:
        def __init__(self) -> None:
            self.within = VideoReformatter()

        def reformat(self, *args: Any, **more: Any) -> Any:
            with ledger.stage("colours"):
                return self.within.reformat(*args, **more)

    def iterate(source: VideoSource) -> Iterator[Any]:
        frames = original(source)
        while True:
            with ledger.stage("decode"):
                frame = next(frames, None)
            if frame is None:
                return
            yield frame

    original = VideoSource.__iter__
    changes = [(owner, name, ledger.booked(vars(owner)[name], stage)) for owner, name, stage in _places()]
    changes += [(writer, "VideoReformatter", Reformatter), (reader, "VideoReformatter", Reformatter)]
    changes += [(VideoSource, "__iter__", iterate)]
    try:
        for owner, name, new in changes:
            before.append((owner, name, vars(owner)[name]))
            setattr(owner, name, new)
        yield
    finally:
        for owner, name, old in reversed(before):
            setattr(owner, name, old)


def _places() -> list[tuple[Any, str, str]]:
    methods = [
        (owner, name, stage)
        for owner, stage in CLASSES
        for name, value in vars(owner).items()
        if isinstance(value, FunctionType) and (name == "__call__" or not name.startswith("_"))
    ]
    return [*FUNCTIONS, *methods]


def threads() -> set[int]:
    """Return the numbers of all threads of this process."""
    return {int(name) for name in os.listdir("/proc/self/task")}


def started_by(action: Callable[[], object]) -> set[int]:
    """Return the threads that an action starts and leaves behind."""
    before = threads()
    action()
    return threads() - before


def opencv_threads() -> set[int]:
    """Make OpenCV start its threads; return them."""
    image = np.zeros((1080, 1920, 3), np.uint8)
    return started_by(lambda: (cv2.resize(image, (640, 360)), cv2.GaussianBlur(image, (5, 5), 2)))


class _Clocks:
    """Reads the clocks of all threads until it is stopped."""

    def __init__(self) -> None:
        self.last: dict[int, float] = {}
        self.python: set[int] = set()
        self.own = 0.0  # seconds that reading them took
        self._style()
        self.first = dict(self.last)  # who comes later began at 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="clocks", daemon=True)
        self._thread.start()

    def _style(self) -> None:
        self.python |= {thread.native_id for thread in threading.enumerate() if thread.native_id is not None}
        for thread in threads():
            try:
                # the clock of a thread of this process has its number, inverted, before three bits for the kind
                self.last[thread] = time.clock_gettime((~thread << 3) | 6)
            except OSError:  # it has ended
                continue

    def _work(self) -> None:
        while not self._stopped.wait(PAUSE):
            self._style()
        self.own = time.thread_time()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        self._style()
        self.python.discard(self._thread.native_id or -1)
        self.last.pop(self._thread.native_id or -1, None)

    def spent(self, chosen: set[int]) -> float:
        return sum(self.last[t] - self.first.get(t, 0.0) for t in chosen & set(self.last))


def account(run: Callable[[], object], ledger: Ledger, networks: set[int], opencv: set[int]) -> dict[str, float]:
    """Run something and return the processor seconds of each stage; with "rest" they are those of the process.

    Args:
        run: what is measured, with the networks' calls booked in ``ledger`` as "networks".
        ledger: where they are booked.
        networks, opencv: threads of theirs, which are there already.
    """
    ledger.spent.clear()
    with watched(ledger):
        clocks = _Clocks()
        began = time.process_time()
        try:
            run()
        finally:
            clocks.stop()
    whole = time.process_time() - began - clocks.own
    known = set(clocks.first)
    parts = dict(ledger.spent)
    parts["network threads"] = clocks.spent(networks)
    parts["OpenCV threads"] = clocks.spent(opencv)
    parts["codec threads"] = clocks.spent(set(clocks.last) - clocks.python - known)
    parts["rest"] = whole - sum(parts.values())
    return parts


def shares(parts: dict[str, float]) -> dict[str, float]:
    """Return which part of the whole each group of stages takes."""
    whole = sum(parts.values())
    groups = {"networks": NETWORKS, "codecs": CODECS, "colours": ("colours",), "limner's own": OWN, "rest": ("rest",)}
    return {group: sum(parts.get(name, 0.0) for name in names) / whole for group, names in groups.items()}
