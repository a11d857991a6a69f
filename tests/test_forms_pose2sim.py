"""OpenPose's JSON and TRC, read back by the readers of Pose2Sim, which Sports2D uses too."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from limner.errors import ArgumentError
from limner.formats.openpose_json import OpenPoseWriter
from limner.formats.trc import TrcWriter
from random_results import (
    CASES,
    INFO,
    expected,
    first_and_last,
    keypoint_set,
    library,
    random_result,
    random_video,
    same_xy,
    write,
)

common = library("Pose2Sim.common")
association, triangulation, skeletons = (
    library(f"Pose2Sim.{name}") for name in ("personAssociation", "triangulation", "skeletons")
)


@pytest.mark.parametrize("k", [17, 26, 133, 21, 68, 5])
def test_pose2sim_reads_the_points_of_the_model(tmp_path: Path, k: int) -> None:
    """Two cameras, people missing in some frames, all points by the numbers that Pose2Sim's skeletons use."""
    cameras = [random_video(k, k, source="cam1.mp4"), random_video(k + 1, k, source="cam2.mp4")]
    folders = [tmp_path / f"cam{i}_json" for i in (1, 2)]
    for folder, results in zip(folders, cameras, strict=True):
        write(OpenPoseWriter(folder, INFO, native=True), results)
    for frame in range(12):
        # as Pose2Sim's triangulation finds the file of a frame
        paths = []
        for folder in folders:
            names = [p.name for p in folder.iterdir() if int(re.split(r"(\d+)", p.name)[-2]) == frame]
            assert len(names) == 1
            paths.append(folder / names[0])
        x, y, score = triangulation.extract_files_frame_f(paths, list(range(k)))
        for camera, results in enumerate(cameras):
            result = results[frame]
            people = [i for i in range(len(result)) if np.isfinite(result.keypoints[i]).all(axis=1).any()]
            assert len(association.read_json(paths[camera])) == len(people)
            for n, i in enumerate(people):
                there = np.isfinite(result.keypoints[i]).all(axis=1)
                read = np.stack([x[n][camera], y[n][camera], score[n][camera]], axis=1).astype(np.float32)
                wanted = np.concatenate([result.keypoints[i], result.scores[i][:, None]], axis=1)
                np.testing.assert_array_equal(read, np.where(there[:, None], wanted, 0))


def test_pose2sim_takes_the_folders_in_the_order_of_the_cameras(tmp_path: Path) -> None:
    for camera in (10, 2, 1):
        write(OpenPoseWriter(tmp_path / f"cam{camera}_json"), random_video(camera)[:1])
    names = common.sort_stringlist_by_last_number([path.name for path in tmp_path.iterdir()])
    assert names == ["cam1_json", "cam2_json", "cam10_json"]


@pytest.mark.parametrize(("k", "tree"), [(26, "BODY_25"), (133, "BODY_25"), (17, "COCO")])
def test_pose2sim_finds_openpose_joints_by_its_own_numbers(k: int, tree: str, tmp_path: Path) -> None:
    from anytree import PreOrderIter

    result = random_result(np.random.default_rng(k), 1, keypoint_set(k), missing=0)
    write(OpenPoseWriter(tmp_path / "cam1_json"), [result])
    content = json.loads((tmp_path / "cam1_json" / "cam1_000000.json").read_bytes())
    points = np.array(content["people"][0]["pose_keypoints_2d"]).reshape(-1, 3)
    ours = {
        "Nose": "nose",
        "RWrist": "right_wrist",
        "LAnkle": "left_ankle",
        "RBigToe": "right_big_toe",
        "LHeel": "left_heel",
    }
    seen = 0
    for node in PreOrderIter(getattr(skeletons, tree)):
        if node.name in ours and node.id is not None:
            i = result.keypoint_set.names.index(ours[node.name])
            np.testing.assert_allclose(points[node.id, :2], result.keypoints[0, i], rtol=1e-6)
            seen += 1
    assert seen == (5 if tree == "BODY_25" else 3)


@pytest.mark.parametrize(("k", "ids"), CASES)
def test_pose2sim_and_sports2d_read_trc(tmp_path: Path, k: int, ids: bool) -> None:
    results = random_video(k, k, ids=ids)
    write(TrcWriter(tmp_path / "cam1_trc", INFO), results)
    for name, points in expected(results).items():
        first, last = first_and_last(points)
        path = tmp_path / "cam1_trc" / f"cam1_px_{name}.trc"  # Sports2D takes pixels only from a name with _px
        coordinates, frames, times, markers, head = common.read_trc(path)
        assert markers == list(keypoint_set(k).names)
        assert frames.tolist() == list(range(first + 1, last + 2))
        np.testing.assert_allclose(times, np.arange(first, last + 1) / 25, atol=1e-6)
        same_xy(coordinates.to_numpy(np.float64).reshape(-1, k, 3), points[first : last + 1])
        assert head[2].split("\t")[2:4] == [str(last - first + 1), str(k)]
        names, table = common.extract_trc_data(path)
        assert len(names) == k
        same_xy(table[:, 1:].reshape(-1, k, 3), points[first : last + 1])


def test_trc_in_metres_points_upwards(tmp_path: Path) -> None:
    result = random_result(np.random.default_rng(0), 1, keypoint_set(3), missing=0)
    write(TrcWriter(tmp_path / "a_trc", metres_per_pixel=0.01), [result])
    coordinates, *_, head = common.read_trc(tmp_path / "a_trc" / "a_m_instance_0.trc")
    read = coordinates.to_numpy().reshape(3, 3)
    np.testing.assert_allclose(read[:, 0], result.keypoints[0, :, 0] / 100, rtol=1e-5)
    np.testing.assert_allclose(read[:, 1], (479 - result.keypoints[0, :, 1]) / 100, rtol=1e-4)
    assert head[2].split("\t")[4] == "m"
    with pytest.raises(ArgumentError, match="above 0"):
        TrcWriter(tmp_path / "b_trc", metres_per_pixel=0)
