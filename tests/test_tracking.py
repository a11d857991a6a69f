"""People keep their numbers, their points stop trembling, and nothing breaks when the video does."""

from __future__ import annotations

import itertools
import pickle
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from limner import keypoints
from limner.errors import ArgumentError
from limner.tracking import OneEuro, Tracker, smooth
from limner.tracking.matching import assign, iou
from limner.types import Boxes, Poses, Result

SIZE = (1280, 720)
PLAIN: dict = {"smoothing": None}
# a person who stands, in the order of COCO, of height 1 round (0, 0)
HEAD = [(0, -42), (3, -45), (-3, -45), (6, -43), (-6, -43)]
ARMS = [(12, -30), (-12, -30), (16, -12), (-16, -12), (17, 3), (-17, 3)]
LEGS = [(8, 5), (-8, 5), (9, 27), (-9, 27), (9, 47), (-9, 47)]
STANDING = np.array([*HEAD, *ARMS, *LEGS]) / 100
SWING = np.zeros((17, 2))
SWING[[7, 8, 9, 10, 13, 14, 15, 16], 0] = 0.06, -0.06, 0.12, -0.12, -0.08, 0.08, -0.15, 0.15


def person(x: float, y: float = 360, height: float = 300, phase: float = 0, facing: int = 1) -> np.ndarray:
    """Return 17 points of a person who walks; ``phase`` moves arms and legs."""
    points = STANDING + np.sin(phase) * SWING
    points[0, 0] += 0.05
    return points * (facing, 1) * height + (x, y)


def box_of(points: np.ndarray) -> np.ndarray:
    low, high = points.min(axis=0), points.max(axis=0)
    return np.concatenate([low - 0.08 * (high - low), high + 0.08 * (high - low)])


def size_of(points: np.ndarray) -> float:
    low, high = box_of(points).reshape(2, 2)
    return float(np.sqrt(np.prod(high - low)))


def result(
    people: Sequence[np.ndarray],
    time: float = 0.0,
    *,
    boxes: Sequence[np.ndarray] | np.ndarray | None = None,
    box_score: float | Sequence[float] = 0.9,
    score: float = 0.8,
    size: tuple[int, int] = SIZE,
) -> Result:
    n = len(people)
    xyxy = np.array([box_of(p) for p in people] if boxes is None else boxes, np.float32).reshape(n, 4)
    return Result(
        Boxes(xyxy, np.broadcast_to(np.float32(box_score), n).copy(), np.zeros(n, np.int64)),
        Poses(np.array(people, np.float32).reshape(n, 17, 2), np.full((n, 17), score, np.float32)),
        keypoints.load("coco-17"),
        size,
        timestamp=time,
    )


def run(tracker: Tracker, results: Iterable[Result]) -> list[Result]:
    return [tracker.update(r) for r in results]


def ids(tracked: Result) -> list[int]:
    assert tracked.track_ids is not None
    assert len(tracked.track_ids) == len(tracked)
    return tracked.track_ids.tolist()


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


# -- numbers ---------------------------------------------------------------------------------------------------


def test_people_are_numbered_from_one_and_keep_their_number_in_any_order() -> None:
    noise = rng()
    tracker = Tracker("coco-17", **PLAIN)
    for i in range(30):
        people = [person(200 + 60 * k, 200 + 100 * k, 180) + noise.normal(0, 2, (17, 2)) for k in range(3)]
        order = noise.permutation(3)
        tracked = tracker.update(result([people[k] for k in order], i / 25, box_score=[0.9 - 0.1 * k for k in order]))
        assert ids(tracked) == (order + 1).tolist(), "the best one comes first, instances stay in their order"
        assert np.array_equal(tracked.keypoints, np.array([people[k] for k in order], np.float32))


@pytest.mark.parametrize(
    ("fps", "speed", "height", "dy"),
    [(25, 150, 300, 0), (25, 400, 240, 20), (60, 300, 260, -30), (10, 200, 270, 10), (5, 200, 240, -30)],
)
def test_two_who_cross_keep_their_numbers(fps: float, speed: float, height: float, dy: float) -> None:
    for seed in range(3):
        noise = np.random.default_rng(seed)
        tracker = Tracker("coco-17", **PLAIN)
        seen: list[list[int]] = [[], []]
        for i in range(int(900 / speed * fps)):
            t = i / fps
            walkers = [
                person(150 + speed * t, phase=6 * t),
                person(1050 - speed * t, 360 + dy, height, phase=6 * t + 1, facing=-1),
            ]
            order = noise.permutation(2)
            boxes = [box_of(walkers[k]) + noise.normal(0, 4, 4) for k in order]
            tracked = tracker.update(result([walkers[k] + noise.normal(0, 3, (17, 2)) for k in order], t, boxes=boxes))
            for k, number in zip(order, ids(tracked), strict=True):
                seen[k].append(number)
        assert sorted({*seen[0]} | {*seen[1]}) == [1, 2]
        assert len({*seen[0]}) == len({*seen[1]}) == 1


