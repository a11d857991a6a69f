"""RTMDet's anchor-free heads (Lyu et al. 2022, arXiv:2212.07784)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from .layers import ConvModule, DepthwiseSeparableConvModule, Scale

BN = {"type": "BN"}
SILU = {"type": "SiLU"}


class RTMDetHead(nn.Module):
    """The head whose layers, norms too, are shared by all levels.

    Input is the neck's tuple ``[N, C, H/s, W/s]``; output ``(cls, reg)``, two tuples over levels:
    class logits ``[N, classes, h, w]`` and distances to left, top, right, bottom in pixels of the
    network's input ``[N, 4, h, w]``.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        feat_channels: int = 256,
        stacked_convs: int = 2,
        strides: Sequence[int] = (8, 16, 32),
        pred_kernel_size: int = 1,
        with_objectness: bool = False,
        norm_cfg: dict[str, Any] = BN,
        act_cfg: dict[str, Any] = SILU,
    ) -> None:
        super().__init__()
        cfg: dict[str, Any] = {"norm_cfg": norm_cfg, "act_cfg": act_cfg}
        pad = pred_kernel_size // 2
        self.strides = tuple(strides)
        widths = [in_channels, *[feat_channels] * stacked_convs]
        pairs = list(pairwise(widths))
        self.cls_convs = nn.ModuleList([ConvModule(i, o, 3, 1, 1, **cfg) for i, o in pairs])
        self.reg_convs = nn.ModuleList([ConvModule(i, o, 3, 1, 1, **cfg) for i, o in pairs])
        self.rtm_cls = nn.Conv2d(feat_channels, num_classes, pred_kernel_size, padding=pad)
        self.rtm_reg = nn.Conv2d(feat_channels, 4, pred_kernel_size, padding=pad)
        self.rtm_obj = nn.Conv2d(feat_channels, 1, pred_kernel_size, padding=pad) if with_objectness else None
        self.scales = nn.ModuleList([Scale() for _ in self.strides])

    def forward(self, feats: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        cls, reg = [], []
        for x, scale, stride in zip(feats, self.scales, self.strides, strict=True):
            c = r = x
            for layer in self.cls_convs:
                c = layer(c)
            for layer in self.reg_convs:
                r = layer(r)
            logits = self.rtm_cls(c)
            if self.rtm_obj is not None:
                logits = merge_objectness(logits, self.rtm_obj(r))
            cls.append(logits)
            reg.append(scale(self.rtm_reg(r).exp()) * stride)
        return tuple(cls), tuple(reg)


class RTMDetSepBNHead(nn.Module):
    """The head with norms of their own for each level; ``share_conv`` shares the convolutions.

    Input and output as `RTMDetHead`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        feat_channels: int = 256,
        stacked_convs: int = 2,
        strides: Sequence[int] = (8, 16, 32),
        pred_kernel_size: int = 1,
        with_objectness: bool = False,
        share_conv: bool = True,
        use_depthwise: bool = False,
        exp_on_reg: bool = False,
        norm_cfg: dict[str, Any] = BN,
        act_cfg: dict[str, Any] = SILU,
    ) -> None:
        super().__init__()
        cfg: dict[str, Any] = {"norm_cfg": norm_cfg, "act_cfg": act_cfg}
        conv = DepthwiseSeparableConvModule if use_depthwise else ConvModule
        pad = pred_kernel_size // 2
        self.strides = tuple(strides)
        self.exp_on_reg = exp_on_reg
        widths = [in_channels, *[feat_channels] * stacked_convs]

        def branch() -> nn.Sequential:
            pairs = pairwise(widths)
            return nn.Sequential(*[conv(i, o, 3, 1, 1, **cfg) for i, o in pairs])

        def predict(channels: int) -> nn.ModuleList:
            return nn.ModuleList(
                [nn.Conv2d(feat_channels, channels, pred_kernel_size, padding=pad) for _ in self.strides]
            )

        self.cls_convs = nn.ModuleList([branch() for _ in self.strides])
        self.reg_convs = nn.ModuleList([branch() for _ in self.strides])
        self.rtm_cls = predict(num_classes)
        self.rtm_reg = predict(4)
        self.rtm_obj = predict(1) if with_objectness else None
        if share_conv:
            for branches in (self.cls_convs, self.reg_convs):
                for level in range(1, len(self.strides)):
                    for own, first in zip(branches[level].children(), branches[0].children(), strict=True):
                        _share(own, first)

    def forward(self, feats: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        cls, reg = [], []
        for level, (x, stride) in enumerate(zip(feats, self.strides, strict=True)):
            c = self.cls_convs[level](x)
            r = self.reg_convs[level](x)
            logits = self.rtm_cls[level](c)
            if self.rtm_obj is not None:
                logits = merge_objectness(logits, self.rtm_obj[level](r))
            cls.append(logits)
            distance = self.rtm_reg[level](r)
            reg.append((distance.exp() if self.exp_on_reg else distance) * stride)
        return tuple(cls), tuple(reg)


def _share(own: nn.Module, first: nn.Module) -> None:
    """Let ``own`` use the convolutions of ``first`` while it keeps its norms."""
    if isinstance(own, DepthwiseSeparableConvModule) and isinstance(first, DepthwiseSeparableConvModule):
        own.depthwise_conv.conv = first.depthwise_conv.conv
        own.pointwise_conv.conv = first.pointwise_conv.conv
    elif isinstance(own, ConvModule) and isinstance(first, ConvModule):
        own.conv = first.conv


def merge_objectness(logits: Tensor, objectness: Tensor) -> Tensor:
    """Return the logit of the geometric mean of both probabilities."""
    p = (logits.sigmoid() * objectness.sigmoid()).sqrt()
    return torch.log(p.clamp(min=1e-5) / (1 - p).clamp(min=1e-5))
