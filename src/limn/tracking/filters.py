"""Steady points: `OneEuro` as they come, `smooth` where the whole video is there."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import cv2
import numpy as np

from ..errors import ArgumentError
from ..types import Boxes, Poses, Result
from .matching import SAME, SIGMA, Seen, likeness, pairs, sizes

STILL = 0.02  # sizes per second: slower than any motion that matters
NOISE_CUTOFF = 0.15  # Hz, of the noise's own average
FAINTEST = 5e-4  # sizes: noise below it is taken for this
NORMAL_MEDIAN = 2 * math.log(2)  # of the squared length of a 2D error whose coordinates have variance 1
SPANS = (1 / 3, 0.6, 1.0)  # of the window of `smooth`


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

    def __init__(self, min_cutoff: float = 0.5, beta: float = 20.0, d_cutoff: float = 0.7) -> None:
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
        now = np.where(seen, points, self._raw)
        rate = (now - self._raw) / step
        self._measure(rate, step, seen & (self._count > 1), dt)

        # the first samples count alike, so that it settles as fast as a mean does
        share = np.maximum(_share(self.d_cutoff, step), 1 / np.maximum(self._count, 1))
        velocity = self._speed + share * (rate - self._speed)
        speed = np.linalg.norm(velocity, axis=1, keepdims=True) / size
        noise = share * np.sqrt(4 / (2 - share) * self._noise) / step / size  # of that speed, at rest
        trust = speed**4 / (speed**4 + (3 * noise) ** 4 + STILL**4)
        ahead = self._steady + trust * velocity * step
        gain = np.maximum(_share(self.min_cutoff + self.beta * speed * trust, step), 1 / (self._count + 1))

        self._steady = np.where(old, ahead + gain * (now - ahead), np.where(seen, now, self._steady))
        self._speed, self._rate = np.where(old, velocity, self._speed), np.where(old, rate, self._rate)
        self._step, self._wait = np.where(seen, step, self._step), np.where(seen, 0.0, self._wait)
        self._raw, self._count = now, self._count + seen
        return np.where(seen, self._steady, np.nan)

    def _measure(self, rate: np.ndarray, step: np.ndarray, ready: np.ndarray, dt: float) -> None:
        """Learn the noise from changes of speed: steady motion has none, and few points jerk at once."""
        if not ready.any():
            return
        change = ((rate - self._rate)[ready[:, 0]] ** 2).sum(axis=1)
        now, before = step[ready], self._step[ready]
        sample = float(np.median(change / (now**-2 + (1 / now + 1 / before) ** 2 + before**-2))) / NORMAL_MEDIAN
        self._noise_count += 1
        self._noise += max(float(_share(NOISE_CUTOFF, dt)), 1 / self._noise_count) * (sample - self._noise)

    def rescale(self, factor: np.ndarray) -> None:
        """Go on in a picture whose sides (x, y) are ``factor [2]`` times as long."""
        self._raw, self._rate = self._raw * factor, self._rate * factor
        self._speed, self._steady = self._speed * factor, self._steady * factor
        self._noise *= float(np.prod(factor))


def _share(cutoff: np.ndarray | float, step: np.ndarray | float) -> np.ndarray:
    """Return the weight that a low-pass of a cut-off (Hz) gives a sample ``step`` seconds after the last."""
    return np.asarray(step / (step + 1 / (2 * np.pi * cutoff)))


def smooth(
    results: Iterable[Result],
    fps: float = 30.0,
    *,
    window: float = 0.7,
    order: int = 2,
    max_gap: float = 0.5,
) -> list[Result]:
    """Return the results of a whole video with steady points and without short gaps.

    Points are smoothed by local polynomials (Savitzky and Golay 1964), also where frames come at unequal
    times: over ``window`` seconds where that changes no more than the noise, over less where it would
    flatten a motion (in the spirit of Lepski 1991). A person who is missed for a short while is put in
    between, with box and scores between those before and after.

    Args:
        results: in order, from a `Tracker` that leaves the points alone (``smoothing=None``). Instances
            whose number is below 0 stay as they are, but for the first frames of somebody: these get the number.
        fps: frames per second to go by where timestamps do not advance.
        window: seconds.
        order: of the polynomials.
        max_gap: seconds from a sight to the next that may be filled.

    Raises:
        ArgumentError: a result has no ``track_ids`` or other keypoints than the first, or a number is senseless.
    """
    frames = list(results)
    if not (0 < fps < math.inf and window > 0 and order >= 0 and max_gap >= 0):
        raise ArgumentError(
            "smooth needs fps and window above 0, and an order and a max_gap of 0 or more, "
            f"not fps={fps}, window={window}, order={order}, max_gap={max_gap}"
        )
    for result in frames:
        if result.track_ids is None:
            raise ArgumentError(f"frame {result.index} has no track_ids; give the results to a Tracker first")
        if result.keypoints.shape[1] != frames[0].keypoints.shape[1]:
            raise ArgumentError(
                f"frame {result.index} has {result.keypoints.shape[1]} keypoints where the first has "
                f"{frames[0].keypoints.shape[1]}; smooth the results of one model at a time"
            )
    with np.errstate(invalid="ignore"):
        steps = np.diff([r.timestamp for r in frames])
    steps = np.where((steps > 1e-3) & np.isfinite(steps), steps, 1 / fps)
    times = np.concatenate([[0.0], np.cumsum(steps)])
    ids = _numbers(frames)
    out = [replace(r, track_ids=i) for r, i in zip(frames, ids, strict=True)]
    rows: dict[int, dict[int, int]] = {}  # number -> frame -> row
    for f, numbers in enumerate(ids):
        for row, number in enumerate(numbers.tolist()):
            if number >= 0:
                rows.setdefault(number, {}).setdefault(f, row)
    for number, where in rows.items():
        at = np.array(list(where))
        apart = (np.diff(at) > 1) & (np.diff(times[at]) > max_gap)
        apart |= np.diff([frames[f].size for f in at.tolist()], axis=0).any(axis=1)
        for part in np.split(at, np.flatnonzero(apart) + 1):
            seen = [(frames[f], where[f]) for f in part.tolist()]
            first, last = int(part[0]), int(part[-1])
            boxes, poses = _smooth_part(seen, part - first, times[first : last + 1], window, order, max_gap)
            for i, f in enumerate(range(first, last + 1)):
                out[f] = _put(out[f], where.get(f), number, boxes[i : i + 1], poses[i : i + 1])
    return out


def _numbers(frames: list[Result]) -> list[np.ndarray]:
    """Return the track_ids, with those of people in the frames just before they got their number."""
    ids = [np.array(r.track_ids) for r in frames]
    first: dict[int, int] = {}  # number -> frame
    for f, numbers in enumerate(ids):
        for number in numbers.tolist():
            first.setdefault(number, f)
    for f in range(len(frames) - 2, -1, -1):
        free = np.flatnonzero(ids[f] < 0)
        new = [row for row, number in enumerate(ids[f + 1].tolist()) if number >= 0 and first[number] == f + 1]
        if not len(free) or not new:
            continue
        now, before = Seen.of(frames[f + 1]), Seen.of(frames[f])
        sigmas = np.full(now.points.shape[1], SIGMA)
        gain = likeness(now.points[new], now.weights[new], now.boxes[new], before, sigmas)[:, free]
        for i, j in pairs(np.where(gain > SAME, gain, 0)):
            number = int(ids[f + 1][new[i]])
            ids[f][free[j]] = number
            first[number] = f
    return ids


def _smooth_part(
    seen: list[tuple[Result, int]], at: np.ndarray, times: np.ndarray, window: float, order: int, max_gap: float
) -> tuple[Boxes, Poses]:
    """Return the n boxes and poses of one person in n frames on end.

    Args:
        seen: results and rows in which it was seen.
        at: their places among the n frames.
        times: of the n frames, seconds.
        window, order, max_gap: see `smooth`.
    """

    def lay(values: list[np.ndarray]) -> np.ndarray:
        laid = np.full((len(times), *np.shape(values[0])), np.nan)
        laid[at] = values
        return laid

    boxes, _ = _fill(times, lay([r.boxes.xyxy[i] for r, i in seen])[:, None], max_gap)
    box_scores, _ = _fill(times, lay([r.boxes.scores[i] for r, i in seen])[:, None, None], max_gap)
    scores, _ = _fill(times, lay([r.scores[i] for r, i in seen])[:, :, None], max_gap)
    points, known = _fill(times, lay([r.keypoints[i] for r, i in seen]), max_gap)
    size = float(np.median(np.nan_to_num(sizes(boxes))))
    points = _steady(times, points, max(size, 1.0), window, order)
    points[~known] = np.nan
    result, row = seen[0]
    labels = np.full(len(times), result.boxes.labels[row], np.int64)
    return (
        Boxes(boxes[:, 0].astype(np.float32), box_scores[:, 0, 0].astype(np.float32), labels),
        Poses(points.astype(np.float32), scores[:, :, 0].astype(np.float32)),
    )


def _fill(times: np.ndarray, values: np.ndarray, max_gap: float) -> tuple[np.ndarray, np.ndarray]:
    """Return ``values [n, M, D]`` with straight lines where they are NaN, and which ``[n, M]`` are to be believed.

    Those are the given ones and those between two that are at most ``max_gap`` seconds apart.
    """
    known = np.isfinite(values).all(axis=2)
    places = np.arange(len(times))[:, None]
    before = np.maximum.accumulate(np.where(known, places, -1), axis=0)
    after = np.minimum.accumulate(np.where(known, places, len(times))[::-1], axis=0)[::-1]
    short = (before >= 0) & (after < len(times))
    before, after = np.where(before < 0, after, before), np.where(after == len(times), before, after)
    before, after = before.clip(0, len(times) - 1), after.clip(0, len(times) - 1)  # of a point that is never known
    gap = times[after] - times[before]
    part = np.where(gap > 0, (times[:, None] - times[before]) / np.where(gap > 0, gap, 1), 0)[..., None]
    low, high = (np.take_along_axis(values, i[..., None], axis=0) for i in (before, after))
    return low + part * (high - low), known | (short & (gap <= max_gap))


def _steady(times: np.ndarray, points: np.ndarray, size: float, window: float, order: int) -> np.ndarray:
    """Return smoothed points ``[n, K, 2]``, each over the longest span that does not flatten its motion."""
    n = len(times)
    if n < 3:
        return points
    rate = np.diff(points, axis=0) / np.diff(times)[:, None, None]
    now, before = np.diff(times)[1:, None], np.diff(times)[:-1, None]
    change = (np.diff(rate, axis=0) ** 2).sum(axis=2) / (now**-2 + (1 / now + 1 / before) ** 2 + before**-2)
    change = change[np.isfinite(change)]
    noise = max(float(np.median(change)) / NORMAL_MEDIAN if len(change) else 0, (FAINTEST * size) ** 2)

    period = float(np.median(np.diff(times)))
    lengths = sorted({2 * round(min(window * span / period, n) / 2) + 1 for span in SPANS})
    best, left = _local_fit(times, points, lengths[0], order)
    for length in lengths[1:]:
        longer, rest = _local_fit(times, points, length, order)
        # where the point only trembles, the two differ by no more than what the longer fit takes off the noise
        differ = np.nan_to_num(((longer - best) ** 2).sum(axis=2))
        differ = cv2.blur(differ, (1, length), borderType=cv2.BORDER_REPLICATE)
        ratio = differ / (2 * noise * np.maximum(left - rest, 1e-3))[:, None]
        best = best + (longer - best) / (1 + (ratio / 3)[..., None] ** 2)
        left = rest
    return best


def _local_fit(times: np.ndarray, points: np.ndarray, length: int, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each point's value on the polynomial through ``length`` frames round it, and what it leaves of noise.

    Args:
        times: seconds ``[n]``, rising.
        points: ``[n, K, 2]``.
        length: frames; near the ends the window stays inside.
        order: of the polynomial.

    Returns:
        ``[n, K, 2]`` and the share of the noise's variance that is left, ``[n]``.
    """
    length = min(length, len(times))
    if length <= order + 1:
        return points, np.ones(len(times))
    start = (np.arange(len(times)) - length // 2).clip(0, len(times) - length)
    index = start[:, None] + np.arange(length)
    away = times[index] - times[:, None]
    powers = (away / np.abs(away).max(axis=1, keepdims=True))[..., None] ** np.arange(order + 1)
    first = np.zeros((len(times), order + 1, 1))
    first[:, 0] = 1
    weights = (powers @ np.linalg.solve(powers.transpose(0, 2, 1) @ powers, first))[..., 0]
    fitted = np.zeros_like(points)
    for j in range(length):
        fitted += weights[:, j, None, None] * points[index[:, j]]
    return fitted, (weights**2).sum(axis=1)


def _put(result: Result, row: int | None, number: int, box: Boxes, pose: Poses) -> Result:
    """Return a result with the points of a row replaced, or where that is None with one instance more."""
    boxes, poses, ids = result.boxes, result.poses, result.track_ids
    if row is not None or ids is None:
        points = poses.keypoints.copy()
        points[row] = pose.keypoints[0]
        return replace(result, poses=replace(poses, keypoints=points))
    maps = poses.heatmaps
    return replace(
        result,
        boxes=Boxes(
            np.concatenate([boxes.xyxy, box.xyxy]),
            np.concatenate([boxes.scores, box.scores]),
            np.concatenate([boxes.labels, box.labels]),
        ),
        poses=Poses(
            np.concatenate([poses.keypoints, pose.keypoints]),
            np.concatenate([poses.scores, pose.scores]),
            None if maps is None else np.concatenate([maps, np.zeros((1, *maps.shape[1:]), maps.dtype)]),
        ),
        track_ids=np.append(ids, number),
    )
