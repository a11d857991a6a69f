"""Parts of a video: from a time to a time, every Nth frame, turned. Numbers and times stay those of the file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from limner.errors import ArgumentError, InputError
from limner.sources import Input, expand, open_video
from limner.types import Frame
from limner.video.camera import CameraSource
from limner.video.cut import Cut, parse_seconds
from limner.video.options import VideoOptions
from limner.video.reader import VideoSource
from limner.video.sequences import Arrays
from limner.video.writer import VideoWriter
from servers import number_in, numbered
from test_video import make_video

GOP = {"g": "12", "bf": "3"}
OPEN_GOP = {"x264-params": "open-gop=1:keyint=25:bframes=4"}
HIDDEN = {"g": "20", "auto-alt-ref": "1", "lag-in-frames": "16", "arnr-maxframes": "7"}  # frames that are not shown
KINDS: list[tuple[str, str, dict[str, str]]] = [
    (".mp4", "libx264", GOP),
    (".mp4", "libx264", OPEN_GOP),
    (".mp4", "libx265", {"x265-params": "keyint=20:open-gop=1:log-level=error"}),
    (".mkv", "libx264", GOP),
    (".mkv", "libx264", OPEN_GOP),
    (".mov", "mpeg4", {"g": "10", "bf": "2"}),
    (".webm", "libvpx", HIDDEN),
    (".webm", "libvpx-vp9", HIDDEN),
    (".ts", "libx264", GOP),
    (".avi", "mpeg4", {"g": "10", "bf": "2"}),
]


def read(path: Path, cut: Cut = Cut()) -> list[Frame]:  # noqa: B008
    with VideoSource(path, cut=cut) as video:
        return list(video)


def the_same(a: Sequence[Frame], b: Sequence[Frame]) -> bool:
    return [(f.index, f.timestamp, f.image.tobytes()) for f in a] == [
        (f.index, f.timestamp, f.image.tobytes()) for f in b
    ]


@pytest.mark.parametrize(("ending", "codec", "options"), KINDS)
def test_a_part_has_the_frames_numbers_and_times_of_the_whole(
    tmp_path: Path, ending: str, codec: str, options: dict[str, str]
) -> None:
    try:
        clip = make_video(tmp_path / f"clip{ending}", 150, codec=codec, options=options)
    except (av.error.FFmpegError, ValueError):
        pytest.skip(f"this PyAV has no {codec}")
    whole = read(clip)
    for start in (0.02, 0.5, 2.9, 3.0, 4.21, 5.9):
        for every in (1, 3):
            wanted = [frame for frame in whole if start <= frame.timestamp < start + 0.7][::every]
            assert the_same(read(clip, Cut(start, start + 0.7, every)), wanted), (start, every)


def test_rates_that_change_and_clips_with_many_key_frames(tmp_path: Path) -> None:
    times = list(np.cumsum(np.random.default_rng(0).integers(1, 90, 200)).tolist())
    for ending, options in ((".mp4", {"g": "1"}), (".mkv", {"g": "7"})):
        clip = make_video(tmp_path / f"clip{ending}", times=times, options=options)
        whole = read(clip)
        assert the_same(read(clip, Cut(4.0, 6.0)), [frame for frame in whole if 4.0 <= frame.timestamp < 6.0])


class Counted(VideoSource):
    """Counts the frames that it decodes."""

    decoded = 0

    def _frame(self, decoded: av.VideoFrame) -> Frame | None:
        self.decoded += 1
        return super()._frame(decoded)


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_what_lies_before_the_start_is_not_decoded(tmp_path: Path, ending: str) -> None:
    clip = make_video(tmp_path / f"clip{ending}", 1000, options={"g": "25"})
    with Counted(clip, cut=Cut(30.0, 31.0)) as video:
        assert [frame.index for frame in video] == list(range(750, 775))
        assert video.decoded < 25 + 25 + 5


def test_the_count_is_that_of_the_part() -> None:
    rate = Fraction(30)
    assert Cut().count(300, rate) == 300
    assert Cut(2.0).count(300, rate) == 240
    assert Cut(2.0, 4.0, 4).count(300, rate) == 15
    assert Cut(9.0, 99.0).count(300, rate) == 30
    assert Cut(every=7).count(300, rate) == 43
    assert Cut(2.0).count(None, rate) is None


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_frames_are_turned_clockwise(tmp_path: Path, turns: int) -> None:
    clip = make_video(tmp_path / "clip.mp4", 3)
    with VideoSource(clip, cut=Cut(rotate=90 * turns)) as video:
        frames = list(video)
    assert video.size == ((64, 48), (48, 64))[turns % 2]
    for turned, upright in zip(frames, read(clip), strict=True):
        np.testing.assert_array_equal(turned.image, np.rot90(upright.image, -turns))
        assert turned.image.flags.c_contiguous


class Still:
    """A camera with one image, of 64 x 48."""

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def read(self) -> tuple[bool, np.ndarray]:
        return True, np.arange(64 * 48 * 3, dtype=np.uint32).astype(np.uint8).reshape(48, 64, 3)

    def get(self, prop: int) -> float:
        return 0.0

    def set(self, prop: int, value: float) -> bool:
        return True

    def release(self) -> None:
        pass


def test_a_camera_on_its_side_is_turned() -> None:
    with CameraSource(0, rotate=90, factory=lambda _: Still()) as camera:
        image = next(iter(camera)).image
        assert camera.size == (48, 64)
    np.testing.assert_array_equal(image, np.rot90(Still().read()[1], -1))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("90", 90), ("1:30", 90), ("0:01:30.5", 90.5), (" 2 ", 2), (".5", 0.5), (7, 7), (1.5, 1.5)),
        *((bad, None) for bad in ("100:00", "1:75", "-3", -3, "x", "", float("nan"), float("inf"), True)),
    ],
)
def test_times_of_a_video(text: Any, seconds: float | None) -> None:
    if seconds is not None:
        assert parse_seconds("start", text) == seconds
    else:
        with pytest.raises(ArgumentError, match="start is"):
            parse_seconds("start", text)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"start": 3, "end": 2}, "the end of 2 s does not come after"),
        ({"start": "1:00", "end": 60.0}, "does not come after"),
        ({"every": 0}, "every is 0"),
        ({"every": 1.5}, "every is 1.5"),
        ({"rotate": 45}, "rotate is 45"),
        ({"fps": 0}, "fps is 0"),
        ({"max_frames": 0}, "max_frames is 0"),
    ],
)
def test_impossible_parts_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        VideoOptions(**given)


def test_a_part_beyond_the_end_is_one_sentence(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", 50)
    with pytest.raises(InputError, match=r"2\.00 s long, and the start of 9 s lies beyond its end"):
        VideoSource(clip, cut=Cut(9))
    with pytest.raises(InputError, match=r"no frame from 1\.01 s to 1\.02 s"):
        read(clip, Cut(1.01, 1.02))
    with pytest.raises(InputError, match="beyond its end"):
        list(Arrays((np.zeros((4, 4, 3), np.uint8) for _ in range(3)), 10, cut=Cut(5)))
    said: list[str] = []
    with VideoSource(clip, cut=Cut(1, 99), info=said.append) as video:
        assert len(list(video)) == 25
    assert len(said) == 1
    assert "ends at 2.0 s, before the end of 99 s" in said[0]


def test_a_part_says_nothing_of_a_cut_file(tmp_path: Path) -> None:
    said: list[str] = []
    with VideoSource(make_video(tmp_path / "clip.mkv", 100), cut=Cut(1, 2), info=said.append) as video:
        assert len(list(video)) == 25
    assert said == []


@pytest.mark.parametrize("given", [{"start": 1}, {"end": 1}, {"every": 2}])
@pytest.mark.parametrize("address", ["webcam", "rtsp://127.0.0.1:9/x", "udp://127.0.0.1:9"])
def test_live_sources_have_no_parts(given: dict[str, Any], address: str) -> None:
    (item,), _, _ = expand(address)
    with pytest.raises(ArgumentError, match="live"):
        open_video(item, VideoOptions(**given))


def test_a_rate_is_for_images_that_have_none(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", 5)
    for item in (Input("clip.mp4", clip, is_video=True), Input("webcam.mp4", address="webcam", is_video=True)):
        with pytest.raises(ArgumentError, match="rate of its own"):
            open_video(item, VideoOptions(fps=5))


# -- what is drawn of a part


def sound_in(path: Path) -> np.ndarray:
    """The samples of a file's sound at 48 kHz, with the silence before its first one."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=48000)
        samples, first = [], None
        for frame in container.decode(audio=0):
            first = float(frame.pts * frame.time_base) if first is None else first
            samples += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    return np.concatenate([np.zeros(round(max(0.0, first or 0.0) * 48000), np.int16), *samples])


