"""An artist chooses what is drawn, on what, and in which colours."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from limner import cli, keypoints, sources
from limner.crop import Crop
from limner.draw import DrawStyle, draw, render
from limner.draw.selection import names_of
from limner.errors import ArgumentError, OutputError
from limner.images import decode_alpha, decode_image, encode_image, written_suffix
from limner.types import Poses, Result
from test_draw import blank, face, found, ink, only, person

SIZE = (320, 300)


def everything(**more: Any) -> Result:
    """A body of 133 points with a face and two hands, all of them apart from each other."""
    points = np.zeros((1, 133, 2))
    points[0, :17] = person(150, 20, 40)
    points[0, 17:23] = points[0, [15, 15, 15, 16, 16, 16]] + [[8, 10], [12, 6], [-6, 8], [-8, 10], [-12, 6], [6, 8]]
    points[0, 23:91] = face(80, 200, 20)
    fan = np.array([(0, 0), *((8 * j, 12 * f) for f in range(5) for j in range(1, 5))])
    points[0, 91:112] = np.add(fan, (200, 130))
    points[0, 112:] = np.add(fan, (200, 220))
    return found("coco-wholebody-133", points, **more)


PLACES = {  # x1, y1, x2, y2 of each part of `everything`
    "body": (0, 0, 190, 300),
    "face": (190, 0, 320, 120),
    "left_hand": (190, 120, 320, 210),
    "right_hand": (190, 210, 320, 300),
}


def drawn(result: Result | None = None, image: np.ndarray | None = None, **style: Any) -> np.ndarray:
    image = blank(*SIZE) if image is None else image
    return draw(image, everything() if result is None else result, DrawStyle(**style))


def where(touched: np.ndarray) -> set[str]:
    """The parts whose places are touched."""
    return {name for name, (x1, y1, x2, y2) in PLACES.items() if touched[y1:y2, x1:x2].any()}


# -- backgrounds


@pytest.mark.parametrize(
    ("background", "bgr"),
    [
        *(("black", (0, 0, 0)), ("white", (255, 255, 255)), ("Tomato", (71, 99, 255)), ("#12ab9f", (159, 171, 18))),
        *(("12AB9F", (159, 171, 18)), ("#1a9", (153, 170, 17)), ("rebeccapurple", (153, 51, 102))),
    ],
)
def test_a_colour_is_drawn_on(background: str, bgr: tuple[int, int, int]) -> None:
    on_color = drawn(background=background)
    assert on_color.shape == (300, 320, 3)
    assert (on_color[0, 0] == bgr).all()
    assert np.array_equal(on_color, drawn(image=np.full((300, 320, 3), bgr, np.uint8)))


def test_the_image_itself_is_the_default() -> None:
    assert np.array_equal(drawn(), drawn(background="image"))


@pytest.mark.parametrize("style", [{}, {"skeleton_style": "openpose"}, {"alpha": 0.5}, {"draw_bbox": True}])
def test_what_is_drawn_on_nothing_looks_the_same_on_anything(style: dict[str, Any]) -> None:
    clear = drawn(background="transparent", **style)
    assert clear.shape == (300, 320, 4)
    assert not clear[0, 0].any()
    share = clear[..., 3:] / 255
    for image in (blank(*SIZE), np.random.default_rng(0).integers(0, 256, (300, 320, 3), np.uint8)):
        laid_over = clear[..., :3] * share + image * (1 - share)
        assert np.abs(laid_over - drawn(image=image, **style)).max() <= 5
    assert (clear[..., 3] == 255).any() == ("alpha" not in style)


def test_a_translucent_colour_lets_something_through() -> None:
    half = drawn(background="#ff000080")
    assert half[0, 0].tolist() == [0, 0, 255, 128]
    assert half[..., 3].max() == 255


def test_heatmaps_stand_below_a_transparent_drawing_too() -> None:
    result = found("coco-17", [person(100, 20, 20)])
    heat = Poses(result.keypoints, result.scores, np.random.default_rng(0).random((1, 17, 8, 8)).astype(np.float32))
    with_heat = Result(result.boxes, heat, result.keypoint_set, (200, 150))
    crop = Crop(np.array([[70.0, 70.0]]), np.array([[100.0, 100.0]]), (64, 64))
    style = DrawStyle(draw_heatmap=True, background="transparent")
    shown = render(blank(200, 150), with_heat, style, crop=lambda boxes: crop)
    assert shown.shape == (300, 200, 4)
    assert (shown[150:, :, 3] == 255).all()


# -- colours


def color_of(image: np.ndarray) -> tuple[int, ...]:
    """The most frequent colour but black."""
    values, counts = np.unique(image[image.any(axis=2)], axis=0, return_counts=True)
    return tuple(values[counts.argmax()].tolist())


def test_one_colour_for_everything() -> None:
    result = everything(track_ids=[4])
    only_red = drawn(result, background="black", color="red", draw_bbox=True, labels=False)
    assert not only_red[..., :2].any()
    assert (only_red[..., 2] == 255).any()
    limbs = drawn(background="black", color="#00f", skeleton_style="openpose")
    assert limbs[..., 0].any()
    assert not limbs[..., 1:].any()


def test_each_part_has_a_colour() -> None:
    image = drawn(background="black", color="by-part", alpha=1.0)
    seen = {name: color_of(image[y1:y2, x1:x2]) for name, (x1, y1, x2, y2) in PLACES.items()}
    assert len(set(seen.values())) == 4, seen
    style = DrawStyle(background="black", color="by_part", alpha=1.0)
    of_a_face = color_of(draw(blank(300, 300), found("300w-68", [face(200, 50, 50)]), style))
    assert seen["face"] == pytest.approx(of_a_face, abs=8)


def test_a_person_keeps_its_colour_as_long_as_its_track_id() -> None:
    people = [person(100, 20, 20), person(100, 200, 20)]

    def colors(track_ids: list[int] | None, order: slice = slice(None)) -> list[tuple[int, ...]]:
        ids = None if track_ids is None else track_ids[order]
        style = DrawStyle(background="black", color="by-id", alpha=1.0, labels=False)
        image = draw(blank(320, 150), found("coco-17", np.array(people[order]), track_ids=ids), style)
        return [color_of(image[:, :150]), color_of(image[:, 180:])]

    left, right = colors([3, 8])
    assert left != right
    assert colors([3, 8], slice(None, None, -1)) == [left, right]
    assert colors([8, 3]) == [right, left]
    assert colors(None)[0] != colors(None)[1]


@pytest.mark.parametrize(
    ("style", "complaint"),
    [
        ({"background": "blakc"}, "background is 'blakc'.*mean 'black'"),
        ({"background": "#12345"}, "background is '#12345' where image, transparent"),
        ({"background": ""}, "background is ''"),
        ({"color": "by-ids"}, "color is 'by-ids'.*mean 'by-id'"),
        ({"color": "12"}, "color is '12'"),
        ({"color": (255, 0, 0)}, "color is"),
        ({"parts": "face,hnads"}, "'hnads'.*mean 'hands'"),
        ({"parts": ""}, "parts is ''"),
        ({"parts": ()}, "parts is"),
        ({"alpha": 1.2}, "alpha is 1.2"),
        ({"dots": False, "radius": 3}, "no dots are drawn"),
        ({"lines": False, "thickness": 2}, "no lines are drawn"),
    ],
)
def test_a_style_that_cannot_be_is_refused_at_once(style: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ArgumentError, match=complaint):
        DrawStyle(**style)


# -- what is drawn


@pytest.mark.parametrize(
    ("parts", "shown"),
    [
        ("face", {"face"}),
        ("face,hands,", {"face", "left_hand", "right_hand"}),
        (("right-hand",), {"right_hand"}),
        ("body", {"body"}),
        (["feet"], {"body"}),
        ("Body, Hands , face", {"body", "face", "left_hand", "right_hand"}),
    ],
)
@pytest.mark.parametrize("skeleton", ["mmpose", "openpose"])
def test_parts_alone(parts: Any, shown: set[str], skeleton: str) -> None:
    style = {"parts": parts, "skeleton_style": skeleton, "radius": 2, "show_kpt_idx": False}
    assert where(ink(drawn(**style), blank(*SIZE))) == shown


def test_feet_are_the_lowest_part_of_a_body() -> None:
    touched = ink(drawn(parts="feet"), blank(*SIZE))
    ankles = everything().keypoints[0, 15:17, 1].min()
    assert not touched[: int(ankles) - 15].any()
    assert touched[int(ankles) :].any()


@pytest.mark.parametrize(("name", "parts"), [("coco-17", "face"), ("coco-17", "feet"), ("300w-68", "hands")])
def test_a_part_that_a_set_lacks_is_named(name: str, parts: str) -> None:
    nobody = found(name, np.zeros((0, len(keypoints.load(name)), 2)), boxes=np.zeros((0, 4)))
    with pytest.raises(ArgumentError, match=f"'{name}' has no part '{parts}', only"):
        draw(blank(9, 9), nobody, DrawStyle(parts=parts))


def test_every_set_knows_its_parts() -> None:
    kinds = {name: set(names_of(keypoints.load(name))) for name in keypoints.names()}
    assert kinds.pop("coco-wholebody-133") == {"body", "face", "left_hand", "right_hand"}
    assert {name for name, kind in kinds.items() if kind == {"face"}} == {
        *("300w-68", "aflw-19", "cofw-29", "coco-wholebody-face-68", "lapa-106", "wflw-98"),
    }
    assert {name for name, kind in kinds.items() if kind == {"hand"}} == {
        *("coco-wholebody-hand-21", "interhand2d-21", "onehand10k-21", "rhd2d-21"),
    }
    assert all(kinds[name] == {"body"} for name in ("coco-17", "halpe-26", "ap10k-17"))


def test_dots_lines_and_labels_can_be_left_out() -> None:
    result = everything(track_ids=[1])
    bare = ink(drawn(result, dots=False, lines=False, labels=False), blank(*SIZE))
    assert not bare.any()
    dots, lines, labels = (
        ink(drawn(result, **{"dots": False, "lines": False, "labels": False, shown: True}), blank(*SIZE)) > 0
        for shown in ("dots", "lines", "labels")
    )
    assert dots.any()
    assert lines.any()
    assert labels.any()
    boxed = ink(drawn(result, dots=False, lines=False, labels=False, draw_bbox=True), blank(*SIZE)) > 0
    assert boxed.any()
    top = int(result.boxes.xyxy[0, 1]) - 3
    assert labels[:top].any(), "a label stands above the box"
    assert not boxed[:top].any()


def test_opacity_is_that_of_everything_together() -> None:
    coco = keypoints.load("coco-17")
    points, scores = np.zeros((1, 17, 2)), np.zeros((1, 17))
    scores[0, [5, 7]], points[0, [5, 7]] = 1, ((20, 30), (80, 30))
    half = draw(blank(100, 60), found("coco-17", points, scores), DrawStyle(radius=5, thickness=6, alpha=0.5))
    mixed = (coco.keypoint_colors[5][::-1].astype(int) + blank(1, 1)[0, 0]) / 2
    assert half[30, 20] == pytest.approx(mixed, abs=1), "the dot, on the line"
    assert half[30, 50] == pytest.approx(mixed, abs=1), "the line"
    assert np.array_equal(drawn(alpha=0), blank(*SIZE))
    faint = draw(blank(100, 60), found("coco-17", points, scores), DrawStyle(radius=5, color="#ff000080"))
    assert faint[30, 20] == pytest.approx(blank(1, 1)[0, 0] * (127 / 255) + np.array([0, 0, 128]), abs=1)


def test_sizes_for_bodies_are_fitted_to_faces() -> None:
    points = np.zeros((1, 133, 2))
    points[0, 23:91] = face(80, 100, 20)
    scores = np.zeros((1, 133))
    scores[0, 23:91] = 1
    result = found("coco-wholebody-133", points, scores)
    usual, given, fitted = (
        ink(draw(blank(320, 150), result, DrawStyle(**style)), blank(320, 150)) > 0
        for style in ({}, {"radius": 3}, {"radius": 3, "thickness": 1, "fit_faces": ("dots", "lines")})
    )
    assert np.array_equal(fitted, usual)
    assert given.sum() > 1.5 * usual.sum()
    body_points, body_scores = only(17, 5, (30, 30))
    for style in ({"radius": 3}, {"radius": 3, "fit_faces": ("dots", "lines")}):
        body = draw(blank(60, 60), found("coco-17", body_points, body_scores), DrawStyle(**style))
        assert (ink(body, blank(60, 60)) > 0).sum() > 25


def test_the_indices_of_a_small_face_do_not_bury_it() -> None:
    image = blank(200, 200)
    numbered = ink(draw(image, found("300w-68", [face(100, 50, 50)]), DrawStyle(show_kpt_idx=True)), image) > 0
    assert 0.1 < numbered[50:150, 50:150].mean() < 0.6


# -- alpha in, alpha out


def translucent(seed: int = 0) -> np.ndarray:
    """An image with alpha, which is clear above and opaque below."""
    image = np.random.default_rng(seed).integers(0, 256, (300, 320, 4), np.uint8)
    image[:40, :, 3], image[-40:, :, 3] = 0, 255
    return image


def test_an_image_keeps_its_alpha_where_nothing_is_drawn() -> None:
    image = translucent()
    shown = drawn(image=image)
    untouched = ink(drawn(), blank(*SIZE)) == 0
    assert np.array_equal(shown[untouched], image[untouched])
    assert (shown[..., 3] >= image[..., 3]).all()
    x, y = np.rint(everything().keypoints[0, 5]).astype(int)
    assert shown[y, x].tolist() == [*keypoints.load("coco-wholebody-133").keypoint_colors[5][::-1].tolist(), 255]
    assert np.array_equal(drawn(image=image, background="black"), drawn(background="black"))


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".webp"])
def test_a_file_with_alpha_is_read_as_ever_and_keeps_its_alpha(tmp_path: Path, suffix: str) -> None:
    path, image = tmp_path / f"a{suffix}", translucent()
    path.write_bytes(encode_image(image, suffix, "a"))
    frame = sources.read(sources.expand(str(path))[0][0])
    assert np.array_equal(frame.image, cv2.imread(str(path)))
    assert frame.alpha is not None
    assert np.array_equal(frame.alpha, image[..., 3])
    assert frame.with_alpha.shape == (300, 320, 4)


def test_a_file_without_alpha_has_none() -> None:
    for suffix in (".png", ".tiff", ".webp", ".jpg", ".bmp"):
        data = encode_image(blank(20, 10), suffix, "a")
        assert decode_alpha(data, decode_image(data, "a")) is None


def test_alpha_has_the_orientation_of_the_image() -> None:
    pillow, ops = pytest.importorskip("PIL.Image"), pytest.importorskip("PIL.ImageOps")
    for orientation in range(1, 9):
        exif, file = pillow.Exif(), BytesIO()
        exif[0x112] = orientation
        pillow.fromarray(translucent()).save(file, "PNG", exif=exif)
        upright = np.asarray(ops.exif_transpose(pillow.open(file)))
        assert np.array_equal(decode_alpha(file.getvalue(), decode_image(file.getvalue(), "a")), upright[..., 3])


def test_transparency_goes_into_files_that_hold_it() -> None:
    assert [written_suffix(s, alpha=True) for s in (".jpg", ".PNG", ".webp", ".bmp", ".gif")] == [
        *(".png", ".PNG", ".webp", ".png", ".png"),
    ]
    with pytest.raises(OutputError, match=r"\.jpg has no transparency; use \.png"):
        encode_image(translucent(), ".jpg", "a.jpg")


# -- the command


def test_the_command_draws_so(
    tmp_path: Path, portrait: np.ndarray, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["limner", "run", *arguments])
        try:
            cli.main()
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    monkeypatch.chdir(tmp_path)
    alpha = np.full((512, 512, 1), 90, np.uint8)
    cv2.imwrite("clear.png", np.dstack([portrait, alpha]))
    cv2.imwrite("photo.jpg", portrait)
    film = cv2.VideoWriter("film.avi", cv2.VideoWriter_fourcc(*"MJPG"), 10, (512, 512))
    film.write(portrait)
    film.release()

    assert run("clear.png", "photo.jpg", "--out", "usual") == 0
    kept = cv2.imread("usual/clear.png", cv2.IMREAD_UNCHANGED)
    assert (kept[..., 3] == 90).mean() > 0.9
    assert (kept[..., 3] == 255).any()
    assert (
        run("photo.jpg", "--out", "o", "--background", "transparent", "--color", "lime", "--no-dots", "--alpha", "1")
        == 0
    )
    lines = cv2.imread("o/photo.png", cv2.IMREAD_UNCHANGED)
    assert color_of(lines[..., :3] * (lines[..., 3:] > 150)) == (0, 255, 0)
    assert run("film.avi", "--out", "o", "--background", "transparent") == 1
    assert "cannot be transparent" in capsys.readouterr().err
    assert run("photo.jpg", "--out", "p", "--parts", "hands") == 1
    assert "no part 'hands'" in capsys.readouterr().err
