"""limner's own Python API: `load` a model and call it with an image to get a `Result`.

    model = limner.load("face-lite")
    result = model("portrait.jpg")
    result.keypoints, result.scores, result.boxes.xyxy, result.names
    result.save("drawn.jpg")
    for result in model.watch("webcam"): ...

The functions that scripts for MMPose call are in `limner.mmpose.functions`.
"""

from .loader import load
from .model import Model
from .result import Result
from .tracker import Tracker

__all__ = ["Model", "Result", "Tracker", "load"]
