"""The list of forms: each opens by its name, says what it needs, and leaves whole files or none."""

from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.errors import ArgumentError, MissingExtraError, OutputError
from limner.formats import forms
from limner.formats.forms import FORMATS, form
from random_results import INFO, library, random_video

NEEDS = {"parquet": "pyarrow", "nwb": "ndx_pose"}  # form -> package that is not part of the core
SOURCES = ["videos/gesicht ä, 'x'.mp4", "bytes\udcff.mp4", "C:\\videos\\a.mp4", "rtsp://host/live", "webcam", "array"]


def path_of(name: str, folder: Path) -> Path:
    return folder / f"cam1{FORMATS[name].ending}"


@pytest.mark.parametrize("name", FORMATS)
def test_every_form_takes_every_source(name: str, tmp_path: Path) -> None:
    if name in NEEDS:
        library(NEEDS[name])
    for number, source in enumerate(SOURCES):
        check_form(name, source, tmp_path / str(number))


def check_form(name: str, source: str, tmp_path: Path) -> None:
    with warnings.catch_warnings(), form(name).open(path_of(name, tmp_path), INFO) as writer:
        for result in random_video(1, 17, frames=3):
            writer.write(replace(result, source=source))
        if name in NEEDS:
            warnings.simplefilter("ignore")  # of pynwb, about its own dependencies
    made = path_of(name, tmp_path)
    assert made.is_dir() if FORMATS[name].folder else made.stat().st_size > 0
    assert list(tmp_path.iterdir()) == [made]


def test_an_unknown_form_is_an_error_that_knows_better() -> None:
    with pytest.raises(ArgumentError, match="Did you mean 'parquet'"):
        form("parqet")


@pytest.mark.parametrize("name", sorted(NEEDS))
def test_a_missing_package_is_an_error_that_says_what_to_install(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, NEEDS[name], None)
    with pytest.raises(MissingExtraError, match="pip install"):
        form(name).open(path_of(name, tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in NEEDS])
def test_a_folder_that_cannot_be_written_is_an_error_at_once(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="in the way"):
        form(name).open(path_of(name, tmp_path / "file"))


@pytest.mark.parametrize("name", ["coco-annotations", "deeplabcut", "trc"])
def test_what_was_written_is_kept_when_a_run_is_stopped(name: str, tmp_path: Path) -> None:
    def stopped() -> None:
        with form(name).open(path_of(name, tmp_path)) as writer:
            for result in random_video(1):
                writer.write(result)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    made = path_of(name, tmp_path)
    assert any(made.iterdir()) if FORMATS[name].folder else made.stat().st_size > 1000


def test_a_disk_that_is_full_is_an_error_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The earlier file stays."""
    path = tmp_path / "a.csv"
    path.write_text("of an earlier run")
    writer: Any = form("deeplabcut").open(path)
    writer.write(random_video(1)[1])

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("limner.formats.whole.os.replace", full)
    with pytest.raises(OutputError, match="no space is left"):
        writer.close()
    assert path.read_text() == "of an earlier run"
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_results_make_the_same_bytes(tmp_path: Path) -> None:
    for name in [name for name in FORMATS if name not in NEEDS]:
        contents = []
        for folder in (tmp_path / "a", tmp_path / "b"):
            with form(name).open(path_of(name, folder), INFO) as writer:
                for result in random_video(2):
                    writer.write(result)
            files = sorted(p for p in folder.rglob("*") if p.is_file())
            contents.append([(p.name, p.read_bytes()) for p in files])
        assert contents[0] == contents[1]
        assert contents[0]


def test_a_stem_of_its_own_names_the_files_of_a_folder(tmp_path: Path) -> None:
    """So that a folder can have a temporary name while it is written."""
    with form("pose2sim").open(tmp_path / "cam1_json.part", INFO, stem="cam1") as writer:
        writer.write(random_video(1)[0])
    assert [p.name for p in (tmp_path / "cam1_json.part").iterdir()] == ["cam1_000000.json"]


def test_the_names_of_forms_are_known_without_numpy() -> None:
    code = f"import sys; import {forms.__name__}; print(sorted({{'numpy', 'pyarrow', 'pandas'}} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_results_are_not_changed_by_writing(tmp_path: Path) -> None:
    result = random_video(1)[1]
    before = result.keypoints.copy(), result.scores.copy(), result.boxes.xyxy.copy()
    for name in [name for name in FORMATS if name not in NEEDS]:
        with form(name).open(path_of(name, tmp_path), INFO) as writer:
            writer.write(result)
    for old, new in zip(before, (result.keypoints, result.scores, result.boxes.xyxy), strict=True):
        np.testing.assert_array_equal(old, new)
