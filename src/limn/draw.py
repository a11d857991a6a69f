"""Draw a result: a picture and its `Result` in, a new picture out.

Everything is drawn anti-aliased at sub-pixel positions, and sized by what it marks: dots and lines
follow the size of each body, hand or face, so a face of 20 pixels keeps its features and one of
2,000 pixels is not dotted with specks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import cv2
import numpy as np

from .errors import ArgumentError, suggest
from .keypoints import KeypointSet, openpose
from .types import Poses, Result

STYLES = ("mmpose", "openpose")

# RGB by what a contour's name ends with: MMPose has one colour for a whole face
_CONTOUR_COLORS = {
    "jaw": (126, 200, 255),
    "brow": (255, 202, 88),
    "nose_bridge": (122, 236, 158),
    "nose_base": (122, 236, 158),
    "eye": (96, 226, 255),
    "outer_lips": (255, 118, 150),
    "inner_lips": (255, 170, 190),
    "lips": (255, 118, 150),
}
_BOX_COLOR = (64, 196, 96)  # RGB
# RGB, one per identity in turn
_TRACK_COLORS = ((64, 196, 96), (255, 159, 28), (86, 156, 255), (240, 98, 146), (171, 130, 255), (0, 200, 200))

_SHIFT = 4  # OpenCV takes positions in 1/16 pixel
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_HEIGHT = 21.0  # pixels of a digit at font scale 1
_ENLARGED = 3_000_000  # pixels that an enlarged layer may have

_Color = tuple[int, int, int]  # BGR
_Stroke = tuple[np.ndarray, _Color, float]  # [N, T, 2] polylines in pixels, their colour and width


@dataclass(frozen=True, eq=False)
class _Part:
    """The points of one body, hand or face that are drawn, and the sizes that fit it."""

    points: np.ndarray  # float32 [K, 2] of the whole instance
    drawn: np.ndarray  # bool [K]
    size: float  # longer side, pixels
    radii: np.ndarray  # float64 [K] of the dots, pixels
    thickness: tuple[float, float]  # of the thinnest and the thickest line, pixels


@dataclass(frozen=True, eq=False)
class _Layer:
    """A part of the picture to draw on, ``zoom`` times as large."""

    image: np.ndarray  # uint8 [h, w, 3], BGR
    corner: np.ndarray  # int64 [2], its top left pixel in the picture
    zoom: int

    def place(self, points: np.ndarray) -> np.ndarray:
        """Turn positions in the picture into int32 positions in the layer, as OpenCV takes them with ``shift``."""
        zoomed = (points - self.corner + 0.5) * self.zoom - 0.5
        placed: np.ndarray = np.rint(zoomed * (1 << _SHIFT)).astype(np.int32)
        return placed


def draw(
    image: np.ndarray,
    result: Result,
    keypoint_set: KeypointSet,
    *,
    kpt_thr: float = 0.3,
    radius: float | None = None,
    thickness: float | None = None,
    alpha: float | None = None,
    boxes: bool = False,
    indices: bool = False,
    style: str = "mmpose",
    black_background: bool = False,
    contours: bool = True,
) -> np.ndarray:
    """Return a new picture with the instances of ``result`` drawn on ``image``.

    Args:
        image: uint8 [H, W, 3], BGR; it is not changed.
        result: what was found in it; its points are those of ``keypoint_set``.
        keypoint_set: names, links, colours and contours of the points.
        kpt_thr: points that score less are not drawn, nor the lines that touch them.
        radius: of every dot, pixels; 0 draws none. Left out, it fits each body, hand or face.
            OpenPose's faces and hands on a body get half of it.
        thickness: of every line, pixels, and half that of OpenPose's limbs; 0 draws none. Left
            out, it fits likewise.
        alpha: opacity of the lines, 0..1; dots are opaque. Left out, it is 0.7 in MMPose's style,
            0.6 for OpenPose's limbs and 1 for its fingers.
        boxes: draw each box and its score too.
        indices: write the number of each keypoint beside it, in the order of the style.
        style: "mmpose", the colours and links of the data set, or "openpose" (Cao et al. 2019,
            arXiv:1812.08008): its order, with a neck, and limbs as ellipses, as ControlNet reads them.
        black_background: draw on black in place of the picture.
        contours: draw the lines of a face (jaw, eyes, lips, ...).

    Returns:
        uint8 [H, W, 3], BGR.

    Raises:
        ArgumentError: an argument of the wrong shape, range or name; a set that OpenPose has no layout for.
    """
    _check(image, result, keypoint_set, radius, thickness, alpha, style)
    canvas = np.zeros(image.shape, np.uint8) if black_background else np.array(image, order="C")
    layout = openpose.layout(keypoint_set.name) if style == "openpose" else None
    if layout is not None:
        keypoint_set, result = layout.keypoint_set, _in_openpose(layout, result)
    parts = _parts(result, keypoint_set, canvas, kpt_thr, radius, thickness)
    splines = _spline_table(keypoint_set) if contours else None
    for part in parts:
        if layout is None:
            _draw_lines(canvas, part, keypoint_set, splines, 0.7 if alpha is None else alpha)
        else:
            _draw_limbs(canvas, part, layout, alpha)
            if radius is None:  # no line shows a face there, so its dots must
                part.radii[layout.lone] *= 2
            else:
                part.radii[layout.joints :] /= 2
        _draw_dots(canvas, part, keypoint_set)
    if boxes or result.track_ids is not None:
        _draw_boxes(canvas, result, with_lines_and_scores=boxes)
    if indices:
        for part in parts:
            _write_indices(canvas, part)
    return canvas


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
        raise ArgumentError(f"no style is called '{style}'.{suggest(style, STYLES)} Known: {', '.join(STYLES)}.")
    is_array = isinstance(image, np.ndarray)
    if not is_array or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        got = f"{image.dtype} {list(image.shape)}" if is_array else type(image).__name__
        raise ArgumentError(f"the picture to draw on is {got} where uint8 [height, width, 3] is needed")
    found = result.poses.keypoints.shape[1]
    if len(result) and found != len(keypoint_set):
        raise ArgumentError(
            f"the result has {found} keypoints where keypoint set '{keypoint_set.name}' has {len(keypoint_set)}; "
            f"draw it with the set '{result.keypoint_set}'"
        )
    for name, value, high in (("radius", radius, 1000), ("thickness", thickness, 1000), ("alpha", alpha, 1)):
        if value is not None and not 0 <= value <= high:
            raise ArgumentError(f"{name} is {value} where a number from 0 to {high} is needed")


def _in_openpose(layout: openpose.Layout, result: Result) -> Result:
    if not len(result):
        return result
    poses = Poses(*layout.convert(result.poses.keypoints, result.poses.scores))
    return replace(result, poses=poses, keypoint_set=layout.keypoint_set.name)


def _parts(
    result: Result,
    keypoint_set: KeypointSet,
    canvas: np.ndarray,
    kpt_thr: float,
    radius: float | None,
    thickness: float | None,
) -> list[_Part]:
    """Return the parts of all instances that have a point to draw, the largest first."""
    height, width = canvas.shape[:2]
    reach = max(height, width)
    keypoints = np.asarray(result.poses.keypoints, np.float32)
    # what lies a picture's length outside is no place to draw a line to; NaN compares false
    near = (np.abs(keypoints - (width / 2, height / 2)) < 1.5 * reach).all(-1)
    keypoints = np.where(near[..., None], keypoints, 0)
    threshold = float(np.clip(kpt_thr, -3e38, 3e38))  # as a float32, like the scores
    drawn = near & (result.poses.scores >= threshold)
    parts = []
    for i in range(len(result)):
        for members in keypoint_set.parts:
            mask = np.zeros(len(keypoint_set), bool)
            mask[members] = drawn[i, members]
            if not mask.any():
                continue
            size = float(np.ptp(keypoints[i][mask], axis=0).max())
            if mask.sum() <= 3:  # too few to tell the size
                size = max(size, 0.25 * _box_size(result.boxes.xyxy[i], reach))
            fitting = min(max(size, 1.0) / (17 * np.sqrt(len(members))), 0.012 * reach)
            radii = np.full(len(mask), fitting if radius is None else float(radius))
            if radius is None:
                _shrink(radii, keypoints[i], mask, keypoint_set.skeleton)
            # lines grow slower than what they outline, or they would vanish in a small face
            thick = max(0.8 * fitting, 1.2 * np.sqrt(fitting)) if thickness is None else float(thickness)
            thin = 0.4 * thick if thickness is None else thick
            parts.append(_Part(keypoints[i], mask, size, radii, (thin, thick)))
    return sorted(parts, key=lambda part: -part.size)


def _shrink(radii: np.ndarray, points: np.ndarray, drawn: np.ndarray, skeleton: np.ndarray) -> None:
    """Make the dots [K] smaller, in place, where links are short, as between the eyes of a body."""
    links = skeleton[drawn[skeleton].all(axis=1)]
    lengths = np.linalg.norm(points[links[:, 0]] - points[links[:, 1]], axis=1)
    for k in np.unique(links):
        own = np.sort(lengths[(links == k).any(axis=1)])
        # the lower median: a hip seen from the side is near the other hip, yet no small thing
        radii[k] = np.clip(0.18 * own[(len(own) - 1) // 2], 0.4 * radii[k], radii[k])


def _box_size(box: np.ndarray, reach: int) -> float:
    size = float(max(box[2] - box[0], box[3] - box[1]))
    return min(size, reach) if size > 0 else 0.2 * reach


@contextmanager
def _layer(canvas: np.ndarray, reached: np.ndarray, width: float, alpha: float) -> Iterator[_Layer]:
    """Lend a layer over a region of ``canvas``, and blend it in with opacity ``alpha`` at the end.

    The region holds the points ``reached`` [N, 2] and ``width`` pixels around them. Thin strokes get
    an enlarged layer, because OpenCV's own anti-aliasing makes crosses of small dots and whole
    pixels of hairlines.
    """
    margin = int(width) + 3
    low = np.maximum(np.floor(reached.min(axis=0)).astype(int) - margin, 0)
    high = np.minimum(np.ceil(reached.max(axis=0)).astype(int) + margin, canvas.shape[1::-1])
    if (low >= high).any():  # all of it is outside
        yield _Layer(np.zeros((1, 1, 3), np.uint8), low, 1)
        return
    region = canvas[low[1] : high[1], low[0] : high[0]]
    width_height = (high - low).tolist()
    zoom = 4 if width < 1.5 else 2 if width < 3 else 1
    while zoom > 1 and zoom**2 * width_height[0] * width_height[1] > _ENLARGED:
        zoom //= 2
    image = cv2.resize(region, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST) if zoom > 1 else region.copy()
    yield _Layer(image, low, zoom)
    if zoom > 1:
        image = cv2.resize(image, width_height, interpolation=cv2.INTER_AREA)
    cv2.addWeighted(image, alpha, region, 1 - alpha, 0, dst=region)


def _bgr(rgb: np.ndarray | tuple[int, ...]) -> _Color:
    return int(rgb[2]), int(rgb[1]), int(rgb[0])


def _links(part: _Part, keypoint_set: KeypointSet) -> Iterator[tuple[int, np.ndarray, _Color, float]]:
    """Yield the number, ends [2, 2], colour and width of each link that is drawn."""
    thin, thick = part.thickness
    for number, (link, color) in enumerate(zip(keypoint_set.skeleton, keypoint_set.link_colors, strict=True)):
        if part.drawn[link].all():
            ends = part.points[link]
            yield number, ends, _bgr(color), float(np.clip(0.13 * np.linalg.norm(ends[1] - ends[0]), thin, thick))


def _draw_limbs(canvas: np.ndarray, part: _Part, layout: openpose.Layout, alpha: float | None) -> None:
    """Draw the limbs of a part as ellipses, each translucent on those before it, and its fingers as lines."""
    fingers: list[_Stroke] = []
    turn = np.linspace(0, 2 * np.pi, 72, endpoint=False)[:, None]
    for number, ends, color, width in _links(part, layout.keypoint_set):
        if number >= layout.limbs:
            fingers.append((ends[None], color, width))
        elif width > 0:
            along = (ends[1] - ends[0]) / 2
            across = _unit(along)[::-1] * (width, -width)
            outline = ends.mean(axis=0) + np.cos(turn) * along + np.sin(turn) * across
            with _layer(canvas, outline, width, 0.6 if alpha is None else alpha) as layer:
                cv2.fillConvexPoly(layer.image, layer.place(outline), color, cv2.LINE_AA, _SHIFT)
    _draw_strokes(canvas, part, fingers, 1.0 if alpha is None else alpha)


def _draw_lines(
    canvas: np.ndarray, part: _Part, keypoint_set: KeypointSet, splines: _Splines | None, alpha: float
) -> None:
    """Draw the links and contours of a part as one translucent layer."""
    strokes: list[_Stroke] = [(ends[None], color, width) for _, ends, color, width in _links(part, keypoint_set)]
    if splines is not None:
        strokes += splines.curves(part)
    _draw_strokes(canvas, part, strokes, alpha)


def _draw_strokes(canvas: np.ndarray, part: _Part, strokes: list[_Stroke], alpha: float) -> None:
    thick = part.thickness[1]
    if not strokes or thick <= 0:
        return
    reached = np.concatenate([lines.reshape(-1, 2) for lines, _, _ in strokes])
    with _layer(canvas, reached, thick, alpha) as layer:
        for lines, stroke_color, width in strokes:
            pixels = max(1, round(width * layer.zoom))
            cv2.polylines(layer.image, list(layer.place(lines)), False, stroke_color, pixels, cv2.LINE_AA, _SHIFT)


def _draw_dots(canvas: np.ndarray, part: _Part, keypoint_set: KeypointSet) -> None:
    """Draw the dots of a part."""
    points, radii = part.points[part.drawn], part.radii[part.drawn]
    if radii.max() <= 0:
        return
    with _layer(canvas, points, float(radii.max()), 1.0) as layer:
        fixed = np.rint(radii * layer.zoom * (1 << _SHIFT)).astype(int).tolist()
        colors = keypoint_set.keypoint_colors[part.drawn]
        for center, radius, color in zip(layer.place(points).tolist(), fixed, colors, strict=True):
            cv2.circle(layer.image, center, radius, _bgr(color), -1, cv2.LINE_AA, _SHIFT)


@dataclass(frozen=True, eq=False)
class _Splines:
    """All contours of a keypoint set, as segments from one keypoint to the next."""

    nodes: np.ndarray  # int64 [S, 4]: the keypoint before, the two ends, the keypoint after; -1 where none
    colors: list[_Color]  # of each contour
    contour: np.ndarray  # int64 [S], which contour a segment belongs to

    def curves(self, part: _Part) -> list[_Stroke]:
        """Return smooth curves through the drawn points, a stroke per contour.

        A cubic Hermite spline whose tangents fade where a contour turns sharply, so that the
        corners of eyes and lips stay corners.
        """
        here = (self.nodes >= 0) & part.drawn[self.nodes]
        keep = here[:, 1] & here[:, 2]
        if not keep.any():
            return []
        nodes, here, contour = self.nodes[keep], here[keep], self.contour[keep]
        p0, p1, p2, p3 = part.points[nodes].transpose(1, 0, 2).astype(np.float64)
        chord = p2 - p1
        length = np.linalg.norm(chord, axis=1, keepdims=True)
        m1 = length * np.where(here[:, :1], _direction(p1 - p0, chord), _unit(chord))
        m2 = length * np.where(here[:, 3:], _direction(chord, p3 - p2), _unit(chord))
        steps = int(np.clip(length.max() / 4, 2, 24))
        t = np.linspace(0, 1, steps + 1)[:, None, None]
        curve = (
            (2 * t**3 - 3 * t**2 + 1) * p1
            + (t**3 - 2 * t**2 + t) * m1
            + (3 * t**2 - 2 * t**3) * p2
            + (t**3 - t**2) * m2
        ).transpose(1, 0, 2)
        return [(curve[contour == c], self.colors[c], part.thickness[1]) for c in np.unique(contour)]


def _unit(vectors: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
    return unit


def _direction(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return the tangent between two chords [S, 2]: a unit vector, shorter where they turn by 60 to 120 degrees."""
    u, v = _unit(before), _unit(after)
    near, far = np.linalg.norm(before, axis=1, keepdims=True), np.linalg.norm(after, axis=1, keepdims=True)
    straightness = np.clip((u * v).sum(axis=1, keepdims=True) + 0.5, 0, 1)
    tangent: np.ndarray = straightness * _unit(u * far + v * near)
    return tangent


