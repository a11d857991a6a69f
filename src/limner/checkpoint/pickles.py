"""What the pickle of a checkpoint may name: an allow-list, so that no pickled code runs, and what stands for the rest.

A name that is not in the list becomes an `InertObject`, so that other objects beside the weights do not hinder
reading them. `unpickler` reads the pickles.
"""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

# dtype by the name of torch's dtype, and by the name of the storage class
DTYPES = {
    "float64": "f8",
    "float32": "f4",
    "float16": "f2",
    "bfloat16": "bfloat16",  # unknown to numpy: read as its 16 bits, given as float32
    "int64": "i8",
    "int32": "i4",
    "int16": "i2",
    "int8": "i1",
    "uint64": "u8",
    "uint32": "u4",
    "uint16": "u2",
    "uint8": "u1",
    "bool": "?",
    "complex64": "c8",
    "complex128": "c16",
}
STORAGES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
    "ComplexFloatStorage": "c8",
    "ComplexDoubleStorage": "c16",
    "UntypedStorage": "u1",
}
# bytes per element of storages that are not read, to find those after them
QUANTISED = {"torch.QInt8Storage": 1, "torch.QUInt8Storage": 1, "torch.QInt32Storage": 4, "torch.QUInt4x2Storage": 1}

# modules and functions that a checkpoint names only to attack the machine that opens it
# fmt: off
HOSTILE_MODULES = frozenset((
    "asyncio", "code", "codeop", "commands", "ctypes", "http", "importlib", "multiprocessing", "nt",
    "os", "platform", "popen2", "posix", "pty", "requests", "runpy", "shutil", "signal",
    "socket", "subprocess", "sys", "tempfile", "threading", "timeit", "urllib", "webbrowser",
))
# fmt: on
HOSTILE_BUILTINS = frozenset(["__import__", "breakpoint", "compile", "eval", "exec", "execfile", "input", "open"])


class HostilePickleError(Exception):
    """A pickle that names a function which could harm the machine; the message is its name."""


MOST_DIMENSIONS = 64


class InertObject:
    """An object of a class that limner does not know: it has a name and does nothing."""

    __slots__ = ()
    name = "object"

    def __new__(cls, *args: object, **kwargs: object) -> InertObject:
        return object.__new__(cls)

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def __call__(self, *args: object, **kwargs: object) -> InertObject:
        """Return a placeholder for the result of a call: a bound method is pickled as a call of ``getattr``."""
        return self

    def ignore(self, *args: object) -> None:
        """Accept and discard what an unpickler puts into an object."""

    __setitem__ = append = extend = add = update = ignore

    def __setstate__(self, state: Any) -> None:
        """Discard this too."""


