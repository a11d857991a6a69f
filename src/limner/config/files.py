"""Reads one config file and the configs that it inherits."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .data_files import YAML, source_of
from .evaluate import Evaluator, Values
from .merge import merge
from .paths import SUFFIXES, resolve_base, resolve_module
from .stand_ins import STAND_INS, stand_in
from .statements import run
from .syntax import parse, quote_templates
from .values import BaseDict, Budget, Name, inherited, plain

MAX_BYTES = 600_000  # of a file: ten thousand lines
MAX_YAML = 200_000  # bytes, which PyYAML reads in a few seconds
SOURCE_COST = 4  # units for a character: its syntax tree takes far more memory
MAX_CHAIN = 40  # configs that inherit from each other
FILE_COST = 20_000  # units of the budget for one file


def load_file(path: Path, budget: Budget, chain: tuple[Path, ...] = ()) -> Values:
    """Return all that a config file defines and inherits: plain values, and a Name per import.

    Raises:
        ConfigError: The file cannot be read or evaluated.
    """
    identity = path.resolve()
    if identity in chain:
        loop = " -> ".join(p.name for p in (*chain[chain.index(identity) :], identity))
        raise ConfigError(f"{path} inherits from itself: {loop}")
    if len(chain) >= MAX_CHAIN:
        raise ConfigError(f"{path}: more than {MAX_CHAIN} configs inherit from each other")
    chain = (*chain, identity)
    try:
        budget.spend(FILE_COST)
        text, tree = _read(path, budget)
        base = _bases(path, text, tree, budget, chain)
        evaluator = Evaluator(path, text, base, budget, lambda *module: _module(path, budget, chain, *module))
        run(evaluator, tree.body)
        data, imported = evaluator.results()
        merged: Any = plain(_merged(path, data, base), budget)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None
    return {**imported, **merged}


def _merged(path: Path, data: Values, base: Values) -> Values:
    try:
        return merge(data, base)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _read(path: Path, budget: Budget) -> tuple[str, ast.Module]:
    """Return the text of a config, with bare templates quoted, and its syntax tree without ``_base_``."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(f"{path} is not a python config (.py), nor one in JSON or YAML (.json, .yaml, .yml)")
    most = MAX_YAML if suffix in YAML else MAX_BYTES
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
        if len(content) > most:
            raise ConfigError(f"{path} is too large for a config ({path.stat().st_size:,} bytes, at most {most:,} are)")
        text = content.decode("utf-8-sig")
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        raise ConfigError(f"the config {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not a text file in UTF-8 (byte {error.start})") from None
    if suffix != ".py":
        try:
            text = source_of(text, suffix, budget)
        except ValueError as error:
            raise ConfigError(f"{path} is not a config that can be read: {error}") from None
    budget.spend(SOURCE_COST * len(text))
    text = quote_templates(text)
    try:
        return text, parse(text)
    except SyntaxError as error:
        raise ConfigError(f"{path}, line {error.lineno}: not valid python: {error.msg}") from None
    except (ValueError, MemoryError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid python: {error or 'it is nested too deeply'}") from None


def _bases(path: Path, text: str, tree: ast.Module, budget: Budget, chain: tuple[Path, ...]) -> Values:
    """Load the configs that ``_base_`` names, and remove that statement from the tree."""
    statement = next((node for node in tree.body if _assigns_base(node)), None)
    if not isinstance(statement, ast.Assign):
        return BaseDict()
    tree.body.remove(statement)
    evaluator = Evaluator(path, text, {}, budget, lambda *_: {})
    references = evaluator.evaluate(statement.value)
    references = [references] if isinstance(references, str) else references
    if not isinstance(references, (list, tuple)) or not all(isinstance(r, str) for r in references):
        raise evaluator.fail(statement, "is neither a path nor a list of paths")
    base: dict[str, Any] = BaseDict()
    for reference in references:
        try:
            file, scope = resolve_base(reference, path)
        except ConfigError:
            instead = stand_in(reference, text)
            if instead is None:
                raise
            base.update({k: inherited(v) for k, v in instead.items() if k not in base})
            continue
        values = {k: v for k, v in load_file(file, budget, chain).items() if not isinstance(v, Name)}
        duplicates = sorted(base.keys() & values.keys() - STAND_INS)
        if duplicates:
            raise evaluator.fail(statement, f"names bases that define the same keys: {', '.join(duplicates)}")
        base.update({k: inherited(v, scope) for k, v in values.items()})
    return base


def _assigns_base(node: ast.stmt) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else []
    return any(isinstance(target, ast.Name) and target.id == "_base_" for target in targets)


def _module(path: Path, budget: Budget, chain: tuple[Path, ...], module: str, level: int) -> Values:
    try:
        file = resolve_module(module, level, path)
    except ConfigError:
        instead = stand_in(module.replace(".", "/") + ".py", "")
        if instead is None:
            raise
        return {k: inherited(v) for k, v in instead.items()}
    values = load_file(file, budget, chain)
    return {k: v if isinstance(v, Name) else inherited(v) for k, v in values.items()}
