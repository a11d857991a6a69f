"""Text files that are complete after each addition, for the writers of frame-by-frame results."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from types import TracebackType
from typing import TypeVar

from ..errors import ArgumentError, OutputError, expanded
from ..files import create_parent_folder, own_file, unlock, write_error

_File = TypeVar("_File", bound="IncrementalFile")


class IncrementalFile:
    """A file whose text is complete after each addition, even where the process is killed or the disk is full.

    Args:
        path: of the file; its folder is created.
        head, tail: the text around what is added.
        append: keep what is in the file, and add to it; otherwise a new one takes its place.

    Raises:
        OutputError: it cannot be written, another writer has it, or it is a link and to be kept.
    """

    def __init__(self, path: str | os.PathLike[str], head: str = "", tail: str = "", *, append: bool = False) -> None:
        self.path = expanded(path)
        self.frames = 0  # frames written
        self._tail = tail.encode("ascii")
        self._end = 0  # bytes before the tail
        create_parent_folder(self.path)
        try:
            # Unbuffered: written text is with the system, so it is kept if this process is killed.
            self._file = io.FileIO(own_file(self.path, append=append), "rb+")
        except (OSError, ValueError) as error:
            raise write_error(self.path, error) from None
        try:
            self._end = self._kept(self._file) if append and self._file.seekable() else 0
            self._add(head)
        except OutputError:
            self.close()
            raise

    def _kept(self, file: io.FileIO) -> int:
        """Return how many bytes are kept of a file that is added to, and cut off the rest."""
        return os.fstat(file.fileno()).st_size

    def _add(self, text: str) -> None:
        """Insert ``text`` before the tail; leave the file as it was where that fails."""
        if self._file.closed:
            raise ArgumentError(f"'{self.path}' is closed; open a new {type(self).__name__}")
        data = text.encode("utf-8")
        try:
            self._write(data + self._tail)
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(self._end)
                self._write(self._tail)
            raise write_error(self.path, error) from None
        self._end += len(data)

    def _write(self, data: bytes) -> None:
        if self._file.seekable():  # a pipe is not, and only grows
            self._file.seek(self._end)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        if not self._file.closed:
            unlock(self._file.fileno())
        self._file.close()

    def __enter__(self: _File) -> _File:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
