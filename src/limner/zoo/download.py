"""Fetches weights: verified, resumed, retried, from mirrors; the right file or an error, never a bad file."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from ..errors import DownloadError
from . import mirrors, store, web

OPENMMLAB = "https://download.openmmlab.com/"
# the storage behind that host, under its own names: it answers when the host's name or certificate has lapsed
MIRRORS = ("https://openmmlab.oss-cn-hangzhou.aliyuncs.com/", "https://openmmlab.oss-accelerate.aliyuncs.com/")

OFFLINE = "it is not here, and the network is switched off (offline)"
TRICKLE = 1024.0  # bytes in a second that a transfer needs, over twice that time
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Progress = Callable[[str, int, "int | None"], None]  # name of the file, bytes that are here, bytes in all
_log = logging.getLogger(__name__)


class _DiskError(Exception):
    """The disk, not the network, failed."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


@dataclass
class _Address:
    url: str
    said: str = ""  # why it failed the last time
    tries: int = 0
    silent: int = 0
    over: bool = False

    def told(self) -> str:
        times = f" ({self.tries} tries)" if self.tries > 1 else ""
        return f"{store.shown(self.url)}: {self.said or 'not finished'}{times}"


@dataclass(frozen=True)
class CacheLocation:
    """Where the file of an address lies, or will lie, in limner's cache, and what it is verified by."""

    file: Path
    key: str  # what the record of hashes calls it
    listed: mirrors.Listed = field(default_factory=mirrors.Listed)  # what the user's mirrors say of it

    @property
    def mirror(self) -> mirrors.Mirror | None:
        """The user's mirror that alone has it; None for a published file."""
        return self.listed.mirror

    @property
    def pin(self) -> store.Pin | None:
        """The hash that the mirror lists."""
        return store.Pin(self.listed.sha256, f"{mirrors.SUMS} of {self.mirror.shown}") if self.mirror else None

    @property
    def copies(self) -> list[Path]:
        """Where it may be: torch.hub's folder knows files by name alone, so only a sure name is looked up there."""
        return [self.file] if "/" in self.key else [self.file, store.torch_hub(self.file.name)]


@dataclass(frozen=True)
class _Wanted:
    """A file that is to be fetched."""

    url: str
    place: CacheLocation
    progress: Progress | None = field(default=None, repr=False)

    @property
    def target(self) -> Path:
        return self.place.file

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def part(self) -> Path:
        return self.target.with_name(f"{self.name}.part")

    @property
    def hashed(self) -> bool:
        """Whether more than what was seen before tells what the file must be."""
        return bool(self.place.pin or store.sha256_prefix(self.name))

    def examine(self) -> tuple[str, str]:
        """Return what is wrong with what was fetched, or "", and its SHA-256."""
        return store.examine(self.part, self.place.key, self.place.pin)


def offline() -> bool:
    """Whether ``LIMNER_OFFLINE`` forbids the network."""
    return os.environ.get("LIMNER_OFFLINE", "").strip().lower() in ("1", "true", "yes", "on")


def place(url: str, *, ask: bool = False) -> CacheLocation:
    """Return where the file of an address belongs.

    A file that one of the user's mirrors lists lies in that mirror's folder. Where the listed hash begins as the
    name says, the file is the published one, wherever it comes from.

    Args:
        ask: Ask the mirrors on the web; else what they listed before counts.

    Raises:
        DownloadError: The address names no file, or a mirror's list is damaged.
    """
    published = store.place(url, trusted_names=url.startswith(OPENMMLAB))
    listed = mirrors.look_up(path, _own_mirrors(), ask=ask) if (path := _below(url)) else mirrors.Listed()
    prefix = store.sha256_prefix(published.name)
    if listed.mirror is None or (prefix and listed.sha256.startswith(prefix)):
        key = published.relative_to(store.home() / "weights").as_posix()
        return CacheLocation(published, key, mirrors.Listed(sure=listed.sure, faults=listed.faults))
    folder = listed.mirror.folder
    return CacheLocation(folder / path, f"{folder.name}/{path}", listed)


def _below(url: str) -> str:
    """Return the path of an address below OpenMMLab's, or "" where it is not there or no plain path."""
    if not url.startswith(OPENMMLAB):
        return ""
    path = unquote(urlsplit(url[len(OPENMMLAB) :]).path)
    return path if all(map(store.is_plain, path.split("/"))) else ""


def _own_mirrors() -> list[mirrors.Mirror]:
    return [mirror for mirror in mirrors.chosen() if mirror.prefix not in (OPENMMLAB, *MIRRORS)]


def find_cached(url: str) -> Path | None:
    """Return the file of an address in limner's cache or in that of torch.hub, unverified, or None."""
    return next((file for file in place(url).copies if file.is_file()), None)


