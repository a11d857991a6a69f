"""How many images a second `limner serve` answers for many clients, how fairly, and against what.

    python benchmarks/serve.py                    32 clients, 60 s of each kind in turns of 10 s
    python benchmarks/serve.py --seconds 6        a quick look

Compared, in turns on the same machine and with the same images: `limner serve`; the obvious way, a handler of
Starlette that calls the model for each request, once as a coroutine and once in Starlette's threads; and the Python
API without any server, `model.each(images)`, which is what `limner run` does with images. The clients are one process
that sends ready-made requests and looks only at statuses, so that it takes little of the cores that all share.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

OBVIOUS = """
import sys, uvicorn, limner
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.concurrency import run_in_threadpool
model = limner.load("face-lite")
def found(data):
    result = model(data)
    return {"size": result.size, "instances": result.instances()}
async def coroutine(request):
    return JSONResponse(found(await request.body()))
async def threads(request):
    return JSONResponse(await run_in_threadpool(found, await request.body()))
handler = {"coroutine": coroutine, "threads": threads}[sys.argv[2]]
app = Starlette(routes=[Route("/v1/predict", handler, methods=["POST"]), Route("/healthz", lambda r: JSONResponse({}))])
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="critical", access_log=False, http="h11")
"""

PYTHON = """
import itertools, sys, time, limner
model = limner.load("face-lite")
images = [open(path, "rb").read() for path in sys.argv[2:]]
model(images[0])
began, count, cpu = time.monotonic(), 0, time.process_time()
for _ in model.each(itertools.cycle(images)):
    count += 1
    if time.monotonic() - began > float(sys.argv[1]):
        break
print(count / (time.monotonic() - began), 1000 * (time.process_time() - cpu) / count)
"""


@dataclass
class Load:
    """What the clients of one kind of server saw."""

    answers: Counter[int] = field(default_factory=Counter)  # by status
    of_client: Counter[int] = field(default_factory=Counter)  # with status 200
    seconds: float = 0.0
    waits: list[float] = field(default_factory=list)  # of answers with status 200
    cpu: float = 0.0  # seconds that the server computed
    memory: list[int] = field(default_factory=list)  # kB of the server after each turn

    @property
    def rate(self) -> float:
        return self.answers[200] / self.seconds if self.seconds else 0.0

    def report(self, clients: int) -> dict[str, object]:
        waits = sorted(self.waits) or [0.0]
        fair = self.answers[200] / clients
        return {
            "images_per_second": round(self.rate, 1),
            "cpu_ms_per_image": round(1000 * self.cpu / max(1, self.answers[200]), 1),
            "statuses": dict(self.answers),
            "least_share": round(min(self.of_client[n] for n in range(clients)) / fair, 2) if fair else 0,
            "greatest_share": round(max(self.of_client[n] for n in range(clients)) / fair, 2) if fair else 0,
            "wait_ms_median": round(1000 * waits[len(waits) // 2]),
            "wait_ms_p95": round(1000 * waits[int(len(waits) * 0.95)]),
            "memory_mb": [kilobytes // 1000 for kilobytes in self.memory],
        }


@dataclass
class Server:
    """A server in a process of its own."""

    process: subprocess.Popen[bytes]
    port: int
    load: Load = field(default_factory=Load)

    def memory(self) -> int:
        """Return the resident memory in kB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(text.split("VmRSS:")[1].split()[0])

    def cpu(self) -> float:
        """Return the seconds for which its threads have computed."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(command: list[str], port: int) -> Iterator[Server]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"a server did not start: {' '.join(command)[:200]}") from None
                time.sleep(0.1)
        yield Server(process, port)
    finally:
        process.terminate()
        process.wait(30)


async def ask(number: int, port: int, images: list[bytes], until: float, load: Load) -> None:
    """Send images over one connection, each when the one before it is answered; after 429 wait for a moment."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    turn = number
    while time.monotonic() < until:
        image = images[turn % len(images)]
        turn += 1
        began = time.monotonic()
        head = f"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(image)}\r\n\r\n"
        writer.write(head.encode() + image)
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(answer.split(b"content-length: ")[1].split(b"\r\n")[0]))
        status = int(answer.split(b" ")[1])
        load.answers[status] += 1
        if status == 200:
            load.of_client[number] += 1
            load.waits.append(time.monotonic() - began)
        elif status == 429:
            await asyncio.sleep(0.1)
    writer.close()


