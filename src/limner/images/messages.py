"""What the libraries of image formats print to C's stderr, such as "premature end of data segment", caught as text.

libjpeg and libpng say there, and nowhere else, that an image is damaged. They print to the stream that C's variable
``stderr`` holds, and glibc lets a program set that variable like any other ("Standard Streams" in its manual). So the
variable is set while an image is decoded, and file descriptor 2 is left alone: it belongs to the whole process, its
other threads and its child processes. Where another C library is used nothing is caught, and they print as they do.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_MOST = 1 << 16  # bytes that are caught for an image
_UNBUFFERED = 2

# What libjpeg, libpng and older releases of OpenCV print; what else C code of other threads prints is passed on.
_LIBRARY_TEXT = re.compile(
    rb"(?:libpng (?:warning|error)|Corrupt JPEG data|Premature end of JPEG|Invalid SOS parameters|Unsupported marker"
    rb"|Warning: unknown JFIF|Inconsistent progression|Unknown Adobe color)[^\n]*\n?"
    rb"|imdecode_\('[^\n]*\n*"
)


class _Stderr:
    """C's variable ``stderr``, and a stream into memory that takes its place; there is one in a process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # one image at a time, so that the text belongs to it
        self.variable: ctypes.c_void_p | None = None
        self.real: int | None = None  # the process's own stream, while ours is in its place
        self._libc: Any = None
        self._stream: int | None = None

    def open(self) -> bool:
        """Make the stream into memory, once; return whether there is one."""
        if self._libc is None:
            self._libc = False
            if is_glibc():
                libc = ctypes.CDLL(None)
                self._memory = ctypes.create_string_buffer(_MOST)
                libc.fmemopen.restype = ctypes.c_void_p
                self._stream = libc.fmemopen(self._memory, ctypes.c_size_t(_MOST), b"w")
                if self._stream:
                    libc.setvbuf(ctypes.c_void_p(self._stream), None, _UNBUFFERED, ctypes.c_size_t(0))
                    libc.ftell.restype = ctypes.c_long
                    self.variable = ctypes.c_void_p.in_dll(libc, "stderr")
                    self._libc = libc
        return bool(self._libc)

    def swap(self) -> None:
        """Put the stream into memory in place of the process's own."""
        assert self.variable is not None
        self._libc.rewind(ctypes.c_void_p(self._stream))
        self.real, self.variable.value = self.variable.value, self._stream

    def restore(self) -> bytes:
        """Put the process's own stream back; return what was printed."""
        assert self.variable is not None
        self.variable.value, self.real = self.real, None
        return self._memory.raw[: max(0, self._libc.ftell(ctypes.c_void_p(self._stream)))]

    def after_fork(self) -> None:
        """Free a forked process of what another thread of its parent was about."""
        self.lock = threading.Lock()
        if self.real is not None and self.variable is not None:
            self.variable.value, self.real = self.real, None


_stderr = _Stderr()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_stderr.after_fork)


@contextmanager
def caught() -> Iterator[bytearray]:
    """Catch what C code prints to stderr; the yielded bytes hold it once the block has ended.

    What is not of an image library is passed on. Blocks of several threads wait for each other.
    """
    printed = bytearray()
    with _stderr.lock:
        if not _stderr.open():
            yield printed
            return
        _stderr.swap()
        try:
            yield printed
        finally:
            printed += _stderr.restore()
    if printed and (others := _LIBRARY_TEXT.sub(b"", bytes(printed))):
        with suppress(OSError):  # a service without stderr
            os.write(2, others)


def is_glibc() -> bool:
    try:
        return os.name == "posix" and (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, OSError, ValueError):
        return False
