"""Detectors: images -> boxes, and what stands in for them."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np

from .. import build, decode
from ..crop import Size, letterbox
from ..errors import ArgumentError
from ..runtimes import Runtime, batch_size
from ..types import Boxes, MessageCallback
from . import views
from .views import DetectorOptions, View

DETECTOR_BATCH = 4  # images in one call of the network; more are slower on a CPU, as they do not fit its caches
SURE = 0.3  # score of a box whose loss is said, for a detector without a threshold of its own

_log = logging.getLogger(__name__)


class Detector:
    """Finds boxes in an image.

    Args:
        runtime: the network.
        spec: the settings from its config.
        bbox_thr: boxes must score above it.
        nms_thr: boxes that overlap a better one by more than this IoU are dropped, whatever their
            class, after the config's own suppression, as MMPose does; None leaves that out.
        labels: classes to keep; None keeps all.
        options: the size of its input, tiles, and how many boxes it returns.
        info: called once for each thing that a user should know: what tiles cost, that there are more boxes than
            are returned, that tiles would find more. None logs it.

    Raises:
        ArgumentError: the network does not take images of the size in ``options``.
    """

    def __init__(
        self,
        runtime: Runtime,
        spec: build.DetectorSpec,
        *,
        bbox_thr: float = 0.0,
        nms_thr: float | None = None,
        labels: Sequence[int] | None = None,
        options: DetectorOptions | None = None,
        info: MessageCallback | None = None,
    ) -> None:
        self.options = options or DetectorOptions()
        self.runtime, self.spec = runtime, _with_input_size(spec, self.options.det_size, runtime)
        self.bbox_thr, self.nms_thr, self.labels = bbox_thr, nms_thr, labels
        self._info, self._said = info, set[str]()

    def with_options(self, options: DetectorOptions, info: MessageCallback | None = None) -> Detector:
        """Return a detector with the same network and thresholds that looks at images in another way.

        Raises:
            ArgumentError: the network does not take images of that size.
        """
        detector = copy(self)
        detector.spec = _with_input_size(self.spec, options.det_size, self.runtime)
        detector.options, detector._info, detector._said = options, info, set()
        return detector

    def __call__(self, image: np.ndarray) -> Boxes:
        """Return the boxes of a BGR image ``[H, W, 3]``, best first."""
        return self.many([image])[0]

    def many(self, images: Sequence[np.ndarray], *, still: bool = False) -> list[Boxes]:
        """Return the boxes of each of several BGR images; those of one shape share the calls of the network.

        Args:
            images: uint8 ``[H, W, 3]``.
            still: they are no frames of a video, in which nothing may be seen for a while.
        """
        first = [views.whole(image, self.spec.size) for image in images]
        # "auto" takes doubtful boxes, too, for a reason to look more closely
        least = self.bbox_thr * views.HINT if self.options.auto else self.bbox_thr
        found = self._look(images, [view.size for view in first], least)
        return [self._finish(*parts, still=still) for parts in zip(images, first, *found, strict=True)]

    def _finish(self, image: np.ndarray, first: View, boxes: Boxes, lost: Boxes, *, still: bool) -> Boxes:
        """Look more closely where the options say so; return the boxes that are kept.

        Args:
            image: BGR ``[H, W, 3]``.
            first: the view of the whole image.
            boxes, lost: what was found there, and what is more than the detector's cap.
            still: see `many`.
        """
        options, spec = self.options, self.spec
        more = views.closer(first, boxes, options, self.bbox_thr, max(spec.strides, default=1))
        boxes, all_lost = boxes[boxes.scores > self.bbox_thr], [lost]
        if more:
            looks = [first, *more]
            parts, all_lost = self._look([v.cut(image) for v in more], [v.size for v in more], self.bbox_thr)
            found = [boxes, *(view.to_image(part) for view, part in zip(more, parts, strict=True))]
            boxes = decode.merge(found, [v.region for v in looks], [v.scale for v in looks], first.region[2:])
            if self.nms_thr is not None:
                boxes = boxes[decode.bbox_nms(boxes.xyxy, boxes.scores, self.nms_thr)]
            self._say("cost", views.cost(looks, padded=spec.stride is None))
        elif options.tile == "off" and options.det_size is None:
            if views.are_small(first, boxes):
                self._say("small", views.MANY_SMALL)
            elif still and views.may_be_missed(first, boxes):
                self._say("small", views.too_small(first))
        most = len(boxes) if options.max_boxes is None else options.max_boxes
        if any((part.scores > (self.bbox_thr or SURE)).any() for part in (*all_lost, boxes[most:])):
            self._say("cap", views.more_than(options.max_boxes or spec.max_per_img or most), logging.WARNING)
        return boxes[:most]

    def _say(self, what: str, message: str, level: int = logging.INFO) -> None:
        """Say something to the user, once."""
        if what not in self._said:
            self._said.add(what)
            if self._info is not None:
                self._info(message)
            else:
                _log.log(level, "%s", message)

    def _look(
        self, images: Sequence[np.ndarray], sizes: Sequence[Size], least: float
    ) -> tuple[list[Boxes], list[Boxes]]:
        """Find the boxes that score above ``least`` in each image, fitted into an input of that size.

        Returns:
            Of each image, the boxes that are kept, and those that are more than the detector's cap.
        """
        spec = self.spec
        inputs = [
            letterbox(image, size, spec.pad_value, spec.stride, spec.square, spec.divisor)
            for image, size in zip(images, sizes, strict=True)
        ]
        boxes, lost = ([Boxes.empty()] * len(images) for _ in range(2))
        for shape in dict.fromkeys(canvas.shape for canvas, _ in inputs):
            same_shape = [i for i, (canvas, _) in enumerate(inputs) if canvas.shape == shape]
            step = batch_size(self.runtime, DETECTOR_BATCH)
            for start in range(0, len(same_shape), step):
                rows = same_shape[start : start + step]
                outputs = self.runtime(np.stack([inputs[i][0] for i in rows]))
                for row, i in enumerate(rows):
                    all_boxes = self._decode([o[row] for o in outputs], inputs[i], sizes[i], least)
                    boxes[i], lost[i] = self._kept(all_boxes, sizes[i])
        return boxes, lost

    def _kept(self, boxes: Boxes, size: Size) -> tuple[Boxes, Boxes]:
        """Return which of the boxes of an input are kept, and those of them that are more than the detector's cap."""
        cap = _roomier(self.spec, size, self.options.max_boxes).max_per_img
        kept, lost = (boxes, Boxes.empty()) if cap is None else (boxes[:cap], boxes[cap:])
        if self.labels is not None:
            kept, lost = (part[np.isin(part.labels, self.labels)] for part in (kept, lost))
        if self.nms_thr is not None:
            kept = kept[decode.bbox_nms(kept.xyxy, kept.scores, self.nms_thr)]
        return kept, lost

    def _decode(
        self,
        outputs: list[np.ndarray],
        fitted: tuple[np.ndarray, tuple[float, float]],
        size: Size,
        least: float,
    ) -> Boxes:
        """Decode the network's outputs for one image, fitted into ``size``, into the boxes above ``least``."""
        spec, n = _roomier(self.spec, size, self.options.max_boxes), len(self.spec.strides)
        shape, factor = fitted[0].shape, fitted[1]
        levels = [outputs[i : i + n] for i in range(0, len(outputs), n)]
        settings: dict[str, Any] = {
            "strides": spec.strides,
            "factor": factor,
            # a box below the threshold cannot suppress one above it, so it may go first
            "score_thr": max(spec.score_thr, least),
            "iou_threshold": spec.iou_threshold,
            "max_per_img": None,
        }
        if spec.head == "boxes":
            labels = outputs[1] if len(outputs) > 1 else None
            boxes = decode.listed(outputs[0], labels, factor=factor, score_thr=settings["score_thr"])
        elif spec.head == "rows":
            boxes = decode.grid_rows(outputs[0], size=(shape[1], shape[0]), **settings)
        elif spec.head == "YOLOXHead":
            boxes = decode.grid_offsets(*levels, **settings)
        else:
            limit = (shape[1], shape[0])
            pre = 1000 if spec.nms_pre is None else spec.nms_pre
            boxes = decode.grid_distances(*levels, **settings, limit=limit, nms_pre=pre, min_size=spec.min_size)
        return boxes[boxes.scores > least]


