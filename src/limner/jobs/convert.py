"""JSON Lines -> other forms, without a model and without the images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path, PurePath

from ..errors import InputError, OutputError
from ..files import appeared, create_folder, same_file
from ..formats.read_lines import LinesReader
from ..masking import masked
from ..writers import UniqueStems
from .claims import claimed
from .forms import FormWriters, parse, refuse_existing


def convert(
    reader: LinesReader,
    folder: Path,
    forms: Sequence[str],
    *,
    overwrite: bool = False,
    read: Sequence[str | None] = (),
) -> list[Path]:
    """Write the results of a file of JSON Lines in other forms; return the files and folders that were made.

    Args:
        reader: of the file.
        folder: for the files.
        forms: names, see `limner.formats.forms.FORMATS`.
        overwrite: write over what is there, but what is read.
        read: other files that are read, or names that may be such.

    Raises:
        InputError: the file cannot be read, holds something else, or no results.
        OutputError: a file cannot be written, exists, or is the one that is read.
        ArgumentError, MissingExtraError: there is no such form, or it needs packages.
    """
    sources = list(dict.fromkeys(result.source for result in reader))
    if not sources:
        raise InputError(f"'{reader.paths[0]}' holds no results")
    stems = UniqueStems([_stem(source) for source in sources])
    names = {source: stems.name(_stem(source))[0] for source in sources}
    with ExitStack() as stack, FormWriters(folder, parse(forms), lambda: reader.info) as writers:
        made = [*writers.shared(), *(path for source in sources for path in writers.own(names[source]))]
        if len(set(made)) < len(made):
            twice = next(path for path in made if made.count(path) > 1)
            raise OutputError(f"two forms would write '{twice}': convert into two folders")
        known = (*reader.paths, *(Path(os.path.expanduser(name)) for name in read if name))
        for path in made:
            if any(same_file(source, path) for source in known):
                raise OutputError(f"'{path}' is the file that is read: give another folder")
        if not overwrite:
            refuse_existing(made)
        create_folder(writers.folder)
        stack.enter_context(_held(writers.shared(), overwrite))
        done: set[str] = set()
        for source, results in groupby(reader, key=lambda result: result.source):
            if source in done and writers.own(names[source]):
                raise InputError(
                    f"'{reader.path}' has the results of '{source}' in two places, as two runs wrote them: "
                    "convert into a form of one file for all"
                )
            done.add(source)
            with _held(writers.own(names[source]), overwrite), writers.of(names[source]) as open_writers:
                for result in results:
                    for writer in open_writers:
                        writer.write(result)
    return made


def files_of(given: Sequence[Path]) -> list[Path]:
    """Return files of JSON Lines: those that are given, and those in given folders and the folders in these.

    Raises:
        InputError: a folder has none.
    """
    found: list[Path] = []
    for path in given:
        inside = sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]
        if not inside:
            raise InputError(f"'{path}' has no file of JSON Lines (.jsonl)")
        found += inside
    return list(dict.fromkeys(found))


@contextmanager
def _held(paths: Sequence[Path], overwrite: bool) -> Iterator[None]:
    """Keep other runs from files while they are written, and leave alone what another run has written meanwhile."""
    with ExitStack() as stack:
        for path in paths:
            stack.enter_context(claimed(path))
            if not overwrite and os.path.lexists(path):
                raise appeared(path)
        yield


def _stem(source: str) -> str:
    """Return the stem of the files of an input: that of its name, without what is secret in a URL."""
    name = PurePath(masked(source).replace("\\", "/").partition("?")[0].rstrip("/")).stem
    return "".join("_" if c in '<>:"/\\|?*' or not c.isprintable() else c for c in name) or "results"
