"""Own files of the wider family: ViTPose, MMPose 0.x, ONNX in place of a config, JSON, YAML, safetensors."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner import build, checkpoint, config, keypoints
from limner.errors import ArgumentError, CheckpointError, ConfigError
from limner.loading import load, load_config, open_pose_estimator
from limner.loading.keypoint_sets import of_config
from limner.mmpose import functions
from limner.mmpose.inferencer import MMPoseInferencer
from limner.mmpose.inferencer_arguments import bboxes_of_images
from limner.pipeline import PoseEstimator

networks = pytest.importorskip("networks", reason="needs onnx: pip install -e .[test]")

Write = Callable[..., Path]
BOXES = np.array([[10, 12, 120, 150], [40, 30, 90, 170]], np.float32)
SIZE = (96, 128)  # (width, height) of the networks here

OLD = """
_base_ = ['../../../../_base_/default_runtime.py', '../../../../_base_/datasets/coco.py']
evaluation = dict(interval=10, metric='mAP')
optimizer = dict(type='Adam', lr=5e-4)
log_config = dict(interval=50, hooks=[dict(type='TextLoggerHook')])
target_type = 'GaussianHeatmap'
channel_cfg = dict(num_output_channels=17, dataset_joints=17, dataset_channel=[list(range(17))])
model = dict(
    type='TopDown', pretrained=None, backbone={backbone},
    keypoint_head={head},
    train_cfg=dict(),
    test_cfg=dict(flip_test=True, post_process='{post}', shift_heatmap={shift}, target_type=target_type,
        modulate_kernel=11, use_udp={udp}))
data_cfg = dict(image_size=[96, 128], heatmap_size=[24, 32], num_joints=17, use_gt_bbox=False)
val_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TopDownAffine', use_udp={udp}),
    dict(type='ToTensor'),
    dict(type='NormalizeTensor', mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
    dict(type='Collect', keys=['img'], meta_keys=['image_file', 'center', 'scale'])]
data = dict(samples_per_gpu=64, test=dict(
    type='TopDownCocoDataset', img_prefix='val2017/', data_cfg=data_cfg, pipeline=val_pipeline,
    dataset_info={{{{_base_.dataset_info}}}}))
"""
VIT = "dict(type='ViT', img_size=(128, 96), patch_size=16, embed_dim=32, depth=2, num_heads=4, ratio=1, mlp_ratio=4, qkv_bias=True, use_checkpoint=False, drop_path_rate=0.3)"  # fmt: skip # noqa: E501
CLASSIC = "dict(type='TopdownHeatmapSimpleHead', in_channels=32, num_deconv_layers=2, num_deconv_filters=(8, 8), num_deconv_kernels=(4, 4), extra=dict(final_conv_kernel=1), out_channels=17, loss_keypoint=dict(type='JointsMSELoss'))"  # fmt: skip # noqa: E501
SIMPLE = "dict(type='TopdownHeatmapSimpleHead', in_channels=32, num_deconv_layers=0, num_deconv_filters=[], num_deconv_kernels=[], upsample=4, extra=dict(final_conv_kernel=3), out_channels=17)"  # fmt: skip # noqa: E501

NEW = """
codec = dict(type='UDPHeatmap', input_size=(96, 128), heatmap_size=(24, 32), sigma=2)
model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(
        type='mmpretrain.VisionTransformer', img_size=(128, 96), patch_size=16, qkv_bias=True,
        arch=dict(embed_dims=32, num_layers=2, num_heads=4, feedforward_channels=128),
        with_cls_token=False, out_type='featmap', patch_cfg=dict(padding=2)),
    {neck}
    head=dict(type='HeatmapHead', in_channels=32, out_channels=17, {head}, decoder=codec),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False))
val_pipeline = [
    dict(type='GetBBoxCenterScale'), dict(type='TopdownAffine', input_size=(96, 128), use_udp=True)]
test_dataloader = dict(dataset=dict(type='CocoDataset', pipeline=val_pipeline))
"""
NEW_HEADS = {
    "classic": ("", "deconv_out_channels=(8, 8), deconv_kernel_sizes=(4, 4)"),
    "simple": (
        "neck=dict(type='FeatureMapProcessor', scale_factor=4.0, apply_relu=True),",
        "deconv_out_channels=[], deconv_kernel_sizes=[], final_layer=dict(kernel_size=3, padding=1)",
    ),
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LIMNER_OFFLINE", "1")
    monkeypatch.delenv("LIMNER_CONFIG_PATH", raising=False)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return to


@pytest.fixture
def image() -> np.ndarray:
    y, x = np.mgrid[:200, :160] / 200
    return (np.stack([x, 1 - x * y, np.sin(9 * x + 5 * y) ** 2], -1) * 255).astype(np.uint8)


def drawn(cfg: Any) -> dict[str, Any]:
    """Return the weights of a config's network, drawn at random so that its outputs differ from place to place."""
    torch = pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
    torch.manual_seed(0)
    weights = build.network(cfg["model"]).state_dict()
    for value in weights.values():
        if value.dim() > 1:
            value.normal_(std=1.4 * value[0].numel() ** -0.5)
    return weights


