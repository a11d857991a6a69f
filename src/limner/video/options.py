"""What a user wants of videos and cameras, as plain values."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import ArgumentError, suggest

LIVE_INTERVAL = 5  # frames from detection to detection in live sources, where nothing else is asked for
AUTO_BATCH = 4  # frames or images that go through the networks together, where nothing else is asked for
BATCH_PIXELS = 9_000_000  # that a batch has at most, where it is more than one: four of 1920 x 1080
SMOOTHING = ("off", "live", "file")


@dataclass(frozen=True)
class TrackingOptions:
    """How people are followed from frame to frame.

    Args:
        det_interval: the detector looks at every so many frames; in between boxes are carried along by the
            keypoints. None takes 1 for files and `LIVE_INTERVAL` for live sources.
        track: number the people; without it each frame is an image of its own.
        max_persons, follow: see `limner.tracking.Tracker`.
        smooth: "off"; "live", a One-Euro filter that knows the past alone; or "file", local polynomials
            that know about a second of the future too, and fill short gaps. None takes "live" for live
            sources and "off" for files.
        batch: frames of a file that go through the networks together, where the detector looks at every frame;
            None takes as many as pay. Results are the same. Frames of live sources go alone.

    Raises:
        ArgumentError: a value without sense.
    """

    det_interval: int | None = 1
    track: bool = True
    max_persons: int | None = None
    follow: str | None = None
    smooth: str | None = "off"
    batch: int | None = None

    def __post_init__(self) -> None:
        if self.det_interval is not None and self.det_interval < 1:
            raise ArgumentError(f"the detector looks at every 1st, 2nd, ... frame, not at every {self.det_interval}th")
        if self.batch is not None and self.batch < 1:
            raise ArgumentError(f"a batch has 1, 2, ... frames or images, not {self.batch}")
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
class VideoOptions:
    """What the user wants of videos and cameras."""

    tracking: TrackingOptions = TrackingOptions()
    keep_audio: bool = False
    camera_size: tuple[int, int] | None = None  # (width, height) in pixels
    camera_fps: float | None = None
    max_frames: int | None = None
    reconnect_timeout: float = 60.0  # seconds for which a lost live source is tried again


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


def parse_batch(text: str) -> int | None:
    """Read how many images go together: a whole number, or "auto", which is None.

    Raises:
        ArgumentError: it is something else.
    """
    if text.strip().lower() == "auto":
        return None
    if not re.fullmatch(r"0*[1-9]\d{0,3}", text.strip()):
        raise ArgumentError(f"--batch is '{text}' where auto or a whole number from 1 to 9999 is needed")
    return int(text)
