"""How large an image is, and what decoding it takes, by its header alone.

A decoder makes room for the size that a file declares, whatever the file holds. So the size is read here first, of
every kind. Where a file says it twice, the larger one counts. Layouts: ITU-T T.81 (JPEG); PNG third edition; GIF89a;
RFC 9649 (WebP) and RFC 6386 (VP8); ITU-T T.800 (JPEG 2000); ISO/IEC 18181-1 (JPEG XL); netpbm's pages (PNM).
"""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass, replace

from . import heif, tiff

_SEGMENT = re.compile(rb"\xff[^\x00\x01\xd0-\xd9\xff]")  # a JPEG marker that has a length behind it
_TOKEN = re.compile(rb"(?:\s|#[^\n\r]*)*([^\s#]+)")
_PAM = re.compile(rb"^\s*(WIDTH|HEIGHT|DEPTH|MAXVAL)\s+(\d+)", re.MULTILINE)
_TILE = 6000  # bytes that OpenJPEG keeps of each tile, and about a fifth of that of each component of it
_JXL_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


@dataclass(frozen=True)
class Header:
    """What the header of an image says.

    Args:
        width, height: pixels.
        each: bytes that decoding takes for each pixel, at its peak, the image itself included.
        more: bytes that it takes beyond that.
        passes: how often each pixel is gone over.
        complete: False where a JPEG lacks its end marker, which thumbnails in its segments have too, or a chunk of a
            PNG is longer than the file.
    """

    width: int
    height: int
    each: float
    more: int = 0
    passes: int = 1
    complete: bool = True

    @property
    def pixels(self) -> int:
        """How many pixels it has."""
        return self.width * self.height


def header_of(kind: str, data: bytes) -> Header | None:
    """Read the header of an image; None where it is damaged or cut short.

    Args:
        kind: what `limner.images.kind_of` says.
        data: the whole file.
    """
    try:
        found = _READERS[kind](data)
    except (struct.error, LookupError, ValueError):
        return None
    return found if found is not None and found.width > 0 and found.height > 0 else None


def _jpeg_segments(data: bytes) -> tuple[list[int], int, int | None]:
    """Return where the frame headers of a JPEG, the number of components of its first scan, and that scan are."""
    frames: list[int] = []
    position = 2
    while (match := _SEGMENT.search(data, position)) and match.start() + 9 <= len(data):
        marker = match.start()
        code = data[marker + 1]
        if 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):
            frames.append(marker)
        position = marker + 2 + int(struct.unpack_from(">H", data, marker + 2)[0])
        if code == 0xDA:  # start of scan: behind it 0xFF is escaped, so the end marker is unambiguous
            return frames, marker + 4, position
    return frames, 0, None


def _jpeg(data: bytes) -> Header | None:
    frames, first, start = _jpeg_segments(data)
    largest: Header | None = None
    whole = start is not None and (data.endswith(b"\xff\xd9", start) or data.find(b"\xff\xd9", start) >= 0)
    for at in frames:
        height, width, components = struct.unpack_from(">HHB", data, at + 5)
        factors = [(data[at + 11 + 3 * i] >> 4, data[at + 11 + 3 * i] & 15) for i in range(min(components, 4))]
        most = max((h * v for h, v in factors), default=1) or 1
        # coefficients of the whole image are kept unless one scan has all
        several = start is not None and (data[at + 1] not in (0xC0, 0xC1) or data[first] < components)
        scans = data.count(b"\xff\xda", start) + 1 if several else 1
        kept = 2 * sum(h * v for h, v in factors) / most if several else 0
        # one that lacks its end is decoded three times, and turning it by EXIF takes a copy
        each = kept + (6 if components < 4 else 10) + (0 if whole else 6)
        found = Header(width, height, each, passes=scans if whole else 3 * scans, complete=whole)
        if largest is None or found.pixels * found.each > largest.pixels * largest.each:
            largest = found
    return largest


def _png(data: bytes) -> Header | None:
    length, kind, width, height, bits, colour = struct.unpack_from(">I4sIIBB", data, 8)
    if kind != b"IHDR" or length != 13:
        return None
    each = 6 + (10 if colour & 4 or b"tRNS" in data[:4096] else 0) + (8 if bits == 16 else 0)
    return Header(width, height, each, complete=_png_is_complete(data))


def _png_is_complete(data: bytes) -> bool:
    """Return whether the chunks of a PNG are as long as they say, up to its end.

    libpng makes room for the length that a chunk declares before it has read it.
    """
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        at += 12 + length
        if kind == b"IEND":
            return at <= len(data)
    return False


def _gif(data: bytes) -> Header | None:
    width, height = struct.unpack_from("<HH", data, 6)
    return Header(width, height, 12)


def _bmp(data: bytes) -> Header | None:
    size = struct.unpack_from("<I", data, 14)[0]
    if size == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return Header(abs(width), abs(height), 6)


