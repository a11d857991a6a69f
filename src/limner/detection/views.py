"""Where a detector looks in an image: at all of it, and where objects may be too small for that, more closely too."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from ..crop import Size, fit_factor
from ..decode.tiles import SMALL, Region, small
from ..errors import ArgumentError, said
from ..types import Boxes

OVERLAP = 0.25  # of a tile's side that the next tile shows too: what is smaller is whole in one of them
FINE = 0.35  # input pixels for one image pixel that "auto" wants: an object of 45 pixels has 16
FAIR = 0.148  # with so many, "auto" looks more closely only where there are small objects
FAR = FAIR / 4  # with fewer, an object that fills a tenth of a large screen may be missed
LARGE = 1 / 8  # of the longer side of an image: who found an object of this size has probably found what is to be found
HINT = 0.75  # of the score that a box needs: a small one with this score is a reason to look more closely
MAX_ZOOM = 6.0  # from one level of tiles to the next: what all tiles of one cut is large enough for the other
MAX_GROWTH = 4.0  # of the sides of the input
MAX_GRID = 32  # tiles beside each other
SIZES = range(32, 4097)  # of a side of the input
MANY_SMALL = (
    "objects in this large image are small for the detector, so it may miss some: "
    'tile="auto" (--tile auto) looks more closely'
)


@dataclass(frozen=True)
class View:
    """A part of an image that the detector gets, and the size that it is fitted into."""

    region: Region
    size: Size

    @property
    def scale(self) -> float:
        """Input pixels for one image pixel."""
        x1, y1, x2, y2 = self.region
        return fit_factor(x2 - x1, y2 - y1, self.size)

    def cut(self, image: np.ndarray) -> np.ndarray:
        """Return this part of an image ``[H, W, 3]``, not copied."""
        x1, y1, x2, y2 = self.region
        return image[y1:y2, x1:x2]

    def to_image(self, boxes: Boxes) -> Boxes:
        """Return boxes in pixels of the image, from those in pixels of this part."""
        x1, y1 = self.region[:2]
        return Boxes(boxes.xyxy + np.asarray((x1, y1, x1, y1), np.float32), boxes.scores, boxes.labels)


@dataclass(frozen=True)
class DetectorOptions:
    """How closely a detector looks, and how much it returns."""

    det_size: Size | str | None = None  # (width, height) of its input, "auto", or None for its own
    tile: tuple[int, int] | str = "off"  # (columns, rows), "auto" or "off"
    max_boxes: int | None = None  # of an image; None takes the detector's own cap, for each tile

    @classmethod
    def parse(
        cls,
        det_size: int | str | Size | None = None,
        tile: int | str | tuple[int, int] | None = "off",
        max_boxes: int | None = None,
    ) -> DetectorOptions:
        """Return the options from what a user gives.

        Args:
            det_size: 640, "640", "1280x736", (1280, 736), "auto" or None.
            tile: "off", "auto", 3 or "3" (3 x 3), "3x2" or (3, 2): columns and rows.
            max_boxes: at least 1.

        Raises:
            ArgumentError: a value has another form, or they contradict each other.
        """
        if max_boxes is not None and (not _is_whole(max_boxes) or max_boxes < 1):
            raise ArgumentError(f"max_boxes is {said(max_boxes)} where a whole number from 1 is needed")
        size = _word(det_size, "auto") or _pair(det_size)
        if size is None and det_size is not None:
            raise ArgumentError(f"det_size is {said(det_size)} where 640, 1280x736 or auto is needed")
        tiles = "off" if tile is None else _word(tile, "off", "auto") or _pair(tile)
        if tiles is None or (isinstance(tiles, tuple) and not all(1 <= side <= MAX_GRID for side in tiles)):
            raise ArgumentError(
                f"tile is {said(tile)} where off, auto, or columns and rows such as 3x2 are needed, {MAX_GRID} at most"
            )
        if tiles == (1, 1):
            tiles = "off"
        if size == "auto" and tiles != "off":
            raise ArgumentError("det_size auto and tiles both look more closely at an image: give one of them")
        return cls(size, tiles, max_boxes)

    def check_unused(self, bbox_thr: float | None = None) -> None:
        """Raise ArgumentError where there are options, or a threshold, though there is no detector."""
        if bbox_thr is not None:
            raise ArgumentError("bbox_thr is for the boxes of a detector, and there is none: leave it out")
        if self != DetectorOptions():
            raise ArgumentError("det_size, tile and max_boxes are for a detector, and there is none: leave them out")

    @property
    def auto(self) -> bool:
        """Whether the image decides if the detector looks more closely."""
        return "auto" in (self.det_size, self.tile)


def _word(value: object, *known: str) -> str | None:
    word = value.strip().lower() if isinstance(value, str) else None
    return word if word in known else None


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _pair(value: object) -> Size | None:
    """Return two numbers from 2, "2", "3x2" or (3, 2)."""
    if isinstance(value, str):
        match = re.fullmatch(r"(\d{1,5})(?:[xX](\d{1,5}))?", value.strip())
        return None if match is None else (int(match[1]), int(match[2] or match[1]))
    numbers: list[Any] = list(value) if isinstance(value, (tuple, list, np.ndarray)) else [value, value]
    if len(numbers) != 2 or not all(map(_is_whole, numbers)):
        return None
    return int(numbers[0]), int(numbers[1])


def check_size(size: Size, multiple: int) -> None:
    """Check that a detector's input can have a size.

    Raises:
        ArgumentError: a side is no multiple of the network's coarsest stride, too small or too large.
    """
    for side in size:
        if side not in SIZES or side % multiple:
            near = sorted({max(multiple, n * multiple) for n in (side // multiple, -(-side // multiple))})
            use = " or ".join(str(n) for n in near if n in SIZES) or str(SIZES[-1])
            raise ArgumentError(
                f"det_size {size[0]}x{size[1]} does not fit this detector, whose sides are multiples of {multiple} "
                f"up to {SIZES[-1]}: use {use} in place of {side}"
            )


def are_small(first: View, boxes: Boxes) -> bool:
    """Whether most boxes in a large image are so small in the detector's input that others were probably missed."""
    return first.scale < FAIR and len(boxes) >= 3 and 2 * int(small(boxes.xyxy, first.scale).sum()) >= len(boxes)


