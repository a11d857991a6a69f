"""Checkpoints of all three formats: damaged, lying about lengths, or with a table of contents of random opcodes."""

from __future__ import annotations

import io
import json
import math
import pickle
import random as numbers
import struct
import zipfile
from pathlib import Path
from typing import Any

NAME, COUNT, SHORT = "checkpoints", 20_000, 300

MAGIC = (
    b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}."  # and what follows it in the old format
)
INTERESTING = (-1, 0, 1, 2, 7, 127, 255, 256, 4096, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63, 2**64 - 1)
GLOBALS = (
    *("torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_tensor_v3", "torch._utils _rebuild_parameter"),
    *("torch._tensor _rebuild_from_type_v2", "torch Size", "torch device", "torch FloatStorage", "torch float32"),
    *("torch BFloat16Storage", "torch QInt8Storage", "_codecs encode", "numpy dtype", "numpy.core.multiarray scalar"),
    *("numpy.core.multiarray _reconstruct", "numpy.core.numeric _frombuffer", "collections OrderedDict"),
    *("collections defaultdict", "builtins set", "builtins frozenset", "__builtin__ set", "some Thing", "os system"),
)
OPCODES = [
    value for name, value in vars(pickle).items() if name.isupper() and isinstance(value, bytes) and len(value) == 1
]


# -- tables of contents


