"""Flip test: outputs for a flipped image -> outputs as for the image itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# values for one keypoint in a map, and which of them points to the right
FLIP_MODES = {"heatmap": (1, None), "udp_combined": (3, 1), "offset": (2, 0)}


def flip_heatmaps(
    heatmaps: np.ndarray, flip_indices: Sequence[int], flip_mode: str = "heatmap", shift: bool = False
) -> np.ndarray:
    """Flip maps ``[N, C, h, w]`` back.

    Args:
        flip_indices: the keypoint that each one becomes in a flipped image.
        flip_mode: "heatmap" for one map a keypoint, "udp_combined" for three, "offset" for two.
        shift: move them one pixel to the right, where maps and images do not share their corners.
    """
    each, rightward = FLIP_MODES[flip_mode]
    n, c, height, width = heatmaps.shape
    maps = heatmaps.reshape(n, c // each, each, height, width)[:, np.asarray(flip_indices), :, :, ::-1].copy()
    if rightward is not None:
        maps[:, :, rightward] *= -1
    maps = maps.reshape(n, c, height, width)
    if shift:
        maps[..., 1:] = maps[..., :-1].copy()
    return maps


def flip_vectors(x: np.ndarray, y: np.ndarray, flip_indices: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Flip SimCC vectors ``[N, K, bins]`` back."""
    order = np.asarray(flip_indices)
    return x[:, order, ::-1], y[:, order]


def flip_coordinates(
    coords: np.ndarray, flip_indices: Sequence[int], input_width: int, shift: bool = True
) -> np.ndarray:
    """Flip coordinates ``[N, K, 2 or more]``, relative to the input's size, back.

    Args:
        shift: move them one pixel of ``input_width`` to the left.
    """
    out = coords[:, np.asarray(flip_indices)].copy()
    out[..., 0] = 1 - out[..., 0] - (np.float32(1 / input_width) if shift else 0)
    return out
