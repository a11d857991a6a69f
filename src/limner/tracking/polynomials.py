"""The keypoints of one person over time: gaps filled, noise measured, local polynomials fitted.

The value for a frame depends on frames near it only, so that a long video can be processed in pieces.
"""

from __future__ import annotations

import numpy as np

from .filters import NORMAL_MEDIAN
from .matching import sizes

MIN_NOISE = 5e-4  # sizes: less noise counts as this much
WINDOWS = ((1 / 3, 3), (0.6, 5), (1.0, 11))  # shares of the window, and the fewest frames, which may take longer


def fill_gaps(times: np.ndarray, values: np.ndarray, max_gap: float) -> tuple[np.ndarray, np.ndarray]:
    """Return ``values [n, M, D]`` without NaN, and which ``[n, M]`` are valid.

    Valid are the given ones and those between two that are at most ``max_gap`` seconds apart, which are
    interpolated linearly; a longer gap is filled with the nearest value.
    """
    known = np.isfinite(values).all(axis=2)
    frames = np.arange(len(times))[:, None]
    before = np.maximum.accumulate(np.where(known, frames, -1), axis=0)
    after = np.minimum.accumulate(np.where(known, frames, len(times))[::-1], axis=0)[::-1]
    inside = (before >= 0) & (after < len(times))
    before, after = np.where(before < 0, after, before), np.where(after == len(times), before, after)
    before, after = before.clip(0, len(times) - 1), after.clip(0, len(times) - 1)  # of one that is never known
    gap = times[after] - times[before]
    part = np.where(gap > 0, (times[:, None] - times[before]) / np.where(gap > 0, gap, 1), 0)
    short = inside & (gap <= max_gap + 1e-6)
    part = np.where(short, part, part > 0.5 + 1e-6)[..., None]
    low, high = (np.take_along_axis(values, i[..., None], axis=0) for i in (before, after))
    return np.where(part == 0, low, np.where(part == 1, high, low + part * (high - low))), known | short


def noise_variance(times: np.ndarray, points: np.ndarray, boxes: np.ndarray, before: float, after: float) -> np.ndarray:
    """Return the variance ``[n, K]`` of the noise in each coordinate, in square pixels.

    From how velocities change in the seconds ``before`` and ``after`` each frame: uniform motion changes none,
    and few points accelerate at once, so the median of all points measures the noise. A point that has more of
    it moves back where it came from, on average; motion does not.

    Args:
        times: seconds ``[n]``, rising.
        points: ``[n, K, 2]``, NaN where not seen.
        boxes: ``[n, 4]``, by whose size the noise is `MIN_NOISE` at least.
        before, after: seconds.
    """
    least = (MIN_NOISE * np.maximum(np.nan_to_num(sizes(boxes), posinf=0.0), 1)) ** 2
    least = np.broadcast_to(least[:, None], points.shape[:2])
    if len(times) < 3:
        return least
    moved, steps = np.diff(points, axis=0), np.diff(times)
    earlier, later = steps[:-1], steps[1:]
    change = (np.diff(moved / steps[:, None, None], axis=0) ** 2).sum(axis=2)
    change /= (later**-2 + (1 / later + 1 / earlier) ** 2 + earlier**-2)[:, None]
    back = -(moved[1:] * moved[:-1]).sum(axis=2) / 2
    start = np.searchsorted(times[1:-1], times - before - 1e-6)
    stop = np.searchsorted(times[1:-1], times + after + 1e-6, side="right")
    usual = _medians(_row_medians(change), start, stop) / NORMAL_MEDIAN
    return np.maximum(np.maximum(usual[:, None], _means(back, start, stop)), least)


def _row_medians(values: np.ndarray) -> np.ndarray:
    """Return the medians of the finite numbers in each row, NaN where there is none."""
    ordered = np.sort(np.where(np.isfinite(values), values, np.inf), axis=1)
    count = np.isfinite(ordered).sum(axis=1)
    rows = np.arange(len(ordered))
    low, high = ((count - 1) // 2).clip(0), (count // 2).clip(0, values.shape[1] - 1)
    with np.errstate(invalid="ignore"):
        return np.where(count > 0, (ordered[rows, low] + ordered[rows, high]) / 2, np.nan)


def _medians(values: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Return the median of the finite ``values[start:stop]`` for each pair of those, 0 where there is none."""
    length = max(int((stop - start).max()), 1)
    index = start[:, None] + np.arange(length)
    chosen = np.where(index < stop[:, None], values[index.clip(0, len(values) - 1)], np.nan)
    return np.nan_to_num(_row_medians(chosen))


def _means(values: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Return the means ``[n, K]`` of the finite ``values[start:stop]`` for each pair of those, 0 where none is."""
    known = np.isfinite(values)
    sums, counts = (
        np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(v, axis=0)])
        for v in (np.where(known, values, 0.0), known)
    )
    return np.asarray((sums[stop] - sums[start]) / np.maximum(counts[stop] - counts[start], 1))


