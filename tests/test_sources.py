"""What a user can name as an input, and what comes of it: images, errors of one sentence, or notices."""

from __future__ import annotations

import ctypes
import functools
import os
import socket
import struct
import sys
import threading
import zlib
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

import servers
from beside import SHARED
from limner import images as images
from limner import sources
from limner.errors import InputError
from limner.images import decode_image, messages
from limner.sources import Input, expand, open_video, read
from limner.types import Frame
from limner.video.writer import VideoWriter

# -- files made by hand ----------------------------------------------------------------------------


def scene(height: int = 40, width: int = 60) -> np.ndarray:
    """An image without any symmetry, so that every wrong turn shows."""
    coarse = np.random.default_rng(7).integers(0, 256, (5, 7, 3), np.uint8)
    return cv2.resize(coarse, (width, height))


def encoded(ending: str, image: np.ndarray | None = None) -> bytes:
    done, data = cv2.imencode(ending, scene() if image is None else image)
    assert done
    return data.tobytes()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    """A PNG of raw rows (each with its filter byte); ``extra`` are chunks between IHDR and IDAT."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))]
    chunks += [*extra, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def segment(code: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, code, len(data) + 2) + data


def with_exif(jpeg: bytes, orientation: int, order: str = "<", extra: bytes = b"") -> bytes:
    """The JPEG with an EXIF segment that holds one entry, the orientation."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HIH", 42, 8, 1)
    entry = struct.pack(order + "HHIHHI", 0x0112, 3, 1, orientation, 0, 0)
    return jpeg[:2] + segment(0xE1, b"Exif\0\0" + head + entry + extra) + jpeg[2:]


def cmyk_jpeg(samples: tuple[int, int, int, int]) -> bytes:
    """An 8x8 baseline JPEG of one colour in Adobe's inverted CMYK (255 is no ink)."""
    bits = ""
    for sample in samples:
        level = sample - 128
        size = abs(level).bit_length()
        bits += f"{size:04b}"
        if size:
            bits += f"{level if level > 0 else level + (1 << size) - 1:0{size}b}"
        bits += "0"  # end of block
    bits += "1" * (-len(bits) % 8)
    scan = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)).replace(b"\xff", b"\xff\x00")
    return (
        b"\xff\xd8"
        + segment(0xEE, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, 0))
        + segment(0xDB, b"\0" + bytes([8] * 64))
        + segment(0xC0, struct.pack(">BHHB", 8, 8, 8, 4) + b"".join(bytes([i, 0x11, 0]) for i in range(1, 5)))
        + segment(0xC4, b"\x00" + bytes([0, 0, 0, 9] + [0] * 12) + bytes(range(9)))
        + segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\0")
        + segment(0xDA, b"\x04" + b"".join(bytes([i, 0]) for i in range(1, 5)) + b"\0\x3f\0")
        + scan
        + b"\xff\xd9"
    )


def gif(*colours: tuple[int, int, int]) -> bytes:
    """An animated GIF of one pixel, one frame for each RGB colour."""
    data = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x81, 0, 0)
    data += b"".join(bytes(c) for c in colours).ljust(12, b"\0")
    for index in range(len(colours)):
        data += b"\x21\xf9\x04\x04" + struct.pack("<HBB", 5, 0, 0)
        data += b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0)
        data += b"\x02\x02" + struct.pack("<H", 4 | index << 3 | 5 << 6) + b"\0"
    return data + b"\x3b"


def tiff(width: int, height: int, data: bytes) -> bytes:
    """A grey TIFF in one strip, its directory before the data."""
    start = 8 + 2 + 8 * 12 + 4
    entries = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, start), (278, height), (279, 1 << 20)]
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4) + data


def item(path: Path, data: bytes | None = None) -> Input:
    if data is not None:
        path.write_bytes(data)
    return Input(path.name, path)


