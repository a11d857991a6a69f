"""Video files that play in a browser, even those of a process that was killed: H.264 by libx264 through PyAV."""

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
from ..files import open_folder_of, temporary_in, unwritable
from ..types import MessageCallback
from .common import file_url, fraction, tidy_rate
from .inputs import open_container, video_stream

_FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
_COPIED_AUDIO = frozenset(("aac", "mp3", "opus", "flac"))  # what browsers play from mp4; the rest becomes AAC
_FRAGMENT = 500_000  # microseconds of video that a kill may cost on the disk's side

_WriteErrors = (av.error.FFmpegError, OSError, ValueError)


class VideoWriter:
    """Writes images into a video: H.264, yuv420p, BT.709, each shown at its own time.

    While it grows the file consists of fragments of half a second, so that what is left by a killed
    process plays up to about a second before its end. `close`, also at the end of a ``with`` that an
    exception or Ctrl-C leaves, turns it into an ordinary file that starts to play before it is loaded.
    The file is made with the first image; what had its name before is replaced then.

    Args:
        path: A name that ends in .mp4, .m4v, .mov or .mkv.
        fps: Frames per second of the source: exact for a constant rate, the average for a variable
            one; None for a camera that does not tell.
        size: (width, height) in pixels, that of the first image unless given. Odd sides grow by one
            pixel, as H.264 stores colours for two by two; images of other sizes are fitted in.
        audio_from: A video whose sound is added by `close`, aligned with its first frame and as long
            as the images. AAC, MP3, Opus and FLAC are copied, the rest becomes AAC.
        crf: Quality of x264, from 1 (best) to 51; 20 looks like the source.
        say: Called with a sentence where something is missing in the file.

    Raises:
        OutputError: The name or folder cannot be written, or no space is left.
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
        self.size = size  # (width, height) of the file once it is begun, both even
        self.frames = 0  # images written
        self.refitted = 0  # images of another size that were fitted in
        self._fps = None if fps is None else tidy_rate(fps)
        self._crf = crf
        self._info = info
        self._audio_from = None if audio_from is None else os.fspath(audio_from)
        self._container: Any = None
        self._stream: Any = None
        self._reformatter = VideoReformatter()
        self._last = -1  # the last timestamp in ticks
        self._constant = fps is not None  # no frame so far was off the grid of the rate
        self._whole = 0  # bytes of the file up to the last whole fragment
        self._failed = False
        self._closed = False
        if self.path.suffix.lower() not in _FORMATS:
            raise OutputError(f"'{self.path}' cannot be written as a video; give a name that ends in .mp4")
        if size is not None and min(size) < 1:
            raise ArgumentError(f"a video of {size[0]} x {size[1]} pixels cannot be written; give a size above zero")
        if not 1 <= crf <= 51:  # 0 is lossless, in a profile that browsers do not play
            raise ArgumentError(f"a video of quality {crf} cannot be written; give crf from 1 (best) to 51")
        open_folder_of(self.path)
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
            OutputError: The file cannot be written; what was written before stays playable.
        """
        if self._closed:
            raise ArgumentError(f"'{self.path}' is closed; make a new VideoSink")
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise ArgumentError(
                f"an image to write has shape {list(image.shape)} and dtype {image.dtype} "
                "where uint8 [height, width, 3] is needed"
            )
        if self._failed:
            raise OutputError(f"'{self.path}' could not be written before; its first {self.frames} images play")
        try:
            if self._container is None:
                self._begin(image)
            frame = av.VideoFrame.from_ndarray(self._fitted(image), format="bgr24")
            frame = self._reformatter.reformat(
                frame, format="yuv420p", src_colorspace=Colorspace.ITU601, dst_colorspace=Colorspace.ITU709
            )
            frame.pts = self._tick(timestamp)
            frame.time_base = Fraction(1, self._ticks)
            self._mux(self._stream.encode(frame))
        except _WriteErrors as error:
            self._failed = True
            raise unwritable(self.path, error) from None
        self.frames += 1

    def _begin(self, image: np.ndarray) -> None:
        height, width = image.shape[:2]
        width, height = self.size or (width, height)
        self.size = (width + width % 2, height + height % 2)
        rate = self._fps or Fraction(25)
        # What the encoder holds back is lost by a kill, so it may look ahead for half a second at most.
        ahead = min(20, int(rate * 2 / 5)) if self._fps else 0
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
                self.path.unlink()  # a program that has the old one open keeps it
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
            "rc-lookahead": str(ahead),
            "threads": str(threads),
            "g": str(max(2, min(250, round(2 * rate)))),
            "colorspace": "bt709",
            "color_primaries": "bt709",
            "color_trc": "bt709",
            "color_range": "tv",
        }
        self._stream = stream

    def _fitted(self, image: np.ndarray) -> np.ndarray:
        """Return the image in the file's size: a missing row or column repeated, other sizes scaled between bars."""
        width, height = self.size or (0, 0)
        rows, columns = image.shape[:2]
        if not (0 <= width - columns <= 1 and 0 <= height - rows <= 1):
            self.refitted += 1
            if self.refitted == 1 and self._info is not None:
                self._info(
                    f"'{self.path}': images of {columns} x {rows} pixels are fitted into the {width} x {height} "
                    "that it began with"
                )
            return _between_bars(image, width, height)
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
            place = round(tick / self._step) * self._step
            self._constant = self._constant and abs(place - tick) <= 0.00051 * self._ticks
            tick = place if self._constant else tick
        self._last = max(tick, self._last + 1)
        return self._last

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            packet.duration = self._step  # counts for the last one; the others last until the next
            self._container.mux(packet)
            self._whole = os.path.getsize(self.path)

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
                raise  # else the first error is the one to be told

    def close(self) -> None:
        """Finish the file; nothing more can be written. Closing twice does nothing.

        Raises:
            OutputError: The last images cannot be written; the others play.
        """
        if self._closed:
            return
        self._closed = True
        if self._container is None:
            return
        if self._failed:
            self._cut()
            return
        try:
            self._mux(self._stream.encode(None))
            self._container.close()
        except _WriteErrors as error:
            self._cut()
            raise unwritable(self.path, error) from None
        self._rebuild()

    def _cut(self) -> None:
        """Take off the fragment that could not be written to its end."""
        with suppress(*_WriteErrors):
            self._container.close()
        with suppress(OSError):
            os.truncate(self.path, self._whole)

    def _rebuild(self) -> None:
        """Replace the fragments by an ordinary file, with sound; where that fails they stay, and play too."""
        kind = _FORMATS[self.path.suffix.lower()]
        attempts: list[str | None] = [self._audio_from] if self._audio_from is not None else []
        if kind != "matroska":
            attempts.append(None)
        for audio_from in attempts:
            temporary = temporary_in(self.path.parent)
            try:
                step, end = self._step / self._ticks, (self._last + self._step) / self._ticks
                _remux(self.path, temporary, kind, audio_from, step, end)
                _check_frames(temporary, kind, self.frames)
                os.replace(temporary, self.path)
                return
            except (*_WriteErrors, InputError) as error:
                if audio_from is not None and self._info is not None:
                    self._info(f"'{self.path}' has no sound: that of '{audio_from}' cannot be added ({error})")
            finally:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)


