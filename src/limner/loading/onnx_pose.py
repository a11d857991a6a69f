"""A pose network in an ONNX file -> a `PoseEstimator`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from .. import build
from ..errors import CheckpointError
from ..keypoints import KeypointSet
from ..pipeline import PoseEstimator
from ..runtimes import Runtime
from ..runtimes.engines import Engine
from ..runtimes.foreign import takes_floats
from ..types import MessageCallback
from . import keypoint_sets
from .archives import NetworkFile
from .networks import Opened, input_size, open_network, run_once
from .pipelines import Preprocessing, read

IMAGENET = build.Normalisation((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), to_rgb=True)  # OpenMMLab's poses
PROBE = (256, 256)  # (width, height) to run a network once that takes any


def open_pose(
    label: str,
    file: NetworkFile,
    cfg: Mapping[str, Any] | None,
    *,
    engine: Engine,
    keypoints: str | Path | KeypointSet | None,
    flip: bool,
    info: MessageCallback,
) -> PoseEstimator:
    """Open a pose network in an ONNX file.

    Args:
        label: of the model, for messages.
        file: the network.
        cfg: its config; None: what the file and its pipeline say.
        engine: what runs it.
        keypoints: the set, as `keypoint_sets.named` takes it; None: the config's, or by the number of keypoints.
        flip: False leaves out the flip test that a config may request.
        info: is told what was assumed.

    Raises:
        CheckpointError: the file is damaged, no pose network, or not the one that the config describes.
        ArgumentError: no set, or one of another number of keypoints.
    """
    signature, runtime = open_network(label, file.path, engine)
    said = read(file.pipeline if cfg is None else None, label)
    spec = None if cfg is None else build.pose_spec(cfg)
    normalisation = spec.normalisation if spec else said.normalisation or IMAGENET
    stated = spec.size if spec else said.size
    size = input_size(signature) or stated or PROBE
    if spec is not None and size != spec.size:
        raise CheckpointError(
            f"'{label}' takes images of {size[0]}x{size[1]} pixels where its config says "
            f"{spec.size[0]}x{spec.size[1]}: it was made with another config"
        )
    if said.coded_size is not None and said.coded_size != size:
        info(
            f"pipeline.json of '{label}' is for images of {said.coded_size[0]}x{said.coded_size[1]}, and the network "
            f"takes {size[0]}x{size[1]}: it may belong to another one"
        )
    elif cfg is None and file.pipeline is not None and said.normalisation is None and takes_floats(signature):
        info(f"pipeline.json of '{label}' says no mean and std of pixels: OpenMMLab's usual ones are used")
    opened = run_once(label, runtime, signature, normalisation, size)
    kind, count = kind_of_pose(opened)
    if input_size(signature) is None and stated is None:
        raise CheckpointError(
            f"'{label}' takes images of any size and does not say which it was trained with: give its config too, as "
            "--model CONFIG --weights FILE"
        )
    if spec is None:
        spec = _pose_spec(opened, kind, count, said)
        count = spec.keypoints
        known, sure = _set_by_count(count, keypoints, label, info)
        flip = flip and sure  # the pairs of another set would mix keypoints
    else:
        _check_config(opened, spec, kind, count)
        known = _stated_set(cfg or {}, spec, keypoints)
    network = _in_order(opened.runtime, kind, opened)
    return PoseEstimator(network, spec if flip else replace(spec, flip=None), known)


def _set_by_count(
    count: int, keypoints: str | Path | KeypointSet | None, label: str, info: MessageCallback
) -> tuple[KeypointSet, bool]:
    """Return the set of a network without a config, and whether it is certain."""
    if keypoints is not None:
        return keypoint_sets.named(keypoints, count), True
    return keypoint_sets.by_count(count, PurePosixPath(label).name, info)


def _stated_set(
    cfg: Mapping[str, Any], spec: build.PoseSpec, keypoints: str | Path | KeypointSet | None
) -> KeypointSet:
    if keypoints is not None:
        return keypoint_sets.named(keypoints, spec.keypoints)
    return keypoint_sets.of_config(cfg, spec)


def is_list_of_boxes(shapes: Sequence[tuple[int, ...]]) -> bool:
    """Whether a network gives boxes that it suppressed itself: [N, boxes, 5], and their classes."""
    return [len(shape) for shape in shapes] in ([3], [3, 2]) and shapes[0][2] == 5


def kind_of_pose(opened: Opened) -> tuple[str, int]:
    """Return how a network states keypoints, and how many: "simcc", "heatmaps" or "coordinates".

    Raises:
        CheckpointError: it is no top-down pose network that limner knows.
    """
    shapes, (width, height) = opened.shapes, opened.size
    if len(shapes) == 2 and all(len(s) == 3 for s in shapes) and shapes[0][1] == shapes[1][1]:
        (_, count, first), (_, _, second) = shapes
        if first * height == second * width:
            return "simcc", count
        if second * height == first * width:
            return "simcc, y first", count
    if len(shapes) == 1 and len(shapes[0]) == 4 and min(shapes[0][1:]) > 1:
        return "heatmaps", shapes[0][1]
    if len(shapes) == 1 and len(shapes[0]) == 3 and shapes[0][2] == 2:
        return "coordinates", shapes[0][1]
    given = " and ".join(str(list(shape)) for shape in shapes[:3]) + (" ..." if len(shapes) > 3 else "")
    if len(shapes) == 2 and [len(shape) for shape in shapes] == [3, 4] and shapes[1][3] == 3:
        raise CheckpointError(
            f"'{opened.label}' finds boxes and keypoints at once ({given}), as RTMO does, and limner estimates poses "
            "inside boxes: give another model"
        )
    if is_list_of_boxes(shapes) or len(shapes) in (6, 9) or any(len(s) == 3 and s[2] > 80 for s in shapes[:1]):
        raise CheckpointError(
            f"'{opened.label}' finds boxes, not keypoints ({given}): it is a detector, so give it as det"
        )
    raise CheckpointError(
        f"'{opened.label}' is no top-down pose network that limner knows: it gives {given} where SimCC vectors "
        "[N, K, 2 width] and [N, K, 2 height], heatmaps [N, K, height, width] or coordinates [N, K, 2] are needed"
    )


def _in_order(runtime: Runtime, kind: str, opened: Opened) -> Runtime:
    swapped = kind == "simcc, y first"
    if kind == "simcc" and opened.size[0] == opened.size[1]:
        names = [t.name.lower() for t in opened.signature.outputs]
        swapped = names[0].endswith("y") and names[1].endswith("x")
    return _Swapped(runtime) if swapped else runtime


class _Swapped:
    """A network whose two outputs are the other way round."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime, self.device = runtime, runtime.device

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        return self._runtime(batch)[::-1]

    def close(self) -> None:
        self._runtime.close()


