"""Keeps two runs at once out of each other's files: a file that grows is locked, one that is new is never written over.

A lock lasts as long as its process, so what a killed run leaves behind is none.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..files import appeared, being_written, incomplete_mark, is_stream, lock, mark_incomplete, release, write_error
from .plan import Task


class Lock:
    """A file that one process at a time holds.

    Args:
        path: of the lock; it is created.
        guarded: the file that it stands for, as the user knows it.

    Raises:
        OutputError: another process holds it, or it cannot be created.
    """

    def __init__(self, path: Path, guarded: Path) -> None:
        self.path = path
        try:
            while True:
                flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
                self._file = os.open(path, flags, 0o666)
                if not lock(self._file):
                    os.close(self._file)
                    raise being_written(guarded)
                if _leads_to(path, self._file):
                    return
                os.close(self._file)  # the one who held it removed it in between
        except (OSError, ValueError) as error:
            raise write_error(guarded, error) from None

    def release(self, *, remove: bool) -> None:
        """Let others have it, with its file or without."""
        if remove and sys.platform != "win32":  # before others can have it
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
        release(self._file)
        if remove and sys.platform == "win32":  # where what is open cannot be removed
            with suppress(OSError):
                self.path.unlink(missing_ok=True)


def _leads_to(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))
    except FileNotFoundError:
        return False


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Keep other runs from a file that is read, replaced and added to; a pipe or device is for all.

    Raises:
        OutputError: another run has it.
    """
    if is_stream(path):
        yield
        return
    # in the folder itself, whatever leads to it; of a name of its own, as the file is replaced
    name = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]
    claim = Lock(Path(os.path.realpath(path.parent)) / f".limner-{name}.lock", path)
    try:
        yield
    finally:
        claim.release(remove=True)


def check_new(task: Task) -> None:
    """Check that the files which the plan found missing still are.

    Raises:
        OutputError: one has appeared.
    """
    for path in task.outputs:
        if path in task.new and os.path.lexists(path):
            raise appeared(path)


class Marks:
    """Marks the files of a video as incomplete while they are written, and keeps other runs from them.

    The marks stay where the video does not come to its end.

    Args:
        task: the video.

    Raises:
        OutputError: another run writes one of them, or has since the plan was made.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._locks: list[Lock] = []
        self.complete = False

    def __enter__(self) -> Marks:
        made: list[Path] = []
        try:
            for path in self._task.outputs:
                mark = incomplete_mark(path)
                was_there = os.path.lexists(mark)
                self._locks.append(Lock(mark, path))
                made += [] if was_there else [path]
            check_new(self._task)
            for path in self._task.outputs:
                mark_incomplete(path)
        except BaseException:
            self._release(made)
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._release([path for path in self._task.outputs if self.complete or not path.exists()])

    def _release(self, unmarked: Sequence[Path]) -> None:
        marks = {incomplete_mark(path) for path in unmarked}
        for held in self._locks:
            held.release(remove=held.path in marks)
        self._locks.clear()
