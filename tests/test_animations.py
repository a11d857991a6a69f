"""Files with several images: never silently the first one."""

from __future__ import annotations

import io
import shutil
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from limner import sources
from limner.errors import ArgumentError, InputError
from limner.sources import expand, open_video, read, read_one
from limner.video.animations import animation_of
from limner.video.options import VideoOptions
from limner.video.reader import VideoSource
from limner.video.sequences import on_white
from limner.video.writer import VideoWriter
from servers import number_in, numbered

DELAYS = [100, 200, 40, 100, 300, 100]  # milliseconds
TIMES = [0, 0.1, 0.3, 0.34, 0.44, 0.74]
KINDS = {".gif": "GIF", ".webp": "WebP", ".png": "PNG", ".avif": "AVIF"}


def animated(path: Path, *, transparent: bool = False, delays: list[int] = DELAYS) -> Path:
    """Write an animation of numbered images by OpenCV; where it is transparent, an area at the left is."""
    if not hasattr(cv2, "imwriteanimation"):
        pytest.skip("this OpenCV writes no animations")
    animation = cv2.Animation()
    images = [cv2.cvtColor(numbered(i), cv2.COLOR_BGR2BGRA) for i in range(len(delays))]
    for image in images if transparent else []:
        image[20:40, :30] = 0
    animation.frames, animation.durations = images, np.array(delays)
    options = [cv2.IMWRITE_WEBP_QUALITY, 101] if path.suffix == ".webp" else []
    try:
        if not cv2.imwriteanimation(str(path), animation, options):
            pytest.skip(f"this OpenCV writes no {path.suffix}")
    except cv2.error:
        pytest.skip(f"this OpenCV writes no {path.suffix}")
    return path


def still(path: Path) -> Path:
    assert cv2.imwrite(str(path), numbered(3))
    return path


def named(path: Path | str) -> sources.Input:
    (item,), errors, _ = expand(path)
    assert errors == []
    return item


@pytest.mark.parametrize("ending", KINDS)
def test_an_animation_is_a_video_whose_images_have_their_own_times(tmp_path: Path, ending: str) -> None:
    item = named(animated(tmp_path / f"walk{ending}"))
    assert item.is_video
    with open_video(item) as video:
        frames = list(video)
        assert not video.live
        assert (video.size, video.count) == ((320, 240), 6)
    assert [number_in(frame.image) for frame in frames] == [frame.index for frame in frames] == [0, 1, 2, 3, 4, 5]
    assert [frame.timestamp for frame in frames] == pytest.approx(TIMES, abs=1e-3)
    assert {frame.source for frame in frames} == {str(item.path)}


@pytest.mark.parametrize("ending", KINDS)
def test_one_image_stays_an_image_with_its_pixels(tmp_path: Path, ending: str) -> None:
    try:
        path = still(tmp_path / f"one{ending}")
    except (cv2.error, AssertionError):
        pytest.skip(f"this OpenCV writes no {ending}")
    item = named(path)
    assert not item.is_video
    np.testing.assert_array_equal(read(item).image, cv2.imread(str(path)))


@pytest.mark.parametrize("ending", KINDS)
def test_a_part_of_an_animation(tmp_path: Path, ending: str) -> None:
    item = named(animated(tmp_path / f"walk{ending}"))
    with open_video(item, VideoOptions(start=0.1, end=0.7, every=2, rotate=180)) as video:
        frames = list(video)
    assert [frame.index for frame in frames] == [1, 3]
    assert [number_in(frame.image[::-1, ::-1]) for frame in frames] == [1, 3]


@pytest.mark.parametrize("ending", [".gif", ".webp", ".png"])
def test_what_is_transparent_becomes_white(tmp_path: Path, ending: str) -> None:
    with open_video(named(animated(tmp_path / f"walk{ending}", transparent=True))) as video:
        for frame in video:
            assert frame.image[25:35, 5:25].min() > 250
            assert number_in(frame.image) == frame.index


