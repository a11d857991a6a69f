"""Measure `hand-lite` or `human-lite`, bundled or half trained, on annotated images.

    python benchmarks/hand_body.py hand --detector runs/hand-detector/latest.pth --pose runs/hand-pose/latest.pth
    python benchmarks/hand_body.py human --pose runs/human-pose/latest.pth

Without ``--detector`` or ``--pose`` the rows that need it are left out, except for the true boxes of COCO.
Errors of hands are shares of the longer side of the points' box; PCK is the share of points within a tenth of it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "training"))

import hand_crops  # noqa: E402
import human_crops  # noqa: E402
from faces import overlap  # noqa: E402
from hand_tests import best_scores, hands_of_people, regions  # noqa: E402
from hands import annotated_test, hand_box  # noqa: E402
from human_scenes import annotated_images, counted  # noqa: E402
from limner import loading  # noqa: E402
from limner.types import Boxes  # noqa: E402

DETECTORS = {"hand": "limner/rtmdet_hand-lite_320.py", "human": "limner/rtmdet_human-lite_320.py"}
POSES = {"hand": str(hand_crops.CONFIG), "human": str(human_crops.CONFIG)}
THRESHOLDS = (0.3, 0.35, 0.4, 0.45, 0.5)


def boxes(xyxy: np.ndarray, scores: np.ndarray | None = None) -> Boxes:
    """Return given boxes as a detector would."""
    scores = np.ones(len(xyxy), np.float32) if scores is None else scores
    return Boxes(np.asarray(xyxy, np.float32).reshape(-1, 4), scores, np.zeros(len(scores), np.int64))


def reliability(scores: np.ndarray, right: np.ndarray) -> str:
    """Return, for ten steps of the score, the share of points that are right, and how many there are."""
    steps = np.clip((scores * 10).astype(int), 0, 9)
    return "  ".join(f"{s / 10:.1f}: {right[steps == s].mean():.2f} ({(steps == s).sum()})" for s in np.unique(steps))


def hand_points(detector: Any, pose: Any, data: Path, threshold: float) -> None:
    """Measure the points on the annotated test images, in true boxes and in the detector's."""
    rows = [(cv2.imread(str(path)), points) for path, points in annotated_test(data)]
    for name in ("true boxes", "own detector") if detector else ("true boxes",):
        errors, scores, found = [], [], 0
        for image, truth in rows:
            given = boxes(hand_box(truth)[None])
            if name == "own detector":
                every = detector(image)
                iou = overlap(every.xyxy, given.xyxy)[:, 0] if len(every) else np.zeros(0)
                good = np.flatnonzero((every.scores > threshold) & (iou > 0.3))
                if not len(good):
                    continue
                given = boxes(every.xyxy[good[every.scores[good].argmax()]][None])
            found += 1
            poses = pose(image, given.xyxy)
            size = np.ptp(truth, axis=0).max()
            errors.append(np.linalg.norm(poses.keypoints[0] - truth, axis=1) / size)
            scores.append(poses.scores[0])
        error, score = np.asarray(errors), np.asarray(scores)
        print(
            f"test, {name}: found {100 * found / len(rows):.1f} % of {len(rows)}, "
            f"mean error {100 * error.mean():.2f} %, PCK@.05 {(error < 0.05).mean():.3f}, "
            f"@.1 {(error < 0.1).mean():.3f}, @.2 {(error < 0.2).mean():.3f}"
        )
        print(f"  score: share right  {reliability(score, error < 0.1)}")


def hand_boxes(detector: Any, data: Path, more: Path) -> None:
    """Measure the detector: hands of people of 24 px or more, and false alarms."""
    rows = hands_of_people(data, more)
    found = np.array([s for path, truths in rows for s in best_scores(detector(cv2.imread(str(path))), truths)])
    free = regions(data)
    alarms = np.concatenate([detector(image).scores for image in free])
    for t in THRESHOLDS:
        print(
            f"at {t}: {100 * (found > t).mean():.1f} % of {len(found)} hands of people found, "
            f"{int((alarms > t).sum())} false alarms on {len(free)} regions without hands"
        )


def body_points(pose: Any, data: Path) -> None:
    """Measure the points of COCO's people in true boxes."""
    rows = human_crops.annotated_people(data)
    poses = [pose(cv2.imread(str(path)), box[None]) for path, box, _, _ in rows]
    points = np.concatenate([p.keypoints for p in poses])
    oks, right = human_crops.scored(points, rows)
    truth = np.stack([r[2] for r in rows])
    side = np.array([max(r[1][2:] - r[1][:2]) for r in rows])
    near = np.linalg.norm(points - truth[..., :2], axis=2) < 0.1 * side[:, None]
    seen = truth[..., 2] > 0
    print(
        f"COCO, true boxes: {len(rows)} people, OKS {oks.mean():.3f}, > .5 {(oks > 0.5).mean():.3f}, "
        f"> .75 {(oks > 0.75).mean():.3f}, PCK@.2 {right.mean():.3f}"
    )
    print(f"  score: share right  {reliability(np.concatenate([p.scores for p in poses])[seen], near[seen])}")


def body_boxes(detector: Any, data: Path) -> None:
    """Measure the person detector on COCO's images."""
    found, alarms = [], []
    for path, truth, crowd in annotated_images(data):
        one, two = counted(detector(cv2.imread(str(path))), truth, crowd)
        found, alarms = found + one, alarms + two
    for t in THRESHOLDS:
        print(
            f"at {t}: {100 * np.mean(np.array(found) > t):.1f} % of {len(found)} people of 80 px found, "
            f"{int((np.array(alarms) > t).sum())} boxes on nobody annotated"
        )


def body_precision(detector: Any, pose: Any, data: Path) -> None:
    """Print COCO's average precision of keypoints, with boxes from the detector."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    file = data / "people" / "coco90.json"
    results = []
    for image in json.loads(file.read_text())["images"]:
        pixels = cv2.imread(str(data / "people" / "coco90" / image["file_name"]))
        found = detector(pixels)
        keep = found.scores > 0.1
        poses = pose(pixels, found.xyxy[keep])
        for points, scores, box_score in zip(poses.keypoints, poses.scores, found.scores[keep], strict=True):
            rows = np.column_stack([points, scores]).reshape(-1).round(3).tolist()
            sure = scores[scores > 0.2]
            score = float(box_score * (sure.mean() if len(sure) else 0))
            results.append({"image_id": image["id"], "category_id": 1, "keypoints": rows, "score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(file))
        evaluation = COCOeval(truth, truth.loadRes(results), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    print(f"COCO, own detector: AP {evaluation.stats[0]:.3f}, AP50 {evaluation.stats[1]:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=("hand", "human"))
    parser.add_argument("--detector", type=Path, help="its weights, .pth")
    parser.add_argument("--pose", type=Path, help="the pose network's weights, .pth")
    parser.add_argument("--bbox-thr", type=float, default=0.4)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--more", type=Path, default=ROOT.parent / "data" / "raw")
    args = parser.parse_args()
    detector = loading.open_detector(DETECTORS[args.model], args.detector, bbox_thr=0.05) if args.detector else None
    pose = loading.open_pose_estimator(POSES[args.model], args.pose) if args.pose else None
    if args.model == "hand":
        if pose:
            hand_points(detector, pose, args.data, args.bbox_thr)
        if detector:
            hand_boxes(detector, args.data, args.more)
        return
    if pose:
        body_points(pose, args.data)
    if detector:
        body_boxes(detector, args.data)
    if pose and detector:
        body_precision(detector, pose, args.data)


if __name__ == "__main__":
    main()
