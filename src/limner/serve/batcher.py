"""The one place where the networks run: images of all clients, in fair turns, several to a call.

Two threads take turns: one takes the works whose turn it is, up to a batch, and runs the detector and then the pose
network on all of them; meanwhile the other one does so with the next, as a core would rest while boxes are sorted and
crops are cut. They wait a few milliseconds for images that are known to be on their way, and not at all otherwise. What
they cannot do soon enough is refused when it is asked, see `BusyError`, instead of being queued.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import LimnerError
from ..pipeline import Pipeline, PoseEstimator
from ..types import Boxes, Frame, HeatmapMode, Poses, Result
from .turns import Client, Turns

_WORKERS = 2  # more would only take the cores from each other
_SMOOTHING = 0.2  # of the last batch in the average of what an image takes


class BusyError(LimnerError):
    """The server has more to do than it can do soon; ask again after ``retry_after`` seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = max(1, math.ceil(retry_after))


@dataclass(eq=False)
class Work:
    """What the networks have to do for one client."""

    client: Client
    pipeline: Pipeline
    frames: Sequence[Frame]
    boxes: Sequence[Boxes] | None = None  # of each frame; None runs the detector
    poses: bool = True  # False wants the boxes alone
    still: bool = False
    heatmaps: HeatmapMode = ""
    since: float = field(default_factory=time.perf_counter)
    future: Future[Any] = field(default_factory=Future)  # the boxes, poses of each frame, seconds waited and at work

    def alike(self, other: Work) -> bool:
        """Return whether two works can share the calls of the networks."""
        detects = self.boxes is None and other.boxes is None
        return (
            self.pipeline is other.pipeline
            and self.heatmaps == other.heatmaps
            and (self.still == other.still or not detects)
        )


@dataclass(frozen=True, eq=False)
class Done:
    """What the networks did for a work."""

    boxes: list[Boxes]  # of each frame
    poses: list[Poses]  # of each frame; none where only boxes were wanted
    waited: float  # seconds until its turn
    worked: float  # seconds of its batch


