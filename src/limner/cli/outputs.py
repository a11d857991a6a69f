"""What --out and --json name: a folder, or one file."""

from __future__ import annotations

from pathlib import Path

from ..errors import ArgumentError

_RESULTS = (".json", ".jsonl", ".csv")


def drawn(path: Path) -> tuple[Path, str | None]:
    """Return the folder of drawn images and videos, and the name of the one file in it, if ``path`` is one.

    An ending of an image or video makes it a file, unless there is a folder of that name.

    Raises:
        ArgumentError: it ends like a file of results.
    """
    from ..files import IMAGE_SUFFIXES, VIDEO_SUFFIXES

    path = path.expanduser()
    suffix = path.suffix.lower()
    if path.is_dir():
        return path, None
    if suffix in _RESULTS:
        option = "--jsonl" if suffix == ".jsonl" else "--json"
        raise ArgumentError(f"--out {path} is for drawn images and videos: give {option} for results")
    if suffix == ".svg" or suffix in IMAGE_SUFFIXES or suffix in VIDEO_SUFFIXES:
        return path.parent, path.name
    return path, None


def results(path: Path) -> tuple[Path, str | None]:
    """Return the folder of results, and the name of the one file in it, if ``path`` is one.

    Raises:
        ArgumentError: it ends like a file of another kind.
    """
    path = path.expanduser()
    if path.is_dir() or path.suffix.lower() not in _RESULTS:
        return path, None
    if path.suffix.lower() != ".json":
        hint = "give --jsonl for lines of JSON" if path.suffix.lower() == ".jsonl" else "give a name that ends in .json"
        raise ArgumentError(f"--json {path} is for JSON: {hint}")
    return path.parent, path.name
