"""Where results go: images, videos and JSON files, each written completely or not at all.

A writer creates its folder when it is opened, so that a folder that cannot be written is an error before
any image is processed. Images and JSON files are written under a temporary name in the same folder and then
renamed, so a reader never sees half a file; a file of an earlier run with the same name is replaced.
"""

from __future__ import annotations

import copy
import itertools
import os
import unicodedata
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from .errors import ArgumentError, OutputError, expanded
from .files import create_folder, same_file, write_atomically
from .formats.mmpose_json import VideoJsonWriter, image_json
from .images import encode_image, written_suffix
from .types import MessageCallback, Result

if TYPE_CHECKING:
    from .video.colours import Colours
    from .video.writer import VideoWriter

_Writer = TypeVar("_Writer", bound="_FolderWriter")

SVG = ".svg"
# what a file that the user names may end in
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", SVG)
VIDEO_ENDINGS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".gif")
_KEPT_VIDEO_SUFFIXES = {".mp4", ".m4v", ".mov", ".mkv", ".gif"}  # the others do not hold H.264, or not well


class UniqueStems:
    """Gives every output of one run a stem of its own.

    The first ``face`` keeps its name, later ones become ``face_1``, ``face_2`` and so on. Stems that
    differ only in case or in Unicode composition count as equal, as they do for some file systems.

    Args:
        stems: Stems that will be requested; a renamed one never gets any of them.
    """

    def __init__(self, stems: Iterable[str] = ()) -> None:
        self._reserved = {normalised(stem) for stem in stems}
        self._used: set[str] = set()
        self._last: dict[str, int] = {}  # the last number tried per stem, so that n equal stems cost n steps

    def take(self, stem: str) -> None:
        """Let no later call of `name` return a stem."""
        self._used.add(normalised(stem))

    def name(self, stem: str) -> tuple[str, bool]:
        """Return a stem that no earlier call returned, and whether it differs from ``stem``."""
        if (key := normalised(stem)) not in self._used:
            self._used.add(key)
            return stem, False
        number = self._last.get(key, 0) + 1
        while (new := normalised(f"{stem}_{number}")) in self._used or new in self._reserved:
            number += 1
        self._last[key] = number
        self._used.add(new)
        return f"{stem}_{number}", True


