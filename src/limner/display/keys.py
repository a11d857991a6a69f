"""The keys of the live window: what each one does, and how the image names it."""

from __future__ import annotations

from enum import Enum
from typing import Any


class Action(Enum):
    """What the user requests by a key while a video is shown."""

    QUIT = "quit"  # also the window's own button
    PAUSE = "pause"  # pause or resume
    SNAPSHOT = "snapshot"  # write the drawn frame as an image
    BOXES = "boxes"  # show or hide them
    HEATMAP = "heatmap"  # show or hide it


# pygame's name of a key -> what it does
KEYS = {
    "ESCAPE": Action.QUIT,
    "q": Action.QUIT,
    "SPACE": Action.PAUSE,
    "s": Action.SNAPSHOT,
    "b": Action.BOXES,
    "h": Action.HEATMAP,
}
HINTS = ("ESC quit", "space pause", "s snapshot", "b boxes", "h heatmap")  # on the image, the most important first


def by_key(pygame: Any) -> dict[int, Action]:
    """Return the action of each of pygame's key codes."""
    return {getattr(pygame, f"K_{name}"): action for name, action in KEYS.items()}


def by_scancode(pygame: Any) -> dict[int, Action]:
    """Return the action of each letter by its place, for keyboards whose own letters are not Latin."""
    return {getattr(pygame, f"KSCAN_{name.upper()}"): action for name, action in KEYS.items() if len(name) == 1}
