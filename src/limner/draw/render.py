"""An image and its result -> the drawn image, with the heatmaps below it if the style asks for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..crop import Crop
from ..types import HeatmapMode, Result
from . import heatmap
from .instances import draw


@dataclass(frozen=True)
class DrawStyle:
    """How results are drawn; the sizes fit each body, hand or face where they are None (see `limner.draw.draw`)."""

    kpt_thr: float = 0.3
    radius: float | None = None  # pixels
    thickness: float | None = None  # pixels
    alpha: float | None = None  # opacity of the lines, 0..1
    draw_bbox: bool = False
    show_kpt_idx: bool = False
    skeleton_style: str = "mmpose"
    black_background: bool = False
    draw_heatmap: bool = False  # add the heatmaps of the keypoints in a second image below

    @property
    def heatmaps(self) -> HeatmapMode:
        """The heatmaps that a pose estimator has to return for it."""
        return "strongest" if self.draw_heatmap else ""


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
        image: uint8 ``[H, W, 3]``, BGR; it is not changed unless ``overwrite`` is set.
        result: of that image, with heatmaps where ``style`` shows them.
        style: how it is drawn.
        crop: returns the regions that the heatmaps of boxes ``[N, 4]`` cover, see `limner.pipeline.PoseEstimator.crop`;
            without it no heatmaps are drawn.
        overwrite: ``image`` is not needed any more, and may be drawn on.

    Returns:
        uint8 ``[H, W, 3]``, or ``[2 H, W, 3]`` with the heatmaps.

    Raises:
        ArgumentError: a size out of range, an unknown style, or OpenPose's style for a keypoint set without layout.
    """
    drawn = draw(
        image,
        result,
        result.keypoint_set,
        kpt_thr=style.kpt_thr,
        radius=style.radius,
        thickness=style.thickness,
        alpha=style.alpha,
        draw_bbox=style.draw_bbox,
        show_kpt_idx=style.show_kpt_idx,
        skeleton_style=style.skeleton_style,
        black_background=style.black_background,
        overwrite=overwrite and not style.draw_heatmap,
    )
    if not style.draw_heatmap or result.poses.heatmaps is None or crop is None:
        return drawn
    below = np.zeros_like(image) if style.black_background else image
    heatmaps = heatmap.panel(below, result.poses.heatmaps, crop(result.boxes.xyxy))
    return np.concatenate([drawn, heatmaps])
