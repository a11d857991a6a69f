"""The tutorials and guides: every command and every program in them runs, in the order in which a reader meets them."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import limner
from limner import cli
from limner.video.writer import VideoWriter

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = sorted((DOCS / "tutorials").glob("*.md"))
BLOCK = re.compile(r"```(python|bash)\n(.*?)```", re.DOTALL)


@pytest.fixture
def place(tmp_path: Path, portrait: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, with the files that the pages name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    face = np.ascontiguousarray(portrait[:340, 60:400])
    cv2.imwrite("photo.jpg", face)
    Path("photos").mkdir()
    for i in range(2):
        cv2.imwrite(f"photos/{i}.jpg", face)
    with VideoWriter("clip.mp4", Fraction(25)) as sink:
        for i in range(6):
            sink.write(np.ascontiguousarray(portrait[i : 300 + i, 60:400]))
    found = limner.load("face-lite")("photo.jpg")
    points = np.column_stack([found.keypoints[0], np.full(68, 2)]).ravel().tolist()
    x1, y1, x2, y2 = found.boxes.xyxy[0].tolist()
    entry = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": points, "bbox": [x1, y1, x2 - x1, y2 - y1]}
    content = {"images": [{"id": 1, "file_name": "0.jpg"}], "annotations": [entry]}
    Path("annotations.json").write_text(json.dumps(content))
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_example_of_a_tutorial_runs(page: Path, place: Path) -> None:
    names: dict[str, object] = {}
    ran = 0
    for kind, code in BLOCK.findall(page.read_text(encoding="utf-8")):
        if kind == "python":
            exec(compile(code, page.name, "exec"), names)
            ran += 1
            continue
        for line in filter(None, code.splitlines()):
            words = shlex.split(line, comments=True)
            if words[0] != "limner":
                subprocess.run(words, check=True, capture_output=True)
                continue
            result = CliRunner().invoke(cli.app, words[1:])
            assert result.exit_code == 0, f"{line}\n{result.output}{result.exception}"
            ran += 1
    assert ran >= 1


def test_the_pages_that_are_made_from_the_code_have_every_command() -> None:
    import sys

    sys.path.insert(0, str(DOCS.parent / "tools"))
    import site_pages

    text = site_pages.commands()
    for name in ("run", "batch", "convert", "eval", "bench", "doctor", "serve", "models pull", "topdown"):
        assert f"## limner {name}\n" in text
    assert "`--model`, `-m` `NAME`" in text
    assert text.count("```") % 2 == 0
    assert "coco-17" in site_pages.keypoint_sets()
    assert "face-lite" in site_pages.models()
    assert "::: limner.api" in site_pages.api()
    assert "](docs/" not in site_pages.index()


def test_the_site_has_every_page() -> None:
    listed = set(
        re.findall(r": ([\w/-]+\.md)$", (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    )
    there = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert there <= listed
    made = {"index.md", *(name for name in listed if name.startswith("reference/"))}
    assert listed - made <= there
