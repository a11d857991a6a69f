"""A backbone, an optional neck and a head, called one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


class Network(nn.Module):
    """Input float ``[N, 3, H, W]``, normalised; output is the head's.

    Args:
        parts: name to module, in order of the data; the names become attributes.
    """

    def __init__(self, parts: Mapping[str, nn.Module]) -> None:
        super().__init__()
        for name, module in parts.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Any:
        for module in self.children():
            x = module(x)
        return x
