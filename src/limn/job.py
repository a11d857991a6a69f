"""One run over pictures and videos: read, find, draw, write, show. What fails is reported and the rest goes on."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from . import sources
from .errors import InputError, LimnError, MissingExtraError, OutputError
from .files import plain_json, write_whole
from .flow import Flow
from .motion import AUTO_BATCH, BATCH_PIXELS, Wishes
from .pipeline import Pipeline
from .render import Look, render
from .samples import plain
from .sinks import JsonSink, Namer, PictureSink, guard
from .sources import Item
from .types import Boxes, Frame, Poses, Result
from .window import Window

if TYPE_CHECKING:
    from .films import Sheet
    from .video import VideoJson

Say = Callable[[str], None]
T = TypeVar("T")


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
    lines: tuple[Sheet, ...] = ()  # take the results of all inputs
    wishes: Wishes = field(default_factory=Wishes)  # for videos and cameras
    summary: bool = False  # say of each video how fast it went


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

    def film(self, stem: str) -> VideoJson:
        """Return an open ``results_STEM.json`` that takes the results of a video, frames counted from 1.

        Raises:
            OutputError: it cannot be written.
        """
        from .video import VideoJson

        return VideoJson(self.path(stem), first=1, meta=plain(self.dataset_meta))


def run(job: Job, *, say: Say, complain: Say) -> int:
    """Do the job; return how many inputs failed.

    Raises:
        LimnError: nothing can be done at all: an unknown model, an output folder that cannot be written.
        KeyboardInterrupt: the user wants no more; what was written is complete.
    """
    items, errors, notices = sources.expand(list(job.inputs))
    for notice in notices:
        say(notice)
    for error in errors:
        complain(str(error))
    if not items:
        return len(errors)
    with ExitStack() as stack:
        pictures = stack.enter_context(PictureSink(job.out)) if job.out is not None else None
        window = _open_window(job, complain)
        if window is not None:
            stack.enter_context(window)
        found = job.open()
        check_look(found, job.look)
        work = _Work(job, found, pictures, window, Tally(), say, complain)
        namer = Namer(item.stem for item in items)
        watched = items[0].moving and sys.stderr.isatty()
        work.bars = stack.enter_context(Bars(shown=job.bar or len(items) > 1 or watched))
        flow = stack.enter_context(Flow())
        for sight in work.bars.over(work.sights(items, flow), len(items), films=items[0].moving):
            item = sight.item
            stem, renamed = namer.name(item.stem)
            if renamed:
                say(f"{item.source}: '{item.stem}' is taken by an earlier input, so its files are named '{stem}'")
            try:
                goes_on = work.film(item, stem) if item.moving else work.picture(sight, stem)
            except LimnError as error:
                complain(str(error))
                work.tally.failed += 1
                continue
            if not goes_on:
                break
    work.tally.failed += len(errors)
    _sum_up(job, work.tally, pictures, say)
    if work.tally.interrupted:
        raise KeyboardInterrupt
    return work.tally.failed


@dataclass
class Tally:
    """What came of a job so far."""

    pictures: int = 0
    films: int = 0
    frames: int = 0
    instances: int = 0
    failed: int = 0
    interrupted: bool = False


@dataclass
class Sight:
    """One input on its way; a video or camera is opened only when its turn comes."""

    item: Item
    frame: Frame | None = None  # of a picture that could be read
    error: LimnError | None = None  # why it could not
    result: Result | None = None  # where it was looked at together with others


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Sight]]:
    """Read pictures, and yield them in order, up to ``size`` together or fewer where they are large."""
    batch: list[Sight] = []
    pixels = 0
    for item in items:
        sight = Sight(item)
        if not item.moving:
            try:
                sight.frame = sources.read(item)
            except LimnError as error:
                sight.error = error
        own = 0 if sight.frame is None else sight.frame.image.size // 3
        if batch and (item.moving or pixels + own > BATCH_PIXELS):
            yield batch
            batch, pixels = [], 0
        batch.append(sight)
        pixels += own
        if item.moving or len(batch) >= size:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


@dataclass
class _Work:
    """What is open while a job runs."""

    job: Job
    found: Pipeline
    pictures: PictureSink | None
    window: Window | None
    tally: Tally
    say: Say
    complain: Say
    bars: Bars = field(init=False)

    def sights(self, items: list[Item], flow: Flow) -> Iterator[Sight]:
        """Yield each input with what is found in it, if it is a picture: read ahead in a thread, found in batches."""
        wanted = self.job.wishes.motion.batch or AUTO_BATCH
        size = 1 if self.window is not None else wanted  # nobody waits for pictures that are not shown yet
        batches: Iterable[list[Sight]] = _batches(items, size)
        if len(items) > 1 and not any(item.address for item in items):  # Ctrl-C would wait for a silent server
            batches = flow.ahead(batches, 1)
        heat = self.job.look.heat if self.draws else ""
        for batch in batches:
            frames = [sight.frame for sight in batch if sight.frame is not None]
            results: Iterator[Result] | None = None
            if len(frames) > 1:
                with suppress(LimnError):  # whose picture it is turns out one by one
                    results = iter(self.found.many(frames, heat=heat))
            for sight in batch:
                if sight.frame is not None and results is not None:
                    sight.result = next(results)
                yield sight

    @property
    def draws(self) -> bool:
        return self.pictures is not None or self.window is not None

    def picture(self, sight: Sight, stem: str) -> bool:
        """Write and show one picture; return whether more are wanted."""
        job, pictures, item = self.job, self.pictures, sight.item
        if pictures is not None:
            guard(item.path, pictures.path(stem, item.suffix))
        if sight.frame is None:
            raise sight.error or InputError(f"'{item.source}' cannot be read")
        frame, result = sight.frame, sight.result
        if result is None:
            result = self.found.one(frame, heat=job.look.heat if self.draws else "")
        for sheet in job.lines:
            sheet.write(result)
        if job.sheets is not None:
            job.sheets.write(stem, result)
        drawn = render(frame.image, result, self.found.pose, job.look) if self.draws else frame.image
        if pictures is not None:
            pictures.write(stem, drawn, item.suffix)
        self.tally.pictures += 1
        self.tally.instances += len(result)
        if self.window is None or self.window.show(drawn, job.wait):
            return True
        self.say("the window was closed, so no more pictures are looked at")
        return False

    def film(self, item: Item, stem: str) -> bool:
        """Process one video or camera; return whether more are wanted."""
        from . import films  # loads PyAV, which pictures do without
        from .hud import Meter
        from .moving import View
        from .screen import Screen

        job, wishes = self.job, self.job.wishes
        view = View(job.look)
        spare = self.window is None
        with films.opened(item, self.found, wishes, view, draws=self.draws, spare=spare, say=self.say) as film:
            files = films.Files(
                item,
                stem,
                film,
                pictures=self.pictures,
                sheets=job.sheets,
                more=job.lines,
                keep_audio=wishes.keep_audio,
                say=self.say,
            )
            meter = Meter(live=film.live)
            device = " and ".join(self.found.devices)
            screen = None
            if self.window is not None:
                screen = Screen(
                    self.window,
                    film,
                    view,
                    meter,
                    snapshots=job.out or Path(),
                    stem=stem,
                    device=device,
                    paced=self.pictures is None and job.sheets is None and not job.lines,
                    wait=job.wait,
                    say=self.say,
                )
            with files, self.bars.film(item.name, film.count) as tick:
                played = films.play(film, files, meter, screen, max_frames=wishes.max_frames, tick=tick)
        self.tally.films += 1
        self.tally.frames += played.frames
        self.tally.instances += played.instances
        if job.summary:
            self.say(f"{item.source}: {meter.summary(device)}")
        # a camera has no end of its own, so Ctrl-C is its end; a file is cut off by it
        self.tally.interrupted = played.interrupted and not film.live
        return not played.stopped


def _sum_up(job: Job, tally: Tally, pictures: PictureSink | None, say: Say) -> None:
    if not tally.pictures and not tally.films:
        return
    places = " and ".join(dict.fromkeys(f"'{s.folder}'" for s in (pictures, job.sheets) if s is not None))
    parts = [_count(tally.pictures, "picture")] if tally.pictures else []
    if tally.films:
        parts.append(f"{_count(tally.frames, 'frame')} of {_count(tally.films, 'video')}")
    where = f", written to {places}" if places else ""
    say(f"{_count(tally.instances, 'instance')} in {' and '.join(parts)}{where}")


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


class Bars:
    """Progress on stderr: one bar for the inputs where there are several, one for the frames of a video.

    Args:
        shown: False shows nothing.
    """

    def __init__(self, shown: bool) -> None:
        self._progress: Any = None
        self._shown = shown

    def __enter__(self) -> Bars:
        if self._shown:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._progress = Progress(*columns, console=Console(stderr=True))
            self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def over(self, inputs: Iterable[T], count: int, *, films: bool) -> Iterator[T]:
        """Yield the inputs, and show how many are done where there are several or one picture.

        Args:
            inputs: ``count`` of them.
            count: how many.
            films: whether the first is a video, which has a bar of its own.
        """
        if self._progress is None or (count == 1 and films):
            yield from inputs
        else:
            yield from self._progress.track(inputs, total=count, description="inputs")

    @contextmanager
    def film(self, name: str, count: int | None) -> Iterator[Callable[[], None]]:
        """Show a bar for the frames of a video; yield what is to be called after each."""
        if self._progress is None or not self._progress.console.is_terminal:
            yield lambda: None
            return
        task = self._progress.add_task(name, total=count)
        try:
            yield lambda: self._progress.advance(task)
        finally:
            self._progress.remove_task(task)


@contextmanager
def lines_to(path: str) -> Iterator[Sheet]:
    """Open a file for JSON Lines; "-" is standard output, where each line is seen at once.

    Raises:
        OutputError: it cannot be written.
    """
    from .video import JsonLines

    if path == "-":
        yield _Printed()
        return
    with JsonLines(path) as lines:
        yield lines


class _Printed:
    """JSON Lines on standard output."""

    def write(self, found: Result) -> None:
        from .video import json_line

        print(json_line(found), flush=True)


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
