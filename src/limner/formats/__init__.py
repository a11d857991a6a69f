"""Writes results in the formats that other tools read: one module for each format."""

from typing import Protocol

from ..types import Result


class ResultWriter(Protocol):
    """Any object that writes results one after the other, such as `limner.formats.json_lines.JsonLinesWriter`."""

    def write(self, result: Result) -> None:
        """Add the result of the next frame or image."""
