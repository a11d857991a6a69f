"""The rooms of the package: who may import whom, how large a file may be, and what starting up may load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "limner"

# room or module -> what of limner it may import; what stands further down may import what stands above
PLAIN = {"errors", "masking", "types"}
ESTIMATION = {*PLAIN, "build", "bundled", "checkpoint", "config", "keypoints", "runtimes", "zoo"}
LAYERS: dict[str, set[str]] = {
    "masking": set(),
    "errors": {"masking"},
    "types": {"errors"},
    "models": set(),
    "bundled": {"errors"},
    "config": PLAIN,
    "checkpoint": PLAIN,
    "keypoints": PLAIN,
    "runtimes": PLAIN,
    "crop": PLAIN,
    "decode": {*PLAIN, "keypoints"},
    "tracking": {*PLAIN, "keypoints"},
    "draw": {*PLAIN, "crop", "keypoints"},
    "web": {"__version__", "errors", "masking"},
    "zoo": {*PLAIN, "__version__", "bundled", "config", "web"},
    "build": {*PLAIN, "checkpoint", "config", "crop", "decode", "keypoints", "models"},
    "detection": {*PLAIN, "build", "crop", "decode", "runtimes"},
    "files": {"errors", "masking"},
    "process": {"errors", "files", "masking"},
    "images": {"errors"},
    "formats": {*PLAIN, "files", "keypoints"},
    "video": {*PLAIN, "files", "images", "web"},
    "sources": {*PLAIN, "files", "images", "video", "web"},
    "writers": {*PLAIN, "files", "formats", "images", "video"},
    "pipeline": {*PLAIN, "build", "crop", "decode", "detection", "draw", "keypoints", "runtimes"},
    "loading": {*ESTIMATION, "decode", "detection", "files", "pipeline"},
    "video.estimator": {*PLAIN, "pipeline", "tracking"},
    "video.pipeline": {*PLAIN, "draw", "pipeline"},
    "display": {*PLAIN, "video", "writers"},
    "api": {
        *(*PLAIN, "display", "draw", "files", "formats", "images", "keypoints", "loading", "pipeline", "sources"),
        "video",
    },
    "jobs": {
        *(*PLAIN, "__version__", "display", "draw", "files", "formats", "images", "pipeline", "sources", "tracking"),
        *("process", "video", "writers"),
    },
    "batch": {
        *(*PLAIN, "draw", "files", "formats", "jobs", "loading", "pipeline", "runtimes", "sources", "video"),
    },
    "bench": {*PLAIN, "draw", "pipeline", "runtimes", "video"},
    "doctor": {*PLAIN, "__version__", "bundled", "loading", "runtimes", "zoo"},
    "evaluate": {*PLAIN, "draw", "files", "formats", "images", "keypoints", "pipeline", "sources", "tracking"},
    "serve": {
        *(*PLAIN, "__version__", "api", "display", "draw", "files", "formats", "images", "jobs", "keypoints"),
        *("pipeline", "sources", "video", "writers"),
    },
    "mmpose": {
        *(*PLAIN, "build", "config", "decode", "display", "draw", "files", "formats", "jobs", "keypoints", "loading"),
        *("pipeline", "process", "sources", "video", "writers", "zoo"),
    },
    "cli": {
        *(*PLAIN, "__version__", "batch", "bench", "doctor", "draw", "evaluate", "files", "formats", "jobs", "loading"),
        *("mmpose", "process", "serve", "sources", "video", "writers", "zoo"),
    },
    "__main__": {"cli", "process"},
    "__init__": {*PLAIN, "api", "mmpose"},
}
# third-party packages that a room must never import, not even inside a function
FORBIDDEN = {
    "models": {"cv2"},
    "config": {"torch", "cv2"},
    "checkpoint": {"torch", "cv2"},
    "crop": {"torch"},
    "decode": {"torch"},
    "detection": {"torch", "onnxruntime"},
    "draw": {"torch"},
    "images": {"torch", "av"},
    "sources": {"torch", "onnxruntime"},
    "writers": {"torch", "onnxruntime"},
    "pipeline": {"torch", "onnxruntime"},
    "serve": {"torch", "onnxruntime"},
    "loading": {"torch", "onnxruntime"},
    "mmpose": {"torch", "onnxruntime"},
    "tracking": {"torch", "av"},
    "video": {"torch", "onnxruntime"},
}
MOST_LOOSE = 12  # modules at the package's root
MOST_LINES = 400  # of a file outside models/
MOST_IN_A_FUNCTION = 60
# functions that are longer, and why
LONG_FUNCTIONS = {
    "api/model.py watch": "the options of a video, each explained in its docstring, which is most of it",
    "api/loader.py load": "16 arguments, each explained in its docstring, which is most of it",
    "cli/batch.py batch": "the options of a command with their help: a list, with little code",
    "cli/evaluate.py evaluate": "the options of a command with their help: a list, with little code",
    "cli/run.py run": "the options of a command with their help: a list, with little code",
    "cli/serve.py serve": "the options of a command with their help: a list, with little code",
}


def files_of(module: str) -> list[Path]:
    """Return the files of a room or module; a module that has a rule of its own is not one of its room's."""
    single = SOURCE.joinpath(*module.split(".")).with_suffix(".py")
    if single.exists():
        return [single]
    own = {SOURCE.joinpath(*name.split(".")).with_suffix(".py") for name in LAYERS if "." in name}
    return sorted(set((SOURCE / module).rglob("*.py")) - own)


