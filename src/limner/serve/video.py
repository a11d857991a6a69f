"""The routes of videos: an upload in, JSON Lines out as they come, and the drawn video once it is done.

The files and lines are those of `limner run`: the same code writes them.
"""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent import futures
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from ..draw import DrawStyle
from ..errors import ArgumentError, InputError, LimnerError
from ..files import compact_json
from ..formats import ResultWriter
from ..formats.forms import FORMATS
from ..formats.json_lines import JsonLines
from ..formats.run_info import RunInfo
from ..sources import Input
from ..types import Result
from ..video.options import VideoOptions
from . import asked as requests
from .batcher import SharedPipeline
from .forms import VIDEO_FORMS, Form, chosen
from .limits import RefusedError, check_video, video_suffix
from .served import Drawing, Served
from .turns import Client
from .upload import receive

if TYPE_CHECKING:
    from ..video.pipeline import VideoPipeline

_WRITE = 1 << 20  # bytes of an upload that are written at a time
_LINES = 64  # that wait for a slow reader
_MOST_RATE = 250  # frames of a second: more are no video, whatever their times say
_MAKES = {  # what can be made beside the lines: its name in the last line, its type, and the name of the file
    "mp4": ("drawing", "video/mp4", "drawn.mp4"),
    "json": ("json", "application/json", "results.json"),
    "csv": ("csv", "text/csv", "results.csv"),
}


@dataclass(frozen=True, eq=False)
class Ordered:
    """A video as a client wants it processed."""

    path: Path
    label: str  # what results call their source
    folder: Path  # for the files that are made
    makes: tuple[str, ...]  # keys of `_MAKES`
    offers: bool  # the last line says where they can be fetched
    style: DrawStyle
    options: VideoOptions
    model: str
    client: Client


class GoneError(Exception):
    """Nobody reads the lines of a video any more."""


async def predict_video(request: Request) -> Response:
    """Answer ``POST /v1/predict/video``."""
    served: Served = request.app.state.served
    stack = ExitStack()
    run: VideoRun | None = None
    try:
        folder = stack.enter_context(served.video())
        run, form = await _ordered(request, served, folder)
        headers = {"Vary": "Accept"}
        if run.count:
            headers["Limner-Frames"] = str(run.count)
        if run.fps:
            headers["Limner-Fps"] = f"{run.fps:.6g}"
        if form.name == "jsonl":
            lines = StreamingResponse(run.lines(), media_type=form.media_type, headers=headers)
            finish = functools.partial(_finish, run, stack)
            stack, run = ExitStack(), None
            return _Finishing(lines, finish)
        await _to_its_end(request, run)
        if run.failed:
            raise RefusedError(400, run.failed)
        kept = served.kept(run.made["mp4"])
        answer = FileResponse(kept, media_type="video/mp4", filename="drawn.mp4", headers=headers)
        return _Finishing(answer, functools.partial(kept.unlink, missing_ok=True))
    finally:
        _finish(run, stack)


async def _ordered(request: Request, served: Served, folder: Path) -> tuple[VideoRun, Form]:
    """Receive a video and open it; return its run, and the form of the answer."""
    asked = requests.parse(request.query_params, requests.VIDEO)
    chosen(asked, request.headers.get("accept", ""), VIDEO_FORMS)  # before anything is uploaded
    asked, filename, path = await _received(request, served, folder, asked)
    form = chosen(asked, request.headers.get("accept", ""), VIDEO_FORMS)
    order = Ordered(
        path,
        requests.label(asked.get("name") or filename, f"video{path.suffix}"),
        folder,
        _makes(asked.get("draw", "") if form.name == "jsonl" else "mp4"),
        form.name == "jsonl",
        requests.style(asked),
        requests.video_options(asked),
        served.checked(asked.get("model")),
        served.client_of(request),
    )
    if order.style.transparent:
        raise RefusedError(400, "a video cannot be transparent: choose another background, such as black")
    await served.pipeline(order.model)
    run = VideoRun(served, order)
    await served.in_thread(run.open)
    return run, form


def _finish(run: VideoRun | None, stack: ExitStack) -> None:
    """Stop a run that is not at its end, and let go of its files once its thread is."""
    if run is not None:
        run.close(stack.close)
    else:
        stack.close()


class _Finishing(Response):
    """An answer behind which something is let go of, however it ends."""

    def __init__(self, answer: Response, finish: Callable[[], object]) -> None:
        super().__init__()
        self._answer, self._finish = answer, finish

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(scope, receive, send)
        finally:
            self._finish()


