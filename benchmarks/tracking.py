"""Measure what tracking promises: who keeps a number, how calm points are, and what carried boxes cost.

    python benchmarks/tracking.py --video ../shared/data/video/group_720p.mp4 --interval 5

Everything is measured with the bundled face model; bodies crossing need ``--shared``'s person detector and
torch. The same command gives the same numbers on the same machine.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from limn import pipeline
from limn.errors import LimnError
from limn.pipeline import Pipeline
from limn.tracking import OneEuro, Tracker, smooth
from limn.tracking.matching import iou, pairs, sizes
from limn.types import Frame, Poses, Result
from limn.video import VideoSource

ROOT = Path(__file__).resolve().parents[1]
SAME = 0.5  # IoU from one frame to the next by which a chain goes on
MATCHED = 0.3  # IoU above which instances of two runs are the same person
HIDDEN = 0.3  # of a person that crosses another: the share behind the other from which on it counts as hidden


@dataclass(frozen=True, eq=False)
class Watched:
    """One frame of a run."""

    result: Result
    detected: bool  # the detector looked
    again: bool  # after the poses in carried boxes were not believed


class Watch:
    """Finds people in one frame after the other; the detector looks at every ``interval``-th and where it must."""

    def __init__(self, stages: Pipeline, interval: int = 1, smoothing: Callable[[], OneEuro] | None = None) -> None:
        self.stages, self.interval = stages, interval
        self.tracker = Tracker(stages.keypoint_set, smoothing=smoothing)
        self._since = interval

    def __call__(self, frame: Frame) -> Watched:
        height, width = frame.image.shape[:2]
        detects, again = self._since >= self.interval or self.tracker.needs_detection, False
        result = self.stages.many([frame], None if detects else [self.tracker.boxes((width, height))])[0]
        if not detects and not self.tracker.trusts(result):
            detects, again, result = True, True, self.stages.one(frame)
        self._since = 1 if detects else self._since + 1
        return Watched(self.tracker.update(result, detected=detects), detects, again)


# -- steady points ---------------------------------------------------------------------------------------------


def shaken(image: np.ndarray, count: int, sigma: float = 5.0) -> list[np.ndarray]:
    """Return the same picture ``count`` times, each with other noise on its pixels."""
    noise = np.random.default_rng(0)
    return [np.clip(image + noise.normal(0, sigma, image.shape), 0, 255).astype(np.uint8) for _ in range(count)]


def places(results: Sequence[Result]) -> dict[int, dict[int, np.ndarray]]:
    """Return the points ``[K, 2]`` of each number in each frame where it is seen."""
    found: dict[int, dict[int, np.ndarray]] = {}
    for f, result in enumerate(results):
        for points, number in zip(result.keypoints, result.track_ids.tolist(), strict=True):
            if number > 0:
                found.setdefault(number, {})[f] = points.astype(np.float64)
    return found


def calmed(stages: Pipeline, image: np.ndarray, fps: float, count: int = 90) -> tuple[float, float, float]:
    """Return by how many pixels keypoints of a still picture tremble: as found, by One-Euro, and by `smooth`.

    That is the standard deviation, mean of the keypoints of all who are seen in nine of ten frames.
    """
    found = [stages.one(Frame(p, "still", i, i / fps)) for i, p in enumerate(shaken(image, count))]
    plain, filtered = Tracker(stages.keypoint_set, smoothing=None), Tracker(stages.keypoint_set)
    numbered = [plain.update(r) for r in found]
    runs = [places(r) for r in (numbered, [filtered.update(r) for r in found], smooth(numbered, fps))]
    seen = {number: list(where) for number, where in runs[0].items() if len(where) >= 0.9 * count}
    deviations = [
        [np.sqrt(np.var([run[number][f] for f in frames], axis=0).sum(axis=-1)).mean() for run in runs]
        for number, frames in seen.items()
    ]
    as_found, euro, whole = np.mean(deviations, axis=0).tolist()
    return as_found, euro, whole


def lag(fps: float, speed: float, seconds: float = 3.0) -> tuple[float, float]:
    """Return by how many frames One-Euro lags behind a steady motion, at most: from the first frame on, and later.

    Args:
        fps: frames per second.
        speed: sizes per second; each coordinate has noise of 0.5 % of the size.
        seconds: of the motion; "later" is after a fifth of a second.
    """
    noise, size = np.random.default_rng(0), 200.0
    shape, pixels = noise.uniform(0, size, (17, 2)), speed * size / fps
    euro, lags = OneEuro(), []
    for i in range(int(seconds * fps)):
        true = shape + np.array([i * pixels, 0.0])
        shown = euro(true + noise.normal(0, 0.005 * size, true.shape), size, 1 / fps)
        lags.append(float((true - shown)[:, 0].mean()) / pixels)
    return max(lags), max(lags[int(0.2 * fps) :])


# -- who is who ------------------------------------------------------------------------------------------------


def chains(results: Sequence[Result]) -> list[list[tuple[int, int]]]:
    """Return the (frame, row) of each instance followed by IoU alone, from frame to frame."""
    done: list[list[tuple[int, int]]] = []
    open_: dict[int, list[tuple[int, int]]] = {}
    for f, result in enumerate(results):
        follows: dict[int, list[tuple[int, int]]] = {}
        if open_ and len(result):
            before = results[f - 1].boxes.xyxy[list(open_)].astype(np.float64)
            overlap = iou(before, result.boxes.xyxy.astype(np.float64))
            links = pairs(np.where(overlap > SAME, overlap, 0))
            follows = {row: list(open_.values())[i] for i, row in links}
        done += [chain for chain in open_.values() if not any(chain is c for c in follows.values())]
        open_ = {row: follows.get(row, []) for row in range(len(result))}
        for row, chain in open_.items():
            chain.append((f, row))
    return done + list(open_.values())


def switches(results: Sequence[Result]) -> int:
    """Return how often the number of one who is followed by IoU changes to another."""
    count = 0
    for chain in chains(results):
        given = [n for n in (int(results[f].track_ids[row]) for f, row in chain) if n > 0]
        count += sum(a != b for a, b in itertools.pairwise(given))
    return count


def numbers(results: Sequence[Result]) -> dict[int, int]:
    """Return in how many frames each number is seen."""
    seen: dict[int, int] = {}
    for result in results:
        for number in result.track_ids.tolist():
            if number > 0:
                seen[number] = seen.get(number, 0) + 1
    return seen


# -- two who cross ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Cutout:
    """One person cut out of a picture."""

    image: np.ndarray  # uint8 [h, w, 3], BGR
    alpha: np.ndarray  # float32 [h, w, 1] in 0..1


@dataclass(frozen=True, eq=False)
class Crossing:
    """A frame in which two people cross, and where they are."""

    frame: Frame
    centers: np.ndarray  # float64 [2, 2], pixels
    hidden: tuple[float, float]  # share of each behind the other


def cut_out(image: np.ndarray, box: np.ndarray, height: int, *, oval: bool) -> Cutout:
    """Cut ``box`` and some more out of a picture, ``height`` pixels tall, an oval or with soft edges."""
    x1, y1, x2, y2 = box
    w, h = x2 - x1, y2 - y1
    grow = 0.25 if oval else 0.05
    low = np.maximum([x1 - grow * w, y1 - 0.35 * h if oval else y1 - grow * h], 0).astype(int)
    high = np.minimum([x2 + grow * w, y2 + (0.1 if oval else grow) * h], image.shape[1::-1]).astype(int)
    part = image[low[1] : high[1], low[0] : high[0]]
    scale = height / part.shape[0]
    part = cv2.resize(part, (max(8, round(part.shape[1] * scale)), height), interpolation=cv2.INTER_AREA)
    alpha = np.zeros(part.shape[:2], np.float32)
    if oval:
        middle = (part.shape[1] // 2, part.shape[0] // 2)
        cv2.ellipse(alpha, middle, (middle[0] - 3, middle[1] - 3), 0, 0, 360, 1.0, -1)
    else:
        alpha[3:-3, 3:-3] = 1
    return Cutout(part, cv2.GaussianBlur(alpha, (0, 0), 2)[..., None])


def crossing(
    people: tuple[Cutout, Cutout],
    background: np.ndarray,
    *,
    front: int,
    offset: float = 0.0,
    fps: float = 25.0,
    seconds: float = 4.0,
) -> Iterator[Crossing]:
    """Move two people across each other, the one to the right and the other to the left.

    Args:
        people: who.
        background: uint8 ``[H, W, 3]``, BGR.
        front: which of them is in front.
        offset: how far the second is below the first, in heights of the first.
        fps, seconds: of the clip.
    """
    height, width = background.shape[:2]
    noise = np.random.default_rng(0)
    count = round(seconds * fps)
    for i in range(count):
        part = i / (count - 1)
        xs = (0.15 + 0.7 * part) * width, (0.85 - 0.7 * part) * width
        ys = 0.5 * height, 0.5 * height + offset * people[0].image.shape[0]
        image, masks = background.astype(np.float32), []
        for k in (1 - front, front):
            layer, alpha = placed(people[k], xs[k], ys[k], (width, height))
            image = image * (1 - alpha) + layer * alpha
            masks.append(alpha)
        behind = float((masks[0] * masks[1]).sum() / masks[0].sum())
        image += noise.normal(0, 2, image.shape)
        frame = Frame(np.clip(image, 0, 255).astype(np.uint8), "crossing", i, i / fps)
        yield Crossing(frame, np.stack([xs, ys], axis=1), (0.0, behind) if front == 0 else (behind, 0.0))


def placed(person: Cutout, x: float, y: float, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return a person at a place of a picture: pixels and opacity, float32 ``[H, W, 3]`` and ``[H, W, 1]``."""
    h, w = person.image.shape[:2]
    matrix = np.array([[1, 0, x - w / 2], [0, 1, y - h / 2]], np.float32)
    layer = cv2.warpAffine(person.image, matrix, size).astype(np.float32)
    return layer, cv2.warpAffine(person.alpha, matrix, size)[..., None]


