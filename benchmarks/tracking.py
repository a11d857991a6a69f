"""Measure tracking: switches of track ids, jitter and lag of keypoints, and the error of predicted boxes.

    python benchmarks/tracking.py --video ../shared/data/video/group_720p.mp4 --interval 5

Faces are measured with the bundled model. Bodies need the person detector of ``--shared`` and torch; as ``--shared``
has no weights of a body model, annotated poses with noise are used. The same command gives the same results.
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

from crossing import Crossing, Cutout, cross, crossing_outcome, cut_face, cut_person
from limner import keypoints, loading
from limner.errors import LimnerError
from limner.pipeline import Detector, Pipeline, PoseEstimator
from limner.tracking import OneEuro, Tracker, smooth
from limner.tracking.matching import best_pairs, iou, sizes
from limner.types import Boxes, Frame, Poses, Result
from limner.video.options import TrackingOptions
from limner.video.pipeline import VideoEstimator
from limner.video.reader import VideoSource

ROOT = Path(__file__).resolve().parents[1]
MIN_IOU_OF_CHAIN = 0.5  # from one frame to the next, for a chain to continue
MIN_IOU_OF_MATCH = 0.3  # above which instances of two runs are the same person
FACES = ("300w/indoor_029.png", "lapa/10773046825_0.jpg")
COCO = keypoints.load("coco-17")
BODIES = (219454, 204343)  # ids of COCO's annotations


class CountingDetector(Detector):
    """A detector that counts its input images."""

    def __init__(self, detector: Detector) -> None:
        super().__init__(
            detector.runtime,
            detector.spec,
            bbox_thr=detector.bbox_thr,
            nms_thr=detector.nms_thr,
            labels=detector.labels,
        )
        self.detections = 0

    def many(self, images: Sequence[np.ndarray], *, still: bool = False) -> list[Boxes]:
        self.detections += len(images)
        return super().many(images, still=still)


def run_tracked(
    pipeline: Pipeline, frames: Iterator[Frame], tracking: TrackingOptions, live: bool
) -> tuple[list[Result], int]:
    """Return the results of the frames, and the number of frames on which the detector ran."""
    detector = CountingDetector(pipeline.detector)
    estimator = VideoEstimator(Pipeline(detector, pipeline.pose), tracking, live=live, fps=25)
    return [result for _, result in estimator.run(frames)], detector.detections


# -- jitter and lag -------------------------------------------------------------------------------------------


def with_noise(image: np.ndarray, count: int, sigma: float = 5.0) -> list[np.ndarray]:
    """Return the same image ``count`` times, each with different noise on its pixels."""
    noise = np.random.default_rng(0)
    return [np.clip(image + noise.normal(0, sigma, image.shape), 0, 255).astype(np.uint8) for _ in range(count)]


def keypoints_by_track(results: Sequence[Result]) -> dict[int, dict[int, np.ndarray]]:
    """Return the keypoints ``[K, 2]`` of each track id in each of its frames."""
    keypoints: dict[int, dict[int, np.ndarray]] = {}
    for f, result in enumerate(results):
        for points, track_id in zip(result.keypoints, result.track_ids.tolist(), strict=True):
            if track_id > 0:
                keypoints.setdefault(track_id, {})[f] = points.astype(np.float64)
    return keypoints


def jitter(pipeline: Pipeline, image: np.ndarray, fps: float, count: int = 90) -> tuple[float, float, float]:
    """Return the jitter of the keypoints of a still image in pixels: unsmoothed, with One-Euro, and with `smooth`.

    It is the standard deviation, averaged over the keypoints of all people who are found in nine of ten frames.
    """
    results = [pipeline.one(Frame(p, "still", i, i / fps)) for i, p in enumerate(with_noise(image, count))]
    plain, filtered = Tracker(pipeline.keypoint_set, smoothing=None), Tracker(pipeline.keypoint_set)
    tracked = [plain.update(r) for r in results]
    runs = [keypoints_by_track(r) for r in (tracked, [filtered.update(r) for r in results], smooth(tracked, fps))]
    seen = {track_id: list(where) for track_id, where in runs[0].items() if len(where) >= 0.9 * count}
    deviations = [
        [np.sqrt(np.var([run[track_id][f] for f in frames], axis=0).sum(axis=-1)).mean() for run in runs]
        for track_id, frames in seen.items()
    ]
    unsmoothed, one_euro, smoothed = np.mean(deviations, axis=0).tolist()
    return unsmoothed, one_euro, smoothed


def lag(fps: float, speed: float, seconds: float = 3.0) -> tuple[float, float]:
    """Return the greatest lag of One-Euro behind a steady motion in frames: from the first frame on, and later.

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


