"""Into the network's input and back again."""

from __future__ import annotations

import numpy as np
import pytest

from limner.crop import Crop, letterbox


def test_a_letterbox_keeps_the_aspect_and_pads_below_or_to_the_right() -> None:
    image = np.full((100, 200, 3), 7, np.uint8)
    canvas, factor = letterbox(image, (320, 320))
    assert canvas.shape == (320, 320, 3)
    assert factor == (1.6, 1.6)
    assert (canvas[:160] == 7).all()
    assert (canvas[160:] == 114).all()


def test_padding_stops_at_the_next_multiple_of_the_stride() -> None:
    canvas, _ = letterbox(np.zeros((90, 200, 3), np.uint8), (320, 320), stride=32)
    assert canvas.shape == (160, 320, 3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (3000, 2)])
def test_extreme_images_still_fit(shape: tuple[int, int]) -> None:
    canvas, factor = letterbox(np.zeros((*shape, 3), np.uint8), (320, 320), stride=32)
    assert max(canvas.shape[:2]) <= 320
    assert min(canvas.shape[:2]) >= 32
    assert min(factor) > 0


@pytest.mark.parametrize("stride", [32, None])
@pytest.mark.parametrize("shape", [(224, 174, 3), (174, 224, 3), (947, 700, 3), (50, 3000, 3), (3000, 50, 3)])
def test_an_input_that_is_not_square_turns_with_the_image(shape: tuple[int, int, int], stride: int | None) -> None:
    image = np.full(shape, 200, np.uint8)
    canvas, (x, y) = letterbox(image, (640, 384), stride=stride)
    assert all(side % 32 == 0 for side in canvas.shape[:2])
    assert sorted(canvas.shape[:2]) <= [384, 640]
    assert abs(x - y) < 0.05 * x
    assert (canvas[: round(shape[0] * y), : round(shape[1] * x)] == 200).all()


def test_points_return_to_where_the_crop_took_them_from() -> None:
    boxes = np.array([[10, 20, 60, 110], [-30, 5, 20, 25]], np.float32)
    crop = Crop.around(boxes, (192, 256))
    inside = np.array([[[0, 0], [96, 128], [192, 256]]] * 2, np.float32)
    back = crop.to_image(inside)
    matrices = crop.matrices()
    there = np.einsum("nij,nkj->nki", matrices[:, :, :2], back) + matrices[:, None, :, 2]
    assert np.allclose(there, inside, atol=1e-3)
    assert np.allclose(back[:, 1], (boxes[:, :2] + boxes[:, 2:]) / 2), "the centre of the input is the box's"


def test_the_crop_is_wider_than_the_box_and_has_the_networks_aspect() -> None:
    crop = Crop.around(np.array([[0, 0, 100, 40]], np.float32), (192, 256))
    assert np.allclose(crop.scales, [[125, 125 * 256 / 192]])


def test_udp_maps_corner_to_corner() -> None:
    crop = Crop.around(np.array([[8, 8, 24, 24]], np.float32), (64, 64), padding=1.0)
    matrix = crop.matrices(udp=True)[0]
    assert np.allclose(matrix @ [8, 8, 1], [0, 0])
    assert np.allclose(matrix @ [24, 24, 1], [63, 63])


def test_beyond_the_edge_is_black() -> None:
    white = np.full((50, 50, 3), 255, np.uint8)
    out = Crop.around(np.array([[-50, 0, 0, 50]], np.float32), (32, 32), padding=1.0).cut(white)
    assert out.shape == (1, 32, 32, 3)
    assert (out[0, :, :30] == 0).all()
