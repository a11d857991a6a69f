"""One network, any engine: the same numbers, from a checkpoint that is read once."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from limner import build, bundled, checkpoint, config, loading
from limner.errors import ArgumentError, CheckpointError, DeviceError, LimnerError, MissingExtraError
from limner.runtimes import EngineError, engines, hardware
from limner.runtimes.cache import NETWORK, Cache
from limner.runtimes.engines import Engine, NetworkSource, choose_device, choose_engine, open_file, open_network
from limner.runtimes.hardware import amx_bfloat16
from limner.runtimes.metadata import decode, encode
from limner.runtimes.onnx import import_onnxruntime
from limner.zoo import store

torch = pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")

ENGINES = ["onnxruntime", "openvino", "torch"]
POSE, DETECTOR = "limner/rtmpose_face-lite_300w-160x160.py", "limner/rtmdet_face-lite_288.py"
META = {"dataset_name": "300w", "keypoint_id2name": {0: "a", 1: "b"}, "sigmas": np.array([0.1, 0.2], np.float32)}


def images(count: int, width: int, height: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, height, width, 3), np.uint8)


def distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    assert ours.shape == theirs.shape
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


def need(name: str) -> None:
    """Skip a test where a package is not installed; limner itself shall import it."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"needs {name}: pip install -e .[test]")


def write_weights(path: Path, model: Mapping[str, Any], seed: int = 0, meta: Mapping[str, Any] = META) -> Path:
    """Save a checkpoint of a config's network with random weights, as OpenMMLab's tools do."""
    torch.manual_seed(seed)
    network = build.network(model)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # a trained network's are not 0 and 1
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    torch.save({"meta": {"dataset_meta": dict(meta)}, "state_dict": network.state_dict()}, path)
    return path


def source(config_file: str, weights: Path | None, cfg: Mapping[str, Any] | None = None) -> NetworkSource:
    """Describe a config's network as the pipeline does."""
    cfg = cfg or config.load(config_file)
    detector = "bbox_head" in cfg["model"]
    spec = build.detector_spec(cfg) if detector else build.pose_spec(cfg)

    def make() -> tuple[Any, Mapping[str, Any]]:
        network = build.network(cfg["model"])
        if weights is None:
            return network, {}
        loaded = checkpoint.load(weights)
        build.load_weights(network, loaded.state_dict)
        return network, loaded.dataset_meta

    return NetworkSource(cfg["model"], weights, spec.normalisation, spec.size, detector, make)


@dataclass(frozen=True)
class Case:
    """A network that was saved, and a cache that holds its export."""

    source: NetworkSource
    cache: Cache

    def open(self, backend: str, **settings: Any) -> Any:
        return open_network(self.source, Engine(backend, **settings), self.cache)[0]


