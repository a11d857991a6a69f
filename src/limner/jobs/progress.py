"""Progress of a run or a download, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from ..errors import one_line
from ..process import streams

T = TypeVar("T")


class ProgressBars:
    """One bar for the inputs where there are several, one for the frames of a video.

    Args:
        shown: False shows no bar.
    """

    def __init__(self, shown: bool) -> None:
        self._progress: Any = None
        self._shown = shown

    def __enter__(self) -> ProgressBars:
        if self._shown:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            text = TextColumn("{task.description}", markup=False)  # a name may have brackets
            columns = (text, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._progress = Progress(*columns, console=Console(stderr=True))
            self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def inputs(self, inputs: Iterable[T], count: int, *, first_is_video: bool) -> Iterator[T]:
        """Yield the inputs, and show how many are done where there are several or one image.

        Args:
            inputs: ``count`` of them.
            count: how many.
            first_is_video: a video has a bar of its own.
        """
        if self._progress is None or (count == 1 and first_is_video):
            yield from inputs
        else:
            yield from self._progress.track(inputs, total=count, description="inputs")

    @contextmanager
    def frames(self, name: str, count: int | None) -> Iterator[Callable[[], None]]:
        """Show a bar for the frames of a video; yield a function to call after each frame."""
        if self._progress is None or not self._progress.console.is_terminal:
            yield lambda: None
            return
        task = self._progress.add_task(one_line(name), total=count)
        try:
            yield lambda: self._progress.advance(task)
        finally:
            self._progress.remove_task(task)


def show_download_progress(name: str, done: int, total: int | None) -> None:
    """Print the progress of a download: on one line of a terminal, only at its start and end elsewhere."""
    size = f"{done / 1e6:.0f}" + (f" of {total / 1e6:.0f}" if total else "") + " MB"
    finished = total is not None and done >= total
    if sys.stderr is not None and sys.stderr.isatty():
        streams.log(f"\rfetching {one_line(name)}: {size}", end="\n" if finished else "")
    elif not done or finished:
        streams.log(f"fetching {one_line(name)}: {size}")
