"""Networks as ONNX files: what MMPose and MMDetection compute, every engine computes, for every family."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import test_parity as parity
from beside import family
from limner import build, config
from limner.build import Normalisation
from limner.crop import Crop
from limner.runtimes import EngineError, Runtime
from limner.runtimes.engines import Engine, open_file
from limner.runtimes.export import distance, export
from limner.runtimes.torch import TorchRuntime

torch = pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
onnx = pytest.importorskip("onnx", reason="needs onnx: pip install -e .[test]")

LONG = "LIMNER_LONG" in os.environ
QUICK = {"face-rtmpose-t", "det-rtmdet-nano-person", "vitpose-s"}
COLOURS = Normalisation((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), to_rgb=True)
ENGINES = ["onnxruntime", "openvino"]


def images(count: int, width: int, height: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, height, width, 3), np.uint8)


def opened(path: Path, backend: str) -> Runtime:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"needs {backend}: pip install -e .[test]")
    return open_file(path, Engine(backend))


def operators(path: Path) -> list[str]:
    """Return the operators of a file up to the first convolution."""
    names = [node.op_type for node in onnx.load(path).graph.node if node.op_type not in ("Constant", "Identity")]
    return names[: names.index("Conv") + 1]


# -- what MMPose computed


COMPARED = family(ENGINES, there=bool(parity.NAMES))


def cases(names: list[str]) -> list[Any]:
    return family(name for name in names if LONG or name in QUICK)


def exported(name: str, folder: Path) -> tuple[parity.Case, Path]:
    """Return a case of MMPose or MMDetection with its network as a file."""
    case = parity.load(name)
    detector = "bbox_head" in case.cfg["model"]
    spec = build.detector_spec(case.cfg) if detector else build.pose_spec(case.cfg)
    path = folder / f"{case.name}.onnx"
    export(case.network, spec.normalisation, spec.size, path, dynamic_size=detector)
    return case, path


@pytest.fixture(scope="module", params=cases(parity.POSE))
def pose(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[parity.Case, Path]:
    return exported(request.param, tmp_path_factory.mktemp("exported"))


@pytest.fixture(scope="module", params=cases(parity.DETECT))
def detector(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[parity.Case, Path]:
    return exported(request.param, tmp_path_factory.mktemp("exported"))


def compare(found: list[np.ndarray], expected: dict[str, np.ndarray], names: list[str], record_property: Any) -> None:
    compared = [(ours, expected[key]) for key, ours in zip(names, found, strict=False) if key in expected]
    assert compared
    for ours, theirs in compared:
        record_property("apart", f"{distance(ours, theirs):.1e} {np.abs(ours - theirs).max():.1e}")
        assert distance(ours, theirs) <= 1e-3


@pytest.mark.parametrize("backend", COMPARED)
def test_every_engine_agrees_with_mmpose(pose: tuple[parity.Case, Path], backend: str, record_property: Any) -> None:
    case, path = pose
    batch = case.expected["crops_uint8_bgr"][:2].transpose(0, 2, 3, 1)
    names = [key for key in ("raw/simcc_x", "raw/simcc_y", "raw/heatmaps", "raw/coords") if key in case.expected]
    compare(opened(path, backend)(batch), case.expected, names, record_property)


@pytest.mark.parametrize("backend", COMPARED)
def test_every_engine_agrees_with_mmdetection(
    detector: tuple[parity.Case, Path], backend: str, record_property: Any
) -> None:
    case, path = detector
    batch = case.expected["input_uint8_bgr"].transpose(1, 2, 0)[None]
    strides = build.detector_spec(case.cfg).strides
    names = [f"raw/{kind}{level}" for kind in ("cls", "reg", "obj") for level in range(len(strides))]
    compare(opened(path, backend)(batch), case.expected, names, record_property)


@pytest.mark.parametrize("backend", COMPARED)
@pytest.mark.parametrize("way", parity.WAYS)
def test_keypoints_are_where_mmpose_finds_them(pose: tuple[parity.Case, Path], way: str, backend: str) -> None:
    case, path = pose
    spec = build.pose_spec(case.cfg)
    decoder = build.decoder(spec.codec, spec.flip)
    crop = Crop.around(case.expected["boxes_xyxy"], spec.size, spec.padding)
    cut = crop.cut(case.image, spec.udp)
    both = opened(path, backend)(np.concatenate([cut, cut[:, :, ::-1]]))
    n = len(cut)
    flipped = [o[n:] for o in both] if way == "flip" else None
    merged = decoder.merge([o[:n] for o in both], flipped, case.flip_indices)
    points, scores = decoder.points(merged)
    apart = np.linalg.norm(crop.to_image(points) - case.expected[f"{way}/keypoints"], axis=-1)
    same = (apart <= 0.05) & (np.abs(scores - case.expected[f"{way}/keypoint_scores"]) <= 1e-3)
    divides = spec.codec["type"] == "UDPHeatmap" or spec.codec.get("unbiased")
    assert same.mean() >= (0.97 if divides else 0.99)


@pytest.mark.parametrize("backend", COMPARED)
@pytest.mark.parametrize("way", parity.THRESHOLDS)
def test_boxes_are_where_mmdetection_finds_them(detector: tuple[parity.Case, Path], way: str, backend: str) -> None:
    case, path = detector
    spec = build.detector_spec(case.cfg)
    # ONNX Runtime sums in another order: with RTMDet's drawn weights a score moves by up to 0.005
    score_thr, score_atol = 0.0 if way == "thr0" else spec.score_thr, 0.01 if backend == "onnxruntime" else 1e-3
    ours = parity.detect(opened(path, backend), spec, case.image, score_thr)[:100]
    theirs = [case.expected[f"{way}/{key}"] for key in ("bboxes", "scores", "labels")]
    unsure = int((np.concatenate([ours.scores, theirs[1]]) <= score_thr + score_atol).sum())
    assert abs(len(ours) - len(theirs[0])) <= (unsure if len(theirs[0]) < 100 else 0)
    assert parity.share_found(ours, *theirs, score_atol=score_atol) >= 0.99


# -- every family

RESNET = {"type": "ResNet", "depth": 18}
WIDE = {"in_channels": 512, "out_channels": 5}
# families that no config of limner's own has, as MMPose's configs write them, for images of 64 x 64
FAMILIES: dict[str, dict[str, Any]] = {
    "regression": {
        "backbone": RESNET,
        "neck": {"type": "GlobalAveragePooling"},
        "head": {"type": "RLEHead", "in_channels": 512, "num_joints": 5},
    },
    "simcc": {
        "backbone": RESNET,
        "head": {"type": "SimCCHead", "input_size": (64, 64), "in_featuremap_size": (2, 2), **WIDE},
    },
    "integral": {
        "backbone": RESNET,
        "head": {"type": "DSNTHead", "in_channels": 512, "in_featuremap_size": (2, 2), "num_joints": 5},
    },
    "v1d": {"backbone": {"type": "ResNetV1d", "depth": 18}, "head": {"type": "HeatmapHead", **WIDE}},
    "se": {
        "backbone": {"type": "SEResNet", "depth": 50},
        "head": {"type": "HeatmapHead", "in_channels": 2048, "out_channels": 5},
    },
    "resnext": {
        "backbone": {"type": "ResNeXt", "depth": 50},
        "head": {"type": "HeatmapHead", "in_channels": 2048, "out_channels": 5},
    },
    "cpm": {
        "backbone": {"type": "CPM", "in_channels": 3, "out_channels": 5, "num_stages": 2},
        "head": {"type": "CPMHead", "in_channels": 5, "out_channels": 5, "num_stages": 2, "final_layer": None},
    },
    "mspn": {
        "backbone": {"type": "MSPN", "num_stages": 2, "num_blocks": (1, 1, 1, 1)},
        "head": {"type": "MSPNHead", "num_stages": 2, "out_shape": (16, 16), "out_channels": 5},
    },
    "rsn": {
        "backbone": {"type": "RSN", "num_stages": 1, "num_blocks": (1, 1, 1, 1)},
        "head": {"type": "MSPNHead", "num_stages": 1, "out_shape": (16, 16), "out_channels": 5},
    },
}


def network_of(model: Mapping[str, Any]) -> Any:
    torch.manual_seed(0)
    network = build.network(model).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # a trained network's are not 0 and 1
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network


@pytest.mark.parametrize("kind", [name for name in FAMILIES if LONG or name in ("regression", "simcc")])
def test_every_family_can_be_exported(kind: str, tmp_path: Path) -> None:
    model, path, batch = FAMILIES[kind], tmp_path / "network.onnx", images(3, 64, 64)
    export(network_of(model), COLOURS, (64, 64), path)
    wanted = TorchRuntime(network_of(model), COLOURS.mean, COLOURS.std, COLOURS.to_rgb)(batch)
    for backend in ENGINES:
        for ours, theirs in zip(opened(path, backend)(batch), wanted, strict=True):
            assert distance(ours, theirs) <= 1e-4


def own_configs() -> list[str]:
    """Return one of limner's own configs for each combination of backbone, neck and head."""
    root = Path(config.__file__).parents[1] / "configs"
    found: dict[tuple[str, ...], str] = {}
    for file in sorted(root.rglob("*.py")):
        name = file.relative_to(root).as_posix()
        model = {} if "_base_" in name else config.load(name).get("model", {})
        kinds = tuple(str(model[part]["type"]) for part in ("backbone", "neck", "head", "bbox_head") if part in model)
        if kinds:
            found[kinds] = min(name, found.get(kinds, name), key=lambda n: ("-l_" in n or "-x" in n or "w48" in n, n))
    return sorted(found.values())


