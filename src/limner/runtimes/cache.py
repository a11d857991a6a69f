"""The cache of exported networks: each in a folder named by a hash of what it was made of.

    FOLDER/KEY/network.onnx   and, for networks above 2 GB, weights beside it
    FOLDER/KEY/entry.json     sizes and hashes of these files, and the checkpoint's metadata ("notes")
    FOLDER/digests.json       hashes of files that were read before, as long as they do not change

The folder may be removed at any time, whole or in part; `Cache.clear` does it.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from .metadata import decode, encode

NETWORK = "network.onnx"
MAX_BYTES = 8 << 30  # bytes; the entries that were used least recently go first
_ENTRY = "entry.json"
_DIGESTS = "digests.json"
_LOCK = "networks"
_BLOCK = 1 << 20
_MIN_AGE = 2_000_000_000  # ns; a younger file may change again without a change of its time


@dataclass(frozen=True)
class Cache:
    """A folder of exported networks that several processes may use at once.

    Args:
        folder: made where it is missing.
        locked: ``locked(name)`` is a context that holds a lock between processes.
        limit: bytes that all entries together may take.
    """

    folder: Path
    locked: Callable[[str], AbstractContextManager[None]]
    limit: int = MAX_BYTES

    def get(self, key: str, make: Callable[[Path], Mapping[str, Any]]) -> tuple[Path, dict[str, Any]]:
        """Return the network of a key and its metadata; make it where it is missing or damaged.

        Args:
            make: called with an empty folder, writes `NETWORK` into it and returns the metadata.

        Raises:
            OSError: the folder cannot be written.
            CheckpointError: the metadata is too large to be stored.
        """
        entry = self.folder / key
        metadata = self._read(entry)
        if metadata is None:
            with self.locked(_LOCK):
                metadata = self._read(entry)  # another process may have made it meanwhile
                if metadata is None:
                    metadata = self._add(entry, make)
        with suppress(OSError):  # a read-only folder can still be read
            os.utime(entry / _ENTRY)
        return entry / NETWORK, metadata

    def has(self, key: str) -> bool:
        """Whether the network of a key is here, intact."""
        return self._read(self.folder / key) is not None

    def digest(self, file: Path) -> str:
        """Return the SHA-256 of a file, cached as long as the file does not change.

        Raises:
            OSError: the file cannot be read.
        """
        name = str(file.absolute())
        known = _json(self.folder / _DIGESTS)
        stamp = _stamp(file)
        known_entry = known.get(name)
        if isinstance(known_entry, list) and known_entry[:-1] == stamp and isinstance(known_entry[-1], str):
            return known_entry[-1]
        result = _digest(file)
        if _stamp(file) == stamp and time.time_ns() - stamp[1] > _MIN_AGE:
            kept = {path: value for path, value in known.items() if os.path.exists(path)}
            with suppress(OSError):
                self.folder.mkdir(parents=True, exist_ok=True)
                _write(self.folder / _DIGESTS, kept | {name: [*stamp, result]})
        return result

    def size(self) -> int:
        """Return how many bytes all entries take."""
        return sum(map(_size, self._entries()))

    def clear(self) -> int:
        """Remove all entries and return how many bytes that freed.

        Raises:
            OSError: the folder cannot be written.
        """
        before = self.size()
        if self.folder.is_dir():
            with self.locked(_LOCK):
                for child in self.folder.iterdir():
                    _remove(child)
        return before - self.size()

    def _entries(self) -> list[Path]:
        """Return the folders of all entries, the one that was used last first."""
        result = []
        for entry in self.folder.glob(f"*/{_ENTRY}"):
            with suppress(OSError):  # another process may have removed it
                result.append((entry.stat().st_mtime_ns, entry.parent))
        return [entry for _, entry in sorted(result, reverse=True)]

    def _read(self, folder: Path) -> dict[str, Any] | None:
        """Return the metadata of an entry whose files are intact, else None."""
        entry = _json(folder / _ENTRY)
        try:
            files = entry["files"]
            intact = NETWORK in files and all(self._is_intact(folder / name, *stored) for name, stored in files.items())
            metadata = decode(entry["notes"])
        except (OSError, TypeError, ValueError, KeyError, AttributeError):
            return None
        return metadata if intact and isinstance(metadata, dict) else None

    def _is_intact(self, file: Path, size: int, digest: str) -> bool:
        return file.stat().st_size == size and self.digest(file) == digest

    def _add(self, entry: Path, make: Callable[[Path], Mapping[str, Any]]) -> dict[str, Any]:
        """Make an entry in a temporary folder and move it into place in one step; the lock is held."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for leftover in self.folder.glob(".*"):  # of a process that was killed: nobody else writes now
            _remove(leftover)
        temporary = self.folder / f".{secrets.token_hex(6)}"
        temporary.mkdir()
        try:
            try:
                metadata = encode(dict(make(temporary)))
            except ValueError as error:
                raise CheckpointError(f"the checkpoint's dataset_meta cannot be stored: {error}") from error
            files = {file.name: [file.stat().st_size, _digest(file)] for file in temporary.iterdir()}
            _write(temporary / _ENTRY, {"files": files, "notes": metadata})
            if entry.exists():
                _remove(entry)
            os.replace(temporary, entry)
        finally:
            _remove(temporary)
        self._evict()
        decoded = decode(metadata)
        return decoded if isinstance(decoded, dict) else {}

    def _evict(self) -> None:
        """Remove the entries that were used least recently until the rest fits the limit; the newest stays."""
        total = 0
        for i, entry in enumerate(self._entries()):
            total += _size(entry)
            if i and total > self.limit:
                _remove(entry)


def _stamp(file: Path) -> list[int]:
    status = file.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _digest(file: Path) -> str:
    result = hashlib.sha256()
    with file.open("rb") as handle:
        while block := handle.read(_BLOCK):
            result.update(block)
    return result.hexdigest()


def _size(entry: Path) -> int:
    total = 0
    with suppress(OSError):
        total = sum(file.stat().st_size for file in entry.rglob("*") if file.is_file())
    return total


def _json(file: Path) -> dict[str, Any]:
    """Return the content of a JSON file, empty where it is missing or damaged: all of it can be made again."""
    try:
        result = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return result if isinstance(result, dict) else {}


def _write(file: Path, value: object) -> None:
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(6)}")
    try:
        temporary.write_text(json.dumps(value), encoding="utf-8")
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    """Remove a file or folder; a folder is renamed first, so that no process finds half of it."""
    if path.is_dir() and not path.name.startswith("."):
        hidden = path.with_name(f".{secrets.token_hex(6)}")
        try:
            os.replace(path, hidden)
        except OSError:  # in use, on Windows
            return
        path = hidden
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
