"""One run over pictures: read, find, draw, write, show. What fails is reported and the rest goes on."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import sources
from .errors import LimnError, MissingExtraError, OutputError
from .files import plain_json, write_whole
from .pipeline import Pipeline
from .render import Look, render
from .samples import plain
from .sinks import JsonSink, Namer, PictureSink
from .sources import Item
from .types import Boxes, Poses, Result
from .window import Window

Say = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """What the user asked for."""

    inputs: tuple[object, ...]
    open: Callable[[], Pipeline]  # called once there is something to do
    look: Look
    out: Path | None = None  # folder of the drawn pictures
    sheets: JsonSink | None = None
    show: bool = False
    wait: float = 0.0  # seconds that a picture is shown; 0 waits for a key
    instead: str = "leave --show out and give a folder for the pictures"  # where no window can be opened
    bar: bool = False  # show a progress bar for a single picture too


class MetaSheets(JsonSink):
    """Writes ``results_STEM.json`` in the form of MMPose's demos: what the keypoints are, then the instances."""

    dataset_meta: Mapping[str, Any] = {}  # set when the model is open

    def path(self, stem: str) -> Path:
        """Return where `write` puts the result with this stem."""
        return super().path(f"results_{stem}")

    def write(self, stem: str, result: Result) -> Path:
        """Write ``results_STEM.json`` and return its path.

        Raises:
            OutputError: the file cannot be written.
        """
        found = {"meta_info": plain(self.dataset_meta), "instance_info": plain_json(result.instances())}
        path = self.path(stem)
        write_whole(path, json.dumps(found, indent="\t", allow_nan=False).encode("ascii"))
        return path


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
    with ExitStack() as stack:
        pictures = stack.enter_context(PictureSink(job.out)) if job.out is not None else None
        window = _open_window(job, complain)
        if window is not None:
            stack.enter_context(window)
        found = job.open()
        check_look(found, job.look)
        instances = 0
        namer = Namer(item.stem for item in items)
        for item in bar(items) if job.bar or len(items) > 1 else items:
            stem, renamed = namer.name(item.stem)
            if renamed:
                say(f"{item.source}: '{item.stem}' is taken by an earlier picture, so its files are named '{stem}'")
            try:
                result, drawn = _one(job, item, stem, found, pictures, draws=window is not None)
            except LimnError as error:
                complain(str(error))
                failed += 1
                continue
            instances += len(result)
            if window is not None and drawn is not None and not window.show(drawn, job.wait):
                say("the window was closed, so no more pictures are looked at")
                break
    done = len(items) + len(errors) - failed
    places = " and ".join(dict.fromkeys(f"'{s.folder}'" for s in (pictures, job.sheets) if s is not None))
    if done:
        where = f", written to {places}" if places else ""
        say(f"{_count(instances, 'instance')} in {_count(done, 'picture')}{where}")
    return failed


def _open_window(job: Job, complain: Say) -> Window | None:
    """Open a window; where that fails and the pictures are written anyway, say so and go on without."""
    if not job.show:
        return None
    try:
        return Window("limn", job.instead)
    except (OutputError, MissingExtraError) as error:
        if job.out is None and job.sheets is None:
            raise
        complain(str(error))
        return None


def _one(
    job: Job, item: Item, stem: str, found: Pipeline, pictures: PictureSink | None, draws: bool
) -> tuple[Result, np.ndarray | None]:
    """Process one picture; return what was found and the drawn picture, if one is needed."""
    if pictures is not None:
        guard(item, pictures.path(stem, item.suffix))
    frame = sources.read(item)
    result = found.one(frame, heat=job.look.heat if pictures is not None or draws else "")
    if job.sheets is not None:
        job.sheets.write(stem, result)
    if pictures is None and not draws:
        return result, None
    drawn = render(frame.image, result, found.pose, job.look)
    if pictures is not None:
        pictures.write(stem, drawn, item.suffix)
    return result, drawn


def guard(item: Item, target: Path) -> None:
    """Refuse to overwrite an input.

    Raises:
        OutputError: ``target`` is the file that the item is read from.
    """
    if item.path is not None and target.exists() and item.path.exists() and target.samefile(item.path):
        raise OutputError(f"'{target}' is the input itself and would be overwritten: choose another folder")


def check_look(found: Pipeline, look: Look) -> None:
    """Find out before any work whether results can be drawn like that.

    Raises:
        ArgumentError: they cannot.
    """
    k = len(found.keypoint_set)
    poses = Poses(np.zeros((0, k, 2), np.float32), np.zeros((0, k), np.float32))
    render(
        np.zeros((8, 8, 3), np.uint8), Result(Boxes.empty(), poses, found.keypoint_set.name, (8, 8)), found.pose, look
    )


def bar(items: list[Item]) -> Iterator[Item]:
    """Show a progress bar on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("pictures"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as shown:
        yield from shown.track(items)


def show_download(name: str, done: int, total: int | None) -> None:
    """Say on stderr how far a download is: on one line of a terminal, at its beginning and end elsewhere."""
    size = f"{done / 1e6:.0f}" + (f" of {total / 1e6:.0f}" if total else "") + " MB"
    finished = total is not None and done >= total
    if sys.stderr.isatty():
        print(f"\rfetching {name}: {size}", end="\n" if finished else "", file=sys.stderr, flush=True)
    elif not done or finished:
        print(f"fetching {name}: {size}", file=sys.stderr)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
