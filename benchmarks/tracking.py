"""Measure what tracking promises: who keeps a number, how calm points are, and what carried boxes cost.

    python benchmarks/tracking.py --video ../shared/data/video/group_720p.mp4 --interval 5

Faces are measured with the bundled model. Bodies need the person detector of ``--shared`` and torch; no weights
of a body model are there, so poses stand in that are the annotated ones with noise. The same command gives the
same numbers.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from crossing import Crossing, Cutout, body, crossing, follow_crossing, head
from limner import loading, pipeline
from limner.errors import LimnerError
from limner.pipeline import Pipeline
from limner.tracking import OneEuro, Tracker, smooth
from limner.tracking.matching import iou, pairs, sizes
from limner.types import Boxes, Frame, Poses, Result
from limner.video.options import TrackingOptions
from limner.video.pipeline import VideoEstimator
from limner.video.reader import VideoSource

ROOT = Path(__file__).resolve().parents[1]
SAME = 0.5  # IoU from one frame to the next by which a chain goes on
MATCHED = 0.3  # IoU above which instances of two runs are the same person
FACES = ("300w/indoor_029.png", "lapa/10773046825_0.jpg")
BODIES = (219454, 204343)  # numbers of COCO's annotations


class Noting(pipeline.Detector):
    """A detector that notes how many images it was given."""

    def __init__(self, detector: pipeline.Detector) -> None:
        super().__init__(
            detector.runtime,
            detector.spec,
            bbox_thr=detector.bbox_thr,
            nms_thr=detector.nms_thr,
            labels=detector.labels,
        )
        self.looks = 0

    def many(self, images: Sequence[np.ndarray]) -> list[Boxes]:
        self.looks += len(images)
        return super().many(images)


def watched(
    stages: Pipeline, frames: Iterator[Frame], tracking: TrackingOptions, live: bool
) -> tuple[list[Result], int]:
    """Return what is found in the frames, and at how many of them the detector looked."""
    detector = Noting(stages.detector)
    watcher = VideoEstimator(Pipeline(detector, stages.pose), tracking, live=live, fps=25)
    return [result for _, result in watcher.run(frames)], detector.looks


# -- steady points ---------------------------------------------------------------------------------------------


def shaken(image: np.ndarray, count: int, sigma: float = 5.0) -> list[np.ndarray]:
    """Return the same image ``count`` times, each with other noise on its pixels."""
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
    """Return by how many pixels keypoints of a still image tremble: as found, by One-Euro, and by `smooth`.

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
    """Print how calm smoothing makes the points of a still image, and how far it lags behind a motion."""
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


def show_identities(name: str, results: Sequence[Result]) -> None:
    """Print how many numbers there are, how often one changes, and how long each is seen."""
    seen: dict[int, int] = {}
    for number in (n for r in results for n in r.track_ids.tolist() if n > 0):
        seen[number] = seen.get(number, 0) + 1
    row(name, f"{len(seen)} numbers, {switches(results)} switches in {len(results)} frames")
    row("  frames of each number", ", ".join(f"#{n} {c}" for n, c in sorted(seen.items())))


def show_video(stages: Pipeline, video: Path, interval: int) -> np.ndarray:
    """Print identities and what carried boxes cost; return the last of the frames that show most people."""
    plain = Tracker(stages.keypoint_set, smoothing=None)
    every: list[Result] = []
    shifted: list[float] = []
    image = np.zeros((0, 0, 3), np.uint8)
    with VideoSource(video) as source:
        for frame in source:
            found = stages.one(frame)
            if len(found) >= max((len(r) for r in every), default=0):
                image = frame.image
            every.append(plain.update(found))
            shifted += apart(moved(stages, frame, found), found)
    show_identities("identities, detector at every frame", every)
    for name, live in (("a file", False), ("a live source", True)):
        with VideoSource(video) as source:
            carried, looks = watched(stages, iter(source), TrackingOptions(interval, smooth="off"), live)
        show_identities(f"identities, detector at every {interval}. frame of {name}", carried)
        differences = np.array([d for one, other in zip(carried, every, strict=True) for d in apart(one, other)])
        middle, most = np.percentile(differences, [50, 95])
        row(
            "  keypoints against detection at every frame",
            f"{differences.mean():.2f} % of the box's size, median {middle:.2f} %, 95 % below {most:.1f} %",
        )
        row("  the detector looked", f"at {looks} of {len(every)} frames, {-(-len(every) // interval)} is the least")
    row("for comparison: every frame, boxes moved by 1 % of the size", f"{np.mean(shifted):.2f} %")
    show_economy(stages, video, interval)
    return image


class Guesses(pipeline.PoseEstimator):
    """Stands in for a network that learnt nothing: its points are anywhere in the box."""

    def __init__(self, pose: pipeline.PoseEstimator) -> None:
        super().__init__(pose.runtime, pose.spec, pose.keypoint_set)
        self.noise = np.random.default_rng(0)

    def many(self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray], **more: Any) -> list[Poses]:
        places = [self.noise.uniform(size=(len(of_one), len(self.keypoint_set), 2)) for of_one in boxes]
        return [
            Poses(
                (of_one[:, None, :2] + place * (of_one[:, None, 2:] - of_one[:, None, :2])).astype(np.float32),
                self.noise.uniform(0, 0.1, place.shape[:2]).astype(np.float32),
            )
            for of_one, place in zip(boxes, places, strict=True)
        ]


