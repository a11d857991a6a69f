"""Somebody's Python for MMPose, with the import line changed; and limner's own few words for a newcomer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import limner
from limner import MMPoseInferencer, decode, zoo
from limner.errors import ArgumentError, InputError, LimnerError
from limner.mmpose import models as choice
from limner.types import Boxes, Frame, Poses

POSE = "limner/rtmpose_face-lite_300w-160x160.py"
DETECTOR = "limner/rtmdet_face-lite_288.py"


@pytest.fixture(scope="module")
def faces() -> MMPoseInferencer:
    """The bundled model, which needs neither torch nor a download."""
    return MMPoseInferencer("face-lite")


@pytest.fixture(scope="module")
def crowd(portrait: np.ndarray) -> np.ndarray:
    """One face twice: uint8 [256, 440, 3]."""
    face = portrait[20:240, 120:340]
    canvas = np.full((256, 480, 3), 90, np.uint8)
    canvas[18:238, 10:230] = face
    canvas[18:238, 250:470] = face[:, ::-1]
    return canvas


@pytest.fixture
def folder(tmp_path: Path, portrait: np.ndarray, crowd: np.ndarray) -> Path:
    """Three images: one face, two faces, none."""
    inside = tmp_path / "photos"
    inside.mkdir()
    for name, image in (("a", portrait), ("b", crowd), ("c", np.full((64, 64, 3), 128, np.uint8))):
        cv2.imwrite(str(inside / f"{name}.png"), image)
    return inside


# -- MMPoseInferencer


def test_a_result_has_the_two_keys(faces: MMPoseInferencer, portrait: np.ndarray) -> None:
    result = next(faces(portrait))
    assert list(result) == ["visualization", "predictions"]
    assert result["visualization"] == []
    ((face,),) = result["predictions"]
    assert list(face) == ["keypoints", "keypoint_scores", "bbox", "bbox_score"]
    assert np.array(face["keypoints"]).shape == (68, 2)
    assert np.array(face["bbox"]).shape == (1, 4)
    assert 0.3 < face["bbox_score"] <= 1


def test_the_drawn_image_is_rgb(faces: MMPoseInferencer, portrait: np.ndarray) -> None:
    (drawn,) = next(faces(portrait, return_vis=True))["visualization"]
    assert drawn.shape == portrait.shape
    changed = (drawn != portrait[..., ::-1]).any(axis=2)
    assert 0 < changed.mean() < 0.2, "the channels are those of the input, not RGB"
    (with_heat,) = next(faces(portrait, return_vis=True, draw_heatmap=True))["visualization"]
    assert with_heat.shape == (1024, 512, 3)


def test_each_step_is_an_image_and_a_batch_is_several(faces: MMPoseInferencer, folder: Path) -> None:
    alone = list(faces(str(folder)))
    assert [len(result["predictions"]) for result in alone] == [1, 1, 1]
    assert [len(result["predictions"][0]) for result in alone] == [1, 2, 0], "nobody is invented, nobody is missed"
    batches = list(faces(str(folder), batch_size=2))
    assert [len(result["predictions"]) for result in batches] == [2, 1]
    flat = [instances for result in batches for instances in result["predictions"]]
    for one, other in zip(alone, flat, strict=True):
        for a, b in zip(one["predictions"][0], other, strict=True):
            assert np.allclose(a["keypoints"], b["keypoints"], atol=1e-3)


def test_arrays_come_in_a_list(
    faces: MMPoseInferencer, portrait: np.ndarray, crowd: np.ndarray, tmp_path: Path
) -> None:
    results = list(faces([portrait, crowd], pred_out_dir=str(tmp_path)))
    assert [len(result["predictions"][0]) for result in results] == [1, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000.json", "000001.json"]
    assert json.loads((tmp_path / "000001.json").read_text())[0]["keypoints"]


def test_files_go_where_they_are_wanted(faces: MMPoseInferencer, folder: Path, tmp_path: Path) -> None:
    list(faces(str(folder), out_dir=str(tmp_path / "out")))
    written = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert written == [f"{kind}/{n}" for kind, end in (("predictions", "json"), ("visualizations", "png")) for n in
                       (f"a.{end}", f"b.{end}", f"c.{end}")]  # fmt: skip
    list(faces(str(folder / "a.png"), vis_out_dir=str(tmp_path / "one.jpg")))
    assert cv2.imread(str(tmp_path / "one.jpg")).shape == (512, 512, 3)
    with pytest.raises(ArgumentError, match="folder"):
        list(faces(str(folder), vis_out_dir=str(tmp_path / "one.jpg")))


def test_boxes_of_the_user_are_used(faces: MMPoseInferencer, crowd: np.ndarray, portrait: np.ndarray) -> None:
    (both,) = next(faces(crowd))["predictions"]
    boxes = [face["bbox"][0] for face in both]
    (swapped,) = next(faces(crowd, bboxes=boxes[::-1]))["predictions"]
    assert [face["bbox"][0] for face in swapped] == boxes[::-1], "the order is not that of the user"
    assert np.allclose(swapped[1]["keypoints"], both[0]["keypoints"], atol=1e-3)
    assert next(faces(crowd, bboxes=[[]]))["predictions"] == [[]]
    each = list(faces([crowd, portrait], bboxes=[boxes[:1], np.zeros((0, 4))]))
    assert [len(result["predictions"][0]) for result in each] == [1, 0]


@pytest.mark.parametrize(
    ("bboxes", "expected"),
    [
        ([[1, 2, 3]], r"\[N, 4\]"),
        ([[0, 0, float("nan"), 9]], "finite"),
        ("face", "numbers"),
        ([[[0] * 4]] * 2, "2 imag"),
    ],
)
def test_boxes_that_are_none_are_refused(
    faces: MMPoseInferencer, portrait: np.ndarray, bboxes: Any, expected: str
) -> None:
    with pytest.raises(ArgumentError, match=expected):
        faces(portrait, bboxes=bboxes)


def test_a_whole_image_can_be_the_box(portrait: np.ndarray) -> None:
    face = np.ascontiguousarray(portrait[30:200, 150:300])
    (found,) = next(MMPoseInferencer("face-lite", det_model="whole_image")(face))["predictions"]
    assert [instance["bbox"] for instance in found] == [[[0, 0, 150, 170]]]
    assert found[0]["bbox_score"] == 1


def test_samples_have_the_attributes_that_scripts_touch(faces: MMPoseInferencer, crowd: np.ndarray) -> None:
    (sample,) = next(faces(crowd, return_datasamples=True))["predictions"]
    instances = sample.pred_instances.cpu().numpy()
    assert instances.keypoints.shape == (2, 68, 2)
    assert instances.keypoint_scores.shape == (2, 68)
    assert instances.bboxes.shape == (2, 4)
    best = instances[instances.bbox_scores > instances.bbox_scores.min()]
    assert len(best) == 1
    assert best.keypoints.shape == (1, 68, 2)
    assert "bboxes" in instances
    assert sample.get("pred_instances", None) is sample.pred_instances
    with pytest.raises(AttributeError, match="'keypoint_scores'"):
        _ = instances.keypoint_score
    assert faces.dataset_meta["num_keypoints"] == 68


def test_higher_thresholds_leave_fewer(faces: MMPoseInferencer, crowd: np.ndarray) -> None:
    (both,) = next(faces(crowd))["predictions"]
    between = sum(face["bbox_score"] for face in both) / 2
    assert len(next(faces(crowd, bbox_thr=between))["predictions"][0]) == 1
    assert next(faces(crowd, bbox_thr=1))["predictions"] == [[]]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"vis_outdir": "x"}, "'vis_out_dir'"),
        ({"draw_heatmaps": True}, "'draw_heatmap'"),
        ({"batch_size": 0}, "batch_size"),
        ({"bbox_thr": 7}, "bbox_thr"),
        ({"use_oks_tracking": True}, "3D"),
        ({"skeleton_style": "openpos", "return_vis": True}, "'openpose'"),
        ({"skeleton_style": "openpose", "return_vis": True}, "300w-68"),
        ({"radius": -1, "return_vis": True}, "radius"),
    ],
    ids=str,
)
def test_bad_arguments_are_said_at_once(
    faces: MMPoseInferencer, portrait: np.ndarray, arguments: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ArgumentError, match=expected):
        faces(portrait, **arguments)


def test_mmposes_own_defaults_for_3d_are_no_error(faces: MMPoseInferencer, portrait: np.ndarray) -> None:
    arguments = {"tracking_thr": 0.3, "use_oks_tracking": False, "num_instances": 1, "disable_norm_pose_2d": False}
    assert len(next(faces(portrait, **arguments))["predictions"][0]) == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"pose2d": "fase"}, "'face'"),
        ({"pose2d": "face-lite", "det_modell": "face"}, "'det_model'"),
        ({"pose3d": "human3d"}, "3D"),
        ({}, "pose2d"),
        ({"pose2d": "face-lite", "scope": "mmdet"}, "mmpose"),
        ({"pose2d": POSE.replace("lite", "light")}, "face-lite"),
    ],
    ids=str,
)
def test_a_model_that_is_none_names_the_nearest(arguments: dict[str, Any], expected: str) -> None:
    with pytest.raises(LimnerError, match=expected):
        MMPoseInferencer(**arguments)


def test_inputs_that_are_none(faces: MMPoseInferencer, folder: Path) -> None:
    for bad in ("nowhere.jpg", 7.5, []):
        with pytest.raises(InputError):
            faces(bad)
    for gone in ("webcam:99", "http://127.0.0.1:9/a.jpg", "http://127.0.0.1:9/a.mp4"):
        with pytest.raises(InputError):
            list(faces(gone))
    (folder / "torn.png").write_text("no image")
    with pytest.raises(InputError, match="torn"):
        list(faces(str(folder / "torn.png")))
    assert len(list(faces(str(folder)))) == 3, "a torn image in a folder stops the others"


@pytest.mark.parametrize(
    ("alias", "pose", "detector", "classes"),
    [
        ("human", "rtmpose-m_8xb256-420e_body8-256x192", "rtmdet_m_640-8xb32_coco-person", (0,)),
        ("body26", "rtmpose-m_8xb512-700e_body8-halpe26-256x192", "rtmdet_m_640-8xb32_coco-person", (0,)),
        ("face", "rtmpose-m_8xb256-120e_face6-256x256", "yolox-s_8xb8-300e_coco-face", (0,)),
        ("hand", "rtmpose-m_8xb256-210e_hand5-256x256", "rtmdet_nano_320-8xb32_hand", (0,)),
        ("wholebody", "rtmpose-m_8xb64-270e_coco-wholebody-256x192", "rtmdet_m_640-8xb32_coco-person", (0,)),
        ("vitpose", "td-hm_ViTPose-base-simple_8xb64-210e_coco-256x192", "rtmdet_m_640-8xb32_coco-person", (0,)),
        ("vitpose-h", "td-hm_ViTPose-huge-simple_8xb64-210e_coco-256x192", "rtmdet_m_640-8xb32_coco-person", (0,)),
        ("animal", "rtmpose-m_8xb64-210e_ap10k-256x256", "rtmdet_m_8xb32-300e_coco", tuple(range(15, 24))),
    ],
)
def test_an_alias_means_one_model_and_its_detector(
    alias: str, pose: str, detector: str, classes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch, faces: Any
) -> None:
    opened = {}

    def open_pose(cfg: Any, weights: Path, **_: Any) -> Any:
        opened["pose"] = weights
        return faces.pipeline.pose

    def open_detector(config: str, weights: Path, *, labels: Any, **_: Any) -> Any:
        opened["detector"], opened["classes"] = weights, labels
        return faces.pipeline.detector

    monkeypatch.setattr(zoo, "ensure", lambda model, **_: Path(model.name))
    monkeypatch.setattr(choice.loading, "open_pose_estimator", open_pose)
    monkeypatch.setattr(choice.loading, "open_detector", open_detector)
    MMPoseInferencer(alias, device="cpu")
    assert opened == {"pose": Path(pose), "detector": Path(detector), "classes": classes}
    MMPoseInferencer(alias, device="cpu", det_model="rtmdet-nano-hand", det_cat_ids=[0])
    assert opened["detector"] == Path("rtmdet_nano_320-8xb32_hand")


# -- which of several stay


def test_a_box_counts_both_of_its_ends() -> None:
    scores = np.array([0.9, 0.8], np.float32)
    boxes = np.array([[0, 0, 1, 1], [1, 0, 2, 1]], np.float32)
    assert decode.bbox_nms(boxes, scores, 0.33).tolist() == [0]  # 2 x 2 pixels each, 2 of 6 in common
    assert decode.bbox_nms(boxes, scores, 0.34).tolist() == [0, 1]
    assert limner.nms(np.hstack([boxes, scores[:, None]])[::-1], 0.34) == [1, 0]
    assert limner.nms(np.zeros((0, 5)), 0.3) == []


def test_poses_that_share_a_third_of_their_points_are_one() -> None:
    first = np.array([[0, 0], [100, 0], [100, 100], [0, 100], [50, 50], [20, 70]], np.float32)
    close, apart = first.copy(), first.copy()
    close[3:] += 60  # half of the points are the same
    apart[2:] += 60  # a third of them is
    poses = Poses(np.stack([close, first, apart]), np.ones((3, 6), np.float32))
    assert decode.nearby_joints_nms(poses, np.array([0.5, 0.9, 0.4])).tolist() == [1]
    alone = Poses(np.stack([first, apart]), np.ones((2, 6), np.float32))
    assert decode.nearby_joints_nms(alone, np.array([0.5, 0.9])).tolist() == [1, 0]


def test_pose_based_nms_is_what_the_pipeline_does(faces: MMPoseInferencer, portrait: np.ndarray) -> None:
    box = next(faces(portrait))["predictions"][0][0]["bbox"][0]
    stages = choice.with_thresholds(faces.pipeline, pose_nms=True)
    twice = Boxes(np.float32([box, np.add(box, 1)]), np.float32([0.5, 0.9]), np.zeros(2, np.int64))
    (result,) = stages.many([Frame(portrait)], [twice])
    assert result.boxes.scores.tolist() == [np.float32(0.9)]


# -- the functions


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return checkpoints of two small networks, drawn from a seed."""
    torch = pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
    from limner import build, config

    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("weights")
    paths = {name: folder / f"{Path(name).stem}.pth" for name in (POSE, DETECTOR)}
    for name, path in paths.items():
        torch.save({"state_dict": build.network(config.load(name)["model"]).state_dict()}, path)
    return paths


