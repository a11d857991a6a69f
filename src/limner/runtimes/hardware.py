"""Processor cores, processor features and CUDA devices of this machine, found without loading an engine."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def usable_cores() -> int:
    """Return how many cores this process may use: its affinity, and the quota of its container, rounded up."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, *_quotas(Path("/")))))


def _quotas(root: Path) -> Iterator[float]:
    """Yield the processor time, in cores, that control groups (version 1 or 2) allow; and infinity.

    A group's parents bind it as well. In a container the path may be the host's, which is not mounted:
    then the mounted root is the container's own group.
    """
    yield math.inf
    mount = root / "sys/fs/cgroup"
    for line in _words(root / "proc/self/cgroup", lines=True):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        own = PurePosixPath(path.lstrip("/"))
        for group in (own, *own.parents):
            if controllers:
                quota = _words(mount / "cpu" / group / "cpu.cfs_quota_us")
                period = _words(mount / "cpu" / group / "cpu.cfs_period_us")
            else:
                quota = _words(mount / group / "cpu.max")
                quota, period = quota[:1], quota[1:2]
            if quota and period and quota[0].isdigit() and period[0].isdigit() and int(quota[0]) and int(period[0]):
                yield int(quota[0]) / int(period[0])


def _words(file: Path, lines: bool = False) -> list[str]:
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.splitlines() if lines else text.split()


def int8_dot_products(root: Path = Path("/")) -> bool:
    """Return whether int8 networks are known to be faster on this processor: x86 with VNNI, as Linux reports it."""
    return not {"avx512_vnni", "avx_vnni"}.isdisjoint(_words(root / "proc/cpuinfo"))


def amx_bfloat16(root: Path = Path("/")) -> bool:
    """Return whether bfloat16 is faster than float32 on this processor: x86 with AMX for it, as Linux reports it.

    Processors with ``avx512_bf16`` alone compute in bfloat16 too, more slowly than in float32.
    """
    return "amx_bf16" in _words(root / "proc/cpuinfo")


def cuda_devices() -> int:
    """Return how many CUDA devices the driver finds; 0 where there is no driver."""
    import ctypes

    for name in ("libcuda.so.1", "nvcuda.dll"):
        try:
            driver = ctypes.CDLL(name)
        except OSError:
            continue
        count = ctypes.c_int(0)
        if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0:
            return count.value
    return 0
