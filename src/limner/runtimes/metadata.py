"""Plain Python values <-> JSON, exactly: what configs and checkpoints note about a model."""

from __future__ import annotations

from typing import Any

import numpy as np

MOST = 1_000_000  # values in one note; MMPose's have some thousands
DEEPEST = 60


def encode(value: object) -> object:
    """Return what `json.dumps` writes and `decode` brings back: tuples, sets, arrays, keys of any kind.

    Equal values give equal JSON in every process. What is no plain value becomes its type's name, and comes
    back as None.

    Raises:
        ValueError: it is nested without end, or too large.
    """
    return _encoded(value, [MOST], 0)


def _encoded(value: object, left: list[int], depth: int) -> object:
    left[0] -= 1
    if depth > DEEPEST or left[0] < 0:
        raise ValueError(f"it holds more than {MOST} values, or is nested more than {DEEPEST} levels deep")
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value

    def inner(values: Any) -> list[object]:
        return [_encoded(item, left, depth + 1) for item in values]

    if isinstance(value, list):
        return inner(value)
    if isinstance(value, tuple):
        return {"tuple": inner(value)}
    if isinstance(value, dict):
        return {"dict": [inner(pair) for pair in value.items()]}
    if isinstance(value, (set, frozenset)):
        return {"set": inner(sorted(value, key=repr))}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufU":
        return {"array": [value.dtype.str, list(value.shape), inner(value.ravel().tolist())]}
    return {"other": f"{type(value).__module__}.{type(value).__qualname__}"}


def decode(value: Any) -> Any:
    """Return the value that `encode` was given.

    Raises:
        ValueError, TypeError, KeyError: it is nothing that `encode` returns.
    """
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tuple":
        return tuple(map(decode, content))
    if kind == "dict":
        return {decode(key): decode(item) for key, item in content}
    if kind == "set":
        return set(map(decode, content))
    if kind == "array":
        dtype, shape, items = content
        return np.array(items, dtype).reshape(shape)
    if kind == "other":
        return None
    raise ValueError(f"'{kind}' is no kind of value")
