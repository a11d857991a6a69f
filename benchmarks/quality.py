"""Measure the quality of the bundled models on annotated faces, and test the RTMDet code with a real checkpoint.

    python benchmarks/quality.py --shared ../shared
    python benchmarks/quality.py --shared ../shared --int8

NME is the mean error of the 68 keypoints relative to the distance between the outer eye corners
(indices 36 and 45). The instance that overlaps the annotated face most is measured; a face
without one (IoU under 0.3) counts as not detected.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "training"))

from faces import annotated, face_box, is_validation, overlap  # noqa: E402
from false_alarm_regions import load_regions  # noqa: E402
from limner import bundled, loading  # noqa: E402
from limner.pipeline import Pipeline  # noqa: E402
from limner.runtimes.engines import open_file  # noqa: E402


@dataclass(frozen=True)
class Quality:
    """Errors on one set: NME of each detected face in percent, and the number of faces."""

    nme: np.ndarray
    faces: int

    @property
    def mean(self) -> float:
        return float(self.nme.mean())

    @property
    def failures(self) -> float:
        """Share of faces, in percent, that were not detected or have an NME over 8 %."""
        return 100 * (self.faces - int((self.nme <= 8).sum())) / self.faces

    @property
    def detected(self) -> float:
        return 100 * len(self.nme) / self.faces

    def __str__(self) -> str:
        return (
            f"NME {self.mean:.2f} % (median {np.median(self.nme):.2f}), failures {self.failures:.1f} %, "
            f"detected {self.detected:.1f} % of {self.faces}"
        )


def landmarks(pipeline: Pipeline, items: list[tuple[Path, np.ndarray]]) -> Quality:
    """Run the pipeline on annotated images."""
    errors = []
    for path, truth in items:
        result = pipeline(cv2.imread(str(path)))
        if not len(result):
            continue
        iou = overlap(result.boxes.xyxy, face_box(truth)[None])[:, 0]
        best = int(iou.argmax())
        if iou[best] < 0.3:
            continue
        distance = np.linalg.norm(result.poses.keypoints[best] - truth, axis=1).mean()
        errors.append(100 * distance / np.linalg.norm(truth[36] - truth[45]))
    return Quality(np.asarray(errors), len(items))


def with_networks(name: str, *, int8: bool) -> Pipeline:
    """Return a bundled model with its float32 networks, or with the int8 ones where it has them, on the CPU."""
    pipeline = loading.load(name, device="cpu")
    detector, pose = map(open_file, bundled.find(name).networks(int8=int8))
    pipeline.detector.runtime, pipeline.pose.runtime = detector, pose
    return pipeline


def false_alarms(pipeline: Pipeline, data: Path) -> tuple[int, int]:
    """Return (boxes found, regions) on the regions without faces."""
    counts = [len(pipeline.detector(image)) for _, image in load_regions(data)]
    return sum(counts), len(counts)


def compare_int8(pipeline: Pipeline, small: Pipeline, items: list[tuple[Path, np.ndarray]]) -> str:
    """Compare the int8 networks with the float32 ones on annotated images; return one line."""
    before, after = landmarks(pipeline, items), landmarks(small, items)
    overlaps, lost, extra = [], 0, 0
    for path, _ in items:
        image = cv2.imread(str(path))
        one, two = pipeline.detector(image).xyxy, small.detector(image).xyxy
        iou = overlap(one, two).max(axis=1, initial=0) if len(one) else np.zeros(0)
        overlaps += iou[iou > 0.5].tolist()
        lost += int((iou <= 0.5).sum())
        extra += max(len(two) - int((iou > 0.5).sum()), 0)
    change = 100 * (after.mean / before.mean - 1)
    boxes = f"boxes: {lost} lost, {extra} more, mean IoU {np.mean(overlaps):.4f}"
    return f"{after}; NME {change:+.2f} % of float32's; {boxes}"


def real_detector(shared: Path) -> tuple[int, int, float, float]:
    """Compare the real RTMDet-nano with MMDetection's boxes of score >= 0.3.

    Returns:
        Matched boxes, expected boxes, lowest IoU, largest score difference.
    """
    expected = json.loads((shared / "parity" / "real-rtmdet-nano-person.expected.json").read_text())
    weights = shared / "models" / "rtmdet_nano_coco-person.pth"
    detector = loading.open_detector(expected["config"], weights)
    matched, expected_count, worst_iou, worst_score = 0, 0, 1.0, 0.0
    for name, truth in expected["images"].items():
        boxes = detector(cv2.imread(str(shared / "data" / "mmpose" / name)))
        scores = np.asarray(truth["scores"])
        strong = scores >= 0.3
        for box, score in zip(np.asarray(truth["bboxes"])[strong], scores[strong], strict=True):
            iou = overlap(boxes.xyxy, box[None])[:, 0]
            best = int(iou.argmax())
            score_error = abs(float(boxes.scores[best]) - float(score))
            worst_iou, worst_score = min(worst_iou, float(iou[best])), max(worst_score, score_error)
            matched += int(iou[best] >= 0.99 and score_error <= 0.005)
            expected_count += 1
        extra = int((boxes.scores >= 0.305).sum()) - int(strong.sum())
        expected_count += max(extra, 0)
    return matched, expected_count, worst_iou, worst_score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--model", default="face-lite")
    parser.add_argument("--int8", action="store_true", help="measure the int8 networks too")
    args = parser.parse_args()
    data = args.shared / "data"
    pipeline = with_networks(args.model, int8=False)
    youtube = [(data / f, p) for _, f, p in annotated(data, "youtube_test")]
    held_out = [(data / f, p) for i, f, p in annotated(data, "lfpw_train") if is_validation("lfpw_train", i)]
    print(f"youtube_test:          {landmarks(pipeline, youtube)}")
    print(f"LFPW, held-out split:  {landmarks(pipeline, held_out)}")
    if args.int8:
        small = with_networks(args.model, int8=True)
        print(f"int8, youtube_test:    {compare_int8(pipeline, small, youtube)}")
        print(f"int8, LFPW held-out:   {compare_int8(pipeline, small, held_out)}")
        print("int8, false alarms:    {} on {} regions without faces".format(*false_alarms(small, data)))
    alarms, regions = false_alarms(pipeline, data)
    print(f"false alarms:          {alarms} on {regions} regions without faces")
    matched, expected_count, iou, score = real_detector(args.shared)
    boxes = f"{matched} of {expected_count} boxes"
    print(f"real RTMDet-nano:      {boxes}; lowest IoU {iou:.4f}, largest score error {score:.5f}")


if __name__ == "__main__":
    main()
