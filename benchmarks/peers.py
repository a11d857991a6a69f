"""Measure limn side by side with its peers, in turn, round by round, on one machine.

    python benchmarks/peers.py limits --json runs/speed/limits.json
    python benchmarks/peers.py mmpose --video clip.mp4 --json runs/speed/mmpose.json
    python benchmarks/peers.py rtmlib --video clip.mp4 --json runs/speed/rtmlib.json
    python benchmarks/peers.py clip --video clip.mp4 --json runs/speed/clip.json
    python benchmarks/peers.py report runs/speed

Ratios of one run count, times of different runs do not: run it on a quiet machine. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np

import plot
import record
import rtmlib_export
import standins
from limn import pipeline
from limn.errors import LimnError
from limn.pipeline import Engine, Pipeline
from limn.runtimes.hardware import usable_cores
from limn.video import VideoSource
from standins import BODY, DETECTOR, FACE, Counted, Stage, apart, in_turn, medians

GFLOP = 3.86  # of RTMPose-m at 256x192: twice the multiplications, of one crop
PRODUCT = 4096  # side of the matrices whose product shows what the processor can do
BACKENDS = ("onnxruntime", "openvino", "torch")
PEOPLE, CROPS = 8, 32  # of a frame, and of a batch of many frames
WHOLE = " cut and decoded"  # not the network alone
AGREED = 1e-3  # how far raw outputs of the same weights may be apart, as a part of their norm

Numbers = dict[str, Any]


# -- what the processor can do ----------------------------------------------------------------------------------


def limits(
    work: Path,
    rounds: int,
    *,
    backends: tuple[str, ...] = BACKENDS,
    side: int = PRODUCT,
    products: int = 20,
    sizes: tuple[int, int, int] = (1, PEOPLE, CROPS),
    threads: int = 0,
) -> Numbers:
    """Return seconds of RTMPose-m a crop, in every engine, and of the limit that a matrix product sets.

    Args:
        work: folder of the weights.
        rounds: how often everything is measured in turn.
        backends: engines.
        side: of the matrices.
        products: of them in a round, of which the best counts.
        sizes: crops that are looked at together: one, those of a frame, and those of many frames.
        threads: 0 takes every core that this process may use.
    """
    import torch

    threads = threads or usable_cores()
    calls: dict[str, tuple[Callable[[], object], int, int]] = {}  # what is called, crops of it, and times a round
    for backend in backends:
        for hint in ("latency", "throughput") if backend != "torch" else ("latency",):
            calls |= _calls(Engine(backend, threads=threads, hint=hint), f"{backend}, {hint}", work, sizes)
    for call, _, _ in calls.values():
        call()
    matrix, before = torch.randn(side, side), torch.get_num_threads()
    spent: dict[str, list[float]] = {name: [] for name in ("product", *calls)}
    for i in range(rounds):
        torch.set_num_threads(threads)
        spent["product"].append(min(_seconds(lambda: matrix @ matrix) for _ in range(products)))
        torch.set_num_threads(before)
        for name, (call, crops, times) in calls.items():
            spent[name].append(statistics.median(_seconds(call) for _ in range(times)) / crops)
        print(f"round {i + 1} of {rounds}")
    rate = 2 * side**3 / statistics.median(spent["product"])
    limit, middle = GFLOP * 1e9 / rate, medians(spent)
    columns = ["RTMPose-m 256x192, a crop (against the limit)"]
    columns += [f"{n} at once{end and ',' + end}" for end in ("", WHOLE) for n in sizes]
    columns += [f"{sizes[1]} people against {sizes[1]} x 1{end}" for end in ("", WHOLE)]
    rows = [["limit: one large matrix product", f"{1e3 * limit:.1f} ms ({rate / 1e9:.0f} GFLOP/s)"]]
    for told in dict.fromkeys(", ".join(name.split(", ")[:2]) for name in calls):
        names = [f"{told}, {n}{end}" for end in ("", WHOLE) for n in sizes]
        cells = [f"{1e3 * middle[name]:.1f} ms ({middle[name] / limit:.2f} x)" for name in names]
        together = [f"{apart(spent, names[i + 1], names[i]):.2f} x" for i in (0, 3)]
        rows.append([told, *cells, *together])
    return {"limit": limit, "rate": rate, "sizes": sizes, "seconds": spent, "medians": middle, "columns": columns,
            "rows": rows}  # fmt: skip


def _calls(
    engine: Engine, told: str, work: Path, sizes: tuple[int, int, int]
) -> dict[str, tuple[Callable[[], object], int, int]]:
    """Return what is called of an engine, by its name and the number of crops: the network, and from a picture on."""
    pose = pipeline.open_pose(BODY.config, standins.checkpoint(BODY, work), engine=engine, flip=False)
    image = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    _, people, many = sizes
    left = np.linspace(0, 1000, people)
    boxes = np.stack([left, 0 * left + 100, left + 200, 0 * left + 600], axis=1).astype(np.float32)
    crops, frames = pose.crop(boxes).cut(image), many // people
    return {
        f"{told}, 1": (partial(pose.runtime, crops[:1]), 1, 12),
        f"{told}, {people}": (partial(pose.runtime, crops), people, 2),
        f"{told}, {many}": (partial(pose.runtime, np.concatenate([crops] * frames)), many, 1),
        f"{told}, 1{WHOLE}": (partial(pose, image, boxes[:1]), 1, 12),
        f"{told}, {people}{WHOLE}": (partial(pose, image, boxes), people, 2),
        f"{told}, {many}{WHOLE}": (partial(pose.many, [image] * frames, [boxes] * frames), many, 1),
    }


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


# -- MMPose -----------------------------------------------------------------------------------------------------


def mmpose(
    clip: Path, work: Path, rounds: int, *, backend: str = "auto", points: str = "recorded", draw: bool = True,
    interval: int = 5, together: bool = False,
) -> Numbers:  # fmt: skip
    """Return seconds a frame of limn and of a stand-in for MMPose, and how many pictures each network was given."""
    from mmpose_peer import Eager, one_by_one

    stage = Stage(clip)
    open_stages = partial(standins.stages, FACE, stage, work, backend=backend, points=points)
    same, chosen = open_stages(flip=True), open_stages(flip=False, tight=True)
    base = "MMPose's way: eager torch, one crop a call"
    peers = {base: False, **({"MMPose's way, a frame's crops together": True} if together else {})}
    eager: dict[str, Pipeline] = {}
    for name, batch in peers.items():
        eager[name] = standins.stages(FACE, stage, work, flip=True, backend="torch", points=points)
        eager[name].detector.runtime = Eager(DETECTOR.config, standins.checkpoint(DETECTOR, work))
        eager[name].pose.runtime = Eager(FACE.config, standins.checkpoint(FACE, work), together=batch)
    target = (lambda name: work / f"{name}.mp4") if draw else (lambda name: None)
    users = f"limn, no flip, detection at every {interval}th frame"
    ours = {"limn, same flags": (same, 1), users: (chosen, interval)}
    for half in _openvino_precisions() if backend == "auto" else ():
        what = "openvino, bfloat16" if half else "openvino"
        ours[f"{users}, {what}"] = (open_stages(flip=False, tight=True, backend="openvino", half=half), interval)
    systems: dict[str, Callable[[], object]] = {
        name: partial(one_by_one, found_by, clip, target("mmpose")) for name, found_by in eager.items()
    }
    for name, (found_by, every) in ours.items():
        systems[name] = partial(
            _afresh, found_by, partial(standins.through_limn, found_by, clip, every, target("limn"))
        )
        systems[f"{name}: its networks alone"] = partial(_again, found_by)
    spent = in_turn(systems, rounds)
    frames = len(stage.frames)
    pictures = {name: _pictures(found_by) for name, (found_by, _) in ours.items()}
    runs = rounds + 1
    pictures |= {
        name: {"detector": s.detector.runtime.pictures // runs, "crops": s.pose.runtime.pictures // runs}
        for name, s in eager.items()
    }
    middle = medians(spent)
    columns = ["YOLOX-s + RTMPose-m face6", "time", "as fast as MMPose's way", "time of its networks alone", "given"]
    rows = []
    for name in systems:
        counts = ", ".join(f"{n} {what}" for what, n in pictures.get(name, {}).items())
        speed = f"{middle[name] / frames:.3f} s a frame"
        alone = f"{name}: its networks alone"
        beside = f"{apart(spent, name, alone):.2f} x" if alone in spent else ""
        rows.append([name, speed, f"{apart(spent, base, name):.2f} x", beside, counts])
    faces = sum(len(found.detected) for found in stage.frames) / frames
    return {"frames": frames, "faces": faces, "seconds": spent, "medians": middle, "pictures": pictures,
            "columns": columns, "rows": rows}  # fmt: skip


def _openvino_precisions() -> list[bool]:
    """Return whether in half precision, for each way in which OpenVINO runs here."""
    if importlib.util.find_spec("openvino") is None:
        return []
    from limn.runtimes.openvino import import_openvino

    return [False, True] if "BF16" in import_openvino()[0].get_property("CPU", "OPTIMIZATION_CAPABILITIES") else [False]


def _afresh(found_by: Pipeline, run: Callable[[], int]) -> None:
    """Run a clip after forgetting the calls of the networks before it."""
    found_by.detector.runtime.shapes.clear()
    found_by.pose.runtime.shapes.clear()
    run()


def _again(found_by: Pipeline) -> None:
    """Repeat the calls of the networks that a clip made, one after the other and nothing else."""
    for counted in (found_by.detector.runtime, found_by.pose.runtime):
        noise = np.random.default_rng(0)
        batches = {shape: noise.integers(0, 256, shape, np.uint8) for shape in dict.fromkeys(counted.shapes)}
        for shape in counted.shapes:
            counted.runtime(batches[shape])


def _pictures(found_by: Pipeline) -> dict[str, int]:
    return {"detector": found_by.detector.runtime.pictures, "crops": found_by.pose.runtime.pictures}


# -- rtmlib -----------------------------------------------------------------------------------------------------


def rtmlib(
    clip: Path,
    work: Path,
    rounds: int,
    *,
    env: Path,
    backend: str = "auto",
    points: str = "recorded",
    interval: int = 5,
) -> Numbers:
    """Return frames a second of limn and of rtmlib's PoseTracker, drawn and written, with the same weights."""
    stage = Stage(clip)
    found_by = standins.stages(BODY, stage, work, flip=False, backend=backend, points=points)
    record.save(work / "record.npz", stage.frames)
    python = rtmlib_export.environment(env)
    networks = [rtmlib_export.exported(model, work) for model in (DETECTOR, BODY)]
    differences = {
        "detector": rtmlib_export.difference(networks[0], found_by.detector.runtime.runtime, DETECTOR),
        "pose": rtmlib_export.difference(networks[1], found_by.pose.runtime.runtime, BODY),
    }
    if max(differences.values()) > AGREED:
        raise SystemExit(f"the two exports give other numbers: {differences}")
    script = Path(__file__).with_name("rtmlib_peer.py")
    words = [clip, work / "record.npz", *networks, interval, points, work / "rtmlib.mp4"]
    told: list[Numbers] = []
    with subprocess.Popen(
        [str(python), str(script), *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as peer:

        def ask() -> None:
            assert peer.stdin is not None and peer.stdout is not None  # noqa: PT018 - for mypy
            peer.stdin.write("go\n")
            peer.stdin.flush()
            answer = peer.stdout.readline()
            if not answer:
                raise SystemExit("rtmlib's side has ended; what it said stands above")
            told.append(json.loads(answer))

        ours = partial(standins.through_limn, found_by, clip, interval, work / "limn.mp4")
        try:
            spent = in_turn({"limn": partial(_afresh, found_by, ours), "rtmlib": ask}, rounds)
        finally:
            if peer.stdin is not None:
                peer.stdin.close()
    frames, middle = len(stage.frames), medians(spent)
    pictures = {"limn": _pictures(found_by), "rtmlib": {name: told[-1][name] for name in ("detector", "crops")}}
    columns = [f"YOLOX-s + RTMPose-m body, detection at every {interval}th frame", "rate", "as fast as rtmlib", "given"]
    rows = []
    for name in spent:
        counts = ", ".join(f"{n} {what}" for what, n in pictures[name].items())
        ratio = apart(spent, "rtmlib", name)
        rows.append([name, f"{frames / middle[name]:.1f} frames/s", f"{ratio:.2f} x", counts])
    return {"frames": frames, "seconds": spent, "medians": middle, "pictures": pictures, "interval": interval,
            "raw outputs apart": differences, "columns": columns, "rows": rows}  # fmt: skip


# -- a clip with the bundled model ------------------------------------------------------------------------------


def recoded(clip: Path, target: Path, *, alike: bool = True) -> int:
    """Decode and encode a clip by PyAV alone; return its frames.

    Args:
        alike: in the settings of `limn.video.VideoSink`; False leaves x264's own, which take longer.
    """
    with VideoSource(clip) as opened:
        rate = opened.fps
    count = 0
    with av.open(str(clip)) as source, av.open(str(target), "w") as sink:
        source.streams.video[0].thread_type = "AUTO"
        stream = sink.add_stream("libx264", rate=rate)
        stream.width, stream.height = source.streams.video[0].width, source.streams.video[0].height
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "20", "bf": "0", "rc-lookahead": str(min(20, int(rate * 2 / 5))),
                          "threads": str(max(1, min(4, os.cpu_count() or 1, int(rate / 5)))),
                          "g": str(max(2, min(250, round(2 * rate))))}  # fmt: skip
        if not alike:
            stream.options = {}
        for frame in source.decode(video=0):
            frame.pts, frame.time_base = count, Fraction(1) / rate
            frame.pict_type = 0  # not that of the source
            sink.mux(stream.encode(frame))
            count += 1
        sink.mux(stream.encode(None))
    return count


def settings(path: Path) -> str:
    """Return what x264 notes of its settings in a video that it made."""
    _, _, rest = path.read_bytes().partition(b"options: ")
    return rest.partition(b"\0")[0].decode("ascii", "replace")


def clip_rate(clip: Path, short: Path, work: Path, rounds: int, *, backend: str = "auto") -> Numbers:
    """Return frames a second of the bundled model, drawn and encoded, and where the processor's time goes."""
    bundled = pipeline.load("face-lite", backend=backend)
    systems: dict[str, Callable[[], object]] = {
        "PyAV alone": partial(recoded, clip, work / "recoded.mp4"),
        "PyAV alone, x264's own settings": partial(recoded, clip, work / "own.mp4", alike=False),
    }
    for interval in (1, 5):
        name = f"face-lite, detection at every {'' if interval == 1 else '5th '}frame"
        systems[name] = partial(standins.through_limn, bundled, clip, interval, work / "limn.mp4")
    spent = in_turn(systems, rounds)
    middle = medians(spent)
    frames = recoded(clip, work / "recoded.mp4")
    alike = settings(work / "recoded.mp4") == settings(work / "limn.mp4")
    found: Numbers = {"frames": frames, "same encoder settings": alike, "seconds": spent, "medians": middle}
    found["processor time"] = _accounts(clip, short, work, backend)
    parts = {name: _shares(seconds) for name, seconds in found["processor time"].items()}
    columns = ["drawn and encoded", "rate", "of PyAV's rate", *next(iter(parts.values()))]
    rows = []
    for name in dict.fromkeys([*systems, *parts]):
        rate = ["", ""]
        if name in spent:
            rate = [f"{frames / middle[name]:.1f} frames/s", f"{apart(spent, 'PyAV alone', name):.2f} x"]
        rows.append([name, *rate, *parts.get(name, {}).values()])
    return found | {"columns": columns, "rows": rows}


def _accounts(clip: Path, short: Path, work: Path, backend: str) -> dict[str, dict[str, float]]:
    """Return the processor seconds of each stage for the bundled model, and for larger networks on a short clip."""
    import accounts

    stage, ledger = Stage(short), accounts.Ledger()
    around = partial(ledger.stage, "networks")

    def bundled() -> Pipeline:
        found_by = pipeline.load("face-lite", backend=backend)
        found_by.detector.runtime = Counted(found_by.detector.runtime, around)
        found_by.pose.runtime = Counted(found_by.pose.runtime, around)
        return found_by

    larger = partial(standins.stages, FACE, stage, work, backend=backend, around=around)
    runs: dict[str, tuple[Callable[[], Pipeline], Path, int]] = {
        "face-lite, detection at every frame": (bundled, clip, 1),
        "face-lite, detection at every 5th frame": (bundled, clip, 5),
        "yolox-s + rtmpose-m, flip, detection at every frame": (partial(larger, flip=True), short, 1),
        "yolox-s + rtmpose-m, no flip, detection at every 5th frame": (partial(larger, flip=False), short, 5),
    }
    opencv = accounts.opencv_threads()
    found = {}
    for name, (opened, path, interval) in runs.items():
        held: list[Pipeline] = []

        def warm(
            held: list[Pipeline] = held, opened: Callable[[], Pipeline] = opened, interval: int = interval
        ) -> None:
            held.append(opened())
            standins.through_limn(held[0], short, interval, None)  # whose own threads end with it

        networks = accounts.started_by(warm)
        run = partial(standins.through_limn, held[0], path, interval, work / "account.mp4")
        found[name] = accounts.account(run, ledger, networks, opencv)
        _print_account(name, found[name])
    return found


def _shares(parts: dict[str, float]) -> dict[str, str]:
    import accounts

    return {group: f"{100 * share:.1f} %" for group, share in accounts.shares(parts).items()}


def _print_account(name: str, parts: dict[str, float]) -> None:
    whole = sum(parts.values())
    print(f"\n{name}: {whole:.2f} s of processor time")
    for stage, seconds in sorted(parts.items(), key=lambda pair: -pair[1]):
        print(f"  {stage:<18}{seconds:>8.2f} s{100 * seconds / whole:>7.1f} %")


# -- the command ------------------------------------------------------------------------------------------------


def main(words: list[str] | None = None) -> None:
    args = _parser().parse_args(words)
    if args.command == "report":
        plot.report(args.folder, args.svg, args.page)
        return
    args.work.mkdir(parents=True, exist_ok=True)
    try:
        with standins.quiet():
            found = _measured(args)
    except LimnError as error:
        raise SystemExit(str(error)) from None
    told = {name: str(value) for name, value in vars(args).items() if name not in ("json", "work", "env")}
    found = {"benchmark": args.command, "machine": standins.machine(), "arguments": told} | found
    print(f"\n{plot.table({args.command: found})}")
    if args.json is not None:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _measured(args: argparse.Namespace) -> Numbers:
    work: Path = args.work
    if args.command == "limits":
        return limits(work, args.rounds, backends=tuple(args.backends), products=args.products)
    clip = standins.clip(args.video, args.frames, work)
    if args.command == "mmpose":
        return mmpose(clip, work, args.rounds, backend=args.backend, points=args.points, draw=args.draw,
                      interval=args.interval, together=args.together)  # fmt: skip
    if args.command == "rtmlib":
        env = args.env or work / "rtmlib"
        return rtmlib(
            clip, work, args.rounds, env=env, backend=args.backend, points=args.points, interval=args.interval
        )
    return clip_rate(clip, standins.clip(args.video, args.short, work), work, args.rounds, backend=args.backend)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    found = {}
    for name, text, frames in (
        ("limits", "one network against what the processor can do", 0),
        ("mmpose", "limn against the same modules in eager torch", 15),
        ("rtmlib", "limn against rtmlib's PoseTracker", 60),
        ("clip", "the bundled model against PyAV alone, and where the processor's time goes", 150),
    ):
        sub = found[name] = commands.add_parser(name, help=text, description=text)
        sub.add_argument("--rounds", type=int, default=5, help="that count; one more warms up")
        sub.add_argument("--json", type=Path, help="file for all numbers")
        sub.add_argument("--work", type=Path, default=Path("runs/peers"), help="folder of weights and clips")
        if frames:
            sub.add_argument("--video", type=Path, help="left out, frames are made up")
            sub.add_argument("--frames", type=int, default=frames, help="of the video, from its start")
            sub.add_argument("--backend", default="auto", help="limn's")
        if name in ("mmpose", "rtmlib"):
            sub.add_argument("--points", choices=("recorded", "network"), default="recorded",
                             help="recorded: points found beforehand stand in for those of the networks")  # fmt: skip
            sub.add_argument("--interval", type=int, default=5, help="frames from detection to detection")
    found["limits"].add_argument("--backends", nargs="+", choices=BACKENDS, default=BACKENDS)
    found["limits"].add_argument("--products", type=int, default=20, help="of matrices in a round; the best counts")
    found["mmpose"].add_argument("--no-draw", dest="draw", action="store_false", help="neither draw nor write")
    found["mmpose"].add_argument(
        "--together", action="store_true", help="also MMPose's way with a frame's crops as one batch"
    )
    found["rtmlib"].add_argument(
        "--env", type=Path, help="folder of rtmlib's own environment, made where it is missing"
    )
    found["clip"].add_argument("--short", type=int, default=30, help="frames for the account of larger networks")
    report = commands.add_parser("report", help="draw the plot and the table of what was measured")
    report.add_argument("folder", type=Path, help="with the files of --json")
    root = Path(__file__).resolve().parents[1]
    report.add_argument("--svg", type=Path, default=root / "docs" / "speed.svg")
    report.add_argument("--page", type=Path, default=root / "docs" / "speed.md", help="whose table is replaced")
    return parser


if __name__ == "__main__":
    main()
