"""One run over images and videos: read, estimate, draw, write, show. An input that fails is reported and left out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .. import sources
from ..display.window import Window
from ..draw import DrawStyle, render
from ..errors import InputError, LimnerError, MissingExtraError, OutputError
from ..formats import ResultWriter
from ..pipeline import Pipeline
from ..sources import Input
from ..types import Boxes, Frame, MessageCallback, Poses, Result
from ..video.options import AUTO_BATCH, BATCH_PIXELS, VideoOptions
from ..video.threads import StageThreads
from ..writers import ImageWriter, JsonWriter, UniqueStems, refuse_overwrite
from .progress import ProgressBars


@dataclass(frozen=True)
class Job:
    """The inputs, the model, and what to do with the results."""

    inputs: tuple[object, ...]
    open: Callable[[], Pipeline]  # called once there are inputs
    style: DrawStyle
    out: Path | None = None  # folder of the drawn images and videos
    json_writer: JsonWriter | None = None
    show: bool = False
    wait: float = 0.0  # seconds for which an image is shown; 0 waits for a key
    advice: str = "leave --show out and give a folder for the images"  # for the user, where no window can be opened
    progress: bool = False  # show a progress bar for a single image too
    result_writers: tuple[ResultWriter, ...] = ()  # each takes the results of all inputs
    video_options: VideoOptions = field(default_factory=VideoOptions)
    summary: bool = False  # report the speed of each video


@dataclass
class JobCounts:
    """What has been processed so far."""

    images: int = 0
    videos: int = 0
    frames: int = 0
    instances: int = 0
    failed: int = 0
    interrupted: bool = False


@dataclass
class LoadedInput:
    """One input in progress; a video or camera is opened only when it is next."""

    item: Input
    frame: Frame | None = None  # of an image that could be read
    error: LimnerError | None = None  # why it could not
    result: Result | None = None  # of an image that was estimated in a batch


def run(job: Job, *, info: MessageCallback, warn: MessageCallback) -> int:
    """Run the job; return how many inputs failed.

    Args:
        job: what to do.
        info: called with a sentence about what was done or skipped.
        warn: called with a sentence about what failed.

    Raises:
        LimnerError: nothing can be processed: an unknown model, an output folder that cannot be written.
        KeyboardInterrupt: the user stopped the run; the files written so far are complete.
    """
    items, errors, notices = sources.expand(list(job.inputs))
    for notice in notices:
        info(notice)
    for error in errors:
        warn(str(error))
    if not items:
        return len(errors)
    with ExitStack() as stack:
        image_writer = stack.enter_context(ImageWriter(job.out)) if job.out is not None else None
        window = _open_window(job, warn)
        if window is not None:
            stack.enter_context(window)
        pipeline = job.open()
        check_style(pipeline, job.style)
        video_first = items[0].is_video
        bars = stack.enter_context(
            ProgressBars(shown=job.progress or len(items) > 1 or (video_first and sys.stderr.isatty()))
        )
        runner = _Runner(job, pipeline, image_writer, window, bars, JobCounts(), info, warn)
        stems = UniqueStems(item.stem for item in items)
        threads = stack.enter_context(StageThreads())
        for loaded in bars.inputs(runner.load(items, threads), len(items), first_is_video=video_first):
            item = loaded.item
            stem, renamed = stems.name(item.stem)
            if renamed:
                info(f"{item.source}: '{item.stem}' is taken by an earlier input, so its files are named '{stem}'")
            try:
                continues = runner.run_video(item, stem) if item.is_video else runner.run_image(loaded, stem)
            except LimnerError as error:
                warn(str(error))
                runner.counts.failed += 1
                continue
            if not continues:
                break
    runner.counts.failed += len(errors)
    _report(job, runner.counts, image_writer, info)
    if runner.counts.interrupted:
        raise KeyboardInterrupt
    return runner.counts.failed


def read_batches(items: Iterable[Input], size: int) -> Iterator[list[LoadedInput]]:
    """Read images and yield them in order, in batches of up to ``size``, or fewer where they are large."""
    batch: list[LoadedInput] = []
    pixels = 0
    for item in items:
        loaded = LoadedInput(item)
        if not item.is_video:
            try:
                loaded.frame = sources.read(item)
            except LimnerError as error:
                loaded.error = error
        added = 0 if loaded.frame is None else loaded.frame.image.size // 3
        if batch and (item.is_video or pixels + added > BATCH_PIXELS):
            yield batch
            batch, pixels = [], 0
        batch.append(loaded)
        pixels += added
        if item.is_video or len(batch) >= size:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


@dataclass
class _Runner:
    """What is open while a job runs."""

    job: Job
    pipeline: Pipeline
    image_writer: ImageWriter | None
    window: Window | None
    bars: ProgressBars
    counts: JobCounts
    info: MessageCallback
    warn: MessageCallback

    @property
    def draws(self) -> bool:
        """Whether the drawn images are needed."""
        return self.image_writer is not None or self.window is not None

    def load(self, items: list[Input], threads: StageThreads) -> Iterator[LoadedInput]:
        """Yield each input, images with their results: read ahead in a thread, estimated in batches."""
        batch_size = self.job.video_options.tracking.batch or AUTO_BATCH
        size = 1 if self.window is not None else batch_size  # in a window each image is shown at once
        batches: Iterable[list[LoadedInput]] = read_batches(items, size)
        if len(items) > 1 and not any(item.address for item in items):  # Ctrl-C would wait for a silent server
            batches = threads.prefetch(batches, 1)
        heatmaps = self.job.style.heatmaps if self.draws else ""
        for batch in batches:
            frames = [loaded.frame for loaded in batch if loaded.frame is not None]
            results: Iterator[Result] | None = None
            if len(frames) > 1:
                with suppress(LimnerError):  # the images are then tried one by one, to find the one that fails
                    results = iter(self.pipeline.many(frames, heatmaps=heatmaps))
            for loaded in batch:
                if loaded.frame is not None and results is not None:
                    loaded.result = next(results)
                yield loaded

    def run_image(self, loaded: LoadedInput, stem: str) -> bool:
        """Write and show one image; return whether to continue."""
        job, image_writer, item = self.job, self.image_writer, loaded.item
        if image_writer is not None:
            refuse_overwrite(item.path, image_writer.path(stem, item.suffix))
        if loaded.frame is None:
            raise loaded.error or InputError(f"'{item.source}' cannot be read")
        frame, result = loaded.frame, loaded.result
        if result is None:
            result = self.pipeline.one(frame, heatmaps=job.style.heatmaps if self.draws else "")
        for result_writer in job.result_writers:
            result_writer.write(result)
        if job.json_writer is not None:
            job.json_writer.write(stem, result)
        drawn = render(frame.image, result, job.style, crop=self.pipeline.pose.crop) if self.draws else frame.image
        if image_writer is not None:
            image_writer.write(stem, drawn, item.suffix)
        self.counts.images += 1
        self.counts.instances += len(result)
        if self.window is None or self.window.show(drawn, job.wait):
            return True
        self.info("the window was closed, so no more images are processed")
        return False

    def run_video(self, item: Input, stem: str) -> bool:
        """Process one video or camera; return whether to continue."""
        from .video import run_video  # loads PyAV, which images do not need

        counts = run_video(
            self.job,
            item,
            stem,
            self.pipeline,
            image_writer=self.image_writer,
            window=self.window,
            bars=self.bars,
            info=self.info,
        )
        self.counts.videos += 1
        self.counts.frames += counts.frames
        self.counts.instances += counts.instances
        self.counts.interrupted = counts.interrupted
        return not counts.stopped


def _report(job: Job, counts: JobCounts, image_writer: ImageWriter | None, info: MessageCallback) -> None:
    if not counts.images and not counts.videos:
        return
    folders = " and ".join(dict.fromkeys(f"'{w.folder}'" for w in (image_writer, job.json_writer) if w is not None))
    parts = [_counted(counts.images, "image")] if counts.images else []
    if counts.videos:
        parts.append(f"{_counted(counts.frames, 'frame')} of {_counted(counts.videos, 'video')}")
    where = f", written to {folders}" if folders else ""
    info(f"{_counted(counts.instances, 'instance')} in {' and '.join(parts)}{where}")


def _open_window(job: Job, warn: MessageCallback) -> Window | None:
    """Open a window; where that fails but files are written, warn and return None."""
    if not job.show:
        return None
    try:
        return Window("limner", job.advice)
    except (OutputError, MissingExtraError) as error:
        if job.out is None and job.json_writer is None:
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
