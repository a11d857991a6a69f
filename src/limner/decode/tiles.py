"""One list of boxes from those that a detector found in overlapping parts of an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..types import Boxes

Region = tuple[int, int, int, int]  # x1, y1, x2, y2 in pixels of the image

SMALL = 16.0  # pixels of the detector's input: boxes with a smaller side are uncertain, and a closer look pays
CLOSER = 1.5  # times the size: from here on a region shows an object more closely than another
CUT_PIXELS, CUT_SHARE = 2.0, 0.1  # of the input, of its side: a box that ends nearer to a tile's edge may go on beyond
SAME = 0.3  # IoU above which boxes of two regions are of one object
INSIDE = 0.5  # of a box: with so much of it in another one it may be a part of the same object
INSIDE_CUT = 0.3  # likewise of one that was cut, which is found again as a whole if it is another object


def merge(found: Sequence[Boxes], regions: Sequence[Region], scales: Sequence[float], size: tuple[int, int]) -> Boxes:
    """Return the boxes of an image from those of its regions, each object once.

    A box is a part of another one that holds most of it, where its region cuts it or does not show all of the other;
    a small box yields to the closer look of a finer region, whatever that finds. Boxes of one region are different
    objects, however much they overlap.

    Args:
        found: the boxes of each region, in pixels of the image.
        regions: where the detector looked; the whole image may be one of them.
        scales: input pixels for one image pixel, of each region.
        size: (width, height) of the image.

    Returns:
        Boxes, best first.
    """
    region = np.repeat(np.arange(len(found)), [len(boxes) for boxes in found])
    xyxy = np.concatenate([boxes.xyxy for boxes in found])
    scores = np.concatenate([boxes.scores for boxes in found])
    labels = np.concatenate([boxes.labels for boxes in found])
    limits, scale = np.asarray(regions, np.float32)[region], np.asarray(scales, np.float32)[region]
    cut = _cut(xyxy, limits, scale, size)
    alive = ~_seen_closer(xyxy, scale, regions, scales)
    order = np.lexsort((-scores, cut))
    for place, i in enumerate(order.tolist()):
        if not alive[i]:
            continue
        rest = order[place + 1 :]
        rest = rest[alive[rest] & (region[rest] != region[i]) & (labels[rest] == labels[i])]
        iou, inside = _overlaps(xyxy[rest], xyxy[i])
        beyond = (xyxy[i, :2] < limits[rest, :2]).any(1) | (xyxy[i, 2:] > limits[rest, 2:]).any(1)
        part = np.where(cut[rest], inside > INSIDE_CUT, (inside > INSIDE) & beyond)
        alive[rest[(iou > SAME) | part]] = False
    kept = np.flatnonzero(alive)
    kept = kept[np.argsort(-scores[kept], kind="stable")]
    return Boxes(xyxy[kept], scores[kept], labels[kept])


def small(boxes: np.ndarray, scale: float | np.ndarray) -> np.ndarray:
    """Return which boxes ``[N, 4]`` are so small in the detector's input that they are uncertain."""
    sides = np.sqrt((boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1))
    uncertain: np.ndarray = sides * scale < SMALL
    return uncertain


def _cut(boxes: np.ndarray, limits: np.ndarray, scale: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return which boxes ``[N, 4]`` end near an edge of their region (``limits``) that is not one of the image."""
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    margin = np.maximum(CUT_PIXELS / scale[:, None], CUT_SHARE * sides)
    inner = np.concatenate([limits[:, :2] > 0, limits[:, 2:] < size], 1)
    outwards = np.asarray((-1, -1, 1, 1), np.float32)
    cut: np.ndarray = (inner & ((limits - boxes) * outwards < margin)).any(1)
    return cut


def _seen_closer(
    boxes: np.ndarray, scale: np.ndarray, regions: Sequence[Region], scales: Sequence[float]
) -> np.ndarray:
    """Return which boxes ``[N, 4]`` are small in their region, and whole and larger in another one."""
    seen = np.zeros(len(boxes), bool)
    uncertain = small(boxes, scale)
    for (x1, y1, x2, y2), closer in zip(regions, scales, strict=True):
        whole = (boxes[:, :2] >= (x1, y1)).all(1) & (boxes[:, 2:] <= (x2, y2)).all(1)
        seen |= uncertain & whole & (closer >= CLOSER * scale)
    return seen


def _overlaps(boxes: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the IoU of boxes ``[N, 4]`` with another one, and the share of each that lies inside it."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = sides.clip(0).prod(1)
    areas, area = (boxes[:, 2:] - boxes[:, :2]).prod(1), (box[2:] - box[:2]).prod()
    return shared / np.maximum(areas + area - shared, 1e-9), shared / np.maximum(areas, 1e-9)
