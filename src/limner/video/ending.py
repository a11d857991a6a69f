"""Threads where their process ends, or is forked: the interpreter would cut them off in the midst of an engine's code.

What is cut off there may end the process with an abort, and a forked process has none of the threads.
"""

from __future__ import annotations

import atexit
import os
import time
import weakref
from typing import Any, Protocol

from ..errors import ArgumentError

LIMIT = 3.0  # seconds that all threads have to end: longer than an image takes, shorter than a user waits


class Running(Protocol):
    """What has threads."""

    def stop(self) -> None:
        """Tell the threads to end; do not wait for them."""

    def join(self, timeout: float) -> None:
        """Wait for the threads."""

    def forked(self) -> None:
        """Do without the threads, in a forked process."""


class _State:
    """What runs in this process; there is one."""

    def __init__(self) -> None:
        self.running: weakref.WeakSet[Any] = weakref.WeakSet()
        self.registered = False


_state = _State()


def watch(one: Running) -> None:
    """End the threads of ``one`` before the interpreter goes, as long as there is any."""
    if not _state.registered:
        _state.registered = True
        atexit.register(_at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_in_child)
    _state.running.add(one)


def not_here(what: str) -> ArgumentError:
    """Return the error for what is used in a process that was forked from its own."""
    return ArgumentError(f"{what} is read by the process from which this one was forked: open it anew in this one")


def _at_exit() -> None:
    running = list(_state.running)
    for one in running:
        one.stop()
    end = time.monotonic() + LIMIT
    for one in running:
        one.join(max(0.0, end - time.monotonic()))


def _in_child() -> None:
    for one in list(_state.running):
        one.forked()
