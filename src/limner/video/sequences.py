"""Images as one video: numbered files, pages of a TIFF, animated WebP and AVIF, arrays of the caller."""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence, Sized
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from ..errors import InputError
from ..images import decode_image, headers, heif, image_from_array, kind_of, limits, tiff
from ..types import Frame, MessageCallback
from .animations import Animation
from .common import quiet_opencv, tidy_rate
from .cut import WHOLE, Cut

DEFAULT_FPS = 30.0  # of numbered images and arrays
PAGES_FPS = 1.0  # of the pages of a TIFF
_CHUNK_BYTES = 1 << 28  # of decoded images that are held at once
_CHUNK_PAGES = 16
_SLOWEST = Fraction(1, 1000)  # images a second
_BLEND_PIXELS = 1 << 20
_SHORTEST = 11  # milliseconds: images that shall be shown for less are shown for `_SLOWER`, as in browsers
_SLOWER = 100


class ImageSequence:
    """Images that are read one after the other, like a video: the base of the classes below.

    Args:
        name: the `source` of its frames.
        fps: frames per second.
        count: how many images there are, None where that is not known.
        cut: which of them are taken.
        times: seconds at which each image begins, from the first one on, and at which the last one ends; None spaces
            them by ``fps``.
        info: called with a sentence where images are left out because they are damaged.

    Raises:
        InputError: it ends before the start of the cut.
    """

    live = False
    has_audio = False
    sound_from: str | None = None
    size: tuple[int, int] | None = None  # (width, height), where it is known before the first image is read

    def __init__(
        self,
        name: str,
        fps: float | Fraction,
        count: int | None,
        cut: Cut,
        times: Sequence[float] | None = None,
        info: MessageCallback | None = None,
    ) -> None:
        self.name = name
        self.broken = 0  # images left out because they are damaged
        self._rate, self._total, self._cut, self._times, self._info = tidy_rate(fps), count, cut, times, info
        self.fps = self._rate / cut.every
        self.count = cut.count(count, self._rate)
        self.duration = None if count is None else float(count / self._rate)
        cut.check(f"'{name}'", self.duration)
        self._closed = False

    def _read(self, index: int) -> np.ndarray | Frame | None:
        """Return an image, uint8 [H, W, 3] BGR, or a frame that says its own source; raise IndexError after the last.

        It is None where the image is damaged.
        """
        raise NotImplementedError

    def _time(self, index: int) -> float:
        return self._times[index] if self._times is not None else float(index / self._rate)

    def _lasts(self, index: int) -> float | None:
        """Return the seconds for which an image is shown: up to the next one that is taken, or to the end."""
        following = index + 1
        while following < index + self._cut.every and not self._is_last(following):
            following += 1
        return self._cut.lasts(self._time(index), self._time(following) - self._time(index))

    def _is_last(self, index: int) -> bool:
        return (self._total is not None and index >= self._total) or self._cut.is_over(self._time(index))

    def __iter__(self) -> Generator[Frame, None, None]:
        first: int | None = None
        index = 0
        while not self._closed and (self._total is None or index < self._total):
            timestamp = self._time(index)
            if self._cut.is_over(timestamp):
                break
            if self._cut.takes(index, timestamp, first):
                try:
                    image = self._read(index)
                except IndexError:
                    break
                first = index if first is None else first
                if image is None:
                    self.broken += 1
                else:
                    yield replace(self._frame(image, index, timestamp), duration=self._lasts(index))
            index += 1
        if first is None and self._cut.shortens and index:
            count = index if self._total is None else self._total
            raise self._cut.nothing(f"'{self.name}'", self._time(count - 1) + float(1 / self._rate))
        if self.broken and self._info is not None:
            images = "1 damaged image" if self.broken == 1 else f"{self.broken} damaged images"
            self._info(f"'{self.name}': {images} left out")

    def _frame(self, image: np.ndarray | Frame, index: int, timestamp: float) -> Frame:
        turned = self._cut.turned
        if not isinstance(image, Frame):
            return Frame(turned(image), self.name, index, timestamp)
        alpha = None if image.alpha is None else turned(image.alpha)
        return replace(image, image=turned(image.image), alpha=alpha, index=index, timestamp=timestamp)

    def __enter__(self) -> ImageSequence:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Read no further image."""
        self._closed = True


class NumberedImages(ImageSequence):
    """Image files as the frames of one video, in the order given; a frame's number is its place in that order.

    Args:
        paths: the files.
        name: the pattern or folder that named them.
        fps: frames per second.
        cut, info: see `ImageSequence`.
        max_pixels: of an image, see `limner.images.decode_image`.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        name: str,
        fps: float | None = None,
        *,
        cut: Cut = WHOLE,
        info: MessageCallback | None = None,
        max_pixels: int | None = None,
    ) -> None:
        self._paths, self._max_pixels = paths, max_pixels
        super().__init__(name, fps or DEFAULT_FPS, len(paths), cut, info=info)

    def _read(self, index: int) -> np.ndarray | None:
        path = self._paths[index]
        data = _content(path)
        try:
            return decode_image(data, str(path), max_pixels=self._max_pixels)
        except limits.TooLargeError:
            raise
        except InputError:
            return None


