"""COCO results and annotations, read back by the evaluators that they are for."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.errors import ArgumentError
from limner.formats.coco import ImageIds
from limner.formats.coco_annotations import CocoAnnotationsWriter
from limner.formats.coco_results import CocoResultsWriter, coco_results
from limner.types import Boxes, Result
from random_results import INFO, keypoint_set, random_result, random_video

KS = (17, 21, 26, 68, 133, 5)


def each_k(library: str) -> list[Any]:
    """Return (library, K) for each K, or one case that is skipped where the library is not installed."""
    if find_spec(library):
        return [(library, k) for k in KS]
    needs = f"needs {library}: make check-forms"
    return [pytest.param(library, 0, marks=pytest.mark.skip(reason=needs), id=library)]


def images(seed: int, k: int, n: int = 8) -> list[Result]:
    """Return the results of n images, some of nobody."""
    rng = np.random.default_rng(seed)
    return [
        replace(random_result(rng, int(rng.integers(0, 4)), keypoint_set(k)), source=f"photos/{i + 100:012d}.jpg")
        for i in range(n)
    ]


def written(tmp_path: Path, results: list[Result]) -> tuple[Path, Path]:
    """Write results both as annotations and as results; return the paths."""
    paths = tmp_path / "truth.json", tmp_path / "results.json"
    with CocoAnnotationsWriter(paths[0], INFO, keypoint_thr=0.3) as truth, CocoResultsWriter(paths[1], INFO) as found:
        for result in results:
            truth.write(result)
            found.write(result)
    return paths


def evaluate(paths: tuple[Path, Path], k: int, library: str = "pycocotools") -> np.ndarray:
    """Return the ten numbers of COCO's keypoint evaluation."""
    if library == "pycocotools":
        module = pytest.importorskip("pycocotools.cocoeval", reason="needs pycocotools: pip install -e .[test]")
        coco, evaluator = pytest.importorskip("pycocotools.coco").COCO, module.COCOeval
    else:
        module = pytest.importorskip("faster_coco_eval", reason="needs faster-coco-eval: make check-forms")
        coco, evaluator = module.COCO, module.COCOeval_faster
    truth = coco(str(paths[0]))
    run = evaluator(truth, truth.loadRes(str(paths[1])), "keypoints")
    run.params.kpt_oks_sigmas = np.full(k, 0.05)
    run.evaluate()
    run.accumulate()
    run.summarize()
    return np.array(run.stats[:10], np.float64)


@pytest.mark.parametrize(("library", "k"), [*each_k("pycocotools"), *each_k("faster_coco_eval")])
def test_evaluators_find_results_equal_to_their_own_annotations(tmp_path: Path, library: str, k: int) -> None:
    """Missing points and people among them: the same points are a perfect score, moved ones are not."""
    results = images(k, k)
    assert evaluate(written(tmp_path, results), k, library)[0] == pytest.approx(1)
    moved = [replace(r, poses=replace(r.poses, keypoints=r.keypoints + 200)) for r in results]
    truth, _ = written(tmp_path, results)
    with CocoResultsWriter(tmp_path / "moved.json") as writer:
        for result in moved:
            writer.write(result)
    assert evaluate((truth, tmp_path / "moved.json"), k, library)[0] < 0.05


def test_a_nan_is_no_perfect_match(tmp_path: Path) -> None:
    """pycocotools takes a similarity of NaN for a match at every threshold."""
    results = images(1, 17)
    truth, _ = written(tmp_path, results)
    path = tmp_path / "nan.json"
    with CocoResultsWriter(path) as writer:
        for result in results:
            keypoints = np.where(np.arange(17)[None, :, None] == 0, np.nan, result.keypoints + 300).astype(np.float32)
            writer.write(replace(result, poses=replace(result.poses, keypoints=keypoints)))
    assert "NaN" not in path.read_text("ascii")
    assert evaluate((truth, path), 17)[0] < 0.05


@pytest.mark.parametrize("k", KS)
def test_results_hold_what_was_found(tmp_path: Path, k: int) -> None:
    results = random_video(k, k)
    _, path = written(tmp_path, results)
    entries = json.loads(path.read_text("ascii"))
    people = [(r, i) for r in results for i in range(len(r)) if np.isfinite(r.keypoints[i]).any()]
    assert len(entries) == len(people) > 0
    for entry, (result, i) in zip(entries, people, strict=True):
        triplets = np.array(entry["keypoints"], np.float32).reshape(k, 3)
        there = np.isfinite(result.keypoints[i]).all(axis=1)
        np.testing.assert_array_equal(triplets[there, :2], result.keypoints[i][there])
        np.testing.assert_array_equal(triplets[there, 2], result.scores[i][there])
        assert not triplets[~there].any()
        assert triplets[:, 2].max() > 0  # xtcocotools drops a detection without a third number above 0
        x, y, w, h = entry["bbox"]
        np.testing.assert_allclose([x, y, x + w, y + h], result.boxes.xyxy[i], rtol=1e-5)
        assert entry["frame_id"] == result.index
        assert entry["track_id"] == result.track_ids[i]
        assert entry["bbox_score"] == pytest.approx(result.boxes.scores[i])


