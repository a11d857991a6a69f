"""Somebody who watches a camera and wants to know how fast it goes and how late it is."""

from __future__ import annotations

import tracemalloc

import cv2
import numpy as np
import pytest

from limner.display import hud
from limner.display.hud import Meter, overlay

DEVICE = "cpu (onnxruntime)"
SIZES = ((320, 240), (640, 480), (1280, 720), (3840, 2160), (720, 1280), (640, 960), (1000, 200), (160, 120))


class Clock:
    """Goes on when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def watch(meter: Meter, clock: Clock, frames: int, fps: float, latency: float | None = None) -> None:
    for _ in range(frames):
        clock.now += 1 / fps
        meter.add_frame(latency)


def running(*, live: bool = True, seconds: float = 10.0, fps: float = 30.0, latency: float | None = 0.035) -> Meter:
    """Return a meter that has seen so many seconds of a source."""
    clock = Clock()
    meter = Meter(live=live, clock=clock)
    watch(meter, clock, round(seconds * fps), fps, latency if live else None)
    return meter


def strip_of(image: np.ndarray, drawn: np.ndarray) -> tuple[int, int]:
    """Return width and height of what differs, which has to begin in the corner."""
    ys, xs = np.nonzero((image != drawn).any(axis=2))
    return (int(xs.max()) + 1, int(ys.max()) + 1) if len(xs) else (0, 0)


# -- counting


def test_the_frame_rate_is_that_of_the_last_two_seconds() -> None:
    clock = Clock()
    meter = Meter(clock=clock)
    assert meter.fps is None
    watch(meter, clock, 1, 30)
    assert meter.fps is None
    watch(meter, clock, 300, 30)
    assert meter.fps == pytest.approx(30)
    watch(meter, clock, 21, 10)
    assert meter.fps == pytest.approx(10)
    assert meter.frames == 322
    assert meter.overall_fps() == pytest.approx(321 / (10 + 2.1))


def test_a_model_slower_than_that_has_a_frame_rate_too() -> None:
    clock = Clock()
    meter = Meter(clock=clock)
    watch(meter, clock, 4, 0.2)
    assert meter.fps == pytest.approx(0.2)


def test_frames_faster_than_it_remembers_are_still_counted_right() -> None:
    clock = Clock()
    meter = Meter(clock=clock)
    watch(meter, clock, 20_000, 5000)
    assert meter.fps == pytest.approx(5000)


def test_a_clock_that_stands_still_does_no_harm() -> None:
    meter = Meter(clock=Clock())
    meter.add_frame()
    meter.add_frame()
    assert meter.fps is None
    assert meter.overall_fps() is None


def test_a_pause_is_no_slow_frame() -> None:
    clock = Clock()
    meter = Meter(clock=clock)
    watch(meter, clock, 91, 30)
    meter.pause()
    clock.now += 3600
    watch(meter, clock, 1, 30)
    assert meter.fps == pytest.approx(30)
    watch(meter, clock, 90, 30)
    assert meter.fps == pytest.approx(30)
    assert meter.seconds == pytest.approx(6)
    assert meter.overall_fps() == pytest.approx(30)


def test_latencies_of_the_last_frames_are_exact() -> None:
    meter = Meter(live=True)
    assert meter.latency_median is None
    assert meter.latency_p95 is None
    for _ in range(1000):
        meter.add_frame(5.0)
    for i in range(256):
        meter.add_frame((i + 1) / 1000)
    assert meter.latency_median == 0.128
    assert meter.latency_p95 == 0.244


def test_a_million_latencies_are_told_to_one_percent_in_bounded_memory() -> None:
    values = np.random.default_rng(0).lognormal(np.log(0.035), 0.8, 1_000_000)
    meter = Meter(live=True)
    for value in values[:980_000].tolist():
        meter.add_frame(value)
    tracemalloc.start()
    try:
        for value in values[980_000:].tolist():
            meter.add_frame(value)
        del value
        grown = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, hud.__file__)])
    finally:
        tracemalloc.stop()
    assert sum(s.size for s in grown.statistics("filename")) < 100_000
    for percent in (1, 50, 95, 99.9):
        exact = np.percentile(values, percent, method="inverted_cdf")
        assert meter.overall_latency(percent) == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize("latency", [1.01e-4, 0.001, 0.0347, 1.0, 59.9, 999.0])
def test_each_latency_is_told_to_one_percent(latency: float) -> None:
    meter = Meter(live=True)
    meter.add_frame(latency)
    assert meter.overall_latency(50) == pytest.approx(latency, rel=0.01)


def test_latencies_that_cannot_be_do_no_harm() -> None:
    meter = Meter(live=True)
    for latency in (float("nan"), float("inf"), -0.001, 0.0, 1e9):
        meter.add_frame(latency)
    assert meter.frames == 5
    assert meter.latency_median == 0.0
    assert meter.overall_latency(50) == 0.0
    assert meter.overall_latency(100) > 900
    ahead = Meter(live=True)
    ahead.add_frame(-0.002)
    assert ahead.latency_median == 0.0


# -- the sentence of a run without a window


def test_a_camera_is_summed_up() -> None:
    meter = running(seconds=10, fps=30)
    meter.dropped = 12
    assert meter.summary(DEVICE) == (
        f"300 frames in 10.0 s, 30.0 frames/s on {DEVICE}; latency 35 ms (median), 35 ms (p95), 12 dropped"
    )


def test_a_file_has_no_latency() -> None:
    assert running(live=False, seconds=1).summary("cuda:0 (torch)") == (
        "30 frames in 1.0 s, 30.0 frames/s on cuda:0 (torch)"
    )


@pytest.mark.parametrize(
    ("latency", "said"), [(0.0042, "4.2 ms (median)"), (0.35, "350 ms (median)"), (1.25, "1.25 s (median)")]
)
def test_latencies_are_said_in_a_unit_that_fits(latency: float, said: str) -> None:
    summary = running(latency=latency).summary()
    number = float(summary.partition("latency ")[2].split()[0])
    assert number == pytest.approx(float(said.split()[0]), rel=0.01)
    assert said.split(" ", 1)[1] in summary


def test_a_source_without_frames_has_a_sentence_too() -> None:
    assert Meter(live=True).summary(DEVICE) == f"0 frames on {DEVICE}; 0 dropped"
    single = Meter()
    single.add_frame()
    assert single.summary() == "1 frame"


# -- the strip


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("state", ["start", "run", "paused", "file"])
def test_the_strip_is_small_and_whole(size: tuple[int, int], state: str) -> None:
    meter = running(live=state != "file", seconds=2 if state == "start" else 10, fps=144.4, latency=0.888)
    meter.dropped = 9999
    for grey in (0, 255):  # the text shows on black, the strip on white
        image = np.full((size[1], size[0], 3), grey, np.uint8)
        before = image.copy()
        drawn = overlay(image, meter, DEVICE, paused=state == "paused")
        assert (image == before).all()
        assert drawn.shape == image.shape
        assert drawn.dtype == np.uint8
        width, height = strip_of(image, drawn)
        assert 0 < width * height <= 0.05 * size[0] * size[1]
        if grey == 0:
            text = drawn[..., 0] > 60
            assert not text[:, -1].any(), "a letter is cut off at the right"
        else:
            assert drawn[:height, :width].min() < 120
            # nothing light along the edges of the strip: no letter is cut off
            strip = drawn[:height, :width, 0]
            assert max(edge.max() for edge in (strip[0], strip[-1], strip[:, 0], strip[:, -1])) < 160


@pytest.mark.parametrize("size", SIZES[:4])
def test_letters_grow_with_the_image_and_stay_readable(size: tuple[int, int]) -> None:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    drawn = overlay(image, running(), DEVICE)
    # the first letter, F, stands on the line and has the height of a capital
    column = drawn[:, : size[0] // 50].max(axis=(1, 2)) > 80
    capital = int(np.count_nonzero(column))
    assert capital >= 5
    assert capital == pytest.approx(max(6, (size[0] * size[1]) ** 0.5 / 64), rel=0.2, abs=2.5)


def test_text_is_light_on_dark_whatever_is_below() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    meter = running()
    width, height = strip_of(np.full_like(noise, 255), overlay(np.full_like(noise, 255), meter, DEVICE))
    drawn = overlay(noise, meter, DEVICE)
    letters = overlay(np.zeros_like(noise), meter, DEVICE)[:height, :width, 0] > 220
    assert drawn[:height, :width][letters].min() > 200
    plain = overlay(np.zeros_like(noise), meter, DEVICE)[:height, :width, 0] == 0
    assert drawn[:height, :width][plain].max() < 100
    assert (drawn[height:] == noise[height:]).all()
    assert (drawn[:, width:] == noise[:, width:]).all()


@pytest.mark.parametrize("size", SIZES[:4])
def test_latency_and_dropped_frames_are_shown_of_live_sources_only(size: tuple[int, int]) -> None:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    for live in (True, False):
        meter = running(live=live)
        first = overlay(image, meter, DEVICE)
        meter.dropped = 77
        assert (overlay(image, meter, DEVICE) != first).any() == live
    late, early = running(latency=0.3), running(latency=0.1)
    assert (overlay(image, late, DEVICE) != overlay(image, early, DEVICE)).any()


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("size", SIZES[:4])
def test_the_device_is_named(size: tuple[int, int], live: bool) -> None:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    meter = running(live=live)
    assert (overlay(image, meter, "cpu (onnxruntime)") != overlay(image, meter, "cpu (torch)")).any()


def test_a_long_name_of_a_device_gives_way() -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    long = overlay(image, running(), "a device whose name alone is wider than the whole image can ever be")
    assert (long == overlay(image, running())).all()


@pytest.mark.parametrize("size", SIZES[:4])
def test_the_keys_are_named_at_first_and_in_a_pause(size: tuple[int, int]) -> None:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    early, late = running(seconds=4.5), running(seconds=5.5)
    without = overlay(image, late, DEVICE)
    assert (overlay(image, late, DEVICE, keys=()) == without).all()
    assert (overlay(image, early, DEVICE) != without).any()
    assert (overlay(image, early, DEVICE, keys=()) == without).all()
    paused = overlay(image, late, DEVICE, paused=True)
    assert (paused != without).any()
    assert (paused != overlay(image, early, DEVICE)).any(), "a pause looks like the beginning"
    assert (
        overlay(image, late, paused=True, keys=["space pause"])
        == overlay(image, late, paused=True, keys=["space go on"])
    ).all()


def test_numbers_that_change_move_nothing() -> None:
    image = np.zeros((720, 1280, 3), np.uint8)
    strips = []
    for fps, latency, dropped in ((9.9, 0.008, 0), (30.0, 0.035, 12), (120.5, 0.999, 1234)):
        meter = running(fps=fps, latency=latency)
        meter.dropped = dropped
        strips.append(overlay(image, meter, DEVICE))
    width, height = strip_of(image, strips[0])
    device = slice(round(width * 0.78), width)
    assert strips[0][:height, device].any()
    for other in strips[1:]:
        assert (other[:, device] == strips[0][:, device]).all()


def test_a_tiny_image_is_left_alone() -> None:
    image = np.full((24, 32, 3), 9, np.uint8)
    assert (overlay(image, running(), DEVICE, paused=True) == image).all()


def test_a_part_of_a_larger_image_can_be_written_on() -> None:
    large = np.random.default_rng(1).integers(0, 256, (480, 1280, 3), dtype=np.uint8)
    part = large[:, ::2]
    drawn = overlay(part, running(), DEVICE)
    assert (drawn == overlay(np.ascontiguousarray(part), running(), DEVICE)).all()


def test_its_words_can_be_read_again() -> None:
    """The strip at 640x480 is made of the letters that OpenCV draws: each word is found where it stands."""
    image = np.zeros((480, 640, 3), np.uint8)
    meter = running()
    meter.dropped = 12
    found = overlay(image, meter, DEVICE)[:40, :, 0].astype(np.float32)
    capital = 640 / 74
    for word, wrong in (("latency 35 ms", "latency 53 ms"), ("dropped 12", "dropped 21"), (DEVICE, "cuda (tensorrt)")):
        scores = []
        for text in (word, wrong):
            zoom = 4
            (w, h), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, zoom * capital / 21, 3)
            letters = np.zeros((h + base + 8, w + 8), np.uint8)
            cv2.putText(letters, text, (4, h + 4), cv2.FONT_HERSHEY_SIMPLEX, zoom * capital / 21, 255, 4, cv2.LINE_AA)
            small = cv2.resize(letters, None, fx=1 / zoom, fy=1 / zoom, interpolation=cv2.INTER_AREA)
            scores.append(cv2.matchTemplate(found, small.astype(np.float32), cv2.TM_CCOEFF_NORMED).max())
        assert scores[0] > 0.7
        assert scores[0] > scores[1] + 0.02
