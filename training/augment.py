"""Augmentation of face images: numpy and OpenCV, on uint8 BGR."""

from __future__ import annotations

import cv2
import numpy as np

Rng = np.random.Generator


def similarity(centre: np.ndarray, side: float, size: int, degrees: float = 0.0) -> np.ndarray:
    """Return the 2x3 matrix that maps a square of ``side`` around ``centre``, rotated, onto ``size`` pixels."""
    k = size / side
    a, b = k * np.cos(np.radians(degrees)), k * np.sin(np.radians(degrees))
    rotation = np.array([[a, b], [-b, a]])
    return np.column_stack([rotation, size / 2 - rotation @ centre])


def transform_points(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Apply a 2x3 matrix to points ``[..., 2]``."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """Return the image after compression as JPEG."""
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def _brightness(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Change gain, offset, gamma and tint by one lookup table for each channel; sometimes convert to grey."""
    steps = np.arange(256, dtype=np.float32) / 255
    gamma = np.exp(rng.normal(0, 0.25))
    gain = np.exp(rng.normal(0, 0.2)) * np.exp(rng.normal(0, 0.08, 3))
    table = (steps[:, None] ** gamma * gain + rng.normal(0, 0.06)) * 255
    image = cv2.LUT(image, table.clip(0, 255).astype(np.uint8)[:, None])
    if rng.random() < 0.15:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return image


def _shadow(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Darken or lighten the image along a random direction."""
    h, w = image.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:h, :w].astype(np.float32)
    t = (np.cos(angle) * (x / w - 0.5) + np.sin(angle) * (y / h - 0.5)) * rng.uniform(0.5, 2) + rng.normal(0, 0.15)
    return (image * (1 - rng.uniform(0.2, 0.7) * np.clip(t + 0.5, 0, 1))[..., None]).clip(0, 255).astype(np.uint8)


def _low_resolution(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Reduce the resolution, as of a distant camera or a small video."""
    h, w = image.shape[:2]
    k = rng.uniform(0.2, 0.7)
    kinds = (cv2.INTER_LINEAR, cv2.INTER_AREA, cv2.INTER_CUBIC)
    small = cv2.resize(image, (max(8, int(w * k)), max(8, int(h * k))), interpolation=kinds[rng.integers(3)])
    return cv2.resize(small, (w, h), interpolation=kinds[rng.integers(3)])


def _blur(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Blur by defocus or by motion."""
    if rng.random() < 0.5:
        return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 2.0))
    length = int(rng.integers(3, 9))
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1 / length
    turn = cv2.getRotationMatrix2D(((length - 1) / 2, (length - 1) / 2), rng.uniform(0, 180), 1)
    kernel = cv2.warpAffine(kernel, turn, (length, length))
    return cv2.filter2D(image, -1, kernel / max(kernel.sum(), 1e-6))


def photometric(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Return the image with random changes of light, resolution, blur, noise and compression."""
    if rng.random() < 0.8:
        image = _brightness(image, rng)
    if rng.random() < 0.2:
        image = _shadow(image, rng)
    if rng.random() < 0.25:
        image = _low_resolution(image, rng)
    if rng.random() < 0.2:
        image = _blur(image, rng)
    if rng.random() < 0.2:
        noise = rng.normal(0, rng.uniform(2, 12), image.shape)
        image = (image + noise).clip(0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        image = jpeg(image, int(rng.integers(20, 90)))
    return image


def occlude(image: np.ndarray, rng: Rng, other: np.ndarray) -> np.ndarray:
    """Cover a part of the image with a colour, noise, or a piece of another image."""
    h, w = image.shape[:2]
    image = image.copy()
    for _ in range(rng.integers(1, 3)):
        bw, bh = (int(s * rng.uniform(0.1, 0.45)) for s in (w, h))
        x, y = int(rng.integers(-bw // 2, w - bw // 2)), int(rng.integers(-bh // 2, h - bh // 2))
        x1, y1, x2, y2 = max(x, 0), max(y, 0), min(x + bw, w), min(y + bh, h)
        kind = rng.random()
        if kind < 0.35:
            patch = np.broadcast_to(rng.integers(0, 256, 3), (y2 - y1, x2 - x1, 3))
        elif kind < 0.5:
            patch = rng.integers(0, 256, (y2 - y1, x2 - x1, 3))
        else:
            patch = cv2.resize(other, (x2 - x1, y2 - y1))
        image[y1:y2, x1:x2] = patch
    return image
