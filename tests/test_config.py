"""A user loads configs: their own, MMPose's, ones that inherit, and ones that must not be run."""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from limner import config
from limner.config import paths
from limner.errors import ArgumentError, ConfigError

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a config below the test's folder."""

    def to(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        return path

    return to


@pytest.fixture
def read(write: Write) -> Callable[[str], dict[str, Any]]:
    """Load the config of a text."""
    return lambda text: config.load(write("config.py", text))


Read = Callable[[str], dict[str, Any]]


def only_plain(value: object) -> bool:
    if type(value) is dict:
        return all(only_plain(k) and only_plain(v) for k, v in value.items())
    if type(value) in (list, tuple, set):
        return all(map(only_plain, value))  # type: ignore[call-overload]
    return type(value) in (str, int, float, bool, type(None))


# -- one file


def test_a_config_as_mmpose_writes_them(read: Read) -> None:
    cfg = read(
        """
        # the comment {{ of somebody }}
        \"\"\"A docstring.\"\"\"
        codec = dict(type='SimCCLabel', input_size=(256, 256), sigma=(5.66, 5.66), normalize=False)
        num_keypoints = 106
        model = dict(
            type='TopdownPoseEstimator',
            head=dict(
                out_channels=num_keypoints,
                in_featuremap_size=tuple([s // 32 for s in codec['input_size']]),
                decoder=codec),
            test_cfg=dict(flip_test=True, ))
        train_pipeline = [dict(type='LoadImage'), *[dict(type='Flip', prob=p) for p in (0.5, 1 - 0.5)]]
        custom_imports = dict(imports=['mmpose.evaluation.functional'], allow_failed_imports=False)
        lr = 4e-3
        lr *= 2
        """
    )
    assert cfg == {
        "codec": {"type": "SimCCLabel", "input_size": (256, 256), "sigma": (5.66, 5.66), "normalize": False},
        "num_keypoints": 106,
        "model": {
            "type": "TopdownPoseEstimator",
            "head": {
                "out_channels": 106,
                "in_featuremap_size": (8, 8),
                "decoder": {"type": "SimCCLabel", "input_size": (256, 256), "sigma": (5.66, 5.66), "normalize": False},
            },
            "test_cfg": {"flip_test": True},
        },
        "train_pipeline": [{"type": "LoadImage"}, {"type": "Flip", "prob": 0.5}, {"type": "Flip", "prob": 0.5}],
        "custom_imports": {"imports": ["mmpose.evaluation.functional"], "allow_failed_imports": False},
        "lr": 8e-3,
    }
    assert only_plain(cfg)


@pytest.mark.parametrize(
    "expression",
    [
        "1 + 2 * 3 ** 2 - 7 // 2 / 4 % 3",
        "-5, +5, ~5, not 5, 6 & 3 | 8 ^ 1, 1 << 4 >> 2",
        "1 < 2 <= 2 != 3, 'a' in 'abc', 3 not in [1, 2], None is None, [] is not None",
        "(1 and 0 or 'x'), (0 or {} or [])",
        "'yes' if 3 > 2 else 'no'",
        "{'a': 1, **dict(b=2), **{'c': 3}}, [0, *range(3)], (*'ab',), {1, 2, *[3]}",
        "[x * y for x in range(4) if x % 2 for y in (1, 10)], {k: v for k, v in zip('ab', (1, 2))}",
        "{c for c in 'hello'} == set('hello'), sum(i for i in range(5))",
        "list(range(10))[2:-1:3], 'config'[::-1], (1, 2, 3)[-1], {'a': [5]}['a'][0]",
        "f'{3:>5}|{1.5:.2f}|{\"x\"!r}|{{}}|{7:{2}d}'",
        "'{0} {b} {0[1]}'.format('pq', b=2), '%s-%03d' % ('a', 7), 'a/2017_%s' % 1",
        "', '.join(['a', 'b']).upper().replace('A', 'x').split(', '), 'abc'.startswith('ab')",
        "len('abc'), min(3, 1), max([1, 5]), int('3') + float('1.5'), str(7), bool(0), abs(-2), round(2.567, 2)",
        "sorted([3, 1, 2], reverse=True), list(reversed([1, 2])), list(enumerate('ab', 1)), any([0, 1]), all([0, 1])",
        "sum([[1], [2, 3]], []), dict([('a', 1)], b=2), tuple('ab'), list({'x': 1}.items())",
        "dict(a=1).get('b', 7), list(dict(a=1, b=2).values()), [1, 2, 1].count(1), (4, 5).index(5)",
        "b'bytes', ..., 1j, 0x10, 1_000, 'implicit' ' joining'",
        "[[y for y in range(x)] for x in range(3)]",
    ],
)
def test_expressions_mean_what_they_mean_in_python(read: Read, expression: str) -> None:
    assert read(f"x = {expression}")["x"] == eval(expression)  # the fixed texts above


def test_statements_change_names_in_order(read: Read) -> None:
    cfg = read(
        """
        a, (b, *c) = 1, (2, 3, 4)
        d = e = [1]
        d += [2]              # in place: e is the same list
        model = dict(backbone=dict(depth=18), neck=None)
        model['neck'] = dict(type='FPN')
        model.backbone.depth = 50
        model.update(head=dict(k=1))
        model['head'].setdefault('z', []).append(3)
        del model['neck']
        pipeline = [0, 1, 2, 3]
        pipeline[1:3] = ['x']
        del pipeline[0]
        datasets = []
        for i, name in enumerate(['coco', 'aic', 'skip', 'mpii', 'never']):
            if name == 'skip':
                continue
            elif name == 'never':
                break
            else:
                datasets.append(f'{i}-{name}')
        else:
            datasets = None
        number: int = 3
        pass
        """
    )
    assert (cfg["a"], cfg["b"], cfg["c"]) == (1, 2, [3, 4])
    assert cfg["d"] == cfg["e"] == [1, 2]
    assert cfg["model"] == {"backbone": {"depth": 50}, "head": {"k": 1, "z": [3]}}
    assert cfg["pipeline"] == ["x", 3]
    assert cfg["datasets"] == ["0-coco", "1-aic", "3-mpii"]
    assert cfg["number"] == 3


def test_private_names_imports_and_functions_stay_outside(read: Read) -> None:
    cfg = read(
        """
        import math
        import os.path as osp
        from copy import deepcopy
        from mmengine.config import read_base
        _size = 7
        size = _size * 2
        one = dict(a=[1])
        two = deepcopy(one)
        two['a'].append(osp.join('data', 'x'))
        root = math.sqrt(16) + math.floor(math.pi)
        def helper(x):
            return x
        if __name__ == '__main__':
            never = helper(1)
        """
    )
    assert cfg == {"size": 14, "one": {"a": [1]}, "two": {"a": [1, os.path.join("data", "x")]}, "root": 7.0}


def test_imported_types_are_their_names(read: Read) -> None:
    cfg = read(
        """
        import torch.nn as nn
        from mmdet.models import RTMDet, CSPNeXt as Backbone
        model = dict(type=RTMDet, backbone=dict(type=Backbone, norm=nn.SyncBN), hooks={RTMDet: 1})
        """
    )
    assert cfg == {
        "model": {"type": "RTMDet", "backbone": {"type": "CSPNeXt", "norm": "SyncBN"}, "hooks": {"RTMDet": 1}}
    }
    assert only_plain(cfg)


def test_templates_of_the_file_and_the_environment(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_TEST_ROOT", "/data's")
    monkeypatch.setenv("LIMNER_TEST_N", "20")
    path = write(
        "deep/rtm.face.py",
        """
        work_dir = './runs/{{ fileBasenameNoExtension }}/{{fileBasename}}{{ fileExtname }}'
        here = '{{ fileDirname }}'
        root = '{{$LIMNER_TEST_ROOT:data}}/coco'
        other = "{{ $LIMNER_TEST_UNSET:data/x }}"
        bare = dict(classes={{$LIMNER_TEST_N:80}}, more={{'$LIMNER_TEST_N:80'}}, lr={{ $LIMNER_TEST_UNSET:1e-3 }})
        word = {{$LIMNER_TEST_UNSET:plain}}
        foreign = '{{ jinja }}'
        """,
    )
    assert config.load(path) == {
        "work_dir": "./runs/rtm.face/rtm.face.py.py",
        "here": path.parent.as_posix(),
        "root": "/data's/coco",
        "other": "data/x",
        "bare": {"classes": 20, "more": 20, "lr": 1e-3},
        "word": "plain",
        "foreign": "{{ jinja }}",
    }
    with pytest.raises(ConfigError, match="LIMNER_TEST_UNSET is not set"):
        config.load(write("a.py", "x = '{{ $LIMNER_TEST_UNSET: }}'"))


# -- inheritance


def test_a_config_changes_what_it_inherits(write: Write) -> None:
    write(
        "_base_/runtime.py", "default_scope = 'mmpose'\n_own = 1\nhooks = dict(log=dict(interval=50), save=dict(n=1))"
    )
    write(
        "_base_/model.py",
        "model = dict(backbone=dict(type='ResNet', depth=50), head=dict(k=17, loss='mse'))\nx = (1, 2)",
    )
    write("mid.py", "_base_ = ['_base_/runtime.py', '_base_/model.py']\nmodel = dict(head=dict(k=68))")
    path = write(
        "deep/leaf.py",
        """
        _base_ = '../mid.py'
        model = dict(backbone=dict(_delete_=True, type='CSPNeXt'), head=dict(extra=dict(_delete_=True, a=1)))
        hooks = dict(log=dict(interval=10))
        x = 5
        """,
    )
    cfg = config.load(path)
    assert cfg == {
        "default_scope": "mmpose",
        "hooks": {"log": {"interval": 10}, "save": {"n": 1}},
        "model": {"backbone": {"type": "CSPNeXt"}, "head": {"k": 68, "loss": "mse", "extra": {"a": 1}}},
        "x": 5,
    }
    assert only_plain(cfg)


def test_elements_of_an_inherited_list(write: Write) -> None:
    write("base.py", "pipeline = [dict(type='Load'), dict(type='Flip', prob=0.5)]\nsize = (1, 2)")
    cfg = config.load(write("a.py", "_base_ = 'base.py'\npipeline = {'1': dict(prob=0.1)}\nsize = {'0': 7}"))
    assert cfg == {"pipeline": [{"type": "Load"}, {"type": "Flip", "prob": 0.1}], "size": (7, 2)}
    with pytest.raises(ConfigError, match=r"pipeline\.2 does not exist: pipeline has 2 elements"):
        config.load(write("b.py", "_base_ = 'base.py'\npipeline = {'2': dict(prob=0.1)}"))


def test_values_of_the_base_in_every_spelling(write: Write) -> None:
    write("base.py", "root = 'data/'\nargs = None\nmodel = dict(mean=[1, 2], size=(3, 4))\npipeline = [dict(a=1)]")
    cfg = config.load(
        write(
            "a.py",
            """
            _base_ = ['base.py']
            bare = {{_base_.root}}
            spaced = dict(x={{ _base_.model.mean }}, none={{_base_.args}})
            text = '{{_base_.model.size}}'
            inside = 'in {{ _base_.root }}coco'
            element = {{_base_.pipeline.0.a}}
            modern = _base_.root + 'x'
            also = _base_['model']['mean'][1]
            mine = _base_.pipeline
            mine[0]['a'] = 2
            """,
        )
    )
    assert cfg["bare"] == "data/"
    assert cfg["spaced"] == {"x": [1, 2], "none": None}
    assert cfg["text"] == (3, 4)
    assert cfg["inside"] == "in data/coco"
    assert cfg["element"] == 1
    assert cfg["modern"] == "data/x"
    assert cfg["also"] == 2
    assert cfg["mine"] == cfg["pipeline"] == [{"a": 2}]


def test_the_base_itself_can_be_changed(write: Write) -> None:
    write("base.py", "model = dict(head=dict(k=1, loss=dict(type='A', w=1)), data_preprocessor=1)\ngone = 1")
    cfg = config.load(
        write(
            "a.py",
            """
            _base_ = 'base.py'
            detector = _base_.model
            detector.pop('data_preprocessor')
            detector.head.update(dict(loss=dict(w=2)))   # recursive on what is inherited
            detector['init'] = dict(a=1)
            del _base_.model
            del _base_.gone
            model = dict(type='ByteTrack', detector=detector)
            """,
        )
    )
    detector = {"head": {"k": 1, "loss": {"type": "A", "w": 2}}, "init": {"a": 1}}
    assert cfg == {"detector": detector, "model": {"type": "ByteTrack", "detector": detector}}


def test_parts_of_the_result_are_independent(read: Read) -> None:
    cfg = read("a = dict(x=[1])\nb = [a, a]")
    before = copy.deepcopy(cfg)
    cfg["b"][0]["x"].append(2)
    assert cfg["a"] == before["a"]
    assert cfg["b"][1] == before["b"][1]


def test_what_cannot_be_inherited(write: Write) -> None:
    write("one.py", "a = 1\nb = dict(x=1)\nc = None")
    write("two.py", "b = 2")
    for text, reason in [
        ("_base_ = ['one.py', 'two.py']", r"define the same keys: b"),
        ("_base_ = 'two.py'\nb = dict(x=1)", r"b is a dict here and int \(2\) in the base.*_delete_=True"),
        ("_base_ = 'one.py'\nb = dict(x=dict(y=1))", r"b\.x is a dict here"),
        ("_base_ = 'three.py'", r"its base 'three\.py' does not exist"),
        ("_base_ = 3", r"neither a path nor a list of paths"),
        (
            "_base_ = 'one.py'\nx = _base_.aa",
            r"line 2: '_base_\.aa' cannot be evaluated: there is no 'aa'\. Did you mean 'a'",
        ),
        ("_base_ = 'one.py'\nx = {{_base_.b.y}}", r"the bases have no 'b\.y'"),
        ("_base_ = 'a.py'", r"inherits from itself: a\.py -> a\.py"),
        ("if True:\n    _base_ = 'one.py'", r"top level"),
        ("_base_ = 'mmdet::rtmdet/none.py'", r"Install mmdet.*LIMNER_CONFIG_PATH"),
        ("_base_ = 'mmdet::'", r"does not name a config of a package"),
        ("_base_ = 'bad\\0name.py'", r"does not exist"),
    ]:
        with pytest.raises(ConfigError, match=reason) as error:
            config.load(write("a.py", text))
        assert "a.py" in str(error.value)


def test_configs_that_inherit_in_a_circle(write: Write) -> None:
    write("b.py", "_base_ = 'c.py'")
    write("c.py", "_base_ = 'a.py'")
    with pytest.raises(ConfigError, match=r"a\.py -> b\.py -> c\.py -> a\.py"):
        config.load(write("a.py", "_base_ = 'b.py'"))
    write("d.py", "from mmengine.config import read_base\nwith read_base():\n    from .d import *")
    with pytest.raises(ConfigError, match=r"d\.py -> d\.py"):
        config.load(paths.resolve(write("d.py", (Path(write("x.py", "")).parent / "d.py").read_text())))


# -- the pure python style


def test_the_pure_python_style(write: Write) -> None:
    write(
        "_base_/runtime.py",
        "from mmengine.hooks import Hook\ntrain_cfg = dict(epochs=10, val=dict(n=1, m=2))\nhook = dict(type=Hook)",
    )
    write("_base_/models.py", "from mmdet.models import RTMDet\nfaster = dict(type=RTMDet, depth=1)\nother = 3")
    path = write(
        "rtm/leaf.py",
        """
        from mmengine.config import read_base
        with read_base():
            from .._base_.runtime import *
            from .._base_.models import faster as model
        from torch.optim import Adam
        train_cfg.update(epochs=50, val=dict(n=7))
        model.merge(dict(depth=2, neck=dict(type='FPN')))
        optimizer = dict(type=Adam, again=Hook)
        """,
    )
    cfg = config.load(path)
    assert cfg == {
        "train_cfg": {"epochs": 50, "val": {"n": 7, "m": 2}},
        "hook": {"type": "Hook"},
        "model": {"type": "RTMDet", "depth": 2, "neck": {"type": "FPN"}},
        "optimizer": {"type": "Adam", "again": "Hook"},
    }
    assert only_plain(cfg)
    for text, reason in [
        ("with read_base():\n    from .nothing import *", r"the base '\.nothing' was not found"),
        ("with read_base():\n    from .._base_.models import fast", r"imports 'fast'.*Did you mean 'faster'"),
        ("with read_base():\n    x = 1", r"'x = 1' is not an import of a config"),
        ("with open('x') as f:\n    pass", r"is not supported \(With\)"),
        ("from torch import *", r"imports all names of a module"),
    ]:
        with pytest.raises(ConfigError, match=reason):
            config.load(write("rtm/bad.py", text))


# -- where configs are found


def test_configs_of_packages_and_of_the_search_path(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(paths.VARIABLE, raising=False)
    write(
        "wheels/mmxdet/.mim/configs/rtm/l.py",
        "model = dict(type='RTMDet', head=dict(type='H'))\ny = [dict(type='Load')]",
    )
    demo = write("wheels/mmpose/.mim/demo/cfg/person.py", "_base_ = 'mmxdet::rtm/l.py'\nmodel = dict(head=dict(k=1))")
    # unzipped side by side, and marked as MMEngine marks what comes from another package
    assert config.load(demo) == {
        "model": {"type": "RTMDet", "head": {"type": "H", "k": 1}, "_scope_": "mmxdet"},
        "y": [{"type": "Load", "_scope_": "mmxdet"}],
    }
    lazy = write("wheels/mmpose/lazy.py", "with read_base():\n    from mmxdet.configs.rtm.l import y")
    assert config.load(lazy) == {"y": [{"type": "Load"}]}
    # elsewhere: not found, until the environment names the folder
    alone = write("alone.py", "_base_ = 'mmxdet::rtm/l'")
    with pytest.raises(ConfigError, match="Install mmxdet"):
        config.load(alone)
    monkeypatch.setenv(paths.VARIABLE, os.pathsep.join(["/nowhere", str(tmp_path / "wheels")]))
    assert config.load(alone)["model"]["_scope_"] == "mmxdet"
    assert config.load("mmxdet::rtm/l.py")["model"]["type"] == "RTMDet"
    assert config.resolve("mmpose/.mim/demo/cfg/person.py") == demo
    # installed: found without being imported
    monkeypatch.delenv(paths.VARIABLE)
    write("wheels/mmxdet/__init__.py", "raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path / "wheels")
    assert config.load(alone)["model"]["type"] == "RTMDet"
    assert "mmxdet" not in sys.modules


def test_limners_own_copies_stand_in_for_files_that_are_not_there(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "OWN", tmp_path / "own")
    own = write("own/configs/face/rtmpose-m_face6.py", "model = dict(k=106)")
    write("own/mmdet/rtmdet/l.py", "model = dict(type='RTMDet')")
    write("own/demo/mmdetection_cfg/person.py", "_base_ = 'mmdet::rtmdet/l.py'")
    monkeypatch.chdir(tmp_path)
    for spelling in (
        "configs/face/rtmpose-m_face6.py",
        "./configs/face/rtmpose-m_face6.py",
        "mmpose::face/rtmpose-m_face6",
    ):
        assert config.load(spelling) == {"model": {"k": 106}}
    assert config.load(r"configs\face\rtmpose-m_face6.py") == {"model": {"k": 106}}
    assert config.load("demo/mmdetection_cfg/person.py")["model"]["type"] == "RTMDet"
    write("configs/face/rtmpose-m_face6.py", "model = dict(k=6)")  # on disk: it comes first
    assert config.load("configs/face/rtmpose-m_face6.py") == {"model": {"k": 6}}
    assert config.load(own) == {"model": {"k": 106}}
    for missing in ("configs/face/rtmpose-m_face7.py", "configs/../../config.py", "", "configs/face"):
        with pytest.raises(ConfigError, match="there is no config"):
            config.load(missing)
    with pytest.raises(ConfigError, match=r"Did you mean 'configs/face/rtmpose-m_face6\.py'\?"):
        config.load("configs/face/rtmpose_m_face6.py")


def test_files_that_are_no_configs(write: Write, tmp_path: Path) -> None:
    for name, text, reason in [
        ("a.txt", "x = 1", "is not a python config"),
        ("a.py", "x = (1,", r"a\.py, line 1: not valid python"),
        ("b.py", "x = 1\nexit(", r"line 2: not valid python"),
        ("c.py", "x = 1 #" + "." * 3_000_000, "too large"),
        ("d.py", "x = '\0'", "not valid python"),
    ]:
        with pytest.raises(ConfigError, match=reason):
            config.load(write(name, text))
    (tmp_path / "latin.py").write_bytes(b"x = '\xe9'")
    with pytest.raises(ConfigError, match="UTF-8"):
        config.load(tmp_path / "latin.py")
    (tmp_path / "bom.py").write_bytes(b"\xef\xbb\xbfx = r'\\d' '\\d'")
    assert config.load(tmp_path / "bom.py") == {"x": r"\d\d"}  # python's own warning about '\d' is not the user's


# -- nothing runs, nothing hangs


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("__import__('os').system('true')", "unknown function"),
        ("open('x', 'w')", "unknown function"),
        ("eval('1')", "unknown function"),
        ("getattr(dict, 'x')", "unknown function"),
        ("().__class__.__bases__", "tuple has no attribute '__class__'"),
        ("''.__class__", "str has no attribute"),
        ("'{0.__class__}'.format(1)", "cannot be evaluated"),
        ("'{0.__init__.__globals__}'.format(dict)", "is a function"),
        ("dict(a=1).__init__()", "dict has no method '__init__'"),
        ("'x'.encode()", "str has no method 'encode'"),
        ("(lambda: 1)()", "calls a function|not supported"),
        ("lambda: 1", r"is not supported \(Lambda\)"),
        ("len", "is a function"),
        ("nothing", "is not defined"),
        ("1 / 0", "division by zero"),
        ("[1][5]", "index out of range"),
        ("dict(a=1)['b']", "there is no key 'b'"),
        ("dict(a=1).b", "there is no 'b'"),
        ("{}.pop('x')", "there is no key 'x'"),
        ("'a' + 1", "cannot be evaluated"),
        ("{[]: 1}", "unhashable"),
        ("dict(a=1, **dict(a=2))", "'a' is given twice"),
        ("(y := 1)", r"not supported \(NamedExpr\)"),
        ("[1] @ [2]", "MatMult is not supported"),
    ],
)
def test_what_is_not_data_is_an_error_at_its_line(read: Read, line: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as error:
        read(f"a = 1\nx = [\n    {line}]\n")
    assert "config.py, line 3: " in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "import os\nos.system('true')",
        "from os import system\nsystem('true')",
        "from subprocess import run as dict\nx = dict(['true'])",
        "def f():\n    pass\nx = f()",
        "class A:\n    pass",
        "try:\n    x = 1\nexcept ValueError:\n    pass",
        "while True:\n    pass",
        "assert True",
        "raise ValueError",
        "global x",
        "break",
        "async def f():\n    pass",
        "import os\nx = os.environ['PATH']",
        "x = [1]\nx.y = 2",
        "x = 'abc'\nx[0] = 'd'",
        "del x",
        "a, b = 1, 2, 3",
        "(1)[0]: int = 3",
    ],
)
def test_statements_that_are_not_data(read: Read, text: str) -> None:
    with pytest.raises(ConfigError, match=r"config\.py, line \d"):
        read(text)


@pytest.mark.parametrize(
    "text",
    [
        "x = 'a' * 10**9",
        "x = [0] * 10**9",
        "x = list(range(10**12))",
        "x = [i for i in range(10**12)]",
        "x = range(10**40)",
        "x = 9**9**9",
        "x = 1 << 10**9",
        "x = 10.0 ** 10**9",
        "x = 7\nfor i in range(100):\n    x = x * x",
        "x = [1]\nfor i in range(100):\n    x = x + x",
        "x = 'ab'\nfor i in range(100):\n    x += x",
        "x = [1]\nfor i in x:\n    x.append(i)",
        "x = [1]\nfor i in range(100):\n    x.extend(x)",
        "for a in range(10**6):\n    for b in range(10**6):\n        for c in range(10**6):\n            pass",
        "x = [0 for a in range(10**6) for b in range(10**6)]",
        "x = [0]\nfor i in range(40):\n    x = [x, x]",
        "x = [0]\nfor i in range(40):\n    x = [x, x]\ny = str(x)\nx = 0",
        "x = [0]\nfor i in range(40):\n    x = [x, x]\ny = f'{x}'\nx = 0",
        "x = y = (0,)\nfor i in range(40):\n    x = (x, x)\n    y = (y, y)\nz = x == y\nx = y = 0",
        "x = (0,)\nfor i in range(40):\n    x = (x, x)\ny = {x: 1}\nx = 0",
        "x = dict(a=0)\nfor i in range(40):\n    x = dict(a=x, b=x)\n_base_.y = x\nx = 0",
        "x = []\nx.append(x)",
        "x = dict()\nx['y'] = x",
        "x = 0\nfor i in range(10**5):\n    x = [x]",
        "x = '%1000000000d' % 1",
        "x = '%*d' % (10**9, 1)",
        "x = b'%1000000000d' % 1",
        "x = f'{1:1000000000}'",
        "x = '{:1000000000}'.format(1)",
        "x = '{:{}}'.format(1, 10**9)",
        "x = ('a' * 10**6).replace('a', 'b' * 10**6)",
        "x = ('a' * 10**6).join(['b'] * 10**6)",
        "x = sum([[0]] * 10**6, [[0] * 10**6] * 100)",
        "x = round(5, -10**9)",
        "x = " + "[" * 150 + "]" * 150,
        "x = " + "-" * 5000 + "1",
        "x = " + "[" * 100000,
        "x = 1" + " + 1" * 200_000,
        "x = a" + ".a" * 20_000,
        "x = 1 + \\\n" + "1 + \\\n" * 200_000 + "1",
        "if 1:\n    pass\n" + "elif 1:\n    pass\n" * 50_000,
        "x = " + "1 if 1 else " * 5000 + "2",
        "x = '" + "9" * 100_000 + "'\ny = int(x)",
        "x = '''" + "\\'''" * 100_000,
    ],
)
def test_bombs_are_errors_and_never_hang(read: Read, text: str) -> None:
    with pytest.raises(ConfigError):
        read(text)


def test_a_tree_of_bases_that_grows_without_end(write: Write) -> None:
    for i in range(30):
        write(f"b{i}.py", f"with read_base():\n    from .b{i + 1} import *\n    from .b{i + 1} import *")
    write("b30.py", "x = 1")
    with pytest.raises(ConfigError, match="too large"):
        config.load(write("a.py", "with read_base():\n    from .b0 import *"))
    for i in range(60):
        write(f"c{i}.py", f"_base_ = 'c{i + 1}.py'")
    with pytest.raises(ConfigError, match="more than 40 configs inherit"):
        config.load(write("c.py", "_base_ = 'c0.py'"))


def test_long_configs_are_no_bombs(read: Read) -> None:
    names = ", ".join(f"'class {i}'" for i in range(1203))
    cfg = read(
        f"a = ({names})\nb = [n for n in a if n in a]\n"
        f"c = {' + '.join(['[1]'] * 500)}\nd = {dict.fromkeys(range(5000), 0)}\n"
        f"e = '{{{{$A:{' ' * 100_000}'"
    )
    assert cfg["b"] == list(cfg["a"])
    assert cfg["c"] == [1] * 500
    assert len(cfg["d"]) == 5000


# -- options of the command line


def test_options_of_the_command_line() -> None:
    arguments = {
        "a=1": 1,
        "a=-1.5e3": -1500.0,
        "a=True": True,
        "a=false": False,
        "a=None": None,
        "a=text": "text",
        "a=two words": "two words",
        "a=": "",
        "a=x=y": "x=y",
        "a=[1,2]": [1, 2],
        "a=1,2": [1, 2],
        "a=[]": [],
        "a=()": (),
        "a=(1,)": (1,),
        "a=[(1, 2), [a, None], 3.5]": [(1, 2), ["a", None], 3.5],
        "a=(256,192)": (256, 192),
        'a="1,2"': "1,2",
        "a='True'": "True",
        'a="[1,2]"': [1, 2],
        "a=['x, y',\"z]\"]": ["x, y", "z]"],
        "a=it's": "it's",
        "a=data/coco/": "data/coco/",
    }
    for word, value in arguments.items():
        found = config.parse_options([word])
        assert found == {"a": value}
        assert type(found["a"]) is type(value)
    assert config.parse_options(["a.b=1", "c.0.d=x"]) == {"a.b": 1, "c.0.d": "x"}
    for bad in ("flip_test", "=1", "a=[1", "a=(1,2]", "a=1]", "a=" + "[" * 100 + "]" * 100):
        with pytest.raises(ArgumentError, match="option"):
            config.parse_options([bad])


def test_options_change_a_loaded_config(write: Write) -> None:
    path = write(
        "a.py",
        "model = dict(test_cfg=dict(flip_test=True, k=1), neck=None)\npipe = [dict(t=1), dict(t=2)]\nsize = (1, 2)",
    )
    options = config.parse_options(
        ["model.test_cfg.flip_test=False", "model.new.deep=3", "pipe.1.t=9", "pipe.0=x", "size.0=7"]
    )
    cfg = config.load(path, options=options)
    assert cfg == {
        "model": {"test_cfg": {"flip_test": False, "k": 1}, "neck": None, "new": {"deep": 3}},
        "pipe": ["x", {"t": 9}],
        "size": (7, 2),
    }
    original = config.load(path)
    again = copy.deepcopy(original)
    replaced = config.apply_options(original, {"model": {"_delete_": True, "type": "X"}, "model.neck": 1})
    assert replaced["model"] == {"type": "X", "neck": 1}
    assert original == again
    for options, reason in [
        ({"pipe.2.t": 1}, r"pipe\.2 does not exist: pipe has 2 elements"),
        ({"model.neck.type": 1}, r"model\.neck is a dict here and NoneType"),
        ({"pipe.first": 1}, "pipe is a dict here and list"),
    ]:
        with pytest.raises(ConfigError, match=reason):
            config.load(path, options=options)
    with pytest.raises(ArgumentError, match="contradicts"):
        config.load(path, options={"a": 1, "a.b": 2})


# -- the real ones


@pytest.mark.skipif("LIMNER_TEST_MIM" not in os.environ, reason="needs MMPose's wheels, unzipped: set LIMNER_TEST_MIM")
def test_every_config_of_mmpose_and_mmdet_loads() -> None:
    """Point LIMNER_TEST_MIM to a folder with the wheels of mmpose, mmdet and mmpretrain, unzipped."""
    folder = Path(os.environ["LIMNER_TEST_MIM"])
    files = [f for part in ("configs", "demo/mm*_cfg") for f in folder.glob(f"mm*/.mim/{part}/**/*.py")]
    files = [f for f in files if f.relative_to(folder).parts[0] in ("mmpose", "mmdet")]
    assert len(files) > 1000
    failed = {}
    for file in files:
        try:
            assert only_plain(config.load(file))
        except ConfigError as error:
            failed[file.relative_to(folder).as_posix()] = str(error)
    # the few whose base does not exist in the wheel itself, which fail everywhere
    assert all("does not exist" in reason for reason in failed.values()), failed
    assert len(failed) <= 4, failed
