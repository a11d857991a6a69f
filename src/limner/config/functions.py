"""The functions, methods and operators that a config may use: pure ones, with limits on the size of results."""

from __future__ import annotations

import ast
import copy
import itertools
import math
import operator
import os
import re
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .merge import merge
from .values import MAX_BITS, NODE_COST, BaseDict, Budget, inherited

MAX_LENGTH = 1_000_000  # elements of a list, characters of a string


def _check_length(length: int) -> None:
    if length > MAX_LENGTH:
        raise ValueError(f"it would make {length:,} elements, more than the limit of {MAX_LENGTH:,}")


def check_bits(number: Any) -> Any:
    """Refuse an integer that is too large."""
    if isinstance(number, int) and number.bit_length() > MAX_BITS:
        raise ValueError("the number is too large")
    return number


# -- functions


def _range(*args: int) -> range:
    numbers = range(*args)
    # len() cannot tell the length of a range beyond the machine's word
    _check_length(len(numbers) if max(map(abs, args)) < 2**62 else 2**62)
    return numbers


def _int(*args: Any) -> object:
    if args and isinstance(args[0], (str, bytes)) and len(args[0]) > MAX_BITS:
        raise ValueError("the number is too large")
    return check_bits(int(*args))


def _round(number: float, digits: int | None = None) -> float:
    if digits is not None and abs(digits) > 400:
        raise ValueError(f"round to {digits} digits")
    return round(number, digits)


def _sum(values: Iterable[Any], start: Any = 0) -> Any:
    if isinstance(start, (list, tuple)):
        return type(start)(itertools.chain(start, *values))
    return check_bits(sum(values, start))


FUNCTIONS: dict[str, Callable[..., object]] = {
    "abs": abs,
    "all": all,
    "any": any,
    "bool": bool,
    "dict": dict,
    "enumerate": lambda *args, **kwargs: list(enumerate(*args, **kwargs)),
    "float": float,
    "int": _int,
    "len": len,
    "list": list,
    "max": max,
    "min": min,
    "range": _range,
    "reversed": lambda values: list(reversed(values)),
    "round": _round,
    "set": set,
    "sorted": sorted,
    "str": str,
    "sum": _sum,
    "tuple": tuple,
    "zip": lambda *args: list(zip(*args)),  # noqa: B905
}

# functions of the standard library that can be called after an import; every other imported name is a string
LIBRARY: dict[str, Callable[..., object]] = {
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "math.ceil": math.ceil,
    "math.cos": math.cos,
    "math.exp": math.exp,
    "math.floor": math.floor,
    "math.log": math.log,
    "math.log10": math.log10,
    "math.log2": math.log2,
    "math.sin": math.sin,
    "math.sqrt": math.sqrt,
    "os.environ.get": os.environ.get,
    "os.getenv": os.getenv,
    "os.path.basename": os.path.basename,
    "os.path.dirname": os.path.dirname,
    "os.path.join": os.path.join,
    "os.path.splitext": os.path.splitext,
}
CONSTANTS: dict[str, float] = {"math.pi": math.pi, "math.e": math.e, "math.inf": math.inf, "math.nan": math.nan}


# -- strings


_PERCENT = re.compile(r"%(?:\([^)]*\))?([-#0 +]*[\d*]*\.?[\d*]*)")


def check_width(spec: str) -> str:
    """Refuse a format whose width or precision is too large."""
    if len(spec) > 50 or re.search(r"\d{4}|\*", spec):
        raise ValueError(f"the format {spec[:50]!r} is too wide")
    return spec


class _Formatter(string.Formatter):
    """``str.format`` that looks up items of dicts and lists, never attributes, and spends before it writes."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        first, *rest = re.split(r"[.\[]", field_name)
        value = self.get_value(int(first) if first.isdecimal() else first, args, kwargs)
        for part in rest:
            key: Any = part.rstrip("]")
            if not isinstance(value, (str, list, tuple, dict)):
                raise TypeError(f"{type(value).__name__} has no part {key!r}")
            value = value[key if isinstance(value, dict) else int(key)]
        return value, first

    def convert_field(self, value: Any, conversion: Any) -> Any:
        self.budget.spend_for(value)
        return super().convert_field(value, conversion)

    def format_field(self, value: Any, format_spec: str) -> str:
        self.budget.spend_for(value)
        result = format(value, check_width(format_spec))
        self.budget.spend(NODE_COST + len(result))
        return result


def format_text(budget: Budget, text: str, *args: object, **kwargs: object) -> str:
    """Return ``text.format(*args, **kwargs)``."""
    return _Formatter(budget).vformat(text, args, kwargs)


def _join(text: str, parts: Iterable[str]) -> str:
    parts = list(parts)
    _check_length(sum(len(p) for p in parts) + len(text) * len(parts))
    return text.join(parts)


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    _check_length(len(text) + text.count(old) * len(new))
    return text.replace(old, new, count)


# -- dicts and lists


def store(target: dict, key: object, value: object) -> None:
    """Set a key; a dict of a base stores a copy, as MMEngine's does."""
    target[key] = inherited(value) if isinstance(target, BaseDict) else value


def _update(target: dict, other: Any = (), **kwargs: object) -> None:
    for key, value in {**dict(other), **kwargs}.items():
        old = target.get(key)
        if isinstance(target, BaseDict) and isinstance(old, dict) and isinstance(value, dict):
            _update(old, value)
        else:
            store(target, key, value)


def _pop(target: dict, key: object, *default: object) -> object:
    if isinstance(target, BaseDict) and not default:
        return target.pop(key, None)
    return target.pop(key, *default)


