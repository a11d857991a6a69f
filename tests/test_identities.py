"""A real film of a group: faces keep their numbers, and carried boxes give the same points as the detector's."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from limner import loading
from limner.tracking.matching import best_pairs, iou, sizes
from limner.types import Frame, Result
from limner.video.options import TrackingOptions
from limner.video.pipeline import VideoEstimator
from limner.video.reader import VideoSource

FRAMES = 120


@pytest.fixture(scope="module")
def frames(shared: Path) -> list[Frame]:
    with VideoSource(shared / "data" / "video" / "group_720p.mp4") as source:
        return list(itertools.islice(source, FRAMES))


@pytest.fixture(scope="module")
def every(frames: list[Frame]) -> list[Result]:
    watcher = VideoEstimator(loading.load("face-lite"), TrackingOptions(), fps=25)
    return [result for _, result in watcher.run(frames)]


def same_people(a: Result, b: Result, least: float) -> list[tuple[int, int]]:
    overlap = iou(a.boxes.xyxy.astype(np.float64), b.boxes.xyxy.astype(np.float64))
    return best_pairs(np.where(overlap > least, overlap, 0))


def test_whoever_stays_in_view_keeps_the_number(every: list[Result]) -> None:
    kept = 0
    for before, now in itertools.pairwise(every):
        for i, j in same_people(before, now, 0.5):
            numbers = before.track_ids[i], now.track_ids[j]
            if min(numbers) > 0:
                assert numbers[0] == numbers[1], f"frame {now.index}"
                kept += 1
    assert kept > 2 * FRAMES
    assert len({n for result in every for n in result.track_ids.tolist() if n > 0}) <= 6, "there are six people"


def test_nobody_has_a_number_twice_in_a_frame(every: list[Result]) -> None:
    for result in every:
        numbers = [n for n in result.track_ids.tolist() if n > 0]
        assert len(numbers) == len(set(numbers))


def test_between_two_runs_of_the_detector_the_points_stay_the_same(frames: list[Frame], every: list[Result]) -> None:
    watcher = VideoEstimator(loading.load("face-lite"), TrackingOptions(det_interval=5), fps=25)
    apart = []
    for (_, carried), detected in zip(watcher.run(frames), every, strict=True):
        for i, j in same_people(carried, detected, 0.3):
            moved = np.linalg.norm(carried.keypoints[i] - detected.keypoints[j], axis=1).mean()
            apart.append(moved / sizes(detected.boxes.xyxy[j].astype(np.float64)))
    assert len(apart) > 2 * FRAMES
    assert np.mean(apart) <= 0.012  # 1 % over the whole film, see benchmarks/tracking.py
