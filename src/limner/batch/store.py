"""Where results go: each file is put into place at once, in a folder of this machine or in an object store."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..files import write_error
from ..masking import masked
from .items import open_store

HIDDEN = ".limner"  # folder of what is not a result: errors, and what is being written
ENDING = ".jsonl"


@dataclass(frozen=True)
class Store:
    """A folder, or a folder of an object store, that takes the results of a job; it travels to other processes.

    Args:
        target: path, or an address such as ``s3://bucket/results``.
        run: a name of this run, for what it is writing.
        shard: a name of its part of the inputs, which has a report of its own; "" where it does all.
    """

    target: str
    run: str = ""
    shard: str = ""

    @property
    def is_local(self) -> bool:
        """Whether it is a folder that is mounted on this machine."""
        return "://" not in self.target

    def has(self, key: str) -> bool:
        """Return whether an input has its results."""
        if self.is_local:
            return os.path.exists(os.path.join(self.target, key + ENDING))
        system, root = self._opened()
        return bool(system.exists(f"{root}/{key}{ENDING}"))

    def put(self, key: str, data: bytes) -> None:
        """Put the results of an input into place, whole; the same results may be put twice.

        Raises:
            OutputError: they cannot be written.
        """
        self._put(key + ENDING, data)
        self._remove(self._error_name(key))

    def put_error(self, key: str, source: str, message: str) -> None:
        """Note why an input has no results."""
        record = {"source": source, "error": message}
        self._put(self._error_name(key), json.dumps(record, allow_nan=False).encode() + b"\n")

    def errors(self) -> Iterator[dict[str, Any]]:
        """Yield what was noted about inputs without results."""
        if self.is_local:
            folder = Path(self.target, self._errors)
            for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
                with contextlib.suppress(OSError, ValueError):
                    yield json.loads(path.read_bytes())
            return
        system, root = self._opened()
        place = f"{root}/{self._errors}"
        for name in sorted(system.ls(place, detail=False)) if system.isdir(place) else ():
            yield json.loads(system.cat_file(name))

    def forget_errors(self) -> None:
        """Forget what earlier runs noted: their inputs are tried again."""
        if self.is_local:
            shutil.rmtree(Path(self.target, self._errors), ignore_errors=True)
            return
        system, root = self._opened()
        if system.isdir(f"{root}/{self._errors}"):
            system.rm(f"{root}/{self._errors}", recursive=True)

    def put_report(self, data: bytes) -> None:
        """Write the report of a run."""
        self._put(f"{self.report}.json", data)

    @property
    def report(self) -> str:
        """The name of the report of a run."""
        return f"report-{self.shard}" if self.shard else "report"

    @property
    def _errors(self) -> str:
        return f"{HIDDEN}/errors/{self.shard or 'all'}"

    def _error_name(self, key: str) -> str:
        return f"{self._errors}/{key.rpartition('.')[2]}.json"

    def _put(self, name: str, data: bytes) -> None:
        if not self.is_local:
            system, root = self._opened()
            try:
                system.pipe_file(f"{root}/{name}", data)  # an object is there as a whole or not at all
            except OSError as error:
                raise OutputError(f"'{masked(self.target)}/{name}' cannot be written: {error}") from None
            return
        path = Path(self.target, name)
        temporary = self.scratch() / f"{secrets.token_hex(8)}.part"
        try:
            temporary.parent.mkdir(parents=True, exist_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                temporary.write_bytes(data)
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            raise write_error(path, error) from None

    def _remove(self, name: str) -> None:
        if self.is_local:
            Path(self.target, name).unlink(missing_ok=True)
            return
        system, root = self._opened()
        with contextlib.suppress(OSError):
            if system.exists(f"{root}/{name}"):
                system.rm_file(f"{root}/{name}")

    def scratch(self) -> Path:
        """Return the folder of what a run is writing; on the file system of the results, so that moving is one step."""
        return Path(self.target, HIDDEN, "writing", self.run or "run")

    def _opened(self) -> tuple[Any, str]:
        return open_store(self.target)


@contextlib.contextmanager
def opened(target: str, shard: str = "") -> Iterator[Store]:
    """Open a store for a run: what killed runs were writing goes; what runs that go on are writing stays.

    Raises:
        OutputError: it cannot be written.
        ArgumentError, MissingExtraError: there is no such store.
    """
    store = Store(
        target if "://" in target else os.path.abspath(os.path.expanduser(target)), secrets.token_hex(6), shard
    )
    if not store.is_local:
        open_store(target)
        yield store
        return
    folder = store.scratch()
    try:
        folder.mkdir(parents=True)
        lock = (folder / "lock").open("wb")
    except OSError as error:
        raise write_error(Path(store.target), error) from None
    with lock:
        _hold(lock)
        for other in folder.parent.iterdir():
            if other != folder and not _is_held(other / "lock"):
                shutil.rmtree(other, ignore_errors=True)
        try:
            yield store
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                folder.parent.rmdir()  # unless another run is writing
            with contextlib.suppress(OSError):
                folder.parent.parent.rmdir()  # unless there are errors


def _hold(file: Any) -> bool:
    """Lock a file for as long as its process lives; return whether nobody else has."""
    try:
        import fcntl
    except ImportError:  # Windows does not remove what is open, which does as well
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_held(lock: Path) -> bool:
    try:
        with lock.open("rb") as file:
            return not _hold(file)
    except OSError:
        return False
