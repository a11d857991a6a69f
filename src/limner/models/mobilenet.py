"""MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from .layers import ConvModule

BN = {"type": "BN"}
RELU6 = {"type": "ReLU6"}

# expansion, channels, blocks, stride of the first block
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def make_divisible(value: float, divisor: int, least_ratio: float = 0.9) -> int:
    """Round a number of channels to a multiple of ``divisor``, but never below ``least_ratio`` of it."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < least_ratio * value else rounded


class InvertedResidual(nn.Module):
    """Widen by a 1x1 convolution, filter depthwise, narrow by another 1x1."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        expand_ratio: int,
        norm_cfg: dict[str, Any],
        act_cfg: dict[str, Any],
    ) -> None:
        super().__init__()
        mid = round(in_channels * expand_ratio)
        cfg: dict[str, Any] = {"norm_cfg": norm_cfg, "act_cfg": act_cfg}
        widen = [ConvModule(in_channels, mid, 1, **cfg)] if expand_ratio != 1 else []
        self.conv = nn.Sequential(
            *widen,
            ConvModule(mid, mid, 3, stride, 1, groups=mid, **cfg),
            ConvModule(mid, out_channels, 1, norm_cfg=norm_cfg),
        )
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetV2(nn.Module):
    """MobileNetV2 backbone.

    Args:
        widen_factor: multiplies the number of channels.
        out_indices: stages to return; 7 is the last 1x1 convolution.

    Input is float ``[N, 3, H, W]``; output a tuple of ``[N, C, H/s, W/s]``.
    """

    def __init__(
        self,
        widen_factor: float = 1.0,
        out_indices: Sequence[int] = (7,),
        norm_cfg: dict[str, Any] = BN,
        act_cfg: dict[str, Any] = RELU6,
    ) -> None:
        super().__init__()
        cfg: dict[str, Any] = {"norm_cfg": norm_cfg, "act_cfg": act_cfg}
        width = make_divisible(32 * widen_factor, 8)
        self.conv1 = ConvModule(3, width, 3, 2, 1, **cfg)
        for i, (ratio, channels, blocks, stride) in enumerate(STAGES, start=1):
            out = make_divisible(channels * widen_factor, 8)
            widths = [width, *[out] * blocks]
            layers = [
                InvertedResidual(widths[b], out, stride if b == 0 else 1, ratio, norm_cfg, act_cfg)
                for b in range(blocks)
            ]
            self.add_module(f"layer{i}", nn.Sequential(*layers))
            width = out
        self.conv2 = ConvModule(width, int(1280 * max(widen_factor, 1.0)), 1, **cfg)
        self.layers = [*[f"layer{i + 1}" for i in range(len(STAGES))], "conv2"]
        self.out_indices = tuple(out_indices)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.conv1(x)
        outs = []
        for i, name in enumerate(self.layers):
            x = getattr(self, name)(x)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)
