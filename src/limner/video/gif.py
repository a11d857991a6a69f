"""GIF: images in 256 colours, which stay the same while they suit the images."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np

from .common import encode_timed

_SHORTEST = 2  # hundredths of a second: browsers show an image of less for ten
_LEVELS = 32  # of each colour, in the table that leads to the palette
_SAMPLES = 250_000  # pixels from which a palette is made
_FAR = 40  # distance of a colour to the nearest one of the palette that is seen
_DITHER = 6.0  # largest change of a value, so that areas between two colours look even


class GifEncoder:
    """GIF that is repeated for ever.

    Its colours are chosen for an image, and chosen anew when a later image has others. Ordered dithering leaves
    what stands still alone, so that only what moves takes space. Of a rate above 50 images are left out: a GIF
    shows none for less than a fiftieth of a second.

    Args:
        container: PyAV's, open for writing.
        size: (width, height).
        fps: frames per second, None where that is not known.
        ticks: of the timestamps, per second.
    """

    def __init__(self, container: Any, size: tuple[int, int], fps: Fraction | None, ticks: int) -> None:
        self._ticks = ticks
        self._durations: dict[int, int] = {}  # of images in the encoder, by their times: hundredths of a second
        self._last = -_SHORTEST
        self.stream = stream = container.add_stream("gif", rate=fps or Fraction(25))
        stream.width, stream.height = size
        stream.pix_fmt = "pal8"
        stream.codec_context.time_base = Fraction(1, 100)
        stream.time_base = Fraction(1, 100)
        self._lighter, self._darker = _dither(size)
        self._colours: np.ndarray | None = None  # uint8 [256, 3], BGR
        self._table = np.zeros(_LEVELS**3, np.uint8)  # levels of blue, green and red -> the nearest colour
        self._usual = 0.0  # share of the pixels that were far from every colour when these were chosen

    def encode(self, image: np.ndarray, tick: int, lasts: int) -> list[Any]:
        """Return the packets that are ready, for an image, uint8 [H, W, 3] BGR, its time, and how long it is shown."""
        time = round(100 * tick / self._ticks)
        if time - self._last < _SHORTEST:
            return []
        self._last = time
        if self._colours is None or self._share_far(image) > 1.5 * self._usual + 0.002:
            self._choose_colours(image)
        dithered = cv2.subtract(cv2.add(image, self._lighter), self._darker)
        argb = np.full((256, 4), 255, np.uint8)
        argb[:, 1:] = self._colours[:, ::-1]  # type: ignore[index]
        indexed: Any = (self._table[_key(dithered)], argb)
        frame = av.VideoFrame.from_ndarray(indexed, format="pal8")
        frame.pts, frame.time_base = time, Fraction(1, 100)
        self._durations[time] = max(_SHORTEST, round(100 * (tick + lasts) / self._ticks) - time)
        return self._packets(frame)

    def finish(self) -> list[Any]:
        """Return the packets that are left."""
        return self._packets(None)

    def _packets(self, frame: av.VideoFrame | None) -> list[Any]:
        return encode_timed(self.stream, frame, self._durations, _SHORTEST)

    def _choose_colours(self, image: np.ndarray) -> None:
        self._colours = _palette(image)
        levels = np.arange(_LEVELS, dtype=np.float32) * (256 / _LEVELS) + 128 / _LEVELS
        every = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)
        colours = self._colours.astype(np.float32)
        distances = (colours**2).sum(1) - 2 * (every @ colours.T)  # squared, less what all have in common
        self._table = distances.argmin(1).astype(np.uint8)
        self._usual = self._share_far(image)

    def _share_far(self, image: np.ndarray) -> float:
        sample = np.ascontiguousarray(image[::4, ::4])
        shown = self._colours[self._table[_key(sample)]]  # type: ignore[index]
        return float((cv2.absdiff(sample, shown).max(-1) > _FAR).mean())


def _key(image: np.ndarray) -> np.ndarray:
    """Return the place in the table of each pixel, uint16 [H, W]."""
    levels = (image >> 3).astype(np.uint16)
    return (levels[..., 0] << 10) | (levels[..., 1] << 5) | levels[..., 2]


def _palette(image: np.ndarray) -> np.ndarray:
    """Return the 256 colours that suit an image best, uint8 [256, 3] BGR, by FFmpeg's filter palettegen."""
    step = max(1, int((image.shape[0] * image.shape[1] / _SAMPLES) ** 0.5))
    sample = np.ascontiguousarray(image[::step, ::step])
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=sample.shape[1], height=sample.shape[0], format=av.VideoFormat("bgra"), time_base=Fraction(1, 100)
    )
    generate = graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
    sink = graph.add("buffersink")
    source.link_to(generate)
    generate.link_to(sink)
    graph.configure()
    frame = av.VideoFrame.from_ndarray(sample, format="bgr24").reformat(format="bgra")
    frame.pts, frame.time_base = 0, Fraction(1, 100)
    graph.push(frame)
    made: Any = graph.pull()
    colours: np.ndarray = made.to_ndarray(format="bgr24").reshape(-1, 3)
    return colours


def _dither(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return what is added to and subtracted from each pixel, uint8 [H, W, 3]: Bayer's matrix of 8 x 8."""
    matrix = np.zeros((1, 1))
    for _ in range(3):
        matrix = np.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
    change = ((matrix + 0.5) / matrix.size - 0.5) * 2 * _DITHER
    width, height = size
    tiled = np.tile(change, (-(-height // 8), -(-width // 8)))[:height, :width, None].repeat(3, 2)
    return np.rint(tiled.clip(0)).astype(np.uint8), np.rint((-tiled).clip(0)).astype(np.uint8)