@dataclass(frozen=True)
class Crossed:
    """What became of the numbers of two who cross."""

    numbers: tuple[tuple[int, ...], tuple[int, ...]]  # of each, in order of appearance
    switches: int  # changes of a number in frames where neither is hidden, the hidden ones between them not counted
    kept: tuple[bool, bool]  # whether each has the same number at the end as at the start
    hidden: int  # frames in which one of them is hidden
    unseen: int  # of those, in which the hidden one is not detected


def follow_crossing(steps: Sequence[Crossing], results: Sequence[Result]) -> Crossed:
    """Compare the numbers with who is where.

    Args:
        steps: the frames.
        results: of the frames, with numbers.
    """
    seen: tuple[list[int], list[int]] = ([], [])
    count = unseen = 0
    last: list[tuple[int, int] | None] = [None, None]  # frame and number
    for f, (step, result) in enumerate(zip(steps, results, strict=True)):
        hides = max(step.hidden) > HIDDEN
        boxes = result.boxes.xyxy
        found = [False, False]
        for row, number in enumerate(result.track_ids.tolist()):
            middle = (boxes[row, :2] + boxes[row, 2:]) / 2
            away = np.linalg.norm(step.centers - middle, axis=1)
            who = int(away.argmin())
            if hides and abs(away[0] - away[1]) < 20:  # too near each other to tell: the one in front
                who = int(np.argmin(step.hidden))
            found[who] = True
            if number <= 0:
                continue
            if number not in seen[who]:
                seen[who].append(number)
            before = last[who]
            if not hides:
                count += before is not None and before[1] != number and before[0] == f - 1
                last[who] = (f, number)
        unseen += hides and not all(found)
    hidden = sum(max(s.hidden) > HIDDEN for s in steps)
    kept = tuple(bool(s) and s[0] == (n[1] if n else -1) for s, n in zip(seen, last, strict=True))
    return Crossed((tuple(seen[0]), tuple(seen[1])), count, (kept[0], kept[1]), hidden, unseen)


