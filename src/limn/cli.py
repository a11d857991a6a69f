"""The `limn` command. Everything heavy is imported inside the commands, so that --help is instant."""

from __future__ import annotations

import re
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from . import __version__
from .errors import ArgumentError, LimnError

STOPPED = "stopped; what was written so far is complete"

app = typer.Typer(
    name="limn",
    help="""Find keypoints of faces, bodies and hands in pictures, videos and cameras.

    \b
    limn run photo.jpg                    outline the faces -> limn-out/photo.jpg
    limn run webcam                       live, in a window
    limn run clip.mp4 --model human --json points
    limn models list
    """,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
models_app = typer.Typer(help="What models there are, and what they are like.", no_args_is_help=True)
app.add_typer(models_app, name="models")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"limn {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Find keypoints of faces, bodies and hands in pictures, videos and cameras."""


def _all_help(ctx: typer.Context, wanted: bool) -> None:
    """Print the help with the options that it leaves out for brevity."""
    if wanted:
        for option in ctx.command.params:
            option.hidden = False  # type: ignore[attr-defined]
        typer.echo(ctx.get_help())
        raise typer.Exit


def _option(help_text: str, metavar: str | None = None, **more: Any) -> Any:
    return typer.Option(help=help_text, metavar=metavar, show_default=False, **more)


@app.command()
def run(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="Picture, video, folder, pattern, address, webcam[:N].")
    ],
    model: Annotated[str, _option("See `limn models list` [face-lite].", "NAME")] = "face-lite",
    out: Annotated[Path | None, _option("Folder for what is drawn [limn-out].", "DIR")] = None,
    json: Annotated[Path | None, _option("Folder for the keypoints, one STEM.json an input.", "DIR")] = None,
    jsonl: Annotated[str | None, _option("File for keypoints as JSON Lines; - prints.", "FILE")] = None,
    show: Annotated[bool, typer.Option("--show", help="Watch in a window [cameras, streams].")] = False,
    headless: Annotated[bool, typer.Option("--headless", help="No window; tell the speed.")] = False,
    det_interval: Annotated[int | None, _option("Detect each Nth frame [files 1, live 5].", "N", min=1)] = None,
    no_flip: Annotated[bool, typer.Option("--no-flip", help="Look once, not at the mirror image too: faster.")] = False,
    batch: Annotated[str, _option("Pictures that go together: auto or N [auto].", "N", hidden=True)] = "auto",
    smooth: Annotated[str | None, _option("off, live or file [files off, live live].", "HOW")] = None,
    follow: Annotated[str | None, _option("One person: largest, center, X,Y, id:N.", "WHOM")] = None,
    max_persons: Annotated[int | None, _option("Not more people than that.", "N", min=1)] = None,
    max_frames: Annotated[int | None, _option("End after so many frames.", "N", min=1)] = None,
    track: Annotated[bool, typer.Option(hidden=True, help="Number the people of a video.")] = True,
    keep_audio: Annotated[bool, typer.Option("--keep-audio", help="Keep a video's sound.")] = False,
    camera_size: Annotated[str | None, _option("Of a camera, such as 1280x720.", "WxH", hidden=True)] = None,
    camera_fps: Annotated[float | None, _option("Of a camera.", "RATE", min=1, hidden=True)] = None,
    patience: Annotated[
        float, _option("For how long a lost camera or stream is tried again [60].", "SECONDS", min=0, hidden=True)
    ] = 60.0,
    kpt_thr: Annotated[float, _option("Draw keypoints above this score [0.3].", "SCORE", min=0, max=1)] = 0.3,
    bbox_thr: Annotated[float | None, _option("Keep boxes above it [the model's].", "SCORE", min=0, max=1)] = None,
    radius: Annotated[int | None, _option("Of the dots [fits].", "PIXELS", min=0, hidden=True)] = None,
    thickness: Annotated[int | None, _option("Of the lines [fits].", "PIXELS", min=0, hidden=True)] = None,
    draw_bbox: Annotated[bool, typer.Option("--draw-bbox", help="Draw the boxes and their scores.")] = False,
    draw_heatmap: Annotated[bool, typer.Option("--draw-heatmap", help="Show below where points were seen.")] = False,
    show_kpt_idx: Annotated[
        bool, typer.Option("--show-kpt-idx", hidden=True, help="Draw each point's number.")
    ] = False,
    device: Annotated[str | None, _option("cpu, cuda:0 ... [a GPU if there is one].", "NAME")] = None,
    backend: Annotated[
        str, _option("auto, onnxruntime, openvino, torch or tensorrt [auto].", "NAME", hidden=True)
    ] = "auto",
    precision: Annotated[
        str, _option("auto, float32, float16, bfloat16 or int8 [auto].", "NAME", hidden=True)
    ] = "auto",
    _all: Annotated[
        bool, typer.Option("--help-all", callback=_all_help, is_eager=True, help="Show rarer options too.")
    ] = False,
) -> None:
    """Find keypoints in pictures, videos and cameras; draw, save and show them.

    \b
    limn run photo.jpg                           -> limn-out/photo.jpg
    limn run clip.mp4 --det-interval 5           -> limn-out/clip.mp4
    limn run webcam                              in a window; ESC closes it
    limn run photos/ --model human --json points
    limn run rtsp://camera/1 --headless --jsonl - | your-program
    """
    from . import job, pipeline
    from .motion import Motion, Wishes, parse_batch, parse_size
    from .render import Look
    from .sinks import JsonSink

    if show and headless:
        raise ArgumentError("--show and --headless contradict each other: give one")
    live = any(re.match(r"webcam(:\d+)?$|/dev/|(?!https?:|file:)\w+://", entry, re.IGNORECASE) for entry in inputs)
    shows = show or (live and not headless)
    if live and headless and out is None and json is None and jsonl is None:
        raise ArgumentError("--headless without --out, --json or --jsonl, so nothing would come of it: give one")
    wishes = Wishes(
        Motion(det_interval, track, max_persons, follow, smooth, parse_batch(batch)),
        keep_audio=keep_audio,
        camera_size=parse_size(camera_size),
        camera_fps=camera_fps,
        max_frames=max_frames,
        patience=patience,
    )
    say = _remark if jsonl == "-" else typer.echo  # stdout is for the lines then
    with ExitStack() as stack:
        lines = (stack.enter_context(job.lines_to(jsonl)),) if jsonl is not None else ()
        wanted = job.Job(
            inputs=tuple(inputs),
            open=lambda: pipeline.load(
                model,
                bbox_thr=bbox_thr,
                device=device,
                backend=backend,
                precision=precision,
                flip=not no_flip,
                progress=job.show_download,
            ),
            look=Look(
                kpt_thr=kpt_thr,
                radius=radius,
                thickness=thickness,
                boxes=draw_bbox,
                indices=show_kpt_idx,
                heatmap=draw_heatmap,
            ),
            out=out if out is not None or json is not None or lines or shows else Path("limn-out"),
            sheets=JsonSink(json) if json is not None else None,
            lines=lines,
            show=shows,
            wishes=wishes,
            summary=headless or live,
            instead="leave --show out and give --out, the folder for what is drawn"
            if not live
            else "use --headless with --out, --json or --jsonl",
        )
        try:
            failed = job.run(wanted, say=say, complain=_complain)
        except KeyboardInterrupt:  # typer would say nothing
            _complain(STOPPED)
            raise typer.Exit(130) from None
    if failed:
        raise typer.Exit(1)