class Function:
    """One of the functions below, wrapped for pickles; a new object for every file."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[..., object]) -> None:
        self.call = call

    def __call__(self, *args: object) -> object:
        return self.call(*args)

    def __setstate__(self, state: object) -> None:
        """Ignore the state, so that a pickle cannot change what is called."""


@dataclass
class Storage:
    """The storage with the elements of a tensor."""

    key: str
    dtype: str | None  # a value of DTYPES; None for one that limner does not know
    start: int = 0  # elements
    itemsize: int = 0  # bytes; 0 where unknown

    def __setstate__(self, state: object) -> None:
        """Ignore the state from a pickle."""


class Tensor(InertObject):
    """A tensor as the pickle describes it."""

    __slots__ = ("dtype", "offset", "size", "storage", "stride")
    name = "torch.Tensor"

    storage: Storage
    offset: int  # elements, as the strides
    size: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: str | None


class NumpyDtype(InertObject):
    __slots__ = ("order", "spec")
    name = "numpy.dtype"

    order: str
    spec: str

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]

    def to_numpy(self) -> np.dtype:
        if not re.fullmatch(r"[<>|=]?[?biufcSU]\d{0,4}", self.spec):
            raise ValueError(f"dtype {self.spec!r}")
        dtype = np.dtype(self.spec)
        return dtype.newbyteorder(">" if self.order == ">" else "<") if self.order in ("<", ">") else dtype


class NumpyArray(InertObject):
    """A numpy array as the pickle describes it."""

    __slots__ = ("state",)
    name = "numpy.ndarray"

    state: Any

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def to_numpy(self) -> np.ndarray:
        _, shape, dtype, fortran, data = self.state
        data = data.encode("latin1") if isinstance(data, str) else data
        if not all(isinstance(side, int) and side >= 0 for side in shape):  # numpy would choose a negative one
            raise ValueError(f"shape {shape}")
        array = np.frombuffer(data, dtype.to_numpy()).reshape(shape, order="F" if fortran else "C")
        return array.astype(array.dtype.newbyteorder("="))


class NumpyScalar(InertObject):
    """A numpy scalar as the pickle describes it."""

    __slots__ = ("data", "dtype")
    name = "numpy.generic"

    data: Any
    dtype: NumpyDtype

    def to_numpy(self) -> object:
        data = self.data.encode("latin1") if isinstance(self.data, str) else self.data
        return np.frombuffer(data, self.dtype.to_numpy())[0].item()


def _make(kind: type[Any], **values: object) -> Any:
    made = kind()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def known_dtype(found: object) -> str | None:
    # a pickle can put any string here, and numpy would accept some of them
    return found if isinstance(found, str) and found in DTYPES.values() else None


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: object) -> object:
    if not isinstance(storage, Storage):
        return _UnreadTensor()
    size, stride = tuple(size), tuple(stride)
    if len(size) > MOST_DIMENSIONS or not {type(offset), *map(type, size), *map(type, stride)} <= {int}:
        raise pickle.UnpicklingError("a tensor whose shape is none")
    return _make(Tensor, storage=storage, offset=offset, size=size, stride=stride, dtype=storage.dtype)


def _tensor_v3(
    storage: Any, offset: Any, size: Any, stride: Any, grad: object, hooks: object, dtype: Any, *_: object
) -> Any:
    tensor: Any = _tensor(storage, offset, size, stride)
    if isinstance(tensor, Tensor):
        tensor.dtype = known_dtype(dtype)
    return tensor


def _from_type(function: object, kind: object, args: Any, *_: object) -> object:
    if isinstance(function, Function) and function.call in _REBUILD:
        return function(*args)
    return _UnreadTensor()


def _encode(text: Any, encoding: object, *_: object) -> object:
    # how protocol 2 writes bytes
    return text.encode("latin1") if isinstance(text, str) and encoding in ("latin1", "latin-1") else None


# the functions and classes that a pickle may use, by module and name; all else becomes InertObject
ALLOWED_FUNCTIONS: dict[str, Callable[..., object]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_parameter": lambda data, *_: data,
    "torch._utils._rebuild_parameter_with_state": lambda data, *_: data,
    "torch._tensor._rebuild_from_type": _from_type,
    "torch._tensor._rebuild_from_type_v2": _from_type,
    "torch.Size": lambda size=(): tuple(size),
    "torch.device": lambda kind="cpu", *_: kind,
    "_codecs.encode": _encode,
    "numpy.dtype": lambda spec, *_: _make(NumpyDtype, spec=spec, order="="),
    "numpy.core.multiarray._reconstruct": lambda *_: NumpyArray(),
    "numpy.core.numeric._frombuffer": lambda data, dtype, shape, order: _make(
        NumpyArray, state=(1, shape, dtype, order == "F", data)
    ),
    "numpy.core.multiarray.scalar": lambda dtype, data: _make(NumpyScalar, dtype=dtype, data=data),
    "collections.defaultdict": lambda *_: OrderedDict(),
}
# what may be called with the type of a tensor: functions that keep nothing of the size of their arguments
_REBUILD = frozenset(call for name, call in ALLOWED_FUNCTIONS.items() if name.startswith("torch._utils._rebuild"))
# what these make has keys, which the unpickler checks
COLLECTIONS: dict[str, type] = {
    "collections.OrderedDict": OrderedDict,
    "builtins.set": set,
    "builtins.frozenset": frozenset,
    "__builtin__.set": set,
    "__builtin__.frozenset": frozenset,
}


def inert_class(module: str, name: str) -> type[InertObject]:
    # the name is for messages, so it must not carry control characters to a terminal
    printable = "".join(char for char in f"{module}.{name}"[:100] if char.isprintable())
    return type("InertObject", (InertObject,), {"__slots__": (), "name": printable})


class _UnreadTensor(InertObject):
    __slots__ = ()
    name = "torch.Tensor"
