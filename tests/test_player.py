"""Watching a film: the keys do what they say, a file keeps its pace, a pause leaves nothing stale behind."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from limner import keypoints
from limner.display.hud import Meter
from limner.display.keys import Action
from limner.display.player import Player
from limner.draw import DrawStyle
from limner.types import Boxes, Frame, Poses, Result
from limner.video.pipeline import CurrentStyle, FrameResult


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


def frame_result(i: int, seconds: float | None = None) -> FrameResult:
    image = np.full((240, 320, 3), 60 + i, np.uint8)
    nobody = Result(
        Boxes.empty(), Poses(np.zeros((0, 5, 2)), np.zeros((0, 5))), keypoints.numbered(5, "five"), (320, 240), index=i
    )
    return FrameResult(Frame(image, index=i, timestamp=i / 25 if seconds is None else seconds), nobody, image)


def player(
    window: Window, tmp_path: Path, *, live: bool = False, now: Any = None, **more: Any
) -> tuple[Player, CurrentStyle]:
    current = CurrentStyle(DrawStyle())
    video = SimpleNamespace(
        live=live,
        ended=False,
        age=lambda frame: None if now is None else now() - frame.timestamp,
        draw=lambda frame_result: np.full_like(frame_result.drawn, 200 if current.style.draw_bbox else 100),
    )
    window.video = video
    meter = Meter(live=live)
    return Player(window, video, current, meter, snapshots=tmp_path / "snaps", stem="walk", **more), current  # type: ignore[arg-type]


def test_what_is_shown_is_the_image_with_its_speed_and_the_image_itself_stays(tmp_path: Path) -> None:
    window = Window()
    shown, _ = player(window, tmp_path)
    assert shown.show(frame_result(0))
    assert shown.show(frame_result(1))
    assert (window.shown[1] != frame_result(1).drawn).any()
    np.testing.assert_array_equal(window.shown[1][120:], frame_result(1).drawn[120:])


def test_quit(tmp_path: Path) -> None:
    shown, _ = player(Window({1: [Action.QUIT]}), tmp_path)
    assert shown.show(frame_result(0))
    assert not shown.show(frame_result(1))


def test_boxes_and_heat_are_switched_on_and_off(tmp_path: Path) -> None:
    shown, current = player(Window({0: [Action.BOXES, Action.HEATMAP], 1: [Action.BOXES]}), tmp_path)
    shown.show(frame_result(0))
    assert (current.style.draw_bbox, current.style.draw_heatmap) == (True, True)
    shown.show(frame_result(1))
    assert (current.style.draw_bbox, current.style.draw_heatmap) == (False, True)


def test_a_snapshot_is_the_drawn_image_without_the_strip(tmp_path: Path) -> None:
    said: list[str] = []
    shown, _ = player(Window({0: [Action.SNAPSHOT]}), tmp_path, info=said.append)
    shown.show(frame_result(7))
    (path,) = (tmp_path / "snaps").iterdir()
    assert path.name == "walk_000007.png"
    assert str(path) in said[0]
    np.testing.assert_array_equal(cv2.imread(str(path)), frame_result(7).drawn)


def test_a_pause_stands_still_until_space_and_keys_work_in_it(tmp_path: Path) -> None:
    window = Window({0: [Action.PAUSE]}, [[], [Action.SNAPSHOT], [Action.PAUSE]])
    shown, _ = player(window, tmp_path, info=lambda _: None)
    assert shown.show(frame_result(0))
    assert window.waiting == []
    assert len(list((tmp_path / "snaps").iterdir())) == 1


def test_quit_in_a_pause(tmp_path: Path) -> None:
    shown, _ = player(Window({0: [Action.PAUSE]}, [[Action.QUIT]]), tmp_path)
    assert not shown.show(frame_result(0))


def test_boxes_show_at_once_in_a_pause(tmp_path: Path) -> None:
    window = Window({0: [Action.PAUSE]}, [[Action.BOXES], [Action.PAUSE]])
    shown, _ = player(window, tmp_path)
    assert shown.show(frame_result(0))
    assert [int(image[200, 0, 0]) for image in window.shown] == [60, 60, 200]


def test_ctrl_c_ends_a_pause(tmp_path: Path) -> None:
    window = Window({0: [Action.PAUSE]})
    shown, _ = player(window, tmp_path)

    def wait(seconds: float | None = None) -> tuple[Action, ...]:
        window.video.ended = True  # what the signal does
        return ()

    window.wait = wait  # type: ignore[method-assign]
    assert shown.show(frame_result(0)), "what is on its way still comes"


def test_after_a_pause_a_camera_shows_nothing_stale(tmp_path: Path) -> None:
    now = [10.0]
    window = Window({0: [Action.PAUSE]}, [[Action.PAUSE]])
    real_wait = window.wait

    def wait(seconds: float | None = None) -> tuple[Action, ...]:
        now[0] = 60.0  # a long pause
        return real_wait(seconds)

    window.wait = wait  # type: ignore[method-assign]
    shown, _ = player(window, tmp_path, live=True, now=lambda: now[0])
    shown.show(frame_result(0, 9.9))
    before = len(window.shown)
    assert shown.show(frame_result(1, 10.0)), "the film goes on"
    assert len(window.shown) == before, "a frame from before the pause"
    shown.show(frame_result(2, 60.1))
    assert len(window.shown) == before + 1


def test_a_file_is_shown_no_faster_than_it_was_taken(tmp_path: Path) -> None:
    shown, _ = player(Window(), tmp_path, paced=True)
    began = time.monotonic()
    for i in range(6):
        shown.show(frame_result(i))
    assert time.monotonic() - began >= 5 / 25 - 0.01


@pytest.mark.parametrize("late", [0.7])
def test_a_file_that_is_late_does_not_rush_afterwards(tmp_path: Path, late: float) -> None:
    shown, _ = player(Window(), tmp_path, paced=True)
    shown.show(frame_result(0))
    time.sleep(late)
    shown.show(frame_result(1))
    began = time.monotonic()
    shown.show(frame_result(2))
    assert time.monotonic() - began >= 1 / 25 - 0.01
