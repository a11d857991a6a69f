"""PyTorch, on a CPU, a CUDA device or an Apple GPU."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError, DeviceError, MissingExtraError
from . import forks
from .cuda_graphs import CudaStream, DeferredStream, GraphCache, Stream, TensorCapture
from .hardware import usable_cores

if TYPE_CHECKING:
    from torch import nn

# On a CPU a network with fewer parameters gains no time from a second thread (RTMDet-nano: 29 ms with one,
# 30 ms with two), and with one it gives the same numbers whatever the number of cores.
SINGLE_THREAD_PARAMETERS = 2_000_000

_log = logging.getLogger(__name__)


class TorchRuntime:
    """A torch network whose input is ``uint8 [N, H, W, 3]`` BGR.

    It computes in float32: TF32, which cuDNN would use for float32, is switched off while it runs. On a CUDA
    device repeated shapes are replayed as graphs (see `cuda_graphs`), and images are copied as bytes from pinned
    memory. Tests simulate CUDA streams by `cuda_graphs.DeferredStream`; Apple devices were never tested.

    Args:
        network: takes float ``[N, 3, H, W]``, normalised; the runtime owns and changes it from then on.
        mean, std: of each channel, in the network's own channel order.
        bgr_to_rgb: the network takes RGB.
        device: "cpu", "cuda", "cuda:0" ... or "mps".
        threads: 0 takes every core that this process may use, and one for a small network.
        half: a CUDA device may compute in float16 where torch considers that safe (see `to_half`).
        cuda_graphs: replay repeated shapes; None does so on CUDA devices. On a CPU, which gains nothing, the
            simulated stream is used.

    Raises:
        MissingExtraError: torch is not installed.
        DeviceError: the device is not available.
    """

    def __init__(
        self,
        network: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        bgr_to_rgb: bool,
        device: str = "cpu",
        *,
        threads: int = 0,
        half: bool = False,
        cuda_graphs: bool | None = None,
    ) -> None:
        torch = import_torch()
        self._torch = torch
        self._device = find_device(device)
        self._cuda = self._device.type == "cuda"
        self._half = half and self._cuda
        # on CUDA devices convolutions are quickest with the channels last
        layout: dict[str, Any] = {"memory_format": torch.channels_last} if self._cuda else {}
        self._network = network.to(self._device, **layout).eval()
        self._mean = torch.tensor(mean, dtype=torch.float32, device=self._device).view(1, 3, 1, 1)
        self._std = torch.tensor(std, dtype=torch.float32, device=self._device).view(1, 3, 1, 1)
        self._swap = bgr_to_rgb
        small = sum(p.numel() for p in network.parameters()) < SINGLE_THREAD_PARAMETERS
        # torch's own number considers OMP_NUM_THREADS and cores, but not a container's quota
        self._threads = threads or (1 if small else min(usable_cores(), torch.get_num_threads()))
        self._converted = False  # the conversion to float16 was done or tried
        self._stream: Stream | None = None
        if self._cuda:
            self._stream = CudaStream(self._device)
        elif cuda_graphs and self._device.type == "cpu":
            self._stream = DeferredStream()
        self._graphs: GraphCache | None = None
        if self._stream is not None:  # without graphs, too: torch's settings apply to the whole process
            self._graphs = GraphCache(None if cuda_graphs is False else self._capture, self._run)
        self.device = self._description()
        self._is_forked = False
        forks.watch(self)

    def forked(self) -> None:
        """Compute with one thread, as OpenMP's are the parent's; see `runtimes.forks`."""
        self._threads, self._is_forked = 1, True

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        if self._is_forked and self._cuda:
            raise DeviceError(
                f"{self._device} is not there in a forked process: start processes with "
                "multiprocessing.get_context('spawn'), and load the model in them"
            )
        if self._graphs is None:
            return self._run(batch)
        try:
            return self._graphs(batch)
        except RuntimeError as error:
            raise DeviceError(f"{self._device} failed on images {list(batch.shape)}: {_reason(error)}") from error

    def close(self) -> None:
        if self._graphs is not None:
            self._graphs.close()
        del self._network

    def _description(self) -> str:
        name = f" ({self._torch.cuda.get_device_name(self._device)})" if self._cuda else ""
        return f"{self._device}{name} (torch{', float16' if self._half else ''})"

    def _run(self, batch: np.ndarray) -> list[np.ndarray]:
        """Run a batch as it is."""
        torch = self._torch
        with torch.inference_mode(), self._stream.active() if self._stream else nullcontext():
            try:
                images = self._upload(batch)
                self._convert_once(images)
                outputs = self._compute(images)
            except (ArithmeticError, IndexError, RuntimeError, TypeError, ValueError) as error:
                if isinstance(error, torch.cuda.OutOfMemoryError):
                    raise DeviceError(f"the memory of {self._device} is full: use a smaller model or batch") from error
                shape = "x".join(map(str, batch.shape[2:0:-1]))
                message = f"the network cannot take images of {shape}, the input size of its config: {_reason(error)}"
                raise ConfigError(message) from error
            return [t.cpu().numpy() for t in outputs]

    def _upload(self, batch: np.ndarray) -> Any:
        """Return images on the device."""
        torch = self._torch
        if not self._cuda:
            return torch.from_numpy(np.ascontiguousarray(batch)).to(self._device)
        pinned = torch.empty(batch.shape, dtype=torch.uint8, pin_memory=True)
        np.copyto(pinned.numpy(), batch)
        return pinned.to(self._device, non_blocking=True)

    def _compute(self, images: Any, *, search: bool = False) -> list[Any]:
        """Return the float32 outputs for uint8 ``[N, H, W, 3]``, both on the device."""
        with self._settings(search):
            return [t.float() for t in flat(self._network(self._normalised(images)))]

    def _normalised(self, images: Any) -> Any:
        torch = self._torch
        x = images.permute(0, 3, 1, 2)
        if self._swap:
            x = x.flip(1)
        # on a CPU contiguous before the arithmetic: channels last would use other kernels, with other rounding
        layout = torch.channels_last if self._cuda else torch.contiguous_format
        return (x.contiguous(memory_format=layout).float() - self._mean) / self._std

    def _capture(self, shape: tuple[int, ...]) -> TensorCapture:
        """Capture the network for batches of a shape; RuntimeError where that cannot be done."""
        if self._stream is None:
            raise RuntimeError(f"{self._device} cannot capture graphs")
        # a captured shape will be used often, so that cuDNN may search for its best algorithm
        return TensorCapture(partial(self._compute, search=True), shape, self._stream)

    def _convert_once(self, images: Any) -> None:
        """Convert the network to float16 once, where that is asked for and its numbers stay finite."""
        if not self._half or self._converted:
            return
        with self._settings():
            converted = to_half(self._network, self._normalised(images[:1]))
        self._half = converted is not None
        self._converted = True
        if converted is None:
            _log.warning("the network runs in float32: its numbers are too large for float16")
            self.device = self._description()
        else:
            self._network = converted

    @contextmanager
    def _settings(self, search: bool = False) -> Iterator[None]:
        """Set torch's process-wide settings for this run: threads on a CPU, precision on a CUDA device."""
        torch = self._torch
        with ExitStack() as stack:
            if self._cuda:
                stack.enter_context(torch.backends.cudnn.flags(enabled=True, benchmark=search, allow_tf32=False))
            if self._converted and self._half:
                stack.enter_context(half_precision(self._device.type))
            before = torch.get_num_threads()
            if self._device.type == "cpu" and before != self._threads:
                torch.set_num_threads(self._threads)
                stack.callback(torch.set_num_threads, before)
            yield


