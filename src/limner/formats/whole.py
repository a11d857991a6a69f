"""Files that are there completely or not at all: written under a temporary name, and renamed when they are closed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, TypeVar

from ..errors import ArgumentError, OutputError, expanded
from ..files import create_folder, create_parent_folder, temporary_path, write_error
from ..keypoints import KeypointSet
from ..types import Result
from .run_info import RunInfo

_Writer = TypeVar("_Writer", bound="DeferredWriter")


@contextmanager
def open_whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the name ``path`` when the block ends without an error.

    Raises:
        OutputError: it cannot be written.
    """
    temporary = temporary_path(path.parent)
    try:
        try:
            with temporary.open("xb") as file:
                yield file
            os.replace(temporary, path)
        finally:
            with suppress(OSError):  # it was renamed where all went well
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(path, error) from None


class DeferredWriter:
    """A writer whose file is made when it is closed, from what was written until then.

    Leaving a ``with`` block closes it in any case: after Ctrl-C the file holds the frames so far.

    Args:
        path: the file, which replaces one of an earlier run, or the folder of files.
        info: what made the results.
        folder: ``path`` is a folder.

    Raises:
        OutputError: its folder cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], info: RunInfo | None = None, *, folder: bool = False) -> None:
        self.path = expanded(path)
        self.folder = self.path if folder else self.path.parent  # where files are made
        self.info = info or RunInfo()
        self.frames = 0  # frames written
        self.keypoint_set: KeypointSet | None = None  # of the results
        self._closed = False
        if folder:
            create_folder(self.path)
        else:
            create_parent_folder(self.path)

    def write(self, result: Result) -> None:
        """Add the result of the next frame or image.

        Raises:
            ArgumentError: the writer is closed, or the result has other keypoints than the one before.
            OutputError: no space is left.
        """
        if self._closed:
            raise ArgumentError(f"'{self.path}' is closed; open a new {type(self).__name__}")
        self.keypoint_set = same_keypoints(self.keypoint_set, result, self.path)
        try:
            self._add(result)
        except OSError as error:
            raise write_error(self.path, error) from None
        self.frames += 1

    def close(self) -> None:
        """Make the file; closing twice does nothing.

        Raises:
            OutputError: it cannot be written.
        """
        if self._closed:
            return
        self._closed = True
        try:
            self._finish()
        except OSError as error:
            raise write_error(self.path, error) from None
        finally:
            self._release()

    def _add(self, result: Result) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        raise NotImplementedError

    def _release(self) -> None:
        """Give back temporary files."""

    def __enter__(self: _Writer) -> _Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
            return
        with suppress(OutputError):  # the first error is the one to report
            self.close()


def remove_earlier(folder: Path, pattern: re.Pattern[str]) -> None:
    """Remove the files of an earlier run whose names match: readers take a folder's files for one recording.

    Raises:
        OutputError: one cannot be removed.
    """
    for path in folder.iterdir():
        if pattern.fullmatch(path.name) and path.is_file():
            try:
                path.unlink()
            except OSError as error:
                raise write_error(path, error) from None


def same_keypoints(known: KeypointSet | None, result: Result, path: Path) -> KeypointSet:
    """Return the keypoint set of a result, which must be that of the results before it.

    Raises:
        ArgumentError: it is not.
    """
    new = result.keypoint_set
    if known is not None and known is not new and known.names != new.names:
        raise ArgumentError(
            f"'{path}' holds results of the keypoint set '{known.name}', and one of '{new.name}' does not fit in; "
            "write it to another file"
        )
    return known or new
