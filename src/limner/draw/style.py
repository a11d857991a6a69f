"""How results are drawn: what a user may choose, checked when it is chosen."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ArgumentError, check_flags, check_number, said, suggest
from ..types import HeatmapMode
from . import colors
from .selection import PARTS, part_names

STYLES = ("mmpose", "openpose")
_FLAGS = ("draw_bbox", "show_kpt_idx", "draw_heatmap", "dots", "lines", "labels")


@dataclass(frozen=True)
class DrawStyle:
    """How results are drawn, as pixels or as SVG.

    Args:
        kpt_thr: keypoints that score less are not drawn, nor the lines that touch them.
        radius: of every dot, pixels; 0 draws none. None fits it to each body, hand or face.
            OpenPose's faces and hands on a body get half of it.
        thickness: of every line, pixels, and half that of OpenPose's limbs; 0 draws none. None
            fits it likewise.
        alpha: opacity of everything that is drawn, 0..1, in the place where it is: dots on lines do not shine through.
        draw_bbox: draw each box and its score too.
        show_kpt_idx: write the index of each keypoint beside it, in the order of the style.
        skeleton_style: "mmpose", the colours and links of the data set, or "openpose" (Cao et al. 2019,
            arXiv:1812.08008): its order, with a neck, and limbs as ellipses, as ControlNet reads them.
        draw_heatmap: add the heatmaps of the keypoints in a second image below.
        background: what is drawn on: "image", "black", "white", "transparent", or a colour, see `colors.parse`.
            None means the image for pixels, and nothing for SVG.
        color: of everything drawn: a colour, "by-id" (one for each track id, or each instance) or "by-part"
            (one for bodies, one for faces, one for each hand). None takes those of the data set.
        dots: draw the dots of the keypoints.
        lines: draw the lines between them.
        labels: write track ids, and scores beside boxes.
        parts: draw these parts of a body only: "body", "feet", "face", "hands", "left_hand", "right_hand"; as a
            tuple, or as words with commas between them.
        fit_faces: "dots", "lines" or both, whose sizes are fitted to each face though ``radius`` and ``thickness``
            are given: MMPose's 3 and 1 suit a body, and cover a face.
        line_alpha: opacity of the lines, 0..1, below opaque dots, as ``--alpha`` of MMPose's demos. None means 0.7 in
            MMPose's style, 0.6 for OpenPose's limbs and 1 for its fingers; 1 where ``alpha`` is given.

    Raises:
        ArgumentError: a value out of range, an unknown name, or values that contradict each other.
    """

    kpt_thr: float = 0.3
    radius: float | None = None
    thickness: float | None = None
    alpha: float | None = None
    draw_bbox: bool = False
    show_kpt_idx: bool = False
    skeleton_style: str = "mmpose"
    draw_heatmap: bool = False
    background: str | None = None
    color: str | None = None
    dots: bool = True
    lines: bool = True
    labels: bool = True
    parts: tuple[str, ...] | str | None = None
    fit_faces: tuple[str, ...] = ()
    line_alpha: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.skeleton_style, str) or self.skeleton_style not in STYLES:
            raise ArgumentError(
                f"skeleton_style is {said(self.skeleton_style)} where {' or '.join(STYLES)} is needed."
                f"{suggest(str(self.skeleton_style), STYLES)}"
            )
        check_flags({name: getattr(self, name) for name in _FLAGS})
        check_number("kpt_thr", self.kpt_thr)
        for name, high in (("radius", 1000), ("thickness", 1000), ("alpha", 1), ("line_alpha", 1)):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), 0, high)
        for part, shown, size in (("dots", self.dots, self.radius), ("lines", self.lines, self.thickness)):
            if not shown and size:
                raise ArgumentError(f"no {part} are drawn, so their size {size} has no effect: leave one of both out")
        if not isinstance(self.fit_faces, (tuple, list)) or not {*map(str, self.fit_faces)} <= {"dots", "lines"}:
            raise ArgumentError(f"fit_faces is {said(self.fit_faces)} where a list of 'dots' and 'lines' is needed")
        self.background_rgba  # noqa: B018 -- raises where it is no colour
        self.rgba  # noqa: B018
        if self.parts is not None:
            object.__setattr__(self, "parts", part_names(self.parts))

    @property
    def heatmaps(self) -> HeatmapMode:
        """The heatmaps that a pose estimator has to return for it."""
        return "strongest" if self.draw_heatmap else ""

    @property
    def background_rgba(self) -> colors.Rgba | None:
        """The colour that is drawn on; None for the image, or for nothing in SVG."""
        if self.background is None or (isinstance(self.background, str) and self.background == "image"):
            return None
        if isinstance(self.background, str) and self.background == "transparent":
            return 0, 0, 0, 0
        return colors.parse(self.background, "background", ("image", "transparent"))

    @property
    def transparent(self) -> bool:
        """Whether the background lets something through, so that the drawn image has an alpha channel."""
        rgba = self.background_rgba
        return rgba is not None and rgba[3] < 255

    @property
    def rgba(self) -> colors.Rgba | None:
        """The one colour of everything; None where there are several."""
        if self.color is None or self.by in (colors.BY_ID, colors.BY_PART):
            return None
        return colors.parse(self.color, "color", (colors.BY_ID, colors.BY_PART))

    @property
    def by(self) -> str:
        """What colours go by: "by-id", "by-part", or "" where it is neither."""
        word = self.color.strip().lower().replace("_", "-") if isinstance(self.color, str) else ""
        return word if word in (colors.BY_ID, colors.BY_PART) else ""

    @property
    def layer_opacity(self) -> float:
        """The opacity of everything that is drawn, that of its colour included."""
        rgba = self.rgba
        return (1.0 if self.alpha is None else float(self.alpha)) * (1.0 if rgba is None else rgba[3] / 255)

    def opacity_of_lines(self, usual: float) -> float:
        """Return the opacity of lines that have a usual one."""
        if self.line_alpha is not None:
            return float(self.line_alpha)
        return usual if self.alpha is None and self.layer_opacity == 1 else 1.0


__all__ = ["PARTS", "STYLES", "DrawStyle"]
