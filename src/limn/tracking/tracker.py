"""The numbers of the people in a video, and where to look for them next."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .. import keypoints
from ..errors import ArgumentError, suggest
from ..keypoints import KeypointSet
from ..types import Boxes, Result
from .filters import OneEuro
from .matching import SAME, SIGMA, Seen, iou, likeness, oks, pairs, sizes, spread

# a box that follows the noise of its points upsets the network; of a change as great as this, half is followed:
CALM = 0.02  # sizes, moved since the detector last saw it
BRISK = 0.1  # sizes, moved from one frame to the next
REACH = 0.5  # of its sides: how far round its box one is looked for who was found nowhere else
COAST = 1.0  # seconds in which one who is not seen comes to rest
PACE = 0.1  # seconds over which a velocity is averaged
TWIN = 0.9  # OKS above which two carried poses are on the same person
JUMP = 1.5  # a carried pose that grows or shrinks by more from one frame to the next is not believed
INSIDE = 0.3  # a box of which less is inside the picture is not looked at


class _Track:
    """What is remembered of one person; `see` fills it in."""

    points: np.ndarray  # float64 [K, 2], where it was last seen
    steady: np.ndarray  # float64 [K, 2], the same, filtered; NaN where not known
    weights: np.ndarray  # float64 [K]
    box: np.ndarray  # float64 [4]
    anchor: tuple[np.ndarray, np.ndarray, np.ndarray]  # points, weights and box when the detector last saw it
    sureness: float  # then
    score: float  # of that box
    label: int

    def __init__(self, smoothing: OneEuro | None) -> None:
        self.smoothing = smoothing
        self.number = -1  # until it is confirmed
        self.hits = 0  # frames in which it was seen
        self.missed = 0  # frames since then
        self.idle = 0.0  # seconds since then
        self.velocity = np.zeros(2)  # pixels per second

    def see(self, seen: Seen, row: int, detected: bool) -> None:
        """Take in that it is the instance of that row."""
        points, weights, box = seen.points[row], seen.weights[row], seen.boxes[row]
        if self.hits and (both := self.weights * weights).any():
            velocity = (both @ (points - self.points)) / both.sum() / self.idle
            share = self.idle / (self.idle + PACE) if self.hits > 1 else 1.0
            self.velocity = self.velocity + share * (velocity - self.velocity)
        if detected:
            self.anchor, self.sureness = (points, weights, box), float(seen.sureness[row])
            self.score, self.label = float(seen.scores[row]), int(seen.labels[row])
        self.steady = seen.raw[row]
        if self.smoothing is not None:
            self.steady = self.smoothing(self.steady, float(sizes(box)), self.idle)
        self.points, self.weights, self.box = points, weights, box
        self.hits, self.missed, self.idle = self.hits + 1, 0, 0.0

    def shift(self, seconds: float) -> np.ndarray:
        """Return how far, ``[2]`` in pixels, it will be from where it was last seen."""
        return np.asarray(self.velocity * COAST * -math.expm1(-seconds / COAST))

    def grown(self, points: np.ndarray, weights: np.ndarray) -> float:
        """Return how many times as large a pose is as when it was last seen."""
        both = weights * self.weights
        then, now = spread(self.points, both), spread(points, both)
        return now / then if then > 1 else 1.0

    def box_after(self, seconds: float) -> np.ndarray:
        """Return its box ``[4]`` so many seconds after it was last seen.

        The detector's last box: moved as all points together did since, each side then moved as the
        outermost point on that side did.
        """
        points, weights, box = self.anchor
        both = weights * self.weights
        if not both.any():
            return np.asarray(self.box + np.tile(self.shift(seconds), 2))
        size = max(float(sizes(box)), 1.0)
        then, now = (both @ points) / both.sum(), (both @ self.points) / both.sum()
        ahead = self.shift(seconds)
        moved = now - then + ahead * _followed(np.hypot(*ahead) / size, BRISK)
        centre = then + moved * _followed(np.hypot(*moved) / size, CALM)

        sure = both >= 0.5 * both.max()
        before, after = (points - then)[sure], (self.points - now)[sure]
        reach = np.concatenate([after.min(axis=0) - before.min(axis=0), after.max(axis=0) - before.max(axis=0)])
        sides = box + np.tile(centre - then, 2) + reach * _followed(reach / size, CALM)
        return np.concatenate([sides[:2], np.maximum(sides[2:], sides[:2] + 1)])

    def rescale(self, factor: np.ndarray) -> None:
        """Go on in a picture whose sides (x, y) are ``factor`` times as long."""
        twice = np.tile(factor, 2)
        points, weights, box = self.anchor
        self.anchor = (points * factor, weights, box * twice)
        self.points, self.velocity, self.box = self.points * factor, self.velocity * factor, self.box * twice
        if self.smoothing is not None:
            self.smoothing.rescale(factor)


def _followed(change: np.ndarray | float, half: float) -> np.ndarray:
    """Return the share of a change that is followed, from 0 for the least to 1 for a great one."""
    square = np.square(change)
    return np.asarray(square / (square + half**2))


class Tracker:
    """Numbers the people of a video and steadies their points, frame by frame.

    People are told apart by where they are expected: each goes on with its velocity, and what is found is
    shared out by the best sum of OKS and IoU. There is no look at the picture: who comes back later
    than ``max_missed`` frames, or elsewhere, gets a new number.

    Args:
        keypoint_set: of the results, or its name.
        max_persons: not more people than that; those already there go first. One who is missed keeps its place.
        follow: give one subject only: "largest", "center", "x,y" (nearest to that pixel), chosen when nobody is
            followed and kept until it is given up, or "id:3", the person of that number.
        max_missed: frames without a person after which it is given up.
        new_score: box score from which on a newcomer gets its number at once.
        confirm: frames after which any other newcomer gets it; until then its number is -1.
        min_score: share of its keypoint score at the last detection below which a carried pose is lost.
        fps: frames per second to go by where timestamps do not advance.
        smoothing: makes the filter of a newcomer; None leaves the points as they are.
    """

    def __init__(
        self,
        keypoint_set: KeypointSet | str,
        *,
        max_persons: int | None = None,
        follow: str | None = None,
        max_missed: int = 30,
        new_score: float = 0.5,
        confirm: int = 3,
        min_score: float = 0.5,
        fps: float = 30.0,
        smoothing: Callable[[], OneEuro] | None = OneEuro,
    ) -> None:
        if max_persons is not None and max_persons < 1:
            raise ArgumentError(f"max_persons must be 1 or more, not {max_persons}; leave it out for everybody")
        if max_missed < 0 or confirm < 1:
            raise ArgumentError(f"max_missed must be 0 or more and confirm 1 or more, not {max_missed} and {confirm}")
        if not 0 < fps < math.inf:
            raise ArgumentError(f"fps must be above 0, not {fps}")
        known = keypoints.load(keypoint_set) if isinstance(keypoint_set, str) else keypoint_set
        self.keypoint_set, self.max_persons, self.max_missed = known, max_persons, max_missed
        self.new_score, self.confirm, self.min_score, self.smoothing = new_score, confirm, min_score, smoothing
        self._rule = None if follow is None else _follow_rule(follow)
        self._sigmas = np.maximum(2 * known.sigmas, SIGMA) if len(known.sigmas) else np.full(len(known), SIGMA)
        self._tracks: list[_Track] = []
        self._subject: _Track | None = None
        self._last_number = 0
        self._lost = False  # whether a carried pose was lost in the last frame
        self._size = (1, 1)  # of the last frame
        self._timestamp, self._period = math.nan, 1 / fps

    def update(self, result: Result, *, detected: bool = True) -> Result:
        """Return the next frame's result with ``track_ids`` and steady points.

        Numbers count from 1; a newcomer that is not confirmed yet has -1. Instances keep their order. Those
        that are not followed, or too many, are left out.

        Args:
            result: of the next frame, in any of whose numbers NaN may stand.
            detected: False where its boxes are those of `boxes`: then nobody is new, and poses that are lost
                (low scores, a sudden change of size, two on one person) are left out.

        Raises:
            ArgumentError: the result has other keypoints than ``keypoint_set``.
        """
        if result.keypoints.shape[1] != len(self.keypoint_set):
            raise ArgumentError(
                f"the tracker follows the {len(self.keypoint_set)} points of '{self.keypoint_set.name}', "
                f"but a result has {result.keypoints.shape[1]} ('{result.keypoint_set}')"
            )
        self._resize(result.size)
        self._elapse(result.timestamp)
        seen = Seen.of(result)
        found = self._match(seen)
        if not detected:
            found = self._believable(found, seen)
        for row, track in found.items():
            track.see(seen, row, detected)
        self._give_up(list(found.values()), detected)
        if detected:
            found |= self._newcomers(seen, found)
        for track in found.values():
            if track.number < 0 and (track.score >= self.new_score or track.hits >= self.confirm):
                self._last_number += 1
                track.number = self._last_number
        if self._rule is not None:
            self._choose(*self._rule)
            found = {row: track for row, track in found.items() if track is self._subject}
        everybody = detected and self.max_persons is None and self._rule is None
        rows = np.arange(len(result)) if everybody else np.array(sorted(found), np.int64)
        points = np.array(result.keypoints, np.float32)
        for row, track in found.items():
            points[row] = track.steady
        return replace(
            result,
            boxes=result.boxes[rows],
            poses=replace(result.poses, keypoints=points)[rows],
            track_ids=np.array([found[r].number if r in found else -1 for r in rows.tolist()], np.int64),
        )

    def boxes(self, frame_size: tuple[int, int]) -> Boxes:
        """Return where to look for the people of the last frame in the next one, best first.

        Args:
            frame_size: (width, height) of the next frame in pixels; boxes end at its edge.
        """
        carried = sorted((t for t in self._tracks if self._in_view(t)), key=lambda t: -t.score)
        if not carried:
            return Boxes.empty()
        xyxy = np.stack([t.box_after(self._period) for t in carried]) * np.tile(np.divide(frame_size, self._size), 2)
        return Boxes(
            xyxy.clip(0, np.tile(frame_size, 2)).astype(np.float32),
            np.array([t.score for t in carried], np.float32),
            np.array([t.label for t in carried], np.int64),
        )

    @property
    def needs_detection(self) -> bool:
        """Whether the detector should run on the next frame: somebody was lost, or nobody is in view."""
        wanted = self._tracks if self._rule is None else [t for t in self._tracks if t is self._subject]
        return self._lost or not any(self._in_view(t) for t in wanted)

    def _in_view(self, track: _Track) -> bool:
        box = track.box_after(self._period)
        inside = box.clip(0, np.tile(self._size, 2))
        return not track.missed and bool(sizes(inside) ** 2 >= INSIDE * sizes(box) ** 2)

    def _resize(self, size: tuple[int, int]) -> None:
        if self._tracks and self._size != size:
            for track in self._tracks:
                track.rescale(np.divide(size, self._size))
        self._size = size

    def _elapse(self, timestamp: float) -> None:
        """Let the time since the last frame pass; where timestamps stand still or go back, as much as before."""
        passed = timestamp - self._timestamp
        if math.isfinite(timestamp):
            self._timestamp = timestamp
        if not 1e-3 < passed < math.inf:
            passed = self._period
        elif passed < 2:
            self._period = passed
        for track in self._tracks:
            track.idle += min(passed, 10.0)

    def _match(self, seen: Seen) -> dict[int, _Track]:
        """Tell which row of what is seen is which track."""
        tracks = self._tracks
        if not tracks or not len(seen.boxes):
            return {}
        shifts = np.stack([t.shift(t.idle) for t in tracks])
        points = np.stack([t.points for t in tracks]) + shifts[:, None]
        boxes = np.stack([t.box for t in tracks]) + np.tile(shifts, 2)
        weights = np.stack([t.weights for t in tracks])
        alike = likeness(points, weights, boxes, seen, self._sigmas)
        ratio = sizes(boxes)[:, None] / np.maximum(sizes(seen.boxes), 1e-6)
        near = iou(boxes, seen.boxes, REACH) * ((ratio > 0.5) & (ratio < 2))

        # those who may be nobody take nothing from those who are known, and what is far away is shared out last
        known = np.array([t.number > 0 for t in tracks])
        found: dict[int, int] = {}
        for group, gain in ((known, alike), (~known, alike), (known | ~known, near)):
            left = np.array([i for i in np.flatnonzero(group) if i not in found.values()], np.int64)
            free = np.array([j for j in range(len(seen.boxes)) if j not in found], np.int64)
            likely = np.where(gain > SAME, gain, 0)[left][:, free]
            found |= {int(free[j]): int(left[i]) for i, j in pairs(likely)}
        return {row: tracks[i] for row, i in found.items()}

    def _believable(self, found: dict[int, _Track], seen: Seen) -> dict[int, _Track]:
        """Return the carried poses without those that lost their person."""
        good: dict[int, _Track] = {}
        drift = {
            row: np.linalg.norm(t.points + t.shift(t.idle) - seen.points[row], axis=1).mean()
            for row, t in found.items()
        }
        for row in sorted(found, key=drift.__getitem__):
            track, others = found[row], list(good)
            points, weights = seen.points[[row, *others]], seen.weights[[row, *others]]
            twins = oks(points[:1], points[1:], weights[:1], weights[1:], sizes(seen.boxes[[row]]), self._sigmas)
            jump = track.grown(points[0], weights[0])
            scored = seen.sureness[row] >= self.min_score * track.sureness
            if scored and 1 / JUMP < jump < JUMP and not (twins > TWIN).any():
                good[row] = track
        return good

    def _give_up(self, seen: list[_Track], detected: bool) -> None:
        """Forget those who were missed too often, who were never confirmed, and who left the picture."""
        missing = [t for t in self._tracks if t not in seen]
        self._lost = not detected and any(not t.missed for t in missing)
        for track in missing:
            track.missed += 1
            middle = (track.box[:2] + track.box[2:]) / 2 + track.shift(track.idle)
            outside = (middle < 0).any() or (middle > self._size).any()
            if outside or track.number < 0 or track.missed > self.max_missed:
                self._tracks.remove(track)

    def _newcomers(self, seen: Seen, found: dict[int, _Track]) -> dict[int, _Track]:
        """Start a track for each instance that is nobody's, the best first."""
        nobody = [row for row in range(len(seen.boxes)) if row not in found and sizes(seen.boxes[row]) > 0]
        nobody.sort(key=lambda row: -seen.scores[row])
        if self.max_persons is not None and self._rule is None:
            nobody = nobody[: max(0, self.max_persons - len(self._tracks))]
        started = {row: _Track(self.smoothing() if self.smoothing else None) for row in nobody}
        for row, track in started.items():
            track.see(seen, row, detected=True)
        self._tracks += started.values()
        return started

    def _choose(self, rule: str, numbers: tuple[float, ...]) -> None:
        """Keep the subject for as long as it is remembered, then choose another."""
        if self._subject in self._tracks:
            return
        there = [t for t in self._tracks if t.number > 0 and not t.missed]
        if rule == "id":
            there = [t for t in there if t.number == numbers[0]]
        point = np.array(numbers) if rule == "point" else np.divide(self._size, 2)

        def distance(track: _Track) -> tuple[float, float]:
            low, high = track.box[:2], track.box[2:]
            outside, middle = point - point.clip(low, high), point - (low + high) / 2
            return float(outside @ outside), float(middle @ middle)

        if rule == "largest":
            self._subject = max(there, key=lambda t: float(sizes(t.box)), default=None)
        else:
            self._subject = min(there, key=distance, default=None)


def _follow_rule(text: str) -> tuple[str, tuple[float, ...]]:
    """Return what ``follow`` says: "largest", "center", "id" with a number, or "point" with x and y."""
    word = text.strip().lower()
    if word in ("largest", "center"):
        return word, ()
    kind, numbers = ("id", word[3:]) if word.startswith("id:") else ("point", word)
    try:
        values = tuple(float(n) for n in numbers.split(","))
    except ValueError:
        values = ()
    fits = len(values) == 2 if kind == "point" else len(values) == 1 and values[0] >= 1 and values[0] % 1 == 0
    if not fits or not all(map(math.isfinite, values)):
        raise ArgumentError(
            f"nobody can be followed by '{text}'.{suggest(word, ('largest', 'center'))} "
            "Give largest, center, a pixel such as 320,240, or a number such as id:3."
        )
    return kind, values
