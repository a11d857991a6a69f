"""Steady points where the next second is known too: `smooth` for a whole video, `LagSmoother` as results come."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from ..errors import ArgumentError
from ..types import Boxes, Poses, Result
from . import local
from .matching import SAME, SIGMA, Observations, pairs, similarity

BEFORE = 3.0  # seconds of the past by which the noise is known
BACK = (1.0, 4)  # seconds or frames over which a number is given back to those who had none yet
BLOCK = 0.25  # seconds that `LagSmoother` works on at once: less costs more time, more costs memory and delay


@dataclass(frozen=True)
class _Settings:
    fps: float
    window: float
    order: int
    max_gap: float

    def __post_init__(self) -> None:
        sensible = self.fps > 0 and self.window > 0 and self.order >= 0 and self.max_gap >= 0
        if not sensible or not all(map(math.isfinite, (self.fps, self.window, self.order, self.max_gap))):
            raise ArgumentError(
                "smoothing needs fps and window above 0, and an order and a max_gap of 0 or more, "
                f"not fps={self.fps}, window={self.window}, order={self.order}, max_gap={self.max_gap}"
            )


def smooth(
    results: Iterable[Result],
    fps: float = 30.0,
    *,
    window: float = 0.75,
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
            whose number is below 0 stay as they are, but for the first frames of somebody, up to a second
            before it got its number: these get it too.
        fps: frames per second to go by where timestamps do not advance.
        window: seconds.
        order: of the polynomials.
        max_gap: seconds from a sight to the next that may be filled.

    Raises:
        ArgumentError: a result has no ``track_ids`` or other keypoints than the first, or a number is senseless.
    """
    settings = _Settings(fps, window, order, max_gap)
    frames = list(results)
    for frame in frames:
        _check(frame, frames[0])
    steps = [_step(before, after, fps) for before, after in itertools.pairwise(frames)]
    return _smoothed(frames, np.cumsum([0.0, *steps])[: len(frames)], 0, 0, len(frames), settings)


class LagSmoother:
    """Gives what `smooth` gives, to within 0.001 pixels, while the results come: about a second and a half late.

    The delay is ``window + max_gap + 0.5`` seconds and the next few frames at least; what is remembered is
    that and about four seconds before. Every result that goes in comes out once, in order.

    Args:
        fps, window, order, max_gap: see `smooth`.

    Raises:
        ArgumentError: a number is senseless.
    """

    def __init__(self, fps: float = 30.0, *, window: float = 0.75, order: int = 2, max_gap: float = 0.5) -> None:
        self._settings = _Settings(fps, window, order, max_gap)
        self._frames: list[Result] = []
        self._times: list[float] = []
        self._given = 0  # how many of them came out already
        self._known = 0  # the highest number of those that are forgotten
        self._worked = 0.0  # when it looked last for those that are final

    def push(self, result: Result) -> list[Result]:
        """Take the next frame's result and return those that are final now, often none.

        Raises:
            ArgumentError: the result has no ``track_ids`` or other keypoints than those before.
        """
        _check(result, self._frames[0] if self._frames else result)
        step = _step(self._frames[-1], result, self._settings.fps) if self._frames else 0.0
        self._times.append(self._times[-1] + step if self._frames else 0.0)
        self._frames.append(result)
        if self._times[-1] < self._worked + BLOCK:
            return []
        self._worked = self._times[-1]
        return self._give(self._final())

    def finish(self) -> list[Result]:
        """Return all that did not come out yet; the next `push` begins another video."""
        rest = self._give(len(self._frames))
        self._frames, self._times, self._given, self._known, self._worked = [], [], 0, 0, 0.0
        return rest

    def _final(self) -> int:
        """Return how many of the frames nothing that is still to come can change."""
        times, window = np.array(self._times), self._settings.window
        for i in range(len(times) - 1, self._given - 1, -1):
            needed = local.reach(times, i, window)[1] + 1
            named = max(int(np.searchsorted(times, times[i] + BACK[0])), i + BACK[1])
            if max(needed, named) >= len(times):
                continue
            # the next sight of those who are missed
            wait = max(self._settings.max_gap, 0.7 * (times[needed] - times[i]))
            if times[-1] > times[needed] + wait:
                return i + 1
        return self._given

    def _give(self, stop: int) -> list[Result]:
        if stop <= self._given:
            return []
        out = _smoothed(self._frames, np.array(self._times), self._known, self._given, stop, self._settings)
        self._given = stop
        context = BEFORE + 2 * self._settings.window + self._settings.max_gap
        old = int(np.searchsorted(self._times, self._times[stop - 1] - context))
        old = max(0, min(old - 2, stop - 20))
        for frame in self._frames[:old]:
            self._known = max([self._known, *np.asarray(frame.track_ids).tolist()])
        self._frames, self._times, self._given = self._frames[old:], self._times[old:], self._given - old
        return out


def _check(result: Result, first: Result) -> None:
    if result.track_ids is None:
        raise ArgumentError(f"frame {result.index} has no track_ids; give the results to a Tracker first")
    if result.keypoints.shape[1] != first.keypoints.shape[1]:
        raise ArgumentError(
            f"frame {result.index} has {result.keypoints.shape[1]} keypoints where the first has "
            f"{first.keypoints.shape[1]}; smooth the results of one model at a time"
        )


