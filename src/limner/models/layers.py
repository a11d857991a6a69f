"""Building blocks shared by several families."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "ReLU": nn.ReLU,
    "SiLU": nn.SiLU,
    "Swish": nn.SiLU,
    "GELU": nn.GELU,
    "ReLU6": nn.ReLU6,
    "HSigmoid": nn.Hardsigmoid,
    "HSwish": nn.Hardswish,
    "LeakyReLU": nn.LeakyReLU,
    "Sigmoid": nn.Sigmoid,
}
NOT_IN_PLACE = (nn.GELU, nn.Sigmoid)


def activation(cfg: dict[str, Any] | None) -> nn.Module | None:
    """Build an activation from ``dict(type=...)``; None stays None."""
    if cfg is None:
        return None
    kind = ACTIVATIONS[cfg["type"]]
    kwargs = {k: v for k, v in cfg.items() if k not in ("type", "inplace")}
    return kind(**kwargs) if kind in NOT_IN_PLACE else kind(inplace=True, **kwargs)


def batch_norm(channels: int, cfg: dict[str, Any]) -> nn.BatchNorm2d:
    """Build the batch norm of ``dict(type='BN'|'SyncBN', eps=..., momentum=...)``."""
    return nn.BatchNorm2d(channels, eps=cfg.get("eps", 1e-5), momentum=cfg.get("momentum", 0.1))


class ConvModule(nn.Module):
    """Convolution, batch norm, activation; the convolution has a bias where there is no norm."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        groups: int = 1,
        norm_cfg: dict[str, Any] | None = None,
        act_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias=norm_cfg is None,
        )
        if norm_cfg is not None:
            self.bn = batch_norm(out_channels, norm_cfg)
        self.with_norm = norm_cfg is not None
        self.activate = activation(act_cfg)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.with_norm:
            x = self.bn(x)
        return x if self.activate is None else self.activate(x)


class DepthwiseSeparableConvModule(nn.Module):
    """A depthwise convolution followed by a 1x1 one, each with norm and activation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        norm_cfg: dict[str, Any] | None = None,
        act_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.depthwise_conv = ConvModule(
            in_channels,
            in_channels,
            kernel_size,
            stride,
            padding,
            groups=in_channels,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )
        self.pointwise_conv = ConvModule(in_channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=act_cfg)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise_conv(self.depthwise_conv(x))


class Scale(nn.Module):
    """A learned factor: one number, or one for each of ``dim`` channels."""

    def __init__(self, dim: int | None = None, init: float = 1.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(init) if dim is None else torch.full((dim,), init))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale
