"""How large an image may be: its size is read before a decoder makes room for it, whatever its format."""

from __future__ import annotations

import io
import re
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from limner import images, sources
from limner.errors import ArgumentError, InputError
from limner.images import decode_image, headers, limits, tiff
from limner.video.options import VideoOptions

SIDE = 30_000  # of an image with more pixels than are read


def encoded(suffix: str, width: int = 40, height: int = 30, *options: int) -> bytes:
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    done, data = cv2.imencode(suffix, image, list(options))
    assert done
    return data.tobytes()


def boxed(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def replaced(data: bytes, layout: str, at: int, *values: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(layout, changed, at, *values)
    return bytes(changed)


def tiff_of(width: int, height: int, more: dict[int, int] | None = None, *, big: bool = False) -> bytes:
    """A TIFF of one grey row, which says that it has more."""
    fields = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: 64, **(more or {})}
    entries = sorted(fields.items())
    if big:
        directory = struct.pack("<Q", len(entries)) + b"".join(struct.pack("<HHQQ", t, 4, 1, v) for t, v in entries)
        return b"II+\0" + struct.pack("<HHQ", 8, 0, 16) + directory + bytes(8 + 64)
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", t, 4, 1, v) for t, v in entries)
    return b"II*\0" + struct.pack("<I", 8) + directory + bytes(4 + 64)


def webp_of(width: int, height: int) -> bytes:
    canvas = struct.pack("<I", 0) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    inner = b"VP8X" + struct.pack("<I", 10) + canvas + encoded(".webp")[12:]
    return b"RIFF" + struct.pack("<I", 4 + len(inner)) + b"WEBP" + inner


def av1_of(width: int, height: int) -> bytes:
    """The sequence header of an AV1 stream, as still images have it."""
    bits = f"{0:03b}11{0:05b}{15:04b}{15:04b}{width - 1:016b}{height - 1:016b}"
    payload = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    return bytes([1 << 3 | 2, len(payload)]) + payload


def avif_of(width: int, height: int, stream: tuple[int, int] = (0, 0)) -> bytes:
    ispe = boxed(b"ispe", struct.pack(">III", 0, width, height))
    content = av1_of(*stream) if stream[0] else b""
    start = boxed(b"ftyp", b"avif\0\0\0\0avifmif1")

    def meta(at: int) -> bytes:
        place = struct.pack(">IBBHHHHII", 0, 0x44, 0, 1, 1, 0, 1, at, len(content))
        return boxed(b"meta", bytes(4) + boxed(b"iloc", place) + boxed(b"iprp", boxed(b"ipco", ispe)))

    return start + meta(len(start) + len(meta(0)) + 8) + boxed(b"mdat", content)


def jxl_of(width: int, height: int) -> bytes:
    bits, at = 0, 0
    for value, count in ((0, 1), (3, 2), (height - 1, 30), (0, 3), (3, 2), (width - 1, 30)):
        bits, at = bits | value << at, at + count
    return b"\xff\x0a" + bits.to_bytes(-(-at // 8), "little")


def jpeg_2000_of(width: int, height: int, tile: tuple[int, int]) -> bytes:
    size = struct.pack(">HIIIIIIIIH", 0, width, height, 0, 0, *tile, 0, 0, 3) + b"\7\1\1" * 3
    return b"\xff\x4f\xff\x51" + struct.pack(">H", len(size) + 2) + size


def jpeg_of(width: int, height: int, scans: int = 1) -> bytes:
    data = encoded(".jpg", 40, 30, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    at = data.index(b"\xff\xc2") + 5
    scan = data[data.index(b"\xff\xda") : data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)]
    return replaced(data, ">HH", at, height, width)[:-2] + scan * (scans - 1) + b"\xff\xd9"


LARGE = {
    "JPEG": jpeg_of(SIDE, SIDE),
    "PNG": replaced(encoded(".png"), ">II", 16, SIDE, SIDE),
    "GIF": replaced(encoded(".gif"), "<HH", 6, SIDE, SIDE),
    "BMP": replaced(encoded(".bmp"), "<ii", 18, SIDE, -SIDE),
    "BMP of OS/2": b"BM" + bytes(8) + struct.pack("<IIHHHH", 26, 12, SIDE, SIDE, 1, 24) + bytes(64),
    "WebP": webp_of(SIDE, SIDE),
    "WebP without a canvas": replaced(
        encoded(".webp", 40, 30, cv2.IMWRITE_WEBP_QUALITY, 101), "<I", 21, 0x3FFF | 0x3FFF << 14
    ),
    "TIFF": tiff_of(SIDE, SIDE),
    "TIFF of 16383 rows": tiff_of(16_383, 16_384),
    "BigTIFF": tiff_of(SIDE, SIDE, big=True),
    "JPEG 2000": jpeg_2000_of(SIDE, SIDE, (SIDE, SIDE)),
    "PNM": b"P5 # 1 1\n# 2 2\n%d\n%d 255\n" % (SIDE, SIDE),
    "PNM of numbers": b"P3\n%d %d\n255\n1 2 3" % (SIDE, SIDE),
    "PAM": b"P7\nWIDTH %d\nHEIGHT %d\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n" % (SIDE, SIDE),
    "AVIF": avif_of(SIDE, SIDE),
    "AVIF whose stream is larger": avif_of(40, 30, (SIDE, SIDE)),
    "HEIC": avif_of(SIDE, SIDE).replace(b"avif", b"heic"),
    "JPEG XL": jxl_of(SIDE, SIDE),
    "JPEG XL in boxes": bytes.fromhex("0000000c4a584c200d0a870a") + boxed(b"jxlc", jxl_of(SIDE, SIDE)),
}


@pytest.fixture
def no_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that must not be called."""

    def called(*_: Any, **__: Any) -> None:
        raise AssertionError("decoded")

    for name in ("_imdecode", "decode_heic", "decode_jpeg_xl"):
        monkeypatch.setattr(images, name, called)


@pytest.mark.usefixtures("no_decoder")
@pytest.mark.parametrize("kind", LARGE)
def test_a_small_file_that_declares_a_huge_image_is_refused_before_it_is_decoded(kind: str, tmp_path: Path) -> None:
    tracemalloc.start()
    with pytest.raises(InputError, match=r"is too large: \d+ x \d+ pixels where at most \d+ are read") as caught:
        decode_image(LARGE[kind], "a")
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    said = re.search(r"(\d+) x (\d+) pixels .* --max-pixels (\d+) ", str(caught.value))
    assert said is not None
    assert int(said[1]) * int(said[2]) == int(said[3])
    path = tmp_path / "a.img"
    path.write_bytes(LARGE[kind])
    (item,), _, _ = sources.expand(path)
    with pytest.raises(InputError, match="is too large"):
        sources.read(item)
    with pytest.raises(AssertionError, match="decoded"):  # allowed
        decode_image(LARGE[kind], "a", max_pixels=int(said[3]))


def test_the_size_is_that_of_the_image_in_every_format() -> None:
    for suffix in (".jpg", ".png", ".gif", ".bmp", ".webp", ".tif", ".ppm", ".avif", ".jp2"):
        if suffix == ".avif" and not cv2.haveImageWriter("a.avif"):
            continue
        data = encoded(suffix, 72, 50)
        kind = images.kind_of(data)
        assert kind is not None
        header = headers.header_of(kind, data)
        assert header is not None, suffix
        assert (header.width, header.height) == (72, 50), suffix
        decode_image(data, suffix, max_pixels=72 * 50)
        with pytest.raises(InputError, match=r"72 x 50 pixels where at most 3599 are read; .*--max-pixels 3600"):
            decode_image(data, suffix, max_pixels=72 * 50 - 1)


@pytest.mark.parametrize(("form", "package"), [("HEIF", "pillow_heif"), ("JXL", "pillow_jxl")])
def test_the_size_of_what_optional_packages_decode(form: str, package: str) -> None:
    module = pytest.importorskip(package)
    from PIL import Image

    if form == "HEIF":
        module.register_heif_opener()
    for size in ((72, 50), (64, 64), (300, 8)):
        file = io.BytesIO()
        Image.new("RGB", size, (200, 100, 50)).save(file, form)
        kind = images.kind_of(file.getvalue())
        assert kind is not None
        header = headers.header_of(kind, file.getvalue())
        assert header is not None
        assert (abs(header.width - size[0]) < 64, abs(header.height - size[1]) < 64) == (True, True)  # whole blocks
        assert decode_image(file.getvalue(), "a").shape[:2] == size[::-1]


@pytest.mark.usefixtures("no_decoder")
@pytest.mark.parametrize(
    "data",
    [
        jpeg_2000_of(2000, 2000, (1, 1)),  # a tile for each pixel
        tiff_of(8, 8, {322: 16_384, 323: 16_384}),  # a tile larger than the image
        jpeg_of(40, 30, 1200),  # a pass over the image for a few bytes
    ],
)
def test_what_declares_more_parts_than_pixels_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="declares far more parts than its pixels need"):
        decode_image(data, "a", max_pixels=1 << 40)


def test_a_large_file_may_hold_more_than_a_small_one() -> None:
    header = headers.Header(16_000, 12_500, 9)  # 200 megapixels
    limits.check_size(header, 30_000_000, "a.jpg")
    with pytest.raises(InputError, match="from a file of 20 kB"):
        limits.check_size(header, 20_000, "a.jpg")
    limits.check_size(headers.Header(8000, 6000, 9), 20_000, "flat.jpg")
    with pytest.raises(InputError, match=f"at most {limits.MAX_PIXELS} are read; "):
        limits.check_size(headers.Header(16_385, 16_384, 9), 1 << 29, "a.jpg")
    passes = headers.Header(8000, 6000, 9, passes=20)
    limits.check_size(passes, 8_000_000, "progressive.jpg")
    with pytest.raises(InputError, match="is too large"):
        limits.check_size(passes, 20_000, "progressive.jpg")


@pytest.mark.parametrize("length", [1 << 31, 0x7FFFFFFF, 5000])
def test_a_chunk_of_a_png_that_is_longer_than_its_file_is_not_believed(length: int, no_decoder: None) -> None:
    data = encoded(".png")
    for place in (data.index(b"IDAT") - 4, data.index(b"IEND") - 4):
        for kind in (b"tEXt", b"IDAT", b"iCCP"):
            long = data[:place] + struct.pack(">I4s", length, kind) + data[place:]
            with pytest.raises(InputError, match="damaged or cut short"):
                decode_image(long, "a.png")


def test_the_pages_of_a_tiff_have_a_limit_each(tmp_path: Path, no_decoder: None) -> None:
    first, second = tiff_of(8, 8), tiff_of(SIDE, SIDE)
    count = struct.unpack_from("<H", first, 8)[0]
    shift = len(first)
    data = bytearray(first + second[8:])
    struct.pack_into("<I", data, 10 + 12 * count, shift)  # the next directory
    path = tmp_path / "pages.tif"
    path.write_bytes(bytes(data))
    (item,), _, _ = sources.expand(path)
    assert item.is_video
    with pytest.raises(InputError, match=f"pages.tif' is too large: {SIDE} x {SIDE} pixels"):
        sources.open_video(item)


@pytest.mark.parametrize("big", [False, True])
def test_directories_of_a_tiff_that_have_no_end_are_not_followed(big: bool) -> None:
    """Each of them lies one field behind the one before, and says that it has all fields."""
    start = b"II+\0" + struct.pack("<HHQ", 8, 0, 16) if big else b"II*\0" + struct.pack("<I", 8)
    for count in (4000, 65_535, 0xFFFF_FFFF_FFFF_FFFF):
        entries = struct.pack("<Q", count) if big else struct.pack("<H", min(count, 65_535))
        data = start + entries + bytes(range(256)) * 400
        file = io.BytesIO(data)
        try:
            found = list(tiff.directories(file, headers.TIFF_FIELDS))
        except (ValueError, struct.error):
            continue
        assert len(found) < 1000


def test_a_canvas_of_an_animation_has_a_limit(tmp_path: Path) -> None:
    from PIL import Image

    frames = [Image.new("RGB", (64, 48), (i, 0, 0)) for i in range(0, 90, 30)]
    for suffix in ("webp", "avif", "gif", "png"):
        path = tmp_path / f"a.{suffix}"
        try:
            frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
        except (KeyError, OSError):
            continue
        (item,), _, _ = sources.expand(path)
        with sources.open_video(item, VideoOptions(max_pixels=64 * 48)) as video:
            assert len(list(video)) == 3, suffix
        with pytest.raises(InputError, match=r"is too large: .*64 x 48 pixels where at most 3071 are read"):
            sources.open_video(item, VideoOptions(max_pixels=64 * 48 - 1))


def test_a_limit_is_a_whole_number() -> None:
    assert VideoOptions(max_pixels=np.int64(5)).max_pixels == 5  # type: ignore[arg-type]
    for wrong in (0, -1, 1.5, "5", True):
        with pytest.raises(ArgumentError, match=r"max_pixels is .* where a whole number of pixels"):
            VideoOptions(max_pixels=wrong)  # type: ignore[arg-type]
