"""The container of AVIF and HEIC: which of the two it holds, how large its image is, and how it is cropped and turned.

Layouts: ISO/IEC 14496-12 (boxes), ISO/IEC 23008-12 (items and their properties).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from functools import partial

import numpy as np

from . import payloads

_AVIF = frozenset((b"avif", b"avis"))
_HEIC = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))
_MOST_IMAGES = 32767  # of a sequence
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


def declared_size(data: bytes) -> tuple[int, int]:
    """Return the largest (width, height) that the properties, tracks and streams of a container declare.

    Raises:
        struct.error, IndexError, ValueError: it is damaged.
    """
    sizes = [(0, 0)]
    meta = _box(data, b"meta", 0, len(data))
    if meta is not None:
        inside = (meta[0] + 4, meta[1])  # behind its version and flags
        properties = _box(data, b"iprp", *inside)
        container = None if properties is None else _box(data, b"ipco", *properties)
        for kind, begin, end in boxes(data, *container) if container is not None else ():
            if kind == b"ispe":
                sizes.append(struct.unpack_from(">II", data, begin + 4))
            if kind == b"hvcC":
                sizes.append(payloads.hevc_size(data[begin:end]))
        for place in _places(data, *inside):
            with suppress(ValueError, IndexError):  # not AV1
                sizes.append(payloads.av1_size(data[place : place + 256]))
    moov = _box(data, b"moov", 0, len(data))
    for kind, begin, end in boxes(data, *moov) if moov is not None else ():
        if kind == b"trak":
            sizes += _track_sizes(data, begin, end)
    return max(sizes, key=lambda size: size[0] * size[1])


def is_deep(data: bytes) -> bool:
    """Return whether a container may hold an alpha channel, or more than 8 bits, which take more memory."""
    meta = _box(data, b"meta", 0, len(data))
    properties = b"" if meta is None else data[meta[0] : meta[1]]
    at = properties.find(b"av1C")
    return b"auxC" in properties or (at >= 0 and any(byte & 0x40 for byte in properties[at + 6 : at + 7]))


def delays(data: bytes) -> list[int]:
    """Return for how many milliseconds each image of a sequence is shown; empty where it is damaged."""
    moov = _box(data, b"moov", 0, len(data))
    for kind, begin, end in boxes(data, *moov) if moov is not None else ():
        media = _box(data, b"mdia", begin, end) if kind == b"trak" else None
        if media is None:
            continue
        clock, handler, table = _box(data, b"mdhd", *media), _box(data, b"hdlr", *media), _table(data, begin, end)
        times = None if table is None else _box(data, b"stts", *table)
        if clock is None or handler is None or times is None or data[handler[0] + 8 : handler[0] + 12] != b"pict":
            continue
        with suppress(struct.error, IndexError):
            scale = struct.unpack_from(">I", data, clock[0] + (20 if data[clock[0]] == 1 else 12))[0]
            return _delays(data[times[0] + 8 : times[1]], max(1, scale))
    return []


def _delays(entries: bytes, scale: int) -> list[int]:
    found: list[int] = []
    for count, ticks in struct.iter_unpack(">II", entries[: len(entries) // 8 * 8]):
        found += [round(1000 * ticks / scale)] * min(count, _MOST_IMAGES - len(found))
    return found


def _places(data: bytes, begin: int, end: int) -> Iterator[int]:
    """Yield where the items of a file begin, those in its box idat too."""
    place, inline = _box(data, b"iloc", begin, end), _box(data, b"idat", begin, end)
    if place is None:
        return
    at = place[0]
    version = data[at]
    sizes = (data[at + 4] >> 4, data[at + 4] & 15, data[at + 5] >> 4, data[at + 5] & 15 if version else 0)
    wide = 4 if version == 2 else 2
    count = int.from_bytes(data[at + 6 : at + 6 + wide], "big")
    at += 6 + wide
    offset_size, length_size, base_size, index_size = sizes
    for _ in range(count):
        if at >= place[1]:
            return
        method = data[at + wide + 1] & 15 if version else 0
        at += wide + (4 if version else 2)
        base = int.from_bytes(data[at : at + base_size], "big")
        extents = int.from_bytes(data[at + base_size : at + base_size + 2], "big")
        at += base_size + 2
        first = int.from_bytes(data[at + index_size : at + index_size + offset_size], "big")
        at += extents * (index_size + offset_size + length_size)
        if extents:
            yield base + first + (inline[0] if method == 1 and inline is not None else 0)


def _table(data: bytes, begin: int, end: int) -> tuple[int, int] | None:
    """Return where the sample table of a track is."""
    table: tuple[int, int] | None = (begin, end)
    for kind in (b"mdia", b"minf", b"stbl"):
        table = None if table is None else _box(data, kind, *table)
    return table


def _track_sizes(data: bytes, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the sizes that the sample table of a track declares."""
    table = _table(data, begin, end)
    if table is None:
        return
    for kind, start, stop in boxes(data, *table):
        if kind == b"stsd" and stop - start >= 44:
            yield struct.unpack_from(">HH", data, start + 8 + 32)  # of its first entry
        if kind in (b"stco", b"co64") and stop - start >= (12 if kind == b"stco" else 16):
            place = struct.unpack_from(">I" if kind == b"stco" else ">Q", data, start + 8)[0]
            with suppress(ValueError, IndexError):
                yield payloads.av1_size(data[place : place + 256])


