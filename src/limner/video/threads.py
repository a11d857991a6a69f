"""Stages that overlap: each runs in a thread of its own, a bounded number of items ahead of the next."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")

JOIN_TIMEOUT = 30.0  # seconds that the end waits for a stage: for a large model on a busy machine, not for ever


class StageThreads:
    """The threads of one run; leaving the ``with`` block stops them all.

        with StageThreads() as threads:
            frames = threads.prefetch(read(), 4)
            results = threads.prefetch((find(frame) for frame in frames), 2)
            for result in results: ...

    What a stage raises is raised where its items are taken. `end` closes the first stage only, so that
    what is on its way still arrives.
    """

    def __init__(self) -> None:
        self.ended = False  # no further item of a first stage is wanted
        self.stopped = False  # nothing is wanted any more
        self._stages: list[Prefetcher] = []

    def prefetch(self, items: Iterable[T], depth: int) -> Prefetcher[T]:
        """Start to take ``items`` in a thread, at most ``depth`` of them before they are asked for."""
        stage = Prefetcher(self, items, depth)
        self._stages.append(stage)
        return stage

    def until_end(self, items: Iterable[T]) -> Iterator[T]:
        """Yield ``items`` until `end` is called."""
        for item in items:
            yield item
            if self.ended:
                return

    def end(self) -> None:
        """Let what is on its way arrive, and take nothing new; safe to call from a signal handler."""
        self.ended = True

    def __enter__(self) -> StageThreads:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended = self.stopped = True
        for stage in self._stages:
            stage.wake()
        for stage in self._stages:
            stage.join(JOIN_TIMEOUT)


class Prefetcher(Generic[T]):
    """An iterator whose items are made in a thread; see `StageThreads.prefetch`."""

    def __init__(self, threads: StageThreads, items: Iterable[T], depth: int) -> None:
        self._threads, self._items, self._depth = threads, items, depth
        self._changed = threading.Condition()
        self._made: deque[T] = deque()
        self._error: BaseException | None = None
        self._done = False
        self._thread = threading.Thread(target=self._work, name="limner stage", daemon=True)
        self._thread.start()

    def __iter__(self) -> Prefetcher[T]:
        return self

    def __next__(self) -> T:
        with self._changed:
            while not self._made and not self._done and not self._threads.stopped:
                self._changed.wait(0.5)  # short, so that Ctrl-C gets through on every system
            if self._threads.stopped:
                raise StopIteration
            if self._made:
                item = self._made.popleft()
                self._changed.notify_all()
                return item
            error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopIteration

    def _work(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    break
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

    def _put(self, item: T) -> bool:
        """Hold an item until it is asked for; return False where none is wanted any more."""
        with self._changed:
            while len(self._made) >= self._depth and not self._threads.stopped:
                self._changed.wait(0.5)
            if self._threads.stopped:
                return False
            self._made.append(item)
            self._changed.notify_all()
            return True

    def wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def join(self, seconds: float) -> None:
        if self._thread is not threading.current_thread():
            self._thread.join(seconds)
