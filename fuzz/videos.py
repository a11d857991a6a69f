"""Videos of every container that limner reads, damaged, and texts that are called videos."""

from __future__ import annotations

import contextlib
import random
import tempfile
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from fuzz.images import damaged, read_file

NAME = "videos"
COUNT = 2000
SHORT = 60

# ending -> (container, codec, format of its pixels)
_FORMS = {
    "mp4": ("mp4", "libx264", "yuv420p"),
    "fragments.mp4": ("mp4", "libx264", "yuv420p"),
    "mov": ("mov", "mpeg4", "yuv420p"),
    "m4v": ("mp4", "libx265", "yuv420p"),
    "3gp": ("3gp", "mpeg4", "yuv420p"),
    "avi": ("avi", "mjpeg", "yuvj420p"),
    "mkv": ("matroska", "libx264", "yuv420p"),
    "webm": ("webm", "libvpx", "yuv420p"),
    "vp9.webm": ("webm", "libvpx-vp9", "yuv420p"),
    "mpg": ("mpeg", "mpeg2video", "yuv420p"),
    "ts": ("mpegts", "mpeg2video", "yuv420p"),
    "m2ts": ("mpegts", "libx264", "yuv420p"),
    "vob": ("vob", "mpeg2video", "yuv420p"),
    "wmv": ("asf", "wmv2", "yuv420p"),
    "flv": ("flv", "flv1", "yuv420p"),
    "ogv": ("ogg", "libvpx", "yuv420p"),
    "mxf": ("mxf", "mpeg2video", "yuv420p"),
    "nut": ("nut", "ffv1", "yuv420p"),
    "y4m": ("yuv4mpegpipe", "wrapped_avframe", "yuv420p"),
    "mjpeg": ("mjpeg", "mjpeg", "yuvj420p"),
    "h264": ("h264", "libx264", "yuv420p"),
    "hevc": ("hevc", "libx265", "yuv420p"),
    "gif": ("gif", "gif", "rgb8"),
    "apng.png": ("apng", "apng", "rgb24"),
}
_TEXTS = (
    "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{name}\n#EXT-X-ENDLIST\n",
    "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{name}\n",
    "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{name}\n",
    '#EXTM3U\n#EXT-X-MAP:URI="{name}"\n#EXT-X-KEY:METHOD=AES-128,URI="{name}"\n#EXTINF:1,\nother.ts\n#EXT-X-ENDLIST\n',
    "ffconcat version 1.0\nfile {name}\n",
    "# a list\nfile '{name}'\n",
    '<?xml version="1.0"?><MPD><Period><AdaptationSet><Representation><BaseURL>{name}</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>",
    "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\na={name}\n",
    "{name}\n",
)
_NAMES = (
    "beside.ts",
    "/etc/hostname",
    "../outside.ts",
    "file:///etc/hostname",
    "http://127.0.0.1:9/a.ts",
    "concat:a|b",
)


class Case(NamedTuple):
    """The file of a damaged video."""

    path: Path
    starts: float  # seconds


@cache
def _seeds() -> dict[str, bytes]:
    """Whole videos by their endings; those that FFmpeg cannot write here are left out."""
    found: dict[str, bytes] = {}
    numbers = np.random.default_rng(0)
    av.logging.set_level(None)
    with tempfile.TemporaryDirectory() as folder:
        for ending, (form, codec, pixels) in _FORMS.items():
            path = Path(folder) / f"a.{ending}"
            size = (352, 288) if ending in ("mxf", "vob") else (64, 48)
            options = {"movflags": "frag_keyframe+empty_moov"} if ending == "fragments.mp4" else {}
            with contextlib.suppress(av.error.FFmpegError, ValueError, OSError):
                with av.open(str(path), "w", format=form, options=options) as container:
                    stream = container.add_stream(codec, rate=25)
                    stream.width, stream.height, stream.pix_fmt = *size, pixels
                    stream.codec_context.thread_count = 1
                    if codec == "libx265":
                        stream.options = {"x265-params": "log-level=none"}
                    sound = None
                    if ending in ("mp4", "mkv", "ts", "avi"):
                        sound = container.add_stream("aac" if ending != "avi" else "mp2", rate=44100)
                    image = numbers.integers(0, 255, (size[1] // 8, size[0] // 8, 3), np.uint8)
                    for i in range(20):
                        moved = np.roll(image, i, 1).repeat(8, 0).repeat(8, 1)
                        frame = av.VideoFrame.from_ndarray(moved, format="rgb24")
                        frame.pts, frame.time_base = i, Fraction(1, 25)
                        container.mux(stream.encode(frame))
                    container.mux(stream.encode(None))
                    if sound is not None:
                        silence = np.zeros((1, 1152), np.int16 if ending == "avi" else np.float32)
                        form_ = "s16p" if ending == "avi" else "fltp"
                        for i in range(20):
                            heard = av.AudioFrame.from_ndarray(silence, format=form_, layout="mono")
                            heard.sample_rate, heard.pts = 44100, 1152 * i
                            container.mux(sound.encode(heard))
                        container.mux(sound.encode(None))
                found[ending] = path.read_bytes()
    return found


def make(random: random.Random, folder: Path) -> Case:
    """Return a video, whole, damaged, spliced, or a text in its place."""
    seeds = _seeds()
    ending = random.choice(tuple(seeds))
    data = seeds[ending]
    what = random.random()
    if what < 0.1:
        ending = random.choice((*seeds, "m3u8", "m3u8", "m3u8", "txt", "sdp", "mpd"))
        data = random.choice(_TEXTS).format(name=random.choice(_NAMES)).encode()
        if random.random() < 0.3:
            data = damaged(data, random)
        (folder / "beside.ts").write_bytes(damaged(seeds.get("ts", data), random))
    elif what < 0.2:  # the beginning of one, the rest of another
        other = seeds[random.choice(tuple(seeds))]
        data = data[: random.randrange(len(data))] + other[random.randrange(len(other)) :]
    else:
        data = damaged(data, random, random.choice((512, 4096, len(data))))
    path = folder / f"case.{ending}"
    path.write_bytes(data)
    return Case(path, random.choice((0.0, 0.0, 0.4)))


def attempt(case: Case) -> None:
    """Read a video as `limner run` does."""
    read_file(case.path, 100, case.starts)
