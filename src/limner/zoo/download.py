"""Downloads weights: verified, resumed, retried, from mirrors; returns the right file or raises an error."""

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

OFFLINE_MESSAGE = "it is not in the cache, and the network is switched off (offline)"
ROUNDS = 3  # each round tries each URL that may still answer
RETRY_DELAYS = (1.0, 2.0)  # seconds between the rounds
MIN_BYTES_PER_SECOND = 1024.0  # a slower transfer is given up, measured over twice the timeout
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Progress = Callable[[str, int, "int | None"], None]  # name of the file, bytes so far, bytes in all
_log = logging.getLogger(__name__)


class _DiskError(Exception):
    """The disk, not the network, failed."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


@dataclass
class _Address:
    url: str
    error: str = ""  # why it failed the last time
    tries: int = 0
    timeouts: int = 0
    finished: bool = False

    def summary(self) -> str:
        times = f" ({self.tries} tries)" if self.tries > 1 else ""
        return f"{store.printable(self.url)}: {self.error or 'not finished'}{times}"


@dataclass(frozen=True)
class CacheLocation:
    """The file of a URL in limner's cache, present or not, and what it is verified by."""

    file: Path
    key: str  # its name in the record of hashes
    listing: mirrors.Listing = field(default_factory=mirrors.Listing)  # its entry in the user's mirrors

    @property
    def mirror(self) -> mirrors.Mirror | None:
        """The user's mirror that alone has it; None for a published file."""
        return self.listing.mirror

    @property
    def expected(self) -> store.ExpectedHash | None:
        """The hash that the mirror lists."""
        if self.mirror is None:
            return None
        return store.ExpectedHash(self.listing.sha256, f"{mirrors.SUMS_FILE} of {self.mirror.printable}")

    @property
    def copies(self) -> list[Path]:
        """Files to look for; torch.hub's folder has files by name alone, so only unambiguous names are sought there."""
        return [self.file] if "/" in self.key else [self.file, store.torch_hub(self.file.name)]


@dataclass(frozen=True)
class _Task:
    """A file to download."""

    url: str
    location: CacheLocation
    progress: Progress | None = field(default=None, repr=False)

    @property
    def target(self) -> Path:
        return self.location.file

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def part(self) -> Path:
        return self.target.with_name(f"{self.name}.part")

    @property
    def has_known_hash(self) -> bool:
        """Whether the file's hash is known from a mirror's list or from its name."""
        return bool(self.location.expected or store.sha256_prefix(self.name))

    def verify(self) -> tuple[str, str]:
        """Return what is wrong with the downloaded part, or "", and its SHA-256."""
        return store.verify(self.part, self.location.key, self.location.expected)


def is_offline() -> bool:
    """Whether ``LIMNER_OFFLINE`` forbids the network."""
    return os.environ.get("LIMNER_OFFLINE", "").strip().lower() in ("1", "true", "yes", "on")


def locate(url: str, *, query: bool = False) -> CacheLocation:
    """Return the location of a URL's file in the cache.

    A file that one of the user's mirrors lists is in that mirror's folder. Where the listed hash begins with the
    prefix in the name, the file is the published one, wherever it comes from.

    Args:
        query: ask the mirrors on the web; otherwise their cached lists are used.

    Raises:
        DownloadError: the URL names no file, or a mirror's list is damaged.
    """
    published = store.cache_path(url, trusted_names=url.startswith(OPENMMLAB))
    listing = (
        mirrors.look_up(path, _user_mirrors(), query=query) if (path := _relative_path(url)) else mirrors.Listing()
    )
    prefix = store.sha256_prefix(published.name)
    if listing.mirror is None or (prefix and listing.sha256.startswith(prefix)):
        key = published.relative_to(store.home() / "weights").as_posix()
        return CacheLocation(published, key, mirrors.Listing(complete=listing.complete, problems=listing.problems))
    folder = listing.mirror.folder
    return CacheLocation(folder / path, f"{folder.name}/{path}", listing)


def _relative_path(url: str) -> str:
    """Return the path of a URL below OpenMMLab's, or "" where it is elsewhere or not a plain path."""
    if not url.startswith(OPENMMLAB):
        return ""
    path = unquote(urlsplit(url[len(OPENMMLAB) :]).path)
    return path if all(map(store.is_plain_name, path.split("/"))) else ""