Change = Callable[[np.ndarray], np.ndarray]


def changes(data: bytes) -> list[Change]:
    """Return what is to be done with the image of a file, in order: cropping (clap), turning (irot), mirroring (imir).

    Empty where nothing is, or where the container is damaged.
    """
    try:
        return list(_changes(data))
    except (struct.error, IndexError):
        return []  # decoding raises the error


def changed(image: np.ndarray, how: list[Change]) -> np.ndarray:
    """Return an image, uint8 [H, W, 3], cropped and turned as `changes` says."""
    for change in how:
        image = change(image)
    return np.ascontiguousarray(image)


def _cropped(image: np.ndarray, numbers: tuple[int, ...]) -> np.ndarray:
    """Return the part of an image that its clean aperture says; all of it where that is not made of whole pixels.

    Args:
        image: uint8 [H, W, 3].
        numbers: width, height and the offsets of its centre, x and y, each as a ratio of two.
    """
    if 0 in numbers[1::2]:
        return image
    width, height, x, y = (Fraction(*numbers[i : i + 2]) for i in range(0, 8, 2))
    left, top = x + (image.shape[1] - width) / 2, y + (image.shape[0] - height) / 2
    whole = all(value.denominator == 1 for value in (width, height, left, top))
    inside = left >= 0 and top >= 0 and left + width <= image.shape[1] and top + height <= image.shape[0]
    if not whole or not inside or width <= 0 or height <= 0:
        return image
    return image[int(top) : int(top + height), int(left) : int(left + width)]


def _changes(data: bytes) -> Iterator[Change]:
    meta = _box(data, b"meta", 0, len(data))
    if meta is None:
        return
    inside = (meta[0] + 4, meta[1])  # behind its version and flags
    primary, properties = _box(data, b"pitm", *inside), _box(data, b"iprp", *inside)
    if primary is None or properties is None:
        return
    item = struct.unpack_from(">I" if data[primary[0]] else ">H", data, primary[0] + 4)[0]
    container = _box(data, b"ipco", *properties)
    known = [] if container is None else list(boxes(data, *container))
    for kind, begin, end in boxes(data, *properties):
        if kind == b"ipma":
            for index in _associated(data[begin:end], item):
                name, at, _ = known[index - 1] if 0 < index <= len(known) else (b"", 0, 0)
                if name == b"clap":
                    yield partial(_cropped, numbers=struct.unpack_from(">IIIIiIiI", data, at))
                if name == b"irot":
                    yield partial(np.rot90, k=data[at] & 3)
                if name == b"imir":
                    yield partial(np.flip, axis=data[at] & 1)


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
    return next(((start, stop) for found, start, stop in boxes(data, begin, end) if found == kind), None)


def boxes(data: bytes, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of each box of a container, and where its content begins and ends."""
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
