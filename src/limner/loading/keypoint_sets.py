"""The keypoint set of a model: as the user names it, as its checkpoint or config says, or by their number."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import build, config, keypoints
from ..errors import ArgumentError, CheckpointError, ConfigError, expanded, suggest
from ..keypoints import KeypointSet
from ..types import MessageCallback

NUMBERED = "numbered"  # keypoints of which nothing is known
# what a number of keypoints is taken to mean, the usual one first where several sets have as many; a network with the
# 8 points of a data set of clothes is more likely something of the user's own
USUAL = (
    *("coco-17", "coco-wholebody-hand-21", "300w-68", "halpe-26", "coco-wholebody-133", "lapa-106", "wflw-98"),
    *("cofw-29", "aflw-19"),
)
ALSO_EXPORTED = ("ap10k-17", "onehand10k-21", "coco-wholebody-face-68")  # of which ONNX files are common too


def named(name: str | Path | KeypointSet, count: int | None = None) -> KeypointSet:
    """Return the set that a user names, and check that it has as many keypoints as the network.

    Args:
        name: a set of limner, a data set of MMPose, a file with ``dataset_info`` (``.py``, ``.json``, ``.yaml``) or
            with a ``dataset_meta`` (``.json``), a config, or "numbered" for points without names.
        count: keypoints of the network; None: not known yet, and not checked.

    Raises:
        ArgumentError: there is no such set, or it has another number of keypoints.
        ConfigError: the file cannot be read.
    """
    if isinstance(name, KeypointSet):
        found = name
    elif str(name) == NUMBERED:
        if count is None:
            return keypoints.numbered(1)
        found = keypoints.numbered(count)
    else:
        found = _find(str(name).strip())
    if count is not None and len(found) != count:
        raise ArgumentError(
            f"the network gives {count} keypoints, and the set '{found.name}' has {len(found)}: give a set of {count} "
            f"as keypoints{_listed(count)}"
        )
    return found


def by_count(count: int, label: str, info: MessageCallback) -> tuple[KeypointSet, bool]:
    """Return the set that a network without a description is taken to have, and whether no other usual one has as many.

    Args:
        count: keypoints of the network.
        label: of the model, for messages.
        info: is told where another set has as many.

    Raises:
        ArgumentError: no usual set has that many.
    """
    fitting = _with_count(count)
    chosen = next((name for name in USUAL if name in fitting), None)
    if chosen is None:
        may_be = f"which may be those of {' or '.join(fitting)}" if fitting else "and no set of limner has as many"
        raise ArgumentError(
            f"'{label}' gives {count} keypoints, {may_be}: give keypoints, a set or a file with the dataset_info of "
            f"its data set, or '{NUMBERED}' for points without names"
        )
    others = [name for name in fitting if name != chosen and name in (*USUAL, *ALSO_EXPORTED)]
    if others:
        info(f"{label}: {count} keypoints are taken for {chosen}; if they are {' or '.join(others)}, give keypoints")
    return keypoints.load(chosen), not others


def of_model(
    meta: Mapping[str, Any], cfg: Mapping[str, Any], spec: build.PoseSpec, label: str = "the checkpoint"
) -> KeypointSet:
    """Return the set of a model: what its checkpoint says, else its config.

    Args:
        meta: the checkpoint's ``dataset_meta``; may be empty.
        cfg, spec: the config, and what was read from it.
        label: of the checkpoint, for messages.

    Raises:
        CheckpointError, ConfigError: neither says it, or what they say has another number of keypoints.
    """
    if not keypoints.describes_keypoints(meta):
        try:
            return of_config(cfg, spec)
        except ConfigError:
            if not meta.get("dataset_name") or _says_something(cfg):
                raise
            given = keypoints.by_mmpose_name(str(meta["dataset_name"]))
    else:
        given = keypoints.from_dataset_meta(meta)
    found = _fitted(given, spec)
    if found is None:
        raise CheckpointError(
            f"the network gives {spec.keypoints} keypoints, and the dataset_meta of {label} describes {len(given)} "
            f"('{given.name}'): it was made for another network, or give the right set as keypoints"
        )
    return found


def of_config(cfg: Mapping[str, Any], spec: build.PoseSpec | None = None) -> KeypointSet:
    """Return the set that a config describes: in the ``metainfo`` of a loader, else by the class of its data set.

    Args:
        cfg: the config; a file that it names is looked up beside the config's own, where it is a `config.Config`.
        spec: what was read from it; None: the number of keypoints is not checked.

    Raises:
        ConfigError: it names none, a file that it names cannot be read, or all have another number of keypoints.
    """
    wrong = ""
    for place, meta in build.described(cfg):
        given = _described(meta, place, cfg)
        found = given if spec is None else _fitted(given, spec)
        if found is not None:
            return found
        wrong = wrong or f"{place} describes {len(given)} ('{given.name}')"
    kind = build.dataset_type(cfg)
    if not wrong and kind is not None:
        # MMPose reads this file for the class, and users edit it for data of their own
        given = _described({"from_file": f"configs/_base_/datasets/{kind[1]}.py"}, f"the data set {kind[0]}", cfg)
        found = given if spec is None else _fitted(given, spec)
        if found is not None:
            return found
        wrong = f"its data set {kind[0]} has {len(given)} ('{given.name}')"
    info = cfg.get("dataset_info")
    if not wrong and keypoints.describes_keypoints(info):
        given = keypoints.from_dataset_meta(info)
        found = given if spec is None else _fitted(given, spec)
        if found is not None:
            return found
        wrong = f"dataset_info describes {len(given)} ('{given.name}')"
    if wrong and spec is not None:
        raise ConfigError(
            f"the network gives {spec.keypoints} keypoints, and {wrong}: describe the network's own in the config's "
            "metainfo, or give them as keypoints"
        )
    raise ConfigError(
        "neither the checkpoint (dataset_meta) nor the config (metainfo) says what the keypoints are: add one of them, "
        "or give keypoints"
    )


def of_metainfo(meta: str | Path | Mapping[str, Any]) -> KeypointSet:
    """Return the set of what MMPose's functions take as ``metainfo``: a file, a name, or a description.

    Raises:
        ArgumentError, ConfigError: there is no such set, or it cannot be read.
    """
    if isinstance(meta, Mapping):
        return _described(meta, "metainfo", {})
    name = str(meta).strip()
    is_file = name.lower().endswith(config.SUFFIXES)
    return _find(name) if is_file or name in keypoints.names() else keypoints.by_mmpose_name(name)


def _says_something(cfg: Mapping[str, Any]) -> bool:
    return next(build.described(cfg), None) is not None or build.dataset_type(cfg) is not None


def _fitted(given: KeypointSet, spec: build.PoseSpec) -> KeypointSet | None:
    """Return the set of what a network gives, None where it has another number of keypoints."""
    if len(given) == spec.keypoints:
        return given
    if spec.selected is not None and len(given) == spec.outputs and max(spec.selected, default=0) < len(given):
        return keypoints.subset(given, spec.selected)
    return None


def _described(meta: Mapping[str, Any], place: str, cfg: Mapping[str, Any]) -> KeypointSet:
    """Return the set that a ``metainfo`` describes, itself or in the file that it names."""
    name = meta.get("from_file")
    try:
        if not name:
            return keypoints.from_dataset_meta(meta)
        own = cfg.file if isinstance(cfg, config.Config) else None
        text = str(name).rpartition("::")[2]
        file = config.resolve_beside(text, own)
        return keypoints.by_mmpose_name(_from_clone(text)) if file is None else _of_file(file)
    except ArgumentError as error:
        if name and file is None:
            raise ConfigError(
                f"{place} is described in the file '{name}', which lies neither here nor beside the config: put it "
                "there, or give keypoints"
            ) from None
        raise ConfigError(f"{place} cannot be used: {error}") from None


def _from_clone(path: str) -> str:
    """Return the path inside MMPose of a data set file that lay in somebody's clone."""
    path = path.replace("\\", "/")
    _, found, rest = path.rpartition("/_base_/datasets/")
    return f"_base_/datasets/{rest}" if found else path


