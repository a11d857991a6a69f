"""What all readers and writers of files share: endings, folders, whole writes, reasons of failures, JSON values."""

from __future__ import annotations

import errno
import math
import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from .errors import OutputError

# fmt: off
IMAGE_SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".gif", ".jp2", ".avif",
    ".pbm", ".pgm", ".ppm", ".pnm",
    ".heic", ".heif",  # cannot be decoded: listed so that a phone's images are an error with advice, not a notice
))
VIDEO_SUFFIXES = frozenset((
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".3g2", ".ogv", ".asf",
    ".ts", ".mts", ".m2ts", ".vob", ".mxf", ".f4v", ".m3u8", ".mjpg", ".mjpeg", ".y4m", ".h264", ".264", ".hevc",
    ".265",
))
# fmt: on

_FLOAT32_MAX = float(np.finfo(np.float32).max)


def plain_json(value: object) -> object:
    """Make ``value`` fit for JSON: the shortest decimals that give the same float32, null for NaN and infinity."""
    if isinstance(value, (np.ndarray, np.generic)):
        return plain_json(value.tolist())
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        if abs(value) > _FLOAT32_MAX:
            return value
        # 51.75607 instead of 51.75606918334961, the digits beyond float32 being noise; a number that
        # was no float32 to begin with keeps all of its digits.
        single = np.float32(value)
        short = float(str(single))
        return short if float(single) == value and np.float32(short) == single else value
    if isinstance(value, (list, tuple)):
        return [plain_json(entry) for entry in value]
    if isinstance(value, Mapping):
        return {key: plain_json(entry) for key, entry in value.items()}
    return value


def without_password(address: str) -> str:
    """Return the address fit for messages and outputs: user and password become ``***``.

    In a password that should have been escaped, ``/``, ``@`` and ``#`` are part of it: where there may be
    one, all up to the last ``@`` goes, rather a piece of the path too than half a password left.
    """
    return re.sub(r"(?<=://)(?:[^/?#@:[]*:.*|[^/?#]*)@", "***@", address, count=1, flags=re.DOTALL)


def open_folder(folder: Path) -> None:
    """Make ``folder`` and prove with a trial file that it can be written (permission bits do not tell)."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial = temporary_in(folder)
        trial.touch(exist_ok=False)
        trial.unlink()
    except (OSError, ValueError) as error:
        raise OutputError(f"the folder '{folder}' cannot be written: {why_unwritable(folder, error)}") from None


def open_folder_of(path: Path) -> None:
    """Make the folder of ``path`` and prove with a trial file that it can be written."""
    try:
        taken = path.is_dir()
    except (OSError, ValueError) as error:
        raise unwritable(path, error) from None
    if taken:
        raise OutputError(f"'{path}' cannot be written: a folder of that name is in the way; choose another name")
    open_folder(path.parent)


def same_file(one: Path | None, other: Path) -> bool:
    """Tell whether two paths lead to one file that exists."""
    with suppress(OSError, ValueError):
        return one is not None and os.path.samefile(one, other)
    return False


def write_whole(path: Path, data: bytes) -> None:
    """Write ``data`` so that ``path`` holds either all of it or what it held before."""
    temporary = temporary_in(path.parent)
    try:
        try:
            with temporary.open("xb") as file:
                file.write(data)
            os.replace(temporary, path)
        finally:
            with suppress(OSError):  # it is gone where all went well
                temporary.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        raise OutputError(f"'{path}' cannot be written: {why_unwritable(path, error)}") from None


def temporary_in(folder: Path) -> Path:
    """A short name, as that of the target may be as long as the file system allows."""
    return folder / f".limner-{secrets.token_hex(6)}.tmp"


def why_unwritable(path: Path, error: Exception) -> str:
    """Say in half a sentence why ``path`` failed and what to do."""
    number = getattr(error, "errno", None)
    for place in [*reversed(path.parents), path]:
        if number in (errno.EEXIST, errno.ENOTDIR) and os.path.lexists(place) and not os.path.isdir(place):
            return f"the file '{place}' is in the way; remove it or choose another folder"
    if number in (errno.EISDIR, errno.ENOTEMPTY):
        return "a folder of that name is in the way; remove it or choose another folder"
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "no space is left; free some or choose another disk"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "permission denied; change the folder's permissions or choose another folder"
    if number == errno.ENAMETOOLONG:
        return "its name is too long; use shorter names"
    return f"{str(getattr(error, 'strerror', None) or error).lower()}; choose another folder"


def unwritable(path: Path, error: Exception) -> OutputError:
    """Return an OutputError that says why ``path`` cannot be written and what to do."""
    return OutputError(f"'{path}' cannot be written: {why_unwritable(path, error)}")
