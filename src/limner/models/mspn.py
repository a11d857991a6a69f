"""MSPN (Li et al. 2019, arXiv:1901.00148) and RSN (Cai et al. 2020, arXiv:2003.04030): U-shaped stages in a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .layers import ConvModule
from .resnet import BN, RELU, Bottleneck


def _conv(c_in: int, c_out: int, norm_cfg: dict[str, Any], relu: bool = True, stride: int = 1) -> ConvModule:
    return ConvModule(c_in, c_out, 1, stride, norm_cfg=norm_cfg, act_cfg=RELU if relu else None)


class RSB(nn.Module):
    """Residual steps block: branches of growing depth, each adding the output of the one before it."""

    expansion = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        norm_cfg: dict[str, Any] = BN,
        num_steps: int = 4,
        expand_times: int = 26,
        top_channels: int = 64,
    ) -> None:
        super().__init__()
        self.steps = num_steps
        width = in_channels * expand_times // top_channels
        self.conv_bn_relu1 = _conv(in_channels, num_steps * width, norm_cfg, stride=stride)
        for i in range(num_steps):
            for j in range(i + 1):
                conv = ConvModule(width, width, 3, 1, 1, norm_cfg=norm_cfg, act_cfg=RELU)
                self.add_module(f"conv_bn_relu2_{i + 1}_{j + 1}", conv)
        self.conv_bn3 = _conv(num_steps * width, out_channels, norm_cfg, relu=False)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        before: list[Tensor] = []
        deepest = []
        for i, part in enumerate(self.conv_bn_relu1(x).chunk(self.steps, dim=1)):
            outs: list[Tensor] = []
            for j in range(i + 1):
                part = part + before[j] if j < i else part
                part = getattr(self, f"conv_bn_relu2_{i + 1}_{j + 1}")(part)
                outs.append(part)
            before = outs
            deepest.append(part)
        out = self.conv_bn3(torch.cat(deepest, dim=1))
        return torch.relu_(out + (x if self.downsample is None else self.downsample(x)))


class Downsample(nn.Module):
    """Downsampling path: residual layers of falling resolution. Output is the coarsest map first."""

    def __init__(
        self,
        block: Callable[..., nn.Module],
        expansion: int,
        blocks: Sequence[int],
        width: int,
        norm_cfg: dict[str, Any],
    ) -> None:
        super().__init__()
        c_in = width
        for i, count in enumerate(blocks):
            c_out, stride = width * 2**i * expansion, 2 if i else 1
            change = _conv(c_in, c_out, norm_cfg, relu=False, stride=stride) if stride > 1 or c_in != c_out else None
            first = block(c_in, c_out, stride, downsample=change, norm_cfg=norm_cfg)
            self.add_module(f"layer{i + 1}", nn.Sequential(first, *[block(c_out, c_out) for _ in range(count - 1)]))
            c_in = c_out

    def forward(self, x: Tensor, skips: Sequence[Sequence[Tensor]] | None) -> list[Tensor]:
        outs = []
        for i, layer in enumerate(self.children()):
            x = layer(x)
            if skips is not None:
                x = x + skips[0][i] + skips[1][i]
            outs.append(x)
        return outs[::-1]


class UpsampleUnit(nn.Module):
    """One unit of the upsampling path; it may return maps for the next stage's downsampling path."""

    def __init__(
        self, in_channels: int, channels: int, first: bool, skips: bool, cross: int, norm_cfg: dict[str, Any]
    ) -> None:
        super().__init__()
        self.in_skip = _conv(in_channels, channels, norm_cfg, relu=False)
        self.up_conv = None if first else _conv(channels, channels, norm_cfg, relu=False)
        self.out_skip1 = _conv(in_channels, in_channels, norm_cfg) if skips else None
        self.out_skip2 = _conv(channels, in_channels, norm_cfg) if skips else None
        self.cross_conv = _conv(channels, cross, norm_cfg) if cross else None

    def forward(self, x: Tensor, below: Tensor | None) -> Tensor:
        out = self.in_skip(x)
        if self.up_conv is not None and below is not None:
            larger = F.interpolate(below, x.shape[2:], mode="bilinear", align_corners=True)
            out = out + self.up_conv(larger)
        return torch.relu_(out)


