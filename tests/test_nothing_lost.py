"""Runs into one folder: nothing is written over unasked, and every input comes out once, whatever ended the run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from limner.cli import app
from limner.errors import LimnerError, OutputError
from limner.formats import json_lines
from limner.formats.json_lines import JsonLinesWriter
from limner.formats.run_info import RunInfo
from limner.jobs.plan import Existing, make_plan, tasks_of
from limner.sources import Input, expand
from limner.video.reader import VideoSource
from limner.video.writer import VideoWriter
from limner.writers import ImageWriter, JsonWriter

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, an empty one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def face(portrait: np.ndarray) -> np.ndarray:
    return cv2.resize(portrait[:300, 80:380], (160, 160))


def images(folder: Path, face: np.ndarray, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), face)


def clip(path: Path, face: np.ndarray, frames: int) -> Path:
    with VideoWriter(path, 25) as sink:
        for i in range(frames):
            sink.write(np.roll(face, i % 9, axis=1))
    return path


def ran(*arguments: object) -> str:
    """Run the command, and return what it says."""
    return str(CliRunner().invoke(app, ["run", *map(str, arguments)], catch_exceptions=False).output)


def refused(*arguments: object) -> str:
    with pytest.raises(LimnerError) as caught:
        ran(*arguments)
    return str(caught.value)


def contents(*folders: Path) -> dict[str, tuple[int, bytes]]:
    """When each file was written, and what is in it."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def counted(path: Path) -> Counter[str]:
    """How often each source has a result of a first frame."""
    return Counter(record["source"] for record in records(path) if record.get("frame_id") == 0)


# -- two runs


