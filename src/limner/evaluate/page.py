"""An evaluation as one HTML page: numbers, the distribution of errors, each keypoint, the worst images with the truth.

The page refers to nothing outside: plots are SVG, images are part of it.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

import cv2
import numpy as np

from ..draw.instances import draw
from ..draw.style import DrawStyle
from ..errors import LimnerError
from ..images import encode_image
from ..keypoints import KeypointSet
from ..sources.one_image import read_one
from ..types import Boxes, Poses, Result
from . import report
from .compare import Difference
from .evaluation import EXPLAINED, Evaluation
from .metrics import instance_means

WORST = 12  # instances that are shown
_SIDE = 260  # pixels of their images
_MARGIN = 0.4  # shown around a box, as a share of its longer side
_STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --paper: #ffffff; --line: #d5dae2; --soft: #5b6675; --mark: #2563a8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6eaf0; --paper: #14181f; --line: #323a47; --soft: #9aa5b4; --mark: #7ab2ee; }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 68rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
p, td.note { color: var(--soft); }
table { border-collapse: collapse; } td, th { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line);
  text-align: left; } td.value { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
svg text { fill: var(--soft); font-size: 12px; } svg .axis { stroke: var(--line); }
svg .curve { stroke: var(--mark); stroke-width: 2; fill: none; } svg .bar { fill: var(--mark); }
.worst { display: flex; flex-wrap: wrap; gap: 1.2rem; } figure { margin: 0; }
figure img { display: inline-block; width: 13rem; max-width: 46vw; }
figcaption { color: var(--soft); font-size: .85rem; }
"""


