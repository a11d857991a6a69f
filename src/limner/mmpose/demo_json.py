"""The JSON of MMPose's demos: a description of the keypoints, then the instances."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..files import plain_json, write_atomically
from ..formats.mmpose_json import VideoJsonWriter
from ..types import Result
from ..writers import JsonWriter


class DemoJsonWriter(JsonWriter):
    """Writes ``results_STEM.json`` in the form of MMPose's demos: ``{meta_info, instance_info}``."""

    dataset_meta: Mapping[str, Any] = {}  # set once the model is open

    def path(self, stem: str) -> Path:
        """Return the path to which `write` writes the result with this stem."""
        return super().path(f"results_{stem}")

    def write(self, stem: str, result: Result, *, new: bool = False) -> Path:
        """Write ``results_STEM.json`` and return its path.

        Raises:
            OutputError: the file cannot be written.
        """
        content = {"meta_info": _plain(self.dataset_meta), "instance_info": plain_json(result.instances())}
        path = self.path(stem)
        write_atomically(path, json.dumps(content, indent="\t", allow_nan=False).encode("ascii"), new=new)
        return path

    def video(self, stem: str) -> VideoJsonWriter:
        """Return the writer of ``results_STEM.json`` for the results of a video, frames counted from 1.

        Raises:
            OutputError: it cannot be written.
        """
        return VideoJsonWriter(self.path(stem), first=1, meta=_plain(self.dataset_meta))


def _plain(value: Any) -> Any:
    """Return a value that JSON can represent: arrays as lists, other objects as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return value if value is None or isinstance(value, (str, bool, int, float)) else str(value)
