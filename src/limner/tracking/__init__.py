"""Who is who from frame to frame, and points that do not tremble: the only stage with memory.

`Tracker` takes the results of a video in order and gives them back with numbers and steady points;
between two runs of the detector it also says where to look. `OneEuro` is its filter, usable alone.
`smooth` steadies the points of a video that is there as a whole, and fills short gaps; `LagSmoother`
does the same while the results come, a little late.
"""

from .filters import OneEuro
from .smoothing import LagSmoother, smooth
from .tracker import Tracker

__all__ = ["LagSmoother", "OneEuro", "Tracker", "smooth"]