# -- track ids -------------------------------------------------------------------------------------------------


def chains(results: Sequence[Result]) -> list[list[tuple[int, int]]]:
    """Return chains of instances, as (frame, row), that are linked from frame to frame by IoU alone."""
    finished: list[list[tuple[int, int]]] = []
    open_: dict[int, list[tuple[int, int]]] = {}
    for f, result in enumerate(results):
        follows: dict[int, list[tuple[int, int]]] = {}
        if open_ and len(result):
            previous = results[f - 1].boxes.xyxy[list(open_)].astype(np.float64)
            overlap = iou(previous, result.boxes.xyxy.astype(np.float64))
            links = best_pairs(np.where(overlap > MIN_IOU_OF_CHAIN, overlap, 0))
            follows = {row: list(open_.values())[i] for i, row in links}
        finished += [chain for chain in open_.values() if not any(chain is c for c in follows.values())]
        open_ = {row: follows.get(row, []) for row in range(len(result))}
        for row, chain in open_.items():
            chain.append((f, row))
    return finished + list(open_.values())


def switches(results: Sequence[Result]) -> int:
    """Return how often the track id changes within the chains."""
    count = 0
    for chain in chains(results):
        ids = [n for n in (int(results[f].track_ids[row]) for f, row in chain) if n > 0]
        count += sum(a != b for a, b in itertools.pairwise(ids))
    return count


# -- predicted boxes -------------------------------------------------------------------------------------------


def keypoint_distances(result: Result, other: Result) -> list[float]:
    """Return the mean keypoint distances of matched people, in percent of the size of ``other``'s box."""
    a, b = (r.boxes.xyxy.astype(np.float64) for r in (result, other))
    if not len(a) or not len(b):
        return []
    overlap = iou(a, b)
    return [
        100 * float(np.linalg.norm(result.keypoints[i] - other.keypoints[j], axis=1).mean() / sizes(b[j]))
        for i, j in best_pairs(np.where(overlap > MIN_IOU_OF_MATCH, overlap, 0))
    ]


def with_shifted_boxes(pipeline: Pipeline, frame: Frame, result: Result, share: float = 0.01) -> Result:
    """Estimate again in boxes shifted by a share of their size: shows the sensitivity of the pose network alone."""
    step = share * np.sqrt(0.5) * sizes(result.boxes.xyxy.astype(np.float64))[:, None]
    boxes = replace(result.boxes, xyxy=(result.boxes.xyxy + np.tile(step, 4)).astype(np.float32))
    return replace(result, poses=pipeline.pose(frame.image, boxes.xyxy))


# -- the table -------------------------------------------------------------------------------------------------


def print_row(name: str, *values: str) -> None:
    """Print one line of the table."""
    print(f"{name:<64}" + "  ".join(values))


def percent(part: float, whole: float) -> str:
    return f"{100 * (1 - part / whole):.0f} % less"


def show_still(pipeline: Pipeline, image: np.ndarray) -> None:
    """Print the jitter of keypoints in a still image with and without smoothing, and the lag behind a motion."""
    for fps in (15, 30, 60):
        unsmoothed, one_euro, smoothed = jitter(pipeline, image, fps)
        print_row(
            f"one frame with different noise each time, {fps} fps: jitter",
            f"{unsmoothed:.2f} px; One-Euro {one_euro:.2f} px ({percent(one_euro, unsmoothed)}); "
            f"smooth {smoothed:.2f} px ({percent(smoothed, unsmoothed)})",
        )
    for fps in (15, 30, 60):
        first, later = np.max([lag(fps, speed) for speed in (0.3, 0.6, 1.5, 3.0)], axis=0)
        print_row(
            f"One-Euro behind a steady motion of 0.3 to 3 sizes/s, {fps} fps",
            f"{later:.2f} frames at most, {first:.2f} in the first fifth of a second",
        )


