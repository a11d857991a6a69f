"""A window for images and videos, through pygame: the headless OpenCV that limner uses has none."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from ..errors import MissingExtraError, OutputError
from .keys import Action, by_key, by_scancode

MARGIN = 80  # pixels of the desktop that a new window leaves free
POLL_SECONDS = 0.2  # longest wait for an event, so that Ctrl-C is handled


class Window:
    """A window for images: `show` waits for the user, `play` does not.

    The user may resize it; an image keeps its aspect ratio and is letterboxed. Only the thread
    that opened a window may use it, which on macOS has to be the main thread.

    Args:
        title: of the window.
        advice: what the user can do where no window can be opened.

    Raises:
        OutputError: there is no display, or this thread may not open a window.
        MissingExtraError: the optional package for windows is not installed.
    """

    def __init__(self, title: str, advice: str = "leave show out and write the images to files") -> None:
        self._title, self._advice = title, advice
        displays = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
        if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in displays):
            raise self._window_error("since there is no display (DISPLAY is not set)")
        if sys.platform == "darwin" and threading.current_thread() is not threading.main_thread():
            raise self._window_error("since on macOS only the main thread of a program can open windows")
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        try:
            import pygame
        except ImportError as error:
            raise MissingExtraError(f"a window ({advice})", "show") from error
        self._pygame: Any = pygame
        self._actions_by_key, self._actions_by_scancode = by_key(pygame), by_scancode(pygame)
        self._thread = threading.get_ident()
        self._image: np.ndarray = np.zeros((1, 1, 3), np.uint8)  # the shown image
        self._set_size = (0, 0)  # (width, height) that this object gave the window
        self._open = True
        self._open_display()

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
            OutputError: another thread opened the window, or the display is gone.
        """
        self._check_thread()
        if not self._open:
            return False
        self._set_image(image, keeps_width=False)
        self._draw()
        pygame = self._pygame
        end = time.monotonic() + seconds if seconds else None
        while True:
            event = self._next_event(end)  # one event at a time: a second key is for the next image
            self._redraw([event])
            self._actions_of([event])
            timed_out = end is not None and time.monotonic() >= end
            if timed_out or event.type in (pygame.QUIT, pygame.KEYDOWN):
                return self._open

    def play(self, image: np.ndarray) -> tuple[Action, ...]:
        """Show the next frame of a video at once.

        Where only the height of the image changes, as with a heatmap, the window keeps its width;
        one that the user has resized keeps its size.

        Args:
            image: uint8 ``[H, W, 3]``, BGR; kept until the next one, so leave it unchanged.

        Returns:
            The user's actions since the last call, in order; a closed window returns QUIT again.

        Raises:
            OutputError: another thread opened the window, or the display is gone.
        """
        self._check_thread()
        if not self._open:
            return (Action.QUIT,)
        self._open_display()
        actions = self._actions_of(self._pygame.event.get())
        if self._open:
            self._set_image(image, keeps_width=True)
            self._draw()
        return actions

    def wait(self, seconds: float | None = None) -> tuple[Action, ...]:
        """Wait for an action of the user, with the image unchanged, as in a pause.

        Args:
            seconds: how long at most; None has no end.

        Returns:
            The user's actions, in order; none where the time is over before.

        Raises:
            OutputError: another thread opened the window, or the display is gone.
        """
        self._check_thread()
        end = None if seconds is None else time.monotonic() + seconds
        if self._open:
            self._open_display()
        if self._open and any(self._set_size) and self._pygame.display.get_surface() is None:
            self._set_image(self._image, keeps_width=True)
            self._draw()
        while self._open:
            events = [self._next_event(end), *self._pygame.event.get()]
            self._redraw(events)
            actions = self._actions_of(events)
            if actions or (end is not None and time.monotonic() >= end):
                return actions
        return (Action.QUIT,)

    def _open_display(self) -> None:
        """Open the display, unless it is open: other code that uses pygame may have closed it."""
        display = self._pygame.display
        if display.get_init():
            return
        try:
            display.init()
            driver, desktop = display.get_driver(), display.get_desktop_sizes()[0]
        except self._pygame.error as error:
            raise self._window_error(f"({error})") from None
        requested_driver = os.environ.get("SDL_VIDEODRIVER")
        if sys.platform.startswith("linux") and not requested_driver and driver not in ("x11", "wayland"):
            # SDL falls back on drivers that show nothing on a screen
            display.quit()
            name = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
            raise self._window_error(f"since the display '{name}' does not answer")
        if driver == "x11":
            # with OpenGL, SDL opens the window again at each change of size, and may wait for the screen
            os.environ.setdefault("SDL_FRAMEBUFFER_ACCELERATION", "0")
        self._max_size = tuple(max(64, side - MARGIN) for side in desktop)
        display.set_caption(self._title)

    def _window_error(self, reason: str) -> OutputError:
        return OutputError(f"no window can be shown, {reason}: {self._advice}")

    def _check_thread(self) -> None:
        if threading.get_ident() != self._thread:
            raise OutputError("a window can be used only in the thread that opened it: show the images from there")

    def _set_image(self, image: np.ndarray, *, keeps_width: bool) -> None:
        """Set the next image, and resize the window to it unless the user has resized it."""
        self._open_display()
        screen = self._pygame.display.get_surface()
        (height, width), previous = image.shape[:2], self._image.shape[:2]
        self._image = np.ascontiguousarray(image)
        if screen is not None and ((height, width) == previous or screen.get_size() != self._set_size):
            return
        if screen is not None and keeps_width and width == previous[1]:
            size = self._set_size[0], min(max(1, round(height * self._set_size[0] / width)), self._max_size[1])
        else:
            factor = min(1.0, self._max_size[0] / width, self._max_size[1] / height)
            size = max(1, round(width * factor)), max(1, round(height * factor))
        try:
            self._pygame.display.set_mode(size, self._pygame.RESIZABLE)
        except self._pygame.error as error:
            raise self._window_error(f"({error})") from None
        self._set_size = size
        self._pygame.key.stop_text_input()  # else an input method intercepts the letters

    def _draw(self) -> None:
        """Draw the image as large as fits into the window, centred."""
        screen = self._pygame.display.get_surface()
        (height, width), available = self._image.shape[:2], screen.get_size()
        factor = min(available[0] / width, available[1] / height)
        # a rounded side may differ from the window's by a pixel, which would be visible as a thin line
        fitted = [max(1, round(width * factor)), max(1, round(height * factor))]
        size = tuple(a if abs(a - f) <= 1 else min(f, a) for f, a in zip(fitted, available, strict=True))
        image = _scaled(self._image, size)
        if size != available:
            screen.fill((0, 0, 0))
        corner = (available[0] - size[0]) // 2, (available[1] - size[1]) // 2
        screen.blit(self._pygame.image.frombuffer(image, size, "BGR"), corner)
        self._pygame.display.flip()

    def _next_event(self, end: float | None) -> Any:
        """Return the next event, or an empty one after a short while."""
        left = POLL_SECONDS if end is None else min(POLL_SECONDS, end - time.monotonic())
        return self._pygame.event.wait(max(1, round(left * 1000)))  # 0 would wait without end

    def _redraw(self, events: Iterable[Any]) -> None:
        """Draw again where the window was covered or resized."""
        pygame = self._pygame
        stale = (pygame.VIDEOEXPOSE, pygame.WINDOWEXPOSED, pygame.WINDOWSIZECHANGED)
        if pygame.display.get_surface() is not None and any(event.type in stale for event in events):
            self._draw()

    def _actions_of(self, events: Iterable[Any]) -> tuple[Action, ...]:
        """Return the user's actions in these events; QUIT marks the window as closed."""
        pygame = self._pygame
        actions = []
        for event in events:
            action = Action.QUIT if event.type == pygame.QUIT else None
            if event.type == pygame.KEYDOWN:
                action = self._actions_by_key.get(event.key)
                if event.key > 127:
                    action = self._actions_by_scancode.get(getattr(event, "scancode", -1))
            if action is not None:
                actions.append(action)
        self._open = self._open and Action.QUIT not in actions
        return tuple(actions)


def _scaled(image: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return an image scaled to ``(width, height)``, with no pixel of it skipped.

    It is halved as often as possible: down to one half, linear interpolation uses every pixel and takes
    a tenth of the time that INTER_AREA takes for a factor that is not a whole number.
    """
    while image.shape[1] >= 2 * size[0] and image.shape[0] >= 2 * size[1]:
        half = image.shape[1] // 2, image.shape[0] // 2
        image = cv2.resize(image[: 2 * half[1], : 2 * half[0]], half, interpolation=cv2.INTER_AREA)
    if (image.shape[1], image.shape[0]) == size:
        return image
    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
