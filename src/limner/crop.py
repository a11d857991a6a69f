"""From images to network inputs, and exactly back again.

There are two ways: the whole image, resized and padded, for a detector (`letterbox`), and the region of a
box, warped, for a pose network (`Crop`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

Size = tuple[int, int]  # (width, height)


def fit_factor(width: int, height: int, size: Size) -> float:
    """Return the factor from an image to an input of ``size``, (width, height) for the longer and the shorter side."""
    return min(max(size) / max(width, height), min(size) / min(width, height))


def letterbox(
    image: np.ndarray,
    size: Size,
    pad_value: Sequence[int] = (114, 114, 114),
    stride: int | None = None,
    square: bool = False,
    divisor: int = 1,
) -> tuple[np.ndarray, tuple[float, float]]:
    """Fit an image into ``size``, aspect kept, and pad it to the right and below.

    Args:
        image: uint8 ``[H, W, 3]``.
        size: (width, height) of the network's input; one that is not square is turned to the shape of the image.
        stride: pad to multiples of it only, where that is less than ``size``.
        square: pad to a square instead of to ``size``; needs no ``stride``.
        divisor: the sides are multiples of it; what that adds is black, as in MMDetection.

    Returns:
        uint8 ``[height, width, 3]`` and the factors (x, y) from image to input; sizes are rounded
        as MMDetection does.
    """
    h, w = image.shape[:2]
    factor = fit_factor(w, h, size)
    new_w, new_h = (max(1, int(s * factor + 0.5)) for s in (w, h))
    if new_w > size[0] or new_h > size[1]:  # an input that is not square stands where the image stands
        size = size[::-1]
    width, height = (max(new_w, new_h),) * 2 if square else size
    if stride is not None:
        width, height = (min(s, -(-n // stride) * stride) for s, n in ((width, new_w), (height, new_h)))
    height, width = max(height, new_h), max(width, new_w)
    canvas = np.zeros((-(-height // divisor) * divisor, -(-width // divisor) * divisor, 3), np.uint8)
    canvas[new_h:height, :width] = canvas[:new_h, new_w:width] = pad_value
    cv2.resize(image, (new_w, new_h), dst=canvas[:new_h, :new_w], interpolation=cv2.INTER_LINEAR)
    return canvas, (new_w / w, new_h / h)


@dataclass(frozen=True, eq=False)
class Crop:
    """Regions of one image that a pose network gets as input: N boxes, padded, of the input's aspect ratio."""

    centers: np.ndarray  # float32 [N, 2], pixels of the image
    scales: np.ndarray  # float32 [N, 2], (width, height) in pixels of the image
    size: Size  # (width, height) of the network's input

    @classmethod
    def around(cls, boxes: np.ndarray, size: Size, padding: float = 1.25) -> Crop:
        """Enlarge boxes ``[N, 4]`` by ``padding`` and fix their aspect ratio, as MMPose's GetBBoxCenterScale does."""
        boxes = np.asarray(boxes, np.float32)
        centers = (boxes[:, :2] + boxes[:, 2:]) * 0.5
        w, h = ((boxes[:, 2:] - boxes[:, :2]) * padding).T
        aspect = size[0] / size[1]
        wide = w > h * aspect
        scales = np.where(wide[:, None], np.stack([w, w / aspect], 1), np.stack([h * aspect, h], 1))
        return cls(centers, scales.astype(np.float32), size)

    def __len__(self) -> int:
        return len(self.centers)

    def matrices(self, udp: bool = False) -> np.ndarray:
        """Return the matrices ``[N, 2, 3]`` from image to input pixels (float64).

        ``udp`` counts the distance between pixel centres (Huang et al. 2020, arXiv:1911.07524).
        """
        # rounded where MMPose rounds, and solved by cv2: the last bits show in the pixels
        width, height = self.size
        matrices = np.zeros((len(self), 2, 3))
        for matrix, center, scale in zip(matrices, self.centers, self.scales, strict=True):
            if udp:
                factor = (np.asarray(self.size) - 1) / scale.astype(np.float64)
                matrix[(0, 1), (0, 1)] = factor.astype(np.float32)
                matrix[:, 2] = (factor * (0.5 * scale - center.astype(np.float64))).astype(np.float32)
            else:
                (x, y), left = center, center[0] - np.float32(0.5) * scale[0]
                source = np.array([[x, y], [left, y], [left, y + (x - left)]], np.float32)
                target = np.array([[width, height], [0, height], [0, height + width]], np.float32) / 2
                matrix[:] = cv2.getAffineTransform(source, target)
        return matrices

    def cut(self, image: np.ndarray, udp: bool = False) -> np.ndarray:
        """Return the warped regions of an image, uint8 ``[N, height, width, 3]``; black beyond its edge."""
        width, height = self.size
        out = np.empty((len(self), height, width, 3), np.uint8)
        for i, matrix in enumerate(self.matrices(udp)):
            cv2.warpAffine(image, matrix, self.size, dst=out[i], flags=cv2.INTER_LINEAR)
        return out

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Map points ``[N, K, 2]`` from input to image pixels, as MMPose does for every codec."""
        scales = self.scales.astype(np.float64)
        origin = self.centers - 0.5 * scales
        return (points * (scales / self.size)[:, None] + origin[:, None]).astype(np.float32)
