"""Stages that overlap: each runs in a thread of its own, with a bounded queue to the next."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, TypeVar

from . import ending

T = TypeVar("T")

MOST_UNWANTED = 2  # items that a stage makes while nobody asks for one
_END: Any = object()
JOIN_TIMEOUT = 30.0  # seconds to wait for a thread to stop: enough for a large model on a busy machine


class StageThreads:
    """The threads of one run; leaving the ``with`` block stops them all.

        with StageThreads() as threads:
            frames = threads.prefetch(read(), 4)
            results = threads.prefetch((estimate(frame) for frame in frames), 2)
            for result in results: ...

    An error in a stage is raised where its items are taken. `end` stops the first stage only, so that
    items in progress are finished.
    """

    def __init__(self) -> None:
        self.ended = False  # the first stage takes no further item
        self.stopped = False  # all threads are to stop
        self.is_forked = False  # whether this process has none of them
        self._stages: list[Prefetcher] = []

    def prefetch(
        self, items: Iterable[T], depth: int, held: Callable[[T], int] | None = None, most: int = 0
    ) -> Prefetcher[T]:
        """Start to take ``items`` in a thread, with a queue of at most ``depth`` of them.

        Args:
            items: what is taken.
            depth: how many wait at most.
            held: returns how many bytes an item holds. No further one is begun while those that wait, and the one
                that was taken last, hold more than ``most``.
            most: bytes.
        """
        return self._started(Prefetcher(self, items, depth, held=held, most=most))

    def newest(self, items: Iterable[T], hold: float) -> Prefetcher[T]:
        """Start to take ``items`` in a thread; only the newest one is kept, and for ``hold`` seconds at most."""
        return self._started(Prefetcher(self, items, 1, hold))

    def _started(self, stage: Prefetcher[T]) -> Prefetcher[T]:
        if not self._stages:
            ending.watch(self)
        self._stages.append(stage)
        return stage

    def until_end(self, items: Iterable[T]) -> Iterator[T]:
        """Yield ``items`` until `end` is called."""
        for item in items:
            yield item
            if self.ended:
                return

    def end(self) -> None:
        """Finish the items in progress and take no further one; safe to call from a signal handler."""
        self.ended = True

    def __enter__(self) -> StageThreads:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        for stage in self._stages:
            stage.join(JOIN_TIMEOUT)

    # -- the end of the process, see `ending`

    def stop(self) -> None:
        self.ended = self.stopped = True
        for stage in self._stages:
            stage.wake()

    def join(self, timeout: float) -> None:
        end = time.monotonic() + timeout
        for stage in self._stages:
            stage.join(max(0.0, end - time.monotonic()))

    def forked(self) -> None:
        self.ended = self.stopped = self.is_forked = True
        for stage in self._stages:
            stage.forked()


class Prefetcher(Generic[T]):
    """An iterator whose items are computed in a thread; see `StageThreads.prefetch` and `StageThreads.newest`."""

    def __init__(
        self,
        threads: StageThreads,
        items: Iterable[T],
        depth: int,
        hold: float | None = None,
        held: Callable[[Any], int] | None = None,
        most: int = 0,
    ) -> None:
        self._threads, self._items, self._depth, self._hold = threads, items, depth, hold
        self._held, self._most = held, most
        self._bytes: deque[int] = deque()  # of the item that was taken last, and of those in the queue
        self._taken = False  # whether the first of these was taken
        self._changed = threading.Condition()
        self._queue: deque[T] = deque()
        self._error: BaseException | None = None
        self._done = False
        self._waiting = False  # whether an item is waited for
        self._made_at = 0.0  # when the newest item was there, on the monotonic clock
        self.dropped = 0  # items that were not the newest, or too old, when one was asked for
        self._unwanted = 0  # items since one was asked for
        self.wanted = threading.Event()  # clear where these are `MOST_UNWANTED`
        self.wanted.set()
        self._thread = threading.Thread(target=self._run, name="limner stage", daemon=True)
        self._thread.start()

    def __iter__(self) -> Prefetcher[T]:
        return self

    def __next__(self) -> T:
        if self._threads.is_forked:
            raise ending.not_here("this video")
        with self._changed:
            self._waiting, self._unwanted = True, 0
            self.wanted.set()
            if self._taken:  # whoever took it is done with it
                self._bytes.popleft()
                self._taken = False
                self._changed.notify_all()
            if self._hold is not None and not self._done and time.monotonic() > self._made_at + self._hold:
                self._drop()
            while not self._queue and not self._done and not self._threads.stopped:
                self._changed.wait(0.5)  # short, so that Ctrl-C is handled on every system
            if self._threads.stopped:
                raise StopIteration
            self._waiting = False
            if self._queue:
                item = self._queue.popleft()
                self._taken = self._held is not None
                self._changed.notify_all()
                return item
            error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopIteration

    def _run(self) -> None:
        try:
            items = iter(self._items)
            while self._has_room():
                item = next(items, _END)
                if item is _END or not self._put(item):
                    break
                del item  # it is not held while there is no room for another one
        except BaseException as error:  # raised where the items are taken
            self._error = error
        finally:
            try:
                if isinstance(self._items, Generator):
                    self._items.close()
            finally:
                with self._changed:
                    self._done = True
                    self._changed.notify_all()

    def _has_room(self) -> bool:
        """Wait until those that wait hold little enough; return False where the threads are to stop."""
        with self._changed:
            while self._bytes and sum(self._bytes) > self._most and not self._threads.stopped:
                self._changed.wait(0.5)
            return not self._threads.stopped

    def _put(self, item: Any) -> bool:
        """Wait for room in the queue and put an item into it; return False where the threads are to stop."""
        with self._changed:
            if self._hold is not None:
                self._drop()
                self._made_at = time.monotonic()
                self._unwanted += not self._waiting
                if self._unwanted >= MOST_UNWANTED:
                    self.wanted.clear()
            while len(self._queue) >= self._depth and not self._threads.stopped:
                self._changed.wait(0.5)
            if self._threads.stopped:
                return False
            self._queue.append(item)
            if self._held is not None:
                self._bytes.append(self._held(item))
            self._changed.notify_all()
            return True

    def _drop(self) -> None:
        self.dropped += len(self._queue)
        self._queue.clear()

    def forked(self) -> None:
        self._changed = threading.Condition()  # a thread of the parent may have held the other
        self.wanted = threading.Event()
        self.wanted.set()

    def wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def join(self, seconds: float) -> None:
        if self._thread is not threading.current_thread():
            self._thread.join(seconds)
