"""What --out and --json name: a folder, or one file."""

from __future__ import annotations

from pathlib import Path

from ..errors import ArgumentError

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


def drawn(given: str) -> tuple[Path, str | None]:
    """Return the folder of drawn images and videos, and the name of the one file in it, if one is given.

    An ending of an image or video makes it a file, unless there is a folder of that name.

    Raises:
        ArgumentError: it ends like a file of results, or names nothing.
    """
    from ..files import IMAGE_SUFFIXES, VIDEO_SUFFIXES

    check_name("--out", given)
    path = Path(given).expanduser()
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
    path = Path(given).expanduser()
    suffix = path.suffix.lower()
    if path.is_dir() or suffix not in (*_RESULTS, ".svg", *IMAGE_SUFFIXES, *VIDEO_SUFFIXES):
        return path, None
    if suffix != ".json":
        hint = "give --jsonl for lines of JSON" if suffix == ".jsonl" else "give a name that ends in .json"
        raise ArgumentError(f"--json {path} is for JSON: {hint}")
    return path.parent, path.name
