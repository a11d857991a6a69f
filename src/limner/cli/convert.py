"""`limner convert`: JSON Lines of an earlier run -> the forms of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ..errors import expanded
from .common import argument, echo, info, option, switch
from .outputs import check_name


def convert(
    lines: Annotated[
        list[Path], argument("JSON Lines of limner run --jsonl, or a folder of them, as of limner batch.", "FILE...")
    ],
    form: Annotated[
        list[str],
        option(
            "Form; give several, or with commas: coco, coco-annotations, csv, csv-wide, parquet, openpose, pose2sim, "
            "trc, deeplabcut, nwb.",
            "FORM",
            "--format",
            "-f",
        ),
    ],
    out: Annotated[
        str | None, option("Folder for the files (default: the current one).", "FOLDER", "--out", "-o")
    ] = None,
    keypoints: Annotated[
        str | None, option("Keypoint set, where limner does not know the one that the file names.", "SET")
    ] = None,
    overwrite: Annotated[bool, switch("--overwrite", "Write over what is there.")] = False,
) -> None:
    """Write the results of an earlier run in the forms of other tools.

    \b
    limner run clip.mp4 -m human --jsonl clip.jsonl
    limner convert clip.jsonl --format trc --format csv -o for-opensim
    limner convert batch-results --format parquet
    """
    from ..formats.read_lines import LinesReader
    from ..jobs.convert import convert as write
    from ..jobs.convert import files_of
    from ..loading import keypoint_sets

    check_name("--out", out)
    named = None if keypoints is None else keypoint_sets.named(keypoints)
    reader = LinesReader(*files_of([expanded(path) for path in lines]), keypoint_set=named)
    made = write(reader, Path(out or ""), form, overwrite=overwrite, read=(keypoints,))
    for remark in reader.remarks:
        info(remark)
    for name in sorted(reader.unknown):
        info(f"limner has no keypoint set '{name}', so its keypoints are numbered; --keypoints names them")
    for path in made:
        echo(str(path))
