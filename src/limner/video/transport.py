"""How long recordings of MPEG streams last: their clocks, read here and there, also where parts were joined.

FFmpeg takes the first and the last time of a file, between which the clock may have been set back. Layouts: ISO/IEC
13818-1 (PCR of transport streams, SCR of program streams).
"""

from __future__ import annotations

import os
from itertools import pairwise
from statistics import median
from typing import BinaryIO

_PLACES = 64  # of a file, at which its clock is read
_CHUNK, _CHUNKS = 1 << 16, 8  # bytes that are read at each place until a clock is found, and how often
_SIZES = (188, 192, 204)  # of packets: plain, with a time in front, with parity behind
_WRAP = 2**33 / 90_000  # seconds after which the clock starts anew
_MOST = 10.0  # seconds that no two places are apart without a jump, unless all are


def lengths(address: str, demuxer: str) -> tuple[float, float] | None:
    """Return the seconds of a joined recording by its clock and those for which it has images; None for all others.

    Both are estimates. They differ where the clock jumps forward, which leaves a gap.

    Args:
        address: the path of a file.
        demuxer: FFmpeg's name of its format.
    """
    if demuxer not in ("mpegts", "mpeg"):
        return None
    try:
        with open(address, "rb") as file:
            times = _times(file, os.fstat(file.fileno()).st_size, demuxer == "mpegts")
    except OSError:
        return None
    steps = [after - before for before, after in pairwise(times)]
    forward = [step for step in steps if step > 0]
    if len(forward) < 4:
        return None
    usual = median(forward)
    jumps = [step for step in steps if step < 0 or step > max(_MOST, 8 * usual)]
    back = [step for step in jumps if step < 0 and step > -_WRAP / 2]  # a clock that starts anew goes on
    if not back:
        return None
    places = _PLACES / len(steps)  # the last place is before the end
    images = sum(usual if step in jumps else step for step in steps) * places
    gaps = sum(step for step in jumps if step > 0)
    return images + gaps, images


def _times(file: BinaryIO, size: int, transport: bool) -> list[float]:
    found: list[float] = []
    source: list[int] = []  # the stream of a transport stream that carries the clock
    for place in range(_PLACES):
        file.seek(size * place // _PLACES)
        data = b""
        for _ in range(_CHUNKS):
            came = file.read(_CHUNK)
            data += came
            time = _transport_clock(data, source) if transport else _program_clock(data)
            if time is not None:
                found.append(time)
            if time is not None or not came:
                break
    return found


def _transport_clock(data: bytes, source: list[int]) -> float | None:
    """Return the first time in packets that may begin anywhere, in seconds."""
    size, start = next(((n, at) for n in _SIZES for at in range(n) if data[at : at + 5 * n : n] == b"\x47" * 5), (0, 0))
    for at in range(start, len(data) - 12, size or len(data)):
        adapted = size and data[at] == 0x47 and data[at + 3] & 0x20 and data[at + 4] >= 7 and data[at + 5] & 0x10
        number = int.from_bytes(data[at + 1 : at + 3], "big") & 0x1FFF
        if adapted and number in (source or [number]):
            source[:] = [number]
            return (int.from_bytes(data[at + 6 : at + 11], "big") >> 7) / 90_000
    return None


def _program_clock(data: bytes) -> float | None:
    at = data.find(b"\0\0\1\xba")
    if at < 0 or len(data) < at + 10:
        return None
    bits = int.from_bytes(data[at + 4 : at + 9], "big")
    if data[at + 4] >> 6 == 1:  # MPEG-2: 01 3 bits 1 15 bits 1 15 bits 1
        return (bits >> 35 & 7) * 2**30 / 90_000 + ((bits >> 19 & 0x7FFF) * 2**15 + (bits >> 3 & 0x7FFF)) / 90_000
    if data[at + 4] >> 4 == 2:  # MPEG-1: 0010 3 bits 1 15 bits 1 15 bits 1
        return ((bits >> 33 & 7) * 2**30 + (bits >> 17 & 0x7FFF) * 2**15 + (bits >> 1 & 0x7FFF)) / 90_000
    return None
