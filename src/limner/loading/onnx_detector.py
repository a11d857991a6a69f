"""A detector in an ONNX file -> a `Detector`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from .. import build, decode
from ..errors import CheckpointError, ModelError
from ..pipeline import Detector
from ..runtimes import Signature
from ..runtimes.engines import Engine
from ..runtimes.foreign import takes_pixels
from .archives import NetworkFile
from .networks import Opened, Size, input_size, open_network, run_once, stored_size
from .onnx_pose import is_list_of_boxes, kind_of_pose
from .pipelines import Preprocessing, read

RTMDET = build.Normalisation((103.53, 116.28, 123.675), (57.375, 57.12, 58.395))
YOLOX = build.Normalisation()
STRIDES = (8, 16, 32)
USUAL_SIZE = (640, 640)


def open_detector(
    label: str,
    file: NetworkFile,
    cfg: Mapping[str, Any] | None,
    *,
    engine: Engine,
    bbox_thr: float,
    nms_thr: float | None,
    labels: Sequence[int] | None,
) -> Detector:
    """Open a detector in an ONNX file.

    Args:
        label: of the model, for messages.
        file: the network.
        cfg: its config; None: what the file and its pipeline say.
        engine: what runs it.
        bbox_thr, nms_thr: see `Detector`.
        labels: classes to keep, as far as it has them; None keeps all.

    Raises:
        CheckpointError: the file is damaged, no detector, or not the one that the config describes.
    """
    signature, runtime = open_network(label, file.path, engine)
    said = read(file.pipeline if cfg is None else None, label)
    stated = None if cfg is None else build.detector_spec(cfg)
    head = _head_by_names(label, signature)
    family = _family(label, head, stated, said, signature)
    usual = RTMDET if family == "RTMDetHead" else YOLOX
    normalisation = stated.normalisation if stated else said.normalisation or usual
    size = _size(signature, stated, said)
    opened = run_once(label, runtime, signature, normalisation, size, alone=head == "boxes")
    head = _head(opened)
    _check_family(opened, head, family)
    spec = stated or _spec(family, size, said)
    spec = replace(spec, size=size, head=head if head in ("boxes", "rows") else spec.head)
    if input_size(signature) is not None:
        spec = replace(spec, stride=None, divisor=1)
    return Detector(opened.runtime, spec, bbox_thr=bbox_thr, nms_thr=nms_thr, labels=_kept(labels, opened, head))


def _size(signature: Signature, stated: build.DetectorSpec | None, said: Preprocessing) -> Size:
    fixed = input_size(signature)
    if fixed is not None:  # a network for another size than its config's is of use
        return fixed
    if stated is not None:
        return stated.size
    points = next((t.shape[1] for t in signature.outputs if len(t.shape) == 3 and (t.shape[2] or 0) > 5), None)
    sides = (320, 416, 512, 640, 768, 1024, 1280)
    square = next(((side, side) for side in sides if decode.grid_points((side, side), STRIDES) == points), None)
    return stored_size(signature) or said.size or square or USUAL_SIZE


def _head_by_names(label: str, signature: Signature) -> str:
    """Return "boxes" where the outputs are named or shaped as a list of boxes, before the network runs."""
    outputs = signature.outputs
    if not outputs or len(outputs) > 2 or len(outputs[0].shape) != 3:
        return ""
    columns = outputs[0].shape[2]
    return "boxes" if columns == 5 or (columns is None and outputs[0].name == "dets") else ""


def _family(label: str, head: str, stated: build.DetectorSpec | None, said: Preprocessing, signature: Signature) -> str:
    """Return the head of the family that a detector belongs to, which says what its input is normalised with."""
    if stated is not None:
        return "YOLOXHead" if stated.head == "YOLOXHead" else "RTMDetHead"
    if takes_pixels(signature) or head != "boxes":
        return "RTMDetHead" if len(signature.outputs) == 2 * len(STRIDES) else "YOLOXHead"
    for word, family in (("rtmdet", "RTMDetHead"), ("yolox", "YOLOXHead")):
        if re.search(word, label, re.IGNORECASE):
            return family
    if said.normalisation is not None:
        return "YOLOXHead" if said.normalisation.std == YOLOX.std else "RTMDetHead"
    raise CheckpointError(
        f"'{label}' finds boxes, but does not say whether its pixels are normalised as RTMDet's or left as YOLOX's: "
        "give its config too, as --det CONFIG --det-weights FILE, lay the pipeline.json of MMDeploy beside it, or let "
        "its name have rtmdet or yolox in it"
    )


def _head(opened: Opened) -> str:
    """Return how a network states boxes: "boxes", "rows", "RTMDetHead" or "YOLOXHead".

    Raises:
        CheckpointError: it is no detector that limner knows.
    """
    shapes, n = opened.shapes, len(STRIDES)
    if is_list_of_boxes(shapes):
        return "boxes"
    rows = decode.grid_points(opened.size, STRIDES)
    if len(shapes) == 1 and len(shapes[0]) == 3 and shapes[0][2] > 5 and shapes[0][1] == rows:
        return "rows"
    levels = [shape[2:] for shape in shapes]
    expected = [(opened.size[1] // stride, opened.size[0] // stride) for stride in STRIDES]
    of_levels = len(shapes) in (2 * n, 3 * n) and levels == expected * (len(shapes) // n)
    if of_levels and all(shape[1] == 4 for shape in shapes[n : 2 * n]):
        return "RTMDetHead" if len(shapes) == 2 * n else "YOLOXHead"
    given = " and ".join(str(list(shape)) for shape in shapes[:3]) + (" ..." if len(shapes) > 3 else "")
    with suppress(CheckpointError):
        kind_of_pose(opened)
        raise ModelError(
            f"'{opened.label}' finds keypoints, not boxes ({given}): it is a pose model, so give it as model"
        )
    raise CheckpointError(
        f"'{opened.label}' is no detector that limner knows: it gives {given} where boxes [N, n, 5] with their "
        "classes, rows [N, points, 5 + classes] of YOLOX, or the levels of RTMDet or YOLOX are needed"
    )


def _check_family(opened: Opened, head: str, family: str) -> None:
    if (head in ("RTMDetHead", "YOLOXHead") and head != family) or (head == "rows" and family != "YOLOXHead"):
        raise CheckpointError(
            f"'{opened.label}' does not fit its config: it is of the {head.removesuffix('Head')} family"
        )


def _spec(family: str, size: Size, said: Preprocessing) -> build.DetectorSpec:
    """Return the settings of a detector without a config: those of its pipeline, else OpenMMLab's usual ones."""
    head: dict[str, Any] = {"type": family, "strides": STRIDES, "anchor_generator": {"strides": STRIDES}}
    test = {"score_thr": 0.05, "nms": {"iou_threshold": 0.6}, "max_per_img": 100, "nms_pre": 1000}
    pad = {"type": "Pad", "pad_to_square": True, "pad_val": {"img": said.pad_value or (114, 114, 114)}}
    return build.detector_spec(
        {
            "model": {"bbox_head": head, "test_cfg": test},
            "test_pipeline": [{"type": "Resize", "scale": size}, pad],
        }
    )


def _kept(labels: Sequence[int] | None, opened: Opened, head: str) -> list[int] | None:
    """Return the classes to keep of those that a detector has; all where it has none of them."""
    if labels is None:
        return None
    if head == "boxes":  # how many classes it has shows in no shape
        return list(labels)
    classes = opened.shapes[0][2] - 5 if head == "rows" else opened.shapes[0][1]
    return [label for label in labels if label < classes] or None
