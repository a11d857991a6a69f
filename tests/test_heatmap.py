"""A user asks where the network looked: the heat of all keypoints over the image."""

from __future__ import annotations

import tracemalloc

import cv2
import numpy as np
import pytest

from limner.crop import Crop
from limner.draw.heatmap import panel, wide_simcc_heatmaps
from limner.errors import ArgumentError


def photo(width: int = 320, height: int = 240) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def crops(*boxes: tuple[float, float, float, float], size: tuple[int, int] = (192, 256)) -> Crop:
    return Crop.around(np.array(boxes, np.float32).reshape(-1, 4), size)


def spot(x: float, y: float, width: int = 48, height: int = 64, sigma: float = 2.0, peak: float = 1.0) -> np.ndarray:
    """A heatmap [height, width] with its peak at (x, y)."""
    rows, columns = np.mgrid[:height, :width]
    return (peak * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))).astype(np.float32)


def vectors(centers: np.ndarray, bins: int, sigma: float = 5.0, peak: float = 1.0) -> np.ndarray:
    """SimCC vectors [..., bins] of a network that is sure of ``centers`` [...], in bins."""
    return (peak * np.exp(-((np.arange(bins) - centers[..., None]) ** 2) / (2 * sigma**2))).astype(np.float32)


def warmth(shown: np.ndarray) -> np.ndarray:
    """How far each pixel of a panel without image is up the colour scale, [H, W] in 0..255."""
    scale = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_JET)[:, 0].astype(int)
    return np.abs(shown[:, :, None].astype(int) - scale).sum(axis=-1).argmin(axis=-1)


