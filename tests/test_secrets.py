"""What is secret in URLs is sent to nobody else, and shown nowhere."""

from __future__ import annotations

import base64
import json
import os
import random
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from limner import web, zoo
from limner.errors import DownloadError, InputError, LimnerError
from limner.masking import identity, masked, masked_text
from limner.sources import expand, read

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from fuzz import addresses as generated  # noqa: E402

PNG = cv2.imencode(".png", np.zeros((20, 20, 3), np.uint8))[1].tobytes()


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://h/admin/12345/stream", "rtsp://h/***/***/stream"),
        ("rtsp://h:554/Streaming/Channels/101", "rtsp://h:554/Streaming/Channels/101"),
        ("http://h:80/live/joe/hunter2/123.ts", "http://h:80/live/***/***/123.ts"),
        ("https://api/file/bot12:AAEhBP/photos/file_0.jpg", "https://api/file/***/photos/file_0.jpg"),
        ("http://user:pw%40host/x", "http://***/x"),
        ("http://h/x?unknown=abcdef&fps=15", "http://h/x?***&fps=15"),
        ("http://h/x#t=1", "http://h/x#t=1"),
        ("udp://@239.0.0.1:1234", "udp://@239.0.0.1:1234"),
        ("concat:rtsp://u:p@h/a", "concat:rtsp://***@h/a"),
        ("https://h/val2017/000000039769.jpg", "https://h/val2017/000000039769.jpg"),
        ("https://h/rtmpose-m_simcc_256x192-4d3e73dd_20230605.pth", "https://h/rtmpose-m_simcc_256x192-4d3e73dd_20230605.pth"),
        ("photos/a@b:c.jpg", "photos/a@b:c.jpg"),
    ],
)  # fmt: skip
def test_what_is_harmless_stays(address: str, shown: str) -> None:
    assert masked(address) == shown
    assert masked(shown) == shown


def test_no_generated_address_leaks(tmp_path: Path) -> None:
    for number in range(1_000_000 if os.environ.get("LIMNER_LONG") else 3000):
        generated.attempt(generated.make(random.Random(number), tmp_path))


def test_a_message_of_any_library_is_masked() -> None:
    said = "[Errno 5] Input/output error: 'rtsp://admin:s3cret@10.0.0.9/1?pwd=s3cret'; and admin:s3cret@10.0.0.9"
    assert "s3cret" not in masked_text(said)
    for error in (LimnerError(said), InputError(said), DownloadError(said)):
        assert "s3cret" not in f"{error}{error!r}{error.args}"
    assert web.refusal(401).endswith("scheme://user:password@host/...")
    assert "user:password@host" in str(InputError(web.refusal(401)))


def test_two_urls_that_differ_in_what_is_masked_are_two_inputs() -> None:
    one, other = (identity(f"http://joe:{w}@h/get?file={w}&token={w}") for w in ("abcdefgh1x2", "abcdefgh1y2"))
    assert one != other
    assert "abcdefgh" not in one + other
    assert identity("http://joe:a@h/x.jpg?token=1a") == identity("http://joe:b@h/x.jpg?token=2b")


# -- who gets the login --------------------------------------------------------------------------------------------


class Server(ThreadingHTTPServer):
    """A server that notes each request's path and login, and answers with an image, or sends on."""

    daemon_threads = True

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.wanted = ""  # the login of /private, as a header
        self.moved: dict[str, str] = {}
        self.files: dict[str, bytes] = {}
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                login = self.headers.get("Authorization", "")
                server.asked.append((self.path, login))
                place = self.path.partition("?")[0]
                body = server.files.get(place, PNG)
                if place in server.moved:
                    self.send_response(302)
                    self.send_header("Location", server.moved[place])
                    body = b""
                elif server.files and place not in server.files:
                    self.send_response(404)
                elif server.wanted and login != server.wanted:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth"')
                else:
                    self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.with_login = self.url.replace("://", "://joe:s3cret@")
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def servers() -> Iterator[tuple[Server, Server]]:
    both = Server(), Server()
    yield both
    for server in both:
        server.shutdown()
        server.server_close()


BASIC = f"Basic {base64.b64encode(b'joe:s3cret').decode()}"


def test_a_login_is_sent_to_no_other_server(servers: tuple[Server, Server]) -> None:
    here, there = servers
    here.moved = {"/a.png": f"{there.url}/b.png", "/c.png": "/private/d.png"}
    there.wanted = "nothing that anybody has"  # which would ask for a digest, too
    (item,), _, _ = expand(f"{here.with_login}/a.png")
    assert "401" in item.problem
    assert here.asked == [("/a.png", BASIC)]
    assert there.asked == [("/b.png", "")]
    here.wanted = BASIC  # the same server gets it again
    (item,), _, _ = expand(f"{here.with_login}/c.png")
    assert read(item).image.shape == (20, 20, 3)


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("file:///etc/hostname", "not one of http or https|answers 302"),
        ("ftp://127.0.0.1/x", "not one of http or https"),
        ("http://u:s3cret@127.0.0.1:1/x?token=s3cret", "nothing answers there"),
        ("http://[::1/x", "check the URL"),
        ("/a.png", "sends on and on"),
    ],
)
def test_where_a_server_may_send_on_to(servers: tuple[Server, Server], location: str, said: str) -> None:
    servers[0].moved = {"/a.png": location}
    (item,), _, _ = expand(f"{servers[0].url}/a.png")
    assert re.search(said, item.problem), item.problem
    assert "s3cret" not in item.problem


