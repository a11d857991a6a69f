"""Somebody has large images with small objects: tiles, a larger input, and how many boxes there may be."""

from __future__ import annotations

import logging
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from limner import build, config, loading
from limner.decode import merge
from limner.decode.tiles import Region
from limner.detection import Detector, DetectorOptions, WholeImage
from limner.detection.views import OVERLAP, grid
from limner.errors import ArgumentError
from limner.pipeline import Pipeline
from limner.types import Boxes, Frame

AUTO = DetectorOptions(tile="auto")


class Squares:
    """In place of a network: finds bright squares of 8 pixels and more, the larger the surer."""

    device = "cpu"

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        found = []
        for image in batch:
            self.shapes.append(image.shape[:2])
            parts = cv2.connectedComponentsWithStats((image[..., 0] > 128).astype(np.uint8))[2][1:, :4]
            parts = parts[(parts[:, 2:] >= 8).all(1)]
            score = 0.5 + np.minimum(parts[:, 2:].min(1), 60) / 200
            found.append(np.column_stack([parts[:, :2], parts[:, :2] + parts[:, 2:], score]))
        filled = np.zeros((len(batch), max(map(len, found)), 5), np.float32)
        for row, boxes in zip(filled, found, strict=True):
            row[: len(boxes)] = boxes
        return [filled]

    def close(self) -> None:
        pass


def squares_detector(options: DetectorOptions, **changes: Any) -> Detector:
    spec = build.detector_spec(config.load("limner/rtmdet_face-lite_288.py"))
    return Detector(
        Squares(), replace(spec, head="boxes", pad_value=(0, 0, 0), **changes), bbox_thr=0.3, options=options
    )


