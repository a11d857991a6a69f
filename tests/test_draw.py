"""A user looks at what was found: dots where the points are, in the right colours, at every size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from limner import draw as drawing
from limner import keypoints, loading
from limner.errors import ArgumentError
from limner.keypoints import openpose
from limner.types import Boxes, Poses, Result

GREY = 90


def blank(width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), GREY, np.uint8)


def found(
    name: str,
    points: np.ndarray,
    scores: np.ndarray | float = 1.0,
    boxes: np.ndarray | None = None,
    track_ids: list[int] | None = None,
) -> Result:
    points = np.asarray(points, np.float32)
    if boxes is None:
        boxes = np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)
    n = len(points)
    return Result(
        Boxes(np.asarray(boxes, np.float32), np.full(n, 0.93, np.float32), np.zeros(n, np.int64)),
        Poses(points, np.broadcast_to(np.float32(scores), points.shape[:2])),
        keypoints.load(name) if isinstance(name, str) else name,
        (0, 0),
        track_ids=None if track_ids is None else np.array(track_ids),
    )


def draw(image: np.ndarray, result: Result, **style: Any) -> np.ndarray:
    return drawing.draw(image, result, drawing.DrawStyle(**style))


def face(size: float, left: float = 0.0, top: float = 0.0) -> np.ndarray:
    """A frontal 68-point face [68, 2] of ``size`` pixels from jaw to brow."""

    def arc(n: int, cx: float, cy: float, rx: float, ry: float, start: float, stop: float) -> np.ndarray:
        t = np.radians(np.linspace(start, stop, n))
        return np.stack([cx + rx * np.cos(t), cy + ry * np.sin(t)], axis=1)

    def ring(n: int, cx: float, cy: float, rx: float, ry: float) -> np.ndarray:
        return arc(n + 1, cx, cy, rx, ry, -180, 180)[:-1]

    parts = [
        arc(17, 0.5, 0.35, 0.45, 0.65, 180, 0),
        arc(5, 0.28, 0.12, 0.16, 0.08, -180, 0),
        arc(5, 0.72, 0.12, 0.16, 0.08, -180, 0),
        np.stack([np.full(4, 0.5), np.linspace(0.25, 0.5, 4)], axis=1),
        arc(5, 0.5, 0.55, 0.1, 0.04, 180, 0),
        ring(6, 0.3, 0.28, 0.09, 0.05),
        ring(6, 0.7, 0.28, 0.09, 0.05),
        ring(12, 0.5, 0.75, 0.2, 0.09),
        ring(8, 0.5, 0.75, 0.15, 0.03),
    ]
    return np.concatenate(parts) * size + (left, top)


def person(height: float, left: float = 0.0, top: float = 0.0) -> np.ndarray:
    """A standing person [17, 2] in COCO order."""
    halves = [(0.03, -0.02), (0.06, 0.0), (0.12, 0.15), (0.16, 0.32), (0.18, 0.48), (0.08, 0.5), (0.09, 0.75), (0.1, 1)]
    sides = [(0.25 + sign * x, y) for x, y in halves for sign in (1, -1)]
    return np.array([(0.25, 0.0), *sides]) * height + (left, top)


def ink(drawn: np.ndarray, image: np.ndarray) -> np.ndarray:
    """How far each pixel is from what it was, [H, W]."""
    return np.abs(drawn.astype(int) - image).max(axis=2)


def only(k: int, index: int, point: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Points [1, k, 2] and scores [1, k] of which one is seen."""
    points, scores = np.zeros((1, k, 2)), np.zeros((1, k))
    points[0, index], scores[0, index] = point, 1
    return points, scores


def test_the_image_given_is_never_changed() -> None:
    image = blank(200, 200)
    image.flags.writeable = False
    drawn = draw(image, found("300w-68", [face(150, 20, 20)]), draw_bbox=True, show_kpt_idx=True)
    assert drawn is not image
    assert (drawn.shape, drawn.dtype) == (image.shape, image.dtype)
    assert (image == GREY).all()
    assert ink(drawn, image).any()


def test_nothing_found_gives_a_copy() -> None:
    image = np.arange(40 * 30 * 3, dtype=np.uint8).reshape(30, 40, 3)
    nothing = Result(Boxes.empty(), Poses(np.zeros((0, 0, 2)), np.zeros((0, 0))), keypoints.load("300w-68"), (40, 30))
    drawn = draw(image, nothing, draw_bbox=True)
    assert np.array_equal(drawn, image)
    assert not np.shares_memory(drawn, image)
    assert not draw(image, nothing, background="black").any()


