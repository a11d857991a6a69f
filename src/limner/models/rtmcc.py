"""SimCC heads with a gated attention unit: RTMPose's and RTMW's (Jiang et al. 2023, arXiv:2303.07399)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .layers import ConvModule, Scale


class ScaleNorm(nn.Module):
    """Divides each vector by its root mean square, times one learned gain."""

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.scale = dim**-0.5
        self.eps = eps
        self.g = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True) * self.scale
        return x / norm.clamp(min=self.eps) * self.g


class RTMCCBlock(nn.Module):
    """Gated attention unit over the keypoint tokens (Hua et al. 2022, arXiv:2202.10447)."""

    def __init__(
        self, in_dims: int, out_dims: int, s: int = 128, expansion_factor: float = 2, act_fn: str = "SiLU"
    ) -> None:
        super().__init__()
        self.s = s
        self.e = int(in_dims * expansion_factor)
        self.uv = nn.Linear(in_dims, 2 * self.e + s, bias=False)
        self.gamma = nn.Parameter(torch.rand(2, s))
        self.beta = nn.Parameter(torch.rand(2, s))
        self.ln = ScaleNorm(in_dims)
        self.o = nn.Linear(self.e, out_dims, bias=False)
        self.act_fn = nn.SiLU(inplace=True) if act_fn == "SiLU" else nn.ReLU(inplace=True)
        self.res_scale = Scale(in_dims) if in_dims == out_dims else None
        self.sqrt_s = math.sqrt(s)

    def forward(self, x: Tensor) -> Tensor:
        u, v, base = torch.split(self.act_fn(self.uv(self.ln(x))), [self.e, self.e, self.s], dim=2)
        q, k = (base * self.gamma[i] + self.beta[i] for i in (0, 1))
        weights = torch.square(torch.relu(torch.bmm(q, k.transpose(1, 2)) / self.sqrt_s))
        out = self.o(u * torch.bmm(weights, v))
        return out if self.res_scale is None else self.res_scale(x) + out


class RTMCCHead(nn.Module):
    """RTMPose's head.

    Args:
        in_channels: channels of the backbone's last map.
        out_channels: number of keypoints K.
        input_size: (width, height) of the crop in pixels.
        in_featuremap_size: (width, height) of the last map.
        simcc_split_ratio: bins a pixel.

    Input is the backbone's tuple, of which the last map is used; output ``(simcc_x, simcc_y)``
    of shapes ``[N, K, width * ratio]`` and ``[N, K, height * ratio]``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        input_size: Sequence[int],
        in_featuremap_size: Sequence[int],
        simcc_split_ratio: float = 2.0,
        final_layer_kernel_size: int = 1,
        hidden_dims: int = 256,
        s: int = 128,
        expansion_factor: float = 2,
        act_fn: str = "SiLU",
    ) -> None:
        super().__init__()
        k = final_layer_kernel_size
        flat = in_featuremap_size[0] * in_featuremap_size[1]
        self.final_layer = nn.Conv2d(in_channels, out_channels, k, padding=k // 2)
        self.mlp = nn.Sequential(ScaleNorm(flat), nn.Linear(flat, hidden_dims, bias=False))
        self.gau = RTMCCBlock(hidden_dims, hidden_dims, s, expansion_factor, act_fn)
        self.cls_x = nn.Linear(hidden_dims, int(input_size[0] * simcc_split_ratio), bias=False)
        self.cls_y = nn.Linear(hidden_dims, int(input_size[1] * simcc_split_ratio), bias=False)

    def forward(self, feats: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        x = self.gau(self.mlp(torch.flatten(self.final_layer(feats[-1]), 2)))
        return self.cls_x(x), self.cls_y(x)


class RTMWHead(nn.Module):
    """RTMW's head, which uses two levels: the coarse one, and the one of twice its resolution.

    Args and output as `RTMCCHead`; ``in_channels`` and ``in_featuremap_size`` are the coarse level's.
    Input is a tuple of two maps, the fine one with half the channels first.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        input_size: Sequence[int],
        in_featuremap_size: Sequence[int],
        simcc_split_ratio: float = 2.0,
        final_layer_kernel_size: int = 1,
        hidden_dims: int = 256,
        s: int = 128,
        expansion_factor: float = 2,
        act_fn: str = "SiLU",
    ) -> None:
        super().__init__()
        k = final_layer_kernel_size
        flat = in_featuremap_size[0] * in_featuremap_size[1]
        quarter = in_channels // 4

        def conv(c_in: int, c_out: int) -> ConvModule:
            return ConvModule(c_in, c_out, k, 1, k // 2, norm_cfg={"type": "BN"}, act_cfg={"type": "ReLU"})

        self.ps = nn.PixelShuffle(2)
        self.conv_dec = conv(quarter, quarter)
        self.final_layer = conv(in_channels, out_channels)
        self.final_layer2 = conv(in_channels // 2 + quarter, out_channels)
        self.mlp = nn.Sequential(ScaleNorm(flat), nn.Linear(flat, hidden_dims // 2, bias=False))
        self.mlp2 = nn.Sequential(ScaleNorm(flat * 4), nn.Linear(flat * 4, hidden_dims // 2, bias=False))
        self.gau = RTMCCBlock(hidden_dims, hidden_dims, s, expansion_factor, act_fn)
        self.cls_x = nn.Linear(hidden_dims, int(input_size[0] * simcc_split_ratio), bias=False)
        self.cls_y = nn.Linear(hidden_dims, int(input_size[1] * simcc_split_ratio), bias=False)

    def forward(self, feats: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        fine, coarse = feats
        enlarged = self.conv_dec(self.ps(coarse))
        from_coarse = self.mlp(self.final_layer(coarse).flatten(2))
        from_fine = self.mlp2(self.final_layer2(torch.cat([enlarged, fine], dim=1)).flatten(2))
        x = self.gau(torch.cat([from_coarse, from_fine], dim=2))
        return self.cls_x(x), self.cls_y(x)
