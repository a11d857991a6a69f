"""Moving pictures: a video, a stream or a camera goes in, each frame with what is found in it comes out.

    read (or the newest frame) -> find, track, steady -> draw

Each of the three runs in a thread of its own (see `flow`), so that decoding, the networks and drawing overlap.
Of a file every frame comes, in order. Of a live source the newest comes, and older ones are dropped and counted.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from types import TracebackType

import numpy as np

from .errors import LimnError
from .flow import Flow
from .motion import AUTO_BATCH, BATCH_PIXELS, LIVE_INTERVAL, Motion
from .pipeline import Detector, Heat, Pipeline, WholeImage
from .render import Look, render
from .tracking import LagSmoother, OneEuro, Tracker
from .tracking.tracker import CHANGE
from .types import Boxes, Frame, Result
from .video import CameraSource, Newest, VideoSource

READ_AHEAD = 4  # frames of a file that are decoded before they are asked for
CHEAP = 288 * 288  # pixels: the input of a detector that costs little more than two crops of a pose network
SPAN_PIXELS = 21_000_000  # of frames that wait for the detector's next turn: ten of 1920 x 1080


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


@dataclass(frozen=True, eq=False)
class Span:
    """Frames that follow each other, and what the detector saw in them."""

    frames: list[Frame]
    boxes: list[Boxes]  # of all of them, of the first, or of none


class Watcher:
    """Finds people in the frames of one source, given one after the other, and tells them apart.

    Of a file several frames go through the networks together, with the same results as one by one. Where the
    detector rests between its turns, it looks at its next turn ahead of time (see `spans`), and the boxes of the
    frames between the two lie between theirs. Of a live source each frame goes alone.

    Args:
        stages: detector and pose estimator.
        motion: how people are followed.
        live: frames are the newest of a source that goes on meanwhile.
        fps: frames per second to go by where timestamps do not advance.
    """

    def __init__(self, stages: Pipeline, motion: Motion, *, live: bool = False, fps: float = 30.0) -> None:
        self._stages, self._live = stages, live
        self._interval = motion.det_interval or (LIVE_INTERVAL if live else 1)
        if isinstance(stages.detector, WholeImage) or not motion.track:
            self._interval = 1
        self._batch = motion.batch or AUTO_BATCH
        smooth = motion.smooth or ("live" if live else "off")
        self._since = self._interval  # frames since the detector looked
        self._tracker: Tracker | None = None
        if motion.track:
            self._tracker = Tracker(
                stages.keypoint_set,
                max_persons=motion.max_persons,
                follow=motion.follow,
                max_change=max_change(stages.detector),
                fps=fps,
                smoothing=OneEuro if smooth == "live" else None,
            )
        self._smoother = LagSmoother(fps) if motion.track and smooth == "file" else None

    def __call__(self, frame: Frame, *, heat: Heat = "") -> Result:
        """Return what is found in the next frame, with ``track_ids``; see `run` for "file" smoothing."""
        tracker = self._tracker
        if tracker is None:
            return self._stages.one(frame, heat=heat)
        if self._since >= self._interval or tracker.needs_detection:
            return self._update(self._stages.one(frame, heat=heat))
        return self._carry(tracker, frame, heat)

    def run(self, frames: Iterable[Frame], heat: Callable[[], Heat] = lambda: "") -> Iterator[tuple[Frame, Result]]:
        """Yield each frame with its result, in order; those of "file" smoothing come about a second late."""
        return self.find(self.spans(frames), heat)

    def spans(self, frames: Iterable[Frame]) -> Iterator[Span]:
        """Yield the frames in order, with what the detector sees at its turns.

        It shares a thread with `find`: on two cores nothing is gained where the two networks run at once.
        """
        if self._live:
            yield from (Span([frame], []) for frame in frames)
            return
        detector, done = self._stages.detector, 0
        if self._interval == 1:
            for group in groups(frames, self._batch, BATCH_PIXELS):
                yield Span(group, detector.many([f.image for f in group]))
            return
        for group in groups(frames, self._interval, SPAN_PIXELS):
            turn = done % self._interval == 0
            yield Span(group, detector.many([group[0].image]) if turn else [])
            done += len(group)

    def find(self, spans: Iterable[Span], heat: Callable[[], Heat] = lambda: "") -> Iterator[tuple[Frame, Result]]:
        """Yield each frame of the spans with its result, see `run`; ``heat`` tells what heatmaps are wanted."""
        smoother, waiting = self._smoother, deque[Frame]()
        if smoother is None:
            yield from self._find(spans, heat)
            return
        try:
            for frame, result in self._find(spans, heat):
                waiting.append(frame)
                yield from ((waiting.popleft(), ready) for ready in smoother.push(result))
        except LimnError:
            yield from zip(waiting, smoother.finish(), strict=True)
            raise
        yield from zip(waiting, smoother.finish(), strict=True)

    def _find(self, spans: Iterable[Span], heat: Callable[[], Heat]) -> Iterator[tuple[Frame, Result]]:
        if self._live:
            yield from ((frame, self(frame, heat=heat())) for span in spans for frame in span.frames)
        elif self._interval == 1 or self._tracker is None:
            for span in spans:
                results = self._stages.many(span.frames, span.boxes, heat=heat())
                yield from ((f, self._update(r)) for f, r in zip(span.frames, results, strict=True))
        else:
            for span, after in with_next(spans):
                for i, frame in enumerate(span.frames):
                    if i == 0 and span.boxes:
                        result = self._update(self._stages.many([frame], span.boxes, heat=heat())[0])
                    else:
                        coming = after.boxes[0] if after is not None and after.boxes else None
                        result = self._carry(self._tracker, frame, heat(), coming, len(span.frames) - i + 1)
                    yield frame, result

    def _update(self, result: Result, detected: bool = True) -> Result:
        if self._tracker is None:
            return result
        self._since = 1 if detected else self._since + 1
        return self._tracker.update(result, detected=detected)

    def _carry(self, tracker: Tracker, frame: Frame, heat: Heat, coming: Boxes | None = None, steps: int = 1) -> Result:
        """Look where people should be; where they are not found there, let the detector look too."""
        height, width = frame.image.shape[:2]
        boxes = tracker.boxes((width, height), coming, steps)
        result = self._stages.many([frame], [boxes], heat=heat)[0]
        trusted = tracker.trusts(result)
        return self._update(result if trusted else self._stages.one(frame, heat=heat), not trusted)


def max_change(detector: Detector | WholeImage) -> float:
    """Return how much doubt calls a detector early, see `Tracker`: a look costs as much as its input is large."""
    if isinstance(detector, Detector):
        return CHANGE * max(1.0, math.prod(detector.spec.size) / CHEAP)
    return CHANGE


def groups(frames: Iterable[Frame], size: int, pixels: int) -> Iterator[list[Frame]]:
    """Yield frames in groups of ``size``, each cut into several where it has more ``pixels`` in all.

    An error of the source comes after the frames that came before it.
    """
    group: list[Frame] = []
    try:
        for i, frame in enumerate(frames, 1):
            group.append(frame)
            largest = max(f.image.shape[0] * f.image.shape[1] for f in group)
            if i % size == 0 or (len(group) + 1) * largest > pixels:
                yield group
                group = []
    except LimnError:
        if group:
            yield group
        raise
    if group:
        yield group


def with_next(spans: Iterable[Span]) -> Iterator[tuple[Span, Span | None]]:
    """Yield each span with the one after it; an error of the source comes after the spans before it."""
    held: Span | None = None
    try:
        for span in spans:
            if held is not None:
                yield held, span
            held = span
    except LimnError:
        if held is not None:
            yield held, None
        raise
    if held is not None:
        yield held, None


class Film:
    """An open video, stream or camera, and the way of its frames through the stages.

    Iterate once over `shots`; leaving the ``with`` block closes the source and ends the threads.

    Args:
        source: it belongs to the film from now on.
        stages: detector and pose estimator.
        motion: how people are followed.
        view: how results are drawn; may change while the film runs.
        draws: whether the pictures are needed.
        spare: the frames' own pictures are needed by nobody, so they may be drawn on; `draw` is not for such a film.
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
        spare: bool = False,
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
        self._view, self._pose, self._draws, self._spare = view, stages.pose, draws, spare
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
        depth = 4 if self._newest is None else 1
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
        if not self._draws:
            return Shot(frame, result, None)
        return Shot(frame, result, render(frame.image, result, self._pose, self._view.look, overwrite=self._spare))

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
