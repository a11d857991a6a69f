"""What this installation can run: torch, or an ONNX file in place of weights that need it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from .. import zoo
from ..errors import ArgumentError, MissingExtraError, is_installed
from ..runtimes.engines import Engine, choose_engine
from .choices import Choice


def fit(choice: Choice, is_prepared: Callable[[Choice], bool]) -> Choice:
    """Return a choice that this installation can run: without torch its ONNX file takes the place of a ``.pth``.

    Args:
        choice: a model.
        is_prepared: whether the export of a checkpoint is cached, which needs no torch either.

    Raises:
        MissingExtraError: it needs torch, which is not installed.
    """
    if choice.is_onnx or is_installed("torch") or is_prepared(choice):
        return choice
    if choice.info is not None and choice.info.onnx and not choice.own_weights:
        return replace(choice, weights=choice.info.onnx)
    what = f"'{choice.label}'" if choice.own_weights else f"'{choice.label}', which is published as .pth only,"
    raise MissingExtraError(what, "torch", _instead(choice))


def _instead(choice: Choice) -> str:
    """Return what can be used without torch in place of a model."""
    info = choice.info
    if info is None or choice.own_weights:
        return "or give it as .onnx"
    if info.kind == "detector":
        return "or give a detector as .onnx, or 'whole-image' where each image shows one object"
    others = [m for m in zoo.models() if m.keypoints == info.keypoints and (m.onnx or m.bundled)]
    size = info.parameters or 0
    others.sort(key=lambda m: (not m.aliases, abs((m.parameters or 0) - size)))  # with a short name, of similar size
    return f"or use '{others[0].short_name}', which finds the same keypoints without them" if others else ""


def engine_for(choice: Choice, device: str | None, backend: str, *, half: bool) -> Engine:
    """Return the engine that runs a choice.

    Raises:
        ArgumentError: the backend is torch and the weights are an ONNX file, or an argument is impossible.
        DeviceError, MissingExtraError: the device or engine is not available.
    """
    if not choice.is_onnx:
        return choose_engine(device, backend, half=half)
    if backend == "torch" and not is_installed("torch"):
        raise MissingExtraError("The backend torch", "torch")
    if backend == "torch":
        name = Path(str(choice.weights)).name if choice.weights else choice.label
        raise ArgumentError(f"torch cannot run '{name}', an ONNX file: use --backend onnxruntime")
    # torch runs no ONNX files: a GPU is chosen only where ONNX Runtime can use it
    return choose_engine(device, "onnxruntime" if backend == "auto" else backend, half=half)
