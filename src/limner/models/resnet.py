"""ResNet and its relatives that share its blocks (He et al. 2015, arXiv:1512.03385)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from .layers import ConvModule, batch_norm

BN = {"type": "BN"}
RELU = {"type": "ReLU"}

# depth: blocks a stage; below 50 they are of the basic kind
STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}

Block = Callable[..., nn.Module]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a residual."""

    expansion = 1

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
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, dilation, dilation, bias=False)
        self.bn1 = batch_norm(out_channels, norm_cfg)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = batch_norm(out_channels, norm_cfg)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        out = torch.relu_(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return torch.relu_(out + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a residual.

    Args:
        groups, base_width: split the 3x3 convolution as ResNeXt does; ``base_width`` is the width of
            one group for 64 channels of the first stage.
        se_ratio: 0, or by how much the squeeze-and-excitation layer narrows.
    """

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
        groups: int = 1,
        base_width: int = 0,
        se_ratio: int = 0,
    ) -> None:
        super().__init__()
        mid = out_channels // self.expansion
        if base_width:
            mid = groups * base_width * mid // 64
        first, second = (1, stride) if style == "pytorch" else (stride, 1)
        self.conv1 = nn.Conv2d(in_channels, mid, 1, first, bias=False)
        self.bn1 = batch_norm(mid, norm_cfg)
        self.conv2 = nn.Conv2d(mid, mid, 3, second, dilation, dilation, groups, bias=False)
        self.bn2 = batch_norm(mid, norm_cfg)
        self.conv3 = nn.Conv2d(mid, out_channels, 1, bias=False)
        self.bn3 = batch_norm(out_channels, norm_cfg)
        self.se_layer = SELayer(out_channels, se_ratio) if se_ratio else None
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        out = torch.relu_(self.bn1(self.conv1(x)))
        out = torch.relu_(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        if self.se_layer is not None:
            out = self.se_layer(out)
        return torch.relu_(out + (x if self.downsample is None else self.downsample(x)))


class SELayer(nn.Module):
    """Squeeze and excitation: weights channels by a function of their means (Hu et al. 2017, arXiv:1709.01507)."""

    def __init__(self, channels: int, ratio: int) -> None:
        super().__init__()
        self.conv1 = ConvModule(channels, channels // ratio, 1, act_cfg=RELU)
        self.conv2 = ConvModule(channels // ratio, channels, 1, act_cfg={"type": "Sigmoid"})

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv2(self.conv1(x.mean((2, 3), keepdim=True)))


def shortcut(
    in_channels: int, out_channels: int, stride: int, norm_cfg: dict[str, Any] = BN, avg_down: bool = False
) -> nn.Module | None:
    """Return the layers that bring a residual to its block's shape, None where none are needed."""
    if stride == 1 and in_channels == out_channels:
        return None
    pool = [nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)] if avg_down and stride > 1 else []
    conv = nn.Conv2d(in_channels, out_channels, 1, 1 if pool else stride, bias=False)
    return nn.Sequential(*pool, conv, batch_norm(out_channels, norm_cfg))


def res_layer(
    block: Block,
    blocks: int,
    in_channels: int,
    out_channels: int,
    stride: int = 1,
    avg_down: bool = False,
    norm_cfg: dict[str, Any] = BN,
    downsample_first: bool = True,
    **kwargs: Any,
) -> nn.Sequential:
    """Chain blocks, of which the first (or the last) changes resolution and width."""
    change = block(
        in_channels,
        out_channels,
        stride,
        downsample=shortcut(in_channels, out_channels, stride, norm_cfg, avg_down),
        norm_cfg=norm_cfg,
        **kwargs,
    )
    width = out_channels if downsample_first else in_channels
    others = [block(width, width, norm_cfg=norm_cfg, **kwargs) for _ in range(blocks - 1)]
    return nn.Sequential(change, *others) if downsample_first else nn.Sequential(*others, change)


class ResNet(nn.Module):
    """ResNet backbone.

    Args:
        depth: 18, 34, 50, 101 or 152.
        out_indices: stages to return, from 0.
        style: "pytorch" strides in the 3x3 convolution of a bottleneck, "caffe" in its first 1x1.
        deep_stem: three 3x3 convolutions in place of the 7x7 one.
        avg_down: average pooling before the shortcuts that halve the resolution.
        block: None chooses the basic block or the bottleneck by depth.

    Input is float ``[N, 3, H, W]``; output a tuple of ``[N, C, H/s, W/s]``.
    """

    def __init__(
        self,
        depth: int,
        in_channels: int = 3,
        stem_channels: int = 64,
        base_channels: int = 64,
        num_stages: int = 4,
        strides: Sequence[int] = (1, 2, 2, 2),
        dilations: Sequence[int] = (1, 1, 1, 1),
        out_indices: Sequence[int] = (3,),
        style: str = "pytorch",
        deep_stem: bool = False,
        avg_down: bool = False,
        norm_cfg: dict[str, Any] = BN,
        block: Block | None = None,
        expansion: int | None = None,
    ) -> None:
        super().__init__()
        block = block or (BasicBlock if depth < 50 else Bottleneck)
        half = stem_channels // 2
        if deep_stem:
            widths = ((in_channels, half, 2), (half, half, 1), (half, stem_channels, 1))
            self.stem = nn.Sequential(
                *[ConvModule(i, o, 3, s, 1, norm_cfg=norm_cfg, act_cfg=RELU) for i, o, s in widths]
            )
        else:
            self.conv1 = nn.Conv2d(in_channels, stem_channels, 7, 2, 3, bias=False)
            self.bn1 = batch_norm(stem_channels, norm_cfg)
        self.deep_stem = deep_stem
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        c_in, c_out = stem_channels, base_channels * (expansion or (1 if depth < 50 else 4))
        for i, blocks in enumerate(STAGES[depth][:num_stages]):
            layer = res_layer(
                block,
                blocks,
                c_in,
                c_out,
                strides[i],
                avg_down,
                norm_cfg,
                dilation=dilations[i],
                style=style,
            )
            self.add_module(f"layer{i + 1}", layer)
            c_in, c_out = c_out, c_out * 2
        self.layers = [f"layer{i + 1}" for i in range(num_stages)]
        self.out_indices = tuple(out_indices)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.maxpool(self.stem(x) if self.deep_stem else torch.relu_(self.bn1(self.conv1(x))))
        outs = []
        for i, name in enumerate(self.layers):
            x = getattr(self, name)(x)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)


def resnet_v1d(**kwargs: Any) -> ResNet:
    """Build ResNet-D (He et al. 2018, arXiv:1812.01187); arguments as `ResNet`."""
    return ResNet(**kwargs, deep_stem=True, avg_down=True)


def resnext(depth: int, groups: int = 32, width_per_group: int = 4, **kwargs: Any) -> ResNet:
    """Build ResNeXt (Xie et al. 2016, arXiv:1611.05431); other arguments as `ResNet`."""
    return ResNet(depth, block=partial(Bottleneck, groups=groups, base_width=width_per_group), **kwargs)


def se_resnet(depth: int, se_ratio: int = 16, **kwargs: Any) -> ResNet:
    """Build ResNet with squeeze and excitation (Hu et al. 2017, arXiv:1709.01507); other arguments as `ResNet`."""
    return ResNet(depth, block=partial(Bottleneck, se_ratio=se_ratio), **kwargs)
