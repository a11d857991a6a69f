"""Results -> the forms that other tools read: one file a form."""

from typing import Protocol

from ..types import Result


class ResultWriter(Protocol):
    """What takes results one after the other, such as `limner.formats.json_lines.JsonLinesWriter`."""

    def write(self, result: Result) -> None:
        """Add the result of the next frame or image."""