@pytest.mark.parametrize("front", [0, 1])
def test_one_whose_box_is_suppressed_while_they_cross_comes_back_as_the_same(front: int) -> None:
    noise = rng()
    tracker = Tracker("coco-17", **PLAIN)
    seen: list[set[int]] = [set(), set()]
    hidden = 0
    for i in range(120):
        t = i / 25
        walkers = [person(150 + 200 * t, phase=6 * t), person(1050 - 200 * t, 350, 270, phase=6 * t + 1, facing=-1)]
        overlap = iou(box_of(walkers[0])[None], box_of(walkers[1])[None])[0, 0]
        there = [front] if overlap > 0.3 else [0, 1]
        hidden += len(there) == 1
        tracked = tracker.update(result([walkers[k] + noise.normal(0, 2, (17, 2)) for k in there], t))
        for k, number in zip(there, ids(tracked), strict=True):
            seen[k].add(number)
    assert hidden > 5
    assert [len(s) for s in seen] == [1, 1]


@pytest.mark.parametrize("fps", [25, 60])
def test_one_who_is_missed_for_ten_frames_while_walking_keeps_the_number(fps: float) -> None:
    noise = rng()
    tracker = Tracker("coco-17", **PLAIN)
    for i in range(60):
        t = i / fps
        walker, other = person(300 + 250 * t, phase=6 * t), person(900, 400, 200)
        people = [p + noise.normal(0, 2, (17, 2)) for p in ([other] if 30 <= i < 40 else [other, walker])]
        assert ids(tracker.update(result(people, t))) == ([1] if 30 <= i < 40 else [1, 2])


def test_one_who_stays_away_gets_a_new_number() -> None:
    tracker = Tracker("coco-17", max_missed=5, **PLAIN)
    run(tracker, [result([person(400)], i / 25) for i in range(3)])
    run(tracker, [result([], (3 + i) / 25) for i in range(6)])
    assert ids(tracker.update(result([person(400)], 9 / 25))) == [2]


def test_one_who_left_the_image_is_not_continued_by_one_who_enters_there() -> None:
    tracker = Tracker("coco-17", **PLAIN)
    for i in range(35):
        x = 1000 + 10 * i
        tracker.update(result([person(x)] if x < 1275 else [], i / 25))
    assert ids(tracker.update(result([person(1200)], 35 / 25))) == [2]


def test_runners_who_reach_the_place_of_the_next_one_in_each_frame_keep_their_numbers() -> None:
    tracker = Tracker("coco-17", **PLAIN)
    spacing, x = 160.0, 50.0
    for i in range(16):
        x += min(20.0 * i, spacing)
        tracked = tracker.update(result([person(x + k * spacing) for k in range(4)], i / 8, size=(4000, 720)))
        assert ids(tracked) == [1, 2, 3, 4]


def test_a_doubtful_newcomer_is_shown_at_once_and_numbered_when_confirmed() -> None:
    tracker = Tracker("coco-17", **PLAIN)
    sure, doubtful, flicker = person(300), person(700), person(1100)
    first = tracker.update(result([sure, doubtful, flicker], 0, box_score=[0.9, 0.4, 0.4]))
    assert ids(first) == [1, -1, -1]
    later = [tracker.update(result([sure, doubtful], i / 25, box_score=[0.9, 0.4])) for i in (1, 2, 3)]
    assert [ids(r) for r in later] == [[1, -1], [1, 2], [1, 2]]
    assert [ids(r) for r in smooth([first, *later])] == [[1, 2, -1], [1, 2], [1, 2], [1, 2]], "no frame is lost"


def test_max_persons_keeps_those_who_were_there_first() -> None:
    tracker = Tracker("coco-17", max_persons=2, **PLAIN)
    a, b, c = person(200), person(600), person(1000)
    assert ids(tracker.update(result([b, a, c], 0, box_score=[0.8, 0.9, 0.7]))) == [2, 1]
    tracked = tracker.update(result([c, b], 1 / 25, box_score=[0.99, 0.6]))
    assert ids(tracked) == [2]
    assert np.array_equal(tracked.keypoints[0], b.astype(np.float32))


