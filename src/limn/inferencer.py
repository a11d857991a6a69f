"""`MMPoseInferencer`: MMPose's words over limn's pipeline."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import job, sources
from .api import given_boxes
from .choice import Choice, adjusted, open_choice
from .errors import ArgumentError, InputError
from .files import PICTURE_SUFFIXES
from .motion import Motion, Wishes
from .names import check_names
from .pipeline import Pipeline
from .render import Look, render
from .samples import Sample, pose_instances
from .sinks import JsonSink, Namer, PictureSink, guard
from .sources import Item
from .types import Boxes, Frame, Result
from .window import Window

if TYPE_CHECKING:
    from .films import Files
    from .moving import Film, Shot, View
    from .screen import Screen

_log = logging.getLogger(__name__)

# call arguments of MMPose that concern 3D models alone, with their defaults
FOR_3D = {
    "use_oks_tracking": False,
    "tracking_thr": 0.3,
    "disable_norm_pose_2d": False,
    "disable_rebase_keypoint": False,
    "num_instances": 1,
}
NO_3D = "belongs to 3D models, and limn finds 2D keypoints: leave it out"


@dataclass(frozen=True)
class Call:
    """The arguments of one call, with MMPose's defaults."""

    return_datasamples: bool = False
    batch_size: int = 1
    out_dir: str | Path | None = None
    return_vis: bool = False
    show: bool = False
    wait_time: float = 0  # seconds; 0 waits for a key
    draw_bbox: bool = False
    draw_heatmap: bool = False
    radius: float | None = 3
    thickness: float | None = 1
    kpt_thr: float = 0.3
    vis_out_dir: str | Path = ""
    pred_out_dir: str | Path = ""
    skeleton_style: str = "mmpose"
    black_background: bool = False
    bboxes: Any = None
    bbox_thr: float | None = None  # None: 0.3, or a bundled model's own
    nms_thr: float | None = None  # likewise
    pose_based_nms: bool = False
    merge_results: bool = True
    return_datasample: bool | None = None  # an older name of return_datasamples
    motion: Motion = field(default_factory=Motion)  # limn's own: how people are followed in videos

    @property
    def look(self) -> Look:
        return Look(
            kpt_thr=self.kpt_thr,
            radius=self.radius,
            thickness=self.thickness,
            boxes=self.draw_bbox,
            style=self.skeleton_style,
            black_background=self.black_background,
            heatmap=self.draw_heatmap,
        )

    @property
    def samples(self) -> bool:
        return self.return_datasamples if self.return_datasample is None else self.return_datasample

    @property
    def draws(self) -> bool:
        return bool(self.return_vis or self.show or self.pictures)

    @property
    def pictures(self) -> str | Path:
        """Where the drawn pictures go; "" for nowhere."""
        return self.vis_out_dir or (Path(self.out_dir) / "visualizations" if self.out_dir is not None else "")

    @property
    def sheets(self) -> str | Path:
        """Where the JSON files go; "" for nowhere."""
        return self.pred_out_dir or (Path(self.out_dir) / "predictions" if self.out_dir is not None else "")