def test_a_second_run_stops_before_it_begins(here: Path, face: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    images(here, face, "photos/a.jpg", "photos/b.jpg", "photos/c.jpg")
    ran("photos", "--json", "points", "--out", "drawn")
    images(here, face, "photos/0.jpg")
    before = contents(here)
    monkeypatch.setattr("limner.loading.load", lambda *args, **more: pytest.fail("a model is opened"))
    said = refused("photos", "--json", "points", "--out", "drawn")
    assert f"'{Path('drawn/a.jpg')}' and 5 more files exist" in said
    for way in ("--overwrite", "--skip-existing", "fresh folder"):
        assert way in said
    assert contents(here) == before


def test_the_same_stands_for_lines(here: Path, face: np.ndarray) -> None:
    images(here, face, "a.jpg")
    ran("a.jpg", "--jsonl", "all.jsonl")
    before = contents(here)
    said = refused("a.jpg", "--jsonl", "all.jsonl")
    assert said.startswith("'all.jsonl' exists and would be written over")
    for way in ("--append", "--overwrite", "--skip-existing", "another name"):
        assert way in said
    assert contents(here) == before


def test_overwrite_writes_over(here: Path, face: np.ndarray) -> None:
    images(here, face, "a.jpg")
    ran("a.jpg", "-o", "o", "--json", "j", "--jsonl", "l")
    images(here, np.zeros_like(face), "a.jpg")
    ran("a.jpg", "-o", "o", "--json", "j", "--jsonl", "l", "--overwrite")
    assert json.loads((here / "j" / "a.json").read_text()) == []
    assert [record["instances"] for record in records(here / "l") if "instances" in record] == [[]]


def test_what_is_finished_stays_as_it_is(here: Path, face: np.ndarray) -> None:
    images(here, face, "photos/a.jpg", "photos/a.png", "photos/b.jpg")
    arguments = ("photos", "-o", "o", "--json", "j", "--jsonl", "l", "--skip-existing")
    ran(*arguments)
    before = contents(here / "o", here / "j", here)
    assert "3 inputs finished" in ran(*arguments)
    assert contents(here / "o", here / "j", here) == before
    images(here, face, "photos/c.jpg")
    said = ran(*arguments)
    assert "1 image" in said
    assert (
        contents(here / "o", here / "j").items()
        >= {name: found for name, found in before.items() if "photos" not in name and not name.endswith("l")}.items()
    )
    assert counted(here / "l") == {str(Path("photos") / name): 1 for name in ("a.jpg", "a.png", "b.jpg", "c.jpg")}


def test_of_two_outputs_both_must_be_there(here: Path, face: np.ndarray) -> None:
    images(here, face, "a.jpg", "b.jpg")
    arguments = ("*.jpg", "-o", "o", "--json", "j", "--jsonl", "l", "--skip-existing")
    ran(*arguments)
    (here / "j" / "a.json").unlink()
    assert "1 input finished" in ran(*arguments)
    assert sorted(os.listdir("j")) == ["a.json", "b.json"]
    assert counted(here / "l") == {"a.jpg": 1, "b.jpg": 1}


def test_lines_of_other_inputs_are_never_lost(here: Path, face: np.ndarray) -> None:
    images(here, face, "a.jpg", "b.jpg")
    ran("a.jpg", "--jsonl", "l")
    ran("b.jpg", "--jsonl", "l", "--skip-existing")
    ran("b.jpg", "--jsonl", "l", "--append")
    assert counted(here / "l") == {"a.jpg": 1, "b.jpg": 2}
    assert [("limner" in record) for record in records(here / "l")] == [True, False] * 3


@pytest.mark.parametrize("option", ["--append", "--skip-existing"])
def test_a_file_of_something_else_is_left_alone(here: Path, face: np.ndarray, option: str) -> None:
    images(here, face, "a.jpg")
    (here / "notes").write_text('{"mine": 1}\nnot to be lost\n')
    assert "choose another file" in refused("a.jpg", "--jsonl", "notes", option)
    assert (here / "notes").read_text() == '{"mine": 1}\nnot to be lost\n'


def test_an_input_is_never_an_output(here: Path, face: np.ndarray) -> None:
    images(here, face, "x.jpg", "sub/x.jpg")
    before = contents(here)
    result = CliRunner().invoke(app, ["run", "sub/x.jpg", "x.jpg", "--out", ".", "--overwrite"])
    assert result.exit_code == 1
    assert "another input" in result.output
    assert (here / "x.jpg").read_bytes() == before[str(here / "x.jpg")][1]


# -- names of files


def test_one_input_goes_into_the_file_that_is_named(here: Path, face: np.ndarray) -> None:
    images(here, face, "a.jpg", "b.jpg")
    clip(here / "film.mp4", face, 3)
    ran("a.jpg", "-o", "new/x.png", "--json", "new/y.json")
    assert sorted(os.listdir("new")) == ["x.png", "y.json"]
    ran("film.mp4", "-o", "new/z.mkv")
    with VideoSource(here / "new" / "z.mkv") as video:
        assert len(list(video)) == 3
    ran("a.jpg", "-o", "x.svg")
    assert (here / "x.svg").read_text().startswith("<?xml")
    assert "written over" in refused("b.jpg", "-o", "new/x.png")
    for name in ("x2.png", "x2.mp4"):
        assert "there are 2 inputs: give a folder" in refused("a.jpg", "b.jpg", "-o", name)
    assert "there are 2 inputs: give a folder" in refused("a.jpg", "b.jpg", "--json", "x.json")
    assert "there are 2 inputs: give a folder" in refused("a.jpg", "nowhere.jpg", "-o", "x2.png")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("a.jpg", "-o", "x.mp4"), ".png"),
        (("a.jpg", "-o", "x.heic"), ".png"),
        (("film.mp4", "-o", "x.jpg"), ".mp4"),
        (("film.mp4", "-o", "x.svg"), ".mp4"),
        (("a.jpg", "-o", "x.csv"), "give --json"),
        (("a.jpg", "--json", "x.jsonl"), "give --jsonl"),
    ],
)
def test_an_ending_that_does_not_fit_is_an_error(
    here: Path, face: np.ndarray, arguments: tuple[str, ...], said: str
) -> None:
    images(here, face, "a.jpg")
    clip(here / "film.mp4", face, 2)
    assert said in refused(*arguments)
    assert sorted(os.listdir()) == ["a.jpg", "film.mp4"]


