"""Config dict -> network, and the specs of the stages around it.

`network` and `load_weights` need torch; the specs and `decoder` do not.
"""

from .networks import layer, load_weights, network
from .specs import (
    Decoder,
    DetectorSpec,
    FlipTest,
    Normalisation,
    PoseSpec,
    dataset_name,
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
    "decoder",
    "detector_spec",
    "layer",
    "load_weights",
    "network",
    "pose_spec",
]
