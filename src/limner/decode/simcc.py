"""Vectors for each axis -> keypoints (SimCC)."""

from __future__ import annotations

import cv2
import numpy as np


def simcc(
    x: np.ndarray, y: np.ndarray, split_ratio: float, dark_sigma: tuple[float, float] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Decode SimCC vectors by their maxima (Li et al. 2022, arXiv:2107.03332).

    Args:
        x, y: ``[N, K, bins]``.
        split_ratio: bins a pixel.
        dark_sigma: deviations of the training targets in bins, x and y, to refine the maxima with
            (DARK, Zhang et al. 2019, arXiv:1910.06278); None leaves them at whole bins.

    Returns:
        Keypoints ``[N, K, 2]`` in input pixels and scores ``[N, K]``, the lesser of both maxima;
        where that is not positive, the point is (-1, -1) bins, as in MMPose.
    """
    peaks = np.stack([x.argmax(-1), y.argmax(-1)], -1).astype(np.float32)
    scores = np.minimum(x.max(-1), y.max(-1)).astype(np.float32)
    peaks[scores <= 0] = -1
    if dark_sigma is not None:
        for axis, (vectors, sigma) in enumerate(zip((x, y), dark_sigma, strict=True)):
            peaks[..., axis] -= _dark_offset(vectors, peaks[..., axis], sigma)
    return peaks / np.float32(split_ratio), scores


def _dark_offset(vectors: np.ndarray, peaks: np.ndarray, sigma: float) -> np.ndarray:
    """Return the offset in bins from the mode of each smoothed vector to its maximum."""
    kernel = int((sigma * 20 - 7) // 3)
    kernel -= kernel % 2 == 0
    flat = np.ascontiguousarray(vectors.reshape(-1, vectors.shape[-1]), np.float32)
    smooth = cv2.GaussianBlur(flat, (kernel, 1), 0, borderType=cv2.BORDER_CONSTANT)
    with np.errstate(divide="ignore", invalid="ignore"):
        smooth *= np.nan_to_num(flat.max(1) / smooth.max(1), posinf=0.0, neginf=0.0)[:, None]
    logs = np.pad(np.log(smooth.clip(1e-3, 50.0)), ((0, 0), (2, 2)), "edge")
    # a keypoint without score lies before the vector: its bins wrap around, as in MMPose
    index = (peaks.reshape(-1) + 2.5).astype(np.int64)
    rows = np.arange(len(logs))
    at = {step: logs[rows, index + step] for step in (-2, -1, 0, 1, 2)}
    slope = 0.5 * (at[1] - at[-1])
    curvature = 1e-9 + 0.25 * (at[2] - 2 * at[0] + at[-2])
    return (slope / curvature).reshape(peaks.shape)


def simcc_heatmaps(x: np.ndarray, y: np.ndarray, sigma: tuple[float, float] | None = None) -> np.ndarray:
    """Return heatmaps ``[N, K, y bins, x bins]``: the products of both vectors.

    Args:
        x, y: ``[N, K, bins]``.
        sigma: deviations of the training targets in bins, x and y, where these were not normalised.
    """
    parts = []
    for vectors, deviation in zip((x, y), sigma or (None, None), strict=True):
        positive = vectors / np.float32(deviation * np.sqrt(2 * np.pi)) if deviation else vectors
        positive = positive.clip(0, None)
        parts.append(positive / np.maximum(positive.max(-1, keepdims=True), 1))
    return parts[1][..., :, None] * parts[0][..., None, :]
