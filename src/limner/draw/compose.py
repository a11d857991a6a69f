"""Drawings on what lets something through: images with alpha, transparent and translucent backgrounds."""

from __future__ import annotations

import numpy as np

from .colors import Rgba


def filled(shape: tuple[int, ...], color: Rgba) -> np.ndarray:
    """Return an image [H, W, 4], BGRA, of one colour."""
    red, green, blue, opacity = color
    image = np.empty((*shape[:2], 4), np.uint8)
    image[:] = blue, green, red, opacity
    return image


def on_alpha(below: np.ndarray, black: np.ndarray, white: np.ndarray, opacity: float) -> np.ndarray:
    """Return a drawing laid over an image with alpha.

    The drawing is given twice, once made on black and once on white: where both are the same it is opaque, and
    where they differ as black and white do nothing is drawn.

    Args:
        below: uint8 [H, W, 4], BGRA; pixels that nothing is drawn on stay as they are.
        black: uint8 [H, W, 3], the drawing made on black.
        white: uint8 [H, W, 3], the same made on white.
        opacity: of all of it, 0..1.

    Returns:
        uint8 [H, W, 4], BGRA.
    """
    result = below.copy()
    rows, columns = np.nonzero((white != 255).any(axis=2) | (black != 0).any(axis=2))
    drawn, other = black[rows, columns].astype(np.float32), white[rows, columns].astype(np.float32)
    cover = np.clip(1 - (other - drawn).mean(axis=1, keepdims=True) / 255, 0, 1)
    color = np.minimum(drawn / np.maximum(cover, 1 / 255), 255)
    cover *= np.float32(opacity)
    before = below[rows, columns].astype(np.float32)
    behind = before[:, 3:] / 255 * (1 - cover)
    alpha = cover + behind
    mixed = (color * cover + before[:, :3] * behind) / np.maximum(alpha, 1e-6)
    result[rows, columns] = np.rint(np.concatenate([mixed, 255 * alpha], axis=1)).astype(np.uint8)
    return result


def flattened(image: np.ndarray) -> np.ndarray:
    """Return an image for a window, uint8 [H, W, 3]: what it lets through is a chequerboard."""
    if image.shape[2] == 3:
        return image
    rows, columns = (np.arange(side) // 12 % 2 for side in image.shape[:2])
    below = np.where(rows[:, None] == columns, np.float32(150), np.float32(190))[..., None]
    alpha = image[..., 3:].astype(np.float32) / 255
    return np.rint(image[..., :3] * alpha + below * (1 - alpha)).astype(np.uint8)
