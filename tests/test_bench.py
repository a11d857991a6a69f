"""Somebody asks what a machine reaches, and gets numbers that fit what was run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from limner import bench, loading, pipeline
from limner.cli import app
from limner.errors import LimnerError
from limner.pipeline import Pipeline
from limner.video.writer import VideoWriter

STAGES = ["read", "detect", "crop", "pose", "decode", "draw", "encode"]


@pytest.fixture(scope="module")
def faces() -> Pipeline:
    return loading.load("face-lite")


@pytest.fixture
def clip(tmp_path: Path, portrait: np.ndarray) -> Path:
    with VideoWriter(tmp_path / "walk.mp4", 25) as sink:
        for i in range(6):
            sink.write(cv2.resize(np.roll(portrait, 3 * i, axis=1), (256, 256)))
    return tmp_path / "walk.mp4"


def test_every_stage_and_the_whole(faces: Pipeline, clip: Path) -> None:
    runtime = faces.pose.runtime
    report = bench.measure(faces, "face-lite", clip, frames=12, det_interval=3)
    assert [row.stage for row in report.stages] == STAGES
    assert all(0 < row.median <= row.p95 for row in report.stages if row.stage != "decode")
    assert (report.frames, report.size, report.people) == (12, (256, 256), 1.0)
    assert report.fps > 0
    assert faces.pose.runtime is runtime, "the stopwatch is left behind"


def test_a_slower_network_shows_in_its_own_stage_and_in_the_whole(faces: Pipeline, clip: Path) -> None:
    import time

    class Slow:
        device = faces.pose.runtime.device

        def __init__(self) -> None:
            self.runtime = faces.pose.runtime

        def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
            time.sleep(0.05 * len(batch))
            return self.runtime(batch)

        def close(self) -> None:
            """Nothing is open."""

    slow = Pipeline(faces.detector, pipeline.PoseEstimator(Slow(), faces.pose.spec, faces.keypoint_set))
    report = bench.measure(slow, "slow", clip, frames=8)
    times = {row.stage: row.median for row in report.stages}
    assert times["pose"] >= 50
    assert times["detect"] < 50
    assert report.fps < 20


def test_frames_that_are_made_up_have_as_many_people_as_asked_for(faces: Pipeline) -> None:
    report = bench.measure(faces, "face-lite", None, frames=4, people=3)
    assert report.people == 3
    assert report.size == bench.SYNTHETIC_SIZE


def test_the_command_prints_a_table_and_writes_json(clip: Path, tmp_path: Path) -> None:
    arguments: list[Any] = ["bench", clip, "--frames", 4, "--json", tmp_path / "speed.json"]
    result = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0
    assert all(stage in result.stdout for stage in STAGES)
    assert "frames/s" in result.stdout
    found = json.loads((tmp_path / "speed.json").read_text())
    assert found["cold_start"] > 0
    assert found["megabytes"] is None or found["megabytes"] > 50
    assert found["devices"] == loading.load().devices


def test_a_video_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(LimnerError, match="does not exist"):
        CliRunner().invoke(app, ["bench", str(tmp_path / "no.mp4")], catch_exceptions=False)
