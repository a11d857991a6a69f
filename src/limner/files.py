"""What all readers and writers of files share: suffixes, folders, atomic writes, reasons of failures, JSON values."""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from .errors import OutputError, printable

# fmt: off
IMAGE_SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".gif", ".jp2", ".avif",
    ".pbm", ".pgm", ".ppm", ".pnm",
    ".heic", ".heif", ".hif", ".jxl",  # decoded by optional packages, and an error with advice without them
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


def compact_json(value: object) -> str:
    """Return a value as JSON without blanks, of ASCII alone, made fit by `plain_json`."""
    return json.dumps(plain_json(value), allow_nan=False, separators=(",", ":"))


def dangling(link: Path) -> str:
    """Return the sentence for a link that leads nowhere."""
    try:
        target = os.readlink(link)
    except OSError:
        target = "something else"
    return f"'{link}' is a link to '{target}', which does not exist; restore that file or give another one"


def create_folder(folder: Path) -> list[Path]:
    """Create ``folder`` and check with a test file that it can be written (permission bits are not reliable).

    Returns:
        the folders that are new, the outer ones first.
    """
    made: list[Path] = []
    try:
        made = [path for path in (*reversed(folder.parents), folder) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        test_file = temporary_path(folder)
        test_file.touch(exist_ok=False)
        test_file.unlink()
    except (OSError, ValueError) as error:
        remove_empty(made)
        raise OutputError(f"the folder '{folder}' cannot be written: {write_failure_reason(folder, error)}") from None
    return made


def remove_empty(folders: Sequence[Path]) -> None:
    """Remove the folders that `create_folder` has created, as far as there is nothing in them."""
    for folder in reversed(folders):
        with suppress(OSError, ValueError):  # the second for a name that none can have
            folder.rmdir()


def create_parent_folder(path: Path) -> list[Path]:
    """Create the folder of ``path`` and check with a test file that it can be written; see `create_folder`."""
    try:
        is_folder = path.is_dir()
        if path.exists() and not is_folder and not path.is_file():
            return []  # a pipe or device is opened as it is
    except (OSError, ValueError) as error:
        raise write_error(path, error) from None
    if is_folder:
        raise OutputError(f"'{path}' cannot be written: a folder of that name is in the way; choose another name")
    return create_folder(path.parent)


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
    text = f"{printable(path.name)} is being written, or was cut short; limner run ... --skip-existing makes it again\n"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        mark = os.open(incomplete_mark(path), flags, 0o666)
        try:
            os.write(mark, text.encode())
        finally:
            os.close(mark)
    except (OSError, ValueError) as error:
        raise write_error(path, error) from None


def mark_complete(path: Path) -> None:
    """Remove the mark of `mark_incomplete`, if there is one."""
    with suppress(OSError):
        incomplete_mark(path).unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes, *, new: bool = False) -> None:
    """Write ``data`` so that ``path`` holds either all of it or what it held before.

    Args:
        path: of the file.
        data: its content.
        new: there is no such file yet; where one has appeared, it stays and OutputError is raised.
    """
    temporary = temporary_path(path.parent)
    try:
        try:
            with temporary.open("xb") as file:
                file.write(data)
            (_put if new else os.replace)(temporary, path)
        finally:
            with suppress(OSError):  # it was renamed where all went well
                temporary.unlink(missing_ok=True)
    except FileExistsError as error:
        raise (appeared(path) if new else write_error(path, error)) from None
    except (OSError, ValueError) as error:
        raise write_error(path, error) from None


def _put(temporary: Path, path: Path) -> None:
    """Give a file its name, or raise FileExistsError where that is taken."""
    if os.name == "nt":
        temporary.rename(path)  # which replaces nothing there
        return
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: the name is taken first
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        os.replace(temporary, path)


def appeared(path: Path) -> OutputError:
    """Return the error for a file that was not there when a run began."""
    return OutputError(
        f"'{path}' was written by another run meanwhile and is left as it is: give a fresh folder, or --skip-existing"
    )


# -- files that grow -------------------------------------------------------------------------------

