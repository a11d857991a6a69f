"""COCO results: the list of detections that pycocotools and its kin evaluate against annotations."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from ..files import compact_json
from ..keypoints import KeypointSet
from ..types import Result
from .coco import ImageIds, boxes_xywh, file_name, finite, found
from .incremental import IncrementalFile
from .run_info import RunInfo
from .whole import same_keypoints

LEAST_SCORE = 1e-6  # third number of a found point that scores 0: xtcocotools drops a detection without any above 0
COUNTED_SCORE = 0.2  # keypoints that score more count in the score of an instance, as in MMPose


class CocoResultsWriter(IncrementalFile):
    """Writes COCO results, ``[{image_id, category_id, keypoints, score, bbox, ...}, ...]``, valid after every frame.

    All numbers are finite: a keypoint without coordinates is (0, 0, 0), and an instance without any is left out.
    The third number of a keypoint is its score. Beside what COCO knows, an entry has ``bbox_score``,
    ``file_name``, ``frame_id`` and ``timestamp``, and ``track_id`` where people are tracked. The form has no
    place for images without instances, their sizes, keypoint names and the model.

    Args:
        path: the file; an existing one is replaced.
        image_ids: the ids of an annotation file, by ``file_name``; None counts them, see `coco.ImageIds`.
        category_id: that of the annotation file.

    Raises:
        OutputError: the file cannot be created or written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        info: RunInfo | None = None,
        *,
        image_ids: Mapping[str, int] | None = None,
        category_id: int = 1,
    ) -> None:
        super().__init__(path, "[", "]\n")
        self._ids = ImageIds(image_ids)
        self._category = category_id
        self._entries = 0
        self._keypoint_set: KeypointSet | None = None

    def write(self, result: Result) -> None:
        """Add the instances of the next frame or image.

        Raises:
            ArgumentError: the annotation file does not have this image, or the keypoints are others than before.
            OutputError: they cannot be written; those before them stay.
        """
        self._keypoint_set = same_keypoints(self._keypoint_set, result, self.path)
        entries = coco_results(result, self._ids.of(result), category_id=self._category)
        lines = [compact_json(entry) for entry in entries]
        if lines:
            self._add((",\n" if self._entries else "\n") + ",\n".join(lines))
            self._entries += len(lines)
        self.frames += 1


def coco_results(result: Result, image_id: int, *, category_id: int = 1) -> list[dict[str, object]]:
    """Return the instances of one image as COCO results, as `CocoResultsWriter` writes them."""
    there = found(result)
    keypoints, boxes = finite(result.poses.keypoints), boxes_xywh(result)
    box_scores = finite(result.boxes.scores)
    thirds = np.where(there, np.maximum(finite(result.poses.scores), np.float32(LEAST_SCORE)), 0)
    triplets = np.concatenate([np.where(there[..., None], keypoints, 0), thirds[..., None]], axis=2)
    entries = []
    for i in np.flatnonzero(there.any(axis=1)).tolist():
        entry: dict[str, object] = {
            "image_id": image_id,
            "category_id": category_id,
            "keypoints": triplets[i].ravel(),
            "score": instance_score(box_scores[i], np.where(there[i], finite(result.poses.scores[i]), 0)),
            "bbox": boxes[i],
            "bbox_score": box_scores[i],
            "file_name": file_name(result),
            "frame_id": result.index,
            "timestamp": round(float(result.timestamp), 6),
        }
        if result.track_ids is not None:
            entry["track_id"] = int(result.track_ids[i])
        entries.append(entry)
    return entries


def instance_score(box_score: float, keypoint_scores: np.ndarray) -> float:
    """Return the score by which COCO's evaluation ranks an instance, as MMPose computes it.

    It is the score of the box times the mean score of the keypoints that score more than 0.2.

    Args:
        box_score: of the detector.
        keypoint_scores: float ``[K]``.
    """
    counted = keypoint_scores[keypoint_scores > COUNTED_SCORE]
    return float(box_score) * (float(counted.mean()) if counted.size else 0.0)
