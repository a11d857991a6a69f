"""The cache of prepared networks: who may write it, who may read it, and what its entries say of themselves."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from limner.runtimes.cache import NETWORK, Cache, UnsafeCacheError
from limner.runtimes.engines import installed_version, versions

pytestmark = pytest.mark.skipif(os.name == "nt", reason="permissions")
KEY = "0123"


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    return Cache(home / "networks", lambda _: nullcontext())


def make(folder: Path) -> dict[str, Any]:
    (folder / NETWORK).write_bytes(b"right")
    secret = os.open(folder / "network.weights", os.O_CREAT | os.O_WRONLY, 0o600)  # as tempfile does
    os.write(secret, b"weights")
    os.close(secret)
    return {"a": 1}


def refuse(folder: Path) -> dict[str, Any]:
    raise AssertionError("it is made again")


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002, 0o000, 0o027])
def test_whoever_the_umask_lets_may_read_an_entry_and_nobody_else_write_it(tmp_path: Path, umask: int) -> None:
    """In a process of its own, as the umask is one of the process."""
    code = (
        "import os, pathlib, sys; from contextlib import nullcontext\n"
        f"os.umask({umask}); sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from limner.runtimes.cache import Cache; from test_shared_cache import make, refuse\n"
        f"cache = Cache(pathlib.Path({str(tmp_path)!r}) / 'home' / 'networks', lambda _: nullcontext())\n"
        "cache.get('k', make); cache.get('k', refuse)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    entry = tmp_path / "home" / "networks" / "k"
    for path in (entry, *entry.iterdir(), entry.parent, entry.parent.parent):
        usual = 0o777 if path.is_dir() else 0o666
        assert stat.S_IMODE(path.stat().st_mode) == usual & ~umask & ~0o022, path


@pytest.mark.parametrize("place", ["networks", "home"])
@pytest.mark.parametrize("mode", [0o777, 0o757, 0o775])
def test_a_folder_that_others_can_write_is_refused(cache: Cache, place: str, mode: int) -> None:
    cache.get(KEY, make)
    folder = cache.folder if place == "networks" else cache.folder.parent
    folder.chmod(mode)
    with pytest.raises(UnsafeCacheError, match=f"can write to '{folder}'"):
        cache.get(KEY, refuse)
    assert not cache.has(KEY)
    folder.chmod(0o755)
    assert cache.get(KEY, refuse)[1] == {"a": 1}


@pytest.mark.parametrize("name", ["", NETWORK, "entry.json", "network.weights"])
def test_an_entry_that_others_can_write_is_made_anew(cache: Cache, name: str, caplog: pytest.LogCaptureFixture) -> None:
    cache.get(KEY, make)
    path = cache.folder / KEY / name
    path.chmod(path.stat().st_mode | 0o002)
    assert not cache.has(KEY)
    assert "others can write to" in caplog.text
    assert cache.get(KEY, make)[0].read_bytes() == b"right"
    assert not stat.S_IMODE(path.stat().st_mode) & 0o022
    cache.get(KEY, refuse)


def test_links_and_files_elsewhere_are_no_entry(cache: Cache, tmp_path: Path) -> None:
    cache.get(KEY, make)
    os.replace(cache.folder / KEY, tmp_path / "elsewhere")
    (cache.folder / KEY).symlink_to(tmp_path / "elsewhere")
    assert not cache.has(KEY)
    (cache.folder / KEY).unlink()
    os.replace(tmp_path / "elsewhere", cache.folder / KEY)
    record = json.loads((cache.folder / KEY / "entry.json").read_text())
    record["files"]["../../../x"] = record["files"][NETWORK]
    (cache.folder / KEY / "entry.json").write_text(json.dumps(record))
    assert not cache.has(KEY)
    linked = tmp_path / "link"  # the user's own link to the folder of all is fine
    linked.symlink_to(cache.folder.parent)
    assert replace(cache, folder=linked / "networks").get("b", make)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_what_belongs_to_another_user_is_refused(cache: Cache) -> None:
    cache.get(KEY, make)
    os.chown(cache.folder / KEY / NETWORK, 12345, 12345)
    assert not cache.has(KEY)
    os.chown(cache.folder, 12345, 12345)
    with pytest.raises(UnsafeCacheError, match="belongs to another user"):
        cache.get(KEY, make)


def test_entries_say_what_made_them(cache: Cache) -> None:
    assert versions() == {name: installed_version(name) for name in ("torch", "onnx", "onnxruntime")}
    assert versions()["onnxruntime"]
    old = replace(cache, versions={"torch": "2.0", "onnx": "1.15"})
    path, _ = old.get(KEY, make)
    assert json.loads((path.parent / "entry.json").read_text())["versions"] == {"torch": "2.0", "onnx": "1.15"}
    new = replace(cache, versions={"torch": "2.1", "onnx": "1.15"})
    assert not new.has(KEY)
    assert new.get(KEY, make)[0] != path
    assert old.get(KEY, refuse)[0] == path  # two installations share a cache without taking turns
    without = replace(cache, versions={"torch": "", "onnx": "1.15"})  # which can make none, and takes any
    assert without.get(KEY, refuse)[1] == {"a": 1}


def test_a_refused_cache_is_said_and_the_network_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("torch")
    from limner.runtimes import engines

    folder = tmp_path / "networks"
    folder.mkdir()
    folder.chmod(0o777)
    (tmp_path / "a.pth").write_bytes(b"x")
    source = engines.NetworkSource({}, tmp_path / "a.pth", None, (64, 64), False, lambda: (None, {}))  # type: ignore[arg-type]
    monkeypatch.setattr(engines, "_open_uncached", lambda *_: "prepared anew")
    monkeypatch.setattr(engines, "_key", lambda *_: KEY)
    assert engines._open("onnxruntime", source, engines.CPU, Cache(folder, lambda _: nullcontext())) == "prepared anew"
    assert "others can write to" in caplog.text
    assert "chmod go-w" in caplog.text
    assert not [path for path in folder.iterdir() if path.is_dir()]