def _with_input_size(spec: build.DetectorSpec, size: Size | str | None, runtime: Runtime) -> build.DetectorSpec:
    """Return the settings of a detector for an input of that size, where its network takes it."""
    if size is None or size == spec.size:
        return spec
    signature = getattr(runtime, "signature", None)
    fixed = signature is not None and any(isinstance(side, int) and side > 4 for side in signature.inputs[0].shape[1:])
    if fixed:
        width, height = spec.size
        raise ArgumentError(
            f"this detector takes images of {width}x{height} only, not det_size {size}: give tiles, or leave it out"
        )
    if isinstance(size, str):  # "auto"
        return spec
    views.check_size(size, max(spec.strides, default=32))
    return replace(_roomier(spec, size, None), size=size)


def _roomier(spec: build.DetectorSpec, size: Size, max_boxes: int | None) -> build.DetectorSpec:
    """Return the settings with room for the boxes of a larger input, or for as many as are wanted."""
    if size == spec.size and max_boxes is None:
        return spec
    cap, pre = spec.max_per_img, 1000 if spec.nms_pre is None else spec.nms_pre
    growth = max(1.0, math.prod(size) / math.prod(spec.size))
    return replace(
        spec,
        max_per_img=None if cap is None else max(round(cap * growth), max_boxes or 0),
        nms_pre=max(round(pre * growth), 10 * (max_boxes or 0)),  # an object has about ten points of the grid
    )


class WholeImage:
    """Takes the place of a detector where each image shows one object: its box is the whole image."""

    def __call__(self, image: np.ndarray) -> Boxes:
        height, width = image.shape[:2]
        return Boxes(np.array([[0, 0, width, height]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64))

    def many(self, images: Sequence[np.ndarray]) -> list[Boxes]:
        """Return the box of each of several images."""
        return [self(image) for image in images]


class NoDetector:
    """Takes the place of a detector where the caller gives the boxes."""

    def __call__(self, image: np.ndarray) -> Boxes:
        raise ArgumentError("no detector is loaded: give boxes")

    def many(self, images: Sequence[np.ndarray]) -> list[Boxes]:
        """Raise ArgumentError: it finds no boxes."""
        raise ArgumentError("no detector is loaded: give boxes")
