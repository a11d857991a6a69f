"""Lists the images, videos and cameras that a user names."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..masking import masked, masked_text
from . import addresses, folders, messages, numbered, standard_input
from .content import holds_video
from .inputs import Input

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_CAMERA = re.compile(r"webcam(:\d+)?|\d{1,3}", re.IGNORECASE)


def expand(
    inputs: object, *, recursive: bool = False, results: Sequence[Path] = (), fps: float | None = None
) -> tuple[list[Input], list[InputError], list[str]]:
    """List the images, videos and cameras that ``inputs`` names, without opening any of them.

    Folders and patterns are put in natural order (``2.jpg`` before ``10.jpg``), and their hidden files
    are left out. An image named twice is listed twice. Outputs keep the folders below a searched folder or
    the fixed part of a pattern, see `Input.folder`; where several folders are given, they keep their names too.

    Args:
        inputs: A path, a folder, a pattern such as ``"photos/**/*.jpg"``, a URL (http, https, rtsp
            ...), a camera (``"webcam"``, ``"webcam:1"``, ``"/dev/video1"``, a number), numbered images that
            are one video (``"frames/%05d.png"``), ``"-"`` for standard input, an array (uint8 [H, W, 3]
            BGR or [H, W] grey), an `Input`, or a list or tuple of any of these.
        recursive: Search the folders in a folder too, but hidden ones; MMPose does not.
        results: Folders that are left out where they lie in a searched one.
        fps: Frames per second of images that are to be one video: those of a folder or pattern, or all that are
            named one by one.

    Returns:
        The images, videos and cameras; one error for each input without any, and each folder that cannot be
        read; and notices for the user about skipped files, which are not errors.
    """
    search = folders.Search(recursive, tuple(results))
    listings: list[folders.Listing] = []
    errors: list[InputError] = []
    count = 0
    memory = addresses.Memory()
    for entry in _flatten(inputs):
        try:
            found = _expand_entry(entry, count, listings, lambda text: _expand_text(text, search, fps, memory))
        except InputError as error:
            errors.append(error)
            continue
        listings.append(found)
        errors += found.errors
        count += len(found.items)
    if not listings and not errors:
        errors.append(InputError("the list of inputs is empty; give at least one image, video or camera"))
    if fps is not None:
        listings = numbered.join(listings)
    folders.keep_folders(listings)
    notices = [notice for found in listings for notice in found.notices]
    return [item for found in listings for item in found.items], errors, notices


def _expand_entry(
    entry: object, count: int, listings: Sequence[folders.Listing], expand_text: Callable[[str], folders.Listing]
) -> folders.Listing:
    """Return the inputs that one entry names, behind ``count`` others; raise InputError where there is none."""
    if isinstance(entry, np.ndarray):
        return folders.Listing([Input(name=f"{count:06d}.jpg", array=entry)])
    if isinstance(entry, Input):
        return folders.Listing([entry])
    if isinstance(entry, (str, os.PathLike)) and isinstance(text := os.fspath(entry), str):
        try:
            if text == standard_input.NAME and any(item.address == text for f in listings for item in f.items):
                raise InputError("standard input is given twice; it can be read once")
            found = expand_text(text)
        except InputError as error:
            error.source = masked_text(masked(text))  # a login may have no scheme before it
            raise
        found.text = text
        return found
    if isinstance(entry, int) and not isinstance(entry, bool) and entry >= 0:
        return folders.Listing([_camera_input(f"webcam:{entry}")])
    raise InputError(f"an input of type {type(entry).__name__} cannot be read; give a path, an array or a list")


def _flatten(inputs: object) -> Iterator[object]:
    if isinstance(inputs, (list, tuple)):
        for entry in inputs:
            yield from _flatten(entry)
    else:
        yield inputs


def _expand_text(text: str, search: folders.Search, fps: float | None, memory: addresses.Memory) -> folders.Listing:
    """Return the inputs that a text names; raise InputError where there is none."""
    if not text.strip():
        raise InputError("an input is an empty text; give an image, a video, a folder, a pattern, a URL or a camera")
    if text == standard_input.NAME:
        return folders.Listing([standard_input.standard_input()])
    if _URL.match(text):
        return folders.Listing([memory.look(text)])
    path = Path(os.path.expanduser(text))
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        # Only what does not exist is taken for a pattern, so "photo[1].jpg" on disk stays a file name.
        if numbered.is_numbered(text) and not folders.is_pattern(path):
            return numbered.expand_numbered(str(path), fps)
        if folders.is_pattern(path) and not os.path.islink(path):
            return folders.expand_pattern(str(path), search)
        if _CAMERA.fullmatch(text) or re.fullmatch(r"/dev/video\d+", text):
            return folders.Listing([_camera_input(text)])
        raise InputError(messages.missing(path)) from None
    except ValueError:
        raise InputError(f"{text!r} is not a path; check it for stray characters") from None
    except OSError as error:
        raise InputError(messages.unreadable(path, error)) from None
    if stat.S_ISDIR(mode):
        return folders.expand_folder(path, search)
    if stat.S_ISCHR(mode) and text.startswith("/dev/"):
        return folders.Listing([_camera_input(text)])
    if stat.S_ISFIFO(mode):
        return folders.Listing([standard_input.standard_input(path)])
    # A file that the user names is tried whatever its ending: the content decides.
    return folders.Listing([Input(path.name, path, is_video=holds_video(path))])


def _camera_input(text: str) -> Input:
    from ..video.camera import camera_number

    number = camera_number(text)
    if number is None:
        raise InputError(f"'{text}' is a device, not a file; give a camera as webcam:0 or /dev/video0")
    if text.isdigit():
        text = f"webcam:{number}"
    return Input("webcam.mp4" if text.lower() == "webcam" else f"webcam_{number}.mp4", address=text, is_video=True)


def look(inputs: Sequence[str]) -> tuple[list[str | Input], bool]:
    """Look at the URLs among inputs; return all, those as `Input`, and whether one is a camera or a live stream.

    An input that cannot be looked at stays a text: listing it raises the error.
    """
    looked: list[str | Input] = []
    memory = addresses.Memory()
    for text in inputs:
        entry: str | Input = text
        if _URL.match(text):
            with suppress(InputError):
                entry = memory.look(text)
        looked.append(entry)
    return looked, any(entry.is_live if isinstance(entry, Input) else _is_camera(entry) for entry in looked)


def _is_camera(text: str) -> bool:
    """Return whether a text that is no URL names a camera, whether there is one or not."""
    if not (_CAMERA.fullmatch(text) or text.startswith("/dev/")):
        return False
    try:
        return stat.S_ISCHR(os.stat(os.path.expanduser(text)).st_mode)
    except OSError:
        return bool(_CAMERA.fullmatch(text) or re.fullmatch(r"/dev/(?:video\d+|v4l/.*)", text))
