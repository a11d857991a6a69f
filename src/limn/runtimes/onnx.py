"""ONNX Runtime on the CPU."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..errors import CheckpointError


class OnnxRuntime:
    """A network in an ONNX file whose input is ``uint8 [N, H, W, 3]`` BGR.

    Args:
        path: the file.
        threads: threads within one operator; 0 takes every core that this process may use.

    Raises:
        CheckpointError: the file is not a network that ONNX Runtime can load.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        import onnxruntime

        onnxruntime.set_default_logger_severity(3)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or usable_cores()
        options.inter_op_num_threads = 1
        # waiting threads sleep: a spinning one takes the core that decodes the next picture
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises a dozen unrelated classes of its own
            reason = str(error).splitlines()[0]
            raise CheckpointError(f"cannot load the network '{path}': {reason}") from error
        self._input = self._session.get_inputs()[0].name
        self.device = "cpu (onnxruntime)"

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        return self._session.run(None, {self._input: batch})

    def close(self) -> None:
        del self._session


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
