"""Sources that never end: each is given up in time, and the rest of the run goes on."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from limner import web
from limner.errors import InputError
from limner.sources import addresses, expand, open_video, read

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
Sender = Callable[[socket.socket, threading.Event], None]


def jpeg(size: int = 40) -> bytes:
    return cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (size, size, 3), np.uint8))[1].tobytes()


@contextmanager
def server(send: Sender) -> Iterator[str]:
    """Yield the URL of a server that answers each request as ``send`` does."""
    over = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.recv(1 << 16)
            send(connection, over)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        over.set()
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def drips(first: bytes, rest: bytes = b"x") -> Sender:
    """Return what sends some bytes at once and then one at a time, again and again."""

    def send(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(first)
        while not over.wait(0.02):
            connection.sendall(rest[:1])

    return send


def endless(head: bytes, block: bytes) -> Sender:
    def send(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(head)
        while not over.is_set():
            connection.sendall(block)

    return send


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n"


@pytest.mark.parametrize(
    "sends",
    [
        pytest.param(drips(b"HTTP/1.1 200 OK\r\nX: "), id="headers"),
        pytest.param(drips(HEAD + b"\r\n"), id="first-bytes"),
        pytest.param(drips(HEAD + b"\r\n" + jpeg()[:600]), id="image"),
        pytest.param(drips(HEAD + b"Content-Length: 5000000\r\n\r\n" + jpeg()[:600]), id="image-of-known-length"),
        pytest.param(drips(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0"), id="chunk"),
        pytest.param(drips(b"HTTP/1.1 200 OK\r\n\r\n#EXTM3U\n#", b"#"), id="playlist"),
        pytest.param(drips(b""), id="no-http"),
    ],
)
def test_a_server_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sends: Sender) -> None:
    monkeypatch.setattr(addresses, "TIMEOUT", 0.3)
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((20, 20, 3), np.uint8))
    began = time.monotonic()
    with server(sends) as url:
        items, errors, _ = expand([f"{url}/a.jpg", tmp_path / "b.png"])
        assert [item.name for item in items] == ["a.jpg", "b.png"]
        assert errors == []
        with pytest.raises(InputError, match=r"cannot be read: (it sends less than 1 KB a second|nothing came)"):
            read(items[0])
    assert read(items[1]).image.shape == (20, 20, 3)
    assert time.monotonic() - began < 5


def test_an_endless_image_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "MAX_ENDLESS", 8 << 20)
    for head in (HEAD + b"\r\n", HEAD.replace(b"jpeg", b"png") + b"\r\n\x89PNG\r\n\x1a\n"):
        start = jpeg(400)[:-2] if b"jpeg" in head else b""
        with server(endless(head + start, b"\0" * (1 << 16))) as url:
            (item,), _, _ = expand(f"{url}/a.jpg")
            with pytest.raises(InputError, match="is more than 8 MB, too large for an image"):
                read(item)


def test_an_answer_of_unknown_length_has_to_end_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "LONGEST", 0.5)

    def slowly(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(HEAD + b"\r\n" + jpeg(100)[:-2])
        while not over.wait(0.01):
            connection.sendall(b"\0" * 500)

    with server(slowly) as url:
        (item,), _, _ = expand(f"{url}/a.jpg")
        with pytest.raises(InputError, match=r"has not come to an end within 0\.5 s"):
            read(item)


def test_a_declared_length_that_no_image_has_is_refused_before_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(drips(HEAD + b"Content-Length: 99999999999\r\n\r\n" + jpeg() * 8)) as url:
        (item,), _, _ = expand(f"{url}/a.jpg")
        with pytest.raises(InputError, match="MB, too large for an image"):
            read(item)


def test_what_waits_for_a_host_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may ask for half a minute for a host, and nothing interrupts that."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: threading.Event().wait(30) and [])
    began = time.monotonic()
    with pytest.raises(OSError, match="not found in time"):
        web.open_url("http://nowhere.invalid/a.jpg", 0.3)
    assert time.monotonic() - began < 2


@needs_pipes
@pytest.mark.parametrize("recursive", [False, True])
def test_a_pipe_or_socket_in_a_folder_is_not_waited_for(tmp_path: Path, recursive: bool) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    cv2.imwrite(str(folder / "1.png"), np.zeros((20, 20, 3), np.uint8))
    for name in ("2.png", "3.mp4", "4.gif", "5.m3u8"):
        os.mkfifo(folder / name)
    (folder / "6.jpg").symlink_to("/dev/zero")
    (folder / "7.jpg").symlink_to("2.png")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(folder / "8.jpg"))
        for given in (folder, folder / "*", tmp_path / "**" / "*.*"):
            items, errors, notices = expand(given, recursive=recursive)
            assert [item.name for item in items] == ["1.png"]
            assert errors == []
            assert "skipped files" in notices[0]
    assert [item.name for item in expand(folder / "%d.png")[0][0].frames] == ["1.png"]


def test_loops_of_links_end(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    cv2.imwrite(str(deep / "1.png"), np.zeros((20, 20, 3), np.uint8))
    for i in range(8):
        (deep / f"up{i}").symlink_to(tmp_path / "a", target_is_directory=True)
        (tmp_path / "a" / f"here{i}").symlink_to(".", target_is_directory=True)
    (tmp_path / "self").symlink_to("self")
    for pattern in ("**/*.png", "**/**/**/**/**/*.png", "a/**/*.png", "**/1.png", "**/c/**/*.png"):
        began = time.monotonic()
        items, errors, _ = expand(tmp_path / pattern)
        assert [item.name for item in items] == ["1.png"], pattern
        assert not errors
        assert time.monotonic() - began < 2
    assert len(expand(tmp_path, recursive=True)[0]) == 1


def test_a_million_frames_that_are_missing_take_no_memory(tmp_path: Path) -> None:
    for number in (1, 9_999_999):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((20, 20, 3), np.uint8))
    assert len(expand(tmp_path / "%d.png")[0][0].frames) == 2
    assert expand(tmp_path / "%0999999999d.png")[1]  # the width of a number is no reason to make a text of it


def test_a_playlist_without_an_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "live.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n1.ts\n")
    cv2.imwrite(str(tmp_path / "z.png"), np.zeros((20, 20, 3), np.uint8))
    items, errors, _ = expand(tmp_path)
    assert (len(items), errors) == (2, [])
    with pytest.raises(InputError, match="without an end"):
        open_video(items[0])


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("sends", [drips(HEAD + b"\r\n"), endless(HEAD + b"\r\n" + jpeg()[:500], b"\0" * 999)])
def test_ctrl_c_ends_the_wait_for_a_server(tmp_path: Path, sends: Sender) -> None:
    with server(sends) as url:
        command = [sys.executable, "-m", "limner", "run", f"{url}/a.jpg", "--out", "out"]
        with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
            try:
                time.sleep(1.5)
                process.send_signal(signal.SIGINT)
                began = time.monotonic()
                _, said = process.communicate(timeout=10)
                assert time.monotonic() - began < 2
            finally:
                process.kill()
    assert "Traceback" not in said