def _user_mirrors() -> list[mirrors.Mirror]:
    return [mirror for mirror in mirrors.configured() if mirror.prefix not in (OPENMMLAB, *MIRRORS)]


def find_cached(url: str) -> Path | None:
    """Return the file of a URL in limner's cache or in that of torch.hub, unverified, or None."""
    return next((file for file in locate(url).copies if file.is_file()), None)


def fetch(url: str, *, offline: bool = False, refresh: bool = False, progress: Progress | None = None) -> Path:
    """Return the verified file of a URL, downloaded where it is not cached yet.

    Args:
        url: an http or https URL. One below ``https://download.openmmlab.com/`` has mirrors: those of
            ``LIMNER_MIRRORS`` (folders and prefixes, separated by commas) come first, then the URL, then the
            built-in ones; but a file that one of the user's lists (see `mirrors`) comes from there alone.
        offline: do not use the network, as with ``LIMNER_OFFLINE=1``.
        refresh: ask the user's mirrors for their lists again, even where a file is cached.
        progress: called with the file's name, the bytes so far and the bytes in all (None: unknown).

    Raises:
        DownloadError: the file cannot be downloaded; the message says what was tried and what to do.
    """
    if not web.is_web(url):
        raise DownloadError(f"{url!r} is not an http or https URL")
    offline = offline or is_offline()
    task = _Task(url, locate(url, query=refresh and not offline), progress)
    found, rejected = _verified_copy(task)
    if not (offline or refresh) and not (found and task.location.listing.complete) and _user_mirrors():
        task = _Task(url, locate(url, query=True), progress)
        found, rejected = _verified_copy(task)
    for problem in task.location.listing.problems:
        _log.warning("%s", problem)
    if found:
        return found
    addresses = [_Address(address) for address in _addresses(task)]
    if offline:
        addresses = [address for address in addresses if store.is_local(address.url)]
        if not addresses:
            raise _failure(task, addresses, rejected, OFFLINE_MESSAGE)
    try:
        task.target.parent.mkdir(parents=True, exist_ok=True)
        with store.locked(f"file-{task.location.key.replace('/', '-')}"):
            found, rejected = _verified_copy(task)  # another process may have fetched it meanwhile
            return found or _download(task, addresses, rejected, OFFLINE_MESSAGE if offline else "")
    except (_DiskError, OSError) as error:
        cause = error.cause if isinstance(error, _DiskError) else error
        if cause.errno in _FULL:
            with suppress(OSError):
                task.part.unlink(missing_ok=True)  # free the space that it took
        raise _failure(task, addresses, rejected, _disk_message(cause, task.target.parent)) from error


def _verified_copy(task: _Task) -> tuple[Path | None, list[str]]:
    """Return a verified copy on this machine, if any, and why others were rejected."""
    rejected = []
    for file in task.location.copies:
        if file.is_file():
            problem = store.check(file, task.location.key, task.location.expected)
            if not problem:
                return file, []
            rejected.append(f"{file}: {problem}")
    return None, rejected


def _addresses(task: _Task) -> Iterator[str]:
    """Yield the URLs that may have a file, in the order in which they are tried."""
    if not task.url.startswith(OPENMMLAB):
        yield task.url
        return
    listing_mirror = task.location.mirror
    user_mirrors = [mirror.prefix for mirror in mirrors.configured()]
    for prefix in [listing_mirror.prefix] if listing_mirror else dict.fromkeys([*user_mirrors, OPENMMLAB, *MIRRORS]):
        yield prefix + task.url[len(OPENMMLAB) :]


# -- the download


def _download(task: _Task, addresses: list[_Address], rejected: list[str], reason: str) -> Path:
    for number in range(ROUNDS):
        for address in addresses:
            if not address.finished and _attempt(task, address):
                return task.target
        if all(address.finished for address in addresses):
            break
        if number + 1 < ROUNDS:
            time.sleep(RETRY_DELAYS[number])
    raise _failure(task, addresses, rejected, reason)


def _attempt(task: _Task, address: _Address) -> bool:
    """Try one URL once, and record the outcome in it."""
    address.tries += 1
    try:
        resumed = _transfer(task, address.url)
        problem, digest = task.verify()
        if problem and resumed:  # the part that was there before may have been bad
            task.part.unlink()
            _transfer(task, address.url)
            problem, digest = task.verify()
        if not problem:
            store.install(task.part, task.target, task.location.key, digest, task.location.expected)
            return True
        task.part.unlink()
        address.error, address.finished = problem, True
    except web.FinalError as error:
        address.error, address.finished = str(error), True
    except web.TransientError as error:
        address.error = str(error)
        address.timeouts += isinstance(error, web.SlowError)
        address.finished = address.timeouts > 1
    _log.info("%s", address.summary())
    return False


