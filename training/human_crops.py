"""Training crops of people for `poses.py`, and their validation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

import augment
from hand_crops import distortion, far_away, patch
from hands import backgrounds
from landmarks import tensor
from limner import build, config, keypoints
from limner.crop import Crop
from people import SHARE, read

CONFIG = Path("limner/rtmpose_human-lite_256x192.py")
FLIP = keypoints.load("coco-17").flip_indices
SIGMAS = np.array([0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062])
SIGMAS = np.concatenate([SIGMAS, [0.107, 0.107, 0.087, 0.087, 0.089, 0.089]])  # of COCO's evaluation
EMPTY = 0.03  # share of crops without a person: every score is 0
CUT = 0.35  # share of people that the edge of the image cuts


def visible_part(box: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a box within ``box`` that an image's edge would leave, at least a third of it high or wide."""
    cut = box.astype(float).copy()
    width, height = box[2:] - box[:2]
    kind = rng.random()
    if kind < 0.6:  # sitting at a table, close to a webcam
        cut[3] -= height * rng.uniform(0.1, 0.7)
    elif kind < 0.75:
        cut[1] += height * rng.uniform(0.1, 0.5)
    if kind > 0.65 or rng.random() < 0.2:
        side = 0 if rng.random() < 0.5 else 2
        cut[side] += (1 if side == 0 else -1) * width * rng.uniform(0.1, 0.55)
    return cut


class Samples:
    """Random crops of people."""

    def __init__(self, args: Any) -> None:
        self.size = config.load(CONFIG)["codec"]["input_size"]
        people = read(args.records or Path("runs/people.pkl"))
        self.sources = {name: people[name] for name in SHARE if people.get(name)}
        share = np.array([SHARE[n] for n in self.sources])
        self.names, self.share = list(self.sources), share / share.sum()
        self.backgrounds = backgrounds(args.data, 600)

    def background(self, rng: np.random.Generator) -> np.ndarray:
        return self.backgrounds[rng.integers(len(self.backgrounds))]

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Return crop uint8 BGR, points, weights, known, longer side of the box."""
        width, height = self.size
        if rng.random() < EMPTY:
            texture = patch(self.background(rng), width, height, rng)
            texture = np.ascontiguousarray(np.rot90(texture, 2)) if rng.random() < 0.5 else texture
            crop = cv2.GaussianBlur(texture, (0, 0), rng.uniform(1, 12))
            return augment.photometric(crop, rng), np.full((17, 2), -1.0), np.zeros(17), np.ones(17), np.float32(height)
        source = self.sources[self.names[int(rng.choice(len(self.names), p=self.share))]]
        person = source[rng.integers(len(source))]
        image, points, weight, known = person.image, person.points, person.weight.copy(), person.known.copy()
        box = person.box
        if rng.random() < CUT:
            box = visible_part(box, rng)
            x1, y1, x2, y2 = box.round().astype(int).clip(0)
            h, w = image.shape[:2]
            edges = [
                e if b != old else far
                for e, b, old, far in zip((x1, y1, x2, y2), box, person.box, (0, 0, w, h), strict=True)
            ]
            image = image[edges[1] : edges[3], edges[0] : edges[2]]
            shift = np.array(edges[:2])
            points, box = points - shift, box - np.tile(shift, 2)
            beyond = ((points < 0) | (points >= (image.shape[1], image.shape[0]))).any(1)
            known = np.where(beyond & (weight > 0), 1.0, known)
            weight = np.where(beyond, 0.0, weight)
        matrix, mirrored, side = self.matrix(box, rng)
        crop = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)
        points = augment.transform_points(points, matrix)
        if mirrored:
            points, weight, known = points[FLIP], weight[FLIP], known[FLIP]
        if rng.random() < 0.3:
            crop = augment.occlude(crop, rng, self.background(rng))
        if rng.random() < 0.15:
            crop = self.far_away(crop, rng)
        return augment.photometric(crop, rng), points, weight, known, np.float32(side)

    def far_away(self, crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        square = cv2.resize(crop, (self.size[1], self.size[1]))
        return cv2.resize(far_away(square, rng), tuple(self.size), interpolation=cv2.INTER_AREA)

    def matrix(self, box: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, bool, float]:
        """Return a random way from a person's image to a crop, whether it mirrors, and the box's side in the crop."""
        kind = rng.random()
        degrees = rng.uniform(-180, 180) if kind < 0.05 else rng.normal(0, 25) if kind < 0.45 else rng.normal(0, 6)
        cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        linear = np.array([[cos, sin], [-sin, cos]]) @ distortion(rng)
        mirrored = bool(rng.random() < 0.5)
        if mirrored:
            linear = linear @ np.diag([-1.0, 1.0])
        extent = box[2:] - box[:2]
        # turned by much, a body fills another box: about that of the turned rectangle, a little smaller
        turned = np.abs(linear) @ extent
        extent_now = extent + (turned - extent) * min(1.0, abs(degrees) / 45) * 0.85
        width, height = extent_now * 1.25 * np.exp(rng.normal(0, 0.13))
        aspect = self.size[0] / self.size[1]
        width = max(width, height * aspect)
        scale = self.size[0] / width
        centre = linear @ ((box[:2] + box[2:]) / 2) + rng.normal(0, 0.05, 2) * extent_now
        matrix = np.column_stack([linear * scale, np.array(self.size) / 2 - scale * centre])
        return matrix, mirrored, float(scale * extent_now.max())


def annotated_people(data: Path) -> list[tuple[Path, np.ndarray, np.ndarray, float]]:
    """Return COCO's people with 5 points or more and 40 px: image, box, keypoints [17, 3], area."""
    coco = json.loads((data / "people" / "coco90.json").read_text())
    files = {i["id"]: data / "people" / "coco90" / i["file_name"] for i in coco["images"]}
    rows = []
    for a in coco["annotations"]:
        box = np.asarray(a["bbox"], float)
        if a.get("num_keypoints", 0) >= 5 and not a.get("iscrowd") and box[2:].max() >= 40:
            points = np.asarray(a["keypoints"], float).reshape(17, 3)
            rows.append((files[a["image_id"]], np.concatenate([box[:2], box[:2] + box[2:]]), points, float(a["area"])))
    return rows


