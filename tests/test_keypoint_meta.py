"""What the keypoints of a model are: the checkpoint says it, then the config, then the class of its data set."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner import build, config, keypoints, visualize, zoo
from limner.errors import ArgumentError, CheckpointError, ConfigError
from limner.keypoints import KeypointSet
from limner.loading import keypoint_sets, load, load_config, open_pose_estimator
from limner.mmpose import functions
from limner.pipeline import PoseEstimator

LONG = bool(os.environ.get("LIMNER_LONG"))
POSE_MODELS = [model for model in zoo.models() if model.kind == "pose"]
# name of the set -> K, a digest of names and mirror pairs: facts of MMPose's configs/_base_/datasets
FACTS = {
    "mpii-16": ("right_ankle", "left_wrist", [5, 4, 3, 2, 1, 0, 6, 7, 8, 9, 15, 14, 13, 12, 11, 10]),
    "crowdpose-14": ("left_shoulder", "neck", [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 12, 13]),
    "aic-14": ("right_shoulder", "neck", [3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8, 12, 13]),
    "exlpose-14": ("left_shoulder", "neck", [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 12, 13]),
    "posetrack18-17": ("nose", "right_ankle", [0, 1, 2, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]),
    "rhd2d-21": ("wrist", "pinky_finger1", list(range(21))),
    "jhmdb-15": ("neck", "left_ankle", [0, 1, 2, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13]),
}
COCO_PAIRS = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]

MODEL = """
model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(type='ResNet', depth=18),
    head=dict(
        type='HeatmapHead', in_channels=512, out_channels={count}, deconv_out_channels=(16, 16, 16),
        decoder=dict(type='MSRAHeatmap', input_size=(64, 64), heatmap_size=(16, 16), sigma=2)),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False{more}))
val_pipeline = [dict(type='GetBBoxCenterScale'), dict(type='TopdownAffine', input_size=(64, 64))]
"""
LOADER = "\n{loader} = dict(dataset=dict(type='{kind}', pipeline=val_pipeline, {meta}))\n"

Write = Callable[..., Path]


def info(count: int, *, pairs: bool = False, name: str = "mine") -> dict[str, Any]:
    """A data set of a user's own: points p0, p1, ... in a chain, all mirror partners of themselves or of neighbours."""
    partner = {i: i ^ 1 for i in range(count - count % 2)} if pairs else {}
    return {
        "dataset_name": name,
        "keypoint_info": {
            i: {"name": f"p{i}", "id": i, "color": [i, 2, 3], "swap": f"p{partner[i]}" if i in partner else ""}
            for i in range(count)
        },
        "skeleton_info": {i: {"link": (f"p{i}", f"p{i + 1}"), "id": i, "color": [9, 9, 9]} for i in range(count - 1)},
        "joint_weights": [1.0] * count,
        "sigmas": [0.05] * count,
    }


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LIMNER_CONFIG_PATH", raising=False)
    project = tmp_path / "project"

    def to(name: str, text: str) -> Path:
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return to


def text_of(
    count: int, meta: str = "", *, kind: str = "CocoDataset", loader: str = "test_dataloader", more: str = ""
) -> str:
    return MODEL.format(count=count, more=more) + LOADER.format(loader=loader, kind=kind, meta=meta)


def points_of(path: Path | str, meta: dict[str, Any] | None = None) -> KeypointSet:
    cfg = load_config(path, None)
    return keypoint_sets.of_model(meta or {}, cfg, build.pose_spec(cfg))


# -- a file that the config names


@pytest.mark.parametrize("name", ["mydata/coco.py", "my_data/_base_/datasets/coco.py", "coco.py"])
def test_a_file_of_ones_own_counts_whatever_it_is_called(name: str, write: Write, tmp_path: Path) -> None:
    write(name, f"dataset_info = {info(17, name='coco')}")
    found = points_of(write("configs/a/b/model.py", text_of(17, f"metainfo=dict(from_file='{name}')")))
    assert found.names == tuple(f"p{i}" for i in range(17))
    assert found.flip_indices.tolist() == list(range(17))
    assert found.name == "custom-coco-17"  # not the name of limner's own set, whose points are others