def one_sentence(message: str) -> bool:
    return bool(message) and "\n" not in message and "Traceback" not in message and not message.endswith(".")


# -- naming inputs ---------------------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "deeper").mkdir(parents=True)
    for name in ("img10.jpg", "img2.jpg", "IMG1.JPG", "b.png", "deeper/img3.jpg", ".hidden.jpg"):
        (folder / name).write_bytes(encoded(".png" if name.endswith("png") else ".jpg"))
    return folder


def names(inputs: object) -> list[str]:
    items, errors, notices = expand(inputs)
    assert not errors
    assert not notices
    return [i.name for i in items]


def only_error(inputs: object) -> str:
    items, errors, _ = expand(inputs)
    assert items == []
    assert len(errors) == 1
    assert isinstance(errors[0], InputError)
    return str(errors[0])


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_is_one_image(photos: Path, kind: type) -> None:
    items, errors, notices = expand(kind(photos / "b.png"))
    assert ([i.path for i in items], errors, notices) == ([photos / "b.png"], [], [])
    assert (items[0].stem, items[0].suffix, items[0].source) == ("b", ".png", str(photos / "b.png"))


def test_a_folder_is_its_images_in_the_order_a_person_counts(photos: Path) -> None:
    assert names(str(photos)) == ["b.png", "IMG1.JPG", "img2.jpg", "img10.jpg"]


def test_a_pattern_names_files_and_may_search_deeper(photos: Path) -> None:
    assert names(f"{photos}/*.jpg") == ["img2.jpg", "img10.jpg"]
    assert names(photos / "img?.jpg") == ["img2.jpg"]
    assert names(f"{photos}/**/*.jpg") == ["img3.jpg", "img2.jpg", "img10.jpg"]
    assert names(f"{photos}/*") == ["b.png", "IMG1.JPG", "img2.jpg", "img10.jpg"]


def test_brackets_in_a_real_file_name_are_no_pattern(tmp_path: Path) -> None:
    item(tmp_path / "photo[1].jpg", encoded(".jpg"))
    assert names(tmp_path / "photo[1].jpg") == ["photo[1].jpg"]


def test_home_is_understood(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(photos))
    monkeypatch.setenv("USERPROFILE", str(photos))
    assert expand("~/b.png")[0][0].path == photos / "b.png"


def test_a_list_may_mix_everything_and_name_a_file_twice(photos: Path) -> None:
    array = scene()
    listed = [str(photos / "b.png"), array, [photos / "b.png", f"{photos}/img1*.jpg"], (array[..., 0],)]
    items, errors, notices = expand(listed)
    assert [i.name for i in items] == ["b.png", "000001.jpg", "b.png", "img10.jpg", "000004.jpg"]
    assert not errors
    assert not notices
    assert items[1].array is array
    assert items[1].source == "array"


def test_one_bad_name_does_not_lose_the_others(photos: Path) -> None:
    items, errors, _ = expand([photos / "b.png", photos / "img1.jpg", photos / "img2.jpg"])
    assert [i.name for i in items] == ["b.png", "img2.jpg"]
    assert len(errors) == 1


def test_a_missing_file_is_named_with_the_nearest_one(photos: Path) -> None:
    message = only_error(photos / "img02.jpg")
    assert str(photos / "img02.jpg") in message
    assert "does not exist" in message
    assert "Did you mean 'img2.jpg'?" in message


def test_a_missing_folder_is_said_to_be_missing(tmp_path: Path) -> None:
    assert f"nor does its folder '{tmp_path / 'no'}'" in only_error(tmp_path / "no" / "a.jpg")


def test_a_path_below_a_file_is_missing(photos: Path) -> None:
    assert "does not exist" in only_error(photos / "b.png" / "c.jpg")


def test_a_pattern_without_a_match(photos: Path) -> None:
    assert f"'{photos}/*.bmp' matches no file" in only_error(f"{photos}/*.bmp")
    assert "matches no file" in only_error(f"{photos}/[z-a].jpg")


