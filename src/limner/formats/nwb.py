"""Neurodata Without Borders with the extension ndx-pose, through its own library, one file for each person."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np

from ..errors import MissingExtraError
from ..files import temporary_path
from .rows import unique_names, valid_text
from .run_info import RunInfo
from .spool import SpooledWriter, Track, person_name
from .whole import remove_earlier

_MODULE = "behavior"  # where movement looks for poses
_UNKNOWN_START = datetime(1970, 1, 1, tzinfo=timezone.utc)
_EVEN = 2e-6  # seconds by which times may miss a constant rate: they are rounded to microseconds
_MOST_NODES = 256  # of a skeleton: indices are stored in a byte


class NwbWriter(SpooledWriter):
    """Writes one video as a folder of NWB files, ``cam1_id_7.nwb`` for each person, with ndx-pose's PoseEstimation.

    A file has a row for each frame that was processed up to the last one of its person, NaN in those without: all
    begin with the same frame, because `movement` lets the rows of each begin at 0. A constant rate is declared only
    where the times are even, else each frame has its time stamp. The identifier, which `movement` takes for the name
    of the individual, is that of the file. The size of the frames stands in the linked ImageSeries; boxes have no
    place.

    Args:
        folder: the folder; its files are made when the writer is closed, those of an earlier run are removed.
        info: what made the results.
        stem: what the names of files begin with; None takes the folder's name without "_nwb".
        start: when the recording began, with its time zone; None writes 1970, which says that it is not known.

    Raises:
        MissingExtraError: pynwb or ndx-pose is not installed.
        OutputError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        info: RunInfo | None = None,
        *,
        stem: str | None = None,
        start: datetime | None = None,
    ) -> None:
        try:
            import ndx_pose
            import pynwb
        except ModuleNotFoundError:
            raise MissingExtraError("the form NWB", "nwb") from None
        super().__init__(folder, info, folder=True)
        self._pynwb, self._ndx_pose = pynwb, ndx_pose
        self._start = start or _UNKNOWN_START
        self._stem = stem or self.path.name.removesuffix("_nwb") or "results"

    def _finish(self) -> None:
        remove_earlier(self.path, re.compile(re.escape(self._stem) + r"_(id|instance)_\d+\.nwb"))
        times = np.array(self.times, np.float64)
        for track in self.tracks():
            name = f"{self._stem}_{person_name(track.person)}"
            of_track = times[: track.first + len(track.points)]
            processed = np.isfinite(of_track)
            temporary = temporary_path(self.path)
            with tempfile.TemporaryFile(dir=self.path) as file:
                shape = (int(processed.sum()), *track.points.shape[1:])
                points = np.memmap(file, np.float32, "w+", shape=shape)
                before, of_person = int(processed[: track.first].sum()), processed[track.first :]
                points[:before] = np.nan
                points[before:] = track.points if of_person.all() else track.points[of_person]
                content = self._file(name, of_track[processed], points, track)
                try:
                    with self._pynwb.NWBHDF5IO(str(temporary), "w") as io:
                        io.write(content)
                    os.replace(temporary, self.path / f"{name}.nwb")
                finally:
                    temporary.unlink(missing_ok=True)

    def _file(self, name: str, times: np.ndarray, points: np.ndarray, track: Track) -> Any:
        """Return the content of one person's file."""
        pynwb, ndx_pose = self._pynwb, self._ndx_pose
        who = person_name(track.person)
        names = unique_names(
            [re.sub("[/:]", "_", name) for name in (self.keypoint_set.names if self.keypoint_set else ())]
        )
        file = pynwb.NWBFile(
            session_description=f"keypoints found by limner in {valid_text(self.source)}",
            identifier=name,
            session_start_time=self._start,
            file_create_date=self._start,
        )
        file.subject = pynwb.file.Subject(subject_id=who)
        video = pynwb.image.ImageSeries(
            name="source_video",
            external_file=[valid_text(self.source)],
            format="external",
            starting_frame=[0],
            dimension=list(self.size),
            unit="n.a.",
            timestamps=self.all_times()[np.isfinite(self.times)],
        )
        file.add_acquisition(video)
        skeleton = self._skeleton(names, file.subject)
        made_by = self.info.fields()
        version = made_by.pop("version", None)
        estimation = ndx_pose.PoseEstimation(
            name="PoseEstimation",
            pose_estimation_series=self._series(names, times, points, who),
            description="; ".join(f"{key}: {value}" for key, value in made_by.items()) or "keypoints found by limner",
            scorer=self.info.model or "limner",
            source_software="limner",
            skeleton=skeleton,
            source_video=video,
            **({"source_software_version": version} if version else {}),
        )
        module = file.create_processing_module(name=_MODULE, description="poses of one individual")
        module.add(ndx_pose.Skeletons(skeletons=[skeleton]))
        module.add(estimation)
        return file

    def _skeleton(self, names: Sequence[str], subject: Any) -> Any:
        links = np.zeros((0, 2)) if self.keypoint_set is None else self.keypoint_set.skeleton
        edges = {"edges": links.astype(np.uint8)} if len(links) and len(names) <= _MOST_NODES else {}
        return self._ndx_pose.Skeleton(name="skeleton", nodes=list(names), subject=subject, **edges)

    def _series(self, names: Sequence[str], times: np.ndarray, points: np.ndarray, who: str) -> list[Any]:
        """Return a series for each keypoint."""
        when = _when(times)
        series: list[Any] = []
        for i, name in enumerate(names):
            series.append(
                self._ndx_pose.PoseEstimationSeries(
                    name=name,
                    description=f"{name} of {who}",
                    data=self._compressed(points[:, i, :2]),
                    confidence=self._compressed(points[:, i, 2]),
                    unit="pixels",
                    reference_frame="(0, 0) is the centre of the top-left pixel; x to the right, y downwards",
                    confidence_definition="score of the model",
                    **when,
                )
            )
            if "timestamps" in when:
                when = {"timestamps": series[0]}  # stored once
        return series

    def _compressed(self, data: np.ndarray) -> Any:
        """Return data that are stored compressed: most of them may be frames without this person."""
        return self._pynwb.H5DataIO(data, compression="gzip", compression_opts=1, shuffle=True)


def _when(times: np.ndarray) -> dict[str, Any]:
    """Return the times of a series: start and rate where they are even, else all of them."""
    if len(times) > 1 and times[-1] > times[0]:
        rate = (len(times) - 1) / (times[-1] - times[0])
        if np.abs(times - times[0] - np.arange(len(times)) / rate).max() <= _EVEN:
            return {"starting_time": float(times[0]), "rate": round(float(rate), 6)}
    return {"timestamps": times}
