"""Synthetic clips of two people who cross: cut-out people that move over a background. See tracking.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from limner.types import Frame, Result

HIDDEN = 0.3  # occluded share of a person from which on the person counts as hidden


@dataclass(frozen=True, eq=False)
class Cutout:
    """One person cut out of an image."""

    image: np.ndarray  # uint8 [h, w, 3], BGR
    alpha: np.ndarray  # float32 [h, w, 1] in 0..1
    points: np.ndarray  # float64 [K, 2], annotated keypoints in pixels from its centre; none for a face


@dataclass(frozen=True, eq=False)
class Crossing:
    """A frame in which two people cross, and where they are."""

    frame: Frame
    centers: np.ndarray  # float64 [2, 2], pixels
    hidden: tuple[float, float]  # share of each behind the other


def cut_face(image: np.ndarray, box: np.ndarray, height: int) -> Cutout:
    """Cut the ellipse around a face box out of an image, ``height`` pixels tall."""
    (x1, y1), (x2, y2) = box.reshape(2, 2)
    wide, tall = x2 - x1, y2 - y1
    low = np.maximum([x1 - 0.25 * wide, y1 - 0.35 * tall], 0).astype(int)
    high = np.minimum([x2 + 0.25 * wide, y2 + 0.1 * tall], image.shape[1::-1]).astype(int)
    part = scaled(image[low[1] : high[1], low[0] : high[0]], height)
    alpha = np.zeros(part.shape[:2], np.float32)
    center = (part.shape[1] // 2, part.shape[0] // 2)
    cv2.ellipse(alpha, center, (center[0] - 3, center[1] - 3), 0, 0, 360, 1.0, -1)
    return Cutout(part, cv2.GaussianBlur(alpha, (0, 0), 2)[..., None], np.zeros((0, 2)))


def cut_person(image: np.ndarray, note: dict[str, Any], height: int) -> Cutout:
    """Cut a person out of an image along its outline, ``height`` pixels tall; ``note`` is COCO's annotation."""
    x, y, w, h = note["bbox"]
    x1, y1, x2, y2 = np.rint([x, y, x + w, y + h]).astype(int).tolist()
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.setRNGSeed(0)
    model = np.zeros((2, 1, 65))
    cv2.grabCut(image, mask, (x1, y1, x2 - x1, y2 - y1), model[0], model[1], 4, cv2.GC_INIT_WITH_RECT)
    inside = ((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)).astype(np.float32)
    part, alpha = (scaled(a[y1:y2, x1:x2], height) for a in (image, inside))
    points = np.reshape(note["keypoints"], (-1, 3))[:, :2] - ((x1 + x2) / 2, (y1 + y2) / 2)
    return Cutout(part, cv2.GaussianBlur(alpha, (0, 0), 1.5)[..., None], points * height / (y2 - y1))


def scaled(image: np.ndarray, height: int) -> np.ndarray:
    """Return an image scaled to that height."""
    factor = height / image.shape[0]
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, (round(image.shape[1] * factor), height), interpolation=how).clip(0, 255)


def cross(
    people: tuple[Cutout, Cutout],
    background: np.ndarray,
    *,
    front: int,
    offset: float = 0.0,
    fps: float = 25.0,
    seconds: float = 4.0,
) -> Iterator[Crossing]:
    """Move two people across each other, the one to the right and the other to the left.

    Args:
        people: the two people.
        background: uint8 ``[H, W, 3]``, BGR.
        front: which of them is in front.
        offset: how far the second is below the first, in heights of the first.
        fps, seconds: of the clip.
    """
    height, width = background.shape[:2]
    noise = np.random.default_rng(0)
    count = round(seconds * fps)
    for i in range(count):
        part = i / (count - 1)
        xs = (0.15 + 0.7 * part) * width, (0.85 - 0.7 * part) * width
        ys = 0.5 * height, 0.5 * height + offset * people[0].image.shape[0]
        image, masks = background.astype(np.float32), []
        for k in (1 - front, front):
            layer, alpha = place(people[k], xs[k], ys[k], (width, height))
            image = image * (1 - alpha) + layer * alpha
            masks.append(alpha)
        behind = float((masks[0] * masks[1]).sum() / masks[0].sum())
        image += noise.normal(0, 2, image.shape)
        frame = Frame(np.clip(image, 0, 255).astype(np.uint8), "crossing", i, i / fps)
        yield Crossing(frame, np.stack([xs, ys], axis=1), (0.0, behind) if front == 0 else (behind, 0.0))


def place(person: Cutout, x: float, y: float, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return a person at a place of an image: pixels and opacity, float32 ``[H, W, 3]`` and ``[H, W, 1]``."""
    h, w = person.image.shape[:2]
    matrix = np.array([[1, 0, x - w / 2], [0, 1, y - h / 2]], np.float32)
    layer = cv2.warpAffine(person.image, matrix, size).astype(np.float32)
    return layer, cv2.warpAffine(person.alpha, matrix, size)[..., None]


@dataclass(frozen=True)
class CrossingOutcome:
    """What happens to the track ids of two people who cross."""

    track_ids_of_both: tuple[tuple[int, ...], tuple[int, ...]]  # of each person, in order of appearance
    switches: int  # changes from one frame to the next while nobody is hidden
    kept: bool  # whether both have the same track id at the end as at the start
    hidden: int  # frames in which one of them is hidden
    missed: int  # of those, in which fewer than two people are found


def crossing_outcome(steps: Sequence[Crossing], results: Sequence[Result]) -> CrossingOutcome:
    """Compare the track ids in ``results`` with the true positions."""
    ids_by_frame: tuple[dict[int, int], dict[int, int]] = ({}, {})  # frame -> track id, where nobody is hidden
    missed = 0
    for f, (step, result) in enumerate(zip(steps, results, strict=True)):
        if max(step.hidden) > HIDDEN:
            missed += len(result) < 2
            continue
        box_centers = (result.boxes.xyxy[:, :2] + result.boxes.xyxy[:, 2:]) / 2
        for center, track_id in zip(box_centers, result.track_ids.tolist(), strict=True):
            who = int(np.linalg.norm(step.centers - center, axis=1).argmin())
            if track_id > 0:
                ids_by_frame[who][f] = track_id
    consecutive = [(of[f], of[f + 1]) for of in ids_by_frame for f in of if f + 1 in of]
    seen = [tuple(dict.fromkeys(of.values())) for of in ids_by_frame]
    kept = all(of and next(iter(of.values())) == next(reversed(of.values())) for of in ids_by_frame)
    hidden = sum(max(step.hidden) > HIDDEN for step in steps)
    return CrossingOutcome((seen[0], seen[1]), sum(a != b for a, b in consecutive), kept, hidden, missed)
