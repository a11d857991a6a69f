"""Training crops of hands for `poses.py`, and their validation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

import augment
from hands import SHARE, Hand, annotated_test, backgrounds, hand_box, read
from landmarks import tensor
from limner import build, config
from limner.crop import Crop

CONFIG = Path("limner/rtmpose_hand-lite_192x192.py")
PADDING = 1.1  # of the config, from the hand's box to the crop
EMPTY = 0.04  # share of crops without a hand: every score is 0


def distortion(rng: np.random.Generator) -> np.ndarray:
    """Return a random 2x2 stretch and shear of area 1: other proportions, and other angles to the camera."""
    stretch = np.exp(rng.normal(0, 0.12))
    turn = rng.uniform(0, np.pi)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return rotation @ np.diag([stretch, 1 / stretch]) @ rotation.T


def tint(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a hand of another skin tone or under another light: brightness, saturation and hue change."""
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV).astype(np.float32)
    hsv[..., 0] = (hsv[..., 0] + rng.normal(0, 5)) % 180
    hsv[..., 1] *= np.exp(rng.normal(0, 0.3))
    hsv[..., 2] = 255 * (hsv[..., 2] / 255) ** np.exp(rng.normal(0.15, 0.4))
    return cv2.cvtColor(hsv.clip(0, 255).astype(np.uint8), cv2.COLOR_HSV2BGR)


def patch(image: np.ndarray, width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """Return a random part of an image, enlarged or reduced to fill width x height."""
    h, w = image.shape[:2]
    scale = max(width / w, height / h) * np.exp(rng.uniform(0, 1.0))
    room = np.array([w, h]) - np.array([width, height]) / scale
    x, y = rng.uniform(0, 1, 2) * room.clip(0)
    matrix = np.array([[scale, 0, -x * scale], [0, scale, -y * scale]])
    return cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def blend(hand: np.ndarray, mask: np.ndarray, under: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lay a hand over another image along its outline, uint8 0 or 1, softened."""
    if rng.random() < 0.5:
        mask = cv2.erode(mask, np.ones((3, 3), np.uint8))
    alpha = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), rng.uniform(0.5, 1.5))[..., None]
    return (hand * alpha + under * (1 - alpha)).astype(np.uint8)


class Samples:
    """Random crops of hands."""

    def __init__(self, args: Any) -> None:
        self.size = config.load(CONFIG)["codec"]["input_size"][0]
        hands = read(args.records or Path("runs/hands.pkl"))
        self.sources: dict[str, list[Hand]] = {name: hands[name] for name in SHARE if hands.get(name)}
        share = np.array([SHARE[n] for n in self.sources])
        self.names, self.share = list(self.sources), share / share.sum()
        self.backgrounds = backgrounds(args.data)

    def background(self, rng: np.random.Generator) -> np.ndarray:
        return self.backgrounds[rng.integers(len(self.backgrounds))]

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Return crop uint8 BGR, points, weights, known, side of the hand's points."""
        size = self.size
        if rng.random() < EMPTY:
            crop = augment.photometric(patch(self.background(rng), size, size, rng), rng)
            return crop, np.full((21, 2), -1.0), np.zeros(21), np.ones(21), np.float32(size)
        source = self.sources[self.names[int(rng.choice(len(self.names), p=self.share))]]
        hand = source[rng.integers(len(source))]
        matrix = self.matrix(hand.points, rng)
        fill = cv2.BORDER_CONSTANT if rng.random() < 0.6 else cv2.BORDER_REPLICATE
        crop = cv2.warpAffine(hand.image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=fill)
        if rng.random() < 0.5:
            crop = tint(crop, rng)
        if hand.mask is not None and rng.random() < 0.6:
            mask = cv2.warpAffine(hand.mask, matrix, (size, size), flags=cv2.INTER_NEAREST)
            crop = blend(crop, mask, patch(self.background(rng), size, size, rng), rng)
        points = augment.transform_points(hand.points, matrix)
        if rng.random() < 0.25:
            crop = augment.occlude(crop, rng, self.background(rng))
        if rng.random() < 0.2:
            crop = far_away(crop, rng)
        return augment.photometric(crop, rng), points, np.ones(21), np.ones(21), np.ptp(points, axis=0).max()

    def matrix(self, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return a random way from a hand's image to a crop as a detector's box would give it."""
        degrees = rng.uniform(-180, 180) if rng.random() < 0.45 else rng.normal(0, 25)
        cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        linear = np.array([[cos, sin], [-sin, cos]]) @ distortion(rng)
        if rng.random() < 0.5:
            linear = linear @ np.diag([-1.0, 1.0])
        turned = points @ linear.T
        box = hand_box(turned)
        extent = box[2:] - box[:2]
        side = PADDING * extent.max() * np.exp(rng.normal(0, 0.11))
        centre = (box[:2] + box[2:]) / 2 + rng.normal(0, 0.06, 2) * extent
        scale = self.size / side
        return np.column_stack([linear * scale, self.size / 2 - scale * centre])


def far_away(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a crop of a hand that was 24 to 60 pixels large in its image."""
    size = crop.shape[0]
    small = int(rng.uniform(32, 80))
    crop = cv2.resize(crop, (small, small), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        crop = augment.jpeg(crop, int(rng.integers(40, 95)))
    return cv2.resize(crop, (size, size), interpolation=cv2.INTER_LINEAR)


def validator(args: Any, predict: Callable[[nn.Module, Tensor], tuple[np.ndarray, np.ndarray]]) -> Any:
    """Return a function that reports the errors on the annotated test images, boxes from their points."""
    spec = build.pose_spec(config.load(CONFIG))
    crops, batch, truths = [], [], []
    for path, points in annotated_test(args.data):
        crop = Crop.around(hand_box(points)[None], spec.size, spec.padding)
        batch.append(tensor(crop.cut(cv2.imread(str(path)))[0]))
        crops.append(crop)
        truths.append(points)
    images = torch.stack(batch)

    def validate(model: nn.Module) -> str:
        points, scores = predict(model, images)
        found = np.stack([c.to_image(p[None])[0] for c, p in zip(crops, points, strict=True)])
        truth = np.stack(truths)
        error = np.linalg.norm(found - truth, axis=2) / np.ptp(truth, axis=1).max(1)[:, None]
        right = error < 0.1
        meaning = " ".join(
            f"{low:.1f}:{right[here].mean():.2f}({here.sum()})"
            for low in (0.0, 0.5, 0.7, 0.9)
            if (here := (scores >= low) & (scores < {0.0: 0.5, 0.5: 0.7, 0.7: 0.9, 0.9: 9}[low])).any()
        )
        return f"test error {100 * error.mean():.2f} % PCK@.1 {right.mean():.3f}  score:right {meaning}"

    return validate
