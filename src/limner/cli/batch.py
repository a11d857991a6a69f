"""`limner batch`: keypoints of a hundred thousand files, resumable."""

from __future__ import annotations

from typing import Annotated

import typer

from .common import argument, echo, option, switch, warn


def batch(
    source: Annotated[
        str,
        argument(
            "Folder, pattern, s3://bucket/folder, or manifest: a .txt of one input a line, a .csv or .jsonl with a "
            "column input.",
            "SRC",
        ),
    ],
    target: Annotated[
        str, argument("Folder, or s3://bucket/folder, for the results: JSON Lines for each input.", "DST")
    ],
    model: Annotated[
        str, option("Model; `limner models list` shows them (default: face-lite).", "NAME", "--model", "-m")
    ] = "face-lite",
    weights: Annotated[str | None, option("Weights of the model, a file or URL.", "FILE")] = None,
    keypoints: Annotated[str | None, option("Keypoint set of a model that does not say it.", "SET")] = None,
    det: Annotated[str | None, option("Detector, or whole-image (default: the model's own).", "NAME")] = None,
    det_weights: Annotated[str | None, option("Weights of the detector.", "FILE")] = None,
    bbox_thr: Annotated[
        float | None, option("Keep boxes with a score above this (default: the model's own).", "SCORE", min=0, max=1)
    ] = None,
    det_size: Annotated[str | None, option("Size of the detector's input, or auto.", "SIZE")] = None,
    tile: Annotated[str, option("Look at large images in tiles too: off, auto, 3x2 (default: off).", "TILES")] = "off",
    max_boxes: Annotated[int | None, option("Keep at most N boxes of an image.", "N", min=1)] = None,
    det_interval: Annotated[
        int | None, option("Run the detector on every Nth frame of a video (default: 1).", "N", min=1)
    ] = None,
    every: Annotated[int, option("Take every Nth frame of a video (default: 1).", "N", min=1)] = 1,
    no_flip: Annotated[bool, switch("--no-flip", "Leave out the flip test of OpenMMLab's models.")] = False,
    workers: Annotated[
        int | None, option("Processes, or actors of Ray (default: one for each core).", "N", min=1)
    ] = None,
    shard: Annotated[str | None, option("Do one part of the inputs, such as 2/8: the second of eight.", "K/N")] = None,
    engine: Annotated[str, option("local, or ray: an existing Ray cluster (default: local).", "NAME")] = "local",
    address: Annotated[str, option("Address of the Ray cluster (default: auto).", "ADDRESS")] = "auto",
    device: Annotated[str | None, option("cpu, cuda:0, ... (default: the first GPU, else the CPU).", "NAME")] = None,
    backend: Annotated[str, option("auto, onnxruntime, openvino, torch or tensorrt (default: auto).", "NAME")] = "auto",
    precision: Annotated[str, option("auto, float32, float16, bfloat16 or int8 (default: auto).", "NAME")] = "auto",
    quiet: Annotated[bool, switch("--quiet", "Print nothing but errors.", "-q")] = False,
) -> None:
    """Find keypoints in many images and videos, and go on where an earlier run stopped.

    \b
    limner batch photos results
    limner batch list.csv s3://bucket/results -m human --shard 2/8
    limner batch /data/videos results -m wholebody --engine ray
    """
    from ..batch import job
    from ..batch.settings import Settings

    settings = Settings(
        model=model,
        weights=weights,
        keypoints=keypoints,
        det=det,
        det_weights=det_weights,
        bbox_thr=bbox_thr,
        det_size=det_size,
        tile=tile,
        max_boxes=max_boxes,
        flip=not no_flip,
        device=device,
        backend=backend,
        precision=precision,
        det_interval=det_interval,
        every=every,
    )
    outcome = job.run(
        source,
        target,
        settings,
        engine=engine,
        workers=workers,
        shard=shard,
        address=address,
        info=(lambda message: None) if quiet else echo,
        progress=False if quiet else None,
    )
    for problem in outcome.problems[:5]:
        warn(problem)
    if outcome.failed:
        warn(f"{outcome.failed:,} inputs failed; the report in '{target}' has them all")
        raise typer.Exit(1)
