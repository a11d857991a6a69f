"""The JSON of MMPose: a list of instances for an image, a list of frames for a video."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import OutputError
from ..files import plain_json
from ..types import Result
from .incremental import IncrementalFile

Instances = list[dict[str, Any]]  # as `Result.instances` returns them


def image_json(result: Result) -> bytes:
    """Return the instances of an image, in their order, as MMPose's Inferencer writes them."""
    return json.dumps(plain_json(result.instances()), indent=2, allow_nan=False).encode("ascii")


class VideoJsonWriter(IncrementalFile):
    """Writes MMPose's JSON of a video, ``[{frame_id, instances}, ...]`` indented by tabs, without keeping any of it.

    The file is valid JSON after every frame.

    Args:
        path: The file; an existing one is replaced.
        first: Number of the first frame: 0 as MMPose's Inferencer counts, 1 as its demos do.
        meta: ``meta_info`` of the keypoint set, as the demos write it around the list under
            ``instance_info``; None writes the bare list, as the Inferencer does.
        clocked: ``frame_id`` is the number of a frame in its source, where frames may be missing, and ``timestamp``
            its time in seconds; without it frames are counted as they come, and have no time, as in MMPose.

    Raises:
        OutputError: The file cannot be created or written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        first: int = 0,
        meta: Mapping[str, Any] | None = None,
        clocked: bool = False,
    ) -> None:
        self._first = first
        self._clocked = clocked
        self._level = 1 if meta is None else 2  # of indentation of an entry
        head, tail = "[", "]"
        if meta is not None:
            # its numbers are not shortened: they are constants of the data set, not measurements
            meta_json = json.dumps(dict(meta), indent="\t", default=np.ndarray.tolist).replace("\n", "\n\t")
            head, tail = f'{{\n\t"meta_info": {meta_json},\n\t"instance_info": [', "]\n}"
        super().__init__(path, head, tail)

    def write(self, result: Result | Instances) -> None:
        """Add the instances of the next frame.

        Raises:
            OutputError: They cannot be written; the frames before them stay, as valid JSON.
        """
        instances = result.instances() if isinstance(result, Result) else result
        entry: dict[str, Any] = {"frame_id": self._first + self.frames, "instances": instances}
        if self._clocked and isinstance(result, Result):
            time = round(float(result.timestamp), 6)
            entry = {"frame_id": self._first + result.index, "timestamp": time, "instances": instances}
        line = "\n" + "\t" * self._level
        text = json.dumps(plain_json(entry), indent="\t", allow_nan=False).replace("\n", line)
        if not self.frames:
            # From now on the closing bracket is on a line of its own.
            self._tail = b"\n" + b"\t" * (self._level - 1) + self._tail
        try:
            self._add(("," if self.frames else "") + line + text)
        except OutputError:
            if not self.frames:
                self._tail = self._tail.lstrip()
            raise
        self.frames += 1