@pytest.fixture(scope="module", params=[POSE, DETECTOR], ids=["pose", "detector"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("networks")
    weights = write_weights(folder / "weights.pth", config.load(request.param)["model"])
    return Case(source(request.param, weights), Cache(folder / "cache", lambda _: nullcontext()))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the pose network."""
    return write_weights(tmp_path_factory.mktemp("weights") / "pose.pth", config.load(POSE)["model"])


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    return Cache(store.home() / "networks", store.locked)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Play the export, to watch the cache alone: return the folders that networks were written to."""
    written: list[Path] = []

    def export(of: NetworkSource, folder: Path) -> Mapping[str, Any]:
        written.append(folder)
        (folder / NETWORK).write_bytes(b"network")
        (folder / "network.weights").write_bytes(b"weights of the network")
        return of.make()[1]

    monkeypatch.setattr(engines, "_export", export)
    monkeypatch.setattr(engines, "_run", lambda name, path, engine, scratch: path)
    return written


def untouchable(of: NetworkSource) -> NetworkSource:
    """Return a source that fails where it is asked for its network."""

    def make() -> Any:
        raise AssertionError("the checkpoint is read again")

    return replace(of, make=make)


def counting(of: NetworkSource) -> tuple[NetworkSource, list[str]]:
    """Return a source that notes each time its network is made."""
    made: list[str] = []

    def make() -> Any:
        made.append("made")
        return of.make()

    return replace(of, make=make), made


# -- the same numbers


@pytest.mark.parametrize("backend", ENGINES)
def test_every_engine_computes_what_torch_does(case: Case, backend: str) -> None:
    need(backend)
    wanted, runtime = case.open("torch"), case.open(backend)
    assert runtime.device == f"cpu ({backend})"
    width, height = case.source.size
    sizes = [(1, width, height), (2, width, height), (5, width, height)]
    sizes += [(1, 160, 96), (3, 96, 160)] if case.source.dynamic_size else []
    for size in sizes:
        batch = images(*size)
        found = runtime(batch)
        assert all(array.dtype == np.float32 for array in found)
        for ours, theirs in zip(found, wanted(batch), strict=True):
            assert distance(ours, theirs) <= 1e-4
    runtime.close()


@pytest.mark.parametrize("backend", ENGINES)
def test_mirrored_images_need_no_copy(case: Case, backend: str) -> None:
    need(backend)
    runtime, batch = case.open(backend), images(2, *case.source.size)
    for ours, theirs in zip(runtime(batch[:, :, ::-1]), runtime(batch[:, :, ::-1].copy()), strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("backend", ENGINES)
def test_outputs_outlive_the_next_run(case: Case, backend: str) -> None:
    need(backend)
    runtime = case.open(backend)
    first = runtime(images(2, *case.source.size))
    kept = [array.copy() for array in first]
    runtime(255 - images(2, *case.source.size))
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(first, kept, strict=True))


def test_images_side_by_side_give_the_same_numbers(case: Case) -> None:
    need("openvino")
    batch = images(7, *case.source.size)
    alone, crowd = case.open("openvino"), case.open("openvino", hint="throughput", threads=2)
    for count in (1, 2, 7):
        for ours, theirs in zip(crowd(batch[:count]), alone(batch[:count]), strict=True):
            assert distance(ours, theirs) <= 1e-5


def test_nothing_but_float32_is_computed(case: Case) -> None:
    need("openvino")
    onnx = pytest.importorskip("onnx", reason="needs onnx: pip install -e .[test]")
    runtime = case.open("openvino")
    assert str(runtime._model.get_property("INFERENCE_PRECISION_HINT")) == "<Type: 'float32'>"
    nodes = [node.get_rt_info() for node in runtime._model.get_runtime_model().get_ops()]
    kinds = {info["runtimePrecision"].astype(str) for info in nodes if "runtimePrecision" in info}
    assert "f32" in kinds
    assert not kinds & {"bf16", "f16", "i8"}
    graph = onnx.load(next(case.cache.folder.glob(f"*/{NETWORK}"))).graph
    narrow = {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.INT8}
    assert not narrow & {tensor.data_type for tensor in graph.initializer}


def test_openvino_computes_bfloat16_only_where_it_is_asked_to(case: Case) -> None:
    need("openvino")
    batch = images(2, *case.source.size)
    exact = case.open("openvino")(batch)
    if not amx_bfloat16():
        with pytest.raises(DeviceError, match="bfloat16"):
            case.open("openvino", half=True)
        return
    quick = case.open("openvino", half=True)
    assert quick.device == "cpu (openvino, bfloat16)"
    apart = max(distance(ours, theirs) for ours, theirs in zip(quick(batch), exact, strict=True))
    assert 1e-6 < apart < 0.3


@pytest.mark.parametrize(
    ("backend", "precision", "reason"),
    [
        ("auto", "bfloat16", "use openvino"),
        ("openvino", "float16", "torch or tensorrt"),
        ("auto", "float16", "float16 needs a CUDA device"),
        ("auto", "float", "Did you mean 'float32'"),
    ],
)
def test_a_precision_that_nothing_computes_is_one_sentence(backend: str, precision: str, reason: str) -> None:
    with pytest.raises(LimnerError, match=reason):
        loading.load(device="cpu", backend=backend, precision=precision)


def test_threads_are_those_that_were_asked_for(case: Case) -> None:
    need("openvino")
    assert case.open("openvino", threads=1)._model.get_property("INFERENCE_NUM_THREADS") == 1
    assert case.open("onnxruntime", threads=1)._session.get_session_options().intra_op_num_threads == 1
    before = torch.get_num_threads()
    case.open("torch", threads=before + 1)(images(1, *case.source.size))
    assert torch.get_num_threads() == before


def test_the_images_of_a_small_network_run_side_by_side(case: Case) -> None:
    batch = images(5, *case.source.size)
    alone, lanes = case.open("onnxruntime", threads=1), case.open("onnxruntime", threads=3)
    for count in (1, 2, 3, 5):
        for ours, theirs in zip(lanes(batch[:count]), alone(batch[:count]), strict=True):
            assert distance(ours, theirs) <= 1e-6
    lanes.close()


def test_a_network_whose_weights_lie_in_many_files_is_not_small(tmp_path: Path) -> None:
    small, large = tmp_path / "small" / NETWORK, tmp_path / "large" / NETWORK
    for path in (small, large):
        path.parent.mkdir()
        shutil.copy(bundled.find("face-lite").pose, path)
    with (large.parent / "stage4.weight").open("wb") as part:
        part.truncate(20_000_000)
    threads = [
        open_file(path, Engine("onnxruntime", threads=3))._session.get_session_options().intra_op_num_threads
        for path in (small, large)
    ]
    assert threads == [1, 3]


def test_between_two_runs_no_thread_waits_awake(case: Case) -> None:
    runtime, batch = case.open("onnxruntime", threads=2), images(1, *case.source.size)
    runtime(batch)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.1


# -- exported once


def test_the_second_start_reads_no_checkpoint(saved: Path, cache: Cache) -> None:
    batch = images(2, 160, 160)
    cold, metadata = open_network(source(POSE, saved), Engine(), cache)
    warm, again = open_network(untouchable(source(POSE, saved)), Engine(), cache)
    assert warm.device == "cpu (onnxruntime)"
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(warm(batch), cold(batch), strict=True))
    for found in (metadata, again):
        assert found["keypoint_id2name"] == META["keypoint_id2name"]
        assert np.array_equal(found["sigmas"], META["sigmas"])


WARM = """
import sys
sys.modules["torch"] = None
from pathlib import Path
sys.path.insert(0, {tests!r})
import numpy as np
from limner import build, config
from limner.runtimes.cache import Cache
from limner.runtimes.engines import Engine, NetworkSource, open_network
from limner.zoo import store
cfg = config.load({config!r})
spec = build.pose_spec(cfg)
source = NetworkSource(cfg["model"], Path({weights!r}), spec.normalisation, spec.size, False, lambda: 1 / 0)
runtime, notes = open_network(source, Engine({backend!r}), Cache(store.home() / "networks", store.locked))
print(runtime.device, notes["dataset_name"], len(runtime(np.zeros((1, 160, 160, 3), np.uint8))))
"""


@pytest.mark.parametrize("backend", ["auto", "openvino"])
def test_the_second_start_needs_no_torch(saved: Path, cache: Cache, backend: str) -> None:
    if backend == "openvino":
        need("openvino")
    open_network(source(POSE, saved), Engine(), cache)
    code = WARM.format(tests=str(Path(__file__).parent), config=POSE, weights=str(saved), backend=backend)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    engine = "onnxruntime" if backend == "auto" else backend
    assert done.stdout.strip() == f"cpu ({engine}) 300w 2", done.stderr
    assert done.stderr == ""


def test_two_programs_that_start_at_once_share_one_export(saved: Path, cache: Cache, tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_engines import POSE, Cache, Engine, counting, open_network, source, store
counted, made = counting(source(POSE, Path({str(saved)!r})))
runtime, _ = open_network(counted, Engine(), Cache(store.home() / "networks", store.locked))
print(runtime.device, len(made))
"""
    run = [sys.executable, "-c", code]
    both = [subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120) for process in both]
    assert sorted(out.split() for out, _ in said) == [["cpu", "(onnxruntime)", "0"], ["cpu", "(onnxruntime)", "1"]], (
        said
    )
    assert len(list(cache.folder.glob("*/entry.json"))) == 1
    assert not list(cache.folder.glob(".*"))


def entry(cache: Cache) -> Path:
    (found,) = cache.folder.glob("*/entry.json")
    return found.parent


def cut(folder: Path) -> None:
    file = folder / NETWORK
    file.write_bytes(file.read_bytes()[:-1])


def change_a_byte(folder: Path) -> None:
    file = folder / NETWORK
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def remove(folder: Path) -> None:
    (folder / NETWORK).unlink()


def cut_weights(folder: Path) -> None:
    (folder / "network.weights").write_bytes(b"weights")


def scribble(folder: Path) -> None:
    (folder / "entry.json").write_text('{"files": {"network.onnx": 3}, "notes": []}')


@pytest.mark.parametrize("damage", [cut, change_a_byte, remove, cut_weights, scribble], ids=lambda f: f.__name__)
def test_a_damaged_export_is_made_again(
    quick: list[Path], saved: Path, cache: Cache, damage: Callable[[Path], None]
) -> None:
    given = source(POSE, saved)
    open_network(given, Engine(), cache)
    damage(entry(cache))
    path, metadata = open_network(given, Engine(), cache)
    assert len(quick) == 2
    assert path.read_bytes() == b"network"
    assert metadata["dataset_name"] == "300w"
    open_network(untouchable(given), Engine(), cache)
    assert len(quick) == 2


CHANGES = {
    "model": {"model.backbone.act_cfg.type": "ReLU"},
    "colours": {"model.data_preprocessor.bgr_to_rgb": False},
    "mean": {"model.data_preprocessor.mean": [0, 0, 0]},
}


def test_what_changes_the_network_is_exported_anew(
    quick: list[Path], saved: Path, cache: Cache, tmp_path: Path
) -> None:
    cfg = config.load(POSE)
    open_network(source(POSE, saved), Engine(), cache)
    for number, options in enumerate(CHANGES.values(), start=2):
        changed = config.apply_options(cfg, options)
        open_network(replace(source(POSE, saved, changed), make=lambda: (None, {})), Engine(), cache)
        assert len(quick) == number, options
    other = write_weights(tmp_path / "other.pth", cfg["model"], seed=1)
    open_network(source(POSE, other), Engine(), cache)
    assert len(quick) == len(CHANGES) + 2
    assert len(list(cache.folder.glob("*/entry.json"))) == len(CHANGES) + 2


def test_a_layer_that_was_mended_is_exported_anew(
    quick: list[Path], saved: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_network(source(POSE, saved), Engine(), cache)
    monkeypatch.setattr(engines, "_code_hash", lambda: "another version")
    open_network(source(POSE, saved), Engine(), cache)
    assert len(quick) == 2


def test_what_does_not_change_the_network_is_not(quick: list[Path], saved: Path, cache: Cache, tmp_path: Path) -> None:
    open_network(source(POSE, saved), Engine(), cache)
    cfg = config.apply_options(config.load(POSE), {"model.test_cfg.flip_test": True})
    moved = tmp_path / "elsewhere.pth"
    moved.write_bytes(saved.read_bytes())
    open_network(untouchable(source(POSE, moved, cfg)), Engine("onnxruntime", threads=1), cache)
    assert len(quick) == 1


def test_a_checkpoint_that_is_overwritten_is_read_again(quick: list[Path], cache: Cache, tmp_path: Path) -> None:
    weights, model = tmp_path / "weights.pth", config.load(POSE)["model"]
    write_weights(weights, model)
    old = weights.stat().st_mtime_ns - 60 * 10**9
    os.utime(weights, ns=(old, old))
    size = weights.stat().st_size
    for expected in (1, 1):
        open_network(source(POSE, weights), Engine(), cache)
        assert len(quick) == expected
    write_weights(weights, model, seed=5)
    os.utime(weights, ns=(old, old))  # as `cp --preserve` and archives leave it
    assert weights.stat().st_size == size
    open_network(source(POSE, weights), Engine(), cache)
    assert len(quick) == 2


def test_a_file_is_hashed_once(cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(b"weights")
    os.utime(file, (1, 1))
    digest = cache.digest(file)
    assert digest == hashlib.sha256(b"weights").hexdigest()
    monkeypatch.setattr("limner.runtimes.cache._digest", lambda _: 1 / 0)
    assert cache.digest(file) == digest
    (cache.folder / "digests.json").write_text("[")
    with pytest.raises(ZeroDivisionError):
        cache.digest(file)


def test_a_folder_that_cannot_be_written_costs_time_only(
    saved: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = Cache(tmp_path / "file" / "networks", lambda _: nullcontext())
    runtime, metadata = open_network(source(POSE, saved), Engine(), cache)
    assert metadata["dataset_name"] == "300w"
    assert len(runtime(images(1, 160, 160))) == 2
    assert "exported anew at each start" in caplog.text


def test_the_least_used_exports_make_room(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "networks", lambda _: nullcontext(), limit=2500)

    def make(folder: Path) -> dict[str, Any]:
        (folder / NETWORK).write_bytes(b"x" * 1000)
        return {}

    for moment, key in enumerate("ab"):
        cache.get(key, make)
        os.utime(cache.folder / key / "entry.json", (moment, moment))
    cache.get("a", make)  # is used once more
    cache.get("c", make)
    assert sorted(p.name for p in cache.folder.iterdir() if p.is_dir()) == ["a", "c"]
    assert cache.size() > 2000
    assert cache.clear() > 2000
    assert cache.size() == 0


def test_the_leavings_of_a_killed_program_are_removed(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "networks", lambda _: nullcontext())
    (cache.folder / ".0123").mkdir(parents=True)
    (cache.folder / ".0123" / NETWORK).write_bytes(b"half")
    cache.get("a", lambda folder: (folder / NETWORK).write_bytes(b"whole") and {})
    assert [p.name for p in cache.folder.iterdir()] == ["a"]


def test_notes_come_back_as_they_were() -> None:
    metadata = {
        "flip": [1, 0],
        0: ("a", 2.5, None, True),
        "names": {"x", "y"},
        "sigmas": np.array([[0.1], [0.2]], np.float32),
        "count": np.int64(3),
        "words": np.array(["eye", "nose"]),
        ("a", 1): float("inf"),
    }
    again = decode(json.loads(json.dumps(encode(metadata))))
    assert list(again) == list(metadata)
    for key in ("flip", 0, "names", "count", ("a", 1)):
        assert again[key] == metadata[key]
        assert type(again[key]) is type(metadata[key]) or key == "count"
    for key in ("sigmas", "words"):
        assert np.array_equal(again[key], metadata[key])
        assert again[key].dtype == metadata[key].dtype
    assert decode(encode({"odd": object()})) == {"odd": None}


def test_notes_without_end_are_refused(quick: list[Path], cache: Cache, saved: Path) -> None:
    endless: list[Any] = []
    endless.append(endless)
    bomb: list[Any] = ["x"] * 10
    for _ in range(30):
        bomb = [bomb] * 10
    for metadata in (endless, bomb):
        given = source(POSE, saved)
        bad = replace(given, make=lambda metadata=metadata: (None, {"classes": metadata}))
        with pytest.raises(CheckpointError, match="dataset_meta"):
            open_network(bad, Engine(), cache)


def test_random_weights_are_not_kept(cache: Cache) -> None:
    runtime, _ = open_network(source(POSE, None), Engine(), cache)
    assert runtime.device == "cpu (torch)"
    runtime, _ = open_network(source(POSE, None), Engine("onnxruntime"), cache)
    assert len(runtime(images(1, 160, 160))) == 2
    assert not cache.folder.exists()


# -- what goes wrong


def test_an_unknown_backend_is_named_with_the_nearest() -> None:
    with pytest.raises(ArgumentError, match="Did you mean 'openvino'"):
        Engine("openvno")
    with pytest.raises(ArgumentError, match="latency, throughput"):
        Engine(hint="fast")
    with pytest.raises(ArgumentError, match="-1"):
        Engine(threads=-1)
    with pytest.raises(ArgumentError, match="openvino runs on the CPU"):
        Engine("openvino", "cuda:0")
    with pytest.raises(ArgumentError, match="tensorrt runs on CUDA devices"):
        Engine("tensorrt", "cpu")
    with pytest.raises(ArgumentError, match="float16"):
        Engine(half=True)
    with pytest.raises(DeviceError, match="there is no device 'gpu'"):
        Engine(device="gpu")


def test_a_missing_openvino_is_one_sentence(saved: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    from limner.runtimes import openvino

    openvino.import_openvino.cache_clear()
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r'pip install "openvino>='):
        open_network(untouchable(source(POSE, saved)), Engine("openvino"), cache)


def test_without_torch_and_without_an_export_the_extra_is_named(
    saved: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for backend in ("auto", "onnxruntime", "torch"):
        with pytest.raises(MissingExtraError, match=r'pip install "torch>='):
            open_network(source(POSE, saved), Engine(backend), cache)


def test_without_onnx_torch_runs_the_network_and_says_so(
    saved: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    runtime, metadata = open_network(source(POSE, saved), Engine(), cache)
    assert runtime.device == "cpu (torch)"
    assert metadata["dataset_name"] == "300w"
    assert caplog.messages == [
        "torch runs the network in place of onnxruntime: Exporting a checkpoint for another engine than torch "
        'needs packages that are not installed: pip install "torch>=2.1" "onnx>=1.15"'
    ]
    with pytest.raises(MissingExtraError, match="another engine"):
        open_network(source(POSE, saved), Engine("onnxruntime"), cache)


class Sorted(torch.nn.Module):
    """A network with an operator that ONNX does not know."""

    def forward(self, x: Any) -> Any:
        return torch.special.bessel_j0(x).mean((2, 3))


class Frozen(torch.nn.Module):
    """A network whose trace would hold for one image only."""

    def forward(self, x: Any) -> Any:
        return x.mean((2, 3)).reshape(len(x), -1).repeat(len(x), 1)[: len(x)]


@pytest.mark.parametrize(("kind", "reason"), [(Sorted, "bessel_j0"), (Frozen, "other shapes")])
def test_a_network_that_cannot_be_exported_falls_back_in_auto_only(
    kind: Any, reason: str, saved: Path, cache: Cache, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    bad = replace(source(POSE, saved), model={"backbone": kind.__name__}, make=lambda: (kind(), {}))
    runtime, _ = open_network(bad, Engine(), cache)
    assert runtime.device == "cpu (torch)"
    assert runtime(images(2, 160, 160))[0].shape == (2, 3)
    (message,) = caplog.messages
    assert message.startswith("torch runs the network in place of onnxruntime")
    assert reason in message
    assert "\n" not in message
    assert len(message) < 400
    with pytest.raises(EngineError, match=reason):
        open_network(bad, Engine("onnxruntime"), cache)
    assert "".join(capfd.readouterr()) == ""
    assert not [place for place in cache.folder.iterdir() if place.is_dir()]


def test_wrong_weights_are_an_error_and_no_reason_to_fall_back(
    cache: Cache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weights = write_weights(tmp_path / "other.pth", config.load(DETECTOR)["model"])
    with pytest.raises(CheckpointError, match="does not fit its config"):
        open_network(source(POSE, weights), Engine(), cache)
    for backend in ("auto", *ENGINES):
        with pytest.raises(CheckpointError, match="there is no checkpoint"):
            open_network(source(POSE, tmp_path / "none.pth"), Engine(backend), cache)
    assert not caplog.messages


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_file_that_is_no_network_is_one_sentence(backend: str, tmp_path: Path, capfd: Any) -> None:
    need(backend)
    file = tmp_path / "bad.onnx"
    for content in (b"", b"not a network", os.urandom(2000)):
        file.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"cannot load the network '.*bad\.onnx'") as caught:
            open_file(file, Engine(backend))
        assert "\n" not in str(caught.value)
    with pytest.raises(ArgumentError, match=r"torch cannot run 'bad\.onnx'"):
        open_file(file, Engine("torch"))
    assert "".join(capfd.readouterr()) == ""


@pytest.mark.parametrize("backend", ENGINES)
def test_opening_and_running_prints_nothing(saved: Path, cache: Cache, backend: str, capfd: Any) -> None:
    need(backend)
    runtime, _ = open_network(source(POSE, saved), Engine(backend), cache)
    runtime(images(2, 160, 160))
    assert "".join(capfd.readouterr()) == ""


QUIET = """
import sys
noted = []
def note(event, args):
    writes = event == "open" and isinstance(args[1], str) and any(mode in args[1] for mode in "wax+")
    if writes or event.startswith("socket.") or event in ("os.fork", "os.posix_spawn", "subprocess.Popen", "os.system"):
        noted.append(event)
import numpy as np
from pathlib import Path
from limner.runtimes.engines import Engine, open_file
sys.addaudithook(note)
runtime = open_file(Path({path!r}), Engine({backend!r}))
runtime(np.zeros((1, 160, 160, 3), np.uint8))
print(runtime.device, noted)
"""


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_an_engine_reports_to_nobody(saved: Path, cache: Cache, backend: str, tmp_path: Path) -> None:
    need(backend)
    open_network(source(POSE, saved), Engine(), cache)
    code = QUIET.format(path=str(entry(cache) / NETWORK), backend=backend)
    switches = ("CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")  # that would keep it quiet, or elsewhere, anyway
    environment = {k: v for k, v in os.environ.items() if k not in switches} | {"HOME": str(tmp_path / "nobody")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    assert done.stdout.strip() == f"cpu ({backend}) []", done.stderr
    assert not (tmp_path / "nobody").exists()


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_images_of_another_size_are_one_sentence(saved: Path, cache: Cache, backend: str, capfd: Any) -> None:
    need(backend)
    runtime, _ = open_network(source(POSE, saved), Engine(backend), cache)
    with pytest.raises(EngineError, match=r"\[1, 100, 90, 3\]") as caught:
        runtime(images(1, 90, 100))
    assert "\n" not in str(caught.value)
    assert len(runtime(images(1, 160, 160))) == 2
    assert "".join(capfd.readouterr()) == ""


# -- the machine


def group(root: Path, where: str, **values: str) -> None:
    folder = root / "sys/fs/cgroup" / where
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (folder / name.replace("__", ".")).write_text(value)


@pytest.mark.parametrize(
    ("groups", "files", "cores"),
    [
        ("0::/\n", {"": {"cpu__max": "150000 100000\n"}}, 1.5),
        ("0::/a/b\n", {"a/b": {"cpu__max": "max 100000\n"}, "a": {"cpu__max": "200000 100000\n"}}, 2.0),
        ("0::/a\n", {"a": {"cpu__max": "max 100000\n"}}, None),
        (
            "4:memory:/x\n3:cpu,cpuacct:/docker/77\n",
            {"cpu": {"cpu__cfs_quota_us": "50000\n", "cpu__cfs_period_us": "100000\n"}},
            0.5,
        ),
        ("3:cpu,cpuacct:/\n", {"cpu": {"cpu__cfs_quota_us": "-1\n", "cpu__cfs_period_us": "100000\n"}}, None),
        ("0::/\n", {"": {"cpu__max": "rubbish\n"}}, None),
        (None, {}, None),
    ],
)
def test_a_containers_quota_counts(
    groups: str | None, files: dict[str, dict[str, str]], cores: float | None, tmp_path: Path
) -> None:
    if groups is not None:
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(groups)
    for where, values in files.items():
        group(tmp_path, where, **values)
    assert min(hardware._quotas(tmp_path)) == (cores or float("inf"))
    assert 1 <= hardware.usable_cores() <= (os.cpu_count() or 1)


def test_a_quota_is_rounded_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware.os, "sched_getaffinity", lambda _: range(8), raising=False)
    for quota, cores in ((1.5, 2), (0.2, 1), (float("inf"), 8)):
        monkeypatch.setattr(hardware, "_quotas", lambda _, quota=quota: iter([quota]))
        assert hardware.usable_cores() == cores


def test_a_device_is_checked_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "cuda_devices", lambda: 0)
    assert choose_device() == "cpu"
    assert choose_device("CPU") == "cpu"
    for name in ("cuda:99", "99"):
        with pytest.raises(DeviceError, match="device 'cuda:99' is not available"):
            choose_device(name)
    with pytest.raises(DeviceError, match="device 'cuda:0' is not available"):
        choose_engine(backend="tensorrt")
    with pytest.raises(ArgumentError, match="Did you mean 'onnxruntime'"):
        choose_engine(backend="onnxruntim")
    assert choose_engine("cpu", threads=1, hint="throughput") == Engine(threads=1, hint="throughput")
    for name in ("gpu", "cuda:x", ""):
        with pytest.raises(DeviceError, match=f"there is no device '{name}'"):
            choose_device(name)


def test_a_cpu_needs_no_torch_to_be_chosen() -> None:
    code = "import sys; from limner.runtimes.engines import *; print(choose_device('cpu'), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["cpu", "False"]


# -- a machine with a GPU, played


class Session:
    """Stands in for ONNX Runtime's, of which some providers start."""

    starts: tuple[str, ...] = ()
    asked: list[Any]

    def __init__(self, path: str, options: Any, providers: list[Any], enable_fallback: int) -> None:
        type(self).asked = providers
        assert enable_fallback == 0

    def get_providers(self) -> list[str]:
        return [name for name, _ in self.asked if name in self.starts]

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="images")]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> type[Session]:
    onnxruntime = import_onnxruntime()

    class Playing(Session):
        starts = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")

    monkeypatch.setattr(onnxruntime, "InferenceSession", Playing)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(Playing.starts))
    monkeypatch.setattr(engines, "cuda_devices", lambda: 2)
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    return Playing


