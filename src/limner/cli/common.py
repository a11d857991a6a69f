"""Shared by the sub-commands: how options are declared and shown in the help, and messages."""

from __future__ import annotations

import difflib
import functools
import logging
from collections.abc import Callable, Iterable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from ..errors import one_line
from ..masking import masked_text
from ..process import streams

USUAL = {"--view": "8000"}  # options whose number may be left out
SERVE_PACKAGES = ("starlette", "uvicorn", "websockets", "python_multipart", "prometheus_client")  # of the extra serve
OTHER = "Other"  # the last group of options


def option(help_text: str, metavar: str | None = None, *names: str, **more: Any) -> Any:
    """Return an option whose default is part of its help text; it has the name of its parameter without ``names``."""
    return typer.Option(*names, help=help_text, metavar=metavar, show_default=False, **more)


def switch(name: str, help_text: str, short: str = "", **more: Any) -> Any:
    """Return an option that takes no value; ``short`` is a second name for it."""
    return typer.Option(*filter(None, (name, short)), help=help_text, show_default=False, **more)


def in_group(title: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return `option` and `switch` for options that the help lists under that title."""
    return functools.partial(option, rich_help_panel=title), functools.partial(switch, rich_help_panel=title)


def argument(help_text: str, metavar: str) -> Any:
    """Return a positional argument; where it may be repeated, ``metavar`` ends with "..."."""
    return typer.Argument(help=help_text, metavar=metavar, show_default=False)


def echo(message: str) -> None:
    """Print a message to stdout."""
    streams.echo(one_line(message))


def info(message: str) -> None:
    """Print a message to stderr, as stdout is for results."""
    streams.log(one_line(message))


def warn(message: str) -> None:
    """Print a warning or error to stderr; that of a download has several lines."""
    streams.say(message)


def log_to_stderr() -> None:
    """Print log messages from now on."""
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_OneLine("%(name)s: %(message)s"))


class _OneLine(logging.Formatter):
    """Log messages without control characters, which names in them may have, and without secrets in URLs."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(one_line, masked_text(super().format(record)).split("\n")))


def given_options(ctx: typer.Context) -> dict[str, str]:
    """Return the options that the user gives: the name of the parameter and how it is written."""
    given = {}
    for param in ctx.command.params:
        source = ctx.get_parameter_source(param.name or "")
        if param.name and source is not None and source.name == "COMMANDLINE":
            given[param.name] = max(param.opts, key=len)
    return given


def with_values(args: list[str]) -> list[str]:
    """Return the arguments with the usual value behind each option that is given without its number."""
    given: list[str] = []
    for i, argument in enumerate(args):
        given.append(argument)
        is_option = argument in USUAL and "--" not in args[:i]
        if is_option and not (i + 1 < len(args) and args[i + 1].lstrip("-").isdigit()):
            given.append(USUAL[argument])
    return given


class _PlainHelp:
    """Shows only names, metavars and help texts: typer would add types and ranges that help programmers only."""

    def parse_args(self: Any, ctx: Any, args: list[str]) -> Any:
        try:
            return super().parse_args(ctx, with_values(args))  # type: ignore[misc]
        except Exception as error:
            # of the options that resemble an unknown one, the most similar alone helps
            if known := getattr(error, "possibilities", None):
                similar = difflib.get_close_matches(error.option_name, known, n=1, cutoff=0)  # type: ignore[attr-defined]
                error.message += f". Did you mean {similar[0]}?"  # type: ignore[attr-defined]
                error.possibilities = None  # type: ignore[attr-defined]
            raise

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
        options = [param for param in shown if param.param_type_name == "option"]
        groups = {param.rich_help_panel or "" for param in options} - {""}
        rest = OTHER if groups else "Options"  # the title over --help
        for title in dict.fromkeys(param.rich_help_panel or rest for param in options):
            _section(formatter, title, [_row(p) for p in options if (p.rich_help_panel or rest) == title])
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

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the sub-commands: first what most people need."""
        first = ("run", "serve", "models", "eval", "bench", "doctor")
        return sorted(super().list_commands(ctx), key=lambda name: first.index(name) if name in first else len(first))
