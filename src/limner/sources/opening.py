"""Opens one image, video or camera."""

from __future__ import annotations

import io
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ArgumentError, InputError
from ..images import decode_alpha, decode_image, image_from_array, is_image
from ..types import Frame, MessageCallback
from ..video.animations import animation_of
from . import messages, standard_input
from .addresses import MAX_BYTES, fetch, fetch_file
from .inputs import Input

if TYPE_CHECKING:
    from ..video.camera import CameraSource
    from ..video.options import VideoOptions
    from ..video.reader import VideoSource
    from ..video.sequences import ImageSequence


def read(item: Input, max_pixels: int | None = None) -> Frame:
    """Read one image as BGR, with the pixel values of ``cv2.imread`` (and so of MMPose).

    The orientation in EXIF is applied.

    Args:
        item: an image that `expand` lists.
        max_pixels: its most pixels; None takes the usual limits, see `limner.images.limits`.

    Raises:
        InputError: The image is missing, unreadable, damaged, cut short, far too large, or an
            array of another shape or dtype; or the file holds several images, of which none is chosen silently.
    """
    if item.array is not None:
        return Frame(image_from_array(item.array, item.name), source=item.source)
    if item.is_video or (item.path is None and not item.address):
        raise InputError(f"the item {item.name!r} is not an image; open videos and cameras with open_video()")
    if item.problem:
        raise InputError(item.problem)
    data = item.data or (fetch(item.address) if item.path is None else _read_bytes(item.path))
    refuse_animation(data, item.source)
    if item.address == standard_input.NAME:
        return replace(decode(data, "standard input", max_pixels), source=item.source)
    return decode(data, item.source, max_pixels)


def why_unreadable(item: Input) -> InputError | None:
    """Return why an image cannot be read, where the first bytes of its file are of none; None where they may be."""
    if item.is_video or item.path is None or not item.path.is_file():
        return None
    try:
        with item.path.open("rb") as file:
            if is_image(file.read(64)):
                return None
        read(item)
    except OSError:
        return None  # reading it will raise the error
    except InputError as error:
        error.source = item.source
        return error
    return None


def decode(data: bytes, name: str, max_pixels: int | None = None) -> Frame:
    """Return the content of an image file, with its alpha channel if it has one.

    Raises:
        InputError: see `decode_image`.
    """
    remarks: list[str] = []
    image = decode_image(data, name, remarks, max_pixels=max_pixels)
    return Frame(image, source=name, alpha=decode_alpha(data, image), remark="; ".join(remarks))


def refuse_animation(data: bytes, name: str) -> None:
    """Refuse the content of a file with several images where one image is read.

    Raises:
        InputError: it is an animation, or has several pages.
    """
    animation = animation_of(io.BytesIO(data))
    if animation is not None:
        several = f"{animation.count} images" if animation.count else "several images"
        raise InputError(
            f"'{name}' holds {several} ({animation.kind}), where one is needed; give its file as a video: "
            "model.watch(path), or `limner run`"
        )


def open_video(
    item: Input, options: VideoOptions | None = None, *, info: MessageCallback | None = None
) -> CameraSource | VideoSource | ImageSequence:
    """Open a video, a stream, a camera, an animation, or numbered images.

    Args:
        item: a video or camera that `expand` lists.
        options: `camera_size`, `camera_fps`, `fps`, `start`, `end`, `every`, `rotate` and `max_pixels` of them count;
            None takes their defaults.
        info: called with a sentence where a camera does not do what is requested, or a file is damaged.

    Raises:
        InputError: it does not exist, cannot be read, does not respond, or ends before the start.
        ArgumentError: an option that is of no use for it.
    """
    from ..video import sequences
    from ..video.camera import CameraSource
    from ..video.options import VideoOptions
    from ..video.reader import VideoSource

    if item.problem:
        raise InputError(item.problem)
    options = options or VideoOptions()
    cut, most = options.cut, options.max_pixels
    check_video_options(item, options)
    if item.frames:
        return sequences.NumberedImages(item.frames, item.source, options.fps, cut=cut, info=info, max_pixels=most)
    if item.is_camera:
        return CameraSource(item.address, options.camera_size, options.camera_fps, rotate=cut.rotate, info=info)
    # a pipe has no file behind its name that could be looked into
    animation = animation_of(item.path) if item.path is not None and item.path.is_file() else None
    if animation is not None and item.path is not None:
        if animation.kind == "TIFF":
            return sequences.Pages(
                item.path, animation, options.fps, name=item.source, cut=cut, info=info, max_pixels=most
            )
        if options.fps is not None:
            raise ArgumentError(f"'{item.source}' has its own times, and fps is for numbered images and pages")
        if animation.kind in ("WebP", "AVIF"):
            return sequences.AnimatedImage(item.path, animation, name=item.source, cut=cut, info=info, max_pixels=most)
    stream = fetch_file(item.address) if item.whole else item.stream
    video = VideoSource(item.location, cut=cut, stream=stream, fps=options.fps, info=info, max_pixels=most)
    if video.count is None and animation is not None:  # FFmpeg does not count the images of a PNG
        video.count = cut.count(animation.count, video.fps * cut.every)
    return video


def check_video_options(item: Input, options: VideoOptions) -> None:
    """Check, without opening it, that the options for videos are of use for an input.

    Raises:
        ArgumentError: start, end or every of a camera or a live stream; a camera's size or rate of a file; fps of
            a video that has a rate.
    """
    if item.is_live and options.cut.shortens:
        raise ArgumentError(f"{item.source} is live, and start, end and every are for files; leave them out")
    if options.fps is not None and not item.frames and item.stream is None and item.path is None:
        hint = "camera_fps (--camera-fps) is for cameras" if item.is_camera else "leave it out"
        raise ArgumentError(f"{item.source} has a rate of its own, and fps is for numbered images and pages; {hint}")


def _read_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not (stat.S_ISREG(status.st_mode) or stat.S_ISFIFO(status.st_mode)):
                raise InputError(f"'{path}' is a device, not a file; give an image file")
            if status.st_size > MAX_BYTES:
                raise InputError(f"'{path}' is {status.st_size >> 20} MB, too large for an image; give an image file")
            return file.read()
    except IsADirectoryError:
        raise InputError(f"'{path}' is a folder where an image is needed; give a file in it") from None
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(messages.missing(path)) from None
    except OSError as error:
        raise InputError(messages.unreadable(path, error)) from None
