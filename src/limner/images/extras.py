"""Images that OpenCV cannot decode, through optional packages: HEIC of phones and JPEG XL."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from ..errors import EXTRAS, InputError

_ADVICE = "convert it to JPEG or PNG"


def decode_heic(data: bytes, name: str) -> tuple[np.ndarray, str]:
    """Decode a HEIC image; return an array of `limner.images.image_from_array`, and a remark or "".

    It is turned as its container says; the orientation in its EXIF repeats that.

    Args:
        data: the whole file.
        name: what errors call it.

    Raises:
        InputError: the package is not installed, or the file is damaged.
    """
    try:
        import pillow_heif
    except ImportError:
        raise _missing(name, "HEIC", "heic") from None
    try:
        file: Any = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True, bgr_mode=True)
        several = len(file)
        return np.asarray(file), _several(name, several, "the main one") if several > 1 else ""
    except Exception as error:  # of libheif: several classes
        raise _damaged(name, "HEIC") from error


def decode_jpeg_xl(data: bytes, name: str) -> tuple[np.ndarray, str]:
    """Decode a JPEG XL image, see `decode_heic`; the orientation in its EXIF does not count, as the format has it."""
    try:
        import pillow_jxl  # registers itself with Pillow
        from PIL import Image
    except ImportError:
        raise _missing(name, "JPEG XL", "jxl") from None
    del pillow_jxl
    try:
        with Image.open(io.BytesIO(data), formats=["JXL"]) as image:
            several = int(getattr(image, "n_frames", 1))
            remark = _several(name, several, "the first") if several > 1 else ""
            if image.mode.startswith(("I", "F")):
                return np.asarray(image), remark
            return np.asarray(image.convert("RGB"))[..., ::-1], remark
    except Exception as error:  # of libjxl, through Pillow: several classes
        raise _damaged(name, "JPEG XL") from error


def _missing(name: str, kind: str, extra: str) -> InputError:
    packages = " ".join(f'"{package}"' for package in EXTRAS[extra])
    return InputError(
        f"'{name}' is a {kind} image, for which a package is not installed: pip install {packages}, or {_ADVICE} first"
    )


def _damaged(name: str, kind: str) -> InputError:
    return InputError(f"'{name}' is a {kind} image that is damaged or cut short; copy it again, or {_ADVICE}")


def _several(name: str, count: int, taken: str) -> str:
    return f"'{name}' holds {count} images, of which {taken} is read"
