"""`limner serve` among strangers: what is too large, too slow, from elsewhere or not asked for is refused."""

from __future__ import annotations

import http.client
import json
import os
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from limner import loading
from limner.serve import app, runner
from limner.serve.guard import Guard
from limner.serve.options import ServeOptions
from limner.serve.served import Served
from serving import Server, clip, form, jpeg, serve

TOKEN = "a-token-for-tests-only"
LONG = os.environ.get("LIMNER_LONG") == "1"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve("--max-image-mb", "4", "--max-video-mb", "4", "--max-connections", "200") as running:
        yield running


@pytest.fixture(scope="module")
def photo(portrait: np.ndarray) -> bytes:
    return jpeg(portrait)


@contextmanager
def own_server(options: ServeOptions) -> Iterator[Server]:
    """Run a server in this process, with options that the command does not have."""
    served = Served({"face-lite": lambda: loading.load("face-lite")}, options)
    served.open()
    with runner.start(app.build(served), options, served.stop) as started:
        yield Server(None, started.port)  # type: ignore[arg-type]
    served.close()


def usual(server: Server, photo: bytes) -> float:
    """Return the seconds in which a good request is answered."""
    began = time.monotonic()
    assert server.post("/v1/predict", photo).status == 200
    return time.monotonic() - began


# -- size ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/predict/video"])
def test_an_upload_that_declares_two_gigabytes_is_refused_unread(server: Server, photo: bytes, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {2 << 30}\r\n\r\n".encode()
    with server.socket(head) as connection:
        began = time.monotonic()
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert time.monotonic() - began < 2
    usual(server, photo)


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/predict/video"])
@pytest.mark.parametrize("declares", [True, False])
def test_an_upload_of_two_gigabytes_is_refused_early(server: Server, photo: bytes, path: str, declares: bool) -> None:
    """Sent by an ordinary client, which gets to read the answer though it has not sent all."""
    sent = 0
    start = photo if path == "/v1/predict" else b"\0\0\0\x18ftypisom" + bytes(20)

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        yield start
        while sent < 2 << 30:
            sent += 1 << 20
            yield bytes(1 << 20)

    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {"Content-Length": str(2 << 30)} if declares else {"Transfer-Encoding": "chunked"}
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.request("POST", path, pieces(), headers, encode_chunked=not declares)
    answer = connection.getresponse()
    assert answer.status == 413
    assert "MB" in json.loads(answer.read())["error"]
    assert sent < 64 << 20
    connection.close()
    usual(server, photo)


def test_a_file_in_a_form_is_measured_too(server: Server) -> None:
    body, headers = form("a.jpg", bytes(5_000_000))
    assert server.post("/v1/predict", body, headers).status == 413
    body, headers = form("a.jpg", b"x", {"model": "x" * 10_000})
    assert server.post("/v1/predict", body, headers).status == 413


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that declares a size, with one line of black."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


@pytest.mark.parametrize(
    "data",
    [
        png_header(50_000, 50_000),
        b"GIF89a" + struct.pack("<HH", 50_000, 50_000) + bytes(300),
        b"BM" + bytes(12) + struct.pack("<Iii", 40, 50_000, -50_000) + bytes(100),
        b"RIFF\x40\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + 2 * (16_000).to_bytes(3, "little") + bytes(100),
        b"II*\0\x08\0\0\0\x02\0" + struct.pack("<HHIIHHII", 256, 4, 1, 50_000, 257, 4, 1, 50_000) + bytes(100),
        b"\xff\xd8\xff\xc0\0\x11\x08" + struct.pack(">HH", 50_000, 50_000) + bytes(100) + b"\xff\xd9",
    ],
    ids=["png", "gif", "bmp", "webp", "tiff", "jpeg"],
)
def test_a_huge_image_is_refused_by_its_header(server: Server, data: bytes) -> None:
    answer = server.post("/v1/predict", data)
    assert answer.status == 413
    assert "scale it down" in answer.error


def test_a_long_video_and_a_large_one_are_refused(portrait: np.ndarray, photo: bytes, tmp_path: Path) -> None:
    data = clip(tmp_path / "a.mp4", portrait, frames=20).read_bytes()
    with own_server(ServeOptions(port=0, max_seconds=1, max_pixels=200_000)) as server:
        assert "200000 in all" in server.post("/v1/predict/video", data).error
        assert server.post("/v1/predict", photo).status == 413
    with own_server(ServeOptions(port=0, max_seconds=1)) as server:
        answer = server.post("/v1/predict/video", data)
        assert answer.status == 413
        assert "2 seconds" in answer.error


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"this is a text\n", 415),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415),
        (b"", 400),
        (b"\xff\xd8\xff\xe0 a text that begins like a JPEG", 400),
        (b"\x89PNG\r\n\x1a\n", 400),
    ],
)
def test_other_things_than_images_are_refused(server: Server, data: bytes, status: int) -> None:
    answer = server.post("/v1/predict", data, {"Content-Type": "image/jpeg"})
    assert answer.status == status
    assert "\n" not in answer.error