def test_a_pattern_that_matches_only_other_files(photos: Path) -> None:
    (photos / "notes.txt").write_text("words")
    assert "no image or video, only notes.txt" in only_error(f"{photos}/*.txt")


def test_an_empty_folder(tmp_path: Path) -> None:
    assert only_error(tmp_path) == f"the folder '{tmp_path}' is empty; give a folder of images or videos"


def test_a_folder_without_images_shows_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("words")
    assert "holds no image or video, only notes.txt" in only_error(tmp_path)


def test_a_folder_of_folders_tells_how_to_search_deeper(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    message = only_error(tmp_path)
    assert "only 2 folders" in message
    assert f"'{tmp_path / '**' / '*.jpg'}'" in message


def test_other_files_in_a_folder_are_a_notice_and_no_failure(photos: Path) -> None:
    (photos / "notes.txt").write_text("words")
    items, errors, notices = expand(photos)
    assert len(items) == 4
    assert errors == []
    assert notices == [f"skipped files that are not images or videos in '{photos}': notes.txt"]


def test_many_other_files_are_one_short_notice(photos: Path) -> None:
    for number in range(12):
        (photos / f"{number}.json").write_text("[]")
    _, _, notices = expand([photos])
    assert len(notices) == 1
    assert notices[0].endswith("0.json, 1.json, 2.json, 3.json, 4.json and 7 more")


def test_videos_are_inputs_too(photos: Path) -> None:
    (photos / "clip.MP4").write_bytes(b"\0\0\0\x18ftypmp42")
    items, errors, notices = expand(photos)
    assert [item.name for item in items if item.is_video] == ["clip.MP4"]
    assert len(items) == 5
    assert errors == notices == []
    with pytest.raises(InputError, match="is not an image"):
        read(next(item for item in items if item.is_video))


@pytest.mark.parametrize(
    ("named", "name", "is_video"),
    [
        ("webcam", "webcam.mp4", True),
        ("webcam:1", "webcam_1.mp4", True),
        ("/dev/video7", "webcam_7.mp4", True),
        ("https://example.org/a/b%20c.mp4?key=1", "b c.mp4", True),
        ("https://example.org/a.jpg", "a.jpg", False),
        ("rtsp://user:secret@example.org/stream", "stream", True),
        ("http://127.0.0.1:8080/", "127_0_0_1", True),
    ],
)
def test_cameras_and_addresses_are_listed_without_opening_them(named: str, name: str, is_video: bool) -> None:
    (found,), errors, notices = expand(named)
    assert (found.name, found.is_video, found.address) == (name, is_video, named)
    assert errors == notices == []


def test_a_file_whose_name_tells_nothing_is_told_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "still").write_bytes(encoded(".png"))
    with VideoWriter(tmp_path / "clip.mp4") as video:
        for _ in range(3):
            video.write(scene())
    (tmp_path / "clip.mp4").rename(tmp_path / "film")
    (still, video), _, _ = expand([tmp_path / "still", tmp_path / "film"])
    assert not still.is_video
    assert video.is_video
    with open_video(video) as source:
        assert len(list(source)) == 3


