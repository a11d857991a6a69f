"""What --out and --json name: a folder, or one file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..errors import ArgumentError, expanded

_RESULTS = (".json", ".jsonl", ".csv")
_PRINTED = "-"  # standard output, which only the lines of --jsonl go to


def check_name(option: str, given: str | None) -> None:
    """Check that an option for an output names something.

    Raises:
        ArgumentError: it is an empty text, as a variable of a shell may be; or it asks to print what is a file.
    """
    if given is not None and not given.strip():
        raise ArgumentError(f"{option} is empty where a file or folder is needed: give its name, or leave it out")
    if given == _PRINTED and option != "--jsonl":
        raise ArgumentError(
            f"{option} - would print files: give the name of one, ./- for a folder of that name, or --jsonl -, which "
            "prints results as lines of JSON"
        )


def result_file(option: str, given: str | Path, read: Iterable[str | Path | None]) -> Path:
    """Return the path of a file of results, which replaces one of that name.

    Args:
        option: the option that names it.
        given: its name.
        read: what the command reads: files, and names that may be such.

    Raises:
        ArgumentError: it is no name of a file, or that of an image, a video or a file that is read.
    """
    from ..files import IMAGE_SUFFIXES, VIDEO_SUFFIXES, same_file

    path = expanded(given)
    if not str(given).strip() or str(given) == _PRINTED or not path.name or path.is_dir():
        raise ArgumentError(f"{option} is '{given}' where the name of a file is needed")
    if any(name is not None and same_file(expanded(name), path) for name in read):
        raise ArgumentError(f"{option} '{given}' is a file that is read: name another one")
    if path.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
        raise ArgumentError(f"{option} '{given}' has the name of an image or a video: name another file")
    return path


def drawn(given: str) -> tuple[Path, str | None]:
    """Return the folder of drawn images and videos, and the name of the one file in it, if one is given.

    An ending of an image or video makes it a file, unless there is a folder of that name.

    Raises:
        ArgumentError: it ends like a file of results, or names nothing.
    """
    from ..files import IMAGE_SUFFIXES, VIDEO_SUFFIXES

    check_name("--out", given)
    path = expanded(given)
    suffix = path.suffix.lower()
    if path.is_dir():
        return path, None
    if suffix in _RESULTS:
        option = "--jsonl" if suffix == ".jsonl" else "--json"
        raise ArgumentError(f"--out {path} is for drawn images and videos: give {option} for results")
    if suffix == ".svg" or suffix in IMAGE_SUFFIXES or suffix in VIDEO_SUFFIXES:
        return path.parent, path.name
    return path, None


def results(given: str) -> tuple[Path, str | None]:
    """Return the folder of results, and the name of the one file in it, if one is given.

    Raises:
        ArgumentError: it ends like a file of another kind, or names nothing.
    """
    from ..files import IMAGE_SUFFIXES, VIDEO_SUFFIXES

    check_name("--json", given)
    path = expanded(given)
    suffix = path.suffix.lower()
    if path.is_dir() or suffix not in (*_RESULTS, ".svg", *IMAGE_SUFFIXES, *VIDEO_SUFFIXES):
        return path, None
    if suffix != ".json":
        hint = "give --jsonl for lines of JSON" if suffix == ".jsonl" else "give a name that ends in .json"
        raise ArgumentError(f"--json {path} is for JSON: {hint}")
    return path.parent, path.name
