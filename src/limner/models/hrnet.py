"""HRNet: branches of several resolutions side by side (Sun et al. 2019, arXiv:1902.09212)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from .layers import batch_norm
from .resnet import BN, BasicBlock, Bottleneck, res_layer

BLOCKS: dict[str, Any] = {"BASIC": BasicBlock, "BOTTLENECK": Bottleneck}


def _conv(i: int, o: int, kernel: int, stride: int, norm_cfg: dict[str, Any], relu: bool = True) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(i, o, kernel, stride, kernel // 2, bias=False), batch_norm(o, norm_cfg)]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if relu else nn.Sequential(*layers)


def _fuse(channels: Sequence[int], source: int, target: int, norm_cfg: dict[str, Any], up: Any) -> nn.Module:
    """Return the layers that bring branch ``source`` to the shape of branch ``target``."""
    if source == target:
        return nn.Identity()
    if source > target:
        conv = _conv(channels[source], channels[target], 1, 1, norm_cfg, relu=False)
        return nn.Sequential(*conv, nn.Upsample(scale_factor=2 ** (source - target), **up))
    width = channels[source]
    steps = target - source
    return nn.Sequential(
        *[_conv(width, width, 3, 2, norm_cfg) for _ in range(steps - 1)],
        _conv(width, channels[target], 3, 2, norm_cfg, relu=False),
    )


class HRModule(nn.Module):
    """Some blocks in each branch, then every branch gets the sum of all, brought to its shape."""

    def __init__(
        self,
        block: Any,
        blocks: Sequence[int],
        channels: Sequence[int],
        multiscale: bool,
        norm_cfg: dict[str, Any],
        up: Mapping[str, Any],
    ) -> None:
        super().__init__()
        n = len(blocks)
        self.branches = nn.ModuleList(
            [res_layer(block, blocks[i], channels[i], channels[i], norm_cfg=norm_cfg) for i in range(n)]
        )
        targets = n if multiscale else 1
        self.fuse_layers = nn.ModuleList(
            [nn.ModuleList([_fuse(channels, j, i, norm_cfg, up) for j in range(n)]) for i in range(targets)]
        )

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        xs = [branch(x) for branch, x in zip(self.branches, xs, strict=True)]
        outs = []
        for fuse in self.fuse_layers:
            parts = [layer(x) for layer, x in zip(fuse.children(), xs, strict=True)]
            outs.append(torch.relu_(sum(parts[1:], parts[0])))
        return outs


class HRNet(nn.Module):
    """HRNet backbone.

    Args:
        extra: ``stage1`` to ``stage4``, each ``num_modules``, ``block``, ``num_blocks``,
            ``num_channels``; ``multiscale_output`` of stage 4 returns all branches; ``upsample`` is
            the mode that branches are enlarged with.

    Input is float ``[N, 3, H, W]``; output a tuple of ``[N, C, H/4, W/4]`` and, where asked for, the
    branches of lower resolution.
    """

    def __init__(self, extra: Mapping[str, Any], in_channels: int = 3, norm_cfg: dict[str, Any] = BN) -> None:
        super().__init__()
        up = {"mode": "nearest", "align_corners": None} | dict(extra.get("upsample", {}))
        self.conv1 = nn.Conv2d(in_channels, 64, 3, 2, 1, bias=False)
        self.bn1 = batch_norm(64, norm_cfg)
        self.conv2 = nn.Conv2d(64, 64, 3, 2, 1, bias=False)
        self.bn2 = batch_norm(64, norm_cfg)
        first = extra["stage1"]
        block = BLOCKS[first["block"]]
        channels = [first["num_channels"][0] * block.expansion]
        self.layer1 = res_layer(block, first["num_blocks"][0], 64, channels[0], norm_cfg=norm_cfg)
        for number in (2, 3, 4):
            stage = extra[f"stage{number}"]
            block = BLOCKS[stage["block"]]
            before, channels = channels, [c * block.expansion for c in stage["num_channels"]]
            everywhere = number < 4 or stage.get("multiscale_output", False)
            modules = stage["num_modules"]
            parts = [
                HRModule(block, stage["num_blocks"], channels, everywhere or m < modules - 1, norm_cfg, up)
                for m in range(modules)
            ]
            self.add_module(f"transition{number - 1}", _transition(before, channels, norm_cfg))
            self.add_module(f"stage{number}", nn.Sequential(*parts))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = torch.relu_(self.bn1(self.conv1(x)))
        x = torch.relu_(self.bn2(self.conv2(x)))
        xs = [self.layer1(x)]
        for number in (1, 2, 3):
            change = getattr(self, f"transition{number}")
            xs = [xs[i] if isinstance(layer, nn.Identity) else layer(xs[-1]) for i, layer in enumerate(change)]
            xs = getattr(self, f"stage{number + 1}")(xs)
        return tuple(xs)


def _transition(before: Sequence[int], after: Sequence[int], norm_cfg: dict[str, Any]) -> nn.ModuleList:
    """Return a layer for each branch of the next stage; Identity passes the branch of its number on."""
    layers: list[nn.Module] = []
    for i, width in enumerate(after):
        if i < len(before):
            layers.append(nn.Identity() if before[i] == width else _conv(before[i], width, 3, 1, norm_cfg))
            continue
        steps = i + 1 - len(before)
        widths = [before[-1]] * steps + [width]
        pairs = pairwise(widths)
        layers.append(nn.Sequential(*[_conv(a, b, 3, 2, norm_cfg) for a, b in pairs]))
    return nn.ModuleList(layers)
