"""Heatmaps -> keypoints, one function for each of MMPose's heatmap codecs."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np


def _maxima(heatmaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions ``[N, K, 2]``, (-1, -1) where no value is positive, and the values ``[N, K]``."""
    flat = heatmaps.reshape(*heatmaps.shape[:2], -1)
    y, x = np.divmod(flat.argmax(-1), heatmaps.shape[-1])
    points = np.stack([x, y], -1).astype(np.float32)
    scores = flat.max(-1).astype(np.float32)
    points[scores <= 0] = -1
    return points, scores


def _blur(heatmaps: np.ndarray, kernel: int) -> np.ndarray:
    """Smooth each map by a Gaussian of ``kernel`` pixels; its maximum keeps its value."""
    out = np.empty(heatmaps.shape, np.float32)
    for index in np.ndindex(heatmaps.shape[:2]):
        source = np.ascontiguousarray(heatmaps[index], np.float32)
        smooth = cv2.GaussianBlur(source, (kernel, kernel), 0, borderType=cv2.BORDER_CONSTANT)
        highest = smooth.max()
        out[index] = smooth * (source.max() / highest) if highest else 0.0
    return out


def _values(maps: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return one value of each map ``[N, K, h, w]`` at integer positions ``[N, K]``, clipped to the map."""
    n, k = maps.shape[:2]
    y, x = y.clip(0, maps.shape[2] - 1), x.clip(0, maps.shape[3] - 1)
    return maps[np.arange(n)[:, None], np.arange(k)[None], y, x]


def _to_input(points: np.ndarray, input_size: Sequence[int], heatmap_size: Sequence[int]) -> np.ndarray:
    return points * (np.asarray(input_size) / np.asarray(heatmap_size)).astype(np.float32)


def msra(heatmaps: np.ndarray, input_size: Sequence[int], heatmap_size: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Decode heatmaps by their maxima, a quarter pixel towards the higher neighbour (arXiv:1804.06208).

    Args:
        heatmaps: ``[N, K, h, w]``.
        input_size, heatmap_size: (width, height) of the network's input and of a heatmap.

    Returns:
        Keypoints ``[N, K, 2]`` in input pixels and scores ``[N, K]``.
    """
    points, scores = _maxima(heatmaps)
    height, width = heatmaps.shape[2:]
    x, y = points[..., 0].astype(np.int64), points[..., 1].astype(np.int64)
    dx = _values(heatmaps, x + 1, y) - _values(heatmaps, x - 1, y)
    dy = _values(heatmaps, x, y + 1) - _values(heatmaps, x, y - 1)
    # MMPose leaves points in the first row or column where they are, in both directions
    dx = np.where((x > 1) & (x < width - 1) & (y > 0), dx, 0)
    dy = np.where((y > 1) & (y < height - 1) & (x > 0), dy, 0)
    points += 0.25 * np.sign(np.stack([dx, dy], -1)).astype(np.float32)
    return _to_input(points, input_size, heatmap_size), scores


def msra_dark(
    heatmaps: np.ndarray, input_size: Sequence[int], heatmap_size: Sequence[int], blur_kernel_size: int = 11
) -> tuple[np.ndarray, np.ndarray]:
    """Decode heatmaps by one Newton step on the logarithm of smoothed maps (DARK, arXiv:1910.06278).

    Args:
        heatmaps: ``[N, K, h, w]``.
        input_size, heatmap_size: (width, height) of the network's input and of a heatmap.
        blur_kernel_size: pixels of the Gaussian that smooths them.

    Returns:
        Keypoints ``[N, K, 2]`` in input pixels and scores ``[N, K]``.
    """
    points, scores = _maxima(heatmaps)
    smooth = _blur(heatmaps, blur_kernel_size)
    height, width = heatmaps.shape[2:]
    x, y = points[..., 0].astype(np.int64), points[..., 1].astype(np.int64)

    def at(right: int, down: int) -> np.ndarray:
        return np.log(np.maximum(_values(smooth, x + right, y + down), 1e-10))

    slope = np.stack([0.5 * (at(1, 0) - at(-1, 0)), 0.5 * (at(0, 1) - at(0, -1))], -1)
    dxx = 0.25 * (at(2, 0) - 2 * at(0, 0) + at(-2, 0))
    dyy = 0.25 * (at(0, 2) - 2 * at(0, 0) + at(0, -2))
    dxy = 0.25 * (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1))
    inside = (x > 1) & (x < width - 2) & (y > 1) & (y < height - 2) & (dxx * dyy - dxy**2 != 0)
    curvature = np.stack([dxx, dxy, dxy, dyy], -1).reshape(*x.shape, 2, 2)
    points[inside] -= _newton(curvature[inside], slope[inside])
    return _to_input(points, input_size, heatmap_size), scores


