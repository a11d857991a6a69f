"""The pipeline of a video, a stream or a camera: yields each frame with its result and the drawn image.

    read (or the newest frame) -> estimate, track, smooth -> draw

Each of the three runs in a thread of its own (see `threads`), so that decoding, the networks and drawing overlap.
All frames of a file are processed, in order; of a live source the newest one, and older ones are dropped and counted.
A result of a live source does not wait for longer than the next frame takes to come: a slow caller gets the newest
frame, one step old, instead of one that waited in a queue.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from types import TracebackType
from typing import Protocol, cast

import numpy as np

from ..draw import DrawStyle, render
from ..pipeline import Pipeline
from ..types import Frame, MessageCallback, Result
from .colours import BT709, Colours
from .estimator import VideoEstimator
from .latest import LatestFrames, LiveSource
from .limits import HELD_BYTES
from .options import TrackingOptions
from .threads import Prefetcher, StageThreads

READ_AHEAD = 4  # frames of a file that are decoded ahead
HOLD = 0.02  # seconds for which a result of a live source waits to be drawn


@dataclass(frozen=True, eq=False)
class FrameResult:
    """One frame, its result, and the drawn image."""

    frame: Frame
    result: Result
    drawn: np.ndarray | None  # uint8 [H, W, 3], BGR; None where nothing is drawn

    def held(self) -> int:
        """Return how many bytes its images hold."""
        drawn = self.drawn
        return self.frame.image.nbytes + (0 if drawn is None or drawn is self.frame.image else drawn.nbytes)


class FrameSource(Protocol):
    """Where the frames come from: `VideoSource`, `CameraSource`, or one of `sequences`."""

    @property
    def live(self) -> bool: ...

    @property
    def name(self) -> str: ...

    @property
    def fps(self) -> Fraction | None: ...

    @property
    def count(self) -> int | None: ...

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None: ...


@dataclass
class CurrentStyle:
    """The style in which results are drawn: keys change it while the video runs."""

    style: DrawStyle = field(default_factory=DrawStyle)


class VideoPipeline:
    """An open video, stream or camera whose frames go through the pipeline.

    Iterate once over `frame_results`; leaving the ``with`` block closes the source and stops the threads.

    Args:
        source: closed by this object.
        pipeline: detector and pose estimator.
        tracking: how people are tracked.
        current: how results are drawn; may change while the video runs.
        draws: whether drawn images are needed.
        overwrite_frames: the frames' own images may be drawn on, as they are not needed and `draw` is not called.
        info: called, also from other threads, with a sentence when a live source is lost and when it is back.
        reconnect_timeout: seconds of attempts to reopen a lost live source.
        max_frames: stop after so many frames.
    """

    def __init__(
        self,
        source: FrameSource,
        pipeline: Pipeline,
        tracking: TrackingOptions,
        current: CurrentStyle,
        *,
        draws: bool = True,
        overwrite_frames: bool = False,
        info: MessageCallback | None = None,
        reconnect_timeout: float = 60.0,
        max_frames: int | None = None,
    ) -> None:
        self.live: bool = source.live
        self.name: str = source.name
        self.fps: Fraction | None = source.fps
        # frames that come, where it is known
        self.count: int | None = min((n for n in (source.count, max_frames) if n is not None), default=None)
        self.sound_from: str | None = getattr(source, "sound_from", None)  # path or URL of its sound
        self.has_audio: bool = getattr(source, "has_audio", False)
        self.colours: Colours = getattr(source, "colours", BT709)  # in which the drawn video is written
        self._max_frames = max_frames
        try:
            self._estimator = VideoEstimator(pipeline, tracking, live=self.live, fps=float(self.fps or 30))
        except BaseException:
            source.close()
            raise
        self._source = source
        self._latest: LatestFrames | None = None
        if self.live:  # a camera or a stream, which can be opened again
            live = cast("LiveSource", source)
            self._latest = LatestFrames(live, info=info, reconnect_timeout=reconnect_timeout)
        self._current, self._pose, self._draws, self._overwrite_frames = current, pipeline.pose, draws, overwrite_frames
        self._threads = StageThreads()
        self._stages: list[Prefetcher[FrameResult]] = []  # of a live source: the last one
        self._started = False

    @property
    def dropped(self) -> int:
        """Frames of a live source left out so far because newer ones had arrived."""
        return 0 if self._latest is None else self._latest.dropped + sum(stage.dropped for stage in self._stages)

    @property
    def cut_short(self) -> bool:
        """Whether the end of the file turned out to be missing, once all frames are read."""
        return bool(getattr(self._source, "cut_short", False))

    def age(self, frame: Frame) -> float | None:
        """Return the seconds since a frame of a live source arrived; None for a file."""
        return None if self._latest is None else self._latest.clock() - frame.timestamp

    def frame_results(self) -> Iterator[FrameResult]:
        """Return an iterator over all frames; its ``next`` may be called again after a Ctrl-C.

        Raises:
            InputError: while iterating: the connection to the source is lost.
        """
        self._started = True
        threads = self._threads
        frames: Iterable[Frame] = threads.until_end(self._read())
        if self._latest is None:
            frames = threads.prefetch(frames, READ_AHEAD, lambda frame: frame.image.nbytes, HELD_BYTES)
        results = self._estimator.run(frames, lambda: self._current.style.heatmaps if self._draws else "")
        if self._latest is None:
            pairs = threads.prefetch(results, 4, lambda pair: pair[0].image.nbytes, HELD_BYTES)
            drawn_frames = (self._draw_frame(*pair) for pair in pairs)
            return threads.prefetch(drawn_frames, 4, FrameResult.held, HELD_BYTES)
        # A frame that waits is late: nothing does for longer than the next one takes to come.
        pairs = threads.newest(results, HOLD)
        drawn = threads.newest((self._draw_frame(*pair) for pair in pairs), float(1 / self.fps) if self.fps else HOLD)
        self._stages.append(drawn)
        return islice(drawn, self._max_frames)

    def end(self) -> None:
        """Read no further frame, and finish those in progress; safe in a signal handler."""
        self._threads.end()
        if self._latest is not None:
            self._latest.close()
        elif hasattr(self._source, "interrupt"):
            self._source.interrupt()

    def _read(self) -> Iterator[Frame]:
        if self._latest is not None:
            while self._is_wanted() and (frame := self._latest.get()) is not None:
                yield frame
            return
        try:
            yield from islice(self._source, self._max_frames)
        finally:
            self._source.close()  # by the thread that reads it

    def _is_wanted(self) -> bool:
        """Wait while the last results of a live source were not asked for; return False where the video ends."""
        while not all(stage.wanted.wait(0.5) for stage in self._stages):
            if self._threads.ended or self._threads.stopped:
                return False
        return True

    @property
    def ended(self) -> bool:
        """Whether `end` was called, so that no further frame is read."""
        return self._threads.ended

    def draw(self, frame_result: FrameResult) -> np.ndarray:
        """Return a frame in the current style; a heatmap that was not computed with the result is left out."""
        return render(frame_result.frame.image, frame_result.result, self._current.style, crop=self._pose.crop)

    def _draw_frame(self, frame: Frame, result: Result) -> FrameResult:
        if not self._draws:
            return FrameResult(frame, result, None)
        style = self._current.style
        drawn = render(frame.image, result, style, crop=self._pose.crop, overwrite=self._overwrite_frames)
        return FrameResult(frame, result, drawn)

    def __enter__(self) -> VideoPipeline:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        if self._latest is None and not self._started:
            self._source.close()
        self._threads.__exit__(kind, error, trace)