def show_track_ids(name: str, results: Sequence[Result]) -> None:
    """Print the track ids, how often one changes, and in how many frames each is found."""
    frames_of_id: dict[int, int] = {}
    for track_id in (n for r in results for n in r.track_ids.tolist() if n > 0):
        frames_of_id[track_id] = frames_of_id.get(track_id, 0) + 1
    print_row(name, f"{len(frames_of_id)} track ids, {switches(results)} switches in {len(results)} frames")
    print_row("  frames of each track id", ", ".join(f"#{n} {c}" for n, c in sorted(frames_of_id.items())))


def show_video(pipeline: Pipeline, video: Path, interval: int) -> np.ndarray:
    """Print track ids and the error of predicted boxes; return the last of the frames with most people."""
    plain = Tracker(pipeline.keypoint_set, smoothing=None)
    reference: list[Result] = []
    shifted: list[float] = []
    image = np.zeros((0, 0, 3), np.uint8)
    with VideoSource(video) as source:
        for frame in source:
            result = pipeline.one(frame)
            if len(result) >= max((len(r) for r in reference), default=0):
                image = frame.image
            reference.append(plain.update(result))
            shifted += keypoint_distances(with_shifted_boxes(pipeline, frame, result), result)
    show_track_ids("track ids, detector on every frame", reference)
    for name, live in (("a file", False), ("a live source", True)):
        with VideoSource(video) as source:
            predicted, detections = run_tracked(pipeline, iter(source), TrackingOptions(interval, smooth="off"), live)
        show_track_ids(f"track ids, detector on every {interval}th frame of {name}", predicted)
        differences = np.array(
            [d for one, other in zip(predicted, reference, strict=True) for d in keypoint_distances(one, other)]
        )
        median, p95 = np.percentile(differences, [50, 95])
        print_row(
            "  keypoints against detection at every frame",
            f"{differences.mean():.2f} % of the box's size, median {median:.2f} %, 95 % below {p95:.1f} %",
        )
        print_row(
            "  the detector ran",
            f"on {detections} of {len(reference)} frames, {-(-len(reference) // interval)} is the minimum",
        )
    print_row("for comparison: every frame, boxes shifted by 1 % of the size", f"{np.mean(shifted):.2f} %")
    show_detections_without_keypoints(pipeline, video, interval)
    return image


class RandomKeypoints(PoseEstimator):
    """A pose estimator with random keypoints anywhere in the box, as of an untrained network."""

    def __init__(self, pose: PoseEstimator) -> None:
        super().__init__(pose.runtime, pose.spec, pose.keypoint_set)
        self.noise = np.random.default_rng(0)

    def many(self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray], **more: Any) -> list[Poses]:
        positions = [self.noise.uniform(size=(len(of_one), len(self.keypoint_set), 2)) for of_one in boxes]
        return [
            Poses(
                (of_one[:, None, :2] + place * (of_one[:, None, 2:] - of_one[:, None, :2])).astype(np.float32),
                self.noise.uniform(0, 0.1, place.shape[:2]).astype(np.float32),
            )
            for of_one, place in zip(boxes, positions, strict=True)
        ]


def show_detections_without_keypoints(pipeline: Pipeline, video: Path, interval: int) -> None:
    """Print on how many frames the detector runs where the keypoints that predict the boxes are random."""
    random_pipeline = Pipeline(pipeline.detector, RandomKeypoints(pipeline.pose))
    for name, live in (("a file", False), ("a live source", True)):
        with VideoSource(video) as source:
            results, detections = run_tracked(
                random_pipeline, iter(source), TrackingOptions(interval, smooth="off"), live
            )
        print_row(
            f"  random keypoints, every {interval}th frame of {name}",
            f"the detector ran on {detections} of {len(results)} frames",
        )


def faces(pipeline: Pipeline, data: Path) -> tuple[Cutout, Cutout]:
    """Cut the faces out of two images of ``shared/data``."""
    images = [cv2.imread(str(data / "mmpose" / "tests" / "data" / name)) for name in FACES]
    first, second = (cut_face(image, pipeline.detector(image).xyxy[0], 220) for image in images)
    return first, second


