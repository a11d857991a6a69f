"""A film goes through the stages: every frame of a file, the newest of a camera, the same number for the same face."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from limn import pipeline
from limn.errors import ArgumentError, InputError
from limn.motion import Motion, Wishes, parse_size
from limn.moving import Film, View, Watcher, max_change
from limn.pipeline import Detector, Pipeline, WholeImage
from limn.render import Look
from limn.types import Boxes, Frame, Poses, Result
from limn.video import VideoSink, VideoSource


@pytest.fixture(scope="module")
def faces() -> Pipeline:
    return pipeline.load("face-lite")


def panned(portrait: np.ndarray, i: int) -> np.ndarray:
    """A view of 320 x 240 that wanders over the portrait; the face stays inside."""
    x, y = 60 + round(40 * np.sin(i / 9)), 10 + round(10 * np.cos(i / 7))
    return np.ascontiguousarray(cv2.resize(portrait[y : y + 300, x : x + 400], (320, 240)))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, portrait: np.ndarray) -> Path:
    path = tmp_path_factory.mktemp("clip") / "walk.mp4"
    with VideoSink(path, Fraction(25)) as sink:
        for i in range(30):
            sink.write(panned(portrait, i))
    return path


class Looking:
    """A detector that counts at how many pictures it looks."""

    def __init__(self, detector: Any) -> None:
        self.detector, self.calls = detector, list[int]()

    def many(self, images: Sequence[np.ndarray]) -> list[Boxes]:
        self.calls.append(len(images))
        return self.detector.many(images)


class Counting(Pipeline):
    """Counts what is detected, and takes its time."""

    def __init__(self, stages: Pipeline, seconds: float = 0.0) -> None:
        super().__init__(Looking(stages.detector), stages.pose)  # type: ignore[arg-type]
        self.seconds, self.calls, self.heats = seconds, list[int](), set[str]()

    @property
    def detected(self) -> int:
        return sum(self.detector.calls)  # type: ignore[union-attr]

    def many(self, frames: Sequence[Frame], boxes: Sequence[Boxes] | None = None, *, heat: Any = "") -> list[Result]:
        self.heats.add(heat)
        self.calls.append(len(frames))
        time.sleep(self.seconds)
        return super().many(frames, boxes, heat=heat)


def watched(stages: Pipeline, clip: Path, motion: Motion = Motion(), **more: Any) -> list[Any]:  # noqa: B008
    with Film(VideoSource(clip), stages, motion, View(), **more) as film:
        return list(film.shots())


def test_every_frame_of_a_file_comes_in_order_and_drawn(faces: Pipeline, clip: Path) -> None:
    shots = watched(faces, clip)
    assert [shot.frame.index for shot in shots] == list(range(30))
    assert [round(shot.result.timestamp * 25) for shot in shots] == list(range(30))
    assert all(shot.result.track_ids.tolist() == [1] for shot in shots), "one face, one number"
    assert all((shot.drawn != shot.frame.image).any() for shot in shots)
    alone = faces(shots[7].frame.image)
    np.testing.assert_array_equal(shots[7].result.keypoints, alone.keypoints)


def test_nothing_is_drawn_that_nobody_sees(faces: Pipeline, clip: Path) -> None:
    assert all(shot.drawn is None for shot in watched(faces, clip, draws=False))


def test_the_detector_rests_between_its_turns(faces: Pipeline, clip: Path) -> None:
    stages = Counting(faces)
    shots = watched(stages, clip, Motion(det_interval=5))
    assert (stages.detected, sum(stages.calls)) == (6, 30)
    every = watched(faces, clip)
    for ours, theirs in zip(shots, every, strict=True):
        assert ours.result.track_ids.tolist() == [1]
        size = np.sqrt(np.prod(theirs.result.boxes.xyxy[0, 2:] - theirs.result.boxes.xyxy[0, :2]))
        assert np.linalg.norm(ours.result.keypoints - theirs.result.keypoints, axis=-1).mean() / size < 0.02


def test_the_detector_looks_at_once_where_nobody_is_left(faces: Pipeline, portrait: np.ndarray) -> None:
    stages = Counting(faces)
    watcher = Watcher(stages, Motion(det_interval=10))
    wall = np.full((240, 320, 3), 90, np.uint8)
    for i, image in enumerate([panned(portrait, 0), *[wall] * 4, panned(portrait, 1)]):
        result = watcher(Frame(image, index=i, timestamp=i / 25))
    assert len(result) == 1
    assert stages.detected >= 5


# -- frames that go together


def films(frames: Sequence[Frame], stages: Pipeline, motion: Motion) -> list[Result]:
    return [result for _, result in Watcher(stages, motion, fps=25).run(frames)]


def the_same(a: Result, b: Result) -> bool:
    parts = [(r.boxes.xyxy, r.boxes.scores, r.keypoints, r.scores, r.track_ids) for r in (a, b)]
    return all(x.tobytes() == y.tobytes() for x, y in zip(*parts, strict=True)) and a.index == b.index


@pytest.fixture(scope="module")
def frames(portrait: np.ndarray) -> list[Frame]:
    return [Frame(panned(portrait, i), "walk", i, i / 25) for i in range(26)]


@pytest.mark.parametrize("batch", [2, 4, 7, None])
def test_frames_of_a_file_go_together_and_give_what_each_gives_alone(
    faces: Pipeline, frames: list[Frame], batch: int | None
) -> None:
    alone, stages = Watcher(faces, Motion(), fps=25), Counting(faces)
    together = films(frames, stages, Motion(batch=batch))
    assert all(the_same(result, alone(frame)) for result, frame in zip(together, frames, strict=True))
    size = batch or 4
    assert stages.calls == [size] * (26 // size) + [26 % size] * (26 % size > 0)
    assert stages.detector.calls == stages.calls


def test_large_frames_go_together_in_smaller_numbers(faces: Pipeline, portrait: np.ndarray) -> None:
    large = cv2.resize(portrait, (3000, 2000))
    stages = Counting(faces)
    films([Frame(large, "large", i) for i in range(3)], stages, Motion())
    assert stages.calls == [1, 1, 1]


def test_frames_of_a_camera_go_alone(faces: Pipeline, frames: list[Frame]) -> None:
    stages = Counting(faces)
    list(Watcher(stages, Motion(batch=8), live=True).run(frames))
    assert set(stages.calls) == {1}


def test_between_two_turns_of_the_detector_boxes_go_from_one_to_the_next(faces: Pipeline, frames: list[Frame]) -> None:
    results = films(frames, faces, Motion(det_interval=5))
    seen = np.stack([result.boxes.xyxy[0] for result in results[:11]])
    for start in (0, 5):
        straight = np.linspace(seen[start], seen[start + 5], 6)
        np.testing.assert_allclose(seen[start : start + 6], straight, atol=0.01)
    assert np.abs(seen[5] - seen[0]).max() > 3, "the picture pans"


def test_turns_of_the_detector_stay_the_same_where_frames_are_too_large_to_wait_for_it(
    faces: Pipeline, portrait: np.ndarray
) -> None:
    large = cv2.resize(portrait, (4000, 3000))
    stages = Counting(faces)
    results = films([Frame(large, "large", i, i / 25) for i in range(7)], stages, Motion(det_interval=3))
    assert [result.index for result in results] == list(range(7))
    assert stages.detected == 3


@pytest.mark.parametrize("motion", [Motion(), Motion(det_interval=4), Motion(smooth="file")])
def test_what_came_before_a_source_broke_is_found(faces: Pipeline, frames: list[Frame], motion: Motion) -> None:
    def breaks() -> Iterator[Frame]:
        yield from frames[:7]
        raise InputError("the disk is gone")

    found = []
    with pytest.raises(InputError, match="disk"):  # noqa: PT012
        for _, result in Watcher(faces, motion, fps=25).run(breaks()):
            found.append(result.index)
    assert found == list(range(7))


# -- the detector's economy


class Guessing:
    """A pose network that learnt nothing: its points are anywhere in the box."""

    def __init__(self, pose: Any) -> None:
        self.keypoint_set, self.noise = pose.keypoint_set, np.random.default_rng(0)

    def many(self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray], **more: Any) -> list[Poses]:
        found = []
        for xyxy in boxes:
            place = self.noise.uniform(size=(len(xyxy), len(self.keypoint_set), 2))
            points = xyxy[:, None, :2] + place * (xyxy[:, None, 2:] - xyxy[:, None, :2])
            found.append(Poses(points.astype(np.float32), self.noise.uniform(0, 1, place.shape[:2]).astype(np.float32)))
        return found


class Standing:
    """A detector that sees the same two people, a little elsewhere each time."""

    def __init__(self) -> None:
        self.noise, self.looks = np.random.default_rng(1), 0

    def many(self, images: Sequence[np.ndarray]) -> list[Boxes]:
        self.looks += len(images)
        people = np.array([[20, 20, 120, 140], [180, 40, 280, 200]])
        return [
            Boxes(
                (people + self.noise.normal(0, 1, people.shape)).astype(np.float32),
                np.array([0.9, 0.8], np.float32),
                np.zeros(2, np.int64),
            )
            for _ in images
        ]


@pytest.mark.parametrize("live", [False, True])
def test_points_that_mean_nothing_do_not_call_the_detector_at_every_frame(faces: Pipeline, live: bool) -> None:
    stages = Pipeline(Standing(), Guessing(faces.pose))  # type: ignore[arg-type]
    wall = np.zeros((240, 320, 3), np.uint8)
    frames = [Frame(wall, "wall", i, i / 25) for i in range(200)]
    watcher = Watcher(stages, Motion(det_interval=5), live=live, fps=25)
    results = [result for _, result in watcher.run(frames)]
    assert stages.detector.looks <= 1.3 * 40  # type: ignore[union-attr]
    assert all(result.track_ids.tolist() in ([1, 2], [2, 1]) for result in results[60:]), "nobody is lost"


def test_a_detector_that_costs_nothing_never_rests(faces: Pipeline, clip: Path) -> None:
    stages = Pipeline(pipeline.WholeImage(), faces.pose)
    shots = watched(stages, clip, Motion(det_interval=5))
    assert all(shot.result.boxes.xyxy.tolist() == [[0, 0, 320, 240]] for shot in shots)


def test_without_tracking_there_are_no_numbers(faces: Pipeline, clip: Path) -> None:
    assert all(shot.result.track_ids is None for shot in watched(faces, clip, Motion(track=False)))


@pytest.mark.parametrize("smooth", ["live", "file"])
def test_smoothing_calms_a_face_that_stands_still(faces: Pipeline, portrait: np.ndarray, smooth: str) -> None:
    rng = np.random.default_rng(3)
    still = panned(portrait, 0)
    frames = [
        Frame((still + rng.normal(0, 6, still.shape)).clip(0, 255).astype(np.uint8), index=i, timestamp=i / 25)
        for i in range(60)
    ]

    def jitter(motion: Motion) -> float:
        points = [result.keypoints[0] for _, result in Watcher(faces, motion, fps=25).run(frames)]
        return float(np.std(points[20:], axis=0).mean())

    assert jitter(Motion(smooth=smooth)) < 0.5 * jitter(Motion())


def test_file_smoothing_gives_every_frame_its_own_result(faces: Pipeline, clip: Path) -> None:
    shots = watched(faces, clip, Motion(smooth="file"))
    assert [shot.frame.index for shot in shots] == [shot.result.index for shot in shots] == list(range(30))


def test_the_view_can_change_while_the_film_runs(faces: Pipeline, clip: Path) -> None:
    view, stages = View(Look()), Counting(faces, 0.01)
    with Film(VideoSource(clip), stages, Motion(), view) as film:
        shots = film.shots()
        assert next(shots).drawn.shape[0] == 240
        view.look = replace(view.look, heatmap=True)
        assert list(shots)[-1].drawn.shape[0] == 480
    assert stages.heats == {"", "strongest"}


class Stream:
    """A camera that gives a picture every so many seconds."""

    live, name, fps, count = True, "stream", Fraction(100), None

    def __init__(self, picture: np.ndarray, period: float = 0.01, frames: int = 10**6) -> None:
        self.picture, self.period, self.frames, self.closed = picture, period, frames, threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        for i in range(self.frames):
            if self.closed.wait(self.period):
                return
            yield Frame(self.picture, self.name, i)

    def again(self) -> Stream:
        raise InputError("the stream is over")

    def close(self) -> None:
        self.closed.set()


def test_a_slow_model_sees_the_newest_frame_of_a_camera(faces: Pipeline, portrait: np.ndarray) -> None:
    stages = Counting(faces, 0.08)
    ages = []
    with Film(Stream(panned(portrait, 0)), stages, Motion(), View()) as film:
        for n, shot in enumerate(film.shots()):
            ages.append(film.age(shot.frame))
            if n == 12:
                break
        assert film.dropped > 12
    assert np.median(ages) < 2.5 * 0.08 + 0.1, "frames wait in a queue"


def test_a_camera_that_is_gone_for_good_is_an_error_after_its_last_frame(faces: Pipeline, portrait: np.ndarray) -> None:
    with Film(Stream(panned(portrait, 0), 0.2, frames=4), faces, Motion(), View(), patience=0) as film:
        shots = film.shots()
        assert len(next(shots).result) == 1
        with pytest.raises(InputError, match="ended"):
            list(shots)


def test_ending_a_film_keeps_what_is_on_its_way(faces: Pipeline, clip: Path) -> None:
    with Film(VideoSource(clip), Counting(faces, 0.01), Motion(), View()) as film:
        shots = film.shots()
        first = next(shots)
        film.end()
        rest = list(shots)
    assert first.frame.index == 0
    assert 1 <= len(rest) < 15
    assert [shot.frame.index for shot in rest] == list(range(1, len(rest) + 1))


def test_a_film_that_is_never_watched_is_closed(clip: Path, faces: Pipeline) -> None:
    source = VideoSource(clip)
    with Film(source, faces, Motion(), View()):
        pass
    assert list(source) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"det_interval": 0}, "0th"),
        ({"smooth": "fil"}, "'file'"),
        ({"batch": 0}, "not 0"),
        ({"track": False, "follow": "largest"}, "follow"),
        ({"track": False, "det_interval": 5, "smooth": "live"}, "det_interval and smooth"),
    ],
)
def test_wishes_without_sense_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        Motion(**given)


def test_sizes_of_cameras() -> None:
    assert parse_size("1280x720") == (1280, 720)
    assert parse_size(None) is Wishes().camera_size is None
    with pytest.raises(ArgumentError, match="1280x720"):
        parse_size("large")


def test_the_dearer_a_look_of_the_detector_the_more_doubt_it_takes(faces: Pipeline) -> None:
    assert isinstance(faces.detector, Detector)
    dear = Detector(faces.detector.runtime, replace(faces.detector.spec, size=(640, 640)))
    assert max_change(WholeImage()) == max_change(faces.detector) < max_change(dear)


def test_a_spare_frame_is_drawn_on_and_one_that_is_kept_is_not(faces: Pipeline, clip: Path) -> None:
    for spare in (True, False):
        with Film(VideoSource(clip), faces, Motion(), View(), spare=spare) as film:
            shots = [(shot.frame.image, shot.drawn) for shot in film.shots()]
        assert all((frame is drawn) == spare for frame, drawn in shots)
        if not spare:
            assert any((frame != drawn).any() for frame, drawn in shots)
