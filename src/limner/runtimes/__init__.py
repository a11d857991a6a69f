"""Engines that run a network: a batch of uint8 images in, arrays out.

Every engine takes ``uint8 [N, H, W, 3]`` in BGR order and normalises it itself, so that the
pipeline never copies an image into floats. `engines` chooses and opens one; this module loads none.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ..errors import CheckpointError


class Runtime(Protocol):
    """One loaded network."""

    device: str  # what runs it in fact, e.g. "cpu (onnxruntime)"

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        """Run uint8 ``[N, H, W, 3]`` BGR; return float32 outputs in the network's order."""
        ...

    def close(self) -> None:
        """Free the network."""
        ...


class Normalisation(Protocol):
    """Channel order, mean and standard deviation that a network's input is normalised with."""

    @property
    def mean(self) -> tuple[float, ...]:
        """Of 0..255, in the network's own channel order."""
        ...

    @property
    def std(self) -> tuple[float, ...]:
        """As `mean`."""
        ...

    @property
    def to_rgb(self) -> bool:
        """Whether the network takes RGB, not BGR."""
        ...


class EngineError(CheckpointError):
    """A network that an engine cannot run; another engine may."""
