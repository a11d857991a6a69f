"""Videos and cameras through the commands: the right files, to the last frame, whatever ends them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import servers
from limner import MMPoseInferencer, load
from limner.cli import app
from limner.errors import ArgumentError, LimnerError
from limner.mmpose import demos
from limner.video.reader import VideoSource
from limner.video.writer import VideoWriter

ROOT = Path(__file__).resolve().parents[1]
RATE = Fraction(30000, 1001)


def panned(portrait: np.ndarray, i: int) -> np.ndarray:
    """A view of 320 x 240 that wanders over the portrait; the face stays inside."""
    x, y = 60 + round(40 * np.sin(i / 9)), 10 + round(10 * np.cos(i / 7))
    return np.ascontiguousarray(cv2.resize(portrait[y : y + 300, x : x + 400], (320, 240)))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, portrait: np.ndarray) -> Path:
    path = tmp_path_factory.mktemp("clip") / "walk.mp4"
    with VideoWriter(path, RATE) as sink:
        for i in range(24):
            sink.write(panned(portrait, i))
    return path


def ran(*arguments: object, status: int = 0) -> Any:
    result = CliRunner().invoke(app, ["run", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result


def results_in(text: str) -> list[dict[str, Any]]:
    """The results among the records of JSON Lines."""
    return [record for line in text.splitlines() if "instances" in (record := json.loads(line))]


def frames_of(path: Path) -> list[np.ndarray]:
    with VideoSource(path) as source:
        return [frame.image for frame in source]


# -- files


def test_a_video_becomes_a_drawn_video_and_numbers(clip: Path, tmp_path: Path) -> None:
    said = ran(clip, "--out", tmp_path, "--json", tmp_path, "--jsonl", tmp_path / "all.jsonl", "--headless").stdout
    with av.open(str(tmp_path / "walk.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.format.name) == ("h264", "yuv420p")
        assert stream.average_rate == RATE
        assert stream.frames == 24
    sheet = json.loads((tmp_path / "walk.json").read_text())
    assert [entry["frame_id"] for entry in sheet] == list(range(24))
    assert all([instance["track_id"] for instance in entry["instances"]] == [1] for entry in sheet)
    lines = results_in((tmp_path / "all.jsonl").read_text())
    assert [line["instances"] for line in lines] == [entry["instances"] for entry in sheet]
    assert lines[10]["timestamp"] == pytest.approx(10 / float(RATE), abs=1e-4)
    assert "24 frames in" in said
    assert "frames/s on cpu" in said
    plain, drawn = frames_of(clip), frames_of(tmp_path / "walk.mp4")
    assert np.mean([np.abs(a.astype(int) - b).mean() for a, b in zip(plain, drawn, strict=True)]) > 0.2


def test_images_and_videos_of_a_folder_and_equal_names(clip: Path, portrait: np.ndarray, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    cv2.imwrite(str(folder / "walk.jpg"), portrait)
    (folder / "walk.mp4").write_bytes(clip.read_bytes())
    (folder / "torn.mp4").write_bytes(b"no video")
    result = ran(folder, "--out", tmp_path / "out", "--json", tmp_path / "out", "--max-frames", 5, status=1)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["walk.jpg", "walk.json", "walk_1.json", "walk_1.mp4"]
    assert "torn.mp4" in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 2  # the progress bar, and the sentence


def test_a_kind_that_cannot_hold_h264_becomes_mp4(clip: Path, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "old.avi"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for image in frames_of(clip)[:5]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    ran(tmp_path / "old.avi", "--out", tmp_path / "out")
    assert len(frames_of(tmp_path / "out" / "old.mp4")) == 5


def test_lines_can_be_piped_into_another_program(clip: Path, portrait: np.ndarray, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), portrait)
    result = ran(tmp_path / "a.png", clip, "--jsonl", "-", "--max-frames", 3)
    head, *_, end = [json.loads(line) for line in result.stdout.splitlines()]
    assert head["model"] == "face-lite"
    assert end == {"source": str(clip), "frames": 3, "complete": True}
    lines = results_in(result.stdout)
    assert [line["frame_id"] for line in lines] == [0, 0, 1, 2]
    assert "track_id" not in lines[0]["instances"][0]


def test_the_sound_is_kept_where_it_is_asked_for(clip: Path, tmp_path: Path) -> None:
    with av.open(str(clip)) as source, av.open(str(tmp_path / "talk.mp4"), "w") as out:
        video = out.add_stream_from_template(source.streams.video[0])
        sound = out.add_stream("aac", rate=48000)
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                out.mux(packet)
        for i in range(40):
            tone = np.sin(np.arange(1024) * 0.06 + i * 1024 * 0.06).astype(np.float32)[None] * 0.2
            frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 48000, i * 1024
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    for flags, tracks in (([], 1), (["--no-audio", "--overwrite"], 0)):
        ran(tmp_path / "talk.mp4", "--out", tmp_path / "out", *flags)
        with av.open(str(tmp_path / "out" / "talk.mp4")) as container:
            assert len(container.streams.audio) == tracks
            assert container.streams.video[0].frames == 24


def test_a_video_is_not_written_over_itself(clip: Path, tmp_path: Path) -> None:
    copy = tmp_path / "walk.mp4"
    copy.write_bytes(clip.read_bytes())
    assert "is the input itself" in ran(copy, "--out", tmp_path, status=1).stderr
    assert copy.read_bytes() == clip.read_bytes()


def test_of_a_video_that_is_cut_short_all_that_is_there_is_used(clip: Path, tmp_path: Path) -> None:
    with av.open(str(clip)) as source, av.open(str(tmp_path / "cut.ts"), "w", format="mpegts") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    whole = (tmp_path / "cut.ts").read_bytes()
    (tmp_path / "cut.ts").write_bytes(whole[: len(whole) // 2])
    ran(tmp_path / "cut.ts", "--json", tmp_path / "out")
    assert 2 < len(json.loads((tmp_path / "out" / "cut.json").read_text())) < 24


def test_a_film_that_changes_its_size_goes_on(clip: Path, tmp_path: Path) -> None:
    parts = []
    for width, height in ((320, 240), (400, 300)):
        part = tmp_path / f"{width}.ts"
        with av.open(str(part), "w") as out:
            stream = out.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for image in frames_of(clip)[:8]:
                image = cv2.resize(image, (width, height))
                out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
            out.mux(stream.encode(None))
        parts.append(part.read_bytes())
    (tmp_path / "both.ts").write_bytes(b"".join(parts))
    said = ran(tmp_path / "both.ts", "--out", tmp_path / "o", "--jsonl", tmp_path / "l", "--det-interval", 3).stdout
    lines = results_in((tmp_path / "l").read_text())
    assert [line["size"] for line in lines] == [[320, 240]] * 8 + [[400, 300]] * 8
    assert {instance["track_id"] for line in lines for instance in line["instances"]} == {1}, "the same face"
    assert {image.shape for image in frames_of(tmp_path / "o" / "both.mp4")} == {(240, 320, 3)}
    assert "400 x 300" in said


def test_following_one_face_and_counting_them(clip: Path, tmp_path: Path) -> None:
    ran(clip, "--json", tmp_path, "--follow", "largest", "--max-persons", 1, "--smooth", "live", "--det-interval", 5)
    sheet = json.loads((tmp_path / "walk.json").read_text())
    assert all(len(entry["instances"]) == 1 for entry in sheet)
    refused = ran(clip, "--follow", "tallest", "--jsonl", "-", status=1).stderr
    assert "'tallest' does not name a person to follow" in refused


# -- MMPose's words


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The four words of a top-down demo with small networks of random weights."""
    torch = pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
    from limner import build, config

    torch.manual_seed(7)
    folder = tmp_path_factory.mktemp("small")
    arguments = []
    for name in ("limner/rtmdet_face-lite_288.py", "limner/rtmpose_face-lite_300w-160x160.py"):
        path = folder / f"{Path(name).stem}.pth"
        torch.save({"state_dict": build.network(config.load(name)["model"]).state_dict()}, path)
        arguments += [name, str(path)]
    return arguments


