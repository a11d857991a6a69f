"""The cache of downloaded weights: its paths, the verification of its files, and the record of their hashes.

A file is valid where its SHA-256 begins with the prefix in its name, as in OpenMMLab's names
(``...-72a37400_20230529.pth``), and equals the one recorded when it was first seen. The prefix guards against
damage, not against an attacker who can choose the file; limner reads checkpoints without running anything in them.
The zip archives with ONNX files carry the hash of the ``.pth`` in their names, so only the record counts for them.

A file of a user's own mirror is valid where its whole SHA-256 is the one that the mirror lists (an `ExpectedHash`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from ..errors import DownloadError, expanded
from ..masking import masked, masked_text

BLOCK = 1 << 20
_PREFIX = re.compile(r"[-_]([0-9a-f]{7,64})([-_]\d{8})?(?:\.[a-z]+)+$")
_MADE_FROM_WEIGHTS = (".zip", ".onnx")
_NAME = re.compile(r"[^/\\:*?\"<>|\x00-\x1f]+")


@dataclass(frozen=True)
class ExpectedHash:
    """The SHA-256 that a file must have, whatever its name says."""

    sha256: str  # whole, lower case
    source: str  # of the hash, for messages


def home() -> Path:
    """Return limner's folder for downloads: ``LIMNER_HOME``, else the platform's cache folder."""
    folder = os.environ.get("LIMNER_HOME", "").strip()
    if folder:
        return expanded(folder).absolute()
    import platformdirs  # what pooch.os_cache calls, without the web that pooch loads

    return Path(platformdirs.user_cache_dir("limner"))


def sha256_prefix(name: str) -> str:
    """Return the prefix of its SHA-256 in a file's name, or "" where there is none."""
    if name.endswith(_MADE_FROM_WEIGHTS):  # what such a name has is the hash of the weights that it was made from
        return ""
    found = _PREFIX.search(name)
    if not found or (found[1].isdigit() and not found[2]):  # digits alone may be a date, or a count of steps
        return ""
    return found[1]


def is_plain_name(name: str) -> bool:
    """Whether a name is valid for a file or folder on any system, and stays within its folder."""
    return bool(_NAME.fullmatch(name)) and name not in (".", "..") and len(name) <= 200


def file_name(address: str) -> str:
    """Return the name of the file that a URL ends with.

    Raises:
        DownloadError: It ends with none, or with one that no file should have.
    """
    name = PurePosixPath(unquote(urlsplit(address).path)).name
    if not is_plain_name(name):
        raise DownloadError(f"the URL {printable(address)} does not end with the name of a file")
    return name


def cache_path(address: str, *, trusted_names: bool) -> Path:
    """Return the path of a URL's file in the cache.

    Two URLs can end with the same name. That is harmless where the name contains a hash, or where the names
    are known to differ (``trusted_names``); otherwise the folder distinguishes them.
    """
    name = file_name(address)
    folder = home() / "weights"
    if not trusted_names and not sha256_prefix(name):
        folder /= hashlib.sha256(address.encode()).hexdigest()[:12]
    return folder / name


