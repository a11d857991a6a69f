"""The choice of the engine that runs a network, and opening it."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache as cached
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, CheckpointError, DeviceError, MissingExtraError, is_installed, said, suggest
from ..types import MessageCallback
from . import EngineError, Normalisation, Runtime
from .cache import NETWORK, Cache, UnsafeCacheError
from .hardware import cuda_devices
from .metadata import decode, encode

if TYPE_CHECKING:
    from torch import nn

BACKENDS = ("auto", "onnxruntime", "openvino", "torch", "tensorrt")
HINTS = ("latency", "throughput")
AUTO = {"cpu": ("onnxruntime", "torch"), "cuda": ("torch", "onnxruntime"), "mps": ("torch",)}  # in order of preference
FORMAT = 2  # version of the cache's entries
# that an export takes on a slow laptop: to start with, for each layer, for each million of weights
SECONDS, SECONDS_A_LAYER, SECONDS_A_MILLION = 2.0, 0.03, 0.1

NO_DEVICE = "there is no device '{}': use cpu, cuda, cuda:0 ... or mps"
_DEVICE = re.compile(r"(cpu|cuda|mps)(:\d+)?")
_log = logging.getLogger(__name__)


def check_name(what: str, value: str, known: Sequence[str]) -> None:
    """Raise ArgumentError, which suggests a similar one, unless ``value`` is one of ``known``."""
    if not isinstance(value, str):
        raise ArgumentError(f"{what} is {said(value)} where one of {', '.join(known)} is needed")
    if value not in known:
        raise ArgumentError(f"there is no {what} '{value}': use {', '.join(known)}.{suggest(value, known)}")


@dataclass(frozen=True)
class Engine:
    """The backend and device that run a network, and their options.

    Args:
        backend: one of `BACKENDS`; "auto" takes the best that is installed for the device.
        device: "cpu", "cuda:0" ... or "mps".
        threads: of a CPU; 0 takes every core that this process may use.
        hint: "latency", or "throughput" for many images a batch; only OpenVINO distinguishes them.
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
            raise ArgumentError(f"float16 needs a CUDA device, and '{self.device}' is not one: use float32")
        if self.half and self.backend == "onnxruntime":
            raise ArgumentError("the backend onnxruntime has no float16: use --backend torch or tensorrt")

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
    """A network that a config and a checkpoint describe; it is built only where no export of it is cached."""

    model: Mapping[str, Any]  # the config's model
    weights: Path | None  # the checkpoint; None: random weights
    normalisation: Normalisation
    size: tuple[int, int]  # (width, height) of the input
    dynamic_size: bool  # images of other sizes are possible, too
    make: Callable[[], tuple[nn.Module, Mapping[str, Any]]]  # builds the network; also returns the weights' metadata
    label: str = "the network"  # what messages call it
    info: MessageCallback | None = None  # is told when it is prepared; None logs it


def choose_engine(
    device: str | int | None = None,
    backend: str = "auto",
    *,
    threads: int = 0,
    hint: str = "latency",
    half: bool = False,
) -> Engine:
    """Return an `Engine` whose device exists; None takes the first CUDA device that an engine can use, else the CPU.

    Raises:
        ArgumentError, DeviceError, MissingExtraError: see `Engine` and `choose_device`; the last also where the
            backend's package is not installed, so that nothing is fetched for it in vain.
    """
    if backend in ("torch", "openvino") and not is_installed(backend):
        raise MissingExtraError(f"The backend {backend}", backend)
    return Engine(backend, choose_device(device, backend), threads, hint, half)


