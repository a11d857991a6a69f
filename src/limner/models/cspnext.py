"""CSPNeXt backbone and its PAFPN neck (RTMDet, Lyu et al. 2022, arXiv:2212.07784)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .layers import ConvModule, DepthwiseSeparableConvModule

BN = {"type": "BN", "momentum": 0.03, "eps": 0.001}
SILU = {"type": "SiLU"}

# in channels, out channels, blocks, residual inside blocks, spatial pyramid pooling
STAGES = {
    "P5": [
        (64, 128, 3, True, False),
        (128, 256, 6, True, False),
        (256, 512, 6, True, False),
        (512, 1024, 3, False, True),
    ],
    "P6": [
        (64, 128, 3, True, False),
        (128, 256, 6, True, False),
        (256, 512, 6, True, False),
        (512, 768, 3, True, False),
        (768, 1024, 3, False, True),
    ],
}


class ChannelAttention(nn.Module):
    """Weights each channel by a hard sigmoid of its own mean, mixed over channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)
        self.act = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.act(self.fc(F.adaptive_avg_pool2d(x, 1)))


class CSPNeXtBlock(nn.Module):
    """3x3 convolution and 5x5 depthwise-separable convolution, with an optional residual."""

    def __init__(
        self, channels: int, add_identity: bool, use_depthwise: bool, norm_cfg: dict[str, Any], act_cfg: dict[str, Any]
    ) -> None:
        super().__init__()
        first = DepthwiseSeparableConvModule if use_depthwise else ConvModule
        self.conv1 = first(channels, channels, 3, 1, 1, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.conv2 = DepthwiseSeparableConvModule(channels, channels, 5, 1, 2, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.add_identity = add_identity

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(self.conv1(x))
        return x + out if self.add_identity else out


class CSPLayer(nn.Module):
    """Cross-stage partial layer: one half goes through the blocks, the other past them.

    Args:
        block: called with channels, add_identity, use_depthwise, norm_cfg, act_cfg.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expand_ratio: float = 0.5,
        num_blocks: int = 1,
        add_identity: bool = True,
        use_depthwise: bool = False,
        channel_attention: bool = False,
        norm_cfg: dict[str, Any] = BN,
        act_cfg: dict[str, Any] = SILU,
        block: Callable[..., nn.Module] = CSPNeXtBlock,
    ) -> None:
        super().__init__()
        mid = int(out_channels * expand_ratio)
        self.main_conv = ConvModule(in_channels, mid, 1, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.short_conv = ConvModule(in_channels, mid, 1, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.final_conv = ConvModule(2 * mid, out_channels, 1, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.blocks = nn.Sequential(
            *[block(mid, add_identity, use_depthwise, norm_cfg, act_cfg) for _ in range(num_blocks)]
        )
        self.attention = ChannelAttention(2 * mid) if channel_attention else None

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat((self.blocks(self.main_conv(x)), self.short_conv(x)), dim=1)
        if self.attention is not None:
            x = self.attention(x)
        return self.final_conv(x)


class SPPBottleneck(nn.Module):
    """Spatial pyramid pooling: maxima over growing windows, side by side."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_sizes: Sequence[int] = (5, 9, 13),
        norm_cfg: dict[str, Any] = BN,
        act_cfg: dict[str, Any] = SILU,
    ) -> None:
        super().__init__()
        mid = in_channels // 2
        self.conv1 = ConvModule(in_channels, mid, 1, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.poolings = nn.ModuleList([nn.MaxPool2d(k, 1, k // 2) for k in kernel_sizes])
        self.conv2 = ConvModule(mid * (len(kernel_sizes) + 1), out_channels, 1, norm_cfg=norm_cfg, act_cfg=act_cfg)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        return self.conv2(torch.cat([x, *[pool(x) for pool in self.poolings]], dim=1))


class CSPNeXt(nn.Module):
    """CSPNeXt backbone.

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
        expand_ratio: float = 0.5,
        channel_attention: bool = True,
        spp_kernel_sizes: Sequence[int] = (5, 9, 13),
        norm_cfg: dict[str, Any] = BN,
        act_cfg: dict[str, Any] = SILU,
    ) -> None:
        super().__init__()
        stages = STAGES[arch]
        width = int(stages[0][0] * widen_factor)
        half = int(stages[0][0] * widen_factor // 2)
        cfg: dict[str, Any] = {"norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self.stem = nn.Sequential(
            ConvModule(3, half, 3, 2, 1, **cfg),
            ConvModule(half, half, 3, 1, 1, **cfg),
            ConvModule(half, width, 3, 1, 1, **cfg),
        )
        conv = DepthwiseSeparableConvModule if use_depthwise else ConvModule
        for i, (c_in, c_out, blocks, identity, spp) in enumerate(stages, start=1):
            c_in, c_out = int(c_in * widen_factor), int(c_out * widen_factor)
            layers: list[nn.Module] = [conv(c_in, c_out, 3, 2, 1, **cfg)]
            if spp:
                layers.append(SPPBottleneck(c_out, c_out, spp_kernel_sizes, **cfg))
            layers.append(
                CSPLayer(
                    c_out,
                    c_out,
                    expand_ratio,
                    max(round(blocks * deepen_factor), 1),
                    identity,
                    use_depthwise,
                    channel_attention,
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


class CSPNeXtPAFPN(nn.Module):
    """Path-aggregation feature pyramid of CSP layers.

    Input is the backbone's tuple; output a tuple of the same length with ``out_channels`` channels
    each, or as many as came in where it is None (``out_indices`` picks levels in that case).

    Args:
        block: of the CSP layers.
        out_kernel_size: of the last convolution of each level.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int | None,
        out_indices: Sequence[int] | None = None,
        num_csp_blocks: int = 3,
        use_depthwise: bool = False,
        expand_ratio: float = 0.5,
        norm_cfg: dict[str, Any] = BN,
        act_cfg: dict[str, Any] = SILU,
        block: Callable[..., nn.Module] = CSPNeXtBlock,
        out_kernel_size: int = 3,
    ) -> None:
        super().__init__()
        cfg: dict[str, Any] = {"norm_cfg": norm_cfg, "act_cfg": act_cfg}
        conv = DepthwiseSeparableConvModule if use_depthwise else ConvModule
        levels = len(in_channels)

        def csp(c_in: int, c_out: int) -> CSPLayer:
            return CSPLayer(c_in, c_out, expand_ratio, num_csp_blocks, False, use_depthwise, False, **cfg, block=block)

        down = range(levels - 1, 0, -1)
        self.reduce_layers = nn.ModuleList([ConvModule(in_channels[i], in_channels[i - 1], 1, **cfg) for i in down])
        self.top_down_blocks = nn.ModuleList([csp(in_channels[i - 1] * 2, in_channels[i - 1]) for i in down])
        up = range(levels - 1)
        self.downsamples = nn.ModuleList([conv(in_channels[i], in_channels[i], 3, 2, 1, **cfg) for i in up])
        self.bottom_up_blocks = nn.ModuleList([csp(in_channels[i] * 2, in_channels[i + 1]) for i in up])
        self.out_indices = tuple(range(levels)) if out_indices is None else tuple(out_indices)
        self.out_convs = None
        if out_channels is not None:
            k = out_kernel_size
            last = conv if k > 1 else ConvModule
            self.out_convs = nn.ModuleList([last(c, out_channels, k, 1, k // 2, **cfg) for c in in_channels])

    def forward(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        inner = [inputs[-1]]
        for step, low in enumerate(reversed(inputs[:-1])):
            inner[0] = self.reduce_layers[step](inner[0])
            high = F.interpolate(inner[0], scale_factor=2.0, mode="nearest")
            inner.insert(0, self.top_down_blocks[step](torch.cat([high, low], dim=1)))
        outs = [inner[0]]
        for step, high in enumerate(inner[1:]):
            low = self.downsamples[step](outs[-1])
            outs.append(self.bottom_up_blocks[step](torch.cat([low, high], dim=1)))
        if self.out_convs is not None:
            outs = [conv(x) for conv, x in zip(self.out_convs, outs, strict=True)]
        return tuple(outs[i] for i in self.out_indices)
