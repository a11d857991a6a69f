"""Decoded frames as BGR images, and the colours in which a video is written, so that a player shows what was read.

Matrices are those of ITU-T H.273. What a video does not say is taken as browsers take it: BT.601 below 720 lines,
BT.709 from there on, and the limited range. Wide gamuts (BT.2020, P3) and HDR (PQ, HLG) become BT.709 by the
converter of FFmpeg, which PyAV offers from release 17 on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import av
import av.error
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from ..errors import InputError
from .geometry import side_data

HD_LINES = 720  # from which on untagged colours are BT.709
_UNKNOWN = frozenset((2, 3))  # of AVColorSpace: unspecified, reserved
# AVColorSpace -> the matrix of swscale, where it is not BT.601; BT.2020 with constant luminance is nearly the other
_MATRICES = {1: 1, 4: 4, 7: 7, 9: 9, 10: 9}
_FROM_PRIMARIES = frozenset((12, 13))  # of AVColorSpace: matrices that follow from the primaries
_YCGCO = 8
_NAMES = {11: "YDzDx", 14: "ICtCp", 15: "IPT", 16: "YCgCo-R", 17: "YCgCo-R"}
_WIDE = frozenset((9, 11, 12))  # of AVColorPrimaries: BT.2020, DCI-P3, Display P3
_HDR = {16: "PQ", 18: "HLG"}  # of AVColorTransferCharacteristic
_SDR = frozenset((1, 4, 5, 6, 7, 8, 11, 13, 14, 15))  # those that the converter knows
_BT709, _SRGB = 1, 13  # of AVColorTransferCharacteristic; the first one of AVColorPrimaries, too
# codecs whose luma alone has the limited range unless they say otherwise
_LIMITED_CODECS = frozenset(("h264", "hevc", "av1", "libdav1d", "libaom-av1", "vp9", "mpeg2video", "mpeg4", "vvc"))
# Y, Cg, Co, less their offsets -> B, G, R
_YCGCO_TO_BGR = np.array([[1, -1, -1], [1, 1, 0], [1, -1, 1]], np.float64)


@dataclass(frozen=True)
class Colours:
    """How the numbers of a video are to be shown, by ITU-T H.273.

    Args:
        matrix: 1 for BT.709, 5 or 6 for BT.601.
        primaries, transfer: AVColorPrimaries and AVColorTransferCharacteristic.
    """

    matrix: int = 1
    primaries: int = 1
    transfer: int = 1


BT709 = Colours()
# Converters that mapped a video which is closed: making their tables takes seconds, and clips of a camera are alike.
_idle_mappers: list[VideoReformatter] = []


class ColourConverter:
    """Converts the frames of one video; the first frame says what is done.

    Args:
        name: of the video, for errors.
        lines: of the displayed, unturned image.
        codec: FFmpeg's name of the decoder.
    """

    def __init__(self, name: str, lines: int, codec: str = "") -> None:
        self._name, self._lines, self._codec = name, lines, codec
        self._reformatter = VideoReformatter()
        self._mapper: VideoReformatter | None = None
        self.remark: str | None = None  # a sentence about colours that could not be converted rightly

    def bgr(self, decoded: av.VideoFrame, *, alpha: bool = False) -> np.ndarray | None:
        """Return a frame as uint8 [H, W, 3] BGR, or [H, W, 4] with ``alpha``; None where it is damaged.

        Raises:
            InputError: its colours are of a kind that cannot be converted.
        """
        matrix = _tag(decoded, "colorspace")
        if matrix in _NAMES:
            raise InputError(
                f"{self._name} has colours by the matrix {_NAMES[matrix]}, which FFmpeg's converter does not know; "
                "convert it first, with its own program, to BT.709"
            )
        try:
            if matrix == _YCGCO:
                return self._from_ycgco(decoded)
            return self._converted(decoded, matrix, "bgra" if alpha else "bgr24")
        except (av.error.FFmpegError, ValueError):
            return None

    def _converted(self, decoded: av.VideoFrame, matrix: int, kind: str) -> np.ndarray:
        primaries, transfer = _tag(decoded, "color_primaries"), _tag(decoded, "color_trc")
        options = self._options(decoded.format.name, matrix, primaries)
        if primaries in _WIDE or transfer in _HDR:
            mapped = self._mapped(decoded, kind, options, transfer)
            if mapped is not None:
                return mapped
        image: np.ndarray = self._reformatter.reformat(decoded, format=kind, **options).to_ndarray()
        if decoded.format.name.startswith("gray") and self._is_limited(decoded):
            image = cv2.LUT(image, _EXPANDED)  # the converter takes luma alone for the full range
        return image

    def _options(self, layout: str, matrix: int, primaries: int) -> dict[str, Any]:
        """Return the matrices for the converter; {} leaves them to it."""
        # PyAV before 16 reads the matrix only where source and target are given and differ.
        if matrix in _FROM_PRIMARIES:
            return {"src_colorspace": {1: 1, 9: 9}.get(primaries, 5), "dst_colorspace": 5}
        if matrix in _UNKNOWN and "yuv" in layout and self._lines >= HD_LINES:
            matrix = 1
        source = _MATRICES.get(matrix)
        return {} if source is None else {"src_colorspace": source, "dst_colorspace": 5}

    def _mapped(self, decoded: av.VideoFrame, kind: str, options: dict[str, Any], transfer: int) -> np.ndarray | None:
        """Return a frame of wide gamut or HDR in BT.709, None where this PyAV cannot do that."""
        target = _BT709 if transfer in _HDR or transfer not in _SDR else transfer
        if self._mapper is None:
            self._mapper = _idle_mappers.pop() if _idle_mappers else VideoReformatter()
        try:
            frame = self._mapper.reformat(
                _steady(decoded), format=kind, **options, dst_color_trc=target, dst_color_primaries=_BT709
            )
        except (av.error.FFmpegError, TypeError, ValueError):
            what = f"HDR ({_HDR[transfer]}), and looks" if transfer in _HDR else "of a wide gamut, and looks slightly"
            self.remark = f"{self._name} is {what} grey, as PyAV {av.__version__} cannot map it; pip install -U av"
            return None
        image: np.ndarray = frame.to_ndarray()
        return image

    def _from_ycgco(self, decoded: av.VideoFrame) -> np.ndarray:
        limited = self._is_limited(decoded)
        frame = self._reformatter.reformat(decoded, format="yuv444p", src_colorspace=5, dst_colorspace=5)
        planes = np.ascontiguousarray(frame.to_ndarray().transpose(1, 2, 0))
        luma, chroma, black = (255 / 219, 255 / 224, 16.0) if limited else (1.0, 1.0, 0.0)
        mix = _YCGCO_TO_BGR * (luma, chroma, chroma)
        shift = -mix @ np.array([black, 128.0, 128.0])
        return cv2.transform(planes, np.column_stack([mix, shift]))

    def _is_limited(self, decoded: av.VideoFrame) -> bool:
        levels = _tag(decoded, "color_range")
        if decoded.format.name.startswith("gray") and levels not in (1, 2):
            return self._codec in _LIMITED_CODECS
        return levels != 2 and not decoded.format.name.startswith("yuvj")

    def close(self) -> None:
        """Leave what is expensive to make to the next video."""
        if self._mapper is not None:
            _idle_mappers[:] = [self._mapper]
            self._mapper = None

    def written(self, decoded: av.VideoFrame) -> Colours:
        """Return the colours in which a video of such frames is written."""
        matrix, primaries = _tag(decoded, "colorspace"), _tag(decoded, "color_primaries")
        transfer = _tag(decoded, "color_trc")
        if primaries in _WIDE or transfer in _HDR or not decoded.format.name.startswith("yuv"):
            return BT709
        if matrix in _UNKNOWN:
            matrix = 1 if self._lines >= HD_LINES else 6
        standard = 1 if matrix not in (5, 6) else matrix
        return Colours(
            standard,
            primaries if primaries in (1, 5, 6) else standard,
            transfer if transfer in (1, 6, _SRGB) else (1 if standard == 1 else 6),
        )


def _steady(decoded: av.VideoFrame) -> av.VideoFrame:
    """Return a frame without the data of HDR10+, which differ from scene to scene: each would make new tables."""
    try:
        if side_data(decoded).get("DYNAMIC_HDR_PLUS") is None:
            return decoded
        frame = av.VideoFrame.from_ndarray(decoded.to_ndarray(), format=decoded.format.name)
    except (KeyError, ValueError):  # PyAV knows no such data, or no array of such a frame
        return decoded
    for name in ("colorspace", "color_range", "color_primaries", "color_trc"):
        setattr(frame, name, getattr(decoded, name))
    return frame


def _tag(decoded: av.VideoFrame, name: str) -> int:
    return int(getattr(decoded, name, 2))  # PyAV 15 does not tell all of them


_EXPANDED = np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)
