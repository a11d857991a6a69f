"""Keypoint sets: names, skeleton, colours and flip pairs of a model's K keypoints.

Each set is one JSON file beside this module. Names, order, links, colours, sigmas and mirror pairs
are those of the data set of the same name in MMPose 1.x; the contours of faces are ours, and so are the names
of the 68 points that MMPose only numbers (left and right are the person's). All
colours here are RGB, as MMPose writes them; images elsewhere in limner are BGR.
"""

from __future__ import annotations

import colorsys
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache, cached_property
from importlib import resources
from typing import Any, TypeGuard

import numpy as np

from ..errors import ArgumentError, suggest

# MMPose's data set name, or the name of its file in configs/_base_/datasets -> our set.
# Data sets that share one layout share one set: 300VW and 300W-LP are annotated like 300-W.
_MMPOSE_NAMES = {
    "coco": "coco-17",
    "humanart": "coco-17",
    "human-art": "coco-17",
    "ochuman": "coco-17",
    "halpe26": "halpe-26",
    "coco_wholebody": "coco-wholebody-133",
    "ubody2d": "coco-wholebody-133",
    "h3wb": "coco-wholebody-133",
    "coco_wholebody_face": "coco-wholebody-face-68",
    "coco_wholebody_hand": "coco-wholebody-hand-21",
    "lapa": "lapa-106",
    "wflw": "wflw-98",
    "300w": "300w-68",
    "300vw": "300w-68",
    "300wlp": "300w-68",
    "300w_lp": "300w-68",
    "cofw": "cofw-29",
    "aflw": "aflw-19",
    "onehand10k": "onehand10k-21",
    "freihand": "onehand10k-21",
    "freihand2d": "onehand10k-21",
    "panoptic_hand2d": "onehand10k-21",
    "ap10k": "ap10k-17",
    "aic": "aic-14",
    "coco_aic": "coco-aic-19",
    "humanart_aic": "coco-aic-19",
    "crowdpose": "crowdpose-14",
    "exlpose": "exlpose-14",
    "h36m": "h36m-17",
    "halpe": "halpe-136",
    "humanart21": "humanart-21",
    "jhmdb": "jhmdb-15",
    "mhp": "mhp-16",
    "mpi_inf_3dhp": "mpi-inf-3dhp-17",
    "mpii": "mpii-16",
    "mpii_trb": "mpii-trb-40",
    "posetrack18": "posetrack18-17",
    "rhd2d": "rhd2d-21",
    "interhand2d": "interhand2d-21",
    "interhand3d": "interhand3d-42",
    "ak": "animal-kingdom-23",
    "animal kingdom": "animal-kingdom-23",
    "animalpose": "animalpose-20",
    "atrw": "atrw-15",
    "horse10": "horse10-22",
    "macaque": "macaque-17",
    "zebra": "zebra-9",
    "fly": "fly-32",
    "locust": "locust-35",
    "deepfashion_full": "deepfashion-full-8",
    "deepfashion_lower": "deepfashion-lower-4",
    "deepfashion_upper": "deepfashion-upper-6",
}
_NAMES = tuple(dict.fromkeys(_MMPOSE_NAMES.values()))
_ALIASES = {"hand-21": "onehand10k-21"}
_OF_KIND = {
    "face": ("lapa-106", "wflw-98", "300w-68", "coco-wholebody-face-68", "cofw-29", "aflw-19"),
    "hand": ("coco-wholebody-hand-21", "onehand10k-21", "rhd2d-21", "interhand2d-21", "interhand3d-42"),
    "animal": (
        *("ap10k-17", "animal-kingdom-23", "animalpose-20", "atrw-15", "horse10-22", "macaque-17"),
        "zebra-9",
    ),
    "instance": ("fly-32", "locust-35", "deepfashion-full-8", "deepfashion-lower-4", "deepfashion-upper-6"),
}
_KINDS = {name: kind for kind, sets in _OF_KIND.items() for name in sets}
KEYPOINT_COLOR, LINK_COLOR = (255, 128, 0), (96, 96, 255)  # where a data set gives none: MMPose's
_FOLDER = "_base_/datasets"  # of MMPose's data set files