def test_half_transparent_pixels_are_mixed_with_white() -> None:
    image = np.array([[[0, 0, 0, 0], [0, 0, 200, 255], [0, 100, 0, 128]]], np.uint8)
    assert on_white(image).tolist() == [[[255, 255, 255], [0, 0, 200], [127, 177, 127]]]
    assert on_white(image[..., :3]) is not None
    np.testing.assert_array_equal(on_white(image[..., :3]), image[..., :3])


@pytest.mark.parametrize(("kind", "lie"), [(".gif", ".png"), (".webp", ".jpg"), (".png", ".gif"), (".gif", ".mp4")])
def test_endings_that_lie(tmp_path: Path, kind: str, lie: str) -> None:
    path = tmp_path / f"lie{lie}"
    shutil.move(animated(tmp_path / f"walk{kind}"), path)
    item = named(path)
    assert item.is_video
    with open_video(item) as video:
        assert len(list(video)) == 6
    if lie != ".mp4":
        still(tmp_path / "a.jpg")
        items, _, _ = expand(tmp_path)
        assert [i.is_video for i in items] == [False, lie != ".jpg"], "in a folder no .jpg is opened to be listed"
        if lie == ".jpg":
            with pytest.raises(InputError, match=r"holds 6 images \(WebP\)"):
                read(items[1])


def test_a_film_under_the_name_of_an_image_is_a_film(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "clip.mp4", 25) as sink:
        for i in range(3):
            sink.write(numbered(i))
    (tmp_path / "clip.mp4").rename(tmp_path / "funny.gif")
    item = named(tmp_path / "funny.gif")
    with open_video(item) as video:
        assert len(list(video)) == 3


def test_pages_are_frames(tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    assert cv2.imwritemulti(str(path), [numbered(i) for i in range(40)])
    item = named(path)
    with open_video(item) as video:
        assert (video.count, video.fps) == (40, 1)
        frames = list(video)
    assert [number_in(frame.image) for frame in frames] == list(range(40))
    assert [frame.timestamp for frame in frames] == list(range(40))
    with open_video(item, VideoOptions(fps=10, every=7)) as video:
        assert [(f.index, number_in(f.image), f.timestamp) for f in video] == [(i, i, i / 10) for i in range(0, 40, 7)]


def tiff(pages: list[int], order: str = "<", big: bool = False) -> bytes:
    """A TIFF of 1 x 1 pixels; each page has a kind: 0, 1 a thumbnail, 4 a mask."""
    count, entry, pointer = ("Q", "HHQI4x", "Q") if big else ("H", "HHII", "I")
    data = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "H", 43 if big else 42)
    data += struct.pack(order + "HHQ", 8, 0, 16) if big else struct.pack(order + "I", 8)
    for number, kind in enumerate(pages):
        tags = [(254, 4, 1, kind), (256, 4, 1, 1), (257, 4, 1, 1)]
        body = struct.pack(order + count, len(tags))
        body += b"".join(struct.pack(order + entry, *tag) for tag in tags)
        following = len(data) + len(body) + struct.calcsize(order + pointer)
        data += body + struct.pack(order + pointer, following if number + 1 < len(pages) else 0)
    return data


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_thumbnails_and_masks_are_no_pages(order: str, big: bool) -> None:
    found = animation_of(io.BytesIO(tiff([0, 1, 0, 4, 0], order, big)))
    assert found is not None
    assert found.pages == (0, 2, 4)
    assert animation_of(io.BytesIO(tiff([0, 1, 4], order, big))) is None


def test_headers_that_are_broken_or_hostile_are_no_animations(tmp_path: Path) -> None:
    circle = bytearray(tiff([0, 0]))
    circle[-4:] = struct.pack("<I", 8)
    assert animation_of(io.BytesIO(bytes(circle))).pages == (0, 1)  # type: ignore[union-attr]
    for ending in (".gif", ".webp", ".png"):
        whole = animated(tmp_path / f"a{ending}").read_bytes()
        rng = np.random.default_rng(0)
        for size in (*range(64), *rng.integers(64, len(whole), 40).tolist()):
            animation_of(io.BytesIO(whole[:size]))
        for _ in range(200):
            broken = bytearray(whole)
            for place in rng.integers(0, len(whole), 20):
                broken[place] = rng.integers(256)
            animation_of(io.BytesIO(bytes(broken)))


