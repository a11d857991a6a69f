"""What the sub-commands share: how options are declared and shown, and where messages go."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

STOPPED = "stopped; what was written so far is complete"


def option(help_text: str, metavar: str | None = None, **more: Any) -> Any:
    """Return an option whose help says its default in words."""
    return typer.Option(help=help_text, metavar=metavar, show_default=False, **more)


def switch(name: str, help_text: str, **more: Any) -> Any:
    """Return an option that takes no value."""
    return typer.Option(name, help=help_text, show_default=False, **more)


def argument(help_text: str, metavar: str) -> Any:
    """Return an argument that is given without a flag; where it may repeat, ``metavar`` ends with "..."."""
    return typer.Argument(help=help_text, metavar=metavar, show_default=False)


def info(sentence: str) -> None:
    """Print a sentence to stderr, as stdout is for results."""
    typer.echo(sentence, err=True)


def warn(sentence: str) -> None:
    """Print to stderr what went wrong."""
    typer.echo(f"limner: {sentence}", err=True)


class _PlainHelp:
    """Shows names, metavars and help texts alone: typer adds types and ranges that only programmers read."""

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
    names = ", ".join([*param.opts, *param.secondary_opts])
    return f"{names} {param.metavar}" if param.metavar else names, param.help or ""


def _section(formatter: Any, title: str, rows: Iterable[tuple[str, str]]) -> None:
    if rows:
        with formatter.section(title):
            formatter.write_dl(list(rows))


class Command(_PlainHelp, TyperCommand):
    """A sub-command with plain help."""


class Group(_PlainHelp, TyperGroup):
    """A command that has sub-commands, with plain help."""