def sources() -> list[Path]:
    return [path for path in sorted(SOURCE.rglob("*.py")) if "configs" not in path.relative_to(SOURCE).parts]


def imports_of(path: Path) -> tuple[set[str], set[str]]:
    """Return (limner's own modules, third-party packages) that a file imports anywhere but for type checkers."""
    own, others = set(), set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    depth = len(path.relative_to(SOURCE).parts)
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and node.level:
            if node.level < depth:
                continue  # within its own package
            own |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            others.add(node.module.split(".")[0])
        elif isinstance(node, ast.Import):
            others |= {alias.name.split(".")[0] for alias in node.names}
    return own, others


@pytest.mark.parametrize("module", LAYERS)
def test_data_goes_one_way(module: str) -> None:
    for path in files_of(module):
        own, _ = imports_of(path)
        assert own <= LAYERS[module] | {module}, f"{path.name} imports {own - LAYERS[module]}"


def test_every_module_has_its_layer() -> None:
    rooms = {path.relative_to(SOURCE).parts[0].removesuffix(".py") for path in sources()}
    assert rooms == {name for name in LAYERS if "." not in name}


def test_every_room_says_what_it_is_for() -> None:
    """A folder without `__init__.py` would be missing in the wheel."""
    for folder in {path.parent for path in sources()}:
        entry = folder / "__init__.py"
        assert entry.is_file(), f"{folder.name} has no __init__.py"
        assert ast.get_docstring(ast.parse(entry.read_text(encoding="utf-8"))), f"{folder.name} does not say what it is"


def test_no_room_imports_upwards() -> None:
    """A rule names only what stands above it, so that there are no circles."""
    order = list(LAYERS)
    for name, allowed in LAYERS.items():
        upwards = {other for other in allowed - {"__version__"} if order.index(other) > order.index(name)}
        assert not upwards, f"{name} may import {upwards}, which stand below it"


@pytest.mark.parametrize("module", sorted(FORBIDDEN))
def test_a_stage_knows_only_its_own_engine(module: str) -> None:
    for path in files_of(module):
        _, others = imports_of(path)
        assert not others & FORBIDDEN[module], f"{path.name} imports {others & FORBIDDEN[module]}"


def test_few_modules_lie_loose() -> None:
    loose = [path.name for path in SOURCE.glob("*.py") if path.name != "__init__.py"]
    assert len(loose) <= MOST_LOOSE, f"{len(loose)} modules lie at the root of the package: {sorted(loose)}"


@pytest.mark.parametrize("folder", ["src/limner", "benchmarks", "demo", "fuzz", "tools", "training"])
def test_no_file_is_long(folder: str) -> None:
    """Files of at most 400 lines, apart from networks, which follow their papers."""
    root = SOURCE.parents[1]
    for path in (root / folder).rglob("*.py"):
        if not {"configs", "models"} & set(path.relative_to(root).parts):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            assert lines <= MOST_LINES, f"{path.relative_to(root)} has {lines} lines"


def test_long_functions_have_a_reason() -> None:
    found = set()
    for path in sources():
        if path.relative_to(SOURCE).parts[0] == "models":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno is not None:
                length = node.end_lineno - node.lineno + 1
                if length > MOST_IN_A_FUNCTION:
                    found.add(f"{path.relative_to(SOURCE).as_posix()} {node.name}")
    assert found == set(LONG_FUNCTIONS)


HEAVY = "{'numpy', 'cv2', 'av', 'torch', 'onnxruntime', 'openvino', 'pooch', 'rich.progress'}"


def loaded_by(code: str) -> str:
    probe = f"import sys\n{code}\nprint('HEAVY', sorted({HEAVY} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return out.stdout.split("HEAVY", 1)[1].strip()


def test_importing_limner_loads_nothing_heavy() -> None:
    assert loaded_by("import limner; limner.__version__") == "[]"


@pytest.mark.parametrize("arguments", ["--help", "run --help", "models --help", "topdown --help"])
def test_help_loads_nothing_heavy(arguments: str) -> None:
    argv = ["limner", *arguments.split()]
    assert loaded_by(f"from limner.cli import main\nsys.argv = {argv}\ntry: main()\nexcept SystemExit: pass") == "[]"