def test_a_folder_may_be_named_like_a_file(here: Path, face: np.ndarray) -> None:
    images(here, face, "a.jpg")
    (here / "x.png").mkdir()
    ran("a.jpg", "-o", "x.png")
    ran("a.jpg", "-o", "results.d")
    assert os.listdir("x.png") == os.listdir("results.d") == ["a.jpg"]


# -- runs that were cut short


def started(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from limner.cli import main; main()", "run", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def lines_in(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


ENDS = [signal.SIGINT, *([signal.SIGKILL] if hasattr(signal, "SIGKILL") else [])]


@pytest.mark.skipif(os.name == "nt", reason="a signal to another process is no Ctrl-C there")
@pytest.mark.parametrize("kind", ENDS)
def test_each_input_comes_out_once_after_a_run_was_ended(here: Path, face: np.ndarray, kind: int) -> None:
    images(here / "in", face, *(f"{i}.jpg" for i in range(20)))
    clip(here / "in" / "9a.mp4", face, 160)
    arguments = ("in", "-o", "o", "--json", "j", "--jsonl", "l")
    with started(*arguments) as process:
        until(lambda: lines_in(here / "l") > 40)  # in the video
        process.send_signal(kind)
        process.communicate(timeout=60)
    assert process.returncode != 0
    assert (here / "o" / "9a.mp4.incomplete").exists(), "what was cut short is not marked"
    assert (here / "j" / "9a.json.incomplete").exists()
    with VideoSource(here / "o" / "9a.mp4") as video:
        assert 5 < len(list(video)) < 160, "what there is can be played"
    if kind != signal.SIGINT:  # as if it had been killed in the middle of a line
        with (here / "l").open("ab") as lines:
            lines.write(b'{"source":"in/9a.mp4","frame_')
    finished = {name: found for name, found in contents(here / "o", here / "j").items() if "9a" not in name}
    assert finished

    assert "written over" in refused(*arguments)
    ran(*arguments, "--skip-existing")
    assert contents(here / "o", here / "j").items() >= finished.items(), "a finished file is written again"
    names = [*(f"{i}.jpg" for i in range(20)), "9a.mp4"]
    assert sorted(os.listdir("o")) == sorted(names), "or a mark is left"
    assert sorted(os.listdir("j")) == sorted(f"{Path(name).stem}.json" for name in names)
    assert len(json.loads((here / "j" / "9a.json").read_text())) == 160
    assert counted(here / "l") == {str(Path("in") / name): 1 for name in names}
    results = [record for record in records(here / "l") if "instances" in record]
    frames = [record["frame_id"] for record in results if record["source"].endswith("9a.mp4")]
    assert frames == list(range(160))


def test_a_full_disk_leaves_a_mark(here: Path, face: np.ndarray) -> None:
    resource = pytest.importorskip("resource", reason="this system cannot limit the size of files")
    clip(here / "film.mp4", face, 60)
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); "
        "from limner.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "run", "film.mp4", "-o", "o", "--json", "j"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert resource
    assert done.returncode == 1
    assert "no space is left" in done.stderr
    assert (here / "j" / "film.json.incomplete").exists()
    ran("film.mp4", "-o", "o", "--json", "j", "--skip-existing")
    assert sorted(os.listdir("o")) + sorted(os.listdir("j")) == ["film.mp4", "film.json"]
    assert len(json.loads((here / "j" / "film.json").read_text())) == 60


