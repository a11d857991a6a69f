"""TRC: marker trajectories, as OpenSim, Pose2Sim and Sports2D read them, one file for each person."""

from __future__ import annotations

import os
import re

import numpy as np

from ..errors import ArgumentError, said
from .rows import unique_names
from .run_info import RunInfo
from .spool import SpooledWriter, Track, person_name
from .whole import open_whole, remove_earlier

_COLUMNS = "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames"
_UNKNOWN_RATE = 30.0  # of a single frame: readers need a rate above 0


class TrcWriter(SpooledWriter):
    """Writes one video as a folder of TRC files, ``cam1_px_id_7.trc`` for each person, from first to last frame.

    Coordinates are pixels of the image (y downwards, z is 0) unless ``metres_per_pixel`` says how large one is: then
    they are metres, from the lower left corner, y upwards, as OpenSim has it. ``Frame#`` is the number of the frame
    in its source, from 1; a point that was not found is ``NaN``. The form has no place for scores, boxes, the size
    of the frames, the skeleton and the model.

    Args:
        folder: the folder; its files are made when the writer is closed, those of an earlier run are removed.
        info: what made the results.
        stem: what the names of files begin with; None takes the folder's name without "_trc".
        metres_per_pixel: size of a pixel.

    Raises:
        ArgumentError: a size that is not above 0.
        OutputError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        info: RunInfo | None = None,
        *,
        stem: str | None = None,
        metres_per_pixel: float | None = None,
    ) -> None:
        if metres_per_pixel is not None and not 0 < metres_per_pixel < float("inf"):
            raise ArgumentError(f"metres_per_pixel is {said(metres_per_pixel)} where a number above 0 is needed")
        super().__init__(folder, info, folder=True)
        self._scale = metres_per_pixel
        self._units = "px" if metres_per_pixel is None else "m"
        # Sports2D takes files in pixels only with "_px" in their name
        self._stem = f"{stem or self.path.name.removesuffix('_trc') or 'results'}_{self._units}"

    def _finish(self) -> None:
        remove_earlier(self.path, re.compile(re.escape(self._stem) + r"_(id|instance)_\d+\.trc"))
        times, rate = self.all_times(), self.rate() or _UNKNOWN_RATE
        for track in self.tracks():
            self._write_track(track, times, f"{rate:.10g}")

    def _write_track(self, track: Track, times: np.ndarray, rate: str) -> None:
        names = () if self.keypoint_set is None else self.keypoint_set.names
        markers = unique_names([" ".join(name.split()) for name in names])
        path = self.path / f"{self._stem}_{person_name(track.person)}.trc"
        count = len(track.points)
        numbers = [rate, rate, count, len(markers), self._units, rate, track.first + 1, count]
        head = [
            f"PathFileType\t4\t(X/Y/Z)\t{path.name}",
            _COLUMNS,
            "\t".join(map(str, numbers)),
            "Frame#\tTime\t" + "\t\t\t".join(markers) + "\t\t",
            "\t\t" + "\t".join(f"X{i}\tY{i}\tZ{i}" for i in range(1, len(markers) + 1)),
            "",  # some readers skip this line whatever it holds
        ]
        with open_whole(path) as file:
            file.write(("\n".join(head) + "\n").encode("utf-8"))
            for row, points in enumerate(track.points, track.first):
                texts = "\t".join(self._coordinates(points))
                file.write(f"{row + 1}\t{round(float(times[row]), 6)}\t{texts}\n".encode("ascii"))

    def _coordinates(self, points: np.ndarray) -> list[str]:
        """Return x, y, z of each marker as text; for a blank or ``NA`` OpenSim's readers fail, or shift columns."""
        xyz = np.zeros((len(points), 3), np.float32 if self._scale is None else np.float64)
        xyz[:, :2] = points[:, :2]
        if self._scale is not None:
            xyz[:, 1] = self.size[1] - 1 - xyz[:, 1]
            xyz *= self._scale
        xyz[~np.isfinite(points[:, :2]).all(axis=1)] = np.nan
        return ["NaN" if value != value else str(value) for value in xyz.ravel()]
