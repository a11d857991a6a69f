"""One image in any of the forms in which users have it."""

from __future__ import annotations

import logging
import os
from typing import Any, BinaryIO

import numpy as np

from ..errors import ArgumentError, InputError
from ..images import alpha_of_array, alpha_of_pil, image_from_array, image_from_pil
from ..masking import masked
from ..types import Frame
from .addresses import MAX_BYTES
from .listing import expand
from .opening import decode, read, refuse_animation

_log = logging.getLogger(__name__)

# what `read_one` takes; the last stands for Pillow's images, tensors, and whatever else numpy can make an array of
ImageLike = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | np.ndarray | Any


def read_one(image: ImageLike, *, copy: bool = False, max_pixels: int | None = None) -> Frame:
    """Return one image in any of the forms in which users have it.

    Args:
        image: a path or URL; the content of an image file, as bytes or as a file opened for reading; an image of
            Pillow; or an array, see `limner.images.image_from_array`.
        copy: take a copy of an array that could be used as it is, as its maker may fill it anew.
        max_pixels: the most pixels of an image that is decoded, see `read`.

    Raises:
        InputError: it cannot be read.
        ArgumentError: it names several images, or a video.
    """
    if isinstance(image, (str, os.PathLike)):
        return _read_named(image, max_pixels)
    if isinstance(image, (bytes, bytearray, memoryview)):
        refuse_animation(bytes(image), "bytes")
        return _remarked(decode(bytes(image), "bytes", max_pixels))
    if callable(getattr(image, "getbands", None)):  # Pillow's
        name = str(getattr(image, "filename", "") or "image")
        return Frame(image_from_pil(image, name), source=name, alpha=alpha_of_pil(image))
    if callable(getattr(image, "read", None)):
        name = str(getattr(image, "name", "") or "file")
        data = _content(image, name)
        refuse_animation(data, name)
        return _remarked(decode(data, name, max_pixels))
    if hasattr(image, "__array__"):
        array = image_from_array(image, "array")
        return Frame(array.copy() if copy else array, alpha=alpha_of_array(image, array))
    hint = ""
    if image is None:
        hint = " (cv2.imread returns None where it cannot read a file)"
    elif isinstance(image, int) and not isinstance(image, bool):
        hint = f" (model.watch({image}) takes the number of a camera)"
    raise InputError(
        f"an image of type {type(image).__name__} cannot be read; "
        f"give a path, an array, an image of Pillow, or the bytes of an image file{hint}"
    )


def _read_named(image: str | os.PathLike[str], max_pixels: int | None) -> Frame:
    items, errors, _ = expand(image)
    if errors:
        raise errors[0]
    name = masked(os.fspath(image))
    if len(items) != 1:
        raise ArgumentError(
            f"'{name}' names {len(items)} files where one image is needed; model.each('{name}') takes them all"
        )
    if items[0].is_video:
        raise ArgumentError(f"'{name}' is a video or a camera, not an image; model.watch('{name}') takes it")
    return _remarked(read(items[0], max_pixels))


def _remarked(frame: Frame) -> Frame:
    if frame.remark:
        _log.warning(frame.remark)
    return frame


def _content(file: Any, name: str) -> bytes:
    """Return what is left to read in a file; where it is at its end, as after writing, all that it holds."""
    try:
        data = file.read(MAX_BYTES + 1)
        if not data and file.seekable():
            file.seek(0)
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # closed, open for writing only, or no text where it is open as text
        raise InputError(f"'{name}' cannot be read: {str(error).lower()}; open it with open(path, 'rb')") from None
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise InputError(f"'{name}' is open as text; open it with open(path, 'rb')")
    if len(data) > MAX_BYTES:
        raise InputError(f"'{name}' is more than {MAX_BYTES >> 20} MB, too large for an image; give an image file")
    return bytes(data)
