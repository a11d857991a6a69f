"""Moving pictures: video files, streams and cameras in; H.264 and JSON that survive a kill out."""

from .inputs import is_video
from .live import CameraSource, Newest, camera_number
from .reader import VideoSource
from .sheets import JsonLines, VideoJson, json_line
from .writer import VideoSink

__all__ = [
    "CameraSource",
    "JsonLines",
    "Newest",
    "VideoJson",
    "VideoSink",
    "VideoSource",
    "camera_number",
    "is_video",
    "json_line",
]
