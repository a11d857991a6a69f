"""limner in a larger program: its threads, forks, child processes, logs, files and settings are left alone."""

from __future__ import annotations

import copy
import functools
import multiprocessing
import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import limner
from limner import checkpoint
from limner.errors import ArgumentError, LimnerError
from limner.images import decode_image, messages
from limner.runtimes.onnx import OnnxRuntime

ROOT = Path(__file__).resolve().parents[1]
BOXES = [[10, 10, 150, 150], [40, 20, 190, 170], [60, 30, 180, 190], [5, 5, 199, 199]]  # enough for the pool

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # threads are what is tested
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no processes")


@pytest.fixture(scope="module")
def model() -> limner.Model:
    return limner.load(backend="onnxruntime")


@pytest.fixture(scope="module")
def image(portrait: np.ndarray) -> np.ndarray:
    return cv2.resize(portrait, (200, 200))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, image: np.ndarray) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with limner.VideoWriter(path, 25) as writer:
        for i in range(100):
            writer.write(np.roll(image, i, axis=1))
    return path


def keypoints(model: limner.Model, image: np.ndarray) -> np.ndarray:
    return model(image, boxes=BOXES).keypoints


def worked(model: limner.Model, image: np.ndarray, number: int) -> np.ndarray:
    """What a worker of a pool does; of a module, so that it is found in other processes."""
    return keypoints(model, image)


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(LimnerError) as caught:
        call()
    return str(caught.value)


def python(code: str, *arguments: object, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, env=environment)


def in_child(work: Callable[[], bool], timeout: float = 60) -> bool:
    """Whether some work is done in a forked process; one that hangs is ended."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if work() else 1
        finally:
            os._exit(status)
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


# -- file descriptors, and what else belongs to the process


def test_neither_logs_nor_the_errors_of_children_are_lost() -> None:
    code = """
import os, subprocess, sys, threading
import cv2, numpy as np
from limner.errors import InputError
from limner.images import decode_image

noise = np.random.default_rng(0).integers(0, 255, (800, 1000, 3), dtype=np.uint8)
data = cv2.imencode(".jpg", noise)[1].tobytes()
torn = data[:-20000] + b"\\xff\\xd9"
done = threading.Event()

def decode():
    while not done.is_set():
        decode_image(data, "whole")
        try:
            decode_image(torn, "torn")
        except InputError:
            pass
        else:
            os.write(2, b"torn is read\\n")

def log():
    for i in range(3000):
        os.write(2, b"log\\n")

threads = [threading.Thread(target=decode), threading.Thread(target=log)]
[thread.start() for thread in threads]
for i in range(40):
    subprocess.run(["sh", "-c", "echo child >&2"])
