"""Which inputs are videos, and how FFmpeg opens them."""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import av
import av.error

from .. import web
from ..errors import InputError
from ..files import IMAGE_SUFFIXES, VIDEO_SUFFIXES, dangling
from ..masking import masked
from . import limits, playlists, samples
from .common import file_url, scheme_of

LIVE_SCHEMES = frozenset(("rtsp", "rtsps", "rtmp", "rtmps", "rtp", "udp", "srt", "tcp"))
SCHEMES = LIVE_SCHEMES | {"http", "https"}

_STILL_IMAGE_FORMATS = frozenset(
    ("image2", "ico", "tty", "bin", "xbin", "adf", "idf")
)  # demuxers of images, and of text as an image

# errors of PyAV, of which older releases lack some
_STATUSES = {
    "HTTPUnauthorizedError": 401,
    "HTTPForbiddenError": 403,
    "HTTPNotFoundError": 404,
    "HTTPTooManyRequestsError": 429,
}

_ATTACHED_PICTURE = 0x400  # AV_DISPOSITION_ATTACHED_PIC


def is_video(address: str | os.PathLike[str]) -> bool:
    """Return whether a path or URL names a video: by its suffix, or by the content of a file with an unknown suffix.

    An animated GIF counts as an image, a device is not a video, and a URL is one unless it ends like an image.
    """
    text = without_file_scheme(address)
    scheme = scheme_of(text)
    if scheme in LIVE_SCHEMES:
        return True
    try:
        suffix = Path(urlsplit(text).path if scheme else text).suffix.lower()
    except ValueError:  # such as http://[::1/clip.mp4; opening it raises the error
        suffix = ""
    if scheme:
        return scheme in SCHEMES and suffix not in IMAGE_SUFFIXES
    if suffix in VIDEO_SUFFIXES or suffix in IMAGE_SUFFIXES or not os.path.isfile(text):
        return suffix in VIDEO_SUFFIXES
    return content_is_video(text)


def content_is_video(path: str) -> bool:
    """Return whether FFmpeg finds a video in a file, whatever its name."""
    try:
        playlists.check_file(path)
        samples.check_index(path)
        with av.open(file_url(path), options=playlists.open_options("")) as container:
            return not is_still_image(container) and video_stream(container) is not None
    except (av.error.FFmpegError, InputError, OSError, ValueError):
        return False


def open_container(address: str, timeout: float = 10.0, max_pixels: int | None = None) -> Any:
    """Open a path or URL as PyAV's InputContainer; no server may stay silent for longer than about ``timeout`` seconds.

    Args:
        address: what is opened, and what it may name, see `playlists`.
        timeout: seconds.
        max_pixels: of a frame, see `limits`.

    Raises:
        InputError: It does not exist, access is denied, the server does not respond in time, FFmpeg does not
            know the format, or it is a text that names other files.
    """
    scheme = scheme_of(address)
    began = time.monotonic()
    try:
        if not scheme:
            _check_file(address)
            options = playlists.open_options("", playlist=playlists.check_file(address))
            options |= limits.decoder_options(max_pixels)
            limits.check_animation(address, max_pixels)
            samples.check_index(address)
            container = av.open(file_url(address), options=options)
            if container.format.name == "jpeg_pipe" and Path(address).suffix.lower() in (".mjpg", ".mjpeg"):
                container.close()  # JPEGs one after the other, which FFmpeg takes for a single image
                container = av.open(file_url(address), format="mjpeg", options=options)
            return container
        if scheme not in SCHEMES:
            raise InputError(
                f"{display_name(address)} cannot be read: '{scheme}' is not one of {', '.join(sorted(SCHEMES))}"
            )
        # FFmpeg's own timeouts come first; PyAV's, which interrupts it anywhere, is the last resort.
        limit = 3 * timeout
        options = _stream_options(scheme, timeout) | playlists.open_options(scheme) | limits.decoder_options(max_pixels)
        container = av.open(web.quoted(address), options=options, timeout=(limit, limit))
        if container.format.name == "jpeg_pipe" and (container.size or 0) <= 0:
            container.close()  # JPEGs one after the other, without an end
            container = av.open(web.quoted(address), format="mjpeg", options=options, timeout=(limit, limit))
        return container
    except (av.error.FFmpegError, OSError, ValueError) as error:
        # FFmpeg's RTSP reports a timeout as invalid data.
        timed_out = scheme in LIVE_SCHEMES and time.monotonic() - began >= timeout
        reason = failure_reason(address, TimeoutError() if timed_out else error, timeout)
        raise InputError(f"{display_name(address)} cannot be read: {reason}{_escapes_missing(address)}") from None


