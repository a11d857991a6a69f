"""Cameras, and whatever else does not wait: the newest frame is always at hand, older ones are dropped."""

from __future__ import annotations

import glob
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from types import TracebackType
from typing import Any, Protocol

import cv2
import numpy as np

from ..errors import InputError
from ..types import Frame
from .common import Say, tidy_rate


class Capture(Protocol):
    """What is used of `cv2.VideoCapture`."""

    def isOpened(self) -> bool: ...  # noqa: N802 - OpenCV's name

    def read(self) -> tuple[bool, np.ndarray | None]: ...

    def get(self, prop: int) -> float: ...

    def set(self, prop: int, value: float) -> bool: ...

    def release(self) -> None: ...


def camera_number(device: int | str) -> int | None:
    """Return the number of the camera that is named by 1, "1", "webcam", "webcam:1" or "/dev/video1", None if none is.

    A link such as those in ``/dev/v4l/by-id`` counts as what it leads to.
    """
    if isinstance(device, int):
        return device
    if found := re.fullmatch(r"(?:webcam:)?(\d+)|webcam", device.strip(), re.IGNORECASE):
        return int(found[1] or 0)
    found = re.fullmatch(r"/dev/video(\d+)", os.path.realpath(device) if device.startswith("/dev/") else device)
    return int(found[1]) if found else None


class CameraSource:
    """A camera, opened when made; iterating waits for each next picture and never ends by itself.

    Args:
        device: What `camera_number` understands.
        size: Wished (width, height) in pixels; the camera takes the nearest that it has.
        fps: Wished frames per second.
        factory: Opens the camera of a number; ``cv2.VideoCapture`` unless given.
        say: Called with a sentence where a wish is not met.

    Raises:
        InputError: There is no such camera, it cannot be opened, or it gives no picture; and while
            iterating, that no more pictures come.
    """

    live = True
    has_audio = False
    duration = None
    count = None

    def __init__(
        self,
        device: int | str = 0,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
        *,
        factory: Callable[[int], Capture] | None = None,
        say: Say | None = None,
    ) -> None:
        self._arguments: dict[str, Any] = {"size": size, "fps": fps, "factory": factory, "say": say}
        self._device = device
        number = camera_number(device)
        if number is None:
            raise InputError(f"{device!r} is no camera; give webcam, webcam:1 or /dev/video1")
        self.name = f"webcam:{number}"  # also the `source` of its frames
        self._read = 0
        self._capture = _open_camera(number, factory or cv2.VideoCapture)
        try:
            self._first = self._prepare(size, fps)
        except BaseException:
            self._capture.release()
            raise
        height, width = self._first.shape[:2]
        self.size = (width, height)  # pixels, as the pictures come
        given = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = tidy_rate(given) if 0 < given <= 1000 else None  # as the camera says, None where it says nothing
        self._started = time.monotonic()
        if say is not None:
            self._tell_unmet(size, fps, say)

    def _prepare(self, size: tuple[int, int] | None, fps: float | None) -> np.ndarray:
        capture = self._capture
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # older pictures than the last one are of no use
        if size is not None:
            # Raw pictures of larger sizes do not fit through USB at full rate, so cameras offer them as JPEG.
            capture.set(cv2.CAP_PROP_FOURCC, float(cv2.VideoWriter.fourcc(*"MJPG")))
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        if fps is not None:
            capture.set(cv2.CAP_PROP_FPS, fps)
        for _ in range(3):  # some cameras start with an empty picture
            image = self._next()
            if image is not None:
                return image
        raise InputError(f"the camera {self.name} opens but gives no picture; close other programs that use it")

    def _tell_unmet(self, size: tuple[int, int] | None, fps: float | None, say: Say) -> None:
        if size is not None and size != self.size:
            say(f"the camera {self.name} gives {self.size[0]} x {self.size[1]} pixels, not {size[0]} x {size[1]}")
        if fps is not None and self.fps is not None and abs(float(self.fps) - fps) > 0.5:
            say(f"the camera {self.name} gives {float(self.fps):g} frames per second, not {fps:g}")

    def again(self) -> CameraSource:
        """Open the same camera anew."""
        return CameraSource(self._device, **self._arguments)

    def __enter__(self) -> CameraSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let other programs have the camera."""
        self._capture.release()

    def __iter__(self) -> Iterator[Frame]:
        image: np.ndarray | None = self._first
        while image is not None:
            yield Frame(image, self.name, self._read, time.monotonic() - self._started if self._read else 0.0)
            self._read += 1
            image = self._next()
        raise InputError(f"the camera {self.name} gives no more pictures after {self._read}; check its cable")

    def _next(self) -> np.ndarray | None:
        """Return the next picture, uint8 [H, W, 3] BGR, or None."""
        try:
            done, image = self._capture.read()
            if not done or image is None or image.size == 0:
                return None
            return image if image.ndim == 3 and image.shape[2] == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        except cv2.error:
            return None


def _open_camera(number: int, factory: Callable[[int], Capture]) -> Capture:
    with _quiet_opencv():
        try:
            capture = factory(number)
            if capture.isOpened():
                return capture
            capture.release()
        except cv2.error:
            pass
    others = ", ".join(sorted(glob.glob("/dev/video*")))
    here = f" (cameras here: {others})" if others else ""
    raise InputError(
        f"the camera webcam:{number} cannot be opened; check that it is plugged in, that no other program uses it "
        f"and that you may read /dev/video{number}{here}"
    )


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Keep OpenCV's back ends from printing what they tried."""
    # Older releases of OpenCV 4 have the one, newer ones the other; 0 is silence.
    set_log_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
    level = set_log_level(0)
    try:
        yield
    finally:
        set_log_level(level)


