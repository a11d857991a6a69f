"""Similarity of instances, and the assignment with the greatest total similarity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..types import Result

MIN_SIGMA = 0.1  # of the size: least sigma of a keypoint; the OKS metric's own are for annotators, not for motion
MIN_SIMILARITY = 0.2  # mean of OKS and IoU above which two instances may be one person


@dataclass(frozen=True, eq=False)
class Observations:
    """The instances of one result; no field but ``raw`` has NaN."""

    raw: np.ndarray  # float64 [N, K, 2], (x, y) pixels, as given
    points: np.ndarray  # float64 [N, K, 2], the box's centre where one is unknown
    weights: np.ndarray  # float64 [N, K] in 0..1
    confidence: np.ndarray  # float64 [N] in 0..1, mean score of the points
    boxes: np.ndarray  # float64 [N, 4], (x1, y1, x2, y2) pixels
    scores: np.ndarray  # float64 [N] of the boxes
    labels: np.ndarray  # int64 [N]

    @classmethod
    def of(cls, result: Result) -> Observations:
        raw = np.asarray(result.keypoints, np.float64)
        known = np.asarray(np.isfinite(raw).all(axis=2))
        boxes = np.array(result.boxes.xyxy, np.float64)
        for i in np.flatnonzero(~(np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1))):
            own = raw[i, known[i]]
            boxes[i] = np.concatenate([own.min(axis=0), own.max(axis=0) + 1]) if len(own) else 0
        middle = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
        weights = np.where(known & (result.scores > 0), result.scores, 0).clip(0, 1).astype(np.float64)
        confidence = weights.sum(axis=1) / max(raw.shape[1], 1)
        weights = np.where(weights.any(axis=1, keepdims=True), weights, known)
        scores = np.where(np.isfinite(result.boxes.scores), result.boxes.scores, 0).astype(np.float64)
        points = np.where(known[..., None], raw, middle)
        return cls(raw, points, weights, confidence, boxes, scores, result.boxes.labels)


def sizes(boxes: np.ndarray) -> np.ndarray:
    """Return the square roots of the areas of boxes ``[..., 4]``."""
    return np.asarray(np.sqrt(areas(boxes)))


def areas(boxes: np.ndarray) -> np.ndarray:
    """Return the areas of boxes ``[..., 4]``."""
    return np.asarray((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]))


def tile_xy(pair: np.ndarray | tuple[int, int]) -> np.ndarray:
    """Return (x, y, x, y) of one or several (x, y) ``[..., 2]``."""
    return np.concatenate([pair, pair], axis=-1)


def spread(points: np.ndarray, weights: np.ndarray) -> float:
    """Return the weighted distance (root mean square) of points ``[K, 2]`` from their centre, in pixels."""
    if not weights.any():
        return 0.0
    weights = weights / weights.sum()
    return float(np.sqrt(weights @ ((points - weights @ points) ** 2).sum(axis=1)))


def iou(a: np.ndarray, b: np.ndarray, margin: float = 0.0) -> np.ndarray:
    """Return the IoU ``[A, B]`` of boxes ``[A, 4]`` and ``[B, 4]``, widened by ``margin`` sides all around."""
    if margin:
        a, b = (boxes + margin * tile_xy(boxes[:, 2:] - boxes[:, :2]) * (-1, -1, 1, 1) for boxes in (a, b))
    common = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    common = np.maximum(common[..., 0], 0) * np.maximum(common[..., 1], 0)
    union = areas(a)[:, None] + areas(b) - common
    return np.asarray(common / np.maximum(union, 1e-9))


def oks(
    a: np.ndarray, b: np.ndarray, weights_a: np.ndarray, weights_b: np.ndarray, size: np.ndarray, sigmas: np.ndarray
) -> np.ndarray:
    """Return COCO's object keypoint similarity ``[A, B]`` in 0..1; NaN where no point is known in both.

    Args:
        a, b: poses ``[A, K, 2]`` and ``[B, K, 2]``.
        weights_a, weights_b: of their points, ``[A, K]`` and ``[B, K]``.
        size: of ``a`` in pixels, ``[A]``.
        sigmas: of the points, as shares of the size, ``[K]``.
    """
    squared = ((a[:, None] - b[None]) ** 2).sum(axis=-1)
    per_point = np.exp(-squared / (2 * (np.maximum(size, 1)[:, None] * sigmas) ** 2)[:, None])
    weights = weights_a[:, None] * weights_b[None]
    total = weights.sum(axis=-1)
    return np.where(total > 0, (weights * per_point).sum(axis=-1) / np.where(total > 0, total, 1), np.nan)


def similarity(
    points: np.ndarray, weights: np.ndarray, boxes: np.ndarray, observed: Observations, sigmas: np.ndarray
) -> np.ndarray:
    """Return the mean of OKS and IoU ``[A, N]``, or IoU alone where no points can be compared.

    Args:
        points, weights, boxes: of A instances, as in `Observations`.
        observed: N instances.
        sigmas: ``[K]``.
    """
    overlap = iou(boxes, observed.boxes)
    by_points = oks(points, observed.points, weights, observed.weights, sizes(boxes), sigmas)
    return np.where(np.isnan(by_points), overlap, (by_points + overlap) / 2)


def best_pairs(gain: np.ndarray) -> list[tuple[int, int]]:
    """Return the pairs (row, column) with the greatest sum of ``gain [R, C]``; pairs with a gain of 0 are left out."""
    rows, columns = np.flatnonzero(gain.any(axis=1)), np.flatnonzero(gain.any(axis=0))
    found = [(int(rows[i]), int(columns[j])) for i, j in assign(-gain[rows][:, columns])]
    return [(i, j) for i, j in found if gain[i, j] > 0]


def assign(cost: np.ndarray) -> list[tuple[int, int]]:
    """Return min(R, C) pairs (row, column) of least total ``cost [R, C]``, each row and column at most once.

    By shortest augmenting paths (Jonker and Volgenant 1987), in cubic time at worst.
    """
    if not cost.size:
        return []
    if cost.shape[0] > cost.shape[1]:
        return [(i, j) for j, i in assign(cost.T)]
    best = cost.argmin(axis=1).tolist()
    if len(set(best)) == len(best):  # no two rows have the same best column: the usual case
        return list(enumerate(best))
    row_price, column_price = np.zeros(len(cost)), np.zeros(cost.shape[1])
    owner, taken = np.full(cost.shape[1], -1), np.full(len(cost), -1)  # row of a column, column of a row
    for start in range(len(cost)):
        length = np.full(cost.shape[1], np.inf)  # of the shortest path from the row to each column
        source = np.full(cost.shape[1], start)  # the last row on it
        done = np.zeros(cost.shape[1], bool)
        row, column, reached = start, -1, 0.0
        while row >= 0:
            through = reached + cost[row] - row_price[row] - column_price
            shorter = ~done & (through < length)
            length[shorter], source[shorter] = through[shorter], row
            column = int(np.argmin(np.where(done, np.inf, length)))
            done[column], reached, row = True, length[column], int(owner[column])
        rest = np.where(done, reached - length, 0)
        row_price[start] += reached
        row_price[owner[done & (owner >= 0)]] += rest[done & (owner >= 0)]
        column_price -= rest
        while row != start:
            row = int(source[column])
            owner[column], taken[row], column = row, column, int(taken[row])
    return list(enumerate(taken.tolist()))
