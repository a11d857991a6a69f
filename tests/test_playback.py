"""What limner writes plays in a browser: to its end, in its own time, with the right images and sound."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from limner.video.writer import VideoWriter
from servers import number_in, numbered, numbered_clip, wait_for, web_server

SOURCE = str(Path(__file__).resolve().parents[1] / "src")
SIZE = (320, 240)

PAGE = """<!doctype html><title>playing</title><body><script>
function play(name) {
  const video = document.createElement("video"), told = {name: name, started: 0};
  const tell = (image) => fetch("/report", {method: "POST", body: JSON.stringify({...told, image: image})});
  video.addEventListener("playing", () => { told.started += 1; });
  video.addEventListener("error", () => { told.event = "error"; told.error = video.error.message; tell(""); });
  video.addEventListener("ended", () => {
    Object.assign(told, {event: "ended", error: null, time: video.currentTime, duration: video.duration,
                         size: [video.videoWidth, video.videoHeight], sound: video.webkitAudioDecodedByteCount});
    // A busy browser drops images: go back to the last one before looking at it.
    video.pause();
    video.addEventListener("seeked", () => {
      const canvas = document.createElement("canvas");
      canvas.width = video.videoWidth; canvas.height = video.videoHeight;
      canvas.getContext("2d").drawImage(video, 0, 0);
      tell(canvas.toDataURL("image/png"));
    }, {once: true});
    video.currentTime = Math.max(0, video.duration - 0.001);
  }, {once: true});
  video.width = 160; video.autoplay = true; video.src = name;
  document.body.append(video);
}
async function decode(name) {  // a GIF, image by image
  const told = {name: name, event: "ended", error: null, image: ""};
  try {
    const decoder = new ImageDecoder({data: await (await fetch(name)).arrayBuffer(), type: "image/gif"});
    await decoder.tracks.ready;
    const track = decoder.tracks.selectedTrack, canvas = document.createElement("canvas");
    Object.assign(told, {frames: track.frameCount, repeats: track.repetitionCount === Infinity, duration: 0});
    for (let i = 0; i < track.frameCount; i++) {
      const {image} = await decoder.decode({frameIndex: i});
      told.duration += image.duration / 1e6;
      told.size = [canvas.width, canvas.height] = [image.displayWidth, image.displayHeight];
      canvas.getContext("2d").drawImage(image, 0, 0);
    }
    told.image = canvas.toDataURL("image/png");
  } catch (error) { told.event = "error"; told.error = String(error); }
  fetch("/report", {method: "POST", body: JSON.stringify(told)});
}
NAMES.forEach((name) => name.endsWith(".gif") ? decode(name) : play(name));
</script>"""


@dataclass(frozen=True)
class Clip:
    """A video to be played and what it is."""

    make: Callable[[Path], None]
    frames: int
    seconds: float
    size: tuple[int, int] = SIZE
    sound: bool = False


def at_rate(rate: Fraction | int | None, frames: int, size: tuple[int, int] = SIZE) -> Clip:
    def make(path: Path) -> None:
        with VideoWriter(path, rate) as sink:
            for i in range(frames):
                sink.write(numbered(i, size=size))

    even = (size[0] + size[0] % 2, size[1] + size[1] % 2)
    return Clip(make, frames, float(frames / (rate or 25)), even)


def at_times(times: list[float], rate: Fraction | int | None) -> Clip:
    def make(path: Path) -> None:
        with VideoWriter(path, rate) as sink:
            for i, seconds in enumerate(times):
                sink.write(numbered(i), seconds)

    return Clip(make, len(times), times[-1] + float(1 / (rate or 25)))


def with_sound() -> Clip:
    """In a video with AAC, which a .webm cannot hold."""

    def make(path: Path) -> None:
        source = path.with_suffix(".source.mkv")
        numbered_clip(source.with_suffix(".mp4"), 30)
        with av.open(str(source.with_suffix(".mp4"))) as silent, av.open(str(source), "w") as out:
            images = out.add_stream_from_template(silent.streams.video[0])
            tone = out.add_stream("aac", rate=48000)
            for packet in silent.demux(video=0):
                if packet.dts is not None:
                    packet.stream = images
                    out.mux(packet)
            samples = np.repeat((8000 * np.sin(np.arange(48000 * 1.2) / 20)).astype(np.int16), 2)[None]
            for start in range(0, samples.shape[1], 2048):
                frame = av.AudioFrame.from_ndarray(samples[:, start : start + 2048], format="s16", layout="stereo")
                frame.sample_rate, frame.pts = 48000, start // 2
                out.mux(tone.encode(frame))
            out.mux(tone.encode(None))
        with VideoWriter(path, 25, audio_from=source) as sink:
            for i in range(30):
                sink.write(numbered(i))

    return Clip(make, 30, 30 / 25, sound=True)


KILLED = """
import sys
from servers import numbered
from limner.video.writer import VideoWriter
with VideoWriter(sys.argv[1], 25) as sink:
    for i in range(10**6):
        sink.write(numbered(i))
        print(i, flush=True)
"""


def killed(path: Path) -> int:
    """Let a process write a video until it is killed; return how many images it said it had written."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([SOURCE, str(Path(__file__).parent)])}
    command = [sys.executable, "-c", KILLED, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= 60:
                break
        process.kill()
    return 61


CLIPS = {
    "5": at_rate(5, 7),
    "23.976": at_rate(Fraction(24000, 1001), 30),
    "25": at_rate(25, 30),
    "29.97": at_rate(Fraction(30000, 1001), 36),
    "60": at_rate(60, 75),
    "unknown": at_rate(None, 30),
    "variable": at_times([0, 0.033, 0.071, 0.1, 0.18, 0.181, 0.24, 0.4, 0.41, 0.7, 0.733, 1.1, 1.133], 25),
    "camera": at_times([0, 0.052, 0.08, 0.13, 0.155, 0.19, 0.5, 0.55, 0.57, 0.81, 0.9, 1.2], None),
    "odd": at_rate(25, 20, (321, 241)),
    "upright": at_rate(25, 20, (180, 320)),
    "one": at_rate(25, 1),
    "sound": with_sound(),
    "25.webm": at_rate(25, 30),
    "29.97.webm": at_rate(Fraction(30000, 1001), 36),
    "variable.webm": at_times([0, 0.033, 0.071, 0.1, 0.18, 0.181, 0.24, 0.4, 0.41, 0.7, 0.733, 1.1, 1.133], 25),
    "odd.webm": at_rate(25, 20, (321, 241)),
    "sound.webm": with_sound(),
}
GIFS = {"25.gif": at_rate(25, 30), "30.gif": at_rate(30, 36), "odd.gif": at_rate(10, 12, (321, 241))}


KILLED_FILES = ("killed", "killed.webm")


def file_of(name: str) -> str:
    return name if name.endswith((".webm", ".gif")) else f"{name}.mp4"


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What a browser says of each clip, which all play at once."""
    browser = shutil.which("chromium")
    if browser is None or os.name == "nt":
        pytest.skip("needs chromium: apt-get install chromium")
    folder = tmp_path_factory.mktemp("played")
    for name, clip in (CLIPS | GIFS).items():
        clip.make(folder / file_of(name))
    names = [*CLIPS, *GIFS, *KILLED_FILES]
    for name in KILLED_FILES:
        killed(folder / file_of(name))
    (folder / "page.html").write_text(PAGE.replace("NAMES", json.dumps([*map(file_of, names)])))
    with web_server(folder) as server, (folder / "browser.log").open("w") as log:
        flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        flags += "--disable-component-update --disable-sync --disable-dev-shm-usage --mute-audio "
        flags += f"--autoplay-policy=no-user-gesture-required --user-data-dir={folder / 'profile'}"
        command = [browser, *flags.split(), f"{server.address}/page.html"]
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_for(
                lambda: len(server.posted) >= len(names) or process.poll() is not None, "the end of all videos", 90
            )
            assert process.poll() is None, (folder / "browser.log").read_text()[-2000:]
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    reports = [json.loads(text) for _, text in server.posted]
    return {report["name"].removesuffix(".mp4"): report for report in reports}


def last_image(report: dict[str, Any]) -> np.ndarray:
    data = np.frombuffer(base64.b64decode(report["image"].partition(",")[2]), np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


@pytest.mark.parametrize("name", CLIPS)
def test_a_video_plays_to_its_end(played: dict[str, dict[str, Any]], name: str) -> None:
    clip, report = CLIPS[name], played[name]
    assert (report["event"], report["error"]) == ("ended", None)
    assert tuple(report["size"]) == clip.size
    assert report["duration"] == pytest.approx(clip.seconds, abs=0.06 if clip.sound else 0.002)
    assert report["time"] == pytest.approx(report["duration"], abs=0.002)
    assert report["started"] >= 1
    assert (report["sound"] > 0) == clip.sound


@pytest.mark.parametrize("name", CLIPS)
def test_its_last_image_is_that_of_the_source(played: dict[str, dict[str, Any]], name: str) -> None:
    clip = CLIPS[name]
    shown = last_image(played[name])
    assert number_in(shown) == clip.frames - 1
    wanted = numbered(clip.frames - 1, size=clip.size)
    for y, x in ((-20, 20), (-20, -20)):  # even areas: the colours are the same
        assert np.abs(shown[y, x].astype(int) - wanted[y, x]).max() <= 6


@pytest.mark.parametrize("name", GIFS)
def test_a_gif_shows_every_image_for_its_time_and_begins_again(played: dict[str, dict[str, Any]], name: str) -> None:
    report, rate = played[name], GIFS[name].frames / GIFS[name].seconds
    size = (321, 241) if name == "odd.gif" else SIZE
    assert (report["event"], report["error"]) == ("ended", None)
    assert (tuple(report["size"]), report["frames"], report["repeats"]) == (size, GIFS[name].frames, True)
    assert report["duration"] == pytest.approx(GIFS[name].frames / rate, abs=0.011)
    shown, wanted = last_image(report), numbered(GIFS[name].frames - 1, size=size)
    assert number_in(shown) == GIFS[name].frames - 1
    assert np.abs(cv2.blur(shown, (9, 9)).astype(int) - cv2.blur(wanted, (9, 9))).mean() < 3


@pytest.mark.parametrize("name", KILLED_FILES)
def test_what_a_killed_process_left_plays_too(played: dict[str, dict[str, Any]], name: str) -> None:
    report = played[name]
    assert (report["event"], report["error"]) == ("ended", None)
    assert tuple(report["size"]) == SIZE
    assert report["duration"] >= 60 / 25 - 1
    assert report["time"] == pytest.approx(report["duration"], abs=0.05)
    number = number_in(last_image(report))
    assert number is not None
    assert number + 1 == pytest.approx(report["duration"] * 25, abs=0.1)
