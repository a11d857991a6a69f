"""What COCO's results and annotations share: ids of images, finite keypoints, boxes, categories."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath

import numpy as np

from ..errors import ArgumentError, suggest
from ..files import IMAGE_SUFFIXES
from ..keypoints import KeypointSet
from ..types import Result
from .rows import valid_text


class ImageIds:
    """Gives each image or frame of a run the whole number by which COCO files refer to it.

    An image that is named by a number, as COCO's own ``000000000139.jpg``, has that number, as long as it is free;
    the others are counted from 1. Two writers that see the same results give the same ids.

    Args:
        known: the ids of an annotation file, by ``file_name``: images are looked up in it, never counted.
    """

    def __init__(self, known: Mapping[str, int] | None = None) -> None:
        self._known = known
        self._used: set[int] = set()  # numbers that came from names
        self._next = 1

    def of(self, result: Result) -> int:
        """Return the id of the image or frame of a result; each call is about another one.

        Raises:
            ArgumentError: the annotation file does not have it.
        """
        if self._known is not None:
            return _lookup(self._known, result)
        name = file_name(result)
        stem, dot, suffix = name.rpartition(".")
        if stem.isascii() and stem.isdigit() and dot + suffix.lower() in IMAGE_SUFFIXES and len(stem) <= 18:
            number = int(stem)
            if number >= self._next and number not in self._used:
                self._used.add(number)
                return number
        while self._next in self._used:
            self._used.discard(self._next)
            self._next += 1
        self._next += 1
        return self._next - 1


def _lookup(known: Mapping[str, int], result: Result) -> int:
    full = result.source.replace("\\", "/")
    name = PurePath(full).name
    for key in (full, file_name(result), name):
        if key in known:
            return int(known[key])
    raise ArgumentError(
        f"the annotations have no image '{name}', so its results have no image id.{suggest(name, known)} "
        "Give the annotation file of these images"
    )


def file_name(result: Result) -> str:
    """Return the name of an image, or of a frame within a folder named after its video: ``clip/frame_000012.png``."""
    name = PurePath(result.source.replace("\\", "/").rstrip("/")).name or "array"
    if PurePath(name).suffix.lower() in IMAGE_SUFFIXES and result.index == 0:
        return valid_text(name)
    return f"{valid_text(PurePath(name).stem)}/frame_{result.index:06d}.png"


def found(result: Result) -> np.ndarray:
    """Return which keypoints have finite coordinates: bool ``[N, K]``."""
    return np.isfinite(result.poses.keypoints).all(axis=2)


def finite(values: np.ndarray) -> np.ndarray:
    """Return float32 numbers with 0 for NaN and infinity: a single NaN scores as a perfect match in pycocotools."""
    return np.nan_to_num(np.asarray(values, np.float32), nan=0.0, posinf=0.0, neginf=0.0)


def boxes_xywh(result: Result) -> np.ndarray:
    """Return the boxes of the instances as x, y, width, height: float32 ``[N, 4]``, finite, at least a pixel large.

    Where the box of an instance is not finite, or turned inside out, its finite keypoints span one.
    """
    boxes = np.array(result.boxes.xyxy, np.float32).reshape(-1, 4)
    for i, box in enumerate(boxes):
        if not np.isfinite(box).all() or (box[2:] < box[:2]).any():
            points = result.poses.keypoints[i][np.isfinite(result.poses.keypoints[i]).all(axis=1)]
            boxes[i] = (*points.min(axis=0), *points.max(axis=0)) if len(points) else 0
    boxes[:, 2:] = np.maximum(boxes[:, 2:] - boxes[:, :2], 1)  # an area of 0 makes the similarity of a person 0
    return boxes


def category_name(keypoint_set: KeypointSet) -> str:
    """Return what kind of object has these keypoints: "person", "face", "hand", "animal" or "object"."""
    name, names = keypoint_set.name.lower(), {n.lower() for n in keypoint_set.names}
    if any(word in name for word in ("ap10k", "animal")):
        return "animal"
    if any(word in name for word in ("face", "300w", "wflw", "lapa", "cofw", "aflw")):
        return "face"
    if "hand" in name or {"wrist", "thumb1"} <= names:
        return "hand"
    return "person" if {"left_shoulder", "right_shoulder"} <= names else "object"


def links(keypoint_set: KeypointSet) -> list[list[int]]:
    """Return the skeleton in pairs counted from 1; the contours of a face where it has no skeleton."""
    pairs = keypoint_set.skeleton.tolist()
    if not pairs:
        for contour in keypoint_set.contours:
            pairs += zip(contour.indices, contour.indices[1:], strict=False)
            if contour.closed:
                pairs.append((contour.indices[-1], contour.indices[0]))
    return [[int(a) + 1, int(b) + 1] for a, b in pairs]