def test_thirty_people_for_a_thousand_frames_cost_no_more_at_the_end() -> None:
    noise = rng()
    tracker = Tracker("coco-17")
    memory, work, numbers = [], [], set()
    for i in range(1000):
        # each in turn is missed for ten frames, and something flickers
        people = [
            person(40 * k + 40, 200 + 5 * np.sin(i / 20 + k), 100) + noise.normal(0, 1, (17, 2))
            for k in range(30)
            if (i // 10) % 30 != k
        ]
        people.append(person(100 if i % 2 else 1100, 600, 100))
        given = result(people, i / 25, box_score=[*[0.9] * (len(people) - 1), 0.2])
        calls = 0
        if i % 100 == 95:

            def count(*_: object) -> None:
                nonlocal calls
                calls += 1

            sys.setprofile(count)
        tracked = tracker.update(given)
        sys.setprofile(None)
        numbers |= {*ids(tracked)}
        if i % 100 == 95:
            work.append(calls)
            memory.append(len(pickle.dumps(tracker)))
    assert len(memory) == 10
    assert max(memory) < 1.05 * memory[0]
    assert max(work) < 1.1 * work[0]
    assert numbers - {-1} <= set(range(1, 31)), "ten frames away is not a new person"


def test_the_assignment_is_the_best_of_all() -> None:
    noise = rng()
    for rows, columns in itertools.product(range(1, 5), range(1, 6)):
        for _ in range(10):
            cost = noise.integers(0, 6, (rows, columns)).astype(float)
            found = assign(cost)
            tall = cost if rows >= columns else cost.T
            best = min(
                sum(tall[i, j] for j, i in enumerate(order))
                for order in itertools.permutations(range(tall.shape[0]), tall.shape[1])
            )
            assert len(found) == min(rows, columns) == len({i for i, _ in found}) == len({j for _, j in found})
            assert sum(cost[i, j] for i, j in found) == best


# -- one subject -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("follow", "chosen"), [("largest", 2), ("center", 1), ("1000, 300", 0), ("id:2", 0), ("ID:3", 2)]
)
def test_follow_gives_one_subject(follow: str, chosen: int) -> None:
    people = [person(1000, 360, 250), person(640, 360, 200), person(200, 360, 400)]
    tracker = Tracker("coco-17", follow=follow, **PLAIN)
    for i in range(3):
        tracked = tracker.update(result(people, i / 25, box_score=[0.8, 0.9, 0.7]))
        assert ids(tracked) == [[2, 1, 3][chosen]]
        assert np.array_equal(tracked.keypoints[0], people[chosen].astype(np.float32))


def test_the_subject_is_not_swapped_for_a_larger_one_or_while_it_is_missed() -> None:
    tracker = Tracker("coco-17", follow="largest", max_missed=10, **PLAIN)
    small, large = person(300, 360, 200), person(900, 360, 500)
    assert ids(tracker.update(result([small], 0))) == [1]
    assert ids(tracker.update(result([small, large], 1 / 25))) == [1]
    for i in range(2, 10):
        assert len(tracker.update(result([large], i / 25))) == 0
        assert tracker.needs_detection
    assert ids(tracker.update(result([large, small], 10 / 25))) == [1]
    gone = run(tracker, [result([large], i / 25) for i in range(11, 23)])
    assert ids(gone[9]) == []
    assert ids(gone[10]) == [2], "given up, so the largest is chosen anew"


def test_a_subject_who_crosses_another_is_still_followed() -> None:
    noise = rng()
    tracker = Tracker("coco-17", follow="id:1", **PLAIN)
    for i in range(100):
        t = i / 25
        walkers = [person(150 + 220 * t, phase=6 * t), person(1050 - 220 * t, 350, 280, phase=6 * t + 1, facing=-1)]
        tracked = tracker.update(result([w + noise.normal(0, 2, (17, 2)) for w in walkers], t, box_score=[0.95, 0.9]))
        assert ids(tracked) == [1]
        assert np.abs(tracked.keypoints[0] - walkers[0]).max() < 12


@pytest.mark.parametrize("follow", ["biggest", "id:", "id:x", "id:0", "id:1.5", "id:inf", "12", "1,2,3", "nan,3", ""])
def test_a_follow_that_means_nothing_is_refused_with_the_choices(follow: str) -> None:
    with pytest.raises(ArgumentError, match="largest, center"):
        Tracker("coco-17", follow=follow)


# -- between two runs of the detector --------------------------------------------------------------------------


def carry(tracker: Tracker, people: Sequence[np.ndarray], time: float, score: float = 0.8) -> Result:
    """Play a pose network that finds the person nearest to each carried box."""
    boxes = tracker.predicted_boxes(SIZE).xyxy
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    nearest = [min(people, key=lambda p: float(np.linalg.norm(p.mean(axis=0) - m))) for m in middles]
    return tracker.update(result(nearest, time, boxes=boxes, score=score), detected=False)


