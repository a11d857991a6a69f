"""A loaded model: called with images, or given a video to watch."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from .. import sources
from ..errors import ArgumentError, LimnerError, checks_call, missing_name
from ..keypoints import KeypointSet
from ..pipeline import Pipeline
from ..sources import ImageLike
from ..types import Boxes, Frame, MessageCallback
from ..video.estimator import VideoEstimator, groups
from ..video.options import AUTO_BATCH, BATCH_PIXELS, LIVE_INTERVAL, TrackingOptions, VideoOptions, parse_size
from .boxes import BoxesLike, GivenBoxesPipeline, VideoBoxes, check_video_boxes, parse_boxes, with_boxes
from .elsewhere import CALL_ARGUMENTS, MODEL_NAMES
from .inputs import are_kept, check_callback, is_several, opener
from .result import Result
from .tracker import Tracker

if TYPE_CHECKING:
    from .inputs import OpenedSource


class Model:
    """Finds keypoints in images and videos: what `load` returns.

    Calling it remembers nothing, and several threads may do so at once; frames of one video go to `watch`, or to
    a `tracker` of their own.
    """

    def __init__(
        self, pipeline: Pipeline, max_pixels: int | None = None, recipe: Mapping[str, Any] | None = None
    ) -> None:
        self._pipeline: Pipeline | None = pipeline
        self._max_pixels = max_pixels  # of an image or a frame; None takes the usual limits
        self._recipe = recipe  # the arguments with which `load` opens it in another process; None opens it in none

    @property
    def pipeline(self) -> Pipeline:
        """Detector and pose estimator.

        Raises:
            ArgumentError: the model is closed.
        """
        if self._pipeline is None:
            raise ArgumentError("this model is closed: open another one with limner.load()")
        return self._pipeline

    @property
    def keypoint_set(self) -> KeypointSet:
        """Names, skeleton, colours, mirror pairs and sigmas of the keypoints that it finds."""
        return self.pipeline.keypoint_set

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the keypoints that it finds."""
        return self.keypoint_set.names

    # -- images ------------------------------------------------------------------------------------

    @overload
    def __call__(
        self, image: list[Any] | tuple[Any, ...] | Iterator[Any], *, boxes: Sequence[Any] | None = None
    ) -> list[Result]: ...

    @overload
    def __call__(self, image: ImageLike, *, boxes: BoxesLike | None = None) -> Result: ...

    @checks_call("model", CALL_ARGUMENTS)
    def __call__(self, image: Any, *, boxes: Any = None) -> Any:
        """Return what is found in one image, or a list with what is found in each of several.

        Args:
            image: a path or URL; the bytes of an image file, or a file opened for reading; an image of Pillow; or an
                array ``[H, W, 3]`` in BGR order, as ``cv2.imread`` returns it, ``[H, W, 4]`` with alpha, ``[H, W]`` or
                ``[H, W, 1]`` grey, of uint8, uint16 (0..65535), float (0..1) or bool; a tensor likewise. A list, a
                tuple, an iterator, or an array ``[N, H, W, 3]`` of these are several images: they go through the
                networks in batches, with the same results as one by one.
            boxes: in place of the detector: ``[N, 4]``, x1, y1, x2, y2 in pixels, or ``[N, 5]`` with scores; an empty
                list means nobody. Of several images a list with the boxes of each.

        Raises:
            InputError: an image cannot be read.
            ArgumentError: a folder, a pattern or a video; impossible boxes.
        """
        if is_several(image):
            return list(self.each(image, boxes=boxes))
        return next(self._estimate([(image, boxes)], 1))

    @checks_call("each", CALL_ARGUMENTS)
    def each(
        self,
        images: str | os.PathLike[str] | Iterable[ImageLike],
        *,
        boxes: Iterable[BoxesLike | None] | None = None,
        batch: int | None = None,
        on_error: Callable[[LimnerError], None] | None = None,
    ) -> Iterator[Result]:
        """Yield what is found in each of many images, a few of which are in memory at a time.

        Args:
            images: a folder or a pattern such as "photos/*.jpg", or images in any form that the model takes.
            boxes: of each image in place of the detector, see `__call__`; None for an image leaves it to the detector.
            batch: images that go through the networks together; None takes 4. Results are the same.
            on_error: called with the error of an image, which is then left out; None raises it.

        Raises:
            InputError: an image cannot be read, after the results of those before it.
            ArgumentError: one of them is a video; impossible boxes.
        """
        count = TrackingOptions(batch=batch).batch or AUTO_BATCH  # checks it
        check_callback("on_error", on_error, "an error")
        if isinstance(images, (str, os.PathLike)):
            items, errors, _ = sources.expand(images)
            if errors:
                raise errors[0]
            images = [item.location for item in items]
        elif not is_several(images):
            raise ArgumentError(
                f"each takes a folder, a pattern or several images, not one of type {type(images).__name__}: "
                "for one image call the model itself"
            )
        return self._estimate(with_boxes(images, boxes), count, on_error, copies=not are_kept(images))

    def _estimate(
        self,
        images: Iterable[tuple[ImageLike, BoxesLike | None]],
        batch: int,
        on_error: Callable[[LimnerError], None] | None = None,
        *,
        copies: bool = False,
    ) -> Iterator[Result]:
        """Yield the results; ``copies`` are taken of images that their maker may fill anew before they are used."""
        waiting = deque[Boxes | None]()  # of the frames that are read

        def frames() -> Iterator[Frame]:
            for image, boxes in images:
                try:
                    frame = sources.read_one(image, copy=copies, max_pixels=self._max_pixels)
                    size = (frame.image.shape[1], frame.image.shape[0])
                    waiting.append(None if boxes is None else parse_boxes(boxes, size))
                except LimnerError as error:
                    if on_error is None:
                        raise
                    on_error(error)
                    continue
                yield frame

        for group in groups(frames(), batch, BATCH_PIXELS):
            given = [waiting.popleft() for _ in group]
            rest = [frame for frame, boxes in zip(group, given, strict=True) if boxes is None]
            found = iter(self.pipeline.detect(rest, still=True) if rest else [])
            results = self.pipeline.many(group, [next(found) if boxes is None else boxes for boxes in given])
            yield from map(Result.of, group, results)

    # -- videos ------------------------------------------------------------------------------------

    @checks_call("tracker", CALL_ARGUMENTS)
    def tracker(
        self,
        *,
        smooth: str | None = "live",
        det_interval: int | None = LIVE_INTERVAL,
        fps: float | None = None,
        max_persons: int | None = None,
        follow: str | None = None,
    ) -> Tracker:
        """Return a tracker for frames that the caller has: ``tracker(frame)`` gives results with ``track_ids``.

        Args:
            smooth: "live", a One-Euro filter, or "off", the keypoints as the network gives them.
            det_interval: the detector runs on every Nth frame, and where a person was lost; in between boxes are
                predicted from the keypoints. None takes 5.
            fps: frames per second, for frames that come without timestamps; None takes 30.
            max_persons: most people to track; those already tracked go first.
            follow: return one person only: "largest", "center", "x,y" or "id:3".

        Raises:
            ArgumentError: an impossible value or combination.
        """
        tracking = TrackingOptions(
            det_interval=LIVE_INTERVAL if det_interval is None else det_interval,
            max_persons=max_persons,
            follow=follow,
            smooth="live" if smooth is None else smooth,
        )
        return Tracker(self.pipeline, tracking, fps, self._max_pixels)

    @checks_call("watch", CALL_ARGUMENTS)
    def watch(
        self,
        source: str | os.PathLike[str] | int | Iterable[ImageLike],
        *,
        det_interval: int | None = None,
        smooth: str | None = None,
        track: bool = True,
        max_persons: int | None = None,
        follow: str | None = None,
        boxes: VideoBoxes | None = None,
        look_ahead: bool | None = None,
        batch: int | None = None,
        max_frames: int | None = None,
        start: float | str | None = None,
        end: float | str | None = None,
        every: int = 1,
        rotate: int = 0,
        fps: float | None = None,
        camera_size: tuple[int, int] | str | None = None,
        camera_fps: float | None = None,
        reconnect_timeout: float = 60.0,
        info: MessageCallback | None = None,
    ) -> Iterator[Result]:
        """Yield what is found in each frame of a video, or in the newest frames of a stream or camera.

        A person keeps the same track id, see ``track_ids``, from frame to frame. Reading and estimating overlap
        with what the caller does; leaving the loop closes the source.

        Args:
            source: a path, a URL; "webcam", "webcam:1" or the number of a camera; "-", standard input; numbered images
                such as "frames/%05d.png", or with ``fps`` a folder or pattern; or images of the caller, in order: a
                list, an iterator, or an array ``[N, H, W, 3]``.
            det_interval: the detector runs on every Nth frame. None takes 1, and 5 for live sources.
            smooth: "off"; "live", a One-Euro filter, which uses past frames only; or "file", which uses about a second
                of later frames too. None takes "off", and "live" for live sources.
            track: False treats each frame as an image of its own, without track ids.
            max_persons: most people to track; those already tracked go first.
            follow: return one person only: "largest", "center", "x,y" (nearest to that pixel) or "id:3".
            boxes: in place of the detector: a function that takes an image, uint8 ``[H, W, 3]`` BGR, and returns its
                boxes (it runs in another thread, on the frames on which the detector would); or a sequence with the
                boxes of each frame, or a dict from frame numbers, from 0, to boxes, where a frame without boxes shows
                nobody. For the form of boxes see `__call__`.
            look_ahead: between two runs of the detector boxes of a file are interpolated. False predicts them from
                past frames, as a `tracker` does; None is False only with ``smooth="live"``.
            batch: frames of a file that go through the networks together; None takes 4, and 1 for an iterator of
                yours, whose frames may come slowly. Results are the same.
            max_frames: stop after so many frames.
            start, end: seconds of a file, or texts such as "1:30".
            every: take every Nth frame of a file.
            rotate: degrees clockwise: 0, 90, 180 or 270.
            fps: frames per second of numbered images and of images of the caller, which have none; None takes 30.
            camera_size, camera_fps: (width, height) and rate to request from a camera.
            reconnect_timeout: seconds of attempts to reopen a lost camera or stream.
            info: called with a sentence about broken frames, a lost connection and the like.

        Raises:
            ArgumentError: an unknown argument, an impossible value, an image.
            InputError: the source cannot be opened, or the connection to it is lost.
        """
        tracking = TrackingOptions(
            det_interval,
            track,
            max_persons,
            follow,
            smooth,
            batch,
            look_ahead=smooth != "live" if look_ahead is None else look_ahead,
        )
        if tracking.batch is None and is_several(source) and not are_kept(source):
            tracking = replace(tracking, batch=1)
        options = VideoOptions(
            tracking,
            camera_size=parse_size(camera_size) if isinstance(camera_size, str) else camera_size,
            camera_fps=camera_fps,
            max_frames=max_frames,
            reconnect_timeout=reconnect_timeout,
            start=start,
            end=end,
            every=every,
            rotate=rotate,
            fps=fps,
            max_pixels=self._max_pixels,
        )
        check_callback("info", info, "a text")
        check_video_boxes(boxes)
        VideoEstimator(self.pipeline, tracking)  # checks what the tracker checks before anything is opened
        return self._watch(opener(source, options, info), options, boxes, info)

    def _watch(
        self,
        open_source: Callable[[], OpenedSource],
        options: VideoOptions,
        boxes: VideoBoxes | None,
        info: MessageCallback | None,
    ) -> Iterator[Result]:
        from ..video.pipeline import CurrentStyle, VideoPipeline  # loads PyAV, which images do without

        source = open_source()
        if source.live and boxes is not None and not callable(boxes):
            source.close()
            raise ArgumentError(f"{source.name} is live, so its boxes must come from a function of the image")
        pipeline = self.pipeline if boxes is None else GivenBoxesPipeline(self.pipeline, boxes)
        with VideoPipeline(
            source,
            pipeline,
            options.tracking,
            CurrentStyle(),
            draws=False,
            info=info,
            reconnect_timeout=options.reconnect_timeout,
        ) as video:
            for found in itertools.islice(video.frame_results(), options.max_frames):
                yield Result.of(found.frame, found.result)

    # -- its life ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Give back the memory of the networks, once the trackers and videos of this model have ended too.

        Closing twice does nothing; a ``with`` block closes its model.
        """
        self._pipeline = None

    def __enter__(self) -> Model:
        self.pipeline  # noqa: B018 - raises where it is closed
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __copy__(self) -> Model:
        """Return the model itself, which remembers nothing."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Model:
        """Return the model itself: a copy of its networks would give the same."""
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        """Pickle the recipe: another process opens the model anew, from the same files.

        Raises:
            ArgumentError: there is none, or the model is closed.
        """
        self.pipeline  # noqa: B018 - raises where it is closed
        if self._recipe is None:
            raise ArgumentError(
                "a model that was not opened by limner.load() is not sent to another process: open one there"
            )
        return _opened_again, (dict(self._recipe),)

    def __repr__(self) -> str:
        if self._pipeline is None:
            return "Model(closed)"
        return f"Model({self.keypoint_set.name}, {', '.join(self.pipeline.devices)})"

    if not TYPE_CHECKING:  # type checkers know which names there are

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(missing_name("a model", name, MODEL_NAMES, dir(type(self))))


def _opened_again(recipe: dict[str, Any]) -> Model:
    """Return the model of a recipe, in another process."""
    from .loader import load

    return load(**recipe)
