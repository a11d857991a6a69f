"""The int8 forms of the bundled networks: smaller and faster, and the points stay where they were."""

from __future__ import annotations

import collections
import time
from pathlib import Path

import numpy as np
import pytest

from limner import bundled, loading, pipeline
from limner.runtimes.onnx import OnnxRuntime

ROOT = Path(__file__).resolve().parents[1]
LITE = bundled.find("face-lite")
FORMS = [
    pytest.param(plain, small, size, id=name)
    for name, plain, small, size in (
        ("detector", LITE.detector, LITE.detector_int8, (288, 288)),
        ("pose", LITE.pose, LITE.pose_int8, (160, 160)),
    )
    if small is not None
]


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("training", "benchmarks"):
        monkeypatch.syspath_prepend(str(ROOT / folder))


@pytest.fixture(scope="module")
def pose_int8() -> Path:
    if LITE.pose_int8 is None:
        pytest.skip("needs the int8 pose network: python training/quantise.py")
    return LITE.pose_int8


def opened(*, int8: bool) -> pipeline.Pipeline:
    """The bundled model with its float32 networks, or with the int8 ones where there are such."""
    found = loading.load("face-lite", device="cpu")
    detector, pose = LITE.networks(int8=int8)
    found.detector.runtime, found.pose.runtime = OnnxRuntime(detector, 1), OnnxRuntime(pose, 1)
    return found


def test_all_networks_together_take_at_most_12_megabytes() -> None:
    files = list(LITE.pose.parent.glob("*.onnx"))
    assert LITE.pose in files
    assert sum(file.stat().st_size for file in files) <= 12e6


def test_a_network_without_an_int8_form_is_used_as_it_is() -> None:
    assert LITE.networks(int8=False) == (LITE.detector, LITE.pose)
    for file, small in zip(LITE.networks(int8=True), (LITE.detector_int8, LITE.pose_int8), strict=True):
        assert file.is_file()
        assert (".int8." in file.name) == (small is not None)
    assert all(".int8." not in card.name for card in LITE.cards)


@pytest.mark.parametrize(("plain", "small", "size"), FORMS)
def test_both_forms_take_and_give_arrays_of_the_same_shapes(plain: Path, small: Path, size: tuple[int, int]) -> None:
    assert small.stat().st_size < 0.75 * plain.stat().st_size
    for count in (1, 3):
        batch = np.random.default_rng(count).integers(0, 256, (count, *size, 3), dtype=np.uint8)
        before, after = OnnxRuntime(plain, 1)(batch), OnnxRuntime(small, 1)(batch)
        assert [a.shape for a in after] == [b.shape for b in before]
        assert all(a.dtype == np.float32 for a in after)


def test_the_points_of_a_portrait_stay_within_two_percent_of_the_eyes_distance(portrait: np.ndarray) -> None:
    before, after = opened(int8=False)(portrait), opened(int8=True)(portrait)
    assert len(after) == len(before) == 1
    points, small = before.poses.keypoints[0], after.poses.keypoints[0]
    away = np.linalg.norm(points - small, axis=1) / np.linalg.norm(points[36] - points[45])
    assert away.mean() <= 0.02, f"{100 * away.mean():.1f} % away"
    assert away.max() <= 0.10, f"point {away.argmax()} is {100 * away.max():.1f} % away"


def test_a_batch_gives_the_points_of_single_crops(pose_int8: Path, portrait: np.ndarray) -> None:
    run = OnnxRuntime(pose_int8, 1)
    crops = np.stack([portrait[y : y + 160, 150:310] for y in (20, 40, 60)])
    singles = [run(crop[None]) for crop in crops]
    for axis, together in enumerate(run(crops)):
        away = np.abs(together - np.concatenate([single[axis] for single in singles])).max()
        assert away <= 0.02 * np.abs(together).max()


def test_the_engine_really_computes_the_head_as_int8(pose_int8: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="needs onnx: pip install -e .[test]")
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install -e .[test]")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(str(pose_int8), options, providers=["CPUExecutionProvider"])
    graph = onnx.load(tmp_path / "fused.onnx").graph
    counts = collections.Counter(node.op_type for node in graph.node)
    assert counts["QLinearConv"] == 1, counts
    assert counts["MatMulIntegerToFloat"] == 4, counts
    fixed = {tensor.name for tensor in graph.initializer}
    left = [n.name for n in graph.node if n.op_type == "DequantizeLinear" and n.input[0] in fixed]
    assert not left, f"weights are made float32 again at each call: {left}"


