"""Lite-HRNet (Yu et al. 2021, arXiv:2104.06403)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .layers import ConvModule, batch_norm
from .resnet import BN, RELU, SELayer


def channel_shuffle(x: Tensor) -> Tensor:
    """Interleave the two halves of the channels."""
    n, channels, height, width = x.shape
    return x.reshape(n, 2, channels // 2, height, width).transpose(1, 2).flatten(1, 2)


def _depthwise(c_in: int, c_out: int, stride: int, norm_cfg: dict[str, Any], relu: bool) -> nn.Sequential:
    """Return a depthwise 3x3 and a 1x1 convolution, each with norm, and ReLU after both where asked for."""
    layers: list[nn.Module] = [
        nn.Conv2d(c_in, c_in, 3, stride, 1, groups=c_in, bias=False),
        batch_norm(c_in, norm_cfg),
        nn.Conv2d(c_in, c_out, 1, bias=False),
        batch_norm(c_out, norm_cfg),
    ]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if relu else nn.Sequential(*layers)


class CrossResolutionWeighting(nn.Module):
    """Weights the channels of all branches, computed from all branches at the coarsest resolution."""

    def __init__(self, channels: Sequence[int], ratio: int, norm_cfg: dict[str, Any]) -> None:
        super().__init__()
        self.channels = list(channels)
        total = sum(channels)
        self.conv1 = ConvModule(total, total // ratio, 1, norm_cfg=norm_cfg, act_cfg=RELU)
        self.conv2 = ConvModule(total // ratio, total, 1, norm_cfg=norm_cfg, act_cfg={"type": "Sigmoid"})

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        # in plain numbers, because ONNX has no pooling to a size that is computed; each branch halves the one before
        rows = [int(x.shape[2]) for x in xs]
        pooled = [*[F.avg_pool2d(x, n // rows[-1]) for x, n in zip(xs[:-1], rows, strict=False)], xs[-1]]
        weights = self.conv2(self.conv1(torch.cat(pooled, dim=1))).split(self.channels, dim=1)
        return [x * F.interpolate(w, x.shape[2:], mode="nearest") for x, w in zip(xs, weights, strict=True)]


class ConditionalChannelWeighting(nn.Module):
    """A shuffle block for all branches whose 1x1 convolutions are replaced by weights."""

    def __init__(self, channels: Sequence[int], ratio: int, norm_cfg: dict[str, Any]) -> None:
        super().__init__()
        halves = [c // 2 for c in channels]
        self.cross_resolution_weighting = CrossResolutionWeighting(halves, ratio, norm_cfg)
        self.depthwise_convs = nn.ModuleList([ConvModule(c, c, 3, 1, 1, groups=c, norm_cfg=norm_cfg) for c in halves])
        self.spatial_weighting = nn.ModuleList([SELayer(c, 4) for c in halves])

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        kept, others = zip(*[x.chunk(2, dim=1) for x in xs], strict=True)
        weighted = self.cross_resolution_weighting(list(others))
        layers = zip(self.depthwise_convs, self.spatial_weighting, weighted, strict=True)
        changed = [weight(conv(x)) for conv, weight, x in layers]
        return [channel_shuffle(torch.cat(pair, dim=1)) for pair in zip(kept, changed, strict=True)]


class ShuffleUnit(nn.Module):
    """ShuffleNetV2's block at stride 1."""

    def __init__(self, channels: int, norm_cfg: dict[str, Any]) -> None:
        super().__init__()
        half = channels // 2
        self.branch2 = nn.Sequential(
            ConvModule(half, half, 1, norm_cfg=norm_cfg, act_cfg=RELU),
            ConvModule(half, half, 3, 1, 1, groups=half, norm_cfg=norm_cfg),
            ConvModule(half, half, 1, norm_cfg=norm_cfg, act_cfg=RELU),
        )

    def forward(self, x: Tensor) -> Tensor:
        kept, changed = x.chunk(2, dim=1)
        return channel_shuffle(torch.cat([kept, self.branch2(changed)], dim=1))


class Stem(nn.Module):
    """The stem: to a quarter of the resolution."""

    def __init__(
        self, in_channels: int, stem_channels: int, out_channels: int, expand_ratio: float, norm_cfg: dict[str, Any]
    ) -> None:
        super().__init__()
        half, mid = stem_channels // 2, round(stem_channels * expand_ratio)
        linear = half if stem_channels == out_channels else stem_channels
        self.conv1 = ConvModule(in_channels, stem_channels, 3, 2, 1, norm_cfg=norm_cfg, act_cfg=RELU)
        self.branch1 = nn.Sequential(
            ConvModule(half, half, 3, 2, 1, groups=half, norm_cfg=norm_cfg),
            ConvModule(half, out_channels - linear, 1, norm_cfg=norm_cfg, act_cfg=RELU),
        )
        self.expand_conv = ConvModule(half, mid, 1, norm_cfg=norm_cfg, act_cfg=RELU)
        self.depthwise_conv = ConvModule(mid, mid, 3, 2, 1, groups=mid, norm_cfg=norm_cfg)
        self.linear_conv = ConvModule(mid, linear, 1, norm_cfg=norm_cfg, act_cfg=RELU)

    def forward(self, x: Tensor) -> Tensor:
        one, two = self.conv1(x).chunk(2, dim=1)
        two = self.linear_conv(self.depthwise_conv(self.expand_conv(two)))
        return channel_shuffle(torch.cat([self.branch1(one), two], dim=1))


