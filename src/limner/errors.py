"""The errors that limner raises: one small tree, each with a sentence for the user.

Every message says what failed, with which value, and what to do about it. The command line
prints the message alone and exits with status 1; a program can catch `LimnerError`.
"""

from __future__ import annotations

import difflib
import errno
import functools
import importlib.util
import inspect
import itertools
import math
import os
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from .masking import masked_text
from .masking import printable as printable

P = ParamSpec("P")
T = TypeVar("T")

# optional feature -> the packages that it needs, as pyproject.toml has them (a test compares the two)
EXTRAS = {
    "batch": ("fsspec>=2024.2",),
    "eval": ("pycocotools>=2.0.7",),
    "heic": ("pillow-heif>=1.0",),
    "jxl": ("pillow-jxl-plugin>=1.3",),
    "nwb": ("pynwb>=2.8", "ndx-pose>=0.4"),
    "openvino": ("openvino>=2024.0",),
    "pandas": ("pandas>=2.0",),
    "parquet": ("pyarrow>=14.0",),
    "serve": (
        *("starlette>=0.47", "uvicorn>=0.35", "websockets>=14", "python-multipart>=0.0.20"),
        "prometheus-client>=0.20",
    ),
    "ray": ("ray[data]>=2.40",),
    "show": ("pygame-ce>=2.4",),
    "supervision": ("supervision>=0.31",),
    "torch": ("torch>=2.1", "onnx>=1.15"),
    "yaml": ("pyyaml>=6.0",),
}


_LONGEST_NAME = 200  # characters of what was meant as a name
_MOST_NAMES = 5000  # that are looked through for a similar one
_LONGEST_TEXT = 4000  # that a user can mean: longer ones are no path either


