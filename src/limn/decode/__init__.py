"""Raw network outputs -> boxes and keypoints, in numpy.

Points come in pixels of the network's input; `limn.crop.Crop.to_picture` brings them to the picture.
"""

from .boxes import grid_distances, grid_offsets, nms, select, sigmoid
from .flips import FLIP_MODES, flip_coordinates, flip_heatmaps, flip_vectors
from .heatmaps import combined, megvii, msra, msra_dark, udp
from .regression import deviations, regression
from .simcc import simcc, simcc_heatmaps

__all__ = [
    "FLIP_MODES",
    "combined",
    "deviations",
    "flip_coordinates",
    "flip_heatmaps",
    "flip_vectors",
    "grid_distances",
    "grid_offsets",
    "megvii",
    "msra",
    "msra_dark",
    "nms",
    "regression",
    "select",
    "sigmoid",
    "simcc",
    "simcc_heatmaps",
    "udp",
]
