"""The routes of single images: an upload in, what is found in it out, as numbers or as a drawing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from . import asked as requests
from .forms import FORMS, chosen, content
from .limits import Held
from .served import Found, Served
from .upload import Upload, receive

T = TypeVar("T")


async def predict(request: Request) -> Response:
    """Answer ``POST /v1/predict``."""
    served: Served = request.app.state.served
    began = time.perf_counter()
    asked = requests.parse(request.query_params, requests.IMAGE)
    client = served.client_of(request)
    served.checked(asked.get("model"))
    with served.memory.holder() as held, served.batcher.admitted(client) as arrived:
        data, upload = await _read(request, served, held)
        asked = {**requests.parse(upload.fields, requests.IMAGE), **asked}
        form = chosen(asked, request.headers.get("accept", ""), FORMS)
        style = requests.style(asked)
        label = requests.label(asked.get("name") or upload.filename, "image")
        uploaded = time.perf_counter() - began
        answer = served.predict(asked.get("model"), data, client, held, label, arrived)
        found = await while_connected(request, answer)
        result = found.result
        if "bbox_thr" in asked:
            result = result[result.boxes.scores > asked["bbox_thr"]]
        if "max_boxes" in asked:
            result = result[: asked["max_boxes"]]
        pipeline = await served.pipeline(asked.get("model"))
        timings = {"upload": 1000 * uploaded, **found.timings, "total": 1000 * (time.perf_counter() - began)}
        name = served.checked(asked.get("model"))
        body = await served.in_image_thread(content, form, result, style, pipeline, name, timings)
    return Response(body, media_type=form.media_type, headers=_headers(found))


def _headers(found: Found) -> dict[str, str]:
    steps = ", ".join(f"{step};dur={value:.1f}" for step, value in found.timings.items())
    return {"Server-Timing": steps, "Vary": "Accept"}


async def _read(request: Request, served: Served, held: Held) -> tuple[bytes, Upload]:
    pieces: list[bytes] = []

    def write(data: bytes) -> None:
        held.add(len(data))
        pieces.append(data)

    upload = await receive(request, served.options.max_image_bytes, served.options, write)
    return b"".join(pieces), upload


async def while_connected(request: Request, answer: Awaitable[T]) -> T:
    """Return what is awaited, and give it up as soon as the client of a request is gone.

    Raises:
        ClientDisconnect: it is gone.
    """
    task = asyncio.ensure_future(answer)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        for other in (task, gone):
            other.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
