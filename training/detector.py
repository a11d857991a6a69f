"""Train the face detector (RTMDet) of `face-lite`.

    python training/faces.py --out runs/faces.json
    python training/detector.py --minutes 60 --start rtmdet_nano_coco-person.pth --out runs/detector

Run it again to continue where it stopped. Images are composed on the fly: single images at
any scale and angle, mosaics of single faces as crowds, and crops of people at a distance.
Loss and label assignment are RTMDet's.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

import augment
import loop
from assign import detector_loss
from depthwise import accelerate
from faces import DATA, MODELS, Record, annotated, is_validation, load, outline, overlap
from false_alarm_regions import load_regions
from limner import build, config, decode
from limner.crop import letterbox

CONFIG = Path("limner/rtmdet_face-lite_288.py")
MEAN, STD = np.array([103.53, 116.28, 123.675], np.float32), np.array([57.375, 57.12, 58.395], np.float32)
SHARE = {"lfpw_train": 0.36, "youtube_training": 0.14, "lspet": 0.34, "coco90": 0.16}
SIZES = (256, 288, 320)
MIN_FACE = 7.0  # pixels; smaller faces are ignored
GREY = (114, 114, 114)


class Images(IterableDataset):
    """Endless batches: float BGR ``[B, 3, S, S]``, boxes and ignored boxes of each image."""

    def __init__(self, records: list[Record], data: Path, batch: int) -> None:
        self.batch = batch
        self.splits: dict[str, list[tuple[np.ndarray, Record]]] = {s: [] for s in SHARE}
        for record in records:
            self.splits[record.split].append((cv2.imread(str(data / record.file)), record))

    def __iter__(self) -> Iterator[tuple[Tensor, list[Tensor], list[Tensor]]]:
        cv2.setNumThreads(0)
        rng = np.random.default_rng()
        while True:
            size = int(rng.choice(SIZES))
            made = [self.compose(size, rng) for _ in range(self.batch)]
            images = np.stack([((m[0] - MEAN) / STD).transpose(2, 0, 1) for m in made]).astype(np.float32)
            yield (
                torch.from_numpy(images),
                [torch.from_numpy(m[1]) for m in made],
                [torch.from_numpy(m[2]) for m in made],
            )

    def pick(self, rng: np.random.Generator) -> tuple[np.ndarray, Record]:
        names = list(SHARE)
        items = self.splits[names[int(rng.choice(len(names), p=[SHARE[n] for n in names]))]]
        return items[rng.integers(len(items))]

    def compose(self, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        columns, rows = (1, 1) if rng.random() < 0.55 else tuple(rng.integers(1, 4, 2))
        canvas = np.empty((size, size, 3), np.uint8)
        canvas[:] = GREY if rng.random() < 0.6 else rng.integers(0, 256, 3)
        xs = np.linspace(0, size, columns + 1).astype(int)
        ys = np.linspace(0, size, rows + 1).astype(int)
        if columns > 1:
            xs[1:-1] += rng.integers(-size // 12, size // 12 + 1, columns - 1)
        if rows > 1:
            ys[1:-1] += rng.integers(-size // 12, size // 12 + 1, rows - 1)
        faces, ignored = [np.zeros((0, 4))], [np.zeros((0, 4))]
        for x1, x2 in pairwise(xs):
            for y1, y2 in pairwise(ys):
                image, record = self.pick(rng)
                under = canvas[y1:y2, x1:x2]
                hidden = np.zeros((0, 4))
                if rng.random() < 0.7:
                    under, below, hidden = place(*self.pick(rng), under, rng, cover=True)
                    hidden = np.concatenate([hidden, below])
                tile, found, unsure = place(image, record, under, rng)
                if len(hidden):
                    same = (tile == under).all(2)
                    seen = [share(same, b) for b in hidden]
                    clear = np.array([i < len(hidden) - len(below) or s < 0.8 for i, s in enumerate(seen)])
                    found = np.concatenate([found, hidden[~clear]])
                    unsure = np.concatenate([unsure, hidden[clear & (np.array(seen) > 0.1)]])
                canvas[y1:y2, x1:x2] = tile
                shift = np.array([x1, y1, x1, y1])
                faces.append(found + shift)
                ignored.append(unsure + shift)
        boxes, unsure = np.concatenate(faces).astype(np.float32), np.concatenate(ignored).astype(np.float32)
        return augment.photometric(canvas, rng), boxes, unsure


def share(mask: np.ndarray, box: np.ndarray) -> float:
    """Return the share of a box where ``mask`` is set."""
    x1, y1, x2, y2 = box.astype(int)
    part = mask[y1 : y2 + 1, x1 : x2 + 1]
    return float(part.mean()) if part.size else 0.0


def place(
    image: np.ndarray, record: Record, under: np.ndarray, rng: np.random.Generator, cover: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Put a part of an image over ``under``; return the new tile, its faces and the boxes to ignore.

    With ``cover`` the scale is such that nothing of ``under`` remains visible.
    """
    h, w = image.shape[:2]
    height, width = under.shape[:2]
    boxes, ignored = np.asarray(record.boxes).reshape(-1, 4), np.asarray(record.ignore).reshape(-1, 4)
    fit = min(width / w, height / h)
    if cover:
        scale = max(width / w, height / h) * np.exp(rng.uniform(0, 0.9))
        room = np.array([w, h]) - np.array([width, height]) / scale
        at, target = rng.uniform(0, 1, 2) * room.clip(0), np.zeros(2)
    elif len(boxes) and rng.random() < 0.75:
        box = boxes[0 if record.keypoints is not None else rng.integers(len(boxes))]
        face = float((box[2:] - box[:2]).max())
        side = min(width, height)
        face_size = np.exp(rng.uniform(np.log(9), np.log(0.95 * side)))
        scale = face_size / face
        at = (box[:2] + box[2:]) / 2
        reach = max(0.0, 0.5 - 0.35 * face_size / side)
        target = np.array([width, height]) * (0.5 + rng.uniform(-reach, reach, 2))
    else:
        scale = fit * np.exp(rng.uniform(-0.5, 1.2))
        at = np.array([w, h]) * rng.uniform(0, 1, 2)
        target = np.array([width, height]) * rng.uniform(0.2, 0.8, 2)
    scale = float(np.clip(scale, 0.02, 40.0 if cover else 6.0))
    degrees = (
        0.0 if cover or rng.random() < 0.55 else float(rng.uniform(-40, 40) if rng.random() < 0.6 else rng.normal(0, 8))
    )
    mirror = np.diag([-1.0, 1.0]) if rng.random() < 0.5 and not cover else np.eye(2)
    a, b = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    linear = np.array([[a, b], [-b, a]]) @ mirror
    matrix = np.column_stack([linear, target - linear @ at])
    tile = under.copy()
    if scale < 0.5:
        image = cv2.resize(image, None, fx=2 * scale, fy=2 * scale, interpolation=cv2.INTER_AREA)
        used = matrix.copy()
        used[:, :2] = matrix[:, :2] @ np.diag([w / image.shape[1], h / image.shape[0]])
    else:
        used = matrix
    cv2.warpAffine(image, used, (width, height), dst=tile, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT)
    turned = [transformed_box(b, matrix, degrees) for b in boxes]
    if record.keypoints is not None:
        points = augment.transform_points(outline(np.asarray(record.keypoints)), matrix)
        turned[0] = np.concatenate([points.min(0), points.max(0)])
    moved = np.asarray(turned).reshape(-1, 4)
    unsure = [transformed_box(b, matrix, 0) for b in ignored]
    return tile, *split_by_visibility(moved, np.asarray(unsure).reshape(-1, 4), width, height)


