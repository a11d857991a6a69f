"""MMPose 0.x and ViTPose's own repository: their configs in the form of MMPose 1.x, their weights under its names.

What both versions have is renamed, number for number; what only 0.x has is refused in one sentence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import CheckpointError, ConfigError
from .datasets import DATASETS

WAY = "give the config of the same model in MMPose 1.x (`limner models list --all`) with these weights"
# models of 0.x that are not top-down 2D
_OTHERS = ("AssociativeEmbedding", "BottomUp", "CID", "DisentangledKeypointRegressor", "Interhand3D", "MultiTask")
_DATASETS = {  # class in 0.x -> class in 1.x, where the rule of `_dataset_class` does not lead to it
    "FaceCocoWholeBodyDataset": "CocoWholeBodyFaceDataset",
    "HandCocoWholeBodyDataset": "CocoWholeBodyHandDataset",
    "PanopticDataset": "PanopticHand2DDataset",
    "TopDownH36MDataset": "Human36mDataset",
}
_VIT = (  # parts of ViTPose's own transformer -> those of MMPretrain's
    (re.compile(r"^backbone\.patch_embed\.proj\."), "backbone.patch_embed.projection."),
    (re.compile(r"^backbone\.blocks\.(\d+)\.norm([12])\."), r"backbone.layers.\1.ln\2."),
    (re.compile(r"^backbone\.blocks\.(\d+)\.mlp\.fc1\."), r"backbone.layers.\1.ffn.layers.0.0."),
    (re.compile(r"^backbone\.blocks\.(\d+)\.mlp\.fc2\."), r"backbone.layers.\1.ffn.layers.1."),
    (re.compile(r"^backbone\.blocks\.(\d+)\."), r"backbone.layers.\1."),
    (re.compile(r"^backbone\.last_norm\."), "backbone.ln1."),
)


# -- configs


def is_old(cfg: Mapping[str, Any]) -> bool:
    """Whether a config is one of MMPose 0.x."""
    model = cfg.get("model")
    if not isinstance(model, Mapping):
        return False
    return "keypoint_head" in model or model.get("type") in ("TopDown", *_OTHERS)


def modernised(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config of MMPose 0.x, a top-down 2D one, with what inference needs of it in the form of 1.x.

    Raises:
        ConfigError: it is another kind of model, has a head that limner does not translate, or lacks something.
    """
    try:
        return _modernised(cfg)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"the config, one of MMPose 0.x, has no usable {error}: {WAY}") from error


def _modernised(cfg: Mapping[str, Any]) -> dict[str, Any]:
    model, test = cfg["model"], cfg["model"].get("test_cfg") or {}
    if model.get("type") != "TopDown":
        raise ConfigError(
            f"the config is one of MMPose 0.x whose model is '{model.get('type')}', and limner runs top-down 2D "
            "models: choose one of `limner models list`"
        )
    loaders = cfg.get("data") or {}
    dataset: Mapping[str, Any] = next(
        (loaders[part] for part in ("test", "val", "train") if isinstance(loaders.get(part), Mapping)), {}
    )
    steps = _steps(dataset.get("pipeline") or cfg.get("test_pipeline") or cfg.get("val_pipeline") or [])
    sizes = dataset.get("data_cfg") or cfg["data_cfg"]
    head, neck, feature_neck = _head(model["keypoint_head"], model.get("neck"))
    normalise = steps.get("NormalizeTensor", {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]})
    regression = head["type"] in ("RegressionHead", "RLEHead")
    head["decoder"] = _codec(sizes, test, regression=regression)
    combined = head["decoder"].get("heatmap_type") == "combined"
    new_model: dict[str, Any] = {
        "type": "TopdownPoseEstimator",
        "data_preprocessor": {
            "mean": [255 * value for value in normalise["mean"]],
            "std": [255 * value for value in normalise["std"]],
            "bgr_to_rgb": True,  # 0.x reads images as RGB
        },
        "backbone": _backbone(model["backbone"]),
        "head": head,
        "test_cfg": {
            "flip_test": bool(test.get("flip_test", True)),
            "flip_mode": "udp_combined" if combined else "heatmap",
            "shift_heatmap": bool(test.get("shift_heatmap", False)),
            "shift_coords": False,  # 0.x mirrors coordinates around the middle of the input
        },
    }
    if neck or feature_neck:
        new_model["neck"] = neck or feature_neck
    pipeline = [
        {"type": "GetBBoxCenterScale", "padding": steps.get("TopDownGetBboxCenterScale", {}).get("padding", 1.25)},
        {
            "type": "TopdownAffine",
            "input_size": tuple(sizes["image_size"]),
            "use_udp": bool(steps.get("TopDownAffine", {}).get("use_udp", False)),
        },
    ]
    return {"model": new_model, "test_dataloader": {"dataset": {**_dataset(dataset), "pipeline": pipeline}}}