@dataclass(frozen=True)
class Contour:
    """A line through keypoints of a face: ``closed`` where the last point joins the first."""

    name: str  # e.g. "jaw", "left_eye" (the person's left), "outer_lips"
    closed: bool
    indices: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class KeypointSet:
    """K keypoints of one kind of object."""

    name: str
    names: tuple[str, ...]  # K names, in the order of a model's output
    skeleton: np.ndarray  # int64 [L, 2], pairs of keypoint indices
    link_colors: np.ndarray  # uint8 [L, 3], RGB
    keypoint_colors: np.ndarray  # uint8 [K, 3], RGB
    sigmas: np.ndarray  # float32 [K] of the OKS metric, or [0] where the data set gives none
    flip_indices: np.ndarray  # int64 [K], the keypoint that each one becomes in a mirrored image
    contours: tuple[Contour, ...] = ()
    licence: str = ""  # of the data set that defines the keypoints
    source: str = ""
    mmpose_names: tuple[str, ...] = ()  # K names that MMPose has for them, where they are others

    def __post_init__(self) -> None:
        k, links = len(self.names), len(self.skeleton)
        shapes = {
            "skeleton": (links, 2),
            "link_colors": (links, 3),
            "keypoint_colors": (k, 3),
            "flip_indices": (k,),
            "sigmas": (k,) if len(self.sigmas) else (0,),
            "upstream_names": (k,),
        }
        for field, wanted in shapes.items():
            array = np.asarray(getattr(self, field))
            if array.shape != wanted:
                raise ArgumentError(
                    f"keypoint set '{self.name}': {field} has shape {list(array.shape)} where {list(wanted)} is needed"
                )
        used = [self.skeleton.ravel(), self.flip_indices, *(np.array(c.indices) for c in self.contours)]
        if any(i.size and (i.min() < 0 or i.max() >= k) for i in used):
            raise ArgumentError(f"keypoint set '{self.name}' refers to a keypoint outside 0..{k - 1}")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def upstream_names(self) -> tuple[str, ...]:
        """The names of the K keypoints in MMPose: ``dataset_meta`` of its checkpoints has these."""
        return self.mmpose_names or self.names

    def __repr__(self) -> str:
        return f"KeypointSet({self.name}, {len(self)} keypoints)"

    def __reduce__(self) -> Any:
        """Pickle one of limner's own sets as its name: results that travel between processes stay small."""
        if self.name in _NAMES and self is _read(self.name):
            return load, (self.name,)
        return _build, tuple(getattr(self, f.name) for f in fields(self))

    @property
    def kind(self) -> str:
        """What has these keypoints: "person", "face", "hand", "animal", or "instance" where that is not known."""
        body = {"left_shoulder", "right_shoulder", "left_hip", "right_hip"} <= set(self.names)
        ours = self.name in _NAMES  # all others of limner are of people
        return _KINDS.get(self.name, "person" if body or ours else "instance")

    @cached_property
    def parts(self) -> tuple[np.ndarray, ...]:
        """Keypoints that belong together, each part an int64 array of indices.

        Those that the skeleton connects form a part (a body, a hand), those without any link
        form one more (the points of a face).
        """
        part = np.arange(len(self.names))
        for a, b in self.skeleton:
            part[part == part[b]] = part[a]
        part[np.setdiff1d(part, self.skeleton)] = -1
        return tuple(np.flatnonzero(part == p) for p in np.unique(part))


def names() -> list[str]:
    """Return the names of all sets that `load` knows."""
    return list(_NAMES)


def load(name: str) -> KeypointSet:
    """Return the keypoint set called ``name``; an unknown name is an ArgumentError."""
    name = _ALIASES.get(name, name)
    if name not in _NAMES:
        raise ArgumentError(
            f"no keypoint set is called '{name}'.{suggest(name, _NAMES)} The known sets are {', '.join(_NAMES)}."
        )
    return _read(name)


@cache
def _read(name: str) -> KeypointSet:
    data = json.loads((resources.files(__name__) / f"{name}.json").read_text("utf-8"))
    data["contours"] = tuple(Contour(c["name"], c["closed"], tuple(c["indices"])) for c in data["contours"])
    if isinstance(data["names"], str):  # the same points as those of another set
        data["names"] = _read(data["names"]).names
    if pattern := data.pop("mmpose_names", ""):
        data["mmpose_names"] = tuple(pattern.format(i) for i in range(len(data["names"])))
    return _build(**data)


