"""The speed of RTMPose-m in every engine, and the limit set by matrix products on this processor. See peers.py."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

import comparison
from comparison import BODY, Numbers, medians, time_ratio
from limner import loading
from limner.loading import Engine
from limner.runtimes.hardware import usable_cores

GFLOP = 3.86  # of RTMPose-m at 256x192: twice the multiplications, of one crop
PRODUCT = 4096  # side of the matrices whose product measures the processor's limit
BACKENDS = ("onnxruntime", "openvino", "torch")
PEOPLE, CROPS = 8, 32  # crops of a frame, and of a batch of many frames
WITH_CROP_AND_DECODE = " cut and decoded"  # suffix of rows that include cropping and decoding


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
        rounds: number of rounds in which everything is measured in turn.
        backends: names of the engines.
        side: of the square matrices.
        products: matrix products in a round, of which the best counts.
        sizes: batch sizes: one crop, the crops of a frame, and those of many frames.
        threads: 0 takes every core that this process may use.
    """
    import torch

    threads = threads or usable_cores()
    calls: dict[str, tuple[Callable[[], object], int, int]] = {}  # function, its crops, and calls in a round
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
    limit, median_times = GFLOP * 1e9 / rate, medians(spent)
    columns = ["RTMPose-m 256x192, a crop (against the limit)"]
    columns += [f"{n} at once{end and ',' + end}" for end in ("", WITH_CROP_AND_DECODE) for n in sizes]
    columns += [f"{sizes[1]} people against {sizes[1]} x 1{end}" for end in ("", WITH_CROP_AND_DECODE)]
    rows = [["limit: one large matrix product", f"{1e3 * limit:.1f} ms ({rate / 1e9:.0f} GFLOP/s)"]]
    for label in dict.fromkeys(", ".join(name.split(", ")[:2]) for name in calls):
        names = [f"{label}, {n}{end}" for end in ("", WITH_CROP_AND_DECODE) for n in sizes]
        cells = [f"{1e3 * median_times[name]:.1f} ms ({median_times[name] / limit:.2f} x)" for name in names]
        together = [f"{time_ratio(spent, names[i + 1], names[i]):.2f} x" for i in (0, 3)]
        rows.append([label, *cells, *together])
    return {"limit": limit, "rate": rate, "sizes": sizes, "seconds": spent, "medians": median_times, "columns": columns,
            "rows": rows}  # fmt: skip


def _calls(
    engine: Engine, label: str, work: Path, sizes: tuple[int, int, int]
) -> dict[str, tuple[Callable[[], object], int, int]]:
    """Return the calls to measure of an engine, by their row names: the network alone, and with crop and decode."""
    pose = loading.open_pose_estimator(BODY.config, comparison.checkpoint(BODY, work), engine=engine, flip=False)
    image = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    _, people, many = sizes
    left = np.linspace(0, 1000, people)
    boxes = np.stack([left, 0 * left + 100, left + 200, 0 * left + 600], axis=1).astype(np.float32)
    crops, frames = pose.crop(boxes).cut(image), many // people
    return {
        f"{label}, 1": (partial(pose.runtime, crops[:1]), 1, 12),
        f"{label}, {people}": (partial(pose.runtime, crops), people, 2),
        f"{label}, {many}": (partial(pose.runtime, np.concatenate([crops] * frames)), many, 1),
        f"{label}, 1{WITH_CROP_AND_DECODE}": (partial(pose, image, boxes[:1]), 1, 12),
        f"{label}, {people}{WITH_CROP_AND_DECODE}": (partial(pose, image, boxes), people, 2),
        f"{label}, {many}{WITH_CROP_AND_DECODE}": (partial(pose.many, [image] * frames, [boxes] * frames), many, 1),
    }


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
