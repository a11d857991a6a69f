"""Reads the pickle of a checkpoint: Python's own unpickler with an allow-list of names and a `Budget`.

The budget is spent before each step that a file could make dear.
"""

from __future__ import annotations

import pickle
import struct
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from .limits import Budget, OverBudgetError
from .pickles import (
    ALLOWED_FUNCTIONS,
    COLLECTIONS,
    DTYPES,
    HOSTILE_BUILTINS,
    HOSTILE_MODULES,
    QUANTISED,
    STORAGES,
    Function,
    HostilePickleError,
    InertObject,
    Storage,
    inert_class,
    known_dtype,
)

LONGEST_NAME = 1000  # characters of a module and a name in it
LONGEST_KEY = 200  # characters of the key of a storage
MOST_IN_A_KEY = 1000  # elements, with all that they hold, of a tuple that is the key of a dict
DEEPEST_KEY = 20
KEY_BITS = 64  # of a number that is a key: larger ones can be chosen to have one hash
MOST_FREE = 8  # elements of an argument that cost no steps beside that of the call
UNKNOWN_NAME_STEPS = 1000  # a class is made for each
STORAGE_STEPS = 5

_SIZED = frozenset([tuple, list, dict, OrderedDict, set, frozenset])

# what a damaged or hostile pickle makes the unpickler raise
UNPICKLING_ERRORS: tuple[type[Exception], ...] = (
    pickle.UnpicklingError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)


_Python: Any = pickle._Unpickler
_UNFRAMER: Any = pickle._Unframer  # type: ignore[attr-defined]
_STOP: Any = pickle._Stop  # type: ignore[attr-defined]


