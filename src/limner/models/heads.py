"""Heads that predict heatmaps, coordinates, or a vector for each axis (SimCC)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

# kernel size of a deconvolution: its padding and output padding, so that it doubles the resolution
DECONV_PADDING = {2: (0, 0), 3: (1, 1), 4: (1, 0)}


def deconv_layers(
    in_channels: int, widths: Sequence[int] | None, kernels: Sequence[int] | None, groups: Sequence[int] | None = None
) -> tuple[nn.Module, int]:
    """Return deconvolutions, each with norm and ReLU, and the channels that come out of them."""
    if not widths:
        return nn.Identity(), in_channels
    layers: list[nn.Module] = []
    for i, (width, kernel) in enumerate(zip(widths, kernels or (), strict=True)):
        if kernel not in DECONV_PADDING:
            raise ValueError(f"deconvolutions have kernels of size 2, 3 or 4, not {kernel}")
        padding, output_padding = DECONV_PADDING[kernel]
        group = groups[i] if groups else 1
        layers += [
            nn.ConvTranspose2d(in_channels, width, kernel, 2, padding, output_padding, group, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        in_channels = width
    return nn.Sequential(*layers), in_channels


def conv_layers(in_channels: int, widths: Sequence[int] | None, kernels: Sequence[int] | None) -> tuple[nn.Module, int]:
    """Return convolutions, each with norm and ReLU, and the channels that come out of them."""
    if not widths:
        return nn.Identity(), in_channels
    layers: list[nn.Module] = []
    for width, kernel in zip(widths, kernels or (), strict=True):
        layers += [
            nn.Conv2d(in_channels, width, kernel, 1, (kernel - 1) // 2),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        in_channels = width
    return nn.Sequential(*layers), in_channels


def final_conv(in_channels: int, out_channels: int, cfg: Mapping[str, Any] | None) -> nn.Module:
    """Return the last convolution, by default 1x1; None leaves it out."""
    if cfg is None:
        return nn.Identity()
    settings = {"kernel_size": 1} | {k: v for k, v in cfg.items() if k != "type"}
    return nn.Conv2d(in_channels, out_channels, **settings)


class HeatmapHead(nn.Module):
    """Heatmaps by deconvolutions (Xiao et al. 2018, arXiv:1804.06208) or by convolutions alone.

    Args:
        out_channels: heatmaps; the number of keypoints K for most codecs.
        deconv_out_channels, deconv_kernel_sizes: None leaves the deconvolutions out.
        deconv_num_groups: groups of each deconvolution, as ViPNAS uses them.

    Input is a tuple of maps, of which the last is used; output ``[N, K, h, w]``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        deconv_out_channels: Sequence[int] | None = (256, 256, 256),
        deconv_kernel_sizes: Sequence[int] | None = (4, 4, 4),
        deconv_num_groups: Sequence[int] | None = None,
        conv_out_channels: Sequence[int] | None = None,
        conv_kernel_sizes: Sequence[int] | None = None,
        final_layer: Mapping[str, Any] | None = {"kernel_size": 1},
    ) -> None:
        super().__init__()
        self.deconv_layers, width = deconv_layers(
            in_channels, deconv_out_channels, deconv_kernel_sizes, deconv_num_groups
        )
        self.conv_layers, width = conv_layers(width, conv_out_channels, conv_kernel_sizes)
        self.final_layer = final_conv(width, out_channels, final_layer)

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        return self.final_layer(self.conv_layers(self.deconv_layers(feats[-1])))


