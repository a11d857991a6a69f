"""Values of a config while it is evaluated, the budget that bounds them, and their plain form."""

from __future__ import annotations

BUDGET = 5_000_000  # units a whole inheritance tree may spend; the largest configs of MMDetection need a twentieth
NODE_COST = 10  # units of one evaluated syntax node; an element that a function makes costs 1
COPY_COST = 4  # units of one element of a result
MAX_DEPTH = 100  # nesting of syntax and of data
MAX_BITS = 10_000  # size of an integer

CONTAINERS = (dict, list, tuple, set, frozenset, range)


class Name(str):
    """An imported name: the string of its last part, which never refers to anything."""

    dotted: str

    @classmethod
    def of(cls, dotted: str) -> Name:
        name = cls(dotted.rpartition(".")[2])
        name.dotted = dotted
        return name


class BaseDict(dict):
    """A dict that came from a base config: MMEngine merges ``update`` into such dicts recursively."""


class Budget:
    """Counts what evaluation costs, so that no config can make it hang or fill the memory."""

    def __init__(self, units: int = BUDGET) -> None:
        self.units = units

    def spend(self, units: int = NODE_COST) -> None:
        self.units -= units
        if self.units < 0:
            raise ValueError("the config is too large to evaluate")

    def weigh(self, value: object) -> None:
        """Spend one unit per nested element, counting what is referred to twice twice."""
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
    """Copy a plain value as one of a base config.

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
