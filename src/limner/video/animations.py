"""Which image files hold several images: animated GIF, PNG, WebP and AVIF, and TIFF with several pages.

Only headers are read, and neither PyAV nor OpenCV is needed: every image of a folder is looked at.
Layouts: GIF89a; PNG third edition; RFC 9649 (WebP); ISO/IEC 23000-22 (AVIF); TIFF 6.0 and BigTIFF.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..images import tiff

# endings of files that may hold several images; those of other images need not be opened to know
SUFFIXES = frozenset((".gif", ".png", ".webp", ".avif", ".tif", ".tiff"))
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType: a thumbnail, a mask


@dataclass(frozen=True)
class Animation:
    """What the header of a file with several images says."""

    kind: str  # "GIF", "PNG", "WebP", "AVIF" or "TIFF"
    count: int | None = None  # of its images, where the header says it
    pages: tuple[int, ...] = ()  # of a TIFF: the numbers of its directories that are pages, not thumbnails
    delays: tuple[int, ...] = ()  # of a WebP: milliseconds for which each image is shown


def animation_of(source: str | os.PathLike[str] | BinaryIO) -> Animation | None:
    """Return what a file with several images holds; None for a single image, another file, or a damaged header."""
    try:
        if not isinstance(source, (str, os.PathLike)):
            return _animation_in(source)
        with Path(source).open("rb") as file:
            return _animation_in(file)
    except (OSError, ValueError, struct.error):
        return None  # opening it raises the error


def _animation_in(file: BinaryIO) -> Animation | None:
    start = file.read(16)
    if start[:6] in (b"GIF87a", b"GIF89a"):
        return Animation("GIF") if _gif_has_two(file) else None
    if start[:8] == b"\x89PNG\r\n\x1a\n":
        count = _apng_count(file)
        return Animation("PNG", count) if count > 1 else None
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        delays = _webp_delays(file)
        return Animation("WebP", len(delays), delays=delays) if len(delays) > 1 else None
    if start[4:12] == b"ftypavis":
        return Animation("AVIF")
    if tiff.is_tiff(start):
        pages = _tiff_pages(file)
        return Animation("TIFF", len(pages), pages) if len(pages) > 1 else None
    return None


def _read(file: BinaryIO, layout: str) -> tuple[int, ...]:
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def _gif_has_two(file: BinaryIO) -> bool:
    def skip_table(flags: int) -> None:
        if flags & 0x80:
            file.seek(3 * 2 ** ((flags & 7) + 1), os.SEEK_CUR)

    file.seek(10)
    skip_table(_read(file, "<Bxx")[0])
    images = 0
    while True:
        block = file.read(1)
        if block == b"\x2c":
            images += 1
            if images == 2:
                return True
            skip_table(_read(file, "<8xB")[0])
            file.seek(1, os.SEEK_CUR)  # the smallest code size
        elif block == b"\x21":
            file.seek(1, os.SEEK_CUR)  # the kind of extension
        else:  # the end of the file, or nothing that is known
            return False
        while length := _read(file, "B")[0]:
            file.seek(length, os.SEEK_CUR)


def _apng_count(file: BinaryIO) -> int:
    """Return the number of images that the chunk acTL, before the first image data, announces; 0 without one."""
    file.seek(8)
    while True:
        length, kind = _read(file, ">I")[0], file.read(4)
        if kind == b"acTL":
            return _read(file, ">I")[0]
        if kind in (b"IDAT", b"IEND", b""):
            return 0
        file.seek(length + 4, os.SEEK_CUR)


def _webp_delays(file: BinaryIO) -> tuple[int, ...]:
    delays: list[int] = []
    file.seek(12)
    while len(header := file.read(8)) == 8:
        kind, length = header[:4], struct.unpack("<I", header[4:])[0]
        if kind != b"ANMF":
            file.seek(length + length % 2, os.SEEK_CUR)
            continue
        low, high = _read(file, "<12xHB")
        delays.append(low + (high << 16))
        file.seek(length + length % 2 - 15, os.SEEK_CUR)
    return tuple(delays)


def _tiff_pages(file: BinaryIO) -> tuple[int, ...]:
    found = tiff.directories(file, frozenset((tiff.SUBFILE,)))
    return tuple(page.number for page in found if not page.fields.get(tiff.SUBFILE, 0) & (_REDUCED | _MASK))
