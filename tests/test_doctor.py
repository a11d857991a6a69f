"""`limner doctor` says what works, what is broken and what mends it, and nothing personal."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from limner import cli
from limner.doctor import checks, report
from limner.doctor.checks import Check


def test_the_command_tries_each_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "somebody"))
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "somebody" / "cache"))
    result = CliRunner().invoke(cli.app, ["doctor"])
    assert result.exit_code == 0, result.output
    text = result.output
    assert re.search(r"^ok  onnxruntime on cpu: one face crop in \d+ ms$", text, re.M)
    assert "libx264" in text
    assert "room for cache" in text
    assert "somebody" not in text
    assert str(tmp_path) not in text
    assert os.uname().nodename not in text.replace(os.uname().release, "")


def test_what_is_broken_is_said_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    found = report.Report([Check("a", "ok", "fine"), Check("b", "missing", "for c", "pip install numpy"),
                           Check("d", "broken", "fell over", "mend d")])  # fmt: skip
    lines = list(found.lines())
    assert lines[:3] == ["ok  a: fine", " -  b: for c", "!!  d: fell over"]
    assert lines[lines.index("To mend:") + 1] == "  d: mend d"
    assert lines[lines.index("What could be added:") + 1] == "  b: pip install numpy"
    assert found.broken

    def falls() -> None:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(report, "CHECKS", (falls, checks.machine))
    every = list(report.all_checks())
    assert every[0].state == "broken"
    assert "no such thing" in every[0].text
    assert len(every) > 1
    assert CliRunner().invoke(cli.app, ["doctor"]).exit_code == 1


def test_an_engine_that_computes_otherwise_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = {"onnxruntime": np.zeros(4), "openvino": np.ones(4)}
    monkeypatch.setattr(checks, "_engines", lambda: iter([("onnxruntime", "cpu"), ("openvino", "cpu")]))
    monkeypatch.setattr(checks, "_network", lambda backend, device: (outputs[backend], 1.0))
    one, other = checks.engines()
    assert one.state == "ok"
    assert other.state == "broken"
    assert "other numbers" in other.text


def test_cameras_are_listed_and_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.platform, "system", lambda: "Linux")
    assert next(checks.cameras(tmp_path)).text == "none is listed"
    (tmp_path / "video7").mkdir()
    (tmp_path / "video7" / "name").write_text("A camera\n")
    found = next(checks.cameras(tmp_path))
    assert found.about == "camera 7"
    assert "A camera" in found.text


def test_a_damaged_cache_and_little_room_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "new" / "folder"))
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda place: type("Usage", (), {"free": 1000})())
    found = {check.about: check for check in checks.cache()}
    assert found["room for cache"].state == "broken"
    assert not (tmp_path / "new").exists()  # looking creates nothing
