"""A film goes through the stages: every frame of a file, the newest of a camera, the same number for the same face."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from limner import loading, pipeline
from limner.draw import DrawStyle
from limner.errors import ArgumentError, InputError
from limner.pipeline import Detector, Pipeline, WholeImage
from limner.types import Boxes, Frame, Poses, Result
from limner.video.estimator import VideoEstimator, max_change
from limner.video.options import TrackingOptions, VideoOptions, parse_size
from limner.video.pipeline import CurrentStyle, VideoPipeline
from limner.video.reader import VideoSource
from limner.video.writer import VideoWriter


@pytest.fixture(scope="module")
def faces() -> Pipeline:
    return loading.load("face-lite")


def panned(portrait: np.ndarray, i: int) -> np.ndarray:
    """A view of 320 x 240 that wanders over the portrait; the face stays inside."""
    x, y = 60 + round(40 * np.sin(i / 9)), 10 + round(10 * np.cos(i / 7))
    return np.ascontiguousarray(cv2.resize(portrait[y : y + 300, x : x + 400], (320, 240)))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, portrait: np.ndarray) -> Path:
    path = tmp_path_factory.mktemp("clip") / "walk.mp4"
    with VideoWriter(path, Fraction(25)) as sink:
        for i in range(30):
            sink.write(panned(portrait, i))
    return path


class Looking:
    """A detector that counts at how many images it looks."""

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

    def many(
        self, frames: Sequence[Frame], boxes: Sequence[Boxes] | None = None, *, heatmaps: Any = ""
    ) -> list[Result]:
        self.heats.add(heatmaps)
        self.calls.append(len(frames))
        time.sleep(self.seconds)
        return super().many(frames, boxes, heatmaps=heatmaps)


def watched(stages: Pipeline, clip: Path, tracking: TrackingOptions = TrackingOptions(), **more: Any) -> list[Any]:  # noqa: B008
    with VideoPipeline(VideoSource(clip), stages, tracking, CurrentStyle(), **more) as video:
        return list(video.frame_results())


def test_every_frame_of_a_file_comes_in_order_and_drawn(faces: Pipeline, clip: Path) -> None:
    frame_results = watched(faces, clip)
    assert [frame_result.frame.index for frame_result in frame_results] == list(range(30))
    assert [round(frame_result.result.timestamp * 25) for frame_result in frame_results] == list(range(30))
    assert all(frame_result.result.track_ids.tolist() == [1] for frame_result in frame_results), "one face, one number"
    assert all((frame_result.drawn != frame_result.frame.image).any() for frame_result in frame_results)
    alone = faces(frame_results[7].frame.image)
    np.testing.assert_array_equal(frame_results[7].result.keypoints, alone.keypoints)


def test_nothing_is_drawn_that_nobody_sees(faces: Pipeline, clip: Path) -> None:
    assert all(frame_result.drawn is None for frame_result in watched(faces, clip, draws=False))


def test_the_detector_rests_between_its_turns(faces: Pipeline, clip: Path) -> None:
    stages = Counting(faces)
    frame_results = watched(stages, clip, TrackingOptions(det_interval=5))
    assert (stages.detected, sum(stages.calls)) == (6, 30)
    every = watched(faces, clip)
    for ours, theirs in zip(frame_results, every, strict=True):
        assert ours.result.track_ids.tolist() == [1]
        size = np.sqrt(np.prod(theirs.result.boxes.xyxy[0, 2:] - theirs.result.boxes.xyxy[0, :2]))
        assert np.linalg.norm(ours.result.keypoints - theirs.result.keypoints, axis=-1).mean() / size < 0.02


def test_the_detector_looks_at_once_where_nobody_is_left(faces: Pipeline, portrait: np.ndarray) -> None:
    stages = Counting(faces)
    watcher = VideoEstimator(stages, TrackingOptions(det_interval=10))
    wall = np.full((240, 320, 3), 90, np.uint8)
    for i, image in enumerate([panned(portrait, 0), *[wall] * 4, panned(portrait, 1)]):
        result = watcher(Frame(image, index=i, timestamp=i / 25))
    assert len(result) == 1
    assert stages.detected >= 5


# -- frames that go together


def videos(frames: Sequence[Frame], stages: Pipeline, tracking: TrackingOptions) -> list[Result]:
    return [result for _, result in VideoEstimator(stages, tracking, fps=25).run(frames)]


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
    alone, stages = VideoEstimator(faces, TrackingOptions(), fps=25), Counting(faces)
    together = videos(frames, stages, TrackingOptions(batch=batch))
    assert all(the_same(result, alone(frame)) for result, frame in zip(together, frames, strict=True))
    size = batch or 4
    assert stages.calls == [size] * (26 // size) + [26 % size] * (26 % size > 0)
    assert stages.detector.calls == stages.calls


def test_large_frames_go_together_in_smaller_numbers(faces: Pipeline, portrait: np.ndarray) -> None:
    large = cv2.resize(portrait, (3000, 2000))
    stages = Counting(faces)
    videos([Frame(large, "large", i) for i in range(3)], stages, TrackingOptions())
    assert stages.calls == [1, 1, 1]


def test_frames_of_a_camera_go_alone(faces: Pipeline, frames: list[Frame]) -> None:
    stages = Counting(faces)
    list(VideoEstimator(stages, TrackingOptions(batch=8), live=True).run(frames))
    assert set(stages.calls) == {1}


def test_between_two_turns_of_the_detector_boxes_go_from_one_to_the_next(faces: Pipeline, frames: list[Frame]) -> None:
    results = videos(frames, faces, TrackingOptions(det_interval=5))
    seen = np.stack([result.boxes.xyxy[0] for result in results[:11]])
    for start in (0, 5):
        straight = np.linspace(seen[start], seen[start + 5], 6)
        np.testing.assert_allclose(seen[start : start + 6], straight, atol=0.01)
    assert np.abs(seen[5] - seen[0]).max() > 3, "the image pans"


def test_turns_of_the_detector_stay_the_same_where_frames_are_too_large_to_wait_for_it(
    faces: Pipeline, portrait: np.ndarray
) -> None:
    large = cv2.resize(portrait, (4000, 3000))
    stages = Counting(faces)
    results = videos([Frame(large, "large", i, i / 25) for i in range(7)], stages, TrackingOptions(det_interval=3))
    assert [result.index for result in results] == list(range(7))
    assert stages.detected == 3


@pytest.mark.parametrize(
    "tracking", [TrackingOptions(), TrackingOptions(det_interval=4), TrackingOptions(smooth="file")]
)
def test_what_came_before_a_source_broke_is_found(
    faces: Pipeline, frames: list[Frame], tracking: TrackingOptions
) -> None:
    def breaks() -> Iterator[Frame]:
        yield from frames[:7]
        raise InputError("the disk is gone")

    found = []
    with pytest.raises(InputError, match="disk"):  # noqa: PT012
        for _, result in VideoEstimator(faces, tracking, fps=25).run(breaks()):
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
    watcher = VideoEstimator(stages, TrackingOptions(det_interval=5), live=live, fps=25)
    results = [result for _, result in watcher.run(frames)]
    assert stages.detector.looks <= 1.3 * 40  # type: ignore[union-attr]
    assert all(result.track_ids.tolist() in ([1, 2], [2, 1]) for result in results[60:]), "nobody is lost"


def test_a_detector_that_costs_nothing_never_rests(faces: Pipeline, clip: Path) -> None:
    stages = Pipeline(pipeline.WholeImage(), faces.pose)
    frame_results = watched(stages, clip, TrackingOptions(det_interval=5))
    assert all(frame_result.result.boxes.xyxy.tolist() == [[0, 0, 320, 240]] for frame_result in frame_results)


def test_without_tracking_there_are_no_numbers(faces: Pipeline, clip: Path) -> None:
    assert all(
        frame_result.result.track_ids is None for frame_result in watched(faces, clip, TrackingOptions(track=False))
    )


@pytest.mark.parametrize("smooth", ["live", "file"])
def test_smoothing_calms_a_face_that_stands_still(faces: Pipeline, portrait: np.ndarray, smooth: str) -> None:
    rng = np.random.default_rng(3)
    still = panned(portrait, 0)
    frames = [
        Frame((still + rng.normal(0, 6, still.shape)).clip(0, 255).astype(np.uint8), index=i, timestamp=i / 25)
        for i in range(60)
    ]

    def jitter(tracking: TrackingOptions) -> float:
        points = [result.keypoints[0] for _, result in VideoEstimator(faces, tracking, fps=25).run(frames)]
        return float(np.std(points[20:], axis=0).mean())

    assert jitter(TrackingOptions(smooth=smooth)) < 0.5 * jitter(TrackingOptions())


def test_file_smoothing_gives_every_frame_its_own_result(faces: Pipeline, clip: Path) -> None:
    frame_results = watched(faces, clip, TrackingOptions(smooth="file"))
    assert (
        [frame_result.frame.index for frame_result in frame_results]
        == [frame_result.result.index for frame_result in frame_results]
        == list(range(30))
    )


def test_the_view_can_change_while_the_film_runs(faces: Pipeline, clip: Path) -> None:
    current, stages = CurrentStyle(DrawStyle()), Counting(faces, 0.01)
    with VideoPipeline(VideoSource(clip), stages, TrackingOptions(), current) as video:
        frame_results = video.frame_results()
        assert next(frame_results).drawn.shape[0] == 240
        current.style = replace(current.style, draw_heatmap=True)
        assert list(frame_results)[-1].drawn.shape[0] == 480
    assert stages.heats == {"", "strongest"}


class Stream:
    """A camera that gives an image every so many seconds."""

    live, name, fps, count = True, "stream", Fraction(100), None

    def __init__(self, image: np.ndarray, period: float = 0.01, frames: int = 10**6) -> None:
        self.image, self.period, self.frames, self.closed = image, period, frames, threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        for i in range(self.frames):
            if self.closed.wait(self.period):
                return
            yield Frame(self.image, self.name, i)

    def reopen(self) -> Stream:
        raise InputError("the stream is over")

    def close(self) -> None:
        self.closed.set()


def test_a_slow_model_sees_the_newest_frame_of_a_camera(faces: Pipeline, portrait: np.ndarray) -> None:
    stages = Counting(faces, 0.08)
    ages = []
    with VideoPipeline(Stream(panned(portrait, 0)), stages, TrackingOptions(), CurrentStyle()) as video:
        for n, frame_result in enumerate(video.frame_results()):
            ages.append(video.age(frame_result.frame))
            if n == 12:
                break
        assert video.dropped > 12
    assert np.median(ages) < 2.5 * 0.08 + 0.1, "frames wait in a queue"


@pytest.mark.parametrize("slow", [0.0, 0.1, 0.4])
def test_whoever_is_slow_gets_a_frame_one_step_old(faces: Pipeline, portrait: np.ndarray, slow: float) -> None:
    """An age is at most a step (0.05 s of the model, drawing, the rest) and the time from frame to frame."""
    period, step = 1 / 30, 0.05 + 0.06
    stages, ages = Counting(faces, 0.05), []
    with VideoPipeline(Stream(panned(portrait, 0), period), stages, TrackingOptions(), CurrentStyle()) as video:
        for n, frame_result in enumerate(video.frame_results()):
            ages.append(video.age(frame_result.frame))
            if n == 8:
                break
            time.sleep(slow)
        counted = len(stages.calls)
    assert np.median(ages[1:]) < step + period
    if slow == 0.4:
        assert counted <= 9 * 5, "while nobody waits the model rests"


def test_a_fast_consumer_gets_as_much_as_the_model_gives(faces: Pipeline, portrait: np.ndarray) -> None:
    """Estimating goes on while a frame is drawn and looked at."""
    stages = Counting(faces, 0.1)
    with VideoPipeline(Stream(panned(portrait, 0)), stages, TrackingOptions(), CurrentStyle()) as video:
        frame_results = video.frame_results()
        next(frame_results)
        start = time.monotonic()
        for _ in range(10):
            next(frame_results)
            time.sleep(0.06)
        seconds = time.monotonic() - start
        assert seconds < 10 * (0.1 + 0.06) * 0.95, "not one after the other"
        assert [frame_result.frame.index for frame_result in islice(frame_results, 1)]


def test_only_so_many_frames_are_read_and_counted(faces: Pipeline, clip: Path, portrait: np.ndarray) -> None:
    stages = Counting(faces)
    with VideoPipeline(VideoSource(clip), stages, TrackingOptions(), CurrentStyle(), max_frames=7) as video:
        assert video.count == 7
        assert [frame_result.frame.index for frame_result in video.frame_results()] == list(range(7))
    assert sum(stages.calls) == 7
    live = Stream(panned(portrait, 0))
    with VideoPipeline(live, faces, TrackingOptions(), CurrentStyle(), max_frames=3) as video:
        assert video.count == 3
        assert len(list(video.frame_results())) == 3


def test_a_camera_that_is_gone_for_good_is_an_error_after_its_last_frame(faces: Pipeline, portrait: np.ndarray) -> None:
    with VideoPipeline(
        Stream(panned(portrait, 0), 0.2, frames=4), faces, TrackingOptions(), CurrentStyle(), reconnect_timeout=0
    ) as video:
        frame_results = video.frame_results()
        assert len(next(frame_results).result) == 1
        with pytest.raises(InputError, match="ended"):
            list(frame_results)


def test_ending_a_film_keeps_what_is_on_its_way(faces: Pipeline, clip: Path) -> None:
    with VideoPipeline(VideoSource(clip), Counting(faces, 0.01), TrackingOptions(), CurrentStyle()) as video:
        frame_results = video.frame_results()
        first = next(frame_results)
        video.end()
        rest = list(frame_results)
    assert first.frame.index == 0
    assert 1 <= len(rest) < 15
    assert [frame_result.frame.index for frame_result in rest] == list(range(1, len(rest) + 1))


def test_a_film_that_is_never_watched_is_closed(clip: Path, faces: Pipeline) -> None:
    source = VideoSource(clip)
    with VideoPipeline(source, faces, TrackingOptions(), CurrentStyle()):
        pass
    assert list(source) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"det_interval": 0}, "det_interval is 0"),
        ({"smooth": "fil"}, "'file'"),
        ({"batch": 0}, "batch is 0"),
        ({"track": False, "follow": "largest"}, "follow"),
        ({"track": False, "det_interval": 5, "smooth": "live"}, "det_interval and smooth"),
    ],
)
def test_wishes_without_sense_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        TrackingOptions(**given)


def test_sizes_of_cameras() -> None:
    assert parse_size("1280x720") == (1280, 720)
    assert parse_size(None) is VideoOptions().camera_size is None
    with pytest.raises(ArgumentError, match="1280x720"):
        parse_size("large")


def test_the_dearer_a_look_of_the_detector_the_more_doubt_it_takes(faces: Pipeline) -> None:
    assert isinstance(faces.detector, Detector)
    dear = Detector(faces.detector.runtime, replace(faces.detector.spec, size=(640, 640)))
    assert max_change(WholeImage()) == max_change(faces.detector) < max_change(dear)


def test_a_spare_frame_is_drawn_on_and_one_that_is_kept_is_not(faces: Pipeline, clip: Path) -> None:
    for overwrite_frames in (True, False):
        with VideoPipeline(
            VideoSource(clip), faces, TrackingOptions(), CurrentStyle(), overwrite_frames=overwrite_frames
        ) as video:
            frame_results = [(frame_result.frame.image, frame_result.drawn) for frame_result in video.frame_results()]
        assert all((frame is drawn) == overwrite_frames for frame, drawn in frame_results)
        if not overwrite_frames:
            assert any((frame != drawn).any() for frame, drawn in frame_results)
