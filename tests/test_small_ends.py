"""Small ends at which a run came to grief: devices, values of the wrong kind, endings that cannot hold."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import limner
from limner import web
from limner.errors import ArgumentError, DeviceError, LimnerError, said
from limner.runtimes.engines import choose_device, choose_engine
from limner.runtimes.hardware import amx_bfloat16


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory, portrait: np.ndarray) -> Path:
    path = tmp_path_factory.mktemp("in") / "a.jpg"
    cv2.imwrite(str(path), portrait)
    return path


# -- devices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cpu", "cpu:0", "CPU:0", " cpu:0 "])
def test_torch_s_name_of_the_cpu_is_one(name: str) -> None:
    assert choose_device(name) == "cpu"
    assert choose_engine(name).device == "cpu"


@pytest.mark.parametrize("name", ["cpu:1", "cpu:", "cpu:x", "gpu", "cuda:-1"])
def test_a_device_that_cannot_be_is_one_sentence(name: str) -> None:
    with pytest.raises(DeviceError, match="there is no device"):
        choose_device(name)


def test_cpu_0_runs(photo: Path) -> None:
    assert len(limner.load(device="cpu:0")(photo)) == 1


@pytest.mark.parametrize(
    ("flags", "fast"), [("avx512_bf16 amx_tile amx_bf16", True), ("avx512_bf16 avx512_vnni", False), ("", False)]
)
def test_bfloat16_is_fast_with_amx_alone(flags: str, fast: bool, tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_text(f"processor : 0\nflags\t\t: fpu {flags} sse\n")
    assert amx_bfloat16(tmp_path) is fast


def test_bfloat16_without_amx_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino", reason="needs OpenVINO: pip install -e .[openvino]")
    from limner.runtimes import openvino

    monkeypatch.setattr(openvino, "amx_bfloat16", lambda: False)
    with pytest.raises(DeviceError, match=r"^bfloat16 needs a processor with AMX \(amx_bf16\)"):
        limner.load(backend="openvino", precision="bfloat16")


# -- errors show values as far as they help --------------------------------------------------------


def test_a_value_in_a_message_is_short() -> None:
    image = np.zeros((30, 40, 3), np.uint8)
    assert said(image) == "an array of shape [30, 40, 3]"
    assert said([image, image]) == "a list of 2 arrays"
    assert said("5") == "'5'"
    assert len(said("x" * 5000)) == 100
    assert "\n" not in said({"a": {"b": list(range(100))}})


WRONG: dict[str, Callable[[limner.Model, Any], Any]] = {
    "model": lambda _, x: limner.load(x),
    "det": lambda _, x: limner.load(det=x),
    "weights": lambda _, x: limner.load(weights=x),
    "keypoints": lambda _, x: limner.load(keypoints=x),
    "device": lambda _, x: limner.load(device=x),
    "backend": lambda _, x: limner.load(backend=x),
    "bbox_thr": lambda _, x: limner.load(bbox_thr=x),
    "det_size": lambda _, x: limner.load(det_size=x),
    "tile": lambda _, x: limner.load(tile=x),
    "max_boxes": lambda _, x: limner.load(max_boxes=x),
    "image": lambda model, x: model(x),
    "boxes": lambda model, x: model(np.zeros((9, 9, 3), np.uint8), boxes=x),
    "watch": lambda model, x: list(model.watch(x)),
    "det_interval": lambda model, x: model.watch([], det_interval=x),
    "smooth": lambda model, x: model.watch([], smooth=x),
    "follow": lambda model, x: model.watch([], follow=x),
    "fps": lambda model, x: model.watch([], fps=x),
    "start": lambda model, x: model.watch([], start=x),
    "every": lambda model, x: model.watch([], every=x),
    "rotate": lambda model, x: model.watch([], rotate=x),
    "batch": lambda model, x: model.watch([], batch=x),
    "max_frames": lambda model, x: model.watch([], max_frames=x),
    "camera_size": lambda model, x: model.watch(0, camera_size=x),
    "tracker": lambda model, x: model.tracker(smooth=x),
    "tracker_fps": lambda model, x: model.tracker(fps=x),
    "kpt_thr": lambda model, x: model(np.zeros((9, 9, 3), np.uint8)).plot(kpt_thr=x),
    "radius": lambda model, x: model(np.zeros((9, 9, 3), np.uint8)).plot(radius=x),
    "background": lambda model, x: model(np.zeros((9, 9, 3), np.uint8)).plot(background=x),
    "color": lambda model, x: model(np.zeros((9, 9, 3), np.uint8)).plot(color=x),
    "parts": lambda model, x: model(np.zeros((9, 9, 3), np.uint8)).plot(parts=x),
    "alpha": lambda model, x: model(np.zeros((9, 9, 3), np.uint8)).plot(alpha=x),
    "save": lambda model, x: model(np.zeros((9, 9, 3), np.uint8)).save(x),
}


@pytest.fixture(scope="module")
def model() -> limner.Model:
    return limner.load()


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("kind", ["array", "arrays", "text", "dict"])
def test_an_argument_of_the_wrong_kind_is_one_short_sentence(model: limner.Model, name: str, kind: str) -> None:
    image = np.zeros((30, 40, 5), np.float64)
    value = {"array": image, "arrays": [image, image], "text": "no\nsuch " * 900, "dict": {"a": image}}[kind]
    with pytest.raises(LimnerError) as caught:
        WRONG[name](model, value)
    message = str(caught.value)
    assert "[[" not in message.replace("[[x1", "")
    assert "array(" not in message
    if kind != "text":
        assert len(message) < 500
        assert "\n" not in message


@pytest.mark.parametrize("name", ["x" * 3000, "x" * 300 + ".pth", "x" * 300 + ".onnx", "x" * 300 + ".py"])
@pytest.mark.parametrize("argument", ["model", "weights", "det", "det_weights", "keypoints"])
def test_a_name_that_no_file_can_have_is_one_sentence(argument: str, name: str) -> None:
    with pytest.raises(LimnerError) as caught:
        limner.load(**{argument: name})
    assert "\n" not in str(caught.value)


def test_a_text_for_a_number_is_one_sentence(model: limner.Model) -> None:
    with pytest.raises(ArgumentError, match="det_interval is '5' where a whole number from 1 on is needed"):
        model.watch("v.mp4", det_interval="5")  # type: ignore[arg-type]


# -- what a file cannot hold is refused before the run ---------------------------------------------


@pytest.mark.parametrize(
    ("name", "option", "said_"),
    [
        ("x.jpg", ("--background", "transparent"), "cannot hold a transparent background"),
        ("x.bmp", ("--background", "transparent"), "cannot hold a transparent background"),
        ("x.svg", ("--draw-heatmap",), "cannot hold heatmaps"),
    ],
)
def test_what_a_file_cannot_hold_is_refused_before_the_model_is_opened(
    name: str,
    option: tuple[str, ...],
    said_: str,
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from limner import loading
    from limner.cli import app

    monkeypatch.setattr(loading, "load", lambda *_, **__: pytest.fail("the model is opened"))
    with pytest.raises(ArgumentError, match=said_):
        app(["run", str(photo), "-o", str(tmp_path / name), *option], standalone_mode=False)
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["x.png", "x.webp", "x.svg", "folder"])
def test_what_a_file_can_hold_is_drawn(name: str, photo: Path, tmp_path: Path) -> None:
    from limner.cli import app

    with pytest.raises(SystemExit) as ended:
        app(["run", str(photo), "-o", str(tmp_path / name), "--background", "transparent"])
    assert not ended.value.code


# -- reasons in plain words ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "nothing answers there"),
        (urllib.error.URLError(ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")), "nothing answers"),
        (urllib.error.URLError(OSError(errno.ENETUNREACH, "Network is unreachable")), "network is unreachable; check"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "connection reset by peer; check"),
        (urllib.error.URLError("unknown url type: gopher"), "unknown url type: gopher; check"),
        (TimeoutError("timed out"), "nothing came for 5 s"),
    ],
)
def test_the_reason_of_a_failed_connection_is_plain(error: Exception, words: str) -> None:
    reason = web.reason(error, 5)
    assert reason.startswith(words)
    assert "rrno" not in reason


# -- what the command takes and says -----------------------------------------------------------------------


def ran(photo: Path, *arguments: str) -> tuple[int, str]:
    from typer.testing import CliRunner

    from limner.cli import app

    result = CliRunner().invoke(app, ["run", str(photo), *arguments])
    return result.exit_code, f"{result.output}{result.exception or ''}"


def test_dots_may_be_half_a_pixel_wide(photo: Path, tmp_path: Path) -> None:
    assert (
        ran(photo, "--radius", "0.4", "--thickness", "1.5", "--parts", "face,", "-o", str(tmp_path / "x.png"))[0] == 0
    )
    assert "parts is ','" in ran(photo, "--parts", ",", "-o", str(tmp_path / "y.png"))[1]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux runs without a display")
def test_a_window_that_was_asked_for_and_cannot_be_opened_is_a_failure(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    code, said_ = ran(photo, "--show", "-o", str(tmp_path / "x.png"))
    assert (code, (tmp_path / "x.png").exists()) == (1, True)
    assert "no window can be shown" in said_


def test_a_text_on_standard_input_is_neither_image_nor_video(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "limner", "run", "-", "-o", str(tmp_path / "x.png")]
    done = subprocess.run(command, input=b"hello\n", capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert b"holds no image or video" in done.stderr
    assert os.listdir(tmp_path) == []


def test_a_bench_prints_its_table_anyway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from limner.cli import app

    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArgumentError, match="the table is printed without it"):
        app(["bench", "--json", "-"], standalone_mode=False)
