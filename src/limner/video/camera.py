"""Cameras, through OpenCV."""

from __future__ import annotations

import glob
import os
import re
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Protocol

import cv2
import numpy as np

from ..errors import InputError, said
from ..types import Frame, MessageCallback
from .common import quiet_opencv, tidy_rate
from .cut import Cut


class Capture(Protocol):
    """The part of `cv2.VideoCapture` that is used."""

    def isOpened(self) -> bool: ...  # noqa: N802 - OpenCV's name

    def read(self) -> tuple[bool, np.ndarray | None]: ...

    def get(self, prop: int) -> float: ...

    def set(self, prop: int, value: float) -> bool: ...

    def release(self) -> None: ...


def camera_number(device: int | str) -> int | None:
    """Return the number of the camera named by 1, "1", "webcam", "webcam:1" or "/dev/video1"; None for other names.

    Links such as those in ``/dev/v4l/by-id`` are followed.
    """
    if isinstance(device, int):
        return device
    if match := re.fullmatch(r"(?:webcam:)?(\d+)|webcam", device.strip(), re.IGNORECASE):
        return int(match[1] or 0)
    match = re.fullmatch(r"/dev/video(\d+)", os.path.realpath(device) if device.startswith("/dev/") else device)
    return int(match[1]) if match else None


class CameraSource:
    """A camera, opened when the object is created; iterating waits for each next image and never ends by itself.

    Args:
        device: A name or number that `camera_number` accepts.
        size: Requested (width, height) in pixels; the camera uses the nearest that it has.
        fps: Requested frames per second.
        rotate: Degrees clockwise by which the images are turned: 0, 90, 180 or 270.
        factory: Opens the camera with a number; ``cv2.VideoCapture`` unless given.
        info: Called with a sentence where the camera uses another size or rate than requested.

    Raises:
        InputError: There is no such camera, it cannot be opened, or it gives no image; and while
            iterating: the camera gives no more images.
    """

    live = True
    has_audio = False
    sound_from: str | None = None
    duration = None
    count = None

    def __init__(
        self,
        device: int | str = 0,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
        *,
        rotate: int = 0,
        factory: Callable[[int], Capture] | None = None,
        info: MessageCallback | None = None,
    ) -> None:
        self._arguments: dict[str, Any] = {"size": size, "fps": fps, "rotate": rotate, "factory": factory, "info": info}
        self._cut = Cut(rotate=rotate)
        self._device = device
        number = camera_number(device)
        if number is None:
            raise InputError(f"{said(device)} is not a camera; give webcam, webcam:1 or /dev/video1")
        self.name = f"webcam:{number}"  # also the `source` of its frames
        self._frames_read = 0
        self._capture = _open_camera(number, factory or cv2.VideoCapture)
        try:
            self._first = self._prepare(size, fps)
        except BaseException:
            self._capture.release()
            raise
        height, width = self._first.shape[:2]
        self.size = self._cut.turned_size((width, height))  # pixels
        reported = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = tidy_rate(reported) if 0 < reported <= 1000 else None  # None where the camera reports none
        self._started = time.monotonic()
        if info is not None:
            self._report_differences((width, height), size, fps, info)

    def _prepare(self, size: tuple[int, int] | None, fps: float | None) -> np.ndarray:
        capture = self._capture
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # only the newest image is of use
        if size is not None:
            # Raw images of larger sizes do not fit through USB at full rate, so cameras offer them as JPEG.
            capture.set(cv2.CAP_PROP_FOURCC, float(cv2.VideoWriter.fourcc(*"MJPG")))
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        if fps is not None:
            capture.set(cv2.CAP_PROP_FPS, fps)
        for _ in range(3):  # some cameras start with an empty image
            image = self._next()
            if image is not None:
                return image
        raise InputError(f"the camera {self.name} opens but gives no image; close other programs that use it")

    def _report_differences(
        self, given: tuple[int, int], size: tuple[int, int] | None, fps: float | None, info: MessageCallback
    ) -> None:
        if size is not None and size != given:
            info(f"the camera {self.name} gives {given[0]} x {given[1]} pixels, not {size[0]} x {size[1]}")
        if fps is not None and self.fps is not None and abs(float(self.fps) - fps) > 0.5:
            info(f"the camera {self.name} gives {float(self.fps):g} frames per second, not {fps:g}")

    def reopen(self) -> CameraSource:
        """Open the same camera again."""
        return CameraSource(self._device, **self._arguments)

    def __enter__(self) -> CameraSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the camera for other programs."""
        self._capture.release()

    def __iter__(self) -> Iterator[Frame]:
        image: np.ndarray | None = self._first
        while image is not None:
            seconds = time.monotonic() - self._started if self._frames_read else 0.0
            yield Frame(self._cut.turned(image), self.name, self._frames_read, seconds)
            self._frames_read += 1
            image = self._next()
        raise InputError(f"the camera {self.name} gives no more images after {self._frames_read}; check its cable")

    def _next(self) -> np.ndarray | None:
        """Return the next image, uint8 [H, W, 3] BGR, or None."""
        try:
            done, image = self._capture.read()
            if not done or image is None or image.size == 0:
                return None
            return image if image.ndim == 3 and image.shape[2] == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        except cv2.error:
            return None


def _open_camera(number: int, factory: Callable[[int], Capture]) -> Capture:
    with quiet_opencv():
        try:
            capture = factory(number)
            if capture.isOpened():
                return capture
            capture.release()
        except cv2.error:
            pass
    devices = ", ".join(sorted(glob.glob("/dev/video*")))
    available = f" (cameras found: {devices})" if devices else ""
    raise InputError(
        f"the camera webcam:{number} cannot be opened; check that it is plugged in, that no other program uses it "
        f"and that you may read /dev/video{number}{available}"
    )
