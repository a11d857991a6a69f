"""The people that `human-lite` is trained on: images and 17 points in COCO's order, each with a weight.

Points come from a teacher (MoveNet Thunder, where its two views agree) and, for athletes, from the annotation of
LSP extended, which is noisy: where both are known and differ, neither counts for much.
"""

from __future__ import annotations

import argparse
import json
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from faces import DATA, overlap
from hands import held_out

COCO_OF_LSP = (16, 14, 12, 11, 13, 15, 10, 8, 6, 5, 7, 9)  # the first twelve joints of LSP extended
SCORE, APART, MEAN_SCORE = 0.3, 0.05, 0.4  # when a point of the teacher is trusted
ABSENT = 0.1  # a lower score of the teacher: the point cannot be seen
ANNOTATED = 0.7  # weight of an annotated joint without a trusted point of the teacher
DIFFERENT = 0.12  # of the box's longer side: annotation and teacher contradict each other
ROOM = 0.85  # half of the side of the region kept round a person, in longer sides of the box
KEPT = 240  # px: larger people are reduced to this size
LEAST = 48  # px: smaller people are left out
SHARE = {"lsp": 0.42, "ccp": 0.18, "flickr1k": 0.22, "flickr": 0.18}


@dataclass(frozen=True, eq=False)
class Person:
    """A person: the region round it, uint8 BGR; box [4]; points [17, 2]; weights [17]; whether judged [17]."""

    image: np.ndarray
    box: np.ndarray
    points: np.ndarray
    weight: np.ndarray
    known: np.ndarray


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the entries that `label.py` wrote so far."""
    for line in path.read_text().splitlines() if path.exists() else ():
        if line.endswith("}"):
            yield json.loads(line)


def joints(more: Path, data: Path) -> dict[str, np.ndarray]:
    """Return the annotated joints [14, 3] (x, y, visible) of LSP extended by file name, in pixels of its images."""
    matlab = more / "lsp" / "joints.mat"
    if matlab.exists():
        from scipy.io import loadmat

        rows = loadmat(str(matlab))["joints"].transpose(2, 0, 1)
        return {f"im{i + 1:05d}.jpg": row.astype(np.float32) for i, row in enumerate(rows)}
    entries = [e for name in ("lspet", "lspet2") for e in json.loads((data / "people" / f"{name}.json").read_text())]
    return {e["file"]: np.asarray(e["joints"], np.float32) for e in entries}


def taught(entry: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return points, weights and whether they are judged from a teacher's entry; None without points."""
    if not entry.get("keypoints"):
        return None
    rows = np.asarray(entry["keypoints"], np.float32)
    apart = np.asarray(entry["mirror_difference"], np.float32)
    trusted = (rows[:, 2] > SCORE) & (apart < APART) & (rows[:, 2].mean() > MEAN_SCORE)
    absent = (rows[:, 2] < ABSENT) & (rows[:, 2].mean() > 0.25)
    return rows[:, :2], trusted.astype(np.float32), (trusted | absent).astype(np.float32)


