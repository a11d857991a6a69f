"""Somebody has a group picture of 160 faces: all are found, each once. And the benchmark that counts them is right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from limner import loading
from limner.detection import DetectorOptions
from limner.pipeline import Pipeline

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


@pytest.fixture(scope="module")
def faces() -> Pipeline:
    return loading.load("face-lite", device="cpu")


@pytest.mark.parametrize("scene", ["160 faces", "160 faces, upright", "few of all sizes"])
def test_all_faces_are_found_once(faces: Pipeline, shared: Path, scene: str) -> None:
    import crowd

    known, messages = crowd.held_out_faces(shared / "data"), list[str]()
    wanted = next(kind for kind in crowd.SCENES if kind.name == scene)
    image, truth = crowd.group_picture(known, wanted, 7)
    assert len(truth) == wanted.faces
    found = faces.with_detector_options(DetectorOptions(tile="auto"), messages.append)(image)
    counted = crowd.count(found.boxes.xyxy, truth)
    assert counted.found >= 0.98 * len(truth)
    assert counted.doubles + counted.false <= 1
    assert np.isfinite(found.keypoints).all()
    assert len(messages) == 1
    assert f"{wanted.size[0]}x{wanted.size[1]} pixels" in messages[0]
    assert crowd.count(faces.detector(image).xyxy, truth).found < counted.found


def test_faces_doubles_and_false_boxes_are_told_apart() -> None:
    import crowd

    truth = np.array([[100, 100, 160, 180], [400, 100, 460, 180]], float)
    near, apart = truth + 5, np.array([[700, 700, 760, 780]])
    assert crowd.count(truth, truth) == crowd.Count(2, 0, 0)
    assert crowd.count(np.concatenate([truth, near[:1], apart]), truth) == crowd.Count(2, 1, 1)
    assert crowd.count(np.add(truth[:1], (15, 0, 15, 0)), truth) == crowd.Count(1, 0, 0)
    assert crowd.count(np.zeros((0, 4)), truth) == crowd.Count(0, 0, 0)
    smaller = np.array([[110, 110, 140, 150]])  # on the face, but another size
    assert crowd.count(smaller, truth) == crowd.Count(0, 0, 0)
    assert crowd.count(np.concatenate([truth, smaller]), truth) == crowd.Count(2, 1, 0)
