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
    help="Find keypoints of faces, bodies and hands in pictures.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
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
    show_kpt_idx: Annotated[bool, typer.Option("--show-kpt-idx", help="Write each keypoint's number.")] = False,
) -> None:
    """Find keypoints in pictures; draw them, save them as JSON, or both."""
    from . import job

    wanted = job.Job(
        inputs=tuple(inputs),
        model=model,
        out=out if out is not None or json is not None else Path("limn-out"),
        json=json,
        kpt_thr=kpt_thr,
        bbox_thr=bbox_thr,
        radius=radius,
        thickness=thickness,
        draw_bbox=draw_bbox,
        show_kpt_idx=show_kpt_idx,
    )
    failed = job.run(wanted, say=typer.echo, complain=_complain)
    if failed:
        raise typer.Exit(1)


@models_app.command("list")
def models_list() -> None:
    """List the models."""
    from . import bundled

    for model in bundled.MODELS:
        typer.echo(f"{model.name}\t{model.keypoint_set}\tbundled, research use: see `limn models show {model.name}`")


@models_app.command("show")
def models_show(name: Annotated[str, typer.Argument(help="A model's name.")]) -> None:
    """Print a model's card: architecture, data and its terms, quality, weaknesses."""
    from . import bundled

    typer.echo("\n\n".join(card.read_text(encoding="utf-8").strip() for card in bundled.find(name).cards))


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
