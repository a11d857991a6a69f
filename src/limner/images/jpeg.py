"""JPEGs without their end: whether all of their pixels are there. Layout: ITU-T T.81, annexes B and G."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

import numpy as np

_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # neither a byte that is escaped in a scan nor a restart
_END = b"\xff\xd9"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# what may follow a scan that is complete: a decoder does not look at it, and takes it for pixels where some are missing
_FILLINGS = (b"", 64 * b"\x55", 64 * b"\xaa")


def ended(data: bytes, decode: Callable[[bytes], np.ndarray | None]) -> np.ndarray | None:
    """Decode a JPEG that lacks its end marker; return None where pixels are missing too.

    A decoder that runs out of bytes goes on with what follows. So the image is whole where it does not depend on
    that, and, as progressive files have several scans, where each coefficient has come to its last bit.

    Args:
        data: the whole file.
        decode: decodes a JPEG, and returns None where it cannot.
    """
    data = data[:-1] if data.endswith(b"\xff") else data
    if not _has_all_scans(data):
        return None
    first = decode(data + _FILLINGS[0] + _END)
    for filling in _FILLINGS[1:] if first is not None else ():
        other = decode(data + filling + _END)
        if first is None or other is None or not np.array_equal(first, other):
            return None
    return first


def _has_all_scans(data: bytes) -> bool:
    """Return whether the scans bring each coefficient of each component to its last bit."""
    try:
        return _brings_all(data)
    except (IndexError, ValueError, struct.error):  # a segment that is too short
        return False


def _brings_all(data: bytes) -> bool:
    missing: dict[int, list[bool]] = {}  # of each component, which of its 64 coefficients
    position = 2
    while match := _MARKER.search(data, position):
        at, code = match.start(), data[match.start() + 1]
        if at + 4 > len(data):
            return False
        length = struct.unpack_from(">H", data, at + 2)[0]
        segment = data[at + 4 : at + 2 + length]
        if len(segment) != length - 2:
            return False
        if code in _FRAMES:
            missing = {segment[6 + 3 * i]: [True] * 64 for i in range(segment[5])}
        elif code == 0xDA:
            count = segment[0]
            first, last, bits = segment[1 + 2 * count : 4 + 2 * count]
            for i in range(count):
                rest = missing.get(segment[1 + 2 * i])
                if rest is not None and bits & 15 == 0:
                    rest[first : last + 1] = [False] * (last + 1 - first)
        position = at + 2 + length
    return bool(missing) and not any(any(rest) for rest in missing.values())


def others_follow(data: bytes) -> bool:
    """Return whether other JPEGs follow the first, but those that a camera puts behind its image (MPF)."""
    return b"\xff\xd9\xff\xd8\xff" in data and b"MPF\0" not in data[: 1 << 18]
