"""Small configs that would take much memory or time, and numbers that no network can have, are refused before."""

from __future__ import annotations

import copy
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limner import build, config
from limner.config.paths import OWN
from limner.errors import ArgumentError, ConfigError, suggest

POSE = OWN / "projects/rtmpose/rtmpose/body_2d_keypoint/rtmpose-t_8xb256-420e_coco-256x192.py"
TWICE = "x = {}\nfor i in range(60):\n    x = {}\n"
EACH = " ".join(f"for {name} in (-1, -2)" for name in "abcdefghijklmn")
TUPLES = f"(a, b, c, d, e, f, g, h, i, j, k, l, m, n) {EACH}"


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., str]:
    """Checks that a config is refused in a sentence, soon."""

    def check(text: str, suffix: str = ".py", match: str = r"config\.") -> str:
        path = tmp_path / f"config{suffix}"
        path.write_text(text, "utf-8")
        began = time.process_time()
        with pytest.raises(ConfigError, match=match) as error:
            config.load(path)
        assert time.process_time() - began < 5
        assert len(str(error.value)) < 1000
        return str(error.value)

    return check


@pytest.mark.parametrize(
    "text",
    [
        "x = 0x" + "f" * 300_000,
        "x = 0x" + "f" * 2600 + "\nfor i in range(10**5):\n    y = -x * x",
        "x = int('f' * 1000000, 16)",
        "x = int('z' * 100000, 36)",
        "x = 1 << 9000\nfor i in range(10**5):\n    y = (x << 9000) % 7",
        "x = '%999d' * 100000 % ((1,) * 100000)",
        "x = ('%(a)s' * 100000) % dict(a='b' * 100000)",
        "x = ('{0}' * 100000).format('b' * 100000)",
        "x = ('{0!r}' * 100000).format(['b' * 1000] * 1000)",
        "x = [f'{1:999}' for a in range(200) for b in range(1000)]",
        TWICE.format("(0,)", "(x, x)") + "y = {}\nz = y.get(x)",
        TWICE.format("(0,)", "(x, x)") + "y = {}\ny[x] = 1",
        TWICE.format("(0,)", "(x, x)") + "y = {x}",
        TWICE.format("(0,)", "(x, x)") + "y = set()\ny.add(x)",
        "x = {i * (2**61 - 1): 0 for i in range(100000)}",
        "x = set([i * (2**61 - 1) for i in range(100000)])",
        f"x = {{{TUPLES}}}",
        f"x = set([{TUPLES}])",
        f"x = dict([(({TUPLES.partition(' for')[0]}), 1) {EACH}])",
        "y = ('a' * 99999 + 'b')\nz = [('a' * 99999 + 'c')] * 100000\nw = y in z",
        "x = [0] * 1000000\nfor i in range(10**5):\n    del x[0]",
        "x = [0] * 1000000\nfor i in range(10**5):\n    x[0:1] = []",
        "for i in range(300000):\n    s = '{{$LIMNER_NONE:" + "b" * 100_000 + "}}'",
        "for i in range(300000):\n    s = {{$LIMNER_NONE:" + "nope" * 100 + "}}",
        "for i in range(300000):\n    s = {{$LIMNER_NONE:" + "1+" * 20_000 + "1}}",
        "for i in range(300000):\n    s = '" + "b" * 500_000 + "'",
        "x = [" + "1," * 200_000 + "]\ny = [" + "1," * 90_000 + "]",
        "x = 0\n" * 140_000,
        "x = " + "name" * 20_000,
        "name = {}\nx = name." + "y" * 60_000,
        "x = {}\nfor i in x:\n    pass\nx[1] = 2\nfor i in x:\n    x[i + 1] = 1",
        "x = {1}\nfor i in x:\n    x.add(i + 1)",
        "x = {[1]}",
        "x = set([[]])",
        "x = {1: 2}\nx[{}] = 1",
        "_base_ = 'config.py'",
    ],
    ids=lambda text: text[:40] + text[-10:],
)
def test_work_is_spent_before_it_is_done(refused: Callable[..., str], text: str) -> None:
    refused(text)