def test_a_topdown_script_runs_with_another_import_line(weights: dict[str, Path], portrait: np.ndarray) -> None:
    detector = limner.init_detector(DETECTOR, str(weights[DETECTOR]), device="cpu")
    detector.cfg = limner.adapt_mmdet_pipeline(detector.cfg)
    model = limner.init_model(POSE, str(weights[POSE]), device="cpu")
    assert model.dataset_meta["keypoint_id2name"][0] == "kpt-0"

    found = limner.inference_detector(detector, portrait).pred_instances.cpu().numpy()
    assert found.bboxes.shape == (len(found.scores), 4)
    assert (found.scores > detector.detector.spec.score_thr).all()
    boxes = np.array([[150, 40, 300, 200, 0.9], [152, 40, 300, 200, 0.8], [0, 0, 90, 90, 0.7]], np.float32)
    boxes = boxes[limner.nms(boxes, 0.3), :4]
    assert len(boxes) == 2

    results = limner.inference_topdown(model, portrait, boxes)
    assert [sample.pred_instances.keypoints.shape for sample in results] == [(1, 68, 2)] * 2
    assert results[0].pred_instances.keypoints.dtype == np.float32
    assert results[1].pred_instances.bboxes.tolist() == boxes[1:].tolist()
    merged = limner.merge_data_samples(results)
    assert merged.pred_instances.keypoint_scores.shape == (2, 68)
    instances = limner.split_instances(merged.get("pred_instances", None))
    assert [list(instance) for instance in instances] == [["keypoints", "keypoint_scores", "bbox", "bbox_score"]] * 2


