"""The window in which a film is watched: what its keys do, its pace, and how fast it goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from .hud import Meter, overlay
from .moving import Film, Shot, View
from .sinks import PictureSink
from .window import Action, Window


class Screen:
    """Shows the frames of a film in a window and does what its keys ask for.

    ESC or q quit, space pauses, s writes the drawn frame as a picture, b and h show or hide boxes and heatmap.

    Args:
        window: stays open when the film has ended.
        film, view: what is shown, and how it is drawn.
        meter: counts the frames.
        snapshots: folder for the pictures of s, made when it is needed.
        stem: what their names begin with.
        device: what the networks run on.
        paced: show a file no faster than it was taken.
        wait: seconds that each frame stays at least.
        say: called with a sentence for each snapshot.
    """

    def __init__(
        self,
        window: Window,
        film: Film,
        view: View,
        meter: Meter,
        *,
        snapshots: Path,
        stem: str,
        device: str = "",
        paced: bool = False,
        wait: float = 0.0,
        say: Callable[[str], None] = print,
    ) -> None:
        self._window, self._film, self._view, self._meter = window, film, view, meter
        self._snapshots, self._stem, self._device, self._say = snapshots, stem, device, say
        self._paced, self._wait = paced and not film.live, wait
        self._start: float | None = None  # when the frame of timestamp 0 was due, on the monotonic clock
        self._fresh_from = 0.0  # frames that arrived before it waited through a pause

    def show(self, shot: Shot) -> bool:
        """Show one frame; False once the user wants no more.

        Raises:
            OutputError: a snapshot cannot be written, or the display is gone.
        """
        if shot.drawn is None or (self._film.live and shot.frame.timestamp < self._fresh_from):
            return True
        asked = self._await(shot.frame.timestamp) if self._paced else ()
        asked += self._window.play(overlay(shot.drawn, self._meter, self._device))
        self._meter.shown(self._film.age(shot.frame))
        if self._wait and not asked:
            asked = self._window.wait(self._wait)
        drawn, paused, stood = shot.drawn, False, False
        while True:
            for action in asked:
                if action is Action.QUIT:
                    return False
                paused ^= action is Action.PAUSE
                drawn = self._obey(action, shot, drawn)
            if not paused or self._film.ended:
                break
            asked, stood = self._stand_still(drawn), True
        if stood:
            self._go_on(shot)
        return True

    def _obey(self, action: Action, shot: Shot, drawn: np.ndarray) -> np.ndarray:
        """Do what a key asks for; return the frame as it looks now."""
        look = self._view.look
        if action is Action.BOXES:
            self._view.look = replace(look, boxes=not look.boxes)
        elif action is Action.HEATMAP:
            self._view.look = replace(look, heatmap=not look.heatmap)
        elif action is Action.SNAPSHOT:
            path = PictureSink(self._snapshots).write(f"{self._stem}_{shot.frame.index:06d}", drawn, ".png")
            self._say(f"the picture is written to '{path}'")
            return drawn
        else:
            return drawn
        return self._film.draw(shot)

    def _stand_still(self, drawn: np.ndarray) -> tuple[Action, ...]:
        """Show a frame that stays until a key is pressed, or the film is ended from elsewhere."""
        self._meter.pause()
        asked = self._window.play(overlay(drawn, self._meter, self._device, paused=True))
        while not asked and not self._film.ended:
            asked = self._window.wait(0.5)
        return asked

    def _go_on(self, shot: Shot) -> None:
        age = self._film.age(shot.frame)
        if age is not None:
            self._fresh_from = shot.frame.timestamp + age
        self._start = None

    def _await(self, timestamp: float) -> tuple[Action, ...]:
        """Wait until a frame is due, or a key is pressed; where frames come late, the later ones are due later."""
        now = time.monotonic()
        if self._start is None or now > self._start + timestamp + 0.5:
            self._start = now - timestamp
        left = self._start + timestamp - now
        return self._window.wait(left) if left > 0 else ()
