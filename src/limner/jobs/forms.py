"""Results in the forms of other tools: the writers of a run, and those of one input after the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..errors import ArgumentError, OutputError, expanded
from ..formats import ResultWriter
from ..formats.forms import FORMATS, Form, form
from ..formats.run_info import RunInfo


class FormWriters:
    """Writes the results of several inputs in several forms into a folder.

    Args:
        folder: of all files; it is created when the first is.
        names: of the forms, see `limner.formats.forms.FORMATS`.
        info: returns what makes the results; it is asked when the first file is opened.

    Raises:
        ArgumentError: there is no such form, or one is given twice.
    """

    def __init__(self, folder: Path, names: Sequence[str], info: Callable[[], RunInfo] = RunInfo) -> None:
        self.folder = expanded(folder)
        if len(set(names)) < len(names):
            raise ArgumentError(f"a form is given twice: {', '.join(names)}")
        self._forms = {name: form(name) for name in names}
        self._info = info
        self._stack = ExitStack()
        self._open: dict[str, ResultWriter] = {}

    def shared(self) -> list[Path]:
        """Return the files that hold the results of all inputs."""
        return [one.path(self.folder, "") for one in self._forms.values() if one.per == "run"]

    def own(self, stem: str, folder: str = "") -> list[Path]:
        """Return the files, or folders of files, that hold the results of one input."""
        place = self.folder / folder
        return [one.path(place, stem) for one in self._forms.values() if one.per == "input"]

    @contextmanager
    def of(self, stem: str, folder: str = "") -> Iterator[list[ResultWriter]]:
        """Yield the writers that take the results of one input; those of its own are closed at the end.

        Args:
            stem: of the input's files.
            folder: within the folder of all files.

        Raises:
            OutputError, MissingExtraError: a file cannot be written.
        """
        with ExitStack() as own:
            writers = [
                self._of_run(name, one) if one.per == "run" else self._of_input(one, stem, folder, own)
                for name, one in self._forms.items()
            ]
            yield writers

    def _of_run(self, name: str, one: Form) -> ResultWriter:
        if name not in self._open:
            self._open[name] = self._stack.enter_context(one.open(one.path(self.folder, ""), self._info()))
        return self._open[name]

    def _of_input(self, one: Form, stem: str, folder: str, own: ExitStack) -> ResultWriter:
        path = one.path(self.folder / folder, stem)
        return own.enter_context(one.open(path, self._info(), stem=stem if one.folder else None))

    def close(self) -> None:
        """Close the files that hold the results of all inputs."""
        self._stack.close()

    def __enter__(self) -> FormWriters:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def parse(given: Sequence[str]) -> list[str]:
    """Return the names of forms that a user gives, one an option or several with commas between.

    Raises:
        ArgumentError: there is no such form, or one is given twice.
    """
    names = [name.strip().lower() for text in given for name in text.split(",") if name.strip()]
    if not names:
        raise ArgumentError(f"--format is empty where a form is needed: {', '.join(FORMATS)}")
    FormWriters(Path(), names)
    return names


def refuse_existing(paths: Sequence[Path]) -> None:
    """Raise OutputError where one of the paths exists."""
    for path in paths:
        if os.path.lexists(path):
            raise OutputError(f"'{path}' exists: give --overwrite, or another folder")
