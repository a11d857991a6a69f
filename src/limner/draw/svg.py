"""A result as SVG: clean paths for artists and for the web, grouped by person and part, with ids and classes.

    <g id="person-1" class="instance">
      <g class="part face">
        <g class="lines"> <path class="contour jaw" d="M...C..."/> ...
        <g class="dots">  <circle class="dot jaw_0" .../> ...

Colours, widths and opacities are presentation attributes, so that every program shows them and a line of CSS
overrides them. The curves of `paths.contour_curves` are cubic Bezier curves here: the same lines as in pixels.
"""

from __future__ import annotations

import base64
import cmath
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

import cv2
import numpy as np

from ..errors import ArgumentError
from ..types import Result
from .colors import Color, Rgba
from .instances import FINGER_ALPHA, LIMB_ALPHA, LINE_ALPHA, Drawable, person_number, prepare
from .labels import Box, boxes_of, line_width, place_indices, text_color
from .parts import Parts
from .paths import Curves, colors_of, contour_curves, drawn_links
from .primitives import DOT_OFFSET, DOT_SCALE, OPENCV_MIN_SIZE, visible_width
from .selection import names_of
from .style import DrawStyle

_SAME_WIDTH = 1.6  # links whose widths differ by less are one chain
_EM = 0.72  # height of a digit, in units of the font's size
_NOT_IN_CLASSES = re.compile(r"[^\w.-]+")

Element = tuple[str, list["Element"] | str]  # the tag with its attributes; what is in it


@dataclass(frozen=True)
class Link:
    """A line from keypoint to keypoint."""

    ends: tuple[int, int]
    color: Color
    width: float  # pixels

    def continues(self, other: Link, points: list[int]) -> bool:
        """Return whether it goes on at either end of a chain that began with another link, and looks like that one."""
        alike = max(self.width, other.width) <= _SAME_WIDTH * min(self.width, other.width)
        return alike and self.color == other.color and not {points[0], points[-1]}.isdisjoint(self.ends)


def svg(result: Result, style: DrawStyle | None = None, image: np.ndarray | None = None) -> str:
    """Return the drawing of a result as an SVG document.

    Args:
        result: what was found in an image of ``result.size``.
        style: how it is drawn. Without a background it is transparent; "image" embeds the image.
        image: uint8 ``[H, W, 3]`` BGR, or ``[H, W, 4]`` with alpha; needed only where the style embeds it.

    Returns:
        A document whose ``viewBox`` is the image in pixels: (0, 0) is the outer corner of its first pixel, half a
        pixel before the centre of that pixel, from where keypoints are counted.

    Raises:
        ArgumentError: a style that SVG cannot have, or a keypoint set without what the style asks for.
    """
    style = DrawStyle() if style is None else style
    if style.draw_heatmap:
        raise ArgumentError("heatmaps cannot be drawn as SVG: leave draw_heatmap out, or write an image such as .png")
    width, height = (int(side) for side in result.size)
    if width < 1 or height < 1:
        raise ArgumentError(f"the result is of an image of {width} x {height} pixels, so it cannot be drawn as SVG")
    drawable = prepare(result, style, (width, height))
    people: list[Element] = list(_instances(drawable, style, (width, height)))
    kind = result.keypoint_set.kind
    plural = {"person": "people"}.get(kind, kind + "s")
    title = ("title", f"{len(result)} {kind if len(result) == 1 else plural}, keypoints of {result.keypoint_set.name}")
    opacity = f' opacity="{_number(style.layer_opacity)}"' if style.layer_opacity < 1 else ""
    root = (
        f'svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"',
        [title, *_background(style, image, (width, height)), (f'g class="instances"{opacity}', people)],
    )
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + "\n".join(_lines(root, "")) + "\n"


def _lines(element: Element, indent: str) -> Iterator[str]:
    tag, content = element
    name = tag.partition(" ")[0]
    if not content:
        yield f"{indent}<{tag}/>"
    elif isinstance(content, str):
        yield f"{indent}<{tag}>{escape(content, quote=False)}</{name}>"
    else:
        yield f"{indent}<{tag}>"
        for inner in content:
            yield from _lines(inner, indent + "  ")
        yield f"{indent}</{name}>"


