"""What all readers and writers of files share: suffixes, folders, atomic writes, reasons of failures, JSON values."""

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

RESULTS_FOLDER = "limner-out"  # where `limner run` writes unless a folder is given

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
    """Return the URL fit for messages and outputs: user and password become ``***``.

    In a password that should have been escaped, ``/``, ``@`` and ``#`` are part of it: where there may be
    one, all up to the last ``@`` goes, rather a piece of the path too than half a password left.
    """
    return re.sub(r"(?<=://)(?:[^/?#@:[]*:.*|[^/?#]*)@", "***@", address, count=1, flags=re.DOTALL)


def create_folder(folder: Path) -> None:
    """Create ``folder`` and check with a test file that it can be written (permission bits are not reliable)."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        test_file = temporary_path(folder)
        test_file.touch(exist_ok=False)
        test_file.unlink()
    except (OSError, ValueError) as error:
        raise OutputError(f"the folder '{folder}' cannot be written: {write_failure_reason(folder, error)}") from None


def create_parent_folder(path: Path) -> None:
    """Create the folder of ``path`` and check with a test file that it can be written."""
    try:
        is_folder = path.is_dir()
        if path.exists() and not is_folder and not path.is_file():
            return  # a pipe or device is opened as it is
    except (OSError, ValueError) as error:
        raise write_error(path, error) from None
    if is_folder:
        raise OutputError(f"'{path}' cannot be written: a folder of that name is in the way; choose another name")
    create_folder(path.parent)


def same_file(path: Path | None, other: Path) -> bool:
    """Return whether two paths lead to the same existing file."""
    with suppress(OSError, ValueError):
        return path is not None and os.path.samefile(path, other)
    return False


def incomplete_mark(path: Path) -> Path:
    """Return the name of the mark beside a file that is being written over some time, or was cut short."""
    return path.with_name(f"{path.name}.incomplete")


def mark_incomplete(path: Path) -> None:
    """Mark a file as one that is not finished, also for whoever looks into its folder.

    Raises:
        OutputError: the mark cannot be written.
    """
    text = f"{path.name} is being written, or was cut short; limner run ... --skip-existing makes it again\n"
    try:
        incomplete_mark(path).write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise write_error(path, error) from None


def mark_complete(path: Path) -> None:
    """Remove the mark of `mark_incomplete`, if there is one."""
    with suppress(OSError):
        incomplete_mark(path).unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` so that ``path`` holds either all of it or what it held before."""
    temporary = temporary_path(path.parent)
    try:
        try:
            with temporary.open("xb") as file:
                file.write(data)
            os.replace(temporary, path)
        finally:
            with suppress(OSError):  # it was renamed where all went well
                temporary.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        raise OutputError(f"'{path}' cannot be written: {write_failure_reason(path, error)}") from None


def temporary_path(folder: Path) -> Path:
    """Return a new path for a temporary file; the name is short, whatever the length of the target's."""
    return folder / f".limner-{secrets.token_hex(6)}.tmp"


def write_failure_reason(path: Path, error: Exception) -> str:
    """Return in half a sentence why ``path`` cannot be written and what to do."""
    number = getattr(error, "errno", None)
    for parent in [*reversed(path.parents), path]:
        if number in (errno.EEXIST, errno.ENOTDIR) and os.path.lexists(parent) and not os.path.isdir(parent):
            return f"the file '{parent}' is in the way; remove it or choose another folder"
    if number in (errno.EISDIR, errno.ENOTEMPTY):
        return "a folder of that name is in the way; remove it or choose another folder"
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "no space is left; free some or choose another disk"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "permission denied; change the folder's permissions or choose another folder"
    if number == errno.ENAMETOOLONG:
        return "its name is too long; use shorter names"
    return f"{str(getattr(error, 'strerror', None) or error).lower()}; choose another folder"


def write_error(path: Path, error: Exception) -> OutputError:
    """Return an OutputError that says why ``path`` cannot be written and what to do."""
    return OutputError(f"'{path}' cannot be written: {write_failure_reason(path, error)}")
