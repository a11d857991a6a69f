"""Heatmaps of all keypoints, blended over the image.

`panel` is placed below the drawn image, as MMPose's ``--draw-heatmap`` does. Networks without
heatmaps (SimCC) get theirs from `wide_simcc_heatmaps`.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..crop import Crop, Size
from ..errors import ArgumentError

_BINS_PER_PIXEL = 4  # SimCC bins in one pixel of the heatmap: two pixels of a usual network's input
_KERNEL_SIGMA = 1.4  # standard deviation of the Gaussian that widens a peak, pixels of the heatmap


def panel(image: np.ndarray, heatmaps: np.ndarray, crop: Crop, *, alpha: float = 0.5) -> np.ndarray:
    """Return an image with the heatmaps of all keypoints and instances blended over it.

    Each pixel has the value of the keypoint that is strongest there; as in MMPose, the highest value of
    all is red and the lowest blue.

    Args:
        image: uint8 ``[H, W, 3]``, BGR; it is not changed.
        heatmaps: float ``[N, K, h, w]`` of N instances, of any resolution.
        crop: the N regions that they cover.
        alpha: share of the image, 0..1; the rest is the heatmap.

    Returns:
        uint8 ``[H, W, 3]``, BGR.

    Raises:
        ArgumentError: an argument of the wrong shape or range.
    """
    is_array = isinstance(image, np.ndarray)
    if not is_array or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        got = f"{image.dtype} {list(image.shape)}" if is_array else type(image).__name__
        raise ArgumentError(f"the image below the heatmap is {got} where uint8 [height, width, 3] is needed")
    if heatmaps.ndim != 4 or len(heatmaps) != len(crop) or 0 in heatmaps.shape[1:]:
        raise ArgumentError(f"heatmaps have shape {list(heatmaps.shape)} where [{len(crop)}, any, any, any] is needed")
    if not 0 <= alpha <= 1:
        raise ArgumentError(f"alpha is {alpha} where a number from 0 to 1 is needed")
    heat = _in_image(heatmaps, crop, (image.shape[1], image.shape[0]))
    low, high = float(heat.min()), float(heat.max())
    levels = np.zeros(heat.shape, np.uint8) if low == high else ((heat - low) * (255 / (high - low))).astype(np.uint8)
    return cv2.addWeighted(image, alpha, cv2.applyColorMap(levels, cv2.COLORMAP_JET), 1 - alpha, 0)


def _in_image(heatmaps: np.ndarray, crop: Crop, size: Size) -> np.ndarray:
    """Return the highest heatmap value at each pixel of the image, float32 ``[H, W]``, at least 0."""
    merged = np.zeros(size[::-1], np.float32)
    h, w = heatmaps.shape[2:]
    finite = np.isfinite(crop.centers).all(axis=1) & np.isfinite(crop.scales).all(axis=1)
    valid = np.flatnonzero(finite & (crop.scales > 0).all(axis=1))
    crop = Crop(crop.centers[valid], crop.scales[valid], crop.size)
    to_heatmap = crop.matrices() * [[w / crop.size[0]], [h / crop.size[1]]]
    # half the crop and the pixel of the heatmap over which it fades
    reach = crop.scales * (0.5 + 1 / np.array((w, h)))
    low = np.clip(np.floor(crop.centers - reach), 0, size).astype(int).tolist()
    high = np.clip(np.ceil(crop.centers + reach) + 1, 0, size).astype(int).tolist()
    for i, matrix, (x1, y1), (x2, y2) in zip(valid, to_heatmap, low, high, strict=True):
        if x1 >= x2 or y1 >= y2:  # outside the image
            continue
        strongest = np.nan_to_num(heatmaps[i].max(axis=0), posinf=0.0, neginf=0.0).astype(np.float32)
        matrix[:, 2] += matrix[:, :2] @ (x1, y1)
        warped = cv2.warpAffine(strongest, matrix, (x2 - x1, y2 - y1), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        region = merged[y1:y2, x1:x2]
        np.maximum(region, warped, out=region)
    return merged


def wide_simcc_heatmaps(
    simcc_x: np.ndarray, simcc_y: np.ndarray, *, beta: float = 10.0, merged: bool = False
) -> np.ndarray:
    """Return heatmaps for display from the vectors of a SimCC network (Li et al. 2022, arXiv:2107.03332).

    Each is the product of both distributions, smoothed so that its peak is wide enough to be seen; the
    peak's value is the keypoint's score, at most 1. It has half the input's resolution at two bins a pixel.

    Args:
        simcc_x: float ``[N, K, bins]``, as the network gives them.
        simcc_y: float ``[N, K, bins]``, likewise; its number of bins may differ.
        beta: by which the network's loss multiplied them before the softmax; RTMPose's is 10.
        merged: return only the strongest keypoint at each place, which is all that `panel` shows;
            it takes 1/K of the memory.

    Returns:
        float32 ``[N, K, h, w]``; ``[N, 1, h, w]`` if merged.

    Raises:
        ArgumentError: vectors of the wrong shape.
    """
    shapes = [list(vectors.shape) for vectors in (simcc_x, simcc_y)]
    if simcc_x.ndim != 3 or simcc_y.ndim != 3 or shapes[0][:2] != shapes[1][:2] or 0 in (*shapes[0][1:], shapes[1][2]):
        raise ArgumentError(
            f"simcc_x and simcc_y have shapes {shapes[0]} and {shapes[1]} where [N, K, bins] of the same N and K "
            "are needed"
        )
    scores = np.nan_to_num(np.minimum(simcc_x.max(axis=-1), simcc_y.max(axis=-1))).clip(0, 1).astype(np.float32)
    columns, rows = (_smooth_distributions(vectors, beta) for vectors in (simcc_x, simcc_y))
    rows *= scores[..., None]
    heat = np.empty((len(scores), 1 if merged else scores.shape[1], rows.shape[-1], columns.shape[-1]), np.float32)
    for target, column, row in zip(heat, rows, columns, strict=True):
        if merged:
            np.max(column[:, :, None] * row[:, None, :], axis=0, keepdims=True, out=target)
        else:
            np.multiply(column[:, :, None], row[:, None, :], out=target)
    return heat


def _smooth_distributions(vectors: np.ndarray, beta: float) -> np.ndarray:
    """Return smoothed distributions ``[N, K, n]`` of vectors ``[N, K, bins]``, with peaks of 1."""
    bins = vectors.shape[-1]
    n = max(1, round(bins / _BINS_PER_PIXEL))
    logits = np.nan_to_num(beta * vectors.astype(np.float32))
    probabilities = np.exp(logits - logits.max(axis=-1, keepdims=True))
    # pixel i of n is at bin i * bins / n, not half a pixel further: as `panel` and MMPose place it
    distance = np.arange(bins)[:, None] / _BINS_PER_PIXEL - np.arange(n) * (bins / _BINS_PER_PIXEL / n)
    kernel = np.exp(-0.5 * (distance / _KERNEL_SIGMA) ** 2)
    smoothed = probabilities @ (kernel / kernel.sum(axis=0)).astype(np.float32)
    normalised: np.ndarray = smoothed / smoothed.max(axis=-1, keepdims=True)
    return normalised
