"""Why a path cannot be read, in sentences for the user."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from ..errors import suggest


def missing(path: Path) -> str:
    parent = path.parent
    if not os.path.isdir(parent):
        return f"'{path}' does not exist, nor does its folder '{parent}'; check the path"
    try:
        with os.scandir(parent) as entries:
            suggestion = suggest(path.name, [entry.name for entry in itertools.islice(entries, 1000)])
    except OSError:
        suggestion = ""
    return f"'{path}' does not exist; check the path" + (f".{suggestion}" if suggestion else "")


def unreadable(path: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"'{path}' cannot be read: permission denied; change its permissions or run as a user who may read it"
    return f"'{path}' cannot be read: {(error.strerror or str(error)).lower()}; check the path"
