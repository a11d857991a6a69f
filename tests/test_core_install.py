"""A user's machine: the wheel, in an environment of its own, without torch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("build", reason="needs build: pip install -e .[test]")
    folder, copy = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("copy")
    # what an earlier build left in the checkout would come into the wheel
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(copy)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def core(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of a fresh environment that holds limner and what it depends on, nothing else."""
    folder = tmp_path_factory.mktemp("core")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
    python = folder / "bin" / "python"
    command = [str(python), "-m", "pip", "--quiet", "install", "-c", str(ROOT / "constraints.txt"), str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return python


def test_the_wheel_is_small_and_whole(wheel: Path) -> None:
    assert wheel.stat().st_size <= 15e6
    source = ROOT / "src"
    files = [path for path in (source / "limner").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("limner/")}
    assert packed == {path.relative_to(source).as_posix() for path in files}


def test_the_core_outlines_a_face_without_torch(core: Path, portrait: np.ndarray, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), portrait)
    missing = subprocess.run([str(core), "-c", "import torch"], capture_output=True, check=False)
    assert missing.returncode != 0, "torch is installed, so this test shows nothing"
    program = str(core.with_name("limner"))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    command = [program, "run", "a.png", "--json", "out", "--out", "out"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    (face,) = json.loads((tmp_path / "out" / "a.json").read_text())
    assert len(face["keypoints"]) == 68
    assert (cv2.imread(str(tmp_path / "out" / "a.png")) != portrait).any()
    shown = subprocess.run([program, "models", "show", "face-lite"], capture_output=True, text=True, check=True)
    assert "RTMPose" in shown.stdout


def test_one_image_takes_at_most_300_megabytes(core: Path, portrait: np.ndarray, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), portrait)
    code = (
        "import resource,subprocess,sys; subprocess.run(sys.argv[1:],check=True,capture_output=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    command = [sys.executable, "-c", code, str(core.with_name("limner")), "run", "a.png", "--json", "j", "--out", "o"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=True)
    assert int(done.stdout) / 1024 <= 300
