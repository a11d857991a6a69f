"""Torch as an engine: graphs of a few sizes give what plain runs give, whatever comes, and float16 finds the points.

Without a CUDA device a simulated stream replaces its graphs: the same code decides, each step runs as late as it may.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from limner import build, config
from limner.errors import ConfigError
from limner.runtimes.cuda_graphs import (
    MAX_GRAPHS,
    RUNS_BEFORE_REPLACING,
    GraphCache,
    SharedLock,
    graph_size,
    max_graph_size,
)

torch = pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")

from limner.runtimes import cuda_graphs  # noqa: E402
from limner.runtimes.torch import TorchRuntime, flat, half_precision, to_half  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
POSE = "limner/rtmpose_face-lite_300w-160x160.py"
# numbers that float32 adds without rounding, so that any order of the sums gives the same bytes
EXACT = {"mean": (128.0, 64.0, 32.0), "std": (64.0, 32.0, 64.0), "bgr_to_rgb": True}
COLOURS = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375), "bgr_to_rgb": True}
SIZES = (1, 3, 8, 17, 64)

needs_cuda = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA device that torch sees: run it on a machine with a GPU"
)


class Exact(torch.nn.Module):
    """A small network of whole numbers with two outputs, one of them a map."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first = torch.nn.Conv2d(3, 8, 3, 2, 1)
        self.second = torch.nn.Conv2d(8, 4, 3, 1, 1)
        for parameter in self.parameters():
            parameter.data = torch.randint(-2, 3, parameter.shape, generator=generator).float()

    def forward(self, x: Any) -> Any:
        maps = self.second(torch.relu(self.first(x)))
        return maps, maps.sum((2, 3))


def images(count: int, height: int = 24, width: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng((count, height, width, seed)).integers(0, 256, (count, height, width, 3), np.uint8)


def twin(network: Any = None, colours: dict[str, Any] = EXACT) -> TorchRuntime:
    return TorchRuntime(network or Exact(), **colours, threads=1, cuda_graphs=True)


def plain(network: Any = None, colours: dict[str, Any] = EXACT) -> TorchRuntime:
    return TorchRuntime(network or Exact(), **colours, threads=1)


def recorded(runtime: TorchRuntime) -> list[tuple[int, ...]]:
    return runtime._graphs.shapes


def assert_same(found: list[np.ndarray], wanted: list[np.ndarray]) -> None:
    assert [(o.shape, o.dtype) for o in found] == [(o.shape, o.dtype) for o in wanted]
    assert [o.tobytes() for o in found] == [o.tobytes() for o in wanted]


# -- any batch, through graphs of a few sizes


def test_batches_of_any_size_give_the_same_bytes() -> None:
    runtime, reference = twin(), plain()
    for turn in range(3):
        for size in (*SIZES, 200):
            batch = images(size, seed=turn)
            assert_same(runtime(batch), reference(batch))
    assert sorted(shape[0] for shape in recorded(runtime)) == [1, 4, 8, 32, 64], "200 are 3 times 64, and 8"
    runtime.close()
    assert recorded(runtime) == []


def test_an_ordinary_network_differs_by_rounding_alone() -> None:
    cfg = config.load(POSE)
    torch.manual_seed(0)
    network = build.network(cfg["model"])
    runtime, reference = twin(network, COLOURS), plain(network, COLOURS)
    for size in (1, 3, 8):
        batch = images(size, 160, 160)
        runtime(batch)
        for ours, theirs in zip(runtime(batch), reference(batch), strict=True):
            assert np.allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_no_images_give_no_rows() -> None:
    for _ in range(3):
        assert_same(twin()(images(0)), plain()(images(0)))


def test_mirrored_images_come_as_they_are() -> None:
    runtime, reference, batch = twin(), plain(), images(5)
    for _ in range(2):
        assert_same(runtime(batch[:, :, ::-1]), reference(batch[:, :, ::-1].copy()))
    assert recorded(runtime)


def test_earlier_results_stay_as_they_were() -> None:
    runtime, reference = twin(), plain()
    batches = [images(4, seed=seed) for seed in range(5)]
    for found, batch in zip([runtime(batch) for batch in batches], batches, strict=True):
        assert_same(found, reference(batch))


def test_two_threads_at_once() -> None:
    runtime, reference, start = twin(), plain(), threading.Barrier(2, timeout=30)

    def work(seed: int) -> None:
        batches = [images(size, seed=seed) for size in (3, 17, 4, 1, 8, 17, 90) * 3]
        start.wait()
        found = [runtime(batch) for batch in batches]
        for ours, batch in zip(found, batches, strict=True):
            assert_same(ours, reference(batch))

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(work, seed) for seed in (1, 2)]:
            done.result(timeout=60)
    assert recorded(runtime)


