"""What was found in annotated images: earlier results, read back from the forms that limner and MMPose write."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from ..errors import InputError, expanded
from ..formats.coco_results import instance_score
from .annotations import AnnotatedImage, load_json, why


@dataclass(frozen=True, eq=False)
class Predictions:
    """M instances of K keypoints that were found in annotated images."""

    source: str
    image_ids: np.ndarray  # int64 [M], of the annotations' images
    keypoints: np.ndarray  # float64 [M, K, 2], (x, y) pixels; NaN where there is none
    keypoint_scores: np.ndarray  # float64 [M, K]
    boxes: np.ndarray  # float64 [M, 4], x1, y1, x2, y2 in pixels
    box_scores: np.ndarray  # float64 [M]
    scores: np.ndarray  # float64 [M], by which COCO's evaluation ranks them
    known: frozenset[int]  # ids of the images that were looked at
    set_name: str = ""  # of the keypoint set, where the results say it
    truths: np.ndarray | None = None  # int64 [M], the annotation whose box each was given

    def __len__(self) -> int:
        return len(self.keypoints)


class Instances:
    """Gathers what was found, image by image."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Any]] = {name: [] for name in ("ids", "points", "scores", "boxes", "box", "whole")}
        self._known: set[int] = set()
        self.set_name = ""

    @property
    def any(self) -> bool:
        """Whether something was found."""
        return bool(self._known)

    def look(self, image_id: int) -> None:
        """Note that an image was looked at, also where nothing was found."""
        self._known.add(image_id)

    def add(
        self, image_id: int, keypoints: Any, scores: Any, box: Any, box_score: float, score: float | None = None
    ) -> None:
        """Add an instance; without ``score`` it is the one that MMPose computes from the others."""
        points, points_scores = np.asarray(keypoints, np.float64), np.asarray(scores, np.float64)
        if points.ndim != 2 or points.shape[1] != 2 or points_scores.shape != points.shape[:1]:
            raise ValueError(f"keypoints of shape {list(points.shape)} with scores of {list(points_scores.shape)}")
        first = self._parts["points"][:1]
        if first and first[0].shape != points.shape:
            raise ValueError(f"{len(points)} keypoints after {len(first[0])}")
        if score is None:
            score = instance_score(box_score, points_scores)
        if box is None:
            box = (*points.min(axis=0), *points.max(axis=0))
        values = (int(image_id), points, points_scores, np.asarray(box, np.float64).reshape(4), box_score, score)
        for part, value in zip(self._parts.values(), values, strict=True):
            part.append(value)
        self.look(image_id)

    def done(self, source: str, keypoints: int | None = None) -> Predictions:
        """Return all of them; ``keypoints`` is K where none was found."""
        parts = self._parts
        n, k = len(parts["points"]), parts["points"][0].shape[0] if parts["points"] else keypoints or 0
        return Predictions(
            source,
            np.array(parts["ids"], np.int64),
            np.array(parts["points"], np.float64).reshape(n, k, 2),
            np.array(parts["scores"], np.float64).reshape(n, k),
            np.array(parts["boxes"], np.float64).reshape(n, 4),
            np.array(parts["box"], np.float64),
            np.array(parts["whole"], np.float64),
            frozenset(self._known),
            self.set_name,
        )


class ImageNames:
    """Finds the annotated image that a path or URL of a result means."""

    def __init__(self, images: Iterable[AnnotatedImage]) -> None:
        self._ids: dict[str, int | None] = {}
        self.stems: dict[str, int | None] = {}
        for image in images:
            name = image.file_name.replace("\\", "/")
            self._ids[name] = image.id
            base = PurePath(name).name
            if base != name:  # of two images of one name neither is meant by the name alone
                self._ids[base] = image.id if base not in self._ids else None
            stem = PurePath(name).stem
            self.stems[stem] = image.id if stem not in self.stems else None

    def __call__(self, source: str) -> int | None:
        """Return the id of the image, or None where the annotations are not about it."""
        parts = source.replace("\\", "/").split("/")
        for i in range(len(parts)):  # the longest ending that the annotations know
            found = self._ids.get("/".join(parts[i:]))
            if found is not None:
                return found
        return None


