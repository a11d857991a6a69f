"""Connections: how many there may be, how long one may be silent, and how one ends whose upload was refused."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from .options import ServeOptions

_LINGER = 2.0  # seconds for which the rest of a refused upload is thrown away, so that its sender reads the answer
_LINGER_BYTES = 16_000_000
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 5\r\nConnection: close\r\n"
    b"Content-Length: 52\r\n\r\n" + b'{"error": "the server has too many connections now"}'
)


class Connections:
    """The open connections of a server.

    Args:
        most: at a time; where there are more, idle ones are closed, first those of the address that has the most.
        changed: called with how many there are.
    """

    def __init__(self, most: int, changed: Callable[[int], object] = lambda count: None) -> None:
        self._most, self._changed = most, changed
        self._idle: dict[Connection, None] = {}  # in the order in which they became idle
        self._all: dict[Connection, str] = {}
        self._of_address: Counter[str] = Counter()

    def opened(self, connection: Connection, address: str) -> bool:
        """Add a connection; return False where there is no room for it."""
        self._all[connection] = address
        self._of_address[address] += 1
        self.idle(connection)
        if len(self._all) > self._most:
            crowded = max(self._of_address.values())
            others = [c for c in self._idle if c is not connection]
            victim = next((c for c in others if self._of_address[self._all[c]] == crowded), None)
            victim = victim or next(iter(others), None)
            if victim is None:
                return False
            victim.drop()
            self.closed(victim)
        self._changed(len(self._all))
        return True

    def idle(self, connection: Connection) -> None:
        """Note that a connection waits for a request."""
        if connection in self._all:
            self._idle[connection] = None

    def busy(self, connection: Connection) -> None:
        """Note that a connection has a request, or is a WebSocket."""
        self._idle.pop(connection, None)

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        self._idle.pop(connection, None)
        address = self._all.pop(connection, None)
        if address is not None:
            self._of_address[address] -= 1
            if not self._of_address[address]:
                del self._of_address[address]
            self._changed(len(self._all))


class Connection(H11Protocol):
    """A connection of HTTP/1.1 that may be closed for the others' sake; `protocol` makes a class for one server."""

    book: Connections
    options: ServeOptions

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._lingers = 0  # bytes that are still thrown away
        self._upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a new connection, or refuse it where there are too many."""
        super().connection_made(cast(asyncio.Transport, _Ending(cast(asyncio.Transport, transport), self)))
        if not self.book.opened(self, self.client[0] if self.client else ""):
            self.transport.write(_FULL)
            self.transport.close()
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_head_timer()
        self._stop_write_timer()
        self.book.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what comes; throw it away after a refusal."""
        if self._lingers:
            self._lingers = max(0, self._lingers - len(data))
            if not self._lingers:
                self.drop()
            return
        super().data_received(data)
        if self._upgraded or self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_head_timer()
            self.book.busy(self)
        elif self._head_timer is None:
            self._await_head()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over to a WebSocket, which counts on."""
        self._upgraded = True
        self._stop_head_timer()
        self.book.busy(self)
        super().handle_websocket_upgrade(event)
        ending = cast("_Ending", self.transport)
        inner: Any = ending.get_protocol()
        lost, pause, resume = inner.connection_lost, inner.pause_writing, inner.resume_writing

        def closed(exc: Exception | None) -> None:
            self._stop_write_timer()
            self.book.closed(self)
            lost(exc)

        def paused() -> None:
            self._await_reader()
            pause()

        def resumed() -> None:
            self._stop_write_timer()
            resume()

        inner.connection_lost, inner.pause_writing, inner.resume_writing = closed, paused, resumed

    def pause_writing(self) -> None:
        """Wait for a slow reader, for a while."""
        self._await_reader()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Go on, as the reader has."""
        self._stop_write_timer()
        super().resume_writing()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self.book.idle(self)
        super().on_response_complete()
        if self.cycle is not None and not self.cycle.response_complete:  # one that was sent ahead has begun
            self.book.busy(self)

    @property
    def unread(self) -> bool:
        """Whether a request was answered before all of its body came."""
        return self.cycle is not None and self.cycle.response_complete and self.cycle.more_body

    def linger(self, transport: asyncio.Transport) -> None:
        """Say that nothing more will be sent, and throw away what still comes for a moment."""
        self._lingers = _LINGER_BYTES
        self._unset_keepalive_if_required()
        if transport.can_write_eof():
            transport.write_eof()
        self.flow.read_paused = False
        transport.resume_reading()
        self.loop.call_later(_LINGER, self.drop)

    def drop(self) -> None:
        """Close the connection at once."""
        self._lingers = 0
        cast("_Ending", self.transport).end()

    def _await_head(self) -> None:
        self._stop_head_timer()
        self._head_timer = self.loop.call_later(self.options.head_timeout, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self.transport.is_closing():
            return
        if self.conn.trailing_data[0]:  # a part of a head came
            self.transport.write(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        self.transport.close()

    def _await_reader(self) -> None:
        self._stop_write_timer()
        self._write_timer = self.loop.call_later(3 * self.options.idle_timeout, self.transport.abort)

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class _Ending:
    """A transport whose `close` lets the sender of a refused upload read the answer first.

    A connection that is closed while data comes in is reset, and the answer is lost with it.
    """

    def __init__(self, transport: asyncio.Transport, connection: Connection) -> None:
        self._transport, self._connection = transport, connection
        self._closing = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        if not self._closing and self._connection.unread and not self._transport.is_closing():
            self._closing = True
            self._connection.linger(self._transport)
        elif not self._closing:
            self._transport.close()

    def end(self) -> None:
        self._closing = True
        self._transport.close() if not self._transport.get_write_buffer_size() else self._transport.abort()

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()


def protocol(options: ServeOptions, changed: Callable[[int], object] = lambda count: None) -> type[Connection]:
    """Return the class of the connections of one server."""
    book = Connections(options.max_connections, changed)
    return type("ServedConnection", (Connection,), {"book": book, "options": options})