def _fuse(channels: Sequence[int], source: int, target: int, norm_cfg: dict[str, Any]) -> nn.Module:
    """Return the layers that bring branch ``source`` to the shape of branch ``target``."""
    if source == target:
        return nn.Identity()
    width = channels[source]
    if source > target:
        conv = nn.Conv2d(width, channels[target], 1, bias=False)
        return nn.Sequential(
            conv, batch_norm(channels[target], norm_cfg), nn.Upsample(scale_factor=2 ** (source - target))
        )
    steps = target - source
    return nn.Sequential(
        *[_depthwise(width, width, 2, norm_cfg, relu=True) for _ in range(steps - 1)],
        _depthwise(width, channels[target], 2, norm_cfg, relu=False),
    )


class LiteHRModule(nn.Module):
    """Some blocks over all branches, then every branch gets the sum of all, brought to its shape."""

    def __init__(
        self, blocks: int, channels: Sequence[int], ratio: int, lite: bool, with_fuse: bool, norm_cfg: dict[str, Any]
    ) -> None:
        super().__init__()
        n = len(channels)
        self.lite = lite
        self.layers: nn.Module
        if lite:
            self.layers = nn.Sequential(
                *[ConditionalChannelWeighting(channels, ratio, norm_cfg) for _ in range(blocks)]
            )
        else:
            self.layers = nn.ModuleList(
                [nn.Sequential(*[ShuffleUnit(c, norm_cfg) for _ in range(blocks)]) for c in channels]
            )
        self.fuse_layers = None
        if with_fuse:
            self.fuse_layers = nn.ModuleList(
                [nn.ModuleList([_fuse(channels, j, i, norm_cfg) for j in range(n)]) for i in range(n)]
            )

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        xs = self.layers(xs) if self.lite else [b(x) for b, x in zip(self.layers.children(), xs, strict=True)]
        if self.fuse_layers is None:
            return xs
        sums = []
        for fuse in self.fuse_layers:
            parts = [layer(x) for layer, x in zip(fuse.children(), xs, strict=True)]
            # the first branch is added twice, and the others take its sum: so the published weights were trained
            sums.append(sum(parts, parts[0]))
            if len(sums) == 1:
                xs = [sums[0], *xs[1:]]
        return [torch.relu(total) for total in sums]


class _Separable(nn.Module):
    def __init__(self, c_in: int, c_out: int, norm_cfg: dict[str, Any]) -> None:
        super().__init__()
        self.depthwise_conv = ConvModule(c_in, c_in, 3, 1, 1, groups=c_in, norm_cfg=norm_cfg)
        self.pointwise_conv = ConvModule(c_in, c_out, 1, norm_cfg=norm_cfg, act_cfg=RELU)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise_conv(self.depthwise_conv(x))


class IterativeHead(nn.Module):
    """Adds each branch, enlarged, to the next finer one; output is the finest."""

    def __init__(self, channels: Sequence[int], norm_cfg: dict[str, Any]) -> None:
        super().__init__()
        widths = [*channels[::-1], channels[0]]
        self.projects = nn.ModuleList([_Separable(a, b, norm_cfg) for a, b in pairwise(widths)])

    def forward(self, xs: Sequence[Tensor]) -> Tensor:
        out = self.projects[0](xs[-1])
        for project, x in zip(self.projects[1:], xs[-2::-1], strict=True):
            out = project(x + F.interpolate(out, x.shape[2:], mode="bilinear", align_corners=True))
        return out


class LiteHRNet(nn.Module):
    """Lite-HRNet backbone.

    Args:
        extra: ``stem``, ``num_stages``, ``stages_spec`` (a value each stage) and ``with_head``.

    Input is float ``[N, 3, H, W]``; output a tuple of one ``[N, C, H/4, W/4]``.
    """

    def __init__(self, extra: Mapping[str, Any], in_channels: int = 3, norm_cfg: dict[str, Any] = BN) -> None:
        super().__init__()
        self.stem = Stem(in_channels, **extra["stem"], norm_cfg=norm_cfg)
        spec = extra["stages_spec"]
        channels = [extra["stem"]["out_channels"]]
        self.stages = extra["num_stages"]
        for i in range(self.stages):
            before, channels = channels, list(spec["num_channels"][i])
            modules = [
                LiteHRModule(
                    spec["num_blocks"][i],
                    channels,
                    spec["reduce_ratios"][i],
                    spec["module_type"][i].upper() == "LITE",
                    spec["with_fuse"][i],
                    norm_cfg,
                )
                for _ in range(spec["num_modules"][i])
            ]
            self.add_module(f"transition{i}", _transition(before, channels, norm_cfg))
            self.add_module(f"stage{i}", nn.Sequential(*modules))
        self.head_layer = IterativeHead(channels, norm_cfg) if extra["with_head"] else None

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        xs = [self.stem(x)]
        for i in range(self.stages):
            change = getattr(self, f"transition{i}")
            xs = [layer(xs[min(j, len(xs) - 1)]) for j, layer in enumerate(change)]
            xs = getattr(self, f"stage{i}")(xs)
        return (xs[0] if self.head_layer is None else self.head_layer(xs),)


def _transition(before: Sequence[int], after: Sequence[int], norm_cfg: dict[str, Any]) -> nn.ModuleList:
    """Return a layer for each branch of the next stage; Identity passes a branch on as it is."""
    layers: list[nn.Module] = []
    for i, width in enumerate(after):
        if i < len(before):
            same = before[i] == width
            layers.append(nn.Identity() if same else _depthwise(before[i], width, 1, norm_cfg, relu=True))
            continue
        widths = [before[-1]] * (i + 1 - len(before)) + [width]
        layers.append(nn.Sequential(*[_depthwise(a, b, 2, norm_cfg, relu=True) for a, b in pairwise(widths)]))
    return nn.ModuleList(layers)
