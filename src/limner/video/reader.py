"""Video files and streams, frame by frame: decoding by FFmpeg through PyAV."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from fractions import Fraction
from types import TracebackType
from typing import Any

import av
import av.error
import numpy as np

from ..errors import ArgumentError, InputError
from ..masking import masked
from ..types import Frame, MessageCallback
from . import limits
from .clock import VideoClock
from .colours import BT709, ColourConverter
from .common import demux, fraction, scheme_of, tidy_rate
from .cut import WHOLE, Cut
from .geometry import PixelShape, displayed_size, orientation, upright, with_square_pixels
from .inputs import (
    LIVE_SCHEMES,
    VideoStream,
    display_name,
    failure_reason,
    is_still_image,
    open_container,
    open_stream,
    video_stream,
    without_file_scheme,
)
from .length import declared_length, last_time
from .sequences import on_white
from .skip import PacketSkipper
from .transport import lengths

_ANIMATIONS = frozenset(("gif", "apng"))  # whose transparent parts become white
# whose packets say for how long each image is shown; elsewhere that is a guess of FFmpeg's
_LASTING_FORMATS = frozenset(("gif", "apng", "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"))
_SHORTEST = 0.001  # seconds; what is said to be shorter is not meant
_UNTIMED_FORMATS = frozenset(("mpjpeg", "mjpeg"))  # streams of images without timestamps
# bare streams, which hold no times: FFmpeg takes 25 frames a second for all that do not declare another rate
_BARE_FORMATS = frozenset(("h264", "hevc", "vvc", "mpegvideo", "m4v", "vc1", "obu", "cavsvideo"))


class VideoSource:
    """A video file or stream, opened when the object is created and iterated once: every frame in order.

    Images are upright, as the display matrix says, and have square pixels: where those of the video are of another
    shape, one side grows. Colours are BT.709, or BT.601, as the video declares; where it does not, BT.601 below 720
    lines and BT.709 from there on, as in browsers. HDR and wide gamuts are mapped to BT.709 by FFmpeg. Pixel values
    are those of OpenCV (4.13 or later) where matrix and range are declared and the pixels are square, but for an HD
    video without tags, which OpenCV takes for BT.601, and for wide gamuts, where both differ by a level or so.

    Timestamps are the video's own, from 0 at its first frame, and always grow; a stream of images without any gets
    the times of arrival. Frames that cannot be decoded are left out, and leave a gap in numbers and times.

    Args:
        address: A path, or a URL with one of the schemes http, https (also HLS and MJPEG), rtsp, rtmp, udp, rtp, srt.
        timeout: Seconds within which a server has to respond.
        threads: Threads that decode; 0 lets FFmpeg choose.
        cut: Which frames are taken, and how they are turned; their numbers and times stay those of the file.
        stream: What to read instead of a file, such as standard input; ``address`` is then only its name.
        fps: Frames per second of a stream of images; no other video takes it.
        info: Called once when the video has ended, if frames were broken or its end is missing.
        max_pixels: Of a frame; None takes `limner.video.limits.MAX_PIXELS`.

    Raises:
        InputError: There is no video, it cannot be decoded, or the server does not respond in time; and
            while iterating a URL: the connection is lost.
        ArgumentError: A cut leaves out frames of a live source.
    """

    def __init__(
        self,
        address: str | os.PathLike[str],
        *,
        timeout: float = 10.0,
        threads: int = 0,
        cut: Cut = WHOLE,
        stream: VideoStream | None = None,
        fps: float | None = None,
        info: MessageCallback | None = None,
        max_pixels: int | None = None,
    ) -> None:
        self._arguments: dict[str, Any] = {"timeout": timeout, "threads": threads, "cut": cut, "info": info}
        self._arguments["max_pixels"] = self._max_pixels = max_pixels
        self._address = without_file_scheme(address)
        self._cut = cut
        self._first_taken: int | None = None  # number of the first frame that the cut takes
        self._over = False  # whether the cut's end was reached
        self._skipper: PacketSkipper | None = None
        self._opened = stream
        self._info = info
        self._timeout = timeout
        self._scheme = scheme_of(self._address) if stream is None else ""
        self.name = masked(self._address)  # also the `source` of its frames
        self.broken = 0  # frames left out because they could not be decoded completely
        self.cut_short = False  # whether the end of the file is missing
        self.colours = BT709  # in which a copy is to be written
        self._converter: ColourConverter | None = None
        self._shown_seconds: float | None = None  # without the gaps of a recording of parts
        self._shown_until = 0.0  # time at which the last frame ends, taken or not
        self._seconds_read = 0.0  # time up to which packets were read
        self._reported = False
        if fps is not None and getattr(stream, "kind", None) is None:
            raise ArgumentError(
                f"{self._display_name} has a rate of its own, and fps is for numbered images and pages; leave it out"
            )
        self._container = (
            open_container(self._address, timeout, max_pixels)
            if stream is None
            else open_stream(stream, fps, self._display_name, max_pixels)
        )
        try:
            self._prepare(threads)
        except BaseException:
            self._container.close()
            raise

    # -- opening -----------------------------------------------------------------------------------

    def _prepare(self, threads: int) -> None:
        """Choose the video stream, decode its first frame and read the properties of the video."""
        container, name = self._container, self._display_name
        if self._opened is None and is_still_image(container):
            raise InputError(f"{name} is an image or a text, not a video; give a video")
        stream = video_stream(container)
        if stream is None:
            kinds = " and ".join(sorted({s.type for s in container.streams if s.type in ("audio", "subtitle")}))
            raise InputError(f"{name} has no video stream, only {kinds or 'data'}; give a file with images in it")
        if stream.codec_context is None:
            raise InputError(f"{name} is a video in a codec that FFmpeg cannot decode; convert it to H.264 first")
        limits.check_frame(stream.codec_context.width, stream.codec_context.height, name, self._max_pixels)
        self.has_audio = any(s.type == "audio" for s in container.streams)
        self._base = fraction(stream.time_base) or Fraction(1, 1000)
        self._length = declared_length(container, stream)
        self.duration = self._length.seconds  # of the images, in seconds
        size = container.size if self._scheme else 0
        self.live = self._scheme in LIVE_SCHEMES or (
            self._scheme != "" and self.duration is None and ("hls" in container.format.name or (size or 0) <= 0)
        )
        self._untimed = self.live and container.format.name in _UNTIMED_FORMATS
        context = stream.codec_context
        # Threads for whole frames delay each frame: no problem for files, but latency for a camera.
        context.thread_type = "SLICE" if self.live else "AUTO"
        context.thread_count = limits.threads(context.width, context.height, threads)
        context.options = {**context.options, **limits.decoder_options(self._max_pixels)}
        self._stream = stream
        self._blends = container.format.name in _ANIMATIONS
        self._shape = PixelShape(stream)
        self._rate, nominal = _rates(stream, container.format.name)
        self._clock = VideoClock(self._base, self._rate, nominal, container.format.name, arrival=self._untimed)
        self._frames = self._decode()
        self._first = next(self._frames, None)
        if self._first is None:
            advice = "check the URL" if self._scheme else "it is damaged or cut short: copy it again"
            raise InputError(f"{name} has no frame that can be decoded; {advice}")
        self.fps = self._rate / self._cut.every  # average, frames per second
        height, width = self._first.image.shape[:2]
        self.size = (width, height)  # pixels, upright
        self._measure_length()
        self.count = self._cut.count(self._declared_count() or None, self._rate)
        self._check_cut()

    def _measure_length(self) -> None:
        """Find out how long the images last where the headers do not tell."""
        here = not self._scheme and self._opened is None
        if here and (joined := lengths(self._address, self._container.format.name)):
            self.duration, self._shown_seconds = joined
        elif self.duration and not self._length.of_images and here:
            end = last_time(self._address, images=True)
            length = None if end is None else end - float(self._clock.first_key * self._base)
            if length is not None and 0 < length < self.duration + 1:
                self.duration = length

    def _declared_count(self) -> int:
        """Return the number of frames as the file declares it, or by duration and rate; 0 where it is unknown."""
        frames: int = self._stream.frames
        entries: Any = getattr(self._stream, "index_entries", None) or ()
        if frames and self._container.format.name == "avi":  # which counts places without an image, too
            return min(frames, len(entries) or frames)
        if len(entries) == frames and frames and (entries[0].is_discard or entries[-1].is_discard):  # of an edit list
            return sum(not entry.is_discard for entry in entries)
        return frames or round((self._shown_seconds or self.duration or 0) * self._rate)

    def _check_cut(self) -> None:
        cut, name = self._cut, self._display_name
        if self.live and cut.shortens:
            raise ArgumentError(f"{name} is live, and start, end and every are for files; leave them out")
        cut.check(name, self.duration)
        if cut.end is not None and self.duration and cut.end > self.duration + 1 and self._info is not None:
            self._info(f"{name} ends at {self.duration:.1f} s, before the end of {cut.end:g} s")
        if cut.start and self._opened is None:
            self._skipper = PacketSkipper(self._container, self._stream, cut.start)

    @property
    def sound_from(self) -> str | None:
        """The path or URL from which the sound can be read, None where there is none."""
        if not self.has_audio or self.live:
            return None
        if self._opened is None:
            return self._address
        return getattr(self._opened, "name", None) if self._opened.seekable() else None  # a file that was stored

    @property
    def _display_name(self) -> str:
        return "the video on standard input" if self._address == "-" else display_name(self._address)

    def reopen(self) -> VideoSource:
        """Open the same video again, from its start."""
        return VideoSource(self._address, **self._arguments)

    # -- frames ------------------------------------------------------------------------------------

    def __enter__(self) -> VideoSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def interrupt(self) -> None:
        """Wait no longer for standard input; safe in a signal handler and from other threads."""
        if self._opened is not None:
            self._opened.ended = True

    def close(self) -> None:
        """Close the file or connection."""
        self._first = None
        self._frames.close()
        if self._converter is not None:
            self._converter.close()
        self._container.close()

    def __iter__(self) -> Iterator[Frame]:
        return self._taken() if self._cut.every == 1 else self._cut.held(self._taken(), lambda: self._shown_until)

    def _taken(self) -> Iterator[Frame]:
        first, self._first = self._first, None
        if first is not None and self._takes(first.index, first.timestamp):
            yield first
        yield from self._frames
        if self._first_taken is None and self._cut.shortens and self._clock.last is not None:
            raise self._cut.nothing(self._display_name, self._clock.last + float(1 / self._rate))
        self._report()

    def _takes(self, index: int, timestamp: float) -> bool:
        takes = self._cut.takes(index, timestamp, self._first_taken)
        if takes and self._first_taken is None:
            self._first_taken = index
        return takes

    def _decode(self) -> Generator[Frame, None, None]:
        """Yield the first frame, whether it is taken or not, and those of the others that are taken."""
        for packet in self._packets():
            try:
                decoded_frames = packet.decode()
            except av.error.EOFError:
                continue
            except av.error.FFmpegError:
                self._lose()
                continue
            for decoded in decoded_frames:
                if self._skipper is not None and self._skipper.is_early(decoded):
                    continue
                if (frame := self._frame(decoded)) is not None:
                    yield frame
                if self._over:
                    return

    def _lose(self) -> None:
        self.broken += 1
        self._clock.lose()

    def _frame(self, decoded: av.VideoFrame) -> Frame | None:
        """Return a frame, None where it is broken or not taken."""
        first = self._clock.placed == 0
        # Frames that are not taken are not converted, which would take as long as decoding them.
        image = self._image(decoded) if first and not decoded.is_corrupt else None
        if decoded.is_corrupt or (first and image is None) or self._clock.is_repeated(decoded):
            self._lose()
            return None
        number, timestamp = self._clock.place(decoded)
        self._over = self._cut.is_over(timestamp)
        lasts = self._cut.lasts(timestamp, self._lasts(decoded))
        if not self._over:
            self._shown_until = timestamp + (lasts or float(1 / self._rate))
        if not first and (self._over or not self._takes(number, timestamp)):
            return None
        if image is None and (image := self._image(decoded)) is None:
            self._lose()
            return None
        return Frame(image, self.name, number, timestamp, duration=lasts)

    def _lasts(self, decoded: av.VideoFrame) -> float | None:
        """Return the seconds for which a frame is shown, None where the container does not say it."""
        seconds = float((getattr(decoded, "duration", 0) or 0) * self._base)
        return seconds if self._container.format.name in _LASTING_FORMATS and seconds >= _SHORTEST else None

    def _packets(self) -> Iterator[Any]:
        """Yield packets up to the end, or to where the file cannot be read any further."""
        packets = demux(self._container, self._stream)
        try:
            for packet in packets:
                yield self._counted(packet)
                if self._skipper is not None and not self._skipper.finished:
                    following = self._skipper.skip(packets, self._clock.packets, self._clock.first_key)
                    self._clock.jump(self._skipper.number)
                    yield from map(self._counted, following)
        except av.error.FFmpegError as error:
            if self._scheme:
                after = f" after {self._clock.placed} frames" if self._clock.placed else ""
                reason = failure_reason(self._address, error, self._timeout)
                if not after and self._scheme in ("http", "https"):
                    reason += "; if its server sends no parts of files, download it and give the file"
                raise InputError(f"{self._display_name} stopped{after}: {reason}") from None
            yield from self._flush_packet()
        finally:
            packets.close()

    def _counted(self, packet: Any) -> Any:
        self._clock.saw(packet)
        if packet.pts is not None:
            self._seconds_read = max(self._seconds_read, float((packet.pts + (packet.duration or 0)) * self._base))
        return packet

    def _flush_packet(self) -> Iterator[Any]:
        """Yield the empty packet that makes the decoder return its last frames."""
        packet = av.Packet()
        packet.stream = self._stream
        yield packet

    def _image(self, decoded: av.VideoFrame) -> np.ndarray | None:
        """Return the image upright, with square pixels, uint8 [H, W, 3] BGR, or None where it is broken."""
        ratio = self._shape.ratio
        limits.check_frame(*displayed_size(decoded.width, decoded.height, ratio), self._display_name, self._max_pixels)
        if self._converter is None:
            lines = displayed_size(decoded.width, decoded.height, ratio)[1]
            self._converter = ColourConverter(self._display_name, lines, self._stream.codec_context.name)
            self.colours = self._converter.written(decoded)
        image = self._converter.bgr(decoded, alpha=self._blends)
        if image is None:
            return None
        image = with_square_pixels(on_white(image), ratio)
        return self._cut.turned(upright(image, orientation(decoded)))

    # -- the report --------------------------------------------------------------------------------

    def _report(self) -> None:
        if self._reported or self._info is None:
            return
        self._reported = True
        if self._converter is not None and self._converter.remark:
            self._info(self._converter.remark)
        self._report_end(self._info)
        # Some frames are lost without an error: before those that need them, or with the packets that are missing.
        self.broken = max(self.broken, self._clock.missing)
        if self.broken:
            frames = "1 broken frame" if self.broken == 1 else f"{self.broken} broken frames"
            context = self._stream.codec_context
            larger = limits.is_too_large(context.width, context.height, self._max_pixels)
            self._info(f"{self._display_name}: {frames} left out, {self._clock.placed} read{larger}")

    def _report_end(self, info: MessageCallback) -> None:
        """Say that the end of a file is missing."""
        expected = self._length.seconds
        if self._scheme or self._opened is not None or self._over or not expected or self._clock.last is None:
            return
        first = float((self._stream.start_time or 0) * self._base)
        reached = max(self._seconds_read - first, self._clock.last)
        shortest = expected - max(0.5, 0.02 * expected)
        if reached >= shortest:
            return
        if not self._length.of_images and (last_time(self._address, images=False) or 0.0) - first >= shortest:
            return  # the sound lasts longer than the images
        self.cut_short = True
        info(
            f"{self._display_name} is cut short: {reached:.1f} of {expected:.1f} seconds could be read, "
            f"{self._clock.placed} frames"
        )


def _rates(stream: Any, demuxer: str) -> tuple[Fraction, Fraction]:
    """Return the average frames per second of a stream, and those that its codec or container declare."""

    def first(*rates: Any) -> Fraction:
        known = (fraction(rate) for rate in rates)
        return tidy_rate(next((rate for rate in known if rate and Fraction(1, 1000) <= rate <= 1000), 25))

    declared = first(stream.guessed_rate, stream.average_rate, stream.base_rate)
    if demuxer in _BARE_FORMATS:
        return declared, declared
    return first(stream.average_rate, stream.guessed_rate, stream.base_rate), declared
