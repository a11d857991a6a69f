"""Images for the training of detectors: labelled images at any scale and angle, in mosaics, with objects pasted on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

import augment
from detector import GREY, MEAN, STD

Rng = np.random.Generator


@dataclass(frozen=True, eq=False)
class Scene:
    """An image, the outlines of its objects, each [M, 2], and boxes [U, 4] without influence on the loss.

    The box of an object is that of its outline, at any angle. `images` are uint8 BGR, each half as large as the one
    before it; outlines and boxes are in pixels of the first.
    """

    images: tuple[np.ndarray, ...]
    outlines: list[np.ndarray]
    unsure: np.ndarray


@dataclass(frozen=True, eq=False)
class Sticker:
    """An object that can be pasted: image uint8 BGR [H, W, 3], mask uint8 0 or 1 [H, W], outline [M, 2]."""

    image: np.ndarray
    mask: np.ndarray
    outline: np.ndarray


@dataclass(frozen=True)
class Recipe:
    """How scenes become training images.

    ``share``: how often each group of scenes is taken; ``grow``: from the box of an outline to that of the object;
    ``smallest``: smaller objects are ignored, px; ``turned``: share of images turned by any angle; ``focus``: share
    that is centred on an object; ``pasted``: share with stickers.
    """

    share: dict[str, float]
    grow: float
    smallest: float
    turned: float
    focus: float = 0.7
    pasted: float = 0.0
    sizes: Sequence[int] = (288, 320, 352)
    grids: Sequence[int] = field(default=(1, 1, 1, 1, 2, 2, 2, 3, 4))


def ellipse(box: np.ndarray) -> np.ndarray:
    """Return 16 points of the ellipse in a box: turned, their box is about that of what fills the box."""
    t = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    return (box[:2] + box[2:]) / 2 + np.stack([np.cos(t), np.sin(t)], 1) * (box[2:] - box[:2]) / 2


def boxes_of(outlines: Sequence[np.ndarray], matrix: np.ndarray, grow: float) -> np.ndarray:
    """Return the boxes [N, 4] of transformed outlines."""
    rows = []
    for outline in outlines:
        points = augment.transform_points(outline, matrix)
        low, high = points.min(0), points.max(0)
        middle, half = (low + high) / 2, (high - low) / 2 * grow
        rows.append(np.concatenate([middle - half, middle + half]))
    return np.asarray(rows, np.float64).reshape(-1, 4)


def pyramid(image: np.ndarray, levels: int = 4) -> tuple[np.ndarray, ...]:
    """Return an image and its halves, quarters and eighths."""
    images = [image]
    while len(images) < levels and min(image.shape[:2]) >= 16:
        image = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)
        images.append(image)
    return tuple(images)


def warp(images: Sequence[np.ndarray], matrix: np.ndarray, target: np.ndarray, flags: int = cv2.INTER_LINEAR) -> None:
    """Draw a `pyramid` into ``target`` by a 2x3 matrix for its first image; what it does not cover stays."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    level = int(np.clip(np.floor(-np.log2(scale)), 0, len(images) - 1))
    image = images[level]
    if level:
        h, w = images[0].shape[:2]
        matrix = np.column_stack([matrix[:, :2] @ np.diag([w / image.shape[1], h / image.shape[0]]), matrix[:, 2]])
    size = (target.shape[1], target.shape[0])
    cv2.warpAffine(image, matrix, size, dst=target, flags=flags, borderMode=cv2.BORDER_TRANSPARENT)


