"""OpenPose's JSON, read back by the readers of Pose2Sim."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.errors import ArgumentError
from limner.formats.openpose_json import BODIES, OpenPoseWriter, write_openpose_image
from limner.keypoints import load, openpose
from limner.types import Result
from random_results import INFO, keypoint_set, random_result, random_video


def written(folder: Path, results: list[Result], **options: Any) -> list[dict[str, Any]]:
    """Write results and return the content of each file, in order."""
    with OpenPoseWriter(folder, INFO, **options) as writer:
        for result in results:
            writer.write(result)
    return [json.loads(path.read_bytes()) for path in sorted(folder.iterdir())]


@pytest.mark.parametrize(
    ("k", "body", "face", "hand"), [(17, 18, 0, 0), (26, 25, 0, 0), (133, 25, 70, 21), (21, 0, 0, 21), (68, 0, 70, 0)]
)
def test_lists_have_the_lengths_of_openpose(tmp_path: Path, k: int, body: int, face: int, hand: int) -> None:
    result = random_result(np.random.default_rng(k), 1, keypoint_set(k), missing=0)
    (content,) = written(tmp_path / "cam1_json", [result])
    (person,) = content["people"]
    lengths = [len(person[f"{name}_keypoints_2d"]) // 3 for name in ("pose", "face", "hand_left")]
    assert lengths == [body, face, hand]
    assert len(person["hand_right_keypoints_2d"]) == (63 if k == 133 else 0)
    assert person["pose_keypoints_3d"] == []
    if face:
        points = np.array(person["face_keypoints_2d"]).reshape(70, 3)
        first = 23 if k == 133 else 0
        np.testing.assert_allclose(points[:68, :2], result.keypoints[0, first : first + 68], rtol=1e-6)
        assert not points[68:].any()  # no model of ours has pupils


@pytest.mark.parametrize("name", ["coco-17", "halpe-26"])
def test_bodies_are_those_that_are_drawn(tmp_path: Path, name: str) -> None:
    """The neck and other computed points too."""
    result = random_result(np.random.default_rng(1), 1, load(name), missing=0)
    (content,) = written(tmp_path / "cam1_json", [result])
    points = np.array(content["people"][0]["pose_keypoints_2d"]).reshape(-1, 3)
    drawn, scores = openpose.layout(name).convert(result.keypoints, result.scores)
    np.testing.assert_allclose(points[:, :2], drawn[0, : len(points)], rtol=1e-5)
    np.testing.assert_allclose(points[:, 2], scores[0, : len(points)], rtol=1e-5)
    assert len(points) in BODIES


def test_each_frame_has_a_file_and_its_number(tmp_path: Path) -> None:
    """From 0, those without people and those that were left out too; the number is the last one in the name."""
    results = random_video(2, frames=6)
    contents = written(tmp_path / "cam1_json", [results[0][:0], results[2], results[5]])
    assert sorted(p.name for p in (tmp_path / "cam1_json").iterdir()) == [f"cam1_{i:06d}.json" for i in range(6)]
    assert [len(content["people"]) for content in contents] == [0, 0, len(results[2]), 0, 0, len(results[5])]
    assert contents[5]["timestamp"] == 0.2
    assert contents[5]["image_size"] == [640, 480]
    assert contents[5]["weights_sha256"] == "ab" * 32
    assert contents[5]["version"] == 1.3
    ids = [person["person_id"] for person in contents[5]["people"]]
    assert ids == [[track_id] for track_id in results[5].track_ids.tolist()]  # type: ignore[union-attr]


def test_missing_points_are_zeros_and_empty_people_are_left_out(tmp_path: Path) -> None:
    """An empty person would hide the real one behind it, and Pose2Sim fails at a file of zeros alone."""
    result = random_result(np.random.default_rng(0), 3, keypoint_set(17), missing=0)
    result.keypoints[0] = np.nan
    result.keypoints[1, 4] = (np.nan, 5)
    result.keypoints[2, 1] = np.inf
    (content,) = written(tmp_path / "cam1_json", [result], native=True)
    assert [np.flatnonzero(np.array(p["pose_keypoints_2d"][::3]) == 0).tolist() for p in content["people"]] == [
        [4],
        [1],
    ]
    (content,) = written(tmp_path / "cam2_json", [result[0]], native=True)
    assert content["people"] == []


def test_a_shorter_run_leaves_no_frames_of_a_longer_one(tmp_path: Path) -> None:
    folder = tmp_path / "cam1_json"
    written(folder, random_video(1))
    (folder / "notes.txt").write_text("mine")
    with OpenPoseWriter(folder) as writer:
        writer.write(random_video(1)[0])
    assert sorted(path.name for path in folder.iterdir()) == ["cam1_000000.json", "notes.txt"]


def test_an_image_has_one_file(tmp_path: Path) -> None:
    result = replace(random_result(np.random.default_rng(0), 2, keypoint_set(17)), source="photo.jpg")
    write_openpose_image(tmp_path / "photo_keypoints.json", result, INFO)
    assert len(json.loads((tmp_path / "photo_keypoints.json").read_bytes())["people"]) == 2


def test_points_without_a_counterpart_are_an_error(tmp_path: Path) -> None:
    with OpenPoseWriter(tmp_path / "cam1_json") as writer, pytest.raises(ArgumentError, match="'pose2sim'"):
        writer.write(random_result(np.random.default_rng(0), 1, load("wflw-98")))
