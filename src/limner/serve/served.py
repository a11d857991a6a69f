"""What a running server holds: its models, the batcher that runs them, and what its requests share."""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from starlette.requests import HTTPConnection

from ..api import Model, Result
from ..errors import ArgumentError, InputError, suggest
from ..images.limits import TooLargeError
from ..pipeline import Pipeline
from ..sources.opening import decode, refuse_animation
from ..types import Frame
from .batcher import Batcher, BusyError, Done, SharedPipeline, Work, result_of
from .limits import Held, Memory, RefusedError, check_image
from .metrics import Metrics
from .options import ServeOptions
from .turns import Client

T = TypeVar("T")
_DECODERS = 2  # threads that decode and encode images
_MOST_DRAWINGS = 16  # that wait to be fetched
_FOLDER = "limner-serve-"


class NotFoundError(RefusedError):
    """There is no such model, file or page."""

    def __init__(self, message: str) -> None:
        super().__init__(404, message)


@dataclass(frozen=True)
class Found:
    """What was found in an image, and how long each step took, in milliseconds."""

    result: Result
    timings: dict[str, float]


class Served:
    """What a running server holds; `close` lets go of all of it.

    Args:
        models: name -> what opens the model; the first is the default. Each is opened once, when it is first asked for.
        options: the limits.
    """

    def __init__(self, models: dict[str, Callable[[], Pipeline]], options: ServeOptions) -> None:
        if not models:
            raise ArgumentError("a server needs a model; give --model")
        self.options, self.metrics = options, Metrics()
        self.names = tuple(models)
        self._openers, self._opened = models, dict[str, Pipeline]()
        self._opening = threading.Lock()
        self.memory = Memory(options.max_memory)
        self.batcher = Batcher(
            batch=options.batch,
            wait=options.wait,
            most_waiting=options.most_waiting,
            longest_wait=options.longest_wait,
            on_batch=self.metrics.add_batch,
        )
        self.stopping = asyncio.Event()
        self.drawings = Drawings(options.drawing_seconds)
        self._ends: list[Callable[[], None]] = []  # called when the server is told to stop
        self._images = ThreadPoolExecutor(_DECODERS, "limner image")
        # of videos (each has one), live sessions (one each while a frame is estimated) and models that are opened
        self._blocking = ThreadPoolExecutor(options.max_videos + options.max_live + 4, "limner blocking")
        self._videos = self._live = 0
        _remove_old_folders()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-"))  # for this user alone
        self.metrics.waiting.set_function(lambda: self.batcher.waiting)
        self.metrics.memory.set_function(lambda: self.memory.held)

    # -- models ------------------------------------------------------------------------------------

    def open(self, name: str | None = None) -> Pipeline:
        """Return a model's own pipeline, opened if need be: for start-up, and threads.

        Raises:
            NotFoundError: there is no such model on offer.
            LimnerError: it cannot be opened.
        """
        name = self.checked(name)
        with self._opening:
            if name not in self._opened:
                self._opened[name] = self._openers[name]()
            return self._opened[name]

    def checked(self, name: str | None) -> str:
        """Return the name of a model on offer: the default one for None or ""."""
        if not name:
            return self.names[0]
        if name not in self._openers:
            raise NotFoundError(
                f"this server offers no model '{name[:100]}'.{suggest(name[:100], self.names)} "
                f"It offers {', '.join(self.names)}."
            )
        return name

    def is_open(self, name: str) -> bool:
        """Whether a model was used already."""
        return name in self._opened

    async def pipeline(self, name: str | None) -> Pipeline:
        """Return a model's own pipeline, opened in a thread if need be; see `open`."""
        name = self.checked(name)
        if name in self._opened:
            return self._opened[name]
        return await self._in(self._blocking, self.open, name)

    async def model(self, name: str | None, client: Client) -> Model:
        """Return a model for the threads of one client, whose networks run in the batcher; see `open`."""
        return Model(SharedPipeline(await self.pipeline(name), self.batcher, client))

    # -- images ------------------------------------------------------------------------------------

    async def predict(
        self,
        name: str | None,
        data: bytes,
        client: Client,
        held: Held,
        label: str = "image",
        arrived: Callable[[], None] = lambda: None,
    ) -> Found:
        """Return what a model finds in the content of an image file.

        Args:
            name: of the model; None or "" takes the default one.
            data: the whole file.
            client: whose turn it takes.
            held: counts the memory of its pixels.
            label: what the result calls its source.
            arrived: called once the image is queued, see `Batcher.admitted`.

        Raises:
            RefusedError: no image, too large, or damaged.
            BusyError: the server has too much to do.
        """
        began = time.perf_counter()
        pipeline = await self.pipeline(name)
        frame = replace(await self.decode(data, held), source=label)
        decoded = time.perf_counter()
        work = Work(client, pipeline, [frame], still=True)
        future = self.batcher.submit(work)
        arrived()
        try:
            done: Done = await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            self.batcher.cancel(work)
            raise
        result = Result.of(frame, result_of(work, done))
        self.count(self.checked(name), len(result))
        timings = {
            "decode": decoded - began,
            "wait": done.waited,
            "network": done.worked,
            "total": time.perf_counter() - began,
        }
        return Found(result, {step: 1000 * seconds for step, seconds in timings.items()})

    async def decode(self, data: bytes, held: Held) -> Frame:
        """Return the pixels of the content of an image file, decoded in a thread once its header is checked.

        Raises:
            RefusedError: no image, too large, or damaged.
            BusyError: there is no memory left for it.
        """
        held.add(check_image(data, self.options.max_pixels))
        return await self.in_image_thread(_decode, data)

    def count(self, name: str, instances: int, *, frames: int = 0) -> None:
        """Count an image, or frames of a video, in the metrics."""
        (self.metrics.frames if frames else self.metrics.images).labels(name).inc(frames or 1)
        self.metrics.instances.labels(name).inc(instances)

    # -- threads and clients -----------------------------------------------------------------------

    async def in_image_thread(self, function: Callable[..., T], *args: Any) -> T:
        """Return what a function returns that takes milliseconds, as decoding and drawing do."""
        return await self._in(self._images, function, *args)

    async def in_thread(self, function: Callable[..., T], *args: Any) -> T:
        """Return what a function returns that may wait, as for the batcher: one at a time for each client."""
        return await self._in(self._blocking, function, *args)

    @staticmethod
    async def _in(pool: ThreadPoolExecutor, function: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, functools.partial(function, *args))

    @staticmethod
    def client_of(connection: HTTPConnection) -> Client:
        """Return who asks: the address that a request or WebSocket comes from, and its connection."""
        peer = connection.client
        if peer is None:
            return Client("", next(_connections))
        return Client(peer.host, peer.port or next(_connections))

    # -- what there may be only so many of ---------------------------------------------------------

    @contextmanager
    def live_session(self) -> Iterator[None]:
        """Count a live session for as long as it is open.

        Raises:
            BusyError: there are as many as there may be.
        """
        if self._live >= self.options.max_live:
            raise BusyError(f"{self._live} live sessions are open, as many as this server takes; try again later", 30)
        self._live += 1
        self.metrics.live.set(self._live)
        try:
            yield
        finally:
            self._live -= 1
            self.metrics.live.set(self._live)

    @contextmanager
    def video(self) -> Iterator[Path]:
        """Count a video for as long as it is processed, and yield a folder that is removed then, unless it was moved.

        Raises:
            BusyError: there are as many as there may be.
        """
        if self._videos >= self.options.max_videos:
            raise BusyError(f"{self._videos} videos are being processed, as many as this server takes at a time", 10)
        self._videos += 1
        self.metrics.videos.set(self._videos)
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        try:
            yield folder
        finally:
            self._videos -= 1
            self.metrics.videos.set(self._videos)
            shutil.rmtree(folder, ignore_errors=True)

    def kept(self, path: Path) -> Path:
        """Move a file out of the folder of a video, and return where it is."""
        place = self._folder / secrets.token_hex(16)
        path.rename(place)
        return place

    # -- the end -----------------------------------------------------------------------------------

    @contextmanager
    def on_stop(self, end: Callable[[], None]) -> Iterator[None]:
        """Have a function called when the server is told to stop, within the block."""
        self._ends.append(end)
        try:
            if self.stopping.is_set():
                end()
            yield
        finally:
            self._ends.remove(end)

    def stop(self) -> None:
        """Tell all that runs to come to an end: images are finished, videos end with the frames in progress."""
        self.stopping.set()
        for end in list(self._ends):
            end()

    def close(self) -> None:
        """Let go of threads and temporary files; nothing may run any more."""
        self.drawings.close()
        self.batcher.close()
        for pool in (self._images, self._blocking):
            pool.shutdown(wait=False, cancel_futures=True)
        shutil.rmtree(self._folder, ignore_errors=True)