class CPMHead(nn.Module):
    """A heatmap head for each stage of a backbone; the last stage is the result.

    Input is a tuple of maps, one a stage; output ``[N, K, h, w]`` of the last.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_stages: int,
        deconv_out_channels: Sequence[int] | None = None,
        deconv_kernel_sizes: Sequence[int] | None = None,
        final_layer: Mapping[str, Any] | None = {"kernel_size": 1},
    ) -> None:
        super().__init__()
        made = [deconv_layers(in_channels, deconv_out_channels, deconv_kernel_sizes) for _ in range(num_stages)]
        self.multi_deconv_layers = nn.ModuleList([layers for layers, _ in made])
        self.multi_final_layers = nn.ModuleList([final_conv(width, out_channels, final_layer) for _, width in made])

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        return self.multi_final_layers[-1](self.multi_deconv_layers[-1](feats[-1]))


class IntegralRegressionHead(nn.Module):
    """Coordinates as the mean place of softmaxed heatmaps (Sun et al. 2017, arXiv:1711.08229), and DSNT.

    Args:
        in_featuremap_size: (width, height) of the backbone's map.
        debias: undo the pull to the middle that a softmax has (Gu et al. 2021).
        beta: factor on heatmaps before the softmax.

    Input is a tuple of maps, of which the last is used; output ``[N, K, 2]``, x and y as parts of the
    input's width and height.
    """

    def __init__(
        self,
        in_channels: int,
        in_featuremap_size: Sequence[int],
        num_joints: int,
        debias: bool = False,
        beta: float = 1.0,
        deconv_out_channels: Sequence[int] | None = (256, 256, 256),
        deconv_kernel_sizes: Sequence[int] | None = (4, 4, 4),
        conv_out_channels: Sequence[int] | None = None,
        conv_kernel_sizes: Sequence[int] | None = None,
        final_layer: Mapping[str, Any] | None = {"kernel_size": 1},
    ) -> None:
        super().__init__()
        width, height = (side * 2 ** len(deconv_out_channels or ()) for side in in_featuremap_size)
        if deconv_out_channels:
            self.simplebaseline_head = HeatmapHead(
                in_channels,
                num_joints,
                deconv_out_channels,
                deconv_kernel_sizes,
                None,
                conv_out_channels,
                conv_kernel_sizes,
                final_layer,
            )
        else:
            self.final_layer = final_conv(in_channels, num_joints, final_layer)
        self.deconvolves = bool(deconv_out_channels)
        self.debias = debias
        self.beta = beta
        self.linspace_x = nn.Parameter(torch.arange(width).reshape(1, 1, 1, -1) / width, requires_grad=False)
        self.linspace_y = nn.Parameter(torch.arange(height).reshape(1, 1, -1, 1) / height, requires_grad=False)

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        maps = self.simplebaseline_head(feats) if self.deconvolves else self.final_layer(feats[-1])
        weights = (maps * self.beta).flatten(2).softmax(2).reshape(maps.shape)
        coords = torch.stack([(weights * places).sum((2, 3)) for places in (self.linspace_x, self.linspace_y)], -1)
        if self.debias:
            total = maps.flatten(2).exp().sum(2, keepdim=True)
            coords = total / (total - 1) * (coords - 1 / (2 * total))
        return coords


class RegressionHead(nn.Module):
    """Coordinates by one linear layer (Toshev and Szegedy 2014, arXiv:1312.4659).

    Input is a tuple of ``[N, C]``, of which the last is used; output ``[N, K, 2]``, x and y as parts
    of the input's width and height.
    """

    values = 2

    def __init__(self, in_channels: int, num_joints: int) -> None:
        super().__init__()
        self.fc = nn.Linear(in_channels, num_joints * self.values)

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        return self.fc(feats[-1].flatten(1)).reshape(feats[-1].shape[0], -1, self.values)


class RLEHead(RegressionHead):
    """Coordinates and their deviations (residual log-likelihood, Li et al. 2021, arXiv:2107.11291).

    Output is ``[N, K, 4]``: x, y, and the logits of both deviations. The flow that training uses is
    there because checkpoints hold it.
    """

    values = 4

    def __init__(self, in_channels: int, num_joints: int) -> None:
        super().__init__(in_channels, num_joints)
        self.loss_module = nn.Module()
        self.loss_module.add_module("flow_model", _Flow())


class _Flow(nn.Module):
    """The weights of the normalising flow that RLE trains with; never called here."""

    def __init__(self, steps: int = 6, width: int = 64) -> None:
        super().__init__()
        self.register_buffer("loc", torch.zeros(2))
        self.register_buffer("cov", torch.eye(2))
        self.register_buffer("mask", torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(steps // 2, 1))
        self.s = nn.ModuleList([self._net(width) for _ in range(steps)])
        self.t = nn.ModuleList([self._net(width) for _ in range(steps)])

    @staticmethod
    def _net(width: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Linear(2, width), nn.LeakyReLU(), nn.Linear(width, width), nn.LeakyReLU(), nn.Linear(width, 2)
        )


class SimCCHead(nn.Module):
    """A vector for each axis, from flattened maps by one linear layer (Li et al. 2022, arXiv:2107.03332).

    Args:
        input_size: (width, height) of the crop in pixels.
        in_featuremap_size: (width, height) of the backbone's map.
        simcc_split_ratio: bins a pixel.
        deconv_type: "heatmap", or "vipnas" for grouped deconvolutions.

    Input is a tuple of maps, of which the last is used; output ``(simcc_x, simcc_y)`` of shapes
    ``[N, K, width * ratio]`` and ``[N, K, height * ratio]``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        input_size: Sequence[int],
        in_featuremap_size: Sequence[int],
        simcc_split_ratio: float = 2.0,
        deconv_type: str = "heatmap",
        deconv_out_channels: Sequence[int] | None = (256, 256, 256),
        deconv_kernel_sizes: Sequence[int] | None = (4, 4, 4),
        deconv_num_groups: Sequence[int] | None = (16, 16, 16),
        conv_out_channels: Sequence[int] | None = None,
        conv_kernel_sizes: Sequence[int] | None = None,
        final_layer: Mapping[str, Any] | None = {"kernel_size": 1},
    ) -> None:
        super().__init__()
        width, height = in_featuremap_size
        if deconv_out_channels:
            self.deconv_head = HeatmapHead(
                in_channels,
                out_channels,
                deconv_out_channels,
                deconv_kernel_sizes,
                deconv_num_groups if deconv_type == "vipnas" else None,
                conv_out_channels,
                conv_kernel_sizes,
                final_layer,
            )
            width, height = (s * 2 ** len(deconv_out_channels) for s in (width, height))
        else:
            self.final_layer = final_conv(in_channels, out_channels, final_layer)
        self.deconvolves = bool(deconv_out_channels)
        self.mlp_head_x = nn.Linear(width * height, int(input_size[0] * simcc_split_ratio))
        self.mlp_head_y = nn.Linear(width * height, int(input_size[1] * simcc_split_ratio))

    def forward(self, feats: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        x = self.deconv_head(feats) if self.deconvolves else self.final_layer(feats[-1])
        x = x.flatten(2)
        return self.mlp_head_x(x), self.mlp_head_y(x)
