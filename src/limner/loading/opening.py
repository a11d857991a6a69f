"""Fetches and opens what was chosen: a pose estimator or a detector, from a ``.pth``, an ONNX or a bundled file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .. import build, bundled, config, keypoints, zoo
from ..detection.views import check_size
from ..errors import ArgumentError, ConfigError, is_installed
from ..keypoints import KeypointSet
from ..pipeline import Detector, PoseEstimator
from ..runtimes.engines import Engine, is_prepared, open_file
from ..runtimes.hardware import int8_dot_products
from ..types import MessageCallback
from . import keypoint_sets, stages
from .choices import DETECTOR, POSE, Choice, is_url
from .installation import engine_for, fit

BBOX_THR = NMS_THR = 0.3  # of MMPose, for models that have no threshold of their own


@dataclass(frozen=True)
class Opener:
    """Opens choices, all with the same options.

    Args:
        device, backend, precision, flip, progress: see `loading.load`.
        points: the keypoint set that the user names.
        info: told what a user should know.
    """

    device: str | None
    backend: str
    precision: str
    flip: bool
    points: str | Path | KeypointSet | None
    progress: zoo.Progress | None
    info: MessageCallback
    _configs: dict[str | Path, config.Config] = field(default_factory=dict, init=False)  # that were read

    def _config(self, source: str | Path | Mapping[str, Any]) -> config.Config:
        """Return a config; its file is read once."""
        if not isinstance(source, (str, Path)):
            return stages.load_config(source, None)
        if source not in self._configs:
            self._configs[source] = stages.load_config(source, None)
        return self._configs[source]

    def check(self, choice: Choice) -> Choice:
        """Return the choice that this installation can run, after all checks that need no weights.

        Raises:
            ConfigError: its config cannot be used.
            ArgumentError: another keypoint set than its config's, or an impossible engine.
            DeviceError, MissingExtraError: the device or an engine is not available.
        """
        spec = self._spec(choice)
        if isinstance(spec, build.PoseSpec) and self.points is not None:
            keypoint_sets.named(self.points, spec.keypoints)
        choice = fit(choice, self._is_prepared)
        self.engine(choice)
        return choice

    def check_det_size(self, choice: Choice, size: tuple[int, int]) -> None:
        """Raise ArgumentError where the config of a detector says that its network takes no input of that size."""
        spec = self._spec(choice)
        if choice.weights is not None and isinstance(spec, build.DetectorSpec) and size != spec.size:
            check_size(size, max(spec.strides, default=32))

    def runs_checkpoint(self, choice: Choice) -> bool:
        """Whether this installation can run the weights of a ``.pth``."""
        return is_installed("torch") or self._is_prepared(choice)

    def points_of(self, choice: Choice) -> KeypointSet | None:
        """Return the keypoint set of a pose model as far as it shows before its weights are fetched, else None."""
        if choice.config is None:
            return None
        cfg = self._config(choice.config)
        if self.points is not None:
            return keypoint_sets.named(self.points, build.pose_spec(cfg).keypoints)
        try:
            return keypoint_sets.of_config(cfg, build.pose_spec(cfg))
        except (ArgumentError, ConfigError):  # the checkpoint may say it
            return None

    def engine(self, choice: Choice) -> Engine:
        """Return the engine that runs a choice; see `engine_for` for the errors."""
        engine = engine_for(choice, self.device, self.backend, half=self.precision.endswith("float16"))
        if self.precision == "int8" and choice.weights is None and engine.kind != "cpu":
            raise ArgumentError(
                f"int8 runs on the CPU, not on '{engine.device}': use the device cpu, or leave int8 out"
            )
        return engine

    def fetch(self, choice: Choice) -> Choice:
        """Return a choice whose weights are a file, fetched where they are not there yet.

        Raises:
            DownloadError: they cannot be fetched.
        """
        if not is_url(choice.weights):
            return choice
        return replace(choice, weights=zoo.ensure(str(choice.weights), progress=self.progress))

    def identify(self, choice: Choice) -> Choice:
        """Return a fetched checkpoint with its config; anything else as it is.

        Raises:
            CheckpointError: its config cannot be told.
        """
        if choice.config is not None or choice.is_onnx:
            return choice
        from . import checkpoint_configs  # loads what models with a known config do without

        return self.check(checkpoint_configs.with_config(choice, self.points, self.info))

    def pose(self, choice: Choice) -> PoseEstimator:
        """Open a fetched pose model."""
        estimator = self._pose(choice)
        if choice.weights is not None:
            estimator.weights = Path(choice.weights)
        return estimator

    def _pose(self, choice: Choice) -> PoseEstimator:
        engine = self.engine(choice)
        if choice.weights is None:
            return self._bundled_pose(choice, engine)
        cfg = None if choice.config is None else self._config(choice.config)
        if choice.is_onnx:
            from . import onnx_pose  # loads what our own networks do without
            from .archives import network_file

            with network_file(Path(choice.weights), stages.network_cache()) as file:
                return onnx_pose.open_pose(
                    choice.file_label, file, cfg, engine=engine, keypoints=self.points, flip=self.flip, info=self.info
                )
        assert cfg is not None
        points = None if self.points is None else keypoint_sets.named(self.points, build.pose_spec(cfg).keypoints)
        return stages.open_pose_estimator(
            cfg,
            choice.weights,
            engine=engine,
            flip=self.flip,
            keypoint_set=points,
            label=choice.name,
            info=self.info,
        )

    def detector(self, choice: Choice, bbox_thr: float | None, labels: Sequence[int] | None) -> Detector:
        """Open a fetched detector.

        Args:
            bbox_thr: None takes the model's own threshold.
            labels: classes to keep; None keeps all.
        """
        engine = self.engine(choice)
        if choice.weights is None:
            return self._bundled_detector(choice, engine, bbox_thr)
        cfg = None if choice.config is None else self._config(choice.config)
        threshold = BBOX_THR if bbox_thr is None else bbox_thr
        if choice.is_onnx:
            from . import onnx_detector
            from .archives import network_file

            with network_file(Path(choice.weights), stages.network_cache()) as file:
                return onnx_detector.open_detector(
                    choice.file_label, file, cfg, engine=engine, bbox_thr=threshold, nms_thr=NMS_THR, labels=labels
                )
        assert cfg is not None
        spec = build.detector_spec(cfg)
        return stages.open_detector(
            cfg,
            choice.weights,
            engine=engine,
            bbox_thr=threshold,
            nms_thr=NMS_THR,
            labels=_of_classes(labels, spec.classes),
            tight=True,
            label=choice.name,
            info=self.info,
        )

    def _bundled_pose(self, choice: Choice, engine: Engine) -> PoseEstimator:
        files = _files(choice)
        _, pose = files.networks(int8=self._int8(engine))
        spec = build.pose_spec(self._config(files.pose_config))
        points = keypoints.load(files.keypoint_set)
        if self.points is not None:
            points = keypoint_sets.named(self.points, spec.keypoints)
        estimator = PoseEstimator(open_file(pose, engine), spec if self.flip else replace(spec, flip=None), points)
        estimator.weights = pose
        return estimator

    def _bundled_detector(self, choice: Choice, engine: Engine, bbox_thr: float | None) -> Detector:
        files = _files(choice)
        detector, _ = files.networks(int8=self._int8(engine))
        spec = build.detector_spec(self._config(files.detector_config))
        return Detector(open_file(detector, engine), spec, bbox_thr=files.bbox_thr if bbox_thr is None else bbox_thr)

    def _int8(self, engine: Engine) -> bool:
        if self.precision == "int8":
            return True
        return self.precision == "auto" and engine.kind == "cpu" and int8_dot_products()

    def _spec(self, choice: Choice) -> build.PoseSpec | build.DetectorSpec | None:
        if choice.config is None:
            return None
        cfg = self._config(choice.config)
        _check_kind(choice, cfg)
        return build.pose_spec(cfg) if choice.role.kind == "pose" else build.detector_spec(cfg)

    def _is_prepared(self, choice: Choice) -> bool:
        """Whether the weights of a checkpoint are here and their export is cached: that needs no torch."""
        if choice.config is None or self.backend == "torch":
            return False
        file = zoo.find_cached(str(choice.weights)) if is_url(choice.weights) else Path(str(choice.weights))
        spec = self._spec(choice)
        if file is None or spec is None:
            return False
        source = stages.network_source(self._config(choice.config), spec, file)
        return is_prepared(source, stages.network_cache())


def runnable(
    label: str, kind: str, weights: str | Path, cfg: Mapping[str, Any], info: zoo.ModelInfo | None
) -> str | Path:
    """Return weights that this installation can run: without torch, the published ONNX file of a ``.pth``.

    Args:
        label: what messages call it.
        kind: "pose" or "detector".
        weights: a file or URL.
        cfg: their config.
        info: the model that they are published as, None where they are the user's own.

    Raises:
        MissingExtraError: they need torch, which is not installed.
    """
    role = POSE if kind == POSE.kind else DETECTOR
    choice = Choice(label, role, weights, cfg, info, own_weights=info is None)
    opener = Opener(None, "auto", "auto", True, None, None, lambda message: None)
    return fit(choice, opener._is_prepared).weights or weights


def _files(choice: Choice) -> bundled.BundledModel:
    """Return the files of the bundle that a model of it belongs to."""
    assert choice.info is not None
    assert choice.info.bundled is not None
    return bundled.find(choice.info.bundled.partition("/")[0])


def _of_classes(labels: Sequence[int] | None, classes: Sequence[str] | None) -> list[int] | None:
    """Return the classes to keep of those that a detector has; all where it has none of them."""
    if labels is None or classes is None:
        return None if labels is None else list(labels)
    return [label for label in labels if label < len(classes)] or None


def _check_kind(choice: Choice, cfg: Mapping[str, Any]) -> None:
    """Raise ArgumentError where a config is one of the other kind."""
    model = cfg.get("model")
    if not isinstance(model, Mapping):
        return  # the reader of the config says it
    if choice.role.kind == "pose" and "bbox_head" in model and "head" not in model:
        raise ArgumentError(f"'{choice.label}' is the config of a detector: give it as det, and a pose model as model")
    if choice.role.kind == "detector" and "head" in model and "bbox_head" not in model:
        raise ArgumentError(f"'{choice.label}' is the config of a pose model: give it as model, and a detector as det")
