"""Results as objects of supervision, used the way its users use them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from limner.formats.supervision import supervision_edges, to_detections, to_supervision
from limner.keypoints import load
from random_results import keypoint_set, library, random_result, random_video

supervision = library("supervision")


@pytest.mark.parametrize("k", [17, 21, 26, 68, 133, 5])
@pytest.mark.parametrize("ids", [True, False])
def test_key_points_hold_what_was_found(k: int, ids: bool) -> None:
    for result in random_video(k, k, ids=ids):
        found = to_supervision(result)
        assert isinstance(found, supervision.KeyPoints)
        assert len(found) == len(result)
        np.testing.assert_array_equal(found.xy, result.keypoints)
        np.testing.assert_array_equal(found.keypoint_confidence, result.scores)
        np.testing.assert_array_equal(found.detection_confidence, result.boxes.scores)
        np.testing.assert_array_equal(found.data["xyxy"], result.boxes.xyxy)
        assert found.visible.dtype == bool
        wanted = np.isfinite(result.keypoints).all(axis=2) & (result.scores >= 0.3)
        np.testing.assert_array_equal(found.visible, wanted)
        if ids:
            np.testing.assert_array_equal(found.data["tracker_id"], result.track_ids)
        if len(result) > 1:  # what users do with them
            chosen = found[np.arange(len(result)) == 1]
            np.testing.assert_array_equal(chosen.data["xyxy"], result.boxes.xyxy[1:2])


def test_detections_keep_our_boxes() -> None:
    """`as_detections` drops a person without visible points, and spans others around theirs."""
    result = random_result(np.random.default_rng(0), 3, keypoint_set(17))
    result.keypoints[1] = np.nan
    result = replace(result, track_ids=np.array([4, 5, 6]))
    assert len(to_supervision(result).as_detections()) == 2
    detections = to_detections(result)
    np.testing.assert_array_equal(detections.xyxy, result.boxes.xyxy)
    assert detections.tracker_id.tolist() == [4, 5, 6]
    assert len(to_detections(result[:0])) == 0


def test_annotators_draw_only_what_is_visible() -> None:
    result = random_result(np.random.default_rng(0), 2, keypoint_set(68), missing=0.5)
    black = np.zeros((480, 640, 3), np.uint8)
    drawn = supervision.VertexAnnotator(radius=1).annotate(black.copy(), to_supervision(result))
    found = to_supervision(result)
    for (x, y), visible in zip(result.keypoints.reshape(-1, 2), found.visible.ravel(), strict=True):
        if visible:
            assert drawn[int(y), int(x)].any()
    hidden = replace(result, poses=replace(result.poses, scores=np.zeros_like(result.scores)))
    assert not supervision.VertexAnnotator().annotate(black.copy(), to_supervision(hidden)).any()


@pytest.mark.parametrize("name", ["300w-68", "halpe-26", "coco-wholebody-133", "wflw-98"])
def test_edges_are_drawn_for_sets_that_supervision_does_not_know(name: str) -> None:
    points = load(name)
    edges = supervision_edges(points)
    assert np.array(edges).min() >= 1
    assert np.array(edges).max() <= len(points)
    result = random_result(np.random.default_rng(0), 1, points, missing=0)
    annotator = supervision.EdgeAnnotator(edges=edges)
    assert annotator.annotate(np.zeros((480, 640, 3), np.uint8), to_supervision(result, keypoint_thr=0)).any()
