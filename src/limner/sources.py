"""Where frames come from: paths, folders, patterns, URLs, cameras and arrays are listed first, then opened.

`expand` only lists names, so a large folder costs no memory for pixels; `read` opens one image and
`open_video` one video or camera. Errors of single inputs are returned by `expand` as a list, so that
one bad name in a hundred does not stop the other ninety-nine.
"""

from __future__ import annotations

import glob
import itertools
import os
import re
import stat
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import numpy as np

from .errors import ArgumentError, InputError, suggest
from .files import IMAGE_SUFFIXES, VIDEO_SUFFIXES, without_password
from .images import decode_image, image_from_array, is_image
from .types import Frame, MessageCallback

if TYPE_CHECKING:
    from urllib.request import Request

    from .video.camera import CameraSource
    from .video.reader import VideoSource

MAX_BYTES = 1 << 30  # of one image file
FETCH_TIMEOUT = 20.0  # seconds within which a server of images has to respond

_CAMERA = re.compile(r"webcam(:\d+)?", re.IGNORECASE)


ImageLike = str | Path | np.ndarray  # an image as users give it: a path, or uint8 [H, W, 3] BGR or [H, W] grey


@dataclass(frozen=True, eq=False)
class Input:
    """One image, video or camera that was named but not opened yet."""

    name: str  # file name, or "000000.jpg" for an array; its output files are named after it
    path: Path | None = None  # of a file
    array: np.ndarray | None = None  # uint8 [H, W, 3] BGR or [H, W] grey
    address: str = ""  # where it is not a file: http://..., rtsp://..., webcam:1
    is_video: bool = False  # a video or a camera, not an image

    @property
    def stem(self) -> str:
        return Path(self.name).stem

    @property
    def suffix(self) -> str:
        return Path(self.name).suffix

    @property
    def source(self) -> str:
        """Its name in messages and outputs; a password in a URL is left out."""
        return without_password(self.address) or ("array" if self.path is None else str(self.path))

    @property
    def location(self) -> str:
        """The path or URL to open."""
        return self.address or str(self.path)


def expand(inputs: object) -> tuple[list[Input], list[InputError], list[str]]:
    """List the images, videos and cameras that ``inputs`` names, without opening any of them.

    Folders are not searched recursively, as in MMPose; they and patterns are put in natural order
    (``2.jpg`` before ``10.jpg``), and their hidden files are left out. An image named twice is
    listed twice.

    Args:
        inputs: A path, a folder, a pattern such as ``"photos/**/*.jpg"``, a URL (http, https, rtsp
            ...), a camera (``"webcam"``, ``"webcam:1"``, ``"/dev/video1"``), an array (uint8 [H, W, 3]
            BGR or [H, W] grey), or a list or tuple of any of these.

    Returns:
        The images, videos and cameras; one error for each input without any; and notices for the user
        about skipped files, which are not errors.
    """
    items: list[Input] = []
    errors: list[InputError] = []
    notices: list[str] = []
    for entry in _flatten(inputs):
        if isinstance(entry, np.ndarray):
            items.append(Input(name=f"{len(items):06d}.jpg", array=entry))
        elif isinstance(entry, (str, os.PathLike)) and isinstance(text := os.fspath(entry), str):
            try:
                listed, skipped = _expand_text(text)
            except InputError as error:
                errors.append(error)
                continue
            items += listed
            notices += skipped
        else:
            errors.append(
                InputError(f"an input of type {type(entry).__name__} cannot be read; give a path, an array or a list")
            )
    if not items and not errors:
        errors.append(InputError("the list of inputs is empty; give at least one image, video or camera"))
    return items, errors, notices


def read(item: Input) -> Frame:
    """Read one image as BGR, with the pixel values of ``cv2.imread`` (and so of MMPose).

    The orientation in EXIF is applied; of an animation or a file with several pages the first image is read.

    Raises:
        InputError: The image is missing, unreadable, damaged, cut short, far too large, or an
            array of another shape or dtype.
    """
    if item.array is not None:
        return Frame(image_from_array(item.array, item.name), source=item.source)
    if item.is_video or (item.path is None and not item.address):
        raise InputError(f"the item {item.name!r} is not an image; open videos and cameras with open_video()")
    data = _fetch(item.address) if item.path is None else _read_bytes(item.path)
    return Frame(decode_image(data, item.source), source=item.source)


