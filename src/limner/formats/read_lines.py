"""Reads JSON Lines of limner back as results, so that any other form can be made of them later."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .. import keypoints
from ..errors import InputError
from ..keypoints import KeypointSet
from ..types import Boxes, Poses, Result
from .run_info import RunInfo

MOST_MISSING = 1_000_000  # frames between two of a video: four hours of 60 a second
LATEST_FIRST = 10_000_000  # frame of a video that can be its first


class LinesReader:
    """The results in a file of JSON Lines, in their order.

    Args:
        path, others: of files, as ``limner run --jsonl`` and ``limner batch`` write them.
        keypoint_set: of the results; None takes the one that they name, and numbers the keypoints of one that limner
            does not know.
    """

    def __init__(self, path: Path, *others: Path, keypoint_set: KeypointSet | None = None) -> None:
        self.paths = (path, *others)
        self.path = path  # that is read
        self.remarks: list[str] = []  # sentences about what is missing
        self.info = RunInfo()  # of the head before the result that was read last
        self._set = keypoint_set
        self._sets: dict[tuple[str, int], KeypointSet] = {}
        self.unknown: set[str] = set()  # names of keypoint sets whose keypoints are numbered

    def __iter__(self) -> Iterator[Result]:
        """Yield each result; a last line that is cut short, as by a kill, is left out.

        Raises:
            InputError: the file cannot be read, or holds something else.
        """
        self.remarks = []
        for path in self.paths:
            self.path = path
            yield from self._of_file()

    def _of_file(self) -> Iterator[Result]:
        last: Result | None = None
        try:
            with self.path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    if not line.endswith(b"\n"):
                        self.remarks.append(f"the last line of '{self.path}' is cut short, and left out")
                        return
                    found = self._result(line, number)
                    if found is not None:
                        _check_number(found, last, self.path, number)
                        last = found
                        yield found
        except OSError as error:
            raise InputError(f"'{self.path}' cannot be read: {error.strerror or error}") from None

    def _result(self, line: bytes, number: int) -> Result | None:
        try:
            record = json.loads(line)
            if "limner" in record:
                known = {name: str(record.get(name, "")) for name in ("model", "weights_sha256", "engine", "precision")}
                self.info = RunInfo(version=str(record["limner"]), **known)
                return None
            if "instances" not in record:
                if not {"complete", "error"} & record.keys():
                    raise KeyError("instances")
                return None
            return self._made(record)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            what = f"it lacks {error}" if isinstance(error, KeyError) else "it holds something else than such a record"
            raise InputError(f"'{self.path}' is no file of limner run --jsonl: line {number}: {what}") from None

    def _made(self, record: Mapping[str, Any]) -> Result:
        instances = record["instances"]
        n = len(instances)
        points = _array([one["keypoints"] for one in instances], (n, -1, 2))
        k = points.shape[1] if n else 0
        known = self._keypoints(str(record["keypoint_set"]), k)
        if not n:
            points = np.zeros((0, len(known), 2), np.float32)
        scores = _array([one["keypoint_scores"] for one in instances], (n, len(known)))
        boxes = _array([one["bbox"][0] for one in instances], (n, 4))
        box_scores = _array([one["bbox_score"] for one in instances], (n,))
        ids = [one["track_id"] for one in instances] if n and "track_id" in instances[0] else None
        width, height = record["size"]
        return Result(
            Boxes(boxes, box_scores, np.zeros(n, np.int64)),
            Poses(points, scores),
            known,
            (int(width), int(height)),
            str(record["source"]),
            int(record["frame_id"]),
            float(record["timestamp"]),
            None if ids is None else np.array(ids, np.int64),
        )

    def _keypoints(self, name: str, count: int) -> KeypointSet:
        """Return the set of K keypoints of that name, K being 0 where nobody was found."""
        if self._set is not None:
            if count not in (0, len(self._set)):
                raise ValueError(f"{count} keypoints where {self._set.name} has {len(self._set)}")
            return self._set
        if name in keypoints.names():
            found = keypoints.load(name)
            if count in (0, len(found)):
                return found
        if not count:  # nobody was found: the set is that of other results, where they were read before
            return next(
                (found for (known, _), found in self._sets.items() if known == name), keypoints.numbered(1, name)
            )
        self.unknown.add(name)
        return self._sets.setdefault((name, count), keypoints.numbered(count, name))


def _check_number(result: Result, before: Result | None, path: Path, line: int) -> None:
    """Check that a frame follows the one before it: forms that write a row for each frame would write what is missing.

    Raises:
        InputError: it does not.
    """
    begins = before is None or before.source != result.source
    most = LATEST_FIRST if begins or before is None else before.index + MOST_MISSING
    if not 0 <= result.index <= most:
        raise InputError(
            f"'{path}' has frame {result.index} in line {line}, where 0 to {most} are possible: mend the line"
        )


def _array(values: list[Any], shape: tuple[int, ...]) -> np.ndarray:
    """Return numbers as float32, None as NaN."""
    if not values:
        return np.zeros([max(side, 0) for side in shape], np.float32)
    return np.array(values, np.float64).astype(np.float32).reshape(shape)
