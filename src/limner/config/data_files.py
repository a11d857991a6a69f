"""Configs in JSON and YAML, as MMEngine reads them: brought into Python source, so that one evaluator reads all."""

from __future__ import annotations

import json
import keyword
from typing import Any

from ..errors import MissingExtraError
from .values import NODE_COST, Budget

JSON, YAML = (".json",), (".yaml", ".yml")


def source_of(text: str, suffix: str, budget: Budget) -> str:
    """Return the assignments that stand for the content of a JSON or YAML file.

    Raises:
        ValueError: it is not valid, no dict, or too large.
        MissingExtraError: PyYAML is not installed.
    """
    try:
        data = json.loads(text, parse_constant=_refuse) if suffix in JSON else _yaml(text, budget)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(data, dict):
        raise ValueError(f"it holds a {type(data).__name__} at its top, where a config has names with values")
    budget.spend_for(data)  # aliases of YAML can make a few lines huge
    for key in data:
        if not isinstance(key, str) or not key.isidentifier() or keyword.iskeyword(key):
            raise ValueError(f"{key!r} at its top is not a name")
    _check(data)
    return "\n".join(f"{key} = {value!r}" for key, value in data.items())


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is not a value of JSON")


def _check(value: Any) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _check(key)
            _check(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check(item)
    elif not isinstance(value, (str, int, float, bool, type(None))) or value in (float("inf"), -float("inf")):
        raise ValueError(f"{value!r} is not a value of a config")
    elif value != value:
        raise ValueError("it holds NaN, which is no value of a config")


def _yaml(text: str, budget: Budget) -> Any:
    try:
        import yaml
    except ModuleNotFoundError:
        raise MissingExtraError(
            "Reading a config in YAML", "yaml", "or save the config as .py or .json, which need none"
        ) from None

    safe: Any = yaml.SafeLoader

    class Loader(safe):  # type: ignore[misc]
        """Plain values, and the tuples that MMEngine's own dumps have; what aliases repeat is spent before it is."""

        def tuple_of(self, node: Any) -> tuple[Any, ...]:
            value = tuple(self.construct_sequence(node, deep=True))
            budget.spend_for(value)  # it may be a key, and to hash it is to walk all of it
            return value

        def flatten_mapping(self, node: Any) -> None:
            for key, value in node.value:
                if key.tag == "tag:yaml.org,2002:merge":
                    for part in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                        if isinstance(part, yaml.MappingNode):
                            self.flatten_mapping(part)
                            budget.spend(NODE_COST * len(part.value))
            super().flatten_mapping(node)

    Loader.add_constructor("tag:yaml.org,2002:python/tuple", Loader.tuple_of)
    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())[:300]) from None
    except (AttributeError, LookupError, TypeError, ArithmeticError) as error:  # `!!int ''`, `!!bool x` ...
        raise ValueError(f"a value is not of the type that it names ({type(error).__name__})") from None
