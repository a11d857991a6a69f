"""PyTorch, on a CPU, a CUDA device or an Apple GPU."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError, DeviceError, MissingExtraError
from .hardware import usable_cores

if TYPE_CHECKING:
    from torch import nn

# On a CPU a network with fewer parameters gains no time from a second thread (RTMDet-nano: 29 ms with one,
# 30 ms with two), and with one it gives the same numbers whatever the number of cores.
SMALL = 2_000_000


class TorchRuntime:
    """A torch network whose input is ``uint8 [N, H, W, 3]`` BGR.

    It computes in float32: TF32, which cuDNN would take for float32, is switched off while it runs. What is
    done for CUDA and Apple devices was never run on one.

    Args:
        network: takes float ``[N, 3, H, W]``, normalised.
        mean, std: of each channel, in the network's own channel order.
        bgr_to_rgb: the network wants RGB.
        device: "cpu", "cuda", "cuda:0" ... or "mps".
        threads: 0 takes every core that this process may use, and one for a small network.
        half: a CUDA device may compute in float16 where torch holds that to be safe.

    Raises:
        MissingExtraError: torch is not installed.
        DeviceError: the device is not there.
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
        small = sum(p.numel() for p in network.parameters()) < SMALL
        # torch's own number counts OMP_NUM_THREADS and cores, but no container's quota
        self._threads = threads or (1 if small else min(usable_cores(), torch.get_num_threads()))
        name = f" ({torch.cuda.get_device_name(self._device)})" if self._cuda else ""
        self.device = f"{self._device}{name} (torch{', float16' if self._half else ''})"

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        torch = self._torch
        with torch.inference_mode(), self._settings():
            x = torch.from_numpy(np.ascontiguousarray(batch)).to(self._device).permute(0, 3, 1, 2)
            if self._swap:
                x = x.flip(1)
            # on a CPU contiguous before the arithmetic: channels last would pick other kernels, with other rounding
            layout = torch.channels_last if self._cuda else torch.contiguous_format
            x = (x.contiguous(memory_format=layout).float() - self._mean) / self._std
            try:
                outputs = flat(self._network(x))
            except (IndexError, RuntimeError) as error:
                if isinstance(error, torch.cuda.OutOfMemoryError):
                    raise DeviceError(f"the memory of {self._device} is full: take a smaller model or batch") from error
                shape = "x".join(map(str, batch.shape[2:0:-1]))
                why = str(error).splitlines()[0]
                said = f"the config gives its network pictures of {shape}, which it cannot take: {why}"
                raise ConfigError(said) from error
            return [t.float().cpu().numpy() for t in outputs]

    def close(self) -> None:
        del self._network

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """Set for this run what torch keeps for the whole process: threads on a CPU, precision on a CUDA device."""
        torch = self._torch
        with ExitStack() as stack:
            if self._cuda:
                stack.enter_context(torch.backends.cudnn.flags(enabled=True, allow_tf32=False))
            if self._half:
                stack.enter_context(torch.autocast("cuda", dtype=torch.float16))
            before = torch.get_num_threads()
            if self._device.type == "cpu" and before != self._threads:
                torch.set_num_threads(self._threads)
                stack.callback(torch.set_num_threads, before)
            yield


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
            warnings.simplefilter("ignore")  # of its own dependencies, about nothing that limn uses
            import torch
    except ImportError as error:
        raise MissingExtraError("Running a checkpoint", "torch") from error
    return torch


def find_device(name: str) -> Any:
    """Return the torch device of that name.

    Raises:
        DeviceError: there is no such device here; limn never falls back to another one in silence.
    """
    torch = import_torch()
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"'{name}' is no device: use cpu, cuda, cuda:0 ... or mps") from error
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise DeviceError(f"device '{name}' is not there: torch sees {count} CUDA devices; use --device cpu")
    elif device.type == "mps":
        if not torch.backends.mps.is_available():
            raise DeviceError("device 'mps' is not there: torch sees no Apple GPU; use --device cpu")
    elif device.type != "cpu":
        raise DeviceError(f"device '{name}' is none that limn runs on: use cpu, cuda, cuda:0 ... or mps")
    return device
