"""Processes of this machine as workers: each holds a model and its share of the cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from ..runtimes.hardware import usable_cores
from .items import Item
from .settings import Settings
from .store import Store
from .work import Outcome, Worker

AHEAD = 2  # parts that wait for each worker
_worker: Worker | None = None  # of this process


def run(
    parts: Iterable[Sequence[Item]], settings: Settings, store: Store, workers: int | None = None
) -> Iterator[tuple[int, Outcome]]:
    """Do parts of the inputs in processes; yield how many inputs each had, and what became of them.

    A process that dies, as one that the system kills for its memory does, takes only time with it: its parts are done
    again, input by input, and an input whose process dies twice is noted as failed.
    """
    count = workers or usable_cores()
    died: set[str] = set()  # alone
    if count == 1:
        worker = Worker(settings, store)
        for part in parts:
            yield len(part), worker(part)
        return
    waiting, suspects = iter(parts), list[Item]()
    while True:
        # what was in work when a process died is done alone, so that it is known which input it was
        alone = iter([[item] for item in suspects])
        unfinished = yield from _all_of(alone if suspects else waiting, settings, store, 1 if suspects else count)
        if not suspects:
            if not unfinished:
                return
            suspects = [item for part in unfinished for item in part]
            continue
        suspects = [item for part in alone for item in part]
        for item in (item for part in unfinished for item in part):
            if item.location in died:
                message = f"'{item.location}' ends its process twice, as what needs too much memory does"
                store.put_error(item.key(settings.digest()), item.location, message)
                yield 1, Outcome(failed=1, problems=[message])
            else:
                died.add(item.location)
                suspects.insert(0, item)


def _all_of(
    parts: Iterator[Sequence[Item]], settings: Settings, store: Store, count: int
) -> Generator[tuple[int, Outcome], None, list[Sequence[Item]]]:
    """Do parts in a pool of processes until one of these dies; return the parts that were in work then."""
    pool = _pool(settings, store, count)
    running: dict[Future[Outcome], Sequence[Item]] = {}
    try:
        while True:
            while len(running) < (count * AHEAD if count > 1 else 1) and (part := next(parts, ())):
                running[pool.submit(_do, part)] = part
            if not running:
                return []
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                outcome = future.result()  # BrokenProcessPool leaves it among the running ones
                yield len(running.pop(future)), outcome
    except BrokenProcessPool:
        return list(running.values())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        _end(pool)


def _pool(settings: Settings, store: Store, count: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")  # engines and their threads do not survive a fork
    turns = context.Value("i", 0)
    return ProcessPoolExecutor(count, context, _start, (settings, store, count, turns))


def _start(settings: Settings, store: Store, count: int, turns: object) -> None:
    """Open the model of a process, with its share of the cores."""
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that hands out the parts
    with turns.get_lock():  # type: ignore[attr-defined]
        turn: int = turns.value  # type: ignore[attr-defined]
        turns.value += 1  # type: ignore[attr-defined]
    _worker = Worker(settings, store, _cores(turn % count, count))


def _cores(turn: int, count: int) -> list[int] | None:
    """Return the cores of one of several workers, where the system lets them be chosen and there are enough."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < count or usable_cores() < len(cores):
        return None
    return cores[turn::count]


def _do(part: Sequence[Item]) -> Outcome:
    if _worker is None:
        raise RuntimeError("this process has no worker")
    return _worker(part)


def _end(pool: ProcessPoolExecutor) -> None:
    """End the processes of a pool that is not waited for: what they are writing is not in place yet."""
    for process in list((getattr(pool, "_processes", None) or {}).values()):
        process.terminate()
