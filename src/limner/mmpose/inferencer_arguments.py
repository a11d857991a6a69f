"""The arguments of one call of `MMPoseInferencer`, and boxes as users give them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..draw import DrawStyle
from ..errors import ArgumentError, check_texts, said
from ..types import Boxes
from ..video.options import TrackingOptions

# call arguments of MMPose for 3D models only, with their defaults
ARGUMENTS_FOR_3D = {
    "use_oks_tracking": False,
    "tracking_thr": 0.3,
    "disable_norm_pose_2d": False,
    "disable_rebase_keypoint": False,
    "num_instances": 1,
}
RADIUS, THICKNESS = 3, 1  # MMPose's defaults, pixels


def fitted_to_faces(radius: float | None, thickness: float | None) -> tuple[str, ...]:
    """Return what is fitted to faces: sizes that are MMPose's defaults are for bodies, and would cover a face."""
    return tuple(word for word, usual in (("dots", radius == RADIUS), ("lines", thickness == THICKNESS)) if usual)


@dataclass(frozen=True)
class CallArguments:
    """The arguments of one call, with MMPose's defaults."""

    return_datasamples: bool = False
    batch_size: int = 1
    out_dir: str | Path | None = None
    return_vis: bool = False
    show: bool = False
    wait_time: float = 0  # seconds; 0 waits for a key
    draw_bbox: bool = False
    draw_heatmap: bool = False
    radius: float | None = RADIUS
    thickness: float | None = THICKNESS
    kpt_thr: float = 0.3
    vis_out_dir: str | Path = ""
    pred_out_dir: str | Path = ""
    skeleton_style: str = "mmpose"
    black_background: bool = False
    bboxes: Any = None
    bbox_thr: float | None = None  # None: 0.3, or a bundled model's own
    nms_thr: float | None = None  # None: 0.3, or a bundled model's own
    pose_based_nms: bool = False
    merge_results: bool = True
    return_datasample: bool | None = None  # an older name of return_datasamples
    tracking: TrackingOptions = field(default_factory=TrackingOptions)  # limner's own; for videos

    def __post_init__(self) -> None:
        if not isinstance(self.tracking, TrackingOptions):
            raise ArgumentError(
                f"tracking is {said(self.tracking)} where options are needed, such as TrackingOptions(det_interval=5)"
            )
        folders = {"out_dir": self.out_dir, "vis_out_dir": self.vis_out_dir, "pred_out_dir": self.pred_out_dir}
        check_texts(folders, "the path of a folder")
        for name, folder in folders.items():
            # MMPose's own value for no folder is "" for two of them
            if folder is not None and not str(folder).strip() and (folder or name == "out_dir"):
                raise ArgumentError(f"{name} is empty where a folder is needed: give its name, or leave it out")

    @property
    def style(self) -> DrawStyle:
        return DrawStyle(
            kpt_thr=self.kpt_thr,
            radius=self.radius,
            thickness=self.thickness,
            draw_bbox=bool(self.draw_bbox),
            skeleton_style=self.skeleton_style,
            background="black" if self.black_background else None,
            draw_heatmap=bool(self.draw_heatmap),
            fit_faces=fitted_to_faces(self.radius, self.thickness),
        )

    @property
    def samples(self) -> bool:
        return self.return_datasamples if self.return_datasample is None else self.return_datasample

    @property
    def draws(self) -> bool:
        return bool(self.return_vis or self.show or self.images_folder)

    @property
    def images_folder(self) -> str | Path:
        """Folder for the drawn images; "" for none."""
        return self.vis_out_dir or (Path(self.out_dir) / "visualizations" if self.out_dir is not None else "")

    @property
    def json_folder(self) -> str | Path:
        """Folder for the JSON files; "" for none."""
        return self.pred_out_dir or (Path(self.out_dir) / "predictions" if self.out_dir is not None else "")


def parse_bboxes(boxes: Any) -> Boxes:
    """Return boxes that a user gives: ``[N, 4]``, ``[N, 5]`` with scores, or a single box.

    Raises:
        ArgumentError: they have another shape, or are not finite numbers.
    """
    try:
        array = np.asarray(boxes, np.float32)
    except (TypeError, ValueError):
        raise ArgumentError("bboxes are not an array of numbers: give [[x1, y1, x2, y2], ...]") from None
    array = array.reshape(-1, 4) if not array.size else array[None] if array.ndim == 1 else array
    if array.ndim != 2 or array.shape[1] not in (4, 5) or not np.isfinite(array).all():
        if array.ndim == 2 and array.shape[1] in (4, 5):
            raise ArgumentError("bboxes hold NaN or infinity where finite numbers are needed")
        raise ArgumentError(f"bboxes have shape {list(array.shape)} where [N, 4] is needed, or [N, 5] with scores")
    scores = array[:, 4] if array.shape[1] == 5 else np.ones(len(array), np.float32)
    return Boxes(array[:, :4], scores, np.zeros(len(array), np.int64))


def bboxes_of_images(given: Any, count: int) -> list[Boxes] | None:
    """Return the boxes of each image, None where none are given.

    Raises:
        ArgumentError: they are not boxes, or boxes for another number of images.
    """
    if given is None:
        return None
    if isinstance(given, (list, tuple)) and not given:  # nobody is in any of them
        return [parse_bboxes(())] * count
    try:
        dimensions = np.asarray(given, np.float32).ndim
    except (TypeError, ValueError):
        dimensions = 3  # images with different numbers of boxes
    if (count == 1 and dimensions < 3) or not isinstance(given, (list, tuple, np.ndarray)):
        return [parse_bboxes(given)] * count
    if len(given) != count:
        raise ArgumentError(
            f"bboxes hold lists for {len(given)} images where there are {count}: give one list for each image"
        )
    return [parse_bboxes(boxes) for boxes in given]
