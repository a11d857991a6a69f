"""Which of several boxes or poses of the same thing stays: the rules that MMPose has between its stages."""

from __future__ import annotations

import numpy as np

from . import decode
from .types import Poses

NEAR = 0.05  # of the diagonal of a pose: points nearer than that are the same
MOST_POSES = 30  # that stay, as in MMPose


def overlapping_boxes(boxes: np.ndarray, scores: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Tell which boxes stay where one that overlaps a better one is dropped, whatever their class.

    Both ends of a box are pixels of it, so its width is ``x2 - x1 + 1``.

    Args:
        boxes: float ``[N, 4]``, x1, y1, x2, y2.
        scores: float ``[N]``.

    Returns:
        Indices, best first: int64 ``[M]``.
    """
    order = np.argsort(scores, kind="stable")[::-1]  # of equals the last comes first, as in MMPose
    closed = boxes[order] + np.array((0, 0, 1, 1), boxes.dtype)
    kept: np.ndarray = order[decode.nms(closed, scores[order], iou_threshold)]
    return kept


def near_poses(poses: Poses, scores: np.ndarray) -> np.ndarray:
    """Tell which poses stay where poses that share more than a third of their points count as one.

    Two points are the same where their distance is below a twentieth of the diagonal of the pose (DEKR,
    Geng et al. 2021, arXiv:2104.02300, with MMPose's numbers).

    Args:
        poses: N poses.
        scores: of the poses, float ``[N]``.

    Returns:
        Indices, best first, at most 30: int64 ``[M]``.
    """
    points = poses.keypoints
    diagonal = np.linalg.norm(np.ptp(points, axis=1), axis=1)
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    shared = (apart < NEAR * diagonal[:, None, None]).sum(axis=-1)
    same = (shared > points.shape[1] // 3) | np.eye(len(points), dtype=bool)
    kept: list[int] = []
    gone: set[int] = set()
    for i in np.argsort(scores, kind="stable")[::-1].tolist():
        alike = np.flatnonzero(same[i])
        if i not in gone and not gone.intersection(alike[scores[alike] > scores[i]].tolist()):
            kept.append(i)
            gone.update(alike.tolist())
    return np.asarray(kept[:MOST_POSES], np.int64)
