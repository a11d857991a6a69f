"""DeepLabCut's CSV with several individuals, as movement and other tools for animal behaviour read it."""

from __future__ import annotations

import numpy as np

from ..files import plain_json
from .rows import unique_names, valid_text
from .spool import SpooledWriter
from .table import csv_line
from .whole import open_whole


class DeepLabCutWriter(SpooledWriter):
    """Writes one video as DeepLabCut's CSV: a row for each frame from 0; x, y and likelihood of each body part.

    Columns stand individual by individual and body part by body part, because readers take them by place. Rows of
    frames without anybody are blank, and so are missing numbers. The scorer is named after the model. The form has
    no place for times, boxes, the size of the frames and the hash of the weights.

    Args:
        path: the file; it is made when the writer is closed.
        info: what made the results.

    Raises:
        OutputError: the file cannot be written.
    """

    def _finish(self) -> None:
        parts = unique_names(() if self.keypoint_set is None else self.keypoint_set.names)
        individuals = list(self.names.values()) or ["instance_0"]  # a table without columns cannot be read
        place = {person: i for i, person in enumerate(self.persons)}
        columns = len(individuals) * len(parts) * 3
        scorer = "_".join(("limner", *valid_text(self.info.model).replace(",", " ").split()))
        with open_whole(self.path) as file:
            head = (
                ["scorer", *([scorer] * columns)],
                ["individuals", *(name for name in individuals for _ in range(3 * len(parts)))],
                ["bodyparts", *(part for _ in individuals for part in parts for _ in range(3))],
                ["coords", *(("x", "y", "likelihood") * (columns // 3))],
            )
            file.write("".join(map(csv_line, head)).encode("utf-8"))
            blank = "," * columns + "\n"
            row = 0
            for position, persons, points in self.spooled():
                for number in range(row, position):
                    file.write(f"{number}{blank}".encode("ascii"))
                values = np.full((len(individuals), len(parts), 3), np.nan, np.float32)
                for person, of_person in zip(persons, points, strict=True):
                    values[place[person]] = of_person
                file.write(csv_line([position, *plain_json(values.ravel())]).encode("ascii"))  # type: ignore[misc]
                row = position + 1
