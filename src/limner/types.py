"""What travels between the stages: frozen dataclasses of numpy arrays, checked once when made.

Conventions everywhere in limner: images are ``uint8 [height, width, 3]`` in BGR order; points are
``(x, y)`` in pixels of the source image, with (0, 0) at the centre of the top-left pixel; boxes
are ``(x1, y1, x2, y2)`` in the same unit. Scores of boxes lie in 0..1, and so do those of the keypoints of
limner's own models; OpenMMLab's models keep MMPose's numbers, of which those of SimCC may exceed 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from .errors import ArgumentError, missing_name, said, suggest

if TYPE_CHECKING:
    from .keypoints import KeypointSet

_Result = TypeVar("_Result", bound="Result")

# heatmaps that a pose estimator returns: none, one of each keypoint, or the maximum over all, for display
HeatmapMode = Literal["", "all", "strongest"]
MessageCallback = Callable[[str], None]  # takes a sentence for the user
# what users of other libraries look for on boxes -> where it is
_BOX_NAMES = {
    "conf": "scores, float32 [N]",
    "confidence": "scores, float32 [N]",
    "cls": "labels, int64 [N]",
    "class_id": "labels, int64 [N]",
    "id": "track_ids, of the result",
    "tracker_id": "track_ids, of the result",
    "is_track": "track_ids, of the result, which are None without tracking",
    "xyxyn": "xyxy / np.tile(result.size, 2)",
    "xywhn": "xywh / np.tile(result.size, 2), with x, y of the corner",
    "data": "xyxy, scores and labels",
    "orig_shape": "size, of the result, (width, height)",
    "shape": "len(boxes), or xyxy.shape",
    "area": "np.prod(boxes.xywh[:, 2:], axis=1)",
    "tolist": "xyxy.tolist()",
    "cpu": "xyxy, which is an array of numpy",
    "numpy": "xyxy, which is an array of numpy",
}


def _check(name: str, array: np.ndarray, shape: tuple[int | None, ...]) -> None:
    """Raise ArgumentError unless ``array`` has ``shape`` (None stands for any length)."""
    matches = array.ndim == len(shape) and all(e is None or e == a for e, a in zip(shape, array.shape, strict=True))
    if not matches:
        expected = ", ".join("any" if s is None else str(s) for s in shape)
        raise ArgumentError(f"{name} has shape {list(array.shape)} where [{expected}] is needed")


def _same(one: object, other: object) -> bool:
    """Return whether two values have the same content: numbers of arrays (NaN equals NaN), fields of dataclasses."""
    if one is other:
        return True
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    if type(one) is not type(other):
        return False
    if is_dataclass(one) and not isinstance(one, type):
        return all(_same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    return bool(one == other)


def _rows(index: object, n: int) -> np.ndarray:
    """Return the numbers of the rows of N that an index means."""
    if isinstance(index, slice):
        try:
            return np.arange(n)[index]
        except (TypeError, ValueError):  # of texts or fractions; a step of 0
            raise ArgumentError(f"{said(index)} does not select instances: a slice has whole numbers") from None
    if isinstance(index, str):
        raise ArgumentError(f"a result has no '{index}': instances have numbers; point('nose') returns a keypoint")
    try:
        rows = np.asarray(index)
    except (TypeError, ValueError, RuntimeError):  # ragged lists, tensors on a GPU
        raise ArgumentError(f"{said(index)} does not select instances; give numbers, a slice or a mask") from None
    if rows.ndim == 1 and rows.size == 0 and rows.dtype != bool:
        return np.zeros(0, np.int64)
    if rows.dtype == bool and rows.shape == (n,):
        return np.flatnonzero(rows)
    if rows.dtype.kind in "iu" and rows.ndim < 2 and (rows >= -n).all() and (rows < n).all():
        return np.atleast_1d(rows)
    given = "a mask of shape " + str(list(rows.shape)) if rows.dtype == bool else said(index)
    if n == 0:
        raise ArgumentError(f"{given} does not select from a result without instances; look at its len() first")
    raise ArgumentError(
        f"{given} does not select from {n} instances; give numbers from 0 to {n - 1}, a slice, or a mask of {n} bools"
    )


@dataclass(frozen=True, eq=False)
class Frame:
    """One image and where it comes from."""

    image: np.ndarray  # uint8 [H, W, 3], BGR
    source: str = "array"  # path, URL or "array"
    index: int = 0  # 0-based number within its source
    timestamp: float = 0.0  # seconds from the start of its source
    alpha: np.ndarray | None = None  # uint8 [H, W], 255 is opaque: of an image that has it, to be drawn on
    remark: str = ""  # a sentence for the user: what is odd about its file, which could be read nevertheless
    duration: float | None = None  # seconds for which its video shows it, None where that is not said

    def __post_init__(self) -> None:
        _check("image", self.image, (None, None, 3))
        if self.image.dtype != np.uint8:
            raise ArgumentError(f"image has dtype {self.image.dtype} where uint8 is needed")
        if self.alpha is not None:
            _check("alpha", self.alpha, self.image.shape[:2])

    @property
    def with_alpha(self) -> np.ndarray:
        """The image to draw on: uint8 [H, W, 4], BGRA, where it has an alpha channel, else ``image``."""
        return self.image if self.alpha is None else np.dstack([self.image, self.alpha])


@dataclass(frozen=True, eq=False)
class Boxes:
    """N boxes of one image, in order of score."""

    xyxy: np.ndarray  # float32 [N, 4], pixels
    scores: np.ndarray  # float32 [N]
    labels: np.ndarray  # int64 [N], class index of the detector

    def __post_init__(self) -> None:
        n = len(self.xyxy)
        _check("boxes", self.xyxy, (None, 4))
        _check("box scores", self.scores, (n,))
        _check("box labels", self.labels, (n,))

    def __len__(self) -> int:
        return len(self.xyxy)

    def __getitem__(self, index: np.ndarray | Sequence[int] | Sequence[bool] | slice | int) -> Boxes:
        """Return some of the boxes, as boxes again: by number, slice, numbers, or a mask of N bools.

        Raises:
            ArgumentError: there is no such box, or the mask has another length.
        """
        rows = _rows(index, len(self))
        return Boxes(self.xyxy[rows], self.scores[rows], self.labels[rows])

    def __iter__(self) -> Iterator[Boxes]:
        """Yield each box as boxes of one."""
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return ``xyxy``."""
        return np.array(self.xyxy, dtype)

    def __repr__(self) -> str:
        return f"Boxes(xyxy={np.round(self.xyxy, 1).tolist()}, scores={np.round(self.scores, 2).tolist()})"

    if not TYPE_CHECKING:  # type checkers know which names there are

        def __getattr__(self, name: str) -> object:
            raise AttributeError(missing_name("Boxes", name, _BOX_NAMES, dir(type(self))))

    def __eq__(self, other: object) -> bool:
        return _same(self, other) if isinstance(other, Boxes) else NotImplemented

    @property
    def xywh(self) -> np.ndarray:
        """Corner, width and height of each box: float32 [N, 4], pixels, as COCO writes them."""
        return np.concatenate([self.xyxy[:, :2], self.xyxy[:, 2:] - self.xyxy[:, :2]], axis=1)

    @classmethod
    def empty(cls) -> Boxes:
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))


