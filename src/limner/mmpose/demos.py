"""MMPose's three demo commands: the same arguments and output files, with limner's pipeline.

Each function takes the arguments of its command line and returns its exit status. `demo/*.py` and the
sub-commands of `limner` call them. Slow imports are inside them, so that --help is instant.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ..errors import ArgumentError, expanded, one_line
from ..process import edge, streams
from .demo_arguments import FLAGS_FOR_3D, NO_3D, image_parser, inferencer_parser, parse_arguments, topdown_parser

if TYPE_CHECKING:
    from ..draw import DrawStyle
    from ..pipeline import Pipeline
    from ..video.options import VideoOptions


def main(demo: Callable[[Sequence[str]], int]) -> NoReturn:
    """Run a demo with the arguments of the command line; an error becomes one message on stderr and status 1."""
    edge.run(lambda: demo(sys.argv[1:]))


def warn(message: str) -> None:
    """Print a warning or error to stderr."""
    streams.say(message)


def info(message: str) -> None:
    """Print a message to stdout."""
    streams.echo(one_line(message))


def _check_names(outputs: dict[str, str | None]) -> None:
    """Raise ArgumentError where an output has a name of blanks alone; MMPose's own "" is none."""
    for option, name in outputs.items():
        if name and not name.strip():
            raise ArgumentError(f"{option} is empty where a file or folder is needed: give its name, or leave it out")


# -- the three demos


def topdown(arguments: Sequence[str], prog: str | None = None) -> int:
    """Find boxes with a detector and keypoints in them with a pose model, each given by its config and checkpoint.

    Raises:
        LimnerError: nothing can be processed.
    """
    args = parse_arguments(topdown_parser(prog), arguments)
    if not args.input:
        raise ArgumentError("no --input is given: give an image, a video, a folder, a pattern, a URL or webcam")
    if not args.show and not args.output_root:
        raise ArgumentError("there would be no output: give --show, --output-root or both")
    if args.save_predictions and not args.output_root:
        raise ArgumentError("--save-predictions needs --output-root, the folder for the predictions")
    _check_names({"--output-root": args.output_root})
    from ..jobs.job import Job, run
    from ..jobs.progress import show_download_progress
    from . import models
    from .demo_json import DemoJsonWriter

    folder = Path(args.output_root) if args.output_root else None
    json_writer = DemoJsonWriter(folder) if folder is not None and args.save_predictions else None

    def open_models() -> Pipeline:
        pose = models.ModelArguments(
            args.pose_config,
            args.pose_checkpoint,
            det_cat_ids=(args.det_cat_id,),
            device=args.device,
            backend=args.backend,
            flip=not args.no_flip,
            cfg_options=_options(args),
        )
        opened = models.open_detector_and_pose(
            args.det_config,
            args.det_checkpoint,
            pose,
            bbox_thr=args.bbox_thr,
            nms_thr=args.nms_thr,
            progress=show_download_progress,
        )
        if json_writer is not None:
            json_writer.dataset_meta = opened.dataset_meta
        return _print_devices(opened.pipeline)

    job = Job(
        inputs=(args.input,),
        open=open_models,
        style=_style(args, draw_bbox=args.draw_bbox),
        out=folder,
        json_writer=json_writer,
        reads=tuple(filter(None, (args.det_config, args.det_checkpoint, args.pose_config, args.pose_checkpoint))),
        show=args.show,
        wait=args.show_interval,
        video_options=_video_options(args),
        summary=args.headless,
        advice="leave --show out and give --output-root, the folder for the drawn images",
    )
    return 1 if run(job, info=info, warn=warn) else 0


def inferencer(arguments: Sequence[str], prog: str | None = None) -> int:
    """Find keypoints with a model given by its alias.

    Raises:
        LimnerError: nothing can be processed.
    """
    args = parse_arguments(inferencer_parser(prog), arguments)
    for flag in FLAGS_FOR_3D:
        if getattr(args, flag.replace("-", "_")) not in (None, False):
            raise ArgumentError(f"--{flag} {NO_3D}")
    if args.show_alias:
        return _show_aliases()
    if args.inputs is None:
        raise ArgumentError("no input is given: give an image, a video, a folder, a pattern, a URL or webcam")
    if args.pose2d is None:
        raise ArgumentError("no --pose2d is given: give a model, such as --pose2d human; --show-alias lists them")
    if args.scope != "mmpose":
        raise ArgumentError(f"--scope is '{args.scope}' where only mmpose is supported: leave it out")
    show = args.show or (args.inputs.startswith("webcam") and not args.headless)
    if not (show or args.vis_out_dir or args.pred_out_dir):
        raise ArgumentError("there would be no output: give --show, --vis-out-dir or --pred-out-dir")
    _check_names({"--vis-out-dir": args.vis_out_dir, "--pred-out-dir": args.pred_out_dir})
    from ..jobs.job import Job, run
    from ..jobs.progress import show_download_progress
    from ..writers import JsonWriter
    from . import models

    model_arguments = models.ModelArguments(
        args.pose2d,
        args.pose2d_weights,
        args.det_model,
        args.det_weights,
        tuple(args.det_cat_ids) if args.det_cat_ids else None,
        args.device,
        args.backend,
        flip=not args.no_flip,
        cfg_options=_options(args),
    )

    def open_models() -> Pipeline:
        opened = models.open_models(model_arguments, show_download_progress).pipeline
        return _print_devices(
            models.with_thresholds(opened, bbox_thr=args.bbox_thr, nms_thr=args.nms_thr, pose_nms=args.pose_based_nms)
        )

    job = Job(
        inputs=(args.inputs,),
        open=open_models,
        style=_style(args, draw_bbox=args.draw_bbox),
        out=Path(args.vis_out_dir) if args.vis_out_dir else None,
        json_writer=JsonWriter(args.pred_out_dir) if args.pred_out_dir else None,
        reads=tuple(filter(None, (args.pose2d, args.pose2d_weights, args.det_model, args.det_weights))),
        show=show,
        video_options=_video_options(args),
        summary=args.headless,
        advice="leave --show out and give --vis-out-dir, the folder for the drawn images",
        progress=args.show_progress or None,
    )
    return 1 if run(job, info=info, warn=warn) else 0


