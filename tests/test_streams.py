"""Streams as users have them: real servers that are slow, die, freeze, change and ask for a password."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from limner.errors import InputError
from limner.types import Frame
from limner.video.camera import CameraSource
from limner.video.inputs import is_video
from limner.video.latest import LatestFrames
from limner.video.reader import VideoSource
from limner.video.writer import VideoWriter
from servers import (
    MjpegServer,
    RtspServer,
    StreamServer,
    WebServer,
    camera,
    need_mjpeg_server,
    need_rtsp_server,
    number_in,
    numbered,
    numbered_clip,
    running,
    wait_for,
    web_server,
    with_camera,
)

SIZE = (320, 240)
RATE = 25


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Forty seconds of numbered images, and twenty in another size."""
    folder = tmp_path_factory.mktemp("clips")
    other = numbered_clip(folder / "other.mp4", 20 * RATE, RATE, (256, 144), first=2000)
    return numbered_clip(folder / "clip.mp4", 40 * RATE, RATE, SIZE), other


@pytest.fixture(scope="module")
def rtsp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for RTSP servers; skips where there are none."""
    need_rtsp_server()
    return tmp_path_factory.mktemp("rtsp")


@pytest.fixture(scope="module")
def mjpeg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for servers of JPEGs; skips where there are none."""
    need_mjpeg_server()
    return tmp_path_factory.mktemp("mjpeg")


@pytest.fixture(params=["rtsp", "mjpeg"])
def stream(request: pytest.FixtureRequest, clips: tuple[Path, Path]) -> Iterator[StreamServer]:
    """A running server of the numbered clip, by either protocol."""
    folder = request.getfixturevalue(request.param)
    server = RtspServer(folder, clips[0]) if request.param == "rtsp" else MjpegServer(folder, clips[0], SIZE)
    with running(server):
        yield server


def numbers(frames: list[Frame]) -> list[int]:
    """The numbers on the images; an image without one fails the test."""
    found = [number_in(frame.image) for frame in frames]
    assert None not in found
    return [number for number in found if number is not None]


# -- a stream as it should be ----------------------------------------------------------------------


def test_a_stream_gives_its_images_in_order(stream: StreamServer) -> None:
    with VideoSource(stream.address) as video:
        assert video.live
        assert (video.size, video.fps, video.has_audio) == (SIZE, RATE, False)
        frames = list(islice(video, 60))
    steps = np.diff(numbers(frames))
    if isinstance(stream, RtspServer):
        assert set(steps) == {1}
    else:  # motion looks at its clip and sends by two clocks
        assert min(steps) >= 0
        assert sum(steps) > 20
    assert [frame.index for frame in frames] == list(range(60))
    times = [frame.timestamp for frame in frames]
    if isinstance(stream, RtspServer):  # its own times
        assert np.diff(times) == pytest.approx([1 / RATE] * 59, abs=0.002)
    assert all(np.diff(times) > 0)
    assert {frame.source for frame in frames} == {stream.address}


def test_a_camera_that_sends_by_udp_alone(rtsp: Path, clips: tuple[Path, Path]) -> None:
    server = RtspServer(rtsp, clips[0], transport="UDP")
    with running(server), VideoSource(server.address) as video:
        seen = numbers(list(islice(video, 60)))
    assert len(set(seen)) == 60


