"""The inputs of a job one after the other: images are read ahead and estimated in batches, videos one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import sources
from ..display.screen import Screen
from ..draw import render
from ..draw.compose import flattened
from ..errors import InputError, LimnerError, OutputError
from ..files import write_atomically
from ..formats.json_lines import JsonLines
from ..images import ALPHA_SUFFIXES
from ..pipeline import Pipeline
from ..process import edge, stop
from ..types import Frame, MessageCallback, Result
from ..video.limits import HELD_BYTES
from ..video.options import AUTO_BATCH, BATCH_PIXELS
from ..video.threads import StageThreads
from ..writers import SVG, ImageWriter, refuse_overwrite
from .claims import check_new
from .origins import OriginsWriter
from .plan import Task
from .progress import ProgressBars

if TYPE_CHECKING:
    from .job import Job


@dataclass
class Counts:
    """What has been processed so far."""

    images: int = 0
    videos: int = 0
    frames: int = 0
    instances: int = 0
    failed: int = 0
    interrupted: bool = False


@dataclass
class LoadedTask:
    """One task in progress; a video or camera is opened only when it is next."""

    task: Task
    frame: Frame | None = None  # of an image that could be read
    error: Exception | None = None  # why it could not
    result: Result | None = None  # of an image that was estimated in a batch


def read_batches(tasks: Iterable[Task], size: int, max_pixels: int | None = None) -> Iterator[list[LoadedTask]]:
    """Read images and yield them in order, in batches of up to ``size``, or fewer where they are large.

    Args:
        tasks: what is to be done.
        size: most images of a batch.
        max_pixels: of an image, see `limner.images.decode_image`.
    """
    batch: list[LoadedTask] = []
    pixels = 0
    for task in tasks:
        loaded = LoadedTask(task, error=OutputError(task.refused) if task.refused else None)
        is_video = task.item.is_video
        if not is_video and not task.refused:
            try:
                loaded.frame = sources.read(task.item, max_pixels)
            except Exception as error:
                loaded.error = error
        added = 0 if loaded.frame is None else loaded.frame.image.size // 3
        if batch and (is_video or pixels + added > BATCH_PIXELS):
            yield batch
            batch, pixels = [], 0
        batch.append(loaded)
        pixels += added
        if is_video or len(batch) >= size or pixels >= BATCH_PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


def _held(batch: list[LoadedTask]) -> int:
    """Return how many bytes the images of a batch hold."""
    frames = [loaded.frame for loaded in batch if loaded.frame is not None]
    return sum(frame.image.nbytes + (0 if frame.alpha is None else frame.alpha.nbytes) for frame in frames)


def _how(path: Path | None, task: Task) -> dict[str, bool]:
    """Return how a writer writes a file: it says so where it must not replace one."""
    return {"new": True} if path in task.new else {}


@dataclass
class Runner:
    """What is open while a job runs."""

    job: Job
    pipeline: Pipeline
    image_writer: ImageWriter | None
    lines: JsonLines | None
    window: Screen | None
    bars: ProgressBars
    counts: Counts
    info: MessageCallback
    warn: MessageCallback
    origins: Sequence[OriginsWriter] = ()

    @property
    def draws(self) -> bool:
        """Whether the drawn images are needed."""
        return self.image_writer is not None or self.window is not None

    def run(self, tasks: list[Task], threads: StageThreads) -> None:
        """Do the tasks in their order, until the user stops; one that fails is reported."""
        stopped: list[bool] = []
        loaded_tasks = self._load(tasks, threads)
        with stop.finishing(lambda: stopped.append(True)):
            for loaded in self.bars.inputs(loaded_tasks, len(tasks), first_is_video=tasks[0].item.is_video):
                if stopped or not self._do(loaded):
                    break
        self.counts.interrupted = self.counts.interrupted or bool(stopped)

    def _do(self, loaded: LoadedTask) -> bool:
        """Do one task; return whether to continue."""
        task = loaded.task
        source = task.item.source
        if task.renamed and task.outputs:
            stem = task.item.stem
            self.info(f"{source}: '{stem}' is taken by an earlier input, so its files are named '{task.stem}'")
        try:
            if loaded.error is not None:
                raise loaded.error
            return self._run_video(task) if task.item.is_video else self._run_image(loaded)
        except LimnerError as error:
            self.warn(str(error))
            self._failed(source, str(error))
        except BrokenPipeError:  # what is printed has no reader
            raise
        except MemoryError:
            message = f"'{source}' cannot be processed: there is not enough memory for it; give a smaller one"
            self.warn(message)
            self._failed(source, message)
        except Exception as error:  # the other inputs are not to suffer from it
            edge.fault(error, source)
            self._failed(source, "a fault of limner")
        return True

    def _failed(self, source: str, message: str) -> None:
        self.counts.failed += 1
        if self.lines is not None:
            with suppress(OutputError):  # it may be the file of lines that cannot be written
                self.lines.error(source, message)

    def remember(self, task: Task) -> None:
        """Record which input the outputs of a task come from."""
        for origins in self.origins:
            origins.add(task.outputs, task.item)

    def _load(self, tasks: list[Task], threads: StageThreads) -> Iterator[LoadedTask]:
        """Yield each task, images with their results: read ahead in a thread, estimated in batches."""
        batch_size = self.job.video_options.tracking.batch or AUTO_BATCH
        size = 1 if self.window is not None else batch_size  # in a window each image is shown at once
        batches: Iterable[list[LoadedTask]] = read_batches(tasks, size, self.job.video_options.max_pixels)
        if len(tasks) > 1 and not any(task.item.address for task in tasks):  # Ctrl-C would wait for a silent server
            batches = threads.prefetch(batches, 1, _held, HELD_BYTES)
        heatmaps = self.job.style.heatmaps if self.draws else ""
        for batch in batches:
            frames = [loaded.frame for loaded in batch if loaded.frame is not None]
            results: Iterator[Result] | None = None
            if len(frames) > 1:
                with suppress(Exception):  # the images are then tried one by one, to find the one that fails
                    results = iter(self.pipeline.many(frames, heatmaps=heatmaps))
            for loaded in batch:
                if loaded.frame is not None and results is not None:
                    loaded.result = next(results)
                yield loaded

    def _run_image(self, loaded: LoadedTask) -> bool:
        """Write and show one image; return whether to continue."""
        job, task, frame, result = self.job, loaded.task, loaded.frame, loaded.result
        item, tracking = task.item, job.video_options.tracking
        if frame is None:
            raise InputError(f"'{item.source}' cannot be read")
        if frame.remark:
            self.info(frame.remark)
        if task.drawn is not None:
            refuse_overwrite(item.path, task.drawn)
        check_new(task)
        self.remember(task)
        if result is None:
            result = self.pipeline.one(frame, heatmaps=job.style.heatmaps if self.draws else "")
        if tracking.max_persons is not None or tracking.follow is not None:
            from ..tracking.follow import select

            result = select(result, max_persons=tracking.max_persons, follow=tracking.follow)
        if self.lines is not None:
            self.lines.write(result)
        if job.json_writer is not None:
            sheets = job.json_writer.within(item.folder)
            sheets.make_folder()
            sheets.write(task.stem, result, **_how(task.results, task))
        shown = self._draw(task, frame, result) if self.draws else None
        self.counts.images += 1
        self.counts.instances += len(result)
        if job.details:
            self.info(f"{item.source}: {result!r}")
        if self.window is None or shown is None or self.window.show(flattened(shown), job.wait):
            return True
        self.info("the window was closed, so no more images are processed")
        return False

    def _draw(self, task: Task, frame: Frame, result: Result) -> np.ndarray:
        """Draw a result, write the drawing, and return it as an image."""
        style, suffix = self.job.style, "" if task.drawn is None else task.drawn.suffix
        image = frame.with_alpha if suffix.lower() in ALPHA_SUFFIXES else frame.image
        if suffix.lower() == SVG and task.drawn is not None:
            from ..draw.svg import svg  # loads what other drawings do without

            write_atomically(task.drawn, svg(result, style, frame.with_alpha).encode(), new=task.drawn in task.new)
            if self.window is None:
                return image
        drawn = render(image, result, style, crop=self.pipeline.pose.crop)
        if self.image_writer is not None and suffix.lower() != SVG:
            writer = self.image_writer.within(task.item.folder)
            writer.make_folder()
            writer.write(task.stem, drawn, suffix, **_how(task.drawn, task))
        return drawn

    def _run_video(self, task: Task) -> bool:
        """Process one video or camera; return whether to continue."""
        from .video import run_video  # loads PyAV, which images do not need

        self.remember(task)
        counts = run_video(
            self.job,
            task,
            self.pipeline,
            image_writer=self.image_writer,
            lines=self.lines,
            window=self.window,
            bars=self.bars,
            info=self.info,
        )
        self.counts.videos += 1
        self.counts.frames += counts.frames
        self.counts.instances += counts.instances
        self.counts.interrupted = counts.interrupted
        return not counts.stopped
