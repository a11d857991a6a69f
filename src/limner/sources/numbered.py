"""Images that are one video: named by a pattern with a number such as ``frames/%05d.png``, or given with a rate."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from ..files import IMAGE_SUFFIXES
from . import folders
from .inputs import Input

_NUMBER = re.compile(r"%\d{0,3}d")
_DEFAULT_FPS = 30  # see video.sequences, which is not loaded for images


def is_numbered(text: str) -> bool:
    """Return whether a text is the name of a file with a place for its number, as printf and FFmpeg have it."""
    return len(_NUMBER.findall(text)) == 1 and Path(text).suffix.lower() in IMAGE_SUFFIXES


def expand_numbered(text: str, fps: float | None) -> folders.Listing:
    """Return the images with a number in their name as one video, in the order of their numbers.

    Raises:
        InputError: there are none.
    """
    before, after = _NUMBER.split(text)
    digits = re.compile(re.escape(before) + r"(\d+)" + re.escape(after))
    found: dict[int, Path] = {}
    for path in sorted(glob.glob(f"{glob.escape(before)}*{glob.escape(after)}")):
        if (match := digits.fullmatch(path)) and _fits(text, match[1]) and not folders.is_pipe_or_device(Path(path)):
            found[int(match[1])] = Path(path)
    if not found:
        raise InputError(f"no file fits '{text}'; check its folder, and the digits: %05d stands for 00042")
    numbers = sorted(found)
    notices = [] if fps else [f"'{text}' is read as {_DEFAULT_FPS} frames per second; fps (--fps) sets another rate"]
    return folders.Listing([_one_video([found[n] for n in numbers], text)], [*_missing(text, numbers), *notices])


def join(listings: Sequence[folders.Listing]) -> list[folders.Listing]:
    """Make one video of the images of each folder or pattern, and one of all images that are named one by one.

    Those named one by one stay in their order, unless it is the alphabetical one, into which a shell puts them.
    """
    joined: list[folders.Listing] = []
    single: list[Path] = []
    place = 0
    for found in listings:
        paths = [item.path for item in found.items if item.path is not None and not item.is_video]
        if len(paths) != len(found.items) or not paths:
            joined.append(found)
        elif found.root is not None:
            joined.append(_joined(paths, found.text or str(found.root), found))
        else:
            place = place if single else len(joined)
            single += paths
    if len(single) > 1:
        if [*map(str, single)] == sorted(map(str, single)):
            single.sort(key=folders.natural_order)
        first, last = str(min(single)), str(max(single))
        common = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
        text = f"{first[:common]}*{single[0].suffix}"
        joined.insert(place, _joined(single, text, folders.Listing([])))
    elif single:
        joined.insert(place, folders.Listing([Input(single[0].name, single[0])]))
    return joined


def _joined(paths: list[Path], text: str, found: folders.Listing) -> folders.Listing:
    numbers = [int(digits[-1]) for path in paths if (digits := re.findall(r"\d+", path.stem))]
    missing = _missing(text, numbers) if len(numbers) == len(paths) and numbers == sorted(set(numbers)) else []
    return folders.Listing([_one_video(paths, text)], [*found.notices, *missing], found.errors)


def _one_video(paths: Sequence[Path], text: str) -> Input:
    """Return the input; its output files are named after what all names begin with, else after the folder."""
    fixed = re.split(r"[%*?\[]", Path(text).name)[0] if re.search(r"[%*?\[]", Path(text).name) else ""
    stem = fixed.rstrip("_-. 0123456789") or (Path(text).name if not fixed and Path(text).is_dir() else "")
    stem = stem or os.path.basename(os.path.abspath(paths[0].parent)) or "frames"
    return Input(f"{stem}.mp4", address=text, frames=tuple(paths), is_video=True)


def _fits(text: str, digits: str) -> bool:
    """Return whether digits are what printf would have written: %05d has at least five, %d no leading zeros."""
    directive = _NUMBER.findall(text)[0]
    return directive % int(digits) == digits


def _missing(text: str, numbers: list[int]) -> list[str]:
    count = numbers[-1] - numbers[0] + 1 - len(numbers)
    if not 0 < count <= 100 * len(numbers):
        return []
    between = (range(before + 1, after) for before, after in itertools.pairwise(numbers))
    gaps = list(itertools.islice(itertools.chain.from_iterable(between), 5))
    named = ", ".join(map(str, gaps)) + (f" and {count - 5} more" if count > 5 else "")
    return [f"'{text}': no image has the number {named}; frames are counted on without them"]
