"""A user names a config of MMPose's documentation, and limner's own copy says the same as MMPose's."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from beside import family
from limner import config, keypoints
from limner.config.paths import OWN
from limner.errors import ArgumentError

MIM = os.environ.get("LIMNER_TEST_MIM", "")
WHEELS = "needs MMPose's configs: unzip the wheels mmpose 1.3.2 and mmdet 3.3.0, set LIMNER_TEST_MIM to their folder"
ALL = sorted(p.relative_to(OWN).as_posix() for p in OWN.rglob("*.py"))
POSE = [p for p in ALL if p.startswith("configs/") and "/_base_/" not in p]
DETECTORS = [p for p in ALL if p.startswith(("demo/", "mmdet/", "projects/rtmpose/rtmdet/"))]
BODIES = [p for p in ALL if p.startswith("projects/rtmpose/rtmpose/")]
DATA_SETS = [p for p in ALL if p.startswith("configs/_base_/datasets/")]
COMMANDS = [  # what the commands of MMPose's documentation name
    "demo/mmdetection_cfg/yolox-s_8xb8-300e_coco-face.py",
    "configs/face_2d_keypoint/rtmpose/face6/rtmpose-m_8xb256-120e_face6-256x256.py",
    "configs/face_2d_keypoint/topdown_heatmap/aflw/td-hm_hrnetv2-w18_8xb64-60e_aflw-256x256.py",
    "projects/rtmpose/rtmdet/person/rtmdet_nano_320-8xb32_coco-person.py",
    "projects/rtmpose/rtmpose/body_2d_keypoint/rtmpose-m_8xb256-420e_coco-256x192.py",
]
TRAINING = (
    *("init_cfg", "loss", "loss_cls", "loss_bbox", "loss_obj", "loss_l1", "train_cfg", "frozen_stages"),
    *("drop_path_rate", "batch_augments", "backend_args", "inplace", "metainfo", "_scope_"),
)


def in_wheels(paths: list[str]) -> list[Any]:
    """Return the paths that the wheels hold: no projects/, whose files inherit one that is compared."""
    return family((path for path in paths if not path.startswith("projects/")), there=bool(MIM), needs=WHEELS)


def facts(value: Any) -> Any:
    """Reduce part of a config to what inference uses, in one spelling."""
    if isinstance(value, dict):
        kept = {k: facts(v) for k, v in value.items() if k not in TRAINING}
        if kept.pop("output_cls_token", None) is False:  # what mmpretrain calls it since 1.0
            kept["out_type"] = "featmap"
        if kept.get("type") == "CSPNeXt":
            kept.setdefault("out_indices", [2, 3, 4])  # what it is where a config leaves it out
        return kept
    if isinstance(value, (list, tuple)):
        return [facts(v) for v in value]
    if isinstance(value, str):
        return {"SyncBN": "BN"}.get(value, value.replace("mmcls.", "mmpretrain."))
    return value


def pipeline(cfg: dict[str, Any]) -> Any:
    steps = cfg["test_dataloader"]["dataset"]["pipeline"]
    return facts([step for step in steps if step["type"] != "LoadAnnotations"])


def info_file(cfg: dict[str, Any], loader: str) -> str:
    """Name the file that describes the keypoints of a config of MMPose, as MMPose finds it."""
    data_set = cfg[loader]["dataset"]
    if "metainfo" in data_set:
        return data_set["metainfo"]["from_file"]
    for source in (Path(MIM) / "mmpose" / "datasets" / "datasets").rglob("*.py"):
        found = re.search(
            rf"class {data_set['type']}\(.*?METAINFO: dict = dict\(\s*from_file='([^']+)'",
            source.read_text(),
            re.DOTALL,
        )
        if found:
            return found[1]
    raise AssertionError(f"no metainfo of {data_set['type']}")


@pytest.mark.parametrize("path", ALL)
def test_every_own_config_is_evaluated(path: str) -> None:
    cfg = config.load(OWN / path)
    if path in DETECTORS + POSE:
        assert {"model", "test_dataloader"} <= cfg.keys()
        assert not {"train_pipeline", "optim_wrapper", "param_scheduler"} & cfg.keys()


@pytest.mark.parametrize("path", COMMANDS)
def test_a_path_of_the_documentation_works_from_any_folder(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert config.load(path)["model"]["data_preprocessor"]


@pytest.mark.parametrize("path", [*POSE, *BODIES])
def test_decoder_crop_and_head_of_a_pose_config_agree(path: str) -> None:
    cfg = config.load(OWN / path)
    model, crop = cfg["model"], [s for s in pipeline(cfg) if s["type"] == "TopdownAffine"]
    assert model["head"]["decoder"] == cfg["codec"]
    assert crop[0]["input_size"] == list(cfg["codec"]["input_size"])
    if "input_size" in model["head"]:
        width, height = model["head"]["input_size"]
        assert model["head"]["in_featuremap_size"] == (width // 32, height // 32)


@pytest.mark.parametrize("path", [*POSE, *BODIES])
def test_a_pose_config_says_what_its_keypoints_are(path: str) -> None:
    cfg = config.load(OWN / path)
    named = cfg["test_dataloader"]["dataset"]["metainfo"]["from_file"]
    try:
        points = keypoints.by_mmpose_name(named)
    except ArgumentError:
        points = keypoints.from_dataset_meta(config.load(named)["dataset_info"])
    head = cfg["model"]["head"]
    outputs = head.get("num_joints", head.get("out_channels"))
    outputs = len(cfg["model"]["test_cfg"].get("output_keypoint_indices", range(outputs)))
    assert outputs == len(points) * (3 if cfg["codec"].get("heatmap_type") == "combined" else 1)


@pytest.mark.parametrize("path", in_wheels([*POSE, *DETECTORS]))
def test_own_config_equals_that_of_the_wheels(path: str) -> None:
    package, _, relative = path.partition("/") if path.startswith("mmdet/") else ("mmpose", "", path)
    folder = Path(MIM) / package / ".mim"
    theirs = config.load(folder / "configs" / relative if package == "mmdet" else folder / relative)
    ours = config.load(OWN / path)
    assert facts(ours["model"]) == facts(theirs["model"])
    assert pipeline(ours) == pipeline(theirs)
    if path in POSE:
        assert facts(ours["codec"]) == facts(theirs["codec"])
        loader = "test" if "output_keypoint_indices" in ours["model"]["test_cfg"] else "train"
        assert info_file(ours, "test_dataloader") == info_file(theirs, f"{loader}_dataloader")


@pytest.mark.parametrize("path", in_wheels(DATA_SETS))
def test_own_data_set_equals_that_of_the_wheels(path: str) -> None:
    ours, theirs = (
        keypoints.from_dataset_meta(config.load(root / path)["dataset_info"])
        for root in (OWN, Path(MIM) / "mmpose" / ".mim")
    )
    assert (ours.name, ours.names) == (theirs.name, theirs.names)
    for fact in ("skeleton", "link_colors", "keypoint_colors", "sigmas", "flip_indices"):
        assert getattr(ours, fact).tolist() == getattr(theirs, fact).tolist()


@pytest.mark.parametrize("path", in_wheels([p for p in DETECTORS if p.startswith("demo/")]))
def test_detector_config_of_a_users_checkout_finds_the_base_in_limner(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MMPose's file names ``mmdet::rtmdet/...``; with no mmdet anywhere that is limner's own."""
    monkeypatch.delenv("LIMNER_CONFIG_PATH", raising=False)
    text = (Path(MIM) / "mmpose" / ".mim" / path).read_text(encoding="utf-8")
    theirs = tmp_path / "checkout" / Path(path).name
    theirs.parent.mkdir()
    theirs.write_text(text, encoding="utf-8")
    cfg = config.load(theirs)
    assert facts(cfg["model"]) == facts(config.load(OWN / path)["model"])
    assert pipeline(cfg) == pipeline(config.load(OWN / path))
