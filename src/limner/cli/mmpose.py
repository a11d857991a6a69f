"""`limner topdown`, `limner inferencer` and `limner image`: MMPose's demo commands with the same flags."""

from __future__ import annotations

import typer

PASS_ALL_ARGUMENTS = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def topdown(arguments: typer.Context) -> None:
    """MMPose's topdown_demo_with_mmdet.py, with the same flags."""
    from ..mmpose import demos

    raise typer.Exit(demos.topdown(arguments.args, "limner topdown"))


def inferencer(arguments: typer.Context) -> None:
    """MMPose's inferencer_demo.py, with the same flags."""
    from ..mmpose import demos

    raise typer.Exit(demos.inferencer(arguments.args, "limner inferencer"))


def image(arguments: typer.Context) -> None:
    """MMPose's image_demo.py, with the same flags."""
    from ..mmpose import demos

    raise typer.Exit(demos.image(arguments.args, "limner image"))