@pytest.mark.parametrize("radius", [1.0, 2.5, 6.0])
@pytest.mark.parametrize("point", [(40.0, 30.0), (40.5, 30.25), (40.75, 29.5)])
def test_a_dot_lies_at_its_sub_pixel_position_with_its_radius(radius: float, point: tuple[float, float]) -> None:
    image = blank(80, 60)
    points, scores = only(68, 8, point)
    drawn = draw(image, found("300w-68", points, scores), radius=radius)
    weight = ink(drawn, image) / ink(drawn, image).max()
    y, x = np.mgrid[:60, :80]
    centre = (weight * x).sum() / weight.sum(), (weight * y).sum() / weight.sum()
    assert centre == pytest.approx(point, abs=0.15)
    assert np.pi * (radius - 0.2) ** 2 < weight.sum() < np.pi * (radius + 0.6) ** 2


def test_dots_have_the_colours_of_the_data_set_in_bgr() -> None:
    coco = keypoints.load("coco-17")
    for index in (0, 5, 6):  # nose, left and right shoulder: blue, green and orange
        points, scores = only(17, index, (40, 30))
        drawn = draw(blank(80, 60), found("coco-17", points, scores), radius=4)
        assert drawn[30, 40].tolist() == coco.keypoint_colors[index][::-1].tolist()


def test_a_point_below_the_threshold_takes_its_links_along() -> None:
    image, points = blank(300, 300), person(260, 80, 20)
    coco = keypoints.load("coco-17")
    knee, ankle, hip = (coco.names.index(f"left_{n}") for n in ("knee", "ankle", "hip"))
    scores = np.ones((1, 17))
    scores[0, knee] = 0.29
    drawn = draw(image, found("coco-17", [points], scores))
    touched = ink(drawn, image)

    def at(point: np.ndarray) -> int:
        x, y = np.rint(point).astype(int)
        return int(touched[y, x])

    assert at(points[knee]) == 0
    assert at((points[knee] + points[ankle]) / 2) == 0
    assert at((points[knee] + points[hip]) / 2) == 0
    assert at(points[ankle]) > 0
    assert ink(draw(image, found("coco-17", [points], scores), kpt_thr=0.29), drawn).any()


def test_links_are_translucent_and_dots_are_not() -> None:
    coco = keypoints.load("coco-17")
    points, scores = np.zeros((1, 17, 2)), np.zeros((1, 17))
    scores[0, [5, 7]] = 1  # left shoulder and elbow, both green
    points[0, 5], points[0, 7] = (20, 30), (80, 30)
    result = found("coco-17", points, scores)
    drawn = draw(blank(100, 60), result, radius=5, thickness=6, line_alpha=0.5)
    green = coco.keypoint_colors[5][::-1].astype(int)
    assert drawn[30, 20].tolist() == green.tolist()
    assert drawn[30, 50] == pytest.approx((green + GREY) / 2, abs=1)
    assert (draw(blank(100, 60), result, radius=5, thickness=6, line_alpha=0)[30, 50] == GREY).all()
    assert (draw(blank(100, 60), result, radius=5, thickness=0)[30, 50] == GREY).all()
    assert (draw(blank(100, 60), result, radius=0, thickness=6, line_alpha=0.5)[30, 20] != green).any()


def test_eyes_and_lips_are_closed_and_the_jaw_is_open() -> None:
    image, points = blank(500, 500), face(400, 50, 50)
    drawn = draw(image, found("300w-68", [points]), radius=0, thickness=4)
    touched = ink(drawn, image)
    for last, first in ((41, 36), (47, 42), (59, 48), (67, 60)):
        x, y = np.rint((points[last] + points[first]) / 2).astype(int)
        assert touched[y - 3 : y + 4, x - 3 : x + 4].any(), (last, first)
    x, y = np.rint(points[0] + 0.12 * (points[16] - points[0])).astype(int)  # between jaw and eye
    assert not touched[y - 8 : y + 9, x - 8 : x + 9].any()


