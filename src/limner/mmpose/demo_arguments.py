"""The arguments of MMPose's demo commands: flags, defaults and error messages."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import NoReturn

from ..errors import ArgumentError, suggest

NO_3D = "belongs to 3D models, and limner finds 2D keypoints: leave it out"
# flags of MMPose for 3D models only
FLAGS_FOR_3D = (
    "pose3d",
    "pose3d-weights",
    "tracking-thr",
    "num-instances",
    "use-oks-tracking",
    "disable-norm-pose-2d",
    "disable-rebase-keypoint",
)


class _Parser(argparse.ArgumentParser):
    """Raises argparse's errors as ArgumentError."""

    def error(self, message: str) -> NoReturn:
        raise ArgumentError(f"{message}; --help shows the arguments")


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the defaults, unless they are None, False or empty."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False, "") else super()._get_help_string(action)


def parse_arguments(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments of a command line.

    Raises:
        ArgumentError: one is unknown, missing or has a bad value; for an unknown flag the most similar is suggested.
    """
    known = [flag for action in parser._actions for flag in action.option_strings]
    for argument in arguments:
        flag = argument.partition("=")[0]
        if flag.startswith("--") and flag != "--" and not any(k.startswith(flag) for k in known):
            raise ArgumentError(f"there is no flag {flag}.{suggest(flag, known)} --help shows the arguments")
    switches = {flag for action in parser._actions if action.nargs == 0 for flag in action.option_strings}
    args, extra = parser.parse_known_args(_without_booleans(arguments, switches))
    if extra:
        raise ArgumentError(f"the argument '{extra[0]}' is one too many; --help shows the arguments")
    return args


def _without_booleans(arguments: Sequence[str], switches: set[str]) -> list[str]:
    """Take ``--switch True`` for ``--switch``, and ``--switch False`` for nothing: MMPose's documentation uses both."""
    kept: list[str] = []
    for argument in arguments:
        if kept and kept[-1] in switches and argument in ("True", "true", "False", "false"):
            if argument.lower() == "false":
                kept.pop()
            continue
        kept.append(argument)
    return kept


def _finite_number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def _fraction(text: str) -> float:
    value = _finite_number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} where a number from 0 to 1 is needed")
    return value


def _non_negative(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} where a whole number from 0 on is needed")
    return value


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "yes", "t", "y", "1", "false", "no", "f", "n", "0"):
        raise argparse.ArgumentTypeError(f"'{text}' where True or False is needed")
    return text.lower() in ("true", "yes", "t", "y", "1")


_finite_number.__name__ = _fraction.__name__ = "number"
_non_negative.__name__ = "whole number"


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} where a whole number from 1 on is needed")
    return value


def _rate(text: str) -> float:
    value = _finite_number(text)
    if not 1 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"{text} where a number from 1 to 1000 is needed")
    return value


_positive.__name__, _rate.__name__ = "whole number", "number"


def _parser(prog: str | None, description: str) -> _Parser:
    return _Parser(prog=prog, description=description, formatter_class=_Help)


def _add_shared_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--device", default=None, help="cpu, cuda:0, ... (default: the first GPU if there is one, else the CPU)")
    add("--backend", help="torch, or faster: auto, onnxruntime, openvino, tensorrt (default: torch where installed)")
    add("--show", action="store_true", help="show the drawn images in a window; ESC or q closes it")
    add("--draw-heatmap", action="store_true", help="draw the heatmap of the keypoints below each image")
    add("--kpt-thr", type=_finite_number, default=0.3, help="draw keypoints with at least this score")
    add(
        "--radius", type=_non_negative, default=3, help="radius of the dots in pixels; 3, the default, is less on faces"
    )
    add("--thickness", type=_non_negative, default=1, help="width of the lines in pixels; 1, the default, fits faces")
    add("--skeleton-style", default="mmpose", choices=("mmpose", "openpose"), help="how keypoints are drawn")
    add(
        "--no-flip",
        action="store_true",
        help="leave out the flip test, as flip_test=False does",
    )
    add(
        "--cfg-options",
        nargs="+",
        metavar="KEY=VALUE",
        help="changes of the pose model's config, such as model.test_cfg.flip_test=False",
    )


