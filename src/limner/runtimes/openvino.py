"""OpenVINO, on the CPU."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DeviceError, MissingExtraError
from . import EngineError, forks
from .hardware import amx_bfloat16, usable_cores


class OpenVino:
    """A network in an ONNX file whose input is ``uint8 [N, H, W, 3]`` BGR.

    It computes in float32 unless ``half`` is set: by default OpenVINO uses bfloat16 on processors that have it. Its
    telemetry is off: by default each import of it reports.

    Args:
        path: the file.
        threads: 0 takes every core that this process may use.
        hint: "latency" gives one batch all threads; "throughput" runs the images of a batch side by side,
            each on few threads.
        half: compute in bfloat16, which takes a third of the time on a processor with AMX and moves keypoints a little.

    Raises:
        MissingExtraError: OpenVINO is not installed.
        DeviceError: the processor has no AMX for bfloat16.
        EngineError: the file is not a network that OpenVINO can load.
    """

    def __init__(self, path: Path, threads: int = 0, *, hint: str = "latency", half: bool = False) -> None:
        self._path, self._threads, self._hint, self._half = path, threads, hint, half
        self._open()
        self._is_parents = False  # whether all of it is of the process from which this one was forked
        precision = ", bfloat16" if half else ", int8" if path.name.endswith(".int8.onnx") else ""
        self.device = f"cpu (openvino{precision})"
        forks.watch(self)

    def _open(self) -> None:
        path, half = self._path, self._half
        core, reader = import_openvino()
        # OpenVINO lists BF16 for processors too that compute in it without AMX: more slowly than in float32
        if half and not (amx_bfloat16() and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")):
            raise DeviceError(
                "bfloat16 needs a processor with AMX (amx_bf16), and on this one it would be slower and less exact "
                "than float32: leave --precision out, or use float32"
            )
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
            "EXECUTION_MODE_HINT": "PERFORMANCE" if half else "ACCURACY",
            "PERFORMANCE_HINT": self._hint.upper(),
            "INFERENCE_NUM_THREADS": self._threads or usable_cores(),
            # a pinned thread waits for its core while another program uses it
            "ENABLE_CPU_PINNING": False,
        }
        try:
            network = reader.convert(reader.load(str(path)))
            if len(network.inputs) != 1:  # an empty file is an empty network to it
                raise RuntimeError(f"it has {len(network.inputs)} inputs where 1 is needed")
            self._model = core.compile_model(network, "CPU", settings)
        except Exception as error:  # OpenVINO raises RuntimeError and classes of its own
            raise EngineError(f"OpenVINO cannot load the network '{path}': {_reason(error)}") from error
        throughput = self._hint == "throughput"
        count = int(self._model.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")) if throughput else 1
        self._requests = [self._model.create_infer_request() for _ in range(max(1, count))]
        self._outputs = len(self._model.outputs)
        self._lock = threading.Lock()  # a request runs one batch at a time

    def forked(self) -> None:
        """Forget the network of the parent process, which has its threads; see `runtimes.forks`."""
        self._lock = threading.Lock()
        if not self._is_parents:
            for engine in (self._model, self._requests):
                forks.abandon(engine)
            self._is_parents = True

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        batch = np.ascontiguousarray(batch)
        if self._is_parents:
            with self._lock:
                if self._is_parents:
                    self._open()
                    self._is_parents = False
        with self._lock:
            try:
                if len(self._requests) == 1 or len(batch) == 1:
                    self._requests[0].infer([batch], share_inputs=True)
                    return self._copied(self._requests[0])
                return self._side_by_side(batch)
            except RuntimeError as error:
                raise EngineError(f"OpenVINO failed on images {list(batch.shape)}: {_reason(error)}") from error

    def _side_by_side(self, batch: np.ndarray) -> list[np.ndarray]:
        """Run each image by itself, as many at once as there are requests."""
        count = len(self._requests)
        outputs: list[list[np.ndarray]] = []
        try:
            for i in range(len(batch) + count):
                request = self._requests[i % count]
                if count <= i < len(batch) + count and i - count < len(batch):
                    request.wait()
                    outputs.append(self._copied(request))
                if i < len(batch):
                    request.start_async([batch[i : i + 1]], share_inputs=True)
        finally:
            for request in self._requests:  # none may still read the batch after an error
                request.wait()
        return [np.concatenate(parts) for parts in zip(*outputs, strict=True)]

    def _copied(self, request: Any) -> list[np.ndarray]:
        # the request overwrites its tensors in its next run
        return [np.array(request.get_output_tensor(i).data, np.float32) for i in range(self._outputs)]

    def close(self) -> None:
        del self._requests, self._model


@cache
def import_openvino() -> tuple[Any, Any]:
    """Return OpenVINO's core and its reader of ONNX; by default it tries all readers, which print errors.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        with _without_telemetry():
            import openvino
            from openvino.frontend import FrontEndManager
    except ImportError as error:
        raise MissingExtraError("The backend openvino", "openvino") from error
    return openvino.Core(), FrontEndManager().load_by_framework("onnx")


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Import OpenVINO without its telemetry: it sends none where that package is missing."""
    absent = [name for name in ("openvino_telemetry",) if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def _reason(error: Exception) -> str:
    """Return the line of OpenVINO's message with the reason; those before it name its source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reasons = [line for line in lines if not line.startswith(("Exception from", "Check '")) and ".cpp:" not in line]
    return (reasons or lines or [type(error).__name__])[0][:300]
