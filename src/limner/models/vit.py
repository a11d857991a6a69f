"""Vision Transformer (Dosovitskiy et al. 2020, arXiv:2010.11929), as ViTPose uses it (arXiv:2204.12484)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# embed_dims, num_layers, num_heads, feedforward_channels; the names are mmpretrain's
ARCHS = {
    ("s", "small"): (768, 8, 8, 2304),
    ("b", "base"): (768, 12, 12, 3072),
    ("l", "large"): (1024, 24, 16, 4096),
    ("h", "huge"): (1280, 32, 16, 5120),
    ("deit-t", "deit-tiny"): (192, 12, 3, 768),
    ("deit-s", "deit-small", "dinov2-s", "dinov2-small"): (384, 12, 6, 1536),
    ("deit-b", "deit-base"): (768, 12, 12, 3072),
}
EPS = 1e-6


class PatchEmbed(nn.Module):
    """Cuts an image into patches and projects each to a vector."""

    def __init__(self, channels: int, dims: int, patch: int, stride: int, padding: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(channels, dims, patch, stride, padding)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        x = self.projection(x)
        return x.flatten(2).transpose(1, 2), (x.shape[2], x.shape[3])


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, dims: int, heads: int, qkv_bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dims, 3 * dims, bias=qkv_bias)
        self.proj = nn.Linear(dims, dims)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, dims = x.shape
        q, k, v = self.qkv(x).reshape(n, tokens, 3, self.heads, dims // self.heads).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).reshape(n, tokens, dims))


class FeedForward(nn.Module):
    """Two linear layers; the nesting is mmcv's."""

    def __init__(self, dims: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Sequential(nn.Linear(dims, hidden), nn.GELU()), nn.Linear(hidden, dims))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class EncoderLayer(nn.Module):
    """Attention and feed-forward network, each after a norm and with a residual."""

    def __init__(self, dims: int, heads: int, hidden: int, qkv_bias: bool, eps: float) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(dims, eps)
        self.attn = Attention(dims, heads, qkv_bias)
        self.ln2 = nn.LayerNorm(dims, eps)
        self.ffn = FeedForward(dims, hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln1(x))
        return x + self.ffn(self.ln2(x))


class VisionTransformer(nn.Module):
    """Vision Transformer backbone without a class token, as mmpretrain names its parts.

    Args:
        arch: a name of `ARCHS`, or a dict of embed_dims, num_layers, num_heads, feedforward_channels.
        img_size: side, or (height, width), that the position embedding is made for; it is
            interpolated for others.
        out_indices: layers to return; negative ones count from the end.
        patch_cfg: ``padding`` and ``stride`` of the patches.

    Input is float ``[N, 3, H, W]``; output a tuple of ``[N, embed_dims, h, w]``.
    """

    def __init__(
        self,
        arch: str | Mapping[str, int] = "base",
        img_size: int | Sequence[int] = 224,
        patch_size: int = 16,
        in_channels: int = 3,
        out_indices: int | Sequence[int] = -1,
        qkv_bias: bool = True,
        final_norm: bool = True,
        interpolate_mode: str = "bicubic",
        patch_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        dims, depth, heads, hidden = _sizes(arch)
        eps = EPS if norm_cfg is None else norm_cfg.get("eps", 1e-5)
        height, width = (img_size, img_size) if isinstance(img_size, int) else img_size
        patch = {"stride": patch_size, "padding": 0} | dict(patch_cfg or {})
        stride, padding = patch["stride"], patch["padding"]
        self.grid = tuple((side + 2 * padding - patch_size) // stride + 1 for side in (height, width))
        self.patch_embed = PatchEmbed(in_channels, dims, patch_size, stride, padding)
        self.pos_embed = nn.Parameter(torch.zeros(1, self.grid[0] * self.grid[1], dims))
        self.layers = nn.ModuleList([EncoderLayer(dims, heads, hidden, qkv_bias, eps) for _ in range(depth)])
        self.ln1 = nn.LayerNorm(dims, eps) if final_norm else nn.Identity()
        self.interpolate_mode = interpolate_mode
        indices = (out_indices,) if isinstance(out_indices, int) else out_indices
        self.out_indices = tuple(i + depth if i < 0 else i for i in indices)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x, grid = self.patch_embed(x)
        x = x + self._positions(grid)
        outs = []
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i == len(self.layers) - 1:
                x = self.ln1(x)
            if i in self.out_indices:
                outs.append(x.reshape(x.shape[0], *grid, -1).permute(0, 3, 1, 2))
        return tuple(outs)

    def _positions(self, grid: tuple[int, int]) -> Tensor:
        if grid == self.grid:
            return self.pos_embed
        table = self.pos_embed.reshape(1, *self.grid, -1).permute(0, 3, 1, 2)
        table = F.interpolate(table, size=grid, mode=self.interpolate_mode, align_corners=False)
        return table.flatten(2).transpose(1, 2)


def _sizes(arch: str | Mapping[str, int]) -> tuple[int, int, int, int]:
    if isinstance(arch, Mapping):
        return arch["embed_dims"], arch["num_layers"], arch["num_heads"], arch["feedforward_channels"]
    for names, sizes in ARCHS.items():
        if arch.lower() in names:
            return sizes
    known = ", ".join(name for names in ARCHS for name in names)
    raise ValueError(f"the arch '{arch}' is none of {known}")
