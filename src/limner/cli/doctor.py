"""`limner doctor`: what of limner runs on this machine."""

from __future__ import annotations

import typer

from .common import echo


def doctor() -> None:
    """Try everything that limner can use on this machine; say what is missing and the command that mends it.

    What it prints can be pasted into an issue: it has no personal path.
    """
    from ..doctor import report

    found = report.Report()
    for line in found.lines():
        echo(line)
    if found.broken:
        raise typer.Exit(1)
