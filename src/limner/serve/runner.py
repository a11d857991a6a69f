"""Runs an application on uvicorn: a socket of its own, guarded connections, and an end that lets requests finish."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from ..errors import ArgumentError, InputError, OutputError
from .options import ServeOptions
from .protocol import protocol

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_HEAD_BYTES = 32_000  # of a request: its line and its headers
_MESSAGE_BYTES = 8_000_000  # of a WebSocket
_PING_INTERVAL, _PING_TIMEOUT = 2.0, 2.5  # seconds: who vanishes without a word is gone within 5


class Server(uvicorn.Server):
    """A server that says when it has begun and when it is to end, and ends with status 0 on SIGTERM and Ctrl-C.

    Args:
        config: of uvicorn.
        on_stop: called when it is told to end, before its connections are closed.
    """

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, and wait for the requests that run."""
        self._on_stop()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM while it runs; the second one does not wait for requests."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = {kind: signal.signal(kind, self.handle_exit) for kind in _SIGNALS}
        try:
            yield
        finally:
            for kind, handler in previous.items():
                signal.signal(kind, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End; the second time at once."""
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True


def listen(options: ServeOptions) -> socket.socket:
    """Return a socket that listens where the options say.

    Raises:
        ArgumentError: the address is not one of this machine's, or the port is taken.
    """
    try:
        found = socket.getaddrinfo(
            options.host.strip("[]"), options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        found.sort(key=lambda entry: entry[0] != socket.AF_INET)
        family, kind, number, _, address = found[0]
        listener = socket.socket(family, kind, number)
    except (OSError, UnicodeError):
        raise ArgumentError(f"--host '{options.host}' is no address of this machine; leave it out") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
        listener.set_inheritable(False)
    except OSError as error:
        listener.close()
        reason = (error.strerror or str(error)).lower()
        raise OutputError(
            f"port {options.port} of {options.host} cannot be used: {reason}; --port 0 takes a free one"
        ) from None
    return listener


def make_server(
    app: ASGIApp, options: ServeOptions, on_stop: Callable[[], None], changed: Callable[[int], object]
) -> Server:
    """Return a server for an application, which does not run yet.

    Raises:
        InputError: the certificate or its key cannot be read.
    """
    raise_file_limit(options.max_connections)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "websockets"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # what they say is about clients
    config = uvicorn.Config(
        app,
        http=protocol(options, changed),
        ws="websockets-sansio",
        ws_max_size=_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        ws_ping_interval=_PING_INTERVAL,
        ws_ping_timeout=_PING_TIMEOUT,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(options.proxy),
        forwarded_allow_ips=options.proxy or None,
        timeout_keep_alive=max(1, round(options.keep_alive)),
        timeout_graceful_shutdown=max(1, round(options.grace)),
        ssl_certfile=options.certfile,
        ssl_keyfile=options.keyfile,
        h11_max_incomplete_event_size=_HEAD_BYTES,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"'{options.certfile}' and '{options.keyfile}' are no certificate and key: "
            f"{str(error).rstrip('.')}; give PEM files"
        ) from None
    return Server(config, on_stop)


def serve_app(
    app: ASGIApp,
    options: ServeOptions,
    *,
    started: Callable[[int], None],
    on_stop: Callable[[], None] = lambda: None,
    changed: Callable[[int], object] = lambda count: None,
) -> None:
    """Serve an application until SIGTERM or Ctrl-C.

    Args:
        app: what answers.
        options: where it listens, and the limits of connections.
        started: called with the port once clients can connect.
        on_stop: called in the event loop when the server is to end.
        changed: called with the number of connections.

    Raises:
        ArgumentError, OutputError: it cannot listen there.
        InputError: the certificate or its key cannot be read.
    """
    with listen(options) as listener:
        server = make_server(app, options, on_stop, changed)
        port = listener.getsockname()[1]

        async def run() -> None:
            asyncio.get_running_loop().call_soon(started, port)
            await server.serve(sockets=[listener])

        asyncio.run(run())


class Running:
    """A server in a thread, until it is closed."""

    def __init__(self, app: ASGIApp, options: ServeOptions, on_stop: Callable[[], None] = lambda: None) -> None:
        self._listener = listen(options)
        self.port: int = self._listener.getsockname()[1]
        self._server = make_server(app, options, on_stop, lambda count: None)
        self._thread = threading.Thread(target=self._run, name="limner page", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._listener:
            asyncio.run(self._server.serve(sockets=[self._listener]))

    def close(self) -> None:
        """End it, with what runs."""
        self._server.should_exit = True
        self._thread.join()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


def start(app: ASGIApp, options: ServeOptions, on_stop: Callable[[], None] = lambda: None) -> Running:
    """Serve an application in a thread.

    Raises:
        ArgumentError, OutputError: it cannot listen there.
    """
    return Running(app, options, on_stop)


def raise_file_limit(connections: int) -> None:
    """Let this process have as many open files as it needs for so many connections, as far as it may."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 2 * connections + 256
        if soft != resource.RLIM_INFINITY and soft < wanted:
            most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