def test_an_address_of_a_file_is_its_path(tmp_path: Path) -> None:
    (tmp_path / "a b.png").write_bytes(encoded(".png"))
    (found,), _, _ = expand((tmp_path / "a b.png").as_uri())
    assert read(found).image.shape == (40, 60, 3)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A web server that has one image."""
    (tmp_path / "a.png").write_bytes(encoded(".png"))
    handler = functools.partial(QuietHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(5)


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_an_image_on_a_web_server(web: str) -> None:
    (found,), _, _ = expand(f"{web}/a.png")
    np.testing.assert_array_equal(read(found).image, scene())


def test_an_image_that_a_web_server_does_not_have(web: str) -> None:
    (found,), _, _ = expand(f"{web}/b.png")
    with pytest.raises(InputError, match="answers 404"):
        read(found)


def test_an_image_behind_a_login(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(".png"))
    with servers.web_server(tmp_path) as server:
        server.login = "somebody:secret"
        address = f"{server.address}/private/a.png"
        (refused,), _, _ = expand(address)
        with pytest.raises(InputError, match="answers 401"):
            read(refused)
        (found,), _, _ = expand(address.replace("://", "://somebody:secret@"))
        np.testing.assert_array_equal(read(found).image, scene())
        assert "***@" in found.source


def test_an_address_that_is_none() -> None:
    assert "is not a valid URL" in only_error("http://[::1/x.mp4")


def test_an_image_from_a_server_that_is_not_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (found,), _, _ = expand(f"http://127.0.0.1:{port}/a.png")
    with pytest.raises(InputError, match="check the URL") as caught:
        read(found)
    assert one_sentence(str(caught.value))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("a\0b.jpg", "is not a path"),
        ("x" * 5000, "file name too long"),
        ([], "the list of inputs is empty"),
        (-7, "type int"),
        (None, "type NoneType"),
        (b"a.jpg", "type bytes"),
    ],
)
def test_what_cannot_be_an_input_gets_one_sentence(given: object, said: str) -> None:
    message = only_error(given)
    assert said in message
    assert one_sentence(message)


def test_listing_reads_nothing(photos: Path) -> None:
    """A folder is listed by names; what is broken or gone shows when its turn comes, and only then."""
    (photos / "b.png").write_bytes(b"")
    items, errors, _ = expand(photos)
    assert not errors
    (photos / "img2.jpg").unlink()
    empty, first, gone, last = items
    with pytest.raises(InputError, match="is empty"):
        read(empty)
    assert read(first).image.shape == (40, 60, 3)
    with pytest.raises(InputError, match="does not exist"):
        read(gone)
    assert read(last).image.shape == (40, 60, 3)


def test_a_link_to_nowhere_in_a_folder_is_missed_when_read(tmp_path: Path) -> None:
    try:
        (tmp_path / "a.jpg").symlink_to(tmp_path / "gone.jpg")
    except OSError as error:
        pytest.skip(f"no links here: {error}")
    (found,), _, _ = expand(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        read(found)


# -- images that can be read ---------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".jpg", ".png", ".bmp", ".tif", ".webp", ".gif", ".jp2", ".avif", ".ppm"])
def test_pixels_are_those_of_imread(tmp_path: Path, ending: str, capfd: pytest.CaptureFixture[str]) -> None:
    if not cv2.haveImageWriter(f"a{ending}"):
        pytest.skip(f"this OpenCV writes no {ending}")
    path = tmp_path / f"a{ending}"
    frame = read(item(path, encoded(ending)))
    assert isinstance(frame, Frame)
    assert (frame.source, frame.index, frame.timestamp) == (str(path), 0, 0.0)
    np.testing.assert_array_equal(frame.image, cv2.imread(str(path)))
    assert np.abs(frame.image.astype(int) - scene()).mean() < 20  # a GIF has few colours
    assert capfd.readouterr().err == ""


def test_real_photos_have_the_pixels_of_imread() -> None:
    shipped = pytest.importorskip("skimage.data", reason="needs scikit-image: pip install -e .[test]")
    photos = [photo for ending in ("jpg", "png") for photo in Path(shipped.__file__).parent.glob(f"*.{ending}")]
    assert len(photos) > 10
    photos += [*SHARED.glob("parity/e2e/*/*.jpg"), *sorted(SHARED.glob("data/faces68/youtube_test/*.jpg"))[:3]]
    for photo in photos:
        np.testing.assert_array_equal(read(item(photo)).image, cv2.imread(str(photo)))


@pytest.mark.parametrize("ending", [".jpg", ".png", ".bmp"])
def test_an_image_of_one_pixel(tmp_path: Path, ending: str) -> None:
    frame = read(item(tmp_path / f"a{ending}", encoded(ending, np.full((1, 1, 3), 200, np.uint8))))
    assert frame.image.tolist() == [[[200, 200, 200]]]


@pytest.mark.parametrize("name", ["人 脸.jpg", "é à.jpg", "a b  c.jpg", "100%.jpg", "photo", "photo.data", "a.png"])
def test_the_name_does_not_matter(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(encoded(".jpg"))
    (found,), _, _ = expand(str(tmp_path / name))
    np.testing.assert_array_equal(read(found).image, decode_image(encoded(".jpg"), "same"))


def test_a_name_that_is_no_unicode(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff\xfe.jpg")
    try:
        path.write_bytes(encoded(".jpg"))
    except OSError as error:
        pytest.skip(f"this file system refuses such names: {error}")
    (found,), _, _ = expand(tmp_path)
    assert read(found).image.shape == (40, 60, 3)


@pytest.mark.parametrize("ending", [".jpg", ".png", ".tif", ".bmp"])
def test_grey_becomes_three_equal_channels(tmp_path: Path, ending: str) -> None:
    image = read(item(tmp_path / f"a{ending}", encoded(ending, scene()[..., 0]))).image
    assert image.shape == (40, 60, 3)
    assert (image == image[..., :1]).all()
    assert np.abs(image[..., 0].astype(int) - scene()[..., 0]).max() < 12


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_sixteen_bits_are_scaled_to_eight(tmp_path: Path, ending: str) -> None:
    deep = np.array([[[0, 255, 256], [32767, 32768, 65280], [65535, 10000, 40000]]], np.uint16)
    path = tmp_path / f"a{ending}"
    image = read(item(path, encoded(ending, deep))).image
    assert np.abs(image - deep / 257).max() <= 1  # libpng cuts the lower bits off, libtiff rounds
    np.testing.assert_array_equal(image, cv2.imread(str(path)))


def test_alpha_is_dropped_and_the_colours_stay(tmp_path: Path) -> None:
    rgba = png(2, 1, 8, 6, b"\0" + bytes([100, 50, 25, 0, 200, 1, 2, 128]))
    assert read(item(tmp_path / "rgba.png", rgba)).image.tolist() == [[[25, 50, 100], [2, 1, 200]]]
    grey = png(2, 1, 8, 4, b"\0" + bytes([100, 0, 200, 128]))
    assert read(item(tmp_path / "ga.png", grey)).image.tolist() == [[[100] * 3, [200] * 3]]


def test_palettes_and_single_bits(tmp_path: Path) -> None:
    palette = (b"PLTE", bytes([10, 20, 30, 200, 100, 50]))
    expected = [[[30, 20, 10], [50, 100, 200]]]
    assert read(item(tmp_path / "p.png", png(2, 1, 8, 3, b"\0\0\1", palette))).image.tolist() == expected
    clear = png(2, 1, 8, 3, b"\0\0\1", palette, (b"tRNS", b"\0\x80"))
    assert read(item(tmp_path / "t.png", clear)).image.tolist() == expected
    bits = png(8, 1, 1, 0, b"\0\xa0")
    assert read(item(tmp_path / "b.png", bits)).image[0, :, 0].tolist() == [255, 0, 255, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("ink", "bgr"),
    [
        ((255, 255, 255, 255), (255, 255, 255)),
        ((255, 0, 0, 255), (0, 0, 255)),
        ((0, 255, 0, 255), (0, 255, 0)),
        ((255, 255, 255, 0), (0, 0, 0)),
    ],
)
def test_a_jpeg_for_print(tmp_path: Path, ink: tuple[int, int, int, int], bgr: tuple[int, int, int]) -> None:
    image = read(item(tmp_path / "cmyk.jpg", cmyk_jpeg(ink))).image
    assert image.shape == (8, 8, 3)
    assert np.abs(image.astype(int) - bgr).max() <= 3


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_camera_gives_an_upright_image(tmp_path: Path, orientation: int, order: str) -> None:
    jpeg = encoded(".jpg")
    stored = decode_image(jpeg, "stored")
    upright = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.transpose(1, 0, 2),
        6: np.rot90(stored, -1),
        7: np.rot90(stored.transpose(1, 0, 2), 2),
        8: np.rot90(stored, 1),
    }[orientation]
    frame = read(item(tmp_path / "phone.jpg", with_exif(jpeg, orientation, order)))
    np.testing.assert_array_equal(frame.image, upright)


@pytest.mark.parametrize("orientation", [0, 9, 60000])
def test_an_orientation_that_does_not_exist_turns_nothing(tmp_path: Path, orientation: int) -> None:
    frame = read(item(tmp_path / "odd.jpg", with_exif(encoded(".jpg"), orientation)))
    np.testing.assert_array_equal(frame.image, decode_image(encoded(".jpg"), "stored"))


def test_of_an_animation_or_several_pages_none_is_taken_silently(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds several images"):
        read(item(tmp_path / "a.gif", gif((250, 10, 20), (0, 0, 255))))
    path = tmp_path / "pages.tiff"
    assert cv2.imwritemulti(str(path), [scene(), 255 - scene()])
    with pytest.raises(InputError, match="holds 2 images"):
        read(item(path))


def test_harmless_flaws_are_read_in_silence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A useless colour profile and bytes behind the end: libpng and libjpeg would print a warning each."""
    profile = (b"iCCP", b"x\0\0" + zlib.compress(b"junk"))
    assert read(item(tmp_path / "a.png", png(1, 1, 8, 2, b"\0\1\2\3", profile))).image.tolist() == [[[3, 2, 1]]]
    jpeg = encoded(".jpg")
    flawed = jpeg[:-2] + b"\x55" * 40 + jpeg[-2:] + b"tail"
    np.testing.assert_array_equal(read(item(tmp_path / "a.jpg", flawed)).image, decode_image(jpeg, "clean"))
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(not messages.is_glibc(), reason="what libraries print is caught with glibc alone")
def test_messages_of_other_threads_are_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    libc = ctypes.CDLL(None)
    with messages.caught() as printed:
        os.write(2, b"a log\n")  # as Python prints: it is not ours at all
        libc.dprintf(2, b"another\n")
        stderr = ctypes.c_void_p.in_dll(libc, "stderr")
        libc.fprintf(stderr, b"saved a.jpg\nlibpng warning: odd\n50 %%\r")
    assert b"libpng warning: odd" in printed
    assert capfd.readouterr().err == "a log\nanother\nsaved a.jpg\n50 %\r"


