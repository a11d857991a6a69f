"""Scenes for the hand detector: close hands, people whose hands a teacher found, and images where hands are ignored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from faces import annotated, is_validation
from false_alarm_regions import held_out_files
from hands import GROW, PLAIN, hand_box, held_out, labelled, read
from scenes import Recipe, Scene, Sticker, pyramid

LARGEST = 448  # px, the longer side that is kept of an image
WRIST = 0.1  # a wrist's hand is somewhere in a square of this half side, in sizes of the person
FAR = ("lspet", "lspet2", "flickr", "ccp")  # images of which only the wrists are known
RECIPE = Recipe(
    share={"close": 0.3, "people": 0.4, "far": 0.18, "faces": 0.12}, grow=GROW, smallest=12, turned=0.2, pasted=0.4
)


def reduced(image: np.ndarray) -> tuple[np.ndarray, float]:
    """Return an image at most `LARGEST` large, and the factor."""
    factor = min(1.0, LARGEST / max(image.shape))
    if factor < 1:
        image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return image, factor


def wrists(people: list[dict[str, Any]], hands: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield where hands may be that nobody found: round wrists, and people without points as a whole."""
    for person in people:
        box = np.asarray(person["box"], float)
        if not person.get("keypoints"):
            yield box
            continue
        points = np.asarray(person["keypoints"])
        size = max(box[2:] - box[:2])
        for elbow, wrist in ((7, 9), (8, 10)):
            middle = points[wrist, :2] + 0.3 * (points[wrist, :2] - points[elbow, :2])
            near = [h for h in hands if np.linalg.norm(h.mean(0) - middle) < 0.12 * size]
            if not near and points[wrist, 2] > 0.1:
                half = WRIST * size
                yield np.concatenate([middle - half, middle + half])


def scene(image: np.ndarray, hands: list[np.ndarray], unsure: list[np.ndarray]) -> Scene:
    """Return a scene of a reduced image; points and boxes are in pixels of the given one."""
    image, factor = reduced(image)
    boxes = np.asarray(unsure, float).reshape(-1, 4) * factor
    return Scene(pyramid(image), [h.astype(float) * factor for h in hands], boxes)


def load(args: Any) -> tuple[dict[str, list[Scene]], list[Sticker]]:
    """Return scenes in groups, and hands to paste."""
    groups: dict[str, list[Scene]] = {name: [] for name in RECIPE.share}
    for entry in labelled(args.data, args.more):
        people = [p for p in entry.people if p.get("keypoints") or max(np.subtract(p["box"][2:], p["box"][:2])) > 24]
        image = None if entry.people and held_out(entry.path) else cv2.imread(str(entry.path))
        if image is not None:
            unsure = entry.doubtful + list(wrists(people, entry.hands))
            groups["close" if entry.source in PLAIN else "people"].append(scene(image, entry.hands, unsure))
    groups["far"] = list(far(args.data))
    groups["faces"] = list(faces(args.data, args.more))
    stickers = [
        Sticker(hand.image, hand.mask, hand.points)
        for hands in read(args.hands or Path("runs/hands.pkl")).values()
        for hand in hands
        if hand.mask is not None and hand.mask.mean() > 0.03
    ]
    return groups, stickers


def far(data: Path) -> Iterator[Scene]:
    """Yield people whose hands are not labelled: what is round the wrists is ignored, the rest holds no hand."""
    teacher = json.loads((data / "people" / "teacher.json").read_text())
    kept_back = held_out_files()
    for name in FAR:
        for entry in teacher[name][:: 2 if name != "ccp" else 3]:
            path = data / "people" / name / entry["file"]
            if entry["file"] not in kept_back.get(name, ()) and not held_out(path):
                yield scene(cv2.imread(str(path)), [], list(wrists(entry["people"], [])))


def faces(data: Path, more: Path) -> Iterator[Scene]:
    """Yield faces; the hands that the teacher suspects are ignored."""
    suspected = {}
    for name in ("lfpw_train", "youtube_training"):
        path = more / f"{name}.jsonl"
        if path.exists():
            for line in path.read_text().splitlines():
                entry = json.loads(line)
                suspected[entry["file"]] = [hand_box(np.asarray(h["keypoints"])) for h in entry["hands"]]
        for index, file, _ in annotated(data, name):
            key = f"{name}/{Path(file).name}"
            if key in suspected and not is_validation(name, index):
                yield scene(cv2.imread(str(data / file)), [], suspected[key])
