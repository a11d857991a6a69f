"""An artist opens a drawing as SVG: paths with names, in groups, where the pixels are."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from limner import keypoints
from limner.draw import DrawStyle
from limner.draw.svg import svg
from limner.errors import ArgumentError
from limner.types import Result
from test_draw import face, found
from test_draw_style import everything

NAMESPACE = "{http://www.w3.org/2000/svg}"


def sized(result: Result, size: tuple[int, int] = (320, 300)) -> Result:
    return replace(result, size=size)


def faces(**more: Any) -> Result:
    return sized(found("300w-68", np.array([face(60, 10, 20), face(180, 110, 40)]), **more))


def parsed(result: Result, image: np.ndarray | None = None, **style: Any) -> ElementTree.Element:
    return ElementTree.fromstring(svg(result, DrawStyle(**style), image))


def all_of(root: ElementTree.Element, word: str) -> list[ElementTree.Element]:
    """The elements of a class, in their order."""
    return [e for e in root.iter() if word in e.get("class", "").split()]


def points_of(path: ElementTree.Element) -> np.ndarray:
    """All points of a path, those that control its curves included."""
    return np.array(re.findall(r"-?[\d.]+", path.get("d", "")), float).reshape(-1, 2)


def test_a_drawing_is_grouped_by_person_part_and_contour() -> None:
    root = parsed(faces())
    assert root.tag == f"{NAMESPACE}svg"
    assert (root.get("viewBox"), root.get("width"), root.get("height")) == ("0 0 320 300", "320", "300")
    people = all_of(root, "instance")
    assert [p.get("id") for p in people] == ["person-2", "person-1"], "the largest is below the others"
    for person_group in people:
        (part,) = all_of(person_group, "part")
        assert part.get("class") == "part face"
        names = [path.get("class", "").split()[1] for path in all_of(part, "contour")]
        assert names == [contour.name for contour in keypoints.load("300w-68").contours]
        assert len(all_of(part, "dot")) == 68
        assert len(all_of(part, "left_eye_outer")) == 1
    titles = [e.text for e in root.iter(f"{NAMESPACE}title")]
    assert titles[0] == "2 faces, keypoints of 300w-68"
    assert "person 2, score 0.93" in titles


def test_curves_go_through_the_keypoints_and_closed_ones_end_where_they_begin() -> None:
    result = faces()
    known = result.keypoint_set
    for person_group, points in zip(all_of(parsed(result), "instance"), result.keypoints[::-1], strict=True):
        for contour, path in zip(known.contours, all_of(person_group, "contour"), strict=True):
            nodes = points_of(path)[::3]
            wanted = points[list(contour.indices)] + 0.5
            assert path.get("d", "").endswith("Z") == contour.closed
            assert nodes[: len(wanted)] == pytest.approx(wanted, abs=0.006)
            if contour.closed:
                assert nodes[-1].tolist() == nodes[0].tolist()
        dots = [(float(dot.get("cx", 0)), float(dot.get("cy", 0))) for dot in all_of(person_group, "dot")]
        assert np.array(dots) == pytest.approx(points + 0.5, abs=0.006)


def test_a_hidden_point_is_left_out_and_splits_its_line() -> None:
    scores = np.ones((1, 68))
    scores[0, [4, 37]] = 0.1
    root = parsed(sized(found("300w-68", [face(200, 20, 20)], scores)))
    assert [len(points_of(p)[::3]) for p in all_of(root, "jaw")] == [4, 12]
    assert sum(len(points_of(p)[::3]) for p in all_of(root, "right_eye")) <= 6
    assert not any(p.get("d", "").endswith("Z") for p in all_of(root, "right_eye"))
    assert len(all_of(root, "dot")) == 66


def test_links_of_one_colour_are_one_chain() -> None:
    root = parsed(everything_sized())
    assert sorted(p.get("class", "") for p in all_of(root, "part")) == [
        *("part body", "part face", "part left-hand", "part right-hand"),
    ]
    (hand,) = all_of(root, "left-hand")
    chains = [p.get("data-keypoints", "").split() for p in all_of(hand, "link")]
    assert ["left_thumb1", "left_thumb2", "left_thumb3", "left_thumb4"] in [chain[-4:] for chain in chains]
    known = keypoints.load("coco-wholebody-133")
    drawn = {frozenset(pair) for p in all_of(root, "link") for pair in pairs(p.get("data-keypoints", "").split(), p)}
    assert drawn == {frozenset(known.names[i] for i in link) for link in known.skeleton.tolist()}


def everything_sized(**more: Any) -> Result:
    return sized(everything(**more))


def pairs(chain: list[str], path: ElementTree.Element) -> list[tuple[str, str]]:
    assert (chain[0] == chain[-1]) == path.get("d", "").endswith("Z")
    return list(pairwise(chain))


def test_openpose_limbs_are_ellipses() -> None:
    root = parsed(everything_sized(), skeleton_style="openpose", background="black")
    limbs = all_of(root, "limb")
    assert len(limbs) == 17
    assert all(limb.tag == f"{NAMESPACE}ellipse" for limb in limbs)
    assert not all_of(root, "contour")


@pytest.mark.parametrize("name", keypoints.names())
@pytest.mark.parametrize("wild", [np.nan, np.inf, 1e30, -700.0])
def test_every_set_and_wild_points_give_a_small_clean_document(name: str, wild: float) -> None:
    known = keypoints.load(name)
    points = np.random.default_rng(1).uniform(10, 190, (3, len(known), 2))
    points[0, ::3] = wild
    points[2] = wild
    boxes = np.array([[wild, 1, 2, wild], [10, 10, 190, 190], [wild] * 4])
    text = svg(
        sized(found(name, points, boxes=boxes, track_ids=[2, -1, 2])), DrawStyle(draw_bbox=True, show_kpt_idx=True)
    )
    root = ElementTree.fromstring(text)
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    numeric = ("d", "cx", "cy", "r", "rx", "ry", "x", "y", "width", "height", "stroke-width", "transform", "font-size")
    for value in (e.get(name, "") for e in root.iter() for name in numeric):
        assert re.fullmatch(r"(?:rotate|[MLCZ() ]|-?\d{1,5}(?:\.\d\d?)?)*", value), value


def test_nobody_is_an_empty_drawing() -> None:
    nobody = sized(found("300w-68", np.zeros((0, 68, 2)), boxes=np.zeros((0, 4))))
    root = parsed(nobody)
    assert not all_of(root, "instance")
    assert root.find(f"{NAMESPACE}title").text == "0 faces, keypoints of 300w-68"  # type: ignore[union-attr]


def test_track_ids_are_ids() -> None:
    result = faces(track_ids=[7, -1])
    root = parsed(result)
    assert {g.get("id") for g in all_of(root, "instance")} == {"person-7", "person-without-id-2"}
    assert [t.text for t in all_of(root, "label") if t.text] == ["#7"]
    assert not all_of(parsed(result, labels=False), "label")
    boxed = parsed(result, draw_bbox=True)
    assert sorted(t.text for t in all_of(boxed, "label") if t.text) == ["#7 0.93", "0.93"]
    assert len(all_of(boxed, "box")) == 2


def test_the_background_is_there_only_where_it_is_asked_for() -> None:
    assert not all_of(parsed(faces()), "background")
    assert not all_of(parsed(faces(), background="transparent"), "background")
    (rect,) = all_of(parsed(faces(), background="#33669980"), "background")
    assert (rect.get("fill"), rect.get("fill-opacity"), rect.get("width")) == ("#336699", "0.5", "320")
    image = np.random.default_rng(0).integers(0, 256, (300, 320, 4), np.uint8)
    for pixels, kind in ((image, "png"), (np.ascontiguousarray(image[..., :3]), "jpeg")):
        (embedded,) = all_of(parsed(faces(), pixels, background="image"), "background")
        head, _, data = embedded.get("href", "").partition(",")
        assert head == f"data:image/{kind};base64"
        shown = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_UNCHANGED)
        assert shown.shape == pixels.shape
        assert not all_of(parsed(faces(), pixels), "background"), "an image that nobody asked for"
    with pytest.raises(ArgumentError, match="image of 320 x 300 pixels is needed"):
        svg(faces(), DrawStyle(background="image"))


def test_styles_are_those_of_pixels() -> None:
    red = parsed(faces(), color="red", alpha=0.25)
    assert (
        {e.get("stroke") for e in all_of(red, "contour")} == {"#ff0000"} == {e.get("fill") for e in all_of(red, "dot")}
    )
    assert all_of(red, "instances")[0].get("opacity") == "0.25"
    assert not all_of(parsed(faces(), dots=False), "dot")
    assert not all_of(parsed(faces(), lines=False), "contour")
    assert {p.get("class") for p in all_of(parsed(everything_sized(), parts="hands"), "part")} == {
        *("part left-hand", "part right-hand"),
    }
    by_id = parsed(faces(track_ids=[1, 2]), color="by-id")
    assert len({e.get("stroke") for e in all_of(by_id, "contour")}) == 2
    with pytest.raises(ArgumentError, match="heatmaps cannot be drawn as SVG"):
        svg(faces(), DrawStyle(draw_heatmap=True))
    with pytest.raises(ArgumentError, match="0 x 0 pixels"):
        svg(sized(faces(), (0, 0)))


def test_names_from_foreign_checkpoints_cannot_break_out() -> None:
    names = ('a"b', "<script>", "c&d", "Root of tail", "\x00\n")
    own = keypoints.numbered(5, "<b>&")
    own = replace(own, names=names, skeleton=np.array([[0, 1], [1, 2]]), link_colors=np.zeros((2, 3), np.uint8))
    result = sized(found("300w-68", np.random.default_rng(0).uniform(10, 90, (1, 5, 2))))
    root = parsed(replace(result, keypoint_set=own))
    assert len(all_of(root, "dot")) == 5
    assert len(all_of(root, "Root_of_tail")) == 1
    assert not list(root.iter(f"{NAMESPACE}script"))
