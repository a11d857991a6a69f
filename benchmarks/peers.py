"""Measure limner side by side with its peers, in turn, round by round, on one machine.

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
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import plot
import record
import rtmlib_export
import standins
from clip_speed import clip_rate
from limner.errors import LimnerError
from limner.pipeline import Pipeline
from processor_limits import BACKENDS, limits
from standins import BODY, DETECTOR, FACE, Stage, apart, in_turn, medians

AGREED = 1e-3  # how far raw outputs of the same weights may be apart, as a part of their norm

Numbers = dict[str, Any]


# -- MMPose -----------------------------------------------------------------------------------------------------


def mmpose(
    clip: Path, work: Path, rounds: int, *, backend: str = "auto", points: str = "recorded", draw: bool = True,
    interval: int = 5, together: bool = False,
) -> Numbers:  # fmt: skip
    """Return seconds a frame of limner and of a stand-in for MMPose, and how many images each network was given."""
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
    users = f"limner, no flip, detection at every {interval}th frame"
    ours = {"limner, same flags": (same, 1), users: (chosen, interval)}
    for half in _openvino_precisions() if backend == "auto" else ():
        what = "openvino, bfloat16" if half else "openvino"
        ours[f"{users}, {what}"] = (open_stages(flip=False, tight=True, backend="openvino", half=half), interval)
    systems: dict[str, Callable[[], object]] = {
        name: partial(one_by_one, found_by, clip, target("mmpose")) for name, found_by in eager.items()
    }
    for name, (found_by, every) in ours.items():
        systems[name] = partial(
            _afresh, found_by, partial(standins.through_limner, found_by, clip, every, target("limner"))
        )
        systems[f"{name}: its networks alone"] = partial(_again, found_by)
    spent = in_turn(systems, rounds)
    frames = len(stage.frames)
    images = {name: _images(found_by) for name, (found_by, _) in ours.items()}
    runs = rounds + 1
    images |= {
        name: {"detector": s.detector.runtime.images // runs, "crops": s.pose.runtime.images // runs}
        for name, s in eager.items()
    }
    middle = medians(spent)
    columns = ["YOLOX-s + RTMPose-m face6", "time", "as fast as MMPose's way", "time of its networks alone", "given"]
    rows = []
    for name in systems:
        counts = ", ".join(f"{n} {what}" for what, n in images.get(name, {}).items())
        speed = f"{middle[name] / frames:.3f} s a frame"
        alone = f"{name}: its networks alone"
        beside = f"{apart(spent, name, alone):.2f} x" if alone in spent else ""
        rows.append([name, speed, f"{apart(spent, base, name):.2f} x", beside, counts])
    faces = sum(len(found.detected) for found in stage.frames) / frames
    return {"frames": frames, "faces": faces, "seconds": spent, "medians": middle, "images": images,
            "columns": columns, "rows": rows}  # fmt: skip


def _openvino_precisions() -> list[bool]:
    """Return whether in half precision, for each way in which OpenVINO runs here."""
    if importlib.util.find_spec("openvino") is None:
        return []
    from limner.runtimes.openvino import import_openvino

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


def _images(found_by: Pipeline) -> dict[str, int]:
    return {"detector": found_by.detector.runtime.images, "crops": found_by.pose.runtime.images}


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
    """Return frames a second of limner and of rtmlib's PoseTracker, drawn and written, with the same weights."""
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
    arguments = [clip, work / "record.npz", *networks, interval, points, work / "rtmlib.mp4"]
    told: list[Numbers] = []
    with subprocess.Popen(
        [str(python), str(script), *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as peer:

        def ask() -> None:
            assert peer.stdin is not None and peer.stdout is not None  # noqa: PT018 - for mypy
            peer.stdin.write("go\n")
            peer.stdin.flush()
            answer = peer.stdout.readline()
            if not answer:
                raise SystemExit("rtmlib's side has ended; what it said stands above")
            told.append(json.loads(answer))

        ours = partial(standins.through_limner, found_by, clip, interval, work / "limner.mp4")
        try:
            spent = in_turn({"limner": partial(_afresh, found_by, ours), "rtmlib": ask}, rounds)
        finally:
            if peer.stdin is not None:
                peer.stdin.close()
    frames, middle = len(stage.frames), medians(spent)
    images = {"limner": _images(found_by), "rtmlib": {name: told[-1][name] for name in ("detector", "crops")}}
    columns = [f"YOLOX-s + RTMPose-m body, detection at every {interval}th frame", "rate", "as fast as rtmlib", "given"]
    rows = []
    for name in spent:
        counts = ", ".join(f"{n} {what}" for what, n in images[name].items())
        ratio = apart(spent, "rtmlib", name)
        rows.append([name, f"{frames / middle[name]:.1f} frames/s", f"{ratio:.2f} x", counts])
    return {"frames": frames, "seconds": spent, "medians": middle, "images": images, "interval": interval,
            "raw outputs apart": differences, "columns": columns, "rows": rows}  # fmt: skip


# -- the command ------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> None:
    args = _parser().parse_args(arguments)
    if args.command == "report":
        plot.report(args.folder, args.svg, args.page)
        return
    args.work.mkdir(parents=True, exist_ok=True)
    try:
        with standins.quiet():
            found = _measured(args)
    except LimnerError as error:
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
        ("mmpose", "limner against the same modules in eager torch", 15),
        ("rtmlib", "limner against rtmlib's PoseTracker", 60),
        ("clip", "the bundled model against PyAV alone, and where the processor's time goes", 150),
    ):
        sub = found[name] = commands.add_parser(name, help=text, description=text)
        sub.add_argument("--rounds", type=int, default=5, help="that count; one more warms up")
        sub.add_argument("--json", type=Path, help="file for all numbers")
        sub.add_argument("--work", type=Path, default=Path("runs/peers"), help="folder of weights and clips")
        if frames:
            sub.add_argument("--video", type=Path, help="left out, frames are made up")
            sub.add_argument("--frames", type=int, default=frames, help="of the video, from its start")
            sub.add_argument("--backend", default="auto", help="limner's")
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
