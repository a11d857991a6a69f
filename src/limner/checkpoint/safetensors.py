"""Files of safetensors -> arrays: eight bytes of length, a JSON table of the tensors, and their bytes."""

from __future__ import annotations

import json
import math
import mmap
from io import BufferedReader
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CheckpointError

MAX_TABLE = 100 << 20  # bytes, as the format itself limits it
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
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)  # writable pages that never reach the file
    start = 8 + int.from_bytes(mapped[:8], "little")
    try:
        table = json.loads(mapped[8:start].decode("utf-8"), object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: the table of this safetensors file is unusable ({error})") from None
    meta = table.pop("__metadata__", {})
    data = memoryview(mapped)[start:]
    arrays, used = {}, []
    for key, entry in table.items():
        try:
            begin, end = _place(entry, len(data))
            arrays[key] = _array(entry, data[begin:end])
        except _UnknownKindError as kind:
            raise CheckpointError(f"{path}: '{key}' is of a type that limner does not read ({kind})") from None
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            raise CheckpointError(
                f"{path} is damaged or cut off: '{key}' of this safetensors file does not fit its data ({error})"
            ) from None
        used.append((begin, end))
    used.sort()
    if any(end > begin for (_, end), (begin, _) in pairwise(used)):
        raise CheckpointError(f"{path} is damaged: two of its tensors share bytes")
    if sum(end - begin for begin, end in used) != len(data):
        raise CheckpointError(
            f"{path} is damaged or cut off: the tensors of this safetensors file do not fill its {len(data):,} bytes"
        )
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


def _place(entry: dict[str, Any], size: int) -> tuple[int, int]:
    begin, end = entry["data_offsets"]
    if type(begin) is not int or type(end) is not int or not 0 <= begin <= end <= size:
        raise ValueError(f"its bytes {begin} to {end} do not lie within {size:,}")
    return begin, end


def _array(entry: dict[str, Any], data: memoryview) -> np.ndarray:
    kind, shape = entry["dtype"], entry["shape"]
    if kind not in KINDS:
        raise _UnknownKindError(str(kind)[:40])
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS or any(type(n) is not int or n < 0 for n in shape):
        raise ValueError(f"its shape is {str(shape)[:60]}")
    dtype = np.dtype(KINDS[kind])
    if math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"its shape {shape} needs {math.prod(shape) * dtype.itemsize:,} bytes, not {len(data):,}")
    array = np.ndarray(shape, dtype, data) if len(data) else np.zeros(shape, dtype)
    if kind == "BF16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array if array.flags.aligned and array.dtype.isnative else array.astype(dtype.newbyteorder("="))
