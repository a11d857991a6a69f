"""A window that shows pictures one after the other: the headless OpenCV that limn uses has none."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from .errors import MissingExtraError, OutputError

MARGIN = 80  # pixels of the desktop that a picture leaves free


class Window:
    """A window for pictures; ESC, q or its own button closes it, any other key goes on.

    Args:
        title: stands above the pictures.
        instead: what the user can do where no window can be opened.

    Raises:
        OutputError: there is no display.
        MissingExtraError: the optional package for windows is not installed.
    """

    def __init__(self, title: str, instead: str = "leave it out and have the pictures written") -> None:
        displays = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
        if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in displays):
            raise OutputError(f"no window can be shown, since there is no display (DISPLAY is not set): {instead}")
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        try:
            import pygame
        except ImportError as error:
            raise MissingExtraError(f"a window ({instead})", "show") from error
        self._pygame: Any = pygame
        try:
            pygame.display.init()
            desktop = pygame.display.get_desktop_sizes()[0]
        except pygame.error as error:
            raise OutputError(f"no window can be shown ({error}): {instead}") from None
        self._room = tuple(max(64, side - MARGIN) for side in desktop)
        self._screen: Any = None
        self._open = True
        pygame.display.set_caption(title)

    def __enter__(self) -> Window:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pygame.display.quit()

    def show(self, image: np.ndarray, seconds: float = 0.0) -> bool:
        """Show a picture, uint8 ``[H, W, 3]`` BGR, scaled down where the desktop is smaller.

        Args:
            seconds: how long; 0 waits for a key.

        Returns:
            False once the user has closed the window.
        """
        if not self._open:
            return False
        height, width = image.shape[:2]
        factor = min(1.0, self._room[0] / width, self._room[1] / height)
        size = max(1, round(width * factor)), max(1, round(height * factor))
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        if size != (width, height):
            rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        if self._screen is None or self._screen.get_size() != size:
            self._screen = self._pygame.display.set_mode(size)
        self._surface = self._pygame.image.frombuffer(np.ascontiguousarray(rgb), size, "RGB")
        self._paint()
        self._wait(seconds)
        return self._open

    def _paint(self) -> None:
        self._screen.blit(self._surface, (0, 0))
        self._pygame.display.flip()

    def _wait(self, seconds: float) -> None:
        """Answer the user until a key is pressed or the time is over."""
        pygame = self._pygame
        end = time.monotonic() + seconds
        while True:
            left = 0.2 if not seconds else end - time.monotonic()
            event = pygame.event.wait(max(1, int(min(left, 0.2) * 1000)))
            if event.type == pygame.QUIT:
                self._open = False
                return
            if event.type == pygame.KEYDOWN:
                self._open = event.key not in (pygame.K_ESCAPE, pygame.K_q)
                return
            if event.type in (pygame.VIDEOEXPOSE, pygame.WINDOWEXPOSED):
                self._paint()
            if seconds and time.monotonic() >= end:
                return
