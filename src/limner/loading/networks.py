"""Opens ONNX files: limner's own, MMDeploy's, and what other tools export in the same forms.

What a file takes and gives says what it is; a config, or the ``pipeline.json`` of MMDeploy, says the rest:
see `onnx_pose` and `onnx_detector`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import build
from ..errors import CheckpointError
from ..runtimes import SIZE, Runtime, Signature
from ..runtimes.engines import Engine, open_file
from ..runtimes.foreign import ForeignNetwork, takes_floats, takes_pixels
from ..runtimes.onnx import read_signature

Size = tuple[int, int]  # (width, height)


@dataclass(frozen=True)
class Opened:
    """A network that runs, and the shapes of what it gives for one image."""

    label: str
    runtime: Runtime  # takes uint8 [N, H, W, 3]
    signature: Signature
    size: Size
    shapes: tuple[tuple[int, ...], ...]


def open_network(label: str, path: Path, engine: Engine) -> tuple[Signature, Runtime]:
    """Open an ONNX file, and say what the network takes and gives.

    Raises:
        CheckpointError: it is damaged, or takes no images.
    """
    runtime = open_file(path, engine)
    signature = getattr(runtime, "signature", None) or read_signature(path)
    if not (takes_floats(signature) or takes_pixels(signature)):
        inputs = ", ".join(f"{t.kind} {[side or '?' for side in t.shape]}" for t in signature.inputs)
        raise CheckpointError(
            f"'{label}' is no network for images that limner knows: it takes {inputs or 'nothing'} where "
            "float [N, 3, height, width] is needed"
        )
    return signature, runtime


def input_size(signature: Signature) -> Size | None:
    """Return the (width, height) of a network's input, None where it takes any."""
    shape = signature.inputs[0].shape
    height, width = shape[1:3] if takes_pixels(signature) else shape[2:4]
    return (width, height) if width and height else None


def stored_size(signature: Signature) -> Size | None:
    """Return the size that an export of limner states."""
    width, _, height = signature.metadata.get(SIZE, "").partition("x")
    return (int(width), int(height)) if width.isdigit() and height.isdigit() else None


def run_once(
    label: str,
    runtime: Runtime,
    signature: Signature,
    normalisation: build.Normalisation,
    size: Size,
    *,
    alone: bool = False,
) -> Opened:
    """Make the network take pixels, and run it once on a black image for the shapes of its outputs."""
    if not takes_pixels(signature):
        runtime = ForeignNetwork(runtime, signature, normalisation, alone=alone)
    shapes: tuple[tuple[int, ...], ...]
    fixed = [t.shape[1:] for t in signature.outputs]
    if all(None not in shape for shape in fixed):
        shapes = tuple((1, *(side or 0 for side in shape)) for shape in fixed)
    else:
        shapes = tuple(o.shape for o in runtime(np.zeros((1, size[1], size[0], 3), np.uint8)))
    return Opened(label, runtime, signature, size, shapes)
