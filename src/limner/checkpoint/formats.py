"""The two formats of torch's checkpoint files, and the recognition of other files.

A checkpoint is a pickle whose tensors point to storages outside of it: members of a zip archive
(torch 1.6 and later), or bytes that follow the pickle (before). A storage is read once, when a
tensor needs it, into memory of its own: a file that is overwritten later changes no network.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..errors import CheckpointError
from .archive import ArchiveError, content, filled, members
from .limits import Budget, OverBudgetError
from .pickles import Storage
from .unpickler import LONGEST_KEY, UNPICKLING_ERRORS, Unpickler, key_length

# what torch writes at the head of the format before 1.6
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
HEAD_STEPS = 1000  # for the pickles before the weights' own, which say little

SIGNATURES = {
    b"version https://git-lfs": "a Git LFS pointer: fetch the file itself with 'git lfs pull'",
    b"\x89HDF": "an HDF5 file",
    b"\x1f\x8b": "a gzip archive: unpack it first",
    b"\x93NUMPY": "a NumPy array",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
}
TEXT_SIGNATURES = {
    b"<!doctype html": "a web page: the download was refused or its URL is wrong",
    b"<html": "a web page: the download was refused or its URL is wrong",
    b"<?xml": "an XML document, as download servers answer with in place of a file",
}


class StorageReader:
    """Reads the storages of a file as arrays, each when it is first used."""

    def __init__(self, read_bytes: Callable[[str], np.ndarray], budget: Budget, order: Literal["<", ">"] = "<") -> None:
        self.read_bytes = read_bytes
        self.budget = budget
        self.order: Literal["<", ">"] = order
        self.contents: dict[str, np.ndarray] = {}
        self.arrays: dict[tuple[str, str], np.ndarray] = {}
        self.shown: dict[str, int] = {}  # bytes of the tensors over each storage

    def array(self, storage: Storage, dtype: str) -> np.ndarray:
        """Return a whole storage as an array of one dimension in the machine's byte order.

        Raises:
            CheckpointError: the file is damaged there.
            OverBudgetError: it asks for too much memory.
        """
        if (storage.key, dtype) not in self.arrays:
            if storage.key not in self.contents:
                self.contents[storage.key] = self.read_bytes(storage.key)
            data = self.contents[storage.key]
            half = dtype == "bfloat16"  # the upper half of a float32
            stored = np.dtype("u2" if half else dtype)
            array = np.ndarray(len(data) // stored.itemsize, stored.newbyteorder(self.order), data.data)
            if half:
                self.budget.take(2 * len(data))
                array = (array.astype(np.uint32) << 16).view(np.float32)
            elif not array.flags.aligned or not array.dtype.isnative:
                self.budget.take(len(data))
                array = array.astype(stored)
            self.arrays[storage.key, dtype] = array
        return self.arrays[storage.key, dtype]

    def view(self, storage: Storage, dtype: str, size: tuple[int, ...], stride: tuple[int, ...], offset: int) -> Any:
        """Return a part of a storage as an array.

        Raises:
            ValueError: it does not lie in the storage.
            CheckpointError, OverBudgetError: see `array`.
        """
        base = self.arrays.get((storage.key, dtype))
        if base is None:
            base = self.array(storage, dtype)
        start = last = offset + storage.start
        elements, itemsize, steps = 1, base.itemsize, []
        if len(size) != len(stride) or start < 0:
            raise ValueError("it has negative steps")
        for count, step in zip(size, stride, strict=True):
            if count < 0 or step < 0:
                raise ValueError("it has negative steps")
            elements *= count
            last += (count - 1) * step  # exact, where sums of machine words could be wrong
            steps.append(step * itemsize)
        if elements and last >= len(base):
            raise ValueError("it reaches beyond them")
        # several tensors may share a storage, and repeat its elements, but work on them is work on each
        before = self.shown.get(storage.key, 0)
        shown = self.shown[storage.key] = before + elements * itemsize
        if shown > base.nbytes:
            self.budget.take(shown - max(base.nbytes, before))
        return np.ndarray(size, base.dtype, base, start * itemsize if elements else 0, steps)


def open_checkpoint(path: Path, file: BufferedReader) -> tuple[Any, StorageReader]:
    """Return the content of a checkpoint's pickle, and its storages, valid while ``file`` is open.

    Raises:
        CheckpointError: the file is damaged, or not a checkpoint.
        OverBudgetError: it asks for more memory or work than weights of its size need.
    """
    head = file.read(4096)
    size = file.seek(0, 2)
    if head[:4] != b"PK\x03\x04" and head[:1] != b"\x80":
        raise CheckpointError(f"{path} is not a checkpoint: it is {describe_content(head, size)}")
    opener = _open_zip if head[:1] == b"P" else _open_legacy
    try:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            return opener(path, file, mapped)
    except ArchiveError as error:
        raise CheckpointError(f"{path} is cut off or damaged ({size:,} bytes; {error}): download it again") from None
    except UNPICKLING_ERRORS as error:
        raise CheckpointError(
            f"{path} is cut off or damaged ({size:,} bytes; {type(error).__name__} in its table of contents): "
            "download it again"
        ) from None


def _open_zip(path: Path, file: BufferedReader, mapped: mmap.mmap) -> tuple[Any, StorageReader]:
    budget = Budget(len(mapped))
    parts = members(mapped, budget)
    table = min((name for name in parts if name.rpartition("/")[2] == "data.pkl"), key=len, default=None)
    if table is None:
        raise CheckpointError(f"{path} is not a checkpoint: it is a zip archive without the data.pkl of one")
    folder = table[: -len("data.pkl")]
    if f"{folder}constants.pkl" in parts:
        raise CheckpointError(f"{path} is a TorchScript model, not a checkpoint: save the state_dict of the model")

    def read(name: str) -> np.ndarray:
        if name not in parts:
            raise CheckpointError(f"{path} is damaged: its part {name[:200]!r} is missing")
        try:
            return content(file, parts[name], budget)
        except ArchiveError as error:
            raise CheckpointError(f"{path} is damaged: its part {name[:200]!r} {error}") from None

    order = read(f"{folder}byteorder").tobytes() if f"{folder}byteorder" in parts else b"little"
    root = Unpickler(BytesIO(read(table).data), budget).load()
    return root, StorageReader(lambda key: read(f"{folder}data/{key}"), budget, ">" if order == b"big" else "<")


def _open_legacy(path: Path, file: BufferedReader, mapped: mmap.mmap) -> tuple[Any, StorageReader]:
    size, head = len(mapped), Budget(0)
    head.steps = HEAD_STEPS
    try:
        magic = Unpickler(mapped, head).load()
    except OverBudgetError:
        magic = None
    if magic != LEGACY_MAGIC:
        raise CheckpointError(f"{path} is not a checkpoint: it is a pickle file that torch.save did not write")
    for _ in ("version of the format", "byte sizes of the machine"):  # the same in all files there are
        Unpickler(mapped, head).load()
    budget = Budget(size)
    unpickler = Unpickler(mapped, budget)
    root = unpickler.load()
    keys = Unpickler(mapped, budget).load()
    start = mapped.tell()
    places: dict[str, tuple[int, int]] = {}
    for key in (str(key) for key in keys if isinstance(key, (str, bytes, int)) and key_length(key) <= LONGEST_KEY):
        itemsize = unpickler.storages[key].itemsize
        if not itemsize:
            raise CheckpointError(f"{path} holds tensors of a type that limner does not know")
        (numel,) = struct.unpack_from("<q", mapped, start)  # little-endian on all machines
        end = start + 8 + numel * itemsize
        if numel < 0 or end > size:
            raise CheckpointError(f"{path} is cut off ({size:,} bytes): download it again")
        places[key] = start + 8, end
        start = end

    # all at once: they lie side by side, and one large piece of memory is had sooner than many
    first = min((begin for begin, _ in places.values()), default=0)
    budget.take(start - first)
    file.seek(first)
    content = filled(file, np.empty(start - first, np.uint8))
    return root, StorageReader(lambda key: content[places[key][0] - first : places[key][1] - first], budget)


def describe_content(head: bytes, size: int) -> str:
    """Return in a few words what kind of file begins with ``head`` and is not a checkpoint."""
    if not size:
        return "empty (0 bytes): download it again"
    text = head.lstrip().lower()
    for signature, kind in SIGNATURES.items():
        if head.startswith(signature):
            return kind
    for signature, kind in TEXT_SIGNATURES.items():
        if text.startswith(signature):
            return kind
    if head[257:262] == b"ustar":
        return "a tar archive, as torch wrote before 0.2: load it with torch and save it again"
    if head[:1] == b"\x08" and any(word in head for word in (b"onnx", b"ONNX", b"pytorch", b"Conv")):
        return "an ONNX model: give it with the ending .onnx, alone or with its config"
    try:
        start = head[: head.rfind(b"\n") + 1 or 200].decode("utf-8").split("\n")[0].strip()
    except UnicodeDecodeError:
        start = "\0"
    if start.isprintable():
        return f"a text file that begins with {start[:40]!r}"
    return f"of an unknown kind (it begins with the bytes {head[:4].hex(' ')})"
