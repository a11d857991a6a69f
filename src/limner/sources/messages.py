"""Why a path cannot be read, in sentences for the user."""

from __future__ import annotations

import difflib
import errno
import itertools
import os
import re
from pathlib import Path

from ..files import dangling

_OF_FFMPEG = re.compile(r"(?:async|cache|concatf?|crypto|data|fd|pipe|subfile|tee)[:,]")  # how its own URLs begin


def missing(path: Path) -> str:
    if _OF_FFMPEG.match(str(path)):
        shown = str(path) if len(str(path)) <= 100 else f"{str(path)[:97]}..."
        return (
            f"'{shown}' is a URL of FFmpeg's own, which is not opened; give files, or a URL of http, rtsp or the like"
        )
    parent = path.parent
    if os.path.islink(path):
        return dangling(path)
    broken = next((folder for folder in path.parents if os.path.islink(folder) and not os.path.exists(folder)), None)
    if broken is not None:
        return f"'{path}' does not exist, as its folder {dangling(broken)}"
    if not os.path.isdir(parent):
        return f"'{path}' does not exist, nor does its folder '{parent}'; check the path"
    try:
        with os.scandir(parent) as entries:
            suggestion = _similar(path, [entry.name for entry in itertools.islice(entries, 1000)])
    except OSError:
        suggestion = ""
    return f"'{path}' does not exist; check the path" + (f".{suggestion}" if suggestion else "")


def _similar(path: Path, names: list[str]) -> str:
    """Return " Did you mean 'x'?" for a file that differs by a slip of the fingers, or by its ending."""
    stems = {Path(name).stem: name for name in sorted(names) if name != path.name}
    similar = difflib.get_close_matches(path.stem, stems, n=1, cutoff=0.65)
    return f" Did you mean '{stems[similar[0]]}'?" if similar else ""


def unreadable(path: Path, error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return f"'{path}' is a link that leads back to itself; give the file itself"
    if isinstance(error, PermissionError):
        return f"'{path}' cannot be read: permission denied; change its permissions or run as a user who may read it"
    return f"'{path}' cannot be read: {(error.strerror or str(error)).lower()}; check the path"