def test_a_camera_that_wants_a_password(
    rtsp: Path, clips: tuple[Path, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    server = RtspServer(rtsp, clips[0], login="someone:secret")
    said: list[str] = []
    with running(server):
        for wrong in (server.address.replace("secret", "s3cret"), server.address.replace("someone:secret@", "")):
            with pytest.raises(InputError, match=r"refuses access; put a user and password in the URL") as caught:
                VideoSource(wrong)
            assert "s3cret" not in str(caught.value)
        with LatestFrames(VideoSource(server.address, timeout=2), info=said.append, pauses=(0.05, 0.1)) as newest:
            frame = newest.get(10)
            server.kill()
            wait_for(lambda: bool(said))
            with pytest.raises(InputError) as caught:
                VideoSource(server.address, timeout=2)
    assert frame is not None
    told = f"{frame.source} {newest.name} {said} {caught.value} {threading.enumerate()} {capfd.readouterr()}"
    assert "***@127.0.0.1" in told
    assert "secret" not in told
    assert "someone" not in told


# -- a stream as it is -----------------------------------------------------------------------------


def test_a_slow_model_keeps_up_with_a_fast_one(stream: StreamServer) -> None:
    """Two look at the same stream, one of them takes a third of a second for each image."""
    newest_number = -1
    behind, gaps = [], []
    with (
        LatestFrames(VideoSource(stream.address)) as fast,
        LatestFrames(VideoSource(stream.address)) as slow,
    ):

        def watch() -> None:
            nonlocal newest_number
            for frame in fast:
                newest_number = number_in(frame.image) or newest_number

        watching = threading.Thread(target=watch)
        watching.start()
        for _ in range(4):  # what came while the connections were made is through
            slow.get(10)
        last = -1
        for _ in range(8):
            threading.Event().wait(0.33)
            frame = slow.get(10)
            assert frame is not None
            number = number_in(frame.image)
            assert number is not None
            behind.append(newest_number - number)
            gaps.append(number - last)
            last = number
        dropped = slow.dropped
        fast.close()
        watching.join(10)
    # Whoever reads one after the other is 7 images later each time: 56 at the end.
    assert max(behind) < RATE / 2
    assert np.median(gaps[1:]) > 2
    assert dropped > 10


def test_a_stream_whose_server_dies_is_found_again(stream: StreamServer) -> None:
    said: list[str] = []
    address = stream.address
    with LatestFrames(VideoSource(address, timeout=3), info=said.append, pauses=(0.05, 0.2)) as newest:
        before = newest.get(10)
        stream.kill()
        wait_for(lambda: bool(said), "the loss")
        newest.get(0.01)  # what was left
        assert newest.get(0.2) is None
        stream.start()
        assert stream.address == address
        after = newest.get(20)
        wait_for(lambda: len(said) == 2, "the return")
        more = newest.get(10)
    assert before is not None
    assert after is not None
    assert more is not None
    assert number_in(more.image) is not None
    assert newest.reconnects == 1
    assert re.search("trying to reach it again$", said[0])
    assert re.search(r"is back after \d+\.\d s$", said[1])
    assert before.index < after.index < more.index
    assert before.timestamp < after.timestamp < more.timestamp


def test_a_frozen_stream_is_left_and_found_again(stream: StreamServer) -> None:
    said: list[str] = []
    source = VideoSource(stream.address, timeout=2)
    with LatestFrames(source, info=said.append, stall_timeout=0.7, pauses=(0.05, 0.2)) as newest:
        assert newest.get(10) is not None
        stream.freeze()
        wait_for(lambda: bool(said), "the loss")
        stream.thaw()
        wait_for(lambda: newest.reconnects > 0, "the return")
        received = newest.received
        wait_for(lambda: newest.received > received + 5)
        frame = newest.get(10)
    assert frame is not None
    assert number_in(frame.image) is not None
    assert re.search(r"(has given no image for 0\.7 s|nothing came for 2 s)", said[0])
    assert any("is back after" in sentence for sentence in said)


def test_a_frozen_server_costs_a_reader_no_more_than_its_timeout(stream: StreamServer) -> None:
    with VideoSource(stream.address, timeout=1) as video:
        frames = iter(video)
        next(frames)
        stream.freeze()
        with pytest.raises(InputError, match=r"stopped after \d+ frames: nothing came for 1 s"):
            list(frames)
        with pytest.raises(InputError, match=r"nothing came for 1 s; check that it is running"):
            video.reopen()
        stream.thaw()


def test_a_camera_that_changes_its_size_goes_on(rtsp: Path, tmp_path: Path) -> None:
    parts = [numbered_clip(tmp_path / f"{w}.mp4", 40, RATE, (w, 144)) for w in (320, 256)]
    server = RtspServer(rtsp, *parts)
    with running(server), VideoSource(server.address, timeout=3) as video:
        frames = list(islice(video, 70))
    assert [frame.image.shape[1::-1] for frame in frames] == [(320, 144)] * 40 + [(256, 144)] * 30
    assert numbers(frames) == [*range(40), *range(30)]
    assert np.diff([frame.timestamp for frame in frames]) == pytest.approx([1 / RATE] * 69, abs=0.003)


def test_a_server_that_comes_back_with_another_size(stream: StreamServer, clips: tuple[Path, Path]) -> None:
    with LatestFrames(VideoSource(stream.address, timeout=3), pauses=(0.05, 0.2)) as newest:
        first = newest.get(10)
        stream.kill()
        if isinstance(stream, RtspServer):
            stream.clips = (clips[1],)
        else:
            assert isinstance(stream, MjpegServer)
            stream.clip, stream.size = clips[1], (256, 144)
        stream.start()
        wait_for(lambda: newest.reconnects > 0, "the return")
        newest.get(10)  # may be an old one
        second = newest.get(10)
    assert first is not None
    assert second is not None
    assert (first.image.shape, second.image.shape) == ((240, 320, 3), (144, 256, 3))
    assert (number_in(first.image) or 0) < 1500 < (number_in(second.image) or 0)


# -- the web ---------------------------------------------------------------------------------------


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebServer]:
    numbered_clip(tmp_path / "clip one.mp4", 10)
    with web_server(tmp_path) as server:
        yield server


def read_numbers(address: str | Path) -> list[int]:
    with VideoSource(address, timeout=3) as video:
        return numbers(list(video))


def test_an_address_as_people_type_it(web: WebServer) -> None:
    web.login = "some one:p@ss/w:rd#1"
    escaped = "some%20one:p%40ss%2Fw%3Ard%231"
    with_login = web.address.replace("://", f"://{escaped}@")
    addresses = [
        f"{web.address}/clip one.mp4",
        f"{web.address}/clip%20one.mp4?token=a@b#t=1",
        f"{web.address}/moved/moved/clip%20one.mp4",
        f"{with_login}/private/clip%20one.mp4",
    ]
    for address in addresses:
        assert is_video(address)
        assert read_numbers(address) == list(range(10)), address
    with VideoSource(addresses[-1]) as video:
        assert video.name == f"http://***@127.0.0.1:{web.port}/private/clip%20one.mp4"


@pytest.mark.parametrize("protocol", ["HTTP/1.0", "HTTP/1.1"])
@pytest.mark.parametrize("says", [True, False], ids=["close", "nothing"])
def test_no_frame_is_lost_whose_place_is_before_the_index(
    tmp_path: Path, web: WebServer, protocol: str, says: bool
) -> None:
    """The index of a plain mp4 is at its end, so that the reader has to go back; some servers hang up meanwhile."""
    numbered_clip(tmp_path / "long.mp4", 60)
    assert (tmp_path / "long.mp4").read_bytes().find(b"moov") > 10_000
    web.protocol, web.says_close = protocol, says
    for _ in range(3):
        assert read_numbers(f"{web.address}/long.mp4") == list(range(60))


def test_passwords_are_never_printed_not_even_those_that_should_have_been_escaped(web: WebServer) -> None:
    web.login = "someone:s3cret"
    addresses = [
        f"http://someone:s3cre@127.0.0.1:{web.port}/private/clip%20one.mp4",
        f"http://someone:s3cre/t@127.0.0.1:{web.port}/clip.mp4",
        f"http://someone:s3cre#t@127.0.0.1:{web.port}/clip.mp4",
        f"http://someone:s3cre?t@127.0.0.1:{web.port}/clip.mp4",
        f"http://someone:5/s3cre@127.0.0.1:{web.port}/clip.mp4",
        f"http://someone:a@s3cre/t@127.0.0.1:{web.port}/clip.mp4",
        f"http://someone:a s3cre t@127.0.0.1:{web.port}/clip.mp4",
    ]
    for address in addresses:
        with pytest.raises(InputError) as caught:
            VideoSource(address, timeout=1)
        assert str(caught.value).startswith(f"http://***@127.0.0.1:{web.port}/"), address
        assert "s3cre" not in str(caught.value)
    with pytest.raises(InputError, match=r"^http://localhost/@home/clip@1\.mp4 "):  # no colon, no password
        VideoSource("http://localhost/@home/clip@1.mp4", timeout=1)


def test_what_is_no_address_is_one_sentence() -> None:
    for address in ("http://[::1/clip.mp4", "rtsp://", "http:///clip.mp4", "http://127.0.0.1:99999/clip.mp4"):
        assert is_video(address)
        with pytest.raises(InputError, match=r"cannot be read: .*; check") as caught:
            VideoSource(address, timeout=1)
        assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate that somebody made for the own machine, and its key."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("needs openssl: apt-get install openssl")
    folder = tmp_path_factory.mktemp("certificate")
    made = (folder / "certificate.pem", folder / "key.pem")
    command = (
        f"{program} req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -out {made[0]} -keyout {made[1]}"
    )
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    return made


def test_a_certificate_must_be_trusted(
    tmp_path: Path, certificate: tuple[Path, Path], web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with web_server(tmp_path, certificate) as secure:
        address = f"{secure.address}/clip%20one.mp4"
        with pytest.raises(InputError, match=r"its certificate is not trusted \(self-signed certificate\)") as caught:
            VideoSource(address, timeout=3)
        assert "SSL_CERT_FILE" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert secure.asked == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        assert read_numbers(address) == list(range(10))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
        with pytest.raises(InputError, match="its certificate is not trusted"):
            VideoSource(address, timeout=3)
    with pytest.raises(InputError, match="cannot be read"):
        VideoSource(f"https://127.0.0.1:{web.port}/clip%20one.mp4", timeout=1)


# -- JPEGs as cameras send them --------------------------------------------------------------------


def with_exif(jpeg: bytes, orientation: int) -> bytes:
    """Put an Exif block into a JPEG, as nearly every camera does."""
    tiff = b"II*\0" + struct.pack("<IHHHIHH", 8, 1, 0x112, 3, 1, orientation, 0) + bytes(4)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def jpegs(count: int, orientation: int = 0) -> list[bytes]:
    made = [cv2.imencode(".jpg", numbered(i, size=SIZE))[1].tobytes() for i in range(count)]
    return [with_exif(jpeg, orientation) for jpeg in made] if orientation else made


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_jpegs_that_carry_exif_are_read_upright(web: WebServer, orientation: int) -> None:
    web.frames, web.fps = jpegs(60, orientation), 500
    with VideoSource(f"{web.address}/camera", timeout=3) as video:
        image = next(iter(video)).image
    turned = cv2.imdecode(np.frombuffer(web.frames[0], np.uint8), cv2.IMREAD_COLOR)
    assert video.size == turned.shape[1::-1]
    assert np.abs(image.astype(int) - turned).mean() < 3


def test_jpegs_one_after_the_other_are_a_video(tmp_path: Path) -> None:
    for name, frames in (("a.mjpeg", jpegs(20)), ("b.MJPG", jpegs(3, 1)), ("c.mjpeg", jpegs(1))):
        (tmp_path / name).write_bytes(b"".join(frames))
        assert read_numbers(tmp_path / name) == list(range(len(frames)))
    numbered_clip(tmp_path / "d.mp4", 5).rename(tmp_path / "d.mjpeg")
    assert read_numbers(tmp_path / "d.mjpeg") == list(range(5))
    (tmp_path / "e.mjpeg").write_text("no video\n" * 50)
    with pytest.raises(InputError, match=r"'.*e\.mjpeg' (is|has) no"):
        VideoSource(tmp_path / "e.mjpeg")


# -- a camera at the edge of OpenCV ----------------------------------------------------------------


def test_a_camera_is_what_opencv_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    plugged = camera([numbered(0, size=(640, 480))], 60)
    monkeypatch.setattr(cv2, "VideoCapture", plugged)
    with LatestFrames(CameraSource("webcam", size=(320, 240))) as newest:
        frames = []
        for _ in range(5):
            frames.append(newest.get(10))
            threading.Event().wait(0.1)
    taken = numbers([frame for frame in frames if frame is not None])
    assert len(taken) == 5
    assert min(np.diff(taken)) > 2  # those between are gone
    assert newest.size == (320, 240)
    assert newest.fps == 60
    with pytest.raises(InputError, match="webcam:1 cannot be opened"):
        CameraSource("webcam:1")


def test_a_camera_whose_cable_is_pulled_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    plugged = camera([numbered(0)], 200, count=20)
    monkeypatch.setattr(cv2, "VideoCapture", plugged)
    said: list[str] = []
    with LatestFrames(CameraSource(0), info=said.append, pauses=(0.01, 0.05)) as newest:
        wait_for(lambda: newest.reconnects >= 2)
    assert "check its cable; trying to reach it again" in said[0]
    assert plugged.opened >= 3


# -- odd files -------------------------------------------------------------------------------------


def encoded(path: Path, codec: str, pix_fmt: str, options: dict[str, str], flags: int = 0) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.options = *SIZE, pix_fmt, options
        stream.codec_context.flags |= flags
        for i in range(12):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(i, size=SIZE), format="bgr24")))
        container.mux(stream.encode(None))
    return path


