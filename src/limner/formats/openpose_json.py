"""OpenPose's JSON: one file for each frame in a folder, as Pose2Sim, Sports2D and many older tools read it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from ..errors import ArgumentError, expanded
from ..files import compact_json, create_folder, write_atomically
from ..keypoints import KeypointSet
from ..types import Result
from .coco import finite, found
from .run_info import RunInfo
from .whole import remove_earlier, same_keypoints

# names of limner's keypoints in OpenPose's order; a point that a set lacks is the mean of its _BETWEEN
_BODY = (
    *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("right_eye", "left_eye", "right_ear", "left_ear"),
)
_FEET = ("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel")
BODIES = {18: _BODY, 25: (*_BODY[:8], "hip", *_BODY[8:], *_FEET)}
_BETWEEN = {"neck": ("left_shoulder", "right_shoulder"), "hip": ("left_hip", "right_hip")}
_FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
_HAND = tuple(f"{finger}{joint}" for finger in _FINGERS for joint in (1, 2, 3, 4))
_FACES = ("300w-68", "coco-wholebody-face-68")
_FACE_POINTS, _PUPILS = 68, 2  # OpenPose's 70: the pupils come last

Origins = list[tuple[int, ...]]  # for each point the keypoints that it lies between; none where it is never found


@dataclass(frozen=True)
class OpenPoseLayout:
    """From which keypoints the four lists of a person are made; an empty list stays empty."""

    body: Origins
    face: Origins
    left_hand: Origins
    right_hand: Origins

    @classmethod
    def of(cls, keypoint_set: KeypointSet) -> OpenPoseLayout:
        """Return the layout for a keypoint set: 18 or 25 points of the body, 70 of the face, 21 of each hand.

        A hand by itself has no side: it is written as a left one.

        Raises:
            ArgumentError: OpenPose has no points for this set.
        """
        index = {name: i for i, name in enumerate(keypoint_set.names)}
        hands = [
            _named(index, [f"{side}_hand_root", *(f"{side}_{name}" for name in _HAND)]) for side in ("left", "right")
        ]
        if not hands[0]:
            hands[0] = _named(index, ["wrist", *_HAND])
        face = _named(index, [f"face-{i}" for i in range(_FACE_POINTS)])
        if keypoint_set.name in _FACES:
            face = [(i,) for i in range(_FACE_POINTS)]
        if face:
            face += [()] * _PUPILS
        body = _named(index, BODIES[25]) or _named(index, BODIES[18])
        if not (body or face or hands[0] or hands[1]):
            raise ArgumentError(
                f"keypoint set '{keypoint_set.name}' has no counterpart in OpenPose; the form 'pose2sim' writes "
                "its points in their own order"
            )
        return cls(body, face, *hands)

    @classmethod
    def same_order(cls, keypoint_set: KeypointSet) -> OpenPoseLayout:
        """Return a layout with all keypoints in the body's list, in their own order."""
        return cls([(i,) for i in range(len(keypoint_set))], [], [], [])


def _named(index: dict[str, int], names: Sequence[str]) -> Origins:
    """Return where the named points come from, or nothing if one of them is missing."""
    origins: Origins = []
    for name in names:
        parts = (name,) if name in index else _BETWEEN.get(name, (name,))
        if not all(part in index for part in parts):
            return []
        origins.append(tuple(index[part] for part in parts))
    return origins


