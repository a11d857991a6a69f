"""Lists the images and videos of folders and patterns, in the order in which a person counts."""

from __future__ import annotations

import functools
import glob
import heapq
import itertools
import os
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import InputError
from ..files import IMAGE_SUFFIXES, RESULTS_FOLDER, VIDEO_SUFFIXES
from ..video import animations
from . import messages
from .content import holds_video
from .inputs import Input

_Identity = tuple[int, int]  # of a folder: the numbers of its device and inode


@dataclass
class Listing:
    """What one entry of the inputs names."""

    items: list[Input]
    notices: list[str] = field(default_factory=list)  # about skipped files, which are not errors
    errors: list[InputError] = field(default_factory=list)  # folders in it that cannot be read
    root: Path | None = None  # of a folder or pattern: the folder below which its files lie
    text: str = ""  # as the user named it


@dataclass(frozen=True)
class Search:
    """How folders are searched."""

    recursive: bool = False
    results: tuple[Path, ...] = ()  # folders that this run writes, whose files are no inputs

    @functools.cached_property
    def _results(self) -> set[_Identity]:
        return {found for folder in self.results if (found := _identity(folder)) is not None}

    def holds_results(self, folder: Path) -> bool:
        """Return whether a folder in a searched one holds the results of this run or of an earlier one."""
        return folder.name == RESULTS_FOLDER or _identity(folder) in self._results


def expand_pattern(pattern: str, search: Search) -> Listing:
    """List the images and videos that a pattern matches; their folders below its fixed part are kept.

    Raises:
        InputError: there are none.
    """
    root = _fixed_part(pattern)
    try:
        paths = [path for path in _matches(pattern, search) if not os.path.isdir(path)]
    except re.error:  # Python 3.10 on an impossible range such as [z-a]
        paths = []
    if not paths:
        raise InputError(f"the pattern '{pattern}' matches no file; check its folder and suffix")
    paths, results = _without_results(paths, root, search)
    items, others = _split_files(paths, root)
    if not items:
        inside = _shortened(others) if others else f"results in {_shortened([*map(str, results)])}"
        raise InputError(f"the pattern '{pattern}' matches no image or video, only {inside}")
    return Listing(items, [*_skipped(others, pattern), *_left_out(results)], root=root)


def expand_folder(folder: Path, search: Search) -> Listing:
    """List the images and videos of a folder, and of those in it where the search is recursive.

    Raises:
        InputError: there are none, or it cannot be read.
    """
    if search.recursive:
        return _expand_recursively(folder, search)
    try:
        paths = [folder / name for name in os.listdir(folder) if not name.startswith(".")]
    except OSError as error:
        raise InputError(messages.unreadable(folder, error)) from None
    files = [path for path in paths if not os.path.isdir(path)]
    items, others = _split_files(files, folder)
    if not items:
        if not paths:
            raise InputError(f"the folder '{folder}' is empty; give a folder of images or videos")
        inside = _shortened(others) if others else f"{len(paths)} folders" if len(paths) > 1 else "a folder"
        pattern = folder / "**" / "*.jpg"
        raise InputError(
            f"the folder '{folder}' holds no image or video, only {inside}; to search deeper give '{pattern}', "
            "or --recursive to `limner run`"
        )
    return Listing(items, _skipped(others, folder), root=folder)


def _expand_recursively(folder: Path, search: Search) -> Listing:
    """List the images and videos of a folder and of those in it."""
    tree = _walk(folder, search)
    if folder in tree.errors:
        raise tree.errors[folder]
    items, others = _split_files(tree.files, folder)
    if not items and not tree.errors:
        inside = f"only {_shortened(others)}" if others else "nor do the folders in it"
        raise InputError(f"the folder '{folder}' holds no image or video, {inside}; give another folder")
    return Listing(items, [*_skipped(others, folder), *_left_out(tree.results)], [*tree.errors.values()], folder)


@dataclass
class _Tree:
    """What is in a folder and in those below it, but what is hidden."""

    folders: list[Path] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    results: list[Path] = field(default_factory=list)  # folders that hold results: they are not searched
    errors: dict[Path, InputError] = field(default_factory=dict)  # folders that cannot be read


def _walk(folder: Path, search: Search) -> _Tree:
    """Search a folder and those below it; each real folder is searched once, so that links end."""
    tree = _Tree()
    seen: set[_Identity | None] = set()
    pending, links = [folder], list[Path]()
    while pending or links:
        # links come last, as what lies in the tree itself has a name of its own
        current = pending.pop() if pending else heapq.heappop(links)
        if current != folder and search.holds_results(current):
            tree.results.append(current)
            continue
        if (identity := _identity(current)) in seen:
            continue
        seen.add(identity)
        try:
            with os.scandir(current) as entries:
                for entry in entries:
                    if not entry.name.startswith("."):
                        if _is_folder(entry) and entry.is_symlink():
                            heapq.heappush(links, current / entry.name)
                        else:
                            (pending if _is_folder(entry) else tree.files).append(current / entry.name)
            tree.folders.append(current)
        except OSError as error:
            refused = InputError(messages.unreadable(current, error))
            refused.source = str(current)
            tree.errors[current] = refused
    return tree


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry of a folder is one, or a link to one; a link that leads back to itself is not."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def keep_folders(listings: Sequence[Listing]) -> None:
    """Where several folders are given, let the outputs of each lie in a folder of its own name.

    Two of one name are told apart by the folders in which they lie.
    """
    roots = list(dict.fromkeys(os.path.abspath(found.root) for found in listings if found.root is not None))
    if len(roots) < 2:
        return
    names = [os.path.basename(root) for root in roots]
    if not all(names) or len({name.casefold() for name in names}) < len(names):
        try:
            common = os.path.commonpath(roots)
            names = [os.path.relpath(root, common) for root in roots]
        except ValueError:  # on several drives
            names = [f"{number}_{name}" for number, name in enumerate(names, 1)]
    prefixes = dict(zip(roots, names, strict=True))
    for found in listings:
        if found.root is not None and (prefix := prefixes[os.path.abspath(found.root)]) != os.curdir:
            found.items = [replace(item, folder=os.path.join(prefix, item.folder)) for item in found.items]


