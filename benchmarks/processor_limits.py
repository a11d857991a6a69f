"""What the processor can do: RTMPose-m in every engine, beside the product of two matrices. See peers.py."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import standins
from limner import loading
from limner.loading import Engine
from limner.runtimes.hardware import usable_cores
from standins import BODY, apart, medians

GFLOP = 3.86  # of RTMPose-m at 256x192: twice the multiplications, of one crop
PRODUCT = 4096  # side of the matrices whose product shows what the processor can do
BACKENDS = ("onnxruntime", "openvino", "torch")
PEOPLE, CROPS = 8, 32  # of a frame, and of a batch of many frames
WHOLE = " cut and decoded"  # not the network alone

Numbers = dict[str, Any]


def limits(
    work: Path,
    rounds: int,
    *,
    backends: tuple[str, ...] = BACKENDS,
    side: int = PRODUCT,
    products: int = 20,
    sizes: tuple[int, int, int] = (1, PEOPLE, CROPS),
    threads: int = 0,
) -> Numbers:
    """Return seconds of RTMPose-m a crop, in every engine, and of the limit that a matrix product sets.

    Args:
        work: folder of the weights.
        rounds: how often everything is measured in turn.
        backends: engines.
        side: of the matrices.
        products: of them in a round, of which the best counts.
        sizes: crops that are looked at together: one, those of a frame, and those of many frames.
        threads: 0 takes every core that this process may use.
    """
    import torch

    threads = threads or usable_cores()
    calls: dict[str, tuple[Callable[[], object], int, int]] = {}  # what is called, crops of it, and times a round
    for backend in backends:
        for hint in ("latency", "throughput") if backend != "torch" else ("latency",):
            calls |= _calls(Engine(backend, threads=threads, hint=hint), f"{backend}, {hint}", work, sizes)
    for call, _, _ in calls.values():
        call()
    matrix, before = torch.randn(side, side), torch.get_num_threads()
    spent: dict[str, list[float]] = {name: [] for name in ("product", *calls)}
    for i in range(rounds):
        torch.set_num_threads(threads)
        spent["product"].append(min(_seconds(lambda: matrix @ matrix) for _ in range(products)))
        torch.set_num_threads(before)
        for name, (call, crops, times) in calls.items():
            spent[name].append(statistics.median(_seconds(call) for _ in range(times)) / crops)
        print(f"round {i + 1} of {rounds}")
    rate = 2 * side**3 / statistics.median(spent["product"])
    limit, middle = GFLOP * 1e9 / rate, medians(spent)
    columns = ["RTMPose-m 256x192, a crop (against the limit)"]
    columns += [f"{n} at once{end and ',' + end}" for end in ("", WHOLE) for n in sizes]
    columns += [f"{sizes[1]} people against {sizes[1]} x 1{end}" for end in ("", WHOLE)]
    rows = [["limit: one large matrix product", f"{1e3 * limit:.1f} ms ({rate / 1e9:.0f} GFLOP/s)"]]
    for told in dict.fromkeys(", ".join(name.split(", ")[:2]) for name in calls):
        names = [f"{told}, {n}{end}" for end in ("", WHOLE) for n in sizes]
        cells = [f"{1e3 * middle[name]:.1f} ms ({middle[name] / limit:.2f} x)" for name in names]
        together = [f"{apart(spent, names[i + 1], names[i]):.2f} x" for i in (0, 3)]
        rows.append([told, *cells, *together])
    return {"limit": limit, "rate": rate, "sizes": sizes, "seconds": spent, "medians": middle, "columns": columns,
            "rows": rows}  # fmt: skip


def _calls(
    engine: Engine, told: str, work: Path, sizes: tuple[int, int, int]
) -> dict[str, tuple[Callable[[], object], int, int]]:
    """Return what is called of an engine, by its name and the number of crops: the network, and from an image on."""
    pose = loading.open_pose_estimator(BODY.config, standins.checkpoint(BODY, work), engine=engine, flip=False)
    image = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    _, people, many = sizes
    left = np.linspace(0, 1000, people)
    boxes = np.stack([left, 0 * left + 100, left + 200, 0 * left + 600], axis=1).astype(np.float32)
    crops, frames = pose.crop(boxes).cut(image), many // people
    return {
        f"{told}, 1": (partial(pose.runtime, crops[:1]), 1, 12),
        f"{told}, {people}": (partial(pose.runtime, crops), people, 2),
        f"{told}, {many}": (partial(pose.runtime, np.concatenate([crops] * frames)), many, 1),
        f"{told}, 1{WHOLE}": (partial(pose, image, boxes[:1]), 1, 12),
        f"{told}, {people}{WHOLE}": (partial(pose, image, boxes), people, 2),
        f"{told}, {many}{WHOLE}": (partial(pose.many, [image] * frames, [boxes] * frames), many, 1),
    }


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
