"""Regressed coordinates -> keypoints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .boxes import sigmoid


def deviations(coords: np.ndarray) -> np.ndarray:
    """Return RLE's outputs ``[N, K, 4]`` with deviations in place of their logits; others as they are."""
    if coords.shape[-1] != 4:
        return coords
    return np.concatenate([coords[..., :2], sigmoid(coords[..., 2:])], -1)


def regression(coords: np.ndarray, input_size: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Decode coordinates relative to the input's width and height.

    Args:
        coords: ``[N, K, 2]``, or ``[N, K, 4]`` with deviations in 0..1 (see `deviations`).
        input_size: (width, height) of the network's input.

    Returns:
        Keypoints ``[N, K, 2]`` in input pixels and scores ``[N, K]``: 1, or 1 less the mean deviation.
    """
    points = coords[..., :2] * np.asarray(input_size, np.float64)
    if coords.shape[-1] == 4:
        return points, (1 - coords[..., 2:]).mean(-1)
    return points, np.ones(coords.shape[:2], np.float32)
