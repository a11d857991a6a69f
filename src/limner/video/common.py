"""Frame rates, URLs and OpenCV's messages, for the readers and writers of video."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, Protocol

import cv2

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


class Rational(Protocol):
    """A ratio as PyAV gives it: `Fraction` up to PyAV 18, its own type from 19 on."""

    @property
    def numerator(self) -> int: ...

    @property
    def denominator(self) -> int: ...


def fraction(value: Rational | None) -> Fraction | None:
    """Return PyAV's ratio as a Fraction, None where it is unknown (None, 0/1 or 0/0)."""
    if value is None or not value.numerator or not value.denominator:
        return None
    return Fraction(value.numerator, value.denominator)


def tidy_rate(rate: Fraction | float) -> Fraction:
    """Return ``rate`` as a whole number or n * 1000/1001 where it is within 0.01 % of one (29.97 -> 30000/1001).

    Files often give a rate that was measured, or rounded to a few decimals.
    """
    exact = Fraction(rate).limit_denominator(1_000_000)
    for candidate in (Fraction(round(exact)), Fraction(round(exact * Fraction(1001, 1000)) * 1000, 1001)):
        if candidate and abs(exact / candidate - 1) < 1e-4:
            return candidate
    return exact.limit_denominator(1001)


def demux(container: Any, streams: Any) -> Generator[Any, None, None]:
    """Yield the packets of some streams, as PyAV does, also where a damaged file begins a stream on its way.

    PyAV 18 and its like have no place for such a stream, and raise IndexError at its first packet: reading goes on
    behind it.
    """
    while True:
        packets = container.demux(streams)
        try:
            yield from packets
            return
        except IndexError:
            continue
        finally:
            packets.close()


def encode_timed(stream: Any, frame: Any, durations: dict[int, int], shortest: int) -> list[Any]:
    """Encode a frame, None for the end; return the packets that are ready, with their durations.

    Args:
        stream: PyAV's, open for writing.
        frame: PyAV's.
        durations: of the frames in the encoder, by their times; those of the packets are taken out.
        shortest: of a packet that is not among them.
    """
    packets: list[Any] = stream.encode(frame)
    for packet in packets:
        packet.duration = durations.pop(packet.pts, shortest)
    return packets


def scheme_of(address: str) -> str:
    """Return the scheme of a URL in lower case ("rtsp"), "" for a path."""
    match = _SCHEME.match(address)
    return match[1].lower() if match else ""


def file_url(path: str | os.PathLike[str]) -> str:
    """Return a path as a URL, so that FFmpeg takes no part of it for a protocol, as in ``12:30.mp4``."""
    return f"file:{os.fspath(path)}"


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Keep OpenCV from printing what it fails to do."""
    # Older releases of OpenCV 4 have the one, newer ones the other; 0 is silence.
    set_log_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
    level = set_log_level(0)
    try:
        yield
    finally:
        set_log_level(level)
