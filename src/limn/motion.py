"""What a user wants of videos and cameras; plain values, so that pictures need not load what reads videos."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import ArgumentError, suggest

LIVE_INTERVAL = 5  # frames from detection to detection in live sources, where nothing else is asked for
SMOOTHING = ("off", "live", "file")


@dataclass(frozen=True)
class Motion:
    """How people are followed from frame to frame.

    Args:
        det_interval: the detector looks at every so many frames; in between boxes are carried along by the
            keypoints. None takes 1 for files and `LIVE_INTERVAL` for live sources.
        track: number the people; without it each frame is a picture of its own.
        max_persons, follow: see `limn.tracking.Tracker`.
        smooth: "off"; "live", a One-Euro filter that knows the past alone; or "file", local polynomials
            that know about a second of the future too, and fill short gaps. None takes "live" for live
            sources and "off" for files.

    Raises:
        ArgumentError: a value without sense.
    """

    det_interval: int | None = 1
    track: bool = True
    max_persons: int | None = None
    follow: str | None = None
    smooth: str | None = "off"

    def __post_init__(self) -> None:
        if self.det_interval is not None and self.det_interval < 1:
            raise ArgumentError(f"the detector looks at every 1st, 2nd, ... frame, not at every {self.det_interval}th")
        if self.smooth is not None and self.smooth not in SMOOTHING:
            raise ArgumentError(
                f"there is no smoothing '{self.smooth}'.{suggest(self.smooth, SMOOTHING)} Give {', '.join(SMOOTHING)}."
            )
        needs = [
            name
            for name, wanted in (
                ("det_interval", (self.det_interval or 1) > 1),
                ("max_persons", self.max_persons is not None),
                ("follow", self.follow is not None),
                ("smooth", self.smooth not in (None, "off")),
            )
            if wanted
        ]
        if needs and not self.track:
            raise ArgumentError(f"{' and '.join(needs)} cannot go without tracking: leave one of them out")


@dataclass(frozen=True)
class Wishes:
    """What the user wants of videos and cameras."""

    motion: Motion = Motion()
    keep_audio: bool = False
    camera_size: tuple[int, int] | None = None  # (width, height) in pixels
    camera_fps: float | None = None
    max_frames: int | None = None
    patience: float = 60.0  # seconds for which a lost live source is tried again


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Read "1280x720" as (width, height) in pixels; None stays None.

    Raises:
        ArgumentError: it is something else.
    """
    if text is None:
        return None
    found = re.fullmatch(r"([1-9]\d{1,4})[x,]([1-9]\d{1,4})", text.strip())
    if not found:
        raise ArgumentError(f"a camera's size is given as 1280x720, not as '{text}'")
    return int(found[1]), int(found[2])