threads[1].join()
done.set()
threads[0].join()
"""
    said = python(code).stderr.splitlines()
    assert said.count("log") == 3000
    assert said.count("child") == 40
    assert len(said) == 3040, set(said)


@pytest.mark.skipif(not messages.is_glibc(), reason="what libraries print is caught with glibc alone")
def test_libraries_of_images_stay_silent(image: np.ndarray, capfd: pytest.CaptureFixture[str]) -> None:
    data = cv2.imencode(".jpg", image)[1].tobytes()
    decode_image(data[:-2] + 40 * b"\x55" + data[-2:], "with bytes behind its pixels")
    assert "damaged" in refused(lambda: decode_image(data[:-500] + data[-2:], "torn"))
    assert capfd.readouterr().err == ""


def test_settings_of_the_process_are_as_they_were(model: limner.Model, image: np.ndarray, clip: Path) -> None:
    def settings() -> list[Any]:
        kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, *filter(None, [getattr(signal, "SIGPIPE", None)]))
        torch = sys.modules.get("torch")
        return [
            dict(os.environ),
            os.getcwd(),
            [signal.getsignal(kind) for kind in kinds],
            cv2.getNumThreads(),
            cv2.ocl.useOpenCL(),
            cv2.getLogLevel() if hasattr(cv2, "getLogLevel") else None,
            np.geterr(),
            torch and torch.get_num_threads(),
            os.fstat(1).st_ino,
            os.fstat(2).st_ino,
            threading.excepthook,
            sys.unraisablehook,
            sys.excepthook,
        ]

    model(image)  # an engine sets its own when it is first loaded
    before = settings()
    limner.load()(image).plot()
    list(model.watch(clip, max_frames=3))
    model.tracker()(image)
    assert settings() == before


# -- threads


def test_eight_threads_get_the_same_as_one(model: limner.Model, image: np.ndarray, clip: Path) -> None:
    images = [np.roll(image, 20 * i, axis=0) for i in range(8)]
    alone = [keypoints(model, one) for one in images]
    video = [result.keypoints for result in model.watch(clip, max_frames=10)]
    wrong: list[object] = []

    def work(number: int) -> None:
        try:
            for i in range(6):
                if not np.array_equal(keypoints(model, images[(number + i) % 8]), alone[(number + i) % 8]):
                    wrong.append(number)
            if number % 4 == 0:
                found = [result.keypoints for result in model.watch(clip, max_frames=10)]
                if not all(map(np.array_equal, found, video)):
                    wrong.append("video")
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not wrong


# -- forks and other processes


@needs_fork
def test_a_forked_process_goes_on_with_a_model(model: limner.Model, image: np.ndarray) -> None:
    expected = keypoints(model, image)  # its pool has threads from now on
    assert in_child(lambda: np.array_equal(keypoints(model, image), expected))
    assert np.array_equal(keypoints(model, image), expected)


@needs_fork
def test_a_forked_process_goes_on_with_a_network_of_several_threads(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="onnx makes the network")
    runtime = OnnxRuntime(_network(tmp_path, 2_500_000), threads=4)
    batch = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    expected = runtime(batch)[0]
    assert in_child(lambda: np.array_equal(runtime(batch)[0], expected))


@needs_fork
def test_a_forked_process_goes_on_with_openvino(image: np.ndarray) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is an extra")
    model = limner.load(backend="openvino")
    expected = keypoints(model, image)
    assert in_child(lambda: np.allclose(keypoints(model, image), expected, atol=0.01))


@needs_fork
def test_a_forked_process_goes_on_with_torch() -> None:
    torch = pytest.importorskip("torch", reason="torch is an extra")
    from limner.runtimes.torch import TorchRuntime

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.Sequential(*(torch.nn.Conv2d(3, 3, 3, padding=1) for _ in range(4)))

        def forward(self, images: Any) -> Any:
            return [self.layers(images)]

    runtime = TorchRuntime(Network(), [0, 0, 0], [255, 255, 255], False, threads=4)
    batch = np.random.default_rng(0).integers(0, 255, (4, 128, 128, 3), dtype=np.uint8)
    expected = runtime(batch)[0]  # OpenMP has threads from now on
    assert in_child(lambda: np.allclose(runtime(batch)[0], expected, atol=1e-5))


@needs_fork
def test_a_process_forked_while_another_thread_decodes(image: np.ndarray) -> None:
    data = cv2.imencode(".png", cv2.resize(image, (1500, 1500)))[1].tobytes()
    done = threading.Event()

    def decode() -> None:
        while not done.is_set():
            decode_image(data, "large")

    thread = threading.Thread(target=decode)
    thread.start()
    try:
        for _ in range(10):
            assert in_child(lambda: decode_image(data, "large").shape == (1500, 1500, 3), 20)
    finally:
        done.set()
        thread.join()


@needs_fork
def test_a_process_forked_while_a_video_is_watched(model: limner.Model, clip: Path) -> None:
    watched = model.watch(clip)
    next(watched)
    assert in_child(lambda: "open it anew" in refused(lambda: next(watched)))
    assert in_child(lambda: len(list(model.watch(clip, max_frames=3))) == 3)
    assert len(list(watched)) == 99


@pytest.mark.parametrize("how", multiprocessing.get_all_start_methods())
def test_workers_of_multiprocessing(model: limner.Model, image: np.ndarray, how: str) -> None:
    expected = keypoints(model, image)
    with multiprocessing.get_context(how).Pool(2) as pool:
        found = pool.map_async(functools.partial(worked, model, image), range(4)).get(60)
    assert all(np.array_equal(one, expected) for one in found)


class Photos:
    """A data set as torch's DataLoader takes it."""

    def __init__(self, model: limner.Model, image: np.ndarray) -> None:
        self.model, self.image = model, image

    def __len__(self) -> int:
        return 6

    def __getitem__(self, number: int) -> np.ndarray:
        return keypoints(self.model, np.roll(self.image, number, axis=0))