def test_no_box_is_the_whole_image_and_an_empty_list_is_none(
    weights: dict[str, Path], portrait: np.ndarray, tmp_path: Path
) -> None:
    model = limner.init_model(POSE, weights[POSE])
    cv2.imwrite(str(tmp_path / "a.png"), portrait)
    (whole,) = limner.inference_topdown(model, str(tmp_path / "a.png"))
    assert whole.pred_instances.bboxes.tolist() == [[0, 0, 512, 512]]
    assert limner.inference_topdown(model, portrait, np.zeros((0, 4))) == []
    assert limner.inference_topdown(model, portrait, []) == []
    assert limner.split_instances(limner.merge_data_samples([]).pred_instances) == []
    (by_size,) = limner.inference_topdown(model, portrait, [[10, 20, 30, 40]], bbox_format="xywh")
    (by_corners,) = limner.inference_topdown(model, portrait, [[10, 20, 40, 60]])
    assert np.array_equal(by_size.pred_instances.keypoints, by_corners.pred_instances.keypoints)
    with pytest.raises(ArgumentError, match="xyxy or xywh"):
        limner.inference_topdown(model, portrait, [[10, 20, 40, 60]], bbox_format="cxcywh")


def test_config_options_are_nested_or_dotted(weights: dict[str, Path], portrait: np.ndarray) -> None:
    nested = limner.init_model(POSE, weights[POSE], cfg_options={"model": {"test_cfg": {"flip_test": True}}})
    dotted = limner.init_model(POSE, weights[POSE], cfg_options={"model.test_cfg.flip_test": True})
    plain = limner.init_model(POSE, weights[POSE])
    a, b, c = (limner.inference_topdown(m, portrait)[0].pred_instances.keypoints for m in (nested, dotted, plain))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    heatmaps = limner.init_model(POSE, weights[POSE], cfg_options={"model": {"test_cfg": {"output_heatmaps": True}}})
    (sample,) = limner.inference_topdown(heatmaps, portrait)
    assert sample.pred_fields.heatmaps.shape == (68, 320, 320)


