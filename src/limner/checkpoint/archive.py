"""The parts of a zip archive, as torch writes them: each lies in the file, and no two share bytes.

The archive's own directory says where they are. What it says is compared with the file before anything is read.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Iterator
from io import BufferedReader
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from .limits import Budget

STORED, DEFLATED = 0, 8
ENCRYPTED, UTF8 = 0x1, 0x800  # flags
STEPS = 20  # for one part: it costs more memory than a step of the table of contents
MOST_DEFLATED = 1032  # bytes that one byte of deflate can become
CHUNK = 16 << 20  # bytes that are read or unpacked at once, so that Ctrl-C is heard in between
_END, _LOCATOR, _END64 = struct.Struct("<4s4H2LH"), struct.Struct("<4sLQL"), struct.Struct("<4sQ2H2L4Q")
_ENTRY, _LOCAL = struct.Struct("<4s6H3L5H2L"), struct.Struct("<4s5H3L2H")


class ArchiveError(ValueError):
    """An archive, or a part of one, that is not what it says; the message says what is wrong."""


class Member(NamedTuple):
    """A part of an archive."""

    name: str
    start: int  # of its content in the file
    packed: int  # bytes in the file
    size: int  # bytes unpacked
    checksum: int  # CRC-32; 0 where there may be none
    method: int
    flags: int


def members(mapped: mmap.mmap, budget: Budget) -> dict[str, Member]:
    """Return the parts of an archive by their names.

    Raises:
        ArchiveError: there is no directory, it does not fit the file, or two parts share bytes or a name.
        OverBudgetError: there are far too many.
    """
    found: dict[str, Member] = {}
    spans: list[tuple[int, int]] = []
    directory, end = _directory(mapped)
    for name, header, packed, size, checksum, method, flags in _entries(mapped, directory, end, budget):
        if header + _LOCAL.size > directory:
            raise ArchiveError("a part of it lies beyond its end")
        signature, *_, name_length, extra_length = _LOCAL.unpack_from(mapped, header)
        start = header + _LOCAL.size + name_length + extra_length
        if signature != b"PK\x03\x04" or start + packed > directory:
            raise ArchiveError("a part of it is not where its directory says")
        member = Member(_decoded(name, flags), start, packed, size, checksum, method, flags)
        if member.name in found:
            raise ArchiveError("two parts of it have one name")
        found[member.name] = member
        spans.append((header, start + packed))
    spans.sort()
    if any(end > begin for (_, end), (begin, _) in pairwise(spans)):
        raise ArchiveError("two parts of it share bytes")
    return found


def _decoded(name: bytes, flags: int) -> str:
    try:
        return name.decode("utf-8" if flags & UTF8 else "cp437")
    except UnicodeDecodeError:
        raise ArchiveError("the name of a part is no text") from None


def _directory(mapped: mmap.mmap) -> tuple[int, int]:
    """Return where the directory begins and ends."""
    place = mapped.rfind(b"PK\x05\x06", max(0, len(mapped) - _END.size - 0xFFFF))
    if place < 0 or place + _END.size > len(mapped):
        raise ArchiveError("its end is missing")
    *_, size, begin, _ = _END.unpack_from(mapped, place)
    if place >= _LOCATOR.size and mapped[place - _LOCATOR.size : place - _LOCATOR.size + 4] == b"PK\x06\x07":
        _, _, place, _ = _LOCATOR.unpack_from(mapped, place - _LOCATOR.size)
        if place + _END64.size > len(mapped) or mapped[place : place + 4] != b"PK\x06\x06":
            raise ArchiveError("its end is damaged")
        *_, size, begin = _END64.unpack_from(mapped, place)
    if begin + size > place:
        raise ArchiveError("its directory lies beyond its end")
    return begin, begin + size


def _entries(
    mapped: mmap.mmap, place: int, end: int, budget: Budget
) -> Iterator[tuple[bytes, int, int, int, int, int, int]]:
    """Yield of each part: name, place of its header, packed and whole size, checksum, method and flags."""
    while place < end:
        budget.step(STEPS)
        if place + _ENTRY.size > end:
            raise ArchiveError("its directory is cut off")
        entry = _ENTRY.unpack_from(mapped, place)
        signature, _, _, flags, method, _, _, checksum, packed, size, named, extra, comment, _, _, _, header = entry
        if signature != b"PK\x01\x02":
            raise ArchiveError("its directory is damaged")
        place += _ENTRY.size
        name, more = mapped[place : place + named], mapped[place + named : place + named + extra]
        place += named + extra + comment
        if place > end:
            raise ArchiveError("its directory is cut off")
        if 0xFFFFFFFF in (size, packed, header):
            size, packed, header = _long(more, size, packed, header)
        yield name, header, packed, size, checksum, method, flags


def _long(extra: bytes, *numbers: int) -> list[int]:
    """Return numbers with those in place that need more than 32 bits."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == 1:
            longer = iter(struct.unpack_from(f"<{min(length, len(extra) - 4) // 8}Q", extra, 4))
            try:
                return [next(longer) if number == 0xFFFFFFFF else number for number in numbers]
            except (StopIteration, RuntimeError):
                break
        extra = extra[4 + length :]
    raise ArchiveError("its directory lacks a size")


