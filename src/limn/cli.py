"""The `limn` command. Everything heavy is imported inside the commands, so that --help is instant."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from . import __version__
from .errors import LimnError

app = typer.Typer(
    name="limn",
    help="""Find keypoints of faces, bodies and hands in pictures.

    \b
    limn run photo.jpg                    outline the faces -> limn-out/photo.jpg
    limn run photos/ --model human --json points
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
    """Find keypoints of faces, bodies and hands in pictures."""


@app.command()
def run(
    inputs: Annotated[list[str], typer.Argument(help="Pictures, folders or patterns such as 'photos/*.jpg'.")],
    model: Annotated[str, typer.Option(help="A model's name: see `limn models list`.")] = "face-lite",
    out: Annotated[
        Path | None, typer.Option(help="Folder for the drawn pictures [default: limn-out, none with --json alone].")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Folder for the keypoints, one STEM.json a picture.")] = None,
    kpt_thr: Annotated[float, typer.Option(min=0, max=1, help="Draw keypoints that score above it.")] = 0.3,
    bbox_thr: Annotated[
        float | None, typer.Option(min=0, max=1, help="Keep boxes that score above it [default: the model's own].")
    ] = None,
    radius: Annotated[int | None, typer.Option(min=0, help="Of the dots, in pixels [default: fits].")] = None,
    thickness: Annotated[int | None, typer.Option(min=0, help="Of the lines, in pixels [default: fits].")] = None,
    draw_bbox: Annotated[bool, typer.Option("--draw-bbox", help="Draw the boxes and their scores.")] = False,
    draw_heatmap: Annotated[bool, typer.Option("--draw-heatmap", help="Show below where points were seen.")] = False,
    show_kpt_idx: Annotated[bool, typer.Option("--show-kpt-idx", help="Write each keypoint's number.")] = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda:0 ... [default: a GPU if there is one].")] = None,
) -> None:
    """Find keypoints in pictures; draw and save them.

    \b
    limn run photo.jpg                          -> limn-out/photo.jpg
    limn run photos/ --model human --json points
    limn run 'photos/*.png' --out drawn --draw-bbox
    """
    from . import job, pipeline
    from .render import Look
    from .sinks import JsonSink

    wanted = job.Job(
        inputs=tuple(inputs),
        open=lambda: pipeline.load(model, bbox_thr=bbox_thr, device=device, progress=job.show_download),
        look=Look(
            kpt_thr=kpt_thr,
            radius=radius,
            thickness=thickness,
            boxes=draw_bbox,
            indices=show_kpt_idx,
            heatmap=draw_heatmap,
        ),
        out=out if out is not None or json is not None else Path("limn-out"),
        sheets=JsonSink(json) if json is not None else None,
    )
    failed = job.run(wanted, say=typer.echo, complain=_complain)
    if failed:
        raise typer.Exit(1)


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
        _complain("stopped; what was written so far is complete")
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
