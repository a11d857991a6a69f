"""Convolutional pose machine (Wei et al. 2016, arXiv:1602.00134)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .layers import ConvModule
from .resnet import BN, RELU


class CpmBlock(nn.Module):
    """Three wide convolutions."""

    def __init__(self, in_channels: int, channels: int, norm_cfg: dict[str, Any]) -> None:
        super().__init__()
        widths = (in_channels, channels, channels)
        self.model = nn.Sequential(
            *[ConvModule(w, channels, 11, 1, 5, norm_cfg=norm_cfg, act_cfg=RELU) for w in widths]
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class CPM(nn.Module):
    """Convolutional pose machine backbone.

    Args:
        out_channels: channels of the maps that each stage predicts and the next one refines.
        num_stages: stages in a row.

    Input is float ``[N, 3, H, W]``; output a tuple of ``[N, out_channels, H/8, W/8]``, one each stage.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        feat_channels: int = 128,
        middle_channels: int = 32,
        num_stages: int = 6,
        norm_cfg: dict[str, Any] = BN,
    ) -> None:
        super().__init__()
        later = range(num_stages - 1)

        def conv(c_in: int, c_out: int, kernel: int) -> ConvModule:
            return ConvModule(c_in, c_out, kernel, 1, kernel // 2, norm_cfg=norm_cfg, act_cfg=RELU)

        def reduce() -> list[nn.Module]:
            widths = (in_channels, 128, 128)
            return [part for w in widths for part in (conv(w, 128, 9), nn.MaxPool2d(3, 2, 1))]

        tail = (conv(128, 32, 5), conv(32, 512, 9), conv(512, 512, 1), ConvModule(512, out_channels, 1))
        self.stem = nn.Sequential(*reduce(), *tail)
        self.middle = nn.Sequential(*reduce())
        self.cpm_stages = nn.ModuleList(
            [CpmBlock(middle_channels + out_channels, feat_channels, norm_cfg) for _ in later]
        )
        self.middle_conv = nn.ModuleList([nn.Sequential(conv(128, middle_channels, 5)) for _ in later])
        self.out_convs = nn.ModuleList(
            [
                nn.Sequential(conv(feat_channels, feat_channels, 1), ConvModule(feat_channels, out_channels, 1))
                for _ in later
            ]
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        middle = self.middle(x)
        outs = [self.stem(x)]
        for stage, reduce, out_conv in zip(self.cpm_stages, self.middle_conv, self.out_convs, strict=True):
            outs.append(out_conv(stage(torch.cat([outs[-1], reduce(middle)], dim=1))))
        return tuple(outs)
