"""SCNet: ResNet with self-calibrated bottlenecks (Liu et al. 2020, CVPR)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .layers import batch_norm
from .resnet import BN, ResNet

POOLING = 4  # side of the window that the calibrating branch averages over


def _conv3x3(channels: int, stride: int, norm_cfg: dict[str, Any]) -> list[nn.Module]:
    return [nn.Conv2d(channels, channels, 3, stride, 1, bias=False), batch_norm(channels, norm_cfg)]


class SCConv(nn.Module):
    """A convolution whose output is weighted by a pooled view of its input."""

    def __init__(self, channels: int, stride: int, norm_cfg: dict[str, Any]) -> None:
        super().__init__()
        self.k2 = nn.Sequential(nn.AvgPool2d(POOLING, POOLING), *_conv3x3(channels, 1, norm_cfg))
        self.k3 = nn.Sequential(*_conv3x3(channels, 1, norm_cfg))
        self.k4 = nn.Sequential(*_conv3x3(channels, stride, norm_cfg), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        weight = torch.sigmoid(x + F.interpolate(self.k2(x), x.shape[2:]))
        return self.k4(self.k3(x) * weight)


class SCBottleneck(nn.Module):
    """A bottleneck of two halves: a plain convolution beside a self-calibrated one."""

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        dilation: int = 1,
        downsample: nn.Module | None = None,
        style: str = "pytorch",
        norm_cfg: dict[str, Any] = BN,
    ) -> None:
        super().__init__()
        mid = out_channels // self.expansion // 2
        self.conv1 = nn.Conv2d(in_channels, mid, 1, bias=False)
        self.bn1 = batch_norm(mid, norm_cfg)
        self.k1 = nn.Sequential(*_conv3x3(mid, stride, norm_cfg), nn.ReLU(inplace=True))
        self.conv2 = nn.Conv2d(in_channels, mid, 1, bias=False)
        self.bn2 = batch_norm(mid, norm_cfg)
        self.scconv = SCConv(mid, stride, norm_cfg)
        self.conv3 = nn.Conv2d(2 * mid, out_channels, 1, bias=False)
        self.bn3 = batch_norm(out_channels, norm_cfg)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        plain = self.k1(torch.relu_(self.bn1(self.conv1(x))))
        calibrated = self.scconv(torch.relu_(self.bn2(self.conv2(x))))
        out = self.bn3(self.conv3(torch.cat([plain, calibrated], dim=1)))
        return torch.relu_(out + (x if self.downsample is None else self.downsample(x)))


def scnet(depth: int, **kwargs: Any) -> ResNet:
    """Build SCNet-50 or SCNet-101; arguments, input and output as `ResNet`."""
    return ResNet(depth, block=SCBottleneck, **kwargs)
