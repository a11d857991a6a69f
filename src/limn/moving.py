"""Moving pictures: a video, a stream or a camera goes in, each frame with what is found in it comes out.

    read (or the newest frame) -> find, track, steady -> draw

Each of the three runs in a thread of its own (see `flow`), so that decoding, the networks and drawing overlap.
Of a file every frame comes, in order. Of a live source the newest comes, and older ones are dropped and counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from types import TracebackType

import numpy as np

from .flow import Flow
from .motion import LIVE_INTERVAL, Motion
from .pipeline import Heat, Pipeline, WholeImage
from .render import Look, render
from .tracking import LagSmoother, OneEuro, Tracker
from .types import Boxes, Frame, Result
from .video import CameraSource, Newest, VideoSource

READ_AHEAD = 4  # frames of a file that are decoded before they are asked for


@dataclass(frozen=True, eq=False)
class Shot:
    """One frame, what was found in it, and how that looks."""

    frame: Frame
    result: Result
    drawn: np.ndarray | None  # uint8 [H, W, 3], BGR; None where nothing is drawn


@dataclass
class View:
    """How results are drawn just now: keys change it while the stages read it."""

    look: Look = field(default_factory=Look)


class Watcher:
    """Finds people in the frames of one source, given one after the other, and tells them apart.

    Args:
        stages: detector and pose estimator.
        motion: how people are followed.
        live: frames are the newest of a source that goes on meanwhile.
        fps: frames per second to go by where timestamps do not advance.
    """

    def __init__(self, stages: Pipeline, motion: Motion, *, live: bool = False, fps: float = 30.0) -> None:
        self._stages = stages
        self._interval = motion.det_interval or (LIVE_INTERVAL if live else 1)
        if isinstance(stages.detector, WholeImage) or not motion.track:
            self._interval = 1
        smooth = motion.smooth or ("live" if live else "off")
        self._since = self._interval  # frames since the detector looked
        self._tracker: Tracker | None = None
        if motion.track:
            self._tracker = Tracker(
                stages.keypoint_set,
                max_persons=motion.max_persons,
                follow=motion.follow,
                fps=fps,
                smoothing=OneEuro if smooth == "live" else None,
            )
        self._smoother = LagSmoother(fps) if motion.track and smooth == "file" else None

    def __call__(self, frame: Frame, *, heat: Heat = "") -> Result:
        """Return what is found in the next frame, with ``track_ids``; see `smoothed` for "file" smoothing."""
        tracker = self._tracker
        if tracker is None:
            return self._stages.one(frame, heat=heat)
        detects = self._since >= self._interval or tracker.needs_detection
        boxes: list[Boxes] | None = None
        if not detects:
            height, width = frame.image.shape[:2]
            boxes = [tracker.boxes((width, height))]
        result = self._stages.many([frame], boxes, heat=heat)[0]
        if not detects and not tracker.trusts(result):
            detects, result = True, self._stages.one(frame, heat=heat)
        self._since = 1 if detects else self._since + 1
        return tracker.update(result, detected=detects)

    def run(self, frames: Iterable[Frame], heat: Callable[[], Heat] = lambda: "") -> Iterator[tuple[Frame, Result]]:
        """Yield each frame with its result, in order; those of "file" smoothing come about a second late."""
        waiting: deque[Frame] = deque()
        for frame in frames:
            result = self(frame, heat=heat())
            if self._smoother is None:
                yield frame, result
                continue
            waiting.append(frame)
            for ready in self._smoother.push(result):
                yield waiting.popleft(), ready
        if self._smoother is not None:
            for ready in self._smoother.finish():
                yield waiting.popleft(), ready


class Film:
    """An open video, stream or camera, and the way of its frames through the stages.

    Iterate once over `shots`; leaving the ``with`` block closes the source and ends the threads.

    Args:
        source: it belongs to the film from now on.
        stages: detector and pose estimator.
        motion: how people are followed.
        view: how results are drawn; may change while the film runs.
        draws: whether the pictures are needed.
        say: called, also from other threads, with a sentence when a live source is lost and when it is back.
        patience: seconds for which a lost live source is tried again.
    """

    def __init__(
        self,
        source: CameraSource | VideoSource,
        stages: Pipeline,
        motion: Motion,
        view: View,
        *,
        draws: bool = True,
        say: Callable[[str], None] | None = None,
        patience: float = 60.0,
    ) -> None:
        self.live: bool = source.live
        self.name: str = source.name
        self.fps: Fraction | None = source.fps
        self.count: int | None = source.count  # frames, where the source tells
        try:
            self._watcher = Watcher(stages, motion, live=self.live, fps=float(self.fps or 30))
        except BaseException:
            source.close()
            raise
        self._source = source
        self._newest = Newest(source, say=say, patience=patience) if self.live else None
        self._view, self._pose, self._draws = view, stages.pose, draws
        self._flow = Flow()
        self._begun = False

    @property
    def dropped(self) -> int:
        """Frames of a live source that were older than the newest when the stages were free."""
        return 0 if self._newest is None else self._newest.dropped

    def age(self, frame: Frame) -> float | None:
        """Return the seconds since a frame of a live source arrived; None for a file."""
        return None if self._newest is None else self._newest.clock() - frame.timestamp

    def shots(self) -> Iterator[Shot]:
        """Return an iterator over all frames; its ``next`` may be called again after a Ctrl-C.

        Raises:
            InputError: while iterating: the source is lost.
        """
        self._begun = True
        flow = self._flow
        frames: Iterable[Frame] = flow.until_end(self._read())
        if self._newest is None:
            frames = flow.ahead(frames, READ_AHEAD)
        # A live source's frames wait nowhere: each that waits is as old as what comes before it takes.
        depth = 2 if self._newest is None else 1
        found = flow.ahead(self._watcher.run(frames, lambda: self._view.look.heat if self._draws else ""), depth)
        return flow.ahead((self._shot(*pair) for pair in found), depth)

    def end(self) -> None:
        """Take no further frame, and let those that are on their way arrive; safe in a signal handler."""
        self._flow.end()
        if self._newest is not None:
            self._newest.close()

    def _read(self) -> Iterator[Frame]:
        if self._newest is not None:
            yield from self._newest
            return
        with self._source as source:  # closed by the thread that reads it
            yield from source

    @property
    def ended(self) -> bool:
        """Whether no further frame is taken, since somebody called `end`."""
        return self._flow.ended

    def draw(self, shot: Shot) -> np.ndarray:
        """Return a frame as the view has it now; a heatmap that was not asked for in time is left out."""
        return render(shot.frame.image, shot.result, self._pose, self._view.look)

    def _shot(self, frame: Frame, result: Result) -> Shot:
        drawn = render(frame.image, result, self._pose, self._view.look) if self._draws else None
        return Shot(frame, result, drawn)

    def __enter__(self) -> Film:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._newest is not None:
            self._newest.close()
        elif not self._begun:
            self._source.close()
        self._flow.__exit__(kind, error, trace)
