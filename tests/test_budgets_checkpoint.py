"""Small weight files that would take much memory or time are refused before either is spent."""

from __future__ import annotations

import io
import json
import pickle
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner import checkpoint, keypoints
from limner.checkpoint import limits
from limner.checkpoint.limits import Budget, OverBudgetError
from limner.errors import ArgumentError, CheckpointError
from limner.runtimes.metadata import decode, encode

FLOATS = np.arange(4, dtype="<f4").tobytes()


def tensor(kind: str = "FloatStorage", key: str = "0", size: str = "I2\nI2\n", stride: str = "I2\nI1\n") -> bytes:
    """A tensor over a storage, as torch pickles it."""
    storage = f"((S'storage'\nctorch\n{kind}\nS'{key}'\nS'cpu'\nI4\ntQ"
    return (
        f"ctorch._utils\n_rebuild_tensor_v2\n{storage}I0\n({size}t({stride}t\x89ccollections\nOrderedDict\n)RtR".encode(
            "latin1"
        )
    )


def table(weights: bytes = b"S'x'\n" + tensor(), rest: bytes = b"") -> bytes:
    return b"\x80\x02}(S'state_dict'\n}(" + weights + b"u" + rest + b"u."


@pytest.fixture
def archive(tmp_path: Path) -> Callable[..., Path]:
    """Writes a checkpoint of today's format whose table of contents is given byte by byte."""

    def write(content: bytes = table(), method: int = 0, change: Callable[[bytearray], None] | None = None) -> Path:
        memory = io.BytesIO()
        with zipfile.ZipFile(memory, "w", method) as made:
            made.writestr("m/data.pkl", content)
            made.writestr("m/data/0", FLOATS)
        data = bytearray(memory.getvalue())
        if change is not None:
            change(data)
        path = tmp_path / "crafted.pth"
        path.write_bytes(data)
        return path

    return write


def refused(path: Path, match: str = r"crafted\.pth") -> None:
    """Check that a file is refused in a sentence, soon and with little memory."""
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises(CheckpointError, match=match) as error:
            checkpoint.load(path)
        assert tracemalloc.get_traced_memory()[1] < 60e6
    finally:
        tracemalloc.stop()
    assert time.process_time() - began < 5
    assert len(str(error.value)) < 1000


def test_a_good_file_passes(archive: Callable[..., Path]) -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        assert checkpoint.load(archive(method=method)).state_dict["x"].tolist() == [[0, 1], [2, 3]]


LENGTHS = {
    "bytearray": b"\x96" + struct.pack("<Q", 5 << 30),
    "bytes": b"\x8e" + struct.pack("<Q", 5 << 30),
    "text": b"\x8d" + struct.pack("<Q", 5 << 30),
    "frame": b"\x95" + struct.pack("<Q", 5 << 30),
    "memo": b"]r\xff\xff\xff\x7f",
    "number": b"\x8b" + struct.pack("<I", 2**31 - 1),
}


@pytest.mark.parametrize("kind", LENGTHS)
def test_declared_lengths_are_compared_with_the_file(archive: Callable[..., Path], kind: str, tmp_path: Path) -> None:
    refused(archive(b"\x80\x05" + LENGTHS[kind] + b"."))
    old = tmp_path / "crafted.pth"
    old.write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + b"\x80\x05" + LENGTHS[kind] + b".")
    refused(old)


def big_key(levels: int) -> bytes:
    """A tuple of two of a tuple of two ..., which is short to write and long to hash."""
    memo = [b"r" + struct.pack("<I", 100 + i) for i in range(levels)]
    return b")" + b"".join(put + b"0" + (b"j" + put[1:]) * 2 + b"\x86" for put in memo)


def deep_key(levels: int) -> bytes:
    return b")" + b"\x85" * levels


HASHES = {
    "dict": lambda key: b"}" + key + b"Ns",
    "dict of many": lambda key: b"}(" + key + b"Nu",
    "dict from the stack": lambda key: b"(" + key + b"Nd",
    "set": lambda key: b"\x8f(" + key + b"\x90",
    "frozenset": lambda key: b"(" + key + b"\x91",
    "ordered": lambda key: (
        b"ccollections\nOrderedDict\n](](" + key + b"Neee\x85R"[:0] + b"Neeo"[:0] + b"N" + b"ee\x85R"
    ),
    "called": lambda key: b"cbuiltins\nset\n](" + key + b"e\x85R",
    "made": lambda key: b"cbuiltins\nfrozenset\n](" + key + b"e\x85\x81",
}


@pytest.mark.parametrize("where", HASHES)
@pytest.mark.parametrize("key", [big_key(50), deep_key(100_000)], ids=["wide", "deep"])
def test_keys_that_take_for_ever_to_hash(archive: Callable[..., Path], where: str, key: bytes) -> None:
    refused(archive(table(rest=b"S'y'\n" + HASHES[where](key))))


