"""The content of one image file <-> BGR pixels: those of ``cv2.imread`` and ``cv2.imwrite``, or one clear error."""

from __future__ import annotations

import re
from typing import Any

import cv2
import numpy as np

from ..errors import InputError, OutputError
from . import headers, jpeg, limits, messages
from .extras import decode_heic, decode_jpeg_xl
from .heif import changed, changes, kind_of_container

_SIGNATURES = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("WebP", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    ("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]")),
    ("BMP", re.compile(rb"BM.{8}", re.DOTALL)),
    ("JPEG 2000", re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51")),
    ("JPEG XL", re.compile(rb"\0\0\0\x0cJXL \r\n\x87\n|\xff\x0a")),
    ("PNM", re.compile(rb"P[1-7]\s")),
)
_SUFFIXES = {"JPEG 2000": ".jp2", "TIFF": ".tif", "JPEG": ".jpg", "JPEG XL": ".jxl", "PNM": ".ppm"}  # of most: the kind

_AGAIN = "copy it again or save it as JPEG or PNG"


def is_image(start: bytes) -> bool:
    """Return whether the first bytes of a file are those of a known image format."""
    return kind_of(start) is not None


def kind_of(start: bytes) -> str | None:
    """Return the format of an image, such as "JPEG", by its first bytes; None where none is known."""
    known = next((kind for kind, signature in _SIGNATURES if signature.match(start)), None)
    return known or kind_of_container(start)


def image_suffix(start: bytes) -> str:
    """Return the usual ending of an image with these first bytes, such as ".jpg"; "" where no format is known."""
    kind = kind_of(start)
    return "" if kind is None else _SUFFIXES.get(kind, f".{kind.lower()}")


def decode_image(
    data: bytes, name: str, remarks: list[str] | None = None, *, max_pixels: int | None = None
) -> np.ndarray:
    """Decode the content of one image file to BGR, uint8 [H, W, 3].

    Alpha is dropped, not blended: those are the values that MMPose gets, and no background has to be
    invented. 16 bits are scaled to 8 over their full range, as in ``cv2.imread``.

    Args:
        data: The whole file.
        name: Name of the image in error messages.
        remarks: gets a sentence for the user where something is odd, and the image could be read nevertheless.
        max_pixels: the limit that the user gives; None takes those of `limner.images.limits`.

    Raises:
        InputError: ``data`` is no image, needs a package that is not installed, is damaged or cut short, or too large.
    """
    if not data:
        raise InputError(f"'{name}' is empty (0 bytes); replace it by an image")
    kind = kind_of(data)
    if kind is None:
        raise InputError(f"'{name}' is not an image in a known format; give a JPEG, PNG, WebP, TIFF, BMP or GIF file")
    said = [] if remarks is None else remarks
    header = headers.header_of(kind, data)
    if header is None:
        raise InputError(
            f"'{name}' is damaged or cut short: it is a {kind} without a size that can be read; copy it again, or "
            "convert it to JPEG or PNG"
        )
    limits.check_size(header, len(data), name, max_pixels)
    if kind in ("HEIC", "JPEG XL"):
        array, remark = (decode_heic if kind == "HEIC" else decode_jpeg_xl)(data, name)
        said += [remark] if remark else []
        return image_from_array(array, name, whole_range=True)
    # OpenCV's answer to a JPEG without its end depends on the version: grey, old memory, or None.
    image, printed = _decoded(kind, data, name) if header.complete else (None, b"")
    if not header.complete and kind == "JPEG":
        image = jpeg.ended(data, lambda ended: _imdecode(ended, name)[0])
        if image is not None:
            said.append(f"'{name}' lacks its end marker; all of its pixels are there")
    if image is None or b"premature end" in printed.lower():
        raise InputError(
            f"'{name}' is damaged or cut short, or is a kind of {kind} that OpenCV {cv2.__version__} cannot read; "
            f"{_AGAIN}"
        )
    if kind == "JPEG" and jpeg.others_follow(data):
        said.append(f"'{name}' holds several JPEGs, of which the first is read; name it .mjpg to read all, as a video")
    return image


