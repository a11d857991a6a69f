"""What stands for a base that is missing and that inference does not need: the runtime and the schedule of a training.

A config that was copied out of its clone, or whose base lies in a package that is not installed, can be read so.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

_HOOKS = ("timer", "logger", "param_scheduler", "checkpoint", "sampler_seed", "visualization", "badcase")
# the names that such files of MMPose and MMDetection define, so that a config may change or use them
_RUNTIME: dict[str, Any] = {
    "default_scope": "mmpose",
    "default_hooks": {name: {} for name in _HOOKS},
    "custom_hooks": [],
    "env_cfg": {},
    "vis_backends": [],
    "visualizer": {},
    "log_processor": {},
    "log_level": "INFO",
    "load_from": None,
    "resume": False,
    "backend_args": {},
}
_SCHEDULE: dict[str, Any] = {
    "train_cfg": {},
    "val_cfg": {},
    "test_cfg": {},
    "param_scheduler": [],
    "optim_wrapper": {},
    "auto_scale_lr": {},
}
STAND_INS = frozenset([*_RUNTIME, *_SCHEDULE])


def stand_in(reference: str, text: str) -> dict[str, Any] | None:
    """Return what stands for a base that was not found, None where inference may need it.

    Args:
        reference: the base, as a config names it.
        text: of the config. One of MMPose 0.x takes ``dataset_info`` from a base; its name says which it is.
    """
    path = PurePosixPath(reference.rpartition("::")[2].replace("\\", "/"))
    if path.stem == "default_runtime":
        return {**_RUNTIME, **_SCHEDULE}
    if path.parent.name == "schedules":
        return dict(_SCHEDULE)
    if path.parent.name == "datasets" and "_base_.dataset_info" in text:
        return {"dataset_info": {"from_file": f"configs/_base_/datasets/{path.name}"}}
    return None
