"""The arguments of MMPose's demo commands: flags, defaults and what is wrong with them."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import NoReturn

from ..errors import ArgumentError, suggest

NO_3D = "belongs to 3D models, and limner finds 2D keypoints: leave it out"
# flags of MMPose that concern 3D models alone
FOR_3D = (
    "pose3d",
    "pose3d-weights",
    "tracking-thr",
    "num-instances",
    "use-oks-tracking",
    "disable-norm-pose-2d",
    "disable-rebase-keypoint",
)


class _Parser(argparse.ArgumentParser):
    """Turns what argparse has to complain about into an ArgumentError."""

    def error(self, message: str) -> NoReturn:
        raise ArgumentError(f"{message}; --help shows the arguments")


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the defaults that say something."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False, "") else super()._get_help_string(action)


def parse_arguments(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """Read the words of a command line.

    Raises:
        ArgumentError: a word is unknown, missing or has a bad value; an unknown flag names the nearest one.
    """
    known = [flag for action in parser._actions for flag in action.option_strings]
    for word in arguments:
        flag = word.partition("=")[0]
        if flag.startswith("--") and flag != "--" and not any(k.startswith(flag) for k in known):
            raise ArgumentError(f"there is no flag {flag}.{suggest(flag, known)} --help shows the arguments")
    switches = {flag for action in parser._actions if action.nargs == 0 for flag in action.option_strings}
    args, extra = parser.parse_known_args(_without_booleans(arguments, switches))
    if extra:
        raise ArgumentError(f"there is no place for the word '{extra[0]}'; --help shows the arguments")
    return args


def _without_booleans(arguments: Sequence[str], switches: set[str]) -> list[str]:
    """Take ``--switch True`` for ``--switch``, and ``--switch False`` for nothing: MMPose's documents write both."""
    kept: list[str] = []
    for word in arguments:
        if kept and kept[-1] in switches and word in ("True", "true", "False", "false"):
            if word.lower() == "false":
                kept.pop()
            continue
        kept.append(word)
    return kept


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
    if text.lower() not in ("true", "yes", "t", "y", "1", "false", "no", "f", "n", "0"):
        raise argparse.ArgumentTypeError(f"'{text}' where True or False is needed")
    return text.lower() in ("true", "yes", "t", "y", "1")


_number.__name__ = _share.__name__ = "number"
_natural.__name__ = "whole number"


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} where a whole number from 1 on is needed")
    return value


def _rate(text: str) -> float:
    value = _number(text)
    if not 1 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"{text} where a number from 1 to 1000 is needed")
    return value


_positive.__name__, _rate.__name__ = "whole number", "number"


def _parser(prog: str | None, about: str) -> _Parser:
    return _Parser(prog=prog, description=about, formatter_class=_Help)


def _add_shared_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--device", default=None, help="cpu, cuda:0 ...; left out, the first GPU if there is one, else the CPU")
    add("--backend", help="auto, onnxruntime, openvino and tensorrt are faster; left out, torch, as in MMPose")
    add("--show", action="store_true", help="show what is drawn in a window; ESC or q closes it")
    add("--draw-heatmap", action="store_true", help="draw below each image where the keypoints were seen")
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


def _add_video_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("videos and cameras").add_argument
    add("--det-interval", type=_positive, default=1, help="the detector looks at every so many frames")
    add("--max-persons", type=_positive, help="not more people than that")
    add("--follow", help="one person: largest, center, X,Y or id:N")
    add("--smooth", default="off", choices=("off", "live", "file"), help="steady keypoints")
    add("--no-track", action="store_true", help="do not number the people")
    add("--keep-audio", action="store_true", help="keep a video's sound")
    add("--max-frames", type=_positive, help="end after so many frames")
    add("--camera-size", metavar="WxH", help="of a camera, such as 1280x720")
    add("--camera-fps", type=_rate, help="of a camera")
    add("--headless", action="store_true", help="no window for a camera; say at the end how fast it went")


def topdown_parser(prog: str | None) -> _Parser:
    parser = _parser(prog, "Find boxes with a detector and keypoints in them with a pose model; draw and save them.")
    add = parser.add_argument
    add("det_config", help="config of the detector")
    add("det_checkpoint", help="its weights: a path or an address")
    add("pose_config", help="config of the pose model")
    add("pose_checkpoint", help="its weights: a path or an address")
    add("--input", default="", help="an image, a video, a folder, a pattern, an address, webcam or webcam:N")
    add("--output-root", default="", help="folder for the drawn images and the predictions")
    add("--save-predictions", action="store_true", help="write results_STEM.json into --output-root too")
    add("--det-cat-id", type=_natural, default=0, help="class of the detector that is looked for")
    add("--bbox-thr", type=_share, default=0.3, help="boxes that do not score above it are left out")
    add("--nms-thr", type=_share, default=0.3, help="boxes that overlap a better one by more are left out")
    add("--show-kpt-idx", action="store_true", help="write each keypoint's number")
    add("--show-interval", type=_natural, default=0, help="seconds that --show waits; for images 0 waits for a key")
    add("--alpha", type=_share, default=0.8, help="opacity of the lines")
    add("--draw-bbox", action="store_true", help="draw the boxes and their scores")
    _add_shared_arguments(parser)
    _add_video_arguments(parser)
    return parser


def inferencer_parser(prog: str | None) -> _Parser:
    parser = _parser(prog, "Find keypoints with a model that is named by its alias; draw and save them.")
    add = parser.add_argument
    add("inputs", nargs="?", help="an image, a video, a folder, a pattern, an address, webcam or webcam:N")
    add("--pose2d", help="alias such as human, name of a config, or its path")
    add("--pose2d-weights", help="a path or an address; left out, the published ones")
    add("--det-model", help="detector: alias, name or path of a config, or whole_image; left out, the usual one")
    add("--det-weights", help="a path or an address; left out, the published ones")
    add("--det-cat-ids", type=_natural, nargs="+", metavar="ID", help="classes of the detector; left out, the usual")
    add("--scope", default="mmpose", help="only mmpose")
    add("--show-progress", action="store_true", help="show a bar for a single image too")
    add("--draw-bbox", action="store_true", help="draw the boxes and their scores")
    add("--bbox-thr", type=_share, help="boxes that do not score above it are left out; left out, 0.3")
    add("--nms-thr", type=_share, help="boxes that overlap a better one by more are left out; left out, 0.3")
    add("--pose-based-nms", type=_truth, default=False, metavar="BOOL", help="drop poses that share their points")
    add("--black-background", action="store_true", help="draw on black")
    add("--vis-out-dir", default="", help="folder for the drawn images")
    add("--pred-out-dir", default="", help="folder for the predictions, STEM.json")
    add("--show-alias", action="store_true", help="list the aliases")
    _add_shared_arguments(parser)
    _add_video_arguments(parser)
    for flag in FOR_3D:
        if flag.startswith(("use", "disable")):
            add(f"--{flag}", action="store_true", help=argparse.SUPPRESS)
        else:
            add(f"--{flag}", help=argparse.SUPPRESS)
    return parser


def image_parser(prog: str | None) -> _Parser:
    parser = _parser(prog, "Find the keypoints of the one object that a whole image shows; draw them.")
    add = parser.add_argument
    add("img", help="an image")
    add("config", help="config of the pose model")
    add("checkpoint", help="its weights: a path or an address")
    add("--out-file", help="the drawn image")
    add("--show-kpt-idx", action="store_true", help="write each keypoint's number")
    add("--alpha", type=_share, default=0.8, help="opacity of the lines")
    _add_shared_arguments(parser)
    return parser
