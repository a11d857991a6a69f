"""The forms in which results can be written, by name: ``limner run --format NAME``."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..errors import ArgumentError, suggest
from . import ResultWriter
from .run_info import RunInfo


@dataclass(frozen=True)
class Form:
    """One form of results.

    Its writer is opened for one input or for the whole run: ``Writer(path, info, **options)``, a context manager
    with `ResultWriter.write`.
    """

    ending: str  # of the path that `open` takes, after the stem of the input or a name of the user's choice
    writer: str  # "module:Class" within this package
    description: str
    folder: bool = False  # the path is that of a folder of files
    per: Literal["input", "run"] = "run"
    stem: str = "results"  # of the one file of a run
    options: dict[str, Any] = field(default_factory=dict)

    def path(self, folder: Path, stem: str) -> Path:
        """Return the path in a folder to which `open` writes: by the stem of an input, or one name for a run."""
        return folder / ((self.stem if self.per == "run" else stem) + self.ending)

    def open(
        self, path: str | Path, info: RunInfo | None = None, *, stem: str | None = None, **options: Any
    ) -> AbstractContextManager[ResultWriter]:
        """Open a writer of this form.

        Args:
            path: the file, or the folder where `folder`.
            info: what makes the results.
            stem: what names of files in a folder begin with; None takes the name of the folder without `ending`.
            options: of the writer.

        Raises:
            MissingExtraError: the form needs packages that are not installed.
            OutputError: the file or folder cannot be written.
        """
        module, name = self.writer.split(":")
        writer = getattr(importlib.import_module(f"{__package__}.{module}"), name)
        if self.folder and stem is not None:
            options["stem"] = stem
        return writer(path, info, **{**self.options, **options})


FORMATS: dict[str, Form] = {
    "coco": Form(".json", "coco_results:CocoResultsWriter", "COCO results, for pycocotools and other evaluators"),
    "coco-annotations": Form(
        ".json", "coco_annotations:CocoAnnotationsWriter", "COCO annotations, for CVAT and training", stem="annotations"
    ),
    "csv": Form(".csv", "table:TidyCsvWriter", "CSV, one row for each keypoint"),
    "csv-wide": Form(".csv", "table:WideCsvWriter", "CSV, one row for each instance", stem="results-wide"),
    "parquet": Form(".parquet", "parquet:ParquetWriter", "Parquet, one row for each keypoint; needs pyarrow"),
    "openpose": Form(
        "_json", "openpose_json:OpenPoseWriter", "OpenPose JSON: 18 or 25 points, face, hands", folder=True, per="input"
    ),
    "pose2sim": Form(
        "_json",
        "openpose_json:OpenPoseWriter",
        "OpenPose JSON with the points of the model in their order, for Pose2Sim",
        folder=True,
        per="input",
        options={"native": True},
    ),
    "trc": Form("_trc", "trc:TrcWriter", "TRC, for OpenSim and Sports2D", folder=True, per="input"),
    "deeplabcut": Form(".csv", "deeplabcut_csv:DeepLabCutWriter", "DeepLabCut CSV, for movement", per="input"),
    "nwb": Form("_nwb", "nwb:NwbWriter", "NWB with ndx-pose; needs pynwb and ndx-pose", folder=True, per="input"),
}


def form(name: str) -> Form:
    """Return the form of a name.

    Raises:
        ArgumentError: there is none.
    """
    if name not in FORMATS:
        raise ArgumentError(f"there is no form '{name}'.{suggest(name, FORMATS)} The forms are {', '.join(FORMATS)}.")
    return FORMATS[name]
