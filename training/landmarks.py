"""Train the face model with 68 keypoints (RTMPose) of `face-lite`.

    python training/landmarks.py --minutes 60 --out runs/landmarks

Run it again to continue where it stopped. The loss is RTMPose's KL divergence on the SimCC
vectors plus an L1 loss on their soft-arg-max, without which training from scratch long stays near the
mean face.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset

import augment
import loop
from depthwise import accelerate
from faces import DATA, MODELS, annotated, face_box, is_validation
from limner import build, config, keypoints

CONFIG = Path("limner/rtmpose_face-lite_300w-160x160.py")
MEAN, STD = np.array([123.675, 116.28, 103.53], np.float32), np.array([58.395, 57.12, 57.375], np.float32)
SHARE = {"lfpw_train": 0.55, "youtube_training": 0.45}
BETA = 10.0  # of RTMPose's KL loss
FLIP = keypoints.load("300w-68").flip_indices


class Crops(IterableDataset):
    """Endless augmented crops: float RGB ``[3, S, S]`` and landmarks ``[68, 2]`` in crop pixels."""

    def __init__(self, data: Path, size: int, seed: int) -> None:
        self.size, self.seed = size, seed
        self.splits = {split: [] for split in SHARE}
        for split, items in self.splits.items():
            for index, file, points in annotated(data, split):
                if not is_validation(split, index):
                    items.append((cv2.imread(str(data / file)), points))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        cv2.setNumThreads(0)
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, worker.id if worker else 0, np.random.SeedSequence().entropy % 2**32])
        names = list(SHARE)
        shares = np.cumsum([SHARE[n] for n in names])
        while True:
            items = self.splits[names[int(np.searchsorted(shares, rng.random() * shares[-1]))]]
            yield self.sample(*items[rng.integers(len(items))], rng)

    def sample(self, image: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        box = face_box(points)
        width, height = box[2:] - box[:2]
        side = 1.25 * max(width, height) * np.exp(rng.uniform(-0.2, 0.25))
        centre = (box[:2] + box[2:]) / 2 + rng.normal(0, 0.05, 2) * (width, height)
        degrees = rng.uniform(-40, 40) if rng.random() < 0.6 else rng.normal(0, 8)
        matrix = augment.similarity(centre, side, self.size, degrees)
        crop = cv2.warpAffine(image, matrix, (self.size, self.size), flags=cv2.INTER_LINEAR)
        points = augment.transform_points(points, matrix)
        if rng.random() < 0.5:
            crop, points = crop[:, ::-1], (points * (-1, 1) + (self.size - 1, 0))[FLIP]
        if rng.random() < 0.35:
            other = self.splits["lfpw_train"]
            crop = augment.occlude(crop, rng, other[rng.integers(len(other))][0])
        return tensor(augment.photometric(np.ascontiguousarray(crop), rng)), torch.from_numpy(points.astype(np.float32))


def tensor(crop: np.ndarray) -> Tensor:
    """Return a crop, uint8 BGR [H, W, 3], as normalised float RGB [3, H, W]."""
    return torch.from_numpy(((crop[:, :, ::-1] - MEAN) / STD).transpose(2, 0, 1).astype(np.float32))


def simcc_loss(logits: Tensor, target: Tensor, sigma: float, ratio: float, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Return (KL, L1 in pixels) of SimCC logits [N, K, B] against coordinates [N, K] in pixels."""
    bins = torch.arange(logits.shape[-1], dtype=torch.float32)
    label = torch.exp(-((bins - target[..., None] * ratio) ** 2) / (2 * sigma**2))
    log_p = F.log_softmax(logits * BETA, dim=-1)
    target_p = F.softmax(label * BETA, dim=-1)
    kl = (target_p * (target_p.clamp(min=1e-9).log() - log_p)).sum(-1)
    l1 = ((log_p.exp() * bins).sum(-1) / ratio - target).abs()
    return (kl * seen).mean(), (l1 * seen).mean()


def decode(outputs: tuple[Tensor, Tensor], ratio: float) -> np.ndarray:
    """Return keypoints [N, K, 2] in crop pixels by arg-max."""
    return torch.stack([o.float().argmax(-1) for o in outputs], -1).numpy() / ratio


def validator(data: Path, size: int, ratio: float) -> Any:
    """Return a function that reports the NME on the held-out images, boxes from the annotation."""
    held_out = [(f, p) for i, f, p in annotated(data, "lfpw_train") if is_validation("lfpw_train", i)]
    held_out_youtube = [(f, p) for i, f, p in annotated(data, "youtube_test") if i % 8 == 0]

    def crops(items: list[tuple[str, np.ndarray]]) -> tuple[Tensor, list[np.ndarray], list[np.ndarray]]:
        batch, matrices = [], []
        for file, points in items:
            box = face_box(points)
            matrix = augment.similarity((box[:2] + box[2:]) / 2, 1.25 * float((box[2:] - box[:2]).max()), size)
            batch.append(tensor(cv2.warpAffine(cv2.imread(str(data / file)), matrix, (size, size))))
            matrices.append(matrix)
        return torch.stack(batch), matrices, [p for _, p in items]

    sets = {"lfpw": crops(held_out), "youtube": crops(held_out_youtube)}

    def validate(model: nn.Module) -> str:
        parts = []
        for name, (batch, matrices, truths) in sets.items():
            with torch.no_grad():
                points = decode(model(batch), ratio)
            errors = []
            for crop_points, matrix, truth in zip(points, matrices, truths, strict=True):
                predicted = augment.transform_points(crop_points, cv2.invertAffineTransform(matrix))
                scale = np.linalg.norm(truth[36] - truth[45])
                errors.append(np.linalg.norm(predicted - truth, axis=1).mean() / scale * 100)
            parts.append(f"{name} NME {np.mean(errors):.2f} fail {np.mean(np.array(errors) > 8) * 100:.1f}%")
        return "  ".join(parts)

    return validate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--out", type=Path, default=Path("runs/landmarks"))
    parser.add_argument("--start", type=Path, default=MODELS / "rtmdet_nano_coco-person.pth")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=1.2e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    cfg = config.load(CONFIG)
    size, ratio = cfg["codec"]["input_size"][0], cfg["codec"]["simcc_split_ratio"]
    sigma = cfg["codec"]["sigma"][0]
    crops = Crops(args.data, size, args.seed)
    model = build.network(cfg["model"])
    print(loop.start_from(model, args.start))
    first = itertools.islice(iter(crops), 64)
    loop.calibrate(model, torch.stack([crop for crop, _ in first]))
    model = accelerate(model).to(memory_format=torch.channels_last)
    loader = DataLoader(crops, args.batch, num_workers=1, prefetch_factor=8)

    def loss(net: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        crops, points = batch
        with torch.autocast("cpu", dtype=torch.bfloat16):
            feats = net.backbone(crops.contiguous(memory_format=torch.channels_last))
        outputs = net.head(tuple(f.float() for f in feats))
        kl, l1 = [], []
        for axis, logits in enumerate(outputs):
            target = points[..., axis]
            seen = ((target >= 0) & (target <= size - 1)).float()
            one, two = simcc_loss(logits, target, sigma, ratio, seen)
            kl.append(one)
            l1.append(two)
        return {"kl": 0.5 * sum(kl), "l1": 0.5 * sum(l1)}

    trained = loop.train(
        model,
        iter(loader),
        loss,
        validator(args.data, size, ratio),
        folder=args.out,
        minutes=args.minutes,
        lr=args.lr,
    )
    loop.save(trained, args.out / "weights.pth", {"dataset_name": "300w", "num_keypoints": 68})


if __name__ == "__main__":
    main()
