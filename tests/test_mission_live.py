"""A tutorial's commands for cameras, taken from its text and run as they stand, in a real window, until ESC."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import servers
from limner import zoo
from limner.video.reader import VideoSource
from test_mission import LINES, ROOT, SECONDS, after, display, environment, input_of, weights_of, xdotool

torch = pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
__all__ = ["display"]  # a fixture

HERE = Path(__file__).resolve().parent
CASES = {
    json.loads(path.read_text()).get("config"): path.stem
    for path in (ROOT.parent / "shared" / "parity").glob("*-*.json")
}


def has_weights(arguments: list[str]) -> bool:
    """Whether all weights of a command can be drawn; tests/test_aliases.py sees to the others."""
    return all(config in CASES for config, _ in weights_of(arguments))


LIVE = [
    arguments
    for arguments in map(shlex.split, dict.fromkeys(LINES))
    if "$" not in " ".join(arguments) and input_of(arguments).startswith("webcam") and has_weights(arguments)
]


# each takes seconds: all of them with LIMNER_LONG=1
CHECKED = [
    arguments
    for arguments in LIVE
    if os.environ.get("LIMNER_LONG") or after("--pose2d", arguments) in (None, "human", "face")
]


def short(arguments: list[str] | None) -> str:
    return " ".join(
        [Path(arguments[1]).stem, after("--pose2d", arguments) or "", *(w for w in arguments if w.startswith("--"))]
        if arguments
        else []
    )


@pytest.fixture(scope="module")
def home(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A mirror with weights drawn at random, whose detectors are sure of one large box."""
    spec = importlib.util.spec_from_file_location("parity_weights", shared / "parity" / "weights.py")
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("live")
    sums = []
    for config, address in sorted({pair for arguments in LIVE for pair in weights_of(arguments)}):
        path = folder / "mirror" / address.removeprefix("https://download.openmmlab.com/")
        path.parent.mkdir(parents=True, exist_ok=True)
        loaded = torch.load(module.write_checkpoint(CASES[config], path), weights_only=False)
        for key, values in loaded["state_dict"].items():
            level = key.split(".")[-2]
            if re.match(r"bbox_head\.(rtm_cls|multi_level_conv_(cls|obj))", key):
                values.fill_(0 if key.endswith("weight") else 2 if level == "2" else -10)
            elif re.match(r"bbox_head\.(rtm_reg|multi_level_conv_reg)", key):
                values.fill_(0 if key.endswith("weight") else float(np.log(640 / 32)))
        torch.save(loaded, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        sums.append(f"{digest}  {path.relative_to(folder / 'mirror').as_posix()}\n")
    (folder / "mirror" / "SHA256SUMS").write_text("".join(sums))
    return {"LIMNER_MIRRORS": str(folder / "mirror"), "LIMNER_HOME": str(folder / "home"), "LIMNER_OFFLINE": ""}


def test_the_text_has_commands_for_cameras(shared: Path) -> None:
    aliases = {after("--pose2d", arguments) for arguments in LIVE} - {None}
    assert {"human", "body26", "face", "hand", "wholebody"} <= aliases
    assert any("--output-root" in arguments for arguments in LIVE)


@pytest.mark.parametrize("arguments", CHECKED or [None], ids=short)
def test_a_command_of_the_text_shows_the_camera(
    arguments: list[str] | None, shared: Path, home: dict[str, str], display: str, portrait: np.ndarray, tmp_path: Path
) -> None:
    pytest.importorskip("pygame", reason="needs pygame-ce: pip install -e .[test]")
    if shutil.which("xdotool") is None:
        pytest.skip("needs xdotool: apt-get install xdotool")
    assert arguments
    cv2.imwrite(str(tmp_path / "face.png"), portrait)
    shutil.copytree(ROOT / "demo", tmp_path / "demo", ignore=shutil.ignore_patterns("__pycache__"))
    command = servers.with_camera([sys.executable, *arguments[1:]], tmp_path / "face.png", 15)
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(home, display),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            window, end = "", time.monotonic() + SECONDS
            while not window and process.poll() is None and time.monotonic() < end:
                time.sleep(0.2)
                window = xdotool(display, "search", "--onlyvisible", "--pid", str(process.pid))
            assert window, process.communicate()[1] if process.poll() is not None else "no window is opened"
            assert "Geometry: 512x512" in xdotool(display, "getwindowgeometry", window)
            time.sleep(1.0)
            assert process.poll() is None, "the camera goes on"
            xdotool(display, "windowfocus", "--sync", window, "key", "Escape")
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, err
    assert "Traceback" not in err
    found = re.search(r"(\d+) instances? in (\d+) frames?", out)
    assert found, out
    assert int(found[1]) > 0
    target = after("--output-root", arguments)
    if target is None:
        assert not list(tmp_path.rglob("*.mp4"))
        return
    with VideoSource(tmp_path / target / "webcam.mp4") as video:
        frames = [frame.image for frame in video]
    assert len(frames) == int(found[2])
    assert (np.abs(frames[0].astype(int) - servers.numbered(0, portrait)).max(axis=2) > 60).sum() > 50


def test_every_alias_of_the_text_is_known(shared: Path) -> None:
    for line in LINES:
        if alias := after("--pose2d", shlex.split(line)):
            assert zoo.get(alias).kind == "pose"
