"""Which inputs a job has, one after the other and never all at once: of a folder, a pattern, a bucket or a manifest."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from ..errors import ArgumentError, InputError, MissingExtraError, expanded
from ..files import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from ..masking import masked

MANIFESTS = (".txt", ".csv", ".jsonl")
_COLUMNS = ("input", "path", "file", "url")  # of a manifest: the first that there is
_LONGEST = 120  # bytes of a name of a result, before its hash; file systems allow 255
_SUFFIXES = IMAGE_SUFFIXES | VIDEO_SUFFIXES


@dataclass(frozen=True)
class Item:
    """An input of a job: where it is, and what its results are called after."""

    location: str  # path, or URL of an object store
    name: str  # relative, with "/" between folders

    def key(self, settings: str) -> str:
        """Return the name of its results, without an ending: its own, and a hash of location and settings."""
        digest = hashlib.sha256(f"{settings}\0{self.location}".encode("utf-8", "surrogateescape")).hexdigest()[:12]
        folder, _, name = safe_name(self.name).rpartition("/")
        short = name.encode("utf-8")[:_LONGEST].decode("utf-8", "ignore")
        return f"{folder}/{short}.{digest}" if folder else f"{short}.{digest}"


def safe_name(name: str) -> str:
    """Return a relative name that leads nowhere else and that every file system takes."""
    name = name.encode("utf-8", "backslashreplace").decode("utf-8")
    parts = [re.sub(r'[<>:"\\|?*\x00-\x1f\x7f]', "_", part) for part in name.split("/")]
    parts = ["_" * len(part) if set(part) == {"."} else part for part in parts if part]
    return "/".join(parts) or "input"


def listed(source: str, shard: tuple[int, int] = (1, 1)) -> Iterator[Item]:
    """Yield the inputs that a source means.

    Args:
        source: a folder (with those in it), one file, a pattern, an address of an object store such as
            ``s3://bucket/folder``, or a manifest: a ``.txt`` of one input a line, or a ``.csv`` or ``.jsonl`` with a
            column ``input`` (or path, file, url) and, where wanted, ``name``.
        shard: (number from 1, how many): the inputs are divided by their names, the same ones on every machine.

    Raises:
        InputError: there is no such thing, or nothing in it.
        ArgumentError, MissingExtraError: a manifest without such a column; a store whose package is missing.
    """
    found = False
    if source.lower().startswith("file://"):
        source = unquote(urlsplit(source).path)
    for item in _all(source):
        found = True
        if shard[1] == 1 or _number(item.name) % shard[1] == shard[0] - 1:
            yield item
    if not found:
        raise InputError(f"'{masked(source)}' holds no images and no videos")


def parse_shard(text: str | None) -> tuple[int, int]:
    """Return what ``2/8`` means: the second of eight parts.

    Raises:
        ArgumentError: it means nothing.
    """
    if text is None:
        return 1, 1
    match = re.fullmatch(r"\s*(\d{1,6})\s*/\s*(\d{1,6})\s*", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise ArgumentError(f"shard is '{text}' where a part such as 2/8 is needed, the second of eight")
    return int(match[1]), int(match[2])


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:6], "big")


def _all(source: str) -> Iterator[Item]:
    if "://" in source:
        yield from _in_store(source)
        return
    path = expanded(source)
    if path.is_dir():
        yield from _in_folder(path, "")
    elif path.is_file():
        if path.suffix.lower() in MANIFESTS:
            yield from _in_manifest(path)
        else:
            yield Item(str(path), path.name)
    elif any(c in path.name + str(path.parent) for c in "*?["):
        yield from _in_pattern(path)
    else:
        raise InputError(f"'{source}' does not exist: give a folder, a pattern, a manifest, or s3://bucket/folder")


def _in_folder(folder: Path, prefix: str) -> Iterator[Item]:
    """Yield the images and videos of a folder and those in it, sorted, hidden ones left out.

    Links to folders are not followed; a link to nothing is an input, which fails.
    """
    try:
        with os.scandir(folder) as entries:
            found = sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
    except OSError as error:
        raise InputError(f"'{folder}' cannot be listed: {error.strerror or error}") from None
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from _in_folder(Path(entry.path), f"{prefix}{entry.name}/")
        elif PurePosixPath(entry.name).suffix.lower() in _SUFFIXES and (entry.is_file() or entry.is_symlink()):
            yield Item(entry.path, prefix + entry.name)


def _in_pattern(pattern: Path) -> Iterator[Item]:
    import glob

    parts = pattern.parts
    fixed = next(i for i, part in enumerate(parts) if any(c in part for c in "*?["))
    root = Path(*parts[:fixed])
    for found in glob.iglob(str(Path(*parts[fixed:])), root_dir=str(root), recursive=True):
        path = root / found
        if path.suffix.lower() in _SUFFIXES and path.is_file():
            yield Item(str(path), Path(found).as_posix())


def _in_manifest(path: Path) -> Iterator[Item]:
    """Yield the rows of a manifest; relative paths are of its folder."""
    folder = path.parent
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            for location, name in _rows(file, path):
                if location.lower().startswith("file://"):
                    location = unquote(urlsplit(location).path)
                if location and "://" not in location:
                    location = str(folder / os.path.expanduser(location))
                yield Item(location, name or _name_of(location, folder))
    except OSError as error:
        raise InputError(f"'{path}' cannot be read: {error.strerror or error}") from None


def _rows(file: io.TextIOBase, path: Path) -> Iterator[tuple[str, str]]:
    suffix = path.suffix.lower()
    if suffix == ".txt":
        for line in file:
            if line.strip() and not line.startswith("#"):
                yield line.rstrip("\r\n").strip(), ""
    elif suffix == ".csv":
        rows = csv.DictReader(file)
        column = _column(rows.fieldnames or (), path)
        for row in rows:
            location = (row.get(column) or "").strip()
            yield location, (row.get("name") or "") if location else f"row {rows.line_num} of '{path.name}'"
    else:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                location = str(next((row[name] for name in _COLUMNS if row.get(name)), ""))
                yield location, str(row.get("name") or "") if location else f"row {number} of '{path.name}'"
            except (ValueError, TypeError, AttributeError) as error:
                raise InputError(f"'{path}' is no manifest: line {number}: {error}") from None


def _column(names: Any, path: Path) -> str:
    found = next((name for name in _COLUMNS if name in names), None)
    if found is None:
        there = ", ".join(map(repr, names)) or "none"
        raise ArgumentError(
            f"'{path}' has none of the columns {', '.join(_COLUMNS)}, but {there}: call the one of the inputs 'input'"
        )
    return found


def _name_of(location: str, folder: Path) -> str:
    """Return a relative name: within the folder of the manifest, else the whole path or URL without what is secret."""
    if "://" in location:
        return masked(location).partition("://")[2].partition("?")[0]
    path = Path(os.path.normpath(location))
    try:
        return path.relative_to(os.path.normpath(folder)).as_posix()
    except ValueError:
        return path.as_posix().lstrip("/")


def _in_store(address: str) -> Iterator[Item]:
    """Yield the images and videos of a folder of an object store, or the one at the address."""
    system, root = open_store(address)
    scheme = address.partition("://")[0]
    if not system.isdir(root):
        if not system.exists(root):
            raise InputError(f"'{masked(address)}' does not exist")
        yield Item(address, PurePosixPath(root).name)
        return
    for folder, _, files in system.walk(root):
        for name in sorted(files):
            path = f"{folder}/{name}"
            relative = path[len(root) :].lstrip("/")
            hidden = any(part.startswith(".") for part in relative.split("/"))
            if not hidden and PurePosixPath(name).suffix.lower() in _SUFFIXES:
                yield Item(f"{scheme}://{path.lstrip('/') if scheme != 'file' else path}", relative)


def open_store(address: str) -> tuple[Any, str]:
    """Return the file system of fsspec and the path in it that an address means.

    Raises:
        MissingExtraError: fsspec is not installed.
        ArgumentError: there is no such kind of store, or its own package is missing.
    """
    try:
        import fsspec
    except ImportError:
        raise MissingExtraError("An object store", "batch") from None
    try:
        system, path = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise ArgumentError(f"'{masked(address)}' cannot be opened: {' '.join(str(error).split())}") from None
    return system, str(path).rstrip("/")
