"""One run over images and videos: read, estimate, draw, write, show. An input that fails is reported and left out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from .. import sources
from ..display.screen import Screen
from ..display.window import Window
from ..draw import DrawStyle, render
from ..errors import InputError, MissingExtraError, OutputError, expanded, one_line
from ..files import create_parent_folder, remove_empty
from ..formats import json_lines
from ..formats.json_lines import JsonLines, JsonLinesWriter, StandardOutput
from ..formats.run_info import RunInfo
from ..pipeline import Pipeline
from ..process import stop
from ..sources import Input
from ..types import Boxes, MessageCallback, Poses, Result
from ..video.options import VideoOptions
from ..video.threads import StageThreads
from ..writers import ImageWriter, JsonWriter
from .claims import claimed
from .origins import Origins, OriginsWriter
from .plan import Existing, Plan, check_drawing, check_endings, make_plan, tasks_of
from .progress import ProgressBars
from .runner import Counts, Runner

STANDARD_OUTPUT = "-"  # in place of the name of a file


@dataclass(frozen=True)
class Job:
    """The inputs, the model, and what to do with the results."""

    inputs: tuple[object, ...]
    open: Callable[[], Pipeline]  # called once it is known that there is something to do
    style: DrawStyle
    recursive: bool = False  # search the folders in folders
    out: Path | None = None  # folder of the drawn images and videos
    out_name: str | None = None  # of the one file in it, for one input
    json_writer: JsonWriter | None = None
    lines: str | None = None  # file of JSON Lines, or `STANDARD_OUTPUT`
    existing: Existing = Existing.REPLACE
    append: bool = False  # to the file of JSON Lines
    records: Path | None = None  # folder for records of which inputs outputs come from; None keeps none
    reads: tuple[str, ...] = ()  # what else is read and thus never written over: the files of the model
    run_info: Callable[[Pipeline | None], RunInfo] = lambda pipeline: RunInfo()  # for the head of the JSON Lines
    check: Callable[[list[Input]], None] = lambda items: None  # called with the inputs; raises where they do not fit
    show: bool = False
    screen: Callable[[], Screen] | None = None  # opens what shows results in place of a window
    must_show: bool = False  # the user asks for it: where no window can be opened, the run has failed
    wait: float = 0.0  # seconds for which an image is shown; 0 waits for a key
    advice: str = "leave --show out and give a folder for the images"  # for the user, where no window can be opened
    progress: bool | None = None  # show progress bars; None shows them on a terminal, but not for a single image
    video_options: VideoOptions = field(default_factory=VideoOptions)
    summary: bool = False  # report the speed of each video
    details: bool = False  # report what is found in each input


def run(job: Job, *, info: MessageCallback, warn: MessageCallback) -> int:
    """Run the job; return how many inputs failed, or could not be shown.

    Args:
        job: what to do.
        info: called with a sentence about what was done or skipped.
        warn: called with a sentence about what failed.

    Raises:
        LimnerError: nothing can be processed: an unknown model, an output folder that cannot be written, files of an
            earlier run that would be written over.
        KeyboardInterrupt: the user stopped the run; the files written so far are complete.
    """
    with ExitStack() as stack, stop.unwinding(stack.close):
        if job.json_writer is not None:
            stack.callback(remove_empty, job.json_writer.made)
        return _run(job, stack, info=info, warn=warn)


def _run(job: Job, stack: ExitStack, *, info: MessageCallback, warn: MessageCallback) -> int:
    """Run the job; what is opened for it is left to ``stack``."""
    items, errors, notices = sources.expand(
        list(job.inputs),
        recursive=job.recursive,
        results=(job.out,) if job.out is not None and job.out_name is None else (),
        fps=job.video_options.fps,
    )
    for notice in notices:
        info(notice)
    if items:
        job.check(items)
    counts = Counts(failed=len(errors))
    image_writer = None
    if job.out is not None and items:
        image_writer = ImageWriter(job.out, job.out_name)
        stack.callback(remove_empty, image_writer.made)
    plan = _plan(job, items, image_writer, errors, stack)
    if unreadable := _all_unreadable(plan):
        errors, plan = errors + unreadable, replace(plan, tasks=[])
        counts.failed += len(unreadable)
    for error in errors:
        warn(str(error))
    if plan.finished:
        info(f"{_counted(plan.finished, 'input')} finished by an earlier run and left as {_they(plan.finished)}")
    if all(task.refused for task in plan.tasks):  # so no model is needed
        for task in plan.tasks:
            warn(one_line(task.refused))
        counts.failed += len(plan.tasks)
        if errors and items and job.lines is not None:  # without any, a run with better inputs finds the way free
            _open_lines(job, plan, errors, None, stack)
        return counts.failed
    window = _open_window(job, warn)
    if window is not None:
        stack.enter_context(window)
    elif job.must_show:
        counts.failed += 1
    pipeline = job.open()
    check_style(pipeline, job.style)
    lines: JsonLines | None = None
    if job.lines is not None:
        lines = _open_lines(job, plan, errors, pipeline, stack)
    video_first = plan.tasks[0].item.is_video
    shown = job.progress
    if shown is None:
        shown = sys.stderr.isatty() and (len(plan.tasks) > 1 or video_first)
    bars = stack.enter_context(ProgressBars(shown=shown))
    origins = [OriginsWriter(*found) for found in _recorded(job, image_writer)]
    for origin in origins:
        stack.callback(origin.close)
    runner = Runner(job, pipeline, image_writer, lines, window, bars, counts, info, warn, origins)
    runner.run(plan.tasks, stack.enter_context(StageThreads()))
    _report(job, counts, image_writer, info)
    if counts.interrupted:
        raise KeyboardInterrupt
    return counts.failed


def _recorded(job: Job, image_writer: ImageWriter | None) -> list[tuple[Path, Path]]:
    """Return the folders for which it is recorded which inputs their outputs come from, and where that is."""
    writers = (image_writer, job.json_writer)
    folders = dict.fromkeys(writer.folder for writer in writers if writer is not None and writer.name is None)
    return [] if job.records is None else [(folder, job.records) for folder in folders]


def _plan(
    job: Job, items: list[Input], image_writer: ImageWriter | None, errors: list[InputError], stack: ExitStack
) -> Plan:
    """Return what is to be done, or raise OutputError where files of an earlier run would be written over."""
    origins = Origins()
    if job.existing is Existing.SKIP:
        for folder, records in _recorded(job, image_writer):
            origins.read(folder, records)
    tasks = tasks_of(items, image_writer, job.json_writer, transparent=job.style.transparent, origins=origins)
    check_endings(tasks, image_writer, job.json_writer, len(items) + len(errors))
    check_drawing(tasks, transparent=job.style.transparent, heatmaps=job.style.draw_heatmap)
    lines = None
    if job.lines is not None and job.lines != STANDARD_OUTPUT:
        lines = expanded(job.lines)
        stack.callback(remove_empty, create_parent_folder(lines))
        stack.enter_context(claimed(lines))  # from now on, as it is read before it is written
    names = [writer.name for writer in (image_writer, job.json_writer) if writer is not None]
    read = [Path(os.path.expanduser(name)) for name in (*job.reads, *(error.source for error in errors)) if name]
    return make_plan(tasks, job.existing, lines, append=job.append, folders=not any(names), read=read)


def _all_unreadable(plan: Plan) -> list[InputError]:
    """Return why none of the inputs can be read, which is known before a model is; none where one may be."""
    problems: list[InputError] = []
    for task in plan.tasks:
        problem = sources.why_unreadable(task.item)
        if problem is None:
            return []
        problems.append(problem)
    return problems


def _open_lines(
    job: Job, plan: Plan, errors: list[InputError], pipeline: Pipeline | None, stack: ExitStack
) -> JsonLines:
    """Open the JSON Lines of a job, and write their head and the inputs that cannot be found.

    Raises:
        OutputError: they cannot be written.
    """
    if job.lines is None or job.lines == STANDARD_OUTPUT:
        lines: JsonLines = stack.enter_context(closing(StandardOutput()))
    else:
        path = expanded(job.lines)
        if job.existing is Existing.SKIP and path.is_file():
            json_lines.drop(path, plan.redone | {error.source for error in errors})
        is_new = not os.path.lexists(path)
        lines = writer = JsonLinesWriter(path, append=job.append or job.existing is Existing.SKIP)
        if is_new:
            stack.callback(_remove_without_results, writer)
        stack.enter_context(closing(writer))
    lines.head(job.run_info(pipeline))
    for error in errors:
        lines.error(error.source, str(error))
    return lines


def _remove_without_results(lines: JsonLinesWriter) -> None:
    """Remove a new file in which there is no result, so that it is not in the way of the next run."""
    if not lines.results:
        with suppress(OSError):
            lines.path.unlink()


def _report(job: Job, counts: Counts, image_writer: ImageWriter | None, info: MessageCallback) -> None:
    if not counts.images and not counts.videos:
        return
    targets = " and ".join(dict.fromkeys(f"'{w.target}'" for w in (image_writer, job.json_writer) if w is not None))
    parts = [_counted(counts.images, "image")] if counts.images else []
    if counts.videos:
        parts.append(f"{_counted(counts.frames, 'frame')} of {_counted(counts.videos, 'video')}")
    where = f", written to {targets}" if targets else ""
    info(f"{_counted(counts.instances, 'instance')} in {' and '.join(parts)}{where}")


def _open_window(job: Job, warn: MessageCallback) -> Screen | None:
    """Open a window, or what is there in its place; where that fails but files are written, warn and return None."""
    if not job.show:
        return None
    try:
        return Window("limner", job.advice) if job.screen is None else job.screen()
    except (OutputError, MissingExtraError) as error:
        if job.out is None and job.json_writer is None and job.lines is None:
            raise
        warn(str(error))
        return None


def check_style(pipeline: Pipeline, style: DrawStyle) -> None:
    """Check before any processing that results can be drawn in that style.

    Raises:
        ArgumentError: they cannot be.
    """
    k = len(pipeline.keypoint_set)
    poses = Poses(np.zeros((0, k, 2), np.float32), np.zeros((0, k), np.float32))
    empty_result = Result(Boxes.empty(), poses, pipeline.keypoint_set, (8, 8))
    render(np.zeros((8, 8, 3), np.uint8), empty_result, style, crop=pipeline.pose.crop)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _they(number: int) -> str:
    return "it is" if number == 1 else "they are"


__all__ = ["Existing", "Job", "check_style", "run"]
