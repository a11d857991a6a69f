"""CUDA graphs: a network's work for a few batch sizes, captured once and replayed; and a simulation on the CPU.

A GPU finishes a layer of a small network sooner than Python launches the next. A graph holds all layers and is
launched at once, but it has one shape and reads and writes fixed memory. `GraphCache` fits batches of any size to
that; its logic is plain Python, the same on a GPU and on the simulated stream.
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

MAX_GRAPH_BATCH = 64  # images in one graph
MAX_GRAPH_PIXELS = 1 << 22  # pixels of all images in one graph, so that large images do not fill the memory
MAX_GRAPHS = 8  # graphs of one network
# How often a shape must have run before it is captured, which takes as long as tens of runs: while there is room, and
# where it replaces another graph, so that ever new shapes do not evict each other.
RUNS_BEFORE_CAPTURE, RUNS_BEFORE_REPLACING = 1, 16
SLOTS = 2  # while the GPU works on one part of a batch, the next is copied
WARM_UP = 3  # runs before a capture, in which cuDNN chooses algorithms and libraries allocate

_log = logging.getLogger(__name__)
Run = Callable[[np.ndarray], list[np.ndarray]]


class Capture(Protocol):
    """A network's work for batches of one shape, captured."""

    def submit(self, batch: np.ndarray, slot: int) -> None:
        """Copy a batch, which may be smaller than the shape, and start its work; the slot is overwritten."""
        ...

    def collect(self, slot: int, rows: int) -> list[np.ndarray]:
        """Wait for what was submitted to a slot, free the slot and return the first rows of each output."""
        ...


class Stream(Protocol):
    """A queue that runs captured work in order: a CUDA stream, or its simulation."""

    device: Any  # torch's
    pinned: bool  # whether copies from and to the device need page-locked host memory

    def active(self) -> AbstractContextManager[Any]:
        """Return a context in which torch uses this stream in this thread."""
        ...

    def capture(self, work: Callable[[], list[Any]]) -> tuple[list[Any], Callable[[], None]]:
        """Return the tensors that ``work`` returns, and a function that computes them again."""
        ...

    def enqueue(self, step: Callable[[], object]) -> None:
        """Run a step after all earlier ones, without waiting for it."""
        ...

    def record_event(self) -> Callable[[], object]:
        """Return a function that waits until everything enqueued so far is done."""
        ...


