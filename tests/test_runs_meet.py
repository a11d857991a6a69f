"""Runs that meet in one folder, at once or one after the other: no result is lost, or taken for another input's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from limner.cli import app
from limner.errors import LimnerError, OutputError
from limner.files import incomplete_mark, write_atomically
from limner.formats import json_lines
from limner.jobs.claims import Marks, claimed
from limner.jobs.plan import Task
from limner.sources import Input, expand
from limner.video.writer import VideoWriter

ROOT = Path(__file__).resolve().parents[1]
Make = Callable[[str, str], None]

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
needs_links = pytest.mark.skipif(os.name == "nt", reason="links need rights there")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, an empty one; limner's own folder is beside it."""
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def make(portrait: np.ndarray) -> Make:
    """Makes an image with one face, on the left or on the right."""
    face = cv2.resize(portrait[:300, 80:380], (160, 160))

    def image(name: str, side: str) -> None:
        canvas = np.full((200, 400, 3), 90, np.uint8)
        left = 20 if side == "left" else 220
        canvas[20:180, left : left + 160] = face
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(name, canvas)

    return image


def clip(name: str, frames: int) -> None:
    with VideoWriter(name, 25) as sink:
        for i in range(frames):
            sink.write(np.full((64, 96, 3), i % 200, np.uint8))