async def turn_of(server: Server, clients: int, images: list[bytes], seconds: float) -> None:
    began, before = time.monotonic(), server.cpu()
    await asyncio.gather(*(ask(number, server.port, images, began + seconds, server.load) for number in range(clients)))
    server.load.seconds += time.monotonic() - began
    server.load.cpu += server.cpu() - before
    server.load.memory.append(server.memory())


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def make_images(folder: Path) -> list[Path]:
    """Write images of one face each, in different places and brightness."""
    import cv2
    import numpy as np
    from skimage import data

    face = np.ascontiguousarray(data.astronaut()[..., ::-1])
    paths = []
    for number in range(8):
        image = cv2.convertScaleAbs(np.roll(face, 10 * number, axis=1), alpha=1 - 0.03 * number)
        paths.append(folder / f"{number}.jpg")
        cv2.imwrite(str(paths[-1]), image)
    return paths


def measure(paths: list[Path], clients: int, seconds: float, turn: float) -> dict[str, object]:
    images = [path.read_bytes() for path in paths]
    ports = [free_port() for _ in range(3)]
    python = [sys.executable, "-c"]
    commands = {
        "serve": [sys.executable, "-m", "limner", "serve", "-q", "--port", str(ports[0])],
        "coroutine": [*python, OBVIOUS, str(ports[1]), "coroutine"],
        "threads": [*python, OBVIOUS, str(ports[2]), "threads"],
    }
    loads = {name: Load() for name in commands}
    alone: list[float] = []
    computed: list[float] = []
    turns = max(1, round(seconds / turn))
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(running(command, port))
            for (name, command), port in zip(commands.items(), ports, strict=True)
        }
        for server in servers.values():
            asyncio.run(turn_of(server, clients, images, min(2.0, turn)))  # to warm up
            server.load = Load(memory=[server.memory()])
        for number in range(turns):
            for server in servers.values():
                asyncio.run(turn_of(server, clients, images, turn))
            done = subprocess.run(
                [*python, PYTHON, str(turn), *map(str, paths)], capture_output=True, text=True, check=True
            )
            alone.append(float(done.stdout.split()[0]))
            computed.append(float(done.stdout.split()[1]))
            rates = ", ".join(f"{name} {server.load.rate:.1f}/s" for name, server in servers.items())
            print(f"turn {number + 1} of {turns}: {rates}, python {alone[-1]:.1f}/s", file=sys.stderr, flush=True)
        loads = {name: server.load for name, server in servers.items()}
    python_rate = sum(alone) / len(alone)
    report: dict[str, object] = {name: load.report(clients) for name, load in loads.items()}
    report["python_images_per_second"] = round(python_rate, 1)
    report["python_cpu_ms_per_image"] = round(sum(computed) / len(computed), 1)
    report["serve_of_python"] = round(loads["serve"].rate / python_rate, 2)
    for name in ("coroutine", "threads"):
        report[f"serve_of_{name}"] = round(loads["serve"].rate / max(loads[name].rate, 1e-9), 2)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each kind")
    parser.add_argument("--turn", type=float, default=10.0, help="seconds for which each kind runs at a time")
    parser.add_argument("--images", type=Path, help="folder of JPEG images (default: made of one portrait)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = sorted(options.images.glob("*.jpg")) if options.images else make_images(Path(folder))
        print(json.dumps(measure(paths, options.clients, options.seconds, options.turn), indent=2))
    print(f"{os.cpu_count()} cores", file=sys.stderr)


if __name__ == "__main__":
    main()
