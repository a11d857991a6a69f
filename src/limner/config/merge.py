"""Merging of a config into the one it inherits, and of options into a config, as MMEngine does it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import ArgumentError, ConfigError, said

MAX_BRACKETS = 50
MAX_PARTS = 100  # of the dotted key of an option


def merge(child: Mapping[str, Any], base: Mapping[str, Any], *, where: str = "") -> dict[str, Any]:
    """Merge ``child`` into a copy of ``base``; neither is changed.

    Dicts are merged recursively, everything else replaces what the base has. ``_delete_=True`` in
    a dict replaces the base's dict. A dict with the keys ``'0'``, ``'1'``, ... over a list changes
    these elements.

    Raises:
        ConfigError: a dict would be merged into something else, or an index is out of range.
    """
    result = dict(base)
    for key, value in child.items():
        if key != "_delete_":
            path = f"{where}.{key}" if where else str(key)
            result[key] = _merge_value(value, base[key], path) if key in base else value
    return result


def _merge_value(value: Any, base: Any, where: str) -> Any:
    if not isinstance(value, dict):
        return value
    if value.get("_delete_"):
        return {k: v for k, v in value.items() if k != "_delete_"}
    if isinstance(base, dict):
        return merge(value, base, where=where)
    if isinstance(base, (list, tuple)) and all(len(str(k)) < 10 and str(k).isdecimal() for k in value):
        items = list(base)
        for key, element in value.items():
            if int(key) >= len(items):
                raise ConfigError(f"{where}.{key} does not exist: {where} has {len(items)} elements, counted from 0")
            items[int(key)] = _merge_value(element, items[int(key)], f"{where}.{key}")
        return type(base)(items)
    raise ConfigError(
        f"{where[:200]} is a dict here and {type(base).__name__} ({said(base)[:40]}) in the base: "
        "they cannot be merged (write _delete_=True into the dict to replace it)"
    )


def apply_options(cfg: Mapping[str, Any], options: Mapping[str, object]) -> dict[str, Any]:
    """Return a copy of ``cfg`` with options applied, as ``--cfg-options`` of the MMPose commands does.

    A key such as ``model.test_cfg.flip_test`` or ``pipeline.0.type`` names a value by dict keys and
    list indices; keys that do not exist are created.

    Raises:
        ConfigError: a part of a key is neither in a dict nor in a list.
        ArgumentError: two options contradict each other.
    """
    nested: dict[str, Any] = {}
    for dotted, value in options.items():
        *parents, last = dotted.split(".")
        if len(parents) >= MAX_PARTS:
            raise ArgumentError(f"the option {said(dotted)} has more than {MAX_PARTS} parts")
        level = nested
        for key in parents:
            level = level.setdefault(key, {})
            if not isinstance(level, dict):
                raise ArgumentError(f"the option {dotted} contradicts an option that sets {key} to {level!r}")
        both_dicts = isinstance(value, dict) and isinstance(level.get(last), dict)
        level[last] = {**level[last], **value} if both_dicts and isinstance(value, dict) else value
    return merge(nested, cfg)


def parse_options(texts: Iterable[str]) -> dict[str, object]:
    """Read ``KEY=VALUE`` words of a command line into ``{key: value}``.

    Numbers, ``True``/``False`` (any case) and ``None`` become those values, ``[1,2]`` and ``1,2`` are
    lists, ``(1,2)`` is a tuple, brackets nest, and all else is a string. A quoted value is a string
    (``a="1,2"``); around brackets quotes are ignored, since many shells need them there.

    Raises:
        ArgumentError: a word without ``=``, or brackets that do not match.
    """
    options: dict[str, object] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ArgumentError(
                f"the option {said(text)} is not of the form KEY=VALUE, such as model.test_cfg.flip_test=False"
            )
        try:
            options[key.strip()] = _parse(value)
        except ValueError as error:
            raise ArgumentError(f"the option {said(text)} cannot be read: {error}") from None
    return options


def _parse(text: str, depth: int = 0) -> object:
    text = text.strip()
    if depth > MAX_BRACKETS:
        raise ValueError("it has too many brackets")
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" and text[0] not in text[1:-1]:
        inner = text[1:-1].strip()
        return _parse(inner, depth + 1) if inner[:1] + inner[-1:] in ("[]", "()") else text[1:-1]
    parts = _split(text)
    if len(parts) > 1:
        return [_parse(part, depth + 1) for part in parts if part.strip()]
    if text[:1] + text[-1:] in ("[]", "()"):
        values = [_parse(part, depth + 1) for part in _split(text[1:-1]) if part.strip()]
        return tuple(values) if text[0] == "(" else values
    return _scalar(text)


def _split(text: str) -> list[str]:
    """Split at the commas outside of brackets and quotes."""
    parts, start, closing, quote, before = [], 0, "", "", ""  # the last: of the spaces, the character before them
    for i, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"" and before in ("", ",", "[", "(") and text.find(char, i + 1) > 0:
            quote = char
        elif char in "[(":
            closing += "])"["[(".index(char)]
        elif char in "])":
            if closing[-1:] != char:
                raise ValueError(f"the bracket {char!r} does not match")
            closing = closing[:-1]
        elif char == "," and not closing:
            parts.append(text[start:i])
            start = i + 1
        before = before if char.isspace() else char
    if closing:
        raise ValueError(f"the bracket {closing[-1]!r} is missing")
    return [*parts, text[start:]]


def _scalar(text: str) -> object:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    return None if text == "None" else text
