"""How decoded images become upright, with square pixels: display matrix and sample aspect ratio."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
from av.sidedata.sidedata import SideDataContainer

from .common import fraction

# Quarter turns counter-clockwise -> whether to swap x and y, and then to mirror x and y.
_ORIENTATIONS = {1: (True, False, True), 2: (False, True, True), 3: (True, True, False)}
_MOST_STRETCH = 8  # a pixel of another shape is a wrong tag


class PixelShape:
    """The shape of the pixels of a video stream: its container's word, else its codec's, which may change.

    Args:
        stream: of PyAV.
    """

    def __init__(self, stream: Any) -> None:
        self._context = stream.codec_context
        self._at_first = fraction(self._context.sample_aspect_ratio)
        self._ratio = fraction(stream.sample_aspect_ratio) or self._at_first

    @property
    def ratio(self) -> Fraction:
        """Width of a pixel by its height, 1 where that is unknown or impossible."""
        now = fraction(self._context.sample_aspect_ratio)
        ratio = now if now is not None and now != self._at_first else self._ratio
        return ratio if ratio is not None and Fraction(1, _MOST_STRETCH) <= ratio <= _MOST_STRETCH else Fraction(1)


def displayed_size(width: int, height: int, ratio: Fraction) -> tuple[int, int]:
    """Return the (width, height) with square pixels: one side grows and none shrinks, as in HTML."""
    if ratio > 1:
        return round(width * ratio), height
    return width, round(height / ratio)


def with_square_pixels(image: np.ndarray, ratio: Fraction) -> np.ndarray:
    """Return an image, uint8 [H, W, 3], with square pixels."""
    height, width = image.shape[:2]
    size = displayed_size(width, height, ratio)
    return image if size == (width, height) else cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)


def orientation(decoded: av.VideoFrame) -> tuple[bool, bool, bool]:
    """Read the display matrix: whether to swap x and y, and then to mirror x and y.

    The matrix maps (x, y) to (a x + c y, b x + d y) and is stored as int32 a, b, u, c, d, v, ...
    """
    try:
        data: Any = side_data(decoded).get("DISPLAYMATRIX")
    except ValueError:
        # PyAV fails where a frame has data of a kind that it does not know yet, such as the Exif block of a JPEG;
        # only the angle is available then.
        return _ORIENTATIONS.get(round(decoded.rotation / 90) % 4, (False, False, False))
    if data is None:
        return False, False, False
    a, b, _, c, d = struct.unpack_from("=5i", memoryview(data))
    return (True, c < 0, b < 0) if abs(b) > abs(a) else (False, a < 0, d < 0)


def side_data(decoded: av.VideoFrame) -> SideDataContainer:
    """Return what a frame carries beside its pixels.

    PyAV's attribute of that name keeps what it returns in the frame, to which that refers: the frame then stays in
    memory until Python looks for such circles, which may be a thousand frames later.
    """
    container: Any = SideDataContainer
    return container(decoded)


def upright(image: np.ndarray, orientation: tuple[bool, bool, bool]) -> np.ndarray:
    """Return an image turned and mirrored as `orientation` says."""
    swap, mirror_x, mirror_y = orientation
    if swap:
        image = cv2.transpose(image)
    if mirror_x or mirror_y:
        image = cv2.flip(image, -1 if mirror_x and mirror_y else int(mirror_x))
    return np.ascontiguousarray(image)
