"""One run over pictures: read, find, draw, write. What fails is reported and the rest goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from . import pipeline, sources
from .draw import draw
from .errors import LimnError, OutputError
from .sinks import JsonSink, Namer, PictureSink
from .sources import Item

Say = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """What the user asked for."""

    inputs: tuple[object, ...]
    model: str
    out: Path | None = None
    json: Path | None = None
    kpt_thr: float = 0.3
    bbox_thr: float | None = None
    radius: int | None = None
    thickness: int | None = None
    draw_bbox: bool = False
    show_kpt_idx: bool = False


def run(job: Job, *, say: Say, complain: Say) -> int:
    """Do the job; return how many inputs failed.

    Raises:
        LimnError: nothing can be done at all: an unknown model, an output folder that cannot be written.
    """
    items, errors, notices = sources.expand(list(job.inputs))
    for notice in notices:
        say(notice)
    for error in errors:
        complain(str(error))
    failed = len(errors)
    if not items:
        return failed
    pictures = PictureSink(job.out) if job.out is not None else None
    sheets = JsonSink(job.json) if job.json is not None else None
    found = pipeline.load(job.model, bbox_thr=job.bbox_thr)
    namer = Namer(item.stem for item in items)
    instances = 0
    with pictures or nullcontext(), sheets or nullcontext():
        for item in _progress(items):
            stem, renamed = namer.name(item.stem)
            if renamed:
                say(f"{item.source}: '{item.stem}' is taken by an earlier picture, so its files are named '{stem}'")
            try:
                instances += _one(job, item, stem, found, pictures, sheets)
            except LimnError as error:
                complain(str(error))
                failed += 1
    done = len(items) + len(errors) - failed
    places = " and ".join(f"'{sink.folder}'" for sink in (pictures, sheets) if sink is not None)
    say(f"{_count(instances, 'instance')} in {_count(done, 'picture')}, written to {places}")
    return failed


def _one(
    job: Job, item: Item, stem: str, found: pipeline.Pipeline, pictures: PictureSink | None, sheets: JsonSink | None
) -> int:
    """Process one picture; return how many instances it has."""
    if pictures is not None and item.path is not None:
        target = pictures.path(stem, item.suffix)
        if target.exists() and target.samefile(item.path):
            raise OutputError(f"'{target}' is the input itself and would be overwritten: choose another --out folder")
    frame = sources.read(item)
    result = found.one(frame)
    if sheets is not None:
        sheets.write(stem, result)
    if pictures is not None:
        drawn = draw(
            frame.image,
            result,
            found.keypoint_set,
            kpt_thr=job.kpt_thr,
            radius=job.radius,
            thickness=job.thickness,
            boxes=job.draw_bbox,
            indices=job.show_kpt_idx,
        )
        pictures.write(stem, drawn, item.suffix)
    return len(result)


def _progress(items: list[Item]) -> Iterable[Item]:
    """Show a progress bar on stderr while more than one picture is worked on."""
    return items if len(items) == 1 else _bar(items)


def _bar(items: list[Item]) -> Iterator[Item]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("pictures"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield from bar.track(items)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