def save(weights: dict[str, Any], path: Path, **meta: Any) -> Path:
    torch = pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
    torch.save({"state_dict": weights, **({"meta": meta} if meta else {})}, path)
    return path


def as_vitpose(weights: dict[str, Any]) -> dict[str, Any]:
    """Name weights as ViTPose's own repository does, with its position embedding that has a row for a class token."""
    import torch

    out = {}
    for key, value in weights.items():
        if key == "backbone.pos_embed":
            first = torch.full_like(value[:, :1], 0.25)
            out[key] = torch.cat([first, value - first], dim=1)
            continue
        key = key.replace("backbone.patch_embed.projection", "backbone.patch_embed.proj")
        key = key.replace("backbone.ln1", "backbone.last_norm").replace("backbone.layers", "backbone.blocks")
        key = key.replace(".ln1", ".norm1").replace(".ln2", ".norm2")
        key = key.replace("ffn.layers.0.0", "mlp.fc1").replace("ffn.layers.1", "mlp.fc2")
        out[key.replace("head.", "keypoint_head.") if key.startswith("head.") else key] = value
    return out


def points(estimator: PoseEstimator, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    poses = estimator(image, BOXES)
    return poses.keypoints, poses.scores


def same(found: tuple[np.ndarray, np.ndarray], expected: tuple[np.ndarray, np.ndarray]) -> bool:
    """Whether poses are the same up to rounding; of noise, codecs that divide by a curvature let a few points jump."""
    close = np.abs(found[0] - expected[0]).max(-1) < 0.02
    return bool(close.mean() > 0.9 and np.allclose(found[1], expected[1], atol=1e-4))


# -- ViTPose's own repository, MMPose 0.x


@pytest.mark.parametrize(("kind", "head"), [("classic", CLASSIC), ("simple", SIMPLE)])
@pytest.mark.parametrize("mixed", ["old config, old weights", "old config, new weights", "new config, old weights"])
def test_vitposes_own_files_give_the_same_numbers(
    kind: str, head: str, mixed: str, write: Write, image: np.ndarray, tmp_path: Path
) -> None:
    neck, new_head = NEW_HEADS[kind]
    new = write("new.py", NEW.format(neck=neck, head=new_head))
    old = write("old.py", OLD.format(backbone=VIT, head=head, post="default", shift=False, udp=True))
    weights = drawn(load_config(new, None))
    new_file, old_file = save(weights, tmp_path / "new.pth"), save(as_vitpose(weights), tmp_path / "old.pth")
    expected = points(open_pose_estimator(new, new_file), image)
    found = open_pose_estimator(
        old if mixed.startswith("old") else new, old_file if mixed.endswith("old weights") else new_file
    )
    assert found.keypoint_set is keypoints.load("coco-17")
    assert same(points(found, image), expected)
    assert np.ptp(expected[0][..., 0]) > 10  # they say something


@pytest.mark.parametrize(
    ("post", "udp", "shift", "codec"),
    [
        ("default", False, True, {"type": "MSRAHeatmap", "unbiased": False}),
        ("unbiased", False, True, {"type": "MSRAHeatmap", "unbiased": True}),
        ("default", True, False, {"type": "UDPHeatmap", "heatmap_type": "gaussian"}),
    ],
)
def test_a_config_of_mmpose_0(
    post: str, udp: bool, shift: bool, codec: dict[str, Any], write: Write, image: np.ndarray, tmp_path: Path
) -> None:
    backbone = "dict(type='ResNet', depth=18)"
    head = "dict(type='TopdownHeatmapSimpleHead', in_channels=512, out_channels=17, num_deconv_filters=(8, 8, 8), extra=dict(final_conv_kernel=1, num_conv_layers=1, num_conv_kernels=(1,)))"  # fmt: skip # noqa: E501
    path = write("old.py", OLD.format(backbone=backbone, head=head, post=post, shift=shift, udp=udp))
    cfg = load_config(path, None)
    spec = build.pose_spec(cfg)
    assert codec.items() <= dict(spec.codec).items()
    assert (spec.size, spec.udp, spec.padding, spec.keypoints) == (SIZE, udp, 1.25, 17)
    assert spec.normalisation.mean == pytest.approx((123.675, 116.28, 103.53))
    assert spec.normalisation.to_rgb
    assert spec.flip == build.FlipTest("heatmap", shift, False)
    weights = drawn(cfg)
    names = {"head.conv_layers.": "keypoint_head.final_layer.", "head.final_layer.": "keypoint_head.final_layer.3."}
    old = {}
    for key, value in weights.items():
        new = next((key.replace(a, b) for a, b in names.items() if key.startswith(a)), key)
        old[new.replace("head.", "keypoint_head.") if new.startswith("head.") else new] = value
    old_file = save(old, tmp_path / "old.pth", config=path.read_text().replace("../../../../", ""), CLASSES=["person"])
    expected = points(open_pose_estimator(path, save(weights, tmp_path / "new.pth")), image)
    assert same(points(open_pose_estimator(path, old_file), image), expected)
    alone = load(old_file, det="none", backend="torch", device="cpu")  # the config is written in the file
    assert same(points(alone.pose, image), expected)


def test_the_data_set_of_an_old_config_says_the_keypoints(write: Write) -> None:
    old = OLD.format(backbone=VIT, head=CLASSIC.replace("17", "16"), post="default", shift=False, udp=True)
    mpii = old.replace("datasets/coco.py", "datasets/mpii.py").replace("TopDownCocoDataset", "TopDownMpiiDataset")
    cfg = load_config(write("a/b/c/d/old.py", mpii), None)
    assert of_config(cfg, build.pose_spec(cfg)).name == "mpii-16"
    no_info = mpii.replace("dataset_info={{_base_.dataset_info}}", "").replace(
        ", '../../../../_base_/datasets/mpii.py'", ""
    )
    cfg = load_config(write("b.py", no_info), None)
    assert of_config(cfg, build.pose_spec(cfg)).name == "mpii-16"
    write(
        "_base_/datasets/mpii.py",
        "dataset_info = dict(dataset_name='own', keypoint_info={0: dict(name='a')}, skeleton_info={})",
    )
    one = load_config(write("w/x/y/z/old.py", mpii.replace("out_channels=16", "out_channels=1")), None)
    assert of_config(one, build.pose_spec(one)).names == ("a",)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"head": "dict(type='TopdownHeatmapMSMUHead', out_shape=(64, 48))"},
            "MMPose 0.x whose keypoint_head is .*1.x",
        ),
        ({"post": "megvii"}, "MMPose 0.x with post_process='megvii'.*1.x"),
        ({"type": "BottomUp"}, "MMPose 0.x whose model is 'BottomUp'"),
    ],
)
def test_what_only_mmpose_0_has_is_one_sentence(changes: dict[str, str], words: str, write: Write) -> None:
    parts = {"backbone": VIT, "head": CLASSIC, "post": "default", "shift": "False", "udp": "False", **changes}
    text = OLD.format(**{k: v for k, v in parts.items() if k != "type"})
    text = text.replace("'TopDown'", f"'{changes.get('type', 'TopDown')}'")
    with pytest.raises(ConfigError, match=words) as error:
        load_config(write("old.py", text), None)
    assert "\n" not in str(error.value)


