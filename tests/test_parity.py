"""What MMPose and MMDetection compute with the same weights, limner computes too, number for number.

Every case is a config of theirs, weights drawn from a seed, and what they made of an image. Heatmaps
of such weights are noise, so the codecs that divide by a curvature may let a few points jump.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from beside import SHARED, family
from limner import build, checkpoint, config, decode
from limner.crop import Crop, letterbox
from limner.types import Boxes

torch = pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")

PARITY = SHARED / "parity"
IMAGES = SHARED / "data" / "mmpose"
NAMES = sorted(p.stem for p in PARITY.glob("*.npz"))
POSE = [name for name in NAMES if not name.startswith("det-")]
DETECT = [name for name in NAMES if name.startswith("det-")]
WAYS = family(["noflip", "flip"], there=bool(NAMES))
THRESHOLDS = family(["thr0", "default"], there=bool(NAMES))


@dataclass(frozen=True, eq=False)
class Case:
    """One model with its weights, and what MMPose or MMDetection computed with it."""

    name: str
    cfg: dict[str, Any]
    network: Any
    image: np.ndarray
    expected: dict[str, np.ndarray]
    flip_indices: list[int] | None


def weights_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("parity_weights", PARITY / "weights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load(name: str) -> Case:
    module = weights_module()
    spec, expected = module.load_case(name)
    cfg = config.load(spec["config"])
    network = build.network(cfg["model"]).eval()
    build.load_weights(network, module.state_dict(name), name=name)
    image = cv2.imread(str(IMAGES / spec["image"]))
    return Case(name, cfg, network, image, expected, spec["dataset_meta"].get("flip_indices"))


@pytest.fixture(scope="module", params=family(POSE))
def pose(request: pytest.FixtureRequest) -> Case:
    return load(request.param)


@pytest.fixture(scope="module", params=family(DETECT))
def detector(request: pytest.FixtureRequest) -> Case:
    return load(request.param)


def run(network: Any, images: np.ndarray, colours: build.Normalisation, mirrored: bool = False) -> list[np.ndarray]:
    """Return a network's outputs for uint8 images ``[N, H, W, 3]``, BGR."""
    ordered = images[..., ::-1] if colours.to_rgb else images
    values = (ordered.astype(np.float32) - np.float32(colours.mean)) / np.float32(colours.std)
    values = values[:, :, ::-1] if mirrored else values
    batch = torch.from_numpy(np.ascontiguousarray(values.transpose(0, 3, 1, 2)))
    with torch.inference_mode():
        out = network(batch)
    flat = []
    for part in out if isinstance(out, tuple) else (out,):
        flat += part if isinstance(part, tuple) else [part]
    return [tensor.numpy() for tensor in flat]


def difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


def raw_outputs(expected: dict[str, np.ndarray]) -> list[np.ndarray]:
    return [expected[key] for key in ("raw/simcc_x", "raw/simcc_y", "raw/heatmaps", "raw/coords") if key in expected]


def test_checkpoint_has_the_keys_of_the_network(pose: Case) -> None:
    state = weights_module().state_dict(pose.name)
    assert set(state) == set(pose.network.state_dict())


def test_crops_are_the_same_images(pose: Case) -> None:
    spec = build.pose_spec(pose.cfg)
    crops = Crop.around(pose.expected["boxes_xyxy"], spec.size, spec.padding).cut(pose.image, spec.udp)
    apart = np.abs(crops.transpose(0, 3, 1, 2).astype(int) - pose.expected["crops_uint8_bgr"].astype(int))
    assert (apart <= 1).mean() >= 0.995


def test_raw_outputs_agree(pose: Case) -> None:
    spec = build.pose_spec(pose.cfg)
    crops = pose.expected["crops_uint8_bgr"][:2].transpose(0, 2, 3, 1)
    outputs = run(pose.network, crops, spec.normalisation)
    for ours, theirs in zip(outputs, raw_outputs(pose.expected), strict=True):
        assert ours.shape == theirs.shape
        assert difference(ours, theirs) <= 1e-4


@pytest.mark.parametrize("way", WAYS)
def test_keypoints_agree(pose: Case, way: str) -> None:
    spec = build.pose_spec(pose.cfg)
    decoder = build.decoder(spec.codec, spec.flip)
    crop = Crop.around(pose.expected["boxes_xyxy"], spec.size, spec.padding)
    images = crop.cut(pose.image, spec.udp)
    outputs = run(pose.network, images, spec.normalisation)
    flipped = run(pose.network, images, spec.normalisation, mirrored=True) if way == "flip" else None
    points, scores = decoder.points(decoder.merge(outputs, flipped, pose.flip_indices))
    assert points.shape[1] == spec.keypoints
    apart = np.linalg.norm(crop.to_image(points) - pose.expected[f"{way}/keypoints"], axis=-1)
    same = (apart <= 0.05) & (np.abs(scores - pose.expected[f"{way}/keypoint_scores"]) <= 1e-3)
    divides = spec.codec["type"] == "UDPHeatmap" or spec.codec.get("unbiased")
    assert same.mean() >= (0.97 if divides else 0.99)


