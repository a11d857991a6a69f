"""Which input each output of a folder comes from, so that --skip-existing takes no other input for a finished one.

There is a record for each folder of outputs, in limner's own folder, so that nothing but outputs lies beside outputs.
It has a line of JSON for each of them: ``{"name": "rome/1.jpg", "source": "/home/me/holiday/rome/1.jpg"}``. It is only
added to, also by several runs at once; of two lines for one name the later counts. Where it is missing, as on another
machine or where the outputs were moved, and where it cannot be written, names decide.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..masking import identity
from ..sources import Input
from ..writers import UniqueStems, normalised

_MOST = 200  # records that are kept: those of the folders into which runs went last

_Place = tuple[str, str]  # the folder and the stem of outputs, below the folder of all; stems as `normalised`


@functools.lru_cache(maxsize=4096)
def _real(folder: str) -> str:
    return os.path.realpath(folder)


def source_of(item: Input) -> str:
    """Return what tells an input from all others: its place on this machine, else its address; "" of an array."""
    if item.path is not None:
        # what a link leads to is not asked, as two links to one file are two inputs
        return os.path.join(_real(os.path.abspath(item.path.parent)), item.path.name)
    if item.frames:
        return os.path.abspath(item.address)
    return identity(item.address) if item.address else ""


def _record_of(folder: Path, records: Path) -> Path:
    return records / f"{hashlib.sha256(os.fsencode(os.path.realpath(folder))).hexdigest()[:24]}.jsonl"


class OriginsWriter:
    """Adds to the record of a folder; a record that cannot be written is left out.

    Args:
        folder: of the outputs.
        records: the folder of all records.
    """

    def __init__(self, folder: Path, records: Path) -> None:
        self._folder = folder
        self._path = _record_of(folder, records)
        self._file = -1

    def add(self, outputs: Sequence[Path], item: Input) -> None:
        """Record the source of those outputs that are in the folder; called before they are written."""
        source = source_of(item)
        lines = [
            json.dumps({"name": path.relative_to(self._folder).as_posix(), "source": source})
            for path in outputs
            if source and path.is_relative_to(self._folder)
        ]
        if lines:
            with suppress(OSError, ValueError):
                if self._file < 0:
                    self._file = self._open()
                os.write(self._file, ("\n".join(lines) + "\n").encode("ascii"))

    def _open(self) -> int:
        if not self._path.exists():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            others = sorted(self._path.parent.glob("*.jsonl"), key=os.path.getmtime)
            for old in others[: max(0, len(others) + 1 - _MOST)]:
                old.unlink(missing_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        file = os.open(self._path, flags, 0o600)
        end = os.lseek(file, 0, os.SEEK_END)
        if end and os.lseek(file, end - 1, os.SEEK_SET) >= 0 and os.read(file, 1) != b"\n":
            os.write(file, b"\n")  # after a line that a kill has cut short
        return file

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1


@dataclass
class Origins:
    """The sources of the outputs that there are, as far as they are recorded."""

    _owners: dict[_Place, set[str]] = field(default_factory=lambda: defaultdict(set))
    _stems: dict[_Place, str] = field(default_factory=dict)  # as they are written

    def read(self, folder: Path, records: Path) -> None:
        """Take up the record of a folder."""
        latest: dict[str, str] = {}
        for name, source in _lines(_record_of(folder, records)):
            latest.pop(name, None)
            latest[name] = source
        for name, source in latest.items():
            if os.path.lexists(folder / name):
                inside, file = os.path.split(name)
                stem = os.path.splitext(file)[0]
                place = (os.path.normpath(inside) if inside else "", normalised(stem))
                self._owners[place].add(source)
                self._stems[place] = stem

    def names(self, items: Sequence[Input], stems: Mapping[str, UniqueStems]) -> dict[int, str]:
        """Return the stems of the inputs of this run that have outputs, by their numbers.

        They are taken from ``stems``, and so are those of other inputs that still exist.
        """
        own: dict[tuple[str, str], list[str]] = defaultdict(list)  # folder and source -> stems
        for (folder, key), sources in self._owners.items():
            if len(sources) == 1:
                own[(folder, next(iter(sources)))].append(self._stems[folder, key])
        given = {source_of(item) for item in items} if self._owners else set()
        found = {}
        for number, item in enumerate(items if own else ()):
            if recorded := own.get((item.folder, source_of(item))):
                found[number] = recorded.pop(recorded.index(item.stem) if item.stem in recorded else 0)
        for (folder, key), sources in self._owners.items():
            if folder in stems and any(source in given or os.path.exists(source) for source in sources):
                stems[folder].take(self._stems[folder, key])
        return found


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    with suppress(OSError), path.open("rb") as file:
        for line in file:
            with suppress(ValueError, KeyError, TypeError, RecursionError):  # a line that was cut short
                record = json.loads(line)
                name, source = record["name"], record["source"]
                if isinstance(name, str) and isinstance(source, str) and not os.path.isabs(name):
                    yield name, source
