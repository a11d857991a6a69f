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

from ..errors import DownloadError
from . import store

OPENMMLAB = "https://download.openmmlab.com/"
# the storage behind that host, under its own names: it answers when the host's name or certificate has lapsed
MIRRORS = ("https://openmmlab.oss-cn-hangzhou.aliyuncs.com/", "https://openmmlab.oss-accelerate.aliyuncs.com/")

ROUNDS = 3  # each round tries each address that may still answer
PAUSES = (1.0, 2.0)  # seconds between the rounds
SILENCE = 15.0  # seconds without an answer or a byte
TRICKLE = 1024.0  # bytes in a second that a transfer needs, over twice that time
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Progress = Callable[[str, int, "int | None"], None]  # name of the file, bytes that are here, bytes in all
_log = logging.getLogger(__name__)


class _TransientError(Exception):
    """This address may work in the next round."""


class _SilentError(_TransientError):
    """This address answers too slowly: one more round, not two."""


class _FinalError(Exception):
    """This address will not give the file."""


class _NothingLeftError(Exception):
    """The server has no byte beyond those that are here."""


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
class _Wanted:
    """A file that is to be fetched."""

    url: str
    target: Path
    key: str  # what the record of hashes calls it
    hashed: bool  # its name carries a prefix of its hash
    progress: Progress | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def part(self) -> Path:
        return self.target.with_name(f"{self.name}.part")


def offline() -> bool:
    """Whether ``LIMN_OFFLINE`` forbids the network."""
    return os.environ.get("LIMN_OFFLINE", "").strip().lower() in ("1", "true", "yes", "on")


def target(url: str) -> Path:
    """Return where the file of an address lies, or will lie, in limn's cache."""
    return store.place(url, trusted_names=url.startswith(OPENMMLAB))


def key(url: str) -> str:
    """Return what the file of an address is called in the record of hashes."""
    return target(url).relative_to(store.home() / "weights").as_posix()


def at_hand(url: str) -> Path | None:
    """Return the file of an address in limn's cache or in that of torch.hub, unverified, or None."""
    return next((file for file in _copies(url) if file.is_file()), None)


def fetch(url: str, *, forbidden: bool = False, progress: Progress | None = None) -> Path:
    """Return the verified file of an address, downloaded where it is not here yet.

    Args:
        url: An http or https address. One below ``https://download.openmmlab.com/`` has mirrors: those of
            ``LIMN_MIRRORS`` (prefixes separated by commas) come first, then the address, then the built-in ones.
        forbidden: Touch no network, as with ``LIMN_OFFLINE=1``.
        progress: Called with the file's name, the bytes that are here and the bytes in all (None: unknown).

    Raises:
        DownloadError: There is no such file to be had; the message says what was tried and what else can be done.
    """
    if not _is_web(url):
        raise DownloadError(f"{url!r} is not an http or https address")
    place = target(url)
    wanted = _Wanted(url, place, key(url), bool(store.sha256_prefix(place.name)), progress)
    found, rejected = _good_copy(wanted)
    if found:
        return found
    addresses = [_Address(address) for address in _addresses(url)]
    if forbidden or offline():
        raise _failure(wanted, addresses, rejected, "it is not here, and the network is switched off (offline)")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with store.locked(f"file-{wanted.key.replace('/', '-')}"):
            found, rejected = _good_copy(wanted)  # another process may have fetched it meanwhile
            return found or _download(wanted, addresses, rejected)
    except (_DiskError, OSError) as error:
        cause = error.cause if isinstance(error, _DiskError) else error
        if cause.errno in _FULL:
            with suppress(OSError):
                wanted.part.unlink(missing_ok=True)  # give back the room that it took
        raise _failure(wanted, addresses, rejected, _disk(cause, place.parent)) from error


def _is_web(url: str) -> bool:
    return url.lower().startswith(("https://", "http://"))


def _copies(url: str) -> list[Path]:
    """Return where a file may be: torch.hub's folder knows files by name alone, so only a sure name is looked up."""
    place = target(url)
    return [place] if "/" in key(url) else [place, store.torch_hub(place.name)]


def _good_copy(wanted: _Wanted) -> tuple[Path | None, list[str]]:
    """Return the verified copy that is here, if any, and why others were rejected."""
    rejected = []
    for file in _copies(wanted.url):
        if file.is_file():
            problem = store.check(file, wanted.key)
            if not problem:
                return file, []
            rejected.append(f"{file}: {problem}")
    return None, rejected


def _addresses(url: str) -> Iterator[str]:
    """Yield an address and its mirrors in the order in which they are tried."""
    if not url.startswith(OPENMMLAB):
        yield url
        return
    path = url[len(OPENMMLAB) :]
    chosen = (m.strip() for m in os.environ.get("LIMN_MIRRORS", "").split(","))
    prefixes = [*(m for m in chosen if m), OPENMMLAB, *MIRRORS]
    for prefix in dict.fromkeys(p.rstrip("/") + "/" for p in prefixes):
        yield prefix + path


# -- the download


def _download(wanted: _Wanted, addresses: list[_Address], rejected: list[str]) -> Path:
    for number in range(ROUNDS):
        for address in addresses:
            if not address.over and _attempt(wanted, address):
                return wanted.target
        if all(address.over for address in addresses):
            break
        if number + 1 < ROUNDS:
            time.sleep(PAUSES[number])
    raise _failure(wanted, addresses, rejected)