def choose_device(name: str | int | None = None, backend: str = "auto") -> str:
    """Return ``name`` if that device exists; for None "cuda:0" if an engine can use it, else "cpu".

    No engine is imported unless it is needed for the answer. A number alone means that CUDA device.

    Raises:
        ArgumentError: there is no such backend, or the device is no text and no number.
        DeviceError: the device is not available; limner never falls back to another one silently.
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
    if isinstance(name, bool) or not isinstance(name, (str, int)):
        name = _torch_device(name)
    wanted = str(name).strip().lower()
    wanted = f"cuda:{wanted}" if wanted.isdigit() else wanted
    if wanted == "cpu:0":  # as torch calls it
        return "cpu"
    if not _DEVICE.fullmatch(wanted) or wanted.startswith("cpu:"):
        raise DeviceError(NO_DEVICE.format(name))
    if wanted.startswith("cuda"):
        _check_cuda(wanted, backend)
    elif wanted.startswith("mps"):
        from .torch import find_device

        find_device(wanted)
    return wanted


def _torch_device(value: Any) -> str:
    """Return the name of a ``torch.device``, which is not imported here.

    Raises:
        ArgumentError: it is none.
    """
    if isinstance(getattr(value, "type", None), str) and hasattr(value, "index"):
        return str(value)
    raise ArgumentError(f"device is {said(value)} where a text is needed, such as cpu or cuda:0")


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
        raise DeviceError(
            f"device '{device}' is not available: the driver finds {count} CUDA devices; use --device cpu"
        )
    from .onnx import CUDA, TENSORRT, import_onnxruntime, missing_provider

    tensorrt = backend == "tensorrt"
    if (TENSORRT if tensorrt else CUDA) not in import_onnxruntime().get_available_providers():
        raise problem or DeviceError(missing_provider(device, tensorrt))


def open_file(path: Path, engine: Engine = CPU) -> Runtime:
    """Open a network in an ONNX file.

    Raises:
        EngineError: the file is damaged, or not a network that the engine can run.
        ArgumentError: the engine runs no ONNX files.
        DeviceError, MissingExtraError: the engine or its device is not available.
    """
    names = [name for name in engine.order if name != "torch"]
    if not names:
        raise ArgumentError(f"torch cannot run '{path.name}', an ONNX file: use --device cpu --backend onnxruntime")
    return _open_first(names, lambda name: _run(name, path, engine, None))


def open_network(source: NetworkSource, engine: Engine, cache: Cache) -> tuple[Runtime, dict[str, Any]]:
    """Open the network of a config and a checkpoint; return it with the checkpoint's metadata of its data set.

    Any engine but torch runs an export, which is made once and cached: the next start needs neither torch nor
    time to read the checkpoint. With the backend "auto" another engine is used, with a warning, where the best
    one cannot run the network. Random weights are exported only where a backend is named.

    Raises:
        CheckpointError: the weights are damaged or do not fit the config; its subclass EngineError: they are
            valid, but the engine cannot run them.
        DeviceError, MissingExtraError: the engine or its device is not available.
    """
    names: Sequence[str] = engine.order
    if source.weights is None and engine.backend == "auto":
        names = ("torch",)
    return _open_first(names, lambda name: _open(name, source, engine, cache))


def is_prepared(source: NetworkSource, cache: Cache) -> bool:
    """Whether the export of a network is cached, so that neither torch nor its checkpoint is read."""
    if source.weights is None or not source.weights.is_file():
        return False
    try:
        return cache.has(_key(source, cache.digest(source.weights)))
    except (OSError, CheckpointError):
        return False


def _open_first(names: Sequence[str], open_with: Callable[[str], Any]) -> Any:
    """Open with the first engine that can; log a warning where that is not the best one."""
    problems: list[Exception] = []
    for name in names:
        try:
            opened = open_with(name)
        except (EngineError, DeviceError, MissingExtraError) as error:
            problems.append(error)
            continue
        for problem in problems:
            _log.warning("%s runs the network in place of %s: %s", name, names[0], problem)
        return opened
    raise problems[0]


def _open(name: str, source: NetworkSource, engine: Engine, cache: Cache) -> tuple[Runtime, dict[str, Any]]:
    if name == "torch":
        from .torch import TorchRuntime, import_torch

        import_torch()
        network, metadata = source.make()
        normalisation = source.normalisation
        settings = (normalisation.mean, normalisation.std, normalisation.to_rgb, engine.device)
        return TorchRuntime(network, *settings, threads=engine.threads, half=engine.half), _as_cached(metadata)
    if name == "openvino":  # before the checkpoint is exported for it
        from .openvino import import_openvino

        import_openvino()
    if source.weights is None:
        return _open_uncached(name, source, engine)
    if not source.weights.is_file():
        raise CheckpointError(f"there is no checkpoint '{source.weights}'")
    try:
        key = _key(source, cache.digest(source.weights))
        path, metadata = cache.get(key, lambda folder: _export(source, folder))
    except UnsafeCacheError as error:
        _log.warning("the network is exported anew at each start: %s; chmod go-w, or set LIMNER_HOME", error)
        return _open_uncached(name, source, engine)
    except OSError as error:
        _log.warning("the network is exported anew at each start: %s: %s", cache.folder, error.strerror or error)
        return _open_uncached(name, source, engine)
    return _run(name, path, engine, path.parent / f"tensorrt-{installed_version('onnxruntime')}"), dict(metadata)


def _open_uncached(name: str, source: NetworkSource, engine: Engine) -> tuple[Runtime, dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="limner-", ignore_cleanup_errors=True) as folder:
        metadata = _export(source, Path(folder))
        return _run(name, Path(folder) / NETWORK, engine, None), _as_cached(metadata)


def _run(name: str, path: Path, engine: Engine, engine_folder: Path | None) -> Runtime:
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
        engine_folder=engine_folder if name == "tensorrt" else None,
    )


def _export(source: NetworkSource, folder: Path) -> Mapping[str, Any]:
    """Build a network and export it into a folder; return the metadata of its checkpoint."""
    from .export import export, require_onnx
    from .torch import import_torch

    import_torch()
    require_onnx()
    network, metadata = source.make()
    message = f"preparing {source.label}, once; about {_seconds(network)} s"
    if source.info is None:
        _log.info("%s", message)
    else:
        source.info(message)
    export(network, source.normalisation, source.size, folder / NETWORK, dynamic_size=source.dynamic_size)
    return metadata


def _seconds(network: nn.Module) -> int:
    """Return how long an export takes, roughly: most of it goes by the number of layers and weights."""
    layers = sum(1 for module in network.modules() if not any(True for _ in module.children()))
    millions = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    return max(1, round(SECONDS + SECONDS_A_LAYER * layers + SECONDS_A_MILLION * millions))


def _as_cached(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata as the cache would, so that it is the same at each start."""
    try:
        result = decode(encode(dict(metadata)))
    except ValueError as error:
        raise CheckpointError(f"the checkpoint's dataset_meta cannot be read: {error}") from error
    return result if isinstance(result, dict) else {}


