"""Somebody compares limner with its peers: the comparison is fair, its accounts add up, and its report can be read."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from limner import loading
from limner.pipeline import Detector, Pipeline
from limner.video import pipeline as video_pipeline
from limner.video.writer import VideoWriter

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))


@pytest.fixture
def walk(tmp_path: Path, portrait: np.ndarray) -> Path:
    """One face that moves to the right, 8 frames."""
    with VideoWriter(tmp_path / "walk.mp4", 25) as sink:
        for i in range(8):
            sink.write(cv2.resize(np.roll(portrait, 4 * i, axis=1), (320, 320)))
    return tmp_path / "walk.mp4"


@pytest.fixture
def faces() -> Pipeline:
    return loading.load("face-lite", backend="onnxruntime")


def test_systems_take_turns_and_the_first_round_does_not_count() -> None:
    import comparison

    order: list[str] = []

    def run(name: str, seconds: list[float]) -> None:
        order.append(name)
        time.sleep(seconds.pop(0))

    slow, quick = [0.3, 0.04, 0.04, 0.04], [0.0, 0.01, 0.01, 0.01]
    spent = comparison.run_in_turns({"a": lambda: run("a", slow), "b": lambda: run("b", quick)}, 3, info=lambda _: None)
    assert order == ["a", "b"] * 4
    assert len(spent["a"]) == len(spent["b"]) == 3
    assert max(spent["a"]) < 0.3
    assert comparison.time_ratio(spent, "a", "b") > 1
    assert comparison.time_ratio({"a": [1, 9, 4], "b": [1, 3, 2]}, "a", "b") == 2


def test_what_was_found_beforehand_takes_the_place_of_what_a_network_finds(tmp_path: Path) -> None:
    import recorded_results
    from recorded_results import RecordedFrame

    boxes = np.array([[0, 0, 10, 10], [50, 50, 60, 60]], np.float32)
    points = np.arange(2 * 5 * 2, dtype=np.float32).reshape(2, 5, 2)
    held = RecordedFrame(boxes, np.array([0.9, 0.0], np.float32), points, np.full((2, 5), 0.8, np.float32))
    recorded_results.save(tmp_path / "held.npz", [held, held])
    found = recorded_results.load(tmp_path / "held.npz")[1]
    assert np.array_equal(found.detected, boxes[:1]), "the second one was missed by the detector"
    noise, scores = np.full((3, 3, 2), -1, np.float32), np.zeros((3, 3), np.float32)
    asked = np.array([[51, 51, 62, 60], [1, 0, 11, 10], [200, 0, 210, 10]], np.float32)
    replaced, sure = found.substitute(asked, noise, scores)
    assert np.array_equal(replaced[:2], points[[1, 0]][:, [0, 2, 4]])
    assert np.array_equal(replaced[2], noise[2]), "nobody was found there"
    assert sure.tolist() == [[np.float32(0.8)] * 3] * 2 + [[0] * 3]
    assert (noise == -1).all(), "the network's own are left alone"


def test_networks_run_in_full_and_limner_follows_what_stands_in(faces: Pipeline, walk: Path) -> None:
    import comparison

    class Blind(Detector):
        """Finds nothing at all."""

        def __init__(self) -> None:
            super().__init__(comparison.CountingRuntime(faces.detector.runtime), faces.detector.spec, bbox_thr=0.999)

    recorded = comparison.RecordedResults(walk)
    detector = comparison.RecordedBoxes(Blind(), recorded)
    pose = comparison.RecordedPoses(faces.pose, recorded)
    pose.runtime = comparison.CountingRuntime(pose.runtime)
    assert comparison.run_limner(Pipeline(detector, pose), walk, 1, None) == 8
    assert (detector.runtime.images, pose.runtime.images) == (8, 8)
    image = cv2.VideoCapture(str(walk)).read()[1]
    assert np.array_equal(pose(image, recorded.frames[0].detected).keypoints, recorded.frames[0].points)
    assert len(Blind()(image)) == 0


def test_frames_that_are_made_up_have_people(tmp_path: Path) -> None:
    import comparison

    recorded = comparison.RecordedResults(comparison.prepare_clip(None, 3, tmp_path))
    assert [len(found.detected) for found in recorded.frames] == [3, 3, 3]


def test_a_video_that_is_too_short_is_one_sentence(walk: Path, tmp_path: Path) -> None:
    import peers

    arguments = ["clip", "--video", str(walk), "--frames", "9", "--work", str(tmp_path / "work")]
    with pytest.raises(SystemExit, match="has 8 frames where 9 are requested"):
        peers.main(arguments)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the clocks of all threads are known on Linux alone")
def test_the_account_adds_up_and_shows_who_is_slow(
    faces: Pipeline, walk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import comparison
    import cpu_time

    timer = cpu_time.StageTimer()
    opencv = cpu_time.opencv_threads()
    stages = Pipeline(faces.detector, faces.pose)
    stages.detector.runtime = comparison.CountingRuntime(faces.detector.runtime, lambda: timer.stage("networks"))
    stages.pose.runtime = comparison.CountingRuntime(faces.pose.runtime, lambda: timer.stage("networks"))
    drawn = video_pipeline.render

    def burn(*args: Any, **more: Any) -> np.ndarray:
        until = time.thread_time() + 0.02
        while time.thread_time() < until:
            pass
        return drawn(*args, **more)

    def run() -> None:
        comparison.run_limner(stages, walk, 1, tmp_path / "drawn.mp4")

    networks = cpu_time.started_by(run)
    began = time.process_time()
    plain = cpu_time.measure(run, timer, networks, opencv)
    assert 0 < sum(plain.values()) <= time.process_time() - began
    assert all(plain[name] > 0 for name in ("networks", "decode", "encode", "drawing", "tracking", "keypoints"))
    assert plain["codec threads"] > 0
    assert sum(cpu_time.shares(plain).values()) == pytest.approx(1)
    monkeypatch.setattr(video_pipeline, "render", burn)
    slow = cpu_time.measure(run, timer, networks, opencv)
    assert slow["drawing"] >= 0.16, "8 frames burn 0.02 s each"
    assert cpu_time.shares(slow)["limner's own"] > cpu_time.shares(plain)["limner's own"]
    untouched = vars(Detector)["many"]
    with cpu_time.instrumented(timer):
        assert vars(Detector)["many"] is not untouched
    assert vars(Detector)["many"] is untouched


def test_stages_inside_a_stage_are_booked_once() -> None:
    import cpu_time

    def burn(seconds: float) -> None:
        until = time.thread_time() + seconds
        while time.thread_time() < until:
            pass

    timer = cpu_time.StageTimer()
    with timer.stage("outer"):
        burn(0.02)
        with timer.stage("inner"):
            burn(0.05)
    assert 0.02 <= timer.spent["outer"] < 0.05 <= timer.spent["inner"]


def test_pyav_alone_encodes_as_limner_does(walk: Path, tmp_path: Path) -> None:
    import clip_speed

    assert clip_speed.transcode(walk, tmp_path / "again.mp4") == 8
    found = clip_speed.encoder_settings(tmp_path / "again.mp4")
    assert "crf=20" in found
    assert found == clip_speed.encoder_settings(walk)


def test_the_stand_in_for_mmpose_finds_what_limner_finds(portrait: np.ndarray, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
    import comparison
    import mmpose_peer

    weights = comparison.checkpoint(comparison.FACE, tmp_path)
    ours = loading.open_pose_estimator(comparison.FACE.config, weights, engine=loading.Engine("torch"))
    boxes = np.array([[160, 60, 290, 210], [100, 40, 300, 260]], np.float32)
    wanted = ours(portrait, boxes)
    for together in (False, True):
        eager = mmpose_peer.Eager(comparison.FACE.config, weights, together=together)
        ours.runtime = eager
        found = ours(portrait, boxes)
        assert eager.images == 4, "each crop and its mirror image"
        # where two places of a random network's output are nearly equal, rounding decides between them
        assert np.mean(np.abs(found.keypoints - wanted.keypoints) < 0.01) > 0.98
        assert np.abs(found.scores - wanted.scores).max() < 1e-3


def test_the_limit_is_that_of_the_network_that_is_measured(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
    from torch.utils.flop_counter import FlopCounterMode

    import comparison
    import processor_limits
    from limner import build, config

    network = build.network(config.load(comparison.BODY.config)["model"]).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, 256, 192))
    assert counter.get_total_flops() / 1e9 == pytest.approx(processor_limits.GFLOP, rel=0.02)
    found = processor_limits.limits(tmp_path, 1, backends=("torch",), side=128, products=2, sizes=(1, 2, 4), threads=1)
    assert found["limit"] == pytest.approx(processor_limits.GFLOP * 1e9 / found["rate"])
    assert all(len(values) == 1 and values[0] > 0 for values in found["seconds"].values())
    assert all(len(row) == len(found["columns"]) for row in found["rows"][1:])


def test_the_report_replaces_the_table_and_draws_the_plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import peers
    import plot

    page, svg, folder = tmp_path / "speed.md", tmp_path / "speed.svg", tmp_path / "found"
    folder.mkdir()
    page.write_text((ROOT / "docs" / "speed.md").read_text(encoding="utf-8"), encoding="utf-8")
    arguments = ["report", str(folder), "--svg", str(svg), "--page", str(page)]
    with pytest.raises(SystemExit, match="run the benchmarks first"):
        peers.main(arguments)
    columns, rows = ["what", "rate", "ratio"], [["limner & co", "20.0 frames/s", "2.00 x"], ["rtmlib", "10.0 frames/s"]]
    entry = {
        "benchmark": "rtmlib",
        "machine": "a machine",
        "frames": 20,
        "interval": 5,
        "columns": columns,
        "rows": rows,
    }
    (folder / "a.json").write_text(json.dumps(entry | {"medians": {"limner": 1.0, "rtmlib": 2.0}}))
    peers.main(arguments)
    once = page.read_text(encoding="utf-8")
    assert "| limner & co | 20.0 frames/s | 2.00 x |" in once
    assert "| rtmlib      | 10.0 frames/s |        |" in once
    peers.main(arguments)
    assert page.read_text(encoding="utf-8") == once, "a second report replaces the first"
    space = {"s": "http://www.w3.org/2000/svg"}
    widths = [float(r.get("width", "")) for r in ElementTree.parse(svg).findall("s:rect", space)[1:]]
    assert len(widths) == 2
    assert widths[1] == pytest.approx(2 * widths[0]), "rtmlib, then limner"
    page.write_text("nothing here")
    with pytest.raises(SystemExit, match="no markers for the table"):
        plot.report(folder, svg, page)


def test_rtmlibs_side_counts_what_it_runs_and_takes_what_was_found(
    walk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import types

    import comparison
    import rtmlib_peer
    from recorded_results import RecordedFrame

    class Tracker:
        """As much of rtmlib's tracker as is used: detection at every second frame."""

        def __init__(self) -> None:
            frames = comparison.RecordedResults(walk).frames
            self.frames = [replace(found, scores=found.scores * 0 + 0.5) for found in frames]
            self.det_model = rtmlib_peer.RecordedBoxes(lambda image: np.zeros((0, 4)), self.frames)
            self.pose_model = rtmlib_peer.RecordedPoses(self.network, self.frames)
            self.seen: list[np.ndarray] = []
            self.count = 0

        def network(self, image: np.ndarray, bboxes: Any) -> tuple[np.ndarray, np.ndarray]:
            return np.zeros((len(bboxes), 68, 2)), np.zeros((len(bboxes), 68))

        def __call__(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            if self.count % 2 == 0:
                self.boxes = self.det_model(image)
            self.count += 1
            points, scores = self.pose_model(image, bboxes=self.boxes)
            self.seen.append(points)
            return points, scores

        def reset(self) -> None:
            self.count = 0

    drawn: list[int] = []

    def draw_skeleton(image: np.ndarray, points: np.ndarray, scores: np.ndarray, kpt_thr: float) -> np.ndarray:
        drawn.append(int((scores >= kpt_thr).sum()))
        return image

    monkeypatch.setitem(sys.modules, "rtmlib", types.SimpleNamespace(draw_skeleton=draw_skeleton))
    tracker = Tracker()
    report = rtmlib_peer.measure(tracker, str(walk), str(tmp_path / "out.mp4"))
    assert (report["frames"], report["detector"], report["crops"]) == (8, 4, 8)
    assert drawn == [68] * 8
    assert all(np.array_equal(a, b.points) for a, b in zip(tracker.seen, tracker.frames, strict=True))
    assert cv2.VideoCapture(str(tmp_path / "out.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 8
    assert isinstance(tracker.frames[0], RecordedFrame)


def test_rtmlib_is_compared_with_and_without_its_tracker_and_detectors_are_counted() -> None:
    import peers

    spent = {"limner": [2.0, 1.0], "rtmlib": [4.0, 3.0], "rtmlib, tracking=False": [3.0, 2.0]}
    assert [*spent][1:] == [*peers.RTMLIB]
    images = {name: {"detector": 13 + i, "crops": 99} for i, name in enumerate(spent)}
    columns, rows = peers.rtmlib_table(spent, images, 30, 5)
    assert columns[1:] == ["rate", "limner beside it", "runs of the detector", "crops"]
    assert rows == [
        ["limner", "20.0 frames/s", "", "13", "99"],
        ["rtmlib", "8.6 frames/s", "2.50 x", "14", "99"],
        ["rtmlib, tracking=False", "12.0 frames/s", "1.75 x", "15", "99"],
    ]


def test_a_dependency_costs_what_only_it_brings() -> None:
    import install_size

    rows = [
        ("limner", 5, ["A.x", "b"]),
        ("a-x", 10, ["deep", "common"]),
        ("b", 20, ["common"]),
        ("deep", 3, []),
        ("common", 7, []),
        ("pip", 99, []),
    ]
    assert install_size.costs(rows) == {"limner": 5, "a-x": 13, "b": 20, "shared by several": 7}
