"""The part of the comparison that runs rtmlib, in rtmlib's own environment, where limner is not installed.

    python rtmlib_peer.py CLIP RECORD DETECTOR.onnx POSE.onnx INTERVAL POINTS TARGET

For each line on standard input, "tracking" or "no tracking", the clip goes through rtmlib's PoseTracker once, is drawn
and written; a line of JSON on standard output reports the time and what each network was given. The networks' results
are replaced as in `recorded_results`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import recorded_results

KPT_THR = 0.3  # as in limner and MMPose


class Recorded:
    """A network of rtmlib that is run in full, and whose results are replaced.

    Args:
        network: rtmlib's detector or pose estimator.
        frames: the recorded results.
    """

    def __init__(self, network: Any, frames: Sequence[recorded_results.RecordedFrame]) -> None:
        self.network, self.frames = network, frames
        self.frame = 0  # index of the current frame
        self.images = 0  # number of inputs of the network

    def __getattr__(self, name: str) -> Any:
        return getattr(self.network, name)


class RecordedBoxes(Recorded):
    """A detector whose boxes are replaced."""

    def __call__(self, image: np.ndarray) -> np.ndarray:
        self.images += 1
        self.network(image)
        return self.frames[self.frame].detected


class RecordedPoses(Recorded):
    """A pose estimator whose keypoints are replaced if ``recorded``."""

    recorded = True

    def __call__(self, image: np.ndarray, bboxes: Any = ()) -> tuple[np.ndarray, np.ndarray]:
        self.images += max(1, len(bboxes))  # without boxes it takes the whole image
        points, scores = self.network(image, bboxes=bboxes)
        if not self.recorded:
            return points, scores
        return self.frames[self.frame].substitute(np.asarray(bboxes), points, scores)


def play(tracker: Any, clip: str, target: str) -> int:
    """Run a clip, draw and write it; return the number of frames."""
    from rtmlib import draw_skeleton

    video, writer, count = cv2.VideoCapture(clip), None, 0
    while True:
        success, image = video.read()
        if not success:
            break
        tracker.det_model.frame = tracker.pose_model.frame = count
        points, scores = tracker(image)
        drawn = draw_skeleton(image.copy(), points, scores, kpt_thr=KPT_THR)
        if writer is None:
            size = (image.shape[1], image.shape[0])
            writer = cv2.VideoWriter(target, cv2.VideoWriter.fourcc(*"mp4v"), video.get(cv2.CAP_PROP_FPS), size)
        writer.write(drawn)
        count += 1
    video.release()
    if writer is not None:
        writer.release()
    return count


def measure(tracker: Any, clip: str, target: str) -> dict[str, float]:
    """Play a clip from a fresh start; return the seconds, the frames, and the inputs of each network."""
    tracker.reset()
    tracker.det_model.images = tracker.pose_model.images = 0
    start = time.perf_counter()
    count = play(tracker, clip, target)
    return {
        "seconds": time.perf_counter() - start,
        "frames": count,
        "detector": tracker.det_model.images,
        "crops": tracker.pose_model.images,
    }


def main() -> None:
    clip, recorded, detector, pose, interval, points, target = sys.argv[1:]
    with redirect_stdout(sys.stderr):  # rtmlib prints what it loads
        import rtmlib

        solution = partial(rtmlib.Custom, det_class="YOLOX", det=detector, pose_class="RTMPose", pose=pose)
        tracker = rtmlib.PoseTracker(solution, det_frequency=int(interval), backend="onnxruntime", device="cpu")
    frames = recorded_results.load(Path(recorded))
    tracker.det_model, tracker.pose_model = (
        RecordedBoxes(tracker.det_model, frames),
        RecordedPoses(tracker.pose_model, frames),
    )
    tracker.pose_model.recorded = points == "recorded"
    for line in sys.stdin:
        tracker.tracking = line.strip() == "tracking"
        print(json.dumps(measure(tracker, clip, target)), flush=True)


if __name__ == "__main__":
    main()
