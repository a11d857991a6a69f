"""The state of one track, and the prediction of its box."""

from __future__ import annotations

import math

import numpy as np

from .filters import OneEuro
from .matching import Observations, sizes, spread, tile_xy

# a box that follows the noise of its points makes the poses in it worse; of a change this large, half is followed:
SHIFT_NOISE = 0.003  # sizes, of the whole box since the last detection: about the noise of the mean of all points
SIDE_NOISE = 0.02  # sizes, of one side against the others since then: the outermost point has more noise
STEP_NOISE = 0.01  # sizes, from one frame to the next
VELOCITY_DECAY = 1.0  # seconds, time constant with which the velocity of a missed person decays
VELOCITY_WINDOW = 0.1  # seconds over which a velocity is averaged
UNRELIABLE_PATIENCE = 4.0  # frames of patience from which on the points are not used for the box


class Track:
    """The state of one person; `update` fills it in."""

    points: np.ndarray  # float64 [K, 2], where it was last seen
    smoothed: np.ndarray  # float64 [K, 2], the same, filtered; NaN where not known
    weights: np.ndarray  # float64 [K]
    box: np.ndarray  # float64 [4]
    at_detection: tuple[np.ndarray, np.ndarray, np.ndarray]  # points, weights and box when the detector last saw it
    confidence: float  # then
    score: float  # of that box
    label: int

    def __init__(self, smoothing: OneEuro | None) -> None:
        self.smoothing = smoothing
        self.track_id = -1  # until it is confirmed
        self.hits = 0  # frames in which it was seen
        self.missed = 0  # frames since it was last seen
        self.time_unseen = 0.0  # seconds since it was last seen
        self.velocity = np.zeros(2)  # pixels per second
        self.hidden_by = -1  # the track id of the person beside whom it disappeared
        self.last_shape_change = 0.0  # `shape_change` when it was last seen
        self._cached_box: tuple[float, np.ndarray] | None = None  # seconds, and the box then
        self._cached_change: tuple[Observations, int, float] | None = None  # an instance and its `shape_change`
        self.since_detection = 0  # frames since the detector found it
        self.patience = 1.0  # frames after a detection before a doubtful pose may request the next one early
        self.was_doubtful = False  # whether a pose was doubtful since the last detection

    def update(self, seen: Observations, row: int, detected: bool) -> None:
        """Update the state with the instance of that row."""
        points, weights, box = seen.points[row], seen.weights[row], seen.boxes[row]
        self.last_shape_change = self.shape_change(seen, row) if self.hits else 0.0
        if self.hits:
            both = self.weights * weights
            moved = box.reshape(2, 2) - self.box.reshape(2, 2)
            moved = (both @ (points - self.points)) / both.sum() if both.any() else moved.mean(axis=0)
            velocity = moved / self.time_unseen
            share = self.time_unseen / (self.time_unseen + VELOCITY_WINDOW) if self.hits > 1 else 1.0
            self.velocity = self.velocity + share * (velocity - self.velocity)
        if detected:
            self.at_detection, self.confidence = (points, weights, box), float(seen.confidence[row])
            self.score, self.label = float(seen.scores[row]), int(seen.labels[row])
        self.smoothed = seen.raw[row]
        if self.smoothing is not None:
            self.smoothed = self.smoothing(self.smoothed, float(sizes(box)), self.time_unseen)
        self.points, self.weights, self.box = points, weights, box
        self.hits, self.missed, self.time_unseen = self.hits + 1, 0, 0.0
        self._cached_box = self._cached_change = None

    @property
    def unreliable(self) -> bool:
        """Whether the points move erratically even after detections, so that the box cannot follow them."""
        return self.patience >= UNRELIABLE_PATIENCE

    def displacement(self, seconds: float) -> np.ndarray:
        """Return the predicted displacement ``[2]`` in pixels, so many seconds after it was last seen."""
        return np.asarray(self.velocity * VELOCITY_DECAY * -math.expm1(-seconds / VELOCITY_DECAY))

    def scale_change(self, points: np.ndarray, weights: np.ndarray) -> float:
        """Return the size of a pose as a multiple of its size when it was last seen."""
        both = weights * self.weights
        then, now = spread(self.points, both), spread(points, both)
        return now / then if then > 1 else 1.0

    def shape_change(self, seen: Observations, row: int) -> float:
        """Return how far, in sizes, the points moved relative to each other since it was last seen.

        Measured on the third that moved least, so that limbs may move freely: from frame to frame well below
        1 % where the network sees the person, and several percent where it guesses.
        """
        if self._cached_change is None or self._cached_change[0] is not seen or self._cached_change[1] != row:
            self._cached_change = seen, row, self._shape_change(seen, row)
        return self._cached_change[2]

    def _shape_change(self, seen: Observations, row: int) -> float:
        both = seen.weights[row] * self.weights
        if not both.any():
            return 0.0
        moved = seen.points[row] - self.points
        apart = np.linalg.norm(moved - (both @ moved) / both.sum(), axis=1)
        order = np.argsort(apart)
        third = int(np.searchsorted(np.cumsum(both[order]), both.sum() / 3))
        return float(apart[order[third]] / max(sizes(seen.boxes[row]), 1.0))

    def predicted_box(self, seconds: float) -> np.ndarray:
        """Return the predicted box ``[4]``, so many seconds after it was last seen.

        The detector's last box, moved like the mean of the points since then; each side is then moved like
        the outermost point on that side. Where the points are unreliable it is the last box, unmoved.
        """
        if self._cached_box is None or self._cached_box[0] != seconds:
            self._cached_box = seconds, self._predict_box(seconds)
        return self._cached_box[1]

    def _predict_box(self, seconds: float) -> np.ndarray:
        points, weights, box = self.at_detection
        both = weights * self.weights
        if self.unreliable:
            return self.box
        if not both.any():
            return np.asarray(self.box + tile_xy(self.displacement(seconds)))
        size = max(float(sizes(box)), 1.0)
        then, now = (both @ points) / both.sum(), (both @ self.points) / both.sum()
        ahead = self.displacement(seconds)
        moved = now - then + ahead * _followed_share(np.hypot(*ahead) / size, STEP_NOISE)
        centre = then + moved * _followed_share(np.hypot(*moved) / size, SHIFT_NOISE)

        sure = both >= 0.5 * both.max()
        before, after = (points - then)[sure], (self.points - now)[sure]
        reach = np.concatenate([after.min(axis=0) - before.min(axis=0), after.max(axis=0) - before.max(axis=0)])
        sides = box + tile_xy(centre - then) + reach * _followed_share(reach / size, SIDE_NOISE)
        return np.concatenate([sides[:2], np.maximum(sides[2:], sides[:2] + 1)])

    def rescale(self, factor: np.ndarray) -> None:
        """Continue in an image whose sides (x, y) are ``factor`` times as long."""
        sides = tile_xy(factor)
        points, weights, box = self.at_detection
        self.at_detection, self._cached_box = (points * factor, weights, box * sides), None
        self.points, self.velocity, self.box = self.points * factor, self.velocity * factor, self.box * sides
        if self.smoothing is not None:
            self.smoothing.rescale(factor)


def _followed_share(change: np.ndarray | float, half: float) -> np.ndarray:
    """Return the share of a change that is followed: near 0 for one far below ``half``, near 1 for one far above."""
    square = np.square(change)
    return np.asarray(square / (square + half**2))