def test_ten_bits_of_hevc(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    if "libx265" not in av.codecs_available:
        pytest.skip("needs a PyAV with libx265, such as the one of pip install av")
    clip = encoded(
        tmp_path / "clip.mp4", "libx265", "yuv420p10le", {"preset": "ultrafast", "x265-params": "log-level=0"}
    )
    with VideoSource(clip) as video:
        frames = list(video)
    assert numbers(frames) == list(range(12))
    assert np.abs(frames[5].image.astype(int) - numbered(5, size=SIZE)).mean() < 4
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_interlaced_images_keep_both_fields(tmp_path: Path, codec: str, capfd: pytest.CaptureFixture[str]) -> None:
    options = {"x264-params": "tff=1", "crf": "10"} if codec == "libx264" else {"qmin": "2", "qmax": "3"}
    clip = encoded(tmp_path / "clip.mkv", codec, "yuv420p", options, flags=1 << 18 | 1 << 29)
    said: list[str] = []
    with VideoSource(clip, info=said.append) as video:
        frames = list(video)
    assert numbers(frames) == list(range(12))
    assert np.abs(frames[5].image.astype(int) - numbered(5, size=SIZE)).mean() < 5
    assert said == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("turn", "quarters"), [((0, 1, -1, 0), -1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)])
