"""Reads annotated keypoints: COCO's form, COCO-WholeBody's, and the lists of MPII that MMPose ships."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, expanded

# COCO-WholeBody's parts in the order of its 133 keypoints: key of the points, their number
_WHOLE_BODY = {"keypoints": 17, "foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}
# keypoints of a model -> its parts of COCO-WholeBody: key of the points, of the box, of whether it is annotated
_PARTS = {
    68: (("face_kpts", "face_box", "face_valid"),),
    21: (("lefthand_kpts", "lefthand_box", "lefthand_valid"), ("righthand_kpts", "righthand_box", "righthand_valid")),
}
_MPII_BOX = 200  # pixels for a scale of 1


@dataclass(frozen=True)
class AnnotatedImage:
    """An image that annotations are about."""

    id: int
    file_name: str


@dataclass(frozen=True, eq=False)
class Annotations:
    """What is true: N instances of K keypoints in some images."""

    source: str
    images: tuple[AnnotatedImage, ...]
    image_ids: np.ndarray  # int64 [N], of the images
    keypoints: np.ndarray  # float64 [N, K, 2], (x, y) pixels
    visibility: np.ndarray  # int64 [N, K]: 0 is not annotated, 1 hidden, 2 visible
    boxes: np.ndarray  # float64 [N, 4], x1, y1, x2, y2 in pixels
    areas: np.ndarray  # float64 [N], pixels
    crowd: np.ndarray  # bool [N]: a group without keypoints of its own
    head_sizes: np.ndarray  # float64 [N], pixels; NaN where the file has none
    category_ids: np.ndarray  # int64 [N]
    names: tuple[str, ...] = ()  # K names, where the file has them
    counted: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # int64 [N], num_keypoints

    def __len__(self) -> int:
        return len(self.keypoints)


def read(path: str | Path, keypoints: int | None = None) -> Annotations:
    """Read an annotation file.

    Args:
        path: of a JSON file: COCO's form, with or without COCO-WholeBody's parts, or MPII's list.
        keypoints: the number K that results have; of COCO-WholeBody 133, 68 (faces), 21 (hands) or 17 are taken.

    Raises:
        InputError: there is no such file, it is in another form, or it has another number of keypoints.
    """
    path = expanded(path)
    content = load_json(path)
    if isinstance(content, Mapping) and {"images", "annotations"} <= content.keys():
        found = _coco(path, content, keypoints)
    elif isinstance(content, list) and content and isinstance(content[0], Mapping) and "joints" in content[0]:
        found = _mpii(path, content)
    else:
        raise InputError(
            f"'{path}' is no annotation file: it needs 'images' and 'annotations' as COCO has them, or a list with "
            "'joints' as MPII has it"
        )
    if keypoints is not None and found.keypoints.shape[1] != keypoints:
        raise InputError(
            f"'{path}' has {found.keypoints.shape[1]} keypoints where the results have {keypoints}; "
            "take a model or a file that fits"
        )
    return found


def load_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        InputError: it cannot be read, or is no JSON.
    """
    if path.exists() and not path.is_file():  # a device may never end
        raise InputError(f"'{path}' is a folder or device where a file is needed: give one")
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"'{path}' cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"'{path}' is no JSON: {error}") from None


def why(error: Exception) -> str:
    """Return what is wrong with a record, for a message."""
    if isinstance(error, KeyError):
        return f"an entry lacks {error}"
    text = str(error)
    return text if text.startswith("annotations of ") else "an entry holds something else than is needed"


def _coco(path: Path, content: Mapping[str, Any], keypoints: int | None) -> Annotations:
    try:
        images = tuple(AnnotatedImage(int(i["id"]), str(i["file_name"])) for i in content["images"])
        entries: list[Mapping[str, Any]] = list(content["annotations"])
        rows = _rows(entries, keypoints)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"'{path}' is no COCO annotation file: {why(error)}") from None
    if not rows:
        raise InputError(f"'{path}' has no annotation with keypoints")
    known = {image.id for image in images}
    _check(path, images, entries, rows)
    if lost := next((row["image_id"] for row in rows if row["image_id"] not in known), None):
        raise InputError(f"'{path}' has an annotation of image {lost}, which is not among its images")
    names: Sequence[str] = ()
    for category in content.get("categories") or ():
        if isinstance(category, Mapping) and len(category.get("keypoints") or ()) == rows[0]["points"].shape[0]:
            names = [str(name) for name in category["keypoints"]]
            break
    return _annotations(path, images, rows, names)


