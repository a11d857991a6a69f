"""TRC, read back by both of OpenSim's readers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from limner.formats.rows import unique_names
from limner.formats.trc import TrcWriter
from random_results import CASES, INFO, expected, first_and_last, keypoint_set, library, random_video, same_xy, write

opensim = library("opensim")


@pytest.mark.parametrize(("k", "ids"), CASES)
def test_opensim_reads_trc(tmp_path: Path, k: int, ids: bool) -> None:
    """Both of its readers; missing points in the last column among them."""
    opensim.Logger.setLevelString("error")
    results = random_video(k, k, ids=ids)
    write(TrcWriter(tmp_path / "cam1_trc", INFO), results)
    people = expected(results)
    assert sorted(p.name for p in (tmp_path / "cam1_trc").iterdir()) == sorted(f"cam1_px_{p}.trc" for p in people)
    for name, points in people.items():
        first, last = first_and_last(points)
        path = str(tmp_path / "cam1_trc" / f"cam1_px_{name}.trc")
        table = opensim.TimeSeriesTableVec3(path)
        assert table.getNumRows() == last - first + 1
        assert list(table.getColumnLabels()) == list(unique_names(keypoint_set(k).names))
        np.testing.assert_allclose(table.getIndependentColumn(), np.arange(first, last + 1) / 25, atol=1e-6)
        assert float(table.getTableMetaDataString("DataRate")) == 25
        assert table.getTableMetaDataString("Units") == "px"
        old = opensim.MarkerData(path)
        assert (old.getNumFrames(), old.getNumMarkers(), old.getDataRate()) == (last - first + 1, k, 25)
        for row in range(last - first + 1):
            vectors = table.getRowAtIndex(row)
            read = np.array([[vectors[i][axis] for axis in range(3)] for i in range(k)])
            same_xy(read[None], points[None, first + row])
            frame = old.getFrame(row)
            assert frame.getFrameNumber() == first + row + 1
            read = np.array([[frame.getMarker(i).get(axis) for axis in range(3)] for i in range(k)])
            same_xy(read[None], points[None, first + row])