def test_what_a_turned_phone_filmed_is_written_upright(
    tmp_path: Path, turn: tuple[int, int, int, int], quarters: int
) -> None:
    clip = numbered_clip(tmp_path / "clip.mp4", 10, size=SIZE)
    data = bytearray(clip.read_bytes())
    place = data.find(b"tkhd") + 4 + 4 + 20 + 16  # the display matrix in version 0 of the track header
    a, b, c, d = (65536 * value for value in turn)
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    clip.write_bytes(data)
    with VideoSource(clip) as video, VideoWriter(tmp_path / "out.mp4", video.fps, audio_from=clip) as sink:
        for frame in video:
            sink.write(frame.image, frame.timestamp)
    with av.open(str(tmp_path / "out.mp4")) as container:
        images = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
        stored = container.streams.video[0]
        assert (stored.width, stored.height) == (SIZE if quarters == 2 else SIZE[::-1])
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert all(frame.rotation == 0 for frame in container.decode(video=0))  # nothing turns it again
    back = [np.ascontiguousarray(np.rot90(image, -quarters)) for image in images]
    assert [number_in(image) for image in back] == list(range(10))


# -- the commands ----------------------------------------------------------------------------------

ROOT = Path(__file__).resolve().parents[1]
RUN = [sys.executable, "-m", "limner", "run"]
ENVIRONMENT = {"OMP_NUM_THREADS": "2", "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1"}


