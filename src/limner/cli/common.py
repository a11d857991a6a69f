"""Shared by the sub-commands: how options are declared and shown in the help, and messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

STOPPED = "stopped; the files written so far are complete"


def option(help_text: str, metavar: str | None = None, **more: Any) -> Any:
    """Return an option whose default is part of its help text."""
    return typer.Option(help=help_text, metavar=metavar, show_default=False, **more)


def switch(name: str, help_text: str, **more: Any) -> Any:
    """Return an option that takes no value."""
    return typer.Option(name, help=help_text, show_default=False, **more)


def argument(help_text: str, metavar: str) -> Any:
    """Return a positional argument; where it may be repeated, ``metavar`` ends with "..."."""
    return typer.Argument(help=help_text, metavar=metavar, show_default=False)


def info(message: str) -> None:
    """Print a message to stderr, as stdout is for results."""
    typer.echo(message, err=True)


def warn(message: str) -> None:
    """Print a warning or error to stderr."""
    typer.echo(f"limner: {message}", err=True)


class _PlainHelp:
    """Shows only names, metavars and help texts: typer would add types and ranges that help programmers only."""

    def collect_usage_pieces(self: Any, ctx: Any) -> list[str]:
        pieces = [self.options_metavar] if self.options_metavar else []
        for param in self.get_params(ctx):
            if param.param_type_name == "argument":
                name = param.metavar or param.name.upper()
                pieces.append(name if param.required else f"[{name}]")
        return [*pieces, self.subcommand_metavar] if hasattr(self, "subcommand_metavar") else pieces

    def format_options(self: Any, ctx: Any, formatter: Any) -> None:
        shown = [param for param in self.get_params(ctx) if not getattr(param, "hidden", False)]
        _section(formatter, "Arguments", [_row(p) for p in shown if p.param_type_name == "argument"])
        _section(formatter, "Options", [_row(p) for p in shown if p.param_type_name == "option"])
        if hasattr(self, "format_commands"):
            self.format_commands(ctx, formatter)


def _row(param: Any) -> tuple[str, str]:
    if param.param_type_name == "argument":
        return param.metavar or param.name.upper(), param.help or ""
    names = ", ".join(sorted([*param.opts, *param.secondary_opts], key=len))  # short names first
    return f"{names} {param.metavar}" if param.metavar else names, param.help or ""


def _section(formatter: Any, title: str, rows: Iterable[tuple[str, str]]) -> None:
    if rows:
        with formatter.section(title):
            formatter.write_dl(list(rows))


class Command(_PlainHelp, TyperCommand):
    """A sub-command with plain help."""


class Group(_PlainHelp, TyperGroup):
    """A command that has sub-commands, with plain help."""
