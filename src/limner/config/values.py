"""The types of values while a config is evaluated, the budget that limits their size, and their plain form."""

from __future__ import annotations

BUDGET = 5_000_000  # units for a config and all that it inherits; the largest ones of MMDetection need a twentieth
NODE_COST = 10  # units for one evaluated syntax node; an element that a function makes costs 1
COPY_COST = 4  # units for one element of a result
MAX_DEPTH = 100  # nesting of syntax and of data
MAX_BITS = 10_000  # size of an integer

CONTAINERS = (dict, list, tuple, set, frozenset, range)


class Name(str):
    """An imported name: the string of its last part; the import itself is never done."""

    dotted: str

    @classmethod
    def of(cls, dotted: str) -> Name:
        name = cls(dotted.rpartition(".")[2])
        name.dotted = dotted
        return name


class BaseDict(dict):
    """A dict from a base config: in MMEngine the ``update`` of such a dict merges recursively."""


class Budget:
    """Limits the cost of an evaluation, so that no config can make it hang or fill the memory."""

    def __init__(self, units: int = BUDGET) -> None:
        self.units = units

    def spend(self, units: int = NODE_COST) -> None:
        self.units -= units
        if self.units < 0:
            raise ValueError("the config is too large to evaluate")

    def spend_for(self, value: object) -> None:
        """Spend one unit per nested element; an element that occurs twice counts twice."""
        stack: list[tuple[object, int]] = [(value, 0)]
        while stack:
            item, depth = stack.pop()
            if isinstance(item, (str, bytes)):
                self.spend(2 + len(item) // 8)
            elif isinstance(item, CONTAINERS):
                if depth > MAX_DEPTH:
                    raise ValueError(f"the value is nested more than {MAX_DEPTH} levels deep")
                self.spend(2 + len(item))
                inner = [*item, *item.values()] if isinstance(item, dict) else item
                if not isinstance(inner, range):
                    stack.extend((x, depth + 1) for x in inner if isinstance(x, (str, bytes, *CONTAINERS)))


def inherited(value: object, scope: str | None = None) -> object:
    """Copy a plain value as a value of a base config.

    With a ``scope`` (the package of a ``package::path`` base) the outermost dicts that have a
    ``type`` get ``_scope_``, as MMEngine marks them.
    """
    if isinstance(value, dict):
        within = None if "type" in value else scope
        copy = BaseDict((k, inherited(v, within)) for k, v in value.items())
        if scope is not None and "type" in value and copy.get("_scope_") is None:
            copy["_scope_"] = scope
        return copy
    if isinstance(value, (list, tuple)):
        return type(value)(inherited(v, scope) for v in value)
    return value


def plain(value: object, budget: Budget, depth: int = 0) -> object:
    """Copy a value into plain dicts, lists, tuples, sets and scalars, without ``_delete_`` marks."""
    if depth > MAX_DEPTH:
        raise ValueError(f"the config is nested more than {MAX_DEPTH} levels deep")
    budget.spend(COPY_COST)
    if isinstance(value, Name):
        return str(value)
    if isinstance(value, dict):
        items = ((k, v) for k, v in value.items() if k != "_delete_")
        return {plain(k, budget, depth + 1): plain(v, budget, depth + 1) for k, v in items}
    if isinstance(value, (list, range)):
        return [plain(v, budget, depth + 1) for v in value]
    if isinstance(value, (tuple, set, frozenset)):
        return type(value)(plain(v, budget, depth + 1) for v in value)
    return value