def test_the_topdown_demo_on_a_video(small: list[str], clip: Path, tmp_path: Path) -> None:
    arguments = [*small, "--input", str(clip), "--output-root", str(tmp_path), "--save-predictions", "--bbox-thr", "0"]
    assert demos.topdown([*arguments, "--max-persons", "2", "--max-frames", "6", "--draw-heatmap"]) == 0
    sheet = json.loads((tmp_path / "results_walk.json").read_text())
    assert sheet["meta_info"]["num_keypoints"] == 68
    assert [entry["frame_id"] for entry in sheet["instance_info"]] == [1, 2, 3, 4, 5, 6]
    images = frames_of(tmp_path / "walk.mp4")
    assert len(images) == 6
    assert images[0].shape == (480, 320, 3), "the heat stands below"


def test_the_inferencers_demo_on_a_video(small: list[str], clip: Path, tmp_path: Path) -> None:
    arguments = [str(clip), "--pose2d", small[2], "--pose2d-weights", small[3], "--det-model", "whole_image"]
    arguments += ["--vis-out-dir", str(tmp_path / "vis"), "--pred-out-dir", str(tmp_path / "pred"), "--max-frames", "4"]
    assert demos.inferencer(arguments) == 0
    sheet = json.loads((tmp_path / "pred" / "walk.json").read_text())
    assert [entry["frame_id"] for entry in sheet] == [0, 1, 2, 3]
    assert sheet[0]["instances"][0]["bbox"] == [[0, 0, 320, 240]]
    assert len(frames_of(tmp_path / "vis" / "walk.mp4")) == 4