def test_an_animated_png_of_one_image_is_an_image(tmp_path: Path) -> None:
    data = still(tmp_path / "one.png").read_bytes()
    place = data.index(b"IDAT") - 4
    body = b"acTL" + struct.pack(">II", 1, 0)
    chunk = struct.pack(">I", 8) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "one.png").write_bytes(data[:place] + chunk + data[place:])
    assert not named(tmp_path / "one.png").is_video


@pytest.mark.parametrize("damage", ["cut", "noise"])
@pytest.mark.parametrize("ending", KINDS)
def test_damaged_animations_are_sentences(
    tmp_path: Path, ending: str, damage: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = animated(tmp_path / f"walk{ending}")
    data = bytearray(path.read_bytes())
    if damage == "cut":
        del data[len(data) * 2 // 3 :]
    else:
        data[len(data) // 2 : len(data) // 2 + 400] = np.random.default_rng(0).bytes(400)
    path.write_bytes(data)
    item = named(path)
    capfd.readouterr()
    with suppress(InputError):
        if item.is_video:
            with open_video(item) as video:
                list(video)
        else:
            read(item)
    assert capfd.readouterr() == ("", ""), "libraries print nothing"


def test_where_one_image_is_needed_several_are_an_error(tmp_path: Path) -> None:
    path = animated(tmp_path / "walk.gif")
    for image in (path.read_bytes(), io.BytesIO(path.read_bytes())):
        with pytest.raises(InputError, match="holds several images"):
            read_one(image)
    with pytest.raises(ArgumentError, match="watch"):
        read_one(path)


def test_a_rate_is_no_use_for_an_animation(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="its own times"):
        open_video(named(animated(tmp_path / "walk.gif")), VideoOptions(fps=3))


def test_delays_that_browsers_do_not_follow(tmp_path: Path) -> None:
    with open_video(named(animated(tmp_path / "fast.webp", delays=[0, 10, 20, 50]))) as video:
        assert [frame.timestamp for frame in video] == pytest.approx([0, 0.1, 0.2, 0.22])


# -- GIFs that are written


def copied(source: Path, target: Path, options: VideoOptions = VideoOptions()) -> Path:  # noqa: B008
    with open_video(named(source), options) as video, VideoWriter(target, video.fps) as sink:
        for frame in video:
            sink.write(frame.image, frame.timestamp, frame.duration)
    return target


def shown_until(path: Path) -> float:
    """Return the time at which the last image of a video ends, in seconds."""
    with av.open(str(path)) as container:
        assert container.duration is not None
        return container.duration / 1e6


@pytest.mark.parametrize("ending", KINDS)
def test_the_last_image_is_shown_for_its_own_time(tmp_path: Path, ending: str) -> None:
    source = animated(tmp_path / f"a{ending}", delays=[100, 40, 3000])
    assert [delay for delay, _ in gif_delays(copied(source, tmp_path / "o.gif"))] == [100, 40, 3000]
    for name in ("o.mp4", "o.mkv", "o.webm"):
        assert shown_until(copied(source, tmp_path / name)) == pytest.approx(3.14, abs=0.002)
    assert shown_until(copied(source, tmp_path / "p.mp4", VideoOptions(end=2))) == pytest.approx(2, abs=0.002)
    assert shown_until(copied(source, tmp_path / "p.mp4", VideoOptions(every=2))) == pytest.approx(3.14, abs=0.002)
    with open_video(named(source), VideoOptions(every=2)) as video:
        assert [frame.duration for frame in video] == pytest.approx([0.14, 3])


def gif_delays(path: Path) -> list[tuple[int, int]]:
    """Return (milliseconds, number) of the images of a GIF."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.pts is not None]
        return [(10 * (packet.duration or 0), i) for i, packet in enumerate(packets)]


def gif_facts(path: Path) -> list[tuple[float, np.ndarray]]:
    with VideoSource(path) as video:
        return [(frame.timestamp, frame.image) for frame in video]


@pytest.mark.parametrize("rate", [10, 24, 30, 50])
def test_a_gif_keeps_time_and_looks_like_the_images(tmp_path: Path, rate: int, portrait: np.ndarray) -> None:
    images = [np.roll(cv2.resize(portrait, (161, 121)), 3 * i, 1) for i in range(2 * rate)]
    with VideoWriter(tmp_path / "a.gif", rate) as sink:
        for image in images:
            sink.write(image)
    found = gif_facts(tmp_path / "a.gif")
    assert [time for time, _ in found] == pytest.approx([i / rate for i in range(2 * rate)], abs=0.0051)
    for (_, shown), image in zip(found, images, strict=True):
        assert shown.shape == image.shape, "no side grows"
        assert np.abs(cv2.blur(shown, (5, 5)).astype(int) - cv2.blur(image, (5, 5))).mean() < 4
    with av.open(str(tmp_path / "a.gif")) as container:
        assert container.duration / 1e6 == pytest.approx(2.0, abs=0.02)
    assert b"NETSCAPE2.0\x03\x01\0\0" in (tmp_path / "a.gif").read_bytes(), "it is repeated for ever"


def test_a_gif_of_many_frames_a_second_leaves_some_out(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.gif", 60) as sink:
        for i in range(120):
            sink.write(numbered(i))
    found = gif_facts(tmp_path / "a.gif")
    assert len(found) in range(70, 101)
    assert min(np.diff([time for time, _ in found])) >= 0.0199
    assert found[-1][0] == pytest.approx(2.0, abs=0.06)


def test_colours_that_come_later_are_shown(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (120, 160, 1)).astype(np.uint8).repeat(3, 2)
    late = grey.copy()
    late[40:80, 40:80] = (20, 30, 240)
    with VideoWriter(tmp_path / "a.gif", 10) as sink:
        for image in (grey, grey, late, late):
            sink.write(image)
    found = gif_facts(tmp_path / "a.gif")
    assert np.abs(found[3][1][50:70, 50:70].astype(int) - (20, 30, 240)).mean() < 10


def test_what_stands_still_takes_no_space_in_a_gif(tmp_path: Path, portrait: np.ndarray) -> None:
    sizes = []
    for count in (1, 20):
        with VideoWriter(tmp_path / "a.gif", 10) as sink:
            for _ in range(count):
                sink.write(portrait)
        sizes.append((tmp_path / "a.gif").stat().st_size)
    assert sizes[1] < 1.05 * sizes[0]


@pytest.mark.parametrize(("ending", "drawn"), [(".gif", ".gif"), (".webp", ".mp4"), (".png", ".mp4")])
def test_the_command_draws_every_image(tmp_path: Path, portrait: np.ndarray, ending: str, drawn: str) -> None:
    from typer.testing import CliRunner

    from limner.cli import app

    if not hasattr(cv2, "imwriteanimation"):
        pytest.skip("this OpenCV writes no animations")
    animation: Any = cv2.Animation()
    animation.frames = [np.roll(cv2.resize(portrait, (256, 256)), 5 * i, 1) for i in range(5)]
    animation.durations = np.array([80] * 5)
    assert cv2.imwriteanimation(str(tmp_path / f"walk{ending}"), animation)
    result = CliRunner().invoke(app, ["run", str(tmp_path / f"walk{ending}"), "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "5 frames of 1 video" in result.output
    with VideoSource(tmp_path / "out" / f"walk{drawn}") as video:
        times = [frame.timestamp for frame in video]
    assert times == pytest.approx([0, 0.08, 0.16, 0.24, 0.32], abs=0.005)