@dataclass(frozen=True)
class Drawing:
    """A file that a client may fetch for a while."""

    path: Path
    media_type: str
    filename: str


class Drawings:
    """The files that were made of videos, each under a random name, until they are fetched or too old.

    Args:
        seconds: how long each can be fetched.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._drawings: dict[str, Drawing] = {}

    def add(self, drawing: Drawing) -> str:
        """Keep a file, and return the name under which it can be fetched; the oldest go where there are many."""
        name = secrets.token_urlsafe(24)
        while len(self._drawings) >= _MOST_DRAWINGS:
            self.drop(next(iter(self._drawings)))
        self._drawings[name] = drawing
        asyncio.get_running_loop().call_later(self.seconds, self.drop, name)
        return name

    def get(self, name: str) -> Drawing:
        """Return the file with a name.

        Raises:
            NotFoundError: there is none, or no longer.
        """
        if name not in self._drawings:
            raise NotFoundError("there is no such drawing, or no longer; send the video again")
        return self._drawings[name]

    def drop(self, name: str) -> None:
        """Remove a file, if it is still there."""
        drawing = self._drawings.pop(name, None)
        if drawing is not None:
            with suppress(OSError):
                drawing.path.unlink()

    def close(self) -> None:
        """Remove all of them."""
        for name in list(self._drawings):
            self.drop(name)


_connections = itertools.count(1_000_000)  # numbers of connections without a port, as those of a proxy


def _decode(data: bytes) -> Frame:
    try:
        refuse_animation(data, "image")
        return decode(data, "image")
    except TooLargeError as error:
        raise RefusedError(413, str(error)) from None
    except InputError as error:
        raise RefusedError(400, str(error)) from None


def _remove_old_folders() -> None:
    """Remove the temporary files of servers that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*-*"):
        number = folder.name.removeprefix(_FOLDER).partition("-")[0]
        try:
            if not number.isdigit() or folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            os.kill(int(number), 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except (OSError, AttributeError, OverflowError):
            continue
