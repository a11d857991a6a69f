"""A whole job: lists the inputs, lets an engine do them, shows how far it is, and reports what failed."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from ..errors import ArgumentError, expanded
from ..files import VIDEO_SUFFIXES
from ..jobs.progress import ProgressBars
from ..masking import masked
from ..types import MessageCallback
from . import items as listing
from . import store as stores
from .items import Item
from .settings import Settings
from .work import Outcome

PART = 32  # inputs that a worker is given at once
Engine = Literal["local", "ray"]


def run(
    source: str,
    target: str,
    settings: Settings,
    *,
    engine: str = "local",
    workers: int | None = None,
    shard: str | None = None,
    address: str = "auto",
    info: MessageCallback = lambda message: None,
    progress: bool | None = None,
) -> Outcome:
    """Do all inputs that have no results yet; return what became of them.

    Args:
        source: see `limner.batch.items.listed`.
        target: folder, or address of an object store, of the results.
        settings: the model and its options.
        engine: "local" or "ray".
        workers: processes or actors; None takes one for each core.
        shard: such as "2/8": the second of eight parts.
        address: of the Ray cluster.
        info: called with sentences.
        progress: show a bar; None does on a terminal.

    Raises:
        LimnerError: nothing can be done: no inputs, no model, results cannot be written.
        KeyboardInterrupt: the user stopped it; what has results is done.
    """
    if engine not in ("local", "ray"):
        raise ArgumentError(f"engine is '{engine}' where local or ray is needed")
    if workers is not None and workers < 1:
        raise ArgumentError(f"workers is {workers} where 1 or more is needed")
    if not target.strip():
        raise ArgumentError("the folder of the results is empty: give its name")
    part = listing.parse_shard(shard)
    _check_apart(source, target)
    total = sum(1 for _ in listing.listed(source, part))
    started = time.monotonic()
    with stores.opened(target, f"{part[0]}-of-{part[1]}" if part[1] > 1 else "") as store:
        store.forget_errors()
        parts = parts_of(listing.listed(source, part))
        if engine == "ray":
            from . import cluster

            outcomes = cluster.run(parts, settings, store, workers, address)
        else:
            from . import local

            outcomes = local.run(parts, settings, store, workers)
        outcome = _gathered(outcomes, total, sys.stderr.isatty() if progress is None else progress)
        seconds = time.monotonic() - started
        errors = list(store.errors())
        store.put_report(_report(source, settings, outcome, errors, seconds))
    info(said(outcome, seconds))
    return outcome


def _gathered(outcomes: Iterable[tuple[int, Outcome]], total: int, shown: bool) -> Outcome:
    """Return what became of all inputs, while a bar shows how many are done and how long the others take."""
    outcome = Outcome()
    with ProgressBars(shown) as bars, bars.frames("inputs", total) as step:
        for count, one in outcomes:
            outcome += one
            for _ in range(count):
                step()
    return outcome


def parts_of(items: Iterable[Item]) -> Iterator[Sequence[Item]]:
    """Yield the inputs in parts; a video is a part of its own, so that workers are busy alike."""
    part: list[Item] = []
    for item in items:
        if Path(item.name).suffix.lower() in VIDEO_SUFFIXES:
            yield [item]
            continue
        part.append(item)
        if len(part) == PART:
            yield part
            part = []
    if part:
        yield part


def said(outcome: Outcome, seconds: float) -> str:
    """Return what became of a job, as a sentence."""
    parts = [f"{outcome.done:,} done"]
    if outcome.skipped:
        parts.append(f"{outcome.skipped:,} done before")
    if outcome.failed:
        parts.append(f"{outcome.failed:,} failed")
    found = f"{outcome.instances:,} instances"
    return f"{', '.join(parts)}; {found} in {seconds:,.0f} seconds"


def _check_apart(source: str, target: str) -> None:
    """Raise ArgumentError where results would lie among the inputs, and be inputs of the next run."""
    if "://" in source or "://" in target:
        return
    inputs, results = expanded(source).resolve(), expanded(target).resolve()
    if inputs.is_dir() and (results == inputs or inputs in results.parents):
        raise ArgumentError(f"'{target}' lies in the folder of the inputs, '{source}': give another one")
    if results.is_file():
        raise ArgumentError(f"'{target}' is a file where a folder is needed")


def _report(
    source: str, settings: Settings, outcome: Outcome, errors: list[dict[str, object]], seconds: float
) -> bytes:
    record = {
        "source": masked(source),
        "model": masked(settings.model),
        "done": outcome.done,
        "done_before": outcome.skipped,
        "failed": outcome.failed,
        "frames": outcome.frames,
        "instances": outcome.instances,
        "seconds": round(seconds, 1),
        "errors": errors,
    }
    return json.dumps(record, indent=1, allow_nan=False).encode() + b"\n"