def ran(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(app, ["run", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == status, result.output
    return str(result.output)


def refused(*arguments: object) -> str:
    with pytest.raises(LimnerError) as caught:
        ran(*arguments)
    return str(caught.value)


def sides(folder: str) -> dict[str, str]:
    """On which side the face of each result is."""
    found = {path.name: json.loads(path.read_text()) for path in sorted(Path(folder).iterdir())}
    return {name: "left" if people[0]["bbox"][0][0] < 200 else "right" for name, people in found.items()}


def started(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from limner.cli import main; main()", "run", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


# -- one after the other, with other inputs


def test_a_new_input_of_a_finished_name_is_done(here: Path, make: Make) -> None:
    make("ss/b.png", "left")
    ran("ss", "--json", "j")
    make("ss/b.jpg", "right")
    assert "1 input finished" in ran("ss", "--json", "j", "--skip-existing")
    assert sides("j") == {"b.json": "left", "b_1.json": "right"}
    assert "2 inputs finished" in ran("ss", "--json", "j", "--skip-existing")
    assert sorted(os.listdir()) == ["j", "ss"], "nothing else lies about"


def test_inputs_keep_their_names_in_whatever_order_they_come(here: Path, make: Make) -> None:
    make("b/x.jpg", "right")
    ran("a/x.jpg", "b/x.jpg", "--json", "j", status=1)  # a/x.jpg is missing
    make("a/x.jpg", "left")
    ran("a/x.jpg", "b/x.jpg", "--json", "j", "--skip-existing")
    assert sides("j") == {"x.json": "right", "x_1.json": "left"}
    for inputs in (("a/x.jpg", "b/x.jpg"), ("b/x.jpg", "a/x.jpg")):
        assert "2 inputs finished" in ran(*inputs, "--json", "j", "--skip-existing")
    make("c/x.jpg", "left")
    assert "1 image" in ran("c/x.jpg", "--json", "j", "--skip-existing")
    assert sides("j") == {"x.json": "right", "x_1.json": "left", "x_2.json": "left"}


def test_of_inputs_that_were_moved_names_decide(here: Path, make: Make) -> None:
    make("in/x.jpg", "left")
    ran("in", "--json", "j")
    os.rename("in", "moved")
    assert "1 input finished" in ran("moved", "--json", "j", "--skip-existing")
    (record,) = Path(os.environ["LIMNER_HOME"], "outputs").iterdir()
    record.write_bytes(b'{"name": "x.js')  # torn, or of another machine
    make("in/x.jpg", "right")
    assert "1 input finished" in ran("in", "--json", "j", "--skip-existing")


# -- at once


def test_the_lines_of_two_runs_are_not_mixed(here: Path, make: Make) -> None:
    make("a.jpg", "left")
    with claimed(Path("l")):
        for more in ((), ("--append",), ("--overwrite",), ("--skip-existing",)):
            assert "'l' is being written by another run" in refused("a.jpg", "--jsonl", "l", *more)
        assert not Path("l").exists()
    ran("a.jpg", "--jsonl", "l")
    assert sorted(os.listdir()) == ["a.jpg", "l"]


def test_a_killed_run_holds_nothing(here: Path) -> None:
    clip("film.mp4", 400)
    arguments = ("film.mp4", "-o", "o", "--jsonl", "l")
    with started(*arguments) as process:
        until(lambda: Path("l").exists() and Path("l").read_bytes().count(b"\n") > 20)
        assert "being written by another run" in refused("film.mp4", "--jsonl", "l", "--append")
        said = ran("film.mp4", "-o", "o", "--overwrite", status=1)
        assert "is being written by another run" in said
        assert incomplete_mark(Path("o/film.mp4")).exists(), "the second run takes the mark of the first away"
        process.kill() if os.name == "nt" else process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    assert incomplete_mark(Path("o/film.mp4")).exists()
    ran(*arguments, "--skip-existing")
    assert os.listdir("o") == ["film.mp4"]
    assert json_lines.finished(Path("l")).videos == {"film.mp4": 1}


def test_a_file_that_appears_meanwhile_is_left_as_it_is(
    here: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("in/a.jpg", "left")
    make("in/b.jpg", "right")
    from limner import loading

    load = loading.load

    def slow(*args: Any, **more: Any) -> Any:  # the other run is done while a model is opened
        Path("j/a.json").write_text("of another run")
        return load(*args, **more)

    monkeypatch.setattr("limner.loading.load", slow)
    said = ran("in", "--json", "j", status=1)
    assert "'j/a.json' was written by another run meanwhile" in said.replace(os.sep, "/")
    assert Path("j/a.json").read_text() == "of another run"
    assert json.loads(Path("j/b.json").read_text())
    with pytest.raises(OutputError, match="another run"):  # in the last moment
        write_atomically(Path("j/a.json"), b"new", new=True)
    assert sorted(os.listdir("j")) == ["a.json", "b.json"]


def test_a_file_system_without_links(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    write_atomically(Path("x"), b"1", new=True)
    with pytest.raises(OutputError, match="another run"):
        write_atomically(Path("x"), b"2", new=True)
    assert Path("x").read_bytes() == b"1"
    assert os.listdir() == ["x"]


def test_a_video_that_appears_meanwhile_is_left_as_it_is(here: Path) -> None:
    path = here / "clip.mp4"
    path.write_bytes(b"of another run")
    task = Task(Input("clip.mp4", is_video=True), "clip", False, path, None, new=(path,))
    with pytest.raises(OutputError, match="another run"), Marks(task):
        pass
    assert os.listdir() == ["clip.mp4"]


def test_two_shards_share_a_folder(here: Path, make: Make) -> None:
    for name in ("a0", "a1", "b0", "b1"):
        make(f"in/{name}.jpg", "left")
    with started("in/a*.jpg", "--json", "j") as one, started("in/b*.jpg", "--json", "j") as other:
        for process in (one, other):
            _, said = process.communicate(timeout=60)
            assert process.returncode == 0, said
    assert sorted(sides("j")) == ["a0.json", "a1.json", "b0.json", "b1.json"]


# -- what lies in folders


@needs_pipes
def test_a_pipe_in_a_folder_is_not_waited_for(here: Path, make: Make) -> None:
    make("tree/a.jpg", "left")
    for name in ("pipe.jpg", "pipe.gif", "pipe.mp4"):
        os.mkfifo(here / "tree" / name)
    for inputs in (["tree", "--recursive"], ["tree"], ["tree/*"]):
        said = ran(*inputs, "--json", "j", "--overwrite")
        assert "skipped files that are not images or videos" in said
        assert "pipe.jpg" in said
    assert os.listdir("j") == ["a.json"]


@needs_links
@pytest.mark.parametrize("options", [{}, {"recursive": True}])
def test_a_link_to_itself_stops_nothing(here: Path, make: Make, options: dict[str, bool]) -> None:
    make("tree/sub/a.jpg", "left")
    make("tree/b.jpg", "left")
    for name in ("loop.jpg", "loop.gif", "lo"):
        (here / "tree" / name).symlink_to(name)
    items, errors, _ = expand("tree", **options)
    assert not errors
    assert {item.name for item in items} >= {"b.jpg", "loop.jpg"}
    switch = ["--recursive"] if options else []
    said = ran("tree", *switch, "--json", "j", status=1)
    assert "loop.jpg" in said
    assert "leads back to itself" in said
    assert {"b.json"} <= {path.name for path in Path("j").rglob("*.json")}
    assert (Path("j/sub/a.json").exists()) == bool(options)


# -- runs that fail


def test_a_run_that_fails_leaves_nothing_in_the_way(here: Path, make: Make) -> None:
    make("a.jpg", "left")
    Path("torn.jpg").write_bytes(Path("a.jpg").read_bytes()[:900])
    ran("nope.jpg", "--jsonl", "new/q.jsonl", status=1)
    ran("torn.jpg", "--jsonl", "q.jsonl", "--json", "j", "-o", "o", status=1)
    refused("a.jpg", "--det-size", 33, "--json", "r/5", "-o", "o")
    refused("a.jpg", "-m", "nofile.onnx", "--json", "r/6", "--jsonl", "l/q.jsonl")
    refused("a.jpg", "--smooth", "live", "--json", "r/7")
    assert sorted(os.listdir()) == ["a.jpg", "torn.jpg"]
    Path("file").write_text("in the way")
    assert "in the way" in refused("a.jpg", "--json", "new/j", "-o", "file/o")
    assert sorted(os.listdir()) == ["a.jpg", "file", "torn.jpg"]
    ran("a.jpg", "torn.jpg", "--jsonl", "q.jsonl", status=1)
    assert '"error"' in Path("q.jsonl").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--tile", "1"), "--tile 1 has no effect"),
        (("--tile", "1x1"), "--tile 1x1 has no effect"),
        (("--no-flip",), "--no-flip has no effect: face-lite"),
        (("--det", "whole-image", "--bbox-thr", "0.3"), "bbox_thr is for the boxes of a detector"),
        (("--max-persons", "2", "--follow", "largest"), "--max-persons and --follow contradict"),
        (("--append", "--overwrite", "--jsonl", "l"), "--overwrite and --append contradict"),
    ],
)
def test_an_option_without_effect_is_an_error(here: Path, make: Make, arguments: tuple[str, ...], said: str) -> None:
    make("a.jpg", "left")
    assert said in refused("a.jpg", *arguments)
    assert os.listdir() == ["a.jpg"]


def test_a_pixel_outside_an_image_names_nobody(here: Path, make: Make) -> None:
    make("a.jpg", "left")
    said = ran("a.jpg", "--follow", "9999,9999", "--json", "j", status=1)
    assert "the pixel 9999,9999 is not in 'a.jpg', which has 400 x 200 pixels" in said
    ran("a.jpg", "--follow", "399,199", "--json", "j")
    assert sides("j") == {"a.json": "left"}


# -- what is said


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
def test_a_name_with_a_line_break_is_one_line(here: Path, make: Make) -> None:
    make("a.jpg", "left")
    os.rename("a.jpg", "a\nb\x1b[31m.jpg")
    Path("c\nd.jpg").write_bytes(b"dear diary")
    said = ran(".", "-v", "--jsonl", "l", status=1)
    assert "\x1b" not in said
    assert all(line.startswith(("limner: ", "a\\nb", "1 instance")) for line in said.splitlines()), said


def test_what_is_said_of_names(here: Path, make: Make) -> None:
    make("m3.jpg", "left")
    make("photo.jpg", "left")
    assert "Did you mean" not in ran("nope.jpg", "--json", "j", status=1)
    assert "Did you mean 'photo.jpg'" in ran("phto.jpg", "--json", "j", status=1)
    assert "Did you mean 'photo.jpg'" in ran("photo.jpeg", "--json", "j", status=1)
    make("a/x.jpg", "left")
    make("b/x.jpg", "left")
    assert "named" not in ran("a/x.jpg", "b/x.jpg", "--jsonl", "l")
    assert "its files are named 'x_1'" in ran("a/x.jpg", "b/x.jpg", "--json", "j")
