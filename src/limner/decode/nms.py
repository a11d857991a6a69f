"""Non-maximum suppression of boxes and poses."""

from __future__ import annotations

import numpy as np

from ..types import Poses

NEARBY = 0.05  # of the diagonal of a pose: keypoints nearer to each other count as the same
MAX_POSES = 30  # that stay, as in MMPose


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


def bbox_nms(boxes: np.ndarray, scores: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Return the boxes that no better one overlaps too much, whatever their class: MMPose's ``nms``.

    Both ends of a box are pixels of it, so its width is ``x2 - x1 + 1``.

    Args:
        boxes: float ``[N, 4]``, x1, y1, x2, y2.
        scores: float ``[N]``.

    Returns:
        Indices, best first: int64 ``[M]``.
    """
    order = np.argsort(scores, kind="stable")[::-1]  # of equals the last comes first, as in MMPose
    closed = boxes[order] + np.array((0, 0, 1, 1), boxes.dtype)
    kept: np.ndarray = order[nms(closed, scores[order], iou_threshold)]
    return kept


def nearby_joints_nms(poses: Poses, scores: np.ndarray) -> np.ndarray:
    """Return the best of the poses that share more than a third of their keypoints.

    Two keypoints are the same where their distance is below a twentieth of the diagonal of the pose (DEKR,
    Geng et al. 2021, arXiv:2104.02300, with MMPose's numbers).

    Args:
        poses: N poses.
        scores: of the poses, float ``[N]``.

    Returns:
        Indices, best first, at most 30: int64 ``[M]``.
    """
    points = poses.keypoints
    diagonal = np.linalg.norm(np.ptp(points, axis=1), axis=1)
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    shared = (distance < NEARBY * diagonal[:, None, None]).sum(axis=-1)
    same = (shared > points.shape[1] // 3) | np.eye(len(points), dtype=bool)
    kept: list[int] = []
    suppressed: set[int] = set()
    for i in np.argsort(scores, kind="stable")[::-1].tolist():
        duplicates = np.flatnonzero(same[i])
        if i not in suppressed and not suppressed.intersection(duplicates[scores[duplicates] > scores[i]].tolist()):
            kept.append(i)
            suppressed.update(duplicates.tolist())
    return np.asarray(kept[:MAX_POSES], np.int64)
