"""The config of a checkpoint that comes alone: written in it, or told by the keys and shapes of its weights."""

from __future__ import annotations

import difflib
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import build, checkpoint, config, keypoints, zoo
from ..errors import ArgumentError, CheckpointError, ConfigError, LimnerError
from ..keypoints import KeypointSet
from ..types import MessageCallback
from . import keypoint_sets, stages
from .choices import DETECTOR, POSE, Choice


def with_config(choice: Choice, points: str | Path | KeypointSet | None, info: MessageCallback) -> Choice:
    """Return a chosen checkpoint with the config that it holds or that its weights tell.

    Args:
        choice: its weights are a file; it has no config.
        points: the keypoint set that the user names, which decides between models of one network.
        info: is told what was assumed.

    Raises:
        CheckpointError: it is damaged, or of the other kind, or no config can be told.
    """
    file = Path(str(choice.weights))
    loaded = checkpoint.load(file)
    _check_kind(choice, loaded)
    unusable = ""
    try:
        found = _written(loaded.meta, file)
        if found is not None:
            (build.pose_spec if choice.role is POSE else build.detector_spec)(found)
            return replace(choice, config=found)
    except LimnerError as error:
        unusable = f" (the config that it holds cannot be used: {error})"
    weights = build.rename_vit(loaded.state_dict, f"'{choice.label}'")
    shapes = {key: tuple(value.shape) for key, value in weights.items()}
    models = [m for m in zoo.find_by_fingerprint(checkpoint.fingerprint(shapes)) if m.kind == choice.role.kind]
    if not models:
        raise CheckpointError(
            f"'{choice.label}' does not say which config it was trained with{unusable}, and its weights are of no "
            f"network in the zoo: give its config too, as {_both(choice)}"
        )
    chosen = _choose(choice, models, loaded.dataset_meta, points)
    info(f"{choice.name}: its network is that of {chosen.name}, whose config is used")
    return replace(choice, config=chosen.config)


def _both(choice: Choice) -> str:
    names = [role.replace("_", "-") for role in (choice.role.name, choice.role.weights)]
    return f"--{names[0]} CONFIG --{names[1]} '{choice.label}'"


def _check_kind(choice: Choice, loaded: checkpoint.Checkpoint) -> None:
    parts = {key.partition(".")[0] for key in loaded.state_dict}
    if choice.role is POSE and "bbox_head" in parts:
        raise CheckpointError(
            f"'{choice.label}' holds a detector, which finds boxes and no keypoints: give it as det (--det)"
        )
    if choice.role is DETECTOR and parts & {"head", "keypoint_head"} and "bbox_head" not in parts:
        raise CheckpointError(
            f"'{choice.label}' holds a pose model, which finds keypoints and no boxes: give it as model (--model)"
        )


def _written(meta: Mapping[str, Any], weights: Path) -> config.Config | None:
    """Return the config that a checkpoint of OpenMMLab holds as text or dict, None where there is none.

    The files that it names are looked up beside the checkpoint.

    Raises:
        ConfigError: it cannot be evaluated, or describes no model.
    """
    written = meta.get("cfg") or meta.get("config")
    if isinstance(written, Mapping):
        return stages.load_config(config.Config(written, weights), None)
    if not isinstance(written, str) or "model" not in written:
        return None
    with tempfile.TemporaryDirectory(prefix="limner-") as folder:
        file = Path(folder) / "config.py"
        file.write_text(written, encoding="utf-8")
        try:
            return stages.load_config(config.Config(config.load(file), weights), None)
        except ConfigError as error:
            raise ConfigError(str(error).replace(str(file), "line")) from None


def _choose(
    choice: Choice, models: list[zoo.ModelInfo], meta: Mapping[str, Any], points: str | Path | KeypointSet | None
) -> zoo.ModelInfo:
    """Return one of several models that have the same network.

    Raises:
        CheckpointError: they differ in what is made of the network's outputs, and nothing says which it is.
    """
    if choice.role is POSE:
        wanted = _set_of(meta) if points is None else keypoint_sets.named(points)
        if wanted is not None:
            models = [m for m in models if m.keypoints == wanted.name] or models
    # of models that differ in their data alone, the one with the most similar name
    models.sort(key=lambda m: -difflib.SequenceMatcher(None, choice.name.lower(), m.name.lower()).ratio())
    different: dict[object, zoo.ModelInfo] = {}
    for model in models:
        cfg = config.load(model.config)
        if choice.role is POSE:
            spec = build.pose_spec(cfg)
            # one with a set of its own is settled by the checkpoint or the user
            own = None if points is not None or _set_of(meta) is not None else model.keypoints
            different.setdefault((repr(replace(spec, flip=spec.flip)), own), model)
        else:
            different.setdefault(repr(replace(build.detector_spec(cfg), classes=None)), model)
    if len(different) > 1:
        names = ", ".join(f"'{model.name}'" for model in list(different.values())[:4])
        raise CheckpointError(
            f"'{choice.label}' may be {' or '.join(names.split(', '))}: these have the same network, and the file does "
            f"not say which it is; give its config too, as {_both(choice)}"
        )
    return next(iter(different.values()))


def _set_of(meta: Mapping[str, Any]) -> KeypointSet | None:
    """Return the keypoint set that a checkpoint names."""
    try:
        if keypoints.describes_keypoints(meta):
            return keypoints.from_dataset_meta(meta)
        return keypoints.by_mmpose_name(str(meta["dataset_name"])) if meta.get("dataset_name") else None
    except ArgumentError:
        return None
