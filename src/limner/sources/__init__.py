"""Where frames come from: paths, folders, patterns, URLs, cameras and arrays are listed first, then opened.

`expand` only lists names, so a large folder costs no memory for pixels; `read` opens one image and
`open_video` one video or camera. Errors of single inputs are returned by `expand` as a list, so that
one bad name in a hundred does not stop the other ninety-nine.
"""

from .addresses import MAX_BYTES
from .inputs import Input
from .listing import expand, look
from .one_image import ImageLike, read_one
from .opening import check_video_options, open_video, read, why_unreadable

__all__ = [
    "MAX_BYTES",
    "ImageLike",
    "Input",
    "check_video_options",
    "expand",
    "look",
    "open_video",
    "read",
    "read_one",
    "why_unreadable",
]