def read(path: str | Path, images: Sequence[AnnotatedImage]) -> Predictions:
    """Read earlier results about annotated images.

    Args:
        path: JSON Lines of ``limner run --jsonl``, COCO results, or a folder of MMPose's JSON files, one an image.
        images: of the annotations.

    Raises:
        InputError: it cannot be read, is in another form, or is about none of the images.
    """
    path = expanded(path)
    found = Instances()
    try:
        if path.is_dir():
            _folder(path, ImageNames(images), found)
        elif _is_json_lines(path):
            _json_lines(path, ImageNames(images), found)
        else:
            _coco_results(load_json(path), {image.id for image in images}, found)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise InputError(
            f"'{path}' holds no results that can be read: {why(error)}; JSON Lines of "
            "limner run --jsonl, COCO results, and folders of MMPose's JSON files can be"
        ) from None
    done = found.done(str(path))
    if not done.known:
        example = images[0].file_name if images else "none"
        raise InputError(f"'{path}' is about none of the annotated images (such as '{example}')")
    return done


def _is_json_lines(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            first = file.readline(1 << 20)
        record = json.loads(first)
    except OSError as error:
        raise InputError(f"'{path}' cannot be read: {error.strerror or error}") from None
    except ValueError:
        return False
    return isinstance(record, dict) and ("limner" in record or "source" in record)


def _json_lines(path: Path, names: ImageNames, found: Instances) -> None:
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break  # cut short, as by a kill
            record = json.loads(line)
            if "instances" not in record:
                continue
            image_id = names(record["source"])
            if image_id is not None:
                found.set_name = str(record.get("keypoint_set", ""))
                _mmpose(record["instances"], image_id, found)


def _folder(folder: Path, names: ImageNames, found: Instances) -> None:
    files = sorted(folder.glob("*.json"))
    if not files:
        raise InputError(f"'{folder}' has no JSON file")
    for file in files:
        image_id = names.stems.get(file.stem)
        if image_id is None:
            continue
        content = load_json(file)
        if isinstance(content, Mapping):  # of MMPose's demos
            content = content["instance_info"]
        _mmpose(content, image_id, found)


def _mmpose(instances: Sequence[Mapping[str, Any]], image_id: int, found: Instances) -> None:
    found.look(image_id)
    for one in instances:
        box = one.get("bbox")
        box = None if box is None else np.asarray(box, np.float64).reshape(-1)[:4]
        scores = one.get("keypoint_scores")
        scores = np.ones(len(one["keypoints"])) if scores is None else scores
        found.add(image_id, one["keypoints"], scores, box, float(one.get("bbox_score", 1.0)))


def _coco_results(content: Any, ids: set[int], found: Instances) -> None:
    if not isinstance(content, list):
        raise ValueError(f"a {type(content).__name__} where a list is needed")
    for one in content:
        if one["image_id"] not in ids:
            continue
        values = np.asarray(one["keypoints"], np.float64).reshape(-1, 3)
        box = one.get("bbox")
        if box is not None:
            x, y, w, h = map(float, box)
            box = (x, y, x + w, y + h)
        score = float(one["score"])
        found.add(one["image_id"], values[:, :2], values[:, 2], box, float(one.get("bbox_score", score)), score)
    if found.any:
        for image_id in ids:  # the form has no place for images in which nothing was found
            found.look(image_id)


def check(predictions: Predictions, images: Sequence[AnnotatedImage]) -> str:
    """Return a sentence about images that the results say nothing of, or an empty text."""
    missing = [image.file_name for image in images if image.id not in predictions.known]
    if not missing:
        return ""
    return (
        f"the results are silent about {len(missing)} of {len(images)} images, such as '{missing[0]}': "
        "nothing counts as found there"
    )


def coco_json(predictions: Predictions) -> bytes:
    """Return the instances as COCO results, which `read` reads; what has no coordinates is left out."""
    entries = []
    for i in np.flatnonzero(np.isfinite(predictions.keypoints).all(axis=(1, 2))).tolist():
        x1, y1, x2, y2 = predictions.boxes[i].tolist()
        values = np.column_stack([predictions.keypoints[i], predictions.keypoint_scores[i]])
        entry = {
            "image_id": int(predictions.image_ids[i]),
            "category_id": 1,
            "keypoints": values.ravel().tolist(),
            "score": float(predictions.scores[i]),
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "bbox_score": float(predictions.box_scores[i]),
        }
        entries.append(json.dumps(entry, separators=(",", ":")))
    return ("[" + ",\n".join(entries) + "]\n").encode()
