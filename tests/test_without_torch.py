"""MMPose's commands and classes on a machine without torch, and what they are told that is wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner import MMPoseInferencer, zoo
from limner.errors import ArgumentError, DownloadError, InputError, LimnerError, MissingExtraError, one_line
from limner.mmpose.functions import inference_topdown, init_model

networks = pytest.importorskip("networks", reason="needs onnx: pip install -e .[test]")

CONFIG = "rtmpose-m_8xb256-420e_body8-256x192.py"


@pytest.fixture(autouse=True)
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is fetched, of which nothing comes; torch cannot be imported."""
    asked: list[str] = []

    def fetch(url: str, **_: Any) -> Path:
        asked.append(url)
        raise DownloadError("there is no network")

    monkeypatch.setattr("limner.zoo.download.fetch", fetch)
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setitem(sys.modules, "torch", None)
    return asked


def test_the_published_onnx_takes_the_place_of_a_checkpoint(asked: list[str], caplog: pytest.LogCaptureFixture) -> None:
    human = zoo.get("human")
    for arguments in ({}, {"backend": "auto"}, {"pose2d_weights": human.weights}):
        with pytest.raises(DownloadError):
            MMPoseInferencer("human", **arguments)
    with pytest.raises(DownloadError):
        init_model(CONFIG, human.weights)
    assert asked == [human.onnx] * 4
    assert "without torch, the published ONNX file of human takes the place of its .pth" in caplog.text


def test_faces_take_the_bundled_detector(asked: list[str], caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(DownloadError):
        MMPoseInferencer("face")
    assert asked == [zoo.get("face").onnx]
    assert "face-lite-detector takes the place" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"pose2d": "hunam"}, "there is no model 'hunam'"),
        ({"pose2d": "nope.py", "pose2d_weights": "x.pth"}, "there is no config"),
        ({"pose2d": "nope.onnx"}, "there is no file"),
        ({"pose2d": "human", "det_model": "nope"}, "there is no model 'nope'"),
        ({"pose2d": "wholebody"}, r"published as \.pth only.*or use 'dwpose-m'"),
        ({"pose2d": "human", "backend": "torch"}, "The backend torch needs.*or leave the backend out"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_before_anything_is_fetched(
    arguments: dict[str, Any], said: str, asked: list[str]
) -> None:
    with pytest.raises(LimnerError, match=said):
        MMPoseInferencer(**arguments)
    assert not asked


def test_a_checkpoint_of_ones_own_needs_torch(tmp_path: Path) -> None:
    (tmp_path / "own.pth").write_bytes(b"x")
    with pytest.raises(MissingExtraError, match=r"'own\.pth' needs .*torch.*give it as \.onnx"):
        init_model(CONFIG, tmp_path / "own.pth")


def test_a_config_may_be_given_by_its_name(tmp_path: Path) -> None:
    file = networks.simcc(tmp_path / "own.onnx")
    for weights in (file, str(file)):
        model = init_model(CONFIG, weights)
        assert model.cfg.model.head.type == "RTMCCHead"
        (sample,) = inference_topdown(model, np.zeros((40, 30, 3), np.uint8))
        assert sample.pred_instances.keypoints.shape == (1, 17, 2)


# -- arguments and messages


def test_devices_and_folders_of_other_types_are_said(caplog: pytest.LogCaptureFixture) -> None:
    for device in (99, [1], True):
        with pytest.raises(LimnerError, match="device"):
            MMPoseInferencer("face-lite", device=device)
    with pytest.raises(ArgumentError, match="backend is 3"):
        MMPoseInferencer("face-lite", backend=3)
    faces = MMPoseInferencer("face-lite", device="cpu")
    for name in ("out_dir", "vis_out_dir", "pred_out_dir"):
        with pytest.raises(ArgumentError, match=f"{name} is 5 where the path of a folder is needed"):
            faces(np.zeros((8, 8, 3), np.uint8), **{name: 5})


def test_a_name_of_two_lines_is_printed_in_one() -> None:
    assert str(InputError("'a\nb\x1b[1m.jpg' is empty")) == "'a\\nb\\x1b[1m.jpg' is empty"
    assert one_line("caf\u00e9\u202f5.jpg \udce9") == "caf\u00e9\u202f5.jpg \\xe9"