def _check(
    path: Path,
    images: Sequence[AnnotatedImage],
    entries: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
) -> None:
    """Check that nothing is there twice, and that boxes can be.

    Raises:
        InputError: something is not so, which would give wrong numbers.
    """
    numbers = [image.id for image in images], [entry["id"] for entry in entries if "id" in entry]
    for what, ids in zip(("image", "annotation"), numbers, strict=True):
        if twice := next((i for i, count in Counter(ids).items() if count > 1), None):
            raise InputError(f"'{path}' has two {what}s with the id {twice}")
    for row in rows:
        x1, y1, x2, y2 = row["box"]
        if not np.isfinite(row["points"]).all() or not np.isfinite(row["box"]).all():
            raise InputError(f"'{path}' has an annotation of image {row['image_id']} with a number that is not finite")
        if (row["points"][:, 2] > 0).any() and not row["crowd"] and not (x2 > x1 and y2 > y1):
            raise InputError(
                f"'{path}' has an annotation of image {row['image_id']} with keypoints and the box "
                f"{[x1, y1, x2 - x1, y2 - y1]}, which has no area"
            )


def _rows(entries: Sequence[Mapping[str, Any]], keypoints: int | None) -> list[dict[str, Any]]:
    """Return the instances of COCO annotations, of the part that has so many keypoints."""
    whole = bool(entries) and "face_kpts" in entries[0]
    rows = []
    for entry in entries:
        if whole and keypoints in _PARTS:
            for points, box, valid in _PARTS[keypoints]:
                if entry.get(valid):
                    rows.append(_row(entry, np.asarray(entry[points], np.float64), entry[box], area=None))
            continue
        if "keypoints" not in entry:
            continue
        values = np.asarray(entry["keypoints"], np.float64)
        if whole and keypoints == sum(_WHOLE_BODY.values()):
            values = np.concatenate([np.asarray(entry[key], np.float64) for key in _WHOLE_BODY])
        rows.append(_row(entry, values, entry.get("bbox"), area=entry.get("area")))
    sizes = {row["points"].shape[0] for row in rows}
    if len(sizes) > 1:
        raise ValueError(f"annotations of {min(sizes)} and of {max(sizes)} keypoints")
    return rows


def _row(entry: Mapping[str, Any], values: np.ndarray, bbox: Any, *, area: Any) -> dict[str, Any]:
    points = values.reshape(-1, 3)
    seen = points[points[:, 2] > 0, :2]
    if bbox is None:  # the points span it
        low, high = (seen.min(axis=0), seen.max(axis=0)) if len(seen) else (np.zeros(2), np.zeros(2))
        bbox = (*low, *(high - low))
    x, y, w, h = map(float, bbox)
    return {
        "image_id": int(entry["image_id"]),
        "points": points,
        "box": (x, y, x + w, y + h),
        "area": w * h if area is None else float(area),
        "crowd": bool(entry.get("iscrowd", 0)),
        "head": float(entry.get("head_size", np.nan)),
        "category": int(entry.get("category_id", 1)),
        "counted": int(entry.get("num_keypoints", (points[:, 2] > 0).sum())),
    }


def _mpii(path: Path, content: Sequence[Mapping[str, Any]]) -> Annotations:
    """Read the list that MMPose ships for MPII, whose numbers count from 1, as MMPose does."""
    images: dict[str, AnnotatedImage] = {}
    rows = []
    try:
        for entry in content:
            image = images.setdefault(entry["image"], AnnotatedImage(len(images) + 1, entry["image"]))
            center, side = np.asarray(entry["center"], np.float64), _MPII_BOX * float(entry["scale"])
            if center[0] != -1:
                center[1] += 15 * float(entry["scale"])
            center -= 1
            joints = np.asarray(entry["joints"], np.float64) - 1
            visible = np.asarray(entry.get("joints_vis", np.ones(len(joints))), np.float64) > 0
            points = np.column_stack([joints, np.where(visible, 2.0, 0.0)])
            box = (*(center - side / 2), side, side)
            rows.append(_row({"image_id": image.id, **entry}, points.ravel(), box, area=None))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(f"'{path}' is no annotation file of MPII: {why(error)}") from None
    return _annotations(path, tuple(images.values()), rows, ())


def _annotations(
    path: Path, images: tuple[AnnotatedImage, ...], rows: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> Annotations:
    points = np.stack([row["points"] for row in rows])
    return Annotations(
        source=str(path),
        images=images,
        image_ids=np.array([row["image_id"] for row in rows], np.int64),
        keypoints=points[..., :2],
        visibility=points[..., 2].astype(np.int64),
        boxes=np.array([row["box"] for row in rows], np.float64),
        areas=np.array([row["area"] for row in rows], np.float64),
        crowd=np.array([row["crowd"] for row in rows], bool),
        head_sizes=np.array([row["head"] for row in rows], np.float64),
        category_ids=np.array([row["category"] for row in rows], np.int64),
        names=tuple(names),
        counted=np.array([row["counted"] for row in rows], np.int64),
    )
