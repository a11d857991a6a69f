"""Raw network outputs -> boxes and keypoints, in numpy.

Points come in pixels of the network's input; `limner.crop.Crop.to_image` brings them to the image.
"""

from .boxes import grid_distances, grid_offsets, select, sigmoid
from .flips import FLIP_MODES, flip_coordinates, flip_heatmaps, flip_vectors
from .heatmaps import combined, megvii, msra, msra_dark, udp
from .lists import grid_points, grid_rows, listed
from .nms import bbox_nms, nearby_joints_nms, nms
from .regression import deviations, regression
from .scores import bounded
from .simcc import simcc, simcc_heatmaps
from .tiles import merge

__all__ = [
    "FLIP_MODES",
    "bbox_nms",
    "bounded",
    "combined",
    "deviations",
    "flip_coordinates",
    "flip_heatmaps",
    "flip_vectors",
    "grid_distances",
    "grid_offsets",
    "grid_points",
    "grid_rows",
    "listed",
    "megvii",
    "merge",
    "msra",
    "msra_dark",
    "nearby_joints_nms",
    "nms",
    "regression",
    "select",
    "sigmoid",
    "simcc",
    "simcc_heatmaps",
    "udp",
]