def html(evaluation: Evaluation, folder: Path | None = None, differences: Sequence[Difference] = ()) -> bytes:
    """Return the page.

    Args:
        evaluation: what was counted.
        folder: of the images; without it the page shows none.
        differences: to other results.
    """
    annotations, predictions = evaluation.annotations, evaluation.predictions
    title = f"{Path(predictions.source).name or 'results'} on {Path(annotations.source).name}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{len(evaluation.matches.truths)} instances in {len(annotations.images)} images.</p>",
        _numbers(evaluation),
        *(f"<p>{escape(remark)}</p>" for remark in evaluation.remarks),
    ]
    if differences:
        parts += ["<h2>Against the other results</h2>", _differences(differences)]
    parts += ["<h2>Errors of the instances</h2>", _distribution(evaluation), "<h2>Keypoints</h2>", _bars(evaluation)]
    if folder is not None:
        parts += [
            "<h2>The worst</h2>",
            "<p>Left what was found, right what is annotated.</p>",
            _worst(evaluation, folder),
        ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    page = f'<!doctype html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head><body>'
    return "\n".join([page, *parts, "</body></html>\n"]).encode("utf-8", "backslashreplace")


def _numbers(evaluation: Evaluation) -> str:
    rows = [
        f'<tr><th scope="row">{escape(m.name)}</th><td class="value">{m.text()}</td>'
        f'<td class="note">{escape(EXPLAINED.get(m.name, ""))}</td></tr>'
        for m in evaluation.metrics
        if not math.isnan(m.value)
    ]
    return f"<table>{''.join(rows)}</table>"


def _differences(differences: Sequence[Difference]) -> str:
    rows = ["<tr><th>metric</th><th>this</th><th>other</th><th>difference</th><th>95 % interval</th></tr>"]
    for d in differences:
        text = d.metric.text
        cells = (text(), text(d.other), text(d.value), f"{text(d.low)} to {text(d.high)}")
        row = "".join(f'<td class="value">{cell}</td>' for cell in cells)
        rows.append(f'<tr><th scope="row">{escape(d.metric.name)}</th>{row}</tr>')
    return f"<table>{''.join(rows)}</table>"


def _distribution(evaluation: Evaluation) -> str:
    """Return the cumulative distribution of the mean errors of the instances."""
    norm = "inter-ocular" if "inter-ocular" in evaluation.errors.norms else "box"
    means = instance_means(evaluation.errors.share(norm))
    means = np.sort(means[~np.isnan(means)])
    finite = means[np.isfinite(means)]
    if not len(finite):
        return "<p>Nothing was found.</p>"
    limit = max(float(np.percentile(finite, 98)), 1e-6)
    width, height, left, low = 620, 260, 46, 28
    steps = np.linspace(0, limit, 120)
    shares = np.searchsorted(means, steps, side="right") / len(means)
    xs, ys = left + (width - left - 10) * steps / limit, (height - low) - (height - low - 10) * shares
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
    grid = []
    for i in range(5):
        y, x = (height - low) - (height - low - 10) * i / 4, left + (width - left - 10) * i / 4
        grid.append(f'<line class="axis" x1="{left}" x2="{width - 10}" y1="{y:.1f}" y2="{y:.1f}"/>')
        grid.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{25 * i} %</text>')
        anchor = "end" if i == 4 else "middle"
        grid.append(f'<text x="{x:.1f}" y="{height - 8}" text-anchor="{anchor}">{100 * limit * i / 4:.1f} %</text>')
    label = f"share of instances (up) with at most this mean error as a share of the {norm} length (right)"
    if norm == "box":
        label = "share of instances (up) with at most this mean error as a share of the longer side of the box (right)"
    plot = f'<polyline class="curve" points="{line}"/>'
    svg = f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{label}">'
    return f"{svg}{''.join(grid)}{plot}</svg><p>{label[0].upper()}{label[1:]}.</p>"


def _bars(evaluation: Evaluation) -> str:
    """Return the mean error of each keypoint."""
    rows = [row for row in report.by_keypoint(evaluation) if row["error / box"] is not None]
    most = max((row["error / box"] for row in rows), default=1) or 1
    lines = []
    for i, row in enumerate(rows):
        y, share = 20 * i, row["error / box"]
        lines.append(f'<text x="170" y="{y + 14}" text-anchor="end">{escape(row["name"])}</text>')
        lines.append(f'<rect class="bar" x="180" y="{y + 4}" width="{300 * share / most:.1f}" height="12"/>')
        lines.append(f'<text x="{186 + 300 * share / most:.1f}" y="{y + 14}">{100 * share:.1f} %</text>')
    height = 20 * len(rows)
    label = "mean error of each keypoint of what was found, as a share of the longer side of the box"
    svg = f'<svg viewBox="0 0 560 {height}" width="560" role="img" aria-label="{label}">{"".join(lines)}</svg>'
    return f"<p>{label[0].upper()}{label[1:]}.</p>{svg}"


def _worst(evaluation: Evaluation, folder: Path) -> str:
    names = {image.id: image.file_name for image in evaluation.annotations.images}
    figures = []
    for row in report.worst(evaluation, WORST).tolist():
        truth, found = int(evaluation.matches.truths[row]), int(evaluation.matches.found[row])
        name = names[int(evaluation.annotations.image_ids[truth])]
        try:
            image = read_one(folder / name).image
        except LimnerError:
            continue  # the table has its numbers
        box = evaluation.annotations.boxes[truth]
        seen = (evaluation.annotations.visibility[truth] > 0).astype(np.float64)
        predicted = (evaluation.predictions.keypoints[found], evaluation.predictions.keypoint_scores[found])
        pair = [
            _drawn(image, box, *points, evaluation.keypoint_set)
            for points in (predicted, (evaluation.annotations.keypoints[truth], seen))
        ]
        error = 100 * float(instance_means(evaluation.errors.share("box")[row][None])[0])
        shown = "".join(
            f'<img alt="{what}" src="{data}">' for what, data in zip(("found", "annotated"), pair, strict=True)
        )
        figures.append(f"<figure>{shown}<figcaption>{escape(name)}: {error:.1f} % of the box</figcaption></figure>")
    return f'<div class="worst">{"".join(figures)}</div>'


def _drawn(
    image: np.ndarray, box: np.ndarray, keypoints: np.ndarray, scores: np.ndarray, keypoint_set: KeypointSet | None
) -> str:
    """Return the surroundings of a box with keypoints on it, as the data of a JPEG file."""
    margin = _MARGIN * max(float((box[2:] - box[:2]).max()), 1.0)
    low = np.floor(np.maximum(box[:2] - margin, 0)).astype(int)
    high = np.ceil(np.minimum(box[2:] + margin, image.shape[1::-1])).astype(int)
    part = image[low[1] : high[1], low[0] : high[0]]
    if not part.size:
        part, low = image, np.zeros(2, int)
    scale = _SIDE / max(part.shape[:2])
    part = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    points = ((keypoints - low + 0.5) * scale - 0.5).astype(np.float32)
    if keypoint_set is not None:
        known = np.isfinite(points).all(axis=1)
        scores = np.where(known, scores, 0).astype(np.float32)
        points[~known] = 0
        one = Boxes(np.array([[0, 0, *part.shape[1::-1]]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64))
        size = (part.shape[1], part.shape[0])
        part = draw(part, Result(one, Poses(points[None], scores[None]), keypoint_set, size), DrawStyle())
    data = encode_image(np.ascontiguousarray(part), ".jpg", "a part of an image")
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()
