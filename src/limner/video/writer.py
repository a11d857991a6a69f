"""Video files that play in a browser, even if the process was killed: H.264 by libx264 through PyAV."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import av.error
import cv2
import numpy as np
from av.video.reformatter import Colorspace, VideoReformatter

from ..errors import ArgumentError, InputError, OutputError
from ..files import create_parent_folder, temporary_path, write_error
from ..types import MessageCallback
from .common import file_url, fraction, tidy_rate
from .inputs import open_container, video_stream

_FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
_COPIED_AUDIO = frozenset(("aac", "mp3", "opus", "flac"))  # what browsers play from mp4; the rest becomes AAC
_FRAGMENT = 500_000  # microseconds of video in a fragment of the file: lost if the process is killed

_WriteErrors = (av.error.FFmpegError, OSError, ValueError)


class VideoWriter:
    """Writes images into a video: H.264, yuv420p, BT.709, each shown at its own time.

    While it grows the file consists of fragments of half a second, so that the file of a killed process
    plays up to about a second before its end. `close`, also at the end of a ``with`` block left by an
    exception or Ctrl-C, turns it into an ordinary file that starts to play while it is loaded.
    The file is created with the first image and replaces one of the same name.

    Args:
        path: A name that ends in .mp4, .m4v, .mov or .mkv.
        fps: Frames per second of the source: exact for a constant rate, the average for a variable
            one; None for a camera that does not report it.
        size: (width, height) in pixels, that of the first image unless given. Odd sides grow by one
            pixel, as H.264 stores colours for two by two; images of other sizes are letterboxed.
        audio_from: A video whose audio is added by `close`, aligned with its first frame and as long
            as the images. AAC, MP3, Opus and FLAC are copied, the rest becomes AAC.
        crf: Quality of x264, from 1 (best) to 51; at 20 no difference to the source is visible.
        info: Called with a sentence where something is missing in the file.

    Raises:
        OutputError: The file or folder cannot be written, or no space is left.
        InputError: ``audio_from`` cannot be read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        fps: Fraction | float | None = None,
        size: tuple[int, int] | None = None,
        *,
        audio_from: str | os.PathLike[str] | None = None,
        crf: int = 20,
        info: MessageCallback | None = None,
    ) -> None:
        if fps is not None and not 0.001 <= fps <= 1000:
            raise ArgumentError(f"a video of {float(fps):g} frames per second cannot be written; give 0.001 to 1000")
        self.path = Path(os.path.expanduser(path))
        self.size = size  # (width, height) of the file once it is open, both even
        self.frames = 0  # images written
        self.letterboxed = 0  # images of another size
        self._fps = None if fps is None else tidy_rate(fps)
        self._crf = crf
        self._info = info
        self._audio_from = None if audio_from is None else os.fspath(audio_from)
        self._container: Any = None
        self._stream: Any = None
        self._reformatter = VideoReformatter()
        self._last = -1  # the last timestamp in ticks
        self._constant = fps is not None  # whether all frames so far were on the grid of the rate
        self._complete_bytes = 0  # of the file up to the last complete fragment
        self._failed = False
        self._closed = False
        if self.path.suffix.lower() not in _FORMATS:
            raise OutputError(f"'{self.path}' cannot be written as a video; give a name that ends in .mp4")
        if size is not None and min(size) < 1:
            raise ArgumentError(f"a video of {size[0]} x {size[1]} pixels cannot be written; give a size above zero")
        if not 1 <= crf <= 51:  # 0 is lossless, in a profile that browsers do not play
            raise ArgumentError(f"a video of quality {crf} cannot be written; give crf from 1 (best) to 51")
        create_parent_folder(self.path)
        if self._audio_from is not None:
            self._check_audio(self._audio_from)
        rate = self._fps or Fraction(25)
        # A tick divides the frame time of a constant rate, so that its timestamps are exact.
        self._ticks = rate.numerator * -(-90_000 // rate.numerator)  # per second
        self._step = round(self._ticks / rate)  # ticks from frame to frame

    def _check_audio(self, address: str) -> None:
        if os.path.exists(address) and self.path.exists() and os.path.samefile(address, self.path):
            raise OutputError(f"'{self.path}' is the input itself and would be overwritten; choose another name")
        with open_container(address) as container:
            if not container.streams.audio:
                self._audio_from = None

    # -- images ----------------------------------------------------------------------------------

    def write(self, image: np.ndarray, timestamp: float | None = None) -> None:
        """Add one image.

        Args:
            image: uint8 [H, W, 3], BGR.
            timestamp: Seconds from the start, such as `Frame.timestamp`; more than that of the image
                before. None takes the next place at ``fps`` (25 where that is None too).

        Raises:
            OutputError: The file cannot be written; the frames before stay playable.
        """
        if self._closed:
            raise ArgumentError(f"'{self.path}' is closed; open a new VideoWriter")
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise ArgumentError(
                f"an image to write has shape {list(image.shape)} and dtype {image.dtype} "
                "where uint8 [height, width, 3] is needed"
            )
        if self._failed:
            raise OutputError(
                f"'{self.path}' could not be written before; its first {self.frames} frames can be played"
            )
        try:
            if self._container is None:
                self._open(image)
            frame = av.VideoFrame.from_ndarray(self._in_size_of_file(image), format="bgr24")
            frame = self._reformatter.reformat(
                frame, format="yuv420p", src_colorspace=Colorspace.ITU601, dst_colorspace=Colorspace.ITU709
            )
            frame.pts = self._tick(timestamp)
            frame.time_base = Fraction(1, self._ticks)
            self._mux(self._stream.encode(frame))
        except _WriteErrors as error:
            self._failed = True
            raise write_error(self.path, error) from None
        self.frames += 1

    def _open(self, image: np.ndarray) -> None:
        height, width = image.shape[:2]
        width, height = self.size or (width, height)
        self.size = (width + width % 2, height + height % 2)
        rate = self._fps or Fraction(25)
        # Frames in the encoder are lost if the process is killed, so its lookahead is at most half a second.
        lookahead = min(20, int(rate * 2 / 5)) if self._fps else 0
        threads = max(1, min(4, os.cpu_count() or 1, int(rate / 5))) if self._fps else 1
        kind = _FORMATS[self.path.suffix.lower()]
        options = {"flush_packets": "1"}
        if kind == "matroska":
            options["cluster_time_limit"] = str(_FRAGMENT // 1000)
        else:
            options |= {
                "movflags": "frag_keyframe+empty_moov+default_base_moof",
                "frag_duration": str(_FRAGMENT),
            }
        with suppress(FileNotFoundError):
            if not self.path.is_symlink():
                self.path.unlink()  # a program that has the old file open keeps it
        self._container = av.open(file_url(self.path), "w", format=kind, options=options)
        try:
            stream = self._container.add_stream("libx264", rate=rate)
        except ValueError:
            raise OutputError(
                f"'{self.path}' cannot be written: this PyAV has no libx264; pip install --force-reinstall av"
            ) from None
        stream.width, stream.height = self.size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, self._ticks)
        stream.time_base = Fraction(1, self._ticks)
        stream.options = {
            "preset": "veryfast",
            "crf": str(self._crf),
            "bf": "0",  # frames in order: timestamps start at 0 in fragments too
            "rc-lookahead": str(lookahead),
            "threads": str(threads),
            "g": str(max(2, min(250, round(2 * rate)))),
            "colorspace": "bt709",
            "color_primaries": "bt709",
            "color_trc": "bt709",
            "color_range": "tv",
        }
        self._stream = stream

    def _in_size_of_file(self, image: np.ndarray) -> np.ndarray:
        """Return the image in the file's size: a missing row or column is repeated, other sizes are letterboxed."""
        width, height = self.size or (0, 0)
        rows, columns = image.shape[:2]
        if not (0 <= width - columns <= 1 and 0 <= height - rows <= 1):
            self.letterboxed += 1
            if self.letterboxed == 1 and self._info is not None:
                self._info(
                    f"'{self.path}': images of {columns} x {rows} pixels are fitted into the {width} x {height} "
                    "pixels of its first image"
                )
            return _letterboxed(image, width, height)
        if (columns, rows) != (width, height):
            image = cv2.copyMakeBorder(image, 0, height - rows, 0, width - columns, cv2.BORDER_REPLICATE)
        return np.ascontiguousarray(image)

    def _tick(self, timestamp: float | None) -> int:
        """Return a timestamp in ticks, after the one before."""
        if timestamp is None:
            tick = self._last + self._step if self._last >= 0 else 0
        else:
            tick = round(timestamp * self._ticks)
            # Matroska and others store whole milliseconds: put those of a constant rate back onto its grid.
            on_grid = round(tick / self._step) * self._step
            self._constant = self._constant and abs(on_grid - tick) <= 0.00051 * self._ticks
            tick = on_grid if self._constant else tick
        self._last = max(tick, self._last + 1)
        return self._last

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            packet.duration = self._step  # matters for the last frame; the others last until the next one
            self._container.mux(packet)
            self._complete_bytes = os.path.getsize(self.path)

    # -- the end -----------------------------------------------------------------------------------

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except OutputError:
            if error is None:
                raise  # else the first error is the one to report

    def close(self) -> None:
        """Finish the file; nothing more can be written. Closing twice does nothing.

        Raises:
            OutputError: The last images cannot be written; the others can be played.
        """
        if self._closed:
            return
        self._closed = True
        if self._container is None:
            return
        if self._failed:
            self._truncate()
            return
        try:
            self._mux(self._stream.encode(None))
            self._container.close()
        except _WriteErrors as error:
            self._truncate()
            raise write_error(self.path, error) from None
        self._finish()

    def _truncate(self) -> None:
        """Cut off the fragment that could not be written completely."""
        with suppress(*_WriteErrors):
            self._container.close()
        with suppress(OSError):
            os.truncate(self.path, self._complete_bytes)

    def _finish(self) -> None:
        """Replace the fragments by an ordinary file, with audio; where that fails they stay, and can be played too."""
        kind = _FORMATS[self.path.suffix.lower()]
        attempts: list[str | None] = [self._audio_from] if self._audio_from is not None else []
        if kind != "matroska":
            attempts.append(None)
        for audio_from in attempts:
            temporary = temporary_path(self.path.parent)
            try:
                step, end = self._step / self._ticks, (self._last + self._step) / self._ticks
                _remux(self.path, temporary, kind, audio_from, step, end)
                _check_frames(temporary, kind, self.frames)
                os.replace(temporary, self.path)
                return
            except (*_WriteErrors, InputError) as error:
                if audio_from is not None and self._info is not None:
                    self._info(f"'{self.path}' has no sound: the audio of '{audio_from}' cannot be added ({error})")
            finally:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)


