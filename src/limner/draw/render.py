"""An image and its result -> the drawn image, with the heatmaps below it if the style asks for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..crop import Crop
from ..keypoints import KeypointSet
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


class Estimator(Protocol):
    """The part of a `limner.pipeline.PoseEstimator` that drawing needs."""

    keypoint_set: KeypointSet

    def crop(self, boxes: np.ndarray) -> Crop:
        """Return the regions that its heatmaps cover."""
        ...


def render(
    image: np.ndarray, result: Result, pose: Estimator, style: DrawStyle, *, overwrite: bool = False
) -> np.ndarray:
    """Return an image with ``result`` drawn on ``image``, and the heatmaps of its keypoints below.

    Args:
        image: uint8 ``[H, W, 3]``, BGR; it is not changed unless ``overwrite`` is set.
        result: of that image, with heatmaps where ``style`` shows them.
        pose: the pose estimator that returned it.
        style: how it is drawn.
        overwrite: ``image`` is not needed any more, and may be drawn on.

    Returns:
        uint8 ``[H, W, 3]``, or ``[2 H, W, 3]`` with the heatmaps.

    Raises:
        ArgumentError: a size out of range, an unknown style, or OpenPose's style for a keypoint set without layout.
    """
    drawn = draw(
        image,
        result,
        pose.keypoint_set,
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
    if not style.draw_heatmap or result.poses.heatmaps is None:
        return drawn
    below = np.zeros_like(image) if style.black_background else image
    heatmaps = heatmap.panel(below, result.poses.heatmaps, pose.crop(result.boxes.xyxy))
    return np.concatenate([drawn, heatmaps])
