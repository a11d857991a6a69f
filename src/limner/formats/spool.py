"""Results kept in a temporary file, for forms that need to know all frames and persons before they can be written."""

from __future__ import annotations

import os
import struct
import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..types import Result
from .run_info import RunInfo
from .whole import DeferredWriter

Person = tuple[str, int]  # ("id", track id) or ("instance", number within the frame)

_HEAD = struct.Struct("=qq")  # of a frame: its position, and how many persons
_PERSON = struct.Struct("=?q")  # whether it has a track id; the number


@dataclass(frozen=True, eq=False)
class Track:
    """One person from the first to the last of the frames that have it."""

    person: Person
    first: int  # position of the first frame, from 0
    points: np.ndarray  # float32 [frames, K, 3]: x, y, score; NaN in frames without this person


class SpooledWriter(DeferredWriter):
    """A writer of per-person data: one row for each frame of the source, persons followed through all of them.

    Row n is frame n of the source: frames that are left out have rows too, without persons. A person is who has a
    track id; without ids the first instance of each frame is one person, the second another, and so on.

    Args:
        path: the file or folder that is made when the writer is closed.
        info: what made the results.
        folder: ``path`` is a folder, in which each person has a file.

    Raises:
        OutputError: the folder cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], info: RunInfo | None = None, *, folder: bool = False) -> None:
        super().__init__(path, info, folder=folder)
        self.size = (0, 0)  # (width, height) of the frames, pixels
        self.source = ""
        self.times = array("d")  # seconds, of every frame; NaN where one was left out
        self.persons: dict[Person, tuple[int, int]] = {}  # first and last frame, in order of appearance
        self._spool = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115 - closed by _release

    def _add(self, result: Result) -> None:
        self.size, self.source = result.size, result.source
        position = max(int(result.index), len(self.times))
        while len(self.times) < position:
            self.times.append(float("nan"))
        self.times.append(float(result.timestamp))
        persons = persons_of(result)
        for person in persons:
            first, _ = self.persons.get(person, (position, position))
            self.persons[person] = (first, position)
        points = np.concatenate([result.poses.keypoints, result.poses.scores[..., None]], axis=2, dtype=np.float32)
        numbers = b"".join(_PERSON.pack(kind == "id", number) for kind, number in persons)
        self._spool.write(_HEAD.pack(position, len(persons)) + numbers + np.ascontiguousarray(points).tobytes())

    @property
    def names(self) -> dict[Person, str]:
        """The name of each person: ``id_7``, or ``instance_0`` where there are no ids."""
        return {person: person_name(person) for person in self.persons}

    def spooled(self) -> Iterator[tuple[int, list[Person], np.ndarray]]:
        """Yield position, persons and points, float32 ``[N, K, 3]``, of each frame that was written, in order."""
        k = len(self.keypoint_set or ())
        self._spool.seek(0)
        while head := self._spool.read(_HEAD.size):
            position, n = _HEAD.unpack(head)
            persons = [
                ("id" if has_id else "instance", number)
                for has_id, number in _PERSON.iter_unpack(self._spool.read(n * _PERSON.size))
            ]
            points = np.frombuffer(self._spool.read(n * k * 3 * 4), np.float32).reshape(n, k, 3)
            yield position, persons, points

    def tracks(self) -> Iterator[Track]:
        """Yield each person's points, which lie in a temporary file until the next one is asked for."""
        k = len(self.keypoint_set or ())
        starts, total = {}, 0
        for person, (first, last) in self.persons.items():
            starts[person] = total
            total += last - first + 1
        if not total or not k:
            return
        with tempfile.TemporaryFile(dir=self.folder) as file:
            table = np.memmap(file, np.float32, "w+", shape=(total, k, 3))
            for person, (first, last) in self.persons.items():
                table[starts[person] : starts[person] + last - first + 1] = np.nan
            for position, persons, points in self.spooled():
                for person, values in zip(persons, points, strict=True):
                    table[starts[person] + position - self.persons[person][0]] = values
            for person, (first, last) in self.persons.items():
                yield Track(person, first, table[starts[person] : starts[person] + last - first + 1])

    def all_times(self) -> np.ndarray:
        """Return the time of every frame in seconds, float64; one that was left out lies between its neighbours."""
        times = np.array(self.times, np.float64)
        known = np.flatnonzero(np.isfinite(times))
        if len(known):
            times = np.interp(np.arange(len(times)), known, times[known])
            rate = self.rate()
            if known[0] and rate:  # before the first one
                times[: known[0]] = times[known[0]] - np.arange(known[0], 0, -1) / rate
        return times

    def rate(self) -> float:
        """Return the frames of the source a second, a mean where it varies; 0 where the times do not tell."""
        times = np.array(self.times, np.float64)
        known = np.flatnonzero(np.isfinite(times))
        if len(known) < 2 or not times[known[-1]] > times[known[0]]:
            return 0.0
        # 29.97003 rather than 29.970029970029973: time stamps are rounded to microseconds
        return round(float((known[-1] - known[0]) / (times[known[-1]] - times[known[0]])), 6)

    def _release(self) -> None:
        self._spool.close()


def persons_of(result: Result) -> list[Person]:
    """Return who each instance of a frame is; a track id that is negative, or there twice, is none."""
    persons: dict[Person, None] = {}
    ids = [-1] * len(result) if result.track_ids is None else np.asarray(result.track_ids).tolist()
    for i, track_id in enumerate(ids):
        person = ("id", int(track_id))
        persons[person if track_id >= 0 and person not in persons else ("instance", i)] = None
    return list(persons)


def person_name(person: Person) -> str:
    """Return the name of a person in a file: ``id_7``, ``instance_0``."""
    kind, number = person
    return f"{kind}_{number}"
