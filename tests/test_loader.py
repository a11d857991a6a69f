"""A user names a model by what he has: a name, a config, a .pth, an .onnx, an archive; or gets one sentence."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from limner import build, config, keypoints, loading, zoo
from limner.draw import DrawStyle
from limner.errors import (
    ArgumentError,
    CheckpointError,
    ConfigError,
    DownloadError,
    LimnerError,
    MissingExtraError,
    ModelError,
)
from limner.jobs import job
from limner.pipeline import Detector, NoDetector, Pipeline, WholeImage
from limner.types import Boxes, Frame, Poses

networks = pytest.importorskip("networks", reason="needs onnx: pip install -e .[test]")

HUMAN = "rtmpose-m_simcc-body7_pt-body7_420e-256x192-e48f03d0_20230504"
HUMAN_CONFIG = "configs/body_2d_keypoint/rtmpose/body8/rtmpose-m_8xb256-420e_body8-256x192.py"
POSE_CONFIG = "limner/rtmpose_face-lite_300w-160x160.py"
DETECTOR_CONFIG = "limner/rtmdet_face-lite_288.py"
PERSON_CONFIG = "demo/mmdetection_cfg/rtmdet_m_640-8xb32_coco-person.py"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give limner an empty cache, and no network."""
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("LIMNER_OFFLINE", "1")
    monkeypatch.delenv("LIMNER_MIRRORS", raising=False)
    return tmp_path / "home"


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked for; nothing comes."""
    asked: list[str] = []

    def fetch(url: str, **_: Any) -> Path:
        asked.append(url)
        raise DownloadError("there is no network")

    monkeypatch.setattr("limner.zoo.download.fetch", fetch)
    return asked


@pytest.fixture
def image() -> np.ndarray:
    """Slopes of each colour, so that every column and row of a crop differs from the next."""
    y, x = np.mgrid[:300, :400] / 400
    return (np.stack([x, 1 - x * y, np.sin(3 * x + y) ** 2], -1) * 255).astype(np.uint8)


BOXES = np.array([[100, 80, 220, 200], [150, 90, 260, 220]], np.float32)  # with what is around them inside the image


def poses(pipeline: Pipeline, image: np.ndarray) -> Poses:
    boxes = Boxes(BOXES, np.ones(len(BOXES), np.float32), np.zeros(len(BOXES), np.int64))
    return pipeline.many([Frame(image)], [boxes])[0].poses


def load(*args: Any, **kwargs: Any) -> Pipeline:
    return loading.load(*args, **{"det": "none", "info": lambda _: None, **kwargs})


# -- an .onnx of another tool


def expected_x(pipeline: Pipeline, image: np.ndarray, **normalisation: Any) -> np.ndarray:
    """Return x in crop pixels of each keypoint, computed by numpy."""
    crops = pipeline.pose.crop(BOXES).cut(image)
    x = networks.profiles(crops, **normalisation)
    return np.where(poses(pipeline, image).scores > 0, x.argmax(-1) / 2, -0.5)


def found_x(pipeline: Pipeline, image: np.ndarray) -> np.ndarray:
    crop = pipeline.pose.crop(BOXES)
    found = poses(pipeline, image).keypoints
    return (found[..., 0] - (crop.centers - crop.scales / 2)[:, None, 0]) * (192 / crop.scales[:, None, 0])


def test_an_onnx_alone_gets_rgb_with_imagenets_mean_and_std(tmp_path: Path, image: np.ndarray) -> None:
    said: list[str] = []
    pipeline = load(networks.simcc(tmp_path / "net.onnx"), info=said.append)
    assert pipeline.keypoint_set.name == "coco-17"
    assert said == ["net.onnx: 17 keypoints are taken for coco-17; if they are ap10k-17, give keypoints"]
    assert np.allclose(found_x(pipeline, image), expected_x(pipeline, image), atol=1e-3)
    assert not np.allclose(found_x(pipeline, image), expected_x(pipeline, image, rgb=False), atol=1)


def test_what_pipeline_json_says_is_done(tmp_path: Path, image: np.ndarray) -> None:
    network = networks.simcc(tmp_path / "net.onnx")
    content = networks.pipeline((192, 256), to_rgb=False, std=(1, 30, 300))
    for given in (
        networks.archive(tmp_path / "some.zip", network, content),
        networks.archive(tmp_path / "flat.zip", network, content, folder="x"),
    ):
        pipeline = load(given)
        expected = expected_x(pipeline, image, rgb=False, std=np.array([1, 30, 300]))
        assert np.allclose(found_x(pipeline, image), expected, atol=1e-3)


@pytest.mark.parametrize("form", ["folder", "file in folder", "file url", "archive"])
def test_every_form_of_one_network_gives_the_same(form: str, tmp_path: Path, image: np.ndarray) -> None:
    network = networks.simcc(tmp_path / "sdk" / "end2end.onnx")
    given = {
        "folder": network.parent,
        "file in folder": network,
        "file url": network.as_uri(),
        "archive": networks.archive(tmp_path / "net.zip", network),
    }[form]
    plain = load(networks.simcc(tmp_path / "net.onnx"))
    assert np.array_equal(poses(load(str(given)), image).keypoints, poses(plain, image).keypoints)


def test_an_archive_is_unpacked_once(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = networks.archive(tmp_path / "net.zip", networks.simcc(tmp_path / "net.onnx"))
    load(given)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: 1 / 0)
    load(given)
    assert loading.network_cache().clear() > 0


@pytest.mark.parametrize(
    "changes",
    [
        {"batch": 1},
        {"batch": 3},
        {"order": "yx"},
        {"order": "yx", "names": ("simcc_y", "simcc_x"), "size": (192, 192)},
        {"names": ("output", "700")},
    ],
    ids=str,
)
def test_batches_and_orders_of_other_exporters(changes: dict[str, Any], tmp_path: Path, image: np.ndarray) -> None:
    size = changes.get("size", (192, 256))
    plain = poses(load(networks.simcc(tmp_path / "plain.onnx", size=size)), image)
    other = poses(load(networks.simcc(tmp_path / "other.onnx", **changes)), image)
    assert np.allclose(plain.keypoints, other.keypoints, atol=1e-3)


def test_a_network_in_float16(tmp_path: Path, image: np.ndarray) -> None:
    pipeline = load(networks.simcc(tmp_path / "half.onnx", kind=networks.TensorProto.FLOAT16))
    close = np.abs(found_x(pipeline, image) - expected_x(pipeline, image)) < 1
    assert close.mean() > 0.8


def test_heatmaps_are_recognised(tmp_path: Path, image: np.ndarray) -> None:
    pipeline = load(networks.heatmaps(tmp_path / "net.onnx", 26))
    assert pipeline.keypoint_set.name == "halpe-26"
    assert pipeline.pose.spec.codec["type"] == "MSRAHeatmap"
    assert poses(pipeline, image).keypoints.shape == (2, 26, 2)
    vitpose = load(networks.heatmaps(tmp_path / "vitpose-b.onnx"))
    assert vitpose.pose.spec.codec["type"] == "UDPHeatmap"
    assert vitpose.pose.spec.udp


def test_coordinates_are_recognised(tmp_path: Path, image: np.ndarray) -> None:
    points = np.full((1, 17, 2), 0.25, np.float32)
    pipeline = load(networks.constant(tmp_path / "net.onnx", {"points": points}, (192, 256)))
    crop = pipeline.pose.crop(BOXES)
    corner = crop.centers - crop.scales / 4
    assert np.allclose(poses(pipeline, image).keypoints, np.repeat(corner[:, None], 17, 1), atol=0.1)


@pytest.mark.parametrize(
    ("count", "name"),
    [(17, "coco-17"), (21, "coco-wholebody-hand-21"), (26, "halpe-26"), (68, "300w-68"), (106, "lapa-106")],
)
def test_the_number_of_keypoints_says_what_they_are(count: int, name: str, tmp_path: Path) -> None:
    assert load(networks.simcc(tmp_path / "net.onnx", count)).keypoint_set.name == name


def test_the_user_says_what_the_keypoints_are(tmp_path: Path) -> None:
    network = networks.simcc(tmp_path / "net.onnx")
    assert load(network, keypoints="ap10k-17").keypoint_set.name == "ap10k-17"
    assert load(network, keypoints="coco").keypoint_set.name == "coco-17"
    assert load(network, keypoints=keypoints.load("ap10k-17")).keypoint_set.name == "ap10k-17"
    assert len(load(networks.simcc(tmp_path / "b.onnx", 5), keypoints="numbered").keypoint_set) == 5
    own = tmp_path / "own.py"
    points = ", ".join(f"{i}: dict(name='p{i}', id={i}, color=[1, 2, 3], swap='')" for i in range(5))
    own.write_text(
        f"dataset_info = dict(dataset_name='mine', keypoint_info={{{points}}}, skeleton_info={{}}, sigmas=[])"
    )
    assert load(tmp_path / "b.onnx", keypoints=str(own)).keypoint_set.names == ("p0", "p1", "p2", "p3", "p4")


def test_a_published_name_brings_its_config(tmp_path: Path, image: np.ndarray) -> None:
    """The flip test of the config runs, as with the .pth; a file renamed after its archive is known too."""
    network = networks.simcc(tmp_path / "x.onnx")
    plain, flipped = load(network), load(networks.archive(tmp_path / f"{HUMAN}.zip", network))
    assert plain.pose.spec.flip is None
    assert flipped.pose.spec.flip is not None
    renamed = load(networks.simcc(tmp_path / f"{HUMAN}.onnx"))
    unzipped = load(networks.simcc(tmp_path / HUMAN / "end2end.onnx"))
    with_config = load(HUMAN_CONFIG, weights=network)
    with_name = load("human", weights=str(network))
    expected = poses(flipped, image).keypoints
    for other in (renamed, unzipped, with_config, with_name):
        assert np.array_equal(poses(other, image).keypoints, expected)
    assert np.array_equal(poses(load("human", weights=network, flip=False), image).scores, poses(plain, image).scores)


def test_the_flip_test_of_pipeline_json_needs_a_sure_keypoint_set(tmp_path: Path) -> None:
    content = networks.pipeline((192, 256), flip_test=True)
    given = networks.archive(tmp_path / "net.zip", networks.simcc(tmp_path / "net.onnx"), content)
    assert load(given).pose.spec.flip is None  # 17 keypoints may be an animal's
    assert load(given, keypoints="coco-17").pose.spec.flip is not None


def test_limners_own_files_open(image: np.ndarray) -> None:
    from limner import bundled

    files = bundled.find("face-lite")
    pipeline = loading.load(files.pose, keypoints="300w-68", det=files.detector, bbox_thr=0.4, flip=False)
    whole = loading.load("face-lite", precision="float32", flip=False)
    assert np.allclose(poses(pipeline, image).keypoints, poses(whole, image).keypoints, atol=1e-3)


# -- detectors


def dets(*rows: list[float]) -> np.ndarray:
    return np.array([rows], np.float32)


def detector(path: Path, **kwargs: Any) -> Detector:
    pipeline = loading.load("face-lite", det=path, **kwargs)
    assert isinstance(pipeline.detector, Detector)
    return pipeline.detector


def test_boxes_that_a_network_suppressed_itself(tmp_path: Path, image: np.ndarray) -> None:
    boxes = dets([64, 32, 192, 256, 0.9], [10, 10, 20, 20, 0.2], [280, 32, 300, 256, 0.8], [0, 0, 0, 0, 0])
    outputs = {"dets": boxes, "labels": np.array([[0, 0, 1, 0]])}
    found = detector(networks.constant(tmp_path / "rtmdet-x.onnx", outputs))(image)
    assert np.allclose(found.xyxy, [[40, 20, 120, 160]])  # of 400 x 300 pixels, enlarged to 640 x 480
    assert np.allclose(found.scores, [0.9])
    both = detector(networks.constant(tmp_path / "rtmdet-x.onnx", outputs))
    both.labels = None
    assert both(image).labels.tolist() == [0, 1]
    alone = detector(networks.constant(tmp_path / "yolox-x.onnx", {"dets": boxes}))(image)
    assert np.allclose(alone.scores, [0.9, 0.8])


@pytest.mark.parametrize("decoded", [False, True])
def test_the_rows_of_yolox(decoded: bool, tmp_path: Path, image: np.ndarray) -> None:
    rows = np.zeros((1, 8400, 5 + 80), np.float32)
    rows[..., 2:4] = -1
    rows[0, 6400 + 40 * 10 + 5] = np.eye(85)[0] * 0  # stride 16: x 80, y 160
    row = rows[0, 6400 + 40 * 10 + 5]
    row[:4], row[4], row[5] = (0.5, 0.25, np.log(4), np.log(8)), 0.9, 0.8
    if decoded:
        rows[..., 2:4] = 1
        row[:4] = (88, 164, 64, 128)
    found = detector(networks.constant(tmp_path / "yolox_l.onnx", {"output": rows}))(image)
    assert np.allclose(found.xyxy, np.array([[56, 100, 120, 228]]) / 1.6)
    assert np.allclose(found.scores, [0.72])


def test_the_levels_of_both_families(tmp_path: Path, image: np.ndarray) -> None:
    sides = (80, 40, 20)
    cls = {f"cls{s}": np.full((1, 1, s, s), -9, np.float32) for s in sides}
    cls["cls20"][0, 0, 5, 6] = 2
    rtm = cls | {f"reg{s}": np.full((1, 4, s, s), 64, np.float32) for s in sides}
    found = detector(networks.constant(tmp_path / "a.onnx", rtm))(image)
    assert np.allclose(found.xyxy, np.array([[128, 96, 256, 224]]) / 1.6)
    yolo = cls | {f"reg{s}": np.full((1, 4, s, s), np.log(4), np.float32) for s in sides}
    yolo |= {f"obj{s}": np.full((1, 1, s, s), 9, np.float32) for s in sides}
    assert detector(networks.constant(tmp_path / "b.onnx", yolo))(image).scores == pytest.approx([0.8807], abs=1e-3)


@pytest.mark.parametrize(
    ("name", "channel", "mean", "std"), [("rtmdet", 0, 103.53, 57.375), ("yolox", 0, 0, 1)], ids=["rtmdet", "yolox"]
)
def test_pixels_are_normalised_as_the_family_says(
    name: str, channel: int, mean: float, std: float, tmp_path: Path
) -> None:
    image = np.full((640, 640, 3), 1, np.uint8)
    image[..., 0] = 140 if name == "rtmdet" else 1  # blue is the first channel of both families
    found = detector(networks.brightest(tmp_path / f"{name}.onnx"), bbox_thr=0.0)(image)
    assert found.scores == pytest.approx([(int(image[0, 0, channel]) - mean) / std], abs=1e-3)


def test_a_family_that_nothing_tells_is_asked_for(tmp_path: Path) -> None:
    network = networks.brightest(tmp_path / "net.onnx")
    with pytest.raises(CheckpointError, match=r"RTMDet's or left as YOLOX's.*--det CONFIG --det-weights FILE"):
        detector(network)
    with_config = detector(Path(PERSON_CONFIG), det_weights=network)
    assert with_config.spec.head == "boxes"
    assert with_config.spec.normalisation.mean[0] == 103.53


def test_whole_images_and_no_detector(tmp_path: Path, image: np.ndarray) -> None:
    network = networks.simcc(tmp_path / "net.onnx")
    assert isinstance(load(network, det="whole-image").detector, WholeImage)
    none = load(network, det="none")
    assert isinstance(none.detector, NoDetector)
    with pytest.raises(ArgumentError, match=r"^no detector is loaded: give boxes$"):
        none(image)
    assert len(poses(none, image)) == 2


# -- a .pth alone


def checkpoint(path: Path, cfg: str, meta: dict[str, Any] | None = None) -> Path:
    torch = pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
    with torch.no_grad():
        torch.manual_seed(0)
        weights = build.network(config.load(cfg)["model"]).state_dict()
    torch.save({"meta": meta or {}, "state_dict": weights}, path)
    return path


CONFIG_TEXT = """
model = dict(type='TopdownPoseEstimator', data_preprocessor=dict(type='PoseDataPreprocessor', bgr_to_rgb=True,
    mean=[1, 2, 3], std=[4, 5, 6]), {network}, test_cfg=dict(flip_test=False))
