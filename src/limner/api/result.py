"""What was found in one image, with the image itself: what a `Model` returns."""

from __future__ import annotations

import glob
import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from .. import types
from ..draw import DrawStyle, render
from ..errors import (
    ArgumentError,
    OutputError,
    check_arguments,
    check_flags,
    check_number,
    checks_call,
    expanded,
    missing_name,
)
from ..files import IMAGE_SUFFIXES, create_parent_folder, write_atomically
from ..formats.json_lines import json_line
from ..formats.mmpose_json import image_json
from ..images import ALPHA_SUFFIXES, encode_image, written_suffix
from ..types import Frame
from .elsewhere import DRAW_ARGUMENTS, RESULT_NAMES

if TYPE_CHECKING:
    import pandas
    import supervision

NOTEBOOK_SIDE = 1600  # pixels of an image that a notebook shows, at most
_STYLE = [f.name for f in fields(DrawStyle) if f.name != "draw_heatmap"]
_IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Result(types.Result):
    """What was found in one image or frame, with the image itself.

    ``len(result)`` is the number of instances (faces, people, hands ...), ``result[0]``, ``result[mask]`` and a loop
    over it give results of some of them, best box first. It holds no network: it can be pickled, copied, and sent to
    other processes; two results are equal where all their numbers are.
    """

    image: np.ndarray = field(repr=False)  # uint8 [H, W, 3], BGR: the caller's own array where it was one
    alpha: np.ndarray | None = field(default=None, repr=False)  # uint8 [H, W]: of an image that has it

    @classmethod
    def of(cls, frame: Frame, result: types.Result) -> Result:
        """Return a pipeline's result with the image that it was found in."""
        found = {f.name: getattr(result, f.name) for f in fields(types.Result)}
        return cls(**found, image=frame.image, alpha=frame.alpha)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the K keypoints."""
        return self.keypoint_set.names

    # -- drawn -------------------------------------------------------------------------------------

    @checks_call("plot", DRAW_ARGUMENTS)
    def plot(self, **style: Any) -> np.ndarray:
        """Return a new image with the keypoints drawn on this one: uint8 ``[H, W, 3]``, BGR.

        With a transparent background it is ``[H, W, 4]``, BGRA.

        Args:
            style: fields of `limner.draw.DrawStyle`: ``kpt_thr``, ``radius``, ``thickness``, ``draw_bbox``, ...

        Raises:
            ArgumentError: an unknown field or an impossible value.
        """
        return render(self.image, self, _style("plot", style))

    @checks_call("show", DRAW_ARGUMENTS)
    def show(self, seconds: float = 0.0, **style: Any) -> None:
        """Show the drawn image: below the cell of a notebook, or else in a window until a key is pressed.

        Args:
            seconds: how long a window stays at most; 0 waits for the key.
            style: see `plot`.

        Raises:
            OutputError: there is no display.
            MissingExtraError: the package for windows is not installed.
        """
        check_number("seconds", seconds, 0)
        drawn = render(self.image, self, _style("show", style))
        if (display := _notebook_display()) is not None:
            display({"image/png": _notebook_png(drawn)}, raw=True)
            return
        from ..display.window import Window

        with Window("limner", advice="leave show() out and use save()") as window:
            window.show(np.ascontiguousarray(drawn[..., :3]), seconds)

    def _repr_png_(self) -> bytes:
        """Return the drawn image for a notebook, which shows it where a result is the last line of a cell."""
        return _notebook_png(self.plot())

    # -- written -----------------------------------------------------------------------------------

    @checks_call("save", DRAW_ARGUMENTS)
    def save(self, path: str | os.PathLike[str], **style: Any) -> Path:
        """Write the result as what the path's ending says; return the path. An existing file is replaced.

        ==========================================  ====================================================
        ``.jpg .jpeg .png .webp .bmp .tif .tiff``   the drawn image
        ``.svg``                                    the drawing as vector paths, without the image
        ``.json``                                   the instances, in the form of MMPose's Inferencer
        ``.jsonl``                                  one line with source, size and instances
        ``.csv``                                    a row for each keypoint of each instance
        ==========================================  ====================================================

        Args:
            path: of the file; its folder is created.
            style: of a drawing, see `plot`.

        Raises:
            ArgumentError: another ending, or a style for numbers.
            OutputError: it cannot be written, or is the file that the image comes from.
        """
        if not isinstance(path, (str, os.PathLike)) or not isinstance(os.fspath(path), str):
            raise ArgumentError(f"save needs the path of a file, not {type(path).__name__}")
        path = expanded(path)
        ending = path.suffix.lower()
        writers: dict[str, Callable[[], bytes]] = {
            **dict.fromkeys(_IMAGES, lambda: self._encoded(path, style)),
            ".svg": lambda: self._svg(style).encode("utf-8"),
            ".json": lambda: image_json(self),
            ".jsonl": lambda: (json_line(self) + "\n").encode("ascii"),
            ".csv": self._csv,
        }
        if ending not in writers:
            raise ArgumentError(
                f"'{path}' ends with '{ending}', in which no result is written; end it with one of {', '.join(writers)}"
                if ending
                else f"'{path}' has no ending to say what is written; end it with one of {', '.join(writers)}"
            )
        if style and ending in (".json", ".jsonl", ".csv"):
            raise ArgumentError(f"'{path}' holds numbers and no drawing, so {', '.join(style)} has no effect there")
        self._check_not_source(path)
        content = writers[ending]()
        create_parent_folder(path)
        write_atomically(path, content)
        return path

    def _check_not_source(self, path: Path) -> None:
        """Raise OutputError where a file is the source of the image, or one of several files that are."""
        if _is_input(path, self.source):
            raise OutputError(f"'{path}' is the input itself and would be overwritten; choose another name")

    def _encoded(self, path: Path, style: dict[str, Any]) -> bytes:
        image = self._with_alpha if path.suffix.lower() in ALPHA_SUFFIXES else self.image
        return encode_image(render(image, self, _style("save", style)), written_suffix(path.suffix), str(path))

    @property
    def _with_alpha(self) -> np.ndarray:
        return Frame(self.image, alpha=self.alpha).with_alpha

    def _svg(self, style: dict[str, Any]) -> str:
        from ..draw.svg import svg

        return svg(self, _style("save", style), self._with_alpha)

    def _csv(self) -> bytes:
        from ..formats.table import tidy_csv

        return tidy_csv(self).encode("utf-8")

    @checks_call("to_json")
    def to_json(self) -> str:
        """Return what `save` writes as ``.json``: the instances in the form of MMPose's Inferencer."""
        return image_json(self).decode("ascii")

    @checks_call("to_dict")
    def to_dict(self) -> dict[str, Any]:
        """Return what a line of ``.jsonl`` holds: source, frame_id, timestamp, size, keypoint_set and instances.

        All of it are plain lists, texts and numbers; numbers that are not finite are None.
        """
        record: dict[str, Any] = json.loads(json_line(self))
        return record

    @checks_call("to_df")
    def to_df(self) -> pandas.DataFrame:
        """Return `to_dataframe`, under the name that it has elsewhere."""
        return self.to_dataframe()

    @checks_call("to_dataframe")
    def to_dataframe(self, *, wide: bool = False) -> pandas.DataFrame:
        """Return a pandas DataFrame with a row for each keypoint of each instance, the columns of ``.csv``.

        Without instances it has no rows.

        Args:
            wide: a row for each instance, with ``NAME_x``, ``NAME_y`` and ``NAME_score`` for each keypoint.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        from ..formats.arrays import to_dataframe

        check_flags({"wide": wide})
        table = to_dataframe(self, wide=wide)
        return table if len(self) else table.iloc[:0]

    @checks_call("to_numpy")
    def to_numpy(self) -> np.ndarray:
        """Return x, y (pixels) and score of all keypoints, float32 ``[N, K, 3]``, as a new array."""
        from ..formats.rows import to_numpy

        return to_numpy(self)

    @checks_call("to_supervision")
    def to_supervision(self, *, kpt_thr: float = 0.3) -> supervision.KeyPoints:
        """Return the instances as ``supervision.KeyPoints``, for its annotators; boxes and track ids are in ``data``.

        Args:
            kpt_thr: the least score of a keypoint that is visible.

        Raises:
            MissingExtraError: supervision is not installed.
        """
        from ..formats.supervision import to_supervision

        check_number("kpt_thr", kpt_thr, 0)
        return to_supervision(self, keypoint_thr=kpt_thr)

    if not TYPE_CHECKING:  # type checkers know which names there are

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(missing_name("a result", name, RESULT_NAMES, dir(type(self))))


def _style(method: str, style: dict[str, Any]) -> DrawStyle:
    check_arguments(method, style, _STYLE, DRAW_ARGUMENTS)
    return DrawStyle(**style)


def _is_input(path: Path, source: str) -> bool:
    """Return whether an existing file is the source of an image, or one of several: of a folder, a pattern, numbers."""
    if "://" in source:
        return False
    try:
        named = Path(os.path.expanduser(source))
        if not path.exists():
            return False
        if named.is_dir():
            return path.suffix.lower() in IMAGE_SUFFIXES and path.parent.samefile(named)
        if named.exists():
            return path.samefile(named)
        several = (
            glob.glob(re.sub(r"%0?\d*d", "[0-9]*", str(named)), recursive=True) if re.search(r"[%*?\[]", source) else []
        )
        return any(path.samefile(file) for file in several)
    except (OSError, ValueError):  # a source that is no path
        return False


def _notebook_display() -> Callable[..., Any] | None:
    """Return what shows something below the cell of a notebook that runs; None elsewhere."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import display

    return display


def _notebook_png(image: np.ndarray) -> bytes:
    factor = NOTEBOOK_SIDE / max(image.shape[:2])
    if factor < 1:
        image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return encode_image(image, ".png", "the drawn image")