def test_keys_of_one_hash(archive: Callable[..., Path]) -> None:
    same = b"".join(pickle.dumps(i * (2**61 - 1), 2)[2:-1] + b"N" for i in range(1, 30_000))
    refused(archive(table(rest=b"S'y'\n}(" + same + b"u")))
    pairs = [tuple(-1 - (i >> bit & 1) for bit in range(12)) for i in range(4096)]
    refused(archive(table(rest=b"S'y'\n}(" + b"".join(pickle.dumps(p, 2)[2:-1] + b"N" for p in pairs) + b"u")))
    assert len({hash(pair) for pair in pairs}) == 1  # -1 and -2 have one hash


def test_usual_keys_are_no_bombs(archive: Callable[..., Path]) -> None:
    usual = {i: {("a", i): 1, None: 2, 1.5: 3, b"x": 4} for i in range(300)}
    checkpoint.load(archive(table(rest=b"S'optimizer'\n" + pickle.dumps(usual, 2)[2:-1])))


def test_an_object_for_each_unknown_name(archive: Callable[..., Path]) -> None:
    refused(archive(b"\x80\x02(" + b"".join(b"cm\nn%d\n" % i for i in range(20_000)) + b"t."), "more work")
    checkpoint.load(archive(table(rest=b"S'y'\n(" + b"".join(b"cm\nn%d\n" % i for i in range(500)) + b"t")))