def beeping(path: Path) -> Path:
    """A video of 4 s that counts its frames, silent but for a tone from 2.0 to 2.5 s."""
    with av.open(str(path), "w") as out:
        images, tone = out.add_stream("libx264", rate=30), out.add_stream("aac", rate=48000)
        images.width, images.height, images.pix_fmt = 320, 240, "yuv420p"
        for i in range(120):
            frame = av.VideoFrame.from_ndarray(numbered(i), format="bgr24")
            frame.pts, frame.time_base = i, Fraction(1, 30)
            out.mux(images.encode(frame))
        out.mux(images.encode(None))
        seconds = np.arange(4 * 48000) / 48000
        samples = np.where((seconds >= 2) & (seconds < 2.5), 12000 * np.sin(seconds * 5000), 0).astype(np.int16)
        for start in range(0, len(samples), 1024):
            part = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="s16", layout="mono")
            part.sample_rate, part.pts = 48000, start
            out.mux(tone.encode(part))
        out.mux(tone.encode(None))
    return path


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".mov", ".webm"])
@pytest.mark.parametrize("every", [1, 3])
def test_the_sound_of_a_part_fits_its_images(tmp_path: Path, ending: str, every: int) -> None:
    clip = beeping(tmp_path / "clip.mp4")
    target = tmp_path / f"part{ending}"
    with (
        VideoSource(clip, cut=Cut(1.5, 3.5, every)) as video,
        VideoWriter(target, video.fps, audio_from=video.sound_from) as sink,
    ):
        for frame in video:
            sink.write(frame.image, frame.timestamp)
    with VideoSource(target) as part:
        frames = list(part)
        assert part.has_audio
        assert part.fps == Fraction(30, every)
    assert [number_in(frame.image) for frame in frames] == list(range(45, 105, every))
    assert frames[-1].timestamp == pytest.approx((60 - every) / 30, abs=0.002), "it lasts as long as the part"
    sound = sound_in(target)
    heard = np.flatnonzero(np.abs(sound) > 3000) / 48000
    assert heard[0] == pytest.approx(0.5, abs=0.03)
    assert heard[-1] == pytest.approx(1.0, abs=0.03)
    assert len(sound) / 48000 == pytest.approx(2.0, abs=0.06)


