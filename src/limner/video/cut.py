"""Which frames of a source are taken, and how they are turned: start, end, every Nth, rotation."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import cv2
import numpy as np

from ..errors import ArgumentError, InputError, LimnerError, said
from ..types import Frame

ROTATIONS = (0, 90, 180, 270)
_TIME = re.compile(r"(?:(?:(\d+):)?([0-5]?\d):)?(\d+(?:\.\d*)?|\.\d+)")
_UNSEEN = 0.05  # seconds past an end between two frames that are kept: cutting them would spoil a constant rate
_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def parse_seconds(name: str, value: float | str | None) -> float | None:
    """Read a time in a video as seconds: 90, "90", "1:30", "0:01:30.5"; None stays None.

    Raises:
        ArgumentError: it has another form, or is negative; ``name`` is what the error calls it.
    """
    if value is None:
        return None
    if isinstance(value, str):
        match = _TIME.fullmatch(value.strip())
        if match and not (match[2] is not None and float(match[3]) >= 60):
            return 3600.0 * int(match[1] or 0) + 60.0 * int(match[2] or 0) + float(match[3])
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf"):
        return float(value)
    raise ArgumentError(f"{name} is {said(value)} where seconds, or a time such as 1:30 or 0:01:30.5, are needed")


@dataclass(frozen=True)
class Cut:
    """Which frames of a video are taken, and how they are turned. Their numbers and times stay those of the source.

    Args:
        start: seconds from the first frame of the source; earlier frames are left out.
        end: seconds; frames at that time and later are left out. None takes all.
        every: of the frames from ``start`` on the first one is taken, and then every Nth.
        rotate: degrees clockwise, on top of what the video itself says: 0, 90, 180 or 270.

    Raises:
        ArgumentError: an impossible value.
    """

    start: float = 0.0
    end: float | None = None
    every: int = 1
    rotate: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.every, int) or isinstance(self.every, bool) or self.every < 1:
            raise ArgumentError(f"every is {said(self.every)} where a whole number from 1 on is needed")
        if not isinstance(self.rotate, int) or self.rotate not in ROTATIONS or isinstance(self.rotate, bool):
            raise ArgumentError(f"rotate is {said(self.rotate)} where 0, 90, 180 or 270 is needed")
        if self.end is not None and self.end <= self.start:
            raise ArgumentError(
                f"the end of {self.end:g} s does not come after the start of {self.start:g} s; give a later end"
            )

    @property
    def shortens(self) -> bool:
        """Whether frames are left out."""
        return self.start > 0 or self.end is not None or self.every > 1

    def takes(self, index: int, timestamp: float, first: int | None) -> bool:
        """Return whether a frame is taken; ``first`` is the number of the first frame taken, None before it."""
        if timestamp < self.start or self.is_over(timestamp):
            return False
        return first is None or (index - first) % self.every == 0

    def is_over(self, timestamp: float) -> bool:
        """Return whether no frame of that time or later is taken."""
        return self.end is not None and timestamp >= self.end

    def lasts(self, timestamp: float, seconds: float | None) -> float | None:
        """Return for how long a frame is shown that its source shows for ``seconds``: not past the end."""
        if seconds is None or self.end is None or timestamp + seconds <= self.end + _UNSEEN:
            return seconds
        return self.end - timestamp

    def held(self, frames: Iterable[Frame], ends: Callable[[], float]) -> Iterator[Frame]:
        """Yield frames that are taken, each shown until the next one; they come one frame late.

        Args:
            frames: the frames.
            ends: returns the time at which the last frame of the source ends, taken or not, once all are read.
        """
        held: Frame | None = None
        try:
            for frame in frames:
                if held is not None:
                    yield replace(held, duration=frame.timestamp - held.timestamp)
                held = frame
        except LimnerError:
            if held is not None:
                yield replace(held, duration=ends() - held.timestamp)
            raise
        if held is not None:
            yield replace(held, duration=ends() - held.timestamp)

    def turned(self, image: np.ndarray) -> np.ndarray:
        """Return an image, uint8 [H, W, 3], turned by `rotate`."""
        return cv2.rotate(image, _TURNS[self.rotate]) if self.rotate else image

    def turned_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the (width, height) of turned images."""
        return (size[1], size[0]) if self.rotate in (90, 270) else size

    def count(self, count: int | None, fps: Fraction) -> int | None:
        """Return how many of the ``count`` frames of a source are taken, None where that is not known."""
        if count is None:
            return None
        first = min(count, -(-Fraction(self.start).limit_denominator(1000) * fps // 1)) if self.start else 0
        last = count if self.end is None else min(count, -(-Fraction(self.end).limit_denominator(1000) * fps // 1))
        return max(min(1, count), -(-int(last - first) // self.every))

    def check(self, name: str, duration: float | None) -> None:
        """Check the start against the length of a source in seconds, None where that is not known.

        Raises:
            InputError: it lies beyond the end.
        """
        if duration is not None and self.start >= duration > 0:
            raise self.nothing(name, duration)

    def nothing(self, name: str, seconds: float) -> InputError:
        """Return the error for a source of which no frame is taken; ``seconds`` of it were there."""
        if self.start >= seconds:
            return InputError(f"{name} is {seconds:.2f} s long, and the start of {self.start:g} s lies beyond its end")
        return InputError(f"{name} has no frame from {self.start:g} s to {self.end or seconds:g} s; give a later end")


WHOLE = Cut()  # every frame as it is
