"""DeepLabCut's CSV and NWB, read back by movement."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.formats.deeplabcut_csv import DeepLabCutWriter
from random_results import CASES, INFO, expected, first_and_last, keypoint_set, library, nwb_files, random_video, write

io, poses = library("movement.io"), library("movement.io.load_poses")


@pytest.fixture
def load_dataset() -> Any:
    """How movement loads a file: by itself where it can, which its older releases cannot."""

    def load(path: Path) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if hasattr(io, "load_dataset"):
                try:
                    return io.load_dataset(path)
                except TypeError:  # 0.15: source_software must be given
                    pass
            loader = poses.from_nwb_file if path.suffix == ".nwb" else poses.from_dlc_file
            return loader(path)

    return load


@pytest.mark.parametrize(("k", "ids"), CASES)
def test_movement_reads_deeplabcut(tmp_path: Path, load_dataset: Any, k: int, ids: bool) -> None:
    """Without being told what it is; every frame, the empty ones as NaN."""
    results = random_video(k, k, ids=ids)
    write(DeepLabCutWriter(tmp_path / "cam1.csv", INFO), results)
    dataset = load_dataset(tmp_path / "cam1.csv")
    people = expected(results)
    assert dataset.sizes["time"] == len(results)
    individual = "individual" if "individual" in dataset.dims else "individuals"
    keypoint = "keypoint" if "keypoint" in dataset.dims else "keypoints"
    assert dataset[individual].values.tolist() == list(people)
    assert dataset[keypoint].values.tolist() == list(keypoint_set(k).names)
    for name, points in people.items():
        of_one = dataset.sel({individual: name})
        position = of_one.position.transpose("time", keypoint, "space").values
        np.testing.assert_allclose(position, points[..., :2], rtol=1e-6)
        np.testing.assert_allclose(of_one.confidence.transpose("time", keypoint).values, points[..., 2], rtol=1e-6)


def test_rows_are_the_frames_of_the_source(tmp_path: Path, load_dataset: Any) -> None:
    """Frames that were left out have rows too, because readers count rows; an empty first row is no header."""
    results = random_video(2)
    chosen = [results[index] for index in (3, 4, 8, 11)]
    write(DeepLabCutWriter(tmp_path / "cam1.csv"), chosen)
    dataset = load_dataset(tmp_path / "cam1.csv")
    assert dataset.sizes["time"] == 12
    position = dataset.position.transpose("time", ...).values.reshape(12, -1)
    rows = np.flatnonzero(np.isfinite(position).any(axis=1))
    assert rows.tolist() == [index for index in (3, 4, 8, 11) if len(results[index])]


def test_a_video_of_nobody_is_one_individual_of_blanks(tmp_path: Path, load_dataset: Any) -> None:
    write(DeepLabCutWriter(tmp_path / "cam1.csv"), [replace(r[:0], track_ids=None) for r in random_video(1)])
    dataset = load_dataset(tmp_path / "cam1.csv")
    assert dataset.sizes["time"] == 12
    assert not dataset.position.notnull().any()


@pytest.mark.parametrize(("k", "ids", "even"), [(17, True, True), (21, False, False)])
def test_movement_reads_nwb(tmp_path: Path, load_dataset: Any, k: int, ids: bool, even: bool) -> None:
    """It takes the frame rate from uneven time stamps too, as their median, and lets each file begin at 0."""
    results = random_video(k, k, ids=ids)
    if not even:
        results = [replace(r, timestamp=r.timestamp + (0.01 if r.index == 9 else 0)) for r in results]
    files = nwb_files(tmp_path / "cam1_nwb", results)
    for name, points in expected(results).items():
        _, last = first_and_last(points)
        assert last > 0  # one frame has no rate, which movement divides by
        dataset = load_dataset(files[name])
        assert dataset.attrs["fps"] == pytest.approx(25, abs=1e-3)
        keypoint = "keypoint" if "keypoint" in dataset.dims else "keypoints"
        individual = "individual" if "individual" in dataset.dims else "individuals"
        assert dataset[individual].values.tolist() == [f"cam1_{name}"]
        dataset = dataset.squeeze(individual).sel({keypoint: list(keypoint_set(k).names)})
        position = dataset.position.transpose("time", keypoint, "space").values
        np.testing.assert_allclose(position, points[: last + 1, :, :2], rtol=1e-6)
