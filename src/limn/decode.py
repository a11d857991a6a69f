"""Raw network outputs -> boxes and keypoints, in numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .types import Boxes


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return the logistic function, without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def nms(boxes: np.ndarray, scores: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Greedy non-maximum suppression.

    Args:
        boxes: float ``[N, 4]``, x1, y1, x2, y2.
        scores: float ``[N]``.

    Returns:
        Indices of the boxes that stay, best first: int64 ``[M]``.
    """
    order = np.argsort(-scores, kind="stable")
    x1, y1, x2, y2 = boxes[order].T
    area = (x2 - x1) * (y2 - y1)
    alive = np.ones(len(order), bool)
    kept = []
    for i in range(len(order)):
        if not alive[i]:
            continue
        kept.append(order[i])
        rest = np.flatnonzero(alive[i + 1 :]) + i + 1
        w = np.minimum(x2[i], x2[rest]) - np.maximum(x1[i], x1[rest])
        h = np.minimum(y2[i], y2[rest]) - np.maximum(y1[i], y1[rest])
        inter = np.clip(w, 0, None) * np.clip(h, 0, None)
        union = area[i] + area[rest] - inter
        alive[rest[inter > iou_threshold * union]] = False
    return np.asarray(kept, np.int64)


def select(
    boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, *, iou_threshold: float, max_per_img: int
) -> Boxes:
    """Suppress overlapping boxes of one class and keep the best ``max_per_img``."""
    if not len(boxes):
        return Boxes.empty()
    apart = boxes + (labels * (boxes.max() - boxes.min() + 1.0))[:, None] if labels.any() else boxes
    kept = nms(apart, scores, iou_threshold)[:max_per_img]
    return Boxes(boxes[kept].astype(np.float32), scores[kept].astype(np.float32), labels[kept].astype(np.int64))


def grid_distances(
    cls: Sequence[np.ndarray],
    reg: Sequence[np.ndarray],
    *,
    strides: Sequence[int],
    factor: tuple[float, float],
    limit: tuple[int, int],
    score_thr: float,
    iou_threshold: float,
    nms_pre: int = 1000,
    max_per_img: int = 100,
) -> Boxes:
    """Decode an anchor-free head whose outputs are distances from grid points (RTMDet).

    Args:
        cls: class logits of each level, ``[classes, h, w]``.
        reg: distances to left, top, right, bottom in input pixels, ``[4, h, w]``.
        strides: input pixels between grid points, a level each.
        factor: (x, y) from picture to input pixels.
        limit: (width, height) of the picture inside the input; boxes end there.
        score_thr: scores must exceed it.

    Returns:
        Boxes in picture pixels, best first.
    """
    found = []
    for logits, distances, stride in zip(cls, reg, strides, strict=True):
        scores = sigmoid(logits.reshape(len(logits), -1).astype(np.float32))
        label, place = np.nonzero(scores > score_thr)
        score = scores[label, place]
        if len(score) > nms_pre:
            best = np.argsort(-score, kind="stable")[:nms_pre]
            label, place, score = label[best], place[best], score[best]
        y, x = np.divmod(place, distances.shape[-1])
        point = np.stack([x, y], 1) * stride
        side = distances.reshape(4, -1)[:, place].T
        found.append((np.concatenate([point - side[:, :2], point + side[:, 2:]], 1), score, label))
    boxes, scores_, labels = (np.concatenate(parts) for parts in zip(*found, strict=True))
    boxes[:, 0::2] = boxes[:, 0::2].clip(0, limit[0]) / factor[0]
    boxes[:, 1::2] = boxes[:, 1::2].clip(0, limit[1]) / factor[1]
    return select(boxes, scores_, labels, iou_threshold=iou_threshold, max_per_img=max_per_img)


def simcc(x: np.ndarray, y: np.ndarray, split_ratio: float) -> tuple[np.ndarray, np.ndarray]:
    """Decode SimCC vectors by their maxima (Li et al. 2022, arXiv:2107.03332).

    Args:
        x, y: ``[N, K, bins]``.
        split_ratio: bins a pixel.

    Returns:
        Keypoints ``[N, K, 2]`` in input pixels and scores ``[N, K]``, the lesser of both maxima;
        where that is not positive, the point is (-1, -1) bins, as in MMPose.
    """
    peaks = np.stack([x.argmax(-1), y.argmax(-1)], -1).astype(np.float32)
    scores = np.minimum(x.max(-1), y.max(-1)).astype(np.float32)
    peaks[scores <= 0] = -1
    return peaks / np.float32(split_ratio), scores
