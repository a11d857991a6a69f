"""`limner batch`: every input once, whatever happens to the process, and the same bytes from every engine."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from limner import cli
from limner.batch import items, job, local, store
from limner.batch.items import Item, listed, parse_shard, safe_name
from limner.batch.settings import Settings
from limner.batch.work import Outcome, Worker
from limner.errors import ArgumentError, InputError
from limner.formats.read_lines import LinesReader


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of twelve images, two in a folder of their own, a short video and a damaged image."""
    skimage = pytest.importorskip("skimage.data")
    folder = tmp_path_factory.mktemp("photos")
    photo = np.ascontiguousarray(skimage.astronaut()[..., ::-1])
    (folder / "day [1]").mkdir()
    (folder / ".hidden").mkdir()
    for i in range(12):
        place = folder / "day [1]" if i % 6 == 0 else folder
        cv2.imwrite(str(place / f"{i:02}.jpg"), np.roll(photo, 7 * i, axis=1))
    shutil.copy(folder / "01.jpg", folder / ".hidden" / "x.jpg")
    (folder / "damaged.jpg").write_bytes(b"\xff\xd8\xff\xe0 no image")
    (folder / "notes.txt").write_text("nothing")
    from limner.video.writer import VideoWriter

    with VideoWriter(folder / "clip.mp4", 10) as writer:
        for i in range(5):
            writer.write(np.ascontiguousarray(photo[:, 2 * i : 500 + 2 * i]), i)
    return folder


def results(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*.jsonl"))}


def run(source: object, target: object, *more: object) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, ["batch", str(source), str(target), *map(str, more)])
    return result.exit_code, result.output + (str(result.exception) if result.exception else "")


def test_each_input_has_its_results_and_each_failure_a_reason(photos: Path, tmp_path: Path) -> None:
    code, text = run(photos, tmp_path / "out", "--workers", 1)
    assert code == 1
    assert "13 done, 1 failed" in text
    assert "damaged.jpg" in text
    found = results(tmp_path / "out")
    assert sorted(name.rpartition(".")[0].rpartition(".")[0] for name in found) == sorted(
        [*(f"day [1]/{i:02}.jpg" for i in (0, 6)), *(f"{i:02}.jpg" for i in range(12) if i % 6), "clip.mp4"]
    )
    video = next(name for name in found if name.startswith("clip"))
    lines = found[video].decode().splitlines()
    assert json.loads(lines[0])["model"] == "face-lite"
    assert [json.loads(line)["frame_id"] for line in lines[1:-1]] == [0, 1, 2, 3, 4]
    assert json.loads(lines[-1])["complete"] is True
    assert len(list(LinesReader(tmp_path / "out" / video))) == 5
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["done"], report["failed"], report["frames"]) == (13, 1, 5)
    assert "damaged.jpg" in report["errors"][0]["source"]
    # again: what is finished is left alone, what failed is tried again
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.jsonl")}
    code, text = run(photos, tmp_path / "out", "--workers", 1)
    assert "0 done, 13 done before, 1 failed" in text
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.jsonl")}
    # other settings are other results
    code, text = run(photos, tmp_path / "out", "--workers", 1, "--bbox-thr", 0.9)
    assert "13 done" in text


def test_what_is_found_is_what_the_python_api_finds(photos: Path, tmp_path: Path) -> None:
    import limner

    run(photos, tmp_path / "out", "--workers", 1)
    model = limner.load("face-lite")
    path = next((tmp_path / "out").glob("01.jpg*.jsonl"))
    [one] = LinesReader(path)
    np.testing.assert_array_equal(one.keypoints, model(str(photos / "01.jpg")).keypoints)


def test_two_processes_and_shards_write_the_same_bytes(photos: Path, tmp_path: Path) -> None:
    run(photos, tmp_path / "one", "--workers", 1)
    run(photos, tmp_path / "two", "--workers", 2)
    for k in (1, 2, 3):
        run(photos, tmp_path / "shards", "--workers", 1, "--shard", f"{k}/3")
    one = results(tmp_path / "one")
    assert len(one) == 13
    assert one == results(tmp_path / "two") == results(tmp_path / "shards")


def killed_runs(photos: Path, target: Path, kills: int, *, most: float) -> None:
    """Run the job, kill it and all its processes at random moments, then let it end."""
    moments = random.Random(5)
    command = [sys.executable, "-m", "limner", "batch", str(photos), str(target), "--quiet"]
    for _ in range(kills):
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
        time.sleep(moments.uniform(0.3, most))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    process.wait(timeout=600)


