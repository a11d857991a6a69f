"""The objects that MMPose's functions return, with the attributes that scripts use.

The arrays are numpy on the CPU from the start, so ``.cpu()`` and ``.numpy()`` do nothing.
"""

from __future__ import annotations

import re
from collections.abc import ItemsView, Iterator, KeysView, Mapping, Sequence, ValuesView
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from ..errors import ArgumentError, suggest
from ..keypoints import KeypointSet
from ..types import Boxes, Poses

_UPPER = re.compile(r"(left_|right_)?(nose|eye|ear|head|neck|shoulder|elbow|wrist)")
_LOWER = re.compile(r"(left_|right_)?(hip|knee|ankle|big_toe|small_toe|heel)")


class InstanceData:
    """Arrays by name, one row an instance: ``keypoints``, ``keypoint_scores``, ``bboxes``, ``bbox_scores``, ..."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"there is no field '{name}'.{suggest(name, self.__dict__)}")

    def __contains__(self, name: object) -> bool:
        return name in self.__dict__

    def __len__(self) -> int:
        return len(next(iter(self.__dict__.values()), ()))

    def __getitem__(self, index: Any) -> Any:
        """Return a field by its name, or the instances that a number, a slice, a mask or indices choose."""
        if isinstance(index, str):
            return getattr(self, index)
        if isinstance(index, (int, np.integer)):
            if not -len(self) <= index < len(self):
                raise IndexError(f"there is no instance {index} among {len(self)}")
            index = [index]
        return InstanceData(**{name: values[index] for name, values in self.__dict__.items()})

    def __iter__(self) -> Iterator[InstanceData]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}: {list(np.shape(values))}" for name, values in self.__dict__.items())
        return f"InstanceData({fields})"

    def keys(self) -> KeysView[str]:
        return self.__dict__.keys()

    def values(self) -> ValuesView[Any]:
        return self.__dict__.values()

    def items(self) -> ItemsView[str, Any]:
        return self.__dict__.items()

    def get(self, name: str, default: Any = None) -> Any:
        return self.__dict__.get(name, default)

    def to(self, *_: object, **__: object) -> InstanceData:
        return self

    cpu = cuda = detach = numpy = to


@dataclass
class PoseDataSample:
    """The results of one image, or of one box of it."""

    pred_instances: InstanceData
    metainfo: dict[str, Any] = field(default_factory=dict)
    pred_fields: InstanceData | None = None  # heatmaps [K, h, w], where the config's output_heatmaps asks for them

    def __contains__(self, name: object) -> bool:
        return self.get(str(name)) is not None

    def get(self, name: str, default: Any = None) -> Any:
        value = getattr(self, name, None)
        return default if value is None else value

    def to(self, *_: object, **__: object) -> PoseDataSample:
        return self

    cpu = cuda = detach = numpy = to


def pose_instances(boxes: Boxes, poses: Poses) -> InstanceData:
    """Return N instances with the fields of MMPose's ``pred_instances``."""
    return InstanceData(
        keypoints=poses.keypoints,
        keypoint_scores=poses.scores,
        keypoints_visible=poses.scores,
        bboxes=boxes.xyxy,
        bbox_scores=boxes.scores,
    )


def merge_data_samples(samples: Sequence[PoseDataSample]) -> PoseDataSample:
    """Return one sample with the instances of several samples of one image; an empty one without samples.

    Raises:
        ArgumentError: something among them is not a sample.
    """
    if not all(isinstance(sample, PoseDataSample) for sample in samples):
        raise ArgumentError("merge_data_samples needs a list of what inference_topdown returns")
    if not samples:
        return PoseDataSample(pose_instances(Boxes.empty(), Poses(np.zeros((0, 0, 2), np.float32), np.zeros((0, 0)))))
    parts = [sample.pred_instances for sample in samples]
    merged = {name: np.concatenate([part[name] for part in parts]) for name, _ in parts[0].items()}
    return PoseDataSample(InstanceData(**merged), dict(samples[0].metainfo))


def split_instances(instances: InstanceData | None) -> list[dict[str, Any]]:
    """Return instances as the plain dicts that MMPose writes into JSON files."""
    if instances is None:
        return []
    instance_dicts = []
    for i in range(len(instances)):
        entry = {"keypoints": instances.keypoints[i].tolist(), "keypoint_scores": instances.keypoint_scores[i].tolist()}
        if "bboxes" in instances:
            entry["bbox"] = [instances.bboxes[i].tolist()]
            if "bbox_scores" in instances:
                entry["bbox_score"] = float(instances.bbox_scores[i])
        instance_dicts.append(entry)
    return instance_dicts


# -- dataset_meta


def dataset_meta(given: Mapping[str, Any], keypoint_set: KeypointSet, name: str | None) -> dict[str, Any]:
    """Return a model's ``dataset_meta`` in MMPose's form: the checkpoint's, else one derived from its keypoint set.

    Args:
        given: the ``dataset_meta`` of the checkpoint.
        name: MMPose's name of the data set, or the path of its file; None takes the name of the keypoint set.
    """
    if "keypoint_id2name" in given:
        return dict(given)
    names = keypoint_set.upstream_names
    flips = keypoint_set.flip_indices.tolist()
    return {
        "dataset_name": PurePosixPath(name).stem if name else keypoint_set.name,
        "num_keypoints": len(names),
        "keypoint_id2name": dict(enumerate(names)),
        "keypoint_name2id": {keypoint: i for i, keypoint in enumerate(names)},
        "upper_body_ids": [i for i, keypoint in enumerate(names) if _UPPER.fullmatch(keypoint)],
        "lower_body_ids": [i for i, keypoint in enumerate(names) if _LOWER.fullmatch(keypoint)],
        "flip_indices": flips,
        "flip_pairs": [[other, i] for i, other in enumerate(flips) if other != i],
        "keypoint_colors": keypoint_set.keypoint_colors,
        "num_skeleton_links": len(keypoint_set.skeleton),
        "skeleton_links": keypoint_set.skeleton.tolist(),
        "skeleton_link_colors": keypoint_set.link_colors,
        "dataset_keypoint_weights": np.ones(len(names), np.float32),
        "sigmas": keypoint_set.sigmas,
    }
