"""`limner run`: keypoints of images, videos and cameras, drawn, saved and shown."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ArgumentError
from .common import STOPPED, argument, info, option, switch, warn

_LIVE = re.compile(r"webcam(:\d+)?$|/dev/|(?!https?:|file:)\w+://", re.IGNORECASE)


def _show_all_help(ctx: typer.Context, requested: bool) -> None:
    """Print the help with the rarely used options too."""
    if requested:
        for param in ctx.command.params:
            param.hidden = False  # type: ignore[attr-defined]
        typer.echo(ctx.get_help())
        raise typer.Exit


def run(
    inputs: Annotated[
        list[str],
        argument("Image, video, folder, pattern such as 'photos/*.jpg', URL or camera (webcam, webcam:1).", "INPUT..."),
    ],
    model: Annotated[str, option("Model; `limner models list` shows them (default: face-lite).", "NAME")] = "face-lite",
    out: Annotated[Path | None, option("Folder for drawn images and videos (default: limner-out).", "DIR")] = None,
    json: Annotated[Path | None, option("Folder for the results: a JSON file for each input.", "DIR")] = None,
    jsonl: Annotated[
        str | None, option("File for the results: a line of JSON for each image or frame; - prints them.", "FILE")
    ] = None,
    show: Annotated[
        bool, switch("--show", "Show results in a window (default: for cameras and streams only).")
    ] = False,
    headless: Annotated[
        bool, switch("--headless", "Open no window for cameras and streams; report the FPS at the end.")
    ] = False,
    det_interval: Annotated[
        int | None,
        option("Run the detector on every Nth frame (default: 1 for files, 5 for live sources).", "N", min=1),
    ] = None,
    no_flip: Annotated[
        bool, switch("--no-flip", "Leave out the flip test, a second run on the mirrored crops: faster.")
    ] = False,
    batch: Annotated[
        str, option("Images or frames that go through the networks together (default: auto).", "N", hidden=True)
    ] = "auto",
    smooth: Annotated[
        str | None,
        option(
            "Smooth keypoints over time: off, live or file (default: off for files, live for live sources).", "MODE"
        ),
    ] = None,
    follow: Annotated[
        str | None, option("Keep one person only: largest, center, a pixel X,Y, or a track id as id:3.", "PERSON")
    ] = None,
    max_persons: Annotated[int | None, option("Keep at most N people.", "N", min=1)] = None,
    max_frames: Annotated[int | None, option("Stop after N frames of each video.", "N", min=1)] = None,
    track: Annotated[
        bool,
        typer.Option(hidden=True, show_default=False, help="Give each person of a video a track id (default: on)."),
    ] = True,
    keep_audio: Annotated[bool, switch("--keep-audio", "Keep the sound of a video.")] = False,
    camera_size: Annotated[
        str | None, option("Size to request from a camera, such as 1280x720.", "WxH", hidden=True)
    ] = None,
    camera_fps: Annotated[
        float | None, option("Frames per second to request from a camera.", "FPS", min=1, hidden=True)
    ] = None,
    reconnect_timeout: Annotated[
        float,
        option("How long to try to reopen a lost camera or stream (default: 60).", "SECONDS", min=0, hidden=True),
    ] = 60.0,
    kpt_thr: Annotated[
        float, option("Draw keypoints with at least this score, 0 to 1 (default: 0.3).", "SCORE", min=0, max=1)
    ] = 0.3,
    bbox_thr: Annotated[
        float | None,
        option("Keep boxes with a score above this, 0 to 1 (default: the model's own).", "SCORE", min=0, max=1),
    ] = None,
    radius: Annotated[
        int | None,
        option("Radius of the dots (default: by the size of each face, hand and body).", "PIXELS", min=0, hidden=True),
    ] = None,
    thickness: Annotated[
        int | None,
        option("Width of the lines (default: by the size of each face, hand and body).", "PIXELS", min=0, hidden=True),
    ] = None,
    draw_bbox: Annotated[bool, switch("--draw-bbox", "Draw the boxes and their scores.")] = False,
    draw_heatmap: Annotated[
        bool, switch("--draw-heatmap", "Draw the heatmap of the keypoints below the image.")
    ] = False,
    show_kpt_idx: Annotated[bool, switch("--show-kpt-idx", "Draw the index of each keypoint.", hidden=True)] = False,
    device: Annotated[
        str | None, option("cpu, cuda:0, ... (default: the first GPU if there is one, else the CPU).", "NAME")
    ] = None,
    backend: Annotated[
        str, option("auto, onnxruntime, openvino, torch or tensorrt (default: auto).", "NAME", hidden=True)
    ] = "auto",
    precision: Annotated[
        str, option("auto, float32, float16, bfloat16 or int8 (default: auto).", "NAME", hidden=True)
    ] = "auto",
    _all: Annotated[
        bool, switch("--help-all", "Show the rarely used options too.", callback=_show_all_help, is_eager=True)
    ] = False,
) -> None:
    """Find keypoints in images, videos and cameras; draw, save and show them.

    \b
    limner run photo.jpg                           -> limner-out/photo.jpg
    limner run clip.mp4 --det-interval 5           -> limner-out/clip.mp4
    limner run webcam                              in a window; ESC closes it
    limner run photos/ --model human --json points
    limner run rtsp://camera/1 --headless --jsonl - | your-program
    """
    from .. import loading
    from ..draw import DrawStyle
    from ..formats.json_lines import open_json_lines
    from ..jobs import job
    from ..jobs.progress import show_download_progress
    from ..video.options import TrackingOptions, VideoOptions, parse_batch, parse_size
    from ..writers import JsonWriter

    if show and headless:
        raise ArgumentError("--show and --headless contradict each other: give one")
    live = any(_LIVE.match(entry) for entry in inputs)
    shows = show or (live and not headless)
    if live and headless and out is None and json is None and jsonl is None:
        raise ArgumentError("--headless shows nothing and writes nothing by itself: give --out, --json or --jsonl too")
    video_options = VideoOptions(
        TrackingOptions(det_interval, track, max_persons, follow, smooth, parse_batch(batch)),
        keep_audio=keep_audio,
        camera_size=parse_size(camera_size),
        camera_fps=camera_fps,
        max_frames=max_frames,
        reconnect_timeout=reconnect_timeout,
    )
    with ExitStack() as stack:
        result_writers = (stack.enter_context(open_json_lines(jsonl)),) if jsonl is not None else ()
        run_options = job.Job(
            inputs=tuple(inputs),
            open=lambda: loading.load(
                model,
                bbox_thr=bbox_thr,
                device=device,
                backend=backend,
                precision=precision,
                flip=not no_flip,
                progress=show_download_progress,
            ),
            style=DrawStyle(
                kpt_thr=kpt_thr,
                radius=radius,
                thickness=thickness,
                draw_bbox=draw_bbox,
                show_kpt_idx=show_kpt_idx,
                draw_heatmap=draw_heatmap,
            ),
            out=out if out is not None or json is not None or result_writers or shows else Path("limner-out"),
            json_writer=JsonWriter(json) if json is not None else None,
            result_writers=result_writers,
            show=shows,
            video_options=video_options,
            summary=headless or live,
            advice="leave --show out and give --out, the folder for the drawn images"
            if not live
            else "use --headless with --out, --json or --jsonl",
        )
        try:
            failed = job.run(run_options, info=info if jsonl == "-" else typer.echo, warn=warn)
        except KeyboardInterrupt:  # typer would print nothing
            warn(STOPPED)
            raise typer.Exit(130) from None
    if failed:
        raise typer.Exit(1)
