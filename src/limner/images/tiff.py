"""What the directories of a TIFF say, read without decoding anything. Layouts: TIFF 6.0 and BigTIFF."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

MOST_PAGES = 1_000_000
_MOST_ENTRIES = 4096  # of a directory; photos have about a hundred
_ENTRIES = 1 << 18  # of all directories of a small file: they may lie one over the other
_LAYOUTS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # types of whole numbers
_FAR = 1 << 60  # bytes, beyond the end of any file
_MOST_VALUES = 64  # of a field that are looked at

SUBFILE, WIDTH, HEIGHT, BITS, SAMPLES, ROWS, TILE_WIDTH, TILE_HEIGHT = 254, 256, 257, 258, 277, 278, 322, 323


@dataclass(frozen=True)
class Directory:
    """One image of a TIFF.

    Args:
        number: its place in the file, from 0.
        fields: the largest value of each field of whole numbers.
    """

    number: int
    fields: dict[int, int] = field(default_factory=dict)


def is_tiff(start: bytes) -> bool:
    """Return whether the first bytes of a file are those of a TIFF."""
    return start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def directories(file: BinaryIO, wanted: frozenset[int]) -> Iterator[Directory]:
    """Yield the directories of a TIFF in their order, up to where they come again or go beyond the file.

    Args:
        file: open for reading.
        wanted: fields whose values are read.

    Raises:
        struct.error, ValueError, OSError: it is no TIFF, ends in a directory, or has far more fields than images have.
    """
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    start = file.read(16)
    if not is_tiff(start):
        raise ValueError("no TIFF")
    order = "<" if start[:2] == b"II" else ">"
    big = 43 in start[2:4]
    count_of, entry, pointer = ("Q", "HHQ8s", "Q") if big else ("H", "HHI4s", "I")
    size = struct.calcsize(order + entry)
    offset = struct.unpack_from(order + pointer, start, 8 if big else 4)[0]
    seen: set[int] = set()
    left = max(_ENTRIES, length // size)
    while offset and offset not in seen and offset < length and len(seen) < MOST_PAGES:
        file.seek(offset)
        count = struct.unpack(order + count_of, file.read(struct.calcsize(count_of)))[0]
        left -= count + 1
        if count > _MOST_ENTRIES or left < 0:
            raise ValueError("too many fields")
        entries = file.read(size * count)
        rest = file.read(struct.calcsize(pointer))
        fields: dict[int, int] = {}
        for tag, kind, values, inline in struct.iter_unpack(order + entry, entries[: len(entries) // size * size]):
            if tag in wanted and kind in _LAYOUTS:
                found = _values(file, order, kind, values, inline, pointer)
                fields[tag] = max(fields.get(tag, 0), *found)
        yield Directory(len(seen), fields)
        seen.add(offset)
        offset = struct.unpack(order + pointer, rest)[0] if rest else 0


def _values(file: BinaryIO, order: str, kind: int, count: int, inline: bytes, pointer: str) -> tuple[int, ...]:
    count = min(count, _MOST_VALUES)
    size = struct.calcsize(_LAYOUTS[kind])
    if size * count > len(inline):
        file.seek(min(struct.unpack(order + pointer, inline)[0], _FAR))
        inline = file.read(size * count)
    count = min(count, len(inline) // size)
    return struct.unpack_from(f"{order}{count}{_LAYOUTS[kind]}", inline) or (0,)