class Batcher:
    """Runs the networks of all models for all clients, in threads of its own.

    Args:
        batch: most frames in one call.
        wait: seconds to wait for frames that are on their way.
        most_waiting: works in the queue at most. An address gets as many of these as are left free at least, so that
            one client alone cannot fill it.
        longest_wait: seconds; a work that would wait longer is refused.
        on_batch: called after each batch with its number of frames, and its seconds.
    """

    def __init__(
        self,
        *,
        batch: int = 8,
        wait: float = 0.004,
        most_waiting: int = 128,
        longest_wait: float = 5.0,
        on_batch: Callable[[int, float], None] = lambda frames, seconds: None,
    ) -> None:
        self._batch, self._wait, self._most, self._longest = batch, wait, most_waiting, longest_wait
        self._on_batch = on_batch
        self._turns: Turns[Work] = Turns()
        self._changed = threading.Condition()
        self._coming: dict[str, int] = {}  # images of each address that were admitted and are on their way
        self._takes = 0.0  # seconds of one frame, on average; 0 until that is known
        self._closed = False
        self._gathering = threading.Lock()  # one thread gathers a batch, and not each a part of it
        self._threads = [
            threading.Thread(target=self._run, name="limner batcher", daemon=True) for _ in range(_WORKERS)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """How many works wait for their turn."""
        return len(self._turns)

    @contextmanager
    def admitted(self, client: Client) -> Iterator[Callable[[], None]]:
        """Announce an image that is on its way; the yielded function says that it has come, or will not come.

        Raises:
            BusyError: it would wait too long.
        """
        address = client.address
        with self._changed:
            coming = sum(self._coming.values())
            ahead = len(self._turns) + coming
            own = self._turns.waiting_of(address) + self._coming.get(address, 0)
            takes = self._takes or 0.05
            if own >= self._most - ahead or ahead * takes > self._longest:
                raise BusyError(
                    f"{ahead} images wait already; ask again in a moment",
                    min(ahead * takes / 2, 30.0),
                )
            self._coming[address] = self._coming.get(address, 0) + 1
        here = False

        def arrived() -> None:
            nonlocal here
            with self._changed:
                if not here:
                    here = True
                    self._coming[address] -= 1
                    if not self._coming[address]:
                        del self._coming[address]
                    self._changed.notify()

        try:
            yield arrived
        finally:
            arrived()

    def submit(self, work: Work) -> Future[Any]:
        """Queue a work; its future gets a `Done`, or the error of the networks."""
        with self._changed:
            if self._closed:
                work.future.set_exception(BusyError("the server is stopping", 5))
            else:
                self._turns.put(work.client, work, len(work.frames))
                self._changed.notify()
        return work.future

    def cancel(self, work: Work) -> None:
        """Forget a work whose client is gone."""
        with self._changed:
            if self._turns.remove(work):
                work.future.cancel()

    def close(self) -> None:
        """Finish what waits, and end the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        for thread in self._threads:
            thread.join()

    # -- the threads -------------------------------------------------------------------------------

    def _run(self) -> None:
        while works := self._next():
            began = time.perf_counter()
            count = sum(len(work.frames) for work in works)
            _do(works, began)
            took = time.perf_counter() - began
            each = took / count / _WORKERS
            self._takes = each if not self._takes else (1 - _SMOOTHING) * self._takes + _SMOOTHING * each
            self._on_batch(count, took)

    def _next(self) -> list[Work]:
        """Wait for works, and take those of the next batch; none once the batcher is closed and nothing waits."""
        with self._gathering, self._changed:
            while not len(self._turns):
                if self._closed:
                    return []
                self._changed.wait()
            works = self._take([])
            deadline = time.perf_counter() + self._wait
            while (
                self._coming
                and self._counted(works) < self._batch
                and not len(self._turns)
                and (left := deadline - time.perf_counter()) > 0
            ):
                self._changed.wait(left)
                works = self._take(works)
        return works

    def _take(self, works: list[Work]) -> list[Work]:
        """Add the works to a batch whose turn is next, as far as they fit in."""
        while (work := self._turns.first()) is not None:
            if works and not (works[0].alike(work) and self._counted(works) + len(work.frames) <= self._batch):
                break
            works.append(self._turns.take())
        return works

    @staticmethod
    def _counted(works: Sequence[Work]) -> int:
        return sum(len(work.frames) for work in works)


def _do(works: Sequence[Work], began: float) -> None:
    """Run the networks on a batch, and set the futures; where they fail, one by one, to find the work that fails."""
    running = [work for work in works if work.future.set_running_or_notify_cancel()]
    try:
        found = _estimate(running)
    except Exception as error:
        if len(running) == 1:
            running[0].future.set_exception(error)
            return
        for work in running:
            try:
                boxes, poses = _estimate([work])[0]
            except Exception as own:
                work.future.set_exception(own)
            else:
                work.future.set_result(Done(boxes, poses, began - work.since, time.perf_counter() - began))
        return
    took = time.perf_counter() - began
    for work, (boxes, poses) in zip(running, found, strict=True):
        work.future.set_result(Done(boxes, poses, began - work.since, took))


def _estimate(works: Sequence[Work]) -> list[tuple[list[Boxes], list[Poses]]]:
    """Return the boxes and poses of each of several works of one kind."""
    if not works:
        return []
    pipeline = works[0].pipeline
    unseen = [frame for work in works if work.boxes is None for frame in work.frames]
    still = any(work.still for work in works if work.boxes is None)
    seen = iter(pipeline.detect(unseen, still=still) if unseen else [])
    boxes = [[next(seen) for _ in work.frames] if work.boxes is None else list(work.boxes) for work in works]
    images = [frame.image for work in works if work.poses for frame in work.frames]
    wanted = [b.xyxy for work, own in zip(works, boxes, strict=True) if work.poses for b in own]
    found = iter(pipeline.pose.many(images, wanted, heatmaps=works[0].heatmaps) if images else [])
    return [
        (own, [next(found) for _ in work.frames] if work.poses else []) for work, own in zip(works, boxes, strict=True)
    ]


# -- for code that runs frames of its own, as videos and trackers do -------------------------------


class _SharedPose(PoseEstimator):
    """A pose estimator whose network runs in a batcher."""

    def __init__(self, pipeline: Pipeline, batcher: Batcher, client: Client) -> None:
        self.__dict__.update(copy(pipeline.pose).__dict__)
        self._shares = (pipeline, batcher, client)

    def many(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray], *, heatmaps: HeatmapMode = ""
    ) -> list[Poses]:
        """Return the poses of boxes ``[N, 4]`` in each of several BGR images; wait for the turn."""
        pipeline, batcher, client = self._shares
        given = [
            Boxes(xyxy, np.ones(len(xyxy), np.float32), np.zeros(len(xyxy), np.int64))
            for xyxy in (np.asarray(b, np.float32).reshape(-1, 4) for b in boxes)
        ]
        work = Work(client, pipeline, [Frame(image) for image in images], given, heatmaps=heatmaps)
        done: Done = batcher.submit(work).result()
        return done.poses


class SharedPipeline(Pipeline):
    """A pipeline whose networks run in a batcher, in the turns of one client; not for the thread of an event loop."""

    def __init__(self, pipeline: Pipeline, batcher: Batcher, client: Client) -> None:
        super().__init__(pipeline.detector, _SharedPose(pipeline, batcher, client), pose_nms=pipeline.pose_nms)
        self._shares = (pipeline, batcher, client)

    def detect(self, frames: Sequence[Frame], *, still: bool = False) -> list[Boxes]:
        """Return the boxes of each of several frames; wait for the turn."""
        if not frames:
            return []
        pipeline, batcher, client = self._shares
        done: Done = batcher.submit(Work(client, pipeline, list(frames), poses=False, still=still)).result()
        return done.boxes


def result_of(work: Work, done: Done) -> Result:
    """Return the result of a work of one frame."""
    return work.pipeline.result(work.frames[0], done.boxes[0], done.poses[0])
