"""What a hand detector is measured on: annotated hands, hands of people, and regions without a hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch import nn

from detector import detect
from faces import overlap
from hands import annotated_test, hand_box, held_out, labelled

LEAST = 24  # px: smaller hands are not counted
FACES = 110  # regions without hands that are faces; the others are those of false_alarm_regions.py


def hands_of_people(data: Path, more: Path) -> list[tuple[Path, list[np.ndarray]]]:
    """Return images of people that were kept back, and the boxes of their hands of 24 px or more."""
    rows = []
    for entry in labelled(data, more):
        if entry.people and held_out(entry.path):
            boxes = [hand_box(h) for h in entry.hands if np.ptp(h, axis=0).max() >= LEAST]
            if boxes:
                rows.append((entry.path, boxes))
    return rows


def best_scores(boxes: Any, truths: list[np.ndarray], least: float = 0.4) -> list[float]:
    """Return the score of the surest box on each true one (IoU above ``least``), 0 without any."""
    if not len(boxes):
        return [0.0] * len(truths)
    iou = overlap(boxes.xyxy, np.asarray(truths))
    return [float(np.where(column > least, boxes.scores, 0).max()) for column in iou.T]


def regions(data: Path) -> list[np.ndarray]:
    """Return the regions without hands, uint8 BGR: see `hand_free.json`."""
    rows = json.loads(Path(__file__).with_name("hand_free.json").read_text())
    found = []
    for row in rows:
        x1, y1, x2, y2 = row["box"]
        found.append(cv2.imread(str(data / row["file"]))[y1:y2, x1:x2])
    return found


def validator(args: Any, size: int) -> Callable[[nn.Module], str]:
    """Return a function that reports recall and false alarms at some thresholds."""
    sets = {
        "test": [(p, [hand_box(points)]) for p, points in annotated_test(args.data)][::2],
        "people": hands_of_people(args.data, args.more)[:100],
    }
    loaded = {name: [(cv2.imread(str(p)), boxes) for p, boxes in rows] for name, rows in sets.items()}
    free = regions(args.data)[::2] if Path(__file__).with_name("hand_free.json").exists() else []

    def validate(model: nn.Module) -> str:
        parts = []
        for name, rows in loaded.items():
            scores = np.array([s for image, boxes in rows for s in best_scores(detect(model, image, size), boxes)])
            parts.append(f"{name} " + " ".join(f"@{t}:{np.mean(scores > t) * 100:.1f}" for t in (0.3, 0.4, 0.5)))
        alarms = np.concatenate([detect(model, image, size).scores for image in free] or [np.zeros(0)])
        parts.append(f"alarms of {len(free)} " + " ".join(f"@{t}:{int((alarms > t).sum())}" for t in (0.3, 0.4, 0.5)))
        return "  ".join(parts)

    return validate