def test_a_video_whose_end_is_missing_is_marked(here: Path, face: np.ndarray) -> None:
    clip(here / "whole.mkv", face, 100)
    data = (here / "whole.mkv").read_bytes()
    (here / "film.mkv").write_bytes(data[: len(data) // 2])
    said = ran("film.mkv", "--json", "j", "--jsonl", "l")
    assert "cut short" in said
    assert (here / "j" / "film.json.incomplete").exists()
    assert records(here / "l")[-1]["complete"] is False
    (here / "film.mkv").write_bytes(data)  # now the copy is complete
    ran("film.mkv", "--json", "j", "--jsonl", "l", "--skip-existing")
    assert os.listdir("j") == ["film.json"]
    assert records(here / "l")[-1] == {"source": "film.mkv", "frames": 100, "complete": True}
    assert counted(here / "l") == {"film.mkv": 1}


def test_a_recording_of_a_camera_is_not_made_again(tmp_path: Path) -> None:
    camera = Input("webcam.mp4", address="webcam", is_video=True)
    (tmp_path / "webcam.mp4").write_bytes(b"")
    (tmp_path / "webcam.mp4.incomplete").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be recorded again"):
        make_plan(tasks_of([camera], ImageWriter(tmp_path), None), Existing.SKIP)


# -- what is read, and what is written, are different files


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (("a.jpg", "--jsonl", "a.jpg", "--overwrite"), "a.jpg"),
        (("a.jpg", "--jsonl", "./in/../a.jpg", "--append"), "a.jpg"),
        (("in", "--jsonl", "in/b.jpg", "--overwrite"), "in/b.jpg"),
        (("in/%d.png", "--jsonl", "in/2.png", "--overwrite"), "in/2.png"),
        (("in/%d.png", "--fps", "5", "--jsonl", "link", "--skip-existing"), "in/2.png"),
        (("notes.txt", "a.jpg", "--jsonl", "notes.txt", "--overwrite"), "notes.txt"),
        (("a.jpg", "--keypoints", "set.json", "--json", "set.json", "--overwrite"), "set.json"),
        (("a.jpg", "-m", "net.onnx", "--jsonl", "net.onnx", "--overwrite"), "net.onnx"),
    ],
)
def test_what_is_read_is_never_written_over(
    here: Path, face: np.ndarray, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], file: str
) -> None:
    images(here, face, "a.jpg", "in/b.jpg", "in/1.png", "in/2.png")
    (here / "link").symlink_to("in/2.png")
    for name in ("notes.txt", "set.json", "net.onnx"):
        (here / name).write_text("a")
    monkeypatch.setattr("limner.loading.load", lambda *args, **more: pytest.fail("a model is opened"))
    before = (here / file).read_bytes()
    result = CliRunner().invoke(app, ["run", *arguments])
    said = result.output + str(result.exception)
    assert result.exit_code
    assert "never written over" in said or "would be overwritten" in said
    assert (here / file).read_bytes() == before


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (("-o", "x.png", "--jsonl", "x.png"), "x.png"),
        (("-o", "out/x.png", "--jsonl", "./out/../out/x.png"), "out/x.png"),
        (("--json", "x.json", "--jsonl", "x.json"), "x.json"),
        (("--json", "points", "--jsonl", "points/a.json"), "points/a.json"),
        (("-o", "out", "--jsonl", "same/a.jpg"), "same/a.jpg"),
    ],
)
def test_no_file_is_two_outputs(here: Path, face: np.ndarray, given: tuple[str, ...], name: str) -> None:
    images(here, face, "a.jpg")
    (here / "out").mkdir()
    (here / "same").symlink_to("out")
    assert "give two names" in refused("a.jpg", *given)
    assert not (here / name).exists()


@pytest.mark.parametrize("option", ["--json", "-o"])
def test_only_lines_are_printed(here: Path, face: np.ndarray, option: str) -> None:
    images(here, face, "a.jpg")
    assert "--jsonl -" in refused("a.jpg", option, "-")
    for empty in ("--json", "-o", "--jsonl"):
        assert f"{'--out' if empty == '-o' else empty} is empty" in refused("a.jpg", empty, "")
    assert os.listdir(here) == ["a.jpg"]


