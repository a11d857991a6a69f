"""Networks that other tools exported: they take normalised floats ``[N, 3, H, W]`` where limner's take pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import ConfigError
from . import Normalisation, Runtime, Signature

MOST_AT_ONCE = 1024  # images of a batch of fixed size, to which a smaller one is filled up
_DTYPES = {"float": np.float32, "float16": np.float16, "double": np.float64}


def takes_floats(signature: Signature) -> bool:
    """Whether a network takes one batch of normalised images ``[N, 3, H, W]``."""
    if len(signature.inputs) != 1:
        return False
    (tensor,) = signature.inputs
    return tensor.kind in _DTYPES and len(tensor.shape) == 4 and tensor.shape[1] == 3


def takes_pixels(signature: Signature) -> bool:
    """Whether a network takes one batch of uint8 images ``[N, H, W, 3]``, as those that limner exports."""
    if len(signature.inputs) != 1:
        return False
    (tensor,) = signature.inputs
    return tensor.kind == "uint8" and len(tensor.shape) == 4 and tensor.shape[3] == 3


class ForeignNetwork:
    """Such a network behind limner's call: uint8 ``[N, H, W, 3]`` BGR in, float32 arrays out.

    Args:
        runtime: the engine that runs it.
        signature: of the network. Where its number of images is fixed, a batch is run in parts of that size.
        normalisation: what its input is normalised with.
        alone: run each image by itself: the number of boxes that a network with its own suppression returns
            depends on all images of a batch.
    """

    def __init__(
        self, runtime: Runtime, signature: Signature, normalisation: Normalisation, *, alone: bool = False
    ) -> None:
        self._runtime = runtime
        self._dtype = _DTYPES[signature.inputs[0].kind]
        self._count = signature.inputs[0].shape[0] or (1 if alone else None)
        if (self._count or 1) > MOST_AT_ONCE:
            raise ConfigError(
                f"the network takes {self._count:,} images at once, and at most {MOST_AT_ONCE:,} are possible: export "
                "it with a batch of one image, or of any number"
            )
        self._mean = np.array(normalisation.mean, np.float32)
        self._std = np.array(normalisation.std, np.float32)
        self._to_rgb = normalisation.to_rgb
        self.device, self.signature = runtime.device, signature

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        images = batch[..., ::-1] if self._to_rgb else batch
        values = np.ascontiguousarray(((images - self._mean) / self._std).transpose(0, 3, 1, 2), self._dtype)
        step = self._count
        if step is None:
            return [np.asarray(output, np.float32) for output in self._runtime(values)]
        parts = []
        for start in range(0, len(values), step):
            part = values[start : start + step]
            missing = step - len(part)
            if missing:
                part = np.concatenate([part, np.zeros((missing, *part.shape[1:]), part.dtype)])
            outputs = self._runtime(part)
            parts.append([np.asarray(output, np.float32)[: step - missing] for output in outputs])
        return [_joined(outputs) for outputs in zip(*parts, strict=True)]

    def close(self) -> None:
        self._runtime.close()


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Join outputs along their first axis; shorter lists of boxes are filled up with -1, a score that none has."""
    if len({part.shape[1:] for part in parts}) == 1:
        return np.concatenate(parts)
    longest = max(part.shape[1] for part in parts)
    filled = []
    for part in parts:
        gap = [(0, 0), (0, longest - part.shape[1]), *[(0, 0)] * (part.ndim - 2)]
        filled.append(np.pad(part, gap, constant_values=-1))
    return np.concatenate(filled)