# -- carried boxes ---------------------------------------------------------------------------------------------


def apart(result: Result, other: Result) -> list[float]:
    """Return how far the points of matched people are apart, in percent of the square root of ``other``'s box."""
    a, b = (r.boxes.xyxy.astype(np.float64) for r in (result, other))
    if not len(a) or not len(b):
        return []
    overlap = iou(a, b)
    return [
        100 * float(np.linalg.norm(result.keypoints[i] - other.keypoints[j], axis=1).mean() / sizes(b[j]))
        for i, j in pairs(np.where(overlap > MATCHED, overlap, 0))
    ]


def moved(stages: Pipeline, frame: Frame, result: Result, share: float = 0.01) -> Result:
    """Look again at boxes that are moved by a share of their size: what the pose network alone makes of it."""
    step = share * np.sqrt(0.5) * sizes(result.boxes.xyxy.astype(np.float64))[:, None]
    boxes = replace(result.boxes, xyxy=(result.boxes.xyxy + np.tile(step, 4)).astype(np.float32))
    return replace(result, poses=stages.pose(frame.image, boxes.xyxy))


# -- the table -------------------------------------------------------------------------------------------------


def row(name: str, *values: str) -> None:
    """Print one line of the table."""
    print(f"{name:<64}" + "  ".join(values))


