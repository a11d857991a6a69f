"""The options for videos and cameras, as plain values."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import ArgumentError, suggest

LIVE_INTERVAL = 5  # frames from detection to detection in live sources, by default
AUTO_BATCH = 4  # frames or images that go through the networks together, by default
BATCH_PIXELS = 9_000_000  # of a batch of several frames at most: four of 1920 x 1080
SMOOTHING = ("off", "live", "file")


@dataclass(frozen=True)
class TrackingOptions:
    """How people are tracked from frame to frame.

    Args:
        det_interval: the detector runs on every Nth frame; in between boxes are predicted from the
            keypoints. None takes 1 for files and `LIVE_INTERVAL` for live sources.
        track: give each person a track id; False treats each frame as an image of its own.
        max_persons, follow: see `limner.tracking.Tracker`.
        smooth: "off"; "live", a One-Euro filter, which uses past frames only; or "file", local polynomials,
            which use about a second of later frames too and fill short gaps. None takes "live" for live
            sources and "off" for files.
        batch: frames of a file that go through the networks together, where the detector runs on every frame;
            None takes `AUTO_BATCH`. Results are the same. Frames of live sources go one by one.

    Raises:
        ArgumentError: an impossible value or combination.
    """

    det_interval: int | None = 1
    track: bool = True
    max_persons: int | None = None
    follow: str | None = None
    smooth: str | None = "off"
    batch: int | None = None

    def __post_init__(self) -> None:
        for name, value in (
            ("det_interval", self.det_interval),
            ("max_persons", self.max_persons),
            ("batch", self.batch),
        ):
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ArgumentError(f"{name} is {value!r} where a whole number from 1 on is needed")
        if self.smooth is not None and self.smooth not in SMOOTHING:
            raise ArgumentError(
                f"smooth is '{self.smooth}' where off, live or file is needed.{suggest(self.smooth, SMOOTHING)}"
            )
        need_tracking = [
            name
            for name, given in (
                ("det_interval", (self.det_interval or 1) > 1),
                ("max_persons", self.max_persons is not None),
                ("follow", self.follow is not None),
                ("smooth", self.smooth not in (None, "off")),
            )
            if given
        ]
        if need_tracking and not self.track:
            raise ArgumentError(f"tracking is off, and {' and '.join(need_tracking)} cannot be used without it")


@dataclass(frozen=True)
class VideoOptions:
    """The options for videos and cameras."""

    tracking: TrackingOptions = TrackingOptions()
    keep_audio: bool = False
    camera_size: tuple[int, int] | None = None  # (width, height) in pixels
    camera_fps: float | None = None
    max_frames: int | None = None
    reconnect_timeout: float = 60.0  # seconds of attempts to reopen a lost live source


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Read "1280x720" as (width, height) in pixels; None stays None.

    Raises:
        ArgumentError: the text has another form.
    """
    if text is None:
        return None
    match = re.fullmatch(r"([1-9]\d{1,4})[x,]([1-9]\d{1,4})", text.strip())
    if not match:
        raise ArgumentError(f"the size of a camera is '{text}' where a form like 1280x720 is needed")
    return int(match[1]), int(match[2])


def parse_batch(text: str) -> int | None:
    """Read a batch size: a whole number, or "auto", which gives None.

    Raises:
        ArgumentError: the text has another form.
    """
    if text.strip().lower() == "auto":
        return None
    if not re.fullmatch(r"0*[1-9]\d{0,3}", text.strip()):
        raise ArgumentError(f"--batch is '{text}' where auto or a whole number from 1 to 9999 is needed")
    return int(text)
