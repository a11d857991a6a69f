"""Standard streams that may be closed, full or unable to write a name."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from ..errors import OutputError, one_line
from ..masking import masked_text
from .closed import Closed


def say(message: str) -> None:
    """Print a message for the user to stderr, if it can be written; that of a download has several lines."""
    text = "\n".join(one_line(line) for line in masked_text(message).split("\n"))
    log(f"limner: {text}")


def echo(text: str) -> None:
    """Print a line to stdout; where it cannot be written, what is done goes on, and `whole_output` says so at its end.

    Raises:
        BrokenPipeError: its reader wants no more.
    """
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        _lost.append(error)
        leave()


_lost: list[OSError] = []  # what became of lines that could not be printed


def log(text: str, end: str = "\n") -> None:
    """Print a line to stderr, if it can be written: stdout is for results."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            print(text, end=end, file=sys.stderr, flush=True)


def check_stdout(what: str) -> None:
    """Raise OutputError where stdout is closed and something is to be printed that the user needs."""
    if sys.stdout is None or isinstance(sys.stdout, Closed):
        raise OutputError(f"{what} cannot be printed, as standard output is closed: give the name of a file")


@contextmanager
def any_name() -> Iterator[None]:
    """Print characters that the encoding of stdout lacks as ``\\xe9``: a name must not end a run."""
    stream: Any = sys.stdout
    before = getattr(stream, "errors", None)
    changed = before in ("strict", "surrogateescape") and hasattr(stream, "reconfigure")
    if changed:
        stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        if changed:
            with suppress(OSError, ValueError):
                stream.reconfigure(errors=before)


@contextmanager
def whole_output() -> Iterator[None]:
    """Say in one sentence where what is printed cannot be written, as on a full disk.

    Raises:
        OutputError: it cannot be.
        BrokenPipeError: its reader wants no more.
    """
    try:
        try:
            yield
        finally:
            if sys.stdout is not None and not sys.stdout.closed:
                sys.stdout.flush()
            if _lost:
                raise _lost.pop()
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename is not None or error.errno not in _OF_STREAMS:
            raise  # it is about a file
        leave()
        from ..files import write_error  # loads numpy, which --help does without

        raise write_error("what is printed", error) from None


_OF_STREAMS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF, errno.ENXIO, errno.EAGAIN)


def leave() -> None:
    """Let what is left in the buffers of stdout and stderr go nowhere, or Python would fail to write it at exit."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            _leave(stream)


def _leave(stream: TextIO) -> None:
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()
