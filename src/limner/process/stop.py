"""Ctrl-C and SIGTERM: a command ends within two seconds, with whole files, one sentence and the status for shells.

In the midst of an import a command ends at once. In `unwinding` blocks KeyboardInterrupt is raised, so that what is
open is closed. In `finishing` blocks work in progress is finished first. Whatever a command does, such as waiting in
code that hears no signal, a thread ends it after `LIMIT` seconds: its files are then as a kill leaves them: whole.

What comes before the first line of limner, the start of Python itself, is Python's.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

STOPPED = "stopped; the files written so far are complete"
SOON = 0.3  # seconds after which nothing more is taken of what is in progress, see `late`
GRACE = 0.7  # seconds after which it is given up in the midst
LIMIT = 1.5  # seconds after which a command ends, whatever it does
_BYTES_A_SECOND = 50e6  # in which large files are finished
_KINDS = (signal.SIGINT, signal.SIGTERM)


class _State:
    """What this process has to stop; there is one."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self.first = 0.0  # when the first came, on the monotonic clock
        self.raised = False  # KeyboardInterrupt
        self.deadline = 0.0  # on the monotonic clock, once a signal has come
        self.installed = False
        self.forks = False  # whether those of this process leave its signals to it
        self.pipe = (-1, -1)  # what the system writes signals into, for the thread
        self.finish: list[Callable[[], None]] = []
        self.cleanups: list[Callable[[], object]] = []


_state = _State()


def status() -> int:
    """Return the exit status of a command that a signal has stopped: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + (_state.received[0] if _state.received else signal.SIGINT)


def came() -> bool:
    """Whether a signal has come."""
    return bool(_state.received)


def late() -> bool:
    """Whether a signal has come, and what was in progress has had its time: between two frames is the place to end."""
    return bool(_state.received) and time.monotonic() > _state.first + SOON


@contextmanager
def stoppable(*, keep: bool = False) -> Iterator[None]:
    """Handle the signals of a command; within another such block, or outside the main thread, it does nothing.

    Args:
        keep: handle them until the process has ended.
    """
    if _state.installed or threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = _install()
    try:
        yield
    finally:
        if not keep and not _state.received:
            _uninstall(previous)


def _install() -> dict[signal.Signals, Any]:
    _state.installed = True  # before a signal can come
    previous = {kind: signal.signal(kind, _handle) for kind in _KINDS}
    if os.name != "nt":  # where such a thread would need a socket
        reader, writer = _state.pipe = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        _thread.start_new_thread(_watch, (reader,))  # takes no lock, loads nothing, and nobody waits for it
        if not _state.forks:
            os.register_at_fork(before=_cut_off, after_in_parent=_reconnect, after_in_child=_forget)
            _state.forks = True
    return previous


def _uninstall(previous: dict[signal.Signals, Any]) -> None:
    for kind, handler in previous.items():
        signal.signal(kind, handler)
    if os.name != "nt":
        signal.set_wakeup_fd(-1)
        os.close(_state.pipe[1])  # the thread then ends
    _state.installed = False


def _cut_off() -> None:
    """Wake nobody while this process forks: what wakes the other one would wake the thread of this one."""
    with suppress(ValueError):  # in another thread
        if _state.installed:
            signal.set_wakeup_fd(-1)


def _reconnect() -> None:
    with suppress(ValueError):
        if _state.installed:
            signal.set_wakeup_fd(_state.pipe[1], warn_on_full_buffer=False)


def _forget() -> None:
    """Leave the signals of a forked process to it."""
    if _state.installed:
        _state.installed = False
        signal.set_wakeup_fd(-1)
        for kind in _KINDS:
            signal.signal(kind, signal.default_int_handler if kind == signal.SIGINT else signal.SIG_DFL)


@contextmanager
def unwinding(cleanup: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Raise KeyboardInterrupt where a signal comes, so that what is open is closed.

    Args:
        cleanup: called in its place in the midst of an import, which would turn the exception into another.
    """
    _state.cleanups.append(cleanup)
    try:
        yield
    finally:
        _state.cleanups.remove(cleanup)


@contextmanager
def finishing(end: Callable[[], None]) -> Iterator[list[int]]:
    """Finish what is in progress where a signal comes; at the second, or after `GRACE`, raise KeyboardInterrupt.

    This is for programs that use limner too: signals are theirs again after the block, and outside the main thread,
    where none can be heard, it does nothing.

    Args:
        end: called by the signal's handler; work then comes to its end.

    Yields:
        the signals that have come.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = len(_state.received)

    def heard() -> None:
        received.extend(_state.received[before:])
        end()

    previous: dict[signal.Signals, Any] = {}
    if not _state.installed:
        for kind in _KINDS:
            with suppress(OSError, ValueError):
                previous[kind] = signal.signal(kind, _handle)
    _state.finish.append(heard)
    try:
        yield received
    finally:
        _state.finish.remove(heard)
        for kind, handler in previous.items():
            signal.signal(kind, handler)
        if previous:
            _state.received.clear()
            _state.raised = False


def more_time(size: int) -> None:
    """Take the time that finishing a large file takes, where that has begun.

    Args:
        size: of the file, bytes.
    """
    _state.deadline = max(_state.deadline, time.monotonic() + size / _BYTES_A_SECOND)


# -- when a signal comes


def _handle(number: int, frame: FrameType | None) -> None:
    if not _state.received:
        _state.first = time.monotonic()
    _state.received.append(number)
    _be_quiet()
    if _state.finish and len(_state.received) == 1:
        _state.finish[-1]()
    elif _state.installed and (_state.raised or not (_state.finish or _state.cleanups) or _imports(frame)):
        _leave(flush=True)
    else:
        _state.raised = True
        raise KeyboardInterrupt


def _be_quiet() -> None:
    """Print nothing of exceptions that nobody can catch, such as a KeyboardInterrupt in a finaliser."""
    if _state.installed:
        sys.unraisablehook = lambda _: None
        threading.excepthook = lambda _: None


def _imports(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _leave(*, flush: bool) -> None:
    """End the process now."""
    while _state.cleanups:
        with suppress(BaseException):
            _state.cleanups.pop()()
    if flush:
        with suppress(BaseException):
            sys.stdout.flush()
    say_stopped()
    os._exit(status())


def say_stopped() -> None:
    """Print that a signal has stopped this process, if that does not have to wait."""
    import select

    with suppress(BaseException):
        if os.name == "nt" or select.select([], [2], [], 0)[1]:
            cursor = "\r\x1b[K\x1b[?25h" if os.isatty(2) else ""  # a progress bar hides it
            os.write(2, f"{cursor}limner: {STOPPED}\n".encode())


def end_process() -> None:
    """End a process that a signal has stopped and whose files are closed: threads that still compute do not matter."""
    _leave(flush=True)


def _watch(reader: int) -> None:
    """Hear of signals even where the main thread does not: it may be in code that does not come back for long."""
    while numbers := os.read(reader, 1):
        kind = numbers[0]
        if kind not in _KINDS or signal.getsignal(kind) is not _handle:
            continue  # that of a server, which has its own way to end
        _state.deadline = max(_state.deadline, time.monotonic() + LIMIT)
        time.sleep(GRACE)
        if _state.finish and not _state.raised and len(_state.received) == 1:
            with suppress(OSError, ProcessLookupError):
                signal.pthread_kill(threading.main_thread().ident or 0, kind)
        while (rest := _state.deadline - time.monotonic()) > 0:
            time.sleep(rest)
        if not _state.received:
            _state.received.append(kind)
        _leave(flush=False)
    os.close(reader)
