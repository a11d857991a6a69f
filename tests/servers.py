"""Cameras and servers for tests: real ones from Debian's packages where they are installed, stand-ins elsewhere.

Every image carries its number as a bar code, so that a test knows which one it got and how old it is.
"""

from __future__ import annotations

import base64
import http.server
import os
import re
import runpy
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from urllib.parse import unquote, urlsplit

import av
import cv2
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

BITS = 12  # of a number; 4096 images are 163 seconds at 25 per second
PATIENCE = 30.0  # seconds in which a server must do what it is asked for
HERE = Path(__file__).resolve().parent


# -- images that tell their number ---------------------------------------------------------------


def numbered(number: int, background: np.ndarray | None = None, size: tuple[int, int] = (320, 240)) -> np.ndarray:
    """Return an image, uint8 [H, W, 3] BGR, with its number in black and white at the upper left.

    The second row is the first one inverted, so that anything else there is no number. 64 pixels wide at least.
    """
    if background is None:
        width, height = size
        image = np.full((height, width, 3), (60, 90, 120), np.uint8)
        left = (4 * number) % (width - 8)
        image[2 * height // 3 : 2 * height // 3 + 8, left : left + 8] = 250
    else:
        image = background.copy()
    side = _side(image)
    for bit in range(BITS):
        value = 255 if number >> bit & 1 else 0
        image[:side, (bit + 1) * side : (bit + 2) * side] = value
        image[side : 2 * side, (bit + 1) * side : (bit + 2) * side] = 255 - value
    return image


def number_in(image: np.ndarray) -> int | None:
    """Return the number of an image, None where it carries none."""
    side = _side(image)
    edge = max(1, side // 4)  # codecs blur the edges
    number = 0
    for bit in range(BITS):
        left = (bit + 1) * side
        upper = image[edge : side - edge, left + edge : left + side - edge].mean()
        lower = image[side + edge : 2 * side - edge, left + edge : left + side - edge].mean()
        if abs(upper - lower) < 100:
            return None
        number |= int(upper > lower) << bit
    return number


def _side(image: np.ndarray) -> int:
    return max(4, image.shape[1] // 28)


def numbered_clip(
    path: Path,
    frames: int = 50,
    fps: Fraction | int = 25,
    size: tuple[int, int] = (320, 240),
    background: np.ndarray | None = None,
    codec: str = "libx264",
    first: int = 0,
) -> Path:
    """Write an H.264 video (or one of another codec) of numbered images, with a key frame in each second."""
    with av.open(f"file:{path}", "w") as container:
        stream = container.add_stream(codec, rate=Fraction(fps))
        stream.width, stream.height = size if background is None else background.shape[1::-1]
        stream.pix_fmt = "yuv420p" if codec != "mjpeg" else "yuvj420p"
        stream.codec_context.gop_size = round(fps)
        stream.codec_context.max_b_frames = 0
        stream.thread_count = 1
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "crf": "20"}
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(numbered(first + i, background, size), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def wait_for(condition: Callable[[], bool], what: str = "it", seconds: float = PATIENCE) -> None:
    """Wait until a condition holds; fail the test where that takes too long."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen within {seconds:g} seconds"
        time.sleep(0.01)


def free_port() -> int:
    """Return a port of the loopback that is free just now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


# -- real servers of streams -----------------------------------------------------------------------

# Debian: gir1.2-gst-rtsp-server-1.0 python3-gi; runs with the system's Python, which alone has them.
_RTSP_PROGRAM = """
import itertools, sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtsp", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer
Gst.init(None)
if len(sys.argv) < 2:  # is all there? This also loads it for the first time, which may take seconds
    try:
        Gst.parse_launch("appsrc ! h264parse ! rtph264pay ! fakesink")
    except GLib.Error as error:
        sys.exit(error.message)
    sys.exit()
port, transport, login, clip = sys.argv[1:]
server, factory = GstRtspServer.RTSPServer(), GstRtspServer.RTSPMediaFactory()
server.set_address("127.0.0.1"); server.set_service(port)
with open(clip, "rb") as file:  # of each image its length, and then it
    images = []
    while head := file.read(4):
        images.append(file.read(int.from_bytes(head, "big")))
def feed(source, _, waiting):
    number = next(waiting)
    if number == len(images):
        source.emit("end-of-stream")
        return
    image = Gst.Buffer.new_wrapped(images[number])
    image.duration = Gst.SECOND // 25
    image.pts = image.dts = number * image.duration
    source.emit("push-buffer", image)
def configure(_, media):
    media.get_element().get_child_by_name("images").connect("need-data", feed, itertools.count())
kind = "video/x-h264,stream-format=byte-stream,alignment=au,framerate=25/1"
pay = "h264parse config-interval=-1 ! rtph264pay name=pay0 pt=96"
factory.set_launch(f"( appsrc name=images format=time max-bytes=10000 caps={kind} ! {pay} )")
factory.connect("media-configure", configure)
factory.set_shared(True)
factory.set_protocols(getattr(GstRtsp.RTSPLowerTrans, transport))
if login:
    user, password = login.split(":")
    auth, token, permissions = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken(), GstRtspServer.RTSPPermissions()
    token.set_string("media.factory.role", "user")
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    auth.add_digest(user, password, token)
    server.set_auth(auth)
    for what in ("access", "construct"):
        permissions.add_permission_for_role("user", f"media.factory.{what}", True)
    factory.set_permissions(permissions)
server.get_mount_points().add_factory("/live", factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.timeout_add_seconds(600, sys.exit)  # in case that nobody ends it
GLib.MainLoop().run()
"""


class StreamServer:
    """A program that serves a stream; it can be killed, started again, stopped and continued.

    A subclass says what to run and when it is ready.
    """

    address: str
    port = 0  # stays the same when it is started again

    def __init__(self, folder: Path) -> None:
        self._log = folder / f"{type(self).__name__}.log"
        self._process: subprocess.Popen[str] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def ready(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        """Run the program and wait until it serves."""
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True, cwd=self._log.parent
            )
        end = time.monotonic() + PATIENCE
        while not self.ready():
            if self._process.poll() is not None or time.monotonic() > end:
                self.kill()
                pytest.fail(f"{type(self).__name__} does not start: {self._log.read_text()[-2000:]}")
            time.sleep(0.02)

    def kill(self) -> None:
        """End it at once, as a cut power line does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stop it: connections stay open and nothing comes any more."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


class RtspServer(StreamServer):
    """GStreamer's RTSP server, H.264: the clips one after the other, from the start for the first who looks.

    Args:
        folder: For its log.
        clips: mp4 files; H.264 without B frames.
        transport: "TCP" or "UDP", the only one that it offers.
        login: "user:password" that it asks for (Digest), none where empty.
    """

    def __init__(self, folder: Path, *clips: Path, transport: str = "TCP", login: str = "") -> None:
        super().__init__(folder)
        self.clips = clips
        self._transport, self._login = transport, login

    def command(self) -> list[str]:
        joined = self._log.with_suffix(".images")
        with joined.open("wb") as file:
            for background in (background for clip in self.clips for background in _annexb(clip)):
                file.write(len(background).to_bytes(4, "big") + background)
        about = [str(self.port), self._transport, self._login, str(joined)]
        return [_system_python(), "-I", "-c", _RTSP_PROGRAM, *about]

    def ready(self) -> bool:
        found = re.search(r"^(\d+)$", self._log.read_text(), re.MULTILINE)
        if found is None:
            return False
        self.port = int(found[1])
        login = f"{self._login}@" if self._login else ""
        self.address = f"rtsp://{login}127.0.0.1:{self.port}/live"
        return True


def _annexb(clip: Path) -> Iterator[bytes]:
    """Yield the coded images of an H.264 clip as they go over the air: key frames with what a decoder needs."""
    with av.open(f"file:{clip}") as container:
        stream = container.streams.video[0]
        unpack = BitStreamFilterContext("h264_mp4toannexb", stream)
        for packet in container.demux(stream):
            yield from (bytes(unpacked) for unpacked in unpack.filter(packet if packet.size else None))


class MjpegServer(StreamServer):
    """The surveillance program motion: a clip as JPEGs over HTTP, 25 per second (some twice)."""

    def __init__(self, folder: Path, clip: Path, size: tuple[int, int] = (320, 240)) -> None:
        super().__init__(folder)
        self.clip, self.size = clip, size
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}/"

    def command(self) -> list[str]:
        settings = {
            "daemon": "off",
            "setup_mode": "off",
            "netcam_url": f"file://{self.clip}",
            "width": str(self.size[0]),
            "height": str(self.size[1]),
            "framerate": "25",
            "stream_port": str(self.port),
            "stream_localhost": "on",
            "stream_maxrate": "25",
            "stream_quality": "90",
            "webcontrol_port": "0",
            "picture_output": "off",
            "movie_output": "off",
            "text_left": "",
            "text_right": "",
            "target_dir": str(self._log.parent),
        }
        config = self._log.with_suffix(".conf")
        config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        return [shutil.which("motion") or "motion", "-c", str(config)]

    def ready(self) -> bool:
        """Tell whether it shows the clip: before that it sends a grey image."""
        with suppress(OSError), urllib.request.urlopen(self.address, timeout=5) as stream:
            for _ in range(100):
                length = 0
                while (line := stream.readline()) and (line.strip() or not length):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                background = cv2.imdecode(np.frombuffer(stream.read(length), np.uint8), cv2.IMREAD_COLOR)
                if background is not None and number_in(background) is not None:
                    return True
        return False


def _system_python() -> str:
    return shutil.which("python3", path="/usr/bin:/bin") or sys.executable


def need_rtsp_server() -> None:
    """Skip the test where GStreamer's RTSP server is not installed."""
    if not hasattr(signal, "SIGSTOP"):
        pytest.skip("this system cannot freeze a process")
    tried = subprocess.run([_system_python(), "-I", "-c", _RTSP_PROGRAM], capture_output=True, text=True, timeout=60)
    if tried.returncode:
        why = (tried.stderr.splitlines() or ["?"])[-1]
        packages = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
        pytest.skip(f"needs GStreamer's RTSP server: apt-get install {packages} ({why})")


def need_mjpeg_server() -> None:
    """Skip the test where motion is not installed."""
    if shutil.which("motion") is None or not hasattr(signal, "SIGSTOP"):
        pytest.skip("needs motion: apt-get install motion")


@contextmanager
def running(*servers: StreamServer) -> Iterator[None]:
    """Start servers and end them in any case."""
    try:
        for server in servers:
            server.start()
        yield
    finally:
        for server in servers:
            server.kill()


# -- a web server ----------------------------------------------------------------------------------


class WebServer:
    """A loopback web server of the files of a folder, with byte ranges.

    ``/moved/NAME`` leads on to NAME, ``/private/NAME`` wants the login, and ``/camera`` sends JPEGs
    from ``frames`` at ``fps`` as network cameras do, until they run out.

    Args:
        folder: What it serves.
        certificate: (certificate, key) in PEM files where it speaks https.
    """

    def __init__(self, folder: Path, certificate: tuple[Path, Path] | None = None) -> None:
        self.folder = folder
        self.login = ""  # "user:password" of /private
        self.frames: Sequence[bytes] = ()  # JPEGs of /camera
        self.fps = 25.0
        self.protocol = "HTTP/1.1"
        self.says_close = True  # that it closes the connection, where it is asked to
        self.posted: list[tuple[str, str]] = []  # paths and texts that were sent here
        self.asked: list[str] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            says_close = True

            def handle(self) -> None:
                self.protocol_version, self.says_close = server.protocol, server.says_close
                super().handle()

            def log_message(self, *_: object) -> None: ...

            def do_GET(self) -> None:
                with suppress(OSError):  # the reader has gone
                    server._get(self)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                server.posted.append((self.path, body))
                _answer(self, 204)

        self._server = _Quiet(("127.0.0.1", 0), Handler)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = int(self._server.server_port)
        self.address = f"http{'' if certificate is None else 's'}://127.0.0.1:{self.port}"
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def _get(self, request: http.server.BaseHTTPRequestHandler) -> None:
        self.asked.append(request.path)
        place = unquote(urlsplit(request.path).path)
        if place.startswith("/moved/"):
            _answer(request, 302, Location=place.removeprefix("/moved"))
        elif place.startswith("/private/") and not self._may(request):
            _answer(request, 401, WWW_Authenticate='Basic realm="here"')
        elif place == "/camera":
            self._video(request)
        else:
            self._file(request, self.folder / place.removeprefix("/private").lstrip("/"))

    def _may(self, request: http.server.BaseHTTPRequestHandler) -> bool:
        wanted = base64.b64encode(self.login.encode()).decode()
        return request.headers.get("Authorization") == f"Basic {wanted}"

    def _file(self, request: http.server.BaseHTTPRequestHandler, path: Path) -> None:
        if not path.is_file():
            _answer(request, 404)
            return
        data = path.read_bytes()
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        start = min(int(wanted[1]), len(data)) if wanted else 0
        end = min(int(wanted[2]) + 1, len(data)) if wanted and wanted[2] else len(data)
        kind = {".html": "text/html", ".mp4": "video/mp4", ".mkv": "video/x-matroska"}.get(path.suffix, "")
        _answer(
            request,
            206 if wanted else 200,
            data[start:end],
            Accept_Ranges="bytes",
            Content_Type=kind or "application/octet-stream",
            **({"Content_Range": f"bytes {start}-{end - 1}/{len(data)}"} if wanted else {}),
        )

    def _video(self, request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "multipart/x-mixed-replace;boundary=frame")
        request.send_header("Connection", "close")
        request.end_headers()
        for jpeg in self.frames:
            request.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg))
            request.wfile.write(jpeg + b"\r\n")
            if self._closing.wait(1 / self.fps):
                break
        request.close_connection = True

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None: ...


def _answer(request: http.server.BaseHTTPRequestHandler, code: int, body: bytes = b"", **headers: str) -> None:
    request.send_response(code)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.send_header("Content-Length", str(len(body)))
    if getattr(request, "says_close", False) and request.close_connection:
        request.send_header("Connection", "close")
    request.end_headers()
    request.wfile.write(body)


@contextmanager
def web_server(folder: Path, certificate: tuple[Path, Path] | None = None) -> Iterator[WebServer]:
    server = WebServer(folder, certificate)
    try:
        yield server
    finally:
        server.close()


# -- a camera --------------------------------------------------------------------------------------


def camera(
    frames: Sequence[np.ndarray] | str | os.PathLike[str], fps: float = 30.0, *, count: int | None = None
) -> type:
    """Return a class that stands in for `cv2.VideoCapture`: webcam 0, which shows ``frames`` over and over.

    Images come at ``fps`` by the clock and carry their number, from 0 at the opening; as a real camera
    does, it drops those that nobody read in time. Others than number 0 cannot be opened.

    Args:
        frames: uint8 [H, W, 3] BGR each, or the path of an image or clip.
        fps: Images per second.
        count: Images after which the cable is pulled; None for never.
    """
    images = _images(os.fspath(frames)) if isinstance(frames, (str, os.PathLike)) else list(frames)

    class Camera:
        opened = 0  # how often, of all

        def __init__(self, number: int = 0, *_: object) -> None:
            self._open = number == 0
            self._size: tuple[int, int] = images[0].shape[1::-1]
            self._start: float | None = None
            self._last = -1
            type(self).opened += self._open

        def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
            return self._open

        def read(self, image: np.ndarray | None = None) -> tuple[bool, np.ndarray | None]:
            if not self._open:
                return False, None
            now = time.monotonic()
            if self._start is None:
                self._start = now
            number = max(self._last + 1, int((now - self._start) * fps))
            if count is not None and number >= count:
                return False, None
            time.sleep(max(0.0, self._start + number / fps - now))
            self._last = number
            background = images[number % len(images)]
            if background.shape[1::-1] != self._size:
                background = cv2.resize(background, self._size)
            return True, numbered(number % (1 << BITS), background)

        def get(self, prop: int) -> float:
            width, height = self._size
            known = {cv2.CAP_PROP_FRAME_WIDTH: width, cv2.CAP_PROP_FRAME_HEIGHT: height, cv2.CAP_PROP_FPS: fps}
            return float(known.get(prop, 0.0)) if self._open else 0.0

        def set(self, prop: int, value: float) -> bool:
            if prop == cv2.CAP_PROP_FRAME_WIDTH and value <= 320:
                self._size = (320, 240)  # it has its own size and a small one
            return self._open

        def release(self) -> None:
            self._open = False

    return Camera


def _images(path: str) -> list[np.ndarray]:
    """Read an image, or at most ten seconds of a clip, without OpenCV's VideoCapture."""
    image = cv2.imread(path)
    if image is not None:
        return [image]
    with av.open(f"file:{path}") as container:
        frames = container.decode(video=0)
        return [frame.to_ndarray(format="bgr24") for frame, _ in zip(frames, range(250), strict=False)]


def with_camera(command: Sequence[str], frames: str | os.PathLike[str], fps: float = 30.0) -> list[str]:
    """Return a Python command that runs with webcam 0 plugged in: see `camera`.

    Args:
        command: [python, script, ...] or [python, "-m", module, ...].
        frames: Path of an image or clip.
        fps: Images per second.
    """
    python, *arguments = command
    return [python, str(Path(__file__).resolve()), os.fspath(frames), str(fps), *arguments]


def _run_with_camera(frames: str, fps: str, *arguments: str) -> None:
    cv2.VideoCapture = camera(frames, float(fps))  # type: ignore[misc]
    sys.path.remove(str(HERE))
    if arguments[0] == "-m":
        sys.argv = list(arguments[1:])
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(arguments)
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    _run_with_camera(*sys.argv[1:])


def display_of_this_process() -> str:
    """A server that ends removes the socket of its number, even if another server has taken the number meanwhile."""
    return f":{100 + os.getpid() % 30000}"