class SharedLock:
    """A lock held by any number of threads, or exclusively by one: nothing else may run while CUDA captures."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._passing = 0
        self._waiting = 0  # for exclusive use; they go first
        self._host_outputs = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        with self._change:
            self._change.wait_for(lambda: not self._host_outputs and not self._waiting)
            self._passing += 1
        try:
            yield
        finally:
            with self._change:
                self._passing -= 1
                self._change.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        with self._change:
            self._waiting += 1
            try:
                self._change.wait_for(lambda: not self._host_outputs and not self._passing)
                self._host_outputs = True
            finally:
                self._waiting -= 1
                self._change.notify_all()
        try:
            yield
        finally:
            with self._change:
                self._host_outputs = False
                self._change.notify_all()


PROCESS_LOCK = SharedLock()  # of the process: a capture and torch's settings affect all its networks


class GraphCache:
    """Runs batches of any size through graphs of sizes 1, 2, 4 ... that are captured as they are needed.

    A batch goes to the next larger size, one beyond the largest size in parts. A shape that is new or rare runs
    without a graph. Where a capture fails, one warning is logged, and everything runs without. Threads take turns.

    Args:
        capture: captures the network for a shape ``[N, H, W, 3]``; RuntimeError where that cannot be done. None:
            nothing is captured, and threads still take turns.
        run: runs a batch without a graph.
        limit: the number of graphs; the least recently used one is removed first.
        lock: held exclusively by runs without a graph and captures, shared by replays.
    """

    def __init__(
        self,
        capture: Callable[[tuple[int, ...]], Capture] | None,
        run: Run,
        *,
        limit: int = MAX_GRAPHS,
        lock: SharedLock = PROCESS_LOCK,
    ) -> None:
        self._capture, self._run, self._limit, self._process_lock = capture, run, max(limit, 2), lock
        self._lock = threading.Lock()
        self._graphs: OrderedDict[tuple[int, ...], Capture] = OrderedDict()
        self._run_counts: OrderedDict[tuple[int, ...], int] = OrderedDict()  # how often, of shapes without a graph

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        step = max_graph_size(batch.shape)
        parts = [batch[start : start + step] for start in range(0, len(batch), step)] or [batch]
        shapes = [(graph_size(len(part)), *part.shape[1:]) for part in parts]
        with self._lock:
            captures = self._captures(shapes) if len(batch) else None
            if captures is None:
                with self._process_lock.exclusive():
                    outputs = [self._run(part) for part in parts]
                self._count_runs(shapes)
            else:
                with self._process_lock.shared():
                    outputs = replay_parts(parts, captures)
        return outputs[0] if len(outputs) == 1 else [np.concatenate(outputs) for outputs in zip(*outputs, strict=True)]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes that have a graph, the one that was used last at the end."""
        return list(self._graphs)

    def close(self) -> None:
        """Free the graphs."""
        with self._lock, self._process_lock.exclusive():
            self._graphs.clear()

    def _captures(self, shapes: list[tuple[int, ...]]) -> list[Capture] | None:
        """Return the graph of each part; None where one of them has none."""
        distinct = list(dict.fromkeys(shapes))  # two at most: the largest size, and that of the rest
        for shape in distinct:
            if shape in self._graphs:
                self._graphs.move_to_end(shape)  # before another one is evicted
        for shape in distinct:
            if shape not in self._graphs and self._capture is not None:
                self._capture_if_due(shape, self._capture)
        if all(shape in self._graphs for shape in distinct):
            return [self._graphs[shape] for shape in shapes]
        return None

    def _capture_if_due(self, shape: tuple[int, ...], capture: Callable[[tuple[int, ...]], Capture]) -> None:
        """Capture a shape if it ran often enough."""
        full = len(self._graphs) >= self._limit
        if self._run_counts.get(shape, 0) < (RUNS_BEFORE_REPLACING if full else RUNS_BEFORE_CAPTURE):
            return
        del self._run_counts[shape]
        with self._process_lock.exclusive():
            if full:
                self._graphs.popitem(last=False)  # first, to free its memory for the new one
            try:
                self._graphs[shape] = capture(shape)
            except RuntimeError as error:
                self._graphs.clear()
                self._capture = None
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                _log.warning("capturing a CUDA graph failed, so the network runs without, slower: %s", reason)

    def _count_runs(self, shapes: list[tuple[int, ...]]) -> None:
        """Count runs without a graph."""
        for shape in shapes:
            if shape not in self._graphs:
                self._run_counts[shape] = self._run_counts.pop(shape, 0) + 1
                if len(self._run_counts) > 8 * self._limit:
                    self._run_counts.popitem(last=False)


def graph_size(rows: int) -> int:
    """Return the size of the graph for so many images: the next power of two."""
    return 1 << max(rows - 1, 0).bit_length()


