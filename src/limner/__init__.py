"""limner finds keypoints of faces, bodies and hands in images, videos and live cameras.

    import limner

    result = limner.load("face-lite")("portrait.jpg")
    result.save("drawn.jpg")

Scripts for MMPose find its names here: `MMPoseInferencer`, `init_model`, `inference_topdown`, ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .api import Model, Result, Tracker, load
    from .errors import LimnerError
    from .mmpose.data_samples import merge_data_samples, split_instances
    from .mmpose.functions import (
        adapt_mmdet_pipeline,
        inference_detector,
        inference_topdown,
        init_detector,
        init_model,
        nms,
        register_all_modules,
        visualize,
    )
    from .mmpose.inferencer import MMPoseInferencer
    from .types import Boxes, Poses
    from .video.writer import VideoWriter

__version__ = "0.1.0"

# public name -> the module that has it, loaded when the name is first used: `import limner` itself loads nothing heavy
_MODULES = {
    "Boxes": "types",
    "LimnerError": "errors",
    "MMPoseInferencer": "mmpose.inferencer",
    "Model": "api",
    "Poses": "types",
    "Result": "api",
    "Tracker": "api",
    "VideoWriter": "video.writer",
    "adapt_mmdet_pipeline": "mmpose.functions",
    "inference_detector": "mmpose.functions",
    "inference_topdown": "mmpose.functions",
    "init_detector": "mmpose.functions",
    "init_model": "mmpose.functions",
    "load": "api",
    "merge_data_samples": "mmpose.data_samples",
    "nms": "mmpose.functions",
    "register_all_modules": "mmpose.functions",
    "split_instances": "mmpose.data_samples",
    "visualize": "mmpose.functions",
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
    "Model",
    "Result",
    "Tracker",
    "VideoWriter",
    "Boxes",
    "Poses",
    "LimnerError",
    "__version__",
]

# names of MMPose that scripts import and limner does without -> what takes their place
_NOT_HERE = {
    "VISUALIZERS": "limner.visualize(...) draws, and MMPoseInferencer with return_vis=True",
    "Pose2DInferencer": "MMPoseInferencer does its work",
    "MODELS": "limner.init_model(config, checkpoint) builds",
    "DATASETS": "limner finds keypoints and trains nothing of MMPose's",
}


def __getattr__(name: str) -> object:
    import importlib

    if name in _NOT_HERE:
        raise ImportError(f"limner has no '{name}': {_NOT_HERE[name]}")
    if name not in _MODULES:
        from .errors import suggest

        raise AttributeError(f"limner has no '{name}'.{suggest(name, _MODULES)}")
    value = getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