def test_https_does_not_become_http() -> None:
    from urllib import request

    from limner.web.opening import _Redirects

    asked = request.Request("https://h/a.png")
    with pytest.raises(web.RedirectError, match="which is not encrypted"):
        _Redirects().redirect_request(asked, None, 302, "", {}, "http://h/a.png?token=s3cret")


@pytest.mark.parametrize(
    "answer", ["Digest", "Digest realm=", "", "Digest algorithm=x, realm=y, nonce=z", "Bearer", "Digest qop=,a"]
)
def test_a_challenge_that_is_none_is_one_sentence(servers: tuple[Server, Server], answer: str) -> None:
    server = servers[0]
    server.wanted = "x"
    handler = server.RequestHandlerClass
    send = handler.send_header
    handler.send_header = lambda self, name, value: send(self, name, answer if name.startswith("WWW") else value)  # type: ignore[attr-defined]
    (item,), _, _ = expand(f"{server.with_login}/a.png")
    assert item.problem
    assert "s3cret" not in item.problem


# -- mirrors -------------------------------------------------------------------------------------------------------

WEIGHTS = "https://download.openmmlab.com/mmpose/a_b.pth"


def test_a_mirror_with_a_login(
    servers: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from hashlib import sha256

    server, data = servers[0], b"\x80net"
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path))
    monkeypatch.delenv("LIMNER_OFFLINE", raising=False)
    monkeypatch.setenv("LIMNER_MIRRORS", server.with_login)
    server.wanted = BASIC
    server.files = {"/SHA256SUMS": f"{sha256(data).hexdigest()}  mmpose/a_b.pth\n".encode(), "/mmpose/a_b.pth": data}
    assert zoo.ensure(WEIGHTS).read_bytes() == data
    for broken in (b"no list", f"{'0' * 64}  mmpose/a_b.pth\n".encode()):
        server.files["/SHA256SUMS"] = broken
        with pytest.raises(DownloadError) as caught:
            zoo.ensure(WEIGHTS, refresh=True)
        assert "s3cret" not in str(caught.value)
    assert "s3cret" not in caplog.text
    kept = [path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    assert not [text for text in kept if "s3cret" in text]


@pytest.mark.parametrize("mirror", ["http://joe:s3/cret@127.0.0.1:1/", "http://h:s3cret/x", "joe:s3cret@127.0.0.1/x"])
def test_a_mirror_that_is_no_url(mirror: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path))
    monkeypatch.setenv("LIMNER_MIRRORS", mirror)
    monkeypatch.setattr("limner.zoo.download.MIRRORS", ())
    monkeypatch.setattr("limner.zoo.download.OPENMMLAB", "http://127.0.0.1:1/")
    monkeypatch.setattr("limner.zoo.download.RETRY_DELAYS", (0, 0))
    monkeypatch.setattr("limner.zoo.mirrors.RETRY_DELAYS", (0, 0))
    with pytest.raises(DownloadError) as caught:
        zoo.ensure("http://127.0.0.1:1/mmpose/a_b.pth", offline=False)
    assert not re.search("s3cret|cret@", str(caught.value))


# -- a run ---------------------------------------------------------------------------------------------------------


def test_a_run_shows_and_keeps_no_secret(servers: tuple[Server, Server], tmp_path: Path) -> None:
    url = f"{servers[0].with_login}/user=joe&password=s3cret/face.png?token=s3cret#s3cret"
    gone = "rtsp://joe:s3cret@127.0.0.1:1/s3cret/s3cret/main?pwd=s3cret"
    environment = {**os.environ, "LIMNER_HOME": str(tmp_path / "home"), "LIMNER_DEBUG": "1", "LIMNER_OFFLINE": "1"}
    command = [sys.executable, "-m", "limner", "run", url, gone, "admin:s3cret@127.0.0.1/x", "--out", "out"]
    command += ["--jsonl", "out/all.jsonl", "--json", "coco", "-v"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert "s3cret" not in done.stdout + done.stderr
    assert "Result(" in done.stdout
    assert done.stderr.count("***") >= 2
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in written if path.suffix == ".jsonl"]
    for path in written:
        assert "s3cret" not in str(path)
        assert b"s3cret" not in path.read_bytes(), path
    for wrong in (["bench", url, url, url], [url], ["models", "show", url], ["run", "a.jpg", "-m", url]):
        done = subprocess.run([*command[:3], *wrong], cwd=tmp_path, capture_output=True, text=True, env=environment)
        assert done.returncode
        assert "s3cret" not in done.stdout + done.stderr
    lines = (tmp_path / "out" / "all.jsonl").read_text().splitlines()
    assert any("***" in json.dumps(json.loads(line)) for line in lines)
