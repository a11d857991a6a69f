"""Estimates and tracks poses in the frames of one source, in order; decides when the detector runs.

Several frames of a file go through the networks together, with the same results as one by one.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ..errors import LimnerError
from ..pipeline import Detector, NoDetector, Pipeline, WholeImage
from ..tracking import LagSmoother, OneEuro, Tracker
from ..tracking.tracker import MAX_CHANGE
from ..types import Boxes, Frame, HeatmapMode, Result
from .options import AUTO_BATCH, BATCH_PIXELS, LIVE_INTERVAL, TrackingOptions

CHEAP_DETECTOR_PIXELS = 288 * 288  # input of a detector that costs little more than two crops of a pose network
INTERVAL_PIXELS = 21_000_000  # that the frames between two runs of the detector have at most: ten of 1920 x 1080


@dataclass(frozen=True, eq=False)
class FrameBatch:
    """Consecutive frames, and the boxes that the detector found in them."""

    frames: list[Frame]
    boxes: list[Boxes]  # of all of them, of the first, or of none


class VideoEstimator:
    """Estimates the poses of people in the frames of one source, one after the other, and tracks them.

    Several frames of a file go through the networks together, with the same results as one by one. Where the
    detector runs on every n-th frame only, it runs on the next of these ahead of time (see `batches`), and the boxes
    of the frames in between are interpolated. Frames of a live source go one by one.

    Args:
        pipeline: detector and pose estimator.
        tracking: how people are tracked.
        live: the frames are the newest ones of a live source.
        fps: frames per second, used where timestamps do not advance.
    """

    def __init__(self, pipeline: Pipeline, tracking: TrackingOptions, *, live: bool = False, fps: float = 30.0) -> None:
        self._pipeline, self._live = pipeline, live
        self._interval = tracking.det_interval or (LIVE_INTERVAL if live else 1)
        if isinstance(pipeline.detector, WholeImage) or not tracking.track:
            self._interval = 1
        self._batch = tracking.batch or AUTO_BATCH
        smooth = tracking.smooth or ("live" if live else "off")
        if not tracking.look_ahead and self._interval > 1:
            self._live = True  # as if no later frame were known
        self._since_detection = self._interval  # frames since the detector ran
        self._tracker: Tracker | None = None
        if tracking.track:
            self._tracker = Tracker(
                pipeline.keypoint_set,
                max_persons=tracking.max_persons,
                follow=tracking.follow,
                max_change=max_change(pipeline.detector),
                fps=fps,
                smoothing=OneEuro if smooth == "live" else None,
            )
        self._smoother = LagSmoother(fps) if tracking.track and smooth == "file" else None

    def __call__(self, frame: Frame, *, heatmaps: HeatmapMode = "") -> Result:
        """Return the result of the next frame, with ``track_ids``; see `run` for "file" smoothing."""
        tracker = self._tracker
        if tracker is None:
            return self._pipeline.one(frame, heatmaps=heatmaps)
        if self._since_detection >= self._interval or tracker.needs_detection:
            return self._update(self._pipeline.one(frame, heatmaps=heatmaps))
        return self._estimate_without_detection(tracker, frame, heatmaps)

    def with_boxes(self, frame: Frame, boxes: Boxes) -> Result:
        """Return the result of the next frame, whose boxes are given in place of the detector's."""
        return self._update(self._pipeline.many([frame], [boxes])[0])

    def run(
        self, frames: Iterable[Frame], heatmaps: Callable[[], HeatmapMode] = lambda: ""
    ) -> Iterator[tuple[Frame, Result]]:
        """Yield each frame with its result, in order; with "file" smoothing they come about a second later."""
        return self.estimate(self.batches(frames), heatmaps)

    def batches(self, frames: Iterable[Frame]) -> Iterator[FrameBatch]:
        """Yield the frames in order, with the boxes of those on which the detector runs.

        It shares a thread with `estimate`: on two cores it is not faster to run the two networks at once.
        """
        if self._live:
            yield from (FrameBatch([frame], []) for frame in frames)
            return
        detect, count = self._pipeline.detect, 0
        if self._interval == 1:
            for group in groups(frames, self._batch, BATCH_PIXELS):
                yield FrameBatch(group, detect(group))
            return
        for group in groups(frames, self._interval, INTERVAL_PIXELS):
            detects = count % self._interval == 0
            yield FrameBatch(group, detect(group[:1]) if detects else [])
            count += len(group)

    def estimate(
        self, batches: Iterable[FrameBatch], heatmaps: Callable[[], HeatmapMode] = lambda: ""
    ) -> Iterator[tuple[Frame, Result]]:
        """Yield each frame of the batches with its result, see `run`; ``heatmaps`` returns which ones to include."""
        smoother, waiting = self._smoother, deque[Frame]()
        if smoother is None:
            yield from self._estimate(batches, heatmaps)
            return
        try:
            for frame, result in self._estimate(batches, heatmaps):
                waiting.append(frame)
                yield from ((waiting.popleft(), ready) for ready in smoother.push(result))
        except LimnerError:
            yield from zip(waiting, smoother.finish(), strict=True)
            raise
        yield from zip(waiting, smoother.finish(), strict=True)

    def _estimate(
        self, batches: Iterable[FrameBatch], heatmaps: Callable[[], HeatmapMode]
    ) -> Iterator[tuple[Frame, Result]]:
        if self._live:
            yield from ((frame, self(frame, heatmaps=heatmaps())) for batch in batches for frame in batch.frames)
        elif self._interval == 1 or self._tracker is None:
            for batch in batches:
                results = self._pipeline.many(batch.frames, batch.boxes, heatmaps=heatmaps())
                yield from ((f, self._update(r)) for f, r in zip(batch.frames, results, strict=True))
        else:
            for batch, next_batch in with_next(batches):
                for i, frame in enumerate(batch.frames):
                    if i == 0 and batch.boxes:
                        result = self._update(self._pipeline.many([frame], batch.boxes, heatmaps=heatmaps())[0])
                    else:
                        next_boxes = next_batch.boxes[0] if next_batch is not None and next_batch.boxes else None
                        result = self._estimate_without_detection(
                            self._tracker, frame, heatmaps(), next_boxes, len(batch.frames) - i + 1
                        )
                    yield frame, result

    def _update(self, result: Result, detected: bool = True) -> Result:
        if self._tracker is None:
            return result
        self._since_detection = 1 if detected else self._since_detection + 1
        return self._tracker.update(result, detected=detected)

    def _estimate_without_detection(
        self, tracker: Tracker, frame: Frame, heatmaps: HeatmapMode, next_boxes: Boxes | None = None, steps: int = 1
    ) -> Result:
        """Estimate poses in the predicted boxes; where the tracker does not accept them, run the detector too."""
        height, width = frame.image.shape[:2]
        boxes = tracker.predicted_boxes((width, height), next_boxes, steps)
        result = self._pipeline.many([frame], [boxes], heatmaps=heatmaps)[0]
        accepted = tracker.accepts(result)
        return self._update(result if accepted else self._pipeline.one(frame, heatmaps=heatmaps), not accepted)


