"""The output files and the window of a call of `MMPoseInferencer`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..display.window import Window
from ..errors import ArgumentError
from ..files import IMAGE_SUFFIXES
from ..jobs.plan import identities, refuse_inputs
from ..sources import Input
from ..types import Result
from ..writers import ImageWriter, JsonWriter
from .inferencer_arguments import CallArguments

if TYPE_CHECKING:
    from ..display.player import Player
    from ..jobs.video import VideoOutputs
    from ..video.pipeline import CurrentStyle, VideoPipeline

_log = logging.getLogger(__name__)


class CallOutputs:
    """The outputs of a call, all opened before any processing."""

    def __init__(self, call: CallArguments, items: Sequence[Input], stack: ExitStack) -> None:
        count = len(items)
        self._read = identities(items)
        self.closed = False  # the user has closed the window
        self._wait = call.wait_time
        self._single: Path | None = None  # vis_out_dir where it is a file, for a single image
        self._images: ImageWriter | None = None
        self._json: JsonWriter | None = None
        if call.images_folder:
            folder = Path(call.images_folder)
            if folder.suffix.lower() in IMAGE_SUFFIXES and not folder.is_dir():
                if count != 1:
                    raise ArgumentError(
                        f"vis_out_dir is the file '{folder}', and there are {count} images: give a folder"
                    )
                self._single, folder = folder, folder.parent
            self._images = stack.enter_context(ImageWriter(folder))
        if call.json_folder:
            self._json = stack.enter_context(JsonWriter(call.json_folder))
        self._window: Window | None = None
        if call.show:
            self._window = stack.enter_context(Window("limner", "leave show out and give vis_out_dir"))

    def check(self, item: Input, stem: str) -> None:
        """Raise OutputError where an output of an input is an input itself, this one or another."""
        if self._images is not None:
            name = self._images.video_path if item.is_video else self._images.path
            refuse_inputs(name(*self.name(item, stem)), self._read, item.path)
        if self._json is not None:
            refuse_inputs(self._json.path(stem), self._read)

    def name(self, item: Input, stem: str) -> tuple[str, str]:
        """Return stem and suffix of the drawn image."""
        return (stem, item.suffix) if self._single is None else (self._single.stem, self._single.suffix)

    def video(
        self, item: Input, stem: str, video: VideoPipeline, current: CurrentStyle
    ) -> tuple[VideoOutputs, Player | None]:
        """Return the open output files of a video, and the player that shows it."""
        from ..display.hud import Meter
        from ..display.player import Player
        from ..jobs.video import VideoOutputs

        if self._single is not None:
            raise ArgumentError(
                f"vis_out_dir is the file '{self._single}', and '{item.source}' is a video: give a folder"
            )
        files = VideoOutputs(item, stem, video, self._images, self._json, info=_log.warning)
        if self._window is None:
            return files, None
        paced = self._images is None and self._json is None
        folder = Path() if self._images is None else self._images.folder
        meter = Meter(live=video.live)
        player = Player(self._window, video, current, meter, snapshots=folder, stem=stem, paced=paced, wait=self._wait)
        return files, player

    def write(self, output_name: tuple[str, str], stem: str, result: Result, drawn: np.ndarray | None) -> None:
        """Write and show one result."""
        if self._images is not None and drawn is not None:
            self._images.write(output_name[0], drawn, output_name[1])
        if self._json is not None:
            self._json.write(stem, result)
        if self._window is not None and drawn is not None and not self._window.show(drawn, self._wait):
            self.closed = True
