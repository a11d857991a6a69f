"""The numbers of an evaluation as a table for a terminal, and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..files import plain_json
from .compare import Difference
from .evaluation import EXPLAINED, Evaluation
from .metrics import instance_means


def table(evaluation: Evaluation, differences: Sequence[Difference] = ()) -> str:
    """Return the metrics as lines of text; those that cannot be said are left out."""
    rows = [(m.name, m.text(), EXPLAINED.get(m.name, "")) for m in evaluation.metrics if not math.isnan(m.value)]
    if differences:
        rows = [("metric", "this", "other   difference [95 %]")]
        for d in differences:
            low, high, value = (d.metric.text(v) for v in (d.low, d.high, d.value))
            mark = "" if not d.sure else "  better" if (d.value < 0) == d.metric.lower else "  worse"
            rows.append((d.metric.name, d.metric.text(), f"{d.metric.text(d.other)}   {value} [{low}, {high}]{mark}"))
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    head = f"{len(evaluation.matches.truths)} instances in {len(evaluation.annotations.images)} images"
    lines = [f"{name:<{widths[0]}}  {value:>{widths[1]}}  {text}".rstrip() for name, value, text in rows]
    return "\n".join([head, *lines, *evaluation.remarks])


def content(evaluation: Evaluation, differences: Sequence[Difference] = ()) -> dict[str, Any]:
    """Return what the JSON report holds; a number that cannot be said is null."""
    record: dict[str, Any] = {
        "annotations": evaluation.annotations.source,
        "results": evaluation.predictions.source,
        "images": len(evaluation.annotations.images),
        "instances": len(evaluation.matches.truths),
        "keypoint_set": evaluation.keypoint_set.name if evaluation.keypoint_set else None,
        "metrics": {m.name: number(m.value) for m in evaluation.metrics},
        "keypoints": by_keypoint(evaluation),
        "remarks": list(evaluation.remarks),
    }
    if differences:
        record["against"] = [
            {
                "metric": d.metric.name,
                "this": number(d.metric.value),
                "other": number(d.other),
                "difference": number(d.value),
                "interval": [number(d.low), number(d.high)],
            }
            for d in differences
        ]
    return record


def as_json(evaluation: Evaluation, differences: Sequence[Difference] = ()) -> bytes:
    """Return the JSON report."""
    return json.dumps(plain_json(content(evaluation, differences)), indent=2, allow_nan=False).encode() + b"\n"


def number(value: float) -> float | None:
    """Return a number that JSON can hold."""
    return float(value) if math.isfinite(value) else None


def by_keypoint(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Return, for each keypoint, how often it is annotated, its mean error and share within a tenth of the box."""
    shares = evaluation.errors.share("box")
    rows = []
    for i, name in enumerate(evaluation.names):
        column = shares[:, i][~np.isnan(shares[:, i])]
        hit = column[np.isfinite(column)]
        rows.append(
            {
                "name": name,
                "annotated": len(column),
                "error / box": number(float(hit.mean()) if len(hit) else math.nan),
                "PCK@0.1 box": number(float((column < 0.1).mean()) if len(column) else math.nan),
            }
        )
    return rows


def worst(evaluation: Evaluation, count: int) -> np.ndarray:
    """Return the matched instances with the largest mean error as rows of the matches, the worst first."""
    means = instance_means(evaluation.errors.share("box"))
    rows = np.flatnonzero(np.isfinite(means))
    return rows[np.argsort(-means[rows], kind="stable")][:count]
