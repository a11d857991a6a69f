"""MMEngine-style config files -> plain dicts: parsed, never executed.

A config is Python source whose assignments are data. limner walks its syntax tree and evaluates
literals, names, arithmetic, comprehensions and a list of pure functions and methods; anything else
is a ConfigError that names the file and the line. Imported names are inert: ``type=RTMDet`` is the
string ``'RTMDet'``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigError, said
from .attributes import Config
from .files import load_file
from .merge import apply_options, merge, parse_options
from .paths import SUFFIXES, resolve, resolve_beside
from .values import Budget, Name

__all__ = [
    "SUFFIXES",
    "Config",
    "apply_options",
    "load",
    "merge",
    "opened",
    "parse_options",
    "resolve",
    "resolve_beside",
]


def opened(source: str | Path | Mapping[str, Any], options: Mapping[str, object] | None = None) -> Config:
    """Return a config as scripts use it, from a path or from a config that is loaded already; it is not changed.

    Args:
        source: what `load` takes; a dict; or an object with ``to_dict()``, as MMEngine's ``Config``.
        options: see `load`.

    Raises:
        ConfigError: see `load`.
    """
    if isinstance(source, (str, Path)):
        file = resolve(source)
        return Config(load(file, options=options), file)
    to_dict = getattr(type(source), "to_dict", None)
    values = to_dict(source) if to_dict is not None else source
    if not isinstance(values, Mapping):
        raise ConfigError(f"a config is a path or a dict, not {type(source).__name__}")
    name = source.file if isinstance(source, Config) else getattr(source, "filename", None) if to_dict else None
    try:
        return Config(apply_options(values, options or {}), Path(name) if name else None)
    except RecursionError:
        raise ConfigError("the config is nested too deeply, or holds itself") from None


def load(path: str | Path, *, options: Mapping[str, object] | None = None) -> dict[str, Any]:
    """Return a config with all that it inherits as plain dicts, lists, tuples, sets and scalars.

    Names that begin with an underscore, imports and helper functions are left out.

    Args:
        path: a file, a ``package::path``, or a path of MMPose that limner has a copy of (see `resolve`).
        options: changes by dotted keys, such as ``{"model.test_cfg.flip_test": False}``.

    Raises:
        ConfigError: the file does not exist, or something in it cannot be evaluated.
    """
    file = resolve(path)
    try:
        values = load_file(file, Budget())
    except RecursionError:
        raise ConfigError(f"{file} is nested too deeply") from None
    for key in values:
        if not isinstance(key, str):  # as by _base_.setdefault(1)
            raise ConfigError(f"{file} gives a value the name {said(key)}, which is no text")
    cfg = {key: value for key, value in values.items() if not key.startswith("_") and not isinstance(value, Name)}
    return apply_options(cfg, options) if options else cfg
