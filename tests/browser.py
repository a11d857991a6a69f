"""Debian's Chromium without a screen, driven through its DevTools protocol, and cameras for it made of images."""

from __future__ import annotations

import base64
import json
import math
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--mute-audio"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
    *("--disable-extensions", "--disable-default-apps", "--autoplay-policy=no-user-gesture-required"),
    *("--remote-debugging-port=0", "--remote-allow-origins=*", "--use-fake-ui-for-media-stream"),
    # without a screen nothing is ever looked at
    *("--disable-background-timer-throttling", "--disable-renderer-backgrounding"),
    "--disable-backgrounding-occluded-windows",
)
SECONDS = 30.0  # in which the page must do what it is asked for
_KEYS = {"Tab": 9, "Enter": 13, "Space": 32, "ArrowLeft": 37, "ArrowRight": 39, "End": 35, "Home": 36, "Escape": 27}


class Page:
    """A page in Chromium."""

    def __init__(self, socket: Any, downloads: Path) -> None:
        self._socket = socket  # of the DevTools protocol
        self.downloads = downloads
        self._count = 0
        self.said: list[str] = []  # errors of the page, and what it writes to the console

    def call(self, method: str, **arguments: Any) -> Any:
        """Call a method of the DevTools protocol; return its result."""
        self._count += 1
        self._socket.send(json.dumps({"id": self._count, "method": method, "params": arguments}))
        while True:
            message = json.loads(self._socket.recv(timeout=2 * SECONDS))
            if message.get("id") == self._count:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            self._hear(message)

    def _hear(self, message: dict[str, Any]) -> None:
        given = message.get("params", {})
        if message["method"] == "Runtime.exceptionThrown":
            details = given["exceptionDetails"]
            self.said.append(details.get("exception", {}).get("description", details["text"]))
        elif message["method"] == "Log.entryAdded" and given["entry"]["level"] == "error":
            self.said.append(f"{given['entry']['text']} {given['entry'].get('url', '')}")

    def run(self, expression: str) -> Any:
        """Return the value of an expression, or of its promise."""
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            details = found["exceptionDetails"]
            raise AssertionError(details.get("exception", {}).get("description", details["text"]))
        return found["result"].get("value")

    def wait(self, expression: str, seconds: float = SECONDS) -> Any:
        """Return the value of an expression once it is true."""
        end = time.monotonic() + seconds
        while not (value := self.run(expression)):
            assert time.monotonic() < end, (
                f"{expression} did not come true; the page says {self.said}, {self.problem!r}"
            )
            time.sleep(0.05)
        return value

    @property
    def problem(self) -> str:
        return self.text("problem")

    def text(self, name: str) -> str:
        """Return the text of the element with an id; "" where it is hidden."""
        found = self.run(f"(e => e && !e.hidden ? e.textContent.trim() : '')(document.getElementById({name!r}))")
        return str(found)

    def open(self, address: str) -> None:
        self.call("Page.navigate", url=address)
        self.wait("document.readyState === 'complete' && !!document.body")

    def click(self, name: str) -> None:
        self.run(f"document.getElementById({name!r}).click()")

    def press(self, key: str, shift: bool = False) -> None:
        """Press and release a key, as a person would."""
        known = {"Space": " "}.get(key, key)
        text = {"Space": " ", "Enter": "\r"}.get(key, key if len(key) == 1 else "")
        common = {
            "key": known,
            "code": key if len(key) > 1 else f"Key{key.upper()}",
            "windowsVirtualKeyCode": _KEYS.get(key, ord(key[0].upper())),
            "modifiers": 8 if shift else 0,
        }
        self.call("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def look(self, width: int = 1280, height: int = 860, *, dark: bool = False, phone: bool = False) -> None:
        """Set the size of the window, and what its user prefers."""
        scale = 2 if phone else 1
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path | None = None, *, whole: bool = False) -> np.ndarray:
        """Return what is seen, BGR; ``whole`` takes what is below too."""
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"])
        if path is not None:
            path.write_bytes(data)
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)

    def choose(self, name: str, *files: Path) -> None:
        """Choose files in the file input with an id."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=f"#{name}")["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])


@contextmanager
def chromium(folder: Path, *, camera: Path | None = None, first: str = "") -> Iterator[Page]:
    """Run Chromium, and yield a page in it.

    Args:
        folder: for its profile; downloads go to ``folder / "downloads"``.
        camera: a .y4m or .mjpeg file that its camera shows; None plugs none in.
        first: a script that runs in every page before its own.
    """
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("needs chromium: apt-get install chromium")
    pytest.importorskip("websockets", reason="needs the extra serve: pip install -e .[serve]")
    from websockets.sync.client import connect

    profile, downloads = folder / "profile", folder / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    device = ["--use-fake-device-for-media-stream=device-count=" + ("0" if camera is None else "1")]
    if camera is not None:
        device = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={camera}"]
    command = [browser, *FLAGS, *device, f"--user-data-dir={profile}", "--window-size=1280,900", "about:blank"]
    with (folder / "chromium.log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            port = _debugging_port(profile / "DevToolsActivePort", process)
            with connect(_page_of(port), max_size=None, compression=None) as socket:
                page = Page(socket, downloads)
                for domain in ("Page", "Runtime", "Log", "DOM"):
                    page.call(f"{domain}.enable")
                page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
                if first:
                    page.call("Page.addScriptToEvaluateOnNewDocument", source=first)
                page.look()
                try:
                    yield page
                finally:
                    with suppress(Exception):
                        page.call("Browser.close")
        finally:
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()


def _debugging_port(path: Path, process: subprocess.Popen[bytes]) -> int:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError, ValueError, IndexError):
            return int(path.read_text().splitlines()[0])
        time.sleep(0.05)
    raise AssertionError(f"chromium did not start: {(path.parents[1] / 'chromium.log').read_text()[-2000:]}")


def _page_of(port: int) -> str:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=5) as answer:
            for target in json.loads(answer.read()):
                if target["type"] == "page":
                    return str(target["webSocketDebuggerUrl"])
        time.sleep(0.05)
    raise AssertionError("chromium opened no page")


# -- cameras ---------------------------------------------------------------------------------------


def moving(image: np.ndarray, frames: int = 60, size: tuple[int, int] = (640, 480)) -> list[np.ndarray]:
    """Return frames in which a camera moves a little around an image, and which begin anew without a jump."""
    height, width = image.shape[:2]
    zoom = max(size[0] / width, size[1] / height) * 1.12
    found = []
    for i in range(frames):
        turn = 2 * math.pi * i / frames
        scale = zoom * (1 + 0.03 * math.sin(turn))
        x = size[0] / 2 - scale * width / 2 + 18 * math.cos(turn)
        y = size[1] / 2 - scale * height / 2 + 10 * math.sin(2 * turn)
        matrix = np.array([[scale, 0, x], [0, scale, y]])
        found.append(cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))
    return found


def y4m(path: Path, frames: Sequence[np.ndarray], fps: int = 30) -> Path:
    """Write BGR frames as a file that Chromium's fake camera shows in a loop."""
    height, width = frames[0].shape[:2]
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F{fps}:1 Ip A1:1 C420jpeg\n".encode())
        for frame in frames:
            file.write(b"FRAME\n" + cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420).tobytes())
    return path