def _text(text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


def _int(number: int) -> bytes:
    if 0 <= number < 256:
        return b"K" + bytes([number])
    if -(2**31) <= number < 2**31:
        return b"J" + struct.pack("<i", number)
    data = number.to_bytes(number.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def _global(name: str) -> bytes:
    module, _, name = name.partition(" ")
    return f"c{module}\n{name}\n".encode()


def _tuple(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def _number(random: numbers.Random, usual: int) -> int:
    return usual if random.random() < 0.98 else random.choice(INTERESTING) + random.choice((0, 0, 1, -1))


def _tensor(random: numbers.Random) -> bytes:
    """Return a tensor as torch pickles it, with numbers that may be wrong."""
    shape = [
        _number(random, random.randint(0, 4))
        for _ in range(random.choice((0, 1, 1, 2, 2, 2, 3, 4, 4, 70 if random.random() < 0.1 else 2)))
    ]
    strides = [_number(random, random.randint(0, 4)) for _ in shape]
    kind = random.choice(
        ("FloatStorage", "FloatStorage", "HalfStorage", "BFloat16Storage", "LongStorage", "BoolStorage")
    )
    key = _text(str(random.choice((0, 0, 0, 1, 1, 2, 2, 9 if random.random() < 0.1 else 0))))
    storage = _tuple(_text("storage"), _global(f"torch {kind}"), key, _text("cpu"), _int(_number(random, 16))) + b"Q"
    arguments = [storage, _int(_number(random, 0)), _tuple(*map(_int, shape)), _tuple(*map(_int, strides)), b"\x89"]
    hooks = _global("collections OrderedDict") + b")R"
    return _global("torch._utils _rebuild_tensor_v2") + _tuple(*arguments, hooks) + b"R"


def _array(random: numbers.Random) -> bytes:
    spec = random.choice(("f4", "f8", "i8", "u1", "?", "U2", "S4", "O", "M8", "f16", "c16", "V8", "f4,f4", "f0", ""))
    dtype = _global("numpy dtype") + _tuple(_text(spec), _int(0), _int(1)) + b"R"
    dtype += _tuple(_int(3), _text(random.choice("<>|=")), b"N", b"N", b"N", _int(-1), _int(-1), _int(0)) + b"b"
    data = b"B" + struct.pack("<I", 16) + bytes(16)
    made = (
        _global("numpy.core.multiarray _reconstruct") + _tuple(_global("numpy ndarray"), _tuple(_int(0)), data) + b"R"
    )
    shape = _tuple(*(_int(_number(random, random.choice((1, 2, 4)))) for _ in range(random.randint(0, 3))))
    return made + _tuple(_int(1), shape, dtype, random.choice((b"\x88", b"\x89")), data) + b"b"


def _value(random: numbers.Random, depth: int = 0) -> bytes:
    """Return any value, of the kinds that a checkpoint can hold."""
    kind = random.randrange(16 if depth < 4 else 8)
    inner = [_value(random, depth + 1) for _ in range(random.randint(0, 4))] if kind >= 8 else []
    pairs = b"".join(_value(random, 9) + item for item in inner)
    return (
        lambda: _int(random.choice(INTERESTING)),
        lambda: b"G" + struct.pack(">d", random.choice((0.0, -1.0, 1e300, float("inf"), float("nan")))),
        lambda: _text(
            random.choice(("", "a", "dataset_meta", "classes", "keypoint_id2name", "\ud800", "\x1b[2J", "x" * 3000))
        ),
        lambda: random.choice((b"N", b"\x88", b"\x89", b")", b"]", b"}")),
        lambda: b"B" + struct.pack("<I", 8) + bytes(8),
        lambda: _tensor(random),
        lambda: _array(random),
        lambda: _global(random.choice(GLOBALS)),
        lambda: b"(" + b"".join(inner) + b"l",
        lambda: _tuple(*inner),
        lambda: b"}(" + pairs + b"u",
        lambda: b"(" + pairs + b"d",
        lambda: b"(" + b"".join(inner) + b"\x91",
        lambda: b"\x8f(" + b"".join(inner) + b"\x90",
        lambda: _global(random.choice(GLOBALS)) + _tuple(*inner) + random.choice((b"R", b"\x81", b"R")),
        lambda: _global(random.choice(GLOBALS)) + _tuple(*inner) + b"R" + _value(random, 4) + b"b",
    )[kind]()


def _meta(random: numbers.Random) -> bytes:
    """Return a ``dataset_meta``, some of whose parts may be anything."""
    parts: dict[str, bytes] = {
        "dataset_name": _text("coco"),
        "keypoint_id2name": b"}(" + _int(0) + _text("a") + _int(1) + _text("b") + b"u",
        "skeleton_links": b"](" + _tuple(_int(0), _int(1)) + b"e",
        "skeleton_link_colors": b"](" + _tuple(_int(0), _int(1), _int(2)) + b"e",
        "keypoint_colors": b"](" + _tuple(_int(0), _int(1), _int(2)) * 2 + b"e",
        "flip_indices": b"](" + _int(1) + _int(0) + b"e",
        "sigmas": b"](" + (b"G" + struct.pack(">d", random.choice((0.1, float("nan"))))) * 2 + b"e",
    }
    for name in random.sample(list(parts), random.choice((0, 1, 1, 2))):
        parts[name] = _value(random)
    inside = b"".join(_text(name) + value for name, value in parts.items())
    return b"}" + _text("dataset_meta") + b"}(" + inside + b"us"


def _shared(random: numbers.Random) -> bytes:
    """Return a value that holds itself many times over, or is dear to hash."""
    opener, closer = random.choice(((b"", b"\x86"), (b"(", b"\x91"), (b"(", b"l"), (b"](", b"e")))
    value = b")"
    for i in range(random.choice((3, 12, 40, 400))):
        memo = b"r" + struct.pack("<I", 1000 + i)
        got = b"j" + memo[1:]
        value = value + memo + b"0" + opener + got + got + closer
    ends = (b"}" + value + b"Ns", value + b"\x85", b"}" + _text("a") + value + b"s", b"\x8f(" + value + b"\x90")
    return random.choice(ends)


def _table(random: numbers.Random) -> bytes:
    """Return a table of contents."""
    names = [
        random.choice(("a.weight", "backbone.b", "module.c", "x", "\u00e9")) + str(i)
        for i in range(random.randint(1, 4))
    ]
    makers = (*[_tensor] * 12, _array, _value)
    weights = b"}(" + b"".join(_text(name) + random.choice(makers)(random) for name in names) + b"u"
    rest = b""
    for name in ("meta", "optimizer", random.choice(("epoch", "ema_state_dict", "state_dict"))):
        if random.random() < 0.5:
            maker = _meta if name == "meta" and random.random() < 0.7 else random.choice((_value, _value, _shared))
            rest += _text(name) + maker(random)
    table = b"\x80\x02}(" + _text("state_dict") + weights + rest + b"u."
    return table if random.random() < 0.8 else _damaged(random, table)


def _damaged(random: numbers.Random, data: bytes) -> bytes:
    """Return bytes of which a few are changed, cut out, doubled, or replaced by numbers that lie."""
    content = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 5, 20))):
        place = random.randrange(len(content) + 1)
        kind = random.randrange(6)
        if kind == 0 and place < len(content):
            content[place] = random.randrange(256)
        elif kind == 1:
            del content[place : place + random.choice((1, 2, 8, 100))]
        elif kind == 2:
            content[place:place] = random.choice(OPCODES)
        elif kind == 3:
            size = random.choice((1, 2, 4, 8))
            content[place : place + size] = (random.choice(INTERESTING) % 2 ** (8 * size)).to_bytes(size, "little")
        elif kind == 4:
            content[place:place] = random.choice((b"\x96", b"\x8e", b"\x8d", b"\x95")) + struct.pack(
                "<Q", random.choice(INTERESTING) % 2**64
            )
        else:
            content[place:place] = content[place : place + random.randint(1, 60)]
    return bytes(content)


