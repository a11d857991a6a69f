"""One image, video or camera that was named but not opened yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import printable
from ..masking import masked


@dataclass(frozen=True, eq=False)
class Input:
    """One image, video or camera that was named but not opened yet."""

    name: str  # file name, or "000000.jpg" for an array; its output files are named after it
    path: Path | None = None  # of a file
    array: np.ndarray | None = None  # uint8 [H, W, 3] BGR or [H, W] grey
    address: str = field(default="", repr=False)  # where it is not a file: http://..., rtsp://..., webcam:1
    is_video: bool = False  # a video or a camera, not an image
    frames: tuple[Path, ...] = ()  # of numbered images that are one video; ``address`` is their pattern
    stream: Any = None  # what is read of standard input, whose ``address`` is "-", of a pipe or of a spooled animation
    whole: bool = False  # a video at a URL of http that can be read only once all of it has come
    live: bool = False  # a stream at a URL of http: what it shows cannot be read again
    data: bytes = field(default=b"", repr=False)  # the content of an image at a URL, where it was kept
    problem: str = ""  # why a URL cannot be read, which is raised when it is opened
    folder: str = ""  # in the searched folder: its output files lie in one of that name

    @property
    def stem(self) -> str:
        return self.name[: len(self.name) - len(self.suffix)]

    @property
    def suffix(self) -> str:
        dot = self.name.rfind(".")
        return self.name[dot:] if 0 < dot < len(self.name) - 1 else ""

    @property
    def source(self) -> str:
        """Its name in messages and outputs, where it is text in UTF-8; secrets in a URL are left out."""
        return masked(self.address) or ("array" if self.path is None else printable(str(self.path)))

    @property
    def location(self) -> str:
        """The path or URL to open."""
        return self.address or str(self.path)

    @property
    def is_camera(self) -> bool:
        """Whether it is a camera of this machine."""
        return self.address not in ("", "-") and "://" not in self.address and not self.frames and self.stream is None

    @property
    def is_live(self) -> bool:
        """Whether it is a camera or a stream: what it shows cannot be read again."""
        scheme = self.address.partition("://")[0].lower() if "://" in self.address else ""
        return self.live or self.is_camera or (scheme not in ("", "http", "https") and not self.frames)
