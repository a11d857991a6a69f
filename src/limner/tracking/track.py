"""One person: what is remembered of it, and where it will be."""

from __future__ import annotations

import math

import numpy as np

from .filters import OneEuro
from .matching import Observations, sizes, spread, twice

# a box that follows the noise of its points upsets the network; of a change as great as this, half is followed:
CALM = 0.003  # sizes, moved since the detector last saw it: the mean of all points trembles by about as much
STRETCH = 0.02  # sizes, a side moved against the others since then: the outermost point trembles more
BRISK = 0.01  # sizes, moved from one frame to the next
COAST = 1.0  # seconds in which one who is not seen comes to rest
PACE = 0.1  # seconds over which a velocity is averaged
WILD = 4.0  # frames of patience from which on the points mean nothing


class Track:
    """What is remembered of one person; `see` fills it in."""

    points: np.ndarray  # float64 [K, 2], where it was last seen
    steady: np.ndarray  # float64 [K, 2], the same, filtered; NaN where not known
    weights: np.ndarray  # float64 [K]
    box: np.ndarray  # float64 [4]
    anchor: tuple[np.ndarray, np.ndarray, np.ndarray]  # points, weights and box when the detector last saw it
    confidence: float  # then
    score: float  # of that box
    label: int

    def __init__(self, smoothing: OneEuro | None) -> None:
        self.smoothing = smoothing
        self.number = -1  # until it is confirmed
        self.hits = 0  # frames in which it was seen
        self.missed = 0  # frames since then
        self.idle = 0.0  # seconds since then
        self.velocity = np.zeros(2)  # pixels per second
        self.behind = -1  # the number of the one beside whom it vanished
        self.change = 0.0  # of its shape when it was last seen, see `reshaped`
        self._after: tuple[float, np.ndarray] | None = None  # seconds, and the box then
        self._reshaped: tuple[Observations, int, float] | None = None  # what `reshaped` made of an instance
        self.since = 0  # frames since the detector saw it
        self.patience = 1.0  # frames after which a doubtful pose may call the detector early
        self.doubted = False  # whether a pose was doubtful since the detector saw it

    def see(self, seen: Observations, row: int, detected: bool) -> None:
        """Take in that it is the instance of that row."""
        points, weights, box = seen.points[row], seen.weights[row], seen.boxes[row]
        self.change = self.reshaped(seen, row) if self.hits else 0.0
        if self.hits:
            both = self.weights * weights
            moved = box.reshape(2, 2) - self.box.reshape(2, 2)
            moved = (both @ (points - self.points)) / both.sum() if both.any() else moved.mean(axis=0)
            velocity = moved / self.idle
            share = self.idle / (self.idle + PACE) if self.hits > 1 else 1.0
            self.velocity = self.velocity + share * (velocity - self.velocity)
        if detected:
            self.anchor, self.confidence = (points, weights, box), float(seen.confidence[row])
            self.score, self.label = float(seen.scores[row]), int(seen.labels[row])
        self.steady = seen.raw[row]
        if self.smoothing is not None:
            self.steady = self.smoothing(self.steady, float(sizes(box)), self.idle)
        self.points, self.weights, self.box = points, weights, box
        self.hits, self.missed, self.idle = self.hits + 1, 0, 0.0
        self._after = self._reshaped = None

    @property
    def erratic(self) -> bool:
        """Whether the points jump about whatever the detector says, so that they tell nothing about the box."""
        return self.patience >= WILD

    def shift(self, seconds: float) -> np.ndarray:
        """Return how far, ``[2]`` in pixels, it will be from where it was last seen."""
        return np.asarray(self.velocity * COAST * -math.expm1(-seconds / COAST))

    def grown(self, points: np.ndarray, weights: np.ndarray) -> float:
        """Return how many times as large a pose is as when it was last seen."""
        both = weights * self.weights
        then, now = spread(self.points, both), spread(points, both)
        return now / then if then > 1 else 1.0

    def reshaped(self, seen: Observations, row: int) -> float:
        """Return how far, in sizes, the points moved against each other since it was last seen.

        That of the third that moved least, so that arms and legs may swing: from frame to frame well below
        1 % where the network sees its person, and several percent where it guesses.
        """
        if self._reshaped is None or self._reshaped[0] is not seen or self._reshaped[1] != row:
            self._reshaped = seen, row, self._reshaping(seen, row)
        return self._reshaped[2]

    def _reshaping(self, seen: Observations, row: int) -> float:
        both = seen.weights[row] * self.weights
        if not both.any():
            return 0.0
        moved = seen.points[row] - self.points
        apart = np.linalg.norm(moved - (both @ moved) / both.sum(), axis=1)
        order = np.argsort(apart)
        third = int(np.searchsorted(np.cumsum(both[order]), both.sum() / 3))
        return float(apart[order[third]] / max(sizes(seen.boxes[row]), 1.0))

    def box_after(self, seconds: float) -> np.ndarray:
        """Return its box ``[4]`` so many seconds after it was last seen.

        The detector's last box: moved as all points together did since, each side then moved as the
        outermost point on that side did. It stays where it is where the points mean nothing.
        """
        if self._after is None or self._after[0] != seconds:
            self._after = seconds, self._box_after(seconds)
        return self._after[1]

    def _box_after(self, seconds: float) -> np.ndarray:
        points, weights, box = self.anchor
        both = weights * self.weights
        if self.erratic:
            return self.box
        if not both.any():
            return np.asarray(self.box + twice(self.shift(seconds)))
        size = max(float(sizes(box)), 1.0)
        then, now = (both @ points) / both.sum(), (both @ self.points) / both.sum()
        ahead = self.shift(seconds)
        moved = now - then + ahead * _followed(np.hypot(*ahead) / size, BRISK)
        centre = then + moved * _followed(np.hypot(*moved) / size, CALM)

        sure = both >= 0.5 * both.max()
        before, after = (points - then)[sure], (self.points - now)[sure]
        reach = np.concatenate([after.min(axis=0) - before.min(axis=0), after.max(axis=0) - before.max(axis=0)])
        sides = box + twice(centre - then) + reach * _followed(reach / size, STRETCH)
        return np.concatenate([sides[:2], np.maximum(sides[2:], sides[:2] + 1)])

    def rescale(self, factor: np.ndarray) -> None:
        """Go on in an image whose sides (x, y) are ``factor`` times as long."""
        sides = twice(factor)
        points, weights, box = self.anchor
        self.anchor, self._after = (points * factor, weights, box * sides), None
        self.points, self.velocity, self.box = self.points * factor, self.velocity * factor, self.box * sides
        if self.smoothing is not None:
            self.smoothing.rescale(factor)


def _followed(change: np.ndarray | float, half: float) -> np.ndarray:
    """Return the share of a change that is followed, from 0 for the least to 1 for a great one."""
    square = np.square(change)
    return np.asarray(square / (square + half**2))
