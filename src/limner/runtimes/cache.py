"""The cache of exported networks: each in a folder named by a hash of what it was made of.

    FOLDER/KEY/network.onnx   and, for networks above 2 GB, weights beside it
    FOLDER/KEY/entry.json     sizes and hashes of these files, the checkpoint's metadata ("notes"), and the versions
                              of what made it
    FOLDER/digests.json       hashes of files that were read before, as long as they do not change

The folder may be removed at any time, whole or in part; `Cache.clear` does it.

Whoever can write an entry decides what the network computes. So neither a folder nor an entry is used that others than
this user and root can change: such an entry is made anew, and beside such a folder networks are prepared in memory.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from .metadata import decode, encode
from .permissions import close_to_others, others_write

NETWORK = "network.onnx"
MAX_BYTES = 8 << 30  # bytes; the entries that were used least recently go first
_ENTRY = "entry.json"
_DIGESTS = "digests.json"
_LOCK = "networks"
_BLOCK = 1 << 20
_MOST_FILES = 64  # of an entry
_log = logging.getLogger(__name__)
_MIN_AGE = 2_000_000_000  # ns; a younger file may change again without a change of its time


class UnsafeCacheError(OSError):
    """Others can write the cache."""


@dataclass(frozen=True)
class Cache:
    """A folder of exported networks that several processes may use at once.

    Args:
        folder: made where it is missing.
        locked: ``locked(name)`` is a context that holds a lock between processes.
        limit: bytes that all entries together may take.
        versions: of what exports and checks networks, by name. An entry that others made is another one; where one
            of them is not installed and its version "", nothing can be made, and the entry of any version is used.
    """

    folder: Path
    locked: Callable[[str], AbstractContextManager[None]]
    limit: int = MAX_BYTES
    versions: Mapping[str, str] = field(default_factory=dict)

    def get(self, key: str, make: Callable[[Path], Mapping[str, Any]]) -> tuple[Path, dict[str, Any]]:
        """Return the network of a key and its metadata; make it where it is missing or damaged.

        Args:
            make: called with an empty folder, writes `NETWORK` into it and returns the metadata.

        Raises:
            OSError: the folder cannot be written.
            UnsafeCacheError: others can write it.
            CheckpointError: the metadata is too large to be stored.
        """
        self._check()
        entry, metadata = self._find(key)
        if metadata is None:
            with self.locked(_LOCK):
                entry, metadata = self._find(key)  # another process may have made it meanwhile
                if metadata is None:
                    metadata = self._add(entry, make)
        with suppress(OSError):  # a read-only folder can still be read
            os.utime(entry / _ENTRY)
        return entry / NETWORK, metadata

    def has(self, key: str) -> bool:
        """Whether the network of a key is here, intact."""
        try:
            self._check()
        except OSError:
            return False
        return self._find(key)[1] is not None

    def _check(self) -> None:
        """Raise UnsafeCacheError where others can write the folder, or replace it in the one that it lies in."""
        for folder in (self.folder, self.folder.parent):
            with suppress(FileNotFoundError):
                if reason := others_write(folder):
                    raise UnsafeCacheError(reason)

    def _find(self, key: str) -> tuple[Path, dict[str, Any] | None]:
        """Return the folder of an entry of these versions, and its metadata where it is intact."""
        own = self.folder / (f"{key}-{self._tag()}" if self.versions else key)
        metadata = self._read(own)
        if metadata is None and not all(self.versions.values()):
            for entry in self._entries():
                if entry.name.startswith(f"{key}-") and (metadata := self._read(entry)) is not None:
                    return entry, metadata
        return own, metadata

    def _tag(self) -> str:
        return hashlib.sha256(json.dumps(sorted(self.versions.items())).encode()).hexdigest()[:8]

    def digest(self, file: Path) -> str:
        """Return the SHA-256 of a file, cached as long as the file does not change.

        Raises:
            OSError: the file cannot be read.
        """
        name = str(file.absolute())
        known = _json(self.folder / _DIGESTS) if self._is_safe(self.folder / _DIGESTS) else {}
        stamp = _stamp(file)
        known_entry = known.get(name)
        if isinstance(known_entry, list) and known_entry[:-1] == stamp and isinstance(known_entry[-1], str):
            return known_entry[-1]
        result = _digest(file)
        if _stamp(file) == stamp and time.time_ns() - stamp[1] > _MIN_AGE:
            kept = {path: value for path, value in known.items() if os.path.exists(path)}
            with suppress(OSError):
                self._make_folder()
                _write(self.folder / _DIGESTS, kept | {name: [*stamp, result]})
                close_to_others(self.folder / _DIGESTS, self.folder / _DIGESTS)
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
        """Return the metadata of an entry whose files are intact, and that nobody else can write, else None."""
        try:
            if reason := others_write(folder, link=False):
                _log.warning("an entry of the cache of networks is made anew: %s", reason)
                return None
        except OSError:
            return None
        entry = _json(folder / _ENTRY)
        try:
            files = entry["files"]
            names = [_ENTRY, *files]
            if len(names) > _MOST_FILES or not all(self._is_safe(folder / name) and _is_plain(name) for name in names):
                return None
            intact = NETWORK in files and all(self._is_intact(folder / name, *stored) for name, stored in files.items())
            metadata = decode(entry["notes"])
        except (OSError, TypeError, ValueError, KeyError, AttributeError):
            return None
        return metadata if intact and isinstance(metadata, dict) else None

    def _is_safe(self, file: Path) -> bool:
        """Return whether a file is there, and nobody else can write it; say it where that is not so."""
        try:
            reason = others_write(file, link=False)
        except (OSError, ValueError):
            return False
        if reason:
            _log.warning("a file of the cache of networks is made anew: %s", reason)
        return not reason

    def _is_intact(self, file: Path, size: int, digest: str) -> bool:
        return file.stat().st_size == size and self.digest(file) == digest

    def _add(self, entry: Path, make: Callable[[Path], Mapping[str, Any]]) -> dict[str, Any]:
        """Make an entry in a temporary folder and move it into place in one step; the lock is held."""
        self._make_folder()
        for leftover in self.folder.glob(".*"):  # of a process that was killed: nobody else writes now
            _remove(leftover)
        temporary = self.folder / f".{secrets.token_hex(6)}"
        temporary.mkdir(mode=0o755)
        try:
            try:
                metadata = encode(dict(make(temporary)))
            except ValueError as error:
                raise CheckpointError(f"the checkpoint's dataset_meta cannot be stored: {error}") from error
            files = {file.name: [file.stat().st_size, _digest(file)] for file in temporary.iterdir()}
            _write(temporary / _ENTRY, {"files": files, "notes": metadata, "versions": dict(self.versions)})
            for file in (*temporary.iterdir(), temporary):  # some were made by libraries, for this user alone
                close_to_others(file, temporary / _ENTRY)
            if entry.exists():
                _remove(entry)
            os.replace(temporary, entry)
        finally:
            _remove(temporary)
        self._evict()
        decoded = decode(metadata)
        return decoded if isinstance(decoded, dict) else {}

    def _make_folder(self) -> None:
        self.folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o755, exist_ok=True)

    def _evict(self) -> None:
        """Remove the entries that were used least recently until the rest fits the limit; the newest stays."""
        total = 0
        for i, entry in enumerate(self._entries()):
            total += _size(entry)
            if i and total > self.limit:
                _remove(entry)


def _is_plain(name: object) -> bool:
    return isinstance(name, str) and name not in ("", ".", "..") and not set(name) & set("/\\:\0")


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
