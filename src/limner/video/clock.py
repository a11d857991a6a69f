"""Numbers and times of the frames of a video by its own clock: a frame that cannot be decoded leaves a gap in both."""

from __future__ import annotations

import heapq
import time
from collections import deque
from fractions import Fraction
from typing import Any

from .skip import shows_frame

# Formats of which FFmpeg reads on after a damaged part, without saying so
_RESUMED = frozenset(("matroska,webm", "flv", "ogg"))
# Formats that begin anywhere, as recordings of what is sent do: frames before the first key frame count nowhere
_CUT_ANYWHERE = frozenset(("mpegts", "mpeg", "h264", "hevc", "vvc", "mpegvideo", "m4v", "rtsp", "rtp", "sdp", "hls"))
_SUSPICION = 64  # frames for which a gap after damage is taken for lost frames
_SET_ANEW = 43200.0  # seconds; no gap is as long
_LONGEST_GAP = 10.0  # seconds; a longer one is a clock that was set


class VideoClock:
    """Gives each decoded frame its number and its time.

    Times are seconds from the first frame on, and always grow. Where the clock steps back, as in files that were
    joined, it goes on from the frame before. Numbers count the frames that the file holds: those that its packets
    tell of, and after damage, those that a constant rate tells of. Frames that an encoder left out were never there.

    Args:
        base: seconds of a tick of the stream.
        rate: frames per second for frames without a time.
        nominal: frames per second as the codec or container declares them.
        demuxer: FFmpeg's name of the container.
        arrival: frames have no times but those of their arrival.
    """

    def __init__(
        self, base: Fraction, rate: Fraction, nominal: Fraction, demuxer: str, *, arrival: bool = False
    ) -> None:
        self.placed = 0  # frames
        self.packets = 0  # that show a frame
        self.missing = 0  # frames before the last one that were not decoded
        self.first_key = 0  # of the first frame, decoded or not, in ticks
        self.last: float | None = None  # time of the last frame, in seconds
        self._base, self._rate, self._nominal, self._arrival = base, rate, nominal, arrival
        # AVI has no presentation times, and FFmpeg's estimates of them are poor
        self._by_decoding = demuxer == "avi"
        self._next = 0  # number of the next frame
        self._begins: int | None = None  # time of the first packet that can be decoded, in ticks
        self._cut_anywhere = demuxer in _CUT_ANYWHERE
        self._offset: float | None = None  # seconds from the video's timestamps to ours
        self._parts: deque[list[int]] = deque([[]])  # times of frames that are expected, in ticks, of each joined part
        self._last_dts: int | None = None
        self._last_key: int | None = None
        self._lost = 0  # frames without a time that were not decoded
        self._suspicion = 0
        self._jumped = False  # so that nothing is known of the frames before the next one
        self._steps = self._single_steps = 0
        self._holes = _Holes(base, nominal, paged=demuxer == "ogg") if demuxer in _RESUMED else None

    def saw(self, packet: Any) -> None:
        """Take note of a packet before it is decoded."""
        if packet.pts is None and packet.dts is None:
            return
        if packet.is_corrupt:
            self._suspicion = _SUSPICION
        if self._holes is not None and self._holes.is_lost_before(packet):
            self._suspicion = _SUSPICION
        if packet.dts is not None:
            if self._last_dts is not None and packet.dts < self._last_dts:
                self._parts.append([])
            self._last_dts = packet.dts
        key = packet.dts if self._by_decoding else packet.pts
        if key is not None and shows_frame(packet):
            self.packets += 1
            if self._begins is None and (packet.is_keyframe or not self._cut_anywhere):
                self._begins = key
            heapq.heappush(self._parts[-1], key)

    def lose(self) -> None:
        """Take note of a frame that could not be decoded."""
        self._suspicion = _SUSPICION
        self._lost += 1

    def is_repeated(self, decoded: Any) -> bool:
        """Return whether a frame is the other part of the one before, which damage cut in two."""
        key = decoded.dts if self._by_decoding else decoded.pts
        if key is None or self._last_key is None or not self._suspicion or len(self._parts) > 1 or self._jumped:
            return False
        regular = self._single_steps >= 0.5 * self._steps > 0
        return regular and -1.0 < float((key - self._last_key) * self._base * self._nominal) < 0.5

    def jump(self, number: int | None) -> None:
        """Go on elsewhere in the file; ``number`` is that of the next frame, None leaves it."""
        self._last_dts = None
        if self._holes is not None:
            self._holes.forget()
        if number is not None:
            self._next = number
            self._parts = deque([[]])
            self._jumped = True

    def place(self, decoded: Any) -> tuple[int, float]:
        """Return the number and the time of a frame."""
        key = decoded.dts if self._by_decoding else decoded.pts
        before, number = self.last, self._next
        lost_first = self._begin(key) if before is None and key is not None and not self._arrival else 0
        if key is None or self._arrival:
            missing = 0 if self._arrival else self._lost
            self.last = self._untimed(missing)
        else:
            joined = self._advance(float(key * self._base))
            if joined and len(self._parts) > 1:
                self._parts.popleft()
            expected = self._expected_before(key)
            known = before is not None and not joined and not self._jumped
            missing = self._gap(expected, (self.last or 0.0) - (before or 0.0)) if known else lost_first
        self._jumped, self._last_key = False, key
        self._lost, self._suspicion = 0, max(0, self._suspicion - 1)
        self.missing += missing
        self.placed += 1
        self._next = number + missing + 1
        return number + missing, self.last or 0.0

    def _begin(self, key: int) -> int:
        """Start the clock before the first frame that could be decoded; return how many frames are missing before it.

        What needs frames before the first packet, as the first images of an open group do, counts nowhere.
        """
        self.first_key = key
        if self._by_decoding and not self._lost:
            return 0  # decoding times of frames that waited for others are late
        if self._begins is None or not self._begins < key or (key - self._begins) * self._base > _LONGEST_GAP:
            return 0
        self.first_key = self._begins
        self._offset = -float(self._begins * self._base)
        return sum(self._begins <= expected < key for expected in self._parts[0])

    def _untimed(self, missing: int) -> float:
        """Return the time of a frame that has none."""
        if self._arrival:
            now = time.monotonic()
            self._offset = -now if self._offset is None else self._offset
            return max(now + self._offset, (self.last or 0.0) + (0.0 if self.last is None else 1e-6))
        return 0.0 if self.last is None else self.last + float((1 + missing) / self._rate)

    def _advance(self, seconds: float) -> bool:
        """Set the time of a frame from its timestamp; return whether the clock was set back before it."""
        if self.last is None and self._offset is not None:  # frames before it are missing
            self.last = seconds + self._offset
            return False
        if self.last is None or self._offset is None:
            self._offset = (0.0 if self.last is None else self.last + float(1 / self._rate)) - seconds
            self.last = seconds + self._offset
            return False
        now = seconds + self._offset
        # FFmpeg takes a clock that was set back by a minute or more for one that has started anew
        joined = now < self.last - 1.0 or (now <= self.last and len(self._parts) > 1) or now > self.last + _SET_ANEW
        if joined:  # go on from the last frame
            following = self.last + float(1 / self._rate)
            self._offset, now = following - seconds, following
        self.last = max(now, self.last + min(float(1 / self._rate), 0.001))
        return joined

    def _expected_before(self, key: int) -> int:
        """Return how many frames were expected before this one and did not come."""
        keys, count = self._parts[0], 0
        while keys and keys[0] < key:
            heapq.heappop(keys)
            count += 1
        if keys and keys[0] == key:
            heapq.heappop(keys)
        return count

    def _gap(self, expected: int, elapsed: float) -> int:
        """Return how many frames are missing before one that comes ``elapsed`` seconds after the last one."""
        steps = elapsed * float(self._nominal)
        on_grid = abs(steps - round(steps)) < 0.25
        regular = self._single_steps >= 0.5 * self._steps
        self._steps += 1
        self._single_steps += round(steps) == 1 and on_grid
        # A packet may hold a field, or nothing new: then no time passes for it.
        missing = expected if self._suspicion or steps >= 0.6 * (expected + 1) else 0
        if self._suspicion and regular and on_grid and elapsed <= _LONGEST_GAP:
            missing = max(0, round(steps) - 1)
        return missing


