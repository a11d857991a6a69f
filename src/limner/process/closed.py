"""What stands for standard streams that are closed; it loads nothing, as it comes first in a command."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

_NAMES = ("stdin", "stdout", "stderr")


def open_missing() -> None:
    """Open what stands for standard streams that are closed: the next file would be taken for one of them."""
    with suppress(OSError):
        while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(opened)
    for number, name in enumerate(_NAMES):
        if getattr(sys, name) is None:
            setattr(sys, name, Closed(number))


class Closed:
    """Stands for a stream that is closed: what is printed goes nowhere, what is read is nothing."""

    encoding, errors, closed = "utf-8", "backslashreplace", False

    def __init__(self, number: int) -> None:
        self._number = number

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        """Nothing waits."""

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return self._number

    @property
    def buffer(self) -> Any:
        import io

        return io.BytesIO()

    def read(self, _size: int = -1) -> str:
        return ""
