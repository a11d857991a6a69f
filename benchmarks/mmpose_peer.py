"""A replacement for MMPose, which does not install beside a current torch: its networks in eager torch, as in its demo.

Float32, torch's default number of threads, one image in a call, and a second call for the flip test. The code before
and after the networks is limner's numpy and OpenCV code, in place of MMPose's transforms and data structures.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from limner import build, checkpoint, config
from limner.draw import DrawStyle, render
from limner.pipeline import Pipeline
from limner.types import Result


class Eager:
    """A network run as in MMPose; its input is ``uint8 [N, H, W, 3]`` BGR.

    Args:
        model_config: path of its config.
        weights: its checkpoint.
        together: run a batch in one call, as for the crops of a frame in MMPose's Python API; else each image
            in a call of its own.
    """

    device = "cpu (torch, eager)"

    def __init__(self, model_config: str, weights: Path, *, together: bool = False) -> None:
        cfg = config.load(model_config)
        self._network = build.network(cfg["model"]).eval()
        build.load_weights(self._network, checkpoint.load(weights).state_dict, name=str(weights))
        spec = build.pose_spec(cfg) if "head" in cfg["model"] else build.detector_spec(cfg)
        self._colours, self._together = spec.normalisation, together
        self.images = 0

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        self.images += len(batch)
        parts = [batch] if self._together else [batch[i : i + 1] for i in range(len(batch))]
        results = [self._run(part) for part in parts]
        return [np.concatenate(outputs) for outputs in zip(*results, strict=True)]

    def _run(self, images: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
            x = (x.flip(1) if self._colours.to_rgb else x).float()
            mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (self._colours.mean, self._colours.std))
            return [t.numpy() for t in _flat(self._network(((x - mean) / std).contiguous()))]

    def close(self) -> None:
        """Nothing is open."""


def _flat(outputs: Any) -> list[Any]:
    return [t for part in outputs for t in _flat(part)] if isinstance(outputs, (tuple, list)) else [outputs]


def one_by_one(pipeline: Pipeline, path: Path, target: Path | None) -> int:
    """Run a clip frame by frame, without overlap, drawn and written by OpenCV to ``target``; return the frame count."""
    video, writer, count = cv2.VideoCapture(str(path)), None, 0
    while True:
        success, image = video.read()
        if not success:
            break
        boxes = pipeline.detector(image)
        poses = pipeline.pose(image, boxes.xyxy)
        height, width = image.shape[:2]
        if target is not None:
            drawn = render(image, Result(boxes, poses, pipeline.keypoint_set, (width, height)), DrawStyle())
            if writer is None:
                code = cv2.VideoWriter.fourcc(*"mp4v")
                writer = cv2.VideoWriter(str(target), code, video.get(cv2.CAP_PROP_FPS), (width, height))
            writer.write(drawn)
        count += 1
    video.release()
    if writer is not None:
        writer.release()
    return count
