"""The lookup of config files: on disk, in installed packages, in LIMNER_CONFIG_PATH, among limner's own."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from ..errors import ConfigError, expanded, suggest

OWN = Path(__file__).resolve().parent.parent / "configs"
VARIABLE = "LIMNER_CONFIG_PATH"
SUFFIXES = (".py", ".json", ".yaml", ".yml")


def resolve(path: str | Path) -> Path:
    """Return the file of a config path.

    The file on disk comes first. ``mmdet::rtmdet/x.py`` is looked up in that package. A relative
    path that is not on disk, such as ``configs/face_2d_keypoint/...`` of MMPose's documentation, is
    looked up in the folders of ``LIMNER_CONFIG_PATH`` and then among limner's own configs.

    Raises:
        ConfigError: there is no such file.
    """
    if "::" in str(path):
        return resolve_base(str(path), Path("config.py").absolute())[0]
    file = expanded(path)
    relative = PurePosixPath(str(path).replace("\\", "/"))
    folders = [] if file.is_absolute() or ".." in relative.parts else [*_search_path(), OWN]
    found = _first([file, *(folder / relative for folder in folders)])
    if found is None:
        raise ConfigError(
            f"there is no config {str(path)!r}: not on disk, not in {VARIABLE}, and not among limner's own."
            f"{suggest(str(relative), _own_names())}"
        )
    return found


def resolve_beside(path: str, owner: Path | None) -> Path | None:
    """Return the file that a value of a config names, None where there is none.

    MMPose looks from the working folder, which is that of its clone as a rule. limner looks there, then from the
    folder of the config and those around it, and then where it looks for configs.

    Args:
        path: as the config has it, such as ``configs/_base_/datasets/coco.py``.
        owner: the config's file; None where it has none.
    """
    file = expanded(path.replace("\\", "/"))
    if file.is_absolute():
        return _first([file])
    if owner is not None and OWN in owner.parents:
        return None  # what limner's own configs name, limner knows
    around = [] if owner is None else [parent / file for parent in owner.absolute().parents]
    return _first([file, *around, *(folder / file for folder in _search_path())])


def resolve_base(reference: str, owner: Path) -> tuple[Path, str | None]:
    """Return the file of an entry of ``_base_`` in the config ``owner``, and its package if it names one.

    Raises:
        ConfigError: there is no such file.
    """
    package, separator, relative = reference.partition("::")
    if not separator:
        file = owner.parent / expanded(reference)
        if _first([file]) is None:
            raise ConfigError(f"{owner}: its base {reference!r} does not exist ({os.path.normpath(file)})")
        return file, None
    if not package.isidentifier() or not relative:
        raise ConfigError(f"{owner}: {reference!r} does not name a config of a package, as 'mmdet::rtmdet/x.py' does")
    relative = relative if PurePosixPath(relative).suffix in SUFFIXES else f"{relative}.py"
    found = _first(_of_package(package, relative, owner, (".mim/configs", "configs")))
    if found is None:
        raise ConfigError(
            f"{owner}: {reference!r} was not found. Install {package}, or name a folder that has {relative} "
            f"in the environment variable {VARIABLE}"
        )
    return found, package


def resolve_module(module: str, level: int, owner: Path) -> Path:
    """Return the file of ``from <module> import`` under ``with read_base():`` in ``owner``.

    Raises:
        ConfigError: there is no such file.
    """
    parts = module.split(".")
    candidates: Iterable[Path] = []
    if level:
        folder = owner.parent
        for _ in range(level - 1):
            folder = folder.parent
        candidates = [folder.joinpath(*parts).with_suffix(".py")]
    elif len(parts) > 2 and parts[1] == "configs":
        candidates = _of_package(parts[0], "/".join(parts[2:]) + ".py", owner, ("configs", ".mim/configs"))
    found = _first(candidates)
    if found is None:
        raise ConfigError(
            f"{owner}: the base '{'.' * level}{module}' was not found. Install its package, or name a folder "
            f"that has it in the environment variable {VARIABLE}"
        )
    return found


def _of_package(package: str, relative: str, owner: Path, kinds: tuple[str, ...]) -> Iterator[Path]:
    """Yield candidates for the file of a config of a package, the most likely first."""
    for root in _installed(package):
        yield from (root / kind / relative for kind in kinds)
    # wheels of several packages, unzipped into one folder that holds the owner somewhere below, or a clone of one
    for parent in owner.absolute().parents:
        inside = parent / package
        if not _is_package(inside):
            yield inside / ".mim/configs" / relative
            continue
        clone = {".mim/configs": [inside / ".mim/configs", parent / "configs"], "configs": [inside / "configs"]}
        yield from (place / relative for kind in kinds for place in clone[kind])
    for folder in _search_path():
        for place in (*(f"{package}/{kind}" for kind in kinds), package, "configs", "."):
            yield folder / place / relative
    yield OWN / ("configs" if package == "mmpose" else package) / relative


def _is_package(folder: Path) -> bool:
    return (folder / "__init__.py").is_file()


def _installed(package: str) -> list[Path]:
    """Return the folders of an installed package, without importing it."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return []
    return [Path(p) for p in (spec.submodule_search_locations or [])] if spec else []


def _search_path() -> list[Path]:
    return [Path(os.path.expanduser(p)) for p in os.environ.get(VARIABLE, "").split(os.pathsep) if p]


def _own_names() -> list[str]:
    return [p.relative_to(OWN).as_posix() for p in OWN.rglob("*.py")]


def _first(candidates: Iterable[Path]) -> Path | None:
    for candidate in candidates:
        try:
            if candidate.is_file():
                return candidate
        except (OSError, ValueError):  # a name that no file can have
            continue
    return None
