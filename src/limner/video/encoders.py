"""How images become the packets of a video: H.264 for MP4, MOV and Matroska, VP9 for WebM; GIF is in `gif`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import av
import numpy as np
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from .colours import Colours
from .common import encode_timed
from .gif import GifEncoder

_EXACT = Interpolation.BILINEAR | 0x40000  # SWS_ACCURATE_RND, which PyAV 15 does not name
_VP9_QUALITY = 11  # that is added to a quality of x264 for one of VP9 that looks alike
# numbers of ITU-T H.273 -> FFmpeg's names
_MATRICES = {1: "bt709", 5: "bt470bg", 6: "smpte170m"}
_PRIMARIES = _MATRICES
_TRANSFERS = {1: "bt709", 6: "smpte170m", 13: "iec61966-2-1"}
# what browsers play from mp4; the rest becomes AAC
_MP4_AUDIO = frozenset(("aac", "mp3", "opus", "flac"))


@dataclass(frozen=True)
class Container:
    """A kind of video file.

    Args:
        format: FFmpeg's name of it.
        codec: FFmpeg's name of the encoder.
        copied_audio: kinds of sound that are copied; others are encoded with ``audio_codec``.
        audio_codec, audio_rate: the encoder of sound, and the samples a second that it needs (None: the source's);
            "" holds no sound.
    """

    format: str
    codec: str = "libx264"
    copied_audio: frozenset[str] = _MP4_AUDIO
    audio_codec: str = "aac"
    audio_rate: int | None = None

    @property
    def grows_in_fragments(self) -> bool:
        """Whether it is written in fragments that `close` joins."""
        return self.format in ("mp4", "mov")


CONTAINERS = {
    ".mp4": Container("mp4"),
    ".m4v": Container("mp4"),
    ".mov": Container("mov", copied_audio=frozenset(("aac", "mp3"))),
    ".mkv": Container("matroska"),
    ".webm": Container("webm", "libvpx-vp9", frozenset(("opus", "vorbis")), "libopus", 48000),
    ".gif": Container("gif", "gif", frozenset(), ""),
}


class Encoder(Protocol):
    """Turns images into packets of a stream."""

    stream: Any

    def encode(self, image: np.ndarray, tick: int, lasts: int) -> list[Any]:
        """Return the packets that are ready, with their durations.

        Args:
            image: uint8 [H, W, 3], BGR.
            tick: its time, in ticks.
            lasts: for how long it is shown, in ticks; matters for the last one, as the others last until the next.
        """
        ...

    def finish(self) -> list[Any]:
        """Return the packets that are left."""
        ...


class YuvEncoder:
    """H.264 or VP9 in yuv420p, of the limited range.

    Args:
        container: PyAV's, open for writing.
        kind: chooses the codec.
        size: (width, height), even.
        fps: frames per second, None where that is not known.
        ticks: of the timestamps, per second.
        crf: quality of x264.
        colours: how players are to show the numbers of the images.

    Raises:
        ValueError: this PyAV lacks the codec.
    """

    def __init__(
        self,
        container: Any,
        kind: Container,
        size: tuple[int, int],
        fps: Fraction | None,
        ticks: int,
        crf: int,
        colours: Colours,
    ) -> None:
        rate = fps or Fraction(25)
        self._durations: dict[int, int] = {}  # of images in the encoder, by their times
        self._base = Fraction(1, ticks)
        self._reformatter = VideoReformatter()
        self.stream = stream = container.add_stream(kind.codec, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = self._base
        stream.time_base = self._base
        options = _x264_options(fps, crf) if kind.codec == "libx264" else _vp9_options(size, crf)
        stream.options = options | {
            "g": str(max(2, min(250, round(2 * rate)))),
            "colorspace": _MATRICES[colours.matrix],
            "color_primaries": _PRIMARIES[colours.primaries],
            "color_trc": _TRANSFERS[colours.transfer],
            "color_range": "tv",
        }
        self._matrix = Colorspace.ITU709 if colours.matrix == 1 else Colorspace.ITU601

    def encode(self, image: np.ndarray, tick: int, lasts: int) -> list[Any]:
        frame = av.VideoFrame.from_ndarray(image, format="bgr24")
        frame = self._reformatter.reformat(
            frame,
            format="yuv420p",
            src_colorspace=Colorspace.ITU601,
            dst_colorspace=self._matrix,
            interpolation=_EXACT,
        )
        frame.pts, frame.time_base = tick, self._base
        self._durations[tick] = lasts
        return self._packets(frame)

    def finish(self) -> list[Any]:
        return self._packets(None)

    def _packets(self, frame: av.VideoFrame | None) -> list[Any]:
        return encode_timed(self.stream, frame, self._durations, 1)


def open_encoder(
    container: Any,
    kind: Container,
    size: tuple[int, int],
    fps: Fraction | None,
    ticks: int,
    crf: int,
    colours: Colours,
) -> Encoder:
    """Return the encoder of a container; for the arguments see `YuvEncoder`."""
    if kind.codec == "gif":
        return GifEncoder(container, size, fps, ticks)
    return YuvEncoder(container, kind, size, fps, ticks, crf, colours)


def _x264_options(fps: Fraction | None, crf: int) -> dict[str, str]:
    # Frames in the encoder are lost if the process is killed, so its lookahead is at most half a second.
    lookahead = min(20, int(fps * 2 / 5)) if fps else 0
    threads = max(1, min(4, os.cpu_count() or 1, int(fps / 5))) if fps else 1
    return {
        "preset": "veryfast",
        "crf": str(crf),
        "bf": "0",  # frames in order: timestamps start at 0 in fragments too
        "rc-lookahead": str(lookahead),
        "threads": str(threads),
    }


def _vp9_options(size: tuple[int, int], crf: int) -> dict[str, str]:
    """Return the options of a VP9 that is fast enough for a camera, and keeps no frame back."""
    return {
        "deadline": "realtime",
        "cpu-used": "7",
        "row-mt": "1",
        "tile-columns": "2" if size[0] >= 1024 else "1",
        "threads": str(min(4, os.cpu_count() or 1)),
        "crf": str(min(63, crf + _VP9_QUALITY)),
        "b": "0",  # constant quality
        "lag-in-frames": "0",
        "auto-alt-ref": "0",
    }