def test_several_threads_may_read_at_once(tmp_path: Path) -> None:
    good = item(tmp_path / "good.jpg", encoded(".jpg"))
    bad = item(tmp_path / "bad.jpg", encoded(".jpg")[:-400] + b"\xff\xd9")
    outcomes: list[bool] = []

    def work(which: Input, readable: bool) -> None:
        for _ in range(20):
            try:
                outcomes.append((read(which).image is not None) == readable)
            except InputError:
                outcomes.append(not readable)

    threads = [threading.Thread(target=work, args=pair) for pair in ((good, True), (bad, False)) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 80
    assert all(outcomes)


# -- images that cannot be read ------------------------------------------------------------------


def refused(which: Input, capfd: pytest.CaptureFixture[str] | None = None) -> str:
    with pytest.raises(InputError) as caught:
        read(which)
    message = str(caught.value)
    assert one_sentence(message)
    assert which.source in message or which.name in message
    if capfd is not None:
        assert capfd.readouterr() == ("", "")
    return message


@pytest.mark.parametrize("ending", [".jpg", ".png", ".bmp", ".webp", ".tif"])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.5, 0.9, 0.99])
def test_an_image_cut_short(tmp_path: Path, ending: str, kept: float, capfd: pytest.CaptureFixture[str]) -> None:
    data = encoded(ending)
    message = refused(item(tmp_path / f"a{ending}", data[: int(len(data) * kept)]), capfd)
    assert "cut short" in message or "not an image in a known format" in message


