"""The functions of MMPose and MMDetection that scripts call: `init_model`, `inference_topdown`, `visualize`, ..."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import build, decode, loading, sources
from ..config import Config as ConfigFile
from ..draw import DrawStyle, draw
from ..errors import ArgumentError, checks_arguments, expanded
from ..keypoints import KeypointSet
from ..pipeline import Detector, PoseEstimator, WholeImage
from ..sources import ImageLike
from ..types import Boxes, HeatmapMode, Poses, Result
from . import opening
from .data_samples import InstanceData, PoseDataSample, dataset_meta, pose_instances
from .inferencer_arguments import parse_bboxes

Config = str | Path | Mapping[str, Any]


@dataclass(eq=False)
class PoseModel:
    """A pose estimator with the attributes that scripts for MMPose use."""

    estimator: PoseEstimator
    cfg: ConfigFile  # its items are attributes, too
    dataset_meta: dict[str, Any]

    def eval(self) -> PoseModel:
        return self


@dataclass(eq=False)
class DetectorModel:
    """A detector with the attributes that scripts for MMDetection use."""

    detector: Detector
    cfg: ConfigFile  # its items are attributes, too
    dataset_meta: dict[str, Any]

    def eval(self) -> DetectorModel:
        return self


@checks_arguments
def init_model(
    config: Config,
    checkpoint: str | Path | None = None,
    device: str | None = "cpu",
    cfg_options: Mapping[str, object] | None = None,
    *,
    backend: str | None = None,
) -> PoseModel:
    """Open a top-down 2D pose model, as ``mmpose.apis.init_model`` does.

    Args:
        config: a path, one of MMPose's own by its path below ``configs/`` or its name, or a loaded config; or an ONNX
            file, which needs no checkpoint.
        checkpoint: a path or URL; None leaves the weights random, with a warning.
        device: "cpu", "cuda:0" ...; None takes the first CUDA device if there is one, else the CPU.
        cfg_options: changes of the config, nested or by dotted keys.
        backend: the engine: "torch", as in MMPose, or faster "auto", "onnxruntime", "openvino", "tensorrt"; None takes
            torch, and where it is not installed the published ONNX file in place of a checkpoint.

    Raises:
        ConfigError, CheckpointError, DownloadError, DeviceError, MissingExtraError: see their texts.
    """
    weights = _weights(checkpoint)
    prepared = opening.prepare("pose", config, weights, device=device, backend=backend, options=cfg_options)
    estimator, cfg = opening.open_pose(prepared), prepared.config
    meta = dataset_meta(estimator.dataset_meta, estimator.keypoint_set, build.dataset_name(cfg))
    return PoseModel(estimator, cfg, meta)


@checks_arguments
def init_detector(
    config: Config,
    checkpoint: str | Path | None = None,
    device: str | None = "cpu",
    cfg_options: Mapping[str, object] | None = None,
    *,
    backend: str | None = None,
) -> DetectorModel:
    """Open a detector of the RTMDet or YOLOX family, as ``mmdet.apis.init_detector`` does.

    Args:
        config, checkpoint, device, cfg_options, backend: see `init_model`.

    Raises:
        ConfigError, CheckpointError, DownloadError, DeviceError, MissingExtraError: see their texts.
    """
    weights = _weights(checkpoint)
    prepared = opening.prepare("detector", config, weights, device=device, backend=backend, options=cfg_options)
    detector, cfg = opening.open_detector(prepared), prepared.config
    return DetectorModel(detector, cfg, {"classes": detector.spec.classes})


def _weights(checkpoint: str | Path | None) -> opening.Weights:
    if checkpoint is None or "://" in str(checkpoint):
        return opening.Weights(None if checkpoint is None else str(checkpoint))
    return opening.Weights(expanded(checkpoint))


@checks_arguments
def inference_topdown(
    model: PoseModel,
    img: ImageLike,
    bboxes: Sequence[Any] | np.ndarray | None = None,
    bbox_format: str = "xyxy",
) -> list[PoseDataSample]:
    """Return the pose in each box of an image, as ``mmpose.apis.inference_topdown`` does.

    Args:
        model: what `init_model` returned.
        img: a path, or uint8 ``[H, W, 3]`` in BGR order.
        bboxes: ``[N, 4]``; None takes the whole image, an empty list gives no result.
        bbox_format: "xyxy" or "xywh".

    Returns:
        N samples in the order of the boxes: ``.pred_instances.keypoints`` float32 ``[1, K, 2]`` in pixels of
        the image, ``.keypoint_scores`` ``[1, K]``, ``.bboxes`` ``[1, 4]``.

    Raises:
        ArgumentError: boxes of another shape or format.
        InputError: the image cannot be read.
    """
    if not isinstance(model, PoseModel):
        raise ArgumentError(f"inference_topdown needs what init_model returns, not {type(model).__name__}")
    if bbox_format not in ("xyxy", "xywh"):
        raise ArgumentError(f"bbox_format is '{bbox_format}' where xyxy or xywh is needed")
    frame = sources.read_one(img)
    if bboxes is None:
        boxes = WholeImage()(frame.image)
    else:
        boxes = parse_bboxes(bboxes)
        if bbox_format == "xywh":
            corners = np.concatenate([boxes.xyxy[:, :2], boxes.xyxy[:, :2] + boxes.xyxy[:, 2:]], axis=1)
            boxes = Boxes(corners, boxes.scores, boxes.labels)
    heatmaps: HeatmapMode = "all" if model.estimator.spec.output_heatmaps else ""
    poses = model.estimator(frame.image, boxes.xyxy, heatmaps=heatmaps)
    height, width = frame.image.shape[:2]
    metainfo = {"img_path": frame.source, "ori_shape": (height, width), "img_shape": (height, width)}
    samples = []
    for i in range(len(boxes)):
        row = slice(i, i + 1)
        fields = None if poses.heatmaps is None else InstanceData(heatmaps=poses.heatmaps[i])
        samples.append(PoseDataSample(pose_instances(boxes[row], poses[row]), dict(metainfo), fields))
    return samples


@checks_arguments
def inference_detector(
    model: DetectorModel, imgs: ImageLike | Sequence[ImageLike]
) -> PoseDataSample | list[PoseDataSample]:
    """Return the boxes in an image, as ``mmdet.apis.inference_detector`` does, with the config's own threshold.

    Args:
        model: what `init_detector` returned.
        imgs: a path, or uint8 ``[H, W, 3]`` in BGR order; or a list of them, which gives a list.

    Returns:
        ``.pred_instances.bboxes`` float32 ``[N, 4]``, x1, y1, x2, y2, best first; ``.scores``, ``.labels`` ``[N]``.

    Raises:
        InputError: an image cannot be read.
    """
    if not isinstance(model, DetectorModel):
        raise ArgumentError(f"inference_detector needs what init_detector returns, not {type(model).__name__}")
    if isinstance(imgs, (list, tuple)):
        return [_detected(model, img) for img in imgs]
    return _detected(model, imgs)


def _detected(model: DetectorModel, img: ImageLike) -> PoseDataSample:
    frame = sources.read_one(img)
    boxes = model.detector(frame.image)
    return PoseDataSample(
        InstanceData(bboxes=boxes.xyxy, scores=boxes.scores, labels=boxes.labels),
        {"img_path": frame.source, "ori_shape": frame.image.shape[:2]},
    )


def nms(dets: np.ndarray, thr: float) -> list[int]:
    """Return the indices of ``[N, 5]`` boxes that NMS keeps, best first, as ``mmpose.evaluation.functional.nms``."""
    dets = np.asarray(dets, np.float32).reshape(-1, 5)
    kept: list[int] = decode.bbox_nms(dets[:, :4], dets[:, 4], thr).tolist()
    return kept


def register_all_modules(init_default_scope: bool = True) -> None:
    """Do nothing, as limner has no registry; scripts for MMPose call ``mmpose.utils.register_all_modules``."""


def adapt_mmdet_pipeline(cfg: dict[str, Any]) -> dict[str, Any]:
    """Return a detector's config unchanged: limner's detectors accept paths and arrays."""
    return cfg


@checks_arguments
def visualize(
    img: ImageLike,
    keypoints: np.ndarray,
    keypoint_score: np.ndarray | None = None,
    metainfo: str | Path | Mapping[str, Any] | None = None,
    visualizer: object = None,
    show_kpt_idx: bool = False,
    skeleton_style: str = "mmpose",
    show: bool = False,
    kpt_thr: float = 0.3,
) -> np.ndarray:
    """Return an image with keypoints drawn on it, in RGB order, as ``mmpose.apis.visualize`` does.

    Args:
        img: a path, or uint8 ``[H, W, 3]`` in BGR order.
        keypoints: ``[N, K, 2]`` in pixels, or ``[K, 2]`` of one instance.
        keypoint_score: ``[N, K]`` or ``[K]``; None draws every keypoint.
        metainfo: the data set that defines the skeleton: a file with ``dataset_info``, one of MMPose's such as
            ``configs/_base_/datasets/coco.py``, a name such as ``coco``, or a ``dataset_meta``; None draws the
            keypoints only.
        visualizer: only None, as limner draws without one.
        show_kpt_idx: draw the index of each keypoint.
        skeleton_style: "mmpose" or "openpose".
        show: show the image in a window until a key is pressed.
        kpt_thr: keypoints with a lower score are not drawn.

    Raises:
        ArgumentError: arrays whose shapes do not match, or an unknown data set.
        OutputError: there is no display for the window.
    """
    if visualizer is not None:
        raise ArgumentError("visualize needs no visualizer, as limner draws without one: leave it out")
    frame = sources.read_one(img)
    points = np.asarray(keypoints, np.float32)
    points = points[None] if points.ndim == 2 else points
    if points.ndim != 3 or points.shape[2] != 2:
        raise ArgumentError(f"keypoints have shape {list(points.shape)} where [N, K, 2] is needed")
    scores = np.ones(points.shape[:2]) if keypoint_score is None else np.asarray(keypoint_score, np.float32)
    poses = Poses(points, scores.reshape(points.shape[:2]) if scores.size == points[..., 0].size else scores)
    keypoint_set = _keypoint_set(metainfo, points.shape[1])
    whole = WholeImage()(frame.image)[np.zeros(len(points), np.int64)]
    size = (frame.image.shape[1], frame.image.shape[0])
    result = Result(whole, poses, keypoint_set, size)
    drawn = draw(
        frame.image,
        result,
        DrawStyle(kpt_thr=kpt_thr, show_kpt_idx=bool(show_kpt_idx), skeleton_style=skeleton_style),
    )
    if show:
        from ..display.window import Window

        with Window("visualization") as window:
            window.show(drawn)
    return np.ascontiguousarray(drawn[..., ::-1])


def _keypoint_set(metainfo: str | Path | Mapping[str, Any] | None, count: int) -> KeypointSet:
    if metainfo is None:
        points = {i: {"name": str(i), "color": [255, 128, 0]} for i in range(count)}
        metainfo = {"dataset_name": "points", "keypoint_info": points, "skeleton_info": {}}
    return loading.of_metainfo(metainfo)
