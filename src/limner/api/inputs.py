"""What the caller gives: one image, several, or a video."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import sources
from ..errors import ArgumentError, said
from ..masking import masked
from ..sources import Input
from ..types import MessageCallback
from ..video.options import VideoOptions

if TYPE_CHECKING:
    from ..video.camera import CameraSource
    from ..video.reader import VideoSource
    from ..video.sequences import ImageSequence

    OpenedSource = CameraSource | VideoSource | ImageSequence


def is_several(images: object) -> bool:
    """Return whether something is several images, and not one image in any of its forms."""
    if isinstance(images, (str, bytes, bytearray, memoryview, os.PathLike)) or hasattr(images, "read"):
        return False
    if hasattr(images, "__array__"):
        shape, kind = getattr(images, "shape", ()), getattr(getattr(images, "dtype", None), "kind", "")
        return len(shape) == 4 or (len(shape) == 1 and kind in "OUST" and kind != "")  # images, or paths in an array
    return isinstance(images, Iterable) and not isinstance(images, dict)


def are_kept(images: object) -> bool:
    """Return whether several images stay as they are while others are read: false where they may share a buffer."""
    return isinstance(images, (list, tuple, str, os.PathLike)) or hasattr(images, "__array__")


def check_callback(name: str, function: object, what: str) -> None:
    """Raise ArgumentError unless something is None or a function that takes ``what``."""
    if function is not None and not callable(function):
        raise ArgumentError(f"{name} is {said(function)} where a function that takes {what} is needed, such as print")


def opener(source: object, options: VideoOptions, info: MessageCallback | None) -> Callable[[], OpenedSource]:
    """Return what opens the source of a video; raise where it is none, or where an option is of no use for it."""
    if is_several(source):
        if options.camera_size is not None or options.camera_fps is not None:
            raise ArgumentError("camera_size and camera_fps are for cameras, not for images of your own")
        return lambda: _frames_of(source, options)
    if isinstance(source, np.integer):
        source = int(source)
    if isinstance(source, int) and not isinstance(source, bool) and source < 0:
        raise ArgumentError(f"watch takes a camera's number from 0 on, not {source}")
    if not isinstance(source, (str, os.PathLike, int)) or isinstance(source, bool):
        raise ArgumentError(
            f"watch takes a path, a URL, a camera, or the frames of a video, not one {type(source).__name__}: "
            "an image goes to the model itself, and frames one by one to model.tracker()"
        )
    items, errors, _ = sources.expand(source, fps=options.fps)
    if errors:
        raise errors[0]
    name = masked(str(source))
    if len(items) != 1 or not items[0].is_video:
        what = "an image" if len(items) == 1 else f"{len(items)} files"
        advice = "call the model itself" if len(items) == 1 else f"model.each('{name}') takes them one by one, and"
        more = "" if len(items) == 1 else " watch with fps=25 as one video"
        raise ArgumentError(f"'{name}' is {what}, not one video or camera: {advice}{more}")
    item: Input = items[0]
    if not item.is_camera and (options.camera_size is not None or options.camera_fps is not None):
        raise ArgumentError(f"'{name}' is no camera, and camera_size and camera_fps are for cameras: leave them out")
    sources.check_video_options(item, options)
    return lambda: sources.open_video(item, options, info=info)


def _frames_of(images: Any, options: VideoOptions) -> ImageSequence:
    """Return images of the caller as the frames of a video."""
    from ..video.sequences import Arrays

    if options.max_frames is not None and not options.cut.shortens and iter(images) is images:
        images = itertools.islice(images, options.max_frames)  # take no more of an iterator than are needed
    copies = not are_kept(images)
    return Arrays(
        images,
        options.fps,
        cut=options.cut,
        convert=lambda image, _: sources.read_one(image, copy=copies, max_pixels=options.max_pixels),
    )
