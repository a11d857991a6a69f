"""The `limner` command: one module for each sub-command. Slow imports are inside them, so that --help is instant."""

from __future__ import annotations

from typing import Annotated, Any, NoReturn

import typer

from .. import __version__
from ..errors import one_line
from ..masking import masked_text
from ..process import edge
from . import batch, bench, convert, doctor, evaluate, mmpose, models, run, serve
from .common import Command, Group

HELP = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name="limner",
    cls=Group,
    help="""Find keypoints of faces, bodies and hands in images, videos and cameras.

    \b
    limner run photo.jpg               draw keypoints: limner-out/photo.jpg
    limner run webcam                  live, in a window
    limner run clip.mp4 -m human --json points
    limner serve --open                a page in the browser, and an HTTP API
    limner models list                 what can be found, and with what
    limner run --help                  all options; so has each command
    """,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings=HELP,
)
app.command("run", cls=Command, short_help="Find keypoints in images, videos and cameras.")(run.run)
app.command("serve", cls=Command, short_help="Open a page and an HTTP API.")(serve.serve)
app.command("batch", cls=Command, short_help="Find keypoints in very many files.")(batch.batch)
app.command("convert", cls=Command, short_help="Write results in the forms of other tools.")(convert.convert)
app.command("eval", cls=Command, short_help="Measure results against annotations.")(evaluate.evaluate)
app.command("bench", cls=Command)(bench.bench)
app.command("doctor", cls=Command, short_help="Say what works here, and what is missing.")(doctor.doctor)
app.add_typer(models.app, name="models")
for command in (mmpose.topdown, mmpose.inferencer, mmpose.image):
    app.command(context_settings=mmpose.PASS_ALL_ARGUMENTS)(command)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"limner {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Find keypoints of faces, bodies and hands in images, videos and cameras."""


def main() -> NoReturn:
    """Run the command line: whatever happens is one sentence on stderr and an exit status."""
    edge.run(_main)


def _main() -> int:
    try:
        return app(prog_name="limner", standalone_mode=False) or 0
    except Exception as error:
        if type(error).__name__ == "Abort":  # what older ones of typer make of Ctrl-C
            raise KeyboardInterrupt from None
        if not hasattr(error, "format_message"):
            raise
        return _usage(error)


def _usage(error: Any) -> int:
    """Say what is wrong with the arguments, as typer does, and return the exit status for it."""
    error.message = "\n".join(one_line(line) for line in masked_text(error.message).split("\n"))  # it quotes them
    error.show()
    status: int = error.exit_code
    return status
