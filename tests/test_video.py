"""Moving images: what a user can give as a video, and what is left on the disk after every kind of end."""

from __future__ import annotations

import http.server
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from limner import keypoints
from limner.errors import ArgumentError, InputError, OutputError
from limner.formats.json_lines import JsonLinesWriter
from limner.formats.mmpose_json import VideoJsonWriter
from limner.types import Boxes, Frame, Poses, Result
from limner.video.camera import CameraSource, camera_number
from limner.video.inputs import is_video
from limner.video.latest import LatestFrames
from limner.video.reader import VideoSource
from limner.video.writer import VideoWriter

SOURCE = str(Path(__file__).resolve().parents[1] / "src")
RATES = [Fraction(5), Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(60)]
IRREGULAR = [0, 33, 71, 100, 180, 181, 240, 400, 410, 455, 700, 733, 766, 800]  # milliseconds


# -- videos made by hand ---------------------------------------------------------------------------


def scene(number: int, width: int = 64, height: int = 48) -> np.ndarray:
    """An image without any symmetry, different for each number, uint8 [H, W, 3] BGR."""
    image = np.full((height, width, 3), (60, 90, 120), np.uint8)
    image[: height // 3, : width // 2] = (200, 60, 30)
    image[height // 2 :, : width // 4] = (40, 40, 220)
    left = (4 * number) % (width - 8)
    image[height // 3 : height // 2, left : left + 8] = 250
    return image


def make_video(
    path: Path,
    frames: int = 30,
    rate: Fraction | int = 25,
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    size: tuple[int, int] = (64, 48),
    times: list[int] | None = None,
    options: dict[str, str] | None = None,
    sound: str | None = None,
    noise: bool = False,
) -> Path:
    """Write a video with PyAV; ``times`` are milliseconds, ``sound`` is a codec."""
    base = 1 / Fraction(rate) if times is None else Fraction(1, 1000)
    options = {"preset": "ultrafast", "crf": "10"} if options is None and codec == "libx264" else options or {}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(rate))
        stream.thread_count = 1
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        stream.options = options
        stream.codec_context.time_base = base
        tone = None if sound is None else container.add_stream(sound, rate=48000)
        for i in range(frames if times is None else len(times)):
            image = scene(i, *size)
            if noise:
                image = np.random.default_rng(i).integers(0, 256, image.shape, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = (i if times is None else times[i]), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if tone is not None:
            samples = (8000 * np.sin(np.arange(int(48000 * frames / rate)) / 20)).astype(np.int16)
            samples = np.repeat(samples, 2)[None]  # interleaved stereo
            for start in range(0, samples.shape[1], 2048):
                heard = av.AudioFrame.from_ndarray(samples[:, start : start + 2048], format="s16", layout="stereo")
                heard.sample_rate, heard.pts = 48000, start // 2
                container.mux(tone.encode(heard))
            container.mux(tone.encode(None))
    return path


def with_matrix(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Put a display matrix (a, b, c, d) into the track header of an mp4, as phones do."""
    data = bytearray(path.read_bytes())
    start = data.find(b"tkhd") + 4
    place = start + (4 + 32 if data[start] else 4 + 20) + 16
    a, b, c, d = (65536 * value for value in matrix)
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def facts(path: Path) -> dict[str, object]:
    """What PyAV's demuxer finds in a video: rate, frames, duration, codec, pixel format, times of the frames."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        times = [float(frame.pts * frame.time_base) for frame in container.decode(stream)]
        return {
            "rate": Fraction(stream.average_rate.numerator, stream.average_rate.denominator),
            "frames": len(times),
            "duration": container.duration / 1e6,
            "codec": stream.codec_context.name,
            "pix_fmt": stream.codec_context.pix_fmt,
            "times": times,
        }


def copy_through(source: Path, target: Path, **options: object) -> None:
    with VideoSource(source) as video, VideoWriter(target, video.fps, video.size, **options) as sink:
        for frame in video:
            sink.write(frame.image, frame.timestamp)


# -- files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", RATES, ids=str)
@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_every_frame_comes_in_order_with_its_time(tmp_path: Path, rate: Fraction, ending: str) -> None:
    with VideoSource(make_video(tmp_path / f"clip{ending}", 24, rate)) as video:
        frames = list(video)
        assert video.fps == rate
        assert video.size == (64, 48)
        assert video.count == 24
        assert video.duration == pytest.approx(24 / rate, abs=0.002)
        assert not video.has_audio
        assert not video.live
    assert [frame.index for frame in frames] == list(range(24))
    # Matroska keeps whole milliseconds
    assert [frame.timestamp for frame in frames] == pytest.approx([float(i / rate) for i in range(24)], abs=0.001)
    assert {frame.source for frame in frames} == {str(tmp_path / f"clip{ending}")}
    for i in (0, 11, 23):
        assert np.abs(frames[i].image.astype(int) - scene(i)).mean() < 4


def test_a_variable_rate_keeps_its_times(tmp_path: Path) -> None:
    with VideoSource(make_video(tmp_path / "clip.mp4", times=IRREGULAR)) as video:
        assert [frame.timestamp for frame in video] == pytest.approx([t / 1000 for t in IRREGULAR])


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_an_avi_with_reordered_frames_has_regular_times(tmp_path: Path, codec: str) -> None:
    with VideoSource(make_video(tmp_path / "clip.avi", 20, codec=codec, options={"bf": "2"})) as video:
        assert [frame.timestamp for frame in video] == pytest.approx([i / 25 for i in range(20)])


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "size"),
    [
        ("libx264", "yuv420p10le", (64, 48)),
        ("libx264", "yuv444p", (63, 47)),
        ("ffv1", "yuv422p10le", (61, 45)),
        ("ffv1", "gray", (63, 47)),
        ("mjpeg", "yuvj420p", (63, 47)),
    ],
)
def test_odd_sizes_and_deep_colours(tmp_path: Path, codec: str, pix_fmt: str, size: tuple[int, int]) -> None:
    clip = make_video(tmp_path / "clip.mkv", 3, codec=codec, pix_fmt=pix_fmt, size=size)
    with VideoSource(clip) as video:
        assert video.size == size
        image = next(iter(video)).image
    wanted = scene(0, *size)
    if pix_fmt == "gray":
        wanted = cv2.cvtColor(cv2.cvtColor(wanted, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    assert np.abs(image.astype(int) - wanted).mean() < 6


def test_pixels_are_those_of_opencv(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", 5, noise=True)
    theirs = cv2.VideoCapture(str(clip))
    with VideoSource(clip) as video:
        for frame in video:
            np.testing.assert_array_equal(frame.image, theirs.read()[1])


def test_colours_follow_the_matrix_that_the_video_names(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "clip.mp4", 25, crf=1) as sink:  # BT.709
        sink.write(scene(0))
    with VideoSource(tmp_path / "clip.mp4") as video:
        image = next(iter(video)).image
    for y, x in ((5, 5), (30, 4), (30, 40)):  # in the middle of even areas
        assert np.abs(image[y, x].astype(int) - scene(0)[y, x]).max() <= 4


@pytest.mark.parametrize(
    ("matrix", "turned"),
    [
        ((1, 0, 0, 1), lambda image: image),
        ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
        ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
        ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
        ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
        ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
    ],
    ids=["upright", "90", "180", "270", "mirrored", "mirrored 90"],
)
def test_a_phone_held_any_way(
    tmp_path: Path, matrix: tuple[int, int, int, int], turned: Callable[[np.ndarray], np.ndarray]
) -> None:
    upright = list(VideoSource(make_video(tmp_path / "clip.mp4", 3)))
    shutil.copy(tmp_path / "clip.mp4", tmp_path / "turned.mp4")
    with VideoSource(with_matrix(tmp_path / "turned.mp4", matrix)) as video:
        frames = list(video)
    height, width = frames[0].image.shape[:2]
    assert video.size == (width, height)
    for before, after in zip(upright, frames, strict=True):
        np.testing.assert_array_equal(after.image, turned(before.image))
        assert after.image.flags.c_contiguous


def test_a_video_that_changes_its_size_goes_on(tmp_path: Path) -> None:
    parts = [make_video(tmp_path / f"{w}.ts", 5, size=(w, 48)) for w in (64, 96)]
    (tmp_path / "both.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    with VideoSource(tmp_path / "both.ts") as video:
        frames = list(video)
    assert [frame.image.shape[1] for frame in frames] == [64] * 5 + [96] * 5
    assert all(np.diff([frame.timestamp for frame in frames]) > 0)  # though the clock starts anew


def test_a_broken_middle_is_left_out_and_said_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    clip = make_video(tmp_path / "clip.mp4", 40, noise=True, options={"preset": "ultrafast", "g": "8"})
    data = bytearray(clip.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = np.random.default_rng(0).bytes(3000)
    clip.write_bytes(data)
    said: list[str] = []
    with VideoSource(clip, info=said.append) as video:
        times = [frame.timestamp for frame in video]
        assert list(video) == []
    assert 0 < video.broken < 8
    assert len(times) == 40 - video.broken
    assert times[-1] == pytest.approx(39 / 25)  # what follows is shown at its own time
    assert len(said) == 1
    assert re.search(rf"{video.broken} broken frames? left out, {len(times)} read", said[0])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".ts", ".avi"])
def test_of_a_cut_file_the_beginning_is_delivered(
    tmp_path: Path, ending: str, capfd: pytest.CaptureFixture[str]
) -> None:
    clip = tmp_path / f"clip{ending}"
    if ending == ".mp4":  # the index in front
        copy_through(make_video(tmp_path / "whole.mp4", 60, noise=True), clip)
    else:
        make_video(clip, 60, noise=True, options={"preset": "ultrafast", "bf": "0"})
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    said: list[str] = []
    with VideoSource(clip, info=said.append) as video:
        count = len(list(video))
    assert 20 <= count <= 40
    assert said or ending == ".ts"  # nothing in a transport stream tells how long it was
    assert capfd.readouterr() == ("", "")


def song(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        tone = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.int16), format="s16", layout="stereo")
        frame.sample_rate = 48000
        container.mux(tone.encode(frame))
        container.mux(tone.encode(None))
    return path


def test_what_is_no_video_is_one_clear_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video\n" * 50)
    (tmp_path / "notes.txt").write_text("no video\n" * 50)
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(4000))
    cv2.imwrite(str(tmp_path / "image.png"), scene(0))
    song(tmp_path / "song.m4a")
    whole = make_video(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "headless.mp4").write_bytes(whole[: whole.find(b"moov")])
    expected = {
        "missing.mp4": "does not exist",
        "nowhere/clip.mp4": "does not exist",
        "folder.mp4": "is a folder",
        "empty.mp4": "is empty (0 bytes)",
        "text.mp4": "not a video",
        "notes.txt": "is an image or a text",
        "noise.mp4": "not a video",
        "image.png": "is an image or a text",
        "song.m4a": "has no video stream, only audio",
        "headless.mp4": "cut short",
        "/dev/null": "is a device",
        "nul\0byte.mp4": "is not a path",
        "ftp://host/clip.mp4": "'ftp' is not one of http, https,",
    }
    for name, arguments in expected.items():
        with pytest.raises(InputError, match=re.escape(arguments)) as caught:
            VideoSource(name if "://" in name else tmp_path / name)
        assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise av.error.PermissionError(13, "Permission denied")

    make_video(tmp_path / "clip.mp4", 2)
    monkeypatch.setattr(av, "open", refused)  # the super-user, who runs tests in containers, may read all
    with pytest.raises(InputError, match="permission denied"):
        VideoSource(tmp_path / "clip.mp4")


def test_what_counts_as_a_video(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("words")
    shutil.copy(make_video(tmp_path / "clip.mp4", 2), tmp_path / "download")
    shutil.copy(song(tmp_path / "song.m4a"), tmp_path / "ringtone")
    videos = ["clip.MP4", "clip.mkv", "https://host/a.mp4?size=1", "http://host/stream", "rtsp://host/1"]
    for name in [*videos, tmp_path / "download", f"file://{tmp_path}/clip.mp4"]:
        assert is_video(name), name
    others = ["face.jpg", "anim.gif", "https://host/face.png?x=.mp4", "webcam", "ftp://host/a", tmp_path / "missing"]
    for name in [*others, tmp_path / "notes.txt", tmp_path / "ringtone", tmp_path]:
        assert not is_video(name), name


def test_a_name_that_looks_like_a_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "clip.mp4", 3).rename(tmp_path / "12:30 ümlaut %d.mp4")
    copy_through(Path("12:30 ümlaut %d.mp4"), Path("pipe:1.mp4"))
    with VideoSource("pipe:1.mp4") as video, video.reopen() as reopen:
        assert len(list(video)) == len(list(reopen)) == 3


# -- servers ---------------------------------------------------------------------------------------


class Server:
    """A loopback HTTP server with ranges; it can hang in the middle of a file, and sends images as cameras do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hang_after: int | None = None  # bytes of a file
        self.asked: list[str] = []
        self.images = 8
        self.released = threading.Event()
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None: ...

            def do_GET(self) -> None:
                server.asked.append(self.headers.get("Range", ""))
                with suppress(ConnectionError):  # the reader has gone
                    server.images_to(self) if self.path == "/camera" else server.file_to(self)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def file_to(self, request: http.server.BaseHTTPRequestHandler) -> None:
        path = self.folder / request.path.lstrip("/")
        if not path.is_file():
            request.send_error(404)
            return
        data = path.read_bytes()
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        start = int(wanted[1]) if wanted else 0
        request.send_response(206 if wanted else 200)
        request.send_header("Accept-Ranges", "bytes")
        request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        request.send_header("Content-Length", str(len(data) - start))
        request.end_headers()
        if self.hang_after is not None:
            request.wfile.write(data[start : max(start, self.hang_after)])
            self.released.wait(20)
        else:
            request.wfile.write(data[start:])

    def images_to(self, request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "multipart/x-mixed-replace;boundary=frame")
        request.end_headers()
        for i in range(self.images):
            jpeg = cv2.imencode(".jpg", scene(i))[1].tobytes()
            request.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg))
            request.wfile.write(jpeg + b"\r\n")
            time.sleep(0.01)
        if self.hang_after is not None:
            self.released.wait(20)

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.close()


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_a_video_on_a_web_server_is_read_by_seeking(tmp_path: Path, server: Server) -> None:
    clip = make_video(tmp_path / "clip.mp4", 20, codec="mjpeg", pix_fmt="yuvj420p", size=(320, 240), noise=True)
    assert clip.read_bytes().find(b"mdat") < 100  # the index is at its end
    with VideoSource(clip) as here, VideoSource(f"{server.address}/clip.mp4") as there:
        assert not there.live
        assert (there.fps, there.size, there.count, there.duration) == (here.fps, here.size, here.count, here.duration)
        for a, b in zip(here, there, strict=True):
            np.testing.assert_array_equal(a.image, b.image)
            assert a.timestamp == b.timestamp
    assert any(re.fullmatch(r"bytes=[1-9]\d*-", asked) for asked in server.asked)


def test_a_playlist_is_one_video(tmp_path: Path, server: Server) -> None:
    with av.open(
        str(tmp_path / "list.m3u8"), "w", format="hls", options={"hls_time": "0.4", "hls_list_size": "0"}
    ) as c:
        stream = c.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.options = {"preset": "ultrafast", "g": "10"}
        for i in range(30):
            c.mux(stream.encode(av.VideoFrame.from_ndarray(scene(i), format="bgr24")))
        c.mux(stream.encode(None))
    assert len(list(tmp_path.glob("*.ts"))) == 3
    with VideoSource(f"{server.address}/list.m3u8", timeout=5) as video:
        assert not video.live
        frames = list(video)
    assert [frame.timestamp for frame in frames] == pytest.approx([i / 25 for i in range(30)], abs=0.001)


def test_a_stream_of_jpegs_is_live_and_timed_by_arrival(server: Server) -> None:
    with VideoSource(f"{server.address}/camera", timeout=5) as video:
        assert video.live
        assert video.size == (64, 48)
        frames: list[Frame] = []
        with pytest.raises(InputError, match="stopped after 8 frames: the connection failed"):
            frames.extend(video)
    assert len(frames) == server.images
    assert all(np.diff([frame.timestamp for frame in frames]) > 0)
    assert np.abs(frames[5].image.astype(int) - scene(5)).mean() < 12


def test_servers_that_do_not_deliver_are_one_sentence(
    tmp_path: Path, server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "page.mp4").write_text("<html>not here</html>")
    cv2.imwrite(str(tmp_path / "face.png"), scene(0))
    with socket.create_server(("127.0.0.1", 0)) as gone:
        closed = gone.getsockname()[1]
    host = server.address.removeprefix("http://")
    expected = {
        f"{server.address}/missing.mp4": "404",
        f"{server.address}/page.mp4": "not a video",
        f"{server.address}/face.png": "is an image",
        f"http://127.0.0.1:{closed}/clip.mp4": "nothing answers there",
        f"rtsp://127.0.0.1:{closed}/1": "nothing answers there",
        f"http://someone:secret@{host}/missing.mp4": "404",
    }
    for address, arguments in expected.items():
        with pytest.raises(InputError, match=arguments) as caught:
            VideoSource(address, timeout=2)
        assert "\n" not in str(caught.value)
        assert "secret" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("scheme", ["http", "rtsp", "rtmp", "tcp"])
def test_a_silent_server_is_given_up(scheme: str) -> None:
    with silent_port() as port:
        start = time.monotonic()
        with pytest.raises(InputError, match=r"nothing came for 0\.5 s"):
            VideoSource(f"{scheme}://127.0.0.1:{port}/1", timeout=0.5)
        assert time.monotonic() - start < 10


def test_a_download_that_hangs_gives_what_came_and_then_an_error(tmp_path: Path, server: Server) -> None:
    clip = make_video(tmp_path / "clip.mkv", 60, codec="mjpeg", pix_fmt="yuvj420p", size=(320, 240), noise=True)
    server.hang_after = clip.stat().st_size // 2
    frames: list[Frame] = []
    with VideoSource(f"{server.address}/clip.mkv", timeout=1) as video, pytest.raises(InputError, match="stopped"):
        frames.extend(video)
    assert 5 < len(frames) < 60


class RtspCamera:
    """A camera on the network: RTSP with H.264 in the same TCP connection, 30 frames and then silence or the end."""

    def __init__(self, *, stays: bool) -> None:
        self.stays = stays
        self.visits = 0
        self.released = threading.Event()
        encoder = av.CodecContext.create("libx264", "w")
        encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 64, 48, "yuv420p", Fraction(1, 25)
        encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "g": "10"}
        images = [av.VideoFrame.from_ndarray(scene(i), format="bgr24") for i in range(30)]
        self._packets = [bytes(packet) for frame in [*images, None] for packet in encoder.encode(frame)]
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"rtsp://someone:secret@127.0.0.1:{self._listening.getsockname()[1]}/1"
        self._talks: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while not self.released.is_set():
            connection, _ = self._listening.accept()
            self._talks.append(threading.Thread(target=self._talk, args=(connection,)))
            self._talks[-1].start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        about = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
        about += "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:1\r\n"
        for request in iter(lambda: connection.recv(4096).decode("ascii"), ""):
            number = re.search(r"CSeq: (\d+)", request)
            answer = f"RTSP/1.0 200 OK\r\nCSeq: {number[1] if number else 0}\r\nSession: 7\r\n"
            if request.startswith("OPTIONS"):
                answer += "Public: DESCRIBE, SETUP, PLAY\r\n\r\n"
            elif request.startswith("DESCRIBE"):
                answer += f"Content-Type: application/sdp\r\nContent-Length: {len(about)}\r\n\r\n{about}"
            elif request.startswith("SETUP"):
                answer += "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n"
            else:
                answer += "\r\n"
            connection.sendall(answer.encode("ascii"))
            if request.startswith("PLAY"):
                self.visits += 1
                self._play(connection)
                if self.stays:
                    self.released.wait(20)
                return

    def _play(self, connection: socket.socket) -> None:
        sequence = 0
        for i, packet in enumerate(self._packets):
            units = [unit for unit in re.split(rb"\x00\x00\x00?\x01", packet) if unit]
            for unit in units:
                mark = 128 if unit is units[-1] else 0
                rtp = struct.pack(">BBHII", 128, 96 | mark, sequence, 90_000 + 3600 * i, 7) + unit
                connection.sendall(struct.pack(">cBH", b"$", 0, len(rtp)) + rtp)
                sequence += 1
            time.sleep(0.002)

    def close(self) -> None:
        self.released.set()
        with suppress(OSError), socket.create_connection(self._listening.getsockname(), 1):
            pass  # wakes accept()
        for thread in (self._thread, *self._talks):
            thread.join()
        self._listening.close()


@contextmanager
def rtsp_camera(*, stays: bool) -> Iterator[RtspCamera]:
    camera = RtspCamera(stays=stays)
    try:
        yield camera
    finally:
        camera.close()


def test_a_camera_on_the_network_that_falls_silent() -> None:
    frames: list[Frame] = []
    with rtsp_camera(stays=True) as camera, VideoSource(camera.address, timeout=1) as video:
        assert video.live
        assert video.size == (64, 48)
        with pytest.raises(InputError, match=r"stopped after \d+ frames: nothing came for 1 s") as caught:
            frames.extend(video)
    assert len(frames) >= 28
    assert np.diff([frame.timestamp for frame in frames]) == pytest.approx([1 / 25] * (len(frames) - 1), abs=1e-3)
    assert np.abs(frames[3].image.astype(int) - scene(3)).mean() < 12
    assert "secret" not in str(caught.value) + frames[0].source


@pytest.mark.parametrize("stays", [True, False], ids=["stalls", "hangs up"])
def test_a_camera_on_the_network_is_found_again(stays: bool) -> None:
    said: list[str] = []
    with rtsp_camera(stays=stays) as camera:
        source = VideoSource(camera.address, timeout=0.6)
        with LatestFrames(source, info=said.append, pauses=(0.01, 0.05)) as newest:
            wait_for(lambda: newest.reconnects >= 2 and newest.received > 60)
    assert camera.visits >= 3
    assert "trying to reach it again" in said[0]
    assert "secret" not in "".join(said)


# -- cameras ---------------------------------------------------------------------------------------


class Camera:
    """Stands in for cv2.VideoCapture: a camera of 640 x 480 (or 320 x 240) pixels and 30 frames per second."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.opened = True
        self.width, self.height = 640, 480
        self.left = 10**6  # images until it is unplugged
        self.pause = 0.0
        self.stuck: threading.Event | None = None
        self.reads = 0

    def isOpened(self) -> bool:  # noqa: N802
        return self.opened

    def read(self) -> tuple[bool, np.ndarray | None]:
        if self.stuck is not None:
            self.stuck.wait(20)
        time.sleep(self.pause)
        if not self.opened or self.left <= 0:
            return False, None
        self.left -= 1
        self.reads += 1
        return True, np.full((self.height, self.width, 3), self.reads % 256, np.uint8)

    def get(self, prop: int) -> float:
        return 30.0 if prop == cv2.CAP_PROP_FPS else 0.0

    def set(self, prop: int, value: float) -> bool:
        if prop == cv2.CAP_PROP_FRAME_WIDTH and value <= 320:
            self.width, self.height = 320, 240
        return True

    def release(self) -> None:
        self.opened = False


class Desk:
    """Where cameras are plugged in: hands one out per opening, prepared by the test, and none when it is empty."""

    def __init__(self, *plans: Callable[[Camera], None]) -> None:
        self.plans = list(plans)
        self.opened: list[Camera] = []
        self.tried = 0

    def __call__(self, number: int) -> Camera:
        self.tried += 1
        camera = Camera(number)
        if self.plans:
            self.plans.pop(0)(camera)
            self.opened.append(camera)
        else:
            camera.opened = False
        return camera


def plan(**settings: object) -> Callable[[Camera], None]:
    return lambda camera: camera.__dict__.update(settings)


def test_names_of_cameras() -> None:
    named = {0: 0, "webcam": 0, "webcam:2": 2, "3": 3, "/dev/video1": 1, "Webcam:1": 1}
    assert {name: camera_number(name) for name in named} == named
    assert [camera_number(name) for name in ("clip.mp4", "webcam:", "webcam:x", "/dev/null", "-1")] == [None] * 5


def test_a_camera_gives_images_with_the_time_of_arrival() -> None:
    desk = Desk(plan(pause=0.005))
    with CameraSource("webcam:1", factory=desk) as camera:
        assert (camera.size, camera.fps, camera.name, camera.live) == ((640, 480), 30, "webcam:1", True)
        frames = [frame for frame, _ in zip(camera, range(4), strict=False)]
    assert desk.opened[0].number == 1
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert [frame.image[0, 0, 0] for frame in frames] == [1, 2, 3, 4]
    assert frames[0].timestamp == 0
    assert all(np.diff([frame.timestamp for frame in frames]) >= 0.005)
    assert not desk.opened[0].opened  # released for other programs


def test_wishes_are_passed_on_and_said_where_they_are_not_met() -> None:
    said: list[str] = []
    with CameraSource(0, size=(320, 240), fps=30, factory=Desk(plan()), info=said.append) as camera:
        assert camera.size == (320, 240)
        assert said == []
    with CameraSource(0, size=(1920, 1080), fps=60, factory=Desk(plan()), info=said.append) as camera:
        assert camera.size == (640, 480)
    assert "640 x 480 pixels, not 1920 x 1080" in said[0]
    assert "30 frames per second, not 60" in said[1]


def test_a_camera_that_is_not_there_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="webcam:3 cannot be opened; check that it is plugged in"):
        CameraSource("webcam:3", factory=Desk())
    with pytest.raises(InputError, match="opens but gives no image"):
        CameraSource(0, factory=Desk(plan(left=0)))
    with pytest.raises(InputError, match="is not a camera; give webcam"):
        CameraSource("clip.mp4")
    if not os.path.exists("/dev/video97"):
        with pytest.raises(InputError, match="webcam:97 cannot be opened"):
            CameraSource("/dev/video97")  # OpenCV itself
    assert capfd.readouterr() == ("", "")


def test_a_camera_that_is_unplugged_is_an_error() -> None:
    camera = CameraSource(0, factory=Desk(plan(left=5)))
    with camera, pytest.raises(InputError, match="no more images after 5; check its cable"):
        list(camera)


# -- the newest frame ------------------------------------------------------------------------------


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it did not happen within 10 seconds"
        time.sleep(0.005)


def test_a_slow_model_always_sees_the_newest_frame() -> None:
    before = threading.active_count()
    ages, seen = [], []
    with LatestFrames(CameraSource(0, factory=Desk(plan(pause=0.005)))) as newest:
        for frame in newest:
            ages.append(newest.clock() - frame.timestamp)
            seen.append(frame.index)
            if len(seen) == 4:
                break
            time.sleep(0.2)  # forty times slower than the camera
    assert newest.dropped > 10
    assert newest.received >= seen[-1] + 1
    assert newest.dropped >= seen[-1] + 1 - len(seen)
    assert min(np.diff(seen)) > 1
    assert max(ages) < 0.15  # none waited while the model was busy
    wait_for(lambda: threading.active_count() == before)


def test_a_camera_that_vanishes_is_found_again() -> None:
    said: list[str] = []
    desk = Desk(plan(left=5, pause=0.002), plan(left=10**6, pause=0.002))
    with LatestFrames(CameraSource(0, factory=desk), info=said.append, pauses=(0.01, 0.05)) as newest:
        desk.plans.insert(0, plan(opened=False))  # the first attempt fails
        frames = []
        while newest.reconnects == 0 or len(frames) < 12:
            frame = newest.get(timeout=10)
            assert frame is not None
            frames.append(frame)
    assert desk.tried == 3
    assert re.search("no more images after 5; .*; trying to reach it again", said[0])
    assert re.search(r"webcam:0 is back after \d", said[1])
    assert all(np.diff([frame.index for frame in frames]) > 0)
    assert all(np.diff([frame.timestamp for frame in frames]) >= 0)  # one clock across the gap
    assert not any(camera.opened for camera in desk.opened)


def test_a_camera_that_stalls_is_opened_anew() -> None:
    said: list[str] = []
    stuck = threading.Event()
    desk = Desk(plan(pause=0.002), plan(pause=0.002))
    with LatestFrames(
        CameraSource(0, factory=desk), info=said.append, stall_timeout=0.5, pauses=(0.01, 0.05)
    ) as newest:
        assert newest.get(timeout=10) is not None
        desk.opened[0].stuck = stuck
        wait_for(lambda: newest.reconnects >= 1)
        before = newest.received
        wait_for(lambda: newest.received > before + 3)
    assert "webcam:0 has given no image for 0.5 s; trying to reach it again" in said[0]
    stuck.set()  # the old thread wakes up, sees that it is not wanted, and lets its camera go
    wait_for(lambda: not any(camera.opened for camera in desk.opened))


def test_a_stall_that_ends_by_itself_is_no_new_connection() -> None:
    desk = Desk(plan(pause=0.002))
    said: list[str] = []
    with LatestFrames(CameraSource(0, factory=desk), info=said.append, stall_timeout=0.5, pauses=(20, 20)) as newest:
        assert newest.get(timeout=10) is not None
        desk.opened[0].stuck = threading.Event()
        wait_for(lambda: len(said) == 1)
        desk.opened[0].stuck.set()
        wait_for(lambda: len(said) == 2)
    assert desk.tried == 1
    assert "is back" in said[1]


def test_patience_ends() -> None:
    for reconnect_timeout in (0.2, 0):
        desk = Desk(plan(left=3))
        newest = LatestFrames(CameraSource(0, factory=desk), reconnect_timeout=reconnect_timeout, pauses=(0.01, 0.02))
        with newest, pytest.raises(InputError, match="cannot be opened" if reconnect_timeout else "no more images"):
            list(newest)
        assert (desk.tried > 2) == (reconnect_timeout > 0)


def test_an_error_of_ours_reaches_the_one_who_waits() -> None:
    class Faulty(CameraSource):
        def __iter__(self) -> Iterator[Frame]:
            yield from ()
            raise ZeroDivisionError("ours")

    with LatestFrames(Faulty(0, factory=Desk(plan()))) as newest, pytest.raises(ZeroDivisionError, match="ours"):
        newest.get(timeout=10)


def test_closing_wakes_the_one_who_waits() -> None:
    camera = plan(pause=0.05)
    newest = LatestFrames(CameraSource(0, factory=Desk(camera)))
    seen: list[Frame] = []
    waiting = threading.Thread(target=lambda: seen.extend(newest))
    waiting.start()
    wait_for(lambda: len(seen) > 0)
    newest.close()
    waiting.join(5)
    assert not waiting.is_alive()
    assert newest.get() is None


def test_a_stream_that_ends_is_connected_again(server: Server) -> None:
    said: list[str] = []
    source = VideoSource(f"{server.address}/camera", timeout=2)
    with LatestFrames(source, info=said.append, pauses=(0.01, 0.05)) as newest:
        wait_for(lambda: newest.received >= 3 * server.images)
    assert newest.reconnects >= 2
    assert "stopped after 8 frames: the connection failed; check the URL" in said[0]
    assert re.search(r"is back after \d+\.\d s$", said[1])


# -- videos out ------------------------------------------------------------------------------------


def ffprobe(path: Path) -> dict[str, str]:
    program = shutil.which("ffprobe")
    if program is None:
        pytest.skip("needs ffprobe: apt-get install ffmpeg")
    entries = "stream=codec_name,pix_fmt,avg_frame_rate,nb_read_frames,duration"
    command = [program, "-v", "error", "-count_frames", "-select_streams", "v", "-show_entries", entries, "-of", "json"]
    out = subprocess.run([*command, str(path)], capture_output=True, text=True, check=True)
    return json.loads(out.stdout)["streams"][0]


@pytest.fixture(scope="module", params=[*RATES, None], ids=[*map(str, RATES), "variable"])
def copied(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A video of each rate, and what the sink made of it."""
    folder = tmp_path_factory.mktemp("copied")
    if request.param is None:
        source = make_video(folder / "in.mp4", times=IRREGULAR)
    else:
        source = make_video(folder / "in.mp4", 40, request.param)
    copy_through(source, folder / "out.mp4")
    return source, folder / "out.mp4"


def test_the_copy_has_the_rate_frames_and_duration_of_the_source(copied: tuple[Path, Path]) -> None:
    source, copy = map(facts, copied)
    assert (copy["codec"], copy["pix_fmt"]) == ("h264", "yuv420p")
    assert copy["frames"] == source["frames"]
    assert copy["times"] == pytest.approx(source["times"], abs=1e-4)
    frame = 1 / source["rate"]
    assert copy["duration"] == pytest.approx(source["duration"], abs=float(frame))
    if len(source["times"]) == 40:
        assert copy["rate"] == source["rate"]


def test_ffprobe_agrees(copied: tuple[Path, Path]) -> None:
    source, copy = map(ffprobe, copied)
    assert (copy["codec_name"], copy["pix_fmt"]) == ("h264", "yuv420p")
    assert copy["nb_read_frames"] == source["nb_read_frames"]
    frame = float(1 / Fraction(source["avg_frame_rate"]))
    assert float(copy["duration"]) == pytest.approx(float(source["duration"]), abs=frame)
    if source["nb_read_frames"] == "40":
        assert copy["avg_frame_rate"] == source["avg_frame_rate"]


def test_milliseconds_of_matroska_go_back_onto_the_grid(tmp_path: Path) -> None:
    copy_through(make_video(tmp_path / "in.mkv", 40, Fraction(30000, 1001)), tmp_path / "out.mp4")
    assert facts(tmp_path / "out.mp4")["rate"] == Fraction(30000, 1001)
    # ... and those of a variable rate do not
    copy_through(make_video(tmp_path / "in.mkv", times=IRREGULAR), tmp_path / "out.mp4")
    assert facts(tmp_path / "out.mp4")["times"] == pytest.approx([t / 1000 for t in IRREGULAR], abs=2e-5)


def test_a_finished_file_starts_to_play_before_it_is_loaded(tmp_path: Path) -> None:
    copy_through(make_video(tmp_path / "in.mp4", 40), tmp_path / "out.mp4")
    data = (tmp_path / "out.mp4").read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat")
    assert b"moof" not in data
    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def test_images_of_odd_and_changing_sizes(tmp_path: Path) -> None:
    said: list[str] = []
    with VideoWriter(tmp_path / "out.mp4", 25, info=said.append) as sink:
        sink.write(np.full((47, 63, 3), 200, np.uint8))
        sink.write(np.full((47, 63, 3), 200, np.uint8))
        assert said == []
        sink.write(np.full((96, 32, 3), 200, np.uint8))  # twice as high, half as wide
        sink.write(np.full((96, 32, 3), 200, np.uint8))
        assert (sink.size, sink.frames, sink.letterboxed) == ((64, 48), 4, 2)
    frames = [frame.image for frame in VideoSource(tmp_path / "out.mp4")]
    assert {frame.shape for frame in frames} == {(48, 64, 3)}
    assert np.abs(frames[0].astype(int) - 200).max() < 6  # no dark seam where a row and a column were added
    assert frames[2][:, 26:38].mean() == pytest.approx(200, abs=6)
    assert frames[2][:, :20].mean() < 6
    assert len(said) == 1
    assert "32 x 96 pixels are fitted into the 64 x 48" in said[0]


def test_images_without_times_follow_the_rate(tmp_path: Path) -> None:
    for fps, rate in ((12, 12), (29.97, Fraction(30000, 1001)), (None, 25)):
        with VideoWriter(tmp_path / "out.mp4", fps) as sink:
            for i in range(10):
                sink.write(scene(i))
        assert facts(tmp_path / "out.mp4")["rate"] == rate


def test_times_that_stand_still_do_not_stop_the_video(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", 25) as sink:
        for seconds in (0.0, 0.04, 0.04, 0.03, 0.16):
            sink.write(scene(0), seconds)
    times = facts(tmp_path / "out.mp4")["times"]
    assert times == pytest.approx([0, 0.04, 0.04, 0.04, 0.16], abs=0.001)


@pytest.mark.parametrize(
    ("ending", "sound", "kept"),
    [(".mp4", "aac", "aac"), (".ts", "aac", "aac"), (".mkv", "flac", "flac"), (".mov", "pcm_s16le", "aac")],
)
def test_the_sound_comes_along(tmp_path: Path, ending: str, sound: str, kept: str) -> None:
    source = make_video(tmp_path / f"in{ending}", 50, sound=sound)
    with VideoSource(source) as video, VideoWriter(tmp_path / "out.mp4", video.fps, audio_from=source) as sink:
        assert video.has_audio
        for frame in video:
            if frame.index < 30:  # stopped early: the sound stops there too
                sink.write(frame.image, frame.timestamp)
    with av.open(str(tmp_path / "out.mp4")) as container:
        heard = container.streams.audio[0]
        assert heard.codec_context.codec.canonical_name == kept
        samples = np.concatenate([f.to_ndarray().reshape(-1)[:1024] for f in container.decode(heard)])
        assert np.abs(samples.astype(float)).max() > 0
        seconds = float(heard.duration * heard.time_base)
    assert seconds == pytest.approx(30 / 25, abs=0.06)
    assert facts(tmp_path / "out.mp4")["times"] == pytest.approx([i / 25 for i in range(30)], abs=1e-4)
    assert facts(tmp_path / "out.mp4")["duration"] == pytest.approx(30 / 25, abs=0.06)


def test_without_sound_there_is_just_a_video(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", 5)
    copy_through(source, tmp_path / "out.mp4", audio_from=source)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]


def test_sound_that_breaks_off_costs_only_the_sound(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", 10, sound="aac")
    said: list[str] = []
    with VideoWriter(tmp_path / "out.mp4", 25, audio_from=source, info=said.append) as sink:
        for i in range(10):
            sink.write(scene(i))
        source.unlink()
    assert facts(tmp_path / "out.mp4")["frames"] == 10
    assert len(said) == 1
    assert "has no sound" in said[0]
    assert b"moof" not in (tmp_path / "out.mp4").read_bytes()


def test_names_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.mp4").mkdir()
    source = make_video(tmp_path / "in.mp4", 3, sound="aac")
    with pytest.raises(OutputError, match=r"give a name that ends in \.mp4"):
        VideoWriter(tmp_path / "out.avi", 25)
    with pytest.raises(OutputError, match=r"'.*file' is in the way"):
        VideoWriter(tmp_path / "file" / "out.mp4", 25)
    with pytest.raises(OutputError, match="a folder of that name is in the way"):
        VideoWriter(tmp_path / "folder.mp4", 25)
    with pytest.raises(OutputError, match="is the input itself"):
        VideoWriter(source, 25, audio_from=source)
    with pytest.raises(InputError, match="does not exist"):
        VideoWriter(tmp_path / "out.mp4", 25, audio_from=tmp_path / "missing.mp4")
    for make in (JsonLinesWriter, VideoJsonWriter):
        with pytest.raises(OutputError, match=r"'.*file' is in the way"):
            make(tmp_path / "file" / "out.json")
    with pytest.raises(ArgumentError, match="shape"):
        VideoWriter(tmp_path / "out.mp4", 25).write(np.zeros((4, 4), np.uint8))
    with pytest.raises(ArgumentError, match=r"\(0, 5\)"):
        VideoWriter(tmp_path / "out.mp4", 25, (0, 5))
    for fps in (-1, 0, float("nan"), 1e9):
        with pytest.raises(ArgumentError, match="frames per second"):
            VideoWriter(tmp_path / "out.mp4", fps)
    with pytest.raises(ArgumentError, match="crf from 1"):
        VideoWriter(tmp_path / "out.mp4", 25, crf=0)
    assert not (tmp_path / "out.mp4").exists()


def test_what_had_the_name_stays_until_there_is_an_image(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_text("an older video")
    with VideoWriter(tmp_path / "out.mp4", 25):
        pass
    assert (tmp_path / "out.mp4").read_text() == "an older video"
    with VideoWriter(tmp_path / "out.mp4", 25) as sink:
        sink.write(scene(0))
    assert facts(tmp_path / "out.mp4")["frames"] == 1


WORKER = """
import sys, numpy as np
from fractions import Fraction
from limner import keypoints
from limner.errors import OutputError
from limner.types import Boxes, Poses, Result
from limner.formats.json_lines import JsonLinesWriter
from limner.formats.mmpose_json import VideoJsonWriter
from limner.video.writer import VideoWriter

def result(i):
    n = np.full((1, 5, 2), i, np.float32)
    boxes = Boxes(np.ones((1, 4), np.float32), np.ones(1, np.float32), np.zeros(1, np.int64))
    return Result(boxes, Poses(n, n[..., 0]), keypoints.numbered(5, "five"), (64, 48), "clip.mp4", i, i / fps)

def work(frames, say=print):
    with VideoWriter(folder + "/out.mp4", rate) as video, JsonLinesWriter(folder + "/out.jsonl") as lines, \\
         VideoJsonWriter(folder + "/out.json") as sheet:
        for i in range(frames):
            image = np.random.default_rng(i).integers(0, 256, (24, 32, 3), np.uint8)
            video.write(image, float(i / rate)); lines.write(result(i)); sheet.write(result(i))
            say(i + 1, flush=True)

folder, rate = sys.argv[1], Fraction(sys.argv[2])
fps = float(rate)
"""


def worker(code: str, folder: Path, rate: Fraction) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    command = [sys.executable, "-c", WORKER + code, str(folder), str(rate)]
    # a job in the background of a shell ignores Ctrl-C, and so would what it starts
    heard = None if os.name == "nt" else lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=heard
    )


@pytest.mark.skipif(os.name == "nt", reason="a signal to another process is no Ctrl-C there")
def test_ctrl_c_finishes_the_files(tmp_path: Path) -> None:
    with worker("work(10**6)", tmp_path, Fraction(25)) as process:
        assert process.stdout is not None
        shown = next(int(line) for line in process.stdout if int(line) == 30)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in err
    frames = int([shown, *out.split()][-1])
    assert facts(tmp_path / "out.mp4")["frames"] in (frames, frames + 1)
    assert b"moof" not in (tmp_path / "out.mp4").read_bytes()
    assert len(json.loads((tmp_path / "out.json").read_text())) in (frames, frames + 1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.json", "out.jsonl", "out.mp4"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
@pytest.mark.parametrize("rate", [Fraction(5), Fraction(25), Fraction(60)], ids=str)
def test_kill_minus_nine_costs_a_second_at_most(tmp_path: Path, rate: Fraction) -> None:
    frames = int(4 * rate)
    with worker("work(10**6)", tmp_path, rate) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == frames:
                break
        process.send_signal(signal.SIGKILL)
    found = facts(tmp_path / "out.mp4")
    assert found["frames"] >= frames - rate
    assert found["rate"] == rate
    assert found["duration"] == pytest.approx(found["frames"] / rate, abs=float(1 / rate))
    with VideoSource(tmp_path / "out.mp4") as video:
        assert video.duration == pytest.approx(found["duration"], abs=0.01)
        assert len(list(video)) == found["frames"]
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["frame_id"] for line in lines[:frames]] == list(range(frames))
    assert len(json.loads((tmp_path / "out.json").read_text())) >= frames


def test_a_full_disk_is_one_sentence_and_costs_nothing_written(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="this system cannot limit the size of files")
    code = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
try:
    work(10**6)
except OutputError as error:
    print("ERROR", error)
"""
    with worker(code, tmp_path, Fraction(25)) as process:
        out, err = process.communicate(timeout=60)
    assert err == ""
    *written, last = out.splitlines()
    assert re.fullmatch("ERROR '.*' cannot be written: no space is left; free some or choose another disk", last)
    assert facts(tmp_path / "out.mp4")["frames"] >= int(written[-1]) - 25 > 0
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) in (int(written[-1]), int(written[-1]) + 1)
    assert len(json.loads((tmp_path / "out.json").read_text())) == int(written[-1])
    assert not list(tmp_path.glob(".limner*"))


# -- sheets ----------------------------------------------------------------------------------------


def result(number: int, people: int = 1, ids: list[int] | None = None) -> Result:
    random = np.random.default_rng(number)
    points = random.normal(100, 50, (people, 5, 2)).astype(np.float32)
    boxes = Boxes(
        random.normal(100, 50, (people, 4)).astype(np.float32), np.ones(people, np.float32), np.zeros(people, np.int64)
    )
    poses = Poses(points, random.random((people, 5), np.float32))
    track = None if ids is None else np.array(ids)
    return Result(boxes, poses, keypoints.numbered(5, "five"), (64, 48), "clip.mp4", number, number / 25, track)


def test_a_line_per_frame(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.jsonl"
    with JsonLinesWriter(path) as lines:
        for i, people in enumerate((2, 0, 1)):
            lines.write(result(i, people, list(range(7, 7 + people))))
            read = [json.loads(line) for line in path.read_text().splitlines()]
            assert len(read) == i + 1  # it is there before the next one is computed
    assert [line["frame_id"] for line in read] == [0, 1, 2]
    assert [line["timestamp"] for line in read] == [0, 0.04, 0.08]
    assert read[0]["source"] == "clip.mp4"
    assert (read[0]["size"], read[0]["keypoint_set"]) == ([64, 48], "five")
    assert [instance["track_id"] for instance in read[0]["instances"]] == [7, 8]
    assert read[1]["instances"] == []
    found = np.array([instance["keypoints"] for instance in read[0]["instances"]], np.float32)
    np.testing.assert_array_equal(found, result(0, 2).keypoints)
    with pytest.raises(ArgumentError, match="closed"):
        lines.write(result(3))


@pytest.mark.parametrize("meta", [None, {"dataset_name": "coco", "flip_pairs": [[1, 2]], "sigmas": np.ones(1)}])
def test_the_json_of_a_video_is_that_of_mmpose_at_every_moment(tmp_path: Path, meta: dict[str, object] | None) -> None:
    path = tmp_path / "out.json"
    first = 0 if meta is None else 1

    def expected(entries: list[dict[str, object]]) -> str:
        about = None if meta is None else {**meta, "sigmas": [1.0]}
        whole = entries if about is None else {"meta_info": about, "instance_info": entries}
        return json.dumps(whole, indent="\t")

    entries: list[dict[str, object]] = []
    with VideoJsonWriter(path, first=first, meta=meta) as sheet:
        assert path.read_text() == expected(entries)
        for i, people in enumerate((2, 0, 1)):
            sheet.write(result(i, people))
            entries.append({"frame_id": first + i, "instances": json.loads(json.dumps(result(i, people).instances()))})
            found = path.read_text()
            short = json.dumps(json.loads(expected(entries), parse_float=shortest), indent="\t")
            assert found == short
    assert json.loads(path.read_text(), parse_float=np.float32) == json.loads(expected(entries), parse_float=np.float32)


def shortest(number: str) -> float:
    return float(str(np.float32(number)))


def test_numbers_that_json_does_not_know_are_null(tmp_path: Path) -> None:
    with VideoJsonWriter(tmp_path / "out.json") as sheet:
        sheet.write([{"keypoints": [[float("nan"), 1e300]], "bbox_score": np.float32(0.1)}])
    assert json.loads((tmp_path / "out.json").read_text())[0]["instances"] == [
        {"keypoints": [[None, 1e300]], "bbox_score": 0.1}
    ]


def test_the_text_is_that_of_mmpose_itself(tmp_path: Path, shared: Path) -> None:
    text = (shared / "parity/e2e/video/results_demo.json").read_text()
    theirs = json.loads(text)
    short = {**theirs, "instance_info": json.loads(text, parse_float=shortest)["instance_info"]}
    with VideoJsonWriter(tmp_path / "out.json", first=1, meta=theirs["meta_info"]) as sheet:
        for entry in theirs["instance_info"]:
            sheet.write(entry["instances"])
    ours = (tmp_path / "out.json").read_text()
    assert ours == json.dumps(short, indent="\t")
    assert [line.lstrip("\t-0123456789.,e") for line in ours.splitlines()] == [
        line.lstrip("\t-0123456789.,e") for line in text.splitlines()
    ]


def test_a_disk_that_fills_up_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with JsonLinesWriter(tmp_path / "out.jsonl") as lines, VideoJsonWriter(tmp_path / "out.json") as sheet:
        for file in (lines, sheet):
            file.write(result(0))
            whole = file.path.read_bytes()
            real, room = file._file, 100

            class Full:
                closed = False

                def __getattr__(self, name: str) -> object:
                    return getattr(real, name)  # noqa: B023

                def write(self, data: memoryview) -> int:
                    nonlocal room
                    if not room:
                        room = 100
                        raise OSError(28, "No space left on device")
                    done, room = real.write(data[:room]), 0  # noqa: B023
                    return done

            monkeypatch.setattr(file, "_file", Full())
            with pytest.raises(OutputError, match="no space is left"):
                file.write(result(1))
            monkeypatch.setattr(file, "_file", real)
            assert file.path.read_bytes() == whole
            file.write(result(2))
    assert len(json.loads((tmp_path / "out.json").read_text())) == 2
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 2


# -- long videos -----------------------------------------------------------------------------------


def resident() -> float:
    """Memory of this process in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="this system does not tell the resident memory")
@pytest.mark.parametrize(
    "frames",
    [
        2000,
        pytest.param(
            20_000, marks=pytest.mark.skipif("LIMNER_LONG" not in os.environ, reason="a long run: set LIMNER_LONG=1")
        ),
    ],
)
def test_memory_does_not_grow_with_the_video(tmp_path: Path, frames: int) -> None:
    make_video(tmp_path / "in.mp4", frames, size=(32, 24))
    found = result(0)
    begun = 0.0
    with (
        VideoSource(tmp_path / "in.mp4", threads=2) as video,
        VideoWriter(tmp_path / "out.mp4", video.fps) as sink,
        JsonLinesWriter(tmp_path / "out.jsonl") as lines,
        VideoJsonWriter(tmp_path / "out.json") as sheet,
    ):
        for frame in video:
            sink.write(frame.image, frame.timestamp)
            lines.write(found)
            sheet.write(found)
            if frame.index == frames // 4:
                begun = resident()
        grown = resident() - begun
    assert sink.frames == frames
    assert grown < 10 if frames < 10_000 else grown < 30
