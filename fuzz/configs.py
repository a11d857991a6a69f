"""Configs: limner's own with changes, statements of a grammar, data files, and numbers of networks; all are built."""

from __future__ import annotations

import copy
import functools
import json
import random as numbers
from pathlib import Path
from typing import Any

NAME, COUNT, SHORT = "configs", 20_000, 80

OWN = Path(__file__).resolve().parents[1] / "src" / "limner" / "configs"
NUMBERS = (
    0,
    1,
    -1,
    2,
    3,
    4,
    7,
    17,
    64,
    255,
    1000,
    65_536,
    10**9,
    2**31,
    2**63,
    0.0,
    0.5,
    -2.5,
    1e9,
    1e300,
    True,
    False,
)
ODD = (
    *NUMBERS,
    None,
    "",
    "x",
    "4",
    float("nan"),
    float("inf"),
    [],
    (),
    {},
    [0],
    (1, 2),
    [[1]],
    {"type": "BN"},
    "y" * 60_000,
)
SIZES = ("10**9", "10**6", "2**70", "(1 << 9999)", "9**3000", "-1", "0", "3", "'a' * 10**6", "[0] * 10**6")
NAMES = ("a", "b", "c", "model", "_base_", "x" * 3000)
OPERATORS = ("+", "-", "*", "/", "//", "%", "**", "<<", ">>", "&", "|", "^", "@", "and", "or", "in", "<", "==", "is")
KEYS = ("a", "a.b", "model.backbone.depth", "a.0", "a.9", "a" + ".b" * 300)


# -- statements by a grammar


def _expression(random: numbers.Random, depth: int = 0) -> str:
    def inner() -> str:
        return _expression(random, depth + 1)

    def several() -> str:
        return ", ".join(inner() for _ in range(random.randint(1, 3)))

    simple = (
        lambda: random.choice(SIZES),
        lambda: repr(random.choice(NUMBERS)),
        lambda: random.choice(NAMES),
        lambda: random.choice(
            ("'%999d'", "'{:{}}'", "'{0}{0!r}'", "'%(a)s' * 3", "''", "b''", "'{{$A:1}}'", "'{{ _base_.a }}'")
        ),
        lambda: random.choice(
            ("()", "[]", "{}", "set()", "range(5)", "range(10**6)", "None", "1j", "{{$A:[1]}}", "...")
        ),
    )
    if depth > 3:
        return random.choice(simple)()
    return random.choice(
        (
            *simple,
            lambda: f"({inner()} {random.choice(OPERATORS)} {inner()})",
            lambda: f"{random.choice(('-', '~', 'not ', '+'))}{inner()}",
            lambda: f"[{several()}]",
            lambda: f"({several()},)",
            lambda: f"{{{several()}}}",
            lambda: f"{{{inner()}: {inner()}, **{inner()}}}",
            lambda: f"dict(a={inner()}, b={inner()})",
            lambda: f"{inner()}[{inner()}]",
            lambda: f"{inner()}[{inner()}:{inner()}]",
            lambda: f"{inner()}.{random.choice(METHODS)}({several()})",
            lambda: f"{random.choice(FUNCTIONS)}({several()})",
            lambda: f"[{inner()} for a in {inner()} if {inner()}]",
            lambda: f"{{{inner()} for b in {inner()}}}",
            lambda: f"{{{inner()}: {inner()} for c in {inner()}}}",
            lambda: f"f'{{{random.choice(NAMES)}:{random.choice(('', '>9', '999', '99999', '.999f', '{a}'))}}}'",
            lambda: f"({inner()} if {inner()} else {inner()})",
        )
    )()


METHODS = (
    *("copy", "get", "items", "keys", "merge", "pop", "setdefault", "update", "values", "append", "clear", "count"),
    *("extend", "index", "insert", "remove", "reverse", "sort", "add", "union", "format", "join", "replace", "split"),
)
FUNCTIONS = (
    *("abs", "all", "any", "bool", "dict", "enumerate", "float", "int", "len", "list", "max", "min", "range", "round"),
    *("reversed", "set", "sorted", "str", "sum", "tuple", "zip", "open", "frozenset", "copy.deepcopy", "math.floor"),
)


def _statement(random: numbers.Random, depth: int = 0) -> str:
    def value() -> str:
        return _expression(random)

    indent = "    " * (depth + 1)
    kind = random.randrange(9 if depth < 2 else 6)
    name = random.choice(NAMES)
    if kind < 3:
        return f"{name} = {value()}"
    if kind == 3:
        return f"{name} {random.choice(('+', '*', '|', '%', '<<'))}= {value()}"
    if kind == 4:
        return random.choice(
            (f"{name}[{value()}] = {value()}", f"{name}.b = {value()}", f"del {name}[{value()}]", f"a, *b = {value()}")
        )
    if kind == 5:
        return f"{name}.{random.choice(METHODS)}({value()})"
    body = f"\n{indent}".join(_statement(random, depth + 1) for _ in range(random.randint(1, 2)))
    if kind == 6:
        return f"if {value()}:\n{indent}{body}"
    loop = random.choice((value(), name, "range(40)", "range(10**6)"))
    grows = random.choice(
        ("a = (a, a)", "b = [b, b]", "a = a + a", "a *= a", "c = {a: c}", "a[len(a)] = 1", "b.append(b)")
    )
    return f"for i in {loop}:\n{indent}{body}\n{indent}{grows}"


