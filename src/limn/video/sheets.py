"""Results of a video as text that grows frame by frame: JSON Lines, and the JSON of MMPose."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from ..errors import ArgumentError, OutputError
from ..files import plain_json
from ..types import Result
from .common import open_folder_of, unwritable

_File = TypeVar("_File", bound="_GrowingFile")

Instances = list[dict[str, Any]]  # as `Result.instances` returns them


class _GrowingFile:
    """A file whose text is complete after each addition, even where the process is killed or the disk is full."""

    def __init__(self, path: str | os.PathLike[str], head: str = "", tail: str = "") -> None:
        self.path = Path(os.path.expanduser(path))
        self.frames = 0  # frames written
        self._tail = tail.encode("ascii")
        self._end = 0  # bytes before the tail
        open_folder_of(self.path)
        try:
            # Unbuffered: what was written is the system's, and so outlives this process.
            self._file: io.FileIO = open(self.path, "wb", buffering=0)  # noqa: SIM115 - closed by close()
        except (OSError, ValueError) as error:
            raise unwritable(self.path, error) from None
        try:
            self._add(head)
        except OutputError:
            self._file.close()
            raise

    def _add(self, text: str) -> None:
        """Put ``text`` before the tail; leave the file as it was where that fails."""
        if self._file.closed:
            raise ArgumentError(f"'{self.path}' is closed; make a new {type(self).__name__}")
        data = text.encode("ascii")
        try:
            self._put(data + self._tail)
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(self._end)
                self._put(self._tail)
            raise unwritable(self.path, error) from None
        self._end += len(data)

    def _put(self, data: bytes) -> None:
        self._file.seek(self._end)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        self._file.close()

    def __enter__(self: _File) -> _File:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class JsonLines(_GrowingFile):
    """Writes one JSON object a line and a frame; each line is with the system when `write` returns.

    A line holds ``source``, ``frame_id`` (number within the source, from 0), ``timestamp`` (seconds),
    ``size`` ([width, height] in pixels), ``keypoint_set`` and ``instances`` in MMPose's form, with
    ``track_id`` where there are identities.

    Raises:
        OutputError: The file cannot be made or written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)

    def write(self, result: Result) -> None:
        """Add the line of one frame.

        Raises:
            OutputError: The line cannot be written; those before it stay.
        """
        self._add(json_line(result) + "\n")
        self.frames += 1


def json_line(result: Result) -> str:
    """Return what `JsonLines` writes of a frame."""
    line = {
        "source": result.source,
        "frame_id": result.index,
        "timestamp": round(result.timestamp, 6),
        "size": list(result.size),
        "keypoint_set": result.keypoint_set,
        "instances": result.instances(),
    }
    return json.dumps(plain_json(line), allow_nan=False, separators=(",", ":"))


class VideoJson(_GrowingFile):
    """Writes MMPose's JSON of a video, ``[{frame_id, instances}, ...]`` indented by tabs, without keeping any of it.

    The file is valid JSON after every frame.

    Args:
        path: The file; what had its name is replaced.
        first: Number of the first frame: 0 as MMPose's Inferencer counts, 1 as its demos do.
        meta: ``meta_info`` of the keypoint set, as the demos write it around the list under
            ``instance_info``; None writes the bare list, as the Inferencer does.

    Raises:
        OutputError: The file cannot be made or written.
    """

    def __init__(self, path: str | os.PathLike[str], *, first: int = 0, meta: Mapping[str, Any] | None = None) -> None:
        self._first = first
        self._level = 1 if meta is None else 2  # of indentation of an entry
        head, tail = "[", "]"
        if meta is not None:
            # its numbers stay as they are: they are facts of the data set, not measurements
            about = json.dumps(dict(meta), indent="\t", default=np.ndarray.tolist).replace("\n", "\n\t")
            head, tail = f'{{\n\t"meta_info": {about},\n\t"instance_info": [', "]\n}"
        super().__init__(path, head, tail)

    def write(self, found: Result | Instances) -> None:
        """Add the instances of the next frame.

        Raises:
            OutputError: They cannot be written; the frames before stay, as valid JSON.
        """
        instances = found.instances() if isinstance(found, Result) else found
        entry = {"frame_id": self._first + self.frames, "instances": instances}
        line = "\n" + "\t" * self._level
        text = json.dumps(plain_json(entry), indent="\t", allow_nan=False).replace("\n", line)
        if not self.frames:
            # From now on the list closes on a line of its own.
            self._tail = b"\n" + b"\t" * (self._level - 1) + self._tail
        try:
            self._add(("," if self.frames else "") + line + text)
        except OutputError:
            if not self.frames:
                self._tail = self._tail.lstrip()
            raise
        self.frames += 1
