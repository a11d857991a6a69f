"""Engines in a forked process: it has none of its parent's threads, for which it would wait for ever."""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from typing import Any, Protocol


class Forked(Protocol):
    """What has threads or locks of its own."""

    def forked(self) -> None:
        """Do in a forked process without what is the parent's; called there before anything else runs."""


_opened: weakref.WeakSet[Any] = weakref.WeakSet()
_lock = threading.Lock()  # held where a process is forked, so that the set is whole there


def watch(runtime: Forked) -> None:
    """Call ``runtime.forked()`` in each forked process, as long as there is the runtime."""
    with _lock:
        _opened.add(runtime)


def abandon(engine: object) -> None:
    """Never free an object of a forked process: that would wait for threads which its parent has."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(engine))


def _in_child() -> None:
    _lock.release()
    for runtime in list(_opened):
        runtime.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_in_child)
