"""Where results go: images, videos and JSON files, each written whole or not at all.

A writer makes its folder when it is opened, so that a folder that cannot be written is known before
any image is computed. Every file is written under a temporary name beside its place and then moved
there, so a reader never sees half a file; what an earlier run left under the same name is replaced.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np

from .errors import ArgumentError, OutputError
from .files import open_folder, same_file, write_whole
from .formats.mmpose_json import VideoJsonWriter, image_json
from .types import Result

if TYPE_CHECKING:
    from .video.writer import VideoWriter

_Writer = TypeVar("_Writer", bound="_FolderWriter")


class UniqueStems:
    """Gives every output of one run a stem of its own.

    The first ``face`` keeps its name, later ones become ``face_1``, ``face_2`` and so on. Stems that
    differ only in case or in Unicode composition count as equal, since some file systems say so.

    Args:
        stems: Stems that are known to come; they are never given to a renamed one.
    """

    def __init__(self, stems: Iterable[str] = ()) -> None:
        self._reserved = {_folded(stem) for stem in stems}
        self._given: set[str] = set()
        self._last: dict[str, int] = {}  # the last number tried per stem, so that n equal stems cost n steps

    def name(self, stem: str) -> tuple[str, bool]:
        """Return a stem that no earlier call returned, and whether it differs from ``stem``."""
        if (key := _folded(stem)) not in self._given:
            self._given.add(key)
            return stem, False
        number = self._last.get(key, 0) + 1
        while (new := _folded(f"{stem}_{number}")) in self._given or new in self._reserved:
            number += 1
        self._last[key] = number
        self._given.add(new)
        return f"{stem}_{number}", True


class _FolderWriter:
    """A folder that is made, and proved writable, when the writer is opened."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(os.path.expanduser(folder))
        open_folder(self.folder)

    def __enter__(self: _Writer) -> _Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing stays open between two files."""


class ImageWriter(_FolderWriter):
    """Writes images into a folder.

    Raises:
        OutputError: The folder cannot be made or written.
    """

    def path(self, stem: str, suffix: str = ".jpg") -> Path:
        """Return where `write` puts an image with this stem that came from a file with this ending."""
        return self.folder / (_checked(stem) + _writable_suffix(suffix))

    def write(self, stem: str, image: np.ndarray, suffix: str = ".jpg") -> Path:
        """Write one image and return its path.

        Args:
            stem: File name without folder and ending.
            image: uint8 [H, W, 3], BGR.
            suffix: Ending of the input. It is kept for JPEG (quality 95), PNG, BMP, TIFF and WebP;
                other kinds become PNG where they are lossless and JPEG where they are not.

        Raises:
            OutputError: The image does not fit its format, or the file cannot be written.
        """
        path = self.path(stem, suffix)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise ArgumentError(
                f"an image to write has shape {list(image.shape)} and dtype {image.dtype} "
                "where uint8 [height, width, 3] is needed"
            )
        write_whole(path, _encode(image, path))
        return path

    def video_path(self, stem: str, suffix: str = ".mp4") -> Path:
        """Return where `video` puts the video with this stem that came from a file with this ending."""
        return self.folder / (_checked(stem) + (suffix if suffix.lower() in _KEPT_VIDEOS else ".mp4"))

    def video(
        self,
        stem: str,
        suffix: str = ".mp4",
        fps: Fraction | None = None,
        *,
        audio_from: str | None = None,
        info: Callable[[str], None] | None = None,
    ) -> VideoWriter:
        """Return an open video with this stem; for the other arguments see `limner.video.writer.VideoWriter`.

        Raises:
            OutputError: it cannot be written.
        """
        from .video.writer import VideoWriter

        return VideoWriter(self.video_path(stem, suffix), fps, audio_from=audio_from, info=info)


class JsonWriter(_FolderWriter):
    """Writes the instances of each image, or of the frames of a video, into a JSON file of MMPose's form.

    Raises:
        OutputError: The folder cannot be made or written.
    """

    def path(self, stem: str) -> Path:
        """Return where `write` puts the result with this stem."""
        return self.folder / f"{_checked(stem)}.json"

    def write(self, stem: str, result: Result) -> Path:
        """Write ``STEM.json``, a list of the instances in their order, and return its path.

        Raises:
            OutputError: The file cannot be written.
        """
        path = self.path(stem)
        write_whole(path, image_json(result))
        return path

    def video(self, stem: str) -> VideoJsonWriter:
        """Return an open ``STEM.json`` that takes the results of a video, a list of its frames counted from 0.

        Raises:
            OutputError: it cannot be written.
        """
        return VideoJsonWriter(self.path(stem))


def refuse_overwrite(source: Path | None, target: Path) -> None:
    """Refuse to overwrite an input.

    Raises:
        OutputError: ``target`` is the file that is read.
    """
    if same_file(source, target):
        raise OutputError(f"'{target}' is the input itself and would be overwritten: choose another folder")


# -- names and numbers -----------------------------------------------------------------------------


def _folded(stem: str) -> str:
    return unicodedata.normalize("NFC", stem.casefold())


def _checked(stem: str) -> str:
    """Refuse a stem that would leave its folder, as one from an upload may try."""
    if not stem or "\0" in stem or os.path.basename(stem) != stem:
        raise ArgumentError(f"{stem!r} is not the stem of a file name; give a name without folders")
    return stem


# -- images --------------------------------------------------------------------------------------

_KEPT_VIDEOS = {".mp4", ".m4v", ".mov", ".mkv"}  # the others cannot hold H.264, or only badly
_KEPT = {".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp"}
# OpenCV writes some of these, but a GIF in 256 colours, and .pgm and .pbm only in grey.
_LOSSLESS = {".gif", ".pbm", ".pgm", ".ppm", ".pnm"}
_QUALITY = {
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".jpe": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, 95],
}
_LONGEST_SIDE = {".jpg": 65500, ".jpeg": 65500, ".jpe": 65500, ".webp": 16383}  # of libjpeg and of the WebP format


def _writable_suffix(suffix: str) -> str:
    if suffix.lower() in _KEPT:
        return suffix
    return ".png" if suffix.lower() in _LOSSLESS else ".jpg"


def _encode(image: np.ndarray, path: Path) -> bytes:
    suffix = path.suffix.lower()
    height, width = image.shape[:2]
    # Asked first, because the libraries below print their own complaint.
    if suffix in _LONGEST_SIDE and max(height, width) > _LONGEST_SIDE[suffix]:
        raise OutputError(f"'{path}' cannot be written: {width} x {height} pixels do not fit {suffix}; use .png")
    try:
        done, data = cv2.imencode(suffix, image, _QUALITY.get(suffix, []))
    except cv2.error as error:
        raise OutputError(f"'{path}' cannot be written: OpenCV fails with {error.err!r}; use .png") from None
    if not done:
        raise OutputError(f"'{path}' cannot be written: OpenCV cannot encode it as {suffix}; use .png")
    return data.tobytes()
