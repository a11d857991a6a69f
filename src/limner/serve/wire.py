"""What clients get to read: results, models and keypoint sets as plain dictionaries, and all numbers as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..draw.colors import TRACK_COLORS, Color
from ..draw.instances import LINE_ALPHA
from ..draw.parts import lookup_tables
from ..keypoints import KeypointSet
from ..types import Result


def instances(result: Result) -> list[dict[str, object]]:
    """Return the instances in MMPose's form, with ``track_id`` where people are tracked."""
    return result.instances()


def prediction(result: Result, model: str, timings: Mapping[str, float]) -> dict[str, Any]:
    """Return what a client gets for an image: the instances in MMPose's form, and what is needed to read them.

    Args:
        result: what was found.
        model: the name of the model.
        timings: milliseconds of each step.
    """
    return {
        "model": model,
        "keypoint_set": result.keypoint_set.name,
        "names": list(result.keypoint_set.names),
        "size": list(result.size),
        "instances": instances(result),
        "timings": {name: round(float(value), 2) for name, value in timings.items()},
    }


def keypoint_set(keypoints: KeypointSet) -> dict[str, Any]:
    """Return what is needed to draw keypoints as limner does: names, skeleton, contours, parts and all colours.

    Colours are ``#rrggbb``. The longer side of a part, in pixels, divided by its ``scale`` is the radius of its dots.
    """
    tables = lookup_tables(keypoints)
    return {
        "name": keypoints.name,
        "kind": keypoints.kind,
        "names": list(keypoints.names),
        "skeleton": keypoints.skeleton.tolist(),
        "link_colors": _hex(keypoints.link_colors),
        "keypoint_colors": _hex(keypoints.keypoint_colors),
        "contours": [
            {"name": c.name, "closed": c.closed, "indices": [int(i) for i in c.indices], "color": _rgb(color)}
            for c, color in zip(keypoints.contours, tables.contour_colors, strict=True)
        ],
        "parts": [
            {"indices": indices.tolist(), "scale": round(float(scale), 4)}
            for indices, scale in zip(keypoints.parts, tables.scale, strict=True)
        ],
        "line_alpha": LINE_ALPHA,
        "track_colors": [_rgb(color) for color in TRACK_COLORS],
        "flip_indices": keypoints.flip_indices.tolist(),
    }


def _hex(colors: np.ndarray) -> list[str]:
    return ["#" + bytes(color.tolist()).hex() for color in np.asarray(colors, np.uint8)]


def _rgb(color: Color) -> str:
    return "#" + bytes(color[::-1]).hex()