@app.command()
def bench(
    video: Annotated[Path | None, typer.Argument(help="A video [frames that are made up].")] = None,
    model: Annotated[str, _option("See `limn models list` [face-lite].", "NAME")] = "face-lite",
    frames: Annotated[int, _option("How many [100].", "N", min=2)] = 100,
    people: Annotated[int, _option("In a frame that is made up [1].", "N", min=1)] = 1,
    det_interval: Annotated[int, _option("Detect at every Nth frame [1].", "N", min=1)] = 1,
    json: Annotated[Path | None, _option("File for the numbers.", "FILE")] = None,
    device: Annotated[str | None, _option("cpu, cuda:0 ... [a GPU if there is one].", "NAME")] = None,
    backend: Annotated[str, _option("auto, onnxruntime, openvino, torch or tensorrt [auto].", "NAME")] = "auto",
    precision: Annotated[str, _option("auto, float32, float16, bfloat16 or int8 [auto].", "NAME")] = "auto",
) -> None:
    """Measure what this machine reaches, stage by stage.

    \b
    limn bench
    limn bench clip.mp4 --det-interval 5 --backend openvino --json speed.json
    """
    from . import bench as stopwatch
    from . import job, pipeline
    from .files import write_whole

    stages = pipeline.load(model, device=device, backend=backend, precision=precision, progress=job.show_download)
    words = [
        "--model",
        model,
        "--backend",
        backend,
        "--precision",
        precision,
        *(["--device", device] if device else []),
    ]
    report = stopwatch.measure(
        stages,
        model,
        video,
        frames=frames,
        people=people,
        det_interval=det_interval,
        cold=words,
        say=lambda what: _remark(f"measuring {what}"),
    )
    typer.echo(report.table())
    if json is not None:
        write_whole(json, report.json().encode() + b"\n")