def bodies(data: Path) -> tuple[Cutout, Cutout]:
    """Cut two people who stand upright out of the COCO images of ``shared/data``."""
    notes = json.loads((data / "people" / "coco90.json").read_text())
    files = {image["id"]: Path(image["file_name"]).name for image in notes["images"]}
    cuts = []
    for annotation_id in BODIES:
        note = next(a for a in notes["annotations"] if a["id"] == annotation_id)
        cuts.append(cut_person(cv2.imread(str(data / "people" / "coco90" / files[note["image_id"]])), note, 460))
    return cuts[0], cuts[1]


def result_of(boxes: Boxes, frame: Frame, points: np.ndarray | None = None) -> Result:
    """Return a result of boxes with keypoints ``[N, 17, 2]``; None means unknown ones."""
    height, width = frame.image.shape[:2]
    keypoints = np.full((len(boxes), 17, 2), np.nan) if points is None else points
    scores = np.full((len(boxes), 17), 0.0 if points is None else 0.8, np.float32)
    return Result(boxes, Poses(keypoints.astype(np.float32), scores), COCO, (width, height), timestamp=frame.timestamp)


def with_annotated_poses(detector: Detector, people: tuple[Cutout, Cutout], step: Crossing) -> Result:
    """Return the detector's boxes, each with the annotated keypoints of the person who covers most of it."""
    boxes, noise = detector(step.frame.image), np.random.default_rng(step.frame.index)
    half = np.array([p.image.shape[1::-1] for p in people]) / 2
    shown = iou(boxes.xyxy.astype(np.float64), np.concatenate([step.centers - half, step.centers + half], axis=1))
    who = (shown * (1 - np.array(step.hidden))).argmax(axis=1)
    points = np.array([people[k].points + step.centers[k] for k in who]).reshape(-1, 17, 2)
    return result_of(boxes, step.frame, points + noise.normal(0, 2, points.shape))


def show_crossing(
    name: str, find: Callable[[Crossing], Result], keypoint_set: str, people: tuple[Cutout, Cutout]
) -> None:
    """Print what happens to the track ids of two people who cross."""
    background = np.full((720, 1280, 3), (150, 160, 165), np.uint8)
    for front, offset in ((0, 0.0), (1, 0.0), (0, 0.5), (1, 0.5)):
        steps = list(cross(people, background, front=front, offset=offset))
        tracker = Tracker(keypoint_set, smoothing=None)
        outcome = crossing_outcome(steps, [tracker.update(find(step)) for step in steps])
        print_row(
            f"two {name} cross, the {('first', 'second')[front]} in front, {offset:.1f} heights apart",
            " and ".join("#" + ", #".join(map(str, n)) for n in outcome.track_ids_of_both)
            + f", {outcome.switches} switches while nobody is hidden; in {outcome.hidden} frames one is, "
            f"and in {outcome.missed} of them not found"
            + ("" if outcome.kept else "; the TRACK IDS CHANGED meanwhile"),
        )


def show_bodies(shared: Path, video: Path) -> None:
    """Print track ids by the boxes of a person detector, and those of two bodies that cross."""
    config = "demo/mmdetection_cfg/rtmdet_nano_320-8xb32_coco-person.py"
    weights = shared / "models" / "rtmdet_nano_coco-person.pth"
    try:
        detector = loading.open_detector(config, weights, bbox_thr=0.3, nms_thr=0.3, labels=[0])
    except LimnerError as error:
        print_row("bodies", f"not measured: {error}")
        return
    tracker = Tracker("coco-17", smoothing=None)
    with VideoSource(video) as source:
        results = [tracker.update(result_of(detector(frame.image), frame)) for frame in source]
    show_track_ids("track ids by person boxes alone", results)
    people = bodies(shared / "data")
    show_crossing("bodies", lambda step: with_annotated_poses(detector, people, step), "coco-17", people)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder with data and models")
    parser.add_argument("--video", type=Path, help="video with faces (default: the group clip of --shared)")
    parser.add_argument("--interval", type=int, default=5, help="frames from detection to detection")
    args = parser.parse_args()
    data = args.shared / "data"
    video = args.video or data / "video" / "group_720p.mp4"
    pipeline = loading.load("face-lite")
    show_still(pipeline, show_video(pipeline, video, args.interval))
    if not data.is_dir():
        print_row("two people who cross", f"not measured: the folder '{data}' does not exist")
        return
    show_crossing("faces", lambda step: pipeline.one(step.frame), "300w-68", faces(pipeline, data))
    show_bodies(args.shared, video)


if __name__ == "__main__":
    main()
