"""What a server is told when it starts: where it listens, whom it answers, and how much it takes."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from ..errors import ArgumentError, check_number, said

SHORTEST_TOKEN = 16  # characters: fewer can be guessed
_TOKEN = re.compile(r"[A-Za-z0-9._~-]+")  # fits a header, a WebSocket's subprotocol and a URL's fragment
_NAME = re.compile(r"[A-Za-z0-9._-]+|\[?[0-9A-Fa-f:.]+\]?")


@dataclass(frozen=True)
class ServeOptions:
    """Where a server listens, whom it answers, and how much it takes; sizes are bytes, times seconds.

    Args:
        host: the address that it listens on; anything but this machine's own needs a token.
        port: 0 takes a free one.
        token: what clients must send; None asks for none.
        allow_hosts: names by which clients reach it besides its own address, as behind a proxy.
        proxy: the address of a proxy whose X-Forwarded-For is believed; "" believes none.
        certfile, keyfile: PEM files, for HTTPS.
        batch: most images in one call of the networks.
        wait: how long an image waits for others that are on their way.
        most_waiting: images that wait for the networks at most, of all clients.
        longest_wait: an image that would wait longer is refused.
        max_image_bytes, max_video_bytes: of an upload.
        max_pixels: of an image, or of a frame of a video.
        max_seconds: of a video.
        max_videos: that are processed at a time.
        max_live: live sessions at a time.
        max_connections: at a time.
        max_memory: of uploads and images that are held at a time.
        head_timeout: for the head of a request.
        idle_timeout: between two pieces of an upload, and of a download.
        min_rate: bytes per second that an upload must reach on average.
        upload_timeout: for a whole upload.
        keep_alive: how long a connection stays open without a request.
        drawing_seconds: how long a drawn video can be fetched.
        grace: how long requests that run may take once the server is told to stop.

    Raises:
        ArgumentError: an impossible value, or no token where others reach the server.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    allow_hosts: tuple[str, ...] = ()
    proxy: str = ""
    certfile: str | None = None
    keyfile: str | None = None
    batch: int = 8
    wait: float = 0.004
    most_waiting: int = 128
    longest_wait: float = 5.0
    max_image_bytes: int = 32_000_000
    max_video_bytes: int = 512_000_000
    max_pixels: int = 50_000_000
    max_seconds: float = 600.0
    max_videos: int = 2
    max_live: int = 16
    max_connections: int = 512
    max_memory: int = 1_500_000_000
    head_timeout: float = 10.0
    idle_timeout: float = 10.0
    min_rate: int = 20_000
    upload_timeout: float = 300.0
    keep_alive: float = 20.0
    drawing_seconds: float = 300.0
    grace: float = 10.0

    def __post_init__(self) -> None:
        check_number("--port", self.port, 0, 65535)
        for name in ("batch", "most_waiting", "max_image_bytes", "max_video_bytes", "max_pixels", "max_videos"):
            check_number(f"--{name.replace('_', '-')}", getattr(self, name), 1)
        for name in ("max_seconds", "longest_wait", "head_timeout", "idle_timeout", "drawing_seconds"):
            check_number(f"--{name.replace('_', '-')}", getattr(self, name), 0.01)
        for name in self.allow_hosts:
            if not _NAME.fullmatch(name):
                raise ArgumentError(
                    f"--allow-host is {said(name)} where the name of a host is needed, such as face.example.com, "
                    "without https:// and port"
                )
        if self.token is not None and (len(self.token) < SHORTEST_TOKEN or not _TOKEN.fullmatch(self.token)):
            raise ArgumentError(
                f"the token has {len(self.token)} characters where at least {SHORTEST_TOKEN} letters, digits, "
                "dots, dashes, tildes or underscores are needed: --token auto makes one"
            )
        if self.token is None and not self.is_local:
            raise ArgumentError(
                f"--host {self.host} lets others in the network reach the server, so it needs a token: "
                f"give --token auto, or one of {SHORTEST_TOKEN} characters or more in the variable LIMNER_TOKEN"
            )
        if (self.certfile is None) != (self.keyfile is None):
            raise ArgumentError("--certfile and --keyfile belong together: give both, or none for http")

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the server."""
        return is_loopback(self.host)

    @property
    def scheme(self) -> str:
        return "http" if self.certfile is None else "https"

    def url(self, port: int) -> str:
        """Return the address of the page, as a browser on this machine opens it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)
        return f"{self.scheme}://{f'[{host}]' if ':' in host and host[0] != '[' else host}:{port}"


def is_loopback(host: str) -> bool:
    """Return whether a host, by name or address, is this machine for itself alone."""
    if host.lower().rstrip(".") == "localhost":
        return True
    address = ip_address(host)
    return address is not None and address.is_loopback


def ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that a text is, in brackets or not; None for a name."""
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