def corrected(
    points: np.ndarray, weight: np.ndarray, known: np.ndarray, annotated: np.ndarray, side: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the points with the annotated joints [14, 3] where the teacher is unsure."""
    points, weight, known = points.copy(), weight.copy(), known.copy()
    upright = annotated[12, 1] < annotated[2:4, 1].mean() - 0.15 * side
    for joint, coco in enumerate(COCO_OF_LSP):
        x, y, visible = annotated[joint]
        if not visible or x <= 0 or y <= 0:
            continue
        far = np.linalg.norm(points[coco] - (x, y)) > DIFFERENT * side
        if weight[coco] > 0 and far:
            weight[coco], known[coco] = (0.3 if upright else 0.0), 0.0
        if weight[coco] == 0:
            points[coco], weight[coco], known[coco] = (x, y), ANNOTATED, 1.0
    return points, weight, known


def cut_out(image: np.ndarray, box: np.ndarray, labels: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Person:
    """Return the region round a person, at most `KEPT` large."""
    side = float((box[2:] - box[:2]).max())
    centre = (box[:2] + box[2:]) / 2
    low = np.clip(centre - ROOM * side, 0, None).astype(int)
    high = np.ceil(centre + ROOM * side).astype(int)
    region = image[low[1] : high[1], low[0] : high[0]]
    k = min(1.0, KEPT / side)
    region = cv2.resize(region, None, fx=k, fy=k, interpolation=cv2.INTER_AREA) if k < 1 else region.copy()
    points, weight, known = labels
    return Person(region, (box - np.tile(low, 2)) * k, ((points - low) * k).astype(np.float32), weight, known)


def of_entry(image: np.ndarray, people: list[dict[str, Any]], annotated: np.ndarray | None) -> Iterator[Person]:
    """Yield the people of one image that have enough points; the annotated one first."""
    mine = -1
    if annotated is not None:
        seen = annotated[annotated[:, 2] > 0, :2]
        seen = seen[(seen > 0).all(1)]
        if len(seen) >= 6:
            low, high = seen.min(0), seen.max(0)
            box = np.concatenate([low - 0.08 * (high - low).max(), high + 0.08 * (high - low).max()])
            box = box.clip(0, [image.shape[1], image.shape[0]] * 2)
            boxes = np.asarray([p["box"] for p in people]).reshape(-1, 4)
            iou = overlap(boxes, box[None])[:, 0] if len(boxes) else np.zeros(1)
            mine = int(iou.argmax()) if iou.max() > 0.5 else -1
            blank = (np.full((17, 2), -1, np.float32), np.zeros(17, np.float32), np.zeros(17, np.float32))
            labels = (taught(people[mine]) if mine >= 0 else None) or blank
            full = boxes[mine] if mine >= 0 else box
            full = np.concatenate([np.minimum(full[:2], box[:2]), np.maximum(full[2:], box[2:])])
            side = float((full[2:] - full[:2]).max())
            yield cut_out(image, full, corrected(*labels, annotated, side))
    for i, person in enumerate(people):
        box = np.asarray(person["box"], float)
        labels = taught(person)
        near = i == mine or (mine >= 0 and overlap(box[None], np.asarray([people[mine]["box"]]))[0, 0] > 0.4)
        if near or labels is None or (box[2:] - box[:2]).max() < LEAST or labels[1].sum() < 5:
            continue
        if (person["detector_score"] or 0) > 0.4:
            yield cut_out(image, box, labels)


def load(data: Path, more: Path) -> dict[str, list[Person]]:
    """Return the people of every source."""
    sources: dict[str, list[Person]] = {name: [] for name in SHARE}
    annotated = joints(more, data)
    teacher = json.loads((data / "people" / "teacher.json").read_text())
    done = set()
    for name in ("lsp", "ccp", "flickr1k"):
        for entry in lines_of(more / f"{name}.jsonl"):
            file = Path(entry["file"])
            done.add(file.name)
            if name != "lsp" and held_out(file):
                continue
            image = cv2.imread(str(more / file))
            sources[name] += of_entry(image, entry["people"], annotated[file.name] if name == "lsp" else None)
    for name, into in (("lspet", "lsp"), ("lspet2", "lsp"), ("flickr", "flickr"), ("ccp", "ccp")):
        for entry in teacher[name]:
            path = data / "people" / name / entry["file"]
            if entry["file"] in done or held_out(path):
                continue
            image = cv2.imread(str(path))
            mine = None
            if into == "lsp":
                original = cv2.imread(str(more / "lsp" / "images" / entry["file"]))
                factor = image.shape[1] / original.shape[1] if original is not None else 1.0
                mine = annotated[entry["file"]] * (factor, factor, 1)
            sources[into] += of_entry(image, entry["people"], mine)
    return {name: people for name, people in sources.items() if people}


def read(path: Path) -> dict[str, list[Person]]:
    """Read what this file, run as a program, wrote."""
    return {name: [Person(*row) for row in rows] for name, rows in pickle.loads(path.read_bytes()).items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--more", type=Path, default=Path("../data/raw"), help="the folder that label.py works in")
    parser.add_argument("--out", type=Path, default=Path("runs/people.pkl"))
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    found = load(args.data, args.more)
    plain = {n: [(p.image, p.box, p.points, p.weight, p.known) for p in people] for n, people in found.items()}
    args.out.write_bytes(pickle.dumps(plain))
    print(", ".join(f"{name} {len(people)}" for name, people in found.items()), "->", args.out)
