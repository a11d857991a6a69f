"""The errors that limner raises: one small tree, each with a sentence for the user.

Every message says what failed, with which value, and what to do about it. The command line
prints the message alone and exits with status 1; a program can catch `LimnerError`.
"""

from __future__ import annotations

import difflib
import functools
import importlib.util
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# optional feature -> the packages that it needs, as pyproject.toml has them (a test compares the two)
EXTRAS = {
    "nwb": ("pynwb>=2.8", "ndx-pose>=0.4"),
    "openvino": ("openvino>=2024.0",),
    "pandas": ("pandas>=2.0",),
    "parquet": ("pyarrow>=14.0",),
    "show": ("pygame-ce>=2.4",),
    "supervision": ("supervision>=0.31",),
    "torch": ("torch>=2.1", "onnx>=1.15"),
}


class LimnerError(Exception):
    """Base of all errors that are meant for the user."""


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
    """A file that could not be fetched or failed its verification."""


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


def is_installed(package: str) -> bool:
    """Whether a package is installed; it is not imported."""
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):  # something stands in its place
        return False


def suggest(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the most similar known name, or "" where none is similar."""
    similar = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean '{similar[0]}'?" if similar else ""


def check_arguments(what: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise ArgumentError, suggesting the most similar name, where ``given`` has an unknown argument."""
    for name in given:
        if name not in known:
            raise ArgumentError(
                f"{what} has no argument '{name}'.{suggest(name, known)} Its arguments are {', '.join(known)}."
            )


def checks_arguments(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function so that an unknown argument raises ArgumentError with the most similar known one."""
    known = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        check_arguments(function.__name__, kwargs, known)
        return function(*args, **kwargs)

    return call