@pytest.mark.parametrize("every", [1, 2, 7, 49, 60, 200])
def test_every_nth_frame_lasts_as_long_as_the_whole(tmp_path: Path, every: int) -> None:
    clip = make_video(tmp_path / "clip.mp4", 50, 25)
    arrays = [numbered(i) for i in range(50)]
    for cut, seconds, ending in ((Cut(every=every), 2.0, ".mp4"), (Cut(0, 1.2, every), 1.2, ".mkv")):
        for source in (VideoSource(clip, cut=cut), Arrays(arrays, 25, cut=cut)):
            target = tmp_path / f"part{ending}"
            with source as video, VideoWriter(target, video.fps) as sink:
                for frame in video:
                    sink.write(frame.image, frame.timestamp, frame.duration)
            with av.open(str(target)) as part:
                assert (part.duration or 0) / 1e6 == pytest.approx(seconds, abs=0.002)


def test_a_frame_before_an_error_is_not_lost() -> None:
    def frames() -> Any:
        yield Frame(numbered(0), timestamp=0.0)
        yield Frame(numbered(5), index=5, timestamp=0.5)
        raise InputError("the connection is lost")

    taken = []
    with pytest.raises(InputError, match="lost"):  # noqa: PT012 - what comes before the error counts
        for frame in Cut(every=5).held(frames(), lambda: 0.7):
            taken.append(frame)
    assert [frame.duration for frame in taken] == pytest.approx([0.5, 0.2])


