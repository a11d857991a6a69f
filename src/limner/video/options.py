"""The options for videos and cameras, as plain values."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, fields

from ..errors import ArgumentError, check_flags, check_number, check_texts, plain, said, suggest
from .cut import Cut, parse_seconds
from .limits import check_max_pixels

LIVE_INTERVAL = 5  # frames from detection to detection in live sources, by default
AUTO_BATCH = 4  # frames or images that go through the networks together, by default
BATCH_PIXELS = 9_000_000  # of a batch of several frames at most: four of 1920 x 1080
SMOOTHING = ("off", "live", "file")


def _make_plain(options: TrackingOptions | VideoOptions) -> None:
    """Make numbers of numpy those of Python: what computes with rates takes no others."""
    for field in fields(options):
        object.__setattr__(options, field.name, plain(getattr(options, field.name)))


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
        look_ahead: where the detector rests between its turns, the boxes of a file are interpolated towards the
            next turn; False uses past frames only, as for live sources.

    Raises:
        ArgumentError: an impossible value or combination.
    """

    det_interval: int | None = 1
    track: bool = True
    max_persons: int | None = None
    follow: str | None = None
    smooth: str | None = "off"
    batch: int | None = None
    look_ahead: bool = True

    def __post_init__(self) -> None:
        _make_plain(self)
        for name, value in (
            ("det_interval", self.det_interval),
            ("max_persons", self.max_persons),
            ("batch", self.batch),
        ):
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ArgumentError(f"{name} is {said(value)} where a whole number from 1 on is needed")
        check_texts({"smooth": self.smooth, "follow": self.follow}, "a text, such as live or largest,")
        if self.smooth is not None and self.smooth not in SMOOTHING:
            raise ArgumentError(
                f"smooth is '{self.smooth}' where off, live or file is needed.{suggest(str(self.smooth), SMOOTHING)}"
            )
        check_flags({"track": self.track, "look_ahead": self.look_ahead})
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
    """The options for videos and cameras.

    Args:
        tracking: how people are tracked.
        keep_audio: the drawn video of a file gets its sound, where the container can hold it.
        camera_size: requested (width, height) in pixels.
        camera_fps: requested frames per second.
        max_frames: stop after so many frames.
        reconnect_timeout: seconds of attempts to reopen a lost live source.
        start, end: seconds, or a text such as "1:30"; see `limner.video.cut.Cut`. Not for live sources.
        every: take every Nth frame only. Not for live sources.
        rotate: degrees clockwise, 0, 90, 180 or 270.
        fps: frames per second of numbered images, pages and arrays, which have none of their own.
        max_pixels: of a frame or an image; None takes `limner.video.limits.MAX_PIXELS` for frames, and what
            `limner.images.limits` says for images.

    Raises:
        ArgumentError: an impossible value or combination.
    """

    tracking: TrackingOptions = TrackingOptions()
    keep_audio: bool = True
    camera_size: tuple[int, int] | None = None
    camera_fps: float | None = None
    max_frames: int | None = None
    reconnect_timeout: float = 60.0
    start: float | str | None = None
    end: float | str | None = None
    every: int = 1
    rotate: int = 0
    fps: float | None = None
    max_pixels: int | None = None

    def __post_init__(self) -> None:
        _make_plain(self)
        check_max_pixels(self.max_pixels)
        if isinstance(self.max_frames, int) and self.max_frames > sys.maxsize:
            object.__setattr__(self, "max_frames", None)
        check_flags({"keep_audio": self.keep_audio})
        if self.max_frames is not None and (
            not isinstance(self.max_frames, int) or isinstance(self.max_frames, bool) or self.max_frames < 1
        ):
            raise ArgumentError(f"max_frames is {said(self.max_frames)} where a whole number from 1 on is needed")
        if self.fps is not None:
            check_number("fps", self.fps, 0.001, 1000)
        size, timeout = self.camera_size, self.reconnect_timeout
        if size is not None and not (
            isinstance(size, (tuple, list))
            and len(size) == 2
            and all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in size)
        ):
            raise ArgumentError(f"camera_size is {said(size)} where (width, height) in pixels is needed")
        if self.camera_fps is not None:
            check_number("camera_fps", self.camera_fps, 0.001, 1e6)
        if not isinstance(timeout, (int, float)) or isinstance(timeout, bool) or not timeout >= 0:
            raise ArgumentError(f"reconnect_timeout is {said(timeout)} where a number of seconds is needed")
        _ = self.cut  # checks it

    @property
    def cut(self) -> Cut:
        """Which frames are taken, and how they are turned."""
        start = parse_seconds("start", self.start) or 0.0
        return Cut(start, parse_seconds("end", self.end), self.every, self.rotate)


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
