"""The lines of a result in pixels: links, and curves through the contours of faces, whatever draws them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .colors import Color
from .parts import LookupTables, Parts

CURVE_TOLERANCE = 0.1  # pixels, largest distance of a polyline from its curve


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
    colors = colors_of(parts, part, [tables.link_colors[k] for k in number.tolist()])
    return Paths(ends.ravel(), np.full(len(part), 2), part, widths, colors)


def colors_of(parts: Parts, part: np.ndarray, own: list[Color]) -> list[Color]:
    """Return the colours of things in the parts ``part``: those of the parts where they have one, else ``own``."""
    return own if parts.colors is None else [parts.colors[m] for m in part.tolist()]


@dataclass(frozen=True, eq=False)
class Curves:
    """S cubic Hermite segments, segment after segment of R curves; points are x + iy."""

    starts: np.ndarray  # complex128 [S], pixels
    chords: np.ndarray  # complex128 [S], from start to end
    tangents: np.ndarray  # complex128 [2, S], at the start and at the end
    lasts: np.ndarray  # int64 [R], the last segment of each curve
    part: np.ndarray  # int64 [R], the part that each belongs to
    contour: np.ndarray  # int64 [R], which contour it is of


def contour_curves(parts: Parts, tables: LookupTables) -> Curves:
    """Return smooth curves through the drawn points of the contours.

    Cubic Hermite splines whose tangents fade where a contour turns sharply, so that the corners of
    eyes and lips stay corners. A hidden point ends a curve.
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
    between = unit_vectors(unit[:-1] * lengths[1:] + unit[1:] * lengths[:-1])
    tangents = np.minimum(np.maximum(turn + 0.5, 0), 1) * between
    # a curve ends where the next segment is not the next of the same contour
    contour, ends = tables.contour.take(segment), np.ones(len(part), bool)
    ends[:-1] = (segment[1:] != segment[:-1] + 1) | (contour[1:] != contour[:-1]) | (part[1:] != part[:-1])
    lasts = ends.nonzero()[0]
    return Curves(
        nodes[1],
        chords[1],
        lengths[1] * np.where(here[::3], tangents, unit[1]),
        lasts,
        part.take(lasts),
        contour.take(lasts),
    )


def contour_paths(parts: Parts, tables: LookupTables) -> Paths:
    """Return the curves of `contour_curves` as polylines."""
    curves = contour_curves(parts, tables)
    m1, m2 = curves.tangents
    square, cube = 3 * curves.chords - 2 * m1 - m2, m1 + m2 - 2 * curves.chords
    bend = np.maximum(np.abs(square), np.abs(square + 3 * cube))  # half of it
    counts = np.minimum(np.maximum(np.ceil(np.sqrt(bend / (4 * CURVE_TOLERANCE))), 1), 48).astype(np.int64)
    steps = counts.copy()
    counts[curves.lasts] += 1
    after_all = counts.cumsum()
    which = np.arange(len(steps)).repeat(counts)
    t = (np.arange(len(which)) - (after_all - counts).take(which)) / steps.take(which)
    points = ((cube.take(which) * t + square.take(which)) * t + m1.take(which)) * t + curves.starts.take(which)
    colors = colors_of(parts, curves.part, [tables.contour_colors[c] for c in curves.contour.tolist()])
    lengths = np.diff(after_all.take(curves.lasts), prepend=0)
    return Paths(points, lengths, curves.part, parts.thick.take(curves.part), colors)


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


def _complex(parts: Parts) -> np.ndarray:
    points: np.ndarray = parts.points.astype(np.float64).view(np.complex128)[..., 0]
    return points


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """Return complex vectors with length 1; zero stays zero."""
    unit: np.ndarray = vectors / np.maximum(np.abs(vectors), 1e-9)
    return unit
