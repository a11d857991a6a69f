"""Count the faces that the bundled detector finds in crowds, and what looking more closely costs.

    python benchmarks/crowd.py --shared ../shared
    python benchmarks/crowd.py --shared ../shared --seeds 5 --draw runs/crowd

Faces of ../shared/data/faces68 that the detector did not learn from are pasted into a large image, each with a little
of its surroundings. A face is found if a box overlaps it with an IoU above 0.5; a second box on a face is a double;
a box without a face is false, unless it is on a person beside the annotated one.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "training"))

from faces import annotated, face_box, is_validation, overlap  # noqa: E402
from limner import loading  # noqa: E402
from limner.pipeline import DetectorOptions, Pipeline  # noqa: E402

AROUND = 1.5  # side of a pasted square, in sides of the face
TRIES = 300  # for a free place
MODES = {
    "off": DetectorOptions(),
    "tile auto": DetectorOptions(tile="auto"),
    "tile 3x2": DetectorOptions(tile=(3, 2)),
    "det-size auto": DetectorOptions("auto"),
    "det-size 1152": DetectorOptions((1152, 1152)),
}


@dataclass(frozen=True)
class Scene:
    """What a group picture looks like."""

    name: str
    size: tuple[int, int]  # (width, height) in pixels
    faces: int
    heights: tuple[float, float]  # of the faces, forehead to chin, in pixels


SCENES = (
    Scene("160 faces", (4000, 2400), 160, (60, 120)),
    Scene("160 faces, 90 px", (4000, 2400), 160, (90, 90)),
    Scene("160 faces, upright", (2400, 4000), 160, (60, 120)),
    Scene("mixed sizes", (4000, 2400), 100, (50, 400)),
    Scene("40 px", (2000, 1500), 100, (40, 40)),
    Scene("panorama", (8000, 1000), 100, (50, 300)),
    Scene("1080p group", (1920, 1080), 30, (40, 90)),
    Scene("one large face", (6000, 4000), 1, (2400, 2600)),
    Scene("few of all sizes", (6000, 4000), 30, (80, 1200)),
)


@dataclass(frozen=True)
class Count:
    """Faces that were found, second boxes on them, and boxes without a face."""

    found: int = 0
    doubles: int = 0
    false: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.found + other.found, self.doubles + other.doubles, self.false + other.false)


def held_out_faces(data: Path) -> list[tuple[Path, np.ndarray]]:
    """Return (file, box) of the annotated faces that the bundled models did not learn from."""
    return [
        (data / file, face_box(points))
        for split in ("lfpw_train", "youtube_test")
        for index, file, points in annotated(data, split)
        if split == "youtube_test" or is_validation(split, index)
    ]


def group_picture(faces: Sequence[tuple[Path, np.ndarray]], scene: Scene, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Paste faces at random places that do not overlap.

    Returns:
        The image, uint8 ``[H, W, 3]`` BGR, and the boxes of the faces, ``[N, 4]`` in pixels; fewer than ``scene.faces``
        where there is no room.
    """
    random = np.random.default_rng(seed)
    width, height = scene.size
    image = _background(random, width, height)
    boxes: list[np.ndarray] = []
    taken: list[tuple[int, int, int, int]] = []
    for index in random.permutation(len(faces)).tolist() * 2:
        if len(boxes) == scene.faces:
            break
        patch, box = _patch(*faces[index], random.uniform(*scene.heights))
        h, w = patch.shape[:2]
        place = _free_place(random, taken, (width - w, height - h), (w, h))
        if place is not None:
            x, y = place
            image[y : y + h, x : x + w] = patch
            taken.append((x, y, x + w, y + h))
            boxes.append(box + np.array((x, y, x, y)))
    return image, np.asarray(boxes)