def _background(style: DrawStyle, image: np.ndarray | None, size: tuple[int, int]) -> list[Element]:
    area = f'class="background" width="{size[0]}" height="{size[1]}"'
    if style.background == "image":
        if image is None or image.shape[1::-1] != size:
            raise ArgumentError(f"the image of {size[0]} x {size[1]} pixels is needed where SVG shows it")
        kind, suffix = ("jpeg", ".jpg") if image.shape[2] == 3 else ("png", ".png")
        data = base64.b64encode(cv2.imencode(suffix, image)[1].tobytes()).decode()
        return [(f'image {area} href="data:image/{kind};base64,{data}"', "")]
    rgba = style.background_rgba
    return [(f"rect {area} {_paint('fill', rgba)}", "")] if rgba is not None and rgba[3] else []


# -- people


def _instances(drawable: Drawable, style: DrawStyle, size: tuple[int, int]) -> Iterator[Element]:
    """Yield a group for each person, the largest first, as they are drawn in pixels."""
    result, parts = drawable.result, drawable.parts
    boxes = boxes_of(result, style, size)
    if not style.draw_bbox:
        boxes = {i: box for i, box in boxes.items() if result.track_ids is not None and box.text}
    owners = [] if parts is None else parts.owner.tolist()
    groups = [] if parts is None else list(_parts(parts, drawable, style, size))
    used: set[str] = set()
    for i in dict.fromkeys([*owners, *boxes]):
        tracked = result.track_ids is not None
        number = person_number(result, i) if tracked else i + 1
        name = f"{_owner(result)}-{number}" if number >= 0 else f"{_owner(result)}-without-id-{i + 1}"
        name = name if name not in used else f"{name}-{i + 1}"
        used.add(name)
        score = float(result.boxes.scores[i])
        title = f"{name.replace('-', ' ')}, score {score:.2f}"
        content: list[Element] = [("title", title)]
        content += [group for owner, group in zip(owners, groups, strict=True) if owner == i]
        if i in boxes:
            content.append(_box(boxes[i], style, size))
        yield f'g id="{name}" class="instance"', content


def _owner(result: Result) -> str:
    """Return whose keypoints they are: a face is a person's, a hand need not be the only one of a person."""
    return "person" if result.keypoint_set.kind == "face" else result.keypoint_set.kind


def _parts(parts: Parts, drawable: Drawable, style: DrawStyle, size: tuple[int, int]) -> Iterator[Element]:
    """Yield a group for each part, in their order."""
    names, layout = names_of(drawable.keypoint_set), drawable.layout
    lines: list[list[Element]] = [[] for _ in range(len(parts))]
    limbs: list[list[Element]] = [[] for _ in range(len(parts))]
    _add_links(lines, limbs, parts, drawable)
    if layout is None and len(drawable.tables.segments):
        _add_contours(lines, contour_curves(parts, drawable.tables), parts, drawable)
    line_alpha = style.opacity_of_lines(LINE_ALPHA if layout is None else FINGER_ALPHA)
    for m in range(len(parts)):
        name = names[int(parts.number[m])].replace("_", "-")
        content: list[Element] = [("title", name.replace("-", " "))]
        if limbs[m]:
            content.append((f'g class="limbs" fill-opacity="{_number(style.opacity_of_lines(LIMB_ALPHA))}"', limbs[m]))
        if lines[m] and parts.thick[m] > 0:
            width = _number(_stroke(float(parts.thick[m])))
            form = f'fill="none" stroke-width="{width}" stroke-linecap="round" stroke-linejoin="round"'
            opacity = f' opacity="{_number(line_alpha)}"' if line_alpha < 1 else ""
            content.append((f'g class="lines" {form}{opacity}', lines[m]))
        dots = _dots(parts, m, drawable)
        if dots:
            content.append(('g class="dots"', dots))
        if style.show_kpt_idx:
            content.append(_index(parts, m, size))
        yield f'g class="part {name}"', content


