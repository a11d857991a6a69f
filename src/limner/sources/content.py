"""Whether a file is an image or a video: its content decides where its ending does not."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from ..files import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from ..images import is_image
from ..video.animations import animation_of

_JPEGS = frozenset((".mjpg", ".mjpeg"))  # one after the other, so that the first one tells nothing
_MOST_BOXES = 1 << 20  # bytes of an MP4 that are looked at for its index
_BEFORE_FRAMES = (b"ftyp", b"wide", b"free", b"skip", b"mdat", b"moov")  # the first boxes of MP4 and QuickTime files


def holds_video(path: Path) -> bool:
    """Return whether a file is a video, an animation or holds several pages.

    The content is looked at, so that ``cat.gif`` may be an MP4 and ``cat.mp4`` a JPEG; what neither shows is a video
    where its ending is of one.
    """
    suffix = path.suffix.lower()
    named_video = suffix in VIDEO_SUFFIXES
    if suffix in _JPEGS or not path.is_file():
        return named_video
    try:
        with path.open("rb") as file:
            start = file.read(64)
            file.seek(0)
            if is_image(start):
                return animation_of(file) is not None
    except OSError:
        return named_video  # reading it will raise the error
    if named_video:
        return True
    if suffix in IMAGE_SUFFIXES and not may_be_video(start):
        return False  # a damaged image
    from ..video.inputs import content_is_video  # loads PyAV, which images do without

    return content_is_video(str(path))


def may_be_video(start: bytes) -> bool:
    """Return whether the first bytes are those of the containers that are passed on under names of images."""
    return start[4:8] == b"ftyp" or start[:4] in (b"\x1aE\xdf\xa3", b"RIFF") or start[:1] == b"G"


def index_comes_last(peek: Callable[[int], bytes]) -> bool:
    """Return whether a video is an MP4 that cannot be read as it comes: its index (moov) is behind its frames (mdat).

    Args:
        peek: returns that many of the first bytes, or all where there are fewer.
    """
    if peek(8)[4:8] not in _BEFORE_FRAMES:
        return False
    position = 0
    while position < _MOST_BOXES:
        header = peek(position + 16)[position:]
        if len(header) < 8:
            break
        size, kind = struct.unpack(">I4s", header[:8])
        if kind in (b"moov", b"mdat"):
            return bool(kind == b"mdat")
        if size == 1 and len(header) == 16:
            size = struct.unpack(">Q", header[8:])[0]
        if size < 8:
            break
        position += size
    return True
