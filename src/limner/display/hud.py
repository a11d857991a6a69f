"""The status line on a live image: FPS, latency, dropped frames, device, and the keys.

`Meter` measures, `overlay` writes the status into an image.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import accumulate

import cv2
import numpy as np

from .keys import HINTS

KEYS_SECONDS = 5.0  # for which the keys are shown at the start
MAX_COVERED = 0.05  # share of an image that the status may cover

_RECENT = 256  # latencies whose median is shown
_FPS_SECONDS = 2.0  # over which the shown FPS is measured
_SHORTEST, _LONGEST, _STEP = 1e-4, 1e3, 1.02  # seconds, and the ratio of a bin's ends
_BINS = math.ceil(math.log(_LONGEST / _SHORTEST, _STEP)) + 2  # one below and one above

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_CAPITAL = 21.0  # height of a capital letter at font scale 1, pixels; all lengths below are in this unit
_LINE, _PAD, _GAP = 1.9, 0.4, 1.4  # height of a line, space at its ends, and between its parts
_MIN_CAPITAL = 5.5  # height of a capital below which text is unreadable, pixels
_TEXT_GREY, _DARKENING = 240, 0.32  # grey of the text, and the factor of the image's brightness below it

Part = tuple[str, str]  # a text, and the longest that it may become


class Meter:
    """Measures the number of shown frames, the FPS and the latency.

    Its memory is bounded however long it runs. The values of the last frames are exact; over all
    frames, percentiles are exact to 1 % from 0.1 ms to 1000 s (a histogram with bins of equal ratio).
    A percentile is the smallest value that at least so many percent of the values do not exceed.

    Args:
        live: the source is a camera or a stream, so that latency and dropped frames have a meaning.
        clock: returns seconds since any point in time.
    """

    def __init__(self, *, live: bool = False, clock: Callable[[], float] = time.perf_counter) -> None:
        self.live = live
        self.frames = 0  # shown so far
        self.dropped = 0  # frames left out so far because newer ones had arrived; set from outside
        self.seconds = 0.0  # from the first to the last frame, pauses left out
        self._clock = clock
        self._last: float | None = None  # time of the last frame, None after a pause
        self._steps = 0  # pairs of frames without a pause between them
        self._times: deque[float] = deque(maxlen=1024)
        self._fps: float | None = None
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._counts = [0] * _BINS

    def add_frame(self, latency: float | None = None) -> None:
        """Count a frame that was just shown.

        Args:
            latency: seconds since it was captured; None where that is not known.
        """
        now = self._clock()
        self.frames += 1
        if self._last is not None:
            self.seconds += max(0.0, now - self._last)
            self._steps += 1
        self._last = now
        self._times.append(now)
        while len(self._times) > 2 and now - self._times[0] > _FPS_SECONDS:
            self._times.popleft()
        if now > self._times[0]:
            self._fps = (len(self._times) - 1) / (now - self._times[0])
        if latency is not None and math.isfinite(latency):
            latency = max(0.0, latency)  # the clock of a camera may be slightly ahead
            self._recent.append(latency)
            index = 1 + math.floor(math.log(latency / _SHORTEST, _STEP)) if latency >= _SHORTEST else 0
            self._counts[min(index, _BINS - 1)] += 1

    def pause(self) -> None:
        """Leave the time until the next frame out of all counts."""
        self._last = None
        self._times.clear()

    @property
    def fps(self) -> float | None:
        """Frames per second over the last two seconds; None before the second frame."""
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
        """Return the frames per second over all frames, pauses left out; None before the second frame."""
        return self._steps / self.seconds if self.seconds else None

    def overall_latency(self, percent: float) -> float | None:
        """Return a percentile of all latencies, seconds, to 1 %; None before the first."""
        total = sum(self._counts)
        if not total:
            return None
        rank = max(1, math.ceil(total * percent / 100))
        index = next(i for i, count in enumerate(accumulate(self._counts)) if count >= rank)
        return _SHORTEST * _STEP ** (index - 0.5) if index else 0.0

    def _percentile(self, percent: float) -> float | None:
        values = sorted(self._recent)
        return values[max(1, math.ceil(len(values) * percent / 100)) - 1] if values else None

    def summary(self, device: str = "") -> str:
        """Return one or two sentences about all frames.

        Args:
            device: the device of the networks, such as "cpu (onnxruntime)".
        """
        text = f"{self.frames} frame{'' if self.frames == 1 else 's'}"
        fps, median, p95 = self.overall_fps(), self.overall_latency(50), self.overall_latency(95)
        if fps is not None:
            text += f" in {self.seconds:.1f} s, {fps:.1f} frames/s"
        if device:
            text += f" on {device}"
        if not self.live:
            return text
        latencies = (
            ""
            if median is None or p95 is None
            else _format_latencies(median, p95, "latency {0} {2} (median), {1} {2} (p95), ")
        )
        return f"{text}; {latencies}{self.dropped} dropped"


def overlay(
    image: np.ndarray,
    meter: Meter,
    device: str = "",
    *,
    paused: bool = False,
    keys: Sequence[str] = HINTS,
) -> np.ndarray:
    """Return a new image with the status in its corner: FPS, latency, dropped frames, device.

    For the first five seconds, and in a pause, a second line shows the keys; where there is no room
    for two lines it takes the place of the first. Parts that do not fit are left out, the least
    important ones first, and on a tiny image all of them.

    Args:
        image: uint8 ``[H, W, 3]``, BGR; it is not changed.
        meter: measures the frames; latency and dropped frames are shown for live sources only.
        device: the device of the networks.
        paused: show that the video is paused.
        keys: the keys and their functions, the most important first.

    Returns:
        uint8 ``[H, W, 3]``, BGR; at most 5 % of it differ from ``image``.
    """
    drawn = image.copy()
    layout = _layout(image.shape[1], image.shape[0], _choices(meter, device, paused, keys))
    if layout is not None:
        _write(drawn, *layout)
    return drawn


def _choices(meter: Meter, device: str, paused: bool, keys: Sequence[str]) -> list[list[list[Part]]]:
    """Return the texts that could be written, as lines of parts, in order of preference."""
    rate = "-" if meter.fps is None else f"{meter.fps:.1f}"
    first: Part = (f"FPS {rate}", "FPS 000.0")
    status_lines: list[list[Part]] = [[first]]
    median, p95 = meter.latency_median, meter.latency_p95
    if meter.live:
        dropped: Part = (f"dropped {meter.dropped}", "dropped 0000")
        status_lines.insert(0, [first, dropped])
        if median is not None and p95 is not None:
            short: Part = (_format_latencies(median, p95, "{0} {2}"), "000 ms")
            long: Part = (_format_latencies(median, p95, "latency {0} {2} (p95 {1})"), "latency 000 ms (p95 000)")
            status_lines = [[first, long, dropped], [first, short, dropped], *status_lines]
    if device:
        status_lines.insert(0, [*status_lines[0], (device, device)])
    alone = [[line] for line in status_lines]
    if not (keys and (paused or meter.seconds < KEYS_SECONDS)):
        return alone
    key_parts = [(key.replace("pause", "go on") if paused else key,) * 2 for key in keys]
    help_line: list[Part] = [("PAUSED", "PAUSED"), *key_parts] if paused else key_parts
    help_lines = [help_line[:n] for n in range(len(help_line), 1, -1)]
    return [*([line, help_line] for line in status_lines), *([line] for line in help_lines), *alone]


def _layout(width: int, height: int, choices: list[list[list[Part]]]) -> tuple[list[list[Part]], float, int] | None:
    """Return the first choice that is readable in an image of this size, the height of its capitals and its own."""
    preferred = min(math.sqrt(width * height) / 64, width / 74)
    for lines in choices:
        text_width = max(map(_width, lines))
        text_height = _LINE * len(lines)
        largest = min(width / text_width, math.sqrt(MAX_COVERED * width * height / (text_width * text_height)))
        capital = min(max(preferred, 1.25 * _MIN_CAPITAL), largest)
        rows = math.ceil(capital * text_height)
        if rows * capital * text_width > MAX_COVERED * width * height:
            rows -= 1
            capital = rows / text_height
        if capital >= _MIN_CAPITAL:
            return lines, capital, rows
    return None


def _width(line: list[Part]) -> float:
    """Return the width of a line, in heights of a capital."""
    return 2 * _PAD + _GAP * (len(line) - 1) + sum(max(map(_length, part)) for part in line)


def _length(text: str) -> float:
    return cv2.getTextSize(text, _FONT, 1.0, 1)[0][0] / _CAPITAL


def _write(image: np.ndarray, lines: list[list[Part]], capital: float, height: int) -> None:
    """Write lines on a dark strip in the top left corner; a part does not move when its text changes."""
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
    opacity = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    strip = image[:height, :width]
    dark = cv2.convertScaleAbs(strip, alpha=_DARKENING)
    strip[:] = cv2.blendLinear(np.full_like(dark, _TEXT_GREY), dark, opacity, 1 - opacity)


def _format_latencies(median: float, p95: float, template: str) -> str:
    """Format two latencies as {0} and {1} of a text, both in the unit {2}."""
    longest = max(median, p95)
    unit, factor, digits = ("s", 1.0, 2) if longest >= 0.9995 else ("ms", 1e3, 0 if longest >= 0.00995 else 1)
    return template.format(f"{median * factor:.{digits}f}", f"{p95 * factor:.{digits}f}", unit)