def _background(random: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Return clouds of colour with noise."""
    coarse = random.integers(60, 200, (max(2, height // 200), max(2, width // 200), 3), np.uint8)
    clouds = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    noise = cv2.randn(np.empty((height, width), np.int16), 0, 6)
    return (clouds + noise[..., None]).clip(0, 255).astype(np.uint8)


def _patch(file: Path, box: np.ndarray, height: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a face with its surroundings so that it is ``height`` pixels high, and its box in them."""
    image = cv2.imread(str(file))
    centre, half = (box[:2] + box[2:]) / 2, AROUND / 2 * max(box[2:] - box[:2])
    x1, y1 = np.maximum(centre - half, 0).astype(int)
    x2, y2 = np.minimum(centre + half, image.shape[1::-1]).astype(int)
    factor = height / (box[3] - box[1])
    size = [max(2, round(side * factor)) for side in (x2 - x1, y2 - y1)]
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(image[y1:y2, x1:x2], size, interpolation=way), (box - (x1, y1, x1, y1)) * factor


def _free_place(
    random: np.random.Generator,
    taken: Sequence[tuple[int, int, int, int]],
    room: tuple[int, int],
    size: tuple[int, int],
) -> tuple[int, int] | None:
    if min(room) < 0:
        return None
    for _ in range(TRIES):
        x, y = (int(random.integers(0, side + 1)) for side in room)
        if all(x >= t[2] or x + size[0] <= t[0] or y >= t[3] or y + size[1] <= t[1] for t in taken):
            return x, y
    return None


def count(found: np.ndarray, faces: np.ndarray) -> Count:
    """Compare boxes ``[N, 4]`` with the faces that there are, ``[M, 4]``."""
    iou = overlap(found, faces)
    centre = (found[:, None, :2] + found[:, None, 2:]) / 2
    inside = ((centre > faces[None, :, :2]) & (centre < faces[None, :, 2:])).all(2)
    reach = 1.2 * AROUND / 2 * (faces[:, 2:] - faces[:, :2]).max(1)
    beside = (np.abs(centre - (faces[None, :, :2] + faces[None, :, 2:]) / 2) < reach[None, :, None]).all(2).any(1)
    on = (iou > 0.5) | inside
    hits = (iou > 0.5).any(0)
    return Count(int(hits.sum()), int((on.sum(0) - 1).clip(0).sum()), int((~on.any(1) & ~beside).sum()))


def times(pipeline: Pipeline, image: np.ndarray, rounds: int) -> dict[str, float]:
    """Return the median seconds of each mode on one image, taken in turn, for the whole pipeline."""
    pipelines = {name: pipeline.with_detector_options(options, _silent) for name, options in MODES.items()}
    spent: dict[str, list[float]] = {name: [] for name in pipelines}
    for turn in range(rounds + 1):
        for name, mode in pipelines.items():
            start = time.perf_counter()
            mode(image)
            if turn:
                spent[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds) for name, seconds in spent.items()}


def _silent(_: str) -> None:
    pass


def portrait(faces: Sequence[tuple[Path, np.ndarray]], width: int = 1920, height: int = 1080) -> np.ndarray:
    """Return one face of half the image's height."""
    scene = Scene("portrait", (width, height), 1, (height / 2, height / 2))
    return group_picture(faces[:1], scene, 0)[0]


def draw(image: np.ndarray, faces: np.ndarray, found: np.ndarray, file: Path) -> None:
    """Write an image with the faces in white and the boxes in green."""
    drawn = image.copy()
    for boxes, colour in ((faces, (255, 255, 255)), (found, (0, 255, 0))):
        for x1, y1, x2, y2 in boxes.round().astype(int).tolist():
            cv2.rectangle(drawn, (x1, y1), (x2, y2), colour, max(2, image.shape[1] // 1000))
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), drawn)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="the folder with data/faces68")
    parser.add_argument("--seeds", type=int, default=2, help="images of each kind")
    parser.add_argument("--rounds", type=int, default=30, help="of the time measurement")
    parser.add_argument("--draw", type=Path, help="folder for the images of mode 'tile auto', with boxes")
    args = parser.parse_args(arguments)
    faces = held_out_faces(args.shared / "data")
    pipeline = loading.load("face-lite", device="cpu")
    detectors = {name: pipeline.with_detector_options(mode, _silent).detector for name, mode in MODES.items()}
    print("faces found / doubles / false boxes\n")
    print("| image | size | faces | " + " | ".join(MODES) + " |\n|---|---|---|" + "---|" * len(MODES))
    for scene in SCENES:
        total, counts = 0, dict.fromkeys(MODES, Count())
        for seed in range(args.seeds):
            image, truth = group_picture(faces, scene, seed)
            total += len(truth)
            for name, detector in detectors.items():
                boxes = detector(image).xyxy
                counts[name] += count(boxes, truth)
                if args.draw is not None and name == "tile auto":
                    draw(image, truth, boxes, args.draw / f"{scene.name.replace(' ', '-')}-{seed}.jpg")
        cells = (f"{c.found} / {c.doubles} / {c.false}" for c in counts.values())
        print(f"| {scene.name} | {scene.size[0]}x{scene.size[1]} | {total} | " + " | ".join(cells) + " |")
    print("\nmilliseconds of detector and keypoints, and the ratio to off\n")
    print("| image | " + " | ".join(MODES) + " |\n|---|" + "---|" * len(MODES))
    for name, image in (
        ("1080p portrait", portrait(faces)),
        ("4000x2400 portrait", portrait(faces, 4000, 2400)),
        ("160 faces, 4000x2400", group_picture(faces, SCENES[0], 0)[0]),
    ):
        seconds = times(pipeline, image, args.rounds)
        cells = (f"{1000 * s:.1f} ({s / seconds['off']:.2f})" for s in seconds.values())
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
