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
from .matching import SAME, SIGMA, Observations, areas, iou, oks, pairs, similarity, sizes, twice
from .track import Track

REACH = 0.5  # of its sides: how far round its box one is looked for who was found nowhere else
TWIN = 0.9  # OKS above which two carried poses are on the same person
JUMP = 1.5  # a carried pose that grows or shrinks by more from one frame to the next is not believed
INSIDE = 0.3  # a box of which less is inside the image is not looked at
GROW = 1.15  # times the patience with somebody after a detection in vain: five of them, and it is twice as long
CHANGE = 0.0175  # share of somebody's size, see `max_change` of `Tracker`
FAR = 8.0  # times `max_change`: where a detected pose changes by more, one such detection is enough
SHRINK = 1.5  # the same divided by it after one that helped, or that nobody asked for


class Tracker:
    """Numbers the people of a video and steadies their points, frame by frame.

    People are told apart by where they are expected: each goes on with its velocity, and what is found is
    shared out by the best sum of OKS and IoU. There is no look at the image: who comes back later
    than ``max_missed`` frames, or elsewhere, gets a new number.

    Where the detector looks at every tenth frame only, and at those where a carried box would mislead::

        since = 10
        for frame in frames:
            detects = since >= 10 or tracker.needs_detection
            result = pipeline.many([frame], None if detects else [tracker.boxes(size)])[0]
            if not detects and not tracker.trusts(result):
                detects, result = True, pipeline.one(frame)
            since = 1 if detects else since + 1
            result = tracker.update(result, detected=detects)

    Each early look must earn itself. Where a pose is no more believed after it than before (the network may be
    weak, or the person far away), more and more frames pass before that person calls the detector again.

    Args:
        keypoint_set: of the results, or its name.
        max_persons: not more people than that; those already there go first. One who is missed keeps its place.
        follow: give one subject only: "largest", "center", "x,y" (nearest to that pixel), chosen when nobody is
            followed and kept until it is given up, or "id:3", the person of that number.
        max_missed: frames without a person after which it is given up.
        new_score: box score from which on a newcomer gets its number at once.
        confirm: frames after which any other newcomer gets it; until then its number is -1.
        min_score: share of its keypoint score at the last detection below which a carried pose is lost.
        max_change: how far, as a share of its size, the points of a person may move against each other from one
            frame to the next (the third of them that moves least) and still carry its box: more asks for the
            detector less often.
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
        max_change: float = CHANGE,
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
        self.new_score, self.confirm, self.smoothing = new_score, confirm, smoothing
        self.min_score, self.max_change = min_score, max_change
        self._rule = None if follow is None else _follow_rule(follow)
        self._sigmas = np.maximum(2 * known.sigmas, SIGMA) if len(known.sigmas) else np.full(len(known), SIGMA)
        self._tracks: list[Track] = []
        self._subject: Track | None = None
        self._last_number = 0
        self._lost = False  # whether a carried pose was lost in the last frame
        self._asked: list[Track] = []  # those whose carried poses called the detector on the next frame
        self._looked: tuple[Result, Observations, dict[int, Track]] | None = (
            None  # what `trusts` made of the next frame
        )
        self._patience = 1.0  # that newcomers begin with: the least of those who are there
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
        self._check(result)
        self._resize(result.size)
        self._elapse(result.timestamp)
        looked, self._looked = self._looked, None
        if not detected and looked is not None and looked[0] is result:
            seen, found = looked[1:]
        else:
            seen = Observations.of(result)
            found = self._match(seen) if detected else self._carried(seen)
        lost = [] if detected else [t for t in self._wanted if self._asks(t, t not in found.values())]
        for row, track in found.items():
            track.see(seen, row, detected)
            self._judge(track, detected)
        self._asked = []
        self._lost = any(not t.missed for t in lost)
        self._give_up(list(found.values()))
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

    def boxes(self, frame_size: tuple[int, int], coming: Boxes | None = None, steps: int = 1) -> Boxes:
        """Return where to look for the people of the last frame in the next one, best first.

        Args:
            frame_size: (width, height) of the next frame in pixels; boxes end at its edge.
            coming: what the detector sees ``steps`` frames from now, where that is known: boxes of people who
                are there go towards theirs in equal steps, in place of being carried by the points.
            steps: frames from the last to that one.
        """
        carried = sorted((t for t in self._tracks if self._in_view(t)), key=lambda t: -t.score)
        if not carried:
            return Boxes.empty()
        xyxy = np.stack([t.box_after(self._period) for t in carried])
        if coming is not None and len(coming) and frame_size == self._size:
            then = np.stack([t.box + twice(t.shift(steps * self._period)) for t in carried])
            near = iou(then, coming.xyxy.astype(np.float64))
            for i, j in pairs(np.where(near > SAME, near, 0)):
                xyxy[i] = carried[i].box + (coming.xyxy[j] - carried[i].box) / steps
        xyxy = xyxy * twice(np.divide(frame_size, self._size))
        return Boxes(
            xyxy.clip(0, twice(frame_size)).astype(np.float32),
            np.array([t.score for t in carried], np.float32),
            np.array([t.label for t in carried], np.int64),
        )

    def trusts(self, result: Result) -> bool:
        """Return whether the poses found in the boxes of `boxes` are still those people's.

        Where not, a carried box went astray or is about to: run the detector on that same frame, and give
        `update` what comes of it. Without that, `update` leaves out poses that are lost, keeps doubtful
        ones, and `needs_detection` tells so for the next frame.

        Args:
            result: of the frame after the last, with carried boxes.

        Raises:
            ArgumentError: the result has other keypoints than ``keypoint_set``.
        """
        self._check(result)
        seen, wait = Observations.of(result), self._since_last(result.timestamp)
        found = self._carried(seen, wait)
        rows = {id(track): row for row, track in found.items()}
        wanted = [t for t in self._wanted if self._in_view(t)]
        self._asked = [
            t for t in wanted if self._asks(t, id(t) not in rows or t.reshaped(seen, rows[id(t)]) > self.max_change)
        ]
        same_size = result.size == self._size
        self._looked = (result, seen, found) if same_size else None
        return same_size and not self._asked

    @property
    def needs_detection(self) -> bool:
        """Whether the detector should run on the next frame: somebody was lost, nobody is in view, or a pose
        changes so much that it cannot carry a box."""
        there = [t for t in self._wanted if self._in_view(t)]
        self._asked = [t for t in there if self._asks(t, t.change > self.max_change)]
        return self._lost or not there or bool(self._asked)

    @property
    def _wanted(self) -> list[Track]:
        return self._tracks if self._rule is None else [t for t in self._tracks if t is self._subject]

    def _asks(self, track: Track, doubtful: bool) -> bool:
        """Return whether somebody whose carried pose is doubtful calls the detector already."""
        return doubtful and track.since + 1 >= int(track.patience)

    def _judge(self, track: Track, detected: bool) -> None:
        """Have more patience with somebody whose early detection was in vain, and less where there was no doubt."""
        doubtful = track.change > self.max_change
        if not detected:
            track.since, track.doubted = track.since + 1, track.doubted or doubtful
            return
        if track in self._asked and doubtful:
            if track.since == 0 or track.patience > 1:  # else it may have gone astray before
                track.patience *= 2 if track.change > FAR * self.max_change else GROW
        elif not doubtful and (track in self._asked or not track.doubted):
            track.patience = max(1.0, track.patience / SHRINK)
        track.since, track.doubted = 0, False

    def _check(self, result: Result) -> None:
        if result.keypoints.shape[1] != len(self.keypoint_set):
            raise ArgumentError(
                f"the tracker follows the {len(self.keypoint_set)} points of '{self.keypoint_set.name}', "
                f"but a result has {result.keypoints.shape[1]} ('{result.keypoint_set}')"
            )

    def _in_view(self, track: Track) -> bool:
        box = track.box_after(self._period)
        inside = box.clip(0, twice(self._size))
        return not track.missed and bool(areas(inside) >= INSIDE * areas(box))

    def _resize(self, size: tuple[int, int]) -> None:
        if self._tracks and self._size != size:
            for track in self._tracks:
                track.rescale(np.divide(size, self._size))
        self._size = size

    def _elapse(self, timestamp: float) -> None:
        """Let the time since the last frame pass; where timestamps stand still or go back, as much as before."""
        passed = self._since_last(timestamp)
        if math.isfinite(timestamp):
            self._timestamp = timestamp
        if passed < 2:
            self._period = passed
        for track in self._tracks:
            track.idle += passed

    def _since_last(self, timestamp: float) -> float:
        passed = timestamp - self._timestamp
        return min(passed, 10.0) if 1e-3 < passed < math.inf else self._period

    def _match(self, seen: Observations, wait: float = 0.0) -> dict[int, Track]:
        """Tell which row of what is seen, in ``wait`` seconds from now, is which track."""
        tracks = self._tracks
        if not tracks or not len(seen.boxes):
            return {}
        shifts = np.stack([t.shift(t.idle + wait) for t in tracks])
        points = np.stack([t.points for t in tracks]) + shifts[:, None]
        boxes = np.stack([t.box for t in tracks]) + twice(shifts)
        weights = np.stack([t.weights for t in tracks])
        alike = similarity(points, weights, boxes, seen, self._sigmas)
        ratio = sizes(boxes)[:, None] / np.maximum(sizes(seen.boxes), 1e-6)
        near = iou(boxes, seen.boxes, REACH) * ((ratio > 0.5) & (ratio < 2))

        # those who may be nobody take nothing from those who are known, and what is far away is shared out last
        known = np.array([t.number > 0 for t in tracks])
        found: dict[int, int] = {}

        def share_out(group: np.ndarray, gain: np.ndarray) -> None:
            left = np.array([i for i in np.flatnonzero(group) if i not in found.values()], np.int64)
            free = np.array([j for j in range(len(seen.boxes)) if j not in found], np.int64)
            likely = np.where(gain > SAME, gain, 0)[left][:, free]
            found.update({int(free[j]): int(left[i]) for i, j in pairs(likely)})

        share_out(known, alike)
        share_out(~known, alike)
        share_out(known | ~known, near)
        # who vanished beside somebody was hidden by that one, and comes out beside it
        front = {tracks[i].number: row for row, i in found.items()}
        hidden = np.array([t.missed > 0 and t.behind in front for t in tracks])
        if hidden.any() and len(found) < len(seen.boxes):
            rows = [front.get(t.behind, 0) for t in tracks]
            share_out(hidden, iou(seen.boxes, seen.boxes, REACH)[rows] * ((ratio > 1 / 3) & (ratio < 3)))
        return {row: tracks[i] for row, i in found.items()}

    def _carried(self, seen: Observations, wait: float = 0.0) -> dict[int, Track]:
        """Do as `_match` for carried poses, and leave out those that lost their person."""
        found, good = self._match(seen, wait), dict[int, Track]()
        drift = {
            row: np.linalg.norm(t.points + t.shift(t.idle + wait) - seen.points[row], axis=1).mean()
            for row, t in found.items()
        }
        for row in sorted(found, key=drift.__getitem__):
            track, others = found[row], list(good)
            points, weights = seen.points[[row, *others]], seen.weights[[row, *others]]
            twins = oks(points[:1], points[1:], weights[:1], weights[1:], sizes(seen.boxes[[row]]), self._sigmas)
            jump = track.grown(points[0], weights[0])
            scored = seen.confidence[row] >= self.min_score * track.confidence
            like_before = scored and 1 / JUMP < jump < JUMP
            if (like_before or track.erratic) and not (twins > TWIN).any():
                good[row] = track
        return good

    def _give_up(self, seen: list[Track]) -> None:
        """Forget those who were missed too often, who were never confirmed, and who left the image."""
        for track in [t for t in self._tracks if t not in seen]:
            track.missed += 1
            if track.missed == 1:
                track.behind = self._hides(track, seen)
            middle = (track.box[:2] + track.box[2:]) / 2 + track.shift(track.idle)
            outside = (middle < 0).any() or (middle > self._size).any()
            if outside or track.number < 0 or track.missed > self.max_missed:
                self._tracks.remove(track)

    def _hides(self, track: Track, seen: list[Track]) -> int:
        """Return the number of the one beside whom a track vanished, or -1."""
        front = [t for t in seen if t.number > 0]
        if not front:
            return -1
        box = track.box + twice(track.shift(track.idle))
        beside = iou(box[None], np.stack([t.box for t in front]), REACH)[0]
        return front[int(beside.argmax())].number if beside.max() > SAME else -1

    def _newcomers(self, seen: Observations, found: dict[int, Track]) -> dict[int, Track]:
        """Start a track for each instance that is nobody's, the best first."""
        nobody = [row for row in range(len(seen.boxes)) if row not in found and sizes(seen.boxes[row]) > 0]
        nobody.sort(key=lambda row: -seen.scores[row])
        if self.max_persons is not None and self._rule is None:
            nobody = nobody[: max(0, self.max_persons - len(self._tracks))]
        started = {row: Track(self.smoothing() if self.smoothing else None) for row in nobody}
        if self._tracks:
            self._patience = min(t.patience for t in self._tracks)
        for row, track in started.items():
            track.patience = self._patience
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

        def distance(track: Track) -> tuple[float, float]:
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
