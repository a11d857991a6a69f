"""How large the frames of a video may be, and how much of a video or a folder is held at once."""

from __future__ import annotations

import gc
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from limner import sources
from limner.errors import InputError
from limner.jobs.plan import Task
from limner.jobs.runner import read_batches
from limner.sources import Input
from limner.video import limits, samples
from limner.video.common import demux
from limner.video.options import BATCH_PIXELS, VideoOptions
from limner.video.reader import VideoSource
from limner.video.threads import StageThreads


def clip(path: Path, width: int, height: int, frames: int = 3, codec: str = "mpeg4") -> bytes:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        image = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    return path.read_bytes()


def refused(path: Path, max_pixels: int | None = None) -> str:
    with pytest.raises(InputError) as caught, VideoSource(path, max_pixels=max_pixels) as video:
        list(video)
    return str(caught.value)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.ts", "a.mpg", "a.gif", "a.mjpeg"])
def test_frames_beyond_the_limit_are_refused_before_one_is_decoded(name: str, tmp_path: Path) -> None:
    codec = {"gif": "gif", "mjpeg": "mjpeg", "ts": "mpeg2video", "mpg": "mpeg2video"}.get(name[2:], "mpeg4")
    path = tmp_path / name
    if codec == "gif":
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb8"
            for i in range(3):
                image = np.full((48, 64, 3), 90 * i, np.uint8)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="rgb8")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    else:
        clip(path, 64, 48, codec=codec)
    with VideoSource(path, max_pixels=64 * 48) as video:
        assert len(list(video)) == 3
    said = refused(path, 64 * 48 - 1)
    assert "is too large: its frames have 64 x 48 pixels where at most 3071 are read" in said
    assert "--max-pixels 3072" in said
    (item,), _, _ = sources.expand(path)
    with pytest.raises(InputError, match="is too large"):
        sources.open_video(item, VideoOptions(max_pixels=3071))


def test_a_file_that_declares_huge_frames_is_refused(tmp_path: Path) -> None:
    assert 8192 * 4320 < limits.MAX_PIXELS < 8192 * 8192
    gif = b"GIF89a" + struct.pack("<HHBBB", 60_000, 60_000, 0x80, 0, 0) + bytes(6)
    image = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0"
    path = tmp_path / "a.gif"
    path.write_bytes(gif + image + image + b";")
    (item,), _, _ = sources.expand(path)
    assert item.is_video
    with pytest.raises(InputError, match="60000 x 60000 pixels where at most 36000000 are read"):
        sources.open_video(item)


@pytest.mark.parametrize(("codec", "suffix"), [("mjpeg", "mjpeg"), ("mpeg2video", "ts")])
def test_frames_that_become_larger_in_the_middle(codec: str, suffix: str, tmp_path: Path) -> None:
    both = clip(tmp_path / f"a.{suffix}", 64, 48, codec=codec) + clip(tmp_path / f"b.{suffix}", 640, 480, codec=codec)
    path = tmp_path / f"grows.{suffix}"
    path.write_bytes(both)
    assert "640 x 480 pixels where at most 100000 are read" in refused(path, 100_000)
    with VideoSource(path) as video:
        assert {frame.image.shape for frame in video} == {(48, 64, 3), (480, 640, 3)}


def test_pixels_that_are_not_square_count_as_they_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "wide.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = 4
        container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode(None))
    assert "256 x 48 pixels where at most 12000 are read" in refused(path, 12_000)


def test_large_frames_are_decoded_in_fewer_threads() -> None:
    assert limits.threads(1920, 1080, 0) == 0
    assert limits.threads(1920, 1080, 6) == 6
    assert limits.threads(7680, 4320, 0) == 4
    assert limits.threads(7680, 4320, 2) == 2
    assert limits.threads(100_000, 100_000, 0) == 1


@pytest.mark.parametrize(("size", "most"), [(10, 8), (60, 2), (1000, 2)])
def test_a_stage_reads_ahead_by_what_its_items_hold(size: int, most: int) -> None:
    """Beyond the depth of the queue, and beyond 100 bytes in all, no further item is begun."""
    alive, peak, lock = 0, 0, threading.Lock()

    class Item:
        def __init__(self) -> None:
            nonlocal alive, peak
            with lock:
                alive += 1
                peak = max(peak, alive)

        def __del__(self) -> None:
            nonlocal alive
            with lock:
                alive -= 1

    def items() -> Iterator[Item]:
        for _ in range(30):
            yield Item()

    taken = 0
    with StageThreads() as threads:
        stage = threads.prefetch(items(), 5, lambda _: size, 100)
        for item in stage:
            taken += 1
            threading.Event().wait(0.005)
            del item
    assert taken == 30
    assert peak <= most


def test_a_large_image_of_a_folder_is_a_batch_of_its_own(tmp_path: Path) -> None:
    side = int(BATCH_PIXELS**0.5) + 1
    large, small = np.zeros((side, side, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)
    tasks = [
        Task(Input(f"{i}.png", array=array), str(i), False, None, None)
        for i, array in enumerate((small, small, large, small))
    ]
    read: list[int] = []

    def taken() -> Iterator[Task]:
        for i, task in enumerate(tasks):
            read.append(i)
            yield task

    batches = read_batches(taken(), 4)
    assert len(next(batches)) == 2
    assert len(next(batches)) == 1
    assert read == [0, 1, 2]  # the next one is read when it is asked for
    assert len(next(batches)) == 1


def test_frames_that_are_read_leave_nothing_behind(tmp_path: Path) -> None:
    """Also while Python does not look for circles of references, as between two frames of a large video."""
    clip(tmp_path / "a.mp4", 64, 48, 30)

    def alive() -> int:
        # by its type: to ask a lazy object of torch for its class is to call it
        return sum(issubclass(type(found), av.VideoFrame) for found in gc.get_objects())

    gc.collect()
    before = alive()
    gc.disable()
    try:
        with VideoSource(tmp_path / "a.mp4") as video:
            assert len(list(video)) == 30
            assert alive() - before <= 3
    finally:
        gc.enable()


@pytest.mark.parametrize("fragments", [False, True])
def test_an_index_that_declares_more_frames_than_the_file_has_bytes(fragments: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w", options={"movflags": "frag_keyframe+empty_moov"} if fragments else {}) as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode(None))
    data = bytearray(path.read_bytes())
    if fragments:
        struct.pack_into(">II", data, data.index(b"trun") + 4, 1, 1_000_000)
    else:
        struct.pack_into(">II", data, data.index(b"stsz") + 8, 1, 1_000_000)
    samples.check_index(str(path))
    path.write_bytes(data)
    assert "its index declares more frames than its file has bytes" in refused(path)


def test_a_stream_that_begins_on_the_way_does_not_end_the_reading() -> None:
    """PyAV 18.1 raises IndexError at the first packet of a stream that was not there when a file was opened."""

    class Container:
        def __init__(self) -> None:
            self.left = list(range(6))

        def demux(self, streams: object) -> Iterator[int]:
            while self.left:
                packet = self.left.pop(0)
                if packet in (0, 3):
                    raise IndexError("list index out of range")
                yield packet

    assert list(demux(Container(), None)) == [1, 2, 4, 5]
