"""Writes results in the formats that other tools read: one module for each format, `forms.FORMATS` lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # what the forms are called is known without numpy
    from ..types import Result


class ResultWriter(Protocol):
    """Any object that writes results one after the other, such as `limner.formats.json_lines.JsonLinesWriter`."""

    def write(self, result: Result) -> None:
        """Add the result of the next frame or image."""