def _key(source: NetworkSource, digest: str) -> str:
    """Return a hash of everything that the export depends on."""
    parts = {name: source.model.get(name) for name in ("backbone", "neck", "head", "bbox_head")}
    normalisation = [list(source.normalisation.mean), list(source.normalisation.std), source.normalisation.to_rgb]
    try:
        contents = [FORMAT, _code_hash(), digest, encode(parts), normalisation, list(source.size), source.dynamic_size]
    except ValueError as error:
        raise CheckpointError(f"the config's model cannot be read: {error}") from error
    return hashlib.sha256(json.dumps(contents).encode()).hexdigest()[:40]


def versions() -> dict[str, str]:
    """Return the versions of what exports networks and checks the exports; "" where it is not installed."""
    return {name: installed_version(name) for name in ("torch", "onnx", "onnxruntime")}


@cached
def installed_version(package: str) -> str:
    """Return the version of a package, or of the variant of it that is installed, without importing it; or ""."""
    from importlib import metadata

    for name in (package, f"{package}-gpu", f"{package}-openvino", f"{package}-directml"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ""


@cached
def _code_hash() -> str:
    """Return a hash of the code that an export depends on: after a change of a layer it is exported again."""
    package = Path(__file__).parents[1]
    files = [*package.glob("models/*.py"), package / "build" / "networks.py", Path(__file__).with_name("export.py")]
    digest = hashlib.sha256()
    for file in sorted(files):
        if file.is_file():  # a package without its sources has one version for all
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
