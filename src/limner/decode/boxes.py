"""Raw outputs of anchor-free detectors -> boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..types import Boxes
from .nms import nms


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return the logistic function, without overflow and exact for small values."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def select(
    boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, *, iou_threshold: float, max_per_img: int | None
) -> Boxes:
    """Suppress overlapping boxes of one class and keep the best ``max_per_img``, all where it is None."""
    if not len(boxes):
        return Boxes.empty()
    class_shifted = boxes + (labels * (boxes.max() - boxes.min() + 1.0))[:, None] if labels.any() else boxes
    kept = nms(class_shifted, scores, iou_threshold)[:max_per_img]
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
    max_per_img: int | None = 100,
    min_size: float | None = None,
) -> Boxes:
    """Decode an anchor-free head whose outputs are distances from grid points (RTMDet).

    Args:
        cls: class logits of each level, ``[classes, h, w]``.
        reg: distances to left, top, right, bottom in input pixels, ``[4, h, w]``.
        strides: input pixels between grid points, a level each.
        factor: (x, y) from image to input pixels.
        limit: (width, height) of the input or of the image inside it; boxes end there.
        score_thr: scores must exceed it.
        nms_pre: the best of each level that take part in the suppression.
        min_size: boxes whose width or height does not exceed it, in image pixels, are left out.

    Returns:
        Boxes in image pixels, best first.
    """
    # the logit of the threshold, less a margin larger than the rounding error of a score
    least = np.log(score_thr / (1 - score_thr)) - 0.01 if 0 < score_thr < 1 else -np.inf
    found = []
    for logits, distances, stride in zip(cls, reg, strides, strict=True):
        flat = logits.reshape(-1)
        index = np.flatnonzero(flat > least)  # most are far below: the sigmoid is computed for the rest only
        score = sigmoid(flat[index].astype(np.float32))
        index, score = index[score > score_thr], score[score > score_thr]
        label, index = np.divmod(index, distances[0].size)
        if len(score) > nms_pre:
            best = np.argsort(-score, kind="stable")[:nms_pre]
            label, index, score = label[best], index[best], score[best]
        y, x = np.divmod(index, distances.shape[-1])
        point = np.stack([x, y], 1) * stride
        side = distances.reshape(4, -1)[:, index].T
        found.append((np.concatenate([point - side[:, :2], point + side[:, 2:]], 1), score, label))
    boxes, scores_, labels = (np.concatenate(parts) for parts in zip(*found, strict=True))
    boxes[:, 0::2] = boxes[:, 0::2].clip(0, limit[0]) / factor[0]
    boxes[:, 1::2] = boxes[:, 1::2].clip(0, limit[1]) / factor[1]
    if min_size is not None:
        large_enough = (boxes[:, 2:] - boxes[:, :2] > min_size).all(1)
        boxes, scores_, labels = boxes[large_enough], scores_[large_enough], labels[large_enough]
    return select(boxes, scores_, labels, iou_threshold=iou_threshold, max_per_img=max_per_img)


def grid_offsets(
    cls: Sequence[np.ndarray],
    reg: Sequence[np.ndarray],
    obj: Sequence[np.ndarray],
    *,
    strides: Sequence[int],
    factor: tuple[float, float],
    score_thr: float,
    iou_threshold: float,
    max_per_img: int | None = None,
) -> Boxes:
    """Decode an anchor-free head with objectness whose outputs are offsets and sizes (YOLOX).

    Args:
        cls: class logits of each level, ``[classes, h, w]``.
        reg: offset of the centre from its grid point and logarithm of the size, both in strides,
            ``[4, h, w]``.
        obj: objectness logits, ``[1, h, w]``.
        strides: input pixels between grid points, a level each.
        factor: (x, y) from image to input pixels.
        score_thr: scores, which are class times objectness, must reach it.

    Returns:
        Boxes in image pixels, best first; they may reach beyond the image, as in MMDetection.
    """
    found = []
    for logits, offsets, objectness, stride in zip(cls, reg, obj, strides, strict=True):
        objectness_score = sigmoid(objectness.reshape(-1).astype(np.float32))
        index = np.flatnonzero(objectness_score >= score_thr)  # no score exceeds the objectness
        probability = sigmoid(logits.reshape(len(logits), -1)[:, index].astype(np.float32))
        label, score = probability.argmax(0), probability.max(0, initial=0) * objectness_score[index]
        high = score >= score_thr
        label, index, score = label[high], index[high], score[high]
        y, x = np.divmod(index, offsets.shape[-1])
        value = offsets.reshape(4, -1)[:, index].T
        center = (value[:, :2] + np.stack([x, y], 1).astype(np.float32)) * stride
        half = np.exp(value[:, 2:]) * (stride / 2)
        found.append((np.concatenate([center - half, center + half], 1), score, label))
    boxes, scores, labels = (np.concatenate(parts) for parts in zip(*found, strict=True))
    boxes /= np.asarray([*factor, *factor], np.float32)
    return select(boxes, scores, labels, iou_threshold=iou_threshold, max_per_img=max_per_img)