class Upsample(nn.Module):
    """Upsampling path. Output is the maps of all units, the skips for the next stage, and its input."""

    def __init__(self, channels: int, widths: Sequence[int], skips: bool, norm_cfg: dict[str, Any]) -> None:
        super().__init__()
        self.skips = skips
        for i, width in enumerate(widths):
            cross = 64 if skips and i == len(widths) - 1 else 0
            self.add_module(f"up{i + 1}", UpsampleUnit(width, channels, i == 0, skips, cross, norm_cfg))

    def forward(self, xs: Sequence[Tensor]) -> tuple[list[Tensor], list[list[Tensor]] | None, Tensor | None]:
        units: list[Any] = list(self.children())
        outs: list[Tensor] = []
        for unit, x in zip(units, xs, strict=True):
            outs.append(unit(x, outs[-1] if outs else None))
        if not self.skips:
            return outs, None, None
        one = [unit.out_skip1(x) for unit, x in zip(units, xs, strict=True)]
        two = [unit.out_skip2(out) for unit, out in zip(units, outs, strict=True)]
        return outs, [one[::-1], two[::-1]], units[-1].cross_conv(outs[-1])


class _Stage(nn.Module):
    def __init__(self, downsample: Downsample, upsample: Upsample) -> None:
        super().__init__()
        self.downsample = downsample
        self.upsample = upsample


class StackedPyramids(nn.Module):
    """U-shaped stages in a row: what MSPN and RSN share.

    Args:
        block, expansion: of the way down, and by how much it widens.
        name: attribute of the stages.
        unit_channels: channels of all maps on the ways up.

    Input is float ``[N, 3, H, W]``; output a tuple over stages of lists of maps, the coarsest first.
    """

    def __init__(
        self,
        block: Callable[..., nn.Module],
        expansion: int,
        name: str,
        unit_channels: int = 256,
        num_stages: int = 4,
        num_units: int = 4,
        num_blocks: Sequence[int] = (2, 2, 2, 2),
        norm_cfg: dict[str, Any] = BN,
        res_top_channels: int = 64,
    ) -> None:
        super().__init__()
        if len(num_blocks) != num_units:
            raise ValueError(f"num_blocks has {len(num_blocks)} numbers where num_units is {num_units}")
        stem = ConvModule(3, 64, 7, 2, 3, norm_cfg=norm_cfg, act_cfg=RELU)
        self.top = nn.Module()
        self.top.add_module("top", nn.Sequential(stem, nn.MaxPool2d(3, 2, 1)))
        widths = [expansion * res_top_channels * 2**i for i in reversed(range(num_units))]
        stages = [
            _Stage(
                Downsample(block, expansion, num_blocks, res_top_channels, norm_cfg),
                Upsample(unit_channels, widths, number < num_stages - 1, norm_cfg),
            )
            for number in range(num_stages)
        ]
        self.add_module(name, nn.ModuleList(stages))
        self.stages = name

    def forward(self, x: Tensor) -> tuple[list[Tensor], ...]:
        x = self.top.get_submodule("top")(x)
        outs, skips = [], None
        for stage in getattr(self, self.stages):
            maps, skips, x = stage.upsample(stage.downsample(x, skips))
            outs.append(maps)
        return tuple(outs)


def mspn(**kwargs: Any) -> StackedPyramids:
    """Build MSPN; arguments, input and output as `StackedPyramids`."""
    return StackedPyramids(Bottleneck, Bottleneck.expansion, "multi_stage_mspn", **kwargs)


def rsn(num_steps: int = 4, expand_times: int = 26, **kwargs: Any) -> StackedPyramids:
    """Build RSN of blocks with ``num_steps`` branches; arguments, input and output as `StackedPyramids`."""
    top = kwargs.get("res_top_channels", 64)
    block = partial(RSB, num_steps=num_steps, expand_times=expand_times, top_channels=top)
    return StackedPyramids(block, RSB.expansion, "multi_stage_rsn", **kwargs)


class PredictHeatmap(nn.Module):
    """Heatmaps of one unit, enlarged to ``out_shape`` (height, width)."""

    def __init__(self, channels: int, out_channels: int, out_shape: Sequence[int], norm_cfg: dict[str, Any]) -> None:
        super().__init__()
        self.out_shape = tuple(out_shape)
        last = ConvModule(channels, out_channels, 3, 1, 1, norm_cfg=norm_cfg)
        self.conv_layers = nn.Sequential(_conv(channels, channels, norm_cfg), last)

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self.conv_layers(x), self.out_shape, mode="bilinear", align_corners=True)


class MSPNHead(nn.Module):
    """Heatmaps of every unit of every stage, of which the last are the result.

    Input is a tuple over stages of lists of maps; output ``[N, K, h, w]`` of the last unit.
    """

    def __init__(
        self,
        num_stages: int = 4,
        num_units: int = 4,
        out_shape: Sequence[int] = (64, 48),
        unit_channels: int = 256,
        out_channels: int = 17,
        norm_cfg: dict[str, Any] = BN,
        level_indices: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.predict_layers = nn.ModuleList(
            [PredictHeatmap(unit_channels, out_channels, out_shape, norm_cfg) for _ in range(num_stages * num_units)]
        )

    def forward(self, feats: Sequence[Sequence[Tensor]]) -> Tensor:
        return self.predict_layers[-1](feats[-1][-1])
