"""Shows a video in a window: what the keys do, the pace of the frames, and the status line."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..types import MessageCallback
from ..video.pipeline import CurrentStyle, FrameResult, VideoPipeline
from ..writers import ImageWriter
from .hud import Meter, overlay
from .keys import Action
from .screen import Screen


class Player:
    """Shows the frames of a video in a window and reacts to its keys.

    ESC or q quit, space pauses, s writes the drawn frame as an image, b and h show or hide boxes and heatmap.

    Args:
        window: stays open when the video has ended.
        video, current: the video, and the style in which it is drawn.
        meter: counts the frames.
        snapshots: folder for the images of s, created when it is needed.
        stem: the beginning of their file names.
        device: the device of the networks.
        paced: show a file no faster than at its own frame rate.
        wait: seconds for which each frame is shown at least.
        info: called with a sentence for each snapshot.
    """

    def __init__(
        self,
        window: Screen,
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
        self._skip_before = 0.0  # earlier frames of a live source arrived during a pause and are not shown

    def show(self, frame_result: FrameResult) -> bool:
        """Show one frame; return False once the user quits.

        Raises:
            OutputError: a snapshot cannot be written, or the display is gone.
        """
        if frame_result.drawn is None or (self._video.live and frame_result.frame.timestamp < self._skip_before):
            return True
        actions = self._wait_until_due(frame_result.frame.timestamp) if self._paced else ()
        actions += self._window.play(overlay(frame_result.drawn, self._meter, self._device))
        self._meter.add_frame(self._video.age(frame_result.frame))
        if self._wait and not actions:
            actions = self._window.wait(self._wait)
        drawn, paused, was_paused = frame_result.drawn, False, False
        while True:
            for action in actions:
                if action is Action.QUIT:
                    return False
                paused ^= action is Action.PAUSE
                drawn = self._apply(action, frame_result, drawn)
            if not paused or self._video.ended:
                break
            actions, was_paused = self._wait_in_pause(drawn), True
        if was_paused:
            self._resume(frame_result)
        return True

    def _apply(self, action: Action, frame_result: FrameResult, drawn: np.ndarray) -> np.ndarray:
        """Do the action of a key; return the drawn frame after it."""
        style = self._current.style
        if action is Action.BOXES:
            self._current.style = replace(style, draw_bbox=not style.draw_bbox)
        elif action is Action.HEATMAP:
            self._current.style = replace(style, draw_heatmap=not style.draw_heatmap)
        elif action is Action.SNAPSHOT:
            writer, stem = ImageWriter(self._snapshots), f"{self._stem}_{frame_result.frame.index:06d}"
            path = writer.write(writer.free_stem(stem, ".png"), drawn, ".png")
            self._info(f"the image is written to '{path}'")
            return drawn
        else:
            return drawn
        return self._video.draw(frame_result)

    def _wait_in_pause(self, drawn: np.ndarray) -> tuple[Action, ...]:
        """Show a frame until a key is pressed, or the video is ended from elsewhere."""
        self._meter.pause()
        actions = self._window.play(overlay(drawn, self._meter, self._device, paused=True))
        while not actions and not self._video.ended:
            actions = self._window.wait(0.5)
        return actions

    def _resume(self, frame_result: FrameResult) -> None:
        age = self._video.age(frame_result.frame)
        if age is not None:
            self._skip_before = frame_result.frame.timestamp + age
        self._start = None

    def _wait_until_due(self, timestamp: float) -> tuple[Action, ...]:
        """Wait until a frame is due, or a key is pressed; where frames come late, the later ones are due later."""
        now = time.monotonic()
        if self._start is None or now > self._start + timestamp + 0.5:
            self._start = now - timestamp
        left = self._start + timestamp - now
        return self._window.wait(left) if left > 0 else ()
