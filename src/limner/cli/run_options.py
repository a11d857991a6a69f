"""The options of `limner run`, group by group, in the order of its help: names, values and help texts.

A rarely used option is `hidden`: only --help-all shows it. What an option does is in `run`; on which inputs
it has an effect is in `effects`.
"""

from __future__ import annotations

from typing import Annotated

import typer

from .common import OTHER, argument, in_group

# -- inputs

Inputs = Annotated[
    list[str],
    argument(
        "Image, video, folder, pattern such as 'photos/*.jpg' or frames/%05d.png, URL, camera (webcam, webcam:1) or - "
        "for standard input.",
        "INPUT...",
    ),
]

option, switch = in_group("Input")

Recursive = Annotated[
    bool, switch("--recursive", "Search the folders in a folder too; the results lie in folders of the same names.")
]
Start = Annotated[str | None, option("Begin a video at this time: seconds, 1:30 or 0:01:30.", "TIME")]
End = Annotated[str | None, option("End a video before this time.", "TIME")]
Every = Annotated[int, option("Take every Nth frame of a video; its drawing lasts as long.", "N", min=1)]
MaxFrames = Annotated[int | None, option("Stop after N frames of each video.", "N", min=1)]
Rotate = Annotated[int, option("Turn videos clockwise: 90, 180 or 270.", "DEGREES")]
Fps = Annotated[
    float | None,
    option("Take the images of a folder or pattern as one video of FPS frames per second.", "FPS", min=0.001),
]
MaxPixels = Annotated[
    int | None,
    option(
        "Read images and frames of up to N pixels (default: 268 million, less of an image in a small file, and 36 "
        "million of a frame).",
        "N",
        min=1,
        hidden=True,
    ),
]
CameraSize = Annotated[str | None, option("Size to request from a camera, such as 1280x720.", "WxH", hidden=True)]
CameraFps = Annotated[float | None, option("Frames per second to request from a camera.", "FPS", min=1, hidden=True)]
ReconnectTimeout = Annotated[
    float, option("How long to try to reopen a lost camera or stream (default: 60).", "SECONDS", min=0, hidden=True)
]

# -- the model

option, switch = in_group("Model")

Model = Annotated[
    str,
    option(
        "Model: a name that `limner models list` shows, or a .pth, .onnx, .zip or config of your own (default: "
        "face-lite).",
        "NAME",
        "--model",
        "-m",
    ),
]
Weights = Annotated[
    str | None, option("Weights, a file or URL: of a config, or in place of a name's own.", "FILE", hidden=True)
]
Keypoints = Annotated[
    str | None,
    option("Keypoint set of a model that does not say it: coco-17, halpe-26, a data set's .py ...", "SET", hidden=True),
]
Det = Annotated[
    str | None,
    option("Detector, as --model, or whole-image for images of one object (default: the model's own).", "NAME"),
]
DetWeights = Annotated[str | None, option("Weights of the detector, as --weights.", "FILE", hidden=True)]
BboxThr = Annotated[
    float | None,
    option("Keep boxes with a score above this, 0 to 1 (default: the model's own).", "SCORE", min=0, max=1),
]
DetSize = Annotated[
    str | None,
    option(
        "Size of the detector's input, such as 640 or 1280x736; auto adds a larger one for large images. A larger "
        "one finds smaller objects, takes more time, and may miss very large ones.",
        "SIZE",
        hidden=True,
    ),
]
Tile = Annotated[
    str,
    option(
        "Look at large images in overlapping tiles too, to find small objects: off, auto, or columns and rows such "
        "as 3x2 (default: off).",
        "TILES",
    ),
]
MaxBoxes = Annotated[
    int | None,
    option("Find at most N boxes in an image (default: the detector's own cap, often 100).", "N", min=1, hidden=True),
]
NoFlip = Annotated[bool, switch("--no-flip", "Leave out the flip test, a second run on the mirrored crops: faster.")]

# -- outputs

option, switch = in_group("Output")

