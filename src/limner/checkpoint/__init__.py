"""Checkpoint files -> numpy arrays: torch's and safetensors' formats are parsed here; no pickled code ever runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CheckpointError, said
from .formats import StorageReader, open_checkpoint
from .limits import OverBudgetError
from .pickles import HostilePickleError, InertObject, NumpyArray, NumpyScalar, Tensor
from .safetensors import is_safetensors, read

__all__ = ["Checkpoint", "check_fit", "fingerprint", "load"]


MOST_META = 32 << 20  # bytes of the metadata, with all that it holds more than once


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The weights of a model and their metadata."""

    state_dict: dict[str, np.ndarray]  # bfloat16 as float32; in memory of their own, several in one where they share it
    meta: dict[str, Any]  # plain values; an object of an unknown class is an `InertObject`

    @property
    def dataset_meta(self) -> dict[str, Any]:
        """Metadata of the data set trained on, with lower-case keys; may be empty."""
        found = self.meta.get("dataset_meta")
        if isinstance(found, dict):
            return {str(key).lower(): value for key, value in found.items()}
        return {"classes": self.meta["CLASSES"]} if "CLASSES" in self.meta else {}


def load(path: str | Path) -> Checkpoint:
    """Read a checkpoint as OpenMMLab's tools, ``torch.save`` or safetensors write it.

    The weights are the file's ``state_dict``, or else its ``ema_state_dict``, or else the file is
    a dict of weights itself. A prefix ``module.`` that all keys carry is removed.

    Raises:
        CheckpointError: the file is missing, damaged, or not a checkpoint; the message says which.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {str(path)!r}{' (it is a folder)' if path.is_dir() else ''}")
    try:
        with path.open("rb") as file:
            if is_safetensors(file.read(9), path.stat().st_size):
                arrays, texts = read(path, file)
                return Checkpoint(dict(_without_prefix(arrays)), texts)
            file.seek(0)
            root, storages = open_checkpoint(path, file)
            weights = _weights(path, root)
            meta = _plain(root.get("meta"), storages, {}) if weights is not root else None
            if _expanded(meta, {}) > MOST_META:
                raise OverBudgetError("what its meta says is far more than that of any, or holds itself")
            state_dict = {key: _array(path, key, value, storages) for key, value in _without_prefix(weights)}
    except OSError as error:
        raise CheckpointError(f"the checkpoint {path} cannot be read: {error.strerror or error}") from None
    except HostilePickleError as hostile:
        raise CheckpointError(
            f"{path} tries to run '{hostile}' on the machine that opens it, which weights never need: "
            "nothing of it was run; download the file again from its publisher"
        ) from None
    except OverBudgetError as error:
        raise CheckpointError(f"{path} is refused: {error}; download it again from its publisher") from None
    except RecursionError:
        raise CheckpointError(f"{path} is damaged: its contents are nested too deeply") from None
    except MemoryError:
        raise CheckpointError(f"{path} needs more memory than there is here") from None
    return Checkpoint(state_dict, meta if isinstance(meta, dict) else {})


def _weights(path: Path, root: Any) -> dict[str, Any]:
    """Choose the weights in the content of a checkpoint."""
    if not isinstance(root, dict):
        kind = root.name if isinstance(root, InertObject) else type(root).__name__
        raise CheckpointError(f"{path} holds a {kind} in place of weights: save the state_dict of the model alone")
    weights = next((root[name] for name in ("state_dict", "ema_state_dict") if isinstance(root.get(name), dict)), root)
    # an empty dict, as a network without weights has, is one of weights too
    tensors = any(isinstance(value, Tensor) for value in weights.values()) or (weights is not root and not weights)
    if not tensors or not all(isinstance(key, str) for key in weights):
        keys = ", ".join(str(key)[:40] for key in root if isinstance(key, (str, int))) or "nothing"
        raise CheckpointError(f"{path} holds no weights: there is no state_dict in it, but {keys[:200]}")
    return weights


def _without_prefix(weights: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    """Return the weights with their names, without the prefix and extra keys of data-parallel and averaged training."""
    # the counter of an averaged model is the one key of its file without the prefix
    keys = [key for key in weights if key != "steps"]
    prefix = "module." if all(key.startswith("module.") for key in keys) else ""
    kept = [key for key in (keys if prefix else weights) if not key.endswith("_extra_state")]
    return ((key[len(prefix) :], weights[key]) for key in kept)


def _array(path: Path, key: str, value: Any, storages: StorageReader) -> np.ndarray:
    """Return one weight as an array.

    Raises:
        CheckpointError: it is of a type that limner does not read, or extends beyond its storage.
    """
    if isinstance(value, NumpyArray):
        value = _plain(value, storages, {})
    if isinstance(value, (bool, int, float, np.ndarray)):
        array = np.asarray(value)
        if array.dtype.kind in "biufc" and array.dtype.itemsize <= 16:
            return array
    if not isinstance(value, Tensor) or value.dtype is None:
        kind = value.name if isinstance(value, InertObject) else type(value).__name__
        raise CheckpointError(
            f"{path}: {said(key)} is of a type that limner does not read ({kind}), such as a quantised tensor"
        )
    try:
        return storages.view(value.storage, value.dtype, value.size, value.stride, value.offset)
    except (TypeError, ValueError, LookupError, OverflowError) as error:
        raise CheckpointError(f"{path} is damaged: {said(key)} does not fit its data ({str(error)[:200]})") from None


def _plain(value: Any, storages: StorageReader, converted: dict[int, Any]) -> Any:
    """Return a value made of plain containers, arrays and scalars; what cannot be converted stays an `InertObject`."""
    if id(value) in converted:
        return converted[id(value)]
    result = value
    if isinstance(value, dict):
        converted[id(value)] = result = {}
        result.update({key: _plain(item, storages, converted) for key, item in value.items()})
    elif isinstance(value, list):
        converted[id(value)] = result = []
        result.extend(_plain(item, storages, converted) for item in value)
    elif isinstance(value, tuple):
        result = tuple(_plain(item, storages, converted) for item in value)
    elif isinstance(value, (Tensor, NumpyArray, NumpyScalar)):
        try:
            if isinstance(value, NumpyArray):
                storages.budget.take(len(value.state[-1]))
            result = _array(Path(), "", value, storages) if isinstance(value, Tensor) else value.to_numpy()
        except (CheckpointError, TypeError, ValueError, AttributeError, LookupError, OverflowError):
            result = value
    converted[id(value)] = result
    return result


def _expanded(value: Any, known: dict[int, float]) -> float:
    """Return the bytes of a value, roughly, where what it holds twice counts twice; infinite where it holds itself."""
    if isinstance(value, (str, bytes, bytearray)):
        return 50 + len(value)
    if isinstance(value, np.ndarray):
        return 100 + value.nbytes
    if isinstance(value, int):
        return 30 + value.bit_length() // 8
    if not isinstance(value, (dict, list, tuple, set, frozenset)):
        return 50
    if id(value) not in known:
        known[id(value)] = float("inf")
        items = [part for pair in value.items() for part in pair] if isinstance(value, dict) else value
        known[id(value)] = 50 + sum(8 + _expanded(item, known) for item in items)
    return known[id(value)]


def fingerprint(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Return a short hash of the keys and shapes of weights: the same for all weights of one network.

    The counters ``num_batches_tracked`` of batch norms are ignored.
    """
    lines = sorted(f"{key} {list(shape)}" for key, shape in shapes.items() if not key.endswith("num_batches_tracked"))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def check_fit(state_dict: Mapping[str, np.ndarray], wanted: Mapping[str, tuple[int, ...]], *, name: str) -> None:
    """Check that weights have exactly the keys and shapes of a network.

    The counters ``num_batches_tracked`` of batch norms are ignored.

    Args:
        state_dict: the weights of a checkpoint.
        wanted: shape by key of the network that the config describes.
        name: of the checkpoint, for messages.

    Raises:
        CheckpointError: they differ; the message lists the first keys and suggests the cause.
    """
    shapes = {k: tuple(v.shape) for k, v in state_dict.items() if not k.endswith("num_batches_tracked")}
    needed = {k: tuple(v) for k, v in wanted.items() if not k.endswith("num_batches_tracked")}
    missing = [key for key in needed if key not in shapes]
    unexpected = [key for key in shapes if key not in needed]
    other = [key for key in needed if key in shapes and shapes[key] != needed[key]]
    if not missing and not unexpected and not other:
        return
    found = [
        _listed(missing, "missing"),
        _listed(unexpected, "not part of the network"),
        _listed([f"{k} is {list(shapes[k])} where {list(needed[k])} is needed" for k in other], "of another shape"),
    ]
    cause = (
        _cause_of_names(shapes, needed, missing) or _cause_of_shapes(shapes, needed, other) or _cause_of_parts(missing)
    )
    raise CheckpointError(f"{name} does not fit its config: {'; '.join(filter(None, found))}. {cause}")