def test_vitpose_plus_is_one_sentence() -> None:
    keys = ("backbone.pos_embed", "backbone.blocks.0.mlp.fc1.weight", "backbone.blocks.0.mlp.experts.0.weight")
    with pytest.raises(CheckpointError, match=r"ViTPose\+.*model_split"):
        build.rename_vit({key: np.zeros((1, 3, 2), np.float32) for key in keys}, "x.pth")


# -- an ONNX file in place of a config


@pytest.fixture
def onnx(tmp_path: Path) -> Path:
    return networks.simcc(tmp_path / "pose.onnx")


def test_an_onnx_file_stands_in_place_of_the_config(onnx: Path, image: np.ndarray, write: Write) -> None:
    expected = points(load(onnx, det="none", info=lambda _: None).pose, image)[0]
    for arguments in ([str(onnx)], [onnx], [str(onnx), str(onnx)]):
        model = functions.init_model(*arguments)
        samples = functions.inference_topdown(model, image, BOXES)
        assert np.allclose(np.concatenate([s.pred_instances.keypoints for s in samples]), expected, atol=1e-3)
        assert model.dataset_meta["num_keypoints"] == 17
    with_pose = MMPoseInferencer(pose2d=str(onnx), det_model="whole_image")
    assert len(next(with_pose(image))["predictions"][0][0]["keypoints"]) == 17
    with pytest.raises(ArgumentError, match="has no place"):
        functions.init_model(str(onnx), str(networks.simcc(onnx.with_name("other.onnx"))))
    with pytest.raises(ArgumentError, match="no config to change"):
        functions.init_model(str(onnx), cfg_options={"model.test_cfg.flip_test": False})


