"""The small models that ship inside the package, so that limner works on a machine without a network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import ModelError, suggest

FOLDER = Path(__file__).parent
DEFAULT = "face-lite"


@dataclass(frozen=True)
class BundledModel:
    """A detector and a pose network, with their configs and model cards."""

    name: str
    keypoint_set: str
    detector_config: str  # a path among limner's own configs
    pose_config: str
    bbox_thr: float  # default: boxes must score above it

    @property
    def detector(self) -> Path:
        return FOLDER / self.name / "detector.onnx"

    @property
    def pose(self) -> Path:
        return FOLDER / self.name / "pose.onnx"

    @property
    def detector_int8(self) -> Path | None:
        """The detector's int8 version, if it has one: it is faster on a CPU with int8 dot products."""
        return _existing(self.detector.with_suffix(".int8.onnx"))

    @property
    def pose_int8(self) -> Path | None:
        """The pose network's int8 version, likewise."""
        return _existing(self.pose.with_suffix(".int8.onnx"))

    def networks(self, *, int8: bool) -> tuple[Path, Path]:
        """Return the files of the detector and the pose network, in their int8 versions where wanted and present."""
        if not int8:
            return self.detector, self.pose
        return self.detector_int8 or self.detector, self.pose_int8 or self.pose

    @property
    def cards(self) -> tuple[Path, ...]:
        return tuple(sorted((FOLDER / self.name).glob("*.md")))


def _existing(path: Path) -> Path | None:
    return path if path.is_file() else None


MODELS = (
    BundledModel(
        name=DEFAULT,
        keypoint_set="300w-68",
        detector_config="limner/rtmdet_face-lite_288.py",
        pose_config="limner/rtmpose_face-lite_300w-160x160.py",
        bbox_thr=0.4,
    ),
)


def find(name: str) -> BundledModel:
    """Return the bundled model of that name.

    Raises:
        ModelError: there is none; the message suggests a similar name.
    """
    for model in MODELS:
        if model.name == name:
            return model
    names = [m.name for m in MODELS]
    raise ModelError(f"there is no model '{name}'.{suggest(name, names)} `limner models list` shows them all")
