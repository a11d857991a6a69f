"""The end of a video file: its fragments become an ordinary file, with the sound of the input."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from ..types import MessageCallback
from .common import demux, file_url, fraction, tidy_rate
from .encoders import Container
from .inputs import open_container, video_stream

# of a file that does not tell, such as one with uncompressed sound: encoders refuse "2 channels"
_USUAL_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_SEEK = 10.0  # seconds of sound that are read and thrown away rather than sought


def remux(
    path: Path,
    target: Path,
    kind: Container,
    audio_from: str | None,
    sound: Sequence[int],
    audio_start: float,
    step: float,
    lasts: float,
    end: float,
) -> None:
    """Copy the packets of a video into an ordinary file, with sound of another one.

    Args:
        path, target: the video, and the file to write.
        kind: of both.
        audio_from: the file whose sound is added; None adds none.
        sound: the numbers of its sound tracks that are added.
        audio_start: seconds of its images at which the video begins.
        step: seconds from image to image, at a constant rate.
        lasts: seconds for which the last image is shown.
        end: seconds of the video.

    Raises:
        av.error.FFmpegError, OSError, ValueError, InputError: it cannot be done.
    """
    with av.open(file_url(path)) as fragments:
        options = {"movflags": "faststart"} if kind.grows_in_fragments else {}
        with av.open(file_url(target), "w", format=kind.format, options=options) as out:
            video = fragments.streams.video[0]
            images = _stream_like(out, video)
            if images.codec_context is not None and step:
                images.codec_context.framerate = tidy_rate(1 / step)  # else Matroska tells a nonsensical one
            tracks = [_video_packets(fragments, video, images, lasts)]
            if audio_from is None:
                _mux_in_order(out, tracks)
                return
            with ExitStack() as stack:
                for number in sound:
                    other = stack.enter_context(open_container(audio_from))  # each is read at its own pace
                    audio, start = other.streams.audio[number], _first_timestamp(other) + audio_start
                    if audio_start > _SEEK:  # not through the whole file
                        other.seek(int((start - _SEEK / 2) * 1e6))
                    copied = audio.codec_context.codec.canonical_name in kind.copied_audio
                    track = _stream_like(out, audio) if copied else _encoded_stream(out, audio, kind)
                    _tell_apart(track, audio)
                    packets = _copied_audio if copied else _encoded_audio
                    tracks.append(packets(other, audio, track, start, end))
                _mux_in_order(out, tracks)


def sound_tracks(path: str, info: MessageCallback | None = None) -> list[int]:
    """Return the numbers of the sound tracks of a video that can be kept, such as those of two languages.

    Args:
        path: of the video.
        info: called with a sentence where there are others.

    Raises:
        InputError: the video cannot be read.
    """
    with open_container(path) as container:
        tracks = container.streams.audio
        known = [number for number, track in enumerate(tracks) if track.codec_context is not None]
        if info is not None and len(known) < len(tracks):
            unknown = len(tracks) - len(known)
            info(f"{unknown} of {len(tracks)} sound tracks of '{path}' left out: FFmpeg does not know their codec")
        return known


def check_frames(path: Path, kind: Container, frames: int) -> None:
    """Raise ValueError unless a file holds all frames: an incomplete file must not replace a complete one."""
    with av.open(file_url(path), format=kind.format) as container:
        count = container.streams.video[0].frames
    if kind.grows_in_fragments and count != frames:  # Matroska stores no count
        raise ValueError(f"{count} of {frames} frames")


def _stream_like(out: Any, stream: Any) -> Any:
    stream_copy = out.add_stream_from_template(stream)
    stream_copy.time_base = stream.time_base
    return stream_copy


def _encoded_stream(out: Any, audio: Any, kind: Container) -> Any:
    rate = audio.codec_context.sample_rate
    track = out.add_stream(kind.audio_codec, rate=kind.audio_rate or (rate if rate in _AAC_RATES else 48000))
    layout = audio.codec_context.layout
    name = _USUAL_LAYOUTS.get(layout.nb_channels, "stereo") if layout.name.endswith("channels") else layout.name
    track.layout = name if kind.audio_rate is None or layout.nb_channels <= 2 else "stereo"
    return track


def _tell_apart(track: Any, source: Any) -> None:
    """Give a sound track the language and title of another, and tell players whether it is the usual one."""
    for key in ("language", "title", "handler_name"):
        if value := source.metadata.get(key):
            track.metadata[key] = value
    with suppress(AttributeError, TypeError):  # PyAV cannot set that before 14
        track.disposition = source.disposition


def _mux_in_order(out: Any, tracks: list[Iterator[Any]]) -> None:
    for packet in heapq.merge(*tracks, key=lambda packet: float(packet.dts * packet.time_base)):
        out.mux(packet)


def _video_packets(container: Any, source: Any, target: Any, lasts: float) -> Iterator[Any]:
    """Yield the packets of a video stream for another; the last one has a duration of ``lasts`` seconds."""
    held: Any = None
    for packet in demux(container, source):
        if packet.dts is not None:
            packet.stream = target
            if held is not None:
                held.duration = packet.dts - held.dts
                yield held
            held = packet
    if held is not None:
        held.duration = max(1, round(lasts / (fraction(source.time_base) or Fraction(1, 1000))))
        yield held


def _copied_audio(container: Any, source: Any, target: Any, start: float, end: float) -> Iterator[Any]:
    """Yield the packets of an audio stream for another: those of ``end`` seconds from ``start`` on, moved to 0."""
    base = fraction(source.time_base) or Fraction(1, 1000)
    shift = round(start / base)
    for packet in demux(container, source):
        if packet.dts is None or packet.pts is None:
            continue
        packet.pts -= shift
        packet.dts -= shift
        middle = packet.pts + (packet.duration or 0) / 2
        if middle * base >= end:
            return
        if middle > 0:
            packet.stream = target
            yield packet


def _encoded_audio(container: Any, source: Any, target: Any, start: float, end: float) -> Iterator[Any]:
    """Yield the audio of a stream in the codec of another: ``end`` seconds from ``start`` on, moved to 0."""
    for frame in container.decode(source):
        base = fraction(frame.time_base)
        if frame.pts is None or base is None:
            continue
        frame.pts -= round(start / base)
        if frame.pts * base >= end:
            break
        if frame.pts >= 0:
            yield from target.encode(frame)
    yield from target.encode(None)


def _first_timestamp(container: Any) -> float:
    """Return the timestamp of the first image of a file, in seconds."""
    stream = video_stream(container)
    if stream is not None and stream.start_time is not None:
        return float(stream.start_time * stream.time_base)
    return (container.start_time or 0) / 1e6