@pytest.fixture(scope="module")
def small_portrait(portrait: np.ndarray) -> np.ndarray:
    return cv2.resize(portrait, (320, 320), interpolation=cv2.INTER_AREA)


def command(arguments: list[str], folder: Path, stop_when: Callable[[], bool] | None = None) -> tuple[str, str]:
    """Run a command in a folder, end it with Ctrl-C once something holds, and return what it printed."""
    environment = {**os.environ, **ENVIRONMENT}
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, env=environment
    ) as process:
        try:
            if stop_when is not None:
                end = time.monotonic() + 60
                while process.poll() is None and not stop_when():
                    assert time.monotonic() < end, "the command does not get on"
                    time.sleep(0.05)
                process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, err
    assert "Traceback" not in err
    return out, err


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The results in a file of JSON Lines."""
    return [record for line in path.read_text().splitlines() if "instances" in (record := json.loads(line))]


def count_lines(path: Path) -> int:
    """Return how many lines a file has by now."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def with_faces(lines: list[dict[str, Any]]) -> int:
    return sum(bool(line["instances"]) for line in lines)


def check_video(path: Path, frames: int) -> list[int]:
    """Check that a file is a whole video that plays everywhere; return the numbers on its images."""
    assert b"moof" not in path.read_bytes()
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
    found = read_numbers(path)
    assert len(found) == frames
    return found


