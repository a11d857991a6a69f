"""Opens one network by MMPose's arguments: a config and its weights, or an ONNX file in place of one or both."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from .. import config, loading, zoo
from ..errors import ArgumentError, MissingExtraError, ModelError, expanded, is_installed
from ..pipeline import Detector, PoseEstimator

# Another engine rounds differently: boxes move by 1e-5 pixels, and crops by a level in some places.
MMPOSE_BACKEND = "torch"
Source = str | Path | Mapping[str, Any]

_log = logging.getLogger(__name__)


def is_onnx(source: object) -> bool:
    """Whether an argument names an ONNX file, or an archive or folder with one."""
    return isinstance(source, (str, Path)) and str(source).strip() != "" and loading.names_onnx(source)


@dataclass(frozen=True)
class Weights:
    """The weights of a network: those that the user gives, else the published ones of a model."""

    given: str | Path | None = None  # a file, a URL, or the name of a model
    model: zoo.ModelInfo | None = None
    missing: str = ""  # what to say where there are none; "" leaves them random
    progress: zoo.Progress | None = None

    @property
    def address(self) -> str | Path | None:
        """Where they are: a file or URL."""
        model = self.model
        if self.given is not None:
            model = None if "://" in str(self.given) else zoo.find(str(self.given))
        return (model.file or model.weights) if model is not None else self.given

    def fetch(self) -> Path | None:
        """Return their file, None for random ones.

        Raises:
            ArgumentError, DownloadError, ModelError: there are none, or they cannot be fetched.
        """
        if isinstance(self.given, Path) or (self.given and expanded(self.given).is_dir()):
            return expanded(self.given)
        wanted = self.model if self.given is None else self.given
        if wanted is None and self.missing:
            raise ArgumentError(self.missing)
        return None if wanted is None else zoo.ensure(wanted, progress=self.progress)

    def check(self) -> None:
        """Raise ArgumentError or ModelError where there are none, as far as that is known before they are fetched."""
        if "://" not in str(self.address or "") and (self.given is not None or self.model is None):
            self.fetch()


@dataclass(frozen=True)
class Prepared:
    """A network that can be opened: all is checked that needs no weights, and nothing is fetched yet."""

    source: Source
    config: config.Config  # empty where an ONNX file comes alone
    options: Mapping[str, object] | None
    weights: Weights
    engine: loading.Engine

    def file(self) -> Path | None:
        """Return the file of the network or its weights, fetched; None for random weights."""
        return _alone(self.source, self.weights) if is_onnx(self.source) else self.weights.fetch()


def prepare(
    kind: str,
    source: Source,
    weights: Weights,
    *,
    device: str | None,
    backend: str | None,
    options: Mapping[str, object] | None = None,
) -> Prepared:
    """Check a network before anything is fetched for it, and choose what runs it.

    Without torch, the published ONNX file takes the place of a ``.pth``, and a sentence says so.

    Args:
        kind: "pose" or "detector".
        source: a config, the name of a published one, or an ONNX file.
        weights: of it; an ONNX file has its own.
        device, backend, options: see `functions.init_model`.

    Raises:
        ConfigError, ModelError: there is no such config or file, or it cannot be used.
        ArgumentError: a config without weights, or an ONNX file with changes of a config that it does not have.
        DeviceError, MissingExtraError: the device or the engine is not available.
    """
    source = _source(source, kind)
    if is_onnx(source):
        if options:
            raise ArgumentError(f"'{source}' is an ONNX file, which has no config to change: leave the options out")
        if "://" not in str(source) and not expanded(str(source)).exists():
            raise ModelError(f"there is no file '{source}'")
        return Prepared(source, config.Config({}), None, weights, engine(device, backend, onnx=True))
    cfg = loading.load_config(source, options)
    weights.check()
    weights = _runnable(kind, cfg, weights, backend)
    chosen = engine(device, backend, onnx=is_onnx(weights.address))
    return Prepared(source, cfg, options, weights, chosen)


def engine(device: str | None, backend: str | None, *, onnx: bool = False) -> loading.Engine:
    """Return the engine; None is torch, whose numbers are MMPose's and which runs no ONNX files, else the best.

    Raises:
        DeviceError, MissingExtraError: see `loading.choose_engine`.
    """
    if onnx and backend in (None, "auto", MMPOSE_BACKEND):
        backend = "onnxruntime"
    if backend == MMPOSE_BACKEND and not is_installed("torch"):
        raise MissingExtraError(
            "The backend torch", "torch", "or leave the backend out, which runs ONNX files where they are published"
        )
    return loading.choose_engine(device, backend or (MMPOSE_BACKEND if is_installed("torch") else "auto"))


def open_pose(prepared: Prepared, *, flip: bool = True) -> PoseEstimator:
    """Open a pose model.

    Raises:
        LimnerError: see `loading.open_pose_estimator`, and what fetches its weights.
    """
    file = prepared.file()
    if is_onnx(file):
        assert file is not None
        return loading.open_onnx_pose(file, prepared.config or None, engine=prepared.engine, flip=flip)
    return loading.open_pose_estimator(prepared.config, file, engine=prepared.engine, flip=flip)


def open_detector(
    prepared: Prepared,
    *,
    bbox_thr: float = 0.0,
    nms_thr: float | None = None,
    labels: Sequence[int] | None = None,
) -> Detector:
    """Open a detector as `open_pose` opens a pose model.

    Args:
        bbox_thr, nms_thr, labels: see `loading.open_detector`.
    """
    settings: dict[str, Any] = {
        "engine": prepared.engine,
        "bbox_thr": bbox_thr,
        "nms_thr": nms_thr,
        "labels": labels,
    }
    file = prepared.file()
    if is_onnx(file):
        assert file is not None
        return loading.open_onnx_detector(file, prepared.config or None, **settings)
    return loading.open_detector(prepared.source, file, options=prepared.options, **settings)


def _source(source: Source, kind: str) -> Source:
    """Return a config, and that of a published model for its name, as MMPose's Inferencer and `limner.load` take it."""
    if isinstance(source, Path) or not isinstance(source, str) or expanded(source).exists():
        return source
    known = zoo.find(source)
    return known.config if known is not None and known.kind == kind else source


def _runnable(kind: str, cfg: config.Config, weights: Weights, backend: str | None) -> Weights:
    """Return weights that this installation can run.

    Raises:
        MissingExtraError: they need torch, which is not installed, and none that need it not are published.
    """
    address = weights.address
    if address is None or is_onnx(address) or backend == MMPOSE_BACKEND:
        return weights
    name = PurePosixPath(str(address).replace("\\", "/")).name
    info = zoo.find_by_file(name)
    short = name if info is None else info.short_name
    runnable = loading.runnable(short, kind, address, cfg, info)
    if runnable == address:
        return weights
    _log.warning("without torch, the published ONNX file of %s takes the place of its .pth", short)
    return replace(weights, given=runnable)


def _alone(source: Source, weights: Weights) -> Path:
    """Return an ONNX file that stands in place of a config, after a check that no other weights are given with it."""
    address = str(source)
    file = expanded(address)
    given = weights.given
    if given is not None and str(given) != address and expanded(given).absolute() != file.absolute():
        raise ArgumentError(
            f"'{source}' is an ONNX file, which holds its weights, so '{given}' has no place: leave it out, or where "
            "both must be given, give the ONNX file twice"
        )
    return zoo.ensure(address, progress=weights.progress) if "://" in address else file
