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
from limn.moving import Film, View, Watcher
from limn.pipeline import Pipeline
from limn.render import Look
from limn.types import Boxes, Frame, Result
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


class Counting(Pipeline):
    """Counts what is detected, and takes its time."""

    def __init__(self, stages: Pipeline, seconds: float = 0.0) -> None:
        super().__init__(stages.detector, stages.pose)
        self.seconds, self.detected, self.carried, self.heats = seconds, 0, 0, set[str]()

    def many(self, frames: Sequence[Frame], boxes: Sequence[Boxes] | None = None, *, heat: Any = "") -> list[Result]:
        self.heats.add(heat)
        if boxes is None:
            self.detected += len(frames)
        else:
            self.carried += len(frames)
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
    assert (stages.detected, stages.carried) == (6, 24)
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


def test_a_detector_that_costs_nothing_never_rests(faces: Pipeline, clip: Path) -> None:
    stages = Counting(Pipeline(pipeline.WholeImage(), faces.pose))
    watched(stages, clip, Motion(det_interval=5))
    assert stages.carried == 0


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
