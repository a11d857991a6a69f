"""Batches of a few sizes, recorded once and replayed: CUDA graphs, and a twin that shows on a CPU what they do.

A GPU is done with a layer of a small network sooner than Python has asked for the next. A graph holds all
layers and is asked for at once, but it belongs to one shape and reads and writes fixed memory. `Graphs` fits
batches of any size to that; what it decides is plain Python, the same over a GPU and over the twin.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, Protocol

import numpy as np

LARGEST = 64  # images in one graph
PIXELS = 1 << 22  # and all their pixels, so that large images do not fill the memory
KEPT = 8  # graphs of one network
# How often a shape must have run before it is recorded, which takes as long as tens of runs: while there is room, and
# where another graph must go for it, so that ever new shapes do not push each other out.
SOON, LATER = 1, 16
SLOTS = 2  # while the GPU works on one part of a batch, the next is copied
WARM_UP = 3  # runs before a recording, in which cuDNN chooses and libraries allocate

_log = logging.getLogger(__name__)
Run = Callable[[np.ndarray], list[np.ndarray]]


class Capture(Protocol):
    """A network's work for batches of one shape, recorded."""

    def submit(self, batch: np.ndarray, slot: int) -> None:
        """Copy a batch, which may be smaller than the shape, and have it worked on; what the slot held is lost."""
        ...

    def collect(self, slot: int, rows: int) -> list[np.ndarray]:
        """Wait for what was submitted to a slot, free the slot and return the first rows of each output."""
        ...


class Lane(Protocol):
    """Where recorded work runs, in the order in which it was asked for: a CUDA stream, or its twin."""

    device: Any  # torch's
    pinned: bool  # copies from and to the device need memory of the host that stays where it is

    def entered(self) -> AbstractContextManager[Any]:
        """Make it the one that torch uses in this thread."""
        ...

    def record(self, work: Callable[[], list[Any]]) -> tuple[list[Any], Callable[[], None]]:
        """Return the tensors that hold what ``work`` returns, and a function that fills them anew."""
        ...

    def ask(self, step: Callable[[], object]) -> None:
        """Have a step done after all earlier ones, without waiting for it."""
        ...

    def mark(self) -> Callable[[], object]:
        """Return a function that waits until all that was asked for up to now is done."""
        ...


