"""What readers and writers of video share: frame rates, addresses, folders and what errors mean."""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from ..errors import OutputError

Say = Callable[[str], None]  # takes a sentence for the user

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


class Rational(Protocol):
    """A ratio as PyAV gives it: `Fraction` up to PyAV 18, its own type from 19 on."""

    @property
    def numerator(self) -> int: ...

    @property
    def denominator(self) -> int: ...


def fraction(value: Rational | None) -> Fraction | None:
    """Return PyAV's ratio as a Fraction, None where it is unknown (None, 0/1 or 0/0)."""
    if value is None or not value.numerator or not value.denominator:
        return None
    return Fraction(value.numerator, value.denominator)


def tidy_rate(rate: Fraction | float) -> Fraction:
    """Return ``rate`` as a whole number or n * 1000/1001 where it is within 0.01 % of one (29.97 -> 30000/1001).

    Files often give a rate that was measured, or rounded to a few decimals.
    """
    exact = Fraction(rate).limit_denominator(1_000_000)
    for close in (Fraction(round(exact)), Fraction(round(exact * Fraction(1001, 1000)) * 1000, 1001)):
        if close and abs(exact / close - 1) < 1e-4:
            return close
    return exact.limit_denominator(1001)


def scheme_of(address: str) -> str:
    """Return the scheme of an address in lower case ("rtsp"), "" for a path."""
    found = _SCHEME.match(address)
    return found[1].lower() if found else ""


def without_password(address: str) -> str:
    """Return the address fit for messages and outputs: user and password become ``***``."""
    return re.sub(r"(?<=://)[^/?#\s]*@", "***@", address, count=1)


def file_url(path: str | os.PathLike[str]) -> str:
    """Return a path as FFmpeg takes it without looking for a protocol in it, as in ``12:30.mp4``."""
    return f"file:{os.fspath(path)}"


def open_folder_of(path: Path) -> None:
    """Make the folder of ``path`` and prove with a trial file that it can be written (permission bits do not tell)."""
    try:
        if path.is_dir():
            raise OutputError(f"'{path}' cannot be written: a folder of that name is in the way; choose another name")
        path.parent.mkdir(parents=True, exist_ok=True)
        trial = temporary_beside(path)
        trial.touch(exist_ok=False)
        trial.unlink()
    except (OSError, ValueError) as error:
        raise unwritable(path, error) from None


def temporary_beside(path: Path) -> Path:
    """A short name, as that of the target may be as long as the file system allows."""
    return path.parent / f".limn-{secrets.token_hex(6)}.tmp"


def unwritable(path: Path, error: Exception) -> OutputError:
    """Return an OutputError that says why ``path`` cannot be written and what to do."""
    number = getattr(error, "errno", None)
    for place in path.parents:
        if number in (errno.EEXIST, errno.ENOTDIR) and os.path.lexists(place) and not os.path.isdir(place):
            return OutputError(f"'{path}' cannot be written: the file '{place}' is in the way; choose another folder")
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        why = "no space is left; free some or choose another disk"
    elif number in (errno.EACCES, errno.EPERM, errno.EROFS):
        why = "permission denied; change the folder's permissions or choose another folder"
    elif number == errno.ENAMETOOLONG:
        why = "its name is too long; use shorter names"
    else:
        why = f"{str(getattr(error, 'strerror', None) or error).lower()}; choose another folder"
    return OutputError(f"'{path}' cannot be written: {why}")
