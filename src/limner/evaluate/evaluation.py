"""Everything that is counted about results: which metrics there are for which keypoints, and their values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from .. import keypoints
from ..errors import InputError, is_installed
from ..keypoints import KeypointSet
from . import metrics, precision
from .annotations import Annotations
from .matching import Matches, match
from .metrics import Errors
from .precision import Kind, Precision
from .predictions import Predictions

_OF_ERRORS: dict[str, Callable[[Errors], float]] = {
    "found": lambda e: float(np.isfinite(metrics.instance_means(_any(e))).mean()),
    "NME inter-ocular": lambda e: metrics.nme(e.share("inter-ocular")),
    "NME inter-pupil": lambda e: metrics.nme(e.share("inter-pupil")),
    "NME box": lambda e: metrics.nme(e.share("box area")),
    "failure rate": lambda e: metrics.failure_rate(e.share("inter-ocular")),
    "AUC NME": lambda e: metrics.curve_area(metrics.instance_means(e.share("inter-ocular")), metrics.FAILURE),
    "error / box": lambda e: metrics.nme(e.share("box")),
    "PCK@0.05 box": lambda e: metrics.pck(e.share("box"), 0.05),
    "PCK@0.1 box": lambda e: metrics.pck(e.share("box"), 0.1),
    "PCK@0.2 box": lambda e: metrics.pck(e.share("box"), 0.2),
    "PCK@0.2 torso": lambda e: metrics.pck(e.share("torso"), 0.2),
    "PCKh@0.5": lambda e: metrics.pck(e.share("head"), 0.5),
    "PCKh@0.1": lambda e: metrics.pck(e.share("head"), 0.1),
    "AUC": lambda e: metrics.auc(e.pixels),
    "EPE": lambda e: metrics.epe(e.pixels),
}
_NORMS = {
    "NME inter-ocular": "inter-ocular",
    "NME inter-pupil": "inter-pupil",
    "failure rate": "inter-ocular",
    "AUC NME": "inter-ocular",
    "PCK@0.2 torso": "torso",
    "PCKh@0.5": "head",
    "PCKh@0.1": "head",
}
_PERCENT = {"found", "NME inter-ocular", "NME inter-pupil", "NME box", "failure rate", "error / box"}
_LOWER = {"NME inter-ocular", "NME inter-pupil", "NME box", "failure rate", "error / box", "EPE"}
# what each kind of keypoints is measured by, first
_FIRST = {
    "face": ("NME inter-ocular", "NME inter-pupil", "NME box", "failure rate", "AUC NME", "found"),
    "hand": ("PCK@0.2 box", "AUC", "EPE", "error / box", "found"),
    "person": ("AP", "AP50", "AP75", "AR", "PCK@0.2 torso", "PCKh@0.5", "found"),
}
EXPLAINED = {
    "found": "annotated instances whose box overlaps a found one by 0.3 or more",
    "NME inter-ocular": "mean error of each found face, as a share of the distance of the outer corners of its eyes",
    "NME inter-pupil": "the same, of the distance of the pupils",
    "NME box": "mean error of each found instance, as a share of the root of the area of its box",
    "failure rate": "faces with an NME inter-ocular above 8 %, or not found",
    "AUC NME": "area under the cumulative distribution of NME inter-ocular up to 8 %",
    "error / box": "mean error of each found instance, as a share of the longer side of its box",
    "PCK@0.05 box": "annotated keypoints closer than 0.05 of the longer side of the box; what was not found is wrong",
    "PCK@0.1 box": "the same, 0.1",
    "PCK@0.2 box": "the same, 0.2",
    "PCK@0.2 torso": "annotated keypoints closer than 0.2 of the distance from shoulder to opposite hip",
    "PCKh@0.5": "annotated keypoints closer than half the size of the head",
    "PCKh@0.1": "the same, 0.1",
    "AUC": "mean of PCK over limits from 0 to 30 pixels, as MMPose takes it for hands",
    "EPE": "mean distance of the keypoints of found instances, pixels",
    "AP": "average precision of keypoints by OKS .50 to .95, as COCO defines it, by pycocotools",
    "AR": "average recall, likewise",
    "box AP": "average precision of boxes by IoU .50 to .95, likewise",
}


@dataclass(frozen=True)
class Metric:
    """One number of quality."""

    name: str
    value: float  # NaN where it cannot be said
    percent: bool = False  # shown in percent; the value is a share
    lower: bool = False  # whether lower is better

    def text(self, value: float | None = None) -> str:
        """Return the value, or another one of the same metric, for people."""
        value = self.value if value is None else value
        if math.isnan(value):
            return "-"
        return f"{100 * value:.2f} %" if self.percent else f"{value:.2f} px" if self.name == "EPE" else f"{value:.4f}"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Results about annotated images, and what was counted."""

    annotations: Annotations
    predictions: Predictions
    matches: Matches
    errors: Errors
    keypoint_set: KeypointSet | None
    names: tuple[str, ...]
    metrics: tuple[Metric, ...]
    precisions: dict[Kind, Precision] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def over(self, images: np.ndarray) -> dict[str, float]:
        """Return the metrics that are `comparable` over some of the images.

        Args:
            images: int64 ids, which may repeat.
        """
        rows = [self._rows[i] for i in images.tolist() if i in self._rows]
        errors = self.errors.of(np.concatenate(rows) if rows else np.zeros(0, np.int64))
        values = {}
        for metric in self.comparable:
            if metric.name in _OF_ERRORS:
                values[metric.name] = _OF_ERRORS[metric.name](errors)
            else:
                found = self.precisions["bbox" if metric.name.startswith("box") else "keypoints"]
                places = np.searchsorted(found.images, images)  # COCO's evaluation sorts the ids
                values[metric.name] = precision.resampled(found, places)
        return values

    @cached_property
    def _rows(self) -> dict[int, np.ndarray]:
        """The rows of the errors of each image."""
        order = np.argsort(self.errors.images, kind="stable")
        ids, starts = np.unique(self.errors.images[order], return_index=True)
        return dict(zip(ids.tolist(), np.split(order, starts[1:]), strict=True))

    @property
    def comparable(self) -> tuple[Metric, ...]:
        """The metrics that `over` computes."""
        return tuple(m for m in self.metrics if m.name in _OF_ERRORS or m.name in ("AP", "box AP"))


