"""JSON Lines -> other forms, without a model and without the images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path, PurePath

from ..errors import InputError, OutputError
from ..formats.read_lines import LinesReader
from ..masking import masked
from ..writers import UniqueStems
from .forms import FormWriters, parse, refuse_existing


def convert(reader: LinesReader, folder: Path, forms: Sequence[str], *, overwrite: bool = False) -> list[Path]:
    """Write the results of a file of JSON Lines in other forms; return the files and folders that were made.

    Args:
        reader: of the file.
        folder: for the files.
        forms: names, see `limner.formats.forms.FORMATS`.
        overwrite: write over what is there.

    Raises:
        InputError: the file cannot be read, holds something else, or no results.
        OutputError: a file cannot be written, exists, or is the one that is read.
        ArgumentError, MissingExtraError: there is no such form, or it needs packages.
    """
    sources = list(dict.fromkeys(result.source for result in reader))
    if not sources:
        raise InputError(f"'{reader.path}' holds no results")
    stems = UniqueStems([_stem(source) for source in sources])
    names = {source: stems.name(_stem(source))[0] for source in sources}
    with FormWriters(folder, parse(forms), lambda: reader.info) as writers:
        made = [*writers.shared(), *(path for source in sources for path in writers.own(names[source]))]
        if len(set(made)) < len(made):
            twice = next(path for path in made if made.count(path) > 1)
            raise OutputError(f"two forms would write '{twice}': convert into two folders")
        refuse_existing(made if not overwrite else [path for path in made if _is(path, reader.path)], reader.path)
        done: set[str] = set()
        for source, results in groupby(reader, key=lambda result: result.source):
            if source in done and writers.own(names[source]):
                raise InputError(
                    f"'{reader.path}' has the results of '{source}' in two places, as two runs wrote them: "
                    "convert into a form of one file for all"
                )
            done.add(source)
            with writers.of(names[source]) as open_writers:
                for result in results:
                    for writer in open_writers:
                        writer.write(result)
    return made


def _is(path: Path, other: Path) -> bool:
    return path.exists() and path.samefile(other)


def _stem(source: str) -> str:
    """Return the stem of the files of an input: that of its name, without what is secret in a URL."""
    name = PurePath(masked(source).replace("\\", "/").partition("?")[0].rstrip("/")).stem
    return "".join("_" if c in '<>:"/\\|?*' or not c.isprintable() else c for c in name) or "results"
