"""The models that limner knows by name: their metadata, the source of their weights, and the download.

The metadata is in models.json beside this module; its head names its sources. Nothing heavy is imported here.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from ..errors import ModelError, expanded

if TYPE_CHECKING:
    from .download import Progress

__all__ = [
    "DEFAULT",
    "ModelInfo",
    "Progress",
    "PublishedResult",
    "detector_for",
    "ensure",
    "find",
    "find_by_file",
    "find_by_fingerprint",
    "find_cached",
    "get",
    "models",
    "state",
]

DEFAULT = "face-lite"  # used where no model is named
_PACKAGE = Path(__file__).parents[1]
_SPEEDS = ((0.5, "very fast"), (3.0, "fast"), (10.0, "medium"), (40.0, "slow"))  # up to so many gmacs
_MAIN_METRICS = ("Whole AP", "AP", "box AP", "NME", "NME full", "NME test", "AUC", "Mean", "Total")
_TERMS = {  # strictest first
    "restricted": "non-commercial",
    "unknown": "terms unknown",
    "mixed": "partly non-commercial",
    "free": "free",
}
_WEIGHTS_LICENCE = (
    "published by OpenMMLab beside code under Apache-2.0; no licence of their own is stated, so the terms of the "
    "training data may reach them"
)


@dataclass(frozen=True)
class PublishedResult:
    """A result that the authors of a model published."""

    dataset: str
    metrics: Mapping[str, float]  # as published: fractions or per cent
    source: str

    @property
    def main_metric(self) -> str:
        """The most general metric, such as "AP 0.749"."""
        name = next((n for n in _MAIN_METRICS if n in self.metrics), next(iter(self.metrics), ""))
        return f"{name} {self.metrics[name]:g}" if name else ""


@dataclass(frozen=True)
class ModelInfo:
    """A model that limner knows by name."""

    name: str
    kind: str  # "pose" or "detector"
    family: str  # "RTMPose", "HRNet", "YOLOX", ...
    config: str  # a path that limner.config.load finds
    aliases: tuple[str, ...] = ()
    weights: str | None = None  # URL; None where they ship with limner
    sha256: str = ""  # prefix of the weights' SHA-256; "" where their name has none
    onnx: str | None = None  # URL of an archive that has the same weights as ONNX, which needs no torch
    fingerprint: str = ""  # of the keys and shapes of the weights: `limner.checkpoint.fingerprint`
    bundled: str | None = None  # file below limner/bundled
    keypoints: str | None = None  # name of the keypoint set; of a pose model only
    input_size: tuple[int, int] = (0, 0)  # (width, height) in pixels
    parameters: int | None = None
    gmacs: float | None = None  # 10^9 multiplications with addition for one input
    detector: str | None = None  # default detector of a pose model
    detector_classes: tuple[int, ...] = (0,)  # classes of that detector to keep, counted from 0
    training_data: tuple[str, ...] = ()
    results: tuple[PublishedResult, ...] = ()

    @property
    def short_name(self) -> str:
        """The shortest name of this model."""
        return self.aliases[0] if self.aliases else self.name

    @property
    def megabytes(self) -> float | None:
        """Size of the weights: of the file that ships with limner, else about four bytes a parameter."""
        if self.file is not None:
            return self.file.stat().st_size / 1e6
        return None if self.parameters is None else self.parameters * 4 / 1e6

    @property
    def speed(self) -> str:
        """A speed class by the number of operations: "very fast" to "very slow"; "" where it is not known."""
        if self.gmacs is None:
            return ""
        return next((word for limit, word in _SPEEDS if self.gmacs <= limit), "very slow")

    @property
    def file(self) -> Path | None:
        """The file of the weights if they ship with limner."""
        return _PACKAGE / "bundled" / self.bundled if self.bundled else None

    @property
    def cards(self) -> tuple[Path, ...]:
        """The model cards that ship with limner, in order of their names."""
        return tuple(sorted(self.file.parent.glob("*.md"))) if self.file else ()

    @property
    def has_config(self) -> bool:
        """Whether limner has a config of its own for it."""
        return (_PACKAGE / "configs" / self.config).is_file()

    def licences(self) -> dict[str, str]:
        """Return notes on the licences of code, weights and each training data set; this is not legal advice."""
        if self.bundled:
            return {"code": "Apache-2.0", "weights": "research use, see the model card"}
        notes = {name: _data()["data_licences"][name][1] for name in self.training_data}
        return {"code": "Apache-2.0", "weights": _WEIGHTS_LICENCE, **notes}

    @property
    def terms(self) -> str:
        """The strictest terms among the training data, in a few words; `licences` has them all."""
        if self.bundled:
            return "research use"
        terms = [_data()["data_licences"][name][0] for name in self.training_data]
        return next((words for word, words in _TERMS.items() if word in terms), "not known")


@cache
def _data() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(Path(__file__).with_name("models.json").read_text(encoding="utf-8"))
    return data


@cache
def _all() -> tuple[ModelInfo, ...]:
    return tuple(_model(dict(entry)) for entry in _data()["models"])


def _model(entry: dict[str, Any]) -> ModelInfo:
    entry["results"] = tuple(PublishedResult(**result) for result in entry["results"])
    for key in ("aliases", "training_data", "input_size", "detector_classes"):
        if key in entry:
            entry[key] = tuple(entry[key])
    return ModelInfo(**entry)


@cache
def _index() -> dict[str, ModelInfo]:
    """Return each model by its names: aliases, its own, its config's path."""
    # of two models with one config, that of MMPose's metafiles comes first
    named = {model.config: model for model in reversed(_all())} | {model.name: model for model in _all()}
    return named | {alias: model for model in _all() for alias in model.aliases}