def max_graph_size(shape: tuple[int, ...]) -> int:
    """Return the largest size of graph for images of a batch's shape ``[N, H, W, 3]``, a power of two."""
    fitting = min(MAX_GRAPH_BATCH, max(1, MAX_GRAPH_PIXELS // max(1, shape[1] * shape[2])))
    return 1 << (fitting.bit_length() - 1)


def replay_parts(parts: list[np.ndarray], captures: list[Capture]) -> list[list[np.ndarray]]:
    """Return the outputs of each part; while one is computed, the next is copied."""
    outputs: list[list[np.ndarray]] = []
    for i, (part, capture) in enumerate(zip(parts, captures, strict=True)):
        if i >= SLOTS:
            outputs.append(captures[i - SLOTS].collect(i % SLOTS, len(parts[i - SLOTS])))
        capture.submit(part, i % SLOTS)
    for i in range(len(outputs), len(parts)):
        outputs.append(captures[i].collect(i % SLOTS, len(parts[i])))
    return outputs


class TensorCapture:
    """A `Capture` of torch tensors.

    Rows beyond those of a batch keep their old values: no network mixes the images of a batch.

    Args:
        network: takes uint8 ``[N, H, W, 3]`` on the stream's device; returns float32 tensors with a row per image.
        shape: of the batches.
        stream: that it runs on.
    """

    def __init__(self, network: Callable[[Any], list[Any]], shape: tuple[int, ...], stream: Stream) -> None:
        import torch

        self._stream = stream
        with stream.active(), torch.inference_mode():
            self._input = torch.zeros(shape, dtype=torch.uint8, device=stream.device)
            self._outputs, self._replay = stream.capture(lambda: [t.contiguous() for t in network(self._input)])
            self._host_inputs = [torch.empty(shape, dtype=torch.uint8, pin_memory=stream.pinned) for _ in range(SLOTS)]
            self._host_outputs = [
                [torch.empty(t.shape, dtype=t.dtype, pin_memory=stream.pinned) for t in self._outputs]
                for _ in range(SLOTS)
            ]
        self._done: list[Callable[[], object] | None] = [None] * SLOTS
        self._inference_mode = torch.inference_mode

    def submit(self, batch: np.ndarray, slot: int) -> None:
        rows, host_input, host_outputs = len(batch), self._host_inputs[slot], self._host_outputs[slot]
        with self._stream.active(), self._inference_mode():
            # the batch of an interrupted call may be overwritten now: it is not collected, and the stream keeps order
            np.copyto(host_input.numpy()[:rows], batch)
            self._stream.enqueue(partial(self._input[:rows].copy_, host_input[:rows], non_blocking=True))
            self._stream.enqueue(self._replay)
            for host, output in zip(host_outputs, self._outputs, strict=True):
                self._stream.enqueue(partial(host[:rows].copy_, output[:rows], non_blocking=True))
            self._done[slot] = self._stream.record_event()

    def collect(self, slot: int, rows: int) -> list[np.ndarray]:
        done, self._done[slot] = self._done[slot], None
        if done is None:
            raise RuntimeError(f"slot {slot} holds no batch")
        with self._stream.active(), self._inference_mode():
            done()
            return [host[:rows].numpy().copy() for host in self._host_outputs[slot]]


class CudaStream:
    """A CUDA stream of its own: runs, copies and captures on it keep their order."""

    pinned = True

    def __init__(self, device: Any) -> None:
        import torch

        self.device = device
        self._cuda: Any = torch.cuda
        self._stream = self._cuda.Stream(device)
        # on which the network was copied to the device
        self._stream.wait_stream(self._cuda.current_stream(device))

    def active(self) -> AbstractContextManager[Any]:
        return self._cuda.stream(self._stream)

    def capture(self, work: Callable[[], list[Any]]) -> tuple[list[Any], Callable[[], None]]:
        for _ in range(WARM_UP):
            work()
        self._stream.synchronize()
        graph = self._cuda.CUDAGraph()
        # the stream of the warm-up, whose handles and workspaces exist; other threads may allocate meanwhile
        with self._cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            outputs = work()
        return outputs, graph.replay

    def enqueue(self, step: Callable[[], object]) -> None:
        step()

    def record_event(self) -> Callable[[], object]:
        event = self._cuda.Event(blocking=True)  # a waiting thread sleeps
        event.record(self._stream)
        return event.synchronize


class DeferredStream:
    """Simulates a CUDA stream on the CPU with the greatest delay: each step runs only when something waits for it.

    So tests find a buffer that is read or overwritten too early.
    """

    pinned = False

    def __init__(self) -> None:
        import torch

        self.device = torch.device("cpu")
        self._steps: deque[Callable[[], object]] = deque()
        self._asked = self._finished = 0

    def active(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def capture(self, work: Callable[[], list[Any]]) -> tuple[list[Any], Callable[[], None]]:
        outputs = [t.clone() for t in work()]

        def replay() -> None:
            for output, new in zip(outputs, work(), strict=True):
                output.copy_(new)

        return outputs, replay

    def enqueue(self, step: Callable[[], object]) -> None:
        self._steps.append(step)
        self._asked += 1

    def record_event(self) -> Callable[[], object]:
        last = self._asked

        def wait() -> None:
            while self._finished < last:
                self._steps.popleft()()
                self._finished += 1

        return wait