@pytest.mark.skipif(sys.platform == "win32", reason="kills groups of processes")
def test_a_job_that_is_killed_goes_on(photos: Path, tmp_path: Path) -> None:
    kills, most = (20, 12.0) if os.environ.get("LIMNER_LONG") else (2, 4.0)
    source = photos
    if os.environ.get("LIMNER_LONG"):  # 2,000 images and 20 videos
        source = tmp_path / "many"
        source.mkdir()
        whole = [p for p in sorted(photos.glob("*.jpg")) if p.name != "damaged.jpg"]
        for i in range(2000):
            os.link(whole[i % len(whole)], source / f"{i:04}.jpg")
        for i in range(20):
            os.link(photos / "clip.mp4", source / f"clip{i:02}.mp4")
    killed_runs(source, tmp_path / "killed", kills, most=most)
    run(source, tmp_path / "whole", "--workers", 2)
    assert results(tmp_path / "killed") == results(tmp_path / "whole")
    left = [p for p in (tmp_path / "killed").rglob("*") if p.is_file() and p.suffix not in (".jsonl", ".json")]
    assert not left  # nothing half-written


def test_a_process_that_dies_is_replaced_and_its_inputs_are_done(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that kills itself at one input, each time: the others are done, that one is noted."""
    monkeypatch.setenv("LIMNER_TEST_DIES_AT", "05.jpg")
    monkeypatch.setattr(local, "_do", dies)
    inputs = [Item(str(p), p.name) for p in sorted(photos.glob("*.jpg")) if p.name != "damaged.jpg"]
    with store.opened(str(tmp_path / "out")) as place:
        total = Outcome()
        counted = 0
        for count, one in local.run([inputs[:5], inputs[5:]], Settings(), place, 2):
            counted, total = counted + count, total + one
        noted = list(place.errors())
    assert counted == len(inputs)
    # what the other process had done when the pool broke is found done
    assert (total.done + total.skipped, total.failed) == (len(inputs) - 1, 1)
    assert len(results(tmp_path / "out")) == len(inputs) - 1
    assert len(noted) == 1
    assert "05.jpg" in noted[0]["source"]


def dies(part: list[Item]) -> Outcome:
    if any(item.name == os.environ["LIMNER_TEST_DIES_AT"] for item in part):
        os._exit(9)
    assert local._worker is not None
    return local._worker(part)


def test_manifests_name_inputs_and_results(photos: Path, tmp_path: Path) -> None:
    rows = [("01.jpg", "first"), ("day [1]/06.jpg", "")]
    (photos / "list.csv").write_text("name,input\n" + "".join(f"{name},{path}\n" for path, name in rows))
    (photos / "list.jsonl").write_text("".join(json.dumps({"path": p, "name": n}) + "\n" for p, n in rows))
    (photos / "list.txt").write_text("# comment\n01.jpg\n\nday [1]/06.jpg\n")
    try:
        for kind in ("csv", "jsonl"):
            found = list(listed(str(photos / f"list.{kind}")))
            assert [item.name for item in found] == ["first", "day [1]/06.jpg"]
            assert [Path(item.location) for item in found] == [photos / "01.jpg", photos / "day [1]" / "06.jpg"]
        assert [item.name for item in listed(str(photos / "list.txt"))] == ["01.jpg", "day [1]/06.jpg"]
        code, text = run(photos / "list.csv", tmp_path / "out", "--workers", 1)
        assert code == 0, text
        assert sorted(n.split(".")[0] for n in results(tmp_path / "out")) == ["day [1]/06", "first"]
    finally:
        for kind in ("csv", "jsonl", "txt"):
            (photos / f"list.{kind}").unlink()
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ArgumentError, match="columns"):
        list(listed(str(tmp_path / "bad.csv")))
    assert len(list(listed(str(photos / "*.jpg")))) == 11


def test_one_bad_row_is_noted_and_the_others_are_done(photos: Path, tmp_path: Path) -> None:
    rows = [
        "input,name",
        "ftp://127.0.0.1:9/b.jpg,",
        ",nothing",
        f"{'a' * 300}.jpg,",
        f"{photos},",
        f"{photos}/01.jpg,",
    ]
    (tmp_path / "rows.csv").write_text("\n".join([*rows, f"file://{photos}/02.jpg,"]) + "\n")
    code, text = run(tmp_path / "rows.csv", tmp_path / "out", "--workers", 1)
    assert code == 1
    assert "2 done, 4 failed" in text, text
    errors = " ".join(error["error"] for error in json.loads((tmp_path / "out" / "report.json").read_text())["errors"])
    for said in ("row 3 of 'rows.csv' names no input", "is a folder", "cannot be read"):
        assert said in errors
    assert "please report" not in errors


def test_a_link_to_nothing_is_not_left_out_in_silence(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").symlink_to(tmp_path / "unmounted" / "a.jpg")
    assert "0 done, 1 failed" in run(tmp_path / "in", tmp_path / "out", "--workers", 1)[1]
    assert run(photos, "", "--workers", 1)[0] != 0


def test_shards_have_reports_of_their_own(photos: Path, tmp_path: Path) -> None:
    for k in (1, 2):
        run(photos, tmp_path / "out", "--workers", 1, "--shard", f"{k}/2")
    reports = [json.loads((tmp_path / "out" / f"report-{k}-of-2.json").read_text()) for k in (1, 2)]
    assert sum(report["done"] for report in reports) == 13
    assert sum(len(report["errors"]) for report in reports) == 1


def test_names_lead_nowhere_else() -> None:
    for name in ("../../etc/passwd", "/etc/passwd", "a/../../b", "..", "a\x00b", "C:\\x", "a" * 400, "ä\udcff"):
        key = Item(name, name).key("s")
        assert ".." not in key.split("/")
        assert not key.startswith("/")
        assert all(len(part.encode()) < 250 for part in key.split("/"))
        assert safe_name(name)
    assert Item("a/x.jpg", "x.jpg").key("s") != Item("b/x.jpg", "x.jpg").key("s")


def test_what_cannot_be_done_is_a_sentence(photos: Path, tmp_path: Path) -> None:
    for arguments, said in {
        (tmp_path / "none", tmp_path / "out"): "does not exist",
        (photos, photos / "out"): "lies in the folder of the inputs",
        (photos, tmp_path / "out", "--shard", "3/2"): "shard is '3/2'",
        (photos, tmp_path / "out", "--engine", "spark"): "engine is 'spark'",
        (tmp_path, tmp_path.parent / "out"): "holds no images",
        (photos, "nosuchstore://bucket/x"): "cannot be opened",
    }.items():
        code, text = run(*arguments)
        assert code != 0
        assert said in text, text
        assert "Traceback" not in text
    assert parse_shard(" 2/8 ") == (2, 8)
    with pytest.raises(InputError):
        list(listed(str(tmp_path / "*.jpg")))


def test_an_object_store_holds_inputs_and_results(photos: Path, tmp_path: Path) -> None:
    """fsspec's memory store stands for buckets: it has no folders, no renaming, and objects that are whole."""
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    for name in ("01.jpg", "02.jpg", "clip.mp4", "damaged.jpg"):
        memory.pipe_file(f"/bucket/in/{name}", (photos / name).read_bytes())
    _, text = run("memory://bucket/in", "memory://bucket/out", "--workers", 1)
    assert "3 done, 1 failed" in text, text
    names = sorted(Path(name).name.split(".")[0] for name in memory.glob("/bucket/out/*.jsonl"))
    assert names == ["01", "02", "clip"]
    report = json.loads(memory.cat_file("/bucket/out/report.json"))
    assert report["errors"][0]["source"] == "memory://bucket/in/damaged.jpg"
    assert "3 done before" in run("memory://bucket/in", "memory://bucket/out", "--workers", 1)[1]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory as Linux says it")
def test_a_manifest_of_a_million_rows_is_never_in_memory(photos: Path, tmp_path: Path) -> None:
    rows = 1_000_000 if os.environ.get("LIMNER_LONG") else 50_000
    manifest = tmp_path / "rows.txt"
    with manifest.open("w") as file:
        for i in range(rows):
            file.write(f"{photos}/{i % 5 + 1:02}.jpg\n")
    code = (
        "import sys\nfrom limner.batch import items, job\n"
        "n = sum(len(part) for part in job.parts_of(items.listed(sys.argv[1])))\n"
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"  # not the parent's
        "print(n, int(peak.split()[1]) // 1024)"
    )
    out = subprocess.run([sys.executable, "-c", code, str(manifest)], capture_output=True, text=True, check=True)
    n, peak = map(int, out.stdout.split())
    assert n == rows
    assert peak <= 300


def test_ray_writes_the_same_bytes_also_when_a_worker_is_killed(photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason='needs ray: pip install "ray[data]>=2.40"')
    code = Path(__file__).with_name("ray_job.py")
    run(photos, tmp_path / "local", "--workers", 1)
    command = [sys.executable, str(code), str(photos), str(tmp_path / "ray")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert results(tmp_path / "ray") == results(tmp_path / "local")
    assert "killed 1" in done.stdout
    assert json.loads((tmp_path / "ray" / "report.json").read_text())["failed"] == 1


def test_a_worker_goes_on_after_an_image_that_fails(photos: Path, tmp_path: Path) -> None:
    place = store.Store(str(tmp_path / "out"))
    worker = Worker(Settings(), place)
    inputs = [Item(str(photos / name), name) for name in ("01.jpg", "damaged.jpg", "02.jpg", "none.jpg")]
    outcome = worker(inputs)
    assert (outcome.done, outcome.failed) == (2, 2)
    assert any("does not exist" in problem for problem in outcome.problems)
    assert job.said(outcome, 3.2).startswith("2 done, 2 failed")
    assert items.MANIFESTS