def test_boxes_are_carried_by_the_points_close_to_what_the_detector_would_say() -> None:
    tracker = Tracker("coco-17", **PLAIN)
    noise = rng()
    overlaps = []
    for i in range(50):
        t = i / 25
        walkers = [person(200 + 150 * t, phase=6 * t), person(900, 400 - 20 * t, 150 + 40 * t)]
        seen = [p + noise.normal(0, 1, (17, 2)) for p in walkers]
        if i % 5 == 0:
            tracked = tracker.update(result(seen, t, boxes=[box_of(p) for p in walkers]))
        else:
            carried = tracker.predicted_boxes(SIZE).xyxy
            overlaps += np.diag(iou(carried, np.array([box_of(p) for p in walkers]))).tolist()
            tracked = carry(tracker, seen, t)
        assert ids(tracked) == [1, 2]
        assert not tracker.needs_detection
    assert np.mean(overlaps) > 0.9
    assert min(overlaps) > 0.7


def test_a_box_runs_ahead_with_one_who_runs() -> None:
    fps, tracker, overlaps = 10, Tracker("coco-17", **PLAIN), []
    for i in range(15):
        runner = person(100 + 60 * i, height=200)
        if i % 5 == 0:
            tracker.update(result([runner], i / fps))
        else:
            overlaps.append(iou(tracker.predicted_boxes(SIZE).xyxy, box_of(runner)[None])[0, 0])
            assert ids(carry(tracker, [runner], i / fps)) == [1]
    assert min(overlaps[1:]) > 0.7


def test_carried_boxes_keep_the_detectors_score_and_class_and_end_at_the_edge() -> None:
    tracker = Tracker("coco-17", **PLAIN)
    given = result([person(40), person(700)], box_score=[0.6, 0.95])
    tracker.update(replace(given, boxes=replace(given.boxes, labels=np.array([3, 5]))))
    boxes = tracker.predicted_boxes(SIZE)
    assert boxes.scores.tolist() == pytest.approx([0.95, 0.6]), "best first"
    assert boxes.labels.tolist() == [5, 3]
    assert boxes.xyxy.dtype == np.float32
    assert boxes.xyxy[1, 0] == 0
    assert np.allclose(tracker.predicted_boxes((640, 360)).xyxy, boxes.xyxy / 2), "for a frame of half the size"


def test_the_detector_is_wanted_while_there_is_nobody() -> None:
    tracker = Tracker("coco-17")
    assert tracker.needs_detection
    assert len(tracker.predicted_boxes(SIZE)) == 0
    tracker.update(result([person(300)]))
    assert not tracker.needs_detection
    tracker.update(result([], 1 / 25))
    assert tracker.needs_detection


@pytest.mark.parametrize("why", ["low scores", "size jump", "elsewhere", "not there", "two on one"])
def test_a_carried_pose_that_lost_its_person_is_left_out_and_calls_the_detector(why: str) -> None:
    tracker = Tracker("coco-17", **PLAIN)
    one, other = person(300), person(800)
    for i in range(3):
        tracker.update(result([one, other], i / 25))
    boxes = tracker.predicted_boxes(SIZE).xyxy
    given = {
        "low scores": result([one, other], 3 / 25, boxes=boxes),
        "size jump": result([one, person(800, 360, 150)], 3 / 25, boxes=boxes),
        "elsewhere": result([one, person(1200, 600, 100)], 3 / 25),
        "not there": result([one], 3 / 25),
        "two on one": result([one, one + 1], 3 / 25, boxes=boxes),
    }[why]
    if why == "low scores":
        given.poses.scores[1] = 0.1
    assert ids(tracker.update(given, detected=False)) == [1]
    assert tracker.needs_detection
    again = tracker.update(result([one, other], 4 / 25))
    assert ids(again) == [1, 2]
    assert not tracker.needs_detection


def test_a_box_that_leaves_the_image_calls_the_detector_and_is_not_looked_at() -> None:
    tracker = Tracker("coco-17", **PLAIN)
    for i in range(40):
        carried = carry(tracker, [person(1150 + 6 * i)], i / 25) if i else tracker.update(result([person(1150)]))
        if tracker.needs_detection:
            break
        assert ids(carried) == [1]
    assert tracker.needs_detection
    assert len(tracker.predicted_boxes(SIZE)) == 0


def test_boxes_go_towards_what_the_detector_sees_next_where_that_is_known() -> None:
    tracker = Tracker("coco-17", **PLAIN)
    there, gone = person(400), person(900)
    for i in range(5):
        tracker.update(result([there, gone], i / 30))
    coming = result([there + np.array([60, 20])])
    ways = tracker.predicted_boxes(SIZE, coming.boxes, 4).xyxy
    np.testing.assert_allclose(ways[0], box_of(there) + np.tile((15, 5), 2), atol=0.01)
    np.testing.assert_allclose(ways[1], box_of(gone), atol=1)  # nobody is seen near: carried by its points
    np.testing.assert_allclose(tracker.predicted_boxes(SIZE, coming.boxes, 1).xyxy[0], coming.boxes.xyxy[0], atol=0.01)
    assert tracker.predicted_boxes(SIZE, Boxes.empty(), 4).xyxy.shape == (2, 4)


