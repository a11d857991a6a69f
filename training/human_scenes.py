"""Scenes for the person detector, and its validation on COCO's annotations.

Boxes come from the real RTMDet-nano (the start of the training): sure ones teach, weaker ones are ignored. What it
learns beyond that: LSP's annotated athletes that it missed, people cut by the edge, small and turned ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch import nn

from detector import detect
from faces import overlap
from hand_scenes import reduced
from hands import held_out
from people import joints, lines_of
from scenes import Recipe, Scene, ellipse, pyramid

SURE = 0.45  # score of the first detector
RECIPE = Recipe(
    share={"lsp": 0.3, "ccp": 0.15, "flickr1k": 0.35, "flickr": 0.2}, grow=1.0, smallest=16, turned=0.03, focus=0.6
)
TALL = 80  # px: shorter people are not counted


def scene(image: np.ndarray, people: list[dict[str, Any]], annotated: np.ndarray | None) -> Scene:
    """Return a scene of an image; ``annotated``: the joints of one athlete, [14, 3]."""
    image, factor = reduced(image)
    boxes = np.asarray([p["box"] for p in people], float).reshape(-1, 4)
    scores = np.asarray([1.0 if p.get("annotated") else p["detector_score"] or 0 for p in people])
    sure = scores > SURE
    if annotated is not None:
        seen = annotated[annotated[:, 2] > 0, :2]
        low, high = seen.min(0), seen.max(0)
        margin = 0.08 * (high - low).max()
        box = np.concatenate([low - margin, high + margin])[None].clip(0)
        iou = overlap(boxes, box)[:, 0] if len(boxes) else np.zeros(0)
        if (iou > 0.4).any():
            sure[iou.argmax()] = True
        else:  # the detector did not see this person
            boxes, sure = np.concatenate([boxes, box]), np.append(sure, True)
    return Scene(pyramid(image), [ellipse(b * factor) for b in boxes[sure]], boxes[~sure] * factor)


def load(args: Any) -> tuple[dict[str, list[Scene]], list[Any]]:
    """Return scenes in groups; nothing is pasted."""
    groups: dict[str, list[Scene]] = {name: [] for name in RECIPE.share}
    annotated = joints(args.more, args.data)
    done = set()
    for name in ("lsp", "ccp", "flickr1k"):
        for entry in lines_of(args.more / f"{name}.jsonl"):
            file = Path(entry["file"])
            done.add(file.name)
            if not held_out(file):
                image = cv2.imread(str(args.more / file))
                groups[name].append(scene(image, entry["people"], annotated[file.name] if name == "lsp" else None))
    for name, image, people in shared(args.data, done):
        groups[name].append(scene(image, people, None))
    return groups, []


def shared(data: Path, done: set[str]) -> Iterator[tuple[str, np.ndarray, list[dict[str, Any]]]]:
    """Yield group, image and people of the images that came with their labels."""
    teacher = json.loads((data / "people" / "teacher.json").read_text())
    for name, into in (("lspet", "lsp"), ("lspet2", "lsp"), ("flickr", "flickr"), ("ccp", "ccp")):
        for entry in teacher[name]:
            path = data / "people" / name / entry["file"]
            if entry["file"] not in done and not held_out(path):
                yield into, cv2.imread(str(path)), entry["people"]


def annotated_images(data: Path) -> list[tuple[Path, np.ndarray, np.ndarray]]:
    """Return COCO's images with the boxes of all people [N, 4] and which of them are crowds [N]."""
    coco = json.loads((data / "people" / "coco90.json").read_text())
    rows = []
    for image in coco["images"]:
        mine = [a for a in coco["annotations"] if a["image_id"] == image["id"]]
        boxes = np.asarray([a["bbox"] for a in mine], float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        crowd = np.array([bool(a.get("iscrowd")) for a in mine], bool)
        rows.append((data / "people" / "coco90" / image["file_name"], boxes, crowd))
    return rows


def counted(boxes: Any, truth: np.ndarray, crowd: np.ndarray) -> tuple[list[float], list[float]]:
    """Return the scores of found people of `TALL` px (0: not found), and of false alarms, of one image."""
    iou = overlap(boxes.xyxy, truth) if len(boxes) and len(truth) else np.zeros((len(boxes), len(truth)))
    tall = ~crowd & (truth[:, 3] - truth[:, 1] >= TALL)
    found = [float(np.where(column > 0.5, boxes.scores, 0).max(initial=0)) for column in iou.T[tall]]
    inside = [any((b[:2] < c[2:]).all() and (b[2:] > c[:2]).all() for c in truth[crowd]) for b in boxes.xyxy]
    free = (iou <= 0.3).all(1) & ~np.asarray(inside, bool)
    return found, [float(s) for s in boxes.scores[free]]


def validator(args: Any, size: int) -> Callable[[nn.Module], str]:
    """Return a function that reports how many people are found, and false alarms, at some thresholds."""
    rows = [(cv2.imread(str(path)), boxes, crowd) for path, boxes, crowd in annotated_images(args.data)]

    def validate(model: nn.Module) -> str:
        found, alarms = [], []
        for image, truth, crowd in rows:
            one, two = counted(detect(model, image, size), truth, crowd)
            found, alarms = found + one, alarms + two
        return f"coco90 {len(found)} people " + " ".join(
            f"@{t}:{100 * np.mean(np.array(found) > t):.1f}/{int((np.array(alarms) > t).sum())}"
            for t in (0.25, 0.3, 0.35, 0.4, 0.5)
        )

    return validate