def test_its_weights_cannot_overflow_a_processor_without_vnni(pose_int8: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="needs onnx: pip install -e .[test]")
    stored = [onnx.numpy_helper.to_array(t) for t in onnx.load(pose_int8).graph.initializer]
    whole = [a for a in stored if a.dtype == np.int8 and a.ndim > 1]
    assert len(whole) == 5
    assert max(int(np.abs(a.astype(int)).max()) for a in whole) == 63  # 2 * 255 * 63 is less than 2 ** 15


def test_quantising_keeps_what_a_network_computes() -> None:
    onnx = pytest.importorskip("onnx", reason="needs onnx: pip install -e .[test]")
    import quantise

    rng = np.random.default_rng(0)
    shapes = {"w": (8, 3, 3, 3), "b": (8,), "m": (62, 16)}
    constants = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    constants["shape"] = np.array([0, 0, -1])
    nodes = [
        onnx.helper.make_node("Cast", ["images"], ["x"], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("Conv", ["x", "w", "b"], ["y"]),
        onnx.helper.make_node("Reshape", ["y", "shape"], ["flat"]),
        onnx.helper.make_node("MatMul", ["flat", "m"], ["out"]),
    ]
    make = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "small",
        [make("images", onnx.TensorProto.UINT8, ["n", 3, 4, 33])],
        [make("out", onnx.TensorProto.FLOAT, ["n", 8, 16])],
        [onnx.numpy_helper.from_array(a, n) for n, a in constants.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    inputs = [rng.integers(0, 256, (1, 3, 4, 33), dtype=np.uint8) for _ in range(4)]
    small = quantise.quantise(model, quantise.measure(model, ["x", "y", "flat"], inputs))
    assert sum(t.data_type == onnx.TensorProto.INT8 for t in small.graph.initializer) >= 2
    (before,), (after,) = (quantise.session(m, threads=1)(inputs[0]) for m in (model, small))
    assert np.abs(before - after).max() <= 0.03 * np.abs(before).max()


def test_a_range_holds_zero_and_gives_up_lone_outliers() -> None:
    pytest.importorskip("onnx", reason="needs onnx: pip install -e .[test]")
    import quantise

    values = np.random.default_rng(0).normal(size=100_000)
    wide = quantise.best_range(values, -40.0, 40.0)
    assert 255 * wide.scale < 40, "one outlier costs all other values their precision"
    positive = quantise.best_range(np.abs(values), 0.0, float(values.max()))
    assert positive.zero == 0
    assert 255 * positive.scale > 3


def test_the_bundled_file_is_what_the_script_writes(
    pose_int8: Path, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx = pytest.importorskip("onnx", reason="needs onnx: pip install -e .[test]")
    import quantise

    out = tmp_path / "pose.int8.onnx"
    command = ["quantise.py", "--data", str(shared / "data"), "--out", str(out), "--images", "64"]
    monkeypatch.setattr("sys.argv", command)
    quantise.main()
    whole = [
        {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(p).graph.initializer if t.data_type == 3}
        for p in (out, pose_int8)
    ]
    assert whole[0].keys() == whole[1].keys()
    assert all(np.array_equal(whole[0][name], whole[1][name]) for name in whole[0])


def test_held_out_faces_lose_at_most_two_percent(shared: Path) -> None:
    import faces
    import quality

    data = shared / "data"
    all_items = [(data / f, p) for _, f, p in faces.annotated(data, "youtube_test")]
    items = [all_items[i] for i in np.linspace(0, len(all_items) - 1, 100).astype(int)]
    before, after = (quality.landmarks(opened(int8=int8), items) for int8 in (False, True))
    assert len(before.nme) == len(after.nme) == 100
    assert after.mean <= 1.02 * before.mean, f"float32: {before}; int8: {after}"
    assert after.failures <= before.failures + 1, f"float32: {before}; int8: {after}"


def test_it_is_faster_where_the_processor_has_int8_dot_products(pose_int8: Path) -> None:
    info = Path("/proc/cpuinfo")
    flags = info.read_text().split() if info.is_file() else []
    if not {"avx512_vnni", "avx_vnni"} & set(flags):
        pytest.skip("this processor has no int8 dot products that are known to be fast")
    runs = [OnnxRuntime(path, 1) for path in (LITE.pose, pose_int8)]
    batch = np.random.default_rng(0).integers(0, 256, (4, 160, 160, 3), dtype=np.uint8)
    ratios = []
    for _ in range(40):  # in turns, so that what else runs here slows both
        took = []
        for run in runs:
            start = time.perf_counter()
            run(batch)
            took.append(time.perf_counter() - start)
        ratios.append(took[0] / took[1])
    assert np.median(ratios) > 1.05, f"int8 is {np.median(ratios):.2f} times as fast as float32"
