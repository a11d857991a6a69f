"""What a user means by a model or a detector: a name, a config, a file or a URL. Nothing is fetched or opened here."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from .. import bundled, config, zoo
from ..errors import ArgumentError, ConfigError, ModelError, expanded
from ..files import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from ..zoo import store

CHECKPOINTS = (".pth", ".pt", ".ckpt", ".safetensors")
NETWORKS = (".onnx", ".zip")
_ENDINGS = f"{', '.join((*CHECKPOINTS, NETWORKS[0]))} or {NETWORKS[1]}"


@dataclass(frozen=True)
class Role:
    """What a model is asked for, and what the arguments that name it and its weights are called."""

    kind: str  # "pose" or "detector"
    name: str
    weights: str


POSE = Role("pose", "model", "weights")
DETECTOR = Role("detector", "det", "det_weights")


@dataclass(frozen=True)
class Choice:
    """One model that a user chose, or that is the default beside it."""

    label: str  # as the user named it
    role: Role
    weights: str | Path | None  # a URL or a file; None: what ships with limner
    config: str | Path | Mapping[str, Any] | None  # None: the weights must say what they are
    info: zoo.ModelInfo | None = None  # what the zoo knows of it
    own_weights: bool = False  # the user named them: nothing else may take their place

    @property
    def name(self) -> str:
        """What messages call it: the last part of a path or URL."""
        return PurePosixPath(self.label.replace("\\", "/")).name or self.label

    @property
    def file_label(self) -> str:
        """What messages about its file call it."""
        return str(self.weights) if self.own_weights and self.config is not None else self.label

    @property
    def is_onnx(self) -> bool:
        """Whether its weights are an ONNX file or an archive of one, which needs no torch."""
        return self.weights is None or names_onnx(self.weights)


def is_url(address: object) -> bool:
    """Whether an address must be fetched."""
    return isinstance(address, str) and "://" in address


def names_onnx(address: str | Path) -> bool:
    """Whether weights are an ONNX file, an archive of one, or a folder."""
    return ending(address) in NETWORKS or Path(address).is_dir()


def ending(address: str | Path) -> str:
    """Return the ending of a file's or URL's name, lower case."""
    path = urlsplit(address).path if isinstance(address, str) and "://" in address else str(address)
    return PurePosixPath(path.replace("\\", "/")).suffix.lower()


def choose(name: str | Path, weights: str | Path | None, role: Role) -> Choice:
    """Return what the arguments of a user mean.

    Args:
        name: a name of the zoo, a config's path, or a file or URL of weights.
        weights: those to use with a name or config.
        role: of the model.

    Raises:
        ModelError: there is no such model or file, or it is one of the other kind.
        ArgumentError: a config without weights, weights beside weights, or weights for a bundled model.
    """
    label = str(name).strip()
    if not label:
        raise ArgumentError(f"{role.name} is empty: give a name, a config, or a file of weights")
    given = None if weights is None else weights_at(weights, role)
    address = _without_scheme(label)
    if ending(address) in (*CHECKPOINTS, *NETWORKS) or _is_network_folder(address):
        if given is not None:
            raise ArgumentError(
                f"{role.name} is '{label}', weights already, so {role.weights} has no place: give the config or a "
                f"name as {role.name}"
            )
        return _by_weights(label, weights_at(address, role), role)
    info = zoo.find(label)
    if info is not None:
        return _by_name(label, info, given, role)
    if ending(address) in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
        kind, call = ("a video", "model.watch") if ending(address) in VIDEO_SUFFIXES else ("an image", "model")
        raise ArgumentError(
            f"{role.name} is '{label}', {kind}, where a model is needed: load one, such as {bundled.DEFAULT}, and give "
            f"it the file, {call}('{label}')"
        )
    if is_url(address):
        raise ArgumentError(f"{role.name} is '{label}', a URL, but weights end with {_ENDINGS}")
    if not _names_a_config(address):
        file = expanded(address)
        similar = _similar(file) if file.parent != Path() or file.suffix else ""
        if similar:
            raise ModelError(f"there is no model or file '{label}'.{similar}")
        zoo.get(label)  # raises the error that suggests names
    return _by_config(label, address, given, role)


def by_info(info: zoo.ModelInfo, role: Role) -> Choice:
    """Return a model of the zoo with its published weights."""
    return Choice(info.short_name, role, info.weights or info.onnx, info.config, info)


def weights_at(address: str | Path, role: Role) -> str | Path:
    """Return a URL of weights as it is, or the file of a path.

    Raises:
        ModelError: there is no such file.
        ArgumentError: no weights have such a name.
    """
    text = _without_scheme(str(address).strip())
    if ending(text) not in (*CHECKPOINTS, *NETWORKS) and not _is_network_folder(text):
        raise ArgumentError(f"{role.weights} is '{text}', but weights end with {_ENDINGS}")
    if is_url(text):
        store.file_name(text)  # checks the name
        return text
    file = expanded(text)
    if not file.exists():
        raise ModelError(f"there is no file '{text}'.{_similar(file)}")
    if file.is_dir() and not _is_network_folder(text):
        raise ModelError(f"'{text}' is a folder, and no .onnx file is in it")
    return file


def _by_name(label: str, info: zoo.ModelInfo, given: str | Path | None, role: Role) -> Choice:
    _check_kind(label, info, role)
    if info.bundled is not None:
        if given is not None:
            raise ArgumentError(
                f"'{label}' ships with limner, weights included: leave {role.weights} out, or give the config that "
                f"they belong to as {role.name}"
            )
        return Choice(label, role, None, info.config, info)
    if given is None:
        return Choice(label, role, info.weights or info.onnx, info.config, info)
    return Choice(label, role, given, info.config, info, own_weights=True)


def _by_weights(label: str, address: str | Path, role: Role) -> Choice:
    """Return what a file or URL of weights stands for, as far as its name says it."""
    path = PurePosixPath(unquote(urlsplit(str(address)).path)) if is_url(address) else Path(address)
    names = [path.name, *([path.parent.name] if path.suffix == ".onnx" else [])]  # of SDKs: NAME/end2end.onnx
    info = next((found for found in map(zoo.find_by_file, names) if found), None)
    if info is None:
        return Choice(label, role, address, None, own_weights=True)
    _check_kind(label, info, role)
    return Choice(label, role, address, info.config, info, own_weights=True)


def _by_config(label: str, path: str, given: str | Path | None, role: Role) -> Choice:
    try:
        config.resolve(path)
    except ConfigError as error:
        similar = "" if "Did you mean" in str(error) else _similar(expanded(path))
        raise ConfigError(f"{error}{similar}") from None
    if given is None:
        known = zoo.find(Path(path).name)
        name = f", or its name '{Path(path).stem}' alone for the published ones" if known else ""
        raise ArgumentError(
            f"'{label}' is a config, which has no weights: give {role.weights} too, a file or URL{name}"
        )
    return Choice(label, role, given, path, None, own_weights=True)


def _check_kind(label: str, info: zoo.ModelInfo, role: Role) -> None:
    if info.kind == role.kind:
        return
    if role.kind == "pose":
        raise ModelError(f"'{label}' is a detector, which finds boxes and no keypoints: give it as det, not as model")
    default = f" (its own detector is {zoo.detector_for(info).short_name})" if info.detector else ""
    raise ModelError(f"'{label}' is a pose model, which finds keypoints and no boxes: give a detector as det{default}")


def _names_a_config(text: str) -> bool:
    return ending(text) in (".py", ".json", ".yml", ".yaml") or "::" in text or expanded(text).is_file()


def _is_network_folder(text: str) -> bool:
    """Whether a path is the folder that MMDeploy writes: it has an ONNX file."""
    if is_url(text):
        return False
    folder = expanded(text)
    try:
        return folder.is_dir() and any(folder.glob("*.onnx"))
    except OSError:  # a name that is too long for one, or a folder that may not be read
        return False


def _without_scheme(text: str) -> str:
    """Return the path of a file URL, anything else as it is."""
    return str(store.local_path(text)) if store.is_local(text) else text


def _similar(file: Path) -> str:
    """Return a hint at a file beside a missing one that has nearly its name, or at the folder that is missing."""
    if not file.parent.is_dir():
        return f" There is no folder '{file.parent}' either."
    try:
        names = [entry.name for entry in file.parent.iterdir()]
    except OSError:
        return ""
    found = difflib.get_close_matches(file.name, names, n=1, cutoff=0.6)
    return f" Did you mean '{file.parent / found[0]}'?" if found else ""
