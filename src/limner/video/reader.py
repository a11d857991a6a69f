"""Video files and streams, frame by frame: decoding by FFmpeg through PyAV."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Generator, Iterator
from fractions import Fraction
from types import TracebackType
from typing import Any

import av
import av.error
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from ..errors import ArgumentError, InputError
from ..files import without_password
from ..types import Frame, MessageCallback
from .common import fraction, scheme_of, tidy_rate
from .cut import WHOLE, Cut
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
from .sequences import on_white
from .skip import PacketSkipper, shows_frame

_ANIMATIONS = frozenset(("gif", "apng"))  # whose transparent parts become white
_UNTIMED_FORMATS = frozenset(("mpjpeg", "mjpeg"))  # streams of images without timestamps
# AVColorSpace of a frame -> the matrix of swscale. All others, the untagged too, are read as BT.601, as OpenCV does.
_MATRICES = {1: 1, 4: 4, 7: 7, 9: 9, 10: 9}
# Quarter turns counter-clockwise -> whether to swap x and y, and then to mirror x and y.
_ORIENTATIONS = {1: (True, False, True), 2: (False, True, True), 3: (True, True, False)}


class VideoSource:
    """A video file or stream, opened when the object is created and iterated once: every frame in order.

    Rotation and mirroring of the display matrix are applied. Colours are converted with the matrix that the
    video declares, to OpenCV's pixel values. Timestamps are the video's own, from 0 at its first frame, and
    always grow; a stream of images without any gets the times of arrival. Broken frames are left out.

    Args:
        address: A path, or a URL with one of the schemes http, https (also HLS and MJPEG), rtsp, rtmp, udp, rtp, srt.
        timeout: Seconds within which a server has to respond.
        threads: Threads that decode; 0 lets FFmpeg choose.
        cut: Which frames are taken, and how they are turned; their numbers and times stay those of the file.
        stream: What to read instead of a file, such as standard input; ``address`` is then only its name.
        fps: Frames per second of a stream of images; no other video takes it.
        info: Called once when the video has ended, if frames were broken or its end is missing.

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
    ) -> None:
        self._arguments: dict[str, Any] = {"timeout": timeout, "threads": threads, "cut": cut, "info": info}
        self._address = without_file_scheme(address)
        self._cut = cut
        self._first_taken: int | None = None  # number of the first frame that the cut takes
        self._over = False  # whether the cut's end was reached
        self._skipper: PacketSkipper | None = None
        self._opened = stream
        self._info = info
        self._timeout = timeout
        self._scheme = scheme_of(self._address) if stream is None else ""
        self.name = without_password(self._address)  # also the `source` of its frames
        self.broken = 0  # frames left out because they could not be decoded completely
        self.cut_short = False  # whether the end of the file is missing
        self._delivered = 0
        self._packets_read = 0  # that show a frame
        self._first_pts = 0  # of the first frame
        self._seconds_read = 0.0  # time up to which packets were read
        self._last: float | None = None  # timestamp of the frame before
        self._clock_offset: float | None = None  # seconds from the video's timestamps to ours
        self._reported = False
        self._reformatter = VideoReformatter()
        if fps is not None and getattr(stream, "kind", None) is None:
            raise ArgumentError(
                f"{self._display_name} has a rate of its own, and fps is for numbered images and pages; leave it out"
            )
        self._container = open_container(self._address, timeout) if stream is None else open_stream(stream, fps)
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
        self.has_audio = any(s.type == "audio" for s in container.streams)
        self._base = fraction(stream.time_base) or Fraction(1, 1000)
        seconds = [float(stream.duration * self._base)] if stream.duration else []
        seconds += [container.duration / 1e6] if container.duration else []
        self.duration = min(seconds) if seconds and min(seconds) > 0 else None  # seconds
        size = container.size if self._scheme else 0
        self.live = self._scheme in LIVE_SCHEMES or (
            self._scheme != "" and self.duration is None and ("hls" in container.format.name or (size or 0) <= 0)
        )
        self._untimed = self.live and container.format.name in _UNTIMED_FORMATS
        self._unordered = (
            container.format.name == "avi"
        )  # has no presentation times, and FFmpeg's estimates of them are poor
        context = stream.codec_context
        # Threads for whole frames delay each frame: no problem for files, but latency for a camera.
        context.thread_type = "SLICE" if self.live else "AUTO"
        context.thread_count = threads
        self._stream = stream
        self._blends = container.format.name in _ANIMATIONS
        self._frames = self._decode()
        self._first = next(self._frames, None)
        if self._first is None:
            advice = "check the URL" if self._scheme else "it is damaged or cut short: copy it again"
            raise InputError(f"{name} has no frame that can be decoded; {advice}")
        rates = (fraction(rate) for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate))
        self._rate = tidy_rate(next((rate for rate in rates if rate and Fraction(1, 1000) <= rate <= 1000), 25))
        self.fps = self._rate / self._cut.every  # average, frames per second
        height, width = self._first.image.shape[:2]
        self.size = (width, height)  # pixels, upright
        estimate = round(self.duration * self._rate) if self.duration else 0
        # frames, as the file declares or by duration and rate
        self.count = self._cut.count(stream.frames or estimate or None, self._rate)
        self._check_cut()

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
        return self._address if self.has_audio and not self.live and self._opened is None else None

    @property
    def _display_name(self) -> str:
        return display_name(self._address) if self._opened is None else "the video on standard input"

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
        self._container.close()

    def __iter__(self) -> Iterator[Frame]:
        first, self._first = self._first, None
        if first is not None and self._takes(first.index, first.timestamp):
            yield first
        yield from self._frames
        if self._first_taken is None and self._cut.shortens and self._last is not None:
            raise self._cut.nothing(self._display_name, self._last + float(1 / self._rate))
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
                self.broken += 1
                continue
            for decoded in decoded_frames:
                if self._skipper is not None and self._skipper.is_early(decoded):
                    continue
                if (frame := self._frame(decoded)) is not None:
                    yield frame
                if self._over:
                    return

    def _frame(self, decoded: av.VideoFrame) -> Frame | None:
        """Return a frame, None where it is broken or not taken."""
        if decoded.is_corrupt:
            self.broken += 1
            return None
        # Frames that are not taken are not converted, which would take as long as decoding them.
        image = self._image(decoded) if self._delivered == 0 else None
        if image is None and self._delivered == 0:
            self.broken += 1
            return None
        self._first_pts = (decoded.pts or 0) if image is not None else self._first_pts
        timestamp = self._timestamp(decoded.dts if self._unordered else decoded.pts)
        self._over = self._cut.is_over(timestamp)
        if self._delivered and (self._over or not self._takes(self._delivered, timestamp)):
            self._delivered += 1
            return None
        if image is None and (image := self._image(decoded)) is None:
            self.broken += 1
            return None
        self._delivered += 1
        return Frame(image, self.name, self._delivered - 1, timestamp)

    def _packets(self) -> Iterator[Any]:
        """Yield packets up to the end, or to where the file cannot be read any further."""
        packets = self._container.demux(self._stream)
        try:
            for packet in packets:
                yield self._counted(packet)
                if self._skipper is not None and not self._skipper.finished:
                    following = self._skipper.skip(packets, self._packets_read, self._first_pts)
                    self._delivered = self._skipper.number or self._delivered
                    yield from map(self._counted, following)
        except av.error.FFmpegError as error:
            if self._scheme:
                after = f" after {self._delivered} frames" if self._delivered else ""
                raise InputError(
                    f"{self._display_name} stopped{after}: {failure_reason(self._address, error, self._timeout)}"
                ) from None
            yield from self._flush_packet()
        finally:
            packets.close()

    def _counted(self, packet: Any) -> Any:
        if packet.pts is not None:
            self._packets_read += shows_frame(packet)
            self._seconds_read = max(self._seconds_read, float((packet.pts + (packet.duration or 0)) * self._base))
        return packet

    def _flush_packet(self) -> Iterator[Any]:
        """Yield the empty packet that makes the decoder return its last frames."""
        packet = av.Packet()
        packet.stream = self._stream
        yield packet

    def _image(self, decoded: av.VideoFrame) -> np.ndarray | None:
        """Return the image upright, uint8 [H, W, 3] BGR, or None where it is broken."""
        if decoded.is_corrupt:
            return None
        matrix = _MATRICES.get(decoded.colorspace)
        # PyAV before 16 reads the matrix only where source and target are given and differ.
        options = {} if matrix is None else {"src_colorspace": matrix, "dst_colorspace": 5}
        orientation = _orientation(decoded)
        try:
            kind = "bgra" if self._blends else "bgr24"
            image = self._reformatter.reformat(decoded, format=kind, **options).to_ndarray()
        except (av.error.FFmpegError, ValueError):
            return None
        return self._cut.turned(_upright(on_white(image), orientation))

    def _timestamp(self, pts: int | None) -> float:
        """Return seconds from the first frame, more than those of the frame before."""
        seconds = None if pts is None else float(pts * self._base)
        if self._untimed:
            seconds = time.monotonic()
        step = float(1 / self._rate) if self._last is not None else 0.0
        following = (self._last or 0.0) + step
        if seconds is None:
            self._last = following
        elif self._clock_offset is None or seconds + self._clock_offset < (self._last or 0.0) - 1.0:
            # The first timestamp, or a joined or restarted stream: continue from the last frame.
            self._clock_offset = following - seconds
            self._last = following
        else:
            self._last = max(seconds + self._clock_offset, (self._last or 0.0) + min(step, 0.001))
        return self._last

    # -- the report --------------------------------------------------------------------------------

    def _report(self) -> None:
        if self._reported or self._info is None:
            return
        self._reported = True
        first = float((self._stream.start_time or 0) * self._base)
        reached = self._seconds_read - first
        expected = self.duration if self.duration and not self._scheme and not self._over else 0.0
        if reached + max(0.5, 0.02 * expected) < expected:
            self.cut_short = True
            self._info(
                f"{self._display_name} is cut short: {reached:.1f} of {expected:.1f} seconds could be read, "
                f"{self._delivered} frames"
            )
        if self.broken:
            frames = "1 broken frame" if self.broken == 1 else f"{self.broken} broken frames"
            self._info(f"{self._display_name}: {frames} left out, {self._delivered} read")


def _orientation(decoded: av.VideoFrame) -> tuple[bool, bool, bool]:
    """Read the display matrix: whether to swap x and y, and then to mirror x and y.

    The matrix maps (x, y) to (a x + c y, b x + d y) and is stored as int32 a, b, u, c, d, v, ...
    """
    try:
        data: Any = decoded.side_data.get("DISPLAYMATRIX")
    except ValueError:
        # PyAV fails where a frame has data of a kind that it does not know yet, such as the Exif block of a JPEG;
        # only the angle is available then.
        return _ORIENTATIONS.get(round(decoded.rotation / 90) % 4, (False, False, False))
    if data is None:
        return False, False, False
    a, b, _, c, d = struct.unpack_from("=5i", memoryview(data))
    return (True, c < 0, b < 0) if abs(b) > abs(a) else (False, a < 0, d < 0)


def _upright(image: np.ndarray, orientation: tuple[bool, bool, bool]) -> np.ndarray:
    swap, mirror_x, mirror_y = orientation
    if swap:
        image = cv2.transpose(image)
    if mirror_x or mirror_y:
        image = cv2.flip(image, -1 if mirror_x and mirror_y else int(mirror_x))
    return np.ascontiguousarray(image)