class Crossing:
    """Lets any number pass at a time, or one alone: nothing else may go on while CUDA records."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._passing = 0
        self._waiting = 0  # for passing alone; they go first
        self._taken = False

    @contextmanager
    def together(self) -> Iterator[None]:
        with self._change:
            self._change.wait_for(lambda: not self._taken and not self._waiting)
            self._passing += 1
        try:
            yield
        finally:
            with self._change:
                self._passing -= 1
                self._change.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._change:
            self._waiting += 1
            try:
                self._change.wait_for(lambda: not self._taken and not self._passing)
                self._taken = True
            finally:
                self._waiting -= 1
                self._change.notify_all()
        try:
            yield
        finally:
            with self._change:
                self._taken = False
                self._change.notify_all()


CROSSING = Crossing()  # of the process: a recording and torch's settings concern all its networks


class Graphs:
    """Runs batches of any size through graphs of sizes 1, 2, 4 ... that are recorded as they are needed.

    A batch goes to the next larger size, and what is beyond the largest one in parts. A shape that is new, or came
    seldom, runs without a graph. Where recording fails, one warning says so, and all runs without. Threads take turns.

    Args:
        record: records the network for a shape ``[N, H, W, 3]``; RuntimeError where that cannot be done. None:
            nothing is recorded, and threads still take turns.
        run: runs a batch without a graph.
        kept: the number of graphs; the one that was not used for the longest time goes first.
    """

    def __init__(
        self,
        record: Callable[[tuple[int, ...]], Capture] | None,
        run: Run,
        *,
        kept: int = KEPT,
        crossing: Crossing = CROSSING,
    ) -> None:
        self._record, self._run, self._limit, self._crossing = record, run, max(kept, 2), crossing
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, ...], Capture] = OrderedDict()
        self._ran: OrderedDict[tuple[int, ...], int] = OrderedDict()  # how often, of shapes without a graph

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        most = largest(batch.shape)
        parts = [batch[start : start + most] for start in range(0, len(batch), most)] or [batch]
        shapes = [(bucket(len(part)), *part.shape[1:]) for part in parts]
        with self._lock:
            captures = self._captures(shapes) if len(batch) else None
            if captures is None:
                with self._crossing.alone():
                    found = [self._run(part) for part in parts]
                self._note(shapes)
            else:
                with self._crossing.together():
                    found = replayed(parts, captures)
        return found[0] if len(found) == 1 else [np.concatenate(outputs) for outputs in zip(*found, strict=True)]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes that have a graph, the one that was used last at the end."""
        return list(self._kept)

    def close(self) -> None:
        """Free the graphs."""
        with self._lock, self._crossing.alone():
            self._kept.clear()

    def _captures(self, shapes: list[tuple[int, ...]]) -> list[Capture] | None:
        """Return the graph of each part; None where one of them has none."""
        distinct = list(dict.fromkeys(shapes))  # two at most: the largest size, and that of the rest
        for shape in distinct:
            if shape in self._kept:
                self._kept.move_to_end(shape)  # before another one needs a place
        for shape in distinct:
            if shape not in self._kept and self._record is not None:
                self._consider(shape, self._record)
        if all(shape in self._kept for shape in distinct):
            return [self._kept[shape] for shape in shapes]
        return None

    def _consider(self, shape: tuple[int, ...], record: Callable[[tuple[int, ...]], Capture]) -> None:
        """Record a shape if it ran often enough."""
        full = len(self._kept) >= self._limit
        if self._ran.get(shape, 0) < (LATER if full else SOON):
            return
        del self._ran[shape]
        with self._crossing.alone():
            if full:
                self._kept.popitem(last=False)  # first, so that its memory is there for the new one
            try:
                self._kept[shape] = record(shape)
            except RuntimeError as error:
                self._kept.clear()
                self._record = None
                why = (str(error).splitlines() or [type(error).__name__])[0]
                _log.warning("the network runs without CUDA graphs, a little slower, for one failed: %s", why)

    def _note(self, shapes: list[tuple[int, ...]]) -> None:
        """Count what ran without a graph."""
        for shape in shapes:
            if shape not in self._kept:
                self._ran[shape] = self._ran.pop(shape, 0) + 1
                if len(self._ran) > 8 * self._limit:
                    self._ran.popitem(last=False)


def bucket(rows: int) -> int:
    """Return the size of graph that takes so many images: the next power of two."""
    return 1 << max(rows - 1, 0).bit_length()