def test_long_tables_and_repeated_copies(archive: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_STEPS", 100_000)
    refused(archive(b"\x80\x02" + b"N0" * 60_000 + b"N."), "longer than")
    copies = b"ctorch\nSize\nq\x010](" + b"K\x01" * 5_000 + b"eq\x020(" + b"h\x01h\x02\x85R" * 5000 + b"t"
    refused(archive(table(rest=b"S'y'\n" + copies)), "more work")


def test_one_storage_is_unpacked_once_and_its_tensors_are_counted(archive: Callable[..., Path]) -> None:
    kinds = ("FloatStorage", "HalfStorage", "LongStorage", "ByteStorage", "BoolStorage", "BFloat16Storage")
    line = [b"S'%d'\n" % i + tensor(kind, size="I1\n", stride="I1\n") for i, kind in enumerate(kinds)]
    found = checkpoint.load(archive(table(b"".join(line)))).state_dict
    bases = {value.__array_interface__["data"][0] for value in found.values()}
    assert len(bases) == 2  # all but the one that becomes float32
    refused(archive(table(b"S'x'\n" + tensor(size="I100000000000\n", stride="I0\n"))), "far more memory")


def test_a_budget_is_spent_before() -> None:
    budget = Budget(1000)
    budget.take(256 << 20)
    with pytest.raises(OverBudgetError):
        budget.take(8001)
    with pytest.raises(OverBudgetError):
        budget.step(10**9)


def directory(data: bytearray, number: int) -> int:
    """Return the place of an entry of an archive's directory."""
    place = -1
    for _ in range(number + 1):
        place = data.index(b"PK\x01\x02", place + 1)
    return place


def overlapping(data: bytearray) -> None:
    place = directory(data, 1)  # the second part begins where the first one does
    data[place + 42 : place + 46] = struct.pack("<I", 0)


def claims(offset: int, content: bytes, entry: int = 1) -> Callable[[bytearray], None]:
    def change(data: bytearray) -> None:
        place = directory(data, entry) + offset
        data[place : place + len(content)] = content

    return change


ODD = {
    "parts that share bytes": (overlapping, 0, "share bytes"),
    "a length of gigabytes": (claims(24, struct.pack("<I", 2**31)), 8, "cannot be as long"),
    "a packed length of gigabytes": (claims(20, struct.pack("<I", 2**31)), 0, "not where its directory says"),
    "a place beyond the end": (claims(42, struct.pack("<I", 2**31)), 0, "beyond its end"),
    "an unknown packing": (claims(10, struct.pack("<H", 99)), 0, r"method that torch does not use \(99\)"),
    "encrypted": (claims(8, struct.pack("<H", 1)), 0, "encrypted"),
    "a name that is no text": (claims(8, struct.pack("<H", 0x800)), 0, ""),
    "no end": (lambda data: data.__delitem__(slice(-22, None)), 0, "its end is missing"),
    "lzma": (None, zipfile.ZIP_LZMA, "method that torch does not use"),
    "bzip2": (None, zipfile.ZIP_BZIP2, "method that torch does not use"),
}


@pytest.mark.parametrize("odd", ODD)
def test_odd_archives(archive: Callable[..., Path], odd: str) -> None:
    change, method, match = ODD[odd]
    path = archive(method=method, change=change)
    if not match:  # nothing is wrong with ASCII
        assert checkpoint.load(path).state_dict
    else:
        refused(path, match)


def test_the_version_that_an_archive_needs_does_not_matter(archive: Callable[..., Path]) -> None:
    assert checkpoint.load(archive(change=claims(6, struct.pack("<H", 99)))).state_dict


def array(spec: bytes, shape: bytes, data: bytes = b"C\x08" + bytes(8)) -> bytes:
    """An array of numpy, as it pickles itself."""
    dtype = b"cnumpy\ndtype\n(S'" + spec + b"'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    return made + b"(I1\n(" + shape + b"t" + dtype + b"\x89" + data + b"tb"


@pytest.mark.parametrize(
    "value",
    [
        array(b"U2", b"I1\n"),
        array(b"S8", b"I1\n"),
        array(b"O8", b"I1\n"),
        array(b"M8", b"I1\n"),
        array(b"f4", b"I3\n"),
        array(b"f4", b"L999999999999999999999L\n"),
        array(b"f4", b"I-5\n"),
        array(b"f4", b"N"),
        array(b"f4", b"I2\n", b"N"),
        b"\x8a\x20" + bytes(31) + b"\x01",  # a number of 249 bits
        b"](K\x01e",
        tensor(size="I1\n" * 70, stride="I1\n" * 70),
        tensor(size="S'a'\n"),
        tensor(size="I4611686018427387904\nI4\n", stride="I1\nI4611686018427387904\n"),
    ],
)
def test_odd_arrays_and_tensors_are_refused(archive: Callable[..., Path], value: bytes) -> None:
    refused(archive(table(b"S'x'\n" + tensor() + b"S'odd'\n" + value)))


def test_arrays_of_numpy_are_weights_too(archive: Callable[..., Path]) -> None:
    found = checkpoint.load(archive(table(b"S'x'\n" + tensor() + b"S'y'\n" + array(b"f4", b"I2\n"))))
    assert found.state_dict["y"].tolist() == [0, 0]


def test_metadata_that_holds_itself_or_grows(archive: Callable[..., Path]) -> None:
    for meta in (b"}q\x63S'a'\nh\x63s", b"}S'a'\n" + big_key(60) + b"s"):
        refused(archive(table(rest=b"S'meta'\n" + meta)), "meta")


def test_nan_in_what_describes_the_keypoints() -> None:
    meta: dict[str, Any] = {
        "keypoint_id2name": {0: "a", 1: "b"},
        "skeleton_links": [(0, 1)],
        "skeleton_link_colors": [(1, 2, 3)],
        "keypoint_colors": [(1, 2, 3)] * 2,
        "flip_indices": [1, 0],
        "sigmas": [0.1, 0.2],
    }
    assert len(keypoints.from_dataset_meta(meta)) == 2
    nan = float("nan")
    for key, value in [
        ("sigmas", [nan, 0.1]),
        ("sigmas", [-1.0, 0.1]),
        ("flip_indices", [nan, 0]),
        ("skeleton_links", np.array([[nan, 1]])),
        ("keypoint_colors", np.array([[nan] * 3] * 2)),
        ("keypoint_id2name", {nan: "a", 1: "b"}),
    ]:
        with pytest.raises(ArgumentError):
            keypoints.from_dataset_meta({**meta, key: value})


def test_metadata_goes_into_the_cache_and_back() -> None:
    value = {"a": {frozenset([1, (2, frozenset([3]))]): {1}}, "b": {frozenset([1])}, "c": 2**200, "d": np.ones(2)}
    found = decode(json.loads(json.dumps(encode(value))))
    assert found["a"] == value["a"]
    assert found["b"] == value["b"]
    assert found["c"] is None
    with pytest.raises(TypeError):
        json.dumps(value)


def test_files_that_are_overwritten_later_change_no_weights(archive: Callable[..., Path], tmp_path: Path) -> None:
    old = tmp_path / "old.pth"
    head = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}."
    old.write_bytes(head + table() + b"\x80\x02]S'0'\na." + struct.pack("<q", 4) + FLOATS)
    new = tmp_path / "new.safetensors"
    entry = json.dumps({"x": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}).encode()
    new.write_bytes(struct.pack("<Q", len(entry)) + entry + FLOATS)
    for path in (archive(), old, new):
        weights = checkpoint.load(path).state_dict["x"]
        with path.open("r+b") as file:
            file.write(bytes(path.stat().st_size))
        assert weights.tolist() == [[0, 1], [2, 3]]


def test_tables_of_safetensors_that_lie(tmp_path: Path) -> None:
    path = tmp_path / "crafted.pth"
    for entry in (
        {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]},
        {"dtype": "F32", "shape": [0] * 17, "data_offsets": [0, 0]},
        {"dtype": "F32", "shape": [0, 2**62, 2**62], "data_offsets": [0, 0]},
        {"dtype": [], "shape": [], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [10**300], "data_offsets": [0, 16]},
    ):
        head = json.dumps({"x" * 5000: entry}).encode()
        path.write_bytes(struct.pack("<Q", len(head)) + head + (FLOATS if entry["data_offsets"][1] == 16 else b""))
        refused(path)
    path.write_bytes(struct.pack("<Q", 2**63) + b"{" + bytes(100))
    refused(path)
