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

from .parts import Color, LookupTables, Parts

FIXED_POINT_BITS = 4  # OpenCV takes positions in 1/16 pixel
MAX_LAYER_PIXELS = 3_000_000  # pixels that an enlarged layer may have
OPENCV_MIN_SIZE = 3.0  # pixels: lines and dots of this size are left to OpenCV
CURVE_TOLERANCE = 0.1  # pixels, largest distance of a polyline from its curve
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
class Paths:
    """R polylines of T points in all, part after part; points are x + iy."""

    points: np.ndarray  # complex128 [T], pixels
    lengths: np.ndarray  # int64 [R], how many points each has
    part: np.ndarray  # int64 [R], the part that each belongs to
    widths: np.ndarray  # float64 [R], pixels
    colors: list[Color]  # R


def drawn_links(parts: Parts, tables: LookupTables) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the part [R], index [R], ends [R, 2] and width [R] of each link that is drawn."""
    both = parts.drawn.take(tables.skeleton, axis=1)
    part, number = (both[..., 0] & both[..., 1]).nonzero()
    ends = _complex(parts)[part[:, None], tables.skeleton.take(number, axis=0)]
    widths = 0.13 * np.abs(ends[:, 1] - ends[:, 0])
    return part, number, ends, np.minimum(np.maximum(widths, parts.thin.take(part)), parts.thick.take(part))


def link_paths(parts: Parts, tables: LookupTables, after: int = 0) -> Paths:
    """Return the links as paths, from link index ``after`` on."""
    part, number, ends, widths = drawn_links(parts, tables)
    if after:
        keep = number >= after
        part, number, ends, widths = part[keep], number[keep], ends[keep], widths[keep]
    colors = [tables.link_colors[k] for k in number.tolist()]
    return Paths(ends.ravel(), np.full(len(part), 2), part, widths, colors)


def contour_paths(parts: Parts, tables: LookupTables) -> Paths:
    """Return smooth curves through the drawn points of the contours.

    Cubic Hermite splines whose tangents fade where a contour turns sharply, so that the corners of
    eyes and lips stay corners. A hidden point ends a path.
    """
    here = parts.drawn.take(tables.segments, axis=1) & (tables.segments >= 0)
    part, segment = (here[..., 1] & here[..., 2]).nonzero()
    here = here[part, segment].T
    nodes = _complex(parts)[part, tables.segments.T.take(segment, axis=1)]
    chords = nodes[1:] - nodes[:-1]
    lengths = np.abs(chords)
    unit = chords / np.maximum(lengths, 1e-9)
    # a tangent lies between two chords, and is shorter where they turn by 60 to 120 degrees
    turn = (unit[:-1] * unit[1:].conj()).real
    tangents = np.minimum(np.maximum(turn + 0.5, 0), 1) * _unit(unit[:-1] * lengths[1:] + unit[1:] * lengths[:-1])
    m1, m2 = lengths[1] * np.where(here[::3], tangents, unit[1])
    chord = chords[1]
    square, cube = 3 * chord - 2 * m1 - m2, m1 + m2 - 2 * chord

    bend = np.maximum(np.abs(square), np.abs(square + 3 * cube))  # half of it
    steps = np.minimum(np.maximum(np.ceil(np.sqrt(bend / (4 * CURVE_TOLERANCE))), 1), 48).astype(np.int64)
    # a path ends where the next segment is not the next of the same contour
    contour, ends = tables.contour.take(segment), np.ones(len(part), bool)
    ends[:-1] = (segment[1:] != segment[:-1] + 1) | (contour[1:] != contour[:-1]) | (part[1:] != part[:-1])
    counts = steps + ends
    after_all = counts.cumsum()
    which = np.arange(len(part)).repeat(counts)
    t = (np.arange(len(which)) - (after_all - counts).take(which)) / steps.take(which)
    points = ((cube.take(which) * t + square.take(which)) * t + m1.take(which)) * t + nodes[1].take(which)
    lasts = ends.nonzero()[0]
    owner, stops = part.take(lasts), after_all.take(lasts)
    colors = [tables.contour_colors[c] for c in contour.take(lasts).tolist()]
    return Paths(points, np.diff(stops, prepend=0), owner, parts.thick.take(owner), colors)


def merge_paths(a: Paths, b: Paths) -> Paths:
    """Return the paths of both; within a part those of ``a`` come first."""
    if not a.colors or not b.colors:
        return a if a.colors else b
    part, lengths = np.concatenate([a.part, b.part]), np.concatenate([a.lengths, b.lengths])
    order, colors = part.argsort(kind="stable"), a.colors + b.colors
    return Paths(
        np.concatenate([a.points, b.points])[part.repeat(lengths).argsort(kind="stable")],
        lengths[order],
        part[order],
        np.concatenate([a.widths, b.widths])[order],
        [colors[r] for r in order.tolist()],
    )


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
    zoom = np.where(_visible_width(parts.thick) < ENLARGE_BELOW, 2, 1)
    scale, thin = zoom.take(paths.part), (parts.thick < OPENCV_MIN_SIZE).take(paths.part)
    spread = np.maximum(_visible_width(paths.widths) * scale - 1.5, 0) * thin / 0.87
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


def _complex(parts: Parts) -> np.ndarray:
    points: np.ndarray = parts.points.astype(np.float64).view(np.complex128)[..., 0]
    return points


def _visible_width(width: np.ndarray) -> np.ndarray:
    """Return the visible width for a line of nominal ``width`` pixels; towards 3 it approaches OpenCV's own."""
    return np.maximum(1.25 * width + 0.25, 1.75 * width - 0.35)