class MMPoseInferencer:
    """Finds 2D keypoints in pictures, videos and cameras, as MMPose's class of that name does.

    Args:
        pose2d: an alias such as "human", a config's name, or its path.
        pose2d_weights: a path or an address; None takes the published ones of an alias or a config's name.
        pose3d, pose3d_weights: only None, as limn finds 2D keypoints.
        device: "cpu", "cuda:0" ...; None takes the first CUDA device if there is one, else the CPU.
        scope: only "mmpose".
        det_model: "human", "face", "hand", "animal", a detector's name, a config's path, or "whole_image"; None
            takes the default detector of the pose model.
        det_weights: a path or an address; None takes the published ones.
        det_cat_ids: class of the detector, or several; None takes the first, or those of the default detector.
        show_progress: show a bar while several pictures are worked on.
        cfg_options: changes of the pose model's config, nested or by dotted keys.
        backend: what runs the networks; None takes torch, as MMPose does, and "auto" the fastest.

    Raises:
        ArgumentError: an unknown or impossible argument; the message names the nearest.
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
        check_names("MMPoseInferencer", unknown, INIT_NAMES)
        for name, value in (("pose3d", pose3d), ("pose3d_weights", pose3d_weights)):
            if value is not None:
                raise ArgumentError(f"{name} {NO_3D}")
        if pose2d is None:
            raise ArgumentError('no pose2d is given: name a model, such as MMPoseInferencer("human")')
        if scope not in (None, "mmpose"):
            raise ArgumentError(f"scope is '{scope}', and limn knows the models of 'mmpose' only")
        classes = None if det_cat_ids is None else tuple(np.atleast_1d(np.asarray(det_cat_ids, np.int64)).tolist())
        choice = Choice(
            str(pose2d),
            _text(pose2d_weights),
            _text(det_model),
            _text(det_weights),
            classes,
            device,
            backend,
            cfg_options=cfg_options,
        )
        opened = open_choice(choice, job.show_download)
        self.pipeline, self.dataset_meta = opened.pipeline, opened.dataset_meta
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
        """Find keypoints in pictures, videos and cameras, a batch with each step of the generator.

        Args:
            inputs: a path, a folder, a pattern, an address, "webcam", an array (uint8 ``[H, W, 3]`` BGR), or a
                list of them.
            return_datasamples: give samples (``.pred_instances.keypoints``) in place of plain dicts.
            batch_size: pictures whose crops go through the network together; of a video, frames in a step.
            out_dir: writes into ``visualizations`` and ``predictions`` below it.
            arguments: the fields of `Call`, with MMPose's names and defaults: ``return_vis``, ``vis_out_dir``,
                ``pred_out_dir``, ``bboxes``, ``bbox_thr``, ``kpt_thr``, ``draw_heatmap``, ...

        Returns:
            A generator of ``{"visualization": [picture, ...], "predictions": [[instance, ...], ...]}``, one entry
            of each list a picture; the drawn pictures, uint8 ``[H, W, 3]`` in RGB order, with ``return_vis`` only.

        Raises:
            ArgumentError: an unknown or impossible argument; the message names the nearest.
            InputError: an input that is not there, or is no picture.
        """
        for name, default in FOR_3D.items():
            if arguments.pop(name, default) != default:
                raise ArgumentError(f"{name} {NO_3D}")
        check_names("the call", arguments, CALL_NAMES)
        call = Call(return_datasamples, batch_size, out_dir, **arguments)
        if not call.merge_results:
            raise ArgumentError("merge_results is always true: the instances of a picture are one sample")
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ArgumentError(f"batch_size is {batch_size!r} where a whole number from 1 on is needed")
        stages = adjusted(
            self.pipeline, bbox_thr=call.bbox_thr, nms_thr=call.nms_thr, pose_nms=bool(call.pose_based_nms)
        )
        if call.draws:
            job.check_look(stages, call.look)
        items, errors, notices = sources.expand(inputs)
        if errors and (not items or not _is_folder(inputs)):
            raise errors[0]
        for remark in (*notices, *errors):
            _log.warning("%s", remark)
        boxes = _boxes_of(call.bboxes, len(items))
        return _generate(stages, call, items, boxes, _is_folder(inputs), self.show_progress)


class _Outputs:
    """Where the results of a call go; all of it is opened before any work."""

    def __init__(self, call: Call, count: int, stack: ExitStack) -> None:
        self.closed = False  # the user has closed the window
        self._wait = call.wait_time
        self._single: Path | None = None  # the one picture's own file name
        self._pictures: PictureSink | None = None
        self._sheets: JsonSink | None = None
        if call.pictures:
            folder = Path(call.pictures)
            if folder.suffix.lower() in PICTURE_SUFFIXES and not folder.is_dir():
                if count != 1:
                    raise ArgumentError(
                        f"vis_out_dir is the file '{folder}', and there are {count} pictures: give a folder"
                    )
                self._single, folder = folder, folder.parent
            self._pictures = stack.enter_context(PictureSink(folder))
        if call.sheets:
            self._sheets = stack.enter_context(JsonSink(call.sheets))
        self._window: Window | None = None
        if call.show:
            self._window = stack.enter_context(Window("limn", "leave show out and give vis_out_dir"))

    def name(self, item: Item, stem: str) -> tuple[str, str]:
        """Return stem and ending of the drawn picture, and make sure that it is not the input itself."""
        named = (stem, item.suffix) if self._single is None else (self._single.stem, self._single.suffix)
        if self._pictures is not None:
            guard(item.path, self._pictures.path(*named))
        return named

    def film(self, item: Item, stem: str, film: Film, view: View) -> tuple[Files, Screen | None]:
        """Return the open files of a video, and where it is shown."""
        from . import films
        from .hud import Meter
        from .screen import Screen

        if self._single is not None:
            raise ArgumentError(
                f"vis_out_dir is the file '{self._single}', and '{item.source}' is a video: give a folder"
            )
        files = films.Files(item, stem, film, pictures=self._pictures, sheets=self._sheets, say=_log.warning)
        if self._window is None:
            return files, None
        paced = self._pictures is None and self._sheets is None
        folder = Path() if self._pictures is None else self._pictures.folder
        meter = Meter(live=film.live)
        return files, Screen(self._window, film, view, meter, snapshots=folder, stem=stem, paced=paced, wait=self._wait)

    def put(self, named: tuple[str, str], stem: str, result: Result, drawn: np.ndarray | None) -> None:
        """Write and show one result."""
        if self._pictures is not None and drawn is not None:
            self._pictures.write(named[0], drawn, named[1])
        if self._sheets is not None:
            self._sheets.write(stem, result)
        if self._window is not None and drawn is not None and not self._window.show(drawn, self._wait):
            self.closed = True


@dataclass(frozen=True, eq=False)
class _Entry:
    """One picture of a batch."""

    frame: Frame
    stem: str  # of its files
    named: tuple[str, str]  # stem and ending of the drawn picture
    boxes: Boxes | None  # that the user gives


def _generate(
    stages: Pipeline, call: Call, items: list[Item], boxes: list[Boxes] | None, skips: bool, shows_bar: bool
) -> Iterator[dict[str, Any]]:
    """Yield the results of each batch, and write and show what is asked for."""
    namer = Namer(item.stem for item in items)
    with ExitStack() as stack:
        outputs = _Outputs(call, len(items), stack)
        batch: list[_Entry] = []
        bars = stack.enter_context(job.Bars(shows_bar))
        for number, item in enumerate(bars.over(items, len(items), films=bool(items) and items[0].moving)):
            stem, _ = namer.name(item.stem)
            if item.moving:
                try:
                    yield from _film(stages, call, item, stem, outputs, bars)
                except InputError as error:
                    if not skips:
                        raise
                    _log.error("%s", error)
                if outputs.closed:
                    return
                continue
            own = None if boxes is None else boxes[number]
            try:
                batch.append(_Entry(sources.read(item), stem, outputs.name(item, stem), own))
            except InputError as error:
                if not skips:
                    raise
                _log.error("%s", error)
            last = number + 1 == len(items) or items[number + 1].moving
            if batch and (len(batch) == call.batch_size or last):
                yield _finish(stages, call, batch, outputs)
                batch = []
                if outputs.closed:
                    return


def _film(
    stages: Pipeline, call: Call, item: Item, stem: str, outputs: _Outputs, bars: job.Bars
) -> Iterator[dict[str, Any]]:
    """Yield what is found in the frames of a video or camera, and write and show what is asked for."""
    from . import films  # loads PyAV, which pictures do without
    from .moving import View

    if call.bboxes is not None and len(call.bboxes):
        raise ArgumentError(f"bboxes are given for pictures, and '{item.source}' is a video: leave them out")
    motion = replace(call.motion, batch=call.motion.batch or call.batch_size)
    view, wishes = View(call.look), Wishes(motion)
    with films.opened(item, stages, wishes, view, draws=call.draws, spare=not call.show, say=_log.warning) as film:
        files, screen = outputs.film(item, stem, film, view)
        shots: list[Shot] = []
        with files, bars.film(item.name, film.count) as tick:
            for shot in film.shots():
                files.write(shot)
                shots.append(shot)
                tick()
                outputs.closed = screen is not None and not screen.show(shot)
                if len(shots) == call.batch_size or outputs.closed:
                    yield _shown(call, shots)
                    shots = []
                if outputs.closed:
                    return
        if shots:
            yield _shown(call, shots)


def _shown(call: Call, shots: list[Shot]) -> dict[str, Any]:
    """Return what the generator yields of some frames."""
    found: dict[str, Any] = {"visualization": [], "predictions": []}
    for shot in shots:
        if call.return_vis and shot.drawn is not None:
            found["visualization"].append(np.ascontiguousarray(shot.drawn[..., ::-1]))
        found["predictions"].append(_sample(shot.result) if call.samples else shot.result.instances())
    return found


def _finish(stages: Pipeline, call: Call, batch: list[_Entry], outputs: _Outputs) -> dict[str, Any]:
    """Find, draw, write and show a batch; return what the generator yields."""
    given = [entry.boxes for entry in batch if entry.boxes is not None]
    frames = [entry.frame for entry in batch]
    results = stages.many(frames, given or None, heat=call.look.heat if call.draws else "")
    found: dict[str, Any] = {"visualization": [], "predictions": []}
    for entry, result in zip(batch, results, strict=True):
        drawn = render(entry.frame.image, result, stages.pose, call.look) if call.draws else None
        outputs.put(entry.named, entry.stem, result, drawn)
        if call.return_vis and drawn is not None:
            found["visualization"].append(np.ascontiguousarray(drawn[..., ::-1]))
        found["predictions"].append(_sample(result) if call.samples else result.instances())
    return found


def _sample(result: Result) -> Sample:
    width, height = result.size
    return Sample(
        pose_instances(result.boxes, result.poses),
        {"img_path": result.source, "ori_shape": (height, width), "img_shape": (height, width)},
    )


def _is_folder(inputs: Any) -> bool:
    """Whether a single word names several pictures, of which a damaged one shall not stop the others."""
    if not isinstance(inputs, (str, os.PathLike)) or os.path.isfile(inputs):
        return False
    return os.path.isdir(inputs) or ("://" not in str(inputs) and any(c in str(inputs) for c in "*?["))


def _boxes_of(given: Any, count: int) -> list[Boxes] | None:
    """Return the boxes of each picture, None where none are given.

    Raises:
        ArgumentError: they are boxes of another number of pictures, or no boxes.
    """
    if given is None or (isinstance(given, (list, tuple)) and not given):
        return None
    try:
        nested = np.asarray(given, np.float32).ndim
    except (TypeError, ValueError):
        nested = 3  # pictures with different numbers of boxes
    if (count == 1 and nested < 3) or not isinstance(given, (list, tuple, np.ndarray)):
        return [given_boxes(given)] * count
    if len(given) != count:
        raise ArgumentError(f"bboxes are given for {len(given)} pictures, and there are {count}: give a list for each")
    return [given_boxes(boxes) for boxes in given]


def _text(value: str | Path | None) -> str | None:
    return None if value is None else str(value)


INIT_NAMES = [name for name in inspect.signature(MMPoseInferencer).parameters if name != "unknown"]
CALL_NAMES = [entry.name for entry in fields(Call)] + list(FOR_3D)
