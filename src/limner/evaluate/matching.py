"""Brings annotated instances and what was found together, one to one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..tracking.matching import iou
from .annotations import Annotations
from .predictions import Predictions

LEAST_OVERLAP = 0.3  # IoU of the boxes of an annotated instance and of what was found for it


@dataclass(frozen=True, eq=False)
class Matches:
    """What was found for each annotated instance that has keypoints and is no crowd."""

    truths: np.ndarray  # int64 [T], rows of the annotations
    found: np.ndarray  # int64 [T], rows of the predictions, -1 where nothing was found

    @property
    def hit(self) -> np.ndarray:
        """Which annotated instances were found: bool ``[T]``."""
        return self.found >= 0


def match(annotations: Annotations, predictions: Predictions) -> Matches:
    """Match by the boxes, the best pair of an image first; those that were made in true boxes are matched by these."""
    truths = np.flatnonzero((annotations.visibility > 0).any(axis=1) & ~annotations.crowd)
    found = np.full(len(annotations), -1, np.int64)
    if predictions.truths is not None:
        found[predictions.truths] = np.arange(len(predictions))
        return Matches(truths, found[truths])
    of_image: dict[int, list[int]] = {}
    for row, image_id in enumerate(predictions.image_ids.tolist()):
        of_image.setdefault(image_id, []).append(row)
    truths_of: dict[int, list[int]] = {}
    for row in truths.tolist():
        truths_of.setdefault(int(annotations.image_ids[row]), []).append(row)
    for image_id, mine in truths_of.items():
        theirs = of_image.get(image_id, [])
        overlap = iou(annotations.boxes[mine], predictions.boxes[theirs])
        while overlap.size and overlap.max() >= LEAST_OVERLAP:
            i, j = divmod(int(overlap.argmax()), overlap.shape[1])
            found[mine[i]] = theirs[j]
            overlap[i], overlap[:, j] = -1, -1
    return Matches(truths, found[truths])