def _of_file(file: Path) -> KeypointSet:
    """Return the set of a file: its ``dataset_info``, itself a description, or a config that has one."""
    cfg = config.opened(file)
    for info in (cfg.get("dataset_info"), cfg):
        if keypoints.describes_keypoints(info):
            return keypoints.from_dataset_meta(info)
    try:
        return of_config(cfg)
    except ConfigError:
        raise ConfigError(
            f"'{file}' describes no keypoints: it has neither a dataset_info with keypoint_info, nor a metainfo"
        ) from None


def _with_count(count: int) -> list[str]:
    return [name for name in keypoints.names() if len(keypoints.load(name)) == count]


def _listed(count: int) -> str:
    fitting = _with_count(count)
    return f", such as {' or '.join(fitting)}" if fitting else ""


def _find(name: str) -> KeypointSet:
    file = config.resolve_beside(name, None) if name.lower().endswith(config.SUFFIXES) else None
    if file is not None:  # what is on disk is meant, whatever data set it is called after
        return keypoints.from_dataset_meta(_read_json(file)) if name.lower().endswith(".json") else _of_file(file)
    if name in keypoints.names():
        return keypoints.load(name)
    try:
        return keypoints.by_mmpose_name(_from_clone(name))
    except ArgumentError:
        pass
    if name.lower().endswith(".json"):
        return keypoints.from_dataset_meta(_read_json(expanded(name)))
    if name.lower().endswith(config.SUFFIXES):
        return _of_file(config.resolve(name))
    try:
        return keypoints.load(name)
    except ArgumentError:
        known = [*keypoints.names(), NUMBERED]
        raise ArgumentError(
            f"there is no keypoint set '{name}'.{suggest(name, known)} The sets are {', '.join(known)}; a file with "
            "the dataset_info of a data set (.py) or its dataset_meta (.json) can be given too"
        ) from None


def _read_json(file: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the keypoint set '{file}' cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the keypoint set '{file}' is not valid JSON: {error}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"the keypoint set '{file}' is not an object of JSON")
    inner = found.get("dataset_info")
    return inner if isinstance(inner, dict) else found