def transformed_box(box: np.ndarray, matrix: np.ndarray, degrees: float) -> np.ndarray:
    """Return the upright box around a rotated one; at an angle, around its inscribed ellipse."""
    if degrees:
        t = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        points = (box[:2] + box[2:]) / 2 + np.stack([np.cos(t), np.sin(t)], 1) * (box[2:] - box[:2]) / 2
    else:
        points = box[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2)
    points = augment.transform_points(points, matrix)
    return np.concatenate([points.min(0), points.max(0)])


def split_by_visibility(
    faces: np.ndarray, unsure: np.ndarray, width: int, height: int
) -> tuple[np.ndarray, np.ndarray]:
    """Clip boxes to a tile; tiny or mostly hidden faces become boxes to ignore."""
    limit = np.array([width, height, width, height], float)
    cut, unsure = faces.clip(0, limit), unsure.clip(0, limit)
    area = [(b[:, 2:] - b[:, :2]).clip(0, None).prod(1) for b in (faces, cut)]
    seen = area[1] / np.maximum(area[0], 1e-6)
    big = (cut[:, 2:] - cut[:, :2]).min(1) >= MIN_FACE if len(cut) else np.zeros(0, bool)
    good = (seen > 0.6) & big
    doubtful = ~good & (seen > 0.05)
    unsure = np.concatenate([unsure, cut[doubtful]])
    return cut[good], unsure[(unsure[:, 2:] - unsure[:, :2]).min(1) > 1]