def test_an_onnx_file_as_the_weights_of_a_config(onnx: Path, image: np.ndarray) -> None:
    human = "configs/body_2d_keypoint/rtmpose/body8/rtmpose-m_8xb256-420e_body8-256x192.py"
    model = functions.init_model(human, str(onnx))
    assert model.cfg.model.head.type == "RTMCCHead"
    assert model.estimator.keypoint_set.name == "coco-17"
    assert len(functions.inference_topdown(model, image, BOXES)) == 2


def test_a_detector_as_onnx_in_place_of_its_config(tmp_path: Path, image: np.ndarray, onnx: Path) -> None:
    file = networks.brightest(tmp_path / "rtmdet.onnx")
    model = functions.init_detector(str(file))
    assert functions.inference_detector(model, image).pred_instances.bboxes.shape[1] == 4
    both = MMPoseInferencer(pose2d=str(onnx), det_model=str(file))
    assert len(next(both(image))["predictions"][0]) <= 1


# -- configs in JSON and YAML


def test_json_and_yaml_say_the_same_as_python(write: Write) -> None:
    python = config.load(write("a.py", NEW.format(neck="", head=NEW_HEADS["classic"][1])))
    jsonable = json.dumps(python)
    as_json = config.load(write("a.json", jsonable))
    assert json.dumps(as_json) == jsonable
    assert build.pose_spec(as_json).codec["input_size"] == [96, 128]
    child = {"_base_": "a.json", "model": {"test_cfg": {"flip_test": False}}, "name": "{{ fileBasenameNoExtension }}"}
    merged = config.load(write("child.json", json.dumps(child)))
    assert merged["model"]["test_cfg"] == {**python["model"]["test_cfg"], "flip_test": False}
    assert merged["name"] == "child"
    assert config.load(write("c.py", "_base_ = './child.json'\nx = {{_base_.name}}"))["x"] == "child"
    yaml = pytest.importorskip("yaml", reason="needs PyYAML: pip install -e .[test]")
    assert json.dumps(config.load(write("a.yaml", yaml.safe_dump(json.loads(jsonable), sort_keys=False)))) == jsonable
    assert config.load(write("b.yml", yaml.dump(python, sort_keys=False))) == python  # with its tuples


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.json", "{", "not a config that can be read"),
        ("a.json", "[1]", "holds a list at its top"),
        ("a.json", '{"a": NaN}', "NaN"),
        ("a.json", '{"a b": 1}', "'a b' at its top is not a name"),
        ("a.json", '{"a": ' + "[" * 5000 + "]" * 5000 + "}", "deep"),
        ("a.yaml", "a: [1", "not a config that can be read"),
        ("a.yaml", "a: !!python/object/apply:os.system ['true']", "not a config that can be read"),
        ("a.yaml", "a: 2020-01-01", "not a value of a config"),
        (
            "a.yaml",
            "a: &a [x,x,x,x,x,x,x,x,x]\n"
            + "".join(  # nine times nine times ... as many
                f"{c}: &{c} [{','.join(9 * [f'*{p}'])}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)
            ),
            "too large",
        ),
    ],
    ids=str,
)
def test_a_damaged_or_hostile_file_is_one_sentence(name: str, text: str, words: str, write: Write) -> None:
    if name.endswith("yaml"):
        pytest.importorskip("yaml", reason="needs PyYAML: pip install -e .[test]")
    with pytest.raises(ConfigError, match=words) as error:
        config.load(write(name, text))
    assert "\n" not in str(error.value)


# -- safetensors


def safetensors(
    path: Path, arrays: dict[str, np.ndarray], *, meta: dict[str, str] | None = None, **changes: Any
) -> Path:
    names = {"float32": "F32", "float16": "F16", "int64": "I64", "uint16": "BF16", "bool": "BOOL"}
    table: dict[str, Any] = {"__metadata__": meta} if meta else {}
    data = b""
    for key, value in arrays.items():
        body = value.tobytes()
        table[key] = {
            "dtype": names[str(value.dtype)],
            "shape": list(value.shape),
            "data_offsets": [len(data), len(data) + len(body)],
        }
        table[key].update(changes)
        data += body
    head = json.dumps(table).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + data)
    return path


