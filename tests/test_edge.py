"""The edge of a command: what nobody foresaw becomes a sentence, whatever the standard streams are."""

from __future__ import annotations

import errno
import os
import random
import re
import socket
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from limner.errors import InputError, one_line
from limner.process import closed, edge, stop, streams


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    options = {"capture_output": True, "encoding": "utf-8", "errors": "replace", **options}
    return subprocess.run([sys.executable, "-m", "limner", *arguments], check=False, timeout=120, **options)


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory, portrait: np.ndarray) -> Path:
    path = tmp_path_factory.mktemp("in") / "a.jpg"
    cv2.imwrite(str(path), cv2.resize(portrait, (160, 160)))
    return path


# -- the last resort -------------------------------------------------------------------------------


def ended(command: Any) -> int:
    with pytest.raises(SystemExit) as error:
        edge.run(command)
    assert isinstance(error.value.code, int)
    return error.value.code


def raising(error: BaseException) -> Any:
    def command() -> int:
        raise error

    return command


def test_what_nobody_foresaw_is_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("LIMNER_DEBUG")
    assert ended(raising(KeyError("a\x1b[31m\nb"))) == edge.FAULT == 70
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("limner: a fault of limner, KeyError: ")
    assert re.search(r" \(test_edge\.py, line \d+\); please report it, with what LIMNER_DEBUG=1 prints$", line)
    assert "\x1b" not in line


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LIMNER_DEBUG", "1")
    assert ended(raising(ZeroDivisionError("by \udcff"))) == 70
    printed = capsys.readouterr().err
    assert "Traceback (most recent call last)" in printed
    assert printed.rstrip().splitlines()[-1].endswith("please report it")