def _program(random: numbers.Random) -> str:
    start = (
        random.choice(("a = 7", "a = (1,)", "a = 'ab'", "a = dict(a=1)", "a = [1, 2]", "a = {1}"))
        + "\nb = [0]\nc = {}\n"
    )
    head = "import copy\nimport math\n"
    return head + start + "\n".join(_statement(random) for _ in range(random.randint(1, 6))) + "\n"


# -- networks


@functools.cache
def _own() -> list[str]:
    return sorted(str(path) for path in OWN.rglob("*.py") if "_base_" not in path.parts)


@functools.lru_cache(64)
def _loaded(path: str) -> dict[str, Any]:
    from limner import config

    return config.load(path)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return where there are values inside a value: (container, key)."""
    found = []
    stack = [value]
    while stack:
        item = stack.pop()
        keys = list(item) if isinstance(item, dict) else range(len(item)) if isinstance(item, list) else ()
        for key in keys:
            found.append((item, key))
            stack.append(item[key])
    return found


def _lists(value: Any) -> Any:
    """Return a copy with lists in place of tuples, so that any part can be changed."""
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    return [_lists(item) for item in value] if isinstance(value, (list, tuple)) else copy.deepcopy(value)


def _model(random: numbers.Random) -> dict[str, Any]:
    """Return one of limner's own configs with some values changed."""
    cfg = _lists(_loaded(random.choice(_own())))
    wanted = [key for key in ("model", "codec", "val_pipeline", "test_pipeline", "test_dataloader") if key in cfg]
    chosen = cfg[random.choice(("model", "model", "model", *wanted))]
    for _ in range(random.choice((1, 1, 2, 4))):
        places = _places(chosen)
        if not places:
            break
        container, key = random.choice(places)
        old = container[key]
        if isinstance(old, (int, float)) and random.random() < 0.5:
            container[key] = random.choice((old * 1000, -old, old + 1, 0, old * 10**9, float(old), bool(old)))
        elif isinstance(old, list) and random.random() < 0.5:
            container[key] = random.choice((old[:1], old * 2, old * 3000, [], old[::-1]))
        elif isinstance(container, dict) and random.random() < 0.2:
            del container[key]
        elif isinstance(old, str) and random.random() < 0.5:
            others = [part for part, name in places if name == "type" and isinstance(part, dict)]
            container[key] = random.choice(others)["type"] if others else "x"
        else:
            container[key] = copy.deepcopy(random.choice(ODD))
    return cfg


# -- files


def _changed(random: numbers.Random, text: str) -> str:
    """Return text with a few characters changed, cut out or doubled."""
    for _ in range(random.choice((1, 2, 6))):
        place = random.randrange(len(text) + 1)
        end = place + random.choice((1, 5, 80))
        new = random.choice(
            ("", text[place:end] * 2, random.choice(SIZES), random.choice("()[]{}'\"\\:,=*\n\x00\u00b2"), "10**9")
        )
        text = text[:place] + new + text[end:]
    return text


YAML = (
    "a: &a [1, 2]\nb: &b [*a, *a]\nc: &c [*b, *b]\n",
    "a: &a {x: 1}\nb: &b {<<: [*a, *a], y: 2}\nc: {<<: *b}\n",
    "a: &a !!python/tuple [1]\nb: &b !!python/tuple [*a, *a]\nc: {? *b : 1}\n",
    "a: !!int ''\n",
    "a: !!bool x\n",
    "a: !!timestamp 9\n",
    "a: 1:2:3\nb: .nan\nc: 2001-01-01\n",
    "a: &a [*a]\n",
)


def make(random: numbers.Random, folder: Path) -> object:
    """Write a config, or return the values of one, or a list of options of the command line."""
    kind = random.randrange(10)
    if kind < 3:
        return _model(random)
    path = folder / "config.py"
    if kind < 7:
        path.write_text(_program(random))
    elif kind == 7:
        own = random.choice(_own())
        text = _changed(random, Path(own).read_text("utf-8"))
        path.write_text(
            text.replace("_base_ = ['", f"_base_ = ['{Path(own).parent.as_posix()}/"), "utf-8", "surrogatepass"
        )
    elif kind == 8:
        path = folder / random.choice(("config.json", "config.yaml"))
        data = json.dumps({"a": random.choice(ODD), "model": {"x": [random.choice(ODD)] * 3}}, default=str)
        text = random.choice(YAML) if path.suffix == ".yaml" else data
        path.write_text(_changed(random, text) if random.random() < 0.7 else text, "utf-8", "surrogatepass")
    else:
        for name in "abcde":
            bases = [f"{random.choice('abcdef')}.py" for _ in range(random.randint(0, 3))]
            (folder / f"{name}.py").write_text(f"_base_ = {bases}\n{name} = dict(x={random.choice(SIZES)}, y=1)\n")
        path = folder / "a.py"
    options = [f"{random.choice(KEYS)}={_expression(random, 3)}"]
    return path, options if random.random() < 0.3 else []


def attempt(case: Any) -> None:
    """Load the config and build what it describes."""
    from limner import build, config

    if isinstance(case, dict):
        cfg: Any = config.opened(case)
    else:
        path, options = case
        cfg = config.opened(path, config.parse_options(options))
    if "model" not in cfg:
        return
    if build.is_old(cfg):
        cfg = build.modernised(cfg)
    try:
        detects = "bbox_head" in cfg["model"]
    except TypeError:
        detects = False
    spec = build.detector_spec(cfg) if detects else build.pose_spec(cfg)
    if isinstance(spec, build.PoseSpec):
        build.decoder(spec.codec, spec.flip)
    list(build.described(cfg))
    build.dataset_type(cfg)
    build.network(cfg["model"], empty=True)
