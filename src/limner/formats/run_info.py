"""What made a result: model, weights, engine and version, as the heads of result files state it."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class RunInfo:
    """What made the results of a run; an empty text is not known."""

    model: str = ""  # its name, or the name of its config file
    weights_sha256: str = ""  # lower-case hexadecimal hash of the pose network's weights
    engine: str = ""  # "onnxruntime", "openvino", "torch", ...
    precision: str = ""  # "float32", "int8", ...
    version: str = ""  # of limner

    def fields(self) -> dict[str, str]:
        """Return what is known, by the names of the fields."""
        return {name: value for name, value in asdict(self).items() if value}
