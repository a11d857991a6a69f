"""Opens one stage of the pipeline: a detector or a pose estimator, from its config and checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import build, checkpoint, config
from ..keypoints import KeypointSet
from ..pipeline import Detector, PoseEstimator
from ..runtimes.cache import Cache
from ..runtimes.engines import CPU, Engine, NetworkSource, open_network, versions
from ..types import MessageCallback
from ..zoo import store
from . import keypoint_sets

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
    known = keypoint_set or keypoint_sets.of_model(meta, cfg, spec, label or str(weights))
    return PoseEstimator(runtime, spec if flip else replace(spec, flip=None), known, meta)


def open_onnx_pose(
    file: Path, cfg: Mapping[str, Any] | None, *, engine: Engine, flip: bool = True, info: MessageCallback | None = None
) -> PoseEstimator:
    """Open a pose model whose network is an ONNX file, or an archive or folder with one.

    Args:
        file: the network.
        cfg: its config; None: what the file says.
        engine: one that runs ONNX files.
        flip, info: see `open_pose_estimator`.

    Raises:
        CheckpointError, ArgumentError, ConfigError: see `onnx_pose.open_pose`.
    """
    from . import onnx_pose  # loads what our own networks do without
    from .archives import network_file

    with network_file(file, network_cache()) as found:
        return onnx_pose.open_pose(
            str(file), found, cfg, engine=engine, keypoints=None, flip=flip, info=info or _log.warning
        )


def open_onnx_detector(
    file: Path,
    cfg: Mapping[str, Any] | None,
    *,
    engine: Engine,
    bbox_thr: float = 0.0,
    nms_thr: float | None = None,
    labels: Sequence[int] | None = None,
) -> Detector:
    """Open a detector whose network is an ONNX file, as `open_onnx_pose` opens a pose model.

    Args:
        bbox_thr, nms_thr, labels: see `Detector`.
    """
    from . import onnx_detector
    from .archives import network_file

    with network_file(file, network_cache()) as found:
        return onnx_detector.open_detector(
            str(file), found, cfg, engine=engine, bbox_thr=bbox_thr, nms_thr=nms_thr, labels=labels
        )


def load_config(source: str | Path | Mapping[str, Any], options: Mapping[str, object] | None) -> config.Config:
    """Return the config at a path, or one that is loaded already, with the options applied.

    A config of MMPose 0.x is brought into the form of MMPose 1.x.
    """
    cfg = config.opened(source, options)
    return config.Config(build.modernised(cfg), cfg.file) if build.is_old(cfg) else cfg


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
    return Cache(store.home() / "networks", store.locked, versions=versions())