@pytest.mark.parametrize("name", ["clip.mp4", "list.m3u8"])
def test_limner_run_of_a_film_on_the_web(tmp_path: Path, small_portrait: np.ndarray, name: str) -> None:
    clip = numbered_clip(tmp_path / "clip.mp4", 30, background=small_portrait)
    with (
        av.open(str(clip)) as container,
        av.open(
            str(tmp_path / "list.m3u8"), "w", format="hls", options={"hls_time": "0.4", "hls_list_size": "0"}
        ) as out,
    ):
        stream = out.add_stream_from_template(container.streams.video[0])
        for packet in container.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    with web_server(tmp_path) as server:
        arguments = ["--headless", "--out", "drawn", "--json", "points", "--jsonl", "points.jsonl"]
        out_text, err = command([*RUN, f"{server.address}/{name}", *arguments], tmp_path)
    stem = Path(name).stem
    assert check_video(tmp_path / "drawn" / f"{stem}.mp4", 30) == list(range(30))
    with av.open(str(tmp_path / "drawn" / f"{stem}.mp4")) as container:
        assert container.streams.video[0].average_rate == 25
    sheet = json.loads((tmp_path / "points" / f"{stem}.json").read_text())
    assert [entry["frame_id"] for entry in sheet] == list(range(30))
    assert with_faces(sheet) == with_faces(lines_of(tmp_path / "points.jsonl")) == 30
    assert "30 frames" in out_text
    assert err == ""


def test_limner_run_of_a_live_stream(stream: StreamServer, tmp_path: Path) -> None:
    """The images have no faces, so nothing hides their numbers."""
    arguments = [stream.address, "--headless", "--out", "drawn", "--jsonl", "points.jsonl", "--max-frames", "15"]
    out, err = command([*RUN, *arguments], tmp_path)
    (video,) = (tmp_path / "drawn").iterdir()
    seen = check_video(video, 15)
    assert all(np.diff(seen) >= 0)
    assert len(set(seen)) > 5
    lines = lines_of(tmp_path / "points.jsonl")
    assert len(lines) == 15
    assert {line["source"] for line in lines} == {stream.address}
    times = [line["timestamp"] for line in lines]
    assert all(np.diff(times) > 0)
    assert "15 frames" in out
    assert err == ""


def test_ctrl_c_ends_a_live_stream_and_no_password_is_printed(
    rtsp: Path, tmp_path: Path, small_portrait: np.ndarray
) -> None:
    clip = numbered_clip(tmp_path / "clip.mp4", 1000, background=small_portrait)
    server = RtspServer(rtsp, clip, login="someone:s3cret")
    lines = tmp_path / "points.jsonl"
    with running(server):
        arguments = [server.address, "--headless", "--out", "drawn", "--json", "points", "--jsonl", "points.jsonl"]
        out, err = command([*RUN, *arguments], tmp_path, stop_when=lambda: count_lines(lines) > 20)
    found = lines_of(lines)
    check_video(tmp_path / "drawn" / "live.mp4", len(found))
    assert len(json.loads((tmp_path / "points" / "live.json").read_text())) == len(found)
    assert with_faces(found) > 0.9 * len(found)
    assert err == ""
    assert "s3cret" not in out + lines.read_text()