class Images(IterableDataset):
    """Endless batches: float BGR ``[B, 3, S, S]``, boxes and ignored boxes of each image."""

    def __init__(
        self, groups: dict[str, list[Scene]], recipe: Recipe, batch: int, stickers: Sequence[Sticker] = ()
    ) -> None:
        self.recipe, self.batch, self.stickers = recipe, batch, stickers
        self.groups = {name: groups[name] for name in recipe.share if groups.get(name)}
        share = np.array([recipe.share[n] for n in self.groups])
        self.names, self.share = list(self.groups), share / share.sum()

    def __iter__(self) -> Iterator[tuple[Tensor, list[Tensor], list[Tensor]]]:
        cv2.setNumThreads(0)
        torch.set_num_threads(1)
        rng = np.random.default_rng()
        while True:
            size = int(rng.choice(self.recipe.sizes))
            made = [self.compose(size, rng) for _ in range(self.batch)]
            images = np.stack([((m[0] - MEAN) / STD).transpose(2, 0, 1) for m in made]).astype(np.float32)
            yield (
                torch.from_numpy(images),
                [torch.from_numpy(m[1]) for m in made],
                [torch.from_numpy(m[2]) for m in made],
            )

    def pick(self, rng: Rng) -> Scene:
        group = self.groups[self.names[int(rng.choice(len(self.names), p=self.share))]]
        return group[rng.integers(len(group))]

    def compose(self, size: int, rng: Rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return an image uint8 [S, S, 3], boxes float32 [N, 4] and ignored boxes [U, 4]."""
        canvas = np.empty((size, size, 3), np.uint8)
        canvas[:] = GREY if rng.random() < 0.7 else rng.integers(0, 256, 3)
        columns = int(rng.choice(self.recipe.grids))
        rows = int(np.clip(columns + rng.integers(-1, 2), 1, None)) if columns > 1 else 1
        found, unsure = [np.zeros((0, 4))], [np.zeros((0, 4))]
        for x1, x2 in pairwise(np.linspace(0, size, columns + 1).astype(int)):
            for y1, y2 in pairwise(np.linspace(0, size, rows + 1).astype(int)):
                tile = canvas[y1:y2, x1:x2].copy()
                parts = self.place(self.pick(rng), tile, rng)
                canvas[y1:y2, x1:x2] = tile
                for into, part in zip((found, unsure), parts, strict=True):
                    into.append(part + np.array([x1, y1, x1, y1]))
        boxes, ignored = np.concatenate(found), np.concatenate(unsure)
        if len(self.stickers) and rng.random() < self.recipe.pasted:
            boxes, ignored = self.paste(canvas, boxes, ignored, rng)
        return augment.photometric(canvas, rng), boxes.astype(np.float32), ignored.astype(np.float32)

    def place(self, scene: Scene, tile: np.ndarray, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
        """Draw a scene into a tile; return its boxes and the boxes to ignore."""
        h, w = scene.images[0].shape[:2]
        height, width = tile.shape[:2]
        whole = np.array([[1.0, 0, 0], [0, 1, 0]])
        if scene.outlines and rng.random() < self.recipe.focus:
            box = boxes_of([scene.outlines[rng.integers(len(scene.outlines))]], whole, self.recipe.grow)[0]
            extent = float((box[2:] - box[:2]).max())
            wanted = np.exp(rng.uniform(np.log(self.recipe.smallest), np.log(0.98 * min(width, height))))
            scale, at = wanted / extent, (box[:2] + box[2:]) / 2
            reach = max(0.0, 0.5 - 0.3 * wanted / min(width, height))
            target = np.array([width, height]) * (0.5 + rng.uniform(-reach, reach, 2))
        else:
            scale = min(width / w, height / h) * np.exp(rng.uniform(-0.3, 1.0))
            at = np.array([w, h]) * rng.uniform(0.1, 0.9, 2)
            target = np.array([width, height]) * rng.uniform(0.2, 0.8, 2)
        scale = float(np.clip(scale, 0.5 * min(width / w, height / h), 6.0))  # a small object among many: see the grids
        if (reduced := max(scale * w / width, scale * h / height)) <= 1.2:  # no need to cut: show all of it
            at, target = np.array([w, h]) / 2, np.array([width, height]) * (0.5 + rng.uniform(-0.2, 0.2, 2))
        turn = rng.random()
        degrees = rng.uniform(-180, 180) if turn < self.recipe.turned else rng.normal(0, 8) if turn < 0.6 else 0.0
        degrees *= reduced > 0.3
        a, b = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
        linear = np.array([[a, b], [-b, a]]) @ np.diag([rng.choice([-1.0, 1.0]), np.exp(rng.normal(0, 0.08))])
        matrix = np.column_stack([linear, target - linear @ at])
        warp(scene.images, matrix, tile)
        boxes = boxes_of(scene.outlines, matrix, self.recipe.grow)
        unsure = boxes_of([ellipse(b) if degrees else b.reshape(2, 2) for b in scene.unsure], matrix, 1.0)
        return self.split(boxes, unsure, width, height)

    def split(self, boxes: np.ndarray, unsure: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        """Clip boxes to a tile; small or mostly hidden ones are to be ignored."""
        limit = np.array([width, height, width, height], float)
        cut, unsure = boxes.clip(0, limit), unsure.clip(0, limit)
        area = [(b[:, 2:] - b[:, :2]).clip(0, None).prod(1) for b in (boxes, cut)]
        seen = area[1] / np.maximum(area[0], 1e-6)
        good = (seen > 0.55) & ((cut[:, 2:] - cut[:, :2]).max(1, initial=0) >= 0.8 * self.recipe.smallest)
        good &= (cut[:, 2:] - cut[:, :2]).min(1, initial=1e9) >= 4
        unsure = np.concatenate([unsure, cut[~good & (seen > 0.05)]])
        return cut[good], unsure[(unsure[:, 2:] - unsure[:, :2]).min(1, initial=1e9) > 1]

    def paste(
        self, canvas: np.ndarray, boxes: np.ndarray, unsure: np.ndarray, rng: Rng
    ) -> tuple[np.ndarray, np.ndarray]:
        """Paste one to three objects on an image; what they hide is ignored."""
        size = canvas.shape[0]
        for _ in range(rng.integers(1, 4)):
            sticker = self.stickers[rng.integers(len(self.stickers))]
            box = boxes_of([sticker.outline], np.eye(3)[:2], self.recipe.grow)[0]
            wanted = np.exp(rng.uniform(np.log(self.recipe.smallest), np.log(0.8 * size)))
            degrees = rng.uniform(-180, 180) if rng.random() < 0.5 else rng.normal(0, 25)
            scale = wanted / float((box[2:] - box[:2]).max())
            a, b = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
            linear = np.array([[a, b], [-b, a]]) @ np.diag([rng.choice([-1.0, 1.0]), 1.0])
            matrix = np.column_stack([linear, rng.uniform(0, size, 2) - linear @ ((box[:2] + box[2:]) / 2)])
            alpha = self.draw(sticker, matrix, canvas, rng)
            hidden = np.array([alpha[int(y1) : int(y2) + 1, int(x1) : int(x2) + 1].mean() for x1, y1, x2, y2 in boxes])
            keep = hidden < 0.3 if len(boxes) else np.zeros(0, bool)
            unsure = np.concatenate([unsure, boxes[~keep]])
            new, doubtful = self.split(boxes_of([sticker.outline], matrix, self.recipe.grow), unsure, size, size)
            boxes, unsure = np.concatenate([boxes[keep], new]), doubtful
        return boxes, unsure

    def draw(self, sticker: Sticker, matrix: np.ndarray, canvas: np.ndarray, rng: Rng) -> np.ndarray:
        """Draw an object in other colours on the canvas; return where it is, uint8 0 or 1, of the canvas's size."""
        h, w = sticker.mask.shape
        corners = augment.transform_points(np.array([[0, 0], [w, 0], [0, h], [w, h]], float), matrix)
        low = corners.min(0).clip(0, canvas.shape[0]).astype(int)
        high = np.ceil(corners.max(0)).clip(0, canvas.shape[0]).astype(int)
        alpha = np.zeros(canvas.shape[:2], np.uint8)
        part, seen = canvas[low[1] : high[1], low[0] : high[0]], alpha[low[1] : high[1], low[0] : high[0]]
        if not part.size:
            return alpha
        matrix = np.column_stack([matrix[:, :2], matrix[:, 2] - low])
        hsv = cv2.cvtColor(sticker.image, cv2.COLOR_BGR2HSV)
        steps = np.arange(256, dtype=np.float32)
        tables = np.stack(
            [steps, steps * np.exp(rng.normal(0, 0.25)), 255 * (steps / 255) ** np.exp(rng.normal(0.1, 0.35))], 1
        )
        hsv = cv2.LUT(hsv, tables.clip(0, 255).astype(np.uint8)[:, None])
        layer, here = part.copy(), np.zeros(part.shape[:2], np.uint8)
        warp(pyramid(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)), matrix, layer)
        warp((sticker.mask,), matrix, here, cv2.INTER_NEAREST)
        soft = cv2.GaussianBlur(here.astype(np.float32), (0, 0), rng.uniform(0.5, 1.2))[..., None]
        part[:] = (layer * soft + part * (1 - soft)).astype(np.uint8)
        seen[:] = here
        return alpha
