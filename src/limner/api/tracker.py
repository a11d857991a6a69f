"""People tracked in frames that the caller has, one after the other: what `Model.tracker` returns."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NoReturn, SupportsIndex

from ..errors import ArgumentError, checks_call, said
from ..pipeline import Pipeline
from ..sources import ImageLike, read_one
from ..video.common import tidy_rate
from ..video.estimator import VideoEstimator
from ..video.options import TrackingOptions
from .boxes import BoxesLike, parse_boxes
from .elsewhere import CALL_ARGUMENTS
from .result import Result

DEFAULT_FPS = 30.0  # of frames that come without timestamps


class Tracker:
    """Finds keypoints in the frames of one video or camera, given one after the other, and tracks whose they are.

    It remembers the frames before, so each video needs a tracker of its own; those of one model share its networks
    and nothing else. One tracker is for one thread; several trackers may run in several threads at once.

    Args:
        pipeline: detector and pose estimator.
        tracking: how people are tracked.
        fps: frames per second, for frames without timestamps; None takes 30.
        max_pixels: of a frame that is decoded; None takes the usual limits.

    Raises:
        ArgumentError: an impossible value or combination.
    """

    def __init__(
        self, pipeline: Pipeline, tracking: TrackingOptions, fps: float | None = None, max_pixels: int | None = None
    ) -> None:
        if fps is not None and not (_is_number(fps) and 0.001 <= fps <= 1000):
            raise ArgumentError(f"fps is {said(fps)} where a number of frames per second, 0.001 to 1000, is needed")
        if tracking.smooth == "file":
            raise ArgumentError("smooth is 'file', which needs later frames too: a tracker takes 'live' or 'off'")
        self._pipeline, self._tracking, self._fps = pipeline, tracking, float(fps or DEFAULT_FPS)
        self._max_pixels = max_pixels
        self._rate = tidy_rate(self._fps)  # so that times are those of a video with this rate
        self.reset()

    def reset(self) -> None:
        """Forget everybody, as for a new video: track ids and frame numbers begin anew."""
        self._estimator = VideoEstimator(self._pipeline, self._tracking, live=True, fps=self._fps)
        self._index, self._timestamp = 0, math.nan  # of the next frame; of the last one
        self._from, self._counted = 0.0, 0  # the last time that was given, or the beginning; frames after it

    @checks_call("a tracker", CALL_ARGUMENTS)
    def __call__(self, frame: ImageLike, timestamp: float | None = None, *, boxes: BoxesLike | None = None) -> Result:
        """Return what is found in the next frame, with ``track_ids``.

        Args:
            frame: in any form in which a `Model` takes an image.
            timestamp: seconds, from any beginning on; None is 1 / fps after the frame before.
            boxes: of this frame in place of the detector, see `Model.__call__`; None leaves it to the tracker
                whether the detector runs.

        Returns:
            The result. Its ``track_ids`` count from 1; a new person that is not confirmed yet has -1.

        Raises:
            InputError: the frame cannot be read.
            ArgumentError: the timestamp lies before that of the last frame; impossible boxes. As after any error,
                the next call goes on as if this one had not been.
        """
        if isinstance(frame, (list, tuple)):
            raise ArgumentError("a tracker takes one frame at a time: call it for each frame of the list, in order")
        start, counted = (self._from, self._counted + 1) if timestamp is None else (self._checked(timestamp), 0)
        if timestamp is None and not self._index:
            counted = 0
        time = start + float(counted / self._rate)
        image = replace(read_one(frame, max_pixels=self._max_pixels), index=self._index, timestamp=time)
        if boxes is None:
            result = self._estimator(image)
        else:
            height, width = image.image.shape[:2]
            result = self._estimator.with_boxes(image, parse_boxes(boxes, (width, height)))
        self._index, self._timestamp, self._from, self._counted = self._index + 1, time, start, counted
        return Result.of(image, result)

    def _checked(self, timestamp: float) -> float:
        """Return the time that is given for the next frame."""
        last = self._timestamp
        if not (_is_number(timestamp) and math.isfinite(timestamp)):
            raise ArgumentError(f"timestamp is {said(timestamp)} where a number of seconds is needed")
        if timestamp < last:
            raise ArgumentError(
                f"the timestamp {timestamp:g} lies before that of the last frame, {last:g}: "
                "give frames in order, and call reset() before another video"
            )
        return float(timestamp)

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Raise ArgumentError: the networks belong to their process."""
        raise ArgumentError(
            "a tracker is neither copied nor sent to another process: each process and each video has one of its own, "
            "from model.tracker()"
        )

    def __repr__(self) -> str:
        return f"Tracker({self._pipeline.keypoint_set.name}, {self._index} frames)"


def _is_number(value: object) -> bool:
    try:
        return not isinstance(value, (str, bool)) and math.isfinite(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False