def test_a_live_stream_that_dies_is_waited_for_and_then_given_up(stream: StreamServer, tmp_path: Path) -> None:
    lines = tmp_path / "points.jsonl"

    def dies() -> None:
        wait_for(lambda: count_lines(lines) > 3)
        stream.kill()

    killer = threading.Thread(target=dies)
    killer.start()
    arguments = [stream.address, "--headless", "--out", "drawn", "--jsonl", "points.jsonl", "--reconnect-timeout", "1"]
    environment = {**os.environ, **ENVIRONMENT}
    done = subprocess.run([*RUN, *arguments], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=60)
    killer.join()
    assert done.returncode == 1
    assert "trying to reach it again" in done.stdout
    (sentence,) = done.stderr.splitlines()
    assert re.fullmatch(r"limner: (http|rtsp)://127\S+ cannot be read: .*; check .*", sentence)
    video, mark = sorted((tmp_path / "drawn").iterdir())
    check_video(video, len(lines_of(lines)))
    assert mark.name == f"{video.name}.incomplete", "what was cut short is not marked"
    assert "error" in json.loads(lines.read_text().splitlines()[-1])


def test_limner_run_of_a_webcam(tmp_path: Path, small_portrait: np.ndarray) -> None:
    cv2.imwrite(str(tmp_path / "face.png"), small_portrait)
    arguments = ["webcam", "--headless", "--out", "drawn", "--jsonl", "points.jsonl", "--max-frames", "20"]
    out, err = command(with_camera([*RUN, *arguments], tmp_path / "face.png"), tmp_path)
    seen = check_video(tmp_path / "drawn" / "webcam.mp4", 20)
    assert all(np.diff(seen) > 0)
    assert with_faces(lines_of(tmp_path / "points.jsonl")) == 20
    assert "20 frames" in out
    assert err == ""


@pytest.fixture(scope="module")
def small_models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The four words of a top-down demo: small networks with drawn weights, which find anything or nothing."""
    torch = pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
    from limner import build, config

    torch.manual_seed(7)
    folder = tmp_path_factory.mktemp("small")
    arguments = []
    for name in ("limner/rtmdet_face-lite_288.py", "limner/rtmpose_face-lite_300w-160x160.py"):
        path = folder / f"{Path(name).stem}.pth"
        torch.save({"state_dict": build.network(config.load(name)["model"]).state_dict()}, path)
        arguments += [name, str(path)]
    return arguments


@pytest.mark.parametrize("source", ["webcam", "rtsp"])
def test_mmpose_s_command_of_a_live_source(
    tmp_path: Path, small_models: list[str], clips: tuple[Path, Path], request: pytest.FixtureRequest, source: str
) -> None:
    demo = [sys.executable, str(ROOT / "demo" / "topdown_demo_with_mmdet.py"), *small_models, "--bbox-thr", "0.99"]
    output = ["--output-root", "vis_results", "--save-predictions", "--device", "cpu", "--radius", "1"]
    with ExitStack() as stack:
        if source == "rtsp":
            server = RtspServer(request.getfixturevalue("rtsp"), clips[0])
            stack.enter_context(running(server))
            arguments = [*demo, "--input", server.address, *output]
        else:
            arguments = with_camera([*demo, "--input", "webcam", *output], clips[0], 25)
        sheet = tmp_path / "vis_results" / f"results_{'live' if source == 'rtsp' else 'webcam'}.json"
        command(arguments, tmp_path, stop_when=lambda: sheet.exists() and '"frame_id": 8' in sheet.read_text())
    entries = json.loads(sheet.read_text())["instance_info"]
    assert [entry["frame_id"] for entry in entries] == list(range(1, len(entries) + 1))
    (video,) = (tmp_path / "vis_results").glob("*.mp4")
    assert all(np.diff(check_video(video, len(entries))) > 0)


def test_mmpose_s_command_of_a_film_on_the_web(tmp_path: Path, small_models: list[str]) -> None:
    numbered_clip(tmp_path / "clip.mp4", 30)
    demo = [sys.executable, str(ROOT / "demo" / "topdown_demo_with_mmdet.py"), *small_models, "--bbox-thr", "0.99"]
    with web_server(tmp_path) as server:
        arguments = ["--input", f"{server.address}/clip.mp4", "--output-root", "vis_results", "--device", "cpu"]
        command([*demo, *arguments], tmp_path)
    assert check_video(tmp_path / "vis_results" / "clip.mp4", 30) == list(range(30))