def show_economy(stages: Pipeline, video: Path, interval: int) -> None:
    """Print at how many frames the detector looks where the points that carry the boxes mean nothing."""
    guessing = Pipeline(stages.detector, Guesses(stages.pose))
    for name, live in (("a file", False), ("a live source", True)):
        with VideoSource(video) as source:
            results, looks = watched(guessing, iter(source), TrackingOptions(interval, smooth="off"), live)
        row(
            f"  points at random, every {interval}. frame of {name}",
            f"the detector looked at {looks} of {len(results)} frames",
        )


def faces(stages: Pipeline, data: Path) -> tuple[Cutout, Cutout]:
    """Cut the faces out of two images of ``shared/data``."""
    images = [cv2.imread(str(data / "mmpose" / "tests" / "data" / name)) for name in FACES]
    first, second = (head(image, stages.detector(image).xyxy[0], 220) for image in images)
    return first, second


def bodies(data: Path) -> tuple[Cutout, Cutout]:
    """Cut two people who stand upright out of the COCO images of ``shared/data``."""
    notes = json.loads((data / "people" / "coco90.json").read_text())
    files = {image["id"]: Path(image["file_name"]).name for image in notes["images"]}
    cuts = []
    for number in BODIES:
        note = next(a for a in notes["annotations"] if a["id"] == number)
        cuts.append(body(cv2.imread(str(data / "people" / "coco90" / files[note["image_id"]])), note, 460))
    return cuts[0], cuts[1]


def with_points(boxes: Boxes, frame: Frame, points: np.ndarray | None = None) -> Result:
    """Return boxes with their points ``[N, 17, 2]``; where these are None, nobody knows them."""
    height, width = frame.image.shape[:2]
    where = np.full((len(boxes), 17, 2), np.nan) if points is None else points
    scores = np.full((len(boxes), 17), 0.0 if points is None else 0.8, np.float32)
    return Result(boxes, Poses(where.astype(np.float32), scores), "coco-17", (width, height), timestamp=frame.timestamp)


def posed(detector: pipeline.Detector, people: tuple[Cutout, Cutout], step: Crossing) -> Result:
    """Return the detector's boxes, each with the points of the one whom it shows most of."""
    boxes, noise = detector(step.frame.image), np.random.default_rng(step.frame.index)
    half = np.array([p.image.shape[1::-1] for p in people]) / 2
    shown = iou(boxes.xyxy.astype(np.float64), np.concatenate([step.centers - half, step.centers + half], axis=1))
    who = (shown * (1 - np.array(step.hidden))).argmax(axis=1)
    points = np.array([people[k].points + step.centers[k] for k in who]).reshape(-1, 17, 2)
    return with_points(boxes, step.frame, points + noise.normal(0, 2, points.shape))


def show_crossing(
    name: str, find: Callable[[Crossing], Result], keypoint_set: str, people: tuple[Cutout, Cutout]
) -> None:
    """Print what becomes of the numbers of two who cross."""
    wall = np.full((720, 1280, 3), (150, 160, 165), np.uint8)
    for front, offset in ((0, 0.0), (1, 0.0), (0, 0.5), (1, 0.5)):
        steps = list(crossing(people, wall, front=front, offset=offset))
        tracker = Tracker(keypoint_set, smoothing=None)
        told = follow_crossing(steps, [tracker.update(find(step)) for step in steps])
        row(
            f"two {name} cross, the {('first', 'second')[front]} in front, {offset:.1f} heights apart",
            " and ".join("#" + ", #".join(map(str, n)) for n in told.numbers)
            + f", {told.switches} switches while nobody is hidden; in {told.hidden} frames one is, "
            f"and in {told.unseen} of them not found" + ("" if told.kept else "; the NUMBERS CHANGED meanwhile"),
        )


def show_bodies(shared: Path, video: Path) -> None:
    """Print identities by the boxes of a person detector, and two bodies who cross."""
    config = "demo/mmdetection_cfg/rtmdet_nano_320-8xb32_coco-person.py"
    weights = shared / "models" / "rtmdet_nano_coco-person.pth"
    try:
        detector = loading.open_detector(config, weights, bbox_thr=0.3, nms_thr=0.3, labels=[0])
    except LimnerError as error:
        row("bodies", f"not measured: {error}")
        return
    tracker = Tracker("coco-17", smoothing=None)
    with VideoSource(video) as source:
        found = [tracker.update(with_points(detector(frame.image), frame)) for frame in source]
    show_identities("identities by person boxes alone", found)
    people = bodies(shared / "data")
    show_crossing("bodies", lambda step: posed(detector, people, step), "coco-17", people)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder with data and models")
    parser.add_argument("--video", type=Path, help="with faces; left out, the group clip of --shared")
    parser.add_argument("--interval", type=int, default=5, help="frames from detection to detection")
    args = parser.parse_args()
    data = args.shared / "data"
    video = args.video or data / "video" / "group_720p.mp4"
    stages = loading.load("face-lite")
    show_still(stages, show_video(stages, video, args.interval))
    if not data.is_dir():
        row("two people who cross", f"not measured: there is no folder '{data}'")
        return
    show_crossing("faces", lambda step: stages.one(step.frame), "300w-68", faces(stages, data))
    show_bodies(args.shared, video)


if __name__ == "__main__":
    main()
