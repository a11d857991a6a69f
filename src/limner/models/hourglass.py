"""Stacked hourglass (Newell et al. 2016, arXiv:1603.06937)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .layers import ConvModule
from .resnet import BN, RELU, BasicBlock, res_layer


class HourglassModule(nn.Module):
    """One level: half the resolution, the next level inside it, and the full resolution again."""

    def __init__(self, depth: int, channels: Sequence[int], blocks: Sequence[int]) -> None:
        super().__init__()
        here, inner = channels[:2]
        self.up1 = res_layer(BasicBlock, blocks[0], here, here)
        self.low1 = res_layer(BasicBlock, blocks[0], here, inner, stride=2)
        self.low2 = (
            HourglassModule(depth - 1, channels[1:], blocks[1:])
            if depth > 1
            else res_layer(BasicBlock, blocks[1], inner, inner)
        )
        self.low3 = res_layer(BasicBlock, blocks[0], inner, here, downsample_first=False)

    def forward(self, x: Tensor) -> Tensor:
        low = self.low3(self.low2(self.low1(x)))
        return self.up1(x) + F.interpolate(low, scale_factor=2.0, mode="nearest")


class HourglassNet(nn.Module):
    """Stacked hourglass backbone.

    Args:
        downsample_times: folds of each hourglass.
        num_stacks: hourglasses in a row.

    Input is float ``[N, 3, H, W]``; output a tuple of ``[N, feat_channel, H/4, W/4]``, one each stack.
    """

    def __init__(
        self,
        downsample_times: int = 5,
        num_stacks: int = 2,
        stage_channels: Sequence[int] = (256, 256, 384, 384, 384, 512),
        stage_blocks: Sequence[int] = (2, 2, 2, 2, 2, 4),
        feat_channel: int = 256,
        norm_cfg: dict[str, Any] = BN,
    ) -> None:
        super().__init__()
        width = stage_channels[0]
        between = range(num_stacks - 1)
        self.stem = nn.Sequential(
            ConvModule(3, 128, 7, 2, 3, norm_cfg=norm_cfg, act_cfg=RELU),
            res_layer(BasicBlock, 1, 128, 256, stride=2, norm_cfg=norm_cfg),
        )
        self.hourglass_modules = nn.ModuleList(
            [HourglassModule(downsample_times, stage_channels, stage_blocks) for _ in range(num_stacks)]
        )
        # one stack has a block too, which is never called: checkpoints hold it
        self.inters = res_layer(BasicBlock, num_stacks - 1, width, width, norm_cfg=norm_cfg)
        self.conv1x1s = nn.ModuleList([ConvModule(width, width, 1, norm_cfg=norm_cfg) for _ in between])
        self.out_convs = nn.ModuleList(
            [ConvModule(width, feat_channel, 3, 1, 1, norm_cfg=norm_cfg, act_cfg=RELU) for _ in range(num_stacks)]
        )
        self.remap_convs = nn.ModuleList([ConvModule(feat_channel, width, 1, norm_cfg=norm_cfg) for _ in between])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.stem(x)
        outs = []
        for i, (hourglass, out_conv) in enumerate(zip(self.hourglass_modules, self.out_convs, strict=True)):
            outs.append(out_conv(hourglass(x)))
            if i < len(self.conv1x1s):
                x = torch.relu_(self.conv1x1s[i](x) + self.remap_convs[i](outs[-1]))
                x = self.inters[i](x)
        return tuple(outs)