def _between_bars(image: np.ndarray, width: int, height: int) -> np.ndarray:
    rows, columns = image.shape[:2]
    scale = min(width / columns, height / rows)
    columns, rows = min(width, max(1, round(columns * scale))), min(height, max(1, round(rows * scale)))
    image = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (width - columns) // 2, (height - rows) // 2
    return cv2.copyMakeBorder(image, top, height - rows - top, left, width - columns - left, cv2.BORDER_CONSTANT)


# -- rebuilding ------------------------------------------------------------------------------------


def _remux(path: Path, target: Path, kind: str, audio_from: str | None, step: float, end: float) -> None:
    """Copy the packets of ``path`` into an ordinary file, with ``end`` seconds of the sound of another one."""
    with av.open(file_url(path)) as made:
        options = {} if kind == "matroska" else {"movflags": "faststart"}
        with av.open(file_url(target), "w", format=kind, options=options) as out:
            video = made.streams.video[0]
            tracks = [_images(made, video, _twin(out, video), step)]
            if audio_from is None:
                _mux_in_order(out, tracks)
                return
            with open_container(audio_from) as other:
                sound, start = other.streams.audio[0], _start(other)
                if sound.codec_context is not None and sound.codec_context.codec.canonical_name in _COPIED_AUDIO:
                    tracks.append(_copied(other, sound, _twin(out, sound), start, end))
                else:
                    tracks.append(_encoded(other, sound, _aac(out, sound), start, end))
                _mux_in_order(out, tracks)


def _check_frames(path: Path, kind: str, frames: int) -> None:
    """Raise ValueError unless a file holds all frames: nothing that works is replaced by what does not."""
    with av.open(file_url(path), format=kind) as container:
        found = container.streams.video[0].frames
    if kind != "matroska" and found != frames:  # which keeps no count
        raise ValueError(f"{found} of {frames} frames")


def _twin(out: Any, stream: Any) -> Any:
    twin = out.add_stream_from_template(stream)
    twin.time_base = stream.time_base
    return twin


def _aac(out: Any, sound: Any) -> Any:
    track = out.add_stream("aac", rate=sound.codec_context.sample_rate)
    track.layout = sound.codec_context.layout
    return track


def _mux_in_order(out: Any, tracks: list[Iterator[Any]]) -> None:
    for packet in heapq.merge(*tracks, key=lambda packet: float(packet.dts * packet.time_base)):
        out.mux(packet)


def _images(container: Any, source: Any, target: Any, step: float) -> Iterator[Any]:
    """Yield the packets of a video stream for another, with ``step`` seconds where none tells its duration."""
    ticks = round(step / (fraction(source.time_base) or Fraction(1, 1000)))
    for packet in container.demux(source):
        if packet.dts is not None:
            packet.duration = packet.duration or ticks
            packet.stream = target
            yield packet


def _copied(container: Any, source: Any, target: Any, start: float, end: float) -> Iterator[Any]:
    """Yield the packets of a sound stream for another: those of ``end`` seconds from ``start`` on, moved to 0."""
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


def _encoded(container: Any, source: Any, target: Any, start: float, end: float) -> Iterator[Any]:
    """Yield the sound of a stream as AAC: ``end`` seconds from ``start`` on, moved to 0."""
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


def _start(container: Any) -> float:
    """Return when the first image of a file is shown, in seconds of its own clock."""
    stream = video_stream(container)
    if stream is not None and stream.start_time is not None:
        return float(stream.start_time * stream.time_base)
    return (container.start_time or 0) / 1e6
