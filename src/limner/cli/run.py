"""`limner run`: keypoints of images, videos and cameras, drawn, saved and shown."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import typer

from ..errors import ArgumentError, MissingExtraError, is_installed
from ..process import streams
from . import effects, outputs
from . import run_options as opt
from .common import SERVE_PACKAGES, echo, given_options, info, log_to_stderr, warn

if TYPE_CHECKING:
    from ..display.screen import Screen
    from ..pipeline import Pipeline
    from ..types import MessageCallback


def run(
    ctx: typer.Context,
    inputs: opt.Inputs,
    # input
    recursive: opt.Recursive = False,
    start: opt.Start = None,
    end: opt.End = None,
    every: opt.Every = 1,
    max_frames: opt.MaxFrames = None,
    rotate: opt.Rotate = 0,
    fps: opt.Fps = None,
    max_pixels: opt.MaxPixels = None,
    camera_size: opt.CameraSize = None,
    camera_fps: opt.CameraFps = None,
    reconnect_timeout: opt.ReconnectTimeout = 60.0,
    # model
    model: opt.Model = "face-lite",
    weights: opt.Weights = None,
    keypoints: opt.Keypoints = None,
    det: opt.Det = None,
    det_weights: opt.DetWeights = None,
    bbox_thr: opt.BboxThr = None,
    det_size: opt.DetSize = None,
    tile: opt.Tile = "off",
    max_boxes: opt.MaxBoxes = None,
    no_flip: opt.NoFlip = False,
    # output
    out: opt.Out = None,
    json: opt.Json = None,
    jsonl: opt.Jsonl = None,
    overwrite: opt.Overwrite = False,
    skip_existing: opt.SkipExisting = False,
    append: opt.Append = False,
    show: opt.Show = False,
    view: opt.View = None,
    headless: opt.Headless = False,
    no_audio: opt.NoAudio = False,
    keep_audio: opt.KeepAudio = False,
    # tracking
    max_persons: opt.MaxPersons = None,
    follow: opt.Follow = None,
    det_interval: opt.DetInterval = None,
    smooth: opt.Smooth = None,
    no_track: opt.NoTrack = False,
    # drawing
    kpt_thr: opt.KptThr = 0.3,
    draw_bbox: opt.DrawBbox = False,
    draw_heatmap: opt.DrawHeatmap = False,
    radius: opt.Radius = None,
    thickness: opt.Thickness = None,
    background: opt.Background = None,
    color: opt.Color = None,
    alpha: opt.Alpha = None,
    parts: opt.Parts = None,
    no_dots: opt.NoDots = False,
    no_lines: opt.NoLines = False,
    no_labels: opt.NoLabels = False,
    show_kpt_idx: opt.ShowKptIdx = False,
    skeleton_style: opt.SkeletonStyle = "mmpose",
    # engine
    device: opt.Device = None,
    backend: opt.Backend = "auto",
    precision: opt.Precision = "auto",
    batch: opt.Batch = "auto",
    # other
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    _all: opt.HelpAll = False,
) -> None:
    """Find keypoints in images, videos and cameras; draw, save and show them.

    \b
    limner run photo.jpg                         draw: limner-out/photo.jpg
    limner run photo.jpg -o outline.svg          draw into one file
    limner run clip.mp4 -o drawn --json points   draw, and save the numbers
    limner run photos -m human --recursive       a folder and those in it
    limner run photos --skip-existing            go on with what is missing
    limner run webcam                            live, in a window; ESC ends it
    limner run webcam --view                     the same as a page, for machines without a display
    limner run rtsp://camera/1 --headless --jsonl - | your-program
    """
    from .. import loading, sources, zoo
    from ..draw import DrawStyle
    from ..files import RESULTS_FOLDER
    from ..jobs import job
    from ..jobs.head import run_info
    from ..jobs.progress import show_download_progress
    from ..video.options import TrackingOptions, VideoOptions, parse_batch, parse_size
    from ..writers import JsonWriter

    if det is not None and det.lower() == "none":
        raise ArgumentError("--det none leaves nothing to find: give boxes in Python, or --det whole-image")
    for one, other, both in (
        ("--show", "--headless", show and headless),
        ("--view", "--headless", view is not None and headless),
        ("--view", "--show", view is not None and show),
        ("--quiet", "--verbose", quiet and verbose),
        ("--overwrite", "--skip-existing", overwrite and skip_existing),
        ("--overwrite", "--append", overwrite and append),
        ("--max-persons", "--follow", (max_persons or 1) > 1 and follow is not None),
    ):
        if both:
            raise ArgumentError(f"{one} and {other} contradict each other: give one")
    effects.check_tile(tile)
    looked, live = sources.look(inputs)
    shows = show or view is not None or (live and not headless)
    if live and headless and out is None and json is None and jsonl is None:
        raise ArgumentError("--headless shows nothing and writes nothing by itself: give --out, --json or --jsonl too")
    say = _nothing if quiet else info if jsonl == "-" else echo
    if verbose:
        log_to_stderr()
    if out is None and json is None and jsonl is None and not shows:
        out = RESULTS_FOLDER
    outputs.check_name("--jsonl", jsonl)
    if jsonl == "-":
        streams.check_stdout("the lines of --jsonl -")
    out_folder, out_name = (None, None) if out is None else outputs.drawn(out)
    json_folder, json_name = (None, None) if json is None else outputs.results(json)
    video_options = VideoOptions(
        TrackingOptions(det_interval, not no_track, max_persons, follow, smooth, parse_batch(batch)),
        keep_audio=not no_audio,
        camera_size=parse_size(camera_size),
        camera_fps=camera_fps,
        max_frames=max_frames,
        reconnect_timeout=reconnect_timeout,
        start=start,
        end=end,
        every=every,
        rotate=rotate,
        fps=fps,
        max_pixels=max_pixels,
    )

    def open_models() -> Pipeline:
        pipeline = loading.load(
            model,
            weights=weights,
            keypoints=keypoints,
            det=det,
            det_weights=det_weights,
            bbox_thr=bbox_thr,
            device=device,
            backend=backend,
            precision=precision,
            flip=not no_flip,
            det_size=det_size,
            tile=tile,
            max_boxes=max_boxes,
            progress=None if quiet else show_download_progress,
            info=_nothing if quiet else info,
        )
        if no_flip:
            effects.check_flip(model)
        return pipeline

    run_options = job.Job(
        inputs=tuple(looked),
        recursive=recursive,
        open=open_models,
        style=DrawStyle(
            kpt_thr=kpt_thr,
            radius=radius,
            thickness=thickness,
            draw_bbox=draw_bbox,
            show_kpt_idx=show_kpt_idx,
            draw_heatmap=draw_heatmap,
            skeleton_style=skeleton_style,
            background=background,
            color=color,
            alpha=alpha,
            dots=not no_dots,
            lines=not no_lines,
            labels=not no_labels,
            parts=parts,
        ),
        out=out_folder,
        out_name=out_name,
        json_writer=JsonWriter(json_folder, json_name, clocked=True) if json_folder is not None else None,
        lines=jsonl,
        reads=tuple(filter(None, (model, weights, keypoints, det, det_weights))),
        existing=job.Existing.REPLACE if overwrite else job.Existing.SKIP if skip_existing else job.Existing.REFUSE,
        append=append,
        records=zoo.store.home() / "outputs",
        run_info=lambda pipeline: run_info(model, precision, pipeline),
        check=lambda items: effects.check(
            given_options(ctx),
            effects.Run(
                items,
                folders=any(os.path.isdir(os.path.expanduser(entry)) for entry in inputs),
                drawn=shows or out is not None,
                videos_written=out is not None,
                files=out is not None or json is not None or jsonl not in (None, "-"),
                lines=jsonl not in (None, "-"),
                boxes=draw_bbox,
            ),
            follow,
        ),
        show=shows,
        screen=None if view is None else lambda: _page(view, say, waits=not (live or out or json or jsonl)),
        must_show=show or view is not None,
        progress=False if quiet else None,
        video_options=video_options,
        summary=(headless or live or verbose) and not quiet,
        details=verbose,
        advice="give --view for a page in the browser, or "
        + ("--headless with --out, --json or --jsonl" if live else "--out, the folder for the drawn images"),
    )
    if job.run(run_options, info=say, warn=warn):
        raise typer.Exit(1)


def _page(port: int, say: MessageCallback, *, waits: bool) -> Screen:
    """Open the page of --view."""
    if not all(map(is_installed, SERVE_PACKAGES)):
        raise MissingExtraError("--view", "serve")
    from ..serve.view import View

    return View(port, say, waits=waits)


def _nothing(message: str) -> None:
    """Print no message: --quiet."""