def looks(poses: Callable[[int, bool], np.ndarray], frames: int = 200, interval: int = 5) -> list[int]:
    """Return the frames at which the detector looks at one who is posed like that."""
    tracker, since, looked = Tracker("coco-17", **PLAIN), interval, list[int]()
    stands = [box_of(person(600))]
    for i in range(frames):
        detects = since >= interval or tracker.needs_detection
        found = result([poses(i, detects)], i / 30, boxes=stands if detects else tracker.predicted_boxes(SIZE).xyxy)
        if not detects and not tracker.accepts(found):
            detects, found = True, result([poses(i, True)], i / 30, boxes=stands)
        since = 1 if detects else since + 1
        looked += [i] if detects else []
        tracker.update(found, detected=detects)
    return looked


def test_the_detector_is_called_ever_less_for_poses_that_it_makes_no_better() -> None:
    noise = rng()
    looked = looks(lambda i, detects: person(600) + noise.normal(0, 40, (17, 2)))
    assert len([i for i in looked if i < 20]) > 4, "at first it is tried"
    assert len([i for i in looked if i >= 100]) <= 21, "and then at every fifth frame alone"


def test_the_detector_is_still_called_where_that_helps() -> None:
    noise = rng()

    def astray(i: int, detects: bool) -> np.ndarray:
        return person(600) + noise.normal(0, 0.5 if detects or i % 4 else 40, (17, 2))

    assert set(range(4, 200, 4)) <= set(looks(astray)), "each pose that goes astray is found again at once"


def test_one_who_moves_wildly_for_a_moment_is_believed_again_later() -> None:
    noise = rng()

    def wild(i: int, detects: bool) -> np.ndarray:
        return person(600) + noise.normal(0, 40 if i < 60 or (i in (151, 152) and not detects) else 0.5, (17, 2))

    looked = looks(wild)
    assert len([i for i in looked if 100 <= i < 150]) == 10
    assert {151, 152} & set(looked)


def test_between_detections_nobody_is_new() -> None:
    tracker = Tracker("coco-17", **PLAIN)
    tracker.update(result([person(300)]))
    assert ids(tracker.update(result([person(300), person(900)], 1 / 25), detected=False)) == [1]


# -- steady points ---------------------------------------------------------------------------------------------


def shaking(fps: float, height: float, sigma: float, seconds: float = 6) -> list[Result]:
    noise = rng()
    still = person(600, 360, height)
    return [result([still + noise.normal(0, sigma, (17, 2))], i / fps) for i in range(int(seconds * fps))]


def jitter(results: Iterable[Result], row: int = 0) -> float:
    return float(np.array([r.keypoints[row] for r in results]).std(axis=0).mean())


@pytest.mark.parametrize("fps", [25, 60])
@pytest.mark.parametrize(("height", "sigma"), [(300, 0.5), (300, 2), (300, 4), (60, 0.5)])
def test_the_same_pose_again_trembles_at_least_60_percent_less(fps: float, height: float, sigma: float) -> None:
    given = shaking(fps, height, sigma)
    assert jitter(run(Tracker("coco-17"), given)) <= 0.4 * jitter(given)
    assert jitter(smooth(run(Tracker("coco-17", **PLAIN), given))) <= 0.4 * jitter(given)


@pytest.mark.parametrize("fps", [25, 60])
@pytest.mark.parametrize("speed", [0.3, 0.6, 1.5, 3])
def test_a_steady_motion_lags_at_most_one_and_a_half_frames(fps: float, speed: float) -> None:
    for sigma in (0.0, 1.0):
        noise = rng()
        pixels = speed * size_of(person(0)) / fps  # in each frame
        path = [person(100 + pixels * i) for i in range(int(3 * fps))]
        wide = (10_000, 720)
        given = [result([p + noise.normal(0, sigma, (17, 2))], i / fps, size=wide) for i, p in enumerate(path)]
        tracked = run(Tracker("coco-17"), given)
        lags = [(p - r.keypoints[0])[:, 0].mean() / pixels for p, r in zip(path, tracked, strict=True)]
        assert max(lags) <= 1.5, "from the first frame on"
        assert abs(np.mean(lags[int(fps) :])) <= 0.5
        for p, r in zip(path, smooth(tracked), strict=True):
            assert abs((p - r.keypoints[0])[:, 0].mean()) / pixels <= 1.5


