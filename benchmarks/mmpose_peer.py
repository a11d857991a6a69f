"""A stand-in for MMPose where it cannot be installed: the same modules in eager torch, as its demo runs them.

Float32, torch's own number of threads, one image a call, and a second call for the mirror image. What is before
and after the networks is limner's own numpy and OpenCV code, in place of MMPose's transforms and data structures.
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
    """A network as MMPose runs it; its input is ``uint8 [N, H, W, 3]`` BGR.

    Args:
        model_config: path of its config.
        weights: its checkpoint.
        together: images that are given together stay so, as the crops of a frame do in MMPose's Python call;
            else each is a call of its own.
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
        found = [self._run(part) for part in parts]
        return [np.concatenate(outputs) for outputs in zip(*found, strict=True)]

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


def one_by_one(found_by: Pipeline, path: Path, target: Path | None) -> int:
    """Run a clip frame by frame, nothing overlapped, drawn and written by OpenCV into ``target``; return its frames."""
    video, writer, count = cv2.VideoCapture(str(path)), None, 0
    while True:
        there, image = video.read()
        if not there:
            break
        boxes = found_by.detector(image)
        poses = found_by.pose(image, boxes.xyxy)
        height, width = image.shape[:2]
        if target is not None:
            drawn = render(
                image, Result(boxes, poses, found_by.keypoint_set.name, (width, height)), found_by.pose, DrawStyle()
            )
            if writer is None:
                code = cv2.VideoWriter.fourcc(*"mp4v")
                writer = cv2.VideoWriter(str(target), code, video.get(cv2.CAP_PROP_FPS), (width, height))
            writer.write(drawn)
        count += 1
    video.release()
    if writer is not None:
        writer.release()
    return count
