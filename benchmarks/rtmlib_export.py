"""Prepares rtmlib for the comparison: its own environment, and the same weights in its format."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import comparison
from comparison import DETECTOR
from limner import build, checkpoint, config
from limner.runtimes.onnx import import_onnxruntime


def environment(folder: Path) -> Path:
    """Return the Python of rtmlib's environment, which is created where it is missing."""
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.is_file():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    if subprocess.run([str(python), "-c", "import rtmlib"], capture_output=True, check=False).returncode:
        packages = ["rtmlib", "onnxruntime", "opencv-python-headless"]
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True)
    return python


def export(model: comparison.Model, work: Path) -> Path:
    """Export a network in the format of rtmlib: float images, one in a call, normalised by rtmlib."""
    import torch

    path = work / f"{model.case}-rtmlib.onnx"
    if path.is_file():
        return path
    cfg = config.load(model.config)
    network = build.network(cfg["model"])
    build.load_weights(network, checkpoint.load(comparison.checkpoint(model, work)).state_dict)
    width, height = (build.detector_spec(cfg) if model is DETECTOR else build.pose_spec(cfg)).size

    class SingleOutput(torch.nn.Module):
        """YOLOX with one output ``[N, positions, 4 + 1 + classes]``, as in its own exports."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            rows = [
                torch.cat([r, o.sigmoid(), c.sigmoid()], 1).flatten(2) for c, r, o in zip(*self.network(x), strict=True)
            ]
            return torch.cat(rows, 2).transpose(1, 2)

    whole = (SingleOutput() if model is DETECTOR else network).eval()
    with torch.no_grad():
        torch.onnx.export(whole, (torch.zeros(1, 3, height, width),), str(path), opset_version=17, dynamo=False)
    return path


def difference(path: Path, runtime: Any, model: comparison.Model) -> float:
    """Return the difference between the raw outputs of rtmlib's export and limner's, relative to their norm."""
    cfg = config.load(model.config)
    spec = build.detector_spec(cfg) if model is DETECTOR else build.pose_spec(cfg)
    width, height = spec.size
    image = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    colours = spec.normalisation
    values = image[..., ::-1] if colours.to_rgb else image
    values = (values.astype(np.float32) - np.float32(colours.mean)) / np.float32(colours.std)
    session = import_onnxruntime().InferenceSession(str(path), providers=["CPUExecutionProvider"])
    theirs = session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(values.transpose(0, 3, 1, 2))})
    ours = runtime(image)
    if model is DETECTOR:
        cls, reg, obj = (ours[i : i + 3] for i in (0, 3, 6))
        logistic = [[1 / (1 + np.exp(-a)) for a in part] for part in (obj, cls)]
        parts = [np.concatenate(level, 1).reshape(1, -1, level[0].shape[2] * level[0].shape[3])
                 for level in zip(reg, *logistic, strict=True)]  # fmt: skip
        ours = [np.concatenate(parts, 2).transpose(0, 2, 1)]
    return max(float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in zip(ours, theirs, strict=True))
