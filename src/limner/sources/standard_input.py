"""Standard input and named pipes: one image, or a video that is read as it comes."""

from __future__ import annotations

import io
import os
import select
import sys
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..images import image_suffix, is_image
from ..video.animations import animation_of
from . import messages
from .content import index_comes_last
from .inputs import Input

NAME = "-"
MAX_BYTES = 1 << 30  # of an image
# the end of one image and the start of the next, by which a stream of images is known
_BETWEEN = {"JPEG": (b"\xff\xd8\xff", b"\xff\xd9\xff\xd8\xff"), "PNG": (b"\x89PNG", b"IEND\xaeB`\x82\x89PNG")}


class StandardInput:
    """The bytes of standard input or a named pipe, whose first ones can be looked at before they are read.

    Args:
        pipe: the path of a pipe, which waits for a program that writes; None takes standard input.

    Raises:
        InputError: it is a terminal, or closed, or may not be read.
    """

    def __init__(self, pipe: Path | None = None) -> None:
        self.name = "standard input" if pipe is None else f"'{pipe}'"  # in messages
        self.kind: str | None = None  # "JPEG" or "PNG" where it is one image after the other
        self.ended = False  # nothing more is wanted: `read` returns at once, also where nothing comes
        self._head = bytearray()
        self._waits = os.name != "nt"  # for pipes Windows has no select
        if pipe is not None:
            try:
                self._file: Any = io.FileIO(pipe)
            except OSError as error:
                raise InputError(messages.unreadable(pipe, error)) from None
            self._owned = True
            return
        stream = getattr(sys.stdin, "buffer", None)
        if stream is None or stream.closed or stream.isatty():
            raise InputError("standard input is not connected; pipe an image or a video in: limner run - < clip.mp4")
        self._file = stream
        self._waits = False
        with suppress(OSError, ValueError):  # of a program that replaced sys.stdin
            # Without Python's buffer, whose lock a thread that waits for bytes would hold at the end of the program.
            self._file = io.FileIO(stream.fileno(), closefd=False)
            self._waits = os.name != "nt"  # for pipes Windows has no select

    def peek(self, size: int) -> bytes:
        """Return the first ``size`` bytes, or all where there are fewer."""
        while len(self._head) < size and (read := self._file.read(size - len(self._head))):
            self._head += read
        return bytes(self._head[:size])

    def more(self) -> bool:
        """Wait for more bytes and keep them; return False at the end."""
        read = self._file.read(1 << 16)
        self._head += read or b""
        return bool(read)

    @property
    def head(self) -> bytearray:
        """What was looked at and not read yet."""
        return self._head

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes, b"" at the end."""
        if self._head:
            first = bytes(self._head[:size])
            del self._head[:size]
            return first
        while self._waits and not self.ended and not select.select([self._file], [], [], 0.2)[0]:
            pass
        return b"" if self.ended else bytes(self._file.read(size))

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        """Let go of a pipe, so that the next one who reads it gets what is written next; standard input stays open."""
        if getattr(self, "_owned", False):
            self._file.close()

    def __del__(self) -> None:
        # a pipe is read to its end, or until nobody wants more of it; standard input stays open
        self.close()


def standard_input(pipe: Path | None = None) -> Input:
    """Return what standard input, or a named pipe, holds as an input; it waits for the first bytes.

    Raises:
        InputError: it is a terminal, empty, or cannot be read.
    """
    stream = StandardInput(pipe)
    name = "stdin.mp4" if pipe is None else pipe.name
    video = Input(name, pipe, address=NAME if pipe is None else "", is_video=True, stream=stream)
    try:
        start = stream.peek(64)
        if not start:
            hint = "pipe an image or a video in: limner run - < clip.mp4"
            raise InputError(f"{stream.name} is empty; {hint if pipe is None else 'write an image or a video into it'}")
        if is_image(start):
            return _image(stream, video)
        if index_comes_last(stream.peek):
            return replace(video, stream=_spooled(stream))
    except OSError as error:
        raise InputError(f"{stream.name} cannot be read: {(error.strerror or str(error)).lower()}") from None
    except InputError:  # whose traceback holds on to the stream
        stream.close()
        raise
    return video


def _image(stream: StandardInput, video: Input) -> Input:
    """Return one image, an animation, or a stream of images as soon as a second one begins."""
    kind = next((kind for kind, (start, _) in _BETWEEN.items() if stream.peek(4).startswith(start)), None)
    between = _BETWEEN[kind][1] if kind else None
    searched = 0
    while stream.more():
        head = stream.head
        # The images behind the first one in a file with several, as phones write them, are not frames.
        if between and head.find(between, searched) >= 0 and b"MPF\0" not in head[: 1 << 18]:
            stream.kind = kind
            return video
        searched = max(0, len(head) - 16)
        if len(head) > MAX_BYTES:
            raise InputError(f"{stream.name} is more than {MAX_BYTES >> 20} MB, too large for an image")
    data = bytes(stream.head)
    animation = animation_of(io.BytesIO(data))
    if animation is not None:
        file = _spooled(stream)
        name = f"stdin{image_suffix(data)}" if video.path is None else video.name
        return replace(video, name=name, path=Path(file.name), address=video.address or str(video.path), stream=file)
    if video.path is not None:
        return replace(video, is_video=False, stream=None, data=data)
    return Input("stdin.png", address=NAME, data=data)


def _spooled(stream: StandardInput) -> Any:
    """Return standard input as a file, once it has come to its end; the system removes it when it is closed."""
    file = tempfile.NamedTemporaryFile(prefix="limner-", suffix=".stdin")  # noqa: SIM115 - open as long as its input
    while data := stream.read(1 << 20):
        file.write(data)
    file.flush()
    file.seek(0, os.SEEK_SET)
    return file