def read_one(image: ImageLike) -> Frame:
    """Return one image that is given as a path or as an array, uint8 ``[H, W, 3]`` BGR or ``[H, W]`` grey.

    Raises:
        InputError: it cannot be read.
        ArgumentError: it is a folder or a pattern of several images.
    """
    items, errors, _ = expand(image)
    if errors:
        raise errors[0]
    if len(items) != 1:
        raise ArgumentError(f"'{image}' names {len(items)} images where one is needed; give the path of one image")
    return read(items[0])


def open_video(
    item: Input,
    *,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    info: MessageCallback | None = None,
) -> CameraSource | VideoSource:
    """Open a video, a stream or a camera.

    Args:
        item: a video or camera that `expand` lists.
        size: requested (width, height) of a camera in pixels.
        fps: requested frames per second of a camera.
        info: called with a sentence where a camera does not do what is requested, or a file is damaged.

    Raises:
        InputError: it does not exist, cannot be read, or does not respond.
    """
    from .video.camera import CameraSource, camera_number
    from .video.reader import VideoSource

    address = item.location
    if camera_number(address) is not None:
        return CameraSource(address, size, fps, info=info)
    return VideoSource(address, info=info)


# -- listing ---------------------------------------------------------------------------------------


def _flatten(inputs: object) -> Iterator[object]:
    if isinstance(inputs, (list, tuple)):
        for entry in inputs:
            yield from _flatten(entry)
    else:
        yield inputs


def _expand_text(text: str) -> tuple[list[Input], list[str]]:
    """Return the inputs that a text names, and notices about skipped files; raise InputError where there is none."""
    if not text.strip():
        raise InputError("an input is an empty text; give an image, a video, a folder, a pattern, a URL or a camera")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text):
        return [_input_at_address(text)], []
    path = Path(os.path.expanduser(text))
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        # Only what does not exist is taken for a pattern, so "photo[1].jpg" on disk stays a file name.
        if any(c in text for c in "*?["):
            return _expand_pattern(str(path))
        if _CAMERA.fullmatch(text) or re.fullmatch(r"/dev/video\d+", text):
            return [_camera_input(text)], []
        raise InputError(_missing_message(path)) from None
    except ValueError:
        raise InputError(f"{text!r} is not a path; check it for stray characters") from None
    except OSError as error:
        raise InputError(_unreadable_message(path, error)) from None
    if stat.S_ISDIR(mode):
        return _expand_folder(path)
    if stat.S_ISCHR(mode) and text.startswith("/dev/"):
        return [_camera_input(text)], []
    # A file that the user names is tried whatever its ending: the content decides.
    return [Input(path.name, path, is_video=_is_video_file(path))], []


def _camera_input(text: str) -> Input:
    from .video.camera import camera_number

    number = camera_number(text)
    if number is None:
        raise InputError(f"'{text}' is a device, not a file; give a camera as webcam:0 or /dev/video0")
    return Input("webcam.mp4" if text.lower() == "webcam" else f"webcam_{number}.mp4", address=text, is_video=True)


def _input_at_address(text: str) -> Input:
    """Return the input at a URL: an image where it ends like one, else a video or stream."""
    from .video.inputs import is_video

    try:
        parts = urlsplit(text)
    except ValueError:
        raise InputError(f"{without_password(text)} is not a valid URL; check it for stray characters") from None
    if parts.scheme.lower() == "file":
        path = Path(unquote(parts.path))
        return Input(path.name, path, is_video=_is_video_file(path))
    name = PurePosixPath(unquote(parts.path)).name or (parts.hostname or "stream").replace(".", "_")
    name = re.sub(r'[\\/:*?"<>|\x00-\x1f]', "_", name)[:100]
    return Input(name, address=text, is_video=parts.scheme.lower() not in ("http", "https") or is_video(text))


def _is_video_file(path: Path) -> bool:
    """Return whether a file is a video: by its suffix, or by its content where that is unknown."""
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES or suffix in VIDEO_SUFFIXES or not path.is_file():
        return suffix in VIDEO_SUFFIXES
    try:
        with path.open("rb") as file:
            if is_image(file.read(64)):
                return False
    except OSError:
        return False  # reading it will raise the error
    from .video.inputs import is_video

    return is_video(path)


