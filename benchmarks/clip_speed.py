"""A clip through the bundled model, drawn and written, beside decoding and encoding alone. See peers.py."""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av

import standins
from limner import loading
from limner.pipeline import Pipeline
from limner.video.reader import VideoSource
from standins import FACE, Counted, Stage, apart, in_turn, medians

Numbers = dict[str, Any]


def recoded(clip: Path, target: Path, *, alike: bool = True) -> int:
    """Decode and encode a clip by PyAV alone; return its frames.

    Args:
        alike: in the settings of `limner.video.writer.VideoWriter`; False leaves x264's own, which take longer.
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
    bundled = loading.load("face-lite", backend=backend)
    systems: dict[str, Callable[[], object]] = {
        "PyAV alone": partial(recoded, clip, work / "recoded.mp4"),
        "PyAV alone, x264's own settings": partial(recoded, clip, work / "own.mp4", alike=False),
    }
    for interval in (1, 5):
        name = f"face-lite, detection at every {'' if interval == 1 else '5th '}frame"
        systems[name] = partial(standins.through_limner, bundled, clip, interval, work / "limner.mp4")
    spent = in_turn(systems, rounds)
    middle = medians(spent)
    frames = recoded(clip, work / "recoded.mp4")
    alike = settings(work / "recoded.mp4") == settings(work / "limner.mp4")
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
        found_by = loading.load("face-lite", backend=backend)
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
            standins.through_limner(held[0], short, interval, None)  # whose own threads end with it

        networks = accounts.started_by(warm)
        run = partial(standins.through_limner, held[0], path, interval, work / "account.mp4")
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