def fetch(url: str, *, forbidden: bool = False, renew: bool = False, progress: Progress | None = None) -> Path:
    """Return the verified file of an address, downloaded where it is not here yet.

    Args:
        url: An http or https address. One below ``https://download.openmmlab.com/`` has mirrors: those of
            ``LIMNER_MIRRORS`` (folders and prefixes, separated by commas) come first, then the address, then the
            built-in ones; but a file that one of the user's lists as its own (see `mirrors`) comes from there alone.
        forbidden: Touch no network, as with ``LIMNER_OFFLINE=1``.
        renew: Ask the user's mirrors again what they list, even where a file is here.
        progress: Called with the file's name, the bytes that are here and the bytes in all (None: unknown).

    Raises:
        DownloadError: There is no such file to be had; the message says what was tried and what else can be done.
    """
    if not web.is_web(url):
        raise DownloadError(f"{url!r} is not an http or https address")
    forbidden = forbidden or offline()
    wanted = _Wanted(url, place(url, ask=renew and not forbidden), progress)
    found, rejected = _good_copy(wanted)
    if not (forbidden or renew) and not (found and wanted.place.listed.sure) and _own_mirrors():
        wanted = _Wanted(url, place(url, ask=True), progress)
        found, rejected = _good_copy(wanted)
    for fault in wanted.place.listed.faults:
        _log.warning("%s", fault)
    if found:
        return found
    addresses = [_Address(address) for address in _addresses(wanted)]
    if forbidden:
        addresses = [address for address in addresses if store.is_local(address.url)]
        if not addresses:
            raise _failure(wanted, addresses, rejected, OFFLINE)
    try:
        wanted.target.parent.mkdir(parents=True, exist_ok=True)
        with store.locked(f"file-{wanted.place.key.replace('/', '-')}"):
            found, rejected = _good_copy(wanted)  # another process may have fetched it meanwhile
            return found or _download(wanted, addresses, rejected, OFFLINE if forbidden else "")
    except (_DiskError, OSError) as error:
        cause = error.cause if isinstance(error, _DiskError) else error
        if cause.errno in _FULL:
            with suppress(OSError):
                wanted.part.unlink(missing_ok=True)  # give back the room that it took
        raise _failure(wanted, addresses, rejected, _disk(cause, wanted.target.parent)) from error


def _good_copy(wanted: _Wanted) -> tuple[Path | None, list[str]]:
    """Return the verified copy that is here, if any, and why others were rejected."""
    rejected = []
    for file in wanted.place.copies:
        if file.is_file():
            problem = store.check(file, wanted.place.key, wanted.place.pin)
            if not problem:
                return file, []
            rejected.append(f"{file}: {problem}")
    return None, rejected


def _addresses(wanted: _Wanted) -> Iterator[str]:
    """Yield the addresses that may have a file, in the order in which they are tried."""
    if not wanted.url.startswith(OPENMMLAB):
        yield wanted.url
        return
    one = wanted.place.mirror
    named = [mirror.prefix for mirror in mirrors.chosen()]
    for prefix in [one.prefix] if one else dict.fromkeys([*named, OPENMMLAB, *MIRRORS]):
        yield prefix + wanted.url[len(OPENMMLAB) :]


# -- the download


def _download(wanted: _Wanted, addresses: list[_Address], rejected: list[str], why: str) -> Path:
    for number in range(web.ROUNDS):
        for address in addresses:
            if not address.over and _attempt(wanted, address):
                return wanted.target
        if all(address.over for address in addresses):
            break
        if number + 1 < web.ROUNDS:
            time.sleep(web.PAUSES[number])
    raise _failure(wanted, addresses, rejected, why)


def _attempt(wanted: _Wanted, address: _Address) -> bool:
    """Try one address once, and note how it went."""
    address.tries += 1
    try:
        resumed = _transfer(wanted, address.url)
        problem, digest = wanted.examine()
        if problem and resumed:  # the part that was there before may have been bad
            wanted.part.unlink()
            _transfer(wanted, address.url)
            problem, digest = wanted.examine()
        if not problem:
            store.adopt(wanted.part, wanted.target, wanted.place.key, digest, wanted.place.pin)
            return True
        wanted.part.unlink()
        address.said, address.over = problem, True
    except web.FinalError as error:
        address.said, address.over = str(error), True
    except web.TransientError as error:
        address.said = str(error)
        address.silent += isinstance(error, web.SilentError)
        address.over = address.silent > 1
    _log.info("%s", address.told())
    return False


