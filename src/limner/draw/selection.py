"""The parts of a keypoint set by name, body, face, hands and feet, and results of some of them."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

import numpy as np

from ..errors import ArgumentError, said, suggest
from ..keypoints import KeypointSet
from ..types import Poses, Result

PARTS = ("body", "feet", "face", "hands", "left_hand", "right_hand")
_SAME = {"foot": "feet", "hand": "hands", "faces": "face", "bodies": "body"}

_FINGERS = re.compile(r"(?:(left|right)_)?(?:hand_root|thumb|forefinger|index_finger|middle_finger|ring_finger|pinky)")
_FOOT = re.compile(r"(?:left|right)_(?:ankle|(?:big_|small_)?toe|heel)")
_TOES = re.compile(r"(?:left|right)_(?:(?:big_|small_)?toe|heel)")


def part_names(given: object) -> tuple[str, ...]:
    """Return the names of parts that a user gives as a sequence, or as words with commas between them.

    Raises:
        ArgumentError: there is no such part, or none is given.
    """
    words = [word for word in given.split(",") if word.strip()] if isinstance(given, str) else given
    if not isinstance(words, (list, tuple)) or not words:
        raise ArgumentError(f"parts is {said(given)} where names such as 'face,hands' are needed")
    names = []
    for word in words:
        name = str(word).strip().lower().replace("-", "_").replace(" ", "_")
        name = _SAME.get(name, name)
        if name not in PARTS:
            raise ArgumentError(
                f"no part is called {said(word)}.{suggest(name, PARTS)} The parts are {', '.join(PARTS)}."
            )
        names.append(name)
    return tuple(dict.fromkeys(names))


@lru_cache(maxsize=64)
def names_of(keypoint_set: KeypointSet) -> tuple[str, ...]:
    """Return what each part of a set is, in the order of `KeypointSet.parts`.

    Returns:
        "body", "face", "hand", "left_hand", "right_hand", or "points" where nothing says what they are.
    """
    return tuple(_name_of(keypoint_set, part) for part in keypoint_set.parts)


def _name_of(keypoint_set: KeypointSet, part: np.ndarray) -> str:
    names = [keypoint_set.names[i] for i in part.tolist()]
    fingers = [match for match in map(_FINGERS.match, names) if match]
    if 2 * len(fingers) > len(names):
        return f"{fingers[0][1]}_hand" if fingers[0][1] else "hand"
    members = set(part.tolist())
    if any(members & set(contour.indices) for contour in keypoint_set.contours) or names[0].startswith("face"):
        return "face"
    linked = len(np.intersect1d(part, keypoint_set.skeleton))
    return "body" if linked else "points"


def members(keypoint_set: KeypointSet, name: str) -> np.ndarray:
    """Return the keypoints of a part, int64; none where the set has no such part. The feet are part of the body."""
    if name == "feet":
        if not any(map(_TOES.fullmatch, keypoint_set.names)):
            return np.zeros(0, np.int64)
        return np.array([i for i, n in enumerate(keypoint_set.names) if _FOOT.fullmatch(n)], np.int64)
    wanted = {"hands": ("left_hand", "right_hand", "hand"), "body": ("body", "points")}.get(name, (name,))
    parts = zip(names_of(keypoint_set), keypoint_set.parts, strict=True)
    return np.concatenate([np.zeros(0, np.int64), *(part for own, part in parts if own in wanted)])


def select(result: Result, names: tuple[str, ...]) -> Result:
    """Return a result in which only some parts can be seen: the scores of all other keypoints are minus infinity.

    Raises:
        ArgumentError: the keypoint set lacks one of them.
    """
    known = result.keypoint_set
    shown = np.zeros(len(known), bool)
    for name in names:
        own = members(known, name)
        if not len(own):
            has = [part for part in PARTS if len(members(known, part))]
            raise ArgumentError(
                f"keypoint set '{known.name}' has no part '{name}', only {', '.join(has)}: choose among these"
            )
        shown[own] = True
    if not len(result):
        return result
    scores = np.where(shown, result.poses.scores, -np.inf).astype(np.float32)
    return replace(result, poses=Poses(result.poses.keypoints, scores, result.poses.heatmaps))