def torch_hub(name: str) -> Path:
    """Return the path of a file of that name in the cache of torch.hub, and so of MMPose."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    root = os.environ.get("TORCH_HOME") or os.path.join(cache, "torch")
    return Path(os.path.expanduser(root)) / "hub" / "checkpoints" / name


def printable(address: str) -> str:
    """Return a URL for messages, without its secrets; a local one as a path."""
    return masked_text(str(local_path(address))) if is_local(address) else masked(address)


def is_local(address: str) -> bool:
    """Whether a URL is one of a file or folder on this machine."""
    return address.lower().startswith("file:")


def local_path(address: str) -> Path:
    """Return the path of a file URL."""
    from urllib.request import url2pathname

    return Path(url2pathname(urlsplit(address).path))


# -- verification


def check(file: Path, key: str, expected: ExpectedHash | None = None, *, fresh: bool = False) -> str:
    """Return "" where a file has the expected hash, or else that of its name and the record; else what is wrong.

    The hash of a valid file without an expected one is recorded where it is not known yet, and later copies must
    have it.

    Args:
        key: name of the file in the record: the same for all copies of one file.
        expected: the hash that it must have in place of that of its name and the record.
        fresh: read the file even where it has not changed since it was last verified.

    Raises:
        DownloadError: the file, or the record, cannot be read.
    """
    try:
        stamp = _stamp(file)
        record = _read_record()
        checked = record["checked"].get(str(file))
        known = expected.sha256 if expected else record["hashes"].get(key)
        if not fresh and checked and checked[:2] == stamp and known == checked[2]:
            return ""
        problem, digest = verify(file, key, expected)
    except OSError as error:
        raise DownloadError(f"{file} cannot be read: {error.strerror or error}") from error
    if not problem:
        with suppress(OSError):  # a folder that cannot be written still serves what is in it
            _remember(file, "" if expected else key, [*stamp, digest])
    return problem


def verify(file: Path, key: str, expected: ExpectedHash | None = None) -> tuple[str, str]:
    """Return what is wrong with a file, or "", and its SHA-256; nothing is recorded."""
    name = key.rpartition("/")[2]
    digest = _digest(file)
    if expected:
        if digest == expected.sha256:
            return "", digest
        mismatch = f"its SHA-256 begins with {digest[:12]} where {expected.source} says {expected.sha256[:12]}"
        return "; ".join(filter(None, (mismatch, _kind(file, name)))), digest
    known = _read_record()["hashes"].get(key)
    prefix = sha256_prefix(name)
    if prefix and not digest.startswith(prefix):
        kind = _kind(file, name)
        mismatch = f"its SHA-256 begins with {digest[: len(prefix)]} where its name says {prefix}"
        return (f"{mismatch}; {kind}" if kind else mismatch), digest
    if known and digest != known:
        return (
            f"its SHA-256 begins with {digest[:12]} where it was {known[:12]} when it was first downloaded (if the new "
            f"one is right, remove the line {key!r} from {_record_file()})"
        ), digest
    return ("" if prefix or known else _kind(file, name)), digest


def _kind(file: Path, name: str) -> str:
    """Return why a file cannot be weights, judged by its first and last bytes, or ""."""
    with file.open("rb") as handle:
        start = handle.read(512)
    if not start:
        return "it is empty"
    if start.lstrip()[:9].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is a web page"
    if name.endswith(".zip"):
        if not start.startswith(b"PK"):
            return "it is not a zip archive"
        return "" if zipfile.is_zipfile(file) else "it is cut off"
    if name.endswith((".pth", ".pt", ".ckpt")):
        if start.startswith(b"PK"):
            return "" if zipfile.is_zipfile(file) else "it is cut off"
        return "" if start.startswith(b"\x80") else "it is not a torch checkpoint"
    if name.endswith(".safetensors"):
        return "" if start[8:9] == b"{" else "it is not a file of safetensors"
    return ""


def is_complete_archive(file: Path) -> bool:
    """Whether a file is a zip archive, whose format shows that nothing is missing at its end."""
    return zipfile.is_zipfile(file)


def install(part: Path, target: Path, key: str, digest: str, expected: ExpectedHash | None = None) -> None:
    """Move a verified download to its path in one step, and record its hash.

    Args:
        key, expected: see `check`.

    Raises:
        OSError: the cache folder cannot be written.
    """
    with part.open("rb+") as handle:
        os.fsync(handle.fileno())
    _remember(
        target, "" if expected else key, [*_stamp(part), digest]
    )  # first: a file without a record would be trusted blindly
    os.replace(part, target)


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as handle:
        while block := handle.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _stamp(file: Path) -> list[int]:
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]


# -- the record: {"hashes": {key: sha256}, "checked": {path: [size, mtime in ns, sha256]}}


def _record_file() -> Path:
    return home() / "hashes.json"


def _read_record() -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(_record_file().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"hashes": {}, "checked": {}}
    except (OSError, ValueError, RecursionError) as error:
        raise DownloadError(
            f"the record of hashes {_record_file()} cannot be read ({error}): repair or remove it"
        ) from error
    if not isinstance(found, dict) or not all(isinstance(found.get(part), dict) for part in ("hashes", "checked")):
        raise DownloadError(f"the record of hashes {_record_file()} is damaged: remove it")
    # what is of another form is as good as missing: the files are verified again
    hashes = {key: value for key, value in found["hashes"].items() if isinstance(value, str)}
    checked = {path: value for path, value in found["checked"].items() if isinstance(value, list) and len(value) == 3}
    return {"hashes": hashes, "checked": checked}


def _remember(file: Path, key: str, checked: list[Any]) -> None:
    """Record that a file was verified, and its hash under ``key`` unless that is "" or recorded already."""
    with locked("record"):
        record = _read_record()
        if key:
            record["hashes"].setdefault(key, checked[2])
        record["checked"][str(file)] = checked
        write_atomically(_record_file(), json.dumps(record, indent=1, sort_keys=True))


def write_atomically(target: Path, text: str) -> None:
    """Write a text file in one step: a reader sees the old one or the new one.

    Raises:
        OSError: it cannot be written.
    """
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(text.encode("utf-8"))
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


# -- the lock


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a lock between processes; the system frees the lock of a process that dies.

    Raises:
        OSError: the lock file cannot be written.
    """
    folder = home() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("a+b") as handle:
        _acquire(handle)
        try:
            yield
        finally:
            _release(handle)


if sys.platform == "win32":
    import msvcrt

    def _acquire(handle: IO[bytes]) -> None:
        while True:
            with suppress(OSError):  # LK_LOCK gives up after ten seconds
                handle.seek(0)
                msvcrt.locking(handle.fileno(), msvcrt.LK_LOCK, 1)
                return

    def _release(handle: IO[bytes]) -> None:
        handle.seek(0)
        msvcrt.locking(handle.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _acquire(handle: IO[bytes]) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX)

    def _release(handle: IO[bytes]) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)
