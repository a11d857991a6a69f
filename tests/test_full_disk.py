"""A full disk under what is printed: one sentence, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, a disk that is always full")


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "limner", *arguments], text=True, check=False, timeout=120, **options)


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory, portrait: np.ndarray) -> Path:
    path = tmp_path_factory.mktemp("in") / "a.jpg"
    cv2.imwrite(str(path), portrait)
    return path


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("models", "list"), ("run", "--help")])
def test_a_full_disk_under_stdout_is_one_sentence(arguments: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        ended = run(*arguments, stdout=full, stderr=subprocess.PIPE)
    assert ended.returncode == 1
    assert (
        ended.stderr
        == "limner: what is printed cannot be written: no space is left; free some or choose another disk\n"
    )


def test_a_full_disk_in_the_midst_of_a_run(photo: Path, tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        drawn = run("run", str(photo), "-o", str(tmp_path / "o"), stdout=full, stderr=subprocess.PIPE)
        lines = run("run", str(photo), "--jsonl", "-", stdout=full, stderr=subprocess.PIPE)
        silent = run("run", "missing.jpg", stdout=full, stderr=full)
    assert "Traceback" not in drawn.stderr + lines.stderr
    assert drawn.stderr.endswith("cannot be written: no space is left; free some or choose another disk\n")
    assert (
        lines.stderr
        == "limner: standard output cannot be written: no space is left; free some or choose another disk\n"
    )
    assert (drawn.returncode, lines.returncode, silent.returncode) == (1, 1, 1)
    assert (tmp_path / "o" / "a.jpg").exists()
