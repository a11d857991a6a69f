"""One run over images and videos: read, estimate, draw, write, show. An input that fails is reported and left out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .. import sources
from ..display.window import Window
from ..draw import DrawStyle, render
from ..errors import InputError, MissingExtraError, OutputError
from ..files import create_parent_folder
from ..formats import json_lines
from ..formats.json_lines import JsonLines, JsonLinesWriter, StandardOutput
from ..formats.run_info import RunInfo
from ..pipeline import Pipeline
from ..sources import Input
from ..types import Boxes, MessageCallback, Poses, Result
from ..video.options import VideoOptions
from ..video.threads import StageThreads
from ..writers import ImageWriter, JsonWriter
from .plan import Existing, Plan, check_endings, make_plan, tasks_of
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
    run_info: Callable[[Pipeline | None], RunInfo] = lambda pipeline: RunInfo()  # for the head of the JSON Lines
    check: Callable[[list[Input]], None] = lambda items: None  # called with the inputs; raises where they do not fit
    show: bool = False
    wait: float = 0.0  # seconds for which an image is shown; 0 waits for a key
    advice: str = "leave --show out and give a folder for the images"  # for the user, where no window can be opened
    progress: bool | None = None  # show progress bars; None shows them on a terminal, but not for a single image
    video_options: VideoOptions = field(default_factory=VideoOptions)
    summary: bool = False  # report the speed of each video
    details: bool = False  # report what is found in each input


def run(job: Job, *, info: MessageCallback, warn: MessageCallback) -> int:
    """Run the job; return how many inputs failed.

    Args:
        job: what to do.
        info: called with a sentence about what was done or skipped.
        warn: called with a sentence about what failed.

    Raises:
        LimnerError: nothing can be processed: an unknown model, an output folder that cannot be written, files of an
            earlier run that would be written over.
        KeyboardInterrupt: the user stopped the run; the files written so far are complete.
    """
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
    with ExitStack() as stack:
        image_writer = None
        if job.out is not None and items:
            image_writer = stack.enter_context(ImageWriter(job.out, job.out_name))
        plan = _plan(job, items, image_writer, len(items) + len(errors))
        for error in errors:
            warn(str(error))
        if plan.finished:
            info(f"{_counted(plan.finished, 'input')} finished by an earlier run and left as {_they(plan.finished)}")
        if not plan.tasks:
            if errors and job.lines is not None:
                _write_errors(stack.enter_context(closing(_open_lines(job, plan, errors, None))), errors)
            return counts.failed
        window = _open_window(job, warn)
        if window is not None:
            stack.enter_context(window)
        pipeline = job.open()
        check_style(pipeline, job.style)
        lines: JsonLines | None = None
        if job.lines is not None:
            lines = stack.enter_context(closing(_open_lines(job, plan, errors, pipeline)))
            _write_errors(lines, errors)
        video_first = plan.tasks[0].item.is_video
        shown = job.progress
        if shown is None:
            shown = sys.stderr.isatty() and (len(plan.tasks) > 1 or video_first)
        bars = stack.enter_context(ProgressBars(shown=shown))
        runner = Runner(job, pipeline, image_writer, lines, window, bars, counts, info, warn)
        runner.run(plan.tasks, stack.enter_context(StageThreads()))
    _report(job, counts, image_writer, info)
    if counts.interrupted:
        raise KeyboardInterrupt
    return counts.failed


def _plan(job: Job, items: list[Input], image_writer: ImageWriter | None, inputs: int) -> Plan:
    """Return what is to be done, or raise OutputError where files of an earlier run would be written over."""
    tasks = tasks_of(items, image_writer, job.json_writer, transparent=job.style.transparent)
    check_endings(tasks, image_writer, job.json_writer, inputs)
    lines = None
    if job.lines is not None and job.lines != STANDARD_OUTPUT:
        lines = Path(job.lines).expanduser()
        create_parent_folder(lines)
    names = [writer.name for writer in (image_writer, job.json_writer) if writer is not None]
    return make_plan(tasks, job.existing, lines, append=job.append, folders=not any(names))


def _open_lines(job: Job, plan: Plan, errors: list[InputError], pipeline: Pipeline | None) -> JsonLines:
    """Open the JSON Lines of a job, and write their head.

    Raises:
        OutputError: they cannot be written.
    """
    if job.lines is None or job.lines == STANDARD_OUTPUT:
        lines: JsonLines = StandardOutput()
    else:
        path = Path(job.lines).expanduser()
        if job.existing is Existing.SKIP and path.is_file():
            json_lines.drop(path, plan.redone | {error.source for error in errors})
        lines = JsonLinesWriter(path, append=job.append or job.existing is Existing.SKIP)
    lines.head(job.run_info(pipeline))
    return lines


def _write_errors(lines: JsonLines, errors: list[InputError]) -> None:
    for error in errors:
        lines.error(error.source, str(error))


def _report(job: Job, counts: Counts, image_writer: ImageWriter | None, info: MessageCallback) -> None:
    if not counts.images and not counts.videos:
        return
    targets = " and ".join(dict.fromkeys(f"'{w.target}'" for w in (image_writer, job.json_writer) if w is not None))
    parts = [_counted(counts.images, "image")] if counts.images else []
    if counts.videos:
        parts.append(f"{_counted(counts.frames, 'frame')} of {_counted(counts.videos, 'video')}")
    where = f", written to {targets}" if targets else ""
    info(f"{_counted(counts.instances, 'instance')} in {' and '.join(parts)}{where}")


def _open_window(job: Job, warn: MessageCallback) -> Window | None:
    """Open a window; where that fails but files are written, warn and return None."""
    if not job.show:
        return None
    try:
        return Window("limner", job.advice)
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
