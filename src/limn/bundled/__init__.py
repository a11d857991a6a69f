"""The small models that ship inside the package, so that limn works on a machine without a network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import ModelError, suggest

FOLDER = Path(__file__).parent
DEFAULT = "face-lite"


@dataclass(frozen=True)
class BundledModel:
    """A detector and a pose network, with their configs and cards."""

    name: str
    keypoint_set: str
    detector_config: str  # looked up among limn's own configs
    pose_config: str
    bbox_thr: float  # boxes must score above it, unless the user says otherwise

    @property
    def detector(self) -> Path:
        return FOLDER / self.name / "detector.onnx"

    @property
    def pose(self) -> Path:
        return FOLDER / self.name / "pose.onnx"

    @property
    def cards(self) -> tuple[Path, ...]:
        return tuple(sorted((FOLDER / self.name).glob("*.md")))


MODELS = (
    BundledModel(
        name=DEFAULT,
        keypoint_set="300w-68",
        detector_config="limn/rtmdet_face-lite_288.py",
        pose_config="limn/rtmpose_face-lite_300w-160x160.py",
        bbox_thr=0.4,
    ),
)


def find(name: str) -> BundledModel:
    """Return the bundled model of that name.

    Raises:
        ModelError: none has it; the message names the nearest.
    """
    for model in MODELS:
        if model.name == name:
            return model
    names = [m.name for m in MODELS]
    raise ModelError(f"there is no model '{name}'.{suggest(name, names)} `limn models list` shows them all")
