"""A torch network -> an ONNX file for every other engine: uint8 BGR images in, float32 arrays out."""

from __future__ import annotations

import inspect
import logging
import operator
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import MissingExtraError
from . import SIZE, EngineError, Normalisation
from .onnx import OnnxRuntime
from .torch import flat, import_torch

if TYPE_CHECKING:
    from torch import Tensor, nn

OPSET = 17  # the newest that torch 2.1 writes
# Greatest difference from torch's outputs, relative to their norm: 1e-6 is usual, networks that amplify the rounding
# of float32 reach 1e-3, and a wrong export differs far more.
MAX_DIFFERENCE = 1e-2
MAX_NARROW_OUTPUTS = 32  # outputs up to which a wide convolution is faster in parts: see `_split_wide_convolutions`


def export(
    network: nn.Module, normalisation: Normalisation, size: tuple[int, int], path: Path, *, dynamic_size: bool = False
) -> None:
    """Write a network as ONNX, and check that ONNX Runtime computes with it what torch does.

    Channel order and standard deviation are folded into the first convolution where that is the only layer that
    takes the image; the mean is subtracted before it, because the convolution pads with zeros that must mean
    "average colour". So the network is changed: build another one to continue with torch.

    Args:
        network: takes float ``[N, 3, H, W]``, normalised.
        size: (width, height) of its input.
        path: the file to write; the weights go into one file beside it, or above 2 GB into several.
        dynamic_size: images of other sizes are possible, too. The number of images is always free.

    Raises:
        EngineError: torch cannot write this network as ONNX, or the written one gives other numbers.
        MissingExtraError: torch, or the package onnx that its exporter uses, is not installed.
    """
    torch = import_torch()
    require_onnx()
    width, height = size
    traced = checked = (height, width)
    if dynamic_size:  # small ones, to be fast; the network is traced with one size and checked with another
        height, width = (max(64, side // 2 // 64 * 64) for side in (height, width))
        traced, checked = (height, width), (height + 64, width + 128)
    sample = torch.zeros((1, *traced, 3), dtype=torch.uint8)
    # another number of images than was traced
    check_images = np.random.default_rng(0).integers(0, 256, (2, *checked, 3), np.uint8)
    with torch.inference_mode(False), torch.no_grad():
        model = _with_preprocessing(network, normalisation).eval()
        expected = [t.numpy() for t in flat(model(torch.from_numpy(check_images)))]
        model = _split_wide_convolutions(_fold_normalisation(model))
        names = [f"out{i}" for i in range(len(expected))]
        free = {0: "batch", 1: "height", 2: "width"} if dynamic_size else {0: "batch"}
        outputs = {0: "batch", 2: "rows", 3: "columns"} if dynamic_size else {0: "batch"}
        _write(model, sample, path, {"images": free, **dict.fromkeys(names, outputs)})
    _save_weights_apart(path, {SIZE: f"{size[0]}x{size[1]}"})
    runtime = OnnxRuntime(path, threads=1)  # so that the images run as one batch
    found = runtime(check_images)
    runtime.close()
    difference = float(np.max([distance(ours, theirs) for ours, theirs in zip(found, expected, strict=True)]))
    if not difference <= MAX_DIFFERENCE:
        what = "other shapes" if difference == float("inf") else f"other numbers (by {difference:.1e} of their norm)"
        raise EngineError(f"the export to ONNX failed its check: the network gives {what} than with torch")


def distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the difference of two outputs relative to the second one's norm; infinite where shapes differ."""
    if ours.shape != theirs.shape:
        return float("inf")
    norm = float(np.linalg.norm(theirs))
    return float(np.linalg.norm(ours - theirs)) / norm if norm else float(np.abs(ours).max(initial=0))


def require_onnx() -> None:
    """Raise MissingExtraError unless onnx is installed, which torch's exporter uses."""
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("Exporting a checkpoint for another engine than torch", "torch") from error


def _with_preprocessing(network: nn.Module, normalisation: Normalisation) -> nn.Module:
    """Return memory layout, normalisation and network as one module."""
    import torch
    from torch import nn

    class WithPreprocessing(nn.Module):
        mean: Tensor
        std: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.swap = normalisation.to_rgb
            self.register_buffer("mean", _column(normalisation.mean))
            self.register_buffer("std", _column(normalisation.std))

        def forward(self, images: Tensor) -> tuple[Tensor, ...]:
            x = images.permute(0, 3, 1, 2)
            if self.swap:
                x = torch.cat([x[:, 2:3], x[:, 1:2], x[:, 0:1]], 1)
            x = x.float()
            if self.mean.any():
                x = x - self.mean
            if (self.std != 1).any():
                x = x / self.std
            return tuple(flat(self.network(x)))

    return WithPreprocessing()


def _column(values: Sequence[float]) -> Tensor:
    import torch

    return torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1)


def _fold_normalisation(model: Any) -> nn.Module:
    """Fold channel order and standard deviation into the first convolution, if it alone takes the image."""
    import torch
    from torch import nn

    readers: list[nn.Module] = []
    image = torch.zeros((1, 3, 64, 64))

    def record(module: nn.Module, args: tuple[Any, ...]) -> None:
        if args and isinstance(args[0], torch.Tensor) and args[0].data_ptr() == image.data_ptr():
            readers.append(module)

    leaves = [m for m in model.network.modules() if not any(True for _ in m.children())]
    hooks = [m.register_forward_pre_hook(record) for m in leaves]
    with suppress(RuntimeError):  # a network for one size of image: its first layer was recorded nonetheless
        model.network(image)
    for hook in hooks:
        hook.remove()
    if len(readers) != 1 or not isinstance(readers[0], nn.Conv2d) or readers[0].in_channels != 3:
        return model
    if readers[0].groups != 1:
        return model
    weight = readers[0].weight / model.std
    readers[0].weight = nn.Parameter(weight.flip(1) if model.swap else weight, requires_grad=False)
    model.std.fill_(1)
    if model.swap:
        model.mean.copy_(model.mean.flip(1))
        model.swap = False
    return model


def _split_wide_convolutions(model: Any) -> nn.Module:
    """Turn wide convolutions to few outputs, such as the last of RTMPose, into a narrow one and a sum of shifts.

    Engines compute outputs in groups of 16, and such a layer has few pixels: as one product of matrices
    RTMPose's last layer (768 channels, 17 keypoints, 7x7) takes 0.4 times as long, the network 0.97 times.
    """
    from torch import nn

    for module in list(model.modules()):
        for name, layer in list(module.named_children()):
            if isinstance(layer, nn.Conv2d) and _is_wide(layer):
                setattr(module, name, _as_shifted_sum(layer))
    return model


def _is_wide(conv: nn.Conv2d) -> bool:
    k = conv.kernel_size[0]
    plain = conv.groups == 1 and conv.stride == conv.dilation == (1, 1) and conv.padding_mode == "zeros"
    square = conv.kernel_size == (k, k) and conv.padding == (k // 2, k // 2)
    return plain and square and k >= 5 and k % 2 == 1 and conv.out_channels <= MAX_NARROW_OUTPUTS <= conv.in_channels


def _as_shifted_sum(conv: nn.Conv2d) -> nn.Module:
    """Return a convolution as one of 1x1 for each of its taps, whose outputs are shifted and added."""
    from torch import nn
    from torch.nn.functional import pad

    class ShiftedSum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.outputs, channels, self.taps, _ = conv.weight.shape
            self.narrow = nn.Conv2d(channels, self.outputs * self.taps**2, 1, bias=False)
            self.narrow.weight = nn.Parameter(
                conv.weight.permute(0, 2, 3, 1).reshape(-1, channels, 1, 1), requires_grad=False
            )
            self.bias = None if conv.bias is None else nn.Parameter(conv.bias.view(1, -1, 1, 1), requires_grad=False)

        def forward(self, x: Tensor) -> Tensor:
            taps, (height, width) = self.taps, x.shape[2:]
            border = taps // 2
            part = pad(self.narrow(x).reshape(-1, self.outputs * taps, taps, height, width), (border, border))
            rows = _sum(part[:, :, i, :, i : i + width] for i in range(taps))
            rows = pad(rows.reshape(-1, self.outputs, taps, height, width), (0, 0, border, border))
            total = _sum(rows[:, :, i, i : i + height] for i in range(taps))
            return total if self.bias is None else total + self.bias

    return ShiftedSum()


def _sum(parts: Iterable[Tensor]) -> Tensor:
    return reduce(operator.add, parts)


def _write(model: nn.Module, sample: Tensor, path: Path, axes: dict[str, dict[int, str]]) -> None:
    import torch

    options: dict[str, Any] = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    with _quiet():
        try:
            torch.onnx.export(
                model,
                (sample,),
                str(path),  # not a file object: above 2 GB a second file is written beside it
                input_names=list(axes)[:1],
                output_names=list(axes)[1:],
                dynamic_axes=axes,
                opset_version=OPSET,
                **options,
            )
        except OSError:  # of a full disk
            raise
        except Exception as error:  # torch's exporter raises classes of its own that differ between versions
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].partition(" Please ")[0]
            raise EngineError(f"torch cannot write the network as ONNX: {reason.rstrip(' .')[:300]}") from error


def _save_weights_apart(path: Path, metadata: dict[str, str]) -> None:
    """Move the weights of a network into a file beside it, which engines memory-map in place of copying it."""
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    onnx.helper.set_model_props(model, metadata)
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer):
        path.write_bytes(model.SerializeToString())  # torch did so already, because it was too large for one file
        return
    weights = path.with_suffix(".weights")
    weights.unlink(missing_ok=True)  # it would be appended to
    onnx.save_model(model, str(path), save_as_external_data=True, location=weights.name)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the exporter's output for developers: warnings, logs, and graphs on standard output."""
    import torch

    log = logging.getLogger("torch.onnx")
    level = log.level
    printed = getattr(torch._C, "_jit_onnx_log", None)  # torch 2.13 has no option to turn it off
    log.setLevel(logging.CRITICAL)
    if printed is not None:
        torch._C._jit_onnx_log = lambda *_: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
        if printed is not None:
            torch._C._jit_onnx_log = printed
