"""JSON Lines: one line for each frame or image, readable while a run goes on.

Each line is one JSON object, a record of one of four kinds, told apart by a key:

- ``limner``, the first line: ``{"limner": version, "model": ..., "weights_sha256": ..., "engine": ..., "precision":
  ...}``, what made the lines after it. A run that goes on in the file adds one of its own.
- ``instances``: the result of an image or frame, see `JsonLines.write`.
- ``complete``, after the last frame of a video: ``{"source": ..., "frames": N, "complete": true}``, or false where it
  was stopped before its end. A video without this record was cut short, as by a kill.
- ``error``: ``{"source": ..., "error": sentence}``, an input that could not be processed to its end.

Whoever wants only results takes the lines with ``instances``.
"""

from __future__ import annotations

import io
import json
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from json.decoder import scanstring  # type: ignore[attr-defined]
from pathlib import Path

from ..errors import OutputError
from ..files import compact_json, refuse_link, temporary_path, write_error
from ..types import Result
from .incremental import IncrementalFile
from .run_info import RunInfo

_SOURCE = '{"source":"'  # the beginning of every line but the first
_HEAD = '{"limner":"'  # that of the first line
_RESULT = ',"frame_id":'  # what follows the source in a result


class JsonLines(ABC):
    """Writes the records of a run."""

    @abstractmethod
    def _add_line(self, line: str) -> None: ...

    def write(self, result: Result) -> None:
        """Add the line of one image or frame.

        It holds ``source``, ``frame_id`` (number within the source, from 0), ``timestamp`` (seconds),
        ``size`` ([width, height] in pixels), ``keypoint_set`` and ``instances`` in MMPose's form, with
        ``track_id`` where people are tracked.

        Raises:
            OutputError: The line cannot be written; the lines before it stay.
        """
        self._add_line(json_line(result))

    def head(self, run: RunInfo) -> None:
        """Add the line that says what makes the lines after it."""
        made_by = run.fields()
        self._add_line(_compact({"limner": made_by.pop("version", ""), **made_by}))

    def end(self, source: str, frames: int, *, complete: bool) -> None:
        """Add the line that ends a video."""
        self._add_line(_compact({"source": source, "frames": frames, "complete": complete}))

    def error(self, source: str, message: str) -> None:
        """Add the line of an input that could not be processed to its end."""
        self._add_line(_compact({"source": source, "error": message}))

    @abstractmethod
    def close(self) -> None:
        """Close the file, if it is one; closing twice does nothing."""


class StandardOutput(JsonLines):
    """JSON Lines on standard output, where each line is flushed at once."""

    def _add_line(self, line: str) -> None:
        try:
            print(line, flush=True)
        except BrokenPipeError:
            raise  # its reader wants no more
        except OSError as error:
            raise write_error("standard output", error) from None

    def close(self) -> None:
        """Standard output stays open."""


class JsonLinesWriter(IncrementalFile, JsonLines):
    """Writes JSON Lines into a file; a line is in it when `write` returns.

    Args:
        path: of the file; its folder is created.
        append: keep the lines that are in the file, but the rest of one that was cut short.

    Raises:
        OutputError: The file cannot be created or written, or it is to be kept and holds something else.
    """

    def __init__(self, path: str | os.PathLike[str], *, append: bool = False) -> None:
        self.results = False  # whether more than errors were written
        super().__init__(path, append=append)

    def _kept(self, file: io.FileIO) -> int:
        return _repair(self.path, file)

    def _add_line(self, line: str) -> None:
        self._add(line + "\n")

    def write(self, result: Result) -> None:
        """Add the line of one frame, see `JsonLines.write`."""
        super().write(result)
        self.frames += 1
        self.results = True

    def end(self, source: str, frames: int, *, complete: bool) -> None:
        """Add the line that ends a video."""
        super().end(source, frames, complete=complete)
        self.results = True


def json_line(result: Result) -> str:
    """Return the line that `JsonLines` writes for a frame."""
    line = {
        "source": result.source,
        "frame_id": result.index,
        "timestamp": round(result.timestamp, 6),
        "size": list(result.size),
        "keypoint_set": result.keypoint_set.name,
        "instances": result.instances(),
    }
    return compact_json(line)


def _compact(record: object) -> str:
    return json.dumps(record, allow_nan=False, separators=(",", ":"))


# -- going on in a file ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Finished:
    """The inputs that a file of JSON Lines holds, by their sources, and how often."""

    images: Counter[str] = field(default_factory=Counter)  # lines of a first frame, also of videos
    videos: Counter[str] = field(default_factory=Counter)  # that are complete


def finished(path: Path) -> Finished:
    """Return what a file of JSON Lines holds.

    Raises:
        OutputError: it holds something else, or cannot be read.
    """
    found = Finished()
    for source, line in _lines(path):
        if source is None:
            continue
        if line.startswith(_RESULT, _end_of_source(line)):
            if line.startswith(f"{_RESULT}0,", _end_of_source(line)):
                found.images[source] += 1
        elif json.loads(line).get("complete"):
            found.videos[source] += 1
    return found


def drop(path: Path, sources: Container[str]) -> None:
    """Take the lines of some sources out of a file; it is replaced at once, so that nothing else can be lost.

    Raises:
        OutputError: it holds something else than JSON Lines, or cannot be written.
    """
    refuse_link(path)
    temporary = temporary_path(path.parent)
    try:
        with temporary.open("x", encoding="ascii", newline="\n") as kept:
            for source, line in _lines(path):
                if source is None or source not in sources:
                    kept.write(line)
        os.replace(temporary, path)
    except OSError as error:
        raise write_error(path, error) from None
    finally:
        temporary.unlink(missing_ok=True)


def _lines(path: Path) -> Iterator[tuple[str | None, str]]:
    """Yield the source, None in the first line, and the text of each line that is not cut short."""
    try:
        with path.open("rb") as file:
            for number, data in enumerate(file, 1):
                if not data.endswith(b"\n"):
                    return
                try:
                    line = data.decode("ascii")
                    if line.startswith(_SOURCE):
                        yield scanstring(line, len(_SOURCE))[0], line
                        continue
                    if "limner" not in json.loads(line):
                        raise ValueError
                except (ValueError, TypeError):
                    raise _foreign(path, number) from None
                yield None, line
    except OSError as error:
        raise write_error(path, error) from None


def _end_of_source(line: str) -> int:
    end: int = scanstring(line, len(_SOURCE))[1]
    return end


def _foreign(path: Path, number: int) -> OutputError:
    return OutputError(
        f"'{path}' cannot be added to: its line {number} is not one that limner run --jsonl writes; choose another file"
    )


def _repair(path: Path, file: io.FileIO) -> int:
    """Cut off the rest of a line at the end of a file, as a kill or a full disk leaves it; return its new size.

    Raises:
        OutputError: the file does not begin like JSON Lines of limner's, or cannot be written.
    """
    try:
        end = file.seek(0, os.SEEK_END)
        file.seek(0)
        start = file.read(len(_SOURCE))
        if not (start == _SOURCE.encode() or _HEAD.encode().startswith(start)):
            raise _foreign(path, 1)
        while end:
            size = min(end, 1 << 16)
            file.seek(end - size)
            newline = file.read(size).rfind(b"\n")
            if newline >= 0:
                end = end - size + newline + 1
                break
            end -= size
        file.truncate(end)
    except OSError as error:
        raise write_error(path, error) from None
    return end
