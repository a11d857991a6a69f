"""The body of a request, as it comes: raw or as multipart, within its limits of size and time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from .limits import RefusedError
from .options import ServeOptions

_MOST_HEAD = 8_000  # bytes of the heads of a part
_MOST_FIELD = 2_000  # bytes of a field that is no file
_MOST_FIELDS = 50
_FRAME = 100_000  # bytes that multipart adds to a file


@dataclass
class Upload:
    """What came beside the file itself."""

    filename: str = ""  # as the client calls it: a text, never a path
    fields: dict[str, str] = field(default_factory=dict)  # of a form
    size: int = 0  # bytes of the file


async def receive(request: Request, most: int, options: ServeOptions, write: Callable[[bytes], Any]) -> Upload:
    """Read the file that a request brings, and give its pieces to ``write``.

    Args:
        request: whose body is the file itself, or a form with one file.
        most: bytes of the file.
        options: the limits of time.
        write: takes the pieces in order; what it returns is awaited where it can be.

    Raises:
        RefusedError: too large (413), too slow (408), no file in a form or a damaged one (400).
        ClientDisconnect: nobody waits any more.
    """
    sort, parameters = parse_options_header(request.headers.get("content-type", ""))
    upload = Upload()
    form = sort == b"multipart/form-data"
    parts = _Parts(parameters.get(b"boundary", b""), upload) if form else None
    async for piece in _pieces(request, most + (_FRAME if form else 0), options):
        found = [piece] if parts is None else parts.feed(piece)
        for data in found:
            upload.size += len(data)
            if upload.size > most:
                raise _too_large(most)
            written = write(data)
            if asyncio.iscoroutine(written):
                await written
    if parts is not None:
        parts.finish()
    return upload


async def _pieces(request: Request, most: int, options: ServeOptions) -> AsyncIterator[bytes]:
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most:
        raise _too_large(most)
    began, total = time.monotonic(), 0
    while True:
        message = await _message(request, options.idle_timeout)
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        total += len(message.get("body", b""))
        if total > most:
            raise _too_large(most)
        passed = time.monotonic() - began
        more = message.get("more_body", False)
        if more and passed > options.idle_timeout and total < options.min_rate * passed:
            raise RefusedError(
                408, f"the body comes at {total / passed:.0f} bytes a second where {options.min_rate} are needed"
            )
        if more and passed > options.upload_timeout:
            raise RefusedError(408, f"the body took more than {options.upload_timeout:g} seconds; make it smaller")
        if message.get("body"):
            yield message["body"]
        if not more:
            return


async def _message(request: Request, idle: float) -> Message:
    """Return the next piece of a body; wait for it, and not long once the server is to stop."""
    stopping: asyncio.Event = request.app.state.served.stopping
    waited, step = 0.0, min(1.0, idle)
    while True:
        try:
            return await asyncio.wait_for(request.receive(), step)
        except asyncio.TimeoutError:
            waited += step
        if waited >= idle:
            raise RefusedError(408, f"nothing of the body came for {idle:g} seconds; send it again")
        if stopping.is_set():
            raise RefusedError(503, "the server is stopping; send it again in a moment", {"Retry-After": "5"})


def _too_large(most: int) -> RefusedError:
    return RefusedError(413, f"the file is larger than the {most / 1e6:.0f} MB that are taken; make it smaller")


class _Parts:
    """Finds the one file in a form, piece by piece."""

    def __init__(self, boundary: bytes, upload: Upload) -> None:
        if not boundary or len(boundary) > 200:
            raise RefusedError(400, "the form has no boundary; let your library write the header Content-Type")
        self._upload = upload
        self._found: list[bytes] = []
        self._head = self._value = b""
        self._heads: dict[bytes, bytes] = {}
        self._size = 0  # of the heads of a part
        self._name: str | None = None  # of a field that is no file
        self._field = b""
        self._takes = self._has_file = self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._add_name,
                "on_header_value": self._add_value,
                "on_header_end": self._end_head,
                "on_headers_finished": self._look,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_end": self._finished,
            },
        )

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the pieces of the file in a piece of the form."""
        self._found = []
        try:
            self._parser.write(piece)
        except FormParserError:
            raise _damaged() from None
        return self._found

    def finish(self) -> None:
        """Check that the form is whole, and had a file."""
        if not self._ended:
            raise _damaged()
        if not self._has_file:
            raise RefusedError(400, "the form has no file; send it with a file name, as curl -F image=@photo.jpg does")

    def _begin(self) -> None:
        self._heads, self._size, self._takes, self._name, self._field = {}, 0, False, None, b""

    def _add_name(self, data: bytes, start: int, end: int) -> None:
        self._head += self._taken(data, start, end)

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += self._taken(data, start, end)

    def _taken(self, data: bytes, start: int, end: int) -> bytes:
        self._size += end - start
        if self._size > _MOST_HEAD:
            raise _damaged()
        return data[start:end]

    def _end_head(self) -> None:
        self._heads[self._head.lower()] = self._value
        self._head = self._value = b""

    def _look(self) -> None:
        _, options = parse_options_header(self._heads.get(b"content-disposition", b""))
        if b"filename" in options:
            if self._has_file:
                raise RefusedError(400, "the form has several files where one is needed; send one request for each")
            self._has_file = self._takes = True
            self._upload.filename = options[b"filename"].decode("utf-8", "replace")
        else:
            self._name = options.get(b"name", b"").decode("utf-8", "replace")
            if len(self._upload.fields) >= _MOST_FIELDS:
                raise RefusedError(400, f"the form has more than {_MOST_FIELDS} fields")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._takes:
            self._found.append(data[start:end])
            return
        self._field += data[start:end]
        if len(self._field) > _MOST_FIELD:
            raise RefusedError(
                413, f"a field of the form is longer than {_MOST_FIELD} bytes; a file needs a file name in its part"
            )

    def _end(self) -> None:
        if self._name:
            self._upload.fields[self._name] = self._field.decode("utf-8", "replace")

    def _finished(self) -> None:
        self._ended = True


def _damaged() -> RefusedError:
    return RefusedError(400, "the form is damaged or cut short; send it again")
