"""The window in which a video is shown: what its keys do, its pace, and its speed."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..types import MessageCallback
from ..video.pipeline import CurrentStyle, FrameResult, VideoPipeline
from ..writers import ImageWriter
from .hud import Meter, overlay
from .window import Action, Window


class Player:
    """Shows the frames of a video in a window and does what its keys ask for.

    ESC or q quit, space pauses, s writes the drawn frame as an image, b and h show or hide boxes and heatmap.

    Args:
        window: stays open when the video has ended.
        video, current: what is shown, and how it is drawn.
        meter: counts the frames.
        snapshots: folder for the images of s, made when it is needed.
        stem: what their names begin with.
        device: what the networks run on.
        paced: show a file no faster than it was taken.
        wait: seconds that each frame stays at least.
        info: called with a sentence for each snapshot.
    """

    def __init__(
        self,
        window: Window,
        video: VideoPipeline,
        current: CurrentStyle,
        meter: Meter,
        *,
        snapshots: Path,
        stem: str,
        device: str = "",
        paced: bool = False,
        wait: float = 0.0,
        info: MessageCallback = print,
    ) -> None:
        self._window, self._video, self._current, self._meter = window, video, current, meter
        self._snapshots, self._stem, self._device, self._info = snapshots, stem, device, info
        self._paced, self._wait = paced and not video.live, wait
        self._start: float | None = None  # when the frame of timestamp 0 was due, on the monotonic clock
        self._fresh_from = 0.0  # frames that arrived before it waited through a pause

    def show(self, frame_result: FrameResult) -> bool:
        """Show one frame; False once the user wants no more.

        Raises:
            OutputError: a snapshot cannot be written, or the display is gone.
        """
        if frame_result.drawn is None or (self._video.live and frame_result.frame.timestamp < self._fresh_from):
            return True
        asked = self._await(frame_result.frame.timestamp) if self._paced else ()
        asked += self._window.play(overlay(frame_result.drawn, self._meter, self._device))
        self._meter.shown(self._video.age(frame_result.frame))
        if self._wait and not asked:
            asked = self._window.wait(self._wait)
        drawn, paused, stood = frame_result.drawn, False, False
        while True:
            for action in asked:
                if action is Action.QUIT:
                    return False
                paused ^= action is Action.PAUSE
                drawn = self._obey(action, frame_result, drawn)
            if not paused or self._video.ended:
                break
            asked, stood = self._stand_still(drawn), True
        if stood:
            self._go_on(frame_result)
        return True

    def _obey(self, action: Action, frame_result: FrameResult, drawn: np.ndarray) -> np.ndarray:
        """Do what a key asks for; return the frame as it looks now."""
        style = self._current.style
        if action is Action.BOXES:
            self._current.style = replace(style, draw_bbox=not style.draw_bbox)
        elif action is Action.HEATMAP:
            self._current.style = replace(style, draw_heatmap=not style.draw_heatmap)
        elif action is Action.SNAPSHOT:
            path = ImageWriter(self._snapshots).write(f"{self._stem}_{frame_result.frame.index:06d}", drawn, ".png")
            self._info(f"the image is written to '{path}'")
            return drawn
        else:
            return drawn
        return self._video.draw(frame_result)

    def _stand_still(self, drawn: np.ndarray) -> tuple[Action, ...]:
        """Show a frame that stays until a key is pressed, or the film is ended from elsewhere."""
        self._meter.pause()
        asked = self._window.play(overlay(drawn, self._meter, self._device, paused=True))
        while not asked and not self._video.ended:
            asked = self._window.wait(0.5)
        return asked

    def _go_on(self, frame_result: FrameResult) -> None:
        age = self._video.age(frame_result.frame)
        if age is not None:
            self._fresh_from = frame_result.frame.timestamp + age
        self._start = None

    def _await(self, timestamp: float) -> tuple[Action, ...]:
        """Wait until a frame is due, or a key is pressed; where frames come late, the later ones are due later."""
        now = time.monotonic()
        if self._start is None or now > self._start + timestamp + 0.5:
            self._start = now - timestamp
        left = self._start + timestamp - now
        return self._window.wait(left) if left > 0 else ()
