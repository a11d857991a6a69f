"""PyTorch, on a CPU or a CUDA device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DeviceError, MissingExtraError

if TYPE_CHECKING:
    from torch import nn

# On a CPU a network with fewer parameters gains no time from a second thread (RTMDet-nano: 29 ms with one,
# 30 ms with two), and with one it gives the same numbers whatever the number of cores.
SMALL = 2_000_000


class TorchRuntime:
    """A torch network whose input is ``uint8 [N, H, W, 3]`` BGR.

    Args:
        network: takes float ``[N, 3, H, W]``, normalised.
        mean, std: of each channel, in the network's own channel order.
        bgr_to_rgb: the network wants RGB.
        device: "cpu", "cuda", "cuda:0" ...

    Raises:
        MissingExtraError: torch is not installed.
        DeviceError: the device is not there.
    """

    def __init__(
        self, network: nn.Module, mean: Sequence[float], std: Sequence[float], bgr_to_rgb: bool, device: str = "cpu"
    ) -> None:
        torch = import_torch()
        self._torch = torch
        self._device = find_device(device)
        self._network = network.to(self._device).eval()
        self._mean = torch.tensor(mean, dtype=torch.float32, device=self._device).view(1, 3, 1, 1)
        self._std = torch.tensor(std, dtype=torch.float32, device=self._device).view(1, 3, 1, 1)
        self._swap = bgr_to_rgb
        self._small = self._device.type == "cpu" and sum(p.numel() for p in network.parameters()) < SMALL
        name = f" ({torch.cuda.get_device_name(self._device)})" if self._device.type == "cuda" else ""
        self.device = f"{self._device}{name} (torch)"

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        torch = self._torch
        with torch.inference_mode(), self._threads():
            x = torch.from_numpy(np.ascontiguousarray(batch)).to(self._device).permute(0, 3, 1, 2)
            if self._swap:
                x = x.flip(1)
            # contiguous before the arithmetic: channels last would pick other kernels, with other rounding
            x = (x.contiguous().float() - self._mean) / self._std
            return [t.float().cpu().numpy() for t in _flat(self._network(x))]

    def close(self) -> None:
        del self._network

    @contextmanager
    def _threads(self) -> Iterator[None]:
        """Keep a small network to one thread."""
        before = self._torch.get_num_threads()
        if not self._small or before == 1:
            yield
            return
        self._torch.set_num_threads(1)
        try:
            yield
        finally:
            self._torch.set_num_threads(before)


def _flat(outputs: Any) -> list[Any]:
    """Flatten nested tuples of tensors, in order."""
    if isinstance(outputs, (tuple, list)):
        return [t for part in outputs for t in _flat(part)]
    return [outputs]


def import_torch() -> Any:
    """Import torch.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
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
