"""COCO annotations: what was found as ground truth, for annotation tools such as CVAT, and for training."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..files import compact_json
from ..keypoints import KeypointSet
from ..types import Result
from .coco import ImageIds, boxes_xywh, category_name, file_name, finite, found, links
from .rows import unique_names
from .run_info import RunInfo
from .whole import DeferredWriter, open_whole

ABSENT, HIDDEN, VISIBLE = 0, 1, 2  # the v of a keypoint


class CocoAnnotationsWriter(DeferredWriter):
    """Writes a COCO annotation file: images, categories with names and skeleton, and one annotation an instance.

    A keypoint that scores at least ``keypoint_thr`` is visible (v = 2), one below it occluded (1), and one without
    coordinates absent (0, 0, 0). Frames of a video are images named ``clip/frame_000012.png``. Beside what COCO
    knows, an image has ``source``, ``frame_id`` and ``timestamp``, an annotation ``score``, ``keypoint_scores`` and,
    where people are tracked, ``track_id``; ``info`` has the model and the hash of its weights.

    The file is made when the writer is closed; until then the lists are in temporary files, not in memory.

    Args:
        path: the file; an existing one is replaced.
        info: what made the results.
        image_ids: ids by ``file_name``; None counts them, see `coco.ImageIds`.
        keypoint_thr: the least score of a visible keypoint.
        category: name of the object; None takes that of the keypoint set: "person", "face", "hand" ...

    Raises:
        OutputError: the file cannot be created or written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        info: RunInfo | None = None,
        *,
        image_ids: Mapping[str, int] | None = None,
        keypoint_thr: float = 0.3,
        category: str | None = None,
    ) -> None:
        super().__init__(path, info)
        self._ids = ImageIds(image_ids)
        self._threshold = keypoint_thr
        self._category = category
        self._annotations = 0
        self._spools = [tempfile.TemporaryFile(dir=self.folder) for _ in range(2)]  # noqa: SIM115 - _release

    def _add(self, result: Result) -> None:
        image_id = self._ids.of(result)
        image = {
            "id": image_id,
            "file_name": file_name(result),
            "width": int(result.size[0]),
            "height": int(result.size[1]),
            "source": result.source,
            "frame_id": result.index,
            "timestamp": round(float(result.timestamp), 6),
        }
        entries = coco_annotations(result, image_id, keypoint_thr=self._threshold)
        for entry in entries:
            self._annotations += 1
            entry["id"] = self._annotations
        for spool, values in zip(self._spools, ([image], entries), strict=True):
            for value in values:
                spool.write((",\n" if spool.tell() else "\n").encode() + compact_json(value).encode("ascii"))

    def _finish(self) -> None:
        made_by = {"description": "keypoints found by limner, not checked by a person", **self.info.fields()}
        with open_whole(self.path) as file:
            file.write(b'{"info":' + compact_json(made_by).encode("ascii") + b',\n"licenses":[],\n"categories":')
            categories = [] if self.keypoint_set is None else [coco_category(self.keypoint_set, self._category)]
            file.write(compact_json(categories).encode("ascii"))
            for key, spool in zip((b"images", b"annotations"), self._spools, strict=True):
                spool.seek(0)
                file.write(b',\n"' + key + b'":[')
                shutil.copyfileobj(spool, file)
                file.write(b"]")
            file.write(b"}\n")

    def _release(self) -> None:
        for spool in self._spools:
            spool.close()


def coco_category(keypoint_set: KeypointSet, name: str | None = None) -> dict[str, Any]:
    """Return the category of a keypoint set: its name, keypoint names and skeleton, counted from 1."""
    name = name or category_name(keypoint_set)
    return {
        "id": 1,
        "name": name,
        "supercategory": name,
        "keypoints": list(unique_names(keypoint_set.names)),
        "skeleton": links(keypoint_set),
        "keypoint_set": keypoint_set.name,
    }


def coco_annotations(result: Result, image_id: int, *, keypoint_thr: float = 0.3) -> list[dict[str, Any]]:
    """Return the instances of one image as COCO annotations, without their ``id``."""
    there, scores, boxes = found(result), finite(result.poses.scores), boxes_xywh(result)
    visibility = np.where(there, np.where(scores >= keypoint_thr, VISIBLE, HIDDEN), ABSENT)
    keypoints = np.where(there[..., None], finite(result.poses.keypoints), 0)
    entries: list[dict[str, Any]] = []
    for i in range(len(result)):
        points: list[float] = []
        for (x, y), v in zip(keypoints[i].tolist(), visibility[i].tolist(), strict=True):
            points += (x, y, v)  # v is a whole number: CVAT refuses others
        entry = {
            "id": 0,
            "image_id": image_id,
            "category_id": 1,
            "keypoints": points,
            "num_keypoints": int((visibility[i] > 0).sum()),
            "bbox": boxes[i],
            "area": float(boxes[i][2]) * float(boxes[i][3]),
            "iscrowd": 0,
            "segmentation": [],
            "score": finite(result.boxes.scores)[i],
            "keypoint_scores": scores[i],
        }
        if result.track_ids is not None:
            entry["track_id"] = int(result.track_ids[i])
        entries.append(entry)
    return entries
