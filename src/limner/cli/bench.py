"""`limner bench`: measures the speed of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import ArgumentError
from . import outputs
from .common import argument, info, option


def bench(
    video: Annotated[Path | None, argument("Video to measure with (default: synthetic frames).", "VIDEO")] = None,
    model: Annotated[
        str, option("Model; `limner models list` shows them (default: face-lite).", "NAME", "--model", "-m")
    ] = "face-lite",
    frames: Annotated[int, option("Frames to measure (default: 100).", "N", min=2)] = 100,
    people: Annotated[int, option("People in each synthetic frame (default: 1).", "N", min=1)] = 1,
    det_interval: Annotated[int, option("Run the detector on every Nth frame (default: 1).", "N", min=1)] = 1,
    json: Annotated[str | None, option("File for the results.", "FILE")] = None,
    device: Annotated[
        str | None, option("cpu, cuda:0, ... (default: the first GPU if there is one, else the CPU).", "NAME")
    ] = None,
    backend: Annotated[str, option("auto, onnxruntime, openvino, torch or tensorrt (default: auto).", "NAME")] = "auto",
    precision: Annotated[str, option("auto, float32, float16, bfloat16 or int8 (default: auto).", "NAME")] = "auto",
) -> None:
    """Measure how fast this machine is, stage by stage.

    \b
    limner bench
    limner bench clip.mp4 --det-interval 5 --backend openvino --json speed.json
    """
    from .. import bench as benchmark
    from .. import loading
    from ..files import write_atomically
    from ..jobs.progress import show_download_progress

    if json is not None and json.strip() in ("", "-"):
        raise ArgumentError(f"--json is '{json}' where the name of a file is needed; the table is printed without it")
    target = None if json is None else outputs.result_file("--json", json, (video, model))
    pipeline = loading.load(model, device=device, backend=backend, precision=precision, progress=show_download_progress)
    flags = ["--model", model, "--backend", backend, "--precision", precision]
    report = benchmark.measure(
        pipeline,
        model,
        video,
        frames=frames,
        people=people,
        det_interval=det_interval,
        cold_start_arguments=[*flags, "--device", device] if device else flags,
        info=lambda part: info(f"measuring {part}"),
    )
    typer.echo(report.table())
    if target is not None:
        write_atomically(target, report.json().encode() + b"\n")