def _transfer(task: _Task, url: str) -> bool:
    """Download the file of a URL to ``task.part``; return whether a part of it was there before."""
    if not task.has_known_hash:
        task.part.unlink(missing_ok=True)  # the rest may be of another file, and no hash would reveal it
    start = task.part.stat().st_size if task.part.exists() else 0
    try:
        with web.open_address(url, start) as response:
            start = start if response.status == 206 else 0
            total = _total(response, start)
            has_end = total is not None or response.headers.get("Transfer-Encoding", "").lower() == "chunked"
            _check_space(task.part.parent, (total or 0) - start)
            with _on_disk():
                part = task.part.open("ab" if start else "wb", buffering=0)
            with part:
                _copy(task, response, part, start, total)
    except web.NoMoreBytesError:
        if not task.verify()[0]:
            return True
        task.part.unlink()
        return _transfer(task, url)
    size = task.part.stat().st_size
    if total is not None and size < total:
        raise web.TransientError(f"it ended after {size:,} of {total:,} bytes")
    if not (has_end or task.has_known_hash or store.is_complete_archive(task.part)):
        raise web.FinalError("neither the length of the file nor its hash is known, so it may be cut off")
    return start > 0


def _total(response: Any, start: int) -> int | None:
    """Return the length of the whole file, as far as the server says it."""
    if response.status == 206:
        first, _, total = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        if first.partition("-")[0] != str(start):
            raise web.FinalError("the server sent another part of the file than was asked for")
        return int(total) if total.isdigit() else None
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _copy(task: _Task, response: Any, part: IO[bytes], done: int, total: int | None) -> None:
    """Copy the response into a file, and give up where it is too slow."""
    _report(task, done, total)
    start_time, bytes_before = time.monotonic(), done
    while block := response.read1(store.BLOCK):
        rest = memoryview(block)
        while rest:
            with _on_disk():
                rest = rest[part.write(rest) :]
        done += len(block)
        _report(task, done, total)
        elapsed = time.monotonic() - start_time
        if elapsed > 2 * web.TIMEOUT:
            if done - bytes_before < MIN_BYTES_PER_SECOND * elapsed:
                raise web.SlowError(f"too slow: only {(done - bytes_before) / elapsed:.0f} bytes came in a second")
            start_time, bytes_before = time.monotonic(), done


def _report(task: _Task, done: int, total: int | None) -> None:
    if task.progress:
        task.progress(task.name, done, total)


# -- the disk


@contextmanager
def _on_disk() -> Iterator[None]:
    """Distinguish errors of the disk from those of the network, which are OSErrors too."""
    try:
        yield
    except OSError as error:
        raise _DiskError(error) from error


def _check_space(folder: Path, needed: int) -> None:
    with _on_disk():
        if needed > shutil.disk_usage(folder).free:
            raise OSError(errno.ENOSPC, f"{_size(needed)} are needed")


def _disk_message(error: OSError, folder: Path) -> str:
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


# -- the message of a failed download


def _failure(task: _Task, addresses: list[_Address], rejected: list[str], reason: str) -> DownloadError:
    """Return an error that says what failed, why, what was tried and what to do."""
    tried = [address.summary() for address in addresses if address.tries]
    lines = [f"{task.name} could not be downloaded" + (f": {reason}" if reason else "")]
    if tried or rejected:
        lines += ["Tried:", *(f"  - {line}" for line in [*rejected, *tried])]
    lines += ["What you can do:", f"  - put the file there yourself: {task.target}"]
    if any("SHA-256" in line for line in [*rejected, *tried]):
        lines.append("  - if you trust a file with another hash, give its path in place of the URL")
    if task.location.mirror:
        lines.append(f"  - correct the file or {mirrors.SUMS_FILE} on the mirror")
        lines.append("  - take the mirror out of LIMNER_MIRRORS: the published weights are used then")
    elif task.url.startswith(OPENMMLAB):
        lines.append(f"  - set LIMNER_MIRRORS to a mirror, a URL or a folder that has the files of {OPENMMLAB}")
    lines.append("  - use the model that ships with limner and needs no download: face-lite")
    return DownloadError("\n".join(lines))
