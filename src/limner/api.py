"""limner's own Python API: `load` a model and call it with an image to get a `Result`.

    model = limner.load("face-lite")
    result = model("portrait.jpg")
    result.keypoints, result.scores, result.boxes.xyxy, result.names
    result.save("drawn.jpg")
    for result in model.watch("webcam"): ...

The functions that scripts for MMPose call are in `limner.mmpose.functions`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from . import loading, sources, types
from .draw import DrawStyle, render
from .errors import ArgumentError, check_arguments, checks_arguments
from .pipeline import Pipeline
from .sources import ImageLike, Input
from .types import Frame
from .video.options import TrackingOptions
from .writers import ImageWriter, JsonWriter


@dataclass(frozen=True, eq=False, kw_only=True)
class Result(types.Result):
    """What was found in one image or frame, with the image itself and the names of its keypoints."""

    image: np.ndarray = field(repr=False)  # uint8 [H, W, 3], BGR

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the K keypoints."""
        return self.keypoint_set.names

    def plot(self, **style: Any) -> np.ndarray:
        """Return the image with the keypoints drawn on it, uint8 ``[H, W, 3]`` BGR.

        Args:
            style: fields of `limner.draw.DrawStyle`: ``radius``, ``thickness``, ``draw_bbox``, ``skeleton_style``, ...
        """
        known = [f.name for f in fields(DrawStyle) if f.name != "draw_heatmap"]
        check_arguments("plot", style, known)
        return render(self.image, self, DrawStyle(**style))

    def save(self, path: str | Path, **style: Any) -> Path:
        """Write the drawn image, or the instances where the path ends with ``.json``; return its path.

        Raises:
            OutputError: it cannot be written.
        """
        path = Path(path).expanduser()
        if path.suffix.lower() == ".json":
            return JsonWriter(path.parent).write(path.stem, self)
        return ImageWriter(path.parent).write(path.stem, self.plot(**style), path.suffix or ".jpg")

    def to_json(self) -> str:
        """Return the instances in the form of MMPose's Inferencer."""
        return json.dumps(self.instances(), indent=2)


class Model:
    """Finds keypoints in images and videos: what `load` returns."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline

    def __call__(self, image: ImageLike) -> Result:
        """Return what is found in one image, given as a path or as an array in BGR order.

        Raises:
            InputError: the image cannot be read.
        """
        frame = sources.read_one(image)
        return self._result(frame, self.pipeline.one(frame))

    def watch(self, source: str | Path, **tracking: Any) -> Iterator[Result]:
        """Yield what is found in each frame of a video, or in the newest frames of a stream or camera.

        A person keeps the same track id, see ``track_ids``, from frame to frame. Reading and estimating overlap
        with what the caller does; leaving the loop closes the source.

        Args:
            source: a path, a URL, "webcam" or "webcam:1".
            tracking: fields of `limner.video.options.TrackingOptions`: ``det_interval``, ``smooth``, ``follow``,
                ``max_persons``, ``batch``, ...

        Raises:
            ArgumentError: an unknown field, or an image.
            InputError: the source cannot be opened, or the connection to it is lost.
        """
        check_arguments("watch", tracking, [f.name for f in fields(TrackingOptions)])
        options = TrackingOptions(**{"det_interval": None, "smooth": None, **tracking})
        items, errors, _ = sources.expand(source)
        if errors:
            raise errors[0]
        if len(items) != 1 or not items[0].is_video:
            raise ArgumentError(f"'{source}' is not one video or camera: for an image call the model itself")
        return self._watch(items[0], options)

    def _watch(self, item: Input, options: TrackingOptions) -> Iterator[Result]:
        from .video.pipeline import CurrentStyle, VideoPipeline  # loads PyAV, which images do without

        source = sources.open_video(item)
        with VideoPipeline(source, self.pipeline, options, CurrentStyle(), draws=False) as video:
            for frame_result in video.frame_results():
                yield self._result(frame_result.frame, frame_result.result)

    def _result(self, frame: Frame, result: types.Result) -> Result:
        inherited = {f.name: getattr(result, f.name) for f in fields(types.Result)}
        return Result(**inherited, image=frame.image)

    def __repr__(self) -> str:
        return f"Model({self.pipeline.keypoint_set.name}, {', '.join(self.pipeline.devices)})"


@checks_arguments
def load(
    model: str = "face-lite",
    *,
    bbox_thr: float | None = None,
    device: str | None = None,
    backend: str = "auto",
    precision: str = "auto",
    flip: bool = True,
) -> Model:
    """Load a model by name, such as "face-lite", "face", "human", "wholebody", "hand".

    Args:
        model: a name that ``limner models list`` shows; its weights are fetched once unless they are bundled.
        bbox_thr: boxes must score above it; None takes the model's own threshold.
        device: "cpu", "cuda:0" ...; None takes the first CUDA device if there is one, else the CPU.
        backend: what runs the networks: "auto", "onnxruntime", "openvino", "torch" or "tensorrt".
        precision: "int8" takes int8 networks where the model has them, "auto" only where they are faster;
            "float16" is for CUDA devices, "bfloat16" for OpenVINO on a CPU that has it.
        flip: False leaves out the flip test, the second run on the mirrored crop that OpenMMLab's models take,
            for nearly twice the speed.

    Raises:
        ModelError: there is no such model.
        DownloadError: its weights cannot be fetched.
        DeviceError: the device is not available.
    """
    return Model(loading.load(model, bbox_thr=bbox_thr, device=device, backend=backend, precision=precision, flip=flip))
