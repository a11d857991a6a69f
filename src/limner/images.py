"""The content of one image file <-> BGR pixels: those of ``cv2.imread`` and ``cv2.imwrite``, or one clear error."""

from __future__ import annotations

import os
import re
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import cv2
import numpy as np

from .errors import InputError, OutputError

MAX_PIXELS = 1 << 28  # 0.8 GB once decoded: more than any camera takes, less than a hostile file may ask for

_SIGNATURES = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("WebP", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    ("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]")),
    ("BMP", re.compile(rb"BM.{8}", re.DOTALL)),
    ("JPEG 2000", re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51")),
    ("AVIF", re.compile(rb"....ftyp(?:avi[fs]|mif1|msf1)", re.DOTALL)),
    ("HEIC", re.compile(rb"....ftyp(?:hei[cxms]|hev[cx])", re.DOTALL)),
    ("PNM", re.compile(rb"P[1-7]\s")),
)

# What libjpeg, libpng and older releases of OpenCV print; anything else on stderr is not about the image.
_LIBRARY_TEXT = re.compile(
    rb"(?:libpng (?:warning|error)|Corrupt JPEG data|Premature end of JPEG|Invalid SOS parameters|Unsupported marker"
    rb"|Warning: unknown JFIF|Inconsistent progression|Unknown Adobe color)[^\n]*\n?"
    rb"|imdecode_\('[^\n]*\n*"
)

_SEGMENT = re.compile(rb"\xff[^\x00\x01\xd0-\xd9\xff]")  # a JPEG marker that has a length behind it

_decode_lock = threading.Lock()


def is_image(start: bytes) -> bool:
    """Return whether the first bytes of a file are those of a known image format."""
    return any(signature.match(start) for _, signature in _SIGNATURES)


def decode_image(data: bytes, name: str) -> np.ndarray:
    """Decode the content of one image file to BGR, uint8 [H, W, 3].

    Alpha is dropped, not blended: those are the values that MMPose gets, and no background has to be
    invented. 16 bits are scaled to 8 over their full range, as in ``cv2.imread``.

    Args:
        data: The whole file.
        name: Name of the image in error messages.

    Raises:
        InputError: ``data`` is no image, is damaged or cut short, or is larger than MAX_PIXELS.
    """
    if not data:
        raise InputError(f"'{name}' is empty (0 bytes); replace it by an image")
    kind = next((kind for kind, signature in _SIGNATURES if signature.match(data)), None)
    if kind is None:
        raise InputError(f"'{name}' is not an image in a known format; give a JPEG, PNG, WebP, TIFF, BMP or GIF file")
    if kind == "HEIC":
        raise InputError(f"'{name}' is a HEIC image, which cannot be read; convert it to JPEG or PNG first")
    size, complete = _jpeg_header(data) if kind == "JPEG" else (_declared_size(kind, data), True)
    if size is not None and size[0] * size[1] > MAX_PIXELS:
        raise InputError(
            f"'{name}' is too large: {size[0]} x {size[1]} pixels where at most {MAX_PIXELS} in all are read; "
            "scale it down first"
        )
    # OpenCV's answer to a JPEG without its end depends on the version: grey, old memory, or None.
    image, printed = _imdecode(data, name) if complete else (None, b"")
    if image is None or b"premature end" in printed.lower():
        raise InputError(
            f"'{name}' is damaged or cut short, or is a kind of {kind} that OpenCV {cv2.__version__} cannot read; "
            "copy it again or save it as JPEG or PNG"
        )
    return image


def _imdecode(data: bytes, name: str) -> tuple[np.ndarray | None, bytes]:
    """Decode with OpenCV; return the image, or None, and what its libraries printed."""
    # Older releases of OpenCV 4 have the one, newer ones the other; 0 is silence.
    set_log_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
    with _decode_lock, _capture_stderr() as printed:  # one at a time, so that the text belongs to this image
        level = set_log_level(0)
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error as error:
            if "CV_IO_MAX_IMAGE" not in str(error) and error.code != cv2.Error.StsNoMem:
                return None, b""
            raise InputError(f"'{name}' is too large to decode; scale it down first") from None
        finally:
            set_log_level(level)
    return image, bytes(printed)