def test_a_fault_fails_the_test_that_meets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fixture `no_faults` reads the file that this variable names, in every test."""
    monkeypatch.setenv("LIMNER_DEBUG", str(tmp_path / "faults"))
    ended(raising(IndexError(3)))
    code = "from limner.process import edge; edge.run(lambda: [][1])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 70
    assert (tmp_path / "faults").read_text().count("IndexError") == 2


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (InputError("'x' cannot be read"), 1, "limner: 'x' cannot be read\n"),
        (MemoryError(), 1, "limner: there is not enough memory: "),
        (KeyboardInterrupt(), 130, f"limner: {stop.STOPPED}\n"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 1, ""),
        (SystemExit(3), 3, ""),
        (SystemExit(), 0, ""),
    ],
)
def test_what_was_foreseen_is_no_fault(
    error: BaseException, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(raising(error)) == status
    assert capsys.readouterr().err.startswith(said)


def test_a_fault_in_one_input_is_not_the_end_of_a_run(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from limner import cli
    from limner.jobs import runner

    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(photo.read_bytes())
    render = runner.render

    def faulty(*arguments: Any, **named: Any) -> Any:
        if not (tmp_path / "o" / "a.jpg").exists() or (tmp_path / "o" / "b.jpg").exists():
            return render(*arguments, **named)
        if not failed:
            failed.append(True)
            raise RuntimeError("never seen before")
        return render(*arguments, **named)

    failed: list[bool] = []
    monkeypatch.setattr(runner, "render", faulty)
    monkeypatch.setenv("LIMNER_DEBUG", str(tmp_path / "faults"))
    monkeypatch.setattr("sys.argv", ["limner", "run", str(tmp_path), "-o", str(tmp_path / "o"), "--batch", "1"])
    with pytest.raises(SystemExit) as error:
        cli.main()
    assert error.value.code == 1
    assert sorted(os.listdir(tmp_path / "o")) == ["a.jpg", "c.jpg"]
    said = capsys.readouterr().err
    assert f"limner: '{tmp_path / 'b.jpg'}' cannot be processed: a fault of limner, RuntimeError: never seen" in said
    assert "RuntimeError" in (tmp_path / "faults").read_text()


# -- standard streams ------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="streams are closed by a shell of Unix")
@pytest.mark.parametrize(
    ("command", "closed"),
    [
        *(("run {photo} -o {out}", closed) for closed in (">&-", "2>&-", "<&- >&- 2>&-")),
        *((command, "<&- >&- 2>&-") for command in ("--help", "models show face-lite", "image")),
        ("models list", ">&-"),
    ],
)
def test_a_closed_stream_ends_nothing(command: str, closed: str, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "o" / "a.jpg"
    line = f"'{sys.executable}' -m limner {command.format(photo=photo, out=out)} {closed}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == (1 if command == "image" else 0)
    assert "Traceback" not in done.stdout + done.stderr
    if command.startswith("run"):
        assert cv2.imread(str(out)) is not None, "what was printed is in the file"


@pytest.mark.skipif(os.name == "nt", reason="streams are closed by a shell of Unix")
def test_results_for_a_closed_stdout_are_refused(photo: Path) -> None:
    line = f"'{sys.executable}' -m limner run '{photo}' --jsonl - >&-"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "limner: the lines of --jsonl - cannot be printed, as standard output is closed: give the name of a file\n",
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, a disk that is always full")
def test_messages_that_cannot_be_printed_stop_no_run(photo: Path, tmp_path: Path) -> None:
    """The second input has a message, its files being named differently; the first and third have none."""
    for folder in ("x", "y", "z"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.jpg").write_bytes(photo.read_bytes())
    inputs = [str(tmp_path / folder / "a.jpg") for folder in ("x", "y", "z")]
    with open("/dev/full", "w") as full:
        out = run("run", *inputs, "-o", str(tmp_path / "o"), capture_output=False, stdout=full, stderr=subprocess.PIPE)
        err = run("run", *inputs, "-o", str(tmp_path / "e"), capture_output=False, stderr=full, stdout=subprocess.PIPE)
    assert sorted(os.listdir(tmp_path / "o")) == ["a.jpg", "a_1.jpg", "a_2.jpg"] == sorted(os.listdir(tmp_path / "e"))
    assert (out.returncode, err.returncode) == (1, 0)
    assert out.stderr == (
        "limner: what is printed cannot be written: no space is left; free some or choose another disk\n"
    )


@pytest.mark.skipif(os.name == "nt", reason="names of files are texts there")
@pytest.mark.parametrize("encoding", ["ascii", "utf-8:strict"])
def test_names_that_stdout_cannot_write_end_nothing(encoding: str, photo: Path, tmp_path: Path) -> None:
    names = ["日本\N{GRINNING FACE}.jpg", os.fsdecode(b"caf\xe9.jpg"), "[bold]\x1b[31m\u202e\n.jpg", "[red].jpg"]
    for name in names:
        (tmp_path / name).write_bytes(photo.read_bytes())
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "LC_ALL": "C"}
    inputs = [str(tmp_path / name) for name in (*names, *names)]  # names are taken, which is told
    done = run("run", *inputs, "missing\x1b[31m\udce9.jpg", "-v", "-o", str(tmp_path / "o"), env=environment)
    assert done.returncode == 1  # for the one that is missing
    assert len(os.listdir(tmp_path / "o")) == 8  # equal names have numbers
    assert "\x1b" not in done.stdout + done.stderr
    assert "\u202e" not in done.stdout + done.stderr
    assert "missing\\x1b[31m" in done.stderr


def test_terminals_never_see_control_characters() -> None:
    assert one_line("a\x1b[2J\r\n\x9b\u2028\u202e\u2066b") == "a\\x1b[2J\\r\\n\\x9b\\u2028\\u202e\\u2066b"
    assert one_line("a é \N{FAMILY} \u200d") == "a é \N{FAMILY} \u200d"


@pytest.mark.parametrize(
    "arguments",
    [
        *(("run", "x\x1b[31m.jpg"), ("run", "x", "--\x1b[31m"), ("\x1b[31m",), ("run", "x", "--radius", "\x1b[31m")),
        *(("models", "show", "\x1b[31m"), ("topdown", "\x1b[31m"), ("inferencer", "\x1b[31m", "--pose2d", "\x1b[31m")),
    ],
)
def test_control_characters_of_arguments_are_escaped(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode in (1, 2)
    assert "\x1b" not in done.stdout + done.stderr


def test_progress_shows_names_as_they_are(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from limner.jobs.progress import ProgressBars, show_download_progress

    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with ProgressBars(shown=True) as bars, bars.frames("[/b] \x1b]0;title\x07[red]", 3) as step:
        step()
    show_download_progress("\x1b[31m.pth", 0, 10)
    printed = capsys.readouterr().err
    assert "[/b] \\x1b]0;title\\x07[red]" in printed
    assert "\x1b]0;" not in printed
    assert "fetching \\x1b[31m.pth: 0 of 0 MB" in printed


def test_a_stream_that_was_closed_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    closed.open_missing()
    print("nothing")
    print("nothing", file=sys.stderr)
    assert sys.stdin.read() == ""
    assert not sys.stdout.isatty()
    streams.say("nothing")


# -- other values that ended in a traceback ----------------------------------------------------------


def test_homes_of_nobody_are_a_sentence(photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a path is taken; nothing is made under the name."""
    from limner import VideoWriter, load
    from limner.cli import app
    from limner.errors import LimnerError

    monkeypatch.chdir(tmp_path)
    place = "~nosuchuser/x"
    for arguments in (
        *(["run", str(photo), option, place + end] for option in ("-o", "--json") for end in ("", ".png", ".json")),
        *(["run", str(photo), option, place + ".pth"] for option in ("-m", "--weights", "--det", "--keypoints")),
        ["run", str(photo), "--jsonl", place],
        ["bench", place],
        ["bench", "--frames", "2", "--json", place],
        ["models", "show", place],
        ["topdown", *(place for _ in range(4)), "--input", str(photo), "--output-root", "o"],
        ["inferencer", str(photo), "--pose2d", place, "--vis-out-dir", "o"],
        ["image", str(photo), place, place, "--out-file", place],
        ["eval", place, place],
    ):
        with pytest.raises(LimnerError):
            app(arguments, standalone_mode=False)
    for call in (lambda: VideoWriter(place + ".mp4"), lambda: load(place + ".onnx"), lambda: load(place)):
        with pytest.raises(
            LimnerError, match=r"there is no user 'nosuchuser' here; for the name itself give './~nosuch"
        ):
            call()
    assert not (tmp_path / "~nosuchuser").exists()
    assert app(["run", "~nosuchuser/a.jpg", str(photo), "-o", "o"], standalone_mode=False) == 1
    assert os.listdir(tmp_path / "o") == ["a.jpg"], "one that does not exist is not the end of the others"


