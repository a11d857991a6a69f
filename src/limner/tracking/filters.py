"""Smoothing of keypoints frame by frame, without later frames: `OneEuro`."""

from __future__ import annotations

import math

import numpy as np

from ..errors import ArgumentError

MIN_SPEED = 0.02  # sizes per second: slower than any motion that matters
NOISE_CUTOFF = 0.15  # Hz, of the noise's own average
# sizes, and sizes per square second: a point further than both from its prediction is taken for an outlier
MAX_JUMP, MAX_ACCELERATION = 0.08, 20.0
NORMAL_MEDIAN = 2 * math.log(2)  # of the squared length of a 2D error whose coordinates have variance 1


class OneEuro:
    """Filters the keypoints of one instance frame by frame: strongly at rest, weakly in motion.

    The One-Euro filter (Casiez et al. 2012, https://gery.casiez.net/1euro) with speeds counted in sizes of
    the instance, and two additions. The noise is measured, and speed counts only as far as it exceeds the
    noise: so noise alone never opens the filter. And the points are extrapolated with their own velocity:
    so a motion of constant velocity does not lag behind.

    Args:
        min_cutoff: Hz, the cut-off frequency at rest: less smooths more.
        beta: Hz per (size / second), how the cut-off rises with speed: more lags less.
        d_cutoff: Hz, the cut-off frequency of the speed.

    Raises:
        ArgumentError: a cut-off frequency is not above 0, or beta is negative.
    """

    def __init__(self, min_cutoff: float = 0.4, beta: float = 10.0, d_cutoff: float = 0.7) -> None:
        if not (min_cutoff > 0 and beta >= 0 and d_cutoff > 0):
            raise ArgumentError(
                "OneEuro needs cut-off frequencies above 0 and a beta of 0 or more, "
                f"not min_cutoff={min_cutoff}, beta={beta}, d_cutoff={d_cutoff}"
            )
        self.min_cutoff, self.beta, self.d_cutoff = min_cutoff, beta, d_cutoff
        self._noise, self._noise_count = 0.0, 0  # variance of one coordinate in square pixels
        self._start(0)

    def _start(self, k: int) -> None:
        # samples so far; seconds since the point was last seen, and from there to the time before
        self._count, self._elapsed, self._step = np.zeros((3, k, 1))
        self._last, self._last_velocity, self._velocity, self._filtered = np.zeros((4, k, 2))
        self._point_noise = np.zeros((k, 1))  # variance of one coordinate of each point, where that is more than usual
        self._velocity_trust = np.zeros((k, 1))  # weight of the velocity in the prediction, 0..1
        self._outlier = np.zeros((k, 1), bool)  # whether the last sample was taken for an outlier

    def __call__(self, points: np.ndarray, size: float, dt: float) -> np.ndarray:
        """Return the filtered points, float64 ``[K, 2]``.

        Args:
            points: ``[K, 2]`` in pixels; where one is not finite, the returned one is not either.
            size: of the instance in pixels, such as the square root of its box's area.
            dt: seconds since the last call.
        """
        points = np.asarray(points, np.float64)
        if len(points) != len(self._count):
            self._start(len(points))
        seen = np.isfinite(points).all(axis=1, keepdims=True)
        old = seen & (self._count > 0)
        self._elapsed = self._elapsed + dt
        step = np.maximum(self._elapsed, 1e-3)
        expected = self._filtered + self._velocity_trust * self._velocity * step
        jump = np.linalg.norm(np.where(seen, points, expected) - expected, axis=1, keepdims=True) / size
        # one jump is more often an error than a motion; of two in a row the second is accepted
        self._outlier = (self._count > 2) & ~self._outlier & (jump > MAX_JUMP + MAX_ACCELERATION * step**2)
        shown, seen, old = seen, seen & ~self._outlier, old & ~self._outlier
        now = np.where(seen, points, self._last)
        rate = (now - self._last) / step
        self._measure(rate, step, seen & (self._count > 1), dt)

        # the first samples count equally, so that it settles as fast as a mean does
        alpha = np.maximum(_alpha(self.d_cutoff, step), 1 / np.maximum(self._count, 1))
        velocity = self._velocity + alpha * (rate - self._velocity)
        speed = np.linalg.norm(velocity, axis=1, keepdims=True) / size
        variance = np.maximum(self._noise, self._point_noise)
        noise = alpha * np.sqrt(4 / (2 - alpha) * variance) / step / size  # of that speed, at rest
        trust = speed**4 / (speed**4 + (3 * noise) ** 4 + MIN_SPEED**4)
        ahead = self._filtered + trust * velocity * step
        gain = np.maximum(_alpha(self.min_cutoff + self.beta * speed * trust, step), 2 / (self._count + 2))

        self._filtered = np.where(old, ahead + gain * (now - ahead), np.where(seen, now, self._filtered))
        self._velocity, self._last_velocity = (
            np.where(old, velocity, self._velocity),
            np.where(old, rate, self._last_velocity),
        )
        self._step, self._elapsed = np.where(seen, step, self._step), np.where(seen, 0.0, self._elapsed)
        self._velocity_trust = np.where(old, trust, self._velocity_trust)
        self._last, self._count = now, self._count + seen
        return np.where(seen, self._filtered, np.where(shown, expected, np.nan))

    def _measure(self, rate: np.ndarray, step: np.ndarray, ready: np.ndarray, dt: float) -> None:
        """Estimate the noise from changes of velocity: uniform motion has none, and few points accelerate at once.

        Noise moves a point back where it came from, on average; motion does not. By this a point's own noise,
        where it has more than the others, is measured.
        """
        if not ready.any():
            return
        back = -(rate * step * self._last_velocity * self._step).sum(axis=1, keepdims=True) / 2
        alpha = np.maximum(_alpha(NOISE_CUTOFF, step), 1 / np.maximum(self._count - 1, 1))
        self._point_noise = np.where(ready, self._point_noise + alpha * (back - self._point_noise), self._point_noise)
        change = ((rate - self._last_velocity)[ready[:, 0]] ** 2).sum(axis=1)
        now, before = step[ready], self._step[ready]
        sample = float(np.median(change / (now**-2 + (1 / now + 1 / before) ** 2 + before**-2))) / NORMAL_MEDIAN
        self._noise_count += 1
        self._noise += max(float(_alpha(NOISE_CUTOFF, dt)), 1 / self._noise_count) * (sample - self._noise)

    def rescale(self, factor: np.ndarray) -> None:
        """Continue in an image whose sides (x, y) are ``factor [2]`` times as long."""
        self._last, self._last_velocity = self._last * factor, self._last_velocity * factor
        self._velocity, self._filtered = self._velocity * factor, self._filtered * factor
        area = float(np.prod(factor))
        self._noise, self._point_noise = self._noise * area, self._point_noise * area


def _alpha(cutoff: np.ndarray | float, step: np.ndarray | float) -> np.ndarray:
    """Return the weight that a low-pass of a cut-off (Hz) gives a sample ``step`` seconds after the last."""
    return np.asarray(step / (step + 1 / (2 * np.pi * cutoff)))