ARRAYS = {
    "head.a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "head.b": np.array([1.5, -2], np.float16),
    "head.c": np.array(7, np.int64),
    "head.d": (np.array([1.0, -3.5], np.float32).view(np.uint32) >> 16).astype(np.uint16),
    "head.e": np.zeros((0, 4), np.float32),
    "head.f": np.array([True, False]),
}


def test_safetensors_hold_what_was_written(tmp_path: Path) -> None:
    meta = {"format": "pt", "dataset_meta": json.dumps({"dataset_name": "coco"})}
    found = checkpoint.load(safetensors(tmp_path / "a.safetensors", ARRAYS, meta=meta))
    assert list(found.state_dict) == list(ARRAYS)
    for key, value in ARRAYS.items():
        expected = np.array([1.0, -3.5], np.float32) if key == "head.d" else value
        assert found.state_dict[key].dtype == expected.dtype
        assert np.array_equal(found.state_dict[key], expected)
    assert found.dataset_meta == {"dataset_name": "coco"}
    package = pytest.importorskip("safetensors.numpy", reason="needs safetensors")
    package.save_file({k: v for k, v in ARRAYS.items() if v.dtype != np.uint16}, tmp_path / "b.safetensors")
    theirs = checkpoint.load(tmp_path / "b.safetensors").state_dict
    assert all(np.array_equal(theirs[key], ARRAYS[key]) for key in theirs)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data_offsets": [0, 999]}, "do not lie within"),
        ({"data_offsets": [-4, 20]}, "do not lie within"),
        ({"data_offsets": [0, True]}, "do not lie within"),
        ({"data_offsets": "x"}, "does not fit its data"),
        ({"shape": [3, 3]}, "needs 36 bytes, not 24"),
        ({"shape": [-2, -3]}, "its shape is"),
        ({"shape": [1 << 40, 1 << 40]}, "does not fit its data"),
        ({"dtype": "F8_E4M3"}, "of a type that limner does not read"),
    ],
    ids=str,
)
def test_damaged_safetensors_are_one_sentence(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=words) as error:
        checkpoint.load(safetensors(tmp_path / "a.safetensors", {"x": ARRAYS["head.a"]}, **changes))
    assert "\n" not in str(error.value)


def test_safetensors_that_overlap_or_are_cut(tmp_path: Path) -> None:
    two = {"x": ARRAYS["head.a"], "y": ARRAYS["head.a"] + 1}
    with pytest.raises(CheckpointError, match="share bytes"):
        checkpoint.load(safetensors(tmp_path / "a.safetensors", two, data_offsets=[0, 24]))
    whole = safetensors(tmp_path / "b.safetensors", two).read_bytes()
    for end in (len(whole) - 1, len(whole) - 30, 40, 9, 8):
        cut = tmp_path / "c.safetensors"
        cut.write_bytes(whole[:end])
        with pytest.raises(CheckpointError):
            checkpoint.load(cut)
    cut.write_bytes(whole + b"more")
    with pytest.raises(CheckpointError, match="do not fill"):
        checkpoint.load(cut)


def test_a_model_opens_from_safetensors(write: Write, image: np.ndarray, tmp_path: Path) -> None:
    new = write("new.py", NEW.format(neck="", head=NEW_HEADS["classic"][1]))
    weights = drawn(load_config(new, None))
    file = safetensors(tmp_path / "x.safetensors", {k: v.numpy() for k, v in weights.items()})
    expected = points(open_pose_estimator(new, save(weights, tmp_path / "new.pth")), image)
    found = load(new, weights=file, det="none", backend="torch", device="cpu")
    assert np.allclose(points(found.pose, image)[0], expected[0], atol=0.02)
    assert np.allclose(points(functions.init_model(str(new), str(file)).estimator, image)[0], expected[0], atol=0.02)


# -- MMPose's Inferencer


def test_an_empty_list_of_boxes_means_nobody(image: np.ndarray, onnx: Path, tmp_path: Path) -> None:
    inferencer = MMPoseInferencer(pose2d=str(onnx), det_model="whole_image")
    assert len(next(inferencer(image))["predictions"][0]) == 1
    for nobody in ([], [[]], np.zeros((0, 4)), ()):
        assert next(inferencer(image, bboxes=nobody))["predictions"] == [[]]
    found = list(inferencer([image, image], bboxes=[], batch_size=2))
    assert [r["predictions"] for r in found] == [[[], []]]
    some = list(inferencer([image, image], bboxes=[[], [BOXES[0]]]))
    assert [len(r["predictions"][0]) for r in some] == [0, 1]
    assert bboxes_of_images(None, 2) is None
