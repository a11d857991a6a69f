"""Lists of boxes that networks of other exporters return -> boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..types import Boxes
from .boxes import select


def listed(dets: np.ndarray, labels: np.ndarray | None, *, factor: tuple[float, float], score_thr: float) -> Boxes:
    """Return the boxes of a network that suppresses overlapping ones itself, as MMDeploy exports detectors.

    Args:
        dets: ``[n, 5]``: x1, y1, x2, y2 in input pixels, and a score.
        labels: class of each, ``[n]``; None: all are of class 0.
        factor: (x, y) from image to input pixels.
        score_thr: scores must exceed it.

    Returns:
        Boxes in image pixels, best first.
    """
    labels = np.zeros(len(dets)) if labels is None else labels
    scores = dets[:, 4]
    kept = np.flatnonzero((scores > score_thr) & (dets[:, 2] > dets[:, 0]) & (dets[:, 3] > dets[:, 1]))
    kept = kept[np.argsort(-scores[kept], kind="stable")]
    boxes = dets[kept, :4] / np.asarray([*factor, *factor], np.float32)
    return Boxes(boxes.astype(np.float32), scores[kept].astype(np.float32), labels[kept].astype(np.int64))


def grid_rows(
    rows: np.ndarray,
    *,
    size: tuple[int, int],
    strides: Sequence[int],
    factor: tuple[float, float],
    score_thr: float,
    iou_threshold: float,
    max_per_img: int | None = None,
) -> Boxes:
    """Decode the one output of YOLOX's own exporter: a row for each grid point of all levels.

    Args:
        rows: ``[points, 5 + classes]``: centre and size, objectness, probability of each class. The first four are
            offsets from the grid point and logarithms, both in strides, or input pixels if the network was exported
            so: a logarithm is negative somewhere, a size nowhere.
        size: (width, height) of the input.
        strides: input pixels between grid points, a level each.
        factor: (x, y) from image to input pixels.
        score_thr: scores, which are class times objectness, must reach it.

    Returns:
        Boxes in image pixels, best first; they may reach beyond the image.
    """
    center, extent = rows[:, :2], rows[:, 2:4]
    if (extent < 0).any():
        grids = [np.indices((size[1] // stride, size[0] // stride))[::-1].reshape(2, -1).T for stride in strides]
        step = np.repeat(np.asarray(strides, np.float32), [len(grid) for grid in grids])[:, None]
        center, extent = (center + np.concatenate(grids).astype(np.float32)) * step, np.exp(extent) * step
    label = rows[:, 5:].argmax(1)
    score = rows[:, 4] * rows[:, 5:].max(1, initial=0)
    high = score >= score_thr
    half = extent[high] / 2
    boxes = np.concatenate([center[high] - half, center[high] + half], 1) / np.asarray([*factor, *factor], np.float32)
    return select(boxes, score[high], label[high], iou_threshold=iou_threshold, max_per_img=max_per_img)


def grid_points(size: tuple[int, int], strides: Sequence[int]) -> int:
    """Return how many rows `grid_rows` needs for an input of that (width, height)."""
    return sum((size[0] // stride) * (size[1] // stride) for stride in strides)