def _letterboxed(image: np.ndarray, width: int, height: int) -> np.ndarray:
    rows, columns = image.shape[:2]
    scale = min(width / columns, height / rows)
    columns, rows = min(width, max(1, round(columns * scale))), min(height, max(1, round(rows * scale)))
    image = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (width - columns) // 2, (height - rows) // 2
    return cv2.copyMakeBorder(image, top, height - rows - top, left, width - columns - left, cv2.BORDER_CONSTANT)


# -- finishing -------------------------------------------------------------------------------------


def _remux(path: Path, target: Path, kind: str, audio_from: str | None, step: float, end: float) -> None:
    """Copy the packets of ``path`` into an ordinary file, with ``end`` seconds of the audio of another one."""
    with av.open(file_url(path)) as fragments:
        options = {} if kind == "matroska" else {"movflags": "faststart"}
        with av.open(file_url(target), "w", format=kind, options=options) as out:
            video = fragments.streams.video[0]
            tracks = [_video_packets(fragments, video, _stream_like(out, video), step)]
            if audio_from is None:
                _mux_in_order(out, tracks)
                return
            with open_container(audio_from) as other:
                audio, start = other.streams.audio[0], _first_timestamp(other)
                if audio.codec_context is not None and audio.codec_context.codec.canonical_name in _COPIED_AUDIO:
                    tracks.append(_copied_audio(other, audio, _stream_like(out, audio), start, end))
                else:
                    tracks.append(_encoded_audio(other, audio, _aac_stream(out, audio), start, end))
                _mux_in_order(out, tracks)


