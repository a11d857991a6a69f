"""Results drawn on images: an image and its `Result` in, a new image out."""

from .instances import STYLES, draw
from .render import DrawStyle, render

__all__ = ["STYLES", "DrawStyle", "draw", "render"]
