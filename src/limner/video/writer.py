"""Video files that play in a browser, even if the process was killed: MP4, MOV, MKV, WebM and GIF through PyAV."""

from __future__ import annotations

import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import av.error
import cv2
import numpy as np

from ..errors import (
    ArgumentError,
    InputError,
    OutputError,
    check_number,
    check_texts,
    checks_call,
    expanded,
    plain,
    said,
)
from ..files import create_parent_folder, own_file, release, temporary_path, write_error
from ..types import MessageCallback
from .colours import BT709, Colours
from .common import file_url, tidy_rate
from .encoders import CONTAINERS, Container, Encoder, open_encoder
from .remux import check_frames, remux, sound_tracks

_LATEST = 1e12  # seconds of a timestamp
_FRAGMENT = 500_000  # microseconds of video in a fragment of the file: lost if the process is killed

_WriteErrors = (av.error.FFmpegError, OSError, ValueError)


class VideoWriter:
    """Writes images into a video, each shown at its own time: H.264, VP9 for .webm, or a GIF that is repeated.

    While it grows the file consists of fragments of half a second, so that the file of a killed process
    plays up to about a second before its end. `close`, also at the end of a ``with`` block left by an
    exception or Ctrl-C, turns an MP4 into an ordinary file that starts to play while it is loaded.
    The file is created with the first image and replaces one of the same name.

    Args:
        path: A name that ends in .mp4, .m4v, .mov, .mkv, .webm or .gif.
        fps: Frames per second of the source: exact for a constant rate, the average for a variable
            one; None for a camera that does not report it.
        size: (width, height) in pixels, that of the first image unless given. Odd sides grow by one
            pixel (not in a GIF), as colours are stored for two by two; images of other sizes are letterboxed.
        audio_from: A video whose audio, all tracks of it, is added by `close`, aligned with its first frame and as
            long as the images. AAC, MP3, Opus and FLAC are copied, the rest becomes AAC; in a .mov AAC and MP3 are
            copied; in a .webm Opus and Vorbis are, and the rest becomes Opus; a .gif has none.
        crf: Quality of x264, from 1 (best) to 51; at 20 no difference to the source is visible.
        colours: Those of the source, such as `VideoSource.colours`, so that players show both alike.
        info: Called with a sentence where something is missing in the file.

    Raises:
        OutputError: The file or folder cannot be written, or no space is left.
        InputError: ``audio_from`` cannot be read.
    """

    @checks_call("VideoWriter")
    def __init__(
        self,
        path: str | os.PathLike[str],
        fps: Fraction | float | None = None,
        size: tuple[int, int] | None = None,
        *,
        audio_from: str | os.PathLike[str] | None = None,
        crf: int = 20,
        colours: Colours = BT709,
        info: MessageCallback | None = None,
    ) -> None:
        fps, size, crf = plain(fps), plain(size), plain(crf)
        _check_options(path, fps, size, audio_from, crf, colours, info)
        self.path = expanded(path)
        self.size = size  # (width, height) of the file once it is open, both even
        self.frames = 0  # images written
        self.letterboxed = 0  # images of another size
        self._fps = None if fps is None else tidy_rate(fps)
        self._crf = crf
        self._colours = colours
        self._info = info
        self._audio_from = None if audio_from is None else os.fspath(audio_from)
        self._sound: list[int] = []  # numbers of its sound tracks
        self._start: float | None = None  # seconds of the source at which the file begins
        self._file = -1  # keeps other writers from it, once it is there
        self._container: Any = None
        self._encoder: Encoder | None = None
        self._last = -1  # the last timestamp in ticks
        self._lasts = 0  # ticks for which that image is shown
        self._constant = fps is not None  # whether all frames so far were on the grid of the rate
        self._complete_bytes = 0  # of the file up to the last complete fragment
        self._failed = False
        self._closed = False
        self._kind = container_of(self.path)
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
        self._sound = sound_tracks(address, self._info if self._kind.audio_codec else None)
        has_audio = bool(self._sound)
        if has_audio and not self._kind.audio_codec and self._info is not None:
            self._info(f"'{self.path}' has no sound, as a {self._kind.format.upper()} holds none")
        if not has_audio or not self._kind.audio_codec:
            self._audio_from = None

    # -- images ----------------------------------------------------------------------------------

    @checks_call("write")
    def write(self, image: np.ndarray, timestamp: float | None = None, duration: float | None = None) -> None:
        """Add one image.

        Args:
            image: uint8 [H, W, 3], BGR.
            timestamp: Seconds, such as `Frame.timestamp`; more than that of the image before. The file begins
                with that of the first image. None takes the next place at ``fps`` (25 where that is None too).
            duration: Seconds for which it is shown, such as `Frame.duration`, where it turns out to be the last one;
                others are shown until the next. None takes the time of one image at ``fps``.

        Raises:
            OutputError: The file cannot be written; the frames before stay playable.
        """
        if self._closed:
            raise ArgumentError(f"'{self.path}' is closed; open a new VideoWriter")
        if not isinstance(image, np.ndarray):
            raise ArgumentError(
                f"an image to write is {said(image)} where an array, uint8 [height, width, 3], is needed, "
                "such as result.plot()"
            )
        for name, seconds in {"timestamp": timestamp, "duration": duration}.items():
            if seconds is not None:
                check_number(name, seconds, -_LATEST, _LATEST)
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
            encoder = self._encoder or self._open(image)
            tick = self._tick(timestamp)
            self._lasts = self._ticks_of(duration)
            self._mux(encoder.encode(self._in_size_of_file(image), tick, self._lasts))
        except _WriteErrors as error:
            self._failed = True
            raise write_error(self.path, error) from None
        self.frames += 1

    def _open(self, image: np.ndarray) -> Encoder:
        height, width = image.shape[:2]
        width, height = self.size or (width, height)
        grows = self._kind.codec != "gif"
        self.size = (width + width % 2, height + height % 2) if grows else (width, height)
        options = {"flush_packets": "1"}
        if self._kind.grows_in_fragments:
            options |= {
                "movflags": "frag_keyframe+empty_moov+default_base_moof",
                "frag_duration": str(_FRAGMENT),
            }
        elif grows:
            options["cluster_time_limit"] = str(_FRAGMENT // 1000)
        self._file = own_file(self.path)
        self._container = av.open(file_url(self.path), "w", format=self._kind.format, options=options)
        try:
            self._encoder = open_encoder(
                self._container, self._kind, self.size, self._fps, self._ticks, self._crf, self._colours
            )
        except ValueError:
            raise OutputError(
                f"'{self.path}' cannot be written: this PyAV has no {self._kind.codec}; "
                "pip install --force-reinstall av"
            ) from None
        return self._encoder

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
            self._start = timestamp if self._start is None else self._start
            tick = round((timestamp - self._start) * self._ticks)
            # Matroska and others store whole milliseconds: put those of a constant rate back onto its grid.
            on_grid = round(tick / self._step) * self._step
            self._constant = self._constant and abs(on_grid - tick) <= 0.00051 * self._ticks
            tick = on_grid if self._constant else tick
        self._last = max(tick, self._last + 1)
        return self._last

    def _ticks_of(self, duration: float | None) -> int:
        """Return for how many ticks an image is shown; at a constant rate rounded times do not matter."""
        if duration is None or not 0 < duration < float("inf"):
            return self._step
        ticks = max(1, round(duration * self._ticks))
        return self._step if self._constant and abs(ticks - self._step) <= 0.00051 * self._ticks else ticks

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
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
        try:
            self._close()
        finally:
            if self._file >= 0:
                release(self._file)

    def _close(self) -> None:
        if self._container is None or self._encoder is None:
            if self._file >= 0:
                self._truncate()
            return
        if self._failed:
            self._truncate()
            return
        try:
            self._mux(self._encoder.finish())
            self._container.close()
        except _WriteErrors as error:
            self._truncate()
            raise write_error(self.path, error) from None
        self._finish()

    def _truncate(self) -> None:
        """Cut off the fragment that could not be written completely; a file without any image is removed."""
        with suppress(*_WriteErrors):
            if self._container is not None:
                self._container.close()
        with suppress(OSError):
            os.ftruncate(self._file, self._complete_bytes)
            if not self._plays():
                self.path.unlink(missing_ok=True)

    def _plays(self) -> bool:
        """Return whether an image can be read from the file."""
        with suppress(*_WriteErrors), av.open(file_url(self.path)) as written:
            return any(True for _ in written.decode(video=0))
        return False

    def _finish(self) -> None:
        """Replace the fragments by an ordinary file, with audio; where that fails they stay, and can be played too."""
        attempts = [self._sound, self._sound[:1]] if len(self._sound) > 1 else [self._sound]  # one may be damaged
        if self._audio_from is None:
            attempts = []
        if self._kind.grows_in_fragments:
            attempts.append([])
        for sound in attempts:
            temporary = temporary_path(self.path.parent)
            try:
                step, lasts = self._step / self._ticks, self._lasts / self._ticks
                end = self._last / self._ticks + lasts
                audio_from = self._audio_from if sound else None
                remux(self.path, temporary, self._kind, audio_from, sound, self._start or 0.0, step, lasts, end)
                check_frames(temporary, self._kind, self.frames)
                os.replace(temporary, self.path)
                return
            except (*_WriteErrors, InputError) as error:
                if sound and self._info is not None:
                    has = "no sound" if len(sound) == 1 else f"one of {len(sound)} sound tracks at most"
                    self._info(f"'{self.path}' has {has}: the audio of '{self._audio_from}' cannot be added ({error})")
            finally:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)


