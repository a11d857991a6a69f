"""What a job does with each input: the model and its options, as plain values that travel to any process."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..pipeline import Pipeline

FORMAT = 1  # of the results: a new one gives them new names


@dataclass(frozen=True)
class Settings:
    """The model and its options, as `limner.loading.load` takes them, and how videos are read."""

    model: str = "face-lite"
    weights: str | None = None
    keypoints: str | None = None
    det: str | None = None
    det_weights: str | None = None
    bbox_thr: float | None = None
    det_size: str | None = None
    tile: str = "off"
    max_boxes: int | None = None
    flip: bool = True
    device: str | None = None
    backend: str = "auto"
    precision: str = "auto"
    det_interval: int | None = None
    every: int = 1

    def open(self) -> Pipeline:
        """Load the model.

        Raises:
            LimnerError: see `limner.loading.load`.
        """
        from .. import loading

        return loading.load(
            self.model,
            weights=self.weights,
            keypoints=self.keypoints,
            det=self.det,
            det_weights=self.det_weights,
            bbox_thr=self.bbox_thr,
            det_size=self.det_size,
            tile=self.tile,
            max_boxes=self.max_boxes,
            device=self.device,
            backend=self.backend,
            precision=self.precision,
            flip=self.flip,
        )

    def digest(self) -> str:
        """Return a text that is the same for the same settings; where the model runs is none of them."""
        values = {name: v for name, v in asdict(self).items() if name not in ("device", "backend")}
        return hashlib.sha256(json.dumps([FORMAT, values], sort_keys=True).encode()).hexdigest()
