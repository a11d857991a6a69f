"""What must hold for hours: memory that does not grow, a camera that never lags. Short; long with LIMNER_LONG=1."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import servers
from limner import loading
from limner.display.hud import Meter
from limner.pipeline import Pipeline
from limner.types import Boxes, Frame, Result
from limner.video.camera import CameraSource
from limner.video.options import TrackingOptions
from limner.video.pipeline import CurrentStyle, VideoPipeline
from limner.video.writer import VideoWriter

ROOT = Path(__file__).resolve().parents[1]
LONG = bool(os.environ.get("LIMNER_LONG"))
FRAMES, SETTLED = (20_000, 1_000) if LONG else (900, 300)
LIVE_SECONDS = 300 if LONG else 8
MODEL_SECONDS = 0.1


def resident(process: subprocess.Popen[bytes]) -> float:
    """Megabytes of a process that lie in memory."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="this system does not tell the resident memory")
def test_memory_does_not_grow_with_the_video(portrait: np.ndarray, tmp_path: Path) -> None:
    small = cv2.resize(portrait, (256, 256))
    views = [np.roll(small, round(20 * np.sin(i / 8)), axis=1) for i in range(50)]
    with VideoWriter(tmp_path / "long.mp4", 30) as sink:
        for i in range(FRAMES):
            sink.write(views[i % 50])
    arguments = ["run", tmp_path / "long.mp4", "--out", tmp_path / "out", "--json", tmp_path / "out"]
    arguments += ["--jsonl", tmp_path / "lines", "--det-interval", "5", "--smooth", "file"]
    command = [sys.executable, "-c", "from limner.cli import main; main()", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    readings: list[tuple[int, float]] = []
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        done, place = 0, 0
        while process.poll() is None:
            time.sleep(0.05)
            if (tmp_path / "lines").exists():
                with (tmp_path / "lines").open("rb") as lines:
                    lines.seek(place)
                    done += (new := lines.read()).count(b"\n")
                    place += len(new)
                if process.poll() is None:
                    readings.append((done, resident(process)))
        assert process.stderr is not None
        assert process.wait(60) == 0, process.stderr.read()
    settled = next(megabytes for frames, megabytes in readings if frames >= SETTLED)
    # the last moment belongs to the end of the file, which is rebuilt then
    grown = max(megabytes for frames, megabytes in readings if SETTLED <= frames < FRAMES) - settled
    print(f"\n{FRAMES} frames: {settled:.0f} MB after {SETTLED}, at most {grown:.1f} MB more later")
    assert grown <= 30


class Slow(Pipeline):
    """Takes as long as a large model."""

    def many(
        self, frames: Sequence[Frame], boxes: Sequence[Boxes] | None = None, *, heatmaps: Any = ""
    ) -> list[Result]:
        began = time.monotonic()
        results = super().many(frames, boxes, heatmaps=heatmaps)
        time.sleep(max(0.0, MODEL_SECONDS - (time.monotonic() - began)))
        return results


def test_a_slow_model_never_falls_behind_a_camera(
    portrait: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = cv2.resize(portrait[:384], (640, 480))
    monkeypatch.setattr(cv2, "VideoCapture", servers.camera([current], fps=30))
    stages = loading.load("face-lite")
    meter = Meter(live=True)
    ages: list[float] = []
    video = VideoPipeline(
        CameraSource("webcam"), Slow(stages.detector, stages.pose), TrackingOptions(det_interval=5), CurrentStyle()
    )
    with video, VideoWriter(tmp_path / "live.mp4", video.fps) as sink:
        began = time.monotonic()
        for frame_result in video.frame_results():
            sink.write(frame_result.drawn, frame_result.frame.timestamp)
            age = video.age(frame_result.frame)
            assert age is not None
            ages.append(age)
            meter.add_frame(age)
            if time.monotonic() - began > LIVE_SECONDS:
                break
        dropped = video.dropped
    late = float(np.percentile(ages[10:], 95))
    print(f"\n{len(ages)} frames in {LIVE_SECONDS} s, {dropped} dropped, latency p95 {late * 1e3:.0f} ms")
    assert len(ages) > 0.5 * LIVE_SECONDS / MODEL_SECONDS
    assert late <= 2.5 * MODEL_SECONDS
    half = len(ages) // 2
    assert np.median(ages[half:]) <= np.median(ages[10:half]) + 0.5 * MODEL_SECONDS, "frames pile up"