def _spline_table(keypoint_set: KeypointSet) -> _Splines | None:
    if not keypoint_set.contours:
        return None
    rows, colors, owner = [], [], []
    for number, contour in enumerate(keypoint_set.contours):
        around = np.array(contour.indices)
        if contour.closed:
            padded = np.concatenate([around[-1:], around, around[:2]])
        else:
            padded = np.concatenate([[-1], around, [-1]])
        segments = np.lib.stride_tricks.sliding_window_view(padded, 4)
        rows.append(segments)
        owner += [number] * len(segments)
        rgb = next((c for end, c in _CONTOUR_COLORS.items() if contour.name.endswith(end)), (255, 255, 255))
        colors.append(_bgr(rgb))
    return _Splines(np.concatenate(rows), colors, np.array(owner))


def _draw_boxes(canvas: np.ndarray, result: Result, with_lines_and_scores: bool) -> None:
    """Draw each box and, on a small tag at its top left corner, its identity and score."""
    height, width = canvas.shape[:2]
    line = max(1, round(max(height, width) / 1000))
    for i, box in enumerate(np.asarray(result.boxes.xyxy, np.float64)):
        if not np.isfinite(box).all():
            continue
        x1, y1, x2, y2 = np.clip(box, (-width, -height) * 2, (2 * width, 2 * height) * 2)
        color, words = _bgr(_BOX_COLOR), []
        if result.track_ids is not None and (number := int(result.track_ids[i])) >= 0:
            color = _bgr(_TRACK_COLORS[number % len(_TRACK_COLORS)])
            words.append(f"#{number}")
        if with_lines_and_scores:
            corners = np.rint(np.array(((x1, y1), (x2, y2))) * (1 << _SHIFT)).astype(int).tolist()
            cv2.rectangle(canvas, corners[0], corners[1], color, line, cv2.LINE_AA, _SHIFT)
            words.append(f"{float(result.boxes.scores[i]):.2f}")
        if not words:  # somebody who has no number yet
            continue
        digits = float(np.clip(0.05 * max(x2 - x1, y2 - y1), 7, 7 + 0.008 * max(height, width)))
        scale, stroke = digits / _FONT_HEIGHT, max(1, round(digits / 13))
        (w, h), _ = cv2.getTextSize(" ".join(words), _FONT, scale, stroke)
        pad = max(2, round(h / 3))
        left = int(np.clip(x1, 0, max(0, width - w - 2 * pad)))
        bottom = int(np.clip(y1, h + 2 * pad, max(height, h + 2 * pad)))
        cv2.rectangle(canvas, (left, bottom - h - 2 * pad), (left + w + 2 * pad, bottom), color, -1)
        org = left + pad, bottom - pad
        cv2.putText(canvas, " ".join(words), org, _FONT, scale, (16, 16, 16), stroke, cv2.LINE_AA)