class _Holes:
    """Finds out where a part of a file was not read: more bytes lie between two packets than the time there explains.

    Args:
        base, rate: seconds of a tick, and frames per second.
        paged: packets have the position of the page that they are in.
    """

    def __init__(self, base: Fraction, rate: Fraction, *, paged: bool = False) -> None:
        self._base, self._rate, self._paged = float(base), float(rate), paged
        self._page = -1  # position of the last page
        self._between_pages = 0  # most bytes that were of something else, such as sound
        self._end: int | None = None  # of the last packet, in bytes
        self._time = 0  # of the last packet, in ticks
        self._between = self._seconds = 0.0  # bytes that were not packets of the stream, such as sound, and their time
        self._bytes = self._packets = 0

    def forget(self) -> None:
        """Take the next packet for the first one."""
        self._end = None

    def is_lost_before(self, packet: Any) -> bool:
        """Return whether packets are missing between this one and the last one."""
        if packet.dts is None or packet.pos is None or packet.pos < 0:
            return False
        if packet.pos == self._page:  # several packets of Ogg are in one page, and have its position
            self._end, self._time = (self._end or 0) + packet.size, packet.dts
            self._bytes, self._packets = self._bytes + packet.size, self._packets + 1
            return False
        lost = False
        if self._paged and self._end is not None and packet.pos > self._end + 512:
            # times are counted from page to page, so that the gap in them comes later
            lost = packet.pos - self._end > 2 * self._between_pages + self._bytes / self._packets
            if not lost:
                self._between_pages = max(self._between_pages, packet.pos - self._end)
        elif self._end is not None and packet.pos >= self._end:
            hole, seconds = packet.pos - self._end, (packet.dts - self._time) * self._base
            frames = seconds * self._rate - 1
            if frames > 0.5:
                usual = seconds * self._between / self._seconds if self._seconds > 0 else 0.0
                lost = hole > 64 + 2 * usual + 0.3 * frames * self._bytes / self._packets
            if not lost:
                self._between, self._seconds = self._between + hole, self._seconds + max(0.0, seconds)
        self._page, self._end, self._time = packet.pos if self._paged else -1, packet.pos + packet.size, packet.dts
        self._bytes, self._packets = self._bytes + packet.size, self._packets + 1
        return lost