def percent(part: float, whole: float) -> str:
    return f"{100 * (1 - part / whole):.0f} % less"


def show_still(stages: Pipeline, image: np.ndarray) -> None:
    """Print how calm smoothing makes the points of a still picture, and how far it lags behind a motion."""
    for fps in (15, 30, 60):
        plain, euro, whole = calmed(stages, image, fps)
        row(
            f"one frame with other noise each time, {fps} fps: keypoints tremble",
            f"{plain:.2f} px; One-Euro {euro:.2f} px ({percent(euro, plain)}); "
            f"smooth {whole:.2f} px ({percent(whole, plain)})",
        )
    for fps in (15, 30, 60):
        first, later = np.max([lag(fps, speed) for speed in (0.3, 0.6, 1.5, 3.0)], axis=0)
        row(
            f"One-Euro behind a steady motion of 0.3 to 3 sizes/s, {fps} fps",
            f"{later:.2f} frames at most, {first:.2f} in the first fifth of a second",
        )


def show_video(stages: Pipeline, video: Path, interval: int) -> np.ndarray:
    """Print identities and what carried boxes cost; return the last of the frames that show most people."""
    every: list[Result] = []
    plain, carrying = Tracker(stages.keypoint_set, smoothing=None), Watch(stages, interval)
    watched: list[Watched] = []
    differences: list[tuple[bool, float]] = []
    shifted: list[float] = []
    image = np.zeros((0, 0, 3), np.uint8)
    with VideoSource(video) as source:
        for frame in source:
            found = stages.one(frame)
            if len(found) >= max((len(r) for r in every), default=0):
                image = frame.image
            every.append(plain.update(found))
            watched.append(carrying(frame))
            differences += [(watched[-1].detected, d) for d in apart(watched[-1].result, found)]
            shifted += apart(moved(stages, frame, found), found)
    count, runs, again = len(every), sum(w.detected for w in watched), sum(w.again for w in watched)
    for name, results in (("every frame", every), (f"every {interval}.", [w.result for w in watched])):
        seen = numbers(results)
        row(f"identities, detector at {name}", f"{len(seen)} numbers, {switches(results)} switches in {count} frames")
        row("  frames of each number", ", ".join(f"#{n} {c}" for n, c in sorted(seen.items())))
    total, carried = np.array([d for _, d in differences]), np.array([d for looked, d in differences if not looked])
    row(f"keypoints, detector at every {interval}. frame against every", f"{total.mean():.2f} % of the box's size")
    if len(carried):
        middle, most = np.percentile(carried, [50, 95])
        row("  in carried frames alone", f"{carried.mean():.2f} %, median {middle:.2f} %, 95 % below {most:.1f} %")
    row("  the detector ran", f"at {runs} of {count} frames, at {again} since a carried pose was not believed")
    row("  for comparison: every frame, boxes moved by 1 % of the size", f"{np.mean(shifted):.2f} %")
    return image


def faces(stages: Pipeline, data: Path) -> tuple[Cutout, Cutout]:
    """Cut the faces out of two pictures of ``shared/data``."""
    names = ("300w/indoor_029.png", "lapa/10773046825_0.jpg")
    cuts = []
    for name in names:
        image = cv2.imread(str(data / "mmpose" / "tests" / "data" / name))
        cuts.append(cut_out(image, stages.detector(image).xyxy[0], 220, oval=True))
    return cuts[0], cuts[1]


