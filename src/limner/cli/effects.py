"""Which options of `limner run` have an effect on which inputs: one without any is an error, never ignored.

Where images and videos are given together, an option for videos applies to the videos.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import zoo
from ..errors import ArgumentError

if TYPE_CHECKING:
    from ..sources import Input


@dataclass(frozen=True)
class Run:
    """What a run reads and writes, as far as options need it."""

    items: Sequence[Input]
    folders: bool  # a folder is among the inputs
    drawn: bool  # drawn images are written or shown
    videos_written: bool  # drawn videos are written into files
    files: bool  # anything is written into files
    lines: bool  # a file of JSON Lines is written
    boxes: bool  # boxes are drawn

    def any_video(self) -> bool:
        """Whether a video, stream or camera is among the inputs."""
        return any(item.is_video for item in self.items)

    def any_file_of_video(self) -> bool:
        """Whether a video that is not live is among the inputs."""
        return any(item.is_video and not item.is_live for item in self.items)

    def any_camera(self) -> bool:
        """Whether a camera is among the inputs."""
        return any(item.is_camera for item in self.items)

    def any_stream(self) -> bool:
        """Whether a camera or stream is among the inputs; a URL of http may be one."""
        return any(item.is_live or (item.is_video and "://" in item.address) for item in self.items)


# fmt: off
_DRAWING = (
    "kpt_thr", "draw_bbox", "draw_heatmap", "radius", "thickness", "show_kpt_idx", "background", "color", "alpha",
    "parts", "no_dots", "no_lines", "no_labels", "skeleton_style",
)
# fmt: on
# names of parameters of `run`, what they need, and what they are for
_Rule = tuple[tuple[str, ...], Callable[[Run], bool], str]
_RULES: tuple[_Rule, ...] = (
    (
        ("max_frames", "det_interval", "smooth", "no_track", "rotate", "headless"),
        Run.any_video,
        "videos and cameras, and no input is one",
    ),
    (("start", "end", "every"), Run.any_file_of_video, "videos that are files, and no input is one"),
    (("fps",), Run.any_video, "images that are one video: a folder, a pattern or several of them"),
    (("camera_size", "camera_fps"), Run.any_camera, "cameras, and no input is one"),
    (("reconnect_timeout",), Run.any_stream, "cameras and streams, and no input is one"),
    (("recursive",), lambda run: run.folders, "folders, and no input is one"),
    (
        _DRAWING,
        lambda run: run.drawn,
        "drawn images, and none are written or shown: give --out or --show too",
    ),
    (
        ("no_labels",),
        lambda run: run.boxes or run.any_video(),
        "track ids and scores: images have labels with --draw-bbox only",
    ),
    (
        ("keep_audio", "no_audio"),
        lambda run: run.videos_written and run.any_file_of_video(),
        "drawn videos of files, and none is written",
    ),
    (
        ("overwrite", "skip_existing"),
        lambda run: run.files,
        "files, and none are written: give --out, --json or --jsonl",
    ),
    (("append",), lambda run: run.lines, "--jsonl FILE, which is not given"),
)


def check_tile(tile: str) -> None:
    """Raise ArgumentError where tiles have no effect."""
    if tile.strip().lower() in ("1", "1x1"):
        raise ArgumentError(f"--tile {tile} has no effect: one tile is the whole image; give auto, 3x2 or the like")


def check_flip(model: str) -> None:
    """Raise ArgumentError where a model takes no flip test that --no-flip could leave out."""
    info = zoo.find(model)
    if info is not None and info.bundled is not None:
        raise ArgumentError(f"--no-flip has no effect: {model} takes no flip test, as most models of OpenMMLab do")


def check(given: Mapping[str, str], run: Run, follow: str | None = None) -> None:
    """Check that each option that is given has an effect.

    Args:
        given: the names of their parameters, and how they are written on the command line.
        run: what the run reads and writes.
        follow: the person who is followed.

    Raises:
        ArgumentError: one has none.
    """
    for names, has_effect, purpose in _RULES:
        idle = [given[name] for name in names if name in given]
        if idle and not has_effect(run):
            has, it = ("has", "it is") if len(idle) == 1 else ("have", "they are")
            raise ArgumentError(f"{' and '.join(idle)} {has} no effect: {it} for {purpose}")
    if follow is not None and follow.strip().lower().startswith("id:"):
        image = next((item for item in run.items if not item.is_video), None)
        if image is not None:
            raise ArgumentError(
                f"--follow {follow} names a track id, which the image '{image.source}' has not: "
                "give largest, center or a pixel X,Y"
            )
