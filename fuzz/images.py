"""Images of every format that limner reads, damaged: as bytes, as files, and as the pages or frames of one file."""

from __future__ import annotations

import contextlib
import io
import random
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

NAME = "images"
COUNT = 20_000
SHORT = 300

_NUMBERS = (0, 1, 2, 0x7F, 0xFF, 0x100, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF, 0x1FFFFFFF, 30_000, 16_384)


class Case(NamedTuple):
    """A damaged image, and how it is opened."""

    kind: str
    data: bytes
    path: Path | None


def _array(random: random.Random, channels: int = 3, deep: bool = False) -> np.ndarray:
    width, height = random.choice(((1, 1), (7, 5), (16, 16), (40, 30), (64, 48)))
    values = np.frombuffer(random.randbytes(width * height * channels), np.uint8)
    array = values.reshape((height, width, channels) if channels > 1 else (height, width))
    smooth = cv2.GaussianBlur(array, (5, 5), 2) if random.random() < 0.7 else array
    return smooth.astype(np.uint16) * 257 if deep else smooth


def _opencv(suffix: str, channels: int = 3, deep: bool = False, *options: int) -> Callable[[random.Random], bytes]:
    return lambda random: cv2.imencode(suffix, _array(random, channels, deep), list(options))[1].tobytes()


def _pillow(form: str, mode: str = "RGB", several: int = 1, **options: object) -> Callable[[random.Random], bytes]:
    def make(random: random.Random) -> bytes:
        if form == "JXL":
            import pillow_jxl  # noqa: F401 - registers itself
        if form == "HEIF":
            import pillow_heif

            pillow_heif.register_heif_opener()
        first = Image.fromarray(_array(random))
        frames = [first.rotate(90 * i).convert(mode) for i in range(several)]
        more = {"save_all": True, "append_images": frames[1:]} if several > 1 else {}
        file = io.BytesIO()
        frames[0].save(file, form, **more, **options)
        return file.getvalue()

    return make


def _big_tiff(random: random.Random) -> bytes:
    """A BigTIFF with two pages, uncompressed."""
    pixels = random.randbytes(4 * 3 * 3)
    data = b"II+\0" + struct.pack("<HHQ", 8, 0, 16 + len(pixels))
    data += pixels
    for page in range(2):
        fields = ((256, 3, 4), (257, 3, 3), (258, 3, 8), (259, 3, 1), (262, 3, 2), (273, 4, 16), (277, 3, 3))
        fields += ((278, 3, 3), (279, 4, len(pixels)))
        data += struct.pack("<Q", len(fields)) + b"".join(struct.pack("<HHQQ", t, k, 1, v) for t, k, v in fields)
        data += struct.pack("<Q", len(data) + 8 if page == 0 else 0)
    return data


def _text_pnm(random: random.Random) -> bytes:
    kind = random.choice((b"P1", b"P2", b"P3"))
    return kind + b" # words\n4 3\n" + (b"" if kind == b"P1" else b"255\n") + b" ".join(b"1" for _ in range(36))


def _pam(random: random.Random) -> bytes:
    return b"P7\nWIDTH 4\nHEIGHT 3\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n" + random.randbytes(36)


