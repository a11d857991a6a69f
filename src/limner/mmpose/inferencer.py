"""`MMPoseInferencer`: MMPose's Inferencer, with limner's pipeline."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import sources
from ..draw import render
from ..errors import ArgumentError, InputError, check_arguments, said
from ..jobs.job import check_style
from ..jobs.progress import ProgressBars, show_download_progress
from ..pipeline import Pipeline
from ..sources import Input
from ..types import Boxes, Frame, Result
from ..video.options import VideoOptions
from ..writers import UniqueStems
from .data_samples import PoseDataSample, pose_instances
from .demo_arguments import NO_3D
from .inferencer_arguments import ARGUMENTS_FOR_3D, CallArguments, bboxes_of_images
from .inferencer_outputs import CallOutputs
from .models import ModelArguments, open_models, with_thresholds

if TYPE_CHECKING:
    from ..video.pipeline import FrameResult

_log = logging.getLogger(__name__)


class MMPoseInferencer:
    """Finds 2D keypoints in images, videos and cameras, as MMPose's class of that name does.

    Args:
        pose2d: an alias such as "human", a config's name, or its path.
        pose2d_weights: a path or URL; None takes the published ones of an alias or a config's name.
        pose3d, pose3d_weights: only None, as limner finds 2D keypoints.
        device: "cpu", "cuda:0" ...; None takes the first CUDA device if there is one, else the CPU.
        scope: only "mmpose".
        det_model: "human", "face", "hand", "animal", a detector's name, a config's path, or "whole_image"; None
            takes the default detector of the pose model.
        det_weights: a path or URL; None takes the published ones.
        det_cat_ids: class of the detector to keep, or several; None takes the first, or those for the pose model.
        show_progress: show a bar while several images are processed.
        cfg_options: changes of the pose model's config, nested or by dotted keys.
        backend: the engine; None takes torch, as MMPose does, or without it ONNX files, and "auto" the fastest.

    Raises:
        ArgumentError: an unknown or impossible argument; the message suggests the most similar one.
        ModelError, ConfigError, CheckpointError, DownloadError, DeviceError: see their texts.
    """

    def __init__(
        self,
        pose2d: str | Path | None = None,
        pose2d_weights: str | Path | None = None,
        pose3d: str | None = None,
        pose3d_weights: str | None = None,
        device: str | None = None,
        scope: str | None = "mmpose",
        det_model: str | Path | None = None,
        det_weights: str | Path | None = None,
        det_cat_ids: int | Sequence[int] | None = None,
        show_progress: bool = False,
        *,
        cfg_options: Mapping[str, object] | None = None,
        backend: str | None = None,
        **unknown: object,
    ) -> None:
        check_arguments("MMPoseInferencer", unknown, INIT_NAMES)
        for name, value in (("pose3d", pose3d), ("pose3d_weights", pose3d_weights)):
            if value is not None:
                raise ArgumentError(f"{name} {NO_3D}")
        if pose2d is None:
            raise ArgumentError('no pose2d is given: give a model, such as MMPoseInferencer("human")')
        if scope not in (None, "mmpose"):
            raise ArgumentError(f"scope is '{scope}' where only 'mmpose' is supported: leave it out")
        classes = None if det_cat_ids is None else tuple(np.atleast_1d(np.asarray(det_cat_ids, np.int64)).tolist())
        model_arguments = ModelArguments(
            str(pose2d),
            _text(pose2d_weights),
            _text(det_model),
            _text(det_weights),
            classes,
            device,
            backend,
            cfg_options=cfg_options,
        )
        models = open_models(model_arguments, show_download_progress)
        self.pipeline, self.dataset_meta = models.pipeline, models.dataset_meta
        self.show_progress = show_progress
        _log.info("running on %s", " and ".join(self.pipeline.devices))

    def __call__(
        self,
        inputs: Any,
        return_datasamples: bool = False,
        batch_size: int = 1,
        out_dir: str | Path | None = None,
        **arguments: Any,
    ) -> Iterator[dict[str, Any]]:
        """Find keypoints in images, videos and cameras; each step of the generator yields a batch.

        Args:
            inputs: a path, a folder, a pattern, a URL, "webcam", an array (uint8 ``[H, W, 3]`` BGR), or a
                list of them.
            return_datasamples: return samples (``.pred_instances.keypoints``) in place of plain dicts.
            batch_size: images whose crops go through the network together; for a video, frames of a step.
            out_dir: folder in which ``visualizations`` and ``predictions`` are written.
            arguments: the fields of `CallArguments`, with MMPose's names and defaults: ``return_vis``, ``vis_out_dir``,
                ``pred_out_dir``, ``bboxes``, ``bbox_thr``, ``kpt_thr``, ``draw_heatmap``, ...

        Returns:
            A generator of ``{"visualization": [image, ...], "predictions": [[instance, ...], ...]}``, one entry
            of each list for each image; the drawn images, uint8 ``[H, W, 3]`` in RGB order, with ``return_vis`` only.

        Raises:
            ArgumentError: an unknown or impossible argument; the message suggests the most similar one.
            InputError: an input that does not exist, or cannot be read.
        """
        for name, default in ARGUMENTS_FOR_3D.items():
            if arguments.pop(name, default) != default:
                raise ArgumentError(f"{name} {NO_3D}")
        check_arguments("the call", arguments, CALL_NAMES)
        call = CallArguments(return_datasamples, batch_size, out_dir, **arguments)
        if not call.merge_results:
            raise ArgumentError("merge_results is False, which is not supported: leave it out")
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ArgumentError(f"batch_size is {said(batch_size)} where a whole number from 1 on is needed")
        pipeline = with_thresholds(
            self.pipeline, bbox_thr=call.bbox_thr, nms_thr=call.nms_thr, pose_nms=bool(call.pose_based_nms)
        )
        if call.draws:
            check_style(pipeline, call.style)
        items, errors, notices = sources.expand(inputs)
        if errors and (not items or not _is_folder(inputs)):
            raise errors[0]
        for message in (*notices, *errors):
            _log.warning("%s", message)
        boxes = bboxes_of_images(call.bboxes, len(items))
        return _generate(pipeline, call, items, boxes, _is_folder(inputs), self.show_progress)


@dataclass(frozen=True, eq=False)
class _BatchEntry:
    """One image of a batch."""

    frame: Frame
    stem: str  # of its output files
    output_name: tuple[str, str]  # stem and suffix of the drawn image
    boxes: Boxes | None  # given by the user


def _generate(
    pipeline: Pipeline,
    call: CallArguments,
    items: list[Input],
    boxes: list[Boxes] | None,
    skips_errors: bool,
    shows_bar: bool,
) -> Iterator[dict[str, Any]]:
    """Yield the results of each batch; write and show them as requested."""
    stems = UniqueStems(item.stem for item in items)
    with ExitStack() as stack:
        outputs = CallOutputs(call, items, stack)
        names = [stems.name(item.stem)[0] for item in items]
        for item, stem in zip(items, names, strict=True):
            outputs.check(item, stem)
        first_is_video = bool(items) and items[0].is_video
        batch: list[_BatchEntry] = []
        bars = stack.enter_context(ProgressBars(shows_bar))
        for number, item in enumerate(bars.inputs(items, len(items), first_is_video=first_is_video)):
            stem = names[number]
            if item.is_video:
                try:
                    yield from _video(pipeline, call, item, stem, outputs, bars)
                except InputError as error:
                    if not skips_errors:
                        raise
                    _log.error("%s", error)
                if outputs.closed:
                    return
                continue
            given_boxes = None if boxes is None else boxes[number]
            try:
                batch.append(_BatchEntry(sources.read(item), stem, outputs.name(item, stem), given_boxes))
            except InputError as error:
                if not skips_errors:
                    raise
                _log.error("%s", error)
            last = number + 1 == len(items) or items[number + 1].is_video
            if batch and (len(batch) == call.batch_size or last):
                yield _step_of_images(pipeline, call, batch, outputs)
                batch = []
                if outputs.closed:
                    return


def _video(
    pipeline: Pipeline, call: CallArguments, item: Input, stem: str, outputs: CallOutputs, bars: ProgressBars
) -> Iterator[dict[str, Any]]:
    """Yield the results of the frames of a video or camera; write and show them as requested."""
    from ..jobs.video import open_video_pipeline  # loads PyAV, which images do not need
    from ..video.pipeline import CurrentStyle

    if call.bboxes is not None:
        raise ArgumentError(f"bboxes are given for images, and '{item.source}' is a video: leave them out")
    tracking = replace(call.tracking, batch=call.tracking.batch or call.batch_size)
    current, options = CurrentStyle(call.style), VideoOptions(tracking)
    with open_video_pipeline(
        item, pipeline, options, current, draws=call.draws, overwrite_frames=not call.show, info=_log.warning
    ) as video:
        files, player = outputs.video(item, stem, video, current)
        frame_results: list[FrameResult] = []
        with files, bars.frames(item.name, video.count) as tick:
            for frame_result in video.frame_results():
                files.write(frame_result)
                frame_results.append(frame_result)
                tick()
                outputs.closed = player is not None and not player.show(frame_result)
                if len(frame_results) == call.batch_size or outputs.closed:
                    yield _step_of_frames(call, frame_results)
                    frame_results = []
                if outputs.closed:
                    return
        if frame_results:
            yield _step_of_frames(call, frame_results)


def _step_of_frames(call: CallArguments, frame_results: list[FrameResult]) -> dict[str, Any]:
    """Return what the generator yields for some frames."""
    step: dict[str, Any] = {"visualization": [], "predictions": []}
    for frame_result in frame_results:
        if call.return_vis and frame_result.drawn is not None:
            step["visualization"].append(np.ascontiguousarray(frame_result.drawn[..., ::-1]))
        step["predictions"].append(_sample(frame_result.result) if call.samples else frame_result.result.instances())
    return step


def _step_of_images(
    pipeline: Pipeline, call: CallArguments, batch: list[_BatchEntry], outputs: CallOutputs
) -> dict[str, Any]:
    """Estimate, draw, write and show a batch; return what the generator yields for it."""
    boxes = [entry.boxes for entry in batch if entry.boxes is not None]
    frames = [entry.frame for entry in batch]
    results = pipeline.many(frames, boxes or None, heatmaps=call.style.heatmaps if call.draws else "")
    step: dict[str, Any] = {"visualization": [], "predictions": []}
    for entry, result in zip(batch, results, strict=True):
        drawn = render(entry.frame.image, result, call.style, crop=pipeline.pose.crop) if call.draws else None
        outputs.write(entry.output_name, entry.stem, result, drawn)
        if call.return_vis and drawn is not None:
            step["visualization"].append(np.ascontiguousarray(drawn[..., ::-1]))
        step["predictions"].append(_sample(result) if call.samples else result.instances())
    return step


def _sample(result: Result) -> PoseDataSample:
    width, height = result.size
    return PoseDataSample(
        pose_instances(result.boxes, result.poses),
        {"img_path": result.source, "ori_shape": (height, width), "img_shape": (height, width)},
    )


def _is_folder(inputs: Any) -> bool:
    """Return whether a single text names several images, of which a damaged one does not stop the others."""
    if not isinstance(inputs, (str, os.PathLike)) or os.path.isfile(inputs):
        return False
    return os.path.isdir(inputs) or ("://" not in str(inputs) and any(c in str(inputs) for c in "*?["))


def _text(value: str | Path | None) -> str | None:
    return None if value is None else str(value)


INIT_NAMES = [name for name in inspect.signature(MMPoseInferencer).parameters if name != "unknown"]
CALL_NAMES = [entry.name for entry in fields(CallArguments)] + list(ARGUMENTS_FOR_3D)