def _write_indices(canvas: np.ndarray, part: _Part) -> None:
    """Write the number of each drawn point of a part beside it; a hairline leads to those that found no room."""
    height = float(np.clip(0.02 * part.size, 6.5, 6.5 + 0.008 * max(canvas.shape[:2])))
    numbers = np.flatnonzero(part.drawn)
    dots, radii = part.points[part.drawn].astype(np.float64), part.radii[part.drawn]
    centers = _free_spots(dots, radii, [str(n) for n in numbers], height, canvas.shape[1::-1])
    led = np.linalg.norm(centers - dots, axis=1) > 1.7 * height + radii
    reached = np.concatenate([dots, centers - 3 * height, centers + 3 * height])
    with _layer(canvas, reached, height / 8, 1.0) as layer:
        leaders = layer.place(np.stack([dots, centers], axis=1)[led])
        cv2.polylines(layer.image, list(leaders), False, (255, 255, 255), (layer.zoom + 1) // 2, cv2.LINE_AA, _SHIFT)
        scale, stroke = layer.zoom * height / _FONT_HEIGHT, max(1, round(layer.zoom * height / 9))
        for number, center in zip(numbers, layer.place(centers) >> _SHIFT, strict=True):
            (w, h), _ = cv2.getTextSize(str(number), _FONT, scale, stroke)
            org = int(center[0]) - w // 2, int(center[1]) + h // 2
            for color, width in (((0, 0, 0), stroke + 2 * layer.zoom), ((255, 255, 255), stroke)):
                cv2.putText(layer.image, str(number), org, _FONT, scale, color, width, cv2.LINE_AA)


def _free_spots(
    dots: np.ndarray, radii: np.ndarray, texts: list[str], height: float, size: tuple[int, ...]
) -> np.ndarray:
    """Return a centre [N, 2] for the text of each dot where it covers little of the dots and the other texts."""
    angles = np.arange(16) * (np.pi / 8) - np.pi / 2
    around = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    covered = np.concatenate([dots - radii[:, None], dots + radii[:, None]], axis=1)
    centers = np.empty_like(dots)
    for i, text in enumerate(texts):
        half = np.array((0.45 * len(text) + 0.2, 0.7)) * height
        tried = np.concatenate([dots[i] + around * (half + radii[i] + d * height) for d in (0.0, 0.8, 1.6, 3.0, 4.5)])
        boxes = np.concatenate([tried - half, tried + half], axis=1)
        crossing = np.minimum(boxes[:, None, 2:], covered[:, 2:]) - np.maximum(boxes[:, None, :2], covered[:, :2])
        hidden = np.clip(crossing, 0, None).prod(axis=-1).sum(axis=-1)
        outside = (np.clip(half - tried, 0, None) + np.clip(tried + half - size, 0, None)).sum(axis=1)
        best = int((hidden + height * (2 * outside + 0.2 * np.linalg.norm(tried - dots[i], axis=1))).argmin())
        centers[i] = tried[best]
        covered = np.concatenate([covered, boxes[None, best]])
    return centers