def test_a_jpeg_cut_short_behind_its_thumbnail(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The thumbnail has an end marker of its own, which is not the end of the image."""
    whole = with_exif(encoded(".jpg"), 1, extra=encoded(".jpg", scene(8, 8)))
    assert read(item(tmp_path / "whole.jpg", whole)).image.shape == (40, 60, 3)
    assert "cut short" in refused(item(tmp_path / "cut.jpg", whole[:-300]), capfd)


def test_a_jpeg_without_its_middle(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    jpeg = encoded(".jpg")
    assert "cut short" in refused(item(tmp_path / "nomiddle.jpg", jpeg[:-400] + b"\xff\xd9"), capfd)
    assert "cut short" in refused(item(tmp_path / "nothing.jpg", b"\xff\xd8\xff\xd9"), capfd)


def test_the_end_of_a_jpeg_is_looked_for_whatever_opencv_does() -> None:
    """Some releases of OpenCV fill the missing part with what an earlier image left in memory."""
    jpeg = encoded(".jpg")
    for data, complete in ((jpeg, True), (jpeg[:-2], False)):
        header = images.headers.header_of("JPEG", data)
        assert header is not None
        assert (header.width, header.height) == (60, 40)
        assert header.complete == complete
    assert images.headers.header_of("JPEG", jpeg[:100]) is None


def test_a_progressive_jpeg_is_read_and_its_cut_is_seen(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done, data = cv2.imencode(".jpg", scene(), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    assert done
    jpeg = data.tobytes()
    assert read(item(tmp_path / "whole.jpg", jpeg)).image.shape == (40, 60, 3)
    assert "cut short" in refused(item(tmp_path / "cut.jpg", jpeg[: len(jpeg) // 2]), capfd)


def test_a_png_with_a_flipped_bit(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(encoded(".png"))
    data[len(data) // 2] ^= 0x55
    assert "damaged" in refused(item(tmp_path / "a.png", bytes(data)), capfd)


def test_other_damage(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "damaged" in refused(item(tmp_path / "strip.tif", tiff(10, 10, bytes(50))), capfd)
    assert "damaged" in refused(item(tmp_path / "nosize.png", png(0, 0, 8, 2, b"")), capfd)
    assert "damaged" in refused(item(tmp_path / "half.gif", gif((1, 2, 3))[:20]), capfd)
    hierarchical = encoded(".jpg").replace(b"\xff\xc0", b"\xff\xc5", 1)  # a kind that no decoder took up
    assert "a kind of JPEG that OpenCV" in refused(item(tmp_path / "odd.jpg", hierarchical), capfd)


def test_a_text_called_jpg(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "not an image in a known format" in refused(item(tmp_path / "a.jpg", b"dear diary\n" * 50), capfd)


def test_an_empty_file(tmp_path: Path) -> None:
    assert "is empty (0 bytes)" in refused(item(tmp_path / "a.jpg", b""))


def test_a_phone_image_in_heic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "IMG_0001.HEIC"
    path.write_bytes(b"\0\0\0\x24ftypheic" + bytes(100))
    (found,), errors, notices = expand(tmp_path)
    assert not errors
    assert not notices
    assert "convert it to JPEG or PNG" in refused(found)


def jpeg_of_size(width: int, height: int) -> bytes:
    jpeg = bytearray(encoded(".jpg"))
    struct.pack_into(">HH", jpeg, jpeg.index(b"\xff\xc0") + 5, height, width)
    return bytes(jpeg)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.png", png(100000, 100000, 8, 2, bytes(100))),
        ("b.png", png(30000, 30000, 8, 2, bytes(100))),
        ("a.gif", gif((1, 2, 3)).replace(struct.pack("<HH", 1, 1), struct.pack("<HH", 65535, 65535), 1)),
        ("a.jpg", jpeg_of_size(65500, 65500)),
        ("a.tif", tiff(40000, 30000, bytes(100))),
    ],
)
def test_a_file_that_promises_an_absurd_image(
    tmp_path: Path, name: str, data: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "too large" in refused(item(tmp_path / name, data), capfd)


def test_a_missing_file_or_a_folder_as_an_item(tmp_path: Path) -> None:
    assert "does not exist" in refused(item(tmp_path / "gone.jpg"))
    assert "does not exist" in refused(item(item(tmp_path / "file", b"x").path / "a.jpg"))
    (tmp_path / "folder.jpg").mkdir()
    assert "is a folder" in refused(item(tmp_path / "folder.jpg"))


def test_an_item_of_nothing() -> None:
    with pytest.raises(InputError, match="is not an image"):
        read(Input("a.jpg"))


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs /dev/zero")
def test_a_device_without_end_is_not_read() -> None:
    assert "is a device" in refused(Input("zero", Path("/dev/zero")))


@pytest.mark.skipif(not hasattr(os, "truncate"), reason="needs sparse files")
def test_a_file_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.touch()
    os.truncate(path, sources.MAX_BYTES + 1)
    assert "too large for an image" in refused(item(path))


def test_a_file_or_folder_that_may_not_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    path = folder / "a.jpg"
    path.write_bytes(encoded(".jpg"))
    path.chmod(0)
    try:
        if os.access(path, os.R_OK):
            pytest.skip("permissions do not bind root: run it as another user")
        assert "permission denied" in refused(item(path))
        folder.chmod(0)
        assert "permission denied" in only_error(folder)
        assert "permission denied" in only_error(path)
    finally:
        folder.chmod(0o700)


def test_permission_denied_reads_as_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for users whom permissions do not bind: the system call is made to refuse."""
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(".jpg"))

    def deny(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "listdir", deny)
    assert f"'{tmp_path}' cannot be read: permission denied" in only_error(tmp_path)
    monkeypatch.setattr(Path, "open", deny)
    assert f"'{path}' cannot be read: permission denied" in refused(item(path))