_MMPOSE_WORDS = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@app.command(context_settings=_MMPOSE_WORDS)
def topdown(words: typer.Context) -> None:
    """MMPose's topdown_demo_with_mmdet.py, flag for flag."""
    from . import demos

    raise typer.Exit(demos.topdown(words.args, "limn topdown"))


@app.command(context_settings=_MMPOSE_WORDS)
def inferencer(words: typer.Context) -> None:
    """MMPose's inferencer_demo.py, flag for flag."""
    from . import demos

    raise typer.Exit(demos.inferencer(words.args, "limn inferencer"))


@app.command(context_settings=_MMPOSE_WORDS)
def image(words: typer.Context) -> None:
    """MMPose's image_demo.py, flag for flag."""
    from . import demos

    raise typer.Exit(demos.image(words.args, "limn image"))


@models_app.command("list")
def models_list(
    everything: Annotated[bool, typer.Option("--all", help="Those without a short name too.")] = False,
) -> None:
    """List the models: keypoints, size, speed, published accuracy, and whether the weights are here."""
    from .zoo import commands

    found = commands.list_models(everything=everything)
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(found.table())
    else:
        typer.echo(found.text())
    if found.note:
        typer.echo(found.note, err=True)


@models_app.command("show")
def models_show(name: Annotated[str, typer.Argument(help="A model's name.")]) -> None:
    """Print a model's card: architecture, data and its terms, quality, weaknesses."""
    from .zoo import commands

    typer.echo(commands.show(name))


@models_app.command("pull")
def models_pull(
    names: Annotated[list[str], typer.Argument(help="Names of models.")],
    detectors: Annotated[bool, typer.Option(help="Fetch their default detectors too.")] = True,
    offline: Annotated[bool, typer.Option("--offline", help="Use no network: say what is here.")] = False,
) -> None:
    """Fetch weights into the cache and verify them."""
    from . import job
    from .zoo import commands

    for model, path in commands.pull(names, detectors=detectors, offline=offline, progress=job.show_download):
        typer.echo(f"{model.name}: {path}")


@models_app.command("verify")
def models_verify(
    names: Annotated[list[str] | None, typer.Argument(help="Names of models [default: all that are here].")] = None,
) -> None:
    """Check the weights in the cache against their hashes."""
    from .zoo import commands

    verdicts = commands.verify(names or ())
    for verdict in verdicts:
        typer.echo(verdict.line())
    if any(verdict.problem for verdict in verdicts):
        raise typer.Exit(1)


@models_app.command("clear")
def models_clear() -> None:
    """Remove the networks that were prepared for an engine; what is needed again is prepared again."""
    from . import pipeline

    typer.echo(f"{pipeline.networks().clear() / 1e6:,.0f} MB freed")


def _remark(sentence: str) -> None:
    typer.echo(sentence, err=True)


def _complain(sentence: str) -> None:
    typer.echo(f"limn: {sentence}", err=True)


def _stop(code: int) -> NoReturn:
    # the reader of a closed pipe is gone: what Python would still flush at exit has nowhere to go
    sys.stderr.close()
    raise SystemExit(code)


def main() -> None:
    """Run the command line; a `LimnError` becomes one sentence on stderr and status 1."""
    try:
        app()
    except LimnError as error:
        _complain(str(error))
        raise SystemExit(1) from None
    except BrokenPipeError:
        _stop(1)
    except KeyboardInterrupt:
        _complain(STOPPED)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
