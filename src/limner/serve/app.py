"""The routes of a server, and how errors become answers."""

from __future__ import annotations

import hashlib
import sys
import traceback
from dataclasses import dataclass
from importlib import resources
from pathlib import PurePosixPath

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp

from ..errors import ArgumentError, InputError, LimnerError, OutputError
from . import live, openapi, wire
from .batcher import BusyError
from .guard import Guard, error_response
from .limits import RefusedError
from .metrics import CONTENT_TYPE
from .predict import predict
from .served import NotFoundError, Served
from .video import drawing, predict_video

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
}
_SMALL = 1_000_000  # bytes of a body that is read to its end though its request is refused


@dataclass(frozen=True)
class _File:
    content: bytes
    media_type: str
    etag: str


def build(served: Served) -> ASGIApp:
    """Return what answers all requests for a server, guarded."""
    files = page_files()

    async def page(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        return answer_with_file(request, files, name)

    async def docs(request: Request) -> Response:
        return answer_with_file(request, files, "api.html")

    app = Starlette(
        routes=[
            Route("/", page),
            Route("/page/{name}", page),
            Route("/docs", docs),
            Route("/openapi.json", openapi_document),
            Route("/healthz", healthz),
            Route("/metrics", metrics),
            Route("/v1/models", models),
            Route("/v1/models/{name:path}", model),
            Route("/v1/predict", predict, methods=["POST"]),
            Route("/v1/predict/video", predict_video, methods=["POST"]),
            Route("/v1/drawings/{name}", drawing, methods=["GET", "DELETE"]),
            WebSocketRoute("/v1/live", live.live),
        ],
        exception_handlers={
            LimnerError: _answer_error,
            HTTPException: _answer_http_error,
            ClientDisconnect: _answer_nobody,
            Exception: _answer_failure,
        },
    )
    app.state.served = served
    return Guard(app, served.options, served.metrics)


def page_files() -> dict[str, _File]:
    """Return the files of the page, by their names: read once, so that no request reaches the file system."""
    found = {}
    for entry in (resources.files(__package__) / "page").iterdir():
        media_type = _TYPES.get(PurePosixPath(entry.name).suffix)
        if media_type is not None:
            content = entry.read_bytes()
            found[entry.name] = _File(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:20]}"')
    return found


def answer_with_file(request: Request, files: dict[str, _File], name: str) -> Response:
    if name not in files:
        raise NotFoundError("there is no such page")
    file = files[name]
    headers = {"ETag": file.etag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == file.etag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)


async def healthz(request: Request) -> Response:
    """Answer ``GET /healthz``."""
    stopping = _served(request).stopping.is_set()
    return JSONResponse({"status": "stopping" if stopping else "ok"}, 503 if stopping else 200)


async def metrics(request: Request) -> Response:
    """Answer ``GET /metrics``."""
    return Response(_served(request).metrics.text(), headers={"Content-Type": CONTENT_TYPE})


async def models(request: Request) -> Response:
    """Answer ``GET /v1/models``."""
    served = _served(request)
    found = []
    for name in served.names:
        kind = served.open(name).keypoint_set.kind if served.is_open(name) else None
        found.append({"name": name, "default": name == served.names[0], "kind": kind})
    return JSONResponse({"models": found})


async def model(request: Request) -> Response:
    """Answer ``GET /v1/models/NAME``, for which the model is opened."""
    served = _served(request)
    name = served.checked(request.path_params["name"])
    pipeline = await served.pipeline(name)
    keypoints = wire.keypoint_set(pipeline.keypoint_set)
    return JSONResponse(
        {"name": name, "kind": keypoints["kind"], "keypoint_set": keypoints, "devices": pipeline.devices}
    )


async def openapi_document(request: Request) -> Response:
    """Answer ``GET /openapi.json``."""
    served = _served(request)
    return JSONResponse(openapi.document(served.names, served.options))


def _served(connection: HTTPConnection) -> Served:
    served: Served = connection.app.state.served
    return served


# -- errors ----------------------------------------------------------------------------------------


async def _answer_error(request: Request, error: Exception) -> Response:
    """Say in one sentence what was not done."""
    headers = {}
    if isinstance(error, BusyError):
        status, headers = 429, {"Retry-After": str(error.retry_after)}
    elif isinstance(error, RefusedError):
        status, headers = error.status, error.headers
    else:  # a model that cannot be opened is not the client's fault
        status = 400 if isinstance(error, (ArgumentError, InputError, OutputError)) else 503
    length = request.headers.get("content-length", "" if "transfer-encoding" in request.headers else "0")
    if not (length.isdigit() and int(length) <= _SMALL):
        headers = {**headers, "Connection": "close"}  # what is left of its body is not read
    return error_response(status, str(error).splitlines()[0], headers)


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentences = {404: "there is no such page", 405: f"{request.method} does nothing here"}
    headers = {**(error.headers or {}), "Connection": "close"}
    return error_response(error.status_code, sentences.get(error.status_code, error.detail), headers)


async def _answer_nobody(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it


async def _answer_failure(request: Request, error: Exception) -> Response:
    """Print where the server itself failed, without anything of the request."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{PurePosixPath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
    print(f"limner: {type(error).__name__} at {where} while answering a request", file=sys.stderr, flush=True)
    return error_response(500, "the server failed; whoever runs it finds more in its messages", {"Connection": "close"})
