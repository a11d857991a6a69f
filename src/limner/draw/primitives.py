"""Lines, limbs and dots, anti-aliased at sub-pixel positions, in few calls to OpenCV.

OpenCV's own anti-aliasing is good for lines of one pixel and for large shapes; wider lines come in
steps of two pixels, and small dots are crosses. So a line that is thinner than a few pixels is drawn
as one-pixel lines side by side, on an enlarged layer where even one is too wide, and small dots are
computed here, all of them at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np

from .colors import Color
from .parts import LookupTables, Parts
from .paths import Paths, colors_of, drawn_links, unit_vectors

FIXED_POINT_BITS = 4  # OpenCV takes positions in 1/16 pixel
MAX_LAYER_PIXELS = 3_000_000  # pixels that an enlarged layer may have
OPENCV_MIN_SIZE = 3.0  # pixels: lines and dots of this size are left to OpenCV
ENLARGE_BELOW = 1.6  # pixels: lines that look thinner get an enlarged layer
DOT_SCALE, DOT_OFFSET = 1.08, 0.08  # a dot of radius r looks like one of _DOT * r + _EDGE pixels

_ANGLES = np.linspace(0, 2 * np.pi, 48, endpoint=False)
_COS, _SIN = np.cos(_ANGLES), np.sin(_ANGLES)


@dataclass(frozen=True, eq=False)
class Layer:
    """A part of the image to draw on, ``zoom`` times as large."""

    image: np.ndarray  # uint8 [h, w, 3], BGR
    corner: tuple[int, int]  # x, y of its top left pixel in the image
    zoom: int

    def to_layer(self, points: np.ndarray) -> np.ndarray:
        """Turn positions in the image into int32 positions in the layer, as OpenCV takes them with ``shift``."""
        return to_fixed_point((points - self.corner + 0.5) * self.zoom - 0.5 if self.zoom > 1 else points)


def to_fixed_point(points: np.ndarray) -> np.ndarray:
    """Return positions in pixels as OpenCV takes them with ``shift``, int32."""
    placed: np.ndarray = np.rint(points * (1 << FIXED_POINT_BITS)).astype(np.int32)
    return placed


@contextmanager
def layer(
    canvas: np.ndarray, low: Sequence[float], high: Sequence[float], width: float, alpha: float, zoom: int
) -> Iterator[Layer | None]:
    """Provide a layer over a region of ``canvas``, and blend it in with opacity ``alpha`` at the end.

    The region goes from ``low`` to ``high`` [2] and ``width`` pixels further. None where all of it is
    outside. A layer that is not enlarged is the canvas itself.
    """
    (height, wide), margin = canvas.shape[:2], int(width) + 3
    x1, y1 = max(int(low[0]) - margin, 0), max(int(low[1]) - margin, 0)
    x2, y2 = min(int(high[0]) + 1 + margin, wide), min(int(high[1]) + 1 + margin, height)
    if x1 >= x2 or y1 >= y2:
        yield None
        return
    region = canvas[y1:y2, x1:x2]
    while zoom > 1 and zoom**2 * (x2 - x1) * (y2 - y1) > MAX_LAYER_PIXELS:
        zoom //= 2
    if zoom == 1:
        before = None if alpha == 1 else region.copy()
        yield Layer(canvas, (0, 0), 1)
        if before is not None:
            cv2.addWeighted(region, alpha, before, 1 - alpha, 0, dst=region)
        return
    image = cv2.resize(region, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST)
    yield Layer(image, (x1, y1), zoom)
    image = cv2.resize(image, (x2 - x1, y2 - y1), interpolation=cv2.INTER_AREA)
    cv2.addWeighted(image, alpha, region, 1 - alpha, 0, dst=region)


@dataclass(frozen=True, eq=False)
class PreparedLines:
    """R paths of M parts in the form that OpenCV draws: as thick lines, or as one-pixel lines side by side."""

    points: np.ndarray  # float64 [J, T, 2], the paths moved sideways
    fixed: np.ndarray  # int32 [J, T, 2], the same as OpenCV takes them with ``shift``
    starts: list[int]  # R + 1
    begins: list[int]  # M + 1, the first path of each part
    colors: list[Color]  # R
    pixels: list[int]  # R, thickness for OpenCV
    side_by_side: list[int]  # R, how many of the J
    thick: list[float]  # M, pixels
    zoom: list[int]  # M


def prepare_lines(parts: Parts, paths: Paths) -> PreparedLines:
    """Return the paths in the form that OpenCV draws."""
    zoom = np.where(visible_width(parts.thick) < ENLARGE_BELOW, 2, 1)
    scale, thin = zoom.take(paths.part), (parts.thick < OPENCV_MIN_SIZE).take(paths.part)
    spread = np.maximum(visible_width(paths.widths) * scale - 1.5, 0) * thin / 0.87
    count = 1 + np.ceil(spread).astype(np.int64)
    starts, points = [0, *paths.lengths.cumsum().tolist()], paths.points
    most = int(count.max(initial=1))
    if most > 1:
        gap = (spread / np.maximum(count - 1, 1) / scale).repeat(paths.lengths)
        sideways = gap * _normals(points, starts)
        nearest = points - ((count - 1) / 2).repeat(paths.lengths) * sideways
        points = nearest + np.arange(most)[:, None] * sideways
    moved = points.view(np.float64).reshape(most, len(paths.points), 2)
    return PreparedLines(
        moved,
        to_fixed_point(moved),
        starts,
        paths.part.searchsorted(np.arange(len(parts) + 1)).tolist(),
        paths.colors,
        np.where(thin, 1, np.maximum(np.rint(paths.widths), 1)).astype(np.int64).tolist(),
        count.tolist(),
        parts.thick.tolist(),
        zoom.tolist(),
    )


def visible_width(width: np.ndarray) -> np.ndarray:
    """Return the visible width for a line of nominal ``width`` pixels; towards 3 it approaches OpenCV's own."""
    return np.maximum(1.25 * width + 0.25, 1.75 * width - 0.35)


