"""`/v1/live`: the frames of a camera come in over a WebSocket, and their keypoints go out.

A client sends a frame as one binary message: its number (4 bytes, big-endian), the seconds of its own clock when it was
taken (8 bytes, an IEEE 754 double, big-endian), and then an image file such as a JPEG. A text message is a JSON object
with settings, any of ``model``, ``smooth`` ("live" or "off") and ``max_persons`` (a number or null); they hold from the
next frame on. Each answer is a text message, a JSON object whose ``type`` says what it is:

- ``model``: what estimates from now on: ``model``, ``keypoint_set``, ``devices``. The first answer is one.
- ``result``: of one frame: its ``id``, ``size``, ``instances`` in MMPose's form with track ids, ``ms``.
- ``dropped``: the frame ``id`` is left out, as a newer one came before its turn.
- ``error``: a sentence; with an ``id`` it is about that frame. The session goes on.

The first three say in ``window`` how many frames may be on their way: a client that sends no more never waits behind
its own frames. One that sends more loses the older ones: at most one frame of a session waits, the newest.
"""

from __future__ import annotations

import asyncio
import json
import math
import struct
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from ..api import Model, Tracker
from ..errors import ArgumentError, LimnerError, said, suggest
from ..types import Result
from . import wire
from .batcher import BusyError
from .served import Served

SUBPROTOCOL = "limner"
HEAD = struct.Struct(">Id")  # of a frame: its number, and the seconds of the client's clock
QUICK = 0.06  # seconds: where a frame takes no longer, the next one may already be on its way
SEND_TIMEOUT = 4.0  # seconds; a client that reads nothing for longer is gone
GOING_AWAY, TRY_LATER, BROKEN = 1001, 1013, 1011  # codes of RFC 6455 and its registry
_SMOOTHS = ("live", "off")
_GONE = (WebSocketDisconnect, asyncio.TimeoutError, OSError)  # what says that a client is no longer there


@dataclass(frozen=True)
class Settings:
    """What a client may change while it sends frames.

    Raises:
        ArgumentError: an unknown setting, or an impossible value.
    """

    model: str | None = None  # None takes the server's first
    smooth: str = "live"
    max_persons: int | None = None

    def __post_init__(self) -> None:
        if not (self.model is None or isinstance(self.model, str)):
            raise ArgumentError(f"model is {said(self.model)} where the name of a model is needed")
        if self.smooth not in _SMOOTHS:
            raise ArgumentError(f"smooth is {said(self.smooth)} where {' or '.join(_SMOOTHS)} is needed")
        most = self.max_persons
        if most is not None and (isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= 1000):
            raise ArgumentError(f"max_persons is {said(most)} where a number from 1 to 1000 is needed, or null")

    def changed(self, text: str) -> Settings:
        """Return the settings after a message of the client.

        Raises:
            ArgumentError: the message is no JSON object, or has other settings.
        """
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, Mapping):
            raise ArgumentError('a text message must be a JSON object with settings, such as {"smooth": "off"}')
        known = ("model", "smooth", "max_persons")
        for name in message:
            if name not in known:
                raise ArgumentError(f"there is no setting {said(name)}.{suggest(name, known)}")
        return replace(self, **message)


@dataclass(frozen=True, eq=False)
class ClientFrame:
    """One frame as it came."""

    number: int
    seconds: float  # of the client's clock
    data: bytes  # an image file


def parse_frame(message: bytes) -> ClientFrame:
    """Return the frame that a binary message holds.

    Raises:
        ArgumentError: it is too short, or its time is no number.
    """
    if len(message) <= HEAD.size:
        raise ArgumentError(f"a binary message has {len(message)} bytes where {HEAD.size} and an image are needed")
    number, seconds = HEAD.unpack_from(message)
    if not math.isfinite(seconds) or abs(seconds) > 1e12:
        raise ArgumentError("the time of a frame is not a number of seconds")
    return ClientFrame(number, seconds, message[HEAD.size :])


async def live(websocket: WebSocket) -> None:
    """Answer one client until it leaves, or the server stops."""
    served: Served = websocket.app.state.served
    offered = websocket.scope.get("subprotocols") or ()
    await websocket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
    try:
        with served.live_session():
            await Session(websocket, served).run()
    except BusyError as error:
        with suppress(*_GONE):
            await _tell(websocket, {"type": "error", "error": str(error)})
        await _close(websocket, TRY_LATER)


