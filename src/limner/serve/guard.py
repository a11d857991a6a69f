"""Who may ask: the checks before every request and WebSocket, and the headers of every answer.

- Host: only names by which this server is meant, so that a name of somebody else's that leads here (DNS rebinding)
  is not answered.
- Origin and Sec-Fetch-Site: pages of other sites can neither post to it nor open a WebSocket.
- Token, where the server has one: compared in constant time.
"""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .limits import RefusedError
from .metrics import Metrics
from .options import ServeOptions, ip_address, is_loopback

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
_GUARDED = re.compile(r"/(v1|metrics)(/|$)")  # paths that need the token
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")
_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443"}


class Guard:
    """ASGI middleware that answers for a server what it must not do.

    Args:
        app: what answers the rest.
        options: whom the server answers.
        metrics: counts the requests; None counts none.
    """

    def __init__(self, app: ASGIApp, options: ServeOptions, metrics: Metrics | None = None) -> None:
        self._app, self._options, self._metrics = app, options, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
                _add_headers(message)
            elif message["type"] == "websocket.accept":
                status = 101
            await send(message)

        try:
            self.check(scope)
        except RefusedError as refused:
            await _refuse(refused, scope, receive, sending)
        else:
            await self._app(scope, receive, sending)
        finally:
            if self._metrics is not None:
                self._count(self._metrics, scope, status, time.perf_counter() - began)

    def check(self, scope: Scope) -> None:
        """Check who asks.

        Raises:
            RefusedError: 421 for another host, 403 for another site, 401 without the right token.
        """
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self.is_ours(hosts[0]):
            named = f"'{hosts[0][:100]}'" if len(hosts) == 1 else "missing or given twice"
            raise RefusedError(
                421, f"the header Host is {named}, by which this server is not known; --allow-host adds a name"
            )
        writes = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        guarded = _GUARDED.match(scope["path"]) is not None
        origins = headers.getlist("origin")
        if writes and origins and not (len(origins) == 1 and _same_origin(origins[0], hosts[0], scope["scheme"])):
            raise RefusedError(403, f"pages of {origins[0][:100]} may not use this server; open its own page")
        if (writes or guarded) and headers.get("sec-fetch-site", "none") in ("cross-site", "same-site"):
            raise RefusedError(403, "pages of other sites may not use this server; open its own page")
        if guarded and self._options.token is not None and not self._knows(headers, scope):
            raise RefusedError(
                401,
                "this server needs its token: send it as 'Authorization: Bearer TOKEN'",
                {"WWW-Authenticate": 'Bearer realm="limner"'},
            )

    def is_ours(self, host: str) -> bool:
        """Return whether a header Host means this server."""
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match[1].lower().rstrip(".").strip("[]")
        options = self._options
        if is_loopback(name) or name in (options.host.lower().strip("[]"), *(a.lower() for a in options.allow_hosts)):
            return True
        # addresses cannot be rebound, and others reach this server by them where they are meant to
        return not options.is_local and ip_address(name) is not None

    def _knows(self, headers: Headers, scope: Scope) -> bool:
        """Return whether the right token was sent."""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            given = ""
        if scope["type"] == "websocket" and not given:  # browsers send no header of a page's choice
            given = next((p[7:] for p in scope["subprotocols"] if p.startswith("bearer.")), "")
        expected = self._options.token or ""
        return hmac.compare_digest(given.strip().encode("utf-8", "replace"), expected.encode())

    @staticmethod
    def _count(metrics: Metrics, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("endpoint"), "__name__", "none")
        metrics.requests.labels(route, str(status or 499)).inc()  # 499, as nginx has it: the client was gone
        if scope["type"] == "http":
            metrics.seconds.labels(route).observe(seconds)
        if status >= 400:
            metrics.refused.labels(str(status)).inc()


def _same_origin(origin: str, host: str, scheme: str) -> bool:
    """Return whether a page's origin is this server's own, whatever proxy speaks HTTPS for it."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
        return False
    match = _HOST.fullmatch(host)
    if match is None or match[1].lower().strip("[]") != parts.hostname:
        return False
    ours = (match[2] or "")[1:]
    theirs = str(port) if port else ""
    if ours == theirs:
        return True
    defaults = {_PORTS[parts.scheme], ""}
    return {ours, theirs} <= defaults or {ours, theirs} <= {_PORTS[scheme], ""}


def _add_headers(message: Message) -> None:
    headers = list(message.get("headers", []))
    given = {name.lower() for name, _ in headers}
    headers += [(n.encode(), v.encode()) for n, v in _HEADERS.items() if n.lower().encode() not in given]
    message["headers"] = headers


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return the answer to what is not done: ``{"error": sentence}``."""
    return JSONResponse({"error": message}, status, dict(headers or {}))


async def _refuse(refused: RefusedError, scope: Scope, receive: Receive, send: Send) -> None:
    response = error_response(refused.status, str(refused), {"Connection": "close", **refused.headers})
    if scope["type"] == "http":
        await response(scope, receive, send)
        return
    await send(
        {
            "type": "websocket.http.response.start",
            "status": refused.status,
            "headers": [(n, v) for n, v in response.raw_headers if n.lower() != b"connection"],
        }
    )
    await send({"type": "websocket.http.response.body", "body": bytes(response.body)})
