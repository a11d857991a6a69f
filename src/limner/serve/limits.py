"""What a server refuses before it decodes anything: too many bytes or pixels, other files than images or videos."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from ..errors import LimnerError
from ..images import kind_of, limits
from ..images.headers import header_of
from .batcher import BusyError

# what is read of a video: FFmpeg also opens lists of other files and addresses, which a server must not follow
_VIDEO_STARTS = (
    (4, b"ftyp", ".mp4"),
    (4, b"moov", ".mov"),
    (4, b"mdat", ".mov"),
    (4, b"wide", ".mov"),
    (4, b"free", ".mov"),
    (0, b"\x1a\x45\xdf\xa3", ".mkv"),
    (0, b"GIF8", ".gif"),
    (0, b"FLV\x01", ".flv"),
    (0, b"OggS", ".ogv"),
    (0, b"\0\0\x01\xba", ".mpg"),
    (0, b"\0\0\x01\xb3", ".mpg"),
    (0, b"0&\xb2u\x8ef\xcf\x11", ".wmv"),
)


class RefusedError(LimnerError):
    """A request that is not done.

    Args:
        status: of HTTP.
        message: one sentence for whoever asks.
        headers: of the answer, besides the usual ones.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, dict(headers or {})


def check_image(data: bytes, most_pixels: int) -> int:
    """Return how many bytes it takes to decode the content of an image file, from its header alone.

    Raises:
        RefusedError: it is no image, damaged, or too large.
    """
    if not data:
        raise RefusedError(400, "the body is empty where an image is needed; send the file itself, or as multipart")
    kind = kind_of(data)
    if kind is None:
        raise RefusedError(415, "what was sent is no image in a known format; send a JPEG, PNG, WebP or HEIC file")
    header = header_of(kind, data)
    if header is None:
        raise RefusedError(400, f"the {kind} has no readable header; it is damaged or cut short")
    most = min(most_pixels, limits.most_pixels(header, len(data)))
    if header.pixels > most:
        raise RefusedError(
            413, f"the image has {header.width} x {header.height} pixels where {most} in all are taken; scale it down"
        )
    return int(header.each * header.pixels) + header.more


def video_suffix(start: bytes) -> str:
    """Return the usual ending of a video with these first bytes, such as ".mp4".

    Raises:
        RefusedError: it is no video of a known kind.
    """
    if not start:
        raise RefusedError(400, "the body is empty where a video is needed; send the file itself, or as multipart")
    if start[:4] == b"RIFF" and start[8:12] == b"AVI ":
        return ".avi"
    if len(start) > 188 and start[0] == start[188] == 0x47:
        return ".ts"
    if start[4:12] in (b"ftypavif", b"ftypheic", b"ftypmif1"):
        raise RefusedError(415, "what was sent is an image where a video is needed; /v1/predict takes it")
    for offset, mark, suffix in _VIDEO_STARTS:
        if start[offset : offset + len(mark)] == mark:
            return suffix
    if kind_of(start[:64]) is not None:
        raise RefusedError(415, "what was sent is an image where a video is needed; /v1/predict takes it")
    raise RefusedError(415, "what was sent is no video of a known kind; send MP4, MOV, MKV, WebM, AVI, MPEG or GIF")


class Memory:
    """How many bytes of uploads and images may be held at a time; several threads may share it."""

    def __init__(self, most: int) -> None:
        self._most, self._held = most, 0
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        """How many bytes are held now."""
        return self._held

    def holder(self) -> Held:
        """Return what holds bytes until its ``with`` block ends."""
        return Held(self)

    def change(self, by: int) -> None:
        """Hold so many bytes more, or fewer.

        Raises:
            BusyError: there are not so many left.
        """
        with self._lock:
            if by > 0 and self._held + by > self._most:
                raise BusyError("the server holds as many images as its memory allows; ask again in a moment", 2)
            self._held += by


class Held:
    """Bytes that are held for one request."""

    def __init__(self, memory: Memory) -> None:
        self._memory, self._bytes = memory, 0

    def add(self, size: int) -> None:
        """Hold so many bytes more.

        Raises:
            BusyError: there are not so many left.
        """
        self._memory.change(size)
        self._bytes += size

    def __enter__(self) -> Held:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._memory.change(-self._bytes)
        self._bytes = 0


def check_video(path: Path, most_pixels: int, longest: float) -> None:
    """Check what a video says of itself before anything of it is decoded.

    Raises:
        RefusedError: it has too many pixels a frame, or lasts too long.
        InputError: it cannot be read.
    """
    from ..video.inputs import open_container, video_stream

    with open_container(str(path)) as container:
        stream = video_stream(container)
        if stream is None:
            raise RefusedError(415, "what was sent holds no video")
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > most_pixels:
            raise RefusedError(413, f"the video has {width} x {height} pixels where {most_pixels} in all are taken")
        seconds = float(container.duration or 0) / 1_000_000
        if seconds > longest:
            raise RefusedError(413, f"the video lasts {seconds:.0f} seconds where {longest:g} are taken; cut it")
