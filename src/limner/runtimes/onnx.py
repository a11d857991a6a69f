"""ONNX Runtime: on the CPU, and where its CUDA or TensorRT provider is installed, on an NVIDIA GPU."""

from __future__ import annotations

import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DeviceError
from . import EngineError, Signature, Tensor, forks
from .hardware import usable_cores

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
# bytes of a network below which several threads within one operator cost more than they gain: it has one thread, and
# the images of a batch run side by side
SINGLE_THREAD_BYTES = 8_000_000
_PREFIX = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : (Load model from .* failed:\s*)?")
_NAMES = {CPU: "onnxruntime", CUDA: "onnxruntime, CUDA", TENSORRT: "onnxruntime, TensorRT"}


class OnnxRuntime:
    """A network in an ONNX file whose input is ``uint8 [N, H, W, 3]`` BGR.

    It computes in float32: TF32, which CUDA would use for float32, is switched off. Its telemetry is off. The
    code for CUDA and TensorRT follows ONNX Runtime's documentation and was never run on a GPU.

    Args:
        path: the file.
        threads: 0 takes every core that this process may use.
        device: "cpu", "cuda:0" ...
        tensorrt: let TensorRT run it; the first run for a size of batch builds an engine, which takes minutes.
        half: TensorRT may compute in float16.
        engine_folder: a folder where TensorRT stores the engines it built; None builds them at each start.

    Raises:
        EngineError: the file is not a network that ONNX Runtime can load.
        DeviceError: the provider is not installed, or no GPU is found.
    """

    def __init__(
        self,
        path: Path,
        threads: int = 0,
        *,
        device: str = "cpu",
        tensorrt: bool = False,
        half: bool = False,
        engine_folder: Path | None = None,
    ) -> None:
        self._path, self._wanted_device = path, device
        self._threads = threads or usable_cores()
        self._workers = self._threads if device == "cpu" and _bytes(path) < SINGLE_THREAD_BYTES else 1
        self._pool: ThreadPoolExecutor | None = None
        self._providers = _providers(device, tensorrt, half, engine_folder)
        wanted = self._providers[0][0]
        if wanted not in import_onnxruntime().get_available_providers():
            raise DeviceError(missing_provider(device, tensorrt))
        self._lock = threading.Lock()
        self._session: Any = self._open()
        self._is_parents = False  # whether the session is that of the process from which this one was forked
        precision = ", float16" if tensorrt and half else ", int8" if path.name.endswith(".int8.onnx") else ""
        self._input = self._session.get_inputs()[0].name
        self.device = f"{device} ({_NAMES[wanted]}{precision})"
        forks.watch(self)

    def _open(self) -> Any:
        onnxruntime = import_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1 if self._workers > 1 else self._threads
        options.inter_op_num_threads = 1
        # Between two operators a thread spins for 50 us at most, and not at all between two runs: to put it to sleep
        # each time costs a fifth of a small batch's time, and a long spin takes the core that decodes the next image.
        # Versions that do not know the first of these options use their own duration.
        for name, value in (("intra_op.spin_duration_us", "50"), ("force_spinning_stop", "1")):
            options.add_session_config_entry(f"session.{name}", value)
        wanted = self._providers[0][0]
        if wanted != CPU and hasattr(onnxruntime, "preload_dlls"):
            onnxruntime.preload_dlls()  # the loader does not search where pip installed CUDA's libraries
        try:
            # without its own fallback, which prints and continues on the CPU
            session = onnxruntime.InferenceSession(
                str(self._path), options, providers=self._providers, enable_fallback=0
            )
        except Exception as error:  # onnxruntime raises a dozen unrelated classes of its own
            raise EngineError(f"ONNX Runtime cannot load the network '{self._path}': {_reason(error)}") from error
        running = session.get_providers()[0]
        if running != wanted:
            raise DeviceError(
                f"device '{self._wanted_device}' is not available to ONNX Runtime: its {wanted} did not start, which "
                "needs a GPU with CUDA and cuDNN of the versions that onnxruntime-gpu names; use --device cpu"
            )
        return session

    def forked(self) -> None:
        """Forget the threads of the parent process, and its session where that has some; see `runtimes.forks`."""
        self._lock, self._pool = threading.Lock(), None
        if not self._is_parents and (self._workers == 1 or self._wanted_device != "cpu"):
            forks.abandon(self._session)
            self._is_parents = True

    @cached_property
    def signature(self) -> Signature:
        """What the network takes and gives."""
        return _signature(self._session)

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        if self._is_parents:
            self._open_again()
        workers = min(self._workers, len(batch))
        if workers < 2 or self.signature.inputs[0].shape[0] is not None:  # a fixed number of images is not divided
            return self._run(batch)
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._workers - 1, "limner network")
        first, *others = np.array_split(batch, workers)
        waiting = [self._pool.submit(self._run, part) for part in others]
        outputs = [self._run(first), *(part.result() for part in waiting)]
        return [np.concatenate(parts) for parts in zip(*outputs, strict=True)]

    def _open_again(self) -> None:
        with self._lock:
            if self._is_parents:
                self._session = self._open()
                self._is_parents = False

    def _run(self, batch: np.ndarray) -> list[np.ndarray]:
        try:
            return self._session.run(None, {self._input: batch})
        except Exception as error:  # as above
            raise EngineError(f"ONNX Runtime failed on images {list(batch.shape)}: {_reason(error)}") from error

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
        del self._session


