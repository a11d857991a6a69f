"""Engines that run a network: a batch of uint8 pictures in, arrays out.

Every engine takes ``uint8 [N, H, W, 3]`` in BGR order and normalises it itself, so that the
pipeline never copies a picture into floats.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Runtime(Protocol):
    """One loaded network."""

    device: str  # what really runs it, e.g. "cpu (onnxruntime)"

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        """Run uint8 ``[N, H, W, 3]`` BGR; return float32 outputs in the network's order."""
        ...

    def close(self) -> None:
        """Free the network."""
        ...