def _webp(data: bytes) -> Header | None:
    at, found = 12, Header(0, 0, 14)
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        size = (0, 0)
        if kind == b"VP8X":
            low, low_high, high = struct.unpack_from("<xxxxHBH", data, at + 8)
            size = (1 + low + (low_high << 16), 1 + high + (data[at + 17] << 16))
        elif kind == b"VP8L":
            bits = struct.unpack_from("<I", data, at + 9)[0]
            size = (1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
        elif kind == b"VP8 ":
            width, height = struct.unpack_from("<HH", data, at + 14)
            size = (width & 0x3FFF, height & 0x3FFF)
        if size[0] * size[1] > found.pixels:
            found = replace(found, width=size[0], height=size[1])
        if kind in (b"VP8L", b"VP8 ", b"ANMF"):
            break
        at += 8 + length + length % 2
    return found


def _tiff(data: bytes) -> Header | None:
    first = next(tiff.directories(io.BytesIO(data), TIFF_FIELDS), None)
    return None if first is None else tiff_header(first)


TIFF_FIELDS = frozenset(
    (tiff.WIDTH, tiff.HEIGHT, tiff.BITS, tiff.SAMPLES, tiff.ROWS, tiff.TILE_WIDTH, tiff.TILE_HEIGHT)
)


def tiff_header(directory: tiff.Directory) -> Header:
    """Return what a directory of a TIFF says of its image."""
    fields = directory.fields
    width, height = fields.get(tiff.WIDTH, 0), fields.get(tiff.HEIGHT, 0)
    stored = max(1.0, fields.get(tiff.SAMPLES, 1) * fields.get(tiff.BITS, 1) / 8)  # bytes of a pixel
    tile = fields.get(tiff.TILE_WIDTH, 0) * fields.get(tiff.TILE_HEIGHT, 0)
    strip = 0.0 if tile else min(1.0, fields.get(tiff.ROWS, height) / max(1, height))  # of the image, at once
    each = 6 + 2.5 * stored + strip * max(4.0, stored)
    return Header(width, height, each, more=int(tile * max(4.0, stored)))


def _jpeg_2000(data: bytes) -> Header | None:
    found: Header | None = None
    at = data.find(b"\xff\x4f\xff\x51")
    while at >= 0:
        _, right, bottom, left, top = struct.unpack_from(">HIIII", data, at + 6)
        tile_width, tile_height, tile_left, tile_top, components = struct.unpack_from(">IIIIH", data, at + 24)
        width, height = right - left, bottom - top
        across = -(-(right - tile_left) // max(1, tile_width))
        down = -(-(bottom - tile_top) // max(1, tile_height))
        each = 8 + 6 * max(1, components)  # whole numbers of 32 bits, and the wavelets of a tile
        tiles = max(0, across) * max(0, down) * (_TILE + _TILE // 5 * components)
        if found is None or width * height * each + tiles > found.pixels * found.each + found.more:
            found = Header(width, height, each, tiles)
        at = data.find(b"\xff\x4f\xff\x51", at + 4)
    at = data[:4096].find(b"ihdr")
    if found is not None and at >= 0:
        height, width = struct.unpack_from(">II", data, at + 4)
        if width * height > found.pixels:
            found = replace(found, width=width, height=height)
    return found


def _pnm(data: bytes) -> Header | None:
    if data[1:2] == b"7":
        said = {name: int(value) for name, value in _PAM.findall(data[: 1 << 16])}
        deep = said.get(b"MAXVAL", 255) > 255
        return Header(said[b"WIDTH"], said[b"HEIGHT"], 6 + said.get(b"DEPTH", 1) * (2 if deep else 1) + 6 * deep)
    numbers: list[int] = []
    at = 2
    while len(numbers) < 2:
        match = _TOKEN.match(data, at)
        if match is None:
            return None
        numbers.append(int(match[1][:20]))
        at = match.end()
    return Header(numbers[0], numbers[1], 12)


class _Bits:
    """Bits of a JPEG XL, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._at = int.from_bytes(data, "little"), 0

    def take(self, count: int) -> int:
        value = self._value >> self._at & ((1 << count) - 1)
        self._at += count
        return value


def _jpeg_xl(data: bytes) -> Header | None:
    if data[:2] == b"\xff\x0a":
        return _jpeg_xl_codestream(data[2:32])
    stream = b""
    for kind, begin, end in heif.boxes(data, 0, len(data)):
        if kind in (b"jxlc", b"jxlp"):
            begin += 4 if kind == b"jxlp" else 0  # the number of the part
            stream += data[begin : min(end, begin + 32)]
            if len(stream) >= 32:
                break
    return _jpeg_xl_codestream(stream[2:32]) if stream[:2] == b"\xff\x0a" else None


def _jpeg_xl_codestream(data: bytes) -> Header:
    bits = _Bits(data)

    def side() -> int:
        return 1 + bits.take((9, 13, 18, 30)[bits.take(2)])

    small = bits.take(1)
    height = 8 * (1 + bits.take(5)) if small else side()
    ratio = bits.take(3)
    if ratio:
        width = height * _JXL_RATIOS[ratio - 1][0] // _JXL_RATIOS[ratio - 1][1]
    else:
        width = 8 * (1 + bits.take(5)) if small else side()
    return Header(width, height, 28)


def _container(data: bytes) -> Header | None:
    width, height = heif.declared_size(data)
    return Header(width, height, 36 if heif.is_deep(data) else 18)


_READERS = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "WebP": _webp,
    "TIFF": _tiff,
    "BMP": _bmp,
    "JPEG 2000": _jpeg_2000,
    "JPEG XL": _jpeg_xl,
    "PNM": _pnm,
    "AVIF": _container,
    "HEIC": _container,
}