val_pipeline = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale'), dict(type='TopdownAffine',
    input_size=(160, 160)), dict(type='PackPoseInputs')]
"""


def test_a_checkpoint_brings_the_config_that_it_holds(tmp_path: Path) -> None:
    cfg = config.load(POSE_CONFIG)["model"]
    parts = ", ".join(f"{name}={cfg[name]!r}" for name in ("backbone", "neck", "head") if name in cfg)
    meta = {"cfg": CONFIG_TEXT.format(network=parts), "dataset_meta": {"dataset_name": "300w"}}
    pipeline = load(checkpoint(tmp_path / "best_epoch_1.pth", POSE_CONFIG, meta), backend="torch")
    assert pipeline.pose.spec.normalisation.mean == (1, 2, 3)
    assert pipeline.keypoint_set.name == "300w-68"


def test_a_checkpoint_is_known_by_its_name(tmp_path: Path, fetched: list[str]) -> None:
    file = tmp_path / f"{HUMAN}.pth"
    file.write_bytes(b"x")
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        load(file)
    assert not fetched


def test_a_checkpoint_is_known_by_its_shapes(tmp_path: Path) -> None:
    said: list[str] = []
    file = checkpoint(tmp_path / "mine.pth", POSE_CONFIG)
    pipeline = load(file, backend="torch", info=said.append)
    assert pipeline.keypoint_set.name == "300w-68"
    assert said == ["mine.pth: its network is that of face-lite, whose config is used"]


def test_a_checkpoint_that_says_nothing_is_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
    file = tmp_path / "x.pth"
    torch.save({"state_dict": {"backbone.x": torch.zeros(3)}}, file)
    with pytest.raises(CheckpointError, match=re.escape(f"--model CONFIG --weights '{file}'")):
        load(file)
    with pytest.raises(CheckpointError, match=re.escape(f"--det CONFIG --det-weights '{file}'")):
        detector(file)
    file = checkpoint(tmp_path / "y.pth", POSE_CONFIG, {"cfg": "model = open('/etc/passwd')"})
    assert load(file, backend="torch").keypoint_set.name == "300w-68"  # by its shapes


def test_models_that_share_a_network_are_told_apart(tmp_path: Path) -> None:
    hands = "configs/hand_2d_keypoint/rtmpose/hand5/rtmpose-m_8xb256-210e_hand5-256x256.py"
    info = zoo.get("hand")
    same = zoo.find_by_fingerprint(info.fingerprint)
    assert len(same) > 1
    file = checkpoint(tmp_path / "x.pth", hands, {"dataset_meta": {"dataset_name": "coco_wholebody_hand"}})
    assert load(file, backend="torch").keypoint_set.name == "coco-wholebody-hand-21"


# -- one sentence for each mistake


def test_mistakes_are_one_sentence(tmp_path: Path, fetched: list[str]) -> None:
    pose = networks.simcc(tmp_path / "pose.onnx")
    boxes = networks.constant(tmp_path / "yolox.onnx", {"dets": dets([0, 0, 9, 9, 0.5])})
    rtmo = networks.constant(
        tmp_path / "rtmo.onnx", {"dets": dets([0, 0, 9, 9, 0.5]), "keypoints": np.zeros((1, 1, 17, 3), np.float32)}
    )
    other = networks.constant(tmp_path / "v8.onnx", {"output0": np.zeros((1, 84, 8400), np.float32)})
    odd = networks.constant(tmp_path / "odd.onnx", {"logits": np.zeros((1, 1000), np.float32)}, (224, 224))
    free = networks.heatmaps(tmp_path / "free.onnx", size=("w", "h"))
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    (tmp_path / "bad.zip").write_bytes(b"PK no archive")
    (tmp_path / "empty").mkdir()
    for name, members in {
        "none": ["a.txt"],
        "two": ["a.onnx", "b.onnx"],
        "out": ["../a.onnx"],
        "abs": ["/a.onnx"],
    }.items():
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            for member in members:
                archive.writestr(member, b"x")
    said: dict[str, tuple[dict[str, Any], type[LimnerError]]] = {
        r"gives \[1, 1000\] where SimCC": ({"model": odd}, CheckpointError),
        r"finds boxes, not keypoints.*give it as det": ({"model": boxes}, CheckpointError),
        r"takes images of any size.*--model CONFIG": ({"model": free}, CheckpointError),
        r"gives 5 keypoints, and no set": ({"model": networks.simcc(tmp_path / "5.onnx", 5)}, ArgumentError),
        r"gives 17 keypoints, and the set 'halpe-26' has 26.*coco-17": (
            {"model": pose, "keypoints": "halpe-26"},
            ArgumentError,
        ),
        r"there is no keypoint set 'coko-17'.*'coco-17'": ({"model": pose, "keypoints": "coko-17"}, ArgumentError),
        r"'face-lite' ships with limner": ({"model": "face-lite", "weights": pose}, ArgumentError),
        r"is a config, which has no weights.*its name 'rtmpose": ({"model": copied(tmp_path)}, ArgumentError),
        r"finds keypoints, not boxes.*so give it as model": ({"model": pose, "det": pose}, ModelError),
        r"boxes and keypoints at once.*as RTMO does": ({"model": rtmo}, CheckpointError),
        r"is no detector that limner knows: it gives \[1, 84, 8400\]": ({"model": pose, "det": other}, CheckpointError),
        r"'hand' is a pose model.*rtmdet-nano-hand": ({"model": pose, "det": "hand"}, ModelError),
        r"'rtmdet-m' is a detector": ({"model": "rtmdet-m"}, ModelError),
        r"is the config of a pose model": (
            {"model": pose, "det": config.resolve(HUMAN_CONFIG), "det_weights": pose},
            ArgumentError,
        ),
        r"is the config of a detector": ({"model": config.resolve(DETECTOR_CONFIG), "weights": pose}, LimnerError),
        r"bad.onnx': Protobuf parsing failed": ({"model": tmp_path / "bad.onnx"}, CheckpointError),
        r"bad.zip' is damaged": ({"model": tmp_path / "bad.zip"}, CheckpointError),
        r"none.zip' has no .onnx": ({"model": tmp_path / "none.zip"}, CheckpointError),
        r"two.zip' has 2 .onnx files in it \(a.onnx, b.onnx\)": ({"model": tmp_path / "two.zip"}, CheckpointError),
        r"out.zip' is refused: it has a file '../a.onnx'": ({"model": tmp_path / "out.zip"}, CheckpointError),
        r"abs.zip' is refused": ({"model": tmp_path / "abs.zip"}, CheckpointError),
        r"no file '.*poze.onnx'. Did you mean '.*pose.onnx'": ({"model": tmp_path / "poze.onnx"}, ModelError),
        r"no model or file '.*pose.omnx'. Did you mean '.*pose.onnx'": ({"model": tmp_path / "pose.omnx"}, ModelError),
        r"no folder '.*nowhere' either": ({"model": tmp_path / "nowhere" / "pose.onnx"}, ModelError),
        r"no model 'humn'.*'human'": ({"model": "humn"}, ModelError),
        r"a URL, but weights end with": ({"model": "https://example.org/x.txt"}, ArgumentError),
        r"weights is '.*txt', but weights end with": ({"model": "human", "weights": "a.txt"}, ArgumentError),
        r"weights already": ({"model": pose, "weights": pose}, ArgumentError),
        r"has no weights: leave det_weights out": (
            {"model": pose, "det": "whole-image", "det_weights": pose},
            ArgumentError,
        ),
        r"torch cannot run 'pose.onnx'": ({"model": pose, "backend": "torch"}, LimnerError),
        r"no int8 networks": ({"model": pose, "precision": "int8"}, ArgumentError),
        r"5.onnx', whose keypoints are numbered-5.*whole-image": (
            {"model": tmp_path / "5.onnx", "keypoints": "numbered", "det": None},
            ArgumentError,
        ),
        r"does not fit its config: it gives 26 keypoints as simcc where the config says 17": (
            {"model": "human", "weights": networks.simcc(tmp_path / "26.onnx", 26)},
            CheckpointError,
        ),
        r"takes images of 256x256 pixels where its config says 192x256": (
            {"model": "human", "weights": networks.simcc(tmp_path / "256.onnx", size=(256, 256))},
            CheckpointError,
        ),
    }
    for pattern, (arguments, kind) in said.items():
        with pytest.raises(kind, match=pattern) as caught:
            load(**arguments)
        assert "\n" not in str(caught.value)
    assert not fetched


def copied(folder: Path) -> Path:
    target = folder / Path(HUMAN_CONFIG).name
    target.write_text("model = dict(head=dict())")
    return target


def test_a_wrong_pipeline_json_is_one_sentence(tmp_path: Path) -> None:
    network = networks.simcc(tmp_path / "sdk" / "end2end.onnx")
    of_another = json.dumps(networks.pipeline((1, 1), std=(0, 1, 1)))
    for content in ("{", "[]", "{}", '{"pipeline": {}}', '{"pipeline": {"tasks": 3}}', of_another):
        (network.parent / "pipeline.json").write_text(content)
        with pytest.raises(CheckpointError, match=r"pipeline\.json"):
            load(network)


def test_a_pipeline_json_of_another_network_is_said(tmp_path: Path) -> None:
    network = networks.simcc(tmp_path / "sdk" / "end2end.onnx")
    content, said = networks.pipeline((288, 384)), list[str]()
    (network.parent / "pipeline.json").write_text(json.dumps(content))
    load(network, info=said.append)
    assert "is for images of 288x384, and the network takes 192x256" in said[0]
    transforms = content["pipeline"]["tasks"][0]["transforms"]
    transforms[:] = [step for step in transforms if step["type"] != "Normalize"]
    content["pipeline"]["tasks"][1]["params"]["input_size"] = [192, 256]
    (network.parent / "pipeline.json").write_text(json.dumps(content))
    load(network, info=said.append)
    assert any("says no mean and std" in message for message in said)


# -- checked before anything is fetched


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"model": "vitpose"}, r"'vitpose', which is published as \.pth only, needs.*torch"),
        ({"model": "wholebody"}, r"published as \.pth only.*or use '\S+', which finds the same keypoints"),
        ({"model": "animal"}, r"'rtmdet-m', which is published as \.pth only.*detector as \.onnx"),
        ({"model": "human", "backend": "torch"}, r"The backend torch needs"),
        ({"model": "human", "det": "rtmdet-m"}, r"'rtmdet-m', which is published"),
    ],
    ids=str,
)
def test_without_torch_nothing_is_fetched_in_vain(
    arguments: dict[str, Any], said: str, fetched: list[str], no_torch: None
) -> None:
    with pytest.raises(MissingExtraError, match=said):
        loading.load(**arguments)
    assert not fetched


@pytest.mark.parametrize(
    "arguments",
    [
        {"device": "cuda:7"},
        {"backend": "tensorrt"},
        {"precision": "float17"},
        {"bbox_thr": 2},
        {"keypoints": "halpe-26"},
        {"det": "nothing"},
        {"det": "there-is-none.onnx"},
        {"weights": "there-is-none.pth"},
        {"tile": "many"},
        {"det": "whole-image", "tile": "auto"},
        {"det": "none", "max_boxes": 3},
        {"det_size": 33},
    ],
    ids=str,
)
def test_a_mistake_is_found_before_anything_is_fetched(arguments: dict[str, Any], fetched: list[str]) -> None:
    with pytest.raises(LimnerError) as caught:
        loading.load("human", **arguments)
    assert not fetched
    assert not isinstance(caught.value, DownloadError)


def test_of_a_file_that_is_no_image_nothing_is_fetched(tmp_path: Path, fetched: list[str]) -> None:
    (tmp_path / "a.jpg").write_text("no image")
    said: list[str] = []
    run = job.Job((str(tmp_path / "a.jpg"),), lambda: loading.load("human"), DrawStyle(), lines=str(tmp_path / "l"))
    assert job.run(run, info=said.append, warn=said.append) == 1
    assert not fetched
    assert "not an image" in said[0]


@pytest.mark.parametrize("alias", ["human", "body26", "hand", "rtmpose-l"])
def test_without_torch_the_published_onnx_is_asked_for(alias: str, fetched: list[str], no_torch: None) -> None:
    with pytest.raises(DownloadError):
        loading.load(alias)
    assert fetched == [zoo.get(alias).onnx]


def test_without_torch_the_face_model_takes_the_bundled_detector(fetched: list[str], no_torch: None) -> None:
    said: list[str] = []
    with pytest.raises(DownloadError):
        loading.load("face", info=said.append)
    assert fetched == [zoo.get("face").onnx]
    assert "face-lite-detector takes the place of yolox-s-face" in said[0]


def test_every_onnx_address_belongs_to_its_weights() -> None:
    with_onnx = [model for model in zoo.models() if model.onnx]
    assert len(with_onnx) >= 28
    for model in with_onnx:
        assert model.weights
        assert model.onnx
        assert zoo.find_by_file(model.onnx.rsplit("/")[-1]) is model
        assert model.onnx.startswith("https://download.openmmlab.com/")


def test_configs_are_checked_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no config"):
        load("nope.py", weights=networks.simcc(tmp_path / "a.onnx"))


def test_the_command_takes_the_same(tmp_path: Path, image: np.ndarray) -> None:
    networks.simcc(tmp_path / "end2end.onnx", 26)
    cv2.imwrite(str(tmp_path / "a.png"), image)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "limner", "run", "a.png", "--json", "points", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)

    done = run("--model", "end2end.onnx", "--det", "whole-image")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads((tmp_path / "points" / "a.json").read_text())
    assert np.shape(found["keypoints"]) == (26, 2)
    wrong = run("--model", "end2end.onx", "--overwrite")
    assert wrong.returncode == 1
    assert "Did you mean 'end2end.onnx'?" in wrong.stderr
    assert "give boxes in Python" in run("--model", "end2end.onnx", "--det", "none").stderr
