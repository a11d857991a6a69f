"""`/v1/live`: frames in, keypoints out, nothing queues, settings change, and who vanishes is forgotten."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest

import limner
from browser import moving
from serving import Server, serve

pytest.importorskip("websockets", reason="needs the extra serve: pip install -e .[serve]")
pytest.importorskip("starlette", reason="needs the extra serve: pip install -e .[serve]")

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from limner import loading
from limner.display.keys import Action
from limner.errors import OutputError
from limner.serve import live, runner
from limner.serve.app import build
from limner.serve.options import ServeOptions
from limner.serve.served import Served
from limner.serve.view import View

HEAD = struct.Struct(">Id")
FREED = 5.0  # seconds in which a client that is gone is forgotten


@pytest.fixture(scope="module")
def frames(portrait: np.ndarray) -> list[bytes]:
    return [cv2.imencode(".jpg", frame)[1].tobytes() for frame in moving(portrait, 12)]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve() as running:
        yield running


def open_live(port: int) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{port}/v1/live", subprotocols=["limner"], compression=None)  # type: ignore[list-item]


def read(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(socket.recv(timeout=30))
    return message


def send(socket: ClientConnection, number: int, seconds: float, data: bytes) -> None:
    socket.send(HEAD.pack(number, seconds) + data)


def sessions(server: Server) -> float:
    text = server.get("/metrics").body.decode()
    return float(next(line.split()[1] for line in text.splitlines() if line.startswith("limner_live_sessions")))


def wait_until_forgotten(server: Server, others: float = 0) -> float:
    began = time.monotonic()
    while sessions(server) > others:
        assert time.monotonic() - began < 2 * FREED
        time.sleep(0.05)
    return time.monotonic() - began


def test_frames_in_keypoints_out(server: Server, frames: list[bytes]) -> None:
    """The same as a tracker of the Python API finds, of the same frames at the same times."""
    tracker = limner.load().tracker(smooth="live")
    with open_live(server.port) as socket:
        assert socket.subprotocol == "limner"
        first = read(socket)
        assert (first["type"], first["model"], first["window"]) == ("model", "face-lite", 1)
        assert len(first["keypoint_set"]["keypoint_colors"]) == len(first["keypoint_set"]["names"]) == 68
        assert all(contour["color"].startswith("#") for contour in first["keypoint_set"]["contours"])
        for number, data in enumerate(frames):
            send(socket, number, 50 + number / 30, data)
            answer = read(socket)
            expected = tracker(data, 50 + number / 30)
            assert (answer["type"], answer["id"], answer["size"]) == ("result", number, [640, 480])
            (instance,) = answer["instances"]
            assert instance["track_id"] == expected.track_ids[0] == 1
            assert np.allclose(instance["keypoints"], expected.keypoints[0], atol=0.011)
            assert np.allclose(instance["bbox"][0], expected.boxes.xyxy[0], atol=0.011)


def test_the_newest_frame_wins(server: Server, frames: list[bytes]) -> None:
    """A client that sends as fast as it can gets an answer for each frame, and keypoints for the last one."""
    with open_live(server.port) as socket:
        read(socket)
        for number in range(60):
            send(socket, number, number / 30, frames[number % len(frames)])
        answers = [read(socket) for _ in range(60)]
    kinds = {kind: [a["id"] for a in answers if a["type"] == kind] for kind in ("result", "dropped")}
    assert sorted(kinds["result"] + kinds["dropped"]) == list(range(60))
    assert kinds["result"] == sorted(kinds["result"])
    assert kinds["result"][-1] == 59
    assert kinds["dropped"]


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("[[[", "a text message must be a JSON object"),
        ("[1]", "a text message must be a JSON object"),
        ('{"smooth": "strong"}', "smooth is 'strong' where live or off is needed"),
        ('{"smoth": "off"}', "Did you mean 'smooth'?"),
        ('{"max_persons": 0}', "max_persons is 0"),
        ('{"model": 3}', "model is 3"),
        ('{"model": "nobody"}', "offers no model 'nobody'"),
        (b"short", "a binary message has 5 bytes"),
        (HEAD.pack(7, float("nan")) + b"image", "the time of a frame"),
        (HEAD.pack(7, 1.0) + b"This is no image.", "no image"),
    ],
)
def test_what_cannot_be_read_is_an_answer(server: Server, frames: list[bytes], message: Any, sentence: str) -> None:
    with open_live(server.port) as socket:
        read(socket)
        socket.send(message)
        answer = read(socket)
        assert answer["type"] == "error"
        assert sentence in answer["error"]
        send(socket, 8, 2.0, frames[0])  # and the session goes on
        assert read(socket)["type"] == "result"


# -- in this process, where the server can be slowed and has two models


@contextlib.contextmanager
def running(slowness: float = 0.0, port: int = 0, **options: Any) -> Iterator[tuple[Served, int]]:
    """Run a server with two models whose frames take so many seconds more."""
    given = ServeOptions(port=port, **options)
    served = Served({"face-lite": loading.load, "again": lambda: loading.load(keypoints="300w")}, given)
    estimate = served.in_thread

    async def slowly(function: Any, *arguments: Any) -> Any:
        def slow() -> Any:
            time.sleep(slowness)
            return function(*arguments)

        return await estimate(slow)

    served.in_thread = slowly  # type: ignore[method-assign, assignment]
    try:
        with runner.start(build(served), given, served.stop) as server:
            yield served, server.port
    finally:
        served.close()


def test_nothing_queues_at_a_slow_server(frames: list[bytes]) -> None:
    """At 5 frames a second one frame is on its way, and none waits for another."""
    with running(0.2) as (_, port), open_live(port) as socket:
        assert read(socket)["window"] == 1
        send(socket, 0, 0.0, frames[0])
        assert read(socket)["type"] == "result"  # the first run of a network takes longer
        trips = []
        for number in range(1, 7):
            began = time.monotonic()
            send(socket, number, number / 5, frames[number])
            answer = read(socket)
            trips.append(time.monotonic() - began)
            assert (answer["type"], answer["id"], answer["window"]) == ("result", number, 1)
        assert 0.2 <= np.median(trips) < 0.35


def test_settings_change_without_a_new_connection(frames: list[bytes]) -> None:
    with running() as (_, port), open_live(port) as socket:
        assert read(socket)["model"] == "face-lite"
        socket.send('{"model": "again", "smooth": "off"}')
        assert read(socket)["model"] == "again"
        plain = limner.load()(frames[0])
        for number in range(2):
            send(socket, number, number / 30, frames[0])
            assert np.allclose(read(socket)["instances"][0]["keypoints"], plain.keypoints[0], atol=1.0)
        socket.send('{"model": "face-lite", "max_persons": 1}')
        assert read(socket)["model"] == "face-lite"


def test_more_sessions_than_the_server_takes(frames: list[bytes]) -> None:
    with running(max_live=1) as (_, port), open_live(port) as one:
        assert read(one)["type"] == "model"
        with open_live(port) as other:
            assert "try again later" in read(other)["error"]
            with pytest.raises(ConnectionClosed) as closed:
                other.recv(timeout=10)
            assert closed.value.rcvd.code == live.TRY_LATER
        send(one, 1, 0.0, frames[0])
        assert read(one)["type"] == "result"


# -- clients that go, and servers that end


@pytest.mark.parametrize("closes", [True, False], ids=["closed", "silent"])
def test_a_client_that_vanishes_in_mid_frame_is_forgotten(server: Server, frames: list[bytes], closes: bool) -> None:
    """Killed, so that the kernel closes its connection; or out of the network, like a phone: nobody closes it."""
    wait_until_forgotten(server)
    head = f"GET /v1/live HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    head += "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    with server.socket(head.encode()) as client:
        assert b" 101 " in client.recv(1000)
        message = HEAD.pack(1, 0.0) + frames[0]
        client.sendall(struct.pack(">BBQ", 0x82, 0x80 | 127, len(message)) + bytes(4) + message[:1000])  # masked by 0
        assert sessions(server) == 1
        if closes:
            client.shutdown(socket.SHUT_RDWR)
        assert wait_until_forgotten(server) < FREED


def test_sigterm_ends_a_session(frames: list[bytes]) -> None:
    with serve() as server, open_live(server.port) as socket:
        read(socket)
        send(socket, 1, 0.0, frames[0])
        assert read(socket)["type"] == "result"
        os.kill(server.process.pid, signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            read(socket)
        assert closed.value.rcvd.code in (live.GOING_AWAY, 1012)  # as the server says itself: it may come back
        assert server.process.wait(FREED) == 0


# -- limner run --view


def test_a_slow_viewer_holds_nobody_up() -> None:
    """It gets the newest image once it has shown the one before, and its keys reach the command."""
    said: list[str] = []
    with View(0, said.append) as view:
        address = f"ws://127.0.0.1:{view.port}/v1/view"
        assert said == [f"open http://127.0.0.1:{view.port} to watch"]
        with connect(address, compression=None) as slow:
            view.play(np.zeros((48, 64, 3), np.uint8))
            assert json.loads(slow.recv(timeout=10)) == {"still": False}
            assert brightness(slow.recv(timeout=10)) == 0
            began = time.monotonic()
            for i in range(100):
                assert view.play(np.full((48, 64, 3), i, np.uint8)) == ()
            assert time.monotonic() - began < 2
            with pytest.raises(TimeoutError):
                slow.recv(timeout=0.2)
            for junk in ("[[[", "5", '{"action": ["pause"]}', '{"action": "format"}'):
                slow.send(junk)
            slow.send('{"shown": true}')
            assert brightness(slow.recv(timeout=10)) == pytest.approx(99, abs=2)
            slow.send('{"action": "pause"}')
            assert view.wait(10) == (Action.PAUSE,)
            slow.send('{"action": "quit"}')
            assert view.wait(10) == view.play(np.zeros((8, 8, 3), np.uint8)) == (Action.QUIT,)
            assert not view.show(np.zeros((8, 8, 3), np.uint8))
        with pytest.raises(InvalidStatus, match="403"):
            connect(address, origin="http://elsewhere.example").__enter__()  # type: ignore[arg-type]
        with pytest.raises(OutputError, match="--view 0 takes a free one"):
            View(view.port, said.append)


def brightness(image: Any) -> float:
    return float(cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR).mean())