def _add_contours(lines: list[list[Element]], curves: Curves, parts: Parts, drawable: Drawable) -> None:
    """Add a path for each contour, or for each stretch of it where points are missing."""
    ends = curves.starts + curves.chords
    before, after = curves.starts + curves.tangents[0] / 3, ends - curves.tangents[1] / 3
    own = [drawable.tables.contour_colors[c] for c in curves.contour.tolist()]
    paints = [_paint("stroke", color) for color in colors_of(parts, curves.part, own)]
    begin = 0
    for r, last in enumerate(curves.lasts.tolist()):
        contour = drawable.keypoint_set.contours[int(curves.contour[r])]
        whole = contour.closed and last - begin + 1 == len(contour.indices)
        d = f"M{_point(curves.starts[begin])}"
        for s in range(begin, last + 1):
            d += f"C{_point(before[s])} {_point(after[s])} {_point(ends[s])}"
        name = _class(contour.name)
        lines[int(curves.part[r])].append(
            (f'path class="contour {name}" {paints[r]} d="{d}{"Z" if whole else ""}"', "")
        )
        begin = last + 1


def _add_links(lines: list[list[Element]], limbs: list[list[Element]], parts: Parts, drawable: Drawable) -> None:
    """Add chains of links of one colour; where it is drawn as OpenPose does, limbs as ellipses."""
    tables, layout = drawable.tables, drawable.layout
    part, number, ends, widths = drawn_links(parts, tables)
    colors = colors_of(parts, part, [tables.link_colors[k] for k in number.tolist()])
    first = 0 if layout is None else layout.limbs
    for m in range(len(parts)):
        own = np.flatnonzero(part == m).tolist()
        for i in (i for i in own if number[i] < first and widths[i] > 0):
            names = _names(drawable, tables.skeleton[number[i]].tolist())
            limbs[m].append(_limb(names, colors[i], complex(ends[i, 0]), complex(ends[i, 1]), float(widths[i])))
        links = [Link(tuple(tables.skeleton[number[i]].tolist()), colors[i], float(widths[i])) for i in own]
        links = [link for link, i in zip(links, own, strict=True) if number[i] >= first]
        for points, color, width in _chains(links):
            closed = len(points) > 3 and points[0] == points[-1]
            spots = [_point(complex(*parts.points[m][k].tolist())) for k in (points[:-1] if closed else points)]
            form = f'{_paint("stroke", color)} stroke-width="{_number(_stroke(width))}"'
            d = f"M{'L'.join(spots)}{'Z' if closed else ''}"
            lines[m].append((f'path class="link" data-keypoints="{_names(drawable, points)}" {form} d="{d}"', ""))


def _limb(names: str, color: Color, start: complex, end: complex, width: float) -> Element:
    """Return an ellipse from joint to joint, ``width`` wide on each side."""
    along = (end - start) / 2
    x, y = _number((start + along).real + 0.5), _number((start + along).imag + 0.5)
    turn = f'transform="rotate({_number(math.degrees(cmath.phase(along)))} {x} {y})"'
    form = f'cx="{x}" cy="{y}" rx="{_number(abs(along))}" ry="{_number(width)}" {turn}'
    return f'ellipse class="limb" data-keypoints="{names}" {_paint("fill", color)} {form}', ""


def _chains(links: list[Link]) -> Iterator[tuple[list[int], Color, float]]:
    """Yield chains of links, as keypoints from end to end, with their colour and mean width, pixels."""
    left = list(links)
    while left:
        first = left.pop(0)
        points, widths = list(first.ends), [first.width]
        while points[0] != points[-1] and (link := next((k for k in left if k.continues(first, points)), None)):
            left.remove(link)
            widths.append(link.width)
            a, b = link.ends
            if points[-1] in link.ends:
                points.append(b if points[-1] == a else a)
            else:
                points.insert(0, b if points[0] == a else a)
        yield points, first.color, sum(widths) / len(widths)


def _dots(parts: Parts, m: int, drawable: Drawable) -> list[Element]:
    dots: list[Element] = []
    for k in np.flatnonzero(parts.drawn[m]).tolist():
        if (radius := float(parts.radii[m, k])) > 0:
            radius = DOT_SCALE * radius + DOT_OFFSET if radius < OPENCV_MIN_SIZE else radius + 0.5
            blue, green, red = drawable.tables.dot_colors[k].astype(int).tolist()
            color = (blue, green, red) if parts.colors is None else parts.colors[m]
            x, y = (_number(v + 0.5) for v in parts.points[m, k].tolist())
            name = _class(drawable.keypoint_set.names[k])
            dots.append(
                (f'circle class="dot {name}" {_paint("fill", color)} cx="{x}" cy="{y}" r="{_number(radius)}"', "")
            )
    return dots


