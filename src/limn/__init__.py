"""limn finds keypoints of faces, bodies and hands in pictures, videos and live cameras."""

__version__ = "0.1.0"
