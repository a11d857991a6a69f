"""Engines that run a network: a batch of uint8 images in, arrays out.

Every engine takes ``uint8 [N, H, W, 3]`` in BGR order and normalises it itself, so that the
pipeline never copies an image into floats. `engines` chooses and opens one; this module loads none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ..errors import CheckpointError

SIZE = "limner.size"  # key of the input's size in the metadata of an exported file, such as 640x640


class Runtime(Protocol):
    """One loaded network."""

    device: str  # what runs it in fact, e.g. "cpu (onnxruntime)"

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        """Run uint8 ``[N, H, W, 3]`` BGR; return float32 outputs in the network's order."""
        ...

    def close(self) -> None:
        """Free the network."""
        ...


@dataclass(frozen=True)
class Tensor:
    """An input or output of a network."""

    name: str
    kind: str  # "float", "float16", "uint8", "int64" ...
    shape: tuple[int | None, ...]  # None: free, or known only when the network runs


@dataclass(frozen=True)
class Signature:
    """What a network in a file takes and gives."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)


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


def batch_size(runtime: Runtime, size: int) -> int:
    """Return the batch size of a network on its device, where ``size`` is the one for a CPU."""
    return 4 * size if runtime.device.startswith("cuda") else size
