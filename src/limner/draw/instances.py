"""Draw a result: an image and its `Result` in, a new image out.

Everything is drawn anti-aliased at sub-pixel positions. The sizes of dots and lines follow the size of
each body, hand or face, so that both a face of 20 pixels and one of 2,000 pixels are readable.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..errors import ArgumentError, suggest
from ..keypoints import KeypointSet, openpose
from ..types import Poses, Result
from .labels import draw_boxes, write_indices
from .parts import fit_parts, lookup_tables
from .primitives import contour_paths, draw_dots, draw_limbs, draw_lines, limbs, link_paths, merge_paths, prepare_lines

STYLES = ("mmpose", "openpose")


def draw(
    image: np.ndarray,
    result: Result,
    keypoint_set: KeypointSet,
    *,
    kpt_thr: float = 0.3,
    radius: float | None = None,
    thickness: float | None = None,
    alpha: float | None = None,
    draw_bbox: bool = False,
    show_kpt_idx: bool = False,
    skeleton_style: str = "mmpose",
    black_background: bool = False,
    contours: bool = True,
    overwrite: bool = False,
) -> np.ndarray:
    """Return an image with the instances of ``result`` drawn on ``image``.

    Args:
        image: uint8 [H, W, 3], BGR; it is not changed unless ``overwrite`` is set.
        result: of that image; its keypoints are those of ``keypoint_set``.
        keypoint_set: names, links, colours and contours of the keypoints.
        kpt_thr: keypoints that score less are not drawn, nor the lines that touch them.
        radius: of every dot, pixels; 0 draws none. None fits it to each body, hand or face.
            OpenPose's faces and hands on a body get half of it.
        thickness: of every line, pixels, and half that of OpenPose's limbs; 0 draws none. None
            fits it likewise.
        alpha: opacity of the lines, 0..1; dots are opaque. None means 0.7 in MMPose's style,
            0.6 for OpenPose's limbs and 1 for its fingers.
        draw_bbox: draw each box and its score too.
        show_kpt_idx: write the index of each keypoint beside it, in the order of the style.
        skeleton_style: "mmpose", the colours and links of the data set, or "openpose" (Cao et al. 2019,
            arXiv:1812.08008): its order, with a neck, and limbs as ellipses, as ControlNet reads them.
        black_background: draw on black in place of the image.
        contours: draw the lines of a face (jaw, eyes, lips, ...).
        overwrite: ``image`` is not needed any more, so draw on it where its memory layout allows that.

    Returns:
        uint8 [H, W, 3], BGR.

    Raises:
        ArgumentError: an argument of the wrong shape, range or name; a keypoint set without OpenPose layout.
    """
    _check(image, result, keypoint_set, radius, thickness, alpha, skeleton_style)
    canvas = np.zeros(image.shape, np.uint8) if black_background else _canvas(image, overwrite)
    layout = openpose.layout(keypoint_set.name) if skeleton_style == "openpose" else None
    if layout is not None:
        keypoint_set, result = layout.keypoint_set, _in_openpose(layout, result)
    tables = lookup_tables(keypoint_set)
    parts = fit_parts(result, tables, image.shape[1::-1], kpt_thr, radius, thickness)
    if parts is not None:
        if layout is None:
            paths = link_paths(parts, tables)
            if contours and len(tables.segments):
                paths = merge_paths(paths, contour_paths(parts, tables))
            line_alpha = 0.7 if alpha is None else alpha
            ellipses = None
        else:
            paths = link_paths(parts, tables, after=layout.limbs)
            line_alpha = 1.0 if alpha is None else alpha
            ellipses = limbs(parts, tables, layout.limbs)
            if radius is None:  # no line shows a face there, so its dots must
                parts.radii[:, layout.unlinked] *= 2
            else:
                parts.radii[:, layout.joints :] /= 2
        lines = prepare_lines(parts, paths)
        for run in parts.independent_runs():
            for m in run:
                if ellipses is not None:
                    draw_limbs(canvas, ellipses[m], 0.6 if alpha is None else alpha)
                draw_lines(canvas, lines, m, line_alpha)
            draw_dots(canvas, parts, run, tables.dot_colors)
    if draw_bbox or result.track_ids is not None:
        draw_boxes(canvas, result, with_lines_and_scores=draw_bbox)
    if show_kpt_idx and parts is not None:
        for m in range(len(parts)):
            write_indices(canvas, parts, m)
    return canvas


def _canvas(image: np.ndarray, overwrite: bool) -> np.ndarray:
    own = overwrite and image.flags.writeable and image.flags.c_contiguous
    return image if own else np.array(image, order="C")


def _check(
    image: np.ndarray,
    result: Result,
    keypoint_set: KeypointSet,
    radius: float | None,
    thickness: float | None,
    alpha: float | None,
    style: str,
) -> None:
    if style not in STYLES:
        raise ArgumentError(
            f"skeleton_style is '{style}' where {' or '.join(STYLES)} is needed.{suggest(style, STYLES)}"
        )
    is_array = isinstance(image, np.ndarray)
    if not is_array or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        got = f"{image.dtype} {list(image.shape)}" if is_array else type(image).__name__
        raise ArgumentError(f"the image to draw on is {got} where uint8 [height, width, 3] is needed")
    found = result.poses.keypoints.shape[1]
    if len(result) and found != len(keypoint_set):
        raise ArgumentError(
            f"the result has {found} keypoints where keypoint set '{keypoint_set.name}' has {len(keypoint_set)}; "
            f"draw it with the set '{result.keypoint_set.name}'"
        )
    for name, value, high in (("radius", radius, 1000), ("thickness", thickness, 1000), ("alpha", alpha, 1)):
        if value is not None and not 0 <= value <= high:
            raise ArgumentError(f"{name} is {value} where a number from 0 to {high} is needed")


def _in_openpose(layout: openpose.Layout, result: Result) -> Result:
    if not len(result):
        return result
    poses = Poses(*layout.convert(result.poses.keypoints, result.poses.scores))
    return replace(result, poses=poses, keypoint_set=layout.keypoint_set)
