"""ViPNAS: searched ResNet and MobileNetV3 (Xu et al. 2021, arXiv:2105.10154)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .layers import ConvModule, batch_norm
from .resnet import BN, RELU, res_layer

# of the stem and each stage: channels, expansion, blocks, kernel, groups, attention, stride, activation
MOBILE_STAGES = (
    (16, None, None, 3, None, False, 2, "HSwish"),
    (16, 1, 1, 3, 8, True, 1, "ReLU"),
    (24, 5, 4, 7, 120, True, 2, "ReLU"),
    (40, 4, 4, 7, 20, False, 2, "ReLU"),
    (80, 5, 4, 5, 100, True, 2, "HSwish"),
    (112, 5, 4, 7, 280, True, 1, "HSwish"),
    (160, 6, 4, 5, 240, True, 2, "HSwish"),
)


class ContextBlock(nn.Module):
    """Global context: adds a vector computed from the whole map to every pixel (GCNet, arXiv:1904.11492)."""

    def __init__(self, channels: int, ratio: float) -> None:
        super().__init__()
        mid = int(channels * ratio)
        self.conv_mask = nn.Conv2d(channels, 1, 1)
        self.channel_add_conv = nn.Sequential(
            nn.Conv2d(channels, mid, 1),
            nn.LayerNorm([mid, 1, 1]),
            nn.ReLU(inplace=True),
            nn.Conv2d(mid, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        weight = self.conv_mask(x).flatten(2).softmax(2)  # [N, 1, h * w]
        context = x.flatten(2) @ weight.transpose(1, 2)
        return x + self.channel_add_conv(context.unsqueeze(-1))


class ViPNASBottleneck(nn.Module):
    """A bottleneck without narrowing, with grouped convolutions and attention."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        norm_cfg: dict[str, Any] = BN,
        kernel_size: int = 3,
        groups: int = 1,
        attention: bool = False,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.bn1 = batch_norm(out_channels, norm_cfg)
        self.conv2 = nn.Conv2d(
            out_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=groups, bias=False
        )
        self.bn2 = batch_norm(out_channels, norm_cfg)
        self.conv3 = nn.Conv2d(out_channels, out_channels, 1, bias=False)
        self.bn3 = batch_norm(out_channels, norm_cfg)
        self.attention = ContextBlock(out_channels, max(1 / 16, 16 / out_channels)) if attention else None
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        out = torch.relu_(self.bn1(self.conv1(x)))
        out = torch.relu_(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        if self.attention is not None:
            out = self.attention(out)
        return torch.relu_(out + (x if self.downsample is None else self.downsample(x)))


class ViPNASResNet(nn.Module):
    """ViPNAS-Res50 backbone.

    Args:
        wid, dep, ks, group, att: channels, blocks, kernel sizes, groups and attention; of the stem first,
            then of each stage.

    Input is float ``[N, 3, H, W]``; output a tuple of the last stage's ``[N, C, H/32, W/32]``.
    """

    def __init__(
        self,
        depth: int = 50,
        strides: Sequence[int] = (1, 2, 2, 2),
        wid: Sequence[int] = (48, 80, 160, 304, 608),
        dep: Sequence[int | None] = (None, 4, 6, 7, 3),
        ks: Sequence[int] = (7, 3, 5, 5, 5),
        group: Sequence[int | None] = (None, 16, 16, 16, 16),
        att: Sequence[bool | None] = (None, True, False, True, True),
        norm_cfg: dict[str, Any] = BN,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, wid[0], ks[0], 2, ks[0] // 2, bias=False)
        self.bn1 = batch_norm(wid[0], norm_cfg)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        for i, stride in enumerate(strides, start=1):
            layer = res_layer(
                ViPNASBottleneck,
                dep[i] or 1,
                wid[i - 1],
                wid[i],
                stride,
                norm_cfg=norm_cfg,
                kernel_size=ks[i],
                groups=group[i],
                attention=bool(att[i]),
            )
            self.add_module(f"layer{i}", layer)
        self.layers = [f"layer{i + 1}" for i in range(len(strides))]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.maxpool(torch.relu_(self.bn1(self.conv1(x))))
        for name in self.layers:
            x = getattr(self, name)(x)
        return (x,)


class _Excitation(nn.Module):
    """Squeeze and excitation with a steep hard sigmoid."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvModule(channels, channels // 4, 1, act_cfg=RELU)
        self.conv2 = ConvModule(channels // 4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.conv2(self.conv1(F.adaptive_avg_pool2d(x, 1)))
        return x * ((weight + 1) / 2).clamp(0, 1)


class InvertedResidual(nn.Module):
    """Widen by a 1x1 convolution, filter in groups, weight the channels, narrow by another 1x1."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        mid: int,
        kernel: int,
        groups: int,
        stride: int,
        attention: bool,
        norm_cfg: dict[str, Any],
        act_cfg: dict[str, Any],
    ) -> None:
        super().__init__()
        cfg: dict[str, Any] = {"norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self.expand_conv = ConvModule(in_channels, mid, 1, **cfg) if mid != in_channels else None
        self.depthwise_conv = ConvModule(mid, mid, kernel, stride, kernel // 2, groups=groups, **cfg)
        self.se = _Excitation(mid) if attention else None
        self.linear_conv = ConvModule(mid, out_channels, 1, norm_cfg=norm_cfg)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        out = x if self.expand_conv is None else self.expand_conv(x)
        out = self.depthwise_conv(out)
        out = self.linear_conv(out if self.se is None else self.se(out))
        return x + out if self.residual else out


class ViPNASMobileNetV3(nn.Module):
    """ViPNAS-MobileNetV3 backbone, of the stages in `MOBILE_STAGES`.

    Input is float ``[N, 3, H, W]``; output a tuple of one ``[N, 160, H/32, W/32]``.
    """

    def __init__(self, norm_cfg: dict[str, Any] = BN) -> None:
        super().__init__()
        width, _, _, kernel, _, _, stride, act = MOBILE_STAGES[0]
        self.conv1 = ConvModule(3, width, kernel, stride, kernel // 2, norm_cfg=norm_cfg, act_cfg={"type": act})
        self.layers: list[str] = []
        for c_out, expansion, blocks, kernel, groups, attention, stride, act in MOBILE_STAGES[1:]:
            for block in range(blocks or 1):
                layer = InvertedResidual(
                    width,
                    c_out,
                    c_out * (expansion or 1),
                    kernel,
                    groups or 1,
                    stride if block == 0 else 1,
                    attention,
                    norm_cfg,
                    {"type": act},
                )
                width = c_out
                self.layers.append(f"layer{len(self.layers) + 1}")
                self.add_module(self.layers[-1], layer)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.conv1(x)
        for name in self.layers:
            x = getattr(self, name)(x)
        return (x,)