def test_the_cuda_provider_keeps_float32(gpu: type[Session], tmp_path: Path) -> None:
    runtime = open_file(tmp_path / "n.onnx", Engine("onnxruntime", "cuda:1"))
    assert runtime.device == "cuda:1 (onnxruntime, CUDA)"
    name, settings = gpu.asked[0]
    assert (name, settings["device_id"], settings["use_tf32"]) == ("CUDAExecutionProvider", "1", "0")


def test_tensorrt_keeps_its_engines_beside_the_export(
    gpu: type[Session], saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(tmp_path / "networks", lambda _: nullcontext())
    exported = source(POSE, saved)
    monkeypatch.setattr("limner.runtimes.engines._export", lambda s, f: (f / NETWORK).write_bytes(b"x") and {})
    runtime, _ = open_network(exported, Engine("tensorrt", "cuda:0"), cache)
    assert runtime.device == "cuda:0 (onnxruntime, TensorRT)"
    settings = gpu.asked[0][1]
    assert Path(settings["trt_engine_cache_path"]).is_relative_to(cache.folder)
    assert settings["trt_fp16_enable"] == "False"
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"
    assert [name for name, _ in gpu.asked[1:]] == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    half, _ = open_network(exported, Engine("tensorrt", "cuda:0", half=True), cache)
    assert half.device == "cuda:0 (onnxruntime, TensorRT, float16)"


def test_a_provider_that_does_not_start_is_an_error(gpu: type[Session], tmp_path: Path) -> None:
    gpu.starts = ("CPUExecutionProvider",)
    with pytest.raises(DeviceError, match="no CUDA; pip install onnxruntime-gpu"):
        open_file(tmp_path / "n.onnx", Engine("onnxruntime", "cuda:0"))
    with pytest.raises(DeviceError, match="no TensorRT"):
        open_file(tmp_path / "n.onnx", Engine("tensorrt", "cuda:0"))


def test_a_provider_that_is_installed_but_finds_no_gpu_is_an_error(
    gpu: type[Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_onnxruntime(), "get_available_providers", lambda: ["CUDAExecutionProvider"])
    gpu.starts = ("CPUExecutionProvider",)
    with pytest.raises(DeviceError, match="CUDAExecutionProvider did not start"):
        open_file(tmp_path / "n.onnx", Engine("auto", "cuda:0"))


def test_a_torch_without_cuda_leaves_the_gpu_to_onnxruntime(
    gpu: type[Session], saved: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    if torch.cuda.is_available():
        pytest.skip("needs a torch that sees no GPU: set CUDA_VISIBLE_DEVICES=-1")
    monkeypatch.setattr("limner.runtimes.engines._export", lambda s, f: (f / NETWORK).write_bytes(b"x") and {})
    assert choose_device() == "cuda:0"
    assert choose_device("1") == "cuda:1"
    with pytest.raises(DeviceError, match="torch finds 0 CUDA devices"):
        choose_device("cuda:0", "torch")
    with pytest.raises(DeviceError, match="'cuda:2' is not available"):
        choose_device("cuda:2", "onnxruntime")
    caplog.set_level(logging.WARNING)
    cache = Cache(tmp_path / "networks", lambda _: nullcontext())
    runtime, _ = open_network(source(POSE, saved), Engine(device="cuda:0"), cache)
    assert runtime.device == "cuda:0 (onnxruntime, CUDA)"
    assert "onnxruntime runs the network in place of torch" in caplog.text
