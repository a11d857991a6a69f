"""The archives and folders with ONNX files that MMDeploy writes and OpenMMLab publishes.

They hold ``end2end.onnx``, and beside it ``pipeline.json``, which says how images become its input.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import CheckpointError
from ..runtimes.cache import NETWORK, Cache

USUAL = "end2end.onnx"
PIPELINE = "pipeline.json"
MAX_BYTES = 8 << 30  # of an unpacked network
MAX_JSON_BYTES = 4 << 20


@dataclass(frozen=True)
class NetworkFile:
    """An ONNX file, and what lies beside it."""

    path: Path
    pipeline: dict[str, Any] | None = None  # the content of pipeline.json; None where there is none


@contextmanager
def network_file(path: Path, cache: Cache) -> Iterator[NetworkFile]:
    """Yield the ONNX file at a path: the file itself, the one of a folder, or that of a zip archive, unpacked once.

    Raises:
        CheckpointError: there is no ONNX file or more than one, or the archive is damaged or hostile.
    """
    if path.is_dir():
        path = _only([file for file in path.iterdir() if file.suffix == ".onnx"], path)
    try:
        path.open("rb").close()
    except OSError as error:
        raise CheckpointError(f"'{path}' cannot be read: {error.strerror or error}") from error
    if path.suffix.lower() != ".zip":
        yield NetworkFile(path, _read_pipeline(path.with_name(PIPELINE)))
        return
    try:
        key = cache.digest(path)[:40]
        file, notes = cache.get(key, lambda folder: _unpack(path, folder))
    except OSError:
        with tempfile.TemporaryDirectory(prefix="limner-", ignore_cleanup_errors=True) as folder:
            pipeline = _unpack(path, Path(folder))
            yield NetworkFile(Path(folder) / NETWORK, pipeline.get("pipeline"))
        return
    yield NetworkFile(file, notes.get("pipeline"))


def _only(files: list[Any], path: Path) -> Any:
    """Return the one ONNX file of several, which is the one with the usual name if there are more."""
    if not files:
        raise CheckpointError(f"'{path}' has no .onnx file in it")
    usual = [file for file in files if file.name == USUAL]
    if len(files) == 1 or len(usual) == 1:
        return (usual or files)[0]
    names = ", ".join(sorted(str(file.relative_to(path)) if path.is_dir() else str(file) for file in files)[:5])
    raise CheckpointError(f"'{path}' has {len(files)} .onnx files in it ({names}): give one of them by its own path")


def _unpack(path: Path, folder: Path) -> dict[str, Any]:
    """Write the network of an archive into a folder, as `NETWORK`; return its pipeline."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [PurePosixPath(info.filename.replace("\\", "/")) for info in archive.infolist()]
            for member, info in zip(members, archive.infolist(), strict=True):
                if member.is_absolute() or ".." in member.parts or ":" in member.parts[0:1]:
                    raise CheckpointError(
                        f"'{path}' is refused: it has a file '{info.filename}', which lies outside of it"
                    )
            names = dict(zip(members, archive.infolist(), strict=True))
            files = [m for m in members if m.suffix.lower() == ".onnx" and not names[m].is_dir()]
            chosen = _only(files, path)
            _extract(archive, names[chosen], folder / NETWORK, path)
            for member, info in names.items():  # the weights of a large network are a file of their own
                if member.parent == chosen.parent and member.suffix.lower() in (".data", ".weights", ".bin"):
                    _extract(archive, info, folder / member.name, path)
            beside = names.get(chosen.parent / PIPELINE)
            if beside is None or beside.file_size > MAX_JSON_BYTES:
                return {}
            return {"pipeline": _parsed(archive.read(beside), f"{PIPELINE} of '{path}'")}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"'{path}' is damaged: it is not a zip archive that can be read ({error})") from error


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, path: Path) -> None:
    if info.file_size > MAX_BYTES:
        raise CheckpointError(f"'{path}' is refused: '{info.filename}' would take {info.file_size / 1e9:.0f} GB")
    with archive.open(info) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)


def _read_pipeline(file: Path) -> dict[str, Any] | None:
    try:
        if not file.is_file() or file.stat().st_size > MAX_JSON_BYTES:
            return None
        content = file.read_bytes()
    except OSError as error:
        raise CheckpointError(f"'{file}' cannot be read: {error.strerror or error}") from error
    return _parsed(content, f"'{file}'")


def _parsed(content: bytes, name: str) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{name}, which says how images become input, is damaged: {error}") from error
    return found if isinstance(found, dict) else {}  # which `pipelines.read` refuses
