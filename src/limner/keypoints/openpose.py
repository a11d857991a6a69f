"""OpenPose's layouts of keypoints: its own order, a neck, and a colour for every limb.

Each layout is one JSON file beside this module: the keypoints, which keypoints of a data set they are
computed from, and which links are limbs. Order, links and colours of 18 and 134 points are those of
MMPose 1.x; 21 are the hand of the latter; 26 are OpenPose's BODY_25 and the top of the head.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

from ..errors import ArgumentError
from . import KeypointSet, _build

_LAYOUTS = {
    "coco-17": "openpose-18",
    "halpe-26": "openpose-26",
    "coco-wholebody-133": "openpose-134",
    "coco-wholebody-hand-21": "openpose-21",
    "onehand10k-21": "openpose-21",
}


@dataclass(frozen=True, eq=False)
class Layout:
    """K keypoints as OpenPose draws them; a black one is not drawn."""

    keypoint_set: KeypointSet
    origins: tuple[tuple[int, ...], ...]  # K tuples: a point is the mean of these points of the data set
    limbs: int  # the first links are limbs, the others the fingers of a whole body
    joints: int  # the first points are joints, the others details: face, hands

    @property
    def unlinked(self) -> np.ndarray:
        """Return the indices of the points without any link, such as those of a face."""
        return np.setdiff1d(np.arange(len(self.keypoint_set)), self.keypoint_set.skeleton)

    def convert(self, points: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turn points ``[N, M, 2]`` and scores ``[N, M]`` of a data set into those of this layout.

        Returns:
            Float ``[N, K, 2]`` and ``[N, K]``. A computed point, such as the neck, has the lesser
            score of those it lies between; a point that is not drawn has minus infinity.
        """
        first, last = np.array([(origin[0], origin[-1]) for origin in self.origins]).T
        new_points = (points[:, first] + points[:, last]) / 2
        new_scores = np.minimum(scores[:, first], scores[:, last])
        shown = self.keypoint_set.keypoint_colors.any(axis=1)
        return new_points, np.where(shown, new_scores, -np.inf)


def known() -> list[str]:
    """Return the names of the keypoint sets that have an OpenPose layout."""
    return list(_LAYOUTS)


def layout(name: str) -> Layout:
    """Return the layout for the keypoint set ``name``; ArgumentError where OpenPose has none."""
    if name not in _LAYOUTS:
        raise ArgumentError(
            f"keypoint set '{name}' cannot be drawn in the style 'openpose', only {', '.join(_LAYOUTS)}; "
            "draw it in the style 'mmpose'"
        )
    return _read(_LAYOUTS[name])


@cache
def _read(name: str) -> Layout:
    data = json.loads((resources.files(__package__) / f"{name}.json").read_text("utf-8"))
    origins = tuple(tuple(origin) for origin in data.pop("origins"))
    limbs, joints = data.pop("limbs"), data.pop("joints")
    return Layout(_build(sigmas=None, **data), origins, limbs, joints)