# -- the newest frame ------------------------------------------------------------------------------


class LiveSource(Protocol):
    """What `Newest` reads from: `CameraSource`, a live `VideoSource`, or a stand-in."""

    name: str

    def __iter__(self) -> Iterator[Frame]: ...

    def again(self) -> LiveSource: ...

    def close(self) -> None: ...


class _Connection:
    """One opened source and the thread that reads it until it ends, fails or is given up."""

    def __init__(self, source: LiveSource, owner: Newest) -> None:
        self.source = source
        self._owner = owner
        self.reason: str | None = None  # why it ended
        self.error: BaseException | None = None  # what is no fault of the source
        self.thread = threading.Thread(target=self._run, name=f"limn {source.name}", daemon=True)

    def _run(self) -> None:
        try:
            try:
                for frame in self.source:
                    if not self._owner._take(self, frame):
                        break
            finally:
                self.source.close()
            reason = f"{self.source.name} has ended"
        except InputError as error:
            reason = str(error)
        except BaseException as error:  # handed to the thread that waits for frames
            reason, self.error = str(error), error
        self._owner._ended(self, reason)


class Newest:
    """Reads a live source in the background and holds its newest frame; one that nobody took is dropped.

    Frames get the number of their arrival as `index` (gaps are dropped frames) and its time as
    `timestamp`, both from the first one on and across reconnections, whatever the source says.
    A source that ends, fails or stalls is opened again, with growing pauses.

    Args:
        source: An open source; it is closed with this object.
        say: Called, from a background thread, with a sentence when the source is lost and when it is back.
        stall: Seconds without a frame after which the connection is given up.
        patience: Seconds of trying after which `get` raises; 0 gives up at once, None never.
        pauses: Seconds before the first and at most between later attempts.
    """

    def __init__(
        self,
        source: LiveSource,
        *,
        say: Say | None = None,
        stall: float = 5.0,
        patience: float | None = 60.0,
        pauses: tuple[float, float] = (0.5, 8.0),
    ) -> None:
        self.name = source.name
        self.fps: Fraction | None = getattr(source, "fps", None)
        self.size: tuple[int, int] | None = getattr(source, "size", None)
        self.received = 0
        self.dropped = 0
        self.reconnects = 0
        self._say = say
        self._stall = stall
        self._patience = patience
        self._pauses = pauses
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._start: float | None = None  # on the monotonic clock
        self._arrival = time.monotonic()  # of the newest frame, or of the connection before its first
        self._error: BaseException | None = None
        self._closed = False
        self._current = _Connection(source, self)
        self._supervisor = threading.Thread(target=self._supervise, name=f"limn watch {self.name}", daemon=True)
        self._current.thread.start()
        self._supervisor.start()

    # -- for the one who wants frames --------------------------------------------------------------

    def get(self, timeout: float | None = None) -> Frame | None:
        """Wait for a frame newer than the last one returned; None when closed or after ``timeout`` seconds.

        Raises:
            InputError: The source is lost and patience has run out.
        """
        end = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while self._frame is None and self._error is None and not self._closed:
                left = 0.5 if end is None else min(0.5, end - time.monotonic())  # short, so that Ctrl-C gets through
                if left <= 0:
                    return None
                self._changed.wait(left)
            frame, self._frame = self._frame, None
            if frame is None and self._error is not None:
                raise self._error
            return None if self._closed else frame

    def __iter__(self) -> Iterator[Frame]:
        while (frame := self.get()) is not None:
            yield frame

    def clock(self) -> float:
        """Return now in the seconds of `Frame.timestamp`: their difference is the age of a frame."""
        return 0.0 if self._start is None else time.monotonic() - self._start

    def __enter__(self) -> Newest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading and close the source; a source that hangs is left behind after two seconds."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        end = time.monotonic() + 2.0
        for thread in (self._supervisor, self._current.thread):
            if thread is not threading.current_thread():
                thread.join(max(0.0, end - time.monotonic()))

    # -- for the threads ---------------------------------------------------------------------------

    def _take(self, connection: _Connection, frame: Frame) -> bool:
        """Hold a frame; return False to a connection that is not wanted any more."""
        with self._changed:
            if self._closed or connection is not self._current:
                return False
            self._arrival = time.monotonic()
            if self._start is None:
                self._start = self._arrival
            self.dropped += self._frame is not None
            self._frame = replace(frame, index=self.received, timestamp=self._arrival - self._start)
            self.received += 1
            self._changed.notify_all()
            return True

    def _ended(self, connection: _Connection, reason: str) -> None:
        with self._changed:
            connection.reason = reason
            self._changed.notify_all()

    def _supervise(self) -> None:
        while (reason := self._lost()) is not None:
            lost_at = time.monotonic()
            try:
                source = self._reopened(reason, lost_at)
            except BaseException as error:  # handed to the thread that waits for frames
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
                return
            with self._changed:
                closed = self._closed
                if source is not None and not closed:
                    self._current = _Connection(source, self)
                    self._arrival = time.monotonic()
                    self._current.thread.start()
            if closed:
                if source is not None:
                    source.close()
                return
            self.reconnects += 1
            self._tell(f"{self.name} is back after {time.monotonic() - lost_at:.1f} s")

    def _lost(self) -> str | None:
        """Wait until the connection is lost and say why; None when closed."""
        with self._changed:
            while True:
                if self._closed:
                    return None
                if self._current.reason is not None:
                    return self._current.reason
                left = self._arrival + self._stall - time.monotonic()
                if left <= 0:
                    return f"{self.name} has given no picture for {self._stall:g} s"
                self._changed.wait(left)

    def _reopened(self, reason: str, lost_at: float) -> LiveSource | None:
        """Open the source again; None where that is not needed: closed, or the stalled one goes on by itself.

        Raises:
            InputError: Patience has run out.
        """
        connection = self._current
        if connection.error is not None:
            raise connection.error
        if self._patience == 0:
            raise InputError(reason)
        self._tell(f"{reason}; trying to reach it again")
        pause, longest = self._pauses
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: self._closed or self._arrival > lost_at, pause):
                    return None
            try:
                return connection.source.again()
            except InputError as error:
                reason = str(error)
            pause = min(2 * pause, longest)
            if self._patience is not None and time.monotonic() - lost_at + pause > self._patience:
                raise InputError(reason)

    def _tell(self, sentence: str) -> None:
        if self._say is not None:
            self._say(sentence)
