"""CSV, Parquet and DataFrames, read back by pandas and pyarrow."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.errors import ArgumentError
from limner.formats.arrays import to_dataframe, to_numpy
from limner.formats.parquet import ParquetWriter
from limner.formats.rows import TIDY_COLUMNS, unique_names
from limner.formats.table import TidyCsvWriter, WideCsvWriter, tidy_csv
from limner.types import Result
from random_results import INFO, keypoint_set, random_result, random_video

pandas: Any = pytest.importorskip("pandas", reason="needs pandas: pip install -e .[test]")
parquet: Any = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow: pip install -e .[test]")

CASES = [(17, True), (133, True), (21, False), (3, False)]


def two_cameras(k: int, ids: bool) -> list[Result]:
    return [*random_video(k, k, ids=ids), *random_video(k + 1, k, ids=ids, source="videos/gesicht-ä, 2.mp4", fps=30)]


def check_tidy(table: Any, results: Sequence[Result]) -> None:
    """Compare a table, as pandas has read it, with the results."""
    assert tuple(table.columns) == TIDY_COLUMNS
    for result in results:
        rows = table[(table.file == result.source) & (table.frame == result.index)]
        np.testing.assert_allclose(rows.time, result.timestamp, atol=1e-9)
        assert set(zip(rows.width, rows.height, strict=True)) == {(640, 480)}
        found = rows.dropna(subset=["instance"])
        n, k = len(result), len(result.keypoint_set)
        assert len(rows) == max(n * k, 1)  # an empty frame has a row too
        assert len(found) == n * k
        points = found[["x", "y", "score"]].to_numpy(np.float32).reshape(n, k, 3)
        np.testing.assert_array_equal(points, to_numpy(result))
        assert list(found.keypoint) == list(result.keypoint_set.names) * n
        first = found[:: max(k, 1)]
        boxes = first[["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"]].to_numpy(np.float32)
        np.testing.assert_array_equal(boxes, result.boxes.xyxy)
        np.testing.assert_array_equal(first.bbox_score.to_numpy(np.float32), result.boxes.scores)
        if result.track_ids is None:
            assert first.id.isna().all()
        else:
            assert list(first.id) == result.track_ids.tolist()


@pytest.mark.parametrize(("k", "ids"), CASES)
def test_tidy_csv_comes_back_whole(tmp_path: Path, k: int, ids: bool) -> None:
    results = two_cameras(k, ids)
    with TidyCsvWriter(tmp_path / "t.csv", INFO) as writer:
        for result in results:
            writer.write(result)
    check_tidy(pandas.read_csv(tmp_path / "t.csv"), results)


@pytest.mark.parametrize(("k", "ids"), CASES)
def test_parquet_comes_back_whole(tmp_path: Path, k: int, ids: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where every frame is a chunk of its own, and a chunk has nobody or no ids at all."""
    monkeypatch.setattr("limner.formats.parquet.ROWS", 1)
    results = two_cameras(k, ids)
    with ParquetWriter(tmp_path / "t.parquet", INFO) as writer:
        for result in results:
            writer.write(result)
        assert not (tmp_path / "t.parquet").exists()  # before it is whole
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]
    table = pandas.read_parquet(tmp_path / "t.parquet")
    check_tidy(table, results)
    assert str(table.id.dtype) == "Int64"  # not float64, although some are missing
    assert str(table.frame.dtype) == "int64"
    assert str(table.x.dtype) == "float32"
    schema = parquet.read_schema(tmp_path / "t.parquet")
    assert not [f.name for f in schema if str(f.type) == "null"]
    made_by = json.loads(schema.metadata[b"limner"])
    assert made_by["model"] == "human"
    assert made_by["weights_sha256"] == "ab" * 32
    assert made_by["version"] == "1.2.3"
    assert made_by["keypoint_names"] == list(keypoint_set(k).names)


def test_parquet_of_nothing_can_be_read(tmp_path: Path) -> None:
    ParquetWriter(tmp_path / "t.parquet").close()
    assert tuple(pandas.read_parquet(tmp_path / "t.parquet").columns) == TIDY_COLUMNS