def _build(
    name: str,
    names: Iterable[str],
    skeleton: Any,
    link_colors: Any,
    keypoint_colors: Any,
    sigmas: Any,
    flip_indices: Any,
    contours: tuple[Contour, ...] = (),
    licence: str = "",
    source: str = "",
    mmpose_names: tuple[str, ...] = (),
) -> KeypointSet:
    """Return a KeypointSet from sequences, which may be empty (``sigmas`` also None)."""
    return KeypointSet(
        name=name,
        names=tuple(names),
        skeleton=_read_only(skeleton, np.int64, 2),
        link_colors=_read_only(link_colors, np.uint8, 3),
        keypoint_colors=_read_only(keypoint_colors, np.uint8, 3),
        sigmas=_read_only(() if sigmas is None else sigmas, np.float32),
        flip_indices=_read_only(flip_indices, np.int64),
        contours=contours,
        licence=licence,
        source=source,
        mmpose_names=mmpose_names,
    )


def _read_only(values: Any, dtype: type[np.generic], *columns: int) -> np.ndarray:
    """Return ``values`` as a read-only array: a set is shared by all who load it."""
    with np.errstate(invalid="raise"):  # NaN is no whole number
        array = np.array(values, dtype).reshape(-1, *columns)
    if array.dtype.kind == "f" and not (np.isfinite(array).all() and (array >= 0).all()):
        raise ValueError("a number that is negative, infinite or NaN")
    array.flags.writeable = False
    return array


def numbered(count: int, name: str = "") -> KeypointSet:
    """Return a set of ``count`` keypoints of which nothing is known: kpt_0, kpt_1, ... without links or flip pairs."""
    hues = [i * 0.618034 % 1 for i in range(count)]  # the golden ratio: neighbours differ
    return _build(
        name=name or f"numbered-{count}",
        names=[f"kpt_{i}" for i in range(count)],
        skeleton=(),
        link_colors=(),
        keypoint_colors=[[round(255 * channel) for channel in colorsys.hsv_to_rgb(hue, 0.8, 1)] for hue in hues],
        sigmas=None,
        flip_indices=range(count),
    )


def by_mmpose_name(name: str) -> KeypointSet:
    """Return the set of an MMPose data set: ``300w``, ``configs/_base_/datasets/300w.py``, ...

    Raises:
        ArgumentError: limner does not have its layout, or the path is not one of MMPose's data set files.
    """
    folder, _, file = name.replace("\\", "/").rpartition("/")
    key = file.removesuffix(".py").lower()
    if key not in _MMPOSE_NAMES or (folder and not f"/{folder}".endswith(f"/{_FOLDER}")):
        raise ArgumentError(
            f"limner has no keypoint set for MMPose's data set '{name}'.{suggest(key, _MMPOSE_NAMES)} "
            f"The known data sets are {', '.join(_MMPOSE_NAMES)}."
        )
    return _read(_MMPOSE_NAMES[key])


def subset(whole: KeypointSet, indices: Iterable[int]) -> KeypointSet:
    """Return the set of some keypoints of a set, with the links and mirror pairs among them."""
    kept = [int(i) for i in indices]
    place = {old: new for new, old in enumerate(kept)}
    links = [i for i, (a, b) in enumerate(whole.skeleton.tolist()) if a in place and b in place]
    found = _build(
        name=_free_name(whole.name.rpartition("-")[0] or whole.name, len(kept)),
        names=[whole.names[i] for i in kept],
        skeleton=[[place[end] for end in whole.skeleton[i].tolist()] for i in links],
        link_colors=whole.link_colors[links],
        keypoint_colors=whole.keypoint_colors[kept],
        sigmas=whole.sigmas[kept] if len(whole.sigmas) else None,
        flip_indices=[place.get(int(whole.flip_indices[i]), place[i]) for i in kept],
    )
    return _with_known(found, "")


def from_dataset_meta(meta: Mapping[str, Any]) -> KeypointSet:
    """Return the set that a checkpoint's ``dataset_meta`` or a config's ``dataset_info`` describes.

    Where it describes the keypoints of a set of limner, the result has its name and contours too; any other
    layout is named after its data set, such as "mpii-16".

    Args:
        meta: MMPose's parsed form (``keypoint_id2name``, ``skeleton_links``, ...) or the form of
            its data set files (``keypoint_info``, ``skeleton_info``, ...). Indices used as keys
            may be strings.

    Raises:
        ArgumentError: the dict has neither form, or its parts contradict each other.
    """
    try:
        given = _from_info(meta) if "keypoint_info" in meta else _from_parsed(meta)
    except ArgumentError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        what, way = "dataset_meta", "keypoint_id2name, keypoint_colors, skeleton_links and flip_indices are needed"
        if "keypoint_info" in meta:
            what, way = "its keypoint_info", "write it as in {0: dict(name='left_eye', swap='right_eye'), ...}"
        why = f"{type(error).__name__}: {str(error)[:200]}"
        raise ArgumentError(f"{what} does not describe keypoints ({why}); {way}") from error
    return _with_known(given, str(meta.get("dataset_name", "")).lower())