def image(arguments: Sequence[str], prog: str | None = None) -> int:
    """Find the keypoints of one object that fills the image.

    Raises:
        LimnerError: nothing can be processed.
    """
    args = parse_arguments(image_parser(prog), arguments)
    if not args.show and args.out_file is None:
        raise ArgumentError("there would be no output: give --show, --out-file or both")
    if args.out_file is not None:
        _check_names({"--out-file": args.out_file or " "})
    from .. import sources
    from ..display.window import Window
    from ..draw import render
    from ..jobs.progress import show_download_progress
    from ..writers import ImageWriter, refuse_overwrite
    from . import models

    target = expanded(args.out_file) if args.out_file is not None else None
    writer = ImageWriter(target.parent) if target is not None else None
    frame = sources.read_one(args.img)
    stem, suffix = (target.stem, target.suffix or Path(args.img).suffix) if target is not None else ("", "")
    if writer is not None:
        refuse_overwrite(expanded(args.img), writer.path(stem, suffix))
    model_arguments = models.ModelArguments(
        args.config,
        args.checkpoint,
        device=args.device,
        backend=args.backend,
        flip=not args.no_flip,
        cfg_options=_options(args),
    )
    window = (
        Window("limner", "leave --show out and give --out-file, the file for the drawn image") if args.show else None
    )
    pipeline = _print_devices(models.open_whole_image(model_arguments, show_download_progress).pipeline)
    style = _style(args, draw_bbox=True)
    drawn = render(frame.image, pipeline.one(frame, heatmaps=style.heatmaps), style, crop=pipeline.pose.crop)
    if writer is not None:
        info(f"the drawn image is written to '{writer.write(stem, drawn, suffix)}'")
    if window is not None:
        with window:
            window.show(drawn)
    return 0


# -- shared by the demos


def _print_devices(pipeline: Pipeline) -> Pipeline:
    """Print the devices of the networks."""
    info(f"running on {' and '.join(pipeline.devices)}")
    return pipeline


def _style(args: argparse.Namespace, *, draw_bbox: bool) -> DrawStyle:
    from ..draw import DrawStyle
    from .inferencer_arguments import fitted_to_faces

    return DrawStyle(
        kpt_thr=args.kpt_thr,
        radius=args.radius,
        thickness=args.thickness,
        line_alpha=getattr(args, "alpha", None),
        draw_bbox=draw_bbox,
        show_kpt_idx=getattr(args, "show_kpt_idx", False),
        skeleton_style=args.skeleton_style,
        background="black" if getattr(args, "black_background", False) else None,
        draw_heatmap=args.draw_heatmap,
        fit_faces=fitted_to_faces(args.radius, args.thickness),
    )


def _video_options(args: argparse.Namespace) -> VideoOptions:
    from ..video.options import TrackingOptions, VideoOptions, parse_size

    return VideoOptions(
        TrackingOptions(args.det_interval, not args.no_track, args.max_persons, args.follow, args.smooth),
        keep_audio=args.keep_audio,
        camera_size=parse_size(args.camera_size),
        camera_fps=args.camera_fps,
        max_frames=args.max_frames,
    )


def _options(args: argparse.Namespace) -> dict[str, object] | None:
    from ..config import parse_options

    return parse_options(args.cfg_options) if args.cfg_options else None


def _show_aliases() -> int:
    from .. import zoo

    pairs = sorted((alias, model.name) for model in zoo.models() for alias in model.aliases if model.kind == "pose")
    width = max(len(alias) for alias, _ in pairs) + 2
    print("ALIAS".ljust(width) + "MODEL_NAME")
    for alias, name in pairs:
        print(alias.ljust(width) + name)
    return 0
