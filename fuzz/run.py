"""Run random cases of a kind in processes that are watched: whatever is neither fine nor a LimnerError is bad.

    python fuzz/run.py                      all kinds, in their long form
    python fuzz/run.py images --count 500   one kind
    python fuzz/run.py images --only 17     case 17 again, with its traceback; its files are kept
    python fuzz/run.py --short              all kinds, as CI runs them

A case is bad where it raises anything but a LimnerError, ends its process, takes more than 5 s of CPU or a minute, or
where its process has taken more than 1 GB. Exits with 1 where one is. A kind is a module of this folder (see
`fuzz/__init__.py`) or the path of one.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import faulthandler
import importlib
import importlib.util
import json
import mmap
import os
import queue
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
for place in (ROOT / "src", ROOT):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))

from fuzz import KINDS, Kind  # noqa: E402

CPU_SECONDS = 5.0  # that a case may take
WALL_SECONDS = 60.0  # the same, where it sleeps
MEMORY = 1 << 30  # bytes that a process may take at its peak, the interpreter and all libraries in it
ADDRESS_SPACE = 2 << 30  # bytes more than after start-up, so that a machine survives what the fuzzer finds
MOST_BAD = 100  # of a kind: then it ends
CHUNKS = 4  # ranges of cases for each job, so that no process grows old


class Limits(NamedTuple):
    """What a case may take."""

    cpu: float = CPU_SECONDS
    wall: float = WALL_SECONDS
    memory: int = MEMORY


@dataclass
class Report:
    """What came of the cases of a kind."""

    cases: int = 0  # how many have run
    bad: list[str] = field(default_factory=list)
    ends: collections.Counter[str] = field(default_factory=collections.Counter)  # how good ones ended -> how many
    cpu: tuple[float, int] = (0.0, 0)  # the most seconds, and of which case
    memory: tuple[int, int] = (0, 0)  # the most bytes, and after which case

    def add(self, message: dict[str, Any]) -> None:
        """Add what a process says of some of its cases."""
        self.ends.update(message["ends"])
        self.cpu = max(self.cpu, tuple(message["cpu"]))
        self.memory = max(self.memory, tuple(message["memory"]))


def load(name: str) -> Kind:
    """Return the module of a kind, given by its name or path."""
    if not name.endswith(".py"):
        return importlib.import_module(f"fuzz.{name}")  # type: ignore[return-value]
    spec = importlib.util.spec_from_file_location(Path(name).stem, name)
    if spec is None or spec.loader is None:
        raise ImportError(f"{name} is no module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module  # type: ignore[return-value]


def existing() -> list[str]:
    """Return the names of the kinds whose modules there are."""
    return [name for name in KINDS if (ROOT / "fuzz" / f"{name}.py").is_file()]


# -- one process


def work(name: str, seed: int, first: int, last: int, folder: Path, limits: Limits) -> None:
    """Run cases; say on stdout, in lines of JSON, what came of them, and in the file ``at`` which one runs."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no message
    faulthandler.enable()
    faulthandler.register(signal.SIGPROF, chain=True)  # says where the time went, then the process ends
    kind = load(name)
    from limner import LimnerError

    _bound_memory()
    with (folder / "at").open("r+b") as file:
        at = mmap.mmap(file.fileno(), 8)
    cases = folder / "case"
    report, told = Report(), time.monotonic()
    for number in range(first, last):
        at[:] = struct.pack("q", number)
        cases.mkdir(exist_ok=True)
        numbers = random.Random(f"{seed}/{kind.NAME}/{number}")
        case = kind.make(numbers, cases)
        began = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, limits.cpu)
        try:
            kind.attempt(case)
        except LimnerError as error:
            end = type(error).__name__
        except BaseException as error:
            end = ""
            where = traceback.extract_tb(error.__traceback__)[-1]
            line = " ".join("".join(traceback.format_exception_only(error)).split())
            bad = f"{line[:300]} ({Path(where.filename).name}:{where.lineno})"
            out.write(json.dumps({"number": number, "bad": bad, "trace": traceback.format_exc()}) + "\n")
        else:
            end = "fine"
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        del case
        report.cpu = max(report.cpu, (time.process_time() - began, number))
        peak = _peak()
        if peak > report.memory[0]:
            report.memory = peak, number
        if end and peak > limits.memory:
            bad = f"{peak / 1e6:,.0f} MB of memory where at most {limits.memory / 1e6:,.0f} are right"
            out.write(json.dumps({"number": number, "bad": bad}) + "\n")
        elif end:
            report.ends[end] += 1
        if peak > limits.memory or time.monotonic() > told + 1:
            _tell(out, report)
            report, told = Report(memory=report.memory), time.monotonic()
        if peak > limits.memory:
            os._exit(0)  # the mark would never fall again
        with contextlib.suppress(OSError):
            if any(os.scandir(cases)):
                shutil.rmtree(cases)
    _tell(out, report)


