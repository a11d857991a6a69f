"""Somebody follows MMPose's guide to inference, with `from limner import ...` in place of its import lines."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import limner
from limner import MMPoseInferencer, init_model, zoo
from limner.errors import ArgumentError, DeviceError, LimnerError, ModelError, OutputError
from limner.mmpose import models as choice
from test_aliases import write_checkpoint

torch = pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")

IMG = "tests/data/coco/000000000785.jpg"
FOLDER = "tests/data/coco"
HOST = "https://download.openmmlab.com/"
# the guide's models: addresses as it gives them, and what stands in for the weights there
HRNET = "configs/body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w32_8xb64-210e_coco-256x192.py"
HRNET_WEIGHTS = HOST + "mmpose/top_down/hrnet/hrnet_w32_coco_256x192-c78dce93_20200708.pth"
RTMPOSE = "configs/body_2d_keypoint/rtmpose/coco/rtmpose-m_8xb256-420e_coco-256x192.py"
RTMPOSE_WEIGHTS = HOST + (
    "mmpose/v1/projects/rtmposev1/rtmpose-m_simcc-body7_pt-body7-halpe26_700e-256x192-4d3e73dd_20230605.pth"
)
YOLOX_CONFIG = "mmdet/yolox/yolox_l_8xb8-300e_coco.py"
YOLOX_WEIGHTS = HOST + "mmdetection/v2.0/yolox/yolox_l_8x8_300e_coco/yolox_l_8x8_300e_coco_20211126_140236-d3bd2b23.pth"
CUSTOM = """
model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(type='ResNet', depth=18),
    head=dict(
        type='HeatmapHead', in_channels=512, out_channels=17, deconv_out_channels=(32, ), deconv_kernel_sizes=(4, ),
        decoder=dict(type='MSRAHeatmap', input_size=(96, 128), heatmap_size=(6, 8), sigma=2)),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True))
pipeline = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale'),
            dict(type='TopdownAffine', input_size=(96, 128)), dict(type='PackPoseInputs')]
test_dataloader = dict(dataset=dict(type='CocoDataset', pipeline=pipeline))
"""


@pytest.fixture(scope="module", autouse=True)
def checkout(portrait: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Work in a folder with images where MMPose's checkout has them, where addresses lead to drawn weights."""
    folder = tmp_path_factory.mktemp("guide")
    (folder / FOLDER).mkdir(parents=True)
    cv2.imwrite(str(folder / IMG), portrait)
    cv2.imwrite(str(folder / FOLDER / "000000040083.jpg"), portrait[:400, 100:])
    (folder / FOLDER / "test_coco.json").write_text("{}")
    human = zoo.get("human")
    detector = zoo.detector_for(human)
    sums = []
    for address, config in {
        human.weights: human.config,
        detector.weights: detector.config,
        RTMPOSE_WEIGHTS: RTMPOSE,
        HRNET_WEIGHTS: HRNET,
        zoo.get(HRNET).weights: HRNET,
    }.items():
        path = folder / "mirror" / address.removeprefix(HOST)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_checkpoint(config, path, reach=200)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        sums.append(f"{digest}  {path.relative_to(folder / 'mirror').as_posix()}\n")
    (folder / "mirror" / "SHA256SUMS").write_text("".join(sums))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("LIMNER_HOME", str(folder / "home"))
        patch.setenv("LIMNER_MIRRORS", str(folder / "mirror"))
        patch.delenv("LIMNER_OFFLINE", raising=False)
        yield folder


@pytest.fixture(scope="module")
def inferencer(checkout: Path) -> MMPoseInferencer:
    return MMPoseInferencer("human")