def evaluate(
    annotations: Annotations,
    predictions: Predictions,
    keypoint_set: KeypointSet | None = None,
    remarks: Sequence[str] = (),
) -> Evaluation:
    """Count everything that can be said of results.

    Args:
        annotations: what is true.
        predictions: what was found in the same images.
        keypoint_set: of the K keypoints; None takes that of the results or, by their names, of the annotations.
        remarks: sentences that belong to the report.

    Raises:
        InputError: annotations and results have other numbers of keypoints.
    """
    k = annotations.keypoints.shape[1]
    if len(predictions) and predictions.keypoints.shape[1] != k:
        raise InputError(
            f"'{annotations.source}' has {k} keypoints where '{predictions.source}' has "
            f"{predictions.keypoints.shape[1]}; take files that fit each other"
        )
    if not len(predictions):
        predictions = replace(predictions, keypoints=np.zeros((0, k, 2)), keypoint_scores=np.zeros((0, k)))
    keypoint_set = keypoint_set or _known_set(annotations, predictions)
    if keypoint_set is not None and len(keypoint_set) != k:
        raise InputError(f"'{annotations.source}' has {k} keypoints where {keypoint_set.name} has {len(keypoint_set)}")
    names = keypoint_set.names if keypoint_set else annotations.names or tuple(str(i) for i in range(k))
    matches = match(annotations, predictions)
    found = metrics.errors(annotations, predictions, matches, names, keypoint_set.name if keypoint_set else "")
    said = list(remarks)
    precisions: dict[Kind, Precision] = {}
    if not is_installed("pycocotools"):
        said.append("average precision needs pycocotools: pip install pycocotools")
    else:
        if keypoint_set is not None and len(keypoint_set.sigmas):
            precisions["keypoints"] = precision.precision(annotations, predictions, "keypoints", keypoint_set.sigmas)
        else:
            said.append("no average precision of keypoints: their set has no sigmas; --keypoints names one that has")
        if predictions.truths is None:
            precisions["bbox"] = precision.precision(annotations, predictions, "bbox")
    kind = keypoint_set.kind if keypoint_set else ""
    return Evaluation(
        *(annotations, predictions, matches, found, keypoint_set, tuple(names)),
        _metrics(found, precisions, kind),
        precisions,
        tuple(said),
    )


def _metrics(found: Errors, precisions: dict[Kind, Precision], kind: str) -> tuple[Metric, ...]:
    values = {
        name: count(found)
        for name, count in _OF_ERRORS.items()
        if (norm := _NORMS.get(name)) is None or norm in found.norms
    }
    for one in precisions.values():
        values.update(one.values)
    order = {name: i for i, name in enumerate(_FIRST.get(kind, _FIRST["person"]))}
    names = sorted(values, key=lambda name: order.get(name, len(order)))
    return tuple(Metric(name, values[name], name in _PERCENT, name in _LOWER) for name in names)


def _any(found: Errors) -> np.ndarray:
    """Return errors in which an instance counts as found if one of its keypoints was."""
    hit = np.isfinite(found.pixels).any(axis=1)
    return np.where(hit, 0.0, np.inf)[:, None]


def _known_set(annotations: Annotations, predictions: Predictions) -> KeypointSet | None:
    if predictions.set_name in keypoints.names():
        return keypoints.load(predictions.set_name)
    return next((s for s in map(keypoints.load, keypoints.names()) if s.names == annotations.names), None)