@contextmanager
def _capture_stderr() -> Iterator[bytearray]:
    """Capture what C libraries print to stderr; the yielded bytes hold it once the block has ended.

    Text that other threads print meanwhile is passed on.
    """
    printed = bytearray()
    try:
        saved = None if os.name == "nt" else os.dup(2)  # a full pipe would block on Windows
    except OSError:
        saved = None  # a service without stderr: nothing can be printed
    if saved is None:
        yield printed
        return
    reader, writer = os.pipe()  # needs no disk; non-blocking, so no library can print so much that it hangs
    try:
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        os.dup2(writer, 2)
        yield printed
    finally:
        os.dup2(saved, 2)
        os.close(writer)
        with suppress(OSError):  # nothing printed while a child process holds the pipe, or stderr is gone
            printed += os.read(reader, 1 << 16)
            os.write(saved, _LIBRARY_TEXT.sub(b"", bytes(printed)))
        os.close(reader)
        os.close(saved)


def _declared_size(kind: str, data: bytes) -> tuple[int, int] | None:
    """Read (width, height) from the header of formats in which a small file can declare a huge image."""
    layout = {"PNG": (">II", 16), "GIF": ("<HH", 6)}.get(kind)
    if layout is None or len(data) < layout[1] + struct.calcsize(layout[0]):
        return None
    width, height = struct.unpack_from(layout[0], data, layout[1])
    return width, height


def _jpeg_header(data: bytes) -> tuple[tuple[int, int] | None, bool]:
    """Walk the segments of a JPEG: (width, height) if given, and whether the data reaches its end marker.

    The end marker is looked for behind the segments, as thumbnails inside them have one of their own.
    Layout: ITU-T T.81, annex B.
    """
    size = None
    position = 2
    while (match := _SEGMENT.search(data, position)) and match.start() + 9 <= len(data):
        marker = match.start()
        code = data[marker + 1]
        if 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):  # a frame header
            height, width = struct.unpack_from(">HH", data, marker + 5)
            size = (width, height)
        position = marker + 2 + int(struct.unpack_from(">H", data, marker + 2)[0])
        if code == 0xDA:  # start of scan: behind it 0xFF is escaped, so the end marker is unambiguous
            return size, data.find(b"\xff\xd9", position) >= 0
    return size, False


def image_from_array(array: np.ndarray, name: str) -> np.ndarray:
    """Return ``array`` as BGR, uint8 [H, W, 3], without a copy where it is that already."""
    colour = array.ndim == 3 and array.shape[2] == 3
    if array.dtype != np.uint8 or not (colour or array.ndim == 2) or array.size == 0:
        raise InputError(
            f"the array '{name}' has shape {list(array.shape)} and dtype {array.dtype} where uint8 "
            "[height, width, 3] in BGR order, or [height, width] grey, is needed; convert it first"
        )
    return np.ascontiguousarray(array if colour else cv2.cvtColor(array, cv2.COLOR_GRAY2BGR))


# -- encoding --------------------------------------------------------------------------------------

_KEPT_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp"}
# OpenCV writes some of these, but a GIF in 256 colours, and .pgm and .pbm only in grey.
_LOSSLESS_SUFFIXES = {".gif", ".pbm", ".pgm", ".ppm", ".pnm"}
_QUALITY = {
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".jpe": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, 95],
}
_LONGEST_SIDE = {".jpg": 65500, ".jpeg": 65500, ".jpe": 65500, ".webp": 16383}  # of libjpeg and of the WebP format


def written_suffix(suffix: str) -> str:
    """Return the ending of an image that is written, for the ending of the file that it comes from.

    That of JPEG, PNG, BMP, TIFF and WebP is kept; other kinds become PNG where they are lossless and JPEG where not.
    """
    if suffix.lower() in _KEPT_SUFFIXES:
        return suffix
    return ".png" if suffix.lower() in _LOSSLESS_SUFFIXES else ".jpg"


def encode_image(image: np.ndarray, suffix: str, name: str) -> bytes:
    """Encode an image as the kind of file that an ending names: JPEG and WebP with quality 95.

    Args:
        image: uint8 [H, W, 3], BGR.
        suffix: one that `written_suffix` returns.
        name: what errors call the file.

    Raises:
        OutputError: The image does not fit the format, or OpenCV cannot write it.
    """
    suffix = suffix.lower()
    height, width = image.shape[:2]
    # Checked first, because the libraries below print messages of their own.
    if suffix in _LONGEST_SIDE and max(height, width) > _LONGEST_SIDE[suffix]:
        raise OutputError(f"'{name}' cannot be written: {width} x {height} pixels do not fit {suffix}; use .png")
    try:
        done, data = cv2.imencode(suffix, image, _QUALITY.get(suffix, []))
    except cv2.error as error:
        raise OutputError(f"'{name}' cannot be written: OpenCV fails with {error.err!r}; use .png") from None
    if not done:
        raise OutputError(f"'{name}' cannot be written: OpenCV cannot encode it as {suffix}; use .png")
    return data.tobytes()
