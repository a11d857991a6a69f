"""Where frames come from: paths, folders, patterns and arrays are listed first, then read one by one.

`expand` looks at names only, so a folder of any size costs no pixels; `read` opens one picture at a
time. What a user got wrong comes back from `expand` as a list, so one bad name in a hundred does not
stop the other ninety-nine.
"""

from __future__ import annotations

import glob
import itertools
import os
import re
import stat
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from .errors import InputError, suggest
from .files import PICTURE_SUFFIXES
from .types import Frame

# fmt: off
VIDEO_SUFFIXES = frozenset((
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ogv",
))
# fmt: on

MAX_PIXELS = 1 << 28  # 0.8 GB once decoded: more than any camera takes, less than a hostile file may ask for
MAX_BYTES = 1 << 30  # of one picture file


@dataclass(frozen=True, eq=False)
class Item:
    """One picture that was named but not read yet: either a path or an array."""

    name: str  # file name, or "000000.jpg" for an array: what its outputs are called
    path: Path | None = None
    array: np.ndarray | None = None  # uint8 [H, W, 3] BGR or [H, W] grey

    @property
    def stem(self) -> str:
        return Path(self.name).stem

    @property
    def suffix(self) -> str:
        return Path(self.name).suffix

    @property
    def source(self) -> str:
        return "array" if self.path is None else str(self.path)


def expand(inputs: object) -> tuple[list[Item], list[InputError], list[str]]:
    """List the pictures that ``inputs`` names, without reading any of them.

    Folders are not searched recursively, as in MMPose; they and patterns are put in natural order
    (``2.jpg`` before ``10.jpg``), and their hidden files are left out. A picture named twice is
    listed twice.

    Args:
        inputs: A path, a folder, a pattern such as ``"photos/**/*.jpg"``, an array (uint8 [H, W, 3]
            BGR or [H, W] grey), or a list or tuple of any of these.

    Returns:
        The pictures; one error for each input that gives none, and for each video; and notices for
        the user about what was skipped in passing, which are no failures.
    """
    items: list[Item] = []
    errors: list[InputError] = []
    notices: list[str] = []
    for entry in _flatten(inputs):
        if isinstance(entry, np.ndarray):
            items.append(Item(name=f"{len(items):06d}.jpg", array=entry))
        elif isinstance(entry, (str, os.PathLike)) and isinstance(text := os.fspath(entry), str):
            try:
                found, refused, skipped = _expand_text(text)
            except InputError as error:
                errors.append(error)
                continue
            items += found
            errors += refused
            notices += skipped
        else:
            errors.append(
                InputError(f"an input of type {type(entry).__name__} cannot be read; give a path, an array or a list")
            )
    if not items and not errors:
        errors.append(InputError("the list of inputs is empty; name at least one picture"))
    return items, errors, notices


def read(item: Item) -> Frame:
    """Read one picture as BGR, with the pixel values of ``cv2.imread`` (and so of MMPose).

    The orientation in EXIF is applied; of an animation or of several pages the first is taken.

    Raises:
        InputError: The picture is missing, unreadable, damaged, cut short, far too large, or an
            array of another shape or dtype.
    """
    if item.array is not None:
        return Frame(_from_array(item.array, item.name), source=item.source)
    if item.path is None:
        raise InputError(f"the item {item.name!r} has neither a path nor an array; make items with expand()")
    return Frame(decode_picture(_read_bytes(item.path), item.source), source=item.source)


# -- listing ---------------------------------------------------------------------------------------


def _flatten(inputs: object) -> Iterator[object]:
    if isinstance(inputs, (list, tuple)):
        for entry in inputs:
            yield from _flatten(entry)
    else:
        yield inputs