def _normals(points: np.ndarray, starts: list[int]) -> np.ndarray:
    """Return the unit normals of paths, complex128 [T]."""
    steps = np.zeros(len(points) + 1, np.complex128)
    steps[1:-1] = _unit(points[1:] - points[:-1])
    steps[starts] = 0
    return 1j * _unit(steps[1:] + steps[:-1])


def _unit(vectors: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vectors / np.maximum(np.abs(vectors), 1e-9)
    return unit


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
    across, middle = 1j * _unit(along) * widths, ends[:, 0] + along
    outlines = middle[:, None] + _COS * along[:, None] + _SIN * across[:, None]
    outlines = outlines.view(np.float64).reshape(len(part), len(_ANGLES), 2)
    half = np.hypot(along.real, across.real) + 1j * np.hypot(along.imag, across.imag)
    low, high = ((middle + s * half).view(np.float64).reshape(-1, 2).tolist() for s in (-1, 1))
    fixed = to_fixed_point(outlines)
    of_part: list[list[Limb]] = [[] for _ in range(len(parts))]
    for i, (m, link, width) in enumerate(zip(part.tolist(), number.tolist(), widths.tolist(), strict=True)):
        if link < count and width > 0:
            of_part[m].append(Limb(outlines[i], fixed[i], low[i], high[i], width, tables.link_colors[link]))
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
    """Draw the dots of the parts ``run``, none of which overlaps another; ``colors`` [K, 3] are BGR."""
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
    for center, radius, color in zip(centers, radii, colors[drawn].tolist(), strict=True):
        cv2.circle(canvas, center, radius, color, -1, cv2.LINE_AA, FIXED_POINT_BITS)


def _small_dots(canvas: np.ndarray, parts: Parts, members: np.ndarray, reach: int, colors: np.ndarray) -> None:
    """Blend in dots that cover at most ``reach`` pixels on each side of the one they lie in.

    Where they overlap, the last one is on top, and of those below it the most opaque one is visible.
    """
    height, width = canvas.shape[:2]
    which, number = np.nonzero(parts.drawn[members])
    centers = parts.points[members[which], number]
    radii = (DOT_SCALE * parts.radii[members[which], number] + DOT_OFFSET).astype(np.float32)
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
    color = colors.take(number.take(which), axis=0)

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
