"""Networks that were exported once, kept for the next start: each in a folder named by what it was made of.

    FOLDER/KEY/network.onnx   and, for networks above 2 GB, weights beside it
    FOLDER/KEY/entry.json     sizes and hashes of these files, and what the checkpoint noted
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
LIMIT = 8 << 30  # bytes; the entries that were used least recently go first
_ENTRY = "entry.json"
_DIGESTS = "digests.json"
_LOCK = "networks"
_BLOCK = 1 << 20
_RACY = 2_000_000_000  # ns; a file that young may change again without its time showing it


@dataclass(frozen=True)
class Cache:
    """A folder of exported networks that several processes may use at once.

    Args:
        folder: made where it is not there.
        locked: ``locked(name)`` lets one process at a time into its ``with`` block.
        limit: bytes that all entries together may take.
    """

    folder: Path
    locked: Callable[[str], AbstractContextManager[None]]
    limit: int = LIMIT

    def get(self, key: str, make: Callable[[Path], Mapping[str, Any]]) -> tuple[Path, dict[str, Any]]:
        """Return the network of a key and the notes kept with it; have it made where it is missing or damaged.

        Args:
            make: called with an empty folder, puts `NETWORK` into it and returns the notes.

        Raises:
            OSError: the folder cannot be written.
            CheckpointError: the notes are too large to be kept.
        """
        place = self.folder / key
        metadata = self._read(place)
        if metadata is None:
            with self.locked(_LOCK):
                metadata = self._read(place)  # another process may have made it meanwhile
                if metadata is None:
                    metadata = self._add(place, make)
        with suppress(OSError):  # a folder that cannot be written still serves what is in it
            os.utime(place / _ENTRY)
        return place / NETWORK, metadata

    def digest(self, file: Path) -> str:
        """Return the SHA-256 of a file, remembered as long as the file does not change.

        Raises:
            OSError: the file cannot be read.
        """
        name = str(file.absolute())
        known = _json(self.folder / _DIGESTS)
        stamp = _stamp(file)
        seen = known.get(name)
        if isinstance(seen, list) and seen[:-1] == stamp and isinstance(seen[-1], str):
            return seen[-1]
        found = _digest(file)
        if _stamp(file) == stamp and time.time_ns() - stamp[1] > _RACY:
            kept = {path: value for path, value in known.items() if os.path.exists(path)}
            with suppress(OSError):
                self.folder.mkdir(parents=True, exist_ok=True)
                _write(self.folder / _DIGESTS, kept | {name: [*stamp, found]})
        return found

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
        found = []
        for entry in self.folder.glob(f"*/{_ENTRY}"):
            with suppress(OSError):  # another process may have removed it
                found.append((entry.stat().st_mtime_ns, entry.parent))
        return [place for _, place in sorted(found, reverse=True)]

    def _read(self, place: Path) -> dict[str, Any] | None:
        """Return the notes of an entry whose files are whole, else None."""
        entry = _json(place / _ENTRY)
        try:
            files = entry["files"]
            whole = NETWORK in files and all(self._whole(place / name, *stored) for name, stored in files.items())
            metadata = decode(entry["notes"])
        except (OSError, TypeError, ValueError, KeyError, AttributeError):
            return None
        return metadata if whole and isinstance(metadata, dict) else None

    def _whole(self, file: Path, size: int, digest: str) -> bool:
        return file.stat().st_size == size and self.digest(file) == digest

    def _add(self, place: Path, make: Callable[[Path], Mapping[str, Any]]) -> dict[str, Any]:
        """Make an entry beside its place and move it there in one step; the lock is held."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in self.folder.glob(".*"):  # of a process that was killed: nobody else writes now
            _remove(left)
        made = self.folder / f".{secrets.token_hex(6)}"
        made.mkdir()
        try:
            try:
                metadata = encode(dict(make(made)))
            except ValueError as error:
                raise CheckpointError(f"the checkpoint's dataset_meta cannot be kept: {error}") from error
            files = {file.name: [file.stat().st_size, _digest(file)] for file in made.iterdir()}
            _write(made / _ENTRY, {"files": files, "notes": metadata})
            if place.exists():
                _remove(place)
            os.replace(made, place)
        finally:
            _remove(made)
        self._shrink()
        decoded = decode(metadata)
        return decoded if isinstance(decoded, dict) else {}

    def _shrink(self) -> None:
        """Remove the entries that were used least recently until the rest fits the limit; the newest stays."""
        total = 0
        for i, place in enumerate(self._entries()):
            total += _size(place)
            if i and total > self.limit:
                _remove(place)


def _stamp(file: Path) -> list[int]:
    status = file.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _digest(file: Path) -> str:
    found = hashlib.sha256()
    with file.open("rb") as handle:
        while block := handle.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def _size(place: Path) -> int:
    total = 0
    with suppress(OSError):
        total = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
    return total


def _json(file: Path) -> dict[str, Any]:
    """Return what a JSON file holds, empty where it is missing or damaged: all of it can be made again."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(file: Path, value: object) -> None:
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(6)}")
    try:
        temporary.write_text(json.dumps(value), encoding="utf-8")
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    """Remove a file or folder, a folder out of sight first: nobody finds half of it."""
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
