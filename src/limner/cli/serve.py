"""`limner serve`: a page for people and an HTTP API for programs."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from ..errors import ArgumentError, MissingExtraError, is_installed
from . import run_options as opt
from .common import OTHER, SERVE_PACKAGES, echo, in_group, info

if TYPE_CHECKING:
    from ..pipeline import Pipeline

option, switch = in_group("Server")

Models = Annotated[
    list[str] | None,
    option(
        "Model: a name that `limner models list` shows, or a .pth, .onnx, .zip or config of your own (default: "
        "face-lite). Given several times, clients choose; the first is the default.",
        "NAME",
        "--model",
        "-m",
        rich_help_panel="Model",
    ),
]
Host = Annotated[
    str, option("Address to listen on; 0.0.0.0 lets others in the network in (default: 127.0.0.1).", "ADDRESS")
]
Port = Annotated[int, option("Port to listen on; 0 takes a free one (default: 8000).", "PORT", min=0, max=65535)]
Open = Annotated[bool, switch("--open", "Open the page in the browser.")]
Token = Annotated[
    str | None,
    option(
        "Ask clients for this token; auto makes one. Needed unless only this machine reaches the server.",
        "TOKEN",
        envvar="LIMNER_TOKEN",
        show_envvar=False,
    ),
]
CertFile = Annotated[str | None, option("Serve https with this certificate (PEM).", "FILE", "--certfile")]
KeyFile = Annotated[str | None, option("The key of the certificate (PEM).", "FILE", "--keyfile")]
AllowHost = Annotated[
    list[str] | None, option("Name by which clients reach the server too, as behind a proxy; may be repeated.", "NAME")
]
Proxy = Annotated[
    str, option("Address of a proxy in front, whose X-Forwarded-For tells who asks.", "ADDRESS", hidden=True)
]
MaxBatch = Annotated[int, option("Most images in one call of the networks (default: 8).", "N", min=1, hidden=True)]
MaxWait = Annotated[
    float, option("Refuse images that would wait longer (default: 5).", "SECONDS", min=0.01, hidden=True)
]
MaxImageMb = Annotated[float, option("Largest image, in MB (default: 32).", "MB", min=0.001, hidden=True)]
MaxVideoMb = Annotated[float, option("Largest video, in MB (default: 512).", "MB", min=0.001, hidden=True)]
MaxPixels = Annotated[float, option("Largest image, in megapixels (default: 50).", "MP", min=0.001, hidden=True)]
MaxSeconds = Annotated[float, option("Longest video (default: 600).", "SECONDS", min=0.1, hidden=True)]
MaxVideos = Annotated[int, option("Videos that are processed at a time (default: 2).", "N", min=1, hidden=True)]
MaxLive = Annotated[int, option("Live sessions at a time (default: 16).", "N", min=1, hidden=True)]
MaxConnections = Annotated[int, option("Open connections (default: 512).", "N", min=8, hidden=True)]
Quiet = Annotated[bool, switch("--quiet", "Print nothing but errors.", "-q", rich_help_panel=OTHER)]


def serve(
    model: Models = None,
    weights: opt.Weights = None,
    keypoints: opt.Keypoints = None,
    det: opt.Det = None,
    det_weights: opt.DetWeights = None,
    bbox_thr: opt.BboxThr = None,
    det_size: opt.DetSize = None,
    tile: opt.Tile = "off",
    max_boxes: opt.MaxBoxes = None,
    no_flip: opt.NoFlip = False,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    open_page: Open = False,
    token: Token = None,
    certfile: CertFile = None,
    keyfile: KeyFile = None,
    allow_host: AllowHost = None,
    proxy: Proxy = "",
    batch: MaxBatch = 8,
    max_wait: MaxWait = 5.0,
    max_image_mb: MaxImageMb = 32.0,
    max_video_mb: MaxVideoMb = 512.0,
    max_megapixels: MaxPixels = 50.0,
    max_seconds: MaxSeconds = 600.0,
    max_videos: MaxVideos = 2,
    max_live: MaxLive = 16,
    max_connections: MaxConnections = 512,
    device: opt.Device = None,
    backend: opt.Backend = "auto",
    precision: opt.Precision = "auto",
    quiet: Quiet = False,
    _all: opt.HelpAll = False,
) -> None:
    """Open a page for cameras, images and videos, and an HTTP API for programs.

    \b
    limner serve --open                      the page, in the browser
    limner serve -m face-lite -m hand        clients choose the model
    curl --data-binary @photo.jpg localhost:8000/v1/predict
    limner serve --host 0.0.0.0 --token auto --certfile cert.pem --keyfile key.pem
    """
    if not all(map(is_installed, SERVE_PACKAGES)):
        raise MissingExtraError("limner serve", "serve")
    from .. import loading
    from ..jobs.progress import show_download_progress
    from ..serve.options import ServeOptions

    names = list(dict.fromkeys(model or ["face-lite"]))
    of_one = {
        "--weights": weights,
        "--keypoints": keypoints,
        "--det": det,
        "--det-weights": det_weights,
        "--det-size": det_size,
    }
    given = [name for name, value in of_one.items() if value is not None]
    if len(names) > 1 and given:
        raise ArgumentError(f"{' and '.join(given)} can be given for one model, and {len(names)} are; give one --model")
    if det is not None and det.lower() == "none":
        raise ArgumentError("--det none leaves nothing to find: leave it out, or give --det whole-image")
    if token is not None and token.strip().lower() == "auto":
        token = secrets.token_urlsafe(24)
    options = ServeOptions(
        host=host,
        port=port,
        token=token or None,
        allow_hosts=tuple(allow_host or ()),
        proxy=proxy,
        certfile=certfile,
        keyfile=keyfile,
        batch=batch,
        longest_wait=max_wait,
        max_image_bytes=round(max_image_mb * 1e6),
        max_video_bytes=round(max_video_mb * 1e6),
        max_pixels=round(max_megapixels * 1e6),
        max_seconds=max_seconds,
        max_videos=max_videos,
        max_live=max_live,
        max_connections=max_connections,
    )

    def opener(name: str) -> Callable[[], Pipeline]:
        def open_model() -> Pipeline:
            return loading.load(
                name,
                weights=weights,
                keypoints=keypoints,
                det=det,
                det_weights=det_weights,
                bbox_thr=bbox_thr,
                device=device,
                backend=backend,
                precision=precision,
                flip=not no_flip,
                det_size=det_size,
                tile=tile,
                max_boxes=max_boxes,
                progress=None if quiet else show_download_progress,
                info=_nothing if quiet else info,
            )

        return open_model

    _serve({_shown(name): opener(name) for name in names}, options, open_page=open_page, quiet=quiet)


def _serve(models: dict[str, Callable[[], Pipeline]], options: object, *, open_page: bool, quiet: bool) -> None:
    """Open the first model, and serve until the end."""
    from ..serve import app, runner
    from ..serve.options import ServeOptions
    from ..serve.served import Served

    assert isinstance(options, ServeOptions)
    served = Served(models, options)
    try:
        served.open()

        def started(port: int) -> None:
            url = options.url(port)
            page = url if options.token is None else f"{url}/#token={options.token}"
            if not quiet:
                echo(f"limner: serving {', '.join(served.names)} on {url}")
                if options.token is not None:
                    info(f"the page: {page}")
            if open_page:
                import webbrowser

                webbrowser.open(page)

        runner.serve_app(
            app.build(served),
            options,
            started=started,
            on_stop=served.stop,
            changed=served.metrics.connections.set,
        )
    finally:
        served.close()


def _shown(model: str) -> str:
    """Return what clients call a model: of a file its name alone, as its folder is not their business."""
    from ..masking import masked

    return masked(os.path.basename(os.path.normpath(model)) if os.sep in model else model)


def _nothing(message: str) -> None:
    """Print no message: --quiet."""
