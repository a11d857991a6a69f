"""Who else may change a file or folder: what others can write is nothing that limner wrote."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_FIRST_USER = 1000  # smaller numbers are those of systems and services


def others_write(path: Path, *, link: bool = True) -> str:
    """Return in half a sentence why others than this user and root can change a file or folder, or "".

    A group of one user alone, as systems make it for each of them, is no other. On Windows, where folders of users
    are their own, nothing is looked at.

    Args:
        path: of the file or folder.
        link: it may be a link to one.

    Raises:
        OSError: there is none.
    """
    status = path.stat() if link else path.lstat()
    if os.name == "nt":
        return ""
    if stat.S_ISLNK(status.st_mode):
        return f"'{path}' is a link"
    if status.st_uid not in (0, os.geteuid()):
        return f"'{path}' belongs to another user"
    if status.st_mode & stat.S_IWOTH and not (status.st_mode & stat.S_ISVTX and stat.S_ISDIR(status.st_mode)):
        return f"others can write to '{path}'"
    if status.st_mode & stat.S_IWGRP and not (status.st_gid == status.st_uid >= _FIRST_USER):
        return f"others of its group can write to '{path}'"
    return ""


def close_to_others(path: Path, like: Path) -> None:
    """Give a new file the permissions that ``like`` has got from the user's umask, but none to write for others."""
    mode = stat.S_IMODE(like.stat().st_mode) & ~_OTHERS
    if path.is_dir():
        mode |= (mode & 0o444) >> 2  # who may read a folder may enter it
    path.chmod(mode)
