"""Whether a file is an image or a video: its content decides where its ending does not."""

from __future__ import annotations

from pathlib import Path

from ..files import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from ..images import is_image
from ..video.animations import animation_of


def holds_video(path: Path) -> bool:
    """Return whether a file is a video, an animation or holds several pages.

    That of an ending of videos is one; of others the content is looked at, so that ``cat.gif`` may be an MP4.
    """
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES or not path.is_file():
        return suffix in VIDEO_SUFFIXES
    try:
        with path.open("rb") as file:
            start = file.read(64)
            file.seek(0)
            if is_image(start):
                return animation_of(file) is not None
    except OSError:
        return False  # reading it will raise the error
    if suffix in IMAGE_SUFFIXES and not may_be_video(start):
        return False  # a damaged image
    from ..video.inputs import content_is_video  # loads PyAV, which images do without

    return content_is_video(str(path))


def may_be_video(start: bytes) -> bool:
    """Return whether the first bytes are those of the containers that are passed on under names of images."""
    return start[4:8] == b"ftyp" or start[:4] in (b"\x1aE\xdf\xa3", b"RIFF") or start[:1] == b"G"