def _listed(items: list[str], what: str) -> str:
    if not items:
        return ""
    more = ", ..." if len(items) > 5 else ""
    return f"{len(items)} {'key is' if len(items) == 1 else 'keys are'} {what} ({', '.join(items[:5])}{more})"


def _cause_of_names(shapes: Mapping[str, object], needed: Mapping[str, object], missing: list[str]) -> str:
    if not missing or len(missing) * 2 < len(needed):
        return ""
    for longer, shorter, whose in ((shapes, needed, "Its"), (needed, shapes, "The network's")):
        key = next(iter(shorter), "")
        prefix = next((k[: -len(key)] for k in longer if k.endswith(f".{key}")), "")
        if prefix and all(f"{prefix}{k}" in longer for k in shorter):
            return f"{whose} keys begin with '{prefix}', and the others do not: one is a part of the other."
    if len(missing) == len(needed):
        return "No key agrees: this is the checkpoint of another model; give it with the config it was trained with."
    return "Most keys differ: this is the checkpoint of another model; give it with the config it was trained with."


def _cause_of_shapes(
    shapes: Mapping[str, tuple[int, ...]], needed: Mapping[str, tuple[int, ...]], other: list[str]
) -> str:
    if not other:
        return ""
    if not all("head" in key.partition(".")[0] for key in other):
        return "The config probably describes another size of this network (such as s in place of m)."
    counts = {(shapes[k][:1], needed[k][:1]) for k in other}
    if len(counts) == 1 and all(shapes[k][1:] == needed[k][1:] for k in other):
        have, want = counts.pop()
        return (
            f"Only the head differs: the checkpoint was probably trained for {have[0]} keypoints or classes, "
            f"and the config describes {want[0]}."
        )
    return "Only the head differs: the config probably describes another number of keypoints or another input size."


def _cause_of_parts(missing: list[str]) -> str:
    has = "lacks parts of" if missing else "has parts beyond"
    return f"The checkpoint {has} the network: it was probably trained with a variant of this config."