def _decoded(kind: str, data: bytes, name: str) -> tuple[np.ndarray | None, bytes]:
    """Decode with OpenCV, which does not crop and turn AVIF as its container says; see `_imdecode`."""
    how = changes(data) if kind == "AVIF" else []
    if not how:
        return _imdecode(data, name)
    # an orientation in EXIF does not count beside them
    image, printed = _imdecode(data, name, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return None if image is None else changed(image, how), printed


def decode_alpha(data: bytes, image: np.ndarray) -> np.ndarray | None:
    """Return the opacity of each pixel of a PNG, WebP or TIFF, uint8 [H, W], 255 is opaque; None where it has none.

    Args:
        data: the whole file.
        image: what `decode_image` returned for it.
    """
    if not _may_have_alpha(data):
        return None
    decoded, _ = _imdecode(data, "alpha", cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.ndim != 3 or decoded.shape[2] != 4:
        return None
    if decoded.dtype == np.uint16:
        decoded = (decoded >> 8).astype(np.uint8)
    if decoded.dtype != np.uint8:
        return None
    # OpenCV reads alpha without the orientation in EXIF, so it is the one in which the colours are the same
    turned = [np.rot90(view, turns) for view in (decoded, decoded[:, ::-1]) for turns in range(4)]
    alike = [view for view in turned if view.shape[:2] == image.shape[:2]]
    if not np.array_equal(decoded[..., :3], image):
        alike.sort(key=lambda view: cv2.norm(np.ascontiguousarray(view[..., :3]), image, cv2.NORM_L1))
    return np.ascontiguousarray(alike[0][..., 3])


def _may_have_alpha(data: bytes) -> bool:
    """Tell from its header whether an image may have an alpha channel that is written again."""
    kind = kind_of(data)
    if kind == "PNG":
        return data[25:26] in (b"\4", b"\6") or b"tRNS" in data[: data.find(b"IDAT")]
    if kind == "WebP":  # the flags of an extended file, or those of a lossless image
        return bool(data[12:16] == b"VP8X" and data[20] & 0x10) or bool(data[12:16] == b"VP8L" and data[24] & 0x10)
    return kind == "TIFF"


def _imdecode(data: bytes, name: str, flags: int = cv2.IMREAD_COLOR) -> tuple[np.ndarray | None, bytes]:
    """Decode with OpenCV; return the image, or None, and what its libraries printed."""
    # Older releases of OpenCV 4 have the one, newer ones the other; 0 is silence.
    set_log_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
    with messages.caught() as printed:
        level = set_log_level(0)
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        except cv2.error as error:
            if "CV_IO_MAX_IMAGE" not in str(error) and error.code != cv2.Error.StsNoMem:
                return None, b""
            raise InputError(f"'{name}' is too large to decode; scale it down first") from None
        finally:
            set_log_level(level)
    return image, bytes(printed)


# -- pixels that the caller has --------------------------------------------------------------------

_ARRAY_FORMS = "[height, width, 3] in BGR order, [height, width, 4] BGRA, or [height, width] grey"
_OVERSHOOT = 0.01  # of floats beyond 0..1, as resizing and filters leave them


def image_from_array(array: Any, name: str, *, whole_range: bool = False) -> np.ndarray:
    """Return an array as BGR, uint8 [H, W, 3]: itself, not a copy, where it is that already.

    Grey has the shape [H, W] or [H, W, 1]; of [H, W, 4], BGRA, alpha is dropped, as it is of files. Values are uint8;
    uint16 over its whole range, of which the upper byte is taken; floats of 0..1; or bool.

    Args:
        array: of numpy, or anything that numpy can make one of, such as a tensor of torch on the CPU.
        name: what errors call it.
        whole_range: uint16 with no value above 255 is a dark image, as its file says, and not 8 bits in 16.

    Raises:
        InputError: another shape, type or range.
    """
    try:
        array = np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:  # a tensor on a GPU, or one that needs its gradient
        raise InputError(f"'{name}' does not become an array: {str(error).splitlines()[0].rstrip('.')}") from None
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4) or array.size == 0:
        advice = f"{_ARRAY_FORMS} is needed"
        if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.size:
            advice += ": put the channels last, with .transpose(1, 2, 0) in numpy or .permute(1, 2, 0) in torch"
        raise InputError(f"the array '{name}' has shape {list(array.shape)} where {advice}")
    if array.dtype != np.uint8:
        array = _to_uint8(array, name, whole_range)
    if channels == 1:
        return cv2.cvtColor(np.ascontiguousarray(array.reshape(array.shape[:2])), cv2.COLOR_GRAY2BGR)
    return np.ascontiguousarray(array if channels == 3 else array[..., :3])


def _to_uint8(array: np.ndarray, name: str, whole_range: bool = False) -> np.ndarray:
    """Bring the values of an image to 0..255."""
    if array.dtype == bool:
        return np.where(array, np.uint8(255), np.uint8(0))
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        highest = int(array.max())
        if not whole_range and 0 < highest <= 255:
            raise InputError(
                f"the array '{name}' holds uint16 of {highest} at most where white is 65535, so it would be black: "
                "convert 8 bits with .astype('uint8'), and scale other ranges, such as 12 bits with * 16"
            )
        return (array >> 8).astype(np.uint8)  # as OpenCV reads a PNG of 16 bits
    if array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not (low >= -_OVERSHOOT and high <= 1 + _OVERSHOOT):  # also where one is NaN
            raise InputError(
                f"the array '{name}' holds floats from {low:g} to {high:g} where 0 to 1 is needed; "
                "divide by its greatest possible value, or convert 0..255 with .astype('uint8')"
            )
        return np.rint(array.clip(0, 1) * 255).astype(np.uint8)
    raise InputError(
        f"the array '{name}' has dtype {array.dtype} where uint8 (0 to 255), uint16 (0 to 65535), "
        "float (0 to 1) or bool is needed; convert it first, such as with .astype('uint8')"
    )


def image_from_pil(image: Any, name: str) -> np.ndarray:
    """Return an image of Pillow as BGR, uint8 [H, W, 3], with the pixels of `decode_image` for the same file.

    The orientation in EXIF is applied, alpha is dropped, and of an animation the current image is taken.

    Raises:
        InputError: its file is damaged or cut short.
    """
    from PIL import ImageOps  # there, as the caller has an image of it

    try:
        image = ImageOps.exif_transpose(image)
        if image.mode == "La":  # which Pillow converts to nothing else
            image = image.convert("LA")
        if image.mode.startswith("I") or image.mode == "F":  # 16 bits, in a type of 16 or 32; floats
            array = np.asarray(image)
            if image.mode == "I" and array.size and array.min() >= 0 and array.max() <= 65535:
                array = array.astype(np.uint8 if array.max() <= 255 else np.uint16)
            return image_from_array(array, name, whole_range=True)
        return image_from_array(np.asarray(image.convert("RGB"))[..., ::-1], name)
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"'{name}' cannot be read: {str(error).rstrip('.')}; copy it again") from None


