"""MMPose's three demo commands: the same words, the same files, over limn's pipeline.

Each function takes the words of its command line and returns its exit status. `demo/*.py` and the
sub-commands of `limn` are these functions. What needs numpy is imported inside them, so that --help is instant.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from .errors import ArgumentError, LimnError, suggest

if TYPE_CHECKING:
    from .pipeline import Pipeline
    from .render import Look

NO_3D = "belongs to 3D models, and limn finds 2D keypoints: leave it out"


FOR_3D = (
    "pose3d",
    "pose3d-weights",
    "tracking-thr",
    "num-instances",
    "use-oks-tracking",
    "disable-norm-pose-2d",
    "disable-rebase-keypoint",
)


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
    args = _read(_topdown_words(prog), words)
    if not args.input:
        raise ArgumentError("no --input is given: name a picture, a folder or a pattern")
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
        instead="leave --show out and give --output-root, the folder for the drawn pictures",
    )
    return 1 if job.run(wanted, say=print, complain=complain) else 0


def inferencer(words: Sequence[str], prog: str | None = None) -> int:
    """Find keypoints with a model that is named by its alias.

    Raises:
        LimnError: nothing can be done at all.
    """
    args = _read(_inferencer_words(prog), words)
    for flag in FOR_3D:
        if getattr(args, flag.replace("-", "_")) not in (None, False):
            raise ArgumentError(f"--{flag} {NO_3D}")
    if args.show_alias:
        return _show_aliases()
    if args.inputs is None:
        raise ArgumentError("no input is given: name a picture, a folder or a pattern")
    if args.pose2d is None:
        raise ArgumentError("no --pose2d is given: name a model, such as --pose2d human; --show-alias lists them")
    if args.scope != "mmpose":
        raise ArgumentError(f"--scope is '{args.scope}', and limn knows the models of 'mmpose' only")
    show = args.show or args.inputs.startswith("webcam")
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
        instead="leave --show out and give --vis-out-dir, the folder for the drawn pictures",
        bar=args.show_progress,
    )
    return 1 if job.run(wanted, say=print, complain=complain) else 0


def image(words: Sequence[str], prog: str | None = None) -> int:
    """Find the keypoints of the one object that a whole picture shows.

    Raises:
        LimnError: nothing can be done at all.
    """
    args = _read(_image_words(prog), words)
    if not args.show and args.out_file is None:
        raise ArgumentError("neither --show nor --out-file is given, so nothing would come of it: give one")
    from . import api, choice, job
    from .render import render
    from .sinks import PictureSink
    from .sources import Item
    from .window import Window

    target = Path(args.out_file).expanduser() if args.out_file is not None else None
    sink = PictureSink(target.parent) if target is not None else None
    frame = api.read(args.img)
    named = (target.stem, target.suffix or Path(args.img).suffix) if target is not None else ("", "")
    if sink is not None:
        job.guard(Item(named[0], Path(args.img).expanduser()), sink.path(*named))
    wanted = choice.Choice(
        args.config, args.checkpoint, device=args.device, flip=not args.no_flip, cfg_options=_options(args)
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


# -- their words


class _Words(argparse.ArgumentParser):
    """Turns what argparse has to complain about into an ArgumentError."""

    def error(self, message: str) -> NoReturn:
        raise ArgumentError(f"{message}; --help shows the arguments")


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the defaults that say something."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False, "") else super()._get_help_string(action)


def _read(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """Read the words of a command line.

    Raises:
        ArgumentError: a word is unknown, missing or has a bad value; an unknown flag names the nearest one.
    """
    known = [flag for action in parser._actions for flag in action.option_strings]
    for word in words:
        flag = word.partition("=")[0]
        if flag.startswith("--") and flag != "--" and not any(k.startswith(flag) for k in known):
            raise ArgumentError(f"there is no flag {flag}.{suggest(flag, known)} --help shows the arguments")
    args, extra = parser.parse_known_args(list(words))
    if extra:
        raise ArgumentError(f"there is no place for the word '{extra[0]}'; --help shows the arguments")
    return args


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def _share(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} where a number from 0 to 1 is needed")
    return value


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} where a whole number from 0 on is needed")
    return value


def _truth(text: str) -> bool:
    return text.lower() in ("true", "yes", "t", "y", "1")


_number.__name__ = _share.__name__ = "number"
_natural.__name__ = "whole number"


def _parser(prog: str | None, about: str) -> _Words:
    return _Words(prog=prog, description=about, formatter_class=_Help)


def _shared_words(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--device", default=None, help="cpu, cuda:0 ...; left out, the first GPU if there is one, else the CPU")
    add("--show", action="store_true", help="show the drawn pictures in a window; ESC or q closes it")
    add("--draw-heatmap", action="store_true", help="draw below each picture where the keypoints were seen")
    add("--kpt-thr", type=_number, default=0.3, help="keypoints that score less are not drawn")
    add("--radius", type=_natural, default=3, help="of the dots, pixels")
    add("--thickness", type=_natural, default=1, help="of the lines, pixels")
    add("--skeleton-style", default="mmpose", choices=("mmpose", "openpose"), help="how keypoints are drawn")
    add(
        "--no-flip",
        action="store_true",
        help="leave out the mirrored second look, as flip_test=False does",
    )
    add("--cfg-options", nargs="+", metavar="KEY=VALUE", help="changes of the pose config, such as model.x.y=1")


def _topdown_words(prog: str | None) -> _Words:
    parser = _parser(prog, "Find boxes with a detector and keypoints in them with a pose model; draw and save them.")
    add = parser.add_argument
    add("det_config", help="config of the detector")
    add("det_checkpoint", help="its weights: a path or an address")
    add("pose_config", help="config of the pose model")
    add("pose_checkpoint", help="its weights: a path or an address")
    add("--input", default="", help="a picture, a folder or a pattern")
    add("--output-root", default="", help="folder for the drawn pictures and the predictions")
    add("--save-predictions", action="store_true", help="write results_STEM.json into --output-root too")
    add("--det-cat-id", type=_natural, default=0, help="class of the detector that is looked for")
    add("--bbox-thr", type=_share, default=0.3, help="boxes that do not score above it are left out")
    add("--nms-thr", type=_share, default=0.3, help="boxes that overlap a better one by more are left out")
    add("--show-kpt-idx", action="store_true", help="write each keypoint's number")
    add("--show-interval", type=_natural, default=0, help="seconds that --show waits; 0 waits for a key")
    add("--alpha", type=_share, default=0.8, help="opacity of the lines")
    add("--draw-bbox", action="store_true", help="draw the boxes and their scores")
    _shared_words(parser)
    return parser


def _inferencer_words(prog: str | None) -> _Words:
    parser = _parser(prog, "Find keypoints with a model that is named by its alias; draw and save them.")
    add = parser.add_argument
    add("inputs", nargs="?", help="a picture, a folder or a pattern")
    add("--pose2d", help="alias such as human, name of a config, or its path")
    add("--pose2d-weights", help="a path or an address; left out, the published ones")
    add("--det-model", help="detector: alias, name or path of a config, or whole_image; left out, the usual one")
    add("--det-weights", help="a path or an address; left out, the published ones")
    add("--det-cat-ids", type=_natural, nargs="+", metavar="ID", help="classes of the detector; left out, the usual")
    add("--scope", default="mmpose", help="only mmpose")
    add("--show-progress", action="store_true", help="show a bar for a single picture too")
    add("--draw-bbox", action="store_true", help="draw the boxes and their scores")
    add("--bbox-thr", type=_share, help="boxes that do not score above it are left out; left out, 0.3")
    add("--nms-thr", type=_share, help="boxes that overlap a better one by more are left out; left out, 0.3")
    add("--pose-based-nms", type=_truth, default=False, metavar="BOOL", help="drop poses that share their points")
    add("--black-background", action="store_true", help="draw on black")
    add("--vis-out-dir", default="", help="folder for the drawn pictures")
    add("--pred-out-dir", default="", help="folder for the predictions, STEM.json")
    add("--show-alias", action="store_true", help="list the aliases")
    _shared_words(parser)
    for flag in FOR_3D:
        if flag.startswith(("use", "disable")):
            add(f"--{flag}", action="store_true", help=argparse.SUPPRESS)
        else:
            add(f"--{flag}", help=argparse.SUPPRESS)
    return parser


def _image_words(prog: str | None) -> _Words:
    parser = _parser(prog, "Find the keypoints of the one object that a whole picture shows; draw them.")
    add = parser.add_argument
    add("img", help="a picture")
    add("config", help="config of the pose model")
    add("checkpoint", help="its weights: a path or an address")
    add("--out-file", help="the drawn picture")
    add("--show-kpt-idx", action="store_true", help="write each keypoint's number")
    add("--alpha", type=_share, default=0.8, help="opacity of the lines")
    _shared_words(parser)
    return parser
