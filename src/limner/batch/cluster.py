"""The actors of an existing Ray cluster as workers, by Ray Data.

Of what Ray does with order, failures and doubled rows (version 2.60): order is not kept, so results are placed by
name; an actor that dies has its rows done again by another, so doing an input twice must leave one result; an error
that is raised ends the job, so errors are returned as rows.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from ..errors import ArgumentError, DeviceError, MissingExtraError
from .items import Item
from .settings import Settings
from .store import Store
from .work import Outcome, Worker

WINDOW = 50_000  # inputs that Ray is given at once: their names are held in memory

_COUNTS = ("done", "skipped", "failed", "frames", "instances")


def run(
    parts: Iterable[Sequence[Item]],
    settings: Settings,
    store: Store,
    workers: int | None = None,
    address: str = "auto",
) -> Iterator[tuple[int, Outcome]]:
    """Do parts of the inputs on a Ray cluster; yield how many inputs each had, and what became of them.

    Args:
        parts: of the inputs.
        settings, store: of each actor; where the store is a folder, all machines have it at the same place.
        workers: actors; None takes one for each CPU but one, which Ray needs for reading.
        address: of the cluster; "auto" is the one that runs on this machine or that ``RAY_ADDRESS`` names.

    Raises:
        MissingExtraError: Ray is not installed.
        DeviceError: there is no cluster.
        ArgumentError: it has too few CPUs.
    """
    try:
        import ray
        import ray.data
    except ImportError:
        raise MissingExtraError("--engine ray", "ray") from None

    if not ray.is_initialized():
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            raise DeviceError(
                f"there is no Ray cluster at '{address}': {' '.join(str(error).split())[:200]}; start one with "
                "`ray start --head`, or leave --engine ray out"
            ) from None
    cpus = int(ray.cluster_resources().get("CPU", 0))  # type: ignore[no-untyped-call]
    count = workers or max(cpus - 1, 1)
    if count >= cpus:
        raise ArgumentError(f"{count} workers leave none of the cluster's {cpus} CPUs for reading: give fewer workers")
    ray.data.DataContext.get_current().enable_progress_bars = False
    every = iter(parts)
    while window := list(islice(every, max(1, WINDOW // 16))):
        rows = [{"part": i, "location": item.location, "name": item.name} for i, p in enumerate(window) for item in p]
        largest = max(len(part) for part in window)
        found = ray.data.from_items(rows, override_num_blocks=max(1, min(len(window), 200))).map_batches(
            _Actor,
            fn_constructor_args=(settings, store),
            compute=ray.data.ActorPoolStrategy(size=count),
            batch_size=largest,
            num_cpus=1,
        )
        for row in found.iter_rows():
            yield int(row["inputs"]), _outcome(row)


class _Actor:
    """A worker that takes and returns columns, as Ray Data has them."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._worker = Worker(settings, store)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        rows = zip(batch["location"], batch["name"], strict=True)
        items = [Item(str(location), str(name)) for location, name in rows]
        outcome = self._worker(items)
        return {
            "inputs": [len(items)],
            **{name: [getattr(outcome, name)] for name in _COUNTS},
            "problems": ["\n".join(outcome.problems)],
        }


def _outcome(row: dict[str, Any]) -> Outcome:
    problems = [line for line in str(row["problems"]).split("\n") if line]
    done, skipped, failed, frames, instances = (int(row[name]) for name in _COUNTS)
    return Outcome(done, skipped, failed, frames, instances, problems)