def models() -> list[ModelInfo]:
    """Return all models, the bundled ones first."""
    return list(_all())


def find(name: str) -> ModelInfo | None:
    """Return the model of that name as `get` does, None where there is none."""
    wanted = name.strip().removesuffix(".py") if "/" not in name else name.strip()
    index = _index()
    return index.get(wanted) or next((m for n, m in index.items() if n.lower() == wanted.lower()), None)


def find_by_file(name: str) -> ModelInfo | None:
    """Return the model whose published weights, or their archive with an ONNX file, have that name.

    Args:
        name: of a file or of a folder; its ending does not count, so an ONNX file that was named after its
            archive is found too.
    """
    return _files().get(_stem(name))


@cache
def _files() -> dict[str, ModelInfo]:
    return {_stem(url): model for model in _all() for url in (model.weights, model.onnx) if url}


def _stem(address: str) -> str:
    return PurePosixPath(address).name.removesuffix(".pth").removesuffix(".zip").removesuffix(".onnx").lower()


def find_by_fingerprint(fingerprint: str) -> list[ModelInfo]:
    """Return the models whose weights have these keys and shapes."""
    return [model for model in _all() if fingerprint and model.fingerprint == fingerprint]


def get(name: str) -> ModelInfo:
    """Return the model of that name: an alias such as ``face``, a config's name, or its path.

    Raises:
        ModelError: no model has that name; the message names similar ones.
    """
    found = find(name)
    if found:
        return found
    wanted, index = name.strip().removesuffix(".py"), _index()
    reason = _data()["not_here"].get(wanted.lower())
    if reason:
        raise ModelError(f"MMPose's '{wanted}' is {reason}. `limner models list` shows the models of limner")
    names = [n for n in index if "/" not in n]
    similar = difflib.get_close_matches(wanted.lower(), names, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(repr(n) for n in similar)}?" if similar else ""
    raise ModelError(f"there is no model '{name}'.{hint} `limner models list --all` shows them all")


def detector_for(model: ModelInfo | str) -> ModelInfo:
    """Return the default detector of a pose model, as MMPose chooses it.

    Raises:
        ModelError: there is no such model, or it is a detector itself.
    """
    model = get(model) if isinstance(model, str) else model
    if model.detector is None:
        raise ModelError(f"{model.name} is a detector: it needs none")
    return get(model.detector)


def ensure(
    model_or_url: ModelInfo | str, *, offline: bool = False, refresh: bool = False, progress: Progress | None = None
) -> Path:
    """Return the verified file of the weights of a model or URL; download them where they are not cached.

    Args:
        model_or_url: a model, its name, an http or https URL, or a file, which is returned as it is.
        offline: do not use the network, as with ``LIMNER_OFFLINE=1``.
        refresh: ask the mirrors of ``LIMNER_MIRRORS`` again which files they list.
        progress: called with the file's name, the bytes downloaded so far and the bytes in all (None: unknown).

    Raises:
        ModelError: there is no such model or file.
        DownloadError: the weights cannot be downloaded; the message says what was tried and what to do.
    """
    from .download import fetch  # loads what bundled models do without

    if isinstance(model_or_url, str):
        if "://" in model_or_url:
            return fetch(model_or_url, offline=offline, refresh=refresh, progress=progress)
        file = expanded(model_or_url)
        if file.is_file():
            return file
        if file.suffix in (".pth", ".pt", ".ckpt", ".safetensors", ".onnx", ".zip"):
            raise ModelError(f"there is no file {model_or_url}")
        model_or_url = get(model_or_url)
    own = model_or_url.file
    if own:
        if not own.is_file():
            raise ModelError(f"{own}, which ships with limner, is not there: install limner again")
        return own
    if model_or_url.weights is None:
        raise ModelError(f"no weights of {model_or_url.name} are published: give a checkpoint file of your own")
    return fetch(model_or_url.weights, offline=offline, refresh=refresh, progress=progress)


def find_cached(url: str) -> Path | None:
    """Return the file of a URL where it is here and valid; see `download.find_cached`."""
    from . import download

    return download.find_cached(url)


def state(model: ModelInfo | str) -> str:
    """Return where the weights of a model are: "bundled", "downloaded" or "not downloaded"."""
    model = get(model) if isinstance(model, str) else model
    if model.bundled:
        return "bundled"
    return "downloaded" if any(url and find_cached(url) for url in (model.weights, model.onnx)) else "not downloaded"
