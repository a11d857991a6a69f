"""From the text of a config to its syntax tree: templates outside of strings, and syntax that is nested too deeply."""

from __future__ import annotations

import ast
import re
import warnings
from typing import Any

# of {{ ... }}; spaces are counted since two open-ended ones side by side would make the search quadratic
INNER = r"_base_\.[\w.]+|file(?:Dirname|Basename|BasenameNoExtension|Extname)|\$\w+[ ]{0,9}:[ ]{0,9}[^\s{}]*?"
TEMPLATE = re.compile(rf"\{{\{{ {{0,9}}(['\"]?) {{0,9}}({INNER}) {{0,9}}\1 {{0,9}}\}}\}}")

# strings and comments; an unclosed one ends where it must, so that the search stays linear
_TEXT = r"""(?P<quote>'''|\"\"\")(?:\\.|[^\\])*?(?:(?P=quote)|\Z)
    | "(?:\\.|[^"\\\n])*"? | '(?:\\.|[^'\\\n])*'? | \#[^\n]*"""
_BARE = re.compile(rf"{_TEXT} | \{{\{{[ ]{{0,9}}(?P<inner>{INNER})[ ]{{0,9}}\}}\}}", re.DOTALL | re.VERBOSE)
_LINK = re.compile(
    rf"""{_TEXT} | \\\n | (?P<open>[\[({{]) | (?P<close>[\])}}]) | (?P<end>[,;\n])
    | (?P<link>[-+*/%@&|^~<>.]|\b(?:if|lambda|not|await)\b) | (?P<elif>\belif\b)""",
    re.DOTALL | re.VERBOSE,
)
MAX_LINKS = 1000  # operators, calls and brackets that make one expression deep
ALWAYS_SHALLOW = 4000  # characters, which cannot nest deeply enough to matter


def quote_templates(text: str) -> str:
    """Make strings of the templates outside of strings: ``{{ _base_.x }}`` becomes ``{{'_base_.x'}}``."""
    return _BARE.sub(lambda match: f"{{{{{match['inner']!r}}}}}" if match["inner"] else match[0], text)


def parse(text: str, mode: str = "exec") -> Any:
    """Return the syntax tree of python source, without python's warnings about it.

    Raises:
        SyntaxError, ValueError, MemoryError, RecursionError: It is not valid, or nested too deeply.
    """
    # python 3.10 overflows its stack on long chains such as 1 + 1 + ..., which ends the process
    if len(text) > ALWAYS_SHALLOW and _links(text) > MAX_LINKS:
        raise ValueError("an expression in it is nested too deeply")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text, mode=mode)


def _links(text: str) -> int:
    """Return an upper bound of the depth of the syntax tree."""
    depth = most = branches = 0
    outside: list[int] = []  # depth around each open bracket
    for match in _LINK.finditer(text):
        kind = match.lastgroup
        if kind == "open":
            outside.append(depth)
            depth += 1
        elif kind == "close":
            depth = (outside.pop() if outside else depth) + 1
        elif kind == "end":
            if outside and match[0] == ",":
                depth = outside[-1] + 1
            elif not outside:
                depth = 0
        elif kind == "elif":
            branches += 1
        elif kind == "link":
            depth += 1
        most = max(most, depth, branches)
    return most