@pytest.mark.skipif(not LONG, reason="a long run, with the other families and cases of MMPose: set LIMNER_LONG=1")
def test_every_kind_of_own_config_can_be_exported(tmp_path: Path) -> None:
    names = own_configs()
    assert len(names) > 10
    for name in names:
        cfg = config.load(name)
        detector = "bbox_head" in cfg["model"]
        spec = build.detector_spec(cfg) if detector else build.pose_spec(cfg)
        export(network_of(cfg["model"]), spec.normalisation, spec.size, tmp_path / "n.onnx", dynamic_size=detector)
        batch = images(2, *spec.size)
        first, second = (opened(tmp_path / "n.onnx", backend)(batch) for backend in ENGINES)
        for ours, theirs in zip(first, second, strict=True):
            assert distance(ours, theirs) <= 1e-4, name


# -- colours


def test_channel_order_and_deviation_cost_nothing(tmp_path: Path) -> None:
    export(network_of(FAMILIES["regression"]), COLOURS, (64, 64), tmp_path / "n.onnx")
    assert operators(tmp_path / "n.onnx") == ["Transpose", "Cast", "Sub", "Conv"]


def test_weights_lie_beside_the_network_where_engines_can_map_them(tmp_path: Path) -> None:
    for _ in range(2):  # the second export replaces the first
        export(network_of(FAMILIES["regression"]), COLOURS, (64, 64), tmp_path / "n.onnx")
    parameters = sum(p.numel() for p in network_of(FAMILIES["regression"]).parameters())
    assert (tmp_path / "n.onnx").stat().st_size < 1e5
    assert (tmp_path / "n.weights").stat().st_size == pytest.approx(4 * parameters, rel=0.01)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["n.onnx", "n.weights"]


