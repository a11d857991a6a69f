"""What a run will write, before it begins: the name of every output, and what of an earlier run is in its place.

An input is finished where each of its outputs exists and none is marked as cut short (see `files.incomplete_mark`).
Names depend on all inputs and not on what is finished, so that each run gives an input the same ones. With
--skip-existing an input keeps the names that an earlier run gave it, see `origins`.
"""

from __future__ import annotations

import os
import stat
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ArgumentError, OutputError
from ..files import incomplete_mark, is_stream, refuse_link, same_file
from ..formats import json_lines
from ..images import ALPHA_SUFFIXES, written_suffix
from ..sources import Input
from ..writers import IMAGE_ENDINGS, SVG, VIDEO_ENDINGS, ImageWriter, JsonWriter, UniqueStems, normalised

_FEW = 50  # outputs that are looked up one by one; the folders of more are listed

if TYPE_CHECKING:
    from .origins import Origins


class Existing(Enum):
    """What happens to files of an earlier run that have the names of this one's."""

    REFUSE = "refuse"  # the run stops before it begins
    SKIP = "skip"  # finished inputs are left as they are, the others are done again
    REPLACE = "replace"


@dataclass(frozen=True)
class Task:
    """One input and its outputs."""

    item: Input
    stem: str  # of its output files
    renamed: bool  # whether that is not the input's own, which another input has
    drawn: Path | None  # the file of the drawn image or video
    results: Path | None  # its JSON file
    refused: str = ""  # why its outputs cannot be written
    new: tuple[Path, ...] = ()  # outputs that do not exist yet, and are not written over where they appear

    @property
    def outputs(self) -> list[Path]:
        """The files that are written for it."""
        return [path for path in (self.drawn, self.results) if path is not None]


@dataclass(frozen=True)
class Plan:
    """What is to be done."""

    tasks: list[Task]
    finished: int = 0  # inputs that an earlier run has finished, and that are left out
    redone: frozenset[str] = frozenset()  # sources whose lines go from the file of JSON Lines


def tasks_of(
    items: Sequence[Input],
    image_writer: ImageWriter | None,
    json_writer: JsonWriter | None,
    *,
    transparent: bool = False,
    origins: Origins | None = None,
) -> list[Task]:
    """Return each input with its outputs, in order; equal names in one folder are counted.

    Args:
        items: the inputs.
        image_writer, json_writer: for the outputs.
        transparent: drawn images have an alpha channel.
        origins: the inputs of earlier runs, which keep the names of their outputs; None lets only names decide.
    """
    in_folder: dict[str, list[str]] = defaultdict(list)
    for item in items:
        in_folder[item.folder].append(item.stem)
    stems = {folder: UniqueStems(names) for folder, names in in_folder.items()}
    images = {folder: image_writer.within(folder) for folder in stems} if image_writer is not None else {}
    sheets = {folder: json_writer.within(folder) for folder in stems} if json_writer is not None else {}
    tasks = []
    kept = {} if origins is None else origins.names(items, stems)
    for number, item in enumerate(items):
        stem, renamed = kept.get(number, item.stem), False
        if number not in kept:
            stem, renamed = stems[item.folder].name(item.stem)
        images_here, sheets_here = images.get(item.folder), sheets.get(item.folder)
        drawn = None
        if images_here is not None and item.is_video:
            drawn = images_here.video_path(stem, item.suffix)
        elif images_here is not None:
            drawn = images_here.path(stem, written_suffix(item.suffix, alpha=transparent))
        tasks.append(Task(item, stem, renamed, drawn, None if sheets_here is None else sheets_here.path(stem)))
    return tasks


def check_endings(
    tasks: list[Task], image_writer: ImageWriter | None, json_writer: JsonWriter | None, inputs: int
) -> None:
    """Check the files that the user names: each is for one input, and of a kind that can hold what is in it.

    Args:
        tasks: the inputs with their outputs.
        image_writer, json_writer: for the outputs.
        inputs: how many inputs there are, also those that cannot be read.

    Raises:
        ArgumentError: one is not.
    """
    for writer in (image_writer, json_writer):
        if writer is not None and writer.name is not None and inputs > 1:
            raise ArgumentError(f"'{writer.target}' is one file, and there are {inputs} inputs: give a folder")
    if image_writer is None or image_writer.name is None:
        return
    for task in tasks:
        if task.item.path is None and getattr(task.item.stream, "kind", "") is None:
            continue  # whether it is a video at all shows when it is opened
        kind, endings = ("a video", VIDEO_ENDINGS) if task.item.is_video else ("an image", IMAGE_ENDINGS)
        if task.drawn is not None and task.drawn.suffix.lower() not in endings:
            raise ArgumentError(
                f"'{task.drawn}' cannot hold {kind}, which '{task.item.source}' is: give a name that ends in "
                f"{', '.join(endings[:-1])} or {endings[-1]}"
            )


