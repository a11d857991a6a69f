"""Parquet: the tidy table of keypoints, a tenth of the size of JSON, read by pandas, R and databases."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from typing import Any

from ..errors import MissingExtraError
from ..keypoints import KeypointSet
from ..types import Result
from .rows import ID, INTEGERS, TEXTS, TIDY_COLUMNS, Columns, joined, keypoint_rows, unique_names
from .run_info import RunInfo
from .whole import DeferredWriter, open_whole

ROWS = 1 << 16  # of a row group, which is kept in memory
BATCH_ROWS = 1 << 11  # that wait as Python objects, which take ten times as much
_WIDE = {"time": "float64"}  # the other numbers with a fraction are float32


class ParquetWriter(DeferredWriter):
    """Writes the table of `rows.keypoint_rows` as Parquet, with one schema from the first row to the last.

    The file's metadata have, under "limner", a JSON object with the model, the hash of its weights, the keypoint
    set, its names and its skeleton. ``id`` comes back to pandas as whole numbers, missing ones as NA.
    The file takes its name when the writer is closed.

    Raises:
        MissingExtraError: pyarrow is not installed.
        OutputError: the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], info: RunInfo | None = None) -> None:
        try:
            import pyarrow.parquet
        except ModuleNotFoundError:
            raise MissingExtraError("the form Parquet", "parquet") from None
        super().__init__(path, info)
        self._pyarrow: Any = pyarrow
        self._waiting: list[Columns] = []
        self._batches: list[Any] = []  # tables
        self._waiting_rows = self._rows = 0  # in the former, in the latter
        self._files = ExitStack()
        self._table: Any = None

    def _add(self, result: Result) -> None:
        columns = keypoint_rows(result)
        self._waiting.append(columns)
        self._waiting_rows += len(columns["frame"])
        if self._waiting_rows >= min(BATCH_ROWS, ROWS):
            self._batch()
        if self._rows >= ROWS:
            self._flush()

    def _batch(self) -> None:
        """Turn the rows that wait into a table."""
        pyarrow = self._pyarrow
        if self._table is None:
            schema = _schema(pyarrow, self.keypoint_set, self.info)
            file = self._files.enter_context(open_whole(self.path))
            self._table = self._files.enter_context(pyarrow.parquet.ParquetWriter(file, schema, compression="zstd"))
        if self._waiting:
            self._batches.append(pyarrow.Table.from_pydict(joined(self._waiting), schema=self._table.schema))
        self._rows += self._waiting_rows
        self._waiting, self._waiting_rows = [], 0

    def _flush(self) -> None:
        """Write the tables as one row group."""
        if self._batches:
            self._table.write_table(self._pyarrow.concat_tables(self._batches), row_group_size=2 * ROWS)
        self._batches, self._rows = [], 0

    def _finish(self) -> None:
        with self._files:
            self._batch()
            self._flush()


def _schema(pyarrow: Any, keypoint_set: KeypointSet | None, info: RunInfo) -> Any:
    """Return the schema of `TIDY_COLUMNS` with its metadata, those that pandas needs among them."""
    kinds = {
        name: "string" if name in TEXTS else "int64" if name in INTEGERS else _WIDE.get(name, "float32")
        for name in TIDY_COLUMNS
    }
    types = {"string": pyarrow.string(), "int64": pyarrow.int64(), "float64": pyarrow.float64()}
    fields = [pyarrow.field(name, types.get(kind) or pyarrow.float32()) for name, kind in kinds.items()]
    made_by: dict[str, object] = dict(info.fields())
    if keypoint_set is not None:
        made_by["keypoint_set"] = keypoint_set.name
        made_by["keypoint_names"] = list(unique_names(keypoint_set.names))
        made_by["skeleton"] = keypoint_set.skeleton.tolist()
    metadata = {"limner": json.dumps(made_by), "pandas": json.dumps(_pandas_metadata(kinds))}
    return pyarrow.schema(fields, metadata=metadata)


def _pandas_metadata(kinds: dict[str, str]) -> dict[str, object]:
    """Return what pandas stores for a table of such columns: without it a missing id turns all ids into floats."""
    numpy_types = {"string": "object", "int64": "Int64", "float32": "float32", "float64": "float64"}
    columns = [
        {
            "name": name,
            "field_name": name,
            "pandas_type": "unicode" if kind == "string" else kind,
            "numpy_type": numpy_types[kind] if name in (ID, "instance", "label") or kind != "int64" else "int64",
            "metadata": None,
        }
        for name, kind in kinds.items()
    ]
    return {"index_columns": [], "column_indexes": [], "columns": columns, "creator": {"library": "limner"}}
