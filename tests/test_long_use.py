"""Runs that are killed at random, runs that meet, and a program that calls limner for long. LIMNER_LONG=1 does more."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from limner.cli import app
from limner.images import decode_image
from limner.video.reader import VideoSource
from limner.video.writer import VideoWriter

ROOT = Path(__file__).resolve().parents[1]
LONG = bool(os.environ.get("LIMNER_LONG"))
KILLS, MEETINGS, MINUTES = (50, 20, 60.0) if LONG else (1, 2, 0.05)
PHOTOS, FRAMES = 12, 60
OUTPUTS = ("in", "-o", "o", "--json", "j", "--jsonl", "l")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory, portrait: np.ndarray) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    face = cv2.resize(portrait[:300, 80:380], (160, 160))
    for i in range(PHOTOS):
        cv2.imwrite(str(folder / f"{i}.jpg"), np.roll(face, i, axis=1))
    with VideoWriter(folder / "5a.mp4", 25) as sink:
        for i in range(FRAMES):
            sink.write(np.roll(face, i % 9, axis=1))
    return folder


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from limner.cli import main; main()", "run", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "LIMNER_HOME": str(folder / "home")}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment, cwd=folder)


def check_whole(folder: Path) -> None:
    """Check that no output is half a file; what is marked may end early."""
    for path in folder.glob("o/*.jpg"):
        assert decode_image(path.read_bytes(), path.name).shape == (160, 160, 3)
    for path in folder.glob("j/*.json"):
        assert isinstance(json.loads(path.read_text()), list)
    for path in folder.glob("o/*.mp4"):
        if not Path(f"{path}.incomplete").exists():
            with VideoSource(path) as video:
                assert sum(1 for _ in video) == FRAMES


def check_complete(folder: Path) -> None:
    """Check that each input has come out once, in every form."""
    check_whole(folder)
    names = sorted([*(f"{i}.jpg" for i in range(PHOTOS)), "5a.mp4"])
    assert sorted(os.listdir(folder / "o")) == names, "something is missing, or a mark is left"
    assert sorted(os.listdir(folder / "j")) == sorted(f"{Path(name).stem}.json" for name in names)
    assert len(json.loads((folder / "j/5a.json").read_text())) == FRAMES
    if not (folder / "l").exists():
        return
    lines = [json.loads(line) for line in (folder / "l").read_text().splitlines()]
    found = Counter((line["source"], line["frame_id"]) for line in lines if "instances" in line)
    photos = {(str(Path("in", f"{i}.jpg")), 0): 1 for i in range(PHOTOS)}
    assert found == {**photos, **{(str(Path("in", "5a.mp4")), i): 1 for i in range(FRAMES)}}


@pytest.mark.skipif(os.name == "nt", reason="there is no such signal")
@pytest.mark.parametrize("number", range(KILLS))
def test_nothing_is_lost_when_a_run_is_killed(
    inputs: Path, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").symlink_to(inputs)
    chance = random.Random(number)
    with started(tmp_path, *OUTPUTS) as process:
        lines, wanted = tmp_path / "l", chance.randrange(0, PHOTOS + FRAMES)
        end = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < end:
            if lines.exists() and lines.read_bytes().count(b"\n") > wanted:
                break
            time.sleep(0.002)
        time.sleep(chance.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    check_whole(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.glob("[oj]/*") if "5a" not in path.name}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    again = CliRunner().invoke(app, ["run", *OUTPUTS, "--skip-existing"], catch_exceptions=False)
    assert again.exit_code == 0, again.output
    assert {path: path.read_bytes() for path in before} == before
    check_complete(tmp_path)


@pytest.mark.parametrize("number", range(MEETINGS))
def test_nothing_is_lost_when_two_runs_meet(
    inputs: Path, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").symlink_to(inputs)
    arguments = OUTPUTS if number % 2 else OUTPUTS[:-2]
    more = ((), ("--overwrite",), ("--skip-existing",))[number % 3]
    with started(tmp_path, *arguments, *more) as one, started(tmp_path, *arguments, *more) as other:
        said = [process.communicate(timeout=120)[1] for process in (one, other)]
    assert not any("Traceback" in text for text in said), said
    for process, text in zip((one, other), said, strict=True):
        if process.returncode:  # the loser says why
            true = ("is being written by another run", "was written by another run meanwhile", "would be written over")
            assert any(sentence in text for sentence in true), text
    assert 0 in (one.returncode, other.returncode) or "meanwhile" in "".join(said)
    check_whole(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    again = CliRunner().invoke(app, ["run", *arguments, "--skip-existing"], catch_exceptions=False)
    assert again.exit_code == 0, again.output
    check_complete(tmp_path)


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="this system does not tell the resident memory")
def test_mixed_calls_of_threads_and_processes_give_the_same() -> None:
    command = [sys.executable, ROOT / "benchmarks" / "mixed_calls.py", "--minutes", str(MINUTES)]
    within = [] if LONG else ["--within", "100"]  # a minute's memory is not flat yet
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([*command, *within], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
