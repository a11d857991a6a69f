"""Compare the speed of limner with that of its peers, in turn, round by round, on one machine.

    python benchmarks/peers.py limits --json runs/speed/limits.json
    python benchmarks/peers.py mmpose --video clip.mp4 --json runs/speed/mmpose.json
    python benchmarks/peers.py rtmlib --video clip.mp4 --json runs/speed/rtmlib.json
    python benchmarks/peers.py clip --video clip.mp4 --json runs/speed/clip.json
    python benchmarks/peers.py report runs/speed

Only ratios within one run can be compared, not the times of different runs. Run it on an idle machine; see
benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

import comparison
import plot
import recorded_results
import rtmlib_export
from clip_speed import clip_rate
from comparison import BODY, DETECTOR, FACE, Numbers, RecordedResults, medians, run_in_turns, time_ratio
from limner.errors import LimnerError
from limner.pipeline import Pipeline
from processor_limits import BACKENDS, limits

RTMLIB = {"rtmlib": "tracking", "rtmlib, tracking=False": "no tracking"}  # name -> what its process is told
MAX_DIFFERENCE = 1e-3  # between raw outputs with the same weights, relative to their norm


# -- MMPose -----------------------------------------------------------------------------------------------------


def mmpose(
    clip: Path, work: Path, rounds: int, *, backend: str = "auto", points: str = "recorded", draw: bool = True,
    interval: int = 5, together: bool = False,
) -> Numbers:  # fmt: skip
    """Return seconds a frame of limner and of MMPose's way, and the number of inputs of each network."""
    from mmpose_peer import Eager, one_by_one

    recorded = RecordedResults(clip)
    open_recorded = partial(comparison.open_pipeline, FACE, recorded, work, backend=backend, points=points)
    same_flags, fast = open_recorded(flip=True), open_recorded(flip=False, tight=True)
    base = "MMPose's way: eager torch, one crop a call"
    peers = {base: False, **({"MMPose's way, a frame's crops together": True} if together else {})}
    eager: dict[str, Pipeline] = {}
    for name, batch in peers.items():
        eager[name] = comparison.open_pipeline(FACE, recorded, work, flip=True, backend="torch", points=points)
        eager[name].detector.runtime = Eager(DETECTOR.config, comparison.checkpoint(DETECTOR, work))
        eager[name].pose.runtime = Eager(FACE.config, comparison.checkpoint(FACE, work), together=batch)
    target = (lambda name: work / f"{name}.mp4") if draw else (lambda name: None)
    fast_name = f"limner, no flip, detection at every {interval}th frame"
    ours = {"limner, same flags": (same_flags, 1), fast_name: (fast, interval)}
    for half in _openvino_precisions() if backend == "auto" else ():
        what = "openvino, bfloat16" if half else "openvino"
        ours[f"{fast_name}, {what}"] = (open_recorded(flip=False, tight=True, backend="openvino", half=half), interval)
    systems: dict[str, Callable[[], object]] = {
        name: partial(one_by_one, pipeline, clip, target("mmpose")) for name, pipeline in eager.items()
    }
    for name, (pipeline, every) in ours.items():
        systems[name] = partial(
            _run_counted, pipeline, partial(comparison.run_limner, pipeline, clip, every, target("limner"))
        )
        systems[f"{name}: its networks alone"] = partial(_repeat_network_calls, pipeline)
    spent = run_in_turns(systems, rounds)
    frames = len(recorded.frames)
    images = {name: _image_counts(pipeline) for name, (pipeline, _) in ours.items()}
    runs = rounds + 1
    images |= {
        name: {"detector": s.detector.runtime.images // runs, "crops": s.pose.runtime.images // runs}
        for name, s in eager.items()
    }
    median_times = medians(spent)
    columns = ["YOLOX-s + RTMPose-m face6", "time", "as fast as MMPose's way", "time of its networks alone", "given"]
    rows = []
    for name in systems:
        counts = ", ".join(f"{n} {what}" for what, n in images.get(name, {}).items())
        speed = f"{median_times[name] / frames:.3f} s a frame"
        alone = f"{name}: its networks alone"
        beside = f"{time_ratio(spent, name, alone):.2f} x" if alone in spent else ""
        rows.append([name, speed, f"{time_ratio(spent, base, name):.2f} x", beside, counts])
    faces = sum(len(frame.detected) for frame in recorded.frames) / frames
    return {"frames": frames, "faces": faces, "seconds": spent, "medians": median_times, "images": images,
            "columns": columns, "rows": rows}  # fmt: skip


def _openvino_precisions() -> list[bool]:
    """Return the precisions that OpenVINO supports here: False for float32, True for bfloat16."""
    if importlib.util.find_spec("openvino") is None:
        return []
    from limner.runtimes.hardware import amx_bfloat16

    return [False, True] if amx_bfloat16() else [False]  # others list it too, and limner refuses it: it is slower there


def _run_counted(pipeline: Pipeline, run: Callable[[], int]) -> None:
    """Run a clip with the counters of the networks' inputs reset."""
    pipeline.detector.runtime.shapes.clear()
    pipeline.pose.runtime.shapes.clear()
    run()


def _repeat_network_calls(pipeline: Pipeline) -> None:
    """Repeat the calls of the networks that a clip made, one after the other, and nothing else."""
    for counted in (pipeline.detector.runtime, pipeline.pose.runtime):
        noise = np.random.default_rng(0)
        batches = {shape: noise.integers(0, 256, shape, np.uint8) for shape in dict.fromkeys(counted.shapes)}
        for shape in counted.shapes:
            counted.runtime(batches[shape])


def _image_counts(pipeline: Pipeline) -> dict[str, int]:
    return {"detector": pipeline.detector.runtime.images, "crops": pipeline.pose.runtime.images}


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
    """Return frames a second of limner and of rtmlib's PoseTracker, drawn and written, with the same weights.

    rtmlib runs twice: with its tracker, which is its default and runs the detector more often than asked once somebody
    is new, and with ``tracking=False``, which keeps to the interval and gives nobody an id. The runs of each detector
    are counted.
    """
    recorded = RecordedResults(clip)
    pipeline = comparison.open_pipeline(BODY, recorded, work, flip=False, backend=backend, points=points)
    recorded_results.save(work / "record.npz", recorded.frames)
    python = rtmlib_export.environment(env)
    networks = [rtmlib_export.export(model, work) for model in (DETECTOR, BODY)]
    differences = {
        "detector": rtmlib_export.difference(networks[0], pipeline.detector.runtime.runtime, DETECTOR),
        "pose": rtmlib_export.difference(networks[1], pipeline.pose.runtime.runtime, BODY),
    }
    if max(differences.values()) > MAX_DIFFERENCE:
        raise SystemExit(f"the outputs of the two exports differ by more than {MAX_DIFFERENCE}: {differences}")
    script = Path(__file__).with_name("rtmlib_peer.py")
    arguments = [clip, work / "record.npz", *networks, interval, points, work / "rtmlib.mp4"]
    reports: dict[str, Numbers] = {}
    with subprocess.Popen(
        [str(python), str(script), *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as peer:

        def run_rtmlib(name: str) -> None:
            assert peer.stdin is not None and peer.stdout is not None  # noqa: PT018 - for mypy
            peer.stdin.write(f"{RTMLIB[name]}\n")
            peer.stdin.flush()
            line = peer.stdout.readline()
            if not line:
                raise SystemExit("the process of rtmlib has ended; its error message is above")
            reports[name] = json.loads(line)

        ours = partial(comparison.run_limner, pipeline, clip, interval, work / "limner.mp4")
        systems: dict[str, Callable[[], object]] = {"limner": partial(_run_counted, pipeline, ours)}
        systems |= {name: partial(run_rtmlib, name) for name in RTMLIB}
        try:
            spent = run_in_turns(systems, rounds)
        finally:
            if peer.stdin is not None:
                peer.stdin.close()
    images = {"limner": _image_counts(pipeline)}
    images |= {name: {what: reports[name][what] for what in ("detector", "crops")} for name in RTMLIB}
    columns, rows = rtmlib_table(spent, images, len(recorded.frames), interval)
    return {"frames": len(recorded.frames), "seconds": spent, "medians": medians(spent), "images": images,
            "interval": interval, "raw outputs apart": differences, "columns": columns, "rows": rows}  # fmt: skip


def rtmlib_table(
    spent: Mapping[str, Sequence[float]], images: Mapping[str, Mapping[str, int]], frames: int, interval: int
) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows: the rate of each system, the ratio of limner's to it, what its networks were given."""
    columns = [
        f"YOLOX-s + RTMPose-m body, detection at every {interval}th frame",
        "rate",
        "limner beside it",
        "runs of the detector",
        "crops",
    ]
    rows = []
    for name, seconds in medians(spent).items():
        ratio = "" if name == "limner" else f"{time_ratio(spent, name, 'limner'):.2f} x"
        given = [str(images[name][what]) for what in ("detector", "crops")]
        rows.append([name, f"{frames / seconds:.1f} frames/s", ratio, *given])
    return columns, rows


# -- the command ------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> None:
    args = _parser().parse_args(arguments)
    if args.command == "report":
        plot.report(args.folder, args.svg, args.page)
        return
    args.work.mkdir(parents=True, exist_ok=True)
    try:
        with comparison.quiet():
            report = _measured(args)
    except LimnerError as error:
        raise SystemExit(str(error)) from None
    arguments_used = {name: str(value) for name, value in vars(args).items() if name not in ("json", "work", "env")}
    report = {"benchmark": args.command, "machine": comparison.machine(), "arguments": arguments_used} | report
    print(f"\n{plot.table({args.command: report})}")
    if args.json is not None:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _measured(args: argparse.Namespace) -> Numbers:
    work: Path = args.work
    if args.command == "limits":
        return limits(work, args.rounds, backends=tuple(args.backends), products=args.products)
    clip = comparison.prepare_clip(args.video, args.frames, work)
    if args.command == "mmpose":
        return mmpose(clip, work, args.rounds, backend=args.backend, points=args.points, draw=args.draw,
                      interval=args.interval, together=args.together)  # fmt: skip
    if args.command == "rtmlib":
        env = args.env or work / "rtmlib"
        return rtmlib(
            clip, work, args.rounds, env=env, backend=args.backend, points=args.points, interval=args.interval
        )
    return clip_rate(
        clip, comparison.prepare_clip(args.video, args.short, work), work, args.rounds, backend=args.backend
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    parsers = {}
    for name, text, frames in (
        ("limits", "one network against what the processor can do", 0),
        ("mmpose", "limner against the same networks in eager torch", 15),
        ("rtmlib", "limner against rtmlib's PoseTracker, with and without its tracking", 60),
        ("clip", "the bundled model against PyAV alone, and the CPU time of each stage", 150),
    ):
        sub = parsers[name] = commands.add_parser(name, help=text, description=text)
        sub.add_argument("--rounds", type=int, default=5, help="number of rounds, after one for warm-up")
        sub.add_argument("--json", type=Path, help="file for the results")
        sub.add_argument("--work", type=Path, default=Path("runs/peers"), help="folder for weights and clips")
        if frames:
            sub.add_argument("--video", type=Path, help="video to measure with (default: synthetic frames)")
            sub.add_argument("--frames", type=int, default=frames, help="number of frames, from the start of the video")
            sub.add_argument("--backend", default="auto", help="backend of limner")
        if name in ("mmpose", "rtmlib"):
            sub.add_argument("--points", choices=("recorded", "network"), default="recorded",
                             help="recorded: recorded keypoints replace those of the networks")  # fmt: skip
            sub.add_argument("--interval", type=int, default=5, help="frames from detection to detection")
    parsers["limits"].add_argument("--backends", nargs="+", choices=BACKENDS, default=BACKENDS)
    parsers["limits"].add_argument(
        "--products", type=int, default=20, help="matrix products in a round, of which the best counts"
    )
    parsers["mmpose"].add_argument(
        "--no-draw", dest="draw", action="store_false", help="do not draw and write the video"
    )
    parsers["mmpose"].add_argument(
        "--together", action="store_true", help="also measure MMPose with the crops of a frame as one batch"
    )
    parsers["rtmlib"].add_argument(
        "--env", type=Path, help="folder of rtmlib's own environment, created where it is missing"
    )
    parsers["clip"].add_argument("--short", type=int, default=30, help="frames for the CPU time of larger networks")
    report = commands.add_parser("report", help="draw the plot and write the table of the results")
    report.add_argument("folder", type=Path, help="folder with the files of --json")
    root = Path(__file__).resolve().parents[1]
    report.add_argument("--svg", type=Path, default=root / "docs" / "speed.svg")
    report.add_argument("--page", type=Path, default=root / "docs" / "speed.md", help="page whose table is replaced")
    return parser


if __name__ == "__main__":
    main()
