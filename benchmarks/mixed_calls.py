"""Mixed calls of one model from many threads and processes for a long time: equal results, and memory that stays flat.

    python benchmarks/mixed_calls.py --minutes 60

Eight threads call one model with images, batches, files, torn files, videos, trackers and drawings, write videos and
lines, and now and then start a process by fork, spawn or forkserver that does the same. Each result is compared with
the first of its kind. Memory is read when all threads stand still; it fails where the mean of the last fifth is more
than --within megabytes above that of the second fifth. glibc is told to take one arena (MALLOC_ARENA_MAX, unless it is
set): with one for each of the many threads its own memory grows for long, which would hide a leak, or look like one.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import limner
from limner.formats.json_lines import JsonLinesWriter

BOXES = [[10, 10, 150, 150], [40, 20, 190, 170], [60, 30, 180, 190]]
ROUND = 6  # calls of a thread between two readings of memory


def found(model: limner.Model, image: np.ndarray) -> bytes:
    """What a model gives for an image, to be compared; of a module, so that other processes find it."""
    return model(image, boxes=BOXES).keypoints.tobytes()


def in_process(model: limner.Model, image: np.ndarray, pipe: Any) -> None:
    """What a process of its own does."""
    pipe.send_bytes(found(model, image))


class Calls:
    """The calls, and what each gave when it was first made."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.model = folder, limner.load()
        noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
        self.images = [cv2.resize(np.roll(noise, 7 * i, axis=0), (200, 200)) for i in range(4)]
        cv2.imwrite(str(folder / "photo.jpg"), self.images[0])
        self.whole = (folder / "photo.jpg").read_bytes()
        self.torn = self.whole[: len(self.whole) // 2] + b"\xff\xd9"
        with limner.VideoWriter(folder / "clip.mp4", 25) as writer:
            for i in range(12):
                writer.write(np.roll(self.images[0], i, axis=1))
        self.first: dict[str, bytes] = {}
        self.lock = threading.Lock()
        self.failures: list[str] = []
        self.counts = dict.fromkeys(self.kinds(), 0)

    def kinds(self) -> dict[str, Callable[[], bytes]]:
        """Return the kinds of calls by their names."""
        return {
            "image": lambda: found(self.model, self.images[1]),
            "batch": lambda: b"".join(one.keypoints.tobytes() for one in self.model(self.images, boxes=[BOXES] * 4)),
            "detected": lambda: self.model(self.images[2]).boxes.xyxy.tobytes(),
            "file": lambda: found(self.model, cv2.imdecode(np.frombuffer(self.whole, np.uint8), 1)),
            "bytes": lambda: self.model(self.whole, boxes=BOXES).keypoints.tobytes(),
            "torn": self.of_torn,
            "video": lambda: b"".join(
                one.keypoints.tobytes() for one in self.model.watch(self.folder / "clip.mp4", boxes=lambda image: BOXES)
            ),
            "left": lambda: next(self.model.watch(self.folder / "clip.mp4", boxes=lambda image: BOXES)).source.encode(),
            "tracked": self.of_tracker,
            "drawn": lambda: self.model(self.images[3], boxes=BOXES).plot().tobytes(),
            "written": self.of_files,
        }

    def of_torn(self) -> bytes:
        """Refuse a damaged file."""
        try:
            self.model(self.torn)
        except limner.LimnerError as error:
            return type(error).__name__.encode()
        return b"read"

    def of_tracker(self) -> bytes:
        """Track through the images."""
        tracker = self.model.tracker()
        return b"".join(tracker(image, boxes=BOXES).keypoints.tobytes() for image in self.images)

    def of_files(self) -> bytes:
        """Write a video and lines, in a folder of this thread."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            with limner.VideoWriter(Path(folder, "o.mp4"), 25) as writer:
                for image in self.images:
                    writer.write(image)
            with JsonLinesWriter(Path(folder, "l.jsonl")) as lines:
                lines.error("a", "b")
            return str(sorted(os.listdir(folder))).encode()

    def of_process(self, how: str) -> bytes:
        """Call the model in a process of its own."""
        context = multiprocessing.get_context(how)
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=in_process, args=(self.model, self.images[1], theirs))
        process.start()
        theirs.close()
        try:
            return ours.recv_bytes() if ours.poll(120) else b"no answer"
        finally:
            ours.close()
            process.join(30)
            process.kill()
            process.join()
            process.close()

    def check(self, name: str, call: Callable[[], bytes], like: str | None = None) -> None:
        """Make a call, and compare what it gives with the first of its kind."""
        try:
            gave = call()
        except BaseException:
            self.failures.append(f"{name}: {traceback.format_exc()}")
            return
        with self.lock:
            self.counts[name] = self.counts.get(name, 0) + 1
            if self.first.setdefault(like or name, gave) != gave:
                self.failures.append(f"{name}: another result than the first")


def megabytes() -> float:
    """Return what of this process lies in memory, without what is free and only not given back yet."""
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):  # of glibc
        trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def run(calls: Calls, minutes: float, threads: int, seed: int) -> list[float]:
    """Make calls for some minutes; return the memory after each round, in megabytes."""
    kinds, readings = calls.kinds(), list[float]()
    for name, call in kinds.items():
        calls.check(name, call)
    end = time.monotonic() + 60 * minutes
    barrier = threading.Barrier(threads + 1)
    over = threading.Event()

    def work(number: int) -> None:
        chance = random.Random(seed + number)
        while not over.is_set():
            for _ in range(ROUND):
                name = chance.choice(list(kinds))
                calls.check(name, kinds[name])
            barrier.wait()
            barrier.wait()

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    methods = [how for how in ("fork", "spawn", "forkserver") if how in multiprocessing.get_all_start_methods()]
    while not over.is_set():
        how = methods[len(readings) % len(methods)]  # while the threads are at work
        calls.check(how, lambda how=how: calls.of_process(how), like="image")  # type: ignore[misc]
        barrier.wait()
        readings.append(megabytes())
        if time.monotonic() > end or calls.failures:
            over.set()
        barrier.wait()
    for worker in workers:
        worker.join()
    return readings


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--within", type=float, default=5.0, help="megabytes")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if "MALLOC_ARENA_MAX" not in os.environ:  # is read once, when a process starts
        os.environ["MALLOC_ARENA_MAX"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.argv])
    with tempfile.TemporaryDirectory() as folder:
        calls = Calls(Path(folder))
        readings = run(calls, args.minutes, args.threads, args.seed)
    fifth = max(1, len(readings) // 5)
    early, late = statistics.fmean(readings[fifth : 2 * fifth] or readings), statistics.fmean(readings[-fifth:])
    print(f"{sum(calls.counts.values())} calls: {', '.join(f'{n} {name}' for name, n in calls.counts.items())}")
    print(f"{len(readings)} readings of memory: {early:.1f} MB, at the end {late:.1f} MB, most {max(readings):.1f} MB")
    for failure in calls.failures[:5]:
        print(failure, file=sys.stderr)
    if calls.failures:
        return 1
    if late - early > args.within:
        print(f"memory has grown by {late - early:.1f} MB, more than {args.within:g} MB", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