def _expand_pattern(pattern: str) -> tuple[list[Input], list[str]]:
    try:
        paths = [Path(p) for p in glob.glob(pattern, recursive=True) if not os.path.isdir(p)]
    except re.error:  # Python 3.10 on an impossible range such as [z-a]
        paths = []
    if not paths:
        raise InputError(f"the pattern '{pattern}' matches no file; check its folder and suffix")
    items, others = _split_files(paths)
    if not items:
        raise InputError(f"the pattern '{pattern}' matches no image or video, only {_shortened(others)}")
    return items, [
        f"skipped files that are not images or videos in '{pattern}': {_shortened(others)}"
    ] if others else []


def _expand_folder(folder: Path) -> tuple[list[Input], list[str]]:
    try:
        paths = [folder / name for name in os.listdir(folder) if not name.startswith(".")]
    except OSError as error:
        raise InputError(_unreadable_message(folder, error)) from None
    files = [path for path in paths if not os.path.isdir(path)]
    items, others = _split_files(files)
    if not items:
        if not paths:
            raise InputError(f"the folder '{folder}' is empty; give a folder of images or videos")
        inside = _shortened(others) if others else f"{len(paths)} folders" if len(paths) > 1 else "a folder"
        pattern = folder / "**" / "*.jpg"
        raise InputError(
            f"the folder '{folder}' holds no image or video, only {inside}; to search deeper give '{pattern}'"
        )
    return items, [f"skipped files that are not images or videos in '{folder}': {_shortened(others)}"] if others else []


def _split_files(paths: list[Path]) -> tuple[list[Input], list[str]]:
    """Split the files of a folder or pattern, in natural order, into inputs and the names of other files."""
    items: list[Input] = []
    others: list[str] = []
    for path in sorted(paths, key=_natural_order):
        suffix = path.suffix.lower()
        if suffix in IMAGE_SUFFIXES or suffix in VIDEO_SUFFIXES:
            items.append(Input(path.name, path, is_video=suffix in VIDEO_SUFFIXES))
        else:
            others.append(path.name)
    return items, others


def _natural_order(path: Path) -> tuple[list[list[tuple[int, int, str]]], str]:
    """Return a sort key in which digits count as numbers, folder by folder; ties are decided by the plain text."""
    parts = [
        [(0, int(t), "") if t.isdigit() else (1, 0, t.casefold()) for t in re.findall(r"[0-9]+|[^0-9]+", part)]
        for part in path.parts
    ]
    return parts, str(path)


def _shortened(names: list[str]) -> str:
    first = ", ".join(names[:5])
    return f"{first} and {len(names) - 5} more" if len(names) > 5 else first


def _missing_message(path: Path) -> str:
    parent = path.parent
    if not os.path.isdir(parent):
        return f"'{path}' does not exist, nor does its folder '{parent}'; check the path"
    try:
        with os.scandir(parent) as entries:
            suggestion = suggest(path.name, [entry.name for entry in itertools.islice(entries, 1000)])
    except OSError:
        suggestion = ""
    return f"'{path}' does not exist; check the path" + (f".{suggestion}" if suggestion else "")


def _unreadable_message(path: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"'{path}' cannot be read: permission denied; change its permissions or run as a user who may read it"
    return f"'{path}' cannot be read: {(error.strerror or str(error)).lower()}; check the path"


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
        raise InputError(_missing_message(path)) from None
    except OSError as error:
        raise InputError(_unreadable_message(path, error)) from None


def _fetch(address: str) -> bytes:
    """Return the content of an image on a web server."""
    from urllib.error import HTTPError  # loads what files do without
    from urllib.request import urlopen

    display_name = without_password(address)
    try:
        with urlopen(_request(address), timeout=FETCH_TIMEOUT) as response:
            data: bytes = response.read(MAX_BYTES + 1)
    except HTTPError as error:
        raise InputError(f"{display_name} cannot be read: its server answers {error.code}; check the URL") from None
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "reason", None) or error).lower()
        raise InputError(f"{display_name} cannot be read: {reason}; check the URL and the network") from None
    if len(data) > MAX_BYTES:
        raise InputError(
            f"{display_name} is more than {MAX_BYTES >> 20} MB, too large for an image; give an image file"
        )
    return data


def _request(address: str) -> Request:
    """Return the request for a URL that may hold a user and password."""
    from urllib.request import Request

    parts = urlsplit(address)
    if parts.username is None:
        return Request(address)
    credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return Request(address, headers={"Authorization": f"Basic {b64encode(credentials).decode()}"})