@pytest.mark.parametrize(
    "body",
    [b"", b"--limit", b'--limit\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\nx', b"\r\n" * 200],
)
def test_a_damaged_form_is_refused(server: Server, body: bytes) -> None:
    answer = server.post("/v1/predict", body, {"Content-Type": "multipart/form-data; boundary=limit"})
    assert answer.status == 400
    assert server.post("/v1/predict", body, {"Content-Type": "multipart/form-data"}).status == 400


# -- time and connections --------------------------------------------------------------------------


def test_slow_uploads_and_slow_heads_end(photo: bytes, portrait: np.ndarray) -> None:
    options = ServeOptions(port=0, head_timeout=0.6, idle_timeout=0.6, min_rate=10_000)
    with own_server(options) as server:
        head = b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n"
        silent, stops, drips = server.socket(b""), server.socket(b"GET / HT"), server.socket(head + photo[:100])
        slow = server.socket(head)
        began = time.monotonic()
        for _ in range(12):  # a byte now and then, which is never silence
            with suppress(OSError):
                slow.sendall(b"x")
            time.sleep(0.1)
        usual(server, photo)
        assert silent.recv(100) == b""
        assert stops.recv(100).startswith(b"HTTP/1.1 408")
        assert drips.recv(100).startswith(b"HTTP/1.1 408")
        assert slow.recv(100).startswith(b"HTTP/1.1 408")
        assert time.monotonic() - began < 8
        for connection in (silent, stops, drips, slow):
            connection.close()


def test_many_open_sockets_do_not_keep_others_out(server: Server, photo: bytes) -> None:
    before = min(usual(server, photo) for _ in range(3))
    sockets = [server.socket() for _ in range(1000 if LONG else 300)]
    try:
        during = min(usual(server, photo) for _ in range(3))
        assert during < 5 * before + 0.5
        assert server.descriptors() < 300
    finally:
        for connection in sockets:
            connection.close()


