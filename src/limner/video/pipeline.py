"""The pipeline of a video, a stream or a camera: yields each frame with its result and the drawn image.

    read (or the newest frame) -> estimate, track, smooth -> draw

Each of the three runs in a thread of its own (see `threads`), so that decoding, the networks and drawing overlap.
All frames of a file are processed, in order; of a live source the newest one, and older ones are dropped and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from types import TracebackType

import numpy as np

from ..draw import DrawStyle, render
from ..pipeline import Pipeline
from ..types import Frame, MessageCallback, Result
from .camera import CameraSource
from .estimator import VideoEstimator
from .latest import LatestFrames
from .options import TrackingOptions
from .reader import VideoSource
from .threads import StageThreads

READ_AHEAD = 4  # frames of a file that are decoded ahead


@dataclass(frozen=True, eq=False)
class FrameResult:
    """One frame, its result, and the drawn image."""

    frame: Frame
    result: Result
    drawn: np.ndarray | None  # uint8 [H, W, 3], BGR; None where nothing is drawn


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
    """

    def __init__(
        self,
        source: CameraSource | VideoSource,
        pipeline: Pipeline,
        tracking: TrackingOptions,
        current: CurrentStyle,
        *,
        draws: bool = True,
        overwrite_frames: bool = False,
        info: MessageCallback | None = None,
        reconnect_timeout: float = 60.0,
    ) -> None:
        self.live: bool = source.live
        self.name: str = source.name
        self.fps: Fraction | None = source.fps
        self.count: int | None = source.count  # of frames, where it is known
        try:
            self._estimator = VideoEstimator(pipeline, tracking, live=self.live, fps=float(self.fps or 30))
        except BaseException:
            source.close()
            raise
        self._source = source
        self._latest = LatestFrames(source, info=info, reconnect_timeout=reconnect_timeout) if self.live else None
        self._current, self._pose, self._draws, self._overwrite_frames = current, pipeline.pose, draws, overwrite_frames
        self._threads = StageThreads()
        self._started = False

    @property
    def dropped(self) -> int:
        """Frames of a live source left out so far because newer ones had arrived."""
        return 0 if self._latest is None else self._latest.dropped

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
            frames = threads.prefetch(frames, READ_AHEAD)
        # Queues are short for a live source: each frame that waits adds to the latency.
        depth = 4 if self._latest is None else 1
        results = self._estimator.run(frames, lambda: self._current.style.heatmaps if self._draws else "")
        pairs = threads.prefetch(results, depth)
        return threads.prefetch((self._draw_frame(*pair) for pair in pairs), depth)

    def end(self) -> None:
        """Read no further frame, and finish those in progress; safe in a signal handler."""
        self._threads.end()
        if self._latest is not None:
            self._latest.close()

    def _read(self) -> Iterator[Frame]:
        if self._latest is not None:
            yield from self._latest
            return
        with self._source as source:  # closed by the thread that reads it
            yield from source

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
        if self._latest is not None:
            self._latest.close()
        elif not self._started:
            self._source.close()
        self._threads.__exit__(kind, error, trace)