def test_a_point_that_sets_out_and_stops_is_never_far_off() -> None:
    fps, size = 25, 200.0
    euro = OneEuro()
    noise = rng()
    for i in range(100):
        x = 0.8 * size * np.clip(i / fps - 1, 0, 1)
        seen = np.array([[x, 50.0]]) + noise.normal(0, 0.5, (1, 2))
        off = euro(seen, size, 1 / fps)[0, 0] - x
        assert abs(off) <= 1.5 * 0.8 * size / fps


def test_a_small_face_and_a_large_body_behave_alike() -> None:
    noise = rng()
    path = np.cumsum(noise.normal(0, 1, (80, 5, 2)), axis=0)
    small, large = OneEuro(), OneEuro()
    for points in path:
        assert np.allclose(20 * small(points, 30.0, 0.04), large(20 * points, 600.0, 0.04))


def test_the_filter_settles_within_half_a_second() -> None:
    noise = rng()
    off = []
    for _ in range(20):
        euro = OneEuro()
        seen = [euro(noise.normal(0, 2, (17, 2)), 200, 1 / 60) for _ in range(30)]
        off.append(np.abs(seen[12:]).mean())
    assert np.mean(off) < 0.65, "a third of the noise"


def test_the_filter_goes_on_where_the_image_changes_its_size() -> None:
    noise = rng()
    same, changed = OneEuro(), OneEuro()
    for i in range(60):
        factor = 0.25 if i >= 30 else 1.0
        if i == 30:
            changed.rescale(np.array([factor, factor]))
        points = noise.normal((8 * i, 0), 3, (5, 2))
        assert np.allclose(factor * same(points, 100, 0.04), changed(factor * points, factor * 100, 0.04))


def test_a_point_that_is_not_known_leaves_the_others_alone() -> None:
    noise = rng()
    with_gap, without = OneEuro(), OneEuro()
    for i in range(40):
        points = noise.normal(0, 1, (6, 2))
        broken = points.copy()
        if 10 <= i < 20:
            broken[2] = np.nan
        got, wanted = with_gap(broken, 100, 0.04), without(points, 100, 0.04)
        assert np.isnan(got[2]).all() == (10 <= i < 20)
        assert np.isfinite(np.delete(got, 2, axis=0)).all()
        assert np.allclose(np.delete(got, 2, axis=0), np.delete(wanted, 2, axis=0), atol=0.5)


@pytest.mark.parametrize("wrong", [{"min_cutoff": 0}, {"beta": -1}, {"d_cutoff": float("nan")}])
def test_a_filter_without_sense_is_refused(wrong: dict) -> None:
    with pytest.raises(ArgumentError, match="cut-off"):
        OneEuro(**wrong)


def test_smoothing_can_be_tuned_and_left_out() -> None:
    given = shaking(25, 300, 2)
    calm = jitter(run(Tracker("coco-17", smoothing=lambda: OneEuro(min_cutoff=0.1)), given))
    assert calm < jitter(run(Tracker("coco-17"), given))
    plain = run(Tracker("coco-17", **PLAIN), given)
    assert all(np.array_equal(a.keypoints, b.keypoints) for a, b in zip(plain, given, strict=True))


# -- a whole video at once -------------------------------------------------------------------------------------


def test_a_wave_of_the_hand_is_not_smoothed_away() -> None:
    fps = 25
    noise = rng()
    true = []
    for i in range(100):
        points = person(600)
        points[9] += (0, 60 * np.sin(2 * np.pi * 2.5 * i / fps))  # 2.5 waves a second
        true.append(points)
    given = [result([p + noise.normal(0, 2, (17, 2))], i / fps) for i, p in enumerate(true)]
    smoothed = smooth(run(Tracker("coco-17", **PLAIN), given))
    got = np.array([r.keypoints[0] for r in smoothed])
    error = np.abs(got - np.array(true))
    assert np.ptp(got[:, 9, 1]) > 0.8 * 120
    assert error[:, 9].mean() < 6
    assert np.delete(error, 9, axis=1).mean() < 1


def test_short_gaps_are_filled_and_long_ones_are_not() -> None:
    fps = 25
    path = [person(200 + 6 * i) for i in range(80)]
    gone = [*range(10, 20), *range(40, 60)]
    given = [result([] if i in gone else [p], i / fps, score=0.5) for i, p in enumerate(path)]
    filled = smooth(run(Tracker("coco-17", **PLAIN), given), fps)
    assert [len(r) for r in filled] == [0 if 40 <= i < 60 else 1 for i in range(80)]
    for i in range(10, 20):
        assert ids(filled[i]) == [1]
        assert np.abs(filled[i].keypoints[0] - path[i]).max() < 1
        assert np.abs(filled[i].boxes.xyxy[0] - box_of(path[i])).max() < 1
        assert filled[i].scores[0] == pytest.approx(0.5)