def half_precision(device_type: str) -> Any:
    """Return a context in which a network from `to_half` runs in float16 where torch considers that safe."""
    torch = import_torch()
    # autocast's cache of converted weights must not outlive a capture, and weights from `to_half` need no conversion
    return torch.autocast(device_type, dtype=torch.float16, cache_enabled=False)


def to_half(network: nn.Module, x: Any) -> nn.Module | None:
    """Return a copy of a network for float16, to be run in `half_precision`; None where its numbers overflow.

    Convolutions and matrix products compute in float16, and what needs range, such as norms, powers and
    exponentials, in float32: torch's own choice for autocast, whose list for CUDA has `linalg.vector_norm` and
    `pow`, on which RTMPose's head depends. Unlike autocast alone, the weights are converted once: in a graph
    autocast may keep no converted weight, so that each replay would convert them all. Layers that make an output
    themselves, such as SimCC's two and the last convolution of heatmaps, stay in float32: rounded to float16, bins
    beside each other would be equal, which moves four times as many points. Batch norms are not folded into the
    convolutions before them: their biases, in float16 then, would double the error.

    Args:
        network: on any device, for evaluation; it is not changed.
        x: its first input, float32 ``[1, 3, H, W]``.
    """
    torch = import_torch()
    converted = copy.deepcopy(network)
    kinds = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.ConvTranspose2d, torch.nn.Linear)
    layers = [layer for layer in converted.modules() if isinstance(layer, kinds)]
    last = _output_layers(converted, layers, x)
    for layer in layers:
        if layer in last or max(p.abs().max() for p in layer.parameters()) > torch.finfo(torch.float16).max:
            _keep_float32(layer, x.device.type)
        else:
            layer.half()
    with half_precision(x.device.type):
        finite = all(bool(t.isfinite().all()) for t in flat(converted(x)))
    return converted if finite else None