async def drawing(request: Request) -> Response:
    """Answer ``GET`` and ``DELETE /v1/drawings/NAME``."""
    served: Served = request.app.state.served
    name = request.path_params["name"]
    found = served.drawings.get(name)
    if request.method == "DELETE":
        served.drawings.drop(name)
        return Response(status_code=204)
    return FileResponse(found.path, media_type=found.media_type, filename=found.filename)


async def _received(
    request: Request, served: Served, folder: Path, asked: dict[str, Any]
) -> tuple[dict[str, Any], str, Path]:
    """Write the upload into a folder; return what is asked for, what the client calls the file, and its path."""
    path, buffer = folder / "upload", bytearray()
    with path.open("wb") as file:

        async def write(data: bytes) -> None:
            if not buffer and not file.tell():
                video_suffix(bytes(data[:400]) if len(data) >= 400 else bytes(data))
            buffer.extend(data)
            if len(buffer) >= _WRITE:
                await served.in_image_thread(file.write, bytes(buffer))
                buffer.clear()

        upload = await receive(request, served.options.max_video_bytes, served.options, write)
        file.write(buffer)
    with path.open("rb") as written:
        suffix = video_suffix(written.read(400))
    asked = {**requests.parse(upload.fields, requests.VIDEO), **asked}
    return asked, upload.filename, path.rename(path.with_suffix(suffix))


def _makes(text: str) -> tuple[str, ...]:
    makes = tuple(dict.fromkeys(filter(None, (part.strip().lower() for part in text.split(",")))))
    for name in makes:
        if name not in _MAKES:
            raise ArgumentError(f"draw is '{name}' where {', '.join(_MAKES)} is needed, or several with commas")
    return makes


async def _to_its_end(request: Request, run: VideoRun) -> None:
    """Wait for the end of a run, whose lines nobody reads; end it once the client of the request is gone."""

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        run.stop()

    watcher = asyncio.ensure_future(watch())
    try:
        async for _ in run.lines():
            pass
    finally:
        watcher.cancel()