def largest(shape: tuple[int, ...]) -> int:
    """Return the largest size of graph for images of a batch's shape ``[N, H, W, 3]``, a power of two."""
    fitting = min(LARGEST, max(1, PIXELS // max(1, shape[1] * shape[2])))
    return 1 << (fitting.bit_length() - 1)


def replayed(parts: list[np.ndarray], captures: list[Capture]) -> list[list[np.ndarray]]:
    """Return the outputs of each part; while one is worked on, the next is copied."""
    found: list[list[np.ndarray]] = []
    for i, (part, capture) in enumerate(zip(parts, captures, strict=True)):
        if i >= SLOTS:
            found.append(captures[i - SLOTS].collect(i % SLOTS, len(parts[i - SLOTS])))
        capture.submit(part, i % SLOTS)
    for i in range(len(found), len(parts)):
        found.append(captures[i].collect(i % SLOTS, len(parts[i])))
    return found


class Recording:
    """A `Capture` of torch tensors.

    Rows beyond those of a batch keep what was there: no network mixes the images of a batch.

    Args:
        network: takes uint8 ``[N, H, W, 3]`` on the lane's device; returns float32 tensors whose rows are the images.
        shape: of the batches.
        lane: where it runs.
    """

    def __init__(self, network: Callable[[Any], list[Any]], shape: tuple[int, ...], lane: Lane) -> None:
        import torch

        self._lane = lane
        with lane.entered(), torch.inference_mode():
            self._input = torch.zeros(shape, dtype=torch.uint8, device=lane.device)
            self._outputs, self._replay = lane.record(lambda: [t.contiguous() for t in network(self._input)])
            self._given = [torch.empty(shape, dtype=torch.uint8, pin_memory=lane.pinned) for _ in range(SLOTS)]
            self._taken = [
                [torch.empty(t.shape, dtype=t.dtype, pin_memory=lane.pinned) for t in self._outputs]
                for _ in range(SLOTS)
            ]
        self._done: list[Callable[[], object] | None] = [None] * SLOTS
        self._inference_mode = torch.inference_mode

    def submit(self, batch: np.ndarray, slot: int) -> None:
        rows, given, taken = len(batch), self._given[slot], self._taken[slot]
        with self._lane.entered(), self._inference_mode():
            # what an interrupted call left in the slot may change now: nobody collects it, and the lane keeps its order
            np.copyto(given.numpy()[:rows], batch)
            self._lane.ask(partial(self._input[:rows].copy_, given[:rows], non_blocking=True))
            self._lane.ask(self._replay)
            for host, output in zip(taken, self._outputs, strict=True):
                self._lane.ask(partial(host[:rows].copy_, output[:rows], non_blocking=True))
            self._done[slot] = self._lane.mark()

    def collect(self, slot: int, rows: int) -> list[np.ndarray]:
        done, self._done[slot] = self._done[slot], None
        if done is None:
            raise RuntimeError(f"slot {slot} holds no batch")
        with self._lane.entered(), self._inference_mode():
            done()
            return [host[:rows].numpy().copy() for host in self._taken[slot]]


class CudaLane:
    """A CUDA stream of its own: what runs, is copied and is recorded on it keeps its order."""

    pinned = True

    def __init__(self, device: Any) -> None:
        import torch

        self.device = device
        self._cuda: Any = torch.cuda
        self._stream = self._cuda.Stream(device)
        # over which the network was copied to the device
        self._stream.wait_stream(self._cuda.current_stream(device))

    def entered(self) -> AbstractContextManager[Any]:
        return self._cuda.stream(self._stream)

    def record(self, work: Callable[[], list[Any]]) -> tuple[list[Any], Callable[[], None]]:
        for _ in range(WARM_UP):
            work()
        self._stream.synchronize()
        graph = self._cuda.CUDAGraph()
        # the warm-up's stream, whose handles and workspaces exist; other threads of a program may allocate meanwhile
        with self._cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            outputs = work()
        return outputs, graph.replay

    def ask(self, step: Callable[[], object]) -> None:
        step()

    def mark(self) -> Callable[[], object]:
        event = self._cuda.Event(blocking=True)  # who waits for it sleeps
        event.record(self._stream)
        return event.synchronize


class Twin:
    """Does on a CPU what a CUDA stream would, as late as it may: each step only when somebody waits for it.

    So a buffer that is read too early, or written anew too early, shows.
    """

    pinned = False

    def __init__(self) -> None:
        import torch

        self.device = torch.device("cpu")
        self._steps: deque[Callable[[], object]] = deque()
        self._asked = self._finished = 0

    def entered(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def record(self, work: Callable[[], list[Any]]) -> tuple[list[Any], Callable[[], None]]:
        outputs = [t.clone() for t in work()]

        def replay() -> None:
            for output, found in zip(outputs, work(), strict=True):
                output.copy_(found)

        return outputs, replay

    def ask(self, step: Callable[[], object]) -> None:
        self._steps.append(step)
        self._asked += 1

    def mark(self) -> Callable[[], object]:
        last = self._asked

        def wait() -> None:
            while self._finished < last:
                self._steps.popleft()()
                self._finished += 1

        return wait