def test_a_network_that_wants_plain_images_gets_them(tmp_path: Path) -> None:
    export(network_of(FAMILIES["regression"]), Normalisation(), (64, 64), tmp_path / "n.onnx")
    assert operators(tmp_path / "n.onnx") == ["Transpose", "Cast", "Conv"]


class Two(torch.nn.Module):
    """Two layers see the image."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(3, 4, 3)

    def forward(self, x: Any) -> Any:
        return self.first(x) + self.second(x)


class Slices(torch.nn.Module):
    """The first layer sees slices of the image, as YOLOX's does."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(6, 4, 3)

    def forward(self, x: Any) -> Any:
        return self.first(torch.cat([x[..., ::2, :], x[..., 1::2, :]], 1))


class Groups(torch.nn.Module):
    """The first layer looks at each channel by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(3, 3, 3, groups=3)

    def forward(self, x: Any) -> Any:
        return self.first(x)


@pytest.mark.parametrize("kind", [Two, Slices, Groups])
def test_where_other_layers_see_the_image_colours_stay_before_them(kind: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = kind().eval()
    batch = images(2, 64, 64)
    wanted = TorchRuntime(network, COLOURS.mean, COLOURS.std, COLOURS.to_rgb)(batch)
    export(network, COLOURS, (64, 64), tmp_path / "n.onnx")
    assert "Div" in operators(tmp_path / "n.onnx")
    (found,) = opened(tmp_path / "n.onnx", "onnxruntime")(batch)
    assert distance(found, wanted[0]) <= 1e-5


# -- what cannot be exported


class Frozen(torch.nn.Module):
    """Its trace holds for as many images as were traced."""

    def forward(self, x: Any) -> Any:
        return x.mean((2, 3))[: len(x)]


class Still(torch.nn.Module):
    """Its trace holds for images of one size."""

    def forward(self, x: Any) -> Any:
        return x.mean((2, 3)) * int(x.shape[2])


@pytest.mark.parametrize(("kind", "dynamic_size"), [(Frozen, False), (Still, True)])
def test_an_export_that_computes_something_else_is_refused(kind: Any, dynamic_size: bool, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="the network gives other"):
        export(kind(), COLOURS, (128, 128), tmp_path / "n.onnx", dynamic_size=dynamic_size)
