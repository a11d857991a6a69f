"""`limner eval`: measures results against annotations."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ArgumentError, expanded
from .common import argument, info, option, switch
from .outputs import result_file

if TYPE_CHECKING:
    from ..evaluate.annotations import Annotations
    from ..evaluate.predictions import Predictions
    from ..pipeline import Pipeline


def evaluate(
    files: Annotated[
        list[Path],
        argument(
            "Annotations, in COCO's or MPII's form: the model is run on their images. Or earlier results, then "
            "annotations: JSON Lines of limner run --jsonl, COCO results, or a folder of MMPose's JSON files.",
            "[RESULTS] ANNOTATIONS",
        ),
    ],
    model: Annotated[
        str, option("Model; `limner models list` shows them (default: face-lite).", "NAME", "--model", "-m")
    ] = "face-lite",
    weights: Annotated[str | None, option("Weights of the model, a file or URL.", "FILE")] = None,
    images: Annotated[Path | None, option("Folder of the images (default: that of the annotations).", "FOLDER")] = None,
    boxes: Annotated[
        str,
        option(
            "detector, gt for the annotated boxes, or a file of boxes as COCO results (default: detector).", "WHICH"
        ),
    ] = "detector",
    det: Annotated[str | None, option("Detector (default: the model's own).", "NAME")] = None,
    det_weights: Annotated[str | None, option("Weights of the detector.", "FILE")] = None,
    bbox_thr: Annotated[
        float | None, option("Keep boxes with a score above this (default: 0.05).", "SCORE", min=0, max=1)
    ] = None,
    keypoints: Annotated[
        str | None, option("Keypoint set, where neither results nor annotations say it.", "SET")
    ] = None,
    against: Annotated[
        Path | None, option("Other results about the same images: the differences, with intervals.", "RESULTS")
    ] = None,
    json: Annotated[Path | None, option("File for all numbers.", "FILE")] = None,
    html: Annotated[
        Path | None, option("File for a page: numbers, plots, the worst images beside the truth.", "FILE")
    ] = None,
    save: Annotated[Path | None, option("File for what the model found, as COCO results.", "FILE")] = None,
    no_flip: Annotated[bool, switch("--no-flip", "Leave out the flip test of OpenMMLab's models.")] = False,
    device: Annotated[str | None, option("cpu, cuda:0, ... (default: the first GPU, else the CPU).", "NAME")] = None,
    backend: Annotated[str, option("auto, onnxruntime, openvino, torch or tensorrt (default: auto).", "NAME")] = "auto",
    precision: Annotated[str, option("auto, float32, float16, bfloat16 or int8 (default: auto).", "NAME")] = "auto",
) -> None:
    """Measure how good results are: AP and AR (OKS), NME, PCK, PCKh, AUC, EPE.

    \b
    limner eval annotations.json -m face-lite --images photos --html report.html
    limner eval annotations.json -m human --boxes gt
    limner eval results.jsonl annotations.json --against earlier.jsonl
    """
    from .. import loading
    from ..evaluate import annotations as truths
    from ..evaluate import compare, page, predictions, report
    from ..evaluate.evaluation import evaluate as count
    from ..files import write_atomically
    from ..jobs.progress import show_download_progress

    if not 1 <= len(files) <= 2:
        raise ArgumentError(f"{len(files)} files are given: name annotations, or results and annotations")
    read = [*files, against, boxes, model, weights, det, det_weights, keypoints]
    _check_outputs(read, {"--json": json, "--html": html, "--save": save})
    if save is not None and len(files) == 2:
        raise ArgumentError("--save is for what a model finds; results are given already")
    named = None if keypoints is None else loading.keypoint_sets.named(keypoints)
    remarks: list[str] = []
    if len(files) == 2:
        k = None if named is None else len(named)
        annotations, results = _earlier(files[0], files[1], k)
        remarks += filter(None, [predictions.check(results, annotations.images)])
    else:
        pipeline = loading.load(
            model,
            weights=weights,
            keypoints=keypoints,
            det="none" if boxes != "detector" else det,
            det_weights=det_weights if boxes == "detector" else None,
            bbox_thr=None if boxes != "detector" else 0.05 if bbox_thr is None else bbox_thr,
            device=device,
            backend=backend,
            precision=precision,
            flip=not no_flip,
            progress=show_download_progress,
        )
        named = pipeline.keypoint_set
        annotations = truths.read(files[0], len(named))
        results = _found(pipeline, annotations, images or files[0].parent, boxes, model)
        if save is not None:
            write_atomically(expanded(save), predictions.coco_json(results))
    evaluation = count(annotations, results, named, remarks)
    differences: tuple[compare.Difference, ...] = ()
    if against is not None:
        other = count(annotations, predictions.read(against, annotations.images), evaluation.keypoint_set)
        differences = compare.compare(evaluation, other)
    typer.echo(report.table(evaluation, differences))
    if json is not None:
        write_atomically(expanded(json), report.as_json(evaluation, differences))
    if html is not None:
        folder = images or (files[0].parent if len(files) == 1 else None)
        write_atomically(expanded(html), page.html(evaluation, folder, differences))
        info(f"the page is {html}")


def _earlier(results: Path, annotations: Path, keypoints: int | None) -> tuple[Annotations, Predictions]:
    """Read earlier results, and of the annotations what has as many keypoints."""
    from ..evaluate import annotations as truths
    from ..evaluate import predictions

    truth = truths.read(annotations, keypoints)
    found = predictions.read(results, truth.images)
    if keypoints is None and len(found) and found.keypoints.shape[1] != truth.keypoints.shape[1]:
        truth = truths.read(annotations, found.keypoints.shape[1])  # a part of COCO-WholeBody
    return truth, found


def _found(pipeline: Pipeline, annotations: Annotations, folder: Path, boxes: str, model: str) -> Predictions:
    """Run the model, with a bar where somebody looks."""
    from ..evaluate.estimate import estimate
    from ..jobs.progress import ProgressBars

    with ProgressBars(sys.stderr.isatty()) as bars, bars.frames("images", len(annotations.images)) as step:
        return estimate(pipeline, annotations, folder, boxes, source=model, step=step)


def _check_outputs(inputs: Sequence[str | Path | None], outputs: dict[str, Path | None]) -> None:
    """Raise ArgumentError where a file that is read would be replaced, or two options name one file."""
    taken: dict[Path, str] = {}
    for name, path in outputs.items():
        if path is None:
            continue
        place = Path(os.path.realpath(result_file(name, path, inputs)))
        if place in taken:
            raise ArgumentError(f"{taken[place]} and {name} name the same file, '{path}'")
        taken[place] = name
