"""Images that are one video, images of the caller, and what comes on standard input."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from limner.cli import app
from limner.errors import InputError
from limner.sources import Input, expand, open_video, read
from limner.types import Frame
from limner.video.cut import Cut
from limner.video.options import VideoOptions
from limner.video.sequences import Arrays
from servers import number_in, numbered
from test_video import make_video, scene

SOURCE = str(Path(__file__).resolve().parents[1] / "src")


def images(folder: Path, numbers: list[int], form: str = "{:05d}.png") -> Path:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        assert cv2.imwrite(str(folder / form.format(number)), numbered(number))
    return folder


def frames_of(item: Input, options: VideoOptions | None = None) -> list[Frame]:
    with open_video(item, options) as video:
        return list(video)


# -- numbered images


def test_a_pattern_of_printf_is_one_video(tmp_path: Path) -> None:
    images(tmp_path / "frames", [8, 9, 10, 11])
    images(tmp_path / "frames", [12], "{:03d}.png")  # has too few digits
    images(tmp_path / "frames", [13], "x{:05d}.png")
    pattern = str(tmp_path / "frames" / "%05d.png")
    (item,), errors, notices = expand(pattern)
    assert errors == []
    assert (item.name, item.source, item.is_video) == ("frames.mp4", pattern, True)
    assert len(notices) == 1
    assert "30 frames per second" in notices[0]
    frames = frames_of(item)
    assert [number_in(frame.image) for frame in frames] == [8, 9, 10, 11]
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert [frame.timestamp for frame in frames] == pytest.approx([i / 30 for i in range(4)])
    assert {frame.source for frame in frames} == {pattern}
    _, _, notices = expand(pattern, fps=12)
    assert notices == []
    with open_video(item, VideoOptions(fps=12, start=0.1, every=2)) as video:
        assert (video.fps, video.count) == (6, 1)
        assert [(frame.index, frame.timestamp) for frame in video] == [(2, 2 / 12)]


def test_numbers_without_leading_zeros_count(tmp_path: Path) -> None:
    images(tmp_path, list(range(8, 12)), "shot-{}.jpg")
    images(tmp_path, [7], "shot-{:03d}.jpg")
    (item,), _, _ = expand(str(tmp_path / "shot-%d.jpg"))
    assert item.name == "shot.mp4"
    assert [number_in(frame.image) for frame in frames_of(item)] == [8, 9, 10, 11]


def test_gaps_are_said_and_counted_over(tmp_path: Path) -> None:
    images(tmp_path, [1, 2, 5, 6, 20])
    (item,), _, notices = expand(str(tmp_path / "%05d.png"), fps=10)
    assert len(notices) == 1
    assert "the number 3, 4, 7, 8, 9 and 10 more" in notices[0]
    frames = frames_of(item, VideoOptions(fps=10))
    assert [(number_in(f.image), f.index, f.timestamp) for f in frames] == [
        (1, 0, 0), (2, 1, 0.1), (5, 2, 0.2), (6, 3, 0.3), (20, 4, 0.4),
    ]  # fmt: skip


def test_a_file_of_that_name_and_a_percent_sign_stay_what_they_are(tmp_path: Path) -> None:
    images(tmp_path, [3], "%05d.png")
    (item,), _, _ = expand(str(tmp_path / "%05d.png"))
    assert not item.is_video
    _, (error,), _ = expand(str(tmp_path / "100%.png"))
    assert "does not exist" in str(error)
    _, (error,), _ = expand(str(tmp_path / "none" / "%04d.png"))
    assert "no file fits" in str(error)


@pytest.mark.parametrize("given", ["folder", "pattern", "shell", "list"])
def test_with_a_rate_images_are_one_video(tmp_path: Path, given: str) -> None:
    folder = images(tmp_path / "walk", [1, 2, 3, 9, 10, 11], "{}.png")
    named = [str(folder / f"{n}.png") for n in (1, 2, 3, 9, 10, 11)]
    inputs = {
        "folder": str(folder),
        "pattern": str(folder / "*.png"),
        "shell": sorted(named),
        "list": [named[0], named[5], named[1], *named[2:5]],
    }[given]
    (item,), errors, notices = expand(inputs, fps=20)
    assert errors == []
    assert item.is_video
    assert item.name == "walk.mp4"
    order = [1, 11, 2, 3, 9, 10] if given == "list" else [1, 2, 3, 9, 10, 11]
    assert [number_in(frame.image) for frame in frames_of(item, VideoOptions(fps=20))] == order
    assert ("4, 5, 6, 7, 8" in "".join(notices)) == (given != "list")
    items, _, _ = expand(inputs)
    assert len(items) == 6, "without a rate each is an image"


def test_a_rate_leaves_videos_and_single_images_alone(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", 3)
    images(tmp_path, [1], "{}.png")
    items, _, _ = expand([str(clip), str(tmp_path / "1.png")], fps=20)
    assert [(item.name, item.is_video) for item in items] == [("clip.mp4", True), ("1.png", False)]


def test_a_damaged_image_among_them_is_left_out_and_said(tmp_path: Path) -> None:
    images(tmp_path, [0, 1, 2, 3])
    (tmp_path / "00001.png").write_bytes(b"nothing")
    said: list[str] = []
    (item,), _, _ = expand(str(tmp_path / "%05d.png"))
    with open_video(item, info=said.append) as video:
        assert [frame.index for frame in video] == [0, 2, 3]
    assert len(said) == 1
    assert "1 damaged image left out" in said[0]


def test_a_rate_for_a_single_image_is_an_error(tmp_path: Path) -> None:
    images(tmp_path, [1], "{}.png")
    result = CliRunner().invoke(app, ["run", str(tmp_path / "1.png"), "--fps", "5", "--json", str(tmp_path / "points")])
    assert result.exit_code != 0
    assert "--fps has no effect" in str(result.exception)


# -- images of the caller


def test_arrays_are_pulled_in_order_as_they_are_needed() -> None:
    pulled, closed = [], []

    def count() -> Iterator[np.ndarray]:
        try:
            for i in range(10**9):
                pulled.append(i)
                yield numbered(i)
        finally:
            closed.append(True)

    with Arrays(count(), 10) as source:
        assert (source.live, source.count, source.fps) == (False, None, Fraction(10))
        frames = [frame for frame, _ in zip(source, range(3), strict=False)]
    assert [(f.index, f.timestamp, number_in(f.image)) for f in frames] == [(0, 0, 0), (1, 0.1, 1), (2, 0.2, 2)]
    assert len(pulled) <= 4
    assert closed
    with Arrays([scene(i) for i in range(20)], 10, cut=Cut(0.5, 1.5, 4)) as source:
        assert source.count == 3
        assert [frame.index for frame in source] == [5, 9, 13]
    with Arrays([]) as source:
        assert list(source) == []


def test_an_array_that_is_no_image_is_an_error_after_those_before_it() -> None:
    frames = []
    with pytest.raises(InputError, match="frame 2"):  # noqa: PT012
        for frame in Arrays([scene(0), scene(1), np.zeros(3, np.uint8)]):
            frames.append(frame.index)
    assert frames == [0, 1]


def test_a_number_is_a_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (item,), errors, _ = expand(2)
    assert errors == []
    assert (item.name, item.address, item.is_video) == ("webcam_2.mp4", "webcam:2", True)
    monkeypatch.chdir(tmp_path)
    (item,), _, _ = expand("2")
    assert item.address == "webcam:2"
    images(tmp_path, [2], "{}.png")
    (tmp_path / "2.png").rename(tmp_path / "2")
    (item,), _, _ = expand("2")
    assert not item.is_video


# -- standard input

READ = """
import sys
from limner.sources import expand, open_video, read
(item,), errors, _ = expand("-") if len(sys.argv) < 2 else expand("-", fps=float(sys.argv[1]))
from limner.video.options import VideoOptions
if not item.is_video:
    print("image", read(item).image.shape)
