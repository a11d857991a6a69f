"""Write the int8 version of a bundled network, and compare its speed with that of the float32 one.

    python training/quantise.py --data ../shared/data
    python training/quantise.py --data ../shared/data --race --out runs/pose.int8.onnx
    python training/quantise.py --data ../shared/data --race --out runs/detector.int8.onnx --network detector

Static quantisation after training, with ONNX's operators QuantizeLinear and DequantizeLinear, which ONNX Runtime
fuses with the operators between them. Weights are symmetric, one scale for each output channel; activations are
uint8, one scale for each tensor, with the range of the least mean square error. The ranges come from training
images alone, evenly spaced, so that each run writes the same file.

Of the pose network only the layers of `HEAD_LAYERS` are quantised: they are nearly half of its computation and gain
most. In the layers before them, which have few channels, the activation (SiLU) and the depthwise convolutions cost
more as int8 than as float32, which is why the detector, made of nothing else, ships as float32 only: --race shows it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import helper, numpy_helper

from export import store_half
from faces import DATA, annotated, face_box, is_validation
from limner import build, bundled, config
from limner.crop import Crop, letterbox
from limner.runtimes.onnx import import_onnxruntime

HEAD_LAYERS = tuple(f"/network/head/{name}/" for name in ("final_layer", "gau/uv", "gau/o", "cls_x", "cls_y"))
BODY_OPERATORS = (
    "Conv",
    "Sigmoid",
    "Mul",
    "Concat",
    "MaxPool",
    "Add",
    "Resize",
)  # operators that can stay int8 from layer to layer
SPLITS = ("lfpw_train", "youtube_training")
# One bit less than int8 has: without VNNI an x86 processor adds two products in 16 bits, which would overflow.
WEIGHT_MAX = 63
SAMPLE = 512  # values of a tensor that are kept of each image


@dataclass(frozen=True)
class Range:
    """How an activation is stored: ``real = scale * (stored - zero)``, stored as uint8."""

    scale: np.float32
    zero: np.uint8


def images(data: Path, model: bundled.BundledModel, network: str, count: int) -> list[np.ndarray]:
    """Return inputs of a network, uint8 [1, H, W, 3], from images that it was trained on, half of each split."""
    chosen = []
    for split in SPLITS:
        items = [(file, points) for i, file, points in annotated(data, split) if not is_validation(split, i)]
        chosen += [items[i] for i in np.linspace(0, len(items) - 1, count // 2).astype(int)]
    if network == "pose":
        pose = build.pose_spec(config.load(model.pose_config))
        return [
            Crop.around(face_box(points)[None], pose.size, pose.padding).cut(cv2.imread(str(data / file)), pose.udp)
            for file, points in chosen
        ]
    spec = build.detector_spec(config.load(model.detector_config))
    fit = (spec.size, spec.pad_value, spec.stride, spec.square, spec.divisor)
    return [letterbox(cv2.imread(str(data / file)), *fit)[0][None] for file, _ in chosen]


def read(path: Path) -> onnx.ModelProto:
    """Return a network whose weights, stored as float16, are plain float32 again."""
    model = onnx.load(path)
    graph = model.graph
    stored = {t.name: t for t in graph.initializer}
    for node in [n for n in graph.node if n.op_type == "Cast" and n.input[0] in stored]:
        half = stored[node.input[0]]
        graph.initializer.append(numpy_helper.from_array(array(half).astype(np.float32), node.output[0]))
        graph.initializer.remove(half)
        graph.node.remove(node)
    return model


def array(tensor: onnx.TensorProto) -> np.ndarray:
    return np.asarray(numpy_helper.to_array(tensor))


def tensors_of_head(model: onnx.ModelProto) -> list[str]:
    """Return the activations to store as uint8 so that the layers of `HEAD_LAYERS` are computed as int8."""
    names = []
    for node in model.graph.node:
        if node.op_type in ("Conv", "MatMul") and node.name.startswith(HEAD_LAYERS):
            # a matrix product returns float32 at no cost, a convolution does not
            names += [node.input[0], *(node.output if node.op_type == "Conv" else ())]
    return list(dict.fromkeys(names))


def tensors_of_body(model: onnx.ModelProto) -> list[str]:
    """Return all activations of the convolutional part after its first layer; attention stays float32."""
    outputs = {o.name for o in model.graph.output}
    names = []
    for node in model.graph.node:
        out = node.output[0]
        small = "/attention/" in out and not out.endswith("/attention/Mul_output_0")  # one number for each channel
        if (
            node.op_type in BODY_OPERATORS
            and not small
            and out not in outputs
            and "/head/" not in out
            and "stem.0/conv" not in out
        ):
            names.append(out)
    return names


def measure(model: onnx.ModelProto, names: Sequence[str], inputs: Sequence[np.ndarray]) -> dict[str, Range]:
    """Return the best range of each activation over some inputs."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    probe.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    run = session(probe, threads=1)
    rng = np.random.default_rng(0)
    kept: dict[str, list[np.ndarray]] = {name: [] for name in names}
    low, high = dict.fromkeys(names, 0.0), dict.fromkeys(names, 1e-6)
    for image in inputs:
        for name, value in zip(names, run(image), strict=True):
            kept[name].append(value.reshape(-1)[rng.integers(0, value.size, SAMPLE)])
            low[name], high[name] = min(low[name], float(value.min())), max(high[name], float(value.max()))
    return {name: best_range(np.concatenate(kept[name]), low[name], high[name]) for name in names}


