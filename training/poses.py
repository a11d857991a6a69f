"""Train the RTMPose networks of `hand-lite` and `human-lite`.

    python training/poses.py hand --steps 20000 --out runs/hand-pose
    python training/poses.py human --steps 20000 --out runs/human-pose

Run it again to continue where it stopped. The losses are those of `landmarks.py`, KL divergence on the SimCC vectors
and L1 on their soft-arg-max, and one that gives scores a meaning: a point's score, the lesser maximum of its
vectors, learns the probability that the point lies within a tenth of the box. Points beyond the image learn 0.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset

import hand_crops
import human_crops
import loop
from depthwise import accelerate
from faces import DATA, MODELS
from landmarks import BETA, tensor
from limner import build, config

NEAR = 0.1  # of the longer side of the box: a point is right


@dataclass(frozen=True)
class Subject:
    """What one network learns: its config, the maker of training crops, and the maker of a validator."""

    config: Path
    samples: Callable[[Any], Any]  # arguments -> an object with sample(rng)
    validator: Callable[[Any, Any], Callable[[nn.Module], str]]


SUBJECTS = {
    "hand": Subject(hand_crops.CONFIG, hand_crops.Samples, hand_crops.validator),
    "human": Subject(human_crops.CONFIG, human_crops.Samples, human_crops.validator),
}


class Crops(IterableDataset):
    """Endless crops: float RGB [3, H, W]; points [K, 2], pixels; weights [K]; known [K]; longer side of the box.

    A weight is that of the point's place in the loss. ``known`` is 1 where the score can be judged: the place is known,
    or the point is known to be absent (then the weight is 0).
    """

    def __init__(self, samples: Any) -> None:
        self.samples = samples

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        import cv2

        cv2.setNumThreads(0)
        torch.set_num_threads(1)
        rng = np.random.default_rng()
        while True:
            crop, *rest = self.samples.sample(rng)
            yield tensor(crop), *(torch.from_numpy(np.asarray(r, np.float32)) for r in rest)


def losses(
    outputs: tuple[Tensor, Tensor], points: Tensor, weight: Tensor, known: Tensor, side: Tensor, codec: dict[str, Any]
) -> dict[str, Tensor]:
    """Return KL, L1 (pixels) and score losses of a batch.

    Args:
        outputs: SimCC logits, x [N, K, W bins] and y [N, K, H bins].
        points, weight, known, side: [N, K, 2], [N, K], [N, K], [N]; see `Crops`.
        codec: the codec of the config.
    """
    ratio = codec["simcc_split_ratio"]
    size = torch.tensor(codec["input_size"], dtype=torch.float32)
    inside = ((points >= 0) & (points <= size - 1)).all(2).float()
    place = weight * inside
    kl, l1, peaks, scores = [], [], [], []
    for axis, (logits, sigma) in enumerate(zip(outputs, codec["sigma"], strict=True)):
        target = points[..., axis]
        bins = torch.arange(logits.shape[-1], dtype=torch.float32)
        label = F.softmax(torch.exp(-((bins - target[..., None] * ratio) ** 2) / (2 * sigma**2)) * BETA, dim=-1)
        log_p = F.log_softmax(logits * BETA, dim=-1)
        kl.append(((label * (label.clamp(min=1e-9).log() - log_p)).sum(-1) * place).mean())
        l1.append((((log_p.exp() * bins).sum(-1) / ratio - target).abs() * place).mean())
        best = logits.max(-1)
        scores.append(best.values)
        peaks.append(best.indices / ratio)
    with torch.no_grad():
        error = (torch.stack(peaks, -1) - points).norm(dim=2) / side[:, None]
        right = (error < NEAR).float() * inside * (weight > 0)
    score = torch.minimum(*scores)
    return {
        "kl": 0.5 * sum(kl),
        "l1": 0.5 * sum(l1),
        "score": 2 * (F.smooth_l1_loss(score, right, reduction="none") * known).mean(),
    }


def predict(model: nn.Module, crops: Tensor, ratio: float) -> tuple[np.ndarray, np.ndarray]:
    """Return points [N, K, 2] in crop pixels and scores [N, K]."""
    found = []
    with torch.no_grad():
        for part in crops.split(64):
            x, y = (o.float().max(-1) for o in model(part))
            score = torch.minimum(x.values, y.values)
            found.append(torch.cat([torch.stack([x.indices, y.indices], -1) / ratio, score[..., None]], -1))
    both = torch.cat(found).numpy()
    return both[..., :2], both[..., 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("subject", choices=SUBJECTS)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--records", type=Path, help="what the preparation wrote")
    parser.add_argument("--start", type=Path, default=MODELS / "rtmdet_nano_coco-person.pth")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--until", type=int, help="stop after this step of the schedule, to be continued")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=8e-4)
    parser.add_argument("--freeze", type=int, default=2, help="stages of the backbone that keep their weights")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    subject = SUBJECTS[args.subject]
    out = args.out or Path(f"runs/{args.subject}-pose")
    cfg = config.load(subject.config)
    codec = cfg["codec"]
    model = build.network(cfg["model"])
    print(loop.start_from(model, args.start), flush=True)
    samples = subject.samples(args)
    crops = Crops(samples)
    loop.calibrate(model, torch.stack([row[0] for row in itertools.islice(iter(crops), 64)]))
    torch.set_num_threads(args.threads)
    model = accelerate(model).to(memory_format=torch.channels_last)
    frozen = loop.freeze(model.backbone, args.freeze)
    loader = DataLoader(crops, args.batch, num_workers=1, prefetch_factor=4)

    def loss(net: nn.Module, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        crops, points, weight, known, side = batch
        for module in frozen:
            module.eval()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            feats = net.backbone(crops.contiguous(memory_format=torch.channels_last))
        return losses(net.head(tuple(f.float() for f in feats)), points, weight, known, side, codec)

    trained = loop.train(
        model,
        iter(loader),
        loss,
        subject.validator(args, lambda net, batch: predict(net, batch, codec["simcc_split_ratio"])),
        folder=out,
        steps=args.steps,
        until=args.until,
        lr=args.lr,
    )
    if args.until is None:
        loop.save(trained, out / "weights.pth", {})


if __name__ == "__main__":
    main()