def test_a_file_of_the_working_folder_comes_first(
    write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here = tmp_path / "here"
    (here / "mydata").mkdir(parents=True)
    (here / "mydata" / "coco.py").write_text(f"dataset_info = {info(17, pairs=True)}")
    write("mydata/coco.py", f"dataset_info = {info(17)}")
    path = write("model.py", text_of(17, "metainfo=dict(from_file='mydata/coco.py')"))
    assert points_of(path).flip_indices.tolist() == list(range(17))
    monkeypatch.chdir(here)
    assert points_of(path).flip_indices.tolist() == [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14, 16]


@pytest.mark.parametrize(
    "file",
    [
        "configs/_base_/datasets/coco.py",
        "/home/somebody/mmpose/configs/_base_/datasets/coco.py",  # as a dump of a training elsewhere has it
        "C:\\\\mmpose\\\\configs\\\\_base_\\\\datasets\\\\coco.py",
        "mmpose::_base_/datasets/coco.py",
    ],
)
def test_the_files_of_mmpose_need_not_be_there(file: str, write: Write) -> None:
    found = points_of(write("model.py", text_of(17, f"metainfo=dict(from_file='{file}')")))
    assert found is keypoints.load("coco-17")


def test_a_missing_file_of_ones_own_is_not_taken_for_mmposes(write: Write) -> None:
    path = write("model.py", text_of(17, "metainfo=dict(from_file='mydata/coco.py')"))
    with pytest.raises(ConfigError, match=r"'mydata/coco\.py', which lies neither here nor beside the config"):
        points_of(path)


def test_a_clones_edited_file_counts_for_the_class_of_the_data_set(write: Write) -> None:
    write("configs/_base_/datasets/coco.py", f"dataset_info = {info(17)}")
    found = points_of(write("configs/body/model.py", text_of(17)))
    assert found.names[0] == "p0"


def test_a_file_with_four_points(write: Write) -> None:
    write("configs/my_info.py", f"dataset_info = {info(4, pairs=True)}")
    found = points_of(write("configs/model.py", text_of(4, "metainfo=dict(from_file='configs/my_info.py')")))
    assert (found.name, found.names, found.flip_indices.tolist()) == ("mine-4", ("p0", "p1", "p2", "p3"), [1, 0, 3, 2])


def test_a_file_in_json(write: Write) -> None:
    write("mine.json", json.dumps({"dataset_info": info(4, pairs=True)}))
    found = points_of(write("model.py", text_of(4, "metainfo=dict(from_file='mine.json')")))
    assert found.flip_indices.tolist() == [1, 0, 3, 2]


def test_a_file_without_keypoints_is_named(write: Write) -> None:
    write("mine.py", "classes = ['person']")
    with pytest.raises(ConfigError, match=r"mine\.py' describes no keypoints"):
        points_of(write("model.py", text_of(4, "metainfo=dict(from_file='mine.py')")))


# -- a description inside the config


@pytest.mark.parametrize("loader", ["test_dataloader", "val_dataloader", "train_dataloader"])
@pytest.mark.parametrize("form", ["dict", "dumped", "parsed"])
def test_a_description_in_any_loader_in_any_form(loader: str, form: str, write: Write) -> None:
    own = info(4, pairs=True)
    if form == "dict":
        meta = f"metainfo={own}"
    elif form == "dumped":  # as MMEngine writes a dict whose keys are numbers
        points, links = (f"dict({{{', '.join(f'{k}: dict(**{v})' for k, v in own[part].items())}}})"
                         for part in ("keypoint_info", "skeleton_info"))  # fmt: skip
        meta = (
            f"metainfo=dict(dataset_name='mine', keypoint_info={points}, skeleton_info={links}, "
            "joint_weights=[1.0] * 4, sigmas=[0.05] * 4)"
        )
    else:
        parsed = {
            "dataset_name": "mine",
            "keypoint_id2name": {str(i): f"p{i}" for i in range(4)},
            "keypoint_colors": [[i, 2, 3] for i in range(4)],
            "skeleton_links": [[0, 1], [1, 2], [2, 3]],
            "skeleton_link_colors": [[9, 9, 9]] * 3,
            "flip_indices": [1, 0, 3, 2],
            "sigmas": [0.05] * 4,
        }
        meta = f"metainfo={parsed}"
    text = text_of(4, meta, loader=loader)
    if loader == "train_dataloader":
        text += LOADER.format(loader="test_dataloader", kind="CocoDataset", meta="")
    found = points_of(write("model.py", text))
    assert found.name == "mine-4"
    assert found.names == ("p0", "p1", "p2", "p3")
    assert found.flip_indices.tolist() == [1, 0, 3, 2]
    assert found.skeleton.tolist() == [[0, 1], [1, 2], [2, 3]]
    assert found.keypoint_colors[3].tolist() == [3, 2, 3]


def test_colours_that_are_left_out_are_mmposes(write: Write) -> None:
    own = info(2)
    for row in (*own["keypoint_info"].values(), *own["skeleton_info"].values()):
        del row["color"]
    found = points_of(write("model.py", text_of(2, f"metainfo={own}")))
    assert found.keypoint_colors.tolist() == [[255, 128, 0]] * 2
    assert found.link_colors.tolist() == [[96, 96, 255]]


def test_a_description_inside_what_wraps_and_joins(write: Write) -> None:
    text = MODEL.format(count=4, more="") + (
        "test_dataloader = dict(dataset=dict(type='RepeatDataset', times=1, dataset=dict(type='CombinedDataset', "
        f"metainfo={info(4)}, pipeline=val_pipeline, datasets=[dict(type='CocoDataset', metainfo={info(17)})])))"
    )
    assert points_of(write("model.py", text)).names == ("p0", "p1", "p2", "p3")


# -- the order of truth, and contradictions


def test_the_checkpoint_comes_before_the_config(write: Write) -> None:
    path = write("model.py", text_of(17, f"metainfo={info(17)}"))
    coco = keypoints.load("coco-17")
    meta = {
        "dataset_name": "coco",
        "keypoint_id2name": dict(enumerate(coco.names)),
        "keypoint_colors": coco.keypoint_colors,
        "skeleton_links": coco.skeleton,
        "skeleton_link_colors": coco.link_colors,
        "flip_indices": coco.flip_indices,
    }
    assert points_of(path, meta).flip_indices.tolist() == COCO_PAIRS
    assert points_of(path, {"classes": ["person"]}).names[0] == "p0"
    assert points_of(path, {"dataset_name": "coco"}).names[0] == "p0"  # a name alone says less than a description
    nothing = write("b.py", text_of(17, kind="MyDataset"))
    assert points_of(nothing, {"dataset_name": "coco"}) is coco


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            text_of(17, f"metainfo={info(4)}"),
            r"17 keypoints, and test_dataloader.* describes 4 \('mine-4'\)",
        ),
        (text_of(4), r"4 keypoints, and its data set CocoDataset has 17 \('coco-17'\)"),
        (text_of(4, kind="MyDataset"), "says what the keypoints are"),
    ],
)
def test_a_contradiction_of_counts_is_an_error(text: str, words: str, write: Write) -> None:
    with pytest.raises(ConfigError, match=words):
        points_of(write("model.py", text))