class VideoStream(Protocol):
    """What `open_stream` reads: standard input as it comes, or as a file."""

    ended: bool  # nothing more is wanted

    def read(self, size: int) -> bytes: ...

    def seekable(self) -> bool: ...


def open_stream(
    stream: VideoStream,
    fps: float | None = None,
    name: str = "the video on standard input",
    max_pixels: int | None = None,
) -> Any:
    """Open what an object reads as PyAV's InputContainer.

    Args:
        stream: read from where it stands; frames are decoded as they come where it cannot be sought.
        fps: frames per second where it is one image after the other, as its attribute ``kind`` says.
        name: what errors call it.
        max_pixels: of a frame, see `limits`.

    Raises:
        InputError: it is not a video.
    """
    demuxer = {"JPEG": "mjpeg", "PNG": "png_pipe"}.get(getattr(stream, "kind", None) or "")
    options = {} if fps is None or demuxer is None else {"framerate": str(fps)}
    options |= playlists.open_options("-") | limits.decoder_options(max_pixels)
    if not stream.seekable():
        options["analyzeduration"] = "1000000"  # of a second at most, for the sake of live streams
    try:
        return av.open(stream, format=demuxer, options=options)
    except (av.error.FFmpegError, OSError, ValueError):
        raise InputError(
            f"{name} holds no image or video that can be read; pipe one in, such as: limner run - < clip.mp4"
        ) from None


def without_file_scheme(address: str | os.PathLike[str]) -> str:
    """Return the URL as text, and the path of one that begins with file://."""
    text = os.fspath(address)
    with suppress(ValueError):  # such as file://[clip.mp4; opening it raises the error
        return unquote(urlsplit(text).path) if scheme_of(text) == "file" else text
    return text


def display_name(address: str) -> str:
    """Return the URL as messages show it: without a password, a path in quotes."""
    return masked(address) if scheme_of(address) else f"'{masked(address)}'"


def failure_reason(address: str, error: Exception, timeout: float) -> str:
    """Return in half a sentence why reading failed and what to do."""
    if scheme_of(address):
        if getattr(error, "errno", None) == errno.EIO and (problem := _certificate_problem(address, timeout)):
            return problem
        return _network_reason(error, timeout)
    if isinstance(error, PermissionError):
        return "permission denied; change its permissions or run as a user who may read it"
    with suppress(OSError), open(address, "rb") as file:
        if file.read(8)[4:] == b"ftyp":
            return "it is damaged or cut short, so that its index is missing; copy it again"
    return "it is not a video, or a damaged one; copy it again or give another file"


def is_still_image(container: Any) -> bool:
    """Return whether a container holds an image, or a text that FFmpeg would render as one."""
    name = container.format.name
    return name in _STILL_IMAGE_FORMATS or name.endswith("_pipe")


def video_stream(container: Any) -> Any:
    """Return the first video stream that is not the cover image of a song, or None."""
    return next(
        (s for s in container.streams.video if not _flags(getattr(s, "disposition", 0)) & _ATTACHED_PICTURE), None
    )


def _flags(value: Any) -> int:
    return int(getattr(value, "value", value))  # PyAV 15 gives a Flag, which is not an int