def is_pattern(path: Path) -> bool:
    """Return whether part of a path is a pattern: it has ``*``, ``?`` or ``[``, and no file or folder of that name."""
    return _first_magic(path.parts) < len(path.parts)


def _first_magic(parts: Sequence[str]) -> int:
    """Return the number of the first part that is a pattern, and how many there are where none is one."""
    for i, part in enumerate(parts):
        if glob.has_magic(part) and not os.path.lexists(os.path.join(*parts[: i + 1])):
            return i
    return len(parts)


def _fixed_part(pattern: str) -> Path:
    """Return the folder above the first part of a pattern that is not plain text."""
    parts = Path(pattern).parts
    return Path(*parts[: min(_first_magic(parts), len(parts) - 1)])


def _identity(folder: Path) -> _Identity | None:
    try:
        status = folder.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _without_results(paths: list[Path], root: Path, search: Search) -> tuple[list[Path], list[Path]]:
    """Split off the files of folders below ``root`` that hold results; return the others, and those folders."""

    @functools.cache
    def results_folder(folder: Path) -> Path | None:
        if folder in (root, folder.parent):
            return None
        return folder if search.holds_results(folder) else results_folder(folder.parent)

    kept = [path for path in paths if results_folder(path.parent) is None]
    folders = {results_folder(path.parent) for path in paths} if len(kept) < len(paths) else set()
    return kept, sorted(folder for folder in folders if folder is not None)


def _matches(pattern: str, search: Search) -> list[Path]:
    """Return the paths that a pattern matches; unlike those of `glob`, its "**" reach each folder once."""
    parts = Path(pattern).parts
    if "**" not in parts:
        return _matches_of(parts)
    first = parts.index("**")
    rest = tuple(itertools.dropwhile("**".__eq__, parts[first + 1 :]))  # several in a row are one
    found: dict[Path, None] = {}
    for base in _matches_of(parts[:first]) if first else [Path()]:
        tree = _walk(base, search) if base.is_dir() else _Tree()
        if not rest:
            found.update(dict.fromkeys(tree.files))
            continue
        for folder in tree.folders:
            # what is there under exactly that name is meant, so the folder needs no escapes
            found.update(dict.fromkeys(_matches(os.path.join(folder, *rest), search)))
    return list(found)


def _matches_of(parts: Sequence[str]) -> list[Path]:
    """Return the paths that the parts of a pattern match, folder by folder.

    What has exactly the name of a part is meant by it, also where that looks like a pattern, as ``[set 1]`` does.
    """
    found = [""]
    for part in parts:
        paths: list[str] = []
        for base in found:
            exact = os.path.join(base, part)
            if os.path.lexists(exact):
                paths.append(exact)
            elif glob.has_magic(part):
                paths += glob.glob(os.path.join(glob.escape(base), part))
        found = paths
    return [Path(path) for path in found]


def _split_files(paths: Iterable[Path], root: Path) -> tuple[list[Input], list[str]]:
    """Split the files below a folder, in natural order, into inputs and the names of other files."""
    items: list[Input] = []
    others: list[str] = []
    relative = functools.cache(_relative_to(root))
    for path in sorted(paths, key=natural_order):
        folder = relative(path.parent)
        suffix = path.suffix.lower()
        if (suffix in IMAGE_SUFFIXES or suffix in VIDEO_SUFFIXES) and not is_pipe_or_device(path):
            is_video = (suffix in VIDEO_SUFFIXES or suffix in animations.SUFFIXES) and holds_video(path)
            items.append(Input(path.name, path, is_video=is_video, folder=folder))
        else:
            others.append(os.path.join(folder, path.name))
    return items, others


def is_pipe_or_device(path: Path) -> bool:
    """Return whether reading a file may wait for ever; a link that leads nowhere is a file that cannot be read."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _relative_to(root: Path) -> Callable[[Path], str]:
    def relative(folder: Path) -> str:
        text = os.path.relpath(folder, root)
        return "" if text == os.curdir else text

    return relative


def natural_order(path: Path) -> tuple[list[list[tuple[int, int, str]]], str]:
    """Return a sort key in which digits count as numbers, folder by folder; ties are decided by the plain text."""
    return [*map(_natural_parts, path.parts)], str(path)


@functools.lru_cache(maxsize=1024)
def _natural_parts(name: str) -> list[tuple[int, int, str]]:
    return [(0, int(t), "") if t.isdigit() else (1, 0, t.casefold()) for t in re.findall(r"[0-9]+|[^0-9]+", name)]


def _skipped(others: list[str], where: object) -> list[str]:
    return [f"skipped files that are not images or videos in '{where}': {_shortened(others)}"] if others else []


def _left_out(results: list[Path]) -> list[str]:
    return [f"left out {_shortened([str(folder) for folder in sorted(results)])}, where results are"] if results else []


def _shortened(names: list[str]) -> str:
    first = ", ".join(names[:5])
    return f"{first} and {len(names) - 5} more" if len(names) > 5 else first
