"""Results as objects of supervision, whose annotators, zones and metrics then work on them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import MissingExtraError
from ..keypoints import KeypointSet
from ..types import Result
from .coco import links


def to_supervision(result: Result, *, keypoint_thr: float = 0.3) -> Any:
    """Return the instances of an image as ``supervision.KeyPoints``.

    Points below the threshold, and those without coordinates, are not ``visible``: supervision draws points of
    low score unless they are hidden. The boxes of the detector are in ``data["xyxy"]``, track ids, where people are
    tracked, in ``data["tracker_id"]``; see `supervision_edges` for the skeleton.

    Args:
        result: of one image.
        keypoint_thr: the least score of a visible keypoint.

    Raises:
        MissingExtraError: supervision is not installed.
    """
    supervision = _library()
    keypoints, scores = result.poses.keypoints, result.poses.scores
    return supervision.KeyPoints(
        xy=np.array(keypoints, np.float32),
        keypoint_confidence=np.array(scores, np.float32),
        detection_confidence=np.array(result.boxes.scores, np.float32),
        class_id=np.array(result.boxes.labels, np.int64),
        visible=np.isfinite(keypoints).all(axis=2) & (scores >= keypoint_thr),
        data=_data(result),
    )


def to_detections(result: Result) -> Any:
    """Return the boxes of an image as ``supervision.Detections``, with ``tracker_id`` where people are tracked.

    ``KeyPoints.as_detections`` spans boxes around the visible points instead, and drops who has none.

    Raises:
        MissingExtraError: supervision is not installed.
    """
    supervision = _library()
    return supervision.Detections(
        xyxy=np.array(result.boxes.xyxy, np.float32).reshape(-1, 4),
        confidence=np.array(result.boxes.scores, np.float32),
        class_id=np.array(result.boxes.labels, np.int64),
        tracker_id=None if result.track_ids is None else np.array(result.track_ids, np.int64),
        data={"keypoints": np.array(result.poses.keypoints), "keypoint_scores": np.array(result.poses.scores)},
    )


def supervision_edges(keypoint_set: KeypointSet) -> list[tuple[int, int]]:
    """Return the skeleton for ``supervision.EdgeAnnotator(edges=...)``, counted from 1; contours where it has none.

    The annotator knows only sets of 17, 21, 33, 468 and 478 points by itself.
    """
    return [(a, b) for a, b in links(keypoint_set)]


def _data(result: Result) -> dict[str, np.ndarray]:
    data = {"xyxy": np.array(result.boxes.xyxy, np.float32).reshape(-1, 4)}
    if result.track_ids is not None:
        data["tracker_id"] = np.array(result.track_ids, np.int64)
    return data


def _library() -> Any:
    try:
        import supervision
    except ModuleNotFoundError:
        raise MissingExtraError("the conversion to supervision", "supervision") from None
    return supervision
