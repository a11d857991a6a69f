"""What the tests of `limner serve` share: a server in a process of its own, and requests to it."""

from __future__ import annotations

import http.client
import json
import os
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_STARTS = re.compile(r"serving .* on https?://[^ ]*:(\d+)")
SECONDS = 60.0


@dataclass
class Answer:
    """What a server answered."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json["error"])


@dataclass
class Server:
    """A running `limner serve`."""

    process: subprocess.Popen[str]
    port: int
    token: str | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def request(
        self,
        method: str,
        path: str,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float = SECONDS,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        given = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            connection.request(method, path, data, {**given, **(headers or {})})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("GET", path, None, headers)

    def post(self, path: str, data: Any, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("POST", path, data, headers)

    def socket(self, sent: bytes = b"", timeout: float = 20.0) -> socket.socket:
        """Return a bare connection on which some bytes were sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=timeout)
        connection.sendall(sent)
        return connection

    def descriptors(self) -> int:
        """Return how many files and sockets the server has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


def form(path_name: str, data: bytes, fields: Mapping[str, str] | None = None) -> tuple[bytes, dict[str, str]]:
    """Return a form with a file and fields, and the header that goes with it."""
    parts = [
        b'--limit\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (n.encode(), v.encode())
        for n, v in (fields or {}).items()
    ]
    head = f'--limit\r\nContent-Disposition: form-data; name="image"; filename="{path_name}"\r\n\r\n'.encode()
    body = b"".join(parts) + head + data + b"\r\n--limit--\r\n"
    return body, {"Content-Type": "multipart/form-data; boundary=limit"}


@contextmanager
def serve(*options: str, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Start `limner serve` on a free port, wait until it answers, and end it by SIGTERM."""
    pytest.importorskip("uvicorn", reason="needs the extra serve: pip install -e .[serve]")
    pytest.importorskip("prometheus_client", reason="needs the extra serve: pip install -e .[serve]")
    command = [sys.executable, "-m", "limner", "serve", "--port", "0", *options]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
    )
    try:
        server = Server(process, _port_of(process))
        if "--token" in options:
            server.token = options[options.index("--token") + 1]
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _port_of(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    deadline, said = time.monotonic() + SECONDS, ""
    while time.monotonic() < deadline:
        ready, _, _ = select.select([process.stdout], [], [], 1.0)
        line = process.stdout.readline() if ready else ""
        said += line
        if match := _STARTS.search(line):
            return int(match[1])
        if not line and process.poll() is not None:
            break
    raise AssertionError(f"limner serve did not start: {said}")


def jpeg(image: Any) -> bytes:
    """Return an image as the content of a JPEG."""
    import cv2

    done, data = cv2.imencode(".jpg", image)
    assert done
    return data.tobytes()


def clip(path: Path, image: Any, frames: int = 8, rate: int = 10) -> Path:
    """Write a video in which an image moves a little, and return its path."""
    import numpy as np

    from limner.video.writer import VideoWriter

    with VideoWriter(path, rate) as writer:
        for number in range(frames):
            writer.write(np.roll(image, 4 * number, axis=1), number / rate, 1 / rate)
    return path
