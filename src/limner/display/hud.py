"""What stands on a live image: how fast it goes and how late it is, and the keys that steer it.

`Meter` counts what is shown, `overlay` writes it into an image.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import accumulate

import cv2
import numpy as np

KEYS = ("ESC quit", "space pause", "s snapshot", "b boxes", "h heatmap")
KEYS_SECONDS = 5.0  # how long they are shown at first
COVERED = 0.05  # share of an image that may be written over

_RECENT = 256  # latencies whose median is on the image
_SPAN = 2.0  # seconds over which the frame rate on the image is taken
_SHORTEST, _LONGEST, _STEP = 1e-4, 1e3, 1.02  # seconds, and the ratio of a bin's ends
_BINS = math.ceil(math.log(_LONGEST / _SHORTEST, _STEP)) + 2  # one below and one above

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_CAPITAL = 21.0  # pixels of a capital letter at font scale 1; all lengths below are in capitals
_LINE, _PAD, _GAP = 1.9, 0.4, 1.4  # height of a line, room at its ends, and between its words
_READABLE = 5.5  # pixels that a capital needs at least
_LIGHT, _DARK = 240, 0.32  # grey of the text, and what the strip leaves of the image's light

Part = tuple[str, str]  # what is written, and the longest that it may become


class Meter:
    """Counts the frames that are shown, how many each second, and how late they are.

    Its memory is bounded however long it runs. What it says of the last frames is exact; over all
    frames, percentiles are exact to 1 % from 0.1 ms to 1000 s (a histogram with bins of equal ratio).
    A percentile is the smallest value that at least so many percent of the values do not exceed.

    Args:
        live: the source is a camera or a stream, so that lateness and dropped frames have a meaning.
        clock: seconds from any beginning.
    """

    def __init__(self, *, live: bool = False, clock: Callable[[], float] = time.perf_counter) -> None:
        self.live = live
        self.frames = 0  # shown so far
        self.dropped = 0  # left out so far because newer ones were there; set by who knows it
        self.seconds = 0.0  # from the first to the last frame, pauses left out
        self._clock = clock
        self._last: float | None = None  # time of the last frame, None after a pause
        self._steps = 0  # pairs of frames without a pause between them
        self._times: deque[float] = deque(maxlen=1024)
        self._fps: float | None = None
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._counts = [0] * _BINS

    def shown(self, latency: float | None = None) -> None:
        """Count a frame that was just shown.

        Args:
            latency: seconds since it was taken; None where that is not known.
        """
        now = self._clock()
        self.frames += 1
        if self._last is not None:
            self.seconds += max(0.0, now - self._last)
            self._steps += 1
        self._last = now
        self._times.append(now)
        while len(self._times) > 2 and now - self._times[0] > _SPAN:
            self._times.popleft()
        if now > self._times[0]:
            self._fps = (len(self._times) - 1) / (now - self._times[0])
        if latency is not None and math.isfinite(latency):
            latency = max(0.0, latency)  # the clock of a camera may run ahead by a little
            self._recent.append(latency)
            place = 1 + math.floor(math.log(latency / _SHORTEST, _STEP)) if latency >= _SHORTEST else 0
            self._counts[min(place, _BINS - 1)] += 1

    def pause(self) -> None:
        """Leave the time until the next frame out of all counts."""
        self._last = None
        self._times.clear()

    @property
    def fps(self) -> float | None:
        """Frames each second over the last two seconds; None before the second frame."""
        return self._fps

    @property
    def latency_median(self) -> float | None:
        """Median of the last 256 latencies, seconds; None before the first."""
        return self._percentile(50)

    @property
    def latency_p95(self) -> float | None:
        """95th percentile of the last 256 latencies, seconds; None before the first."""
        return self._percentile(95)

    def overall_fps(self) -> float | None:
        """Return the frames each second over all frames, pauses left out; None before the second frame."""
        return self._steps / self.seconds if self.seconds else None

    def overall_latency(self, percent: float) -> float | None:
        """Return a percentile of all latencies, seconds, to 1 %; None before the first."""
        total = sum(self._counts)
        if not total:
            return None
        rank = max(1, math.ceil(total * percent / 100))
        place = next(i for i, count in enumerate(accumulate(self._counts)) if count >= rank)
        return _SHORTEST * _STEP ** (place - 0.5) if place else 0.0

    def _percentile(self, percent: float) -> float | None:
        values = sorted(self._recent)
        return values[max(1, math.ceil(len(values) * percent / 100)) - 1] if values else None

    def summary(self, device: str = "") -> str:
        """Return one or two sentences about all frames.

        Args:
            device: what the networks ran on, such as "cpu (onnxruntime)".
        """
        text = f"{self.frames} frame{'' if self.frames == 1 else 's'}"
        fps, median, p95 = self.overall_fps(), self.overall_latency(50), self.overall_latency(95)
        if fps is not None:
            text += f" in {self.seconds:.1f} s, {fps:.1f} frames/s"
        if device:
            text += f" on {device}"
        if not self.live:
            return text
        late = "" if median is None or p95 is None else _late(median, p95, "latency {0} {2} (median), {1} {2} (p95), ")
        return f"{text}; {late}{self.dropped} dropped"


def overlay(
    image: np.ndarray,
    meter: Meter,
    device: str = "",
    *,
    paused: bool = False,
    keys: Sequence[str] = KEYS,
) -> np.ndarray:
    """Return a new image with a small strip in its corner: frame rate, latency, dropped frames, device.

    For the first five seconds, and in a pause, a second line names the keys; where there is no room
    for two lines it takes the place of the first. Words that do not fit are left out, the least
    important ones first, and on a tiny image all of them.

    Args:
        image: uint8 ``[H, W, 3]``, BGR; it is not changed.
        meter: what is known of the frames; latency and dropped frames are shown of live ones only.
        device: what the networks run on.
        paused: say that the image stands still.
        keys: what the user can press, the most important first.

    Returns:
        uint8 ``[H, W, 3]``, BGR; at most 5 % of it differ from ``image``.
    """
    drawn = image.copy()
    found = _layout(image.shape[1], image.shape[0], _choices(meter, device, paused, keys))
    if found is not None:
        _write(drawn, *found)
    return drawn


def _choices(meter: Meter, device: str, paused: bool, keys: Sequence[str]) -> list[list[list[Part]]]:
    """Return what could be written, lines of parts, in order of preference."""
    rate = "-" if meter.fps is None else f"{meter.fps:.1f}"
    first: Part = (f"FPS {rate}", "FPS 000.0")
    facts: list[list[Part]] = [[first]]
    median, p95 = meter.latency_median, meter.latency_p95
    if meter.live:
        dropped: Part = (f"dropped {meter.dropped}", "dropped 0000")
        facts.insert(0, [first, dropped])
        if median is not None and p95 is not None:
            short: Part = (_late(median, p95, "{0} {2}"), "000 ms")
            long: Part = (_late(median, p95, "latency {0} {2} (p95 {1})"), "latency 000 ms (p95 000)")
            facts = [[first, long, dropped], [first, short, dropped], *facts]
    if device:
        facts.insert(0, [*facts[0], (device, device)])
    alone = [[line] for line in facts]
    if not (keys and (paused or meter.seconds < KEYS_SECONDS)):
        return alone
    told = [(key.replace("pause", "go on") if paused else key,) * 2 for key in keys]
    help_line: list[Part] = [("PAUSED", "PAUSED"), *told] if paused else told
    shorter = [help_line[:n] for n in range(len(help_line), 1, -1)]
    return [*([line, help_line] for line in facts), *([line] for line in shorter), *alone]


def _layout(width: int, height: int, choices: list[list[list[Part]]]) -> tuple[list[list[Part]], float, int] | None:
    """Return the first choice that is readable in an image of this size, the height of its capitals and its own."""
    wanted = min(math.sqrt(width * height) / 64, width / 74)
    for lines in choices:
        wide = max(map(_width, lines))
        high = _LINE * len(lines)
        fits = min(width / wide, math.sqrt(COVERED * width * height / (wide * high)))
        capital = min(max(wanted, 1.25 * _READABLE), fits)
        rows = math.ceil(capital * high)
        if rows * capital * wide > COVERED * width * height:
            rows -= 1
            capital = rows / high
        if capital >= _READABLE:
            return lines, capital, rows
    return None


def _width(line: list[Part]) -> float:
    """Return the room that a line takes, in capitals."""
    return 2 * _PAD + _GAP * (len(line) - 1) + sum(max(map(_length, part)) for part in line)


def _length(text: str) -> float:
    return cv2.getTextSize(text, _FONT, 1.0, 1)[0][0] / _CAPITAL


def _write(image: np.ndarray, lines: list[list[Part]], capital: float, height: int) -> None:
    """Write lines on a dark strip in the top left corner, each part at a place that its text does not move."""
    width = min(image.shape[1], math.floor(capital * max(map(_width, lines))))
    # drawn larger and then reduced: OpenCV's lines are whole pixels wide, too much for small letters
    zoom = max(1, math.ceil(24 / capital))
    unit = capital * zoom
    mask = np.zeros((height * zoom, width * zoom), np.uint8)
    for row, line in enumerate(lines):
        x, y = _PAD, (row + 0.5) * _LINE + 0.43
        for part in line:
            org = round(x * unit), round(y * unit)
            cv2.putText(mask, part[0], org, _FONT, unit / _CAPITAL, 255, max(1, round(unit / 8)), cv2.LINE_AA)
            x += max(map(_length, part)) + _GAP
    light = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    strip = image[:height, :width]
    dark = cv2.convertScaleAbs(strip, alpha=_DARK)
    strip[:] = cv2.blendLinear(np.full_like(dark, _LIGHT), dark, light, 1 - light)


def _late(median: float, p95: float, form: str) -> str:
    """Put two latencies into a text as {0} and {1}, both in the unit {2}."""
    longest = max(median, p95)
    unit, factor, digits = ("s", 1.0, 2) if longest >= 0.9995 else ("ms", 1e3, 0 if longest >= 0.00995 else 1)
    return form.format(f"{median * factor:.{digits}f}", f"{p95 * factor:.{digits}f}", unit)