def _attempt(wanted: _Wanted, address: _Address) -> bool:
    """Try one address once, and note how it went."""
    address.tries += 1
    try:
        resumed = _transfer(wanted, address.url)
        problem, digest = store.examine(wanted.part, wanted.key)
        if problem and resumed:  # the part that was there before may have been bad
            wanted.part.unlink()
            _transfer(wanted, address.url)
            problem, digest = store.examine(wanted.part, wanted.key)
        if not problem:
            store.adopt(wanted.part, wanted.target, wanted.key, digest)
            return True
        wanted.part.unlink()
        address.said, address.over = problem, True
    except _FinalError as error:
        address.said, address.over = str(error), True
    except _TransientError as error:
        address.said = str(error)
        address.silent += isinstance(error, _SilentError)
        address.over = address.silent > 1
    _log.info("%s", address.told())
    return False


def _transfer(wanted: _Wanted, url: str) -> bool:
    """Bring the file of an address to ``wanted.part``; return whether a part of it was there before."""
    if not wanted.hashed:
        wanted.part.unlink(missing_ok=True)  # two halves may be of two files, and no hash would tell
    start = wanted.part.stat().st_size if wanted.part.exists() else 0
    try:
        with _answer(url, start) as answer:
            start = start if answer.status == 206 else 0
            total = _total(answer, start)
            ends = total is not None or answer.headers.get("Transfer-Encoding", "").lower() == "chunked"
            _room(wanted.part.parent, (total or 0) - start)
            with _on_disk():
                part = wanted.part.open("ab" if start else "wb", buffering=0)
            with part:
                _copy(wanted, answer, part, start, total)
    except _NothingLeftError:
        if not store.examine(wanted.part, wanted.key)[0]:
            return True
        wanted.part.unlink()
        return _transfer(wanted, url)
    size = wanted.part.stat().st_size
    if total is not None and size < total:
        raise _TransientError(f"it ended after {size:,} of {total:,} bytes")
    if not (ends or wanted.hashed or store.shows_its_end(wanted.part)):
        raise _FinalError("it says neither how long the file is nor what its hash is, so it may be cut off")
    return start > 0


@contextmanager
def _answer(url: str, start: int) -> Iterator[Any]:
    """Open an address from byte ``start`` on; what goes wrong, then or later, says whether to try it again."""
    import http.client
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    from .. import __version__

    if not _is_web(url):
        raise _FinalError("only http and https addresses can be mirrors")
    headers = {"User-Agent": f"limn/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    context = _tls() if url.lower().startswith("https") else None
    try:
        with urlopen(Request(url, headers=headers), timeout=SILENCE, context=context) as answer:
            yield answer
    except HTTPError as error:
        error.close()
        if error.code == 416 and start:
            raise _NothingLeftError from error
        said = f"the server says {error.code} {error.reason}"
        raise (
            _TransientError(said) if error.code in (408, 425, 429) or error.code >= 500 else _FinalError(said)
        ) from error
    except TimeoutError as error:
        raise _SilentError(f"nothing came for {SILENCE:g} seconds") from error
    except URLError as error:
        raise _unreachable(error.reason) from error
    except (http.client.InvalidURL, ValueError) as error:
        raise _FinalError(f"not an address: {error}") from error
    except (http.client.HTTPException, OSError) as error:
        raise _TransientError(f"the connection broke: {error or type(error).__name__}") from error


def _unreachable(reason: object) -> Exception:
    import ssl

    if isinstance(reason, TimeoutError):
        return _FinalError(f"no connection within {SILENCE:g} seconds")
    if isinstance(reason, ssl.SSLError):
        return _FinalError(f"no secure connection: {getattr(reason, 'verify_message', '') or reason.reason or reason}")
    return _TransientError(f"no connection: {getattr(reason, 'strerror', None) or reason}")


def _tls() -> Any:
    """Return the system's certificates, or those of certifi where the system has none."""
    import ssl

    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"] and not os.environ.get("SSL_CERT_DIR"):
        import certifi  # comes with pooch

        context.load_verify_locations(certifi.where())
    return context


def _total(answer: Any, start: int) -> int | None:
    """Return the length of the whole file, as far as the server says it."""
    if answer.status == 206:
        first, _, total = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        if first.partition("-")[0] != str(start):
            raise _FinalError("asked for the rest of the file, it sends another part of it")
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
        if elapsed > 2 * SILENCE:
            if done - mark < TRICKLE * elapsed:
                raise _SilentError(f"only {(done - mark) / elapsed:.0f} bytes came in a second")
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
        return f"{folder} cannot be written ({error.strerror or error}). Set LIMN_HOME to a folder that can"
    with suppress(OSError):
        folder = next(f for f in (folder, *folder.parents) if f.exists())
        free = f", where {_size(shutil.disk_usage(folder).free)} are free"
        needed = f" and {error.strerror}" if str(error.strerror).endswith("needed") else ""
        return f"the disk is full at {folder}{free}{needed}. Make room, or set LIMN_HOME to a folder elsewhere"
    return f"the disk is full at {folder}. Make room, or set LIMN_HOME to a folder elsewhere"


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


# -- what is said when nothing helped


def _failure(wanted: _Wanted, addresses: list[_Address], rejected: list[str], why: str = "") -> DownloadError:
    """Say what was wanted, why it failed, what was tried and what else can be done."""
    tried = [address.told() for address in addresses if address.tries]
    lines = [f"{wanted.name} could not be fetched" + (f": {why}" if why else "")]
    if tried or rejected:
        lines += ["Tried:", *(f"  - {line}" for line in [*rejected, *tried])]
    lines += ["What helps:", f"  - put the file there yourself: {wanted.target}"]
    if any("SHA-256" in line for line in [*rejected, *tried]):
        lines.append("  - if you trust a file whose hash is another one, give its path in place of the address")
    if wanted.url.startswith(OPENMMLAB):
        lines.append(f"  - name a mirror: LIMN_MIRRORS=https://... takes the place of {OPENMMLAB}")
    lines.append("  - use the model that ships with limn and needs no download: face-lite")
    return DownloadError("\n".join(lines))
