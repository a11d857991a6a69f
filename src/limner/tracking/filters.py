"""Steady points as they come, without a look ahead: `OneEuro`."""

from __future__ import annotations

import math

import numpy as np

from ..errors import ArgumentError

STILL = 0.02  # sizes per second: slower than any motion that matters
NOISE_CUTOFF = 0.15  # Hz, of the noise's own average
LEAP, SPURT = 0.08, 20.0  # sizes, and sizes per square second: a point that is further off than both is doubted
NORMAL_MEDIAN = 2 * math.log(2)  # of the squared length of a 2D error whose coordinates have variance 1


class OneEuro:
    """Filters the points of one instance as they come: calm where they rest, quick where they move.

    The One-Euro filter (Casiez et al. 2012, https://gery.casiez.net/1euro) with speeds counted in sizes of
    the instance, and two additions. The noise is measured, and speed counts only as far as it stands out
    from it: so the filter stays calm whatever the noise. And the points are carried along with their own
    speed: so a steady motion does not lag behind.

    Args:
        min_cutoff: Hz, the cut-off frequency at rest: less is calmer.
        beta: Hz per (size / second), how the cut-off rises with speed: more is quicker.
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
        self._count, self._wait, self._step = np.zeros((3, k, 1))
        self._raw, self._rate, self._speed, self._steady = np.zeros((4, k, 2))
        self._own = np.zeros((k, 1))  # variance of one coordinate of each point, where that is more than usual
        self._trust = np.zeros((k, 1))  # how far the speed is believed
        self._doubted = np.zeros((k, 1), bool)  # whether the last sample leapt away

    def __call__(self, points: np.ndarray, size: float, dt: float) -> np.ndarray:
        """Return the filtered points, float64 ``[K, 2]``.

        Args:
            points: ``[K, 2]`` in pixels; where one is not finite, so is the answer.
            size: of the instance in pixels, such as the square root of its box's area.
            dt: seconds since the last call.
        """
        points = np.asarray(points, np.float64)
        if len(points) != len(self._count):
            self._start(len(points))
        seen = np.isfinite(points).all(axis=1, keepdims=True)
        old = seen & (self._count > 0)
        self._wait = self._wait + dt
        step = np.maximum(self._wait, 1e-3)
        expected = self._steady + self._trust * self._speed * step
        leap = np.linalg.norm(np.where(seen, points, expected) - expected, axis=1, keepdims=True) / size
        # one leap is more often an error than a motion; of two on end the second is believed
        self._doubted = (self._count > 2) & ~self._doubted & (leap > LEAP + SPURT * step**2)
        shown, seen, old = seen, seen & ~self._doubted, old & ~self._doubted
        now = np.where(seen, points, self._raw)
        rate = (now - self._raw) / step
        self._measure(rate, step, seen & (self._count > 1), dt)

        # the first samples count alike, so that it settles as fast as a mean does
        share = np.maximum(_share(self.d_cutoff, step), 1 / np.maximum(self._count, 1))
        velocity = self._speed + share * (rate - self._speed)
        speed = np.linalg.norm(velocity, axis=1, keepdims=True) / size
        variance = np.maximum(self._noise, self._own)
        noise = share * np.sqrt(4 / (2 - share) * variance) / step / size  # of that speed, at rest
        trust = speed**4 / (speed**4 + (3 * noise) ** 4 + STILL**4)
        ahead = self._steady + trust * velocity * step
        gain = np.maximum(_share(self.min_cutoff + self.beta * speed * trust, step), 2 / (self._count + 2))

        self._steady = np.where(old, ahead + gain * (now - ahead), np.where(seen, now, self._steady))
        self._speed, self._rate = np.where(old, velocity, self._speed), np.where(old, rate, self._rate)
        self._step, self._wait = np.where(seen, step, self._step), np.where(seen, 0.0, self._wait)
        self._trust = np.where(old, trust, self._trust)
        self._raw, self._count = now, self._count + seen
        return np.where(seen, self._steady, np.where(shown, expected, np.nan))

    def _measure(self, rate: np.ndarray, step: np.ndarray, ready: np.ndarray, dt: float) -> None:
        """Learn the noise from changes of speed: steady motion has none, and few points jerk at once.

        A point with more noise than the others goes back where it came from, on average; motion goes on.
        """
        if not ready.any():
            return
        back = -(rate * step * self._rate * self._step).sum(axis=1, keepdims=True) / 2
        share = np.maximum(_share(NOISE_CUTOFF, step), 1 / np.maximum(self._count - 1, 1))
        self._own = np.where(ready, self._own + share * (back - self._own), self._own)
        change = ((rate - self._rate)[ready[:, 0]] ** 2).sum(axis=1)
        now, before = step[ready], self._step[ready]
        sample = float(np.median(change / (now**-2 + (1 / now + 1 / before) ** 2 + before**-2))) / NORMAL_MEDIAN
        self._noise_count += 1
        self._noise += max(float(_share(NOISE_CUTOFF, dt)), 1 / self._noise_count) * (sample - self._noise)

    def rescale(self, factor: np.ndarray) -> None:
        """Go on in an image whose sides (x, y) are ``factor [2]`` times as long."""
        self._raw, self._rate = self._raw * factor, self._rate * factor
        self._speed, self._steady = self._speed * factor, self._steady * factor
        area = float(np.prod(factor))
        self._noise, self._own = self._noise * area, self._own * area


def _share(cutoff: np.ndarray | float, step: np.ndarray | float) -> np.ndarray:
    """Return the weight that a low-pass of a cut-off (Hz) gives a sample ``step`` seconds after the last."""
    return np.asarray(step / (step + 1 / (2 * np.pi * cutoff)))
