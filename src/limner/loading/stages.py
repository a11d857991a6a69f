"""Opens one stage of the pipeline: a detector or a pose estimator, from its config and checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import build, checkpoint, config, keypoints
from ..errors import ConfigError
from ..keypoints import KeypointSet
from ..pipeline import Detector, PoseEstimator
from ..runtimes.cache import Cache
from ..runtimes.engines import CPU, Engine, NetworkSource, open_network
from ..types import MessageCallback
from ..zoo import store

_log = logging.getLogger(__name__)


def open_detector(
    config_file: str | Path | Mapping[str, Any],
    weights: str | Path | None,
    *,
    engine: Engine = CPU,
    bbox_thr: float = 0.0,
    nms_thr: float | None = None,
    labels: Sequence[int] | None = None,
    options: Mapping[str, object] | None = None,
    tight: bool = False,
    label: str = "",
    info: MessageCallback | None = None,
) -> Detector:
    """Open a detector of MMDetection's RTMDet or YOLOX family.

    Args:
        config_file: a path, one of limner's own configs, or what `load_config` returned.
        weights: a ``.pth`` file; None leaves torch's random weights in the network, with a warning.
        engine: what runs it, on which device: see `choose_engine`.
        bbox_thr, nms_thr, labels: see `Detector`.
        options: overrides of the config by dotted names, as ``--cfg-options`` takes them.
        tight: where YOLOX's config pads an image to a square, leave out most of the padding: a wide image takes
            half the time, and boxes beside that edge move a little. RTMDet's result depends on the whole input, so
            it keeps the padding.
        label: what messages call it; "" takes the name of the file.
        info: told where a network is prepared for an engine, which takes a while; None logs it.

    Raises:
        ConfigError, CheckpointError, DeviceError, MissingExtraError: see their texts.
    """
    cfg = load_config(config_file, options)
    spec = build.detector_spec(cfg)
    if tight and spec.head == "YOLOXHead" and spec.stride is None:
        spec = replace(spec, stride=max(spec.strides), square=False)
    runtime, _ = open_network(network_source(cfg, spec, weights, label, info), engine, network_cache())
    return Detector(runtime, spec, bbox_thr=bbox_thr, nms_thr=nms_thr, labels=labels)


def open_pose_estimator(
    config_file: str | Path | Mapping[str, Any],
    weights: str | Path | None,
    *,
    engine: Engine = CPU,
    flip: bool = True,
    options: Mapping[str, object] | None = None,
    keypoint_set: KeypointSet | None = None,
    label: str = "",
    info: MessageCallback | None = None,
) -> PoseEstimator:
    """Open a top-down 2D pose model of MMPose.

    Args:
        config_file, weights, engine, options, label, info: see `open_detector`.
        flip: False leaves out the flip test that the config may request.
        keypoint_set: of its keypoints; None takes that of the checkpoint, else that of the config.

    Raises:
        ConfigError, CheckpointError, DeviceError, MissingExtraError: see their texts.
    """
    cfg = load_config(config_file, options)
    spec = build.pose_spec(cfg)
    runtime, meta = open_network(network_source(cfg, spec, weights, label, info), engine, network_cache())
    known = keypoint_set or _keypoint_set(cfg, meta)
    return PoseEstimator(runtime, spec if flip else replace(spec, flip=None), known, meta)


def load_config(source: str | Path | Mapping[str, Any], options: Mapping[str, object] | None) -> dict[str, Any]:
    """Return the config at a path, or one that is loaded already, with the options applied."""
    if isinstance(source, Mapping):
        return config.apply_options(dict(source), options or {})
    return config.load(source, options=options)


def network_source(
    cfg: Mapping[str, Any],
    spec: build.DetectorSpec | build.PoseSpec,
    weights: str | Path | None,
    label: str = "",
    info: MessageCallback | None = None,
) -> NetworkSource:
    """Return a config's network with a checkpoint's weights; nothing is built or read yet."""
    file = None if weights is None else Path(weights)
    if file is None:
        _log.warning("no checkpoint is given: the network has random weights, and its results are meaningless")

    def make() -> tuple[Any, Mapping[str, Any]]:
        network = build.network(cfg["model"], empty=file is not None)
        if file is None:
            return network, {}
        loaded = checkpoint.load(file)
        build.load_weights(network, loaded.state_dict, name=str(file))
        return network, loaded.dataset_meta

    dynamic_size = isinstance(spec, build.DetectorSpec)  # the letterbox may follow the image's shape
    label = label or (file.name if file else "the network")
    return NetworkSource(cfg["model"], file, spec.normalisation, spec.size, dynamic_size, make, label, info)


def network_cache() -> Cache:
    """Return the cache of networks that were prepared for engines other than torch."""
    return Cache(store.home() / "networks", store.locked)


def _keypoint_set(cfg: Mapping[str, Any], meta: Mapping[str, Any]) -> KeypointSet:
    """Return the keypoint set that the checkpoint names, else the one of the config's data set."""
    if "keypoint_id2name" in meta or "keypoint_info" in meta:
        return keypoints.from_dataset_meta(meta)
    name = meta.get("dataset_name") or build.dataset_name(cfg)
    if not name:
        raise ConfigError(
            "neither the checkpoint (dataset_meta) nor the config (metainfo) names a keypoint set: add one of them"
        )
    return keypoints.by_mmpose_name(str(name))
