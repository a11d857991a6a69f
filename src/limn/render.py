"""A picture and what was found in it -> the picture that the user gets: drawn, with the heat below if asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import heatmap
from .draw import draw
from .pipeline import Heat, PoseEstimator
from .types import Result


@dataclass(frozen=True)
class Look:
    """How results are drawn; the sizes fit each body, hand or face where they are None (see `draw.draw`)."""

    kpt_thr: float = 0.3
    radius: float | None = None  # pixels
    thickness: float | None = None  # pixels
    alpha: float | None = None  # opacity of the lines, 0..1
    boxes: bool = False
    indices: bool = False
    style: str = "mmpose"
    black_background: bool = False
    heatmap: bool = False  # a second picture below shows where the network saw its keypoints

    @property
    def heat(self) -> Heat:
        """What the pose stage has to return for it."""
        return "strongest" if self.heatmap else ""


def render(
    image: np.ndarray, result: Result, pose: PoseEstimator, look: Look, *, overwrite: bool = False
) -> np.ndarray:
    """Return a picture with ``result`` drawn on ``image``, and the heat of its keypoints below.

    Args:
        image: uint8 ``[H, W, 3]``, BGR; it is not changed, unless ``overwrite`` says that nobody needs it any more.
        result: what was found in it, with heatmaps where ``look`` shows them.
        pose: what found it.

    Returns:
        uint8 ``[H, W, 3]``, or ``[2 H, W, 3]`` with the heat.

    Raises:
        ArgumentError: a size out of range, an unknown style, or one that does not know the keypoint set.
    """
    drawn = draw(
        image,
        result,
        pose.keypoint_set,
        kpt_thr=look.kpt_thr,
        radius=look.radius,
        thickness=look.thickness,
        alpha=look.alpha,
        boxes=look.boxes,
        indices=look.indices,
        style=look.style,
        black_background=look.black_background,
        overwrite=overwrite and not look.heatmap,
    )
    if not look.heatmap or result.poses.heatmaps is None:
        return drawn
    below = np.zeros_like(image) if look.black_background else image
    heat = heatmap.panel(below, result.poses.heatmaps, pose.crop(result.boxes.xyxy))
    return np.concatenate([drawn, heat])