def bodies(data: Path) -> tuple[Cutout, Cutout]:
    """Cut the two largest people of whom every keypoint is seen out of the COCO pictures of ``shared/data``."""
    notes = json.loads((data / "people" / "coco90.json").read_text())
    files = {image["id"]: image["file_name"] for image in notes["images"]}
    whole = sorted((a for a in notes["annotations"] if a["num_keypoints"] == 17), key=lambda a: -a["area"])
    cuts: dict[int, Cutout] = {}
    for note in whole:
        if note["image_id"] not in cuts and len(cuts) < 2:
            image = cv2.imread(str(data / "people" / "coco90" / Path(files[note["image_id"]]).name))
            x, y, w, h = note["bbox"]
            cuts[note["image_id"]] = cut_out(image, np.array([x, y, x + w, y + h]), 420, oval=False)
    first, second = cuts.values()
    return first, second


def boxes_only(detector: pipeline.Detector, frame: Frame) -> Result:
    """Return the boxes of a frame with keypoints that nobody knows, so that the boxes alone tell who is who."""
    boxes = detector(frame.image)
    height, width = frame.image.shape[:2]
    unknown = Poses(np.full((len(boxes), 17, 2), np.nan, np.float32), np.zeros((len(boxes), 17), np.float32))
    return Result(boxes, unknown, "coco-17", (width, height), timestamp=frame.timestamp)


def show_crossing(name: str, find: Callable[[Frame], Result], points: str, people: tuple[Cutout, Cutout]) -> None:
    """Print what becomes of the numbers of two who cross."""
    wall = np.full((720, 1280, 3), (150, 160, 165), np.uint8)
    for front, offset in ((0, 0.0), (1, 0.0), (0, 0.5), (1, 0.5)):
        steps = list(crossing(people, wall, front=front, offset=offset))
        tracker = Tracker(points, smoothing=None)
        told = follow_crossing(steps, [tracker.update(find(step.frame)) for step in steps])
        who = " and ".join("#" + ", #".join(map(str, n)) for n in told.numbers)
        row(
            f"two {name} cross, the {('first', 'second')[front]} in front, {offset:.1f} apart in height",
            f"{who}; {told.switches} switches while both are seen; hidden {told.hidden} frames, "
            f"not found in {told.unseen}; " + ("both kept their number" if all(told.kept) else "a number was LOST"),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder with data and models")
    parser.add_argument("--video", type=Path, help="with faces; left out, the group clip of --shared")
    parser.add_argument("--interval", type=int, default=5, help="frames from detection to detection")
    args = parser.parse_args()
    data = args.shared / "data"
    stages = pipeline.load("face-lite")
    image = show_video(stages, args.video or data / "video" / "group_720p.mp4", args.interval)
    show_still(stages, image)
    if not data.is_dir():
        row("two people who cross", f"not measured: there is no folder '{data}'")
        return
    show_crossing("faces", stages.one, "300w-68", faces(stages, data))
    try:
        detector = pipeline.open_detector(
            "demo/mmdetection_cfg/rtmdet_nano_320-8xb32_coco-person.py",
            args.shared / "models" / "rtmdet_nano_coco-person.pth",
            bbox_thr=0.3,
            nms_thr=0.3,
            labels=[0],
        )
    except LimnError as error:
        row("two bodies who cross", f"not measured: {error}")
        return
    video = args.video or data / "video" / "group_720p.mp4"
    tracker = Tracker("coco-17", smoothing=None)
    with VideoSource(video) as source:
        found = [tracker.update(boxes_only(detector, frame)) for frame in source]
    row("identities by person boxes alone", f"{len(numbers(found))} numbers, {switches(found)} switches")
    row("  frames of each number", ", ".join(f"#{n} {c}" for n, c in sorted(numbers(found).items())))
    show_crossing("bodies", lambda frame: boxes_only(detector, frame), "coco-17", bodies(data))


if __name__ == "__main__":
    main()