def collate(batch: list[Any]) -> Any:
    """Return the only element: the data set yields whole batches."""
    return batch[0]


def detect(model: nn.Module, image: np.ndarray, size: int, score_thr: float = 0.05) -> Any:
    """Run the model on one BGR image; return limner's Boxes."""
    canvas, factor = letterbox(image, (size, size))
    with torch.no_grad():
        cls, reg = model(torch.from_numpy(((canvas - MEAN) / STD).transpose(2, 0, 1)[None].astype(np.float32)))
    h, w = image.shape[:2]
    return decode.grid_distances(
        [c[0].numpy() for c in cls],
        [r[0].numpy() for r in reg],
        strides=(8, 16, 32),
        factor=factor,
        limit=(round(w * factor[0]), round(h * factor[1])),
        score_thr=score_thr,
        iou_threshold=0.5,
    )


def validator(data: Path, size: int) -> Any:
    """Return a function that reports recall on held-out faces and false alarms on the face-free regions."""
    held_out = [(f, p) for i, f, p in annotated(data, "lfpw_train") if is_validation("lfpw_train", i)]
    youtube = [(f, p) for i, f, p in annotated(data, "youtube_test") if i % 8 == 0]
    faces = {
        "lfpw": [(cv2.imread(str(data / f)), outline(p)) for f, p in held_out],
        "youtube": [(cv2.imread(str(data / f)), outline(p)) for f, p in youtube],
    }
    regions = [image for _, image in load_regions(data)]

    def validate(model: nn.Module) -> str:
        parts = []
        for name, items in faces.items():
            scores, ious = [], []
            for image, points in items:
                truth = np.concatenate([points.min(0), points.max(0)])[None]
                boxes = detect(model, image, size)
                iou = overlap(boxes.xyxy, truth)[:, 0] if len(boxes) else np.zeros(0)
                hit = iou > 0.4
                scores.append(float(boxes.scores[hit].max()) if hit.any() else 0.0)
                ious.append(float(iou.max()) if len(iou) else 0.0)
            s = np.array(scores)
            parts.append(f"{name} " + " ".join(f"@{t}:{np.mean(s > t) * 100:.1f}" for t in (0.3, 0.5)))
            parts.append(f"low {np.sort(s)[:3].round(2).tolist()} iou {np.mean(ious):.3f}")
        alarm_scores = np.concatenate([detect(model, r, size).scores for r in regions])
        parts.append("alarms " + " ".join(f"@{t}:{int((alarm_scores > t).sum())}" for t in (0.3, 0.4, 0.5)))
        return "  ".join(parts)

    return validate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--records", type=Path, default=Path("runs/faces.json"))
    parser.add_argument("--start", type=Path, default=MODELS / "rtmdet_nano_coco-person.pth")
    parser.add_argument("--out", type=Path, default=Path("runs/detector"))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=8e-4)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cfg = config.load(CONFIG)
    model = build.network(cfg["model"])
    images = Images(load(args.records), args.data, args.batch)
    print(loop.start_from(model, args.start))
    loop.calibrate(model, torch.cat([next(iter(images))[0][:, :, :256, :256] for _ in range(4)]))
    model = accelerate(model).to(memory_format=torch.channels_last)
    loader = DataLoader(images, 1, num_workers=1, prefetch_factor=8, collate_fn=collate)

    def loss(net: nn.Module, batch: Any) -> dict[str, Tensor]:
        images, boxes, unsure = batch
        with torch.autocast("cpu", dtype=torch.bfloat16):
            cls, reg = net(images.contiguous(memory_format=torch.channels_last))
        return detector_loss([c.float() for c in cls], [r.float() for r in reg], (8, 16, 32), boxes, unsure)

    size = cfg["test_pipeline"][1]["scale"][0]
    trained = loop.train(
        model, iter(loader), loss, validator(args.data, size), folder=args.out, minutes=args.minutes, lr=args.lr
    )
    loop.save(trained, args.out / "weights.pth", {"classes": ("face",)})


if __name__ == "__main__":
    main()
