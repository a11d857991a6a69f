"""Index files that limner keeps or is given: the record of hashes, entries of the cache, lists of mirrors, of outputs.

Each begins as a right one and is damaged: cut, changed, doubled, with values of other kinds, or too deep.
"""

from __future__ import annotations

import hashlib
import json
import os
import random as numbers
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

NAME = "index_files"
COUNT = 5_000
SHORT = 300

_KEY = "0123456789abcdef"
_ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 1e308, 2**70, "", "x", "..", "../../x", "/etc/hostname", "a\0b", "\ud800", "9" * 500),
    *([], {}, [1], ["a", {}], {"a": []}, [[]], float("nan"), float("inf")),
)


class Case(NamedTuple):
    """A folder with files, and which of them is damaged."""

    folder: Path
    kind: str


def _weights(folder: Path) -> bytes:
    (folder / "weights").mkdir(parents=True)
    data = b"\x80weights"
    (folder / "weights" / "net.pth").write_bytes(data)
    return data


def _record(folder: Path) -> tuple[Path, bytes]:
    file = folder / "weights" / "net.pth"
    digest = hashlib.sha256(_weights(folder)).hexdigest()
    status = file.stat()
    checked = {str(file): [status.st_size, status.st_mtime_ns, digest]}
    return folder / "hashes.json", json.dumps({"hashes": {"net.pth": digest}, "checked": checked}).encode()


def _entry(folder: Path) -> tuple[Path, bytes]:
    entry = folder / "networks" / _KEY
    entry.mkdir(parents=True)
    (entry / "network.onnx").write_bytes(b"onnx")
    files = {"network.onnx": [4, hashlib.sha256(b"onnx").hexdigest()]}
    notes = {"dataset_meta": {"name": "x", "keypoint_info": {"0": [1, 2.5]}}}
    return entry / "entry.json", json.dumps({"files": files, "notes": notes, "versions": {"torch": "2"}}).encode()


def _digests(folder: Path) -> tuple[Path, bytes]:
    (folder / "networks").mkdir(parents=True)
    (folder / "net.pth").write_bytes(b"weights")
    status = (folder / "net.pth").stat()
    stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, "ab" * 32]
    return folder / "networks" / "digests.json", json.dumps({str(folder / "net.pth"): stamp}).encode()


def _sums(folder: Path) -> tuple[Path, bytes]:
    mirror = folder / "mirror"
    (mirror / "mmpose").mkdir(parents=True)
    data = b"\x80net"
    (mirror / "mmpose" / "a_b.pth").write_bytes(data)
    lines = [f"{hashlib.sha256(data).hexdigest()}  ./mmpose/a_b.pth", "# made by hand", f"{'0' * 64} *x/y.pth"]
    return mirror / "SHA256SUMS", "\n".join(lines).encode()


def _origins(folder: Path) -> tuple[Path, bytes]:
    out = folder / "out"
    out.mkdir()
    (out / "a.jpg").write_bytes(b"")
    records = folder / "outputs"
    records.mkdir()
    name = hashlib.sha256(os.fsencode(os.path.realpath(out))).hexdigest()[:24]
    lines = [json.dumps({"name": name, "source": f"/x/{name}"}) for name in ("a.jpg", "b/c.jpg")]
    return records / f"{name}.jsonl", "\n".join(lines).encode()


_KINDS: dict[str, Callable[[Path], tuple[Path, bytes]]] = {
    "record": _record, "entry": _entry, "digests": _digests, "sums": _sums, "origins": _origins,
}  # fmt: skip


def _swapped(random: numbers.Random, value: Any) -> Any:
    """Return a value of JSON in which one inside is another."""
    if random.random() < 0.25 or not isinstance(value, (dict, list)) or not value:
        return random.choice(_ODD)
    if isinstance(value, list):
        at = random.randrange(len(value))
        return [*value[:at], _swapped(random, value[at]), *value[at + 1 :]]
    key = random.choice([*value])
    if random.random() < 0.2:
        return {random.choice((str(random.choice(_ODD)), "network.onnx/..", key + "x")) if k == key else k: v
                for k, v in value.items()}  # fmt: skip
    return {**value, key: _swapped(random, value[key])}


def _damaged(random: numbers.Random, data: bytes) -> bytes:
    way = random.randrange(7)
    if way < 3:
        lines = data.split(b"\n")
        at = random.randrange(len(lines))
        try:
            value = json.loads(lines[at])
            for _ in range(random.randint(1, 3)):
                value = _swapped(random, value)
            lines[at] = json.dumps(value).encode()
        except ValueError:
            lines[at] = str(random.choice(_ODD)).encode("utf-8", "replace") + lines[at]
        return b"\n".join(lines)
    at = random.randrange(len(data))
    if way == 3:
        return data[:at]
    if way == 4:
        return data[:at] + random.randbytes(random.randint(1, 8)) + data[at + random.randint(0, 8) :]
    if way == 5:
        sign = random.choice((b"[", b'{"a":', b'"', b"\n", b"{", b"#", b"\xff", b"0"))
        return data[:at] + sign * random.choice((3, 2_000, 100_000)) + data[at:]
    return data[at:] + data


def make(random: numbers.Random, folder: Path) -> Case:
    """Write one index file that is damaged, and what it is of."""
    kind = random.choice([*_KINDS])
    path, data = _KINDS[kind](folder)
    path.write_bytes(_damaged(random, data))
    return Case(folder, kind)


def attempt(case: Case) -> None:
    """Use what the index file is of."""
    folder = case.folder
    before = dict(os.environ)
    os.environ.update(LIMNER_HOME=str(folder), LIMNER_OFFLINE="1", LIMNER_MIRRORS="")
    try:
        _ATTEMPTS[case.kind](folder)
    finally:
        os.environ.clear()
        os.environ.update(before)


def _use_record(folder: Path) -> None:
    from limner.zoo import store

    problem = store.check(folder / "weights" / "net.pth", "net.pth")
    assert isinstance(problem, str)
    store.check(folder / "weights" / "net.pth", "net.pth", fresh=True)


def _use_cache(folder: Path) -> None:
    from limner.runtimes.cache import Cache

    cache = Cache(folder / "networks", lambda _: nullcontext())
    cache.has(_KEY)

    def write(to: Path) -> dict[str, Any]:
        (to / "network.onnx").write_bytes(b"made")
        return {}

    path, metadata = cache.get(_KEY, write)
    assert path.read_bytes() in (b"onnx", b"made")
    assert isinstance(metadata, dict)
    if (folder / "net.pth").exists():
        cache.digest(folder / "net.pth")
    assert cache.size() < 1 << 24


def _use_mirror(folder: Path) -> None:
    from limner import zoo

    os.environ["LIMNER_MIRRORS"] = str(folder / "mirror")
    zoo.ensure("https://download.openmmlab.com/mmpose/a_b.pth")


def _use_origins(folder: Path) -> None:
    from limner.jobs.origins import Origins

    Origins().read(folder / "out", folder / "outputs")


_ATTEMPTS: dict[str, Callable[[Path], None]] = {
    "record": _use_record, "entry": _use_cache, "digests": _use_cache, "sums": _use_mirror, "origins": _use_origins,
}  # fmt: skip
