"""What stands in for the findings of networks whose weights are drawn at random. Needs numpy alone.

No published weights are at hand where these benchmarks run, and what a random network finds means nothing. So
each system runs its networks in full, and takes what was found beforehand in place of their boxes and, if wanted,
of their keypoints: here, for all systems alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

NEAR = 0.1  # IoU with a recorded box above which a box is that one's


@dataclass(frozen=True, eq=False)
class Found:
    """What was found in one frame."""

    boxes: np.ndarray  # float32 [N, 4], x1, y1, x2, y2 in pixels, best first
    box_scores: np.ndarray  # float32 [N], 0 for those that the detector missed
    points: np.ndarray  # float32 [N, K, 2], pixels
    scores: np.ndarray  # float32 [N, K]

    @property
    def detected(self) -> np.ndarray:
        """The boxes ``[M, 4]`` that the detector found."""
        return self.boxes[self.box_scores > 0]

    def put(self, boxes: np.ndarray, points: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return points ``[M, K', 2]`` and scores ``[M, K']`` of boxes ``[M, 4]`` with the recorded ones in place.

        Each box takes those of the recorded box that it overlaps most; a network with another number of points
        takes every so many of them. A box that is nowhere near keeps what the network gave.
        """
        if not len(boxes) or not len(self.boxes):
            return points, scores
        overlap = iou(np.asarray(boxes, np.float64).reshape(-1, 4), self.boxes.astype(np.float64))
        rows, near = overlap.argmax(axis=1), overlap.max(axis=1) > NEAR
        columns = np.linspace(0, self.points.shape[1] - 1, points.shape[1]).round().astype(int)
        points, scores = points.copy(), scores.copy()
        points[near] = self.points[rows[near]][:, columns]
        scores[near] = self.scores[rows[near]][:, columns]
        return points, scores


def save(path: Path, frames: Sequence[Found]) -> None:
    """Write what was found in each frame of a clip."""
    names = ("boxes", "box_scores", "points", "scores")
    np.savez(path, **{f"{name}{i}": getattr(found, name) for i, found in enumerate(frames) for name in names})


def load(path: Path) -> list[Found]:
    """Read what `save` wrote."""
    with np.load(path) as held:
        count = sum(name.startswith("boxes") for name in held.files)
        names = ("boxes", "box_scores", "points", "scores")
        return [Found(*(held[f"{name}{i}"] for name in names)) for i in range(count)]


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the overlap ``[N, M]`` of boxes ``[N, 4]`` and ``[M, 4]``."""
    low, high = np.maximum(a[:, None, :2], b[:, :2]), np.minimum(a[:, None, 2:], b[:, 2:])
    shared = (high - low).clip(0).prod(axis=2)
    areas = [(x[:, 2:] - x[:, :2]).prod(axis=1) for x in (a, b)]
    return shared / np.maximum(areas[0][:, None] + areas[1] - shared, 1e-9)