def test_a_checkpoint_of_another_count_is_an_error(write: Write) -> None:
    with pytest.raises(CheckpointError, match=r"17 keypoints, and the dataset_meta of the checkpoint describes 4"):
        points_of(write("model.py", text_of(17)), info(4))


def test_of_several_loaders_the_first_that_fits_counts(write: Write) -> None:
    text = text_of(17, f"metainfo={info(4)}") + LOADER.format(
        loader="train_dataloader", kind="CocoDataset", meta=f"metainfo={info(17)}"
    )
    assert points_of(write("model.py", text)).names[16] == "p16"


def test_outputs_that_are_left_out_have_no_names(write: Write) -> None:
    text = text_of(
        19,
        "metainfo=dict(from_file='configs/_base_/datasets/coco_aic.py')",
        more=", output_keypoint_indices=[16, 15, 0]",
    )
    found = points_of(write("model.py", text))
    assert found.names == ("right_ankle", "left_ankle", "nose")
    assert found.flip_indices.tolist() == [1, 0, 2]
    spec = build.pose_spec(load_config(write("model.py", text), None))
    order = spec.flip_order(found.flip_indices.tolist())
    assert (order[16], order[15], order[0], len(order)) == (15, 16, 0, 19)


class Echo:
    """A network whose heatmaps peak where the left half of the image is brighter: mirrored, they differ."""

    device = "cpu"

    def __init__(self, count: int) -> None:
        self.count = count

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        maps = np.zeros((len(batch), self.count, 16, 16), np.float32)
        for n, image in enumerate(batch):
            left = image[:, :32].mean() > image[:, 32:].mean()
            for k in range(self.count):
                maps[n, k, 4, (2 if k % 2 == 0 else 12) if left else (12 if k % 2 == 0 else 3)] = 1
        return [maps]

    def close(self) -> None:
        pass


