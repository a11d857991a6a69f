"""Numbers, times, lengths, shapes and colours of videos, against what ffprobe, PyAV, OpenCV and the standards say."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from limner.errors import InputError
from limner.formats.mmpose_json import VideoJsonWriter
from limner.types import Frame
from limner.video.colours import Colours
from limner.video.reader import VideoSource
from limner.video.transport import lengths
from limner.video.writer import VideoWriter
from test_video import make_video, result, scene, with_matrix

FFMPEG, FFPROBE = shutil.which("ffmpeg"), shutil.which("ffprobe")
needs_ffmpeg = pytest.mark.skipif(FFMPEG is None or FFPROBE is None, reason="needs ffmpeg: apt-get install ffmpeg")
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-c:a", "aac")
# name of the file -> how it is made
KINDS = {
    "clip.mp4": H264,
    "clip.mov": H264,
    "fragments.mp4": (*H264, "-movflags", "frag_keyframe+empty_moov+default_base_moof"),
    "clip.3gp": H264,
    "clip.mkv": H264,
    "clip.webm": ("-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libvorbis"),
    "clip.avi": ("-c:v", "mpeg4", "-c:a", "libmp3lame"),
    "clip.ts": H264,
    "clip.m2ts": H264,
    "clip.mpg": ("-c:v", "mpeg2video", "-c:a", "mp2"),
    "clip.flv": H264,
    "clip.ogv": ("-c:v", "libtheora", "-c:a", "libvorbis"),
    "clip.wmv": ("-c:v", "wmv2", "-c:a", "wmav2"),
    "clip.nut": H264,
}
FRAMES, RATE = 50, 25
IMAGES = ("-f", "lavfi", "-i", f"testsrc2=size=96x64:rate={RATE}:duration={FRAMES / RATE}")


def ffmpeg(*arguments: object) -> None:
    subprocess.run([str(FFMPEG), "-y", "-v", "error", *map(str, arguments)], check=True, capture_output=True)


def ffprobe(path: Path) -> dict[str, str]:
    command = [str(FFPROBE), "-v", "error", "-count_frames", "-select_streams", "v", "-show_streams", "-of", "json"]
    return json.loads(subprocess.run([*command, path], capture_output=True, check=True).stdout)["streams"][0]


def read(path: Path) -> tuple[VideoSource, list[Frame], list[str]]:
    said: list[str] = []
    with VideoSource(path, info=said.append) as video:
        return video, list(video), said


# -- length, start, sound --------------------------------------------------------------------------


def made(folder: Path, name: str, case: str) -> Path:
    """A clip of one kind: "plain", of which the clock starts "late", or with "sound" that lasts longer."""
    path = folder / name
    sound = ("-f", "lavfi", "-i", "sine=duration=6") if case == "sound" else ()
    ffmpeg(*IMAGES, *sound, *KINDS[name], path)
    if case == "late":
        ffmpeg("-i", path, "-c", "copy", *KINDS[name][8:], "-output_ts_offset", 60, folder / f"late_{name}")
        return folder / f"late_{name}"
    return path


@needs_ffmpeg
@pytest.mark.parametrize("case", ["plain", "late", "sound"])
@pytest.mark.parametrize("name", KINDS)
def test_every_container_is_counted_and_timed(tmp_path: Path, name: str, case: str) -> None:
    path = made(tmp_path, name, case)
    video, frames, said = read(path)
    probed = ffprobe(path)
    assert len(frames) == int(probed["nb_read_frames"]) == FRAMES
    assert [frame.index for frame in frames] == list(range(FRAMES))
    assert said == []  # nothing is cut short
    assert abs((video.count or 0) - FRAMES) <= 2  # FFmpeg estimates those of .mpg
    assert f"{video.size[0]}x{video.size[1]}" == f"{probed['width']}x{probed['height']}"
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        ticks = [f.dts if name == "clip.avi" else f.pts for f in container.decode(stream)]
        times = [float((tick - ticks[0]) * stream.time_base) for tick in ticks]
    assert [frame.timestamp for frame in frames] == pytest.approx(times, abs=1e-6)
    capture = cv2.VideoCapture(str(path))
    assert sum(1 for _ in iter(lambda: capture.read()[0], False)) == FRAMES


@needs_ffmpeg
def test_fragments_whose_clock_started_long_ago(tmp_path: Path) -> None:
    path = made(tmp_path, "fragments.mp4", "plain")
    data = bytearray(path.read_bytes())
    at = data.find(b"tfdt")
    while at > 0:
        (ticks,) = struct.unpack_from(">Q", data, at + 8)
        struct.pack_into(">Q", data, at + 8, ticks + 50_000 * 12_800)
        at = data.find(b"tfdt", at + 1)
    path.write_bytes(data)
    video, frames, said = read(path)
    assert (len(frames), video.count, said) == (FRAMES, FRAMES, [])
    assert video.duration == pytest.approx(FRAMES / RATE)


@needs_ffmpeg
@pytest.mark.parametrize("name", ["clip.mkv", "clip.flv"])
def test_a_file_that_is_cut_short_is_said_to_be(tmp_path: Path, name: str) -> None:
    path = made(tmp_path, name, "sound")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 5])
    assert "is cut short" in " ".join(read(path)[2])


# -- frames that cannot be decoded -----------------------------------------------------------------


def ids_follow_the_clock(path: Path, rate: int = RATE) -> list[int]:
    """Return the numbers of the frames of a damaged file, which its clock must agree with."""
    _, frames, said = read(path)
    ids = [frame.index for frame in frames]
    assert ids == [round(frame.timestamp * rate) for frame in frames]
    missing = ids[-1] + 1 - len(ids)
    assert missing > 0
    assert f"{missing} broken frame" in " ".join(said)
    return ids


@needs_ffmpeg
@pytest.mark.parametrize("seed", [0, 1, 3])
@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_lost_packets_of_a_transport_stream_leave_gaps(tmp_path: Path, codec: str, seed: int) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=320x240:duration=2.4", "-c:v", codec, "-g", 12, tmp_path / "whole.ts")
    data = (tmp_path / "whole.ts").read_bytes()
    packets = [data[i : i + 188] for i in range(0, len(data), 188)]
    images = [i for i, packet in enumerate(packets) if int.from_bytes(packet[1:3], "big") & 0x1FFF == 256]
    lost = set(np.random.default_rng(seed).choice(images[20:-20], 4, replace=False).tolist())
    (tmp_path / "lost.ts").write_bytes(b"".join(p for i, p in enumerate(packets) if i not in lost))
    ids = ids_follow_the_clock(tmp_path / "lost.ts")
    assert ids[-1] in (58, 59)


@needs_ffmpeg
@pytest.mark.parametrize(
    "name", ["clip.mp4", "clip.mkv", "clip.webm", "clip.flv", "clip.mpg", "clip.mov", "clip.ts", "clip.ogv"]
)
def test_damage_leaves_gaps(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    source = (
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=320x240:rate=25:duration=2.4",
        "-f",
        "lavfi",
        "-i",
        "sine=duration=2.4",
    )
    ffmpeg(*source, *KINDS[name], "-g", 12, path)
    data = bytearray(path.read_bytes())
    for place in (0.4, 0.65):
        start = int(len(data) * place)
        data[start : start + 2500] = np.random.default_rng(0).bytes(2500)
    path.write_bytes(data)
    ids = ids_follow_the_clock(path)
    assert ids[-1] >= 57


def with_broken_start(path: Path) -> Path:
    """Write noise over the first packet of images."""
    with av.open(str(path)) as container:
        packet = next(iter(container.demux(container.streams.video[0])))
        at, size = packet.pos, packet.size
    data = bytearray(path.read_bytes())
    data[at + 20 : at + size - 10] = np.random.default_rng(0).bytes(size - 30)
    path.write_bytes(data)
    return path


@needs_ffmpeg
@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov", "clip.mkv", "clip.flv", "clip.nut"])
def test_frames_are_missing_before_the_first_one_too(tmp_path: Path, name: str) -> None:
    ffmpeg(*IMAGES, *KINDS[name], "-g", 12, tmp_path / name)
    video, frames, said = read(with_broken_start(tmp_path / name))
    assert [frame.index for frame in frames] == list(range(12, FRAMES))
    assert [frame.timestamp for frame in frames] == pytest.approx([i / RATE for i in range(12, FRAMES)], abs=2e-3)
    assert f"12 broken frames left out, {FRAMES - 12} read" in " ".join(said)
    if name != "clip.nut":
        assert (video.count, video.duration) == (FRAMES, pytest.approx(FRAMES / RATE, abs=0.05))


@needs_ffmpeg
@pytest.mark.parametrize("name", ["clip.ts", "clip.mpg"])
def test_a_recording_that_begins_anywhere_begins_with_its_first_key_frame(tmp_path: Path, name: str) -> None:
    ffmpeg(*IMAGES, *KINDS[name], "-g", 12, tmp_path / name)
    data = (tmp_path / name).read_bytes()
    step = 188 if name == "clip.ts" else 2048
    (tmp_path / name).write_bytes(data[len(data) // 4 // step * step :])
    _, frames, said = read(tmp_path / name)
    assert 20 < len(frames) < FRAMES - 8
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert frames[0].timestamp == 0
    assert said == []


@needs_ffmpeg
def test_frames_that_an_edit_list_hides_count_nowhere(tmp_path: Path) -> None:
    ffmpeg(*IMAGES, *H264, "-g", 12, tmp_path / "whole.mp4")
    ffmpeg("-ss", 0.7, "-i", tmp_path / "whole.mp4", "-c", "copy", tmp_path / "cut.mp4")
    video, frames, said = read(tmp_path / "cut.mp4")
    assert len(frames) == video.count == int(ffprobe(tmp_path / "cut.mp4")["nb_read_frames"])
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert said == []


@needs_ffmpeg
@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".ts"])
def test_frames_that_an_encoder_left_out_are_not_missing(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"clip{ending}"
    ffmpeg(*IMAGES, "-vf", "select=not(between(n\\,20\\,29))", "-vsync", "vfr", *H264, path)
    _, frames, said = read(path)
    assert [frame.index for frame in frames] == list(range(40))  # as OpenCV counts
    assert frames[20].timestamp - frames[19].timestamp == pytest.approx(11 / 25, abs=0.002)
    assert said == []


@needs_ffmpeg
@pytest.mark.parametrize("back", [0.4, 2.0, 300.0])
def test_joined_parts_whose_clock_steps_back_go_on(tmp_path: Path, back: float) -> None:
    ffmpeg(*IMAGES, *H264, "-output_ts_offset", 300, tmp_path / "first.ts")
    ffmpeg(*IMAGES, *H264, "-output_ts_offset", 300 + FRAMES / RATE - back, tmp_path / "second.ts")
    (tmp_path / "both.ts").write_bytes((tmp_path / "first.ts").read_bytes() + (tmp_path / "second.ts").read_bytes())
    _, frames, _ = read(tmp_path / "both.ts")
    assert [frame.index for frame in frames] == list(range(2 * FRAMES))
    assert np.diff([frame.timestamp for frame in frames]) == pytest.approx(np.full(2 * FRAMES - 1, 1 / RATE), abs=1e-4)


@needs_ffmpeg
@pytest.mark.parametrize("name", ["clip.ts", "clip.m2ts", "clip.mpg"])
def test_how_long_joined_parts_last_is_estimated(tmp_path: Path, name: str) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=6", *KINDS[name], tmp_path / name)
    plain, _, _ = read(tmp_path / name)
    assert lengths(str(tmp_path / name), "mpeg" if name == "clip.mpg" else "mpegts") is None
    (tmp_path / "joined").write_bytes((tmp_path / name).read_bytes() * 3)
    video, frames, _ = read(tmp_path / "joined")
    assert video.duration == pytest.approx(3 * (plain.duration or 0), rel=0.1)
    assert video.count == pytest.approx(len(frames), rel=0.1)
    assert frames[-1].index == len(frames) - 1


@needs_ffmpeg
@pytest.mark.parametrize("name", ["clip.h264", "clip.m2v", "clip.hevc"])
def test_a_bare_stream_has_the_rate_that_its_codec_declares(tmp_path: Path, name: str) -> None:
    codec = {"clip.h264": "libx264", "clip.m2v": "mpeg2video", "clip.hevc": "libx265"}[name]
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=96x64:rate=30:duration=1", "-c:v", codec, tmp_path / name)
    video, frames, _ = read(tmp_path / name)
    assert video.fps == 30
    assert [frame.timestamp for frame in frames] == pytest.approx([i / 30 for i in range(30)], abs=1e-4)


def test_json_has_the_number_and_time_of_the_source(tmp_path: Path) -> None:
    with VideoJsonWriter(tmp_path / "out.json", clocked=True) as sheet:
        for number in (0, 1, 4):
            sheet.write(result(number))
    entries = json.loads((tmp_path / "out.json").read_text())
    assert [(entry["frame_id"], entry["timestamp"]) for entry in entries] == [(0, 0.0), (1, 0.04), (4, 0.16)]


# -- shape -----------------------------------------------------------------------------------------


@needs_ffmpeg
@pytest.mark.parametrize("shape", ["4:3", "3:4"])
@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov", "clip.mkv", "clip.avi", "clip.ts", "clip.mpg", "clip.flv"])
def test_pixels_are_square(tmp_path: Path, name: str, shape: str) -> None:
    path, ratio = tmp_path / name, Fraction(*map(int, shape.split(":")))
    ffmpeg(*IMAGES, "-vf", f"setsar={shape.replace(':', '/')}", *KINDS[name], path)
    video, frames, _ = read(path)
    displayed = float(Fraction(*map(int, ffprobe(path)["display_aspect_ratio"].split(":"))))
    assert video.size[0] / video.size[1] == pytest.approx(displayed, rel=0.01)
    if name != "clip.mpg":  # which knows few shapes
        assert video.size == ((128, 64) if ratio > 1 else (96, 85))
    assert frames[0].image.shape[1::-1] == video.size
    with VideoWriter(tmp_path / "copy.mp4", video.fps, video.size) as sink:
        sink.write(frames[0].image)
    copy = ffprobe(tmp_path / "copy.mp4")
    assert copy.get("sample_aspect_ratio", "1:1") == "1:1"
    assert copy["width"] / copy["height"] == pytest.approx(displayed, rel=0.02)


@needs_ffmpeg
def test_pixels_are_squared_before_the_image_is_turned(tmp_path: Path) -> None:
    ffmpeg(*IMAGES, "-vf", "setsar=4/3", *H264, tmp_path / "clip.mp4")
    upright = read(tmp_path / "clip.mp4")[1][0].image
    for matrix, turned in (
        ((0, 1, -1, 0), np.rot90(upright, -1)),
        ((0, 1, 1, 0), upright.transpose(1, 0, 2)),
        ((-1, 0, 0, 1), upright[:, ::-1]),
    ):
        shutil.copy(tmp_path / "clip.mp4", tmp_path / "turned.mp4")
        video, frames, _ = read(with_matrix(tmp_path / "turned.mp4", matrix))
        np.testing.assert_array_equal(frames[0].image, turned)
        assert video.size == turned.shape[1::-1]


def test_a_pixel_of_an_impossible_shape_is_a_wrong_tag(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "clip.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(1, 500)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(scene(0), format="bgr24")))
        container.mux(stream.encode(None))
    assert read(tmp_path / "clip.mkv")[0].size == (64, 48)


# -- colours ---------------------------------------------------------------------------------------

PATCHES = np.array(
    [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255] * 3, [128] * 3, [200, 80, 40], [230, 180, 160], [0] * 3]
)
# kr and kb of the matrices
BT601, BT709, BT2020 = (0.299, 0.114), (0.2126, 0.0722), (0.2627, 0.0593)


def numbers(rgb: np.ndarray, weights: tuple[float, float], *, full: bool = False, bits: int = 8) -> np.ndarray:
    """Colours [N, 3] from 0 to 1 as Y, Cb, Cr by the equations of ITU-T H.273."""
    (r, g, b), (kr, kb) = rgb.T, weights
    y = kr * r + (1 - kr - kb) * g + kb * b
    luma, black, chroma = (255, 0, 255) if full else (219, 16, 224)
    planes = [black + luma * y, 128 + chroma * (b - y) / (2 - 2 * kb), 128 + chroma * (r - y) / (2 - 2 * kr)]
    return np.clip(np.rint(np.stack(planes, 1) * 2 ** (bits - 8)), 0, 2**bits - 1)


def patches(
    path: Path,
    planes: np.ndarray,
    tags: tuple[int, int, int, int],
    *,
    size: tuple[int, int] = (256, 64),
    layout: str = "yuv420p",
    codec: str = "ffv1",
) -> Path:
    """Write one frame of even fields side by side; ``tags``: matrix, range, primaries, transfer."""
    frame = av.VideoFrame(*size, layout)
    kind, count = ("<u2", 2) if "10" in layout else ("u1", 1)
    for number, plane in enumerate(frame.planes):
        row = np.repeat(planes[:, number], plane.width // len(planes)).astype(kind)
        row = np.resize(row, plane.line_size // count)
        plane.update(np.tile(row, plane.height).tobytes())
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, layout
        context = stream.codec_context
        context.colorspace, context.color_range, context.color_primaries, context.color_trc = tags
        if codec == "libx264":
            stream.options = {"crf": "1"}
        frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc = tags
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def fields(image: np.ndarray, count: int = len(PATCHES)) -> np.ndarray:
    """The colours of the fields of a BGR image, int [N, 3] RGB."""
    height, width = image.shape[:2]
    return image[height // 2, [int((i + 0.5) * width / count) for i in range(count)], ::-1].astype(int)


TAGGED = {
    "601": (BT601, (6, 1, 6, 6), (256, 64)),
    "PAL": (BT601, (5, 1, 5, 6), (256, 64)),
    "709": (BT709, (1, 1, 1, 1), (256, 64)),
    "601 full": (BT601, (6, 2, 2, 2), (256, 64)),
    "709 full": (BT709, (1, 2, 1, 1), (256, 64)),
    "601 in HD": (BT601, (6, 1, 6, 6), (256, 720)),
    "untagged SD": (BT601, (2, 0, 2, 2), (256, 64)),
    "untagged HD": (BT709, (2, 0, 2, 2), (256, 720)),
    "derived from primaries": (BT709, (12, 1, 1, 1), (256, 64)),
}


@pytest.mark.parametrize("name", TAGGED)
def test_what_is_read_is_written_so_that_players_show_the_same(tmp_path: Path, name: str) -> None:
    weights, tags, size = TAGGED[name]
    clip = patches(tmp_path / "in.mkv", numbers(PATCHES / 255, weights, full=tags[1] == 2), tags, size=size)
    video, frames, _ = read(clip)
    assert np.abs(fields(frames[0].image) - PATCHES).max() <= 3
    with VideoWriter(tmp_path / "out.mp4", 25, colours=video.colours) as sink:
        sink.write(frames[0].image)
    with av.open(str(tmp_path / "out.mp4")) as container:
        shown = next(container.decode(video=0))
        assert shown.colorspace == video.colours.matrix  # a player needs not guess
        assert shown.color_range == 1
    assert np.abs(fields(shown.to_ndarray(format="bgr24")) - fields(frames[0].image)).max() <= 3
    again = read(tmp_path / "out.mp4")[1][0].image
    assert np.abs(fields(again) - fields(frames[0].image)).max() <= 3


def test_a_copy_keeps_the_primaries_of_its_source(tmp_path: Path) -> None:
    clip = patches(tmp_path / "in.mkv", numbers(PATCHES / 255, BT601), (5, 1, 5, 6))
    assert read(clip)[0].colours == Colours(5, 5, 6)
    clip = patches(tmp_path / "in.mkv", numbers(PATCHES / 255, BT709), (1, 1, 12, 13))
    assert read(clip)[0].colours == Colours(1, 1, 1)


@pytest.mark.parametrize(("levels", "black", "white"), [(1, 16, 235), (2, 0, 255)])
def test_luma_alone_has_its_range_too(tmp_path: Path, levels: int, black: int, white: int) -> None:
    grey = np.linspace(black, white, 8)[:, None].round()
    _, frames, _ = read(patches(tmp_path / "in.mkv", grey, (2, levels, 2, 2), layout="gray"))
    wanted = np.linspace(0, 255, 8)
    assert np.abs(fields(frames[0].image) - wanted[:, None]).max() <= 1


@pytest.mark.parametrize("levels", [1, 2])
def test_ycgco_is_read(tmp_path: Path, levels: int) -> None:
    r, g, b = PATCHES.T / 255
    y, cg, co = r / 4 + g / 2 + b / 4, -r / 4 + g / 2 - b / 4, r / 2 - b / 2
    luma, black, chroma = (219, 16, 224) if levels == 1 else (255, 0, 255)
    planes = np.clip(np.rint(np.stack([black + luma * y, 128 + chroma * cg, 128 + chroma * co], 1)), 0, 255)
    clip = patches(tmp_path / "in.mkv", planes, (8, levels, 1, 1), layout="yuv444p", codec="libx264")
    _, frames, _ = read(clip)
    assert np.abs(fields(frames[0].image) - PATCHES).max() <= 5


def test_a_matrix_that_cannot_be_converted_is_not_called_damage(tmp_path: Path) -> None:
    clip = patches(tmp_path / "in.mkv", numbers(PATCHES / 255, BT2020), (14, 1, 9, 16), codec="libx264")
    with pytest.raises(InputError, match=r"matrix ICtCp, which FFmpeg's converter does not know.*BT\.709"):
        VideoSource(clip)


def pq(nits: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084: light to numbers from 0 to 1."""
    y = (nits / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


@pytest.mark.parametrize("kind", ["PQ", "HLG"])
def test_hdr_is_mapped(tmp_path: Path, kind: str) -> None:
    white = np.array([0.0, 10, 50, 100, 203])
    codes = pq(white) if kind == "PQ" else np.array([0, 0.2, 0.38, 0.55, 0.75])
    tags = (9, 1, 9, 16 if kind == "PQ" else 18)
    planes = numbers(np.repeat(codes[:, None], 3, 1), BT2020, bits=10)
    clip = patches(tmp_path / "in.mkv", planes, tags, size=(320, 64), layout="yuv420p10le", codec="libx264")
    video, frames, said = read(clip)
    grey = fields(frames[0].image, 5)[:, 1]
    if "dst_color_trc" not in (av.VideoFrame.reformat.__doc__ or "") and said:
        assert "HDR" in said[0]
        return
    assert grey[0] <= 2
    assert grey[-1] >= 250  # the white of a sheet of paper, not the grey of the bare numbers (148 or 191)
    assert (np.diff(grey) > 20).all()
    assert said == []
    assert video.colours == Colours(1, 1, 1)
    if tuple(map(int, cv2.__version__.split(".")[:2])) >= (4, 13):
        theirs = fields(cv2.VideoCapture(str(clip)).read()[1], 5)
        assert np.abs(theirs - fields(frames[0].image, 5)).max() <= 3


def test_a_wide_gamut_is_mapped(tmp_path: Path) -> None:
    # the numbers in Display P3 of these colours of BT.709
    inside, in_p3 = [[128, 128, 128], [200, 80, 40], [30, 60, 90]], [[128, 128, 128], [186, 88, 53], [37, 59, 88]]
    clip = patches(
        tmp_path / "in.mkv", numbers(np.array(in_p3) / 255, BT709), (1, 1, 12, 13), size=(192, 64), codec="libx264"
    )
    _, frames, _ = read(clip)
    found = fields(frames[0].image, 3)
    assert np.abs(found - inside).max() <= 12  # FFmpeg compresses the gamut instead of cutting it
    assert np.abs(found - inside).sum() < np.abs(np.array(in_p3) - inside).sum()


def test_pixels_of_small_tagged_videos_are_those_of_opencv(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", 3, noise=True)
    theirs = cv2.VideoCapture(str(clip))
    for frame in read(clip)[1]:
        np.testing.assert_array_equal(frame.image, theirs.read()[1])
