"""URLs: what a server has is told by its answer, not by how the URL ends. Each is asked once, before anything is read.

The beginning of a video is enough; an image is kept, as it has come, so that it is not asked for again.
"""

from __future__ import annotations

import io
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from .. import web
from ..errors import InputError
from ..files import IMAGE_SUFFIXES
from ..images import image_suffix, is_image
from ..masking import masked
from ..video.animations import animation_of
from .content import holds_video, index_comes_last, may_be_video
from .inputs import Input

MAX_BYTES = 1 << 30  # of one image
KEPT_BYTES = 1 << 28  # of all images that wait to be read
MAX_VIDEO_BYTES = 1 << 31  # of a video that has to be stored before it is read
MAX_ENDLESS = 1 << 28  # bytes of an image whose server does not say how long it is
TIMEOUT = 10.0  # seconds within which a server has to respond
LONGEST = 120.0  # seconds within which an answer of unknown length has to end
_START = 4096  # bytes that tell what a server has
_PLAYLIST = 1 << 20  # bytes of the longest playlist that is looked into
_OTHER_KINDS = frozenset(
    f"{group}/{kind}"
    for group in ("application", "text")
    for kind in ("json", "pdf", "xml", "zip", "css", "javascript")
)
_TWO_JPEGS = b"\xff\xd9\xff\xd8\xff"  # the end of one and the start of the next, without anything between them
_TWO_IMAGES = b"MPF\0"  # of a file in which a camera has put several, of which the first is the image


def input_at(address: str, *, keep: bool = True) -> Input:
    """Return the input at a URL; of http and https the server is asked, and where it does not answer the URL decides.

    Args:
        address: the URL.
        keep: an image may stay in memory until it is read.

    Raises:
        InputError: it is no valid URL, or its password needs escapes.
    """
    shown = masked(address)
    try:
        parts = urlsplit(address)
        hidden = urlsplit(shown)
    except ValueError:
        raise InputError(f"{shown} is not a valid URL; check it for stray characters") from None
    if web.needs_escapes(address):
        raise InputError(f"{shown} cannot be read: {web.ESCAPES}")
    scheme = parts.scheme.lower()
    if scheme == "file":
        path = Path(unquote(parts.path))
        return Input(path.name, path, is_video=holds_video(path))
    name = PurePosixPath(unquote(hidden.path)).name
    if not name.replace("*", "").lstrip("."):  # all of it is secret, or there is none
        name = re.sub(r"[.%*]", "_", hidden.hostname or "stream").strip("_") + PurePosixPath(name).suffix
    name = re.sub(r'[\\/:*?"<>|\x00-\x1f]', "_", name)[:100]
    named = Input(name, address=address, is_video=True)
    if scheme not in ("http", "https"):
        return named
    try:
        return _looked_at(named, keep)
    except InputError as error:
        is_video = PurePosixPath(parts.path).suffix.lower() not in IMAGE_SUFFIXES
        return replace(named, is_video=is_video, problem=str(error))


def fetch(address: str) -> bytes:
    """Return the content of an image on a web server.

    Raises:
        InputError: it does not answer, or has more than `MAX_BYTES`.
    """
    with _Answer(address) as answer:
        return answer.rest()


def fetch_file(address: str) -> Any:
    """Return a video on a web server as a file, which the system removes when it is closed.

    Raises:
        InputError: it does not answer, has more than `MAX_VIDEO_BYTES`, or there is no room for it.
    """
    too_large = (
        "and cannot be read as it comes: its index is at its end, and its server sends no parts of files; "
        "download it and give the file"
    )
    file = tempfile.NamedTemporaryFile(prefix="limner-", suffix=".mp4")  # noqa: SIM115 - open as long as its video
    try:
        with _Answer(address) as answer:
            for part in answer.parts(MAX_VIDEO_BYTES, too_large):
                file.write(part)
        file.flush()
        file.seek(0)
    except OSError as error:
        file.close()
        raise InputError(
            f"{masked(address)} cannot be stored in '{tempfile.gettempdir()}', which it needs: "
            f"{web.plain_reason(error)}; free some space or set TMPDIR to another folder"
        ) from None
    except InputError:
        file.close()
        raise
    return file