class OpenPoseWriter:
    """Writes a folder ``CAMERA_json`` with ``CAMERA_000000.json`` for the first frame of a video, and so on.

    Each frame of the source has a file, one without people or without a result (a skipped frame) an empty list, so
    that the number in a name is that of the frame. A point that was not found is (0, 0, 0), a person without any
    point is left out. ``person_id`` is the track id, or -1. Beside OpenPose's keys a file has ``image_size``,
    ``timestamp`` and ``source``, and what made it. Boxes and names of keypoints have no place.

    Args:
        folder: the folder; files of an earlier run are removed, others stay. Pose2Sim tells cameras apart by the last
            number in its name, and needs the name to contain "json".
        info: what made the results.
        stem: what the names of files begin with; None takes the folder's name without "_json".
        native: write all points in the order of the model into ``pose_keypoints_2d``, which is how Pose2Sim reads
            HALPE_26, COCO_133 and COCO_17, instead of OpenPose's 18 or 25, face and hands.

    Raises:
        OutputError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        info: RunInfo | None = None,
        *,
        stem: str | None = None,
        native: bool = False,
    ) -> None:
        self.path = expanded(folder)
        self.info = info or RunInfo()
        self.frames = 0  # files written
        self._stem = stem or self.path.name.removesuffix("_json") or "frame"
        self._native = native
        self._layout: OpenPoseLayout | None = None
        self._keypoint_set: KeypointSet | None = None
        create_folder(self.path)
        remove_earlier(self.path, re.compile(re.escape(self._stem) + r"_\d{6,}\.json"))

    def write(self, result: Result) -> None:
        """Write the file of the next frame.

        Raises:
            ArgumentError: OpenPose has no counterpart of the keypoints, or they are others than before.
            OutputError: it cannot be written.
        """
        self._keypoint_set = same_keypoints(self._keypoint_set, result, self.path)
        if self._layout is None:
            layout = OpenPoseLayout.same_order if self._native else OpenPoseLayout.of
            self._layout = layout(self._keypoint_set)
        while self.frames < result.index:
            self._write_file([], {})
        self._write_file(openpose_people(result, self._layout), _head(result, self.info))

    def _write_file(self, people: list[dict[str, object]], head: dict[str, object]) -> None:
        path = self.path / f"{self._stem}_{self.frames:06d}.json"  # the last number in the name is the frame
        write_atomically(path, compact_json({"version": 1.3, "people": people, **head}).encode("ascii"))
        self.frames += 1

    def close(self) -> None:
        """Nothing stays open between two files."""

    def __enter__(self) -> OpenPoseWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def write_openpose_image(
    path: str | os.PathLike[str], result: Result, info: RunInfo | None = None, *, native: bool = False
) -> None:
    """Write the file of one image, which OpenPose calls ``NAME_keypoints.json``.

    Raises:
        ArgumentError: OpenPose has no counterpart of the keypoints.
        OutputError: it cannot be written.
    """
    layout = OpenPoseLayout.same_order if native else OpenPoseLayout.of
    people = openpose_people(result, layout(result.keypoint_set))
    head = _head(result, info or RunInfo())
    write_atomically(expanded(path), compact_json({"version": 1.3, "people": people, **head}).encode("ascii"))


def openpose_people(result: Result, layout: OpenPoseLayout) -> list[dict[str, object]]:
    """Return the people of one frame as OpenPose writes them."""
    there = found(result) & np.isfinite(result.poses.scores) & (result.poses.scores > 0)
    values = np.concatenate([finite(result.poses.keypoints), finite(result.poses.scores)[..., None]], axis=2)
    values[~there] = 0
    lists = {
        "pose_keypoints_2d": layout.body,
        "face_keypoints_2d": layout.face,
        "hand_left_keypoints_2d": layout.left_hand,
        "hand_right_keypoints_2d": layout.right_hand,
    }
    people = []
    for i in range(len(result)):
        points = {key: _gather(values[i], origins) for key, origins in lists.items()}
        if any(flat.any() for flat in points.values()):
            person: dict[str, object] = {"person_id": [-1 if result.track_ids is None else int(result.track_ids[i])]}
            people.append({**person, **points, **{key.replace("_2d", "_3d"): [] for key in lists}})
    return people


def _gather(values: np.ndarray, origins: Origins) -> np.ndarray:
    """Return x, y and score of each point in turn; one between two others has the lesser score of the two."""
    points = np.zeros((len(origins), 3), np.float32)
    for row, parts in zip(points, origins, strict=True):
        chosen = values[list(parts)]
        if len(chosen) and (chosen[:, 2] > 0).all():
            row[:2], row[2] = chosen[:, :2].mean(axis=0), chosen[:, 2].min()
    return points.ravel()


def _head(result: Result, info: RunInfo) -> dict[str, object]:
    made_by = info.fields()
    return {
        "image_size": list(result.size),
        "timestamp": round(float(result.timestamp), 6),
        "source": result.source,
        "keypoint_set": result.keypoint_set.name,
        "limner": made_by.pop("version", ""),
        **made_by,
    }