def _expand_text(text: str) -> tuple[list[Item], list[InputError], list[str]]:
    """List what one path, folder or pattern names; raise InputError where it names nothing."""
    if not text.strip():
        raise InputError("an input is an empty text; name a picture, a folder or a pattern")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text):
        raise InputError(f"{text} is an address, which this version cannot read; download it and give the file")
    path = Path(os.path.expanduser(text))
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        # Only what does not exist is taken for a pattern, so "photo[1].jpg" on disk stays a file name.
        if any(c in text for c in "*?["):
            return _expand_pattern(str(path))
        if re.fullmatch(r"webcam(:\d+)?", text):
            raise InputError(
                f"the camera '{text}' cannot be read by this version; save pictures from it and give their folder"
            ) from None
        raise InputError(_missing(path)) from None
    except ValueError:
        raise InputError(f"{text!r} is not a path; check it for stray characters") from None
    except OSError as error:
        raise InputError(_unreadable(path, error)) from None
    if stat.S_ISDIR(mode):
        return _expand_folder(path)
    if path.suffix.lower() in VIDEO_SUFFIXES:
        raise _video(path)
    # A file that the user names is tried whatever its ending: the content decides.
    return [Item(path.name, path)], [], []


def _expand_pattern(pattern: str) -> tuple[list[Item], list[InputError], list[str]]:
    try:
        paths = [Path(p) for p in glob.glob(pattern, recursive=True) if not os.path.isdir(p)]
    except re.error:  # Python 3.10 on an impossible range such as [z-a]
        paths = []
    if not paths:
        raise InputError(f"the pattern '{pattern}' matches no file; check the folder and the ending in it")
    items, errors, others = _sort_out(paths)
    if not items and not errors:
        raise InputError(f"the pattern '{pattern}' matches no picture, only {_some(others)}")
    return items, errors, [f"skipped what is no picture in '{pattern}': {_some(others)}"] if others else []


def _expand_folder(folder: Path) -> tuple[list[Item], list[InputError], list[str]]:
    try:
        paths = [folder / name for name in os.listdir(folder) if not name.startswith(".")]
    except OSError as error:
        raise InputError(_unreadable(folder, error)) from None
    files = [path for path in paths if not os.path.isdir(path)]
    items, errors, others = _sort_out(files)
    if not items and not errors:
        if not paths:
            raise InputError(f"the folder '{folder}' is empty; give a folder of pictures")
        inside = _some(others) if others else f"{len(paths)} folders" if len(paths) > 1 else "a folder"
        pattern = folder / "**" / "*.jpg"
        raise InputError(f"the folder '{folder}' holds no picture, only {inside}; to search deeper give '{pattern}'")
    return items, errors, [f"skipped what is no picture in '{folder}': {_some(others)}"] if others else []


def _sort_out(paths: list[Path]) -> tuple[list[Item], list[InputError], list[str]]:
    """Split the files of a folder or pattern, in natural order, into pictures, videos and names of others."""
    items: list[Item] = []
    errors: list[InputError] = []
    others: list[str] = []
    for path in sorted(paths, key=_natural_order):
        suffix = path.suffix.lower()
        if suffix in PICTURE_SUFFIXES:
            items.append(Item(path.name, path))
        elif suffix in VIDEO_SUFFIXES:
            # Not a notice: the user most likely wants the video's keypoints and does not get them.
            errors.append(_video(path))
        else:
            others.append(path.name)
    return items, errors, others


def _natural_order(path: Path) -> tuple[list[list[tuple[int, int, str]]], str]:
    """Sort key by which digits count as numbers, folder by folder; the plain text settles ties."""
    parts = [
        [(0, int(t), "") if t.isdigit() else (1, 0, t.casefold()) for t in re.findall(r"[0-9]+|[^0-9]+", part)]
        for part in path.parts
    ]
    return parts, str(path)


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown


def _video(path: Path) -> InputError:
    return InputError(
        f"'{path}' is a video, which this version cannot read; turn it into pictures, "
        f"for example with ffmpeg -i '{path}' frame_%06d.png, and give their folder"
    )


