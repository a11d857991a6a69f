"""What the tests share: a portrait to look at, and the data beside the repository where it is."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # for tests that load ONNX Runtime themselves

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of data that never enters the repository."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the data folder '../shared' is not beside the repository")
    return folder


@pytest.fixture(scope="session")
def portrait() -> np.ndarray:
    """One face, looking at the camera: uint8 [512, 512, 3] BGR."""
    data = pytest.importorskip("skimage.data", reason="scikit-image, which ships the portrait, is not installed")
    return np.ascontiguousarray(data.astronaut()[..., ::-1])
