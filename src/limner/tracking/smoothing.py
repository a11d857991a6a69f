"""Smoothing that uses later frames too: `smooth` for a whole video, `LagSmoother` while the results come."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from ..errors import ArgumentError
from ..types import Boxes, Poses, Result
from . import polynomials
from .matching import MIN_SIGMA, MIN_SIMILARITY, Observations, best_pairs, similarity

NOISE_HISTORY = 3.0  # seconds before a frame from which its noise is measured
BACKFILL = (1.0, 4)  # seconds or frames before a track id was given that get it too
WORK_INTERVAL = 0.25  # seconds that `LagSmoother` works on at once: less costs more time, more costs memory and delay


@dataclass(frozen=True)
class _Options:
    fps: float
    window: float
    order: int
    max_gap: float

    def __post_init__(self) -> None:
        valid = self.fps > 0 and self.window > 0 and self.order >= 0 and self.max_gap >= 0
        if not valid or not all(map(math.isfinite, (self.fps, self.window, self.order, self.max_gap))):
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
    """Return the results of a whole video with smoothed keypoints and without short gaps.

    Keypoints are smoothed by local polynomials (Savitzky and Golay 1964), also where frames come at unequal
    times: over ``window`` seconds where that changes no more than the noise, over less where it would
    flatten a motion (after Lepski 1991). A person who is missed for a short while is added, with box and
    scores interpolated between the frames before and after.

    Args:
        results: in order, from a `Tracker` that does not smooth (``smoothing=None``). Instances with a
            track id below 0 stay as they are, except the first frames of a person, up to a second before it
            got its track id: these get it too.
        fps: frames per second, used where timestamps do not advance.
        window: seconds.
        order: of the polynomials.
        max_gap: longest gap that is filled, in seconds.

    Raises:
        ArgumentError: a result has no ``track_ids`` or other keypoints than the first, or an option is out of range.
    """
    options = _Options(fps, window, order, max_gap)
    frames = list(results)
    for frame in frames:
        _check(frame, frames[0])
    steps = [_step(before, after, fps) for before, after in itertools.pairwise(frames)]
    return _smoothed(frames, np.cumsum([0.0, *steps])[: len(frames)], 0, 0, len(frames), options)


class LagSmoother:
    """Returns what `smooth` returns, to within 0.001 pixels, while the results come: about 1.5 seconds late.

    The delay is ``window + max_gap + 0.5`` seconds and a few frames; the results of that time and about four
    seconds before it are kept. Every result that goes in comes out once, in order.

    Args:
        fps, window, order, max_gap: see `smooth`.

    Raises:
        ArgumentError: an option is out of range.
    """

    def __init__(self, fps: float = 30.0, *, window: float = 0.75, order: int = 2, max_gap: float = 0.5) -> None:
        self._options = _Options(fps, window, order, max_gap)
        self._frames: list[Result] = []
        self._times: list[float] = []
        self._emitted = 0  # how many of them were returned already
        self._highest_id = 0  # the highest track id in frames that are no longer kept
        self._last_check = 0.0  # time of the frame at which `push` last looked for final ones

    def push(self, result: Result) -> list[Result]:
        """Take the next frame's result and return those that are final now, often none.

        Raises:
            ArgumentError: the result has no ``track_ids`` or other keypoints than those before.
        """
        _check(result, self._frames[0] if self._frames else result)
        step = _step(self._frames[-1], result, self._options.fps) if self._frames else 0.0
        self._times.append(self._times[-1] + step if self._frames else 0.0)
        self._frames.append(result)
        if self._times[-1] < self._last_check + WORK_INTERVAL:
            return []
        self._last_check = self._times[-1]
        return self._emit(self._count_final())

    def finish(self) -> list[Result]:
        """Return all results that were not returned yet; the next `push` begins another video."""
        rest = self._emit(len(self._frames))
        self._frames, self._times, self._emitted, self._highest_id, self._last_check = [], [], 0, 0, 0.0
        return rest

    def _count_final(self) -> int:
        """Return how many of the frames no later frame can change."""
        times, window = np.array(self._times), self._options.window
        for i in range(len(times) - 1, self._emitted - 1, -1):
            needed = polynomials.frames_needed(times, i, window)[1] + 1
            backfilled = max(int(np.searchsorted(times, times[i] + BACKFILL[0])), i + BACKFILL[1])
            if max(needed, backfilled) >= len(times):
                continue
            # until people who are missed are seen again
            until_seen = max(self._options.max_gap, 0.7 * (times[needed] - times[i]))
            if times[-1] > times[needed] + until_seen:
                return i + 1
        return self._emitted

    def _emit(self, stop: int) -> list[Result]:
        if stop <= self._emitted:
            return []
        out = _smoothed(self._frames, np.array(self._times), self._highest_id, self._emitted, stop, self._options)
        self._emitted = stop
        context = NOISE_HISTORY + 2 * self._options.window + self._options.max_gap
        old = int(np.searchsorted(self._times, self._times[stop - 1] - context))
        old = max(0, min(old - 2, stop - 20))
        for frame in self._frames[:old]:
            self._highest_id = max([self._highest_id, *np.asarray(frame.track_ids).tolist()])
        self._frames, self._times, self._emitted = self._frames[old:], self._times[old:], self._emitted - old
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
    frames: list[Result], times: np.ndarray, known: int, start: int, stop: int, options: _Options
) -> list[Result]:
    """Return ``frames[start:stop]`` smoothed.

    Args:
        frames: these and what is near them.
        times: of the frames, seconds ``[n]``.
        known: the highest track id in frames before these.
        start, stop: which are wanted.
        options: see `smooth`.
    """
    ids = _backfill_ids(frames, times, known)
    out = {f: replace(frames[f], track_ids=ids[f]) for f in range(start, stop)}
    rows: dict[int, dict[int, int]] = {}  # track id -> frame -> row
    for f, track_ids in enumerate(ids):
        for row, track_id in enumerate(track_ids.tolist()):
            if track_id >= 0:
                rows.setdefault(track_id, {}).setdefault(f, row)
    for track_id, row_of in sorted(rows.items()):
        positions = np.array(list(row_of))
        breaks = (np.diff(positions) > 1) & (np.diff(times[positions]) > options.max_gap + 1e-6)
        breaks |= np.diff([frames[f].size for f in positions.tolist()], axis=0).any(axis=1)
        for part in np.split(positions, np.flatnonzero(breaks) + 1):
            first, last = int(part[0]), int(part[-1])
            wanted = range(max(first, start), min(last + 1, stop))
            if not wanted:
                continue
            seen = [(frames[f], row_of[f]) for f in part.tolist()]
            within = slice(wanted.start - first, wanted.stop - first)
            boxes, poses = _smooth_part(seen, part - first, times[first : last + 1], within, options)
            for f in wanted:
                own = slice(f - wanted.start, f - wanted.start + 1)
                out[f] = _insert(out[f], row_of.get(f), track_id, boxes[own], poses[own])
    return list(out.values())


def _backfill_ids(frames: list[Result], times: np.ndarray, known: int) -> list[np.ndarray]:
    """Return the track ids, extended to the frames just before a person got its id."""
    ids = [np.array(r.track_ids) for r in frames]
    first: dict[int, tuple[int, int]] = {}  # track id -> the frame where it is seen first, and where it was given
    for f, track_ids in enumerate(ids):
        new = [track_id for track_id in track_ids.tolist() if track_id > known]
        first |= dict.fromkeys(new, (f, f))
        known = max([known, *new])
    seconds, most = BACKFILL
    for f in range(len(frames) - 2, -1, -1):
        free = np.flatnonzero(ids[f] < 0)
        new = []
        for row, track_id in enumerate(ids[f + 1].tolist()):
            begun, given = first.get(track_id, (-1, -1))
            if begun == f + 1 and (given - f <= most or times[given] - times[f] <= seconds):
                new.append(row)
        if not len(free) or not new:
            continue
        now, before = Observations.of(frames[f + 1]), Observations.of(frames[f])
        sigmas = np.full(now.points.shape[1], MIN_SIGMA)
        gain = similarity(now.points[new], now.weights[new], now.boxes[new], before, sigmas)[:, free]
        for i, j in best_pairs(np.where(gain > MIN_SIMILARITY, gain, 0)):
            track_id = int(ids[f + 1][new[i]])
            ids[f][free[j]] = track_id
            first[track_id] = (f, first[track_id][1])
    return ids


def _smooth_part(
    seen: list[tuple[Result, int]], positions: np.ndarray, times: np.ndarray, wanted: slice, options: _Options
) -> tuple[Boxes, Poses]:
    """Return the boxes and poses of one person in ``wanted`` of n consecutive frames.

    Args:
        seen: results and rows in which it was seen.
        at: their places among the n frames.
        times: of the n frames, seconds.
        options: see `smooth`.
    """

    def on_timeline(values: list[np.ndarray]) -> np.ndarray:
        timeline = np.full((len(times), *np.shape(values[0])), np.nan)
        timeline[positions] = values
        return timeline

    gap = options.max_gap
    boxes, _ = polynomials.fill_gaps(times, on_timeline([r.boxes.xyxy[i] for r, i in seen])[:, None], gap)
    box_scores, _ = polynomials.fill_gaps(times, on_timeline([r.boxes.scores[i] for r, i in seen])[:, None, None], gap)
    scores, _ = polynomials.fill_gaps(times, on_timeline([r.scores[i] for r, i in seen])[:, :, None], gap)
    points, known = polynomials.fill_gaps(times, measured := on_timeline([r.keypoints[i] for r, i in seen]), gap)
    noise = polynomials.noise_variance(times, measured, boxes[:, 0], NOISE_HISTORY, options.window / 2)
    points = polynomials.smooth_keypoints(times, points, noise, wanted, options.window, options.order)
    points[~known[wanted]] = np.nan
    labels = np.array([r.boxes.labels[i] for r, i in seen], np.int64)
    labels = labels[np.searchsorted(positions, np.arange(len(times))[wanted], side="right") - 1]
    return (
        Boxes(boxes[wanted, 0].astype(np.float32), box_scores[wanted, 0, 0].astype(np.float32), labels),
        Poses(points.astype(np.float32), scores[wanted, :, 0].astype(np.float32)),
    )


def _insert(result: Result, row: int | None, track_id: int, box: Boxes, pose: Poses) -> Result:
    """Return a result with the keypoints of a row replaced, or where that is None with one more instance."""
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
        track_ids=np.append(ids, track_id),
    )
