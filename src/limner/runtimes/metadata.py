"""Metadata of configs and checkpoints <-> JSON: plain Python values, without loss."""

from __future__ import annotations

from typing import Any

import numpy as np

MAX_VALUES = 1_000_000  # values in one piece of metadata; MMPose's have some thousands
MAX_DEPTH = 60


def encode(value: object) -> object:
    """Return a value that `json.dumps` takes and `decode` turns back: tuples, sets, arrays, keys of any kind.

    Equal values give equal JSON in every process. Any other object becomes the name of its type, and is decoded
    as None.

    Raises:
        ValueError: it is nested too deeply, or too large.
    """
    return _encode(value, [MAX_VALUES], 0)


def _encode(value: object, remaining: list[int], depth: int) -> object:
    remaining[0] -= 1
    if depth > MAX_DEPTH or remaining[0] < 0:
        raise ValueError(f"it holds more than {MAX_VALUES} values, or is nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (float, str)) or (isinstance(value, int) and value.bit_length() <= 64):
        return value

    def encode_all(values: Any) -> list[object]:
        return [_encode(item, remaining, depth + 1) for item in values]

    if isinstance(value, list):
        return encode_all(value)
    if isinstance(value, tuple):
        return {"tuple": encode_all(value)}
    if isinstance(value, dict):
        return {"dict": [encode_all(pair) for pair in value.items()]}
    if isinstance(value, (set, frozenset)):
        return {"set": encode_all(sorted(value, key=repr))}
    if isinstance(value, np.ndarray) and value.dtype.char not in "gFDGSVOMm" and value.size <= remaining[0]:
        return {"array": [value.dtype.str, list(value.shape), encode_all(value.ravel().tolist())]}
    return {"other": f"{type(value).__module__}.{type(value).__qualname__}"}


def decode(value: Any) -> Any:
    """Return the value that `encode` was given.

    Raises:
        ValueError, TypeError, KeyError: `encode` cannot have returned it.
    """
    return _decode(value, False)


def _decode(value: Any, as_key: bool) -> Any:
    if isinstance(value, list):
        return [_decode(item, as_key) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tuple":
        return tuple(_decode(item, as_key) for item in content)
    if kind == "dict":
        return {_decode(key, True): _decode(item, as_key) for key, item in content}
    if kind == "set":
        items = (_decode(item, True) for item in content)
        return frozenset(items) if as_key else set(items)
    if kind == "array":
        dtype, shape, items = content
        return np.array(items, dtype).reshape(shape)
    if kind == "other":
        return None
    raise ValueError(f"'{kind}' is no kind of value")
