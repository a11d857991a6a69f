"""TRC and DeepLabCut's CSV: what their readers count on; test_forms_opensim and others read them back."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.errors import ArgumentError
from limner.formats.deeplabcut_csv import DeepLabCutWriter
from limner.formats.trc import TrcWriter
from random_results import INFO, expected, keypoint_set, random_result, random_video, write

pandas: Any = pytest.importorskip("pandas", reason="needs pandas: pip install -e .[test]")


def test_trc_has_the_lines_that_readers_count(tmp_path: Path) -> None:
    """A blank line after the axes (pyomeca takes it for one), NaN as text, no blank at the end of a row."""
    result = random_result(np.random.default_rng(0), 1, keypoint_set(3), missing=0)
    result.keypoints[0, 2] = np.nan
    write(TrcWriter(tmp_path / "a_trc"), [replace(result, source="a.mp4")])
    lines = (tmp_path / "a_trc" / "a_px_instance_0.trc").read_text("utf-8").split("\n")
    assert lines[5] == ""
    assert lines[6].startswith("1\t0.0\t")
    assert lines[6].endswith("\t0.0\tNaN\tNaN\tNaN")
    assert lines[2].split("\t") == ["30", "30", "1", "3", "px", "30", "1", "1"]


def test_pandas_reads_deeplabcut_as_deeplabcut_does(tmp_path: Path) -> None:
    results = random_video(4, 26)
    write(DeepLabCutWriter(tmp_path / "cam1.csv", INFO), results)
    table = pandas.read_csv(tmp_path / "cam1.csv", header=[0, 1, 2, 3], index_col=0)
    assert table.columns.names == ["scorer", "individuals", "bodyparts", "coords"]
    for name, points in expected(results).items():
        read = table["limner_human"][name].to_numpy(np.float32).reshape(-1, 26, 3)
        np.testing.assert_allclose(read, points, rtol=1e-6)
    assert table.index.tolist() == list(range(12))


def test_people_whose_ids_are_missing_or_there_twice_stay_apart(tmp_path: Path) -> None:
    result = random_result(np.random.default_rng(0), 4, keypoint_set(3), missing=0)
    write(DeepLabCutWriter(tmp_path / "a.csv"), [replace(result, track_ids=np.array([5, -1, 5, -1]))])
    table = pandas.read_csv(tmp_path / "a.csv", header=[0, 1, 2, 3], index_col=0)["limner"]
    assert list(table.columns.unique("individuals")) == ["id_5", "instance_1", "instance_2", "instance_3"]
    np.testing.assert_array_equal(table.to_numpy(np.float32).reshape(4, 3, 3)[..., :2], result.keypoints)


@pytest.mark.parametrize("writer_class", [TrcWriter, DeepLabCutWriter])
def test_a_long_video_takes_no_more_memory(tmp_path: Path, writer_class: Any) -> None:
    result = replace(random_result(np.random.default_rng(0), 2, keypoint_set(17)), source="a.mp4")
    tracemalloc.start()
    try:
        with writer_class(tmp_path / "t") as writer:
            for index in range(2000):
                writer.write(replace(result, index=index, timestamp=index / 30))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000  # the points alone are 2000 * 2 * 17 * 3 floats, 0.8 MB, and several times that as text


@pytest.mark.parametrize(("writer_class", "path"), [(TrcWriter, "a_trc"), (DeepLabCutWriter, "a.csv")])
def test_nothing_is_left_of_temporary_files(tmp_path: Path, writer_class: Any, path: str) -> None:
    writer = writer_class(tmp_path / path)
    writer.write(random_video(1)[1])
    writer.close()
    writer.close()
    assert not [p for p in tmp_path.rglob("*") if p.name.startswith(".limner")]
    with pytest.raises(ArgumentError, match="is closed"):
        writer.write(random_video(1)[1])
