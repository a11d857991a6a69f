"""Finds boxes in images: where a detector looks, how closely, and what it returns."""

from .detector import DETECTOR_BATCH, Detector, NoDetector, WholeImage
from .views import DetectorOptions

__all__ = ["DETECTOR_BATCH", "Detector", "DetectorOptions", "NoDetector", "WholeImage"]
