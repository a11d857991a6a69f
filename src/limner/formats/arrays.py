"""Results as numpy arrays and pandas DataFrames."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..errors import MissingExtraError
from ..types import Result
from .rows import INTEGERS, TEXTS, joined, keypoint_rows, to_numpy, wide_rows

__all__ = ["to_dataframe", "to_numpy"]


def to_dataframe(results: Result | Iterable[Result], *, wide: bool = False) -> Any:
    """Return results as a ``pandas.DataFrame``, one row for each keypoint, or for each instance where ``wide``.

    The columns are those of CSV and Parquet (file, frame, time, id, keypoint, x, y, score ...). A frame in which
    nobody was found is one row without keypoint, which ``dropna(subset="instance")`` takes away.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    try:
        import pandas
    except ModuleNotFoundError:
        raise MissingExtraError("a DataFrame", "pandas") from None
    each = [results] if isinstance(results, Result) else results
    columns = joined((wide_rows if wide else keypoint_rows)(result) for result in each)
    frame = {name: pandas.Series(values, dtype=_dtype(name)) for name, values in columns.items()}
    return pandas.DataFrame(frame)


def _dtype(name: str) -> str:
    if name in ("frame", "width", "height"):
        return "int64"
    if name in INTEGERS:
        return "Int64"  # which has a missing value
    return "object" if name in TEXTS else "float64" if name == "time" else "float32"
