"""Opens the stages of `pipeline`: from what a user names, or from config files and checkpoints.

`load` makes a `Pipeline` from a name, a config, a ``.pth`` or an ``.onnx``: `choices` says what is meant,
`installation` what can run here, `opening` fetches and opens it. `open_detector` and `open_pose_estimator` make
its stages from MMDetection's and MMPose's own config files and checkpoints.
"""

from ..runtimes.engines import CPU, Engine, choose_engine
from .choices import names_onnx
from .keypoint_sets import of_metainfo
from .loader import FACE_DETECTOR, INSTEAD_FOR_FACES, load
from .opening import BBOX_THR, NMS_THR, runnable
from .stages import (
    load_config,
    network_cache,
    open_detector,
    open_onnx_detector,
    open_onnx_pose,
    open_pose_estimator,
)

__all__ = [
    "BBOX_THR",
    "CPU",
    "FACE_DETECTOR",
    "INSTEAD_FOR_FACES",
    "NMS_THR",
    "Engine",
    "choose_engine",
    "load",
    "load_config",
    "names_onnx",
    "network_cache",
    "of_metainfo",
    "open_detector",
    "open_onnx_detector",
    "open_onnx_pose",
    "open_pose_estimator",
    "runnable",
]
