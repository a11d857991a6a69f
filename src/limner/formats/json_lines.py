"""JSON Lines: one line for each frame or image, readable while a run goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ..files import plain_json
from ..types import Result
from . import ResultWriter
from .incremental import IncrementalFile


@contextmanager
def open_json_lines(path: str) -> Iterator[ResultWriter]:
    """Open a file for JSON Lines; "-" is standard output, where each line is flushed at once.

    Raises:
        OutputError: it cannot be written.
    """
    if path == "-":
        yield _StandardOutput()
        return
    with JsonLinesWriter(path) as writer:
        yield writer


class _StandardOutput:
    """JSON Lines on standard output."""

    def write(self, result: Result) -> None:
        print(json_line(result), flush=True)


class JsonLinesWriter(IncrementalFile):
    """Writes one line with a JSON object for each frame; it is in the file when `write` returns.

    A line holds ``source``, ``frame_id`` (number within the source, from 0), ``timestamp`` (seconds),
    ``size`` ([width, height] in pixels), ``keypoint_set`` and ``instances`` in MMPose's form, with
    ``track_id`` where people are tracked.

    Raises:
        OutputError: The file cannot be created or written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)

    def write(self, result: Result) -> None:
        """Add the line of one frame.

        Raises:
            OutputError: The line cannot be written; the lines before it stay.
        """
        self._add(json_line(result) + "\n")
        self.frames += 1


def json_line(result: Result) -> str:
    """Return the line that `JsonLinesWriter` writes for a frame."""
    line = {
        "source": result.source,
        "frame_id": result.index,
        "timestamp": round(result.timestamp, 6),
        "size": list(result.size),
        "keypoint_set": result.keypoint_set.name,
        "instances": result.instances(),
    }
    return json.dumps(plain_json(line), allow_nan=False, separators=(",", ":"))