def _pose_spec(opened: Opened, kind: str, count: int, said: Preprocessing) -> build.PoseSpec:
    """Return the settings of a network without a config: those that its pipeline says, else OpenMMLab's usual ones."""
    size, codec = opened.size, dict(said.codec)
    if kind.startswith("simcc"):
        codec = {"use_dark": False, "normalize": False, "sigma": 6.0, **codec, "type": "SimCCLabel"}
        across = opened.shapes[1 if kind == "simcc, y first" else 0][2]
        codec["simcc_split_ratio"] = across / size[0]
    elif kind == "heatmaps":
        usual = "UDPHeatmap" if "vitpose" in opened.label.lower() else "MSRAHeatmap"
        codec = {"type": usual, **codec, "heatmap_size": opened.shapes[0][:1:-1]}
    else:
        codec = {"type": "RegressionLabel", **codec}
    codec["input_size"] = size
    udp = said.udp or codec["type"] == "UDPHeatmap"
    return build.pose_spec(
        {
            "model": {"head": {"out_channels": count, "decoder": codec}, "test_cfg": dict(said.test_cfg)},
            "test_pipeline": [
                {"type": "GetBBoxCenterScale", "padding": said.padding},
                {"type": "TopdownAffine", "input_size": size, "use_udp": udp},
            ],
        }
    )


def _check_config(opened: Opened, spec: build.PoseSpec, kind: str, count: int) -> None:
    """Raise CheckpointError unless a network gives what its config says."""
    codec = str(spec.codec.get("type", "")).rpartition(".")[2]
    stated = "simcc" if codec == "SimCCLabel" else "coordinates" if codec.endswith("RegressionLabel") else "heatmaps"
    each = 3 if spec.codec.get("heatmap_type") == "combined" else 1
    outputs = spec.keypoints * each if spec.selected is None else max(count, 1 + max(spec.selected, default=0))
    if kind.partition(",")[0] != stated or count != outputs:
        raise CheckpointError(
            f"'{opened.label}' does not fit its config: it gives {count} keypoints as {kind.partition(',')[0]} where "
            f"the config says {outputs} as {stated}"
        )
    if stated == "simcc":
        ratio = opened.shapes[1 if "," in kind else 0][2] / opened.size[0]
        if ratio != float(spec.codec.get("simcc_split_ratio", 2.0)):
            raise CheckpointError(f"'{opened.label}' does not fit its config: it has {ratio:g} bins a pixel")