else:
    with open_video(item, VideoOptions(fps=float(sys.argv[1]) if len(sys.argv) > 1 else None)) as video:
        for frame in video:
            print(frame.index, round(frame.timestamp, 3), frame.source, int(frame.image.mean()), flush=True)
"""


def reader(*arguments: str, stdin: int | None = subprocess.PIPE) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    command = [sys.executable, "-c", READ, *arguments]
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def read_from_pipe(data: bytes, *arguments: str) -> list[str]:
    with reader(*arguments) as process:
        out, errors = process.communicate(data, timeout=60)
    assert process.returncode == 0, errors.decode()
    return out.decode().splitlines()


@pytest.mark.parametrize("ending", [".png", ".jpg", ".bmp", ".webp"])
def test_an_image_comes_through_a_pipe(ending: str) -> None:
    assert read_from_pipe(cv2.imencode(ending, numbered(3))[1].tobytes()) == ["image (240, 320, 3)"]


@pytest.mark.parametrize(
    ("ending", "codec"),
    [(".ts", "libx264"), (".mkv", "libx264"), (".mp4", "libx264"), (".avi", "mpeg4"), (".webm", "libvpx")],
)
def test_a_video_comes_through_a_pipe(tmp_path: Path, ending: str, codec: str) -> None:
    clip = make_video(tmp_path / f"clip{ending}", 30, codec=codec)
    lines = read_from_pipe(clip.read_bytes())
    assert [line.split()[0] for line in lines] == [str(i) for i in range(30)]
    assert float(lines[-1].split()[1]) == pytest.approx(29 / 25, abs=0.002)
    assert {line.split()[2] for line in lines} == {"-"}
    with clip.open("rb") as file, reader(stdin=file.fileno()) as process:
        out, _ = process.communicate(timeout=60)
    assert len(out.decode().splitlines()) == 30, "and from a file"


def test_an_mp4_whose_index_comes_first_is_not_stored(tmp_path: Path) -> None:
    from limner.sources.content import index_comes_last
    from limner.video.writer import VideoWriter

    with VideoWriter(tmp_path / "fast.mp4", 25) as sink:
        for i in range(20):
            sink.write(scene(i))

    def is_last(path: Path) -> bool:
        data = path.read_bytes()
        return index_comes_last(lambda size: data[:size])

    assert not is_last(tmp_path / "fast.mp4")
    assert is_last(make_video(tmp_path / "slow.mp4", 5))
    assert len(read_from_pipe((tmp_path / "fast.mp4").read_bytes())) == 20


@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_images_one_after_the_other_are_a_video(ending: str) -> None:
    data = b"".join(cv2.imencode(ending, numbered(i))[1].tobytes() for i in range(12))
    assert len(read_from_pipe(data)) == 12
    lines = read_from_pipe(data, "10")
    assert [float(line.split()[1]) for line in lines] == pytest.approx([i / 10 for i in range(12)])


def test_frames_of_a_live_pipe_come_before_its_end(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.ts", 150, size=(320, 240), noise=True, options={"bf": "0", "g": "10"})
    data = clip.read_bytes()
    with reader() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        came: list[float] = []
        lines = process.stdout

        def listen() -> None:
            came.extend(time.monotonic() for _ in lines)

        listener = threading.Thread(target=listen)
        listener.start()
        for start in range(0, len(data) // 2, 1 << 16):
            process.stdin.write(data[start : start + (1 << 16)])
        process.stdin.flush()
        end = time.monotonic() + 20
        while len(came) < 30 and time.monotonic() < end:
            time.sleep(0.05)
        assert len(came) >= 30, "half of the stream is there, and the pipe is open"
        process.stdin.write(data[len(data) // 2 :])
        process.stdin.close()
        listener.join(30)
        assert process.wait(30) == 0
    assert len(came) > 140


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "standard input is empty"),
        (b"hello, this is a text\n" * 9, "no image or video"),
        (b"\xff\xd8\xff", "damaged"),
    ],
)
def test_what_is_neither_is_one_sentence(tmp_path: Path, data: bytes, said: str) -> None:
    command = [sys.executable, "-m", "limner", "run", "-", "--json", str(tmp_path / "points")]
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    done = subprocess.run(command, input=data, capture_output=True, env=environment, timeout=60)
    text = done.stderr.decode()
    assert done.returncode == 1
    assert "Traceback" not in text
    assert said in text


def test_standard_input_is_given_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", numbered(5))[1].tobytes())
    with (tmp_path / "a.png").open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        items, errors, _ = expand(["-", "-"])
    assert [number_in(read(item).image) for item in items] == [5]
    assert [str(error) for error in errors] == ["standard input is given twice; it can be read once"]


def test_a_file_object_without_a_descriptor_is_read_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mkv", 10)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(clip.read_bytes())))
    (item,), errors, _ = expand("-")
    assert errors == []
    assert len(frames_of(item, VideoOptions(start=0.1, end=0.3))) == 5


def test_a_pipe_that_falls_silent_is_left(tmp_path: Path) -> None:
    data = make_video(tmp_path / "clip.ts", 100, size=(320, 240), noise=True, options={"bf": "0"}).read_bytes()
    command = [sys.executable, "-m", "limner", "run", "-", "--max-frames", "5", "-o", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.write(data)
            process.stdin.flush()
        start = time.monotonic()
        assert process.wait(60) == 0
        assert time.monotonic() - start < 20, "the pipe is still open"
    assert (tmp_path / "out" / "stdin.mp4").exists()