def check_drawing(tasks: list[Task], *, transparent: bool, heatmaps: bool) -> None:
    """Check that the files of drawn images can hold what is drawn.

    Args:
        tasks: the inputs with their outputs.
        transparent: the background is.
        heatmaps: they are drawn too.

    Raises:
        ArgumentError: one cannot.
    """
    for task in tasks:
        suffix = "" if task.drawn is None else task.drawn.suffix.lower()
        if heatmaps and suffix == SVG:
            raise ArgumentError(f"'{task.drawn}' cannot hold heatmaps: leave --draw-heatmap out, or give a .png")
        if transparent and suffix and not task.item.is_video and suffix not in (*ALPHA_SUFFIXES, SVG):
            raise ArgumentError(
                f"'{task.drawn}' cannot hold a transparent background, as {suffix} has none: give a name that ends in "
                ".png, .webp, .tif or .svg"
            )


def make_plan(
    tasks: list[Task],
    existing: Existing,
    lines: Path | None = None,
    *,
    append: bool = False,
    folders: bool = True,
    read: Sequence[Path] = (),
) -> Plan:
    """Compare what is to be written with the files that exist.

    Args:
        tasks: all inputs with their outputs.
        existing: what happens to the files of an earlier run.
        lines: the file of JSON Lines, if one is written.
        append: it is added to.
        folders: outputs lie in folders that the user names; False where the user names a file.
        read: other files that the run reads, or was to read, such as those of the model.

    Raises:
        OutputError: files of an earlier run would be written over, two outputs have one name, or the file of JSON
            Lines is one that is read.
    """
    outputs = [path for task in tasks for path in task.outputs]
    exists = _presence(outputs)
    present = set(filter(exists, outputs))
    inputs = cache(lambda: identities([task.item for task in tasks], read))
    if lines is not None:
        if (identity := _identity(lines)) is not None and identity in inputs():
            raise OutputError(f"'{lines}' is an input, which is never written over: choose another name for --jsonl")
        _check_apart(tasks, lines, present)
        if append or existing is Existing.SKIP:
            refuse_link(lines)
    tasks = _without_inputs(tasks, present, inputs) if present else tasks
    in_the_way = [p for task in tasks if not task.refused for p in task.outputs if p in present] if present else []
    lines_exist = lines is not None and not is_stream(lines) and _holds_something(lines)
    if existing is Existing.REFUSE and (in_the_way or (lines_exist and not append)):
        raise _refusal(in_the_way, lines if lines_exist and not append else None, folders=folders)
    if lines is not None and lines_exist and existing is Existing.REPLACE:
        _check_lines(lines)
    if existing is not Existing.REPLACE:
        tasks = [replace(task, new=_absent(task.outputs, present)) for task in tasks]
    if existing is not Existing.SKIP:
        return Plan(tasks)
    found = json_lines.finished(lines) if lines is not None and lines_exist else json_lines.Finished()
    wanted = Counter(task.item.source for task in tasks)

    def is_finished(task: Task) -> bool:
        if task.refused or not (task.outputs or lines):
            return False
        source = task.item.source
        in_lines = lines is None or (found.videos if task.item.is_video else found.images)[source] >= wanted[source]
        return in_lines and all(path in present and not exists(incomplete_mark(path)) for path in task.outputs)

    left = [task for task in tasks if not is_finished(task)]
    if lines is not None:  # of an input that is named twice, either both are finished or none
        redone = frozenset(task.item.source for task in left)
        left = [task for task in tasks if task.item.source in redone]
    _keep_recordings([task for task in left if not present.isdisjoint(task.outputs)])
    return Plan(left, len(tasks) - len(left), redone if lines_exist else frozenset())


def _holds_something(lines: Path) -> bool:
    return lines.is_symlink() or (lines.is_file() and lines.stat().st_size > 0)


def _check_lines(lines: Path) -> None:
    """Raise OutputError where a file that JSON Lines are to replace holds something else: its name is a slip."""
    with suppress(OSError), lines.open("rb") as file:
        if file.read(1) != b"{":
            raise OutputError(f"'{lines}' holds something else than JSON Lines: choose another name for --jsonl")


