"""A page that shows what a running command sees, where there is no display: `limner run --view`.

The page opens a WebSocket, `/v1/view`. It gets each image as a JPEG, in a binary message, once it has said that it
shows the one before: a slow viewer gets fewer of them, the newest, and holds nobody up. What it sends are JSON objects,
``{"shown": true}`` and ``{"action": "pause"}`` (see `limner.display.keys`, and "next" for still images).
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import deque
from contextlib import suppress
from types import TracebackType

import cv2
import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..display.keys import Action
from ..errors import OutputError
from ..types import MessageCallback
from . import runner
from .app import answer_with_file, page_files
from .guard import Guard, error_response
from .live import SEND_TIMEOUT, SUBPROTOCOL
from .options import ServeOptions

MAX_SIDE = 1920  # pixels that an image has on the page at most
QUALITY = 85  # of its JPEG
POLL_SECONDS = 0.2  # longest wait without a look around, so that Ctrl-C is handled
NEXT = "next"
_ACTIONS = {action.value: action for action in Action}


class View:
    """Shows images on a page for browsers of this machine, as `limner.display.window.Window` does in a window.

    Args:
        port: that the page is on; 0 takes a free one.
        say: called with the sentence that names the page.
        waits: entering it waits until somebody has opened the page, as nothing is left for those who come late.

    Raises:
        OutputError: the port cannot be used.
    """

    def __init__(self, port: int, say: MessageCallback, *, waits: bool = False) -> None:
        self._changed = threading.Condition()
        self._actions: deque[Action] = deque()
        self._goes_on = False  # the user has seen the still image
        self._image: np.ndarray | None = None  # the newest
        self._number, self._still = 0, False
        self._encoded: tuple[int, bytes] = (0, b"")
        self._encoding = threading.Lock()
        self._viewers: set[_Viewer] = set()
        self._came = threading.Event()  # somebody has opened the page
        self._ended = False
        options = ServeOptions(port=port)
        files = page_files()

        async def page(request: Request) -> Response:
            name = request.path_params.get("name", "view.html")
            return answer_with_file(request, files, name) if name in files else error_response(404, "no such page")

        app = Starlette(
            routes=[Route("/", page), Route("/page/{name}", page), WebSocketRoute("/v1/view", self._watch)],
        )
        try:
            self._server = runner.start(Guard(app, options), options)
        except OutputError as error:
            raise OutputError(str(error).replace("--port 0", "--view 0")) from None
        address = options.url(self._server.port)
        say(f"open {address} to watch; it begins then" if waits else f"open {address} to watch")
        self._waits = waits

    @property
    def port(self) -> int:
        """The port that the page is on."""
        return self._server.port

    def __enter__(self) -> View:
        while self._waits and not self._came.wait(POLL_SECONDS):
            pass
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._ended = True
        self._tell()
        end = time.monotonic() + 2  # for the last image
        while self._viewers and time.monotonic() < end:
            time.sleep(0.02)
        self._server.close()

    # -- the command -------------------------------------------------------------------------------

    def show(self, image: np.ndarray, seconds: float = 0.0) -> bool:
        """Show a still image until somebody goes on to the next; see `limner.display.screen.Screen`."""
        with self._changed:
            self._goes_on = False
        self._set(image, still=True)
        end = None if not seconds else time.monotonic() + seconds
        with self._changed:
            while True:
                if Action.QUIT in self._actions:
                    return False
                self._actions.clear()  # the others are for videos
                if self._goes_on or (end is not None and time.monotonic() >= end):
                    return True
                self._changed.wait(POLL_SECONDS)

    def play(self, image: np.ndarray) -> tuple[Action, ...]:
        """Show the next frame of a video; see `limner.display.screen.Screen`."""
        self._set(image, still=False)
        return self.wait(0.0)

    def wait(self, seconds: float | None = None) -> tuple[Action, ...]:
        """Wait for an action of somebody who watches; see `limner.display.screen.Screen`."""
        end = None if seconds is None else time.monotonic() + seconds
        with self._changed:
            while not self._actions:
                left = POLL_SECONDS if end is None else min(POLL_SECONDS, end - time.monotonic())
                if left <= 0:
                    return ()
                self._changed.wait(left)
            actions = tuple(self._actions)
            self._actions.clear()
            if Action.QUIT in actions:
                self._actions.append(Action.QUIT)  # it holds, as a closed window does
            return actions

    def _set(self, image: np.ndarray, *, still: bool) -> None:
        with self._changed:
            self._image, self._still = image, still
            self._number += 1
        self._tell()

    def _tell(self) -> None:
        """Wake those who watch."""
        for viewer in list(self._viewers):
            with suppress(RuntimeError):  # its loop has ended
                viewer.loop.call_soon_threadsafe(viewer.news.set)

    # -- those who watch, in the thread of the server ------------------------------------------------

    async def _watch(self, websocket: WebSocket) -> None:
        offered = websocket.scope.get("subprotocols") or ()
        await websocket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
        viewer = _Viewer()
        self._viewers.add(viewer)
        self._came.set()
        tasks = [asyncio.ensure_future(part(websocket, viewer)) for part in (self._send, self._receive)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with suppress(RuntimeError, OSError, WebSocketDisconnect, asyncio.TimeoutError):
                await asyncio.wait_for(websocket.close(1000), 1.0)
            self._viewers.discard(viewer)

    async def _send(self, websocket: WebSocket, viewer: _Viewer) -> None:
        """Send the newest image whenever the viewer is ready for one, until the command ends."""
        sent, still = 0, None
        viewer.news.set()
        while True:
            await viewer.news.wait()
            viewer.news.clear()
            if self._number > sent:
                await viewer.ready.wait()
                viewer.ready.clear()
                if still != self._still:
                    still = self._still
                    await websocket.send_text(json.dumps({"still": still}))
                sent, data = await viewer.loop.run_in_executor(None, self._jpeg)
                await asyncio.wait_for(websocket.send_bytes(data), SEND_TIMEOUT)
                viewer.news.set()  # there may be a newer one by now
            elif self._ended:
                await websocket.send_text(json.dumps({"ended": True}))
                return

    async def _receive(self, websocket: WebSocket, viewer: _Viewer) -> None:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            try:
                said = json.loads(message.get("text") or "")
            except (ValueError, RecursionError):
                continue
            if not isinstance(said, dict):
                continue
            if said.get("shown"):
                viewer.ready.set()
            self._do(said.get("action"))

    def _do(self, name: object) -> None:
        with self._changed:
            if name == NEXT:
                self._goes_on = True
            elif isinstance(name, str) and name in _ACTIONS and len(self._actions) < 32:
                self._actions.append(_ACTIONS[name])
            self._changed.notify_all()

    def _jpeg(self) -> tuple[int, bytes]:
        """Return the number of the newest image and its JPEG, which is made once for all who watch."""
        with self._encoding:
            with self._changed:
                number, image = self._number, self._image
            if number != self._encoded[0] and image is not None:
                self._encoded = (number, _encoded(image))
            return self._encoded


class _Viewer:
    """One page that is open."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.news, self.ready = asyncio.Event(), asyncio.Event()
        self.ready.set()


def _encoded(image: np.ndarray) -> bytes:
    factor = MAX_SIDE / max(image.shape[:2])
    if factor < 1:
        image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    data: bytes = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    return data
