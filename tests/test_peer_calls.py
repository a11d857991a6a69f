"""What users of other libraries type: the page that says what to type here is run, row by row."""

from __future__ import annotations

import importlib.util
import inspect
import re
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

import limner
from limner import keypoints, zoo
from limner.errors import LimnerError
from limner.types import Boxes, Poses
from limner.video.writer import VideoWriter

PAGE = Path(__file__).resolve().parents[1] / "docs" / "peers.md"
ROWS = re.findall(r"^\| (`.+?`) \| `(.+?)` \| (works|differs|error)(.*) \|$", PAGE.read_text("utf-8"), re.MULTILINE)


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory, portrait: np.ndarray) -> dict[str, Any]:
    """The names that the calls use; a camera is a clip, and supervision takes whatever it is given."""
    folder = tmp_path_factory.mktemp("peers")
    face = np.ascontiguousarray(portrait[:340, 60:400])
    (folder / "photos").mkdir()
    for name in ("photo.jpg", "other.jpg", "photos/1.jpg", "photos/2.jpg"):
        cv2.imwrite(str(folder / name), face)
    with VideoWriter(folder / "clip.mp4", Fraction(25)) as sink:
        for i in range(6):
            sink.write(np.ascontiguousarray(portrait[i : 300 + i, 60:400]))
    model = limner.load("face-lite")
    known = keypoints.load("coco-17")
    body = np.random.default_rng(0).uniform(20, 300, (1, 17, 2)).astype(np.float32)
    people = limner.Result(
        Boxes(np.array([[10, 10, 310, 310]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64)),
        Poses(body, np.ones((1, 17), np.float32)),
        known,
        (340, 340),
        image=face,
    )

    def load(name: str, **options: Any) -> limner.Model:
        """Check a model's name and the names of the options; return the model that is there."""
        if not name.endswith(".onnx"):
            assert zoo.get(name).kind == "pose"
        inspect.signature(limner.load).bind(name, **options)
        return model

    return {
        "folder": folder,
        "limner": SimpleNamespace(load=load, VideoWriter=limner.VideoWriter),
        "model": model,
        "result": model(face),
        "people": people,
        "tracker": model.tracker(),
        "frame": face,
        "rgb": face[..., ::-1],
        "boxes": [[80, 20, 260, 300]],
        "timestamp_ms": 5000,
        "sv": SimpleNamespace(KeyPoints=SimpleNamespace, Detections=SimpleNamespace),
        "Image": pytest.importorskip("PIL.Image", reason="needs Pillow: pip install -e .[test]"),
    }


def run(code: str, names: dict[str, Any]) -> Any:
    """Run a line; return its value, of a generator its first item."""
    code = code.replace("model.watch(0)", 'model.watch("clip.mp4")').replace('"webcam"', '"clip.mp4"')
    try:
        value = eval(code, names)
    except SyntaxError:
        exec(code, names)
        return None
    return next(value) if inspect.isgenerator(value) else value


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_call_has_its_counterpart(
    row: tuple[str, str, str, str], names: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, ours, verdict, note = row
    monkeypatch.chdir(names["folder"])
    monkeypatch.setattr(limner.Result, "show", lambda self: self.plot())
    if "to_df" in ours and importlib.util.find_spec("pandas") is None:
        pytest.skip("needs pandas")
    if verdict == "error":
        with pytest.raises((LimnerError, AttributeError)) as caught:
            run(ours, names)
        assert "instead: " in str(caught.value), "it names the way"
        assert note.startswith(": ")
        return
    value = run(ours, names)
    if isinstance(value, limner.Result):
        assert len(value) == 1, "the face is found"


def test_every_row_of_the_page_is_run() -> None:
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    assert len(ROWS) == len(rows) >= 60
    assert sum(verdict == "works" for _, _, verdict, _ in ROWS) >= 0.9 * len(ROWS)