def hottest(shown: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(warmth(shown) > 240)
    return float(columns.mean()), float(rows.mean())


@pytest.mark.parametrize("box", [(60, 40, 160, 200), (100, 30, 300, 130), (-80, -50, 90, 120)])
def test_the_heat_lies_where_the_keypoint_is(box: tuple[float, float, float, float]) -> None:
    crop = crops(box)
    heatmap = spot(30, 40)
    point = crop.to_image(np.array([[[30, 40]]], np.float32) * 4)[0, 0]
    assert hottest(panel(photo(), heatmap[None, None], crop, alpha=0)) == pytest.approx(point, abs=1)


def test_the_image_shows_through_and_stays_as_it_was() -> None:
    image = photo()
    image.flags.writeable = False
    arguments = spot(30, 40)[None, None], crops((60, 40, 160, 200))
    shown, bare, heat = (panel(image, *arguments, alpha=alpha) for alpha in (0.5, 1, 0))
    assert (shown.shape, shown.dtype) == (image.shape, image.dtype)
    assert np.array_equal(bare, image)
    assert not np.shares_memory(bare, image)
    assert np.abs(shown - (image.astype(float) + heat) / 2).max() <= 1


def test_a_panel_stands_under_an_image_of_any_size() -> None:
    for width, height in ((1, 1), (7, 3), (501, 333)):
        image = photo(width, height)
        shown = panel(image, spot(30, 40)[None, None], crops((0, 0, width, height)))
        assert np.concatenate([image, shown]).shape == (2 * height, width, 3)


def test_where_nothing_was_found_all_is_cold() -> None:
    nothing = panel(photo(), np.zeros((0, 17, 64, 48), np.float32), crops(), alpha=0)
    silent = panel(photo(), np.zeros((1, 17, 64, 48), np.float32), crops((60, 40, 160, 200)), alpha=0)
    assert not warmth(nothing).any()
    assert not warmth(silent).any()


def test_all_keypoints_of_all_instances_are_shown_and_overlaps_keep_the_stronger() -> None:
    crop = crops((20, 20, 120, 220), (150, 20, 250, 220))
    heatmaps = np.zeros((2, 3, 64, 48), np.float32)
    places = np.array([[[10, 10], [20, 50], [40, 30]], [[12, 20], [24, 24], [36, 55]]], np.float32)
    for i, k in np.ndindex(2, 3):
        heatmaps[i, k] = spot(*places[i, k])
    seen = warmth(panel(photo(), heatmaps, crop, alpha=0))
    for x, y in np.rint(crop.to_image(places * 4)).astype(int).reshape(-1, 2):
        assert seen[y, x] > 200
    again = np.concatenate([heatmaps, 0.3 * heatmaps[:1]])
    both = Crop(crop.centers[[0, 1, 0]], crop.scales[[0, 1, 0]], crop.size)
    assert np.array_equal(warmth(panel(photo(), again, both, alpha=0)), seen)


def test_the_weaker_keypoint_is_less_hot() -> None:
    heatmaps = np.stack([spot(12, 20), spot(36, 44, peak=0.5)])[None]
    crop = crops((60, 40, 160, 200))
    seen = warmth(panel(photo(), heatmaps, crop, alpha=0))
    sure, unsure = np.rint(crop.to_image(np.array([[[12, 20], [36, 44]]], np.float32) * 4)[0]).astype(int)
    assert seen[sure[1], sure[0]] > 240
    assert seen[unsure[1], unsure[0]] == pytest.approx(127, abs=12)


def test_it_is_the_panel_that_mmpose_draws() -> None:
    """Warp each heatmap over the whole image, keep the maxima, stretch them, colour them."""
    rng = np.random.default_rng(3)
    image, crop = photo(), crops((-10, -10, 330, 250), (120, 60, 220, 200))
    places = rng.uniform((0, 0), (48, 64), (2, 5, 2))
    heatmaps = np.array([[spot(x, y, peak=rng.uniform(0.3, 1)) for x, y in one] for one in places])
    warped = []
    for heatmap, center, scale in zip(heatmaps, crop.centers, crop.scales, strict=True):
        to_image = np.array(
            [[scale[0] / 48, 0, center[0] - scale[0] / 2], [0, scale[1] / 64, center[1] - scale[1] / 2]]
        )
        warped += [cv2.warpAffine(one, to_image, (320, 240)) for one in heatmap]
    merged = cv2.normalize(np.max(warped, axis=0), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    expected = cv2.addWeighted(image, 0.5, cv2.applyColorMap(merged, cv2.COLORMAP_JET), 0.5, 0)
    difference = np.abs(panel(image, heatmaps, crop).astype(int) - expected)
    assert np.percentile(difference, 99) < 5
    assert difference.mean() < 0.5


def test_heatmaps_and_regions_gone_wild_do_no_harm() -> None:
    good = spot(30, 40)[None]
    wild = good.copy()
    wild[0, :5], wild[0, 5:9], wild[0, 9:12] = np.nan, np.inf, -np.inf
    crop = crops((60, 40, 160, 200))
    centers = np.concatenate([crop.centers, [[np.nan, 5], [9, 9], [1e30, 0], [5, 5], [-5e3, 5]]]).astype(np.float32)
    scales = np.concatenate([crop.scales, [[9, 9], [0, 0], [9, 9], [np.inf, 9], [90, 120]]]).astype(np.float32)
    many = Crop(centers, scales, crop.size)
    expected = panel(photo(), good[None], crop)
    assert np.array_equal(panel(photo(), np.stack([good] * 6), many), expected)
    assert hottest(panel(photo(), wild[None], crop, alpha=0)) == pytest.approx(
        hottest(panel(photo(), good[None], crop, alpha=0))
    )


@pytest.mark.parametrize(
    ("image", "heatmaps", "alpha", "complaint"),
    [
        ("face.png", np.zeros((1, 1, 4, 4)), 0.5, "str"),
        (np.zeros((9, 9), np.uint8), np.zeros((1, 1, 4, 4)), 0.5, r"\[9, 9\]"),
        (np.zeros((9, 9, 3), np.float32), np.zeros((1, 1, 4, 4)), 0.5, "float32"),
        (np.zeros((9, 9, 3), np.uint8), np.zeros((2, 1, 4, 4)), 0.5, r"\[2, 1, 4, 4\] where \[1, any"),
        (np.zeros((9, 9, 3), np.uint8), np.zeros((1, 4, 4)), 0.5, r"\[1, 4, 4\]"),
        (np.zeros((9, 9, 3), np.uint8), np.zeros((1, 0, 4, 4)), 0.5, r"\[1, 0, 4, 4\]"),
        (np.zeros((9, 9, 3), np.uint8), np.zeros((1, 1, 4, 4)), 1.5, "alpha is 1.5"),
        (np.zeros((9, 9, 3), np.uint8), np.zeros((1, 1, 4, 4)), float("nan"), "alpha is nan"),
    ],
)
def test_impossible_arguments_are_refused(image: object, heatmaps: np.ndarray, alpha: float, complaint: str) -> None:
    with pytest.raises(ArgumentError, match=complaint):
        panel(image, heatmaps, crops((0, 0, 9, 9)), alpha=alpha)  # type: ignore[arg-type]


@pytest.mark.parametrize(("bins_x", "bins_y"), [(384, 512), (320, 320), (576, 768), (100, 60)])
def test_a_network_without_heatmaps_has_them_too(bins_x: int, bins_y: int) -> None:
    rng = np.random.default_rng(1)
    places = np.stack([rng.uniform(0, bins_x - 1, (3, 17)), rng.uniform(0, bins_y - 1, (3, 17))], axis=-1)
    scores = rng.uniform(0.2, 1, (3, 17, 1)).astype(np.float32)
    heat = wide_simcc_heatmaps(vectors(places[..., 0], bins_x) * scores, vectors(places[..., 1], bins_y))
    n, k, h, w = heat.shape
    assert (n, k) == (3, 17)
    assert w / h == pytest.approx(bins_x / bins_y, rel=0.1)
    rows, columns = np.unravel_index(heat.reshape(3, 17, -1).argmax(axis=-1), (h, w))
    found = np.stack([columns * bins_x / w, rows * bins_y / h], axis=-1)
    assert np.abs(found - places).max() < 6
    assert heat.min() >= 0


def test_the_peak_is_the_score_and_at_most_one() -> None:
    places = np.array([[40.0, 100.0, 200.0, 300.0]])
    tall = np.array([0.25, 0.8, 2.5, -0.5])
    x, y = vectors(places, 384) * tall[:, None], vectors(places, 512)
    y[0, 1] *= 0.6  # the lesser of both axes counts
    assert wide_simcc_heatmaps(x, y).max(axis=(2, 3))[0] == pytest.approx([0.25, 0.6, 1.0, 0.0], abs=1e-5)


def test_a_spot_is_large_enough_to_see_and_round() -> None:
    heat = wide_simcc_heatmaps(
        vectors(np.array([[200.0]]), 384, sigma=0.5), vectors(np.array([[200.0]]), 512, sigma=0.5)
    )[0, 0]
    warm = heat > 0.5 * heat.max()
    assert 7 <= warm.sum() <= 60
    assert np.ptp(np.nonzero(warm)[0]) == np.ptp(np.nonzero(warm)[1])


def test_doubt_along_one_axis_is_seen_along_that_axis() -> None:
    flat = np.full((1, 1, 384), 0.6, np.float32)
    heat = wide_simcc_heatmaps(flat, vectors(np.array([[300.0]]), 512))[0, 0]
    row = int(heat.sum(axis=1).argmax())
    assert heat[row].min() > 0.5
    assert heat[[row - 20, row + 20]].max() < 0.01


def test_noise_beside_the_peak_leaves_no_stripes() -> None:
    rng = np.random.default_rng(2)
    x, y = vectors(np.array([[100.0]]), 384), vectors(np.array([[300.0]]), 512)
    noisy = [v + rng.normal(0, 0.04, v.shape).astype(np.float32) + 0.1 for v in (x, y)]
    heat = wide_simcc_heatmaps(*noisy)[0, 0]
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    far = np.abs(np.arange(heat.shape[1]) - column) > 12
    assert heat[row, far].max() < 0.05


def test_the_strongest_of_all_keypoints_costs_little_memory() -> None:
    rng = np.random.default_rng(4)
    x, y = (vectors(rng.uniform(0, bins, (8, 133)), bins) for bins in (384, 512))
    every = wide_simcc_heatmaps(x, y)
    tracemalloc.start()
    merged = wide_simcc_heatmaps(x, y, merged=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(merged, every.max(axis=1, keepdims=True))
    assert peak < every.nbytes / 2
    image, crop = photo(), crops(*[(30.0 * i, 20, 30 * i + 60, 200) for i in range(8)])
    assert np.array_equal(panel(image, merged, crop), panel(image, every, crop))


def test_an_image_with_nobody_in_it_has_a_panel() -> None:
    heat = wide_simcc_heatmaps(np.zeros((0, 17, 384), np.float32), np.zeros((0, 17, 512), np.float32), merged=True)
    assert panel(photo(), heat, crops()).shape == photo().shape


@pytest.mark.parametrize(("x", "y"), [((1, 17, 384), (1, 26, 512)), ((17, 384), (17, 512)), ((1, 17, 0), (1, 17, 512))])
def test_vectors_that_do_not_fit_are_refused(x: tuple[int, ...], y: tuple[int, ...]) -> None:
    with pytest.raises(ArgumentError, match=r"simcc_x and simcc_y have shapes \[.*17, "):
        wide_simcc_heatmaps(np.zeros(x), np.zeros(y))