def test_the_flip_test_takes_the_mirror_pairs_of_the_users_file(write: Write) -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, :32] = 255

    def points(pairs: bool) -> np.ndarray:
        path = write("model.py", text_of(4, f"metainfo={info(4, pairs=pairs)}"))
        cfg = load_config(path, None)
        estimator = PoseEstimator(Echo(4), build.pose_spec(cfg), points_of(path))  # type: ignore[arg-type]
        return estimator(image, np.array([[0, 0, 63, 63]], np.float32)).keypoints[0]

    assert np.abs(points(True) - points(False)).max() > 5


def test_a_model_with_more_outputs_than_points_takes_its_flip_test() -> None:
    cfg = load_config(zoo.get("td-hm_hrnet-w32_8xb64-210e_coco-aic-256x192-combine").config, None)
    spec = build.pose_spec(cfg)
    found = keypoint_sets.of_config(cfg, spec)
    assert (spec.outputs, spec.keypoints, found.name) == (19, 17, "coco-17")
    assert spec.flip_order(found.flip_indices.tolist()) == [*COCO_PAIRS, 17, 18]


# -- what a user names


def test_keypoints_and_metainfo_take_the_file_not_its_name(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("mydata/coco.py", f"dataset_info = {info(17)}")
    assert keypoint_sets.named(str(path)).names[0] == "p0"
    monkeypatch.chdir(path.parent)
    assert keypoint_sets.named("coco.py").names[0] == "p0"
    image = np.zeros((64, 64, 3), np.uint8)
    points = np.full((1, 17, 2), [10.0, 10.0])
    points[0, 1] = (50, 50)  # the own file links p0 to p1, COCO links the nose to the left eye
    points[0, 2] = (10, 50)
    drawn = visualize(image, points, metainfo=str(path))
    assert (drawn != visualize(image, points, metainfo="coco")).any()
    assert (drawn == visualize(image, points, metainfo=path)).all()
    assert (drawn == visualize(image, points, metainfo={"from_file": str(path)})).all()
    assert (drawn == visualize(image, points, metainfo=info(17))).all()
    with pytest.raises(ConfigError, match="there is no config"):
        visualize(image, points, metainfo="nowhere/coco.py")


@pytest.mark.parametrize("name", ["mydata/coco.py", "other/datasets/coco.py"])
def test_a_path_outside_mmposes_folder_is_not_judged_by_its_last_part(name: str) -> None:
    with pytest.raises(ArgumentError, match="no keypoint set for MMPose's data set"):
        keypoints.by_mmpose_name(name)


def test_two_keypoints_of_one_name_are_refused() -> None:
    own = info(3)
    own["keypoint_info"][2]["name"] = "p1"
    with pytest.raises(ArgumentError, match="two keypoints have one name"):
        keypoints.from_dataset_meta(own)
    own = info(3)
    own["keypoint_info"][1]["swap"] = "p9"
    with pytest.raises(ArgumentError, match="the swap of 'p1' names 'p9', which is none of its keypoints"):
        keypoints.from_dataset_meta(own)
    own = info(3)
    own["skeleton_info"][0]["link"] = ("p0", "p8")
    with pytest.raises(ArgumentError, match="a link names 'p8'"):
        keypoints.from_dataset_meta(own)
    own = info(3)
    own["keypoint_info"][5] = own["keypoint_info"].pop(1)
    with pytest.raises(ArgumentError, match="there is no 1"):
        keypoints.from_dataset_meta(own)


# -- the zoo


@pytest.mark.parametrize("name", FACTS)
def test_the_sets_of_the_zoo_have_mmposes_facts(name: str) -> None:
    found = keypoints.load(name)
    first, last, pairs = FACTS[name]
    assert (found.names[0], found.names[-1]) == (first, last)
    assert found.flip_indices.tolist() == pairs


def test_every_model_of_the_zoo_says_its_keypoints_without_its_checkpoint() -> None:
    """All listed pose models, as their weights of 2020 to 2022 are: without a dataset_meta."""
    seen = set()
    for model in POSE_MODELS:
        cfg = load_config(model.config, None)
        found = keypoint_sets.of_model({}, cfg, build.pose_spec(cfg))
        assert found.name == model.keypoints, model.name
        assert found is keypoints.load(found.name), model.name
        seen.add(found.name)
    assert len(POSE_MODELS) >= 149
    assert {"mpii-16", "crowdpose-14", "aic-14", "exlpose-14", "posetrack18-17", "rhd2d-21"} <= seen


def test_the_class_of_the_data_set_says_the_same_as_the_file() -> None:
    """MMPose's own configs name only ``type='MpiiDataset'``."""
    for model in POSE_MODELS:
        if model.keypoints == "halpe-26":
            continue  # MMPose has no class for it
        cfg = copy.deepcopy(load_config(model.config, None))
        for loader in ("test_dataloader", "val_dataloader", "train_dataloader"):
            cfg.get(loader, {}).get("dataset", {}).pop("metainfo", None)
        assert build.dataset_type(cfg) is not None, model.config
        assert keypoint_sets.of_config(cfg, build.pose_spec(cfg)).name == model.keypoints


SPREAD = (
    "td-hm_hrnet-w32_8xb64-210e_mpii-256x256",
    "td-hm_hrnet-w32_8xb64-210e_crowdpose-256x192",
    "td-hm_hrnet-w32_8xb64-20e_posetrack18-256x192",
    "td-hm_hrnet-w32_8xb64-210e_coco-aic-256x192-combine",
    "td-reg_res50_8xb64-210e_rhd2d-256x256",
    "td-hm_hrnet-w32_8xb64-210e_aic-256x192",
)


@pytest.mark.parametrize("name", [m.name for m in POSE_MODELS if not m.bundled] if LONG else SPREAD)
def test_a_model_opens_by_name_with_weights_of_its_year(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    model = zoo.get(name)
    cfg = load_config(model.config, None)
    torch.manual_seed(0)
    weights = build.network(cfg["model"]).state_dict()
    file = tmp_path / "drawn.pth"
    torch.save({"meta": {"mmcls_version": "0.24", "epoch": 210}, "state_dict": weights}, file)
    try:
        pipeline = load(model.name, weights=str(file), det="none", backend="torch", device="cpu")
        image = np.random.default_rng(0).integers(0, 255, (120, 90, 3), np.uint8)
        poses = pipeline.pose(image, np.array([[5, 5, 80, 110]], np.float32))
    finally:
        file.unlink()
    assert pipeline.keypoint_set is keypoints.load(model.keypoints)
    assert poses.keypoints.shape == (1, len(pipeline.keypoint_set), 2)


DETECTORS = [m.name for m in zoo.models() if m.kind == "detector" and not m.bundled]


@pytest.mark.parametrize("name", DETECTORS if LONG else ["rtmdet_nano_320-8xb32_hand", "yolox-s_8xb8-300e_coco-face"])
def test_a_detector_opens_by_name_with_weights_of_its_year(name: str, write: Write, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
    torch.manual_seed(0)

    def drawn(config_: str | Path, file: Path) -> str:
        weights = build.network(load_config(config_, None)["model"]).state_dict()
        torch.save({"meta": {"epoch": 300}, "state_dict": weights}, file)
        return str(file)

    pose = write("pose.py", text_of(17))
    pipeline = load(
        pose,
        weights=drawn(pose, tmp_path / "pose.pth"),
        det=name,
        det_weights=drawn(zoo.get(name).config, tmp_path / "detector.pth"),
        backend="torch",
        device="cpu",
    )
    boxes = pipeline.detector(np.random.default_rng(0).integers(0, 255, (120, 90, 3), np.uint8))
    assert boxes.xyxy.shape == (len(boxes.scores), 4)
    assert set(boxes.labels.tolist()) <= {0}  # what the pose model is for, though most know the 80 classes of COCO


# -- bases that are missing, clones, and attributes


@pytest.mark.parametrize(
    "base",
    [
        "mmpose::_base_/default_runtime.py",
        "../../../_base_/default_runtime.py",
        "mmdet::_base_/schedules/schedule_1x.py",
    ],
)
def test_a_base_that_inference_does_not_need_may_be_missing(base: str, write: Write) -> None:
    text = (
        f"_base_ = ['{base}']\n" + text_of(17) + "default_hooks = dict(checkpoint=dict(save_best='coco/AP'))\n"
        "train_cfg = dict(max_epochs=1)\n"
    )
    assert points_of(write("model.py", text)).name == "coco-17"
    with pytest.raises(ConfigError, match="does not exist"):
        config.load(write("b.py", "_base_ = ['../models/x.py']"))


def test_a_new_style_base_of_a_package_that_is_not_there(write: Write) -> None:
    text = (
        "with read_base():\n    from mmpose.configs._base_.default_runtime import *\n"
        "default_hooks.update(checkpoint=dict(interval=1))\ntrain_cfg.update(max_epochs=3)\n" + text_of(17)
    )
    cfg = load_config(write("model.py", text), None)
    assert cfg.default_hooks.checkpoint.interval == 1
    with pytest.raises(ConfigError, match="was not found"):
        config.load(write("b.py", text.replace("default_runtime", "models")))


def test_new_style_configs_in_a_clone_find_their_neighbours(write: Write) -> None:
    write("mmpose/__init__.py", "")
    write("mmpose/configs/_base_/parts.py", MODEL.format(count=17, more=""))
    text = "with read_base():\n    from mmpose.configs._base_.parts import *\n" + LOADER.format(
        loader="test_dataloader", kind="CocoDataset", meta=""
    )
    new = write("mmpose/configs/body/a/model.py", text)
    assert points_of(new).name == "coco-17"
    write("configs/_base_/parts.py", MODEL.format(count=16, more=""))
    old = write(
        "projects/mine/model.py",
        "_base_ = 'mmpose::_base_/parts.py'\n"
        + LOADER.format(loader="test_dataloader", kind="MpiiDataset", meta="").replace(
            "val_pipeline", "{{_base_.val_pipeline}}"
        ),
    )
    assert points_of(old).name == "mpii-16"


def test_a_config_has_attributes(write: Write, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
    path = write("model.py", text_of(17))
    model = functions.init_model(str(path), None)
    assert model.cfg.model.backbone.depth == 18
    assert model.cfg["model"]["backbone"]["depth"] == 18
    assert model.cfg.val_pipeline[1].input_size == (64, 64)
    assert model.cfg.filename == str(path)
    assert model.cfg.get("nothing") is None
    with pytest.raises(AttributeError, match="'backbon'"):
        _ = model.cfg.model.backbon
    model.cfg.model.test_cfg.flip_test = False
    again = functions.init_model(model.cfg, None)
    assert again.estimator.spec.flip is None
    for twin in (copy.deepcopy(model.cfg), pickle.loads(pickle.dumps(model.cfg))):
        assert twin == model.cfg
        assert twin.model.backbone.depth == 18
        assert twin.filename == str(path)


def test_the_file_is_found_beside_a_config_that_was_loaded_before(write: Write) -> None:
    torch = pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
    write("mydata/coco.py", f"dataset_info = {info(17)}")
    path = write("configs/a/model.py", text_of(17, "metainfo=dict(from_file='mydata/coco.py')"))
    cfg = load_config(path, None)
    file = path.with_suffix(".pth")
    torch.save({"state_dict": build.network(cfg["model"]).state_dict()}, file)
    assert open_pose_estimator(cfg, file).keypoint_set.names[0] == "p0"
    opened = functions.init_model(str(path), str(file))
    assert opened.dataset_meta["flip_indices"] == list(range(17))
    assert opened.dataset_meta["keypoint_id2name"][16] == "p16"
    assert hashlib.sha256(file.read_bytes()).hexdigest()  # the checkpoint is left as it was
