"""What shows images to somebody: a window, or a page in a browser."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

import numpy as np

from .keys import Action


class Screen(Protocol):
    """Shows images, and says what the user asks for; `window.Window` is one."""

    def show(self, image: np.ndarray, seconds: float = 0.0) -> bool:
        """Show a still image, uint8 ``[H, W, 3]`` BGR, until the user goes on; False once the user ends it."""

    def play(self, image: np.ndarray) -> tuple[Action, ...]:
        """Show the next frame of a video at once; return the user's actions since the last call, in order."""

    def wait(self, seconds: float | None = None) -> tuple[Action, ...]:
        """Wait for an action of the user, at most so many seconds; return the actions, in order."""

    def __enter__(self) -> Screen: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
