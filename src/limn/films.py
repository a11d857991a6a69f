"""One video or camera of a job: opened, watched, drawn, written and shown, to its end or the user's."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol

from . import sources
from .hud import Meter
from .motion import Wishes
from .moving import Film, Shot, View
from .pipeline import Pipeline
from .screen import Screen
from .sinks import JsonSink, PictureSink, guard
from .sources import Item
from .types import Result

Say = Callable[[str], None]


class Sheet(Protocol):
    """A file that takes results one after the other, such as `limn.video.JsonLines`."""

    def write(self, found: Result) -> None: ...


@dataclass(frozen=True)
class Played:
    """What came of a film."""

    frames: int
    instances: int
    stopped: bool  # by the user: nothing more is wanted
    interrupted: bool  # by a signal


@contextmanager
def opened(
    item: Item, stages: Pipeline, wishes: Wishes, view: View, *, draws: bool, spare: bool, say: Say
) -> Iterator[Film]:
    """Open a moving item; see `Film` for ``draws`` and ``spare``.

    Raises:
        InputError: it cannot be opened.
    """
    source = sources.open_moving(item, size=wishes.camera_size, fps=wishes.camera_fps, say=say)
    with Film(source, stages, wishes.motion, view, draws=draws, spare=spare, say=say, patience=wishes.patience) as film:
        yield film


class Files:
    """The files of one film; each is complete up to its last frame when it is closed.

    Args:
        item, stem: the film and the stem of its files.
        film: tells its frame rate.
        pictures: where the drawn video goes.
        sheets: where MMPose's JSON goes.
        more: other sheets, which stay open.
        keep_audio: the drawn video has the sound of the film.
        say: called with a sentence where something is missing in a file.
    """

    def __init__(
        self,
        item: Item,
        stem: str,
        film: Film,
        *,
        pictures: PictureSink | None,
        sheets: JsonSink | None,
        more: tuple[Sheet, ...] = (),
        keep_audio: bool = False,
        say: Say,
    ) -> None:
        self._stack = ExitStack()
        self._video: Any = None
        self._sheets: list[Sheet] = list(more)
        with self._stack:
            if sheets is not None:
                self._sheets.append(self._stack.enter_context(sheets.film(stem)))
            if pictures is not None:
                guard(item.path, pictures.film_path(stem, item.suffix))
                sound = item.opens if keep_audio and not film.live else None
                video = pictures.film(stem, item.suffix, film.fps, audio_from=sound, say=say)
                self._video = self._stack.enter_context(video)
            self._stack = self._stack.pop_all()

    def write(self, shot: Shot) -> None:
        """Add one frame to each file; numbers first, so that they are there where the video fails.

        Raises:
            OutputError: a file cannot take it.
        """
        for sheet in self._sheets:
            sheet.write(shot.result)
        if self._video is not None and shot.drawn is not None:
            self._video.write(shot.drawn, shot.frame.timestamp)

    def __enter__(self) -> Files:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)


def play(
    film: Film,
    files: Files,
    meter: Meter,
    screen: Screen | None = None,
    *,
    max_frames: int | None = None,
    tick: Callable[[], None] = lambda: None,
) -> Played:
    """Run a film to its end, or to the user's: Ctrl-C and SIGTERM let what is on its way arrive, and end it.

    Args:
        film, files: open.
        meter: counts the frames.
        screen: where it is watched.
        max_frames: end after so many frames.
        tick: called after each frame.

    Raises:
        InputError: the source was lost; what came before is written.
        OutputError: a file cannot be written; what came before is in it.
    """
    frames = instances = 0
    quits = False
    with _gentle_end(film) as interrupted:
        for shot in film.shots():
            files.write(shot)
            frames += 1
            instances += len(shot.result)
            meter.dropped = film.dropped
            if screen is None:
                meter.shown(film.age(shot.frame))
            else:
                quits = not screen.show(shot)
            tick()
            if quits or (max_frames is not None and frames >= max_frames):
                break
    return Played(frames, instances, quits or bool(interrupted), bool(interrupted))


@contextmanager
def _gentle_end(film: Film) -> Iterator[list[int]]:
    """End the film at the first SIGINT or SIGTERM, and everything at the second; yield the signals that came."""
    came: list[int] = []
    before: dict[signal.Signals, Any] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            raise KeyboardInterrupt
        film.end()

    if threading.current_thread() is threading.main_thread():
        for kind in (signal.SIGINT, signal.SIGTERM):
            with suppress(OSError, ValueError):
                before[kind] = signal.signal(kind, handle)
    try:
        yield came
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
