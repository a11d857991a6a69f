"""The container of AVIF and HEIC: which of the two it holds, and how its image is turned.

Layouts: ISO/IEC 14496-12 (boxes), ISO/IEC 23008-12 (items and their properties).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

_AVIF = frozenset((b"avif", b"avis"))
_HEIC = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))
_EITHER = frozenset((b"mif1", b"msf1", b"mif2", b"miaf"))  # of the container alone


def kind_of_container(start: bytes) -> str | None:
    """Return "AVIF" or "HEIC" for the first bytes of such a file, None for another one."""
    if start[4:8] != b"ftyp" or len(start) < 12:
        return None
    major, size = start[8:12], struct.unpack(">I", start[:4])[0]
    others = {start[at : at + 4] for at in range(16, min(size, len(start), 256) - 3, 4)}
    brands = {major} if major not in _EITHER else others
    if brands & _AVIF:
        return "AVIF"
    return "HEIC" if brands & _HEIC or major in _EITHER else None


def turns(data: bytes) -> list[tuple[str, int]]:
    """Return how the image of a file is to be turned, in order: ("irot", quarter turns counter-clockwise) and
    ("imir", 0 for upside down, 1 for left to right)."""
    try:
        return list(_turns(data))
    except (struct.error, IndexError):
        return []  # decoding raises the error


def turned(image: np.ndarray, how: list[tuple[str, int]]) -> np.ndarray:
    """Return an image turned as `turns` says."""
    for kind, value in how:
        image = np.rot90(image, value) if kind == "irot" else image[::-1] if value == 0 else image[:, ::-1]
    return np.ascontiguousarray(image)


def _turns(data: bytes) -> Iterator[tuple[str, int]]:
    meta = _box(data, b"meta", 0, len(data))
    if meta is None:
        return
    inside = (meta[0] + 4, meta[1])  # behind its version and flags
    primary, properties = _box(data, b"pitm", *inside), _box(data, b"iprp", *inside)
    if primary is None or properties is None:
        return
    item = struct.unpack_from(">I" if data[primary[0]] else ">H", data, primary[0] + 4)[0]
    container = _box(data, b"ipco", *properties)
    known = [] if container is None else list(_boxes(data, *container))
    for kind, begin, end in _boxes(data, *properties):
        if kind == b"ipma":
            for index in _associated(data[begin:end], item):
                name, at, _ = known[index - 1] if 0 < index <= len(known) else (b"", 0, 0)
                if name in (b"irot", b"imir"):
                    yield name.decode(), data[at] & (3 if name == b"irot" else 1)


def _associated(ipma: bytes, item: int) -> list[int]:
    """Return the numbers of an item's properties, from 1, in their order."""
    wide_items, wide_indices = ipma[0] >= 1, ipma[3] & 1
    at = 8
    for _ in range(struct.unpack_from(">I", ipma, 4)[0]):
        found = struct.unpack_from(">I" if wide_items else ">H", ipma, at)[0]
        at += 4 if wide_items else 2
        count, at = ipma[at], at + 1
        layout, step, mask = (">H", 2, 0x7FFF) if wide_indices else (">B", 1, 0x7F)  # without the essential bit
        indices = [struct.unpack_from(layout, ipma, at + step * i)[0] & mask for i in range(count)]
        if found == item:
            return indices
        at += step * count
    return []


def _box(data: bytes, kind: bytes, begin: int, end: int) -> tuple[int, int] | None:
    """Return where the content of the first box of a kind begins and ends."""
    return next(((start, stop) for found, start, stop in _boxes(data, begin, end) if found == kind), None)


def _boxes(data: bytes, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of each box, and where its content begins and ends."""
    while begin + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, begin)
        header = 8
        if size == 1:
            size, header = struct.unpack_from(">Q", data, begin + 8)[0], 16
        stop = end if size == 0 else begin + size
        if (size and size < header) or stop > end:
            return
        yield kind, begin + header, stop
        begin = stop