def test_two_networks_record_at_once_without_waiting_for_each_other_forever() -> None:
    runtimes, reference = [twin(), twin()], plain()

    def work(runtime: TorchRuntime) -> None:
        for size in SIZES * 3:
            assert_same(runtime(images(size)), reference(images(size)))

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(work, runtime) for runtime in runtimes]:
            done.result(timeout=60)


def test_sizes_of_graphs() -> None:
    assert [graph_size(n) for n in (1, 2, 3, 8, 9, 17, 64)] == [1, 2, 4, 8, 16, 32, 64]
    assert max_graph_size((500, 256, 192, 3)) == 64
    assert max_graph_size((1, 640, 640, 3)) == 8, "large images come in smaller batches"
    assert max_graph_size((1, 4000, 6000, 3)) == 1


# -- shapes that change


def test_images_of_many_shapes_keep_few_graphs() -> None:
    runtime, reference = twin(), plain()
    shapes = [(24, 16 + 2 * i) for i in range(MAX_GRAPHS + 4)]
    for turn in range(3):
        for shape in shapes:
            batch = images(2, *shape, seed=turn)
            assert_same(runtime(batch), reference(batch))
    assert len(recorded(runtime)) == MAX_GRAPHS


def test_shapes_that_come_once_are_not_recorded() -> None:
    runtime = twin()
    for i in range(40):
        runtime(images(1, 24, 16 + 2 * i))
    assert recorded(runtime) == []


def test_a_new_shape_that_stays_takes_the_place_of_the_one_that_was_not_used_longest() -> None:
    runtime, reference = twin(), plain()
    for i in range(MAX_GRAPHS):
        for _ in range(2):
            runtime(images(1, 24, 16 + 2 * i))
    runtime(images(1, 24, 16))  # so the second is the oldest
    for turn in range(RUNS_BEFORE_REPLACING + 1):
        assert (1, 48, 48, 3) not in recorded(runtime)
        batch = images(1, 48, 48, seed=turn)
        assert_same(runtime(batch), reference(batch))
    assert (1, 48, 48, 3) in recorded(runtime)
    assert (1, 24, 16, 3) in recorded(runtime)
    assert (1, 24, 18, 3) not in recorded(runtime)
    assert len(recorded(runtime)) == MAX_GRAPHS


# -- what goes wrong


def test_where_recording_fails_it_runs_without_and_says_so_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: cuda_graphs.DeferredStream, work: Callable[[], Any]) -> Any:
        raise RuntimeError("operation not permitted when stream is capturing\nand a long story")

    monkeypatch.setattr(cuda_graphs.DeferredStream, "capture", fail)
    runtime, reference = twin(), plain()
    for _ in range(3):
        for size in SIZES:
            assert_same(runtime(images(size)), reference(images(size)))
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "operation not permitted" in caplog.text
    assert "long story" not in caplog.text


def test_images_that_the_network_cannot_take_spoil_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Fixed(Exact):
        def forward(self, x: Any) -> Any:
            return super().forward(x)[0].reshape(len(x), 4, 12, 8)

    runtime, reference = twin(Fixed()), plain(Fixed())
    for _ in range(3):
        with pytest.raises(ConfigError, match="cannot take images of 32x24"):
            runtime(images(2, 24, 32))
        assert_same(runtime(images(2)), reference(images(2)))
    assert recorded(runtime) == [(2, 24, 16, 3)]
    assert not caplog.records


def test_ctrl_c_in_the_midst_leaves_a_runtime_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime, reference = twin(), plain()
    for _ in range(2):
        runtime(images(200))
    collect, calls = cuda_graphs.TensorCapture.collect, []

    def interrupted(self: cuda_graphs.TensorCapture, slot: int, rows: int) -> list[np.ndarray]:
        calls.append(slot)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return collect(self, slot, rows)

    monkeypatch.setattr(cuda_graphs.TensorCapture, "collect", interrupted)
    with pytest.raises(KeyboardInterrupt):
        runtime(images(200, seed=1))
    for seed in (2, 3):
        assert_same(runtime(images(200, seed=seed)), reference(images(200, seed=seed)))