class LimnerError(Exception):
    """Base of all errors that are meant for the user; what is secret in URLs in its message is masked."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(masked_text(value) if isinstance(value, str) else value for value in args))

    def __str__(self) -> str:
        return one_line(super().__str__())


class InputError(LimnerError):
    """An image, video, folder or array that cannot be read."""

    source = ""  # what the user named, where it is one of several inputs


class OutputError(LimnerError):
    """A file or folder that cannot be written."""


class ArgumentError(LimnerError, ValueError):
    """An unknown or impossible argument."""


class ConfigError(LimnerError):
    """A config file that cannot be evaluated or does not describe a model that limner knows."""


class CheckpointError(LimnerError):
    """A weight file that is damaged or does not fit its config."""


class ModelError(LimnerError):
    """An unknown model name, or a model whose files are missing."""


class DownloadError(ModelError):
    """A file that could not be fetched or failed its verification; what to do has lines of its own."""

    def __str__(self) -> str:
        return printable(Exception.__str__(self))


class DeviceError(LimnerError):
    """A requested device or engine that is not available."""


class MissingExtraError(LimnerError, ImportError):
    """A feature whose optional packages are not installed; the message names them.

    Args:
        feature: what cannot be done, as the subject of a sentence.
        extra: a key of `EXTRAS`.
        instead: what can be done without them, as the end of the sentence.
    """

    def __init__(self, feature: str, extra: str, instead: str = "") -> None:
        packages = " ".join(f'"{package}"' for package in EXTRAS[extra])
        end = f", {instead}" if instead else ""
        super().__init__(f"{feature} needs packages that are not installed: pip install {packages}{end}")


def one_line(text: str) -> str:
    """Return a text for a message: as `printable` does, and what controls a terminal, line ends too, as ``\\n``."""
    text = printable(text)
    if text.isprintable():
        return text
    return "".join(c.encode("unicode_escape").decode() if _controls(c) else c for c in text)


def _controls(character: str) -> bool:
    """Whether a character moves the cursor or turns the text after it; other unseen ones are in names of many files."""
    return unicodedata.category(character) in ("Cc", "Zl", "Zp") or character in _TURNING


_TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


_LONGEST_NAME = 80  # characters, of up to four bytes, that a name can have everywhere


def _is_too_long(path: str) -> bool:
    try:
        os.stat(path)
    except OSError as error:
        return error.errno == errno.ENAMETOOLONG
    except ValueError:
        pass  # opening it says why
    return False


def expanded(path: str | os.PathLike[str]) -> Path:
    """Return a path in which ``~`` is the user's home and ``~name`` that of another user.

    Raises:
        ArgumentError: there is no such user, nor a file or folder of that name; or it is longer than paths can be.
    """
    text = os.fspath(path)
    found = os.path.expanduser(text)
    if len(found) > _LONGEST_NAME and "://" not in text and _is_too_long(found):
        raise ArgumentError(f"'{text[:40]}...' is longer than a name or path of a file can be; check it")
    first = text.partition("/")[0].partition("\\")[0]
    if found == text and first.startswith("~") and not os.path.lexists(first):
        who = f"user '{first[1:]}'" if first != "~" else "home folder"
        raise ArgumentError(f"'{text}' leads nowhere, as there is no {who} here; for the name itself give './{text}'")
    return Path(found)


def is_installed(package: str) -> bool:
    """Whether a package is installed; it is not imported."""
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):  # something stands in its place
        return False


def said(value: object) -> str:
    """Return a value for a message: as Python writes it, but of arrays the shape, and of long ones the beginning."""
    shape = getattr(value, "shape", None)
    if shape is not None and hasattr(value, "dtype"):
        return f"an array of shape {list(shape)}"
    if isinstance(value, (list, tuple)) and any(hasattr(entry, "dtype") for entry in value):
        return f"a {type(value).__name__} of {len(value)} arrays"
    try:
        text = " ".join(repr(value).split())
    except (ValueError, RecursionError):  # a number of more digits than Python prints; what holds itself
        return f"a very large {type(value).__name__}"
    if "array(" in text and not isinstance(value, str):
        return f"a {type(value).__name__} of arrays"
    return text if len(text) <= 100 else f"{text[:97]}..."


def check_texts(arguments: Mapping[str, object], what: str = "a text") -> None:
    """Raise ArgumentError where a value that is not None is neither a text nor a path."""
    for name, value in arguments.items():
        if value is not None and (not isinstance(value, (str, os.PathLike)) or len(str(value)) > _LONGEST_TEXT):
            raise ArgumentError(f"{name} is {said(value)} where {what} is needed")


def is_flag(value: object) -> bool:
    """Whether a value is True or False, of Python or of numpy, which is not loaded here."""
    return isinstance(value, bool) or (type(value).__module__ == "numpy" and type(value).__name__ in ("bool", "bool_"))


def check_flags(arguments: Mapping[str, object]) -> None:
    """Raise ArgumentError where a value is not True or False: a text or a number is not taken for one."""
    for name, value in arguments.items():
        if not is_flag(value):
            raise ArgumentError(f"{name} is {said(value)} where True or False is needed")


def check_number(name: str, value: object, low: float = -math.inf, high: float = math.inf) -> None:
    """Raise ArgumentError where a value is not a number within limits: a text, a bool and NaN are none."""
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= float(value) <= high:
        within = (
            "a number" if low == -math.inf else f"a number from {low:g} {f'to {high:g}' if high < math.inf else 'on'}"
        )
        raise ArgumentError(f"{name} is {said(value)} where {within} is needed")


def plain(value: Any) -> Any:
    """Return a number of numpy, or of a tensor, also in a list or tuple, as one of Python; anything else as it is."""
    if type(value) in (list, tuple):
        return type(value)(map(plain, value))
    if getattr(value, "ndim", None) == 0 and callable(getattr(value, "item", None)):
        return value.item()
    return value


def suggest(name: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    """Return " Did you mean 'x'?" for the most similar known name, or "" where none is similar.

    Args:
        name: what was typed.
        known: what could be meant.
        cutoff: how similar it must be, 0..1: higher where there are many names, or many that are meant otherwise.
    """
    if len(name) > _LONGEST_NAME:  # no name is: to compare them would take minutes
        return ""
    possible = [k for k in itertools.islice(known, _MOST_NAMES) if len(k) <= 2 * _LONGEST_NAME]
    similar = difflib.get_close_matches(name, possible, n=1, cutoff=cutoff)
    return f" Did you mean '{similar[0]}'?" if similar else ""


def missing_name(what: str, name: str, elsewhere: Mapping[str, str], known: Iterable[str]) -> str:
    """Return the sentence for a name that an object does not have.

    Args:
        what: the object.
        name: what was asked for.
        elsewhere: names that users of other libraries type -> where the object has what they mean.
        known: names that the object has.
    """
    if name.startswith("_"):
        return f"{what} has no '{name}'"
    if name in elsewhere:
        return f"{what} has no '{name}'; instead: {elsewhere[name]}"
    return f"{what} has no '{name}'.{suggest(name, [k for k in known if not k.startswith('_')])}".rstrip(".")


def check_arguments(
    what: str, given: Mapping[str, Any], known: Sequence[str], elsewhere: Mapping[str, str] | None = None
) -> None:
    """Raise ArgumentError where ``given`` has an unknown argument.

    It suggests the most similar name, or what ``elsewhere`` has for a name that users of other libraries type.
    """
    for name in given:
        if name not in known:
            if elsewhere is not None and name in elsewhere:
                raise ArgumentError(f"{what} has no argument '{name}'; instead: {elsewhere[name]}")
            raise ArgumentError(
                f"{what} has no argument '{name}'.{suggest(name, known)} Its arguments are {', '.join(known)}."
            )


def checks_arguments(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function so that an unknown argument raises ArgumentError with the most similar known one."""
    return checks_call(function.__name__)(function)


def checks_call(what: str, elsewhere: Mapping[str, str] | None = None) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a function or method so that arguments which it cannot be called with raise ArgumentError.

    Args:
        what: what the errors call it.
        elsewhere: see `check_arguments`.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        signature = inspect.signature(function)
        known = [name for name, p in signature.parameters.items() if name != "self" and p.kind != p.VAR_KEYWORD]
        takes_all = any(p.kind == p.VAR_KEYWORD for p in signature.parameters.values())

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            theirs = {name: value for name, value in kwargs.items() if name in (elsewhere or {})}
            check_arguments(what, theirs if takes_all else kwargs, known, elsewhere)
            try:
                signature.bind(*args, **kwargs)
            except TypeError as error:  # too many without names, or none
                advice = f"its arguments are {', '.join(known)}" if known else "give arguments by name"
                raise ArgumentError(f"{what} is called with {error}; {advice}") from None
            return function(*args, **kwargs)

        return call

    return decorate
