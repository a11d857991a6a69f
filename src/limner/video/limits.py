"""How large a frame may be, and how much of a video is held at once: both are bounded, whatever a file declares."""

from __future__ import annotations

import os
from typing import Any

from ..errors import ArgumentError, InputError, plain, said

MAX_PIXELS = 36_000_000  # of a frame: 8192 x 4352, the most of H.264's and a good deal of HEVC's levels
HELD_BYTES = 1 << 27  # of frames that wait between two stages: five of 3840 x 2160
_DECODER_BYTES = 400_000_000  # of the frames that are decoded at once, one a thread
_FRAME_BYTES = 3  # of a pixel in a decoder: 1.5 as 8 bits of 4:2:0, more otherwise
_MOST_THREADS = 16  # as FFmpeg
_ROW = 256  # pixels by which decoders make rows longer


def check_max_pixels(value: object) -> int | None:
    """Return a limit that a user gives, None for the usual one.

    Raises:
        ArgumentError: it is not a whole number of pixels.
    """
    number: Any = plain(value)
    if number is None:
        return None
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ArgumentError(f"max_pixels is {said(value)} where a whole number of pixels from 1 on is needed")
    return number


def check_frame(width: int, height: int, name: str, max_pixels: int | None) -> None:
    """Refuse a video whose frames are too large, before one is decoded.

    Args:
        width, height: pixels, as the file declares them; 0 where it does not.
        name: what errors call it.
        max_pixels: the limit that the user gives; None takes `MAX_PIXELS`.

    Raises:
        InputError: they are.
    """
    most = MAX_PIXELS if max_pixels is None else max_pixels
    if width * height > most:
        raise InputError(
            f"{name} is too large: its frames have {width} x {height} pixels where at most {most} are read; scale it "
            f"down, or allow it with --max-pixels {width * height} (max_pixels of limner.load in Python)"
        )


def check_animation(path: str, max_pixels: int | None) -> None:
    """Refuse a GIF or PNG whose canvas is too large, of which FFmpeg would not tell the size.

    Raises:
        InputError: it is.
        OSError: it cannot be read.
    """
    if not os.path.isfile(path):
        return  # a pipe
    from ..images.headers import header_of  # loads OpenCV, which the options do without

    with open(path, "rb") as file:
        start = file.read(64)
    kind = "GIF" if start[:4] == b"GIF8" else "PNG" if start[:4] == b"\x89PNG" else ""
    header = header_of(kind, start)
    if header is not None:
        check_frame(header.width, header.height, f"'{path}'", max_pixels)


def is_too_large(width: int, height: int, max_pixels: int | None) -> str:
    """Return what is to be added where frames were left out because they are too large; "" where they are not."""
    most = MAX_PIXELS if max_pixels is None else max_pixels
    if width * height <= most:
        return ""
    return f"; some have {width} x {height} pixels where at most {most} are read: --max-pixels {width * height}"


def decoder_options(max_pixels: int | None) -> dict[str, str]:
    """Return the options with which FFmpeg makes no room for larger frames, also where they grow in the middle."""
    most = MAX_PIXELS if max_pixels is None else max_pixels
    # it counts rows as long as it makes them
    return {"max_pixels": str(min(most + most // 8 + _ROW * 8192, (1 << 62)))}


def threads(width: int, height: int, wanted: int) -> int:
    """Return how many threads decode: fewer where frames are so large that each would hold much.

    Args:
        width, height: pixels of a frame.
        wanted: 0 lets FFmpeg choose.
    """
    most = max(1, int(_DECODER_BYTES / max(1, _FRAME_BYTES * width * height)))
    if most >= _MOST_THREADS:
        return wanted
    return min(wanted, most) if wanted else most