Out = Annotated[
    str | None,
    option(
        "Where drawn images and videos go: a folder, or for one input a file such as x.png, x.svg or x.mp4 "
        "(default: limner-out; nothing is drawn where --json, --jsonl or --show is given alone).",
        "PATH",
        "--out",
        "-o",
    ),
]
Json = Annotated[
    str | None,
    option("Where results go: a folder, with a JSON file for each input, or for one input a file x.json.", "PATH"),
]
Jsonl = Annotated[
    str | None,
    option("Write all results into one file, a line of JSON for each image or frame; - prints them.", "FILE"),
]
Overwrite = Annotated[bool, switch("--overwrite", "Write over files of an earlier run.")]
SkipExisting = Annotated[
    bool,
    switch("--skip-existing", "Do only what an earlier run has not finished; leave its results as they are."),
]
Append = Annotated[bool, switch("--append", "Add to the file of --jsonl.")]
Show = Annotated[bool, switch("--show", "Show results in a window (default: for cameras and streams only).")]
View = Annotated[
    int | None,
    option(
        "Show results as a page for browsers of this machine, at this port (8000 where none is given).",
        "[PORT]",
        min=0,
        max=65535,
    ),
]
Headless = Annotated[bool, switch("--headless", "Open no window for cameras and streams; report the FPS at the end.")]
NoAudio = Annotated[bool, switch("--no-audio", "Leave out the sound of a video.")]
KeepAudio = Annotated[bool, switch("--keep-audio", "Keep the sound of a video, as is the default.", hidden=True)]

# -- people, from frame to frame

option, switch = in_group("People")

MaxPersons = Annotated[int | None, option("Keep at most N people.", "N", min=1)]
Follow = Annotated[
    str | None, option("Keep one person only: largest, center, nearest to a pixel X,Y, or track id id:3.", "PERSON")
]
DetInterval = Annotated[
    int | None,
    option("Run the detector on every Nth frame (default: 1 for files, 5 for live sources).", "N", min=1),
]
Smooth = Annotated[
    str | None,
    option("Smooth keypoints over time: off, live or file (default: off for files, live for live sources).", "MODE"),
]
NoTrack = Annotated[bool, switch("--no-track", "Give no track ids: each frame of a video is an image of its own.")]

# -- how results are drawn

option, switch = in_group("Drawing")

KptThr = Annotated[
    float,
    option("Draw keypoints with at least this score (default: 0.3); those of OpenMMLab may exceed 1.", "SCORE", min=0),
]
DrawBbox = Annotated[bool, switch("--draw-bbox", "Draw the boxes and their scores.")]
DrawHeatmap = Annotated[bool, switch("--draw-heatmap", "Draw the heatmap of the keypoints below the image.")]
Radius = Annotated[
    float | None,
    option("Radius of the dots (default: by the size of each face, hand and body).", "PIXELS", min=0, hidden=True),
]
Thickness = Annotated[
    float | None,
    option("Width of the lines (default: by the size of each face, hand and body).", "PIXELS", min=0, hidden=True),
]
ShowKptIdx = Annotated[bool, switch("--show-kpt-idx", "Draw the index of each keypoint.", hidden=True)]
Background = Annotated[
    str | None,
    option("Draw on: image, black, white, transparent, or a colour (default: image; in SVG: transparent).", "COLOUR"),
]
Color = Annotated[
    str | None,
    option("Colour of all that is drawn: a name, a code such as ff8800, by-id or by-part.", "COLOUR", "--color"),
]
Alpha = Annotated[
    float | None,
    option("Opacity of all that is drawn, 0 to 1 (default: 1, lines 0.7).", "OPACITY", min=0, max=1),
]
Parts = Annotated[str | None, option("Draw these only: body, feet, face, hands, left_hand, right_hand.", "PART,...")]
NoDots = Annotated[bool, switch("--no-dots", "Draw no dots.")]
NoLines = Annotated[bool, switch("--no-lines", "Draw no lines.")]
NoLabels = Annotated[bool, switch("--no-labels", "Write no track ids and no scores.")]
SkeletonStyle = Annotated[
    str, option("mmpose, or openpose as ControlNet reads it (default: mmpose).", "STYLE", hidden=True)
]

# -- what runs the networks

option, switch = in_group("Engine")

Device = Annotated[
    str | None, option("cpu, cuda:0, ... (default: the first GPU if there is one, else the CPU).", "NAME")
]
Backend = Annotated[str, option("auto, onnxruntime, openvino, torch or tensorrt (default: auto).", "NAME", hidden=True)]
Precision = Annotated[str, option("auto, float32, float16, bfloat16 or int8 (default: auto).", "NAME", hidden=True)]
Batch = Annotated[
    str, option("Images or frames that go through the networks together (default: auto).", "N", hidden=True)
]

# -- the command itself

option, switch = in_group(OTHER)

Quiet = Annotated[bool, switch("--quiet", "Print errors only.", short="-q")]
Verbose = Annotated[bool, switch("--verbose", "Print what is found in each input, and the speed.", short="-v")]


def _show_all_help(ctx: typer.Context, requested: bool) -> None:
    """Print the help with the rarely used options too."""
    if requested:
        for param in ctx.command.params:
            param.hidden = False  # type: ignore[attr-defined]
        typer.echo(ctx.get_help())
        raise typer.Exit


HelpAll = Annotated[
    bool, switch("--help-all", "Show the rarely used options too.", callback=_show_all_help, is_eager=True)
]