def test_a_contour_bends_with_its_points() -> None:
    """Seen from a chord of the jaw, an arc of an ellipse bulges outwards."""
    image, points = blank(1700, 1700), face(1600, 50, 50)
    drawn = draw(image, found("300w-68", [points]), radius=0, thickness=2)
    touched = ink(drawn, image)
    middle = (points[8] + points[9]) / 2
    t = np.radians(180 - 180 * 8.5 / 16)
    on_arc = np.array([0.5 + 0.45 * np.cos(t), 0.35 + 0.65 * np.sin(t)]) * 1600 + 50
    assert np.linalg.norm(on_arc - middle) > 3
    (x, y), (mx, my) = np.rint(on_arc).astype(int), np.rint(middle).astype(int)
    assert touched[y - 1 : y + 2, x - 1 : x + 2].any()
    assert not touched[my, mx]


def test_lines_can_be_left_out() -> None:
    image, points = blank(500, 500), face(400, 50, 50)
    result = found("300w-68", [points])
    touched = ink(draw(image, result, lines=False), image)
    x, y = np.rint((points[8] + points[9]) / 2).astype(int)
    assert not touched[y - 8 : y + 9, x].any()
    x, y = np.rint(points[8]).astype(int)
    assert touched[y, x]


def test_a_hidden_point_opens_the_contour_there() -> None:
    image, points = blank(500, 500), face(400, 50, 50)
    scores = np.ones((1, 68))
    scores[0, 4] = 0
    touched = ink(draw(image, found("300w-68", [points], scores)), image)
    for a, b, seen in ((2, 3, True), (3, 4, False), (4, 5, False), (5, 6, True)):
        x, y = np.rint((points[a] + points[b]) / 2).astype(int)
        assert touched[y - 4 : y + 5, x - 4 : x + 5].any() == seen, (a, b)


