"""Small necks between a backbone and a pose head."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FeatureMapProcessor(nn.Module):
    """Selects, joins, rectifies and enlarges feature maps; it has no weights.

    Args:
        select_index: which maps to keep; None keeps all.
        concat: enlarge all maps to the first one's size and join their channels.
        apply_relu: set negative values to zero.
        scale_factor: enlarge by it, bilinear, after all else.

    Input and output are tuples of ``[N, C, h, w]``.
    """

    def __init__(
        self,
        select_index: int | Sequence[int] | None = None,
        concat: bool = False,
        scale_factor: float = 1.0,
        apply_relu: bool = False,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        self.select_index = (select_index,) if isinstance(select_index, int) else select_index
        self.concat = concat
        self.scale_factor = scale_factor
        self.apply_relu = apply_relu
        self.align_corners = align_corners

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        if self.select_index is not None:
            maps = [maps[i] for i in self.select_index]
        if self.concat:
            size = maps[0].shape[-2:]
            resized = [F.interpolate(x, size, mode="bilinear", align_corners=self.align_corners) for x in maps]
            maps = [torch.cat(resized, dim=1)]
        if self.apply_relu:
            maps = [torch.relu(x) for x in maps]
        if self.scale_factor != 1.0:
            maps = [
                F.interpolate(x, scale_factor=self.scale_factor, mode="bilinear", align_corners=self.align_corners)
                for x in maps
            ]
        return tuple(maps)


class GlobalAveragePooling(nn.Module):
    """The mean of each channel: ``[N, C, h, w]`` to ``[N, C]``, for each map of a tuple."""

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return tuple(F.adaptive_avg_pool2d(x, 1).flatten(1) for x in maps)