def describes_keypoints(meta: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether a dict has one of the forms that `from_dataset_meta` reads."""
    return isinstance(meta, Mapping) and ("keypoint_id2name" in meta or "keypoint_info" in meta)


def _with_known(given: KeypointSet, data_set: str) -> KeypointSet:
    """Return a set with the names and contours of the set of limner that has its keypoints, if there is one."""
    known = _known_layout(data_set, given)
    if known is None:
        return given
    kept = ("name", "names", "contours", "licence", "source", "mmpose_names")
    return replace(given, **{field: getattr(known, field) for field in kept})


def _free_name(data_set: Any, count: int) -> str:
    """Return the name of a layout that limner does not have, which is never the name of one that it has."""
    name = f"{data_set}-{count}"
    return f"custom-{name}" if name in _NAMES else name


def _from_parsed(meta: Mapping[str, Any]) -> KeypointSet:
    by_index = {int(index): str(name) for index, name in meta["keypoint_id2name"].items()}
    return _build(
        name=_free_name(meta.get("dataset_name", "custom"), len(by_index)),
        names=[by_index[i] for i in range(len(by_index))],
        skeleton=meta["skeleton_links"],
        link_colors=meta["skeleton_link_colors"],
        keypoint_colors=meta["keypoint_colors"],
        sigmas=meta.get("sigmas"),
        flip_indices=meta["flip_indices"],
    )


def _from_info(info: Mapping[str, Any]) -> KeypointSet:
    points = _numbered_rows(info["keypoint_info"])
    links = info.get("skeleton_info") or {}
    links = [link for _, link in sorted(links.items(), key=lambda item: int(item[0]))] if links else []
    index = {point["name"]: i for i, point in enumerate(points)}
    if len(index) != len(points):
        raise ValueError("two keypoints have one name")
    asked = [(f"the swap of '{point['name']}'", point.get("swap") or point["name"]) for point in points]
    for asks, name in asked + [("a link", end) for link in links for end in link["link"]]:
        if name not in index:
            raise ValueError(f"{asks} names '{name}', which is none of its keypoints")
    return _build(
        name=_free_name(info.get("dataset_name", "custom"), len(index)),
        names=index,
        skeleton=[[index[end] for end in link["link"]] for link in links],
        link_colors=[link.get("color", LINK_COLOR) for link in links],
        keypoint_colors=[point.get("color", KEYPOINT_COLOR) for point in points],
        sigmas=info.get("sigmas"),
        flip_indices=[index[point.get("swap") or point["name"]] for point in points],
    )


def _numbered_rows(rows: Any) -> list[Mapping[str, Any]]:
    """Return the values of a dict whose keys are 0, 1, ..., as numbers or strings, or of a list, in order."""
    if isinstance(rows, (list, tuple)):
        return list(rows)
    by_index = {int(index): row for index, row in rows.items()}
    missing = [i for i in range(len(by_index)) if i not in by_index]
    if missing:
        raise ValueError(f"its keys are not 0 to {len(by_index) - 1}: there is no {missing[0]}")
    return [by_index[i] for i in range(len(by_index))]


def _known_layout(data_set: str, given: KeypointSet) -> KeypointSet | None:
    """Return the set of limner that has the given keypoints, or None."""
    named = _MMPOSE_NAMES.get(data_set)
    if named and given.names in (_read(named).upstream_names, _read(named).names):
        return _read(named)
    # under another data set's name the keypoints must have the same flip pairs and skeleton too:
    # many face data sets name theirs kpt-0, kpt-1, ...
    for known in map(_read, _NAMES):
        same = given.names in (known.upstream_names, known.names)
        if (
            same
            and np.array_equal(known.flip_indices, given.flip_indices)
            and np.array_equal(known.skeleton, given.skeleton)
        ):
            return known
    return None
