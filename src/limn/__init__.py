"""limn finds keypoints of faces, bodies and hands in pictures, videos and live cameras.

    import limn

    found = limn.load("face-lite")("portrait.jpg")
    found.save("drawn.jpg")

Scripts for MMPose find its names here: `MMPoseInferencer`, `init_model`, `inference_topdown`, ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .api import (
        Finder,
        Found,
        adapt_mmdet_pipeline,
        inference_detector,
        inference_topdown,
        init_detector,
        init_model,
        load,
        nms,
        register_all_modules,
        visualize,
    )
    from .errors import LimnError
    from .inferencer import MMPoseInferencer
    from .samples import merge_data_samples, split_instances
    from .types import Boxes, Poses, Result

__version__ = "0.1.0"

# public name -> the module that has it, loaded when the name is first used: `import limn` itself loads nothing heavy
_HOMES = {
    "Boxes": "types",
    "Finder": "api",
    "Found": "api",
    "LimnError": "errors",
    "MMPoseInferencer": "inferencer",
    "Poses": "types",
    "Result": "types",
    "adapt_mmdet_pipeline": "api",
    "inference_detector": "api",
    "inference_topdown": "api",
    "init_detector": "api",
    "init_model": "api",
    "load": "api",
    "merge_data_samples": "samples",
    "nms": "api",
    "register_all_modules": "api",
    "split_instances": "samples",
    "visualize": "api",
}
__all__ = [  # noqa: RUF022 - the order of a newcomer's reading
    "load",
    "MMPoseInferencer",
    "init_model",
    "inference_topdown",
    "init_detector",
    "inference_detector",
    "visualize",
    "nms",
    "adapt_mmdet_pipeline",
    "register_all_modules",
    "merge_data_samples",
    "split_instances",
    "Boxes",
    "Finder",
    "Found",
    "LimnError",
    "Poses",
    "Result",
    "__version__",
]


# names of MMPose that scripts import and limn does without -> what takes their place
_NOT_HERE = {
    "VISUALIZERS": "limn.visualize(...) draws, and MMPoseInferencer with return_vis=True",
    "Pose2DInferencer": "MMPoseInferencer does its work",
    "MODELS": "limn.init_model(config, checkpoint) builds",
    "DATASETS": "limn finds keypoints and trains nothing of MMPose's",
}


def __getattr__(name: str) -> object:
    import importlib

    if name in _NOT_HERE:
        raise ImportError(f"limn has no '{name}': {_NOT_HERE[name]}")
    if name not in _HOMES:
        from .errors import suggest

        raise AttributeError(f"limn has no '{name}'.{suggest(name, _HOMES)}")
    value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
