"""Runs a model on annotated images: with boxes from its detector, from the annotations, or from a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import InputError, expanded
from ..pipeline import Pipeline
from ..sources.one_image import read_one
from ..types import Boxes, Frame
from .annotations import AnnotatedImage, Annotations, load_json, why
from .predictions import Instances, Predictions

BATCH = 8  # images whose crops share calls of the pose network


def estimate(
    pipeline: Pipeline,
    annotations: Annotations,
    folder: str | Path,
    boxes: str | Path = "detector",
    *,
    source: str = "",
    step: Callable[[], None] | None = None,
) -> Predictions:
    """Find keypoints in all annotated images.

    Args:
        pipeline: the model.
        annotations: what is true of the images.
        folder: of the images.
        boxes: "detector"; "gt", the boxes of the annotated instances; or a file of boxes in the form of COCO results.
        source: the name of the model.
        step: called after each image.

    Raises:
        InputError: an image or the file of boxes is missing or cannot be read.
    """
    folder = expanded(folder)
    given = None if boxes == "detector" else _given(annotations, boxes)
    images = annotations.images if given is None else [i for i in annotations.images if i.id in given]
    found, truths = Instances(), []
    found.set_name = pipeline.keypoint_set.name
    for image in annotations.images:
        found.look(image.id)
    for part in _batches(images):
        frames = [_frame(folder, image) for image in part]
        known = None if given is None else [given[image.id][0] for image in part]
        for image, result in zip(part, pipeline.many(frames, known), strict=True):
            rows = zip(result.keypoints, result.scores, result.boxes.xyxy, result.boxes.scores, strict=True)
            for points, scores, box, score in rows:
                found.add(image.id, points, scores, box, float(score))
            if boxes == "gt" and given is not None:
                truths += given[image.id][1].tolist()
            if step is not None:
                step()
    predictions = found.done(source, len(pipeline.keypoint_set))
    return replace(predictions, truths=np.array(truths, np.int64)) if boxes == "gt" else predictions


def _batches(images: Sequence[AnnotatedImage]) -> Iterator[Sequence[AnnotatedImage]]:
    for start in range(0, len(images), BATCH):
        yield images[start : start + BATCH]


def _frame(folder: Path, image: AnnotatedImage) -> Frame:
    path = folder / image.file_name
    if not path.is_file():
        raise InputError(f"the annotated image '{path}' is missing; --images is the folder that file names begin in")
    return read_one(path)


_GivenBoxes = dict[int, tuple[Boxes, np.ndarray]]  # image -> boxes and the annotations that they are of


def _given(annotations: Annotations, boxes: str | Path) -> _GivenBoxes:
    """Return the boxes of each image: those of the annotated instances that have keypoints, or those of a file."""
    if boxes != "gt":
        return _of_file(expanded(boxes), {image.id for image in annotations.images})
    rows = np.flatnonzero((annotations.visibility > 0).any(axis=1) & ~annotations.crowd)
    given = {}
    for image_id in np.unique(annotations.image_ids[rows]).tolist():
        mine = rows[annotations.image_ids[rows] == image_id]
        xyxy = annotations.boxes[mine].astype(np.float32)
        given[image_id] = (Boxes(xyxy, np.ones(len(mine), np.float32), np.zeros(len(mine), np.int64)), mine)
    return given


def _of_file(path: Path, ids: set[int]) -> _GivenBoxes:
    content = load_json(path)
    rows: dict[int, list[tuple[float, ...]]] = {}
    try:
        for one in content:
            if one["image_id"] in ids:
                x, y, w, h = map(float, one["bbox"])
                rows.setdefault(int(one["image_id"]), []).append((x, y, x + w, y + h, float(one.get("score", 1))))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"'{path}' holds no boxes: {why(error)}; needed is a list of "
            + json.dumps({"image_id": 1, "bbox": ["x", "y", "w", "h"], "score": 0.9})
        ) from None
    if not rows:
        raise InputError(f"'{path}' has no box in any of the annotated images")
    given = {}
    for image_id, values in rows.items():
        table = np.array(values, np.float32)
        order = np.argsort(-table[:, 4], kind="stable")
        table = table[order]
        labels = np.zeros(len(table), np.int64)
        given[image_id] = (Boxes(table[:, :4], table[:, 4], labels), np.zeros(0, np.int64))
    return given