def alpha_of_array(array: Any, image: np.ndarray) -> np.ndarray | None:
    """Return the opacity of each pixel of an array [H, W, 4], uint8 [H, W]; None where it has none.

    Args:
        array: what `image_from_array` took.
        image: what it returned.
    """
    array = np.asarray(array)
    if array.shape != (*image.shape[:2], 4):
        return None
    return np.ascontiguousarray(array[..., 3] if array.dtype == np.uint8 else _to_uint8(array[..., 3], "alpha", True))


def alpha_of_pil(image: Any) -> np.ndarray | None:
    """Return the opacity of each pixel of an image of Pillow that `image_from_pil` took; None where it has none."""
    from PIL import ImageOps

    if "A" not in image.getbands() and "transparency" not in image.info:
        return None
    return np.ascontiguousarray(np.asarray(ImageOps.exif_transpose(image).convert("RGBA"))[..., 3])


# -- encoding --------------------------------------------------------------------------------------

_KEPT_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp"}
# OpenCV writes some of these, but a GIF in 256 colours, and .pgm and .pbm only in grey.
_LOSSLESS_SUFFIXES = {".gif", ".pbm", ".pgm", ".ppm", ".pnm"}
ALPHA_SUFFIXES = {".png", ".tif", ".tiff", ".webp"}  # of files that hold an alpha channel
_QUALITY = {
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".jpe": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, 95],
}
_LONGEST_SIDE = {".jpg": 65500, ".jpeg": 65500, ".jpe": 65500, ".webp": 16383}  # of libjpeg and of the WebP format


def written_suffix(suffix: str, *, alpha: bool = False) -> str:
    """Return the ending of an image that is written, for the ending of the file that it comes from.

    That of JPEG, PNG, BMP, TIFF and WebP is kept; other kinds become PNG where they are lossless and JPEG where not.

    Args:
        suffix: of the file that it comes from.
        alpha: whether it has an alpha channel; then it becomes PNG unless it is PNG, TIFF or WebP.
    """
    if alpha:
        return suffix if suffix.lower() in ALPHA_SUFFIXES else ".png"
    if suffix.lower() in _KEPT_SUFFIXES:
        return suffix
    return ".png" if suffix.lower() in _LOSSLESS_SUFFIXES else ".jpg"


def encode_image(image: np.ndarray, suffix: str, name: str) -> bytes:
    """Encode an image as the kind of file that an ending names: JPEG and WebP with quality 95.

    Args:
        image: uint8 [H, W, 3], BGR; or [H, W, 4] with alpha, for PNG, TIFF and WebP.
        suffix: one that `written_suffix` returns.
        name: what errors call the file.

    Raises:
        OutputError: The image does not fit the format, or OpenCV cannot write it.
    """
    suffix = suffix.lower()
    height, width = image.shape[:2]
    if image.ndim == 3 and image.shape[2] == 4 and suffix not in ALPHA_SUFFIXES:
        raise OutputError(f"'{name}' cannot be written: {suffix} has no transparency; use .png, .webp or .tiff")
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