@pytest.fixture(scope="module")
def faces() -> MMPoseInferencer:
    return MMPoseInferencer("face-lite")


def test_the_inferencer_gives_a_video_frame_by_frame(faces: MMPoseInferencer, clip: Path, tmp_path: Path) -> None:
    found = list(faces(str(clip), return_vis=True, out_dir=tmp_path, batch_size=5))
    assert [len(step["predictions"]) for step in found] == [5, 5, 5, 5, 4]
    assert found[0]["visualization"][0].shape == (240, 320, 3)
    assert len(found[0]["predictions"][0][0]["keypoints"]) == 68
    assert len(json.loads((tmp_path / "predictions" / "walk.json").read_text())) == 24
    assert len(frames_of(tmp_path / "visualizations" / "walk.mp4")) == 24


def test_a_video_that_is_given_up_leaves_whole_files(faces: MMPoseInferencer, clip: Path, tmp_path: Path) -> None:
    steps = faces(str(clip), out_dir=tmp_path)
    for _ in range(4):
        next(steps)
    steps.close()
    assert len(json.loads((tmp_path / "predictions" / "walk.json").read_text())) == 4
    assert len(frames_of(tmp_path / "visualizations" / "walk.mp4")) == 4


def test_boxes_are_for_images(faces: MMPoseInferencer, clip: Path) -> None:
    with pytest.raises(ArgumentError, match="bboxes"):
        list(faces(str(clip), bboxes=[[0, 0, 9, 9]]))


def test_limners_own_words_for_a_video(clip: Path) -> None:
    found = list(load("face-lite").watch(clip, det_interval=3))
    assert len(found) == 24
    assert found[5].track_ids.tolist() == [1]
    assert found[5].plot().shape == (240, 320, 3)
    with pytest.raises(ArgumentError, match="det_interval"):
        next(load("face-lite").watch(clip, det_intervall=3))


# -- cameras


