"""No output is written over an input, through a link, or into the file of another writer, and none is half a file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import limner
from limner.cli import app
from limner.errors import LimnerError, OutputError
from limner.formats.json_lines import JsonLinesWriter
from limner.formats.mmpose_json import VideoJsonWriter
from limner.jobs.claims import claimed
from limner.mmpose import demos
from limner.video.reader import VideoSource
from limner.video.writer import VideoWriter

ROOT = Path(__file__).resolve().parents[1]
needs_links = pytest.mark.skipif(os.name == "nt", reason="links need rights there")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with images and a video."""
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    folder = tmp_path / "here"
    for name in ("a/x.jpg", "b/x.jpg", "p.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), np.full((60, 80, 3), 100, np.uint8))
    clip(folder / "v.mp4", 5)
    (folder / "a/v.mp4").write_bytes((folder / "v.mp4").read_bytes())
    monkeypatch.chdir(folder)
    return folder


def clip(path: Path, frames: int, size: int = 64) -> None:
    with VideoWriter(path, 25) as sink:
        for i in range(frames):
            sink.write(np.full((size, size, 3), i % 200, np.uint8))


def ran(*arguments: object) -> str:
    """Run a command of limner; return what it says, and whether it failed."""
    result = CliRunner().invoke(app, list(map(str, arguments)))
    said = result.output + ("" if result.exception is None else str(result.exception))
    return said if result.exit_code else f"done: {said}"


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(LimnerError) as caught:
        call()
    return str(caught.value)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# -- every output against every input


def link_p(here: Path) -> None:
    (here / "out").mkdir()
    (here / "out/x.jpg").symlink_to("../b/x.jpg")


def hard_link(here: Path) -> None:
    (here / "out").mkdir()
    os.link("b/x.jpg", "out/x.jpg")


def folder_link(here: Path) -> None:
    (here / "out").symlink_to("b")


@pytest.mark.parametrize(
    ("arguments", "before"),
    [
        (("run", "a/x.jpg", "b/x.jpg", "-o", "b"), None),
        (("run", "a", "b", "-o", "."), None),
        (("run", "b/*.jpg", "-o", "a/../b"), None),
        (("run", "a/x.jpg", "b/x.jpg", "-o", "b/x.jpg"), None),
        (("run", "a/x.jpg", "b/x.jpg", "-o", "out"), link_p),
        (("run", "a/x.jpg", "b/x.jpg", "-o", "out"), hard_link),
        (("run", "a/x.jpg", "b/x.jpg", "-o", "out"), folder_link),
        (("run", "a/v.mp4", "v.mp4", "-o", "."), None),
        (("run", "a/x.jpg", "p.jpg", "--jsonl", "p.jpg"), None),
        (("run", "a/x.jpg", "--jsonl", "p.jpg"), None),  # `--jsonl *.jpg`: the shell makes the first one the output
        (("run", "a/x.jpg", "--jsonl", "v.mp4"), None),
        (("bench", "v.mp4", "--frames", "2", "--json", "v.mp4"), None),
        (("bench", "v.mp4", "--frames", "2", "--json", "a/../v.mp4"), None),
        (("bench", "v.mp4", "--frames", "2", "--json", "p.jpg"), None),
        (("eval", "annotations.json", "--html", "p.jpg"), None),
        (("eval", "annotations.json", "--json", "annotations.json"), None),
        (("eval", "annotations.json", "--save", "b/../annotations.json"), None),
    ],
)
@needs_links
def test_an_input_is_never_an_output(
    here: Path, arguments: tuple[str, ...], before: Callable[[Path], None] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if before is not None:
        before(here)
    (here / "annotations.json").write_text("{}")
    originals = contents(here)
    for extra in ((), ("--overwrite",)) if arguments[0] == "run" else ((),):
        said = ran(*arguments, *extra)
        assert not said.startswith("done"), said
        assert "Traceback" not in said
        now = contents(here)
        assert {name: now[name] for name in originals} == originals, said


def test_an_input_is_never_an_output_of_convert(here: Path) -> None:
    with JsonLinesWriter("l.jsonl") as lines:
        lines.write(limner.load(det="whole-image").pipeline(np.zeros((60, 80, 3), np.uint8)))
    assert ran("convert", "l.jsonl", "-f", "csv", "-o", "o").startswith("done")
    (name,) = os.listdir("o")
    data = Path("l.jsonl").read_bytes()
    Path(name).write_bytes(data)  # results that have the very name of what they become
    assert "is the file that is read" in ran("convert", name, "-f", "csv", "--overwrite")
    os.replace(name, f"o/{name}")
    assert "is the file that is read" in ran("convert", f"o/../o/{name}", "-f", "csv", "-o", "./o", "--overwrite")
    assert Path("o", name).read_bytes() == data


def test_an_input_is_never_an_output_of_the_inferencer(here: Path) -> None:
    inferencer = limner.MMPoseInferencer(pose2d="face-lite", det_model="whole_image")
    originals = contents(here)
    for arguments in (
        {"inputs": ["a/x.jpg", "b/x.jpg"], "vis_out_dir": "b"},
        {"inputs": ["a/x.jpg", "b/x.jpg", "p.jpg"], "vis_out_dir": "."},
        {"inputs": ["a/v.mp4", "v.mp4"], "vis_out_dir": str(here)},
        {"inputs": "b/x.jpg", "vis_out_dir": "b/x.jpg"},
    ):
        assert "would be overwritten" in refused(lambda arguments=arguments: list(inferencer(**arguments)))  # type: ignore[misc]
        assert contents(here) == originals
    for option in ("out_dir", "vis_out_dir", "pred_out_dir"):
        assert f"{option} is empty" in refused(lambda option=option: inferencer("p.jpg", **{option: "  "}))  # type: ignore[misc]


@pytest.mark.parametrize(
    "arguments",
    [
        ("p.jpg", "--pose2d", "face-lite", "--det-model", "whole_image", "--vis-out-dir", "."),
        ("a", "--pose2d", "face-lite", "--det-model", "whole_image", "--vis-out-dir", "a"),
    ],
)
def test_an_input_is_never_an_output_of_a_demo(
    here: Path, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    originals = contents(here)
    assert demos.inferencer(arguments) == 1
    assert "would be overwritten" in capsys.readouterr().err
    assert contents(here) == originals


@pytest.mark.parametrize("name", ["", "  ", "\t"])
def test_a_name_of_nothing_is_no_name(here: Path, name: str) -> None:
    originals = contents(here)
    (here / "l.jsonl").write_text("{}\n")
    for option in ("--out", "--json", "--jsonl"):
        assert f"{option} is empty" in ran("run", "p.jpg", option, name)
    assert "--out is empty" in ran("convert", "l.jsonl", "-f", "csv", "--out", name)
    assert "--json is" in ran("bench", "--json", name)
    for option in ("--json", "--html", "--save"):
        assert f"{option} is" in ran("eval", "l.jsonl", option, name)
    (here / "l.jsonl").unlink()
    assert contents(here) == originals
    if name:
        for option in ("--vis-out-dir", "--pred-out-dir"):
            assert "is empty" in refused(lambda o=option: demos.inferencer(["p.jpg", "--pose2d", "face", o, name]))  # type: ignore[misc]
    assert "--out-file is empty" in refused(lambda: demos.image(["p.jpg", "c.py", "w.pth", "--out-file", name]))


# -- links


def write_video(path: Path) -> None:
    clip(path, 3)


def write_frames(path: Path) -> None:
    with VideoJsonWriter(path):
        pass


def write_lines(path: Path) -> None:
    with JsonLinesWriter(path) as lines:
        lines.error("x", "y")


SINKS: list[tuple[str, Callable[[Path], None]]] = [
    ("o.mp4", write_video),
    ("o.mkv", write_video),
    ("o.gif", write_video),
    ("o.json", write_frames),
    ("o.jsonl", write_lines),
]


@needs_links
@pytest.mark.parametrize(("name", "write"), SINKS)
def test_nothing_is_written_through_a_link(here: Path, name: str, write: Callable[[Path], None]) -> None:
    precious = here / "precious"
    precious.write_bytes(b"not to be lost")
    for link in (os.symlink, os.link):
        link(precious, here / name)
        write(here / name)
        assert precious.read_bytes() == b"not to be lost"
        assert not (here / name).is_symlink()
        assert (here / name).stat().st_size >= 2
        (here / name).unlink()
    os.symlink(here / "nowhere", here / name)
    write(here / name)
    assert not (here / "nowhere").exists()
    assert (here / name).is_file()


@needs_links
def test_a_run_writes_through_no_link(here: Path) -> None:
    (here / "precious").write_text('{"limner":"mine"}\n')
    (here / "o").mkdir()
    for link in ("o/v.mp4", "o/v.json", "l.jsonl", "o/v.mp4.incomplete", "l2.jsonl"):
        (here / link).symlink_to(here / "precious")
    for more in ((), ("--overwrite",), ("--append",), ("--skip-existing",)):
        ran("run", "v.mp4", "-o", "o", "--json", "o", "--jsonl", "l.jsonl", *more)
        assert (here / "precious").read_text() == '{"limner":"mine"}\n'
    assert "nothing is added through a link" in ran("run", "p.jpg", "--jsonl", "l2.jsonl", "--append")


@pytest.mark.skipif(not os.path.exists("/dev/stdout"), reason="this system has no /dev/stdout")
def test_a_descriptor_is_written_as_it_is(here: Path) -> None:
    code = "from limner.cli import main; main()"
    command = [sys.executable, "-c", code, "run", "p.jpg", "--jsonl", "/dev/stdout", "--overwrite", "-q"]
    with open("kept", "wb") as file:
        subprocess.run(command, stdout=file, check=True, env={**os.environ, "PYTHONPATH": str(ROOT / "src")})
    assert os.path.exists("/dev/stdout")
    assert '"instances"' in Path("kept").read_text()


# -- two writers


@pytest.mark.parametrize(("name", "write"), SINKS)
def test_a_file_has_one_writer(here: Path, name: str, write: Callable[[Path], None]) -> None:
    path = here / name
    writer: Any
    if write is write_video:
        writer = VideoWriter(path, 25)
        for i in range(4):
            writer.write(np.full((64, 64, 3), 50 * i, np.uint8))
    else:
        writer = JsonLinesWriter(path) if write is write_lines else VideoJsonWriter(path)
    with writer:
        assert "is being written by another run" in refused(lambda: write(path))
        if write is write_lines:
            assert "is being written by another run" in refused(lambda: JsonLinesWriter(path, append=True))
            writer.error("a", "b")
    if write is write_video:
        with VideoSource(path) as source:
            assert sum(1 for _ in source) == 4
    else:
        assert b"\0" not in path.read_bytes()
    write(path)  # now it is free
    assert sorted(here.glob(".limner*")) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no processes")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_closed_file_is_free_though_a_forked_process_has_it(here: Path) -> None:
    reader, writer = os.pipe()
    lines = JsonLinesWriter("l.jsonl")
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    lines.close()
    with JsonLinesWriter("l.jsonl", append=True) as again:
        again.error("a", "b")
    os.close(writer)
    os.waitpid(child, 0)


def test_two_conversions_do_not_mix(here: Path) -> None:
    pipeline = limner.load(det="whole-image").pipeline
    with JsonLinesWriter("l.jsonl") as lines:
        lines.write(pipeline(np.zeros((60, 80, 3), np.uint8)))
    made = ran("convert", "l.jsonl", "-f", "csv", "-o", "o")
    assert made.startswith("done")
    (path,) = Path("o").iterdir()
    with claimed(path):
        assert "is being written by another run" in ran("convert", "l.jsonl", "-f", "csv", "-o", "o", "--overwrite")
    assert ran("convert", "l.jsonl", "-f", "csv", "-o", "o", "--overwrite").startswith("done")
    assert os.listdir("o") == [path.name]


# -- a full disk


@pytest.mark.parametrize("limit", [0, 500, 1500, 3000, 30_000, 200_000])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".gif"])
def test_a_full_disk_leaves_what_plays_or_nothing(here: Path, suffix: str, limit: int) -> None:
    resource = pytest.importorskip("resource", reason="this system cannot limit the size of files")
    frames = np.random.default_rng(0).integers(0, 255, (30, 64, 64, 3), dtype=np.uint8)
    path = here / f"full{suffix}"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    writer = VideoWriter(path, 25)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    said = ""
    try:
        with writer:
            for frame in frames:
                writer.write(frame)
    except OutputError as error:
        said = str(error)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "no space is left" in said or limit == 200_000
    assert sorted(here.glob(".limner*")) == []
    if path.exists():
        with VideoSource(path) as source:
            assert sum(1 for _ in source) >= 1


def test_a_run_on_a_full_disk_leaves_no_empty_video(here: Path) -> None:
    pytest.importorskip("resource", reason="this system cannot limit the size of files")
    code = (
        "import resource, sys; import limner.jobs.job; "
        "from limner.cli import main; resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600)); main()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "v.mp4", "-o", "o"],
        capture_output=True, text=True, check=False, timeout=60, env=environment,
    )  # fmt: skip
    assert done.returncode == 1
    assert "no space is left" in done.stderr
    assert not list(Path().glob("o/*.mp4"))
