"""Boxes with their labels, and the indices of keypoints."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..types import Result
from .colors import BY_ID, TRACK_COLORS, Color, of_person
from .parts import Parts
from .primitives import FIXED_POINT_BITS, layer
from .style import DrawStyle

_BOX_COLOR = (96, 196, 64)  # BGR
_DARK, _BRIGHT = (16, 16, 16), (240, 240, 240)  # text on bright and on dark labels
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_HEIGHT = 21.0  # pixels of a digit at font scale 1


@dataclass(frozen=True)
class Box:
    """A box as it is drawn, with its label."""

    corners: tuple[float, float, float, float]  # x1, y1, x2, y2, pixels
    color: Color
    text: str  # "" for no label
    digits: float  # height of the text, pixels


def boxes_of(result: Result, style: DrawStyle, size: tuple[int, int]) -> dict[int, Box]:
    """Return the boxes and labels to draw on an image of a size, (width, height), by instance."""
    width, height = size
    xyxy = np.asarray(result.boxes.xyxy, np.float64)
    clipped = np.clip(xyxy, (-2 * width, -2 * height) * 2, (2 * width, 2 * height) * 2).tolist()
    boxes = {}
    for i in np.flatnonzero(np.isfinite(xyxy).all(axis=1)).tolist():
        x1, y1, x2, y2 = clipped[i]
        number = -1 if result.track_ids is None else int(result.track_ids[i])
        texts = []
        if style.labels and number >= 0:  # none for a person without track id yet
            texts.append(f"#{number}")
        if style.labels and style.draw_bbox:
            texts.append(f"{float(result.boxes.scores[i]):.2f}")
        digits = min(max(0.05 * max(x2 - x1, y2 - y1), 7), 7 + 0.008 * max(height, width))
        color = _color(style, number, i if result.track_ids is None else number)
        boxes[i] = Box((x1, y1, x2, y2), color, " ".join(texts), digits)
    return boxes


def _color(style: DrawStyle, track_id: int, person: int) -> Color:
    if style.by == BY_ID:
        return of_person(person)
    if (rgba := style.rgba) is not None:
        return rgba[2], rgba[1], rgba[0]
    return TRACK_COLORS[track_id % len(TRACK_COLORS)] if track_id >= 0 else _BOX_COLOR


def draw_boxes(canvas: np.ndarray, result: Result, style: DrawStyle) -> None:
    """Draw each box and, on a small label at its top left corner, its track id and score."""
    height, width = canvas.shape[:2]
    line = line_width((width, height))
    for box in boxes_of(result, style, (width, height)).values():
        if style.draw_bbox:
            left, top, right, bottom = (round(v * (1 << FIXED_POINT_BITS)) for v in box.corners)
            cv2.rectangle(canvas, (left, top), (right, bottom), box.color, line, cv2.LINE_AA, FIXED_POINT_BITS)
        if box.text:
            _draw_label(canvas, box.text, *box.corners[:2], box.digits, box.color)


def line_width(size: tuple[int, int]) -> int:
    """Return the width of a box's line, pixels, on an image of a size."""
    return max(1, round(max(size) / 1000))


def text_color(label: Color) -> Color:
    """Return a colour that can be read on a label."""
    blue, green, red = label
    return _DARK if 0.114 * blue + 0.587 * green + 0.299 * red > 80 else _BRIGHT


def _draw_label(canvas: np.ndarray, text: str, x: float, y: float, digits: float, color: Color) -> None:
    """Write ``text``, ``digits`` pixels high, on a label with its lower left corner at (x, y), moved into the image."""
    height, width = canvas.shape[:2]
    scale, stroke = digits / _FONT_HEIGHT, max(1, round(digits / 13))
    (w, h), _ = cv2.getTextSize(text, _FONT, scale, stroke)
    pad = max(2, round(h / 3))
    left = int(min(max(x, 0), max(0, width - w - 2 * pad)))
    bottom = int(min(max(y, h + 2 * pad), max(height, h + 2 * pad)))
    cv2.rectangle(canvas, (left, bottom - h - 2 * pad), (left + w + 2 * pad, bottom), color, -1)
    cv2.putText(canvas, text, (left + pad, bottom - pad), _FONT, scale, text_color(color), stroke, cv2.LINE_AA)


@dataclass(frozen=True, eq=False)
class Indices:
    """Where the indices of n keypoints are written."""

    numbers: list[int]  # n
    dots: np.ndarray  # float64 [n, 2], the keypoints, pixels
    centers: np.ndarray  # float64 [n, 2], of the texts
    with_leader: np.ndarray  # bool [n], whether a line leads from the keypoint to its text
    height: float  # of a digit, pixels


def place_indices(parts: Parts, m: int, size: tuple[int, ...]) -> Indices:
    """Return where the indices of the drawn keypoints of a part are written, on an image of a size."""
    drawn, extent = parts.drawn[m], float(parts.size[m])
    numbers = np.flatnonzero(drawn).tolist()
    # as small as can be read where they would bury a small face
    smallest = min(max(0.34 * extent / np.sqrt(len(numbers)), 4.2), 6.5)
    height = min(max(0.02 * extent, smallest), 6.5 + 0.008 * max(size))
    dots, radii = parts.points[m][drawn].astype(np.float64), parts.radii[m][drawn]
    centers = _place_labels(dots, radii, [str(n) for n in numbers], height, size)
    with_leader = np.linalg.norm(centers - dots, axis=1) > 1.7 * height + radii
    return Indices(numbers, dots, centers, with_leader, height)


def write_indices(canvas: np.ndarray, parts: Parts, m: int) -> None:
    """Write the index of each drawn keypoint of a part beside it; a line leads to those placed further away."""
    placed = place_indices(parts, m, canvas.shape[1::-1])
    dots, centers, height = placed.dots, placed.centers, placed.height
    extent = np.concatenate([dots, centers - 3 * height, centers + 3 * height])
    width = height / 8
    zoom = 4 if width < 1.5 else 2 if width < 3 else 1
    with layer(canvas, extent.min(axis=0), extent.max(axis=0), width, 1.0, zoom) as target:
        if target is None:
            return
        leaders = target.to_layer(np.stack([dots, centers], axis=1)[placed.with_leader])
        cv2.polylines(
            target.image, list(leaders), False, (255, 255, 255), (target.zoom + 1) // 2, cv2.LINE_AA, FIXED_POINT_BITS
        )
        scale, stroke = target.zoom * height / _FONT_HEIGHT, max(1, round(target.zoom * height / 9))
        for number, (x, y) in zip(placed.numbers, (target.to_layer(centers) >> FIXED_POINT_BITS).tolist(), strict=True):
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