_MAKERS: dict[str, Callable[[random.Random], bytes]] = {
    "jpg": _opencv(".jpg"),
    "jpg progressive": _opencv(".jpg", 3, False, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "jpg grey": _opencv(".jpg", 1),
    "jpg cmyk": _pillow("JPEG", "CMYK"),
    "jpg restarts": _opencv(".jpg", 3, False, cv2.IMWRITE_JPEG_RST_INTERVAL, 1),
    "jpg turned": _pillow("JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0"),
    "png": _opencv(".png"),
    "png alpha": _opencv(".png", 4),
    "png 16": _opencv(".png", 3, True),
    "png palette": _pillow("PNG", "P"),
    "png interlaced": _pillow("PNG", "1"),
    "apng": _pillow("PNG", several=3),
    "gif": _pillow("GIF", "P"),
    "gif animated": _pillow("GIF", "P", several=3),
    "bmp": _opencv(".bmp"),
    "bmp palette": _pillow("BMP", "P"),
    "webp": _opencv(".webp"),
    "webp lossless": _opencv(".webp", 4, False, cv2.IMWRITE_WEBP_QUALITY, 101),
    "webp animated": _pillow("WEBP", several=3),
    "tif": _opencv(".tif"),
    "tif 16": _opencv(".tif", 3, True),
    "tif deflate": _pillow("TIFF", compression="tiff_deflate"),
    "tif jpeg": _pillow("TIFF", compression="jpeg"),
    "tif fax": _pillow("TIFF", "1", compression="group4"),
    "tif tiled": _pillow("TIFF", "RGBA", compression="tiff_lzw"),
    "tif pages": _pillow("TIFF", several=3),
    "big tif": _big_tiff,
    "jp2": _pillow("JPEG2000"),
    "jp2 grey": _pillow("JPEG2000", "L", irreversible=True),
    "j2k": _pillow("JPEG2000", no_jp2=True, tile_size=(16, 16), num_resolutions=1),
    "avif": _opencv(".avif", 3, False, cv2.IMWRITE_AVIF_SPEED, 10),
    "avif alpha": _opencv(".avif", 4, False, cv2.IMWRITE_AVIF_SPEED, 10),
    "avif animated": _pillow("AVIF", several=3, speed=10),
    "ppm": _opencv(".ppm"),
    "pgm": _opencv(".pgm", 1),
    "pnm text": _text_pnm,
    "pam": _pam,
    "hdr": lambda random: cv2.imencode(".hdr", _array(random).astype(np.float32))[1].tobytes(),
    "pfm": lambda random: cv2.imencode(".pfm", _array(random).astype(np.float32))[1].tobytes(),
    "heic": _pillow("HEIF"),
    "jxl": _pillow("JXL"),
}
_FILES = {"apng": "png", "big": "tif", "pnm": "ppm"}


@cache
def _seeds(kind: str) -> tuple[bytes, ...]:
    """Whole images of a kind; none where what writes it is not installed."""
    numbers, found = random.Random(kind), []
    for _ in range(5):
        with contextlib.suppress(ImportError, KeyError, OSError, cv2.error):
            found.append(_MAKERS[kind](numbers))
    return tuple(found)


def damaged(data: bytes, random: random.Random, head: int = 512) -> bytes:
    """Return bytes with a few accidents: cut, flipped, inserted, doubled, or with other numbers in their beginning."""
    changed = bytearray(data)
    for _ in range(random.choice((0, 1, 1, 1, 2, 3, 8))):
        at = random.randrange(len(changed) or 1)
        front = random.randrange(min(len(changed), head) or 1)
        what = random.randrange(8)
        if what == 0:
            del changed[at:]
        elif what == 1:
            for _ in range(random.choice((1, 4, 32))):
                place = random.randrange(len(changed) or 1)
                changed[place : place + 1] = bytes([random.randrange(256)])
        elif what == 2:
            changed[at:at] = random.randbytes(random.choice((1, 3, 64)))
        elif what == 3:
            del changed[at : at + random.choice((1, 3, 64))]
        elif what == 4:
            changed[at:at] = changed[front : front + random.choice((8, 100, 1000))]
        elif what == 5:
            changed[front : front + 1] = bytes([random.randrange(256)])
        else:
            layout = random.choice(("<H", ">H", "<I", ">I"))
            number = random.choice(_NUMBERS) & (0xFFFF if layout[1] == "H" else 0xFFFFFFFF)
            packed = struct.pack(layout, number)
            changed[front : front + len(packed)] = packed
    return bytes(changed)


def make(random: random.Random, folder: Path) -> Case:
    """Return an image of any kind, whole or damaged."""
    kind = random.choice(tuple(_MAKERS))
    seeds = _seeds(kind) or _seeds("jpg")
    data = damaged(random.choice(seeds), random)
    if random.random() < 0.03:  # one kind goes on as another
        data += random.choice(_seeds(random.choice(("jpg", "png", "tif", "webp"))))
    if random.random() < 0.7:
        return Case(kind, data, None)
    suffix = _FILES.get(kind.split(" ")[0], kind.split(" ")[0])
    path = folder / f"case.{suffix}"
    path.write_bytes(data)
    return Case(kind, data, path)


def attempt(case: Case) -> None:
    """Read an image as `model(image)` does, or a file as `limner run` does: what holds several is a video."""
    from limner import sources

    if case.path is None:
        sources.read_one(case.data)
        return
    read_file(case.path, 20)


def read_file(path: Path, most: int, start: float = 0.0) -> None:
    """Read a file as `limner run` does: an image, or a video or animation up to so many frames.

    Args:
        path: of the file.
        most: frames that are read.
        start: seconds at which a video is begun.
    """
    from limner import sources
    from limner.video.options import VideoOptions

    items, errors, _ = sources.expand(path)
    for error in errors:
        raise error
    for item in items:
        if not item.is_video:
            sources.read(item)
            continue
        with sources.open_video(item, VideoOptions(start=start or None), info=lambda _: None) as video:
            for number, _ in enumerate(video):
                if number >= most:
                    break