class Unpickler(_Python):  # type: ignore[misc]
    """Python's unpickler with an allow-list of names and a budget.

    The one written in python: one opcode can make the faster one allocate gigabytes.
    """

    def __init__(self, file: Any, budget: Budget) -> None:
        super().__init__(file, encoding="latin1")
        self.budget = budget
        self.resolved_names: dict[str, Any] = {}
        self.storages: dict[str, Storage] = {}  # the first one of each key
        self.odd_keys = 0  # keys of dicts that are tuples or frozensets

    def load(self) -> Any:
        """Return what the pickle holds.

        Raises:
            OverBudgetError, HostilePickleError: see there.
            UNPICKLING_ERRORS: it is damaged.
        """
        unframer = self._unframer = _UNFRAMER(self._file_read, self._file_readline)
        self.read, self.readinto, self.readline = unframer.read, unframer.readinto, unframer.readline
        self.metastack: list[Any] = []
        self.stack: list[Any] = []
        self.append = self.stack.append
        self.proto = done = 0
        read, dispatch = self.read, self.dispatch
        try:
            for done in range(self.budget.steps):  # noqa: B007
                key = read(1)
                if not key:
                    raise EOFError
                dispatch[key[0]](self)
        except _STOP as end:
            self.budget.step(done + 1)
            return end.value
        raise OverBudgetError("its table of contents is far longer than that of any weights")

    # -- names

    def find_class(self, module: str, name: str) -> Any:
        if len(module) + len(name) > LONGEST_NAME:
            raise pickle.UnpicklingError("a name of more characters than any has")
        builtin = module in ("builtins", "__builtin__") and name.partition(".")[0] in HOSTILE_BUILTINS
        if builtin or module.partition(".")[0] in HOSTILE_MODULES:
            raise HostilePickleError(f"{module}.{name}")
        full = f"{module}.{name}".replace("numpy._core.", "numpy.core.")
        if full not in self.resolved_names:
            self.resolved_names[full] = self._resolve(module, name, full)
        return self.resolved_names[full]

    def _resolve(self, module: str, name: str, full: str) -> Any:
        if full in ALLOWED_FUNCTIONS:
            return Function(ALLOWED_FUNCTIONS[full])
        if full in COLLECTIONS:
            kind = COLLECTIONS[full]
            checked = self._pairs if kind is OrderedDict else self._elements
            return Function(lambda items=(): kind(checked(items)))
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        if module in ("torch", "torch.cuda", "torch.storage") and name in STORAGES:
            return STORAGES[name]
        self.budget.step(UNKNOWN_NAME_STEPS)
        return inert_class(module, name)

    def get_extension(self, code: int) -> None:
        raise pickle.UnpicklingError("extension codes are not used in checkpoints")

    def persistent_load(self, pid: Any) -> Any:
        kind = pid[0].decode("ascii") if isinstance(pid[0], bytes) else pid[0]
        if kind == "module":  # a class saved with its source
            return pid[1]
        storage_type, key = pid[1:3]
        if kind != "storage" or not isinstance(key, (str, bytes, int)) or key_length(key) > LONGEST_KEY:
            raise pickle.UnpicklingError("a reference to something that is not a storage")
        self.budget.step(STORAGE_STEPS)
        view = pid[5] if len(pid) > 5 else None
        dtype = known_dtype(storage_type)
        quantised = QUANTISED.get(getattr(storage_type, "name", ""), 0)
        itemsize = quantised if dtype is None else 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize
        storage = Storage(str(key), dtype, int(view[1]) if view else 0, itemsize)
        self.storages.setdefault(storage.key, storage)
        return storage

    # -- calls

    def _call(self, function: Any, arguments: Any) -> Any:
        """Return what a call makes; only functions of this module are called."""
        if type(function) is not Function:
            if isinstance(function, InertObject):
                return function
            if isinstance(function, type) and issubclass(function, InertObject):
                return function()
            raise pickle.UnpicklingError("a call of something that is no function")
        if not isinstance(arguments, (tuple, list)):
            raise pickle.UnpicklingError("a call without arguments")
        for value in arguments:  # it may copy them
            kind = type(value)
            if kind is str:
                self.budget.take(len(value))
            elif kind in _SIZED and len(value) > MOST_FREE:
                self.budget.step(len(value))
        return function.call(*arguments)

    def load_reduce(self) -> None:
        stack = self.stack
        arguments = stack.pop()
        stack[-1] = self._call(stack[-1], arguments)

    def load_newobj(self) -> None:
        self.load_reduce()

    def load_newobj_ex(self) -> None:
        self.stack.pop()  # arguments by name, which nothing here takes
        self.load_reduce()

    def _instantiate(self, kind: Any, arguments: Any) -> None:
        self.append(self._call(kind, arguments))

    def load_build(self) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], InertObject):  # no other object may change
            self.stack[-1].__setstate__(state)

    # -- keys: to hash a tuple is to walk all that it holds, as often as it holds it

    def _check_key(self, key: Any) -> None:
        kind = type(key)
        if kind is int or kind is bool:
            if key.bit_length() > KEY_BITS:
                raise pickle.UnpicklingError("a key that is too large a number")
        elif kind is tuple or kind is frozenset:
            size = _size_of_key(key)
            self.odd_keys += 1
            # so that their hashes may all be the same
            self.budget.step(size + self.odd_keys * (1 + size) // 4)
        elif kind is str or kind is bytes:
            if len(key) > 1000:
                self.budget.step(len(key) >> 10)
        elif not (key is None or kind is float or isinstance(key, (InertObject, type, Function))):
            raise TypeError(f"a key of the type {kind.__name__}")

    def _pairs(self, items: Any) -> Any:
        """Return what a dict is made of, its keys checked."""
        for item in items:
            if not isinstance(items, dict) and not (isinstance(item, (tuple, list)) and len(item) == 2):
                raise TypeError("a dict of something else than pairs")
            self._check_key(item if isinstance(items, dict) else item[0])
        return items

    def _elements(self, items: Any) -> Any:
        """Return what a set is made of, checked."""
        for item in items:
            self._check_key(item)
        return items

    def load_setitem(self) -> None:
        self._check_key(self.stack[-2])
        super().load_setitem()

    def load_setitems(self) -> None:
        items = self.pop_mark()
        target = self.stack[-1]
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) is not str or len(key) > 1000:
                self._check_key(key)
            target[key] = value

    def load_dict(self) -> None:
        items = self.pop_mark()
        for key in items[::2]:
            self._check_key(key)
        self.append(dict(zip(items[::2], items[1::2], strict=True)))

    def load_additems(self) -> None:
        for item in self.stack:
            self._check_key(item)
        super().load_additems()

    def load_frozenset(self) -> None:
        for item in self.stack:
            self._check_key(item)
        super().load_frozenset()

    # -- lengths

    def load_bytearray8(self) -> None:
        (length,) = struct.unpack("<Q", self.read(8))
        data = self.read(min(length, sys.maxsize))  # no more than there is
        if len(data) < length:
            raise EOFError
        self.budget.take(length)
        self.append(bytearray(data))

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(_Python.dispatch)
    for _opcode, _method in {
        pickle.REDUCE: load_reduce,
        pickle.NEWOBJ: load_newobj,
        pickle.NEWOBJ_EX: load_newobj_ex,
        pickle.BUILD: load_build,
        pickle.SETITEM: load_setitem,
        pickle.SETITEMS: load_setitems,
        pickle.DICT: load_dict,
        pickle.ADDITEMS: load_additems,
        pickle.FROZENSET: load_frozenset,
        pickle.BYTEARRAY8: load_bytearray8,
    }.items():
        dispatch[_opcode[0]] = _method


def key_length(key: str | bytes | int) -> int:
    """Return how long the key of a storage is, in characters."""
    return key.bit_length() // 3 if isinstance(key, int) else len(key)


def _size_of_key(key: Any) -> int:
    """Return how many elements a tuple has, with all that they hold.

    Raises:
        pickle.UnpicklingError: too many, or too deep in each other.
    """
    count, level = 1, [key]
    for _ in range(DEEPEST_KEY):
        count += sum(map(len, level))
        if count > MOST_IN_A_KEY:
            raise pickle.UnpicklingError("a key that is larger than any")
        level = [item for part in level for item in part]
        if any(isinstance(item, int) and item.bit_length() > KEY_BITS for item in level):
            raise pickle.UnpicklingError("a key with too large a number in it")
        level = [item for item in level if isinstance(item, (tuple, frozenset))]
        if not level:
            return count
    raise pickle.UnpicklingError("a key that is nested more deeply than any")
