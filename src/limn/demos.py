"""MMPose's three demo commands: the same words, the same files, over limn's pipeline.

Each function takes the words of its command line and returns its exit status. `demo/*.py` and the
sub-commands of `limn` are these functions. What needs numpy is imported inside them, so that --help is instant.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from .errors import ArgumentError, LimnError
from .words import FOR_3D, image_words, inferencer_words, read_words, topdown_words

if TYPE_CHECKING:
    from .motion import Wishes
    from .pipeline import Pipeline
    from .render import Look

NO_3D = "belongs to 3D models, and limn finds 2D keypoints: leave it out"


def main(demo: Callable[[Sequence[str]], int]) -> NoReturn:
    """Run a demo with the words of the command line; an error becomes one sentence on stderr and status 1."""
    try:
        status = demo(sys.argv[1:])
    except LimnError as error:
        complain(str(error))
        status = 1
    except KeyboardInterrupt:
        complain("stopped; what was written so far is complete")
        status = 130
    raise SystemExit(status)


def complain(sentence: str) -> None:
    """Say on stderr what went wrong."""
    print(f"limn: {sentence}", file=sys.stderr)


# -- the three demos


def topdown(words: Sequence[str], prog: str | None = None) -> int:
    """Find boxes with one model and keypoints in them with another, each given by its config and checkpoint.

    Raises:
        LimnError: nothing can be done at all.
    """
    args = read_words(topdown_words(prog), words)
    if not args.input:
        raise ArgumentError("no --input is given: name a picture, a video, a folder, a pattern, an address or webcam")
    if not args.show and not args.output_root:
        raise ArgumentError("neither --show nor --output-root is given, so nothing would come of it: give one")
    if args.save_predictions and not args.output_root:
        raise ArgumentError("--save-predictions needs --output-root, the folder that the predictions go to")
    from . import choice, job

    folder = Path(args.output_root) if args.output_root else None
    sheets = job.MetaSheets(folder) if folder is not None and args.save_predictions else None

    def open_models() -> Pipeline:
        pose = choice.Choice(
            args.pose_config,
            args.pose_checkpoint,
            det_cat_ids=(args.det_cat_id,),
            device=args.device,
            backend=args.backend,
            flip=not args.no_flip,
            cfg_options=_options(args),
        )
        opened = choice.open_pair(
            args.det_config,
            args.det_checkpoint,
            pose,
            bbox_thr=args.bbox_thr,
            nms_thr=args.nms_thr,
            progress=job.show_download,
        )
        if sheets is not None:
            sheets.dataset_meta = opened.dataset_meta
        return _said(opened.pipeline)

    wanted = job.Job(
        inputs=(args.input,),
        open=open_models,
        look=_look(args, boxes=args.draw_bbox),
        out=folder,
        sheets=sheets,
        show=args.show,
        wait=args.show_interval,
        wishes=_wishes(args),
        summary=args.headless,
        instead="leave --show out and give --output-root, the folder for the drawn pictures",
    )
    return 1 if job.run(wanted, say=print, complain=complain) else 0


def inferencer(words: Sequence[str], prog: str | None = None) -> int:
    """Find keypoints with a model that is named by its alias.

    Raises:
        LimnError: nothing can be done at all.
    """
    args = read_words(inferencer_words(prog), words)
    for flag in FOR_3D:
        if getattr(args, flag.replace("-", "_")) not in (None, False):
            raise ArgumentError(f"--{flag} {NO_3D}")
    if args.show_alias:
        return _show_aliases()
    if args.inputs is None:
        raise ArgumentError("no input is given: name a picture, a video, a folder, a pattern, an address or webcam")
    if args.pose2d is None:
        raise ArgumentError("no --pose2d is given: name a model, such as --pose2d human; --show-alias lists them")
    if args.scope != "mmpose":
        raise ArgumentError(f"--scope is '{args.scope}', and limn knows the models of 'mmpose' only")
    show = args.show or (args.inputs.startswith("webcam") and not args.headless)
    if not (show or args.vis_out_dir or args.pred_out_dir):
        raise ArgumentError(
            "none of --show, --vis-out-dir and --pred-out-dir is given, so nothing would come of it: give one"
        )
    from . import choice, job
    from .sinks import JsonSink

    wanted_models = choice.Choice(
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
        opened = choice.open_choice(wanted_models, job.show_download).pipeline
        return _said(
            choice.adjusted(opened, bbox_thr=args.bbox_thr, nms_thr=args.nms_thr, pose_nms=args.pose_based_nms)
        )

    wanted = job.Job(
        inputs=(args.inputs,),
        open=open_models,
        look=_look(args, boxes=args.draw_bbox),
        out=Path(args.vis_out_dir) if args.vis_out_dir else None,
        sheets=JsonSink(args.pred_out_dir) if args.pred_out_dir else None,
        show=show,
        wishes=_wishes(args),
        summary=args.headless,
        instead="leave --show out and give --vis-out-dir, the folder for the drawn pictures",
        bar=args.show_progress,
    )
    return 1 if job.run(wanted, say=print, complain=complain) else 0


def image(words: Sequence[str], prog: str | None = None) -> int:
    """Find the keypoints of the one object that a whole picture shows.

    Raises:
        LimnError: nothing can be done at all.
    """
    args = read_words(image_words(prog), words)
    if not args.show and args.out_file is None:
        raise ArgumentError("neither --show nor --out-file is given, so nothing would come of it: give one")
    from . import api, choice, job
    from .render import render
    from .sinks import PictureSink, guard
    from .window import Window

    target = Path(args.out_file).expanduser() if args.out_file is not None else None
    sink = PictureSink(target.parent) if target is not None else None
    frame = api.read(args.img)
    named = (target.stem, target.suffix or Path(args.img).suffix) if target is not None else ("", "")
    if sink is not None:
        guard(Path(args.img).expanduser(), sink.path(*named))
    wanted = choice.Choice(
        args.config,
        args.checkpoint,
        device=args.device,
        backend=args.backend,
        flip=not args.no_flip,
        cfg_options=_options(args),
    )
    window = Window("limn", "leave --show out and give --out-file, the file to draw into") if args.show else None
    stages = _said(choice.open_pose(wanted, job.show_download).pipeline)
    look = _look(args, boxes=True)
    drawn = render(frame.image, stages.one(frame, heat=look.heat), stages.pose, look)
    if sink is not None:
        print(f"the drawn picture is written to '{sink.write(named[0], drawn, named[1])}'")
    if window is not None:
        with window:
            window.show(drawn)
    return 0


# -- what they share


def _said(stages: Pipeline) -> Pipeline:
    """Print what the networks run on."""
    print(f"running on {' and '.join(stages.devices)}")
    return stages


def _look(args: argparse.Namespace, *, boxes: bool) -> Look:
    from .render import Look

    return Look(
        kpt_thr=args.kpt_thr,
        radius=args.radius,
        thickness=args.thickness,
        alpha=getattr(args, "alpha", None),
        boxes=boxes,
        indices=getattr(args, "show_kpt_idx", False),
        style=args.skeleton_style,
        black_background=getattr(args, "black_background", False),
        heatmap=args.draw_heatmap,
    )


def _wishes(args: argparse.Namespace) -> Wishes:
    from .motion import Motion, Wishes, parse_size

    return Wishes(
        Motion(args.det_interval, not args.no_track, args.max_persons, args.follow, args.smooth),
        keep_audio=args.keep_audio,
        camera_size=parse_size(args.camera_size),
        camera_fps=args.camera_fps,
        max_frames=args.max_frames,
    )


def _options(args: argparse.Namespace) -> dict[str, object] | None:
    from .config import parse_options

    return parse_options(args.cfg_options) if args.cfg_options else None


def _show_aliases() -> int:
    from . import zoo

    pairs = sorted((alias, model.name) for model in zoo.models() for alias in model.aliases if model.kind == "pose")
    width = max(len(alias) for alias, _ in pairs) + 2
    print("ALIAS".ljust(width) + "MODEL_NAME")
    for alias, name in pairs:
        print(alias.ljust(width) + name)
    return 0
