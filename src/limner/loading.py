"""Opens the stages of `pipeline`: by a model's name, or from config files and checkpoints.

`load` makes a `Pipeline` from a model's name; `open_detector` and `open_pose_estimator` make its stages from
MMDetection's and MMPose's own config files and checkpoints.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import build, bundled, checkpoint, config, keypoints, zoo
from .errors import ArgumentError, ConfigError, ModelError
from .keypoints import KeypointSet
from .pipeline import Detector, Pipeline, PoseEstimator
from .runtimes import Runtime
from .runtimes.cache import Cache
from .runtimes.engines import CPU as CPU
from .runtimes.engines import Engine as Engine
from .runtimes.engines import NetworkSource, check_name, open_file, open_network
from .runtimes.engines import choose_engine as choose_engine
from .runtimes.hardware import int8_dot_products
from .zoo import store

BBOX_THR = NMS_THR = 0.3  # of MMPose, for models that have no threshold of their own

PRECISIONS = ("auto", "float32", "float16", "bfloat16", "int8")

_log = logging.getLogger(__name__)


def load(
    model: str = bundled.DEFAULT,
    *,
    bbox_thr: float | None = None,
    device: str | None = None,
    backend: str = "auto",
    precision: str = "auto",
    flip: bool = True,
    progress: zoo.Progress | None = None,
) -> Pipeline:
    """Load a model and its default detector by name; fetch the weights that are missing.

    Args:
        model: a name that `limner models list` shows.
        bbox_thr: boxes must score above it; None takes the model's own threshold.
        device: "cpu", "cuda:0" ...; None takes the first CUDA device that an engine can use, else the CPU.
        backend: "auto", "onnxruntime", "openvino", "torch" or "tensorrt".
        precision: "int8" takes the int8 networks of a bundled model, where it has them; "auto" does so on
            a CPU with int8 dot products, and is "float32" elsewhere. "float16" is for CUDA devices, "bfloat16" for
            OpenVINO on a CPU that has it (AMX).
        flip: False leaves out the flip test, the second run on the mirrored crop that OpenMMLab's models take, for
            nearly twice the speed.
        progress: called while weights are fetched.

    Raises:
        ModelError: there is no such model, or it is no pose model.
        DownloadError: its weights cannot be fetched.
        ArgumentError: the threshold is not in 0..1, there is no such backend or precision, or no int8 network.
        DeviceError, MissingExtraError: the device or engine is not available.
    """
    _check_precision(precision, backend)
    info = zoo.get(model)
    if info.kind != "pose":
        raise ModelError(f"'{model}' is a detector, which finds boxes and no keypoints: give a pose model")
    if info.bundled is not None:
        return _load_bundled(bundled.find(info.name), bbox_thr, device, backend, precision)
    if precision == "int8":
        raise ArgumentError(f"'{model}' has no int8 networks: leave the precision out, or use {bundled.DEFAULT}")
    engine = choose_engine(device, backend, half=precision.endswith("float16"))
    detector_info = zoo.detector_for(info)
    detector = open_detector(
        detector_info.config,
        zoo.ensure(detector_info, progress=progress),
        engine=engine,
        bbox_thr=_threshold(BBOX_THR if bbox_thr is None else bbox_thr),
        nms_thr=NMS_THR,
        labels=info.detector_classes,
        tight=True,
    )
    weights = zoo.ensure(info, progress=progress)
    return Pipeline(detector, open_pose_estimator(info.config, weights, engine=engine, flip=flip))


def _check_precision(precision: str, backend: str) -> None:
    check_name("precision", precision, PRECISIONS)
    if (precision == "bfloat16") != (backend == "openvino") and precision.endswith("float16"):
        capable = "openvino" if precision == "bfloat16" else "torch or tensorrt"
        raise ArgumentError(f"the backend {backend} does not compute in {precision}: use {capable}, or float32")


def _load_bundled(
    files: bundled.BundledModel, bbox_thr: float | None, device: str | None, backend: str, precision: str
) -> Pipeline:
    # it ships as ONNX, which torch does not run: a GPU is chosen only where ONNX Runtime can use it
    engine = choose_engine(device, "onnxruntime" if backend == "auto" else backend, half=precision.endswith("float16"))
    threshold = _threshold(files.bbox_thr if bbox_thr is None else bbox_thr)
    detector = build.detector_spec(config.load(files.detector_config))
    pose = build.pose_spec(config.load(files.pose_config))
    if precision == "int8" and engine.kind != "cpu":
        raise ArgumentError(f"int8 runs on the CPU, not on '{engine.device}': use the device cpu, or leave int8 out")
    int8 = precision == "int8" or (precision == "auto" and engine.kind == "cpu" and int8_dot_products())
    detector_file, pose_file = files.networks(int8=int8)
    return Pipeline(
        Detector(open_file(detector_file, engine), detector, bbox_thr=threshold),
        PoseEstimator(open_file(pose_file, engine), pose, keypoints.load(files.keypoint_set)),
    )


def _threshold(value: float) -> float:
    if not 0 <= value <= 1:
        raise ArgumentError(f"the box threshold must lie in 0..1, not {value}")
    return value


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

    Raises:
        ConfigError, CheckpointError, DeviceError, MissingExtraError: see their texts.
    """
    cfg = load_config(config_file, options)
    spec = build.detector_spec(cfg)
    if tight and spec.head == "YOLOXHead" and spec.stride is None:
        spec = replace(spec, stride=max(spec.strides), square=False)
    runtime, _ = _open(cfg, spec, weights, engine)
    return Detector(runtime, spec, bbox_thr=bbox_thr, nms_thr=nms_thr, labels=labels)


def open_pose_estimator(
    config_file: str | Path | Mapping[str, Any],
    weights: str | Path | None,
    *,
    engine: Engine = CPU,
    flip: bool = True,
    options: Mapping[str, object] | None = None,
) -> PoseEstimator:
    """Open a top-down 2D pose model of MMPose.

    Args:
        config_file, weights, engine, options: see `open_detector`.
        flip: False leaves out the flip test that the config may request.

    Raises:
        ConfigError, CheckpointError, DeviceError, MissingExtraError: see their texts.
    """
    cfg = load_config(config_file, options)
    spec = build.pose_spec(cfg)
    runtime, meta = _open(cfg, spec, weights, engine)
    return PoseEstimator(runtime, spec if flip else replace(spec, flip=None), _keypoint_set(cfg, meta), meta)


def load_config(source: str | Path | Mapping[str, Any], options: Mapping[str, object] | None) -> dict[str, Any]:
    """Return the config at a path, or one that is loaded already, with the options applied."""
    if isinstance(source, Mapping):
        return config.apply_options(dict(source), options or {})
    return config.load(source, options=options)


def _open(
    cfg: Mapping[str, Any], spec: build.DetectorSpec | build.PoseSpec, weights: str | Path | None, engine: Engine
) -> tuple[Runtime, Mapping[str, Any]]:
    """Open a config's network with a checkpoint's weights; return it with the checkpoint's dataset_meta."""
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
    source = NetworkSource(cfg["model"], file, spec.normalisation, spec.size, dynamic_size, make)
    return open_network(source, engine, network_cache())


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
