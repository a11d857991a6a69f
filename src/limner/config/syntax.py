"""Text of a config -> syntax tree, with templates quoted, and too deeply nested syntax refused."""

from __future__ import annotations

import ast
import re
import warnings
from typing import Any

# inside {{ ... }}; spaces are limited since two unlimited runs side by side would make the search quadratic
INNER = r"_base_\.[\w.]+|file(?:Dirname|Basename|BasenameNoExtension|Extname)|\$\w+[ ]{0,9}:[ ]{0,9}[^\s{}]*?"
TEMPLATE = re.compile(rf"\{{\{{ {{0,9}}(['\"]?) {{0,9}}({INNER}) {{0,9}}\1 {{0,9}}\}}\}}")

# strings and comments; an unclosed one ends with its line or the text, so that the search stays linear
_TEXT = r"""(?P<quote>'''|\"\"\")(?:\\.|[^\\])*?(?:(?P=quote)|\Z)
    | "(?:\\.|[^"\\\n])*"? | '(?:\\.|[^'\\\n])*'? | \#[^\n]*"""
_BARE = re.compile(rf"{_TEXT} | \{{\{{[ ]{{0,9}}(?P<inner>{INNER})[ ]{{0,9}}\}}\}}", re.DOTALL | re.VERBOSE)
_LINK = re.compile(
    rf"""{_TEXT} | \\\n | (?P<open>[\[({{]) | (?P<close>[\])}}]) | (?P<end>[,;\n])
    | (?P<link>[-+*/%@&|^~<>.]|\b(?:if|lambda|not|await)\b) | (?P<elif>\belif\b)""",
    re.DOTALL | re.VERBOSE,
)
MAX_NESTING = 1000  # operators, calls and brackets nested in one expression
ALWAYS_SHALLOW = 4000  # characters; a shorter text cannot be nested too deeply


def quote_templates(text: str) -> str:
    """Quote the templates outside of strings: ``{{ _base_.x }}`` becomes ``{{'_base_.x'}}``."""
    return _BARE.sub(lambda match: f"{{{{{match['inner']!r}}}}}" if match["inner"] else match[0], text)


def parse(text: str, mode: str = "exec") -> Any:
    """Return the syntax tree of Python source, without Python's warnings about it.

    Raises:
        SyntaxError, ValueError, MemoryError, RecursionError: it is not valid, or nested too deeply.
    """
    # python 3.10 overflows its stack on long chains such as 1 + 1 + ..., which ends the process
    if len(text) > ALWAYS_SHALLOW and _max_depth(text) > MAX_NESTING:
        raise ValueError("an expression in it is nested too deeply")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text, mode=mode)


def first_line(text: str, node: ast.AST) -> str:
    """Return the source of a node as far as its line goes: `ast.get_source_segment` takes seconds for a long line."""
    number, start = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
    line = next(iter(text.split("\n", number)[number - 1 : number]), "").encode("utf-8", "surrogatepass")
    same = getattr(node, "end_lineno", None) == number
    return line[start : getattr(node, "end_col_offset", None) if same else None].decode("utf-8", "replace").strip()


def _max_depth(text: str) -> int:
    """Return an upper bound of the depth of the syntax tree."""
    depth = deepest = branches = 0
    outer_depths: list[int] = []  # depth around each open bracket
    for match in _LINK.finditer(text):
        kind = match.lastgroup
        if kind == "open":
            outer_depths.append(depth)
            depth += 1
        elif kind == "close":
            depth = (outer_depths.pop() if outer_depths else depth) + 1
        elif kind == "end":
            if outer_depths and match[0] == ",":
                depth = outer_depths[-1] + 1
            elif not outer_depths:
                depth = 0
        elif kind == "elif":
            branches += 1
        elif kind == "link":
            depth += 1
        deepest = max(deepest, depth, branches)
    return deepest
