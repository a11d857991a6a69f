"""Which engine runs a network, and opening it: the one place that knows them all."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache as remembered
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, CheckpointError, DeviceError, MissingExtraError, suggest
from . import Colours, EngineError, Runtime
from .cache import NETWORK, Cache
from .hardware import cuda_devices
from .metadata import decode, encode

if TYPE_CHECKING:
    from torch import nn

BACKENDS = ("auto", "onnxruntime", "openvino", "torch", "tensorrt")
HINTS = ("latency", "throughput")
AUTO = {"cpu": ("onnxruntime", "torch"), "cuda": ("torch", "onnxruntime"), "mps": ("torch",)}  # in order of preference
FORMAT = 1  # of what is kept in the cache

NO_DEVICE = "'{}' is no device: use cpu, cuda, cuda:0 ... or mps"
_DEVICE = re.compile(r"(cpu|cuda|mps)(:\d+)?")
_log = logging.getLogger(__name__)


def check_name(what: str, value: str, known: Sequence[str]) -> None:
    """Raise ArgumentError, which names the nearest, unless ``value`` is one of ``known``."""
    if value not in known:
        raise ArgumentError(f"there is no {what} '{value}': use {', '.join(known)}.{suggest(value, known)}")


@dataclass(frozen=True)
class Engine:
    """What shall run a network, and how.

    Args:
        backend: one of `BACKENDS`; "auto" takes the best that is installed for the device.
        device: "cpu", "cuda:0" ... or "mps".
        threads: of a CPU; 0 takes every core that this process may use.
        hint: "latency", or "throughput" for many images a batch; OpenVINO alone tells them apart.
        half: a CUDA device may compute in float16, OpenVINO on a CPU in bfloat16.

    Raises:
        ArgumentError: a value is none of these, or two contradict each other.
        DeviceError: there is no such kind of device.
    """

    backend: str = "auto"
    device: str = "cpu"
    threads: int = 0
    hint: str = "latency"
    half: bool = False

    def __post_init__(self) -> None:
        check_name("backend", self.backend, BACKENDS)
        check_name("hint", self.hint, HINTS)
        if self.kind not in AUTO:
            raise DeviceError(NO_DEVICE.format(self.device))
        if self.threads < 0:
            raise ArgumentError(f"the number of threads must be 0 (all cores) or more, not {self.threads}")
        if self.backend == "openvino" and self.kind != "cpu":
            raise ArgumentError(f"the backend openvino runs on the CPU, not on '{self.device}': use --device cpu")
        if self.backend == "tensorrt" and self.kind != "cuda":
            raise ArgumentError(
                f"the backend tensorrt runs on CUDA devices, not on '{self.device}': use --device cuda:0"
            )
        if self.half and self.kind != "cuda" and self.backend != "openvino":
            raise ArgumentError(f"float16 needs a CUDA device, and '{self.device}' is none: take float32")
        if self.half and self.backend == "onnxruntime":
            raise ArgumentError("the backend onnxruntime computes no float16: use --backend torch or tensorrt")

    @property
    def kind(self) -> str:
        """The kind of device: "cpu", "cuda" or "mps"."""
        return self.device.partition(":")[0]

    @property
    def order(self) -> tuple[str, ...]:
        """The backends to try, best first."""
        return AUTO.get(self.kind, ()) if self.backend == "auto" else (self.backend,)


CPU = Engine()  # the best that is installed for a CPU


@dataclass(frozen=True, eq=False)
class NetworkSource:
    """A network that a config and a checkpoint describe; it is made only where no export of it is at hand."""

    model: Mapping[str, Any]  # the config's model
    weights: Path | None  # the checkpoint; None: drawn at random
    colours: Colours
    size: tuple[int, int]  # (width, height) of the input
    dynamic_size: bool  # images of other sizes come, too
    make: Callable[[], tuple[nn.Module, Mapping[str, Any]]]  # the network with its weights, and what these note


def choose_engine(
    device: str | None = None, backend: str = "auto", *, threads: int = 0, hint: str = "latency", half: bool = False
) -> Engine:
    """Return an `Engine` whose device is there; None takes the first CUDA device that an engine can use, else the CPU.

    Raises:
        ArgumentError, DeviceError, MissingExtraError: see `Engine` and `choose_device`.
    """
    return Engine(backend, choose_device(device, backend), threads, hint, half)


def choose_device(name: str | None = None, backend: str = "auto") -> str:
    """Return ``name`` if it is there, or where it is None "cuda:0" if an engine can use one, else "cpu".

    No engine is loaded unless there is a reason to ask it. A number alone means that CUDA device.

    Raises:
        ArgumentError: there is no such backend.
        DeviceError: the device is not there; limner never falls back to another one in silence.
        MissingExtraError: it needs torch, which is not installed.
    """
    check_name("backend", backend, BACKENDS)
    if name is None and backend == "tensorrt":
        name = "cuda:0"
    if name is None:
        if backend == "openvino" or not cuda_devices():
            return "cpu"
        try:
            _check_cuda("cuda:0", backend)
        except (DeviceError, MissingExtraError):
            return "cpu"
        return "cuda:0"
    wanted = name.strip().lower()
    wanted = f"cuda:{wanted}" if wanted.isdigit() else wanted
    if not _DEVICE.fullmatch(wanted):
        raise DeviceError(NO_DEVICE.format(name))
    if wanted.startswith("cuda"):
        _check_cuda(wanted, backend)
    elif wanted.startswith("mps"):
        from .torch import find_device

        find_device(wanted)
    return wanted


def _check_cuda(device: str, backend: str) -> None:
    """Raise DeviceError or MissingExtraError unless an engine of that backend can use a CUDA device."""
    problem: DeviceError | MissingExtraError | None = None
    if backend in ("auto", "torch"):
        from .torch import find_device

        try:
            find_device(device)
            return
        except (DeviceError, MissingExtraError) as error:
            problem = error
        if backend == "torch":
            raise problem
    count = cuda_devices()
    if int(device.partition(":")[2] or 0) >= count:
        if isinstance(problem, DeviceError):
            raise problem
        raise DeviceError(f"device '{device}' is not there: the driver sees {count} CUDA devices; use --device cpu")
    from .onnx import CUDA, TENSORRT, import_onnxruntime, missing_provider

    tensorrt = backend == "tensorrt"
    if (TENSORRT if tensorrt else CUDA) not in import_onnxruntime().get_available_providers():
        raise problem or DeviceError(missing_provider(device, tensorrt))


def open_file(path: Path, engine: Engine = CPU) -> Runtime:
    """Open a network in an ONNX file.

    Raises:
        EngineError: the file is damaged, or no network that the engine can take.
        ArgumentError: the engine runs no ONNX files.
        DeviceError, MissingExtraError: the engine or its device is not there.
    """
    names = [name for name in engine.order if name != "torch"]
    if not names:
        raise ArgumentError(f"torch cannot run '{path.name}', an ONNX file: use --device cpu --backend onnxruntime")
    return _first(names, lambda name: _run(name, path, engine, None))


def open_network(source: NetworkSource, engine: Engine, cache: Cache) -> tuple[Runtime, dict[str, Any]]:
    """Open the network of a config and a checkpoint; return it with what the checkpoint notes of its data set.

    Any engine but torch runs an export, which is made once and kept in the cache: the next start needs neither
    torch nor time to read the checkpoint. With the backend "auto" another engine takes over, with a warning,
    where the best one cannot take the network. Random weights are exported only where an engine is asked for.

    Raises:
        CheckpointError: the weights are damaged or do not fit the config; its subclass EngineError: they are
            good, but the engine that was asked for cannot run them.
        DeviceError, MissingExtraError: the engine or its device is not there.
    """
    names: Sequence[str] = engine.order
    if source.weights is None and engine.backend == "auto":
        names = ("torch",)
    return _first(names, lambda name: _open(name, source, engine, cache))


def _first(names: Sequence[str], opened: Callable[[str], Any]) -> Any:
    """Open with the first engine that can; say so where that is not the best one."""
    problems: list[Exception] = []
    for name in names:
        try:
            found = opened(name)
        except (EngineError, DeviceError, MissingExtraError) as error:
            problems.append(error)
            continue
        for problem in problems:
            _log.warning("%s runs the network in place of %s: %s", name, names[0], problem)
        return found
    raise problems[0]


def _open(name: str, source: NetworkSource, engine: Engine, cache: Cache) -> tuple[Runtime, dict[str, Any]]:
    if name == "torch":
        from .torch import TorchRuntime, import_torch

        import_torch()
        network, metadata = source.make()
        colours = source.colours
        settings = (colours.mean, colours.std, colours.to_rgb, engine.device)
        return TorchRuntime(network, *settings, threads=engine.threads, half=engine.half), _kept(metadata)
    if name == "openvino":  # before the checkpoint is exported for it
        from .openvino import import_openvino

        import_openvino()
    if source.weights is None:
        return _open_unkept(name, source, engine)
    if not source.weights.is_file():
        raise CheckpointError(f"there is no checkpoint '{source.weights}'")
    try:
        key = _key(source, cache.digest(source.weights))
        path, metadata = cache.get(key, lambda folder: _export(source, folder))
    except OSError as error:
        _log.warning("the network is exported anew at each start: %s: %s", cache.folder, error.strerror or error)
        return _open_unkept(name, source, engine)
    return _run(name, path, engine, path.parent / "tensorrt"), dict(metadata)


def _open_unkept(name: str, source: NetworkSource, engine: Engine) -> tuple[Runtime, dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="limner-", ignore_cleanup_errors=True) as folder:
        metadata = _export(source, Path(folder))
        return _run(name, Path(folder) / NETWORK, engine, None), _kept(metadata)


def _run(name: str, path: Path, engine: Engine, scratch: Path | None) -> Runtime:
    """Open an ONNX file with one engine."""
    if name == "openvino":
        from .openvino import OpenVino

        return OpenVino(path, engine.threads, hint=engine.hint, half=engine.half)
    from .onnx import OnnxRuntime

    return OnnxRuntime(
        path,
        engine.threads,
        device=engine.device,
        tensorrt=name == "tensorrt",
        half=engine.half,
        scratch=scratch if name == "tensorrt" else None,
    )


def _export(source: NetworkSource, folder: Path) -> Mapping[str, Any]:
    """Make a network and write it into a folder; return what its checkpoint notes."""
    from .export import export, need_onnx
    from .torch import import_torch

    import_torch()
    need_onnx()
    network, metadata = source.make()
    _log.info("preparing the network for its first run")
    export(network, source.colours, source.size, folder / NETWORK, dynamic_size=source.dynamic_size)
    return metadata


def _kept(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return notes as the cache would, so that each start has the same ones."""
    try:
        kept = decode(encode(dict(metadata)))
    except ValueError as error:
        raise CheckpointError(f"the checkpoint's dataset_meta cannot be read: {error}") from error
    return kept if isinstance(kept, dict) else {}


def _key(source: NetworkSource, digest: str) -> str:
    """Return a name for all that decides about the export."""
    parts = {name: source.model.get(name) for name in ("backbone", "neck", "head", "bbox_head")}
    colours = [list(source.colours.mean), list(source.colours.std), source.colours.to_rgb]
    try:
        whole = [FORMAT, _code(), digest, encode(parts), colours, list(source.size), source.dynamic_size]
    except ValueError as error:
        raise CheckpointError(f"the config's model cannot be read: {error}") from error
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:40]


@remembered
def _code() -> str:
    """Return a hash of the code that decides about an export: a layer that was mended is exported anew."""
    package = Path(__file__).parents[1]
    files = [*package.glob("models/*.py"), package / "build" / "networks.py", Path(__file__).with_name("export.py")]
    found = hashlib.sha256()
    for file in sorted(files):
        if file.is_file():  # a package without its sources has one version for all
            found.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return found.hexdigest()
