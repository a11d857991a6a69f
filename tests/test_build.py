"""From a config's dict to a network, its settings and its decoder."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from limner import build
from limner.errors import CheckpointError, ConfigError

PIPELINE = [
    {"type": "LoadImage"},
    {"type": "GetBBoxCenterScale", "padding": 1.1},
    {"type": "TopdownAffine", "input_size": (64, 96), "use_udp": True},
    {"type": "PackPoseInputs"},
]


def pose_config(**head: Any) -> dict[str, Any]:
    """Return a small top-down config whose network is a ResNet-18 with a heatmap head."""
    codec = {"type": "MSRAHeatmap", "input_size": (64, 96), "heatmap_size": (16, 24), "sigma": 2}
    return {
        "model": {
            "type": "TopdownPoseEstimator",
            "data_preprocessor": {"mean": [1, 2, 3], "std": [4, 5, 6], "bgr_to_rgb": True},
            "backbone": {"type": "ResNet", "depth": 18, "init_cfg": {"type": "Pretrained"}},
            "head": {"type": "HeatmapHead", "in_channels": 512, "out_channels": 5, "decoder": codec} | head,
            "test_cfg": {"flip_test": True, "flip_mode": "heatmap", "shift_heatmap": True},
        },
        "test_dataloader": {"dataset": {"type": "CocoDataset", "pipeline": PIPELINE}},
    }


def test_a_pose_config_says_what_goes_in_and_out() -> None:
    spec = build.pose_spec(pose_config())
    assert spec.size == (64, 96)
    assert spec.padding == 1.1
    assert spec.udp
    assert spec.normalisation == build.Normalisation((1, 2, 3), (4, 5, 6), to_rgb=True)
    assert spec.flip == build.FlipTest("heatmap", shift_heatmap=True)
    assert spec.keypoints == 5


@pytest.mark.parametrize("place", ["val_pipeline", "test_pipeline"])
def test_older_places_of_the_pipeline_are_read(place: str) -> None:
    cfg = pose_config()
    del cfg["test_dataloader"]
    cfg[place] = PIPELINE
    assert build.pose_spec(cfg).size == (64, 96)


def test_a_detector_config_says_what_goes_in_and_out() -> None:
    steps = [
        {"type": "Resize", "scale": (416, 416), "keep_ratio": True},
        {"type": "Pad", "pad_to_square": True, "pad_val": {"img": (114.0, 114.0, 114.0)}},
    ]
    cfg = {
        "model": {
            "data_preprocessor": {"pad_size_divisor": 32},
            "bbox_head": {"type": "YOLOXHead", "num_classes": 1, "in_channels": 96},
            "test_cfg": {"score_thr": 0.01, "nms": {"type": "nms", "iou_threshold": 0.65}},
        },
        "test_dataloader": {"dataset": {"pipeline": steps, "metainfo": {"CLASSES": ("face",)}}},
    }
    spec = build.detector_spec(cfg)
    assert (spec.head, spec.size, spec.square, spec.divisor) == ("YOLOXHead", (416, 416), True, 32)
    assert spec.pad_value == (114, 114, 114)
    assert (spec.score_thr, spec.iou_threshold, spec.max_per_img) == (0.01, 0.65, None)
    assert spec.normalisation == build.Normalisation()
    assert spec.classes == ("face",)


def test_what_a_config_lacks_is_named() -> None:
    with pytest.raises(ConfigError, match="no 'model'"):
        build.pose_spec({})
    with pytest.raises(ConfigError, match="TopdownAffine"):
        build.pose_spec(pose_config() | {"test_dataloader": {"dataset": {"pipeline": PIPELINE[:2]}}})
    with pytest.raises(ConfigError, match="'FasterRCNNHead'"):
        build.detector_spec({"model": {"bbox_head": {"type": "FasterRCNNHead"}}})
    with pytest.raises(ConfigError, match=r"MSRAHeatmap.*heatmap_size"):
        build.decoder({"type": "MSRAHeatmap", "input_size": (64, 96)})
    with pytest.raises(ConfigError, match="Did you mean 'UDPHeatmap'"):
        build.decoder({"type": "UDPHeatmaps"})


SIZES = {"input_size": (192, 256), "heatmap_size": (48, 64)}
CODECS = {
    "plain": {"type": "MSRAHeatmap", "sigma": 2, **SIZES},
    "dark": {"type": "MSRAHeatmap", "sigma": 2, "unbiased": True, **SIZES},
    "udp": {"type": "UDPHeatmap", "sigma": 2, **SIZES},
    "megvii": {"type": "MegviiHeatmap", "kernel_size": 5, **SIZES},
}


@pytest.mark.parametrize(("name", "within"), [("plain", 1.1), ("dark", 0.05), ("udp", 0.05), ("megvii", 3.1)])
def test_a_hill_on_a_heatmap_is_found_where_it_stands(name: str, within: float) -> None:
    codec = CODECS[name]
    where = np.array([[[20.3, 31.6], [7.8, 50.1]]])  # heatmap pixels
    y, x = np.mgrid[:64, :48]
    hills = np.exp(-((x - where[..., :1, None]) ** 2 + (y - where[..., 1:, None]) ** 2) / 8).astype(np.float32)
    decoder = build.decoder(codec)
    points, scores = decoder.points(decoder.merge([hills * (255 if name == "megvii" else 1)]))
    # a UDP map reaches from the centre of its first pixel to that of its last
    expected = where / ([47, 63] if name == "udp" else [48, 64]) * [192, 256]
    assert np.abs(points - expected).max() < within
    assert (scores > 0.9).all()


def test_a_combined_udp_map_moves_the_point_by_its_offsets() -> None:
    maps = np.zeros((1, 3, 64, 48), np.float32)
    maps[0, 0, 30, 20] = 1
    maps[0, 1:, 30, 20] = (0.5, -0.25)
    decoder = build.decoder(CODECS["udp"] | {"heatmap_type": "combined"}, build.FlipTest("udp_combined"))
    points, _ = decoder.points(decoder.merge([maps]))
    radius = 0.0546875 * 64
    expected = (np.array([20, 30]) + radius * np.array([0.5, -0.25])) / [47, 63] * [192, 256]
    assert np.allclose(points[0, 0], expected, atol=1e-3)
    mirrored = maps[..., ::-1] * np.array([1, -1, 1], np.float32)[:, None, None]
    merged = decoder.merge([maps], [mirrored], [0])
    assert np.allclose(merged[0], maps), "a mirrored image says the same"


def test_a_map_without_any_response_is_a_point_without_score() -> None:
    for codec in CODECS.values():
        _, scores = build.decoder(codec).points([np.zeros((1, 3, 64, 48), np.float32)])
        assert (scores <= 0.5).all()


def test_dark_finds_a_peak_between_bins() -> None:
    codec = {"type": "SimCCLabel", "input_size": (192, 256), "sigma": (4.9, 5.66), "use_dark": True}
    x = np.exp(-((np.arange(384) - 100.4) ** 2) / (2 * 4.9**2)).astype(np.float32)[None, None]
    y = np.exp(-((np.arange(512) - 300.7) ** 2) / (2 * 5.66**2)).astype(np.float32)[None, None]
    points, scores = build.decoder(codec).points([x, y])
    assert np.allclose(points[0, 0], [50.2, 150.35], atol=0.05)
    assert np.allclose(scores, 1, atol=0.02)


def test_a_mirror_swaps_left_and_right() -> None:
    order = [1, 0]
    x, y = np.zeros((1, 2, 8), np.float32), np.zeros((1, 2, 4), np.float32)
    x[0, 0, 1], x[0, 1, 5], y[0, :, 2] = 1, 1, 1
    simcc = build.decoder({"type": "SimCCLabel", "input_size": (4, 2)})
    merged = simcc.merge([x, y], [x[:, ::-1, ::-1], y[:, ::-1]], order)
    assert np.array_equal(merged[0], x)
    coords = np.array([[[0.25, 0.5], [0.75, 0.5]]], np.float32)
    mirrored = np.stack([1 - coords[..., 0] - np.float32(1 / 100), coords[..., 1]], -1)[:, ::-1]
    plain = build.decoder({"type": "RegressionLabel", "input_size": (100, 100)})
    points, _ = plain.points(plain.merge([coords], [mirrored], order))
    assert np.allclose(points[0], [[25, 50], [75, 50]], atol=1e-4)


def test_regressed_deviations_become_scores() -> None:
    logits = np.array([[[0.5, 0.25, -2.0, 2.0]]], np.float32)
    decoder = build.decoder({"type": "RegressionLabel", "input_size": (200, 100)})
    points, scores = decoder.points(decoder.merge([logits]))
    assert points.tolist() == [[[100, 25]]]
    assert np.allclose(scores, 0.5)


def test_an_unknown_layer_or_argument_is_named() -> None:
    pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
    with pytest.raises(ConfigError, match=r"'ResNett'.*Did you mean 'ResNet'"):
        build.layer({"type": "ResNett", "depth": 18})
    with pytest.raises(ConfigError, match=r"ResNet does not fit.*depht"):
        build.layer({"type": "ResNet", "depth": 18, "depht": 50})
    with pytest.raises(ConfigError, match=r"ResNet.*19"):
        build.layer({"type": "ResNet", "depth": 19})
    with pytest.raises(ConfigError, match="with_cls_token=False"):
        build.layer({"type": "mmpretrain.VisionTransformer", "arch": "base"})
    with pytest.raises(ConfigError, match="no 'head'"):
        build.network({"backbone": {"type": "ResNet", "depth": 18}})


def test_checkpoints_of_the_first_mmpose_load_as_well() -> None:
    torch = pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
    convolution = {"deconv_out_channels": None, "conv_out_channels": (8,), "conv_kernel_sizes": (1,)}
    network = build.network(pose_config(**convolution)["model"]).eval()
    today = {key: value.numpy().copy() for key, value in network.state_dict().items()}
    names = {"head.conv_layers.": "keypoint_head.final_layer.", "head.final_layer.": "keypoint_head.final_layer.3."}
    old = {"data_preprocessor.mean": np.zeros((3, 1, 1), np.float32)}
    for key, value in today.items():
        before = next((name for name in names if key.startswith(name)), "")
        old[names.get(before, "") + key[len(before) :]] = value
    assert not any(key.startswith("head.") for key in old)
    fresh = build.network(pose_config(**convolution)["model"])
    build.load_weights(fresh, old)
    assert all(torch.equal(value, torch.from_numpy(today[key])) for key, value in fresh.state_dict().items())


def test_weights_of_another_model_are_refused() -> None:
    pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
    network = build.network(pose_config()["model"])
    other = build.network(pose_config(out_channels=7)["model"])
    weights = {key: value.numpy() for key, value in other.state_dict().items()}
    with pytest.raises(CheckpointError, match="trained for 7 keypoints"):
        build.load_weights(network, weights, name="seven.pth")
    del weights["backbone.conv1.weight"]
    with pytest.raises(CheckpointError, match=r"seven\.pth.*missing \(backbone\.conv1\.weight\)"):
        build.load_weights(network, weights, name="seven.pth")


def test_weights_that_are_no_numbers_are_refused() -> None:
    torch = pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
    network = torch.nn.Sequential(torch.nn.Linear(2, 3))
    for value in (np.nan, np.inf):
        weights = {"0.weight": np.ones((3, 2), np.float32), "0.bias": np.array([0, value, 1], np.float32)}
        with pytest.raises(CheckpointError, match=r"bad\.pth cannot be used: 1 weight is NaN or infinite \(0\.bias\)"):
            build.load_weights(network, weights, name="bad.pth")