def content(file: BufferedReader, member: Member, budget: Budget) -> np.ndarray:
    """Return what a part holds, as bytes, in memory of its own that a network can keep.

    Raises:
        ArchiveError: it is damaged, encrypted, or packed in another way than by deflate.
        OverBudgetError: it would be too large.
    """
    if member.flags & ENCRYPTED:
        raise ArchiveError("is encrypted")
    if member.method not in (STORED, DEFLATED):
        raise ArchiveError(f"is packed by a method that torch does not use ({member.method}): unpack it and pack anew")
    most = member.packed if member.method == STORED else member.packed * MOST_DEFLATED
    if member.size > most or (member.method == STORED and member.size != member.packed):
        raise ArchiveError("cannot be as long as it says")
    budget.take(member.size)
    data = np.empty(member.size, np.uint8)
    file.seek(member.start)
    whole = len(filled(file, data)) == member.size if member.method == STORED else _unpack(file, member, data)
    # torch can be told to write no checksums; these are 0 then
    if not whole or (member.checksum and checksum(data) != member.checksum):
        raise ArchiveError("is not what was written")
    return data


def filled(file: BufferedReader, data: np.ndarray) -> np.ndarray:
    """Fill bytes with what follows in a file, and return them; they are fewer where the file ends before."""
    view, done = data.data, 0
    while done < len(view) and (got := file.readinto(view[done : done + CHUNK])):
        done += got
    return data if done == len(data) else data[:done]


def _unpack(file: BufferedReader, member: Member, data: np.ndarray) -> bool:
    """Fill memory with what a part holds; return whether that is as long as it says."""
    unpacker, left, done, packed, view = zlib.decompressobj(-15), member.packed, 0, b"", data.data
    try:
        while not unpacker.eof:
            if not packed:
                packed = file.read(min(CHUNK, left))
                left -= len(packed)
            part = unpacker.decompress(packed, min(CHUNK, member.size - done + 1))
            if done + len(part) > member.size or not (part or packed):  # longer than it says, or cut off
                return False
            view[done : done + len(part)] = part
            done += len(part)
            packed = unpacker.unconsumed_tail
    except zlib.error:
        raise ArchiveError("cannot be unpacked") from None
    return done == member.size


def checksum(data: np.ndarray) -> int:
    """Return the CRC-32 of bytes."""
    if len(data) <= CHUNK:
        return zlib.crc32(data.data)
    value, view = 0, data.data
    for start in range(0, len(data), CHUNK):
        value = zlib.crc32(view[start : start + CHUNK], value)
    return value
