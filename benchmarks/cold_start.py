"""Compare the cold start of two builds: one image, drawn, each time in a fresh process.

    python benchmarks/cold_start.py other-clone/.venv/bin/limner
    python benchmarks/cold_start.py other-clone/.venv/bin/limner --image photo.jpg --rounds 40

The two take turns, so that a change of the machine's speed meets both. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2

WARM_UP = 2  # rounds that do not count: files come into the system's cache


def seconds(command: list[str]) -> float:
    """Return the time that a command takes; its output is kept from the terminal.

    Raises:
        SystemExit: it fails.
    """
    # an installed package has its bytecode, which this variable keeps a clone from writing
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        raise SystemExit(f"'{' '.join(command)}' failed: {done.stderr.strip()}")
    return time.perf_counter() - start


def measure(other: str, own: str, image: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Return the seconds of each round for another build and this one."""
    times: dict[str, list[float]] = {other: [], own: []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + WARM_UP):
            for command in (other, own) if number % 2 else (own, other):
                taken = seconds([command, "run", str(image), "--out", tempfile.mkdtemp(dir=folder)])
                if number >= WARM_UP:
                    times[command].append(taken)
    return times[other], times[own]


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the cold start of two builds.")
    parser.add_argument("other", help="the command of another build")
    parser.add_argument("--image", type=Path, help="an image (default: the portrait that scikit-image ships)")
    parser.add_argument("--rounds", type=int, default=20, help="runs of each (default: 20)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        image = args.image
        if image is None:
            from skimage import data

            image = Path(folder) / "portrait.jpg"
            cv2.imwrite(str(image), data.astronaut()[..., ::-1])
        other, own = measure(args.other, str(Path(sys.executable).with_name("limner")), image, args.rounds)
    ratio = statistics.median(b / a for a, b in zip(other, own, strict=True))
    print(f"other {statistics.median(other):.3f} s, this build {statistics.median(own):.3f} s: {ratio:.2f} x (medians)")


if __name__ == "__main__":
    main()