def read_signature(path: Path) -> Signature:
    """Return what the network in an ONNX file takes and gives, without preparing it to run.

    Raises:
        EngineError: the file is not a network that ONNX Runtime can load.
    """
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=[CPU])
    except Exception as error:  # as above
        raise EngineError(f"ONNX Runtime cannot load the network '{path}': {_reason(error)}") from error
    return _signature(session)


def _signature(session: Any) -> Signature:
    def tensors(nodes: Any) -> tuple[Tensor, ...]:
        return tuple(
            Tensor(
                node.name,
                node.type.removeprefix("tensor(").removesuffix(")"),
                tuple(side if isinstance(side, int) and side >= 0 else None for side in node.shape),
            )
            for node in nodes
        )

    metadata = dict(session.get_modelmeta().custom_metadata_map)
    return Signature(tensors(session.get_inputs()), tensors(session.get_outputs()), metadata)


def import_onnxruntime() -> Any:
    """Import ONNX Runtime without its telemetry, which from version 1.29 on reports each program and network."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # is read once, when it is loaded
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # for Windows, or where a program loaded it before limner
    onnxruntime.set_default_logger_severity(4)  # its errors are raised as exceptions as well
    return onnxruntime


def missing_provider(device: str, tensorrt: bool = False) -> str:
    """Return a message that the installed onnxruntime cannot use a device, and what to do."""
    what = "TensorRT" if tensorrt else "CUDA"
    return (
        f"device '{device}' is not available to ONNX Runtime: the installed version has no {what}; "
        "pip install onnxruntime-gpu in place of onnxruntime, or use --device cpu"
    )


def _bytes(path: Path) -> int:
    """Return the size of a network: its file, and the weights beside it, which are many files above 2 GB."""
    if not path.is_file():
        return 0
    beside = (file for file in path.parent.iterdir() if file.suffix != ".onnx" and file.is_file())
    return sum(file.stat().st_size for file in (path, *beside))


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return _PREFIX.sub("", lines[0])[:300] if lines else type(error).__name__


def _providers(device: str, tensorrt: bool, half: bool, engine_folder: Path | None) -> list[tuple[str, dict[str, Any]]]:
    """Return the providers to request, the wanted one first; operators that it lacks go to the next."""
    if device == "cpu":
        return [(CPU, {})]
    number = device.partition(":")[2] or "0"
    # the default search tries every algorithm again for each number of images
    cuda = (CUDA, {"device_id": number, "use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"})
    if not tensorrt:
        return [cuda, (CPU, {})]
    if not half:  # TensorRT has no option of its own for it
        os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
    settings = {"device_id": number, "trt_fp16_enable": str(half)}
    if engine_folder is not None:
        engine_folder.mkdir(parents=True, exist_ok=True)
        for kind in ("engine", "timing"):
            settings |= {f"trt_{kind}_cache_enable": "True", f"trt_{kind}_cache_path": str(engine_folder)}
    return [(TENSORRT, settings), cuda, (CPU, {})]
