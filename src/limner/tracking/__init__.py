"""Track ids from frame to frame and smoothed keypoints: the only stage that keeps state between frames.

`Tracker` takes the results of a video in order and returns them with track ids and smoothed keypoints;
between two runs of the detector it also predicts the boxes. `OneEuro` is its filter, usable alone.
`smooth` smooths the keypoints of a whole video and fills short gaps; `LagSmoother` does the same while
the results come, with a delay.
"""

from .filters import OneEuro
from .smoothing import LagSmoother, smooth
from .tracker import Tracker

__all__ = ["LagSmoother", "OneEuro", "Tracker", "smooth"]