def smooth_keypoints(
    times: np.ndarray, points: np.ndarray, noise_variance: np.ndarray, wanted: slice, window: float, order: int
) -> np.ndarray:
    """Return the smoothed points ``[n, K, 2]`` of ``wanted`` frames, over the longest span that flattens no motion.

    Args:
        times: seconds, rising, of these frames and those near them, or of a whole part.
        points: ``[all, K, 2]``.
        noise: variance of their coordinates, ``[all, K]``.
        wanted: n of the frames.
        window: the longest span, seconds.
        order: of the polynomials.
    """
    low, high = frames_needed(times, wanted.start, window)[0], frames_needed(times, wanted.stop - 1, window)[1] + 1
    times, points, noise_variance = times[low:high], points[low:high], noise_variance[low:high]
    spans = [_span(times, window * share, fewest) for share, fewest in WINDOWS]
    best, left = _fit(times, points, *spans[0], order)
    for span in spans[1:]:
        longer, rest = _fit(times, points, *span, order)
        # where the point shows noise only, the two differ by no more than what the longer fit takes off the noise
        differ = np.nan_to_num(((longer - best) ** 2).sum(axis=2))
        total = np.concatenate([np.zeros((1, differ.shape[1])), np.cumsum(differ, axis=0)])
        start, stop = spans[0]
        mean = (total[stop] - total[start]) / (stop - start)[:, None]
        ratio = mean / (2 * noise_variance * np.maximum(left - rest, 1e-3)[:, None])
        best = best + (longer - best) / (1 + (ratio / 3)[..., None] ** 2)
        left = rest
    return best[wanted.start - low : wanted.stop - low]


def frames_needed(times: np.ndarray, frame: int, window: float) -> tuple[int, int]:
    """Return the first and the last frame on which the smoothed points of a frame depend; n where that is to come."""
    steps = ((window / 6, 2), (window / 6, 2), (window / 2, 6))  # the shortest span twice, then the longest
    low = high = frame
    for seconds, frames in steps:
        low = max(min(_first(times, times[low] - seconds) - 1, low - frames), 0)
        high = max(_first(times, times[min(high, len(times) - 1)] + seconds), high + frames)
    # at the ends of a part the longest span lies on one side
    low = max(min(low, _first(times, times[frame] - window) - 1, frame - 10), 0)
    high = max(high, _first(times, times[frame] + window), frame + 10)
    return low, min(high, len(times))


def _first(times: np.ndarray, time: float) -> int:
    """Return the first frame at that time or later."""
    return int(np.searchsorted(times, time - 1e-3))


def _span(times: np.ndarray, seconds: float, fewest: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the frames ``[start, stop)`` within so many seconds around each; the span is moved inside at the ends."""
    n, half = len(times), seconds / 2
    low = times.clip(times[0] + half, max(times[-1] - half, times[0] + half)) - half
    first = (np.arange(n) - fewest // 2).clip(0, max(n - fewest, 0))
    start = np.minimum(np.searchsorted(times, low - 1e-6), first)
    stop = np.maximum(np.searchsorted(times, low + 2 * half + 1e-6, side="right"), (first + fewest).clip(0, n))
    return start, stop


def _fit(
    times: np.ndarray, points: np.ndarray, start: np.ndarray, stop: np.ndarray, order: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return each point's value on the polynomial fitted to the frames ``start:stop``, and the noise left in it.

    Args:
        times: seconds ``[n]``, rising.
        points: ``[n, K, 2]``.
        start, stop: ``[n]``; where they are too few, the point stays.
        order: of the polynomial.

    Returns:
        ``[n, K, 2]`` and the share of the noise's variance that is left, ``[n]``.
    """
    n, count = len(times), stop - start
    index = start[:, None] + np.arange(int(count.max()))
    inside = index < stop[:, None]
    index = index.clip(0, n - 1)
    away = np.where(inside, times[index] - times[:, None], 0.0)
    radius = np.abs(away).max(axis=1, keepdims=True)
    powers = (away / np.where(radius > 0, radius, 1))[..., None] ** np.arange(order + 1) * inside[..., None]
    enough = count > order + 1
    weights = (index == np.arange(n)[:, None]) & inside & ~enough[:, None]
    weights = weights.astype(np.float64)
    if enough.any():
        some = powers[enough]
        first = np.zeros((len(some), order + 1, 1))
        first[:, 0] = 1
        weights[enough] = (some @ np.linalg.solve(some.transpose(0, 2, 1) @ some, first))[..., 0]
    fitted = np.zeros_like(points)
    for j in range(index.shape[1]):
        # NaN in a frame outside the window must not come through a weight of 0
        fitted += np.where(inside[:, j, None, None], weights[:, j, None, None] * points[index[:, j]], 0.0)
    return fitted, (weights**2).sum(axis=1)
