"""The mirrors that a user names in ``LIMNER_MIRRORS``, and the weights of one's own that they may hold.

A mirror is a folder, or an http, https or file address, laid out as https://download.openmmlab.com/ is. A file
``SHA256SUMS`` at its root, in the form that ``sha256sum`` writes, says what the files below it are; for a path that
it lists its full hash counts in place of the prefix in the file's name. The user trusts the mirror by naming it, so
the built-in mirrors are never asked for one.

What a mirror listed is kept in the cache beside the files that came from it, so that later runs need no network.
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

from ..errors import DownloadError
from . import store, web

SUMS = "SHA256SUMS"
LIMIT = 4 << 20  # bytes of a list: enough for some 30,000 files
_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")


@dataclass(frozen=True)
class Mirror:
    """A place that the user named."""

    prefix: str  # an http, https or file address that ends with "/"

    @property
    def shown(self) -> str:
        """How it may be printed: a folder's path, or an address without a password."""
        return store.shown(self.prefix)

    @property
    def folder(self) -> Path:
        """Where what it lists lies in the cache: below a folder of its own, at the same paths as on the mirror."""
        return store.home() / "weights" / f"mirror-{hashlib.sha256(self.shown.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class Listed:
    """What the mirrors say of one path."""

    mirror: Mirror | None = None  # the first one that lists it
    sha256: str = ""
    sure: bool = True  # False where a mirror before it never answered
    faults: tuple[str, ...] = ()  # what went wrong when mirrors were asked


def chosen() -> list[Mirror]:
    """Return the mirrors of ``LIMNER_MIRRORS``, which commas separate, in their order."""
    named = (name.strip() for name in os.environ.get("LIMNER_MIRRORS", "").split(","))
    return [Mirror(_prefix(name)) for name in named if name]


def _prefix(name: str) -> str:
    address = name if "://" in name else Path(os.path.expanduser(name)).absolute().as_uri()
    return address.rstrip("/") + "/"


def look_up(path: str, mirrors: Sequence[Mirror], *, ask: bool) -> Listed:
    """Return what the first mirror that lists a path says of it.

    Args:
        path: Relative to the mirrors' roots.
        ask: Ask the mirrors; else what they said before counts. A folder is always asked.

    Raises:
        DownloadError: A list is damaged.
    """
    sure = True
    faults: list[str] = []
    for mirror in mirrors:
        fault = ""
        if ask or store.is_local(mirror.prefix):
            sums, fault = _ask(mirror)
        else:
            sums = _kept(mirror)
        if fault and (ask or not sums):  # a folder that is away is not missed as long as it is not needed
            faults.append(fault)
        if sums and path in sums:
            return Listed(mirror, sums[path], sure, tuple(faults))
        sure = sure and sums is not None
    return Listed(sure=sure, faults=tuple(faults))


def parse(text: str, where: str) -> dict[str, str]:
    """Return the hashes by path of a list in the form of ``sha256sum``.

    Args:
        where: What to call the list in a message.

    Raises:
        DownloadError: It has another form, contradicts itself, or names a path that is not below its folder.
    """
    sums: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith(("#", "\\")):  # "\" marks a name with odd characters
            continue
        found = _LINE.fullmatch(line.rstrip())
        if not found:
            raise DownloadError(
                f"{where} is damaged: line {number} is not a SHA-256, two spaces and a path. Make it in the mirror's "
                f"folder: find . -name '*.pth' -exec sha256sum {{}} + > {SUMS}"
            )
        path = PurePosixPath(found[2])
        if path.is_absolute() or ".." in path.parts:
            raise DownloadError(
                f"{where} is refused: line {number} names {str(path)!r}, which is not below the mirror's folder"
            )
        digest = found[1].lower()
        if sums.setdefault(path.as_posix(), digest) != digest:
            raise DownloadError(f"{where} is damaged: line {number} gives {str(path)!r} another hash than before")
    sums.pop(SUMS, None)  # a list made of all files names itself, as it was before it was done
    return sums


# -- asking, and keeping the answer


def _kept(mirror: Mirror) -> dict[str, str] | None:
    """Return what a mirror listed when it was last asked, or None where it never answered."""
    file = mirror.folder / SUMS
    try:
        return parse(file.read_text(encoding="utf-8"), str(file))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, DownloadError) as error:
        raise DownloadError(f"{file}, which keeps what {mirror.shown} listed, is damaged: remove it") from error


def _ask(mirror: Mirror) -> tuple[dict[str, str] | None, str]:
    """Return what a mirror lists now, and ""; or what it listed before, if it ever did, and why it gives nothing."""
    try:
        text = _fetch(mirror)
    except web.MissingError:
        text = ""
    except (web.FinalError, web.TransientError) as error:
        known = _kept(mirror)
        counts = "what it listed before counts" if known else "its files count as published ones"
        return known, f"the mirror {mirror.shown} gave no {SUMS} ({error}): {counts}"
    sums = parse(text, f"{SUMS} of {mirror.shown}")
    with suppress(OSError):  # a cache that cannot be written says so where weights are fetched
        _keep(mirror, f"# {SUMS} of {mirror.shown}{'' if text else ': there is none'}\n{text}")
    return sums, ""


def _keep(mirror: Mirror, text: str) -> None:
    file = mirror.folder / SUMS
    file.parent.mkdir(parents=True, exist_ok=True)
    if not (file.is_file() and file.read_bytes() == text.encode()):
        store.write_whole(file, text)


def _fetch(mirror: Mirror) -> str:
    number = 0
    while True:
        try:
            return _read(mirror)
        except web.TransientError as error:
            number += 1
            if number == web.ROUNDS or isinstance(error, web.SilentError):
                raise
            time.sleep(web.PAUSES[number - 1])


def _read(mirror: Mirror) -> str:
    if store.is_local(mirror.prefix) and not store.local_path(mirror.prefix).is_dir():
        raise web.FinalError("there is no such folder; the address of a server begins with https:// or http://")
    found = bytearray()
    with web.answer(mirror.prefix + SUMS) as answer:
        length = answer.headers.get("Content-Length", "")
        since = time.monotonic()
        while len(found) <= LIMIT and (block := answer.read1(store.BLOCK)):
            found += block
            if time.monotonic() - since > 2 * web.SILENCE:
                raise web.SilentError(f"it did not come within {2 * web.SILENCE:g} seconds")
    if len(found) > LIMIT:
        raise DownloadError(f"{SUMS} of {mirror.shown} is larger than {LIMIT >> 20} MB, so it is no list of hashes")
    if length.isdigit() and len(found) < int(length):
        raise web.TransientError(f"it ended after {len(found):,} of {int(length):,} bytes")
    if found.lstrip()[:1] == b"<":  # what the login pages of networks answer to everything
        raise web.FinalError("a web page came in its place")
    try:
        return found.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DownloadError(f"{SUMS} of {mirror.shown} is damaged: it is not text") from error
