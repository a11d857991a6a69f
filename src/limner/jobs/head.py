"""What the heads of result files state about the model and the engine of a run."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from .. import __version__
from ..formats.run_info import RunInfo
from ..masking import masked
from ..pipeline import Pipeline

_CHUNK = 1 << 20


def run_info(model: str, precision: str, pipeline: Pipeline | None) -> RunInfo:
    """Return what makes the results of a run.

    Args:
        model: as the user names it; of a path only the name of the file is kept.
        precision: as the user names it.
        pipeline: once it is open.
    """
    name = os.path.basename(os.path.normpath(model)) if os.path.exists(model) else masked(model)
    if pipeline is None:
        return RunInfo(name, version=__version__)
    device = pipeline.pose.runtime.device  # such as "cpu (onnxruntime, int8)"
    described = re.search(r"\(([^()]+)\)$", device)
    engine, *computes_in = (described[1] if described else device).split(", ")
    if precision == "auto":
        precision = computes_in[0] if computes_in else "float32"
    return RunInfo(name, _sha256(pipeline.pose.weights), engine, precision, __version__)


def _sha256(path: Path | None) -> str:
    """Return the hash of a file, "" where there is none."""
    if path is None or not path.is_file():
        return ""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