_FAR = 1 << 40  # Windows locks bytes, and those of a lock cannot be read: it is one behind all others
_DESCRIPTORS = ("/dev/fd", "/proc", "/dev/stdin", "/dev/stdout", "/dev/stderr")


def is_stream(path: Path) -> bool:
    """Return whether a path names what is opened as it is: a pipe, a device, a descriptor such as /dev/stdout."""
    absolute = os.path.abspath(path)
    if any(absolute == place or absolute.startswith(f"{place}/") for place in _DESCRIPTORS):
        return True
    return path.exists() and not path.is_file() and not path.is_dir()


def lock(file: int) -> bool:
    """Lock an open file until it is closed; return whether nobody else has. Where none can be locked, nobody has."""
    if sys.platform == "win32":
        import msvcrt

        try:
            os.lseek(file, _FAR, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network drives
        return True
    return True


def unlock(file: int) -> None:
    """Let others have a file, also where a forked process still has it open."""
    if sys.platform != "win32":
        import fcntl

        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)


def being_written(path: Path) -> OutputError:
    """Return the error for a file that somebody else is writing."""
    return OutputError(f"'{path}' is being written by another run: wait until that ends, or choose another name")


def refuse_link(path: Path) -> None:
    """Raise OutputError where a file that is to be kept and added to is a link: what it leads to is not the run's."""
    if path.is_symlink() and not is_stream(path):
        raise OutputError(
            f"'{path}' is a link to '{os.readlink(path)}', and nothing is added through a link: give that file itself"
        )


def own_file(path: Path, *, append: bool = False) -> int:
    """Open a file for one writer and return its descriptor, locked; see `release`.

    A new file takes the place of what has its name: nothing is written through a link, symbolic or hard, and a
    program that has the old one open keeps it. A pipe or device is opened as it is.

    Args:
        path: of the file.
        append: keep the file that is there.

    Raises:
        OutputError: another writer has it, or it is a link and is to be kept.
        OSError, ValueError: it cannot be written.
    """
    flags = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    if is_stream(path):
        return os.open(path, os.O_WRONLY | os.O_TRUNC | getattr(os, "O_CLOEXEC", 0))
    if append:
        refuse_link(path)
    flags |= getattr(os, "O_NOFOLLOW", 0)
    if os.name == "nt":  # where a file that is open is not replaced
        file = os.open(path, flags | os.O_CREAT)
        if not lock(file):
            os.close(file)
            raise being_written(path)
        if not append:
            os.ftruncate(file, 0)
        os.lseek(file, 0, os.SEEK_SET)
        return file
    while True:
        if path.is_symlink():
            path.unlink(missing_ok=True)
        before = _held(path, flags)
        if append and before is not None:
            return before
        try:
            return _replaced(path, before, flags)
        except FileExistsError:
            continue  # it has appeared, and may have a writer
        finally:
            if before is not None:
                os.close(before)


def _held(path: Path, flags: int) -> int | None:
    """Return the file of that name, locked; None where there is none."""
    while True:
        try:
            file = os.open(path, flags)
        except FileNotFoundError:
            return None
        if not lock(file):
            os.close(file)
            raise being_written(path)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.lstat(path), os.fstat(file)):
                return file
        os.close(file)  # another one has taken its place


def _replaced(path: Path, before: int | None, flags: int) -> int:
    """Put a new, locked file in the place of one that is held; raise FileExistsError where there is another."""
    temporary = temporary_path(path.parent)
    file = os.open(temporary, flags | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        lock(file)
        if before is None:
            _put(temporary, path)
        else:
            os.replace(temporary, path)
    except BaseException:
        os.close(file)
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return file


def release(file: int) -> None:
    """Close a file of `own_file`."""
    unlock(file)
    os.close(file)


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


def write_error(path: Path | str, error: Exception) -> OutputError:
    """Return an OutputError that says why a file, or what has a name of its own, cannot be written and what to do."""
    if isinstance(path, str):
        return OutputError(f"{path} cannot be written: {write_failure_reason(Path(), error)}")
    return OutputError(f"'{path}' cannot be written: {write_failure_reason(path, error)}")