@contextmanager
def pressing(key: str) -> Iterator[None]:
    """Somebody sits at the window, which is drawn into memory, and presses a key again and again."""
    pygame = pytest.importorskip("pygame", reason="needs pygame-ce: pip install -e .[test]")
    done = threading.Event()

    def press() -> None:
        while not done.wait(0.1):
            if pygame.display.get_init() and pygame.display.get_surface() is not None:
                pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=getattr(pygame, key)))

    hand = threading.Thread(target=press, daemon=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SDL_VIDEODRIVER", "dummy")
        patch.setenv("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        hand.start()
        try:
            yield
        finally:
            done.set()
            hand.join(10)


def read_image(path: str) -> np.ndarray:
    image = cv2.imread(path)
    assert image is not None, path
    return image


def drawn_on(image: np.ndarray, path: str = IMG) -> int:
    """Return how many pixels of a drawn BGR image differ from the original by more than JPEG does."""
    original = read_image(path)
    assert image.shape == original.shape
    return int((np.abs(image.astype(int) - original).max(axis=2) > 100).sum())


def names(folder: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


# -- the Inferencer, in its basic forms


def test_a_path_gives_a_generator_of_results(inferencer: MMPoseInferencer) -> None:
    result_generator = inferencer(IMG)
    result = next(result_generator)
    assert isinstance(result, dict)
    assert result["visualization"] == []
    assert len(result["predictions"]) == 1
    assert len(result["predictions"][0]) > 1
    for instance in result["predictions"][0]:
        assert np.array(instance["keypoints"]).shape == (17, 2)
        assert len(instance["keypoint_scores"]) == 17
    with pytest.raises(StopIteration):
        next(result_generator)


def test_show_waits_for_a_key_at_each_image(inferencer: MMPoseInferencer) -> None:
    with pressing("K_SPACE"):
        assert next(inferencer(IMG, show=True))["predictions"][0]
        assert next(inferencer(IMG, show=True, radius=4, thickness=2))["predictions"][0]
        results = [result for result in inferencer(FOLDER, show=True)]  # noqa: C416 - the guide's words
    assert len(results) == 2
    with pressing("K_ESCAPE"):
        assert len([result for result in inferencer(FOLDER, show=True)]) == 1  # noqa: C416


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux runs without a display")
def test_show_without_a_display_is_one_sentence(inferencer: MMPoseInferencer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(OutputError, match=r"display.*vis_out_dir") as caught:
        next(inferencer(IMG, show=True))
    assert "\n" not in str(caught.value)


def test_a_folder_an_array_and_a_list_of_arrays(inferencer: MMPoseInferencer) -> None:
    results = [result for result in inferencer(FOLDER)]  # noqa: C416
    assert len(results) == 2, "what is no image counts"
    (by_path,) = results[0]["predictions"]
    img = read_image(IMG)
    (by_array,) = next(inferencer(img))["predictions"]
    assert [i["keypoints"] for i in by_array] == [i["keypoints"] for i in by_path]
    pair = list(inferencer([img, img[:, ::-1]]))
    assert len(pair) == 2
    assert [i["keypoints"] for i in pair[0]["predictions"][0]] == [i["keypoints"] for i in by_path]
    assert pair[1]["predictions"] != pair[0]["predictions"]


def test_results_go_where_the_guide_says(inferencer: MMPoseInferencer) -> None:
    result = next(inferencer(IMG, pred_out_dir="predictions"))
    assert names("predictions") == ["000000000785.json"]
    sheet = json.loads(Path("predictions/000000000785.json").read_text())
    assert [list(instance) for instance in sheet] == [list(instance) for instance in result["predictions"][0]]
    for read, given in zip(sheet, result["predictions"][0], strict=True):
        assert np.array_equal(np.float32(read["keypoints"]), np.float32(given["keypoints"]))

    next(inferencer(IMG, vis_out_dir="vis_results"))
    assert names("vis_results") == ["000000000785.jpg"]
    assert drawn_on(read_image("vis_results/000000000785.jpg")) > 100

    next(
        inferencer(IMG, out_dir="output")
    )  # MMPose's code writes "visualizations" where its guide says "visualization"
    assert names("output") == ["predictions/000000000785.json", "visualizations/000000000785.jpg"]

    next(inferencer(IMG, out_dir="both", vis_out_dir="elsewhere"))
    assert names("both") == ["predictions/000000000785.json"]
    assert names("elsewhere") == ["000000000785.jpg"]


def test_the_arguments_of_the_guide_s_table(inferencer: MMPoseInferencer) -> None:
    boxes = [instance["bbox"][0] for instance in next(inferencer(IMG))["predictions"][0][:2]]

    def drawn(**arguments: Any) -> np.ndarray:
        (image,) = next(inferencer(IMG, return_vis=True, bboxes=boxes, **arguments))["visualization"]
        return image[..., ::-1]  # of RGB

    plain = drawn(show=False, radius=3, thickness=1, kpt_thr=0.3)
    assert np.array_equal(plain, drawn()), "the defaults are others"
    assert drawn_on(drawn(radius=9)) > drawn_on(plain) > drawn_on(drawn(radius=1))
    assert drawn_on(drawn(thickness=6)) > drawn_on(plain)
    assert drawn_on(drawn(kpt_thr=1e6)) == 0
    assert drawn_on(drawn(draw_bbox=True)) > drawn_on(plain)
    assert drawn(draw_heatmap=True).shape[0] == 2 * plain.shape[0]
    assert (drawn(black_background=True) == 0).all(axis=2).mean() > 0.5
    assert not np.array_equal(drawn(skeleton_style="openpose"), plain)
    (sample,) = next(inferencer(IMG, return_datasample=True))["predictions"]
    assert sample.pred_instances.keypoints.shape[1:] == (17, 2)


# -- other models


def test_a_model_by_the_name_of_its_config_or_by_path_and_address() -> None:
    by_name = MMPoseInferencer("td-hm_hrnet-w32_8xb64-210e_coco-256x192")
    by_path = MMPoseInferencer(pose2d=HRNET, pose2d_weights=HRNET_WEIGHTS)
    (one,), (other,) = (next(model(IMG))["predictions"] for model in (by_name, by_path))
    assert one
    assert one == other


def custom() -> tuple[str, str]:
    """Write the guide's custom model: a small network for COCO's keypoints."""
    from limner import build, config

    torch.manual_seed(5)
    Path("custom_human_pose_estimator.py").write_text(CUSTOM)
    network = build.network(config.load("custom_human_pose_estimator.py")["model"])
    torch.save({"state_dict": network.state_dict()}, "custom_human_pose_estimator.pth")
    return "custom_human_pose_estimator.py", "custom_human_pose_estimator.pth"


def test_a_custom_model_with_a_detector_by_alias(inferencer: MMPoseInferencer) -> None:
    config, weights = custom()
    own = MMPoseInferencer(pose2d=config, pose2d_weights=weights, det_model="human")
    (found,) = next(own(IMG))["predictions"]
    (usual,) = next(inferencer(IMG))["predictions"]
    assert [i["bbox"] for i in found] == [i["bbox"] for i in usual], "another detector"
    assert [i["keypoints"] for i in found] != [i["keypoints"] for i in usual]
    assert next(MMPoseInferencer(config, weights)(IMG))["predictions"] == [found], "COCO's points show people"
    with pytest.raises(ArgumentError, match="pose2d_weights"):
        MMPoseInferencer(pose2d=config)


def test_a_whole_image_is_one_person() -> None:
    config, weights = custom()
    whole = MMPoseInferencer(pose2d=config, pose2d_weights=weights, det_model="whole_image")
    ((person,),) = next(whole(IMG))["predictions"]
    height, width = read_image(IMG).shape[:2]
    assert person["bbox"] == [[0, 0, width, height]]


ANIMALS = zoo.get("animal").detector_classes


@pytest.mark.parametrize(
    ("arguments", "weights", "classes"),
    [
        ({"det_model": "yolox_l_8x8_300e_coco", "det_cat_ids": [0]}, zoo.get("yolox-l").weights, (0,)),
        ({"det_model": YOLOX_CONFIG, "det_weights": YOLOX_WEIGHTS, "det_cat_ids": [0]}, YOLOX_WEIGHTS, (0,)),
        ({"det_model": "hand"}, zoo.detector_for("hand").weights, (0,)),
        ({"det_model": "face"}, zoo.detector_for("face").weights, (0,)),
        ({"det_model": "animal"}, zoo.detector_for("animal").weights, ANIMALS),
        ({"det_model": "animal", "det_cat_ids": [15, 16]}, zoo.detector_for("animal").weights, (15, 16)),
    ],
    ids=["name", "path", "hand", "face", "animal", "cats and dogs"],
)
def test_a_detector_by_alias_name_or_path(
    arguments: dict[str, Any],
    weights: str,
    classes: tuple[int, ...],
    inferencer: MMPoseInferencer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its weights are not at hand: what is asked for is compared, and the usual detector takes its place."""
    config, own = custom()
    asked: dict[str, Any] = {}

    def open_detector(config: str, weights: Path, *, labels: Any, **_: Any) -> Any:
        asked.update(config=config, weights=weights, labels=labels)
        return inferencer.pipeline.detector

    monkeypatch.setattr(zoo, "ensure", lambda wanted, **_: Path(getattr(wanted, "weights", None) or wanted))
    monkeypatch.setattr(choice.loading, "open_detector", open_detector)
    MMPoseInferencer(pose2d=config, pose2d_weights=own, **arguments)
    assert asked["weights"] == Path(weights)
    assert asked["config"].endswith(".py")
    assert asked["labels"] == classes


def test_the_guide_s_aliases_are_known() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "limner", "inferencer", "--show-alias"], capture_output=True, text=True, check=False
    )
    listed = dict(line.split() for line in shown.stdout.splitlines())
    for alias in (
        "animal",
        "human",
        "face",
        "hand",
        "wholebody",
        *(f"vitpose{n}" for n in ("", "-s", "-b", "-l", "-h")),
    ):
        assert zoo.get(alias).kind == "pose"
        assert zoo.detector_for(alias).kind == "detector"
        assert listed[alias] == zoo.get(alias).name


def test_the_guide_s_3d_alias_is_refused_in_one_sentence() -> None:
    with pytest.raises(ModelError, match="3D"):
        MMPoseInferencer("human3d")
    with pytest.raises(ArgumentError, match="3D"):
        MMPoseInferencer(pose3d="human3d")


# -- the functions


def test_the_guide_s_python_interface() -> None:
    from limner import inference_topdown, merge_data_samples, register_all_modules, visualize

    register_all_modules()
    model = init_model(RTMPOSE, RTMPOSE_WEIGHTS, device="cpu")
    batch_results = inference_topdown(model, IMG)
    results = merge_data_samples(batch_results)
    instances = results.pred_instances
    assert instances.keypoints.shape == (1, 17, 2)
    assert instances.keypoint_scores.shape == (1, 17)
    height, width = read_image(IMG).shape[:2]
    assert instances.bboxes.tolist() == [[0, 0, width, height]]
    img = read_image(IMG)[..., ::-1]
    drawn = visualize(
        IMG, instances.keypoints, instances.keypoint_scores, metainfo=model.dataset_meta, kpt_thr=0.0, show=False
    )
    assert (drawn != img).any(axis=2).sum() > 100

    boxes = [[0, 0, width, height], [100, 50, 300, 400]]
    whole, part = merge_data_samples(
        inference_topdown(model, read_image(IMG), np.float32(boxes))
    ).pred_instances.keypoints
    assert np.allclose(whole, instances.keypoints[0], atol=0.01)
    assert not np.allclose(part, whole, atol=1)


def test_the_guide_s_functions_find_what_mmpose_finds(shared: Path, tmp_path: Path) -> None:
    from limner import inference_topdown, merge_data_samples

    module = importlib.util.spec_from_file_location("parity_weights", shared / "parity" / "weights.py")
    parity = importlib.util.module_from_spec(module)
    module.loader.exec_module(parity)
    spec, expected = parity.load_case("human-rtmpose-m")
    model = init_model(RTMPOSE, parity.write_checkpoint("human-rtmpose-m", tmp_path / "human.pth"), device="cpu")
    image = read_image(str(shared / "data" / "mmpose" / spec["image"]))
    several = merge_data_samples(inference_topdown(model, image, expected["boxes_xyxy"])).pred_instances
    apart = np.linalg.norm(several.keypoints - expected["flip/keypoints"], axis=2)
    assert (apart < 0.1).mean() > 0.99
    assert np.allclose(several.keypoint_scores, expected["flip/keypoint_scores"], atol=1e-3)


def test_visualizers_are_not_here_and_the_import_says_what_is() -> None:
    code = "from limner import VISUALIZERS"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.splitlines()[-1]
    assert "VISUALIZERS" in last
    assert "limner.visualize" in last, "it does not say what draws instead"
    with pytest.raises(ImportError, match=r"limner\.visualize"):
        exec(code, {})


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a torch that sees no GPU: set CUDA_VISIBLE_DEVICES=-1")
def test_the_guide_s_device_may_not_be_here() -> None:
    with pytest.raises(DeviceError, match="'cuda'"):
        init_model(RTMPOSE, RTMPOSE_WEIGHTS, device="cuda")
    with pytest.raises(DeviceError, match="'cuda'"):
        MMPoseInferencer("human", device="cuda")


def test_a_config_that_was_downloaded_elsewhere_is_limner_s_own() -> None:
    ours, by_name = init_model(HRNET, HRNET_WEIGHTS), init_model(Path(HRNET).name, HRNET_WEIGHTS)
    assert by_name.cfg.model == ours.cfg.model


# -- wrong names


@pytest.mark.parametrize(
    ("call", "nearest"),
    [
        (lambda model: MMPoseInferencer("human", det_cat_id=[0]), "det_cat_ids"),
        (lambda model: MMPoseInferencer(pose_2d="human"), "pose2d"),
        (lambda model: MMPoseInferencer("human", weights="x.pth"), "det_weights"),
        (lambda model: model(IMG, visout_dir="x"), "vis_out_dir"),
        (lambda model: model(IMG, return_visualization=True), "return_vis"),
        (lambda model: model(IMG, kpt_threshold=0.5), "kpt_thr"),
        (lambda model: model(IMG, norm_pose_2d=True), "disable_norm_pose_2d"),
        (lambda model: limner.init_model(HRNET, HRNET_WEIGHTS, devise="cpu"), "device"),
        (lambda model: limner.init_detector(HRNET, HRNET_WEIGHTS, devices="cpu"), "device"),
        (lambda model: limner.inference_topdown(None, IMG, boxes=[]), "bboxes"),
        (lambda model: limner.inference_detector(None, img=IMG), "imgs"),
        (lambda model: limner.visualize(IMG, np.zeros((1, 17, 2)), metadata="coco"), "metainfo"),
        (lambda model: limner.load("face-lite", box_thr=0.5), "bbox_thr"),
    ],
    ids=range(13),
)
def test_a_wrong_keyword_names_the_nearest(call: Any, nearest: str, inferencer: MMPoseInferencer) -> None:
    with pytest.raises(LimnerError, match=f"'{nearest}'"):
        call(inferencer)