def _add_video_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("videos and cameras").add_argument
    add("--det-interval", type=_positive, default=1, help="run the detector on every Nth frame")
    add("--max-persons", type=_positive, help="keep at most this many people")
    add("--follow", help="keep one person only: largest, center, a pixel X,Y, or a track id as id:N")
    add("--smooth", default="off", choices=("off", "live", "file"), help="smooth keypoints over time")
    add("--no-track", action="store_true", help="do not give people track ids")
    add("--keep-audio", action="store_true", help="keep a video's sound")
    add("--max-frames", type=_positive, help="stop after this many frames of each video")
    add("--camera-size", metavar="WxH", help="size to request from a camera, such as 1280x720")
    add("--camera-fps", type=_rate, help="frames per second to request from a camera")
    add("--headless", action="store_true", help="open no window for cameras; report the FPS at the end")


def topdown_parser(prog: str | None) -> _Parser:
    parser = _parser(prog, "Find boxes with a detector and keypoints in them with a pose model; draw and save them.")
    add = parser.add_argument
    add("det_config", help="config of the detector")
    add("det_checkpoint", help="its weights: a path or URL")
    add("pose_config", help="config of the pose model")
    add("pose_checkpoint", help="its weights: a path or URL")
    add("--input", default="", help="an image, a video, a folder, a pattern, a URL, webcam or webcam:N")
    add("--output-root", default="", help="folder for the drawn images and the predictions")
    add("--save-predictions", action="store_true", help="write results_STEM.json into --output-root too")
    add("--det-cat-id", type=_non_negative, default=0, help="class of the detector to keep")
    add("--bbox-thr", type=_fraction, default=0.3, help="keep boxes with a score above this")
    add(
        "--nms-thr", type=_fraction, default=0.3, help="leave out boxes that overlap a better one by more than this IoU"
    )
    add("--show-kpt-idx", action="store_true", help="draw the index of each keypoint")
    add(
        "--show-interval",
        type=_non_negative,
        default=0,
        help="seconds for which --show shows each image or frame; for images 0 waits for a key",
    )
    add("--alpha", type=_fraction, default=0.8, help="opacity of the lines")
    add("--draw-bbox", action="store_true", help="draw the boxes and their scores")
    _add_shared_arguments(parser)
    _add_video_arguments(parser)
    return parser


def inferencer_parser(prog: str | None) -> _Parser:
    parser = _parser(prog, "Find keypoints with a model given by its alias; draw and save them.")
    add = parser.add_argument
    add("inputs", nargs="?", help="an image, a video, a folder, a pattern, a URL, webcam or webcam:N")
    add("--pose2d", help="alias such as human, or the name or path of a config")
    add("--pose2d-weights", help="its weights: a path or URL (default: the published ones)")
    add(
        "--det-model",
        help="detector: alias, name or path of a config, or whole_image (default: the one for the pose model)",
    )
    add("--det-weights", help="its weights: a path or URL (default: the published ones)")
    add(
        "--det-cat-ids",
        type=_non_negative,
        nargs="+",
        metavar="ID",
        help="classes of the detector to keep (default: those for the pose model)",
    )
    add("--scope", default="mmpose", help="only mmpose is supported")
    add("--show-progress", action="store_true", help="show a bar for a single image too")
    add("--draw-bbox", action="store_true", help="draw the boxes and their scores")
    add(
        "--bbox-thr", type=_fraction, help="keep boxes with a score above this (default: 0.3, or a bundled model's own)"
    )
    add(
        "--nms-thr",
        type=_fraction,
        help="leave out boxes that overlap a better one by more than this IoU (default: 0.3, or a bundled model's own)",
    )
    add(
        "--pose-based-nms",
        type=_boolean,
        default=False,
        metavar="BOOL",
        help="leave out poses whose keypoints are close to those of a better one",
    )
    add("--black-background", action="store_true", help="draw on a black background")
    add("--vis-out-dir", default="", help="folder for the drawn images")
    add("--pred-out-dir", default="", help="folder for the predictions, STEM.json")
    add("--show-alias", action="store_true", help="list the aliases")
    _add_shared_arguments(parser)
    _add_video_arguments(parser)
    for flag in FLAGS_FOR_3D:
        if flag.startswith(("use", "disable")):
            add(f"--{flag}", action="store_true", help=argparse.SUPPRESS)
        else:
            add(f"--{flag}", help=argparse.SUPPRESS)
    return parser


def image_parser(prog: str | None) -> _Parser:
    parser = _parser(prog, "Find the keypoints of one object that fills the image; draw them.")
    add = parser.add_argument
    add("img", help="path of an image")
    add("config", help="config of the pose model")
    add("checkpoint", help="its weights: a path or URL")
    add("--out-file", help="file for the drawn image")
    add("--show-kpt-idx", action="store_true", help="draw the index of each keypoint")
    add("--alpha", type=_fraction, default=0.8, help="opacity of the lines")
    _add_shared_arguments(parser)
    return parser