def test_points_that_are_missing_for_a_moment_are_filled_too() -> None:
    path = [person(200 + 6 * i) for i in range(60)]
    given = [result([p], i / 25) for i, p in enumerate(path)]
    for i in range(60):
        given[i].poses.keypoints[0, 4] = np.nan if 10 <= i < 15 else path[i][4]
        given[i].poses.keypoints[0, 7] = np.nan if i < 3 or 20 <= i < 50 else path[i][7]
    filled = smooth(run(Tracker("coco-17", **PLAIN), given))
    for i, r in enumerate(filled):
        known = np.isfinite(r.keypoints[0]).all(axis=1)
        assert known.tolist() == [k != 7 or (3 <= i < 20 or i >= 50) for k in range(17)]
        assert np.abs(r.keypoints[0] - path[i])[known].max() < 2


def test_unequal_times_are_taken_into_account() -> None:
    noise = rng()
    times = np.cumsum(noise.choice([1 / 60, 1 / 25, 1 / 10], 120))
    curve = [person(600 + 300 * np.sin(1.5 * t), 360 + 20 * t) for t in times]
    smoothed = smooth(run(Tracker("coco-17", **PLAIN), [result([p], t) for p, t in zip(curve, times, strict=True)]))
    error = [np.abs(r.keypoints[0] - p).max() for r, p in zip(smoothed, curve, strict=True)]
    assert max(error) < 3


def test_smoothing_keeps_what_it_does_not_change() -> None:
    maps = np.ones((1, 17, 4, 3), np.float32)
    given = []
    for i in range(9):
        r = result([person(300)] if i != 4 else [], i / 25)
        r = replace(r, index=i, source="clip.mp4", poses=replace(r.poses, heatmaps=maps[: len(r)]))
        given.append(r)
    tracked = run(Tracker("coco-17"), given)
    before = [r.keypoints.copy() for r in tracked]
    out = smooth(iter(tracked))
    assert [r.index for r in out] == list(range(9))
    assert {r.source for r in out} == {"clip.mp4"}
    assert [len(r.poses.heatmaps) for r in out] == [1] * 9
    assert all(np.array_equal(a, r.keypoints) for a, r in zip(before, tracked, strict=True)), "the input stays"


def test_points_are_not_mixed_with_those_of_an_image_of_another_size() -> None:
    tracker = Tracker("coco-17", **PLAIN)
    factors = [1.0] * 20 + [0.5] * 20
    path = [person(300 + 4 * i) * f for i, f in enumerate(factors)]
    sizes = [(int(1280 * f), int(720 * f)) for f in factors]
    given = [result([p], i / 25, size=size) for i, (p, size) in enumerate(zip(path, sizes, strict=True))]
    for r, p in zip(smooth(run(tracker, given)), path, strict=True):
        assert ids(r) == [1]
        assert np.abs(r.keypoints[0] - p).max() < 0.1


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_a_video_may_be_shorter_than_the_window(n: int) -> None:
    path = [person(300 + 5 * i) for i in range(n)]
    out = smooth(run(Tracker("coco-17", **PLAIN), [result([p], i / 25) for i, p in enumerate(path)]))
    assert len(out) == n
    for r, p in zip(out, path, strict=True):
        assert np.abs(r.keypoints[0] - p).max() < 0.1


def test_smooth_says_what_it_needs() -> None:
    with pytest.raises(ArgumentError, match="track_ids"):
        smooth([result([person(300)])])
    tracked = Tracker("coco-17").update(result([person(300)]))
    other = replace(tracked, poses=Poses(np.zeros((1, 5, 2), np.float32), np.ones((1, 5), np.float32)))
    with pytest.raises(ArgumentError, match="5 keypoints"):
        smooth([tracked, other])
    with pytest.raises(ArgumentError, match="fps=0"):
        smooth([tracked], 0)


# -- videos that are not as they should be ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "times",
    [
        [0.0] * 40,
        [-i / 25 for i in range(40)],
        [(i % 7) / 25 for i in range(40)],
        [float("nan")] * 40,
        [i / 25 + (3600 if i > 20 else 0) for i in range(40)],
        [i * 1e-9 for i in range(40)],
        [float("inf") if i % 3 else i / 25 for i in range(40)],
    ],
    ids=["equal", "backwards", "looping", "nan", "an hour's gap", "tiny steps", "inf"],
)
def test_timestamps_that_make_no_sense_break_nothing(times: list[float]) -> None:
    noise = rng()
    given = [
        result([person(300 + 4 * i) + noise.normal(0, 1, (17, 2)), person(900) + noise.normal(0, 1, (17, 2))], t)
        for i, t in enumerate(times)
    ]
    tracked = run(Tracker("coco-17", fps=25), given)
    for i, r in enumerate(tracked):
        assert ids(r) == [1, 2]
        assert np.abs(r.keypoints - given[i].keypoints).max() < 15
    assert jitter(tracked[10:], row=1) < 0.5
    for r, g in zip(smooth(tracked, 25), given, strict=True):
        assert np.abs(r.keypoints - g.keypoints).max() < 15


