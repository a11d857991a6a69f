"""Which people are kept: in one image here, from frame to frame in `Tracker`."""

from __future__ import annotations

import math

import numpy as np

from ..errors import ArgumentError, suggest
from ..types import Result
from .matching import sizes


def select(result: Result, *, max_persons: int | None = None, follow: str | None = None) -> Result:
    """Return the people of one image that are kept, in their order.

    Args:
        result: of the image.
        max_persons: how many are kept, those with the highest box scores.
        follow: the only one that is kept: "largest", "center", or "x,y", the one at that pixel or nearest to it.

    Raises:
        ArgumentError: ``follow`` has another form, is the track id of a video, or a pixel outside the image.
    """
    if follow is not None:
        rule, numbers = parse_follow(follow)
        if rule == "id":
            raise ArgumentError(
                f"'{follow}' is a track id, which only videos have: give largest, center or a pixel X,Y"
            )
        point = np.array(numbers) if rule == "point" else np.divide(result.size, 2)
        if rule == "point" and not all(0 <= value < side for value, side in zip(point, result.size, strict=True)):
            raise ArgumentError(
                f"the pixel {follow} is not in {_named(result.source)}, which has {result.size[0]} x {result.size[1]} "
                "pixels: give one in it"
            )
        boxes = result.boxes.xyxy.astype(np.float64)
        if not len(boxes):
            return result
        if rule == "largest":
            return result[[int(np.argmax(sizes(boxes)))]]
        distances = [distance(box, point) for box in boxes]
        return result[[distances.index(min(distances))]]
    if max_persons is None or len(result) <= max_persons:
        return result
    best = np.argsort(-result.boxes.scores, kind="stable")[:max_persons]
    return result[np.sort(best)]


def _named(source: str) -> str:
    return f"'{source}'" if source else "the image"


def distance(box: np.ndarray, point: np.ndarray) -> tuple[float, float]:
    """Return how far a point is from a box, then from its middle, in squares of pixels."""
    low, high = box[:2], box[2:]
    outside, middle = point - point.clip(low, high), point - (low + high) / 2
    return float(outside @ outside), float(middle @ middle)


def parse_follow(text: str) -> tuple[str, tuple[float, ...]]:
    """Return the rule that ``follow`` names: "largest", "center", "id" with a track id, or "point" with x and y.

    Raises:
        ArgumentError: it has another form.
    """
    word = text.strip().lower()
    if word in ("largest", "center"):
        return word, ()
    kind, numbers = ("id", word[3:]) if word.startswith("id:") else ("point", word)
    try:
        values = tuple(float(n) for n in numbers.split(","))
    except ValueError:
        values = ()
    fits = len(values) == 2 if kind == "point" else len(values) == 1 and values[0] >= 1 and values[0] % 1 == 0
    if not fits or not all(map(math.isfinite, values)):
        raise ArgumentError(
            f"'{text}' does not name a person to follow.{suggest(word, ('largest', 'center'))} "
            "Give largest, center, a pixel such as 320,240, or a track id such as id:3."
        )
    return kind, values