# -- arrays ----------------------------------------------------------------------------------------


def test_an_array_is_taken_as_it_is() -> None:
    array = scene()
    (found,), _, _ = expand(array)
    frame = read(found)
    assert frame.image is array or np.shares_memory(frame.image, array)
    assert (found.name, frame.source) == ("000000.jpg", "array")


def test_a_grey_array_and_a_view_become_plain_images() -> None:
    grey = scene()[..., 1]
    np.testing.assert_array_equal(read(expand(grey)[0][0]).image, np.repeat(grey[..., None], 3, axis=2))
    mirrored = read(expand(scene()[:, ::-1])[0][0]).image
    assert mirrored.flags.c_contiguous
    np.testing.assert_array_equal(mirrored, scene()[:, ::-1])


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((40, 60, 2), np.uint8),
        np.zeros((40, 60, 5), np.uint8),
        np.zeros((2, 40, 60, 3), np.uint8),
        np.zeros((3, 40, 60), np.uint8),
        np.zeros((0, 60, 3), np.uint8),
        np.zeros(60, np.uint8),
        np.array("a.jpg"),
    ],
)
def test_an_array_of_another_shape_is_named(array: np.ndarray) -> None:
    assert str(list(array.shape)) in refused(Input("000003.jpg", array=array))


def test_an_array_of_another_type_or_range_is_named() -> None:
    assert "int32" in refused(Input("000003.jpg", array=scene().astype(np.int32)))
    assert "0 to 1" in refused(Input("000003.jpg", array=scene().astype(np.float32)))