def test_a_variable_frame_rate_loses_nobody() -> None:
    noise = rng()
    tracker = Tracker("coco-17")
    t = 0.0
    for _ in range(80):
        t += float(noise.choice([1 / 60, 1 / 30, 1 / 12, 1 / 5]))
        points = person(640 + 350 * np.sin(t), phase=5 * t)
        tracked = tracker.update(result([points + noise.normal(0, 1, (17, 2))], t))
        assert ids(tracked) == [1]
        assert np.abs(tracked.keypoints[0] - points).mean() < 6


def test_scores_and_points_that_are_nan_break_nothing() -> None:
    noise = rng()
    tracker = Tracker("coco-17")
    for i in range(30):
        given = result([person(300 + 3 * i), person(900)], i / 25)
        kind = i % 5
        if kind == 1:
            given.poses.scores[:] = np.nan
        if kind == 2:
            given.boxes.scores[:] = np.nan
        if kind == 3:
            given.boxes.xyxy[:] = np.nan
        if kind == 4:
            given.poses.keypoints[noise.random((2, 17)) < 0.3] = np.nan
        tracked = tracker.update(given)
        assert ids(tracked) == [1, 2]
        assert np.array_equal(np.isnan(tracked.keypoints), np.isnan(given.keypoints))
        assert np.isfinite(tracker.predicted_boxes(SIZE).xyxy).all()
    nothing = result([person(300), person(900)], 30 / 25)
    nothing.poses.keypoints[1] = np.nan
    nothing.boxes.xyxy[1] = np.nan
    assert ids(tracker.update(nothing)) == [1, -1], "it is there, but it can be nobody"


def test_carried_poses_whose_scores_are_nan_are_lost() -> None:
    tracker = Tracker("coco-17")
    tracker.update(result([person(300)]))
    given = result([person(300)], 1 / 25)
    given.poses.scores[:] = np.nan
    assert len(tracker.update(given, detected=False)) == 0
    assert tracker.needs_detection


def test_nobody_at_all_is_fine() -> None:
    tracker = Tracker("coco-17", follow="center", max_persons=1)
    for i in range(3):
        tracked = tracker.update(result([], i / 25), detected=i == 0)
        assert len(tracked) == 0
        assert ids(tracked) == []
    assert smooth([tracked])[0].keypoints.shape == (0, 17, 2)


def test_an_image_that_changes_its_size_keeps_people_and_their_steady_points() -> None:
    noise = rng()
    tracker = Tracker("coco-17")
    for i in range(60):
        factor = 0.5 if 20 <= i < 40 else 1.0
        points = person(300 + 4 * i) * factor
        given = result(
            [points + factor * noise.normal(0, 1, (17, 2))], i / 25, size=(int(1280 * factor), int(720 * factor))
        )
        tracked = tracker.update(given)
        assert ids(tracked) == [1]
        assert np.abs(tracked.keypoints[0] - points).mean() < 2 * factor


@pytest.mark.parametrize("name", keypoints.names())
def test_every_keypoint_set_can_be_tracked(name: str) -> None:
    k = len(keypoints.load(name))
    noise = rng()
    shape = noise.uniform(0, 60, (k, 2))
    tracker = Tracker(keypoints.load(name))
    for i in range(15):
        places = np.array([(100 + 3 * i, 100), (200 - 3 * i, 110)])
        people = (shape + places[:, None]).astype(np.float32)
        boxes = np.stack([np.concatenate([p.min(axis=0), p.max(axis=0)]) for p in people])
        one = Result(
            Boxes(boxes, np.float32([0.9, 0.8]), np.zeros(2, np.int64)),
            Poses(people, np.ones((2, k), np.float32)),
            keypoints.load(name),
            SIZE,
            timestamp=i / 25,
        )
        assert ids(tracker.update(one)) == [1, 2]


def test_results_of_another_model_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"68 keypoints of '300w-68', but a result has 17"):
        Tracker("300w-68").update(result([person(300)]))


@pytest.mark.parametrize(
    "wrong", [{"max_persons": 0}, {"max_missed": -1}, {"confirm": 0}, {"fps": 0}, {"fps": float("nan")}]
)
def test_settings_without_sense_are_refused(wrong: dict) -> None:
    (name,) = wrong
    with pytest.raises(ArgumentError, match=name):
        Tracker("coco-17", **wrong)
