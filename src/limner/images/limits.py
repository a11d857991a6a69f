"""How large an image may be: what a small file may make a decoder do is bounded."""

from __future__ import annotations

from ..errors import InputError
from .headers import Header

MAX_PIXELS = 1 << 28  # 0.8 GB once decoded: more than any camera takes
SMALL = 600_000_000  # bytes of memory that any file may take to decode
PER_BYTE = 128  # of its own size, that a larger file may take
MAX_BYTES = 1 << 30  # of the file of one image
_OPTION = "--max-pixels"


class TooLargeError(InputError):
    """An image has more pixels than may be read."""


def most_pixels(header: Header, size: int) -> int:
    """Return how many pixels an image may have where the user gives no limit: less where much comes from few bytes.

    Args:
        header: of the image.
        size: bytes of its file.
    """
    budget = max(SMALL, PER_BYTE * size)
    return min(MAX_PIXELS, int(budget / header.each), budget // header.passes)


def check_size(header: Header, size: int, name: str, max_pixels: int | None = None) -> None:
    """Refuse an image that is too large, before it is decoded.

    Args:
        header: of the image.
        size: bytes of its file.
        name: what errors call it.
        max_pixels: the limit that the user gives; None takes the usual ones.

    Raises:
        InputError: it is too large.
    """
    budget = max(SMALL, PER_BYTE * size)
    if header.more > budget or header.passes > 1000:
        raise InputError(
            f"'{name}' is damaged, or made to exhaust a decoder: it declares far more parts than its pixels need; "
            "save it anew as JPEG or PNG"
        )
    most = most_pixels(header, size) if max_pixels is None else max_pixels
    if header.pixels > most:
        of_size = "" if max_pixels is not None or most == MAX_PIXELS else f" from a file of {_bytes(size)}"
        raise TooLargeError(
            f"'{name}' is too large: {header.width} x {header.height} pixels where at most {most} are read{of_size}; "
            f"scale it down, or allow it with {_OPTION} {header.pixels} (max_pixels of limner.load in Python)"
        )


def _bytes(size: int) -> str:
    for unit, length in (("MB", 1_000_000), ("kB", 1000)):
        if size >= length:
            return f"{size / length:.0f} {unit}"
    return f"{size} bytes"