def _tell(out: Any, report: Report) -> None:
    out.write(json.dumps({"ends": report.ends, "cpu": report.cpu, "memory": report.memory}) + "\n")


def _peak() -> int:
    """Return the most bytes that this process has taken; what `getrusage` says begins with those of its parent."""
    with contextlib.suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        if found:
            return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _bound_memory() -> None:
    if sys.platform.startswith("linux"):
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + ADDRESS_SPACE, now + ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


# -- all processes


class Runner:
    """Runs the cases of one kind, a few processes at a time; each that ends early is followed by another."""

    def __init__(self, name: str, seed: int, limits: Limits | None = None) -> None:
        self.name, self.seed, self.limits = name, seed, limits or Limits()
        self.kind = load(name)
        self.report = Report()
        self.traces: list[str] = []
        self._lock = threading.Lock()

    def run(self, numbers: range, jobs: int) -> Report:
        """Run these cases."""
        size = max(-(-len(numbers) // (jobs * CHUNKS)), 50)
        ranges: queue.SimpleQueue[range] = queue.SimpleQueue()
        for first in range(0, len(numbers), size):
            ranges.put(numbers[first : first + size])

        def take() -> None:
            with contextlib.suppress(queue.Empty):
                while True:
                    self._range(ranges.get_nowait())

        threads = [threading.Thread(target=take, daemon=True) for _ in range(jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self.report

    def _range(self, numbers: range) -> None:
        first = numbers.start
        while first < numbers.stop and len(self.report.bad) < MOST_BAD:
            with tempfile.TemporaryDirectory(prefix="limner-fuzz-") as folder:
                first = self._process(first, numbers.stop, Path(folder))

    def _process(self, first: int, last: int, folder: Path) -> int:
        """Run cases in one process; return the number of the first case that it has not reached."""
        (folder / "at").write_bytes(struct.pack("q", -1))
        command = [sys.executable, __file__, self.name, "--seed", str(self.seed), "--work", str(first), str(last)]
        command += [str(folder), *map(str, self.limits)]
        environment = {**os.environ, "TMPDIR": str(folder), "PYTHONHASHSEED": "0"}
        with (folder / "stderr").open("wb") as errors:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                start_new_session=True,
            )
        assert process.stdout is not None
        reached, told, hangs = -1, time.monotonic(), False
        messages = threading.Thread(target=self._hear, args=(process.stdout,), daemon=True)
        messages.start()
        try:
            while process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.2)
                at = _number(folder)
                if at != reached:
                    reached, told = at, time.monotonic()
                elif time.monotonic() > told + self.limits.wall:
                    hangs = True
                    os.killpg(process.pid, signal.SIGABRT)  # says where it is
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(2)
                    break
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        messages.join()
        process.stdout.close()
        reached, code = _number(folder), process.returncode
        if code:
            said = (folder / "stderr").read_text("utf-8", "replace")[-6000:]
            self._bad(reached, self._how(code, hangs), said)
        if reached < 0:  # it cannot even start
            return last
        with self._lock:
            self.report.cases += reached + 1 - first
        return reached + 1

    def _how(self, code: int, hangs: bool) -> str:
        if hangs:
            return f"hangs for {self.limits.wall:g} s"
        if code == -signal.SIGPROF:
            return f"takes more than {self.limits.cpu:g} s of CPU"
        return f"its process ended with {signal.Signals(-code).name if code < 0 else f'status {code}'}"

    def _hear(self, lines: IO[bytes]) -> None:
        for line in lines:
            try:
                message = json.loads(line)
            except ValueError:  # the process was ended in the middle of a line
                continue
            if "bad" in message:
                self._bad(message["number"], message["bad"], message.get("trace", ""))
            else:
                with self._lock:
                    self.report.add(message)

    def _bad(self, number: int, what: str, trace: str) -> None:
        bad = f"{self.kind.NAME}, seed {self.seed}, case {number}: {what}"
        with self._lock:
            self.report.bad.append(bad)
            self.traces.append(trace)
        print(bad, flush=True)


def _number(folder: Path) -> int:
    return struct.unpack("q", (folder / "at").read_bytes())[0]


def repeat(runner: Runner, number: int) -> None:
    """Run one case as the others run, and keep its files, made anew, to look at."""
    runner.run(range(number, number + 1), 1)
    for trace in runner.traces:
        print(trace)
    folder = Path(tempfile.mkdtemp(prefix=f"{runner.kind.NAME}-{number}-"))
    case = runner.kind.make(random.Random(f"{runner.seed}/{runner.kind.NAME}/{number}"), folder)
    text = repr(case)
    print(f"case {number} is {text if len(text) < 2000 else f'{text[:2000]}...'}")
    if any(folder.iterdir()):
        print(f"its files are in {folder}")
    else:
        folder.rmdir()


def summary(name: str, report: Report, seconds: float) -> str:
    """Return a line about a kind."""
    ends = ", ".join(f"{count:,} {end}" for end, count in report.ends.most_common())
    return (
        f"{name}: {report.cases:,} cases in {seconds:.0f} s, {len(report.bad)} bad; {ends}; slowest "
        f"{report.cpu[0]:.2f} s of CPU (case {report.cpu[1]}), peak {report.memory[0] / 1e6:,.0f} MB "
        f"(case {report.memory[1]})"
    )


def parse() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(KINDS)} (default: those that exist)")
    parser.add_argument("--count", type=int, help="how many cases (default: the kind's)")
    parser.add_argument("--first", type=int, default=0, help="the number of the first (default: 0)")
    parser.add_argument("--seed", type=int, default=0, help="other random numbers (default: 0)")
    parser.add_argument("--only", type=int, metavar="K", help="one case")
    parser.add_argument("--short", action="store_true", help="as many cases as CI runs")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (default: 2)")
    parser.add_argument("--work", nargs=6, help=argparse.SUPPRESS)  # first, last, folder, limits: one process
    return parser.parse_args()


def main() -> int:
    """Run what the command line says; return the exit status."""
    args = parse()
    if args.work:
        first, last, folder, cpu, wall, memory = args.work
        limits = Limits(float(cpu), float(wall), int(memory))
        work(args.kinds[0], args.seed, int(first), int(last), Path(folder), limits)
        return 0
    bad = 0
    for name in args.kinds or existing():
        runner, began = Runner(name, args.seed), time.monotonic()
        if args.only is not None:
            repeat(runner, args.only)
        else:
            count = args.count or (runner.kind.SHORT if args.short else runner.kind.COUNT)
            runner.run(range(args.first, args.first + count), args.jobs)
        print(summary(runner.kind.NAME, runner.report, time.monotonic() - began), flush=True)
        bad += len(runner.report.bad)
    if bad and args.only is None:
        print(f"one case again: python fuzz/run.py KIND --seed {args.seed} --only CASE")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