class _Answer:
    """The response of a server, and what has come of it.

    Raises:
        InputError: it does not answer, says no, or breaks off.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self.data = bytearray()
        self._began = time.monotonic()
        self._response: Any = self._try(lambda: web.open_url(address, TIMEOUT))
        headers = self._response.headers
        self.kind: str = headers.get_content_type()
        length = headers.get("Content-Length", "")
        self.length = int(length) if length.isdigit() else None
        self.in_parts = headers.get("Accept-Ranges", "").strip().lower() == "bytes"

    def _try(self, action: Callable[[], Any]) -> Any:
        from http.client import HTTPException

        try:
            return action()
        except (OSError, ValueError, HTTPException) as error:
            reason = web.reason(error, TIMEOUT)
            raise InputError(f"{masked(self._address)} cannot be read: {reason}") from None

    def peek(self, size: int) -> bytes:
        """Return the first ``size`` bytes, or all where there are fewer."""
        self.more(size)
        return bytes(self.data[:size])

    def more(self, size: int) -> bool:
        """Read on up to ``size`` bytes in all; return False at the end."""
        while len(self.data) < size:
            came: bytes = self._try(lambda: self._response.read1(min(1 << 16, size - len(self.data))))
            if not came:
                return False
            self.data += came
            self._check_time()
        return True

    def _check_time(self) -> None:
        """Raise InputError where an answer may have no end, and has not come to one in time."""
        if self.length is None and time.monotonic() > self._began + LONGEST:
            raise InputError(f"{masked(self._address)} cannot be read: it has not come to an end within {LONGEST:g} s")

    def rest(self) -> bytes:
        """Return all of it."""
        most = MAX_ENDLESS if self.length is None else MAX_BYTES
        if self.length is None or self.length <= most:
            return b"".join(self.parts(most, "too large for an image; give an image file"))
        raise InputError(
            f"{masked(self._address)} is {self.length >> 20} MB, too large for an image; give an image file"
        )

    def parts(self, most: int, too_large: str) -> Iterator[bytes]:
        """Yield all of it, part by part, up to ``most`` bytes."""
        yield bytes(self.data)
        size = len(self.data)
        self.data.clear()
        while came := self._try(lambda: self._response.read(1 << 20)):
            yield came
            size += len(came)
            self._check_time()
            if size > most:
                raise InputError(f"{masked(self._address)} is more than {most >> 20} MB, {too_large}")
        if self.length is not None and size < self.length:
            raise InputError(
                f"{masked(self._address)} cannot be read: the connection broke off after {size} of "
                f"{self.length} bytes; try again"
            )

    def __enter__(self) -> _Answer:
        return self

    def __exit__(self, *error: object) -> None:
        self._response.close()


def _looked_at(named: Input, keep: bool) -> Input:
    """Return an input as its server's answer describes it."""
    with _Answer(named.address) as answer:
        if answer.kind == "multipart/x-mixed-replace":  # JPEGs without an end, as cameras send them
            return replace(named, live=True)
        answer.more(_START)
        start = bytes(answer.data)
        if is_image(start):
            return _image(named, answer, keep)
        if start.lstrip(b"\xef\xbb\xbf \r\n").startswith(b"#EXTM3U"):
            return replace(named, live=_is_live_playlist(named.address, answer))
        if answer.kind.startswith("image/") or (_ends_like_an_image(named) and not _is_video(answer)):
            return replace(named, is_video=False, data=answer.rest() if keep else b"")  # decoding says what is wrong
        if answer.kind == "text/html" or re.match(rb"\s*<(?:!doctype html|html)", start, re.IGNORECASE):
            raise InputError(
                f"{masked(named.address)} is a web page, not an image or a video; "
                "give the URL of the image or video in it"
            )
        if answer.kind in _OTHER_KINDS:
            raise InputError(f"{masked(named.address)} is {answer.kind}, not an image or a video; check the URL")
        if not answer.in_parts and index_comes_last(answer.peek):
            return replace(named, whole=True)
        return replace(named, live=answer.length is None and _has_no_index(start))


def _image(named: Input, answer: _Answer, keep: bool) -> Input:
    """Return an image, an animation, or the JPEGs of a camera one after the other."""
    searched = 0
    while answer.length is None and answer.data.startswith(b"\xff\xd8\xff"):
        if answer.data.find(_TWO_JPEGS, searched) >= 0 and _TWO_IMAGES not in answer.data[: 1 << 18]:
            return replace(named, live=True)
        searched = max(0, len(answer.data) - len(_TWO_JPEGS))
        if len(answer.data) > MAX_ENDLESS or not answer.more(len(answer.data) + (1 << 16)):
            break
    data = answer.rest()
    suffix = image_suffix(data)
    name = named.name if _ends_like_an_image(named) else PurePosixPath(named.name).stem + suffix
    if animation_of(io.BytesIO(data)) is not None:
        file = tempfile.NamedTemporaryFile(prefix="limner-", suffix=suffix)  # noqa: SIM115 - open as long as its input
        file.write(data)
        file.flush()
        file.seek(0)
        return replace(named, name=name, path=Path(file.name), stream=file)
    return replace(named, name=name, is_video=False, data=data if keep else b"")


def _ends_like_an_image(item: Input) -> bool:
    return PurePosixPath(item.name).suffix.lower() in IMAGE_SUFFIXES


def _is_video(answer: _Answer) -> bool:
    return may_be_video(bytes(answer.data[:16])) or answer.kind.startswith(("video/", "audio/"))


def _has_no_index(start: bytes) -> bool:
    """Return whether a video can go on for ever: MPEG-TS or FLV."""
    return start[:3] == b"FLV" or (len(start) > 188 and start[0] == start[188] == 0x47)


def _is_live_playlist(address: str, answer: _Answer) -> bool:
    """Return whether a playlist is of a stream that goes on; of a list of playlists the first one tells."""
    for _ in range(2):
        answer.more(_PLAYLIST)
        lines = [line.strip() for line in answer.data.decode("utf-8", "replace").splitlines()]
        if not any(line.startswith("#EXT-X-STREAM-INF") for line in lines):
            is_media = any(line.startswith(("#EXTINF", "#EXT-X-TARGETDURATION")) for line in lines)
            return is_media and not {"#EXT-X-ENDLIST", "#EXT-X-PLAYLIST-TYPE:VOD"}.intersection(lines)
        first = next((line for line in lines if line and not line.startswith("#")), None)
        if first is None:
            return False
        address = urljoin(address, first)
        try:
            with _Answer(address) as following:
                following.more(_PLAYLIST)
                answer = following
        except InputError:
            return False  # opening it raises the error
    return False


@dataclass
class Memory:
    """How many bytes of images may still be kept until they are read."""

    left: int = field(default_factory=lambda: KEPT_BYTES)

    def look(self, address: str) -> Input:
        """Return the input at a URL, see `input_at`."""
        item = input_at(address, keep=self.left > 0)
        self.left -= len(item.data)
        return item