def test_a_drawing_is_no_name_for_results(here: Path, face: np.ndarray) -> None:
    images(here, face, "a.jpg")
    assert "give a name that ends in .json" in refused("a.jpg", "--json", "x.png")


# -- records


def test_errors_and_the_head_are_records_too(here: Path, face: np.ndarray) -> None:
    images(here, face, "a.jpg")
    (here / "torn.jpg").write_bytes((here / "a.jpg").read_bytes()[:900])
    result = CliRunner().invoke(app, ["run", "nowhere.jpg", "torn.jpg", "a.jpg", "--jsonl", "l"])
    assert result.exit_code == 1
    head, nowhere, torn, found = records(here / "l")
    assert head["model"] == "face-lite"
    assert len(head["weights_sha256"]) == 64
    assert head["engine"] in ("onnxruntime", "openvino")
    assert head["precision"] in ("int8", "float32")
    assert head["limner"]
    assert nowhere["source"] == "nowhere.jpg"
    assert "does not exist" in nowhere["error"]
    assert "damaged" in torn["error"]
    assert found["instances"]
    assert "2 inputs" not in ran("torn.jpg", "a.jpg", "--jsonl", "l", "--skip-existing")
    assert [record.get("source") for record in records(here / "l")] == [None, "nowhere.jpg", "a.jpg", None, "torn.jpg"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_lines_go_into_a_pipe(here: Path, face: np.ndarray) -> None:
    images(here, face, "a.jpg")
    os.mkfifo(here / "pipe")
    with subprocess.Popen(["cat", "pipe"], stdout=subprocess.PIPE, text=True) as reader:
        ran("a.jpg", "--jsonl", "pipe")
        out, _ = reader.communicate(timeout=60)
    assert [next(iter(json.loads(line))) for line in out.splitlines()] == ["limner", "source"]


def test_lines_go_on_after_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "l"
    with JsonLinesWriter(path) as lines:
        lines.head(RunInfo("face", version="1"))
        lines.end('film "a".mp4', 7, complete=True)
        lines.end("film.mp4", 7, complete=False)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"source":"b.mp4","fra')
    assert json_lines.finished(path).videos == {'film "a".mp4': 1}
    with JsonLinesWriter(path, append=True) as lines:
        lines.error("b.mp4", "it is torn")
    assert path.read_bytes() == whole + b'{"source":"b.mp4","error":"it is torn"}\n'
    json_lines.drop(path, {"b.mp4", "film.mp4"})
    assert [record.get("source") for record in records(path)] == [None, 'film "a".mp4']


def test_a_plan_of_many_inputs_is_quick(tmp_path: Path) -> None:
    items = [Input(f"{i}.jpg", Path(f"in/{i}.jpg"), folder=f"{i % 50}") for i in range(20_000)]
    began = time.monotonic()
    tasks = tasks_of(items, ImageWriter(tmp_path / "o"), JsonWriter(tmp_path / "j"))
    assert len(make_plan(tasks, Existing.REFUSE).tasks) == len(items)
    assert time.monotonic() - began < 3


# -- folders


def test_a_tree_is_mirrored(here: Path, face: np.ndarray) -> None:
    images(here / "in", face, "2.jpg", "10.jpg", "b/2.jpg", "b/c/2.png", ".hidden/2.jpg", "b/.2.jpg")
    clip(here / "in" / "b" / "film.mp4", face, 2)
    ran("in", "--recursive", "-o", "o", "--json", "j", "--jsonl", "l")
    drawn = ["10.jpg", "2.jpg", "b/2.jpg", "b/c/2.png", "b/film.mp4"]
    assert sorted(path.relative_to("o").as_posix() for path in Path("o").rglob("*.*")) == drawn
    sheets = [Path(name).with_suffix(".json").as_posix() for name in drawn]
    assert sorted(path.relative_to("j").as_posix() for path in Path("j").rglob("*.*")) == sheets
    order = list(dict.fromkeys(record["source"] for record in records(here / "l") if "instances" in record))
    assert [Path(source).relative_to("in").as_posix() for source in order] == [
        "2.jpg", "10.jpg", "b/2.jpg", "b/c/2.png", "b/film.mp4",
    ]  # fmt: skip
    assert "5 inputs finished" in ran("in", "--recursive", "-o", "o", "--json", "j", "--skip-existing")


def folders(inputs: object, **options: Any) -> list[str]:
    items, errors, _ = expand(inputs, **options)
    assert not errors
    return [(Path(item.folder) / item.name).as_posix() for item in items]


def test_several_folders_keep_their_names(tmp_path: Path, face: np.ndarray) -> None:
    images(tmp_path, face, "a/x.jpg", "a/s/x.jpg", "b/x.jpg", "c/a/x.jpg", "y.jpg")
    a, b, other = tmp_path / "a", tmp_path / "b", tmp_path / "c" / "a"
    assert folders([a], recursive=True) == ["s/x.jpg", "x.jpg"]
    assert folders([a, b, tmp_path / "y.jpg"], recursive=True) == ["a/s/x.jpg", "a/x.jpg", "b/x.jpg", "y.jpg"]
    assert folders([a, b]) == ["a/x.jpg", "b/x.jpg"]
    assert folders([a, other]) == ["a/x.jpg", "c/a/x.jpg"]
    assert folders([a, f"{a}/*.jpg"]) == ["x.jpg", "x.jpg"], "one folder, named twice"
    assert folders(f"{tmp_path}/**/x.jpg") == ["a/s/x.jpg", "a/x.jpg", "b/x.jpg", "c/a/x.jpg"]
    assert folders(f"{tmp_path}/*/x.jpg") == ["a/x.jpg", "b/x.jpg"]
    assert folders(f"{a}/*.jpg") == ["x.jpg"]


def test_links_do_not_go_round_in_circles(tmp_path: Path, face: np.ndarray) -> None:
    images(tmp_path, face, "a/x.jpg", "a/b/y.jpg", "elsewhere/z.jpg")
    try:
        (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a", target_is_directory=True)
        (tmp_path / "a" / "also").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
        (tmp_path / "a" / "again").symlink_to(tmp_path / "a" / "b", target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no links")
    assert folders(tmp_path / "a", recursive=True) == ["also/z.jpg", "b/y.jpg", "x.jpg"]
    assert folders(f"{tmp_path}/a/**/*.jpg") == ["also/z.jpg", "b/y.jpg", "x.jpg"]


def test_results_do_not_become_inputs(here: Path, face: np.ndarray) -> None:
    images(here, face, "x.jpg")
    for _ in range(2):
        ran(".", "--recursive", "--out", "seen", "--overwrite")
        ran(".", "--recursive", "--overwrite", "--jsonl", "l", "--out", "seen")
        ran("**/*.jpg", "--out", "seen", "--overwrite")
    ran("x.jpg")
    assert "left out limner-out, seen, where results are" in ran(".", "--recursive", "--out", "seen", "--skip-existing")
    assert sorted(path.as_posix() for path in Path().rglob("*.jpg")) == ["limner-out/x.jpg", "seen/x.jpg", "x.jpg"]


def test_a_folder_that_cannot_be_read_is_said(
    tmp_path: Path, face: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    images(tmp_path, face, "a/x.jpg", "a/b/y.jpg")
    scandir = os.scandir

    def deny(path: Any) -> Any:
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", deny)
    items, errors, _ = expand(tmp_path / "a", recursive=True)
    assert [item.name for item in items] == ["x.jpg"]
    assert "permission denied" in str(errors[0])


def test_nothing_in_a_tree(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    _, errors, _ = expand(tmp_path / "a", recursive=True)
    assert "holds no image or video" in str(errors[0])


# -- options that choose, and options without effect


def two_faces(here: Path, portrait: np.ndarray) -> None:
    canvas = np.full((320, 700, 3), 90, np.uint8)
    canvas[20:240, 20:240] = portrait[20:240, 120:340]
    canvas[40:190, 500:650] = cv2.resize(portrait[20:240, 120:340], (150, 150))
    cv2.imwrite(str(here / "two.png"), canvas)


@pytest.mark.parametrize(
    ("options", "left_edges"),
    [
        ((), 2),
        (("--max-persons", 1), 1),
        (("--follow", "largest"), "left"),
        (("--follow", "600,100"), "right"),
        (("--follow", "center"), "left"),
    ],
)
def test_people_are_chosen_in_images_too(
    here: Path, portrait: np.ndarray, options: tuple[object, ...], left_edges: int | str
) -> None:
    two_faces(here, portrait)
    ran("two.png", "--json", "j", *options)
    boxes = [instance["bbox"][0] for instance in json.loads((here / "j" / "two.json").read_text())]
    if isinstance(left_edges, int):
        assert len(boxes) == left_edges
    else:
        assert [box[0] < 350 for box in boxes] == [left_edges == "left"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("a.jpg", "--smooth", "live"), "--smooth has no effect: it is for videos"),
        (("a.jpg", "--max-frames", 3, "--det-interval", 2), "--max-frames and --det-interval have no effect"),
        (("film.mp4", "--camera-size", "640x480"), "--camera-size has no effect: it is for cameras"),
        (("film.mp4", "--reconnect-timeout", 3), "--reconnect-timeout has no effect"),
        (("a.jpg", "--recursive"), "--recursive has no effect: it is for folders"),
        (("a.jpg", "--json", "j", "--kpt-thr", "0.5"), "--kpt-thr has no effect: it is for drawn images"),
        (("a.jpg", "--headless"), "--headless has no effect"),
        (("a.jpg", "--append"), "--append has no effect: it is for --jsonl FILE"),
        (("a.jpg", "--jsonl", "-", "--skip-existing"), "--skip-existing has no effect"),
        (("a.jpg", "--follow", "id:3"), "names a track id"),
        (("a.jpg", "film.mp4", "--follow", "id:3"), "names a track id"),
        (("film.mp4", "--json", "j", "--no-audio"), "--no-audio has no effect"),
        (("a.jpg", "--quiet", "--verbose"), "contradict"),
        (("a.jpg", "--overwrite", "--skip-existing"), "contradict"),
    ],
)
def test_an_option_without_effect_is_an_error(
    here: Path, face: np.ndarray, arguments: tuple[object, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    images(here, face, "a.jpg")
    clip(here / "film.mp4", face, 2)
    monkeypatch.setattr("limner.loading.load", lambda *args, **more: pytest.fail("a model is opened"))
    assert said in refused(*arguments)


def test_of_images_and_videos_an_option_applies_to_those_that_it_can(here: Path, face: np.ndarray) -> None:
    images(here, face, "in/a.jpg")
    clip(here / "in" / "film.mp4", face, 5)
    ran("in", "--max-frames", 3, "--smooth", "live", "--json", "j")
    assert len(json.loads((here / "j" / "film.json").read_text())) == 3


def test_a_typo_is_named() -> None:
    result = CliRunner().invoke(app, ["run", "a.jpg", "--recusive"])
    assert result.exit_code == 2
    assert "Did you mean --recursive?" in result.output


def test_quiet_says_nothing_and_verbose_more(here: Path, face: np.ndarray) -> None:
    images(here, face, "a.jpg", "b.jpg")
    assert ran("a.jpg", "b.jpg", "-q", "-o", "1") == ""
    usual = ran("a.jpg", "b.jpg", "-o", "2")
    assert len(usual.splitlines()) == 1
    assert "a.jpg: " in ran("a.jpg", "b.jpg", "-v", "-o", "3")
