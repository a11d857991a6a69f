"""Average precision and recall as COCO defines them, by pycocotools: of keypoints by OKS, of boxes by IoU."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..errors import MissingExtraError
from .annotations import Annotations
from .predictions import Predictions

Kind = Literal["keypoints", "bbox"]
NAMES = {
    "keypoints": ("AP", "AP50", "AP75", "AP medium", "AP large", "AR", "AR50", "AR75", "AR medium", "AR large"),
    "bbox": (
        *("box AP", "box AP50", "box AP75", "box AP small", "box AP medium", "box AP large", "box AR1", "box AR10"),
        *("box AR", "box AR small", "box AR medium", "box AR large"),
    ),
}
_RECALLS = np.linspace(0.0, 1.00, 101)


@dataclass(frozen=True, eq=False)
class Precision:
    """What COCO's evaluation found."""

    kind: Kind
    values: dict[str, float]  # by `NAMES`; NaN where no annotation is of that size
    images: np.ndarray  # int64 [I], ids of the images, in the order of `matches`
    matches: tuple[Any, ...]  # an image's evaluation, all sizes, most detections; None where it has neither


def precision(
    annotations: Annotations, predictions: Predictions, kind: Kind = "keypoints", sigmas: np.ndarray | None = None
) -> Precision:
    """Return COCO's average precision and recall.

    Args:
        annotations: what is true.
        predictions: what was found.
        kind: keypoints by their similarity (OKS), or boxes by their overlap.
        sigmas: of the K keypoints, for OKS.

    Raises:
        MissingExtraError: pycocotools is not installed.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        raise MissingExtraError("average precision needs pycocotools, which", "eval") from None

    truth, found = COCO(), COCO()
    truth.dataset = {"images": _images(annotations), "categories": [{"id": 1}], "annotations": _true(annotations)}
    found.dataset = {
        "images": _images(annotations),
        "categories": [{"id": 1}],
        "annotations": _found(predictions, kind),
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        found.createIndex()
        evaluation = COCOeval(truth, found, kind)
        if kind == "keypoints" and sigmas is not None:
            evaluation.params.kpt_oks_sigmas = np.asarray(sigmas, np.float64)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    numbers = [float(v) if v > -1 else float("nan") for v in evaluation.stats]
    images = len(evaluation.params.imgIds)
    return Precision(
        kind,
        dict(zip(NAMES[kind], numbers, strict=True)),
        np.array(evaluation.params.imgIds, np.int64),
        tuple(evaluation.evalImgs[:images]),  # of the first range of areas: all
    )


def resampled(found: Precision, rows: np.ndarray) -> float:
    """Return the average precision over some of the images, which may repeat."""
    entries = [found.matches[i] for i in rows if found.matches[i] is not None]
    if not entries:
        return float("nan")
    scores = np.concatenate([e["dtScores"] for e in entries])
    order = np.argsort(-scores, kind="mergesort")
    matched = np.concatenate([e["dtMatches"] for e in entries], axis=1)[:, order] > 0
    ignored = np.concatenate([e["dtIgnore"] for e in entries], axis=1)[:, order].astype(bool)
    wanted = sum(int((e["gtIgnore"] == 0).sum()) for e in entries)
    if not wanted:
        return float("nan")
    right = np.cumsum(matched & ~ignored, axis=1, dtype=np.float64)
    wrong = np.cumsum(~matched & ~ignored, axis=1, dtype=np.float64)
    total = []
    for tp, fp in zip(right, wrong, strict=True):
        recall, precision = tp / wanted, tp / np.maximum(tp + fp, np.spacing(1))
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        places = np.searchsorted(recall, _RECALLS, side="left")
        inside = places < len(precision)
        total.append(precision[places[inside]].sum() / len(_RECALLS))
    return float(np.mean(total))


def _images(annotations: Annotations) -> list[dict[str, Any]]:
    return [{"id": image.id, "file_name": image.file_name} for image in annotations.images]


def _true(annotations: Annotations) -> list[dict[str, Any]]:
    triplets = np.concatenate([annotations.keypoints, annotations.visibility[..., None]], axis=2)
    return [
        {
            "id": i + 1,
            "image_id": int(annotations.image_ids[i]),
            "category_id": 1,
            "keypoints": triplets[i].ravel().tolist(),
            "num_keypoints": int(annotations.counted[i]),
            "bbox": _xywh(annotations.boxes[i]),
            "area": float(annotations.areas[i]),
            "iscrowd": int(annotations.crowd[i]),
        }
        for i in range(len(annotations))
    ]


def _found(predictions: Predictions, kind: Kind) -> list[dict[str, Any]]:
    there = np.isfinite(predictions.keypoints).all(axis=2)
    points = np.where(there[..., None], predictions.keypoints, 0)
    triplets = np.concatenate([points, predictions.keypoint_scores[..., None]], axis=2)
    entries = []
    for i in np.flatnonzero(there.any(axis=1)).tolist():
        box = _xywh(predictions.boxes[i])
        entries.append(
            {
                "id": i + 1,
                "image_id": int(predictions.image_ids[i]),
                "category_id": 1,
                "keypoints": triplets[i].ravel().tolist(),
                "score": float((predictions.box_scores if kind == "bbox" else predictions.scores)[i]),
                "bbox": box,
                "area": box[2] * box[3],  # as pycocotools itself takes it from results
                "iscrowd": 0,
            }
        )
    return entries


def _xywh(box: np.ndarray) -> list[float]:
    return [float(box[0]), float(box[1]), float(box[2] - box[0]), float(box[3] - box[1])]
