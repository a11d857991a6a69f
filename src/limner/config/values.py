"""The types of values while a config is evaluated, the budget that limits their size, and their plain form."""

from __future__ import annotations

BUDGET = 5_000_000  # units for a config and all that it inherits; the largest ones of MMDetection need a twentieth
NODE_COST = 10  # units for one evaluated syntax node; an element that a function makes costs 1
COPY_COST = 4  # units for one element of a result
MAX_DEPTH = 100  # nesting of syntax and of data
MAX_BITS = 10_000  # size of an integer
LONG_BITS = 60  # an integer above may have the hash of any other
LONG_COST = 1000  # units for such an integer wherever it may be hashed
MAX_KEY = 1000  # units for a tuple that is a key, with all that it holds
MAX_REASON = 300  # characters of what a message says of a failure
FAILED_TEMPLATE = 20_000  # units for a template whose text is no expression, which takes a message to find out

CONTAINERS = (dict, list, tuple, set, frozenset, range)
_SIZED = (str, bytes, *CONTAINERS)


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
        self.odd_keys = 0  # tuples that were hashed

    def spend(self, units: int = NODE_COST) -> None:
        self.units -= units
        if self.units < 0:
            raise ValueError("the config is too large to evaluate")

    def spend_for(self, value: object, most: int = BUDGET) -> None:
        """Spend one unit per nested element, and more for what has elements; what occurs twice counts twice.

        Raises:
            ValueError: it takes more than ``most`` units, or than there are.
        """
        least = self.units - most
        stack: list[tuple[object, int]] = [(value, 0)]
        while stack:
            item, depth = stack.pop()
            if self.units < least:
                raise ValueError("a key holds more than any can")
            if isinstance(item, (str, bytes)):
                self.spend(2 + len(item) // 8)
            elif isinstance(item, CONTAINERS):
                if depth > MAX_DEPTH:
                    raise ValueError(f"the value is nested more than {MAX_DEPTH} levels deep")
                self.spend(NODE_COST + len(item))
                inner = [*item, *item.values()] if isinstance(item, dict) else item
                if not isinstance(inner, range):
                    stack.extend(
                        (x, depth + 1)
                        for x in inner
                        if isinstance(x, _SIZED) or (type(x) is int and x.bit_length() > LONG_BITS)
                    )
            elif _long(item):
                self.spend(LONG_COST)

    def spend_for_key(self, key: object) -> None:
        """Spend what it takes to hash a value and to compare it with others of the same hash, before that is done."""
        before = self.units
        if not isinstance(key, (tuple, frozenset)):
            self.spend_for(key)
        elif key:
            self.spend_for(key, MAX_KEY)
            self.odd_keys += 1
            self.spend(self.odd_keys * (before - self.units) // 4)  # they may all have one hash

    def spend_for_keys(self, keys: object) -> None:
        """Spend for each element of something that is put into a set or a dict."""
        if isinstance(keys, (list, tuple)):
            for key in keys:
                if isinstance(key, (tuple, frozenset)) or _long(key):
                    self.spend_for_key(key)


def _long(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > LONG_BITS


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


def plain(value: object, budget: Budget, depth: int = 0, *, as_key: bool = False) -> object:
    """Copy a value into plain dicts, lists, tuples, sets and scalars, without ``_delete_`` marks."""
    if depth > MAX_DEPTH:
        raise ValueError(f"the config is nested more than {MAX_DEPTH} levels deep")
    budget.spend(COPY_COST)
    if isinstance(value, Name):
        return str(value)
    if isinstance(value, dict):
        items = ((k, v) for k, v in value.items() if k != "_delete_")
        return {plain(k, budget, depth + 1, as_key=True): plain(v, budget, depth + 1) for k, v in items}
    if isinstance(value, (list, range)):
        values = [plain(v, budget, depth + 1, as_key=as_key) for v in value]
        return tuple(values) if as_key else values  # a range can be a key
    if isinstance(value, tuple):
        return tuple(plain(v, budget, depth + 1, as_key=as_key) for v in value)
    if isinstance(value, (set, frozenset)):
        return type(value)(plain(v, budget, depth + 1, as_key=True) for v in value)
    return value
