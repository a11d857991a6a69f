"""Draw a result: an image and its `Result` in, a new image out.

Everything is drawn anti-aliased at sub-pixel positions. The sizes of dots and lines follow the size of
each body, hand or face, so that both a face of 20 pixels and one of 2,000 pixels are readable.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from ..errors import ArgumentError
from ..keypoints import KeypointSet, openpose
from ..types import Poses, Result
from . import colors, compose
from .labels import draw_boxes, write_indices
from .parts import LookupTables, Parts, fit_parts, lookup_tables
from .paths import contour_paths, link_paths, merge_paths
from .primitives import draw_dots, draw_limbs, draw_lines, limbs, prepare_lines
from .selection import names_of, part_names, select
from .style import DrawStyle

LINE_ALPHA, LIMB_ALPHA, FINGER_ALPHA = 0.7, 0.6, 1.0


@dataclass(frozen=True, eq=False)
class Drawable:
    """What there is to draw of a result in a style."""

    result: Result  # of the parts that are shown, in the order of the style
    keypoint_set: KeypointSet
    tables: LookupTables
    parts: Parts | None  # None where no point is drawn
    layout: openpose.Layout | None  # where it is drawn as OpenPose does


def prepare(result: Result, style: DrawStyle, size: tuple[int, int]) -> Drawable:
    """Return what there is to draw of a result on an image of a size, (width, height).

    Raises:
        ArgumentError: the keypoint set has not the parts or the layout that the style asks for.
    """
    _check_set(result)
    if style.parts is not None:
        result = select(result, part_names(style.parts))
    keypoint_set = result.keypoint_set
    layout = openpose.layout(keypoint_set.name) if style.skeleton_style == "openpose" else None
    if layout is not None:
        keypoint_set, result = layout.keypoint_set, _in_openpose(layout, result)
    tables = lookup_tables(keypoint_set)
    names = names_of(keypoint_set)
    radius, thickness = style.radius if style.dots else 0, style.thickness if style.lines else 0
    faces = np.array([name == "face" for name in names])
    fit_dots, fit_lines = (
        faces & (word in style.fit_faces) & shown for word, shown in (("dots", style.dots), ("lines", style.lines))
    )
    parts = fit_parts(result, tables, size, style.kpt_thr, radius, thickness, fit_dots, fit_lines)
    if parts is not None:
        parts = replace(parts, colors=_part_colors(parts, result, names, style))
        if layout is not None:
            fitted = np.ones(len(keypoint_set), bool) if radius is None else fit_dots.take(tables.part)
            parts.radii[:, layout.unlinked[fitted[layout.unlinked]]] *= 2  # no line shows a face there: its dots must
            parts.radii[:, layout.joints :][:, ~fitted[layout.joints :]] /= 2
    return Drawable(result, keypoint_set, tables, parts, layout)


def draw(image: np.ndarray, result: Result, style: DrawStyle | None = None, *, overwrite: bool = False) -> np.ndarray:
    """Return an image with the instances of ``result`` drawn on ``image``.

    Args:
        image: uint8 ``[H, W, 3]``, BGR, or ``[H, W, 4]`` with alpha, which is kept: what is drawn is opaque. It is
            not changed unless ``overwrite`` is set.
        result: of that image.
        style: how it is drawn; None takes the default.
        overwrite: ``image`` is not needed any more, so draw on it where its memory layout allows that.

    Returns:
        uint8 ``[H, W, 3]``, BGR; ``[H, W, 4]`` where the background is transparent, or is an image with alpha.

    Raises:
        ArgumentError: an image of the wrong shape, or a keypoint set without what the style asks for.
    """
    style = DrawStyle() if style is None else style
    _check_image(image)
    drawable = prepare(result, style, image.shape[1::-1])
    opacity, rgba = style.layer_opacity, style.background_rgba
    if style.transparent or (rgba is None and image.shape[2] == 4):
        below = image if rgba is None else compose.filled(image.shape[:2], rgba)
        black, white = (np.full((*image.shape[:2], 3), value, np.uint8) for value in (0, 255))
        for canvas in (black, white):
            _draw_on(canvas, drawable, style)
        return compose.on_alpha(below, black, white, opacity)
    if rgba is not None:
        canvas = compose.filled(image.shape[:2], rgba)[..., :3].copy()
    else:
        canvas = _canvas(image, overwrite and opacity == 1)
    before = canvas.copy() if opacity < 1 else canvas
    _draw_on(canvas, drawable, style)
    return cv2.addWeighted(canvas, opacity, before, 1 - opacity, 0) if opacity < 1 else canvas


def _draw_on(canvas: np.ndarray, drawable: Drawable, style: DrawStyle) -> None:
    """Draw on a canvas, uint8 ``[H, W, 3]`` and contiguous."""
    parts, tables, layout = drawable.parts, drawable.tables, drawable.layout
    if parts is not None:
        if layout is None:
            paths = link_paths(parts, tables)
            if len(tables.segments):
                paths = merge_paths(paths, contour_paths(parts, tables))
            line_alpha, ellipses = style.opacity_of_lines(LINE_ALPHA), None
        else:
            paths = link_paths(parts, tables, after=layout.limbs)
            line_alpha, ellipses = style.opacity_of_lines(FINGER_ALPHA), limbs(parts, tables, layout.limbs)
        lines = prepare_lines(parts, paths)
        for run in parts.independent_runs():
            for m in run:
                if ellipses is not None:
                    draw_limbs(canvas, ellipses[m], style.opacity_of_lines(LIMB_ALPHA))
                draw_lines(canvas, lines, m, line_alpha)
            draw_dots(canvas, parts, run, tables.dot_colors)
    if style.draw_bbox or (style.labels and drawable.result.track_ids is not None):
        draw_boxes(canvas, drawable.result, style)
    if style.show_kpt_idx and parts is not None:
        for m in range(len(parts)):
            write_indices(canvas, parts, m)


def _part_colors(parts: Parts, result: Result, names: tuple[str, ...], style: DrawStyle) -> list[colors.Color] | None:
    """Return the colour of each part, or None where each dot and line has its own."""
    if style.by == colors.BY_PART:
        return [colors.of_part(names[number]) for number in parts.number.tolist()]
    if style.by == colors.BY_ID:
        return [colors.of_person(person_number(result, owner)) for owner in parts.owner.tolist()]
    rgba = style.rgba
    return None if rgba is None else [(rgba[2], rgba[1], rgba[0])] * len(parts)


def person_number(result: Result, i: int) -> int:
    """Return the track id of an instance, below 0 where it has none yet; its number where nobody is tracked."""
    return i if result.track_ids is None else int(result.track_ids[i])


def _canvas(image: np.ndarray, overwrite: bool) -> np.ndarray:
    own = overwrite and image.flags.writeable and image.flags.c_contiguous
    return image if own else np.array(image[..., :3], order="C")


def _check_image(image: np.ndarray) -> None:
    is_array = isinstance(image, np.ndarray)
    if not is_array or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (3, 4) or not image.size:
        got = f"{image.dtype} {list(image.shape)}" if is_array else type(image).__name__
        raise ArgumentError(f"the image to draw on is {got} where uint8 [height, width, 3] is needed")


def _check_set(result: Result) -> None:
    found, known = result.poses.keypoints.shape[1], result.keypoint_set
    if len(result) and found != len(known):
        raise ArgumentError(
            f"the result has {found} keypoints where keypoint set '{known.name}' has {len(known)}; "
            "give it the set that describes its keypoints"
        )


def _in_openpose(layout: openpose.Layout, result: Result) -> Result:
    if not len(result):
        return result
    poses = Poses(*layout.convert(result.poses.keypoints, result.poses.scores))
    return replace(result, poses=poses, keypoint_set=layout.keypoint_set)
