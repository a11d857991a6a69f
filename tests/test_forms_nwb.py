"""NWB with ndx-pose, read back by pynwb."""

from __future__ import annotations

import warnings
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest

from limner.formats.rows import unique_names
from random_results import expected, first_and_last, keypoint_set, library, nwb_files, random_video

pynwb, _ = library("pynwb"), library("ndx_pose")


@pytest.mark.parametrize(("k", "ids", "even"), [(17, True, True), (133, False, True), (26, True, False)])
def test_pynwb_reads_what_was_found(tmp_path: Path, k: int, ids: bool, even: bool) -> None:
    results = random_video(k, k, ids=ids, fps=30000 / 1001)
    if not even:
        results = [replace(r, timestamp=r.timestamp + 0.004 * (r.index % 3)) for r in results]
    files = nwb_files(tmp_path / "cam1_nwb", results, start=datetime(2026, 5, 1, tzinfo=timezone.utc))
    people = expected(results)
    assert set(files) == set(people)
    times = np.array([result.timestamp for result in results])
    for name, points in people.items():
        _, last = first_and_last(points)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pynwb.NWBHDF5IO(str(files[name]), "r") as io:
                file = io.read()
                poses = file.processing["behavior"]["PoseEstimation"]
                names = unique_names(keypoint_set(k).names)
                assert list(poses.skeleton.nodes[:]) == list(names)
                assert poses.source_software_version == "1.2.3"
                assert "ab" * 32 in poses.description
                assert list(poses.source_video.dimension) == [640, 480]
                assert file.subject.subject_id == name
                for i, part in enumerate(names):
                    series = poses[part]
                    np.testing.assert_array_equal(series.data[:], points[: last + 1, i, :2])
                    np.testing.assert_array_equal(series.confidence[:], points[: last + 1, i, 2])
                    if even and last > 0:
                        assert series.rate == pytest.approx(30000 / 1001, abs=1e-4)
                        assert series.starting_time == pytest.approx(times[0])
                    elif last > 1:
                        assert series.rate is None
                        np.testing.assert_array_equal(series.timestamps[:], times[: last + 1])
