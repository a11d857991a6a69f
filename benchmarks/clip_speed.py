"""The speed of the bundled model on a clip, drawn and written, and of decoding and encoding alone. See peers.py."""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import av

import comparison
from comparison import FACE, CountingRuntime, Numbers, RecordedResults, medians, run_in_turns, time_ratio
from limner import loading
from limner.pipeline import Pipeline
from limner.video.reader import VideoSource


def transcode(clip: Path, target: Path, *, same_settings: bool = True) -> int:
    """Decode and encode a clip with PyAV alone; return the number of frames.

    Args:
        same_settings: use the settings of `limner.video.writer.VideoWriter`; False leaves x264's own, which take
            longer.
    """
    with VideoSource(clip) as opened:
        rate = opened.fps
    count = 0
    with av.open(str(clip)) as source, av.open(str(target), "w") as target_file:
        source.streams.video[0].thread_type = "AUTO"
        stream = target_file.add_stream("libx264", rate=rate)
        stream.width, stream.height = source.streams.video[0].width, source.streams.video[0].height
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "20", "bf": "0", "rc-lookahead": str(min(20, int(rate * 2 / 5))),
                          "threads": str(max(1, min(4, os.cpu_count() or 1, int(rate / 5)))),
                          "g": str(max(2, min(250, round(2 * rate))))}  # fmt: skip
        if not same_settings:
            stream.options = {}
        for frame in source.decode(video=0):
            frame.pts, frame.time_base = count, Fraction(1) / rate
            frame.pict_type = 0  # let the encoder choose it
            target_file.mux(stream.encode(frame))
            count += 1
        target_file.mux(stream.encode(None))
    return count


def encoder_settings(path: Path) -> str:
    """Return the settings that x264 stores in a video."""
    _, _, rest = path.read_bytes().partition(b"options: ")
    return rest.partition(b"\0")[0].decode("ascii", "replace")


def clip_rate(clip: Path, short: Path, work: Path, rounds: int, *, backend: str = "auto") -> Numbers:
    """Return frames a second of the bundled model, drawn and encoded, and the CPU time of each stage."""
    bundled = loading.load("face-lite", backend=backend)
    systems: dict[str, Callable[[], object]] = {
        "PyAV alone": partial(transcode, clip, work / "transcoded.mp4"),
        "PyAV alone, x264's own settings": partial(
            transcode, clip, work / "transcoded_default.mp4", same_settings=False
        ),
    }
    for interval in (1, 5):
        name = f"face-lite, detection at every {'' if interval == 1 else '5th '}frame"
        systems[name] = partial(comparison.run_limner, bundled, clip, interval, work / "limner.mp4")
    spent = run_in_turns(systems, rounds)
    median_times = medians(spent)
    frames = transcode(clip, work / "transcoded.mp4")
    same_settings = encoder_settings(work / "transcoded.mp4") == encoder_settings(work / "limner.mp4")
    report: Numbers = {
        "frames": frames,
        "same encoder settings": same_settings,
        "seconds": spent,
        "medians": median_times,
    }
    report["processor time"] = _cpu_times(clip, short, work, backend)
    parts = {name: _shares(seconds) for name, seconds in report["processor time"].items()}
    columns = ["drawn and encoded", "rate", "of PyAV's rate", *next(iter(parts.values()))]
    rows = []
    for name in dict.fromkeys([*systems, *parts]):
        rate = ["", ""]
        if name in spent:
            rate = [f"{frames / median_times[name]:.1f} frames/s", f"{time_ratio(spent, 'PyAV alone', name):.2f} x"]
        rows.append([name, *rate, *parts.get(name, {}).values()])
    return report | {"columns": columns, "rows": rows}


def _cpu_times(clip: Path, short: Path, work: Path, backend: str) -> dict[str, dict[str, float]]:
    """Return the CPU seconds of each stage for the bundled model, and for larger networks on a short clip."""
    import cpu_time

    recorded, timer = RecordedResults(short), cpu_time.StageTimer()
    around = partial(timer.stage, "networks")

    def bundled() -> Pipeline:
        pipeline = loading.load("face-lite", backend=backend)
        pipeline.detector.runtime = CountingRuntime(pipeline.detector.runtime, around)
        pipeline.pose.runtime = CountingRuntime(pipeline.pose.runtime, around)
        return pipeline

    larger = partial(comparison.open_pipeline, FACE, recorded, work, backend=backend, around=around)
    runs: dict[str, tuple[Callable[[], Pipeline], Path, int]] = {
        "face-lite, detection at every frame": (bundled, clip, 1),
        "face-lite, detection at every 5th frame": (bundled, clip, 5),
        "yolox-s + rtmpose-m, flip, detection at every frame": (partial(larger, flip=True), short, 1),
        "yolox-s + rtmpose-m, no flip, detection at every 5th frame": (partial(larger, flip=False), short, 5),
    }
    opencv = cpu_time.opencv_threads()
    cpu_times = {}
    for name, (open_pipeline, path, interval) in runs.items():
        opened: list[Pipeline] = []

        def warm_up(
            opened: list[Pipeline] = opened,
            open_pipeline: Callable[[], Pipeline] = open_pipeline,
            interval: int = interval,
        ) -> None:
            opened.append(open_pipeline())
            comparison.run_limner(opened[0], short, interval, None)  # its own threads end with it

        networks = cpu_time.started_by(warm_up)
        run = partial(comparison.run_limner, opened[0], path, interval, work / "cpu_time.mp4")
        cpu_times[name] = cpu_time.measure(run, timer, networks, opencv)
        _print_cpu_times(name, cpu_times[name])
    return cpu_times


def _shares(parts: dict[str, float]) -> dict[str, str]:
    import cpu_time

    return {group: f"{100 * share:.1f} %" for group, share in cpu_time.shares(parts).items()}


def _print_cpu_times(name: str, parts: dict[str, float]) -> None:
    total = sum(parts.values())
    print(f"\n{name}: {total:.2f} s of CPU time")
    for stage, seconds in sorted(parts.items(), key=lambda pair: -pair[1]):
        print(f"  {stage:<18}{seconds:>8.2f} s{100 * seconds / total:>7.1f} %")