def _missing(path: Path) -> str:
    parent = path.parent
    if not os.path.isdir(parent):
        return f"'{path}' does not exist, nor does its folder '{parent}'; check the path"
    try:
        with os.scandir(parent) as entries:
            near = suggest(path.name, [entry.name for entry in itertools.islice(entries, 1000)])
    except OSError:
        near = ""
    return f"'{path}' does not exist; check the path" + (f".{near}" if near else "")


def _unreadable(path: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"'{path}' cannot be read: permission denied; change its permissions or run as a user who may read it"
    return f"'{path}' cannot be read: {(error.strerror or str(error)).lower()}; check the path"


# -- pictures --------------------------------------------------------------------------------------

_SIGNATURES = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("WebP", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    ("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]")),
    ("BMP", re.compile(rb"BM.{8}", re.DOTALL)),
    ("JPEG 2000", re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51")),
    ("AVIF", re.compile(rb"....ftyp(?:avi[fs]|mif1|msf1)", re.DOTALL)),
    ("HEIC", re.compile(rb"....ftyp(?:hei[cxms]|hev[cx])", re.DOTALL)),
    ("PNM", re.compile(rb"P[1-7]\s")),
)

# What libjpeg, libpng and older releases of OpenCV print; anything else seen on stderr belongs to somebody else.
_LIBRARY_TEXT = re.compile(
    rb"(?:libpng (?:warning|error)|Corrupt JPEG data|Premature end of JPEG|Invalid SOS parameters|Unsupported marker"
    rb"|Warning: unknown JFIF|Inconsistent progression|Unknown Adobe color)[^\n]*\n?"
    rb"|imdecode_\('[^\n]*\n*"
)

_SEGMENT = re.compile(rb"\xff[^\x00\x01\xd0-\xd9\xff]")  # a JPEG marker that has a length behind it

_decoding = threading.Lock()


def decode_picture(data: bytes, name: str) -> np.ndarray:
    """Decode the content of one picture file to BGR, uint8 [H, W, 3].

    Alpha is dropped, not blended: those are the values that MMPose sees, and no background has to be
    invented. 16 bits are scaled to 8 over their full range, as in ``cv2.imread``.

    Args:
        data: The whole file.
        name: What errors call the picture.

    Raises:
        InputError: ``data`` is no picture, is damaged or cut short, or is larger than MAX_PIXELS.
    """
    if not data:
        raise InputError(f"'{name}' is empty (0 bytes); replace it by a picture")
    kind = next((kind for kind, signature in _SIGNATURES if signature.match(data)), None)
    if kind is None:
        raise InputError(f"'{name}' is no picture of a known kind; give a JPEG, PNG, WebP, TIFF, BMP or GIF file")
    if kind == "HEIC":
        raise InputError(f"'{name}' is a HEIC picture, which cannot be read; convert it to JPEG or PNG first")
    size, complete = _jpeg_header(data) if kind == "JPEG" else (_declared_size(kind, data), True)
    if size is not None and size[0] * size[1] > MAX_PIXELS:
        raise InputError(
            f"'{name}' is too large: {size[0]} x {size[1]} pixels where at most {MAX_PIXELS} in all are read; "
            "scale it down first"
        )
    # OpenCV's answer to a JPEG without its end depends on the version: grey, old memory, or None.
    image, printed = _imdecode(data, name) if complete else (None, b"")
    if image is None or b"premature end" in printed.lower():
        raise InputError(
            f"'{name}' is damaged or cut short, or is a kind of {kind} that OpenCV {cv2.__version__} cannot read; "
            "copy it again or save it anew as JPEG or PNG"
        )
    return image


def _imdecode(data: bytes, name: str) -> tuple[np.ndarray | None, bytes]:
    """Decode with OpenCV; return the picture, or None, and what its libraries printed."""
    # Older releases of OpenCV 4 have the one, newer ones the other; 0 is silence.
    set_log_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
    with _decoding, _stderr_kept() as printed:  # one at a time, so that the text belongs to this picture
        level = set_log_level(0)
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error as error:
            if "CV_IO_MAX_IMAGE" not in str(error) and error.code != cv2.Error.StsNoMem:
                return None, b""
            raise InputError(f"'{name}' is too large to decode; scale it down first") from None
        finally:
            set_log_level(level)
    return image, bytes(printed)


@contextmanager
def _stderr_kept() -> Iterator[bytearray]:
    """Keep what C libraries print to stderr; the yielded bytes hold it once the block has ended.

    Text of other threads that falls into the same moment is passed on.
    """
    printed = bytearray()
    try:
        saved = None if os.name == "nt" else os.dup(2)  # a full pipe would block on Windows
    except OSError:
        saved = None  # a service without stderr: nothing can be printed
    if saved is None:
        yield printed
        return
    reader, writer = os.pipe()  # needs no disk; non-blocking, so no library can print so much that it hangs
    try:
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        os.dup2(writer, 2)
        yield printed
    finally:
        os.dup2(saved, 2)
        os.close(writer)
        with suppress(OSError):  # nothing printed while a child process holds the pipe, or stderr is gone
            printed += os.read(reader, 1 << 16)
            os.write(saved, _LIBRARY_TEXT.sub(b"", bytes(printed)))
        os.close(reader)
        os.close(saved)


def _declared_size(kind: str, data: bytes) -> tuple[int, int] | None:
    """Read (width, height) from the header where a small file can promise a huge picture."""
    place = {"PNG": (">II", 16), "GIF": ("<HH", 6)}.get(kind)
    if place is None or len(data) < place[1] + struct.calcsize(place[0]):
        return None
    width, height = struct.unpack_from(place[0], data, place[1])
    return width, height


def _jpeg_header(data: bytes) -> tuple[tuple[int, int] | None, bool]:
    """Walk the segments of a JPEG: (width, height) if given, and whether the data reaches its end marker.

    The end marker is looked for behind the segments, as thumbnails inside them have one of their own.
    Layout: ITU-T T.81, annex B.
    """
    size = None
    position = 2
    while (found := _SEGMENT.search(data, position)) and found.start() + 9 <= len(data):
        marker = found.start()
        code = data[marker + 1]
        if 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):  # a frame header
            height, width = struct.unpack_from(">HH", data, marker + 5)
            size = (width, height)
        position = marker + 2 + int(struct.unpack_from(">H", data, marker + 2)[0])
        if code == 0xDA:  # start of scan: behind it 0xFF is escaped, so the end marker is unambiguous
            return size, data.find(b"\xff\xd9", position) >= 0
    return size, False


def _read_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not (stat.S_ISREG(status.st_mode) or stat.S_ISFIFO(status.st_mode)):
                raise InputError(f"'{path}' is a device, not a file; give a picture file")
            if status.st_size > MAX_BYTES:
                raise InputError(f"'{path}' is {status.st_size >> 20} MB, too large for a picture; give a picture file")
            return file.read()
    except IsADirectoryError:
        raise InputError(f"'{path}' is a folder where a picture is needed; give a file in it") from None
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(_missing(path)) from None
    except OSError as error:
        raise InputError(_unreadable(path, error)) from None


def _from_array(array: np.ndarray, name: str) -> np.ndarray:
    """Return ``array`` as BGR, uint8 [H, W, 3], without a copy where it is that already."""
    colour = array.ndim == 3 and array.shape[2] == 3
    if array.dtype != np.uint8 or not (colour or array.ndim == 2) or array.size == 0:
        raise InputError(
            f"the array '{name}' has shape {list(array.shape)} and dtype {array.dtype} where uint8 "
            "[height, width, 3] in BGR order, or [height, width] grey, is needed; convert it first"
        )
    return np.ascontiguousarray(array if colour else cv2.cvtColor(array, cv2.COLOR_GRAY2BGR))