def test_a_client_that_vanishes_is_forgotten(
    server: Server, photo: bytes, portrait: np.ndarray, tmp_path: Path
) -> None:
    data = clip(tmp_path / "long.mp4", portrait, frames=40).read_bytes()
    usual(server, photo)
    time.sleep(0.3)
    before = server.descriptors()
    head = b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n"
    for part in (photo[: len(photo) // 2], photo):
        connection = server.socket(head % len(photo) + part)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()  # resets it
    path = b"POST /v1/predict/video HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n"
    connection = server.socket(path % len(data) + data)
    connection.recv(2000)
    connection.close()
    free = ("limner_videos 0.0", "limner_held_bytes 0.0", "limner_waiting 0.0")
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        time.sleep(0.1)
        text = server.get("/metrics").body.decode()
        if server.descriptors() <= before and all(line in text for line in free):
            break
    assert server.descriptors() <= before
    assert [line for line in free if line not in text] == []


def test_temporary_files_are_removed(photo: bytes, portrait: np.ndarray, tmp_path: Path) -> None:
    data = clip(tmp_path / "a.mp4", portrait, frames=3).read_bytes()
    folder = tmp_path / "temporary"
    folder.mkdir()
    (folder / "limner-serve-999999999-old").mkdir()
    with serve(environment={"TMPDIR": str(folder)}) as server:
        assert len(list(folder.iterdir())) == 1
        offer = json.loads(server.post("/v1/predict/video?draw=mp4", data).body.splitlines()[-1])
        assert files_left(folder, 1) == 1
        server.request("DELETE", offer["drawing"])
        server.post("/v1/predict/video", data)
        server.post("/v1/predict", photo)
        assert files_left(folder, 0) == 0
        server.post("/v1/predict/video?draw=mp4", data)  # nobody fetches it
    assert list(folder.iterdir()) == []


def test_an_upload_that_stopped_does_not_hold_up_the_end(photo: bytes) -> None:
    with serve() as server:
        head = b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999\r\n\r\n"
        with server.socket(head + photo[:100]) as half, server.socket() as silent, server.socket(b"GET / HT") as begun:
            time.sleep(0.2)
            server.process.terminate()
            began = time.monotonic()
            assert server.process.wait(10) == 0
            assert time.monotonic() - began < 5
            assert half.recv(100).startswith(b"HTTP/1.1 503")
            assert silent.recv(100) == begun.recv(100) == b""


def files_left(folder: Path, wanted: int) -> int:
    """Return how many files are in a folder: as soon as there are as many as wanted, or after two seconds."""
    deadline = time.monotonic() + 2
    while True:
        count = sum(path.is_file() for path in folder.rglob("*"))
        if count == wanted or time.monotonic() > deadline:
            return count
        time.sleep(0.02)


# -- who asks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "10.0.0.1", "a@b"])
def test_other_names_than_the_servers_are_refused(server: Server, photo: bytes, host: str) -> None:
    for path in ("/", "/v1/models", "/healthz"):
        assert server.get(path, {"Host": host}).status in (400, 421)
    assert server.post("/v1/predict", photo, {"Host": host}).status in (400, 421)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://evil.example", 403),
        ("null", 403),
        ("http://127.0.0.1:1", 403),
        ("https://127.0.0.1.evil.example", 403),
        ("OWN", 200),
    ],
)
def test_pages_of_other_sites_are_refused(server: Server, photo: bytes, origin: str, status: int) -> None:
    origin = server.url if origin == "OWN" else origin
    assert server.post("/v1/predict", photo, {"Origin": origin}).status == status
    assert handshake(server, {"Origin": origin}) == (101 if status == 200 else 403)


def handshake(server: Server, headers: dict[str, str], path: str = "/v1/live") -> int:
    """Ask for a WebSocket and return the status of the answer."""
    given = {
        "Host": f"127.0.0.1:{server.port}",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        **headers,
    }
    request = f"GET {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in given.items())
    with server.socket((request + "\r\n").encode()) as connection:
        return int(connection.recv(4096).split(b" ")[1])


def test_cross_site_requests_without_origin_are_refused(server: Server, photo: bytes) -> None:
    assert server.post("/v1/predict", photo, {"Sec-Fetch-Site": "cross-site"}).status == 403
    assert server.get("/v1/models", {"Sec-Fetch-Site": "cross-site"}).status == 403
    assert server.get("/", {"Sec-Fetch-Site": "cross-site"}).status == 200  # a link to the page


