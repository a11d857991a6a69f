"""Stages alone and several images at once."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from limner import loading
from limner.pipeline import DETECTOR_BATCH, Pipeline
from limner.types import Boxes, Frame


@pytest.fixture(scope="module")
def faces() -> Pipeline:
    return loading.load("face-lite")


@pytest.fixture(scope="module")
def images(portrait: np.ndarray) -> list[np.ndarray]:
    """More than a batch, in three shapes."""
    wall = np.full((100, 300, 3), 128, np.uint8)
    views = [
        portrait,
        np.ascontiguousarray(portrait[:400]),
        portrait[:, ::-1].copy(),
        wall,
        cv2.resize(portrait, (200, 200)),
    ]
    return views * 2


def same(a: Boxes, b: Boxes) -> bool:
    near = {"atol": 1e-3}
    return np.allclose(a.xyxy, b.xyxy, atol=0.05) and np.allclose(a.scores, b.scores, **near) and len(a) == len(b)


def test_several_images_share_the_calls_of_the_detector(faces: Pipeline, images: list[np.ndarray]) -> None:
    alone = [faces.detector(image) for image in images]
    calls: list[int] = []
    runtime = faces.detector.runtime

    class Counting:
        device = runtime.device

        def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
            calls.append(len(batch))
            return runtime(batch)

    faces.detector.runtime = Counting()  # type: ignore[assignment]
    try:
        together = faces.detector.many(images)
    finally:
        faces.detector.runtime = runtime
    assert all(same(a, b) for a, b in zip(alone, together, strict=True))
    assert sum(calls) == len(images)
    assert len(calls) < len(images)
    assert max(calls) <= DETECTOR_BATCH
    assert [len(boxes) for boxes in together] == [1, 1, 1, 0, 1] * 2


def test_results_of_several_frames_are_those_of_each(faces: Pipeline, images: list[np.ndarray]) -> None:
    frames = [Frame(image, index=i) for i, image in enumerate(images)]
    for frame, result in zip(frames, faces.many(frames), strict=True):
        alone = faces.one(frame)
        assert result.index == frame.index
        np.testing.assert_allclose(result.keypoints, alone.keypoints, atol=0.1)


def test_no_images_are_no_results(faces: Pipeline) -> None:
    assert faces.detector.many([]) == []
    assert faces.many([]) == []


@pytest.mark.parametrize(
    ("config", "tight", "looked_at"),
    [
        ("demo/mmdetection_cfg/yolox-s_8xb8-300e_coco-face.py", True, (384, 640)),
        ("demo/mmdetection_cfg/yolox-s_8xb8-300e_coco-face.py", False, (640, 640)),
        ("demo/mmdetection_cfg/rtmdet_nano_320-8xb32_coco-person.py", True, (320, 320)),
    ],
)
def test_only_yolox_goes_without_the_padding(config: str, tight: bool, looked_at: tuple[int, int]) -> None:
    pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
    detector = loading.open_detector(config, None, engine=loading.Engine("torch"), tight=tight)
    shapes: list[tuple[int, ...]] = []
    runtime = detector.runtime

    class Watched:
        device = runtime.device

        def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
            shapes.append(batch.shape[1:3])
            return runtime(batch)

    detector.runtime = Watched()  # type: ignore[assignment]
    detector(np.zeros((720, 1280, 3), np.uint8))
    assert shapes == [looked_at]