def test_while_one_records_nobody_else_runs() -> None:
    lock, inside, seen = SharedLock(), threading.Event(), []

    class Still:
        def submit(self, batch: np.ndarray, slot: int) -> None:
            seen.append("replay")

        def collect(self, slot: int, rows: int) -> list[np.ndarray]:
            return [np.zeros((rows, 1))]

    def record(shape: tuple[int, ...]) -> Still:
        inside.set()
        second_call.join(0.2)
        seen.append("recorded")
        return Still()

    def run(batch: np.ndarray) -> list[np.ndarray]:
        return [np.zeros((len(batch), 1))]

    first, second = GraphCache(record, run, lock=lock), GraphCache(lambda shape: Still(), run, lock=lock)
    for _ in range(2):
        second(images(1))
    first(images(1))
    seen.clear()
    second_call = threading.Thread(target=lambda: inside.wait(10) and second(images(1)))
    second_call.start()
    first(images(1))
    second_call.join(10)
    assert seen[0] == "recorded"
    assert sorted(seen) == ["recorded", "replay", "replay"]


# -- float16


class Dots(torch.nn.Module):
    """Finds dots: blurs each colour, with the norm and activation of an ordinary layer, then tells colours apart."""

    def __init__(self) -> None:
        super().__init__()
        self.blur = torch.nn.Conv2d(3, 3, 7, 1, 3, groups=3, bias=False)
        self.norm = torch.nn.BatchNorm2d(3)
        self.last = torch.nn.Conv2d(3, 3, 1)
        span = torch.arange(-3.0, 4.0)
        self.blur.weight.data[:] = torch.exp(-(span[:, None] ** 2 + span**2) / 4)
        self.norm.running_mean.data = torch.tensor([1.0, -2.0, 0.5])
        self.norm.running_var.data = torch.tensor([4.0, 9.0, 25.0])
        self.last.weight.data[:] = (torch.eye(3) - 0.2)[..., None, None]
        self.last.bias.data.zero_()

    def forward(self, x: Any) -> Any:
        return self.last(torch.nn.functional.silu(self.norm(self.blur(x)), inplace=True))