def max_change(detector: Detector | WholeImage | NoDetector) -> float:
    """Return the change of shape at which the detector runs early, see `Tracker`: more where a run costs more."""
    if isinstance(detector, Detector):
        return MAX_CHANGE * max(1.0, math.prod(detector.spec.size) / CHEAP_DETECTOR_PIXELS)
    return MAX_CHANGE


def groups(frames: Iterable[Frame], size: int, pixels: int) -> Iterator[list[Frame]]:
    """Yield frames in groups of ``size``, split into smaller ones where a group has more than ``pixels``.

    An error of the source is raised after the frames before it.
    """
    group: list[Frame] = []
    try:
        for i, frame in enumerate(frames, 1):
            group.append(frame)
            largest = max(f.image.shape[0] * f.image.shape[1] for f in group)
            if i % size == 0 or (len(group) + 1) * largest > pixels:
                yield group
                group = []
    except LimnerError:
        if group:
            yield group
        raise
    if group:
        yield group


def with_next(batches: Iterable[FrameBatch]) -> Iterator[tuple[FrameBatch, FrameBatch | None]]:
    """Yield each batch with the next one; an error of the source is raised after the batches before it."""
    previous: FrameBatch | None = None
    try:
        for batch in batches:
            if previous is not None:
                yield previous, batch
            previous = batch
    except LimnerError:
        if previous is not None:
            yield previous, None
        raise
    if previous is not None:
        yield previous, None
