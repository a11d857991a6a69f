"""The rows of tables: one for each keypoint (tidy) or one for each instance (wide), as columns of arrays.

CSV, Parquet and DataFrames share these columns. A frame in which nobody was found is one row that has only
the columns of frame and size, so that no frame is lost. A missing value is None, a missing coordinate NaN.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ..types import Result

FRAME_COLUMNS = ("file", "frame", "time")  # path or URL; number from 0; seconds
KEYPOINT_COLUMNS = ("keypoint", "x", "y", "score")  # name; pixels
INSTANCE_COLUMNS = (
    *("instance", "label"),  # number within the frame; class of the detector
    *("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "bbox_score"),  # pixels
)
SIZE_COLUMNS = ("width", "height")  # of the frame, pixels
ID = "id"  # of the track; None where nobody is tracked
TIDY_COLUMNS = (*FRAME_COLUMNS, ID, *KEYPOINT_COLUMNS, *INSTANCE_COLUMNS, *SIZE_COLUMNS)

TEXTS = {"file", "keypoint"}
INTEGERS = {"frame", ID, "instance", "label", "width", "height"}

Columns = dict[str, list]  # name -> values, all of one length


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of keypoints, each valid Unicode, not empty and given once: a second ``nose`` is ``nose_1``."""
    unique: dict[str, None] = {}
    taken = set(names)
    for name in map(valid_text, names):
        number, new = 0, name
        while new in unique or not new or (number and new in taken):
            number += 1
            new = f"{name or 'keypoint'}_{number}"
        unique[new] = None
    return tuple(unique)


def valid_text(text: str) -> str:
    """Return ``text`` fit for UTF-8: bytes of a file name that are not become ``\\udcff``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def keypoint_rows(result: Result) -> Columns:
    """Return one row for each keypoint of each instance: `TIDY_COLUMNS`."""
    columns = _instance_columns(result)
    if not len(result):
        return {name: columns.get(name, [None]) for name in TIDY_COLUMNS}
    names = unique_names(result.keypoint_set.names)
    columns = {name: [value for value in values for _ in names] for name, values in columns.items()}
    columns["keypoint"] = list(names) * len(result)
    columns["x"], columns["y"], columns["score"] = to_numpy(result).reshape(-1, 3).T.tolist()
    return {name: columns[name] for name in TIDY_COLUMNS}


def wide_columns(names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of `wide_rows` for keypoints of these names."""
    head = (*FRAME_COLUMNS, ID, *INSTANCE_COLUMNS, *SIZE_COLUMNS)
    return (*head, *(f"{name}_{part}" for name in unique_names(names) for part in ("x", "y", "score")))


def wide_rows(result: Result) -> Columns:
    """Return one row for each instance, with ``NAME_x``, ``NAME_y`` and ``NAME_score`` for each keypoint."""
    columns = _instance_columns(result)
    names = wide_columns(result.keypoint_set.names)
    if not len(result):
        return {name: columns.get(name, [None]) for name in names}
    values = to_numpy(result).reshape(len(result), -1).T.tolist()
    columns.update(zip(names[-len(values) :], values, strict=True))
    return {name: columns[name] for name in names}


def joined(parts: Iterable[Columns]) -> Columns:
    """Return the rows of several results in one table."""
    whole: Columns = {}
    for part in parts:
        for name, values in part.items():
            whole.setdefault(name, []).extend(values)
    return whole


def _instance_columns(result: Result) -> Columns:
    """Return what is the same for all keypoints of an instance, one row for each instance."""
    n = len(result)
    head = (valid_text(result.source), int(result.index), float(result.timestamp), *map(int, result.size))
    columns: Columns = {
        name: [value] * max(n, 1) for name, value in zip((*FRAME_COLUMNS, *SIZE_COLUMNS), head, strict=True)
    }
    if n:
        columns[ID] = [None] * n if result.track_ids is None else np.asarray(result.track_ids).tolist()
        columns["instance"] = list(range(n))
        columns["label"] = np.asarray(result.boxes.labels).tolist()
        boxes = np.asarray(result.boxes.xyxy, np.float32).T.tolist()
        columns.update(zip(("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"), boxes, strict=True))
        columns["bbox_score"] = np.asarray(result.boxes.scores, np.float32).tolist()
    return columns


def to_numpy(result: Result) -> np.ndarray:
    """Return x, y (pixels) and score of all keypoints of an image, float32 ``[N, K, 3]``, as a new array."""
    return np.concatenate([result.poses.keypoints, result.poses.scores[..., None]], axis=2, dtype=np.float32)