# -- the three formats


def _zip(random: numbers.Random) -> bytes:
    memory = io.BytesIO()
    method = random.choice((0, 0, 0, 0, 8, 8, 12, 14))
    with zipfile.ZipFile(memory, "w", method) as archive:
        parts = {"m/data.pkl": _table(random), "m/byteorder": random.choice((b"little", b"big", b"?"))}
        parts |= {f"m/data/{i}": random.randbytes(64) if i else bytes(64) for i in range(3)}
        if random.random() < 0.1:
            parts["m/data/1"] = bytes(200_000)
        for name, data in parts.items():
            with archive.open(name, "w", force_zip64=random.random() < 0.3) as member:
                member.write(data)
    data = bytearray(memory.getvalue())
    if random.random() < 0.25:  # a number in a header or in the directory
        marks = [
            place
            for mark in (b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06")
            for place in _places(data, mark)
        ]
        for _ in range(random.choice((1, 1, 3))):
            place, size = random.choice(marks) + random.randint(4, 46), random.choice((1, 2, 4))
            number = random.choice((*INTERESTING, *marks)) % 2 ** (8 * size)
            data[place : place + size] = number.to_bytes(size, "little")
    return bytes(data) if random.random() < 0.85 else _damaged(random, bytes(data))


def _places(data: bytes, mark: bytes) -> list[int]:
    return [i for i in range(len(data)) if data.startswith(mark, i)]


def _legacy(random: numbers.Random) -> bytes:
    keys = b"\x80\x02](" + b"".join(_text(str(i)) for i in range(random.choice((3, 3, 1, 9)))) + b"e."
    data = MAGIC + _table(random) + keys
    for _ in range(3):
        data += struct.pack("<q", _number(random, 16) % 2**63) + bytes(64)
    return data if random.random() < 0.7 else _damaged(random, data)


def _safetensors(random: numbers.Random) -> bytes:
    table: dict[Any, Any] = {}
    place = 0
    for i in range(random.randint(0, 4)):
        shape = [
            _number(random, random.randint(0, 4))
            for _ in range(random.choice((0, 1, 1, 2, 2, 2, 20 if random.random() < 0.1 else 4)))
        ]
        kind = random.choice((*["F32"] * 20, "F16", "BF16", "I64", "BOOL", "X"))
        length = 4 * math.prod(shape) if kind == "F32" and 0 <= math.prod(shape) < 10_000 else random.randint(0, 64)
        begin, end = _number(random, place), _number(random, place + length)
        entry: Any = {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}
        if random.random() < 0.1:
            entry = random.choice(
                ({}, [], None, {**entry, "dtype": []}, {**entry, "shape": {}}, {**entry, "shape": [1.5]})
            )
        table[random.choice(("a", "b\x00", "c" * 2000, f"d{i}"))], place = entry, end
    meta = random.choice(({}, [], {"dataset_meta": '{"keypoint_id2name": {"0": NaN}}'}, {"dataset_meta": "[" * 5000}))
    head = json.dumps({**({"__metadata__": meta} if random.random() < 0.5 else {}), **table}).encode()
    length = _number(random, len(head)) % 2**64
    data = struct.pack("<Q", length) + head + bytes(min(max(place, 0), 100_000))
    return data if random.random() < 0.7 else _damaged(random, data)


def make(random: numbers.Random, folder: Path) -> Path:
    """Write one file."""
    path = folder / "weights.pth"
    path.write_bytes(random.choice((_zip, _zip, _legacy, _safetensors))(random))
    return path


def attempt(path: Path) -> None:
    """Read it, and use what it says as the opening of a model does."""
    from limner import checkpoint, keypoints
    from limner.runtimes.metadata import decode, encode

    loaded = checkpoint.load(path)
    checkpoint.fingerprint({key: value.shape for key, value in loaded.state_dict.items()})
    for value in loaded.state_dict.values():
        assert value.dtype.kind in "biufc"
        value.tobytes()
    meta = loaded.dataset_meta
    try:
        json.dumps(decode(encode(meta)), default=str, skipkeys=True)
    except ValueError as error:
        assert "it holds more than" in str(error) or "Circular" in str(error)  # noqa: PT017
    if keypoints.describes_keypoints(meta):
        keypoints.from_dataset_meta(meta)
