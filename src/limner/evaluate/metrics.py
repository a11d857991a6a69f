"""Errors of keypoints in pixels and shares: NME, PCK, PCKh, AUC, EPE, failure rate.

All take the errors of the annotated keypoints of T instances, float ``[T, K]`` in pixels: NaN where a keypoint is not
annotated, infinite where its instance, or the keypoint itself, was not found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .annotations import Annotations
from .matching import Matches
from .predictions import Predictions

FAILURE = 0.08  # NME above which a face has failed, and up to which the area under the curve is taken
EPE_LIMIT = 30  # pixels, of hands' AUC, as in MMPose

# keypoint set -> outer corners of the eyes, and the points around each eye whose mean is its pupil
_EYES: dict[str, tuple[tuple[int, int], tuple[Sequence[int], Sequence[int]]]] = {
    **{
        name: ((36, 45), (range(36, 42), range(42, 48)))
        for name in ("300w-68", "coco-wholebody-face-68", "limner-face-68")
    },
    "wflw-98": ((60, 72), ((96,), (97,))),
    "cofw-29": ((8, 9), ((16,), (17,))),
    "lapa-106": ((66, 79), ((104,), (105,))),
}
_TORSO = (("left_shoulder", "right_hip"), ("right_shoulder", "left_hip"))
_HEAD = (("head_top", "upper_neck"), ("top_head", "neck"), ("head", "neck"))


@dataclass(frozen=True, eq=False)
class Errors:
    """How far the keypoints of the matched instances lie from where they are."""

    pixels: np.ndarray  # float64 [T, K]
    images: np.ndarray  # int64 [T], ids
    norms: Mapping[str, np.ndarray]  # name -> float64 [T], pixels; NaN where it cannot be said

    def share(self, norm: str) -> np.ndarray:
        """Return the errors as shares of a length: float ``[T, K]``."""
        return self.pixels / self.norms[norm][:, None]

    def of(self, rows: np.ndarray) -> Errors:
        """Return those of some instances, which may repeat."""
        return Errors(self.pixels[rows], self.images[rows], {name: n[rows] for name, n in self.norms.items()})


def errors(
    annotations: Annotations, predictions: Predictions, matches: Matches, names: Sequence[str], set_name: str = ""
) -> Errors:
    """Return the errors of matched instances, and the lengths that they can be shares of.

    Args:
        annotations: what is true.
        predictions: what was found.
        matches: which belong together.
        names: of the K keypoints.
        set_name: of the keypoint set, which says where the eyes are.
    """
    truth, seen = annotations.keypoints[matches.truths], annotations.visibility[matches.truths] > 0
    pixels = np.full(truth.shape[:2], np.inf)
    hit = matches.hit
    pixels[hit] = np.linalg.norm(predictions.keypoints[matches.found[hit]] - truth[hit], axis=2)
    pixels[np.isnan(pixels)] = np.inf  # no coordinates
    pixels[~seen] = np.nan
    boxes = annotations.boxes[matches.truths]
    sides = boxes[:, 2:] - boxes[:, :2]
    norms = {"box": sides.max(axis=1), "box area": np.sqrt(np.prod(np.maximum(sides, 0), axis=1))}
    if set_name in _EYES:
        corners, eyes = _EYES[set_name]
        norms["inter-ocular"] = _distance(truth, seen, *corners)
        centres = [truth[:, list(eye)].mean(axis=1) for eye in eyes]
        known = seen[:, [i for eye in eyes for i in eye]].all(axis=1)
        norms["inter-pupil"] = np.where(known, np.linalg.norm(centres[0] - centres[1], axis=1), np.nan)
    if pairs := _pairs(_TORSO, names):
        norms["torso"] = np.fmax.reduce([_distance(truth, seen, *pair) for pair in pairs])
    head = annotations.head_sizes[matches.truths]
    if np.isfinite(head).any():
        norms["head"] = head
    elif pairs := _pairs(_HEAD, names):
        norms["head"] = _distance(truth, seen, *pairs[0])
    norms = {name: np.where(length > 0, length, np.nan) for name, length in norms.items()}
    return Errors(pixels, annotations.image_ids[matches.truths], norms)


def _pairs(pairs: Sequence[tuple[str, str]], names: Sequence[str]) -> list[tuple[int, int]]:
    places = {name: i for i, name in enumerate(names)}
    return [(places[a], places[b]) for a, b in pairs if a in places and b in places]


def _distance(points: np.ndarray, seen: np.ndarray, one: int, other: int) -> np.ndarray:
    """Return the distance of two annotated keypoints of each instance, NaN where one is not annotated."""
    length = np.linalg.norm(points[:, one] - points[:, other], axis=1)
    return np.where(seen[:, one] & seen[:, other], length, np.nan)


def instance_means(shares: np.ndarray) -> np.ndarray:
    """Return the mean error of each instance over its annotated keypoints: float ``[T]``, NaN where none counts."""
    counted = ~np.isnan(shares)
    total = np.where(counted, shares, 0).sum(axis=1)
    return np.where(counted.any(axis=1), total / np.maximum(counted.sum(axis=1), 1), np.nan)


def nme(shares: np.ndarray) -> float:
    """Return the mean of the errors of the instances that were found, each the mean over its keypoints."""
    means = instance_means(shares)
    means = means[np.isfinite(means)]
    return float(means.mean()) if len(means) else float("nan")


def failure_rate(shares: np.ndarray, limit: float = FAILURE) -> float:
    """Return the share of instances whose mean error exceeds ``limit``, or that were not found."""
    means = instance_means(shares)
    means = means[~np.isnan(means)]
    return float((means > limit).mean()) if len(means) else float("nan")


def curve_area(values: np.ndarray, limit: float) -> float:
    """Return the area under the cumulative distribution of ``values`` from 0 to ``limit``, as a share, exactly.

    A value that is infinite counts among all, a NaN does not.
    """
    values = values[~np.isnan(values)]
    return float(np.clip(1 - values / limit, 0, None).mean()) if len(values) else float("nan")


def pck(shares: np.ndarray, limit: float) -> float:
    """Return the share of annotated keypoints whose error is below ``limit`` (PCK; PCKh where shares are of the head).

    The mean is taken over all keypoints; those of instances that were not found are wrong.
    """
    counted = ~np.isnan(shares)
    return float((shares[counted] < limit).mean()) if counted.any() else float("nan")


def pck_by_keypoint(shares: np.ndarray, limit: float) -> float:
    """Return `pck` as MMPose averages it: of each keypoint first, then over the keypoints that are annotated."""
    counted = ~np.isnan(shares)
    used = counted.any(axis=0)
    right = np.where(counted, shares < limit, False).sum(axis=0)[used] / counted.sum(axis=0)[used]
    return float(right.mean()) if used.any() else float("nan")


def epe(pixels: np.ndarray) -> float:
    """Return the mean distance of the annotated keypoints that were found, in pixels."""
    counted = np.isfinite(pixels)
    return float(pixels[counted].mean()) if counted.any() else float("nan")


def auc(pixels: np.ndarray, limit: float = EPE_LIMIT, steps: int = 20) -> float:
    """Return the mean of PCK at ``steps`` limits below ``limit`` pixels, as MMPose computes the AUC of hands."""
    return float(np.mean([pck_by_keypoint(pixels / limit, i / steps) for i in range(steps)]))
