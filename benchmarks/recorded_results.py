"""Recorded results that replace those of networks with random weights. Needs numpy only.

These benchmarks need no published weights, and the results of a random network are meaningless. So each system
runs its networks in full, and then takes recorded boxes and, on request, recorded keypoints in place of their
results: the same ones for all systems.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

NEAR = 0.1  # IoU with a recorded box above which a box gets its keypoints


@dataclass(frozen=True, eq=False)
class RecordedFrame:
    """The recorded results of one frame."""

    boxes: np.ndarray  # float32 [N, 4], x1, y1, x2, y2 in pixels, best first
    box_scores: np.ndarray  # float32 [N], 0 for people whom the detector missed
    points: np.ndarray  # float32 [N, K, 2], pixels
    scores: np.ndarray  # float32 [N, K]

    @property
    def detected(self) -> np.ndarray:
        """The boxes ``[M, 4]`` that the detector found."""
        return self.boxes[self.box_scores > 0]

    def substitute(self, boxes: np.ndarray, points: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return keypoints ``[M, K', 2]`` and scores ``[M, K']`` of boxes ``[M, 4]``, replaced by the recorded ones.

        Each box gets those of the recorded box that it overlaps most; for another number of keypoints they are
        sampled evenly. A box without overlap keeps the network's results.
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


def save(path: Path, frames: Sequence[RecordedFrame]) -> None:
    """Write the results of each frame of a clip."""
    names = ("boxes", "box_scores", "points", "scores")
    np.savez(path, **{f"{name}{i}": getattr(frame, name) for i, frame in enumerate(frames) for name in names})


def load(path: Path) -> list[RecordedFrame]:
    """Read what `save` wrote."""
    with np.load(path) as arrays:
        count = sum(name.startswith("boxes") for name in arrays.files)
        names = ("boxes", "box_scores", "points", "scores")
        return [RecordedFrame(*(arrays[f"{name}{i}"] for name in names)) for i in range(count)]


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the overlap ``[N, M]`` of boxes ``[N, 4]`` and ``[M, 4]``."""
    low, high = np.maximum(a[:, None, :2], b[:, :2]), np.minimum(a[:, None, 2:], b[:, 2:])
    shared = (high - low).clip(0).prod(axis=2)
    areas = [(x[:, 2:] - x[:, :2]).prod(axis=1) for x in (a, b)]
    return shared / np.maximum(areas[0][:, None] + areas[1] - shared, 1e-9)