class _FolderWriter:
    """A folder that is created, and checked to be writable, when the writer is opened.

    Args:
        folder: it is created with those above it.
        name: of the one file that is written, whatever its stem; None names each file by its stem.
    """

    def __init__(self, folder: str | os.PathLike[str], name: str | None = None) -> None:
        self.folder = expanded(folder)
        self.name = name
        self.made = create_folder(self.folder)  # folders that are new

    @property
    def target(self) -> Path:
        """The folder, or the one file in it that is written."""
        return self.folder if self.name is None else self.folder / self.name

    def within(self: _Writer, folder: str) -> _Writer:
        """Return the writer of a folder in this one, or of this one for ""; `make_folder` creates it."""
        if not folder or self.name is not None:
            return self
        inner = copy.copy(self)
        inner.folder = self.folder / folder
        return inner

    def make_folder(self) -> None:
        """Create the folder of a writer that `within` returned.

        Raises:
            OutputError: it cannot be written.
        """
        if not self.folder.is_dir():
            create_folder(self.folder)

    def _file(self, stem: str, suffix: str) -> Path:
        return self.folder / (_checked_stem(stem) + suffix if self.name is None else self.name)

    def __enter__(self: _Writer) -> _Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing stays open between two files."""


class ImageWriter(_FolderWriter):
    """Writes images into a folder.

    Raises:
        OutputError: The folder cannot be created or written.
    """

    def path(self, stem: str, suffix: str = ".jpg") -> Path:
        """Return the path to which `write` writes an image with the stem and suffix of its input."""
        return self._file(stem, written_suffix(suffix))

    def free_stem(self, stem: str, suffix: str = ".jpg") -> str:
        """Return a stem of which there is no image yet: the given one, or that with a number."""
        stems = itertools.chain([stem], (f"{stem}_{number}" for number in itertools.count(1)))
        return next(free for free in stems if not os.path.lexists(self.path(free, suffix)))

    def write(self, stem: str, image: np.ndarray, suffix: str = ".jpg", *, new: bool = False) -> Path:
        """Write one image and return its path.

        Args:
            stem: File name without folder and suffix.
            image: uint8 [H, W, 3], BGR; or [H, W, 4] with alpha, for PNG, TIFF and WebP.
            suffix: That of the input. It is kept for JPEG (quality 95), PNG, BMP, TIFF and WebP;
                other kinds become PNG where they are lossless and JPEG where they are not.
            new: There is no such file yet; one that has appeared is left as it is.

        Raises:
            OutputError: The image is too large for its format, or the file cannot be written.
        """
        path = self.path(stem, suffix)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (3, 4) or image.size == 0:
            raise ArgumentError(
                f"an image to write has shape {list(image.shape)} and dtype {image.dtype} "
                "where uint8 [height, width, 3] is needed"
            )
        write_atomically(path, encode_image(image, path.suffix, str(path)), new=new)
        return path

    def video_path(self, stem: str, suffix: str = ".mp4") -> Path:
        """Return the path to which `video` writes a video with the stem and suffix of its input."""
        return self._file(stem, suffix if suffix.lower() in _KEPT_VIDEO_SUFFIXES else ".mp4")

    def video(
        self,
        stem: str,
        suffix: str = ".mp4",
        fps: Fraction | None = None,
        *,
        audio_from: str | None = None,
        colours: Colours | None = None,
        info: MessageCallback | None = None,
    ) -> VideoWriter:
        """Return the writer of a video with this stem; for the other arguments see `limner.video.writer.VideoWriter`.

        Raises:
            OutputError: it cannot be written.
        """
        from .video.colours import BT709
        from .video.writer import VideoWriter

        path = self.video_path(stem, suffix)
        return VideoWriter(path, fps, audio_from=audio_from, colours=colours or BT709, info=info)


class JsonWriter(_FolderWriter):
    """Writes the instances of each image, or of the frames of a video, into a JSON file of MMPose's form.

    Args:
        folder, name: as for every writer of a folder.
        clocked: frames have the number and time of their source; see `VideoJsonWriter`.

    Raises:
        OutputError: The folder cannot be created or written.
    """

    def __init__(self, folder: str | os.PathLike[str], name: str | None = None, *, clocked: bool = False) -> None:
        super().__init__(folder, name)
        self.clocked = clocked

    def path(self, stem: str) -> Path:
        """Return the path to which `write` writes the result with this stem."""
        return self._file(stem, ".json")

    def write(self, stem: str, result: Result, *, new: bool = False) -> Path:
        """Write ``STEM.json``, a list of the instances in their order, and return its path.

        Args:
            stem, result: whose they are.
            new: there is no such file yet; one that has appeared is left as it is.

        Raises:
            OutputError: The file cannot be written.
        """
        path = self.path(stem)
        write_atomically(path, image_json(result), new=new)
        return path

    def video(self, stem: str) -> VideoJsonWriter:
        """Return the writer of ``STEM.json``, the results of a video as a list of its frames, counted from 0.

        Raises:
            OutputError: it cannot be written.
        """
        return VideoJsonWriter(self.path(stem), clocked=self.clocked)


def refuse_overwrite(source: Path | None, target: Path) -> None:
    """Refuse to overwrite an input.

    Raises:
        OutputError: ``target`` is the file that is read.
    """
    if same_file(source, target):
        raise OutputError(f"'{target}' is the input itself and would be overwritten: choose another folder")


# -- names and numbers -----------------------------------------------------------------------------


def normalised(stem: str) -> str:
    """Return what equal stems have in common: some file systems ignore case or Unicode composition."""
    return unicodedata.normalize("NFC", stem.casefold())


def _checked_stem(stem: str) -> str:
    """Return the stem, or raise ArgumentError where it leads out of its folder, as one from an upload might."""
    if not stem or "\0" in stem or os.path.basename(stem) != stem:
        raise ArgumentError(f"{stem!r} is not the stem of a file name; give a name without folders")
    return stem