# -- labels


def _index(parts: Parts, m: int, size: tuple[int, int]) -> Element:
    """Return the indices of a part's keypoints, and lines to those that do not stand beside them."""
    placed = place_indices(parts, m, size)
    dots, centers = placed.dots + 0.5, placed.centers + 0.5
    d = "".join(
        f"M{_number(a)} {_number(b)}L{_number(x)} {_number(y)}"
        for (a, b), (x, y) in zip(dots[placed.with_leader].tolist(), centers[placed.with_leader].tolist(), strict=True)
    )
    content: list[Element] = (
        [(f'path stroke="#fff" stroke-width="{_number(placed.height / 12)}" d="{d}"', "")] if d else []
    )
    for number, (x, y) in zip(placed.numbers, centers.tolist(), strict=True):
        content.append((f'text x="{_number(x)}" y="{_number(y + placed.height / 2)}"', str(number)))
    edge = f'stroke="#000" stroke-width="{_number(placed.height / 5)}" paint-order="stroke"'
    return f'g class="indices" text-anchor="middle" {_font(placed.height)} fill="#fff" {edge}', content


def _box(box: Box, style: DrawStyle, size: tuple[int, int]) -> Element:
    """Return a box and its label, which stands on its upper left corner and is moved into the image."""
    x1, y1, x2, y2 = (v + 0.5 for v in box.corners)
    content: list[Element] = []
    if style.draw_bbox:
        corner = f'x="{_number(x1)}" y="{_number(y1)}" width="{_number(x2 - x1)}" height="{_number(y2 - y1)}"'
        line = f'fill="none" {_paint("stroke", box.color)} stroke-width="{_number(_stroke(line_width(size)))}"'
        content.append((f'rect class="box" {corner} {line}', ""))
    if box.text:
        pad = max(2.0, box.digits / 3)
        wide, high = 0.6 * len(box.text) * box.digits / _EM + 2 * pad, box.digits + 2 * pad
        left, bottom = min(max(x1, 0), max(0, size[0] - wide)), min(max(y1, high), max(size[1], high))
        area = f'x="{_number(left)}" y="{_number(bottom - high)}" width="{_number(wide)}" height="{_number(high)}"'
        content.append((f'rect class="label" {area} {_paint("fill", box.color)}', ""))
        spot = f'x="{_number(left + wide / 2)}" y="{_number(bottom - pad)}" text-anchor="middle"'
        form = f"{_font(box.digits)} {_paint('fill', text_color(box.color))}"
        content.append((f'text class="label" {spot} {form}', box.text))
    return 'g class="boxes"', content


def _font(digits: float) -> str:
    return f'font-family="sans-serif" font-size="{_number(digits / _EM)}"'


# -- attributes


def _number(value: float) -> str:
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _point(value: complex) -> str:
    return f"{_number(value.real + 0.5)} {_number(value.imag + 0.5)}"


def _stroke(width: float) -> float:
    """Return the width that a line of a nominal width has in pixels."""
    return float(visible_width(np.float64(width))) if width < OPENCV_MIN_SIZE else width + 1.4


def _paint(attribute: str, color: Color | Rgba) -> str:
    if len(color) == 3:
        return f'{attribute}="#{color[2]:02x}{color[1]:02x}{color[0]:02x}"'
    red, green, blue, opacity = color
    more = f' {attribute}-opacity="{_number(opacity / 255)}"' if opacity < 255 else ""
    return f'{attribute}="#{red:02x}{green:02x}{blue:02x}"{more}'


def _class(name: str) -> str:
    return _NOT_IN_CLASSES.sub("_", name) or "_"


def _names(drawable: Drawable, indices: list[int]) -> str:
    return " ".join(_class(drawable.keypoint_set.names[k]) for k in indices)