def test_parquet_keeps_what_was_written_when_a_run_is_stopped(tmp_path: Path) -> None:
    results = random_video(1)

    def stopped() -> None:
        with ParquetWriter(tmp_path / "t.parquet") as writer:
            for result in results[:5]:
                writer.write(result)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    check_tidy(pandas.read_parquet(tmp_path / "t.parquet"), results[:5])


def test_parquet_is_much_smaller_than_json(tmp_path: Path) -> None:
    """Several times, with coordinates that are noise: a worst case."""
    results = [
        replace(random_result(np.random.default_rng(i), 2, keypoint_set(133), 0), source="video.mp4", index=i)
        for i in range(50)
    ]
    with ParquetWriter(tmp_path / "t.parquet") as writer:
        for result in results:
            writer.write(result)
    as_json = sum(len(json.dumps(result.instances())) for result in results)
    assert (tmp_path / "t.parquet").stat().st_size * 3 < as_json


@pytest.mark.parametrize(("k", "ids"), CASES)
def test_wide_csv_comes_back_whole(tmp_path: Path, k: int, ids: bool) -> None:
    results = two_cameras(k, ids)
    with WideCsvWriter(tmp_path / "w.csv", INFO) as writer:
        for result in results:
            writer.write(result)
    table = pandas.read_csv(tmp_path / "w.csv")
    assert len(table) == sum(max(len(result), 1) for result in results)
    for result in results:
        rows = table[(table.file == result.source) & (table.frame == result.index)].dropna(subset=["instance"])
        points = rows.iloc[:, -3 * k :].to_numpy(np.float32).reshape(len(result), k, 3)
        np.testing.assert_array_equal(points, to_numpy(result))
        assert list(rows.id.dropna()) == ([] if result.track_ids is None else result.track_ids.tolist())
    assert list(table.columns[-3 * k :][:3]) == [f"{keypoint_set(k).names[0]}_{part}" for part in ("x", "y", "score")]


def test_csv_has_the_shortest_decimals_and_blanks() -> None:
    result = random_result(np.random.default_rng(0), 1, keypoint_set(3), missing=0)
    result.keypoints[0, 0] = (51.75607, np.nan)
    head, first, *_ = csv.reader(io.StringIO(tidy_csv(result)))
    assert dict(zip(head, first, strict=True))["x"] == "51.75607"
    assert dict(zip(head, first, strict=True))["y"] == ""
    assert dict(zip(head, first, strict=True))["id"] == ""


@pytest.mark.parametrize("wide", [False, True])
def test_dataframes_hold_the_same(wide: bool) -> None:
    results = random_video(3, 26)
    table = to_dataframe(iter(results), wide=wide)
    if not wide:
        check_tidy(table, results)
    assert str(table.id.dtype) == "Int64"
    assert len(to_dataframe(results[0][:0], wide=wide)) == 1


def test_names_that_are_there_twice_are_told_apart() -> None:
    assert unique_names(["nose", "nose", "", "nose_1", "\udcff"]) == (
        "nose",
        "nose_2",
        "keypoint_1",
        "nose_1",
        "\\udcff",
    )


def test_other_keypoints_do_not_fit_into_a_wide_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with WideCsvWriter(tmp_path / "w.csv") as writer:
        writer.write(random_result(rng, 1, keypoint_set(17)))
        with pytest.raises(ArgumentError, match="write it to another file"):
            writer.write(random_result(rng, 1, keypoint_set(26)))


@pytest.mark.parametrize("writer_class", [TidyCsvWriter, WideCsvWriter, ParquetWriter])
def test_a_long_video_takes_no_more_memory(tmp_path: Path, writer_class: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limner.formats.parquet.ROWS", 2000)
    result = replace(random_result(np.random.default_rng(0), 2, keypoint_set(17)), source="a.mp4")
    with writer_class(tmp_path / "t") as writer:
        for index in range(100):
            writer.write(replace(result, index=index))
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for index in range(100, 600):
                writer.write(replace(result, index=index))
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
    assert grown < 1_000_000  # the 500 frames are 17,000 rows of 16 columns