def similarity(found: np.ndarray, truth: np.ndarray, area: float) -> float:
    """Return COCO's object keypoint similarity of points [17, 2] with the labelled of [17, 3]."""
    seen = truth[:, 2] > 0
    distance = ((found - truth[:, :2]) ** 2).sum(1)
    return float(np.exp(-distance / (2 * area * (2 * SIGMAS) ** 2 + 1e-9))[seen].mean())


def scored(found: np.ndarray, rows: list[tuple[Path, np.ndarray, np.ndarray, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the similarity of each person [N], and whether each labelled point is within 0.2 torsos."""
    similarities, right = [], []
    for points, (_, _, truth, area) in zip(found, rows, strict=True):
        similarities.append(similarity(points, truth, area))
        ends = truth[[5, 6, 11, 12]]
        torso = max(np.linalg.norm(ends[0, :2] - ends[3, :2]), np.linalg.norm(ends[1, :2] - ends[2, :2]))
        if (ends[:, 2] > 0).all() and torso > 0:
            seen = truth[:, 2] > 0
            right += (np.linalg.norm(points - truth[:, :2], axis=1)[seen] < 0.2 * torso).tolist()
    return np.asarray(similarities), np.asarray(right)


def validator(args: Any, predict: Callable[[nn.Module, Tensor], tuple[np.ndarray, np.ndarray]]) -> Any:
    """Return a function that reports the errors on annotated people of COCO, true boxes."""
    spec = build.pose_spec(config.load(CONFIG))
    rows = annotated_people(args.data)
    crops = [Crop.around(box[None], spec.size, spec.padding) for _, box, _, _ in rows]
    images = torch.stack([tensor(c.cut(cv2.imread(str(r[0])))[0]) for c, r in zip(crops, rows, strict=True)])

    def validate(model: nn.Module) -> str:
        points, scores = predict(model, images)
        found = np.stack([c.to_image(p[None])[0] for c, p in zip(crops, points, strict=True)])
        oks, right = scored(found, rows)
        side = np.array([max(r[1][2:] - r[1][:2]) for r in rows])
        truth = np.stack([r[2] for r in rows])
        near = (np.linalg.norm(found - truth[..., :2], axis=2) < 0.1 * side[:, None]) & (truth[..., 2] > 0)
        seen = truth[..., 2] > 0
        meaning = " ".join(
            f"{low:.1f}:{near[here].mean():.2f}({here.sum()})"
            for low, high in ((0, 0.3), (0.3, 0.6), (0.6, 0.8), (0.8, 9))
            if (here := seen & (scores >= low) & (scores < high)).any()
        )
        return (
            f"coco90 OKS {oks.mean():.3f} >.5 {(oks > 0.5).mean():.3f} PCK@.2 {right.mean():.3f}  "
            f"score:right {meaning}  unlabelled {scores[~seen].mean():.2f}"
        )

    return validate
