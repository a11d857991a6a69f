"""An image and its result -> the drawn image, with the heatmaps below it if the style asks for them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..crop import Crop
from ..types import Result
from . import compose, heatmap
from .instances import draw
from .style import DrawStyle


def render(
    image: np.ndarray,
    result: Result,
    style: DrawStyle,
    *,
    crop: Callable[[np.ndarray], Crop] | None = None,
    overwrite: bool = False,
) -> np.ndarray:
    """Return an image with ``result`` drawn on ``image``, and the heatmaps of its keypoints below.

    Args:
        image: uint8 ``[H, W, 3]``, BGR, or ``[H, W, 4]`` with alpha; it is not changed unless ``overwrite`` is set.
        result: of that image, with heatmaps where ``style`` shows them.
        style: how it is drawn.
        crop: returns the regions that the heatmaps of boxes ``[N, 4]`` cover, see `limner.pipeline.PoseEstimator.crop`;
            without it no heatmaps are drawn.
        overwrite: ``image`` is not needed any more, and may be drawn on.

    Returns:
        uint8 ``[H, W, 3]``, or ``[2 H, W, 3]`` with the heatmaps; four channels where the background is
        transparent, or is an image with alpha.

    Raises:
        ArgumentError: a keypoint set without what the style asks for.
    """
    drawn = draw(image, result, style, overwrite=overwrite and not style.draw_heatmap)
    if not style.draw_heatmap or result.poses.heatmaps is None or crop is None:
        return drawn
    rgba = style.background_rgba
    below = image[..., :3] if rgba is None else compose.filled(image.shape[:2], rgba)[..., :3]
    heatmaps = heatmap.panel(np.ascontiguousarray(below), result.poses.heatmaps, crop(result.boxes.xyxy))
    if drawn.shape[2] == 4:
        heatmaps = np.dstack([heatmaps, np.full(heatmaps.shape[:2], 255, np.uint8)])
    return np.concatenate([drawn, heatmaps])
