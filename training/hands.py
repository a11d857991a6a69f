"""The hands that `hand-lite` is trained on: images, 21 points in COCO-WholeBody's order, and their outlines.

The points are a teacher's (MediaPipe's hand landmarks). A label is trusted where the teacher is sure and its two
views, a crop and the mirror image, agree. Labels come with the data or from `label.py`.
"""

from __future__ import annotations

import argparse
import json
import pickle
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from faces import DATA

PRESENCE, APART = 0.9, 0.06  # a label of the teacher is trusted above the one and below the other
ROOM = 1.3  # half of the side of the region that is kept round a hand, in sizes of its points' box
KEPT = 150  # px: larger hands are reduced to this size
GROW = 1.25  # from the box of the points to the box of a hand, as MMPose has it
PLAIN = ("digits", "subhi", "tsuki", "abimael", "brex", "derick")  # a hand close to the camera, which can be cut out
# Chosen by eye: how much of the training each source gets; a few people make most of the images.
SHARE = {
    "digits": 0.22,
    "subhi": 0.24,
    "tsuki": 0.07,
    "abimael": 0.06,
    "brex": 0.06,
    "derick": 0.07,
    "ccp": 0.16,
    "flickr1k": 0.12,
}
BONES = [(a, b) for f in range(0, 20, 4) for a, b in ((0, f + 1), (f + 1, f + 2), (f + 2, f + 3), (f + 3, f + 4))]
PALM = [(1, 5), (5, 9), (9, 13), (13, 17)]


@dataclass(frozen=True, eq=False)
class Hand:
    """One hand: the region round it, uint8 BGR [H, W, 3], its points [21, 2], and its outline or None, uint8 [H, W]."""

    image: np.ndarray
    points: np.ndarray
    mask: np.ndarray | None = None


@dataclass(frozen=True)
class Labelled:
    """An image: path, source, the points [21, 2] of trusted hands, the boxes of doubtful ones, and of people."""

    path: Path
    source: str
    hands: list[np.ndarray]
    doubtful: list[np.ndarray]
    people: list[dict[str, object]]


def points_box(points: np.ndarray, grow: float = 1.0) -> np.ndarray:
    """Return the box x1, y1, x2, y2 of points [K, 2], enlarged about its centre."""
    low, high = points.min(0), points.max(0)
    half = (high - low) / 2 * grow
    return np.concatenate([(low + high) / 2 - half, (low + high) / 2 + half])


def hand_box(points: np.ndarray) -> np.ndarray:
    """Return the box of a hand for a detector and a pose network."""
    return points_box(points, GROW)


def held_out(path: Path) -> bool:
    """Return whether an image of people is kept for validation: a tenth, by its name."""
    return zlib.crc32(path.stem.encode()) % 10 == 3


def labelled(data: Path, more: Path) -> Iterator[Labelled]:
    """Yield every labelled image; a set that `label.py` has finished stands for the smaller one of the same name."""
    taken = set()
    for path in sorted(more.glob("*.jsonl")) if more.exists() else ():
        lines = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
        if path.stem in SHARE and (len(lines) > 1000 or path.stem in ("ccp", "flickr1k")):
            taken.add(path.stem)
            for entry in lines:
                yield _entry(more / entry["file"], path.stem, entry["hands"], entry["people"])
    for entry in json.loads((data / "hands" / "hands.json").read_text()):
        source = entry["file"].split("/")[0]
        if source not in taken:
            yield _entry(data / "hands" / entry["file"], source, entry["teacher"], [])


def _entry(path: Path, source: str, hands: list[dict[str, object]], people: list[dict[str, object]]) -> Labelled:
    sure, doubtful = [], []
    for hand in hands:
        points = np.asarray(hand["keypoints"], np.float32)
        known = hand.get("in_source_box", True)
        if known and hand["presence"] > PRESENCE and hand["mirror_difference"] < APART:
            sure.append(points)
        else:
            doubtful.append(hand_box(points))
    return Labelled(path, source, sure, doubtful, people)


