"""`limner batch` beside a loop over the Python API, in one run, on the same images.

    python benchmarks/batch.py ../shared/data/people/flickr --count 2000
    python benchmarks/batch.py ../shared/data/people/flickr --count 2000 --ray

The loop calls the model with one file after the other, in one process. Starting up is part of each time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LOOP = """
import sys
from pathlib import Path
import limner
model = limner.load("face-lite")
found = 0
for line in open(sys.argv[1]):
    result = model(line.strip())
    found += len(result)
    result.save(Path(sys.argv[2], Path(result.source).name + ".jsonl"))
print(found)
"""
RAY = """
import logging, sys
import ray
ray.init(num_cpus=int(sys.argv[3]) + 1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
from limner.batch import job
from limner.batch.settings import Settings
import time
start = time.perf_counter()
job.run(sys.argv[1], sys.argv[2], Settings(), engine="ray", workers=int(sys.argv[3]), progress=False)
print("job", time.perf_counter() - start)
ray.shutdown()
"""


def timed(name: str, command: list[str]) -> float:
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"})
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{name} failed: {done.stdout[-500:]}{done.stderr[-1500:]}")
    own = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("job ")]
    seconds = float(own[0]) if own else seconds  # without the start of the cluster
    print(f"{name:28} {seconds:7.1f} s", flush=True)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="folder of images")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--ray", action="store_true", help="measure a Ray cluster of this machine, too")
    args = parser.parse_args()
    files = sorted(args.images.resolve().glob("*.jpg"))[: args.count]
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder, "list.txt")
        manifest.write_text("".join(f"{file}\n" for file in files))
        (Path(folder) / "loop").mkdir()
        python = sys.executable
        print(f"{len(files)} images, {args.workers} workers")
        batch = timed("limner batch", [python, "-m", "limner", "batch", str(manifest), f"{folder}/a", "--quiet",
                                       "--workers", str(args.workers)])  # fmt: skip
        loop = timed("loop over the Python API", [python, "-c", LOOP, str(manifest), f"{folder}/loop"])
        again = timed("limner batch, again", [python, "-m", "limner", "batch", str(manifest), f"{folder}/b", "--quiet",
                                              "--workers", str(args.workers)])  # fmt: skip
        best = min(batch, again)
        print(f"batch is {loop / best:.2f} x as fast as the loop")
        if args.ray:
            ray = timed(
                "limner batch --engine ray", [python, "-c", RAY, str(manifest), f"{folder}/r", str(args.workers)]
            )
            print(f"Ray takes {ray / best:.2f} x the time of the local engine")
        shutil.rmtree(f"{folder}/a")


if __name__ == "__main__":
    main()