def test_what_can_be_a_key_stays_one(tmp_path: Path) -> None:
    path = tmp_path / "config.py"
    path.write_text("x = {range(3): 1, (1, (2, 'a')): 2}\ny = {range(2), (1, 2)}\nz = {i: i for i in range(5000)}\n")
    cfg = config.load(path)
    assert cfg["x"] == {(0, 1, 2): 1, (1, (2, "a")): 2}
    assert cfg["y"] == {(0, 1), (1, 2)}
    assert len(cfg["z"]) == 5000


def levels(line: str) -> str:
    """Return lines of YAML that each refer to the one before."""
    return "".join(line.format(after=f"a{i + 1}", before=f"a{i}") for i in range(40))


@pytest.mark.parametrize(
    "text",
    [
        "a0: &a0 [1]\n" + levels("{after}: &{after} [*{before}, *{before}]\n"),
        "a0: &a0 !!python/tuple [1]\n"
        + levels("{after}: &{after} !!python/tuple [*{before}, *{before}]\n")
        + "? *a40\n: 1",
        "a: !!int ''",
        "a: !!bool x",
        "a: !!timestamp x",
        "a: &a [*a]",
        "a: .nan",
        "a: [" * 3000,
        "a: " + "9" * 5000,
        "a: 1\n" * 50_000,
    ],
    ids=range(10),
)
def test_yaml_that_repeats_itself(refused: Callable[..., str], text: str) -> None:
    pytest.importorskip("yaml", reason="needs PyYAML: pip install -e .[test]")
    refused(text, ".yaml")


def test_json_that_is_no_config(refused: Callable[..., str]) -> None:
    for text in (
        '{"a": ' + "[" * 50_000,
        '{"a": 1e999}',
        '{"a": NaN}',
        '{"a": ' + "9" * 5000 + "}",
        "[" + "1," * 9 + "1]",
    ):
        refused(text, ".json")


def test_chains_of_bases(tmp_path: Path, refused: Callable[..., str]) -> None:
    for i in range(300):
        (tmp_path / f"b{i}.py").write_text(f"x{i} = 1")
    refused(f"_base_ = {[f'b{i}.py' for i in range(300)]}", match="too large")
    (tmp_path / "list.py").write_text("x = [1, 2]")
    refused("_base_ = 'list.py'\nx = {'\u00b2': 1}", match="x is a dict here")


def test_options_of_great_length() -> None:
    quotes = "','" * 40_000
    began = time.process_time()
    assert isinstance(config.parse_options([f"a={quotes}"])["a"], (str, list))
    assert time.process_time() - began < 2
    with pytest.raises(ArgumentError, match="parts"):
        config.apply_options({}, {".".join("a" * 5000): 1})
    with pytest.raises(ConfigError, match="x is a dict here"):
        config.apply_options({"x": [1]}, {"x.\u00b2": 1})
    nested: dict[str, Any] = {}
    nested["a"] = nested
    with pytest.raises(ConfigError, match="holds itself"):
        config.opened(nested)


def test_similar_names_are_looked_for_within_bounds() -> None:
    began = time.process_time()
    assert suggest("name" * 15_000, ["name" * 15_001] * 100) == ""
    assert suggest("nome", (f"name{i}" for i in range(10**6)))
    assert time.process_time() - began < 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs the timers of POSIX")