@dataclass(frozen=True, eq=False)
class Poses:
    """Keypoints of N instances."""

    keypoints: np.ndarray  # float32 [N, K, 2], (x, y) pixels
    scores: np.ndarray  # float32 [N, K]
    heatmaps: np.ndarray | None = field(default=None)  # float32 [N, any, h, w], of the crops, where requested

    def __post_init__(self) -> None:
        _check("keypoints", self.keypoints, (None, None, 2))
        _check("keypoint scores", self.scores, self.keypoints.shape[:2])
        if self.heatmaps is not None:
            _check("heatmaps", self.heatmaps, (len(self.keypoints), None, None, None))

    def __len__(self) -> int:
        return len(self.keypoints)

    def __getitem__(self, index: np.ndarray | Sequence[int] | Sequence[bool] | slice | int) -> Poses:
        rows = _rows(index, len(self))
        heatmaps = None if self.heatmaps is None else self.heatmaps[rows]
        return Poses(self.keypoints[rows], self.scores[rows], heatmaps)

    def __iter__(self) -> Iterator[Poses]:
        """Yield each pose as poses of one."""
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return ``keypoints``."""
        return np.array(self.keypoints, dtype)

    def __eq__(self, other: object) -> bool:
        return _same(self, other) if isinstance(other, Poses) else NotImplemented


@dataclass(frozen=True, eq=False)
class Result:
    """What was found in one frame: instance i is ``boxes[i]`` with ``poses`` row i."""

    boxes: Boxes
    poses: Poses
    keypoint_set: KeypointSet  # names, skeleton, colours ... of the keypoints
    size: tuple[int, int]  # (width, height) of the frame in pixels
    source: str = "array"
    index: int = 0
    timestamp: float = 0.0
    track_ids: np.ndarray | None = field(default=None)  # int64 [N]

    def __post_init__(self) -> None:
        if len(self.boxes) != len(self.poses):
            raise ArgumentError(
                f"a result needs one pose for each box, not {len(self.poses)} poses for {len(self.boxes)} boxes"
            )

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self: _Result, index: np.ndarray | Sequence[int] | Sequence[bool] | slice | int) -> _Result:
        """Return the result of some of the instances: by number, slice, numbers, or a mask of N bools.

        Raises:
            ArgumentError: there is no such instance, or the mask has another length.
        """
        rows = _rows(index, len(self))
        track_ids = None if self.track_ids is None else self.track_ids[rows]
        return replace(self, boxes=self.boxes[rows], poses=self.poses[rows], track_ids=track_ids)

    def __iter__(self: _Result) -> Iterator[_Result]:
        """Yield each instance as a result of its own."""
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Raise ArgumentError: a result holds several arrays, and numpy would look for one without an end."""
        raise ArgumentError(
            "a result is no array: take its keypoints, scores, boxes.xyxy or image, or what plot() draws"
        )

    def __eq__(self, other: object) -> bool:
        return _same(self, other) if isinstance(other, Result) else NotImplemented

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._found()}, {self.keypoint_set.name}, {self.size[0]}x{self.size[1]})"

    def _found(self) -> str:
        """Say how many of what were found: "1 face", "2 people", "no hands"."""
        kind = self.keypoint_set.kind
        plural = {"person": "people"}.get(kind, kind + "s")
        return f"1 {kind}" if len(self) == 1 else f"{len(self) or 'no'} {plural}"

    @property
    def keypoints(self) -> np.ndarray:
        """The keypoints of all instances, float32 ``[N, K, 2]``, (x, y) in pixels."""
        return self.poses.keypoints

    @property
    def scores(self) -> np.ndarray:
        """The scores of all keypoints, float32 ``[N, K]``.

        Those of limner's own models lie in 0..1; those of OpenMMLab's models are MMPose's, and may exceed 1.
        """
        return self.poses.scores

    def point(self, name: str | int) -> np.ndarray:
        """Return one keypoint of all instances, float32 ``[N, 3]``: x, y in pixels, and score.

        Args:
            name: of the keypoint, such as "nose", or its number.

        Raises:
            ArgumentError: there is no such keypoint.
        """
        names = self.keypoint_set.names
        if isinstance(name, str) and name not in names:
            raise ArgumentError(f"'{self.keypoint_set.name}' has no keypoint '{name}'.{suggest(name, names)}")
        if not isinstance(name, (str, int, np.integer)) or not (isinstance(name, str) or 0 <= name < len(names)):
            raise ArgumentError(f"a keypoint is {said(name)} where a name, or a number below {len(names)}, is needed")
        index = names.index(name) if isinstance(name, str) else int(name)
        return np.concatenate([self.keypoints[:, index], self.scores[:, index, None]], axis=1)

    def instances(self) -> list[dict[str, object]]:
        """Return the instances as MMPose's Inferencer writes them (plain lists, floats), with ``track_id`` if any."""
        instances: list[dict[str, object]] = [
            {
                "keypoints": keypoints.tolist(),
                "keypoint_scores": scores.tolist(),
                "bbox": [box.tolist()],
                "bbox_score": float(score),
            }
            for keypoints, scores, box, score in zip(
                self.poses.keypoints, self.poses.scores, self.boxes.xyxy, self.boxes.scores, strict=True
            )
        ]
        if self.track_ids is not None:
            for instance, track_id in zip(instances, self.track_ids.tolist(), strict=True):
                instance["track_id"] = track_id
        return instances