def _normals(points: np.ndarray, starts: list[int]) -> np.ndarray:
    """Return the unit normals of paths, complex128 [T]."""
    steps = np.zeros(len(points) + 1, np.complex128)
    steps[1:-1] = unit_vectors(points[1:] - points[:-1])
    steps[starts] = 0
    return 1j * unit_vectors(steps[1:] + steps[:-1])


def draw_lines(canvas: np.ndarray, lines: PreparedLines, part: int, alpha: float) -> None:
    """Draw the lines of a part as one translucent layer."""
    begin, end, thick = lines.begins[part], lines.begins[part + 1], lines.thick[part]
    if begin == end or thick <= 0:
        return
    all_of_it = slice(lines.starts[begin], lines.starts[end])
    points = lines.points[:, all_of_it]
    (x1, x2), (y1, y2) = ((float(v.min()), float(v.max())) for v in points[0].T)
    with layer(canvas, (x1, y1), (x2, y2), thick, alpha, lines.zoom[part]) as target:
        if target is None:
            return
        fixed = lines.fixed[:, all_of_it] if target.zoom == 1 else target.to_layer(points)
        cuts = [start - lines.starts[begin] for start in lines.starts[begin : end + 1]]
        batch: list[np.ndarray] = []
        for r in range(begin, end):
            own = slice(cuts[r - begin], cuts[r - begin + 1])
            batch += [fixed[j, own] for j in range(lines.side_by_side[r])]
            color_and_thickness = lines.colors[r], lines.pixels[r]
            if r + 1 == end or (lines.colors[r + 1], lines.pixels[r + 1]) != color_and_thickness:
                cv2.polylines(target.image, batch, False, *color_and_thickness, cv2.LINE_AA, FIXED_POINT_BITS)
                batch = []


@dataclass(frozen=True, eq=False)
class Limb:
    """An ellipse from joint to joint."""

    outline: np.ndarray  # float64 [48, 2], pixels
    fixed: np.ndarray  # int32 [48, 2], the same as OpenCV takes it with ``shift``
    low: list[float]  # x, y of its top left corner
    high: list[float]
    width: float  # of half of it, pixels
    color: Color


def limbs(parts: Parts, tables: LookupTables, count: int) -> list[list[Limb]]:
    """Return the limbs of each part; the first ``count`` links are limbs."""
    part, number, ends, widths = drawn_links(parts, tables)
    along = (ends[:, 1] - ends[:, 0]) / 2
    across, middle = 1j * unit_vectors(along) * widths, ends[:, 0] + along
    outlines = middle[:, None] + _COS * along[:, None] + _SIN * across[:, None]
    outlines = outlines.view(np.float64).reshape(len(part), len(_ANGLES), 2)
    half = np.hypot(along.real, across.real) + 1j * np.hypot(along.imag, across.imag)
    low, high = ((middle + s * half).view(np.float64).reshape(-1, 2).tolist() for s in (-1, 1))
    fixed = to_fixed_point(outlines)
    of_part: list[list[Limb]] = [[] for _ in range(len(parts))]
    colors = colors_of(parts, part, [tables.link_colors[link] for link in number.tolist()])
    for i, (m, link, width) in enumerate(zip(part.tolist(), number.tolist(), widths.tolist(), strict=True)):
        if link < count and width > 0:
            of_part[m].append(Limb(outlines[i], fixed[i], low[i], high[i], width, colors[i]))
    return of_part


