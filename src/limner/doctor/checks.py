"""The checks: each looks at one thing and says whether it works, is missing, or is broken, and what mends it."""

from __future__ import annotations

import logging
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .. import __version__, bundled, loading, zoo
from ..errors import EXTRAS, LimnerError, is_installed
from ..runtimes.engines import Engine, open_file
from ..runtimes.hardware import amx_bfloat16, cuda_devices, int8_dot_products, usable_cores
from ..zoo import commands, store

State = Literal["ok", "missing", "broken"]
LEAST_FREE = 1 << 30  # bytes: the weights and prepared networks of a large model
_CORE = ("numpy", "opencv-python-headless", "onnxruntime", "av", "typer", "rich", "pooch")
_OPTIONAL = {  # package that is imported -> extra, what it is for
    "torch": ("torch", "OpenMMLab's checkpoints"),
    "openvino": ("openvino", "another engine for processors"),
    "pygame": ("show", "the window of --show"),
    "pillow_heif": ("heic", "HEIC images"),
    "pillow_jxl": ("jxl", "JPEG XL images"),
    "pycocotools": ("eval", "average precision of limner eval"),
    "starlette": ("serve", "limner serve"),
    "fsspec": ("batch", "object stores of limner batch"),
    "ray": ("ray", "limner batch --engine ray"),
    "supervision": ("supervision", "result.to_supervision()"),
    "ndx_pose": ("nwb", "NWB files"),
    "pandas": ("pandas", "DataFrames"),
    "pyarrow": ("parquet", "Parquet files"),
    "yaml": ("yaml", "configs in YAML"),
}
_ENCODERS = {"libx264": "H.264, of .mp4", "libvpx-vp9": "VP9, of .webm", "aac": "sound that is encoded anew"}
_DECODERS = ("h264", "hevc", "av1", "vp9", "mpeg4", "mjpeg", "prores")


@dataclass(frozen=True)
class Check:
    """What was found about one thing."""

    about: str
    state: State
    text: str
    remedy: str = ""  # a command or sentence, where something is missing or broken


def machine() -> Iterator[Check]:
    """Say what this machine is."""
    yield Check("limner", "ok", f"{__version__}, Python {platform.python_version()}, {platform.platform(terse=True)}")
    features = [name for name, has in (("VNNI", int8_dot_products()), ("AMX", amx_bfloat16())) if has]
    cores = f"{usable_cores()} of {os.cpu_count()} cores"
    yield Check("processor", "ok", ", ".join([platform.machine(), cores, *features, _memory()]).rstrip(", "))
    count = cuda_devices()
    yield Check("GPU", "ok", f"{count} CUDA devices" if count else "no CUDA device")


def _memory() -> str:
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return ""
    return f"{pages * size / 1e9:.0f} GB of memory"


def packages() -> Iterator[Check]:
    """Say which versions of packages are installed, and which extras are not."""
    versions = [f"{name} {version}" for name in _CORE if (version := _version(name))]
    yield Check("packages", "ok", ", ".join(versions))
    others = [name for name in ("opencv-python", "opencv-contrib-python") if _version(name)]
    if others:
        text = f"{', '.join(others)} beside opencv-python-headless: which of them is imported is left to chance"
        yield Check("OpenCV", "broken", text, f"pip uninstall {' '.join(others)}; pip install --force-reinstall "
                    "opencv-python-headless")  # fmt: skip
    for name, (extra, use) in _OPTIONAL.items():
        if is_installed(name):
            yield Check(name, "ok", _version(name) or "installed")
        else:
            wanted = " ".join(f'"{package}"' for package in EXTRAS[extra])
            yield Check(name, "missing", f"for {use}", f"pip install {wanted}")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def engines() -> Iterator[Check]:
    """Let each engine that is installed compute one image, on each device, and compare what they say."""
    expected: np.ndarray | None = None
    for backend, device in _engines():
        name = f"{backend} on {device}"
        try:
            outputs, milliseconds = _torch(device) if backend == "torch" else _network(backend, device)
        except (LimnerError, RuntimeError, OSError, ImportError) as error:
            yield Check(name, "broken", " ".join(str(error).split())[:300], f"limner run ... --backend {backend}")
            continue
        text = f"one face crop in {milliseconds:.0f} ms"
        if backend != "torch":
            expected = outputs if expected is None else expected
            apart = float(np.abs(outputs - expected).max())
            if not apart < 0.05:
                yield Check(name, "broken", f"computes other numbers: {apart:.3g} apart", "use another --backend")
                continue
        yield Check(name, "ok", text)


def _engines() -> Iterator[tuple[str, str]]:
    gpu = cuda_devices() > 0
    yield "onnxruntime", "cpu"
    if is_installed("openvino"):
        yield "openvino", "cpu"
    if gpu:
        import onnxruntime

        providers = onnxruntime.get_available_providers()
        yield from ((b, "cuda:0") for b, p in (("onnxruntime", "CUDA"), ("tensorrt", "Tensorrt"))
                    if f"{p}ExecutionProvider" in providers)  # fmt: skip
    if is_installed("torch"):
        yield "torch", "cpu"
        import torch

        if torch.cuda.is_available():
            yield "torch", "cuda:0"
        if torch.backends.mps.is_available():
            yield "torch", "mps"