class Pages(ImageSequence):
    """The pages of a TIFF, each a frame.

    Args:
        path: the file.
        animation: what its header says.
        fps: pages per second.
        name, cut, info: see `ImageSequence`.
        max_pixels: of a page, see `limner.images.decode_image`.

    Raises:
        InputError: a page is too large.
    """

    def __init__(
        self,
        path: Path,
        animation: Animation,
        fps: float | None = None,
        *,
        name: str = "",
        cut: Cut = WHOLE,
        info: MessageCallback | None = None,
        max_pixels: int | None = None,
    ) -> None:
        super().__init__(name or str(path), fps or PAGES_FPS, len(animation.pages), cut, info=info)
        self._data = np.memmap(path, np.uint8, "r")
        self._memory = 1  # bytes that decoding the largest page takes
        wanted = set(animation.pages)
        with path.open("rb") as file, suppress(struct.error, ValueError, OSError):  # where it ends
            for directory in tiff.directories(file, headers.TIFF_FIELDS):
                if directory.number in wanted:
                    header = headers.tiff_header(directory)
                    limits.check_size(header, self._data.size, self.name, max_pixels)
                    self._memory = max(self._memory, int(header.pixels * header.each))
                    wanted.remove(directory.number)
        self._pages = tuple(page for page in animation.pages if page not in wanted)
        self._chunk: dict[int, np.ndarray] = {}  # page -> image

    def _read(self, index: int) -> np.ndarray | None:
        page = self._pages[index]
        if page not in self._chunk:
            several = max(1, min(_CHUNK_PAGES, _CHUNK_BYTES // self._memory))
            last = self._pages[min(index + several, len(self._pages)) - 1] + 1
            self._chunk = {}
            # OpenCV reads no page of a range that has a damaged one.
            for end in (last, page + 1) if self._cut.every == 1 else (page + 1,):
                images = _decoded_pages(self._data, page, end)
                if images:
                    self._chunk = dict(zip(range(page, end), images, strict=False))
                    break
        return self._chunk.pop(page, None)


class AnimatedImage(ImageSequence):
    """The images of an animated WebP or AVIF, each at its own time; what is transparent becomes white.

    Args:
        path: the file.
        animation: what its header says.
        name, cut, info: see `ImageSequence`.
        max_pixels: of an image, see `limner.images.decode_image`.

    Raises:
        InputError: it cannot be decoded, or is too large.
    """

    def __init__(
        self,
        path: Path,
        animation: Animation,
        *,
        name: str = "",
        cut: Cut = WHOLE,
        info: MessageCallback | None = None,
        max_pixels: int | None = None,
    ) -> None:
        if not hasattr(cv2, "imdecodeanimation"):
            raise InputError(
                f"'{path}' is an animated {animation.kind}, which OpenCV {cv2.__version__} cannot read; "
                'pip install -U "opencv-python-headless>=4.11,<5"'
            )
        self._path = path
        content = _content(path)
        header = headers.header_of(kind_of(content) or "", content)
        delays = list(animation.delays) or heif.delays(content)
        if header is None or not delays:
            raise InputError(f"'{path}' is damaged or cut short; copy it again")
        limits.check_size(header, len(content), name or str(path), max_pixels)
        self._data = np.frombuffer(content, np.uint8).reshape(1, -1)
        self._chunk, self._from = self._decode(0, 1), 0
        height, width = self._chunk[0].shape[:2]
        self._per_chunk = max(1, _CHUNK_BYTES // (4 * height * width))
        delays = [_SLOWER if delay < _SHORTEST else delay for delay in delays]
        times = [milliseconds / 1000 for milliseconds in accumulate(delays, initial=0)]
        self.size = cut.turned_size((width, height))
        rate = max(Fraction(1000 * len(delays), sum(delays)), _SLOWEST)
        super().__init__(name or str(path), rate, len(delays), cut, times, info)

    def _read(self, index: int) -> np.ndarray | None:
        if not self._from <= index < self._from + len(self._chunk):
            self._chunk, self._from = self._decode(index, self._per_chunk), index
        return on_white(self._chunk[index - self._from])

    def _decode(self, start: int, count: int) -> list[np.ndarray]:
        try:
            with quiet_opencv():
                done, decoded = cv2.imdecodeanimation(self._data, start, count)
        except cv2.error:
            done, decoded = False, None
        if not done or decoded is None or not len(decoded.frames):
            raise InputError(f"'{self._path}' is damaged or cut short; copy it again")
        return list(decoded.frames)


class Arrays(ImageSequence):
    """Images of the caller, one after the other, as the frames of a video; they are pulled as they are needed.

    Args:
        images: an iterable of uint8 [H, W, 3] BGR or whatever else ``convert`` takes.
        fps: frames per second.
        cut: see `ImageSequence`.
        convert: makes of an item and its name an image, uint8 [H, W, 3] BGR, or a frame.
    """

    def __init__(
        self,
        images: Iterable[Any],
        fps: float | None = None,
        *,
        cut: Cut = WHOLE,
        convert: Callable[[Any, str], np.ndarray | Frame] = image_from_array,
    ) -> None:
        count = len(images) if isinstance(images, Sized) else None
        super().__init__("array", fps or DEFAULT_FPS, count, cut)
        self._images: Iterator[Any] | None = None
        self._given, self._convert, self._pulled = images, convert, 0

    def _read(self, index: int) -> np.ndarray | Frame | None:
        if self._images is None:
            self._images = iter(self._given)
        for image in self._images:
            self._pulled += 1
            if self._pulled > index:
                return self._convert(image, f"frame {index}")
        self._total = self._pulled
        raise IndexError

    def close(self) -> None:
        """Pull no further image, and end a generator of the caller."""
        super().close()
        if isinstance(self._images, Generator):
            self._images.close()


def on_white(image: np.ndarray) -> np.ndarray:
    """Return an image, uint8 [H, W, 3] BGR, as it is, and one with alpha, [H, W, 4] BGRA, on white."""
    if image.ndim == 2:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    if image.shape[2] == 3:
        return image
    if image[..., 3].min() == 255:
        return np.ascontiguousarray(image[..., :3])
    blended = np.empty((*image.shape[:2], 3), np.uint8)
    rows = max(1, _BLEND_PIXELS // image.shape[1])
    for top in range(0, len(image), rows):  # a part at a time, as floats take four times the memory
        part = image[top : top + rows]
        weight = cv2.merge([part[..., 3]] * 3).astype(np.float32) / 255
        blended[top : top + rows] = np.rint(part[..., :3] * weight + 255 * (1 - weight))
    return blended


def _content(path: Path) -> bytes:
    """Return the content of the file of an image or animation."""
    try:
        if path.stat().st_size > limits.MAX_BYTES:
            raise InputError(f"'{path}' is more than {limits.MAX_BYTES >> 20} MB, too large for an image")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"'{path}' cannot be read: {(error.strerror or str(error)).lower()}") from None


def _decoded_pages(data: np.ndarray, start: int, end: int) -> list[np.ndarray]:
    try:
        with quiet_opencv():
            done, images = cv2.imdecodemulti(data, cv2.IMREAD_COLOR, None, (start, end))
    except cv2.error:
        return []
    if not done or any(image is None for image in images):
        return []
    return list(images)
