"""Watching a film: the keys do what they say, a file keeps its pace, a pause leaves nothing stale behind."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from limn.hud import Meter
from limn.moving import Shot, View
from limn.render import Look
from limn.screen import Screen
from limn.types import Boxes, Frame, Poses, Result
from limn.window import Action


class Window:
    """A window whose user presses what the test says: at each frame, and while it waits."""

    def __init__(self, at_frame: dict[int, list[Action]] | None = None, waiting: list[list[Action]] | None = None):
        self.at_frame, self.waiting = at_frame or {}, waiting or []
        self.shown: list[np.ndarray] = []

    def play(self, image: np.ndarray) -> tuple[Action, ...]:
        self.shown.append(image)
        return tuple(self.at_frame.pop(len(self.shown) - 1, ()))

    def wait(self, seconds: float | None = None) -> tuple[Action, ...]:
        if self.waiting:
            return tuple(self.waiting.pop(0))
        time.sleep(seconds or 0)
        return ()


def shot(i: int, seconds: float | None = None) -> Shot:
    image = np.full((240, 320, 3), 60 + i, np.uint8)
    nobody = Result(Boxes.empty(), Poses(np.zeros((0, 5, 2)), np.zeros((0, 5))), "five", (320, 240), index=i)
    return Shot(Frame(image, index=i, timestamp=i / 25 if seconds is None else seconds), nobody, image)


def screen(window: Window, tmp_path: Path, *, live: bool = False, now: Any = None, **more: Any) -> tuple[Screen, View]:
    view = View(Look())
    film = SimpleNamespace(
        live=live,
        ended=False,
        age=lambda frame: None if now is None else now() - frame.timestamp,
        draw=lambda shot: np.full_like(shot.drawn, 200 if view.look.boxes else 100),
    )
    window.film = film
    meter = Meter(live=live)
    return Screen(window, film, view, meter, snapshots=tmp_path / "snaps", stem="walk", **more), view  # type: ignore[arg-type]


def test_what_is_shown_is_the_picture_with_its_speed_and_the_picture_itself_stays(tmp_path: Path) -> None:
    window = Window()
    shown, _ = screen(window, tmp_path)
    assert shown.show(shot(0))
    assert shown.show(shot(1))
    assert (window.shown[1] != shot(1).drawn).any()
    np.testing.assert_array_equal(window.shown[1][120:], shot(1).drawn[120:])


def test_quit(tmp_path: Path) -> None:
    shown, _ = screen(Window({1: [Action.QUIT]}), tmp_path)
    assert shown.show(shot(0))
    assert not shown.show(shot(1))


def test_boxes_and_heat_are_switched_on_and_off(tmp_path: Path) -> None:
    shown, view = screen(Window({0: [Action.BOXES, Action.HEATMAP], 1: [Action.BOXES]}), tmp_path)
    shown.show(shot(0))
    assert (view.look.boxes, view.look.heatmap) == (True, True)
    shown.show(shot(1))
    assert (view.look.boxes, view.look.heatmap) == (False, True)


def test_a_snapshot_is_the_drawn_picture_without_the_strip(tmp_path: Path) -> None:
    said: list[str] = []
    shown, _ = screen(Window({0: [Action.SNAPSHOT]}), tmp_path, say=said.append)
    shown.show(shot(7))
    (path,) = (tmp_path / "snaps").iterdir()
    assert path.name == "walk_000007.png"
    assert str(path) in said[0]
    np.testing.assert_array_equal(cv2.imread(str(path)), shot(7).drawn)


def test_a_pause_stands_still_until_space_and_keys_work_in_it(tmp_path: Path) -> None:
    window = Window({0: [Action.PAUSE]}, [[], [Action.SNAPSHOT], [Action.PAUSE]])
    shown, _ = screen(window, tmp_path, say=lambda _: None)
    assert shown.show(shot(0))
    assert window.waiting == []
    assert len(list((tmp_path / "snaps").iterdir())) == 1


def test_quit_in_a_pause(tmp_path: Path) -> None:
    shown, _ = screen(Window({0: [Action.PAUSE]}, [[Action.QUIT]]), tmp_path)
    assert not shown.show(shot(0))


def test_boxes_show_at_once_in_a_pause(tmp_path: Path) -> None:
    window = Window({0: [Action.PAUSE]}, [[Action.BOXES], [Action.PAUSE]])
    shown, _ = screen(window, tmp_path)
    assert shown.show(shot(0))
    assert [int(image[200, 0, 0]) for image in window.shown] == [60, 60, 200]


def test_ctrl_c_ends_a_pause(tmp_path: Path) -> None:
    window = Window({0: [Action.PAUSE]})
    shown, _ = screen(window, tmp_path)

    def wait(seconds: float | None = None) -> tuple[Action, ...]:
        window.film.ended = True  # what the signal does
        return ()

    window.wait = wait  # type: ignore[method-assign]
    assert shown.show(shot(0)), "what is on its way still comes"


def test_after_a_pause_a_camera_shows_nothing_stale(tmp_path: Path) -> None:
    now = [10.0]
    window = Window({0: [Action.PAUSE]}, [[Action.PAUSE]])
    real_wait = window.wait

    def wait(seconds: float | None = None) -> tuple[Action, ...]:
        now[0] = 60.0  # a long pause
        return real_wait(seconds)

    window.wait = wait  # type: ignore[method-assign]
    shown, _ = screen(window, tmp_path, live=True, now=lambda: now[0])
    shown.show(shot(0, 9.9))
    before = len(window.shown)
    assert shown.show(shot(1, 10.0)), "the film goes on"
    assert len(window.shown) == before, "a frame from before the pause"
    shown.show(shot(2, 60.1))
    assert len(window.shown) == before + 1


def test_a_file_is_shown_no_faster_than_it_was_taken(tmp_path: Path) -> None:
    shown, _ = screen(Window(), tmp_path, paced=True)
    began = time.monotonic()
    for i in range(6):
        shown.show(shot(i))
    assert time.monotonic() - began >= 5 / 25 - 0.01


@pytest.mark.parametrize("late", [0.7])
def test_a_file_that_is_late_does_not_rush_afterwards(tmp_path: Path, late: float) -> None:
    shown, _ = screen(Window(), tmp_path, paced=True)
    shown.show(shot(0))
    time.sleep(late)
    shown.show(shot(1))
    began = time.monotonic()
    shown.show(shot(2))
    assert time.monotonic() - began >= 1 / 25 - 0.01
