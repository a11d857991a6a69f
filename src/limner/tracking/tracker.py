"""The track ids of the people in a video, and the boxes predicted for the next frame."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .. import keypoints
from ..errors import ArgumentError
from ..keypoints import KeypointSet
from ..types import Boxes, Result
from .filters import OneEuro
from .follow import distance, parse_follow
from .matching import MIN_SIGMA, MIN_SIMILARITY, Observations, areas, best_pairs, iou, oks, similarity, sizes, tile_xy
from .track import Track

MATCH_MARGIN = 0.5  # of its sides: how far around its box a person is searched who was not matched otherwise
DUPLICATE_OKS = 0.9  # OKS above which two poses in predicted boxes are of the same person
MAX_SCALE_CHANGE = 1.5  # a pose in a predicted box that grows or shrinks by more in one frame is lost
MIN_VISIBLE = 0.3  # a predicted box of which a smaller share is inside the image is left out
PATIENCE_GROWTH = 1.15  # the patience is multiplied by it after an early detection that did not help
MAX_CHANGE = 0.0175  # share of a person's size, see `max_change` of `Tracker`
UNRELIABLE_CHANGE = 8.0  # times `max_change`: where a detected pose changes by more, the patience is doubled
PATIENCE_DECAY = 1.5  # the patience is divided by it after a detection that helped, or that was not requested


class Tracker:
    """Gives the people of a video track ids and smooths their keypoints, frame by frame.

    Each person is predicted to move on with its velocity, and the instances of a frame are assigned to the
    tracks by the best sum of OKS and IoU. Appearance is not used: a person who comes back later than
    ``max_missed`` frames, or elsewhere, gets a new track id.

    To run the detector on every tenth frame only, and where a predicted box would be wrong::

        since = 10
        for frame in frames:
            detects = since >= 10 or tracker.needs_detection
            result = pipeline.many([frame], None if detects else [tracker.predicted_boxes(size)])[0]
            if not detects and not tracker.accepts(result):
                detects, result = True, pipeline.one(frame)
            since = 1 if detects else since + 1
            result = tracker.update(result, detected=detects)

    Where an early detection does not make a pose more reliable (the network may be weak, or the person far
    away), more and more frames pass before that person requests the next one.

    Args:
        keypoint_set: of the results, or its name.
        max_persons: most people to track; those already tracked go first, also while they are missed.
        follow: return one person only: "largest", "center", "x,y" (nearest to that pixel), chosen when nobody is
            followed and kept until its track ends, or "id:3", the person with that track id.
        max_missed: frames without a person after which its track ends.
        new_score: box score from which on a new person gets its track id at once.
        confirm: frames after which any other new person gets it; until then its track id is -1.
        min_score: share of its keypoint score at the last detection below which a pose in a predicted box is lost.
        max_change: how far, as a share of its size, the keypoints of a person may move relative to each other from
            one frame to the next (the third of them that moves least) before the detector is requested: a larger
            value runs it less often.
        fps: frames per second, used where timestamps do not advance.
        smoothing: makes the filter of a new person; None does not smooth.
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
        max_change: float = MAX_CHANGE,
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
        self._rule = None if follow is None else parse_follow(follow)
        self._sigmas = np.maximum(2 * known.sigmas, MIN_SIGMA) if len(known.sigmas) else np.full(len(known), MIN_SIGMA)
        self._tracks: list[Track] = []
        self._subject: Track | None = None
        self._last_id = 0
        self._lost = False  # whether a pose in a predicted box was lost in the last frame
        self._requested_by: list[Track] = []  # tracks whose poses requested the detector on the next frame
        # the next frame's result, its instances and their tracks, as `accepts` matched them
        self._checked: tuple[Result, Observations, dict[int, Track]] | None = None
        self._patience = 1.0  # of new tracks: the least of those that exist
        self._size = (1, 1)  # of the last frame
        self._timestamp, self._period = math.nan, 1 / fps

    def update(self, result: Result, *, detected: bool = True) -> Result:
        """Return the next frame's result with ``track_ids`` and smoothed keypoints.

        Track ids count from 1; a new person that is not confirmed yet has -1. Instances keep their order. Those
        that are not followed, or beyond ``max_persons``, are left out.

        Args:
            result: of the next frame; any of its numbers may be NaN.
            detected: False where its boxes are those of `predicted_boxes`: then no track is started, and poses
                that are lost (low scores, a sudden change of size, two on one person) are left out.

        Raises:
            ArgumentError: the result has other keypoints than ``keypoint_set``.
        """
        self._check(result)
        self._resize(result.size)
        self._advance_time(result.timestamp)
        checked, self._checked = self._checked, None
        if not detected and checked is not None and checked[0] is result:
            observed, found = checked[1:]
        else:
            observed = Observations.of(result)
            found = self._match(observed) if detected else self._match_predicted(observed)
        lost = [] if detected else [t for t in self._followed if self._requests_detection(t, t not in found.values())]
        for row, track in found.items():
            track.update(observed, row, detected)
            self._update_patience(track, detected)
        self._requested_by = []
        self._lost = any(not t.missed for t in lost)
        self._drop_lost(list(found.values()))
        if detected:
            found |= self._start_tracks(observed, found)
        for track in found.values():
            if track.track_id < 0 and (track.score >= self.new_score or track.hits >= self.confirm):
                self._last_id += 1
                track.track_id = self._last_id
        if self._rule is not None:
            self._choose_subject(*self._rule)
            found = {row: track for row, track in found.items() if track is self._subject}
        all_rows = detected and self.max_persons is None and self._rule is None
        rows = np.arange(len(result)) if all_rows else np.array(sorted(found), np.int64)
        points = np.array(result.keypoints, np.float32)
        for row, track in found.items():
            points[row] = track.smoothed
        return replace(
            result,
            boxes=result.boxes[rows],
            poses=replace(result.poses, keypoints=points)[rows],
            track_ids=np.array([found[r].track_id if r in found else -1 for r in rows.tolist()], np.int64),
        )

    def predicted_boxes(
        self, frame_size: tuple[int, int], next_detection: Boxes | None = None, frames_ahead: int = 1
    ) -> Boxes:
        """Return the boxes predicted for the people of the last frame in the next one, best first.

        Args:
            frame_size: (width, height) of the next frame in pixels; boxes end at its edge.
            next_detection: the boxes detected ``frames_ahead`` frames after the last one, where they are known:
                boxes are then interpolated towards them in equal steps, in place of following the keypoints.
            frames_ahead: frames from the last to that one.
        """
        visible = sorted((t for t in self._tracks if self._in_view(t)), key=lambda t: -t.score)
        if not visible:
            return Boxes.empty()
        xyxy = np.stack([t.predicted_box(self._period) for t in visible])
        if next_detection is not None and len(next_detection) and frame_size == self._size:
            predicted = np.stack([t.box + tile_xy(t.displacement(frames_ahead * self._period)) for t in visible])
            overlap = iou(predicted, next_detection.xyxy.astype(np.float64))
            for i, j in best_pairs(np.where(overlap > MIN_SIMILARITY, overlap, 0)):
                xyxy[i] = visible[i].box + (next_detection.xyxy[j] - visible[i].box) / frames_ahead
        xyxy = xyxy * tile_xy(np.divide(frame_size, self._size))
        return Boxes(
            xyxy.clip(0, tile_xy(frame_size)).astype(np.float32),
            np.array([t.score for t in visible], np.float32),
            np.array([t.label for t in visible], np.int64),
        )

    def accepts(self, result: Result) -> bool:
        """Return whether the poses estimated in the boxes of `predicted_boxes` still fit their tracks.

        If not, a predicted box is wrong or about to be: run the detector on the same frame and give that
        result to `update`. Otherwise `update` leaves out poses that are lost and keeps doubtful ones, and
        `needs_detection` is true for the next frame.

        Args:
            result: of the frame after the last, estimated in predicted boxes.

        Raises:
            ArgumentError: the result has other keypoints than ``keypoint_set``.
        """
        self._check(result)
        observed, ahead = Observations.of(result), self._since_last(result.timestamp)
        found = self._match_predicted(observed, ahead)
        rows = {id(track): row for row, track in found.items()}
        wanted = [t for t in self._followed if self._in_view(t)]
        self._requested_by = [
            t
            for t in wanted
            if self._requests_detection(t, id(t) not in rows or t.shape_change(observed, rows[id(t)]) > self.max_change)
        ]
        same_size = result.size == self._size
        self._checked = (result, observed, found) if same_size else None
        return same_size and not self._requested_by

    @property
    def needs_detection(self) -> bool:
        """Whether the detector should run on the next frame: a person was lost, nobody is in view, or a pose
        changes so much that no box can be predicted from it."""
        visible = [t for t in self._followed if self._in_view(t)]
        self._requested_by = [t for t in visible if self._requests_detection(t, t.last_shape_change > self.max_change)]
        return self._lost or not visible or bool(self._requested_by)

    @property
    def _followed(self) -> list[Track]:
        return self._tracks if self._rule is None else [t for t in self._tracks if t is self._subject]

    def _requests_detection(self, track: Track, doubtful: bool) -> bool:
        """Return whether a track requests the detector: its pose is doubtful, and its patience is over."""
        return doubtful and track.since_detection + 1 >= int(track.patience)

    def _update_patience(self, track: Track, detected: bool) -> None:
        """Raise the patience with a track whose early detection did not help; lower it where no pose was doubtful."""
        doubtful = track.last_shape_change > self.max_change
        if not detected:
            track.since_detection += 1
            track.was_doubtful = track.was_doubtful or doubtful
            return
        if track in self._requested_by and doubtful:
            if track.since_detection == 0 or track.patience > 1:  # else its box may have been wrong before
                large = track.last_shape_change > UNRELIABLE_CHANGE * self.max_change
                track.patience *= 2 if large else PATIENCE_GROWTH
        elif not doubtful and (track in self._requested_by or not track.was_doubtful):
            track.patience = max(1.0, track.patience / PATIENCE_DECAY)
        track.since_detection, track.was_doubtful = 0, False

    def _check(self, result: Result) -> None:
        if result.keypoints.shape[1] != len(self.keypoint_set):
            raise ArgumentError(
                f"the tracker was made for the {len(self.keypoint_set)} keypoints of '{self.keypoint_set.name}', "
                f"but a result has {result.keypoints.shape[1]} ('{result.keypoint_set.name}')"
            )

    def _in_view(self, track: Track) -> bool:
        box = track.predicted_box(self._period)
        inside = box.clip(0, tile_xy(self._size))
        return not track.missed and bool(areas(inside) >= MIN_VISIBLE * areas(box))

    def _resize(self, size: tuple[int, int]) -> None:
        if self._tracks and self._size != size:
            for track in self._tracks:
                track.rescale(np.divide(size, self._size))
        self._size = size

    def _advance_time(self, timestamp: float) -> None:
        """Add the time since the last frame to all tracks; where timestamps do not advance, the last such time."""
        passed = self._since_last(timestamp)
        if math.isfinite(timestamp):
            self._timestamp = timestamp
        if passed < 2:
            self._period = passed
        for track in self._tracks:
            track.time_unseen += passed

    def _since_last(self, timestamp: float) -> float:
        passed = timestamp - self._timestamp
        return min(passed, 10.0) if 1e-3 < passed < math.inf else self._period

    def _match(self, observed: Observations, ahead: float = 0.0) -> dict[int, Track]:
        """Return the track of each row of the observations that has one; they are made ``ahead`` seconds from now."""
        tracks = self._tracks
        if not tracks or not len(observed.boxes):
            return {}
        shifts = np.stack([t.displacement(t.time_unseen + ahead) for t in tracks])
        points = np.stack([t.points for t in tracks]) + shifts[:, None]
        boxes = np.stack([t.box for t in tracks]) + tile_xy(shifts)
        weights = np.stack([t.weights for t in tracks])
        similar = similarity(points, weights, boxes, observed, self._sigmas)
        ratio = sizes(boxes)[:, None] / np.maximum(sizes(observed.boxes), 1e-6)
        overlap = iou(boxes, observed.boxes, MATCH_MARGIN) * ((ratio > 0.5) & (ratio < 2))

        # confirmed tracks are assigned before unconfirmed ones, and instances that are far away last
        known = np.array([t.track_id > 0 for t in tracks])
        found: dict[int, int] = {}

        def assign_rows(group: np.ndarray, gain: np.ndarray) -> None:
            left = np.array([i for i in np.flatnonzero(group) if i not in found.values()], np.int64)
            free = np.array([j for j in range(len(observed.boxes)) if j not in found], np.int64)
            candidates = np.where(gain > MIN_SIMILARITY, gain, 0)[left][:, free]
            found.update({int(free[j]): int(left[i]) for i, j in best_pairs(candidates)})

        assign_rows(known, similar)
        assign_rows(~known, similar)
        assign_rows(known | ~known, overlap)
        # a person who disappeared beside another was hidden by that one, and reappears beside it
        front = {tracks[i].track_id: row for row, i in found.items()}
        occluded = np.array([t.missed > 0 and t.hidden_by in front for t in tracks])
        if occluded.any() and len(found) < len(observed.boxes):
            rows = [front.get(t.hidden_by, 0) for t in tracks]
            overlap = iou(observed.boxes, observed.boxes, MATCH_MARGIN)
            assign_rows(occluded, overlap[rows] * ((ratio > 1 / 3) & (ratio < 3)))
        return {row: tracks[i] for row, i in found.items()}

    def _match_predicted(self, observed: Observations, ahead: float = 0.0) -> dict[int, Track]:
        """Match as `_match` does, but poses in predicted boxes, and leave out those that lost their person."""
        found, good = self._match(observed, ahead), dict[int, Track]()
        distance = {
            row: np.linalg.norm(t.points + t.displacement(t.time_unseen + ahead) - observed.points[row], axis=1).mean()
            for row, t in found.items()
        }
        for row in sorted(found, key=distance.__getitem__):
            track, others = found[row], list(good)
            points, weights = observed.points[[row, *others]], observed.weights[[row, *others]]
            overlap = oks(points[:1], points[1:], weights[:1], weights[1:], sizes(observed.boxes[[row]]), self._sigmas)
            scale = track.scale_change(points[0], weights[0])
            score_kept = observed.confidence[row] >= self.min_score * track.confidence
            consistent = score_kept and 1 / MAX_SCALE_CHANGE < scale < MAX_SCALE_CHANGE
            if (consistent or track.unreliable) and not (overlap > DUPLICATE_OKS).any():
                good[row] = track
        return good

    def _drop_lost(self, matched: list[Track]) -> None:
        """Count the misses, and end tracks missed too often, never confirmed, or outside the image."""
        for track in [t for t in self._tracks if t not in matched]:
            track.missed += 1
            if track.missed == 1:
                track.hidden_by = self._find_occluder(track, matched)
            middle = (track.box[:2] + track.box[2:]) / 2 + track.displacement(track.time_unseen)
            outside = (middle < 0).any() or (middle > self._size).any()
            if outside or track.track_id < 0 or track.missed > self.max_missed:
                self._tracks.remove(track)

    def _find_occluder(self, track: Track, matched: list[Track]) -> int:
        """Return the id of the track beside which a track disappeared, or -1."""
        front = [t for t in matched if t.track_id > 0]
        if not front:
            return -1
        box = track.box + tile_xy(track.displacement(track.time_unseen))
        overlap = iou(box[None], np.stack([t.box for t in front]), MATCH_MARGIN)[0]
        return front[int(overlap.argmax())].track_id if overlap.max() > MIN_SIMILARITY else -1

    def _start_tracks(self, observed: Observations, found: dict[int, Track]) -> dict[int, Track]:
        """Start a track for each instance that has none, the best first."""
        untracked = [row for row in range(len(observed.boxes)) if row not in found and sizes(observed.boxes[row]) > 0]
        untracked.sort(key=lambda row: -observed.scores[row])
        if self.max_persons is not None and self._rule is None:
            untracked = untracked[: max(0, self.max_persons - len(self._tracks))]
        started = {row: Track(self.smoothing() if self.smoothing else None) for row in untracked}
        if self._tracks:
            self._patience = min(t.patience for t in self._tracks)
        for row, track in started.items():
            track.patience = self._patience
            track.update(observed, row, detected=True)
        self._tracks += started.values()
        return started

    def _choose_subject(self, rule: str, numbers: tuple[float, ...]) -> None:
        """Keep the followed person as long as its track exists, then choose another."""
        if self._subject in self._tracks:
            return
        visible = [t for t in self._tracks if t.track_id > 0 and not t.missed]
        if rule == "id":
            visible = [t for t in visible if t.track_id == numbers[0]]
        point = np.array(numbers) if rule == "point" else np.divide(self._size, 2)
        if rule == "largest":
            self._subject = max(visible, key=lambda t: float(sizes(t.box)), default=None)
        else:
            self._subject = min(visible, key=lambda t: distance(t.box, point), default=None)
