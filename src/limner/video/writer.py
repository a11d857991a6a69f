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

from ..errors import ArgumentError, InputError, OutputError
from ..files import create_parent_folder, temporary_path, write_error
from ..types import MessageCallback
from .common import file_url, tidy_rate
from .encoders import CONTAINERS, Container, Encoder, open_encoder
from .inputs import open_container
from .remux import check_frames, remux

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
        audio_from: A video whose audio is added by `close`, aligned with its first frame and as long
            as the images. AAC, MP3, Opus and FLAC are copied, the rest becomes AAC; in a .webm Opus and Vorbis
            are copied, the rest becomes Opus; a .gif has none.
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
        self._start: float | None = None  # seconds of the source at which the file begins
        self._container: Any = None
        self._encoder: Encoder | None = None
        self._last = -1  # the last timestamp in ticks
        self._constant = fps is not None  # whether all frames so far were on the grid of the rate
        self._complete_bytes = 0  # of the file up to the last complete fragment
        self._failed = False
        self._closed = False
        self._kind = container_of(self.path)
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
            has_audio = bool(container.streams.audio)
        if has_audio and not self._kind.audio_codec and self._info is not None:
            self._info(f"'{self.path}' has no sound, as a {self._kind.format.upper()} holds none")
        if not has_audio or not self._kind.audio_codec:
            self._audio_from = None

    # -- images ----------------------------------------------------------------------------------

    def write(self, image: np.ndarray, timestamp: float | None = None) -> None:
        """Add one image.

        Args:
            image: uint8 [H, W, 3], BGR.
            timestamp: Seconds, such as `Frame.timestamp`; more than that of the image before. The file begins
                with that of the first image. None takes the next place at ``fps`` (25 where that is None too).

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
            encoder = self._encoder or self._open(image)
            self._mux(encoder, encoder.encode(self._in_size_of_file(image), self._tick(timestamp)))
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
        with suppress(FileNotFoundError):
            if not self.path.is_symlink():
                self.path.unlink()  # a program that has the old file open keeps it
        self._container = av.open(file_url(self.path), "w", format=self._kind.format, options=options)
        try:
            self._encoder = open_encoder(
                self._container, self._kind, self.size, self._fps, self._ticks, self._step, self._crf
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

    def _mux(self, encoder: Encoder, packets: list[Any]) -> None:
        for packet in packets:
            packet.duration = encoder.step  # matters for the last frame; the others last until the next one
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
        if self._container is None or self._encoder is None:
            return
        if self._failed:
            self._truncate()
            return
        try:
            self._mux(self._encoder, self._encoder.finish())
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
        attempts: list[str | None] = [self._audio_from] if self._audio_from is not None else []
        if self._kind.grows_in_fragments:
            attempts.append(None)
        for audio_from in attempts:
            temporary = temporary_path(self.path.parent)
            try:
                step, end = self._step / self._ticks, (self._last + self._step) / self._ticks
                remux(self.path, temporary, self._kind, audio_from, self._start or 0.0, step, end)
                check_frames(temporary, self._kind, self.frames)
                os.replace(temporary, self.path)
                return
            except (*_WriteErrors, InputError) as error:
                if audio_from is not None and self._info is not None:
                    self._info(f"'{self.path}' has no sound: the audio of '{audio_from}' cannot be added ({error})")
            finally:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)


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
