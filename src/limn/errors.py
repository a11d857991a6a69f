"""The errors that limn raises: one small tree, each with a sentence for the user.

Every message says what failed, with which value, and what to do about it. The command line
prints the message alone and exits with status 1; a program can catch `LimnError`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LimnError(Exception):
    """Base of all errors that are meant for the user."""


class InputError(LimnError):
    """A picture, video, folder or array that cannot be read."""


class OutputError(LimnError):
    """A file or folder that cannot be written."""


class ArgumentError(LimnError, ValueError):
    """An unknown or impossible argument."""


class ConfigError(LimnError):
    """A config file that cannot be evaluated or does not describe a model that limn knows."""


class CheckpointError(LimnError):
    """A weight file that is damaged or does not fit its config."""


class ModelError(LimnError):
    """An unknown model name, or a model whose files are not here."""


class DownloadError(ModelError):
    """A file that could not be fetched or failed its verification."""


class DeviceError(LimnError):
    """A device or engine that was asked for and is not there."""


class MissingExtraError(LimnError, ImportError):
    """A feature whose optional packages are not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f'{feature} needs packages that are not installed: pip install "limn[{extra}]"')


def suggest(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the nearest known name, or "" where none is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean '{near[0]}'?" if near else ""
