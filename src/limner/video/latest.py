"""The newest frame of a live source, read in the background; older frames are dropped."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from types import TracebackType
from typing import Protocol

from ..errors import InputError
from ..types import Frame, MessageCallback
from . import ending


class LiveSource(Protocol):
    """What `LatestFrames` reads from: `CameraSource`, a live `VideoSource`, or anything like them."""

    name: str

    def __iter__(self) -> Iterator[Frame]: ...

    def reopen(self) -> LiveSource: ...

    def close(self) -> None: ...


class _Connection:
    """One opened source and the thread that reads it until it ends, fails or is closed."""

    def __init__(self, source: LiveSource, owner: LatestFrames) -> None:
        self.source = source
        self._owner = owner
        self.reason: str | None = None  # why it ended
        self.error: BaseException | None = None  # an unexpected one, which reopening does not cure
        self.thread = threading.Thread(target=self._run, name=f"limner {source.name}", daemon=True)

    def _run(self) -> None:
        try:
            try:
                for frame in self.source:
                    if not self._owner._put(self, frame):
                        break
            finally:
                self.source.close()
            reason = f"{self.source.name} has ended"
        except InputError as error:
            reason = str(error)
        except BaseException as error:  # handed to the thread that waits for frames
            reason, self.error = str(error), error
        self._owner._connection_ended(self, reason)


class LatestFrames:
    """Reads a live source in the background and keeps its newest frame; older ones are dropped.

    A frame's `index` counts arrivals (gaps are dropped frames) and its `timestamp` is the time of
    arrival, both from the first one on and across reconnections, whatever the source reports.
    A source that ends, fails or stalls is opened again, with growing pauses.

    Args:
        source: An open source; it is closed with this object.
        info: Called, from a background thread, with a sentence when the source is lost and when it is back.
        stall_timeout: Seconds without a frame after which the source counts as lost.
        reconnect_timeout: Seconds of attempts after which `get` raises; 0 means none, None has no end.
        pauses: Seconds before the first attempt, and the most between later ones.
    """

    def __init__(
        self,
        source: LiveSource,
        *,
        info: MessageCallback | None = None,
        stall_timeout: float = 5.0,
        reconnect_timeout: float | None = 60.0,
        pauses: tuple[float, float] = (0.5, 8.0),
    ) -> None:
        self.name = source.name
        self.fps: Fraction | None = getattr(source, "fps", None)
        self.size: tuple[int, int] | None = getattr(source, "size", None)
        self.received = 0
        self.dropped = 0
        self.reconnects = 0
        self._info = info
        self._stall_timeout = stall_timeout
        self._reconnect_timeout = reconnect_timeout
        self._pauses = pauses
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._start: float | None = None  # on the monotonic clock
        self._arrival = time.monotonic()  # of the newest frame, or of the connection before its first
        self._error: BaseException | None = None
        self._closed = False
        self._current = _Connection(source, self)
        self._supervisor = threading.Thread(target=self._supervise, name=f"limner watch {self.name}", daemon=True)
        self._is_forked = False  # whether this process has none of the threads
        self._current.thread.start()
        self._supervisor.start()
        ending.watch(self)

    # -- called by the consumer -------------------------------------------------------------------

    def get(self, timeout: float | None = None) -> Frame | None:
        """Wait for a frame newer than the last one returned; None when closed or after ``timeout`` seconds.

        Raises:
            InputError: The source is lost, and was not back within ``reconnect_timeout``.
        """
        if self._is_forked:
            raise ending.not_here(f"'{self.name}'")
        end = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while self._frame is None and self._error is None and not self._closed:
                left = 0.5 if end is None else min(0.5, end - time.monotonic())  # short, so that Ctrl-C is handled
                if left <= 0:
                    return None
                self._changed.wait(left)
            frame, self._frame = self._frame, None
            if frame is None and self._error is not None:
                raise self._error
            return None if self._closed else frame

    def __iter__(self) -> Iterator[Frame]:
        while (frame := self.get()) is not None:
            yield frame

    def clock(self) -> float:
        """Return the present time in the seconds of `Frame.timestamp`: the difference is the age of a frame."""
        return 0.0 if self._start is None else time.monotonic() - self._start

    def __enter__(self) -> LatestFrames:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading and close the source; one that hangs is abandoned after two seconds."""
        self.stop()
        self.join(2.0)

    # -- the end of the process, see `ending`

    def stop(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def forked(self) -> None:
        self._changed = threading.Condition()  # a thread of the parent may have held the other
        self._closed = self._is_forked = True

    def join(self, timeout: float) -> None:
        end = time.monotonic() + timeout
        for thread in (self._supervisor, self._current.thread):
            if thread is not threading.current_thread():
                thread.join(max(0.0, end - time.monotonic()))

    # -- called by the threads ---------------------------------------------------------------------

    def _put(self, connection: _Connection, frame: Frame) -> bool:
        """Keep a frame; return False where the connection is no longer the current one."""
        with self._changed:
            if self._closed or connection is not self._current:
                return False
            self._arrival = time.monotonic()
            if self._start is None:
                self._start = self._arrival
            self.dropped += self._frame is not None
            self._frame = replace(frame, index=self.received, timestamp=self._arrival - self._start)
            self.received += 1
            self._changed.notify_all()
            return True

    def _connection_ended(self, connection: _Connection, reason: str) -> None:
        with self._changed:
            connection.reason = reason
            self._changed.notify_all()

    def _supervise(self) -> None:
        while (reason := self._wait_until_lost()) is not None:
            lost_at = time.monotonic()
            try:
                source = self._reopen(reason, lost_at)
            except BaseException as error:  # handed to the thread that waits for frames
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
                return
            with self._changed:
                closed = self._closed
                if source is not None and not closed:
                    self._current = _Connection(source, self)
                    self._arrival = time.monotonic()
                    self._current.thread.start()
            if closed:
                if source is not None:
                    source.close()
                return
            self.reconnects += 1
            self._report(f"{self.name} is back after {time.monotonic() - lost_at:.1f} s")

    def _wait_until_lost(self) -> str | None:
        """Wait until the connection is lost and return why; None when closed."""
        with self._changed:
            while True:
                if self._closed:
                    return None
                if self._current.reason is not None:
                    return self._current.reason
                left = self._arrival + self._stall_timeout - time.monotonic()
                if left <= 0:
                    return f"{self.name} has given no image for {self._stall_timeout:g} s"
                self._changed.wait(left)

    def _reopen(self, reason: str, lost_at: float) -> LiveSource | None:
        """Open the source again; None where that is not needed: closed, or the stalled one continues by itself.

        Raises:
            InputError: It is not back within ``reconnect_timeout``.
        """
        connection = self._current
        if connection.error is not None:
            raise connection.error
        if self._reconnect_timeout == 0:
            raise InputError(reason)
        self._report(f"{reason}; trying to reach it again")
        pause, longest = self._pauses
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: self._closed or self._arrival > lost_at, pause):
                    return None
            try:
                return connection.source.reopen()
            except InputError as error:
                reason = str(error)
            pause = min(2 * pause, longest)
            if self._reconnect_timeout is not None and time.monotonic() - lost_at + pause > self._reconnect_timeout:
                raise InputError(reason)

    def _report(self, message: str) -> None:
        if self._info is not None:
            self._info(message)
