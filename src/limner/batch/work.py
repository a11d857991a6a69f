"""What one worker does: inputs -> results in place. The same on one machine and on a cluster, byte for byte."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from .. import sources
from ..errors import InputError, LimnerError, OutputError, printable
from ..files import IMAGE_SUFFIXES, compact_json
from ..formats.json_lines import json_line
from ..formats.run_info import RunInfo
from ..jobs.head import run_info
from ..masking import masked
from ..sources import Input
from ..sources.addresses import input_at
from ..sources.content import holds_video
from ..sources.opening import decode
from ..types import Frame, Result
from ..video.options import BATCH_PIXELS, TrackingOptions, VideoOptions
from .items import Item, open_store
from .settings import Settings
from .store import Store

IMAGES = 16  # whose crops share calls of the pose network, at most


@dataclass
class Outcome:
    """What became of some inputs."""

    done: int = 0
    skipped: int = 0  # had their results already
    failed: int = 0
    frames: int = 0
    instances: int = 0
    problems: list[str] = field(default_factory=list)  # sentences, the first few

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.done + other.done,
            self.skipped + other.skipped,
            self.failed + other.failed,
            self.frames + other.frames,
            self.instances + other.instances,
            (self.problems + other.problems)[:20],
        )


class Worker:
    """Holds a model, and does inputs one part after the other.

    Args:
        settings: the model and its options.
        store: takes the results.
        cores: that it may use; None takes all.
    """

    def __init__(self, settings: Settings, store: Store, cores: Sequence[int] | None = None) -> None:
        if cores and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, cores)
        self._settings, self._store, self._digest = settings, store, settings.digest()
        self._pipeline = settings.open()
        self._info: RunInfo = run_info(settings.model, settings.precision, self._pipeline)

    def __call__(self, items: Sequence[Item]) -> Outcome:
        """Do some inputs; one that fails is noted, and the others are done."""
        outcome = Outcome()
        images: list[tuple[Item, Frame]] = []
        pixels = 0
        for item in items:
            try:
                if self._store.has(item.key(self._digest)):
                    outcome.skipped += 1
                    continue
                frame = self._image(item)
                if frame is None:
                    self._video(item, outcome)
                    continue
            except Exception as error:  # one input never ends the others
                self._failed(item, error, outcome)
                continue
            size = frame.image.shape[0] * frame.image.shape[1]
            if images and (len(images) >= IMAGES or pixels + size > BATCH_PIXELS):
                self._images(images, outcome)
                images, pixels = [], 0
            images.append((item, frame))
            pixels += size
        self._images(images, outcome)
        return outcome

    def _image(self, item: Item) -> Frame | None:
        """Return an input that is an image; None is a video."""
        scheme = item.location.partition("://")[0].lower() if "://" in item.location else ""
        if scheme in ("http", "https"):
            named = input_at(item.location)
            return None if named.is_video else sources.read(named)
        if scheme:
            is_video = PurePosixPath(item.location).suffix.lower() not in IMAGE_SUFFIXES
            return None if is_video else decode(_content(item), _source(item))
        if not item.location:
            raise InputError(f"{item.name} names no input")
        path = Path(item.location)
        if not path.is_file():
            what = "is a folder, where an image or video is needed" if path.is_dir() else "does not exist"
            raise InputError(f"'{_source(item)}' {what}")
        return None if holds_video(path) else sources.read(Input(path.name, path=path))

    def _images(self, images: Sequence[tuple[Item, Frame]], outcome: Outcome) -> None:
        """Find keypoints in several images at once; where that fails, in one after the other."""
        if not images:
            return
        try:
            results: Sequence[Result] = self._pipeline.many([frame for _, frame in images])
        except Exception as error:  # one input never ends the others
            if len(images) == 1:
                self._failed(images[0][0], error, outcome)
                return
            for one in images:
                self._images([one], outcome)
            return
        for (item, _), result in zip(images, results, strict=True):
            try:
                self._store.put(item.key(self._digest), self._head() + _line(result))
            except OutputError as error:
                self._failed(item, error, outcome)
                continue
            outcome.done += 1
            outcome.instances += len(result)

    def _video(self, item: Item, outcome: Outcome) -> None:
        """Find keypoints in the frames of a video; its results are written when it is whole."""
        from ..draw import DrawStyle
        from ..video.pipeline import CurrentStyle, VideoPipeline

        options = VideoOptions(TrackingOptions(self._settings.det_interval), every=self._settings.every)
        frames = instances = 0
        with _opened(item) as found, tempfile.SpooledTemporaryFile(max_size=1 << 24) as lines:
            source = sources.open_video(found, options)
            with VideoPipeline(
                source, self._pipeline, options.tracking, CurrentStyle(DrawStyle()), draws=False
            ) as video:
                for one in video.frame_results():
                    lines.write(_line(replace(one.result, source=_source(item))))
                    frames += 1
                    instances += len(one.result)
                whole = not video.cut_short
            lines.seek(0)
            end = _record({"source": _source(item), "frames": frames, "complete": whole})
            self._store.put(item.key(self._digest), self._head() + lines.read() + end)
        outcome.done += 1
        outcome.frames += frames
        outcome.instances += instances

    def _head(self) -> bytes:
        known = self._info.fields()
        return _record({"limner": known.pop("version", ""), **known})

    def _failed(self, item: Item, error: Exception, outcome: Outcome) -> None:
        message = _said(error, _source(item) or item.name)
        outcome.failed += 1
        outcome.problems = [*outcome.problems, message][:20]
        self._store.put_error(item.key(self._digest), _source(item), message)


def _said(error: Exception, source: str) -> str:
    """Return why an input failed, as a sentence."""
    if isinstance(error, LimnerError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"'{source}' needs more memory than there is"
    if isinstance(error, OSError):
        return f"'{source}' cannot be read: {error.strerror or error}"
    return f"'{source}' met a fault of limner, {type(error).__name__}: {' '.join(str(error).split())}; please report it"


def _line(result: Result) -> bytes:
    return (json_line(result) + "\n").encode("ascii")


def _record(values: dict[str, object]) -> bytes:
    return (compact_json(values) + "\n").encode("ascii")


def _source(item: Item) -> str:
    """Return an input's name in results and messages."""
    return masked(item.location) if "://" in item.location else printable(item.location)


def _content(item: Item) -> bytes:
    """Return the content of an object."""
    system, path = open_store(item.location)
    try:
        data: bytes = system.cat_file(path)
    except Exception as error:  # each store has its own
        raise _unreadable(item, error) from None
    return data


def _unreadable(item: Item, error: Exception) -> InputError:
    return InputError(f"'{_source(item)}' cannot be read: {' '.join(str(error).split()) or type(error).__name__}")


@contextmanager
def _opened(item: Item) -> Iterator[Input]:
    """Yield a video as an input that can be opened; that of an object store is copied while it is read."""
    if "://" not in item.location:
        path = Path(item.location)
        yield Input(path.name, path=path, is_video=True)
    elif item.location.lower().startswith(("http://", "https://")):
        yield input_at(item.location)
    else:
        with tempfile.TemporaryDirectory(prefix="limner-") as folder:
            copy = Path(folder, "video" + PurePosixPath(item.location).suffix)
            system, path_there = open_store(item.location)
            try:
                system.get_file(path_there, str(copy))
            except Exception as error:  # each store has its own
                raise _unreadable(item, error) from None
            yield Input(copy.name, path=copy, is_video=True)