def _check_file(path: str) -> None:
    """Raise InputError with the reason where a path cannot be a video file."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        link = dangling(Path(path)) if os.path.islink(path) else f"'{path}' does not exist; check the path"
        raise InputError(link) from None
    except ValueError:
        raise InputError(f"{path!r} is not a path; check it for stray characters") from None
    except OSError as error:
        raise InputError(f"'{path}' cannot be read: {(error.strerror or str(error)).lower()}; check the path") from None
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"'{path}' is a folder where a video is needed; give a file in it")
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        raise InputError(f"'{path}' is a device, not a video file; give a camera as webcam:0 or /dev/video0")
    if stat.S_ISREG(status.st_mode) and not status.st_size:
        raise InputError(f"'{path}' is empty (0 bytes); replace it by a video")


def _stream_options(scheme: str, timeout: float) -> dict[str, str]:
    """Return the options of FFmpeg's protocols; with them a silent server is a timeout."""
    microseconds = str(int(timeout * 1e6))
    options = {"rw_timeout": microseconds, "user_agent": web.user_agent()}
    if scheme in ("http", "https"):
        # By default the FFmpeg in PyAV accepts any certificate; http may redirect to https.
        verified = {"tls_verify": "1", "ca_file": _ca_file()}
        # One connection for all parts of a file: FFmpeg 8 loses the first frames where a server closes the first
        # connection without announcing it.
        return options | verified | {"multiple_requests": "1", "reconnect": "1", "reconnect_delay_max": "4"}
    # A second is enough to detect the format of a live stream; FFmpeg's default is to wait for five.
    options["analyzeduration"] = "1000000"
    if scheme in ("rtsp", "rtsps"):
        options |= {"timeout": microseconds, "stimeout": microseconds, "rtsp_flags": "prefer_tcp"}
    if scheme in ("udp", "rtp"):
        options["timeout"] = microseconds
    return options


def _ca_file() -> str:
    """Return the file of the trusted certificate authorities: the system's, else certifi's."""
    system = ssl.get_default_verify_paths().cafile  # respects SSL_CERT_FILE
    if system is not None:
        return system
    import certifi

    return certifi.where()


def _certificate_problem(address: str, timeout: float) -> str | None:
    """Return the problem of an https URL with its certificate, which FFmpeg does not report; None for none."""
    with suppress(OSError, ValueError):
        parts = urlsplit(address)
        if parts.scheme.lower() == "https" and parts.hostname:
            context = ssl.create_default_context(cafile=_ca_file())
            try:
                with socket.create_connection((parts.hostname, parts.port or 443), timeout) as connection:
                    context.wrap_socket(connection, server_hostname=parts.hostname).close()
            except ssl.SSLCertVerificationError as error:
                return (
                    f"its certificate is not trusted ({error.verify_message.rstrip('.')}); for your own one, "
                    "set the environment variable SSL_CERT_FILE to its file"
                )
    return None


def _network_reason(error: Exception, timeout: float) -> str:
    if isinstance(error, (TimeoutError, av.error.ExitError)):
        return f"nothing came for {timeout:g} s; check that it is running"
    for name, code in _STATUSES.items():
        if isinstance(error, getattr(av.error, name, ())):
            return web.refusal(code)
    if isinstance(error, (av.error.HTTPClientError, av.error.HTTPServerError)):
        later = "" if isinstance(error, av.error.HTTPClientError) else " or try again later"
        return f"its server answers with an error ({error.strerror}); check the URL{later}"
    if isinstance(error, ConnectionRefusedError):
        return "nothing answers there; check host and port, and that it is running"
    if isinstance(error, (av.error.InvalidDataError, av.error.EOFError)):
        return "what it sends is not a video; check the URL"
    if getattr(error, "errno", None) == errno.EIO:
        return "the connection failed; check the URL and the network"
    return f"{web.plain_reason(error)}; check the URL and the network"


def _escapes_missing(address: str) -> str:
    """Return a hint for a URL whose password may have been taken for the end of its host."""
    host = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#@\[\]]*)[/?#].*@", address, re.DOTALL)
    return f"; {web.ESCAPES}" if host is not None and ":" in host[1] else ""