@pytest.fixture
def webcam(portrait: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Callable[..., type]:
    """Plug in a camera that looks at the portrait."""

    def plug(**settings: Any) -> type:
        camera = servers.camera([panned(portrait, i) for i in range(40)], **settings)
        monkeypatch.setattr(cv2, "VideoCapture", camera)
        return camera

    return plug


def test_a_camera_is_recorded(webcam: Callable[..., type], tmp_path: Path) -> None:
    webcam(fps=30)
    said = ran("webcam", "--headless", "--out", tmp_path, "--json", tmp_path, "--max-frames", 10).stdout
    assert "latency" in said
    assert "dropped" in said
    assert len(frames_of(tmp_path / "webcam.mp4")) == 10
    sheet = json.loads((tmp_path / "webcam.json").read_text())
    assert len(sheet) == 10
    assert sheet[-1]["instances"][0]["track_id"] == 1


def test_a_camera_through_mmposes_words(webcam: Callable[..., type], small: list[str], tmp_path: Path) -> None:
    webcam(fps=30)
    arguments = ["--input", "webcam", "--output-root", str(tmp_path / "a"), "--save-predictions", "--max-frames", "3"]
    assert demos.topdown([*small, *arguments]) == 0
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["results_webcam.json", "webcam.mp4"]
    arguments = ["webcam:0", "--pose2d", small[2], "--pose2d-weights", small[3], "--det-model", "whole_image"]
    arguments += ["--vis-out-dir", str(tmp_path / "b"), "--headless", "--max-frames", "3"]
    assert demos.inferencer(arguments) == 0
    assert len(frames_of(tmp_path / "b" / "webcam_0.mp4")) == 3


def test_a_cable_that_is_pulled_loses_nothing(webcam: Callable[..., type], tmp_path: Path) -> None:
    webcam(fps=30, count=12)
    files = ["--out", tmp_path, "--jsonl", tmp_path / "l"]
    result = ran("webcam", "--headless", *files, "--reconnect-timeout", 0, status=1)
    lines = results_in((tmp_path / "l").read_text())
    assert 1 <= len(lines) <= 12
    assert len(frames_of(tmp_path / "webcam.mp4")) == len(lines)
    assert "gives no more images" in result.stderr


def test_words_for_cameras_that_contradict_each_other(tmp_path: Path) -> None:
    for arguments, said in (
        (["webcam", "--headless"], "--headless shows nothing and writes nothing by itself"),
        (["webcam", "--headless", "--show"], "contradict"),
        (["webcam", "--camera-size", "big", "--headless", "--out", str(tmp_path)], "1280x720"),
    ):
        with pytest.raises(LimnerError, match=said):
            CliRunner().invoke(app, ["run", *arguments], catch_exceptions=False)


def test_a_camera_where_there_is_no_display(webcam: Callable[..., type], monkeypatch: pytest.MonkeyPatch) -> None:
    webcam()
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    if sys.platform.startswith("linux"):
        with pytest.raises(LimnerError, match="--headless"):
            CliRunner().invoke(app, ["run", "webcam"], catch_exceptions=False)


# -- how it ends


def started(*arguments: object, **more: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from limner.cli import main; main()", "run", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **more)


def long_clip(path: Path, portrait: np.ndarray, frames: int) -> Path:
    with VideoWriter(path, 25) as sink:
        views = [panned(portrait, i) for i in range(50)]
        for i in range(frames):
            sink.write(views[i % 50])
    return path


def until(path: Path, lines: int) -> None:
    end = time.monotonic() + 60
    while not path.exists() or path.read_bytes().count(b"\n") < lines:
        assert time.monotonic() < end, "no lines come"
        time.sleep(0.02)


@pytest.mark.skipif(os.name == "nt", reason="a signal to another process is no Ctrl-C there")
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_finishes_the_files(kind: int, portrait: np.ndarray, tmp_path: Path) -> None:
    video = long_clip(tmp_path / "long.mp4", portrait, 1500)
    with started(video, "--out", tmp_path / "o", "--jsonl", tmp_path / "l", "--json", tmp_path / "o") as process:
        until(tmp_path / "l", 40)
        process.send_signal(kind)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + kind
    assert err.strip().splitlines() == ["limner: stopped; the files written so far are complete"]
    lines = results_in((tmp_path / "l").read_text())
    assert 40 <= len(lines) < 1500
    assert len(frames_of(tmp_path / "o" / "long.mp4")) == len(lines)
    assert len(json.loads((tmp_path / "o" / "long.json").read_text())) == len(lines)
    assert b"moof" not in (tmp_path / "o" / "long.mp4").read_bytes(), "the file was not finished"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
def test_kill_minus_nine_leaves_what_was_found(portrait: np.ndarray, tmp_path: Path) -> None:
    video = long_clip(tmp_path / "long.mp4", portrait, 1500)
    with started(video, "--out", tmp_path / "o", "--jsonl", tmp_path / "l", "--json", tmp_path / "o") as process:
        until(tmp_path / "l", 100)
        process.kill()
        process.communicate(timeout=60)
    lines = results_in((tmp_path / "l").read_text())
    assert [line["frame_id"] for line in lines] == list(range(len(lines)))
    assert len(json.loads((tmp_path / "o" / "long.json").read_text())) >= len(lines) - 1
    assert len(frames_of(tmp_path / "o" / "long.mp4")) >= len(lines) - 30


def test_a_full_disk_is_one_sentence(portrait: np.ndarray, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="this system cannot limit the size of files")
    video = long_clip(tmp_path / "long.mp4", portrait, 300)
    (tmp_path / "o").mkdir()

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))

    with started(video, "--out", tmp_path / "o", "--json", tmp_path / "o", preexec_fn=limit) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    (sentence,) = err.strip().splitlines()
    assert "no space is left" in sentence
    frames = json.loads((tmp_path / "o" / "long.json").read_text())
    assert frames
    assert abs(len(frames_of(tmp_path / "o" / "long.mp4")) - len(frames)) < 26
