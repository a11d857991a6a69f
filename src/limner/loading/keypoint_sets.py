"""The keypoint set of a model: as the user names it, as its config says, or by the number of keypoints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import build, config, keypoints
from ..errors import ArgumentError, ConfigError, suggest
from ..keypoints import KeypointSet
from ..types import MessageCallback

NUMBERED = "numbered"  # keypoints of which nothing is known
# what a number of keypoints usually means where several sets have as many
USUAL = ("coco-17", "coco-wholebody-hand-21", "300w-68")


def named(name: str | Path | KeypointSet, count: int | None = None) -> KeypointSet:
    """Return the set that a user names, and check that it has as many keypoints as the network.

    Args:
        name: a set of limner, a data set of MMPose, a ``.py`` file with ``dataset_info``, a ``.json`` file of a
            ``dataset_meta``, or "numbered" for points without names.
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
    """Return the set that a network without a description is taken to have, and whether no other has as many.

    Args:
        count: keypoints of the network.
        label: of the model, for messages.
        info: is told where another set has as many.

    Raises:
        ArgumentError: no set of limner has that many.
    """
    fitting = _with_count(count)
    if not fitting:
        raise ArgumentError(
            f"'{label}' gives {count} keypoints, and no set of limner has as many: give keypoints, a file with the "
            f"dataset_info of its data set, or '{NUMBERED}' for points without names"
        )
    chosen = next((name for name in fitting if name in USUAL), fitting[0])
    others = [name for name in fitting if name != chosen]
    if others:
        info(f"{label}: {count} keypoints are taken for {chosen}; if they are {' or '.join(others)}, give keypoints")
    return keypoints.load(chosen), not others


def of_config(cfg: Mapping[str, Any]) -> KeypointSet:
    """Return the set of a config's data set.

    Raises:
        ConfigError: it names none.
    """
    name = build.dataset_name(cfg)
    if not name:
        raise ConfigError("the config (metainfo) names no keypoint set: add one, or give keypoints")
    try:
        return keypoints.by_mmpose_name(name)
    except ArgumentError:
        if not name.endswith(".py"):
            raise
        return keypoints.from_dataset_meta(config.load(name).get("dataset_info", {}))


def _with_count(count: int) -> list[str]:
    return [name for name in keypoints.names() if len(keypoints.load(name)) == count]


def _listed(count: int) -> str:
    fitting = _with_count(count)
    return f", such as {' or '.join(fitting)}" if fitting else ""


def _find(name: str) -> KeypointSet:
    if name.lower().endswith(".json"):
        return keypoints.from_dataset_meta(_read_json(Path(name).expanduser()))
    if name in keypoints.names():
        return keypoints.load(name)
    try:
        return keypoints.by_mmpose_name(name)
    except ArgumentError:
        pass
    if name.lower().endswith(".py"):
        cfg = config.load(name)
        if isinstance(cfg.get("dataset_info"), dict):
            return keypoints.from_dataset_meta(cfg["dataset_info"])
        return of_config(cfg)
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
    return found