def _merge(target: dict, other: dict) -> None:
    merged = merge(other, target)
    target.clear()
    _update(target, merged)


def _copy(target: dict) -> dict:
    return type(target)(target)


METHODS: dict[type, dict[str, Callable[..., object]]] = {
    dict: {
        "copy": _copy,
        "get": dict.get,
        "items": lambda d: list(d.items()),
        "keys": lambda d: list(d),
        "merge": _merge,
        "pop": _pop,
        "setdefault": dict.setdefault,
        "update": _update,
        "values": lambda d: list(d.values()),
    },
    list: {
        "append": list.append,
        "clear": list.clear,
        "copy": list.copy,
        "count": list.count,
        "extend": list.extend,
        "index": list.index,
        "insert": list.insert,
        "pop": list.pop,
        "remove": list.remove,
        "reverse": list.reverse,
        "sort": list.sort,
    },
    tuple: {"count": tuple.count, "index": tuple.index},
    set: {"add": set.add, "difference": set.difference, "intersection": set.intersection, "union": set.union},
    str: {
        "capitalize": str.capitalize,
        "endswith": str.endswith,
        "format": format_text,
        "join": _join,
        "lower": str.lower,
        "lstrip": str.lstrip,
        "partition": str.partition,
        "replace": _replace,
        "rpartition": str.rpartition,
        "rsplit": str.rsplit,
        "rstrip": str.rstrip,
        "split": str.split,
        "startswith": str.startswith,
        "strip": str.strip,
        "title": str.title,
        "upper": str.upper,
    },
}

# functions that read the top level of their arguments only, which are therefore not counted as a whole
TOP_LEVEL_FUNCTIONS = {"append", "items", "keys", "len", "list", "tuple", "values"}
HASHED_FIRST = {"add", "get", "pop", "setdefault"}  # methods whose first argument is hashed
HASHED_ALL = {"set", "union", "intersection", "difference"}  # functions that hash the elements of their arguments
HASHED_PAIRS = {"dict", "update"}  # functions that hash the first of each pair in their arguments


def spend_for_hashes(name: str, args: Sequence[Any], budget: Budget) -> None:
    """Spend what a function takes to hash what it is called with, the object of a method being its first argument."""
    if name in HASHED_FIRST and len(args) > 1:
        budget.spend_for_key(args[1])
    elif name in HASHED_ALL:
        for value in args:
            budget.spend_for_keys(value)
    elif name in HASHED_PAIRS:
        for value in args:
            if isinstance(value, (list, tuple)):
                budget.spend_for_keys([pair[0] for pair in value if isinstance(pair, (list, tuple)) and pair])


# -- operators


def _multiply(left: Any, right: Any, budget: Budget) -> Any:
    for sequence, times in ((left, right), (right, left)):
        if isinstance(sequence, (str, bytes, list, tuple)) and isinstance(times, int):
            _check_length(len(sequence) * max(times, 0))
            budget.spend(len(sequence) * max(times, 0))
    return left * right


def _add(left: Any, right: Any, budget: Budget) -> Any:
    if isinstance(left, (str, bytes, list, tuple)) and type(left) is type(right):
        budget.spend(len(left) + len(right))
    return left + right


def _power(left: Any, right: Any, budget: Budget) -> Any:
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() * abs(right) > MAX_BITS:
        raise ValueError("the number is too large")
    return left**right


def _shift(left: Any, right: Any, budget: Budget) -> Any:
    if right > MAX_BITS:
        raise ValueError("the number is too large")
    return left << right


def _modulo(left: Any, right: Any, budget: Budget) -> Any:
    if isinstance(left, bytes):
        raise TypeError("bytes cannot be formatted here")
    if isinstance(left, str):
        budget.spend(len(left))
        specs = _PERCENT.findall(left)
        for spec in specs:
            check_width(spec)
            budget.spend(NODE_COST + sum(map(int, re.findall(r"\d+", spec))))
        for _ in specs if isinstance(right, dict) else (right,):  # one value can be written many times
            budget.spend_for(right)
    return left % right


def _set_operation(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Budget], Any]:
    def operation(left: Any, right: Any, budget: Budget) -> Any:
        if isinstance(left, (set, dict)):
            budget.spend_for((left, right))
        return function(left, right)

    return operation


def _plainly(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Budget], Any]:
    return lambda left, right, budget: function(left, right)


BINARY: dict[type[ast.operator], Callable[[Any, Any, Budget], Any]] = {
    ast.Add: _add,
    ast.Sub: _set_operation(operator.sub),
    ast.Mult: _multiply,
    ast.Div: _plainly(operator.truediv),
    ast.FloorDiv: _plainly(operator.floordiv),
    ast.Mod: _modulo,
    ast.Pow: _power,
    ast.LShift: _shift,
    ast.RShift: _plainly(operator.rshift),
    ast.BitOr: _set_operation(operator.or_),
    ast.BitAnd: _set_operation(operator.and_),
    ast.BitXor: _set_operation(operator.xor),
}
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
    ast.Invert: operator.invert,
}
COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}


def binary(kind: type[ast.operator], left: object, right: object, budget: Budget) -> object:
    """Apply a binary operator and charge the budget for its result."""
    if kind not in BINARY:
        raise TypeError(f"the operator {kind.__name__} is not supported")
    return charge(check_bits(BINARY[kind](left, right, budget)), budget)


def charge(result: Any, budget: Budget) -> Any:
    """Charge the budget for the length of a result."""
    if isinstance(result, (str, bytes, dict, list, tuple, set, range)):
        budget.spend(len(result))
    return result
