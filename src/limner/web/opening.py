"""Asks a server for a URL: with a login that goes to no other server, and patience that ends."""

from __future__ import annotations

import io
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib import request
from urllib.parse import SplitResult, unquote, urlsplit

from ..masking import masked
from . import RedirectError, SlowError, quoted, tls, user_agent

LEAST = 1024.0  # bytes a second that a server has to send, measured over twice the timeout
_PORTS = {"http": 80, "https": 443}


def open_url(
    address: str, timeout: float, headers: Mapping[str, str] | None = None, limit: float | None = None
) -> HTTPResponse:
    """Ask for an http or https URL, which may hold a user and password, and return the response.

    The login is sent to the URL's own scheme, host and port alone, wherever that sends on to.

    Args:
        address: the URL.
        timeout: seconds within which something has to come, the first as each further byte.
        headers: of the request, besides those of every request of limner.
        limit: seconds that may be waited in all; None leaves it at `LEAST` bytes a second.

    Raises:
        OSError, ValueError, http.client.HTTPException: see `reason`, which says each in words.
    """
    parts = urlsplit(quoted(address))
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    patience = _Patience(timeout, limit)
    opener = request.OpenerDirector()  # not `build_opener`, which opens files and asks servers of FTP, too
    errors = (request.UnknownHandler(), request.HTTPDefaultErrorHandler(), request.HTTPErrorProcessor())
    for handler in (request.ProxyHandler(), _Plain(patience), _Secure(patience), _Redirects(), *errors):
        opener.add_handler(handler)
    asked = request.Request(plain.geturl(), headers={"User-Agent": user_agent(), "Accept": "*/*", **(headers or {})})
    if parts.username is not None:
        user, password = unquote(parts.username), unquote(parts.password or "")
        opener.add_handler(request.HTTPDigestAuthHandler(_Login(_origin(plain), user, password)))
        login = b64encode(f"{user}:{password}".encode()).decode()
        asked.add_unredirected_header("Authorization", f"Basic {login}")
    try:
        response: HTTPResponse = opener.open(asked, timeout=timeout)
    except (LookupError, TypeError, AttributeError) as error:  # of Python's parsers, on answers that are none
        raise HTTPException("what it answers cannot be understood") from error
    return response


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme, 0)


class _Login(request.HTTPPasswordMgr):
    """A user and password for one scheme, host and port."""

    def __init__(self, origin: tuple[str, str, int], user: str, password: str) -> None:
        super().__init__()
        self._origin, self._login = origin, (user, password)

    def find_user_password(self, realm: str, authuri: str) -> tuple[str | None, str | None]:
        return self._login if _origin(urlsplit(authuri)) == self._origin else (None, None)


class _Redirects(request.HTTPRedirectHandler):
    """Follows to http and https alone, and not from https to http; a login goes no further than its server."""

    def redirect_request(
        self, req: request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> request.Request | None:
        old, new = urlsplit(req.full_url), urlsplit(quoted(newurl))
        new = new._replace(netloc=new.netloc.rpartition("@")[2])
        if new.scheme not in _PORTS:
            raise RedirectError(f"its server sends on to {masked(newurl)}, which is not one of http or https")
        if old.scheme == "https" and new.scheme == "http":
            raise RedirectError(
                f"its server sends on to {masked(newurl)}, which is not encrypted; give that URL if you trust it"
            )
        following = super().redirect_request(req, fp, code, msg, headers, new.geturl())
        login = req.unredirected_hdrs.get("Authorization")
        if following is not None and login is not None and _origin(old) == _origin(new):
            following.add_unredirected_header("Authorization", login)
        return following


class _Patience:
    """How long the answers of one request are waited for."""

    def __init__(self, timeout: float, limit: float | None) -> None:
        self.timeout = timeout
        self._limit = limit
        self._waited = 0.0  # seconds in all
        self._window = 0.0  # seconds since the rate was measured
        self._came = 0  # bytes since then

    def next(self) -> float:
        """Return for how many seconds the next byte may be waited for."""
        if self._limit is None:
            return self.timeout
        if self._waited >= self._limit:
            raise SlowError(f"it has not come within {self._limit:g} s")
        return min(self.timeout, self._limit - self._waited + 0.01)

    def took(self, seconds: float, size: int) -> None:
        """Count bytes, and the time for which they were waited for: what is done with them meanwhile costs nothing."""
        self._waited += seconds
        self._window += seconds
        self._came += size
        if self._window > 2 * self.timeout:
            if self._came < LEAST * self._window:
                raise SlowError(f"it sends less than {LEAST / 1024:g} KB a second")
            self._window, self._came = 0.0, 0


class _Paced(io.RawIOBase):
    """What comes of a socket, as long as it comes fast enough."""

    def __init__(self, raw: Any, sock: socket.socket, patience: _Patience) -> None:
        self._raw, self._socket, self._patience = raw, sock, patience

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._socket.settimeout(self._patience.next())
        began = time.monotonic()
        size: int = self._raw.readinto(buffer)
        self._patience.took(time.monotonic() - began, size)
        return size

    def close(self) -> None:
        self._raw.close()
        super().close()


def _connection(base: type[HTTPConnection], patience: _Patience) -> Any:
    """Return a class of connections whose answers are waited for with patience."""

    class Response(HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
            super().__init__(sock, *args, **options)
            self.fp = io.BufferedReader(_Paced(self.fp.detach(), sock, patience))

    class Connection(base):  # type: ignore[valid-type,misc]
        response_class = Response

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._create_connection = _connect

    return Connection


class _Plain(request.HTTPHandler):
    def __init__(self, patience: _Patience) -> None:
        super().__init__()
        self._connection = _connection(HTTPConnection, patience)

    def http_open(self, req: request.Request) -> HTTPResponse:
        return self.do_open(self._connection, req)


class _Secure(request.AbstractHTTPHandler):
    https_request = request.AbstractHTTPHandler.do_request_

    def __init__(self, patience: _Patience) -> None:
        super().__init__()
        self._connection = _connection(HTTPSConnection, patience)

    def https_open(self, req: request.Request) -> HTTPResponse:
        return self.do_open(self._connection, req, context=tls())


def _connect(address: tuple[str, int], timeout: float | None, source: Any = None) -> socket.socket:
    """Connect to the first address of a host that answers, each for ``timeout`` seconds."""
    problem = OSError("its host has no address")
    for family, kind, protocol, _, place in _addresses(*address, timeout or 10.0):
        try:
            made = socket.socket(family, kind, protocol)
        except OSError as error:
            problem = error
            continue
        try:
            made.settimeout(timeout)
            if source:
                made.bind(source)
            made.connect(place)
            return made
        except OSError as error:
            made.close()
            problem = error
        except BaseException:
            made.close()
            raise
    raise problem


def _addresses(host: str, port: int, timeout: float) -> list[Any]:
    """Return what the system says of a host. It is asked in a thread, as nothing else ends its waiting early."""
    found: list[Any] = []

    def ask() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))
        except (OSError, ValueError) as error:
            found.append(error)

    thread = threading.Thread(target=ask, daemon=True, name="limner-host")
    thread.start()
    end = time.monotonic() + timeout
    while thread.is_alive() and (left := end - time.monotonic()) > 0:
        thread.join(min(left, 0.2))
    if not found:
        raise TimeoutError("its host is not found in time")
    if isinstance(found[0], Exception):
        raise found[0]
    return list(found[0])