def test_a_name_that_begins_with_a_tilde_is_one(photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from limner.errors import expanded

    monkeypatch.chdir(tmp_path)
    (tmp_path / "~nobody-at-all").mkdir()
    assert expanded("~nobody-at-all/x") == Path("~nobody-at-all/x")
    assert expanded("~/x") == Path.home() / "x"
    assert expanded("./~nosuchuser") == Path("~nosuchuser")


def test_no_path_is_expanded_in_another_way() -> None:
    """`Path.expanduser` raises RuntimeError for a user that there is not."""
    source = Path(edge.__file__).parents[1]
    assert not [path.name for path in source.rglob("*.py") if ".expanduser()" in path.read_text(encoding="utf-8")]


ANSWERS = {  # what a server may say in place of an answer
    "nothing": b"",
    "no status": b"hello\r\n\r\n",
    "no number": b"HTTP/1.1 abc OK\r\n\r\n",
    "a line without end": b"HTTP/1.1 " + b"2" * 70000,
    "too many headers": b"HTTP/1.1 200 OK\r\n" + b"".join(b"A%d: b\r\n" % i for i in range(300)) + b"\r\n",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
    "half a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    "no chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    "an odd redirect": b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n\r\n",
    "a redirect to a file": b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n",
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("what", ["image", "video", "weights"])
def test_what_no_server_should_say_is_a_sentence(
    what: str, answer: str, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from limner.cli import app
    from limner.errors import LimnerError

    def talk() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(ANSWERS[answer])

    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("limner.zoo.download.RETRY_DELAYS", (0, 0))
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=talk, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/a"
        named = {"image": [f"{url}.jpg"], "video": [f"{url}.mp4"], "weights": [str(photo), "-m", f"{url}.onnx"]}[what]
        try:
            status = app(["run", *named, "-o", str(tmp_path / "o")], standalone_mode=False)
        except LimnerError:
            status = 1
        server.shutdown(socket.SHUT_RDWR)
    assert status == 1


# -- sound -----------------------------------------------------------------------------------------


def with_sound(path: Path, codec: str, rate: int = 48000, *, damaged: bool = False) -> Path:
    """Write a second of video whose sound is noise, or packets that no decoder understands."""
    import av

    noise = random.Random(1)
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width = video.height = 64
        sound = container.add_stream(codec, rate=rate)
        sound.layout = "stereo"
        for i in range(10):
            image = av.VideoFrame.from_ndarray(np.full((64, 64, 3), i * 9, np.uint8))
            image.pts, image.time_base = i, Fraction(1, 10)
            container.mux(video.encode(image))
        samples = sound.codec_context.frame_size or 1024
        for start in range(0, rate, samples):
            frame = av.AudioFrame(format=sound.codec_context.format.name, layout="stereo", samples=samples)
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            for plane in frame.planes:
                plane.update(noise.randbytes(plane.buffer_size))
            for packet in sound.encode(frame):
                made = av.Packet(noise.randbytes(packet.size)) if damaged else packet
                made.pts, made.dts, made.time_base, made.stream = packet.pts, packet.dts, packet.time_base, sound
                container.mux(made)
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    return path


def drawn(video: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[tuple[str, int]], str]:
    """Return the number of frames of the drawn video, its sound, and what is said."""
    import av

    from limner.cli import app

    assert not app(["run", str(video), "-o", str(out)], standalone_mode=False)
    with av.open(str(out)) as container:
        sound = [(track.codec_context.layout.name, track.rate) for track in container.streams.audio]
        return sum(1 for _ in container.decode(video=0)), sound, "".join(capsys.readouterr())


@pytest.mark.parametrize("codec", ["mp2", "flac"])
def test_sound_that_cannot_be_decoded_is_left_out(
    codec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = with_sound(tmp_path / "noise.mkv", codec, damaged=True)
    frames, sound, said = drawn(video, tmp_path / "out.webm", capsys)  # where other codecs are decoded
    assert (frames, sound) == (10, [])
    assert "has no sound: the audio of" in said


@pytest.mark.parametrize(("codec", "rate"), [("pcm_s16le", 48000), ("pcm_s16le", 192000), ("pcm_s16le", 11111)])
def test_uncompressed_sound_is_kept(codec: str, rate: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Such files do not tell which speakers their two channels are for, and encoders know few rates."""
    video = with_sound(tmp_path / "pcm.mkv", codec, rate)
    frames, sound, said = drawn(video, tmp_path / "out.mp4", capsys)
    assert (frames, sound) == (10, [("stereo", 48000)])
    assert "has no sound" not in said