def _transfer(wanted: _Wanted, url: str) -> bool:
    """Bring the file of an address to ``wanted.part``; return whether a part of it was there before."""
    if not wanted.hashed:
        wanted.part.unlink(missing_ok=True)  # two halves may be of two files, and no hash would tell
    start = wanted.part.stat().st_size if wanted.part.exists() else 0
    try:
        with web.answer(url, start) as answer:
            start = start if answer.status == 206 else 0
            total = _total(answer, start)
            ends = total is not None or answer.headers.get("Transfer-Encoding", "").lower() == "chunked"
            _room(wanted.part.parent, (total or 0) - start)
            with _on_disk():
                part = wanted.part.open("ab" if start else "wb", buffering=0)
            with part:
                _copy(wanted, answer, part, start, total)
    except web.NothingLeftError:
        if not wanted.examine()[0]:
            return True
        wanted.part.unlink()
        return _transfer(wanted, url)
    size = wanted.part.stat().st_size
    if total is not None and size < total:
        raise web.TransientError(f"it ended after {size:,} of {total:,} bytes")
    if not (ends or wanted.hashed or store.shows_its_end(wanted.part)):
        raise web.FinalError("it says neither how long the file is nor what its hash is, so it may be cut off")
    return start > 0


def _total(answer: Any, start: int) -> int | None:
    """Return the length of the whole file, as far as the server says it."""
    if answer.status == 206:
        first, _, total = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        if first.partition("-")[0] != str(start):
            raise web.FinalError("asked for the rest of the file, it sends another part of it")
        return int(total) if total.isdigit() else None
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _copy(wanted: _Wanted, answer: Any, part: IO[bytes], done: int, total: int | None) -> None:
    """Copy what comes into a file, and give up where less than a trickle comes."""
    _report(wanted, done, total)
    since, mark = time.monotonic(), done
    while block := answer.read1(store.BLOCK):
        rest = memoryview(block)
        while rest:
            with _on_disk():
                rest = rest[part.write(rest) :]
        done += len(block)
        _report(wanted, done, total)
        elapsed = time.monotonic() - since
        if elapsed > 2 * web.SILENCE:
            if done - mark < TRICKLE * elapsed:
                raise web.SilentError(f"only {(done - mark) / elapsed:.0f} bytes came in a second")
            since, mark = time.monotonic(), done


def _report(wanted: _Wanted, done: int, total: int | None) -> None:
    if wanted.progress:
        wanted.progress(wanted.name, done, total)


# -- the disk


@contextmanager
def _on_disk() -> Iterator[None]:
    """Keep a fault of the disk apart from faults of the network, which are OSErrors too."""
    try:
        yield
    except OSError as error:
        raise _DiskError(error) from error


def _room(folder: Path, needed: int) -> None:
    with _on_disk():
        if needed > shutil.disk_usage(folder).free:
            raise OSError(errno.ENOSPC, f"{_size(needed)} are needed")


def _disk(error: OSError, folder: Path) -> str:
    if error.errno not in _FULL:
        return f"{folder} cannot be written ({error.strerror or error}). Set LIMNER_HOME to a folder that can"
    with suppress(OSError):
        folder = next(f for f in (folder, *folder.parents) if f.exists())
        free = f", where {_size(shutil.disk_usage(folder).free)} are free"
        needed = f" and {error.strerror}" if str(error.strerror).endswith("needed") else ""
        return f"the disk is full at {folder}{free}{needed}. Make room, or set LIMNER_HOME to a folder elsewhere"
    return f"the disk is full at {folder}. Make room, or set LIMNER_HOME to a folder elsewhere"


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


# -- what is said when nothing helped


def _failure(wanted: _Wanted, addresses: list[_Address], rejected: list[str], why: str) -> DownloadError:
    """Say what was wanted, why it failed, what was tried and what else can be done."""
    tried = [address.told() for address in addresses if address.tries]
    lines = [f"{wanted.name} could not be fetched" + (f": {why}" if why else "")]
    if tried or rejected:
        lines += ["Tried:", *(f"  - {line}" for line in [*rejected, *tried])]
    lines += ["What helps:", f"  - put the file there yourself: {wanted.target}"]
    if any("SHA-256" in line for line in [*rejected, *tried]):
        lines.append("  - if you trust a file whose hash is another one, give its path in place of the address")
    if wanted.place.mirror:
        lines.append(f"  - mend the file or {mirrors.SUMS} on the mirror")
        lines.append("  - take the mirror out of LIMNER_MIRRORS: the published weights are used then")
    elif wanted.url.startswith(OPENMMLAB):
        lines.append(f"  - name a mirror: LIMNER_MIRRORS=https://... or a folder takes the place of {OPENMMLAB}")
    lines.append("  - use the model that ships with limner and needs no download: face-lite")
    return DownloadError("\n".join(lines))
