"""The page on the Python API: every example runs, in the order in which a reader meets them."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import limner
from limner.video.writer import VideoWriter

DOCS = Path(__file__).resolve().parents[1] / "docs"
EXAMPLES = re.findall(r"```python\n(.*?)```", (DOCS / "python.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, portrait: np.ndarray) -> Path:
    """A folder with the files that the page names."""
    folder = tmp_path_factory.mktemp("page")
    face = np.ascontiguousarray(portrait[:340, 60:400])
    cv2.imwrite(str(folder / "photo.jpg"), face)
    for name in ("photos", "frames", "drawn"):
        (folder / name).mkdir()
    for i in range(2):
        cv2.imwrite(str(folder / "photos" / f"{i}.jpg"), face)
    (folder / "photos" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for i in range(3):
        cv2.imwrite(str(folder / "frames" / f"{i:05d}.png"), face)
    with VideoWriter(folder / "clip.mp4", Fraction(25)) as sink:
        for i in range(20):
            sink.write(np.ascontiguousarray(portrait[i : 300 + i, 60:400]))
    return folder


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the examples before have defined."""
    return {}


@pytest.fixture(autouse=True)
def stand_ins(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """There is no screen here: what would be shown is drawn."""
    monkeypatch.chdir(place)
    monkeypatch.setattr(limner.Result, "show", lambda self, **style: self.plot(**style))
    return


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_examples_of_the_page_run(number: int, names: dict[str, Any]) -> None:
    """A camera is a clip here, and a line on pandas is left out where it is not installed."""
    code = EXAMPLES[number].replace('"webcam", camera_size=(1280, 720)', '"clip.mp4"')
    if importlib.util.find_spec("pandas") is None:
        code = re.sub(r".*to_df\(\).*\n", "", code)
    exec(compile(code, f"example {number}", "exec"), names)  # the page's own code


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) >= 15


def test_what_the_page_says_was_written_is_there(place: Path) -> None:
    assert sorted(path.name for path in place.glob("*.*")) == [
        *("clip.mp4", "drawn.jpg", "drawn.png", "outline.svg", "photo.jpg", "points.csv", "points.json")
    ]
    assert sorted(path.name for path in (place / "drawn").iterdir()) == ["0.jpg", "1.jpg"]
