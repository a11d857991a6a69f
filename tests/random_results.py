"""Random results for the tests of forms: NaN, nobody, any K, with and without track ids; their readers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.formats.run_info import RunInfo
from limner.keypoints import KeypointSet, load, numbered
from limner.types import Boxes, Poses, Result

INFO = RunInfo("human", "ab" * 32, "onnxruntime", "float32", "1.2.3")


def keypoint_set(k: int) -> KeypointSet:
    """Return limner's set of K keypoints, or a numbered one."""
    known = {17: "coco-17", 21: "onehand10k-21", 26: "halpe-26", 68: "300w-68", 133: "coco-wholebody-133"}
    return load(known[k]) if k in known else numbered(k)


def random_result(rng: np.random.Generator, n: int, points: KeypointSet, missing: float = 0.2) -> Result:
    """Return a result of N instances, of whose keypoints a part is NaN."""
    k = len(points)
    xy = rng.uniform(0, (639, 479), (n, k, 2)).astype(np.float32)
    xy[rng.random((n, k)) < missing] = np.nan
    scores = rng.uniform(0.001, 1, (n, k)).astype(np.float32)
    corners = rng.uniform(0, (300, 200), (n, 2))
    xyxy = np.concatenate([corners, corners + rng.uniform(20, 300, (n, 2))], axis=1).astype(np.float32)
    boxes = Boxes(xyxy, rng.uniform(0.3, 1, n).astype(np.float32), np.zeros(n, np.int64))
    return Result(boxes, Poses(xy, scores), points, (640, 480))


def random_video(
    seed: int, k: int = 17, frames: int = 12, *, ids: bool = True, source: str = "videos/cam1.mp4", fps: float = 25.0
) -> list[Result]:
    """Return the results of a video of up to three people, with empty frames; people come and go."""
    rng = np.random.default_rng(seed)
    points = keypoint_set(k)
    results = []
    for index in range(frames):
        result = random_result(rng, int(rng.integers(0, 4)), points)
        if index == frames // 2:
            result = result[:0]
        people = rng.permutation([3, 7, 12])[: len(result)].astype(np.int64) if ids else None
        results.append(replace(result, source=source, index=index, timestamp=round(index / fps, 6), track_ids=people))
    return results


def expected(results: Sequence[Result]) -> dict[str, np.ndarray]:
    """Return x, y, score of each person in each frame, float32 [frames, K, 3], NaN where it is not there."""
    k = len(results[0].keypoint_set)
    people: dict[str, np.ndarray] = {}
    for row, result in enumerate(results):
        for i in range(len(result)):
            name = f"instance_{i}" if result.track_ids is None else f"id_{result.track_ids[i]}"
            table = people.setdefault(name, np.full((len(results), k, 3), np.nan, np.float32))
            table[row, :, :2], table[row, :, 2] = result.keypoints[i], result.scores[i]
    return people


def library(name: str) -> Any:
    """Import a library that warns about its own dependencies; without it the whole file is skipped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"needs {name.split('.')[0]}: make check-forms")


def write(writer: Any, results: Sequence[Result]) -> None:
    with writer:
        for result in results:
            writer.write(result)


def first_and_last(points: np.ndarray) -> tuple[int, int]:
    """Return the first and the last frame of a person, float32 [frames, K, 3]."""
    there = np.flatnonzero(np.isfinite(points).any(axis=(1, 2)))
    return int(there[0]), int(there[-1])


def same_xy(read: np.ndarray, points: np.ndarray) -> None:
    """Compare the x, y, z [frames, K, 3] that a reader of TRC returns with points x, y, score."""
    missing = ~np.isfinite(points[..., :2]).all(axis=2)
    assert np.isnan(read[missing]).all()
    np.testing.assert_allclose(read[~missing][:, :2], points[~missing][:, :2], rtol=1e-6)
    assert not read[~missing][:, 2].any()


# keypoints, and whether people are tracked
CASES = [(17, True), (133, True), (21, False), (68, False), (3, True)]


def nwb_files(folder: Path, results: Sequence[Result], **options: Any) -> dict[str, Path]:
    """Write results as NWB; return the file of each person."""
    from limner.formats.nwb import NwbWriter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write(NwbWriter(folder, INFO, **options), results)
    return {path.stem.removeprefix("cam1_"): path for path in folder.iterdir()}
