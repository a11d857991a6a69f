"""A config as scripts for MMPose read it: `cfg.model.backbone` beside `cfg["model"]["backbone"]`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import suggest


class ConfigDict(dict[str, Any]):
    """A dict whose items are attributes too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the config has no '{name}' here.{suggest(name, map(str, self))}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(f"the config has no '{name}' here") from None


class Config(ConfigDict):
    """A whole config, and the file that it was read from."""

    __slots__ = ("_file",)
    _file: Path | None

    def __init__(self, values: Mapping[str, Any], file: Path | None = None) -> None:
        super().__init__({key: _with_attributes(value) for key, value in values.items()})
        object.__setattr__(self, "_file", file)

    @property
    def file(self) -> Path | None:
        """The file, None where the config was not read from one."""
        return self._file

    @property
    def filename(self) -> str | None:
        """The path of the file, None where the config was not read from one."""
        return None if self._file is None else str(self._file)

    def __reduce__(self) -> Any:
        return Config, (dict(self), self._file)


def _with_attributes(value: Any) -> Any:
    """Return a value with all dicts in it as `ConfigDict`."""
    if isinstance(value, dict):
        return ConfigDict({key: _with_attributes(item) for key, item in value.items()})
    if type(value) in (list, tuple):
        return type(value)(map(_with_attributes, value))
    return value
