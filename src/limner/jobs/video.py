"""One video or camera of a job: opened, processed, drawn, written and shown, to its end or until the user stops it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import sources
from ..display.hud import Meter
from ..display.player import Player
from ..display.screen import Screen
from ..errors import ArgumentError
from ..formats import ResultWriter
from ..formats.json_lines import JsonLines
from ..pipeline import Pipeline
from ..process import stop
from ..sources import Input
from ..types import MessageCallback
from ..video.options import VideoOptions
from ..video.pipeline import CurrentStyle, FrameResult, VideoPipeline
from ..writers import ImageWriter, JsonWriter, refuse_overwrite
from .claims import Marks
from .plan import Task
from .progress import ProgressBars

if TYPE_CHECKING:
    from .job import Job


@dataclass(frozen=True)
class VideoCounts:
    """What was processed of a video."""

    frames: int
    instances: int
    stopped: bool  # by the user, with all inputs after it
    interrupted: bool  # by a signal


def run_video(
    job: Job,
    task: Task,
    pipeline: Pipeline,
    *,
    image_writer: ImageWriter | None,
    lines: JsonLines | None,
    window: Screen | None,
    bars: ProgressBars,
    info: MessageCallback,
) -> VideoCounts:
    """Process one video or camera of a job.

    Args:
        job: whose input it is.
        task: the video and its output files.
        pipeline: finds the keypoints.
        image_writer, lines, window: where the drawn video and the records go, and where it is shown.
        bars: shows how many frames are done.
        info: called with a sentence about what was done or is missing.

    Raises:
        ArgumentError: the style is transparent.
        InputError: it cannot be opened, or the connection is lost; the frames before are written.
        OutputError: a file cannot be written; the frames before are in it.
    """
    item, options = task.item, job.video_options
    if job.style.transparent:
        raise ArgumentError(
            f"'{item.source}' is a video, which cannot be transparent: choose another background, such as black"
        )
    images = None if image_writer is None else image_writer.within(item.folder)
    sheets = None if job.json_writer is None else job.json_writer.within(item.folder)
    if images is not None:
        refuse_overwrite(item.path, images.video_path(task.stem, item.suffix))
    current, draws = CurrentStyle(job.style), images is not None or window is not None
    with open_video_pipeline(
        item, pipeline, options, current, draws=draws, overwrite_frames=window is None, info=info
    ) as video:
        for writer in (images, sheets):
            if writer is not None:
                writer.make_folder()
        with Marks(task) as marks:
            writers = (images, sheets, () if lines is None else (lines,))
            outputs = VideoOutputs(item, task.stem, video, *writers, keep_audio=options.keep_audio, info=info)
            meter = Meter(live=video.live)
            player = None if window is None else _player(job, task, window, video, current, meter, pipeline, info)
            with outputs, bars.frames(item.name, video.count) as tick:
                counts = play(video, outputs, meter, player, max_frames=options.max_frames, tick=tick)
            marks.complete = not video.cut_short and (video.live or not counts.stopped)
    if lines is not None:
        lines.end(item.source, counts.frames, complete=marks.complete)
    if job.summary:
        info(f"{item.source}: {meter.summary(' and '.join(pipeline.devices))}")
    if job.details:
        info(f"{item.source}: {counts.frames} frames, {counts.instances} instances")
    return counts


def _player(
    job: Job,
    task: Task,
    window: Screen,
    video: VideoPipeline,
    current: CurrentStyle,
    meter: Meter,
    pipeline: Pipeline,
    info: MessageCallback,
) -> Player:
    """Return what shows a video; a file that is only shown is shown at its own pace."""
    return Player(
        window,
        video,
        current,
        meter,
        snapshots=job.out or Path(),
        stem=task.stem,
        device=" and ".join(pipeline.devices),
        paced=not task.outputs and job.lines is None,
        wait=job.wait,
        info=info,
    )


@contextmanager
def open_video_pipeline(
    item: Input,
    pipeline: Pipeline,
    options: VideoOptions,
    current: CurrentStyle,
    *,
    draws: bool,
    overwrite_frames: bool,
    info: MessageCallback,
) -> Iterator[VideoPipeline]:
    """Open a video or camera; see `VideoPipeline` for ``draws`` and ``overwrite_frames``.

    Raises:
        InputError: it cannot be opened.
    """
    source = sources.open_video(item, options, info=info)
    with VideoPipeline(
        source,
        pipeline,
        options.tracking,
        current,
        draws=draws,
        overwrite_frames=overwrite_frames,
        info=info,
        reconnect_timeout=options.reconnect_timeout,
        max_frames=options.max_frames,
    ) as video:
        yield video


class VideoOutputs:
    """The output files of one video; each is complete up to its last frame when it is closed.

    Args:
        item, stem: the input, and the stem of its output files.
        video: the open video, for its frame rate.
        image_writer: where the drawn video goes.
        json_writer: where MMPose's JSON goes.
        result_writers: others, which are not closed here.
        keep_audio: the drawn video gets the audio of the input, where its container can hold it.
        info: called with a sentence where something is missing in a file.
    """

    def __init__(
        self,
        item: Input,
        stem: str,
        video: VideoPipeline,
        image_writer: ImageWriter | None,
        json_writer: JsonWriter | None,
        result_writers: tuple[ResultWriter, ...] = (),
        *,
        keep_audio: bool = False,
        info: MessageCallback,
    ) -> None:
        self._stack = ExitStack()
        self._video_writer: Any = None
        self._result_writers: list[ResultWriter] = list(result_writers)
        with self._stack:
            if json_writer is not None:
                self._result_writers.append(self._stack.enter_context(json_writer.video(stem)))
            if image_writer is not None:
                refuse_overwrite(item.path, image_writer.video_path(stem, item.suffix))
                audio_from = video.sound_from if keep_audio else None
                if keep_audio and audio_from is None and video.has_audio and not video.live:
                    info(f"the sound of '{item.source}' is left out: it has passed once the video is written")
                video_writer = image_writer.video(
                    stem, item.suffix, video.fps, audio_from=audio_from, colours=video.colours, info=info
                )
                self._video_writer = self._stack.enter_context(video_writer)
            self._stack = self._stack.pop_all()

    def write(self, frame_result: FrameResult) -> None:
        """Add one frame to each file; results first, so that they are written even if the video cannot be.

        Raises:
            OutputError: a file cannot be written.
        """
        for writer in self._result_writers:
            writer.write(frame_result.result)
        if self._video_writer is not None and frame_result.drawn is not None:
            frame = frame_result.frame
            self._video_writer.write(frame_result.drawn, frame.timestamp, frame.duration)

    def __enter__(self) -> VideoOutputs:
        return self

    def __exit__(self, *error: Any) -> None:
        with suppress(OSError, AttributeError):  # there may be none
            stop.more_time(os.path.getsize(self._video_writer.path))
        self._stack.__exit__(*error)


def play(
    video: VideoPipeline,
    outputs: VideoOutputs,
    meter: Meter,
    player: Player | None = None,
    *,
    max_frames: int | None = None,
    tick: Callable[[], None] = lambda: None,
) -> VideoCounts:
    """Run a video to its end, or until the user stops it: on Ctrl-C and SIGTERM frames in progress are finished.

    Args:
        video, outputs: the open video and its output files.
        meter: counts the frames.
        player: shows the frames; None shows nothing.
        max_frames: stop after so many frames.
        tick: called after each frame.

    Raises:
        InputError: the connection to the source is lost; the frames before are written.
        OutputError: a file cannot be written; the frames before are in it.
    """
    frames = instances = 0
    user_quits = late = False
    with stop.finishing(video.end) as signals:
        for frame_result in video.frame_results():
            outputs.write(frame_result)
            frames += 1
            instances += len(frame_result.result)
            meter.dropped = video.dropped
            if player is None:
                meter.add_frame(video.age(frame_result.frame))
            else:
                user_quits = not player.show(frame_result)
            tick()
            late = stop.late()  # the signal may have come before this video was open
            if user_quits or late or (max_frames is not None and frames >= max_frames):
                break
    # Ctrl-C is the normal end of a camera, and interrupts a file
    signalled = bool(signals) or late
    return VideoCounts(frames, instances, user_quits or signalled, signalled and not video.live)