def test_ctrl_c_is_heard_at_once(tmp_path: Path) -> None:
    path = tmp_path / "config.py"
    path.write_text("for a in range(10**6):\n    for b in range(10**6):\n        c = [a] * 1000\n" * 2)
    began = time.monotonic()

    def ring(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    try:
        with pytest.raises((KeyboardInterrupt, ConfigError)):
            config.load(path)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - began < 2


# -- numbers of networks


def changed(path: str, value: object) -> dict[str, Any]:
    """Return the config of a pose model with one value changed."""
    cfg: Any = copy.deepcopy(config.load(POSE))
    *parents, last = path.split(".")
    place = cfg
    for key in parents:
        place = place[int(key) if isinstance(place, list) else key]
    place[last] = value
    return cfg


def opened(cfg: dict[str, Any]) -> None:
    spec = build.pose_spec(cfg)
    build.decoder(spec.codec, spec.flip)
    build.network(cfg["model"], empty=True)


def test_the_config_that_is_changed_is_good() -> None:
    pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
    opened(config.load(POSE))


RESNET = {"type": "ResNet", "depth": 50}
NUMBERS = {
    "model.backbone.deepen_factor": [1e9, float("nan"), "x"],
    "model.backbone.widen_factor": [1e9, 10_000, 0, float("inf"), -1],
    "model.backbone.expand_ratio": [1e9, 0, -1],
    "model.backbone.out_indices": [(9,), (-1,), (), (True,), (1.5,), "4", None, 4],
    "model.backbone": [
        RESNET | {"strides": (0, 2, 2, 2)},
        RESNET | {"strides": (-1,) * 4},
        RESNET | {"strides": ("1",) * 4},
        RESNET | {"strides": (2.5,) * 4},
        RESNET | {"dilations": (0,) * 4},
        RESNET | {"num_stages": 100_000},
        RESNET | {"num_stages": 0},
        RESNET | {"in_channels": 10**9},
        RESNET | {"depth": 100_000},
        RESNET | {"out_indices": [3] * 20_000},
        {"type": "VisionTransformer", "with_cls_token": False, "out_type": "featmap", "img_size": 60_000},
        {"type": "HRNet" * 20_000},
        {"type": 5},
        [1],
        "x",
    ],
    "model.head.out_channels": [0, -1, 10**9, True, "17", 17.5, None],
    "model.head.input_size": [(60_000, 60_000), (0, 5), ("1", "2"), (1.5, 2.5), 5.5],
    "model.head.in_channels": [10**9, 0, -1, 2.5],
    "model.test_cfg": [{"output_keypoint_indices": [99]}, {"output_keypoint_indices": [-1]}, [1]],
    "model": [None, 5, "x", [1], {}],
}


@pytest.mark.parametrize("path", NUMBERS)
def test_numbers_of_no_network(path: str) -> None:
    pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
    for value in NUMBERS[path]:
        began = time.process_time()
        with pytest.raises(ConfigError) as error:
            opened(changed(path, value))
        assert time.process_time() - began < 4, value
        assert len(str(error.value)) < 1000


def test_layers_are_counted_while_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
    monkeypatch.setattr(build.limits, "MOST_LAYERS", 300)
    opened(config.load(POSE))
    with pytest.raises(ConfigError, match="more than 300 layers"):
        opened(changed("model.backbone.deepen_factor", 100))


def test_numbers_of_no_decoder() -> None:
    for kind, name in [
        ("MSRAHeatmap", "blur_kernel_size"),
        ("UDPHeatmap", "blur_kernel_size"),
        ("MegviiHeatmap", "kernel_size"),
    ]:
        codec = {"type": kind, "input_size": (192, 256), "heatmap_size": (48, 64), "unbiased": True, name: 11}
        build.decoder(codec)
        for value in (0, -1, 4, 10**9, True, 1.5, "3", None):
            with pytest.raises(ConfigError, match=name):
                build.decoder({**codec, name: value})
        for size in ((60_000, 60_000), (0, 5), (True, True), (1.5, 2), ("1", "2"), (float("nan"), 1), 5):
            with pytest.raises(ConfigError):
                build.decoder({**codec, "input_size": size})
    for sigma in (0, -1, float("nan"), "x", (1,), True):
        with pytest.raises(ConfigError):
            build.decoder({"type": "SimCCLabel", "sigma": sigma})


def test_a_name_that_is_no_text_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("_base_.setdefault(1 << 9999)\n")
    with pytest.raises(ConfigError, match="which is no text"):
        config.load(tmp_path / "a.py")