def _network(backend: str, device: str) -> tuple[np.ndarray, float]:
    """Return the numbers and milliseconds of the bundled pose network on one crop."""
    runtime = open_file(bundled.find(bundled.DEFAULT).pose, Engine(backend, device))
    image = np.random.default_rng(0).integers(0, 255, (1, 160, 160, 3), np.uint8)
    return _timed(lambda: np.concatenate([np.ravel(o) for o in runtime(image)]))


def _torch(device: str) -> tuple[np.ndarray, float]:
    log = logging.getLogger(loading.stages.__name__)
    log.addFilter(_silent)  # that the weights are random is known
    try:
        estimator = loading.open_pose_estimator(bundled.MODELS[0].pose_config, None, engine=Engine("torch", device))
    finally:
        log.removeFilter(_silent)
    image = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    boxes = np.array([[20, 20, 180, 180]], np.float32)
    return _timed(lambda: estimator(image, boxes).keypoints)


def _silent(_: logging.LogRecord) -> bool:
    return False


def _timed(compute: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    compute()  # engines prepare themselves at the first call
    start = time.perf_counter()
    outputs = compute()
    return outputs, 1000 * (time.perf_counter() - start)


def codecs() -> Iterator[Check]:
    """Say which videos can be written and read."""
    import av

    def works(name: str, mode: str) -> bool:
        try:
            av.codec.Codec(name, mode)  # type: ignore[arg-type]
        except Exception as error:  # PyAV has several classes for it
            return not type(error).__module__.startswith("av")
        return True

    version = f"PyAV {av.__version__}, FFmpeg's libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}"
    for name, use in _ENCODERS.items():
        if not works(name, "w"):
            yield Check(name, "missing", f"for {use}", "pip install --force-reinstall av")
    unread = [name for name in _DECODERS if not works(name, "r")]
    text = f"{version}; writes {', '.join(n for n in _ENCODERS if works(n, 'w'))}"
    yield Check("video", "ok", text + (f"; cannot read {', '.join(unread)}" if unread else ""))


def cameras(folder: Path = Path("/sys/class/video4linux")) -> Iterator[Check]:
    """Say which cameras Linux lists, without turning one on."""
    if platform.system() != "Linux":
        yield Check("cameras", "ok", "limner run webcam tries the first; it is not turned on here")
        return
    found = False
    for entry in sorted(folder.glob("video*")) if folder.is_dir() else ():
        found = True
        number = entry.name.removeprefix("video")
        device = Path("/dev") / entry.name
        try:
            name = (entry / "name").read_text(errors="replace").strip()
        except OSError:
            name = "unnamed"
        if not device.exists():
            yield Check(
                f"camera {number}", "broken", f"{name}: there is no {device}", "pass the device to the container"
            )
        elif not os.access(device, os.R_OK | os.W_OK):
            yield Check(f"camera {number}", "broken", f"{name}: no permission", "sudo usermod -aG video $USER")
        else:
            yield Check(f"camera {number}", "ok", f"{name}: limner run webcam:{number}")
    if not found:
        yield Check("cameras", "ok", "none is listed")


def display() -> Iterator[Check]:
    """Say whether a window can be opened."""
    if platform.system() == "Linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        yield Check("display", "missing", "no DISPLAY: --show opens no window here; files are written as ever")
    else:
        yield Check("display", "ok", "there is one")


def cache() -> Iterator[Check]:
    """Read the downloaded weights again, and look at the room that is left."""
    home = store.home()
    prepared = loading.network_cache()
    yield Check("cache", "ok", f"{shown(home)}; prepared networks: {prepared.size() / 1e6:,.0f} MB")
    try:
        for result in commands.verify():
            if result.problem:
                remedy = f"limner models pull {result.model}"
                yield Check(result.model, "broken", shown(result.line()), remedy)
        ready = [m.short_name or m.name for m in zoo.models() if not m.bundled and zoo.state(m) != "not downloaded"]
        yield Check("weights", "ok", f"verified: {', '.join(ready)}" if ready else "none is downloaded")
    except (LimnerError, OSError) as error:
        yield Check("weights", "broken", shown(str(error)), "limner models verify")
    for name, folder in {"cache": home, "temporary files": Path(tempfile.gettempdir())}.items():
        yield _room(name, folder)


def _room(name: str, folder: Path) -> Check:
    """Return how much can be written into a folder, or into what it will be created in."""
    place = next((p for p in (folder, *folder.parents) if p.is_dir()), None)
    if place is None or not os.access(place, os.W_OK):
        return Check(f"room for {name}", "broken", f"{shown(folder)} cannot be written", "set LIMNER_HOME or TMPDIR")
    free = shutil.disk_usage(place).free
    state: State = "ok" if free >= LEAST_FREE else "broken"
    return Check(f"room for {name}", state, f"{free / 1e9:.1f} GB free", "" if state == "ok" else "free some space")


def shown(text: Any) -> str:
    """Return a text without the user's own folder and name."""
    text, home = str(text), str(Path.home())
    return text.replace(home, "~") if len(home) > 1 else text