def dotted(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images ``[N, 64, 48, 3]`` of one soft dot in each colour, and the dots' places ``[N, 3, 2]`` (x, y)."""
    rng = np.random.default_rng(count)
    places = rng.uniform(8, 40, (count, 3, 2))
    y, x = np.mgrid[:64, :48]
    squares = (x - places[..., 0, None, None]) ** 2 + (y - places[..., 1, None, None]) ** 2
    shown = 30 + 200 * np.exp(-squares / 8) + rng.normal(0, 3, (count, 3, 64, 48))
    return shown[:, ::-1].transpose(0, 2, 3, 1).round().clip(0, 255).astype(np.uint8), places  # BGR


def peaks(maps: np.ndarray) -> np.ndarray:
    """Return where maps ``[N, K, h, w]`` are highest, (x, y), between the pixels by a parabola."""
    n, k, height, width = maps.shape
    spot = maps.reshape(n, k, -1).argmax(-1)
    y, x = (spot // width).clip(1, height - 2), (spot % width).clip(1, width - 2)
    row, column = np.ogrid[:n, :k]

    def off(before: np.ndarray, middle: np.ndarray, after: np.ndarray) -> np.ndarray:
        return (before - after) / (2 * (before - 2 * middle + after))

    middle = maps[row, column, y, x]
    dx = off(maps[row, column, y, x - 1], middle, maps[row, column, y, x + 1])
    dy = off(maps[row, column, y - 1, x], middle, maps[row, column, y + 1, x])
    return np.stack([x + dx, y + dy], -1)


def normalised(batch: np.ndarray) -> Any:
    values = (batch[..., ::-1].astype(np.float32) - np.float32(COLOURS["mean"])) / np.float32(COLOURS["std"])
    return torch.from_numpy(np.ascontiguousarray(values.transpose(0, 3, 1, 2)))


def test_float16_finds_the_same_points() -> None:
    batch, places = dotted(6)
    network, x = Dots().eval(), normalised(batch)
    with torch.inference_mode():
        wanted = peaks(network(x).numpy())
        light = to_half(network, x[:1])
        with half_precision("cpu"):
            found = light(x)
        assert np.abs(network(x).numpy() - found.numpy()).max() > 0, "nothing was computed in float16"
    assert np.abs(wanted - places).max() < 1, "the network finds the dots"
    assert np.abs(peaks(found.numpy()) - wanted).max() <= 0.5
    assert light.blur.weight.dtype == torch.float16
    assert found.dtype == light.last.weight.dtype == torch.float32, "what makes the output stays exact"
    assert network.blur.weight.dtype == torch.float32, "the original is left alone"


def test_weights_too_large_for_float16_stay_in_float32() -> None:
    network, x = Dots().eval(), normalised(dotted(2)[0])
    network.blur.weight.data *= 1e5
    network.norm.running_var.data *= 1e10
    network.last.weight.data *= 2.0**10
    with torch.inference_mode():
        light = to_half(network, x[:1])
        with half_precision("cpu"):
            found = light(x)
        assert float((found - network(x)).norm() / network(x).norm()) < 1e-4


def test_numbers_too_large_for_float16_leave_a_network_as_it_is() -> None:
    network, x = Dots().eval(), normalised(dotted(1)[0])
    network.norm.weight.data[:] = 1e6
    with torch.inference_mode():
        assert to_half(network, x) is None


def test_heads_of_a_real_network_keep_their_outputs_in_float32() -> None:
    torch.manual_seed(0)
    network, x = build.network(config.load(POSE)["model"]).eval(), normalised(images(2, 160, 160))
    with torch.inference_mode():
        light = to_half(network, x[:1])
        with half_precision("cpu"):
            found = flat(light(x))
        for ours, theirs in zip(found, flat(network(x)), strict=True):
            assert ours.dtype == torch.float32
            assert float((ours - theirs).norm() / theirs.norm()) < 2e-2


def in_half(network: Any) -> TorchRuntime:
    """Return a runtime that does in float16 on a CPU what only a CUDA device is asked to do."""
    runtime = twin(network, COLOURS)
    runtime._half = True
    runtime.device = runtime._description()
    return runtime


def test_the_whole_way_in_float16(caplog: pytest.LogCaptureFixture) -> None:
    runtime, reference = in_half(Dots()), plain(Dots(), COLOURS)
    for size in (1, 3, 8):
        batch, _ = dotted(size)
        (wanted,) = reference(batch)
        for _ in range(3):
            (found,) = runtime(batch)
            assert found.dtype == np.float32
            assert found.tobytes() != wanted.tobytes()
            assert np.abs(peaks(found) - peaks(wanted)).max() <= 0.5
    assert recorded(runtime)
    assert runtime._network.blur.weight.dtype == torch.float16, "weights are converted once, not at each replay"
    assert runtime.device == "cpu (torch, float16)"
    assert not caplog.records


def test_a_network_that_float16_cannot_hold_runs_in_float32_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    networks = [Dots(), Dots()]
    for network in networks:
        network.norm.weight.data[:] = 1e6
    runtime, reference = in_half(networks[0]), plain(networks[1], COLOURS)
    for _ in range(3):
        assert_same(runtime(dotted(1)[0]), reference(dotted(1)[0]))
    assert [record.getMessage() for record in caplog.records] == [
        "the network runs in float32: its numbers are too large for float16"
    ]
    assert "float16" not in runtime.device


class PlayedCuda:
    """Plays `torch.cuda` on a CPU, and notes what is asked of it."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def Stream(self, device: Any) -> Any:  # noqa: N802
        return SimpleNamespace(
            wait_stream=lambda other: self.notes.append(f"waits for {other}"),
            synchronize=lambda: self.notes.append("synchronised"),
        )

    def current_stream(self, device: Any) -> str:
        return "the program's stream"

    def stream(self, stream: Any) -> Any:
        return nullcontext()

    def CUDAGraph(self) -> Any:  # noqa: N802
        return SimpleNamespace(replay=lambda: self.notes.append("replayed"))

    @contextmanager
    def graph(self, graph: Any, *, stream: Any, capture_error_mode: str) -> Iterator[None]:
        self.notes.append(f"records, {capture_error_mode}")
        yield

    def Event(self, blocking: bool) -> Any:  # noqa: N802
        def record(stream: Any) -> None:
            self.notes.append("marked")

        return SimpleNamespace(record=record, synchronize=lambda: self.notes.append("waited"))


def test_a_graph_is_recorded_after_a_warm_up_and_replayed_once_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = PlayedCuda()
    monkeypatch.setattr(torch, "cuda", cuda)
    lane = cuda_graphs.CudaStream(torch.device("cpu"))
    lane.pinned = False

    def work(batch: Any) -> list[Any]:
        cuda.notes.append("works")
        return [batch.float()]

    recording = cuda_graphs.TensorCapture(work, (4, 2, 2, 3), lane)
    assert cuda.notes == [
        "waits for the program's stream",
        *["works"] * 3,
        "synchronised",
        "records, thread_local",
        "works",
    ]
    cuda.notes.clear()
    recording.submit(images(3, 2, 2), 0)
    recording.submit(images(4, 2, 2), 1)
    assert cuda.notes == ["replayed", "marked"] * 2, "nobody waits before the result is wanted"
    assert [o.shape for o in recording.collect(0, 3)] == [(3, 2, 2, 3)]
    assert cuda.notes[4:] == ["waited"]


# -- on a CUDA device


@needs_cuda
def test_cuda_graphs_in_float16_find_the_points_of_float32(caplog: pytest.LogCaptureFixture) -> None:
    runtime = TorchRuntime(Dots(), **COLOURS, device="cuda:0", half=True)
    reference = plain(Dots(), COLOURS)
    for size in (*SIZES, 130):
        batch, places = dotted(size)
        wanted = peaks(reference(batch)[0])
        assert np.abs(wanted - places).max() < 1
        for _ in range(3):
            assert np.abs(peaks(runtime(batch)[0]) - wanted).max() <= 0.5
    assert "float16" in runtime.device
    assert sorted(shape[0] for shape in recorded(runtime)) == [1, 2, 4, 8, 32, 64], "graphs ran, not what replaces them"
    assert not caplog.records


@needs_cuda
@pytest.mark.parametrize("half", [False, True], ids=["float32", "float16"])
def test_cuda_graphs_compute_what_plain_runs_do(half: bool, caplog: pytest.LogCaptureFixture) -> None:
    def network() -> Any:
        torch.manual_seed(0)
        return build.network(config.load(POSE)["model"])

    runtime = TorchRuntime(network(), **COLOURS, device="cuda:0", half=half)
    eager = TorchRuntime(network(), **COLOURS, device="cuda:0", half=half, cuda_graphs=False)
    reference = plain(network(), COLOURS)
    for size in SIZES:
        batch = images(size, 160, 160)
        wanted, unrecorded = reference(batch), eager(batch)
        for _ in range(3):
            for ours, same, theirs in zip(runtime(batch), unrecorded, wanted, strict=True):
                assert np.linalg.norm(ours - same) <= (2e-2 if half else 1e-4) * np.linalg.norm(same)
                assert np.linalg.norm(ours - theirs) <= (3e-2 if half else 1e-3) * np.linalg.norm(theirs)
    assert recorded(runtime)
    assert recorded(eager) == []
    assert not caplog.records


@needs_cuda
def test_two_threads_record_and_run_on_one_cuda_device(caplog: pytest.LogCaptureFixture) -> None:
    runtimes = [TorchRuntime(Dots(), **COLOURS, device="cuda:0", half=half) for half in (False, True)]
    reference = plain(Dots(), COLOURS)

    def work(runtime: TorchRuntime) -> None:
        for size in SIZES * 4:
            batch, _ = dotted(size)
            assert np.abs(peaks(runtime(batch)[0]) - peaks(reference(batch)[0])).max() <= 0.5

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, runtime) for runtime in runtimes * 2]:
            done.result(timeout=120)
    assert all(recorded(runtime) for runtime in runtimes)
    assert not caplog.records


# -- the benchmark


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a torch that sees no GPU: set CUDA_VISIBLE_DEVICES=-1")
def test_the_benchmark_says_that_there_is_no_gpu() -> None:
    told = bench()
    assert told.returncode == 1
    assert told.stdout == ""
    assert told.stderr.startswith("gpu.py: device 'cuda:0' is not available")
    assert len(told.stderr.splitlines()) == 1


def test_the_benchmark_runs_the_twin_on_a_cpu(tmp_path: Path) -> None:
    told = bench("--device", "cpu", "--sizes", "1", "3", "--rounds", "1", "--json", str(tmp_path / "gpu.json"))
    assert told.returncode == 0, told.stderr
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert [row["crops"] for row in found["rows"]] == [1, 3]
    assert all(row["limner"] > 0 and row["mmpose"] > 0 for row in found["rows"])
    assert found["apart"] < 1e-3, "both compute the same"
    assert "simulated" in told.stdout
