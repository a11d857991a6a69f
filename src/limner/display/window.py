"""A window for images, still or moving: the headless OpenCV that limner uses has none."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable
from enum import Enum
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from ..errors import MissingExtraError, OutputError

MARGIN = 80  # pixels of the desktop that a new window leaves free
PULSE = 0.2  # seconds after which a wait looks up, so that Ctrl-C is heard


class Action(Enum):
    """What the user asks for while images move, and how."""

    QUIT = "quit"  # ESC, q or the window's own button
    PAUSE = "pause"  # space: stop, and go on
    SNAPSHOT = "snapshot"  # s
    BOXES = "boxes"  # b: show or hide them
    HEATMAP = "heatmap"  # h: show or hide it


class Window:
    """A window for images: `show` waits for the user, `play` does not.

    The user may resize it; an image keeps its shape and stands between black bars. Only the thread
    that made a window may use it, which on macOS has to be the main thread.

    Args:
        title: stands above the images.
        instead: what the user can do where no window can be opened.

    Raises:
        OutputError: there is no display, or this thread may not open a window.
        MissingExtraError: the optional package for windows is not installed.
    """

    def __init__(self, title: str, advice: str = "leave it out and have the images written") -> None:
        self._title, self._advice = title, advice
        displays = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
        if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in displays):
            raise self._refusal("since there is no display (DISPLAY is not set)")
        if sys.platform == "darwin" and threading.current_thread() is not threading.main_thread():
            raise self._refusal("since macOS has windows in the main thread of a program only")
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        try:
            import pygame
        except ImportError as error:
            raise MissingExtraError(f"a window ({advice})", "show") from error
        self._pygame: Any = pygame
        self._keys = {
            pygame.K_ESCAPE: Action.QUIT,
            pygame.K_q: Action.QUIT,
            pygame.K_SPACE: Action.PAUSE,
            pygame.K_s: Action.SNAPSHOT,
            pygame.K_b: Action.BOXES,
            pygame.K_h: Action.HEATMAP,
        }
        # where those letters are on a keyboard whose own letters are not Latin
        self._places = {
            pygame.KSCAN_Q: Action.QUIT,
            pygame.KSCAN_S: Action.SNAPSHOT,
            pygame.KSCAN_B: Action.BOXES,
            pygame.KSCAN_H: Action.HEATMAP,
        }
        self._thread = threading.get_ident()
        self._image: np.ndarray = np.zeros((1, 1, 3), np.uint8)  # what is shown
        self._given = (0, 0)  # (width, height) that the window got from here
        self._open = True
        self._connect()

    def __enter__(self) -> Window:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        self._pygame.display.quit()

    def show(self, image: np.ndarray, seconds: float = 0.0) -> bool:
        """Show a still image until a key is pressed; ESC, q or the window's button closes it.

        Args:
            image: uint8 ``[H, W, 3]``, BGR; scaled down where the desktop is smaller.
            seconds: how long at most; 0 waits for the key.

        Returns:
            False once the user has closed the window.

        Raises:
            OutputError: another thread made the window, or the display is gone.
        """
        self._check_thread()
        if not self._open:
            return False
        self._fit(image, keeps_width=False)
        self._paint()
        pygame = self._pygame
        end = time.monotonic() + seconds if seconds else None
        while True:
            event = self._next(end)  # one at a time: a second key is for the next image
            self._repaint([event])
            self._actions([event])
            over = end is not None and time.monotonic() >= end
            if over or event.type in (pygame.QUIT, pygame.KEYDOWN):
                return self._open

    def play(self, image: np.ndarray) -> tuple[Action, ...]:
        """Show the next image of a moving one at once.

        An image that only grows or shrinks below, as with a heatmap, leaves the window its width;
        one that the user has resized is left alone.

        Args:
            image: uint8 ``[H, W, 3]``, BGR; kept until the next one, so leave it unchanged.

        Returns:
            What the user asked for since the last call, in order; a closed window says QUIT again.

        Raises:
            OutputError: another thread made the window, or the display is gone.
        """
        self._check_thread()
        if not self._open:
            return (Action.QUIT,)
        self._connect()
        actions = self._actions(self._pygame.event.get())
        if self._open:
            self._fit(image, keeps_width=True)
            self._paint()
        return actions

    def wait(self, seconds: float | None = None) -> tuple[Action, ...]:
        """Leave the image where it is until the user asks for something, as in a pause.

        Args:
            seconds: how long at most; None has no end.

        Returns:
            What the user asked for, in order; nothing where the time was over before.

        Raises:
            OutputError: another thread made the window, or the display is gone.
        """
        self._check_thread()
        end = None if seconds is None else time.monotonic() + seconds
        if self._open:
            self._connect()
        if self._open and any(self._given) and self._pygame.display.get_surface() is None:
            self._fit(self._image, keeps_width=True)
            self._paint()
        while self._open:
            events = [self._next(end), *self._pygame.event.get()]
            self._repaint(events)
            actions = self._actions(events)
            if actions or (end is not None and time.monotonic() >= end):
                return actions
        return (Action.QUIT,)

    def _connect(self) -> None:
        """Reach the display, unless it is reached: whoever else uses pygame may have left it."""
        display = self._pygame.display
        if display.get_init():
            return
        try:
            display.init()
            driver, desktop = display.get_driver(), display.get_desktop_sizes()[0]
        except self._pygame.error as error:
            raise self._refusal(f"({error})") from None
        asked = os.environ.get("SDL_VIDEODRIVER")
        if sys.platform.startswith("linux") and not asked and driver not in ("x11", "wayland"):
            # SDL falls back on drivers that draw where nobody looks
            display.quit()
            name = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
            raise self._refusal(f"since the display '{name}' does not answer")
        if driver == "x11":
            # drawing through OpenGL makes SDL open the window anew at each change of size, and may wait for the screen
            os.environ.setdefault("SDL_FRAMEBUFFER_ACCELERATION", "0")
        self._room = tuple(max(64, side - MARGIN) for side in desktop)
        display.set_caption(self._title)

    def _refusal(self, reason: str) -> OutputError:
        return OutputError(f"no window can be shown, {reason}: {self._advice}")

    def _check_thread(self) -> None:
        if threading.get_ident() != self._thread:
            raise OutputError("a window works in the thread that opened it only: show the images from there")

    def _fit(self, image: np.ndarray, *, keeps_width: bool) -> None:
        """Take the next image, and give the window its size unless the user has chosen one."""
        self._connect()
        screen = self._pygame.display.get_surface()
        (height, width), before = image.shape[:2], self._image.shape[:2]
        self._image = np.ascontiguousarray(image)
        if screen is not None and ((height, width) == before or screen.get_size() != self._given):
            return
        if screen is not None and keeps_width and width == before[1]:
            size = self._given[0], min(max(1, round(height * self._given[0] / width)), self._room[1])
        else:
            factor = min(1.0, self._room[0] / width, self._room[1] / height)
            size = max(1, round(width * factor)), max(1, round(height * factor))
        try:
            self._pygame.display.set_mode(size, self._pygame.RESIZABLE)
        except self._pygame.error as error:
            raise self._refusal(f"({error})") from None
        self._given = size
        self._pygame.key.stop_text_input()  # else an input method swallows the letters

    def _paint(self) -> None:
        """Draw the image as large as the window is, in its middle."""
        screen = self._pygame.display.get_surface()
        (height, width), room = self._image.shape[:2], screen.get_size()
        factor = min(room[0] / width, room[1] / height)
        # a rounded side may miss the window's by a pixel, which would show as a hairline
        fitted = [max(1, round(width * factor)), max(1, round(height * factor))]
        size = tuple(r if abs(r - f) <= 1 else min(f, r) for f, r in zip(fitted, room, strict=True))
        image = _scaled(self._image, size)
        if size != room:
            screen.fill((0, 0, 0))
        corner = (room[0] - size[0]) // 2, (room[1] - size[1]) // 2
        screen.blit(self._pygame.image.frombuffer(image, size, "BGR"), corner)
        self._pygame.display.flip()

    def _next(self, end: float | None) -> Any:
        """Return the next event, one of no meaning after a short while."""
        left = PULSE if end is None else min(PULSE, end - time.monotonic())
        return self._pygame.event.wait(max(1, round(left * 1000)))  # 0 would have no end

    def _repaint(self, events: Iterable[Any]) -> None:
        """Paint again where the window was covered or resized."""
        pygame = self._pygame
        stale = (pygame.VIDEOEXPOSE, pygame.WINDOWEXPOSED, pygame.WINDOWSIZECHANGED)
        if pygame.display.get_surface() is not None and any(event.type in stale for event in events):
            self._paint()

    def _actions(self, events: Iterable[Any]) -> tuple[Action, ...]:
        """Return what the user asks for by these events, and close the window if that is asked for."""
        pygame = self._pygame
        actions = []
        for event in events:
            action = Action.QUIT if event.type == pygame.QUIT else None
            if event.type == pygame.KEYDOWN:
                action = self._keys.get(event.key)
                if event.key > 127:
                    action = self._places.get(getattr(event, "scancode", -1))
            if action is not None:
                actions.append(action)
        self._open = self._open and Action.QUIT not in actions
        return tuple(actions)


def _scaled(image: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return an image in another size, ``(width, height)``, in which no pixel of it is passed over.

    It is halved as long as it can be: down to one half, linear interpolation sees every pixel and takes
    a tenth of the time that INTER_AREA takes for a factor that is no whole number.
    """
    while image.shape[1] >= 2 * size[0] and image.shape[0] >= 2 * size[1]:
        half = image.shape[1] // 2, image.shape[0] // 2
        image = cv2.resize(image[: 2 * half[1], : 2 * half[0]], half, interpolation=cv2.INTER_AREA)
    if (image.shape[1], image.shape[0]) == size:
        return image
    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
