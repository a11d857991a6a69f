"""Write a trained network as ONNX: uint8 BGR images in, weights stored as float16.

python training/export.py limner/rtmdet_face-lite_288.py runs/detector/weights.pth detector.onnx
"""

from __future__ import annotations

import argparse
import copy
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from limner import build, config


class WithPreprocessing(nn.Module):
    """A network with layout change and mean subtraction in one graph: input uint8 [N, H, W, 3] BGR."""

    def __init__(self, network: nn.Module, mean: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", mean)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        first, second = self.network(images.permute(0, 3, 1, 2).float() - self.mean)
        return (*first, *second) if isinstance(first, tuple) else (first, second)


def fold_colours(network: nn.Module, preprocessor: dict[str, Any]) -> Tensor:
    """Fold channel order and standard deviation into the first convolution; return the mean [1, 3, 1, 1], BGR.

    The mean itself cannot be folded: the convolution pads with zeros, which must stand for the mean colour.
    """
    first = next(m for m in network.modules() if isinstance(m, nn.Conv2d))
    mean, std = (torch.tensor(preprocessor[key], dtype=torch.float32).view(1, 3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        first.weight.div_(std)
        if preprocessor.get("bgr_to_rgb"):
            first.weight.copy_(first.weight.flip(1))
            mean = mean.flip(1)
    return mean


def to_onnx(network: nn.Module, preprocessor: dict[str, Any], shape: tuple[int, int], dynamic: bool) -> onnx.ModelProto:
    """Return the network as ONNX; ``shape`` is (height, width), free where ``dynamic``."""
    network = copy.deepcopy(network)
    mean = fold_colours(network, preprocessor)
    with_preprocessing = WithPreprocessing(network, mean).eval()
    sample = torch.zeros((1, *shape, 3), dtype=torch.uint8)
    axes = {0: "batch", 1: "height", 2: "width"} if dynamic else {0: "batch"}
    with torch.no_grad():
        count = len(with_preprocessing(sample))
    names = [f"out{i}" for i in range(count)]
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns that it is deprecated
        torch.onnx.export(
            with_preprocessing,
            (sample,),
            buffer,
            input_names=["images"],
            output_names=names,
            dynamic_axes={"images": axes, **{n: {0: "batch"} for n in names}},
            opset_version=17,
            dynamo=False,
        )
    return onnx.load_from_string(buffer.getvalue())


def store_half(model: onnx.ModelProto, least: int = 256) -> onnx.ModelProto:
    """Store large float32 weights as float16, cast back once when the file is loaded."""
    graph = model.graph
    casts = []
    for tensor in list(graph.initializer):
        array = numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or array.size < least:
            continue
        half = numpy_helper.from_array(array.astype(np.float16), f"{tensor.name}.half")
        casts.append(onnx.helper.make_node("Cast", [half.name], [tensor.name], to=onnx.TensorProto.FLOAT))
        graph.initializer.remove(tensor)
        graph.initializer.append(half)
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config")
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    cfg = config.load(args.config)
    network = build.network(cfg["model"])
    network.load_state_dict(torch.load(args.weights, weights_only=True)["state_dict"], strict=True)
    detector = "bbox_head" in cfg["model"]
    width, height = cfg["test_pipeline"][1]["scale"] if detector else cfg["codec"]["input_size"]
    model = to_onnx(network.eval(), cfg["model"]["data_preprocessor"], (height, width), dynamic=detector)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(store_half(model), args.out)
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
