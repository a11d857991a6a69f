"""The statements of a config: assignments, loops, conditions and imports, which bind an `Evaluator`'s names."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from ..errors import suggest
from .evaluate import Evaluator
from .functions import binary, charge
from .values import Name


class _Jump(Exception):  # noqa: N818  (a signal, not an error)
    """A ``break`` or ``continue``, caught by its loop."""

    def __init__(self, stop: bool) -> None:
        self.stop = stop


def run(ev: Evaluator, nodes: list[ast.stmt]) -> None:
    """Evaluate statements in order.

    Raises:
        ConfigError: one of them cannot be evaluated.
    """
    for node in nodes:
        try:
            ev.dispatch(STATEMENTS.get(type(node)), node)
        except _Jump:
            if ev.loops == 0:
                raise ev.fail(node, "is outside of a loop") from None
            raise


def _assign(ev: Evaluator, node: ast.Assign | ast.AnnAssign) -> None:
    if node.value is None:  # a bare annotation
        return
    value = ev.evaluate(node.value)
    for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
        ev.assign(target, value)


def _augment(ev: Evaluator, node: ast.AugAssign) -> None:
    old = ev.evaluate(node.target)
    value = ev.evaluate(node.value)
    if isinstance(old, list) and isinstance(node.op, ast.Add):  # in place: other names may refer to the list
        old.extend(charge(list(value), ev.budget))
    else:
        ev.assign(node.target, binary(type(node.op), old, value, ev.budget))


def _delete(ev: Evaluator, node: ast.Delete) -> None:
    for target in node.targets:
        if isinstance(target, ast.Name):
            if target.id not in ev.scopes[-1]:
                raise ValueError(f"{target.id!r} is not defined")
            del ev.scopes[-1][target.id]
        elif isinstance(target, (ast.Attribute, ast.Subscript)):
            owner = ev.evaluate(target.value)
            if not isinstance(owner, (dict, list)):
                raise TypeError(f"nothing can be deleted from {type(owner).__name__}")
            key: Any = target.attr if isinstance(target, ast.Attribute) else ev.key(target.slice)
            ev.budget.spend(len(owner) // 16 if isinstance(owner, list) else 0)  # the rest is moved
            del owner[key]
        else:
            raise ev.unsupported(target)


def _expression(ev: Evaluator, node: ast.Expr) -> None:
    if not isinstance(node.value, ast.Constant):  # such as a docstring
        ev.evaluate(node.value)


def _for(ev: Evaluator, node: ast.For) -> None:
    for value in ev.evaluate(node.iter):
        ev.budget.spend()
        ev.assign(node.target, value)
        ev.loops += 1
        try:
            run(ev, node.body)
        except _Jump as jump:
            if jump.stop:
                return
        finally:
            ev.loops -= 1
    run(ev, node.orelse)


def _jump(ev: Evaluator, node: ast.Break | ast.Continue) -> None:
    raise _Jump(isinstance(node, ast.Break))


def _if(ev: Evaluator, node: ast.If) -> None:
    run(ev, node.body if ev.evaluate(node.test) else node.orelse)


def _pass(ev: Evaluator, node: ast.Pass) -> None:
    pass


def _define(ev: Evaluator, node: ast.FunctionDef) -> None:
    ev.bind(node.name, Name.of(node.name), imported=True)


def _import(ev: Evaluator, node: ast.Import) -> None:
    for alias in node.names:
        # `import a.b` binds a, `import a.b as c` binds c to a.b
        top = alias.name.partition(".")[0]
        ev.bind(alias.asname or top, Name.of(alias.name if alias.asname else top), imported=True)


def _import_from(ev: Evaluator, node: ast.ImportFrom) -> None:
    for alias in node.names:
        if alias.name == "*":
            raise ev.fail(node, "imports all names of a module, which is only for configs under 'with read_base():'")
        ev.bind(alias.asname or alias.name, Name.of(f"{node.module or ''}.{alias.name}"), imported=True)


def _with(ev: Evaluator, node: ast.With) -> None:
    context = node.items[0].context_expr
    function = context.func if isinstance(context, ast.Call) else None
    if len(node.items) > 1 or not isinstance(function, ast.Name) or function.id != "read_base":
        raise ev.unsupported(node)
    for statement in node.body:
        if isinstance(statement, ast.Pass):
            continue
        if not isinstance(statement, ast.ImportFrom) or not statement.module:
            raise ev.fail(statement, "is not an import of a config: 'with read_base():' may contain nothing else")
        _inherit(ev, statement)


def _inherit(ev: Evaluator, node: ast.ImportFrom) -> None:
    names = ev.inherit(node.module or "", node.level)
    for alias in node.names:
        if alias.name == "*":
            chosen = names
        elif alias.name in names:
            chosen = {alias.asname or alias.name: names[alias.name]}
        else:
            raise ev.fail(node, f"imports {alias.name!r}, which is not in that config.{suggest(alias.name, names)}")
        for name, value in chosen.items():
            ev.bind(name, value, imported=isinstance(value, Name))


STATEMENTS: dict[type[ast.stmt], Callable[[Evaluator, Any], None]] = {
    ast.AnnAssign: _assign,
    ast.Assign: _assign,
    ast.AugAssign: _augment,
    ast.Break: _jump,
    ast.Continue: _jump,
    ast.Delete: _delete,
    ast.Expr: _expression,
    ast.For: _for,
    ast.FunctionDef: _define,
    ast.If: _if,
    ast.Import: _import,
    ast.ImportFrom: _import_from,
    ast.Pass: _pass,
    ast.With: _with,
}
