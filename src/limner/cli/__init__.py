"""The `limner` command: one module for each sub-command. Slow imports are inside them, so that --help is instant."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, NoReturn, TextIO

import typer

from .. import __version__
from ..errors import LimnerError
from . import bench, doctor, evaluate, mmpose, models, run
from .common import STOPPED, Command, Group, warn

HELP = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name="limner",
    cls=Group,
    help="""Find keypoints of faces, bodies and hands in images, videos and cameras.

    \b
    limner run photo.jpg               draw keypoints: limner-out/photo.jpg
    limner run webcam                  live, in a window
    limner run clip.mp4 -m human --json points
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


def _exit_without_stderr(code: int) -> NoReturn:
    # the reader of the pipe is gone, so Python must not flush its output at exit
    sys.stderr.close()
    raise SystemExit(code)


@contextmanager
def _whole_output() -> Iterator[None]:
    """Say in one sentence where what is printed cannot be written, as on a full disk.

    Raises:
        SystemExit: it cannot be.
    """
    try:
        try:
            yield
        finally:
            if sys.stdout is not None and not sys.stdout.closed:
                sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename is not None:
            raise  # it is about a file
        for stream in (sys.stdout, sys.stderr):  # Python would try again at exit, and fail again
            with suppress(OSError, ValueError, AttributeError):
                _leave(stream)
        with suppress(OSError):
            warn(_cannot_print(error))
        raise SystemExit(1) from None


def _cannot_print(error: OSError) -> str:
    from ..files import write_error  # loads numpy, which --help does without

    return str(write_error("what is printed", error))


def _leave(stream: TextIO) -> None:
    """Let what is left in the buffer of a stream that cannot be written go nowhere."""
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()


def main() -> None:
    """Run the command line; a `LimnerError` becomes one sentence on stderr and status 1."""
    with _whole_output():
        _main()


def _main() -> None:
    try:
        app(prog_name="limner")
    except LimnerError as error:
        warn(str(error))
        raise SystemExit(1) from None
    except BrokenPipeError:
        _exit_without_stderr(1)
    except KeyboardInterrupt:
        warn(STOPPED)
        raise SystemExit(130) from None