class Session:
    """One client: its settings, its tracker, and the newest of its frames that waits.

    Args:
        websocket: accepted already.
        served: what the server holds.
    """

    def __init__(self, websocket: WebSocket, served: Served) -> None:
        self._websocket, self._served = websocket, served
        self._client = served.client_of(websocket)
        self._wanted, self._current = Settings(), Settings()
        self._model: Model | None = None
        self._tracker: Tracker | None = None
        self._waiting: ClientFrame | None = None
        self._something = asyncio.Event()  # a frame or settings have come
        self._idle = asyncio.Event()  # no frame is being estimated
        self._idle.set()
        self._sending = asyncio.Lock()
        self._takes = math.inf  # seconds of a frame, on average; infinite until that is known
        self._last = -math.inf  # seconds of the client's clock, of the last frame

    @property
    def window(self) -> int:
        """How many frames may be on their way: the next one too, where it would not wait for long."""
        return 2 if self._takes <= QUICK else 1

    async def run(self) -> None:
        """Answer until the client leaves or the server stops."""
        tasks = [asyncio.ensure_future(part()) for part in (self._receive, self._work, self._until_stopping)]
        code = GOING_AWAY
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                error = task.exception()
                if error is not None and not isinstance(error, _GONE):
                    code = BROKEN
                    _report(error)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._tracker = self._waiting = None
            await _close(self._websocket, code)

    # -- what comes --------------------------------------------------------------------------------

    async def _receive(self) -> None:
        """Keep the newest frame and the newest settings; end when the client leaves."""
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            try:
                if (data := message.get("bytes")) is not None:
                    await self._take(parse_frame(data))
                elif (text := message.get("text")) is not None:
                    self._wanted = self._wanted.changed(text)
                    self._something.set()
            except LimnerError as error:
                await self._send({"type": "error", "error": str(error)})

    async def _take(self, frame: ClientFrame) -> None:
        older, self._waiting = self._waiting, frame
        self._something.set()
        if older is not None:
            await self._send({"type": "dropped", "id": older.number, "window": self.window})

    async def _until_stopping(self) -> None:
        """End when the server stops and the last answer is sent."""
        await self._served.stopping.wait()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._idle.wait(), SEND_TIMEOUT)

    # -- what is done ------------------------------------------------------------------------------

    async def _work(self) -> None:
        """Estimate one frame after the other, the newest one that is there."""
        await self._apply()
        while not self._served.stopping.is_set():
            await self._something.wait()
            self._something.clear()
            self._idle.clear()
            try:
                await self._apply()
                if (frame := self._waiting) is not None:
                    self._waiting = None
                    await self._answer(frame)
            finally:
                self._idle.set()

    async def _apply(self) -> None:
        """Change model and tracker to what the settings ask for; what cannot be had leaves them as they are."""
        wanted, before = self._wanted, self._current
        if self._model is not None and wanted == before:
            return
        try:
            model = self._model
            is_new = model is None or wanted.model != before.model
            if model is None or is_new:
                model = await self._served.model(wanted.model, self._client)
            tracker = model.tracker(smooth=wanted.smooth, max_persons=wanted.max_persons)
        except LimnerError as error:
            if self._wanted == wanted:
                self._wanted = before
            await self._send({"type": "error", "error": str(error)})
            return
        self._model, self._tracker, self._current, self._last = model, tracker, wanted, -math.inf
        if is_new:
            await self._send(
                {
                    "type": "model",
                    "model": self._name,
                    "keypoint_set": wire.keypoint_set(model.keypoint_set),
                    "devices": list(model.pipeline.devices),
                    "window": self.window,
                }
            )

    @property
    def _name(self) -> str:
        return self._current.model or self._served.names[0]

    async def _answer(self, frame: ClientFrame) -> None:
        """Estimate one frame and send its keypoints."""
        if self._tracker is None:
            await self._send({"type": "error", "id": frame.number, "error": "no model is loaded, so choose another"})
            return
        began = time.perf_counter()
        try:
            with self._served.memory.holder() as held:
                image = (await self._served.decode(frame.data, held)).image
                decoded = time.perf_counter()
                self._last = max(frame.seconds, self._last)
                result = await self._served.in_thread(self._tracker, image, self._last)
        except LimnerError as error:
            await self._send({"type": "error", "id": frame.number, "error": str(error), "window": self.window})
            return
        done = time.perf_counter()
        took = done - began
        self._takes = took if math.isinf(self._takes) else 0.8 * self._takes + 0.2 * took
        self._served.count(self._name, len(result), frames=1)
        await self._send(
            {
                "type": "result",
                "id": frame.number,
                "size": [int(side) for side in result.size],
                "instances": instances(result),
                "window": self.window,
                "ms": {"decode": round(1e3 * (decoded - began), 1), "estimate": round(1e3 * (done - decoded), 1)},
            }
        )

    async def _send(self, message: Mapping[str, Any]) -> None:
        async with self._sending:
            await _tell(self._websocket, message)


def instances(result: Result) -> list[dict[str, Any]]:
    """Return the instances in MMPose's form; positions to a hundredth of a pixel, scores to four digits."""
    found = []
    ids = result.track_ids if result.track_ids is not None else np.full(len(result), -1)
    for points, scores, box, score, track_id in zip(
        _rounded(result.poses.keypoints, 2),
        _rounded(result.poses.scores, 4),
        _rounded(result.boxes.xyxy, 2),
        _rounded(result.boxes.scores, 4),
        ids.tolist(),
        strict=True,
    ):
        found.append(
            {
                "keypoints": points,
                "keypoint_scores": scores,
                "bbox": [box],
                "bbox_score": score,
                "track_id": track_id,
            }
        )
    return found


def _rounded(values: np.ndarray, digits: int) -> list[Any]:
    """Return numbers as JSON takes them: one that is not finite, as of a point far outside, is 0."""
    finite = np.nan_to_num(np.asarray(values, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    rounded: list[Any] = np.round(finite, digits).tolist()
    return rounded


async def _tell(websocket: WebSocket, message: Mapping[str, Any]) -> None:
    """Send a message; raise one of `_GONE` where the client does not read, or has left."""
    text = json.dumps(message, separators=(",", ":"), allow_nan=False)
    if websocket.client_state is WebSocketState.DISCONNECTED:
        raise WebSocketDisconnect
    await asyncio.wait_for(websocket.send_text(text), SEND_TIMEOUT)


def _report(error: BaseException) -> None:
    """Print where the server itself failed, without anything of the client."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{PurePath(place.filename).name}:{place.lineno}"
    print(f"limner: {type(error).__name__} at {where} in a live session", file=sys.stderr, flush=True)


async def _close(websocket: WebSocket, code: int) -> None:
    """Close a connection that may be gone already."""
    with suppress(RuntimeError, *_GONE):
        await asyncio.wait_for(websocket.close(code), 1.0)