@pytest.mark.parametrize("size", [20, 90, 400, 2000])
def test_a_face_is_neither_a_blob_nor_invisible_at_any_size(size: int) -> None:
    image = blank(size * 2, size * 2)
    drawn = draw(image, found("300w-68", [face(size, size / 2, size / 2)]))
    inside = ink(drawn, image)[size // 2 : size * 3 // 2, size // 2 : size * 3 // 2]
    covered = inside.sum() / (255 * inside.size)
    assert 0.01 < covered < 0.2
    jaw_line = inside[-max(4, size // 20) :]
    assert jaw_line.max() > 30


def test_each_instance_gets_its_own_size() -> None:
    image = blank(1000, 600)
    both = [person(500, 20, 40), person(50, 600, 300)]
    touched = ink(draw(image, found("coco-17", both)), image)
    hip = 11  # its dot is the widest thing around it

    def width(points: np.ndarray) -> int:
        x, y = np.rint(points[hip]).astype(int)
        row = touched[y, x:]
        return int(np.argmin(row > 0)) if (row == 0).any() else len(row)

    assert width(both[0]) >= 4 * width(both[1]) >= 4


def test_what_is_not_touched_stays_as_it_was() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (400, 600, 3), np.uint8)
    for size in (40, 150):  # with and without an enlarged layer
        drawn = draw(image, found("300w-68", [face(size, 100, 100)]))
        touched = ink(drawn, image)
        assert touched.any()
        touched[100 - 15 : 100 + size + 15, 100 - 15 : 100 + size + 15] = 0
        assert not touched.any()


SMALL, LARGE = 60, 200  # pixels


@pytest.mark.parametrize("gap", [260, 90])  # beside each other, and the small one on the large one
@pytest.mark.parametrize(
    ("name", "style"),
    [("300w-68", "mmpose"), ("coco-17", "mmpose"), ("onehand10k-21", "mmpose"), ("coco-17", "openpose")],
)
def test_a_group_looks_as_if_drawn_one_after_the_other_the_largest_first(name: str, style: str, gap: int) -> None:
    shape = np.random.default_rng(2).uniform(0, 1, (len(keypoints.load(name)), 2))
    both = [shape * LARGE + 20, shape * SMALL + (20 + gap, 80)]
    together = draw(blank(420, 260), found(name, both), skeleton_style=style)
    np.testing.assert_array_equal(draw(blank(420, 260), found(name, both[::-1]), skeleton_style=style), together)
    one_by_one = blank(420, 260)
    for points in both:
        one_by_one = draw(one_by_one, found(name, [points]), skeleton_style=style)
    np.testing.assert_array_equal(together, one_by_one)


@pytest.mark.parametrize("end", [(170.0, 30.0), (170.3, 30.6), (140.0, 140.0), (30.4, 170.0)])
def test_a_line_grows_with_its_thickness_and_has_no_gap(end: tuple[float, float]) -> None:
    points, scores = np.zeros((1, 17, 2)), np.zeros((1, 17))
    points[0, [5, 7]], scores[0, [5, 7]] = ((30, 30), end), 1
    result, image = found("coco-17", points, scores), blank(200, 200)
    length, along = np.hypot(*np.subtract(end, 30)), np.rint(np.linspace((30, 30), end, 21)[2:-2]).astype(int)
    widths = []
    for thickness in (0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.5):
        touched = ink(draw(image, result, radius=0, thickness=thickness, line_alpha=1), image)
        full = ink(draw(image, result, radius=0, thickness=9, line_alpha=1), image).max()
        widths.append((touched / full).sum() / length)
        if thickness >= 1.5:
            assert touched[along[:, 1], along[:, 0]].min() > 0.8 * full
        assert thickness < widths[-1] < thickness + 3
    assert (np.diff(widths) > 0).all()


def test_where_small_dots_overlap_the_later_one_is_on_top() -> None:
    coco = keypoints.load("coco-17")
    left, right = (coco.keypoint_colors[i][::-1].tolist() for i in SHOULDERS)
    assert left != right
    points, scores = np.zeros((1, 17, 2)), np.zeros((1, 17))
    points[0, SHOULDERS], scores[0, SHOULDERS] = ((28, 30), (31, 30)), 1
    drawn = draw(blank(60, 60), found("coco-17", points, scores), radius=2, thickness=0)
    assert [drawn[30, x].tolist() for x in (27, 28)] == [left] * 2
    assert [drawn[30, x].tolist() for x in (30, 31, 32)] == [right] * 3
    assert left[0] == right[0] == 0, "neither has any blue"
    assert drawn[30, 29, 0] <= 1, "at its edge one mixes with the other, not with the grey below both"


def test_on_black_the_same_is_drawn_without_the_image() -> None:
    image = np.full((200, 200, 3), 255, np.uint8)
    result = found("300w-68", [face(150, 20, 20)])
    black = draw(image, result, background="black")
    assert black[0, 0].tolist() == [0, 0, 0]
    assert black.any()


@pytest.mark.parametrize("wild", [np.nan, np.inf, -np.inf, 1e30, -4e9, 50_000.0, -700.0])
@pytest.mark.parametrize("name", ["300w-68", "coco-17"])
def test_wild_points_and_boxes_do_not_harm(name: str, wild: float) -> None:
    image, known = blank(200, 150), keypoints.load(name)
    points = np.array([face(100, 20, 20) if name == "300w-68" else person(120, 30, 10)])
    points[0, ::3] = wild
    points[0, 1, 1] = wild
    boxes = np.array([[wild, 10, 60, wild]])
    result = found(name, points, boxes=boxes, track_ids=[3])
    touched = ink(draw(image, result, draw_bbox=True, show_kpt_idx=True), image)
    assert touched.any()
    everything = found(name, np.full((2, len(known), 2), wild), boxes=np.full((2, 4), wild))
    assert draw(image, everything, draw_bbox=True, show_kpt_idx=True).shape == image.shape


def test_a_single_point_far_larger_than_the_image_is_survived() -> None:
    points, scores = only(17, 0, (0.4, 0.4))
    drawn = draw(blank(1, 1), found("coco-17", points, scores), radius=50, show_kpt_idx=True)
    assert drawn.shape == (1, 1, 3)


def test_boxes_and_scores_are_drawn_only_when_asked_for() -> None:
    image = blank(300, 300)
    result = found("coco-17", [person(200, 100, 60)], boxes=[[60, 50, 260, 280]])
    plain, boxed = draw(image, result), draw(image, result, draw_bbox=True)
    assert not ink(plain, image)[270:, 250:].any()
    assert ink(boxed, image)[280, 250] > 0
    assert ink(boxed, image)[36:50, 60:80].any(), "the tag with the score stands on the box"


def test_somebody_without_a_number_yet_gets_no_tag() -> None:
    image = blank(320, 300)
    pose = [person(200, 100, 60)]
    plain = draw(image, found("coco-17", pose))
    np.testing.assert_array_equal(draw(image, found("coco-17", pose, track_ids=[-1])), plain)
    boxed = draw(image, found("coco-17", pose), draw_bbox=True)
    np.testing.assert_array_equal(draw(image, found("coco-17", pose, track_ids=[-1]), draw_bbox=True), boxed)


def test_a_track_id_is_written_with_and_without_the_box() -> None:
    image = blank(300, 300)
    tags = []
    for track_id in (1, 7, 1):
        result = found("coco-17", [person(200, 100, 60)], boxes=[[60, 50, 260, 280]], track_ids=[track_id])
        drawn = draw(image, result)
        assert not ink(drawn, image)[275:, 250:].any()
        tags.append(drawn[20:52, 55:110])
    assert ink(tags[0], tags[0] * 0 + GREY).any()
    assert not np.array_equal(tags[0], tags[1])
    assert np.array_equal(tags[0], tags[2])


@pytest.mark.parametrize("size", [90, 400, 3000])
def test_numbers_are_written_and_stay_in_the_image(size: int) -> None:
    written = []
    for point in ((size / 2, size / 2), (0.0, 0.0), (size - 1.0, size - 1.0)):
        points, scores = only(17, 16, point)
        result = found("coco-17", points, scores, boxes=[[0, 0, size - 1, size - 1]])
        options = {"radius": 0, "thickness": 0}
        numbered = draw(blank(size, size), result, show_kpt_idx=True, **options)
        written.append(int((ink(numbered, blank(size, size)) > 60).sum()))
    assert written[0] > 40, "two digits of at least six pixels"
    assert min(written[1:]) > 0.9 * written[0], "at a corner the number moves inwards"


def test_numbers_of_neighbours_do_not_cover_each_other() -> None:
    points, scores = np.zeros((1, 17, 2)), np.zeros((1, 17))
    points[0, [3, 4]], scores[0, [3, 4]] = (100.0, 100.0), 1
    both = found("coco-17", points, scores)
    one = found("coco-17", points, scores * (np.arange(17) == 3))
    options = {"radius": 0, "thickness": 0, "show_kpt_idx": True}
    image = blank(200, 200)
    single = (ink(draw(image, one, **options), image) > 60).sum()
    assert (ink(draw(image, both, **options), image) > 60).sum() > 1.7 * single


def test_an_unknown_style_names_the_known_ones() -> None:
    with pytest.raises(ArgumentError, match=r"'opnpose' where mmpose or openpose is needed. Did you mean 'openpose'"):
        draw(blank(9, 9), found("coco-17", [person(5)]), skeleton_style="opnpose")


@pytest.mark.parametrize(
    ("image", "options", "complaint"),
    [
        (blank(9, 9).astype(np.float32), {}, "float32"),
        (blank(9, 9)[..., 0], {}, r"\[9, 9\]"),
        ("face.png", {}, "str"),
        (blank(9, 9), {"alpha": 1.5}, "alpha is 1.5"),
        (blank(9, 9), {"radius": -1}, "radius is -1"),
        (blank(9, 9), {"thickness": float("nan")}, "thickness is nan"),
    ],
)
def test_impossible_arguments_are_refused(image: object, options: dict[str, float], complaint: str) -> None:
    with pytest.raises(ArgumentError, match=complaint):
        draw(image, found("coco-17", [person(5)]), **options)  # type: ignore[arg-type]


def test_a_result_of_another_set_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"17 keypoints where keypoint set '300w-68' has 68"):
        draw(blank(9, 9), found("300w-68", [person(5)]))


@pytest.mark.parametrize("name", keypoints.names())
def test_every_set_can_be_drawn(name: str) -> None:
    known = keypoints.load(name)
    points = np.random.default_rng(1).uniform(10, 190, (2, len(known), 2))
    image = blank(200, 200)
    assert ink(draw(image, found(name, points), draw_bbox=True, show_kpt_idx=True), image).any()


SHOULDERS = (5, 6)  # left and right of a body of COCO


def two_shoulders(name: str = "coco-17") -> tuple[np.ndarray, np.ndarray]:
    known = keypoints.load(name)
    points, scores = np.zeros((1, len(known), 2)), np.zeros((1, len(known)))
    points[0, SHOULDERS], scores[0, SHOULDERS] = ((160, 60), (40, 60)), 1
    return points, scores


def in_openpose(name: str, points: np.ndarray, scores: np.ndarray | float = 1.0, **options: object) -> np.ndarray:
    """The points on a grey image of 200 x 120 pixels in OpenPose's style."""
    result = found(name, points, scores, boxes=np.tile((0, 0, 200, 120), (len(points), 1)))
    return draw(blank(200, 120), result, skeleton_style="openpose", **options)


@pytest.mark.parametrize("name", openpose.known())
def test_openpose_shows_the_same_points_in_its_own_order(name: str) -> None:
    known, layout = keypoints.load(name), openpose.layout(name)
    shown = layout.keypoint_set
    assert len(layout.origins) == len(shown) == int(shown.name.rsplit("-", 1)[1])
    for own, origin in zip(shown.names, layout.origins, strict=True):
        assert [known.names[i] for i in origin] in ([own], ["left_shoulder", "right_shoulder"])
    assert {i for origin in layout.origins for i in origin} == set(range(len(known)))
    links = {frozenset(link) for link in shown.skeleton.tolist()}
    assert {frozenset(shown.flip_indices[list(link)].tolist()) for link in links} == links
    points = np.random.default_rng(1).uniform(10, 110, (2, len(known), 2))
    assert ink(in_openpose(name, points, draw_bbox=True, show_kpt_idx=True), blank(200, 120)).any()


def test_openpose_names_the_sets_that_it_knows() -> None:
    with pytest.raises(ArgumentError, match=r"'300w-68'.*coco-17, halpe-26, coco-wholebody-133.*'mmpose'"):
        in_openpose("300w-68", np.zeros((1, 68, 2)))


def test_openpose_puts_a_neck_between_the_shoulders() -> None:
    points, scores = two_shoulders()
    neck = openpose.layout("coco-17").keypoint_set.keypoint_colors[1][::-1].tolist()
    assert in_openpose("coco-17", points, scores, radius=5)[60, 100].tolist() == neck
    scores[0, 6] = 0.29
    drawn = in_openpose("coco-17", points, scores, radius=5)
    assert drawn[60, 100].tolist() == [GREY] * 3
    assert drawn[60, 40].tolist() == [GREY] * 3
    assert drawn[60, 160].tolist() != [GREY] * 3


def test_openpose_takes_the_neck_that_a_model_found() -> None:
    points, scores = two_shoulders("halpe-26")
    points[0, 18], scores[0, 18] = (100, 20), 1
    drawn = in_openpose("halpe-26", points, scores, radius=5)
    assert drawn[20, 100].tolist() == [0, 0, 255]
    assert drawn[60, 100].tolist() == [GREY] * 3


def test_openpose_colours_say_which_side_it_is() -> None:
    """Its right arm goes from orange to yellow and green, its left one from green on."""
    body = openpose.layout("coco-17").keypoint_set
    for name, rgb in (("right_shoulder", [255, 170, 0]), ("left_shoulder", [85, 255, 0]), ("left_ankle", [85, 0, 255])):
        points, scores = only(17, keypoints.load("coco-17").names.index(name), (100, 60))
        assert body.keypoint_colors[body.names.index(name)].tolist() == rgb
        assert in_openpose("coco-17", points, scores, radius=5)[60, 100].tolist() == rgb[::-1]


def test_openpose_limbs_are_ellipses_from_joint_to_joint() -> None:
    points, scores = two_shoulders()
    drawn = ink(in_openpose("coco-17", points, scores, radius=0, thickness=8), blank(200, 120)) > 20
    widths = drawn.sum(axis=0)
    assert not drawn[:, :39].any()
    assert not drawn[:, 162:].any()
    for joint, neck in ((40, 100), (160, 100)):
        middle, quarter = (joint + neck) // 2, (3 * joint + neck) // 4
        assert widths[middle] == pytest.approx(16, abs=2)
        assert widths[quarter] == pytest.approx(16 * np.sqrt(0.75), abs=2)
        assert 0 < widths[joint + np.sign(neck - joint)] < 8


def test_openpose_limbs_are_translucent_each_on_the_other() -> None:
    points, scores = two_shoulders()
    elbow, wrist = 7, 9
    points[0, [elbow, wrist]], scores[0, [elbow, wrist]] = ((70, 20), (70, 110)), 1  # crosses the shoulder line
    options = {"radius": 0, "thickness": 6}
    colors = openpose.layout("coco-17").keypoint_set.link_colors[:, ::-1].astype(float)
    shoulder, forearm = colors[0], colors[5]
    drawn = in_openpose("coco-17", points, scores, **options)
    assert drawn[60, 55] == pytest.approx(0.6 * shoulder + 0.4 * GREY, abs=1)
    assert drawn[60, 70] == pytest.approx(0.6 * forearm + 0.4 * (0.6 * shoulder + 0.4 * GREY), abs=2)
    solid = in_openpose("coco-17", points, scores, line_alpha=1, **options)
    assert solid[60, 70] == pytest.approx(forearm, abs=1)
    assert not ink(in_openpose("coco-17", points, scores, radius=0, thickness=0), blank(200, 120)).any()


def test_openpose_shows_faces_as_white_dots_of_half_the_size_and_no_feet() -> None:
    toe, chin, left_shoulder = 17, 23 + 8, 5
    whole = {}
    for index in (toe, chin, left_shoulder):
        points, scores = only(133, index, (100, 60))
        whole[index] = in_openpose("coco-wholebody-133", points, scores, radius=8)
    assert not ink(whole[toe], blank(200, 120)).any()
    assert whole[chin][60, 100].tolist() == [255, 255, 255]
    inks = (ink(whole[i], blank(200, 120)) for i in (chin, left_shoulder))
    radii = [np.sqrt((touched / touched.max()).sum() / np.pi) for touched in inks]
    assert radii == pytest.approx([4, 8], abs=0.6)


def test_openpose_fingers_are_lines_in_the_colours_of_the_rainbow() -> None:
    thumb, pinky = (0, 1), (0, 17)
    seen = []
    for link in (thumb, pinky):
        points, scores = np.zeros((1, 21, 2)), np.zeros((1, 21))
        points[0, link], scores[0, link] = ((40, 60), (160, 60)), 1
        drawn = in_openpose("onehand10k-21", points, scores, radius=4, thickness=6)
        assert drawn[60, 160].tolist() == [255, 0, 0], "joints are blue"
        assert ink(drawn, blank(200, 120))[56:65, 60:140].any(axis=0).all()
        seen.append(drawn[60, 100].tolist())
    assert seen == [[0, 0, 255], [255, 0, 204]]


def test_openpose_face_of_a_small_body_can_be_seen() -> None:
    points = np.full((1, 133, 2), np.nan)
    points[0, 23:91] = face(60, 70, 30)
    touched = ink(in_openpose("coco-wholebody-133", points, background="black"), np.zeros((120, 200, 3), np.uint8))
    x, y = np.rint(points[0, 23:40].T).astype(int)
    assert (touched[y, x] > 90).all()


def test_openpose_numbers_are_its_own() -> None:
    coco, body = keypoints.load("coco-17"), openpose.layout("coco-17").keypoint_set
    wrist = "right_wrist"
    assert (coco.names.index(wrist), body.names.index(wrist)) == (10, 4)
    points, scores = only(17, 10, (100, 60))
    options = {"radius": 0, "thickness": 0}
    numbered = ink(in_openpose("coco-17", points, scores, show_kpt_idx=True, **options), blank(200, 120)) > 60
    two_digits = ink(
        draw(blank(200, 120), found("coco-17", points, scores), show_kpt_idx=True, **options), blank(200, 120)
    )
    assert 0 < np.ptp(np.nonzero(numbered)[1]) < 0.75 * np.ptp(np.nonzero(two_digits > 60)[1])


@pytest.mark.parametrize("wild", [np.nan, np.inf, 1e30, -700.0])
def test_openpose_survives_wild_points(wild: float) -> None:
    points = np.array([person(100, 60, 10)])
    points[0, [6, 9, 14]] = wild
    assert ink(in_openpose("coco-17", points, draw_bbox=True, show_kpt_idx=True), blank(200, 120)).any()
    assert in_openpose("coco-17", np.full((2, 17, 2), wild)).shape == (120, 200, 3)


def test_openpose_of_nobody_is_the_image() -> None:
    nothing = Result(Boxes.empty(), Poses(np.zeros((0, 0, 2)), np.zeros((0, 0))), keypoints.load("coco-17"), (40, 30))
    image = blank(40, 30)
    assert np.array_equal(draw(image, nothing, skeleton_style="openpose"), image)


def test_a_real_face_shows_through_its_contours(portrait: np.ndarray) -> None:
    result = found("300w-68", loading.load("face-lite")(portrait).poses.keypoints)
    assert len(result.boxes) == 1
    touched = ink(draw(portrait, result), portrait)
    x1, y1, x2, y2 = np.rint(result.boxes.xyxy[0]).astype(int)
    share = (touched[y1:y2, x1:x2] > 0).mean()
    assert 0.02 < share < 0.25
