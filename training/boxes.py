"""Train the RTMDet networks of `hand-lite` and `human-lite`.

    python training/boxes.py hand --steps 8000 --out runs/hand-detector

Run it again to continue where it stopped. Loss and label assignment are RTMDet's.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

import hand_scenes
import hand_tests
import human_scenes
import loop
from assign import detector_loss
from depthwise import accelerate
from detector import collate
from faces import DATA, MODELS
from limner import build, config
from scenes import Images, Recipe


@dataclass(frozen=True)
class Subject:
    """What one detector learns."""

    config: Path
    name: str  # of its class
    recipe: Recipe
    load: Callable[[Any], Any]  # arguments -> scenes in groups, stickers
    validator: Callable[[Any, int], Callable[[nn.Module], str]]  # arguments, input size


SUBJECTS = {
    "hand": Subject(
        Path("limner/rtmdet_hand-lite_320.py"), "hand", hand_scenes.RECIPE, hand_scenes.load, hand_tests.validator
    ),
    "human": Subject(
        Path("limner/rtmdet_human-lite_320.py"),
        "person",
        human_scenes.RECIPE,
        human_scenes.load,
        human_scenes.validator,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("subject", choices=SUBJECTS)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--more", type=Path, default=Path("../data/raw"), help="the folder that label.py works in")
    parser.add_argument("--hands", type=Path, help="what hands.py wrote")
    parser.add_argument("--start", type=Path, default=MODELS / "rtmdet_nano_coco-person.pth")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--until", type=int, help="stop after this step of the schedule, to be continued")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=8e-4)
    parser.add_argument("--freeze", type=int, default=2, help="stages of the backbone that keep their weights")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    subject = SUBJECTS[args.subject]
    out = args.out or Path(f"runs/{args.subject}-detector")
    cfg = config.load(subject.config)
    model = build.network(cfg["model"])
    groups, stickers = subject.load(args)
    print({name: len(scenes) for name, scenes in groups.items()}, len(stickers), "stickers", flush=True)
    images = Images(groups, subject.recipe, args.batch, stickers)
    print(loop.start_from(model, args.start), flush=True)
    loop.calibrate(model, torch.cat([next(iter(images))[0][:, :, :256, :256] for _ in range(4)]))
    torch.set_num_threads(args.threads)
    model = accelerate(model).to(memory_format=torch.channels_last)
    frozen = loop.freeze(model.backbone, args.freeze)
    loader = DataLoader(images, 1, num_workers=1, prefetch_factor=8, collate_fn=collate)

    def loss(net: nn.Module, batch: Any) -> dict[str, Tensor]:
        images, boxes, unsure = batch
        for module in frozen:
            module.eval()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            cls, reg = net(images.contiguous(memory_format=torch.channels_last))
        return detector_loss([c.float() for c in cls], [r.float() for r in reg], (8, 16, 32), boxes, unsure)

    size = cfg["test_pipeline"][1]["scale"][0]
    trained = loop.train(
        model,
        iter(loader),
        loss,
        subject.validator(args, size),
        folder=out,
        steps=args.steps,
        until=args.until,
        lr=args.lr,
    )
    if args.until is None:
        loop.save(trained, out / "weights.pth", {"classes": (subject.name,)})


if __name__ == "__main__":
    main()
