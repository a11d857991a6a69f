"""Boxes with their labels, and the indices of keypoints."""

from __future__ import annotations

import cv2
import numpy as np

from ..types import Result
from .parts import Color, Parts
from .primitives import FIXED_POINT_BITS, layer

_BOX_COLOR = (96, 196, 64)  # BGR
# BGR, one per track id in turn
_TRACK_COLORS = ((96, 196, 64), (28, 159, 255), (255, 156, 86), (146, 98, 240), (255, 130, 171), (200, 200, 0))
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_HEIGHT = 21.0  # pixels of a digit at font scale 1


def draw_boxes(canvas: np.ndarray, result: Result, with_lines_and_scores: bool) -> None:
    """Draw each box and, on a small label at its top left corner, its track id and score."""
    height, width = canvas.shape[:2]
    line = max(1, round(max(height, width) / 1000))
    boxes = np.asarray(result.boxes.xyxy, np.float64)
    clipped = np.clip(boxes, (-2 * width, -2 * height) * 2, (2 * width, 2 * height) * 2).tolist()
    for i in np.flatnonzero(np.isfinite(boxes).all(axis=1)).tolist():
        x1, y1, x2, y2 = clipped[i]
        color, text_parts = _BOX_COLOR, []
        if result.track_ids is not None and (number := int(result.track_ids[i])) >= 0:
            color = _TRACK_COLORS[number % len(_TRACK_COLORS)]
            text_parts.append(f"#{number}")
        if with_lines_and_scores:
            left, top, right, bottom = (round(v * (1 << FIXED_POINT_BITS)) for v in clipped[i])
            cv2.rectangle(canvas, (left, top), (right, bottom), color, line, cv2.LINE_AA, FIXED_POINT_BITS)
            text_parts.append(f"{float(result.boxes.scores[i]):.2f}")
        if text_parts:  # none for a person without track id yet
            digits = min(max(0.05 * max(x2 - x1, y2 - y1), 7), 7 + 0.008 * max(height, width))
            _draw_label(canvas, " ".join(text_parts), x1, y1, digits, color)


def _draw_label(canvas: np.ndarray, text: str, x: float, y: float, digits: float, color: Color) -> None:
    """Write ``text``, ``digits`` pixels high, on a label with its lower left corner at (x, y), moved into the image."""
    height, width = canvas.shape[:2]
    scale, stroke = digits / _FONT_HEIGHT, max(1, round(digits / 13))
    (w, h), _ = cv2.getTextSize(text, _FONT, scale, stroke)
    pad = max(2, round(h / 3))
    left = int(min(max(x, 0), max(0, width - w - 2 * pad)))
    bottom = int(min(max(y, h + 2 * pad), max(height, h + 2 * pad)))
    cv2.rectangle(canvas, (left, bottom - h - 2 * pad), (left + w + 2 * pad, bottom), color, -1)
    cv2.putText(canvas, text, (left + pad, bottom - pad), _FONT, scale, (16, 16, 16), stroke, cv2.LINE_AA)


def write_indices(canvas: np.ndarray, parts: Parts, m: int) -> None:
    """Write the index of each drawn keypoint of a part beside it; a line leads to those placed further away."""
    height = min(max(0.02 * float(parts.size[m]), 6.5), 6.5 + 0.008 * max(canvas.shape[:2]))
    drawn = parts.drawn[m]
    numbers = np.flatnonzero(drawn).tolist()
    dots, radii = parts.points[m][drawn].astype(np.float64), parts.radii[m][drawn]
    centers = _place_labels(dots, radii, [str(n) for n in numbers], height, canvas.shape[1::-1])
    with_leader = np.linalg.norm(centers - dots, axis=1) > 1.7 * height + radii
    extent = np.concatenate([dots, centers - 3 * height, centers + 3 * height])
    width = height / 8
    zoom = 4 if width < 1.5 else 2 if width < 3 else 1
    with layer(canvas, extent.min(axis=0), extent.max(axis=0), width, 1.0, zoom) as target:
        if target is None:
            return
        leaders = target.to_layer(np.stack([dots, centers], axis=1)[with_leader])
        cv2.polylines(
            target.image, list(leaders), False, (255, 255, 255), (target.zoom + 1) // 2, cv2.LINE_AA, FIXED_POINT_BITS
        )
        scale, stroke = target.zoom * height / _FONT_HEIGHT, max(1, round(target.zoom * height / 9))
        for number, (x, y) in zip(numbers, (target.to_layer(centers) >> FIXED_POINT_BITS).tolist(), strict=True):
            (w, h), _ = cv2.getTextSize(str(number), _FONT, scale, stroke)
            org = x - w // 2, y + h // 2
            for color, wide in (((0, 0, 0), stroke + 2 * target.zoom), ((255, 255, 255), stroke)):
                cv2.putText(target.image, str(number), org, _FONT, scale, color, wide, cv2.LINE_AA)


def _place_labels(
    dots: np.ndarray, radii: np.ndarray, texts: list[str], height: float, size: tuple[int, ...]
) -> np.ndarray:
    """Return a centre [N, 2] for the text of each dot where it covers little of the dots and the other texts."""
    angles = np.arange(16) * (np.pi / 8) - np.pi / 2
    around = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    covered = np.concatenate([dots - radii[:, None], dots + radii[:, None]], axis=1)
    centers = np.empty_like(dots)
    for i, text in enumerate(texts):
        half = np.array((0.45 * len(text) + 0.2, 0.7)) * height
        candidates = np.concatenate(
            [dots[i] + around * (half + radii[i] + d * height) for d in (0.0, 0.8, 1.6, 3.0, 4.5)]
        )
        boxes = np.concatenate([candidates - half, candidates + half], axis=1)
        overlap = np.minimum(boxes[:, None, 2:], covered[:, 2:]) - np.maximum(boxes[:, None, :2], covered[:, :2])
        covered_area = np.clip(overlap, 0, None).prod(axis=-1).sum(axis=-1)
        outside = (np.clip(half - candidates, 0, None) + np.clip(candidates + half - size, 0, None)).sum(axis=1)
        best = int(
            (covered_area + height * (2 * outside + 0.2 * np.linalg.norm(candidates - dots[i], axis=1))).argmin()
        )
        centers[i] = candidates[best]
        covered = np.concatenate([covered, boxes[None, best]])
    return centers
