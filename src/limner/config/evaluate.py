"""Evaluates the expressions of a config: names, data, and pure functions of them. Nothing is executed."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..errors import ConfigError, suggest
from .functions import (
    COMPARE,
    CONSTANTS,
    FUNCTIONS,
    LIBRARY,
    METHODS,
    TOP_LEVEL_FUNCTIONS,
    UNARY,
    binary,
    charge,
    check_bits,
    check_width,
    format_text,
    spend_for_hashes,
    store,
)
from .syntax import INNER, TEMPLATE, first_line, parse
from .values import CONTAINERS, FAILED_TEMPLATE, MAX_DEPTH, MAX_REASON, BaseDict, Budget, Name, inherited

Values = dict[str, Any]
# (module, dots before it) of a `from module import ...` under `with read_base():` -> its names
Inherit = Callable[[str, int], Values]

FAILURES = (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError, MemoryError, RuntimeError)


class Evaluator:
    """Evaluates one config file, and keeps its names, the base it inherits, and the budget."""

    def __init__(self, path: Path, text: str, base: Values, budget: Budget, inherit: Inherit) -> None:
        self.path = path
        self.text = text
        self.base = base
        self.budget = budget
        self.inherit = inherit
        self.scopes: list[Values] = [{"_base_": base, "__name__": path.stem, "__file__": str(path)}]
        self.imported: set[str] = set()
        self.depth = 0
        self.loops = 0  # how many loops surround the statement

    def results(self) -> tuple[Values, Values]:
        """Return the data that the file defines, and the names that it imports."""
        names = {k: v for k, v in self.scopes[0].items() if k not in ("_base_", "_deprecation_") and k[:2] != "__"}
        data = {k: v for k, v in names.items() if k not in self.imported}
        return data, {k: v for k, v in names.items() if k in self.imported}

    # -- errors

    def fail(self, node: ast.AST, reason: str) -> ConfigError:
        line = getattr(node, "lineno", 1)
        source = first_line(self.text, node)
        source = source if len(source) <= 60 else source[:57] + "..."
        return ConfigError(f"{self.path}, line {line}: {source!r} {reason[:MAX_REASON]}")

    def unsupported(self, node: ast.AST) -> ConfigError:
        kind = type(node).__name__
        return self.fail(node, f"is not supported ({kind}): limner reads a config as data and runs no code in it")

    # -- expressions

    def evaluate(self, node: ast.expr) -> Any:
        """Return the value of an expression.

        Raises:
            ConfigError: it cannot be evaluated; the message names file, line and source.
        """
        return self.dispatch(EXPRESSIONS.get(type(node)), node)

    def dispatch(self, handler: Callable[[Evaluator, Any], Any] | None, node: ast.AST) -> Any:
        """Call a handler for a node, within the limits; errors name the node."""
        if handler is None:
            raise self.unsupported(node)
        self.depth += 1
        try:
            if self.depth > MAX_DEPTH:
                raise ValueError(f"the syntax is nested more than {MAX_DEPTH} levels deep")
            self.budget.spend()
            return handler(self, node)
        except RecursionError:
            raise
        except KeyError as error:
            raise self.fail(node, f"cannot be evaluated: there is no key {error}") from None
        except FAILURES as error:
            raise self.fail(node, f"cannot be evaluated: {error or type(error).__name__}") from None
        finally:
            self.depth -= 1

    def constant(self, node: ast.Constant) -> Any:
        value = node.value
        if isinstance(value, str):
            self.budget.spend(len(value) // 64)
            return self.fill(value) if "{{" in value else value
        return check_bits(value)

    def name(self, node: ast.Name) -> Any:
        for scope in reversed(self.scopes):
            if node.id in scope:
                return scope[node.id]
        if node.id in FUNCTIONS:
            raise self.fail(node, "is a function, and a config can only hold data")
        raise self.fail(node, f"is not defined.{suggest(node.id, self.scopes[0])}")

    def attribute(self, node: ast.Attribute) -> Any:
        owner = self.evaluate(node.value)
        if isinstance(owner, Name):
            dotted = f"{owner.dotted}.{node.attr}"
            return CONSTANTS.get(dotted, Name.of(dotted))
        if not isinstance(owner, dict):
            raise TypeError(f"{type(owner).__name__} has no attribute {node.attr!r}")
        if node.attr not in owner:
            raise AttributeError(f"there is no {node.attr!r}.{suggest(node.attr, map(str, owner))}")
        return owner[node.attr]

    def subscript(self, node: ast.Subscript) -> Any:
        owner = self.evaluate(node.value)
        if isinstance(owner, Name):
            raise TypeError(f"{owner.dotted} is an imported name, whose content limner does not read")
        return charge(owner[self.key(node.slice)], self.budget)

    def key(self, node: ast.expr) -> Any:
        key = self.evaluate(node)
        self.budget.spend_for_key(key)  # hashing a tuple walks all of it
        return key

    def slice_(self, node: ast.Slice) -> slice:
        parts = (node.lower, node.upper, node.step)
        return slice(*(None if p is None else self.evaluate(p) for p in parts))

    def elements(self, nodes: list[ast.expr]) -> list:
        values: list = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                values.extend(charge(list(self.evaluate(node.value)), self.budget))
            else:
                values.append(self.evaluate(node))
        return values

    def set_display(self, node: ast.Set) -> Any:
        inner = node.elts[0] if len(node.elts) == 1 else None
        if isinstance(inner, ast.Set) and len(inner.elts) == 1:  # {{ ... }} outside of a string
            template = inner.elts[0]
            if isinstance(template, ast.Constant) and isinstance(template.value, str):
                return self.bare(template.value)
            return self.evaluate(template)
        values = self.elements(node.elts)
        self.budget.spend_for(values)
        self.budget.spend_for_keys(values)
        return set(values)

    def dict_display(self, node: ast.Dict) -> dict:
        result: dict = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                result.update(charge(dict(self.evaluate(value)), self.budget))
            else:
                result[self.key(key)] = self.evaluate(value)
        return result

    def binary(self, node: ast.BinOp) -> Any:
        # a chain of additions nests to the left: a loop over it avoids deep recursion
        chain: list[ast.BinOp] = []
        left: ast.expr = node
        while isinstance(left, ast.BinOp):
            chain.append(left)
            left = left.left
        result = self.evaluate(left)
        for operation in reversed(chain):
            result = binary(type(operation.op), result, self.evaluate(operation.right), self.budget)
        return result

    def unary(self, node: ast.UnaryOp) -> Any:
        return check_bits(UNARY[type(node.op)](self.evaluate(node.operand)))

    def boolean(self, node: ast.BoolOp) -> Any:
        for operand in node.values:
            value = self.evaluate(operand)
            if bool(value) is isinstance(node.op, ast.Or):
                break
        return value

    def compare(self, node: ast.Compare) -> bool:
        left = self.evaluate(node.left)
        for kind, operand in zip(node.ops, node.comparators, strict=True):
            right = self.evaluate(operand)
            if isinstance(kind, (ast.In, ast.NotIn)) and not isinstance(left, CONTAINERS):
                charge(right, self.budget)
            else:
                self.budget.spend_for((left, right))
            if isinstance(left, (str, bytes)) and isinstance(right, (list, tuple)):  # may be compared with each
                self.budget.spend(len(right) * (len(left) // 64))
            if not COMPARE[type(kind)](left, right):
                return False
            left = right
        return True

    def conditional(self, node: ast.IfExp) -> Any:
        return self.evaluate(node.body if self.evaluate(node.test) else node.orelse)

    def joined(self, node: ast.JoinedStr) -> str:
        return charge("".join(str(self.evaluate(part)) for part in node.values), self.budget)

    def formatted(self, node: ast.FormattedValue) -> str:
        value = self.evaluate(node.value)
        self.budget.spend_for(value)
        convert: dict[int, Callable[[object], str]] = {ord("s"): str, ord("r"): repr, ord("a"): ascii}
        value = convert[node.conversion](value) if node.conversion in convert else value
        spec = "" if node.format_spec is None else str(self.evaluate(node.format_spec))
        return charge(format(value, check_width(spec)), self.budget)

    def comprehension(self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp) -> list | set:
        values = [
            self.key(node.elt) if isinstance(node, ast.SetComp) else self.evaluate(node.elt)
            for _ in self.iterations(node.generators)
        ]
        return set(values) if isinstance(node, ast.SetComp) else values

    def dict_comprehension(self, node: ast.DictComp) -> dict:
        return {self.key(node.key): self.evaluate(node.value) for _ in self.iterations(node.generators)}

    def iterations(self, generators: list[ast.comprehension]) -> Iterator[None]:
        """Yield once per iteration of a comprehension, with its variables set."""
        values = charge(list(self.evaluate(generators[0].iter)), self.budget)
        self.scopes.append({})
        try:
            for value in values:
                self.assign(generators[0].target, value)
                if all(self.evaluate(test) for test in generators[0].ifs):
                    if len(generators) == 1:
                        yield
                    else:
                        yield from self.iterations(generators[1:])
        finally:
            self.scopes.pop()

    def call(self, node: ast.Call) -> Any:
        function, name, args = self.function(node)
        args += self.elements(node.args)
        kwargs: Values = {}
        for keyword in node.keywords:
            value = self.evaluate(keyword.value)
            new = charge(dict(value), self.budget) if keyword.arg is None else {keyword.arg: value}
            duplicates = kwargs.keys() & new.keys()
            if duplicates:
                raise TypeError(f"the keyword {min(map(str, duplicates))!r} is given twice")
            kwargs.update(new)
        if name not in TOP_LEVEL_FUNCTIONS:
            self.budget.spend_for(args)
        if name != "dict":
            self.budget.spend_for(kwargs)
        spend_for_hashes(name, args, self.budget)
        if function is format_text:
            args = [self.budget, *args]
        return charge(function(*args, **kwargs), self.budget)

    def function(self, node: ast.Call) -> tuple[Callable[..., Any], str, list]:
        """Return the function of a call, its name, and the object it is a method of, if any."""
        if isinstance(node.func, ast.Name) and not any(node.func.id in scope for scope in self.scopes):
            if node.func.id not in FUNCTIONS:
                raise self.fail(node, f"calls an unknown function.{suggest(node.func.id, FUNCTIONS)}")
            return FUNCTIONS[node.func.id], node.func.id, []
        if isinstance(node.func, ast.Attribute):
            owner = self.evaluate(node.func.value)
            if not isinstance(owner, Name):
                methods = next((m for kind, m in METHODS.items() if isinstance(owner, kind)), {})
                if node.func.attr not in methods:
                    kind, hint = type(owner).__name__, suggest(node.func.attr, methods)
                    raise TypeError(f"{kind} has no method {node.func.attr!r} that limner supports.{hint}")
                return methods[node.func.attr], node.func.attr, [owner]
        target = self.evaluate(node.func)
        if isinstance(target, Name) and target.dotted in LIBRARY:
            return LIBRARY[target.dotted], target.dotted, []
        raise self.fail(node, "calls a function: limner reads a config as data and runs no code in it")

    # -- templates: {{ _base_.x }}, {{ fileBasename }}, {{ $VARIABLE:default }}

    def fill(self, text: str) -> Any:
        """Fill the templates in a string; a string that is one ``_base_`` template becomes that value."""
        self.budget.spend(len(text))
        whole = TEMPLATE.fullmatch(text.strip())
        if whole and whole[2].startswith("_base_."):
            return self.template(whole[2])
        return charge(TEMPLATE.sub(lambda match: str(self.template(match[2])), text), self.budget)

    def bare(self, inner: str) -> Any:
        """Return the value of a template outside of a string; the text of a variable counts as source."""
        if not re.fullmatch(INNER, inner.strip()):
            raise TypeError("a set cannot hold a set")
        value = self.template(inner.strip())
        if not inner.strip().startswith("$"):
            return value
        self.budget.spend(20 * len(value))
        try:
            return self.evaluate(parse(value, "eval").body)
        except (SyntaxError, ValueError, ConfigError, MemoryError):
            self.budget.spend(FAILED_TEMPLATE)
            return value

    def template(self, inner: str) -> Any:
        """Return the value of a template."""
        if inner.startswith("_base_."):
            value: Any = self.base
            for key in inner.split(".")[1:]:
                if isinstance(value, (list, tuple)) and key.isdigit():
                    value = value[int(key)]
                elif isinstance(value, dict) and key in value:
                    value = value[key]
                else:
                    raise ValueError(f"the bases have no {inner[len('_base_.') :]!r}")
            self.budget.spend_for(value)
            return inherited(value)
        if inner.startswith("$"):
            variable, _, default = (part.strip() for part in inner[1:].partition(":"))
            text = os.environ.get(variable, default)
            if not text:
                raise ValueError(f"the environment variable {variable} is not set and has no default here")
            return text
        file = {
            "fileDirname": self.path.parent.as_posix(),
            "fileBasename": self.path.name,
            "fileBasenameNoExtension": self.path.stem,
            "fileExtname": self.path.suffix,
        }
        return file[inner]

    # -- targets of assignments

    def bind(self, name: str, value: object, *, imported: bool = False) -> None:
        self.scopes[-1][name] = value
        if len(self.scopes) == 1:
            (self.imported.add if imported else self.imported.discard)(name)

    def assign(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Name):
            if target.id == "_base_":
                raise ValueError("_base_ can be assigned once, at the top level of the file")
            self.bind(target.id, value)
        elif isinstance(target, (ast.Tuple, ast.List)):
            self.unpack(target.elts, value)
        elif isinstance(target, (ast.Attribute, ast.Subscript)):
            owner = self.evaluate(target.value)
            key: Any = target.attr if isinstance(target, ast.Attribute) else self.key(target.slice)
            if isinstance(owner, BaseDict):
                self.budget.spend_for(value)
            if isinstance(owner, dict):
                store(owner, key, value)
            elif isinstance(owner, list) and isinstance(target, ast.Subscript):
                self.budget.spend(len(owner) // 16 if isinstance(key, slice) else 0)  # the rest is moved
                owner[key] = charge(list(value), self.budget) if isinstance(key, slice) else value
            else:
                raise TypeError(f"{type(owner).__name__} cannot be assigned to")
        else:
            raise self.unsupported(target)

    def unpack(self, targets: list[ast.expr], value: Any) -> None:
        values = charge(list(value), self.budget)
        star = next((i for i, t in enumerate(targets) if isinstance(t, ast.Starred)), None)
        if star is not None:
            after = len(targets) - star - 1
            values[star : len(values) - after] = [values[star : len(values) - after]]
        if len(values) != len(targets):
            raise ValueError(f"{len(values)} values cannot be assigned to {len(targets)} names")
        for target, item in zip(targets, values, strict=True):
            self.assign(target.value if isinstance(target, ast.Starred) else target, item)


EXPRESSIONS: dict[type[ast.expr], Callable[[Evaluator, Any], Any]] = {
    ast.Attribute: Evaluator.attribute,
    ast.BinOp: Evaluator.binary,
    ast.BoolOp: Evaluator.boolean,
    ast.Call: Evaluator.call,
    ast.Compare: Evaluator.compare,
    ast.Constant: Evaluator.constant,
    ast.Dict: Evaluator.dict_display,
    ast.DictComp: Evaluator.dict_comprehension,
    ast.FormattedValue: Evaluator.formatted,
    ast.GeneratorExp: Evaluator.comprehension,
    ast.IfExp: Evaluator.conditional,
    ast.JoinedStr: Evaluator.joined,
    ast.List: lambda self, node: self.elements(node.elts),
    ast.ListComp: Evaluator.comprehension,
    ast.Name: Evaluator.name,
    ast.Set: Evaluator.set_display,
    ast.SetComp: Evaluator.comprehension,
    ast.Slice: Evaluator.slice_,
    ast.Subscript: Evaluator.subscript,
    ast.Tuple: lambda self, node: tuple(self.elements(node.elts)),
    ast.UnaryOp: Evaluator.unary,
}
