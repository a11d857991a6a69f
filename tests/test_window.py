"""Somebody who wants to see the pictures, on a desktop and without one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from limn.errors import MissingExtraError, OutputError
from limn.window import Window

PICTURE = np.zeros((90, 160, 3), np.uint8)
PICTURE[:, :80] = (255, 0, 0)  # blue


@pytest.fixture
def pygame(monkeypatch: pytest.MonkeyPatch) -> object:
    """pygame, drawing into memory."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setenv("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    return pytest.importorskip("pygame", reason="pygame-ce, which the extra 'show' installs, is not here")


def test_without_a_display_the_user_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(OutputError, match="give --output-root"):
        Window("faces", "give --output-root")


def test_without_the_package_the_user_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(MissingExtraError, match=r"give --output-root.*limn\[show\]"):
        Window("faces", "give --output-root")


def test_colours_are_those_of_the_picture(pygame: object) -> None:
    with Window("faces") as window:
        assert window.show(PICTURE, 0.05)
        screen = pygame.display.get_surface()
        assert screen.get_size() == (160, 90)
        assert screen.get_at((10, 10))[:3] == (0, 0, 255)
        assert screen.get_at((150, 10))[:3] == (0, 0, 0)


def test_a_large_picture_is_made_to_fit(pygame: object) -> None:
    with Window("faces") as window:
        width, height = pygame.display.get_desktop_sizes()[0]
        assert window.show(np.zeros((4000, 8000, 3), np.uint8), 0.05)
        shown = pygame.display.get_surface().get_size()
        assert shown[0] < width
        assert shown[1] < height
        assert shown[0] == pytest.approx(2 * shown[1], abs=2)


@pytest.mark.parametrize(("key", "goes_on"), [("K_ESCAPE", False), ("K_q", False), ("K_SPACE", True)])
def test_keys_close_it_or_go_on(pygame: object, key: str, goes_on: bool) -> None:
    with Window("faces") as window:
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=getattr(pygame, key)))
        assert window.show(PICTURE) is goes_on
        assert window.show(PICTURE, 0.05) is goes_on


def test_its_own_button_closes_it(pygame: object) -> None:
    with Window("faces") as window:
        pygame.event.post(pygame.event.Event(pygame.QUIT))
        assert not window.show(PICTURE)


@pytest.fixture
def display() -> Iterator[str]:
    """The name of a real X display in memory."""
    program = shutil.which("Xvfb")
    if program is None:
        pytest.skip("Xvfb is not installed")
    name = f":{90 + os.getpid() % 100}"
    server = subprocess.Popen([program, name, "-screen", "0", "800x600x24"], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            if Path(f"/tmp/.X11-unix/X{name[1:]}").exists():
                break
            time.sleep(0.1)
        yield name
    finally:
        server.terminate()
        server.wait(10)


def test_a_real_window_shows_the_picture(display: str) -> None:
    pytest.importorskip("pygame", reason="pygame-ce, which the extra 'show' installs, is not here")
    code = (
        "import numpy as np, pygame; from limn.window import Window\n"
        "window = Window('faces'); picture = np.full((90, 160, 3), (0, 0, 255), np.uint8)\n"
        "assert window.show(picture, 0.3)\n"
        "assert pygame.display.get_driver() == 'x11', pygame.display.get_driver()\n"
        "print(pygame.display.get_surface().get_at((5, 5))[:3])"
    )
    environment = {k: v for k, v in os.environ.items() if k != "SDL_VIDEODRIVER"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "DISPLAY": display},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(255, 0, 0)"