def best_range(values: np.ndarray, low: float, high: float) -> Range:
    """Return the share of ``low <= 0`` to ``high`` that stores values with the least mean square error."""
    candidates: list[tuple[float, Range]] = []
    for share in np.linspace(0.3, 1.0, 36):
        scale = np.float32((high - low) * share / 255)
        zero = np.uint8(np.clip(np.round(-low * share / scale), 0, 255))
        stored = np.clip(np.round(values / scale) + zero, 0, 255)
        candidates.append((float(np.square((stored - zero) * scale - values).mean()), Range(scale, zero)))
    return min(candidates, key=lambda pair: pair[0])[1]


def quantise(model: onnx.ModelProto, ranges: dict[str, Range]) -> onnx.ModelProto:
    """Return the model with activations stored as uint8, and the weights of the layers between them as int8."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    weights = {t.name: array(t) for t in graph.initializer}
    nodes: list[onnx.NodeProto] = []

    def constants(name: str, **values: np.ndarray) -> list[str]:
        graph.initializer.extend(numpy_helper.from_array(v, f"{name}.{part}") for part, v in values.items())
        return [f"{name}.{part}" for part in values]

    def stored(name: str, values: np.ndarray, scale: np.ndarray, axis: int) -> str:
        """Add a constant as integers; return the name of its dequantised values."""
        parts = constants(name, int=values, scale=scale, zero=np.zeros(len(scale), values.dtype))
        nodes.append(helper.make_node("DequantizeLinear", parts, [f"{name}.real"], axis=axis))
        return f"{name}.real"

    for node in graph.node:
        conv = node.op_type == "Conv"
        quantisable = node.op_type in ("Conv", "MatMul") and node.input[0] in ranges and node.input[1] in weights
        if quantisable and (not conv or node.output[0] in ranges):
            weight, axis = weights[node.input[1]], 0 if conv else 1
            scale, whole = to_int8(weight, axis)
            if len(node.input) > 2:
                own = scale * ranges[node.input[0]].scale
                bias = np.round(weights[node.input[2]] / own).astype(np.int32)
                node.input[2] = stored(node.input[2], bias, own, 0)
            node.input[1] = stored(node.input[1], whole, scale, axis)
        node.input[:] = [f"{name}.real" if name in ranges else name for name in node.input]
        nodes.append(node)
        for out in (name for name in node.output if name in ranges):
            parts = constants(out, scale=np.asarray(ranges[out].scale), zero=np.asarray(ranges[out].zero))
            nodes.append(helper.make_node("QuantizeLinear", [out, *parts], [f"{out}.int"]))
            nodes.append(helper.make_node("DequantizeLinear", [f"{out}.int", *parts], [f"{out}.real"]))
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    for tensor in [t for t in graph.initializer if t.name not in used]:
        graph.initializer.remove(tensor)
    onnx.checker.check_model(result)
    return result


def to_int8(weight: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the scales float32 [C] of a weight's output channels, and the weight in them as int8."""
    others = tuple(i for i in range(weight.ndim) if i != axis)
    scale = (np.maximum(np.abs(weight).max(axis=others), 1e-12) / WEIGHT_MAX).astype(np.float32)
    spread = scale.reshape([-1 if i == axis else 1 for i in range(weight.ndim)])
    return scale, np.clip(np.round(weight / spread), -WEIGHT_MAX, WEIGHT_MAX).astype(np.int8)


def session(model: onnx.ModelProto, threads: int) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Return a function that runs a model with ONNX Runtime, opened as in limner."""
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    opened = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name = opened.get_inputs()[0].name
    return lambda batch: opened.run(None, {name: batch})


def speedup(before: onnx.ModelProto, after: onnx.ModelProto, batch: np.ndarray, threads: int, rounds: int) -> float:
    """Return how many times faster ``after`` is: the median over rounds in which both take turns."""
    calls = [session(model, threads) for model in (before, after)]
    ratios = []
    for turn in range(rounds + 3):
        seconds = []
        for call in calls:
            start = time.perf_counter()
            call(batch)
            seconds.append(time.perf_counter() - start)
        if turn >= 3:  # the first rounds fill caches
            ratios.append(seconds[0] / seconds[1])
    return float(np.median(ratios))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--model", default=bundled.DEFAULT)
    parser.add_argument("--network", choices=("pose", "detector"), default="pose")
    parser.add_argument("--images", type=int, default=256, help="number of images from which the ranges are measured")
    parser.add_argument("--out", type=Path, help="output file (default for the pose network: beside the float32 one)")
    parser.add_argument("--race", action="store_true", help="compare the speed with that of the float32 network")
    args = parser.parse_args()
    if args.network == "detector" and args.out is None:
        parser.error("no int8 detector is bundled: give --out, the file for it")
    bundle = bundled.find(args.model)
    source = bundle.pose if args.network == "pose" else bundle.detector
    out = args.out or source.with_suffix(".int8.onnx")
    model = read(source)
    names = tensors_of_head(model) if args.network == "pose" else tensors_of_body(model)
    inputs = images(args.data, bundle, args.network, args.images)
    small = quantise(model, measure(model, names, inputs))
    out.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(store_half(small), out)
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB, {len(names)} activations as uint8")
    if not args.race:
        return
    for count in (1, 4, 8):
        shape = inputs[0].shape
        batch = np.concatenate([x for x in inputs if x.shape == shape][:count])
        for threads in (1, 2):
            print(f"batch {count}, threads {threads}: {speedup(model, small, batch, threads, 60):.2f} x")


if __name__ == "__main__":
    main()
