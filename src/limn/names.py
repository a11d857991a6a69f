"""Arguments that are not there: the error names the nearest one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from .errors import ArgumentError, suggest

P = ParamSpec("P")
T = TypeVar("T")


def named(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function name the nearest of its arguments where it is called with one that it does not know."""
    known = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        check_names(function.__name__, kwargs, known)
        return function(*args, **kwargs)

    return call


def check_names(what: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise ArgumentError, naming the nearest, where ``given`` has a name that is not known."""
    for name in given:
        if name not in known:
            raise ArgumentError(f"{what} has no argument '{name}'.{suggest(name, known)} It knows {', '.join(known)}.")
