"""Skips the beginning of a video file without decoding it, and still knows the number of each later frame."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import av
import av.error

from .common import fraction

# Containers whose packets tell presentation times that do not start anew: in others each frame is decoded.
_FORMATS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
_MARGIN = 2.0  # seconds by which frames may be decoded earlier than they are shown
_MOST_BYTES = 1 << 27  # of packets that wait for a key frame
_HIDDEN_VP8 = 0x10  # the bit of the first byte that is set where a frame is shown


class PacketSkipper:
    """Finds the last key frame at or before a time, and counts the frames before it.

    Where the container has an index (MP4, MOV) what lies before is not even read; elsewhere (Matroska, WebM)
    packets are read and counted, not decoded.

    Args:
        container, stream: of PyAV; its first frame was decoded.
        start: seconds after the first frame.
    """

    def __init__(self, container: Any, stream: Any, start: float) -> None:
        self._container, self._stream = container, stream
        self.finished = container.format.name not in _FORMATS
        self.number: int | None = None  # of the key frame, once it was found
        self._key_pts: int | None = None
        self._base = fraction(stream.time_base)
        self._start = start

    def is_early(self, decoded: av.VideoFrame) -> bool:
        """Return whether a frame that was decoded is shown before the key frame."""
        return self._key_pts is not None and decoded.pts is not None and decoded.pts < self._key_pts

    def skip(self, packets: Iterator[Any], count: int, first_pts: int) -> list[Any]:
        """Return the packets with which decoding goes on; the frame of the first one is number `number`.

        Where `number` stays None there is no key frame to skip to, and nothing was left out.

        Args:
            packets: of the stream, from where it was read.
            count: how many of those before show a frame.
            first_pts: of the first frame.
        """
        self.finished = True
        if self._base is None:
            return []
        target = first_pts + int(self._start / self._base)
        key_frames = self._key_frames_before(target)
        if key_frames and max(key_frames.values()) > count:
            self._container.seek(max(key_frames), stream=self._stream)
            packets, first = _with_first(packets)
            if first not in key_frames:  # an index that is wrong: read everything
                self._container.seek(min(key_frames), stream=self._stream)
                packets, first = _with_first(packets)
            count = 0 if first is None else key_frames.get(first, 0)
        pending: list[Any] = []
        size = 0
        for packet in packets:
            if packet.pts is None:  # the end, or a file without times
                pending.append(packet)
                break
            if packet.is_keyframe and packet.pts <= target and not packet.is_discard:
                pending, size, self.number, self._key_pts = [], 0, count, packet.pts
            elif self._key_pts is not None and packet.pts < self._key_pts and self.number is not None:
                self.number += shows_frame(packet)  # shown before the key frame, though it comes after it
            pending.append(packet)
            size += packet.size
            count += shows_frame(packet)
            if packet.pts > target or size > _MOST_BYTES:
                break
        if self.number is not None:
            self._stream.codec_context.flush_buffers()
        return pending

    def _key_frames_before(self, target: int) -> dict[int, int]:
        """Return the key frames of the index well before a time: their decoding time, and how many frames precede."""
        entries = getattr(self._stream, "index_entries", None)
        if not entries or len(entries) != self._stream.frames or self._base is None:
            return {}  # Matroska's index has only key frames, that of a fragmented file only a part
        shown, found = 0, dict[int, int]()
        for entry in entries:
            if entry.timestamp > target - int(_MARGIN / self._base):
                break
            if entry.is_keyframe:
                found[entry.timestamp] = shown
            shown += not entry.is_discard
        return found


def _with_first(packets: Iterator[Any]) -> tuple[Iterator[Any], int | None]:
    """Return the packets, and the decoding time of the first one."""
    for packet in packets:
        return itertools.chain([packet], packets), packet.dts
    return packets, None


def shows_frame(packet: Any) -> bool:
    """Return whether decoding a packet gives a frame that is shown."""
    if not packet.size or packet.is_discard:
        return False
    if packet.stream.codec_context.name in ("vp8", "libvpx"):
        return bool(bytes(packet)[0] & _HIDDEN_VP8)
    return True
