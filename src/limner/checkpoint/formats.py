"""The two formats of torch's checkpoint files, and the recognition of other files.

A checkpoint is a pickle whose tensors point to storages outside of it: members of a zip archive
(torch 1.6 and later), or bytes that follow the pickle (before). Both are mapped from disk, not read.
"""

from __future__ import annotations

import mmap
import struct
import zipfile
import zlib
from collections.abc import Callable
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..errors import CheckpointError
from .pickles import UNPICKLING_ERRORS, Storage, Unpickler

# what torch writes at the head of the format before 1.6
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C

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

    def __init__(self, read_bytes: Callable[[Storage], Any], order: Literal["<", ">"] = "<") -> None:
        self.read_bytes = read_bytes
        self.order: Literal["<", ">"] = order
        self.arrays: dict[tuple[str, str], np.ndarray] = {}

    def array(self, storage: Storage, dtype: str) -> np.ndarray:
        """Return a whole storage as an array of one dimension in the machine's byte order.

        Raises:
            CheckpointError: the file is damaged there.
        """
        if (storage.key, dtype) not in self.arrays:
            half = dtype == "bfloat16"  # the upper half of a float32
            stored = np.dtype("u2" if half else dtype)
            data = self.read_bytes(storage)
            array = np.ndarray(len(data) // stored.itemsize, stored.newbyteorder(self.order), data)
            if half:
                array = (array.astype(np.uint32) << 16).view(np.float32)
            elif not array.flags.aligned or not array.dtype.isnative:
                array = array.astype(stored)
            self.arrays[storage.key, dtype] = array
        return self.arrays[storage.key, dtype]


def open_checkpoint(path: Path, file: BufferedReader) -> tuple[Any, StorageReader]:
    """Return the content of a checkpoint's pickle, and its storages, valid while ``file`` is open.

    Raises:
        CheckpointError: the file is damaged, or not a checkpoint.
    """
    head = file.read(4096)
    size = file.seek(0, 2)
    if head[:4] != b"PK\x03\x04" and head[:1] != b"\x80":
        raise CheckpointError(f"{path} is not a checkpoint: it is {describe_content(head, size)}")
    # writable pages that never reach the file, since torch wants writable arrays
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    try:
        return _open_zip(path, file, mapped) if head[:1] == b"P" else _open_legacy(path, mapped)
    except zipfile.BadZipFile:
        raise CheckpointError(f"{path} is cut off or damaged ({size:,} bytes): download it again") from None
    except UNPICKLING_ERRORS as error:
        raise CheckpointError(
            f"{path} is cut off or damaged ({size:,} bytes; {type(error).__name__} in its table of contents): "
            "download it again"
        ) from None


def _open_zip(path: Path, file: BufferedReader, mapped: mmap.mmap) -> tuple[Any, StorageReader]:
    archive = zipfile.ZipFile(file)
    members = {info.filename: info for info in archive.infolist()}
    table = min((name for name in members if name.rpartition("/")[2] == "data.pkl"), key=len, default=None)
    if table is None:
        raise CheckpointError(f"{path} is not a checkpoint: it is a zip archive without the data.pkl of one")
    folder = table[: -len("data.pkl")]
    if f"{folder}constants.pkl" in members:
        raise CheckpointError(f"{path} is a TorchScript model, not a checkpoint: save the state_dict of the model")
    # deflate packs weights a little, and zeros a thousand times
    if sum(m.file_size for m in members.values() if m.compress_type) > 100 * len(mapped) + 2**28:
        raise CheckpointError(f"{path} is damaged: it would unpack to far more than it can hold")

    def member(name: str) -> Any:
        if name not in members:
            raise CheckpointError(f"{path} is damaged: its part {name!r} is missing")
        if members[name].compress_type == zipfile.ZIP_STORED:
            return _stored(path, file, members[name])
        try:
            return bytearray(archive.read(name))
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise CheckpointError(f"{path}: its part {name!r} cannot be unpacked ({error})") from None

    order = bytes(member(f"{folder}byteorder")) if f"{folder}byteorder" in members else b"little"
    root = Unpickler(BytesIO(member(table))).load()
    return root, StorageReader(lambda storage: member(f"{folder}data/{storage.key}"), ">" if order == b"big" else "<")


def _stored(path: Path, file: BufferedReader, info: zipfile.ZipInfo) -> bytearray:
    """Read an uncompressed member into memory of its own that a network can keep."""
    file.seek(info.header_offset + 26)
    name_length, extra_length = struct.unpack("<HH", file.read(4))
    start = file.seek(name_length + extra_length, 1)
    size = info.file_size if start + info.file_size <= file.seek(0, 2) else 0
    file.seek(start)
    data = bytearray(size)
    # torch can be told to write no checksums; these are 0 then
    if file.readinto(data) != info.file_size or info.flag_bits & 1 or (info.CRC and zlib.crc32(data) != info.CRC):
        raise CheckpointError(f"{path} is damaged: its part {info.filename!r} is not what was written")
    return data


def _open_legacy(path: Path, mapped: mmap.mmap) -> tuple[Any, StorageReader]:
    if Unpickler(mapped).load() != LEGACY_MAGIC:
        raise CheckpointError(f"{path} is not a checkpoint: it is a pickle file that torch.save did not write")
    for _ in ("version of the format", "byte sizes of the machine"):  # the same in all files there are
        Unpickler(mapped).load()
    unpickler = Unpickler(mapped)
    root = unpickler.load()
    keys = Unpickler(mapped).load()
    start = mapped.tell()
    storages: dict[str, memoryview] = {}
    for key in (str(key) for key in keys if isinstance(key, (str, bytes, int))):
        itemsize = unpickler.storages[key].itemsize
        if not itemsize:
            raise CheckpointError(f"{path} holds tensors of a type that limner does not know")
        (numel,) = struct.unpack_from("<q", mapped, start)  # little-endian on all machines
        end = start + 8 + numel * itemsize
        if numel < 0 or end > len(mapped):
            raise CheckpointError(f"{path} is cut off ({len(mapped):,} bytes): download it again")
        storages[key] = memoryview(mapped)[start + 8 : end]
        start = end
    return root, StorageReader(lambda storage: storages[storage.key])


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
