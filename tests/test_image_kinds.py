"""Images of kinds that OpenCV alone does not read right: without an end, turned by their container, of phones."""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import limner
from limner import images
from limner.errors import InputError
from limner.sources import expand, open_video, read


def scene(width: int = 64, height: int = 40) -> np.ndarray:
    """Four corners of four colours, so that every turn shows: BGR."""
    image = np.full((height, width, 3), 128, np.uint8)
    half = (height // 2, width // 2)
    image[: half[0], : half[1]] = (250, 10, 10)
    image[: half[0], half[1] :] = (10, 250, 10)
    image[half[0] :, : half[1]] = (10, 10, 250)
    return image


def pillow() -> Any:
    return pytest.importorskip("PIL.Image", reason="needs Pillow: pip install -e .[test]")


def saved(kind: str, image: np.ndarray | None = None, **options: Any) -> bytes:
    data = io.BytesIO()
    pillow().fromarray((scene() if image is None else image)[..., ::-1]).save(data, kind, **options)
    return data.getvalue()


def one_sentence(message: str) -> bool:
    return "\n" not in message


# -- JPEG without its end --------------------------------------------------------------------------


def jpegs() -> dict[str, bytes]:
    """Files of several encoders' kinds, of an image with detail down to its last corner."""
    rng = np.random.default_rng(1)
    detail = cv2.resize(rng.integers(0, 256, (60, 90, 3), np.uint8), (180, 120))
    kinds = {
        "baseline": [cv2.IMWRITE_JPEG_QUALITY, 90],
        "progressive": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
        "restarts": [cv2.IMWRITE_JPEG_RST_INTERVAL, 2],
        "fine": [cv2.IMWRITE_JPEG_QUALITY, 100, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111],
    }
    return {kind: cv2.imencode(".jpg", detail, options)[1].tobytes() for kind, options in kinds.items()} | {
        "grey": cv2.imencode(".jpg", detail[..., 0])[1].tobytes(),
        "flat": cv2.imencode(".jpg", np.full((33, 17, 3), 200, np.uint8))[1].tobytes(),
    }


@pytest.mark.parametrize("kind", list(jpegs()))
@pytest.mark.parametrize("end", [b"", b"\xff"])
def test_a_jpeg_that_lacks_only_its_end_marker_is_read(
    kind: str, end: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = jpegs()[kind]
    assert whole.endswith(b"\xff\xd9")
    (tmp_path / "a.jpg").write_bytes(whole[:-2] + end)
    (item,), _, _ = expand(tmp_path / "a.jpg")
    frame = read(item)
    np.testing.assert_array_equal(frame.image, images.decode_image(whole, "whole"))
    assert frame.remark == f"'{tmp_path / 'a.jpg'}' lacks its end marker; all of its pixels are there"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", [kind for kind in jpegs() if kind != "flat"])
@pytest.mark.parametrize("missing", [8, 20, 100, 0.1, 0.5])
def test_a_jpeg_that_lacks_pixels_too_is_refused(kind: str, missing: float, capfd: pytest.CaptureFixture[str]) -> None:
    whole = jpegs()[kind]
    cut = int(missing) if missing > 1 else int(missing * len(whole))
    with pytest.raises(InputError, match="cut short"):
        images.decode_image(whole[:-cut], "a.jpg")
    assert capfd.readouterr() == ("", "")


def test_a_progressive_jpeg_between_two_of_its_scans_is_refused() -> None:
    """It decodes without a warning: what the scans after that would sharpen is missing."""
    whole = jpegs()["progressive"]
    starts = [i for i in range(len(whole) - 1) if whole[i : i + 2] == b"\xff\xda"]
    assert len(starts) > 4
    for start in starts[1:]:
        before = whole.rfind(b"\xff\xc4", 0, start)  # its table
        with pytest.raises(InputError, match="cut short"):
            images.decode_image(whole[: before if before > starts[0] else start], "a.jpg")


def test_the_remark_reaches_the_user(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    from limner.cli import app

    (tmp_path / "a.jpg").write_bytes(cv2.imencode(".jpg", scene())[1].tobytes()[:-2])
    with pytest.raises(SystemExit) as ended:
        app(["run", str(tmp_path / "a.jpg"), "-o", str(tmp_path / "o")])
    assert ended.value.code in (0, None)
    assert "lacks its end marker" in capsys.readouterr().out
    limner.load()(tmp_path / "a.jpg")
    assert "lacks its end marker" in caplog.text


def test_jpegs_one_after_the_other_are_never_one_in_silence(tmp_path: Path) -> None:
    one = cv2.imencode(".jpg", scene())[1].tobytes()
    remarks: list[str] = []
    assert images.decode_image(one + one, "a.jpg", remarks).shape == (40, 64, 3)
    assert remarks == ["'a.jpg' holds several JPEGs, of which the first is read; name it .mjpg to read all, as a video"]
    (tmp_path / "a.mjpg").write_bytes(one + one)
    (item,), _, _ = expand(tmp_path / "a.mjpg")
    with open_video(item) as video:
        assert len(list(video)) == 2
    phone = one[:2] + b"\xff\xe2\0\x08MPF\0\0\0" + one[2:]  # as its camera stores a second one
    remarks.clear()
    images.decode_image(phone + one, "a.jpg", remarks)
    assert remarks == []


# -- AVIF that its container turns -----------------------------------------------------------------


def exif(orientation: int) -> Any:
    found = pillow().Exif()
    found[0x112] = orientation
    return found


def with_turns(avif: bytes, angle: int | None, axis: int | None, clap: tuple[int, ...] = ()) -> bytes:
    """Give an AVIF, whose properties are all of its image, the properties clap, irot and imir behind the others."""

    def box(kind: bytes, content: bytes) -> bytes:
        return (8 + len(content)).to_bytes(4, "big") + kind + content

    def find(kind: bytes) -> tuple[int, int]:
        at = avif.index(kind) - 4
        return at, int.from_bytes(avif[at : at + 4], "big")

    added = [box(b"clap", struct.pack(">IIIIiIiI", *clap))] if clap else []
    added += [box(b"irot", bytes([angle]))] if angle is not None else []
    added += [box(b"imir", bytes([axis]))] if axis is not None else []
    at, size = find(b"ipco")
    ipco = box(b"ipco", avif[at + 8 : at + size] + b"".join(added))
    known, position = 0, at + 8
    while position < at + size:
        known, position = known + 1, position + int.from_bytes(avif[position : position + 4], "big")
    ipma_at, ipma_size = find(b"ipma")
    ipma = bytearray(avif[ipma_at + 8 : ipma_at + ipma_size])
    assert ipma[:4] == bytes(4)
    assert ipma[4:8] == b"\0\0\0\1"
    ipma[10] += len(added)
    ipma += bytes(0x80 | (known + 1 + i) for i in range(len(added)))
    iprp_at, iprp_size = find(b"iprp")
    meta_at, meta_size = find(b"meta")
    iprp = box(b"iprp", ipco + box(b"ipma", bytes(ipma)))
    meta = bytearray(avif[meta_at + 8 : iprp_at] + iprp + avif[iprp_at + iprp_size : meta_at + meta_size])
    grown = len(meta) + 8 - meta_size
    iloc = meta.index(b"iloc") + 4
    assert meta[iloc + 4] == 0x44  # offsets and lengths of 4 bytes, no base
    place = (
        iloc + 4 + 2 + 2 + 2 + 2 + (meta[iloc + 5] >> 4) + 2
    )  # version, sizes, count, item, reference, base, extents
    offset = int.from_bytes(meta[place : place + 4], "big")
    meta[place : place + 4] = (offset + grown).to_bytes(4, "big")
    return avif[:meta_at] + box(b"meta", bytes(meta)) + avif[meta_at + meta_size :]


def close(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and np.abs(one.astype(int) - other).mean() < 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_avif_is_turned_as_browsers_turn_it(orientation: int, tmp_path: Path) -> None:
    """Pillow writes an orientation as irot and imir, and reads it back."""
    ops = pytest.importorskip("PIL.ImageOps")
    data = saved("AVIF", quality=95, exif=exif(orientation))
    (tmp_path / "a.avif").write_bytes(data)
    expected = np.asarray(ops.exif_transpose(pillow().open(io.BytesIO(data))).convert("RGB"))[..., ::-1]
    (item,), _, _ = expand(tmp_path / "a.avif")
    assert close(read(item).image, expected)
    jpeg = saved("JPEG", quality=95, exif=exif(orientation))
    assert close(read(item).image, images.decode_image(jpeg, "a.jpg"))


@pytest.mark.parametrize("angle", [None, 0, 1, 2, 3])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_an_avif_of_another_encoder_is_turned_by_its_properties(angle: int | None, axis: int | None) -> None:
    done, data = cv2.imencode(".avif", scene())
    assert done
    plain = images.decode_image(data.tobytes(), "a.avif")
    expected = np.rot90(plain, angle or 0)
    expected = expected if axis is None else expected[::-1] if axis == 0 else expected[:, ::-1]
    turned = images.decode_image(with_turns(data.tobytes(), angle, axis), "a.avif")
    np.testing.assert_array_equal(turned, expected)


@pytest.mark.parametrize(
    ("clap", "part"),
    [
        ((32, 1, 20, 1, 0, 1, 0, 1), (slice(10, 30), slice(16, 48))),
        ((60, 2, 20, 1, -17, 1, 10, 1), (slice(20, 40), slice(0, 30))),
        ((33, 1, 20, 1, 1, 2, 0, 1), (slice(10, 30), slice(16, 49))),
        ((33, 1, 20, 1, 0, 1, 0, 1), (slice(None), slice(None))),  # half a pixel: not a crop that can be made
        ((80, 1, 20, 1, 0, 1, 0, 1), (slice(None), slice(None))),  # wider than the image
        ((0, 1, 20, 1, 0, 1, 0, 1), (slice(None), slice(None))),
        ((32, 0, 20, 1, 0, 1, 0, 1), (slice(None), slice(None))),
    ],
)
def test_an_avif_is_cropped_by_its_clean_aperture_and_then_turned(
    clap: tuple[int, ...], part: tuple[slice, slice]
) -> None:
    done, data = cv2.imencode(".avif", scene())
    assert done
    plain = images.decode_image(data.tobytes(), "a.avif")
    found = images.decode_image(with_turns(data.tobytes(), 1, None, clap), "a.avif")
    np.testing.assert_array_equal(found, np.rot90(plain[part]))


def test_a_container_cut_anywhere_is_one_error() -> None:
    data = saved("AVIF", exif=exif(6))
    for size in range(12, len(data) - 40, 7):
        try:
            images.decode_image(data[:size], "a.avif")
        except InputError as error:
            assert one_sentence(str(error))  # noqa: PT017 - some cuts leave the image whole


# -- HEIC and JPEG XL ------------------------------------------------------------------------------


def heic(image: np.ndarray | None = None) -> bytes:
    heif = pytest.importorskip("pillow_heif", reason="needs pillow-heif: pip install -e .[test]")
    data = io.BytesIO()
    heif.from_pillow(pillow().fromarray((scene() if image is None else image)[..., ::-1])).save(data, quality=95)
    return data.getvalue()


def jxl(image: np.ndarray | None = None) -> bytes:
    pytest.importorskip("pillow_jxl", reason="needs pillow-jxl-plugin: pip install -e .[test]")
    return saved("JXL", image, lossless=True)


@pytest.mark.parametrize("name", ["a.heic", "IMG_1.HEIC", "a.jpg", "a"])
def test_a_heic_is_read_whatever_its_name(name: str, tmp_path: Path) -> None:
    for brand in (b"heic", b"mif1"):  # some phones name the container alone
        data = heic()
        (tmp_path / name).write_bytes(data[:8] + brand + data[12:])
        (item,), _, _ = expand(tmp_path / name)
        assert not item.is_video
        assert close(read(item).image, scene())


def test_a_jpeg_xl_is_read(tmp_path: Path) -> None:
    for options in ({}, {"exif": exif(1).tobytes()}):  # the plain stream, and in a container
        jxl()
        data = saved("JXL", lossless=True, **options)
        (tmp_path / "a.jxl").write_bytes(data)
        (item,), _, _ = expand(tmp_path)
        np.testing.assert_array_equal(read(item).image, scene())


@pytest.mark.parametrize(
    ("module", "make", "said"),
    [
        ("pillow_heif", heic, 'HEIC image, for which a package is not installed: pip install "pillow-heif>='),
        ("pillow_jxl", jxl, 'JPEG XL image, for which a package is not installed: pip install "pillow-jxl-plugin>='),
    ],
)
def test_without_its_package_an_image_gets_advice(
    module: str, make: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError) as caught:
        images.decode_image(data, "photo")
    assert str(caught.value).startswith(f"'photo' is a {said}")
    assert "convert it to JPEG or PNG" in str(caught.value)


@pytest.mark.parametrize("make", [heic, jxl])
def test_a_damaged_one_is_one_error(make: Any, capfd: pytest.CaptureFixture[str]) -> None:
    data = make(np.random.default_rng(2).integers(0, 256, (80, 90, 3), np.uint8))
    for broken in (data[:100], data[: len(data) // 2], data[:60] + bytes(len(data) - 60)):
        with pytest.raises(InputError, match="damaged or cut short") as caught:
            images.decode_image(broken, "photo")
        assert one_sentence(str(caught.value))
    assert capfd.readouterr() == ("", "")


def test_several_images_in_a_heic_are_never_silent() -> None:
    heif = pytest.importorskip("pillow_heif", reason="needs pillow-heif: pip install -e .[test]")
    data = io.BytesIO()
    both = heif.from_pillow(pillow().fromarray(scene()[..., ::-1]))
    both.add_from_pillow(pillow().fromarray(scene(32, 32)))
    both.save(data, quality=95)
    remarks: list[str] = []
    assert images.decode_image(data.getvalue(), "photo", remarks).shape == (40, 64, 3)
    assert remarks == ["'photo' holds 2 images, of which the main one is read"]


def test_a_grey_heic_and_one_with_alpha_are_read() -> None:
    heif = pytest.importorskip("pillow_heif", reason="needs pillow-heif: pip install -e .[test]")
    for mode in ("L", "RGBA"):
        data = io.BytesIO()
        image = pillow().fromarray(scene()[..., ::-1]).convert(mode)
        heif.from_pillow(image).save(data, quality=95)
        expected = np.asarray(image.convert("RGB"))[..., ::-1]
        assert close(images.decode_image(data.getvalue(), "photo"), expected), mode
