"""Random cases of every kind, in their short form; and the runner sees what it is there to see."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="the runner bounds its processes, which Windows cannot")

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from fuzz import KINDS  # noqa: E402
from fuzz.run import Limits, Report, Runner, load  # noqa: E402

EXISTING = [name for name in KINDS if (ROOT / "fuzz" / f"{name}.py").is_file()]


@pytest.mark.parametrize("kind", EXISTING)
def test_only_our_own_errors_come_of_random_cases(kind: str) -> None:
    command = [sys.executable, str(ROOT / "fuzz" / "run.py"), kind, "--short", "--jobs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert f"{load(kind).SHORT:,} cases" in done.stdout


ATTEMPTS = {  # what a case may do -> what the runner says of it
    "raise ValueError('no sentence')": "ValueError: no sentence (bad.py:",
    "raise SystemExit(3)": "SystemExit: 3 (bad.py:",
    "raise limner.LimnerError('a sentence')": "",
    "pass": "",
    "while True: pass": "takes more than 1 s of CPU",
    "(10 ** 7_000_000) % (10 ** 3_000_000 + 1)": "takes more than 1 s of CPU",  # in C, where Python sees no signal
    "time.sleep(60)": "hangs for 3 s",
    "bytearray(220_000_000).upper()": "MB of memory where at most 200 are right",
    "bytearray(1 << 40)": "MemoryError",
    "os.kill(os.getpid(), signal.SIGSEGV)": "its process ended with SIGSEGV",
    "os._exit(7)": "its process ended with status 7",
}


@pytest.mark.parametrize(("attempt", "said"), ATTEMPTS.items(), ids=list(ATTEMPTS))
def test_the_runner_sees_what_goes_wrong(attempt: str, said: str, tmp_path: Path) -> None:
    """In case 1 of three; the others run all the same."""
    kind = tmp_path / "bad.py"
    kind.write_text(
        "import os, signal, sys, time\nimport limner\nNAME, COUNT, SHORT = 'bad', 3, 3\nsys.set_int_max_str_digits(0)\n"
        "def make(random, folder):\n    return (folder / 'file').write_text(str(random.random())), next(numbers)\n"
        "numbers = iter(range(int(sys.argv[5]) if '--work' in sys.argv else 0, 99))\n"
        f"def attempt(case):\n    if case[1] == 1:\n        {attempt}\n"
    )
    report = Runner(str(kind), 5, Limits(1, 3, 200_000_000)).run(range(3), 1)
    assert report.cases == 3
    if said:
        assert len(report.bad) == 1
        assert report.bad[0].startswith("bad, seed 5, case 1: ")
        assert said in report.bad[0]
    else:
        assert report.bad == []
        assert report.ends == ({"fine": 2, "LimnerError": 1} if "limner" in attempt else {"fine": 3})


def test_a_case_is_its_seed_and_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kind = tmp_path / "drawn.py"
    kind.write_text(
        "NAME, COUNT, SHORT = 'drawn', 200, 20\n"
        "def make(random, folder):\n    return random.random()\n"
        "def attempt(case):\n    if case < 0.1:\n        raise KeyError(case)\n"
    )
    whole, again = (Runner(str(kind), 1).run(range(200), jobs) for jobs in (2, 1))
    assert sorted(whole.bad) == sorted(again.bad)
    assert 5 < len(whole.bad) < 50
    number = int(whole.bad[0].split("case ")[1].split(":")[0])
    alone = Runner(str(kind), 1).run(range(number, number + 1), 1)
    assert alone.bad == [whole.bad[0]]
    assert Runner(str(kind), 2).run(range(200), 2).bad != whole.bad


def test_the_exit_status_tells_of_bad_cases(tmp_path: Path) -> None:
    for name, line, status in (("good", "pass", 0), ("wrong", "assert case < 3", 1)):
        kind = tmp_path / f"{name}.py"
        kind.write_text(
            f"NAME, COUNT, SHORT = '{name}', 9, 4\nmade = iter(range(9))\n"
            f"def make(random, folder):\n    return next(made)\ndef attempt(case):\n    {line}\n"
        )
        command = [sys.executable, str(ROOT / "fuzz" / "run.py"), str(kind), "--short"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (status, "")
        assert f"{name}: 4 cases" in done.stdout


def test_a_report_keeps_the_worst() -> None:
    report = Report()
    report.add({"ends": {"fine": 2}, "cpu": [0.5, 3], "memory": [9, 4]})
    report.add({"ends": {"fine": 1, "InputError": 4}, "cpu": [0.2, 8], "memory": [12, 7]})
    assert (report.ends, report.cpu, report.memory) == ({"fine": 3, "InputError": 4}, (0.5, 3), (12, 7))
