"""Opens a URL, and classifies errors by whether a retry can help."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from ..errors import one_line
from ..web import ESCAPES
from . import store

TIMEOUT = 15.0  # seconds without an answer or a byte


class TransientError(Exception):
    """The URL may work in the next round."""


class SlowError(TransientError):
    """The URL answers too slowly: one more round, not two."""


class FinalError(Exception):
    """The URL cannot give the file; a retry would not help."""


class MissingError(FinalError):
    """The server answers, and has no such file."""


class NoMoreBytesError(Exception):
    """The server has no bytes beyond those already downloaded."""


def is_web(url: str) -> bool:
    """Whether a URL is one of http or https."""
    return url.lower().startswith(("https://", "http://"))


@contextmanager
def open_address(url: str, start: int = 0) -> Iterator[Any]:
    """Open an http, https or file URL; errors, also while reading, are classified by whether a retry can help.

    The response has ``read1``, ``headers`` and ``status``: 206 where it begins at byte ``start``, otherwise it is
    the whole file.

    Raises:
        TransientError, FinalError, NoMoreBytesError: see there.
    """
    if store.is_local(url):
        with _local(url) as found:
            yield found
        return
    if not is_web(url):
        raise FinalError("a mirror must be a folder or an http, https or file URL")
    with _remote(url, start) as found:
        yield found


@contextmanager
def _local(url: str) -> Iterator[Any]:
    path = store.local_path(url)
    if not path.is_file():  # opening a pipe would wait for a writer
        raise MissingError("there is no such file")
    try:
        with path.open("rb") as file:
            yield SimpleNamespace(read1=file.read1, headers={"Content-Length": str(path.stat().st_size)}, status=200)
    except OSError as error:
        raise FinalError(f"it cannot be read: {error.strerror or error}") from error


@contextmanager
def _remote(url: str, start: int) -> Iterator[Any]:
    import http.client
    from urllib.error import HTTPError, URLError

    from ..web import RedirectError, open_url, plain_reason
    from ..web import SlowError as Slow

    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        with open_url(url, TIMEOUT, headers) as found:
            yield found
    except HTTPError as error:
        error.close()
        if error.code == 416 and start:
            raise NoMoreBytesError from error
        said = one_line(str(error.reason))[:100]
        raise _kind(error.code)(f"the server says {error.code} {said}") from error
    except RedirectError as error:
        raise FinalError(str(error)) from error
    except Slow as error:
        raise SlowError(str(error)) from error
    except TimeoutError as error:
        raise SlowError(f"nothing came for {TIMEOUT:g} seconds") from error
    except URLError as error:
        raise _unreachable(error.reason) from error
    except (http.client.InvalidURL, ValueError):  # which quote the URL
        raise FinalError(f"not a valid URL; {ESCAPES}") from None
    except (http.client.HTTPException, OSError) as error:
        raise TransientError(f"the connection broke: {plain_reason(error)}") from error


def _kind(code: int) -> type[Exception]:
    if code in (408, 425, 429) or code >= 500:
        return TransientError
    return MissingError if code in (404, 410) else FinalError


def _unreachable(reason: object) -> Exception:
    import ssl

    from ..web import plain_reason

    if isinstance(reason, TimeoutError):
        return FinalError(f"no connection within {TIMEOUT:g} seconds")
    if isinstance(reason, ssl.SSLError):
        return FinalError(f"no secure connection: {getattr(reason, 'verify_message', '') or reason.reason or reason}")
    words = plain_reason(reason) if isinstance(reason, Exception) else reason
    return TransientError(f"no connection: {words}")