def _absent(outputs: list[Path], present: set[Path]) -> tuple[Path, ...]:
    return tuple(path for path in outputs if path not in present) if present else tuple(outputs)


def _presence(outputs: list[Path]) -> Callable[[Path], bool]:
    """Return a function that says whether a file exists; where there are many, each folder is read once."""
    if len(outputs) <= _FEW:
        return os.path.lexists

    @cache
    def names(folder: str) -> tuple[frozenset[str], frozenset[str]]:
        try:
            found = frozenset(os.listdir(folder))
        except OSError:
            return frozenset(), frozenset()
        return found, frozenset(map(normalised, found))

    def is_present(path: Path) -> bool:
        folder, name = os.path.split(path)
        exact, similar = names(folder)
        # some file systems do not tell upper from lower case
        return name in exact or (normalised(name) in similar and os.path.lexists(path))

    return is_present


_Identity = tuple[int, int]  # of a file, whatever leads to it: its device and its number there


def _identity(file: Path | int) -> _Identity | None:
    """Return which file a path leads to or a descriptor stands for, None where there is none, as for a pipe."""
    try:
        status = os.stat(file)
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def identities(items: Sequence[Input], read: Sequence[Path] = ()) -> frozenset[_Identity]:
    """Return the files that a run reads, whatever leads to them.

    Args:
        items: its inputs.
        read: other files.
    """
    files: list[Path | int] = [*read, *(path for item in items for path in (item.path, *item.frames) if path)]
    files += [0 for item in items if item.address == "-"]  # standard input may be a file
    return frozenset(filter(None, map(_identity, files)))


def refuse_inputs(path: Path, read: frozenset[_Identity], source: Path | None = None) -> None:
    """Raise OutputError where an output is a file that is read.

    Args:
        path: of the output.
        read: see `identities`.
        source: the input whose output it is.
    """
    if _identity(path) in read:
        which = "the input itself" if same_file(source, path) else "another input"
        raise OutputError(f"'{path}' is {which} and would be overwritten: choose another folder")


def _without_inputs(tasks: list[Task], present: set[Path], inputs: Callable[[], frozenset[_Identity]]) -> list[Task]:
    """Refuse the tasks whose outputs would be written over an input of the run, their own or another's."""
    checked = []
    for task in tasks:
        for path in present.intersection(task.outputs):
            try:
                refuse_inputs(path, inputs(), task.item.path)
            except OutputError as error:
                task = replace(task, refused=str(error))
        checked.append(task)
    return checked


def _check_apart(tasks: Sequence[Task], lines: Path, present: set[Path]) -> None:
    """Check that the file of JSON Lines is no other output, also by a link or where upper and lower case are equal.

    Drawings and JSON have endings of their own, and stems that differ.

    Raises:
        OutputError: it is.
    """
    folder, name = os.path.split(os.path.realpath(lines))
    name, identity, real_folder = normalised(name), _identity(lines), cache(os.path.realpath)
    for task in tasks:
        for path, what in ((task.drawn, "the drawing"), (task.results, "the JSON")):
            if path is None:
                continue
            same = identity is not None and path in present and _identity(path) == identity
            if same or (normalised(path.name) == name and real_folder(path.parent) == folder):
                raise OutputError(
                    f"'{lines}' is named for {what} of '{task.item.source}' and for the lines of --jsonl, and can hold "
                    "one of them: give two names"
                )


def _refusal(in_the_way: list[Path], lines: Path | None, *, folders: bool) -> OutputError:
    paths = [*in_the_way, *([lines] if lines is not None else [])]
    more = len(paths) - 1
    what = f"'{paths[0]}' exists" if not more else f"'{paths[0]}' and {more} more file{'s' * (more > 1)} exist"
    append = f", --append to add to '{lines}'" if lines is not None and not in_the_way else ""
    fresh = "a fresh folder" if folders and in_the_way else "another name"
    return OutputError(
        f"{what} and would be written over: give --skip-existing to do only what is missing{append}, "
        f"--overwrite, or {fresh}"
    )


def _keep_recordings(tasks: list[Task]) -> None:
    """Raise OutputError where the cut-short recording of a camera, a stream or a pipe would be made again."""
    for task in tasks:
        if task.item.is_live or (task.item.stream is not None and "://" not in task.item.address):
            raise OutputError(
                f"'{task.outputs[0]}' is a recording that was cut short, and {task.item.source} cannot be recorded "
                "again: give a fresh folder, or --overwrite"
            )