def _newton(curvature: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Return the step ``[M, 2]`` for curvatures ``[M, 2, 2]`` and slopes ``[M, 2]``."""
    return (np.linalg.inv(curvature) @ slope[..., None])[..., 0].astype(np.float32)


def udp(heatmaps: np.ndarray, input_size: Sequence[int], blur_kernel_size: int = 11) -> tuple[np.ndarray, np.ndarray]:
    """Decode heatmaps whose corners are the centres of the input's corner pixels (UDP, arXiv:1911.07524).

    Args:
        heatmaps: ``[N, K, h, w]``.
        input_size: (width, height) of the network's input.
        blur_kernel_size: pixels of the Gaussian that smooths them.

    Returns:
        Keypoints ``[N, K, 2]`` in input pixels and scores ``[N, K]``.
    """
    points, scores = _maxima(heatmaps)
    smooth = np.pad(_blur(heatmaps, blur_kernel_size), ((0, 0), (0, 0), (1, 1), (1, 1)), "edge")
    x, y = points[..., 0].astype(np.int64) + 1, points[..., 1].astype(np.int64) + 1
    n, k = points.shape[:2]
    flat = smooth.reshape(-1)
    index = (np.arange(n * k).reshape(n, k) * smooth.shape[2] + y) * smooth.shape[3] + x

    def at(right: int, down: int) -> np.ndarray:
        # a keypoint without score is read from the map before its own, as in MMPose
        return np.log(flat[index + right + down * smooth.shape[3]].clip(1e-3, 50.0))

    here = at(0, 0)
    slope = np.stack([0.5 * (at(1, 0) - at(-1, 0)), 0.5 * (at(0, 1) - at(0, -1))], -1)
    dxx = at(1, 0) - 2 * here + at(-1, 0)
    dyy = at(0, 1) - 2 * here + at(0, -1)
    dxy = 0.5 * (at(1, 1) - at(1, 0) - at(0, 1) + 2 * here - at(-1, 0) - at(0, -1) + at(-1, -1))
    curvature = np.stack([dxx, dxy, dxy, dyy], -1).reshape(n, k, 2, 2) + np.finfo(np.float32).eps * np.eye(2)
    solvable = np.linalg.det(curvature) != 0
    points[solvable] -= _newton(curvature[solvable], slope[solvable])
    return _from_corners(points, heatmaps, input_size), scores


def _from_corners(points: np.ndarray, heatmaps: np.ndarray, input_size: Sequence[int]) -> np.ndarray:
    # to the whole input, not to its last pixel's centre: the crop's scale counts centres as well
    height, width = heatmaps.shape[2:]
    return points / [width - 1, height - 1] * np.asarray(input_size)


def combined(
    heatmaps: np.ndarray, input_size: Sequence[int], blur_kernel_size: int = 11, radius_factor: float = 0.0546875
) -> tuple[np.ndarray, np.ndarray]:
    """Decode UDP's maps of three kinds: a heatmap, and the offsets in x and y.

    Args:
        heatmaps: ``[N, 3 K, h, w]``, the three of one keypoint after another.
        radius_factor: unit of the offsets, as a share of the heatmap's longer side.

    Returns:
        Keypoints ``[N, K, 2]`` in input pixels and scores ``[N, K]``.
    """
    kernel = 2 * blur_kernel_size + 1
    where = np.empty_like(heatmaps[:, ::3], np.float32)
    for index in np.ndindex(where.shape[:2]):
        source = np.ascontiguousarray(heatmaps[index[0], 3 * index[1]], np.float32)
        cv2.GaussianBlur(source, (kernel, kernel), 0, where[index])
    points, scores = _maxima(where)
    radius = radius_factor * max(heatmaps.shape[2:])
    x, y = points[..., 0].astype(np.int64), points[..., 1].astype(np.int64)
    offsets = [_values(heatmaps[:, axis::3], x, y) for axis in (1, 2)]
    points += radius * np.stack(offsets, -1)
    return _from_corners(points, heatmaps, input_size), scores


def megvii(
    heatmaps: np.ndarray, input_size: Sequence[int], heatmap_size: Sequence[int], kernel_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Decode heatmaps of height 255 as MSPN does (Li et al. 2019, arXiv:1901.00148).

    Args:
        heatmaps: ``[N, K, h, w]``.
        input_size, heatmap_size: (width, height) of the network's input and of a heatmap.
        kernel_size: pixels of the Gaussian that smooths them.

    Returns:
        Keypoints ``[N, K, 2]`` in input pixels and scores ``[N, K]``.
    """
    smooth = _blur(heatmaps, kernel_size)
    points, scores = _maxima(smooth)
    height, width = heatmaps.shape[2:]
    x, y = points[..., 0].astype(np.int64), points[..., 1].astype(np.int64)
    dx = _values(smooth, x + 1, y) - _values(smooth, x - 1, y)
    dy = _values(smooth, x, y + 1) - _values(smooth, x, y - 1)
    inside = (x > 1) & (x < width - 1) & (y > 1) & (y < height - 1)
    step = 0.25 * np.sign(np.stack([dx, dy], -1)).astype(np.float32) + np.float32(0.5)
    points[inside] += step[inside]
    return _to_input(points, input_size, heatmap_size), scores / 255 + np.float32(0.5)