def _steps(pipeline: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {str(step["type"]): step for step in pipeline}


def _dataset(dataset: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    kind = str(dataset.get("type", ""))
    info = dataset.get("dataset_info")
    if isinstance(info, Mapping):
        found["metainfo"] = info
    elif kind == "InterHand2DDataset":
        found["metainfo"] = {"from_file": "configs/_base_/datasets/interhand2d.py"}
    found["type"] = _dataset_class(kind)
    if "subset" in dataset:
        found["subset"] = dataset["subset"]
    return found


def _dataset_class(kind: str) -> str:
    if kind in _DATASETS:
        return _DATASETS[kind]
    shorter = re.sub(r"^(TopDown|BottomUp|Animal|Face|Hand)(?=[A-Z0-9])", "", kind)
    return kind if kind in DATASETS else shorter


def _backbone(backbone: Mapping[str, Any]) -> dict[str, Any]:
    if backbone.get("type") != "ViT":
        return dict(backbone)
    ratio, dims = backbone.get("ratio", 1), backbone.get("embed_dim", 768)
    if ratio != 1:
        raise ConfigError(f"the config, one of ViTPose, has a ViT with ratio={ratio}, and limner supports 1")
    return {
        "type": "VisionTransformer",
        "arch": {
            "embed_dims": dims,
            "num_layers": backbone.get("depth", 12),
            "num_heads": backbone.get("num_heads", 12),
            "feedforward_channels": int(dims * backbone.get("mlp_ratio", 4.0)),
        },
        "img_size": backbone.get("img_size", 224),
        "patch_size": backbone.get("patch_size", 16),
        "patch_cfg": {"padding": 2},
        "qkv_bias": backbone.get("qkv_bias", False),
        "with_cls_token": False,
        "out_type": "featmap",
    }


def _head(head: Mapping[str, Any], neck: Any) -> tuple[dict[str, Any], Any, dict[str, Any] | None]:
    """Return a head, the neck that the config has, and the one that does what the head of 0.x does itself."""
    kind, extra = str(head.get("type", "")), head.get("extra") or {}
    if kind == "DeepposeRegressionHead":
        name = "RLEHead" if head.get("out_sigma") else "RegressionHead"
        return {"type": name, "in_channels": head["in_channels"], "num_joints": head["num_joints"]}, neck, None
    if kind not in ("TopdownHeatmapSimpleHead", "TopDownSimpleHead"):
        raise ConfigError(
            f"the config is one of MMPose 0.x whose keypoint_head is '{kind}', which limner does not translate: {WAY}"
        )
    width, before = head["in_channels"], None
    if isinstance(width, (list, tuple)):
        if head.get("input_transform") != "resize_concat":
            raise ConfigError(
                "the config, one of MMPose 0.x, has a head that takes several maps apart from each other "
                f"(input_transform={head.get('input_transform')!r}): {WAY}"
            )
        width, before = sum(width), {"type": "FeatureMapProcessor", "concat": True, "select_index": head["in_index"]}
    elif isinstance(head.get("in_index", -1), int) and head.get("in_index", -1) != -1:
        before = {"type": "FeatureMapProcessor", "select_index": head["in_index"]}
    if head.get("upsample"):  # of ViTPose
        before = {"type": "FeatureMapProcessor", "scale_factor": float(head["upsample"]), "apply_relu": True}
    layers = head.get("num_deconv_layers", 3)
    filters = tuple(head.get("num_deconv_filters", (256, 256, 256)))[:layers]
    kernel = extra.get("final_conv_kernel", 1)
    last = filters[-1] if filters else width
    convolutions = extra.get("num_conv_layers", 0)
    return (
        {
            "type": "HeatmapHead",
            "in_channels": width,
            "out_channels": head["out_channels"],
            "deconv_out_channels": filters or None,
            "deconv_kernel_sizes": tuple(head.get("num_deconv_kernels", (4, 4, 4)))[:layers] if filters else None,
            "conv_out_channels": (last,) * convolutions or None,
            "conv_kernel_sizes": tuple(extra["num_conv_kernels"]) if convolutions else None,
            "final_layer": {"kernel_size": kernel, "padding": kernel // 2} if kernel else None,
        },
        neck,
        before,
    )


def _codec(sizes: Mapping[str, Any], test: Mapping[str, Any], *, regression: bool) -> dict[str, Any]:
    size = tuple(sizes["image_size"])
    if regression:
        return {"type": "RegressionLabel", "input_size": size}
    common = {"input_size": size, "heatmap_size": tuple(sizes["heatmap_size"])}
    kernel = test.get("modulate_kernel", 11)
    way = "unbiased" if test.get("unbiased_decoding") else test.get("post_process", "default")
    if test.get("use_udp"):
        combined = str(test.get("target_type", "GaussianHeatmap")).lower().startswith("combined")
        kind = "combined" if combined else "gaussian"
        radius = test.get("valid_radius_factor", 0.0546875)
        return {
            "type": "UDPHeatmap", **common, "heatmap_type": kind, "blur_kernel_size": kernel, "radius_factor": radius,
        }  # fmt: skip
    if way not in (True, "default", "unbiased"):
        raise ConfigError(f"the config is one of MMPose 0.x with post_process='{way}', which limner lacks: {WAY}")
    return {"type": "MSRAHeatmap", **common, "unbiased": way == "unbiased", "blur_kernel_size": kernel}


# -- weights


def rename_vit(weights: Mapping[str, np.ndarray], name: str = "the checkpoint") -> dict[str, np.ndarray]:
    """Return weights of ViTPose's own repository under MMPretrain's names; any others as they are.

    The position embedding has one row for a class token, which ViTPose adds to all others; the sum is stored.

    Raises:
        CheckpointError: they are of ViTPose+, whose layers have several experts.
    """
    if not any(key.startswith("backbone.blocks.") for key in weights) or "backbone.pos_embed" not in weights:
        return dict(weights)
    if any(".mlp.experts." in key for key in weights):
        raise CheckpointError(
            f"{name} is of ViTPose+, whose layers have one expert for each data set: split it with ViTPose's "
            "tools/model_split.py, and give one of the files that come out"
        )
    renamed = {}
    for key, value in weights.items():
        for pattern, new in _VIT:
            key = pattern.sub(new, key)
        if key == "backbone.cls_token":  # never used by a pose network
            continue
        if key == "backbone.pos_embed" and value.ndim == 3 and value.shape[1] > 1:
            value = value[:, 1:] + value[:, :1]
        renamed[key.replace("keypoint_head.", "head.", 1) if key.startswith("keypoint_head.") else key] = value
    return renamed


def rename_old_keys(state_dict: Mapping[str, np.ndarray], own: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return weights with the keys of today's MMPose in place of those before its version 1.

    Args:
        own: the network's keys; a key among them is not renamed.
    """
    convolutions = [int(key.split(".")[2]) for key in own if key.startswith("head.conv_layers.")]
    out = {}
    for key, value in state_dict.items():
        if key not in own:
            if key in ("data_preprocessor.mean", "data_preprocessor.std"):
                continue
            key = key.replace("keypoint_head.", "head.")
            if key.startswith("head.loss."):
                key = key.replace("head.loss.", "head.loss_module.", 1)
            parts = key.split(".")
            if parts[:2] == ["head", "final_layer"] and len(parts) == 4:
                inner = int(parts[2]) <= max(convolutions, default=-1)
                key = f"head.conv_layers.{parts[2]}.{parts[3]}" if inner else f"head.final_layer.{parts[3]}"
        out[key] = value
    return out
