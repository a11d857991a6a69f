"""What a browser shows of an SVG is what is drawn in pixels."""

from __future__ import annotations

import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from conftest import ROOT
from limner import cli
from limner.draw import DrawStyle, draw
from limner.draw.svg import svg
from test_draw_style import everything
from test_svg import everything_sized

STYLES: list[dict[str, Any]] = [
    {},
    {"color": "by-part", "alpha": 0.6},
    {"skeleton_style": "openpose"},
    {"parts": "face,hands", "radius": 3, "thickness": 4},
    {"color": "orange", "dots": False, "draw_bbox": True, "labels": False},
]


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    """What a browser shows of each style, on dark grey."""
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("needs chromium: apt-get install chromium")
    folder = tmp_path_factory.mktemp("browser")
    drawings = [svg(everything_sized(), DrawStyle(**style)).partition("?>")[2] for style in STYLES]
    css = "html{background:#333}body{margin:0}svg{display:block}"
    (folder / "page.html").write_text(f"<!doctype html><style>{css}</style>{''.join(drawings)}", encoding="utf-8")
    flags = "--headless --no-sandbox --disable-gpu --hide-scrollbars --no-first-run --disable-background-networking "
    flags += "--disable-component-update --disable-sync --disable-dev-shm-usage --force-device-scale-factor=1 "
    flags += f"--window-size=320,{300 * len(STYLES)} --user-data-dir={folder / 'profile'}"
    command = [browser, *flags.split(), f"--screenshot={folder / 'page.png'}", (folder / "page.html").as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return np.split(cv2.imread(str(folder / "page.png")), len(STYLES))


@pytest.mark.parametrize("number", range(len(STYLES)))
def test_a_browser_shows_what_pixels_show(screenshots: list[np.ndarray], number: int) -> None:
    grey = np.full((300, 320, 3), 0x33, np.uint8)
    pixels, shown = draw(grey, everything(), DrawStyle(**STYLES[number])).astype(int), screenshots[number].astype(int)
    ink, other = (np.abs(image - 0x33).max(axis=2) for image in (pixels, shown))
    assert ink.max() > 60
    assert abs(ink.mean() / other.mean() - 1) < 0.1
    assert np.abs(pixels - shown).mean() < 0.12 * ink.mean()
    near = np.ones((3, 3), np.uint8)
    for one, two in ((ink, other), (other, ink)):  # no line of one is without its line in the other
        assert not ((one > 60) & (cv2.dilate((two > 15).astype(np.uint8), near) == 0)).any()


# -- the portrait in the texts

COMMAND = "limner run astronaut.png --no-dots --color firebrick --background ivory --alpha 1 --out astronaut.svg"


def test_the_portrait_is_made_by_the_command_beside_it(
    tmp_path: Path, portrait: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert COMMAND in (ROOT / "docs" / "drawing.md").read_text("utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", COMMAND.split())
    cv2.imwrite("astronaut.png", portrait)
    with suppress(SystemExit):
        cli.main()
    stored, made = (path.read_text("utf-8") for path in (ROOT / "docs" / "astronaut.svg", Path("astronaut.svg")))
    number = r"-?\d+(?:\.\d+)?"
    assert re.sub(number, "0", stored) == re.sub(number, "0", made)
    # other processors have other networks: int8 or not
    numbers = (np.array(re.findall(number, text), float) for text in (stored, made))
    assert next(numbers) == pytest.approx(next(numbers), abs=3)
