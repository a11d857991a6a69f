"""Who may import whom, and what starting up may load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "limn"

# module or package -> what of limn it may import; the rest is forbidden
ALLOWED = {
    "errors": set(),
    "types": {"errors"},
    "config": {"errors", "types"},
    "checkpoint": {"errors", "types"},
    "keypoints": {"errors", "types"},
    "zoo": {"__version__", "errors", "types", "bundled", "config"},
    "bundled": {"errors"},
    "models": set(),
    "crop": {"errors", "types"},
    "decode": {"errors", "types", "keypoints"},
    "draw": {"errors", "types", "keypoints"},
    "heatmap": {"errors", "types", "crop"},
    "runtimes": {"errors", "types"},
    "files": {"errors"},
    "pictures": {"errors"},
    "sources": {"errors", "files", "pictures", "types", "video"},
    "sinks": {"errors", "files", "types", "video"},
    "flow": set(),
    "motion": {"errors"},
    "words": {"errors"},
    "hud": {"errors", "types"},
    "suppress": {"decode", "errors", "types"},
    "window": {"errors"},
    "samples": {"errors", "types", "keypoints"},
    "pipeline": {
        *("errors", "types", "build", "bundled", "checkpoint", "config", "crop", "decode", "keypoints"),
        *("heatmap", "runtimes", "suppress", "zoo"),
    },
    "render": {"errors", "types", "draw", "heatmap", "pipeline"},
    "moving": {"errors", "flow", "motion", "pipeline", "render", "tracking", "types", "video"},
    "screen": {"errors", "hud", "moving", "sinks", "window"},
    "films": {*("errors", "hud", "motion", "moving", "pipeline", "screen", "sinks", "sources", "types")},
    "bench": {"errors", "motion", "moving", "pipeline", "render", "runtimes", "types", "video"},
    "tracking": {"errors", "types", "keypoints"},
    "video": {"errors", "files", "types"},
    "build": {"errors", "types", "config", "checkpoint", "models", "crop", "decode", "keypoints"},
}
# third-party packages that a module must never import, not even inside a function
FORBIDDEN = {
    "models": {"cv2"},
    "config": {"torch", "cv2"},
    "checkpoint": {"torch", "cv2"},
    "crop": {"torch"},
    "decode": {"torch"},
    "draw": {"torch"},
    "heatmap": {"torch"},
    "pictures": {"torch", "av"},
    "sources": {"torch", "onnxruntime"},
    "sinks": {"torch", "onnxruntime"},
    "pipeline": {"torch", "onnxruntime"},
    "inferencer": {"torch", "onnxruntime"},
    "tracking": {"torch", "av"},
    "video": {"torch", "onnxruntime"},
}


def files_of(module: str) -> list[Path]:
    single = SOURCE / f"{module}.py"
    return [single] if single.exists() else sorted((SOURCE / module).rglob("*.py"))


def imports_of(path: Path) -> tuple[set[str], set[str]]:
    """Return (limn's own modules, third-party packages) that a file imports anywhere but for type checkers."""
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


@pytest.mark.parametrize("module", sorted(ALLOWED))
def test_data_goes_one_way(module: str) -> None:
    for path in files_of(module):
        own, _ = imports_of(path)
        assert own <= ALLOWED[module] | {module}, f"{path.name} imports {own - ALLOWED[module]}"


@pytest.mark.parametrize("module", sorted(FORBIDDEN))
def test_a_stage_knows_only_its_own_engine(module: str) -> None:
    for path in files_of(module):
        _, others = imports_of(path)
        assert not others & FORBIDDEN[module], f"{path.name} imports {others & FORBIDDEN[module]}"


HEAVY = "{'numpy', 'cv2', 'av', 'torch', 'onnxruntime', 'pooch', 'rich.progress'}"


def loaded_by(code: str) -> str:
    probe = f"import sys\n{code}\nprint('HEAVY', sorted({HEAVY} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return out.stdout.split("HEAVY", 1)[1].strip()


def test_importing_limn_loads_nothing_heavy() -> None:
    assert loaded_by("import limn; limn.__version__") == "[]"


def test_help_loads_nothing_heavy() -> None:
    code = "from limn.cli import main\nsys.argv = ['limn', '--help']\ntry: main()\nexcept SystemExit: pass"
    assert loaded_by(code) == "[]"
