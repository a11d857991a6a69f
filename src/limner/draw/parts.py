"""Which keypoints of a result are drawn, and how large: each body, hand and face is a part with its own sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..keypoints import KeypointSet
from ..types import Result
from .colors import Color

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


@dataclass(frozen=True, eq=False)
class LookupTables:
    """Arrays that drawing needs of a keypoint set of K points, L links and P parts; made once for each."""

    by_part: np.ndarray  # int64 [K], the keypoints, part after part
    starts: np.ndarray  # int64 [P], where each part begins in ``by_part``
    part: np.ndarray  # int64 [K], which part a keypoint belongs to
    scale: np.ndarray  # float64 [P], a part's size / its dots' radius
    skeleton: np.ndarray  # int64 [L, 2]
    touching: np.ndarray  # int64 [K, most], the links of each keypoint, then L
    dot_colors: np.ndarray  # float32 [K, 3], BGR
    link_colors: list[Color]
    segments: np.ndarray  # int64 [S, 4] of contours: the keypoint before, both ends, the one after; -1 where none
    contour: np.ndarray  # int64 [S], which contour a segment belongs to
    contour_colors: list[Color]


@dataclass(frozen=True, eq=False)
class Parts:
    """M parts of N instances of K points, the largest first."""

    owner: np.ndarray  # int64 [M], the instance
    points: np.ndarray  # float32 [M, K, 2] of the whole instance
    drawn: np.ndarray  # bool [M, K], the points of the part that are drawn
    size: np.ndarray  # float64 [M], longer side, pixels
    radii: np.ndarray  # float64 [M, K] of the dots, pixels
    thin: np.ndarray  # float64 [M], width of the thinnest line, pixels
    thick: np.ndarray  # float64 [M], of the thickest
    number: np.ndarray  # int64 [M], which of the keypoint set's parts it is
    colors: list[Color] | None = None  # M, of everything in a part; None: each dot and line has its own

    def __len__(self) -> int:
        return len(self.owner)

    def independent_runs(self) -> Iterator[range]:
        """Yield runs of parts that do not overlap one another, so that each run can be drawn in any order."""
        room = (2 + np.maximum(self.thick, self.radii.max(axis=1, initial=0, where=self.drawn)))[:, None]
        shown = self.drawn[..., None]
        low = self.points.min(axis=1, initial=np.inf, where=shown) - room
        high = self.points.max(axis=1, initial=-np.inf, where=shown) + room
        # a curve may leave the bounding box of its points
        swell = 0.1 * (high - low)
        low, high = low - swell, high + swell
        below = low[:, None] <= high
        touching = below[..., 0] & below[..., 1]
        touching &= touching.T
        begin = 0
        for m in range(1, len(self)):
            if touching[m, begin:m].any():
                yield range(begin, m)
                begin = m
        yield range(begin, len(self))


@lru_cache(maxsize=64)
def lookup_tables(keypoint_set: KeypointSet) -> LookupTables:
    """Return the arrays that drawing needs of a keypoint set."""
    parts = keypoint_set.parts
    part = np.empty(len(keypoint_set), np.int64)
    for number, members in enumerate(parts):
        part[members] = number
    lengths = [len(members) for members in parts]
    links = [np.flatnonzero((keypoint_set.skeleton == k).any(axis=1)) for k in range(len(keypoint_set))]
    touching = np.full((len(keypoint_set), max([1, *map(len, links)])), len(keypoint_set.skeleton))
    for k, own in enumerate(links):
        touching[k, : len(own)] = own
    rows, owner, colors = [np.empty((0, 4), np.int64)], [], []
    for number, contour in enumerate(keypoint_set.contours):
        around = list(contour.indices)
        padded = [around[-1], *around, *around[:2]] if contour.closed else [-1, *around, -1]
        segments = np.lib.stride_tricks.sliding_window_view(np.array(padded), 4)
        rows.append(segments)
        owner += [number] * len(segments)
        rgb = next((c for end, c in _CONTOUR_COLORS.items() if contour.name.endswith(end)), (255, 255, 255))
        colors.append(bgr(rgb))
    return LookupTables(
        by_part=np.concatenate(parts),
        starts=np.cumsum([0, *lengths[:-1]]),
        part=part,
        scale=17 * np.sqrt(lengths),
        skeleton=keypoint_set.skeleton,
        touching=touching,
        dot_colors=keypoint_set.keypoint_colors[:, ::-1].astype(np.float32),
        link_colors=[bgr(color) for color in keypoint_set.link_colors],
        segments=np.concatenate(rows),
        contour=np.array(owner, np.int64),
        contour_colors=colors,
    )


def bgr(rgb: np.ndarray | tuple[int, ...]) -> Color:
    """Return a colour as OpenCV takes it."""
    return int(rgb[2]), int(rgb[1]), int(rgb[0])


def fit_parts(
    result: Result,
    tables: LookupTables,
    image: tuple[int, int],
    kpt_thr: float,
    radius: float | None,
    thickness: float | None,
    fit_dots: np.ndarray,
    fit_lines: np.ndarray,
) -> Parts | None:
    """Return the parts of all instances that have a point to draw, or None where there is none.

    Args:
        result: N instances of the keypoint set that ``tables`` were made of.
        image: (width, height) in pixels.
        kpt_thr, radius, thickness: see `DrawStyle`.
        fit_dots, fit_lines: bool [P], the parts that they are fitted to all the same.
    """
    if not len(result):
        return None
    reach = max(image)
    points = np.asarray(result.poses.keypoints, np.float32)
    # no line is drawn to a point more than an image's length outside; NaN compares false
    inside: np.ndarray = np.abs(points - np.divide(image, 2)) < 1.5 * reach
    near = inside[..., 0] & inside[..., 1]
    points = np.where(near[..., None], points, np.float32(0))
    threshold = min(max(float(kpt_thr), -3e38), 3e38)  # as a float32, like the scores
    drawn = near & (result.poses.scores >= threshold)

    grouped, seen = points.take(tables.by_part, axis=1), drawn.take(tables.by_part, axis=1)
    grouped = np.where(seen[..., None], grouped, np.float32(np.nan))
    highest, lowest = (f.reduceat(grouped, tables.starts, axis=1) for f in (np.fmax, np.fmin))
    sizes = (highest - lowest).max(-1)
    counts = np.add.reduceat(seen, tables.starts, axis=1, dtype=np.int64)
    owner, number = counts.nonzero()
    if not len(owner):
        return None
    size = sizes[owner, number].astype(np.float64)
    for m in np.flatnonzero(counts[owner, number] <= 3):  # too few to measure the size
        size[m] = max(size[m], 0.25 * _box_size(result.boxes.xyxy[owner[m]], reach))
    order = np.argsort(-size, kind="stable")
    owner, number, size = owner[order], number[order], size[order]

    fitting = np.minimum(np.maximum(size, 1.0) / tables.scale[number], 0.012 * reach)
    radii: np.ndarray = np.full((len(owner), len(tables.part)), np.nan if radius is None else float(radius))
    if radius is None or fit_dots.any():
        of_part = np.zeros(counts.shape)
        of_part[owner, number] = fitting
        fitted = _shrunk(of_part.take(tables.part, axis=1), points, drawn, tables).take(owner, axis=0)
        np.copyto(radii, fitted, where=True if radius is None else fit_dots.take(tables.part))
    points, drawn = points.take(owner, axis=0), drawn.take(owner, axis=0) & (tables.part == number[:, None])
    # line widths grow slower than the part, or lines would be invisible on a small face
    thick = np.maximum(0.8 * fitting, 1.2 * np.sqrt(fitting))
    thin = 0.4 * thick
    if thickness is not None:
        fits = fit_lines.take(number)
        thick, thin = np.where(fits, thick, float(thickness)), np.where(fits, thin, float(thickness))
    return Parts(owner, points, drawn, size, radii, thin, thick, number)


def _shrunk(radii: np.ndarray, points: np.ndarray, drawn: np.ndarray, tables: LookupTables) -> np.ndarray:
    """Return smaller dots [N, K] where links are short, as between the eyes of a body."""
    if not len(tables.skeleton):
        return radii
    ends, seen = points.take(tables.skeleton, axis=1), drawn.take(tables.skeleton, axis=1)
    lengths = np.full((len(radii), len(tables.skeleton) + 1), np.inf)
    between = ends[:, :, 0] - ends[:, :, 1]
    np.copyto(lengths[:, :-1], np.hypot(between[..., 0], between[..., 1]), where=seen[..., 0] & seen[..., 1])
    own = lengths.take(tables.touching, axis=1)
    own.sort(axis=2)
    # the lower median: a hip seen from the side is near the other hip, but needs no small dot
    middle = np.maximum(np.isfinite(own).sum(axis=2) - 1, 0) // 2
    typical = np.take_along_axis(own, middle[..., None], axis=2)[..., 0]
    smaller: np.ndarray = np.minimum(np.maximum(0.18 * typical, 0.4 * radii), radii)
    return smaller


def _box_size(box: np.ndarray, reach: int) -> float:
    size = float(max(box[2] - box[0], box[3] - box[1]))
    return min(size, reach) if size > 0 else 0.2 * reach
