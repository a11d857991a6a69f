"""Lists the images, videos and cameras that a user names."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import numpy as np

from ..errors import InputError
from ..files import without_password
from . import folders, messages, numbered, standard_input
from .content import holds_video
from .inputs import Input

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
            BGR or [H, W] grey), or a list or tuple of any of these.
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
    for entry in _flatten(inputs):
        if isinstance(entry, np.ndarray):
            listings.append(folders.Listing([Input(name=f"{count:06d}.jpg", array=entry)]))
            count += 1
        elif isinstance(entry, (str, os.PathLike)) and isinstance(text := os.fspath(entry), str):
            try:
                if text == standard_input.NAME and any(item.address == text for f in listings for item in f.items):
                    raise InputError("standard input is given twice; it can be read once")
                found = _expand_text(text, search, fps)
            except InputError as error:
                error.source = without_password(text)
                errors.append(error)
                continue
            found.text = text
            listings.append(found)
            errors += found.errors
            count += len(found.items)
        elif isinstance(entry, int) and not isinstance(entry, bool) and entry >= 0:
            listings.append(folders.Listing([_camera_input(f"webcam:{entry}")]))
            count += 1
        else:
            errors.append(
                InputError(f"an input of type {type(entry).__name__} cannot be read; give a path, an array or a list")
            )
    if not listings and not errors:
        errors.append(InputError("the list of inputs is empty; give at least one image, video or camera"))
    if fps is not None:
        listings = numbered.join(listings)
    folders.keep_folders(listings)
    notices = [notice for found in listings for notice in found.notices]
    return [item for found in listings for item in found.items], errors, notices


def _flatten(inputs: object) -> Iterator[object]:
    if isinstance(inputs, (list, tuple)):
        for entry in inputs:
            yield from _flatten(entry)
    else:
        yield inputs


def _expand_text(text: str, search: folders.Search, fps: float | None) -> folders.Listing:
    """Return the inputs that a text names; raise InputError where there is none."""
    if not text.strip():
        raise InputError("an input is an empty text; give an image, a video, a folder, a pattern, a URL or a camera")
    if text == standard_input.NAME:
        return folders.Listing([standard_input.standard_input()])
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text):
        return folders.Listing([_input_at_address(text)])
    path = Path(os.path.expanduser(text))
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        # Only what does not exist is taken for a pattern, so "photo[1].jpg" on disk stays a file name.
        if any(c in text for c in "*?["):
            return folders.expand_pattern(str(path), search)
        if numbered.is_numbered(text):
            return numbered.expand_numbered(str(path), fps)
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


def _input_at_address(text: str) -> Input:
    """Return the input at a URL: an image where it ends like one, else a video or stream."""
    from ..video.inputs import is_video

    try:
        parts = urlsplit(text)
    except ValueError:
        raise InputError(f"{without_password(text)} is not a valid URL; check it for stray characters") from None
    if parts.scheme.lower() == "file":
        path = Path(unquote(parts.path))
        return Input(path.name, path, is_video=holds_video(path))
    name = PurePosixPath(unquote(parts.path)).name or (parts.hostname or "stream").replace(".", "_")
    name = re.sub(r'[\\/:*?"<>|\x00-\x1f]', "_", name)[:100]
    return Input(name, address=text, is_video=parts.scheme.lower() not in ("http", "https") or is_video(text))