def _check_frames(path: Path, kind: str, frames: int) -> None:
    """Raise ValueError unless a file holds all frames: an incomplete file must not replace a complete one."""
    with av.open(file_url(path), format=kind) as container:
        count = container.streams.video[0].frames
    if kind != "matroska" and count != frames:  # Matroska stores no count
        raise ValueError(f"{count} of {frames} frames")


def _stream_like(out: Any, stream: Any) -> Any:
    stream_copy = out.add_stream_from_template(stream)
    stream_copy.time_base = stream.time_base
    return stream_copy


def _aac_stream(out: Any, audio: Any) -> Any:
    track = out.add_stream("aac", rate=audio.codec_context.sample_rate)
    track.layout = audio.codec_context.layout
    return track


def _mux_in_order(out: Any, tracks: list[Iterator[Any]]) -> None:
    for packet in heapq.merge(*tracks, key=lambda packet: float(packet.dts * packet.time_base)):
        out.mux(packet)


def _video_packets(container: Any, source: Any, target: Any, step: float) -> Iterator[Any]:
    """Yield the packets of a video stream for another, with a duration of ``step`` seconds where none is given."""
    ticks = round(step / (fraction(source.time_base) or Fraction(1, 1000)))
    for packet in container.demux(source):
        if packet.dts is not None:
            packet.duration = packet.duration or ticks
            packet.stream = target
            yield packet


def _copied_audio(container: Any, source: Any, target: Any, start: float, end: float) -> Iterator[Any]:
    """Yield the packets of an audio stream for another: those of ``end`` seconds from ``start`` on, moved to 0."""
    base = fraction(source.time_base) or Fraction(1, 1000)
    shift = round(start / base)
    for packet in container.demux(source):
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
    """Yield the audio of a stream as AAC: ``end`` seconds from ``start`` on, moved to 0."""
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