def test_visualize_returns_rgb(portrait: np.ndarray) -> None:
    points = np.array([[[200.0, 100.0], [240.0, 104.0]]])
    drawn = limner.visualize(portrait, points, np.ones((1, 2)))
    assert drawn.shape == portrait.shape
    changed = np.argwhere((drawn != portrait[..., ::-1]).any(axis=2))
    assert np.abs(changed.mean(0) - (102, 220)).max() < 12
    body = limner.visualize(portrait, np.random.default_rng(0).uniform(50, 400, (1, 17, 2)), metainfo="coco")
    assert (body != portrait[..., ::-1]).any(axis=2).sum() > len(changed)
    with pytest.raises(LimnerError, match="'coco'"):
        limner.visualize(portrait, points, metainfo="cocoo")


# -- limner's own words


def test_a_newcomer_needs_three_lines(portrait: np.ndarray, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "portrait.png"), portrait)
    found = limner.load("face-lite")(tmp_path / "portrait.png")
    assert isinstance(found, limner.Result)
    assert found.keypoints.shape == (1, 68, 2)
    assert found.scores.shape == (1, 68)
    assert found.boxes.xyxy.shape == (1, 4)
    assert len(found.names) == 68
    assert (found.plot(radius=4) != portrait).any()
    assert json.loads(found.to_json())[0]["bbox_score"] == pytest.approx(float(found.boxes.scores[0]))
    assert found.save(tmp_path / "drawn.jpg").exists()
    assert json.loads(found.save(tmp_path / "points.json").read_text())[0]["keypoints"]
    with pytest.raises(ArgumentError, match="'radius'"):
        found.plot(radios=4)
    with pytest.raises(InputError, match="nowhere"):
        limner.load("face-lite")("nowhere.jpg")


def test_a_misspelt_name_names_the_nearest() -> None:
    with pytest.raises(AttributeError, match="'MMPoseInferencer'"):
        _ = limner.MMPoseInferenzer
    assert {"load", "init_model", "inference_topdown"} <= set(dir(limner))
    for name in limner.__all__:
        assert getattr(limner, name) is not None
