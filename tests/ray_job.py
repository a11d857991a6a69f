"""Run a batch on a Ray cluster of this machine, and kill one of its workers in the middle; used by test_batch.py."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


def parent(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def is_ours(pid: int) -> bool:
    """Return whether a process descends from this one, as all of its cluster do."""
    while pid > 1:
        pid = parent(pid)
        if pid == os.getpid():
            return True
    return False


def kill_one_worker(killed: list[int]) -> None:
    """Kill the first process of an actor, once something has been written."""
    target = sys.argv[2]
    end = time.monotonic() + 120
    while time.monotonic() < end and not killed:
        if os.path.isdir(target) and any(name.endswith(".jsonl") for name in os.listdir(target)):
            for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
                try:
                    with open(f"/proc/{pid}/cmdline", "rb") as file:
                        title = file.read()
                    if title.startswith(b"ray::") and b"Map" in title and is_ours(pid):
                        os.kill(pid, signal.SIGKILL)
                        killed.append(pid)
                        return
                except (OSError, ValueError, IndexError):
                    continue
        time.sleep(0.01)


def main() -> None:
    import ray

    from limner.batch import job
    from limner.batch.settings import Settings

    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    killed: list[int] = []
    thread = threading.Thread(target=kill_one_worker, args=(killed,), daemon=True)
    thread.start()
    job.PART = 2  # so that there are several parts of few images
    outcome = job.run(sys.argv[1], sys.argv[2], Settings(), engine="ray", workers=2, progress=False)
    thread.join(5)
    print(outcome, "killed", len(killed))
    ray.shutdown()


if __name__ == "__main__":
    main()
