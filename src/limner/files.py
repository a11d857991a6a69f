"""What all readers and writers of files share: suffixes, folders, atomic writes, reasons of failures, JSON values."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import secrets
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


def without_password(address: str) -> str:
    """Return the path or URL fit for messages and outputs: what is secret in a URL becomes ``***``.

    That is the user and password, and each value with a name such as ``token``, ``X-Amz-Signature`` or ``pwd``, be it
    in the query, the fragment or, as some cameras have it, the path. Bytes of a path that are not UTF-8 become text
    such as ``\\xe9``, as JSON and other files of text cannot hold them.

    In a password that should have been escaped, ``/``, ``@`` and ``#`` are part of it: where there may be
    one, all up to the last ``@`` goes, rather a piece of the path too than half a password left.
    """
    address = printable(address)
    if _URL.match(address) is None:
        return address
    address = re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\x{ord(found[0]):02x}", address)
    address = re.sub(r"(?<=://)(?:[^/?#@:[]*:.*|[^/?#]*)@", "***@", address, count=1, flags=re.DOTALL)
    path, mark, query = address.partition("?" if "?" in address else "#")
    return _PAIR_IN_PATH.sub(_masked, path) + mark + _PAIR_IN_QUERY.sub(_masked, query)


_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# Name and value; a value ends at & or ;, in a path at / too, and where the next name begins ("admin_channel=").
_NAME = r"(?<![A-Za-z0-9])([A-Za-z][A-Za-z0-9.-]*(?:[_-][A-Za-z0-9.-]+)*?)="
_PAIR_IN_PATH = re.compile(_NAME + r"((?:(?!_[A-Za-z]+=)[^&;#?/\s])*)")
_PAIR_IN_QUERY = re.compile(_NAME + r"((?:(?!_[A-Za-z]+=)[^&;#\s])*)")
# fmt: off
_SECRET_WORDS = frozenset((
    "account", "auth", "authorization", "bearer", "credential", "credentials", "hash", "hdnea", "hdntl", "hdnts",
    "hmac", "jwt", "key", "login", "loginpas", "loginuse", "pass", "passphrase", "passwd", "password", "pin", "policy",
    "psw", "pw", "pwd", "secret", "session", "sid", "sig", "sign", "signature", "ticket", "token", "user", "username",
    "usr",
))
_SECRET_ENDS = (
    "token", "secret", "password", "passwd", "signature", "credential", "apikey", "authkey", "accesskey", "secretkey",
    "privatekey", "streamkey", "sessionid", "username",
)
# fmt: on


def _masked(pair: re.Match[str]) -> str:
    return f"{pair[1]}=***" if _is_secret(pair[1]) else pair[0]


def _is_secret(name: str) -> bool:
    """Return whether the value of a name in a URL is for nobody else."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    return name.lower().endswith(_SECRET_ENDS) or not _SECRET_WORDS.isdisjoint(word.lower() for word in words)


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
    try:
        incomplete_mark(path).write_text(text, encoding="utf-8")
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