def _output_layers(network: nn.Module, layers: Sequence[nn.Module], x: Any) -> set[nn.Module]:
    """Run a network once; return those of its layers whose outputs are outputs of the network."""
    recorded: list[tuple[Any, nn.Module]] = []  # keeps the tensors alive, so that each has memory of its own

    def record(layer: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        recorded.append((output, layer))

    hooks = [layer.register_forward_hook(record) for layer in layers]
    try:
        outputs = flat(network(x))
    finally:
        for hook in hooks:
            hook.remove()
    # an output may be a view of a layer's output, or that output after an in-place activation
    storages = {t.untyped_storage().data_ptr() for t in outputs}
    return {layer for t, layer in recorded if t.untyped_storage().data_ptr() in storages}


def _keep_float32(layer: Any, device_type: str) -> None:
    torch, original = import_torch(), layer.forward

    def forward(x: Any) -> Any:
        with torch.autocast(device_type, enabled=False):
            return original(x.float())

    layer.forward = forward


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def flat(outputs: Any) -> list[Any]:
    """Flatten nested tuples of tensors, in order."""
    if isinstance(outputs, (tuple, list)):
        return [t for part in outputs for t in flat(part)]
    return [outputs]


def import_torch() -> Any:
    """Import torch.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own dependencies, about nothing that limner uses
            import torch
    except ImportError as error:
        raise MissingExtraError("Running a checkpoint", "torch") from error
    return torch


def find_device(name: str) -> Any:
    """Return the torch device of that name.

    Raises:
        DeviceError: the device is not available; limner never falls back to another one silently.
    """
    torch = import_torch()
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"there is no device '{name}': use cpu, cuda, cuda:0 ... or mps") from error
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise DeviceError(f"device '{name}' is not available: torch finds {count} CUDA devices; use --device cpu")
    elif device.type == "mps":
        if not torch.backends.mps.is_available():
            raise DeviceError("device 'mps' is not available: torch finds no Apple GPU; use --device cpu")
    elif device.type != "cpu":
        raise DeviceError(f"limner does not support the device '{name}': use cpu, cuda, cuda:0 ... or mps")
    return device