def test_all_sound_tracks_are_kept(tmp_path: Path) -> None:
    sources = [make_video(tmp_path / f"{codec}.mkv", 30, 30, sound=codec) for codec in ("aac", "libopus")]
    both = tmp_path / "both.mkv"
    with av.open(str(sources[0])) as one, av.open(str(sources[1])) as other, av.open(str(both), "w") as out:
        streams = {s: out.add_stream_from_template(s) for s in (*one.streams, *other.streams.audio)}
        streams[one.streams.audio[0]].metadata["language"] = "eng"
        streams[other.streams.audio[0]].metadata["language"] = "fra"
        for packet in (*one.demux(), *other.demux(audio=0)):
            if packet.dts is not None:
                packet.stream = streams[packet.stream]
                out.mux(packet)
    for ending, codecs in ((".mp4", ["aac", "opus"]), (".mov", ["aac", "aac"]), (".webm", ["opus", "opus"])):
        said: list[str] = []
        with VideoWriter(tmp_path / f"copy{ending}", 30, audio_from=both, info=said.append) as sink:
            for i in range(30):
                sink.write(numbered(i))
        with av.open(str(sink.path)) as copy:
            assert [stream.codec_context.name for stream in copy.streams.audio] == codecs
            assert [stream.metadata["language"] for stream in copy.streams.audio] == ["eng", "fra"]
        assert said == []


def test_a_sound_in_an_hour_is_sought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limner.video.remux._SEEK", 1.0)
    test_the_sound_of_a_part_fits_its_images(tmp_path, ".mp4", 1)


def test_the_command_takes_a_part_and_keeps_its_numbers(tmp_path: Path, portrait: np.ndarray) -> None:
    from typer.testing import CliRunner

    from limner.cli import app

    clip = tmp_path / "clip.mp4"
    with VideoWriter(clip, 30, audio_from=make_video(tmp_path / "tone.mkv", 90, 30, sound="aac")) as sink:
        for i in range(90):
            sink.write(cv2.resize(np.roll(portrait, i, 1), (256, 256)))
    out, lines, sheet = tmp_path / "part.mp4", tmp_path / "part.jsonl", tmp_path / "part.json"
    arguments = ["run", str(clip), "--start", "0:01", "--end", "2", "--every", "2", "--rotate", "180", "--no-track"]
    result = CliRunner().invoke(app, [*arguments, "-o", str(out), "--jsonl", str(lines), "--json", str(sheet)])
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    numbers = [record["frame_id"] for record in records if "frame_id" in record]
    assert numbers == list(range(30, 60, 2))
    assert [frame["frame_id"] for frame in json.loads(sheet.read_text())] == numbers
    with VideoSource(out) as part:
        assert part.has_audio
        assert (part.fps, len(list(part))) == (15, 15)
    result = CliRunner().invoke(
        app, ["run", str(clip), "--max-frames", "4", "--no-audio", "-o", str(tmp_path / "x.mkv")]
    )
    assert result.exit_code == 0, result.output
    with VideoSource(tmp_path / "x.mkv") as part:
        assert not part.has_audio
        assert len(list(part)) == 4
