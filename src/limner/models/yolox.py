"""YOLOX: CSPDarknet backbone, PAFPN neck, decoupled head (Ge et al. 2021, arXiv:2107.08430)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from .cspnext import BN, SILU, CSPLayer, CSPNeXtPAFPN, SPPBottleneck
from .layers import ConvModule, DepthwiseSeparableConvModule

# in channels, out channels, blocks, residual inside blocks, spatial pyramid pooling
STAGES = {
    "P5": [
        (64, 128, 3, True, False),
        (128, 256, 9, True, False),
        (256, 512, 9, True, False),
        (512, 1024, 3, False, True),
    ],
    "P6": [
        (64, 128, 3, True, False),
        (128, 256, 9, True, False),
        (256, 512, 9, True, False),
        (512, 768, 3, True, False),
        (768, 1024, 3, False, True),
    ],
}


class DarknetBottleneck(nn.Module):
    """1x1 and 3x3 convolutions with an optional residual."""

    def __init__(
        self, channels: int, add_identity: bool, use_depthwise: bool, norm_cfg: dict[str, Any], act_cfg: dict[str, Any]
    ) -> None:
        super().__init__()
        second = DepthwiseSeparableConvModule if use_depthwise else ConvModule
        self.conv1 = ConvModule(channels, channels, 1, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.conv2 = second(channels, channels, 3, 1, 1, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.add_identity = add_identity

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(self.conv1(x))
        return x + out if self.add_identity else out


class Focus(nn.Module):
    """Moves the four pixels of each 2x2 square into channels: left column first, top before bottom."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, norm_cfg: dict[str, Any], act_cfg: dict[str, Any]
    ) -> None:
        super().__init__()
        self.conv = ConvModule(
            in_channels * 4, out_channels, kernel_size, 1, (kernel_size - 1) // 2, norm_cfg=norm_cfg, act_cfg=act_cfg
        )

    def forward(self, x: Tensor) -> Tensor:
        parts = [x[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.conv(torch.cat(parts, dim=1))


class CSPDarknet(nn.Module):
    """CSPDarknet backbone.

    Args:
        arch: "P5" (strides up to 32) or "P6" (up to 64).
        deepen_factor, widen_factor: multiply the number of blocks and of channels.
        out_indices: stages to return; 0 is the stem.
        use_depthwise: depthwise-separable convolutions in place of dense 3x3 ones.

    Input is float ``[N, 3, H, W]``; output a tuple of ``[N, C, H/s, W/s]``.
    """

    def __init__(
        self,
        arch: str = "P5",
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        out_indices: Sequence[int] = (2, 3, 4),
        use_depthwise: bool = False,
        spp_kernal_sizes: Sequence[int] = (5, 9, 13),
        norm_cfg: dict[str, Any] = BN,
        act_cfg: dict[str, Any] = SILU,
    ) -> None:
        super().__init__()
        stages = STAGES[arch]
        cfg: dict[str, Any] = {"norm_cfg": norm_cfg, "act_cfg": act_cfg}
        conv = DepthwiseSeparableConvModule if use_depthwise else ConvModule
        self.stem = Focus(3, int(stages[0][0] * widen_factor), 3, **cfg)
        for i, (c_in, c_out, blocks, identity, spp) in enumerate(stages, start=1):
            c_in, c_out = int(c_in * widen_factor), int(c_out * widen_factor)
            layers: list[nn.Module] = [conv(c_in, c_out, 3, 2, 1, **cfg)]
            if spp:
                layers.append(SPPBottleneck(c_out, c_out, spp_kernal_sizes, **cfg))
            layers.append(
                CSPLayer(
                    c_out,
                    c_out,
                    num_blocks=max(round(blocks * deepen_factor), 1),
                    add_identity=identity,
                    use_depthwise=use_depthwise,
                    block=DarknetBottleneck,
                    **cfg,
                )
            )
            self.add_module(f"stage{i}", nn.Sequential(*layers))
        self.layers = ["stem", *[f"stage{i}" for i in range(1, len(stages) + 1)]]
        self.out_indices = tuple(out_indices)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        outs = []
        for i, name in enumerate(self.layers):
            x = getattr(self, name)(x)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)


def yolox_pafpn(**kwargs: Any) -> CSPNeXtPAFPN:
    """Build YOLOX's neck: `CSPNeXtPAFPN` with Darknet's blocks and a 1x1 convolution at the end."""
    return CSPNeXtPAFPN(**kwargs, block=DarknetBottleneck, out_kernel_size=1)


class YOLOXHead(nn.Module):
    """A head with layers of its own for each level.

    Input is the neck's tuple ``[N, C, H/s, W/s]``; output ``(cls, reg, obj)``, three tuples over
    levels: class logits ``[N, classes, h, w]``; offset of the centre and logarithm of the size, both
    in strides ``[N, 4, h, w]``; objectness logits ``[N, 1, h, w]``.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        feat_channels: int = 256,
        stacked_convs: int = 2,
        strides: Sequence[int] = (8, 16, 32),
        use_depthwise: bool = False,
        norm_cfg: dict[str, Any] = BN,
        act_cfg: dict[str, Any] = SILU,
    ) -> None:
        super().__init__()
        conv = DepthwiseSeparableConvModule if use_depthwise else ConvModule
        widths = [in_channels, *[feat_channels] * stacked_convs]

        def branches() -> nn.ModuleList:
            def branch() -> nn.Sequential:
                pairs = pairwise(widths)
                return nn.Sequential(*[conv(i, o, 3, 1, 1, norm_cfg=norm_cfg, act_cfg=act_cfg) for i, o in pairs])

            return nn.ModuleList([branch() for _ in strides])

        def predict(channels: int) -> nn.ModuleList:
            return nn.ModuleList([nn.Conv2d(feat_channels, channels, 1) for _ in strides])

        self.multi_level_cls_convs = branches()
        self.multi_level_reg_convs = branches()
        self.multi_level_conv_cls = predict(num_classes)
        self.multi_level_conv_reg = predict(4)
        self.multi_level_conv_obj = predict(1)

    def forward(self, feats: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], tuple[Tensor, ...]]:
        cls, reg, obj = [], [], []
        for level, x in enumerate(feats):
            c = self.multi_level_cls_convs[level](x)
            r = self.multi_level_reg_convs[level](x)
            cls.append(self.multi_level_conv_cls[level](c))
            reg.append(self.multi_level_conv_reg[level](r))
            obj.append(self.multi_level_conv_obj[level](r))
        return tuple(cls), tuple(reg), tuple(obj)