def draw_limbs(canvas: np.ndarray, limbs: list[Limb], alpha: float) -> None:
    """Draw limbs, each translucent on those before it."""
    for limb in limbs:
        zoom = 4 if limb.width < OPENCV_MIN_SIZE / 2 else 2 if limb.width < OPENCV_MIN_SIZE else 1
        with layer(canvas, limb.low, limb.high, limb.width, alpha, zoom) as target:
            if target is not None:
                fixed = limb.fixed if target.zoom == 1 else target.to_layer(limb.outline)
                cv2.fillConvexPoly(target.image, fixed, limb.color, cv2.LINE_AA, FIXED_POINT_BITS)


def draw_dots(canvas: np.ndarray, parts: Parts, run: range, colors: np.ndarray) -> None:
    """Draw the dots of the parts ``run``, none of which overlaps another.

    Args:
        colors: float32 [K, 3], BGR, of dots in parts without a colour of their own.
    """
    if parts.colors is not None:
        colors = np.array(parts.colors, np.float32)[:, None].repeat(parts.drawn.shape[1], axis=1)
    else:
        colors = np.broadcast_to(colors, (len(parts), *colors.shape))
    sizes: dict[int, list[int]] = {}
    for m in run:
        largest = float(parts.radii[m][parts.drawn[m]].max())
        if largest >= OPENCV_MIN_SIZE:
            _large_dots(canvas, parts, m, colors)
        elif largest > 0:
            sizes.setdefault(int(np.ceil(DOT_SCALE * largest + DOT_OFFSET)), []).append(m)
    for reach, members in sizes.items():
        _small_dots(canvas, parts, np.array(members), reach, colors)


def _large_dots(canvas: np.ndarray, parts: Parts, m: int, colors: np.ndarray) -> None:
    drawn = parts.drawn[m]
    centers = to_fixed_point(parts.points[m][drawn]).tolist()
    radii = np.rint(parts.radii[m][drawn] * (1 << FIXED_POINT_BITS)).astype(int).tolist()
    for center, radius, color in zip(centers, radii, colors[m][drawn].tolist(), strict=True):
        cv2.circle(canvas, center, radius, color, -1, cv2.LINE_AA, FIXED_POINT_BITS)


def _small_dots(canvas: np.ndarray, parts: Parts, members: np.ndarray, reach: int, colors: np.ndarray) -> None:
    """Blend in dots that cover at most ``reach`` pixels on each side of the one they lie in.

    Where they overlap, the last one is on top, and of those below it the most opaque one is visible.
    """
    height, width = canvas.shape[:2]
    part, number = np.nonzero(parts.drawn[members])
    centers = parts.points[members[part], number]
    radii = (DOT_SCALE * parts.radii[members[part], number] + DOT_OFFSET).astype(np.float32)
    x, y = (np.rint(centers)[..., None] + np.arange(-reach, reach + 1, dtype=np.float32)).transpose(1, 0, 2)
    across, down = np.square(x - centers[:, :1]), np.square(y - centers[:, 1:])
    cover = (radii + np.float32(0.5))[:, None, None] - np.sqrt(down[:, :, None] + across[:, None])
    if x.min() < 0 or y.min() < 0 or x.max() >= width or y.max() >= height:
        cover[~(((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None])] = 0
    covered = np.flatnonzero(cover > 0)
    pixels = (y.astype(np.int64)[:, :, None] * width + x.astype(np.int64)[:, None]).ravel().take(covered)
    which = covered // (2 * reach + 1) ** 2
    # a dot smaller than a pixel covers no more than its area of it
    cover = np.minimum(cover.ravel().take(covered), np.minimum(np.float32(np.pi) * radii**2, 1).take(which))
    color = colors[members.take(part.take(which)), number.take(which)]

    turn = np.arange(len(covered), dtype=np.int32)
    last = np.empty(height * width, np.int32)  # only what is written is read
    last[pixels] = turn
    on_top = last.take(pixels) == turn
    if not on_top.all():
        below = np.flatnonzero(~on_top)
        below = below[np.argsort((255 * cover[below]).astype(np.uint8), kind="stable")]
        _blend(canvas, pixels[below], color.take(below, axis=0), cover[below])
        pixels, color, cover = pixels[on_top], color.compress(on_top, axis=0), cover[on_top]
    _blend(canvas, pixels, color, cover)


def _blend(canvas: np.ndarray, pixels: np.ndarray, color: np.ndarray, cover: np.ndarray) -> None:
    """Mix colours [n, 3] with opacity ``cover`` into pixels, counted row by row; of equal ones the last stays."""
    before = canvas.reshape(-1, 3).take(pixels, axis=0)
    after = (before + (color - before) * cover[:, None] + np.float32(0.5)).astype(np.uint8)
    # three bytes as one value: several times faster
    np.put(canvas.reshape(-1).view("V3"), pixels, after.reshape(-1).view("V3"))
