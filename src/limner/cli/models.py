"""`limner models`: lists models, shows their cards, fetches and verifies weights."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from .common import Command, Group, argument, info, option, switch

app = typer.Typer(cls=Group, help="List the models, show their cards, fetch and verify weights.", no_args_is_help=True)


@app.command("list", cls=Command, short_help="List the models.")
def list_models(
    everything: Annotated[bool, switch("--all", "List models without a short name too.")] = False,
) -> None:
    """List the models: keypoints, size, speed, published accuracy, whether downloaded."""
    from ..zoo import commands

    table = commands.list_models(everything=everything)
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(table.table())
    else:
        typer.echo(table.text())
    if table.note:
        info(table.note)


@app.command(cls=Command, short_help="Print a model's card.")
def show(name: Annotated[str, argument("Name of a model.", "NAME")]) -> None:
    """Print a model's card: architecture, data and licences, quality, weaknesses."""
    from ..zoo import commands

    typer.echo(commands.show(name))


@app.command(cls=Command)
def pull(
    names: Annotated[list[str], argument("Names of models.", "NAME...")],
    detectors: Annotated[bool, option("Fetch their default detectors too (default: yes).")] = True,
    onnx: Annotated[
        bool, switch("--onnx", "Fetch ONNX files, for a machine without torch (default: where torch is missing).")
    ] = False,
    offline: Annotated[bool, switch("--offline", "Download nothing: report which files are missing.")] = False,
) -> None:
    """Fetch weights into the cache and verify them."""
    from ..jobs.progress import show_download_progress
    from ..zoo import commands

    pulled = commands.pull(names, detectors=detectors, onnx=onnx, offline=offline, progress=show_download_progress)
    for model, path in pulled:
        typer.echo(f"{model.name}: {path}")


@app.command(cls=Command)
def verify(
    names: Annotated[list[str] | None, argument("Names of models (default: all in the cache).", "NAME...")] = None,
) -> None:
    """Check the weights in the cache against their hashes."""
    from ..zoo import commands

    results = commands.verify(names or ())
    for result in results:
        typer.echo(result.line())
    if any(result.problem for result in results):
        raise typer.Exit(1)


@app.command(cls=Command, short_help="Remove the exported networks from the cache.")
def clear() -> None:
    """Remove the exported networks from the cache; they are exported again when needed."""
    from .. import loading

    typer.echo(f"{loading.network_cache().clear() / 1e6:,.0f} MB freed")