def _check_options(
    path: object, fps: object, size: object, audio_from: object, crf: object, colours: object, info: object
) -> None:
    """Raise ArgumentError where an argument of a `VideoWriter` is of no use."""
    if path is None:
        raise ArgumentError("the path of a video is None where a path is needed")
    check_texts({"the path of a video": path, "audio_from": audio_from}, "a path")
    if fps is not None:
        check_number("fps, frames per second,", fps, 0.001, 1000)
    if size is not None and not (
        isinstance(size, (tuple, list))
        and len(size) == 2
        and all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in size)
    ):
        raise ArgumentError(f"the size of a video is {said(size)} where (width, height) in pixels, above 0, is needed")
    if not isinstance(crf, int) or isinstance(crf, bool) or not 1 <= crf <= 51:
        # 0 is lossless, in a profile that browsers do not play
        raise ArgumentError(f"a video of quality {said(crf)} cannot be written; give crf from 1 (best) to 51")
    if not isinstance(colours, Colours):
        raise ArgumentError(
            f"colours is {said(colours)} where those of a source are needed, such as VideoSource.colours"
        )
    if info is not None and not callable(info):
        raise ArgumentError(f"info is {said(info)} where a function that takes a text is needed, such as print")


def container_of(path: Path) -> Container:
    """Return the kind of container that the ending of a name stands for.

    Raises:
        OutputError: no video can be written under that name.
    """
    kind = CONTAINERS.get(path.suffix.lower())
    if kind is None:
        raise OutputError(f"'{path}' cannot be written as a video; give a name that ends in {', '.join(CONTAINERS)}")
    return kind


def _letterboxed(image: np.ndarray, width: int, height: int) -> np.ndarray:
    rows, columns = image.shape[:2]
    scale = min(width / columns, height / rows)
    columns, rows = min(width, max(1, round(columns * scale))), min(height, max(1, round(rows * scale)))
    image = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (width - columns) // 2, (height - rows) // 2
    return cv2.copyMakeBorder(image, top, height - rows - top, left, width - columns - left, cv2.BORDER_CONSTANT)
