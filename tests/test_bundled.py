"""The models that ship with the package."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from limner import build, bundled, config, loading, pipeline
from limner.errors import ArgumentError, ModelError
from limner.types import Frame

TRAINING = Path(__file__).resolve().parents[1] / "training"


@pytest.fixture(scope="module")
def found() -> pipeline.Pipeline:
    return loading.load("face-lite")


def test_both_networks_take_at_most_12_megabytes() -> None:
    lite = bundled.find("face-lite")
    assert lite.detector.stat().st_size + lite.pose.stat().st_size <= 12e6


def test_a_face_is_found_at_any_size(found: pipeline.Pipeline, portrait: np.ndarray) -> None:
    for width in (40, 100, 512, 2000):
        face = cv2.resize(portrait[20:240, 120:340], (width, width), interpolation=cv2.INTER_AREA)
        result = found(np.ascontiguousarray(face))
        assert len(result) == 1, f"{len(result)} faces in the portrait at {width} px"
        nose = result.poses.keypoints[0, 30] / width
        assert np.allclose(nose, (0.48, 0.45), atol=0.06), f"the nose is elsewhere at {width} px"


def test_a_face_is_found_on_its_side(found: pipeline.Pipeline, portrait: np.ndarray) -> None:
    for degrees in (-35, 35):
        turn = cv2.getRotationMatrix2D((225, 120), degrees, 1)
        result = found(cv2.warpAffine(portrait, turn, (512, 512)))
        assert len(result) >= 1
        eyes = result.poses.keypoints[0, 42:48].mean(0) - result.poses.keypoints[0, 36:42].mean(0)
        assert abs(np.degrees(np.arctan2(eyes[1], eyes[0])) + degrees) < 12


def test_many_faces_give_the_same_points_as_one(found: pipeline.Pipeline, portrait: np.ndarray) -> None:
    face = portrait[20:240, 120:340]
    crowd = np.tile(face, (4, 5, 1))
    together = found(crowd)
    assert len(together) == 20
    again = found.pose(crowd, together.boxes.xyxy[3:4])
    assert np.allclose(again.keypoints[0], together.poses.keypoints[3], atol=0.6 * 220 / 160)


def test_frames_come_out_in_the_order_they_went_in(found: pipeline.Pipeline, portrait: np.ndarray) -> None:
    frames = [Frame(portrait, "film", i, i / 25) for i in range(3)]
    results = list(found.run(frames))
    assert [r.index for r in results] == [0, 1, 2]
    assert results[2].timestamp == 2 / 25
    assert results[0].size == (512, 512)


def test_unknown_names_and_thresholds_are_errors() -> None:
    with pytest.raises(ModelError, match="face-lite"):
        loading.load("face-lit")
    with pytest.raises(ArgumentError, match=r"1\.5"):
        loading.load(bbox_thr=1.5)


def test_the_onnx_files_are_the_networks_of_the_configs() -> None:
    torch = pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
    onnx = pytest.importorskip("onnx", reason="needs onnx: pip install -e .[test]")
    from onnx import numpy_helper

    lite = bundled.find("face-lite")
    for path, name in ((lite.detector, lite.detector_config), (lite.pose, lite.pose_config)):
        network = build.network(config.load(name)["model"])
        weights = sum(p.numel() for p in network.parameters() if p.ndim > 1)
        stored = [numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer]
        kept = sum(a.size for a in stored if a.ndim > 1 and a.size > 3)
        assert abs(kept - weights) <= 0.02 * weights, f"{path.name} holds {kept} weights, its config asks for {weights}"
        assert torch.is_tensor(next(network.parameters()))


def test_exporting_keeps_what_the_network_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install -e .[test]")
    monkeypatch.syspath_prepend(str(TRAINING))
    import export
    from limner.runtimes.onnx import OnnxRuntime
    from limner.runtimes.torch import TorchRuntime

    assert onnxruntime.__version__
    torch.manual_seed(0)
    cfg = config.load(bundled.find("face-lite").pose_config)
    network = build.network(cfg["model"]).eval()
    pre = cfg["model"]["data_preprocessor"]
    batch = np.random.default_rng(0).integers(0, 256, (2, 160, 160, 3), dtype=np.uint8)
    wanted = TorchRuntime(network, pre["mean"], pre["std"], pre["bgr_to_rgb"])(batch)
    path = tmp_path / "pose.onnx"
    path.write_bytes(export.store_half(export.to_onnx(network, pre, (160, 160), dynamic=False)).SerializeToString())
    for ours, theirs in zip(OnnxRuntime(path)(batch), wanted, strict=True):
        assert np.abs(ours - theirs).max() <= 0.02 * np.abs(theirs).max()


def test_quality_on_held_out_faces(found: pipeline.Pipeline, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("training", "benchmarks"):
        monkeypatch.syspath_prepend(str(TRAINING.parent / folder))
    import faces
    import quality

    data = shared / "data"
    held = [(data / f, p) for i, f, p in faces.annotated(data, "lfpw_train") if faces.is_validation("lfpw_train", i)]
    reached = quality.landmarks(found, held)
    assert reached.mean <= 4.5, str(reached)
    assert reached.failures <= 4, str(reached)
    assert reached.detected >= 99, str(reached)
    alarms, regions = quality.false_alarms(found, data)
    assert regions == 200
    assert alarms <= 4


def test_the_real_rtmdet_nano_gives_mmdetections_boxes(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
    for folder in ("training", "benchmarks"):
        monkeypatch.syspath_prepend(str(TRAINING.parent / folder))
    import quality

    matched, wanted, iou, score = quality.real_detector(shared)
    assert wanted > 0
    assert matched == wanted, f"{matched} of {wanted} boxes; lowest IoU {iou}, score off by {score}"