def test_a_token_is_asked_for(photo: bytes) -> None:
    with serve("--token", TOKEN) as server:
        assert server.post("/v1/predict", photo).status == 200
        for wrong in ("", "Bearer", "Bearer ", "Bearer wrong", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer é"):
            answer = server.post("/v1/predict", photo, {"Authorization": wrong.encode("latin-1").decode("latin-1")})
            assert answer.status == 401, wrong
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert TOKEN not in answer.error
        for path in ("/v1/models", "/metrics", "/v1/drawings/x", "/v1/nothing"):
            assert server.get(path, {"Authorization": "Bearer wrong"}).status == 401
        for path in ("/", "/healthz", "/openapi.json"):
            assert server.get(path, {"Authorization": "Bearer wrong"}).status == 200
        assert handshake(server, {"Sec-WebSocket-Protocol": "limner"}) == 401
        assert handshake(server, {"Sec-WebSocket-Protocol": "limner, bearer.wrong"}) == 401
        assert handshake(server, {"Sec-WebSocket-Protocol": f"limner, bearer.{TOKEN}"}) == 101


def test_the_guard_behind_names_and_proxies() -> None:
    local, public = Guard(None, ServeOptions()), Guard(None, ServeOptions(host="0.0.0.0", token=TOKEN))  # type: ignore[arg-type]
    proxied = Guard(None, ServeOptions(allow_hosts=("face.example.com",)))  # type: ignore[arg-type]
    assert local.is_ours("localhost:8000")
    assert local.is_ours("[::1]:8000")
    assert not local.is_ours("192.168.1.2")
    assert public.is_ours("192.168.1.2:8000")
    assert not public.is_ours("phone.local")
    assert proxied.is_ours("face.example.com")
    scope = {"type": "http", "method": "POST", "path": "/v1/predict", "scheme": "http"}
    proxied.check({**scope, "headers": [(b"host", b"face.example.com"), (b"origin", b"https://face.example.com")]})


@pytest.mark.parametrize(
    "path",
    [
        "/page/..%2f..%2f..%2fetc%2fpasswd",
        "/page/../../app.py",
        "/page/%2e%2e/app.py",
        "//etc/passwd",
        "/page/..\\app.py",
        "/page/index.html%00.js",
        "/v1/drawings/..%2f..%2fetc%2fpasswd",
        "/v1/models/%2fetc%2fpasswd",
        "/v1/models//etc/passwd",
        "/" + "a" * 5000,
    ],
)
def test_paths_lead_nowhere(server: Server, path: str) -> None:
    with server.socket(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()) as connection:
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.split(b" ")[1] in (b"404", b"400")
    assert b"root:" not in answer
    assert b"import" not in answer


@pytest.mark.parametrize(
    "name", ["../../../tmp/limner-evil.jpg", "/tmp/limner-evil.jpg", "a\\..\\b.jpg", "\0x.jpg", "x" * 999]
)
def test_names_of_uploads_are_only_texts(server: Server, photo: bytes, name: str) -> None:
    body, headers = form(name, photo, {"format": "jsonl"})
    answer = server.post("/v1/predict", body, headers)
    assert answer.status in (200, 400)
    if answer.status == 200:
        source = answer.json["source"]
        assert "/" not in source
        assert "\\" not in source
        assert len(source) <= 200
    assert not Path("/tmp/limner-evil.jpg").exists()


def test_every_answer_has_the_headers_of_a_careful_page(server: Server, photo: bytes) -> None:
    for answer in (server.get("/"), server.get("/docs"), server.post("/v1/predict", photo), server.get("/nothing")):
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Server" not in answer.headers
        assert "Access-Control-Allow-Origin" not in answer.headers
    for path in ("/", "/docs"):
        page = server.get(path).body.decode()
        assert "<script>" not in page
        assert "style=" not in page
        assert " on" + "click" not in page


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * 60_000 + b"\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 1\r\n\r\nx",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_what_is_no_http_does_no_harm(server: Server, photo: bytes, sent: bytes) -> None:
    with suppress(OSError), server.socket(sent) as connection:
        answer = connection.recv(65536)
        assert answer == b"" or answer.split(b" ")[1] in (b"400", b"405", b"421", b"431")
    usual(server, photo)


def test_the_container_is_small_and_not_of_root() -> None:
    lines = (Path(__file__).resolve().parents[1] / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 12
    assert any(line.startswith("FROM python:") and line.endswith("-slim") for line in lines)
    assert any(line.startswith("USER ") and "root" not in line for line in lines)
    assert any(line.startswith("HEALTHCHECK ") and "/healthz" in line for line in lines)


def test_the_page_states_the_limits_that_are() -> None:
    text = (Path(__file__).resolve().parents[1] / "docs" / "serve.md").read_text(encoding="utf-8")
    options = ServeOptions()
    for stated in (
        f"{options.max_image_bytes / 1e6:g} MB, {options.max_video_bytes / 1e6:g} MB",
        f"{options.max_pixels / 1e6:g} megapixels",
        f"{options.max_seconds / 60:g} minutes",
        f"| {options.max_videos}, {options.max_live} |",
        f"| {options.max_connections} |",
        f"{options.min_rate / 1000:g} kB a second",
        f"`--max-wait` ({options.longest_wait:g} s)",
    ):
        assert stated in text
