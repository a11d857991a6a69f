"""Crops a second through RTMPose-m 256x192 on a GPU: limner against MMPose's way, in one run.

    python benchmarks/gpu.py [--json gpu.json]

limner: float16, channels last, CUDA graphs, all crops in one call, without and with the flip test.
MMPose's way: torch eager in float32 with torch's defaults (which let cuDNN use TF32), one crop in a call, with the
flip test in a second call. Both use the same random weights, and go from uint8 crops to outputs in numpy arrays,
without decoding. ``--device cpu`` runs simulated CUDA graphs in float32: it tests the code, not the speed.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from limner import build, config
from limner.errors import LimnerError
from limner.runtimes.torch import TorchRuntime, find_device, flat, import_torch

CONFIG = "configs/body_2d_keypoint/rtmpose/coco/rtmpose-m_8xb256-420e_coco-256x192.py"
MAX_SINGLE_CROPS = 64  # crops for which MMPose's way is measured, as its time for each crop is constant


def network(seed: int = 0) -> Any:
    """Return RTMPose-m with random weights."""
    torch = import_torch()
    torch.manual_seed(seed)
    return build.network(config.load(CONFIG)["model"]).eval()


def mmpose_reference(net: Any, colours: build.Normalisation, device: Any) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Return a function that runs the network on crops as MMPose does."""
    torch = import_torch()
    net = net.to(device)
    mean, std = (torch.tensor(v, device=device).view(-1, 1, 1) for v in (colours.mean, colours.std))

    def run(crops: np.ndarray) -> list[np.ndarray]:
        results = []
        with torch.no_grad():
            for crop in crops:
                x = torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1))).to(device)
                x = ((x[[2, 1, 0]].float() - mean) / std)[None]
                plain, mirrored = flat(net(x)), flat(net(x.flip(3)))
                results.append([t.cpu().numpy() for t in (*plain, *mirrored)])
        return [np.concatenate(outputs) for outputs in zip(*results, strict=True)]

    return run


def seconds(call: Callable[[], object], at_least: float) -> float:
    """Return the seconds of one call, averaged over at least ``at_least`` seconds of calls."""
    start, calls = time.perf_counter(), 0
    while True:
        call()
        calls += 1
        spent = time.perf_counter() - start
        if spent >= at_least:
            return spent / calls


def measure(device: str, sizes: list[int], rounds: int, at_least: float) -> dict[str, Any]:
    """Return crops a second of each system at each batch size: medians over rounds in which they take turns."""
    spec = build.pose_spec(config.load(CONFIG))
    where = find_device(device)
    colours, net = spec.normalisation, network()
    settings = (colours.mean, colours.std, colours.to_rgb, device)
    ours = TorchRuntime(copy.deepcopy(net), *settings, half=where.type == "cuda", cuda_graphs=True)
    theirs = mmpose_reference(net, colours, where)
    rng, rows, apart = np.random.default_rng(0), [], 0.0
    for size in sizes:
        crops = rng.integers(0, 256, (size, spec.size[1], spec.size[0], 3), np.uint8)
        few = crops[:MAX_SINGLE_CROPS]
        both = np.concatenate([crops, crops[:, :, ::-1]])
        for _ in range(3):  # until the CUDA graphs are recorded
            ours(crops), ours(both)
        expected = theirs(few)
        for outputs, reference in zip(ours(crops), expected, strict=False):
            apart = max(apart, relative_difference(outputs[: len(few)], reference))
        systems = {
            "limner": (partial(ours, crops), size),
            "limner_flip": (partial(ours, both), size),
            "mmpose": (partial(theirs, few), len(few)),
        }
        rates: dict[str, list[float]] = {name: [] for name in systems}
        for _ in range(rounds):
            for name, (call, count) in systems.items():
                rates[name].append(count / seconds(call, at_least))
        rows.append({"crops": size, **{name: statistics.median(values) for name, values in rates.items()}})
    return {"device": ours.device, "simulated": where.type == "cpu", "apart": apart, "rounds": rounds, "rows": rows}


def relative_difference(outputs: np.ndarray, reference: np.ndarray) -> float:
    return float(np.linalg.norm(outputs - reference) / np.linalg.norm(reference))


def table(report: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    note = "; with simulated CUDA graphs, whose speed says nothing about a GPU" if report["simulated"] else ""
    lines = [
        f"rtmpose-m 256x192, crops a second on {report['device']}{note}; outputs differ by {report['apart']:.1e}",
        "",
        "| crops | limner | limner, flip | MMPose's way, flip | ratio | ratio, flip |",
        "|---|---|---|---|---|---|",
    ]
    for row in report["rows"]:
        ours, flipped, theirs = row["limner"], row["limner_flip"], row["mmpose"]
        lines.append(
            f"| {row['crops']} | {ours:,.0f} | {flipped:,.0f} | {theirs:,.0f} "
            f"| {ours / theirs:.1f} x | {flipped / theirs:.1f} x |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--sizes", type=int, nargs="+", help="batch sizes (default: 1 8 64 512; on a CPU 1 3)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file for the results")
    args = parser.parse_args()
    try:
        quick = find_device(args.device).type == "cpu"
        sizes = args.sizes or ([1, 3] if quick else [1, 8, 64, 512])
        report = measure(args.device, sizes, args.rounds, 0.0 if quick else 0.5)
    except LimnerError as error:
        print(f"gpu.py: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    if not report["simulated"] and "float16" not in report["device"]:
        print("gpu.py: the network did not run in float16, so these results are not limner's best", file=sys.stderr)
    print(table(report))
    if args.json is not None:
        args.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