def detect(
    network: Callable[[np.ndarray], list[np.ndarray]], spec: build.DetectorSpec, image: np.ndarray, score_thr: float
) -> Boxes:
    """Return the boxes of an image as a pipeline computes them; ``network`` takes uint8 images."""
    canvas, factor = letterbox(image, spec.size, spec.pad_value, spec.stride, spec.square, spec.divisor)
    outputs = network(canvas[None])
    n = len(spec.strides)
    levels = [[o[0] for o in outputs[i : i + n]] for i in range(0, len(outputs), n)]
    settings: dict[str, Any] = {
        "strides": spec.strides,
        "factor": factor,
        "score_thr": score_thr,
        "iou_threshold": spec.iou_threshold,
        "max_per_img": spec.max_per_img,
    }
    if spec.head == "YOLOXHead":
        return decode.grid_offsets(*levels, **settings)
    limit = (canvas.shape[1], canvas.shape[0])
    return decode.grid_distances(*levels, **settings, limit=limit, nms_pre=spec.nms_pre, min_size=spec.min_size)


def share_found(
    ours: Boxes, boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, score_atol: float = 1e-3
) -> float:
    """Return the share of the expected boxes of score 0.05 or more that are among ours."""
    wanted = scores >= 0.05
    found = 0
    for box, score, label in zip(boxes[wanted], scores[wanted], labels[wanted], strict=True):
        low, high = np.maximum(ours.xyxy[:, :2], box[:2]), np.minimum(ours.xyxy[:, 2:], box[2:])
        inter = (high - low).clip(0, None).prod(1)
        union = (ours.xyxy[:, 2:] - ours.xyxy[:, :2]).prod(1) + (box[2:] - box[:2]).prod() - inter
        found += bool(
            ((inter >= 0.99 * union) & (np.abs(ours.scores - score) <= score_atol) & (ours.labels == label)).any()
        )
    return found / wanted.sum() if wanted.any() else 1.0


def test_detector_checkpoint_has_the_keys_of_the_network(detector: Case) -> None:
    state = weights_module().state_dict(detector.name)
    assert set(state) == set(detector.network.state_dict())


def test_detector_input_is_the_same_image(detector: Case) -> None:
    spec = build.detector_spec(detector.cfg)
    canvas, factor = letterbox(detector.image, spec.size, spec.pad_value, spec.stride, spec.square, spec.divisor)
    assert canvas.transpose(2, 0, 1).shape == detector.expected["input_uint8_bgr"].shape
    apart = np.abs(canvas.transpose(2, 0, 1).astype(int) - detector.expected["input_uint8_bgr"].astype(int))
    assert (apart <= 1).mean() >= 0.995
    assert factor == pytest.approx(detector.expected["scale_factor"], abs=1e-6)


def test_detector_raw_outputs_agree(detector: Case) -> None:
    spec = build.detector_spec(detector.cfg)
    outputs = run(detector.network, detector.expected["input_uint8_bgr"].transpose(1, 2, 0)[None], spec.normalisation)
    names = [f"raw/{kind}{level}" for kind in ("cls", "reg", "obj") for level in range(len(spec.strides))]
    compared = 0
    for name, ours in zip(names, outputs, strict=False):
        if name in detector.expected:
            assert difference(ours, detector.expected[name]) <= 1e-4
            compared += 1
    assert compared >= 2


@pytest.mark.parametrize("way", THRESHOLDS)
def test_boxes_agree(detector: Case, way: str) -> None:
    spec = build.detector_spec(detector.cfg)
    look = partial(run, detector.network, colours=spec.normalisation)
    ours = detect(look, spec, detector.image, 0.0 if way == "thr0" else spec.score_thr)
    theirs = [detector.expected[f"{way}/{key}"] for key in ("bboxes", "scores", "labels")]
    assert len(ours[:100]) == len(theirs[0])
    assert share_found(ours[:100], *theirs) >= 0.99


def test_real_detector_finds_the_same_boxes(shared: Path) -> None:
    expected = json.loads((PARITY / "real-rtmdet-nano-person.expected.json").read_text())
    cfg = config.load(expected["config"])
    network = build.network(cfg["model"]).eval()
    weights = checkpoint.load(shared / "models" / "rtmdet_nano_coco-person.pth")
    build.load_weights(network, weights.state_dict, name="rtmdet_nano_coco-person.pth")
    spec = build.detector_spec(cfg)
    for name, found in expected["images"].items():
        image = cv2.imread(str(IMAGES / name))
        ours = detect(partial(run, network, colours=spec.normalisation), spec, image, expected["score_thr"])
        theirs = [np.asarray(found[key]) for key in ("bboxes", "scores", "labels")]
        assert len(ours) == len(theirs[0])
        assert share_found(ours, *theirs) == 1.0