def squares(size: tuple[int, int], sides: tuple[int, int], count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an image of squares that do not touch, and their boxes."""
    random = np.random.default_rng(seed)
    image = np.zeros((size[1], size[0], 3), np.uint8)
    boxes: list[list[int]] = []
    while len(boxes) < count:
        side = int(random.integers(*sides, endpoint=True))
        x, y = (int(random.integers(0, length - side)) for length in size)
        gap = 30
        if not image[max(0, y - gap) : y + side + gap, max(0, x - gap) : x + side + gap].any():
            image[y : y + side, x : x + side] = 255
            boxes.append([x, y, x + side, y + side])
    return image, np.asarray(boxes, np.float32)


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    shared = sides.clip(0).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (a, b)]
    return shared / (areas[0][:, None] + areas[1][None] - shared)


def boxes_of(*xyxy: tuple[float, ...], scores: tuple[float, ...] | None = None) -> Boxes:
    found = np.asarray(xyxy, np.float32).reshape(-1, 4)
    return Boxes(found, np.asarray(scores or [0.5] * len(found), np.float32), np.zeros(len(found), np.int64))


LEFT, RIGHT = (0, 0, 600, 400), (400, 0, 1000, 400)
WHOLE = (0, 0, 1000, 400)


def merged(*parts: tuple[Region, Boxes], scales: tuple[float, ...] = (1, 1, 1)) -> list[list[float]]:
    regions, found = zip(*parts, strict=True)
    result = merge(found, regions, scales[: len(found)], WHOLE[2:])
    assert (np.diff(result.scores) <= 0).all()
    return sorted(result.xyxy.tolist())


def test_an_object_in_the_overlap_is_one_box_and_the_surer_one() -> None:
    left, right = boxes_of((450, 100, 500, 150), scores=(0.6,)), boxes_of((452, 101, 501, 150), scores=(0.8,))
    assert merged((LEFT, left), (RIGHT, right)) == right.xyxy.tolist()


def test_a_part_at_the_edge_of_a_tile_yields_to_the_whole() -> None:
    part, whole = boxes_of((560, 100, 600, 200), scores=(0.9,)), boxes_of((560, 100, 700, 200), scores=(0.4,))
    assert merged((LEFT, part), (RIGHT, whole)) == whole.xyxy.tolist()


def test_an_object_at_the_edge_of_the_image_is_whole() -> None:
    edge = boxes_of((0, 100, 40, 200))
    assert merged((LEFT, edge), (RIGHT, boxes_of())) == edge.xyxy.tolist()


def test_a_child_before_an_adult_is_another_object() -> None:
    adult, child = (420, 20, 560, 380), (440, 200, 500, 380)
    assert merged((LEFT, boxes_of(child)), (RIGHT, boxes_of(adult))) == sorted([list(adult), list(child)])


def test_neighbours_that_one_view_shows_apart_stay_apart() -> None:
    pair = boxes_of((450, 100, 500, 200), (470, 100, 520, 200), scores=(0.8, 0.7))
    assert len(merged((LEFT, pair), (RIGHT, pair))) == 2


def test_a_small_box_yields_to_a_closer_look() -> None:
    blurred, sharp = boxes_of((80, 80, 140, 160), scores=(0.9,)), boxes_of((100, 100, 130, 140))
    assert merged((WHOLE, blurred), (LEFT, sharp), scales=(0.2, 1)) == sharp.xyxy.tolist()
    assert merged((WHOLE, blurred), (LEFT, boxes_of()), scales=(0.2, 1)) == []
    assert len(merged((WHOLE, blurred), (RIGHT, boxes_of()), scales=(0.2, 1))) == 1  # which does not show it


def test_a_part_of_a_larger_object_is_none() -> None:
    face, eye = boxes_of((100, 20, 900, 380)), boxes_of((300, 100, 340, 120), scores=(0.45,))
    assert merged((WHOLE, face), (LEFT, eye)) == face.xyxy.tolist()


@pytest.mark.parametrize(("size", "tiles"), [((4000, 2400), (5, 3)), ((7, 1000), (3, 2)), ((1, 1), (32, 32))])
def test_tiles_cover_the_image_and_overlap(size: tuple[int, int], tiles: tuple[int, int]) -> None:
    regions = grid((0, 0, *size), *tiles)
    assert len(regions) == tiles[0] * tiles[1]
    assert len({(x2 - x1, y2 - y1) for x1, y1, x2, y2 in regions}) == 1
    seen = np.zeros(size[::-1], bool)
    for x1, y1, x2, y2 in regions:
        assert 0 <= x1 < x2 <= size[0]
        assert 0 <= y1 < y2 <= size[1]
        seen[y1:y2, x1:x2] = True
    assert seen.all()
    (_, _, right, _), (left, _, end, _) = regions[:2]
    assert right - left >= OVERLAP * (end - left) - 1


@pytest.mark.parametrize(
    ("size", "sides", "count", "options"),
    [
        ((4000, 2400), (40, 300), 120, AUTO),
        ((1600, 2800), (40, 1400), 15, AUTO),
        ((9000, 700), (40, 600), 30, AUTO),
        ((9000, 6000), (60, 4000), 12, AUTO),
        ((1500, 1100), (30, 90), 40, AUTO),
        ((4000, 2400), (60, 300), 120, DetectorOptions(tile=(6, 4))),
        ((1300, 900), (30, 700), 10, DetectorOptions(tile=(3, 2))),
        ((1800, 900), (32, 700), 10, DetectorOptions("auto")),
    ],
)
def test_each_object_is_found_once(
    size: tuple[int, int], sides: tuple[int, int], count: int, options: DetectorOptions
) -> None:
    for seed in range(2):
        image, truth = squares(size, sides, count, seed)
        found = squares_detector(options)(image)
        assert (iou(truth, found.xyxy).max(1) > 0.7).all()
        assert len(found) == len(truth)


@pytest.fixture(scope="module")
def faces() -> Pipeline:
    return loading.load("face-lite", device="cpu")


@pytest.fixture
def messages() -> list[str]:
    return []


class Watched:
    """A network that notes the shapes of its inputs."""

    def __init__(self, runtime: Any) -> None:
        self.runtime, self.device, self.shapes = runtime, runtime.device, list[tuple[int, int]]()

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        self.shapes += [batch.shape[1:3]] * len(batch)
        outputs: list[np.ndarray] = self.runtime(batch)
        return outputs


def watched(faces: Pipeline, options: DetectorOptions, image: np.ndarray) -> tuple[Boxes, list[tuple[int, int]]]:
    """Return the boxes of an image and the shapes of the inputs that the network got for it."""
    detector = faces.with_detector_options(options).detector
    assert isinstance(detector, Detector)
    network = Watched(detector.runtime)
    detector.runtime = network  # type: ignore[assignment]
    return detector(image), network.shapes


def test_auto_costs_nothing_where_it_does_not_pay(faces: Pipeline, portrait: np.ndarray) -> None:
    large = cv2.resize(portrait, (1920, 1080))
    for image in (portrait, large):
        off, on = (watched(faces, options, image) for options in (DetectorOptions(), AUTO))
        assert on[1] == off[1]
        np.testing.assert_array_equal(on[0].xyxy, off[0].xyxy)
        np.testing.assert_array_equal(on[0].scores, off[0].scores)


def test_auto_looks_more_closely_at_a_smaller_image_of_small_faces(faces: Pipeline, portrait: np.ndarray) -> None:
    image = np.full((1080, 1920, 3), 128, np.uint8)
    for x in range(100, 1700, 250):
        image[400:600, x : x + 200] = cv2.resize(portrait, (200, 200), interpolation=cv2.INTER_AREA)
    assert len(watched(faces, AUTO, image)[0]) == 7


def test_results_of_several_images_are_those_of_each(faces: Pipeline, portrait: np.ndarray) -> None:
    large = np.full((800, 2000, 3), 128, np.uint8)
    large[200:712, 900:1412] = portrait
    images = [large, portrait, large[:, ::-1].copy()]
    for options in (AUTO, DetectorOptions("auto"), DetectorOptions((320, 320), (2, 1))):
        pipeline = faces.with_detector_options(options, lambda _: None)
        for image, result in zip(images, pipeline.many([Frame(image) for image in images]), strict=True):
            alone = pipeline(image)
            assert len(result) == len(alone) == 1
            np.testing.assert_allclose(result.boxes.xyxy, alone.boxes.xyxy, atol=0.05)
            np.testing.assert_allclose(result.keypoints, alone.keypoints, atol=0.1)


def test_the_detectors_input_has_the_given_size(faces: Pipeline, portrait: np.ndarray) -> None:
    assert watched(faces, DetectorOptions.parse(det_size=640), portrait)[1] == [(640, 640)]
    wide = np.zeros((300, 1200, 3), np.uint8)
    assert watched(faces, DetectorOptions.parse(det_size="512x256"), wide)[1] == [(128, 512)]
    with pytest.raises(ArgumentError, match=r"300x300 .* multiples of 32 .* 288 or 320"):
        loading.load("face-lite", det_size=300)


def test_a_network_for_one_size_says_so() -> None:
    def network(*shape: int | None) -> Any:
        return SimpleNamespace(device="cpu", signature=SimpleNamespace(inputs=[SimpleNamespace(shape=shape)]))

    spec = build.detector_spec(config.load("limner/rtmdet_face-lite_288.py"))
    assert Detector(network(None, 3, None, None), spec, options=DetectorOptions((320, 320))).spec.size == (320, 320)
    for size in ((320, 320), "auto"):
        with pytest.raises(ArgumentError, match="288x288 only"):
            Detector(network(None, 3, 288, 288), spec, options=DetectorOptions(size))


def test_what_a_detector_does_is_nothing_for_a_whole_image(faces: Pipeline) -> None:
    whole = Pipeline(WholeImage(), faces.pose)
    assert isinstance(whole.with_detector_options(DetectorOptions()).detector, WholeImage)
    with pytest.raises(ArgumentError, match="there is none: leave them out"):
        whole.with_detector_options(AUTO)


def test_the_cap_is_said_once_and_can_be_raised(messages: list[str], caplog: pytest.LogCaptureFixture) -> None:
    image, truth = squares((288, 288), (10, 10), 30, 0)
    capped = squares_detector(DetectorOptions(), max_per_img=20)
    assert [len(capped(image)), len(capped(image))] == [20, 20]
    assert [(record.levelno, "more than 20 boxes" in record.message) for record in caplog.records] == [
        (logging.WARNING, True)
    ]
    assert len(capped.with_options(DetectorOptions(max_boxes=len(truth)), messages.append)(image)) == len(truth)
    assert len(capped.with_options(DetectorOptions(tile=(2, 2)), messages.append)(image)) == len(truth)
    assert [message for message in messages if "more than" in message] == []
    fewer = capped.with_options(DetectorOptions(max_boxes=5), messages.append)
    found = fewer(image)
    assert len(found) == 5
    assert "more than 5 boxes" in messages[-1]
    assert (found.scores >= np.sort(capped(image).scores)[-5]).all()


def test_the_cap_is_not_said_for_classes_that_are_left_out(messages: list[str]) -> None:
    image, _ = squares((288, 288), (10, 10), 30, 0)
    others = squares_detector(DetectorOptions(), max_per_img=20)
    others.labels = [7]
    assert len(others.with_options(DetectorOptions(), messages.append)(image)) == 0
    assert messages == []


def test_small_objects_of_a_large_image_are_a_reason_to_name_tiles(messages: list[str]) -> None:
    image, _ = squares((4000, 2400), (120, 160), 10, 0)
    detector = squares_detector(DetectorOptions()).with_options(DetectorOptions(), messages.append)
    for _ in range(2):
        detector(image)
    assert len(messages) == 1
    assert "--tile auto" in messages[0]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, DetectorOptions()),
        ({"tile": "auto"}, AUTO),
        ({"tile": "3"}, DetectorOptions(tile=(3, 3))),
        ({"tile": 2}, DetectorOptions(tile=(2, 2))),
        ({"tile": "3x2", "max_boxes": 7}, DetectorOptions(tile=(3, 2), max_boxes=7)),
        ({"tile": (1, 1)}, DetectorOptions()),
        ({"det_size": "auto"}, DetectorOptions("auto")),
        ({"det_size": 640}, DetectorOptions((640, 640))),
        ({"det_size": [1280, 736], "tile": "2"}, DetectorOptions((1280, 736), (2, 2))),
    ],
)
def test_options_are_read(given: dict[str, Any], expected: DetectorOptions) -> None:
    assert DetectorOptions.parse(**given) == expected


@pytest.mark.parametrize(
    ("given", "named"),
    [
        *[({"tile": value}, "tile is") for value in ("", "3x", "0", 0, 33, True, (2, 2, 2), 1.5, "-2", "many")],
        *[({"det_size": value}, "det_size is") for value in ("", "big", True, 1.5, (640,), "640x")],
        *[({"max_boxes": value}, "max_boxes is") for value in (0, -1, "5", True, 1.5)],
        ({"tile": "auto", "det_size": "auto"}, "give one of them"),
    ],
)
def test_options_that_cannot_be_read_are_named(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ArgumentError, match=named):
        DetectorOptions.parse(**given)


def test_a_large_image_in_which_nothing_is_found_is_a_reason_to_name_tiles() -> None:
    said: list[str] = []

    def look(size: tuple[int, int], side: int, **how: bool) -> int:
        said.clear()
        image, _ = squares(size, (side, side), 1, 1)
        detector = squares_detector(DetectorOptions()).with_options(DetectorOptions(), said.append)
        return len(detector.many([image, image], **how)[0])

    assert look((6000, 600), 60, still=True) == 0
    assert len(said) == 1
    assert "6000x600" in said[0]
    assert "--tile auto" in said[0]
    look((6000, 600), 60)  # a video, where nobody may be there for a while
    assert not said
    look((600, 600), 8, still=True)  # not large
    assert not said
    assert look((9000, 900), 260, still=True) == 1
    assert said, "one may be found where others are not"
    assert look((9000, 2000), 1500, still=True) == 1
    assert not said
