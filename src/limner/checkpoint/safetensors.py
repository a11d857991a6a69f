"""Files of safetensors -> arrays: eight bytes of length, a JSON table of the tensors, and their bytes."""

from __future__ import annotations

import json
import math
from io import BufferedReader
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CheckpointError, said
from .archive import filled

MAX_TABLE = 16 << 20  # bytes; one of ten thousand tensors has a twentieth of it
MAX_DIMENSIONS = 16
KINDS = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",  # the upper half of a float32
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
    "BOOL": "?",
}


def is_safetensors(head: bytes, size: int) -> bool:
    """Whether a file of ``size`` bytes that begins with ``head`` has the format."""
    return head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= min(size - 8, MAX_TABLE)


def read(path: Path, file: BufferedReader) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the weights of a file, and its metadata: a dict of texts.

    Raises:
        CheckpointError: it is damaged, or has tensors of a type that limner does not read.
    """
    file.seek(0)
    start = 8 + int.from_bytes(file.read(8), "little")
    size = file.seek(0, 2) - start
    file.seek(8)
    try:
        table = json.loads(file.read(start - 8).decode("utf-8"), object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is damaged: the table of this safetensors file is unusable ({str(error)[:200]})"
        ) from None
    meta = table.pop("__metadata__", {})
    places: dict[str, tuple[int, int, np.dtype]] = {}
    for key, entry in table.items():
        try:
            places[key] = _place(entry, size)
        except _UnknownKindError as kind:
            raise CheckpointError(f"{path}: {said(key)} is of a type that limner does not read ({kind})") from None
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            raise CheckpointError(
                f"{path} is damaged or cut off: {said(key)} of this safetensors file does not fit its data "
                f"({str(error)[:200]})"
            ) from None
    used = sorted((begin, end) for begin, end, _ in places.values())
    if any(end > begin for (_, end), (begin, _) in pairwise(used)):
        raise CheckpointError(f"{path} is damaged: two of its tensors share bytes")
    if sum(end - begin for begin, end in used) != size:
        raise CheckpointError(
            f"{path} is damaged or cut off: the tensors of this safetensors file do not fill its {size:,} bytes"
        )
    arrays: dict[str, np.ndarray] = {}
    file.seek(start)
    data = filled(file, np.empty(size, np.uint8))
    for key, (begin, end, dtype) in places.items():
        try:
            arrays[key] = _array(table[key], dtype, data[begin:end])
        except (ValueError, TypeError) as error:  # of no elements, in more dimensions than numpy has
            raise CheckpointError(f"{path} is damaged: {said(key)} has a shape that none has ({error})") from None
    return arrays, _meta(meta) if isinstance(meta, dict) else {}


def _meta(texts: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata with a dataset_meta, which the format can only hold as text, as what it says."""
    try:
        found = json.loads(texts.get("dataset_meta", ""))
    except (TypeError, ValueError, RecursionError):
        return texts
    return {**texts, "dataset_meta": found} if isinstance(found, dict) else texts


class _UnknownKindError(Exception):
    """A type of numbers that has no place here."""


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a name is in it twice")
    return dict(pairs)


def _place(entry: dict[str, Any], size: int) -> tuple[int, int, np.dtype]:
    """Return where the bytes of a tensor begin and end in the data, and its type."""
    begin, end = entry["data_offsets"]
    if type(begin) is not int or type(end) is not int or not 0 <= begin <= end <= size:
        raise ValueError(f"its bytes {begin} to {end} do not lie within {size:,}")
    kind, shape = entry["dtype"], entry["shape"]
    if kind not in KINDS:
        raise _UnknownKindError(str(kind)[:40])
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS or any(type(n) is not int or n < 0 for n in shape):
        raise ValueError(f"its shape is {str(shape)[:60]}")
    dtype = np.dtype(KINDS[kind])
    if math.prod(shape) * dtype.itemsize != end - begin:
        raise ValueError(f"its shape {shape} needs {math.prod(shape) * dtype.itemsize:,} bytes, not {end - begin:,}")
    return begin, end, dtype


def _array(entry: dict[str, Any], dtype: np.dtype, data: np.ndarray) -> np.ndarray:
    shape = entry["shape"]
    array = np.ndarray(shape, dtype, data.data) if len(data) else np.zeros(shape, dtype)
    if entry["dtype"] == "BF16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array if array.flags.aligned and array.dtype.isnative else array.astype(dtype.newbyteorder("="))
