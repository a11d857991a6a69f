"""How long the images of a video file last: containers tell other things as well, under the same name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import av.error

from ..errors import InputError
from .common import demux, fraction
from .inputs import open_container, video_stream

_CLOCK = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")
_FROM_ZERO = frozenset(("matroska,webm", "asf", "nut"))  # whose durations count from 0, not from the first image
_MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
_SHARED = frozenset(("asf", "flv"))  # that tell one duration for everything in the file
_SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)  # of a file, from which its end is sought
_READ_WHOLE = 1 << 28  # bytes, up to which a file may be read to find its end
_EARLY = 0.5  # seconds: a first image before that says nothing about how a duration is meant


@dataclass(frozen=True)
class Length:
    """What a container says about the length of its images.

    Args:
        seconds: None where it says nothing.
        of_images: False where the sound, or a clock that starts late, may be meant.
    """

    seconds: float | None
    of_images: bool


def declared_length(container: Any, stream: Any) -> Length:
    """Read the length of the images of an open container from its headers."""
    base = fraction(stream.time_base) or Fraction(1, 1000)
    name = container.format.name
    first = max(0.0, float((stream.start_time or 0) * base))
    whole = container.duration / 1e6 if container.duration else 0.0
    own = float(stream.duration * base) if stream.duration else 0.0
    alone = len(container.streams) == 1
    if name == "matroska,webm" and (end := _matroska_end(stream, first)):
        own = end
    if name == _MP4 and own and not stream.frames:  # in fragments, whose clock may start anywhere
        entries = getattr(stream, "index_entries", None)
        clock = float(entries[0].timestamp * base) if entries else first
        if clock > _EARLY and own > clock:
            return Length(own - clock, False)
    if name in _FROM_ZERO:
        own, whole = own - first if own > first else own, whole - first if whole > first else whole
    if own and name not in _SHARED:
        return Length(own, True)
    seconds = min((value for value in (own, whole) if value > 0), default=None)
    return Length(seconds, alone and name != "flv")


def _matroska_end(stream: Any, first: float) -> float | None:
    """Return the time at which the images end, as the program that wrote a Matroska file noted it."""
    tags = {key.upper(): value for key, value in dict(stream.metadata).items()}
    key = next((key for key in tags if key.split("-")[0] == "DURATION"), None)
    match = _CLOCK.match(tags[key]) if key is not None else None
    if match is None:
        return None
    seconds = 3600 * int(match[1]) + 60 * int(match[2]) + float(match[3])
    lasts = any(name.startswith("_STATISTICS_WRITING_APP") for name in tags)  # mkvmerge notes how long they last
    return seconds + first if lasts else seconds


def last_time(address: str, *, images: bool) -> float | None:
    """Return the time at which the last packet of a file ends, of its images or of all else; None where unknown."""
    with suppress(InputError, av.error.FFmpegError, OSError, ValueError), open_container(address) as container:
        video = video_stream(container)
        wanted = [s for s in container.streams if (s is video if images else s is not video)]
        if not wanted or not container.duration:
            return None
        start = max(0, container.start_time or 0)
        for share in _SHARES:
            if share or os.path.getsize(address) < _READ_WHOLE:
                with suppress(av.error.FFmpegError, OSError):  # some formats cannot be sought so far
                    container.seek(start + int(share * container.duration))
                    if (end := max(_ends(container, wanted), default=None)) is not None:
                        return end
    return None


def _ends(container: Any, streams: list[Any]) -> Iterator[float]:
    for packet in demux(container, streams):
        if packet.pts is not None:
            yield float((packet.pts + (packet.duration or 0)) * packet.time_base)