@pytest.mark.parametrize("how", multiprocessing.get_all_start_methods()[: 2 if os.environ.get("LIMNER_LONG") else 1])
def test_a_data_loader_of_torch(model: limner.Model, image: np.ndarray, how: str) -> None:
    data = pytest.importorskip("torch.utils.data", reason="torch is an extra")
    photos = Photos(model, image)
    loader = data.DataLoader(photos, num_workers=2, multiprocessing_context=how, timeout=60, collate_fn=np.stack)
    for number, batch in enumerate(loader):
        assert np.array_equal(batch[0], photos[number])


def test_a_process_ends_while_videos_are_watched(clip: Path) -> None:
    code = (
        "import sys, limner; model = limner.load(); open_ = [model.watch(sys.argv[1]) for _ in range(2)]; "
        "[next(one) for one in open_]; print('over')"
    )
    began = time.monotonic()
    ended = python(code, clip)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "over\n", "")
    assert time.monotonic() - began < 30


# -- copies, and the end of a model


def test_a_model_travels_by_its_recipe(model: limner.Model, image: np.ndarray, tmp_path: Path) -> None:
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(keypoints(again, image), keypoints(model, image))
    assert copy.copy(model) is model
    assert copy.deepcopy([model])[0] is model
    alone = limner.Model(model.pipeline)
    assert "limner.load()" in refused(lambda: pickle.dumps(alone))


def test_a_recipe_names_files_from_the_root_on(
    model: limner.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: np.ndarray
) -> None:
    assert model.pipeline.pose.weights is not None
    (tmp_path / "net.onnx").write_bytes(model.pipeline.pose.weights.read_bytes())
    monkeypatch.chdir(tmp_path)
    pickled = pickle.dumps(limner.load("net.onnx", det="whole-image"))
    monkeypatch.chdir("/")
    assert len(pickle.loads(pickled)(image)) == 1
    (tmp_path / "net.onnx").unlink()
    assert "net.onnx" in refused(lambda: pickle.loads(pickled))


def test_results_are_copied_and_pickled(model: limner.Model, image: np.ndarray) -> None:
    result = model(image, boxes=BOXES)
    for other in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result), copy.copy(result)):
        assert np.array_equal(other.keypoints, result.keypoints)
        assert other.names == result.names


def test_a_closed_model_says_so(image: np.ndarray, clip: Path) -> None:
    with limner.load() as model:
        tracker = model.tracker()
        model(image)
    model.close()
    calls: list[Callable[[], object]] = [
        lambda: model(image),
        lambda: list(model.each([image])),
        lambda: list(model.watch(clip)),
        lambda: model.tracker(),
        lambda: model.names,
        lambda: pickle.dumps(model),
        lambda: model.__enter__(),
    ]
    for call in calls:
        assert "this model is closed" in refused(call)
    assert repr(model) == "Model(closed)"
    assert tracker(image) is not None, "one that is in use goes on"
    with pytest.raises(ArgumentError), model:
        pass


# -- files that change under a loaded model


def _legacy(path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch writes the file")
    torch.save({"state_dict": {"x": torch.ones(5000)}}, path, _use_new_zipfile_serialization=False)


def _zip(path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch writes the file")
    torch.save({"state_dict": {"x": torch.ones(5000)}}, path)


def _safetensors(path: Path) -> None:
    table = b'{"x":{"dtype":"F32","shape":[5000],"data_offsets":[0,20000]}}'
    path.write_bytes(struct.pack("<Q", len(table)) + table + np.ones(5000, np.float32).tobytes())


@pytest.mark.parametrize(("name", "make"), [("a.pth", _legacy), ("b.pth", _zip), ("c.safetensors", _safetensors)])
def test_weights_stay_when_their_file_is_written_over(tmp_path: Path, name: str, make: Callable[[Path], None]) -> None:
    path = tmp_path / name
    make(path)
    loaded = checkpoint.load(path)
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    (array,) = loaded.state_dict.values()
    assert np.array_equal(array, np.ones(5000, np.float32))


def _network(folder: Path, numbers: int) -> Path:
    """Make an ONNX file whose network multiplies by weights, of which it holds as many as are asked for."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(0).random((12, numbers // 12), dtype=np.float32)
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["floats"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", 2, 2, 3])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", numbers // 12])],
        [numpy_helper.from_array(weights, "weights")],
    )
    path = folder / "network.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    return path


def test_a_network_stays_when_its_file_is_written_over(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="onnx makes the network")
    path = _network(tmp_path, 12_000)
    runtime = OnnxRuntime(path)
    batch = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    before = runtime(batch)[0]
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    assert np.array_equal(runtime(batch)[0], before)
