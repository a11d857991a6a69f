"""CSV in two shapes: a row for each keypoint (tidy), as pandas and R like it, or for each instance (wide)."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence

from ..files import plain_json
from ..keypoints import KeypointSet
from ..types import Result
from .incremental import IncrementalFile
from .rows import TIDY_COLUMNS, Columns, keypoint_rows, wide_columns, wide_rows
from .run_info import RunInfo
from .whole import same_keypoints


def tidy_csv(result: Result, *, header: bool = True) -> str:
    """Return a result as CSV, one row for each keypoint: file, frame, time, id, keypoint, x, y, score, ...

    Missing values, NaN among them, are empty. A frame without instances is one row without keypoint.
    """
    return _text(keypoint_rows(result), header)


def wide_csv(result: Result, *, header: bool = True) -> str:
    """Return a result as CSV, one row for each instance, with ``nose_x``, ``nose_y``, ``nose_score``, ...

    Missing values, NaN among them, are empty. A frame without instances is one row without them.
    """
    return _text(wide_rows(result), header)


class TidyCsvWriter(IncrementalFile):
    """Writes one CSV file of `tidy_csv` for all results; the rows of a frame are in it when `write` returns.

    The form has no place for the model and its weights.

    Raises:
        OutputError: the file cannot be created or written.
    """

    def __init__(self, path: str | os.PathLike[str], info: RunInfo | None = None) -> None:
        super().__init__(path, csv_line(TIDY_COLUMNS))

    def write(self, result: Result) -> None:
        """Add the rows of the next frame or image.

        Raises:
            OutputError: they cannot be written; the rows before them stay.
        """
        self._add(tidy_csv(result, header=False))
        self.frames += 1


class WideCsvWriter(IncrementalFile):
    """Writes one CSV file of `wide_csv` for all results; the rows of a frame are in it when `write` returns.

    The form has no place for the model and its weights. Without any result the file is empty.

    Raises:
        OutputError: the file cannot be created or written.
    """

    def __init__(self, path: str | os.PathLike[str], info: RunInfo | None = None) -> None:
        super().__init__(path)
        self._keypoint_set: KeypointSet | None = None

    def write(self, result: Result) -> None:
        """Add the rows of the next frame or image.

        Raises:
            ArgumentError: its keypoints are others than those of the results before.
            OutputError: they cannot be written; the rows before them stay.
        """
        self._keypoint_set = same_keypoints(self._keypoint_set, result, self.path)
        head = "" if self.frames else csv_line(wide_columns(result.keypoint_set.names))
        self._add(head + wide_csv(result, header=False))
        self.frames += 1


def _text(columns: Columns, header: bool) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(columns)
    writer.writerows(zip(*map(_plain, columns.values()), strict=True))
    return text.getvalue()


def _plain(values: list) -> list:
    """Return the shortest decimals of float32 numbers, and None, which csv leaves empty, for NaN."""
    plain = {value: plain_json(value) for value in set(values)}  # most columns repeat theirs
    return [plain[value] for value in values]


def csv_line(values: Sequence[object]) -> str:
    """Return one line of CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()
