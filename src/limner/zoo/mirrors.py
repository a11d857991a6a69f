"""The mirrors that a user names in ``LIMNER_MIRRORS``, and the weights of their own that they may have.

A mirror is a folder, or an http, https or file URL, laid out as https://download.openmmlab.com/ is. A file
``SHA256SUMS`` at its root, in the format of ``sha256sum``, lists hashes of the files below it; a listed path is
verified by its full hash in place of the prefix in the file's name. The user trusts the mirror by naming it, so
the built-in mirrors are never asked for such a list.

A mirror's list is cached beside the files that came from it, so that later runs need no network.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from ..errors import DownloadError
from . import store, web

SUMS_FILE = "SHA256SUMS"
MAX_LIST_BYTES = 4 << 20  # bytes of a list: enough for some 30,000 files
ATTEMPTS = 3  # to read a list
RETRY_DELAYS = (1.0, 2.0)  # seconds between them
_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")


@dataclass(frozen=True)
class Mirror:
    """A mirror that the user named."""

    prefix: str  # an http, https or file URL that ends with "/"

    @property
    def printable(self) -> str:
        """Its name for messages: a folder's path, or a URL without a password."""
        return store.printable(self.prefix)

    @property
    def folder(self) -> Path:
        """Its folder in the cache, which has the listed files at the same paths as the mirror."""
        name = self.printable if store.is_local(self.prefix) else _without_login(self.prefix)
        return store.home() / "weights" / f"mirror-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class Listing:
    """What the mirrors list for one path."""

    mirror: Mirror | None = None  # the first one that lists it
    sha256: str = ""
    complete: bool = True  # False where a mirror before it never answered
    problems: tuple[str, ...] = ()  # what went wrong when mirrors were asked


def configured() -> list[Mirror]:
    """Return the mirrors of ``LIMNER_MIRRORS``, which commas separate, in their order."""
    names = (name.strip() for name in os.environ.get("LIMNER_MIRRORS", "").split(","))
    return [Mirror(_prefix(name)) for name in names if name]


def _without_login(address: str) -> str:
    """Return a URL without what may change when its password does."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _prefix(name: str) -> str:
    address = name if "://" in name else Path(os.path.expanduser(name)).absolute().as_uri()
    return address.rstrip("/") + "/"


def look_up(path: str, mirrors: Sequence[Mirror], *, query: bool) -> Listing:
    """Return the entry of the first mirror that lists a path.

    Args:
        path: relative to the mirrors' roots.
        query: ask the mirrors; otherwise their cached lists are used. A folder is always read.

    Raises:
        DownloadError: a list is damaged.
    """
    complete = True
    problems: list[str] = []
    for mirror in mirrors:
        problem = ""
        if query or store.is_local(mirror.prefix):
            sums, problem = _query(mirror)
        else:
            sums = _cached_list(mirror)
        if problem and (query or not sums):  # a missing folder is no problem as long as its list is cached
            problems.append(problem)
        if sums and path in sums:
            return Listing(mirror, sums[path], complete, tuple(problems))
        complete = complete and sums is not None
    return Listing(complete=complete, problems=tuple(problems))


def parse(text: str, where: str) -> dict[str, str]:
    """Return the hashes by path of a list in the format of ``sha256sum``.

    Args:
        where: name of the list for messages.

    Raises:
        DownloadError: it has another format, contradicts itself, or names a path that is not below its folder.
    """
    sums: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith(("#", "\\")):  # "\" marks a name with odd characters
            continue
        match = _LINE.fullmatch(line.rstrip())
        if not match:
            raise DownloadError(
                f"{where} is damaged: line {number} is not a SHA-256, two spaces and a path. Make it in the mirror's "
                f"folder: find . -name '*.pth' -exec sha256sum {{}} + > {SUMS_FILE}"
            )
        path = PurePosixPath(match[2])
        if path.is_absolute() or ".." in path.parts:
            raise DownloadError(
                f"{where} is refused: line {number} names {str(path)!r}, which is not below the mirror's folder"
            )
        digest = match[1].lower()
        if sums.setdefault(path.as_posix(), digest) != digest:
            raise DownloadError(f"{where} is damaged: line {number} gives {str(path)!r} another hash than before")
    sums.pop(SUMS_FILE, None)  # a list made of all files lists itself, with the hash of an unfinished list
    return sums


# -- querying mirrors, and caching their lists


def _cached_list(mirror: Mirror) -> dict[str, str] | None:
    """Return a mirror's list as of the last query, or None where it never answered."""
    file = mirror.folder / SUMS_FILE
    try:
        return parse(file.read_text(encoding="utf-8"), str(file))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, DownloadError) as error:
        raise DownloadError(f"{file}, the cached list of {mirror.printable}, is damaged: remove it") from error


def _query(mirror: Mirror) -> tuple[dict[str, str] | None, str]:
    """Return a mirror's current list and "", or its cached list, if any, and why it could not be queried."""
    try:
        text = _fetch(mirror)
    except web.MissingError:
        text = ""
    except (web.FinalError, web.TransientError) as error:
        known = _cached_list(mirror)
        consequence = "its cached list is used" if known else "its files are verified like published ones"
        return known, f"the mirror {mirror.printable} gave no {SUMS_FILE} ({error}): {consequence}"
    sums = parse(text, f"{SUMS_FILE} of {mirror.printable}")
    with suppress(OSError):  # a cache that cannot be written is reported by the download
        _cache_list(mirror, f"# {SUMS_FILE} of {mirror.printable}{'' if text else ': there is none'}\n{text}")
    return sums, ""


def _cache_list(mirror: Mirror, text: str) -> None:
    file = mirror.folder / SUMS_FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    if not (file.is_file() and file.read_bytes() == text.encode()):
        store.write_atomically(file, text)


def _fetch(mirror: Mirror) -> str:
    number = 0
    while True:
        try:
            return _read(mirror)
        except web.TransientError as error:
            number += 1
            if number == ATTEMPTS or isinstance(error, web.SlowError):
                raise
            time.sleep(RETRY_DELAYS[number - 1])


def _read(mirror: Mirror) -> str:
    if store.is_local(mirror.prefix) and not store.local_path(mirror.prefix).is_dir():
        raise web.FinalError("there is no such folder; a URL must begin with https:// or http://")
    content = bytearray()
    with web.open_address(mirror.prefix + SUMS_FILE) as response:
        length = response.headers.get("Content-Length", "")
        start_time = time.monotonic()
        while len(content) <= MAX_LIST_BYTES and (block := response.read1(store.BLOCK)):
            content += block
            if time.monotonic() - start_time > 2 * web.TIMEOUT:
                raise web.SlowError(f"it did not come within {2 * web.TIMEOUT:g} seconds")
    if len(content) > MAX_LIST_BYTES:
        limit = f"{MAX_LIST_BYTES >> 20} MB"
        raise DownloadError(f"{SUMS_FILE} of {mirror.printable} is larger than {limit}, so it is no list of hashes")
    if length.isdigit() and len(content) < int(length):
        raise web.TransientError(f"it ended after {len(content):,} of {int(length):,} bytes")
    if content.lstrip()[:1] == b"<":  # login pages of networks are sent in place of any file
        raise web.FinalError("the answer is a web page, not a list")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DownloadError(f"{SUMS_FILE} of {mirror.printable} is damaged: it is not text") from error
