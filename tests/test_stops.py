"""Ctrl-C and SIGTERM at any moment of a run: it ends at once, its files are whole, and a sentence is all that is said.

What comes before limner's first line, the start of Python, is Python's: a signal then ends it in Python's way.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from limner import VideoWriter
from limner.process import stop
from limner.process.stop import STOPPED
from limner.video.reader import VideoSource

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc, to see what is caught")

LONG = bool(os.environ.get("LIMNER_LONG"))
MOMENTS = 150 if LONG else 3  # of each of two runs
SECONDS = 2.0 if LONG else 10.0  # for which a run may go on; other tests take the machine's time
IMAGES = 24
KINDS = (signal.SIGINT, signal.SIGTERM)
RUN = [sys.executable, "-m", "limner", "run", "in", "-o", "out", "--json", "json", "--jsonl", "lines.jsonl"]


@pytest.fixture(scope="module", params=["images", "video"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, portrait: np.ndarray) -> Path:
    """A folder with images, or with a video that has an image beside it."""
    here: Path = tmp_path_factory.mktemp(request.param)
    (here / "in").mkdir()
    small = cv2.resize(portrait, (200, 200))
    for i in range(IMAGES if request.param == "images" else 1):
        cv2.imwrite(str(here / "in" / f"{i:02}.jpg"), small)
    if request.param == "video":
        with VideoWriter(here / "in" / "clip.mp4", 25) as writer:
            for i in range(60):
                writer.write(np.roll(small, i, axis=1))
    return here


def started(folder: Path) -> subprocess.Popen[bytes]:
    """Start a run as a shell would, which ignores no signals."""

    def as_a_shell_would() -> None:
        for kind in KINDS:
            signal.signal(kind, signal.SIG_DFL)

    return subprocess.Popen(
        RUN, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=as_a_shell_would
    )


def hears(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process has come to limner's first line, after which it catches SIGTERM."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return False
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def check_whole(folder: Path) -> None:
    """Check that what a run has left can be read, and nothing else is left."""
    files = [path for name in ("out", "json") for path in (folder / name).rglob("*") if path.is_file()]
    for path in files:
        if path.suffix == ".jpg":
            assert cv2.imread(str(path)) is not None, path
        elif path.suffix == ".json":
            assert isinstance(json.loads(path.read_text()), list), path
        elif path.suffix == ".mp4":
            marked = path.with_name(f"{path.name}.incomplete").exists()
            if path.stat().st_size or not marked:
                with VideoSource(path) as video:
                    assert marked or len(list(video)) == 60
        else:
            assert path.suffix == ".incomplete", f"{path.name} is left"
    lines = folder / "lines.jsonl"
    if lines.exists():
        text = lines.read_text()
        assert not text or text.endswith("\n")
        assert all(isinstance(json.loads(line), dict) for line in text.splitlines())
    assert {path.name for path in folder.iterdir()} <= {"in", "out", "json", "lines.jsonl"}


def clear(folder: Path) -> None:
    subprocess.run(["rm", "-rf", "out", "json", "lines.jsonl"], cwd=folder, check=True)


def test_a_run_ends_at_any_moment(folder: Path) -> None:
    clear(folder)
    began = time.monotonic()
    whole = started(folder)
    whole.communicate(timeout=120)
    assert whole.returncode == 0
    lasts = time.monotonic() - began
    numbers, ends, slowest = random.Random(7), Counter[str](), (0.0, 0.0)
    number = 0
    while number < MOMENTS:
        clear(folder)
        kind = KINDS[number % 2]
        moment = lasts * (numbers.random() if LONG else (number + 0.7) / MOMENTS)
        process = started(folder)
        time.sleep(moment)
        while not (heard := hears(process)) and not LONG and process.poll() is None:
            time.sleep(0.005)  # a busy machine is slow to start
        if process.poll() is not None:  # it was faster than the first
            process.communicate()
            lasts *= 0.98
            continue
        number += 1
        process.send_signal(kind)
        sent = time.monotonic()
        _, said = process.communicate(timeout=60)
        took, text = time.monotonic() - sent, said.decode()
        what = f"{kind.name} after {moment:.3f} of {lasts:.2f} s: status {process.returncode}, {took:.2f} s\n{text}"
        check_whole(folder)
        slowest = max(slowest, (took, moment))
        assert took < SECONDS, what
        if not heard:
            ends["before the first line"] += 1
            continue
        assert "Traceback" not in text, what
        assert "Exception" not in text, what
        if process.returncode == 0:
            ends["complete"] += 1
            continue
        assert process.returncode == 128 + kind, what
        assert text.strip().splitlines() == [f"limner: {STOPPED}"], what
        ends["stopped"] += 1
    if LONG:
        print(f"{folder.name}: {MOMENTS} signals, {dict(ends)}, slowest end {slowest[0]:.2f} s (at {slowest[1]:.2f} s)")
    assert ends["stopped"] >= MOMENTS // 2


def test_a_signal_in_an_import_is_heard(tmp_path: Path) -> None:
    """At each of the first lines that a command runs, those of imports too: no traceback."""
    (tmp_path / "slow.py").write_text("import time\nprint('imports', flush=True)\ntime.sleep(30)\n")
    code = (
        "import sys; sys.path.insert(0, '.')\nimport limner.__main__, limner.cli\n"
        "def main():\n    import slow\nlimner.cli.main = main\nlimner.__main__.main()"
    )
    for kind in KINDS:
        process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(kind)
        _, said = process.communicate(timeout=20)
        assert (process.returncode, said.decode()) == (128 + kind, f"limner: {STOPPED}\n")


def test_code_that_hears_no_signal_is_ended() -> None:
    """As a network's: it comes back only after long, and holds no lock of Python's meanwhile."""
    code = (
        "import hashlib\nfrom limner.process import edge\n"
        "def command():\n    print('computes', flush=True)\n"
        "    [hashlib.pbkdf2_hmac('sha256', b'', b'', 1 << 27) for _ in range(9)]\n"
        "edge.run(command)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    sent = time.monotonic()
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said.decode()) == (143, f"limner: {STOPPED}\n")
    assert time.monotonic() - sent < 8


def test_a_program_that_uses_limner_keeps_its_signals() -> None:
    """What is in progress is finished at the first, given up at the second; then they are the program's again."""
    before = [signal.getsignal(kind) for kind in KINDS]
    ended: list[bool] = []
    with stop.finishing(lambda: ended.append(True)) as received:
        os.kill(os.getpid(), signal.SIGTERM)
        assert (ended, received) == ([True], [signal.SIGTERM])
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert [signal.getsignal(kind) for kind in KINDS] == before
    assert not stop.came()
    with stop.stoppable():
        assert signal.getsignal(signal.SIGTERM) not in before
    assert [signal.getsignal(kind) for kind in KINDS] == before
    in_thread: list[list[int]] = []

    def elsewhere() -> None:
        with stop.stoppable(), stop.finishing(lambda: ended.append(True)) as heard:
            in_thread.append(heard)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert (in_thread, len(ended)) == ([[]], 1)


def test_a_forked_process_has_signals_of_its_own() -> None:
    code = (
        "import os, signal, time\nfrom limner.process import edge\n"
        "def command():\n    child = os.fork()\n    if not child:\n        time.sleep(30)\n        os._exit(0)\n"
        "    time.sleep(0.5)\n    os.kill(child, signal.SIGTERM)\n"
        "    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        "    time.sleep(2.5)\n    print('goes on')\n"
        "edge.run(command)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "-15\ngoes on\n", "")
