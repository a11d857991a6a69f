"""From raw outputs to boxes and keypoints."""

from __future__ import annotations

import numpy as np

from limner import decode


def test_nms_keeps_the_best_of_each_heap() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [50, 50, 60, 60], [0, 0, 10, 10]], np.float32)
    kept = decode.nms(boxes, np.array([0.5, 0.9, 0.3, 0.9]), 0.5)
    assert kept.tolist() == [1, 2]


def test_classes_do_not_suppress_each_other() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10]], np.float32)
    found = decode.select(boxes, np.array([0.9, 0.8]), np.array([0, 1]), iou_threshold=0.5, max_per_img=10)
    assert found.labels.tolist() == [0, 1]
    assert np.array_equal(found.xyxy, boxes)


def test_a_grid_point_becomes_a_box_in_image_pixels() -> None:
    cls = [np.full((1, 4, 4), -9.0, np.float32), np.full((1, 2, 2), -9.0, np.float32)]
    reg = [np.zeros((4, 4, 4), np.float32), np.zeros((4, 2, 2), np.float32)]
    cls[1][0, 1, 0] = 2.0
    reg[1][:, 1, 0] = (4, 6, 8, 10)
    found = decode.grid_distances(
        cls, reg, strides=(8, 16), factor=(0.5, 0.5), limit=(32, 32), score_thr=0.3, iou_threshold=0.5
    )
    assert np.allclose(found.xyxy, [[0, 20, 16, 52]]), "left is cut at the image's edge"
    assert np.allclose(found.scores, 1 / (1 + np.exp(-2.0)))


def test_nothing_over_the_threshold_is_no_box() -> None:
    cls, reg = [np.full((1, 4, 4), -9.0, np.float32)], [np.ones((4, 4, 4), np.float32)]
    found = decode.grid_distances(
        cls, reg, strides=(8,), factor=(1, 1), limit=(32, 32), score_thr=0.3, iou_threshold=0.5
    )
    assert len(found) == 0
    assert found.xyxy.shape == (0, 4)


def test_simcc_takes_the_peaks_and_the_lesser_score() -> None:
    x, y = np.zeros((1, 2, 8), np.float32), np.zeros((1, 2, 12), np.float32)
    x[0, 0, 6], y[0, 0, 3] = 0.9, 0.7
    y[0, 1, 4] = 0.5
    points, scores = decode.simcc(x, y, 2.0)
    assert points[0, 0].tolist() == [3.0, 1.5]
    assert np.allclose(scores, [[0.7, 0.0]])
    assert points[0, 1].tolist() == [-0.5, -0.5], "a point without any response is marked as such"
