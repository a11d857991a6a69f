"""Small ONNX files as other tools export them, made node by node: no torch, and numbers that numpy can follow."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MEAN, STD = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])


def mixing(count: int) -> np.ndarray:
    """Return how much of each channel a keypoint's outputs have: float32 [K, 3]."""
    return np.random.default_rng(count).normal(size=(count, 3)).astype(np.float32)


def profiles(images: np.ndarray, mean: np.ndarray = MEAN, std: np.ndarray = STD, *, rgb: bool = True) -> np.ndarray:
    """Return what `simcc` computes along x of BGR crops ``[N, h, w, 3]``, for 17 keypoints: ``[N, 17, 2 w]``."""
    x = ((images[..., ::-1] if rgb else images) - mean) / std
    return np.repeat(np.einsum("kc,nwc->nkw", mixing(17), x.mean(1)), 2, axis=-1)


def simcc(
    path: Path,
    count: int = 17,
    size: tuple[int, int] = (192, 256),
    *,
    batch: int | str = "batch",
    order: str = "xy",
    kind: int = TensorProto.FLOAT,
    names: tuple[str, str] = ("simcc_x", "simcc_y"),
) -> Path:
    """Write a pose network whose vectors are the mean colours of columns and rows, mixed for each keypoint."""
    width, height = size
    constants = {"mix": mixing(count), "wide": np.repeat(np.eye(width), 2, 1), "high": np.repeat(np.eye(height), 2, 1)}
    axes = {"x": (2, "wide", 2 * width), "y": (3, "high", 2 * height)}
    nodes, outputs = [], []
    for axis, name in zip(order, names, strict=True):
        reduced, repeat, bins = axes[axis]
        nodes += [
            helper.make_node("ReduceMean", ["input"], [f"mean_{axis}"], axes=[reduced], keepdims=0),
            helper.make_node("MatMul", [f"mean_{axis}", repeat], [f"up_{axis}"]),
            helper.make_node("MatMul", ["mix", f"up_{axis}"], [name]),
        ]
        outputs.append(helper.make_tensor_value_info(name, kind, [batch, count, bins]))
    return _save(path, nodes, [batch, 3, height, width], outputs, constants, kind)


def heatmaps(path: Path, count: int = 17, size: tuple[Any, Any] = (192, 256)) -> Path:
    """Write a pose network whose heatmaps are the image, four times smaller, mixed for each keypoint."""
    width, height = size
    nodes = [
        helper.make_node("AveragePool", ["input"], ["small"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Conv", ["small", "mix"], ["output"]),
    ]
    free = isinstance(width, str)
    shape = ["batch", count, None, None] if free else ["batch", count, height // 4, width // 4]
    outputs = [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)]
    return _save(path, nodes, ["batch", 3, height, width], outputs, {"mix": mixing(count)[..., None, None]})


def constant(path: Path, outputs: dict[str, np.ndarray], size: tuple[int, int] = (640, 640)) -> Path:
    """Write a network that gives the same outputs for every image: float32, and integers as int64."""
    nodes, infos, constants = [], [], {}
    nodes.append(helper.make_node("ReduceMean", ["input"], ["one"], axes=[0, 1, 2, 3], keepdims=0))
    nodes.append(helper.make_node("Sub", ["one", "one"], ["zero"]))
    for name, value in outputs.items():
        if value.dtype.kind == "i":
            constants[name] = value
            nodes.append(helper.make_node("Identity", [name], [f"{name}_out"]))
            infos.append(helper.make_tensor_value_info(f"{name}_out", TensorProto.INT64, value.shape))
            continue
        constants[f"{name}_value"] = value
        nodes.append(helper.make_node("Add", [f"{name}_value", "zero"], [name]))
        infos.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape))
    return _save(path, nodes, [1, 3, size[1], size[0]], infos, constants)


def brightest(path: Path, size: tuple[int, int] = (640, 640)) -> Path:
    """Write a detector that lists one box, scored by the mean of the first channel of its normalised input."""
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Gather", ["mean", "first"], ["score"], axis=1),
        helper.make_node("Reshape", ["score", "shape"], ["column"]),
        helper.make_node("Concat", ["corners", "column"], ["dets"], axis=2),
    ]
    constants = {
        "first": np.array([0]),
        "shape": np.array([1, 1, 1]),
        "corners": np.array([[[64, 32, 192, 256]]], np.float32),
    }
    outputs = [helper.make_tensor_value_info("dets", TensorProto.FLOAT, [1, 1, 5])]
    return _save(path, nodes, [1, 3, size[1], size[0]], outputs, constants)


def _save(
    path: Path,
    nodes: Sequence[Any],
    shape: Sequence[Any],
    outputs: Sequence[Any],
    constants: dict[str, np.ndarray],
    kind: int = TensorProto.FLOAT,
) -> Path:
    dtype = np.float16 if kind == TensorProto.FLOAT16 else np.float32
    initializers = [
        numpy_helper.from_array(value if value.dtype.kind == "i" else value.astype(dtype), name)
        for name, value in constants.items()
    ]
    image = helper.make_tensor_value_info("input", kind, shape)
    graph = helper.make_graph(list(nodes), "network", [image], list(outputs), initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(model, str(path))
    return path


def pipeline(
    size: tuple[int, int], *, to_rgb: bool = True, std: Sequence[float] = STD, **params: Any
) -> dict[str, Any]:
    """Return the content of MMDeploy's ``pipeline.json`` of a pose network."""
    steps = [
        {"type": "LoadImageFromFile"},
        {"type": "TopDownGetBboxCenterScale", "padding": 1.25, "image_size": [1, 1]},
        {"type": "TopDownAffine", "image_size": [1, 1]},  # as published: of another input
        {"type": "Normalize", "mean": list(MEAN), "std": list(std), "to_rgb": to_rgb},
    ]
    codec = {"type": "SimCCLabel", "input_size": list(size), "simcc_split_ratio": 2.0, "use_dark": False, **params}
    return {
        "pipeline": {
            "tasks": [
                {"type": "Task", "module": "Transform", "transforms": steps},
                {"type": "Task", "module": "mmpose", "component": "SimCCLabelDecode", "params": codec},
            ]
        }
    }


def archive(path: Path, network: Path, content: dict[str, Any] | None = None, folder: str = "20230831/x") -> Path:
    """Write the zip archive of an SDK around a network."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(network, f"{folder}/end2end.onnx")
        archive.writestr(f"{folder}/detail.json", "{}")
        if content is not None:
            archive.writestr(f"{folder}/pipeline.json", json.dumps(content))
    return path