def may_be_missed(first: View, boxes: Boxes) -> bool:
    """Whether there may be objects in a large image that are far too small for the detector, as it found little."""
    if not len(boxes):
        return first.scale < FAIR
    _, _, width, height = first.region
    sides = boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]
    return first.scale < FAR and float(sides.max()) < max(width, height) * LARGE


def too_small(first: View) -> str:
    """Return a sentence about objects that a detector may have missed."""
    _, _, width, height = first.region
    return (
        f"in an image of {width}x{height} pixels, objects below {round(SMALL / first.scale)} pixels are too small for "
        'the detector: tile="auto" (--tile auto) looks more closely'
    )


def cost(looks: Sequence[View], *, padded: bool) -> str:
    """Return a sentence about the work of several views, the first of which is the whole image.

    Args:
        looks: the views.
        padded: every input has its full size, whatever the shape of the view.
    """
    areas = []
    for view in looks:
        x1, y1, x2, y2 = view.region
        areas.append(math.prod(view.size) if padded else (x2 - x1) * (y2 - y1) * view.scale**2)
    _, _, width, height = looks[0].region
    parts = f"{len(looks) - 1} tiles" if len(looks) > 2 else "an input that is larger"
    times = max(2, round(sum(areas) / areas[0]))
    return f"an image of {width}x{height} pixels: the detector looks at it and at {parts}, about {times} times the work"


def more_than(cap: int) -> str:
    """Return a sentence about boxes that are lost."""
    return f"the detector found more than {cap} boxes and keeps the best {cap}: raise max_boxes (--max-boxes) for more"


def whole(image: np.ndarray, size: Size) -> View:
    """Return the view of a whole image ``[H, W, 3]``."""
    height, width = image.shape[:2]
    return View((0, 0, width, height), size)


def closer(first: View, boxes: Boxes, options: DetectorOptions, bbox_thr: float, multiple: int) -> list[View]:
    """Return the views with which a detector looks more closely at an image, after the first look at all of it.

    Args:
        first: the whole image.
        boxes: what it found there, those with ``HINT`` of the score that is needed included.
        options: "auto" looks more closely at large images, and at smaller ones where there are small objects.
        bbox_thr: the score that boxes need.
        multiple: sides of the input are multiples of it.
    """
    if isinstance(options.tile, tuple):
        return [View(region, first.size) for region in grid(first.region, *options.tile)]
    if not options.auto or first.scale >= FINE:
        return []
    hints = boxes.scores > bbox_thr * HINT
    if first.scale >= FAIR and not (hints & small(boxes.xyxy, first.scale)).any():
        return []
    if options.tile == "auto":
        return [View(region, first.size) for region in _levels(first)]
    growth = min(FINE / first.scale, MAX_GROWTH)
    width, height = (math.ceil(side * growth / multiple) * multiple for side in first.size)
    return [View(first.region, (width, height))]


def grid(region: Region, columns: int, rows: int) -> list[Region]:
    """Return overlapping tiles of equal size that cover a whole image, row by row."""
    _, _, width, height = region
    return [(x1, y1, x2, y2) for y1, y2 in _intervals(height, rows) for x1, x2 in _intervals(width, columns)]


def _intervals(length: int, number: int) -> Iterator[tuple[int, int]]:
    side = min(length, math.ceil(length / (number - (number - 1) * OVERLAP)))
    for i in range(number):
        start = round(i * (length - side) / max(1, number - 1))
        yield start, start + side


def _levels(first: View) -> list[Region]:
    """Return the tiles that show an image with ``FINE``, and those between that and the whole image."""
    zoom = FINE / first.scale
    _, _, width, height = first.region
    number = math.ceil(math.log(zoom) / math.log(MAX_ZOOM))
    found: list[Region] = []
    for level in range(1, number + 1):
        scale = first.scale * zoom ** (level / number)
        short, long = sorted(side / scale for side in first.size)
        across, down = (long, short) if width >= height else (short, long)
        found += grid(first.region, _number(width, across), _number(height, down))
    return found


def _number(length: int, side: float) -> int:
    """Return how many tiles of at most ``side`` cover a length."""
    return max(1, math.ceil((length / side - OVERLAP) / (1 - OVERLAP) - 1e-9))