def test_pycocotools_keeps_our_boxes(tmp_path: Path) -> None:
    """`loadRes` spans boxes around all points, (0, 0) among them, unless the first result has a box."""
    coco = pytest.importorskip("pycocotools.coco", reason="needs pycocotools: pip install -e .[test]").COCO
    results = images(3, 17)
    truth, path = written(tmp_path, results)
    loaded = coco(str(truth)).loadRes(str(path))
    boxes = np.concatenate([r.boxes.xyxy for r in results])
    seen = np.array([annotation["bbox"] for annotation in loaded.dataset["annotations"]])
    np.testing.assert_allclose(seen[:, :2] + seen[:, 2:], boxes[:, 2:], rtol=1e-5)
    areas = [annotation["area"] for annotation in loaded.dataset["annotations"]]
    np.testing.assert_allclose(areas, seen[:, 2] * seen[:, 3], rtol=1e-6)


def test_a_person_without_any_point_is_left_out_of_results(tmp_path: Path) -> None:
    result = random_result(np.random.default_rng(0), 2, keypoint_set(17))
    result.poses.keypoints[0] = np.nan
    assert len(coco_results(result, 1)) == 1
    low = replace(result, poses=replace(result.poses, scores=np.zeros((2, 17), np.float32)))
    assert max(coco_results(low, 1)[0]["keypoints"][2::3]) > 0  # type: ignore[index]


def test_boxes_are_finite_and_have_an_area() -> None:
    """An area of 0 makes every similarity 0; a box that is not finite is spanned by the points."""
    result = random_result(np.random.default_rng(0), 3, keypoint_set(17), missing=0)
    boxes = result.boxes.xyxy.copy()
    boxes[0], boxes[1] = np.nan, (5, 5, 5, 5)
    result = replace(result, boxes=Boxes(boxes, result.boxes.scores, result.boxes.labels))
    first, second, _ = (entry["bbox"] for entry in coco_results(result, 1))
    np.testing.assert_allclose(first[:2], result.keypoints[0].min(axis=0))  # type: ignore[index]
    np.testing.assert_allclose(second, (5, 5, 1, 1))


def test_annotations_hold_what_annotation_tools_ask_for(tmp_path: Path) -> None:
    """CVAT and others: v of 0, 1 or 2 and nothing else, whole ids, a skeleton counted from 1, every field there."""
    results = random_video(5, 26)
    truth, _ = written(tmp_path, results)
    data: dict[str, Any] = json.loads(truth.read_text("ascii"))
    (category,) = data["categories"]
    assert category["keypoints"] == list(keypoint_set(26).names)
    assert np.array(category["skeleton"]).min() >= 1
    assert np.array(category["skeleton"]).max() == 26
    assert [image["frame_id"] for image in data["images"]] == list(range(12))  # empty frames too
    assert data["images"][3]["file_name"] == "cam1/frame_000003.png"
    assert {(image["width"], image["height"]) for image in data["images"]} == {(640, 480)}
    assert data["info"]["weights_sha256"] == "ab" * 32
    assert [a["id"] for a in data["annotations"]] == list(range(1, sum(map(len, results)) + 1))
    for annotation, (result, i) in zip(
        data["annotations"], [(r, i) for r in results for i in range(len(r))], strict=True
    ):
        v = annotation["keypoints"][2::3]
        there = np.isfinite(result.keypoints[i]).all(axis=1)
        assert all(type(value) is int for value in v)
        assert v == np.where(there, np.where(result.scores[i] >= 0.3, 2, 1), 0).tolist()
        assert annotation["num_keypoints"] == sum(value > 0 for value in v)
        assert annotation["segmentation"] == []
        assert annotation["iscrowd"] == 0
        assert annotation["area"] > 0
        assert annotation["track_id"] == result.track_ids[i]


def test_a_face_has_its_contours_as_skeleton(tmp_path: Path) -> None:
    truth, _ = written(tmp_path, images(2, 68))
    (category,) = json.loads(truth.read_text("ascii"))["categories"]
    assert category["name"] == "face"
    assert len(category["skeleton"]) > 50


def test_ids_come_from_names_of_numbers_or_are_counted() -> None:
    one = random_result(np.random.default_rng(0), 1, keypoint_set(17))

    def ids(*sources: str) -> list[int]:
        images = ImageIds()
        return [images.of(replace(one, source=source)) for source in sources]

    assert ids("val/000000000139.jpg", "val/000000000285.jpg") == [139, 285]
    assert ids("a/2.jpg", "b/2.jpg", "x.jpg", "y.jpg", "1.png") == [2, 1, 3, 4, 5]  # all differ, whatever the names
    known = ImageIds({"x.jpg": 42, "deep/y.jpg": 43})
    assert known.of(replace(one, source="photos/x.jpg")) == 42
    with pytest.raises(ArgumentError, match=r"no image 'z\.jpg'"):
        known.of(replace(one, source="photos/z.jpg"))


def test_results_are_valid_json_after_every_frame(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    with CocoResultsWriter(path) as writer:
        assert json.loads(path.read_bytes()) == []
        for result in random_video(4):
            writer.write(result)
            json.loads(path.read_bytes())


def test_two_keypoint_sets_do_not_fit_into_one_file(tmp_path: Path) -> None:
    with CocoAnnotationsWriter(tmp_path / "truth.json") as writer:
        writer.write(images(1, 17)[0])
        with pytest.raises(ArgumentError, match="write it to another file"):
            writer.write(images(1, 26)[0])
    assert len(json.loads((tmp_path / "truth.json").read_bytes())["images"]) == 1
