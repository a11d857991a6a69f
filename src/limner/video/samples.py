"""How many frames the index of an MP4 declares: FFmpeg makes room for each, also for those that are not there.

Layout: ISO/IEC 14496-12, boxes stsz and trun.
"""

from __future__ import annotations

import os
import struct

from ..errors import InputError
from ..images.heif import boxes

_INDEX = 1 << 28  # bytes of the longest index that is looked into
_PACKED = 8  # samples of sound in a byte at most, in old QuickTime files, of which FFmpeg keeps no index of each
_WITHIN = frozenset((b"trak", b"mdia", b"minf", b"stbl", b"traf"))


def check_index(path: str) -> None:
    """Refuse an MP4 whose index declares more samples than its file has bytes.

    Raises:
        InputError: it does.
        OSError: it cannot be read.
    """
    if not os.path.isfile(path):
        return  # a pipe
    with open(path, "rb") as file:
        length = file.seek(0, os.SEEK_END)
        at = 0
        file.seek(0)
        start = file.read(16)
        if start[4:8] not in (b"ftyp", b"moov", b"styp", b"moof", b"wide", b"free", b"skip", b"mdat"):
            return
        while at + 8 <= length:
            file.seek(at)
            header = file.read(16)
            if len(header) < 8:
                return
            size, kind = struct.unpack_from(">I4s", header)
            head = 8
            if size == 1 and len(header) == 16:
                size, head = struct.unpack_from(">Q", header, 8)[0], 16
            size = size or length - at
            if size < head:
                return
            if kind in (b"moov", b"moof"):
                file.seek(at + head)
                content = file.read(min(size - head, length - at, _INDEX))
                if _most(content, 0, len(content)) > length:
                    raise InputError(
                        f"'{path}' is damaged, or made to exhaust a decoder: its index declares more frames than its "
                        "file has bytes; copy it again"
                    )
            at += size


def _most(data: bytes, begin: int, end: int, depth: int = 0) -> int:
    """Return how many bytes the samples of a track or a run have at least, where it does not say a size for each."""
    most, sound = 0, False
    for kind, start, stop in boxes(data, begin, end):
        if kind in _WITHIN and depth < 5:
            most = max(most, _most(data, start, stop, depth + 1))
        elif kind == b"stsz" and stop - start >= 12:
            size, count = struct.unpack_from(">II", data, start + 4)
            most = max(most, size * count if size else 0)
        elif kind == b"trun" and stop - start >= 8:
            most = max(most, struct.unpack_from(">I", data, start + 4)[0])
        elif kind == b"hdlr":
            sound = data[start + 8 : start + 12] == b"soun"
    return most // _PACKED if sound else most