class VideoRun:
    """One video, processed in a thread.

    Args:
        served: the server.
        order: what is to be done.
    """

    def __init__(self, served: Served, order: Ordered) -> None:
        self._served, self._order = served, order
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[str | None] = asyncio.Queue(_LINES)
        self._stopped = threading.Event()  # nobody reads any more
        self._cut = False  # ended before its end
        self._stack = ExitStack()
        self._video: VideoPipeline | None = None
        self._task: asyncio.Task[None] | None = None
        self.count: int | None = None  # frames, as its file says
        self.fps: float | None = None
        self.failed = ""  # a sentence, where it could not be processed to its end
        self.made: dict[str, Path] = {}

    def open(self) -> None:
        """Open the video, and check what it says of itself; for a thread.

        Raises:
            RefusedError: it cannot be read, or is too large or too long.
        """
        from ..jobs.job import check_style
        from ..jobs.video import open_video_pipeline
        from ..video.pipeline import CurrentStyle

        order, served = self._order, self._served
        pipeline = served.open(order.model)
        check_style(pipeline, order.style)
        try:
            check_video(order.path, served.options.max_pixels, served.options.max_seconds)
            self._video = self._stack.enter_context(
                open_video_pipeline(
                    Input(order.path.name, order.path, is_video=True),
                    SharedPipeline(pipeline, served.batcher, order.client),
                    replace(order.options, max_pixels=served.options.max_pixels),
                    CurrentStyle(order.style),
                    draws="mp4" in order.makes,
                    overwrite_frames=True,
                    info=_quiet,
                )
            )
        except InputError as error:
            raise RefusedError(400, self._plain(error)) from None
        self.count = self._video.count
        self.fps = float(self._video.fps) if self._video.fps else None

    def stop(self) -> None:
        """End the video with the frames in progress; from any thread."""
        self._cut = True
        if self._video is not None:
            self._video.end()

    def close(self, then: Callable[[], None]) -> None:
        """Stop what still runs, as nobody reads it any more, and call ``then`` once nothing does."""
        self._stopped.set()
        if self._task is None:  # it was never started
            self._stack.close()
        elif not self._task.done():
            self.stop()
            self._task.add_done_callback(lambda _: then())
            return
        then()

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield the lines of the results as they come."""
        with self._served.on_stop(self.stop):
            # of its own, so that it is not cancelled with whoever reads
            task = self._task = asyncio.ensure_future(self._served.in_thread(self._run))
            while (line := await self._queue.get()) is not None:
                yield (line + "\n").encode("ascii")
            await asyncio.shield(task)
            if self.made and self._order.offers:
                yield (compact_json(self._offer()) + "\n").encode("ascii")

    def _offer(self) -> dict[str, Any]:
        """Keep the files that were made, and return the line that says where they can be fetched."""
        served, record = self._served, dict[str, Any]()
        for name, path in self.made.items():
            key, media_type, filename = _MAKES[name]
            if name == "mp4":
                record["bytes"] = path.stat().st_size
            place = served.drawings.add(Drawing(served.kept(path), media_type, filename))
            record[key] = f"/v1/drawings/{place}"
        return {**record, "seconds": round(served.drawings.seconds)}

    # -- in the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        from ..display.hud import Meter
        from ..jobs.video import VideoOutputs, play
        from ..writers import ImageWriter, JsonWriter

        order, video = self._order, self._video
        assert video is not None
        sink = _Lines(self._put, order.label, self._served, order.model)
        image_writer = ImageWriter(order.folder, "drawn.mp4") if "mp4" in order.makes else None
        json_writer = JsonWriter(order.folder, "results.json", clocked=True) if "json" in order.makes else None
        try:
            with self._stack:
                sink.head(self._info())
                item = Input(order.path.name, order.path, is_video=True)
                writers: tuple[ResultWriter, ...] = (sink,)
                if "csv" in order.makes:
                    table = FORMATS["csv"].open(order.folder / "results.csv", self._info())
                    writers = (sink, _Labelled(self._stack.enter_context(table), order.label))
                outputs = VideoOutputs(
                    item, "drawn", video, image_writer, json_writer, writers, keep_audio=True, info=_quiet
                )
                limit = order.options.max_frames
                with outputs:
                    counts = play(video, outputs, Meter(live=False), max_frames=limit)
            sink.end(order.label, counts.frames, complete=not (video.cut_short or self._cut))
            self.made = {name: order.folder / _MAKES[name][2] for name in order.makes}
        except GoneError:
            pass
        except LimnerError as error:
            self.failed = self._plain(error)
            with suppress(GoneError):
                sink.error(order.label, self.failed)
        finally:
            with suppress(GoneError):
                self._put(None)

    def _info(self) -> RunInfo:
        from ..jobs.head import run_info

        return run_info(self._order.model, "auto", self._served.open(self._order.model))

    def _put(self, line: str | None) -> None:
        """Queue a line for the reader; wait while it is slow.

        Raises:
            GoneError: it reads no more.
        """
        waiting = asyncio.run_coroutine_threadsafe(self._queue.put(line), self._loop)
        deadline = time.monotonic() + 3 * self._served.options.idle_timeout
        while not self._stopped.is_set() and time.monotonic() < deadline:
            with suppress(TimeoutError, futures.TimeoutError):
                waiting.result(0.2)
                return
        waiting.cancel()
        raise GoneError

    def _plain(self, error: LimnerError) -> str:
        """Return a sentence in which the video has the name that its client gave it."""
        return str(error).replace(str(self._order.path), self._order.label)


class _Labelled:
    """A writer of results, for which the video has the name that its client gave it."""

    def __init__(self, writer: ResultWriter, label: str) -> None:
        self._writer, self._label = writer, label

    def write(self, result: Result) -> None:
        """Add a frame."""
        self._writer.write(replace(result, source=self._label))


class _Lines(JsonLines):
    """The lines of a video, under the name that its client gave it."""

    def __init__(self, put: Callable[[str], None], label: str, served: Served, model: str) -> None:
        self._put, self._label, self._served, self._model = put, label, served, model

    def write(self, result: Result) -> None:
        """Add the line of a frame.

        Raises:
            InputError: the video is longer than its file says, and than is taken.
        """
        longest = self._served.options.max_seconds
        if result.timestamp > longest or result.index > longest * _MOST_RATE:
            raise InputError(f"'{self._label}' is longer than the {longest:g} seconds that are taken; cut it")
        self._served.count(self._model, len(result), frames=1)
        super().write(replace(result, source=self._label))

    def _add_line(self, line: str) -> None:
        self._put(line)

    def close(self) -> None:
        """Nothing is open."""


def _quiet(message: str) -> None:
    """Say nothing: what is odd about a client's video is not for the log."""