def silhouette(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return 1 where the hand is, uint8 [H, W]: GrabCut (Rother et al. 2004) from bones and surroundings."""
    size = float(np.ptp(points, axis=0).max())
    mask = np.full(image.shape[:2], cv2.GC_BGD, np.uint8)
    hull = cv2.convexHull(points.astype(np.int32))
    cv2.drawContours(mask, [hull], -1, cv2.GC_PR_BGD, -1)
    cv2.drawContours(mask, [hull], -1, cv2.GC_PR_BGD, max(2, int(0.22 * size)))
    at = points.round().astype(int)
    for width, value in ((0.13, cv2.GC_PR_FGD), (0.05, cv2.GC_FGD)):
        for a, b in BONES + PALM:
            cv2.line(mask, at[a].tolist(), at[b].tolist(), value, max(1, int(width * size)))
    if not (mask == cv2.GC_BGD).any():
        return (mask != cv2.GC_PR_BGD).astype(np.uint8)
    cv2.grabCut(image, mask, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    return np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)


def cut_out(image: np.ndarray, points: np.ndarray, masked: bool) -> Hand:
    """Return the region round a hand, at most `KEPT` large."""
    size = float(np.ptp(points, axis=0).max())
    centre = (points.min(0) + points.max(0)) / 2
    low = np.clip(centre - ROOM * size, 0, None).astype(int)
    high = np.ceil(centre + ROOM * size).astype(int)
    region = image[low[1] : high[1], low[0] : high[0]]
    factor = min(1.0, KEPT / size)
    if factor < 1:
        region = cv2.resize(region, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    points = (points - low) * factor
    return Hand(region.copy(), points.astype(np.float32), silhouette(region, points) if masked else None)


def load(data: Path, more: Path) -> dict[str, list[Hand]]:
    """Return the trusted hands of every source (a minute or two)."""
    cv2.setRNGSeed(0)
    sources: dict[str, list[Hand]] = {name: [] for name in SHARE}
    for entry in labelled(data, more):
        kept_back = bool(entry.people) and held_out(entry.path)
        if entry.hands and not kept_back and (image := cv2.imread(str(entry.path))) is not None:
            masked = entry.source in PLAIN
            sources[entry.source] += [cut_out(image, p, masked) for p in entry.hands if np.ptp(p, axis=0).max() > 20]
    return {name: hands for name, hands in sources.items() if hands}


def read(path: Path) -> dict[str, list[Hand]]:
    """Read what this file, run as a program, wrote."""
    return {name: [Hand(*row) for row in rows] for name, rows in pickle.loads(path.read_bytes()).items()}


def annotated_test(data: Path) -> list[tuple[Path, np.ndarray]]:
    """Return the annotated test images and their points [21, 2]: never trained on."""
    rows = json.loads((data / "hands" / "hands_test.json").read_text())
    return [(data / "hands" / "test" / row["file"], np.asarray(row["keypoints"], np.float32)) for row in rows]


def backgrounds(data: Path, count: int = 1200, side: int = 224) -> list[np.ndarray]:
    """Return images of people and places, to paste hands on and to cover them with."""
    files = sorted((data / "people" / "flickr").glob("*.jpg"))[:: max(1, 2500 // count)]
    images = [cv2.imread(str(f)) for f in files]
    factors = [min(1.0, side / max(i.shape)) for i in images]
    return [cv2.resize(i, None, fx=k, fy=k, interpolation=cv2.INTER_AREA) for i, k in zip(images, factors, strict=True)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--more", type=Path, default=Path("../data/raw"), help="the folder that label.py works in")
    parser.add_argument("--out", type=Path, default=Path("runs/hands.pkl"))
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    found = load(args.data, args.more)
    plain = {name: [(h.image, h.points, h.mask) for h in hands] for name, hands in found.items()}
    args.out.write_bytes(pickle.dumps(plain))
    print(", ".join(f"{name} {len(hands)}" for name, hands in found.items()), "->", args.out)
