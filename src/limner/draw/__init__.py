"""Results drawn on images: an image and its `Result` in, a new image out; `svg` draws them as vectors."""

from .instances import draw
from .render import render
from .style import PARTS, STYLES, DrawStyle

__all__ = ["PARTS", "STYLES", "DrawStyle", "draw", "render"]
