"""Boxes that the caller gives in place of the detector's: for one image, and for the frames of a video."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from ..errors import ArgumentError, said
from ..pipeline import Pipeline
from ..sources import ImageLike
from ..types import Boxes, Frame

BoxesLike = Boxes | np.ndarray | Sequence[Any] | Any  # [N, 4] or [N, 5] with scores; the last stands for tensors
# of the frames of a video: what returns the boxes of an image, a sequence with an item a frame, or a dict by number
VideoBoxes = Callable[[np.ndarray], BoxesLike] | Sequence[BoxesLike] | Mapping[int, BoxesLike] | np.ndarray

_FARTHEST = 1e12  # pixels: beyond it sizes and areas are no numbers
_FORM = "[[x1, y1, x2, y2], ...] in pixels, with or without a score behind each"


def parse_boxes(boxes: BoxesLike, size: tuple[int, int]) -> Boxes:
    """Return the boxes that a caller gives for an image, in their order; an empty list means nobody.

    Args:
        boxes: ``[N, 4]``, x1, y1, x2, y2 in pixels, or ``[N, 5]`` with a score; without one it is 1.
        size: (width, height) of the image in pixels.

    Raises:
        ArgumentError: another shape, numbers that are not finite, corners in the wrong order, or scores beyond 0..1.
    """
    if isinstance(boxes, Boxes):
        _check_scores(boxes.scores)
        return boxes
    try:
        with np.errstate(over="ignore"):  # becomes infinity, an error below
            rows = np.asarray(boxes, np.float32)
    except (TypeError, ValueError, RuntimeError):  # ragged lists, texts, tensors on a GPU
        raise ArgumentError(f"boxes of type {type(boxes).__name__} are not numbers of the form {_FORM}") from None
    if rows.size == 0 and rows.ndim in (1, 2):
        return Boxes.empty()
    if rows.ndim != 2 or rows.shape[1] not in (4, 5):
        hint = f": one box is [{list(rows.tolist())}]" if rows.shape in ((4,), (5,)) else ""
        raise ArgumentError(f"boxes have shape {list(rows.shape)} where [N, 4] or [N, 5] is needed, {_FORM}{hint}")
    if not np.isfinite(rows).all():
        number = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        raise ArgumentError(f"box {number} has a number that is not finite: {rows[number].tolist()}; leave it out")
    xyxy = rows[:, :4]
    if np.abs(xyxy).max() > _FARTHEST:
        number = int(np.flatnonzero((np.abs(xyxy) > _FARTHEST).any(axis=1))[0])
        raise ArgumentError(f"box {number} is {xyxy[number].tolist()}, beyond any image; give pixels")
    wrong = np.flatnonzero((xyxy[:, 2:] <= xyxy[:, :2]).any(axis=1))
    if len(wrong):
        raise ArgumentError(
            f"box {wrong[0]} is {xyxy[wrong[0]].tolist()}, whose second corner does not lie right of and below the "
            "first: give x1, y1, x2, y2, not x, y, width, height"
        )
    # pixels that are that small are whole numbers, and of several boxes one is larger
    if xyxy.min() >= 0 and xyxy.max() <= 1 and (xyxy % 1).any() and max(size) > 2:
        raise ArgumentError(
            f"box 0 is {xyxy[0].tolist()}, within one pixel of an image of {size[0]} x {size[1]}: "
            "multiply boxes that are fractions of the image by its width and height"
        )
    scores = rows[:, 4] if rows.shape[1] == 5 else np.ones(len(rows), np.float32)
    _check_scores(scores)
    return Boxes(np.ascontiguousarray(xyxy), np.ascontiguousarray(scores), np.zeros(len(rows), np.int64))


def _check_scores(scores: np.ndarray) -> None:
    wrong = np.flatnonzero(~((scores >= 0) & (scores <= 1)))
    if len(wrong):
        raise ArgumentError(
            f"box {wrong[0]} has the score {float(scores[wrong[0]]):g} where 0 to 1 is needed: divide percentages by "
            "100, and leave class and track numbers out"
        )


class GivenBoxesPipeline(Pipeline):
    """A pipeline whose detector is replaced by the boxes that a caller gives for the frames of a video."""

    def __init__(self, pipeline: Pipeline, boxes: VideoBoxes) -> None:
        super().__init__(pipeline.detector, pipeline.pose, pose_nms=pipeline.pose_nms)
        self._given = boxes

    def detect(self, frames: Sequence[Frame], *, still: bool = False) -> list[Boxes]:
        """Return the boxes of each of several frames; the detector's where the caller gives None."""
        found = [(frame, self._boxes(frame)) for frame in frames]
        return [
            super(GivenBoxesPipeline, self).detect([frame], still=still)[0]
            if boxes is None
            else parse_boxes(boxes, (frame.image.shape[1], frame.image.shape[0]))
            for frame, boxes in found
        ]

    def _boxes(self, frame: Frame) -> BoxesLike | None:
        given = self._given
        if callable(given):
            return given(frame.image)
        if isinstance(given, Mapping):
            return given.get(frame.index, [])  # a number of numpy, or a whole float, is the same key
        if frame.index >= len(given):
            raise ArgumentError(
                f"boxes have {len(given)} items, and there is a frame {frame.index} (counted from 0): "
                "give an item for each frame of the source, [] where nobody is, or a function of the image"
            )
        return given[frame.index]


def check_video_boxes(boxes: object) -> None:
    """Raise ArgumentError unless boxes are given in a form for the frames of a video."""
    known = boxes is None or callable(boxes) or isinstance(boxes, (Mapping, Sequence, np.ndarray))
    if not known or isinstance(boxes, (str, bytes, Boxes)) or getattr(boxes, "ndim", 1) == 0:
        raise ArgumentError(
            f"boxes of a video are of type {type(boxes).__name__} where a function of the image, "
            "a list with the boxes of each frame, or a dict from frame numbers to boxes is needed"
        )
    if isinstance(boxes, Mapping):
        for key in boxes:
            if isinstance(key, bool) or not isinstance(key, Real) or key < 0 or key % 1:
                raise ArgumentError(
                    f"boxes have the key {said(key)} where the number of a frame is needed, a whole number from 0 on, "
                    "as {0: [[x1, y1, x2, y2]]}"
                )


def with_boxes(
    images: Iterable[ImageLike], boxes: Iterable[BoxesLike | None] | None
) -> Iterator[tuple[ImageLike, BoxesLike | None]]:
    """Yield each image with its boxes; raise ArgumentError where there are not as many."""
    if boxes is None:
        yield from ((image, None) for image in images)
        return
    if (
        not isinstance(boxes, Iterable)
        or isinstance(boxes, (str, bytes, Boxes, dict))
        or getattr(boxes, "ndim", 1) == 0
    ):
        raise ArgumentError(f"boxes of several images are a list with the boxes of each, not {type(boxes).__name__}")
    end, given = object(), iter(boxes)
    count = 0
    for count, image in enumerate(images, 1):
        if (one := next(given, end)) is end:
            raise ArgumentError(f"boxes are given for {count - 1} images, and there are more: give a list for each")
        yield image, one
    if next(given, end) is not end:
        raise ArgumentError(f"there are {count} images, and boxes for more than that: give a list for each image")
