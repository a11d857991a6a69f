"""Measure the speed, memory and size of the bundled models, as ratios within one run.

    python benchmarks/speed.py

The reference is RTMPose-m at 256x192 with random weights, a network with well-known speed. Run it on an
idle machine.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "training"))
sys.path.insert(0, str(ROOT / "demo"))

from face_demo import portrait  # noqa: E402

from export import to_onnx  # noqa: E402
from limner import build, bundled  # noqa: E402
from limner.runtimes.onnx import import_onnxruntime, usable_cores  # noqa: E402

onnxruntime = import_onnxruntime()

BN = {"type": "BN"}
RTMPOSE_M = {
    "backbone": {"type": "CSPNeXt", "deepen_factor": 0.67, "widen_factor": 0.75, "out_indices": (4,), "norm_cfg": BN},
    "head": {
        "type": "RTMCCHead",
        "in_channels": 768,
        "out_channels": 17,
        "input_size": (192, 256),
        "in_featuremap_size": (6, 8),
        "final_layer_kernel_size": 7,
    },
}
PREPROCESSOR = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375], "bgr_to_rgb": True}


def session(model: bytes, threads: int) -> Any:
    """Open a network with the options that limner uses."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.spin_duration_us", "50")
    # else the threads of the previous network would still spin on the cores
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def network_call(model: bytes, shape: tuple[int, ...], threads: int) -> Callable[[], object]:
    """Return a function that runs the network once on random images."""
    net = session(model, threads)
    batch = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return lambda: net.run(None, {net.get_inputs()[0].name: batch})


def networks(rounds: int, threads: int) -> dict[str, float]:
    """Return the median milliseconds of each network, called in turn."""
    rtmpose = to_onnx(build.network(RTMPOSE_M).eval(), PREPROCESSOR, (256, 192), dynamic=False).SerializeToString()
    lite = bundled.find("face-lite")
    calls = {
        "rtmpose-m": network_call(rtmpose, (1, 256, 192, 3), threads),
        "detector": network_call(lite.detector.read_bytes(), (1, 288, 288, 3), threads),
        "six faces": network_call(lite.pose.read_bytes(), (6, 160, 160, 3), threads),
    }
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            call()
            for _ in range(3):
                start = time.perf_counter()
                call()
                spent[name].append(1e3 * (time.perf_counter() - start))
    return {name: float(np.median(times)) for name, times in spent.items()}


def cold_start(command: list[str], image: Path) -> float:
    """Return the seconds that a new process takes."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=image.parent)
    return time.perf_counter() - start


def peak_megabytes(command: list[str], folder: Path) -> float:
    """Return the peak resident memory of a command in megabytes, measured in a separate process."""
    code = (
        "import resource,subprocess,sys; subprocess.run(sys.argv[1:],check=True,capture_output=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    out = subprocess.run([sys.executable, "-c", code, *command], check=True, capture_output=True, text=True, cwd=folder)
    return int(out.stdout) / (1024 if sys.platform != "darwin" else 1024 * 1024)


def wheel_megabytes(folder: Path) -> float:
    """Build the wheel; return its size in megabytes."""
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl")).stat().st_size / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--threads", type=int, default=usable_cores())
    args = parser.parse_args()
    times = networks(args.rounds, args.threads)
    base = times["rtmpose-m"]
    print(f"rtmpose-m, one crop:         {base:.2f} ms")
    print(f"detector:                    {times['detector']:.2f} ms, {times['detector'] / base:.3f} x")
    print(f"one face in a batch of six:  {times['six faces'] / 6:.2f} ms, {times['six faces'] / 6 / base:.3f} x")
    with tempfile.TemporaryDirectory() as folder:
        image = portrait(Path(folder))
        limner = str(Path(sys.executable).with_name("limner"))
        run = [limner, "run", str(image), "--out", folder + "/out", "--json", folder + "/out", "--overwrite"]
        torch = [sys.executable, "-c", "import torch"]
        pairs = [(cold_start(run, image), cold_start(torch, image)) for _ in range(7)][1:]
        ours, theirs = np.median(np.array(pairs), axis=0)
        print(f"cold `limner run`:             {ours:.2f} s; `import torch`: {theirs:.2f} s; {ours / theirs:.2f} x")
        print(f"peak memory of that run:     {peak_megabytes(run, image.parent):.0f} MB")
        print(f"wheel:                       {wheel_megabytes(Path(folder)):.1f} MB")
    sizes = [bundled.find("face-lite").detector.stat().st_size, bundled.find("face-lite").pose.stat().st_size]
    print(f"bundled networks:            {sum(sizes) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