def _step(before: Result, after: Result, fps: float) -> float:
    """Return the seconds from one frame to the next."""
    step = after.timestamp - before.timestamp
    return step if 1e-3 < step < math.inf else 1 / fps


def _smoothed(
    frames: list[Result], times: np.ndarray, known: int, start: int, stop: int, settings: _Settings
) -> list[Result]:
    """Return ``frames[start:stop]`` smoothed.

    Args:
        frames: these and what is near them.
        times: of the frames, seconds ``[n]``.
        known: the highest number in frames before these.
        start, stop: which are wanted.
        settings: see `smooth`.
    """
    ids = _numbers(frames, times, known)
    out = {f: replace(frames[f], track_ids=ids[f]) for f in range(start, stop)}
    rows: dict[int, dict[int, int]] = {}  # number -> frame -> row
    for f, numbers in enumerate(ids):
        for row, number in enumerate(numbers.tolist()):
            if number >= 0:
                rows.setdefault(number, {}).setdefault(f, row)
    for number, where in sorted(rows.items()):
        at = np.array(list(where))
        apart = (np.diff(at) > 1) & (np.diff(times[at]) > settings.max_gap + 1e-6)
        apart |= np.diff([frames[f].size for f in at.tolist()], axis=0).any(axis=1)
        for part in np.split(at, np.flatnonzero(apart) + 1):
            first, last = int(part[0]), int(part[-1])
            wanted = range(max(first, start), min(last + 1, stop))
            if not wanted:
                continue
            seen = [(frames[f], where[f]) for f in part.tolist()]
            within = slice(wanted.start - first, wanted.stop - first)
            boxes, poses = _smooth_part(seen, part - first, times[first : last + 1], within, settings)
            for f in wanted:
                own = slice(f - wanted.start, f - wanted.start + 1)
                out[f] = _put(out[f], where.get(f), number, boxes[own], poses[own])
    return list(out.values())


def _numbers(frames: list[Result], times: np.ndarray, known: int) -> list[np.ndarray]:
    """Return the track_ids, with those of people in the frames just before they got their number."""
    ids = [np.array(r.track_ids) for r in frames]
    first: dict[int, tuple[int, int]] = {}  # number -> the frame where it is seen first, and where it was given
    for f, numbers in enumerate(ids):
        new = [number for number in numbers.tolist() if number > known]
        first |= dict.fromkeys(new, (f, f))
        known = max([known, *new])
    seconds, most = BACK
    for f in range(len(frames) - 2, -1, -1):
        free = np.flatnonzero(ids[f] < 0)
        new = []
        for row, number in enumerate(ids[f + 1].tolist()):
            begun, given = first.get(number, (-1, -1))
            if begun == f + 1 and (given - f <= most or times[given] - times[f] <= seconds):
                new.append(row)
        if not len(free) or not new:
            continue
        now, before = Observations.of(frames[f + 1]), Observations.of(frames[f])
        sigmas = np.full(now.points.shape[1], SIGMA)
        gain = similarity(now.points[new], now.weights[new], now.boxes[new], before, sigmas)[:, free]
        for i, j in pairs(np.where(gain > SAME, gain, 0)):
            number = int(ids[f + 1][new[i]])
            ids[f][free[j]] = number
            first[number] = (f, first[number][1])
    return ids


def _smooth_part(
    seen: list[tuple[Result, int]], at: np.ndarray, times: np.ndarray, wanted: slice, settings: _Settings
) -> tuple[Boxes, Poses]:
    """Return the boxes and poses of one person in ``wanted`` of n frames on end.

    Args:
        seen: results and rows in which it was seen.
        at: their places among the n frames.
        times: of the n frames, seconds.
        settings: see `smooth`.
    """

    def lay(values: list[np.ndarray]) -> np.ndarray:
        laid = np.full((len(times), *np.shape(values[0])), np.nan)
        laid[at] = values
        return laid

    gap = settings.max_gap
    boxes, _ = local.fill(times, lay([r.boxes.xyxy[i] for r, i in seen])[:, None], gap)
    box_scores, _ = local.fill(times, lay([r.boxes.scores[i] for r, i in seen])[:, None, None], gap)
    scores, _ = local.fill(times, lay([r.scores[i] for r, i in seen])[:, :, None], gap)
    points, known = local.fill(times, given := lay([r.keypoints[i] for r, i in seen]), gap)
    noise = local.noise(times, given, boxes[:, 0], BEFORE, settings.window / 2)
    points = local.steady(times, points, noise, wanted, settings.window, settings.order)
    points[~known[wanted]] = np.nan
    labels = np.array([r.boxes.labels[i] for r, i in seen], np.int64)
    labels = labels[np.searchsorted(at, np.arange(len(times))[wanted], side="right") - 1]
    return (
        Boxes(boxes[wanted, 0].astype(np.float32), box_scores[wanted, 0, 0].astype(np.float32), labels),
        Poses(points.astype(np.float32), scores[wanted, :, 0].astype(np.float32)),
    )


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
