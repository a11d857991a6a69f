"""Config dict -> network, and the specs of the stages around it.

`network` and `load_weights` need torch; the specs and `decoder` do not.
"""

from .datasets import dataset_name, dataset_type, described
from .mmpose0 import is_old, modernised, rename_vit
from .networks import layer, load_weights, network
from .specs import (
    Decoder,
    DetectorSpec,
    FlipTest,
    Normalisation,
    PoseSpec,
    decoder,
    detector_spec,
    pose_spec,
)

__all__ = [
    "Decoder",
    "DetectorSpec",
    "FlipTest",
    "Normalisation",
    "PoseSpec",
    "dataset_name",
    "dataset_type",
    "decoder",
    "described",
    "detector_spec",
    "is_old",
    "layer",
    "load_weights",
    "modernised",
    "network",
    "pose_spec",
    "rename_vit",
]
